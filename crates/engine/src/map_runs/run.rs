//! One map run in memory: which items are read, which children are under way, what became of them, and what of that is
//! to be written next. Time and the store's answers come from outside; see `serve` for who asks.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};

use stepwright_machine::{
    Failure, Limits, Millis, Status,
    map_run::{Batches, ItemInputs, ItemSource, Tolerance},
};
use stepwright_store::{
    Commit, Table, keys,
    map_runs::{Cursor, MapChildRow, MapRunRow, MapRunStateRow},
    records,
};

use super::{ChildEnd, RunRef};
use crate::{
    catalog::Revision,
    datasets::{Chunk, Item, OnBehalf, Position},
    express::Run,
};

/// Children that are ready to begin and wait for a place, at most: beyond that, nothing is read.
const READY: usize = 1_024;
/// Bytes of their inputs at most.
const READY_BYTES: usize = 8 << 20;
/// Children that were begun and have not shown yet whether they take long, at most. It bounds how long others wait for a
/// turn behind those of one run.
pub(super) const UNSETTLED: usize = 256;
/// Children under way at most, whatever the definition says. AWS: 10,000.
const IN_FLIGHT: usize = 10_000;
/// Bytes of their inputs at most; one is always let in.
const IN_FLIGHT_BYTES: usize = 64 << 20;
/// Items read at once.
pub(super) const CHUNK: usize = 512;
/// Bytes of them, about.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// Where an item stands in its dataset, and what follows from it.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) position: Arc<[u8]>,
    pub(super) skip: u32,
    pub(super) item: u64,
    pub(super) child: u32,
}

impl At {
    pub(super) fn of(cursor: &Cursor) -> Self {
        Self { position: cursor.position.clone().into(), skip: cursor.skip, item: cursor.item, child: cursor.child }
    }

    fn cursor(&self) -> Cursor {
        Cursor { position: self.position.to_vec(), skip: self.skip, item: self.item, child: self.child }
    }
}

/// A child that is ready to begin.
pub(crate) struct Ready {
    pub(crate) child: u32,
    pub(super) items: u32,
    pub(crate) input: Arc<str>,
    /// How often it was redriven, and when last: this time.
    pub(crate) redriven: Option<(u32, Millis)>,
    /// The execution to go on with.
    pub(super) execution: Option<[u8; 16]>,
    /// It has a row: it need not be read again.
    pub(super) has_row: bool,
    /// Where it is read again.
    pub(super) at: At,
}

/// A child under way.
pub(super) struct Flying {
    pub(super) items: u32,
    pub(super) input: Arc<str>,
    pub(super) redriven: Option<(u32, Millis)>,
    /// Nobody knows yet whether it takes long; of a stored one: whether it was begun.
    pub(super) unsettled: bool,
    /// It had a row when it was begun.
    pub(super) has_row: bool,
    pub(super) kind: Kind,
}

/// What a child is.
pub(super) enum Kind {
    /// A stored execution; none as long as its start is not durable.
    Stored(Option<[u8; 16]>),
    /// An EXPRESS one.
    Express(Arc<Run>),
}

/// Where a run is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Children are begun.
    Running,
    /// No child is begun any more; those under way are ended.
    Ending,
    /// The results are being written.
    Exporting,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Something will happen.
    Wait,
    /// More items are to be read from the dataset.
    Read,
    /// All children ended.
    Finish,
    /// The results are where they belong.
    End,
}

/// A map run.
pub(crate) struct MapRun {
    pub(crate) reference: RunRef,
    pub(crate) row: MapRunRow,
    pub(crate) revision: Arc<Revision>,
    pub(super) on_behalf: OnBehalf,
    pub(super) limits: Limits,
    pub(super) state: MapRunStateRow,
    /// What was asked for before it was opened is not for it.
    pub(crate) epoch: u64,
    pub(super) stage: Stage,
    /// Nobody waits for its result.
    pub(super) is_stopped: bool,
    /// Children under way were told to stop.
    pub(super) has_aborted: bool,
    /// All that is counted is durable, and the results are on their way.
    pub(super) is_exporting: bool,
    /// The results are where they belong, or could not be brought there.
    pub(super) is_exported: bool,
    // Reading
    pub(super) is_reading: bool,
    /// No item is left to be read.
    is_at_end: bool,
    pub(super) next: At,
    /// Children that have rows though they come after where reading goes on.
    pub(super) known: HashSet<u32>,
    batches: Option<Batches>,
    /// Where the first item of the batch at hand stands, and how many it has.
    batch: Option<(At, u32)>,
    pub(super) ready: VecDeque<Ready>,
    ready_bytes: usize,
    // Children
    pub(super) flying: BTreeMap<u32, Flying>,
    flying_bytes: usize,
    pub(super) unsettled: usize,
    /// Where those are read again that have no row.
    pub(super) rowless: BTreeMap<u32, At>,
    /// A redrive looks at children from this one on.
    pub(super) scan: Option<u32>,
    /// Something was refused: it waits a while before it goes on.
    pub(super) rests: bool,
    /// It took in enough for once: others have their turn before it goes on.
    pub(super) yields: bool,
    /// Items that were read and not all taken in, and their position.
    left: Option<(Position, Chunk)>,
    /// Items cannot be read though nothing depends on it any more.
    cannot_read: bool,
    /// It is over, and something happened since that it is to be looked at for.
    pub(super) again: bool,
    /// Something is to be written.
    pub(super) changed: bool,
    pub(super) commit: Commit,
}

