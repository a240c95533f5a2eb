//! The typed form of a definition that passed validation: what the interpreter runs.
//!
//! A definition is flattened: every state at any depth has a [`StateId`], its index in document order, so that
//! histories and frames name a state with one small number. The same text always gives the same numbers.
//! Nothing here evaluates anything or reads the text again.

use std::sync::Arc;

use serde_json::Value;
use stepwright_querylang::jsonata::{StatesExpression, StatesTemplate};
use stepwright_querylang::{Expression, Path, ReferencePath, Template};

use crate::map_run::MapRunFields;
use crate::resource::Resource;

/// A state's number: its index in [`Definition::states`], document order, at any depth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub u32);

/// A flow's number: its index in [`Definition::flows`]. Flow 0 is the machine itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FlowId(pub u32);

/// The language of a state's expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum QueryLanguage {
    /// Paths, payload templates and intrinsic functions.
    #[default]
    JsonPath,
    /// `{% … %}` expressions.
    Jsonata,
}

/// A whole state machine definition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The machine's default query language.
    pub query_language: QueryLanguage,
    /// Execution time-out in seconds, if given.
    pub timeout_seconds: Option<u64>,
    /// The machine, every branch and every item processor.
    pub flows: Vec<Flow>,
    /// Every state at any depth, in document order.
    pub states: Vec<State>,
}

impl Definition {
    /// The flow that an execution starts in.
    pub const ROOT: FlowId = FlowId(0);

    /// The state with this number. Panics if the number is from another definition.
    #[must_use]
    pub fn state(&self, id: StateId) -> &State {
        &self.states[id.0 as usize]
    }

    /// The flow with this number. Panics if the number is from another definition.
    #[must_use]
    pub fn flow(&self, id: FlowId) -> &Flow {
        &self.flows[id.0 as usize]
    }
}

/// A set of states with a first one: the machine, a branch of a Parallel state or the processor of a Map state.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Where it begins.
    pub start_at: StateId,
    /// The Parallel or Map state that owns the flow; none for the machine.
    pub owner: Option<StateId>,
}

/// One state.
#[derive(Clone, Debug)]
pub struct State {
    /// Its number.
    pub id: StateId,
    /// Its name, unique in the definition.
    pub name: Arc<str>,
    /// The flow it belongs to.
    pub flow: FlowId,
    /// Its own query language, resolved.
    pub query_language: QueryLanguage,
    /// JSONPath data flow. For a JSONata state all members have their defaults.
    pub data: DataFlow,
    /// JSONata data flow. For a JSONPath state all members are absent.
    pub jsonata: JsonataFields,
    /// What the state does.
    pub kind: StateKind,
}

/// Where a state leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// To another state of the same flow.
    Next(StateId),
    /// The flow ends here.
    End,
}

/// `InputPath` or `OutputPath`.
#[derive(Clone, Debug, Default)]
pub enum PathField {
    /// Absent: `$`.
    #[default]
    Whole,
    /// `null`: an empty object.
    Nothing,
    /// A path.
    Path(Path),
}

/// `ResultPath`.
#[derive(Clone, Debug, Default)]
pub enum ResultPath {
    /// Absent or `$`: the result replaces the input.
    #[default]
    Replace,
    /// `null`: the result is dropped.
    Discard,
    /// The result goes there in the raw input.
    At(ReferencePath),
}

/// The JSONPath fields that shape a state's data.
#[derive(Clone, Debug, Default)]
pub struct DataFlow {
    /// `InputPath`.
    pub input_path: PathField,
    /// `Parameters`. For a Map state, the old name of ItemSelector is not here but in [`Map::item_selector`].
    pub parameters: Option<Template>,
    /// `ResultSelector`.
    pub result_selector: Option<Template>,
    /// `ResultPath`.
    pub result_path: ResultPath,
    /// `OutputPath`.
    pub output_path: PathField,
    /// `Assign`: a template whose top-level members are variables.
    pub assign: Option<Template>,
}

/// The JSONata fields that shape the data of a state, a choice rule or a catcher.
#[derive(Clone, Debug, Default)]
pub struct JsonataFields {
    /// `Arguments`.
    pub arguments: Option<StatesTemplate>,
    /// `Output`.
    pub output: Option<StatesTemplate>,
    /// `Assign`: an object whose members are variables.
    pub assign: Option<StatesTemplate>,
}

