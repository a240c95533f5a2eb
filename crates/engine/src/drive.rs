//! Runs turns: gives an execution what happened to it, joins what is known at once (that an activity exists, that a
//! worker or a slot is there), and turns the outcome into commits and what follows them. A turn that takes long goes to
//! the lane and comes back computed. A panic of the interpreter ends here, in quarantine.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use stepwright_asl::Resource;
use stepwright_machine::{
    Command, Definition, Effects, Execution, ExecutionId, Input, InputKind, Millis, Outcome, ScheduleTask, TaskId,
    Workflow,
};
use stepwright_store::{Commit, Table, keys};

use crate::{
    activities::Poller,
    connector::ConnectorFailure,
    dispatch::Slot,
    error::Error,
    lane::{Away, Job, Ran},
    message::{After, ExecutionRef, Origin, QueuedTask, ShardMessage, TaskRef},
    notices::Turned,
    shard::{Shard, Taken, call_of, token_of},
    shared::Shared,
    timers::Later,
    turn::{self, Before, Hot, task_state},
};

/// Who gets a task that is being started in this turn.
pub(crate) enum Receiver {
    Worker { poller: Poller, requeue: Option<QueuedTask> },
    Slot { slot: Slot, requeue: Option<QueuedTask> },
}

impl Receiver {
    /// The place in a queue that the task left for it.
    fn place(&self) -> Option<Later> {
        Some(match self {
            Receiver::Worker { poller, requeue } => Later::ForWorker(poller.activity.clone(), (*requeue)?),
            Receiver::Slot { slot, requeue } => Later::ForSlot(slot.key(), (*requeue)?),
        })
    }
}

/// In the tasks' order: so they are sent.
pub(crate) type Receivers = BTreeMap<TaskId, Receiver>;

/// A turn as the interpreter computed it.
pub(crate) struct Stepped {
    before: Before,
    /// How many inputs it was given.
    inputs: usize,
    pub(crate) effects: Effects,
    receivers: Receivers,
    /// When what happened in it was taken in.
    at: Millis,
}

/// What a turn came to.
pub(crate) enum Driven {
    /// Its commit is under way (or nothing changed), or it takes long and goes on in the lane.
    Done,
    /// The interpreter broke: it is in quarantine.
    Broke,
}

impl Shard {
    /// The first turn of an execution.
    pub(crate) fn drive_start(&mut self, hot: Hot, kind: InputKind, after: Vec<After>, now: Millis) {
        self.drive(hot, vec![Taken { kind, origin: Origin::Call }], Commit::default(), after, now);
    }

    /// Inputs for an execution that may not be in memory.
    pub(crate) fn take(&mut self, execution: ExecutionRef, mut taken: Vec<Taken>, now: Millis) {
        if let Some(away) = self.away.get_mut(&execution.id) {
            return away.waiting.extend(taken.into_iter().map(|taken| taken.into_message(execution)));
        }
        if self.quarantined.contains_key(&execution.id) {
            return self.hold(execution, taken, now);
        }
        match self.find(execution).map(|hot| hot.is_some()) {
            Ok(true) => {
                let hot = self.take_hot(execution.id).expect("found in memory");
                for one in &mut taken {
                    if let Origin::Timer(timer) = one.origin
                        && hot.heartbeat_began(timer.timer).is_some_and(|began| began < self.shared.opened_at)
                    {
                        // The worker may have said that it is still at it while nobody was there to hear it.
                        one.kind = InputKind::HeartbeatGrace { timer: timer.timer };
                    }
                }
                self.drive(hot, taken, Commit::default(), Vec::new(), now);
            }
            Ok(false) if self.quarantined.contains_key(&execution.id) => self.hold(execution, taken, now),
            Ok(false) => self.too_late(execution, taken),
            Err(error) => self.refuse_all(execution, taken, &error),
        }
    }

