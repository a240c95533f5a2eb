//! Reads of map runs and their children: committed rows only, never a shard's memory.

use std::{ops::Bound, sync::Arc};

use serde_json::Value;
use stepwright_asl::StateId;
use stepwright_machine::{ExecutionId, Status};
use stepwright_store::{
    Order, Table, keys,
    map_runs::{ChildOf, Counts, MapChildRow, MapRunRow, MapRunStateRow},
    records::{self, ExecutionRow},
};

use super::{RunRef, attempt_uuid, find, name};
use crate::{
    arn,
    catalog::{Revision, corrupt},
    error::{Error, NotRedrivable, Result},
    message::ExecutionRef,
    model::{
        ExecutionDescription, ExecutionItem, MapRunCounts, MapRunDescription, MapRunItem, MapRunOf, Page, PageRequest,
        Scope, StateMachine,
    },
    page,
    shared::Shared,
};

/// Rows looked at for one page of a list by status: then the page ends, full or not.
const MOST_LOOKED_AT: usize = 100_000;

/// The ARN of an execution, be it a child or not.
pub(crate) fn execution_arn(machine_arn: &str, row: &ExecutionRow) -> Arc<str> {
    match &row.child {
        Some(child) => arn::execution(&arn::labelled(machine_arn, &child.label), &row.name),
        None => arn::execution(machine_arn, &row.name),
    }
}

/// A run as its rows say.
pub(crate) struct FoundRun {
    pub(crate) reference: RunRef,
    row: MapRunRow,
    state: MapRunStateRow,
    revision: Arc<Revision>,
}

impl FoundRun {
    pub(crate) fn is_running(&self) -> bool {
        self.state.status == Status::Running
    }
}

/// An EXPRESS child.
pub(crate) struct Child {
    run: FoundRun,
    child: u32,
    row: MapChildRow,
}

