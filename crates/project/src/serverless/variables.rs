//! Variables of the Serverless Framework: `${self:…}`, `${opt:…}`, `${env:…}`, `${sls:stage}`, `${file(…)}`, each with
//! what counts when it has no value: `${opt:stage, 'dev'}`. Whatever else begins with `${` is left to CloudFormation.

use std::cell::{Cell, RefCell};

use serde_json::Value;
use stepwright_asl::json::{Node, NodeValue};

use crate::{Severity, context::Context, document::Document};

/// Variables within the values of variables, at most.
const MAX_DEPTH: usize = 16;
/// Values that are resolved, at most: variables can repeat each other.
const MAX_VALUES: usize = 200_000;

pub(super) struct Variables<'a> {
    context: &'a Context<'a>,
    document: &'a Document,
    root: &'a Node,
    depth: Cell<usize>,
    values: Cell<usize>,
    /// Said once each.
    said: RefCell<Vec<String>>,
}

/// The file that a value is, if it is nothing else: `${file(machine.asl.json)}`.
pub(super) fn whole_file(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("${file(")?.strip_suffix(")}")?;
    (!inner.contains(['$', ')'])).then_some(inner.trim())
}

impl<'a> Variables<'a> {
    pub(super) fn new(context: &'a Context<'a>, document: &'a Document, root: &'a Node) -> Self {
        Self { context, document, root, depth: Cell::new(0), values: Cell::new(0), said: RefCell::default() }
    }

    /// The stage: an option, the provider's, or `dev`.
    pub(super) fn stage(&self) -> String {
        let stage = self.root.get("provider").and_then(|provider| provider.get("stage")).map(|node| self.resolve(node));
        let stage = stage.as_ref().and_then(Node::as_str).filter(|stage| !stage.contains("${")).map(ToOwned::to_owned);
        self.context.options.parameters.get("stage").cloned().or(stage).unwrap_or_else(|| "dev".to_owned())
    }

    /// A value with its variables replaced.
    pub(super) fn resolve(&self, node: &Node) -> Node {
        self.values.set(self.values.get() + 1);
        if self.values.get() > MAX_VALUES {
            return node.clone();
        }
        let value = match &node.value {
            NodeValue::String(text) if text.contains("${") => return self.text(node, text),
            NodeValue::Array(items) => NodeValue::Array(items.iter().map(|item| self.resolve(item)).collect()),
            NodeValue::Object(members) => NodeValue::Object(
                members
                    .iter()
                    .map(|member| {
                        let mut member = member.clone();
                        member.value = self.resolve(&member.value);
                        member
                    })
                    .collect(),
            ),
            other => other.clone(),
        };
        Node { value, start: node.start, end: node.end }
    }

    fn text(&self, node: &Node, text: &str) -> Node {
        let mut rest = text;
        let mut out = String::new();
        while let Some(at) = rest.find("${") {
            let (before, variable) = rest.split_at(at);
            let Some(end) = closing(variable) else { break };
            let (inner, after) = (&variable[2..end], &variable[end + 1..]);
            match self.variable(node, inner) {
                // The value itself, whatever it is.
                Some(value) if out.is_empty() && before.is_empty() && after.is_empty() => return value,
                Some(value) => {
                    out.push_str(before);
                    out.push_str(&match value.to_value() {
                        Value::String(text) => text,
                        other => other.to_string(),
                    });
                }
                None => {
                    out.push_str(before);
                    out.push_str(&variable[..=end]);
                }
            }
            rest = after;
        }
        out.push_str(rest);
        Node { value: NodeValue::String(out), start: node.start, end: node.end }
    }

    /// The value of what stands between `${` and `}`; none: it is none of the framework's, or has none.
    fn variable(&self, node: &Node, inner: &str) -> Option<Node> {
        if self.depth.get() >= MAX_DEPTH {
            self.say(node, inner, "needs itself");
            return None;
        }
        self.depth.set(self.depth.get() + 1);
        let value = self.alternatives(node, inner);
        self.depth.set(self.depth.get() - 1);
        value
    }