    /// One turn. `first` and `commit` go in front of what the turn brings.
    pub(crate) fn drive(
        &mut self,
        mut hot: Hot,
        taken: Vec<Taken>,
        commit: Commit,
        first: Vec<After>,
        now: Millis,
    ) -> Driven {
        let shared = self.shared.clone();
        let inputs = |pause: bool| -> Vec<Input> {
            let pause = pause.then_some(InputKind::Pause).into_iter();
            pause.chain(taken.iter().map(|taken| taken.kind.clone())).map(|kind| shared.input(kind, now)).collect()
        };
        let starts = taken.iter().any(|taken| matches!(taken.kind, InputKind::Start { .. }));
        let redriven = taken.iter().any(|taken| taken.kind == InputKind::Redrive).then(|| hot.execution.clone());
        let redrives = redriven.is_some();
        let begins = starts || redrives;
        // Nothing is evaluated after an end. One that leaves quarantine, which is rare, is not sent away: as long as its
        // turn is not written, it is in quarantine.
        let leaves = !begins && (!commit.is_empty() || !first.is_empty());
        let here = leaves || taken.first().is_some_and(Taken::ends);
        let attempted = match shared.options.steps_at_once {
            _ if here => attempt(&shared, &mut hot, &inputs(false), u64::MAX),
            _ if hot.revision.is_slow() => Ok(None),
            steps => attempt(&shared, &mut hot, &inputs(false), steps),
        };
        if matches!(attempted, Ok(None)) {
            // So are others like it, most likely, and need not be tried.
            hot.revision.set_slow(true);
        }
        let attempted = match attempted {
            // Whoever started it need not wait for what it does. It begins anew: an attempt leaves nothing behind.
            Ok(None) if begins => {
                hot.execution = redriven.unwrap_or_else(|| Execution::new(hot.execution.info.clone()));
                attempt(&shared, &mut hot, &inputs(true), u64::MAX)
            }
            other => other,
        };
        match attempted {
            Ok(Some(stepped)) => self.finish(hot, taken, stepped, commit, first),
            Ok(None) => self.send_away(&hot, taken),
            Err(cause) if redrives => {
                // It stays closed, as it is in the store.
                tracing::error!(execution = %hot.execution.info.arn, cause, "a redrive broke and did not happen");
                for one in taken {
                    if let Origin::Redrive(reply) = one.origin {
                        drop(reply.send(Err(Error::unavailable(format!("the redrive broke: {cause}")))));
                    }
                }
                return Driven::Broke;
            }
            Err(cause) => {
                self.quarantine(hot.reference(), Some(&hot), &cause, taken, first, now);
                return Driven::Broke;
            }
        }
        Driven::Done
    }

    /// A computed turn becomes a commit.
    fn finish(&mut self, mut hot: Hot, taken: Vec<Taken>, stepped: Stepped, mut commit: Commit, first: Vec<After>) {
        let shared = self.shared.clone();
        let execution = hot.reference();
        let Stepped { before, inputs, effects, mut receivers, at: now } = stepped;
        // A pause comes before them; what was joined to the turn, after.
        let outcomes = &effects.outcomes[inputs - taken.len()..inputs];

        // What waited in quarantine came from anybody.
        let leaves = !commit.is_empty();
        let mut over = HashSet::new();
        let mut after = first;
        let mut sequences: HashMap<TaskId, u64> = HashMap::new();
        for (taken, outcome) in taken.into_iter().zip(outcomes) {
            let accepted = *outcome == Outcome::Accepted;
            if let (Origin::Call, InputKind::TaskFailed { task, .. } | InputKind::SubmitFailed { task, .. }) =
                (&taken.origin, &taken.kind)
                && !leaves
            {
                over.insert(*task);
            }
            self.settle_input(&hot, taken, accepted, &mut commit, &mut after, &mut receivers, &mut sequences);
        }
        if effects.is_empty() {
            let own = (!commit.is_empty()).then_some(execution);
            hot.uncommitted += u32::from(own.is_some());
            self.keep(hot);
            if own.is_some() || !after.is_empty() {
                self.emit(own, commit, after);
            }
            return;
        }
        let written = turn::write(&mut hot, &effects, &before, &sequences, &over, || shared.next_sequence());
        commit.append(&written.commit);
        after.extend(written.after);
        let turned = Turned {
            execution,
            revision: &hot.revision,
            redriven: hot.row.redriven,
            turn: effects.turn,
            at: effects.at,
            events: &effects.events,
        };
        shared.notices.write(&turned, &mut commit, &mut after);
        self.send_out(&hot, &effects, receivers, &sequences, now, &mut after);
        for unsent in written.unsent {
            queue(&shared, &hot, &unsent, &mut after);
        }
        // Of an execution that leaves quarantine, what this turn sends is not taken for lost.
        after.sort_by_key(|after| matches!(after, After::RecoverTasks(_)));
        if let Some(closing) = &written.closing {
            tracing::debug!(execution = %hot.execution.info.arn, status = ?closing.status, "closed");
        }
        hot.written = true;
        hot.uncommitted += 1;
        self.keep(hot);
        self.emit(Some(execution), commit, after);
    }