impl Shared {
    /// The run with an ARN.
    pub(crate) fn find_map_run(&self, scope: &Scope, arn: &str) -> Result<FoundRun> {
        let missing = || Error::MapRunDoesNotExist { arn: arn.into() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let (_, _, run) = arn::map_run(arn, scope).ok_or_else(missing)?;
        let found = self.found_run(number, run)?.ok_or_else(missing)?;
        if &*found.row.plan.arn == arn { Ok(found) } else { Err(missing()) }
    }

    fn found_run(&self, scope: u32, run: u128) -> Result<Option<FoundRun>> {
        let (Some(row), Some(state)) = (self.map_run_row(scope, run)?, self.map_run_state(scope, run)?) else {
            return Ok(None);
        };
        let parent = ExecutionRef { scope, id: row.parent() };
        let revision = self.catalog.revision(scope, row.machine, row.revision)?;
        Ok(Some(FoundRun { reference: RunRef { parent, run }, row, state, revision }))
    }

    fn parent_arn(&self, run: &FoundRun) -> Result<Arc<str>> {
        let parent = self.execution_row(run.reference.parent)?.ok_or_else(|| corrupt("the execution of a map run"))?;
        Ok(execution_arn(&run.revision.row.machine_arn, &parent))
    }

    pub(crate) fn describe_map_run(&self, scope: &Scope, arn: &str) -> Result<MapRunDescription> {
        let run = self.find_map_run(scope, arn)?;
        let state = &run.state;
        let counts = |counts: &Counts, total: u64| MapRunCounts {
            pending: total.saturating_sub(counts.begun()),
            running: counts.running,
            succeeded: counts.succeeded,
            failed: counts.failed,
            timed_out: counts.timed_out,
            aborted: counts.aborted,
            total,
            results_written: 0,
            failures_not_redrivable: counts.failures_not_redrivable,
            pending_redrive: counts.pending_redrive,
        };
        let batches = run.row.plan.batching.is_some();
        let written = |counts: MapRunCounts, succeeded: u64| MapRunCounts {
            results_written: if state.results_written > 0 { succeeded } else { 0 },
            ..counts
        };
        Ok(MapRunDescription {
            arn: run.row.plan.arn.clone(),
            execution_arn: self.parent_arn(&run)?,
            status: state.status,
            started_at: run.row.started_at,
            stopped_at: state.stopped_at,
            max_concurrency: state.max_concurrency,
            tolerated_failure_count: state.tolerated_failure_count.unwrap_or(0),
            tolerated_failure_percentage: state.tolerated_failure_percentage.unwrap_or(0.0),
            item_counts: written(counts(&state.item_counts, state.items), state.item_counts.succeeded),
            execution_counts: written(
                counts(&state.executions, if batches { state.children } else { state.items }),
                state.executions.succeeded,
            ),
            redrive_count: state.redriven.map_or(0, |(count, _)| count),
            redriven_at: state.redriven.map(|(_, at)| at),
            is_read: state.is_read,
        })
    }

    pub(crate) fn list_map_runs(
        &self,
        scope: &Scope,
        execution_arn: &str,
        request: &PageRequest,
        now: stepwright_machine::Millis,
    ) -> Result<Page<MapRunItem>> {
        let found = self.find_execution(scope, execution_arn)?;
        let ExecutionRef { scope: number, id } = found.execution;
        let list = keys::execution(number, id);
        let (rows, next_token) = self.newest_first(Table::MapRunOf, &list, &[b"map-runs", &list], request, now)?;
        let mut items = Vec::new();
        for (_, value) in &rows {
            let run: [u8; 16] = records::decode(Table::MapRunOf, value)?;
            let run = self
                .found_run(number, u128::from_be_bytes(run))?
                .ok_or_else(|| corrupt("a map run that an execution has"))?;
            items.push(MapRunItem {
                execution_arn: execution_arn.into(),
                arn: run.row.plan.arn.clone(),
                state_machine_arn: arn::labelled(&run.revision.row.machine_arn, &run.row.plan.label),
                started_at: run.row.started_at,
                stopped_at: run.state.stopped_at,
            });
        }
        Ok(Page { items, next_token })
    }

    /// The children of a run, newest first; those of a status, if there is one; those that were redriven, or were not,
    /// if that is asked.
    pub(crate) fn list_children(
        &self,
        scope: &Scope,
        arn: &str,
        status: Option<MapRunOf>,
        redriven: Option<bool>,
        request: &PageRequest,
        now: stepwright_machine::Millis,
    ) -> Result<Page<ExecutionItem>> {
        let run = self.find_map_run(scope, arn)?;
        let RunRef { parent, run: id } = run.reference;
        let list = keys::map_run(parent.scope, id);
        let filters = format!("{status:?} {redriven:?}");
        let binding: &[&[u8]] = &[b"map-run", &list, filters.as_bytes()];
        let mut end = match &request.next_token {
            Some(token) => page::open(&self.secrets, binding, token, now)?,
            None => keys::prefix_end(&list),
        };
        let limit = page::limit(request);
        let attempt = run.state.attempt();
        let is_open = run.state.status == Status::Running;
        let waits = |row: &MapChildRow| {
            let failed = !matches!(row.status, None | Some(Status::Running | Status::Succeeded));
            is_open && failed && row.attempt != attempt
        };
        let mut items = Vec::new();
        let (mut looked, mut next) = (0, None);
        'pages: loop {
            let (low, high) = (Bound::Included(&list[..]), Bound::Excluded(&end[..]));
            let rows = self.store.scan(Table::MapChild, low, high, Order::Descending, 1_024)?;
            let is_last = rows.len() < 1_024;
            for (key, value) in rows {
                let child = keys::parse_map_child(&key).ok_or_else(|| corrupt("the key of a child of a map run"))?;
                let row: MapChildRow = records::decode(Table::MapChild, &value)?;
                looked += 1;
                let is_asked = match status {
                    None => row.status.is_some(),
                    Some(MapRunOf::PendingRedrive) => waits(&row),
                    Some(MapRunOf::Status(asked)) => row.status == Some(asked) && !waits(&row),
                } && redriven.is_none_or(|asked| row.redriven.is_some() == asked);
                if is_asked {
                    if items.len() == limit {
                        // The page ends before this one.
                        break 'pages;
                    }
                    let is_pending_redrive = waits(&row);
                    items.push(ExecutionItem { is_pending_redrive, ..self.child_item(&run, child, &row) });
                }
                next = Some(key.clone());
                end = key;
                if looked >= MOST_LOOKED_AT {
                    break 'pages;
                }
            }
            if is_last {
                next = None;
                break;
            }
        }
        let next_token = next.map(|key| page::issue(&self.secrets, binding, &key, now));
        Ok(Page { items, next_token })
    }

    fn child_item(&self, run: &FoundRun, child: u32, row: &MapChildRow) -> ExecutionItem {
        let (arn, name, label_arn) = child_names(run, child, row);
        ExecutionItem {
            arn,
            state_machine_arn: label_arn,
            name,
            status: row.status.unwrap_or(Status::Running),
            is_pending_redrive: false,
            started_at: row.started_at,
            stopped_at: row.stopped_at,
            redrive_count: row.redriven.map_or(0, |(count, _)| count),
            redriven_at: row.redriven.map(|(_, at)| at),
            version_arn: None,
            alias_arn: None,
            items: Some(row.items),
        }
    }

