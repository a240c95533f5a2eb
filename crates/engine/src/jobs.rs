//! Jobs (`.sync`): those that are followed to their end, and those that are to be ended because their task closed without
//! them. That one is to be ended is a row, written by the commit that closes the task; it stays until the connector says that
//! it is done, over restarts.

use std::{collections::HashMap, sync::Arc};

use stepwright_asl::Resource;
use stepwright_machine::Millis;
use stepwright_store::{
    Commit, Table, keys,
    records::{JobRow, TaskRow, TaskTarget},
};
use tokio::task::AbortHandle;

use crate::{
    connector::{ConnectorFailure, TaskCall, TaskOutcome},
    dispatch::{Dispatch, counted, ended_with, input},
    drive::unserved,
    message::{After, Origin, Pending, ShardMessage, TaskRef},
    quiet::Work,
    shared::Shared,
    timers::Later,
};

/// How often a connector is asked to end a job before it is given up: with the pauses, for about half an hour. A restart
/// begins anew.
const ATTEMPTS: u32 = 36;
/// The pause after the first attempt; each is twice as long as the one before.
const FIRST_PAUSE_MS: Millis = 1_000;
const LONGEST_PAUSE_MS: Millis = 60_000;

/// The jobs of open tasks that are followed, and of closed ones that are to be ended.
#[derive(Default)]
pub(crate) struct Jobs {
    followed: HashMap<TaskRef, AbortHandle>,
    ending: HashMap<TaskRef, Ending>,
}

/// A job that is to be ended.
struct Ending {
    call: Box<TaskCall>,
    at: At,
    /// Time is not skipped while something happens for it.
    work: Option<Work>,
    /// How often its connector was asked.
    attempts: u32,
}

enum At {
    /// Its submission is under way. The answer says whether there is anything to end.
    Submission,
    /// The connector is asked.
    Attempt(AbortHandle),
    /// The connector is to be asked, now or after a pause.
    Pause,
    /// It is done: its row is being deleted.
    Done,
}

/// What the call that was to submit a job came to, for one that is to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submission {
    /// There is no job.
    Failed,
    /// There is one, or may be.
    Done,
}

impl Jobs {
    /// Follows a job no more.
    pub(crate) fn leave(&mut self, task: TaskRef) {
        if let Some(following) = self.followed.remove(&task) {
            following.abort();
        }
    }

    /// A job whose submission is under way is to be ended.
    pub(crate) fn end_later(&mut self, task: TaskRef, call: Box<TaskCall>, work: Work) {
        self.ending.entry(task).or_insert(Ending { call, at: At::Submission, work: Some(work), attempts: 0 });
    }

    /// Whether the job of a task is to be ended.
    pub(crate) fn is_ending(&self, task: TaskRef) -> bool {
        self.ending.contains_key(&task)
    }

    /// Gives up everything. What is to be ended is in the store.
    pub(crate) fn abort(&mut self) {
        for following in std::mem::take(&mut self.followed).into_values() {
            following.abort();
        }
        for ending in std::mem::take(&mut self.ending).into_values() {
            if let At::Attempt(attempt) = ending.at {
                attempt.abort();
            }
        }
    }
}

impl Dispatch {
    /// Follows a submitted job to its end, which is an input.
    pub(crate) fn follow(&self, shared: &Arc<Shared>, task: TaskRef, call: TaskCall) {
        let Some(place) = self.connector_of_job(&call) else {
            let outcome = TaskOutcome::Failed(unserved(&call.resource));
            return shared.send(task.execution.id, ended(task, &call.resource, outcome, Origin::Lost));
        };
        let connector = self.connector(place);
        let mut state = self.lock();
        // It is no call any more.
        state.unqueue(task);
        if !state.sends_all() || state.jobs.followed.contains_key(&task) {
            return;
        }
        // What the connector does may panic in building the future, too.
        let (inner_connector, resource) = (connector.clone(), call.resource.clone());
        let (quiet, within) = (shared.quiet.clone(), connector.within(&call));
        let work = (!within).then(|| quiet.work());
        let inner = counted(shared, within, async move { inner_connector.follow(call).await });
        state.jobs.followed.insert(task, inner.abort_handle());
        drop(state);
        let engine = shared.weak();
        shared.runtime.spawn(async move {
            let _work = work;
            let (outcome, _counted) = ended_with(inner.await, &quiet);
            let (outcome, origin) = match outcome {
                Ok(outcome) => (outcome, Origin::Call),
                Err(error) if error.is_panic() => {
                    tracing::error!(connector = connector.name(), "a connector panicked; its task fails");
                    (TaskOutcome::Failed(connector.lost_error(&resource)), Origin::Lost)
                }
                Err(_) => return,
            };
            let Some(shared) = engine.upgrade() else { return };
            if shared.dispatch.lock().jobs.followed.remove(&task).is_some() {
                shared.send(task.execution.id, ended(task, &resource, outcome, origin));
            }
        });
    }