    // The lane

    /// Its expressions take long: the turn is computed in the lane, once all that is known of the execution is durable.
    fn send_away(&mut self, hot: &Hot, taken: Vec<Taken>) {
        let execution = hot.reference();
        let job = Job { execution, taken };
        let name = keys::name(execution.scope, &hot.revision.row.machine_name, &hot.row.name);
        let mut away = Away { job: None, uncommitted: hot.uncommitted, name, waiting: Vec::new() };
        if hot.uncommitted == 0 {
            self.shared.lane.push(job, self.shared.quiet.work());
        } else {
            away.job = Some(job);
        }
        let before = self.away.insert(execution.id, away);
        assert!(before.is_none(), "an execution that is away is not touched");
        self.shared.lane.away.fetch_add(1, Ordering::SeqCst);
    }

    fn no_longer_away(&mut self, id: ExecutionId) -> Option<Away> {
        let away = self.away.remove(&id)?;
        self.shared.lane.away.fetch_sub(1, Ordering::SeqCst);
        Some(away)
    }

    /// A commit is durable of an execution that is away.
    pub(crate) fn away_committed(&mut self, id: ExecutionId) -> bool {
        let Some(away) = self.away.get_mut(&id) else { return false };
        away.uncommitted = away.uncommitted.saturating_sub(1);
        if away.uncommitted > 0 {
            return true;
        }
        if let Some(job) = away.job.take() {
            self.names.remove(&away.name);
            if away.waiting.iter().any(ShardMessage::stops) {
                self.readmit(job);
            } else {
                self.shared.lane.push(job, self.shared.quiet.work());
            }
        }
        true
    }

