//! From Lambda's answer to a result or an error.

use std::sync::Arc;

use hyper::header::HeaderName;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};
use stepwright_engine::ConnectorFailure;

use crate::{
    client::Response,
    error::{ServiceError, failure},
    metadata::{sdk_http_metadata, sdk_response_metadata},
};

/// Bytes that a task's result may be long.
const MAX_RESULT_BYTES: usize = 262_144;

/// How the resource is written, which decides the shapes of results and causes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style<'a> {
    /// The function's ARN: what the function gave, byte for byte.
    Direct {
        /// The ARN as written.
        arn: &'a str,
    },
    /// `lambda:invoke`: Lambda's answer, the payload parsed into it.
    Optimized,
}

impl Style<'_> {
    /// The failure of a result that is longer than a payload may be.
    pub(super) fn too_large(self) -> ConnectorFailure {
        let what = match self {
            Self::Direct { arn } => arn,
            Self::Optimized => "lambda",
        };
        failure(
            "States.DataLimitExceeded",
            &format!(
                "The state/task '{what}' returned a result with a size exceeding the maximum number of bytes service limit."
            ),
        )
    }
}

/// The result, JSON text.
pub(super) fn read_answer(answer: &Response, style: Style<'_>) -> Result<Arc<str>, ConnectorFailure> {
    if !answer.status.is_success() {
        return Err(service_error(&ServiceError::from_json(answer.status, &answer.headers, &answer.body)));
    }
    if header(answer, "x-amz-function-error").is_some() {
        return Err(function_error(&answer.body, style));
    }
    let result = match style {
        Style::Direct { .. } => direct_result(&answer.body, style)?,
        Style::Optimized => optimized_result(answer)?,
    };
    if result.len() > MAX_RESULT_BYTES { Err(style.too_large()) } else { Ok(result.into()) }
}

fn unusable(why: impl std::fmt::Display) -> ConnectorFailure {
    failure("Lambda.Unknown", &format!("The function's result can't be used as JSON: {why}."))
}

fn direct_result(body: &[u8], style: Style<'_>) -> Result<String, ConnectorFailure> {
    if body.len() > MAX_RESULT_BYTES {
        return Err(style.too_large());
    }
    if body.is_empty() {
        return Ok("null".to_owned());
    }
    let text = std::str::from_utf8(body).map_err(unusable)?;
    serde_json::from_str::<Value>(text).map_err(unusable)?;
    Ok(text.to_owned())
}

fn optimized_result(answer: &Response) -> Result<String, ConnectorFailure> {
    let mut result = Map::new();
    let mut put = |name: &str, value: Value| result.insert(name.to_owned(), value);
    if let Some(version) = header(answer, "x-amz-executed-version") {
        put("ExecutedVersion", version.into());
    }
    if let Some(log) = header(answer, "x-amz-log-result") {
        put("LogResult", log.into());
    }
    let payload = match serde_json::from_slice(&answer.body) {
        // One level of the parser's 128 is the result's own.
        Ok(payload) if nesting(&payload) > 126 => return Err(unusable("recursion limit exceeded")),
        Ok(payload) => payload,
        // JSON, but nested too deeply to be held: a text in its place would be a wrong result.
        Err(error) if serde_json::from_slice::<IgnoredAny>(&answer.body).is_ok() => return Err(unusable(error)),
        // A payload that isn't JSON is a text; that of an asynchronous invocation is the empty one.
        Err(_) => Value::String(String::from_utf8_lossy(&answer.body).into_owned()),
    };
    put("Payload", payload);
    put("SdkHttpMetadata", sdk_http_metadata(answer, &[]));
    put("SdkResponseMetadata", sdk_response_metadata(answer));
    put("StatusCode", json!(answer.status.as_u16()));
    Ok(Value::Object(result).to_string())
}

/// The function itself failed: the error's name is that of its error object, the cause the object as text. A direct
/// call hands on the text as it came, `lambda:invoke` what it has parsed (recorded).
fn function_error(body: &[u8], style: Style<'_>) -> ConnectorFailure {
    let text = String::from_utf8_lossy(body);
    let parsed: Option<Value> = serde_json::from_str(&text).ok();
    let error_type = parsed.as_ref().and_then(|error| error.get("errorType")?.as_str()).filter(|name| !name.is_empty());
    match (&parsed, error_type) {
        (Some(error), Some(name)) => match style {
            Style::Direct { .. } => failure(name, &text),
            Style::Optimized => failure(name, &error.to_string()),
        },
        _ => failure(
            "Lambda.Unknown",
            &format!(
                "The cause could not be determined because Lambda did not return an error type. Returned payload: {text}"
            ),
        ),
    }
}

/// Lambda refused, or failed to run the function.
fn service_error(error: &ServiceError) -> ConnectorFailure {
    let cause = error.cause("AWSLambda");
    if MODELLED.contains(&error.code.as_str()) {
        failure(&format!("Lambda.{}", error.code), &cause)
    } else {
        failure("Lambda.AWSLambdaException", &cause)
    }
}

/// How deep a value is: 0 for a number, 1 for an empty list.
fn nesting(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(nesting).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(nesting).max().unwrap_or(0),
        _ => 0,
    }
}

fn header(answer: &Response, name: &'static str) -> Option<String> {
    let value = answer.headers.get(HeaderName::from_static(name))?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The exceptions that Invoke declares (Lambda's public service model). Others have no name of their own.
const MODELLED: [&str; 36] = [
    "DurableExecutionAlreadyStartedException",
    "EC2AccessDeniedException",
    "EC2ThrottledException",
    "EC2UnexpectedException",
    "EFSIOException",
    "EFSMountConnectivityException",
    "EFSMountFailureException",
    "EFSMountTimeoutException",
    "ENILimitReachedException",
    "InvalidParameterValueException",
    "InvalidRequestContentException",
    "InvalidRuntimeException",
    "InvalidSecurityGroupIDException",
    "InvalidSubnetIDException",
    "InvalidZipFileException",
    "KMSAccessDeniedException",
    "KMSDisabledException",
    "KMSInvalidStateException",
    "KMSNotFoundException",
    "NoPublishedVersionException",
    "RecursiveInvocationException",
    "RequestTooLargeException",
    "ResourceConflictException",
    "ResourceNotFoundException",
    "ResourceNotReadyException",
    "S3FilesMountConnectivityException",
    "S3FilesMountFailureException",
    "S3FilesMountTimeoutException",
    "SerializedRequestEntityTooLargeException",
    "ServiceException",
    "SnapStartException",
    "SnapStartNotReadyException",
    "SnapStartTimeoutException",
    "SubnetIPAddressLimitReachedException",
    "TooManyRequestsException",
    "UnsupportedMediaTypeException",
];
