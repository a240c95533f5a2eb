//! The store of one machine: an own log that is the truth, the rows changed since the last
//! checkpoint in memory, and an index behind them that checkpoints write in bulk.
//!
//! ```text
//! commit:      encode -> one write -> one sync -> memory -> return
//! read:        memory -> index
//! checkpoint:  freeze memory -> write its net rows to the index -> sync -> drop old segments
//! open:        index position -> replay the log after it -> memory
//! ```
//!
//! A data directory holds `FORMAT` (a line with the format's number), `LOCK`, `log/` and
//! `index/`. A crash between any two steps is safe: the index position becomes durable after its
//! rows, segments go after the position, and replaying a record twice changes nothing.
//!
//! This module must never make a commit visible before it is durable, and never go on after a
//! write or sync failed: the store is then poisoned and must be opened again.

mod background;
mod checkpoint;
mod open;
mod scan;
mod snapshot;

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;

pub use crate::log::Durability;

use crate::disk::{Disk, Lock, RealDisk};
use crate::index::Index;
use crate::log::{Log, LogCounters, Reserver};
use crate::memtable::{Found, Generation};
use crate::rows::is_empty_range;
use crate::{Commit, Error, Order, Row, Stats, Store, Table, check_limits};

/// The data format that this version reads and writes. Backups hold rows and not files: they can be restored in any
/// format that is not older. Since 3 there are rows of versions, aliases, redrives, Express executions and notices.
pub const FORMAT: u32 = 3;
/// The oldest format that is read; opening raises it to the present one.
const OLDEST_FORMAT: u32 = 2;

/// How an [`EmbeddedStore`] works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The size of a log segment, in bytes. One is always reserved ahead.
    pub segment_bytes: u64,
    /// A checkpoint begins when this many bytes were written to the log since the last one. It
    /// bounds the time to open after a crash and the memory used.
    pub checkpoint_bytes: u64,
    /// When a commit counts as done.
    pub durability: Durability,
    /// The size of the index's cache of blocks, in bytes.
    pub cache_bytes: u64,
    /// Whether threads of the store reserve segments and write checkpoints. Without them
    /// [`Store::commit`] does both itself, at the same points every time: for a simulator.
    pub background: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            segment_bytes: 16 << 20,
            checkpoint_bytes: 32 << 20,
            durability: Durability::Durable,
            cache_bytes: 16 << 20,
            background: true,
        }
    }
}

/// Memory may hold this many times `checkpoint_bytes` before commits wait for a checkpoint.
const MEMORY_FACTOR: u64 = 3;

/// The rows in front of the index.
struct Memory {
    active: Generation,
    /// What a checkpoint is writing to the index.
    frozen: Option<Arc<Generation>>,
    /// The last record in `frozen`.
    frozen_position: u64,
}

#[derive(Default)]
struct Signals {
    checkpoint: bool,
    reserve: bool,
    stop: bool,
}

struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    options: Options,
    index: Box<dyn Index>,
    log: Mutex<Log>,
    reserver: Arc<Reserver>,
    memory: RwLock<Memory>,
    /// Held for the length of a checkpoint.
    checkpointing: Mutex<()>,
    /// The last record that the index holds.
    position: AtomicU64,
    /// The failure that ended this opening of the store, or its closing.
    ended: OnceLock<Error>,
    /// The last checkpoint was refused for want of room.
    checkpoint_refused: Mutex<Option<Error>>,
    signals: Mutex<Signals>,
    signalled: Condvar,
    /// Notified when a checkpoint ends, however it ends; goes with `checkpoint_refused`.
    checkpoint_ended: Condvar,
    log_bytes_since_freeze: AtomicU64,
    counters: Arc<LogCounters>,
    checkpoints: AtomicU64,
    index_rows: AtomicU64,
}

/// A [`Store`] in a directory of this machine. See the [module](self).
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    lock: Mutex<Option<Box<dyn Lock>>>,
}

