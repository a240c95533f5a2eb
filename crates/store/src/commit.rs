//! What changes a store: commits, each a run of mutations.
//!
//! A [`Commit`] is kept as the bytes that the log holds of it, so that whoever asks for a change writes it down once, in
//! one piece of memory, and the one thread that commits for everybody only copies it.

use std::fmt;

use crate::{Error, MAX_KEY_BYTES, MAX_VALUE_BYTES, Table};

const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
const INSERT: u8 = 4;

/// One change of one table, as a [`Commit`] holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation<'a> {
    /// Set `key` to `value`, whether or not the key existed.
    Put {
        /// The table.
        table: Table,
        /// The key; at most [`MAX_KEY_BYTES`].
        key: &'a [u8],
        /// The value; at most [`MAX_VALUE_BYTES`].
        value: &'a [u8],
    },
    /// Set `key`, which has no value, to `value`: should it go again soon, there is nothing behind it to hide, and it
    /// leaves no trace. Wrong, and not noticed, if the key has a value.
    Insert {
        /// The table.
        table: Table,
        /// The key; at most [`MAX_KEY_BYTES`].
        key: &'a [u8],
        /// The value; at most [`MAX_VALUE_BYTES`].
        value: &'a [u8],
    },
    /// Remove `key`; no error if it is absent.
    Delete {
        /// The table.
        table: Table,
        /// The key.
        key: &'a [u8],
    },
    /// Remove every key in `[from, to)`; nothing when `from >= to`.
    DeleteRange {
        /// The table.
        table: Table,
        /// The first key removed.
        from: &'a [u8],
        /// The first key kept.
        to: &'a [u8],
    },
}

impl Mutation<'_> {
    /// Bytes of keys and values.
    pub fn size(&self) -> usize {
        match self {
            Mutation::Put { key, value, .. } | Mutation::Insert { key, value, .. } => key.len() + value.len(),
            Mutation::Delete { key, .. } => key.len(),
            Mutation::DeleteRange { from, to, .. } => from.len() + to.len(),
        }
    }

    /// Refuses what breaks the limits.
    pub(crate) fn check_limits(&self) -> Result<(), Error> {
        let key = |table: Table, key: &[u8]| match key.len() {
            0..=MAX_KEY_BYTES => Ok(()),
            len => Err(Error::invalid(format!(
                "a key of {len} bytes in table {table:?} exceeds the limit of {MAX_KEY_BYTES} bytes; shorten the key"
            ))),
        };
        match *self {
            Mutation::Put { table, value, .. } | Mutation::Insert { table, value, .. }
                if value.len() > MAX_VALUE_BYTES =>
            {
                Err(Error::invalid(format!(
                    "a value of {} bytes in table {table:?} exceeds the limit of {MAX_VALUE_BYTES} bytes; split it over \
                     several rows",
                    value.len()
                )))
            }
            Mutation::Put { table, key: k, .. }
            | Mutation::Insert { table, key: k, .. }
            | Mutation::Delete { table, key: k } => key(table, k),
            Mutation::DeleteRange { table, from, to } => key(table, from).and_then(|()| key(table, to)),
        }
    }
}

/// One atomic change, the trace of one turn: all of its mutations happen, or none. Within a
/// commit, later mutations win over earlier ones.
///
/// Its bytes are part of the stored format. Each mutation: operation u8 (1 put, 2 delete, 3 delete range, 4 insert), table u8,
/// then byte strings (key and value; key; from and to; key and value), each a varint length and the bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Commit {
    bytes: Vec<u8>,
}

