//! The part of Lambda's API that runs functions and says which there are, without a socket: requests in, answers out,
//! with the headers and error texts of AWS.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use crate::{
    definition::{Definition, Program, Target},
    host::Functions,
    invocation::{Invocation, Outcome, Refusal},
    log::now_ms,
    pool::event,
};

/// Where functions are in Lambda's API.
pub const PATH: &str = "/2015-03-31/functions";
/// Bytes of an event at most, as on AWS.
pub const MAX_EVENT: usize = 6_291_456;
/// Bytes of an event that nobody waits for.
const MAX_EVENT_ASYNC: usize = 1 << 20;

/// A function's own name, of all the forms in which it may be given: `name`, `name:qualifier`, `account:function:name`,
/// an ARN. What is none of them is taken as it is.
#[must_use]
pub fn name_of(function: &str) -> &str {
    let rest = function.rsplit_once("function:").map_or(function, |(_, rest)| rest);
    rest.split(':').next().unwrap_or_default()
}

/// `Invoke`: a function by any of its names, the headers of the request, its body.
pub async fn invoke(
    functions: &Arc<Functions>,
    function: &str,
    qualifier: Option<&str>,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Bytes> {
    let name = name_of(function);
    let mut function_arn =
        if function.starts_with("arn:") { function.to_owned() } else { functions.arn(function_part(function)) };
    if let Some(qualifier) = qualifier {
        function_arn = format!("{function_arn}:{qualifier}");
    }
    if !functions.has(name) {
        return refused(&Refusal::NotFound { function_arn });
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let kind = text("x-amz-invocation-type").unwrap_or("RequestResponse");
    let limit = if kind == "Event" { MAX_EVENT_ASYNC } else { MAX_EVENT };
    if body.len() > limit {
        return refused(&Refusal::TooLarge { limit });
    }
    let payload = match event(body) {
        Ok(payload) => payload,
        Err(refusal) => return refused(&refusal),
    };
    let client_context = match text("x-amz-client-context").map(decoded) {
        None => None,
        Some(Some(context)) => Some(context),
        Some(None) => {
            return refused(&Refusal::InvalidParameter("ClientContext must be JSON in base64".to_owned()));
        }
    };
    let invocation = Invocation {
        function_arn,
        payload,
        client_context,
        trace_id: text("x-amzn-trace-id").map_or_else(new_trace, str::to_owned),
        log_tail: text("x-amz-log-type") == Some("Tail"),
    };
    match kind {
        "DryRun" => response(StatusCode::NO_CONTENT, Bytes::new()),
        "Event" => {
            let (functions, name) = (Arc::clone(functions), name.to_owned());
            tokio::spawn(async move {
                let answer = functions.invoke(&name, invocation).await;
                if let Some(answer) = answer
                    && !matches!(answer.outcome, Outcome::Result(_))
                {
                    let (request_id, outcome) = (&*answer.request_id, &answer.outcome);
                    tracing::warn!(
                        function = name,
                        request_id,
                        ?outcome,
                        "an asynchronous invocation failed; it is not repeated"
                    );
                }
            });
            response(StatusCode::ACCEPTED, Bytes::new())
        }
        "RequestResponse" => run(functions, name, invocation).await,
        other => refused(&Refusal::InvalidParameter(format!(
            "1 validation error detected: Value '{other}' at 'invocationType' failed to satisfy constraint: Member must \
             satisfy enum value set: [Event, RequestResponse, DryRun]"
        ))),
    }
}

async fn run(functions: &Functions, name: &str, invocation: Invocation) -> Response<Bytes> {
    let trace_id = invocation.trace_id.clone();
    let function_arn = invocation.function_arn.clone();
    let Some(answer) = functions.invoke(name, invocation).await else {
        return refused(&Refusal::NotFound { function_arn });
    };
    let (mut response, failed) = match answer.outcome {
        Outcome::Result(result) => (response(StatusCode::OK, result), false),
        Outcome::FunctionError(error) => (response(StatusCode::OK, error), true),
        Outcome::Refused(refusal) => return refused(&refusal),
    };
    let headers = response.headers_mut();
    let mut put = |name: &'static str, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-amzn-requestid", &answer.request_id);
    put("x-amz-executed-version", "$LATEST");
    put("x-amzn-remapped-content-length", "0");
    if failed {
        put("x-amz-function-error", "Unhandled");
    }
    if let Some(log) = answer.log_tail {
        put("x-amz-log-result", &STANDARD.encode(log));
    }
    put("x-amzn-trace-id", &trace_id);
    response
}

/// `ListFunctions`.
#[must_use]
pub fn list(functions: &Functions) -> Response<Bytes> {
    let all: Vec<Value> =
        functions.all().map(|(name, definition, _)| configuration(functions, name, definition)).collect();
    response(StatusCode::OK, json!({"Functions": all}).to_string().into())
}

/// `GetFunction`.
#[must_use]
pub fn get(functions: &Functions, function: &str) -> Response<Bytes> {
    described(functions, function, |configuration| json!({"Configuration": configuration, "Tags": {}}))
}

/// `GetFunctionConfiguration`.
#[must_use]
pub fn get_configuration(functions: &Functions, function: &str) -> Response<Bytes> {
    described(functions, function, |configuration| configuration)
}

fn described(functions: &Functions, function: &str, shown: fn(Value) -> Value) -> Response<Bytes> {
    let name = name_of(function);
    match functions.definition(name) {
        Some(definition) => {
            let body = shown(configuration(functions, name, definition)).to_string();
            response(StatusCode::OK, body.into())
        }
        None => refused(&Refusal::NotFound { function_arn: functions.arn(name) }),
    }
}

fn configuration(functions: &Functions, name: &str, definition: &Definition) -> Value {
    let (handler, package) = match &definition.target {
        Target::Process(Program::Command { handler, .. } | Program::Python(handler) | Program::Node(handler)) => {
            (Some(handler.as_str()), "Zip")
        }
        Target::Url(_) => (None, "Image"),
    };
    let mut configuration = json!({
        "FunctionName": name,
        "FunctionArn": functions.arn(name),
        "Version": "$LATEST",
        "PackageType": package,
        "State": "Active",
        "Timeout": u64::try_from(definition.timeout.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX),
        "MemorySize": definition.memory,
    });
    if let Some(handler) = handler.filter(|handler| !handler.is_empty()) {
        configuration["Handler"] = handler.into();
    }
    configuration
}

/// An answer that says no.
#[must_use]
pub fn refused(refusal: &Refusal) -> Response<Bytes> {
    let (status, code, body) = match refusal {
        Refusal::NotFound { function_arn } => (
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            json!({"Message": format!("Function not found: {function_arn}"), "Type": "User"}),
        ),
        Refusal::TooManyRequests => (
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequestsException",
            json!({
                "Reason": "ReservedFunctionConcurrentInvocationLimitExceeded",
                "Type": "User",
                "message": "Rate Exceeded.",
            }),
        ),
        Refusal::InvalidContent(message) => {
            (StatusCode::BAD_REQUEST, "InvalidRequestContentException", json!({"Type": "User", "message": message}))
        }
        Refusal::InvalidParameter(message) => {
            (StatusCode::BAD_REQUEST, "InvalidParameterValueException", json!({"Type": "User", "message": message}))
        }
        Refusal::TooLarge { limit } => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestTooLargeException",
            json!({
                "Type": "User",
                "message": format!("Request must be smaller than {limit} bytes for the InvokeFunction operation"),
            }),
        ),
        Refusal::Unavailable(message) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "ServiceException", json!({"Type": "Service", "Message": message}))
        }
    };
    let mut response = response(status, body.to_string().into());
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(code));
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        response.headers_mut().insert("x-amzn-requestid", id);
    }
    response
}

