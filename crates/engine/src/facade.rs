//! The engine as its callers see it: one method per operation, typed values in and out. Nothing is answered before
//! the commit that covers it is durable; reads see committed data only. It knows no HTTP and no AWS texts.

use std::{sync::Arc, time::Duration};

use stepwright_machine::{EventId, Millis, Status};
use stepwright_store::Store;

use crate::{
    connector::Connector,
    delivery::Delivery,
    error::{Error, Result},
    model::{
        Activity, Created, ExecutionDescription, ExecutionItem, HistoryPage, NewActivity, NewExecution,
        NewStateMachine, Page, PageRequest, Progress, QuarantinedExecution, Scope, Started, StateMachine,
        StateMachineItem, StateMachineUpdate, Stats, Tag, Updated,
    },
    options::EngineOptions,
};

/// A running engine. Cloning gives another handle on the same one; it stops with [`Engine::drain`].
#[derive(Clone)]
pub struct Engine {}

fn not_yet() -> Error {
    Error::unavailable("not served yet")
}

impl Engine {
    /// Opens an engine on a store: recovers what the store holds, then begins to work. Must be called inside a tokio
    /// runtime, which the connectors' calls run on.
    ///
    /// # Errors
    /// When the store cannot be read, or was written by a newer version.
    pub fn open(store: Arc<dyn Store>, connectors: Vec<Arc<dyn Connector>>, options: EngineOptions) -> Result<Engine> {
        let _ = (store, connectors, options);
        Ok(Engine {})
    }

