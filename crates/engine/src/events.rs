//! The payloads of history events: stored as numbers, shown as texts.

use stepwright_machine::{EventKind, Payload};

use crate::model::Event;

impl Event {
    /// Bytes of its payloads, if it has their texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = |payload: &mut Payload| payload.text_if_hydrated().map_or(0, |text| text.len());
        payloads_mut(&mut self.kind.clone()).into_iter().map(text).sum()
    }
}

/// Every payload that an event names.
pub(crate) fn payloads_mut(kind: &mut EventKind) -> Vec<&mut Payload> {
    match kind {
        EventKind::ExecutionStarted { input: payload }
        | EventKind::ExecutionSucceeded { output: payload }
        | EventKind::StateEntered { input: payload, .. }
        | EventKind::LambdaFunctionScheduled { input: payload, .. }
        | EventKind::LambdaFunctionSucceeded { output: payload }
        | EventKind::ActivityScheduled { input: payload, .. }
        | EventKind::ActivitySucceeded { output: payload }
        | EventKind::TaskScheduled { parameters: payload, .. }
        | EventKind::TaskSubmitted { output: payload, .. }
        | EventKind::TaskSucceeded { output: payload, .. } => vec![payload],
        EventKind::StateExited { output, assigned, .. } => {
            std::iter::once(output).chain(assigned.iter_mut().map(|(_, payload)| payload)).collect()
        }
        EventKind::ExecutionFailed(_)
        | EventKind::ExecutionAborted(_)
        | EventKind::ExecutionTimedOut(_)
        | EventKind::StateAborted { .. }
        | EventKind::LambdaFunctionStarted
        | EventKind::LambdaFunctionFailed(_)
        | EventKind::LambdaFunctionTimedOut(_)
        | EventKind::ActivityStarted { .. }
        | EventKind::ActivityFailed(_)
        | EventKind::ActivityTimedOut(_)
        | EventKind::TaskStarted { .. }
        | EventKind::TaskFailed { .. }
        | EventKind::TaskTimedOut { .. }
        | EventKind::ParallelStateStarted
        | EventKind::ParallelStateSucceeded
        | EventKind::ParallelStateFailed
        | EventKind::MapStateStarted { .. }
        | EventKind::MapStateSucceeded
        | EventKind::MapStateFailed
        | EventKind::MapIterationStarted { .. }
        | EventKind::MapIterationSucceeded { .. }
        | EventKind::MapIterationFailed { .. }
        | EventKind::MapIterationAborted { .. }
        | EventKind::EvaluationFailed { .. }
        | EventKind::ExecutionRedriven { .. }
        | EventKind::MapRunStarted { .. }
        | EventKind::MapRunSucceeded
        | EventKind::MapRunFailed(_)
        | EventKind::MapRunAborted
        | EventKind::MapRunRedriven { .. } => Vec::new(),
    }
}
