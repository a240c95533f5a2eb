//! Everything but the structures: enumerations, error codes, operations, constraints and the tables of the model.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::{
    DEVIATIONS, Member, Model, PATTERNS, PROTOCOL_ERRORS, SHOWN_ORDER, constant, deviation_constant, head, is_true,
    snake, text, variant,
};

impl Model {
    pub(super) fn enums(&self) -> Result<String> {
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

    pub(super) fn errors(&self) -> Result<String> {
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

    pub(super) fn operation_file(&self) -> Result<String> {
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
    pub(super) fn rules(&self) -> Result<String> {
        let imports =
            "use crate::pattern;\nuse crate::rules::{FloatRule, IntegerRule, ListRule, Pattern, StringRule};\n";
        let mut out = head("The constraints of the model, one static per shape.", imports);
        for (name, shape) in &self.shapes {
            let rule = constant(name);
            self.rule(&rule, name, shape, false, &mut out)?;
        }
        for (structure, wire, constraint, _) in DEVIATIONS {
            if *constraint == "required" {
                continue;
            }
            ensure!(*constraint == "min", "only `required` and `min` can deviate");
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

    pub(super) fn reflection(&self) -> Result<String> {
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
    pub(super) fn round_trip(&self) -> Result<String> {
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
