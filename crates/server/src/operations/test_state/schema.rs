//! Whether a mocked result is one that the service could give, by the service's public model.
//!
//! Checked is what an API call answers. What a callback, an activity or a function answers is whatever it likes, and what
//! becomes of a job is no API's answer.

use serde_json::Value;
use stepwright_api::ApiError;
use stepwright_asl::{Integration, Pattern, Resource};
use stepwright_integrations::model::{self, Bounds, Kind, ServiceModel, ShapeId};

use crate::errors::validation;

/// Members of optimized results that are any JSON although the API has them as text or bytes.
const ANY_JSON: &[(&str, &[&str])] =
    &[("lambda:invoke", &["Payload"]), ("states:startExecution.sync:2", &["Input", "Output"])];

/// Checks a result. `required`: members that the API always gives must be there.
pub(super) fn check(resource: &Resource, result: &Value, required: bool) -> Result<(), ApiError> {
    let Resource::Integration(integration) = resource else { return Ok(()) };
    let Some((service, action)) = api_of(integration) else { return Ok(()) };
    let Some(model) = model::service(service) else { return Ok(()) };
    let Some(output) = model.operation(action).and_then(|operation| operation.output.as_ref()) else { return Ok(()) };
    let Value::Object(_) = result else { return Err(validation("Mocked result must be a JSON object.")) };
    let name = format!("{}:{}", integration.resource_type, integration.resource);
    let any_json = ANY_JSON.iter().find(|(known, _)| *known == name).map_or(&[][..], |(_, members)| *members);
    Checker { model: &model, required, any_json }
        .structure(output.shape, result)
        .map_err(|problem| validation(format!("Mock result schema validation error: {problem}")))
}

/// The service in the pack of models and the action whose answer is the task's result.
fn api_of(integration: &Integration) -> Option<(&str, &str)> {
    let (service, action) = (&*integration.resource_type, &*integration.action);
    match (service, integration.pattern) {
        (_, Pattern::WaitForTaskToken) => None,
        ("states", Pattern::RequestResponse) => Some(("sfn", action)),
        ("states", Pattern::Sync | Pattern::Sync2) => Some(("sfn", "describeExecution")),
        (_, Pattern::Sync | Pattern::Sync2) => None,
        ("events", _) => Some(("eventbridge", action)),
        // Their results are no API's answers.
        ("apigateway" | "http" | "eks" | "elasticmapreduce" | "bedrock", _) => None,
        ("emr-containers", _) => Some(("emrcontainers", action)),
        ("emr-serverless", _) => Some(("emrserverless", action)),
        _ => Some((service.strip_prefix("aws-sdk:").unwrap_or(service), action)),
    }
}

struct Checker<'m> {
    model: &'m ServiceModel,
    required: bool,
    any_json: &'static [&'static str],
}

impl Checker<'_> {
    /// The members of a structure, in the model's order. Unknown ones are nobody's business.
    fn structure(&self, shape: ShapeId, value: &Value) -> Result<(), String> {
        let Some(structure) = self.model.structure(shape) else { return Ok(()) };
        for member in &structure.members {
            match value.get(&*member.pascal) {
                None if self.required && member.required => {
                    return Err(format!("Required field '{}' is missing", member.pascal));
                }
                None => {}
                Some(_) if member.json_value || self.any_json.contains(&&*member.pascal) => {}
                Some(value) => self.field(&member.pascal, member.shape, value)?,
            }
        }
        Ok(())
    }

    fn field(&self, name: &str, shape: ShapeId, value: &Value) -> Result<(), String> {
        let must_be = |what: &str| Err(format!("Field '{name}' must be {what}"));
        match (&self.model.shape(shape).kind, value) {
            (Kind::Structure(_), Value::Object(_)) => self.structure(shape, value),
            (Kind::Structure(_), _) => must_be("an object"),
            (Kind::List { member, bounds, .. }, Value::Array(items)) => {
                length(name, items.len(), *bounds)?;
                items.iter().try_for_each(|item| self.field(name, member.shape, item))
            }
            (Kind::List { .. }, _) => must_be("an array"),
            (Kind::Map { value: element, .. }, Value::Object(entries)) => {
                entries.iter().try_for_each(|(key, value)| self.field(key, element.shape, value))
            }
            (Kind::Map { .. }, _) => must_be("an object"),
            (Kind::String { values, bounds, .. }, Value::String(text)) => {
                if !values.is_empty() && !values.iter().any(|known| **known == **text) {
                    return Err(format!("Field '{name}' is not an expected value"));
                }
                length(name, text.chars().count(), *bounds)
            }
            // How bytes are written as text is not known here, so neither is their number.
            (Kind::Blob { bounds, .. }, Value::String(text)) => {
                length(name, text.len(), Bounds { max: None, ..*bounds })
            }
            (Kind::Timestamp(_), Value::String(_)) => Ok(()),
            (Kind::String { .. } | Kind::Blob { .. } | Kind::Timestamp(_), _) => must_be("a string"),
            (Kind::Boolean, Value::Bool(_)) | (Kind::Document, _) => Ok(()),
            (Kind::Boolean, _) => must_be("a boolean"),
            (
                Kind::Integer(bounds) | Kind::Long(bounds) | Kind::Float(bounds) | Kind::Double(bounds),
                Value::Number(number),
            ) => {
                let number = number.as_f64().unwrap_or_default();
                if bounds.min.is_some_and(|min| number < min) {
                    return Err(format!("Field '{name}' is less than the minimum value"));
                }
                if bounds.max.is_some_and(|max| number > max) {
                    return Err(format!("Field '{name}' exceeds the maximum value"));
                }
                Ok(())
            }
            (Kind::Integer(_) | Kind::Long(_) | Kind::Float(_) | Kind::Double(_), _) => must_be("a number"),
        }
    }
}

fn length(name: &str, length: usize, bounds: Bounds) -> Result<(), String> {
    let length = length as f64;
    if bounds.min.is_some_and(|min| length < min) {
        return Err(format!("Field '{name}' is smaller than the minimum length"));
    }
    if bounds.max.is_some_and(|max| length > max) {
        return Err(format!("Field '{name}' exceeds the maximum length"));
    }
    Ok(())
}
