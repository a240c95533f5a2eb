//! The outside world of a simulated engine: its clock, its randomness, an interpreter that can be told to break, and a
//! connector whose calls end when and how the world decides.

use std::{
    borrow::Cow,
    cell::Cell,
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};

use stepwright_asl::Resource;
use stepwright_engine::{
    BoxFuture, Connector, ConnectorFailure, ConnectorLimits, Step, StepFunction, TaskCall, TaskOutcome,
    clock::{Clock, SeedSource},
};
use stepwright_machine::{Definition, Effects, Execution, Input, Millis};
use tokio::sync::oneshot;

use crate::workload::Dice;

/// A clock that the world sets.
pub(crate) struct SimClock(AtomicI64);

impl SimClock {
    pub(crate) fn at(now: Millis) -> Self {
        Self(AtomicI64::new(now))
    }

    pub(crate) fn set(&self, now: Millis) {
        self.0.store(now, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Millis {
        self.0.load(Ordering::Relaxed)
    }
}

/// Randomness that the world's seed decides.
pub(crate) struct SimSeeds(AtomicU64);

impl SimSeeds {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        Self(AtomicU64::new(dice.bits()))
    }
}

impl SeedSource for SimSeeds {
    fn next(&self) -> u64 {
        Dice::new(self.0.fetch_add(1, Ordering::Relaxed)).bits()
    }
}

thread_local! {
    /// Turns until the interpreter breaks; below 0: it does not.
    static BREAK_AFTER: Cell<i64> = const { Cell::new(-1) };
    static BROKE: Cell<u64> = const { Cell::new(0) };
}

/// Lets the interpreter break after so many turns; never, if there is no number.
pub(crate) fn break_after(turns: Option<u32>) {
    BREAK_AFTER.set(turns.map_or(-1, i64::from));
}

/// How often it broke since this was last asked.
pub(crate) fn take_broken() -> u64 {
    BROKE.take()
}

/// What a break says.
pub(crate) const BREAK: &str = "the simulated interpreter broke";

fn breaking(
    step: Step,
    definition: &Definition,
    execution: &mut Execution,
    inputs: &[Input],
    steps: u64,
) -> Option<Effects> {
    let left = BREAK_AFTER.get();
    BREAK_AFTER.set((left - 1).max(-1));
    let effects = step(definition, execution, inputs, steps);
    if left == 0 {
        // The execution in memory is changed by now: whoever keeps it keeps what was never committed.
        BROKE.set(BROKE.get() + 1);
        resume_unwind(Box::new(BREAK));
    }
    effects
}

/// The interpreter.
pub(crate) fn interpreter() -> StepFunction {
    StepFunction {
        begin: |definition, execution, inputs, steps| {
            breaking(stepwright_machine::step_within, definition, execution, inputs, steps)
        },
        more: |definition, execution, inputs, steps| {
            breaking(stepwright_machine::step_on_within, definition, execution, inputs, steps)
        },
    }
}

/// How a call ends.
pub(crate) enum Ending {
    With(TaskOutcome),
    Panic,
}

/// A call under way.
pub(crate) struct OpenCall {
    pub(crate) call: TaskCall,
    pub(crate) end: oneshot::Sender<Ending>,
}

/// Something that is asked about a job.
pub(crate) struct JobCall {
    pub(crate) call: TaskCall,
    pub(crate) end: JobEnd,
}

/// What is asked, and how that is answered.
pub(crate) enum JobEnd {
    /// To say when it ends.
    Follow(oneshot::Sender<Ending>),
    /// To end; none: the connector breaks.
    Cancel(oneshot::Sender<Option<Result<(), ConnectorFailure>>>),
}

impl JobEnd {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Follow(end) => end.is_closed(),
            Self::Cancel(end) => end.is_closed(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Follow(_) => "followed",
            Self::Cancel(_) => "to be ended",
        }
    }
}

/// Functions and services.
pub(crate) struct Services {
    new: Mutex<Vec<OpenCall>>,
    asked: Mutex<Vec<JobCall>>,
    /// Whether jobs are known by their tasks' tokens, so that they can be submitted again.
    repeats: bool,
    concurrency: usize,
}

impl Services {
    pub(crate) fn new(concurrency: usize, repeats: bool) -> Arc<Self> {
        Arc::new(Self { new: Mutex::default(), asked: Mutex::default(), repeats, concurrency })
    }

    /// Whether this may be submitted again.
    pub(crate) fn repeats(&self, resource: &Resource) -> bool {
        self.repeats && resource.is_job()
    }

    /// What was asked about jobs since this was last looked at.
    pub(crate) fn take_asked(&self) -> Vec<JobCall> {
        std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask(&self, call: TaskCall, end: JobEnd) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).push(JobCall { call, end });
    }

    /// Calls that began since this was last asked.
    pub(crate) fn take_new(&self) -> Vec<OpenCall> {
        std::mem::take(&mut *self.new.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The connector to the services.
pub(crate) struct Scripted(pub(crate) Arc<Services>);

impl Connector for Scripted {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn accepts(&self, resource: &Resource) -> bool {
        match resource {
            Resource::LambdaFunction { .. } => true,
            Resource::Integration(integration) => {
                matches!(&*integration.resource_type, "lambda" | "states")
            }
            Resource::Activity { .. } => false,
        }
    }

    fn service<'a>(&'a self, resource: &'a Resource, input: &'a str) -> Cow<'a, str> {
        match resource {
            Resource::LambdaFunction { arn } => Cow::Borrowed(arn.rsplit(':').next().unwrap_or_default()),
            // By what it is given, as a function that the input names.
            _ => Cow::Owned(format!("service-{}", input.len() % 3)),
        }
    }

    fn limits(&self) -> ConnectorLimits {
        ConnectorLimits { concurrency: self.0.concurrency }
    }

    fn lost_error(&self, _: &Resource) -> ConnectorFailure {
        ConnectorFailure::new("Lambda.SdkClientException", "The answer to the call was lost.")
    }

    fn repeats(&self, resource: &Resource) -> bool {
        self.0.repeats(resource)
    }

    fn follow(&self, call: TaskCall) -> BoxFuture<TaskOutcome> {
        let (end, ended) = oneshot::channel();
        self.0.ask(call, JobEnd::Follow(end));
        Box::pin(end_of(ended))
    }

    fn cancel(&self, call: TaskCall) -> BoxFuture<Result<(), ConnectorFailure>> {
        let (end, ended) = oneshot::channel();
        self.0.ask(call, JobEnd::Cancel(end));
        Box::pin(async move {
            match ended.await {
                Ok(Some(done)) => done,
                Ok(None) => resume_unwind(Box::new("the simulated connector broke")),
                Err(_) => std::future::pending().await,
            }
        })
    }

    fn call(&self, call: TaskCall) -> BoxFuture<TaskOutcome> {
        let (end, ended) = oneshot::channel();
        self.0.new.lock().unwrap_or_else(PoisonError::into_inner).push(OpenCall { call, end });
        Box::pin(end_of(ended))
    }
}

async fn end_of(ended: oneshot::Receiver<Ending>) -> TaskOutcome {
    match ended.await {
        Ok(Ending::With(outcome)) => outcome,
        Ok(Ending::Panic) => resume_unwind(Box::new("the simulated connector broke")),
        // Nobody answers any more.
        Err(_) => std::future::pending().await,
    }
}
