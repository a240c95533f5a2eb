//! Once faults end, everything comes to its end: every acknowledged start closes, and nothing of it is left behind.

use stepwright_store::Table;

use super::{Checked, Complaint, ensure};
use crate::{model::Model, rows::Rows};

/// An execution that should have closed.
pub(crate) fn closed(model: &Model, steps: u64) -> Checked {
    ensure(model.is_closed(), "liveness", "every execution closes", || {
        let frames: Vec<_> = model.execution.frames.values().map(|frame| &frame.position).collect();
        format!("{} is open after {steps} steps without faults: {frames:?}", model.label)
    })
}

/// Rows that only open executions have, and those that nobody is yet to be told of.
pub(crate) fn nothing_left(rows: &Rows) -> Checked {
    for table in [Table::Head, Table::Timer, Table::Task, Table::Quarantine, Table::Outbox, Table::Notice] {
        if let Some((key, value)) = rows.all(table).next() {
            return Err(Complaint::new(
                "liveness",
                "closed executions leave no timers, tasks and heads behind",
                format!("{table:?} holds {key:?} = {value:?}"),
            ));
        }
    }
    Ok(())
}
