//! One turn as rows: what [`stepwright_machine::step`] said, as one commit and what follows it. It decides nothing
//! about the execution; it only writes down.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use stepwright_asl::{Pattern, Resource, StateId, StateKind, Task};
use stepwright_machine::{
    Closing, Command, Definition, Effects, Execution, Failure, InputKind, Millis, PayloadId, ScheduleTask, SentTask,
    Status, TaskId, TimerId, TimerKind,
    frame::{OpenMapRun, OpenTask, Position, Visit, Work},
};
use stepwright_store::{
    Commit, Table, keys,
    map_runs::{ChildOf, MapChildRow, MapRunRow, MapRunStateRow},
    records::{self, EndRow, ExecutionRow, NameRow, PayloadRow, TaskRow, TaskTarget, TimerRow, TurnRowRef},
};

use crate::{
    catalog::Revision,
    jobs, lists,
    map_runs::{ChildEnd, Happening, RunRef, run_of},
    message::{After, ExecutionRef, QueuedTask, TaskRef, TimerRef},
    secrets::short_hash,
    shard::{call_as, call_of},
};

/// Payloads longer than this lie beside their turn.
const INLINE_BYTES: usize = 4_096;

/// Up to this many frames are read and deleted one by one: a row that is not there costs a question to a filter, a range
/// costs a block of each file of the index, and the search for what it covers.
pub(crate) const FEW_FRAMES: usize = 8;

/// An execution in a shard's memory.
pub(crate) struct Hot {
    pub(crate) execution: Execution,
    pub(crate) revision: Arc<Revision>,
    pub(crate) row: ExecutionRow,
    /// Commits under way.
    pub(crate) uncommitted: u32,
    /// Whether any commit of it was ever made or asked for.
    pub(crate) written: bool,
    /// Approximate bytes.
    pub(crate) bytes: usize,
    /// When it was used last, in the shard's own count.
    pub(crate) used: u64,
    /// Before it is written: as a child of a map run, it has a row there already.
    pub(crate) child_has_row: bool,
}

impl Hot {
    pub(crate) fn reference(&self) -> ExecutionRef {
        ExecutionRef { scope: self.execution.info.scope, id: self.execution.info.id }
    }

    pub(crate) fn definition(&self) -> &Definition {
        &self.revision.compiled
    }

    /// An open task with the visit it belongs to.
    pub(crate) fn open_task(&self, task: TaskId) -> Option<(&Visit, &OpenTask)> {
        open_task(&self.execution, task)
    }

    /// A map run that the execution waits for.
    pub(crate) fn open_map_run(&self, run: TaskId) -> Option<&OpenMapRun> {
        match &self.execution.frames.get(&run.frame)?.position {
            Position::In(visit) => match &visit.work {
                Work::MapRun(open) if open.run == run && !open.ended => Some(open),
                _ => None,
            },
            _ => None,
        }
    }

    /// When the heartbeat period that this timer ends began; none if it ends no such period.
    pub(crate) fn heartbeat_began(&self, timer: TimerId) -> Option<Millis> {
        let Position::In(visit) = &self.execution.frames.get(&timer.frame)?.position else { return None };
        let Work::Task(open) = &visit.work else { return None };
        let (set, due) = open.heartbeat?;
        let seconds = Millis::try_from(open.heartbeat_seconds?).unwrap_or(Millis::MAX);
        (set == timer).then(|| due.saturating_sub(seconds.saturating_mul(1_000)))
    }
}

/// What was true of an execution before the turn.
pub(crate) struct Before {
    /// It had a continue row.
    cut: bool,
    /// Its frames, if they were few.
    few_frames: Option<Vec<u32>>,
}

impl Before {
    pub(crate) fn of(hot: &Hot) -> Self {
        let frames = &hot.execution.frames;
        Self {
            cut: !hot.execution.head.ready.is_empty(),
            few_frames: (frames.len() <= FEW_FRAMES).then(|| frames.keys().map(|frame| frame.0).collect()),
        }
    }

    /// Whether a frame is known to have no row.
    fn is_without(&self, frame: u32) -> bool {
        self.few_frames.as_ref().is_some_and(|few| !few.contains(&frame))
    }
}

/// An open task with the visit it belongs to.
pub(crate) fn open_task(execution: &Execution, task: TaskId) -> Option<(&Visit, &OpenTask)> {
    match &execution.frames.get(&task.frame)?.position {
        Position::In(visit) => match &visit.work {
            Work::Task(open) if open.task == task => Some((visit, open)),
            _ => None,
        },
        _ => None,
    }
}

