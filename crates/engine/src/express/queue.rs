//! The threads that compute turns of Express executions, and which execution is next. Turns that are known to take long
//! have threads of their own, of low priority, so that nobody else waits for them.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::Run;
use crate::quiet::{Quiet, Work};

/// Which threads compute a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// Those of turns that are given up when they take long.
    Quick,
    /// Those of the others.
    Slow,
}

#[derive(Default)]
struct State {
    quick: VecDeque<(Arc<Run>, Work)>,
    slow: VecDeque<(Arc<Run>, Work)>,
    stopped: bool,
}

impl State {
    fn of(&mut self, threads: Threads) -> &mut VecDeque<(Arc<Run>, Work)> {
        match threads {
            Threads::Quick => &mut self.quick,
            Threads::Slow => &mut self.slow,
        }
    }
}

/// Executions whose next turn is to be computed, oldest first.
#[derive(Default)]
pub(crate) struct Queue {
    quiet: Arc<Quiet>,
    state: Mutex<State>,
    quick: Condvar,
    slow: Condvar,
}

impl Queue {
    pub(crate) fn new(quiet: Arc<Quiet>) -> Self {
        Self { quiet, ..Self::default() }
    }

    // Nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrived(&self, threads: Threads) -> &Condvar {
        match threads {
            Threads::Quick => &self.quick,
            Threads::Slow => &self.slow,
        }
    }

    /// How many threads of each kind there are.
    pub(crate) fn threads(threads: Threads) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        match threads {
            Threads::Quick => cores,
            Threads::Slow => (cores / 2).max(1),
        }
    }

    pub(crate) fn push(&self, threads: Threads, run: Arc<Run>) {
        let work = self.quiet.work();
        self.lock().of(threads).push_back((run, work));
        self.arrived(threads).notify_one();
    }

    /// The next one, if one waits.
    pub(crate) fn take(&self, threads: Threads) -> Option<(Arc<Run>, Work)> {
        self.lock().of(threads).pop_front()
    }

    /// The next one, once there is one; none when they are to stop.
    pub(crate) fn wait(&self, threads: Threads) -> Option<(Arc<Run>, Work)> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(run) = state.of(threads).pop_front() {
                return Some(run);
            }
            state = self.arrived(threads).wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Executions that wait for a thread.
    pub(crate) fn len(&self, threads: Threads) -> usize {
        self.lock().of(threads).len()
    }

    /// The threads end after what they are at.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let left = (std::mem::take(&mut state.quick), std::mem::take(&mut state.slow));
        drop(state);
        drop(left);
        self.quick.notify_all();
        self.slow.notify_all();
    }
}