impl MapRun {
    pub(super) fn new(
        reference: RunRef,
        row: MapRunRow,
        revision: Arc<Revision>,
        on_behalf: OnBehalf,
        limits: Limits,
        state: MapRunStateRow,
        epoch: u64,
    ) -> Self {
        let batches = row.plan.batching.as_ref().map(|batching| Batches::new(batching, &limits, &row.plan.state_name));
        let next = At::of(&state.cursor);
        // What came into the dataset since it was read is none of its items.
        let is_at_end = state.is_read && state.cursor.item >= state.items;
        let stage = if state.failure.is_some() { Stage::Ending } else { Stage::Running };
        Self {
            reference,
            row,
            revision,
            on_behalf,
            limits,
            state,
            epoch,
            stage,
            is_stopped: false,
            has_aborted: false,
            is_exporting: false,
            is_exported: false,
            is_reading: false,
            is_at_end,
            next,
            known: HashSet::new(),
            batches,
            batch: None,
            ready: VecDeque::new(),
            ready_bytes: 0,
            flying: BTreeMap::new(),
            flying_bytes: 0,
            unsettled: 0,
            rowless: BTreeMap::new(),
            scan: None,
            rests: false,
            yields: false,
            left: None,
            cannot_read: false,
            again: false,
            changed: false,
            commit: Commit::default(),
        }
    }

    /// Whether it ended.
    pub(super) fn is_over(&self) -> bool {
        self.state.status != Status::Running
    }

    // Items

    /// Takes items that were read at a position. What comes after the end is not taken. True: evaluating their inputs took so
    /// many steps that the others are left for the next time.
    pub(super) fn take_items(&mut self, position: &Position, chunk: Chunk, steps: u64) -> bool {
        let most = match &self.row.plan.source {
            // Some are read again.
            _ if self.state.is_read => self.state.items,
            ItemSource::Reader(plan) if plan.max_items > 0 => plan.max_items,
            _ => u64::MAX,
        };
        let skip = match &self.row.plan.source {
            // These begin with the next item.
            ItemSource::Payload(_) => 0,
            ItemSource::Reader(_) => self.next.skip,
        };
        self.next.position = position.0.clone();
        let revision = self.revision.clone();
        let row = self.row.plan.clone();
        let inputs = ItemInputs::new(&revision.compiled, &row, &self.limits);
        let mut is_end = chunk.is_end;
        let mut left = false;
        for (offset, item) in (0_u32..).zip(&chunk.items) {
            if offset < skip {
                continue;
            }
            if self.next.item >= most {
                is_end = true;
                break;
            }
            self.next.skip = offset;
            if inputs.spent() >= steps.max(1) {
                (left, is_end) = (true, false);
                break;
            }
            if let Err(failure) = self.take_item(&inputs, item) {
                self.fail(failure);
                return false;
            }
        }
        if left {
            let is_read = matches!(self.row.plan.source, ItemSource::Reader(_));
            self.left = is_read.then(|| (position.clone(), chunk));
            self.taken(is_end);
            return true;
        }
        is_end |= self.next.item >= most;
        // What follows stands in the next piece.
        let read = u32::try_from(chunk.items.len()).unwrap_or(u32::MAX);
        (self.next.position, self.next.skip) = (chunk.next.0, skip.saturating_sub(read));
        if is_end && let Err(failure) = self.last_batch() {
            self.fail(failure);
            return false;
        }
        self.taken(is_end);
        false
    }

