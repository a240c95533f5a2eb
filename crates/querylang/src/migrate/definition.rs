//! Whole definitions: each JSONPath state becomes a JSONata state with the same
//! transitions, retriers and resources.
//!
//! The fields that filter and join data (`InputPath`, `Parameters`,
//! `ResultSelector`, `ResultPath`, `OutputPath`) are read in the order in which
//! they act, and become `Arguments` and `Output`. A state that already speaks
//! JSONata is left as it is.

use super::{Migrated, Refusal, Root, Text, Writer, braced, choice, literal, plain};
use crate::{Expression, ReferencePath};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

const RAW: &str = "$states.input";
const RESULT: &str = "$states.result";

const ALREADY: &str = "the definition speaks JSONata already";

/// Errors of the data flow that only JSONPath has, and what it is in JSONata.
const JSONPATH_ERRORS: [&str; 3] =
    ["States.IntrinsicFailure", "States.ParameterPathFailure", "States.ResultPathMatchFailure"];
const JSONATA_ERROR: &str = "States.QueryEvaluationError";

/// A part of a definition that has no equal, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {refusal}")]
pub struct Located {
    /// `/States/Check/Choices[0]`
    pub location: String,
    /// What it is, and why.
    pub refusal: Refusal,
}

/// Rewrites a definition: a JSON object with `States`.
///
/// ```
/// use serde_json::json;
/// use stepwright_querylang::migrate;
/// let definition = json!({"StartAt": "A", "States": {"A": {
///     "Type": "Pass", "Parameters": {"id.$": "$.order"}, "ResultPath": "$.seen", "End": true,
/// }}});
/// let migrated = migrate::definition(&definition).unwrap();
/// assert_eq!(
///     migrated.value["States"]["A"],
///     json!({"Type": "Pass", "End": true,
///            "Output": "{% $merge([$states.input, {\"seen\": {\"id\": $states.input.order}}]) %}"}),
/// );
/// ```
///
/// # Errors
/// Everything in it that has no equal, with its place.
pub fn definition(definition: &Value) -> Result<Migrated<Value>, Vec<Located>> {
    let mut assigned = BTreeSet::new();
    variables(definition, &mut assigned);
    let mut work = Work { writer: Writer::new(Root(RAW)), refusals: Vec::new(), assigned, branches: 0 };
    let jsonpath = definition.get("QueryLanguage").is_none_or(|language| language == "JSONPath");
    if !jsonpath {
        work.writer.note(ALREADY);
    }
    let mut value = work.machine(definition, "", jsonpath);
    if let Some(members) = value.as_object_mut() {
        members.shift_remove("QueryLanguage");
        members.shift_insert(0, "QueryLanguage".to_owned(), json!("JSONata"));
    }
    if work.refusals.is_empty() { Ok(Migrated { value, notes: work.writer.notes }) } else { Err(work.refusals) }
}

/// In a Retry or Catch, errors that only JSONPath has become what the same mistake is in JSONata.
fn error_names(handler: &mut Value) {
    let Some(names) = handler.get_mut("ErrorEquals").and_then(Value::as_array_mut) else { return };
    for name in names.iter_mut().filter(|name| name.as_str().is_some_and(|name| JSONPATH_ERRORS.contains(&name))) {
        *name = json!(JSONATA_ERROR);
    }
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.to_string()));
}

/// The names of the variables that the states of a machine, and of the machines in them, assign.
fn variables(machine: &Value, names: &mut BTreeSet<String>) {
    let states = machine.get("States").and_then(Value::as_object);
    for state in states.into_iter().flat_map(Map::values) {
        let list = |field| state.get(field).and_then(Value::as_array).into_iter().flatten();
        for holder in list("Choices").chain(list("Catch")).chain([state]) {
            let assign = holder.get("Assign").and_then(Value::as_object);
            names.extend(assign.into_iter().flat_map(Map::keys).map(|key| {
                let name = key.strip_suffix(".$").unwrap_or(key);
                name.to_owned()
            }));
        }
        let processors = ["ItemProcessor", "Iterator"].into_iter().filter_map(|field| state.get(field));
        processors.chain(list("Branches")).for_each(|inner| variables(inner, names));
    }
}

