//! What the values of a template are: parameters, pseudo parameters, mappings, conditions, and the functions that join
//! them. Everything is as if the stack were deployed to the server's account and region.

use std::{cell::Cell, collections::BTreeMap};

use serde_json::{Map, Value};
use stepwright_asl::json::{Node, NodeValue};

use super::resources::{Place, Resource, Resources};
use crate::{
    Problem, Severity,
    context::{Context, partition},
    document::{Document, kind},
    text::fill,
};

/// Values within values within values, at most: beyond it something stands for itself.
const MAX_DEPTH: usize = 200;
/// Values that are asked for in a template, at most: conditions can double with each that needs two others.
const MAX_VALUES: usize = 1_000_000;

/// Why there is no value.
#[derive(Debug)]
pub(crate) enum Absent {
    /// `AWS::NoValue`: whatever it is for is left out.
    NoValue,
    /// It cannot be known here.
    Unknown(Box<Problem>),
}

type Known<T> = Result<T, Absent>;

/// A template whose values are asked for.
pub(crate) struct Scope<'a> {
    context: &'a Context<'a>,
    pub(crate) document: &'a Document,
    pub(crate) resources: Resources<'a>,
    depth: Cell<usize>,
    values: Cell<usize>,
}

/// Counts how deep the asking is.
struct Depth<'a>(&'a Cell<usize>);

impl Drop for Depth<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl<'a> Scope<'a> {
    pub(crate) fn new(context: &'a Context<'a>, document: &'a Document, resources: Resources<'a>) -> Self {
        Self { context, document, resources, depth: Cell::new(0), values: Cell::new(0) }
    }

    /// Says why something is not there.
    pub(crate) fn report(&self, absent: Absent, severity: Severity) {
        if let Absent::Unknown(mut problem) = absent {
            if severity == Severity::Warning {
                problem.severity = severity;
            }
            self.context.problem(*problem);
        }
    }

    pub(crate) fn unknown<T>(&self, node: &Node, message: String, help: &str) -> Known<T> {
        Err(Absent::Unknown(Box::new(self.document.problem(Severity::Error, node, message, help))))
    }

