//! State machines of templates: their definition, wherever it stands, with its substitutions.

use std::{collections::BTreeMap, ops::Range, path::Path};

use serde_json::Value;
use stepwright_asl::json::{Node, NodeValue};

use super::{
    resources::Resource,
    values::{Absent, Scope, function},
};
use crate::{
    Machine, MachineType, Problem, Severity, Text,
    context::Context,
    text::{Layer, escaped, fill},
};

pub(super) fn read(context: &Context<'_>, scope: &Scope<'_>, resource: &Resource<'_>) -> Result<(), Absent> {
    let (Some(node), Some(properties)) = (resource.node, resource.properties) else {
        return Ok(());
    };
    let name = scope.name_of(resource)?;
    let type_property = properties.get("Type").or_else(|| properties.get("StateMachineType"));
    let machine_type = match type_property.map(|node| scope.text(node)).transpose() {
        Ok(Some(text)) if text == "EXPRESS" => MachineType::Express,
        Ok(_) | Err(Absent::NoValue) => MachineType::Standard,
        Err(unknown) => return Err(unknown),
    };
    let substitutions = match properties.get("DefinitionSubstitutions").and_then(Node::as_object) {
        None => BTreeMap::new(),
        Some(members) => {
            let mut values = BTreeMap::new();
            for member in members {
                match scope.text(&member.value) {
                    Ok(value) => drop(values.insert(member.key.clone(), value)),
                    Err(Absent::NoValue) => {}
                    Err(unknown) => return Err(unknown),
                }
            }
            values
        }
    };
    let substitutions = substitutions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let definition = definition(context, scope, node, properties, &substitutions)?;
    let place = scope.document.place(node);
    context.machine(Machine { name, machine_type, definition }, &scope.document.file, place);
    Ok(())
}

type Substitutions<'a> = BTreeMap<&'a str, &'a str>;

fn definition(
    context: &Context<'_>,
    scope: &Scope<'_>,
    node: &Node,
    properties: &Node,
    substitutions: &Substitutions<'_>,
) -> Result<Text, Absent> {
    if let Some(definition) = properties.get("Definition") {
        return inline(context, scope, definition, substitutions);
    }
    if let Some(text) = properties.get("DefinitionString") {
        let json = scope.text(text)?;
        let text = Text::new(String::new(), scope.document.file.clone())
            .then(json.clone(), Layer::Whole(scope.document.place(text)));
        return Ok(substituted(context, text, &json, substitutions));
    }
    let uri = properties.get("DefinitionUri").or_else(|| properties.get("DefinitionS3Location"));
    let Some(uri) = uri else {
        let message = "this state machine has no definition".to_owned();
        return scope.unknown(node, message, "give it Definition, DefinitionUri or DefinitionString");
    };
    let help = "name a file of this folder in DefinitionUri, or write the definition into the template";
    let named = if uri.as_object().is_some() && function(uri).is_none() {
        // CDK's assets are beside its template.
        let asset = uri.get("Key").and_then(Node::as_str).and_then(|key| key.rsplit('/').next());
        let asset = asset.map(|key| format!("asset.{key}"));
        let here =
            |asset: &String| context.resolve(&scope.document.file, asset).is_some_and(|path| context.is_file(&path));
        match asset.filter(here) {
            Some(asset) => asset,
            None => return scope.unknown(uri, "the definition is in S3, which is not here".to_owned(), help),
        }
    } else {
        scope.text(uri)?
    };
    if named.starts_with("s3://") {
        return scope.unknown(uri, format!("the definition {named} is in S3, which is not here"), help);
    }
    let Some(path) = context.resolve(&scope.document.file, &named) else {
        return scope.unknown(uri, format!("the definition {named:?} is outside of this folder"), "move it here");
    };
    match from_file(context, &path, &|name| substitutions.get(name).map(|value| (*value).to_owned())) {
        Ok((text, unfilled)) => {
            for (name, place) in unfilled {
                context.problem(unfilled_problem(text.file(), &name, place));
            }
            Ok(text)
        }
        Err(Unreadable::File(error)) => {
            scope.unknown(uri, format!("the definition {named:?} cannot be read: {error}"), "correct the path")
        }
        Err(Unreadable::Yaml(problem)) => Err(Absent::Unknown(problem)),
    }
}

/// What AWS does with such a name is to leave it as it is; few mean that.
fn unfilled_problem(file: &Path, name: &str, place: Range<usize>) -> Problem {
    Problem {
        severity: Severity::Warning,
        file: file.to_owned(),
        place,
        message: format!("DefinitionSubstitutions of the template has no value for ${{{name}}}: it stays as it is"),
        help: format!("add {name} to DefinitionSubstitutions"),
    }
}

