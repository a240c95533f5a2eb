//! Map runs: the child executions of distributed Maps. A run is a record of its own beside the execution whose state
//! began it; that execution hears of nothing but the run's end. It belongs to that execution's shard, which alone
//! changes it.
//!
//! Its truth is in rows: one for each child that ended or that is a stored execution, and one for the run with the counts
//! of those rows and with where to read on. The counts and the rows that they count are one commit, and reading goes on
//! before the first child that has no row, so a restart finds every item again, none twice. An EXPRESS child has no row
//! before it ended: a crash makes it run again.

mod export;
mod names;
mod open;
mod operations;
mod reads;
mod redrive;
mod run;
mod serve;

use std::sync::Arc;

use stepwright_machine::{Failure, Millis, Status};
use stepwright_store::map_runs::ChildOf;

pub(crate) use self::{
    names::{attempt_uuid, find, name},
    reads::execution_arn,
    run::{MapRun, Ready},
};
use crate::{
    catalog::{Revision, StartPermit},
    connector::ConnectorFailure,
    datasets::{Chunk, Position},
    error::Result,
    message::{ExecutionRef, Reply},
    model::MapRunSettings,
};

/// A map run in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RunRef {
    /// The execution whose state began it.
    pub(crate) parent: ExecutionRef,
    /// Its identity, a UUID.
    pub(crate) run: u128,
}

/// Something that happened to a run.
pub(crate) enum Happening {
    /// It is durable, or the engine was opened: it goes on.
    Open,
    /// Look whether it can go on.
    Again,
    /// All that it has written so far is durable.
    Durable { epoch: u64 },
    /// Its end is durable: it need not be in memory any more.
    Over { epoch: u64 },
    /// A piece of its dataset was read.
    Read { epoch: u64, position: Position, outcome: Result<Chunk, ConnectorFailure> },
    /// A stored child's start is durable, or was refused.
    Started { child: u32, execution: Option<ExecutionRef> },
    /// The first turn of an EXPRESS child is computed, and it goes on.
    Settled { epoch: u64, child: u32 },
    /// A child ended. `epoch`: of an EXPRESS one, whose end is nowhere but here.
    Ended { epoch: Option<u64>, child: u32, end: Box<ChildEnd> },
    /// A stored child was redriven, or could not be.
    Redriven { child: u32, outcome: Result<Millis> },
    /// Its results are written.
    Exported { epoch: u64, outcome: Result<Arc<str>, ConnectorFailure> },
    /// Nobody waits for it any more.
    Stop,
    /// It is to go on after it ended badly.
    Redrive,
    /// UpdateMapRun.
    Update { settings: MapRunSettings, reply: Reply<()> },
}

/// How a child ended.
#[derive(Clone, Debug)]
pub(crate) struct ChildEnd {
    pub(crate) status: Status,
    pub(crate) started_at: Millis,
    pub(crate) stopped_at: Millis,
    pub(crate) output: Option<Arc<str>>,
    pub(crate) failure: Failure,
    /// How often it was redriven.
    pub(crate) redrives: u32,
}

/// A stored child to start.
pub(crate) struct ChildStart {
    pub(crate) execution: ExecutionRef,
    pub(crate) revision: Arc<Revision>,
    pub(crate) permit: StartPermit,
    pub(crate) of: ChildOf,
    pub(crate) name: Arc<str>,
    pub(crate) input: Arc<str>,
    /// It has a row already: it was read before, and never begun.
    pub(crate) has_row: bool,
    pub(crate) test_case: Option<Arc<str>>,
}

/// The run of a child, as its execution's row names it.
pub(crate) fn run_of(execution: ExecutionRef, of: &ChildOf) -> RunRef {
    let id = stepwright_machine::ExecutionId::from_bytes(of.parent);
    RunRef { parent: ExecutionRef { scope: execution.scope, id }, run: of.run }
}
