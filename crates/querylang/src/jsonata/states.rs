//! Expressions as Step Functions has them: the text of `{% … %}`, what it may read, and what the service says when it
//! fails. Which state and event failed is the caller's to say.

use super::context::{Bindings, Environment, Limits};
use super::error::{Error, Limit};
use super::explain::Explanation;
use super::expression::{Compiler, Dialect, Expression, FreeNameKind};
use super::functions::step_functions;
use super::json::NotJson;
use super::reads::{Reads, Shape, project};
use super::value::{Object, Text, Value};
use crate::value::MAX_WEIGHT;
use serde_json::Value as Json;
use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

/// The 2.0.6 edition with the service's own functions and without `$eval`.
static COMPILER: LazyLock<Compiler> = LazyLock::new(|| {
    let compiler = Compiler::new(Dialect::V2_0_6).without_function("eval");
    step_functions().iter().fold(compiler, Compiler::with_function)
});

/// Which members `$states` has in a field, besides `input` and `context`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Members {
    /// `$states.result`: in `Output` and `Assign` of states that have a result.
    pub result: bool,
    /// `$states.errorOutput`: in `Output` and `Assign` of catchers.
    pub error_output: bool,
}

impl Members {
    /// `input` and `context` alone.
    pub const INPUT: Self = Self { result: false, error_output: false };
    /// And `result`.
    pub const RESULT: Self = Self { result: true, error_output: false };
    /// And `errorOutput`.
    pub const ERROR_OUTPUT: Self = Self { result: false, error_output: true };
}

/// Why a definition may not hold an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is not JSONata.
    Syntax(Error),
    /// It asks, at its top, for something that is not there: a field, `$`, `$$`, or a member that `$states` does not
    /// have in this field.
    TopLevel(String),
}

impl std::fmt::Display for Refusal {
    /// The service's words.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Syntax(error) => formatter.write_str(&error.message()),
            Self::TopLevel(name) => write!(formatter, "Reference to '{name}' at the top level is not supported."),
        }
    }
}

/// An evaluation that failed: `States.QueryEvaluationError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationFailure {
    /// The field: `Output/list[2]`, `Catch[1]/Assign/x`.
    pub location: Arc<str>,
    /// The cause, without the service's prefix `An error occurred while executing the state …`.
    pub message: String,
}

/// What the value of a field must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types of JSON")]
pub enum JsonType {
    Array,
    String,
    Number,
    Boolean,
}

impl JsonType {
    fn name(self) -> &'static str {
        match self {
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
        }
    }
}

/// The type of a value, as messages call it.
fn type_name(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

/// What an expression of a state may read.
#[derive(Clone, Copy)]
pub struct StatesScope<'a> {
    /// `$states.input`
    pub input: &'a Json,
    /// `$states.result`
    pub result: Option<&'a Json>,
    /// `$states.errorOutput`
    pub error_output: Option<&'a Json>,
    /// `$states.context`, the variables, and where `$random` and `$uuid` start.
    pub environment: &'a dyn crate::Environment,
    /// The time that `$now` and `$millis` tell.
    pub now_millis: i64,
    /// The bounds of one evaluation. All expressions of a template together take no more steps than one may.
    pub limits: Limits,
    /// Where the steps that evaluations take are added.
    pub spent: Option<&'a Cell<u64>>,
}

/// A compiled `{% … %}`.
///
/// ```
/// use serde_json::{Value, json};
/// use stepwright_querylang::Environment;
/// use stepwright_querylang::jsonata::{Limits, Members, StatesExpression, StatesScope};
///
/// # struct World(Value);
/// # impl Environment for World {
/// #     fn context(&self) -> &Value { &self.0 }
/// #     fn variable(&self, _name: &str) -> Option<&Value> { None }
/// #     fn random(&self) -> u64 { 4 }
/// # }
/// # let world = World(json!({}));
/// let text = StatesExpression::marked("{% $states.input.price * 2 %}").unwrap();
/// let expression = StatesExpression::compile(text, "Output", Members::INPUT).unwrap();
/// let scope = StatesScope {
///     input: &json!({"price": 21}),
///     result: None,
///     error_output: None,
///     environment: &world,
///     now_millis: 0,
///     limits: Limits::default(),
///     spent: None,
/// };
/// assert_eq!(expression.evaluate(&scope).unwrap(), json!(42));
///
/// let refusals = StatesExpression::compile("price * 2", "Output", Members::INPUT).unwrap_err();
/// assert_eq!(refusals[0].to_string(), "Reference to 'price' at the top level is not supported.");
/// ```
#[derive(Debug, Clone)]
pub struct StatesExpression(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    text: String,
    location: Arc<str>,
    expression: Expression,
    reads: Reads,
}

