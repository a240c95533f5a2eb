//! The master invariant: the fold of an execution's stored inputs gives its stored history, payloads, frames and head.

use std::sync::Arc;

use stepwright_machine::{Effects, Payload, TurnId};
use stepwright_store::{
    Table, keys,
    records::{self, TurnRow},
};

use super::{Checked, Complaint, ensure};
use crate::{model::Model, rows::Rows};

const RULE: &str = "the fold of the stored inputs gives what is stored";

/// What the fold of a turn's inputs came to against the turn as it is stored.
pub(crate) fn turn(model: &Model, turn: TurnId, effects: &Effects, row: &TurnRow, texts: &[Arc<str>]) -> Checked {
    let differs = |what: &str, fold: String, stored: String| {
        Complaint::new("fold", RULE, format!("turn {turn} of {}: {what} {stored}, and its fold {fold}", model.label))
    };
    if effects.at != row.at {
        return Err(differs("its time is", effects.at.to_string(), row.at.to_string()));
    }
    if effects.events != row.events {
        let same = effects.events.iter().zip(&row.events).take_while(|(fold, stored)| fold == stored).count();
        let from = |events: &[stepwright_machine::HistoryEvent]| format!("{:?}", events.get(same..));
        let what = format!("from event {} on it has", row.first_event + same as u64);
        return Err(differs(&what, from(&effects.events), from(&row.events)));
    }
    let payloads = effects.payloads.iter().map(Payload::text);
    if !payloads.clone().eq(texts.iter()) {
        let fold: Vec<_> = payloads.collect();
        return Err(differs("its payloads are", format!("{fold:?}"), format!("{texts:?}")));
    }
    Ok(())
}

/// The stored frames and head against those of the fold.
pub(crate) fn frames(model: &Model, rows: &Rows) -> Checked {
    let key = keys::execution(model.scope, model.execution.info.id);
    let open = model.execution.head.closing.is_none();
    if open {
        let stored = rows.get(Table::Head, &key);
        let folded = records::encode(&model.execution.head);
        ensure(stored == Some(&folded[..]), "fold", RULE, || {
            format!("the head of {} is stored as {stored:?}, and folded {folded:?}", model.label)
        })?;
    } else {
        ensure(rows.get(Table::Head, &key).is_none(), "fold", "a closed execution has no head", || {
            model.label.clone()
        })?;
    }
    let mut stored = rows.with_prefix(Table::Frame, &key);
    for (id, frame) in &model.execution.frames {
        let expected = keys::frame(model.scope, model.execution.info.id, id.0);
        let found = stored.next();
        let folded = records::encode(frame);
        ensure(found == Some((&expected[..], &folded[..])), "fold", RULE, || {
            format!("frame {} of {} is not stored as folded: {frame:?}; the row is {found:?}", id.0, model.label)
        })?;
    }
    let more = stored.next();
    ensure(more.is_none(), "fold", RULE, || {
        format!("{} has a stored frame that its fold has not: {more:?}", model.label)
    })
}
