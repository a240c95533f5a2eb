//! The interpreter: one synchronous function, [`step`], from what happened to what must now be made true.
//!
//! It has no clock, no randomness, no storage and no socket: time and seed come with each [`Input`]. Errors of the
//! States Language (`States.*`) are data; a broken invariant panics and the shell quarantines the execution.

mod context;
mod data_flow;
pub mod effects;
mod error_handling;
pub mod execution;
pub mod frame;
pub mod history;
pub mod id;
pub mod input;
pub mod inspect;
mod jsonata;
pub mod map_run;
pub mod payload;
mod redrive;
mod state;
mod step;
pub mod token;

pub use effects::{Command, Effects, Outcome, ScheduleTask, SentTask, TimerKind};
pub use execution::{Closing, EvaluationLimits, Execution, ExecutionInfo, Head, Limits, SEMANTICS, Status, Workflow};
pub use frame::{Frame, items_of};
pub use history::{EventKind, Failure, HistoryEvent};
pub use id::{EventId, ExecutionId, FrameId, Millis, TaskId, TimerId, TurnId};
pub use input::{Input, InputKind};
pub use payload::{Payload, PayloadId};
pub use step::{step, step_on, step_on_within, step_within};
pub use stepwright_asl::Definition;
/// The stack, in bytes, that a thread which calls [`step`] must have: definitions hold expressions.
pub use stepwright_querylang::jsonata::STACK_BYTES;