    /// What was begun of a batch is one.
    fn last_batch(&mut self) -> Result<(), Failure> {
        if let Some(batch) = self.batches.as_mut().map_or(Ok(None), Batches::end)? {
            let (at, _) = self.batch.take().expect("a batch has a first item");
            self.child_ready(batch.input, batch.items, at);
        }
        Ok(())
    }

    /// Items were taken in. `is_end`: all of them.
    fn taken(&mut self, is_end: bool) {
        if is_end {
            self.state.is_read = true;
            self.is_at_end = true;
        }
        self.state.items = self.state.items.max(self.next.item);
        self.state.children = self.state.children.max(u64::from(self.next.child));
        self.changed = true;
        // Failures may be too many of all items, now that these are known.
        self.judge();
    }

    fn take_item(&mut self, inputs: &ItemInputs<'_>, item: &Item) -> Result<(), Failure> {
        let input = inputs.input(self.next.item, &item.text, item.key.as_deref())?;
        let at = self.next.clone();
        self.next.item += 1;
        let Some(batches) = &mut self.batches else {
            self.child_ready(input, 1, at);
            return Ok(());
        };
        let full = batches.push(&input)?;
        let (first, count) = self.batch.take().unwrap_or_else(|| (at.clone(), 0));
        match full {
            None => self.batch = Some((first, count + 1)),
            Some(batch) => {
                // The item may be the last of the batch that is full, or the first of the next one.
                let left = count + 1 - batch.items;
                self.child_ready(batch.input, batch.items, first);
                self.batch = (left > 0).then_some((At { child: self.next.child, ..at }, left));
            }
        }
        Ok(())
    }

    fn child_ready(&mut self, input: Arc<str>, items: u32, mut at: At) {
        let child = self.next.child;
        at.child = child;
        self.next.child = child.checked_add(1).expect("fewer than 2^32 children");
        if self.known.remove(&child) {
            return;
        }
        self.ready_bytes += input.len();
        self.ready.push_back(Ready { child, items, input, redriven: None, execution: None, has_row: false, at });
    }

    /// A child of an earlier attempt is ready to begin again.
    pub(super) fn ready_again(&mut self, ready: Ready) {
        self.ready_bytes += ready.input.len();
        self.ready.push_back(ready);
    }

    /// Items that are here already, and where they stand: those that are left, or the next ones of a payload.
    pub(super) fn more_items(&mut self) -> Option<(Position, Chunk)> {
        self.left.take().or_else(|| self.items_at_hand().map(|chunk| (Position::default(), chunk)))
    }

    fn items_at_hand(&self) -> Option<Chunk> {
        let ItemSource::Payload(payload) = &self.row.plan.source else { return None };
        let from = usize::try_from(self.next.item).unwrap_or(usize::MAX);
        let item = |value: &serde_json::Value, key: Option<&String>| Item {
            text: value.to_string().into(),
            key: key.map(|key| key.as_str().into()),
        };
        let (items, length): (Vec<Item>, usize) = match payload.value() {
            serde_json::Value::Array(values) => {
                (values.iter().skip(from).take(CHUNK).map(|value| item(value, None)).collect(), values.len())
            }
            serde_json::Value::Object(members) => {
                let found = members.iter().skip(from).take(CHUNK);
                (found.map(|(key, value)| item(value, Some(key))).collect(), members.len())
            }
            _ => (Vec::new(), 0),
        };
        let is_end = from.saturating_add(items.len()) >= length;
        Some(Chunk { items, next: Position::default(), is_end, progress: (0, None) })
    }

    // Children

    /// The next child to begin, if one may.
    pub(super) fn next_child(&mut self) -> Option<Ready> {
        let most = match usize::try_from(self.state.max_concurrency).unwrap_or(usize::MAX) {
            0 => IN_FLIGHT,
            most => most.min(IN_FLIGHT),
        };
        let first = self.ready.front()?;
        let is_large = !self.flying.is_empty() && self.flying_bytes + first.input.len() > IN_FLIGHT_BYTES;
        if self.rests
            || self.stage != Stage::Running
            || self.flying.len() >= most
            || self.unsettled >= UNSETTLED
            || is_large
        {
            return None;
        }
        let ready = self.ready.pop_front()?;
        self.ready_bytes -= ready.input.len();
        Some(ready)
    }

    /// There was no room for it yet.
    pub(super) fn put_back(&mut self, ready: Ready) {
        self.ready_bytes += ready.input.len();
        self.ready.push_front(ready);
    }

