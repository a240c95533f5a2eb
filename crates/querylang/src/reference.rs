//! Reference paths.
use crate::{EvaluationError, InsertError, Root, Scope, SyntaxError};
use serde_json::Value;
use std::borrow::Cow;

/// A reference path.
#[derive(Debug, Clone)]
pub struct ReferencePath {
    text: Box<str>,
}

impl ReferencePath {
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

    /// Whether this is `$` alone.
    #[must_use]
    pub fn is_root(&self) -> bool {
        &*self.text == "$"
    }

    /// Root.
    #[must_use]
    pub fn root(&self) -> Root<'_> {
        Root::Input
    }

    /// Selects.
    #[must_use]
    pub fn select<'a>(&self, scope: &Scope<'a>) -> Option<Cow<'a, Value>> {
        Some(Cow::Borrowed(scope.input))
    }

    /// Evaluates.
    pub fn evaluate<'a>(&self, scope: &Scope<'a>) -> Result<Cow<'a, Value>, EvaluationError> {
        Ok(Cow::Borrowed(scope.input))
    }

    /// Inserts.
    pub fn insert(&self, _target: Value, value: Value) -> Result<Value, InsertError> {
        Ok(value)
    }

    /// Variables.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }
}