/// The definition of a Task state.
pub(crate) fn task_state(definition: &Definition, state: StateId) -> Option<&Task> {
    match &definition.state(state).kind {
        StateKind::Task(task) => Some(task),
        _ => None,
    }
}

/// Where tasks of a resource go.
pub(crate) fn target(resource: &Resource) -> TaskTarget {
    match resource {
        Resource::Activity { arn } => TaskTarget::Activity(arn.clone()),
        Resource::LambdaFunction { .. } => TaskTarget::Call,
        Resource::Integration(integration) => match integration.pattern {
            Pattern::RequestResponse => TaskTarget::Call,
            Pattern::Sync | Pattern::Sync2 | Pattern::WaitForTaskToken => TaskTarget::Submit,
        },
    }
}

/// What the turn did with one task.
#[derive(Default)]
struct TaskChange<'a> {
    scheduled: Option<&'a ScheduleTask>,
    started: bool,
    /// The call that submits it is over.
    submitted: bool,
    closed: bool,
    /// What it left behind when it was closed.
    left: Option<&'a SentTask>,
}

/// A task that waits to be sent, as the turn left it.
pub(crate) struct Unsent {
    pub(crate) queued: QueuedTask,
    pub(crate) state: StateId,
}

/// The rows of a turn.
pub(crate) struct Written {
    pub(crate) commit: Commit,
    pub(crate) after: Vec<After>,
    /// Tasks scheduled and not started.
    pub(crate) unsent: Vec<Unsent>,
    pub(crate) closing: Option<Closing>,
}

/// Writes a turn down. `sequences`: places in the queues, for tasks that were queued before and for new ones. `over`: tasks
/// of which their connectors said that they failed, so that no job of them runs.
pub(crate) fn write(
    hot: &mut Hot,
    effects: &Effects,
    before: &Before,
    sequences: &HashMap<TaskId, u64>,
    over: &HashSet<TaskId>,
    mut next_sequence: impl FnMut() -> u64,
) -> Written {
    let execution = hot.reference();
    let ExecutionRef { scope, id } = execution;
    let first = !hot.written;
    let mut commit = Commit::default();
    let mut after = Vec::new();
    let closing = effects.commands.iter().find_map(|command| match command {
        Command::Finish(closing) => Some(closing.clone()),
        _ => None,
    });

    write_turn(hot, effects, &mut commit);
    let redriven = effects.inputs.iter().any(|input| input.kind == InputKind::Redrive);
    write_execution(hot, first, redriven, closing.as_ref(), &mut commit);

    let key = keys::execution(scope, id);
    match (first, &closing) {
        (true, None) => commit.insert(Table::Head, key, records::encode(&hot.execution.head)),
        (false, None) => commit.put(Table::Head, key, records::encode(&hot.execution.head)),
        (true, Some(_)) => {}
        (false, Some(_)) => commit.delete(Table::Head, key),
    }
    write_frames(hot, effects, before, &mut commit);

    write_timers(execution, effects, first, &mut commit, &mut after);
    write_map_runs(hot, effects, &mut commit, &mut after);
    let unsent = write_tasks(hot, effects, sequences, over, &mut next_sequence, &mut commit, &mut after);
    write_continue(execution, effects, before, closing.is_some(), &mut next_sequence, &mut commit, &mut after);

    if let Some(closing) = &closing {
        after.push(After::Closed(scope));
        after.extend(child_ended(execution, &hot.row, closing));
    }
    after.push(After::Changed(execution));
    Written { commit, after, unsent, closing }
}

fn write_frames(hot: &Hot, effects: &Effects, before: &Before, commit: &mut Commit) {
    let ExecutionRef { scope, id } = hot.reference();
    for range in &effects.removed {
        match &before.few_frames {
            Some(few) => {
                for number in few.iter().filter(|number| range.contains(number)) {
                    commit.delete(Table::Frame, keys::frame(scope, id, *number));
                }
            }
            None => {
                let (from, to) = (keys::frame(scope, id, range.start), keys::frame(scope, id, range.end));
                commit.delete_range(Table::Frame, from, to);
            }
        }
    }
    for number in &effects.changed {
        if let Some(frame) = hot.execution.frames.get(&stepwright_machine::FrameId(*number)) {
            let (key, row) = (keys::frame(scope, id, *number), records::encode(frame));
            if before.is_without(*number) {
                commit.insert(Table::Frame, key, row);
            } else {
                commit.put(Table::Frame, key, row);
            }
        }
    }
}