    /// The stored child with a name, of a machine's label.
    pub(crate) fn find_stored_child(&self, scope: u32, label: &str, name: &str) -> Result<Option<ExecutionRef>> {
        let Some((run, child)) = find(&*self.store, scope, name)? else { return Ok(None) };
        let Some(row) = self.map_run_row(scope, run)?.filter(|row| &*row.plan.label == label) else {
            return Ok(None);
        };
        drop(row);
        let row = self.map_child(scope, run, child)?;
        let execution = row.and_then(|row| row.execution).map(ExecutionId::from_bytes);
        Ok(execution.map(|id| ExecutionRef { scope, id }))
    }

    /// DescribeExecution of an EXPRESS child that ended.
    pub(crate) fn describe_express_child(&self, scope: &Scope, arn: &str) -> Result<ExecutionDescription> {
        let missing = || Error::ExecutionDoesNotExist { arn: arn.into() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let (_, _, wanted, _) = arn::express_child(arn, scope).ok_or_else(missing)?;
        let (run, child) = find(&*self.store, number, wanted)?.ok_or_else(missing)?;
        let run = self.found_run(number, run)?.ok_or_else(missing)?;
        let row = self.map_child(number, run.reference.run, child)?.ok_or_else(missing)?;
        let found = Child { run, child, row };
        let (own, name, label_arn) = child_names(&found.run, found.child, &found.row);
        if &*own != arn {
            return Err(missing());
        }
        let row = found.row;
        let failure = row.failure.unwrap_or_default();
        Ok(ExecutionDescription {
            arn: own,
            state_machine_arn: label_arn,
            name,
            status: row.status.ok_or_else(missing)?,
            started_at: row.started_at,
            stopped_at: row.stopped_at,
            input: row.input,
            output: row.output,
            error: failure.error,
            cause: failure.cause,
            trace_header: None,
            version_arn: None,
            alias_arn: None,
            redrive_count: row.redriven.map_or(0, |(count, _)| count),
            redriven_at: row.redriven.map(|(_, at)| at),
            last_event: 0,
            not_redrivable: Some(if row.status == Some(Status::Succeeded) {
                NotRedrivable::Succeeded
            } else {
                NotRedrivable::Child
            }),
            quarantined: false,
            map_run_arn: Some(found.run.row.plan.arn.clone()),
        })
    }

    /// The state machine of a run's children: that of the execution which began it, with the processor as its definition.
    pub(crate) fn machine_of_children(
        &self,
        mut machine: StateMachine,
        scope: u32,
        child: &ChildOf,
    ) -> Result<StateMachine> {
        let run = self.map_run_row(scope, child.run)?.ok_or_else(|| corrupt("the map run of an execution"))?;
        let definition = &mut machine.definition;
        let state = &definition.compiled.state(StateId(run.plan.state)).name;
        let whole: Value = serde_json::from_str(&definition.text).map_err(|_| corrupt("a definition"))?;
        let processor = processor(&whole, state).ok_or_else(|| corrupt("a definition"))?;
        definition.text = processor.to_string().into();
        machine.arn = arn::labelled(&machine.arn, &child.label);
        machine.name = format!("{}/{}", machine.name, child.label).into();
        machine.map_run = Some((run.plan.arn, child.label.clone()));
        Ok(machine)
    }

    /// The ARN of the run whose child an execution is.
    pub(crate) fn map_run_arn_of(&self, scope: u32, row: &ExecutionRow) -> Result<Option<Arc<str>>> {
        let Some(child) = &row.child else { return Ok(None) };
        Ok(self.map_run_row(scope, child.run)?.map(|run| run.plan.arn))
    }
}

/// The processor of the Map state with a name, somewhere in a definition.
fn processor<'v>(value: &'v Value, state: &str) -> Option<&'v Value> {
    let members = match value {
        Value::Object(members) => members,
        Value::Array(elements) => return elements.iter().find_map(|element| processor(element, state)),
        _ => return None,
    };
    let found = members.get("States").and_then(|states| states.get(state));
    let own = found.and_then(|found| found.get("ItemProcessor").or_else(|| found.get("Iterator")));
    own.or_else(|| members.values().find_map(|member| processor(member, state)))
}

/// The ARN and the name of a child, and the ARN of the children's state machine.
fn child_names(run: &FoundRun, child: u32, row: &MapChildRow) -> (Arc<str>, Arc<str>, Arc<str>) {
    let label_arn = arn::labelled(&run.revision.row.machine_arn, &run.row.plan.label);
    let name = name(run.reference.run, child);
    let arn = if run.row.plan.is_express {
        let attempt = row.redriven.map_or(0, |(count, _)| count);
        arn::express(&label_arn, &name, attempt_uuid(run.reference.run, child, attempt))
    } else {
        arn::execution(&label_arn, &name)
    };
    (arn, name, label_arn)
}
