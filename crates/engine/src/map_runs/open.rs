//! A map run is read back from its rows: after its beginning, after a restart, after commits were refused, and when it is
//! to go on after its end.

use std::{ops::Bound, sync::Arc};

use stepwright_machine::{ExecutionId, Failure, Millis, Status};
use stepwright_store::{
    Order, Table, keys,
    map_runs::{Counts, MapChildRow, MapRunRow, MapRunStateRow},
    records::{self, ExecutionRow},
};

use super::{
    ChildEnd, MapRun, RunRef,
    run::{Flying, Kind},
    serve::{self, Wanted},
};
use crate::{
    catalog::corrupt,
    datasets::OnBehalf,
    error::{Error, Result},
    message::{After, ExecutionRef},
    model::Scope,
    rows::{self, PayloadReader},
    shard::Shard,
    shared::{RETRY_MS, Shared},
    timers::Later,
};

/// Rows read at once.
const PAGE: usize = 256;

impl Shared {
    /// What a run is to do, without the texts of its payloads.
    pub(super) fn map_run_row(&self, scope: u32, run: u128) -> Result<Option<MapRunRow>> {
        let bytes = self.store.get(Table::MapRun, &keys::map_run(scope, run))?;
        Ok(bytes.map(|bytes| records::decode(Table::MapRun, &bytes)).transpose()?)
    }

    /// How far a run is.
    pub(super) fn map_run_state(&self, scope: u32, run: u128) -> Result<Option<MapRunStateRow>> {
        let bytes = self.store.get(Table::MapRunState, &keys::map_run(scope, run))?;
        Ok(bytes.map(|bytes| records::decode(Table::MapRunState, &bytes)).transpose()?)
    }

    /// A child of a run.
    pub(super) fn map_child(&self, scope: u32, run: u128, child: u32) -> Result<Option<MapChildRow>> {
        let bytes = self.store.get(Table::MapChild, &keys::map_child(scope, run, child))?;
        Ok(bytes.map(|bytes| records::decode(Table::MapChild, &bytes)).transpose()?)
    }

    /// Children of a run, from a place on.
    pub(super) fn map_children(&self, scope: u32, run: u128, from: u32) -> Result<Vec<(u32, MapChildRow)>> {
        let low = keys::map_child(scope, run, from);
        let high = keys::prefix_end(&keys::map_run(scope, run));
        let rows =
            self.store.scan(Table::MapChild, Bound::Included(&low), Bound::Excluded(&high), Order::Ascending, PAGE)?;
        let child = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let child = keys::parse_map_child(key).ok_or_else(|| corrupt("the key of a child of a map run"))?;
            Ok((child, records::decode(Table::MapChild, value)?))
        };
        rows.iter().map(child).collect()
    }

    /// How a stored child ended, if it did.
    pub(super) fn child_end(&self, execution: ExecutionRef, row: &ExecutionRow) -> Result<Option<ChildEnd>> {
        let Some(end) = &row.end else { return Ok(None) };
        let closing = &end.closing;
        let output = match &closing.output {
            Some(output) => Some(PayloadReader::new(&*self.store, execution).must(output.id())?),
            None => None,
        };
        Ok(Some(ChildEnd {
            status: closing.status,
            started_at: execution.id.started_at(),
            stopped_at: closing.at,
            output,
            failure: Failure { error: closing.error.clone(), cause: closing.cause.clone() },
            redrives: row.redriven.map_or(0, |(count, _)| count),
        }))
    }

    /// The test case of an execution. One that cannot be read has none: its children are called for real, or fail.
    pub(crate) fn test_case_of(&self, execution: ExecutionRef) -> Option<Arc<str>> {
        self.options.mocks.as_ref()?;
        self.execution_row(execution).ok()??.test_case
    }

    pub(crate) fn execution_row(&self, execution: ExecutionRef) -> Result<Option<ExecutionRow>> {
        let bytes = self.store.get(Table::Execution, &keys::execution(execution.scope, execution.id))?;
        Ok(bytes.map(|bytes| records::decode(Table::Execution, &bytes)).transpose()?)
    }
}

impl Shard {
    /// Reads a run back. None: it is over. `after`: what is to be done then.
    pub(super) fn open_run(
        &mut self,
        reference: RunRef,
        now: Millis,
        after: &mut Vec<After>,
    ) -> Result<Option<MapRun>> {
        let shared = self.shared.clone();
        let scope = reference.parent.scope;
        let Some(row) = shared.map_run_row(scope, reference.run)? else { return Ok(None) };
        let Some(state) = shared.map_run_state(scope, reference.run)? else { return Ok(None) };
        let wanted = self.wanted(reference, &row);
        let redrives = state.attempt();
        let is_over = state.status != Status::Running;
        match wanted {
            Wanted::Unknown => {
                shared.timers.later(now + RETRY_MS, Later::MapRun(reference));
                if is_over {
                    return Ok(None);
                }
            }
            Wanted::Yes(asked) if is_over && asked > redrives => {}
            Wanted::Yes(_) | Wanted::No if is_over => {
                let run = self.assemble(reference, row, state)?;
                if matches!(wanted, Wanted::Yes(_)) {
                    // The crash came before its execution heard of the end.
                    after.push(serve::ended(&run));
                } else {
                    let mut commit = stepwright_store::Commit::default();
                    let parent = reference.parent;
                    commit.delete(Table::Task, keys::task(parent.scope, parent.id, run.row.run));
                    self.emit(None, commit, vec![After::Otherwise(Later::MapRun(reference))]);
                }
                return Ok(None);
            }
            Wanted::Yes(_) | Wanted::No => {}
        }
        let mut run = self.assemble(reference, row, state)?;
        if let (Wanted::Yes(asked), true) = (&wanted, is_over) {
            run.begin_redrive(*asked, now);
        }
        // One that its execution stopped, and waits for again after a redrive, ends first.
        let is_stopped = match wanted {
            Wanted::No => true,
            Wanted::Yes(asked) => asked > run.state.attempt(),
            Wanted::Unknown => false,
        };
        if is_stopped {
            run.is_stopped = true;
            run.stage = super::run::Stage::Ending;
        }
        self.adopt(&mut run)?;
        if let Some(refusal) = run.row.plan.refusal.clone() {
            run.fail(refusal);
        }
        Ok(Some(run))
    }

