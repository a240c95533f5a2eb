//! Executions that the interpreter broke on, or whose rows cannot be read. Such an execution stands still: what comes
//! for it is kept in its quarantine row until somebody retries or fails it. It never harms another execution.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use stepwright_machine::{
    Closing, EventId, EventKind, ExecutionId, Failure, Head, HistoryEvent, Input, InputKind, Millis, Payload,
    PayloadId, Status, TurnId,
};
use stepwright_store::{
    Commit, Order, Table,
    keys::{self, ScopeNumber},
    records::{
        self, EndRow, ExecutionRow, HeldInput, NameRow, QuarantineRow, TaskRow, TaskTarget, TurnRow, TurnRowRef,
    },
};

use crate::{
    catalog::corrupt,
    drive::Driven,
    error::{Error, Result},
    jobs, lists,
    map_runs::{Happening, RunRef},
    message::{After, ExecutionRef, Leave, Origin, Reply, TaskRef, Way},
    notices::Turned,
    rows,
    secrets::short_hash,
    shard::{Shard, Taken, call_of},
    timers::Later,
    turn::{self, Hot},
};

/// Answers of callers that one quarantine keeps at most, and bytes of them.
const HELD_INPUTS: usize = 1_000;
const HELD_BYTES: usize = 1 << 20;

/// An execution in quarantine, in its shard's memory.
pub(crate) struct Quarantined {
    row: QuarantineRow,
    /// Commits of it under way. As long as there are any, the store does not say yet where it stands.
    uncommitted: u32,
}

impl Quarantined {
    /// One that the store holds.
    pub(crate) fn durable(row: QuarantineRow) -> Self {
        Self { row, uncommitted: 0 }
    }
}

/// An execution that was ended without the interpreter.
pub(crate) struct GivenUp {
    pub(crate) closing: Closing,
    /// Commits of it under way.
    uncommitted: u32,
}

impl Shard {
    /// Puts an execution into quarantine with what it was to take in. Its memory is gone.
    pub(crate) fn quarantine(
        &mut self,
        execution: ExecutionRef,
        hot: Option<&Hot>,
        cause: &str,
        taken: Vec<Taken>,
        first: Vec<After>,
        now: Millis,
    ) {
        let mut commit = Commit::default();
        let arn = match hot {
            Some(hot) => hot.execution.info.arn.clone(),
            None => self.arn_of(execution).unwrap_or_else(|_| "unknown".into()),
        };
        tracing::error!(execution = %arn, cause, "an execution is in quarantine");
        self.shared.counters.quarantined.fetch_add(1, Ordering::Relaxed);
        if let Some(hot) = hot.filter(|hot| !hot.written) {
            // It broke in its first turn: it exists all the same, for all to see.
            record_start(hot, &taken, &mut commit);
        }
        let row = QuarantineRow { arn: arn.clone(), cause: cause.into(), at: now, inputs: Vec::new(), dropped: 0 };
        let uncommitted = hot.map_or(0, |hot| hot.uncommitted);
        self.take_hot(execution.id);
        self.quarantined.insert(execution.id, Quarantined { row, uncommitted });
        let mut after: Vec<After> = Vec::new();
        for one in first {
            match one {
                After::Answered { reply, .. } => {
                    after.push(After::Answered { reply, result: Err(Error::Quarantined { arn: arn.clone() }) });
                }
                After::RecoverTasks(_) => {}
                other => after.push(other),
            }
        }
        self.hold_into(execution, taken, now, true, commit, after);
    }

    /// Keeps what comes for an execution in quarantine.
    pub(crate) fn hold(&mut self, execution: ExecutionRef, taken: Vec<Taken>, now: Millis) {
        self.hold_into(execution, taken, now, false, Commit::default(), Vec::new());
    }

