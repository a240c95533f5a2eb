//! A task in the hands of the one who writes the reply to a worker.

use std::sync::{Arc, Weak};

use crate::{message::QueuedTask, shared::Shared};

/// An activity task that was handed over (ActivityStarted is durable) but may not have reached its worker yet.
///
/// Dropped without [`delivered`](Delivery::delivered), the task goes back to the head of its queue under the same
/// token, and the next worker gets it without a second ActivityStarted.
pub struct Delivery {
    token: Arc<str>,
    input: Arc<str>,
    activity: Arc<str>,
    queued: QueuedTask,
    engine: Option<Weak<Shared>>,
}

impl Delivery {
    pub(crate) fn new(
        engine: Weak<Shared>,
        activity: Arc<str>,
        queued: QueuedTask,
        token: Arc<str>,
        input: Arc<str>,
    ) -> Self {
        Self { token, input, activity, queued, engine: Some(engine) }
    }

    /// The task token.
    #[must_use]
    pub fn token(&self) -> &Arc<str> {
        &self.token
    }

    /// The task's input, JSON text.
    #[must_use]
    pub fn input(&self) -> &Arc<str> {
        &self.input
    }

    /// Confirms that the reply was written.
    pub fn delivered(mut self) {
        self.engine = None;
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The token is a secret of the worker's.
        f.debug_struct("Delivery").field("activity", &self.activity).finish_non_exhaustive()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(shared) = self.engine.take().and_then(|engine| engine.upgrade()) {
            let queued = QueuedTask { started: true, ..self.queued };
            shared.activities.queue(&shared, &self.activity, queued);
        }
    }
}