    fn assemble(&mut self, reference: RunRef, mut row: MapRunRow, state: MapRunStateRow) -> Result<MapRun> {
        let shared = &self.shared;
        let mut payloads = PayloadReader::new(&*shared.store, reference.parent);
        let mut failure: Option<Error> = None;
        let hydrated = row.plan.hydrate(|payload| payloads.must(payload).map_err(|error| failure = Some(error)).ok());
        match (failure, hydrated) {
            (Some(error), _) => return Err(error),
            (None, Err(payload)) => return Err(corrupt(&format!("payload {payload:?} of a map run"))),
            (None, Ok(())) => {}
        }
        let revision = shared.catalog.revision(reference.parent.scope, row.machine, row.revision)?;
        let parent = shared.execution_row(reference.parent)?.ok_or_else(|| corrupt("the execution of a map run"))?;
        let scope = shared.catalog.scope(reference.parent.scope).unwrap_or_else(|| Scope::new("", ""));
        let on_behalf = OnBehalf {
            run: reference.run,
            map_run_arn: row.plan.arn.clone(),
            execution_arn: super::execution_arn(&revision.row.machine_arn, &parent),
            role_arn: revision.row.role_arn.clone(),
            account: scope.account.clone(),
            region: scope.region.clone(),
        };
        self.epochs += 1;
        let run = MapRun::new(reference, row, revision, on_behalf, parent.limits(), state, self.epochs);
        Ok(run)
    }

    /// Takes up the children that have rows.
    fn adopt(&mut self, run: &mut MapRun) -> Result<()> {
        let shared = self.shared.clone();
        let scope = run.reference.parent.scope;
        let recount = run.state.redriving.is_some();
        let from = if recount { 0 } else { run.state.low };
        let (mut executions, mut items) = (Counts::default(), Counts::default());
        let attempt = run.state.attempt();
        let mut flying = Vec::new();
        let prefix = keys::map_run(scope, run.reference.run);
        rows::for_each_from(
            &*shared.store,
            Table::MapChild,
            &prefix,
            &keys::map_child(scope, run.reference.run, from),
            |key, value| {
                let child = keys::parse_map_child(key).ok_or_else(|| corrupt("the key of a child of a map run"))?;
                let row: MapChildRow = records::decode(Table::MapChild, value)?;
                if child >= run.next.child {
                    run.known.insert(child);
                }
                for (counts, amount) in [(&mut executions, 1), (&mut items, u64::from(row.items))] {
                    match row.status {
                        // It is counted when it flies, or it is yet to begin.
                        None | Some(Status::Running) => {}
                        Some(Status::Succeeded) => counts.succeeded += amount,
                        Some(status) if row.attempt == attempt => {
                            *counts.of(status) += amount;
                            counts.failures_not_redrivable += if row.not_redrivable { amount } else { 0 };
                        }
                        Some(_) => counts.pending_redrive += amount,
                    }
                }
                if row.status == Some(Status::Running)
                    && let Some(execution) = row.execution
                {
                    flying.push((child, row, ExecutionRef { scope, id: ExecutionId::from_bytes(execution) }));
                }
                Ok(())
            },
        )?;
        if recount {
            (run.state.executions, run.state.item_counts) = (executions, items);
        }
        (run.state.executions.running, run.state.item_counts.running) = (0, 0);
        let mut ends = Vec::new();
        for (child, row, execution) in flying {
            let kind = Kind::Stored(Some(execution.id.to_bytes()));
            let (items, input, redriven) = (row.items, row.input, row.redriven);
            let adopted = Flying { items, input, redriven, unsettled: false, has_row: true, kind };
            run.flies(child, adopted, false);
            let end = match shared.execution_row(execution)? {
                Some(found) => shared.child_end(execution, &found)?,
                None => Some(gone(execution, redriven)),
            };
            ends.extend(end.map(|end| (child, end)));
        }
        for (child, end) in ends {
            run.ended(child, end);
        }
        run.scan = run.state.redriving.is_some().then_some(0);
        Ok(())
    }
}

/// How a child ended that retention took while its run was going on.
fn gone(execution: ExecutionRef, redriven: Option<(u32, Millis)>) -> ChildEnd {
    let at = execution.id.started_at();
    let failure = Failure {
        error: Some("States.Runtime".into()),
        cause: Some(Arc::from("The execution was deleted before its end was noted.")),
    };
    let redrives = redriven.map_or(0, |(count, _)| count);
    ChildEnd { status: Status::Failed, started_at: at, stopped_at: at, output: None, failure, redrives }
}
