//! JSON to values and back.

use super::number;
use super::value::{Array, MAX_DEPTH, Object, Text, Value};
use serde_json::Value as Json;
use std::rc::Rc;
use std::sync::Arc;

/// Why a value cannot be given as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotJson {
    /// It is, or holds, a function.
    #[error("a function is not JSON")]
    Function,
    /// Its text would be longer than was allowed.
    #[error("the value is too large")]
    TooLarge,
}

impl Value {
    /// A JSON document as a value. What is nested deeper than [`MAX_DEPTH`]
    /// becomes null.
    #[must_use]
    pub fn from_json(json: &Json) -> Self {
        convert(json, 0, None)
    }

    /// The value as JSON; `None` for *undefined*. Undefined items of arrays
    /// become null, undefined members are left out, and so are numbers that JSON
    /// does not have.
    ///
    /// # Errors
    /// If it holds a function, or takes more than about `limit` bytes.
    pub fn to_json(&self, limit: usize) -> Result<Option<Json>, NotJson> {
        let mut left = limit;
        to_json(self, &mut left)
    }
}

/// Objects that come one after the other mostly have the same keys: `like` is
/// the one before, whose keys are shared.
fn convert(json: &Json, depth: u32, like: Option<&Object>) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(boolean) => Value::Boolean(*boolean),
        Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::String(Text::from(text.as_str())),
        Json::Array(_) | Json::Object(_) if depth >= MAX_DEPTH => Value::Null,
        Json::Array(items) => {
            let mut converted: Vec<Value> = Vec::with_capacity(items.len());
            for item in items {
                let like = match converted.last() {
                    Some(Value::Object(object)) => Some(Rc::clone(object)),
                    _ => None,
                };
                converted.push(convert(item, depth + 1, like.as_deref()));
            }
            Value::from(Array::new(converted))
        }
        Json::Object(members) => {
            let mut object = Object::with_capacity(members.len());
            for (at, (key, member)) in members.iter().enumerate() {
                let known = like.and_then(|like| like.at(at)).filter(|(name, _)| **name == **key);
                let (key, like) = match known {
                    Some((name, Value::Object(like))) => (Arc::clone(name), Some(&**like)),
                    Some((name, _)) => (Arc::clone(name), None),
                    None => (Text::from(key.as_str()), None),
                };
                object.push_new(key, convert(member, depth + 1, like));
            }
            Value::from(object)
        }
    }
}

/// What the smallest value counts for.
const SMALLEST: usize = 16;

fn to_json(value: &Value, left: &mut usize) -> Result<Option<Json>, NotJson> {
    // What JSON takes in memory is many times its text.
    let size = if let Value::String(text) = value { text.len() + SMALLEST } else { SMALLEST };
    *left = left.checked_sub(size).ok_or(NotJson::TooLarge)?;
    Ok(Some(match value {
        Value::Undefined => return Ok(None),
        Value::Null => Json::Null,
        Value::Boolean(boolean) => Json::Bool(*boolean),
        Value::Number(number) => number::to_json(*number),
        Value::String(text) => Json::String(text.to_string()),
        Value::Function(_) => return Err(NotJson::Function),
        Value::Array(array) => {
            let mut items = Vec::with_capacity(array.len().min(*left));
            for item in array.iter() {
                items.push(to_json(item, left)?.unwrap_or(Json::Null));
            }
            Json::Array(items)
        }
        Value::Object(object) => {
            let mut members = serde_json::Map::with_capacity(object.len().min(*left));
            for (key, member) in object.iter() {
                *left = left.checked_sub(key.len()).ok_or(NotJson::TooLarge)?;
                if let Some(member) = to_json(member, left)? {
                    members.insert(key.to_string(), member);
                }
            }
            Json::Object(members)
        }
    }))
}
