//! The threads that compute turns of Express executions, and which execution is next. Turns that are known to take long,
//! and turns of children of map runs, have threads of their own, of low priority, so that nobody else waits for them.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

use super::Run;
use crate::quiet::{Quiet, Work};

/// Which threads compute a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// Those of turns that somebody waits for, which are given up when they take long.
    Quick,
    /// Those of turns of children of map runs, which are given up as well: there are many, and nobody waits for one.
    Children,
    /// Those of turns that take long.
    Slow,
}

impl Threads {
    pub(crate) const ALL: [Threads; 3] = [Threads::Quick, Threads::Children, Threads::Slow];

    /// What their threads are called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Threads::Quick => "express",
            Threads::Children => "express-children",
            Threads::Slow => "express-slow",
        }
    }

    /// Whether others go first.
    pub(crate) fn has_low_priority(self) -> bool {
        self != Threads::Quick
    }

    /// Whether a turn that takes long is given up.
    pub(crate) fn is_bounded(self) -> bool {
        self != Threads::Slow
    }
}

#[derive(Default)]
struct State {
    waiting: [VecDeque<(Arc<Run>, Work)>; Threads::ALL.len()],
    stopped: bool,
}

/// Executions whose next turn is to be computed, oldest first.
#[derive(Default)]
pub(crate) struct Queue {
    quiet: Arc<Quiet>,
    state: Mutex<State>,
    arrived: [Condvar; Threads::ALL.len()],
}

impl Queue {
    pub(crate) fn new(quiet: Arc<Quiet>) -> Self {
        Self { quiet, ..Self::default() }
    }

    // Nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many threads of each kind there are.
    pub(crate) fn threads(threads: Threads) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        match threads {
            Threads::Quick | Threads::Children => cores,
            Threads::Slow => (cores / 2).max(1),
        }
    }

    pub(crate) fn push(&self, threads: Threads, run: Arc<Run>) {
        let work = self.quiet.work();
        self.lock().waiting[threads as usize].push_back((run, work));
        self.arrived[threads as usize].notify_one();
    }

    /// The next one, if one waits.
    pub(crate) fn take(&self, threads: Threads) -> Option<(Arc<Run>, Work)> {
        self.lock().waiting[threads as usize].pop_front()
    }

    /// The next one, once there is one; none when they are to stop.
    pub(crate) fn wait(&self, threads: Threads) -> Option<(Arc<Run>, Work)> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(run) = state.waiting[threads as usize].pop_front() {
                return Some(run);
            }
            state = self.arrived[threads as usize].wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Executions that wait for a thread.
    pub(crate) fn len(&self, threads: Threads) -> usize {
        self.lock().waiting[threads as usize].len()
    }

    /// The threads end after what they are at.
    pub(crate) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        let left = std::mem::take(&mut state.waiting);
        drop(state);
        drop(left);
        self.arrived.iter().for_each(Condvar::notify_all);
    }
}
