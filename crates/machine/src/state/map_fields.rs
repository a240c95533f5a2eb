//! The fields of a distributed Map state that say how its run goes, evaluated once, as the state is entered: in executions
//! and under test alike.

use std::sync::Arc;

use serde_json::Value;
use stepwright_asl::{
    InputType, ItemBatcher, ItemReader, ManifestType as WrittenManifest, Map, NumberField, PayloadField,
    ResultTransformation as Written, ResultWriter,
};
use stepwright_querylang::{ReferencePath, Scope, jsonata::JsonType};

use super::refer;
use crate::{
    error_handling::{Raised, too_large},
    history::Failure,
    id::FrameId,
    jsonata,
    map_run::{
        Batching, ExportPlan, Format, ManifestType, ReadAction, ReadPlan, ResultFormat, ResultShape,
        ResultTransformation, Tolerance,
    },
    step::Turn,
};

/// Items of a dataset at most (AWS: documented). More are asked for without an error (recorded).
const MAX_ITEMS: u64 = 100_000_000;

/// What a reader does not take (recorded).
const NOT_POSITIVE: &str = "field MaxItems must be positive";

impl Turn<'_> {
    /// The failures that the state tolerates.
    pub(crate) fn tolerance(&self, id: FrameId, map: &Map, input: &Value) -> Result<Tolerance, Raised> {
        let mut tolerance = Tolerance::default();
        if let Some(field) = &map.run.tolerated_failure_count {
            let count = self.number(id, field, input, "ToleratedFailureCount")?;
            self.note(|noted| noted.map.tolerated_failure_count = Some(count));
            tolerance.count = Some(count);
        }
        if let Some(field) = &map.run.tolerated_failure_percentage {
            let name = "ToleratedFailurePercentage";
            let share = match field {
                NumberField::Literal(share) => *share,
                NumberField::Jsonata(expression) => {
                    let environment = self.environment(id);
                    let value = self.query(id, expression, JsonType::Number, &environment)?;
                    value.as_f64().expect("a number was asked for")
                }
                NumberField::Path(path) => {
                    let environment = self.environment(id);
                    let value = refer(path, input, &environment).map_err(|error| self.evaluation_failed(id, &error))?;
                    let share = value.as_f64().or_else(|| value.as_str()?.parse().ok());
                    share.ok_or_else(|| self.no_number(id, &value, path, name, "float"))?
                }
            };
            if !(0.0..=100.0).contains(&share) {
                return Err(self.runtime_error(id, &format!("{name} must be between 0 and 100.")));
            }
            self.note(|noted| noted.map.tolerated_failure_percentage = Some(share));
            tolerance.percentage = Some(share);
        }
        Ok(tolerance)
    }

    /// The whole number of a field, not below zero.
    pub(crate) fn number(
        &self,
        id: FrameId,
        field: &NumberField<u64>,
        input: &Value,
        name: &str,
    ) -> Result<u64, Raised> {
        let number = self.signed_number(id, field, input, name)?;
        number.map_err(|()| self.runtime_error(id, &format!("{name} cannot be negative.")))
    }

    /// The whole number of a field; an error if it is below zero and no expression says so.
    fn signed_number(
        &self,
        id: FrameId,
        field: &NumberField<u64>,
        input: &Value,
        name: &str,
    ) -> Result<Result<u64, ()>, Raised> {
        match field {
            NumberField::Literal(number) => Ok(Ok(*number)),
            NumberField::Jsonata(expression) => {
                self.query_integer(id, expression, (0, u64::MAX), &self.environment(id)).map(Ok)
            }
            NumberField::Path(path) => {
                let environment = self.environment(id);
                let value = refer(path, input, &environment).map_err(|error| self.evaluation_failed(id, &error))?;
                let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
                let number = number.ok_or_else(|| self.no_number(id, &value, path, name, "integer"))?;
                Ok(u64::try_from(number).map_err(drop))
            }
        }
    }

    fn no_number(&self, id: FrameId, value: &Value, path: &ReferencePath, name: &str, kind: &str) -> Raised {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let message =
            format!("The {name}Path field refers to value \"{shown}\" which is not a valid {kind}: {}", path.text());
        self.runtime_error(id, &message)
    }

    /// The text of what a field of JSON yields.
    fn payload_field(&self, id: FrameId, field: &PayloadField, input: &Value) -> Result<Value, Raised> {
        let environment = self.environment(id);
        match field {
            PayloadField::JsonPath(template) => template
                .evaluate(&Scope { input, environment: &environment })
                .map_err(|error| self.evaluation_failed(id, &error)),
            PayloadField::Jsonata(template) => template
                .evaluate(&jsonata::scope(&environment, input))
                .map_err(|failure| self.query_failed(id, failure)),
        }
    }

    /// How the items are put together.
    pub(crate) fn batching(&self, id: FrameId, batcher: &ItemBatcher, input: &Value) -> Result<Batching, Raised> {
        let fixed = match &batcher.batch_input {
            None => None,
            Some(field) => Some(self.bounded(id, &self.payload_field(id, field, input)?)?),
        };
        let bound = |field: Option<&NumberField<u64>>, name: &str| match field {
            // 0 is no bound.
            Some(field) => Ok(Some(self.number(id, field, input, name)?).filter(|most| *most > 0)),
            None => Ok(None),
        };
        Ok(Batching {
            batch_input: fixed,
            max_items: bound(batcher.max_items.as_ref(), "MaxItemsPerBatch")?,
            max_bytes: bound(batcher.max_bytes.as_ref(), "MaxInputBytesPerBatch")?,
        })
    }

    /// What is to be read of a dataset. A number of items that no reader takes is a failure of the run, not of the state
    /// (recorded): it comes with the plan.
    pub(crate) fn read_plan(
        &self,
        id: FrameId,
        reader: &ItemReader,
        input: &Value,
    ) -> Result<(ReadPlan, Option<Failure>), Raised> {
        let parameters = self.call_parameters(id, reader.parameters.as_ref(), input)?;
        let (max_items, refusal) = match &reader.max_items {
            None => (0, None),
            Some(field) => match self.signed_number(id, field, input, "MaxItems")? {
                Ok(most) => (most.min(MAX_ITEMS), None),
                Err(()) => {
                    let error = Some("States.ItemReaderFailed".into());
                    (0, Some(Failure { error, cause: Some(NOT_POSITIVE.into()) }))
                }
            },
        };
        let plan = ReadPlan {
            action: if reader.lists { ReadAction::ListObjects } else { ReadAction::GetObject },
            parameters,
            format: reader.input_type.map(|written| match written {
                InputType::Csv => Format::Csv,
                InputType::Json => Format::Json,
                InputType::JsonLines => Format::JsonLines,
                InputType::Manifest => Format::Manifest,
                InputType::Parquet => Format::Parquet,
            }),
            csv_headers: reader.csv_headers.clone(),
            csv_delimiter: reader.csv_delimiter.unwrap_or(','),
            items_pointer: reader.items_pointer.clone(),
            manifest: match reader.manifest {
                WrittenManifest::S3Inventory => ManifestType::S3Inventory,
                WrittenManifest::AthenaData => ManifestType::AthenaData,
            },
            loads_and_flattens: reader.loads_and_flattens,
            max_items,
        };
        Ok((plan, refusal))
    }

    /// Where the results are written, and what they look like: without a writer, the outputs.
    pub(crate) fn result_plan(
        &self,
        id: FrameId,
        writer: Option<&ResultWriter>,
        input: &Value,
    ) -> Result<(Option<ExportPlan>, ResultShape), Raised> {
        let usual = ResultTransformation::Compact;
        let Some(writer) = writer else {
            return Ok((None, ResultShape { transformation: usual, format: ResultFormat::Json }));
        };
        let export = match writer.exports {
            false => None,
            true => {
                let parameters = self.call_parameters(id, writer.parameters.as_ref(), input)?;
                Some(ExportPlan { parameters })
            }
        };
        let transformation = match writer.transformation {
            Some(Written::None) => ResultTransformation::None,
            Some(Written::Compact) => ResultTransformation::Compact,
            Some(Written::Flatten) => ResultTransformation::Flatten,
            None if writer.exports => ResultTransformation::None,
            None => usual,
        };
        let format = if writer.is_lines { ResultFormat::JsonLines } else { ResultFormat::Json };
        Ok((export, ResultShape { transformation, format }))
    }

    /// The parameters of the call to a dataset, an object.
    fn call_parameters(&self, id: FrameId, field: Option<&PayloadField>, input: &Value) -> Result<Arc<str>, Raised> {
        let Some(field) = field else { return Ok("{}".into()) };
        let value = self.payload_field(id, field, input)?;
        if value.is_object() {
            return self.bounded(id, &value);
        }
        let message = format!("The parameters of the dataset must be an object but were: {value}");
        Err(match field {
            PayloadField::JsonPath(_) => self.runtime_error(id, &message),
            PayloadField::Jsonata(_) => self.query_error(id, &message, None),
        })
    }

    /// The text of a value that is no larger than a payload may be.
    fn bounded(&self, id: FrameId, value: &Value) -> Result<Arc<str>, Raised> {
        let (text, limit) = (value.to_string(), self.execution.info.limits.payload_bytes);
        if limit != 0 && text.len() as u64 > limit {
            return Err(too_large(&self.state_of(id).name));
        }
        Ok(text.into())
    }
}
