//! Runs turns: gives an execution what happened to it, joins what is known at once (that an activity exists, that a
//! worker or a slot is there), and turns the outcome into commits and what follows them. A panic of the interpreter
//! ends here, in quarantine.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use stepwright_asl::Resource;
use stepwright_machine::{Command, Effects, Input, InputKind, Millis, Outcome, ScheduleTask, TaskId};
use stepwright_store::{Commit, Table, keys};

use crate::{
    activities::Poller,
    connector::ConnectorFailure,
    dispatch::Slot,
    error::Error,
    message::{After, ExecutionRef, Origin, QueuedTask, TaskRef},
    shard::{Shard, Taken, call_of, token_of},
    shared::Shared,
    timers::Later,
    turn::{self, Before, Hot, task_state},
};

/// Who gets a task that is being started in this turn.
enum Receiver {
    Worker { poller: Poller, requeue: Option<QueuedTask> },
    Slot { slot: Slot, requeue: Option<QueuedTask> },
}

impl Receiver {
    /// The place in a queue that the task left for it.
    fn place(&self) -> Option<Later> {
        Some(match self {
            Receiver::Worker { poller, requeue } => Later::ForWorker(poller.activity.clone(), (*requeue)?),
            Receiver::Slot { slot, requeue } => Later::ForSlot(slot.connector(), (*requeue)?),
        })
    }
}

/// In the tasks' order: so they are sent.
type Receivers = BTreeMap<TaskId, Receiver>;

/// What a turn came to.
pub(crate) enum Driven {
    /// Its commit is under way (or nothing changed).
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
        mut commit: Commit,
        mut first: Vec<After>,
        now: Millis,
    ) -> Driven {
        let execution = hot.reference();
        let inputs: Vec<Input> = taken.iter().map(|t| self.shared.input(t.kind.clone(), now)).collect();
        let before = Before::of(&hot);
        let mut receivers = Receivers::new();
        let shared = self.shared.clone();
        let stepped = catch_unwind(AssertUnwindSafe(|| step(&shared, &mut hot, &inputs, &mut receivers)));
        let effects = match stepped {
            Ok(effects) => effects,
            Err(panic) => {
                self.give_back(receivers);
                let cause = panic_message(&*panic);
                self.quarantine(execution, Some(&hot), &cause, taken, first, now);
                return Driven::Broke;
            }
        };
        let outcomes: Vec<Outcome> = effects.outcomes.iter().copied().take(taken.len()).collect();
        assert_eq!(outcomes.len(), taken.len(), "every input has an outcome");

        let mut after = std::mem::take(&mut first);
        let mut sequences: HashMap<TaskId, u64> = HashMap::new();
        for (taken, outcome) in taken.into_iter().zip(outcomes) {
            let accepted = outcome == Outcome::Accepted;
            self.settle_input(&hot, taken, accepted, &mut commit, &mut after, &mut receivers, &mut sequences);
        }
        if effects.is_empty() {
            let own = (!commit.is_empty()).then_some(execution);
            hot.uncommitted += u32::from(own.is_some());
            self.keep(hot);
            if own.is_some() || !after.is_empty() {
                self.emit(own, commit, after);
            }
            return Driven::Done;
        }
        let written = turn::write(&mut hot, &effects, &before, &sequences, || shared.next_sequence());
        commit.append(&written.commit);
        after.extend(written.after);
        self.send_out(&hot, &effects, receivers, &sequences, now, &mut after);
        for unsent in written.unsent {
            queue(&shared, &hot, &unsent, &mut after);
        }
        if let Some(closing) = &written.closing {
            tracing::debug!(execution = %hot.execution.info.arn, status = ?closing.status, "closed");
        }
        hot.written = true;
        hot.uncommitted += 1;
        self.keep(hot);
        self.emit(Some(execution), commit, after);
        Driven::Done
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
                    after.push(After::Otherwise(Later::ForSlot(slot.connector(), queued)));
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
        self.give_back(unused);
    }

    /// Workers and slots that got nothing after all.
    fn give_back(&self, receivers: Receivers) {
        for receiver in receivers.into_values() {
            match receiver {
                Receiver::Worker { poller, .. } => self.shared.activities.put_back_poller(&self.shared, poller),
                Receiver::Slot { slot, .. } => drop(slot),
            }
        }
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
                Origin::Worker { poller, queued } => {
                    after.push(After::Otherwise(Later::ForWorker(poller.activity.clone(), queued)));
                    self.shared.activities.put_back_poller(&self.shared, poller);
                }
                Origin::Slot { slot, queued } => {
                    after.push(After::Otherwise(Later::ForSlot(slot.connector(), queued)));
                }
                Origin::Stop(None) => {}
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
                Origin::Timer(timer) => After::TimerTaken(timer),
                Origin::Call | Origin::Continue => After::Otherwise(Later::Input(execution, taken.kind)),
                Origin::Worker { poller, queued } => {
                    After::HandOver { poller, queued, token: "".into(), input: "".into(), requeue: true }
                }
                Origin::Slot { slot, queued } => After::Otherwise(Later::ForSlot(slot.connector(), queued)),
            };
            shared.refuse(after, error);
        }
    }
}

