//! History events as lines for people: when, in which state, what happened.
//!
//! Works on the API's events, so that it shows the same of a server in this process and of a running one.

use std::collections::HashMap;

use serde_json::Value;

/// Longest input, output or cause that a line shows, in characters.
const MAX_SHOWN: usize = 72;

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Good,
    Bad,
    Faint,
}

/// Turns the events of one execution, in their order, into lines.
pub(super) struct Progress {
    colours: bool,
    started: Option<f64>,
    /// The state that an event belongs to: events of a task name none, but the event before them does.
    states: HashMap<u64, String>,
    attempts: HashMap<String, u32>,
}

impl Progress {
    pub(super) fn new(colours: bool) -> Self {
        Self { colours, started: None, states: HashMap::new(), attempts: HashMap::new() }
    }

    /// The line of an event, if it is worth one.
    pub(super) fn line(&mut self, event: &Value) -> Option<String> {
        let kind = event["type"].as_str()?;
        let timestamp = event["timestamp"].as_f64().unwrap_or_default();
        let offset = timestamp - *self.started.get_or_insert(timestamp);
        let details =
            event.as_object()?.iter().find(|(name, _)| name.ends_with("EventDetails")).map(|(_, value)| value);
        let state = self.state(event, details);
        let (what, tone) = self.what(kind, details, &state)?;
        let subject = if kind.starts_with("Execution") { "execution" } else { state.as_str() };
        let line = format!("{offset:>9.3}s  {subject:<24}  {what}");
        Some(match (self.colours, tone) {
            (false, _) | (_, Tone::Plain) => line,
            (true, Tone::Good) => format!("\u{1b}[32m{line}\u{1b}[0m"),
            (true, Tone::Bad) => format!("\u{1b}[31m{line}\u{1b}[0m"),
            (true, Tone::Faint) => format!("\u{1b}[2m{line}\u{1b}[0m"),
        })
    }

    fn state(&mut self, event: &Value, details: Option<&Value>) -> String {
        let before = event["previousEventId"].as_u64().unwrap_or_default();
        // The event of a failed evaluation calls its state so.
        let named = details.and_then(|details| details["name"].as_str().or_else(|| details["state"].as_str()));
        let state = match named {
            Some(name) => name.to_owned(),
            None => self.states.get(&before).cloned().unwrap_or_default(),
        };
        if let Some(id) = event["id"].as_u64() {
            self.states.insert(id, state.clone());
        }
        state
    }

    fn what(&mut self, kind: &str, details: Option<&Value>, state: &str) -> Option<(String, Tone)> {
        let empty = Value::Null;
        let details = details.unwrap_or(&empty);
        let data = |member: &str| details[member].as_str().map(shorten).unwrap_or_default();
        let failure = || failure(details);
        Some(match kind {
            "ExecutionStarted" => (format!("started with {}", data("input")), Tone::Plain),
            "ExecutionSucceeded" => ("SUCCEEDED".to_owned(), Tone::Good),
            "ExecutionFailed" => (format!("FAILED{}", failure()), Tone::Bad),
            "ExecutionTimedOut" => (format!("TIMED_OUT{}", failure()), Tone::Bad),
            "ExecutionAborted" => (format!("ABORTED{}", failure()), Tone::Bad),
            "MapStateStarted" => (format!("{} items", details["length"]), Tone::Faint),
            "MapIterationStarted" => (format!("item {} started", details["index"]), Tone::Faint),
            "MapIterationSucceeded" => (format!("item {} done", details["index"]), Tone::Faint),
            "MapIterationFailed" => (format!("item {} failed", details["index"]), Tone::Bad),
            "MapIterationAborted" => (format!("item {} aborted", details["index"]), Tone::Bad),
            "LambdaFunctionScheduled" | "ActivityScheduled" | "TaskScheduled" => {
                let attempt = self.attempts.entry(state.to_owned()).and_modify(|count| *count += 1).or_insert(1);
                let resource = match (details["resourceType"].as_str(), details["resource"].as_str()) {
                    (Some(service), Some(action)) => format!("{service}:{action}"),
                    (None, Some(arn)) => arn.to_owned(),
                    _ => String::new(),
                };
                let retried = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
                (format!("calls {resource}{retried}"), Tone::Plain)
            }
            "ActivityStarted" => match details["workerName"].as_str() {
                Some(worker) => (format!("taken by {worker}"), Tone::Faint),
                None => ("taken by a worker".to_owned(), Tone::Faint),
            },
            "TaskSubmitted" => ("submitted, waits for its end".to_owned(), Tone::Faint),
            "LambdaFunctionStarted"
            | "TaskStarted"
            | "LambdaFunctionSucceeded"
            | "ActivitySucceeded"
            | "TaskSucceeded"
            | "ParallelStateStarted"
            | "ParallelStateSucceeded"
            | "MapStateSucceeded" => return None,
            _ if kind.ends_with("StateEntered") => {
                self.attempts.remove(state);
                (format!("{} entered", kind.trim_end_matches("StateEntered")), Tone::Faint)
            }
            _ if kind.ends_with("StateExited") => (format!("done: {}", data("output")), Tone::Good),
            _ if kind.ends_with("Aborted") => ("aborted".to_owned(), Tone::Bad),
            _ if kind.ends_with("TimedOut") => (format!("timed out{}", failure()), Tone::Bad),
            _ if kind.ends_with("Failed") => (format!("failed{}", failure()), Tone::Bad),
            other => (other.to_owned(), Tone::Plain),
        })
    }
}

