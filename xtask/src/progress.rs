//! An execution shown to a person: its states as they happen, and its history as a table. Reads events as
//! GetExecutionHistory gives them and knows nothing else of the server.

use crate::client::Client;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::HashMap;

/// Paints text, or leaves it alone where nobody would see colours.
#[derive(Clone, Copy)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }
    pub(crate) fn good(self, text: &str) -> String {
        self.with("32", text)
    }
    pub(crate) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }
    pub(crate) fn busy(self, text: &str) -> String {
        self.with("36", text)
    }
}

/// All events of an execution, page by page.
pub(crate) fn history(client: &mut Client, execution_arn: &str) -> Result<Vec<Value>> {
    let mut events = Vec::new();
    let mut request = json!({"executionArn": execution_arn, "maxResults": 1000});
    loop {
        let mut page = client.call("GetExecutionHistory", &request)?;
        events.append(page["events"].as_array_mut().context("a page without events")?);
        match page["nextToken"].take() {
            Value::Null => return Ok(events),
            token => request["nextToken"] = token,
        }
    }
}

/// True if nothing can follow this event.
pub(crate) fn is_last(event: &Value) -> bool {
    let last = ["ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"];
    last.iter().any(|kind| event["type"] == *kind)
}

/// Where an event happened: a state, and the iteration of the Map around it.
#[derive(Clone, Default)]
struct Place {
    state: String,
    iteration: Option<u64>,
}

/// Follows a history and names the place of each event, by the chain of `previousEventId`.
#[derive(Default)]
pub(crate) struct Places {
    of_event: HashMap<u64, Place>,
    of_open_state: HashMap<String, Place>,
}

impl Places {
    /// Takes the next event and returns its place, such as `Pack item [2]`.
    fn take(&mut self, event: &Value) -> String {
        let kind = event["type"].as_str().unwrap_or_default();
        let details = details(event);
        let previous = event["previousEventId"].as_u64().unwrap_or(0);
        let mut place = self.of_event.get(&previous).cloned().unwrap_or_default();
        if kind.ends_with("StateEntered") {
            place.state = details["name"].as_str().unwrap_or_default().to_string();
            self.of_open_state.insert(place.state.clone(), place.clone());
        } else if kind.ends_with("StateExited") {
            place.state = details["name"].as_str().unwrap_or_default().to_string();
            // A Map or Parallel ends after the last event of an iteration or branch, but does not lie in it.
            if kind.starts_with("Map") || kind.starts_with("Parallel") {
                place = self.of_open_state.get(&place.state).cloned().unwrap_or(place);
            }
        } else if kind.starts_with("MapIteration") {
            place.state = details["name"].as_str().unwrap_or_default().to_string();
            place.iteration = details["index"].as_u64();
        }
        if let Some(id) = event["id"].as_u64() {
            self.of_event.insert(id, place.clone());
        }
        match place.iteration {
            Some(index) => format!("{} [{index}]", place.state),
            None => place.state,
        }
    }
}

/// The one member of an event that holds its details.
fn details(event: &Value) -> &Value {
    let members = event.as_object().into_iter().flatten();
    members.filter(|(name, _)| name.ends_with("EventDetails")).map(|(_, value)| value).next().unwrap_or(&Value::Null)
}

fn seconds_since(event: &Value, first: &Value) -> f64 {
    event["timestamp"].as_f64().unwrap_or(0.0) - first["timestamp"].as_f64().unwrap_or(0.0)
}

fn error_of(details: &Value) -> String {
    let text = |key: &str| details[key].as_str().unwrap_or_default();
    match (text("error"), text("cause")) {
        ("", cause) => cause.to_string(),
        (error, "") => error.to_string(),
        (error, cause) => format!("{error}: {cause}"),
    }
}

