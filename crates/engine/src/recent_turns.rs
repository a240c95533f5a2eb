//! Large turns that were read lately, decoded. A history is read page by page, and a turn may hold many pages of
//! events: without this, each page would decode all of it again. A turn never changes once it is written, so what is
//! kept here is never wrong; it is only ever too little.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use stepwright_machine::TurnId;
use stepwright_store::{
    Table,
    records::{self, TurnRow},
};

use crate::{error::Result, message::ExecutionRef};

/// Rows smaller than this are decoded in no time.
const WORTH_BYTES: usize = 16 << 10;
/// Bytes of rows kept; decoded, they take about five times as much.
const KEPT_BYTES: usize = 2 << 20;

struct Kept {
    execution: ExecutionRef,
    turn: TurnId,
    bytes: usize,
    row: Arc<TurnRow>,
}

/// The turns, the one read last at the end.
#[derive(Default)]
pub(crate) struct RecentTurns {
    kept: Mutex<VecDeque<Kept>>,
}

impl RecentTurns {
    /// The turn in a row that was read from the store.
    pub(crate) fn decode(&self, execution: ExecutionRef, turn: TurnId, bytes: &[u8]) -> Result<Arc<TurnRow>> {
        if bytes.len() < WORTH_BYTES {
            return Ok(Arc::new(records::decode(Table::Turn, bytes)?));
        }
        let at = |kept: &VecDeque<Kept>| kept.iter().position(|one| one.execution == execution && one.turn == turn);
        {
            let mut kept = self.lock();
            if let Some(found) = at(&kept).and_then(|at| kept.remove(at)) {
                let row = found.row.clone();
                kept.push_back(found);
                return Ok(row);
            }
        }
        let row: Arc<TurnRow> = Arc::new(records::decode(Table::Turn, bytes)?);
        let mut kept = self.lock();
        if at(&kept).is_none() {
            kept.push_back(Kept { execution, turn, bytes: bytes.len(), row: row.clone() });
        }
        while kept.len() > 1 && kept.iter().map(|one| one.bytes).sum::<usize>() > KEPT_BYTES {
            kept.pop_front();
        }
        Ok(row)
    }

    // Each change under this lock is a single step, so a poisoned lock guards good data.
    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
