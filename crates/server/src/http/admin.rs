//! `/_stepwright/…`: what an operator asks of a running server and AWS has no operation for.
//!
//! Only on loopback, as everything. Changes need `Content-Type: application/json`, which a web page of another origin
//! cannot send without the browser asking first; nothing here answers that question.

mod backup;
mod clock;

use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use serde_json::{Value, json};
use stepwright_engine::{Error, QuarantinedExecution};

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

/// A part of the path without its percent-encoding; what is not UTF-8 then matches nothing.
fn decoded(segment: &str) -> String {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
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
