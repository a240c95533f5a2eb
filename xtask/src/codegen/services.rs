//! `cargo xtask codegen --services`: the pack of public service models that `crates/integrations` embeds, made from the
//! botocore package of a pinned version.
//!
//! The pack depends on that package and this file alone: the same bytes come out wherever it is made. Nothing of it is
//! read by hand; `crates/integrations/src/model/pack.rs` describes the layout that both sides keep.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::{Compression, read::GzDecoder, write::ZlibEncoder};
use serde_json::{Map, Value, json};

use crate::python::{Ready, prepare_python};
use crate::workspace::{check, command, root, target};

/// The package that the models come from. Raise it here, run `cargo xtask codegen --services`, and commit the pack.
const BOTOCORE: &str = "1.44.5";

/// The first bytes of a pack: its name and the number of its layout.
const MAGIC: &[u8; 8] = b"SWPACK01";

/// What a service says of itself that a client must know.
const METADATA: &[&str] = &[
    "serviceId",
    "apiVersion",
    "endpointPrefix",
    "signingName",
    "protocol",
    "jsonVersion",
    "targetPrefix",
    "xmlNamespace",
    "awsQueryCompatible",
    "checksumFormat",
];

/// Which of the protocols that a service speaks is used: botocore's order.
const PREFERRED: &[&str] = &["json", "rest-json", "rest-xml", "smithy-rpc-v2-cbor", "query", "ec2"];

/// What says nothing about what goes over the wire.
const DROPPED: &[&str] = &["documentation", "deprecated", "deprecatedMessage", "deprecatedSince", "synthetic", "box"];

/// Two folders of botocore with one service id: the second is the older name of the first.
const OLD_NAMES: &[&str] = &["sms-voice"];

/// Makes the pack, or with `check` only fails if it would change.
pub(super) fn run(only_check: bool) -> Result<()> {
    let data = botocore()?;
    let pack = pack(&data)?;
    let path = path();
    if std::fs::read(&path).is_ok_and(|found| found == pack) {
        return Ok(());
    }
    ensure!(
        !only_check,
        "{} is not what botocore {BOTOCORE} gives; run `cargo xtask codegen --services`",
        path.display()
    );
    std::fs::write(&path, &pack).with_context(|| path.display().to_string())?;
    println!("wrote {} ({} bytes)", path.display(), pack.len());
    Ok(())
}

fn path() -> PathBuf {
    root().join("crates/integrations/models/services.pack")
}

/// The data folder of the package, fetched once.
fn botocore() -> Result<PathBuf> {
    let home = target().join(format!("botocore-{BOTOCORE}"));
    let data = home.join("botocore/data");
    if data.join("partitions.json").is_file() {
        return Ok(data);
    }
    let python = match prepare_python()? {
        Ready::Yes(python) => python,
        Ready::Missing(what) => bail!("this needs {what}"),
    };
    let wheels = target().join("wheels");
    let wanted = format!("botocore=={BOTOCORE}");
    let download =
        ["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"];
    check(python.command().args(download).arg(&wanted).arg("--dest").arg(&wheels))
        .context("pip could not fetch botocore; is a package index reachable?")?;
    let wheel = wheels.join(format!("botocore-{BOTOCORE}-py3-none-any.whl"));
    check(command(python.program("python")).args(["-m", "zipfile", "-e"]).arg(&wheel).arg(&home))?;
    Ok(data)
}

fn pack(data: &Path) -> Result<Vec<u8>> {
    let mut writer = Writer::default();
    let mut rules: BTreeMap<String, usize> = BTreeMap::new();
    let mut rule_blobs = Vec::new();
    let mut services = Vec::new();
    for folder in folders(data)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(version) = folders(&folder)?.pop() else { continue };
        if OLD_NAMES.contains(&name.as_str()) || !version.join("service-2.json.gz").is_file() {
            continue;
        }
        let model = merged(read(&version.join("service-2.json.gz"))?, &version.join("service-2.sdk-extras.json"))?;
        // What is not signed with Signature Version 4 can't be called with the credentials of a role.
        if !["v4", "s3", "s3v4"].contains(&text(&model["metadata"]["signatureVersion"])) {
            continue;
        }
        let rule_set =
            rule_set(&version.join("endpoint-rule-set-1.json.gz"), text(&model["metadata"]["endpointPrefix"]))
                .with_context(|| name.clone())?;
        let next = rules.len();
        let number = *rules.entry(rule_set.clone()).or_insert(next);
        if number == next {
            rule_blobs.push(writer.blob(rule_set.as_bytes())?);
        }
        let id = text(&model["metadata"]["serviceId"]).to_owned();
        let trimmed = trim(&model).with_context(|| name.clone())?;
        let mut entry = writer.blob(serde_json::to_string(&trimmed)?.as_bytes())?;
        entry["id"] = id.into();
        entry["rules"] = number.into();
        services.push(entry);
    }
    let partitions = writer.blob(serde_json::to_string(&read(&data.join("partitions.json"))?)?.as_bytes())?;
    let index = json!({
        "source": format!("botocore {BOTOCORE}"), "services": services, "rules": rule_blobs, "partitions": partitions,
    });
    let index = compress(index.to_string().as_bytes())?;
    let length = u32::try_from(index.len()).context("an index of less than 4 GB")?;
    Ok([MAGIC.as_slice(), &length.to_le_bytes(), &index, &writer.bytes].concat())
}

