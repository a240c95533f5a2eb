//! Calls through connectors: who has a slot, what waits for one, and what is in flight; `fair` says who is next. A call is made
//! only after its "started" was committed. Whether and when a call is repeated is never decided here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use stepwright_asl::{Pattern, Resource, StateId};
use stepwright_machine::{Definition, Execution, ExecutionInfo, InputKind, Millis, Payload, TaskId, frame::TaskStage};
use tokio::task::{AbortHandle, JoinError, JoinHandle};

use crate::{
    connector::{Connector, ConnectorFailure, Mocks, TaskCall, TaskOutcome},
    express::Run,
    fair::{CallKey, Fair, MachineKey, Place, ServiceStats},
    jobs::{Jobs, Submission},
    limits::TaskLimits,
    message::{Origin, QueuedTask, ShardMessage, TaskRef},
    quiet::{Counted, Quiet, Work},
    shared::Shared,
    turn::{open_task, task_state},
};

/// The cause of a failure: what a connector took for an answer is none.
pub(crate) const NO_JSON: &str = "The service answered with something that is not JSON.";

/// Bytes that the name of a service may be long.
const SERVICE_BYTES: usize = 200;

/// A slot of a connector. Dropping it lets the next task go.
pub(crate) struct Slot {
    key: Arc<CallKey>,
    engine: Weak<Shared>,
    /// A call was made with it.
    made: bool,
}

impl Slot {
    /// Whose limits it counts for.
    pub(crate) fn key(&self) -> Arc<CallKey> {
        self.key.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(shared) = self.engine.upgrade() {
            shared.dispatch.freed(&shared, &self.key, self.made);
        }
    }
}

/// A task that waits for a slot.
enum Waiting {
    /// Its shard is told.
    Shard(QueuedTask),
    /// Its Express execution is told.
    Express(TaskRef, Arc<Run>),
}

impl Waiting {
    fn task(&self) -> TaskRef {
        match self {
            Waiting::Shard(queued) => queued.task,
            Waiting::Express(task, _) => *task,
        }
    }
}

/// What may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Open {
    All,
    /// Tasks of Express executions: theirs is only in memory, so they come to their end while an engine stops.
    Express,
    Nothing,
}

pub(crate) struct State {
    queues: Fair<Waiting>,
    places: HashMap<TaskRef, Place>,
    calls: HashMap<TaskRef, AbortHandle>,
    pub(crate) jobs: Jobs,
    open: Open,
}

impl State {
    /// A task waits for no slot any more.
    pub(crate) fn unqueue(&mut self, task: TaskRef) {
        if let Some(place) = self.places.remove(&task) {
            self.queues.remove(place);
        }
    }

    /// Whether everything is sent.
    pub(crate) fn sends_all(&self) -> bool {
        self.open == Open::All
    }
}

/// All calls.
pub(crate) struct Dispatch {
    connectors: Vec<Arc<dyn Connector>>,
    /// The last of the connectors, which is never asked what it accepts.
    mocks: Option<Arc<dyn Mocks>>,
    state: Mutex<State>,
}

impl Dispatch {
    pub(crate) fn new(
        mut connectors: Vec<Arc<dyn Connector>>,
        mocks: Option<Arc<dyn Mocks>>,
        limits: TaskLimits,
    ) -> Self {
        connectors.extend(mocks.clone().map(|mocks| mocks as Arc<dyn Connector>));
        let own = connectors.iter().map(|connector| (connector.name(), connector.limits().concurrency));
        let queues = Fair::new(own, limits);
        let state =
            State { queues, places: HashMap::new(), calls: HashMap::new(), jobs: Jobs::default(), open: Open::All };
        Self { connectors, mocks, state: Mutex::new(state) }
    }

    // Every change under this lock is complete before anything can panic, so a poisoned lock guards good data.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who serves a resource.
    pub(crate) fn connector_for(&self, resource: &Resource) -> Option<usize> {
        let real = self.connectors.len() - usize::from(self.mocks.is_some());
        self.connectors[..real].iter().position(|connector| connector.accepts(resource))
    }

