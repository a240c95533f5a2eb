//! No task is handed to a connector twice unless that was asked for; an answered task never runs again; what the store
//! says of open tasks is what their executions wait for; no acknowledged answer is lost.

use std::collections::{BTreeMap, BTreeSet};

use stepwright_asl::{Pattern, Resource, StateId, StateKind};
use stepwright_machine::{
    ExecutionId, FrameId, TaskId,
    frame::{OpenTask, Position, TaskStage, Work},
};
use stepwright_store::{
    Table, keys,
    records::{self, TaskRow, TaskTarget},
};

use super::{Checked, Complaint, ensure};
use crate::{model::Model, rows::Rows};

const OUTBOX: &str = "the tasks that are stored are those that the execution waits for";

/// The open task with this number.
pub(crate) fn find(model: &Model, task: TaskId) -> Option<&OpenTask> {
    if model.is_closed() {
        return None;
    }
    match &model.execution.frames.get(&task.frame)?.position {
        Position::In(visit) => match &visit.work {
            Work::Task(open) if open.task == task => Some(open),
            _ => None,
        },
        _ => None,
    }
}

/// The stored tasks of an execution against those that its frames wait for.
pub(crate) fn rows(model: &Model, rows: &Rows) -> Checked {
    let id = model.execution.info.id;
    let mut expected: BTreeMap<TaskId, (TaskTarget, bool)> = BTreeMap::new();
    if model.execution.head.closing.is_none() {
        for frame in model.execution.frames.values() {
            let Position::In(visit) = &frame.position else { continue };
            if let Work::MapRun(open) = &visit.work
                && !open.ended
            {
                expected.insert(open.run, (TaskTarget::MapRun(open.uuid.to_be_bytes()), true));
            }
            let Work::Task(open) = &visit.work else { continue };
            let StateKind::Task(task) = &model.definition.state(StateId(visit.state)).kind else { continue };
            let target = match &task.resource {
                Resource::Activity { arn } => TaskTarget::Activity(arn.clone()),
                Resource::LambdaFunction { .. } => TaskTarget::Call,
                Resource::Integration(integration) if integration.pattern == Pattern::RequestResponse => {
                    TaskTarget::Call
                }
                Resource::Integration(integration) if open.stage == TaskStage::Submitted => match integration.pattern {
                    Pattern::Sync | Pattern::Sync2 => TaskTarget::Job,
                    _ => TaskTarget::Submitted,
                },
                Resource::Integration(_) => TaskTarget::Submit,
            };
            expected.insert(open.task, (target, open.stage != TaskStage::Scheduled));
        }
        if !model.execution.head.ready.is_empty() {
            expected.insert(TaskId { frame: FrameId::ROOT, number: 0 }, (TaskTarget::Continue, false));
        }
    }
    let prefix = keys::execution(model.scope, id);
    for (key, value) in rows.with_prefix(Table::Task, &prefix) {
        let row: Option<TaskRow> = records::decode(Table::Task, value).ok();
        let (Some((_, _, task)), Some(row)) = (keys::parse_task(key), row) else {
            return Err(Complaint::new(
                "tasks",
                "the row of a task can be read",
                format!("{key:?} of {}", model.label),
            ));
        };
        let wanted = expected.remove(&task);
        if wanted.is_none() && matches!(row.target, TaskTarget::Cancel(_)) {
            // What it left behind is yet to be ended.
            continue;
        }
        if wanted.is_none() && matches!(row.target, TaskTarget::MapRun(_)) {
            // Nobody waits for that run any more; it may not be over yet.
            continue;
        }
        let stored = (row.target, row.started);
        ensure(wanted.as_ref() == Some(&stored), "tasks", OUTBOX, || {
            format!("{} stores task {task:?} as {stored:?} and waits for {wanted:?}", model.label)
        })?;
    }
    ensure(expected.is_empty(), "tasks", OUTBOX, || format!("{} waits for {expected:?}, not stored", model.label))
}

/// What connectors and workers were given, over all processes.
#[derive(Default)]
pub(crate) struct Handed {
    called: BTreeSet<(ExecutionId, TaskId)>,
    answered: BTreeSet<(ExecutionId, TaskId)>,
}

impl Handed {
    /// A connector is called.
    pub(crate) fn call(&mut self, execution: ExecutionId, task: TaskId, resend: bool) -> Checked {
        let first = self.called.insert((execution, task));
        ensure(first || resend, "tasks", "no task is handed to a connector twice", || {
            format!("task {task:?} of {execution:?} was called again")
        })?;
        self.not_answered(execution, task)
    }

    /// A worker is given a task.
    pub(crate) fn worker(&self, execution: ExecutionId, task: TaskId) -> Checked {
        self.not_answered(execution, task)
    }

    /// An answer that ended a task was acknowledged.
    pub(crate) fn answered(&mut self, execution: ExecutionId, task: TaskId, may_be_second: bool) -> Checked {
        let first = self.answered.insert((execution, task));
        ensure(first || may_be_second, "tasks", "a task is answered once", || {
            format!("a second answer of task {task:?} of {execution:?} was acknowledged")
        })
    }

    fn not_answered(&self, execution: ExecutionId, task: TaskId) -> Checked {
        ensure(!self.answered.contains(&(execution, task)), "tasks", "an answered task never runs again", || {
            format!("task {task:?} of {execution:?} was answered and is given out again")
        })
    }
}
