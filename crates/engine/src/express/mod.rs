//! Express executions: the interpreter with a shell that keeps everything in memory. A synchronous one touches no disk,
//! and one that ends in its first turn no other thread. An asynchronous one is a row before its start is acknowledged and
//! until it ended, so that a crash makes it run again: at least once.
//!
//! No shard knows of them, nothing of what they do is stored, and their events are told to the
//! [event sink](crate::EventSink) alone.

mod child;
mod ledger;
mod load;
mod queue;
mod run;
mod timers;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use stepwright_machine::{
    Execution, ExecutionId, ExecutionInfo, InputKind, Limits, Millis, SEMANTICS, TaskId, Workflow,
};
use stepwright_store::keys::MachineNumber;
use tokio::sync::oneshot;

use self::{
    ledger::Ledger,
    load::{Load, Place},
    run::{Body, Happened, Waiter},
    timers::Timers,
};
pub(crate) use self::{
    ledger::{Accepted, Ended, recover},
    queue::{Queue, Threads},
    run::Run,
};
use crate::{
    arn,
    dispatch::Slot,
    error::{Error, Result},
    lane,
    message::ExecutionRef,
    model::{ExpressEnd, NewExecution, Scope},
    quiet::Quiet,
    shared::Shared,
    starts::Chosen,
};

/// Inputs that are longer than this are not worked on on the caller's thread.
const SHORT_INPUT: usize = 16 << 10;
/// A turn that took so much time on a caller's thread was too long for it, whatever its steps say: JSONPath has none.
const LONG: Duration = Duration::from_millis(20);
/// How long one that is to end is waited for before it is looked again.
const LOOK: Duration = Duration::from_millis(20);

/// What all Express executions share.
#[derive(Default)]
pub(crate) struct Express {
    pub(crate) queue: Queue,
    pub(crate) timers: Timers,
    load: Arc<Load>,
    ledger: Ledger,
    /// Those that a thread, a timer or a call is to go on with.
    open: Mutex<HashMap<ExecutionId, Arc<Run>>>,
}

/// An execution that is to start, as its ARN and its row name it.
struct Identity {
    execution: ExecutionRef,
    name: Arc<str>,
    uuid: [u8; 16],
    /// When this run of it began.
    began_at: Millis,
}

impl Express {
    pub(crate) fn new(quiet: Arc<Quiet>) -> Self {
        Self { queue: Queue::new(quiet), ..Self::default() }
    }

