//! No turn is lost and none is written twice: an execution's turns are numbered 1, 2, 3, … and its events go on where
//! those of the turn before ended.

use stepwright_machine::TurnId;
use stepwright_store::records::TurnRow;

use super::{Checked, ensure};
use crate::model::Model;

pub(crate) fn next(model: &Model, turn: TurnId, row: &TurnRow) -> Checked {
    ensure(turn == model.turn + 1, "turns", "turns are numbered on without a gap and never written twice", || {
        format!("turn {turn} of {} after turn {}", model.label, model.turn)
    })?;
    ensure(row.first_event == model.next_event, "turns", "a turn's first event follows the last one", || {
        format!("turn {turn} of {} begins with event {} and not {}", model.label, row.first_event, model.next_event)
    })
}
