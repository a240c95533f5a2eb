//! A shard owns a part of all executions: it alone lets `step` touch them, and it alone decides whether a name is
//! free. It hands commits to the committer and goes on against its memory while they are written; when one is refused
//! it forgets what is not durable. It waits for nothing and never answers a caller itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, atomic::Ordering},
};

use stepwright_asl::{Resource, StateId};
use stepwright_machine::{
    Closing, Definition, EvaluationLimits, Execution, ExecutionId, InputKind, Limits, Millis, Payload, SEMANTICS,
    SentTask, TaskId, frame::TaskStage, token,
};
use stepwright_store::{
    Commit, Table, keys,
    records::{self, ExecutionRow, NameRow, QuarantineRow},
};

use crate::{
    catalog::Revision,
    connector::{ConnectorFailure, TaskCall},
    error::{Error, Result},
    lane::Away,
    mailbox::{Receiver, at_most},
    map_runs::{ChildStart, Happening, MapRun, RunRef, run_of},
    message::{After, ExecutionRef, Origin, Pending, QueuedTask, ShardMessage, StartRequest, TaskRef},
    model::Started,
    options::OnLost,
    quarantine::{GivenUp, Quarantined},
    secrets::{partition, short_hash},
    shared::{RETRY_MS, Shared},
    timers::Later,
    turn::{Hot, task_state},
};

/// Messages taken at once.
const BATCH: usize = 256;

/// A name that a start took whose commit is under way.
pub(crate) struct TakenName {
    id: ExecutionId,
    input_hash: [u8; 16],
    started_at: Millis,
}

/// A task that is to be sent, or whose call was.
struct Called {
    resource: Resource,
    /// A callback answered it.
    answered: bool,
}

/// Something that happened, and who waits for what becomes of it.
pub(crate) struct Taken {
    pub(crate) kind: InputKind,
    pub(crate) origin: Origin,
}

impl Taken {
    /// Whether it ends the execution, whatever that is at.
    pub(crate) fn ends(&self) -> bool {
        matches!(self.kind, InputKind::Stop { .. } | InputKind::Abandon { .. } | InputKind::Expire)
    }

    /// The message that it came with, or would have.
    pub(crate) fn into_message(self, execution: ExecutionRef) -> ShardMessage {
        match self.origin {
            Origin::Timer(timer) => ShardMessage::Fired(vec![timer]),
            origin => ShardMessage::Input { execution, kind: self.kind, origin },
        }
    }
}

/// A part of all executions.
pub(crate) struct Shard {
    pub(crate) shared: Arc<Shared>,
    index: usize,
    generation: u64,
    hot: HashMap<ExecutionId, Hot>,
    /// Executions in memory by their last use.
    order: BTreeMap<u64, ExecutionId>,
    uses: u64,
    bytes: usize,
    pub(crate) names: HashMap<Vec<u8>, TakenName>,
    /// Executions whose turn is computed in the lane.
    pub(crate) away: HashMap<ExecutionId, Away>,
    /// What waited for an execution that was away, in its order.
    pub(crate) readmitted: VecDeque<ShardMessage>,
    /// Executions that take nothing in.
    pub(crate) quarantined: HashMap<ExecutionId, Quarantined>,
    /// Executions whose quarantine ended with them, in commits that are under way: nothing else in memory knows.
    pub(crate) given_up: HashMap<ExecutionId, GivenUp>,
    /// Map runs of its executions that are under way.
    pub(crate) runs: BTreeMap<u128, MapRun>,
    /// Children of runs that begin again, of which nobody knows yet whether they were begun.
    pub(crate) unknown_children: BTreeMap<u128, BTreeSet<u32>>,
    /// How many were opened.
    pub(crate) epochs: u64,
    out: Vec<Pending>,
}