    /// `new`: its row is not written yet.
    fn hold_into(
        &mut self,
        execution: ExecutionRef,
        taken: Vec<Taken>,
        now: Millis,
        new: bool,
        mut commit: Commit,
        mut after: Vec<After>,
    ) {
        let shared = self.shared.clone();
        let Some(Quarantined { row, uncommitted }) = self.quarantined.get_mut(&execution.id) else { return };
        let before = (row.inputs.len(), row.dropped);
        let mut bytes: usize = row.inputs.iter().map(|held| held.text.as_ref().map_or(0, |text| text.len())).sum();
        for Taken { kind, origin } in taken {
            let held = hold(shared.input(kind.clone(), now));
            match origin {
                Origin::Answer(reply) => {
                    bytes += held.text.as_ref().map_or(0, |text| text.len());
                    let fits = row.inputs.len() < HELD_INPUTS && bytes <= HELD_BYTES;
                    let result = if fits {
                        row.inputs.push(held);
                        Ok(())
                    } else {
                        row.dropped += 1;
                        Err(Error::Quarantined { arn: row.arn.clone() })
                    };
                    after.push(After::Answered { reply, result });
                }
                Origin::Stop(Some(reply)) => {
                    let result = Err(Error::Quarantined { arn: row.arn.clone() });
                    after.push(After::Stopped { reply, result });
                }
                Origin::Timer(timer) => {
                    row.inputs.push(held);
                    commit.delete(Table::Timer, keys::timer(timer.due, execution.scope, execution.id, timer.timer));
                    after.push(After::TimerTaken(timer));
                }
                Origin::Call => {
                    row.inputs.push(held);
                    if !matches!(kind, InputKind::Start { .. }) {
                        after.push(After::Otherwise(Later::Input(execution, kind)));
                    }
                }
                Origin::Lost => {
                    row.inputs.push(held);
                    after.push(After::Otherwise(Later::Unheard(execution, kind)));
                }
                // Their rows in the table of tasks bring these again when it leaves quarantine. If the quarantine is
                // refused it never was in one, and they go on at once.
                Origin::Continue => after.push(After::Otherwise(Later::Input(execution, kind))),
                Origin::Worker { poller, queued } => {
                    after.push(After::Otherwise(Later::ForWorker(poller.activity.clone(), queued)));
                    shared.activities.put_back_poller(&shared, poller);
                }
                Origin::Slot { slot, queued } => {
                    after.push(After::Otherwise(Later::ForSlot(slot.key(), queued)));
                }
                Origin::Stop(None) => {}
                // One that breaks when it is redriven stays closed.
                Origin::Redrive(reply) => {
                    let result = Err(Error::Quarantined { arn: row.arn.clone() });
                    after.push(After::Redriven { reply, result });
                }
            }
        }
        // A machine that is being deleted asks its executions to stop again and again; that changes nothing.
        if new || (row.inputs.len(), row.dropped) != before {
            commit.put(Table::Quarantine, keys::execution(execution.scope, execution.id), records::encode(row));
        }
        let own = (!commit.is_empty()).then_some(execution);
        *uncommitted += u32::from(own.is_some());
        if own.is_some() || !after.is_empty() {
            self.emit(own, commit, after);
        }
    }

    /// A commit is durable of an execution that is in quarantine or was given up.
    pub(crate) fn quarantine_committed(&mut self, id: ExecutionId) {
        if let Some(quarantined) = self.quarantined.get_mut(&id) {
            quarantined.uncommitted = quarantined.uncommitted.saturating_sub(1);
        } else if let Some(given_up) = self.given_up.get_mut(&id) {
            given_up.uncommitted = given_up.uncommitted.saturating_sub(1);
            if given_up.uncommitted == 0 {
                self.given_up.remove(&id);
            }
        }
    }

    /// Takes an execution out of quarantine, as soon as all that is known of it is durable: it is read back.
    pub(crate) fn leave(&mut self, leave: Leave, now: Millis) {
        let Leave { execution, way, reply } = leave;
        match self.quarantined.remove(&execution.id) {
            Some(quarantined) if quarantined.uncommitted > 0 => {
                self.quarantined.insert(execution.id, quarantined);
                self.emit(None, Commit::default(), vec![After::Leave(Leave { execution, way, reply })]);
            }
            Some(Quarantined { row, .. }) if way == Way::Retry => self.retry(execution, row, reply, now),
            Some(Quarantined { row, .. }) => self.fail(execution, row, reply, now),
            None => drop(reply.send(Err(Error::NotQuarantined { arn: "".into() }))),
        }
    }

    fn retry(&mut self, execution: ExecutionRef, row: QuarantineRow, reply: Reply<()>, now: Millis) {
        let mut commit = Commit::default();
        commit.delete(Table::Quarantine, keys::execution(execution.scope, execution.id));
        let answer = After::Answered { reply, result: Ok(()) };
        match self.shared.load(execution) {
            Ok(Some(hot)) => {
                if !hot.written {
                    for running in lists::entries(execution.scope, execution.id, &hot.row, Some(Status::Running)) {
                        commit.delete(Table::List, running);
                    }
                }
                let taken = row
                    .inputs
                    .into_iter()
                    .map(|held| Taken { kind: release(held).kind, origin: Origin::Call })
                    .collect();
                let first = vec![answer, After::RecoverTasks(execution)];
                self.drive(hot, taken, commit, first, now);
            }
            Ok(None) => self.emit(None, commit, vec![answer]),
            Err(error) => {
                self.quarantined.insert(execution.id, Quarantined::durable(row));
                if let After::Answered { reply, .. } = answer {
                    drop(reply.send(Err(error)));
                }
            }
        }
    }

