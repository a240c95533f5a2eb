//! Random machines of type EXPRESS: short, and with everything that makes an execution leave its first turn.

use serde_json::{Map, Value, json};

use super::{ECHO, FUNCTION, WORK};
use crate::workload::{Dice, Machine};

/// A machine whose executions end within seconds, whatever its tasks answer.
#[must_use]
pub fn machine(dice: &mut Dice, name: &str) -> Machine {
    let count = dice.between(1, 4);
    let mut states = Map::new();
    let mut caught = false;
    for at in 0..count {
        let mut state = state(dice, at);
        if at + 1 == count {
            state["End"] = json!(true);
        } else {
            state["Next"] = json!(format!("S{}", at + 1));
        }
        if state["Type"] == "Task" && dice.one_in(2) {
            let catch = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Last"}]);
            state["Catch"] = catch;
            caught = true;
        }
        states.insert(format!("S{at}"), state);
    }
    let last = if dice.one_in(3) { json!({"Type": "Fail", "Error": "Told"}) } else { json!({"Type": "Succeed"}) };
    if caught {
        states.insert("Last".into(), last);
    }
    let mut definition = json!({"StartAt": "S0", "States": states});
    if dice.one_in(4) {
        definition["TimeoutSeconds"] = json!(dice.between(1, 8));
    }
    Machine { name: name.into(), definition: definition.to_string(), express: true }
}

fn state(dice: &mut Dice, at: u64) -> Value {
    match dice.roll(6) {
        0 => json!({"Type": "Pass", "Parameters": {"was.$": "$", "name.$": "$$.Execution.Name"}}),
        1 => {
            let long = dice.between(1, 3_000);
            json!({"Type": "Pass", "QueryLanguage": "JSONata",
                "Output": {"sum": format!("{{% $sum([1..{long}]) %}}")}})
        }
        2 => json!({"Type": "Wait", "Seconds": dice.roll(4)}),
        3 => {
            let wait = json!({"Type": "Wait", "Seconds": 1});
            let branches = [branch(&format!("A{at}"), wait), branch(&format!("B{at}"), task(dice))];
            json!({"Type": "Parallel", "Branches": branches})
        }
        _ => task(dice),
    }
}

fn task(dice: &mut Dice) -> Value {
    let function = if dice.one_in(2) { ECHO } else { *dice.pick(&WORK) };
    let retry = json!([{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": dice.roll(3)}]);
    json!({"Type": "Task", "Resource": format!("{FUNCTION}{function}"), "TimeoutSeconds": dice.between(2, 9), "Retry": retry,
        "ResultSelector": {"result.$": "$"}})
}

fn branch(name: &str, mut state: Value) -> Value {
    state["End"] = json!(true);
    json!({"StartAt": name, "States": {name: state}})
}