    /// Who answers a state of an execution: its test case, or who serves the resource.
    pub(crate) fn connector_of(&self, execution: &ExecutionInfo, state: &str, resource: &Resource) -> Option<usize> {
        if self.is_mocked(execution, state) {
            return Some(self.connectors.len() - 1);
        }
        self.connector_for(resource)
    }

    /// Whether a state's tasks are answered by the execution's test case.
    pub(crate) fn is_mocked(&self, execution: &ExecutionInfo, state: &str) -> bool {
        let (Some(case), Some(mocks)) = (&execution.test_case, &self.mocks) else { return false };
        mocks.answers(machine_of(&execution.state_machine_name), case, state)
    }

    /// Who follows and ends the job of a call.
    pub(crate) fn connector_of_job(&self, call: &TaskCall) -> Option<usize> {
        if self.is_mocked_call(call) {
            return Some(self.connectors.len() - 1);
        }
        self.connector_for(&call.resource)
    }

    fn is_mocked_call(&self, call: &TaskCall) -> bool {
        let (Some(case), Some(mocks)) = (&call.test_case, &self.mocks) else { return false };
        let name = call.state_machine_arn.splitn(7, ':').nth(6).unwrap_or_default();
        mocks.answers(machine_of(name), case, &call.state_name)
    }

    /// A connector by its place.
    pub(crate) fn connector(&self, place: usize) -> Arc<dyn Connector> {
        self.connectors[place].clone()
    }

    fn is_mocks(&self, connector: usize) -> bool {
        self.mocks.is_some() && connector + 1 == self.connectors.len()
    }

    /// What a lost call of this resource fails with.
    pub(crate) fn lost_error(&self, resource: &Resource) -> ConnectorFailure {
        match self.connector_for(resource) {
            Some(connector) => self.connectors[connector].lost_error(resource),
            None => ConnectorFailure::new("States.TaskFailed", "The answer to the task's call was lost."),
        }
    }

    /// Whose limits a call counts for.
    pub(crate) fn key(
        &self,
        connector: usize,
        resource: &Resource,
        input: &str,
        execution: &ExecutionInfo,
    ) -> Arc<CallKey> {
        let service = self.connectors[connector].service(resource, input);
        // It may come from the input of a state: what is no name is not kept as one.
        let fits = (1..=SERVICE_BYTES).contains(&service.len()) && !service.contains(char::is_control);
        let service = if fits { &*service } else { self.connectors[connector].name() };
        Arc::new(CallKey {
            connector,
            service: service.into(),
            machine: MachineKey { scope: execution.scope, machine: execution.machine },
            machine_name: execution.state_machine_name.clone(),
        })
    }

    /// The same of a task that is to be sent; none if it is over or submitted, or no connector serves it.
    pub(crate) fn key_of(&self, execution: &Execution, definition: &Definition, task: TaskId) -> Option<Arc<CallKey>> {
        let (visit, open) = open_task(execution, task).filter(|(_, open)| open.stage != TaskStage::Submitted)?;
        let id = StateId(visit.state);
        let resource = &task_state(definition, id)?.resource;
        let connector = self.connector_of(&execution.info, &definition.state(id).name, resource)?;
        Some(self.key(connector, resource, open.input.text(), &execution.info))
    }

    /// A slot for a task that is being scheduled, if one is free and no older task waits for it.
    pub(crate) fn reserve(&self, shared: &Shared, key: Arc<CallKey>, express: bool) -> Option<Slot> {
        let now = shared.now();
        let mut state = self.lock();
        let closed = match state.open {
            Open::All => false,
            Open::Express => !express,
            Open::Nothing => true,
        };
        if closed || !state.queues.reserve(&key, now) {
            return None;
        }
        Some(Slot { key, engine: shared.weak(), made: false })
    }

    fn freed(&self, shared: &Shared, key: &CallKey, made: bool) {
        self.pump_after(shared, |queues, _| queues.release(key, made));
    }

