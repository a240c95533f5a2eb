//! From a task to an Invoke request.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};
use stepwright_engine::{ConnectorFailure, TaskCall};

use crate::{
    aws::{ServiceRequest, percent_encode},
    endpoint::ServiceEndpoint,
    error::{Error, failure},
};

/// An Invoke request and where it goes.
#[derive(Debug)]
pub(super) struct Invocation {
    /// The function's region, if its name says one; else the execution's is meant.
    pub(super) region: Option<String>,
    pub(super) request: ServiceRequest,
}

/// The parts of `arn:<p>:lambda:<region>:<account>:function:<name>[:<qualifier>]`.
struct FunctionArn<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
    qualifier: Option<&'a str>,
}

impl<'a> FunctionArn<'a> {
    fn parse(arn: &'a str) -> Option<Self> {
        let mut parts = arn.split(':');
        let (Some("arn"), Some(_partition), Some("lambda")) = (parts.next(), parts.next(), parts.next()) else {
            return None;
        };
        let (region, account) = (parts.next()?, parts.next()?);
        let (Some("function"), name) = (parts.next(), parts.next()?) else { return None };
        let qualifier = parts.next();
        (parts.next().is_none() && !name.is_empty()).then_some(Self { region, account, name, qualifier })
    }
}

/// The request of a function's ARN as the resource: the input is the payload.
///
/// A stand-in is given the bare name of a function of the execution's own account: some know no other.
pub(super) fn direct(arn: &str, task: &TaskCall, endpoint: &ServiceEndpoint) -> Result<Invocation, ConnectorFailure> {
    let Some(parts) = FunctionArn::parse(arn) else {
        return Err(failure("States.Runtime", &format!("The resource {arn} is not the ARN of a Lambda function.")));
    };
    let unqualified = parts.qualifier.map_or(arn, |qualifier| &arn[..arn.len() - qualifier.len() - 1]);
    let bare = endpoint.is_custom() && parts.account == &*task.account;
    let function = if bare { parts.name } else { unqualified };
    let payload = Bytes::copy_from_slice(task.input.as_bytes());
    let request = invoke(function, parts.qualifier, payload).ok_or_else(|| {
        failure("States.Runtime", &format!("The resource {arn} is not the ARN of a Lambda function."))
    })?;
    Ok(Invocation { region: Some(parts.region.to_owned()), request })
}

/// The request of `lambda:invoke`: the input is the parameters.
pub(super) fn optimized(task: &TaskCall) -> Result<Invocation, ConnectorFailure> {
    let parameters = Parameters::read(&task.input)?;
    let required = || parameters.unusable("The field 'FunctionName' is required but was missing");
    let function = parameters.text("FunctionName")?.ok_or_else(required)?;
    let payload = match parameters.get("Payload") {
        // Recorded: the function then sees an empty object, which is what Lambda makes of no body.
        None => Bytes::new(),
        // A text that is JSON is the payload itself (AWS: recorded).
        Some(Value::String(text)) if serde_json::from_str::<IgnoredAny>(text).is_ok() => text.clone().into(),
        Some(payload) => payload.to_string().into(),
    };
    let qualifier = parameters.text("Qualifier")?;
    let invalid = |name: &str| parameters.unusable(&format!("The value of the field '{name}' has an invalid format"));
    let mut request = invoke(&function, qualifier.as_deref(), payload).ok_or_else(|| invalid("FunctionName"))?;
    let mut header = |parameter: &str, header: &'static str, value: Option<String>| match value {
        None => Ok(()),
        Some(value) => request.header(header, &value).map_err(|_: Error| invalid(parameter)),
    };
    header("InvocationType", "x-amz-invocation-type", parameters.text("InvocationType")?)?;
    header("LogType", "x-amz-log-type", parameters.text("LogType")?)?;
    let context = match parameters.get("ClientContext") {
        Some(context @ (Value::Object(_) | Value::Array(_))) => Some(STANDARD.encode(context.to_string())),
        _ => parameters.text("ClientContext")?,
    };
    header("ClientContext", "x-amz-client-context", context)?;
    let region = FunctionArn::parse(&function).map(|parts| parts.region.to_owned());
    Ok(Invocation { region, request })
}

/// A function's own name, of all the forms in which it may be given: `name`, `name:qualifier`, `account:function:name`,
/// an ARN. What is none of them is taken as it is.
pub(super) fn name_of(function: &str) -> &str {
    let rest = function.rsplit_once("function:").map_or(function, |(_, rest)| rest);
    rest.split(':').next().unwrap_or_default()
}

/// The name of the function that the parameters of `lambda:invoke` name.
pub(super) fn function_of(parameters: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Parameters<'a> {
        #[serde(rename = "FunctionName", borrow)]
        function: Option<Cow<'a, str>>,
    }
    // What can't be read fails when it is to be called.
    match serde_json::from_str::<Parameters<'_>>(parameters).ok().and_then(|parameters| parameters.function) {
        Some(Cow::Borrowed(function)) => Cow::Borrowed(name_of(function)),
        Some(Cow::Owned(function)) => Cow::Owned(name_of(&function).to_owned()),
        None => Cow::Borrowed(""),
    }
}

/// None: the name can't be part of a path.
fn invoke(function: &str, qualifier: Option<&str>, payload: Bytes) -> Option<ServiceRequest> {
    if matches!(function, "" | "." | "..") {
        return None;
    }
    let mut path = format!("/2015-03-31/functions/{}/invocations", percent_encode(function));
    if let Some(qualifier) = qualifier {
        path.push_str("?Qualifier=");
        path.push_str(&percent_encode(qualifier));
    }
    let mut request = ServiceRequest::post_json(path, payload);
    request.header("x-amz-invocation-type", "RequestResponse").ok()?;
    Some(request)
}

/// The parameters of `lambda:invoke`. A member that is `null` counts as absent.
struct Parameters<'a> {
    text: &'a str,
    members: Map<String, Value>,
}

impl<'a> Parameters<'a> {
    fn read(text: &'a str) -> Result<Self, ConnectorFailure> {
        match serde_json::from_str(text) {
            Ok(Value::Object(members)) => Ok(Self { text, members }),
            _ => Err(unusable(text, "The parameters are not an object")),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<String>, ConnectorFailure> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.unusable(&format!("The value of the field '{name}' has an invalid format"))),
        }
    }

    fn unusable(&self, why: &str) -> ConnectorFailure {
        unusable(self.text, why)
    }
}

fn unusable(parameters: &str, why: &str) -> ConnectorFailure {
    failure("States.Runtime", &format!("The Parameters '{parameters}' could not be used to start the Task: [{why}]"))
}