/// A lock whose holder panicked still guards whole values here: every change of them is either
/// one assignment or happens after all that can fail.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn memory(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_open(&self) -> Result<(), Error> {
        match self.ended.get() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Ends this opening of the store with a fatal failure; the first one is kept.
    fn poison(&self, error: Error) -> Error {
        if self.ended.set(error.clone()).is_ok() {
            tracing::error!(%error, "the store takes no more commits");
        }
        error
    }

    fn commit(&self, batch: &[Commit]) -> Result<(), Error> {
        self.check_open()?;
        check_limits(batch)?;
        if batch.is_empty() {
            return Ok(());
        }
        self.wait_for_memory()?;
        let mut log = locked(&self.log);
        self.check_open()?;
        let written = log.append(batch).map_err(|error| match error {
            Error::Failed { .. } => self.poison(error),
            Error::Full { .. } if self.options.background => {
                // The thread tries again until there is room: no further commit may come to do so.
                self.housekeeping(false, true);
                error
            }
            error => error,
        })?;
        {
            let mut memory = self.memory_mut();
            for mutation in batch.iter().flat_map(Commit::mutations) {
                memory.active.apply(&mutation);
            }
        }
        drop(log);
        let since = self.log_bytes_since_freeze.fetch_add(written, Ordering::Relaxed) + written;
        let checkpoint = since >= self.options.checkpoint_bytes;
        let reserve = self.reserver.is_wanted();
        if checkpoint || reserve {
            self.housekeeping(checkpoint, reserve);
        }
        Ok(())
    }

    /// Bounds the memory in front of the index when checkpoints do not keep up.
    fn wait_for_memory(&self) -> Result<(), Error> {
        let bound = MEMORY_FACTOR * self.options.checkpoint_bytes;
        while self.log_bytes_since_freeze.load(Ordering::Relaxed) >= bound {
            let refused = locked(&self.checkpoint_refused);
            if let Some(error) = &*refused {
                return Err(error.clone());
            }
            self.check_open()?;
            if self.log_bytes_since_freeze.load(Ordering::Relaxed) < bound || !self.options.background {
                break;
            }
            drop(
                self.checkpoint_ended
                    .wait_timeout(refused, std::time::Duration::from_millis(100))
                    .unwrap_or_else(PoisonError::into_inner),
            );
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        {
            let memory = self.memory();
            let generations = [Some(&memory.active), memory.frozen.as_deref()];
            for generation in generations.into_iter().flatten() {
                match generation.find(table, key) {
                    Found::Value(value) => return Ok(Some(value.to_vec())),
                    Found::Deleted => return Ok(None),
                    Found::Unknown => {}
                }
            }
        }
        // A checkpoint may end in between: then the index knows the key at least as well.
        self.index.get(table, key)
    }

    fn stats(&self) -> Stats {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let memory = self.memory();
        Stats {
            log_bytes: count(&self.counters.bytes),
            records: count(&self.counters.records),
            batches: count(&self.counters.batches),
            syncs: count(&self.counters.syncs),
            checkpoints: count(&self.checkpoints),
            index_rows: count(&self.index_rows),
            memtable_bytes: memory.active.bytes() + memory.frozen.as_ref().map_or(0, |f| f.bytes()),
            failed: self.ended.get().is_some_and(|error| !matches!(error, Error::Closed)),
            space_short: self.reserver.is_refused() || locked(&self.checkpoint_refused).is_some(),
        }
    }
}

impl EmbeddedStore {
    /// Opens the store in `dir`, creating it if there is none.
    ///
    /// # Errors
    /// `Locked` if another process has it open, `NewerFormat`, `Corrupt` naming file and offset,
    /// or `Io`.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<EmbeddedStore, Error> {
        let dir = dir.as_ref();
        let cache_bytes = options.cache_bytes;
        EmbeddedStore::open_with(Arc::new(RealDisk), dir, options, |path| {
            Ok(Box::new(crate::lsm::LsmIndex::open(path, cache_bytes)?))
        })
    }

    /// Writes what is in memory to the index now and drops the log before it.
    ///
    /// # Errors
    /// `Full` if there is no room for it, which changes nothing; any other failure ends this
    /// opening of the store.
    pub fn checkpoint(&self) -> Result<(), Error> {
        self.shared.check_open()?;
        self.shared.checkpoint()
    }

    /// Without threads ([`Options::background`]): tries again what was refused for want of room, as the threads would
    /// from time to time.
    #[doc(hidden)]
    pub fn look_again(&self) {
        if self.shared.check_open().is_ok() {
            let refused = locked(&self.shared.checkpoint_refused).is_some();
            self.shared.housekeeping(refused, true);
        }
    }

    fn stop(&self) {
        locked(&self.shared.signals).stop = true;
        self.shared.signalled.notify_all();
        for thread in locked(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store panicked");
            }
        }
    }
}

impl Store for EmbeddedStore {
    fn commit(&self, batch: &[Commit]) -> Result<(), Error> {
        self.shared.commit(batch)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.shared.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        if limit == 0 || is_empty_range(from, to) {
            return Ok(Vec::new());
        }
        self.shared.scan(table, from, to, order, limit)
    }

    fn stats(&self) -> Stats {
        self.shared.stats()
    }

    fn backup(&self, at_ms: u64, out: &mut dyn std::io::Write) -> Result<crate::backup::Totals, Error> {
        self.shared.backup(at_ms, out)
    }

    fn close(&self) -> Result<(), Error> {
        self.stop();
        let result = match self.shared.ended.get() {
            Some(Error::Closed) => Ok(()),
            Some(error) => Err(error.clone()),
            None => self.shared.checkpoint(),
        };
        let _ = self.shared.ended.set(Error::Closed);
        // Only now may another process open the directory.
        locked(&self.lock).take();
        result
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        // As after a crash: what was acknowledged is in the log.
        self.stop();
    }
}
