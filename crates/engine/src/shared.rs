//! What every part of the engine can reach, and what is done once a commit is durable. Nothing here computes a turn.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use stepwright_machine::{ExecutionId, Input, InputKind, Millis};
use stepwright_store::{Commit, Store};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use crate::{
    activities::Activities,
    catalog::Catalog,
    delivery::Delivery,
    dispatch::Dispatch,
    error::{Error, Result},
    express::Express,
    lane::Lane,
    mailbox::Sender,
    maintenance::Maintenance,
    map_runs::Happening,
    message::{After, CommitMessage, ExecutionRef, Origin, Pending, ShardMessage},
    notices::Notices,
    options::EngineOptions,
    pace::Pace,
    quiet::Quiet,
    quotas::OpenExecutions,
    recent_turns::RecentTurns,
    recovery,
    secrets::Secrets,
    timers::{Later, Timers},
};

/// How long the engine waits before it gives an input again whose commit was refused.
pub(crate) const RETRY_MS: Millis = 1_000;

/// Running totals.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) turns: AtomicU64,
    pub(crate) started: AtomicU64,
    pub(crate) closed: AtomicU64,
    pub(crate) quarantined: AtomicU64,
    pub(crate) hot_executions: Vec<AtomicU64>,
    pub(crate) hot_bytes: Vec<AtomicU64>,
}

