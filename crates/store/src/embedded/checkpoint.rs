//! Checkpoints: from memory to the index.
//!
//! Only net rows are written: of what was born and died since the last checkpoint, the generation knows nothing any
//! more. The index is never asked for a key here: with a million rows in it, a question costs more than to write down
//! that a row which was never there is gone.

use std::borrow::Cow;
use std::collections::btree_map;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Shared, locked};
use crate::index::{Change, Index, Rows};
use crate::log::Durability;
use crate::log::read::io_error;
use crate::memtable::{Generation, Keys};
use crate::{Error, Order, Table};

impl Shared {
    pub(super) fn checkpoint(&self) -> Result<(), Error> {
        self.checkpoint_and(|_| Ok(()))
    }

    /// A checkpoint, and then `look`, which is given its position: the index holds every commit up to it and none
    /// after, and stays so until `look` returns.
    pub(super) fn checkpoint_and<T>(&self, look: impl FnOnce(u64) -> Result<T, Error>) -> Result<T, Error> {
        let _one_at_a_time = locked(&self.checkpointing);
        let result = self.run_checkpoint();
        let mut refused = locked(&self.checkpoint_refused);
        *refused = None;
        let result = result.map_err(|error| match error {
            Error::Full { .. } => {
                *refused = Some(error.clone());
                error
            }
            error => self.poison(error),
        });
        drop(refused);
        self.checkpoint_ended.notify_all();
        result.and_then(|()| look(self.position.load(Ordering::Acquire)))
    }

    fn run_checkpoint(&self) -> Result<(), Error> {
        // What was committed by now; commits that come meanwhile wait for the next checkpoint.
        let target = locked(&self.log).last_sequence();
        // Twice if an earlier attempt left a frozen generation behind.
        while self.position.load(Ordering::Acquire) < target
            && let Some((frozen, position)) = self.freeze()?
        {
            let mut rows = 0;
            {
                let changes = NetChanges::new(&frozen, &*self.index);
                let mut counted = changes.inspect(|_| rows += 1);
                self.index.apply(&mut counted, position)?;
            }
            self.position.store(position, Ordering::Release);
            self.memory_mut().frozen = None;
            // Freeing many small rows takes a while; nobody waits for this thread.
            drop(frozen);
            self.index_rows.fetch_add(rows, Ordering::Relaxed);
            self.checkpoints.fetch_add(1, Ordering::Relaxed);
            self.release_segments(position)?;
            self.checkpoint_ended.notify_all();
            self.index.maintain()?;
        }
        Ok(())
    }

    /// Puts a new generation in front and returns the old one, with its last record.
    fn freeze(&self) -> Result<Option<(Arc<Generation>, u64)>, Error> {
        // A commit holds the log until its rows are in memory, so this is between two batches.
        let mut log = locked(&self.log);
        if self.options.durability == Durability::Relaxed {
            // The index must never be ahead of the durable log.
            log.sync()?;
        }
        let position = log.last_sequence();
        let mut memory = self.memory_mut();
        if let Some(frozen) = &memory.frozen {
            return Ok(Some((Arc::clone(frozen), memory.frozen_position)));
        }
        if position == self.position.load(Ordering::Acquire) {
            return Ok(None);
        }
        let done = self.log_bytes_since_freeze.swap(0, Ordering::Relaxed);
        if done == 0 && memory.active.is_empty() {
            return Ok(None);
        }
        let frozen = Arc::new(std::mem::take(&mut memory.active));
        memory.frozen = Some(Arc::clone(&frozen));
        memory.frozen_position = position;
        Ok(Some((frozen, position)))
    }

    /// Removes the log before `position`, oldest first and one by one, so that a crash never
    /// leaves a gap.
    fn release_segments(&self, position: u64) -> Result<(), Error> {
        loop {
            let Some(path) = locked(&self.log).oldest_released(position) else {
                return Ok(());
            };
            let dir = path.parent().unwrap_or(&self.dir);
            self.disk
                .remove(&path)
                .and_then(|()| self.disk.sync_dir(dir))
                .map_err(|e| io_error("removing", &path, &e))?;
            locked(&self.log).forget_oldest();
        }
    }
}

/// The changes of a generation that the index needs, in rising order of (table, key).
struct NetChanges<'a> {
    generation: &'a Generation,
    index: &'a dyn Index,
    tables: std::slice::Iter<'static, Table>,
    current: Option<TableMerge<'a>>,
}

/// One table's keys, merged with the index keys that its deleted ranges cover.
struct TableMerge<'a> {
    table: Table,
    keys: std::iter::Peekable<Keys<'a>>,
    ranges: btree_map::Iter<'a, Box<[u8]>, Box<[u8]>>,
    covered: Option<Rows<'a>>,
    next_covered: Option<Vec<u8>>,
}

impl<'a> NetChanges<'a> {
    fn new(generation: &'a Generation, index: &'a dyn Index) -> NetChanges<'a> {
        NetChanges { generation, index, tables: Table::ALL.iter(), current: None }
    }
}

impl<'a> TableMerge<'a> {
    fn new(table: Table, generation: &'a Generation) -> TableMerge<'a> {
        TableMerge {
            table,
            keys: generation.keys(table, Bound::Unbounded, Bound::Unbounded).peekable(),
            ranges: generation.ranges(table).iter(),
            covered: None,
            next_covered: None,
        }
    }

    /// The next index key under a deleted range.
    fn peek_covered(&mut self, index: &'a dyn Index) -> Result<Option<&[u8]>, Error> {
        while self.next_covered.is_none() {
            if let Some(rows) = &mut self.covered {
                match rows.next() {
                    Some(row) => self.next_covered = Some(row?.0),
                    None => self.covered = None,
                }
            } else if let Some((from, to)) = self.ranges.next() {
                let (from, to) = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
                self.covered = Some(index.scan(self.table, from, to, Order::Ascending)?);
            } else {
                return Ok(None);
            }
        }
        Ok(self.next_covered.as_deref())
    }

    fn next_change(&mut self, index: &'a dyn Index) -> Result<Option<Change<'a>>, Error> {
        let key = self.keys.peek().map(|(key, _)| *key);
        if let Some(covered) = self.peek_covered(index)? {
            if key.is_none_or(|key| covered < key) {
                let gone = |key| Change { table: self.table, key: Cow::Owned(key), value: None };
                return Ok(self.next_covered.take().map(gone));
            }
            if key == Some(covered) {
                // The key was put or deleted after the range was, and says it all.
                self.next_covered = None;
            }
        }
        let change = |(key, value)| Change { table: self.table, key: Cow::Borrowed(key), value };
        Ok(self.keys.next().map(change))
    }
}

impl<'a> Iterator for NetChanges<'a> {
    type Item = Result<Change<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(current) = &mut self.current
                && let Some(change) = current.next_change(self.index).transpose()
            {
                return Some(change);
            }
            let table = *self.tables.next()?;
            self.current = Some(TableMerge::new(table, self.generation));
        }
    }
}