    /// What an execution was to take in, and what came for it meanwhile, comes again: first of all that it is to stop.
    fn readmit(&mut self, job: Job) {
        let waiting = self.no_longer_away(job.execution.id).map(|away| away.waiting).unwrap_or_default();
        let (stops, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(ShardMessage::stops);
        let taken = job.taken.into_iter().map(|taken| taken.into_message(job.execution));
        self.readmitted.extend(stops.into_iter().chain(taken).chain(others));
    }

    /// Commits were refused: what waited for one to become durable did not happen.
    pub(crate) fn away_rejected(&mut self, error: &Error) {
        let gone: Vec<ExecutionId> =
            self.away.iter().filter(|(_, away)| away.job.is_some()).map(|(id, _)| *id).collect();
        for id in gone {
            let Some(away) = self.no_longer_away(id) else { continue };
            self.readmitted.extend(away.waiting);
            if let Some(job) = away.job {
                self.refuse_all(job.execution, job.taken, error);
            }
        }
    }

    /// A turn is back from the lane.
    pub(crate) fn come_back(&mut self, job: Job, ran: Ran, now: Millis) {
        let Job { execution, taken } = job;
        let away = self.no_longer_away(execution.id).expect("it was away");
        self.readmitted.extend(away.waiting);
        match ran {
            Ran::Stepped(turn) => {
                let (hot, stepped) = *turn;
                self.finish(hot, taken, stepped, Commit::default(), Vec::new());
            }
            Ran::Gone => self.too_late(execution, taken),
            Ran::Unread(error) => self.refuse_all(execution, taken, &error),
            Ran::Broke(hot, cause) => self.quarantine(execution, hot.as_deref(), &cause, taken, Vec::new(), now),
        }
    }

    /// Something for an execution that is away waits until it is back. Gives back what is for any other.
    pub(crate) fn wait_if_away(&mut self, message: ShardMessage) -> Option<ShardMessage> {
        if self.away.is_empty() {
            return Some(message);
        }
        let Some(id) = message.execution() else { return Some(message) };
        let Some(away) = self.away.get_mut(&id) else { return Some(message) };
        let stops = message.stops();
        away.waiting.push(message);
        // An execution that only stands in line for the lane is stopped at once.
        if stops && let Some(job) = self.shared.lane.take_back(id) {
            self.readmit(job);
        }
        None
    }

    /// What follows for whoever brought an input.
    #[expect(clippy::too_many_arguments, reason = "the parts of one turn, each changed")]
    fn settle_input(
        &self,
        hot: &Hot,
        taken: Taken,
        accepted: bool,
        commit: &mut Commit,
        after: &mut Vec<After>,
        receivers: &mut Receivers,
        sequences: &mut HashMap<TaskId, u64>,
    ) {
        let execution = hot.reference();
        match taken.origin {
            Origin::Answer(reply) => {
                let result = if accepted { Ok(()) } else { Err(Error::TaskTimedOut) };
                after.push(After::Answered { reply, result });
            }
            Origin::Stop(reply) => {
                if let Some(reply) = reply {
                    let at = hot.execution.head.closing.as_ref().map(|closing| closing.at);
                    let result = at.ok_or_else(|| Error::unavailable("the execution did not stop"));
                    after.push(After::Stopped { reply, result });
                }
            }
            Origin::Redrive(reply) => {
                let at = hot.execution.head.redriven.filter(|_| accepted).map(|(_, at)| at);
                after.push(After::Opened(execution.scope));
                let result = at.ok_or_else(|| Error::unavailable("the execution did not go on"));
                after.push(After::Redriven { reply, result });
            }
            Origin::Timer(timer) => {
                let key = keys::timer(timer.due, timer.execution.scope, timer.execution.id, timer.timer);
                commit.delete(Table::Timer, key);
                after.push(After::TimerTaken(timer));
            }
            Origin::Call | Origin::Continue => {
                if !matches!(taken.kind, InputKind::Start { .. }) {
                    after.push(After::Otherwise(Later::Input(execution, taken.kind)));
                }
            }
            Origin::Lost => after.push(After::Otherwise(Later::Unheard(execution, taken.kind))),
            Origin::Worker { poller, queued } => {
                if accepted {
                    sequences.insert(queued.task.task, queued.sequence);
                    receivers.insert(queued.task.task, Receiver::Worker { poller, requeue: Some(queued) });
                } else {
                    after.push(After::Otherwise(Later::ForWorker(poller.activity.clone(), queued)));
                    self.shared.activities.put_back_poller(&self.shared, poller);
                }
            }
            Origin::Slot { slot, queued } => {
                if accepted {
                    sequences.insert(queued.task.task, queued.sequence);
                    receivers.insert(queued.task.task, Receiver::Slot { slot, requeue: Some(queued) });
                } else {
                    after.push(After::Otherwise(Later::ForSlot(slot.key(), queued)));
                }
            }
        }
    }

    /// Tasks that this turn started go to their workers and connectors once it is durable.
    fn send_out(
        &self,
        hot: &Hot,
        effects: &Effects,
        receivers: Receivers,
        sequences: &HashMap<TaskId, u64>,
        now: Millis,
        after: &mut Vec<After>,
    ) {
        let execution = hot.reference();
        let mut unused = Receivers::new();
        for (task, receiver) in receivers {
            let started = effects
                .inputs
                .iter()
                .any(|input| matches!(input.kind, InputKind::TaskStarted { task: started, .. } if started == task));
            let Some((_, open)) = hot.open_task(task).filter(|_| started) else {
                // Closed again in the same turn.
                after.extend(receiver.place().map(After::Otherwise));
                unused.insert(task, receiver);
                continue;
            };
            let sequence = sequences.get(&task).copied().unwrap_or_else(|| self.shared.next_sequence());
            let queued = QueuedTask { task: TaskRef { execution, task }, sequence, started: false };
            match receiver {
                Receiver::Worker { poller, requeue } => {
                    let (token, input) = (token_of(hot, task), open.input.text().clone());
                    after.push(After::HandOver { poller, queued, token, input, requeue: requeue.is_some() });
                }
                Receiver::Slot { slot, requeue } => {
                    if let Some(call) = call_of(hot, task, now, false) {
                        let call = Box::new(call);
                        after.push(After::Call { slot, queued, call, requeue: requeue.is_some() });
                    }
                }
            }
        }
        give_back(&self.shared, unused);
    }

    /// Inputs for an execution that is closed or gone.
    fn too_late(&mut self, execution: ExecutionRef, taken: Vec<Taken>) {
        let mut commit = Commit::default();
        let mut after = Vec::new();
        for taken in taken {
            match taken.origin {
                Origin::Answer(reply) => after.push(After::Answered { reply, result: Err(Error::TaskTimedOut) }),
                Origin::Stop(Some(reply)) => {
                    let result = self.ended(execution).and_then(|closing| {
                        closing.map(|closing| closing.at).ok_or(Error::ExecutionDoesNotExist { arn: "".into() })
                    });
                    after.push(After::Stopped { reply, result });
                }
                Origin::Timer(timer) => {
                    commit.delete(Table::Timer, keys::timer(timer.due, execution.scope, execution.id, timer.timer));
                    after.push(After::TimerTaken(timer));
                }
                // That it closed may yet be refused: then these count.
                Origin::Call | Origin::Continue => {
                    after.push(After::Otherwise(Later::Input(execution, taken.kind)));
                }
                Origin::Lost => after.push(After::Otherwise(Later::Unheard(execution, taken.kind))),
                Origin::Worker { poller, queued } => {
                    after.push(After::Otherwise(Later::ForWorker(poller.activity.clone(), queued)));
                    self.shared.activities.put_back_poller(&self.shared, poller);
                }
                Origin::Slot { slot, queued } => {
                    after.push(After::Otherwise(Later::ForSlot(slot.key(), queued)));
                }
                Origin::Stop(None) => {}
                Origin::Redrive(reply) => {
                    let result = Err(Error::unavailable("the execution did not go on"));
                    after.push(After::Redriven { reply, result });
                }
            }
        }
        self.emit(None, commit, after);
    }

    /// The store could not be read: nothing happened to the execution.
    pub(crate) fn refuse_all(&mut self, execution: ExecutionRef, taken: Vec<Taken>, error: &Error) {
        let shared = self.shared.clone();
        for taken in taken {
            let after = match taken.origin {
                Origin::Answer(reply) => After::Answered { reply, result: Ok(()) },
                Origin::Stop(Some(reply)) => After::Stopped { reply, result: Ok(0) },
                Origin::Stop(None) => continue,
                Origin::Redrive(reply) => After::Redriven { reply, result: Ok(0) },
                Origin::Timer(timer) => After::TimerTaken(timer),
                Origin::Call | Origin::Continue => After::Otherwise(Later::Input(execution, taken.kind)),
                Origin::Lost => After::Otherwise(Later::Unheard(execution, taken.kind)),
                Origin::Worker { poller, queued } => {
                    After::HandOver { poller, queued, token: "".into(), input: "".into(), requeue: true }
                }
                Origin::Slot { slot, queued } => After::Otherwise(Later::ForSlot(slot.key(), queued)),
            };
            shared.refuse(after, error);
        }
    }
}

/// Workers and slots that got nothing after all.
pub(crate) fn give_back(shared: &Shared, receivers: Receivers) {
    for receiver in receivers.into_values() {
        match receiver {
            Receiver::Worker { poller, .. } => shared.activities.put_back_poller(shared, poller),
            Receiver::Slot { slot, .. } => drop(slot),
        }
    }
}

/// The interpreter's turn, given up after so many steps of expressions: then nothing happened, and what is left of the
/// execution in memory is worth nothing.
///
/// # Errors
/// What the interpreter panicked with. Its memory is worth nothing either.
pub(crate) fn attempt(
    shared: &Shared,
    hot: &mut Hot,
    inputs: &[Input],
    steps: u64,
) -> std::result::Result<Option<Stepped>, String> {
    let before = Before::of(hot);
    let at = inputs.first().map_or(0, |input| input.at);
    let Hot { execution, revision, .. } = hot;
    let stepped = guarded(shared, execution, &revision.compiled, inputs, steps)?;
    Ok(stepped.map(|(effects, receivers)| Stepped { before, inputs: inputs.len(), effects, receivers, at }))
}

/// [`step`], which may panic. None: it was given up after so many steps.
///
/// # Errors
/// What the interpreter panicked with. Whoever was to get a task gets none, here as when it was given up.
pub(crate) fn guarded(
    shared: &Shared,
    execution: &mut Execution,
    definition: &Definition,
    inputs: &[Input],
    steps: u64,
) -> std::result::Result<Option<(Effects, Receivers)>, String> {
    let mut receivers = Receivers::new();
    match catch_unwind(AssertUnwindSafe(|| step(shared, execution, definition, inputs, steps, &mut receivers))) {
        Ok(Some(effects)) => Ok(Some((effects, receivers))),
        Ok(None) => {
            give_back(shared, receivers);
            Ok(None)
        }
        Err(panic) => {
            give_back(shared, receivers);
            Err(panic_message(&*panic))
        }
    }
}

/// The interpreter's turn, with all that can be joined to it.
fn step(
    shared: &Shared,
    execution: &mut Execution,
    definition: &Definition,
    inputs: &[Input],
    steps: u64,
    receivers: &mut Receivers,
) -> Option<Effects> {
    let functions = shared.options.step;
    // Refused when its machine is created; here only because nothing would ever answer such a task.
    let express = matches!(execution.info.workflow, Workflow::Express { .. });
    let mut effects = (functions.begin)(definition, execution, inputs, steps)?;
    let mut seen = 0;
    loop {
        let mut joined = Vec::new();
        for (at, command) in effects.commands.iter().enumerate().skip(seen) {
            match command {
                Command::FindActivity { task, arn } => {
                    let served = is_mocked(shared, execution, definition, *task)
                        || (!express && shared.has_activity(execution.info.scope, arn));
                    let kind = if served {
                        InputKind::ActivityFound { task: *task }
                    } else {
                        InputKind::ActivityMissing { task: *task }
                    };
                    joined.push(kind);
                }
                Command::ScheduleTask(scheduled) if !closes(&effects.commands[at..], scheduled.task) => {
                    joined.extend(join_task(shared, execution, definition, scheduled, receivers));
                }
                _ => {}
            }
        }
        if joined.is_empty() {
            return Some(effects);
        }
        seen = effects.commands.len();
        let at = effects.at;
        let joined: Vec<Input> = joined.into_iter().map(|kind| shared.input(kind, at)).collect();
        effects.absorb((functions.more)(definition, execution, &joined, steps)?);
    }
}

/// Whether a task is answered by the execution's test case.
fn is_mocked(shared: &Shared, execution: &Execution, definition: &Definition, task: TaskId) -> bool {
    turn::open_task(execution, task).is_some_and(|(visit, _)| {
        let state = definition.state(stepwright_asl::StateId(visit.state));
        shared.dispatch.is_mocked(&execution.info, &state.name)
    })
}

fn closes(commands: &[Command], task: TaskId) -> bool {
    commands.iter().any(|command| matches!(command, Command::CloseTask { task: closed, .. } if *closed == task))
}

/// A task that can start at once does so in the turn that schedules it.
fn join_task(
    shared: &Shared,
    execution: &Execution,
    definition: &Definition,
    scheduled: &ScheduleTask,
    receivers: &mut Receivers,
) -> Vec<InputKind> {
    let Some(task_state) = task_state(definition, scheduled.state) else { return Vec::new() };
    let express = matches!(execution.info.workflow, Workflow::Express { .. });
    let task = scheduled.task;
    let state = &definition.state(scheduled.state).name;
    match &task_state.resource {
        Resource::Activity { arn } if !shared.dispatch.is_mocked(&execution.info, state) => {
            match shared.activities.reserve(arn) {
                Some(poller) => {
                    let worker_name = poller.worker_name.clone();
                    receivers.insert(task, Receiver::Worker { poller, requeue: None });
                    vec![InputKind::TaskStarted { task, worker_name }]
                }
                None => Vec::new(),
            }
        }
        resource => match shared.dispatch.connector_of(&execution.info, state, resource) {
            None => {
                let failed = crate::dispatch::failed(resource, task, unserved(resource));
                vec![InputKind::TaskStarted { task, worker_name: None }, failed]
            }
            Some(connector) => {
                let Some((_, open)) = turn::open_task(execution, task) else { return Vec::new() };
                let key = shared.dispatch.key(connector, resource, open.input.text(), &execution.info);
                match shared.dispatch.reserve(shared, key, express) {
                    Some(slot) => {
                        receivers.insert(task, Receiver::Slot { slot, requeue: None });
                        vec![InputKind::TaskStarted { task, worker_name: None }]
                    }
                    None => Vec::new(),
                }
            }
        },
    }
}

pub(crate) fn unserved(resource: &Resource) -> ConnectorFailure {
    let cause = format!("No connector of this server serves the resource {}.", resource.arn());
    ConnectorFailure::new("States.TaskFailed", cause)
}

/// A task that waits gets its place once its row is durable.
fn queue(shared: &Shared, hot: &Hot, unsent: &turn::Unsent, after: &mut Vec<After>) {
    let Some(task_state) = task_state(hot.definition(), unsent.state) else { return };
    let state = &hot.definition().state(unsent.state).name;
    match &task_state.resource {
        Resource::Activity { arn } if !shared.dispatch.is_mocked(&hot.execution.info, state) => {
            after.push(After::QueueForWorker { activity: arn.clone(), queued: unsent.queued });
        }
        _ => {
            if let Some(key) = shared.dispatch.key_of(&hot.execution, hot.definition(), unsent.queued.task.task) {
                after.push(After::QueueForSlot { key, queued: unsent.queued });
            }
        }
    }
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "the interpreter broke".into())
}

impl Shared {
    /// Whether an activity exists for an execution of this scope.
    fn has_activity(&self, scope: u32, arn: &Arc<str>) -> bool {
        let Some(scope_name) = self.catalog.scope(scope) else { return false };
        crate::arn::name_of(arn, &scope_name, "activity")
            .is_some_and(|name| self.catalog.activity(scope, name).is_some())
    }
}
