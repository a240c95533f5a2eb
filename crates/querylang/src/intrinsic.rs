//! Intrinsic functions.

use crate::{EvaluationError, Scope, SyntaxError};
use serde_json::Value;

/// A call of an intrinsic function.
#[derive(Debug, Clone)]
pub struct Call {
    text: Box<str>,
}

impl Call {
    /// Parses.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.starts_with("States.") {
            Ok(Self { text: text.into() })
        } else {
            Err(SyntaxError::new(0, "An intrinsic call starts with 'States.'"))
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Evaluates.
    pub fn evaluate(&self, _scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        Err(EvaluationError::intrinsic("not here yet"))
    }

    /// Variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}
