//! Everything that can happen to an execution. Variants are only ever appended: stored turns name them by position.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    id::{Millis, TaskId, TimerId},
    payload::Payload,
};

/// Something that happened, when, and the randomness that its handling may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// When it happened. An execution's time never goes back: earlier times are lifted to the last one.
    pub at: Millis,
    /// Where pseudo-random draws (jitter, `States.UUID`, `States.MathRandom`) start.
    pub seed: u64,
    /// What happened.
    pub kind: InputKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum InputKind {
    /// The execution starts. The first input of every execution.
    Start {
        /// The execution input, as given.
        input: Payload,
    },
    /// A turn ended because of its length; go on ([`Command::Continue`](crate::Command::Continue)).
    Continue,
    /// The activity of a [`Command::FindActivity`](crate::Command::FindActivity) exists.
    ActivityFound {
        /// The task.
        task: TaskId,
    },
    /// The activity of a [`Command::FindActivity`](crate::Command::FindActivity) does not exist.
    ActivityMissing {
        /// The task.
        task: TaskId,
    },
    /// A task is about to be sent to its service, or was taken by a worker. Committed before it is sent.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// The worker's name, of an activity task.
        worker_name: Option<Arc<str>>,
    },
    /// A job or callback task was submitted.
    TaskSubmitted {
        /// The task.
        task: TaskId,
        /// The submit call's answer.
        output: Payload,
    },
    /// A task was answered.
    TaskSucceeded {
        /// The task.
        task: TaskId,
        /// Its result.
        output: Payload,
    },
    /// A task failed.
    TaskFailed {
        /// The task.
        task: TaskId,
        /// Error name.
        error: Option<Arc<str>>,
        /// Cause.
        cause: Option<Arc<str>>,
    },
    /// A worker says that it is still at it.
    Heartbeat {
        /// The task.
        task: TaskId,
    },
    /// A timer is due.
    TimerFired {
        /// The timer.
        timer: TimerId,
    },
    /// A heartbeat timer ran out while the engine was down: the worker gets one full period more.
    HeartbeatGrace {
        /// The timer.
        timer: TimerId,
    },
    /// StopExecution.
    Stop {
        /// Error name.
        error: Option<Arc<str>>,
        /// Cause.
        cause: Option<Arc<str>>,
    },
    /// The engine gives up on a quarantined execution.
    Abandon {
        /// Why.
        cause: Arc<str>,
    },
    /// Tasks that ended badly before this in the turn have their consequences now. Written by the interpreter itself,
    /// in the place of an input that came to nothing but before.
    Settle,
    /// The call that submits a callback task failed.
    SubmitFailed {
        /// The task.
        task: TaskId,
        /// Error name.
        error: Option<Arc<str>>,
        /// Cause.
        cause: Option<Arc<str>>,
    },
    /// Nobody will hear how the call that submits a callback task ended: the server died meanwhile. Whoever got the
    /// token may still answer.
    SubmitLost {
        /// The task.
        task: TaskId,
    },
    /// What the other inputs of this turn bring goes on in the next turn. The engine's own, so that who waits for this
    /// turn need not wait for what the execution does.
    Pause,
    /// RedriveExecution: an execution that closed without success goes on.
    Redrive,
    /// The execution was open for as long as any may be.
    Expire,
    /// A map run ended well.
    MapRunSucceeded {
        /// The run.
        run: TaskId,
        /// The state's result.
        output: Payload,
    },
    /// A map run ended badly.
    MapRunFailed {
        /// The run.
        run: TaskId,
        /// Error name.
        error: Option<Arc<str>>,
        /// Cause.
        cause: Option<Arc<str>>,
    },
}