fn write_turn(hot: &mut Hot, effects: &Effects, commit: &mut Commit) {
    let ExecutionRef { scope, id } = hot.reference();
    let mut payloads = Vec::with_capacity(effects.payloads.len());
    for (index, payload) in effects.payloads.iter().enumerate() {
        let text = payload.text();
        hot.bytes += text.len() + 96;
        let index = u32::try_from(index).expect("fewer than 2^32 payloads in one turn");
        let number = PayloadId { turn: effects.turn, index };
        payloads.push(self::payload(commit, hot.reference(), number, text));
    }
    hot.bytes += effects.changed.len() * 256;
    let row = TurnRowRef {
        first_event: effects.first_event,
        at: effects.at,
        events: &effects.events,
        payloads,
        inputs: &effects.inputs,
    };
    commit.put(Table::Turn, keys::turn(scope, id, effects.turn), records::encode(&row));
}

/// A payload as its turn's row holds it: the text, or none if it got a row of its own.
pub(crate) fn payload<'a>(
    commit: &mut Commit,
    execution: ExecutionRef,
    number: PayloadId,
    text: &'a Arc<str>,
) -> Option<&'a str> {
    if text.len() <= INLINE_BYTES {
        return Some(text);
    }
    let key = keys::payload(execution.scope, execution.id, number.turn, number.index);
    commit.put(Table::Payload, key, records::encode(&PayloadRow { text: text.clone() }));
    None
}

/// The execution's row, its name and its places in the lists: at the start, at the end, and when it is redriven.
fn write_execution(hot: &mut Hot, first: bool, redriven: bool, closing: Option<&Closing>, commit: &mut Commit) {
    if !first && !redriven && closing.is_none() {
        return;
    }
    let ExecutionRef { scope, id } = hot.reference();
    if redriven {
        hot.row.redriven = hot.execution.head.redriven;
        if let Some(end) = hot.row.end.take() {
            for ended in lists::entries(scope, id, &hot.row, Some(end.closing.status)) {
                commit.delete(Table::List, ended);
            }
        }
    }
    let head = &hot.execution.head;
    if first {
        hot.row.input = head.input.clone();
    }
    if first && let Some(of) = hot.row.child.as_deref() {
        let row = child_begun(hot.reference(), of, head.input.text().clone());
        let (key, row) = (keys::map_child(scope, of.run, of.child), records::encode(&row));
        if hot.child_has_row {
            commit.put(Table::MapChild, key, row);
        } else {
            commit.insert(Table::MapChild, key, row);
        }
    } else if first {
        let name = NameRow { execution: id.to_bytes(), input_hash: short_hash(head.input.text()) };
        let key = keys::name(scope, &hot.revision.row.machine_name, &hot.row.name);
        commit.put(Table::Name, key, records::encode(&name));
    }
    if let Some(closing) = closing {
        hot.row.end = Some(EndRow {
            closing: closing.clone(),
            turn: head.turn,
            next_event: head.next_event,
            next_frame: head.next_frame,
            next_number: head.next_number,
        });
        if !first && !redriven {
            for running in lists::entries(scope, id, &hot.row, Some(Status::Running)) {
                commit.delete(Table::List, running);
            }
        }
    }
    commit.put(Table::Execution, keys::execution(scope, id), records::encode(&hot.row));
    let item = records::encode(&lists::shown(&hot.row));
    for entry in lists::entries(scope, id, &hot.row, None) {
        commit.put(Table::List, entry, &item);
    }
    let status = closing.map_or(Status::Running, |closing| closing.status);
    for entry in lists::entries(scope, id, &hot.row, Some(status)) {
        // Of one that was redriven, there may have been such an entry before.
        if hot.row.redriven.is_some() {
            commit.put(Table::List, entry, &item);
        } else {
            commit.insert(Table::List, entry, &item);
        }
    }
}

