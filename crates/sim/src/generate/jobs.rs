//! Jobs: in some worlds, Task states that call a function start a job instead and wait for its end (`.sync`). Done to a
//! definition that is made already, with dice of its own, so that all other worlds stay as they were.

use serde_json::{Map, Value};

use crate::workload::Dice;

const CALL: &str = "arn:aws:states:::lambda:invoke";
const CALLBACK: &str = "arn:aws:states:::lambda:invoke.waitForTaskToken";
/// What a job is an execution of. Nobody looks for it.
const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:job";

/// Makes jobs of some calls.
pub(super) fn some(dice: &mut Dice, definition: &mut Value) {
    match definition {
        Value::Object(members) => {
            if members.get("ProcessorConfig").is_some_and(|config| config["ExecutionType"] == "EXPRESS") {
                // It has none.
                return;
            }
            if members.get("Type").is_some_and(|kind| kind == "Task") {
                task(dice, members);
            }
            members.values_mut().for_each(|member| some(dice, member));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| some(dice, item)),
        _ => {}
    }
}

fn task(dice: &mut Dice, state: &mut Map<String, Value>) {
    let is_call = state.get("Resource").is_some_and(|resource| resource == CALL || resource == CALLBACK);
    let field = if state.contains_key("Arguments") { "Arguments" } else { "Parameters" };
    let Some(Value::Object(sent)) = state.get_mut(field) else { return };
    if !is_call || !sent.contains_key("FunctionName") || dice.one_in(3) {
        return;
    }
    let mut job = Map::new();
    job.insert("StateMachineArn".into(), MACHINE.into());
    for (from, to) in [("Payload", "Input"), ("Payload.$", "Input.$")] {
        if let Some(payload) = sent.remove(from) {
            job.insert(to.into(), payload);
        }
    }
    *sent = job;
    let pattern = if dice.one_in(2) { "sync" } else { "sync:2" };
    state.insert("Resource".into(), format!("arn:aws:states:::states:startExecution.{pattern}").into());
}
