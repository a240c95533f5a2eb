//! No task waits for nothing: once faults end, and while no call is under way, a task that waits for its call gets it in the
//! time that a rate may keep it.

use stepwright_machine::Millis;
use stepwright_store::{
    Table,
    records::{self, TaskRow, TaskTarget},
};

use super::{Checked, ensure};
use crate::rows::Rows;

/// No rate keeps a call for longer than a second; what was put off after a refusal comes within another.
const PATIENCE_MS: Millis = 3_000;
/// Steps of a world in which nobody had anything to do.
const PATIENCE_STEPS: u64 = 20;

/// Since when tasks have waited though no call is under way.
#[derive(Default)]
pub(crate) struct Slots {
    since: Option<(Millis, u64)>,
}

impl Slots {
    /// A call is under way, or none may be.
    pub(crate) fn busy(&mut self) {
        self.since = None;
    }

    /// No call is. `quiet`: nor has anybody anything to do.
    pub(crate) fn idle(&mut self, rows: &Rows, now: Millis, quiet: bool) -> Checked {
        let Some((key, _)) = rows.all(Table::Task).find(|(_, row)| waits(row)) else {
            self.since = None;
            return Ok(());
        };
        let (since, steps) = self.since.get_or_insert((now, 0));
        *steps += u64::from(quiet);
        let (waited, steps) = (now - *since, *steps);
        let is_late = waited > PATIENCE_MS && steps > PATIENCE_STEPS;
        ensure(!is_late, "slots", "a task that waits gets its call when nothing keeps it", || {
            format!("{key:?} waits for {waited} ms and {steps} quiet steps, and no call is under way")
        })
    }
}

fn waits(row: &[u8]) -> bool {
    let row: Option<TaskRow> = records::decode(Table::Task, row).ok();
    row.is_some_and(|row| !row.started && matches!(row.target, TaskTarget::Call | TaskTarget::Submit))
}