    fn place(&self) -> Place<'_> {
        let options = self.context.options;
        Place { partition: partition(&options.region), region: &options.region, account: &options.account }
    }

    /// Whether a resource's condition holds.
    pub(crate) fn exists(&self, resource: &Resource<'_>) -> Known<bool> {
        match resource.condition {
            Some(condition) if condition.as_str().is_some() => self.condition(condition),
            _ => Ok(true),
        }
    }

    /// A resource's name.
    pub(crate) fn name_of(&self, resource: &Resource<'_>) -> Known<String> {
        let Some(property) = resource.name_property() else { return Ok(resource.default_name()) };
        match self.text(property) {
            Err(Absent::NoValue) => Ok(resource.default_name()),
            known => known,
        }
    }

    /// A value that must be a text, or can be written as one.
    pub(crate) fn text(&self, node: &Node) -> Known<String> {
        match self.value(node)? {
            Value::String(text) => Ok(text),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(value) => Ok(value.to_string()),
            other => self.unknown(node, format!("{} stands here: it must be a text", shown(&other)), "write a text"),
        }
    }

    /// A whole number; text that is one counts.
    pub(crate) fn number(&self, node: &Node) -> Known<u64> {
        let text = self.text(node)?;
        match text.parse() {
            Ok(number) => Ok(number),
            Err(_) => self.unknown(node, format!("{text:?} must be a whole number"), "write a number"),
        }
    }

    /// Asks for one more.
    fn deeper(&self, node: &Node) -> Known<Depth<'_>> {
        self.depth.set(self.depth.get() + 1);
        self.values.set(self.values.get() + 1);
        let depth = Depth(&self.depth);
        if self.depth.get() > MAX_DEPTH || self.values.get() > MAX_VALUES {
            let message = format!("this needs itself, is more than {MAX_DEPTH} values deep, or needs too many others");
            return self.unknown(node, message, "write one of them out");
        }
        Ok(depth)
    }

    /// A value.
    pub(crate) fn value(&self, node: &Node) -> Known<Value> {
        let _depth = self.deeper(node)?;
        match &node.value {
            NodeValue::Array(items) => self.list(items).map(Value::Array),
            NodeValue::Object(members) => {
                if let Some((name, argument)) = function(node) {
                    return self.call(node, name, argument);
                }
                let mut object = Map::new();
                for member in members {
                    match self.value(&member.value) {
                        Ok(value) => drop(object.insert(member.key.clone(), value)),
                        Err(Absent::NoValue) => {}
                        Err(unknown) => return Err(unknown),
                    }
                }
                Ok(Value::Object(object))
            }
            _ => Ok(node.to_value()),
        }
    }

    fn list(&self, items: &[Node]) -> Known<Vec<Value>> {
        let mut list = Vec::new();
        for item in items {
            match self.value(item) {
                Ok(value) => list.push(value),
                Err(Absent::NoValue) => {}
                Err(unknown) => return Err(unknown),
            }
        }
        Ok(list)
    }

    /// A function's value.
    fn call(&self, node: &Node, name: &str, argument: &Node) -> Known<Value> {
        match name {
            "Ref" => match argument.as_str() {
                Some(name) => self.reference(node, name),
                None => self.malformed(node, name, "the name of a parameter or a resource"),
            },
            "Fn::GetAtt" => self.get_att(node, argument),
            "Fn::Sub" => self.sub(node, argument).map(Value::String),
            "Fn::Join" => self.join(node, argument).map(Value::String),
            "Fn::Select" => self.select(node, argument),
            "Fn::Split" => {
                let [delimiter, text] = self.arguments(node, name, argument)?;
                let (delimiter, text) = (self.text(delimiter)?, self.text(text)?);
                if delimiter.is_empty() {
                    return self.malformed(node, name, "a delimiter that is not empty, and a text");
                }
                Ok(text.split(&delimiter).map(Value::from).collect())
            }
            "Fn::FindInMap" => self.find_in_map(node, argument),
            "Fn::If" => {
                let [condition, then, otherwise] = self.arguments(node, name, argument)?;
                self.value(if self.condition(condition)? { then } else { otherwise })
            }
            "Fn::Equals" | "Fn::And" | "Fn::Or" | "Fn::Not" | "Condition" => self.condition(node).map(Value::Bool),
            "Fn::Base64" => self.value(argument),
            "Fn::ToJsonString" => Ok(Value::String(self.value(argument)?.to_string())),
            "Fn::Length" => match self.value(argument)? {
                Value::Array(items) => Ok(items.len().into()),
                _ => self.malformed(node, name, "a list"),
            },
            "Fn::GetAZs" => {
                let region = &self.context.options.region;
                Ok(["a", "b", "c"].iter().map(|zone| Value::from(format!("{region}{zone}"))).collect())
            }
            "Fn::ImportValue" => {
                let export = self.text(argument).unwrap_or_else(|_| "…".to_owned());
                let message = format!("the value {export:?} is another stack's, which is not here");
                self.unknown(node, message, "give it as a parameter with a Default, or with --parameter NAME=VALUE")
            }
            _ => self.unknown(
                node,
                format!("the function {name} cannot be evaluated here"),
                "write the value out, or give it as a parameter with --parameter NAME=VALUE",
            ),
        }
    }

    fn malformed<T>(&self, node: &Node, name: &str, form: &str) -> Known<T> {
        self.unknown(node, format!("{name} must have {form}"), "see CloudFormation's reference of the function")
    }

    fn arguments<'n, const N: usize>(&self, node: &Node, name: &str, argument: &'n Node) -> Known<[&'n Node; N]> {
        let list: Vec<&Node> = argument.as_array().unwrap_or_default().iter().collect();
        match list.try_into() {
            Ok(arguments) => Ok(arguments),
            Err(_) => self.malformed(node, name, &format!("a list of {N}")),
        }
    }

    fn reference(&self, node: &Node, name: &str) -> Known<Value> {
        let options = self.context.options;
        let text = match name {
            "AWS::NoValue" => return Err(Absent::NoValue),
            "AWS::AccountId" => options.account.clone(),
            "AWS::Region" => options.region.clone(),
            "AWS::Partition" => partition(&options.region).to_owned(),
            "AWS::URLSuffix" if options.region.starts_with("cn-") => "amazonaws.com.cn".to_owned(),
            "AWS::URLSuffix" => "amazonaws.com".to_owned(),
            "AWS::StackName" => self.context.name(),
            "AWS::StackId" => {
                let Place { partition, region, account } = self.place();
                let name = self.context.name();
                format!(
                    "arn:{partition}:cloudformation:{region}:{account}:stack/{name}/00000000-0000-0000-0000-000000000000"
                )
            }
            "AWS::NotificationARNs" => return Ok(Value::Array(Vec::new())),
            _ => match self.document.root.get("Parameters").and_then(|parameters| parameters.get(name)) {
                Some(parameter) => return self.parameter(node, name, parameter),
                None => return self.resource_reference(node, name).map(Value::String),
            },
        };
        Ok(Value::String(text))
    }

    fn resource_reference(&self, node: &Node, name: &str) -> Known<String> {
        if let Some(resource) = self.resources.get(name) {
            return Ok(resource.reference(&self.name_of(resource)?, &self.place()));
        }
        // What SAM makes beside a function: `Name.Alias`, `Name.Version`.
        if let Some((id, part @ ("Alias" | "Version"))) = name.split_once('.')
            && let Some(resource) = self.resources.get(id)
        {
            let function = resource.attribute("Arn", &self.name_of(resource)?, &self.place()).unwrap_or_default();
            let alias = resource.properties.and_then(|properties| properties.get("AutoPublishAlias"));
            let alias = alias.filter(|_| part == "Alias").map(|alias| self.text(alias)).transpose()?;
            return Ok(format!("{function}:{}", alias.as_deref().unwrap_or("1")));
        }
        self.nothing_of(node, name)
    }

    fn nothing_of<T>(&self, node: &Node, name: &str) -> Known<T> {
        let near: Vec<&str> = self.resources.ids().filter(|id| id.eq_ignore_ascii_case(name)).collect();
        let help = match near.first() {
            Some(near) => format!("did you mean {near}?"),
            None => "declare it, or correct the name".to_owned(),
        };
        self.unknown(node, format!("there is no parameter or resource {name:?} in this template"), &help)
    }

    fn parameter(&self, node: &Node, name: &str, parameter: &Node) -> Known<Value> {
        let kind = parameter.get("Type").and_then(Node::as_str).unwrap_or("String");
        let given = self.context.options.parameters.get(name);
        let is_stored = kind.starts_with("AWS::SSM::Parameter::Value");
        let text = match (given, parameter.get("Default")) {
            (Some(given), _) => given.clone(),
            (None, Some(default)) if !is_stored => self.text(default)?,
            _ => {
                let why = if is_stored { "is kept in SSM, which is not here" } else { "has no Default" };
                let help =
                    format!("give it with --parameter {name}=VALUE or under [dev.parameters] in stepwright.toml");
                return self.unknown(node, format!("the parameter {name:?} {why}"), &help);
            }
        };
        let is_list = kind.contains("List<") || kind == "CommaDelimitedList";
        Ok(if is_list { text.split(',').map(|part| Value::from(part.trim())).collect() } else { Value::String(text) })
    }

    fn get_att(&self, node: &Node, argument: &Node) -> Known<Value> {
        let (id, attribute) = match (argument.as_str(), argument.as_array()) {
            (Some(text), _) => text.split_once('.').map(|(id, attribute)| (id.to_owned(), attribute.to_owned())),
            (None, Some([id, attribute])) => match id.as_str() {
                Some(id) => Some((id.to_owned(), self.text(attribute)?)),
                None => None,
            },
            _ => None,
        }
        .map_or_else(|| self.malformed(node, "Fn::GetAtt", "the name of a resource and of an attribute"), Ok)?;
        self.attribute(node, &id, &attribute).map(Value::String)
    }

    fn attribute(&self, node: &Node, id: &str, attribute: &str) -> Known<String> {
        let Some(resource) = self.resources.get(id) else {
            // A role that SAM makes beside a function or state machine.
            let owner = id.strip_suffix("Role").and_then(|owner| self.resources.get(owner));
            return match owner.filter(|owner| owner.kind.starts_with("AWS::Serverless::") && attribute == "Arn") {
                Some(_) => Ok(format!("arn:{}:iam::{}:role/{id}", self.place().partition, self.place().account)),
                None => self.nothing_of(node, id),
            };
        };
        match resource.attribute(attribute, &self.name_of(resource)?, &self.place()) {
            Some(value) => Ok(value),
            None => self.unknown(
                node,
                format!("what {attribute:?} of {id} ({}) is, only AWS knows", resource.kind),
                "use a parameter in its place, with a Default or --parameter NAME=VALUE",
            ),
        }
    }

    /// `${Name}`, `${Resource.Attribute}`, `${!Literal}`, and names of its own.
    fn sub(&self, node: &Node, argument: &Node) -> Known<String> {
        let (text, own) = match (argument.as_str(), argument.as_array()) {
            (Some(text), _) => (text, BTreeMap::new()),
            (None, Some([text, own])) if text.as_str().is_some() && own.as_object().is_some() => {
                let members = own.as_object().unwrap_or_default().iter();
                let own: Known<BTreeMap<&str, String>> =
                    members.map(|member| Ok((member.key.as_str(), self.text(&member.value)?))).collect();
                (text.as_str().unwrap_or_default(), own?)
            }
            _ => return self.malformed(node, "Fn::Sub", "a text, or a list of a text and an object of values"),
        };
        let failed = Cell::new(None);
        let value = |name: &str| {
            let value = match (own.get(name), name.split_once('.')) {
                (Some(value), _) => Ok(value.clone()),
                (None, Some((id, attribute))) if self.resources.get(name).is_none() => {
                    self.attribute(node, id, attribute)
                }
                _ => self.reference(node, name).map(|value| plain(&value)),
            };
            value.map_err(|absent| failed.set(Some(absent))).ok()
        };
        let filled = fill(text, &value).text;
        match failed.into_inner() {
            Some(absent) => Err(absent),
            None => Ok(filled.replace("${!", "${")),
        }
    }

    fn join(&self, node: &Node, argument: &Node) -> Known<String> {
        let [delimiter, list] = self.arguments(node, "Fn::Join", argument)?;
        let delimiter = self.text(delimiter)?;
        match self.value(list)? {
            Value::Array(items) => Ok(items.iter().map(plain).collect::<Vec<_>>().join(&delimiter)),
            _ => self.malformed(node, "Fn::Join", "a delimiter and a list"),
        }
    }

    fn select(&self, node: &Node, argument: &Node) -> Known<Value> {
        let [index, list] = self.arguments(node, "Fn::Select", argument)?;
        let index = self.number(index)?;
        let Value::Array(items) = self.value(list)? else {
            return self.malformed(node, "Fn::Select", "an index and a list");
        };
        match usize::try_from(index).ok().and_then(|index| items.get(index)) {
            Some(item) => Ok(item.clone()),
            None => {
                let message = format!("Fn::Select asks for item {index} of a list of {}", items.len());
                self.unknown(node, message, "items are counted from 0")
            }
        }
    }

    fn find_in_map(&self, node: &Node, argument: &Node) -> Known<Value> {
        let list = argument.as_array().unwrap_or_default();
        let [map, first, second, default @ ..] = list else {
            return self.malformed(node, "Fn::FindInMap", "the name of a mapping and two keys");
        };
        let (map, first, second) = (self.text(map)?, self.text(first)?, self.text(second)?);
        let found =
            self.document.root.get("Mappings").and_then(|mappings| mappings.get(&map)?.get(&first)?.get(&second));
        match (found, default.first().and_then(|default| default.get("DefaultValue"))) {
            (Some(found), _) => self.value(found),
            (None, Some(default)) => self.value(default),
            (None, None) => self.unknown(
                node,
                format!("the mapping {map:?} holds nothing under {first:?}, {second:?}"),
                "add it to Mappings; the region is the server's (--region of serve, AWS_REGION)",
            ),
        }
    }

    /// Whether a condition holds: a name, or a function that says so.
    fn condition(&self, node: &Node) -> Known<bool> {
        let _depth = self.deeper(node)?;
        let named = match function(node) {
            Some(("Condition", argument)) => argument.as_str(),
            Some((name, argument)) => return self.decide(node, name, argument),
            None => node.as_str(),
        };
        let found = named.and_then(|name| self.document.root.get("Conditions").and_then(|all| all.get(name)));
        match (named, found) {
            (Some(_), Some(condition)) => self.condition(condition),
            (Some(name), None) => {
                self.unknown(node, format!("there is no condition {name:?}"), "declare it under Conditions")
            }
            (None, _) => self.unknown(node, format!("{} is no condition", kind(node)), "name one of Conditions"),
        }
    }

    fn decide(&self, node: &Node, name: &str, argument: &Node) -> Known<bool> {
        let list = argument.as_array().unwrap_or_default();
        match (name, list) {
            ("Fn::Equals", [a, b]) => Ok(plain(&self.value(a)?) == plain(&self.value(b)?)),
            ("Fn::Not", [condition]) => Ok(!self.condition(condition)?),
            ("Fn::And" | "Fn::Or", list) if !list.is_empty() => {
                for condition in list {
                    if self.condition(condition)? == (name == "Fn::Or") {
                        return Ok(name == "Fn::Or");
                    }
                }
                Ok(name == "Fn::And")
            }
            _ => self.malformed(node, name, "a list of conditions"),
        }
    }
}

/// The function that an object is, and its argument.
pub(crate) fn function(node: &Node) -> Option<(&str, &Node)> {
    let [member] = node.as_object()? else { return None };
    let is_function = member.key.starts_with("Fn::")
        || (member.key == "Ref" && member.value.as_str().is_some())
        || (member.key == "Condition" && member.value.as_str().is_some());
    is_function.then_some((member.key.as_str(), &member.value))
}

/// A value as a part of a text.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

fn shown(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Array(_) => "a list",
        _ => "an object",
    }
}
