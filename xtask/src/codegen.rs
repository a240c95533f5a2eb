//! `cargo xtask codegen`: the Rust of `crates/api/src/generated` from the service model in `crates/api/model`.
//!
//! The output depends on the model and this file alone, so `--check` can compare byte for byte. A model that
//! says something this generator does not know (a new kind of shape, a new pattern) is refused, never ignored.

use std::fmt::Write as _;
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
const DEVIATIONS: &[(&str, &str, &str, &str)] = &[(
    "ValidateStateMachineDefinitionInput",
    "definition",
    "min",
    "an empty definition is answered with a diagnostic (recorded)",
)];

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

/// Runs the verb with the arguments after `codegen`: `--check`, `--from DIR`.
pub(crate) fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    let mut check = false;
    let mut from = None;
    let mut arguments = std::env::args().skip_while(|argument| argument != "codegen").skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--check" => check = true,
            "--from" => from = Some(PathBuf::from(arguments.next().context("--from needs a folder")?)),
            other => bail!("codegen does not know {other:?}; it knows --check and --from DIR"),
        }
    }
    let model_path = root.join("crates/api/model/service-2.json");
    if let Some(from) = from {
        ensure!(!check, "--check compares with the committed model; it cannot be joined with --from");
        import(&from, &model_path)?;
    }
    let text = std::fs::read_to_string(&model_path).with_context(|| model_path.display().to_string())?;
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
    "//! Generated by `cargo xtask codegen` from `crates/api/model/service-2.json`; do not edit.\n//!\n";

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

    fn members<'a>(&'a self, structure: &str, shape: &'a Value) -> Result<Vec<Member<'a>>> {
        let required: Vec<&str> = shape["required"].as_array().into_iter().flatten().map(text).collect();
        let members = shape["members"].as_object().with_context(|| format!("{structure} has no members"))?;
        let mut list = Vec::new();
        for (wire, member) in members {
            let shape = text(&member["shape"]);
            list.push(Member {
                wire,
                shape,
                field: field(wire),
                required: required.contains(&wire.as_str()),
                boxed: false,
            });
        }
        let mut nested = Vec::new();
        for (index, member) in list.iter().enumerate() {
            if !member.required && self.kind(member.shape)? == "structure" {
                nested.push(index);
            }
        }
        if nested.len() > BOX_ABOVE {
            nested.into_iter().for_each(|index| list[index].boxed = true);
        }
        Ok(list)
    }

    fn structure(&self, name: &str, shape: &Value, out: &mut String) -> Result<()> {
        let members = self.members(name, shape)?;
        let mut hidden = false;
        for member in &members {
            hidden |= self.sensitive(member.shape)?;
        }
        hidden |= is_true(&shape["sensitive"]);
        let all_optional = members.iter().all(|member| !member.required);
        let debug = if hidden { "" } else { "Debug, " };
        let default = if all_optional { "Default, " } else { "" };
        writeln!(out, "/// {}", self.structure_doc(name))?;
        writeln!(out, "#[derive(Clone, {debug}{default}PartialEq, Serialize)]\npub struct {name} {{")?;
        for member in &members {
            writeln!(out, "/// {}", self.member_doc(name, member)?)?;
            let skip = if member.required { "" } else { ", skip_serializing_if = \"Option::is_none\"" };
            writeln!(out, "#[serde(rename = {:?}{skip})]", member.wire)?;
            let mut rust = self.rust_type(member.shape)?;
            if member.boxed {
                rust = format!("Box<{rust}>");
            }
            let rust = if member.required { rust } else { format!("Option<{rust}>") };
            writeln!(out, "pub {}: {rust},", member.field)?;
        }
        writeln!(out, "}}\n")?;
        self.constructor(name, &members, all_optional, out)?;
        if hidden {
            self.debug(name, shape, &members, out)?;
        }
        self.decode(name, &members, out)
    }

    /// `new` with the required members; the optional ones start absent.
    fn constructor(&self, name: &str, members: &[Member<'_>], all_optional: bool, out: &mut String) -> Result<()> {
        let required: Vec<&Member<'_>> = members.iter().filter(|member| member.required).collect();
        if all_optional || required.len() > MOST_ARGUMENTS {
            return Ok(());
        }
        let mut arguments = String::new();
        for member in &required {
            write!(arguments, "{}: {}, ", member.field, self.rust_type(member.shape)?)?;
        }
        let fields: String = members
            .iter()
            .map(
                |member| {
                    if member.required { format!("{}, ", member.field) } else { format!("{}: None, ", member.field) }
                },
            )
            .collect();
        writeln!(out, "impl {name} {{\n/// With the required members only.\n#[must_use]")?;
        writeln!(out, "pub fn new({arguments}) -> Self {{ Self {{ {fields} }} }}\n}}\n")?;
        Ok(())
    }

    fn debug(&self, name: &str, shape: &Value, members: &[Member<'_>], out: &mut String) -> Result<()> {
        writeln!(out, "impl fmt::Debug for {name} {{")?;
        writeln!(out, "fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {{")?;
        write!(out, "f.debug_struct({name:?})")?;
        for member in members {
            let (wire, field) = (member.field.trim_start_matches("r#"), &member.field);
            if !self.sensitive(member.shape)? && !is_true(&shape["sensitive"]) {
                write!(out, ".field({wire:?}, &self.{field})")?;
            } else if member.required {
                write!(out, ".field({wire:?}, &Redacted)")?;
            } else {
                write!(out, ".field({wire:?}, &self.{field}.as_ref().map(|_| Redacted))")?;
            }
        }
        writeln!(out, ".finish()\n}}\n}}\n")?;
        Ok(())
    }

    fn decode(&self, name: &str, members: &[Member<'_>], out: &mut String) -> Result<()> {
        writeln!(out, "impl Decode for {name} {{")?;
        writeln!(out, "fn decode(value: Value, at: &At<'_>, report: &mut Report) -> Decoded<Self> {{")?;
        if members.is_empty() {
            writeln!(out, "Members::open(value, at, report)?;\nOk(Some(Self {{}}))\n}}\n}}\n")?;
            return Ok(());
        }
        writeln!(out, "let mut members = Members::open(value, at, report)?;")?;
        for member in members {
            let rule = deviating_rule(name, member).unwrap_or_else(|| constant(member.shape));
            let decoder = if member.boxed { "Decode::decode".to_owned() } else { self.decoder(member.shape, &rule)? };
            let how = if member.required { "required" } else { "optional" };
            writeln!(out, "let {} = members.{how}({:?}, {decoder})?;", member.field, member.wire)?;
        }
        let required: Vec<&Member<'_>> = members.iter().filter(|member| member.required).collect();
        let names = |wrap: bool| -> String {
            let item = |member: &&Member<'_>| {
                if wrap { format!("Some({})", member.field) } else { member.field.clone() }
            };
            let list: Vec<String> = required.iter().map(item).collect();
            if list.len() == 1 { list.concat() } else { format!("({})", list.join(", ")) }
        };
        if !required.is_empty() {
            writeln!(out, "let {} = {} else {{ return Ok(None) }};", names(true), names(false))?;
        }
        let fields: String = members.iter().map(|member| format!("{}, ", member.field)).collect();
        writeln!(out, "Ok(Some(Self {{ {fields} }}))\n}}\n}}\n")?;
        Ok(())
    }

    fn structure_doc(&self, name: &str) -> String {
        for (operation, info) in &self.operations {
            if text(&info["input"]["shape"]) == name {
                return format!("The request of `{operation}`.");
            }
            if text(&info["output"]["shape"]) == name {
                return format!("The answer of `{operation}`.");
            }
        }
        format!("The structure `{name}` of the model.")
    }

    fn member_doc(&self, structure: &str, member: &Member<'_>) -> Result<String> {
        let shape = self.shape(member.shape)?;
        let mut parts = vec![format!("`{}`", member.wire)];
        if member.required {
            parts.push("required".to_owned());
        }
        let deviates = deviating_rule(structure, member).is_some();
        let min = shape["min"].as_i64().filter(|_| !deviates);
        let unit = match self.kind(member.shape)? {
            "string" => " characters",
            "list" => " items",
            _ => "",
        };
        match (min, shape["max"].as_i64()) {
            (Some(min), Some(max)) => parts.push(format!("{min} to {max}{unit}")),
            (Some(min), None) => parts.push(format!("at least {min}{unit}")),
            (None, Some(max)) => parts.push(format!("at most {max}{unit}")),
            (None, None) => {}
        }
        if let Some(pattern) = shape["pattern"].as_str() {
            parts.push(format!("`{pattern}`"));
        }
        if self.sensitive(member.shape)? {
            parts.push("sensitive".to_owned());
        }
        Ok(parts.join("; ") + ".")
    }

    fn enums(&self) -> Result<String> {
        let mut out = head("The enumerations of the model.", "use crate::wire::string_enum;\n");
        for (name, shape) in &self.shapes {
            let Some(values) = shape["enum"].as_array() else { continue };
            let values: Vec<&str> = values.iter().map(text).collect();
            let shown = SHOWN_ORDER.iter().find(|(shape, _)| shape == name);
            let shown = shown.map_or_else(|| values.join(", "), |(_, shown)| (*shown).to_owned());
            let (mut left, mut right) = (values.clone(), shown.split(", ").collect::<Vec<_>>());
            left.sort_unstable();
            right.sort_unstable();
            ensure!(left == right, "{name}: SHOWN_ORDER has other values than the model");
            writeln!(out, "string_enum! {{\n/// The values of `{name}`.\n{name} {{")?;
            for value in values {
                writeln!(out, "    {} = {value:?},", variant(value))?;
            }
            writeln!(out, "}} shown {shown:?}\n}}\n")?;
        }
        Ok(out)
    }

    fn errors(&self) -> Result<String> {
        let mut out = head("The closed list of error codes.", "use std::fmt;\n");
        let mut codes: Vec<(&str, u16, String)> = Vec::new();
        for (name, shape) in &self.shapes {
            if is_true(&shape["exception"]) {
                codes.push((name, 400, "An error of the service model.".to_owned()));
            }
        }
        codes.extend(PROTOCOL_ERRORS.iter().map(|(name, status, doc)| (*name, *status, (*doc).to_owned())));
        codes.sort();
        writeln!(out, "/// The code of an error answer: the `__type` of its body.")?;
        writeln!(out, "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum ErrorCode {{")?;
        for (name, _, doc) in &codes {
            writeln!(out, "/// {doc}\n{name},")?;
        }
        writeln!(out, "}}\n\nimpl ErrorCode {{\n/// Every code.\npub const ALL: &'static [Self] = &[")?;
        for (name, ..) in &codes {
            writeln!(out, "Self::{name},")?;
        }
        writeln!(
            out,
            "];\n\n/// The text on the wire.\n#[must_use]\npub const fn as_str(self) -> &'static str {{\nmatch self {{"
        )?;
        for (name, ..) in &codes {
            writeln!(out, "Self::{name} => {name:?},")?;
        }
        writeln!(
            out,
            "}}\n}}\n\n/// The HTTP status.\n#[must_use]\npub const fn status(self) -> u16 {{\nmatch self {{"
        )?;
        for (name, status, _) in codes.iter().filter(|(_, status, _)| *status != 400) {
            writeln!(out, "Self::{name} => {status},")?;
        }
        writeln!(out, "_ => 400,\n}}\n}}\n}}\n\nimpl fmt::Display for ErrorCode {{")?;
        writeln!(
            out,
            "fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {{\nf.write_str(self.as_str())\n}}\n}}"
        )?;
        Ok(out)
    }

    fn operation_file(&self) -> Result<String> {
        let imports = "use std::future::{Future, ready};\n\nuse crate::dispatch::{RequestContext, Response, operation_of};\n\
             use crate::error::ApiError;\nuse crate::types::*;\nuse crate::wire;\n";
        let mut out = head("The operations: their names, the trait that serves them, and the way to it.", imports);
        writeln!(out, "/// An operation of the API.")?;
        writeln!(out, "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum Operation {{")?;
        for name in self.operations.keys() {
            writeln!(out, "/// `{name}`.\n{name},")?;
        }
        writeln!(out, "}}\n\nimpl Operation {{\n/// Every operation.\npub const ALL: &'static [Self] = &[")?;
        for name in self.operations.keys() {
            writeln!(out, "Self::{name},")?;
        }
        writeln!(out, "];\n\n/// The name, as in `X-Amz-Target` after the point.\n#[must_use]")?;
        writeln!(out, "pub const fn name(self) -> &'static str {{\nmatch self {{")?;
        for name in self.operations.keys() {
            writeln!(out, "Self::{name} => {name:?},")?;
        }
        writeln!(out, "}}\n}}\n\n/// The operation of this name.\n#[must_use]")?;
        writeln!(out, "pub fn parse(name: &str) -> Option<Self> {{\nmatch name {{")?;
        for name in self.operations.keys() {
            writeln!(out, "{name:?} => Some(Self::{name}),")?;
        }
        writeln!(out, "_ => None,\n}}\n}}\n}}\n")?;
        writeln!(out, "/// What serves the operations. A method that is not implemented answers a clear 400.")?;
        writeln!(
            out,
            "///\n/// Inputs have passed the model's constraints; ARNs, names and everything else are the method's."
        )?;
        writeln!(out, "pub trait Operations: Send + Sync {{")?;
        for (name, info) in &self.operations {
            let (method, input, output) = (snake(name), text(&info["input"]["shape"]), text(&info["output"]["shape"]));
            writeln!(out, "/// Serves `{name}`.\nfn {method}(&self, context: &RequestContext, input: {input}) ")?;
            writeln!(out, "-> impl Future<Output = Result<{output}, ApiError>> + Send {{")?;
            writeln!(out, "let _ = (context, input);\nready(Err(ApiError::not_served(Operation::{name})))\n}}\n")?;
        }
        writeln!(out, "}}\n")?;
        writeln!(out, "/// Decodes and checks a request, has it served, and writes the answer.\n///")?;
        writeln!(out, "/// `target` is the header `X-Amz-Target`; the host name plays no part.")?;
        writeln!(
            out,
            "pub async fn dispatch<O: Operations>(operations: &O, context: &RequestContext, target: &str, body: &[u8]) -> Response {{"
        )?;
        writeln!(
            out,
            "let operation = match operation_of(target) {{\nOk(operation) => operation,\nErr(error) => return Response::error(&error),\n}};"
        )?;
        writeln!(out, "match operation {{")?;
        for (name, info) in &self.operations {
            let (method, output) = (snake(name), text(&info["output"]["shape"]));
            writeln!(
                out,
                "Operation::{name} => {{\nlet result: Result<{output}, ApiError> = match wire::from_body(body) {{"
            )?;
            writeln!(out, "Ok(input) => operations.{method}(context, input).await,\nErr(error) => Err(error),\n}};")?;
            writeln!(out, "Response::of(operation, &result)\n}}")?;
        }
        writeln!(out, "}}\n}}")?;
        Ok(out)
    }

    /// One static per scalar and list shape.
    fn rules(&self) -> Result<String> {
        let imports =
            "use crate::pattern;\nuse crate::rules::{FloatRule, IntegerRule, ListRule, Pattern, StringRule};\n";
        let mut out = head("The constraints of the model, one static per shape.", imports);
        for (name, shape) in &self.shapes {
            let rule = constant(name);
            self.rule(&rule, name, shape, false, &mut out)?;
        }
        for (structure, wire, constraint, _) in DEVIATIONS {
            ensure!(*constraint == "min", "only `min` can deviate");
            let shape = text(&self.shape(structure)?["members"][wire]["shape"]).to_owned();
            let rule = deviation_constant(structure, wire);
            self.rule(&rule, &shape, self.shape(&shape)?, true, &mut out)?;
        }
        Ok(out)
    }

    fn rule(&self, rule: &str, name: &str, shape: &Value, without_min: bool, out: &mut String) -> Result<()> {
        let bound = |key: &str| match shape[key].as_i64() {
            Some(bound) if !(without_min && key == "min") => format!("Some({bound})"),
            _ => "None".to_owned(),
        };
        let (min, max) = (bound("min"), bound("max"));
        let sensitive = is_true(&shape["sensitive"]);
        let (rust, rest) = match self.kind(name)? {
            "string" => {
                let pattern = match shape["pattern"].as_str() {
                    None => "None".to_owned(),
                    Some(pattern) => {
                        let known = PATTERNS.iter().find(|(text, _)| *text == pattern);
                        let (_, function) = known.with_context(|| {
                            format!("{name}: no function in pattern.rs decides {pattern:?}; write one and list it in PATTERNS")
                        })?;
                        format!("Some(Pattern {{ text: {pattern:?}, matches: pattern::{function} }})")
                    }
                };
                ("StringRule", format!("pattern: {pattern}, sensitive: {sensitive}"))
            }
            "integer" | "long" => ("IntegerRule", format!("sensitive: {sensitive}")),
            "float" => ("FloatRule", format!("sensitive: {sensitive}")),
            "list" => ("ListRule", String::new()),
            "enum" | "structure" | "boolean" | "timestamp" | "map" => {
                ensure!(min == "None" && max == "None", "{name}: a bound on this kind of shape is new");
                return Ok(());
            }
            other => bail!("{name}: unknown kind of shape {other}"),
        };
        writeln!(
            out,
            "pub(crate) static {rule}: {rust} = {rust} {{ shape: {name:?}, min: {min}, max: {max}, {rest} }};"
        )?;
        Ok(())
    }

    fn reflection(&self) -> Result<String> {
        let imports = "use crate::error::ErrorCode;\nuse crate::generated::operations::Operation;\nuse crate::generated::rules;\n\
             use crate::reflect::{Deviation, MemberInfo, OperationInfo, ShapeInfo, ShapeKind};\n";
        let mut out = head("The model as data.", imports);
        writeln!(out, "/// Every shape of the model.\npub static SHAPES: &[ShapeInfo] = &[")?;
        for (name, shape) in &self.shapes {
            let (rule, sensitive) = (constant(name), is_true(&shape["sensitive"]));
            let kind = match self.kind(name)? {
                "structure" => {
                    let exception = is_true(&shape["exception"]);
                    let list: String = self
                        .members(name, shape)?
                        .iter()
                        .map(|member| {
                            let Member { wire, shape, required, .. } = member;
                            format!("MemberInfo {{ name: {wire:?}, shape: {shape:?}, required: {required} }}, ")
                        })
                        .collect();
                    format!("Structure {{ members: &[{list}], exception: {exception}, sensitive: {sensitive} }}")
                }
                "list" => {
                    format!("List {{ member: {:?}, rule: &rules::{rule} }}", text(&shape["member"]["shape"]))
                }
                "map" => {
                    let (key, value) = (text(&shape["key"]["shape"]), text(&shape["value"]["shape"]));
                    format!("Map {{ key: {key:?}, value: {value:?}, sensitive: {sensitive} }}")
                }
                "enum" => {
                    format!("Enum(&{:?})", shape["enum"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>())
                }
                "string" => format!("String(&rules::{rule})"),
                "integer" => format!("Integer(&rules::{rule})"),
                "long" => format!("Long(&rules::{rule})"),
                "float" => format!("Float(&rules::{rule})"),
                "boolean" => "Boolean".to_owned(),
                "timestamp" => "Timestamp".to_owned(),
                other => bail!("{name}: unknown kind of shape {other}"),
            };
            writeln!(out, "ShapeInfo {{ name: {name:?}, kind: ShapeKind::{kind} }},")?;
        }
        writeln!(out, "];\n\n/// Every operation of the model.\npub static OPERATIONS: &[OperationInfo] = &[")?;
        for (name, info) in &self.operations {
            let errors = info["errors"].as_array().into_iter().flatten();
            let errors: String = errors.map(|error| format!("ErrorCode::{}, ", text(&error["shape"]))).collect();
            let (input, output) = (text(&info["input"]["shape"]), text(&info["output"]["shape"]));
            let idempotent = is_true(&info["idempotent"]);
            writeln!(
                out,
                "OperationInfo {{ operation: Operation::{name}, input: {input:?}, output: {output:?}, errors: &[{errors}], idempotent: {idempotent} }},"
            )?;
        }
        writeln!(
            out,
            "];\n\n/// Where the service differs from its own model.\npub static DEVIATIONS: &[Deviation] = &["
        )?;
        for (structure, member, constraint, reason) in DEVIATIONS {
            writeln!(
                out,
                "Deviation {{ structure: {structure:?}, member: {member:?}, constraint: {constraint:?}, reason: {reason:?} }},"
            )?;
        }
        writeln!(out, "];")?;
        Ok(out)
    }

    /// For the tests: a structure by the name of its shape, decoded and written again.
    fn round_trip(&self) -> Result<String> {
        let imports = "use serde::Serialize;\nuse serde_json::Value;\n\nuse crate::error::ApiError;\nuse crate::types::*;\nuse crate::wire::{self, Decode};\n";
        let mut out = head("Every structure by name, for the tests: decoded, shown and written again.", imports);
        writeln!(
            out,
            "use std::fmt::Debug;\n\n/// The `Debug` text and the JSON of a structure read from `value`; `None` if there is no such structure."
        )?;
        writeln!(
            out,
            "pub(crate) fn round_trip(shape: &str, value: Value) -> Option<Result<(String, Value), ApiError>> {{"
        )?;
        writeln!(out, "Some(match shape {{")?;
        for (name, shape) in &self.shapes {
            if text(&shape["type"]) == "structure" && !is_true(&shape["exception"]) {
                writeln!(out, "{name:?} => one::<{name}>(value),")?;
            }
        }
        writeln!(out, "_ => return None,\n}})\n}}\n")?;
        writeln!(out, "fn one<T: Decode + Serialize + Debug>(value: Value) -> Result<(String, Value), ApiError> {{")?;
        writeln!(out, "let structure: T = wire::from_value(value)?;")?;
        writeln!(
            out,
            "Ok((format!(\"{{structure:?}}\"), serde_json::to_value(&structure).expect(\"wire types become JSON\")))\n}}"
        )?;
        Ok(out)
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

fn deviating_rule(structure: &str, member: &Member<'_>) -> Option<String> {
    let deviates = |(name, wire, ..): &&(&str, &str, &str, &str)| *name == structure && *wire == member.wire;
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