    fn fail(&mut self, execution: ExecutionRef, row: QuarantineRow, reply: Reply<()>, now: Millis) {
        let cause: Arc<str> = format!("The execution was in quarantine and was given up: {}", row.cause).into();
        let done = match self.shared.load(execution) {
            Ok(Some(hot)) if hot.execution.head.next_event > 1 => {
                let mut commit = Commit::default();
                commit.delete(Table::Quarantine, keys::execution(execution.scope, execution.id));
                let kind = InputKind::Abandon { cause: cause.clone() };
                let taken = vec![Taken { kind, origin: Origin::Call }];
                match self.drive(hot, taken, commit, Vec::new(), now) {
                    Driven::Done => Ok(()),
                    Driven::Broke => self.close_directly(execution, &row, &cause, now),
                }
            }
            Ok(None) => {
                let mut commit = Commit::default();
                commit.delete(Table::Quarantine, keys::execution(execution.scope, execution.id));
                self.emit(None, commit, Vec::new());
                Ok(())
            }
            Ok(Some(_)) | Err(Error::Corrupt { .. }) => self.close_directly(execution, &row, &cause, now),
            Err(error) => Err(error),
        };
        match done {
            // In order: only when the commit before it is durable.
            Ok(()) => self.emit(None, Commit::default(), vec![After::Answered { reply, result: Ok(()) }]),
            Err(error) => {
                self.quarantined.entry(execution.id).or_insert(Quarantined::durable(row));
                drop(reply.send(Err(error)));
            }
        }
    }

    /// Ends an execution that the interpreter cannot even end: one closing event, and its rows as of a failed one. If
    /// not even its first turn was done, that it started is told too, with the input that waited in quarantine.
    fn close_directly(
        &mut self,
        execution: ExecutionRef,
        quarantined: &QuarantineRow,
        cause: &Arc<str>,
        now: Millis,
    ) -> Result<()> {
        let ExecutionRef { scope, id } = execution;
        let store = self.shared.store.clone();
        let key = keys::execution(scope, id);
        let bytes = store.get(Table::Execution, &key)?.ok_or_else(|| corrupt("the execution"))?;
        let mut row: ExecutionRow = records::decode(Table::Execution, &bytes)?;
        let (turn, next_event) = self.last_turn(execution)?;
        let failure = Failure { error: Some("States.Runtime".into()), cause: Some(cause.clone()) };
        let head: Option<Head> =
            store.get(Table::Head, &key)?.and_then(|bytes| records::decode(Table::Head, &bytes).ok());
        let (error, cause) = (failure.error.clone(), failure.cause.clone());
        let closing = Closing { status: Status::Failed, at: now, output: None, error, cause };

        let mut commit = Commit::default();
        let mut events = Vec::new();
        let mut payloads = Vec::new();
        let input = if turn == 0 { start_input(quarantined) } else { None };
        if let Some(text) = &input {
            row.input = Payload::numbered(PayloadId { turn: 1, index: 0 }, text.clone());
            events.push(HistoryEvent { back: 0, kind: EventKind::ExecutionStarted { input: row.input.clone() } });
            payloads.push(turn::payload(&mut commit, execution, row.input.id(), text));
        }
        let back = if next_event > 1 || input.is_some() { 1 } else { 0 };
        events.push(HistoryEvent { back, kind: EventKind::ExecutionFailed(failure) });
        let turn_row = TurnRowRef { first_event: next_event, at: now, events: &events, payloads, inputs: &[] };
        commit.put(Table::Turn, keys::turn(scope, id, turn + 1), records::encode(&turn_row));
        row.end = Some(EndRow {
            closing: closing.clone(),
            turn: turn + 1,
            next_event: next_event + events.len() as EventId,
            next_frame: head.as_ref().map_or(1, |head| head.next_frame),
            next_number: head.as_ref().map_or(1, |head| head.next_number),
        });
        commit.put(Table::Execution, key.clone(), records::encode(&row));
        for running in lists::entries(scope, id, &row, Some(Status::Running)) {
            commit.delete(Table::List, running);
        }
        put_entries(scope, id, &row, Status::Failed, &mut commit);
        commit.delete(Table::Head, key.clone());
        commit.delete(Table::Quarantine, key.clone());
        if let Some((timer, due)) = head.as_ref().and_then(|head| head.timeout) {
            commit.delete(Table::Timer, keys::timer(due, scope, id, timer));
        }
        let mut after = Vec::new();
        // One whose definition cannot be read is ended all the same; nobody could spell its events.
        if let Ok(revision) = self.shared.catalog.revision(scope, row.machine, row.revision) {
            let (turn, redriven) = (turn + 1, row.redriven);
            let turned = Turned { execution, revision: &revision, redriven, turn, at: now, events: &events };
            self.shared.notices.write(&turned, &mut commit, &mut after);
        }
        after.extend(turn::child_ended(execution, &row, &closing));
        // What it submitted may be told by what is left of it.
        let hot = self.shared.load(execution).ok().flatten();
        rows::for_each(&*store, Table::Task, &key, |key, value| {
            let task_row = records::decode::<TaskRow>(Table::Task, value)?;
            let is_submission = task_row.started && matches!(task_row.target, TaskTarget::Submit | TaskTarget::Job);
            match task_row.target {
                // These rows go when the run and the job are over.
                TaskTarget::MapRun(run) => {
                    let run = RunRef { parent: execution, run: u128::from_be_bytes(run) };
                    after.push(After::MapRun(run, Box::new(Happening::Stop)));
                    return Ok(());
                }
                TaskTarget::Cancel(_) => return Ok(()),
                _ => {}
            }
            let Some((.., task)) = keys::parse_task(key) else {
                commit.delete(Table::Task, key);
                return Ok(());
            };
            if is_submission && hot.is_none() {
                tracing::error!(
                    execution = %quarantined.arn,
                    "a task of it cannot be read: if it submitted a job, that runs on; end it by hand"
                );
            }
            let call = hot.as_ref().filter(|_| is_submission).and_then(|hot| call_of(hot, task, now, true));
            let job = call.filter(|call| call.resource.is_job()).map(Box::new);
            match &job {
                Some(call) => commit.put(Table::Task, key, records::encode(&jobs::row(call))),
                None => commit.delete(Table::Task, key),
            }
            after.push(After::TaskClosed { task: TaskRef { execution, task }, job });
            Ok(())
        })?;
        after.push(After::Closed(scope));
        after.push(After::Changed(execution));
        let before = self.quarantined.remove(&id).map_or(0, |quarantined| quarantined.uncommitted);
        self.given_up.insert(id, GivenUp { closing, uncommitted: before + 1 });
        self.emit(Some(execution), commit, after);
        Ok(())
    }

