//! `cargo xtask codegen`: the Rust of `crates/api/src/generated` from the service model in `crates/api/model`.
//!
//! The output depends on the model and this file alone, so `--check` can compare byte for byte. A model that
//! says something this generator does not know (a new kind of shape, a new pattern) is refused, never ignored.

mod services;
mod structures;
mod tables;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Map, Value};

/// Patterns of the model and the function of `pattern.rs` that decides each.
const PATTERNS: &[(&str, &str)] = &[
    (r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$", "alias_name"),
    ("[!-~]+", "printable_ascii"),
    (r"\p{ASCII}*", "ascii"),
];

/// Enumerations that AWS lists in another order than the model's in a constraint message (recorded).
const SHOWN_ORDER: &[(&str, &str)] =
    &[("ExecutionStatus", "SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING")];

/// Constraints that the service does not apply: structure, member, constraint, what happens instead.
const DEVIATIONS: &[(&str, &str, &str, &str)] = &[
    (
        "TaskScheduledEventDetails",
        "parameters",
        "required",
        "left out like every input and output when includeExecutionData is false",
    ),
    (
        "ValidateStateMachineDefinitionInput",
        "definition",
        "min",
        "an empty definition is answered with a diagnostic (recorded)",
    ),
];

/// Errors of the protocol, which no model lists: code, status, when.
const PROTOCOL_ERRORS: &[(&str, u16, &str)] = &[
    ("AccessDeniedException", 400, "The caller may not do this."),
    ("ExpiredTokenException", 400, "The caller's temporary credentials have ended."),
    ("IncompleteSignatureException", 400, "The `Authorization` header lacks a part."),
    ("InternalServerError", 500, "A fault of the server."),
    ("InvalidSignatureException", 400, "The signature does not fit the request."),
    ("MissingAuthenticationTokenException", 400, "The request is not signed."),
    ("SerializationException", 400, "The body is not JSON of the right types."),
    ("ServiceUnavailable", 503, "The server cannot take the request now; try again."),
    ("ThrottlingException", 400, "Too many requests."),
    ("UnknownOperationException", 400, "The target names no operation."),
    ("UnrecognizedClientException", 400, "The access key is unknown."),
    ("UnsupportedOperationException", 400, "The operation is not served by this version."),
];

/// Structures with more structure members than this keep them in boxes (`HistoryEvent` would be kilobytes else).
const BOX_ABOVE: usize = 8;

/// Members beyond this number get no `new` (clippy's limit for arguments).
const MOST_ARGUMENTS: usize = 7;

/// Runs the verb with the arguments after `codegen`: `--check`, `--from DIR`, `--services`.
pub(crate) fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let mut check = false;
    let mut from = None;
    let mut services = false;
    let mut arguments = std::env::args().skip_while(|argument| argument != "codegen").skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--services" => services = true,
            "--from" => from = Some(PathBuf::from(arguments.next().context("--from needs a folder")?)),
            other => bail!("codegen does not know {other:?}; it knows --check, --from DIR and --services"),
        }
    }
    if services {
        return services::run(check);
    }
    let model_path = root.join("crates/api/model/service-2.json");
    if let Some(from) = from {
        ensure!(!check, "--check compares with the committed model; it cannot be joined with --from");
        import(&from, &model_path)?;
    }
    generate(root, &model_path, check)
}

/// Writes the generated files, or with `check` only fails if one of them would change.
fn generate(root: &Path, model_path: &Path, check: bool) -> Result<()> {
    let text = std::fs::read_to_string(model_path).with_context(|| model_path.display().to_string())?;
    let model = Model::new(serde_json::from_str(&text).context("the model is JSON")?)?;
    let folder = root.join("crates/api/src/generated");
    let mut stale = Vec::new();
    for (name, source) in model.files()? {
        let path = folder.join(name);
        let wanted = format(root, &source).with_context(|| format!("formatting {name}"))?;
        if std::fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
            continue;
        }
        if check {
            stale.push(name);
        } else {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&path, wanted).with_context(|| path.display().to_string())?;
            println!("wrote {}", path.display());
        }
    }
    let known: Vec<&str> = model.files()?.into_iter().map(|(name, _)| name).collect();
    for entry in std::fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(known.contains(&name.as_str()), "{}/{name} is not generated: remove it", folder.display());
    }
    ensure!(stale.is_empty(), "out of date: {}; run `cargo xtask codegen`", stale.join(", "));
    Ok(())
}

