//! Full paths: the JSONPath dialect the service speaks (Jayway's), with its
//! two extra roots `$$` (context object) and `$name` (variable).
//!
//! A *definite* path (names and single indexes only) selects one value or
//! none; any other path selects an array, empty if nothing matches, even when
//! a parent is missing. A path is compiled once; evaluating it visits a bounded
//! number of nodes and never changes the document.

mod compare;
mod evaluate;
mod filter;
mod function;
mod parse;
mod pattern;

use crate::{EvaluationError, Root, Scope, SyntaxError};
pub(crate) use compare::Operator;
pub(crate) use evaluate::{Miss, position};
pub(crate) use filter::{Condition, Filter, Operand};
pub(crate) use function::{Argument as FunctionArgument, Function, Name as FunctionName};
pub(crate) use parse::{Parser, Place};
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

/// One step from a value to others.
#[derive(Debug, Clone)]
pub(crate) enum Segment {
    /// `.a`, `['a']`
    Name(Box<str>),
    /// `['a','b']`
    Names(Box<[Box<str>]>),
    /// `[0]`, `[-1]`
    Index(i64),
    /// `[0,2]`
    Indexes(Box<[i64]>),
    /// `[1:5]`, `[:-1]`, `[::2]`
    Slice { from: Option<i64>, to: Option<i64>, step: u32 },
    /// `.*`, `[*]`
    Wildcard,
    /// `..`: the value itself and all below it; the next segment applies to each.
    Descend,
    /// `[?(…)]`
    Filter(Box<Condition>),
}

/// The steps of a path behind its root.
#[derive(Debug, Clone)]
pub(crate) struct Steps {
    pub(crate) segments: Box<[Segment]>,
    /// Tail functions such as `.length()`.
    pub(crate) functions: Box<[Function]>,
}

/// The root of a path, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Input,
    Context,
    Variable(Box<str>),
}

impl Origin {
    pub(crate) fn root(&self) -> Root<'_> {
        match self {
            Self::Input => Root::Input,
            Self::Context => Root::Context,
            Self::Variable(name) => Root::Variable(name),
        }
    }

    pub(crate) fn value<'a>(&self, scope: &Scope<'a>) -> Option<&'a Value> {
        match self {
            Self::Input => Some(scope.input),
            Self::Context => Some(scope.environment.context()),
            Self::Variable(name) => scope.environment.variable(name),
        }
    }

    pub(crate) fn variable(&self) -> Option<&str> {
        match self {
            Self::Variable(name) => Some(name),
            Self::Input | Self::Context => None,
        }
    }
}

/// A full path: `$…`, `$$…` or `$name…`.
///
/// ```
/// use serde_json::{Value, json};
/// use stepwright_querylang::{Environment, Path, Scope};
///
/// # struct World(Value);
/// # impl Environment for World {
/// #     fn context(&self) -> &Value { &self.0 }
/// #     fn variable(&self, _name: &str) -> Option<&Value> { None }
/// #     fn random(&self) -> u64 { 4 }
/// # }
/// # let world = World(json!({}));
/// let input = json!({"items": [{"price": 3}, {"price": 12}]});
/// let scope = Scope { input: &input, environment: &world };
///
/// let path = Path::parse("$.items[?(@.price > 10)].price").unwrap();
/// assert!(!path.is_definite());
/// assert_eq!(*path.evaluate(&scope).unwrap(), json!([12]));
///
/// let missing = Path::parse("$.total").unwrap();
/// assert_eq!(
///     missing.evaluate(&scope).unwrap_err().message,
///     "Invalid path '$.total' : No results for path: $['total']",
/// );
/// ```
#[derive(Debug, Clone)]
pub struct Path {
    text: Box<str>,
    pub(crate) origin: Origin,
    pub(crate) steps: Steps,
}

impl Path {
    /// Parses a path. Blanks around it are ignored.
    ///
    /// # Errors
    /// If the text is no path; the offset says where.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut parser = Parser::new(text)?;
        parser.skip_blanks();
        let (origin, steps) = parser.path(Place::Whole)?;
        parser.skip_blanks();
        parser.expect_end()?;
        Ok(Self { text: text.into(), origin, steps })
    }

    pub(crate) fn from_parts(text: &str, origin: Origin, steps: Steps) -> Self {
        Self { text: text.into(), origin, steps }
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it starts.
    #[must_use]
    pub fn root(&self) -> Root<'_> {
        self.origin.root()
    }

    /// Whether this is a root alone: `$`, `$$` or `$name`.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.steps.segments.is_empty() && self.steps.functions.is_empty()
    }

    /// Whether it ends with an index that its array may lack. `elements`: how many the root has at least.
    pub(crate) fn may_be_past_end(&self, elements: usize) -> bool {
        let Some((Segment::Index(index), before)) = self.steps.segments.split_last() else { return false };
        let known = before.is_empty()
            && self.origin == Origin::Input
            && position(*index, elements).is_some_and(|at| at < elements);
        self.is_definite() && self.steps.functions.is_empty() && !known
    }

    /// Whether it selects one value (or none), not an array of matches.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        !self.steps.functions.is_empty() || self.steps.is_definite()
    }

    /// The value.
    ///
    /// # Errors
    /// If a definite path selects nothing, with the wording of `InputPath` and
    /// `OutputPath` (AWS: recorded).
    pub fn evaluate<'a>(&self, scope: &Scope<'a>) -> Result<Cow<'a, Value>, EvaluationError> {
        self.resolve(scope).map_err(|miss| invalid_path(&self.text, &miss.describe(&self.origin, &self.steps, scope)))
    }

    /// The value, or `None` if a definite path selects nothing.
    #[must_use]
    pub fn select<'a>(&self, scope: &Scope<'a>) -> Option<Cow<'a, Value>> {
        self.resolve(scope).ok()
    }

    /// The value, or why there is none.
    pub(crate) fn resolve<'a>(&self, scope: &Scope<'a>) -> Result<Cow<'a, Value>, Miss> {
        resolve(&self.origin, &self.steps, scope)
    }

    pub(crate) fn is_past_end(&self, miss: &Miss) -> bool {
        miss.is_past_end(&self.steps)
    }

    pub(crate) fn describe(&self, miss: &Miss, scope: &Scope<'_>) -> Option<String> {
        miss.foreign_words(&self.origin, &self.steps, scope)
    }

    /// The names of the variables it reads.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.origin.variable().into_iter()
    }
}

pub(crate) fn resolve<'a>(origin: &Origin, steps: &Steps, scope: &Scope<'a>) -> Result<Cow<'a, Value>, Miss> {
    if *origin == Origin::Context
        && let Some(found) = steps.in_context_part(scope.environment)
    {
        return Ok(found);
    }
    let start = origin.value(scope).ok_or_else(Miss::variable)?;
    steps.evaluate(start)
}

/// The error of `InputPath`, `OutputPath` and the `…Path` fields.
pub(crate) fn invalid_path(text: &str, reason: &str) -> EvaluationError {
    EvaluationError::runtime(format!("Invalid path '{text}' : {reason}"))
}

/// How many bytes at the start of the text name a variable: a Unicode identifier (UAX 31).
pub(crate) fn variable_name(text: &str) -> usize {
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\A\p{ID_Start}\p{ID_Continue}*").expect("the pattern is a constant"));
    NAME.find(text).map_or(0, |name| name.len())
}
