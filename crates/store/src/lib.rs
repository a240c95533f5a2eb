//! Where Stepwright keeps what it knows: ordered tables of bytes, changed by atomic commits.
//!
//! The engine's committer hands a batch of [`Commit`]s (one per turn) to a [`Store`]; when
//! [`Store::commit`] returns, every one of them is durable and visible. Nothing else changes a
//! store. Two back ends exist: [`memory::MemoryStore`] for tests and throw-away servers, and
//! [`embedded::EmbeddedStore`], an own log with a borrowed index
//! (`docs/adr/0001-store.md` says why).
//!
//! This crate must never interpret an execution: it knows rows and their order, not what a turn
//! means. It must never report a commit as done before the sync that covers it.

pub mod backup;
mod commit;
pub mod disk;
pub mod embedded;
pub mod error;
pub mod index;
pub mod inspect;
pub mod keys;
pub mod log;
mod lsm;
pub mod map_runs;
pub mod memory;
mod memtable;
pub mod records;
mod rows;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
pub mod table;
mod trickle;

use std::ops::Bound;

pub use commit::{Commit, Mutation, Mutations};
pub use error::{Error, ErrorKind};
pub use table::Table;

/// A key and its value, as [`Store::scan`] returns them.
pub type Row = (Vec<u8>, Vec<u8>);

/// The longest key a store takes.
pub const MAX_KEY_BYTES: usize = 4 * 1024;

/// The longest value a store takes.
pub const MAX_VALUE_BYTES: usize = 32 * 1024 * 1024;

/// The order in which [`Store::scan`] returns rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// What a store has done since it was opened, and what it holds in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes written to the log, frames included.
    pub log_bytes: u64,
    /// Commits written.
    pub records: u64,
    /// Batches written: one log write and one sync each.
    pub batches: u64,
    /// Times the log was synced.
    pub syncs: u64,
    /// Checkpoints completed.
    pub checkpoints: u64,
    /// Rows written to the index, deletions included.
    pub index_rows: u64,
    /// Approximate bytes of rows held in memory in front of the index.
    pub memtable_bytes: u64,
    /// There was no room to reserve log ahead or to write a checkpoint: commits still succeed
    /// while the reserved space lasts. Refuse new work now.
    pub space_short: bool,
    /// A write, a sync or a checkpoint failed: no commit will succeed any more, and the store must be opened again.
    /// Whoever has nothing to commit would not notice otherwise.
    pub failed: bool,
}

/// Ordered tables of bytes with atomic, durable, grouped commits.
///
/// Reads see every commit whose `commit` call has returned, and never a part of one commit
/// without the rest of it.
pub trait Store: Send + Sync + 'static {
    /// Makes every commit of `batch` durable and then visible, in order, with one log write and
    /// one sync. Called by one committer thread at a time.
    ///
    /// # Errors
    /// [`ErrorKind::Full`]: refused before anything was written; retry when there is room.
    /// [`ErrorKind::Failed`]: the outcome is unknown; the store takes no more commits and must be
    /// opened again. [`ErrorKind::Invalid`]: a key or value over the limits; nothing was written.
    fn commit(&self, batch: &[Commit]) -> Result<(), Error>;

    /// The value of `key`, if it has one.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// At most `limit` rows with keys between `from` and `to`, in `order`. A range that holds
    /// nothing (also one whose ends are crossed) gives no rows.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, Error>;

    /// Counters since the store was opened.
    fn stats(&self) -> Stats;

    /// Writes a [backup](crate::backup) of every row as of one moment, which is after every commit
    /// that was reported before the call, while commits go on. `at_ms` is the time that it tells.
    ///
    /// # Errors
    /// When `out` cannot be written to, or the rows cannot be read or brought to disk; what was
    /// written then ends with the reason. A store that keeps nothing has nothing to back up.
    fn backup(&self, at_ms: u64, out: &mut dyn std::io::Write) -> Result<backup::Totals, Error> {
        let _ = (at_ms, out);
        Err(Error::invalid("this store keeps everything in memory only: there is nothing to back up".to_owned()))
    }

    /// Writes everything held in memory to its place and marks the store as cleanly closed.
    /// Later commits are refused; a second close does nothing.
    ///
    /// # Errors
    /// When the checkpoint fails; no commit is lost by that, the next open replays the log.
    fn close(&self) -> Result<(), Error>;
}

/// Refuses a batch that breaks the limits, before any of it is written.
pub(crate) fn check_limits(batch: &[Commit]) -> Result<(), Error> {
    for commit in batch {
        if commit.size() > log::format::MAX_PAYLOAD {
            return Err(Error::invalid(format!(
                "a commit of {} bytes exceeds the limit of {} bytes; split it",
                commit.size(),
                log::format::MAX_PAYLOAD
            )));
        }
    }
    batch.iter().flat_map(Commit::mutations).try_for_each(|mutation| mutation.check_limits())
}
