//! Makes mocks of a history: each task of the execution gets the answers that it got then.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// The attempts of one state within the same Map items, innermost item first: what each came to.
type Recorded = BTreeMap<(String, Vec<u64>), Vec<Value>>;

/// Where an event stands.
#[derive(Clone, Default)]
struct Place {
    state: String,
    /// Map items, innermost first.
    items: Vec<u64>,
    /// The Map states around, innermost last, each with the items in which it stands itself.
    maps: Vec<(String, Vec<u64>)>,
    /// The attempt that is under way, as its place among those of the state.
    attempt: Option<usize>,
}

/// The file of mocks, with one test case of this name, of a whole history as GetExecutionHistory shows it, oldest event
/// first.
#[must_use]
pub fn mocks(machine: &str, case: &str, events: &[Value]) -> Value {
    let mut recorded = Recorded::new();
    let mut places: BTreeMap<u64, Place> = BTreeMap::new();
    for event in events {
        let id = event["id"].as_u64().unwrap_or_default();
        let previous = event["previousEventId"].as_u64().unwrap_or_default();
        let mut place = places.get(&previous).cloned().unwrap_or_default();
        let kind = event["type"].as_str().unwrap_or_default();
        let details = details(event);
        match kind {
            kind if kind.ends_with("StateEntered") => {
                details["name"].as_str().unwrap_or_default().clone_into(&mut place.state);
                place.attempt = None;
                if kind == "MapStateEntered" {
                    place.maps.push((place.state.clone(), place.items.clone()));
                }
            }
            // It begins, perhaps again after an item failed.
            "MapStateStarted" => {
                if let Some((_, items)) = place.maps.last() {
                    place.items.clone_from(items);
                }
            }
            "MapStateExited" => {
                while let Some((state, items)) = place.maps.pop() {
                    place.items = items;
                    if details["name"] == state.as_str() {
                        break;
                    }
                }
            }
            "MapIterationStarted" => {
                place.items.insert(0, details["index"].as_u64().unwrap_or_default());
            }
            "TaskScheduled" | "LambdaFunctionScheduled" | "ActivityScheduled" => {
                let attempts = recorded.entry((place.state.clone(), place.items.clone())).or_default();
                place.attempt = Some(attempts.len());
                // Unless something comes of it.
                attempts.push(json!({"Never": true}));
            }
            "TaskSucceeded" | "LambdaFunctionSucceeded" | "ActivitySucceeded" => {
                let text = details["output"].as_str().unwrap_or("null");
                let output: Value = serde_json::from_str(text).unwrap_or_else(|_| text.into());
                came_to(&mut recorded, &place, json!({"Return": output}));
            }
            "TaskTimedOut" | "LambdaFunctionTimedOut" | "ActivityTimedOut" => {
                came_to(&mut recorded, &place, json!({"Throw": {"Error": "States.Timeout"}}));
            }
            "TaskFailed"
            | "LambdaFunctionFailed"
            | "ActivityFailed"
            | "TaskSubmitFailed"
            | "TaskStartFailed"
            | "LambdaFunctionScheduleFailed"
            | "LambdaFunctionStartFailed"
            | "ActivityScheduleFailed" => {
                let mut thrown = Map::new();
                for (name, member) in [("Error", "error"), ("Cause", "cause")] {
                    thrown.extend(details.get(member).map(|text| (name.to_owned(), text.clone())));
                }
                came_to(&mut recorded, &place, json!({"Throw": thrown}));
            }
            _ => {}
        }
        places.insert(id, place);
    }
    file(machine, case, recorded)
}

/// The one member that holds an event's details.
fn details(event: &Value) -> &Value {
    let members = event.as_object();
    let found = members.and_then(|members| members.iter().find(|(name, _)| name.ends_with("EventDetails")));
    found.map_or(&Value::Null, |(_, details)| details)
}

fn came_to(recorded: &mut Recorded, place: &Place, answer: Value) {
    let attempts = recorded.get_mut(&(place.state.clone(), place.items.clone()));
    if let (Some(attempts), Some(at)) = (attempts, place.attempt)
        && let Some(attempt) = attempts.get_mut(at)
    {
        *attempt = answer;
    }
}

fn file(machine: &str, case: &str, recorded: Recorded) -> Value {
    let mut states = Map::new();
    let mut responses: Map<String, Value> = Map::new();
    for ((state, items), attempts) in recorded {
        let name = format!("{case}.{state}");
        states.insert(state, name.as_str().into());
        let mut place = responses.entry(name).or_insert_with(|| json!({}));
        for item in &items {
            place = &mut place["Items"][item.to_string()];
            if place.is_null() {
                *place = json!({});
            }
        }
        let mut first = 0;
        while first < attempts.len() {
            let same = attempts[first..].iter().take_while(|answer| **answer == attempts[first]).count();
            let last = first + same - 1;
            let key = if same == 1 { first.to_string() } else { format!("{first}-{last}") };
            place[key] = attempts[first].clone();
            first += same;
        }
    }
    json!({"StateMachines": {machine: {"TestCases": {case: states}}}, "MockedResponses": responses})
}

