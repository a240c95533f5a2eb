//! The server that connectors in its own process call. The engine takes up its work before the server around it is
//! whole; whoever calls in between waits.

use std::sync::{Arc, Weak};

use tokio::sync::watch;

use crate::service::Service;

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
