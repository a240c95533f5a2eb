//! Where distributed Maps read their items and leave their results: the trait of whoever reaches objects outside. It
//! sees no store and no execution; which item is run when, and what a result is worth, is decided here in the engine.

use std::sync::Arc;

use stepwright_machine::{
    Millis, Status,
    map_run::{ExportPlan, ReadPlan, ResultShape},
};

use crate::connector::{BoxFuture, ConnectorFailure};

/// Reads items and writes results.
///
/// Called inside a tokio runtime. A panic in a future is a failure of the run, not of the engine.
pub trait Datasets: Send + Sync + 'static {
    /// Reads on from a position, streamed: what it holds in memory does not grow with the dataset. The same position
    /// gives the same items, also in another process, as long as the dataset does not change; if it did, it says so
    /// with a failure. Whoever implements it may keep a dataset open between the calls of one run, and must let go of it
    /// when the end was read, at [`close`](Self::close), and when it was not asked for long.
    fn read(&self, call: ReadCall) -> BoxFuture<Result<Chunk, ConnectorFailure>>;

    /// Nobody reads on in this run for now.
    fn close(&self, run: u128);

    /// What a result that is written whole looks like, JSON text: an element of the state's result where the results are
    /// not exported and yet wanted so.
    fn describe(&self, record: &ResultRecord) -> String {
        record.output.as_deref().unwrap_or("null").to_owned()
    }

    /// Writes the results of a run, in the order and pieces in which `records` gives them, and says what the state's
    /// result is, JSON text. What it wrote before a crash it writes again, over it.
    fn export(
        &self,
        call: ExportCall,
        records: Box<dyn ResultRecords>,
    ) -> BoxFuture<Result<Arc<str>, ConnectorFailure>>;
}

/// On whose behalf a dataset is reached.
#[derive(Clone, Debug)]
pub struct OnBehalf {
    /// The run's identity, a UUID.
    pub run: u128,
    /// The run's ARN.
    pub map_run_arn: Arc<str>,
    /// The parent's ARN.
    pub execution_arn: Arc<str>,
    /// The state machine's role.
    pub role_arn: Arc<str>,
    /// The execution's account.
    pub account: Arc<str>,
    /// The execution's region.
    pub region: Arc<str>,
}

/// Where in a dataset to read on. Opaque to the engine, which stores it; empty: at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Position(pub Arc<[u8]>);

/// A piece of a dataset to read.
#[derive(Clone, Debug)]
pub struct ReadCall {
    /// On whose behalf.
    pub on_behalf: OnBehalf,
    /// What is read. `max_items` is the engine's business.
    pub plan: Arc<ReadPlan>,
    /// From where.
    pub position: Position,
    /// Items at most, at least 1.
    pub at_most: usize,
    /// Bytes of items after which it is enough; one item is always read.
    pub bytes: usize,
}

/// A piece of a dataset.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    /// The items, in their order. May be empty before the end.
    pub items: Vec<Item>,
    /// Where to read on.
    pub next: Position,
    /// There is nothing more.
    pub is_end: bool,
    /// Bytes of the dataset that lie before `next`, and how many it has, if that is known: for a bar of progress.
    pub progress: (u64, Option<u64>),
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// JSON text without needless blanks.
    pub text: Arc<str>,
    /// The member's name, where the dataset is a JSON object.
    pub key: Option<Arc<str>>,
}

/// Results to write.
#[derive(Clone, Debug)]
pub struct ExportCall {
    /// On whose behalf.
    pub on_behalf: OnBehalf,
    /// Where to.
    pub plan: ExportPlan,
    /// How.
    pub shape: ResultShape,
}

/// The results of a run, in the order of the items.
pub trait ResultRecords: Send {
    /// The next ones; none at the end. Reads the store: may take as long as a disk does.
    ///
    /// # Errors
    /// What went wrong. The export then fails, too.
    fn next(&mut self) -> Result<Option<Vec<ResultRecord>>, String>;
}

/// What became of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultRecord {
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The ARN of the children's state machine, with the label.
    pub state_machine_arn: Arc<str>,
    /// `Running` stands for one that never started: a `PENDING` record.
    pub status: Status,
    /// JSON text.
    pub input: Arc<str>,
    /// JSON text, of a success.
    pub output: Option<Arc<str>>,
    /// Error name.
    pub error: Option<Arc<str>>,
    /// Cause.
    pub cause: Option<Arc<str>>,
    /// How often it was redriven.
    pub redrives: u32,
    /// Whether it is an EXPRESS child.
    pub is_express: bool,
    /// When it started; none: never.
    pub started_at: Option<Millis>,
    /// When it ended.
    pub stopped_at: Option<Millis>,
}
