//! The JSONPath data flow of a state: InputPath, Parameters, ResultSelector, ResultPath, OutputPath.
//! Pure functions; a payload that passes unchanged stays the same payload, text and all.

use std::sync::Arc;

use serde_json::Value;
use stepwright_asl::{DataFlow, PathField, ResultPath};
use stepwright_querylang::{EvaluationError, Scope, Template};

use crate::{context::Environment, payload::Payload, step::empty_object};

/// Data on its way through a state.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    /// A payload that nothing has changed.
    Same(Payload),
    /// A new value.
    New(Value),
}

impl Data {
    pub(crate) fn value(&self) -> &Value {
        match self {
            Data::Same(payload) => payload.value(),
            Data::New(value) => value,
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Data::Same(payload) => payload.value().clone(),
            Data::New(value) => value,
        }
    }

    /// The JSON text: the payload's own, byte for byte, if nothing has changed it.
    pub(crate) fn text(&self) -> Arc<str> {
        match self {
            Data::Same(payload) => Arc::clone(payload.text()),
            Data::New(value) => value.to_string().into(),
        }
    }

    /// The payload, not yet numbered if it is new.
    pub(crate) fn into_payload(self) -> Payload {
        match self {
            Data::Same(payload) => payload,
            Data::New(value) => Payload::from_value(value),
        }
    }
}

/// Why data could not be shaped.
#[derive(Debug)]
pub(crate) enum DataError {
    /// An expression failed.
    Evaluation(EvaluationError),
    /// ResultPath could not be applied to the raw input.
    ResultPath(String),
}

impl From<EvaluationError> for DataError {
    fn from(error: EvaluationError) -> Self {
        DataError::Evaluation(error)
    }
}

/// `InputPath` on the raw input.
pub(crate) fn input(flow: &DataFlow, raw: &Payload, environment: &Environment<'_>) -> Result<Data, EvaluationError> {
    path(&flow.input_path, Data::Same(raw.clone()), environment)
}

/// `Parameters` on what `InputPath` selected: the effective input.
pub(crate) fn parameters(
    flow: &DataFlow,
    selected: Data,
    environment: &Environment<'_>,
) -> Result<Data, EvaluationError> {
    shape(flow.parameters.as_ref(), selected, environment)
}

/// `ResultSelector` on a result.
pub(crate) fn select_result(
    flow: &DataFlow,
    result: Data,
    environment: &Environment<'_>,
) -> Result<Data, EvaluationError> {
    shape(flow.result_selector.as_ref(), result, environment)
}

/// `OutputPath`.
pub(crate) fn output_path(flow: &DataFlow, data: Data, environment: &Environment<'_>) -> Result<Data, EvaluationError> {
    path(&flow.output_path, data, environment)
}

/// Puts a result where `ResultPath` says.
pub(crate) fn place(result_path: &ResultPath, raw: &Payload, result: Data) -> Result<Data, DataError> {
    match result_path {
        ResultPath::Replace => Ok(result),
        ResultPath::Discard => Ok(Data::Same(raw.clone())),
        ResultPath::At(path) => path
            .insert(raw.value().clone(), result.into_value())
            .map(Data::New)
            .map_err(|error| DataError::ResultPath(error.to_string())),
    }
}

/// The members of an `Assign`, evaluated on `data`, each a payload that is not numbered yet.
pub(crate) fn assign(
    template: Option<&Template>,
    data: &Value,
    environment: &Environment<'_>,
) -> Result<Vec<(Arc<str>, Payload)>, EvaluationError> {
    let Some(template) = template else { return Ok(Vec::new()) };
    match template.evaluate(&Scope { input: data, environment })? {
        Value::Object(members) => {
            Ok(members.into_iter().map(|(name, value)| (name.into(), Payload::from_value(value))).collect())
        }
        other => panic!("an Assign is validated to be an object, not {other}"),
    }
}

fn path(field: &PathField, data: Data, environment: &Environment<'_>) -> Result<Data, EvaluationError> {
    match field {
        PathField::Whole => Ok(data),
        PathField::Nothing => Ok(Data::New(empty_object())),
        PathField::Path(path) => {
            let found = path.evaluate(&Scope { input: data.value(), environment })?;
            if std::ptr::eq(&*found, data.value()) {
                return Ok(data);
            }
            Ok(Data::New(found.into_owned()))
        }
    }
}

fn shape(template: Option<&Template>, data: Data, environment: &Environment<'_>) -> Result<Data, EvaluationError> {
    match template {
        None => Ok(data),
        Some(template) => Ok(Data::New(template.evaluate(&Scope { input: data.value(), environment })?)),
    }
}
