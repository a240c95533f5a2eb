//! One life of the simulated server: the production store and engine, opened on the world's disk, and the calls that
//! its clients have under way. Dropped, it is gone as a process is: nothing more of it reaches the disk.

use std::{path::Path, sync::Arc};

use stepwright_engine::{Engine, EngineOptions, Scope, Stepper};
use stepwright_store::{
    ErrorKind,
    embedded::{Durability, EmbeddedStore, Options},
};
use tokio::runtime::{Builder, Runtime};

use crate::{
    check::Complaint,
    client::{Call, Pending, Reply},
    disk::SimDisk,
    index::SimIndex,
    script::{Scripted, Services},
    witness::{SharedLedger, Witness},
};

/// What every process of a world is made of.
pub(crate) struct Setup {
    pub(crate) disk: SimDisk,
    pub(crate) index: SimIndex,
    pub(crate) ledger: SharedLedger,
    pub(crate) services: Arc<Services>,
    pub(crate) options: EngineOptions,
    pub(crate) segment_bytes: u64,
    pub(crate) checkpoint_bytes: u64,
    pub(crate) scope: Scope,
}

/// A running server. The order of the members is the order in which they go.
pub(crate) struct Process {
    pub(crate) pending: Vec<Pending>,
    pub(crate) stepper: Stepper,
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Witness>,
    runtime: Runtime,
    scope: Scope,
}

/// Why a server did not come up.
pub(crate) enum NotOpen {
    /// A fault; it may be started again.
    Fault(String),
    /// It should have.
    Complaint(Complaint),
}

impl Process {
    /// Starts a server.
    pub(crate) fn open(setup: &Setup) -> Result<Self, NotOpen> {
        let (disk, process) = setup.disk.mount();
        let options = Options {
            segment_bytes: setup.segment_bytes,
            checkpoint_bytes: setup.checkpoint_bytes,
            durability: Durability::Durable,
            background: false,
            ..Options::default()
        };
        let opened = EmbeddedStore::open_with(disk, Path::new("data"), options, |_| {
            Ok(Box::new(setup.index.open(&setup.disk, process)))
        });
        let store = opened.map_err(|error| match error.kind() {
            ErrorKind::Io | ErrorKind::Failed | ErrorKind::Full => NotOpen::Fault(error.to_string()),
            _ => NotOpen::Complaint(Complaint::new(
                "store",
                "a store opens again after any crash",
                format!("{:?}: {error}", error.kind()),
            )),
        })?;
        setup.ledger.lock().reopened(&store);
        let store = Arc::new(Witness::new(store, setup.disk.clone(), setup.ledger.clone()));
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime needs no more than memory");
        let opened = {
            let _inside = runtime.enter();
            let connectors: Vec<Arc<dyn stepwright_engine::Connector>> =
                vec![Arc::new(Scripted(setup.services.clone()))];
            Engine::open_stepped(store.clone(), connectors, setup.options.clone())
        };
        match opened {
            Ok((engine, stepper)) => {
                Ok(Self { pending: Vec::new(), stepper, engine, store, runtime, scope: setup.scope.clone() })
            }
            Err(error) if error.is_transient() => Err(NotOpen::Fault(error.to_string())),
            Err(error) => {
                Err(NotOpen::Complaint(Complaint::new("store", "an engine opens on any store", error.to_string())))
            }
        }
    }

    /// Calls an operation.
    pub(crate) fn call(&mut self, call: Call) {
        self.pending.push(Pending::new(&self.engine, &self.scope, call));
    }

    /// Lets whatever waits for nothing go on, and gives the replies that are there. `wakes`: whether tasks of the
    /// runtime may have been woken.
    pub(crate) fn settle(&mut self, wakes: bool) -> Vec<(Call, Reply)> {
        let mut replies = Vec::new();
        let mut wakes = wakes;
        loop {
            if wakes {
                self.runtime.block_on(async {
                    for _ in 0..2 {
                        tokio::task::yield_now().await;
                    }
                });
            }
            wakes = true;
            if !self.pending.iter().any(Pending::is_woken) {
                return replies;
            }
            let _inside = self.runtime.enter();
            let before = replies.len();
            let mut at = 0;
            let mut moved = false;
            while at < self.pending.len() {
                moved |= self.pending[at].is_woken();
                match self.pending[at].poll() {
                    Some(reply) => replies.push((self.pending.remove(at).call, reply)),
                    None => at += 1,
                }
            }
            if replies.len() == before && !moved {
                return replies;
            }
        }
    }

    /// Computes a turn of an Express execution, outside of any task.
    pub(crate) fn express(&mut self, slow: bool) -> bool {
        let _inside = self.runtime.enter();
        self.stepper.run_express(slow)
    }

    /// Timers and rows of Express executions, likewise.
    pub(crate) fn tick_express(&mut self) {
        let _inside = self.runtime.enter();
        self.stepper.tick_express();
    }

    /// Work in the background, outside of any task.
    pub(crate) fn maintain(&mut self, sweep: bool) -> bool {
        let _inside = self.runtime.enter();
        self.stepper.run_maintenance(sweep).is_ok()
    }

    /// Whether messages or commits wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.stepper.committer_waiting() > 0
            || self.stepper.express_waiting() > 0
            || self.stepper.lane_waiting() > 0
            || (0..self.stepper.shards()).any(|shard| self.stepper.shard_waiting(shard) > 0)
    }
}
