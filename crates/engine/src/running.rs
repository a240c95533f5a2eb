//! Opening an engine, its threads, and its end. Threads are thin: each takes messages and hands them to the part that
//! knows what they mean.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use stepwright_machine::{ExecutionId, Millis, STACK_BYTES};
use stepwright_store::{Store, records::QuarantineRow};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
};

use crate::{
    activities::Activities,
    catalog::Catalog,
    committer::Committer,
    connector::Connector,
    dispatch::Dispatch,
    error::{Error, Result},
    express::{self, Express, Queue, Threads},
    lane::Lane,
    mailbox::{Receiver, mailbox},
    maintenance::Maintenance,
    message::{CommitMessage, ShardMessage},
    notices::Notices,
    options::EngineOptions,
    pace::Pace,
    quarantine,
    quiet::Quiet,
    quotas::OpenExecutions,
    recent_turns::RecentTurns,
    recovery,
    secrets::Secrets,
    shard::Shard,
    shared::{Counters, Shared, Watchers},
    skip,
    timers::Timers,
};

/// How often a shutdown looks whether calls are still in flight.
const LOOK: Duration = Duration::from_millis(10);

/// An engine's threads. Dropped without [`drain`](Running::drain), it stops as in a crash: what is not committed is
/// lost, and nothing else.
pub(crate) struct Running {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Option<EngineThreads>>,
}

struct EngineThreads {
    lane: Vec<JoinHandle<()>>,
    express: Vec<JoinHandle<()>>,
    shards: Vec<JoinHandle<()>>,
    committer: JoinHandle<()>,
    /// Timers and maintenance.
    others: Vec<JoinHandle<()>>,
}

/// An engine that recovered what its store holds and does not work yet.
pub(crate) struct Prepared {
    pub(crate) shared: Arc<Shared>,
    pub(crate) inboxes: Vec<Receiver<ShardMessage>>,
    pub(crate) commits: Receiver<CommitMessage>,
    pub(crate) quarantines: Vec<HashMap<ExecutionId, QuarantineRow>>,
}

impl Running {
    /// Recovers what the store holds and begins to work.
    pub(crate) fn open(
        store: Arc<dyn Store>,
        connectors: Vec<Arc<dyn Connector>>,
        options: EngineOptions,
    ) -> Result<Self> {
        let Prepared { shared, inboxes, commits, quarantines } = Self::prepare(store, connectors, options)?;
        let threads = start(&shared, inboxes, commits, quarantines)
            .map_err(|error| Error::unavailable(format!("a thread could not be started: {error}")))?;
        Ok(Self { shared, threads: Mutex::new(Some(threads)) })
    }

    /// An engine whose parts are run by someone else.
    pub(crate) fn without_threads(shared: Arc<Shared>) -> Self {
        Self { shared, threads: Mutex::new(None) }
    }

