//! What a Task state's resource is called through. A connector makes one call and tells how it ended; it never sees
//! the store, an execution's state or a history, and it never decides about retries.

use std::{borrow::Cow, future::Future, pin::Pin, sync::Arc};

use stepwright_asl::Resource;
use stepwright_machine::Millis;

/// A future that may be sent to another thread.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// A family of resources that can be called.
///
/// The engine asks the connectors in the order they were given; the first that accepts a resource serves it. A call
/// is made after "started" was committed, once, and never again by the engine itself unless
/// [`OnLost::Resend`](crate::OnLost::Resend) was chosen.
pub trait Connector: Send + Sync + 'static {
    /// A short name for logs and metrics, such as `lambda`.
    fn name(&self) -> &'static str;

    /// Whether it serves this resource.
    fn accepts(&self, resource: &Resource) -> bool;

    /// The service that a call goes to: each has slots, a queue and figures of its own, so that one that is slow delays
    /// only calls of itself. `input` is that of the [`TaskCall`]. A name of a few words; without any, all calls of the
    /// connector are alike.
    fn service<'a>(&'a self, resource: &'a Resource, input: &'a str) -> Cow<'a, str> {
        let _ = (resource, input);
        Cow::Borrowed(self.name())
    }

    /// How much of it may happen at once, whatever is configured.
    fn limits(&self) -> ConnectorLimits {
        ConnectorLimits::default()
    }

    /// What a state fails with whose call was under way when the process died: the connector's own connection error.
    fn lost_error(&self, resource: &Resource) -> ConnectorFailure;

    /// Whether a call of this resource that a crash may have lost is made again: the connector recognises it by what it
    /// knows of the task ([`TaskCall::resent`]), so that it happens once all the same.
    fn repeats(&self, resource: &Resource) -> bool {
        let _ = resource;
        false
    }

    /// Whether this call, or the job that it began, happens in this very engine, so that it awaits nothing but the
    /// engine and its clock: time may be skipped meanwhile.
    fn within(&self, task: &TaskCall) -> bool {
        let _ = task;
        false
    }

    /// Waits for the end of a job that was submitted (`.sync`). Asked once the submission is durable, and again after
    /// each restart; it must find the job by the task alone. What it comes to says that the job has ended: a follower
    /// that cannot know goes on waiting. Dropping the future stops waiting, not the job.
    fn follow(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let failure = self.lost_error(&task.resource);
        Box::pin(async move { TaskOutcome::Failed(failure) })
    }

    /// Ends a job that nobody waits for any more.
    ///
    /// Asked after the task closed, and after its submission was answered; again with pauses as long as it fails, and again
    /// after a restart, so whatever was done before must not matter. There may be no such job (the submission failed, or never
    /// arrived) and it may have ended: both are done. What is not the task's own must not be touched. It must end in bounded time.
    ///
    /// # Errors
    /// Why it is not known to be done. It is asked again, some thirty times.
    fn cancel(&self, task: TaskCall) -> BoxFuture<Result<(), ConnectorFailure>> {
        drop(task);
        Box::pin(async { Ok(()) })
    }

    /// Makes the call. Dropping the future gives it up; the submission of a job is not dropped when its task closes, but
    /// heard to its end, so that the job can be ended.
    ///
    /// Called inside a tokio runtime. A panic in the future is a failure of the task, not of the engine.
    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome>;
}

/// Answers tasks of executions that were started for a test case, instead of what they call. A call of it that a crash
/// may have lost is made again. What it answers to a callback pattern is the answer of whoever got the token; what it
/// merely submits is never answered.
pub trait Mocks: Connector {
    /// Whether a test case of a machine answers a state's tasks.
    fn answers(&self, machine: &str, case: &str, state: &str) -> bool;
}

/// How much of a connector may happen at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectorLimits {
    /// Calls in flight at most, over all executions.
    pub concurrency: usize,
}

impl Default for ConnectorLimits {
    fn default() -> Self {
        Self { concurrency: usize::MAX }
    }
}

/// One call to make.
#[derive(Clone, Debug)]
pub struct TaskCall {
    /// What is called.
    pub resource: Resource,
    /// The effective input (of a function ARN) or the parameters (of an integration), JSON text.
    pub input: Arc<str>,
    /// The role to assume: `Credentials.RoleArn`, if the state has it.
    pub task_role_arn: Option<Arc<str>>,
    /// The state machine's role.
    pub role_arn: Arc<str>,
    /// The execution's account.
    pub account: Arc<str>,
    /// The execution's region.
    pub region: Arc<str>,
    /// The execution's ARN.
    pub execution_arn: Arc<str>,
    /// The state machine's ARN.
    pub state_machine_arn: Arc<str>,
    /// The state's name.
    pub state_name: Arc<str>,
    /// The task's token, for callback patterns (it stands in `input` already where the definition says so) and as a
    /// key that makes a call recognisable.
    pub token: Arc<str>,
    /// `TimeoutSeconds` in force; none: the connector's own limit.
    pub timeout_seconds: Option<u64>,
    /// The retries of this visit of the state so far: 0 at the first attempt.
    pub retry_count: u32,
    /// When the call was committed as started.
    pub started_at: Millis,
    /// Whether an earlier process may have made this same call (only with `OnLost::Resend`).
    pub resent: bool,
    /// The test case whose mocked answers the execution gets.
    pub test_case: Option<Arc<str>>,
    /// The indices of the Map items in which it is made, outermost first.
    pub items: Vec<u32>,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskOutcome {
    /// With a result, JSON text.
    Succeeded(Arc<str>),
    /// With an error.
    Failed(ConnectorFailure),
    /// A job or callback was submitted; its end will be reported. The submit call's answer, JSON text.
    Submitted(Arc<str>),
}

/// Error name and cause as the state sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectorFailure {
    /// Error name, such as `Lambda.TooManyRequestsException`.
    pub error: Option<Arc<str>>,
    /// Cause.
    pub cause: Option<Arc<str>>,
}

impl ConnectorFailure {
    /// An error with a cause.
    #[must_use]
    pub fn new(error: impl Into<Arc<str>>, cause: impl Into<Arc<str>>) -> Self {
        Self { error: Some(error.into()), cause: Some(cause.into()) }
    }
}
