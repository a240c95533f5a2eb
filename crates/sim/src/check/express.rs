//! Express executions: one that was acknowledged ends at least once, one that was waited for runs once; its row goes
//! after it ended and not before; and the events of each run are those of a history.
//!
//! Nothing of what they do is stored, so what is believed are the events that they told: a sink outside the engine.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stepwright_engine::{EventSink, ExpressEnd, ExpressEvents};
use stepwright_machine::{EventKind, Status};
use stepwright_store::{
    Mutation, Table,
    records::{self, ExpressRow, MachineRow},
};

use super::{Checked, Complaint, ensure};
use crate::rows::Rows;

/// What one execution told.
#[derive(Default)]
struct Told {
    last: u64,
    /// Runs that began, and runs that ended.
    runs: u64,
    ended: u64,
    over: bool,
    /// Interruptions until it began last.
    interruptions: u64,
}

#[derive(Default)]
struct State {
    told: BTreeMap<String, Told>,
    /// Rows that were written, by their keys: the last part of the ARN.
    rows: BTreeMap<Vec<u8>, String>,
    complaint: Option<Complaint>,
    /// Crashes.
    interruptions: u64,
    /// A commit was refused: what was going on may begin again, also much later, as long as this process lives.
    lenient: bool,
    /// Nobody tells it anything: that rows go is believed.
    #[cfg(test)]
    untold: bool,
}

/// What all told, and what is stored of them.
#[derive(Default)]
pub(crate) struct Book(Mutex<State>);

impl Book {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For commits without the engine that made them.
    #[cfg(test)]
    pub(crate) fn untold() -> SharedBook {
        let book = SharedBook::default();
        book.lock().untold = true;
        book
    }

    /// A new process: what was going on may begin again.
    pub(crate) fn restart(&self) {
        let mut state = self.lock();
        state.interruptions += 1;
        state.lenient = false;
    }

    /// A commit was refused.
    pub(crate) fn relax(&self) {
        self.lock().lenient = true;
    }

    pub(crate) fn complaint(&self) -> Checked {
        self.lock().complaint.clone().map_or(Ok(()), Err)
    }

    /// Runs that began, runs that ended, and executions that began more than once.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let state = self.lock();
        state.told.values().fold((0, 0, 0), |(runs, ended, again), told| {
            (runs + told.runs, ended + told.ended, again + u64::from(told.runs > 1))
        })
    }

    /// A commit is durable.
    pub(crate) fn committed(&self, rows: &Rows, mutation: &Mutation<'_>) -> Checked {
        match mutation {
            Mutation::Insert { table: Table::Express, key, value }
            | Mutation::Put { table: Table::Express, key, value } => {
                let row: ExpressRow = records::decode(Table::Express, value)
                    .map_err(|error| Complaint::new("express", "rows can be read", error.to_string()))?;
                let known = rows.all(Table::Machine).any(|(_, machine)| {
                    records::decode::<MachineRow>(Table::Machine, machine)
                        .is_ok_and(|machine| machine.number == row.machine && machine.express)
                });
                ensure(known, "express", "a row names a machine of type EXPRESS", || format!("{row:?}"))?;
                let uuid = u128::from_be_bytes(row.uuid);
                self.lock().rows.insert(key.to_vec(), format!("{uuid:032x}"));
                Ok(())
            }
            Mutation::Delete { table: Table::Express, key } => {
                let state = self.lock();
                let Some(uuid) = state.rows.get(*key) else {
                    return Err(Complaint::new("express", "only rows that are there are deleted", format!("{key:?}")));
                };
                #[cfg(test)]
                if state.untold {
                    return Ok(());
                }
                let ended = state.told.iter().any(|(arn, told)| uuid_of(arn) == *uuid && told.ended > 0);
                ensure(ended, "express", "a row goes after its execution ended", || format!("{uuid} has not ended"))
            }
            _ => Ok(()),
        }
    }

    /// A start was acknowledged.
    pub(crate) fn acknowledged(&self, arn: &str) -> Checked {
        let uuid = uuid_of(arn);
        ensure(
            self.lock().rows.values().any(|known| *known == uuid),
            "express",
            "a start is durable when it is answered",
            || format!("{arn} has no row"),
        )
    }

    /// Whoever waited for it was told its end.
    pub(crate) fn ended(&self, end: &ExpressEnd) -> Checked {
        let state = self.lock();
        let told = state.told.get(&*end.arn);
        let once = told.is_some_and(|told| (told.runs, told.ended) == (1, 1));
        let agrees = (end.status == Status::Succeeded) == end.output.is_some();
        ensure(once && agrees, "express", "one that is waited for runs once, and ends as it told", || {
            format!("{end:?}")
        })
    }
}

/// The last part of an ARN, without its dashes.
fn uuid_of(arn: &str) -> String {
    arn.rsplit(':').next().unwrap_or_default().replace('-', "")
}

impl EventSink for Book {
    fn wants(&self, _: &str) -> bool {
        true
    }

    fn take(&self, events: ExpressEvents) {
        let mut state = self.lock();
        let State { told, complaint, interruptions, lenient, .. } = &mut *state;
        let told = told.entry(events.execution_arn.to_string()).or_default();
        for event in events.page.events {
            if event.id == 1 {
                // Of a child of a map run: its machine has a label.
                let is_child = events.state_machine_name.contains('/');
                if is_child && told.runs > 0 && told.interruptions == *interruptions && !*lenient {
                    let seen = format!("{} began again", events.execution_arn);
                    let rule = "an EXPRESS child begins again only after a crash";
                    complaint.get_or_insert(Complaint::new("express", rule, seen));
                }
                told.interruptions = *interruptions;
                told.runs += 1;
                told.over = false;
            } else if told.over || event.id != told.last + 1 || event.previous >= event.id {
                let seen =
                    format!("{} told event {} after {}: {:?}", events.execution_arn, event.id, told.last, event.kind);
                complaint.get_or_insert(Complaint::new("express", "the events of a run are numbered from 1", seen));
            }
            told.last = event.id;
            if matches!(
                event.kind,
                EventKind::ExecutionSucceeded { .. }
                    | EventKind::ExecutionFailed(_)
                    | EventKind::ExecutionAborted(_)
                    | EventKind::ExecutionTimedOut(_)
            ) {
                told.over = true;
                told.ended += 1;
            }
        }
    }
}

/// A book that an engine tells and a ledger asks.
pub(crate) type SharedBook = Arc<Book>;