    /// A task waits for a slot; its sequence is its place.
    pub(crate) fn queue(&self, shared: &Shared, key: &CallKey, queued: QueuedTask) {
        self.wait(shared, key, queued.sequence, Waiting::Shard(queued));
    }

    /// The same, of an Express execution.
    pub(crate) fn queue_express(&self, shared: &Shared, key: &CallKey, task: TaskRef, run: Arc<Run>) {
        self.wait(shared, key, shared.next_sequence(), Waiting::Express(task, run));
    }

    fn wait(&self, shared: &Shared, key: &CallKey, sequence: u64, waiting: Waiting) {
        let task = waiting.task();
        {
            let now = shared.now();
            let mut state = self.lock();
            let takes = match state.open {
                Open::All => true,
                Open::Express => matches!(waiting, Waiting::Express(..)),
                Open::Nothing => false,
            };
            if !takes {
                // It is in the store, or its execution ends with the engine.
                return;
            }
            state.unqueue(task);
            let place = state.queues.push(key, sequence, waiting, now);
            state.places.insert(task, place);
        }
        self.pump(shared);
    }

    /// Gives free slots to waiting tasks.
    pub(crate) fn pump(&self, shared: &Shared) {
        self.pump_after(shared, |_, _| {});
    }

    fn pump_after(&self, shared: &Shared, first: impl FnOnce(&mut Fair<Waiting>, Millis)) {
        let mut first = Some(first);
        loop {
            let (key, waiting) = {
                let now = shared.now();
                let mut state = self.lock();
                if let Some(first) = first.take() {
                    first(&mut state.queues, now);
                }
                if state.queues.waiting() == 0 || state.open == Open::Nothing {
                    return;
                }
                let Some((key, waiting)) = state.queues.next(now) else {
                    let wakes_at = state.queues.wakes_at();
                    drop(state);
                    if let Some(at) = wakes_at {
                        shared.timers.pump_at(at);
                    }
                    return;
                };
                state.places.remove(&waiting.task());
                (key, waiting)
            };
            let slot = Slot { key: Arc::new(key), engine: shared.weak(), made: false };
            let queued = match waiting {
                Waiting::Shard(queued) => queued,
                Waiting::Express(task, run) => {
                    shared.express.slot_free(&run, task.task, slot);
                    continue;
                }
            };
            let execution = queued.task.execution;
            let message = if queued.started {
                ShardMessage::Resend { queued, slot }
            } else {
                let kind = InputKind::TaskStarted { task: queued.task.task, worker_name: None };
                ShardMessage::Input { execution, kind, origin: Origin::Slot { slot, queued } }
            };
            shared.send(execution.id, message);
        }
    }

    /// Whether calls of a resource that may be lost are made again in any case.
    pub(crate) fn repeats(&self, resource: &Resource) -> bool {
        self.connector_for(resource).is_some_and(|connector| self.connectors[connector].repeats(resource))
    }

    /// A task is over: it is not sent, a call that is under way is given up, and a job is followed no more. `job`: what the
    /// task submitted is to be ended; a submission that is under way is heard first.
    pub(crate) fn remove(&self, shared: &Shared, task: TaskRef, job: Option<Box<TaskCall>>) {
        let mut state = self.lock();
        state.unqueue(task);
        state.jobs.leave(task);
        match job {
            Some(call) if state.calls.contains_key(&task) => state.jobs.end_later(task, call, shared.quiet.work()),
            Some(call) => {
                drop(state);
                self.end_job(shared, task, call);
            }
            None => {
                if let Some(call) = state.calls.remove(&task) {
                    call.abort();
                }
            }
        }
    }

    /// Whether a task waits for a slot or its call is in flight.
    pub(crate) fn knows(&self, task: TaskRef) -> bool {
        let state = self.lock();
        state.places.contains_key(&task) || state.calls.contains_key(&task)
    }

