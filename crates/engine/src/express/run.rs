//! One Express execution: what happened to it, and what it is. Whoever has something for it puts it into its inbox; one
//! thread at a time takes all of that and computes a turn. Nothing of it is stored, so a turn is done when it is computed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use stepwright_machine::{
    Closing, Command, Effects, EventId, EventKind, Execution, Failure, HistoryEvent, Input, InputKind, Millis, Outcome,
    Payload, Status, TaskId, TimerId, Workflow,
};
use stepwright_store::keys::MachineNumber;
use tokio::sync::oneshot;

use super::{Ended, child::Parent, load::Place, queue::Threads, took_long};
use crate::{
    catalog::{Revision, StartPermit},
    dispatch::Slot,
    drive::{self, Receiver, Receivers, give_back},
    error::Result,
    event_sink::ExpressEvents,
    message::{ExecutionRef, TaskRef},
    model::{Event, ExpressEnd, HistoryPage},
    shard::call,
    shared::Shared,
    turn::open_task,
};

/// With more frames than this, an execution is not copied before a turn that may be given up.
const COPIED_FRAMES: usize = 64;

/// Something that happened to it.
pub(crate) struct Happened {
    pub(crate) kind: InputKind,
    /// The slot of a task that is to be sent.
    pub(crate) slot: Option<Slot>,
}

impl From<InputKind> for Happened {
    fn from(kind: InputKind) -> Self {
        Self { kind, slot: None }
    }
}

/// Who is told how it ends.
pub(crate) enum Waiter {
    /// Whoever started it and waits.
    Caller(oneshot::Sender<Result<ExpressEnd>>),
    /// The store, which holds its row.
    Row,
    /// The map run whose child it is.
    MapRun(Parent),
}

/// What it is, between turns.
pub(crate) struct Body {
    pub(crate) execution: Execution,
    pub(crate) revision: Arc<Revision>,
    pub(crate) input: Arc<str>,
    pub(crate) place: Place,
    pub(crate) permit: StartPermit,
    /// Timers that are set and tasks that are open. Kept apart from the execution: after a panic, they are what is left
    /// to clear up.
    timers: BTreeSet<(Millis, TimerId)>,
    tasks: BTreeSet<TaskId>,
    /// The number of the next event.
    next_event: EventId,
}

/// An open execution.
pub(crate) struct Run {
    pub(crate) execution: ExecutionRef,
    pub(crate) machine: MachineNumber,
    /// Whose work its turns are, unless they take long.
    pub(crate) threads: Threads,
    inbox: Mutex<Inbox>,
    /// None: it ended.
    body: Mutex<Option<Box<(Body, Waiter)>>>,
}

struct Inbox {
    happened: Vec<Happened>,
    /// It waits for a thread, or one is at it.
    queued: bool,
    /// It ended: nothing is taken in any more.
    over: bool,
}

/// A turn as the interpreter computed it.
pub(crate) struct Turned {
    effects: Effects,
    receivers: Receivers,
}

impl Body {
    pub(crate) fn new(
        execution: Execution,
        revision: Arc<Revision>,
        input: Arc<str>,
        place: Place,
        permit: StartPermit,
    ) -> Self {
        let (timers, tasks) = (BTreeSet::new(), BTreeSet::new());
        Self { execution, revision, input, place, permit, timers, tasks, next_event: 1 }
    }

    pub(crate) fn start(&self) -> InputKind {
        InputKind::Start { input: Payload::new(self.input.clone()) }
    }

    pub(crate) fn reference(&self) -> ExecutionRef {
        ExecutionRef { scope: self.execution.info.scope, id: self.execution.info.id }
    }

    /// Begins anew: an attempt leaves nothing behind.
    pub(crate) fn reset(&mut self) {
        self.execution = Execution::new(self.execution.info.clone());
    }