/// The states that a history enters, in their order.
#[must_use]
pub fn path(events: &[Value]) -> Vec<String> {
    let entered =
        events.iter().filter(|event| event["type"].as_str().is_some_and(|kind| kind.ends_with("StateEntered")));
    entered.filter_map(|event| Some(details(event)["name"].as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mocks::MockConfig;

    #[test]
    fn attempts_and_items_are_told_apart() {
        let events = [
            json!({"id": 1, "previousEventId": 0, "type": "ExecutionStarted", "executionStartedEventDetails": {}}),
            json!({"id": 2, "previousEventId": 0, "type": "MapStateEntered", "stateEnteredEventDetails": {"name": "M"}}),
            json!({"id": 3, "previousEventId": 2, "type": "MapStateStarted", "mapStateStartedEventDetails": {}}),
            json!({"id": 4, "previousEventId": 3, "type": "MapIterationStarted",
                "mapIterationStartedEventDetails": {"name": "M", "index": 1}}),
            json!({"id": 5, "previousEventId": 4, "type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "T"}}),
            json!({"id": 6, "previousEventId": 5, "type": "LambdaFunctionScheduled"}),
            json!({"id": 7, "previousEventId": 6, "type": "LambdaFunctionFailed",
                "lambdaFunctionFailedEventDetails": {"error": "E", "cause": "c"}}),
            json!({"id": 8, "previousEventId": 7, "type": "LambdaFunctionScheduled"}),
            json!({"id": 9, "previousEventId": 8, "type": "LambdaFunctionFailed",
                "lambdaFunctionFailedEventDetails": {"error": "E", "cause": "c"}}),
            json!({"id": 10, "previousEventId": 9, "type": "LambdaFunctionScheduled"}),
            json!({"id": 11, "previousEventId": 10, "type": "LambdaFunctionSucceeded",
                "lambdaFunctionSucceededEventDetails": {"output": "{\"x\":1}"}}),
        ];
        let made = mocks("m", "c", &events);
        let thrown = json!({"Throw": {"Error": "E", "Cause": "c"}});
        assert_eq!(made["MockedResponses"]["c.T"], json!({"Items": {"1": {"0-1": thrown, "2": {"Return": {"x": 1}}}}}));
        assert!(MockConfig::of(&made).is_ok());
        assert_eq!(path(&events), ["M", "T"]);
    }

    #[test]
    fn a_map_that_is_tried_again_or_has_no_items_does_not_confuse_those_around_it() {
        let scheduled =
            |id: u64, previous: u64| json!({"id": id, "previousEventId": previous, "type": "TaskScheduled"});
        let iteration = |id: u64, previous: u64, index: u64| {
            json!({"id": id, "previousEventId": previous, "type": "MapIterationStarted",
                "mapIterationStartedEventDetails": {"index": index}})
        };
        let state = |id: u64, previous: u64, kind: &str, name: &str| {
            let member = if kind.ends_with("Entered") { "stateEnteredEventDetails" } else { "stateExitedEventDetails" };
            json!({"id": id, "previousEventId": previous, "type": kind, member: {"name": name}})
        };
        let plain = |id: u64, previous: u64, kind: &str| json!({"id": id, "previousEventId": previous, "type": kind});
        let events = [
            state(1, 0, "MapStateEntered", "Outer"),
            plain(2, 1, "MapStateStarted"),
            iteration(3, 2, 0),
            plain(4, 3, "MapIterationFailed"),
            plain(5, 4, "MapStateFailed"),
            plain(6, 5, "MapStateStarted"),
            iteration(7, 6, 4),
            state(8, 7, "MapStateEntered", "Inner"),
            plain(9, 8, "MapStateStarted"),
            plain(10, 9, "MapStateSucceeded"),
            state(11, 10, "MapStateExited", "Inner"),
            state(12, 11, "TaskStateEntered", "T"),
            scheduled(13, 12),
            plain(14, 13, "MapStateSucceeded"),
            state(15, 14, "MapStateExited", "Outer"),
            state(16, 15, "TaskStateEntered", "U"),
            scheduled(17, 16),
        ];
        let made = mocks("m", "c", &events);
        let never = json!({"0": {"Never": true}});
        assert_eq!(made["MockedResponses"], json!({"c.T": {"Items": {"4": never}}, "c.U": never}));
    }
}
