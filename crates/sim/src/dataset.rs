//! The datasets of a simulated world: what they hold follows from their keys, reads and writes end when and how the world
//! decides, and what was written is kept. A crash takes nothing of that from it: it is outside.

use std::{
    collections::BTreeMap,
    panic::resume_unwind,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use stepwright_engine::{
    BoxFuture, ConnectorFailure,
    datasets::{Chunk, Datasets, ExportCall, Item, Position, ReadCall, ResultRecord, ResultRecords},
};
use tokio::sync::oneshot;

use crate::workload::Dice;

/// How a read or a write ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well. A read gives so many items at most.
    Well(usize),
    Fails,
    Panics,
}

/// A read or a write under way.
pub(crate) struct Access {
    pub(crate) writes: bool,
    pub(crate) end: oneshot::Sender<Outcome>,
}

/// What was written of a run: each attempt that came to its end.
pub(crate) type Written = BTreeMap<u128, Vec<Vec<ResultRecord>>>;

#[derive(Default)]
struct State {
    new: Vec<Access>,
    written: Written,
}

/// All datasets.
#[derive(Default)]
pub(crate) struct SimDatasets(Mutex<State>);

impl SimDatasets {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads and writes that began since this was last asked.
    pub(crate) fn take_new(&self) -> Vec<Access> {
        std::mem::take(&mut self.lock().new)
    }

    /// What was written last of a run.
    pub(crate) fn written(&self, run: u128) -> Option<Vec<ResultRecord>> {
        self.lock().written.get(&run)?.last().cloned()
    }

    fn begin(&self, writes: bool) -> oneshot::Receiver<Outcome> {
        let (end, ended) = oneshot::channel();
        self.lock().new.push(Access { writes, end });
        ended
    }
}

/// The items that the dataset with these parameters holds.
pub(crate) fn items(parameters: &str) -> Vec<Value> {
    let parameters: Value = serde_json::from_str(parameters).unwrap_or_default();
    let key = parameters["Key"].as_str().unwrap_or_default();
    let (amount, seed) = key.split_once('-').unwrap_or(("0", "0"));
    let mut dice = Dice::new(seed.parse().unwrap_or(0));
    (0..amount.parse::<u64>().unwrap_or(0))
        .map(|at| match dice.roll(4) {
            0 => json!({"id": at, "of": [dice.roll(9), "two"]}),
            1 => json!(format!("item {at}")),
            _ => json!(at),
        })
        .collect()
}

impl Datasets for Handle {
    fn read(&self, call: ReadCall) -> BoxFuture<Result<Chunk, ConnectorFailure>> {
        let ended = self.0.begin(false);
        Box::pin(async move {
            let most = match ended.await {
                Ok(Outcome::Well(most)) => most.min(call.at_most),
                Ok(Outcome::Fails) => return Err(ConnectorFailure::new("States.ItemReaderFailed", "as decided")),
                Ok(Outcome::Panics) => resume_unwind(Box::new("the simulated dataset broke")),
                // Nobody answers any more.
                Err(_) => return std::future::pending().await,
            };
            let all = items(&call.plan.parameters);
            // A byte that means nothing, and where to read on.
            let from = call.position.0.get(1..5).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes);
            let from = usize::try_from(from).unwrap_or(0);
            let to = all.len().min(from + most);
            let item = |value: &Value| Item { text: value.to_string().into(), key: None };
            let items: Vec<Item> = all[from..to].iter().map(item).collect();
            let place = u32::try_from(to).unwrap_or(u32::MAX).to_be_bytes();
            let next = Position([&[7][..], &place].concat().into());
            // The end may be seen with the last item, or only when there is no more.
            let is_end = to == all.len() && (items.is_empty() || call.on_behalf.run.is_multiple_of(2));
            Ok(Chunk { items, next, is_end, progress: (0, None) })
        })
    }

    fn close(&self, _: u128) {}

    fn export(
        &self,
        call: ExportCall,
        mut records: Box<dyn ResultRecords>,
    ) -> BoxFuture<Result<Arc<str>, ConnectorFailure>> {
        let ended = self.0.begin(true);
        let datasets = self.0.clone();
        Box::pin(async move {
            let outcome = ended.await;
            let failed = |cause: String| Err(ConnectorFailure::new("States.ResultWriterFailed", cause));
            let mut all = Vec::new();
            match outcome {
                Ok(Outcome::Well(_)) => loop {
                    match records.next() {
                        Ok(Some(more)) => all.extend(more),
                        Ok(None) => break,
                        Err(cause) => return failed(cause),
                    }
                },
                Ok(Outcome::Fails) => return failed("as decided".into()),
                Ok(Outcome::Panics) => resume_unwind(Box::new("the simulated dataset broke")),
                Err(_) => return std::future::pending().await,
            }
            let run = call.on_behalf.run;
            datasets.lock().written.entry(run).or_default().push(all);
            let output = json!({"MapRunArn": &*call.on_behalf.map_run_arn,
                "ResultWriterDetails": {"Bucket": "results", "Key": format!("of/{run:032x}/manifest.json")}});
            Ok(output.to_string().into())
        })
    }
}

/// The datasets, as the engine has them.
pub(crate) struct Handle(pub(crate) Arc<SimDatasets>);
