//! The lane beside the shards: turns whose expressions take long are computed here, on threads of low priority, so that
//! whoever else has to do with the shard doesn't wait for them. A shard notices by trying: a turn that takes too many
//! steps is given up, and handed over with nothing but the inputs. The execution is *away* then: its shard neither
//! keeps nor touches it, and what comes for it waits until the turn is back. Only an execution all of whose turns are
//! durable goes away, so it is read from the store here, and a lane that dies with a turn loses nothing.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::AtomicUsize},
};

use stepwright_machine::{ExecutionId, Input};

use crate::{
    drive::{self, Stepped},
    error::Error,
    message::{ExecutionRef, ShardMessage},
    quiet::Work,
    shard::Taken,
    shared::Shared,
    turn::Hot,
};

#[cfg(target_os = "linux")]
/// How much nicer than the other threads those of the lane are: they get a tenth of what a busy one gets.
const NICE: i32 = 10;

/// A turn to compute.
pub(crate) struct Job {
    pub(crate) execution: ExecutionRef,
    /// What it takes in.
    pub(crate) taken: Vec<Taken>,
}

/// What became of it.
pub(crate) enum Ran {
    /// A turn.
    Stepped(Box<(Hot, Stepped)>),
    /// The execution is closed or gone.
    Gone,
    /// It could not be read.
    Unread(Error),
    /// The interpreter broke, or its rows are damaged.
    Broke(Option<Box<Hot>>, Arc<str>),
}

/// An execution whose turn is computed in the lane, or will be once all its other turns are durable.
pub(crate) struct Away {
    /// Not handed over yet.
    pub(crate) job: Option<Job>,
    /// Commits under way.
    pub(crate) uncommitted: u32,
    /// Its name's key, to forget when it is durable.
    pub(crate) name: Vec<u8>,
    /// What came for it meanwhile.
    pub(crate) waiting: Vec<ShardMessage>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(Job, Work)>,
    stopped: bool,
}

/// The jobs of all shards, oldest first.
#[derive(Default)]
pub(crate) struct Lane {
    state: Mutex<State>,
    arrived: Condvar,
    /// Executions that are away, of all shards.
    pub(crate) away: AtomicUsize,
}

impl Lane {
    // Nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many threads it has: a part of the machine that leaves the shards and connections theirs.
    pub(crate) fn threads() -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        (cores / 2).max(1)
    }

    pub(crate) fn push(&self, job: Job, work: Work) {
        self.lock().jobs.push_back((job, work));
        self.arrived.notify_one();
    }

    /// Takes back a job that nobody began.
    pub(crate) fn take_back(&self, id: ExecutionId) -> Option<Job> {
        let mut state = self.lock();
        let place = state.jobs.iter().position(|(job, _)| job.execution.id == id)?;
        let (job, work) = state.jobs.remove(place)?;
        drop(state);
        drop(work);
        Some(job)
    }

    /// Jobs that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Its threads end after what they are at.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.arrived.notify_all();
    }

    /// Computes turns until told to stop.
    pub(crate) fn run(&self, shared: &Shared) {
        lower_priority();
        loop {
            let mut state = self.lock();
            while state.jobs.is_empty() && !state.stopped {
                state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.stopped {
                return;
            }
            drop(state);
            self.run_one(shared);
        }
    }

    /// Computes the oldest turn; false if there is none.
    pub(crate) fn run_one(&self, shared: &Shared) -> bool {
        let Some((job, _work)) = self.lock().jobs.pop_front() else { return false };
        let ran = run(shared, &job);
        shared.send(job.execution.id, ShardMessage::Back(Box::new((job, ran))));
        true
    }
}

/// Lets other threads go first. Only this thread, on Linux; elsewhere priority is a matter of whole processes, and nothing
/// is done. Slower for the others if it fails, and nothing worse.
pub(crate) fn lower_priority() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::nice(NICE);
}

fn run(shared: &Shared, job: &Job) -> Ran {
    let mut hot = match shared.load(job.execution) {
        Ok(Some(hot)) => hot,
        Ok(None) => return Ran::Gone,
        Err(error @ Error::Corrupt { .. }) => return Ran::Broke(None, error.to_string().into()),
        Err(error) => return Ran::Unread(error),
    };
    let now = shared.now();
    let inputs: Vec<Input> = job.taken.iter().map(|taken| shared.input(taken.kind.clone(), now)).collect();
    match drive::attempt(shared, &mut hot, &inputs, u64::MAX) {
        Ok(stepped) => {
            let stepped = stepped.expect("a turn without a bound comes to its end");
            hot.revision.set_slow(stepped.effects.steps >= shared.options.steps_at_once);
            Ran::Stepped(Box::new((hot, stepped)))
        }
        Err(cause) => Ran::Broke(Some(Box::new(hot)), cause.into()),
    }
}