    /// Makes a call; what comes of it is an input of its execution: the Express one, if there is one.
    pub(crate) fn call(
        &self,
        shared: &Arc<Shared>,
        mut slot: Slot,
        task: TaskRef,
        call: TaskCall,
        express: Option<Arc<Run>>,
    ) {
        slot.made = true;
        let connector = self.connectors[slot.key.connector].clone();
        let (resource, resent) = (call.resource.clone(), call.resent);
        let mut state = self.lock();
        // What the connector does may panic in building the future, too: both happen in a task of their own.
        let inner_connector = connector.clone();
        let (quiet, within) = (shared.quiet.clone(), connector.within(&call));
        let work = (!within).then(|| quiet.work());
        let inner = counted(shared, within, async move { inner_connector.call(call).await });
        state.calls.insert(task, inner.abort_handle());
        state.queues.made(&slot.key);
        drop(state);
        let engine = Arc::downgrade(shared);
        shared.runtime.spawn(async move {
            let _work = work;
            let (outcome, _counted) = ended_with(inner.await, &quiet);
            let Some(shared) = engine.upgrade() else { return };
            // A submission's own answer is never the task's end, whatever the connector calls it.
            let outcome = match outcome {
                Ok(TaskOutcome::Succeeded(text)) if waits_for_callback(&resource) || resource.is_job() => {
                    // A test case also answers for whoever got the token, which may come before the call's own answer.
                    if waits_for_callback(&resource)
                        && shared.dispatch.is_mocks(slot.key.connector)
                        && let kind @ InputKind::TaskSucceeded { .. } =
                            input(task, &resource, TaskOutcome::Succeeded(text.clone()))
                    {
                        shared.tell_of_call(task, express.as_ref(), kind, Origin::Call);
                    }
                    Ok(TaskOutcome::Submitted(text))
                }
                outcome => outcome,
            };
            let known = {
                let state = shared.dispatch.lock();
                state.calls.contains_key(&task) && !state.jobs.is_ending(task)
            };
            let (outcome, is_heard) = match outcome {
                Ok(outcome) => (outcome, true),
                Err(error) if error.is_panic() => {
                    tracing::error!(connector = connector.name(), "a connector panicked; its task fails");
                    (TaskOutcome::Failed(connector.lost_error(&resource)), false)
                }
                // Given up: nobody waits for it.
                Err(_) => {
                    shared.dispatch.lock().queues.failed(&slot.key);
                    return;
                }
            };
            let failed = matches!(outcome, TaskOutcome::Failed(_));
            // What was submitted before may be there though it cannot be submitted again; and whoever answers with what is
            // none has done something.
            let submission = if failed && is_heard && !resent { Submission::Failed } else { Submission::Done };
            if known {
                if waits_for_callback(&resource) && !failed && !shared.dispatch.is_mocks(slot.key.connector) {
                    shared.hold_while_open(task);
                }
                let kind = input(task, &resource, outcome);
                let is_unknown = matches!(kind, InputKind::SubmitFailed { .. }) && submission == Submission::Done;
                let origin = if is_unknown { Origin::Lost } else { Origin::Call };
                shared.tell_of_call(task, express.as_ref(), kind, origin);
            }
            {
                let mut state = shared.dispatch.lock();
                // Only now: whoever waits for the calls to end must find their inputs already submitted.
                state.calls.remove(&task);
                if failed {
                    state.queues.failed(&slot.key);
                }
            }
            // It may have closed by now.
            shared.dispatch.submission_over(&shared, task, submission);
            drop(slot);
        });
    }

