//! From JSONPath to JSONata: one path, one intrinsic call, one payload template or a
//! whole definition becomes one that yields the same value for every input on which the
//! original did not fail.
//!
//! Where only most inputs are alike, a [note](Migrated::notes) says what is
//! assumed. What has no equal is [refused](Refusal), with the part and the reason;
//! nothing is ever approximated in silence. No expression made here is evaluated
//! here, and none reads anything the original did not read.
//!
//! A state in which the original fails for its input (`States.Runtime`,
//! `States.IntrinsicFailure`, …) fails in JSONata with `States.QueryEvaluationError`
//! or, where JSONata makes nothing of what is missing, does not fail at all.
//! Numbers are JSONata's: what is beyond 2^53 loses digits.

mod call;
mod choice;
mod condition;
mod definition;
mod path;

pub use definition::{Located, definition};

use crate::{Expression, path::Path};
use serde_json::{Map, Value};

/// What was made of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated<T> {
    /// The JSONata expression without its `{% %}`, or the JSON value that holds such expressions.
    pub value: T,
    /// What is assumed of the input: distinct sentences, in the order they came up.
    pub notes: Vec<&'static str>,
}

/// What has no equal in JSONata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' cannot be written in JSONata: {reason}")]
pub struct Refusal {
    /// The path, the call, or the text of a template, as written.
    pub text: String,
    /// Why not, and what to do.
    pub reason: String,
}

/// What `$` means where the text stands, as a JSONata expression: `$states.input`, or `$states.result` in a
/// `ResultSelector`.
#[derive(Debug, Clone, Copy)]
pub struct Root<'r>(pub &'r str);

/// Of an index in a template: past the end of its array it is `null` there, and nothing in JSONata.
fn or_null(text: &Text) -> Text {
    Text { text: format!("$exists({0}) ? {0} : null", text.text), atom: false, scalar: false }
}

/// Rewrites a path.
///
/// ```
/// use stepwright_querylang::{Path, migrate};
/// let path = Path::parse("$.items[*].price").unwrap();
/// let migrated = migrate::path(&path, migrate::Root("$states.input")).unwrap();
/// assert_eq!(migrated.value, "[$map($states.input.items, function($item) { $item.price })[]]");
/// ```
///
/// # Errors
/// If it has a step that JSONata has no equal of.
pub fn path(path: &Path, root: Root<'_>) -> Result<Migrated<String>, Refusal> {
    let mut writer = Writer::new(root);
    let text = writer.path(path).map_err(|reason| Refusal { text: path.text().to_owned(), reason })?;
    Ok(Migrated { value: text.text, notes: writer.notes })
}

/// Rewrites the value of a `.$` key, of `ErrorPath` or of `CausePath`.
///
/// ```
/// use stepwright_querylang::{Expression, migrate};
/// let greeting = Expression::parse("States.Format('Hello {}', $.name)").unwrap();
/// let migrated = migrate::expression(&greeting, migrate::Root("$states.input")).unwrap();
/// assert_eq!(migrated.value, "\"Hello \" & $states.input.name");
/// ```
///
/// # Errors
/// If it has a part that JSONata has no equal of.
pub fn expression(expression: &Expression, root: Root<'_>) -> Result<Migrated<String>, Refusal> {
    match expression {
        Expression::Path(whole) => path(whole, root),
        Expression::Call(call) => {
            let mut writer = Writer::new(root);
            let text = writer.call(call).map_err(|reason| Refusal { text: call.text().to_owned(), reason })?;
            Ok(Migrated { value: text.text, notes: writer.notes })
        }
    }
}

/// Rewrites a payload template: each key that ends in `.$` loses this end and holds a `{% … %}`.
///
/// ```
/// use serde_json::json;
/// use stepwright_querylang::migrate;
/// let template = json!({"id.$": "$.order", "kind": "sale"});
/// let migrated = migrate::template(&template, migrate::Root("$states.input")).unwrap();
/// assert_eq!(migrated.value, json!({"id": "{% $states.input.order %}", "kind": "sale"}));
/// ```
///
/// # Errors
/// Everything in it that JSONata has no equal of.
pub fn template(template: &Value, root: Root<'_>) -> Result<Migrated<Value>, Vec<Refusal>> {
    let mut writer = Writer::new(root);
    let mut refusals = Vec::new();
    let value = writer.template(template, &mut refusals);
    if refusals.is_empty() { Ok(Migrated { value, notes: writer.notes }) } else { Err(refusals) }
}