    /// Whether the store failed under it. It answers nothing any more: open the store and an engine anew.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        false
    }

    /// Stops: takes no new work, sends no task, waits up to `deadline` for calls in flight and commits what they
    /// bring, then closes the store.
    ///
    /// # Errors
    /// When the store cannot be closed cleanly. No commit is lost by that.
    pub async fn drain(&self, deadline: Duration) -> Result<()> {
        let _ = deadline;
        Ok(())
    }

    /// What it holds and does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    // State machines

    /// CreateStateMachine. Equal name, definition text, type and configurations: the existing one, unchanged.
    ///
    /// # Errors
    /// `StateMachineAlreadyExists`, `StateMachineDeleting`, `TooManyTags`.
    pub async fn create_state_machine(&self, scope: &Scope, new: NewStateMachine) -> Result<Created> {
        let _ = (scope, new);
        Err(not_yet())
    }

    /// UpdateStateMachine. An update that changes nothing keeps the revision.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `StateMachineDeleting`, `MissingRequiredParameter`.
    pub async fn update_state_machine(&self, scope: &Scope, arn: &str, update: StateMachineUpdate) -> Result<Updated> {
        let _ = (scope, arn, update);
        Err(not_yet())
    }

    /// DescribeStateMachine.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`.
    pub async fn describe_state_machine(&self, scope: &Scope, arn: &str) -> Result<StateMachine> {
        let _ = (scope, arn);
        Err(not_yet())
    }

    /// DescribeStateMachineForExecution: the revision that the execution runs.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn describe_state_machine_for_execution(&self, scope: &Scope, arn: &str) -> Result<StateMachine> {
        let _ = (scope, arn);
        Err(not_yet())
    }

    /// ListStateMachines, by name.
    ///
    /// # Errors
    /// `InvalidPageToken`.
    pub async fn list_state_machines(&self, scope: &Scope, page: PageRequest) -> Result<Page<StateMachineItem>> {
        let _ = (scope, page);
        Err(not_yet())
    }

    /// DeleteStateMachine. It takes no new executions from now on; running ones are aborted in the background and it
    /// is gone when the last has ended. An unknown machine is no error.
    ///
    /// # Errors
    /// `Full`, `Unavailable`.
    pub async fn delete_state_machine(&self, scope: &Scope, arn: &str) -> Result<()> {
        let _ = (scope, arn);
        Err(not_yet())
    }

    // Executions

    /// StartExecution. The same name and input as a running execution: that one.
    ///
    /// # Errors
    /// `StateMachineDoesNotExist`, `StateMachineDeleting`, `StateMachineTypeNotSupported`, `ExecutionAlreadyExists`.
    pub async fn start_execution(&self, scope: &Scope, new: NewExecution) -> Result<Started> {
        let _ = (scope, new);
        Err(not_yet())
    }

    /// DescribeExecution.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn describe_execution(&self, scope: &Scope, arn: &str) -> Result<ExecutionDescription> {
        let _ = (scope, arn);
        Err(not_yet())
    }

    /// ListExecutions of a state machine, newest first; `status` keeps only those.
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
        let _ = (scope, state_machine_arn, status, page);
        Err(not_yet())
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
        let _ = (scope, arn, error, cause);
        Err(not_yet())
    }

    /// GetExecutionHistory, by event number, backwards with `reverse`. A page also ends at 4 MiB.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`, `InvalidPageToken`.
    pub async fn history(&self, scope: &Scope, arn: &str, page: PageRequest, reverse: bool) -> Result<HistoryPage> {
        let _ = (scope, arn, page, reverse);
        Err(not_yet())
    }

    /// Waits until the execution has an event with a number above `after`, or has ended. Returns how far it is.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn wait_for_change(&self, scope: &Scope, arn: &str, after: EventId) -> Result<Progress> {
        let _ = (scope, arn, after);
        Err(not_yet())
    }

    // Activities and task tokens

    /// CreateActivity. An existing one is returned as it is.
    ///
    /// # Errors
    /// `ActivityAlreadyExists` (other encryption), `TooManyTags`.
    pub async fn create_activity(&self, scope: &Scope, new: NewActivity) -> Result<Created> {
        let _ = (scope, new);
        Err(not_yet())
    }

    /// DescribeActivity.
    ///
    /// # Errors
    /// `ActivityDoesNotExist`.
    pub async fn describe_activity(&self, scope: &Scope, arn: &str) -> Result<Activity> {
        let _ = (scope, arn);
        Err(not_yet())
    }

    /// ListActivities, by name.
    ///
    /// # Errors
    /// `InvalidPageToken`.
    pub async fn list_activities(&self, scope: &Scope, page: PageRequest) -> Result<Page<Activity>> {
        let _ = (scope, page);
        Err(not_yet())
    }

    /// DeleteActivity. An unknown one is no error.
    ///
    /// # Errors
    /// `Full`, `Unavailable`.
    pub async fn delete_activity(&self, scope: &Scope, arn: &str) -> Result<()> {
        let _ = (scope, arn);
        Err(not_yet())
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
        let _ = (scope, arn, worker_name);
        Err(not_yet())
    }

    /// SendTaskSuccess. `output` is valid JSON text.
    ///
    /// # Errors
    /// `InvalidToken`, `TaskTimedOut`, `TaskDoesNotExist`.
    pub async fn send_task_success(&self, scope: &Scope, token: &str, output: Arc<str>) -> Result<()> {
        let _ = (scope, token, output);
        Err(not_yet())
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
        let _ = (scope, token, error, cause);
        Err(not_yet())
    }

    /// SendTaskHeartbeat.
    ///
    /// # Errors
    /// `InvalidToken`, `TaskTimedOut`, `TaskDoesNotExist`.
    pub async fn send_task_heartbeat(&self, scope: &Scope, token: &str) -> Result<()> {
        let _ = (scope, token);
        Err(not_yet())
    }

    // Tags

    /// TagResource: sets these tags, keeps the others.
    ///
    /// # Errors
    /// `ResourceNotFound`, `TooManyTags`.
    pub async fn tag_resource(&self, scope: &Scope, arn: &str, tags: Vec<Tag>) -> Result<()> {
        let _ = (scope, arn, tags);
        Err(not_yet())
    }

    /// UntagResource. Keys that are not there are no error.
    ///
    /// # Errors
    /// `ResourceNotFound`.
    pub async fn untag_resource(&self, scope: &Scope, arn: &str, keys: Vec<Arc<str>>) -> Result<()> {
        let _ = (scope, arn, keys);
        Err(not_yet())
    }

    /// ListTagsForResource, by key.
    ///
    /// # Errors
    /// `ResourceNotFound`.
    pub async fn list_tags(&self, scope: &Scope, arn: &str) -> Result<Vec<Tag>> {
        let _ = (scope, arn);
        Err(not_yet())
    }

    // Quarantine: an operator's view, over all accounts and regions

    /// Every execution in quarantine.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    pub async fn quarantine_list(&self) -> Result<Vec<QuarantinedExecution>> {
        Err(not_yet())
    }

    /// One execution in quarantine.
    ///
    /// # Errors
    /// `NotQuarantined`.
    pub async fn quarantine_show(&self, arn: &str) -> Result<QuarantinedExecution> {
        let _ = arn;
        Err(not_yet())
    }

    /// Takes it out and gives it its inputs again.
    ///
    /// # Errors
    /// `NotQuarantined`; `Quarantined` when it broke again at once.
    pub async fn quarantine_retry(&self, arn: &str) -> Result<()> {
        let _ = arn;
        Err(not_yet())
    }

    /// Takes it out and ends it as failed.
    ///
    /// # Errors
    /// `NotQuarantined`.
    pub async fn quarantine_fail(&self, arn: &str) -> Result<()> {
        let _ = arn;
        Err(not_yet())
    }
}
