//! Full paths.
use crate::{EvaluationError, Scope, SyntaxError};
use serde_json::Value;
use std::borrow::Cow;

pub(crate) fn starts_variable(character: char) -> bool {
    character.is_alphabetic() || character == '_'
}

pub(crate) fn continues_variable(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// A full path.
#[derive(Debug, Clone)]
pub struct Path {
    text: Box<str>,
}

impl Path {
    /// Parses.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        if text.starts_with('$') {
            Ok(Self { text: text.into() })
        } else {
            Err(SyntaxError::new(0, "A path starts with '$'"))
        }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Definite.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        true
    }

    /// Evaluates.
    pub fn evaluate<'a>(&self, scope: &Scope<'a>) -> Result<Cow<'a, Value>, EvaluationError> {
        Ok(Cow::Borrowed(scope.input))
    }

    /// Selects.
    #[must_use]
    pub fn select<'a>(&self, scope: &Scope<'a>) -> Option<Cow<'a, Value>> {
        Some(Cow::Borrowed(scope.input))
    }

    /// Variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}
