//! The rows changed since a checkpoint, in memory, in front of the index.
//!
//! A generation holds, per table, the keys that were put or deleted and the ranges that were
//! deleted. Within one generation keys win over ranges: deleting a range first drops the keys in
//! it. This module must never read the index: the commit path goes through it.

use std::borrow::Borrow;
use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, Deref};

use crate::table::TABLES;
use crate::{Mutation, Table};

/// What a generation knows about a key.
pub(crate) enum Found<'a> {
    Value(&'a [u8]),
    Deleted,
    Unknown,
}

/// Keys up to this long, which nearly all are, lie in the tree itself: to compare them costs no further access to
/// memory, to insert them no allocation.
const SHORT: usize = 38;

/// A key in memory.
#[derive(Clone)]
enum Key {
    Short(u8, [u8; SHORT]),
    Long(Box<[u8]>),
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        if key.len() > SHORT {
            return Key::Long(key.into());
        }
        let mut short = [0; SHORT];
        short[..key.len()].copy_from_slice(key);
        Key::Short(key.len() as u8, short)
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Key::Short(len, short) => &short[..usize::from(*len)],
            Key::Long(key) => key,
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        (**self).cmp(other)
    }
}

/// Values lie one behind the other in pieces of this size; a longer one has a piece of its own.
const PIECE: usize = 128 << 10;

/// The values of a generation. What was put and replaced stays until the generation goes: that is less than what the
/// log holds of it, which is bounded.
#[derive(Default)]
struct Values {
    pieces: Vec<Vec<u8>>,
}

/// Where a value lies.
#[derive(Clone, Copy)]
struct Place {
    piece: u32,
    from: u32,
    len: u32,
}

impl Values {
    fn push(&mut self, value: &[u8]) -> Place {
        if self.pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < value.len()) {
            self.pieces.push(Vec::with_capacity(PIECE.max(value.len())));
        }
        let at = self.pieces.len() - 1;
        let piece = &mut self.pieces[at];
        let from = piece.len();
        piece.extend_from_slice(value);
        let number = |n: usize| u32::try_from(n).expect("values and pieces are small, and memory is bounded");
        Place { piece: number(at), from: number(from), len: number(value.len()) }
    }

    fn at(&self, place: Place) -> &[u8] {
        &self.pieces[place.piece as usize][place.from as usize..][..place.len as usize]
    }
}

/// What became of a key.
#[derive(Clone, Copy)]
enum KeyState {
    Put(Place),
    /// Put, and it had no value before this generation: if it is deleted again, nothing happened.
    Born(Place),
    Deleted,
}

impl KeyState {
    fn place(self) -> Option<Place> {
        match self {
            KeyState::Put(place) | KeyState::Born(place) => Some(place),
            KeyState::Deleted => None,
        }
    }
}

#[derive(Default)]
struct TableChanges {
    keys: BTreeMap<Key, KeyState>,
    /// Disjoint deleted ranges, first key to end.
    ranges: BTreeMap<Box<[u8]>, Box<[u8]>>,
}

/// Bytes that a row in memory costs beyond its key and value.
const ROW_OVERHEAD: u64 = 64;

/// The changes between two checkpoints.
pub(crate) struct Generation {
    tables: [TableChanges; TABLES],
    values: Values,
    bytes: u64,
}

impl Default for Generation {
    fn default() -> Self {
        Generation { tables: std::array::from_fn(|_| TableChanges::default()), values: Values::default(), bytes: 0 }
    }
}

fn cost(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

impl TableChanges {
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

/// A changed key, and its value, or none if it was deleted.
pub(crate) type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

/// Changed keys of a table in order.
pub(crate) struct Keys<'a> {
    range: btree_map::Range<'a, Key, KeyState>,
    values: &'a Values,
}

impl<'a> Keys<'a> {
    fn entry(&self, (key, state): (&'a Key, &'a KeyState)) -> Entry<'a> {
        (key, state.place().map(|place| self.values.at(place)))
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.range.next()?;
        Some(self.entry(next))
    }
}

impl DoubleEndedIterator for Keys<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        let next = self.range.next_back()?;
        Some(self.entry(next))
    }
}

impl Generation {
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.iter().all(|t| t.keys.is_empty() && t.ranges.is_empty())
    }

    pub(crate) fn find(&self, table: Table, key: &[u8]) -> Found<'_> {
        let changes = &self.tables[table as usize];
        match changes.keys.get(key).map(|state| state.place()) {
            Some(Some(place)) => Found::Value(self.values.at(place)),
            Some(None) => Found::Deleted,
            None if changes.covers(key) => Found::Deleted,
            None => Found::Unknown,
        }
    }

    /// The changed keys between `from` and `to`, which are not crossed.
    pub(crate) fn keys(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Keys<'_> {
        Keys { range: self.tables[table as usize].keys.range::<[u8], _>((from, to)), values: &self.values }
    }

    /// The deleted ranges of a table, disjoint, in order: first key and end.
    pub(crate) fn ranges(&self, table: Table) -> &BTreeMap<Box<[u8]>, Box<[u8]>> {
        &self.tables[table as usize].ranges
    }

    pub(crate) fn apply(&mut self, mutation: &Mutation<'_>) {
        match *mutation {
            Mutation::Put { table, key, value } => self.put(table, key, value, false),
            Mutation::Insert { table, key, value } => self.put(table, key, value, true),
            Mutation::Delete { table, key } => self.delete(table, key),
            Mutation::DeleteRange { table, from, to } => {
                if from < to {
                    self.delete_range(table, from, to);
                }
            }
        }
    }

    /// [`apply`](Generation::apply) once more, over an index that may hold a part of what came of it the first time:
    /// nothing counts as new.
    pub(crate) fn apply_again(&mut self, mutation: &Mutation<'_>) {
        match *mutation {
            Mutation::Insert { table, key, value } => self.put(table, key, value, false),
            _ => self.apply(mutation),
        }
    }

    fn put(&mut self, table: Table, key: &[u8], value: &[u8], new: bool) {
        let place = self.values.push(value);
        self.bytes += cost(value);
        match self.tables[table as usize].keys.entry(key.into()) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(if new { KeyState::Born(place) } else { KeyState::Put(place) });
                self.bytes += cost(key) + ROW_OVERHEAD;
            }
            btree_map::Entry::Occupied(mut entry) => {
                let born = matches!(entry.get(), KeyState::Born(_));
                entry.insert(if born { KeyState::Born(place) } else { KeyState::Put(place) });
            }
        }
    }

    fn delete(&mut self, table: Table, key: &[u8]) {
        match self.tables[table as usize].keys.entry(key.into()) {
            btree_map::Entry::Vacant(entry) => {
                entry.insert(KeyState::Deleted);
                self.bytes += cost(key) + ROW_OVERHEAD;
            }
            btree_map::Entry::Occupied(entry) if matches!(entry.get(), KeyState::Born(_)) => {
                entry.remove();
                self.bytes -= cost(key) + ROW_OVERHEAD;
            }
            btree_map::Entry::Occupied(mut entry) => {
                entry.insert(KeyState::Deleted);
            }
        }
    }

    fn delete_range(&mut self, table: Table, from: &[u8], to: &[u8]) {
        let changes = &mut self.tables[table as usize];
        let range = (Bound::Included(Key::from(from)), Bound::Excluded(Key::from(to)));
        for (key, _) in changes.keys.extract_if(range, |_, _| true) {
            self.bytes -= cost(&key) + ROW_OVERHEAD;
        }
        // Merging can only make the ranges smaller than this sum; it is an estimate.
        self.bytes += cost(from) + cost(to) + ROW_OVERHEAD;
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
