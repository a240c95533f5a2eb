//! A backup of a store in use: a checkpoint, and then the index as that checkpoint left it.
//!
//! Every table's rows are pinned while no other checkpoint can begin, and read afterwards, while
//! commits and checkpoints go on. This module must never show rows of two moments, and never end
//! a backup well whose store ended meanwhile: nobody pins the files of a store that is closed.

use std::io::Write;
use std::ops::Bound;

use super::{EmbeddedStore, Shared, locked};
use crate::backup::{Head, Totals, Writer};
use crate::index::Rows;
use crate::{Error, Order, Table};

/// How many rows are read before the store is asked again whether it is still open.
const ROWS_BETWEEN_LOOKS: u64 = 1_024;

impl EmbeddedStore {
    /// The number of the last commit.
    pub(crate) fn last_commit(&self) -> u64 {
        locked(&self.shared.log).last_sequence()
    }
}

impl Shared {
    pub(super) fn backup(&self, at_ms: u64, out: &mut dyn Write) -> Result<Totals, Error> {
        self.check_open()?;
        let (position, tables) = self.checkpoint_and(|position| Ok((position, self.pin()?)))?;
        let mut writer = Writer::new(out, Head { position, at_ms })?;
        match self.copy(tables, &mut writer) {
            Ok(()) => writer.finish(),
            Err(error) => {
                // Said in the backup, too, unless that is what cannot be written.
                let _told = writer.fail(&error.to_string());
                Err(error)
            }
        }
    }

    /// The rows of every table as they are now.
    fn pin(&self) -> Result<Vec<(Table, Rows<'_>)>, Error> {
        let pin =
            |&table: &Table| Ok((table, self.index.scan(table, Bound::Unbounded, Bound::Unbounded, Order::Ascending)?));
        Table::ALL.iter().map(pin).collect()
    }

    fn copy(&self, tables: Vec<(Table, Rows<'_>)>, writer: &mut Writer<'_>) -> Result<(), Error> {
        let mut rows = 0_u64;
        for (table, all) in tables {
            for row in all {
                let (key, value) = row?;
                writer.row(table, &key, &value)?;
                rows += 1;
                if rows.is_multiple_of(ROWS_BETWEEN_LOOKS) {
                    self.check_open()?;
                }
            }
        }
        self.check_open()
    }
}
