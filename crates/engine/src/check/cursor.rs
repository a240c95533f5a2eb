//! The rows of a table in order, page by page, never more in memory than a few megabytes of them. Nothing here knows
//! what a row means.

use std::{collections::VecDeque, ops::Bound};

use stepwright_store::{Order, Row, Store, Table};

use crate::error::Result;

/// What a page should have in memory, about.
const PAGE_BYTES: usize = 2 << 20;
const MOST_ROWS: usize = 2_048;
const FEWEST_ROWS: usize = 8;

/// Where a walk through a table stands.
pub(super) struct Cursor<'a> {
    store: &'a dyn Store,
    pub(super) table: Table,
    page: VecDeque<Row>,
    last: Option<Vec<u8>>,
    limit: usize,
    done: bool,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(store: &'a dyn Store, table: Table) -> Self {
        Self { store, table, page: VecDeque::new(), last: None, limit: 64, done: false, rows: 0, bytes: 0 }
    }

    /// The next row, which stays.
    pub(super) fn peek(&mut self) -> Result<Option<&Row>> {
        if self.page.is_empty() && !self.done {
            self.fill()?;
        }
        Ok(self.page.front())
    }

    /// The next row.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        self.peek()?;
        let row = self.page.pop_front();
        if let Some((key, value)) = &row {
            self.rows += 1;
            self.bytes += (key.len() + value.len()) as u64;
        }
        Ok(row)
    }

    /// The next row if its key begins with this.
    pub(super) fn next_of(&mut self, prefix: &[u8]) -> Result<Option<Row>> {
        match self.peek()? {
            Some((key, _)) if key.starts_with(prefix) => self.next(),
            _ => Ok(None),
        }
    }

    fn fill(&mut self) -> Result<()> {
        let from = self.last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.store.scan(self.table, from, Bound::Unbounded, Order::Ascending, self.limit)?;
        self.done = rows.len() < self.limit;
        if let Some((key, _)) = rows.last() {
            self.last = Some(key.clone());
        }
        // Rows of one table differ in size by five orders of magnitude.
        let bytes: usize = rows.iter().map(|(key, value)| key.len() + value.len()).sum();
        self.limit = (PAGE_BYTES / (bytes / rows.len().max(1)).max(1)).clamp(FEWEST_ROWS, MOST_ROWS);
        self.page = rows.into();
        Ok(())
    }
}