/// Why a definition's file gives no text.
pub(crate) enum Unreadable {
    File(String),
    Yaml(Box<Problem>),
}

/// Names that there is no value for, with their places in the file.
pub(crate) type Unfilled = Vec<(String, Range<usize>)>;

/// The definition of a file, filled; and the names that are not.
pub(crate) fn from_file(
    context: &Context<'_>,
    path: &Path,
    value: &dyn Fn(&str) -> Option<String>,
) -> Result<(Text, Unfilled), Unreadable> {
    let raw = context.read(path).map_err(Unreadable::File)?;
    context.use_definition(path.to_owned());
    let is_json = raw.trim_start().starts_with('{');
    let filled = fill(&raw, &|name| value(name).map(|value| if is_json { escaped(&value) } else { value }));
    let text = Text::new(raw.to_string(), path.to_owned()).then(filled.text.clone(), filled.edits);
    if is_json {
        return Ok((text, filled.unfilled));
    }
    let source = match stepwright_source::yaml(&filled.text) {
        Ok(source) => source,
        // A name without a value may be no YAML where it stands: what is wrong is the name.
        Err(_) if !filled.unfilled.is_empty() => return Ok((text, filled.unfilled)),
        Err(error) => {
            return Err(Unreadable::Yaml(Box::new(Problem {
                severity: Severity::Error,
                file: path.to_owned(),
                place: text.place(error.place),
                message: error.message,
                help: "until it is right, what it held before is kept".to_owned(),
            })));
        }
    };
    let json = source.json().to_owned();
    Ok((text.then(json, Layer::Yaml(source.into())), filled.unfilled))
}

/// A definition that is a part of the template.
pub(crate) fn inline(
    context: &Context<'_>,
    scope: &Scope<'_>,
    definition: &Node,
    substitutions: &Substitutions<'_>,
) -> Result<Text, Absent> {
    let mut writer = Writer { scope, json: String::new(), places: Vec::new() };
    writer.write(definition)?;
    let Writer { json, places, .. } = writer;
    let text = Text::new(String::new(), scope.document.file.clone()).then(json.clone(), Layer::Places(places));
    Ok(substituted(context, text, &json, substitutions))
}

fn substituted(context: &Context<'_>, text: Text, json: &str, substitutions: &Substitutions<'_>) -> Text {
    let filled = fill(json, &|name| substitutions.get(name).map(|value| escaped(value)));
    if !substitutions.is_empty() {
        for (name, place) in filled.unfilled {
            context.problem(unfilled_problem(text.file(), &name, text.place(place)));
        }
    }
    text.then(filled.text, filled.edits)
}

/// Writes values as JSON, and notes where their parts stood.
struct Writer<'a, 'b> {
    scope: &'a Scope<'b>,
    json: String,
    places: Vec<(Range<usize>, Range<usize>)>,
}

impl Writer<'_, '_> {
    fn write(&mut self, node: &Node) -> Result<(), Absent> {
        let start = self.json.len();
        let number = self.places.len();
        self.places.push((start..start, self.scope.document.place(node)));
        let done = self.write_value(node);
        if done.is_err() {
            self.json.truncate(start);
            self.places.truncate(number);
        } else {
            self.places[number].0.end = self.json.len();
        }
        done
    }

    fn write_value(&mut self, node: &Node) -> Result<(), Absent> {
        match &node.value {
            NodeValue::Array(items) => {
                self.json.push('[');
                let mut first = true;
                for item in items {
                    self.part(&mut first, "", None, item)?;
                }
                self.json.push(']');
            }
            NodeValue::Object(members) if function(node).is_none() => {
                self.json.push('{');
                let mut first = true;
                for member in members {
                    let key = self.scope.document.range(member.start..member.end);
                    self.part(
                        &mut first,
                        &format!("{}: ", Value::from(member.key.as_str())),
                        Some(key),
                        &member.value,
                    )?;
                }
                self.json.push('}');
            }
            _ => self.json.push_str(&self.scope.value(node)?.to_string()),
        }
        Ok(())
    }

    /// Writes an item or member; one without a value is left out.
    fn part(&mut self, first: &mut bool, key: &str, place: Option<Range<usize>>, node: &Node) -> Result<(), Absent> {
        let (start, number) = (self.json.len(), self.places.len());
        if !*first {
            self.json.push_str(", ");
        }
        if let Some(place) = place {
            let at = self.json.len();
            self.places.push((at..at + key.len() - 2, place));
        }
        self.json.push_str(key);
        match self.write(node) {
            Ok(()) => *first = false,
            Err(Absent::NoValue) => {
                self.json.truncate(start);
                self.places.truncate(number);
            }
            Err(unknown) => return Err(unknown),
        }
        Ok(())
    }
}