    fn alternatives(&self, node: &Node, inner: &str) -> Option<Node> {
        let mut is_ours = false;
        for alternative in parts(inner) {
            // A variable may stand within another.
            let resolved = self.text(node, alternative.trim());
            let Some(alternative) = resolved.as_str() else { return Some(resolved) };
            let literal = alternative.strip_prefix(['\'', '"']).and_then(|text| text.strip_suffix(['\'', '"']));
            if let Some(literal) = literal {
                return Some(string(node, literal));
            }
            if is_ours && let Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null)) = alternative.parse() {
                return Some(at(node, &value));
            }
            if let Some((source, value)) = self.source(node, alternative) {
                is_ours |= source;
                if value.is_some() {
                    return value;
                }
            }
        }
        if is_ours {
            self.say(node, inner, "has no value");
        }
        None
    }

    /// What one of the framework's sources says; none: it is none of them.
    fn source(&self, node: &Node, text: &str) -> Option<(bool, Option<Node>)> {
        let options = self.context.options;
        let value = |value: Option<&String>| Some((true, value.map(|value| string(node, value))));
        if let Some(path) = text.strip_prefix("self:") {
            let found = path.split('.').filter(|part| !part.is_empty()).try_fold(self.root, member);
            return Some((true, found.map(|found| self.resolve(found)).map(|found| moved(found, node))));
        }
        match text.split_once(':') {
            Some(("opt" | "param", name)) => value(options.parameters.get(name)),
            Some(("env", name)) => value(options.environment.get(name)),
            Some(("sls", "stage")) => Some((true, Some(string(node, &self.stage())))),
            Some(("aws", "region")) => value(Some(&options.region)),
            Some(("aws", "accountId")) => value(Some(&options.account)),
            Some(("ssm" | "cf" | "s3" | "git", _)) => Some((true, None)),
            _ => {
                let (path, below) = text.strip_prefix("file(")?.split_once(')')?;
                Some((true, self.file(node, path.trim(), below.trim_start_matches(':'))))
            }
        }
    }

    fn file(&self, node: &Node, named: &str, below: &str) -> Option<Node> {
        let path = self.context.resolve(&self.document.file, named)?;
        let text = self.context.read(&path).ok()?;
        let document = match Document::parse(&path, &text) {
            Ok(document) => document,
            Err(problem) => {
                self.context.problem(*problem);
                return None;
            }
        };
        self.context.use_definition(path);
        let found = below.split('.').filter(|part| !part.is_empty()).try_fold(&document.root, member)?;
        Some(moved(self.resolve(found), node))
    }

    fn say(&self, node: &Node, inner: &str, what: &str) {
        let mut said = self.said.borrow_mut();
        if !said.iter().any(|known| known == inner) {
            said.push(inner.to_owned());
            let message = format!("the variable ${{{inner}}} {what} here");
            let help = "give options with --parameter NAME=VALUE, or write what counts else: ${opt:NAME, 'value'}";
            self.context.problem(self.document.problem(Severity::Warning, node, message, help));
        }
    }
}

/// Where the brace of a variable closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 1 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// What is between the commas, but for those in braces, brackets and quotes.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth, mut quote) = (Vec::new(), 0, 0_i32, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '{' | '(') => depth += 1,
            (None, '}' | ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            (None, _) => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match node.as_array() {
        Some(items) => items.get(name.parse::<usize>().ok()?),
        None => node.get(name),
    }
}

fn string(node: &Node, text: &str) -> Node {
    Node { value: NodeValue::String(text.to_owned()), start: node.start, end: node.end }
}

fn at(node: &Node, value: &Value) -> Node {
    let value = match value {
        Value::Number(number) => NodeValue::Number(number.clone()),
        Value::Bool(value) => NodeValue::Bool(*value),
        _ => NodeValue::Null,
    };
    Node { value, start: node.start, end: node.end }
}

/// A value from elsewhere stands where it is used.
fn moved(mut value: Node, node: &Node) -> Node {
    (value.start, value.end) = (node.start, node.end);
    match &mut value.value {
        NodeValue::Array(items) => {
            for item in items {
                let inner = std::mem::replace(item, string(node, ""));
                *item = moved(inner, node);
            }
        }
        NodeValue::Object(members) => {
            for member in members {
                (member.start, member.end) = (node.start, node.end);
                let inner = std::mem::replace(&mut member.value, string(node, ""));
                member.value = moved(inner, node);
            }
        }
        _ => {}
    }
    value
}