    /// The last turn that is stored, and the number of the event after it.
    fn last_turn(&self, execution: ExecutionRef) -> Result<(TurnId, EventId)> {
        use std::ops::Bound::{Excluded, Included};
        let prefix = keys::execution(execution.scope, execution.id);
        let end = keys::prefix_end(&prefix);
        let rows = self.shared.store.scan(Table::Turn, Included(&prefix), Excluded(&end), Order::Descending, 1)?;
        let Some((key, value)) = rows.first() else { return Ok((0, 1)) };
        let turn = keys::parse_turn(key).ok_or_else(|| corrupt("the key of a turn"))?;
        let row: TurnRow = records::decode(Table::Turn, value)?;
        Ok((turn, row.first_event + row.events.len() as u64))
    }

    fn arn_of(&self, execution: ExecutionRef) -> Result<Arc<str>> {
        let key = keys::execution(execution.scope, execution.id);
        let bytes = self.shared.store.get(Table::Execution, &key)?.ok_or_else(|| corrupt("the execution"))?;
        let row: ExecutionRow = records::decode(Table::Execution, &bytes)?;
        let key = keys::revision(execution.scope, row.machine, row.revision);
        let bytes = self.shared.store.get(Table::Revision, &key)?.ok_or_else(|| corrupt("the revision"))?;
        let revision: records::RevisionRow = records::decode(Table::Revision, &bytes)?;
        Ok(crate::map_runs::execution_arn(&revision.machine_arn, &row))
    }

    /// What is in quarantine according to the store, of this shard.
    pub(crate) fn reload_quarantine(&mut self) -> Result<()> {
        let mut found = HashMap::new();
        each_row(&*self.shared.store, |execution, row| {
            if self.shared.shard_of(execution.id) == self.index() {
                found.insert(execution.id, Quarantined::durable(row));
            }
        })?;
        self.quarantined = found;
        Ok(())
    }
}

