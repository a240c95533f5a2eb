//! A task in the hands of the one who writes the reply to a worker.

use std::sync::Arc;

/// An activity task that was handed over (ActivityStarted is durable) but may not have reached its worker yet.
///
/// Dropped without [`delivered`](Delivery::delivered), the task goes back to the head of its queue under the same
/// token, and the next worker gets it without a second ActivityStarted.
pub struct Delivery {
    token: Arc<str>,
    input: Arc<str>,
}

impl Delivery {
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
    pub fn delivered(self) {}
}