/// The parts of a pack, one after the other; places count from the end of the index.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn blob(&mut self, content: &[u8]) -> Result<Value> {
        let offset = self.bytes.len();
        self.bytes.extend(compress(content)?);
        Ok(json!({"offset": offset, "length": self.bytes.len() - offset, "size": content.len()}))
    }
}

fn compress(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

/// The folders in a folder, in order.
fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Value> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let mut plain = Vec::new();
    if path.extension().is_some_and(|extension| extension == "gz") {
        GzDecoder::new(bytes.as_slice()).read_to_end(&mut plain)?;
    } else {
        plain = bytes;
    }
    serde_json::from_slice(&plain).with_context(|| path.display().to_string())
}

/// The model with what botocore adds to it.
fn merged(mut model: Value, extras: &Path) -> Result<Value> {
    fn merge(base: &mut Value, extra: Value) {
        match (base, extra) {
            (Value::Object(base), Value::Object(extra)) => {
                for (key, value) in extra {
                    merge(base.entry(key).or_insert(Value::Null), value);
                }
            }
            (base, extra) => *base = extra,
        }
    }
    if extras.is_file() {
        merge(&mut model, read(extras)?["merge"].take());
    }
    Ok(model)
}

/// The rules by which a service's endpoint is found, with the service's own host prefix taken out: most services then
/// share theirs with others.
fn rule_set(path: &Path, prefix: &str) -> Result<String> {
    fn without_prefix(value: &mut Value, prefix: &str) {
        match value {
            Value::Object(map) => {
                map.remove("documentation");
                if let Some(Value::String(url)) = map.get_mut("url")
                    && let Some(rest) = url.strip_prefix(&format!("https://{prefix}"))
                    && (rest.starts_with('.') || rest.starts_with("-fips."))
                {
                    *url = format!("https://{{EndpointPrefix}}{rest}");
                }
                map.values_mut().for_each(|value| without_prefix(value, prefix));
            }
            Value::Array(items) => items.iter_mut().for_each(|value| without_prefix(value, prefix)),
            _ => {}
        }
    }
    let mut rules = read(path)?;
    without_prefix(&mut rules, prefix);
    Ok(rules.to_string())
}

/// A model as the pack has it: shapes are a list and are named by their place in it, members are lists, and only what
/// operations reach is kept.
fn trim(model: &Value) -> Result<Value> {
    let shapes = model["shapes"].as_object().context("the model has no shapes")?;
    let operations = model["operations"].as_object().context("the model has no operations")?;
    let mut reached = BTreeSet::new();
    let mut open: Vec<&str> = operations.values().flat_map(references_of_operation).collect();
    while let Some(name) = open.pop() {
        if reached.insert(name) {
            let shape = shapes.get(name).with_context(|| format!("the shape {name} is missing"))?;
            references(shape, &mut open);
        }
    }
    let numbers: BTreeMap<&str, usize> = reached.iter().enumerate().map(|(number, name)| (*name, number)).collect();
    let kept = reached.iter().map(|name| shape(name, &shapes[*name], &numbers)).collect::<Result<Vec<_>>>()?;
    let operations = operations.iter().map(|(name, operation)| {
        let mut kept = cleaned(operation);
        kept.insert("name".into(), name.as_str().into());
        for part in ["input", "output"] {
            if let Some(reference) = kept.get_mut(part) {
                numbered(reference, &numbers)?;
            }
        }
        for error in kept.get_mut("errors").and_then(Value::as_array_mut).into_iter().flatten() {
            *error = number(error, &numbers)?.into();
        }
        Ok(Value::Object(kept))
    });
    let operations = operations.collect::<Result<Vec<_>>>()?;
    let mut metadata: Map<String, Value> =
        METADATA.iter().filter_map(|key| Some(((*key).to_owned(), model["metadata"].get(*key)?.clone()))).collect();
    if let Some(spoken) = model["metadata"]["protocols"].as_array() {
        let preferred = PREFERRED.iter().find(|name| spoken.iter().any(|spoken| spoken == *name));
        metadata.insert("protocol".into(), (*preferred.context("no protocol of it is known")?).into());
    }
    Ok(json!({"metadata": metadata, "shapes": kept, "operations": operations}))
}

