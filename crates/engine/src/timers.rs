//! Fires timers when they are due, never before. Timers are rows; in memory there is only a watermark (every row
//! before it was fired), the next due time, and the ones that were fired and not taken yet.

use std::{
    collections::{HashMap, HashSet},
    ops::Bound,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stepwright_machine::{InputKind, Millis};
use stepwright_store::{Order, Table, keys};

use crate::{
    error::Result,
    fair::{CallKey, is_due},
    map_runs::{Happening, RunRef},
    message::{ExecutionRef, Origin, QueuedTask, ShardMessage, TaskRef, TimerRef},
    shared::Shared,
    virtual_clock::VirtualClock,
};

/// Rows read at once.
const PAGE: usize = 1_024;
/// Timers that a shard is sent at once, about.
const BATCH: usize = 64;
/// Fired and not yet taken timers of a shard, on average, beyond which no more are fired. What begins waits behind those
/// that its shard was sent, so these must be a matter of milliseconds, however many are due; and they must be enough for
/// a shard to have something to do while the last ones are written and the next ones read.
const IN_FLIGHT: usize = 256;
/// The wall clock may jump, so nobody sleeps longer than this without looking at it.
const NAP: Duration = Duration::from_secs(1);
/// How far ahead the next timer is looked for.
const LOOK_AHEAD_MS: Millis = 1_000;

/// Something to be done again after a refused commit.
pub(crate) enum Later {
    Timer(TimerRef),
    Input(ExecutionRef, InputKind),
    /// The failure of a call of which nobody knows how it ended.
    Unheard(ExecutionRef, InputKind),
    ForWorker(Arc<str>, QueuedTask),
    ForSlot(Arc<CallKey>, QueuedTask),
    Requeue(QueuedTask),
    Lost(QueuedTask),
    Follow(QueuedTask),
    MapRun(RunRef),
    /// A connector is to be asked again to end a job.
    EndJob(TaskRef),
    /// The row of a job that is over is to be deleted.
    JobOver(TaskRef),
}

#[derive(Default)]
struct State {
    /// The first key that may hold a timer that was not fired.
    watermark: Vec<u8>,
    /// The lowest key set since the last look.
    lowest: Option<Vec<u8>>,
    /// When to look next: the next timer is not due before.
    next_due: Millis,
    in_flight: HashSet<TimerRef>,
    /// More are due than may be in flight: the next ones are fired when so many were taken that it is worth a look.
    full: bool,
    /// In flight at most, all shards together.
    room: usize,
    later: Vec<(Millis, Later)>,
    /// When tasks that wait for the rate of a service are to be looked at.
    pump_at: Option<Millis>,
    woken: bool,
    stopped: bool,
}

impl State {
    /// Whether so many were taken that it is worth to look for the next ones.
    fn has_room(&self) -> bool {
        self.in_flight.len() <= self.room / 2
    }
}

/// All timers.
pub(crate) struct Timers {
    state: Mutex<State>,
    changed: Condvar,
}

impl Timers {
    pub(crate) fn new() -> Self {
        let state = State { next_due: Millis::MIN, ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    // Each change under this lock is a single step, so a poisoned lock guards good data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A timer's row is durable.
    pub(crate) fn set(&self, timer: TimerRef) {
        let mut state = self.lock();
        let key = key(timer);
        if state.lowest.as_ref().is_none_or(|lowest| key < *lowest) {
            state.lowest = Some(key);
        }
        if timer.due < state.next_due {
            state.next_due = timer.due;
            state.woken = true;
            self.changed.notify_one();
        }
    }

    /// A fired timer's row is gone.
    pub(crate) fn taken(&self, timer: TimerRef) {
        let mut state = self.lock();
        state.in_flight.remove(&timer);
        if state.full && state.has_room() {
            state.full = false;
            state.woken = true;
            self.changed.notify_one();
        }
    }

    /// Does something again at a time.
    pub(crate) fn later(&self, at: Millis, what: Later) {
        self.lock().later.push((at, what));
    }

    /// Lets the queues of calls be looked at, at a time or before.
    pub(crate) fn pump_at(&self, at: Millis) {
        let mut state = self.lock();
        if state.pump_at.is_none_or(|set| at < set) {
            state.pump_at = Some(at);
            state.woken = true;
            self.changed.notify_one();
        }
    }

    /// From where to look for the next timer, if all that are due were fired, and when something that was put off is
    /// to be done. Nothing, too, while something is put off, unless `all`.
    pub(crate) fn all_fired(&self, all: bool) -> Option<(Vec<u8>, Option<Millis>)> {
        let state = self.lock();
        if state.full || (!all && !state.later.is_empty()) {
            return None;
        }
        let put_off = state.later.iter().map(|(at, _)| *at).chain(state.pump_at).min();
        let set = state.lowest.as_ref().filter(|lowest| **lowest < state.watermark);
        Some((set.unwrap_or(&state.watermark).clone(), put_off))
    }

    /// Looks at the clock again.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_one();
    }

    /// Fires what is due until told to stop.
    pub(crate) fn run(&self, shared: &Shared) {
        loop {
            if let Err(error) = self.tick(shared, shared.now()) {
                tracing::error!(%error, "timers could not be read; trying again");
                let mut state = self.lock();
                state.next_due = Millis::MIN;
                drop(self.wait(state, NAP));
            }
            if shared.skip() {
                continue;
            }
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            let now = shared.now();
            let due_now = state.next_due <= now;
            let asleep = shared.options.clock.as_virtual().and_then(VirtualClock::next_sleeper);
            let earliest = state.pump_at.into_iter().chain(asleep).min();
            let pump_in =
                earliest.map_or(NAP, |at| Duration::from_millis(at.saturating_sub(now).max(0).unsigned_abs()));
            if due_now && !state.full && !state.woken {
                // Became due since the tick.
                let (guard, _) = self.wait(state, Duration::from_millis(1));
                drop(guard);
                continue;
            }
            if !state.woken {
                let until = state.next_due.saturating_sub(now).max(1);
                let nap = if state.full { NAP } else { NAP.min(Duration::from_millis(until.unsigned_abs())) };
                (state, _) = self.wait(state, nap.min(pump_in).max(Duration::from_millis(1)));
            }
            state.woken = false;
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> (MutexGuard<'a, State>, bool) {
        let (guard, result) = self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner);
        (guard, result.timed_out())
    }

    /// Fires every timer that is due at `now`, in due order.
    pub(crate) fn tick(&self, shared: &Shared, now: Millis) -> Result<()> {
        self.repeat(shared, now);
        if let Some(clock) = shared.options.clock.as_virtual() {
            clock.wake_sleepers(now);
        }
        let (mut from, room) = {
            let mut state = self.lock();
            let set = state.lowest.take();
            if let Some(lowest) = set
                && lowest < state.watermark
            {
                state.watermark = lowest;
            }
            if state.next_due > now {
                return Ok(());
            }
            state.room = IN_FLIGHT * shared.shards.len();
            (state.watermark.clone(), state.room.saturating_sub(state.in_flight.len()))
        };
        let end = keys::due(now.saturating_add(1));
        let mut fired = 0;
        let mut batches = Batches::default();
        let mut last: Option<(Millis, ExecutionRef)> = None;
        let exhausted = 'due: {
            while fired < room || last.is_some() {
                let limit = PAGE.min(room.saturating_sub(fired).max(BATCH));
                let (from_key, to_key) = (Bound::Included(&from[..]), Bound::Excluded(&end[..]));
                let rows = match shared.store.scan(Table::Timer, from_key, to_key, Order::Ascending, limit) {
                    Ok(rows) => rows,
                    Err(error) => {
                        // Those that count as fired already must be.
                        batches.send(shared);
                        return Err(error.into());
                    }
                };
                for (key, _) in &rows {
                    let together = keys::parse_timer(key).map(|(due, scope, id, _)| (due, ExecutionRef { scope, id }));
                    // What is due together for one execution is fired together, be there room for all of it or not.
                    if fired >= room && together != last {
                        break 'due false;
                    }
                    last = together;
                    if let Some(timer) = self.fire(key) {
                        batches.add(shared, timer);
                    }
                    fired += 1;
                    from.clone_from(key);
                    from.push(0);
                }
                if rows.len() < limit {
                    break 'due true;
                }
            }
            false
        };
        batches.send(shared);
        if exhausted {
            from = end;
        }
        // Not further than it may sleep anyway: a store walks over every timer that was cancelled lately, and most are
        // cancelled long before they are due.
        let horizon = now.saturating_add(LOOK_AHEAD_MS);
        let ahead = keys::due(horizon);
        let next =
            shared.store.scan(Table::Timer, Bound::Included(&from), Bound::Excluded(&ahead), Order::Ascending, 1)?;
        let next_due = next.first().and_then(|(key, _)| keys::parse_timer(key)).map_or(horizon, |(due, ..)| due);
        let mut state = self.lock();
        // What was set while this looked may lie before where it stands now.
        let set = state.lowest.as_ref().and_then(|key| keys::parse_timer(key)).map(|(due, ..)| due);
        state.watermark = from;
        state.next_due = set.map_or(next_due, |set| set.min(next_due));
        // Those that were fired may have been taken already: then nobody would wake this again.
        state.full = !exhausted && !state.has_room();
        Ok(())
    }

    /// The timer of a row that is due, unless it was fired before.
    fn fire(&self, key: &[u8]) -> Option<TimerRef> {
        let Some((due, scope, id, timer)) = keys::parse_timer(key) else {
            tracing::error!(?key, "a timer's key is damaged; it is left alone");
            return None;
        };
        let fired = TimerRef { due, execution: ExecutionRef { scope, id }, timer };
        self.lock().in_flight.insert(fired).then_some(fired)
    }

    /// Does again what was put off.
    fn repeat(&self, shared: &Shared, now: Millis) {
        let pumps = self.lock().pump_at.take_if(|at| is_due(*at, now)).is_some();
        if pumps {
            shared.dispatch.pump(shared);
        }
        let due: Vec<Later> = {
            let mut state = self.lock();
            if state.later.iter().all(|(at, _)| *at > now) {
                return;
            }
            let all = std::mem::take(&mut state.later);
            let (due, waiting): (Vec<_>, Vec<_>) = all.into_iter().partition(|(at, _)| *at <= now);
            state.later = waiting;
            due.into_iter().map(|(_, what)| what).collect()
        };
        for what in due {
            match what {
                Later::Timer(timer) => {
                    self.lock().in_flight.remove(&timer);
                    self.set(timer);
                }
                Later::Input(execution, kind) => {
                    let origin = if kind == InputKind::Continue { Origin::Continue } else { Origin::Call };
                    shared.send(execution.id, ShardMessage::Input { execution, kind, origin });
                }
                Later::Unheard(execution, kind) => {
                    shared.send(execution.id, ShardMessage::Input { execution, kind, origin: Origin::Lost });
                }
                Later::EndJob(task) => shared.dispatch.try_to_end(shared, task),
                Later::JobOver(task) => shared.dispatch.job_is_over(shared, task),
                Later::ForWorker(activity, queued) => shared.activities.queue(shared, &activity, queued),
                Later::ForSlot(key, queued) => shared.dispatch.queue(shared, &key, queued),
                Later::Requeue(queued) => shared.send(queued.task.execution.id, ShardMessage::Requeue(queued)),
                Later::MapRun(run) => shared.send_to_run(run, Happening::Again),
                Later::Follow(queued) => shared.send(queued.task.execution.id, ShardMessage::Follow(queued)),
                Later::Lost(queued) => shared.send(queued.task.execution.id, ShardMessage::Lost(queued)),
            }
        }
    }
}

/// Due timers on their way to their shards, those of one execution at one time in one message: what happens together
/// is one turn.
#[derive(Default)]
struct Batches(HashMap<usize, Vec<TimerRef>>);

impl Batches {
    fn add(&mut self, shared: &Shared, timer: TimerRef) {
        let batch = self.0.entry(shared.shard_of(timer.execution.id)).or_default();
        if batch.len() >= BATCH && batch.last().is_some_and(|last| last.execution != timer.execution) {
            shared.send(timer.execution.id, ShardMessage::Fired(std::mem::take(batch)));
        }
        batch.push(timer);
    }

    fn send(self, shared: &Shared) {
        for batch in self.0.into_values() {
            if let Some(first) = batch.first() {
                shared.send(first.execution.id, ShardMessage::Fired(batch));
            }
        }
    }
}

fn key(timer: TimerRef) -> Vec<u8> {
    keys::timer(timer.due, timer.execution.scope, timer.execution.id, timer.timer)
}