/// A number given literally, by a reference path, or by a JSONata expression.
#[derive(Clone, Debug)]
pub enum NumberField<N> {
    /// A literal.
    Literal(N),
    /// The `…Path` form.
    Path(ReferencePath),
    /// A JSONata expression.
    Jsonata(StatesExpression),
}

/// A text given literally, by a path or intrinsic call (`ErrorPath`, `CausePath`), or by a JSONata expression.
#[derive(Clone, Debug)]
pub enum TextField {
    /// A literal.
    Literal(Arc<str>),
    /// The `…Path` form.
    Expression(Expression),
    /// A JSONata expression.
    Jsonata(StatesExpression),
}

/// What a state does.
#[derive(Clone, Debug)]
pub enum StateKind {
    /// Calls a resource.
    Task(Box<Task>),
    /// Shapes data.
    Pass(Pass),
    /// Chooses the next state.
    Choice(Choice),
    /// Waits for a time.
    Wait(Wait),
    /// Ends its flow well.
    Succeed,
    /// Ends its flow with an error.
    Fail(Fail),
    /// Runs branches side by side.
    Parallel(Parallel),
    /// Runs a flow for each item.
    Map(Box<Map>),
}

/// A Task state.
#[derive(Clone, Debug)]
pub struct Task {
    /// What is called.
    pub resource: Resource,
    /// `TimeoutSeconds(Path)`.
    pub timeout_seconds: Option<NumberField<u64>>,
    /// `HeartbeatSeconds(Path)`.
    pub heartbeat_seconds: Option<NumberField<u64>>,
    /// `Credentials`.
    pub credentials: Option<Credentials>,
    /// `Retry`.
    pub retry: Vec<Retrier>,
    /// `Catch`.
    pub catch: Vec<Catcher>,
    /// `Next` or `End`.
    pub transition: Transition,
}

/// `Credentials`: they yield an object with the member `RoleArn`.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// A payload template.
    JsonPath(Template),
    /// JSON with expressions.
    Jsonata(StatesTemplate),
}

/// A Pass state.
#[derive(Clone, Debug)]
pub struct Pass {
    /// `Result`, literal.
    pub result: Option<Value>,
    /// `Next` or `End`.
    pub transition: Transition,
}

/// A Wait state.
#[derive(Clone, Debug)]
pub struct Wait {
    /// How long, or until when.
    pub until: WaitUntil,
    /// `Next` or `End`.
    pub transition: Transition,
}

/// How long a Wait state waits.
#[derive(Clone, Debug)]
pub enum WaitUntil {
    /// `Seconds`, 0–99 999 999.
    Seconds(u64),
    /// `SecondsPath`.
    SecondsPath(ReferencePath),
    /// `Timestamp`, milliseconds since the epoch.
    Timestamp(i64),
    /// `TimestampPath`.
    TimestampPath(ReferencePath),
    /// `Seconds` as a JSONata expression.
    SecondsJsonata(StatesExpression),
    /// `Timestamp` as a JSONata expression.
    TimestampJsonata(StatesExpression),
}

/// A Fail state.
#[derive(Clone, Debug)]
pub struct Fail {
    /// `Error` or `ErrorPath`.
    pub error: Option<TextField>,
    /// `Cause` or `CausePath`.
    pub cause: Option<TextField>,
}

/// A Choice state.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The rules, tried in order.
    pub rules: Vec<ChoiceRule>,
    /// `Default`.
    pub default: Option<StateId>,
}

/// A rule of a Choice state.
#[derive(Clone, Debug)]
pub struct ChoiceRule {
    /// When it matches.
    pub condition: Condition,
    /// Where it leads.
    pub next: StateId,
    /// The rule's own `Assign` (JSONPath).
    pub assign: Option<Template>,
    /// The rule's own JSONata `Assign` and `Output`.
    pub jsonata: JsonataFields,
}

/// A condition of a choice rule.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All hold; evaluation stops at the first that does not.
    And(Vec<Condition>),
    /// One holds; evaluation stops there.
    Or(Vec<Condition>),
    /// The opposite.
    Not(Box<Condition>),
    /// A data test.
    Test {
        /// `Variable`.
        variable: Path,
        /// The comparison.
        test: Test,
    },
    /// A literal `Condition: true|false` of a JSONata rule.
    Literal(bool),
    /// A JSONata `Condition`.
    Jsonata(StatesExpression),
}