fn references_of_operation(operation: &Value) -> impl Iterator<Item = &str> {
    let ends = ["input", "output"].into_iter().filter_map(|end| operation[end]["shape"].as_str());
    ends.chain(operation["errors"].as_array().into_iter().flatten().filter_map(|error| error["shape"].as_str()))
}

fn references<'a>(shape: &'a Value, found: &mut Vec<&'a str>) {
    found.extend(["member", "key", "value"].into_iter().filter_map(|part| shape[part]["shape"].as_str()));
    found.extend(shape["members"].as_object().into_iter().flatten().filter_map(|(_, member)| member["shape"].as_str()));
}

fn shape(name: &str, shape: &Value, numbers: &BTreeMap<&str, usize>) -> Result<Value> {
    let mut kept = cleaned(shape);
    kept.insert("name".into(), name.into());
    for part in ["member", "key", "value"] {
        if let Some(reference) = kept.get_mut(part) {
            numbered(reference, numbers)?;
        }
    }
    if let Some(Value::Object(members)) = kept.remove("members") {
        let members = members.into_iter().map(|(name, member)| {
            let mut member = Value::Object(cleaned(&member));
            numbered(&mut member, numbers)?;
            member["name"] = name.into();
            Ok(member)
        });
        kept.insert("members".into(), members.collect::<Result<Vec<_>>>()?.into());
    }
    Ok(Value::Object(kept))
}

fn cleaned(value: &Value) -> Map<String, Value> {
    let mut kept = value.as_object().cloned().unwrap_or_default();
    kept.retain(|key, value| !DROPPED.contains(&key.as_str()) && (key != "members" || value.is_object()));
    kept
}

fn number(reference: &Value, numbers: &BTreeMap<&str, usize>) -> Result<usize> {
    let name = text(&reference["shape"]);
    numbers.get(name).copied().with_context(|| format!("the shape {name:?} is missing"))
}

fn numbered(reference: &mut Value, numbers: &BTreeMap<&str, usize>) -> Result<()> {
    reference["shape"] = number(reference, numbers)?.into();
    if let Value::Object(reference) = reference {
        reference.retain(|key, _| !DROPPED.contains(&key.as_str()));
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes the pack anew where the package is at hand already; fetching it is not a test's business.
    #[test]
    fn the_committed_pack_is_what_botocore_gives() {
        let data = target().join(format!("botocore-{BOTOCORE}/botocore/data"));
        if !data.join("partitions.json").is_file() {
            println!(
                "skipped: botocore {BOTOCORE} is not under {}; `cargo xtask codegen --services --check` fetches it",
                data.display()
            );
            return;
        }
        let made = pack(&data).expect("a pack");
        assert!(std::fs::read(path()).expect("the committed pack") == made, "run `cargo xtask codegen --services`");
    }

    #[test]
    fn a_model_is_trimmed_to_what_operations_reach() {
        let model = json!({
            "metadata": {"serviceId": "X", "protocol": "query", "protocols": ["query", "json"], "uid": "u"},
            "operations": {"Get": {
                "name": "Get2020", "http": {"method": "POST", "requestUri": "/"}, "documentation": "d",
                "input": {"shape": "In"}, "errors": [{"shape": "Bad"}],
            }},
            "shapes": {
                "In": {"type": "structure", "required": ["documentation"], "documentation": "d", "members": {
                    "documentation": {"shape": "Text", "documentation": "d", "location": "header"},
                }},
                "Text": {"type": "string", "min": 1, "box": true},
                "Bad": {"type": "structure", "members": {}, "exception": true},
                "Unused": {"type": "string"},
            },
        });
        let expected = json!({
            "metadata": {"serviceId": "X", "protocol": "json"},
            "shapes": [
                {"type": "structure", "exception": true, "name": "Bad", "members": []},
                {"type": "structure", "required": ["documentation"], "name": "In",
                 "members": [{"shape": 2, "location": "header", "name": "documentation"}]},
                {"type": "string", "min": 1, "name": "Text"},
            ],
            "operations": [{
                "name": "Get", "http": {"method": "POST", "requestUri": "/"}, "input": {"shape": 1}, "errors": [0],
            }],
        });
        assert_eq!(trim(&model).expect("a model"), expected);
    }
}
