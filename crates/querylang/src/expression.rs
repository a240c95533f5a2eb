//! What may stand as the value of a `.$` key, `ErrorPath` or `CausePath`: a
//! path or an intrinsic call.

use crate::{EvaluationError, Path, Scope, SyntaxError, intrinsic};
use serde_json::Value;

/// The value of a `.$` key, of `ErrorPath` or `CausePath`.
#[derive(Debug, Clone)]
pub enum Expression {
    /// A path: `$.a`, `$$.Execution.Name`, `$variable`.
    Path(Path),
    /// A call: `States.UUID()`.
    Call(intrinsic::Call),
}

impl Expression {
    /// Parses a path or a call.
    ///
    /// # Errors
    /// If the text is neither.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.trim_start().starts_with('$') {
            Path::parse(text).map(Self::Path)
        } else {
            intrinsic::Call::parse(text).map(Self::Call)
        }
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Path(path) => path.text(),
            Self::Call(call) => call.text(),
        }
    }

    /// The value.
    ///
    /// # Errors
    /// With the wording of `InputPath` if a path selects nothing; see
    /// [`Expression::evaluate_field`] for the wording of named fields.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        match self {
            Self::Path(path) => path.evaluate(scope).map(std::borrow::Cow::into_owned),
            Self::Call(call) => call.evaluate(scope),
        }
    }

    /// The value, with the error wording of a field that has a name:
    /// `The JSONPath '$.a' specified for the field 'ErrorPath' could not be
    /// found in the input '{}'`.
    ///
    /// # Errors
    /// If a path selects nothing or a call fails.
    pub fn evaluate_field(&self, field: &str, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        match self {
            Self::Path(path) => match path.select(scope) {
                Some(value) => Ok(value.into_owned()),
                None => Err(not_found(path, field, scope)),
            },
            Self::Call(call) => call.evaluate(scope),
        }
    }

    /// The names of the variables it reads, in the order of the text.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let (path, call) = match self {
            Self::Path(path) => (Some(path), None),
            Self::Call(call) => (None, Some(call)),
        };
        path.into_iter().flat_map(Path::variables).chain(call.into_iter().flat_map(intrinsic::Call::variables))
    }
}

/// What the service says of a field whose path selects nothing (AWS: recorded).
pub(crate) fn not_found(path: &Path, field: &str, scope: &Scope<'_>) -> EvaluationError {
    EvaluationError::runtime(format!(
        "The JSONPath '{}' specified for the field '{field}' could not be found in the input '{}'",
        path.text(),
        scope.input
    ))
}
