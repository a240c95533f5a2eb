//! Frames: where the execution, a branch or an iteration stands. A step touches only the frames that its inputs name
//! (and their parents' counters), and a commit holds only changed frames, so what is written for one Map item does not
//! grow with the number of items.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    history::{Failure, StateNumber},
    id::{EventId, FrameId, Millis, TaskId, TimerId},
    payload::{Payload, PayloadId},
};

/// Where one thread of control stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// The frame whose Parallel or Map state opened this one.
    pub parent: Option<FrameId>,
    /// The branch's or iteration's index.
    pub slot: u32,
    /// Which flow it runs.
    pub flow: u32,
    /// The last event of its chain: `previousEventId` of the next.
    pub tip: EventId,
    /// Variables of this scope.
    pub variables: BTreeMap<Arc<str>, Payload>,
    /// What it does now.
    pub position: Position,
}

/// What a frame does now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Position {
    /// About to enter a state.
    Entering {
        /// The state.
        state: StateNumber,
        /// Its raw input.
        input: Payload,
    },
    /// In a state.
    In(Visit),
    /// Its flow ended well; the parent has not taken the result yet.
    Ended {
        /// The flow's output.
        output: Payload,
    },
}

impl Frame {
    /// Its position in a Map, if it is an iteration of one.
    fn item(&self, frames: &BTreeMap<FrameId, Frame>) -> Option<u32> {
        match &frames.get(&self.parent?)?.position {
            Position::In(visit) => matches!(visit.work, Work::Map(_)).then_some(self.slot),
            _ => None,
        }
    }
}

/// The indices of the items in which a frame stands, outermost Map first.
#[must_use]
pub fn items_of(frames: &BTreeMap<FrameId, Frame>, frame: FrameId) -> Vec<u32> {
    let mut items = Vec::new();
    let mut next = frames.get(&frame);
    while let Some(frame) = next {
        items.extend(frame.item(frames));
        next = frame.parent.and_then(|parent| frames.get(&parent));
    }
    items.reverse();
    items
}

/// A visit of a state, from Entered to Exited.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Visit {
    /// The state.
    pub state: StateNumber,
    /// Its raw input.
    pub input: Payload,
    /// The number of its Entered event.
    pub entered_event: EventId,
    /// When it was entered.
    pub entered_at: Millis,
    /// Retries of each retrier that was used, by position.
    pub retries: Vec<u32>,
    /// What the visit waits for.
    pub work: Work,
}

impl Visit {
    /// All retries of the visit: `$$.State.RetryCount`.
    #[must_use]
    pub fn retry_count(&self) -> u32 {
        self.retries.iter().sum()
    }
}

/// A timer with its due time, as its row is keyed.
pub type SetTimer = (TimerId, Millis);

/// What a visit waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Nothing: it is about to begin again.
    Beginning,
    /// A Wait state's timer.
    Waiting {
        /// The timer.
        timer: SetTimer,
    },
    /// The delay before a retry.
    Retrying {
        /// The timer.
        timer: SetTimer,
    },
    /// A task.
    Task(OpenTask),
    /// The branches of a Parallel state.
    Parallel(Container),
    /// The iterations of an inline Map state.
    Map(Box<OpenMap>),
    /// Nothing yet: it is about to begin, its Entered event is written.
    Entered {
        /// The event that the Entered event follows.
        after: EventId,
    },
    /// A map run.
    MapRun(OpenMapRun),
}

/// The map run of a distributed Map state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenMapRun {
    /// Its number in the execution.
    pub run: TaskId,
    /// Its identity, a UUID.
    pub uuid: u128,
    /// Its ARN.
    pub arn: Arc<str>,
    /// Whether it ended and the state did not: it waits for a redrive of the execution.
    pub ended: bool,
    /// How often it was redriven.
    pub redrives: u32,
    /// What it came to, if it ended well.
    pub result: Option<Payload>,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskStage {
    /// The engine looks for the activity.
    Finding,
    /// Queued.
    Scheduled,
    /// Sent, or in a worker's hands.
    Started,
    /// Submitted; the end is reported by a callback or the job.
    Submitted,
    /// Ended; within a turn only, until the frame goes on or the failure is raised.
    Ended {
        /// Whether what it submitted may run on, and nobody is to wait for it.
        left: bool,
    },
}

