//! What is done with open tasks after a crash (and when an execution leaves quarantine): what was never sent is sent;
//! what workers and jobs hold goes on as if nothing had happened; a call whose answer was lost is given to its shard. So
//! is what closed tasks left behind: jobs that are to be ended.

use std::collections::HashSet;

use stepwright_asl::StateId;
use stepwright_machine::{ExecutionId, InputKind};
use stepwright_store::{
    Store, Table, keys,
    records::{self, TaskRow, TaskTarget},
};

use crate::{
    error::Result,
    jobs,
    map_runs::{Happening, RunRef},
    message::{ExecutionRef, Origin, QueuedTask, ShardMessage, TaskRef},
    rows,
    shared::Shared,
};

/// The place in the queues after every task that is stored.
pub(crate) fn next_sequence(store: &dyn Store) -> Result<u64> {
    let mut next = 1;
    rows::for_each(store, Table::Task, &[], |_, value| {
        let row: TaskRow = records::decode(Table::Task, value)?;
        next = next.max(row.sequence + 1);
        Ok(())
    })?;
    Ok(next)
}

/// Takes up every open task, except those of executions in quarantine.
pub(crate) fn recover_tasks(shared: &Shared, quarantined: &HashSet<ExecutionId>) -> Result<()> {
    rows::for_each(&*shared.store, Table::Task, &[], |key, value| {
        recover_row(shared, key, value, |execution| quarantined.contains(&execution.id))
    })
}

/// Takes up the open tasks of one execution that left quarantine.
pub(crate) fn recover_tasks_of(shared: &Shared, execution: ExecutionRef) {
    let prefix = keys::execution(execution.scope, execution.id);
    let recovered =
        rows::for_each(&*shared.store, Table::Task, &prefix, |key, value| recover_row(shared, key, value, |_| false));
    if let Err(error) = recovered {
        tracing::error!(%error, "the tasks of an execution could not be read; they go on when the engine is opened again");
    }
}

/// Whether a task is answered by the test case of its execution.
fn is_mocked(shared: &Shared, task: TaskRef) -> Result<bool> {
    if shared.options.mocks.is_none() {
        return Ok(false);
    }
    let Some(hot) = shared.load(task.execution)? else { return Ok(false) };
    Ok(hot.open_task(task.task).is_some_and(|(visit, _)| {
        let state = hot.definition().state(StateId(visit.state));
        shared.dispatch.is_mocked(&hot.execution.info, &state.name)
    }))
}

fn recover_row(shared: &Shared, key: &[u8], value: &[u8], skip: impl Fn(ExecutionRef) -> bool) -> Result<()> {
    let Some((scope, id, task)) = keys::parse_task(key) else {
        tracing::error!(?key, "a task's key is damaged; it is left alone");
        return Ok(());
    };
    let execution = ExecutionRef { scope, id };
    let reference = TaskRef { execution, task };
    if shared.dispatch.knows(reference) {
        return Ok(());
    }
    let row: TaskRow = records::decode(Table::Task, value)?;
    // Its task is closed: whatever its execution is at does not matter.
    if let TaskTarget::Cancel(job) = &row.target {
        match jobs::call_of(job) {
            Some(call) => shared.dispatch.end_job(shared, reference, Box::new(call)),
            None => tracing::error!(
                execution = %job.execution_arn, resource = %job.resource,
                "this version knows no such resource: its job may run on; end it by hand"
            ),
        }
        return Ok(());
    }
    if skip(execution) {
        return Ok(());
    }
    let queued = QueuedTask { task: reference, sequence: row.sequence, started: false };
    let target = match row.target {
        TaskTarget::Activity(_) if is_mocked(shared, reference)? => TaskTarget::Call,
        target => target,
    };
    let message = match (target, row.started) {
        (TaskTarget::Continue, _) => {
            ShardMessage::Input { execution, kind: InputKind::Continue, origin: Origin::Continue }
        }
        (TaskTarget::Activity(arn), false) => {
            shared.activities.queue(shared, &arn, queued);
            return Ok(());
        }
        (TaskTarget::Call | TaskTarget::Submit, false) => ShardMessage::Requeue(queued),
        (TaskTarget::Call | TaskTarget::Submit, true) => ShardMessage::Lost(queued),
        (TaskTarget::Job, _) => ShardMessage::Follow(queued),
        (TaskTarget::MapRun(run), _) => {
            let run = RunRef { parent: execution, run: u128::from_be_bytes(run) };
            ShardMessage::MapRun { run, happening: Box::new(Happening::Open) }
        }
        (TaskTarget::Cancel(_), _) => return Ok(()),
        (TaskTarget::Activity(_), true) | (TaskTarget::Submitted, _) => {
            shared.quiet.hold(reference);
            return Ok(());
        }
    };
    shared.send(id, message);
    Ok(())
}
