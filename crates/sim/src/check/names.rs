//! Names are unique: one name, one execution, and a name is never kept without its execution.

use stepwright_store::{
    Commit, Mutation, Table, keys,
    records::{self, NameRow},
};

use super::{Checked, ensure};
use crate::rows::Rows;

/// A commit that takes names. `before`: what is stored without it.
pub(crate) fn commit(before: &Rows, commit: &Commit) -> Checked {
    for mutation in commit.mutations() {
        let Mutation::Put { table: Table::Name, key, value } = mutation else { continue };
        let name = || String::from_utf8_lossy(&key[4..]).into_owned();
        let id = |bytes: &[u8]| records::decode::<NameRow>(Table::Name, bytes).ok().map(|row| row.id());
        let new = id(value);
        if let Some(old) = before.get(Table::Name, key) {
            ensure(id(old) == new, "names", "a name belongs to one execution", || {
                format!("the name {:?} was taken by {:?} and is taken again by {new:?}", name(), id(old))
            })?;
        }
        let scope = u32::from_be_bytes(key[..4].try_into().expect("a key begins with its scope"));
        let there = new.is_some_and(|id| {
            let row = keys::execution(scope, id);
            let put = |mutation: Mutation<'_>| {
                matches!(mutation, Mutation::Put { table: Table::Execution, key, .. } if key == row)
            };
            commit.mutations().any(put) || before.get(Table::Execution, &row).is_some()
        });
        ensure(there, "names", "a name is taken together with the start of its execution", || {
            format!("the name {:?} is kept, and its execution {new:?} is not there", name())
        })?;
    }
    Ok(())
}
