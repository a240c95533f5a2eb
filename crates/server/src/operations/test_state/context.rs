//! The context object that a test is given in place of the one that would be made: what may be in it.

use serde_json::{Map, Value};
use stepwright_api::ApiError;
use stepwright_asl::{Pattern, Resource, State, StateKind};
use stepwright_machine::Payload;

use crate::errors::validation;

/// Members of the context object, and what each may be.
type Members = &'static [(&'static str, Kind)];

#[derive(Clone, Copy)]
enum Kind {
    Any,
    Text,
    /// As it is made where there is none.
    TextOrNull,
    Number,
}

const EXECUTION: Members = &[
    ("Id", Kind::Text),
    ("Input", Kind::Any),
    ("Name", Kind::Text),
    ("RoleArn", Kind::TextOrNull),
    ("StartTime", Kind::Text),
    ("RedriveCount", Kind::Number),
    ("RedriveTime", Kind::Text),
];
const STATE: Members = &[("EnteredTime", Kind::Text), ("Name", Kind::Text), ("RetryCount", Kind::Number)];
const STATE_MACHINE: Members = &[("Id", Kind::Text), ("Name", Kind::Text)];
const TASK: Members = &[("Token", Kind::Text)];

/// Checks it for this state.
pub(super) fn check(text: &str, state: &State) -> Result<Payload, ApiError> {
    let refuse = |problem: &str| validation(format!("Invalid Context object provided: {problem}"));
    let Ok(Value::Object(context)) = serde_json::from_str(text) else {
        return Err(refuse("Context object must be a valid JSON object"));
    };
    check_members(&context, state).map_err(|problem| refuse(&problem))?;
    Ok(Payload::new(text))
}

fn check_members(context: &Map<String, Value>, state: &State) -> Result<(), String> {
    for (name, value) in context {
        let members = match name.as_str() {
            "Execution" => EXECUTION,
            "State" => STATE,
            "StateMachine" => STATE_MACHINE,
            "Map" => return Err("'Map' field is not supported when mocking a Context object".to_owned()),
            "Task" if !has_token(state) => {
                return Err("Context object contains 'Task' when state is not a Task state with a '.sync' or \
                            '.waitForTaskToken' service integration pattern"
                    .to_owned());
            }
            "Task" => TASK,
            _ => return Err(format!("Field '{name}' is not allowed")),
        };
        let Value::Object(given) = value else { return Err(format!("{name} must be an object")) };
        for (field, value) in given {
            let Some((_, kind)) = members.iter().find(|(known, _)| known == field) else {
                return Err(format!("Field '{field}' is not allowed"));
            };
            let (fits, expected) = match kind {
                Kind::Any => (true, ""),
                Kind::Text => (value.is_string(), "a string"),
                Kind::TextOrNull => (value.is_string() || value.is_null(), "a string"),
                Kind::Number => (value.is_number(), "a number"),
            };
            if !fits {
                return Err(format!("{name}.{field} must be {expected}"));
            }
        }
    }
    Ok(())
}

/// Whether somebody else reports how the task of a state ended.
fn has_token(state: &State) -> bool {
    let StateKind::Task(task) = &state.kind else { return false };
    match &task.resource {
        Resource::Activity { .. } => true,
        Resource::Integration(integration) => integration.pattern != Pattern::RequestResponse,
        Resource::LambdaFunction { .. } => false,
    }
}
