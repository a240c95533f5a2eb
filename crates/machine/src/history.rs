//! History events, compact: a state is named by its number, a text by its payload's number. The server
//! spells them as AWS does. Variants are only ever appended: stored turns name them by position.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stepwright_asl::StateId;

use crate::{id::EventId, payload::Payload};

/// One history event. Its own number and time are those of its place in its turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// `previousEventId`, counted back from the event's own number: 0 stands for "none" (previousEventId 0).
    pub back: EventId,
    /// What happened.
    pub kind: EventKind,
}

impl HistoryEvent {
    /// `previousEventId` of the event with number `id`.
    #[must_use]
    pub fn previous(&self, id: EventId) -> EventId {
        if self.back == 0 { 0 } else { id - self.back }
    }
}

/// A [`StateId`] as stored.
pub type StateNumber = u32;

/// The number of a state as stored.
#[must_use]
pub fn state_number(id: StateId) -> StateNumber {
    id.0
}

/// Error and cause, both optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Error name.
    pub error: Option<Arc<str>>,
    /// Cause.
    pub cause: Option<Arc<str>>,
}

/// What happened, with AWS's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "names and members are AWS's; `state` is the state they are about")]
pub enum EventKind {
    ExecutionStarted {
        input: Payload,
    },
    ExecutionSucceeded {
        output: Payload,
    },
    ExecutionFailed(Failure),
    ExecutionAborted(Failure),
    ExecutionTimedOut(Failure),
    /// `<type of the state>StateEntered`
    StateEntered {
        state: StateNumber,
        input: Payload,
    },
    /// `<type of the state>StateExited`
    StateExited {
        state: StateNumber,
        output: Payload,
        assigned: Vec<(Arc<str>, Payload)>,
    },
    /// `TaskStateAborted`, `WaitStateAborted`, `ParallelStateAborted`, `MapStateAborted`
    StateAborted {
        state: StateNumber,
    },
    LambdaFunctionScheduled {
        state: StateNumber,
        input: Payload,
        timeout: Option<u64>,
        role_arn: Option<Arc<str>>,
    },
    LambdaFunctionStarted,
    LambdaFunctionSucceeded {
        output: Payload,
    },
    LambdaFunctionFailed(Failure),
    LambdaFunctionTimedOut(Failure),
    ActivityScheduled {
        state: StateNumber,
        input: Payload,
        timeout: Option<u64>,
        heartbeat: Option<u64>,
    },
    ActivityStarted {
        worker_name: Option<Arc<str>>,
    },
    ActivitySucceeded {
        output: Payload,
    },
    ActivityFailed(Failure),
    ActivityTimedOut(Failure),
    TaskScheduled {
        state: StateNumber,
        parameters: Payload,
        timeout: Option<u64>,
        heartbeat: Option<u64>,
        role_arn: Option<Arc<str>>,
    },
    TaskStarted {
        state: StateNumber,
    },
    TaskSubmitted {
        state: StateNumber,
        output: Payload,
    },
    TaskSucceeded {
        state: StateNumber,
        output: Payload,
    },
    TaskFailed {
        state: StateNumber,
        failure: Failure,
    },
    TaskTimedOut {
        state: StateNumber,
        failure: Failure,
    },
    ParallelStateStarted,
    ParallelStateSucceeded,
    ParallelStateFailed,
    MapStateStarted {
        length: u64,
    },
    MapStateSucceeded,
    MapStateFailed,
    MapIterationStarted {
        state: StateNumber,
        index: u64,
    },
    MapIterationSucceeded {
        state: StateNumber,
        index: u64,
    },
    MapIterationFailed {
        state: StateNumber,
        index: u64,
    },
    MapIterationAborted {
        state: StateNumber,
        index: u64,
    },
    /// A JSONata expression failed. The location is the field, where there is one: `Choices[0]/Output/total`.
    EvaluationFailed {
        state: StateNumber,
        location: Option<Arc<str>>,
        failure: Failure,
    },
    ExecutionRedriven {
        count: u32,
    },
    MapRunStarted {
        arn: Arc<str>,
    },
    MapRunSucceeded,
    MapRunFailed(Failure),
    MapRunAborted,
    MapRunRedriven {
        arn: Arc<str>,
        count: u32,
    },
}