    /// A turn. None: it was given up after so many steps, and what is left of the execution is worth nothing.
    ///
    /// # Errors
    /// What the interpreter panicked with. What is left of the execution is worth nothing either.
    pub(crate) fn step(
        &mut self,
        shared: &Shared,
        inputs: &[Input],
        steps: u64,
    ) -> std::result::Result<Option<Turned>, String> {
        let Self { execution, revision, .. } = self;
        let stepped = drive::guarded(shared, execution, &revision.compiled, inputs, steps)?;
        Ok(stepped.map(|(effects, receivers)| Turned { effects, receivers }))
    }

    /// Tells what a turn wrote, and counts what it made. How the execution ended, if it did: also because all together
    /// hold too much, and this one more than others.
    pub(crate) fn take_in(&mut self, shared: &Shared, turned: &mut Turned) -> Option<Closing> {
        let effects = &mut turned.effects;
        let new: usize = effects.payloads.iter().map(|payload| payload.text().len()).sum();
        self.place.grew(new, &self.execution);
        self.next_event = self.execution.head.next_event;
        let events = std::mem::take(&mut effects.events);
        self.tell(shared, effects.first_event, effects.at, events);
        if let Some(closing) = finish(effects) {
            return Some(closing);
        }
        let held = self.place.excess(&shared.options.express)?;
        let cause = format!(
            "The Express executions of this server hold {held} bytes of memory, more than twice the {} that they may \
             hold when one of them starts.",
            shared.options.express.memory_bytes
        );
        let abandon = shared.input(InputKind::Abandon { cause: cause.into() }, effects.at);
        match self.step(shared, &[abandon], u64::MAX) {
            Ok(ended) => {
                let effects = ended.expect("a turn without a bound comes to its end").effects;
                let closing = finish(&effects);
                self.tell(shared, effects.first_event, effects.at, effects.events);
                closing
            }
            Err(cause) => Some(self.broke(shared, &cause)),
        }
    }

    /// The interpreter broke: nothing is known of the execution but where it stood before the turn. It cannot be put
    /// aside for an operator as a stored one can, so it fails.
    pub(crate) fn broke(&self, shared: &Shared, cause: &str) -> Closing {
        let info = &self.execution.info;
        tracing::error!(execution = %info.arn, cause, "the interpreter broke; the Express execution fails");
        let failure = Failure {
            error: Some("States.Runtime".into()),
            cause: Some(format!("The interpreter broke: {cause}").into()),
        };
        let now = shared.now();
        let back = u64::from(self.next_event > 1);
        let event = HistoryEvent { back, kind: EventKind::ExecutionFailed(failure.clone()) };
        self.tell(shared, self.next_event, now, vec![event]);
        Closing { status: Status::Failed, at: now, output: None, error: failure.error, cause: failure.cause }
    }

    fn tell(&self, shared: &Shared, first: EventId, at: Millis, events: Vec<HistoryEvent>) {
        let Some(sink) = &shared.options.event_sink else { return };
        if events.is_empty() || !self.revision.is_told(&**sink) {
            return;
        }
        let info = &self.execution.info;
        let events = (first..)
            .zip(events)
            .map(|(id, event)| Event { id, at, previous: event.previous(id), kind: event.kind })
            .collect();
        let page = HistoryPage {
            events,
            next_token: None,
            definition: self.revision.compiled.clone(),
            role_arn: info.role_arn.clone(),
            region: crate::arn::parts(&info.arn).map_or("", |parts| parts.region).into(),
            version_arn: info.version_arn.clone(),
            alias_arn: info.alias_arn.clone(),
        };
        sink.take(ExpressEvents {
            execution_arn: info.arn.clone(),
            state_machine_arn: info.state_machine_arn.clone(),
            state_machine_name: info.state_machine_name.clone(),
            logging: self.revision.row.logging.clone(),
            page,
        });
    }

