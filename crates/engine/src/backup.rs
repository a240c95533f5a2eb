//! A backup of what the engine holds: the store's rows as of one moment. What is under way goes on meanwhile and is in
//! the backup as far as it was durable then. Nothing here changes an execution.

use std::{io::Write, sync::Arc};

use stepwright_store::backup::Totals;

use crate::{
    error::{Error, Result},
    facade::Engine,
};

impl Engine {
    /// Writes a [backup](stepwright_store::backup) of everything that was acknowledged before the call. Blocks: for a
    /// thread that may wait for a disk and for whoever reads.
    ///
    /// # Errors
    /// `Unavailable`, also when `out` cannot be written to; `Full` when there is no room to bring the rows to disk;
    /// `Corrupt`. What was written then is no backup, and says so.
    pub fn backup(&self, out: &mut dyn Write) -> Result<Totals> {
        let shared = Arc::clone(self.shared());
        shared.check()?;
        let at_ms = u64::try_from(shared.now()).unwrap_or(0);
        shared.store.backup(at_ms, out).map_err(Error::from)
    }
}
