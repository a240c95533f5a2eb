//! Intrinsic functions: `States.Format('Hello, {}', $.name)`.
//!
//! A call is checked for syntax and for the function's name when it is parsed;
//! the number and the kinds of its arguments are checked when it is evaluated,
//! as the service does. Functions are pure; the two that need randomness take
//! it from the [`Environment`](crate::Environment).

mod format;
mod functions;
mod parse;
pub(crate) mod random;
pub(crate) mod text;

use crate::path::Path;
use crate::value::{MAX_WEIGHT, weight};
use crate::{ErrorKind, EvaluationError, Root, Scope, SyntaxError};
pub use functions::Function;
use serde_json::Value;
use std::borrow::Cow;

/// A compiled call, with all calls nested in it.
///
/// ```
/// use serde_json::{Value, json};
/// use stepwright_querylang::intrinsic::Call;
/// use stepwright_querylang::{Environment, Scope};
///
/// # struct World(Value);
/// # impl Environment for World {
/// #     fn context(&self) -> &Value { &self.0 }
/// #     fn variable(&self, _name: &str) -> Option<&Value> { None }
/// #     fn random(&self) -> u64 { 4 }
/// # }
/// # let world = World(json!({}));
/// let call = Call::parse("States.ArrayGetItem(States.StringSplit($.csv, ','), 1)").unwrap();
/// let input = json!({"csv": "a,b,c"});
/// let scope = Scope { input: &input, environment: &world };
/// assert_eq!(call.evaluate(&scope).unwrap(), json!("b"));
/// assert!(Call::parse("States.Frobnicate()").is_err());
/// ```
#[derive(Debug, Clone)]
pub struct Call {
    text: Box<str>,
    pub(crate) invocation: Invocation,
}

/// One function with its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    pub(crate) function: Function,
    pub(crate) arguments: Box<[Argument]>,
}

#[derive(Debug, Clone)]
pub(crate) enum Argument {
    /// A string in quotes: as written between them, for `States.Format`, and
    /// with its escapes resolved.
    Text {
        raw: Box<str>,
        value: Value,
    },
    /// A number, `true`, `false` or `null`.
    Literal(Value),
    Path(Path),
    Call(Invocation),
}

/// Why a call fails, before the text of the whole call is put around it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong number or kinds of arguments: `States.Runtime`.
    Arguments(String),
    /// Right kinds, impossible values: `States.IntrinsicFailure`, as documented.
    Values(String),
    /// The path of an argument selects nothing: `States.Runtime`.
    Missing(String),
}

impl Call {
    /// Parses a call. Blanks around it are ignored.
    ///
    /// # Errors
    /// If the text is no call of a known function, nests deeper than ten calls,
    /// or escapes other characters than `'`, `{`, `}` and `\`.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(Self { text: text.into(), invocation: parse::call(text)? })
    }

    /// The text it was parsed from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The outermost function.
    #[must_use]
    pub fn function(&self) -> Function {
        self.invocation.function
    }

    /// The value.
    ///
    /// # Errors
    /// If an argument's path selects nothing or an argument does not fit. The
    /// message names the whole call (AWS: observed).
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, EvaluationError> {
        self.invocation.evaluate(scope).map_err(|failure| {
            let (kind, reason) = match failure {
                Failure::Arguments(reason) | Failure::Missing(reason) => (ErrorKind::Runtime, reason),
                Failure::Values(reason) => (ErrorKind::IntrinsicFailure, reason),
            };
            EvaluationError { kind, message: format!("The function '{}' had the following error: {reason}", self.text) }
        })
    }

    /// The names of the variables it reads, in the order of the text.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        let mut names = Vec::new();
        self.invocation.collect_variables(&mut names);
        names.into_iter()
    }
}

impl Invocation {
    fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, Failure> {
        let mut total = 0;
        let mut values = Vec::with_capacity(self.arguments.len());
        for argument in &self.arguments {
            let value = argument.evaluate(scope)?;
            total += weight(&value, MAX_WEIGHT);
            if total > MAX_WEIGHT {
                return Err(self.function.refuse_values(&format!("the arguments are larger than {MAX_WEIGHT} bytes")));
            }
            values.push(value);
        }
        let format = match self.arguments.first() {
            Some(Argument::Text { raw, .. }) => Some(&**raw),
            _ => None,
        };
        self.function.apply(&values, format, scope.environment)
    }

    fn collect_variables<'c>(&'c self, names: &mut Vec<&'c str>) {
        for argument in &self.arguments {
            match argument {
                Argument::Path(path) => names.extend(path.variables()),
                Argument::Call(call) => call.collect_variables(names),
                Argument::Text { .. } | Argument::Literal(_) => {}
            }
        }
    }
}

impl Argument {
    fn evaluate<'v, 's: 'v>(&'v self, scope: &Scope<'s>) -> Result<Cow<'v, Value>, Failure> {
        match self {
            Self::Text { value, .. } | Self::Literal(value) => Ok(Cow::Borrowed(value)),
            Self::Call(call) => call.evaluate(scope).map(Cow::Owned),
            Self::Path(path) => path.resolve(scope).map_err(|miss| {
                Failure::Missing(path.describe(&miss, scope).unwrap_or_else(|| {
                    // A context path is named as it reads from the context
                    // object, with one `$` (observed).
                    let text = match path.root() {
                        Root::Context => &path.text()[1..],
                        Root::Input | Root::Variable(_) => path.text(),
                    };
                    format!(
                        "The JsonPath argument for the field '{text}' could not be found in the \
                         input '{}'",
                        scope.input
                    )
                }))
            }),
        }
    }
}
