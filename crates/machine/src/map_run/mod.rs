//! What the run of a distributed Map is to do, decided once when the state begins it, and the pure parts of doing it:
//! the inputs of its children, batches, results, and how many failures it tolerates. Who runs the children, and when, is
//! decided elsewhere. Nothing here reads a dataset.

mod batches;
mod inputs;
mod outputs;
mod tolerance;

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    history::{Failure, StateNumber},
    id::Millis,
    payload::{Payload, PayloadId},
};

pub use self::{
    batches::{Batch, Batches},
    inputs::ItemInputs,
    outputs::Outputs,
    tolerance::Tolerance,
};

/// What a map run is to do. It is stored as long as the run is known; its payloads are the parent execution's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapRunPlan {
    /// The run's identity, a UUID of version 4.
    pub uuid: u128,
    /// Its ARN.
    pub arn: Arc<str>,
    /// The label of the children's state machine: the state's own, or one made of the machine's ARN and the state.
    pub label: Arc<str>,
    /// The Map state.
    pub state: StateNumber,
    /// Its name.
    pub state_name: Arc<str>,
    /// The flow that the children run: [`ExecutionInfo::flow`](crate::ExecutionInfo::flow).
    pub flow: u32,
    /// Whether the children are EXPRESS.
    pub is_express: bool,
    /// Where the items are.
    pub source: ItemSource,
    /// What `ItemSelector` may read; none without one.
    pub selector: Option<SelectorScope>,
    /// How items are put together; none: a child for each.
    pub batching: Option<Batching>,
    /// Children at once, at most; 0: as many as there may be.
    pub max_concurrency: u64,
    /// `ToleratedFailureCount`.
    pub tolerated_failure_count: Option<u64>,
    /// `ToleratedFailurePercentage`, from 0 to 100.
    pub tolerated_failure_percentage: Option<f64>,
    /// Where the results are written; none: they are the state's result.
    pub export: Option<ExportPlan>,
    /// What the results look like.
    pub shape: ResultShape,
    /// Nobody reads the results, where they are not exported: they are not put together, and are never too large.
    pub discards: bool,
    /// Why the run fails before it reads or runs anything.
    pub refusal: Option<Failure>,
    /// Where the pseudo-random draws of the run start.
    pub seed: u64,
}

/// Where the items of a run are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ItemSource {
    /// In the state's data: an array, or an object whose members are the items.
    Payload(Payload),
    /// In a dataset outside.
    Reader(Box<ReadPlan>),
}

/// What is read of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadPlan {
    /// The call that finds it.
    pub action: ReadAction,
    /// The call's parameters, the JSON text of an object: `{"Bucket":…,"Key":…}`.
    pub parameters: Arc<str>,
    /// How the items are written; none where the objects of a list are the items themselves, and for an object's default,
    /// [`Format::Json`].
    pub format: Option<Format>,
    /// `CSVHeaders`; none where the first row has them.
    pub csv_headers: Option<Vec<Arc<str>>>,
    /// `CSVDelimiter`.
    pub csv_delimiter: char,
    /// `ItemsPointer`, a JSON pointer.
    pub items_pointer: Option<Arc<str>>,
    /// What a manifest is.
    pub manifest: ManifestType,
    /// Whether every object of a list is read and its items put one after the other: `LOAD_AND_FLATTEN`.
    pub loads_and_flattens: bool,
    /// Items at most; 0: all.
    pub max_items: u64,
}

/// A call that finds a dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadAction {
    /// `s3:getObject`.
    GetObject,
    /// `s3:listObjectsV2`.
    ListObjects,
}

/// How items are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// Rows of text.
    Csv,
    /// A JSON array or object.
    Json,
    /// A JSON value in each line.
    JsonLines,
    /// A list of files that hold the items.
    Manifest,
    /// A table in a binary form.
    Parquet,
}

/// What a manifest lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManifestType {
    /// The files of an S3 inventory.
    #[default]
    S3Inventory,
    /// The results of an Athena query.
    AthenaData,
}