fn write_timers(execution: ExecutionRef, effects: &Effects, first: bool, commit: &mut Commit, after: &mut Vec<After>) {
    let ExecutionRef { scope, id } = execution;
    // A timer that was set and cancelled in the same turn never was.
    let mut set: BTreeMap<(Millis, TimerId), TimerKind> = BTreeMap::new();
    for command in &effects.commands {
        match command {
            Command::SetTimer { timer, due, kind } => {
                set.insert((*due, *timer), *kind);
            }
            Command::CancelTimer { timer, due } => {
                let never_was = set.remove(&(*due, *timer)).is_some() || first;
                if !never_was {
                    commit.delete(Table::Timer, keys::timer(*due, scope, id, *timer));
                }
            }
            _ => {}
        }
    }
    for ((due, timer), kind) in set {
        commit.insert(Table::Timer, keys::timer(due, scope, id, timer), records::encode(&TimerRow { kind }));
        after.push(After::TimerSet(TimerRef { due, execution, timer }));
    }
}

fn write_tasks(
    hot: &Hot,
    effects: &Effects,
    sequences: &HashMap<TaskId, u64>,
    over: &HashSet<TaskId>,
    next_sequence: &mut impl FnMut() -> u64,
    commit: &mut Commit,
    after: &mut Vec<After>,
) -> Vec<Unsent> {
    let execution = hot.reference();
    let ExecutionRef { scope, id } = execution;
    let mut changes: BTreeMap<TaskId, TaskChange<'_>> = BTreeMap::new();
    for command in &effects.commands {
        match command {
            Command::ScheduleTask(scheduled) => {
                changes.entry(scheduled.task).or_default().scheduled = Some(scheduled);
            }
            Command::CloseTask { task, job } => {
                let change = changes.entry(*task).or_default();
                (change.closed, change.left) = (true, job.as_deref());
            }
            _ => {}
        }
    }
    for input in &effects.inputs {
        match input.kind {
            InputKind::TaskStarted { task, .. } => changes.entry(task).or_default().started = true,
            InputKind::TaskSubmitted { task, .. } | InputKind::SubmitLost { task } => {
                changes.entry(task).or_default().submitted = true;
            }
            _ => {}
        }
    }
    let mut unsent = Vec::new();
    for (task, change) in changes {
        let key = keys::task(scope, id, task);
        let reference = TaskRef { execution, task };
        if change.closed {
            if change.scheduled.is_some() {
                continue;
            }
            // One that was to be sent with this turn is not, and of what has ended nothing is left.
            let left = change.left.filter(|_| !change.started && !over.contains(&task));
            let job = left.and_then(|sent| call_as(&hot.execution, hot.definition(), task, sent.clone(), effects.at));
            match &job {
                Some(call) => commit.put(Table::Task, key, records::encode(&jobs::row(call))),
                None => commit.delete(Table::Task, key),
            }
            after.push(After::TaskClosed { task: reference, job: job.map(Box::new) });
            continue;
        }
        let state = match change.scheduled {
            Some(scheduled) => Some(scheduled.state),
            None => hot.open_task(task).map(|(visit, _)| StateId(visit.state)),
        };
        let Some((state, definition)) = state.and_then(|state| Some((state, task_state(hot.definition(), state)?)))
        else {
            continue;
        };
        let sequence = sequences.get(&task).copied().unwrap_or_else(&mut *next_sequence);
        let target = match (change.submitted, &definition.resource) {
            (true, resource) if resource.is_job() => {
                if let Some(call) = call_of(hot, task, effects.at, false) {
                    after.push(After::Follow { task: reference, call: Box::new(call) });
                }
                TaskTarget::Job
            }
            (true, _) => TaskTarget::Submitted,
            (false, resource) => target(resource),
        };
        let started = change.started || change.submitted;
        let row = records::encode(&TaskRow { sequence, target, started });
        match change.scheduled {
            Some(_) => commit.insert(Table::Task, key, row),
            None => commit.put(Table::Task, key, row),
        }
        if !started {
            unsent.push(Unsent { queued: QueuedTask { task: reference, sequence, started: false }, state });
        }
    }
    unsent
}

