//! An execution in memory: what never changes, its head, and its frames. The shell stores each part as a row of its
//! own and gives them back; only [`step`](crate::step) changes head and frames.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    frame::Frame,
    id::{EventId, ExecutionId, FrameId, Millis, TimerId, TurnId},
    payload::{Payload, PayloadId},
};

/// The rules of the interpreter that an execution started under. Raised when a change would make the fold of stored
/// inputs give other frames or another history.
pub const SEMANTICS: u16 = 2;

/// Limits that an execution keeps for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// History events at most; the last is ExecutionFailed. AWS: 25,000. 0: no limit.
    pub history_events: u64,
    /// Bytes of UTF-8 of each input, output, result, parameters. AWS: 262,144. 0: no limit.
    pub payload_bytes: u64,
    /// Iterations of an inline Map in flight. AWS: 40. 0: no limit.
    pub inline_concurrency: u64,
    /// Bounds of JSONata. Stored apart from the others, which are older.
    #[serde(skip)]
    pub evaluation: EvaluationLimits,
}

/// What an evaluation in JSONata may take. AWS does not tell its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationLimits {
    /// Steps of the expressions of one field.
    pub steps: u64,
    /// Bytes that one expression may allocate in all.
    pub bytes: u64,
}

impl EvaluationLimits {
    /// A second at worst, a tenth of one as a rule.
    pub const USUAL: EvaluationLimits = EvaluationLimits { steps: 10_000_000, bytes: 256 << 20 };

    /// The bounds of one evaluation, where so many steps are left.
    pub(crate) fn of_evaluation(self, left: u64) -> stepwright_querylang::jsonata::Limits {
        stepwright_querylang::jsonata::Limits {
            steps: self.steps.min(left),
            memory_bytes: usize::try_from(self.bytes).unwrap_or(usize::MAX),
            ..Default::default()
        }
    }
}

impl Default for EvaluationLimits {
    fn default() -> Self {
        Self::USUAL
    }
}

impl Limits {
    /// AWS's own, and our own where it tells none.
    pub const AWS: Limits = Limits {
        history_events: 25_000,
        payload_bytes: 262_144,
        inline_concurrency: 40,
        evaluation: EvaluationLimits::USUAL,
    };
}

/// The kind of workflow that an execution belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Workflow {
    /// Durable, with a history.
    #[default]
    Standard,
    /// Short, in memory.
    Express {
        /// When it began: later than it started if a crash made it begin again.
        began_at: Millis,
        /// How long it may last from then, in seconds. AWS: 300.
        lasts_seconds: u64,
        /// Somebody waits for its result: then its context object has no `RedriveCount` (AWS: recorded).
        synchronous: bool,
    },
}

/// What is fixed when an execution starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecutionInfo {
    /// Identity in the store.
    pub id: ExecutionId,
    /// The execution ARN.
    pub arn: Arc<str>,
    /// The execution's name.
    pub name: Arc<str>,
    /// The role it started with.
    pub role_arn: Arc<str>,
    /// The unqualified state machine ARN.
    pub state_machine_arn: Arc<str>,
    /// The machine's name.
    pub state_machine_name: Arc<str>,
    /// The version it was started by, if any.
    pub version_arn: Option<Arc<str>>,
    /// The alias it was started by, if any.
    pub alias_arn: Option<Arc<str>>,
    /// The internal number of the machine.
    pub machine: u64,
    /// The internal number of the revision whose definition it runs.
    pub revision: u64,
    /// When it started.
    pub started_at: Millis,
    /// X-Ray trace header, if given.
    pub trace_header: Option<Arc<str>>,
    /// Limits in force.
    pub limits: Limits,
    /// [`SEMANTICS`] at the start.
    pub semantics: u16,
    /// The account-and-region number, the first part of every key and of task tokens.
    pub scope: u32,
    /// Key of this execution's task tokens; derived by the engine, never stored.
    #[serde(skip)]
    pub token_key: [u8; 32],
    /// Its kind. What is stored is Standard.
    #[serde(skip)]
    pub workflow: Workflow,
    /// The flow that it runs: the machine's own, or the item processor of a distributed Map whose child it is. Stored
    /// apart.
    #[serde(skip)]
    pub flow: u32,
    /// The test case whose mocked answers it gets. Stored apart.
    #[serde(skip)]
    pub test_case: Option<Arc<str>>,
}

impl ExecutionInfo {
    /// Of an execution that is in no store and has no names: the test of a state.
    #[must_use]
    pub fn nowhere() -> Self {
        let none: Arc<str> = "".into();
        Self {
            id: ExecutionId::from_bytes([0; 16]),
            arn: none.clone(),
            name: none.clone(),
            role_arn: none.clone(),
            state_machine_arn: none.clone(),
            state_machine_name: none,
            version_arn: None,
            alias_arn: None,
            machine: 0,
            revision: 0,
            started_at: 0,
            trace_header: None,
            limits: Limits::AWS,
            semantics: SEMANTICS,
            scope: 0,
            token_key: [0; 32],
            workflow: Workflow::Standard,
            flow: 0,
            test_case: None,
        }
    }
}

