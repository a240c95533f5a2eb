//! The results of a run, read from the rows of its children in the order of the items.

use std::{collections::VecDeque, sync::Arc};

use stepwright_machine::{
    Limits, Status,
    map_run::{MapRunPlan, Outputs, ResultTransformation},
};
use stepwright_store::map_runs::MapChildRow;

use super::{MapRun, RunRef, attempt_uuid, name};
use crate::{
    arn,
    connector::ConnectorFailure,
    datasets::{Datasets, ResultRecord, ResultRecords},
    shared::Shared,
};

/// Bytes of records given at once, about.
const BYTES: usize = 1 << 20;

/// The children of a run that have rows.
pub(super) struct Records {
    shared: std::sync::Weak<Shared>,
    run: RunRef,
    is_express: bool,
    label_arn: Arc<str>,
    next: Option<u32>,
    read: VecDeque<(u32, MapChildRow)>,
}

impl Records {
    pub(super) fn new(shared: &Shared, run: &MapRun) -> Self {
        Self {
            shared: shared.weak(),
            run: run.reference,
            is_express: run.row.plan.is_express,
            label_arn: arn::labelled(&run.revision.row.machine_arn, &run.row.plan.label),
            next: Some(0),
            read: VecDeque::new(),
        }
    }

    fn next_row(&mut self) -> Result<Option<(u32, MapChildRow)>, String> {
        if self.read.is_empty()
            && let Some(from) = self.next
        {
            let shared = self.shared.upgrade().ok_or("the engine stopped")?;
            let scope = self.run.parent.scope;
            let rows = shared.map_children(scope, self.run.run, from).map_err(|error| error.to_string())?;
            self.next = rows.last().and_then(|(child, _)| child.checked_add(1));
            self.read = rows.into();
        }
        Ok(self.read.pop_front())
    }

    /// The state's result, of a run whose results are not exported.
    ///
    /// # Errors
    /// The rows could not be read.
    pub(super) fn outputs(
        mut self,
        plan: &MapRunPlan,
        limits: &Limits,
        datasets: Option<&dyn Datasets>,
    ) -> Result<Result<Arc<str>, ConnectorFailure>, String> {
        let failed =
            |failure: stepwright_machine::Failure| ConnectorFailure { error: failure.error, cause: failure.cause };
        let mut outputs = Outputs::new(plan, limits);
        if plan.discards {
            return Ok(outputs.end().map_err(failed));
        }
        while let Some((child, row)) = self.next_row()? {
            if row.status != Some(Status::Succeeded) {
                continue;
            }
            let whole = match (plan.shape.transformation, datasets) {
                (ResultTransformation::None, Some(datasets)) => {
                    Some(datasets.describe(&self.record(child, row.clone())))
                }
                _ => None,
            };
            if let Some(output) = whole.as_deref().or(row.output.as_deref())
                && let Err(failure) = outputs.push(output)
            {
                return Ok(Err(failed(failure)));
            }
        }
        Ok(outputs.end().map_err(failed))
    }

    fn record(&self, child: u32, row: MapChildRow) -> ResultRecord {
        let name = name(self.run.run, child);
        let attempt = row.redriven.map_or(0, |(count, _)| count);
        let uuid = attempt_uuid(self.run.run, child, attempt);
        let failure = row.failure.unwrap_or_default();
        ResultRecord {
            arn: if self.is_express {
                arn::express(&self.label_arn, &name, uuid)
            } else {
                arn::execution(&self.label_arn, &name)
            },
            name,
            state_machine_arn: self.label_arn.clone(),
            status: row.status.unwrap_or(Status::Running),
            input: row.input,
            output: row.output,
            error: failure.error,
            cause: failure.cause,
            redrives: attempt,
            is_express: self.is_express,
            started_at: row.status.map(|_| row.started_at),
            stopped_at: row.stopped_at,
        }
    }
}

impl ResultRecords for Records {
    fn next(&mut self) -> Result<Option<Vec<ResultRecord>>, String> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        while bytes < BYTES
            && let Some((child, row)) = self.next_row()?
        {
            bytes += row.input.len() + row.output.as_ref().map_or(0, |output| output.len()) + 256;
            records.push(self.record(child, row));
        }
        Ok((!records.is_empty()).then_some(records))
    }
}
