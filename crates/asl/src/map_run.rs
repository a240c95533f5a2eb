//! What a Map state says of its items and their failures beyond an inline Map: the reader, the batcher, the writer and
//! how many failures it tolerates. Typed fields and nothing else; nothing here reads or evaluates anything.

use std::sync::Arc;

use stepwright_querylang::Template;
use stepwright_querylang::jsonata::StatesTemplate;

use crate::definition::NumberField;

/// The fields of a Map state that belong to its run.
#[derive(Clone, Debug, Default)]
pub struct MapRunFields {
    /// `ItemReader`.
    pub reader: Option<ItemReader>,
    /// `ItemBatcher`.
    pub batcher: Option<ItemBatcher>,
    /// `ResultWriter`.
    pub writer: Option<ResultWriter>,
    /// `Label`.
    pub label: Option<Arc<str>>,
    /// `ToleratedFailureCount(Path)`.
    pub tolerated_failure_count: Option<NumberField<u64>>,
    /// `ToleratedFailurePercentage(Path)`.
    pub tolerated_failure_percentage: Option<NumberField<f64>>,
}

impl MapRunFields {
    /// Whether the results are exported: the state's result tells where, then.
    #[must_use]
    pub fn exports(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.exports)
    }
}

/// `ItemReader`: where the items are, and how they are written there.
#[derive(Clone, Debug, Default)]
pub struct ItemReader {
    /// Whether `Resource` lists objects; else it gets one.
    pub lists: bool,
    /// `Parameters` or `Arguments`.
    pub parameters: Option<PayloadField>,
    /// `InputType`; none where the items are the objects of a bucket.
    pub input_type: Option<InputType>,
    /// `CSVHeaders`; none where the first row has them.
    pub csv_headers: Option<Vec<Arc<str>>>,
    /// `CSVDelimiter`.
    pub csv_delimiter: Option<char>,
    /// `ItemsPointer`, a JSON pointer.
    pub items_pointer: Option<Arc<str>>,
    /// `ManifestType`.
    pub manifest: ManifestType,
    /// Whether `Transformation` is `LOAD_AND_FLATTEN`.
    pub loads_and_flattens: bool,
    /// `MaxItems(Path)`.
    pub max_items: Option<NumberField<u64>>,
}

/// `ManifestType`: what a manifest lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestType {
    /// The files of an S3 inventory.
    #[default]
    S3Inventory,
    /// The results of an Athena query.
    AthenaData,
}

/// `ResultWriter`: what results look like, and where they are written.
#[derive(Clone, Debug, Default)]
pub struct ResultWriter {
    /// Whether it names a resource.
    pub exports: bool,
    /// `Parameters` or `Arguments`.
    pub parameters: Option<PayloadField>,
    /// `Transformation`.
    pub transformation: Option<ResultTransformation>,
    /// Whether `OutputType` is `JSONL`.
    pub is_lines: bool,
}

/// `Transformation` of a `ResultWriter`: what is kept of a child that succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultTransformation {
    /// All that is known of it.
    None,
    /// Its output.
    Compact,
    /// Its output, and of an array the elements.
    Flatten,
}

/// How the items are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputType {
    /// Rows of text.
    Csv,
    /// An array.
    Json,
    /// A JSON value in each line.
    JsonLines,
    /// A list of files that hold the items.
    Manifest,
    /// A table in a binary form.
    Parquet,
}

/// `ItemBatcher`: how items are put together.
#[derive(Clone, Debug, Default)]
pub struct ItemBatcher {
    /// `BatchInput`.
    pub batch_input: Option<PayloadField>,
    /// `MaxItemsPerBatch(Path)`.
    pub max_items: Option<NumberField<u64>>,
    /// `MaxInputBytesPerBatch(Path)`.
    pub max_bytes: Option<NumberField<u64>>,
}

/// JSON that is made of what is at hand.
#[derive(Clone, Debug)]
pub enum PayloadField {
    /// A payload template.
    JsonPath(Template),
    /// JSON with expressions.
    Jsonata(StatesTemplate),
}