    /// Does what a turn asks for that did not end the execution. Whether it goes on at once.
    pub(crate) fn act(&mut self, shared: &Arc<Shared>, run: &Arc<Run>, turned: Turned) -> bool {
        let Turned { effects, receivers } = turned;
        let id = run.execution.id;
        let mut again = false;
        let mut set = BTreeSet::new();
        let mut scheduled = BTreeSet::new();
        for command in effects.commands {
            match command {
                Command::SetTimer { timer, due, .. } => {
                    set.insert((due, timer));
                }
                Command::CancelTimer { timer, due } => {
                    if !set.remove(&(due, timer)) && self.timers.remove(&(due, timer)) {
                        shared.express.timers.cancel(id, due, timer);
                    }
                }
                Command::ScheduleTask(task) => {
                    scheduled.insert(task.task);
                }
                // No job either.
                Command::CloseTask { task, .. } => {
                    if !scheduled.remove(&task) && self.tasks.remove(&task) {
                        shared.dispatch.remove(shared, TaskRef { execution: run.execution, task }, None);
                    }
                }
                Command::Continue => again = true,
                // An Express workflow has no activities and no distributed Maps.
                Command::FindActivity { .. }
                | Command::StartMapRun { .. }
                | Command::StopMapRun { .. }
                | Command::RedriveMapRun { .. }
                | Command::Finish(_) => {}
            }
        }
        let now = shared.now();
        let mut due_already = Vec::new();
        for (due, timer) in set {
            self.timers.insert((due, timer));
            if due <= now {
                due_already.push(InputKind::TimerFired { timer });
            } else {
                shared.express.timers.set(run, due, timer);
            }
        }
        if !due_already.is_empty() {
            // Before it goes on: its time may be up.
            shared.express.happened_together(run, due_already);
        }
        self.tasks.extend(&scheduled);
        let started: BTreeSet<TaskId> = effects
            .inputs
            .iter()
            .filter_map(|input| match input.kind {
                InputKind::TaskStarted { task, .. } => Some(task),
                _ => None,
            })
            .collect();
        for task in scheduled.into_iter().filter(|task| !started.contains(task)) {
            if let Some(key) = shared.dispatch.key_of(&self.execution, &self.revision.compiled, task) {
                let reference = TaskRef { execution: run.execution, task };
                shared.dispatch.queue_express(shared, &key, reference, run.clone());
            }
        }
        let mut unused = Receivers::new();
        for (task, receiver) in receivers {
            let wanted = started.contains(&task) && open_task(&self.execution, task).is_some();
            match receiver {
                Receiver::Slot { slot, .. } if wanted => {
                    if let Some(call) = call(&self.execution, &self.revision.compiled, task, effects.at, false) {
                        let reference = TaskRef { execution: run.execution, task };
                        shared.dispatch.call(shared, slot, reference, call, Some(run.clone()));
                    }
                }
                receiver => {
                    unused.insert(task, receiver);
                }
            }
        }
        give_back(shared, unused);
        again
    }

    /// The end, as whoever waits for it is told.
    pub(crate) fn result(&self, closing: Closing) -> ExpressEnd {
        let info = &self.execution.info;
        ExpressEnd {
            arn: info.arn.clone(),
            state_machine_arn: info.state_machine_arn.clone(),
            name: info.name.clone(),
            status: closing.status,
            started_at: info.started_at,
            stopped_at: closing.at,
            input: self.input.clone(),
            output: closing.output.as_ref().map(|output| output.text().clone()),
            error: closing.error,
            cause: closing.cause,
            trace_header: info.trace_header.clone(),
            memory_bytes: self.place.peak(),
        }
    }

    /// Whether it is about to begin when its time is up.
    fn is_late(&self, now: Millis) -> bool {
        match self.execution.info.workflow {
            Workflow::Express { began_at, lasts_seconds, .. } if self.execution.head.turn == 0 => {
                let lasts = Millis::try_from(lasts_seconds.saturating_mul(1_000)).unwrap_or(Millis::MAX);
                began_at.saturating_add(lasts) <= now
            }
            _ => false,
        }
    }

    /// Whether it is likely to end, or to do something, before `until`: a call is under way, or it waits for a time
    /// that comes before.
    fn is_busy(&self, until: Millis) -> bool {
        let lifetime = self.execution.head.timeout.map(|(timer, _)| timer);
        !self.tasks.is_empty() || self.timers.iter().any(|(due, timer)| Some(*timer) != lifetime && *due <= until)
    }
}

