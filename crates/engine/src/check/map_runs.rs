//! Map runs: what they count is what the rows of their children say, and every row belongs to something.

use std::collections::HashMap;

use stepwright_machine::{ExecutionId, Status};
use stepwright_store::{
    Table, keys,
    map_runs::{Counts, MapChildRow, MapRunRow, MapRunStateRow},
    records::{self, ExecutionRow},
};

use super::{Check, Rule};
use crate::error::Result;

/// What the rows of a run's children say.
#[derive(Default)]
struct Children {
    executions: Counts,
    items: Counts,
}

impl Check<'_> {
    pub(super) fn map_runs(&mut self) -> Result<()> {
        let mut begun: HashMap<Vec<u8>, u32> = HashMap::new();
        self.each(Table::MapRunState, |check, key, value| {
            if let Some(row) = check.decode::<MapRunStateRow>(Table::MapRunState, key, value) {
                begun.insert(key.to_vec(), row.attempt());
            }
            Ok(())
        })?;
        let children = self.children(&begun)?;
        self.each(Table::MapRun, |check, key, value| {
            let Some(row) = check.decode::<MapRunRow>(Table::MapRun, key, value) else { return Ok(()) };
            check.report.checked(Rule::MapRuns, 1);
            let scope = keys::parse_execution(key).map(|(scope, _)| scope);
            let Some(scope) = scope.filter(|_| key.len() == 20) else {
                check.finding(Rule::Rows, Table::MapRun, key, None, "a key of a map run", "another");
                return Ok(());
            };
            let arn = Some(row.plan.arn.clone());
            let parent = keys::execution(scope, row.parent());
            if check.store.get(Table::Execution, &parent)?.is_none() {
                check.finding(Rule::MapRuns, Table::MapRun, key, arn.as_ref(), "the execution that began it", "none");
            }
            let of = keys::map_run_of(scope, row.parent(), row.run.number);
            if check.store.get(Table::MapRunOf, &of)?.is_none() {
                check.finding(Rule::MapRuns, Table::MapRunOf, &of, arn.as_ref(), "an entry of the run", "none");
            }
            let Some(bytes) = check.store.get(Table::MapRunState, key)? else {
                check.finding(Rule::MapRuns, Table::MapRunState, key, arn.as_ref(), "how far the run is", "none");
                return Ok(());
            };
            let Ok(state) = records::decode::<MapRunStateRow>(Table::MapRunState, &bytes) else { return Ok(()) };
            // A redrive under way counts what waits for it as its rows are found.
            if state.redriving.is_none() {
                let none = Children::default();
                let told = children.get(key).unwrap_or(&none);
                for (what, counts, rows) in
                    [("executions", state.executions, told.executions), ("items", state.item_counts, told.items)]
                {
                    let of = |counts: Counts| (counts.succeeded, counts.failed, counts.timed_out, counts.aborted);
                    if of(counts) != of(rows) {
                        let (expected, found) = (format!("{what} {:?}", of(rows)), format!("{:?}", of(counts)));
                        check.finding(Rule::MapRuns, Table::MapRunState, key, arn.as_ref(), expected, found);
                    }
                }
            }
            if state.status != Status::Running && state.executions.running != 0 {
                let found = format!("{} children under way", state.executions.running);
                check.finding(Rule::MapRuns, Table::MapRunState, key, arn.as_ref(), "none of a run that ended", found);
            }
            Ok(())
        })?;
        self.each(Table::MapRunOf, |check, key, value| {
            let Some(run) = check.decode::<[u8; 16]>(Table::MapRunOf, key, value) else { return Ok(()) };
            let scope = keys::parse_execution(key).map_or(0, |(scope, _)| scope);
            if check.store.get(Table::MapRun, &keys::map_run(scope, u128::from_be_bytes(run)))?.is_none() {
                check.finding(Rule::MapRuns, Table::MapRunOf, key, None, "a map run", "none");
            }
            Ok(())
        })
    }

    fn children(&mut self, begun: &HashMap<Vec<u8>, u32>) -> Result<HashMap<Vec<u8>, Children>> {
        let mut all: HashMap<Vec<u8>, Children> = HashMap::new();
        self.each(Table::MapChild, |check, key, value| {
            let Some(row) = check.decode::<MapChildRow>(Table::MapChild, key, value) else { return Ok(()) };
            check.report.checked(Rule::MapRuns, 1);
            let run = key.get(..20).filter(|_| key.len() == 24).filter(|run| begun.contains_key(*run));
            let Some(run) = run else {
                check.finding(Rule::Rows, Table::MapChild, key, None, "a child of a map run", "another key");
                return Ok(());
            };
            let counts = all.entry(run.to_vec()).or_default();
            for (counts, amount) in [(&mut counts.executions, 1), (&mut counts.items, u64::from(row.items))] {
                let is_current = row.status == Some(Status::Succeeded) || row.attempt == begun[run];
                if let Some(status) = row.status.filter(|status| *status != Status::Running && is_current) {
                    *counts.of(status) += amount;
                }
            }
            let Some(execution) = row.execution else { return Ok(()) };
            let scope = keys::parse_execution(key).map_or(0, |(scope, _)| scope);
            let id = ExecutionId::from_bytes(execution);
            let bytes = check.store.get(Table::Execution, &keys::execution(scope, id))?;
            // One that ended may be gone by now.
            let found = match bytes.map(|bytes| records::decode::<ExecutionRow>(Table::Execution, &bytes)) {
                None if row.status == Some(Status::Running) => Some("no execution".to_owned()),
                Some(Ok(found)) if found.child.as_ref().map(|of| of.child) != keys::parse_map_child(key) => {
                    Some(format!("{:?}", found.child))
                }
                _ => None,
            };
            if let Some(found) = found {
                check.finding(Rule::MapRuns, Table::MapChild, key, None, "an execution that is this child", found);
            }
            Ok(())
        })?;
        Ok(all)
    }
}