fn failure(details: &Value) -> String {
    let error = details["error"].as_str();
    let cause = details["cause"].as_str().map(shorten);
    match (error, cause) {
        (None, None) => String::new(),
        (Some(error), None) => format!(" with {error}"),
        (None, Some(cause)) => format!(": {cause}"),
        (Some(error), Some(cause)) => format!(" with {error}: {cause}"),
    }
}

/// At most [`MAX_SHOWN`] characters, on one line, without control characters: what a workflow carries shall not
/// write on the terminal as it likes.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(events: &[Value], expect: &[&str]) {
        let mut progress = Progress::new(false);
        let lines: Vec<String> = events.iter().filter_map(|event| progress.line(event)).collect();
        assert_eq!(lines, expect);
    }

    #[test]
    fn a_task_with_a_retry_reads_as_what_happened() {
        let event = |id: u64, previous: u64, at: f64, kind: &str, details: Value| json!({"id": id, "previousEventId": previous, "timestamp": at, "type": kind, "xEventDetails": details});
        let call = json!({"resourceType": "lambda", "resource": "invoke"});
        check(
            &[
                event(1, 0, 5.0, "ExecutionStarted", json!({"input": "{}"})),
                event(2, 0, 5.0, "TaskStateEntered", json!({"name": "Pay", "input": "{}"})),
                event(3, 2, 5.001, "TaskScheduled", call.clone()),
                event(4, 3, 5.001, "TaskStarted", call.clone()),
                event(5, 4, 5.25, "TaskFailed", json!({"error": "Boom", "cause": "two\nlines"})),
                event(6, 5, 6.25, "TaskScheduled", call),
                event(7, 6, 6.5, "TaskStateExited", json!({"name": "Pay", "output": "1"})),
                event(8, 7, 6.5, "ExecutionSucceeded", json!({"output": "1"})),
            ],
            &[
                "    0.000s  execution                 started with {}",
                "    0.000s  Pay                       Task entered",
                "    0.001s  Pay                       calls lambda:invoke",
                "    0.250s  Pay                       failed with Boom: two lines",
                "    1.250s  Pay                       calls lambda:invoke, attempt 2",
                "    1.500s  Pay                       done: 1",
                "    1.500s  execution                 SUCCEEDED",
            ],
        );
    }

    #[test]
    fn long_and_hostile_texts_are_tamed() {
        assert_eq!(shorten("a\u{1b}[2Jb"), "a [2Jb");
        assert_eq!(shorten(&"x".repeat(200)).chars().count(), MAX_SHOWN + 1);
    }
}