/// Of the functions that expressions call, those that a variable of the same name hides.
fn hidden<'n>(value: &Value, names: &'n BTreeSet<String>, found: &mut BTreeSet<&'n str>) {
    match value {
        Value::String(text) if text.starts_with("{%") => {
            let called = |name: &&String| text.contains(&format!("${name}("));
            found.extend(names.iter().filter(called).map(String::as_str));
        }
        Value::Array(elements) => elements.iter().for_each(|element| hidden(element, names, found)),
        Value::Object(members) => {
            // Their states are looked at on their own.
            let own = members.iter().filter(|(name, _)| !matches!(name.as_str(), "ItemProcessor" | "Branches"));
            own.for_each(|(_, member)| hidden(member, names, found));
        }
        _ => {}
    }
}

/// A payload on its way through a state.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    /// An expression.
    Text(Text),
    /// A JSON value that holds expressions, and the same as one expression.
    Json(Value, String),
}

impl Payload {
    fn raw() -> Self {
        Self::Text(Text::atom(RAW))
    }

    fn is_raw(&self) -> bool {
        matches!(self, Self::Text(text) if text.text == RAW)
    }

    /// As one expression that something may follow.
    fn expression(&self) -> String {
        match self {
            Self::Text(text) => text.clone().operand(),
            Self::Json(_, text) => format!("({text})"),
        }
    }

    fn inside(&self) -> String {
        match self {
            Self::Text(text) => text.text.clone(),
            Self::Json(_, text) => text.clone(),
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Json(value, _) => value,
        }
    }
}

pub(super) struct Work<'r> {
    writer: Writer<'r>,
    refusals: Vec<Located>,
    /// The variables that are assigned anywhere.
    assigned: BTreeSet<String>,
    /// How many branches the state has: so many results has a Parallel state.
    branches: usize,
}

type State = Map<String, Value>;

