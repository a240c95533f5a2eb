//! The engine as its callers see it: one method per operation, typed values in and out. Nothing is answered before
//! the commit that covers it is durable; reads see committed data only. It knows no HTTP and no AWS texts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use stepwright_machine::{EventId, InputKind, Millis, Payload, Status, TaskId, token::Token};
use stepwright_store::Store;
use tokio::sync::oneshot;

use crate::{
    arn,
    connector::Connector,
    delivery::Delivery,
    error::{Error, Result},
    fair::ServiceStats,
    message::{ExecutionRef, Leave, Origin, RedriveRequest, ShardMessage, StartRequest, Way},
    model::{
        Activity, Alias, AliasUpdate, ClockState, Created, ExecutionDescription, ExecutionItem, ExpressEnd,
        HistoryPage, NewActivity, NewAlias, NewExecution, NewStateMachine, Page, PageRequest, Progress, Publication,
        QuarantinedExecution, Scope, Started, StateMachine, StateMachineItem, StateMachineUpdate, Stats, Tag, Updated,
    },
    options::EngineOptions,
    reads::Found,
    running::Running,
    secrets::partition,
    shared::Shared,
    virtual_clock::ClockMode,
};

/// A running engine. Cloning gives another handle on the same one; it stops with [`Engine::drain`].
#[derive(Clone)]
pub struct Engine {
    running: Arc<Running>,
}

impl Engine {
    /// Opens an engine on a store: recovers what the store holds, then begins to work. Must be called inside a tokio
    /// runtime, which the connectors' calls run on.
    ///
    /// # Errors
    /// When the store cannot be read, or was written by a newer version.
    pub fn open(store: Arc<dyn Store>, connectors: Vec<Arc<dyn Connector>>, options: EngineOptions) -> Result<Engine> {
        Ok(Self::of(Running::open(store, connectors, options)?))
    }

    pub(crate) fn of(running: Running) -> Engine {
        Engine { running: Arc::new(running) }
    }

