//! Status events onto an event bus of EventBridge.

use stepwright_engine::Told;
use stepwright_integrations::sinks::{
    SinkError,
    events::{BATCH_BYTES, BATCH_ENTRIES, EventBridge, EventEntry},
};

use super::{
    Outcome,
    status_event::{self, DETAIL_TYPE, StatusEvent},
};
use crate::config::Telling;

/// A bus.
pub(super) struct Bus {
    events: EventBridge,
    source: String,
    bus: Option<String>,
}

/// An event, and the turn that it is of.
struct Entry {
    turn: usize,
    account: String,
    region: String,
    entry: EventEntry,
}

impl Bus {
    pub(super) fn new(events: EventBridge, telling: &Telling) -> Self {
        let bus = (telling.bus != "default").then(|| telling.bus.clone());
        Self { events, source: telling.source.clone(), bus }
    }

    fn entry(&self, turn: usize, event: StatusEvent) -> Entry {
        let entry = EventEntry {
            source: self.source.clone(),
            detail_type: DETAIL_TYPE.to_owned(),
            detail: event.detail.to_string(),
            resources: vec![event.execution_arn],
            time: event.at.div_euclid(1_000),
            bus: self.bus.clone(),
        };
        Entry { turn, account: event.account, region: event.region, entry }
    }

    /// Puts the events of turns, in order; what became of each turn.
    pub(super) async fn put(&self, told: &[Told]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Delivered; told.len()];
        let events = told
            .iter()
            .enumerate()
            .flat_map(|(turn, told)| status_event::of_turn(told).into_iter().map(move |event| self.entry(turn, event)));
        let entries: Vec<Entry> = events.collect();
        let mut rest = &entries[..];
        while !rest.is_empty() {
            let (batch, after) = rest.split_at(batch_length(rest));
            let wire: Vec<EventEntry> = batch.iter().map(|entry| entry.entry.clone()).collect();
            let (account, region) = (&batch[0].account, &batch[0].region);
            match self.events.put(region, account, &wire).await {
                Ok(answers) => {
                    let mut again = false;
                    for (entry, error) in batch.iter().zip(answers) {
                        let Some(error) = error else { continue };
                        again |= is_passing(&error);
                        outcomes[entry.turn] = outcome(&error);
                    }
                    if again {
                        not_yet(&mut outcomes, after, "an earlier event was not taken yet");
                        return outcomes;
                    }
                }
                Err(error) => {
                    let outcome = outcome(&error);
                    for entry in batch {
                        outcomes[entry.turn] = outcome.clone();
                    }
                    if let Outcome::Again(reason) = outcome {
                        not_yet(&mut outcomes, after, &reason);
                        return outcomes;
                    }
                }
            }
            rest = after;
        }
        outcomes
    }
}

/// What comes after something that was not taken waits, too: order.
fn not_yet(outcomes: &mut [Outcome], rest: &[Entry], reason: &str) {
    for entry in rest {
        outcomes[entry.turn] = Outcome::Again(reason.to_owned());
    }
}

fn outcome(error: &SinkError) -> Outcome {
    if is_passing(error) { Outcome::Again(error.to_string()) } else { Outcome::Lost(error.to_string()) }
}

/// Whether trying again may help: not if the event itself is what the service does not like.
fn is_passing(error: &SinkError) -> bool {
    let about_the_event =
        ["NotAuthorizedForSourceException", "MalformedDetail", "InvalidArgument", "ValidationException"];
    error.code().is_none_or(|code| !about_the_event.contains(&code))
}

/// How many of these go into one call: of one account and region, and within the service's bounds.
fn batch_length(entries: &[Entry]) -> usize {
    let Some(first) = entries.first() else { return 0 };
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.entry.bytes();
        bytes <= BATCH_BYTES && entry.account == first.account && entry.region == first.region
    };
    entries.iter().take(BATCH_ENTRIES).take_while(fits).count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_the_bounds_of_the_service() {
        let entry = |region: &str, bytes: usize| Entry {
            turn: 0,
            account: "1".to_owned(),
            region: region.to_owned(),
            entry: EventEntry {
                source: String::new(),
                detail_type: String::new(),
                detail: "x".repeat(bytes),
                resources: Vec::new(),
                time: 0,
                bus: None,
            },
        };
        let many: Vec<Entry> = (0..12).map(|_| entry("a", 1)).collect();
        assert_eq!(batch_length(&many), 10);
        assert_eq!(batch_length(&[entry("a", 200_000), entry("a", 60_000), entry("a", 60_000)]), 2);
        assert_eq!(batch_length(&[entry("a", 300_000), entry("a", 1)]), 1);
        assert_eq!(batch_length(&[entry("a", 1), entry("b", 1)]), 1);
    }

    #[test]
    fn what_the_service_will_never_take_is_not_tried_again() {
        let refused = |code: &str| SinkError::Refused { code: code.to_owned(), message: None };
        assert_eq!(outcome(&refused("ThrottlingException")), Outcome::Again("ThrottlingException".to_owned()));
        assert_eq!(outcome(&refused("MalformedDetail")), Outcome::Lost("MalformedDetail".to_owned()));
    }
}
