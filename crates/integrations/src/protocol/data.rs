//! The parameters of a task, checked against the model and turned into what protocols write. The spelling of
//! definitions ends here: from here on, members are the model's.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::model::{Kind, Member, ServiceModel, ShapeId, Structure};

/// What is wrong with parameters or with an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Problem {
    /// In words.
    pub text: String,
}

impl Problem {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// The first member of what an operation without parameters was given.
    pub(crate) fn of_unknown(given: &Value) -> Self {
        match given.as_object().and_then(|given| given.keys().next()) {
            Some(name) => Self::new(format!("The field '{name}' is not supported by Step Functions")),
            None => Self::new("The value must be an object"),
        }
    }

    fn format(name: &str) -> Self {
        Self::new(format!("The value of the field '{name}' has an invalid format"))
    }
}

/// How bytes are spelled in parameters and results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blobs {
    /// A parameter is sent as JSON text, a text with its quotes (recorded); a result is the text that the bytes are, or
    /// base64 if they are none.
    Text,
    /// Base64 both ways, so that what was read can be written again.
    Base64,
}

/// What becomes of members that the operation does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// They are mistakes.
    Refused,
    /// They are not sent.
    Dropped,
}

/// A value of a model's shape. It remembers the members and shapes that say how it is written.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the kinds of the model")]
pub enum Data<'m> {
    Structure(Vec<(&'m Member, Data<'m>)>),
    List(ShapeId, Vec<Data<'m>>),
    Map(ShapeId, Vec<(String, Data<'m>)>),
    Text(String),
    Blob(Vec<u8>),
    Boolean(bool),
    Number(Number),
    /// A number that JSON has no figure for: `NaN`, `Infinity`, `-Infinity`.
    Special(&'static str),
    Time(Timestamp),
    Document(Value),
}

impl<'m> Data<'m> {
    /// An input that is empty.
    #[must_use]
    pub fn empty() -> Self {
        Self::Structure(Vec::new())
    }

    /// The members of a structure; of anything else, none.
    #[must_use]
    pub fn members(&self) -> &[(&'m Member, Data<'m>)] {
        match self {
            Self::Structure(members) => members,
            _ => &[],
        }
    }

    /// A member by its name in the model.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Data<'m>> {
        self.members().iter().find(|(member, _)| *member.name == *name).map(|(_, value)| value)
    }

    /// As a text, if it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads the parameters of an operation.
///
/// # Errors
/// A member is unknown or of the wrong kind. What is missing is the service's to say.
pub fn parameters<'m>(
    model: &'m ServiceModel,
    input: ShapeId,
    given: &Value,
    blobs: Blobs,
    unknown: Unknown,
) -> Result<Data<'m>, Problem> {
    let reader = Parameters { model, blobs, unknown };
    match (model.structure(input), given) {
        (Some(structure), Value::Object(given)) => reader.structure(structure, given),
        _ => Err(Problem::new("The value must be an object")),
    }
}

struct Parameters<'m> {
    model: &'m ServiceModel,
    blobs: Blobs,
    unknown: Unknown,
}

impl<'m> Parameters<'m> {
    fn structure(&self, structure: &'m Structure, given: &Map<String, Value>) -> Result<Data<'m>, Problem> {
        let mut members = Vec::with_capacity(given.len());
        for (name, value) in given {
            let Some(member) = structure.pascal(name) else {
                match self.unknown {
                    Unknown::Dropped => continue,
                    Unknown::Refused => {
                        return Err(Problem::new(format!("The field '{name}' is not supported by Step Functions")));
                    }
                }
            };
            // As in the SDK, null is nothing.
            if !value.is_null() {
                members.push((member, self.value(member.shape, value, &member.pascal)?));
            }
        }
        Ok(Data::Structure(members))
    }

    fn value(&self, shape: ShapeId, given: &Value, name: &str) -> Result<Data<'m>, Problem> {
        let wrong = || Problem::format(name);
        Ok(match (&self.model.shape(shape).kind, given) {
            (Kind::Structure(structure), Value::Object(given)) => self.structure(structure, given)?,
            (Kind::List { member, .. }, Value::Array(items)) => {
                // A list has no use for null either, but its places count.
                let items = items.iter().map(|item| self.value(member.shape, item, name));
                Data::List(shape, items.collect::<Result<_, _>>()?)
            }
            (Kind::Map { value, .. }, Value::Object(entries)) => {
                let entries = entries.iter().filter(|(_, entry)| !entry.is_null());
                let entries = entries.map(|(key, entry)| Ok((key.clone(), self.value(value.shape, entry, key)?)));
                Data::Map(shape, entries.collect::<Result<_, Problem>>()?)
            }
            (Kind::String { .. }, Value::String(text)) => Data::Text(text.clone()),
            // JSON may be given where a text is wanted (recorded for Message, Input, Detail).
            (Kind::String { .. }, Value::Null) => return Err(wrong()),
            (Kind::String { .. }, value) => Data::Text(value.to_string()),
            (Kind::Blob { .. }, value) => Data::Blob(self.blob(value).ok_or_else(wrong)?),
            (Kind::Boolean, Value::Bool(value)) => Data::Boolean(*value),
            (Kind::Integer(_), Value::Number(number)) => {
                let whole = whole(number).filter(|whole| i32::try_from(*whole).is_ok()).ok_or_else(wrong)?;
                Data::Number(whole.into())
            }
            (Kind::Long(_), Value::Number(number)) => Data::Number(whole(number).ok_or_else(wrong)?.into()),
            (Kind::Float(_) | Kind::Double(_), Value::Number(number)) => Data::Number(number.clone()),
            (Kind::Float(_) | Kind::Double(_), Value::String(text)) => {
                Data::Special(["NaN", "Infinity", "-Infinity"].into_iter().find(|word| word == text).ok_or_else(wrong)?)
            }
            (Kind::Timestamp(_), value) => Data::Time(time(value).ok_or_else(wrong)?),
            (Kind::Document, value) => Data::Document(value.clone()),
            _ => return Err(wrong()),
        })
    }

    fn blob(&self, given: &Value) -> Option<Vec<u8>> {
        match (self.blobs, given) {
            (Blobs::Base64, Value::String(text)) => STANDARD.decode(text).ok(),
            (Blobs::Base64, _) | (Blobs::Text, Value::Null) => None,
            (Blobs::Text, value) => Some(value.to_string().into_bytes()),
        }
    }
}

/// A whole number, also where it is written with a fraction of zeros.
fn whole(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let value = number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0)?;
        #[expect(clippy::cast_possible_truncation, reason = "whole, and less than 2 to the 53rd")]
        Some(value as i64)
    })
}

fn time(given: &Value) -> Option<Timestamp> {
    match given {
        Value::String(text) => text.parse().ok(),
        Value::Number(seconds) => super::time::from_seconds(seconds.as_f64()?),
        _ => None,
    }
}