impl Shard {
    pub(crate) fn new(shared: Arc<Shared>, index: usize, quarantined: HashMap<ExecutionId, QuarantineRow>) -> Self {
        let quarantined = quarantined.into_iter().map(|(id, row)| (id, Quarantined::durable(row))).collect();
        Self {
            shared,
            index,
            generation: 0,
            hot: HashMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            bytes: 0,
            names: HashMap::new(),
            away: HashMap::new(),
            readmitted: VecDeque::new(),
            quarantined,
            given_up: HashMap::new(),
            runs: BTreeMap::new(),
            unknown_children: BTreeMap::new(),
            epochs: 0,
            out: Vec::new(),
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Runs until told to stop.
    pub(crate) fn run(mut self, inbox: &Receiver<ShardMessage>) {
        loop {
            let mut batch = inbox.take(at_most(BATCH));
            if batch.is_empty() {
                if self.shared.pace.nap(self.index) {
                    continue;
                }
                batch = inbox.wait(at_most(BATCH));
            }
            let stop = batch.iter().any(|message| matches!(message, ShardMessage::Stop));
            let taken = batch.len();
            let now = self.shared.now();
            for pending in self.handle(batch, now) {
                self.shared.submit(pending);
            }
            inbox.done(taken);
            if stop {
                return;
            }
        }
    }

    /// Takes messages in; what comes out is to be committed in order. Inputs of one execution become one turn.
    pub(crate) fn handle(&mut self, messages: Vec<ShardMessage>, now: Millis) -> Vec<Pending> {
        let mut order = Vec::new();
        let mut inputs: HashMap<ExecutionRef, Vec<Taken>> = HashMap::new();
        let mut happened = |execution: ExecutionRef, taken: Taken| {
            let all = inputs.entry(execution).or_insert_with(|| {
                order.push(execution);
                Vec::new()
            });
            all.push(taken);
        };
        let mut flushes = Vec::new();
        // What came of these calls may be among the inputs.
        let (mut lost, mut resent) = (Vec::new(), Vec::new());
        let mut map_runs: BTreeMap<RunRef, Vec<Happening>> = BTreeMap::new();
        let mut messages = VecDeque::from(messages);
        while let Some(message) = self.readmitted.pop_front().or_else(|| messages.pop_front()) {
            let Some(message) = self.wait_if_away(message) else { continue };
            match message {
                ShardMessage::Start(request) => self.start(*request, now),
                ShardMessage::Input { execution, kind, origin } => happened(execution, Taken { kind, origin }),
                ShardMessage::Fired(timers) => {
                    for fired in timers {
                        let kind = InputKind::TimerFired { timer: fired.timer };
                        happened(fired.execution, Taken { kind, origin: Origin::Timer(fired) });
                    }
                }
                ShardMessage::Redeliver { queued, poller } => self.redeliver(queued, poller),
                ShardMessage::Resend { queued, slot } => resent.push((queued, slot)),
                ShardMessage::Requeue(queued) => self.requeue(queued, now),
                ShardMessage::Lost(queued) => lost.push(queued),
                ShardMessage::Follow(queued) => self.follow(queued, now),
                ShardMessage::Leave(leave) => self.leave(leave, now),
                ShardMessage::Redrive(request) => self.redrive(*request, now),
                ShardMessage::StartChild(start) => self.start_child(*start, now),
                ShardMessage::MapRun { run, happening } => map_runs.entry(run).or_default().push(*happening),
                ShardMessage::Back(turn) => {
                    let (job, ran) = *turn;
                    self.come_back(job, ran, now);
                }
                ShardMessage::Committed(executions) => self.committed(&executions),
                ShardMessage::Rejected { generation } => self.rejected(generation),
                ShardMessage::Flush(reply) => flushes.push(After::Answered { reply, result: Ok(()) }),
                ShardMessage::Stop => {}
            }
        }
        for execution in order {
            if let Some(taken) = inputs.remove(&execution) {
                self.take(execution, taken, now);
            }
        }
        for (queued, slot) in resent {
            if let Some(ShardMessage::Resend { queued, slot }) =
                self.wait_if_away(ShardMessage::Resend { queued, slot })
            {
                self.resend(queued, slot, now);
            }
        }
        for queued in lost {
            if let Some(ShardMessage::Lost(queued)) = self.wait_if_away(ShardMessage::Lost(queued)) {
                self.lost(queued, now);
            }
        }
        for (run, happened) in map_runs {
            self.map_run(run, happened, now);
        }
        if !flushes.is_empty() {
            self.emit(None, Commit::default(), flushes);
        }
        self.evict();
        std::mem::take(&mut self.out)
    }

    /// Hands something to the committer. Also what changes no row, so that nothing overtakes a commit.
    pub(crate) fn emit(&mut self, execution: Option<ExecutionRef>, commit: Commit, after: Vec<After>) {
        self.out.push(Pending { shard: Some((self.index, self.generation)), execution, commit, after });
    }

    // Starts

    fn start(&mut self, request: StartRequest, now: Millis) {
        match self.name_taken(&request) {
            Ok(None) => self.start_new(request, now),
            Ok(Some(result)) => {
                let after = vec![After::Started { reply: request.reply, result }, After::StartOver(request.permit)];
                self.emit(None, Commit::default(), after);
            }
            Err(error) => drop(request.reply.send(Err(error))),
        }
    }

    /// What to answer if the name is taken.
    fn name_taken(&self, request: &StartRequest) -> Result<Option<Result<Started>>> {
        let key = keys::name(request.scope, &request.revision.row.machine_name, &request.name);
        let (id, input_hash, started_at) = match self.names.get(&key) {
            Some(taken) => (taken.id, taken.input_hash, taken.started_at),
            None => match self.shared.store.get(Table::Name, &key)? {
                None => return Ok(None),
                Some(bytes) => {
                    let row: NameRow = records::decode(Table::Name, &bytes)?;
                    (row.id(), row.input_hash, row.id().started_at())
                }
            },
        };
        let running = match self.hot.get(&id) {
            Some(hot) => hot.execution.head.closing.is_none(),
            None if self.away.contains_key(&id) || self.quarantined.contains_key(&id) => true,
            None if self.given_up.contains_key(&id) => false,
            None => match self.shared.store.get(Table::Execution, &keys::execution(request.scope, id))? {
                Some(bytes) => records::decode::<ExecutionRow>(Table::Execution, &bytes)?.end.is_none(),
                // Retention took it; its name is not free yet.
                None => false,
            },
        };
        let arn = request.arn.clone();
        Ok(Some(if running && input_hash == short_hash(&request.input) {
            Ok(Started { arn, started_at })
        } else {
            Err(Error::ExecutionAlreadyExists { arn })
        }))
    }

    fn start_new(&mut self, request: StartRequest, now: Millis) {
        let id = ExecutionId::new(now, partition(&request.revision.row.machine_arn, &request.name), self.shared.seed());
        let execution = ExecutionRef { scope: request.scope, id };
        let limits = self.shared.options.limits;
        let common = Limits { evaluation: EvaluationLimits::USUAL, ..limits };
        let row = ExecutionRow {
            machine: request.revision.machine,
            revision: request.revision.number,
            name: request.name.clone(),
            semantics: SEMANTICS,
            limits: (common != Limits::AWS).then_some(common),
            trace_header: request.trace_header,
            version: request.version,
            alias: request.alias,
            redriven: None,
            input: Payload::new(request.input.clone()),
            end: None,
            evaluation: (limits.evaluation != EvaluationLimits::USUAL).then_some(limits.evaluation),
            redrive_tokens: None,
            child: None,
            test_case: request.test_case,
        };
        let hot = self.new_hot(execution, request.revision, row);
        let name_key = keys::name(execution.scope, &hot.revision.row.machine_name, &request.name);
        let taken = TakenName { id, input_hash: short_hash(&request.input), started_at: id.started_at() };
        self.names.insert(name_key, taken);
        let started = Started { arn: request.arn, started_at: now };
        let after = vec![
            After::Started { reply: request.reply, result: Ok(started) },
            After::Opened(execution.scope),
            After::StartOver(request.permit),
        ];
        self.shared.counters.started.fetch_add(1, Ordering::Relaxed);
        let kind = InputKind::Start { input: Payload::new(request.input) };
        self.drive_start(hot, kind, after, now);
    }

    fn new_hot(&self, execution: ExecutionRef, revision: Arc<Revision>, row: ExecutionRow) -> Hot {
        let info = self.shared.info(execution, &row, &revision.row);
        Hot {
            execution: Execution::new(info),
            revision,
            row,
            uncommitted: 0,
            written: false,
            bytes: 1_024,
            used: 0,
            child_has_row: false,
        }
    }

    /// Starts a child of a map run. Nobody else can have its name.
    fn start_child(&mut self, start: ChildStart, now: Millis) {
        let ChildStart { execution, revision, permit, of, name, input, has_row, test_case } = start;
        let limits = self.shared.options.limits;
        let common = Limits { evaluation: EvaluationLimits::USUAL, ..limits };
        let (run, child) = (run_of(execution, &of), of.child);
        let row = ExecutionRow {
            machine: revision.machine,
            revision: revision.number,
            name,
            semantics: SEMANTICS,
            limits: (common != Limits::AWS).then_some(common),
            trace_header: None,
            version: None,
            alias: None,
            redriven: None,
            input: Payload::new(input.clone()),
            end: None,
            evaluation: (limits.evaluation != EvaluationLimits::USUAL).then_some(limits.evaluation),
            redrive_tokens: None,
            child: Some(Box::new(of)),
            test_case,
        };
        let mut hot = self.new_hot(execution, revision, row);
        hot.child_has_row = has_row;
        let after = vec![
            After::ChildStarted { run, child, execution },
            After::Opened(execution.scope),
            After::StartOver(permit),
        ];
        self.shared.counters.started.fetch_add(1, Ordering::Relaxed);
        self.drive_start(hot, InputKind::Start { input: Payload::new(input) }, after, now);
    }

    // Tasks whose "started" is durable already

    fn redeliver(&mut self, queued: QueuedTask, poller: crate::activities::Poller) {
        let execution = queued.task.execution;
        let open = match self.find(execution) {
            Ok(hot) => hot.and_then(|hot| {
                let (_, open) = hot.open_task(queued.task.task)?;
                Some((token_of(hot, queued.task.task), open.input.text().clone()))
            }),
            Err(error) => {
                tracing::warn!(%error, "a task could not be read for its worker; trying again");
                let later = Later::ForWorker(poller.activity.clone(), queued);
                self.shared.timers.later(self.shared.now() + RETRY_MS, later);
                return poller.refuse(error);
            }
        };
        match open {
            Some((token, input)) => {
                let after = vec![After::HandOver { poller, queued, token, input, requeue: true }];
                self.emit(None, Commit::default(), after);
            }
            None => {
                // That it is over may yet be refused.
                let later = Later::ForWorker(poller.activity.clone(), queued);
                self.shared.activities.put_back_poller(&self.shared, poller);
                self.emit(None, Commit::default(), vec![After::Otherwise(later)]);
            }
        }
    }

    fn resend(&mut self, queued: QueuedTask, slot: crate::dispatch::Slot, now: Millis) {
        if let Ok(Some(Called { answered: true, .. })) = self.called(queued.task) {
            drop(slot);
            return self.submit_lost(queued.task, now);
        }
        let hot = match self.find(queued.task.execution) {
            Ok(hot) => hot,
            Err(error) => {
                tracing::warn!(%error, "a task could not be read for its call; trying again");
                let later = Later::ForSlot(slot.key(), queued);
                return self.shared.timers.later(now + RETRY_MS, later);
            }
        };
        // What was submitted meanwhile is not submitted again.
        let is_waiting =
            |hot: &&mut Hot| hot.open_task(queued.task.task).is_some_and(|(_, open)| open.stage == TaskStage::Started);
        let after = match hot.filter(is_waiting).and_then(|hot| call_of(hot, queued.task.task, now, true)) {
            Some(call) => After::Call { slot, queued, call: Box::new(call), requeue: true },
            // That it is over may yet be refused.
            None => After::Otherwise(Later::ForSlot(slot.key(), queued)),
        };
        self.emit(None, Commit::default(), vec![after]);
    }

    /// A task that is to be sent, or whose call was; none if it is over or submitted.
    fn called(&mut self, task: TaskRef) -> Result<Option<Called>> {
        Ok(self.find(task.execution)?.and_then(|hot| {
            let (visit, open) = hot.open_task(task.task)?;
            if open.stage == TaskStage::Submitted {
                return None;
            }
            let resource = task_state(hot.definition(), StateId(visit.state))?.resource.clone();
            Some(Called { resource, answered: open.early_answer.is_some() })
        }))
    }

    /// Whoever got the token may answer, or has; nobody will say whether it was sent.
    fn submit_lost(&mut self, task: TaskRef, now: Millis) {
        let kind = InputKind::SubmitLost { task: task.task };
        self.take(task.execution, vec![Taken { kind, origin: Origin::Call }], now);
    }

    /// A task that waited for a slot when the process died waits again.
    fn requeue(&mut self, queued: QueuedTask, now: Millis) {
        let shared = self.shared.clone();
        let key = |hot: &Hot| shared.dispatch.key_of(&hot.execution, hot.definition(), queued.task.task);
        let key = self.find(queued.task.execution).map(|hot| hot.and_then(|hot| key(hot)));
        if let Ok(Some(key)) = key {
            return shared.dispatch.queue(&shared, &key, queued);
        }
        match self.called(queued.task) {
            // A server without this connector now: as when it is scheduled.
            Ok(Some(Called { resource, .. })) => {
                self.fail_task(queued, &resource, crate::drive::unserved(&resource), now);
            }
            // That it is over may yet be refused.
            Ok(None) => self.emit(None, Commit::default(), vec![After::Otherwise(Later::Requeue(queued))]),
            Err(error) => {
                tracing::warn!(%error, "a queued task could not be read; trying again");
                self.shared.timers.later(now + RETRY_MS, Later::Requeue(queued));
            }
        }
    }

    /// A job was submitted by a process that died: another follows it.
    fn follow(&mut self, queued: QueuedTask, now: Millis) {
        let task = queued.task;
        match self.find(task.execution) {
            Ok(hot) => {
                let call = hot.and_then(|hot| call_of(hot, task.task, now, true));
                let after = call.map(|call| After::Follow { task, call: Box::new(call) });
                self.emit(None, Commit::default(), after.into_iter().collect());
            }
            Err(error) => {
                tracing::warn!(%error, "a submitted job could not be read; trying again");
                self.shared.timers.later(now + RETRY_MS, Later::Follow(queued));
            }
        }
    }

    /// A call was under way when the process died: nobody knows how it ended.
    fn lost(&mut self, queued: QueuedTask, now: Millis) {
        if self.shared.dispatch.knows(queued.task) {
            // This process makes it, or is about to.
            return;
        }
        let is_mocked = self.is_mocked(queued.task);
        match self.called(queued.task) {
            Ok(Some(Called { answered: true, .. })) => self.submit_lost(queued.task, now),
            Ok(Some(Called { resource, .. })) if is_mocked || self.shared.dispatch.repeats(&resource) => {
                self.requeue(QueuedTask { started: true, ..queued }, now);
            }
            Ok(Some(Called { resource, .. })) if crate::dispatch::waits_for_callback(&resource) => {
                self.submit_lost(queued.task, now);
            }
            Ok(Some(_)) if self.shared.options.tasks_on_lost == OnLost::Resend => {
                self.requeue(QueuedTask { started: true, ..queued }, now);
            }
            Ok(Some(Called { resource, .. })) => {
                let failure = self.shared.dispatch.lost_error(&resource);
                self.fail_task(QueuedTask { started: true, ..queued }, &resource, failure, now);
            }
            Ok(None) => self.emit(None, Commit::default(), vec![After::Otherwise(Later::Lost(queued))]),
            Err(error) => {
                tracing::warn!(%error, "a lost task could not be read; trying again");
                self.shared.timers.later(now + RETRY_MS, Later::Lost(queued));
            }
        }
    }

    /// Whether an open task is answered by a test case.
    fn is_mocked(&mut self, task: TaskRef) -> bool {
        let shared = self.shared.clone();
        let Ok(Some(hot)) = self.find(task.execution) else { return false };
        hot.open_task(task.task).is_some_and(|(visit, _)| {
            let state = hot.definition().state(StateId(visit.state));
            shared.dispatch.is_mocked(&hot.execution.info, &state.name)
        })
    }

    /// A task fails that is not sent, or not again.
    fn fail_task(&mut self, queued: QueuedTask, resource: &Resource, failure: ConnectorFailure, now: Millis) {
        let TaskRef { execution, task } = queued.task;
        let failed = crate::dispatch::failed(resource, task, failure);
        let taken = if queued.started {
            vec![Taken { kind: failed, origin: Origin::Lost }]
        } else {
            let started = InputKind::TaskStarted { task, worker_name: None };
            [started, failed].map(|kind| Taken { kind, origin: Origin::Call }).into()
        };
        self.take(execution, taken, now);
    }

    // Memory

    /// An execution, from memory or read back; none if it is unknown, closed or in quarantine. One that cannot be
    /// read goes into quarantine.
    pub(crate) fn find(&mut self, execution: ExecutionRef) -> Result<Option<&mut Hot>> {
        assert!(!self.away.contains_key(&execution.id), "an execution that is away is not touched");
        if self.quarantined.contains_key(&execution.id) || self.given_up.contains_key(&execution.id) {
            return Ok(None);
        }
        if !self.hot.contains_key(&execution.id) {
            match self.shared.load(execution) {
                Ok(Some(hot)) => self.keep(hot),
                Ok(None) => return Ok(None),
                Err(error @ Error::Corrupt { .. }) => {
                    self.quarantine(execution, None, &error.to_string(), Vec::new(), Vec::new(), self.shared.now());
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(self.hot.get_mut(&execution.id).filter(|hot| hot.execution.head.closing.is_none()))
    }

    /// An execution that is in memory.
    pub(crate) fn hot(&self, id: ExecutionId) -> Option<&Hot> {
        self.hot.get(&id)
    }

    pub(crate) fn take_hot(&mut self, id: ExecutionId) -> Option<Hot> {
        let hot = self.hot.remove(&id)?;
        self.order.remove(&hot.used);
        self.bytes = self.bytes.saturating_sub(hot.bytes);
        Some(hot)
    }

    pub(crate) fn keep(&mut self, mut hot: Hot) {
        self.uses += 1;
        hot.used = self.uses;
        let id = hot.execution.info.id;
        self.order.insert(hot.used, id);
        self.bytes += hot.bytes;
        self.hot.insert(id, hot);
    }

    fn committed(&mut self, executions: &[ExecutionRef]) {
        for execution in executions {
            let Some(hot) = self.hot.get_mut(&execution.id) else {
                if self.away_committed(execution.id) {
                    self.shared.counters.turns.fetch_add(1, Ordering::Relaxed);
                } else {
                    self.quarantine_committed(execution.id);
                }
                continue;
            };
            self.shared.counters.turns.fetch_add(1, Ordering::Relaxed);
            hot.uncommitted = hot.uncommitted.saturating_sub(1);
            if hot.uncommitted > 0 {
                continue;
            }
            if !self.names.is_empty() {
                self.names.remove(&keys::name(execution.scope, &hot.revision.row.machine_name, &hot.row.name));
            }
            if hot.execution.head.closing.is_some() {
                self.take_hot(execution.id);
            }
        }
    }

    fn rejected(&mut self, generation: u64) {
        self.generation = generation;
        let gone: Vec<ExecutionId> =
            self.hot.iter().filter(|(_, hot)| hot.uncommitted > 0).map(|(id, _)| *id).collect();
        for id in gone {
            self.take_hot(id);
        }
        self.names.clear();
        self.given_up.clear();
        self.runs_rejected();
        self.away_rejected(&Error::unavailable("the commit before it was refused"));
        // Quarantines that were not committed did not happen.
        if let Err(error) = self.reload_quarantine() {
            tracing::error!(%error, "the list of executions in quarantine could not be read again");
        }
    }

    /// Forgets the longest unused executions; all of what they are is in the store.
    fn evict(&mut self) {
        let options = &self.shared.options;
        let (most, most_bytes) = (options.hot_executions, options.hot_bytes);
        let mut from = 0;
        while self.hot.len() > most || self.bytes > most_bytes {
            let Some((used, id)) = self.order.range(from..).next().map(|(used, id)| (*used, *id)) else { break };
            from = used + 1;
            if self.hot.get(&id).is_some_and(|hot| hot.uncommitted == 0) {
                self.take_hot(id);
            }
        }
        let counters = &self.shared.counters;
        counters.hot_executions[self.index].store(self.hot.len() as u64, Ordering::Relaxed);
        counters.hot_bytes[self.index].store(self.bytes as u64, Ordering::Relaxed);
    }

    /// What became of an execution that takes nothing in any more: when it ended.
    pub(crate) fn ended(&self, execution: ExecutionRef) -> Result<Option<Closing>> {
        if let Some(hot) = self.hot.get(&execution.id) {
            return Ok(hot.execution.head.closing.clone());
        }
        if let Some(given_up) = self.given_up.get(&execution.id) {
            return Ok(Some(given_up.closing.clone()));
        }
        let key = keys::execution(execution.scope, execution.id);
        match self.shared.store.get(Table::Execution, &key)? {
            Some(bytes) => {
                let row: ExecutionRow = records::decode(Table::Execution, &bytes)?;
                Ok(row.end.map(|end| end.closing))
            }
            None => Ok(None),
        }
    }
}

/// The token of a task.
pub(crate) fn token_of(hot: &Hot, task: TaskId) -> Arc<str> {
    token::issue(&hot.execution.info, task).into()
}

/// The call of an open task.
pub(crate) fn call_of(hot: &Hot, task: TaskId, now: Millis, resent: bool) -> Option<TaskCall> {
    call(&hot.execution, hot.definition(), task, now, resent)
}

/// The call of an open task of any execution.
pub(crate) fn call(
    execution: &Execution,
    definition: &Definition,
    task: TaskId,
    now: Millis,
    resent: bool,
) -> Option<TaskCall> {
    let (visit, open) = crate::turn::open_task(execution, task)?;
    let sent = SentTask {
        state: StateId(visit.state),
        input: open.input.clone(),
        role_arn: open.role_arn.clone(),
        timeout_seconds: open.timeout_seconds,
        retry_count: visit.retry_count(),
    };
    let call = call_as(execution, definition, task, sent, now)?;
    Some(TaskCall { resent, ..call })
}

/// The call of a task that need not be open any more; not one that is made again.
pub(crate) fn call_as(
    execution: &Execution,
    definition: &Definition,
    task: TaskId,
    sent: SentTask,
    now: Millis,
) -> Option<TaskCall> {
    let info = &execution.info;
    let parts = crate::arn::parts(&info.arn);
    Some(TaskCall {
        resource: task_state(definition, sent.state)?.resource.clone(),
        input: sent.input.text().clone(),
        task_role_arn: sent.role_arn,
        role_arn: info.role_arn.clone(),
        account: parts.as_ref().map_or("", |parts| parts.account).into(),
        region: parts.as_ref().map_or("", |parts| parts.region).into(),
        execution_arn: info.arn.clone(),
        state_machine_arn: info.state_machine_arn.clone(),
        state_name: definition.state(sent.state).name.clone(),
        token: token::issue(info, task).into(),
        timeout_seconds: sent.timeout_seconds,
        retry_count: sent.retry_count,
        started_at: now,
        resent: false,
        test_case: info.test_case.clone(),
        items: stepwright_machine::items_of(&execution.frames, task.frame),
    })
}
