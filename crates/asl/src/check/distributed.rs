//! The fields that a Map state has in distributed mode only. They are checked, and kept as written until distributed
//! maps are run.

use serde_json::Value;
use stepwright_querylang::jsonata::Members;

use super::data::Roots;
use super::fields::{self, Fields};
use super::{Checker, Step, number_limits};
use crate::definition::{MapMode, NumberField, QueryLanguage};
use crate::diagnostic::Code;

/// Refused in inline mode. The tolerated failures are accepted there, and mean nothing (recorded).
const DISTRIBUTED_ONLY: [&str; 4] = ["ItemReader", "ItemBatcher", "ResultWriter", "Label"];

const FIELDS: [&str; 8] = [
    "ItemReader",
    "ItemBatcher",
    "ResultWriter",
    "Label",
    "ToleratedFailureCount",
    "ToleratedFailureCountPath",
    "ToleratedFailurePercentage",
    "ToleratedFailurePercentagePath",
];

/// The longest label, in characters.
const MAX_LABEL: usize = 40;

impl<'t> Checker<'t> {
    /// The fields of distributed mode, as written.
    pub(super) fn distributed(&mut self, fields: &Fields<'t>, mode: MapMode, language: QueryLanguage) -> Value {
        let given = || FIELDS.into_iter().filter_map(|name| Some((name, fields.get(name)?)));
        if mode == MapMode::Inline {
            for (name, node) in given().filter(|(name, _)| DISTRIBUTED_ONLY.contains(name)) {
                self.invalid(format!("Field '{name}' is not supported"), node);
            }
        }
        self.label(fields);
        self.number(fields, "ToleratedFailureCount", number_limits::NONE, language);
        self.tolerated_percentage(fields, language);
        if let Some(reader) = self.object_member(fields, "ItemReader") {
            self.below(&Step::Member("ItemReader"), |checker| checker.item_reader(&reader, language));
        }
        if let Some(batcher) = self.object_member(fields, "ItemBatcher") {
            self.below(&Step::Member("ItemBatcher"), |checker| {
                checker.only(&batcher, fields::ITEM_BATCHER, language);
                checker.payload(&batcher, "BatchInput", language);
                checker.number(&batcher, "MaxItemsPerBatch", number_limits::NONE, language);
                checker.number(&batcher, "MaxInputBytesPerBatch", number_limits::MAX_BATCH_BYTES, language);
            });
        }
        if let Some(writer) = self.object_member(fields, "ResultWriter") {
            self.below(&Step::Member("ResultWriter"), |checker| checker.result_writer(&writer, language));
        }
        Value::Object(given().map(|(name, node)| (name.to_owned(), node.to_value())).collect())
    }

    /// A number with its `…Path` form, which may start at the input or at a variable.
    fn number(&mut self, fields: &Fields<'t>, name: &str, max: u64, language: QueryLanguage) {
        let path = format!("{name}Path");
        let _: Option<NumberField<u64>> =
            self.number_field(fields, name, Some((&path, Roots::InputAndVariables)), 0..=max, language);
    }

    fn tolerated_percentage(&mut self, fields: &Fields<'t>, language: QueryLanguage) {
        let (name, path) = ("ToleratedFailurePercentage", "ToleratedFailurePercentagePath");
        self.at_most_one(fields, &[name, path]);
        self.reference_path(fields, path, Roots::InputAndVariables);
        if language == QueryLanguage::JsonPath || self.marked(fields, name).is_none() {
            self.float(fields, name, 0.0, 100.0);
        }
    }

    /// A payload template, or JSON with expressions.
    fn payload(&mut self, fields: &Fields<'t>, name: &str, language: QueryLanguage) {
        match language {
            QueryLanguage::JsonPath => {
                self.template(fields, name);
            }
            QueryLanguage::Jsonata => {
                self.jsonata(fields, name, Members::INPUT);
            }
        }
    }