/// Every execution in quarantine.
pub(crate) fn each_row(
    store: &dyn stepwright_store::Store,
    mut visit: impl FnMut(ExecutionRef, QuarantineRow),
) -> Result<()> {
    rows::for_each(store, Table::Quarantine, &[], |key, value| {
        let (scope, id) = keys::parse_execution(key).ok_or_else(|| corrupt("the key of a quarantine"))?;
        visit(ExecutionRef { scope, id }, records::decode(Table::Quarantine, value)?);
        Ok(())
    })
}

/// The rows of an execution that broke before its first turn was done.
fn record_start(hot: &Hot, taken: &[Taken], commit: &mut Commit) {
    let ExecutionRef { scope, id } = hot.reference();
    let input = taken.iter().find_map(|taken| match &taken.kind {
        InputKind::Start { input } => input.text_if_hydrated(),
        _ => None,
    });
    if let Some(of) = hot.row.child.as_deref() {
        let input = input.cloned().unwrap_or_else(|| "{}".into());
        let row = turn::child_begun(hot.reference(), of, input);
        commit.put(Table::MapChild, keys::map_child(scope, of.run, of.child), records::encode(&row));
    } else {
        let name = NameRow { execution: id.to_bytes(), input_hash: short_hash(input.map_or("{}", |input| input)) };
        let key = keys::name(scope, &hot.revision.row.machine_name, &hot.row.name);
        commit.put(Table::Name, key, records::encode(&name));
    }
    commit.put(Table::Execution, keys::execution(scope, id), records::encode(&hot.row));
    put_entries(scope, id, &hot.row, Status::Running, commit);
}

fn put_entries(scope: ScopeNumber, id: ExecutionId, row: &ExecutionRow, status: Status, commit: &mut Commit) {
    let item = records::encode(&lists::shown(row));
    for entry in lists::entries(scope, id, row, None).chain(lists::entries(scope, id, row, Some(status))) {
        commit.put(Table::List, entry, &item);
    }
}

fn payload_of(kind: &mut InputKind) -> Option<&mut Payload> {
    match kind {
        InputKind::Start { input: payload }
        | InputKind::TaskSubmitted { output: payload, .. }
        | InputKind::TaskSucceeded { output: payload, .. }
        | InputKind::MapRunSucceeded { output: payload, .. } => Some(payload),
        _ => None,
    }
}

fn hold(mut input: Input) -> HeldInput {
    let text = payload_of(&mut input.kind).and_then(|payload| payload.text_if_hydrated().cloned());
    HeldInput { input, text }
}

/// An input as it was before it was held.
pub(crate) fn release(held: HeldInput) -> Input {
    let mut input = held.input;
    if let (Some(payload), Some(text)) = (payload_of(&mut input.kind), held.text) {
        *payload = Payload::new(text);
    }
    input
}

/// The start input that an execution in quarantine still waits to take.
pub(crate) fn start_input(row: &QuarantineRow) -> Option<Arc<str>> {
    row.inputs.iter().find_map(|held| match held.input.kind {
        InputKind::Start { .. } => held.text.clone(),
        _ => None,
    })
}

/// What is shown of a payload that waits.
const SHOWN_CHARS: usize = 500;

/// One line about an input that waits.
pub(crate) fn show(held: &HeldInput) -> String {
    let kind = format!("{:?}", held.input.kind);
    let name = kind.split([' ', '{', '(']).next().unwrap_or_default();
    let mut line = format!("{} {name}", held.input.at);
    match &held.input.kind {
        InputKind::TimerFired { timer } | InputKind::HeartbeatGrace { timer } => {
            line.push_str(&format!(" timer {}/{}", timer.frame.0, timer.number));
        }
        InputKind::TaskStarted { task, .. }
        | InputKind::TaskSubmitted { task, .. }
        | InputKind::TaskSucceeded { task, .. }
        | InputKind::SubmitLost { task }
        | InputKind::Heartbeat { task } => line.push_str(&format!(" task {}/{}", task.frame.0, task.number)),
        InputKind::TaskFailed { task, error, cause } | InputKind::SubmitFailed { task, error, cause } => {
            line.push_str(&format!(" task {}/{} {error:?} {cause:?}", task.frame.0, task.number));
        }
        InputKind::MapRunSucceeded { run, .. } => line.push_str(&format!(" run {}/{}", run.frame.0, run.number)),
        InputKind::MapRunFailed { run, error, cause } => {
            line.push_str(&format!(" run {}/{} {error:?} {cause:?}", run.frame.0, run.number));
        }
        _ => {}
    }
    if let Some(text) = &held.text {
        let shown: String = text.chars().take(SHOWN_CHARS).collect();
        line.push(' ');
        line.push_str(&shown);
        if shown.len() < text.len() {
            line.push('…');
        }
    }
    line
}
