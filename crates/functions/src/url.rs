//! A function behind a URL: the event is posted there, the answer is the result. So are images run that have Lambda's
//! runtime interface emulator in them.

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, Uri, body::Incoming, header::CONTENT_TYPE};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::{
    definition::Definition,
    invocation::{Fault, Invocation, Outcome, Refusal},
    runtime_api::MAX_RESPONSE,
};

pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// The path at which the emulator takes events. It answers errors of the function as if they were results.
const EMULATOR: &str = "/2015-03-31/functions/function/invocations";

pub(crate) fn client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(std::time::Duration::from_secs(10)));
    Client::builder(TokioExecutor::new()).build(connector)
}

pub(crate) async fn invoke(
    client: &HttpClient,
    uri: &Uri,
    definition: &Definition,
    name: &str,
    request_id: &str,
    invocation: Invocation,
) -> Outcome {
    let outcome = match tokio::time::timeout(definition.timeout, send(client, uri, request_id, invocation)).await {
        Err(_) => Fault::TimedOut(definition.timeout).outcome(request_id),
        Ok(Err(Problem::TooLong(bytes))) => Fault::ResponseTooLarge { bytes, limit: MAX_RESPONSE }.outcome(request_id),
        Ok(Err(Problem::Unusable(reason))) => {
            Outcome::Refused(Refusal::Unavailable(format!("The function {name} at {uri} can't be used: {reason}")))
        }
        Ok(Ok(outcome)) => outcome,
    };
    if !matches!(outcome, Outcome::Result(_)) {
        tracing::warn!(function = name, %uri, request_id, ?outcome, "a function behind a URL failed");
    }
    outcome
}

enum Problem {
    TooLong(u64),
    Unusable(String),
}

async fn send(client: &HttpClient, uri: &Uri, request_id: &str, invocation: Invocation) -> Result<Outcome, Problem> {
    let mut request = Request::post(uri).header(CONTENT_TYPE, "application/json");
    request = request.header("x-amzn-requestid", request_id).header("x-amzn-trace-id", &invocation.trace_id);
    let unusable = |reason: &dyn std::fmt::Display| Problem::Unusable(reason.to_string());
    let request = request.body(Full::new(invocation.payload)).map_err(|error| unusable(&error))?;
    let response = client.request(request).await.map_err(|error| Problem::Unusable(innermost(&error)))?;
    let (head, body) = response.into_parts();
    let body = read(body).await?;
    if head.headers.contains_key("x-amz-function-error") {
        return Ok(Outcome::FunctionError(body));
    }
    let is_error = uri.path() == EMULATOR || !head.status.is_success();
    if is_error && describes_error(&body) {
        return Ok(Outcome::FunctionError(body));
    }
    match head.status {
        status if status.is_success() => Ok(Outcome::Result(body)),
        StatusCode::TOO_MANY_REQUESTS => Ok(Outcome::Refused(Refusal::TooManyRequests)),
        status => {
            let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
            Err(Problem::Unusable(format!("it answered {status}: {text}")))
        }
    }
}

fn describes_error(body: &[u8]) -> bool {
    let object: Option<Value> = serde_json::from_slice(body).ok();
    object.is_some_and(|object| object["errorType"].is_string() && object["errorMessage"].is_string())
}

async fn read(mut body: Incoming) -> Result<Bytes, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::Unusable(innermost(&error)))?;
        if let Ok(data) = frame.into_data() {
            if bytes.len() + data.len() > MAX_RESPONSE {
                return Err(Problem::TooLong((bytes.len() + data.len()) as u64));
            }
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

/// What is at the bottom of an error: the layers above only say that there is one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
