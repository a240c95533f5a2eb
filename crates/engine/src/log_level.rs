//! Which history events a state machine logs. The engine must know it to leave alone turns that nobody is told of; what
//! a record looks like is not its business.

use stepwright_asl::{StateId, StateKind};
use stepwright_machine::{Definition, EventKind};

/// How much of its executions' histories a machine logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Nothing.
    #[default]
    Off,
    /// That an execution failed, was aborted or timed out.
    Fatal,
    /// That, and every failure on the way there.
    Error,
    /// Every event.
    All,
}

impl LogLevel {
    /// Whether an event of an execution of this definition is logged.
    #[must_use]
    pub fn takes(self, event: &EventKind, definition: &Definition) -> bool {
        match self {
            LogLevel::Off => false,
            LogLevel::Fatal => is_fatal(event),
            LogLevel::Error => is_fatal(event) || is_error(event, definition),
            LogLevel::All => true,
        }
    }
}

fn is_fatal(event: &EventKind) -> bool {
    matches!(event, EventKind::ExecutionFailed(_) | EventKind::ExecutionAborted(_) | EventKind::ExecutionTimedOut(_))
}

/// The failures short of the execution's own end. AWS: documented; a Fail state that is entered: recorded.
fn is_error(event: &EventKind, definition: &Definition) -> bool {
    match event {
        EventKind::StateEntered { state, .. } => matches!(definition.state(StateId(*state)).kind, StateKind::Fail(_)),
        EventKind::StateAborted { .. }
        | EventKind::LambdaFunctionFailed(_)
        | EventKind::LambdaFunctionTimedOut(_)
        | EventKind::ActivityFailed(_)
        | EventKind::ActivityTimedOut(_)
        | EventKind::TaskFailed { .. }
        | EventKind::TaskTimedOut { .. }
        | EventKind::ParallelStateFailed
        | EventKind::MapStateFailed
        | EventKind::MapIterationFailed { .. }
        | EventKind::MapIterationAborted { .. }
        | EventKind::MapRunFailed(_)
        | EventKind::MapRunAborted
        | EventKind::EvaluationFailed { .. } => true,
        _ => false,
    }
}

/// Whether an execution has another status after an event than before it.
#[must_use]
pub(crate) fn changes_status(event: &EventKind) -> bool {
    matches!(
        event,
        EventKind::ExecutionStarted { .. } | EventKind::ExecutionRedriven { .. } | EventKind::ExecutionSucceeded { .. }
    ) || is_fatal(event)
}
