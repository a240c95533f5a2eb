//! What the store asks of the index behind its log, as a trait: the seam at which the library
//! is chosen (`docs/adr/0001-store.md`), and at which a simulator puts its own.

use std::borrow::Cow;
use std::ops::Bound;

use crate::{Error, Order, Row, Table};

/// One net change of a row, as a checkpoint writes it.
pub struct Change<'a> {
    /// The table.
    pub table: Table,
    /// The key.
    pub key: Cow<'a, [u8]>,
    /// The new value, or `None` if the row is gone.
    pub value: Option<&'a [u8]>,
}

/// The rows of an index in a range, in order.
pub type Rows<'a> = Box<dyn Iterator<Item = Result<Row, Error>> + 'a>;

/// Ordered tables, written in bulk by checkpoints only.
pub trait Index: Send + Sync + 'static {
    /// The position given with the last [`Index::apply`] that completed; 0 before the first.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn position(&self) -> Result<u64, Error>;

    /// Makes the changes, which come in rising order of (table, key), and then the position
    /// durable. The position must never become durable before every change is; changes without
    /// the position do no harm, the log repeats them.
    ///
    /// # Errors
    /// `Full` when there is no room: the caller may try again with the same and later changes.
    /// Any other error is final.
    fn apply(&self, changes: &mut dyn Iterator<Item = Result<Change<'_>, Error>>, position: u64) -> Result<(), Error>;

    /// Work that can be put off, such as compaction; called after checkpoints.
    ///
    /// # Errors
    /// As [`Index::apply`].
    fn maintain(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The value of `key`, if it has one.
    ///
    /// # Errors
    /// When the index cannot be read.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// The rows between `from` and `to` (never a crossed range), as they are at this call,
    /// whatever is applied while they are read.
    fn scan(&self, table: Table, from: Bound<&[u8]>, to: Bound<&[u8]>, order: Order) -> Result<Rows<'_>, Error>;
}
