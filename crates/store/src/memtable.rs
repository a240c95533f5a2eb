//! The rows changed since a checkpoint, in memory, in front of the index.
//!
//! A generation holds, per table, the keys that were put or deleted and the ranges that were
//! deleted. Within one generation keys win over ranges: deleting a range first drops the keys in
//! it. This module must never read the index: the commit path goes through it.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::table::TABLES;
use crate::{Mutation, Table};

/// What a generation knows about a key.
pub(crate) enum Found<'a> {
    Value(&'a [u8]),
    Deleted,
    Unknown,
}

#[derive(Default)]
pub(crate) struct TableChanges {
    pub(crate) keys: BTreeMap<Box<[u8]>, Option<Box<[u8]>>>,
    /// Disjoint deleted ranges, first key to end.
    pub(crate) ranges: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

/// Bytes that a row in memory costs beyond its key and value.
const ROW_OVERHEAD: u64 = 64;

/// The changes between two checkpoints.
pub(crate) struct Generation {
    tables: [TableChanges; TABLES],
    bytes: u64,
}

impl Default for Generation {
    fn default() -> Self {
        Generation { tables: std::array::from_fn(|_| TableChanges::default()), bytes: 0 }
    }
}

fn cost(key: &[u8], value: Option<&[u8]>) -> u64 {
    key.len() as u64 + value.map_or(0, <[u8]>::len) as u64 + ROW_OVERHEAD
}

impl TableChanges {
    pub(crate) fn find(&self, key: &[u8]) -> Found<'_> {
        match self.keys.get(key) {
            Some(Some(value)) => Found::Value(value),
            Some(None) => Found::Deleted,
            None if self.covers(key) => Found::Deleted,
            None => Found::Unknown,
        }
    }

    fn covers(&self, key: &[u8]) -> bool {
        self.ranges
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, to)| key < &to[..])
    }

    /// Adds `[from, to)` to the ranges, merged with those it touches.
    fn add_range(&mut self, from: &[u8], to: &[u8]) {
        let mut from: Box<[u8]> = from.into();
        let mut to: Box<[u8]> = to.into();
        // Ranges are disjoint, so those that touch the new one end at or after its start, and
        // walking back from its end meets them in turn.
        while let Some((start, end)) =
            self.ranges.range::<[u8], _>((Bound::Unbounded, Bound::Included(&to[..]))).next_back()
            && **end >= *from
        {
            let start = start.clone();
            if let Some(end) = self.ranges.remove(&start) {
                from = from.min(start);
                to = to.max(end);
            }
        }
        self.ranges.insert(from, to);
    }
}

impl Generation {
    pub(crate) fn table(&self, table: Table) -> &TableChanges {
        &self.tables[table as usize]
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(|t| t.keys.is_empty() && t.ranges.is_empty())
    }

    pub(crate) fn apply(&mut self, mutation: &Mutation) {
        match mutation {
            Mutation::Put { table, key, value } => self.set(*table, key, Some(value)),
            Mutation::Delete { table, key } => self.set(*table, key, None),
            Mutation::DeleteRange { table, from, to } => {
                if from < to {
                    self.delete_range(*table, from, to);
                }
            }
        }
    }

    fn set(&mut self, table: Table, key: &[u8], value: Option<&[u8]>) {
        let keys = &mut self.tables[table as usize].keys;
        self.bytes += cost(key, value);
        if let Some(old) = keys.insert(key.into(), value.map(Into::into)) {
            self.bytes -= cost(key, old.as_deref());
        }
    }

    fn delete_range(&mut self, table: Table, from: &[u8], to: &[u8]) {
        let changes = &mut self.tables[table as usize];
        let bytes = &mut self.bytes;
        let range = (Bound::Included(from), Bound::Excluded(to));
        let gone: Vec<Box<[u8]>> = changes
            .keys
            .range::<[u8], _>(range)
            .map(|(key, value)| {
                *bytes -= cost(key, value.as_deref());
                key.clone()
            })
            .collect();
        for key in gone {
            changes.keys.remove(&key);
        }
        // Merging can only make the ranges smaller than this sum; it is an estimate.
        *bytes += cost(from, Some(to));
        changes.add_range(from, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut changes = TableChanges::default();
        for (from, to) in list {
            changes.add_range(from.as_bytes(), to.as_bytes());
        }
        let text = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
        changes.ranges.iter().map(|(a, b)| (text(a), text(b))).collect()
    }

    fn check(list: &[(&str, &str)], expect: &[(&str, &str)]) {
        let expect: Vec<_> = expect.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(ranges(list), expect, "{list:?}");
    }

    #[test]
    fn ranges_merge() {
        check(&[("b", "d"), ("f", "h")], &[("b", "d"), ("f", "h")]);
        check(&[("b", "d"), ("d", "h")], &[("b", "h")]);
        check(&[("d", "h"), ("b", "d")], &[("b", "h")]);
        check(&[("b", "d"), ("f", "h"), ("a", "z")], &[("a", "z")]);
        check(&[("b", "d"), ("f", "h"), ("c", "g")], &[("b", "h")]);
        check(&[("a", "z"), ("f", "h")], &[("a", "z")]);
        check(&[("b", "d"), ("e", "f"), ("g", "h"), ("d", "e")], &[("b", "f"), ("g", "h")]);
    }
}
