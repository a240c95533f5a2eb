//! What the store holds as far as it said so: every commit that it acknowledged, repeated row by row. It must never
//! hear of a commit before the store said that it is durable.

use std::{collections::BTreeMap, ops::Bound};

use stepwright_store::{Commit, Mutation, Table};

/// Ordered tables of bytes.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Rows {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        self.tables.get(&table)?.get(key).map(Vec::as_slice)
    }

    /// Rows whose keys begin with `prefix`.
    pub(crate) fn with_prefix<'a>(
        &'a self,
        table: Table,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let rows = self.tables.get(&table).into_iter();
        rows.flat_map(move |rows| rows.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded)))
            .take_while(move |(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    /// Every row of a table.
    pub(crate) fn all(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        let rows = self.tables.get(&table).into_iter().flatten();
        rows.map(|(key, value)| (key.as_slice(), value.as_slice()))
    }

    pub(crate) fn apply(&mut self, commit: &Commit) {
        for mutation in commit.mutations() {
            self.change(&mutation);
        }
    }

    /// Makes one change.
    pub(crate) fn change(&mut self, mutation: &Mutation<'_>) {
        match *mutation {
            Mutation::Put { table, key, value } | Mutation::Insert { table, key, value } => {
                self.tables.entry(table).or_default().insert(key.to_vec(), value.to_vec());
            }
            Mutation::Delete { table, key } => {
                self.tables.entry(table).or_default().remove(key);
            }
            Mutation::DeleteRange { table, from, to } if from < to => {
                let rows = self.tables.entry(table).or_default();
                let range = (Bound::Included(from), Bound::Excluded(to));
                let gone: Vec<Vec<u8>> = rows.range::<[u8], _>(range).map(|(key, _)| key.clone()).collect();
                for key in gone {
                    rows.remove(&key);
                }
            }
            Mutation::DeleteRange { .. } => {}
        }
    }
}
