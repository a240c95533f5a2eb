//! The timers of Express executions: in memory, because so is what they wake. A thread of their own fires them when they
//! are due, never before, and sees to what else is to be done from time to time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stepwright_machine::{ExecutionId, InputKind, Millis, TimerId};

use super::Run;
use crate::shared::Shared;

/// The wall clock may jump, so nobody sleeps longer than this without looking at it.
const NAP: Duration = Duration::from_secs(1);

/// Due time, execution, timer: what is due together for one execution stands together.
type Key = (Millis, ExecutionId, TimerId);

#[derive(Default)]
struct State {
    set: BTreeMap<Key, Arc<Run>>,
    woken: bool,
    stopped: bool,
}

/// All timers of open Express executions.
#[derive(Default)]
pub(crate) struct Timers {
    state: Mutex<State>,
    changed: Condvar,
}

impl Timers {
    // Each change under this lock is a single step, so a poisoned lock guards good data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set(&self, run: &Arc<Run>, due: Millis, timer: TimerId) {
        let key = (due, run.execution.id, timer);
        let mut state = self.lock();
        let is_first = state.set.first_key_value().is_none_or(|(first, _)| key < *first);
        state.set.insert(key, run.clone());
        if is_first {
            state.woken = true;
            self.changed.notify_one();
        }
    }

    pub(crate) fn cancel(&self, execution: ExecutionId, due: Millis, timer: TimerId) {
        let removed = self.lock().set.remove(&(due, execution, timer));
        // Not under the lock: it may be the last of its execution.
        drop(removed);
    }

    /// Looks at the clock again.
    pub(crate) fn wake(&self) {
        self.lock().woken = true;
        self.changed.notify_one();
    }

    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let left = std::mem::take(&mut state.set);
        drop(state);
        drop(left);
        self.changed.notify_one();
    }

    /// When the next one is due.
    pub(crate) fn next_due(&self) -> Option<Millis> {
        self.lock().set.first_key_value().map(|((due, ..), _)| *due)
    }

    /// Fires every timer that is due, those of one execution together: what happens together is one turn.
    pub(crate) fn fire(&self, shared: &Shared, now: Millis) {
        loop {
            let (run, kinds) = {
                let mut state = self.lock();
                let Some(((_, id, _), _)) = state.set.first_key_value().filter(|((due, ..), _)| *due <= now) else {
                    return;
                };
                let id = *id;
                let mut kinds = Vec::new();
                let mut of = None;
                while let Some(entry) =
                    state.set.first_entry().filter(|entry| entry.key().0 <= now && entry.key().1 == id)
                {
                    let ((_, _, timer), run) = entry.remove_entry();
                    kinds.push(InputKind::TimerFired { timer });
                    of = Some(run);
                }
                let Some(run) = of else { return };
                (run, kinds)
            };
            shared.express.happened_together(&run, kinds);
        }
    }

    /// Fires what is due until told to stop.
    pub(crate) fn run(&self, shared: &Arc<Shared>) {
        loop {
            let look_again = shared.express.tick(shared, shared.now());
            let mut state = self.lock();
            if state.stopped {
                return;
            }
            if !state.woken {
                let next = state.set.first_key_value().map(|((due, ..), _)| *due);
                let until = next.map_or(NAP, |due| {
                    let left = due.saturating_sub(shared.now()).max(1);
                    NAP.min(Duration::from_millis(left.unsigned_abs()))
                });
                let nap = look_again.map_or(until, |again| again.min(until));
                (state, _) = self.changed.wait_timeout(state, nap).unwrap_or_else(PoisonError::into_inner);
            }
            state.woken = false;
        }
    }
}
