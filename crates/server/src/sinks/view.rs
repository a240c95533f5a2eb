//! Somebody who looks on, in the process: what happens is handed over as the API spells it. There is room for so much
//! that was not looked at yet; what comes then waits where it can wait, and the rest is left out.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use serde_json::Value;
use stepwright_engine::{EventSink, ExpressEvents, HistoryPage, Told};
use tokio::sync::mpsc;

use super::Outcome;
use crate::history_wire::Speller;

/// Turns that wait to be looked at.
const MOST_WAITING: usize = 1_024;

/// What happened to one execution, all at once.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) execution_arn: Arc<str>,
    pub(crate) machine: Arc<str>,
    /// Events as the API spells them.
    pub(crate) events: Vec<Value>,
}

/// The end that shows.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    seen: mpsc::Sender<Seen>,
    /// Turns of Express executions that there was no room for.
    left_out: Arc<AtomicU64>,
}

impl Viewer {
    /// A viewer, and where what it shows arrives.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Seen>) {
        let (seen, arrives) = mpsc::channel(MOST_WAITING);
        (Self { seen, left_out: Arc::default() }, arrives)
    }

    /// How many turns of Express executions were left out so far.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Shows turns; waits for room.
    pub(super) async fn show(&self, told: &[Told]) -> Vec<Outcome> {
        for turn in told.iter().filter_map(|told| told.turn.as_ref()) {
            // Nobody looks any more: then it counts as seen.
            let _gone = self.seen.send(seen(&turn.execution_arn, &turn.state_machine_name, &turn.page)).await;
        }
        vec![Outcome::Delivered; told.len()]
    }
}

fn seen(execution_arn: &Arc<str>, machine: &Arc<str>, page: &HistoryPage) -> Seen {
    let speller = Speller::new(page, true);
    let spell = |event| serde_json::to_value(speller.spell(event)).unwrap_or(Value::Null);
    Seen {
        execution_arn: Arc::clone(execution_arn),
        machine: Arc::clone(machine),
        events: page.events.iter().map(spell).collect(),
    }
}

/// Express executions: their events are nowhere else, and those who run them never wait.
pub(super) struct Express(pub(super) Viewer);

impl EventSink for Express {
    fn wants(&self, _logging: &str) -> bool {
        true
    }

    fn take(&self, events: ExpressEvents) {
        match self.0.seen.try_reserve() {
            Ok(room) => room.send(seen(&events.execution_arn, &events.state_machine_name, &events.page)),
            Err(_) => drop(self.0.left_out.fetch_add(1, Ordering::Relaxed)),
        }
    }
}