/// A data test operator with its operand.
#[derive(Clone, Debug)]
pub enum Test {
    /// `String…`, `Numeric…`, `Timestamp…`, `BooleanEquals` and their `…Path` forms.
    Compare {
        /// What both sides must be.
        domain: Domain,
        /// The relation.
        relation: Relation,
        /// The right-hand side.
        operand: Operand,
    },
    /// `StringMatches`: `*` is any run, `\*` and `\\` are literal.
    StringMatches(Arc<str>),
    /// `IsNull`.
    IsNull(bool),
    /// `IsPresent`.
    IsPresent(bool),
    /// `IsString`.
    IsString(bool),
    /// `IsNumeric`.
    IsNumeric(bool),
    /// `IsBoolean`.
    IsBoolean(bool),
    /// `IsTimestamp`.
    IsTimestamp(bool),
}

/// What a comparison compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Strings, by UTF-16 code unit.
    String,
    /// Numbers.
    Numeric,
    /// Booleans.
    Boolean,
    /// RFC 3339 instants.
    Timestamp,
}

/// A relation between two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `Equals`.
    Equals,
    /// `LessThan`.
    LessThan,
    /// `GreaterThan`.
    GreaterThan,
    /// `LessThanEquals`.
    LessThanEquals,
    /// `GreaterThanEquals`.
    GreaterThanEquals,
}

/// The right-hand side of a comparison.
#[derive(Clone, Debug)]
pub enum Operand {
    /// A literal of the right type (validated; timestamps are kept as text).
    Literal(Value),
    /// The `…Path` form.
    Path(Path),
}

/// A Parallel state.
#[derive(Clone, Debug)]
pub struct Parallel {
    /// The branches.
    pub branches: Vec<FlowId>,
    /// `Retry`.
    pub retry: Vec<Retrier>,
    /// `Catch`.
    pub catch: Vec<Catcher>,
    /// `Next` or `End`.
    pub transition: Transition,
}

/// A Map state.
#[derive(Clone, Debug)]
pub struct Map {
    /// The item processor's flow.
    pub processor: FlowId,
    /// Inline, or as a map run of child executions.
    pub mode: MapMode,
    /// `ItemsPath`.
    pub items_path: Option<ReferencePath>,
    /// JSONata `Items`.
    pub items_jsonata: Option<StatesTemplate>,
    /// `ItemSelector` (or its old name `Parameters`).
    pub item_selector: Option<Template>,
    /// JSONata `ItemSelector`.
    pub item_selector_jsonata: Option<StatesTemplate>,
    /// `MaxConcurrency(Path)`; absent and 0 mean unlimited.
    pub max_concurrency: Option<NumberField<u64>>,
    /// The fields of a distributed Map, as written: `ItemReader`, `ItemBatcher`, `ResultWriter`, `Label`,
    /// `ToleratedFailure…`.
    pub distributed: Value,
    /// The same, typed.
    pub run: MapRunFields,
    /// `Retry`.
    pub retry: Vec<Retrier>,
    /// `Catch`.
    pub catch: Vec<Catcher>,
    /// `Next` or `End`.
    pub transition: Transition,
}

/// How a Map state runs its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapMode {
    /// In the same execution.
    Inline,
    /// As STANDARD child executions.
    DistributedStandard,
    /// As EXPRESS child executions.
    DistributedExpress,
}

/// An entry of `Retry`.
#[derive(Clone, Debug)]
pub struct Retrier {
    /// Error names.
    pub error_equals: Vec<Arc<str>>,
    /// Seconds before the first retry; default 1.
    pub interval_seconds: u64,
    /// Retries at most; default 3.
    pub max_attempts: u64,
    /// Multiplier per retry; default 2.0.
    pub backoff_rate: f64,
    /// Upper bound of the delay in seconds.
    pub max_delay_seconds: Option<u64>,
    /// `JitterStrategy: FULL`.
    pub full_jitter: bool,
}

/// An entry of `Catch`.
#[derive(Clone, Debug)]
pub struct Catcher {
    /// Error names.
    pub error_equals: Vec<Arc<str>>,
    /// Where it leads.
    pub next: StateId,
    /// `ResultPath` (JSONPath).
    pub result_path: ResultPath,
    /// `Assign` (JSONPath).
    pub assign: Option<Template>,
    /// JSONata `Output` and `Assign`.
    pub jsonata: JsonataFields,
}