    /// Whether the store failed under it. It answers nothing any more: open the store and an engine anew.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.shared().failed.load(Ordering::SeqCst)
    }

    /// Stops: sends no task of Standard executions, lets Express executions end, takes no new work, waits for calls in
    /// flight and commits what they bring, then closes the store. All waiting together takes up to `deadline`.
    /// Asynchronous Express executions that are left run again when the store is opened.
    ///
    /// # Errors
    /// When the store cannot be closed cleanly. No commit is lost by that.
    pub async fn drain(&self, deadline: Duration) -> Result<()> {
        self.running.drain(deadline).await
    }

    /// What it holds and does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let shared = self.shared();
        let counters = &shared.counters;
        let sum = |parts: &[AtomicU64]| parts.iter().map(|part| part.load(Ordering::Relaxed)).sum();
        let (queued_activity_tasks, pollers) = shared.activities.counts();
        let (queued_connector_tasks, calls_in_flight) = shared.dispatch.counts();
        let (express_open, express_bytes, express_waiting) = shared.express.counts();
        Stats {
            turns: counters.turns.load(Ordering::Relaxed),
            started: counters.started.load(Ordering::Relaxed),
            closed: counters.closed.load(Ordering::Relaxed),
            hot_executions: sum(&counters.hot_executions),
            hot_bytes: sum(&counters.hot_bytes),
            queued_activity_tasks,
            pollers,
            queued_connector_tasks,
            calls_in_flight,
            long_turns: shared.lane.away.load(Ordering::Relaxed) as u64,
            quarantined: counters.quarantined.load(Ordering::Relaxed),
            express_open,
            express_bytes,
            express_waiting,
            store: shared.store.stats(),
        }
    }

    /// What the services that tasks call are at, by connector and name.
    #[must_use]
    pub fn service_stats(&self) -> Vec<ServiceStats> {
        self.shared().dispatch.stats(self.shared().now())
    }

    // State machines

    /// CreateStateMachine. Equal name, definition text, type and configurations: the existing one, unchanged.
    ///
    /// # Errors
    /// `StateMachineAlreadyExists`, `StateMachineDeleting`, `TooManyTags`.
    pub async fn create_state_machine(&self, scope: &Scope, new: NewStateMachine) -> Result<Created> {
        let scope = scope.clone();
        self.shared().check_new()?;
        self.change(move |shared| async move { shared.create_state_machine(&scope, new).await }).await
    }

    /// UpdateStateMachine. An update that changes nothing keeps the revision.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `StateMachineDeleting`, `MissingRequiredParameter`.
    pub async fn update_state_machine(&self, scope: &Scope, arn: &str, update: StateMachineUpdate) -> Result<Updated> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.shared().check_new()?;
        self.change(move |shared| async move { shared.update_state_machine(&scope, &arn, update).await }).await
    }

    /// DescribeStateMachine: of the machine, of a version, or of the first version that an alias routes to.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`.
    pub async fn describe_state_machine(&self, scope: &Scope, arn: &str) -> Result<StateMachine> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.describe_state_machine(&scope, &arn)).await
    }

    /// DescribeStateMachineForExecution: the revision that the execution runs.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn describe_state_machine_for_execution(&self, scope: &Scope, arn: &str) -> Result<StateMachine> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.machine_for_execution(&scope, &arn)).await
    }

    /// ListStateMachines, by name.
    ///
    /// # Errors
    /// `InvalidPageToken`.
    pub async fn list_state_machines(&self, scope: &Scope, page: PageRequest) -> Result<Page<StateMachineItem>> {
        let scope = scope.clone();
        self.read(move |shared| shared.list_state_machines(&scope, &page)).await
    }

    /// DeleteStateMachine. It takes no new executions from now on; running ones are aborted in the background and it
    /// is gone when the last has ended. An unknown machine is no error.
    ///
    /// # Errors
    /// `Full`, `Unavailable`.
    pub async fn delete_state_machine(&self, scope: &Scope, arn: &str) -> Result<()> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.change(move |shared| async move { shared.delete_state_machine(&scope, &arn).await }).await
    }

    // Versions and aliases

    /// PublishStateMachineVersion: the revision in force becomes a version, or is one already.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `StateMachineDeleting`, `RevisionConflict`, `VersionConflict`, `TooManyVersions`.
    pub async fn publish_version(&self, scope: &Scope, arn: &str, publication: Publication) -> Result<Created> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.shared().check_new()?;
        self.change(move |shared| async move { shared.publish_version(&scope, &arn, publication).await }).await
    }

    /// DeleteStateMachineVersion. One that is gone is no error.
    ///
    /// # Errors
    /// `VersionInUse`.
    pub async fn delete_version(&self, scope: &Scope, arn: &str) -> Result<()> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.change(move |shared| async move { shared.delete_version(&scope, &arn).await }).await
    }

    /// ListStateMachineVersions, the newest first.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `InvalidPageToken`.
    pub async fn list_versions(&self, scope: &Scope, arn: &str, page: PageRequest) -> Result<Page<Created>> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.list_versions(&scope, &arn, &page)).await
    }

    /// CreateStateMachineAlias. One that is equal is returned as it is.
    ///
    /// # Errors
    /// `ResourceNotFound` (a version), `AliasConflict`, `StateMachineDeleting`, `TooManyAliases`.
    pub async fn create_alias(&self, scope: &Scope, new: NewAlias) -> Result<Created> {
        let scope = scope.clone();
        self.shared().check_new()?;
        self.change(move |shared| async move { shared.create_alias(&scope, new).await }).await
    }

    /// UpdateStateMachineAlias: when.
    ///
    /// # Errors
    /// `AliasDoesNotExist`, `ResourceNotFound` (a version), `StateMachineDeleting`.
    pub async fn update_alias(&self, scope: &Scope, arn: &str, update: AliasUpdate) -> Result<Millis> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.shared().check_new()?;
        self.change(move |shared| async move { shared.update_alias(&scope, &arn, update).await }).await
    }

    /// DescribeStateMachineAlias.
    ///
    /// # Errors
    /// `AliasDoesNotExist`.
    pub async fn describe_alias(&self, scope: &Scope, arn: &str) -> Result<Alias> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.describe_alias(&scope, &arn)).await
    }

    /// DeleteStateMachineAlias. One that is gone is no error.
    ///
    /// # Errors
    /// `Full`, `Unavailable`.
    pub async fn delete_alias(&self, scope: &Scope, arn: &str) -> Result<()> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.change(move |shared| async move { shared.delete_alias(&scope, &arn).await }).await
    }

    /// ListStateMachineAliases, by name: of a machine, or those that route to a version.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `InvalidPageToken`.
    pub async fn list_aliases(&self, scope: &Scope, arn: &str, page: PageRequest) -> Result<Page<Created>> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.list_aliases(&scope, &arn, &page)).await
    }

    // Executions

    /// StartExecution. The same name and input as a running execution: that one. Of an EXPRESS machine, each start is
    /// another execution, which runs at least once.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `StateMachineDeleting`, `ExecutionAlreadyExists`, `TooManyExpress`, `ExpressMemory`.
    pub async fn start_execution(&self, scope: &Scope, new: NewExecution) -> Result<Started> {
        let shared = self.shared();
        shared.check_new()?;
        let chosen = shared.choose(scope, &new.state_machine_arn)?;
        if chosen.is_express() {
            return shared.start_express(chosen, new).await;
        }
        shared.open.check(chosen.scope)?;
        let (reply, answer) = oneshot::channel();
        let machine_arn = chosen.revision.row.machine_arn.clone();
        let shard = usize::from(partition(&machine_arn, &new.name)) % shared.shards.len();
        let request = StartRequest {
            scope: chosen.scope,
            revision: chosen.revision,
            version: chosen.version,
            alias: chosen.alias,
            permit: chosen.permit,
            arn: arn::execution(&machine_arn, &new.name),
            name: new.name,
            input: new.input,
            trace_header: new.trace_header,
            test_case: new.test_case,
            reply,
        };
        drop(shared.shards[shard].send(ShardMessage::Start(Box::new(request))));
        answered(answer).await
    }

    /// StartSyncExecution: runs an execution of an EXPRESS machine, at most once, and tells how it ended. It goes on
    /// when the future is dropped.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `StateMachineDeleting`, `StateMachineTypeNotSupported`, `TooManyExpress`,
    /// `ExpressMemory`; `Unavailable` when the engine ended before it did.
    pub async fn start_sync_execution(&self, scope: &Scope, new: NewExecution) -> Result<ExpressEnd> {
        self.shared().start_sync(scope, new).await
    }

    /// DescribeExecution.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn describe_execution(&self, scope: &Scope, arn: &str) -> Result<ExecutionDescription> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.describe_execution(&scope, &arn)).await
    }

    /// ListExecutions of a state machine, a version or an alias, newest first; `status` keeps only those.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `StateMachineTypeNotSupported`, `InvalidPageToken`.
    pub async fn list_executions(
        &self,
        scope: &Scope,
        state_machine_arn: &str,
        status: Option<Status>,
        page: PageRequest,
    ) -> Result<Page<ExecutionItem>> {
        let scope = scope.clone();
        let arn = state_machine_arn.to_owned();
        self.read(move |shared| shared.list_executions(&scope, &arn, status, &page, shared.now())).await
    }

    /// StopExecution: when it ended (also if it had ended before).
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn stop_execution(
        &self,
        scope: &Scope,
        arn: &str,
        error: Option<Arc<str>>,
        cause: Option<Arc<str>>,
    ) -> Result<Millis> {
        let shared = self.shared();
        shared.check()?;
        let (of, name) = (scope.clone(), arn.to_owned());
        let found = self.read(move |shared| shared.find_execution(&of, &name)).await?;
        if let Some(end) = found.row.end {
            return Ok(end.closing.at);
        }
        let (reply, answer) = oneshot::channel();
        let kind = InputKind::Stop { error, cause };
        let execution = found.execution;
        let message = ShardMessage::Input { execution, kind, origin: Origin::Stop(Some(reply)) };
        shared.send(execution.id, message);
        answered(answer).await
    }

    /// RedriveExecution: when it went on. The same client token within a quarter of an hour: the same redrive.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`, `ExecutionNotRedrivable`.
    pub async fn redrive_execution(&self, scope: &Scope, arn: &str, client_token: Option<Arc<str>>) -> Result<Millis> {
        let shared = self.shared();
        shared.check_new()?;
        let (of, name) = (scope.clone(), arn.to_owned());
        let (found, permit) = self
            .read(move |shared| {
                let found = shared.find_execution(&of, &name)?;
                let Found { execution, row } = &found;
                let revision = shared.catalog.revision(execution.scope, row.machine, row.revision)?;
                let machine = &revision.row.machine_name;
                let permit = shared.catalog.permit_start(execution.scope, machine, None, 0, &revision.row.machine_arn);
                // A machine of the same name may have come after it.
                let permit = permit.ok().filter(|(machine, ..)| machine.number == row.machine);
                Ok((found, permit.map(|(_, _, permit)| permit)))
            })
            .await?;
        let execution = found.execution;
        shared.open.check(execution.scope)?;
        let (reply, answer) = oneshot::channel();
        let request = RedriveRequest { execution, client_token, permit, by_run: false, reply };
        shared.send(execution.id, ShardMessage::Redrive(Box::new(request)));
        answered(answer).await.map_err(|error| match error {
            Error::ExecutionDoesNotExist { .. } => Error::ExecutionDoesNotExist { arn: arn.into() },
            other => other,
        })
    }

    /// GetExecutionHistory, by event number, backwards with `reverse`. A page also ends at 4 MiB.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`, `InvalidPageToken`.
    pub async fn history(&self, scope: &Scope, arn: &str, page: PageRequest, reverse: bool) -> Result<HistoryPage> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.history(&scope, &arn, &page, reverse, shared.now())).await
    }

    /// Waits until the execution has an event with a number above `after`, or has ended. Returns how far it is.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn wait_for_change(&self, scope: &Scope, arn: &str, after: EventId) -> Result<Progress> {
        loop {
            let (of, name) = (scope.clone(), arn.to_owned());
            let (progress, changed) = self
                .read(move |shared| {
                    // Watched before it is read: no change falls between the two.
                    let changed = shared.watchers.watch(shared.find_execution(&of, &name)?.execution);
                    Ok((shared.progress(&of, &name)?, changed))
                })
                .await?;
            if progress.status != Status::Running || progress.last_event > after {
                return Ok(progress);
            }
            drop(changed.await);
            self.shared().check()?;
        }
    }

    // Activities and task tokens

    /// CreateActivity. An existing one is returned as it is.
    ///
    /// # Errors
    /// `ActivityAlreadyExists` (other encryption), `TooManyTags`.
    pub async fn create_activity(&self, scope: &Scope, new: NewActivity) -> Result<Created> {
        let scope = scope.clone();
        self.shared().check_new()?;
        self.change(move |shared| async move { shared.create_activity(&scope, new).await }).await
    }

    /// DescribeActivity.
    ///
    /// # Errors
    /// `ActivityDoesNotExist`.
    pub async fn describe_activity(&self, scope: &Scope, arn: &str) -> Result<Activity> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.describe_activity(&scope, &arn)).await
    }

    /// ListActivities, by name.
    ///
    /// # Errors
    /// `InvalidPageToken`.
    pub async fn list_activities(&self, scope: &Scope, page: PageRequest) -> Result<Page<Activity>> {
        let scope = scope.clone();
        self.read(move |shared| shared.list_activities(&scope, &page)).await
    }

    /// DeleteActivity. An unknown one is no error.
    ///
    /// # Errors
    /// `Full`, `Unavailable`.
    pub async fn delete_activity(&self, scope: &Scope, arn: &str) -> Result<()> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.change(move |shared| async move { shared.delete_activity(&scope, &arn).await }).await
    }

    /// GetActivityTask: the oldest task, or none after the long poll. Dropping the future ends the poll and takes no
    /// task. A [`Delivery`] that is dropped unconfirmed puts its task back at the head of the queue.
    ///
    /// # Errors
    /// `ActivityDoesNotExist` (also when it is deleted meanwhile), `ActivityWorkerLimitExceeded`.
    pub async fn get_activity_task(
        &self,
        scope: &Scope,
        arn: &str,
        worker_name: Option<Arc<str>>,
    ) -> Result<Option<Delivery>> {
        let shared = self.shared();
        shared.check()?;
        let (_, _, row) = shared.activity(scope, arn)?;
        shared.activities.poll(shared, row.arn, worker_name).await
    }

    /// SendTaskSuccess. `output` is valid JSON text.
    ///
    /// # Errors
    /// `InvalidToken`, `TaskTimedOut`, `TaskDoesNotExist`.
    pub async fn send_task_success(&self, scope: &Scope, token: &str, output: Arc<str>) -> Result<()> {
        self.answer(scope, token, |task| InputKind::TaskSucceeded { task, output: Payload::new(output) }).await
    }

    /// Whether a task token was issued here, be its task over or not: checked before what comes with the token.
    ///
    /// # Errors
    /// `InvalidToken`.
    pub fn check_token(&self, scope: &Scope, token: &str) -> Result<()> {
        self.issued(scope, token).map(drop)
    }

    /// SendTaskFailure.
    ///
    /// # Errors
    /// `InvalidToken`, `TaskTimedOut`, `TaskDoesNotExist`.
    pub async fn send_task_failure(
        &self,
        scope: &Scope,
        token: &str,
        error: Option<Arc<str>>,
        cause: Option<Arc<str>>,
    ) -> Result<()> {
        self.answer(scope, token, |task| InputKind::TaskFailed { task, error, cause }).await
    }

    /// SendTaskHeartbeat.
    ///
    /// # Errors
    /// `InvalidToken`, `TaskTimedOut`, `TaskDoesNotExist`.
    pub async fn send_task_heartbeat(&self, scope: &Scope, token: &str) -> Result<()> {
        self.answer(scope, token, |task| InputKind::Heartbeat { task }).await
    }

    // Tags

    /// TagResource: sets these tags, keeps the others.
    ///
    /// # Errors
    /// `ResourceNotFound`, `TooManyTags`.
    pub async fn tag_resource(&self, scope: &Scope, arn: &str, tags: Vec<Tag>) -> Result<()> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.change(move |shared| async move { shared.tag_resource(&scope, &arn, tags).await }).await
    }

    /// UntagResource. Keys that are not there are no error.
    ///
    /// # Errors
    /// `ResourceNotFound`.
    pub async fn untag_resource(&self, scope: &Scope, arn: &str, keys: Vec<Arc<str>>) -> Result<()> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.change(move |shared| async move { shared.untag_resource(&scope, &arn, keys).await }).await
    }

    /// ListTagsForResource, by key.
    ///
    /// # Errors
    /// `ResourceNotFound`.
    pub async fn list_tags(&self, scope: &Scope, arn: &str) -> Result<Vec<Tag>> {
        let scope = scope.clone();
        let arn = arn.to_owned();
        self.read(move |shared| shared.list_tags(&scope, &arn)).await
    }

    // Quarantine: an operator's view, over all accounts and regions

    /// Every execution in quarantine.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn quarantine_list(&self) -> Result<Vec<QuarantinedExecution>> {
        let found = self.read(|shared| shared.quarantined()).await?;
        Ok(found.into_iter().map(|(_, quarantined)| quarantined).collect())
    }

    /// One execution in quarantine.
    ///
    /// # Errors
    /// `NotQuarantined`.
    pub async fn quarantine_show(&self, arn: &str) -> Result<QuarantinedExecution> {
        let arn = arn.to_owned();
        Ok(self.read(move |shared| shared.find_quarantined(&arn)).await?.1)
    }

    /// Takes it out and gives it its inputs again.
    ///
    /// # Errors
    /// `NotQuarantined`; `Quarantined` when it broke again at once.
    pub async fn quarantine_retry(&self, arn: &str) -> Result<()> {
        self.leave_quarantine(arn, Way::Retry).await
    }

    /// Takes it out and ends it as failed.
    ///
    /// # Errors
    /// `NotQuarantined`.
    pub async fn quarantine_fail(&self, arn: &str) -> Result<()> {
        self.leave_quarantine(arn, Way::Fail).await
    }

    // The clock, if it is a virtual one

    /// What the clock is at.
    ///
    /// # Errors
    /// `Unavailable`: this engine's clock is not a virtual one.
    pub fn clock(&self) -> Result<ClockState> {
        self.shared().clock_state()
    }

    /// Lets a virtual clock that runs skip time from now on: for a server that is to be whole first.
    pub fn start_skipping(&self) {
        self.shared().start_skipping();
    }

    /// Lets the clock go on in this mode.
    ///
    /// # Errors
    /// `Unavailable`: this engine's clock is not a virtual one, or the store refuses.
    pub async fn set_clock(&self, mode: ClockMode) -> Result<()> {
        self.shared().set_clock(mode).await
    }

    /// Advances the clock by milliseconds, by way of all timers until then: each fires at its own time. Ready when it is
    /// there. It gets there also when nobody waits for it.
    ///
    /// # Errors
    /// As [`Engine::set_clock`].
    pub async fn advance_clock(&self, millis: Millis) -> Result<()> {
        self.shared().advance_clock(millis).await
    }

    // What the operations share

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.running.shared
    }

    /// Reads on a thread that may wait for a disk.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Arc<Shared>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let shared = self.shared().clone();
        if shared.stepped.get().is_some() {
            return read(&shared);
        }
        // As long as it reads, and until whoever asked goes on.
        let _work = shared.quiet.work();
        let read = shared.runtime.clone().spawn_blocking(move || read(&shared));
        read.await.unwrap_or_else(|error| Err(Error::unavailable(format!("a read did not end: {error}"))))
    }

    /// Changes the catalog in a task of its own, which goes on when the caller goes away.
    async fn change<T, F>(&self, change: impl FnOnce(Arc<Shared>) -> F + Send + 'static) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let shared = self.shared().clone();
        shared.check()?;
        let _work = shared.quiet.work();
        let change = shared.runtime.clone().spawn(change(shared));
        change.await.unwrap_or_else(|error| Err(Error::unavailable(format!("a change did not end: {error}"))))
    }

    fn issued(&self, scope: &Scope, token: &str) -> Result<Token> {
        let shared = self.shared();
        let token = Token::parse(token).ok_or(Error::InvalidToken)?;
        let own = shared.catalog.scope_number(scope) == Some(token.scope);
        if !own || !token.verify(&shared.secrets.token_key(token.execution)) {
            return Err(Error::InvalidToken);
        }
        Ok(token)
    }

    async fn answer(&self, scope: &Scope, token: &str, kind: impl FnOnce(TaskId) -> InputKind) -> Result<()> {
        let shared = self.shared();
        shared.check()?;
        let token = self.issued(scope, token)?;
        let execution = ExecutionRef { scope: token.scope, id: token.execution };
        let (reply, answer) = oneshot::channel();
        let message = ShardMessage::Input { execution, kind: kind(token.task), origin: Origin::Answer(reply) };
        shared.send(execution.id, message);
        answered(answer).await
    }

    async fn leave_quarantine(&self, arn: &str, way: Way) -> Result<()> {
        let shared = self.shared();
        shared.check()?;
        let named = arn.to_owned();
        let (execution, _) = self.read(move |shared| shared.find_quarantined(&named)).await?;
        let (reply, answer) = oneshot::channel();
        shared.send(execution.id, ShardMessage::Leave(Leave { execution, way, reply }));
        answered(answer).await.map_err(|error| match error {
            Error::NotQuarantined { .. } => Error::NotQuarantined { arn: arn.into() },
            other => other,
        })
    }
}

pub(crate) async fn answered<T>(answer: oneshot::Receiver<Result<T>>) -> Result<T> {
    answer.await.unwrap_or_else(|_| Err(Error::unavailable("the engine stopped")))
}