    /// A child is begun.
    pub(super) fn begun(&mut self, ready: Ready, kind: Kind) {
        let Ready { child, items, input, redriven, has_row, at, .. } = ready;
        if !has_row {
            self.rowless.insert(child, at);
        }
        let was_counted = redriven.is_some();
        self.flies(child, Flying { items, input, redriven, unsettled: true, has_row, kind }, was_counted);
    }

    /// A child is under way. `was_pending`: it was counted as waiting for its redrive.
    pub(super) fn flies(&mut self, child: u32, flying: Flying, was_pending: bool) {
        let items = u64::from(flying.items);
        for (counts, amount) in [(&mut self.state.executions, 1), (&mut self.state.item_counts, items)] {
            counts.running += amount;
            if was_pending {
                counts.pending_redrive = counts.pending_redrive.saturating_sub(amount);
            }
        }
        self.flying_bytes += flying.input.len();
        self.unsettled += usize::from(flying.unsettled);
        self.flying.insert(child, flying);
        self.changed = true;
    }

    /// It shows now how long a child takes.
    pub(super) fn settled(&mut self, child: u32) {
        if let Some(flying) = self.flying.get_mut(&child)
            && std::mem::take(&mut flying.unsettled)
        {
            self.unsettled -= 1;
        }
    }

    /// A stored child's start is durable: with its row.
    pub(super) fn stored(&mut self, child: u32, execution: [u8; 16]) {
        self.settled(child);
        self.rowless.remove(&child);
        if let Some(flying) = self.flying.get_mut(&child) {
            flying.kind = Kind::Stored(Some(execution));
            self.changed = true;
        }
    }

    /// A stored child's start or redrive was refused: it is begun later. `execution`: the one that is to go on.
    pub(super) fn not_begun(&mut self, child: u32, execution: Option<[u8; 16]>) {
        let Some(Flying { items, input, redriven, has_row, .. }) = self.remove(child) else { return };
        for (counts, amount) in [(&mut self.state.executions, 1), (&mut self.state.item_counts, u64::from(items))] {
            counts.running -= amount;
            counts.pending_redrive += if redriven.is_some() { amount } else { 0 };
        }
        let at = self.rowless.remove(&child).unwrap_or_else(|| self.next.clone());
        self.put_back(Ready { child, items, input, redriven, execution, has_row, at });
    }

    fn remove(&mut self, child: u32) -> Option<Flying> {
        let flying = self.flying.remove(&child)?;
        self.flying_bytes -= flying.input.len();
        self.unsettled -= usize::from(flying.unsettled);
        self.changed = true;
        Some(flying)
    }

    /// A child ended.
    pub(super) fn ended(&mut self, child: u32, end: ChildEnd) {
        let is_this = |flying: &Flying| flying.redriven.map_or(0, |(count, _)| count) <= end.redrives;
        if !self.flying.get(&child).is_some_and(is_this) {
            return;
        }
        let Some(flying) = self.remove(child) else { return };
        self.rowless.remove(&child);
        let items = u64::from(flying.items);
        for (counts, amount) in [(&mut self.state.executions, 1), (&mut self.state.item_counts, items)] {
            counts.running -= amount;
            *counts.of(end.status) += amount;
        }
        let failed = end.failure.error.is_some() || end.failure.cause.is_some();
        let execution = match flying.kind {
            Kind::Stored(execution) => execution,
            Kind::Express(_) => None,
        };
        self.put_child(
            child,
            &MapChildRow {
                status: Some(end.status),
                items: flying.items,
                started_at: end.started_at,
                stopped_at: Some(end.stopped_at),
                redriven: flying.redriven,
                execution,
                input: flying.input,
                output: end.output,
                failure: failed.then_some(end.failure),
                not_redrivable: false,
                attempt: self.state.attempt(),
            },
        );
        self.judge();
    }

    /// A child that failed cannot begin again: it failed.
    pub(super) fn cannot_go_on(&mut self, child: u32, mut row: MapChildRow) {
        let Some(flying) = self.remove(child) else { return };
        let status = row.status.filter(|status| *status != Status::Running).unwrap_or(Status::Failed);
        for (counts, amount) in
            [(&mut self.state.executions, 1), (&mut self.state.item_counts, u64::from(flying.items))]
        {
            counts.running -= amount;
            *counts.of(status) += amount;
            counts.failures_not_redrivable += amount;
        }
        row.status = Some(status);
        row.attempt = self.state.attempt();
        row.not_redrivable = true;
        self.put_child(child, &row);
        self.judge();
    }

