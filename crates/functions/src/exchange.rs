//! What passes between a process and whoever invokes its function: one event at a time, and what became of it.
//!
//! Both sides know only this: the process's side is the Runtime API ([`runtime_api`](crate::runtime_api)), the other the
//! pool. An event that the process did not take can be taken back, and was never seen by the function.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot, watch};

/// An event for the process.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) request_id: Arc<str>,
    pub(crate) payload: Bytes,
    /// When it will be too late, in milliseconds since 1970.
    pub(crate) deadline_ms: u64,
    pub(crate) function_arn: String,
    pub(crate) trace_id: String,
    /// JSON text.
    pub(crate) client_context: Option<String>,
    /// Whoever waits for the answer.
    pub(crate) reply: oneshot::Sender<Reported>,
}

/// What the process says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reported {
    /// The result.
    Result(Bytes),
    /// An error object.
    Error(Bytes),
    /// The result has so many bytes, more than it may.
    TooLarge { bytes: u64, limit: usize },
}

/// How far a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has not asked for an event yet.
    Starting,
    /// It asked for one.
    Ready,
    /// It can't start: its error object.
    Failed(Bytes),
}

#[derive(Debug)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    offered: Notify,
    phase: watch::Sender<Phase>,
    /// The interpreter that runs in the process, where it says so.
    pub(crate) interpreter: OnceLock<String>,
}

#[derive(Debug, Default)]
struct State {
    waiting: Option<Event>,
    current: Option<(Arc<str>, oneshot::Sender<Reported>)>,
}

/// A process that asks for an event before it has answered the one before.
#[derive(Debug)]
pub(crate) struct NotAnswered(pub(crate) Arc<str>);

/// What an event looks like to the process.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) request_id: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) deadline_ms: u64,
    pub(crate) function_arn: String,
    pub(crate) trace_id: String,
    pub(crate) client_context: Option<String>,
}

impl Exchange {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            offered: Notify::new(),
            phase: watch::Sender::new(Phase::Starting),
            interpreter: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the process an event, which takes it when it asks.
    pub(crate) fn offer(&self, event: Event) {
        self.state().waiting = Some(event);
        self.offered.notify_one();
    }

    /// Takes an event back; false if the process has it already.
    pub(crate) fn take_back(&self) -> bool {
        self.state().waiting.take().is_some()
    }

    /// How far the process is, whenever that changes.
    pub(crate) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// The process asks for its next event, and waits for it.
    pub(crate) async fn next(&self) -> Result<Handed, NotAnswered> {
        loop {
            {
                let mut state = self.state();
                if let Some((request_id, _)) = &state.current {
                    return Err(NotAnswered(Arc::clone(request_id)));
                }
                if let Some(event) = state.waiting.take() {
                    state.current = Some((Arc::clone(&event.request_id), event.reply));
                    return Ok(Handed {
                        request_id: event.request_id,
                        payload: event.payload,
                        deadline_ms: event.deadline_ms,
                        function_arn: event.function_arn,
                        trace_id: event.trace_id,
                        client_context: event.client_context,
                    });
                }
            }
            self.phase.send_if_modified(|phase| {
                *phase == Phase::Starting && {
                    *phase = Phase::Ready;
                    true
                }
            });
            self.offered.notified().await;
        }
    }

    /// Whether this is the event that the process has.
    pub(crate) fn is_current(&self, request_id: &str) -> bool {
        self.state().current.as_ref().is_some_and(|(current, _)| **current == *request_id)
    }

    /// The process says what became of the event that it has; false if it has another, or none.
    pub(crate) fn report(&self, request_id: &str, reported: Reported) -> bool {
        let mut state = self.state();
        let Some((_, reply)) = state.current.take_if(|(current, _)| **current == *request_id) else { return false };
        drop(state);
        // Whoever waited may have given up.
        let _nobody = reply.send(reported);
        true
    }

    /// The process says that it can't start.
    pub(crate) fn failed(&self, error: Bytes) {
        self.phase.send_if_modified(|phase| {
            *phase == Phase::Starting && {
                *phase = Phase::Failed(error);
                true
            }
        });
    }
}