    /// Ends the job of a task that is closed. Its row says so already.
    pub(crate) fn end_job(&self, shared: &Shared, task: TaskRef, call: Box<TaskCall>) {
        let work = Some(shared.quiet.work());
        self.lock().jobs.ending.entry(task).or_insert(Ending { call, at: At::Pause, work, attempts: 0 });
        self.try_to_end(shared, task);
    }

    /// The submission is over of a job that is to be ended.
    pub(crate) fn submission_over(&self, shared: &Shared, task: TaskRef, submission: Submission) {
        {
            let mut state = self.lock();
            match state.jobs.ending.get_mut(&task) {
                Some(ending) if matches!(ending.at, At::Submission) => ending.at = At::Pause,
                _ => return,
            }
        }
        match submission {
            Submission::Failed => self.job_is_over(shared, task),
            Submission::Done => self.try_to_end(shared, task),
        }
    }

    /// Asks the connector to end a job, unless it is being asked.
    pub(crate) fn try_to_end(&self, shared: &Shared, task: TaskRef) {
        let mut state = self.lock();
        if !state.sends_all() {
            // Whoever opens the store next goes on.
            return;
        }
        let Some(ending) = state.jobs.ending.get_mut(&task).filter(|ending| matches!(ending.at, At::Pause)) else {
            return;
        };
        ending.attempts += 1;
        ending.work.get_or_insert_with(|| shared.quiet.work());
        let Some(place) = self.connector_of_job(&ending.call) else {
            let failure = unserved(&ending.call.resource);
            drop(state);
            return self.attempt_failed(shared, task, &failure);
        };
        let (connector, call) = (self.connector(place), TaskCall::clone(&ending.call));
        // What the connector does may panic in building the future, too.
        let inner = shared.runtime.spawn(async move { connector.cancel(call).await });
        ending.at = At::Attempt(inner.abort_handle());
        drop(state);
        let engine = shared.weak();
        shared.runtime.spawn(async move {
            let done = match inner.await {
                Ok(done) => done,
                Err(error) if error.is_panic() => {
                    Err(ConnectorFailure::new("States.Runtime", "The connector panicked."))
                }
                Err(_) => return,
            };
            let Some(shared) = engine.upgrade() else { return };
            match done {
                Ok(()) => shared.dispatch.job_is_over(&shared, task),
                Err(failure) => shared.dispatch.attempt_failed(&shared, task, &failure),
            }
        });
    }

    fn attempt_failed(&self, shared: &Shared, task: TaskRef, failure: &ConnectorFailure) {
        let mut state = self.lock();
        let Some(ending) = state.jobs.ending.get_mut(&task) else { return };
        ending.at = At::Pause;
        let (attempts, call) = (ending.attempts, TaskCall::clone(&ending.call));
        drop(state);
        let (execution, state_name, resource) = (call.execution_arn, call.state_name, call.resource.arn().clone());
        let error = failure.error.as_deref().unwrap_or_default();
        let cause = failure.cause.as_deref().unwrap_or_default();
        if attempts < ATTEMPTS {
            tracing::warn!(
                %execution, state = %state_name, %resource, error, cause, attempts,
                "a job that nobody waits for could not be ended; trying again"
            );
            shared.timers.later(shared.now().saturating_add(pause(attempts)), Later::EndJob(task));
            // Only time goes on until then.
            if let Some(ending) = self.lock().jobs.ending.get_mut(&task)
                && matches!(ending.at, At::Pause)
            {
                drop(ending.work.take());
            }
            return;
        }
        tracing::error!(
            %execution, state = %state_name, %resource, error, cause, attempts,
            "a job that nobody waits for could not be ended and was given up: it may run on; end it by hand"
        );
        self.job_is_over(shared, task);
    }

