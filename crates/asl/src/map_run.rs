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
    /// Whether `ResultWriter` names a resource: the results are exported then, and the state's result tells where.
    pub exports: bool,
    /// `ToleratedFailureCount(Path)`.
    pub tolerated_failure_count: Option<NumberField<u64>>,
    /// `ToleratedFailurePercentage(Path)`.
    pub tolerated_failure_percentage: Option<NumberField<f64>>,
}

/// `ItemReader`: where the items are, and how they are written there.
#[derive(Clone, Debug, Default)]
pub struct ItemReader {
    /// `InputType`; none where the items are the objects of a bucket.
    pub input_type: Option<InputType>,
    /// `CSVHeaders`; none where the first row has them.
    pub csv_headers: Option<Vec<Arc<str>>>,
    /// `CSVDelimiter`.
    pub csv_delimiter: Option<char>,
    /// `ItemsPointer`, a JSON pointer.
    pub items_pointer: Option<Arc<str>>,
    /// `MaxItems(Path)`.
    pub max_items: Option<NumberField<u64>>,
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
