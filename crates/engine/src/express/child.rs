//! EXPRESS children of map runs: as every Express execution they are in memory alone. Their run is told how they end,
//! and begins those again that a crash took.

use std::sync::Arc;

use stepwright_machine::{
    Closing, Execution, ExecutionId, ExecutionInfo, Failure, Limits, Millis, SEMANTICS, Workflow,
};

use super::{
    Run,
    run::{Body, Waiter},
};
use crate::{
    arn,
    catalog::StartPermit,
    error::Result,
    map_runs::{ChildEnd, Happening, MapRun, Ready, RunRef, attempt_uuid, name},
    options::ExpressOptions,
    shared::Shared,
};

/// The run that is told of a child.
pub(crate) struct Parent {
    pub(crate) run: RunRef,
    pub(crate) epoch: u64,
    pub(crate) child: u32,
    pub(crate) redrives: u32,
    /// The run knows that it goes on beyond its first turn.
    pub(crate) is_settled: bool,
}

impl Parent {
    /// It goes on beyond its first turn.
    pub(super) fn settled(&mut self, shared: &Shared) {
        if !std::mem::replace(&mut self.is_settled, true) {
            shared.send_to_run(self.run, Happening::Settled { epoch: self.epoch, child: self.child });
        }
    }

    /// It ended.
    pub(super) fn ended(self, shared: &Shared, started_at: Millis, closing: Closing) {
        let end = ChildEnd {
            status: closing.status,
            started_at,
            stopped_at: closing.at,
            output: closing.output.map(|output| output.text().clone()),
            failure: Failure { error: closing.error, cause: closing.cause },
            redrives: self.redrives,
        };
        let happening = Happening::Ended { epoch: Some(self.epoch), child: self.child, end: Box::new(end) };
        shared.send_to_run(self.run, happening);
    }
}

impl Shared {
    /// Begins an EXPRESS child of a map run.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn start_map_child(
        &self,
        run: &MapRun,
        ready: &Ready,
        permit: StartPermit,
        now: Millis,
    ) -> Result<Arc<Run>> {
        // Others find room beside the children, however many these are.
        let all = &self.options.express;
        let (executions, memory_bytes) = ((all.executions / 4 * 3).max(1), all.memory_bytes / 4 * 3);
        let children = ExpressOptions { executions, memory_bytes, ..*all };
        let place = self.express.load.admit(ready.input.len(), &children)?;
        let reference = run.reference;
        let machine = &run.revision.row;
        let name = name(reference.run, ready.child);
        let redrives = ready.redriven.map_or(0, |(count, _)| count);
        let id = ExecutionId::new(now, 0, self.seed());
        let label_arn = arn::labelled(&machine.machine_arn, &run.row.plan.label);
        let info = ExecutionInfo {
            id,
            arn: arn::express(&label_arn, &name, attempt_uuid(reference.run, ready.child, redrives)),
            name,
            role_arn: machine.role_arn.clone(),
            state_machine_name: format!("{}/{}", machine.machine_name, run.row.plan.label).into(),
            state_machine_arn: label_arn,
            version_arn: None,
            alias_arn: None,
            machine: u64::from(run.revision.machine),
            revision: u64::from(run.revision.number),
            started_at: now,
            trace_header: None,
            limits: Limits { history_events: 0, ..self.options.limits },
            semantics: SEMANTICS,
            scope: reference.parent.scope,
            token_key: self.secrets.token_key(id),
            workflow: Workflow::Express {
                began_at: now,
                lasts_seconds: self.options.express.lasts_seconds,
                synchronous: false,
            },
            flow: run.row.plan.flow,
            test_case: self.test_case_of(reference.parent),
        };
        let body = Body::new(Execution::new(info), run.revision.clone(), ready.input.clone(), place, permit);
        let start = body.start();
        let parent = Parent { run: reference, epoch: run.epoch, child: ready.child, redrives, is_settled: false };
        let started = Run::new(body, Waiter::MapRun(parent), vec![start.into()]);
        self.express.enter(&started);
        self.express.queue.push(started.threads, started.clone());
        Ok(started)
    }
}