impl Commit {
    /// Adds a [`Mutation::Put`].
    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(&Mutation::Put { table, key: key.as_ref(), value: value.as_ref() });
    }

    /// Adds a [`Mutation::Insert`].
    pub fn insert(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.push(&Mutation::Insert { table, key: key.as_ref(), value: value.as_ref() });
    }

    /// Adds a [`Mutation::Delete`].
    pub fn delete(&mut self, table: Table, key: impl AsRef<[u8]>) {
        self.push(&Mutation::Delete { table, key: key.as_ref() });
    }

    /// Adds a [`Mutation::DeleteRange`] of `[from, to)`.
    pub fn delete_range(&mut self, table: Table, from: impl AsRef<[u8]>, to: impl AsRef<[u8]>) {
        self.push(&Mutation::DeleteRange { table, from: from.as_ref(), to: to.as_ref() });
    }

    /// Adds a mutation.
    pub fn push(&mut self, mutation: &Mutation<'_>) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve(TYPICAL_BYTES);
        }
        let (operation, table, first, second) = match *mutation {
            Mutation::Put { table, key, value } => (PUT, table, key, Some(value)),
            Mutation::Insert { table, key, value } => (INSERT, table, key, Some(value)),
            Mutation::Delete { table, key } => (DELETE, table, key, None),
            Mutation::DeleteRange { table, from, to } => (DELETE_RANGE, table, from, Some(to)),
        };
        self.bytes.extend_from_slice(&[operation, table as u8]);
        put_bytes(&mut self.bytes, first);
        if let Some(second) = second {
            put_bytes(&mut self.bytes, second);
        }
    }

    /// Adds what another commit changes, after what this one does.
    pub fn append(&mut self, later: &Commit) {
        self.bytes.extend_from_slice(&later.bytes);
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// What changes, in order.
    pub fn mutations(&self) -> Mutations<'_> {
        Mutations { rest: &self.bytes }
    }

    /// The bytes that the log holds of it.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Bytes of memory that it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// A commit from its bytes, or what is wrong with them.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Commit, String> {
        let mut rest = bytes;
        while take_mutation(&mut rest)?.is_some() {}
        Ok(Commit { bytes: bytes.to_vec() })
    }
}

/// Room for the rows of a small turn.
const TYPICAL_BYTES: usize = 1_024;

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.mutations()).finish()
    }
}

/// The mutations of a [`Commit`], in order.
#[derive(Clone, Debug)]
pub struct Mutations<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Mutations<'a> {
    type Item = Mutation<'a>;

    fn next(&mut self) -> Option<Mutation<'a>> {
        take_mutation(&mut self.rest).expect("the bytes of a commit are mutations")
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut len = bytes.len();
    while len >= 0x80 {
        out.push(len as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut len = 0_usize;
    let mut shift = 0;
    loop {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

/// Takes the first mutation off; none at the end.
fn take_mutation<'a>(input: &mut &'a [u8]) -> Result<Option<Mutation<'a>>, String> {
    let [operation, table, rest @ ..] = *input else {
        return if input.is_empty() { Ok(None) } else { Err("a mutation is cut short".to_owned()) };
    };
    *input = rest;
    let table = Table::from_u8(*table).ok_or_else(|| format!("a mutation names table {table}, which is unknown"))?;
    let mut next = || take_bytes(input).ok_or_else(|| "a mutation is cut short".to_owned());
    Ok(Some(match *operation {
        PUT => Mutation::Put { table, key: next()?, value: next()? },
        INSERT => Mutation::Insert { table, key: next()?, value: next()? },
        DELETE => Mutation::Delete { table, key: next()? },
        DELETE_RANGE => Mutation::DeleteRange { table, from: next()?, to: next()? },
        other => return Err(format!("a mutation has the unknown operation {other}")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mutations_are_kept_in_order() {
        let mut commit = Commit::default();
        assert!(commit.is_empty());
        commit.put(Table::Frame, "key", vec![7; 300]);
        commit.delete(Table::Timer, "gone");
        commit.insert(Table::Task, "new", "");
        let mut later = Commit::default();
        later.delete_range(Table::Payload, "a", "b");
        commit.append(&later);
        let all: Vec<_> = commit.mutations().collect();
        assert_eq!(
            all,
            [
                Mutation::Put { table: Table::Frame, key: b"key", value: &[7; 300] },
                Mutation::Delete { table: Table::Timer, key: b"gone" },
                Mutation::Insert { table: Table::Task, key: b"new", value: b"" },
                Mutation::DeleteRange { table: Table::Payload, from: b"a", to: b"b" },
            ]
        );
        assert_eq!(Commit::from_bytes(commit.bytes()), Ok(commit));
    }

    #[test]
    fn broken_bytes_are_refused() {
        for bytes in
            [&[9, 1, 0][..], &[PUT, 99, 0, 0], &[PUT, 1, 5, 1], &[PUT], &[DELETE, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 1]]
        {
            assert!(Commit::from_bytes(bytes).is_err(), "{bytes:?}");
        }
    }
}
