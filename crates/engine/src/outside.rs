//! What belongs to no execution: a call of a resource whose answer only the caller hears of, and evaluation on a thread
//! that is in nobody's way. Nothing here touches the store.

use std::panic::{AssertUnwindSafe, catch_unwind};

use stepwright_asl::Resource;
use stepwright_machine::STACK_BYTES;
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    connector::{ConnectorFailure, TaskCall, TaskOutcome},
    dispatch::NO_JSON,
    error::{Error, Result},
    facade::Engine,
    lane,
};

impl Engine {
    /// Whether a connector serves this resource.
    #[must_use]
    pub fn serves(&self, resource: &Resource) -> bool {
        self.shared().dispatch.connector_for(resource).is_some()
    }

    /// Calls a resource outside of any execution. Dropping the future gives the call up.
    ///
    /// # Errors
    /// `Unavailable`, also if no connector serves the resource.
    pub async fn call_resource(&self, call: TaskCall) -> Result<TaskOutcome> {
        let shared = self.shared();
        shared.check()?;
        let Some(connector) = shared.dispatch.connector_for(&call.resource) else {
            return Err(Error::unavailable("no connector serves the resource"));
        };
        let connector = shared.dispatch.connector(connector);
        let resource = call.resource.clone();
        let mut calls = JoinSet::new();
        let inner = connector.clone();
        // In a task of its own, building the future included: either may panic.
        calls.spawn_on(async move { inner.call(call).await }, &shared.runtime);
        Ok(match calls.join_next().await {
            Some(Ok(TaskOutcome::Succeeded(text) | TaskOutcome::Submitted(text)))
                if serde_json::from_str::<serde_json::Value>(&text).is_err() =>
            {
                TaskOutcome::Failed(ConnectorFailure::new("States.Runtime", NO_JSON))
            }
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) | None => {
                tracing::error!(connector = connector.name(), "a connector panicked; the call fails");
                TaskOutcome::Failed(connector.lost_error(&resource))
            }
        })
    }

    /// Does `work` on a thread of low priority whose stack is long enough for expressions. It goes on when the future is
    /// dropped; how much of it there is at once, and when it gives up, is the caller's business.
    ///
    /// # Errors
    /// `Unavailable`: there is no thread for it, or it panicked.
    pub async fn evaluate<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.shared().check()?;
        let (reply, answer) = oneshot::channel();
        let body = move || {
            lane::lower_priority();
            match catch_unwind(AssertUnwindSafe(work)) {
                // Who no longer waits misses nothing.
                Ok(done) => drop(reply.send(done)),
                Err(_) => tracing::error!("an evaluation outside of any execution panicked"),
            }
        };
        let thread = std::thread::Builder::new().name("evaluation".into()).stack_size(STACK_BYTES).spawn(body);
        thread.map_err(|error| Error::unavailable(format!("there is no thread for the evaluation: {error}")))?;
        answer.await.map_err(|_| Error::unavailable("the evaluation broke; the server's log says where"))
    }
}