/// Copies `service-2.json` or `service-2.json.gz` of a botocore data folder, without its documentation.
fn import(from: &Path, to: &Path) -> Result<()> {
    let plain = from.join("service-2.json");
    let bytes = if plain.exists() {
        std::fs::read(&plain)?
    } else {
        let packed = from.join("service-2.json.gz");
        let output = Command::new("gzip").arg("-dc").arg(&packed).output().context("running gzip")?;
        ensure!(output.status.success(), "{}: {}", packed.display(), String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let mut model: Value = serde_json::from_slice(&bytes).context("the service model is JSON")?;
    strip(&mut model);
    std::fs::write(to, serde_json::to_string_pretty(&model)? + "\n")?;
    println!("wrote {}", to.display());
    Ok(())
}

/// Drops documentation: a `documentation` that is a string. A member of that name would be an object and stays.
fn strip(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, value| key != "documentation" || !value.is_string());
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

fn format(root: &Path, source: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("running rustfmt")?;
    child.stdin.take().context("rustfmt reads stdin")?.write_all(source.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "rustfmt refused the generated source");
    Ok(String::from_utf8(output.stdout)?)
}

const HEADER: &str =
    "//! @generated by `cargo xtask codegen` from `crates/api/model/service-2.json`; do not edit.\n//!\n";

struct Model {
    shapes: Map<String, Value>,
    operations: Map<String, Value>,
}

impl Model {
    fn new(mut model: Value) -> Result<Self> {
        let mut take = |key: &str| match model[key].take() {
            Value::Object(map) => Ok(map),
            _ => bail!("the model has no {key}"),
        };
        Ok(Self { shapes: take("shapes")?, operations: take("operations")? })
    }

    fn files(&self) -> Result<Vec<(&'static str, String)>> {
        let operations = || self.operations.values();
        let inputs: Vec<&str> = operations().map(|operation| text(&operation["input"]["shape"])).collect();
        let outputs: Vec<&str> = operations().map(|operation| text(&operation["output"]["shape"])).collect();
        let mut requests = head("The requests of the operations.", STRUCTURE_IMPORTS);
        let mut responses = head("The answers of the operations.", STRUCTURE_IMPORTS);
        let mut history = head("History events and their details.", STRUCTURE_IMPORTS);
        let mut shared = head("The structures inside requests and answers.", STRUCTURE_IMPORTS);
        for (name, shape) in &self.shapes {
            if text(&shape["type"]) != "structure" || is_true(&shape["exception"]) {
                continue;
            }
            let file = if inputs.contains(&name.as_str()) {
                &mut requests
            } else if outputs.contains(&name.as_str()) {
                &mut responses
            } else if name.ends_with("EventDetails") || name.starts_with("HistoryEvent") {
                &mut history
            } else {
                &mut shared
            };
            self.structure(name, shape, file)?;
        }
        for file in [&mut requests, &mut responses, &mut history, &mut shared] {
            drop_unused_imports(file);
        }
        Ok(vec![
            ("mod.rs", module_list()),
            ("enums.rs", self.enums()?),
            ("errors.rs", self.errors()?),
            ("history.rs", history),
            ("operations.rs", self.operation_file()?),
            ("reflection.rs", self.reflection()?),
            ("requests.rs", requests),
            ("responses.rs", responses),
            ("rules.rs", self.rules()?),
            ("round_trip.rs", self.round_trip()?),
            ("shared.rs", shared),
        ])
    }

    fn shape(&self, name: &str) -> Result<&Value> {
        self.shapes.get(name).with_context(|| format!("shape {name} is missing"))
    }

    fn kind(&self, name: &str) -> Result<&str> {
        let shape = self.shape(name)?;
        Ok(if shape["enum"].is_array() { "enum" } else { text(&shape["type"]) })
    }

    /// Whether a value of this shape may not be shown, because of itself or of what it holds as a collection.
    fn sensitive(&self, name: &str) -> Result<bool> {
        let shape = self.shape(name)?;
        let inner = match self.kind(name)? {
            "list" => self.sensitive(text(&shape["member"]["shape"]))?,
            "map" => self.sensitive(text(&shape["value"]["shape"]))?,
            _ => false,
        };
        Ok(inner || is_true(&shape["sensitive"]))
    }

    /// The Rust type of a shape.
    fn rust_type(&self, name: &str) -> Result<String> {
        let shape = self.shape(name)?;
        Ok(match self.kind(name)? {
            "enum" | "structure" => name.to_owned(),
            "string" => "String".to_owned(),
            "integer" => "i32".to_owned(),
            "long" => "i64".to_owned(),
            "float" => "f64".to_owned(),
            "boolean" => "bool".to_owned(),
            "timestamp" => "Timestamp".to_owned(),
            "list" => format!("Vec<{}>", self.rust_type(text(&shape["member"]["shape"]))?),
            "map" => format!("BTreeMap<String, {}>", self.rust_type(text(&shape["value"]["shape"]))?),
            other => bail!("{name}: unknown kind of shape {other}"),
        })
    }

    /// A closure or path that decodes a value of this shape.
    fn decoder(&self, name: &str, rule: &str) -> Result<String> {
        let shape = self.shape(name)?;
        Ok(match self.kind(name)? {
            "enum" | "structure" => format!("{name}::decode"),
            "timestamp" => "Timestamp::decode".to_owned(),
            "string" | "float" => format!("|value, at, report| rules::{rule}.decode(value, at, report)"),
            "integer" => format!("|value, at, report| rules::{rule}.integer(value, at, report)"),
            "long" => format!("|value, at, report| rules::{rule}.long(value, at, report)"),
            "boolean" => "wire::boolean".to_owned(),
            "list" => {
                let member = text(&shape["member"]["shape"]);
                let item = self.decoder(member, &constant(member))?;
                format!("|value, at, report| wire::list(value, at, report, &rules::{rule}, {item})")
            }
            "map" => {
                let (key, item) = (text(&shape["key"]["shape"]), text(&shape["value"]["shape"]));
                let key = self.decoder(key, &constant(key))?;
                let item = self.decoder(item, &constant(item))?;
                format!("|value, at, report| wire::map(value, at, report, {key}, {item})")
            }
            other => bail!("{name}: unknown kind of shape {other}"),
        })
    }
}

struct Member<'a> {
    wire: &'a str,
    shape: &'a str,
    field: String,
    required: bool,
    boxed: bool,
}

const STRUCTURE_IMPORTS: &str = "use std::collections::BTreeMap;\nuse std::fmt;\n\nuse serde::Serialize;\nuse serde_json::Value;\n\n\
     use crate::generated::Redacted;\nuse crate::generated::rules;\nuse crate::timestamp::Timestamp;\nuse crate::types::*;\n\
     use crate::wire::{self, At, Decode, Decoded, Members, Report};\n";

fn head(about: &str, imports: &str) -> String {
    let module = about.trim_end_matches('.');
    format!("//! {module}.\n//!\n{HEADER}\n{imports}\n").replace("//!\n\n", "\n")
}

/// Removes the imports of [`STRUCTURE_IMPORTS`] that a file does not need.
fn drop_unused_imports(file: &mut String) {
    for (import, sign) in [
        ("use std::collections::BTreeMap;\n", "BTreeMap<"),
        ("use std::fmt;\n", "fmt::Debug"),
        ("use crate::generated::Redacted;\n", "Redacted)"),
        ("use crate::generated::rules;\n", "rules::"),
        ("use crate::timestamp::Timestamp;\n", "Timestamp::"),
    ] {
        let used = file.match_indices(sign).any(|(at, _)| !file[..at].ends_with("use crate::generated::"));
        if !used {
            *file = file.replacen(import, "", 1);
        }
    }
    if !file.contains("wire::list(") && !file.contains("wire::map(") && !file.contains("wire::boolean") {
        *file = file.replacen("wire::{self, ", "wire::{", 1);
    }
}

fn module_list() -> String {
    let mut out = head("The code that follows from the service model.", "use std::fmt;\n");
    for module in ["enums", "errors", "history", "operations", "reflection", "requests", "responses"] {
        out += &format!("pub(crate) mod {module};\n");
    }
    out += "#[cfg(test)]\npub(crate) mod round_trip;\npub(crate) mod rules;\npub(crate) mod shared;\n\n\
        /// Stands in `Debug` for a value that the model marks as sensitive.\nstruct Redacted;\n\n\
        impl fmt::Debug for Redacted {\nfn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {\nf.write_str(\"…\")\n}\n}\n";
    out
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn is_true(value: &Value) -> bool {
    value == &Value::Bool(true)
}

/// `kmsKeyId` → `kms_key_id`, `billedMemoryUsedInMB` → `billed_memory_used_in_mb`.
fn snake(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (index, letter) in letters.iter().enumerate() {
        let after_lower = index > 0 && !letters[index - 1].is_uppercase();
        let before_lower = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && index > 0 && (after_lower || before_lower) {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

fn field(name: &str) -> String {
    let name = snake(name);
    if name == "type" { "r#type".to_owned() } else { name }
}

fn constant(shape: &str) -> String {
    snake(shape).to_uppercase()
}

fn deviation_constant(structure: &str, member: &str) -> String {
    format!("{}_{}", constant(structure), constant(member))
}

/// Whether the service leaves out a member that the model requires.
fn may_be_absent(structure: &str, member: &str) -> bool {
    let deviates = |(name, wire, constraint, _): &(&str, &str, &str, &str)| {
        (*name, *wire, *constraint) == (structure, member, "required")
    };
    DEVIATIONS.iter().any(deviates)
}

fn deviating_rule(structure: &str, member: &Member<'_>) -> Option<String> {
    let deviates = |(name, wire, constraint, _): &&(&str, &str, &str, &str)| {
        *name == structure && *wire == member.wire && *constraint == "min"
    };
    DEVIATIONS.iter().find(deviates).map(|(name, wire, ..)| deviation_constant(name, wire))
}

/// `TIMED_OUT` → `TimedOut`; what is in camel case already stays.
fn variant(value: &str) -> String {
    if value.chars().any(|letter| letter.is_ascii_lowercase()) {
        return value.to_owned();
    }
    let word = |word: &str| {
        word.chars().take(1).collect::<String>() + &word.chars().skip(1).collect::<String>().to_lowercase()
    };
    value.split('_').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_code_is_what_the_model_gives() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
        generate(root, &root.join("crates/api/model/service-2.json"), true).expect("up to date");
    }

    #[test]
    fn names_become_rust() {
        for (wire, rust) in [
            ("kmsKeyId", "kms_key_id"),
            ("billedMemoryUsedInMB", "billed_memory_used_in_mb"),
            ("CreateStateMachine", "create_state_machine"),
            ("HTTPBody", "http_body"),
            ("type", "r#type"),
        ] {
            assert_eq!(field(wire), rust);
        }
        for (wire, rust) in [("TIMED_OUT", "TimedOut"), ("ALL", "All"), ("MapRunStarted", "MapRunStarted")] {
            assert_eq!(variant(wire), rust);
        }
    }

    #[test]
    fn documentation_goes_and_a_member_of_that_name_stays() {
        let mut model = serde_json::json!({
            "documentation": "text", "members": { "documentation": { "shape": "S", "documentation": "text" } }
        });
        strip(&mut model);
        assert_eq!(model, serde_json::json!({ "members": { "documentation": { "shape": "S" } } }));
    }

    #[test]
    fn a_pattern_without_a_function_is_refused() {
        let model = serde_json::json!({ "operations": {}, "shapes": { "S": { "type": "string", "pattern": "x+" } } });
        let error = Model::new(model).and_then(|model| model.rules()).expect_err("an unknown pattern");
        assert!(error.to_string().contains("no function in pattern.rs decides \"x+\""), "{error}");
    }
}
