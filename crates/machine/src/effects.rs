//! What a step asks to be made true. The shell commits all of it at once, then acts.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use serde::{Deserialize, Serialize};
use stepwright_asl::StateId;

use crate::{
    execution::Closing,
    history::HistoryEvent,
    id::{EventId, Millis, TaskId, TimerId, TurnId},
    input::Input,
    map_run::MapRunPlan,
    payload::Payload,
};

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It changed the execution.
    Accepted,
    /// What it is about is over (a task no longer open, a timer no longer set, a closed execution): nothing changed.
    Ignored,
}

/// The result of a [`step`](crate::step).
#[derive(Clone, Debug, Default)]
pub struct Effects {
    /// The turn.
    pub turn: TurnId,
    /// The time of every event in it.
    pub at: Millis,
    /// The number of the first event.
    pub first_event: EventId,
    /// One for each input, in order.
    pub outcomes: Vec<Outcome>,
    /// The inputs that were accepted, their payloads numbered.
    pub inputs: Vec<Input>,
    /// History events, numbered on from `first_event`.
    pub events: Vec<HistoryEvent>,
    /// The payloads that this turn made, in order of their index.
    pub payloads: Vec<Payload>,
    /// Frames to write. All exist in the execution.
    pub changed: BTreeSet<u32>,
    /// Frames to delete. Ranges may name frames that were never written.
    pub removed: Vec<Range<u32>>,
    /// What to do once the turn is durable, in order.
    pub commands: Vec<Command>,
    /// Steps that expressions took in the whole turn.
    pub steps: u64,
}

impl Effects {
    /// Whether there is anything to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.events.is_empty() && self.changed.is_empty() && self.commands.is_empty()
    }

    /// Adds what a later step of the same turn brought. Outcomes are those of the later step appended.
    pub fn absorb(&mut self, later: Effects) {
        debug_assert_eq!(self.turn, later.turn, "only steps of one turn are joined");
        self.at = later.at;
        self.outcomes.extend(later.outcomes);
        self.inputs.extend(later.inputs);
        self.events.extend(later.events);
        self.payloads.extend(later.payloads);
        for range in &later.removed {
            self.changed.retain(|frame| !range.contains(frame));
        }
        self.changed.extend(later.changed);
        self.removed.extend(later.removed);
        self.commands.extend(later.commands);
        self.steps = later.steps;
    }
}

/// What a timer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimerKind {
    /// A Wait state.
    Wait,
    /// The delay before a retry.
    Retry,
    /// `TimeoutSeconds` of a task.
    TaskTimeout,
    /// `HeartbeatSeconds` of a task.
    Heartbeat,
    /// `TimeoutSeconds` of the execution.
    ExecutionTimeout,
}

/// A job (`.sync`) of a task that ended without it: it may have been submitted, and may run on. What is known of its call.
#[derive(Clone, Debug)]
pub struct SentTask {
    /// The Task state.
    pub state: StateId,
    /// What was sent.
    pub input: Payload,
    /// `Credentials.RoleArn`.
    pub role_arn: Option<Arc<str>>,
    /// `TimeoutSeconds` in force.
    pub timeout_seconds: Option<u64>,
    /// The retries of this visit of the state before the attempt.
    pub retry_count: u32,
}

/// Something to do once the turn is durable.
#[derive(Clone, Debug)]
pub enum Command {
    /// Look whether an activity exists and say so with `ActivityFound` or `ActivityMissing`, in the same turn.
    FindActivity {
        /// The task.
        task: TaskId,
        /// The activity.
        arn: Arc<str>,
    },
    /// Queue a task. It is sent (or handed to a worker) after a `TaskStarted` input was committed.
    ScheduleTask(ScheduleTask),
    /// A task is over: answered, timed out or no longer wanted.
    CloseTask {
        /// The task.
        task: TaskId,
        /// What it may have left behind.
        job: Option<Box<SentTask>>,
    },
    /// Set a timer.
    SetTimer {
        /// The timer.
        timer: TimerId,
        /// When it is due.
        due: Millis,
        /// What for.
        kind: TimerKind,
    },
    /// Forget a timer.
    CancelTimer {
        /// The timer.
        timer: TimerId,
        /// When it would have been due.
        due: Millis,
    },
    /// The turn ended because of its length: submit `Continue`.
    Continue,
    /// The execution ended.
    Finish(Closing),
    /// Begin a map run.
    StartMapRun {
        /// Its number in the execution.
        run: TaskId,
        /// What it is to do.
        plan: Box<MapRunPlan>,
    },
    /// End a map run whose result nobody waits for any more.
    StopMapRun {
        /// The run.
        run: TaskId,
        /// Its identity.
        uuid: u128,
    },
    /// Go on with a map run that ended badly.
    RedriveMapRun {
        /// The run.
        run: TaskId,
        /// Its identity.
        uuid: u128,
    },
}

/// A task to queue.
#[derive(Clone, Debug)]
pub struct ScheduleTask {
    /// The task.
    pub task: TaskId,
    /// The Task state; its resource says where the task goes.
    pub state: StateId,
    /// What is sent: the effective input, or the parameters of an integration.
    pub input: Payload,
    /// `Credentials.RoleArn`.
    pub role_arn: Option<Arc<str>>,
    /// `TimeoutSeconds` in force, for the connector's own deadline.
    pub timeout_seconds: Option<u64>,
}