/// A line for an event worth telling as it happens; most events are not.
pub(crate) fn line(event: &Value, first: &Value, places: &mut Places, paint: Paint) -> Option<String> {
    let place = places.take(event);
    let kind = event["type"].as_str().unwrap_or_default();
    let details = details(event);
    let told = match kind {
        "WaitStateEntered" => format!("{} {place}", paint.busy("◷")),
        "ParallelStateStarted" => format!("{} {place}", paint.busy("⇉")),
        "MapStateStarted" => format!("{} {place} ({} items)", paint.busy("⇉"), details["length"]),
        "ActivityStarted" => {
            let worker = details["workerName"].as_str().unwrap_or("a worker");
            format!("{} {place} {}", paint.busy("▶"), paint.dim(&format!("taken by {worker}")))
        }
        "LambdaFunctionStarted" | "TaskStarted" => format!("{} {place}", paint.busy("▶")),
        "FailStateEntered" => format!("{} {place}", paint.bad("✗")),
        "ExecutionStarted" => format!("{} started", paint.bold("●")),
        "ExecutionSucceeded" => format!("{} {}", paint.good("●"), paint.bold("succeeded")),
        "ExecutionFailed" | "ExecutionAborted" | "ExecutionTimedOut" => {
            format!("{} {} {}", paint.bad("●"), paint.bold(kind), error_of(details))
        }
        _ if kind.ends_with("StateExited") => format!("{} {place}", paint.good("✓")),
        _ if ["ActivityFailed", "ActivityTimedOut", "TaskFailed", "TaskTimedOut"].contains(&kind)
            || kind.starts_with("LambdaFunction") && (kind.ends_with("Failed") || kind.ends_with("TimedOut")) =>
        {
            format!("{} {place} {}", paint.bad("✗"), error_of(details))
        }
        _ => return None,
    };
    Some(format!("{} {told}", paint.dim(&format!("{:7.3} s", seconds_since(event, first)))))
}

/// The whole history, a line per event.
pub(crate) fn table(events: &[Value], paint: Paint) -> String {
    let Some(first) = events.first() else { return String::new() };
    let mut places = Places::default();
    let mut text = paint.bold(&format!("{:>4} {:>4}  {:>9}  {:24} {}", "id", "prev", "time", "type", "where and what"));
    for event in events {
        let place = places.take(event);
        let details = details(event);
        let what = ["output", "input"].iter().find_map(|key| details[*key].as_str()).unwrap_or_default();
        let what = if what.is_empty() { error_of(details) } else { what.to_string() };
        text.push_str(&format!(
            "\n{:>4} {:>4}  {:>7.3} s  {:24} {place:20} {}",
            event["id"].to_string(),
            event["previousEventId"].to_string(),
            seconds_since(event, first),
            event["type"].as_str().unwrap_or_default(),
            paint.dim(&shortened(&what, 60)),
        ));
    }
    text
}

fn shortened(text: &str, most: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= most {
        return text;
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "`json!` gives values")]
    fn event(id: u64, previous: u64, kind: &str, details: Value) -> Value {
        json!({"id": id, "previousEventId": previous, "type": kind, "timestamp": 10.0 + 0.5 * id as f64, "xEventDetails": details})
    }

    #[test]
    fn places_follow_the_chain_into_and_out_of_a_map() {
        let events = [
            event(1, 0, "ExecutionStarted", json!({})),
            event(2, 0, "MapStateEntered", json!({"name": "Pack"})),
            event(3, 2, "MapStateStarted", json!({"length": 1})),
            event(4, 3, "MapIterationStarted", json!({"name": "Pack", "index": 0})),
            event(5, 4, "TaskStateEntered", json!({"name": "Item"})),
            event(6, 5, "ActivityScheduled", json!({})),
            event(7, 6, "TaskStateExited", json!({"name": "Item"})),
            event(8, 7, "MapIterationSucceeded", json!({"name": "Pack", "index": 0})),
            event(9, 7, "MapStateSucceeded", json!({})),
            event(10, 7, "MapStateExited", json!({"name": "Pack"})),
            event(11, 10, "PassStateEntered", json!({"name": "After"})),
        ];
        let mut places = Places::default();
        let found: Vec<String> = events.iter().map(|event| places.take(event)).collect();
        let expected = ["", "Pack", "Pack", "Pack [0]", "Item [0]", "Item [0]", "Item [0]", "Pack [0]", "Item [0]"];
        assert_eq!(found[..9], expected);
        assert_eq!(found[9..], ["Pack", "After"]);
    }

    #[test]
    fn what_matters_is_told_in_a_line() {
        let first = event(1, 0, "ExecutionStarted", json!({}));
        let told = |event: &Value| line(event, &first, &mut Places::default(), Paint(false));
        let failed = event(5, 4, "ActivityFailed", json!({"error": "CardNetworkError", "cause": "hung up"}));
        assert_eq!(told(&failed).as_deref(), Some("  2.000 s ✗  CardNetworkError: hung up"));
        assert_eq!(told(&event(3, 2, "ActivityScheduled", json!({}))), None);
    }
}