fn finish(effects: &Effects) -> Option<Closing> {
    effects.commands.iter().find_map(|command| match command {
        Command::Finish(closing) => Some(closing.clone()),
        _ => None,
    })
}

impl Run {
    /// An execution that takes in what happened. It waits for a thread: the caller gives it one.
    pub(crate) fn new(body: Body, waiter: Waiter, happened: Vec<Happened>) -> Arc<Self> {
        let threads = if matches!(waiter, Waiter::MapRun(_)) { Threads::Children } else { Threads::Quick };
        Arc::new(Self {
            execution: body.reference(),
            machine: body.revision.machine,
            threads,
            inbox: Mutex::new(Inbox { happened, queued: true, over: false }),
            body: Mutex::new(Some(Box::new((body, waiter)))),
        })
    }

    /// An execution whose first turn is computed goes on.
    pub(crate) fn go_on(shared: &Arc<Shared>, body: Body, waiter: Waiter, turned: Turned) {
        let run = Self::new(body, waiter, Vec::new());
        shared.express.enter(&run);
        let Some(mut taken) = run.body().take() else { return };
        let again = taken.0.act(shared, &run, turned);
        let again = again.then(|| InputKind::Continue.into()).into_iter().collect();
        run.put_back(shared, taken, again, run.threads);
    }

    // Nothing under this lock can panic.
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What is under this lock is taken out before anything can panic.
    fn body(&self) -> MutexGuard<'_, Option<Box<(Body, Waiter)>>> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts something into its inbox. Whether it must be given a thread.
    pub(crate) fn put(&self, happened: impl IntoIterator<Item = Happened>) -> bool {
        let happened = happened.into_iter().collect::<Vec<_>>();
        let mut inbox = self.inbox();
        if inbox.over {
            drop(inbox);
            // Its slots are free for others.
            drop(happened);
            return false;
        }
        inbox.happened.extend(happened);
        !std::mem::replace(&mut inbox.queued, true)
    }

    /// Whether it is likely to do something before `until`.
    pub(crate) fn is_busy(&self, until: Millis) -> bool {
        self.inbox().queued || self.body().as_ref().is_some_and(|body| body.0.is_busy(until))
    }

    /// Forgets it: the engine ends without it.
    pub(crate) fn forget(&self) {
        let mut inbox = self.inbox();
        inbox.over = true;
        let happened = std::mem::take(&mut inbox.happened);
        drop(inbox);
        drop(happened);
        let body = self.body().take();
        drop(body);
    }

    /// Takes in what happened, and computes a turn.
    pub(crate) fn advance(self: &Arc<Self>, shared: &Arc<Shared>, threads: Threads) {
        let mut happened = std::mem::take(&mut self.inbox().happened);
        let Some(mut taken) = self.body().take() else { return };
        let body = &mut taken.0;
        put_ends_first(&body.execution, &mut happened);
        let ends = happened.first().is_some_and(|first| is_end(&body.execution, &first.kind));
        if threads.is_bounded() && !ends && body.revision.is_slow() {
            return self.put_back(shared, taken, happened, Threads::Slow);
        }
        let now = shared.now();
        if body.is_late(now) {
            // Its time was up before a thread was free for it: it begins, and does nothing more.
            happened.insert(0, InputKind::Pause.into());
        }
        let inputs: Vec<Input> = happened.iter().map(|happened| shared.input(happened.kind.clone(), now)).collect();
        let starts = body.execution.head.turn == 0;
        let is_bounded = threads.is_bounded() && !ends && (starts || body.execution.frames.len() <= COPIED_FRAMES);
        let bound = shared.options.steps_at_once;
        let copy = (is_bounded && !starts).then(|| body.execution.clone());
        let begun = std::time::Instant::now();
        let stepped = body.step(shared, &inputs, if is_bounded { bound } else { u64::MAX });
        let mut turned = match stepped {
            Ok(Some(turned)) => turned,
            Ok(None) => {
                // So are others like it, most likely, and need not be tried.
                body.revision.set_slow(true);
                match copy {
                    Some(copy) => body.execution = copy,
                    None => body.reset(),
                }
                return self.put_back(shared, taken, happened, Threads::Slow);
            }
            Err(cause) => {
                let closing = body.broke(shared, &cause);
                return self.end(shared, *taken, closing);
            }
        };
        if !threads.is_bounded() || turned.effects.steps >= bound {
            let is_long = turned.effects.steps >= bound || took_long(shared, begun);
            body.revision.set_slow(is_long);
        }
        for (happened, outcome) in happened.into_iter().zip(&turned.effects.outcomes) {
            if let (Happened { kind: InputKind::TaskStarted { task, .. }, slot: Some(slot) }, Outcome::Accepted) =
                (happened, outcome)
            {
                turned.receivers.insert(task, Receiver::Slot { slot, requeue: None });
            }
        }
        match body.take_in(shared, &mut turned) {
            Some(closing) => {
                give_back(shared, turned.receivers);
                self.end(shared, *taken, closing);
            }
            None => {
                let again = body.act(shared, self, turned);
                let again = again.then(|| InputKind::Continue.into()).into_iter().collect();
                self.put_back(shared, taken, again, self.threads);
            }
        }
    }