    /// Whether everything is sent.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().open == Open::All
    }

    /// Sends nothing from now on.
    pub(crate) fn close(&self) {
        self.lock().open = Open::Nothing;
    }

    /// Sends only what Express executions want from now on.
    pub(crate) fn close_to_shards(&self) {
        let mut state = self.lock();
        if state.open == Open::All {
            state.open = Open::Express;
            for waiting in state.queues.retain(|waiting| matches!(waiting, Waiting::Express(..))) {
                state.places.remove(&waiting.task());
            }
        }
    }

    /// Gives up every call.
    pub(crate) fn abort(&self) {
        let calls = {
            let mut state = self.lock();
            state.jobs.abort();
            std::mem::take(&mut state.calls)
        };
        for call in calls.into_values() {
            call.abort();
        }
    }

    /// What each service is at.
    pub(crate) fn stats(&self, now: Millis) -> Vec<ServiceStats> {
        self.lock().queues.stats(now)
    }

    /// Tasks that wait for a slot, and calls in flight.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.lock();
        (state.places.len() as u64, state.calls.len() as u64)
    }
}

impl Shared {
    /// Tells an execution what became of a call: the Express one, if there is one.
    fn tell_of_call(&self, task: TaskRef, express: Option<&Arc<Run>>, kind: InputKind, origin: Origin) {
        match express {
            Some(run) => self.express.happened(run, kind),
            None => {
                let message = ShardMessage::Input { execution: task.execution, kind, origin };
                self.send(task.execution.id, message);
            }
        }
    }

    /// Whoever a callback's token was given to holds its task, unless that is over.
    fn hold_while_open(&self, task: TaskRef) {
        let state = self.dispatch.lock();
        if state.calls.contains_key(&task) {
            self.quiet.hold(task);
        }
    }
}

/// The machine of a name, which a distributed Map's is followed by its label's in.
fn machine_of(name: &str) -> &str {
    name.split_once('/').map_or(name, |(machine, _)| machine)
}

/// What a task of the runtime came to, and what keeps it counted as work.
pub(crate) type Ended = std::result::Result<(TaskOutcome, Option<Work>), JoinError>;

/// Runs what a connector does in a task of its own. `within`: it is work only as far as it runs.
pub(crate) fn counted(
    shared: &Shared,
    within: bool,
    call: impl Future<Output = TaskOutcome> + Send + 'static,
) -> JoinHandle<(TaskOutcome, Option<Work>)> {
    if within {
        let call = Counted::new(&shared.quiet, call);
        shared.runtime.spawn(async move {
            let (outcome, work) = call.await;
            (outcome, Some(work))
        })
    } else {
        shared.runtime.spawn(async move { (call.await, None) })
    }
}

/// What it came to, counted as work until that is dropped.
pub(crate) fn ended_with(ended: Ended, quiet: &Arc<Quiet>) -> (std::result::Result<TaskOutcome, JoinError>, Work) {
    match ended {
        Ok((outcome, work)) => (Ok(outcome), work.unwrap_or_else(|| quiet.work())),
        Err(error) => (Err(error), quiet.work()),
    }
}

pub(crate) fn waits_for_callback(resource: &Resource) -> bool {
    matches!(resource, Resource::Integration(integration) if integration.pattern == Pattern::WaitForTaskToken)
}

/// What a failed call of a resource is to its execution.
pub(crate) fn failed(resource: &Resource, task: TaskId, failure: ConnectorFailure) -> InputKind {
    let ConnectorFailure { error, cause } = failure;
    if waits_for_callback(resource) || resource.is_job() {
        InputKind::SubmitFailed { task, error, cause }
    } else {
        InputKind::TaskFailed { task, error, cause }
    }
}

/// What an outcome is to its execution.
pub(crate) fn input(task: TaskRef, resource: &Resource, outcome: TaskOutcome) -> InputKind {
    let task = task.task;
    // A connector's text becomes part of the execution: what is no JSON must not get that far.
    let valid = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
    match outcome {
        TaskOutcome::Succeeded(text) if valid(&text) => InputKind::TaskSucceeded { task, output: Payload::new(text) },
        TaskOutcome::Submitted(text) if valid(&text) => InputKind::TaskSubmitted { task, output: Payload::new(text) },
        TaskOutcome::Succeeded(_) | TaskOutcome::Submitted(_) => {
            failed(resource, task, ConnectorFailure::new("States.Runtime", NO_JSON))
        }
        TaskOutcome::Failed(failure) => failed(resource, task, failure),
    }
}