impl Work<'_> {
    fn refuse(&mut self, location: &str, text: impl Into<String>, reason: impl Into<String>) {
        let refusal = Refusal { text: text.into(), reason: reason.into() };
        self.refusals.push(Located { location: location.to_owned(), refusal });
    }

    /// A machine, a branch or an item processor.
    fn machine(&mut self, machine: &Value, location: &str, jsonpath: bool) -> Value {
        let mut machine = machine.clone();
        let states = machine.get_mut("States").and_then(Value::as_object_mut);
        for (name, state) in states.into_iter().flatten() {
            let location = format!("{location}/States/{name}");
            let speaks = state.get("QueryLanguage").map_or(jsonpath, |language| language == "JSONPath");
            let Some(mut members) = state.as_object().cloned() else { continue };
            members.shift_remove("QueryLanguage");
            self.inner_machines(&mut members, &location, jsonpath);
            if speaks {
                members = self.state(members, &location);
                let mut found = BTreeSet::new();
                hidden(&Value::Object(members.clone()), &self.assigned, &mut found);
                let found: Vec<String> = found.into_iter().map(|name| format!("${name}")).collect();
                for name in found {
                    self.refuse(
                        &location,
                        name,
                        "the variable hides the function of its name, which is needed here; rename it",
                    );
                }
            }
            *state = Value::Object(members);
        }
        machine
    }

    fn inner_machines(&mut self, state: &mut State, location: &str, jsonpath: bool) {
        for field in ["ItemProcessor", "Iterator"] {
            if let Some(machine) = state.shift_remove(field) {
                let machine = self.machine(&machine, &format!("{location}/{field}"), jsonpath);
                // The old name is one of JSONPath's times.
                state.insert("ItemProcessor".to_owned(), machine);
            }
        }
        for (at, branch) in state.get_mut("Branches").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
            *branch = self.machine(branch, &format!("{location}/Branches[{at}]"), jsonpath);
        }
    }

    fn state(&mut self, mut state: State, location: &str) -> State {
        let kind = state.get("Type").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.branches = state.get("Branches").and_then(Value::as_array).map_or(0, Vec::len);
        if kind == "Fail" {
            for field in ["Error", "Cause"] {
                if let Some(fixed) = state.get_mut(field) {
                    *fixed = plain(fixed);
                }
            }
        }
        let effective = match state.shift_remove("InputPath") {
            None => Payload::raw(),
            Some(path) => self.filtered(&path, &Payload::raw(), &format!("{location}/InputPath")),
        };
        let root = effective.expression();
        self.paths(&mut state, &root, location);
        // What `$` means in Assign, and what ResultPath puts somewhere.
        let result = match kind.as_str() {
            "Pass" => {
                let parameters = state.shift_remove("Parameters");
                match (state.shift_remove("Result"), parameters) {
                    (Some(result), _) => Payload::Json(plain(&result), literal(&result)),
                    (None, Some(parameters)) => self.payload(&parameters, &root, &format!("{location}/Parameters")),
                    (None, None) => effective,
                }
            }
            "Task" | "Parallel" | "Map" => {
                self.arguments(&mut state, &kind, &effective, location);
                let result = Payload::Text(Text::atom(RESULT));
                match state.shift_remove("ResultSelector") {
                    Some(selector) => self.payload(&selector, RESULT, &format!("{location}/ResultSelector")),
                    None => result,
                }
            }
            _ => effective,
        };
        let assigned = state
            .shift_remove("Assign")
            .map(|assign| self.payload(&assign, &result.expression(), &format!("{location}/Assign")));
        for handlers in ["Retry", "Catch"] {
            state.get_mut(handlers).and_then(Value::as_array_mut).into_iter().flatten().for_each(error_names);
        }
        for (at, catcher) in state.get_mut("Catch").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
            self.catcher(catcher, &format!("{location}/Catch[{at}]"));
        }
        let works = matches!(kind.as_str(), "Task" | "Parallel" | "Map");
        let joined = match state.shift_remove("ResultPath") {
            Some(path) if works || kind == "Pass" => self.joined(&path, &result, &format!("{location}/ResultPath")),
            _ => result.clone(),
        };
        let output = match state.shift_remove("OutputPath") {
            Some(path) => self.filtered(&path, &joined, &format!("{location}/OutputPath")),
            None => joined,
        };
        self.once(&result, &[assigned.as_ref(), Some(&output)], location);
        if let Some(assigned) = assigned {
            state.insert("Assign".to_owned(), assigned.into_value());
        }
        // Without Output the result, or else the input, is the output.
        let default =
            matches!(&output, Payload::Text(text) if works && text.text == RESULT) || output.is_raw() && !works;
        if kind == "Choice" {
            self.choices(&mut state, &root, (!default).then_some(&output), location);
        }
        if !default && kind != "Fail" {
            state.insert("Output".to_owned(), output.into_value());
        }
        state
    }

    /// A value that depends on chance must not be made twice: JSONata evaluates each field anew.
    fn once(&mut self, result: &Payload, uses: &[Option<&Payload>], location: &str) {
        let text = result.inside();
        let random = text.contains("$uuid()") || text.contains("$random()");
        let uses = uses.iter().flatten().map(|payload| payload.inside().matches(&text).count());
        if random && uses.sum::<usize>() > 1 {
            let reason = "its parts and Output are evaluated apart, so each would get a random value of its own; make \
                          the value in a state before";
            self.refuse(location, "Assign", reason);
        }
    }

    /// A writer that goes on with the notes; they must be given back.
    fn writer<'w>(&mut self, root: &'w str) -> Writer<'w> {
        let elements = if root == RESULT { self.branches } else { 0 };
        Writer { elements, notes: std::mem::take(&mut self.writer.notes), ..Writer::new(Root(root)) }
    }

    /// `InputPath` and `OutputPath`.
    fn filtered(&mut self, path: &Value, from: &Payload, location: &str) -> Payload {
        match path {
            Value::String(text) if text.trim() == "$" => from.clone(),
            Value::String(text) => self.expression(text, &from.expression(), location),
            _ => Payload::Json(json!({}), "{}".to_owned()),
        }
    }

    fn expression(&mut self, text: &str, root: &str, location: &str) -> Payload {
        let mut writer = self.writer(root);
        let migrated = match Expression::parse(text) {
            Ok(Expression::Path(path)) => writer.path(&path),
            Ok(Expression::Call(call)) => writer.call(&call),
            Err(error) => Err(error.to_string()),
        };
        self.writer.notes = writer.notes;
        Payload::Text(migrated.unwrap_or_else(|reason| {
            self.refuse(location, text, reason);
            Text::atom("null")
        }))
    }

    /// A payload template.
    fn payload(&mut self, template: &Value, root: &str, location: &str) -> Payload {
        let mut writer = self.writer(root);
        let mut refusals = Vec::new();
        let value = writer.template(template, &mut refusals);
        let text = writer.constructor(template).unwrap_or_default();
        self.writer.notes = writer.notes;
        for Refusal { text, reason } in refusals {
            self.refuse(location, text, reason);
        }
        Payload::Json(value, text)
    }

    /// The result put into the raw input.
    fn joined(&mut self, path: &Value, result: &Payload, location: &str) -> Payload {
        let Value::String(path) = path else {
            return Payload::raw();
        };
        let reference = match ReferencePath::parse(path) {
            Ok(reference) if reference.is_root() => return result.clone(),
            Ok(reference) => reference,
            Err(error) => {
                self.refuse(location, path, error.to_string());
                return Payload::raw();
            }
        };
        let Some(names) = reference.names() else {
            self.refuse(location, path, "an array cannot be changed in place; build it anew");
            return Payload::raw();
        };
        // From the inside out: each object around the place, with one member replaced.
        let mut text = result.inside();
        for (at, name) in names.iter().enumerate().rev() {
            let mut around = RAW.to_owned();
            for name in &names[..at] {
                around = super::path::member(&around, name);
            }
            text = format!("$merge([{around}, {{{}: {text}}}])", literal(&(*name).into()));
        }
        Payload::Text(Text::atom(text))
    }

    /// `…Path` fields that become fields without `Path`.
    fn paths(&mut self, state: &mut State, root: &str, location: &str) {
        for field in [
            "TimeoutSeconds",
            "HeartbeatSeconds",
            "Seconds",
            "Timestamp",
            "Error",
            "Cause",
            "MaxConcurrency",
            "ToleratedFailureCount",
            "ToleratedFailurePercentage",
            "MaxItems",
            "MaxItemsPerBatch",
            "MaxInputBytesPerBatch",
        ] {
            let old = format!("{field}Path");
            if let Some(Value::String(text)) = state.get(&old).cloned() {
                let value = self.expression(&text, root, &format!("{location}/{old}"));
                state.shift_remove(&old);
                state.insert(field.to_owned(), value.into_value());
            }
        }
    }

    fn arguments(&mut self, state: &mut State, kind: &str, effective: &Payload, location: &str) {
        let root = effective.expression();
        if let Some(credentials) = state.shift_remove("Credentials") {
            let payload = self.payload(&credentials, &root, &format!("{location}/Credentials"));
            state.insert("Credentials".to_owned(), payload.into_value());
        }
        if kind == "Map" {
            self.map(state, effective, location);
            return;
        }
        match state.shift_remove("Parameters") {
            Some(parameters) => {
                let payload = self.payload(&parameters, &root, &format!("{location}/Parameters"));
                state.insert("Arguments".to_owned(), payload.into_value());
            }
            None if effective.is_raw() => {}
            None => drop(state.insert("Arguments".to_owned(), effective.clone().into_value())),
        }
    }

    fn map(&mut self, state: &mut State, effective: &Payload, location: &str) {
        let root = effective.expression();
        match state.shift_remove("ItemsPath") {
            Some(Value::String(path)) => {
                let items = self.expression(&path, &root, &format!("{location}/ItemsPath"));
                if !items.is_raw() {
                    state.insert("Items".to_owned(), items.into_value());
                }
            }
            _ if effective.is_raw() || state.contains_key("ItemReader") => {}
            _ => drop(state.insert("Items".to_owned(), effective.clone().into_value())),
        }
        for field in ["ItemSelector", "Parameters"] {
            if let Some(selector) = state.shift_remove(field) {
                let payload = self.payload(&selector, &root, &format!("{location}/{field}"));
                state.insert("ItemSelector".to_owned(), payload.into_value());
            }
        }
        for field in ["ItemReader", "ResultWriter", "ItemBatcher"] {
            let Some(mut part) = state.get(field).and_then(Value::as_object).cloned() else { continue };
            let location = format!("{location}/{field}");
            if let Some(parameters) = part.shift_remove("Parameters") {
                let payload = self.payload(&parameters, &root, &format!("{location}/Parameters"));
                part.insert("Arguments".to_owned(), payload.into_value());
            }
            if let Some(input) = part.shift_remove("BatchInput") {
                let payload = self.payload(&input, &root, &format!("{location}/BatchInput"));
                part.insert("BatchInput".to_owned(), payload.into_value());
            }
            self.paths(&mut part, &root, &location);
            if let Some(Value::Object(config)) = part.get_mut("ReaderConfig") {
                self.paths(config, &root, &location);
            }
            state.insert(field.to_owned(), Value::Object(part));
        }
    }

    fn catcher(&mut self, catcher: &mut Value, location: &str) {
        let Some(members) = catcher.as_object_mut() else { return };
        let error = Payload::Text(Text::atom("$states.errorOutput"));
        if let Some(assign) = members.shift_remove("Assign") {
            let assigned = self.payload(&assign, "$states.errorOutput", &format!("{location}/Assign"));
            members.insert("Assign".to_owned(), assigned.into_value());
        }
        // Without ResultPath the error output is the output, in both languages.
        if let Some(path) = members.shift_remove("ResultPath") {
            let joined = self.joined(&path, &error, &format!("{location}/ResultPath"));
            if !matches!(&joined, Payload::Text(text) if text.text == "$states.errorOutput") {
                members.insert("Output".to_owned(), joined.into_value());
            }
        }
    }

    /// `output` is that of the state, where it is not the input.
    fn choices(&mut self, state: &mut State, root: &str, output: Option<&Payload>, location: &str) {
        for (at, rule) in state.get_mut("Choices").and_then(Value::as_array_mut).into_iter().flatten().enumerate() {
            let location = format!("{location}/Choices[{at}]");
            let Some(members) = rule.as_object() else { continue };
            let mut writer = self.writer(root);
            let condition = choice::condition(&mut writer, members);
            self.writer.notes = writer.notes;
            let mut migrated = State::new();
            match condition {
                Ok(condition) => drop(migrated.insert("Condition".to_owned(), braced(&condition).into())),
                Err(reason) => self.refuse(&location, rule.to_string(), reason),
            }
            let Some(members) = rule.as_object() else { continue };
            for kept in ["Next", "Comment"] {
                migrated.extend(members.get(kept).map(|value| (kept.to_owned(), value.clone())));
            }
            if let Some(assign) = members.get("Assign").cloned() {
                let assigned = self.payload(&assign, root, &format!("{location}/Assign"));
                migrated.insert("Assign".to_owned(), assigned.into_value());
            }
            migrated.extend(output.map(|output| ("Output".to_owned(), output.clone().into_value())));
            *rule = Value::Object(migrated);
        }
    }
}
