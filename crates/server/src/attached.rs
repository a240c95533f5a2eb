//! The server that connectors in its own process call. The engine takes up its work before the server around it is
//! whole; whoever calls in between waits.

use std::sync::{Arc, Weak};

use stepwright_api::RequestContext;
use stepwright_engine::TaskCall;
use tokio::sync::watch;

use crate::service::Service;

/// How a task calls the server that it runs in.
pub(crate) fn context(task: &TaskCall, request_id: &str) -> RequestContext {
    RequestContext {
        region: task.region.to_string(),
        account: task.account.to_string(),
        request_id: request_id.to_owned(),
        trace_header: None,
    }
}

/// A service that is or will be there.
#[derive(Clone)]
pub(crate) struct Attached {
    service: Arc<watch::Sender<Option<Weak<Service>>>>,
}

impl Default for Attached {
    fn default() -> Self {
        Self { service: Arc::new(watch::Sender::new(None)) }
    }
}

impl Attached {
    /// Says which service it is.
    pub(crate) fn attach(&self, service: &Arc<Service>) {
        self.service.send_replace(Some(Arc::downgrade(service)));
    }

    /// The service, once it is there. None: it is gone.
    pub(crate) async fn get(&self) -> Option<Arc<Service>> {
        let mut attached = self.service.subscribe();
        let service = attached.wait_for(Option::is_some).await.ok()?.clone();
        service.and_then(|service| service.upgrade())
    }
}
