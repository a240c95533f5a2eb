//! The datasets of distributed Maps: from the fields of an `ItemReader` to items, from results to the files of a
//! `ResultWriter`. Reading is stateless for whoever asks: a position says where to go on. An open dataset is kept
//! between two calls of a run, so that going on costs nothing; losing it costs no more than opening it again.

mod blocks;
mod export;
mod fetch;
mod plan;
mod position;
mod reader;
mod text;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use stepwright_engine::{
    BoxFuture, ConnectorFailure,
    datasets::{Chunk, Datasets, ExportCall, OnBehalf, ReadCall, ResultRecord, ResultRecords},
};
use stepwright_items::{Limits, Problem};

use self::reader::Reader;
use crate::{
    credentials::CredentialSource,
    error::{ConfigError, failure},
    objects::{Behalf, Location, Object, ObjectError, Places, S3Client},
};

/// Datasets that are kept open at once; each holds a few MiB, one of Parquet 32 at most.
const MAX_OPEN: usize = 48;
/// How long an open dataset is kept that nobody asks for.
const IDLE: Duration = Duration::from_secs(60);

/// What may be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetOptions {
    /// Folders that a state may name as `file:///…`.
    pub folders: Vec<PathBuf>,
    /// Buckets that are elsewhere than in S3.
    pub buckets: BTreeMap<String, Location>,
    /// How long one request of a store may take.
    pub call_timeout: Duration,
    /// Bytes of an item, as the dataset has it.
    pub item_bytes: usize,
    /// Bytes of a file of results, at most about; then another is begun (AWS: 5 GB).
    pub file_bytes: u64,
}

impl Default for DatasetOptions {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            buckets: BTreeMap::new(),
            call_timeout: Duration::from_secs(30),
            item_bytes: Limits::default().item_bytes,
            file_bytes: 5_000_000_000,
        }
    }
}

/// Reaches datasets in object stores.
#[derive(Debug)]
pub struct ObjectDatasets {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: Places,
    limits: Limits,
    file_bytes: u64,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    readers: HashMap<u128, Kept>,
    is_swept: bool,
}

#[derive(Debug)]
struct Kept {
    reader: Reader,
    since: Instant,
}

impl ObjectDatasets {
    /// Datasets as the options allow them. `lookup` knows environment variables.
    ///
    /// # Errors
    /// The environment names an endpoint that is none.
    pub fn new(
        options: DatasetOptions,
        credentials: Arc<CredentialSource>,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        // Room for an answer that is a page of a list, or a range with its headers.
        let max_bytes = fetch::PIECE_BYTES + (4 << 20);
        let s3 = S3Client::new(credentials, options.call_timeout, max_bytes, lookup)?;
        let places = Places::new(s3, options.folders, options.buckets, options.call_timeout);
        let limits = Limits { item_bytes: options.item_bytes, ..Limits::default() };
        let shared = Shared { places, limits, file_bytes: options.file_bytes, open: Mutex::default() };
        Ok(Self { shared: Arc::new(shared) })
    }
}

impl Shared {
    /// A call of a run that goes on where the last one ended is answered by the dataset that is open.
    fn take(&self, call: &ReadCall) -> Option<Reader> {
        // Every change is complete before anything can panic, so a poisoned lock guards good data.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = open.readers.remove(&call.on_behalf.run)?;
        kept.reader.is_at(&call.position).then_some(kept.reader)
    }

    fn keep(self: &Arc<Self>, run: u128, reader: Reader) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.readers.len() >= MAX_OPEN
            && let Some((oldest, since)) =
                open.readers.iter().map(|(run, kept)| (*run, kept.since)).min_by_key(|(_, since)| *since)
        {
            if since.elapsed() < IDLE / 4 {
                // All are in use. To let each go in turn would make every one of them begin anew at each read.
                return;
            }
            open.readers.remove(&oldest);
        }
        open.readers.insert(run, Kept { reader, since: Instant::now() });
        if !open.is_swept {
            open.is_swept = true;
            tokio::spawn(sweep(Arc::downgrade(self)));
        }
    }

    async fn read(self: Arc<Self>, call: ReadCall) -> Result<Chunk, ConnectorFailure> {
        let run = call.on_behalf.run;
        let mut reader = match self.take(&call) {
            Some(reader) => reader,
            None => Reader::open(&self.places, self.limits, &call).await.map_err(|failure| failure.of_reader())?,
        };
        let chunk = reader.read(call.at_most, call.bytes).await.map_err(|failure| failure.of_reader())?;
        if !chunk.is_end {
            self.keep(run, reader);
        }
        Ok(chunk)
    }
}

/// Lets go of what nobody asks for, until there is nothing left to let go of.
async fn sweep(shared: Weak<Shared>) {
    loop {
        tokio::time::sleep(IDLE / 4).await;
        let Some(shared) = shared.upgrade() else { return };
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.readers.retain(|_, kept| kept.since.elapsed() < IDLE);
        if open.readers.is_empty() {
            open.is_swept = false;
            return;
        }
    }
}

impl Datasets for ObjectDatasets {
    fn read(&self, call: ReadCall) -> BoxFuture<Result<Chunk, ConnectorFailure>> {
        Box::pin(Arc::clone(&self.shared).read(call))
    }

    fn close(&self, run: u128) {
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).readers.remove(&run);
    }

    fn describe(&self, record: &ResultRecord) -> String {
        export::full(record)
    }

    fn export(
        &self,
        call: ExportCall,
        records: Box<dyn ResultRecords>,
    ) -> BoxFuture<Result<Arc<str>, ConnectorFailure>> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            let result = export::export(&shared.places, shared.file_bytes, &call, records).await;
            result.map_err(|error| failure("States.ResultWriterFailed", &error.0))
        })
    }
}

fn behalf(on_behalf: &OnBehalf) -> Behalf {
    Behalf { region: Arc::clone(&on_behalf.region), account: Arc::clone(&on_behalf.account) }
}

/// Why items can't be read.
#[derive(Debug)]
enum ReadFailure {
    /// The store says so.
    Object(ObjectError),
    /// The object says so.
    Content(Option<Object>, Problem),
}

impl ReadFailure {
    fn of_reader(&self) -> ConnectorFailure {
        let cause = match self {
            Self::Object(error) => error.to_string(),
            Self::Content(Some(object), problem) if !problem.is_verbatim() => format!("{object}: {problem}"),
            Self::Content(_, problem) => problem.to_string(),
        };
        failure("States.ItemReaderFailed", &cause)
    }
}

impl From<ObjectError> for ReadFailure {
    fn from(error: ObjectError) -> Self {
        Self::Object(error)
    }
}
