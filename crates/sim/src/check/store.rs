//! What a store holds after it was opened again is what it acknowledged, and of the batch whose outcome it did not
//! know a beginning: no commit lost, none made up, none torn. And it is told the truth about what is new.

use std::ops::Bound;

use stepwright_store::{Commit, Mutation, Order, Store, Table};

use super::{Checked, Complaint, ensure};
use crate::rows::Rows;

/// The first row that the store and the acknowledged rows do not have in common.
pub(crate) fn difference(store: &dyn Store, rows: &Rows) -> Option<String> {
    for table in Table::ALL {
        let stored = match store.scan(*table, Bound::Unbounded, Bound::Unbounded, Order::Ascending, usize::MAX) {
            Ok(stored) => stored,
            Err(error) => return Some(format!("{table:?} cannot be read: {error}")),
        };
        let mut known = rows.all(*table);
        for (key, value) in &stored {
            let expected = known.next();
            if expected != Some((&key[..], &value[..])) {
                return Some(format!("{table:?} holds {key:?} = {value:?}, and acknowledged is {expected:?}"));
            }
        }
        if let Some(lost) = known.next() {
            return Some(format!("{table:?} has lost {lost:?}"));
        }
    }
    None
}

/// What is inserted had no value: the store does not look, and would show an old one again later.
pub(crate) fn insert(before: &Rows, mutation: &Mutation<'_>) -> Checked {
    let Mutation::Insert { table, key, value } = mutation else { return Ok(()) };
    let old = before.get(*table, key);
    ensure(old.is_none(), "store", "what is inserted had no value", || {
        format!("{table:?} held {key:?} = {old:?}, over which {value:?} was inserted")
    })
}

/// How many commits of the batch in doubt were made after all.
pub(crate) fn settle(store: &dyn Store, rows: &Rows, in_doubt: &[Commit]) -> Result<usize, Complaint> {
    let Some(first) = difference(store, rows) else { return Ok(0) };
    let mut rows = rows.clone();
    for (number, commit) in in_doubt.iter().enumerate() {
        rows.apply(commit);
        if difference(store, &rows).is_none() {
            return Ok(number + 1);
        }
    }
    Err(Complaint::new(
        "store",
        format!("what was acknowledged, and a beginning of the {} commits in doubt", in_doubt.len()),
        first,
    ))
}

/// A store that was open all the time.
pub(crate) fn same(store: &dyn Store, rows: &Rows) -> Checked {
    match difference(store, rows) {
        None => Ok(()),
        Some(difference) => Err(Complaint::new("store", "reads see what was acknowledged", difference)),
    }
}
