//! The fields that a Map state has in distributed mode only. They are checked, and kept typed and as written.

use std::sync::Arc;

use serde_json::Value;
use stepwright_querylang::jsonata::Members;

use super::data::Roots;
use super::fields::{self, Fields};
use super::{Checker, Step, number_limits};
use crate::definition::{MapMode, NumberField, QueryLanguage};
use crate::diagnostic::Code;
use crate::json::Node;
use crate::label::Problem;
use crate::map_run::{
    InputType, ItemBatcher, ItemReader, ManifestType, MapRunFields, PayloadField, ResultTransformation, ResultWriter,
};

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

impl<'t> Checker<'t> {
    /// The fields of distributed mode, as written.
    pub(super) fn distributed(
        &mut self,
        fields: &Fields<'t>,
        mode: MapMode,
        language: QueryLanguage,
    ) -> (Value, MapRunFields) {
        let given = || FIELDS.into_iter().filter_map(|name| Some((name, fields.get(name)?)));
        if mode == MapMode::Inline {
            for (name, node) in given().filter(|(name, _)| DISTRIBUTED_ONLY.contains(name)) {
                self.invalid(format!("Field '{name}' is not supported"), node);
            }
        }
        let label = self.label(fields);
        let tolerated_failure_count = self.number(fields, "ToleratedFailureCount", number_limits::NONE, language);
        let tolerated_failure_percentage = self.tolerated_percentage(fields, language);
        let reader = self
            .object_member(fields, "ItemReader")
            .map(|reader| self.below(&Step::Member("ItemReader"), |checker| checker.item_reader(&reader, language)));
        let batcher = self.object_member(fields, "ItemBatcher").map(|batcher| {
            self.below(&Step::Member("ItemBatcher"), |checker| {
                checker.only(&batcher, fields::ITEM_BATCHER, language);
                ItemBatcher {
                    batch_input: checker.payload(&batcher, "BatchInput", language),
                    max_items: checker.number(&batcher, "MaxItemsPerBatch", number_limits::NONE, language),
                    max_bytes: checker.number(
                        &batcher,
                        "MaxInputBytesPerBatch",
                        number_limits::MAX_BATCH_BYTES,
                        language,
                    ),
                }
            })
        });
        let writer = self.object_member(fields, "ResultWriter");
        let writer = writer.map(|writer| {
            self.below(&Step::Member("ResultWriter"), |checker| checker.result_writer(&writer, language))
        });
        let run =
            MapRunFields { reader, batcher, writer, label, tolerated_failure_count, tolerated_failure_percentage };
        (Value::Object(given().map(|(name, node)| (name.to_owned(), node.to_value())).collect()), run)
    }

    /// A number with its `…Path` form, which may start at the input or at a variable.
    fn number(
        &mut self,
        fields: &Fields<'t>,
        name: &str,
        max: u64,
        language: QueryLanguage,
    ) -> Option<NumberField<u64>> {
        let path = format!("{name}Path");
        self.number_field(fields, name, Some((&path, Roots::InputAndVariables)), 0..=max, language)
    }

    fn tolerated_percentage(&mut self, fields: &Fields<'t>, language: QueryLanguage) -> Option<NumberField<f64>> {
        let (name, path) = ("ToleratedFailurePercentage", "ToleratedFailurePercentagePath");
        self.at_most_one(fields, &[name, path]);
        let referred = self.reference_path(fields, path, Roots::InputAndVariables);
        let marked = if language == QueryLanguage::Jsonata { self.marked(fields, name) } else { None };
        let own = match marked {
            Some(expression) => expression.map(NumberField::Jsonata),
            None => self.float(fields, name, 0.0, 100.0).map(NumberField::Literal),
        };
        referred.map(NumberField::Path).or(own)
    }

    /// A payload template, or JSON with expressions.
    fn payload(&mut self, fields: &Fields<'t>, name: &str, language: QueryLanguage) -> Option<PayloadField> {
        match language {
            QueryLanguage::JsonPath => self.template(fields, name).map(PayloadField::JsonPath),
            QueryLanguage::Jsonata => self.jsonata(fields, name, Members::INPUT).map(PayloadField::Jsonata),
        }
    }