/// What `ItemSelector` may read, as it was when the run began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectorScope {
    /// The state's effective input.
    pub input: Payload,
    /// The context object, without `Execution.Input` and `Map`.
    pub context: Payload,
    /// `Execution.Input` of the context object.
    pub execution_input: Payload,
    /// `Map.Item.Source` of the context object.
    pub source: Arc<str>,
    /// The variables that the state sees.
    pub variables: BTreeMap<Arc<str>, Payload>,
    /// The time that expressions see.
    pub at: Millis,
    /// "An error occurred while executing the state …", which stands before the causes of failures.
    pub cause_prefix: Arc<str>,
}

/// How items are put together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Batching {
    /// `BatchInput`, JSON text.
    pub batch_input: Option<Arc<str>>,
    /// Items of a batch at most; none: as many as fit.
    pub max_items: Option<u64>,
    /// Bytes of a batch at most; none: what an input may have.
    pub max_bytes: Option<u64>,
}

/// Where results are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExportPlan {
    /// The parameters, the JSON text of an object: `{"Bucket":…,"Prefix":…}`.
    pub parameters: Arc<str>,
}

/// What results look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultShape {
    /// What is kept of a child.
    pub transformation: ResultTransformation,
    /// How files are written.
    pub format: ResultFormat,
}

/// What is kept of a child that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultTransformation {
    /// All that is known of it.
    None,
    /// Its output.
    Compact,
    /// Its output, and of an array the elements.
    Flatten,
}

/// How files of results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResultFormat {
    /// An array.
    #[default]
    Json,
    /// A value in each line.
    JsonLines,
}

impl MapRunPlan {
    /// How many items there are, if that is known before they are read.
    #[must_use]
    pub fn known_items(&self) -> Option<u64> {
        match &self.source {
            ItemSource::Payload(items) => Some(match items.value() {
                Value::Array(elements) => elements.len() as u64,
                Value::Object(members) => members.len() as u64,
                _ => 0,
            }),
            ItemSource::Reader(_) => None,
        }
    }

    /// Gives every payload that it names its text again, after it was read back.
    ///
    /// # Errors
    /// The number of a payload that `source` does not know.
    pub fn hydrate(&mut self, mut source: impl FnMut(PayloadId) -> Option<Arc<str>>) -> Result<(), PayloadId> {
        let mut once = |id| Some(Payload::numbered(id, source(id)?));
        if let ItemSource::Payload(items) = &mut self.source {
            items.hydrate_from(&mut once)?;
        }
        if let Some(scope) = &mut self.selector {
            for payload in [&mut scope.input, &mut scope.context, &mut scope.execution_input] {
                payload.hydrate_from(&mut once)?;
            }
            for payload in scope.variables.values_mut() {
                payload.hydrate_from(&mut once)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{ItemSource, MapRunPlan, ResultFormat, ResultShape, ResultTransformation};
    use crate::payload::{Payload, PayloadId};

    /// Of a state `M` with an empty array.
    pub(super) fn plan() -> MapRunPlan {
        MapRunPlan {
            uuid: 1,
            arn: "arn:aws:states:us-east-1:000000000000:mapRun:m/l:u".into(),
            label: "l".into(),
            state: 0,
            state_name: "M".into(),
            flow: 1,
            is_express: false,
            source: ItemSource::Payload(Payload::new("[]")),
            selector: None,
            batching: None,
            max_concurrency: 0,
            tolerated_failure_count: None,
            tolerated_failure_percentage: None,
            export: None,
            shape: ResultShape { transformation: ResultTransformation::Compact, format: ResultFormat::Json },
            discards: false,
            refusal: None,
            seed: 1,
        }
    }

    #[test]
    fn a_plan_is_stored_without_the_texts_of_its_payloads() {
        let id = PayloadId { turn: 3, index: 1 };
        let mut stored = plan();
        stored.source = ItemSource::Payload(Payload::numbered(id, "[1]"));
        let bytes = postcard::to_allocvec(&stored).expect("serialises");
        let mut read: MapRunPlan = postcard::from_bytes(&bytes).expect("reads back");
        assert_eq!(read, stored);
        assert_eq!(read.hydrate(|_| None), Err(id));
        read.hydrate(|asked| (asked == id).then(|| "[1]".into())).expect("known");
        let ItemSource::Payload(items) = &read.source else { panic!("a payload") };
        assert_eq!(&**items.text(), "[1]");
    }
}
