//! What can be chosen when an engine is opened.

use std::{fmt, sync::Arc};

use stepwright_machine::{Definition, Effects, Execution, Input, Limits, Millis};

use crate::{
    clock::{Clock, SeedSource, SystemClock, SystemSeeds},
    connector::Mocks,
    datasets::Datasets,
    event_sink::EventSink,
    limits::TaskLimits,
    notices::NoticeOptions,
    quotas::Quotas,
};

/// Turns the stored text of a definition, which passed validation once, into what the interpreter runs.
/// `Err` says what is wrong with it.
pub type Compile = fn(&str) -> Result<Definition, String>;

/// A part of the interpreter. None: the turn was given up after so many steps of expressions.
pub type Step = fn(&Definition, &mut Execution, &[Input], u64) -> Option<Effects>;

/// The interpreter. Replaced in tests of what the engine does when it panics.
#[derive(Clone, Copy)]
pub struct StepFunction {
    /// Begins a turn: [`stepwright_machine::step_within`].
    pub begin: Step,
    /// Adds to a turn: [`stepwright_machine::step_on_within`].
    pub more: Step,
}

impl Default for StepFunction {
    fn default() -> Self {
        Self { begin: stepwright_machine::step_within, more: stepwright_machine::step_on_within }
    }
}

/// What happens to a call that was under way when the process died.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLost {
    /// The task fails with its connector's connection error, which Retry and Catch see.
    #[default]
    Fail,
    /// The call is made again. Only right when every task may safely run twice.
    Resend,
}

/// What can be chosen when an engine is opened.
#[derive(Clone)]
pub struct EngineOptions {
    /// Compiles the definitions of stored revisions.
    pub compile: Compile,
    /// Threads that run turns. At least 1.
    pub shards: usize,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub seeds: Arc<dyn SeedSource>,
    /// The interpreter.
    pub step: StepFunction,
    /// What happens to calls that were under way when the process died.
    pub tasks_on_lost: OnLost,
    /// How many calls there may be, and how fast they may begin.
    pub tasks: TaskLimits,
    /// How long GetActivityTask waits, in milliseconds of real time.
    pub long_poll_ms: u64,
    /// Workers that may poll one activity at once.
    pub pollers_per_activity: usize,
    /// How long a closed execution is kept, in milliseconds.
    pub retention_ms: Millis,
    /// How long a name stays taken after its execution closed, in milliseconds. At least `retention_ms` is used.
    pub name_retention_ms: Millis,
    /// Executions kept in memory per shard.
    pub hot_executions: usize,
    /// Approximate bytes of executions kept in memory per shard.
    pub hot_bytes: usize,
    /// Compiled definitions kept in memory.
    pub compiled_revisions: usize,
    /// Steps of expressions that a turn may take beside all others. One that takes more is computed by itself, on a
    /// thread of low priority.
    pub steps_at_once: u64,
    /// Limits that new executions keep for life.
    pub limits: Limits,
    /// What one account may have in a region.
    pub quotas: Quotas,
    /// How long an execution may be open, in milliseconds; then it times out. Looked at every hour.
    pub open_ms: Millis,
    /// Who outside is told what.
    pub notices: NoticeOptions,
    /// Who is told the events of Express executions.
    pub event_sink: Option<Arc<dyn EventSink>>,
    /// What Express executions may take.
    pub express: ExpressOptions,
    /// Who answers tasks of executions that were started for a test case; none: there are no test cases.
    pub mocks: Option<Arc<dyn Mocks>>,
    /// Who reads the items of distributed Maps and writes their results; none: there are no such datasets.
    pub datasets: Option<Arc<dyn Datasets>>,
}

/// What Express executions may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpressOptions {
    /// Open at once; more are refused.
    pub executions: usize,
    /// Approximate bytes of memory that open ones may hold when another is started. Those that are open may grow to
    /// twice as much together; beyond that, whichever grows fails.
    pub memory_bytes: usize,
    /// How long one may last, in seconds.
    pub lasts_seconds: u64,
    /// Whether the first turn of a synchronous one is computed on the caller's thread, if it is short. Those threads
    /// must then have a stack of [`STACK_BYTES`](stepwright_machine::STACK_BYTES).
    pub at_once: bool,
}

impl Default for ExpressOptions {
    fn default() -> Self {
        Self { executions: 10_000, memory_bytes: 512 << 20, lasts_seconds: 300, at_once: false }
    }
}

/// A few milliseconds: twice what cuts a turn off.
const STEPS_AT_ONCE: u64 = 100_000;

/// A year.
pub const OPEN_MS: Millis = 365 * 24 * 3_600 * 1_000;

/// Ninety days.
pub const RETENTION_MS: Millis = 90 * 24 * 3_600 * 1_000;

impl EngineOptions {
    /// AWS's values, the machine's clock and randomness.
    #[must_use]
    pub fn new(compile: Compile) -> Self {
        let shards = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            compile,
            shards,
            clock: Arc::new(SystemClock),
            seeds: Arc::new(SystemSeeds),
            step: StepFunction::default(),
            tasks_on_lost: OnLost::Fail,
            tasks: TaskLimits::default(),
            long_poll_ms: 60_000,
            pollers_per_activity: 1_000,
            retention_ms: RETENTION_MS,
            name_retention_ms: RETENTION_MS,
            hot_executions: 10_000,
            hot_bytes: 256 << 20,
            compiled_revisions: 1_000,
            steps_at_once: STEPS_AT_ONCE,
            limits: Limits::AWS,
            quotas: Quotas::default(),
            open_ms: OPEN_MS,
            notices: NoticeOptions::default(),
            event_sink: None,
            express: ExpressOptions::default(),
            mocks: None,
            datasets: None,
        }
    }
}

impl fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineOptions")
            .field("shards", &self.shards)
            .field("tasks_on_lost", &self.tasks_on_lost)
            .field("tasks", &self.tasks)
            .field("long_poll_ms", &self.long_poll_ms)
            .field("retention_ms", &self.retention_ms)
            .field("hot_executions", &self.hot_executions)
            .field("hot_bytes", &self.hot_bytes)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
