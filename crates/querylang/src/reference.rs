//! Reference paths: they name exactly one place in a document, so that a value
//! can be put there (`ResultPath`) or an array taken from there (`ItemsPath`).

use crate::path::{Miss, Origin, Parser, Place, Segment, Steps, invalid_path, position, resolve};
use crate::{EvaluationError, InsertError, Root, Scope, SyntaxError};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// A path of `.field`, `['field']` and `[n]` only, from `$`, `$$` or `$name`.
///
/// ```
/// use serde_json::json;
/// use stepwright_querylang::ReferencePath;
///
/// let path = ReferencePath::parse("$.order.payment").unwrap();
/// assert_eq!(
///     path.insert(json!({"id": 7}), json!("done")).unwrap(),
///     json!({"id": 7, "order": {"payment": "done"}}),
/// );
/// assert!(ReferencePath::parse("$.items[*]").is_err());
/// ```
#[derive(Debug, Clone)]
pub struct ReferencePath {
    text: Box<str>,
    origin: Origin,
    steps: Steps,
}

/// A step of a reference path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceStep<'a> {
    /// Into a member.
    Name(&'a str),
    /// To an element; a negative index counts from the end.
    Index(i64),
}

impl ReferencePath {
    /// Parses a reference path. Blanks around it are ignored.
    ///
    /// # Errors
    /// If the text is no path, or one that could select several values
    /// (`@`, `..`, `,`, `:`, `?`, `*`, functions).
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser::new(text)?;
        parser.skip_blanks();
        let (origin, steps) = parser.path(Place::Whole)?;
        parser.skip_blanks();
        parser.expect_end()?;
        let plain = |segment: &Segment| matches!(segment, Segment::Name(_) | Segment::Index(_));
        if !steps.segments.iter().all(plain) || !steps.functions.is_empty() {
            return Err(SyntaxError::new(
                0,
                "A reference path names one place: '..', '*', filters, slices, lists and \
                 functions are not allowed",
            ));
        }
        if let Some(offset) = parser.operator() {
            return Err(SyntaxError::new(
                offset,
                "In a reference path this character must be escaped or the name put into \
                 brackets and quotes",
            ));
        }
        Ok(Self { text: text.into(), origin, steps })
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is `$`, the whole input.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.steps.segments.is_empty() && self.origin == Origin::Input
    }

    /// Where it starts.
    #[must_use]
    pub fn root(&self) -> Root<'_> {
        self.origin.root()
    }

    /// The value, or `None` if there is none at this place.
    #[must_use]
    pub fn select<'a>(&self, scope: &Scope<'a>) -> Option<Cow<'a, Value>> {
        self.resolve(scope).ok()
    }

    /// The value.
    ///
    /// # Errors
    /// If there is none at this place, with the wording of `InputPath`.
    pub fn evaluate<'a>(&self, scope: &Scope<'a>) -> Result<Cow<'a, Value>, EvaluationError> {
        self.resolve(scope).map_err(|miss| invalid_path(&self.text, &miss.describe(&self.origin, &self.steps, scope)))
    }

    fn resolve<'a>(&self, scope: &Scope<'a>) -> Result<Cow<'a, Value>, Miss> {
        resolve(&self.origin, &self.steps, scope)
    }

    /// Puts `value` into `target` at this place, for a path from `$`.
    ///
    /// Missing objects are created, an existing value is replaced. `$` replaces
    /// all. Array elements must exist.
    ///
    /// # Errors
    /// If a parent is neither an object nor an array with that element, or if
    /// the path starts at the context object or at a variable, which nobody
    /// can write to.
    pub fn insert(&self, mut target: Value, value: Value) -> Result<Value, InsertError> {
        if self.origin != Origin::Input {
            return Err(InsertError { message: format!("'{}' is not a place in the state input", self.text) });
        }
        let mut place = &mut target;
        for segment in &self.steps.segments {
            // The words of the service for a step it cannot take.
            let refuse = |step: &dyn std::fmt::Display, place: &Value| InsertError {
                message: format!("Unable to apply step \"{step}\" to input {place}"),
            };
            place = match segment {
                Segment::Name(name) => {
                    if !place.is_object() {
                        return Err(refuse(name, place));
                    }
                    let members = place.as_object_mut().expect("checked just before");
                    members.entry(&**name).or_insert_with(|| Value::Object(Map::new()))
                }
                Segment::Index(index) => {
                    let found = place
                        .as_array()
                        .and_then(|elements| position(*index, elements.len()).filter(|at| *at < elements.len()));
                    let Some(at) = found else {
                        return Err(refuse(index, place));
                    };
                    &mut place.as_array_mut().expect("checked just before")[at]
                }
                _ => unreachable!("a reference path has only names and indexes"),
            };
        }
        *place = value;
        Ok(target)
    }

    /// The steps it leads through from where it starts.
    pub fn steps(&self) -> impl Iterator<Item = ReferenceStep<'_>> {
        self.steps.segments.iter().map(|segment| match segment {
            Segment::Name(name) => ReferenceStep::Name(name),
            Segment::Index(index) => ReferenceStep::Index(*index),
            _ => unreachable!("a reference path has only names and indexes"),
        })
    }

    /// The names it leads through from the input; `None` if it starts elsewhere or leads through an array.
    pub(crate) fn names(&self) -> Option<Vec<&str>> {
        if self.origin != Origin::Input {
            return None;
        }
        let segments = self.steps.segments.iter();
        segments.map(|segment| if let Segment::Name(name) = segment { Some(&**name) } else { None }).collect()
    }

    /// The names of the variables it reads.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.origin.variable().into_iter()
    }
}
