//! What whoever looks on at the test of a state gets to see.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use crate::{history::Failure, map_run::Tolerance, payload::Payload};

/// The steps of a state's data flow, each the JSON text of what came of it; none for a step that was not reached, or that
/// the state does not have.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "AWS's names")]
pub struct Noted {
    pub after_input_path: Option<Arc<str>>,
    pub after_parameters: Option<Arc<str>>,
    pub after_arguments: Option<Arc<str>>,
    pub result: Option<Arc<str>>,
    pub after_result_selector: Option<Arc<str>>,
    pub after_result_path: Option<Arc<str>>,
    /// Of a Map state.
    pub map: MapNotes,
    /// The variables, after the state if it is over.
    pub variables: BTreeMap<Arc<str>, Payload>,
    /// The place of the retrier that takes the error.
    pub retrier: Option<usize>,
    /// Seconds before the state would be tried again, jitter apart.
    pub backoff_seconds: Option<f64>,
    /// The place of the catcher that takes the error.
    pub catcher: Option<usize>,
    /// The error that a retrier or a catcher took.
    pub(crate) handled: Option<Failure>,
}

/// What is noted of a Map state.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "AWS's names")]
pub struct MapNotes {
    pub after_items_pointer: Option<Arc<str>>,
    pub after_items_path: Option<Arc<str>>,
    pub after_item_selector: Option<Arc<str>>,
    pub after_item_batcher: Option<Arc<str>>,
    pub max_concurrency: Option<u64>,
    pub tolerated_failure_count: Option<u64>,
    pub tolerated_failure_percentage: Option<f64>,
    /// How many iterations there would be; none if only the reader knows, and nobody told.
    pub iterations: Option<usize>,
}

impl MapNotes {
    /// Whether so many failed iterations are more than the state tolerates. A state that says nothing of it is never
    /// asked: its failures are told as such (recorded).
    #[must_use]
    pub fn exceeds(&self, failed: u64) -> bool {
        let (count, percentage) = (self.tolerated_failure_count, self.tolerated_failure_percentage);
        let says = count.is_some() || percentage.is_some();
        says && Tolerance { count, percentage }.is_exceeded(failed, self.iterations.map(|all| all as u64))
    }
}

/// Who looks on: what the test puts in the place of an execution's own, and what was noted.
#[derive(Debug)]
pub(crate) struct Inspector {
    context: Option<Payload>,
    retries: u32,
    reader_data: Option<Arc<str>>,
    given_up: Arc<AtomicBool>,
    noted: RefCell<Noted>,
}

impl Inspector {
    pub(crate) fn new(
        context: Option<Payload>,
        retries: u32,
        reader_data: Option<Arc<str>>,
        given_up: Arc<AtomicBool>,
    ) -> Self {
        Self { context, retries, reader_data, given_up, noted: RefCell::default() }
    }

    /// The context object that takes the place of the one that is made.
    pub(crate) fn context(&self) -> Option<&Payload> {
        self.context.as_ref()
    }

    /// How often any retrier was used before.
    pub(crate) fn retries(&self) -> u32 {
        self.retries
    }

    /// What the reader of the items found.
    pub(crate) fn reader_data(&self) -> Option<&Arc<str>> {
        self.reader_data.as_ref()
    }

    /// Whether nobody waits for the test any more.
    pub(crate) fn is_given_up(&self) -> &AtomicBool {
        &self.given_up
    }

    pub(crate) fn note(&self, note: impl FnOnce(&mut Noted)) {
        note(&mut self.noted.borrow_mut());
    }

    pub(crate) fn noted(&self) -> Noted {
        self.noted.borrow().clone()
    }
}