/// A piece of an expression.
#[derive(Debug, Clone)]
struct Text {
    text: String,
    /// Whether something may follow or stand beside it without parentheses around it.
    atom: bool,
    /// Whether it is never an array.
    scalar: bool,
}

impl Text {
    fn atom(text: impl Into<String>) -> Self {
        Self { text: text.into(), atom: true, scalar: false }
    }

    fn scalar(text: impl Into<String>) -> Self {
        Self { text: text.into(), atom: true, scalar: true }
    }

    /// An operation: a scalar that needs parentheses inside another one.
    fn operation(text: impl Into<String>) -> Self {
        Self { text: text.into(), atom: false, scalar: true }
    }

    /// As an operand.
    fn operand(self) -> String {
        if self.atom { self.text } else { format!("({})", self.text) }
    }
}

struct Writer<'r> {
    root: Root<'r>,
    /// How many elements the root has, if it is an array of a known length.
    elements: usize,
    notes: Vec<&'static str>,
    /// How many functions are open around this place: each names its argument anew.
    depth: usize,
}

impl<'r> Writer<'r> {
    fn new(root: Root<'r>) -> Self {
        Self { root, elements: 0, notes: Vec::new(), depth: 0 }
    }

    fn note(&mut self, note: &'static str) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn template(&mut self, value: &Value, refusals: &mut Vec<Refusal>) -> Value {
        match value {
            Value::Object(members) => {
                let mut migrated = Map::with_capacity(members.len());
                for (key, value) in members {
                    let (key, value) = match key.strip_suffix(".$") {
                        Some(name) => (name, self.field(value, refusals)),
                        None => (key.as_str(), self.template(value, refusals)),
                    };
                    migrated.insert(key.to_owned(), value);
                }
                Value::Object(migrated)
            }
            Value::Array(elements) => elements.iter().map(|element| self.template(element, refusals)).collect(),
            _ => plain(value),
        }
    }

    /// A payload template as one expression; what is refused is reported by [`Writer::template`].
    fn constructor(&mut self, value: &Value) -> Result<String, String> {
        Ok(match value {
            Value::Object(members) => {
                let mut parts = Vec::with_capacity(members.len());
                for (key, value) in members {
                    let (key, text) = match (key.strip_suffix(".$"), value.as_str()) {
                        (Some(name), Some(text)) => {
                            let text = match Expression::parse(text).map_err(|error| error.to_string())? {
                                Expression::Path(path) => self.value(&path)?,
                                Expression::Call(call) => self.call(&call)?,
                            };
                            (name, text.text)
                        }
                        _ => (key.as_str(), self.constructor(value)?),
                    };
                    parts.push(format!("{}: {text}", literal(&key.into())));
                }
                format!("{{{}}}", parts.join(", "))
            }
            Value::Array(elements) => {
                let elements: Result<Vec<String>, String> =
                    elements.iter().map(|element| self.constructor(element)).collect();
                format!("[{}]", elements?.join(", "))
            }
            _ => literal(value),
        })
    }

    /// A path as the value of a key that ends in `.$`.
    fn value(&mut self, path: &Path) -> Result<Text, String> {
        let text = self.path(path)?;
        Ok(if path.may_be_past_end(self.elements) { or_null(&text) } else { text })
    }

    /// The value of a key that ends in `.$`.
    fn field(&mut self, value: &Value, refusals: &mut Vec<Refusal>) -> Value {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let migrated = match value.as_str().map(Expression::parse) {
            Some(Ok(Expression::Call(call))) => self.elements(&call).or_else(|()| self.call(&call).map(Into::into)),
            Some(Ok(Expression::Path(path))) => self.value(&path).map(Into::into),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("it is no string".to_owned()),
        };
        migrated.unwrap_or_else(|reason| {
            refusals.push(Refusal { text, reason });
            Value::Null
        })
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::from(braced(&text.text))
    }
}

fn braced(expression: &str) -> String {
    format!("{{% {expression} %}}")
}

/// A value in which nothing is evaluated: a text that reads as an expression becomes one that says that it is text.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        Value::Array(elements) => elements.iter().map(plain).collect(),
        Value::String(text) if text.starts_with("{%") || text.ends_with("%}") => braced(&literal(value)).into(),
        _ => value.clone(),
    }
}

/// A JSON value as JSONata writes it: the same, for scalars, arrays and objects of them.
fn literal(value: &Value) -> String {
    value.to_string()
}