    fn item_reader(&mut self, reader: &Fields<'t>, language: QueryLanguage) -> ItemReader {
        self.only(reader, fields::ITEM_READER, language);
        self.required(reader, &["Resource"]);
        self.s3_resource(reader, &["getObject", "listObjectsV2"]);
        let lists = reader.get("Resource").and_then(Node::as_str).is_some_and(|text| text.ends_with("listObjectsV2"));
        let parameters = self.call_parameters(reader);
        let Some(config) = self.object_member(reader, "ReaderConfig") else {
            return ItemReader { lists, parameters, ..ItemReader::default() };
        };
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
            let names = checker.array(&config, "CSVHeaders").unwrap_or_default();
            let names = || names.iter().filter_map(Node::as_str).map(Arc::from).collect();
            let delimiters = ["COMMA", "PIPE", "SEMICOLON", "SPACE", "TAB"];
            let csv_delimiter = checker
                .one_of(&config, "CSVDelimiter", &delimiters)
                .and_then(|name| delimiters.iter().position(|known| *known == name))
                .map(|place| [',', '|', ';', ' ', '\t'][place]);
            let manifest = match checker.one_of(&config, "ManifestType", &["S3_INVENTORY", "ATHENA_DATA"]) {
                Some("ATHENA_DATA") => ManifestType::AthenaData,
                _ => ManifestType::S3Inventory,
            };
            // An inventory has a type of its own, so that none is given beside it.
            let is_inventory = input_type.is_none() && config.has("ManifestType");
            let input_type = if is_inventory { Some("MANIFEST") } else { input_type };
            let transformation = checker.one_of(&config, "Transformation", &["NONE", "LOAD_AND_FLATTEN"]);
            ItemReader {
                lists,
                parameters,
                manifest,
                loads_and_flattens: transformation == Some("LOAD_AND_FLATTEN"),
                input_type: input_type.map(|name| match name {
                    "CSV" => InputType::Csv,
                    "JSONL" => InputType::JsonLines,
                    "MANIFEST" => InputType::Manifest,
                    "PARQUET" => InputType::Parquet,
                    _ => InputType::Json,
                }),
                csv_headers: (headers == Some("GIVEN")).then(names),
                csv_delimiter,
                items_pointer: checker.string(&config, "ItemsPointer").map(Arc::from),
                max_items: checker.number(&config, "MaxItems", number_limits::MAX_ITEMS, language),
            }
        })
    }

    /// `Parameters` or `Arguments`; where one does not belong, that was said.
    fn call_parameters(&mut self, fields: &Fields<'t>) -> Option<PayloadField> {
        let parameters = self.payload(fields, "Parameters", QueryLanguage::JsonPath);
        let arguments = self.payload(fields, "Arguments", QueryLanguage::Jsonata);
        parameters.or(arguments)
    }

    fn result_writer(&mut self, writer: &Fields<'t>, language: QueryLanguage) -> ResultWriter {
        self.only(writer, fields::RESULT_WRITER, language);
        self.s3_resource(writer, &["putObject"]);
        let (exports, parameters) = (writer.has("Resource"), self.call_parameters(writer));
        let Some(config) = self.object_member(writer, "WriterConfig") else {
            return ResultWriter { exports, parameters, ..ResultWriter::default() };
        };
        self.below(&Step::Member("WriterConfig"), |checker| {
            checker.only(&config, fields::WRITER_CONFIG, language);
            let transformation = checker.one_of(&config, "Transformation", &["NONE", "COMPACT", "FLATTEN"]);
            let is_lines = checker.one_of(&config, "OutputType", &["JSON", "JSONL"]) == Some("JSONL");
            let transformation = transformation.map(|name| match name {
                "COMPACT" => ResultTransformation::Compact,
                "FLATTEN" => ResultTransformation::Flatten,
                _ => ResultTransformation::None,
            });
            ResultWriter { exports, parameters, transformation, is_lines }
        })
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

    fn label(&mut self, fields: &Fields<'t>) -> Option<Arc<str>> {
        let label = self.string(fields, "Label")?;
        let node = fields.get("Label")?;
        let (code, message) = if let Some(problem) = Problem::of(label) {
            (Code::InvalidLabelName, problem.message(label))
        } else if !self.labels.insert(label) {
            (Code::DuplicateLabelName, format!("Duplicate Label name: {label}"))
        } else {
            return Some(label.into());
        };
        self.below(&Step::Member("Label"), |checker| checker.say(code, message, node));
        None
    }
}
