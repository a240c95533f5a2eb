//! The visits of states and the calls that a history tells of.

use std::{collections::HashMap, sync::Arc};

use stepwright_asl::{Definition, Resource, State, StateId, StateKind};
use stepwright_engine::Event;
use stepwright_machine::{EventId, EventKind, Failure, Payload};

/// One visit of a state.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The state.
    pub state: StateId,
    /// The number of the event that begins it.
    pub entered: EventId,
    /// When that was.
    pub at: stepwright_machine::Millis,
    /// The state's input.
    pub input: Payload,
    /// What its task, the last attempt of it, came to.
    pub result: Option<Payload>,
    /// How its attempts failed, and whether another followed.
    pub failures: Vec<(Failure, bool)>,
    /// Its output, if it was left well or by a catcher.
    pub output: Option<Payload>,
    /// Where it led.
    pub next: Option<StateId>,
}

/// A call that was made.
#[derive(Clone, Debug)]
pub struct MadeCall {
    /// The state that made it.
    pub state: StateId,
    /// What it called.
    pub resource: Arc<str>,
    /// What it sent, JSON text.
    pub parameters: Arc<str>,
}

/// What a history tells.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// In the order in which they began.
    pub visits: Vec<Visit>,
    /// In the order in which they were made.
    pub calls: Vec<MadeCall>,
}

impl Told {
    /// Reads a whole history.
    #[must_use]
    pub fn of(definition: &Definition, events: &[Event]) -> Self {
        let mut told = Self::default();
        // The visit to which each event belongs, and the visit that each exit ends.
        let mut belongs: HashMap<EventId, usize> = HashMap::new();
        let mut exits: HashMap<EventId, usize> = HashMap::new();
        for event in events {
            if let EventKind::StateEntered { state, input } = &event.kind {
                let state = StateId(*state);
                if let Some(before) = exits.get(&event.previous) {
                    told.visits[*before].next = Some(state);
                }
                belongs.insert(event.id, told.visits.len());
                told.visits.push(Visit {
                    state,
                    entered: event.id,
                    at: event.at,
                    input: input.clone(),
                    result: None,
                    failures: Vec::new(),
                    output: None,
                    next: None,
                });
                continue;
            }
            let exited = match &event.kind {
                // What a Parallel or Map state ends with follows events of its branches.
                EventKind::StateExited { state, .. } if is_container(definition, StateId(*state)) => {
                    told.open_visit(StateId(*state))
                }
                _ => None,
            };
            let Some(at) = exited.or_else(|| belongs.get(&event.previous).copied()) else { continue };
            belongs.insert(event.id, at);
            if matches!(event.kind, EventKind::StateExited { .. }) {
                exits.insert(event.id, at);
            }
            told.take(definition, at, &event.kind);
        }
        told
    }

    /// The newest visit of a state that was not left yet.
    fn open_visit(&self, state: StateId) -> Option<usize> {
        self.visits.iter().rposition(|visit| visit.state == state && visit.output.is_none())
    }

    fn take(&mut self, definition: &Definition, at: usize, kind: &EventKind) {
        let visit = &mut self.visits[at];
        match kind {
            EventKind::LambdaFunctionScheduled { input: sent, .. }
            | EventKind::ActivityScheduled { input: sent, .. }
            | EventKind::TaskScheduled { parameters: sent, .. } => {
                if let Some(last) = visit.failures.last_mut() {
                    last.1 = true;
                }
                let resource = resource(definition.state(visit.state));
                let call = MadeCall { state: visit.state, resource, parameters: sent.text().clone() };
                self.calls.push(call);
            }
            EventKind::LambdaFunctionSucceeded { output }
            | EventKind::ActivitySucceeded { output }
            | EventKind::TaskSucceeded { output, .. } => visit.result = Some(output.clone()),
            EventKind::LambdaFunctionFailed(failure)
            | EventKind::LambdaFunctionTimedOut(failure)
            | EventKind::ActivityFailed(failure)
            | EventKind::ActivityTimedOut(failure)
            | EventKind::TaskFailed { failure, .. }
            | EventKind::TaskTimedOut { failure, .. }
            | EventKind::EvaluationFailed { failure, .. }
            | EventKind::MapRunFailed(failure) => visit.failures.push((failure.clone(), false)),
            EventKind::StateExited { output, .. } => visit.output = Some(output.clone()),
            _ => {}
        }
    }
}

fn is_container(definition: &Definition, state: StateId) -> bool {
    matches!(definition.state(state).kind, StateKind::Parallel(_) | StateKind::Map(_))
}

/// What a Task state calls.
fn resource(state: &State) -> Arc<str> {
    match &state.kind {
        StateKind::Task(task) => match &task.resource {
            Resource::LambdaFunction { arn } | Resource::Activity { arn } => arn.clone(),
            Resource::Integration(integration) => integration.arn.clone(),
        },
        _ => "".into(),
    }
}