    pub(super) fn put_child(&mut self, child: u32, row: &MapChildRow) {
        let key = keys::map_child(self.reference.parent.scope, self.reference.run, child);
        self.commit.put(Table::MapChild, key, records::encode(row));
        self.changed = true;
    }

    /// Whether too many failed.
    pub(super) fn judge(&mut self) {
        if self.stage != Stage::Running || self.state.failure.is_some() {
            return;
        }
        let state = &self.state;
        let tolerance =
            Tolerance { count: state.tolerated_failure_count, percentage: state.tolerated_failure_percentage };
        let total = if state.is_read { Some(state.items) } else { self.row.plan.known_items() };
        if tolerance.is_exceeded(state.item_counts.unsuccessful(), total) {
            self.fail(Failure {
                error: Some("States.ExceedToleratedFailureThreshold".into()),
                cause: Some("The specified tolerated failure threshold was exceeded".into()),
            });
        }
    }

    /// It ends badly: no child is begun any more.
    pub(super) fn fail(&mut self, failure: Failure) {
        if self.state.failure.is_none() && self.stage == Stage::Running {
            self.state.failure = Some(failure);
            self.stage = Stage::Ending;
            self.changed = true;
        } else {
            // It failed before, and looked only for what is to be told of.
            self.cannot_read = true;
        }
    }

    // What follows

    /// Whether all that could be done now is done.
    pub(super) fn next(&self) -> Next {
        let wants_items = !self.is_at_end
            && !self.is_reading
            && !self.yields
            && self.scan.is_none()
            && self.ready.len() < READY
            && self.ready_bytes < READY_BYTES;
        match self.stage {
            Stage::Running if wants_items => Next::Read,
            // What was never begun stands in the results as well.
            Stage::Ending if wants_items && self.enumerates() => Next::Read,
            Stage::Running if !self.is_at_end || self.scan.is_some() || !self.ready.is_empty() => Next::Wait,
            Stage::Ending if self.enumerates() && !self.is_at_end => Next::Wait,
            Stage::Running | Stage::Ending if self.flying.is_empty() && !self.is_reading && !self.rests => Next::Finish,
            Stage::Exporting if self.is_exported => Next::End,
            _ => Next::Wait,
        }
    }

    /// Whether items that were never begun are to be known: they are part of the results that are written.
    pub(super) fn enumerates(&self) -> bool {
        !self.is_stopped && !self.cannot_read && self.tells_of_failure()
    }

    /// Whether the results of a run that failed are written: those of one that had too many failures.
    pub(super) fn tells_of_failure(&self) -> bool {
        let is_tolerance =
            |failure: &Failure| failure.error.as_deref() == Some("States.ExceedToleratedFailureThreshold");
        self.row.plan.export.is_some() && self.state.failure.as_ref().is_some_and(is_tolerance)
    }

    /// Children that are ready and will not begin get rows, as far as those are wanted.
    pub(super) fn give_up_ready(&mut self) {
        let enumerates = self.enumerates();
        while let Some(ready) = self.ready.pop_front() {
            self.ready_bytes -= ready.input.len();
            if ready.has_row {
                // Its row tells of its last attempt.
            } else if enumerates {
                let Ready { child, items, input, .. } = ready;
                self.put_child(
                    child,
                    &MapChildRow {
                        status: None,
                        items,
                        started_at: 0,
                        stopped_at: None,
                        redriven: None,
                        execution: None,
                        input,
                        output: None,
                        failure: None,
                        not_redrivable: false,
                        attempt: 0,
                    },
                );
            } else {
                // It is read again if the run is redriven.
                self.rowless.insert(ready.child, ready.at);
            }
        }
    }

    /// What the run's row is to say.
    pub(super) fn row_to_write(&mut self) -> Vec<u8> {
        // One whose start was refused comes before others that were begun.
        let ready = self.ready.iter().filter(|ready| !ready.has_row).map(|ready| &ready.at);
        let at = ready.chain(self.rowless.values().next()).min_by_key(|at| at.child);
        let at = at.or_else(|| self.batch.as_ref().map(|(at, _)| at)).unwrap_or(&self.next);
        self.state.cursor = at.cursor();
        let first = self.flying.keys().next().copied();
        self.state.low = first.unwrap_or(u32::MAX).min(self.state.cursor.child);
        records::encode(&self.state)
    }

    /// Its status once it ended.
    pub(super) fn final_status(&self) -> Status {
        match (&self.state.failure, self.is_stopped) {
            (_, true) => Status::Aborted,
            (Some(_), false) => Status::Failed,
            (None, false) => Status::Succeeded,
        }
    }
}
