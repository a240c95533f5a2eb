//! A store in memory, for tests and for servers that may forget. It keeps every promise of
//! [`Store`] but durability, and must never touch a file.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::rows::is_empty_range;
use crate::table::TABLES;
use crate::{Commit, Error, Mutation, Order, Row, Stats, Store, Table, check_limits};

/// A [`Store`] whose rows live in memory only.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    tables: [BTreeMap<Vec<u8>, Vec<u8>>; TABLES],
    stats: Stats,
    closed: bool,
}

impl Default for State {
    fn default() -> Self {
        State { tables: std::array::from_fn(|_| BTreeMap::new()), stats: Stats::default(), closed: false }
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    // A batch is checked before it is applied and applying it cannot panic half-way (short of
    // memory running out, which aborts), so a poisoned lock still guards whole commits.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, mutation: &Mutation<'_>) {
        match *mutation {
            Mutation::Put { table, key, value } | Mutation::Insert { table, key, value } => {
                let old = self.tables[table as usize].insert(key.to_vec(), value.to_vec());
                self.stats.memtable_bytes += value.len() as u64;
                self.stats.memtable_bytes -= match old {
                    Some(old) => old.len() as u64,
                    None => {
                        self.stats.memtable_bytes += key.len() as u64;
                        0
                    }
                };
            }
            Mutation::Delete { table, key } => self.remove(table, key),
            Mutation::DeleteRange { table, from, to } => {
                if from >= to {
                    return;
                }
                let gone: Vec<Vec<u8>> = self.tables[table as usize]
                    .range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)))
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in gone {
                    self.remove(table, &key);
                }
            }
        }
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        if let Some(old) = self.tables[table as usize].remove(key) {
            self.stats.memtable_bytes -= (key.len() + old.len()) as u64;
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: &[Commit]) -> Result<(), Error> {
        check_limits(batch)?;
        let mut state = self.write();
        if state.closed {
            return Err(Error::Closed);
        }
        batch.iter().flat_map(Commit::mutations).for_each(|mutation| state.apply(&mutation));
        state.stats.records += batch.len() as u64;
        state.stats.batches += u64::from(!batch.is_empty());
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.read().tables[table as usize].get(key).cloned())
    }

    fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        if is_empty_range(from, to) {
            return Ok(Vec::new());
        }
        let state = self.read();
        let range = state.tables[table as usize].range::<[u8], _>((from, to));
        let copy = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match order {
            Order::Ascending => range.take(limit).map(copy).collect(),
            Order::Descending => range.rev().take(limit).map(copy).collect(),
        })
    }

    fn stats(&self) -> Stats {
        self.read().stats
    }

    fn close(&self) -> Result<(), Error> {
        self.write().closed = true;
        Ok(())
    }
}