/// `RUNNING`, or how an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "AWS's names")]
pub enum Status {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// Never `Running`.
    pub status: Status,
    /// `stopDate`.
    pub at: Millis,
    /// Output of a success.
    pub output: Option<Payload>,
    /// Error name.
    pub error: Option<Arc<str>>,
    /// Cause.
    pub cause: Option<Arc<str>>,
}

/// What changes at every turn, small.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The last turn.
    pub turn: TurnId,
    /// Payloads that the last turn made.
    pub turn_payloads: u32,
    /// The number of the next event.
    pub next_event: EventId,
    /// The number of the next frame.
    pub next_frame: u32,
    /// The next number of a task or timer.
    pub next_number: u32,
    /// The time of the last turn.
    pub last_at: Millis,
    /// The execution input.
    pub input: Payload,
    /// The execution's time-out, with its due time.
    pub timeout: Option<(TimerId, Millis)>,
    /// Frames that a turn's length cut off and that go on with `Continue`, in their order.
    pub ready: Vec<FrameId>,
    /// How it ended.
    pub closing: Option<Closing>,
    /// How often it was redriven, and when last. Stored with what does not change at every turn.
    #[serde(skip)]
    pub redriven: Option<(u32, Millis)>,
}

/// An execution in memory.
#[derive(Clone, Debug)]
pub struct Execution {
    /// What never changes.
    pub info: ExecutionInfo,
    /// What changes at every turn.
    pub head: Head,
    /// The frames: the execution's own, and one for each open branch or iteration.
    pub frames: BTreeMap<FrameId, Frame>,
    /// How long the turn at hand is. Means nothing between turns.
    pub(crate) length: TurnLength,
}

/// What a frame takes beside its texts, about.
const FRAME_BYTES: usize = 256;

/// Payloads that were counted.
#[derive(Default)]
struct Held {
    seen: BTreeSet<PayloadId>,
    bytes: usize,
}

impl Held {
    fn add(&mut self, payload: &Payload) {
        if self.seen.insert(payload.id()) {
            self.bytes += payload.text_if_hydrated().map_or(0, |text| text.len());
        }
    }
}

/// What ends a turn when it grows too long. It goes on counting when inputs join the turn: the fold of a turn's inputs
/// knows nothing of when each of them came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TurnLength {
    /// States entered.
    pub(crate) states: u32,
    /// Bytes of new payloads and events.
    pub(crate) bytes: usize,
    /// Steps that JSONata expressions took.
    pub(crate) steps: u64,
}

impl Execution {
    /// An execution that has not started: its first input is `Start`.
    #[must_use]
    pub fn new(info: ExecutionInfo) -> Self {
        let head = Head {
            turn: 0,
            turn_payloads: 0,
            next_event: 1,
            next_frame: 1,
            next_number: 1,
            last_at: info.started_at,
            input: Payload::new("{}"),
            timeout: None,
            ready: Vec::new(),
            closing: None,
            redriven: None,
        };
        Self { info, head, frames: BTreeMap::new(), length: TurnLength::default() }
    }

    /// The next turn, at this time.
    pub(crate) fn begin_turn(&mut self, at: Millis) {
        self.head.turn += 1;
        self.head.turn_payloads = 0;
        self.head.last_at = at;
        self.length = TurnLength::default();
    }

    /// Bytes of the texts that it holds, each counted once, and about what its frames take. Walks all of it.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let mut held = Held::default();
        held.add(&self.head.input);
        if let Some(output) = self.head.closing.as_ref().and_then(|closing| closing.output.as_ref()) {
            held.add(output);
        }
        for frame in self.frames.values() {
            held.bytes += FRAME_BYTES;
            frame.payloads(&mut |payload| held.add(payload));
        }
        held.bytes
    }

    /// Its status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.head.closing.as_ref().map_or(Status::Running, |closing| closing.status)
    }

    /// Gives every payload that frames and head name its text again, after they were read back.
    ///
    /// # Errors
    /// The number of a payload that `source` does not know.
    pub fn hydrate(&mut self, mut source: impl FnMut(PayloadId) -> Option<Arc<str>>) -> Result<(), PayloadId> {
        // One text for each number, as in an execution that was never read back: whether a state's data is a payload
        // that exists already is seen by that.
        let mut known: BTreeMap<PayloadId, Payload> = BTreeMap::new();
        let mut once = |id| {
            if let Some(payload) = known.get(&id) {
                return Some(payload.clone());
            }
            let payload = Payload::numbered(id, source(id)?);
            known.insert(id, payload.clone());
            Some(payload)
        };
        self.head.input.hydrate_from(&mut once)?;
        for frame in self.frames.values_mut() {
            frame.hydrate_from(&mut once)?;
        }
        Ok(())
    }
}
