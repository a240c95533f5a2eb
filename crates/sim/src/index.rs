//! The index behind a simulated log: ordered rows that outlive the process. What a checkpoint that was cut short had
//! written stays, without its position, as the contract of [`Index`] allows. It must never keep a position before the
//! rows that belong to it.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stepwright_store::{
    Error, Order, Table,
    index::{Change, Index, Rows},
};

use crate::disk::SimDisk;

type Key = (u8, Vec<u8>);

#[derive(Default)]
struct State {
    rows: BTreeMap<Key, Arc<[u8]>>,
    position: u64,
}

/// The rows of every checkpoint so far.
#[derive(Clone, Default)]
pub(crate) struct SimIndex(Arc<Mutex<State>>);

/// The index as one process has it.
pub(crate) struct OpenIndex {
    index: SimIndex,
    disk: SimDisk,
    process: u64,
}

impl SimIndex {
    pub(crate) fn open(&self, disk: &SimDisk, process: u64) -> OpenIndex {
        OpenIndex { index: self.clone(), disk: disk.clone(), process }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn change(&mut self, change: Change<'_>) {
        let key = (change.table as u8, change.key.into_owned());
        match change.value {
            Some(value) => self.rows.insert(key, value.into()),
            None => self.rows.remove(&key),
        };
    }
}

impl Index for OpenIndex {
    fn position(&self) -> Result<u64, Error> {
        Ok(self.index.lock().position)
    }

    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change<'_>, Error>>, position: u64) -> Result<(), Error> {
        // The changes are read from this index, too: first all of them, then the first of them is made.
        let changes: Vec<Change<'_>> = changes.collect::<Result<_, _>>()?;
        match self.disk.index_operation(self.process) {
            Ok(()) => {
                let mut state = self.index.lock();
                changes.into_iter().for_each(|change| state.change(change));
                state.position = position;
                Ok(())
            }
            Err((error, part)) => {
                let mut state = self.index.lock();
                for (number, change) in changes.into_iter().enumerate() {
                    // Any of them at all.
                    if (part >> (number % 64)) & 1 == 1 {
                        state.change(change);
                    }
                }
                let dir = Path::new("index").to_path_buf();
                Err(match error.kind() {
                    std::io::ErrorKind::StorageFull => Error::Full { dir, needed: 0, reason: error.to_string() },
                    _ => Error::Io { action: "writing", file: dir, reason: error.to_string() },
                })
            }
        }
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.index.lock().rows.get(&(table as u8, key.to_vec())).map(|value| value.to_vec()))
    }

    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error> {
        let number = table as u8;
        let bound = |bound: Bound<&[u8]>, open: Bound<Key>| match bound {
            Bound::Included(key) => Bound::Included((number, key.to_vec())),
            Bound::Excluded(key) => Bound::Excluded((number, key.to_vec())),
            Bound::Unbounded => open,
        };
        let mut from = bound(from, Bound::Included((number, Vec::new())));
        let mut to = bound(to, Bound::Excluded((number + 1, Vec::new())));
        // Nothing is applied while rows are read: one process, one thread.
        Ok(Box::new(std::iter::from_fn(move || {
            let state = self.index.lock();
            let mut range = state.rows.range((from.clone(), to.clone()));
            let found = match order {
                Order::Ascending => range.next(),
                Order::Descending => range.next_back(),
            };
            let (key, value) = found?;
            let row = (key.1.clone(), value.to_vec());
            let past = Bound::Excluded(key.clone());
            drop(range);
            match order {
                Order::Ascending => from = past,
                Order::Descending => to = past,
            }
            Some(Ok(row))
        })))
    }
}
