//! Stands between the engine and its store and sees every commit: what was asked for, and what the store said of it.
//! It changes nothing on the way.

use std::{
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stepwright_store::{Commit, Error, ErrorKind, Order, Row, Stats, Store, Table, embedded::EmbeddedStore};

use crate::{check::Complaint, disk::SimDisk, ledger::Ledger};

/// The store of one process, with its witness.
pub(crate) struct Witness {
    store: EmbeddedStore,
    disk: SimDisk,
    ledger: SharedLedger,
}

/// The ledger, as the world and the witness have it.
#[derive(Clone)]
pub(crate) struct SharedLedger(Arc<Mutex<Ledger>>);

impl SharedLedger {
    pub(crate) fn new(ledger: Ledger) -> Self {
        Self(Arc::new(Mutex::new(ledger)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witness {
    pub(crate) fn new(store: EmbeddedStore, disk: SimDisk, ledger: SharedLedger) -> Self {
        Self { store, disk, ledger }
    }

    /// Reserves and writes what was refused before for want of room, as threads of the store do.
    pub(crate) fn look_again(&self) {
        self.store.look_again();
    }

    pub(crate) fn checkpoint(&self) -> Result<(), Error> {
        self.store.checkpoint()
    }
}

impl Store for Witness {
    fn commit(&self, batch: &[Commit]) -> Result<(), Error> {
        let result = self.store.commit(batch);
        let mut ledger = self.ledger.lock();
        match &result {
            Ok(()) => {
                let unsynced = self.disk.unsynced_log();
                if !unsynced.is_empty() {
                    ledger.complain(Complaint::new(
                        "replies",
                        "a commit is reported after the sync that covers it",
                        format!("{} commits were reported, and {unsynced:?} is not synced", batch.len()),
                    ));
                }
                for commit in batch {
                    ledger.take(commit);
                }
            }
            Err(error) => ledger.refused(batch, error.kind()),
        }
        result
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.store.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        self.store.scan(table, from, to, order, limit)
    }

    fn stats(&self) -> Stats {
        self.store.stats()
    }

    fn close(&self) -> Result<(), Error> {
        self.store.close()
    }
}

/// Whether nothing of the commits was written, and the store goes on.
pub(crate) fn is_refusal(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::Full | ErrorKind::Invalid | ErrorKind::Closed)
}