    fn item_reader(&mut self, reader: &Fields<'t>, language: QueryLanguage) {
        self.only(reader, fields::ITEM_READER, language);
        self.required(reader, &["Resource"]);
        self.s3_resource(reader, &["getObject", "listObjectsV2"]);
        self.payload(reader, "Parameters", QueryLanguage::JsonPath);
        self.payload(reader, "Arguments", QueryLanguage::Jsonata);
        let Some(config) = self.object_member(reader, "ReaderConfig") else { return };
        self.below(&Step::Member("ReaderConfig"), |checker| {
            checker.only(&config, fields::READER_CONFIG, language);
            let input_type = checker.one_of(&config, "InputType", &["CSV", "JSON", "JSONL", "MANIFEST", "PARQUET"]);
            if input_type == Some("JSON") {
                for name in ["CSVHeaderLocation", "CSVHeaders", "CSVDelimiter"] {
                    if let Some(node) = config.get(name) {
                        checker.invalid(format!("Field '{name}' is not supported"), node);
                    }
                }
            }
            if input_type == Some("CSV") && !config.has("CSVHeaderLocation") {
                checker.invalid("The field 'CSVHeaderLocation' is required", config.node);
            }
            let headers = checker.one_of(&config, "CSVHeaderLocation", &["FIRST_ROW", "GIVEN"]);
            if headers == Some("GIVEN") {
                checker.required(&config, &["CSVHeaders"]);
            }
            checker.array(&config, "CSVHeaders");
            checker.one_of(&config, "CSVDelimiter", &["COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"]);
            checker.one_of(&config, "ManifestType", &["S3_INVENTORY", "ATHENA_DATA"]);
            checker.one_of(&config, "Transformation", &["NONE", "LOAD_AND_FLATTEN"]);
            checker.string(&config, "ItemsPointer");
            checker.number(&config, "MaxItems", number_limits::MAX_ITEMS, language);
        });
    }

    fn result_writer(&mut self, writer: &Fields<'t>, language: QueryLanguage) {
        self.only(writer, fields::RESULT_WRITER, language);
        self.s3_resource(writer, &["putObject"]);
        self.payload(writer, "Parameters", QueryLanguage::JsonPath);
        self.payload(writer, "Arguments", QueryLanguage::Jsonata);
        let Some(config) = self.object_member(writer, "WriterConfig") else { return };
        self.below(&Step::Member("WriterConfig"), |checker| {
            checker.only(&config, fields::WRITER_CONFIG, language);
            checker.one_of(&config, "Transformation", &["NONE", "COMPACT", "FLATTEN"]);
            checker.one_of(&config, "OutputType", &["JSON", "JSONL"]);
        });
    }

    fn s3_resource(&mut self, fields: &Fields<'t>, actions: &[&str]) {
        let Some(text) = self.string(fields, "Resource") else { return };
        let action = text
            .strip_prefix("arn:")
            .and_then(|rest| rest.split_once(':'))
            .and_then(|(_, rest)| rest.strip_prefix("states:::s3:"));
        if !action.is_some_and(|action| actions.contains(&action)) {
            let node = fields.get("Resource").unwrap_or(fields.node);
            self.invalid_member("Resource", "The field 'Resource' does not match any of the allowed values", node);
        }
    }

    fn label(&mut self, fields: &Fields<'t>) {
        let (Some(label), Some(node)) = (self.string(fields, "Label"), fields.get("Label")) else { return };
        let (code, message) = if label.is_empty() {
            (Code::InvalidLabelName, "The label name cannot be empty".to_owned())
        } else if label.chars().count() > MAX_LABEL {
            let message = format!("{label} exceeds the {MAX_LABEL}-character limit allowed by the service");
            (Code::InvalidLabelName, message)
        } else if let Some(character) = label.chars().find(|&character| !label_character(character)) {
            let shown = character.escape_debug();
            (Code::InvalidLabelName, format!("The label name contains an invalid character: '{shown}'"))
        } else if !self.labels.insert(label) {
            (Code::DuplicateLabelName, format!("Duplicate Label name: {label}"))
        } else {
            return;
        };
        self.below(&Step::Member("Label"), |checker| checker.say(code, message, node));
    }
}

/// The rule of names: no white space, brackets, wildcards, special or control characters.
fn label_character(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !"<>{}[]?*\"#%\\^|~`$&,;:/".contains(character)
        // Characters that are no text, or that change how text reads.
        && !matches!(character, '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
}