/// The interpreter's turn, with all that can be joined to it.
fn step(shared: &Shared, hot: &mut Hot, inputs: &[Input], receivers: &mut Receivers) -> Effects {
    let functions = shared.options.step;
    let revision = hot.revision.clone();
    let mut effects = (functions.begin)(&revision.compiled, &mut hot.execution, inputs);
    let mut seen = 0;
    loop {
        let mut joined = Vec::new();
        for (at, command) in effects.commands.iter().enumerate().skip(seen) {
            match command {
                Command::FindActivity { task, arn } => {
                    let kind = if shared.has_activity(hot.execution.info.scope, arn) {
                        InputKind::ActivityFound { task: *task }
                    } else {
                        InputKind::ActivityMissing { task: *task }
                    };
                    joined.push(kind);
                }
                Command::ScheduleTask(scheduled) if !closes(&effects.commands[at..], scheduled.task) => {
                    joined.extend(join_task(shared, hot, scheduled, receivers));
                }
                _ => {}
            }
        }
        if joined.is_empty() {
            return effects;
        }
        seen = effects.commands.len();
        let at = effects.at;
        let joined: Vec<Input> = joined.into_iter().map(|kind| shared.input(kind, at)).collect();
        effects.absorb((functions.more)(&revision.compiled, &mut hot.execution, &joined));
    }
}

fn closes(commands: &[Command], task: TaskId) -> bool {
    commands.iter().any(|command| matches!(command, Command::CloseTask { task: closed } if *closed == task))
}

/// A task that can start at once does so in the turn that schedules it.
fn join_task(shared: &Shared, hot: &Hot, scheduled: &ScheduleTask, receivers: &mut Receivers) -> Vec<InputKind> {
    let Some(task_state) = task_state(hot.definition(), scheduled.state) else { return Vec::new() };
    let task = scheduled.task;
    match &task_state.resource {
        Resource::Activity { arn } => match shared.activities.reserve(arn) {
            Some(poller) => {
                let worker_name = poller.worker_name.clone();
                receivers.insert(task, Receiver::Worker { poller, requeue: None });
                vec![InputKind::TaskStarted { task, worker_name }]
            }
            None => Vec::new(),
        },
        resource => match shared.dispatch.connector_for(resource) {
            None => {
                let failed = crate::dispatch::failed(resource, task, unserved(resource));
                vec![InputKind::TaskStarted { task, worker_name: None }, failed]
            }
            Some(connector) => match shared.dispatch.reserve(shared, connector) {
                Some(slot) => {
                    receivers.insert(task, Receiver::Slot { slot, requeue: None });
                    vec![InputKind::TaskStarted { task, worker_name: None }]
                }
                None => Vec::new(),
            },
        },
    }
}

pub(crate) fn unserved(resource: &Resource) -> ConnectorFailure {
    let arn = match resource {
        Resource::LambdaFunction { arn } | Resource::Activity { arn } => arn,
        Resource::Integration(integration) => &integration.arn,
    };
    ConnectorFailure::new("States.TaskFailed", format!("No connector of this server serves the resource {arn}."))
}

/// A task that waits gets its place once its row is durable.
fn queue(shared: &Shared, hot: &Hot, unsent: &turn::Unsent, after: &mut Vec<After>) {
    let Some(task_state) = task_state(hot.definition(), unsent.state) else { return };
    match &task_state.resource {
        Resource::Activity { arn } => {
            after.push(After::QueueForWorker { activity: arn.clone(), queued: unsent.queued });
        }
        resource => {
            if let Some(connector) = shared.dispatch.connector_for(resource) {
                after.push(After::QueueForSlot { connector, queued: unsent.queued });
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