    // Each change under this lock is a single step, so a poisoned lock guards good data.
    fn open(&self) -> MutexGuard<'_, HashMap<ExecutionId, Arc<Run>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are open, about how many bytes they hold, and how many wait for room.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.load.open() as u64, self.load.bytes() as u64, self.ledger.waiting() as u64)
    }

    // What happens to them

    /// Enters an execution that goes on by itself from here.
    fn enter(&self, run: &Arc<Run>) {
        self.open().insert(run.execution.id, run.clone());
    }

    /// Something happened to one.
    pub(crate) fn happened(&self, run: &Arc<Run>, kind: InputKind) {
        self.happened_together(run, [kind]);
    }

    /// Things that happened to one together are one turn.
    pub(crate) fn happened_together(&self, run: &Arc<Run>, kinds: impl IntoIterator<Item = InputKind>) {
        if run.put(kinds.into_iter().map(Happened::from)) {
            self.queue.push(run.threads, run.clone());
        }
    }

    /// A slot is free for a task that waited for one.
    pub(crate) fn slot_free(&self, run: &Arc<Run>, task: TaskId, slot: Slot) {
        let kind = InputKind::TaskStarted { task, worker_name: None };
        if run.put([Happened { kind, slot: Some(slot) }]) {
            self.queue.push(run.threads, run.clone());
        }
    }

    /// One ended: with a row, if it has one.
    fn over(&self, shared: &Shared, id: ExecutionId, row: Option<Ended>) {
        self.open().remove(&id);
        shared.counters.closed.fetch_add(1, Ordering::Relaxed);
        if let Some(row) = row
            && self.ledger.ended(row)
        {
            self.timers.wake();
        }
        if self.ledger.waiting() > 0 {
            self.timers.wake();
        }
    }

    /// What is to be done from time to time. How soon to look again, if not only when the next timer is due.
    pub(crate) fn tick(&self, shared: &Shared, now: Millis) -> Option<Duration> {
        // A timer that fires is in no list until its execution is in the queue.
        let _work = shared.quiet.work();
        self.timers.fire(shared, now);
        if shared.failed.load(Ordering::SeqCst) {
            return None;
        }
        self.admit_waiting(shared);
        self.ledger.look(shared)
    }

    /// Ends all that run a machine which is being deleted.
    pub(crate) fn stop_machine(&self, scope: u32, machine: MachineNumber) {
        let of = |run: &&Arc<Run>| run.execution.scope == scope && run.machine == machine;
        let runs: Vec<Arc<Run>> = self.open().values().filter(of).cloned().collect();
        for run in runs {
            let cause = Some("The state machine was deleted.".into());
            self.happened(&run, InputKind::Stop { error: None, cause });
        }
    }

    // The end of the engine

    /// Waits until none is likely to do anything before `until`: what only waits for a later time is left alone.
    pub(crate) async fn settle(&self, until: Millis) {
        loop {
            let runs: Vec<Arc<Run>> = self.open().values().cloned().collect();
            if !runs.iter().any(|run| run.is_busy(until)) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Deletes the rows of those that ended, as far as nobody does that already.
    pub(crate) fn flush(&self, shared: &Shared) {
        self.ledger.delete(shared);
    }

    /// Nothing goes on from now on: whoever waits is let go. Those that have a row run again when it is read.
    pub(crate) fn close(&self) {
        self.queue.stop();
        self.timers.stop();
        let runs = std::mem::take(&mut *self.open());
        for run in runs.into_values() {
            run.forget();
        }
    }

    // Rows

    /// The row of an asynchronous one is durable: it begins.
    pub(crate) fn accepted(&self, accepted: Accepted) {
        self.run_row(accepted.acknowledge());
    }

    /// Rows of some that ended could not be deleted.
    pub(crate) fn not_gone(&self, ended: Vec<Ended>) {
        self.ledger.not_gone(ended);
    }

    /// Gives one that has a row what it needs to run.
    fn run_row(&self, body: Body) {
        let start = body.start();
        let run = Run::new(body, Waiter::Row, vec![start.into()]);
        self.enter(&run);
        self.queue.push(run.threads, run);
    }
}

impl Shared {
    /// StartSyncExecution: how it ended. It goes on when the caller goes away.
    pub(crate) async fn start_sync(self: &Arc<Self>, scope: &Scope, new: NewExecution) -> Result<ExpressEnd> {
        self.check()?;
        let work = self.quiet.work();
        let chosen = self.choose(scope, &new.state_machine_arn)?;
        if !chosen.is_express() {
            return Err(Error::StateMachineTypeNotSupported { arn: new.state_machine_arn });
        }
        let place = self.express.load.admit(new.input.len(), &self.options.express)?;
        let identity = self.identify(&chosen, new.name);
        let mut body = self.body(identity, chosen, new.input, new.trace_header, place, true);
        body.execution.info.test_case = new.test_case;
        self.counters.started.fetch_add(1, Ordering::Relaxed);
        let short = body.input.len() <= SHORT_INPUT && !body.revision.is_slow();
        let answer = if self.options.express.at_once && short {
            match self.begin_at_once(body) {
                Begun::Ended(end) => return Ok(*end),
                Begun::Open(answer) => answer,
                Begun::Long(returned) => {
                    body = *returned;
                    self.begin_elsewhere(body, Threads::Slow)
                }
            }
        } else {
            self.begin_elsewhere(body, Threads::Quick)
        };
        drop(work);
        answer.await.unwrap_or_else(|_| Err(Error::unavailable("the engine stopped")))
    }

    /// StartExecution of an EXPRESS machine.
    pub(crate) async fn start_express(self: &Arc<Self>, chosen: Chosen, new: NewExecution) -> Result<crate::Started> {
        let work = self.quiet.work();
        let place = self.express.load.admit(new.input.len(), &self.options.express)?;
        let identity = self.identify(&chosen, new.name.clone());
        let (reply, answer) = oneshot::channel();
        ledger::accept(self, identity, chosen, new, place, reply);
        drop(work);
        answer.await.unwrap_or_else(|_| Err(Error::unavailable("the engine stopped")))
    }

    fn identify(&self, chosen: &Chosen, name: Arc<str>) -> Identity {
        let began_at = self.now();
        let id = ExecutionId::new(began_at, 0, self.seed());
        let bits = (u128::from(self.seed()) << 64) | u128::from(self.seed());
        let uuid = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().into_bytes();
        Identity { execution: ExecutionRef { scope: chosen.scope, id }, name, uuid, began_at }
    }

    fn body(
        &self,
        identity: Identity,
        chosen: Chosen,
        input: Arc<str>,
        trace_header: Option<Arc<str>>,
        place: Place,
        synchronous: bool,
    ) -> Body {
        let Identity { execution, name, uuid, began_at } = identity;
        let row = &chosen.revision.row;
        let lasts_seconds = self.options.express.lasts_seconds;
        let info = ExecutionInfo {
            id: execution.id,
            arn: arn::express(&row.machine_arn, &name, uuid),
            name,
            role_arn: row.role_arn.clone(),
            state_machine_arn: row.machine_arn.clone(),
            state_machine_name: row.machine_name.clone(),
            version_arn: chosen.version.map(|version| format!("{}:{version}", row.machine_arn).into()),
            alias_arn: chosen.alias.as_ref().map(|alias| format!("{}:{alias}", row.machine_arn).into()),
            machine: u64::from(chosen.revision.machine),
            revision: u64::from(chosen.revision.number),
            started_at: execution.id.started_at(),
            trace_header,
            // AWS: the history of an Express execution has no limit.
            limits: Limits { history_events: 0, ..self.options.limits },
            semantics: SEMANTICS,
            scope: execution.scope,
            token_key: self.secrets.token_key(execution.id),
            workflow: Workflow::Express { began_at, lasts_seconds, synchronous },
            flow: 0,
            test_case: None,
        };
        Body::new(Execution::new(info), chosen.revision, input, place, chosen.permit)
    }

    /// The first turn, on the caller's thread.
    fn begin_at_once(self: &Arc<Self>, mut body: Body) -> Begun {
        let begun = Instant::now();
        let start = self.input(body.start(), body.execution.info.started_at);
        let mut turned = match body.step(self, &[start], self.options.steps_at_once) {
            Ok(Some(turned)) => turned,
            Ok(None) => {
                body.revision.set_slow(true);
                body.reset();
                return Begun::Long(Box::new(body));
            }
            Err(cause) => {
                let closing = body.broke(self, &cause);
                self.counters.closed.fetch_add(1, Ordering::Relaxed);
                return Begun::Ended(Box::new(body.result(closing)));
            }
        };
        if took_long(self, begun) {
            body.revision.set_slow(true);
        }
        if let Some(closing) = body.take_in(self, &mut turned) {
            self.counters.closed.fetch_add(1, Ordering::Relaxed);
            return Begun::Ended(Box::new(body.result(closing)));
        }
        let (reply, answer) = oneshot::channel();
        Run::go_on(self, body, Waiter::Caller(reply), turned);
        Begun::Open(answer)
    }

    fn begin_elsewhere(&self, body: Body, threads: Threads) -> oneshot::Receiver<Result<ExpressEnd>> {
        let (reply, answer) = oneshot::channel();
        let start = body.start();
        let run = Run::new(body, Waiter::Caller(reply), vec![start.into()]);
        self.express.enter(&run);
        self.express.queue.push(threads, run);
        answer
    }
}

/// Whether a turn that began then took long. Nobody measures time in a simulation.
fn took_long(shared: &Shared, begun: Instant) -> bool {
    shared.stepped.get().is_none() && begun.elapsed() >= LONG
}

/// Computes turns until told to stop.
pub(crate) fn work(shared: &Arc<Shared>, threads: Threads) {
    if threads.has_low_priority() {
        lane::lower_priority();
    }
    while let Some((run, _work)) = shared.express.queue.wait(threads) {
        run.advance(shared, threads);
    }
}

/// What became of a first turn.
enum Begun {
    /// The execution ended in it.
    Ended(Box<ExpressEnd>),
    /// The execution goes on.
    Open(oneshot::Receiver<Result<ExpressEnd>>),
    /// It takes too long for here.
    Long(Box<Body>),
}
