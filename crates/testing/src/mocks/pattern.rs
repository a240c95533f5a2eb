//! What an input is held against: members that it must have, or paths and what they must lead to.

use serde_json::Value;
use stepwright_querylang::{ReferencePath, ReferenceStep};

use super::{MockError, kind};
use crate::compare::equal;

/// What an input must be like.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    /// Each path leads to its value.
    Paths(Vec<(ReferencePath, Value)>),
    /// It has this in it: objects may have more members.
    Part(Value),
}

impl Pattern {
    pub(super) fn read(value: &Value, path: &str) -> Result<Self, MockError> {
        let Value::Object(members) = value else { return Ok(Self::Part(value.clone())) };
        if members.is_empty() || !members.keys().all(|key| key.starts_with('$')) {
            return Ok(Self::Part(value.clone()));
        }
        let read = |(key, value): (&String, &Value)| {
            let parsed = ReferencePath::parse(key).map_err(|error| {
                MockError::new(format!("{path}.{key}"), format!("is no path to one value, such as $.order.id: {error}"))
            })?;
            Ok((parsed, value.clone()))
        };
        members.iter().map(read).collect::<Result<_, _>>().map(Self::Paths)
    }

    pub(super) fn matches(&self, input: &Value) -> bool {
        match self {
            Self::Paths(paths) => {
                paths.iter().all(|(path, wanted)| at(path, input).is_some_and(|value| equal(value, wanted)))
            }
            Self::Part(part) => has(input, part),
        }
    }
}

fn at<'a>(path: &ReferencePath, input: &'a Value) -> Option<&'a Value> {
    path.steps().try_fold(input, |value, step| match step {
        ReferenceStep::Name(name) => value.get(name),
        ReferenceStep::Index(index) => value.get(usize::try_from(index).ok()?),
    })
}

/// Whether a value has a part in it.
fn has(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(name, part)| value.get(name).is_some_and(|value| has(value, part)))
        }
        (Value::Array(value), Value::Array(part)) => {
            value.len() == part.len() && value.iter().zip(part).all(|(value, part)| has(value, part))
        }
        _ => kind(value) == kind(part) && equal(value, part),
    }
}