impl StatesExpression {
    /// The expression in a string that is one as a whole: `{% … %}`, without blanks around.
    #[must_use]
    pub fn marked(text: &str) -> Option<&str> {
        text.strip_prefix("{%")?.strip_suffix("%}").map(str::trim)
    }

    /// Compiles an expression. `location` is the field's, for messages and events.
    ///
    /// # Errors
    /// What the service refuses when a definition is stored.
    pub fn compile(text: &str, location: &str, members: Members) -> Result<Self, Vec<Refusal>> {
        let expression = COMPILER.compile(text).map_err(|error| vec![Refusal::Syntax(error)])?;
        let reads = Reads::of(expression.ast());
        let mut names: Vec<String> = Vec::new();
        for free in expression.free_names() {
            match free.kind {
                FreeNameKind::Variable => {}
                FreeNameKind::Item => names.push("$".to_owned()),
                FreeNameKind::Input => names.push("$$".to_owned()),
                FreeNameKind::Field => names.push(free.name.to_string()),
            }
        }
        if let Some(states) = reads.named("states") {
            for (name, allowed) in [("result", members.result), ("errorOutput", members.error_output)] {
                if !allowed && states.members.contains_key(name) {
                    names.push(format!("$states.{name}"));
                }
            }
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| seen.insert(name.clone()));
        if !names.is_empty() {
            return Err(names.into_iter().map(Refusal::TopLevel).collect());
        }
        Ok(Self(Arc::new(Inner { text: text.to_owned(), location: Arc::from(location), expression, reads })))
    }

    /// The text between the marks.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The field it stands in.
    #[must_use]
    pub fn location(&self) -> &Arc<str> {
        &self.0.location
    }

    /// The variables it reads, without `$`: distinct, sorted, without `states`.
    #[must_use]
    pub fn variables(&self) -> Vec<String> {
        let names = self.0.expression.free_names();
        let variables = names.iter().filter(|free| free.kind == FreeNameKind::Variable && &*free.name != "states");
        variables.map(|free| free.name.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The value.
    ///
    /// # Errors
    /// If it throws, ends at a bound, or yields nothing or no JSON.
    pub fn evaluate(&self, scope: &StatesScope<'_>) -> Result<Json, EvaluationFailure> {
        let bindings = Given { reads: &self.0.reads, scope };
        let environment = self.environment(scope, &bindings);
        let value = self.0.expression.evaluate(&Value::Undefined, environment).map_err(|error| {
            let text = match error.reached_limit() {
                None => error.to_string(),
                Some(Limit::Time) => "Expression evaluation timeout".to_owned(),
                Some(Limit::Memory) => "Expression evaluation memory limit exceeded".to_owned(),
                Some(Limit::Depth | Limit::Nesting) => "Stack overflow error".to_owned(),
            };
            self.failure(&format!("threw an error during evaluation. {text}"))
        })?;
        match value.to_json(MAX_WEIGHT) {
            Ok(Some(json)) => Ok(json),
            Ok(None) => Err(self.failure("returned nothing (undefined).")),
            Err(NotJson::Function) => Err(self.failure("returned an unsupported result type.")),
            Err(NotJson::TooLarge) => Err(self.too_large()),
        }
    }

    /// What each of its parts is worth: see [`Expression::explain`].
    #[must_use]
    pub fn explain(&self, scope: &StatesScope<'_>) -> Explanation {
        let bindings = Given { reads: &self.0.reads, scope };
        self.0.expression.explain(&Value::Undefined, self.environment(scope, &bindings))
    }

    fn environment<'a>(&self, scope: &StatesScope<'a>, bindings: &'a Given<'a>) -> Environment<'a> {
        #[expect(clippy::cast_precision_loss, reason = "times fit for 285,000 years")]
        Environment {
            now_millis: scope.now_millis as f64,
            seed: if self.is_random() { scope.environment.random() } else { 0 },
            limits: scope.limits,
            bindings: Some(bindings),
            spent: scope.spent,
            ..Environment::default()
        }
    }