/// What every part of the engine can reach.
pub(crate) struct Shared {
    pub(crate) this: Weak<Shared>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) options: EngineOptions,
    pub(crate) runtime: Handle,
    pub(crate) secrets: Secrets,
    pub(crate) catalog: Catalog,
    pub(crate) activities: Activities,
    pub(crate) dispatch: Dispatch,
    pub(crate) timers: Timers,
    pub(crate) maintenance: Maintenance,
    pub(crate) watchers: Watchers,
    pub(crate) notices: Notices,
    pub(crate) open: OpenExecutions,
    pub(crate) recent_turns: RecentTurns,
    pub(crate) counters: Counters,
    pub(crate) shards: Vec<Sender<ShardMessage>>,
    pub(crate) committer: Sender<CommitMessage>,
    pub(crate) pace: Pace,
    pub(crate) lane: Lane,
    pub(crate) express: Express,
    pub(crate) quiet: Arc<Quiet>,
    /// Told when a clock is where somebody wanted it.
    pub(crate) watchers_of_clock: Notify,
    /// The next place in the queues.
    pub(crate) sequence: AtomicU64,
    pub(crate) failed: AtomicBool,
    /// When this engine was opened: nobody heard what happened just before.
    pub(crate) opened_at: Millis,
    pub(crate) draining: AtomicBool,
    /// The store has only its reserve left: what is under way may use it, new work may not.
    pub(crate) space_short: AtomicBool,
    /// Set when the engine has no threads: lets the committer work, and says whether it had anything to do.
    pub(crate) stepped: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl Shared {
    pub(crate) fn weak(&self) -> Weak<Shared> {
        self.this.clone()
    }

    pub(crate) fn now(&self) -> Millis {
        self.options.clock.now()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.options.seeds.next()
    }

    pub(crate) fn input(&self, kind: InputKind, at: Millis) -> Input {
        Input { at, seed: self.seed(), kind }
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed)
    }

    /// The shard that owns an execution.
    pub(crate) fn shard_of(&self, id: ExecutionId) -> usize {
        usize::from(id.partition()) % self.shards.len()
    }

    /// Tells the execution's shard something. A shard that is gone takes nothing: the engine is stopping.
    pub(crate) fn send(&self, id: ExecutionId, message: ShardMessage) {
        drop(self.shards[self.shard_of(id)].send(message));
    }

    /// Refuses when nothing can be served.
    pub(crate) fn check(&self) -> Result<()> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the store failed and must be opened again"));
        }
        if self.draining.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the engine is shutting down"));
        }
        Ok(())
    }

    /// Refuses what would begin something new.
    pub(crate) fn check_new(&self) -> Result<()> {
        self.check()?;
        if self.space_short.load(Ordering::Relaxed) {
            return Err(Error::Full {
                reason:
                    "the disk is full, and the store keeps what is left of its space for executions that run; free \
                         some space and new work is taken again"
                        .into(),
            });
        }
        Ok(())
    }

    /// Looks how much room the store has.
    pub(crate) fn look_at_space(&self) {
        let stats = self.store.stats();
        if stats.failed && !self.failed.load(Ordering::SeqCst) {
            // A checkpoint failed in the background. Nobody may be about to commit, and so to learn of it.
            tracing::error!("the store failed and must be opened again");
            return self.fail();
        }
        let short = stats.space_short;
        if self.space_short.swap(short, Ordering::Relaxed) != short {
            if short {
                tracing::error!("the store is running out of space: new work is refused until there is some");
            } else {
                tracing::info!("the store has space again");
            }
        }
    }

    /// Commits rows that belong to no execution's turn, and waits for that.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let after = vec![After::Answered { reply, result: Ok(()) }];
        self.submit(Pending { shard: None, execution: None, commit, after });
        answer.await.unwrap_or_else(|_| Err(Error::unavailable("the engine stopped")))
    }

    /// The same, on a thread that may wait.
    pub(crate) fn commit_blocking(&self, commit: Commit) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        let after = vec![After::Answered { reply, result: Ok(()) }];
        self.submit(Pending { shard: None, execution: None, commit, after });
        if let Some(commit) = self.stepped.get() {
            while commit() {}
        }
        answer.blocking_recv().unwrap_or_else(|_| Err(Error::unavailable("the engine stopped")))
    }

    pub(crate) fn submit(&self, pending: Pending) {
        if let Err(refused) = self.committer.send(CommitMessage::Pending(pending))
            && let CommitMessage::Pending(pending) = refused
        {
            for after in pending.after {
                self.refuse(after, &Error::unavailable("the engine stopped"));
            }
        }
    }

    /// Nothing can be trusted but the store: whoever waits is let go, nothing is sent any more.
    pub(crate) fn fail(&self) {
        self.failed.store(true, Ordering::SeqCst);
        self.activities.close();
        self.dispatch.close();
        self.express.close();
        self.watchers.all();
        self.watchers_of_clock.notify_waiters();
        self.notices.wake();
    }

    fn arc(&self) -> Option<Arc<Shared>> {
        self.this.upgrade()
    }

    /// Does what follows a durable commit.
    pub(crate) fn release(&self, after: After) {
        match after {
            // A caller that no longer listens misses nothing that is not in the store.
            After::Started { reply, result } => drop(reply.send(result)),
            After::Answered { reply, result } => drop(reply.send(result)),
            After::Stopped { reply, result } | After::Redriven { reply, result } => drop(reply.send(result)),
            After::TimerTaken(timer) => self.timers.taken(timer),
            After::TimerSet(timer) => self.timers.set(timer),
            After::HandOver { poller, queued, token, input, .. } => {
                self.quiet.hold(queued.task);
                let delivery = Delivery::new(self.weak(), poller.activity.clone(), queued, token, input);
                poller.give(delivery);
            }
            After::Call { slot, queued, call, .. } => {
                if let Some(shared) = self.arc() {
                    self.dispatch.call(&shared, slot, queued.task, *call, None);
                }
            }
            After::Follow { task, call } => {
                if let Some(shared) = self.arc() {
                    self.dispatch.follow(&shared, task, *call);
                }
            }
            After::QueueForWorker { activity, queued } => self.activities.queue(self, &activity, queued),
            After::QueueForSlot { key, queued } => self.dispatch.queue(self, &key, queued),
            After::TaskClosed { task, job } => {
                self.activities.remove(task);
                self.dispatch.remove(self, task, job);
                // Last: a call that ends just now may say that somebody holds it.
                self.quiet.release(task);
            }
            After::JobOver(task) => self.dispatch.job_forgotten(task),
            After::Continue(execution) => self.send(
                execution.id,
                ShardMessage::Input { execution, kind: InputKind::Continue, origin: Origin::Continue },
            ),
            After::MapRun(run, happening) => {
                self.send(run.parent.id, ShardMessage::MapRun { run, happening });
            }
            After::MapRunEnded(execution, kind) => {
                self.send(execution.id, ShardMessage::Input { execution, kind, origin: Origin::Call });
            }
            After::ChildStarted { run, child, execution } => {
                self.send_to_run(run, Happening::Started { child, execution: Some(execution) });
            }
            After::Otherwise(_) | After::StartOver(_) => {}
            After::Changed(execution) => self.watchers.changed(execution),
            After::Notice { channel, notice } => self.notices.arrived(channel, notice, self.now()),
            After::Opened(scope) => self.open.opened(scope),
            After::Closed(scope) => {
                self.open.closed(scope);
                self.counters.closed.fetch_add(1, Ordering::Relaxed);
            }
            After::RecoverTasks(execution) => recovery::recover_tasks_of(self, execution),
            After::Leave(leave) => self.send(leave.execution.id, ShardMessage::Leave(leave)),
            After::ExpressStarted(accepted) => {
                self.counters.started.fetch_add(1, Ordering::Relaxed);
                self.express.accepted(*accepted);
            }
            // With them goes the permission that kept their machines.
            After::ExpressEnded(ended) => drop(ended),
        }
    }

    /// Undoes what a refused commit promised.
    pub(crate) fn refuse(&self, after: After, error: &Error) {
        match after {
            After::Started { reply, .. } => drop(reply.send(Err(error.clone()))),
            After::Answered { reply, .. } => drop(reply.send(Err(error.clone()))),
            After::Stopped { reply, .. } | After::Redriven { reply, .. } => drop(reply.send(Err(error.clone()))),
            After::Leave(leave) => drop(leave.reply.send(Err(error.clone()))),
            After::TimerTaken(timer) => {
                let at = self.now() + RETRY_MS;
                self.timers.later(at, Later::Timer(timer));
            }
            After::HandOver { poller, queued, requeue, .. } => {
                let activity = poller.activity.clone();
                poller.refuse(error.clone());
                if requeue {
                    self.timers.later(self.now() + RETRY_MS, Later::ForWorker(activity, queued));
                }
            }
            After::Call { slot, queued, requeue, .. } => {
                if requeue {
                    self.timers.later(self.now() + RETRY_MS, Later::ForSlot(slot.key(), queued));
                }
                drop(slot);
            }
            After::ExpressStarted(accepted) => accepted.refuse(error),
            After::ExpressEnded(ended) => self.express.not_gone(ended),
            After::Otherwise(later) => self.timers.later(self.now() + RETRY_MS, later),
            After::ChildStarted { run, child, .. } => {
                self.send_to_run(run, Happening::Started { child, execution: None });
            }
            After::JobOver(task) => self.timers.later(self.now() + RETRY_MS, Later::JobOver(task)),
            After::MapRun(..)
            | After::MapRunEnded(..)
            | After::TimerSet(_)
            | After::QueueForWorker { .. }
            | After::QueueForSlot { .. }
            | After::TaskClosed { .. }
            | After::Continue(_)
            | After::Changed(_)
            | After::Notice { .. }
            | After::Follow { .. }
            | After::Opened(_)
            | After::Closed(_)
            | After::StartOver(_)
            | After::RecoverTasks(_) => {}
        }
    }
}

/// Who waits for a change of an execution.
#[derive(Default)]
pub(crate) struct Watchers {
    waiting: Mutex<HashMap<ExecutionRef, Vec<oneshot::Sender<()>>>>,
}

impl Watchers {
    /// Told at the next change after this call.
    pub(crate) fn watch(&self, execution: ExecutionRef) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let watchers = waiting.entry(execution).or_default();
        watchers.retain(|watcher| !watcher.is_closed());
        watchers.push(sender);
        receiver
    }

    fn changed(&self, execution: ExecutionRef) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        for watcher in waiting.remove(&execution).unwrap_or_default() {
            // One who no longer waits need not know.
            let _ = watcher.send(());
        }
    }

    /// Lets everybody look again: the engine stops.
    pub(crate) fn all(&self) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
