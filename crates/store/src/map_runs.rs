//! Rows of map runs: what one is to do, how far it is, and its children. As all rows, they are only ever appended to.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stepwright_machine::{ExecutionId, Failure, Millis, Status, TaskId, map_run::MapRunPlan};

use crate::keys::MachineNumber;

/// What a map run is to do. Key: scope, identity. Never changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapRunRow {
    /// The execution whose state began it, as [`ExecutionId::to_bytes`].
    pub parent: [u8; 16],
    /// Its number in that execution.
    pub run: TaskId,
    /// The state machine.
    pub machine: MachineNumber,
    /// The revision that the execution runs.
    pub revision: u32,
    /// When it began.
    pub started_at: Millis,
    /// All else.
    pub plan: MapRunPlan,
}

impl MapRunRow {
    /// The execution whose state began it.
    #[must_use]
    pub fn parent(&self) -> ExecutionId {
        ExecutionId::from_bytes(self.parent)
    }
}

/// How far a map run is. Key: as the run's. Written with the children whose ends it counts, so that the counts are
/// those of the rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapRunStateRow {
    /// `Running`, or how it ended.
    pub status: Status,
    /// When it ended.
    pub stopped_at: Option<Millis>,
    /// Children in flight at most; 0: unlimited.
    pub max_concurrency: u64,
    /// Failures that are tolerated.
    pub tolerated_failure_count: Option<u64>,
    /// The same in per cent of all items.
    pub tolerated_failure_percentage: Option<f64>,
    /// How often it was redriven, and when last.
    pub redriven: Option<(u32, Millis)>,
    /// Where to read on.
    pub cursor: Cursor,
    /// Children before this one have ended, or will be begun by a redrive.
    pub low: u32,
    /// Whether all items were read.
    pub is_read: bool,
    /// Items that were read.
    pub items: u64,
    /// Children that were made of them.
    pub children: u64,
    /// What became of the children.
    pub executions: Counts,
    /// What became of the items.
    pub item_counts: Counts,
    /// Results that were written.
    pub results_written: u64,
    /// Why it ends badly.
    pub failure: Option<Failure>,
    /// The state's result.
    pub output: Option<Arc<str>>,
    /// A redrive goes on at this child: those before it were begun again, as far as they have to be. None: there is no
    /// redrive under way.
    pub redriving: Option<u32>,
}

impl MapRunStateRow {
    /// Of a run that begins.
    #[must_use]
    pub fn begun(plan: &MapRunPlan) -> Self {
        Self {
            status: Status::Running,
            stopped_at: None,
            max_concurrency: plan.max_concurrency,
            tolerated_failure_count: plan.tolerated_failure_count,
            tolerated_failure_percentage: plan.tolerated_failure_percentage,
            redriven: None,
            cursor: Cursor::default(),
            low: 0,
            is_read: false,
            items: plan.known_items().unwrap_or(0),
            children: plan.known_items().filter(|_| plan.batching.is_none()).unwrap_or(0),
            executions: Counts::default(),
            item_counts: Counts::default(),
            results_written: 0,
            failure: None,
            output: None,
            redriving: None,
        }
    }

    /// How often it was redriven.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.redriven.map_or(0, |(count, _)| count)
    }
}

/// Where to read on: a piece of the dataset, the items of it that were used before, and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The position of the piece.
    pub position: Vec<u8>,
    /// Its items that belong to earlier children.
    pub skip: u32,
    /// The index of the next item.
    pub item: u64,
    /// The place of the next child.
    pub child: u32,
}

/// What became of children or items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "AWS's names")]
pub struct Counts {
    pub running: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub timed_out: u64,
    pub aborted: u64,
    pub failures_not_redrivable: u64,
    pub pending_redrive: u64,
}

impl Counts {
    /// Those that ended without success.
    #[must_use]
    pub fn unsuccessful(&self) -> u64 {
        self.failed + self.timed_out + self.aborted
    }

    /// Those that are neither waiting for the first time.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.running + self.succeeded + self.unsuccessful() + self.pending_redrive
    }

    /// The count of a status.
    pub fn of(&mut self, status: Status) -> &mut u64 {
        match status {
            Status::Running => &mut self.running,
            Status::Succeeded => &mut self.succeeded,
            Status::Failed => &mut self.failed,
            Status::TimedOut => &mut self.timed_out,
            Status::Aborted => &mut self.aborted,
        }
    }
}

/// A child of a map run. Key: scope, run, place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapChildRow {
    /// Its status; none: it was never begun.
    pub status: Option<Status>,
    /// The items in its input.
    pub items: u32,
    /// When it began.
    pub started_at: Millis,
    /// When it ended.
    pub stopped_at: Option<Millis>,
    /// How often it was redriven, and when last.
    pub redriven: Option<(u32, Millis)>,
    /// The execution that it is, as [`ExecutionId::to_bytes`]; none: it is EXPRESS.
    pub execution: Option<[u8; 16]>,
    /// Its input, JSON text.
    pub input: Arc<str>,
    /// Its output, JSON text.
    pub output: Option<Arc<str>>,
    /// Error and cause.
    pub failure: Option<Failure>,
    /// It could not be redriven.
    pub not_redrivable: bool,
    /// The redrives of the run when it was begun last, or could not be.
    pub attempt: u32,
}

/// Whose child an execution is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChildOf {
    /// The run's identity, a UUID.
    pub run: u128,
    /// The execution whose state began the run, as [`ExecutionId::to_bytes`].
    pub parent: [u8; 16],
    /// Its place among the children.
    pub child: u32,
    /// The items in its input.
    pub items: u32,
    /// The flow that it runs.
    pub flow: u32,
    /// The run's label.
    pub label: Arc<str>,
    /// The redrives of the run when it was begun.
    pub attempt: u32,
}