    /// Recovers what the store holds.
    pub(crate) fn prepare(
        store: Arc<dyn Store>,
        connectors: Vec<Arc<dyn Connector>>,
        options: EngineOptions,
    ) -> Result<Prepared> {
        let runtime =
            Handle::try_current().map_err(|_| Error::unavailable("an engine is opened inside a tokio runtime"))?;
        skip::restore(&*store, &*options.clock)?;
        let secrets = Secrets::open(&*store, &*options.seeds)?;
        let catalog = Catalog::open(store.clone(), options.compile, options.compiled_revisions)?;
        let sequence = recovery::next_sequence(&*store)?;
        let notices = Notices::open(&*store, &options.notices, options.clock.now())?;
        let open = OpenExecutions::open(&*store, options.quotas.open_executions)?;
        let count = options.shards.max(1);
        let mut quarantines: Vec<HashMap<ExecutionId, QuarantineRow>> = vec![HashMap::new(); count];
        let mut quarantined = HashSet::new();
        quarantine::each_row(&*store, |execution, row| {
            quarantines[usize::from(execution.id.partition()) % count].insert(execution.id, row);
            quarantined.insert(execution.id);
        })?;

        let quiet = Arc::new(Quiet::default());
        let (committer, commits) = mailbox(&quiet);
        let (shards, inboxes): (Vec<_>, Vec<_>) = (0..count).map(|_| mailbox(&quiet)).unzip();
        let counters = Counters {
            hot_executions: (0..count).map(|_| AtomicU64::new(0)).collect(),
            hot_bytes: (0..count).map(|_| AtomicU64::new(0)).collect(),
            ..Counters::default()
        };
        let opened_at = options.clock.now();
        let shared = Arc::new_cyclic(|this| Shared {
            this: this.clone(),
            store,
            runtime,
            secrets,
            catalog,
            activities: Activities::default(),
            dispatch: Dispatch::new(connectors, options.mocks.clone(), options.tasks.clone()),
            timers: Timers::new(),
            maintenance: Maintenance::default(),
            watchers: Watchers::default(),
            notices,
            open,
            recent_turns: RecentTurns::default(),
            counters,
            shards,
            committer,
            pace: Pace::new(count),
            lane: Lane::default(),
            express: Express::new(quiet.clone()),
            quiet,
            watchers_of_clock: Notify::new(),
            sequence: AtomicU64::new(sequence),
            failed: AtomicBool::new(false),
            opened_at,
            draining: AtomicBool::new(false),
            space_short: AtomicBool::new(false),
            stepped: OnceLock::new(),
            options,
        });
        let watching = Arc::downgrade(&shared);
        shared.options.clock.on_jump(Box::new(move || {
            if let Some(shared) = watching.upgrade() {
                shared.timers.wake();
                shared.express.timers.wake();
                shared.maintenance.wake();
            }
        }));
        let resting = Arc::downgrade(&shared);
        shared.quiet.on_rest(Box::new(move || {
            if let Some(shared) = resting.upgrade() {
                shared.timers.wake();
            }
        }));
        shared.look_at_space();
        recovery::recover_tasks(&shared, &quarantined)?;
        express::recover(&shared)?;
        Ok(Prepared { shared, inboxes, commits, quarantines })
    }

    /// See [`Engine::drain`](crate::Engine::drain).
    pub(crate) async fn drain(&self, deadline: Duration) -> Result<()> {
        let shared = &self.shared;
        let end = tokio::time::Instant::now() + deadline;
        // Express executions are in memory alone: they may end. What they call for that is called, this engine included,
        // so new work is taken until then.
        shared.dispatch.close_to_shards();
        let last = shared.now().saturating_add(Millis::try_from(deadline.as_millis()).unwrap_or(Millis::MAX));
        if tokio::time::timeout_at(end, shared.express.settle(last)).await.is_err() {
            tracing::warn!(
                open = shared.express.counts().0,
                "Express executions were still open at the end of the drain; asynchronous ones will run again"
            );
        }
        // What is left does not see that nothing is taken any more: it would take that for failures.
        shared.express.close();
        shared.express.flush(shared);
        shared.draining.store(true, Ordering::SeqCst);
        shared.activities.close();
        shared.dispatch.close();
        // Tasks whose start is still being written are sent when it is durable: they count as calls in flight.
        self.flush().await;
        let calls_end = async {
            while shared.dispatch.counts().1 > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        if tokio::time::timeout_at(end, calls_end).await.is_err() {
            tracing::warn!(calls = shared.dispatch.counts().1, "calls were still in flight at the end of the drain");
        }
        shared.dispatch.abort();
        self.flush().await;
        // What the calls came to may be with the lane.
        let lane_ends = async {
            while shared.lane.away.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(LOOK).await;
            }
            self.flush().await;
        };
        if tokio::time::timeout_at(end, lane_ends).await.is_err() {
            let turns = shared.lane.away.load(Ordering::SeqCst);
            tracing::warn!(turns, "turns were still being computed at the end of the drain");
        }
        if let Some(threads) = self.take_threads() {
            let shared = self.shared.clone();
            drop(tokio::task::spawn_blocking(move || stop(&shared, threads)).await);
        }
        let store = self.shared.store.clone();
        match tokio::task::spawn_blocking(move || store.close()).await {
            Ok(closed) => Ok(closed?),
            Err(error) => Err(Error::unavailable(format!("the store could not be closed: {error}"))),
        }
    }