    /// The value, if it is of this type.
    ///
    /// # Errors
    /// As [`evaluate`](Self::evaluate), and if it is of another type.
    pub fn evaluate_to(&self, expected: JsonType, scope: &StatesScope<'_>) -> Result<Json, EvaluationFailure> {
        let value = self.evaluate(scope)?;
        if expected.name() == type_name(&value) { Ok(value) } else { Err(self.type_failure(expected, &value)) }
    }

    /// The failure of a value that is of another type than the field takes.
    #[must_use]
    pub fn type_failure(&self, expected: JsonType, value: &Json) -> EvaluationFailure {
        let (expected, found) = (expected.name(), type_name(value));
        self.failure(&format!(
            "returned an unexpected result type. Expected '{expected}', but was '{found}' for value: {value}"
        ))
    }

    /// A failure of the field whose value came from this expression.
    #[must_use]
    pub fn field_failure(&self, message: String) -> EvaluationFailure {
        EvaluationFailure { location: Arc::clone(&self.0.location), message }
    }

    pub(crate) fn too_large(&self) -> EvaluationFailure {
        self.failure("threw an error during evaluation. Expression evaluation memory limit exceeded")
    }

    fn failure(&self, what: &str) -> EvaluationFailure {
        let Inner { text, location, .. } = &*self.0;
        self.field_failure(format!("The JSONata expression '{text}' specified for the field '{location}' {what}"))
    }

    /// Whether its value depends on chance. Functions may be passed on, so their names count, not their calls.
    fn is_random(&self) -> bool {
        ["random", "uuid", "shuffle"].iter().any(|name| self.0.expression.names(name))
    }
}

/// What an expression finds bound.
struct Given<'a> {
    reads: &'a Reads,
    scope: &'a StatesScope<'a>,
}

impl Bindings for Given<'_> {
    fn get(&self, name: &str) -> Option<Value> {
        let shape = self.reads.needed(name);
        if name != "states" {
            return self.scope.environment.variable(name).map(|value| project(value, shape));
        }
        let mut states = Object::with_capacity(4);
        let mut add = |name: &str, value: &dyn Fn(Option<&Shape>) -> Option<Value>| {
            let part = match shape {
                None => None,
                Some(shape) => match shape.members.get(name) {
                    None => return,
                    part => part,
                },
            };
            if let Some(value) = value(part) {
                states.push_new(Text::from(name), value);
            }
        };
        let scope = self.scope;
        add("input", &|part| Some(project(scope.input, part)));
        add("result", &|part| Some(project(scope.result?, part)));
        add("errorOutput", &|part| Some(project(scope.error_output?, part)));
        add("context", &|part| context(scope.environment, &mut Vec::new(), part));
        Some(Value::from(states))
    }
}

/// The parts of the context object that are read. The whole of it may be costly to put together.
fn context<'n>(
    environment: &dyn crate::Environment,
    names: &mut Vec<&'n str>,
    shape: Option<&'n Shape>,
) -> Option<Value> {
    if let Some((taken, value)) = environment.context_part(names) {
        let value = names[taken.min(names.len())..].iter().try_fold(value, |value, name| value.get(name))?;
        return Some(project(value, shape));
    }
    let Some(shape) = shape.filter(|shape| !shape.whole) else {
        let whole = environment.context();
        let value = names.iter().try_fold(whole, |value, name| value.get(name))?;
        return Some(Value::from_json(value));
    };
    let mut object = Object::with_capacity(shape.members.len());
    for (name, shape) in &shape.members {
        names.push(name);
        if let Some(value) = context(environment, names, Some(shape)) {
            object.push_new(Text::clone(name), value);
        }
        names.pop();
    }
    Some(Value::from(object))
}
