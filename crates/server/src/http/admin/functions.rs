//! `/_stepwright/functions`: which functions run here, and what they said.

use std::time::Duration;

use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use stepwright_functions::{
    Functions, LogLine,
    definition::{Program, Target},
};

use super::super::respond;
use crate::{delivery::ReplyBody, service::Service};

/// Lines of one answer.
const MAX_LINES: usize = 10_000;
/// How long an answer may wait for its first line.
const MAX_WAIT: u64 = 20;

/// All functions.
pub(super) fn list(functions: &Functions) -> Response<ReplyBody> {
    let all: Vec<Value> = functions
        .all()
        .map(|(name, definition, busy)| {
            let runs = match &definition.target {
                Target::Process(Program::Command { arguments, .. }) => arguments.join(" "),
                Target::Process(Program::Python(handler)) => format!("python {handler}"),
                Target::Process(Program::Node(handler)) => format!("node {handler}"),
                Target::Url(url) => url.to_string(),
            };
            json!({
                "name": name,
                "arn": functions.arn(name),
                "runs": runs,
                "timeoutSeconds": definition.timeout.as_secs_f64(),
                "concurrency": definition.concurrency,
                "processes": busy.processes,
                "idle": busy.idle,
                "waiting": busy.waiting,
            })
        })
        .collect();
    respond(StatusCode::OK, &json!({"functions": all}))
}

/// What they said: `name`, `after` a line's number, and `wait` so many seconds for one.
pub(super) async fn logs(service: &Service, query: &str) -> Response<ReplyBody> {
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| super::decoded(value)).next()
    };
    let number = |name: &str| match parameter(name) {
        None => Ok(0),
        Some(text) => text.parse::<u64>().map_err(|_| format!("{name} is {text:?}, and must be a whole number")),
    };
    let (after, wait) = match (number("after"), number("wait")) {
        (Ok(after), Ok(wait)) => (after, wait.min(MAX_WAIT)),
        (Err(problem), _) | (_, Err(problem)) => return super::refused(StatusCode::BAD_REQUEST, &problem),
    };
    let functions = service.functions();
    let name = parameter("name");
    if let Some(name) = name.as_deref().filter(|name| !functions.has(name)) {
        let known: Vec<&str> = functions.all().map(|(name, ..)| name).collect();
        let problem = format!("There is no function {name}; there are: {}", known.join(", "));
        return super::refused(StatusCode::NOT_FOUND, &problem);
    }
    let deadline = tokio::time::sleep(Duration::from_secs(wait));
    tokio::pin!(deadline);
    let mut heard = after;
    let lines = loop {
        let lines = functions.log(name.as_deref(), after, MAX_LINES);
        if !lines.is_empty() {
            break lines;
        }
        // What others said is not what is waited for.
        heard = functions.log(None, heard, 1).last().map_or(heard, |line| line.sequence);
        tokio::select! {
            () = functions.said_more(heard) => {}
            () = &mut deadline => break Vec::new(),
            () = service.stopped() => break Vec::new(),
        }
    };
    let lines: Vec<Value> = lines.iter().map(shown).collect();
    respond(StatusCode::OK, &json!({"lines": lines}))
}

fn shown(line: &LogLine) -> Value {
    let at = jiff::Timestamp::from_millisecond(i64::try_from(line.at).unwrap_or(i64::MAX)).unwrap_or_default();
    json!({
        "sequence": line.sequence,
        "at": format!("{at:.3}"),
        "function": &*line.function,
        "requestId": line.request_id.as_deref(),
        "stream": line.stream.as_str(),
        "text": line.text,
    })
}
