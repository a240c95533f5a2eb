//! `/_stepwright/…`: what an operator asks of a running server and AWS has no operation for.
//!
//! Only on loopback, as everything. Changes need `Content-Type: application/json`, which a web page of another origin
//! cannot send without the browser asking first; nothing here answers that question.

mod backup;
mod clock;
mod functions;
mod map_run;

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use stepwright_engine::{Error, QuarantinedExecution};

use stepwright_functions::invoke_api::unescaped as decoded;

use super::{not_allowed, respond, text};
use crate::{delivery::ReplyBody, service::Service};

/// The beginning of all paths of this module.
pub(super) const PREFIX: &str = "/_stepwright/";

pub(super) async fn serve(service: &Service, request: Request<Incoming>) -> Response<ReplyBody> {
    let path = request.uri().path().to_owned();
    if path.strip_prefix(PREFIX) == Some("backup") {
        return match *request.method() {
            Method::POST => backup::serve(service, request.headers()),
            ref method => not_allowed(method, "POST", "A backup is asked for with POST"),
        };
    }
    if let Some(rest) = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("clock"))
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return clock::serve(service, &request, rest).await;
    }
    if let Some(rest @ ("functions" | "functions/logs")) = path.strip_prefix(PREFIX) {
        return match (request.method(), rest) {
            (&Method::GET, "functions") => functions::list(&service.functions()),
            (&Method::GET, _) => functions::logs(service, request.uri().query().unwrap_or_default()).await,
            (method, _) => not_allowed(method, "GET", "Functions and what they said are read with GET"),
        };
    }
    if let Some(arn) = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("map-run/")) {
        return match *request.method() {
            Method::GET => map_run::show(service, &decoded(arn)).await,
            ref method => not_allowed(method, "GET", "How far a map run is, is read with GET"),
        };
    }
    let Some(rest) = path.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix("quarantine")) else {
        return refused(StatusCode::NOT_FOUND, &format!("There is nothing at {path}"));
    };
    let method = request.method().clone();
    let engine = service.engine();
    let parts: Vec<String> = rest.split('/').skip(1).map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (&method, parts.as_slice()) {
        (&Method::GET, []) => match engine.quarantine_list().await {
            Ok(list) => {
                let list: Vec<Value> = list.iter().map(shown).collect();
                respond(StatusCode::OK, &json!({"executions": list}))
            }
            Err(error) => failed(&error),
        },
        (&Method::GET, [arn]) => match engine.quarantine_show(arn).await {
            Ok(execution) => respond(StatusCode::OK, &shown(&execution)),
            Err(error) => failed(&error),
        },
        (&Method::POST, [arn, verb @ ("retry" | "fail")]) => {
            if text(request.headers(), "content-type") != Some("application/json") {
                return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
            }
            let done = match *verb {
                "retry" => engine.quarantine_retry(arn).await,
                _ => engine.quarantine_fail(arn).await,
            };
            match done {
                Ok(()) => respond(StatusCode::OK, &json!({"executionArn": arn})),
                Err(error) => failed(&error),
            }
        }
        (_, [] | [_]) => not_allowed(&method, "GET", "It is read with GET"),
        (_, [_, "retry" | "fail"]) => not_allowed(&method, "POST", "It is changed with POST"),
        _ => refused(StatusCode::NOT_FOUND, &format!("There is nothing at {path}")),
    }
}

fn shown(execution: &QuarantinedExecution) -> Value {
    json!({
        "executionArn": &*execution.arn,
        "account": &*execution.scope.account,
        "region": &*execution.scope.region,
        "cause": &*execution.cause,
        "since": stepwright_api::Timestamp(execution.at),
        "inputs": execution.inputs,
        "droppedInputs": execution.dropped_inputs,
    })
}

fn failed(error: &Error) -> Response<ReplyBody> {
    let status = match error {
        Error::NotQuarantined { .. } => StatusCode::NOT_FOUND,
        Error::Quarantined { .. } => StatusCode::CONFLICT,
        error if error.is_transient() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refused(status, &error.to_string())
}

fn refused(status: StatusCode, message: &str) -> Response<ReplyBody> {
    respond(status, &json!({"message": message}))
}
