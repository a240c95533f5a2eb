//! What sinks outside are told is what was committed, in order, and in the end all of it: whatever crashed between the
//! commit, the telling and the forgetting.

use std::collections::{BTreeMap, BTreeSet};

use stepwright_engine::{Channel, Event, Told};
use stepwright_machine::{EventId, EventKind, ExecutionId};

use super::{Checked, Complaint, ensure};
use crate::{
    check::replies::texts,
    model::{Model, Seen},
};

/// The channel that is told everything.
pub(crate) const LOG: Channel = 0;
/// The channel that is told of changes of status.
pub(crate) const STATUS: Channel = 1;

/// What the sinks have. They are outside: a crash takes nothing from them.
#[derive(Default)]
pub(crate) struct Book(BTreeMap<(Channel, ExecutionId), BTreeSet<EventId>>);

impl Book {
    /// A sink is told of a turn. Whether it takes it is another question.
    pub(crate) fn offered(models: &BTreeMap<ExecutionId, Model>, channel: Channel, told: &Told) -> Checked {
        let id = ExecutionId::from_bytes(told.notice.execution());
        let wrong = |seen: String| Complaint::new("told", "a sink is told what was committed", seen);
        let model = models.get(&id).ok_or_else(|| wrong(format!("{id:?}, which does not exist")))?;
        let turn = told.turn.as_ref().ok_or_else(|| wrong(format!("nothing of a turn of {}", model.label)))?;
        ensure(!turn.page.events.is_empty(), "told", "whoever is told of a turn is told something", || {
            format!("turn {} of {}", told.notice.turn(), model.label)
        })?;
        for event in &turn.page.events {
            let index = usize::try_from(event.id).unwrap_or(usize::MAX).wrapping_sub(1);
            let committed = model.events.get(index);
            ensure(
                committed.is_some_and(|committed| same(committed, event)),
                "told",
                "a sink is told what was committed",
                || format!("{event:?} of {}, which is {committed:?}", model.label),
            )?;
            ensure(wanted(channel, &event.kind), "told", "a channel is told what it is for", || format!("{event:?}"))?;
        }
        Ok(())
    }

    /// A sink takes a turn.
    pub(crate) fn taken(&mut self, channel: Channel, told: &Told) -> Checked {
        let id = ExecutionId::from_bytes(told.notice.execution());
        let known = self.0.entry((channel, id)).or_default();
        for event in told.turn.iter().flat_map(|turn| &turn.page.events) {
            // What it has, it may be told again; what is new comes after all that.
            let last = known.last().copied().unwrap_or(0);
            ensure(known.contains(&event.id) || event.id > last, "told", "an execution is told of in order", || {
                format!("event {} of {id:?} after event {last} on channel {channel}", event.id)
            })?;
            known.insert(event.id);
        }
        Ok(())
    }

    /// Everything is over: the sinks have it all.
    pub(crate) fn complete(&self, models: &BTreeMap<ExecutionId, Model>) -> Checked {
        for channel in [LOG, STATUS] {
            for (id, model) in models {
                let expected = model.events.iter().filter(|event| wanted(channel, &event.kind)).map(|event| event.id);
                let expected: BTreeSet<EventId> = expected.collect();
                let none = BTreeSet::new();
                let known = self.0.get(&(channel, *id)).unwrap_or(&none);
                ensure(*known == expected, "told", "a sink is told of everything in the end", || {
                    let missing: Vec<_> = expected.difference(known).collect();
                    format!("channel {channel} lacks {missing:?} of {}", model.label)
                })?;
            }
        }
        Ok(())
    }
}

fn same(committed: &Seen, event: &Event) -> bool {
    (committed.id, committed.at, committed.previous) == (event.id, event.at, event.previous)
        && committed.kind == event.kind
        && texts(&committed.kind) == texts(&event.kind)
}

fn wanted(channel: Channel, event: &EventKind) -> bool {
    use EventKind as K;
    channel == LOG
        || matches!(
            event,
            K::ExecutionStarted { .. }
                | K::ExecutionRedriven { .. }
                | K::ExecutionSucceeded { .. }
                | K::ExecutionFailed(_)
                | K::ExecutionAborted(_)
                | K::ExecutionTimedOut(_)
        )
}
