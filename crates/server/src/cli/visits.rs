//! A history as visits of states: which state, when it was entered and left, how it went, and within which other visit.
//!
//! Works on the API's events. An event belongs to the visit that the event before it (`previousEventId`) belongs to, so
//! branches and iterations that run side by side are told apart.

use std::collections::HashMap;

use serde_json::Value;
use stepwright_graph::{Class, Graph, Overlay};

/// One visit of a state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Visit {
    pub(super) name: String,
    /// The visit of the Parallel or Map that it is in.
    pub(super) parent: Option<usize>,
    /// Seconds since 1970.
    pub(super) entered: f64,
    /// When it was left; none: it was not.
    pub(super) exited: Option<f64>,
    pub(super) class: Class,
    /// The error that it failed with or that was caught, if one did.
    pub(super) error: Option<String>,
}

impl Visit {
    /// How many visits it is within.
    pub(super) fn depth(&self, visits: &[Self]) -> usize {
        let mut depth = 0;
        let mut parent = self.parent;
        while let Some(visit) = parent {
            depth += 1;
            parent = visits[visit].parent;
        }
        depth
    }
}

/// The member of an event that holds its details.
pub(super) fn details(event: &Value) -> &Value {
    let found = event.as_object().and_then(|members| members.iter().find(|(name, _)| name.ends_with("EventDetails")));
    found.map_or(&Value::Null, |(_, details)| details)
}

/// Whether an event says that something failed.
pub(super) fn is_failure(kind: &str) -> bool {
    ["Failed", "TimedOut", "Aborted"].iter().any(|end| kind.ends_with(end))
}

/// The visits of a whole history, in the order in which they were entered.
pub(super) fn visits(events: &[Value]) -> Vec<Visit> {
    let mut visits: Vec<Visit> = Vec::new();
    // The visit that each event belongs to.
    let mut within: HashMap<u64, Option<usize>> = HashMap::new();
    let mut failures: HashMap<u64, Option<String>> = HashMap::new();
    let mut ended = false;
    for event in events {
        let id = event["id"].as_u64().unwrap_or_default();
        let before = event["previousEventId"].as_u64().unwrap_or_default();
        let kind = event["type"].as_str().unwrap_or_default();
        let at = event["timestamp"].as_f64().unwrap_or_default();
        let details = details(event);
        let here = within.get(&before).copied().flatten();
        let error = || details["error"].as_str().map(str::to_owned);
        let belongs = if kind.ends_with("StateEntered") {
            let name = details["name"].as_str().unwrap_or_default().to_owned();
            visits.push(Visit { name, parent: here, entered: at, exited: None, class: Class::Running, error: None });
            Some(visits.len() - 1)
        } else if kind.ends_with("StateExited") {
            let name = details["name"].as_str().unwrap_or_default();
            // What fails in a branch leads out of the branch's visits as well.
            let mut left = here;
            while let Some(visit) = left.filter(|&visit| visits[visit].name != name) {
                left = visits[visit].parent;
            }
            if let Some(visit) = left {
                let caught = failures.get(&before);
                visits[visit].exited = Some(at);
                visits[visit].class = if caught.is_some() { Class::Caught } else { Class::Succeeded };
                visits[visit].error = caught.cloned().flatten();
                visits[visit].parent
            } else {
                here
            }
        } else {
            here
        };
        if is_failure(kind) {
            failures.insert(id, error());
            if let (Some(visit), Some(error)) = (belongs, error()) {
                visits[visit].error = Some(error);
            }
        }
        within.insert(id, belongs);
        ended = match kind {
            "ExecutionSucceeded" | "ExecutionFailed" | "ExecutionTimedOut" | "ExecutionAborted" => true,
            "ExecutionRedriven" => false,
            _ => ended,
        };
    }
    // What was never left runs, unless whatever it is in is over.
    for index in 0..visits.len() {
        let mut around = visits[index].parent;
        let mut over = ended;
        while let Some(visit) = around {
            over |= visits[visit].exited.is_some();
            around = visits[visit].parent;
        }
        if visits[index].exited.is_none() && over {
            visits[index].class = Class::Failed;
        }
        // An error that a retry made good is no longer of interest.
        if visits[index].class == Class::Succeeded {
            visits[index].error = None;
        }
    }
    visits
}

/// The visits as what a picture shows beside the definition: of each state how its newest visit went, how often it was
/// visited, and how long that took.
pub(super) fn overlay(graph: &Graph, visits: &[Visit], now: f64) -> Overlay {
    let mut overlay = Overlay::default();
    let numbers: HashMap<&str, _> = graph.nodes.iter().map(|node| (&*node.name, node.id)).collect();
    let mut seen: HashMap<&str, (usize, f64)> = HashMap::new();
    for visit in visits {
        let Some(&state) = numbers.get(visit.name.as_str()) else { continue };
        let (count, took) = seen.entry(visit.name.as_str()).or_default();
        *count += 1;
        *took += visit.exited.unwrap_or(now) - visit.entered;
        let times = if *count > 1 { format!("{count}× ") } else { String::new() };
        overlay.mark(state, visit.class, format!("{times}{}", super::named::seconds(*took)));
    }
    overlay
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(id: u64, before: u64, kind: &str, name: &str) -> Value {
        let mut event = json!({ "id": id, "previousEventId": before, "type": kind, "timestamp": id as f64 });
        if !name.is_empty() {
            let member = if kind.ends_with("Entered") { "stateEnteredEventDetails" } else { "stateExitedEventDetails" };
            event[member] = json!({ "name": name });
        }
        if is_failure(kind) {
            event["taskFailedEventDetails"] = json!({ "error": "E" });
        }
        event
    }

    #[test]
    fn branches_side_by_side_are_told_apart() {
        let visits = visits(&[
            event(1, 0, "ExecutionStarted", ""),
            event(2, 0, "ParallelStateEntered", "P"),
            event(3, 2, "ParallelStateStarted", ""),
            event(4, 3, "PassStateEntered", "A"),
            event(5, 3, "TaskStateEntered", "B"),
            event(6, 4, "PassStateExited", "A"),
            event(7, 5, "TaskFailed", ""),
            event(8, 7, "ParallelStateFailed", ""),
            event(9, 8, "ParallelStateExited", "P"),
            event(10, 9, "WaitStateEntered", "W"),
        ]);
        let shown: Vec<_> =
            visits.iter().map(|visit| (visit.name.as_str(), visit.depth(&visits), visit.class, visit.exited)).collect();
        assert_eq!(
            shown,
            [
                ("P", 0, Class::Caught, Some(9.0)),
                ("A", 1, Class::Succeeded, Some(6.0)),
                ("B", 1, Class::Failed, None),
                ("W", 0, Class::Running, None),
            ]
        );
        assert_eq!((visits[0].error.as_deref(), visits[2].error.as_deref()), (Some("E"), Some("E")));
    }

    #[test]
    fn what_was_not_left_when_the_execution_ended_failed() {
        let visits = visits(&[
            event(2, 0, "TaskStateEntered", "T"),
            event(3, 2, "TaskFailed", ""),
            event(4, 3, "ExecutionFailed", ""),
        ]);
        assert_eq!((visits[0].class, visits[0].error.as_deref()), (Class::Failed, Some("E")));
    }
}