    /// It is left until something happens; if something is there, it gets a thread again.
    fn put_back(
        self: &Arc<Self>,
        shared: &Shared,
        taken: Box<(Body, Waiter)>,
        mut happened: Vec<Happened>,
        threads: Threads,
    ) {
        let mut taken = taken;
        if let (Waiter::MapRun(parent), true) = (&mut taken.1, taken.0.execution.head.turn > 0) {
            parent.settled(shared);
        }
        *self.body() = Some(taken);
        let mut inbox = self.inbox();
        if inbox.over {
            // The engine ended meanwhile.
            drop(inbox);
            return self.forget();
        }
        happened.append(&mut inbox.happened);
        inbox.happened = happened;
        inbox.queued = !inbox.happened.is_empty();
        if inbox.queued {
            drop(inbox);
            shared.express.queue.push(threads, self.clone());
        }
    }

    /// It ended.
    fn end(&self, shared: &Shared, (body, waiter): (Body, Waiter), closing: Closing) {
        let mut inbox = self.inbox();
        inbox.over = true;
        let happened = std::mem::take(&mut inbox.happened);
        drop(inbox);
        drop(happened);
        for (due, timer) in &body.timers {
            shared.express.timers.cancel(self.execution.id, *due, *timer);
        }
        for task in &body.tasks {
            shared.dispatch.remove(shared, TaskRef { execution: self.execution, task: *task }, None);
        }
        tracing::debug!(execution = %body.execution.info.arn, status = ?closing.status, "closed");
        match waiter {
            Waiter::Caller(reply) => {
                let result = body.result(closing);
                // Its place is free before its caller can come back.
                drop(body);
                shared.express.over(shared, self.execution.id, None);
                // One that went away misses nothing that it could ask for again.
                drop(reply.send(Ok(result)));
            }
            Waiter::MapRun(parent) => {
                let started_at = body.execution.info.started_at;
                drop(body);
                shared.express.over(shared, self.execution.id, None);
                parent.ended(shared, started_at, closing);
            }
            Waiter::Row => {
                let Body { permit, place, .. } = body;
                drop(place);
                shared.express.over(shared, self.execution.id, Some(Ended::new(self.execution, permit)));
            }
        }
    }
}

/// Whether an input ends the execution, whatever it is at.
fn is_end(execution: &Execution, kind: &InputKind) -> bool {
    match kind {
        InputKind::Stop { .. } | InputKind::Abandon { .. } => true,
        InputKind::TimerFired { timer } => execution.head.timeout.is_some_and(|(set, _)| set == *timer),
        _ => false,
    }
}

/// What ends it counts before anything that waited for a thread as long.
fn put_ends_first(execution: &Execution, happened: &mut Vec<Happened>) {
    if let Some(at) = happened.iter().position(|happened| is_end(execution, &happened.kind)) {
        let end = happened.remove(at);
        happened.insert(0, end);
    }
}