impl TaskStage {
    /// Whether whoever does the task may have it, and it is not over.
    #[must_use]
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Started | Self::Submitted)
    }
}

/// An open task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenTask {
    /// Its number.
    pub task: TaskId,
    /// How far it is.
    pub stage: TaskStage,
    /// `TimeoutSeconds` in force.
    pub timeout_seconds: Option<u64>,
    /// `HeartbeatSeconds` in force.
    pub heartbeat_seconds: Option<u64>,
    /// What was or will be sent.
    pub input: Payload,
    /// The role of `Credentials`.
    pub role_arn: Option<Arc<str>>,
    /// The time-out's timer.
    pub timeout: Option<SetTimer>,
    /// The heartbeat's timer.
    pub heartbeat: Option<SetTimer>,
    /// A callback's answer that came before the submit call's. It was acknowledged, so nothing but the end of the
    /// execution takes it back: the task's timers are cancelled.
    pub early_answer: Option<Box<EarlyAnswer>>,
}

/// A callback's answer that waits for the submit call's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum EarlyAnswer {
    /// SendTaskSuccess, with its output.
    Succeeded(Payload),
    /// SendTaskFailure.
    Failed(Failure),
}

/// Frames that a Parallel or Map state opened: numbers `first .. first + length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The first frame.
    pub first: u32,
    /// How many there are or will be.
    pub length: u32,
    /// How many ended well.
    pub ended: u32,
    /// The last event of the last one that ended, or the Started event.
    pub last_event: EventId,
}

/// An open inline Map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenMap {
    /// Its frames.
    pub frames: Container,
    /// The state's effective input; `$` of ItemSelector.
    pub input: Payload,
    /// The array of items.
    pub items: Payload,
    /// Iterations in flight at most.
    pub max_concurrency: u32,
    /// The index of the next iteration.
    pub next: u32,
}

impl Frame {
    /// Shows every payload that it names.
    pub(crate) fn payloads(&self, show: &mut impl FnMut(&Payload)) {
        self.variables.values().for_each(&mut *show);
        match &self.position {
            Position::Entering { input, .. } => show(input),
            Position::Ended { output } => show(output),
            Position::In(visit) => {
                show(&visit.input);
                match &visit.work {
                    Work::Task(task) => show(&task.input),
                    Work::Map(map) => {
                        show(&map.input);
                        show(&map.items);
                    }
                    Work::MapRun(OpenMapRun { result: Some(result), .. }) => show(result),
                    _ => {}
                }
            }
        }
    }

    pub(crate) fn hydrate_from(
        &mut self,
        source: &mut impl FnMut(PayloadId) -> Option<Payload>,
    ) -> Result<(), PayloadId> {
        for payload in self.variables.values_mut() {
            payload.hydrate_from(source)?;
        }
        match &mut self.position {
            Position::Entering { input, .. } => input.hydrate_from(source),
            Position::Ended { output } => output.hydrate_from(source),
            Position::In(visit) => {
                visit.input.hydrate_from(source)?;
                match &mut visit.work {
                    Work::Task(task) => {
                        if let Some(EarlyAnswer::Succeeded(output)) = task.early_answer.as_deref_mut() {
                            output.hydrate_from(source)?;
                        }
                        task.input.hydrate_from(source)
                    }
                    Work::Map(map) => {
                        map.input.hydrate_from(source)?;
                        map.items.hydrate_from(source)
                    }
                    Work::Entered { .. }
                    | Work::Beginning
                    | Work::Waiting { .. }
                    | Work::Retrying { .. }
                    | Work::Parallel(_) => Ok(()),
                    Work::MapRun(open) => open.result.as_mut().map_or(Ok(()), |result| result.hydrate_from(source)),
                }
            }
        }
    }
}