    /// Waits until what the shards were told so far is durable and released.
    async fn flush(&self) {
        let mut answers = Vec::new();
        for shard in &self.shared.shards {
            let (reply, answer) = oneshot::channel();
            drop(shard.send(ShardMessage::Flush(reply)));
            answers.push(answer);
        }
        for answer in answers {
            // A failed store refuses even this; closing it says so.
            drop(answer.await);
        }
    }

    fn take_threads(&self) -> Option<EngineThreads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(threads) = self.take_threads() else { return };
        self.shared.draining.store(true, Ordering::SeqCst);
        self.shared.activities.close();
        self.shared.dispatch.close();
        self.shared.dispatch.abort();
        stop(&self.shared, threads);
    }
}

fn start(
    shared: &Arc<Shared>,
    inboxes: Vec<Receiver<ShardMessage>>,
    commits: Receiver<CommitMessage>,
    quarantines: Vec<HashMap<ExecutionId, QuarantineRow>>,
) -> std::io::Result<EngineThreads> {
    let spawn = |name: String, body: Box<dyn FnOnce() + Send>| {
        let shared = shared.clone();
        let guarded = move || {
            if catch_unwind(AssertUnwindSafe(body)).is_err() {
                // Half-done work in memory is not to be trusted; what is committed is.
                shared.fail();
                tracing::error!("a thread of the engine panicked; the engine must be opened again");
            }
        };
        std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(guarded)
    };
    let committer = Committer::new(shared.clone());
    let committer = spawn("committer".into(), Box::new(move || committer.run(&commits)))?;
    let mut shards = Vec::new();
    for (index, (inbox, quarantined)) in inboxes.into_iter().zip(quarantines).enumerate() {
        let shard = Shard::new(shared.clone(), index, quarantined);
        shards.push(spawn(format!("shard-{index}"), Box::new(move || shard.run(&inbox)))?);
    }
    let mut lane = Vec::new();
    for index in 0..Lane::threads() {
        let shared = shared.clone();
        lane.push(spawn(format!("lane-{index}"), Box::new(move || shared.lane.run(&shared)))?);
    }
    let mut express = Vec::new();
    for threads in Threads::ALL {
        for index in 0..Queue::threads(threads) {
            let shared = shared.clone();
            express
                .push(spawn(format!("{}-{index}", threads.name()), Box::new(move || express::work(&shared, threads)))?);
        }
    }
    let ticking = shared.clone();
    express.push(spawn("express-timers".into(), Box::new(move || ticking.express.timers.run(&ticking)))?);
    let (timers, maintenance) = (shared.clone(), shared.clone());
    let others = vec![
        spawn("timers".into(), Box::new(move || timers.timers.run(&timers)))?,
        spawn("maintenance".into(), Box::new(move || maintenance.maintenance.run(&maintenance)))?,
    ];
    Ok(EngineThreads { lane, express, shards, committer, others })
}

/// Ends the threads, from those that ask to the one that commits.
fn stop(shared: &Shared, threads: EngineThreads) {
    let join = |thread: JoinHandle<()>| {
        if thread.join().is_err() {
            tracing::error!("a thread of the engine had panicked");
        }
    };
    // Before Express executions are forgotten: with them go the permissions that keep their machines.
    shared.timers.stop();
    shared.maintenance.stop();
    threads.others.into_iter().for_each(join);
    shared.express.close();
    threads.express.into_iter().for_each(join);
    shared.lane.stop();
    threads.lane.into_iter().for_each(join);
    for shard in &shared.shards {
        drop(shard.send(ShardMessage::Stop));
    }
    threads.shards.into_iter().for_each(join);
    drop(shared.committer.send(CommitMessage::Stop));
    join(threads.committer);
    shared.watchers.all();
    shared.notices.wake();
}