fn response(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// `name` or `name:qualifier`, of `account:function:name:qualifier`.
fn function_part(function: &str) -> &str {
    function.rsplit_once("function:").map_or(function, |(_, part)| part)
}

/// A trace of one invocation alone.
fn new_trace() -> String {
    let id = uuid::Uuid::new_v4().simple().to_string();
    let parent = uuid::Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{};Parent={};Sampled=0", now_ms() / 1_000, &id[..24], &parent[..16])
}

/// The function that a request to Lambda runs, and its qualifier: out of the path and the query of `Invoke`.
#[must_use]
pub fn invoked(path_and_query: &str) -> Option<(String, Option<String>)> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let function = path.strip_prefix(PATH)?.strip_prefix('/')?.strip_suffix("/invocations")?;
    let qualifier = query.split('&').find_map(|pair| pair.strip_prefix("Qualifier="));
    (!function.is_empty() && !function.contains('/'))
        .then(|| (unescaped(function), qualifier.map(unescaped).filter(|qualifier| !qualifier.is_empty())))
}

/// A part of a path or of a query without its percent-encoding; what is not UTF-8 then matches nothing.
#[must_use]
pub fn unescaped(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A text out of base64, such as the end of a log. What is no text in it is replaced.
#[must_use]
pub fn text_of_base64(base64: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&STANDARD.decode(base64).ok()?).into_owned())
}

/// JSON text out of base64.
fn decoded(text: &str) -> Option<String> {
    let text = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    // Written anew, without line breaks: it goes into a header.
    let value: Value = serde_json::from_str(&text).ok()?;
    Some(ascii(&value.to_string()))
}

/// JSON text whose other letters are escaped.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() && letter != '\x7f' {
            escaped.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_invoke_names_the_function() {
        let found = |path: &str| invoked(path);
        assert_eq!(found("/2015-03-31/functions/f/invocations"), Some(("f".to_owned(), None)));
        let qualified = "/2015-03-31/functions/arn%3Aaws%3Alambda:r:1:function:f/invocations?Qualifier=%24LATEST";
        assert_eq!(found(qualified), Some(("arn:aws:lambda:r:1:function:f".to_owned(), Some("$LATEST".to_owned()))));
        for other in
            ["/2015-03-31/functions//invocations", "/2015-03-31/functions/f", "/2015-03-31/functions/a/b/invocations"]
        {
            assert_eq!(found(other), None, "{other}");
        }
    }

    #[test]
    fn functions_have_many_names() {
        for function in ["f", "f:prod", "000000000000:function:f", "arn:aws:lambda:eu-west-1:1:function:f:7"] {
            assert_eq!(name_of(function), "f", "{function}");
        }
    }

    #[test]
    fn a_client_context_becomes_one_line_of_ascii() {
        assert_eq!(
            decoded(&STANDARD.encode("{\n\"custom\": {\"a\": \"é😀\"}}")).as_deref(),
            Some(r#"{"custom":{"a":"\u00e9\ud83d\ude00"}}"#)
        );
        assert_eq!(decoded("!"), None);
        assert_eq!(decoded(&STANDARD.encode("{")), None);
    }
}