/// Map runs that begin, are over, or go on.
fn write_map_runs(hot: &Hot, effects: &Effects, commit: &mut Commit, after: &mut Vec<After>) {
    let parent = hot.reference();
    let ExecutionRef { scope, id } = parent;
    let mut begun = BTreeMap::new();
    let mut stopped = BTreeSet::new();
    for input in &effects.inputs {
        if let InputKind::MapRunSucceeded { run, .. } | InputKind::MapRunFailed { run, .. } = input.kind {
            commit.delete(Table::Task, keys::task(scope, id, run));
        }
    }
    for command in &effects.commands {
        match command {
            Command::StartMapRun { run, plan } => {
                begun.insert(*run, plan);
            }
            // One that begins in this turn ends with it. It is there all the same: a redrive goes on with it.
            Command::StopMapRun { run, .. } if begun.contains_key(run) => drop(stopped.insert(*run)),
            Command::StopMapRun { uuid, .. } => {
                after.push(After::MapRun(RunRef { parent, run: *uuid }, Box::new(Happening::Stop)));
            }
            Command::RedriveMapRun { run, uuid } => {
                let row = TaskRow { sequence: 0, target: TaskTarget::MapRun(uuid.to_be_bytes()), started: true };
                commit.put(Table::Task, keys::task(scope, id, *run), records::encode(&row));
                after.push(After::MapRun(RunRef { parent, run: *uuid }, Box::new(Happening::Redrive)));
            }
            _ => {}
        }
    }
    for (run, plan) in begun {
        let key = keys::map_run(scope, plan.uuid);
        let row = MapRunRow {
            parent: id.to_bytes(),
            run,
            machine: hot.row.machine,
            revision: hot.row.revision,
            started_at: effects.at,
            plan: (**plan).clone(),
        };
        commit.insert(Table::MapRun, key.clone(), records::encode(&row));
        let mut state = MapRunStateRow::begun(plan);
        let is_stopped = stopped.contains(&run);
        if is_stopped {
            (state.status, state.stopped_at) = (Status::Aborted, Some(effects.at));
        }
        commit.insert(Table::MapRunState, key, records::encode(&state));
        let uuid = plan.uuid.to_be_bytes();
        commit.insert(Table::MapRunOf, keys::map_run_of(scope, id, run.number), records::encode(&uuid));
        if is_stopped {
            continue;
        }
        let task = TaskRow { sequence: 0, target: TaskTarget::MapRun(uuid), started: true };
        commit.insert(Table::Task, keys::task(scope, id, run), records::encode(&task));
        after.push(After::MapRun(RunRef { parent, run: plan.uuid }, Box::new(Happening::Open)));
    }
}

/// The row of a stored child of a map run that begins.
pub(crate) fn child_begun(execution: ExecutionRef, of: &ChildOf, input: Arc<str>) -> MapChildRow {
    MapChildRow {
        status: Some(Status::Running),
        items: of.items,
        started_at: execution.id.started_at(),
        stopped_at: None,
        redriven: None,
        execution: Some(execution.id.to_bytes()),
        input,
        output: None,
        failure: None,
        not_redrivable: false,
        attempt: of.attempt,
    }
}

/// How a child of a map run ended, for its run.
pub(crate) fn child_ended(execution: ExecutionRef, row: &ExecutionRow, closing: &Closing) -> Option<After> {
    let of = row.child.as_deref()?;
    let end = ChildEnd {
        status: closing.status,
        started_at: execution.id.started_at(),
        stopped_at: closing.at,
        output: closing.output.as_ref().map(|output| output.text().clone()),
        failure: Failure { error: closing.error.clone(), cause: closing.cause.clone() },
        redrives: row.redriven.map_or(0, |(count, _)| count),
    };
    let happening = Happening::Ended { epoch: None, child: of.child, end: Box::new(end) };
    Some(After::MapRun(run_of(execution, of), Box::new(happening)))
}

/// The row that makes a cut turn go on after a crash.
fn write_continue(
    execution: ExecutionRef,
    effects: &Effects,
    before: &Before,
    closed: bool,
    next_sequence: &mut impl FnMut() -> u64,
    commit: &mut Commit,
    after: &mut Vec<After>,
) {
    let asked = !closed && effects.commands.iter().any(|command| matches!(command, Command::Continue));
    let taken = effects.inputs.iter().any(|input| input.kind == InputKind::Continue);
    let key = keys::task(execution.scope, execution.id, CONTINUE);
    if asked {
        let row = TaskRow { sequence: next_sequence(), target: TaskTarget::Continue, started: false };
        commit.put(Table::Task, key, records::encode(&row));
        after.push(After::Continue(execution));
    } else if before.cut && (closed || taken) {
        commit.delete(Table::Task, key);
    }
}

/// The task number of a continue row: no task has it.
pub(crate) const CONTINUE: TaskId = TaskId { frame: stepwright_machine::FrameId::ROOT, number: 0 };