    /// Nothing is left to be ended: its row goes.
    pub(crate) fn job_is_over(&self, shared: &Shared, task: TaskRef) {
        match self.lock().jobs.ending.get_mut(&task) {
            Some(ending) => ending.at = At::Done,
            None => return,
        }
        let mut commit = Commit::default();
        commit.delete(Table::Task, keys::task(task.execution.scope, task.execution.id, task.task));
        let after = vec![After::JobOver(task)];
        shared.submit(Pending { shard: None, execution: None, commit, after });
    }

    /// The row of a job that was to be ended is gone.
    pub(crate) fn job_forgotten(&self, task: TaskRef) {
        self.lock().jobs.ending.remove(&task);
    }
}

/// The pause after so many attempts.
fn pause(attempts: u32) -> Millis {
    FIRST_PAUSE_MS.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(LONGEST_PAUSE_MS)
}

/// The end of a job.
fn ended(task: TaskRef, resource: &Resource, outcome: TaskOutcome, origin: Origin) -> ShardMessage {
    use stepwright_machine::InputKind;
    let kind = match input(task, resource, outcome) {
        InputKind::SubmitFailed { task, error, cause } => InputKind::TaskFailed { task, error, cause },
        kind => kind,
    };
    ShardMessage::Input { execution: task.execution, kind, origin }
}

/// The row of a job that is to be ended.
pub(crate) fn row(call: &TaskCall) -> TaskRow {
    let job = JobRow {
        resource: call.resource.arn().clone(),
        input: call.input.clone(),
        task_role_arn: call.task_role_arn.clone(),
        role_arn: call.role_arn.clone(),
        execution_arn: call.execution_arn.clone(),
        state_machine_arn: call.state_machine_arn.clone(),
        state_name: call.state_name.clone(),
        token: call.token.clone(),
        timeout_seconds: call.timeout_seconds,
        retry_count: call.retry_count,
        closed_at: call.started_at,
    };
    TaskRow { sequence: 0, target: TaskTarget::Cancel(Box::new(job)), started: true }
}

/// What [`row`] was made of; none if this version knows no such resource.
pub(crate) fn call_of(row: &JobRow) -> Option<TaskCall> {
    let parts = crate::arn::parts(&row.execution_arn);
    Some(TaskCall {
        resource: Resource::parse(&row.resource).ok()?,
        input: row.input.clone(),
        task_role_arn: row.task_role_arn.clone(),
        role_arn: row.role_arn.clone(),
        account: parts.as_ref().map_or("", |parts| parts.account).into(),
        region: parts.as_ref().map_or("", |parts| parts.region).into(),
        execution_arn: row.execution_arn.clone(),
        state_machine_arn: row.state_machine_arn.clone(),
        state_name: row.state_name.clone(),
        token: row.token.clone(),
        timeout_seconds: row.timeout_seconds,
        retry_count: row.retry_count,
        started_at: row.closed_at,
        resent: true,
        test_case: None,
        items: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let pauses: Vec<Millis> = [1, 2, 3, 6, 7, 35].map(pause).into();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 32_000, 60_000, 60_000]);
    }

    #[test]
    fn a_row_is_read_back_as_the_call_that_it_was_made_of() {
        let call = TaskCall {
            resource: Resource::parse("arn:aws:states:::states:startExecution.sync:2").expect("a resource"),
            input: "{}".into(),
            task_role_arn: None,
            role_arn: "arn:aws:iam::000000000000:role/r".into(),
            account: "000000000000".into(),
            region: "eu-west-1".into(),
            execution_arn: "arn:aws:states:eu-west-1:000000000000:execution:m:e".into(),
            state_machine_arn: "arn:aws:states:eu-west-1:000000000000:stateMachine:m".into(),
            state_name: "S".into(),
            token: "t".into(),
            timeout_seconds: Some(7),
            retry_count: 2,
            started_at: 5,
            resent: true,
            test_case: None,
            items: Vec::new(),
        };
        let TaskTarget::Cancel(job) = row(&call).target else { panic!("it says that a job is to be ended") };
        let read = call_of(&job).expect("its resource is known");
        assert_eq!(format!("{read:?}"), format!("{call:?}"));
    }
}
