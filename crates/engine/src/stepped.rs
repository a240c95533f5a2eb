//! An engine without threads, for a simulator: whoever opens it says which part works next, and on how much. What the
//! parts do is exactly what they do on threads of their own; nothing here computes a turn, commits or answers.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use stepwright_machine::{ExecutionId, Millis, TimerId};
use stepwright_store::Store;

use crate::{
    Engine,
    committer::Committer,
    connector::Connector,
    error::Result,
    express::Threads,
    mailbox::{Receiver, at_most as most},
    maintenance,
    message::{CommitMessage, ShardMessage},
    options::EngineOptions,
    running::{Prepared, Running},
    secrets::Secrets,
    shard::Shard,
    shared::Shared,
};

/// A timer on its way to its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FiredTimer {
    /// When it was due.
    pub due: Millis,
    /// Its execution.
    pub execution: ExecutionId,
    /// Itself.
    pub timer: TimerId,
}

struct Inbox<T> {
    part: T,
    messages: Receiver<CommitMessage>,
}

struct Lane {
    shard: Shard,
    messages: Receiver<ShardMessage>,
}

/// The parts of an engine that has no threads. Dropped, the engine is gone as in a crash: nothing is drained, and
/// nothing that was not committed is written.
pub struct Stepper {
    shared: Arc<Shared>,
    lanes: Vec<Lane>,
    committer: Arc<Mutex<Inbox<Committer>>>,
    fired: Vec<FiredTimer>,
}

impl Engine {
    /// [`Engine::open`] without threads: nothing happens but through the stepper. Reads happen on the caller's
    /// thread.
    ///
    /// # Errors
    /// As [`Engine::open`].
    #[doc(hidden)]
    pub fn open_stepped(
        store: Arc<dyn Store>,
        connectors: Vec<Arc<dyn Connector>>,
        options: EngineOptions,
    ) -> Result<(Engine, Stepper)> {
        let Prepared { shared, inboxes, commits, quarantines } = Running::prepare(store, connectors, options)?;
        let committer = Arc::new(Mutex::new(Inbox { part: Committer::new(shared.clone()), messages: commits }));
        let pumped = Arc::downgrade(&committer);
        // Set once: the engine was made a moment ago.
        drop(
            shared.stepped.set(Box::new(move || {
                Weak::upgrade(&pumped).is_some_and(|committer| commit(&committer, usize::MAX) > 0)
            })),
        );
        let lanes = inboxes
            .into_iter()
            .zip(quarantines)
            .enumerate()
            .map(|(index, (messages, quarantined))| Lane {
                shard: Shard::new(shared.clone(), index, quarantined),
                messages,
            })
            .collect();
        let stepper = Stepper { shared: shared.clone(), lanes, committer, fired: Vec::new() };
        Ok((Engine::of(Running::without_threads(shared)), stepper))
    }
}

impl Stepper {
    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.lanes.len()
    }

    /// Messages that wait for a shard.
    #[must_use]
    pub fn shard_waiting(&self, shard: usize) -> usize {
        self.lanes[shard].messages.len()
    }

    /// Lets a shard take at most so many messages at once; how many it took.
    pub fn run_shard(&mut self, shard: usize, at_most: usize) -> usize {
        let lane = &mut self.lanes[shard];
        let batch: Vec<ShardMessage> = lane.messages.take(most(at_most));
        for message in &batch {
            if let ShardMessage::Fired(timers) = message {
                let fired = timers.iter().map(|timer| FiredTimer {
                    due: timer.due,
                    execution: timer.execution.id,
                    timer: timer.timer,
                });
                self.fired.extend(fired);
            }
        }
        let taken = batch.len();
        if taken > 0 {
            let now = self.shared.now();
            for pending in lane.shard.handle(batch, now) {
                self.shared.submit(pending);
            }
            self.lanes[shard].messages.done(taken);
        }
        taken
    }

    /// The timers that shards took since this was last asked, in the order in which they took them.
    pub fn take_fired(&mut self) -> Vec<FiredTimer> {
        std::mem::take(&mut self.fired)
    }

    /// Commits that wait.
    #[must_use]
    pub fn committer_waiting(&self) -> usize {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner).messages.len()
    }

    /// Lets the committer make one batch of at most so many commits; of how many it was.
    pub fn run_committer(&mut self, at_most: usize) -> usize {
        commit(&self.committer, at_most)
    }

    /// Turns that wait for the lane.
    #[must_use]
    pub fn lane_waiting(&self) -> usize {
        self.shared.lane.waiting()
    }

    /// Lets the lane compute one turn; false if none waits.
    pub fn run_lane(&mut self) -> bool {
        self.shared.lane.run_one(&self.shared)
    }

    /// Turns of Express executions that wait for a thread.
    #[must_use]
    pub fn express_waiting(&self) -> usize {
        let queue = &self.shared.express.queue;
        Threads::ALL.into_iter().map(|threads| queue.len(threads)).sum()
    }

    /// Computes one turn of an Express execution, of those that take long if `slow`; false if none waits.
    pub fn run_express(&mut self, slow: bool) -> bool {
        let quick = if self.shared.express.queue.len(Threads::Quick) > 0 { Threads::Quick } else { Threads::Children };
        let threads = if slow { Threads::Slow } else { quick };
        match self.shared.express.queue.take(threads) {
            Some((run, _work)) => run.advance(&self.shared, threads),
            None => return false,
        }
        true
    }

    /// When the next timer of an Express execution is due.
    #[must_use]
    pub fn express_due(&self) -> Option<Millis> {
        self.shared.express.timers.next_due()
    }

    /// Fires timers of Express executions that are due, lets those run that wait for room, and deletes rows of those
    /// that ended. Whether such rows are left.
    pub fn tick_express(&mut self) -> bool {
        self.shared.express.tick(&self.shared, self.shared.now()).is_some()
    }

    /// Fires what is due.
    ///
    /// # Errors
    /// When timers cannot be read.
    pub fn tick_timers(&mut self) -> Result<()> {
        self.shared.timers.tick(&self.shared, self.shared.now())
    }

    /// One round of the work in the background, with a look for what is past its retention if so told. It commits by
    /// itself, after what waits already.
    ///
    /// # Errors
    /// When the store refuses; it is tried again at the next round.
    pub fn run_maintenance(&mut self, sweep: bool) -> Result<()> {
        self.shared.look_at_space();
        maintenance::delete_machines(&self.shared)?;
        if sweep { maintenance::sweep(&self.shared, self.shared.now()) } else { Ok(()) }
    }
}

/// The key of an execution's task tokens, for whoever folds its inputs again. `master`: the store's secret.
#[must_use]
pub fn token_key(master: [u8; 32], execution: ExecutionId) -> [u8; 32] {
    Secrets::of(master).token_key(execution)
}

fn commit(committer: &Mutex<Inbox<Committer>>, at_most: usize) -> usize {
    let mut committer = committer.lock().unwrap_or_else(PoisonError::into_inner);
    let messages = committer.messages.take(most(at_most));
    let many = messages.len();
    let batch: Vec<_> = messages
        .into_iter()
        .filter_map(|message| match message {
            CommitMessage::Pending(pending) => Some(pending),
            CommitMessage::Stop => None,
        })
        .collect();
    let taken = batch.len();
    if taken > 0 {
        committer.part.handle(batch);
    }
    committer.messages.done(many);
    taken
}
