//! Scans: the rows in memory merged with those of the index.
//!
//! The lock on memory is held only to copy what memory has to say about the range and to pin
//! the index as it is at that moment; the index is read after it is released.

use std::ops::Bound;

use super::{Memory, Shared};
use crate::memtable::{Entry, Generation};
use crate::{Error, Order, Row, Table};

/// What memory says about a range: keys in the scan's order with their values or `None` for
/// deleted ones, and the deleted ranges that touch it.
struct Overlay {
    keys: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    ranges: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a generation says about the keys of a range, in the scan's order.
fn entries<'a>(
    generation: Option<&'a Generation>,
    table: Table,
    from: Bound<&[u8]>,
    to: Bound<&[u8]>,
    order: Order,
) -> Box<dyn Iterator<Item = Entry<'a>> + 'a> {
    let Some(generation) = generation else {
        return Box::new(std::iter::empty());
    };
    let keys = generation.keys(table, from, to);
    match order {
        Order::Ascending => Box::new(keys),
        Order::Descending => Box::new(keys.rev()),
    }
}

fn comes_first(a: &[u8], b: &[u8], order: Order) -> bool {
    match order {
        Order::Ascending => a < b,
        Order::Descending => a > b,
    }
}

/// The deleted ranges of a generation that can cover keys between `from` and `to`.
fn touching<'a>(
    generation: &'a Generation,
    table: Table,
    from: Bound<&'a [u8]>,
    to: Bound<&'a [u8]>,
) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + 'a {
    let start = match from {
        Bound::Included(key) | Bound::Excluded(key) => key,
        Bound::Unbounded => &[],
    };
    // The one that begins before the scan does, if it reaches into it, and those that follow.
    let ranges = generation.ranges(table);
    let before = ranges
        .range::<[u8], _>((Bound::Unbounded, Bound::Excluded(start)))
        .next_back()
        .filter(move |(_, end)| start < &end[..]);
    let inside =
        ranges.range::<[u8], _>((Bound::Included(start), Bound::Unbounded)).take_while(move |(first, _)| match to {
            Bound::Included(to) => &first[..] <= to,
            Bound::Excluded(to) => &first[..] < to,
            Bound::Unbounded => true,
        });
    before.into_iter().chain(inside).map(|(first, end)| (first.to_vec(), end.to_vec()))
}

impl Overlay {
    /// Copies no more than a scan of `limit` rows can need: once `limit` live keys are found in
    /// memory, no later key can be among the first `limit` rows.
    fn new(memory: &Memory, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order, limit: usize) -> Overlay {
        let newer = &memory.active;
        let older = memory.frozen.as_deref();
        let mut ranges: Vec<_> = touching(newer, table, from, to).collect();
        let newer_ranges = ranges.len();
        ranges.extend(older.into_iter().flat_map(|older| touching(older, table, from, to)));

        let mut keys = Vec::new();
        let mut live = 0;
        let mut a = entries(Some(newer), table, from, to, order).peekable();
        let mut b = entries(older, table, from, to, order).peekable();
        while live < limit {
            let from_newer = match (a.peek(), b.peek()) {
                (None, None) => break,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((x, _)), Some((y, _))) => {
                    if x == y {
                        b.next();
                        continue;
                    }
                    comes_first(x, y, order)
                }
            };
            let entry = if from_newer { a.next() } else { b.next() };
            let Some((key, value)) = entry else { break };
            let mut value = value.map(<[u8]>::to_vec);
            if !from_newer && covered(&ranges[..newer_ranges], key) {
                value = None;
            }
            live += usize::from(value.is_some());
            keys.push((key.to_vec(), value));
        }
        Overlay { keys, ranges }
    }
}

fn covered(ranges: &[(Vec<u8>, Vec<u8>)], key: &[u8]) -> bool {
    ranges.iter().any(|(from, to)| &from[..] <= key && key < &to[..])
}

impl Shared {
    pub(super) fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, Error> {
        let (mut overlay, rows) = {
            let memory = self.memory();
            let overlay = Overlay::new(&memory, table, from, to, order, limit);
            (overlay, self.index.scan(table, from, to, order)?)
        };
        // Sorted once, so that each row of the index is checked by bisection.
        let ranges = merged(std::mem::take(&mut overlay.ranges));
        let mut above = overlay.keys.into_iter().peekable();
        let mut result = Vec::new();
        let take_above = |result: &mut Vec<Row>, (key, value): (Vec<u8>, Option<Vec<u8>>)| {
            if let Some(value) = value {
                result.push((key, value));
            }
        };
        for row in rows {
            if result.len() >= limit {
                return Ok(result);
            }
            let row = row?;
            while result.len() < limit
                && let Some(entry) = above.next_if(|(key, _)| comes_first(key, &row.0, order))
            {
                take_above(&mut result, entry);
            }
            if result.len() >= limit {
                return Ok(result);
            }
            if let Some(entry) = above.next_if(|(key, _)| *key == row.0) {
                take_above(&mut result, entry);
            } else if !covered_sorted(&ranges, &row.0) {
                result.push(row);
            }
        }
        while result.len() < limit
            && let Some(entry) = above.next()
        {
            take_above(&mut result, entry);
        }
        Ok(result)
    }
}

/// Sorts ranges of two generations and merges those that overlap.
fn merged(mut ranges: Vec<(Vec<u8>, Vec<u8>)>) -> Vec<(Vec<u8>, Vec<u8>)> {
    ranges.sort_unstable();
    let mut out: Vec<(Vec<u8>, Vec<u8>)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            Some((_, end)) if *end >= from => {
                if *end < to {
                    *end = to;
                }
            }
            _ => out.push((from, to)),
        }
    }
    out
}

fn covered_sorted(ranges: &[(Vec<u8>, Vec<u8>)], key: &[u8]) -> bool {
    let after = ranges.partition_point(|(from, _)| &from[..] <= key);
    after > 0 && key < &ranges[after - 1].1[..]
}
