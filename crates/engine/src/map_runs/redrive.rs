//! A map run that ended badly goes on: children that failed begin again, those that never began begin now, and what ended
//! well stays (AWS: documented).

use stepwright_machine::{ExecutionId, Millis, Status};
use stepwright_store::map_runs::MapChildRow;
use tokio::sync::oneshot;

use super::{
    Happening, MapRun,
    run::{Kind, Ready, Stage},
};
use crate::{
    catalog::StartPermit,
    error::{Error, Result},
    message::{ExecutionRef, RedriveRequest, ShardMessage},
    shard::Shard,
    shared::RETRY_MS,
    timers::Later,
};

/// Children looked for ahead of those that may begin.
const AHEAD: usize = 512;

impl MapRun {
    /// Begins to go on, after so many redrives of its execution.
    pub(super) fn begin_redrive(&mut self, redrives: u32, now: Millis) {
        let state = &mut self.state;
        state.status = Status::Running;
        state.stopped_at = None;
        state.failure = None;
        state.output = None;
        state.results_written = 0;
        state.redriven = Some((redrives, now));
        state.redriving = Some(0);
        self.stage = Stage::Running;
        self.changed = true;
    }
}

impl Shard {
    /// Finds children that are to begin again.
    pub(super) fn find_redrivable(&mut self, run: &mut MapRun, now: Millis) {
        let scope = run.reference.parent.scope;
        let attempt = run.state.attempt();
        while let Some(from) = run.scan
            && run.ready.len() < AHEAD
        {
            let rows = match self.shared.map_children(scope, run.reference.run, from) {
                Ok(rows) => rows,
                Err(error) => {
                    tracing::warn!(%error, "the children of a map run could not be read; trying again");
                    return self.shared.timers.later(now + RETRY_MS, Later::MapRun(run.reference));
                }
            };
            run.scan = rows.last().and_then(|(child, _)| child.checked_add(1));
            for (child, row) in rows {
                let is_done = match row.status {
                    Some(Status::Succeeded | Status::Running) => true,
                    Some(_) => row.attempt == attempt,
                    None => false,
                };
                if is_done || run.flying.contains_key(&child) {
                    continue;
                }
                let count = row.redriven.map_or(0, |(count, _)| count) + 1;
                run.ready_again(Ready {
                    child,
                    items: row.items,
                    input: row.input,
                    redriven: row.status.map(|_| (count, now)),
                    execution: row.execution.filter(|_| row.status.is_some()),
                    has_row: true,
                    at: run.next.clone(),
                });
            }
        }
    }

    /// Goes on with a stored child.
    pub(super) fn redrive_child(
        &mut self,
        run: &mut MapRun,
        execution: ExecutionRef,
        ready: Ready,
        permit: StartPermit,
    ) {
        let child = ready.child;
        let redrives = ready.redriven.map_or(0, |(count, _)| count);
        run.begun(ready, Kind::Stored(Some(execution.id.to_bytes())));
        let row = match self.shared.execution_row(execution) {
            Ok(Some(row)) => row,
            Ok(None) => return self.not_redrivable(run, child),
            Err(error) => {
                tracing::warn!(%error, "a child of a map run could not be read; trying again");
                run.not_begun(child, Some(execution.id.to_bytes()));
                return self.rest(run);
            }
        };
        if row.redriven.is_some_and(|(count, _)| count >= redrives) {
            // A crash came between its redrive and what the run wrote of it.
            run.settled(child);
            match self.shared.child_end(execution, &row) {
                Ok(Some(end)) => run.ended(child, end),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the end of a child of a map run could not be read; trying again");
                    run.not_begun(child, Some(execution.id.to_bytes()));
                    self.rest(run);
                }
            }
            return;
        }
        let (reply, answer) = oneshot::channel();
        let request = RedriveRequest { execution, client_token: None, permit: Some(permit), by_run: true, reply };
        self.shared.send(execution.id, ShardMessage::Redrive(Box::new(request)));
        let (reference, weak) = (run.reference, self.shared.weak());
        let work = self.shared.quiet.work();
        self.shared.runtime.spawn(async move {
            let _work = work;
            let outcome = answer.await.unwrap_or_else(|_| Err(Error::unavailable("the engine stopped")));
            if let Some(shared) = weak.upgrade() {
                shared.send_to_run(reference, Happening::Redriven { child, outcome });
            }
        });
    }

    /// A stored child goes on, or cannot.
    pub(super) fn child_redriven(&mut self, run: &mut MapRun, child: u32, outcome: Result<Millis>) {
        let scope = run.reference.parent.scope;
        match outcome {
            Ok(_) => {
                run.settled(child);
                let Some(flying) = run.flying.get(&child) else { return };
                let (items, input, redriven) = (flying.items, flying.input.clone(), flying.redriven);
                let Kind::Stored(Some(id)) = flying.kind else { return };
                let execution = ExecutionId::from_bytes(id);
                run.put_child(
                    child,
                    &MapChildRow {
                        status: Some(Status::Running),
                        items,
                        started_at: execution.started_at(),
                        stopped_at: None,
                        redriven,
                        execution: Some(id),
                        input,
                        output: None,
                        failure: None,
                        not_redrivable: false,
                        attempt: run.state.attempt(),
                    },
                );
                if run.has_aborted {
                    self.stop_child(ExecutionRef { scope, id: execution });
                }
            }
            Err(error) if error.is_transient() => {
                tracing::debug!(%error, child, "a child of a map run goes on later");
                self.begin_later(run, child);
            }
            Err(error) => {
                tracing::debug!(%error, child, "a child of a map run cannot go on");
                self.not_redrivable(run, child);
            }
        }
    }

    fn begin_later(&self, run: &mut MapRun, child: u32) {
        let execution = run.flying.get(&child).and_then(|flying| match flying.kind {
            Kind::Stored(execution) => execution,
            Kind::Express(_) => None,
        });
        run.not_begun(child, execution);
        self.rest(run);
    }

    /// A child cannot go on: it has failed, as before.
    fn not_redrivable(&mut self, run: &mut MapRun, child: u32) {
        let scope = run.reference.parent.scope;
        let row = match self.shared.map_child(scope, run.reference.run, child) {
            Ok(Some(row)) => row,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(%error, "a child of a map run could not be read; trying again");
                return self.begin_later(run, child);
            }
        };
        run.cannot_go_on(child, row);
    }
}
