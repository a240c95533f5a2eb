//! Random workflows over the whole language that the engine serves: state machines, the activities they use, and the
//! executions to start. A machine is in JSONPath, in JSONata, or in both. The same dice give the same workload.
//!
//! Nothing here runs anything. Two things must hold of all that is made: the validator accepts it, and every execution
//! can end, whatever its tasks answer, if time goes on and workers come back: loops count, and every task has a
//! time-out.

mod choices;
mod containers;
mod data;
mod distributed;
pub mod express;
mod flow;
mod jobs;
mod jsonata;
mod prescribed;
mod tasks;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::workload::{Dice, Expectation, Machine, Start, Workload};

/// What every ARN of a workload begins with.
const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:";
const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:";

/// The activity and the function that answer with their input whenever they answer well.
pub const ECHO: &str = "echo";
/// Activities and functions that answer with anything.
const WORK: [&str; 3] = ["pack", "ship", "bill"];
/// The start of simulated time, roughly: what literal timestamps lie around.
const EPOCH_SECONDS: i64 = 1_700_000_000;
/// Over how much time the starts of a workload are spread, in milliseconds.
const SPREAD_MS: u64 = 20_000;

/// A random workload: one to three machines and a handful of executions of each.
#[must_use]
pub fn workload(dice: &mut Dice) -> Workload {
    let mut own = Dice::new(dice.clone().bits() ^ 0x10B5);
    let has_jobs = own.one_in(3);
    let mut machines = Vec::new();
    let mut starts: Vec<Start> = Vec::new();
    for index in 0..=dice.roll(3) as usize {
        let name = format!("m{index}");
        // What such a machine comes to, for any input that it is started with.
        let mut expected = None;
        let definition = if dice.one_in(4) {
            let prescribed = prescribed::machine(dice);
            expected = Some(Expectation { output: prescribed.output.to_string() });
            prescribed.definition
        } else {
            let mut definition = flow::machine(dice);
            if has_jobs {
                jobs::some(&mut own, &mut definition);
            }
            definition
        };
        machines.push(Machine { name, definition: definition.to_string(), express: false });
        for number in 0..=2 + dice.roll(5) {
            starts.push(Start {
                machine: index,
                name: format!("e{index}-{number}"),
                input: input(dice).to_string(),
                at: i64::try_from(dice.roll(SPREAD_MS)).expect("a few seconds"),
                expect: expected.clone(),
            });
        }
    }
    let activities = WORK.iter().chain([&ECHO]).map(|name| (*name).to_owned()).collect();
    Workload { machines, activities, starts }
}

/// An execution's input: the members that every generated state may rely on, with varied values.
fn input(dice: &mut Dice) -> Value {
    let words = ["", "a", "two words", "ünï ✓ \"quoted\" \\", "2024-02-29T12:00:00Z", "x*y", "0"];
    let list: Vec<u64> = (0..=dice.roll(3)).map(|_| dice.roll(5)).collect();
    let mut input = json!({
        "n": i64::try_from(dice.roll(21)).expect("small") - 10,
        "half": 0.5 * dice.roll(9) as f64,
        "list": list,
        "text": dice.pick(&words),
        "flag": dice.one_in(2),
        "none": null,
        "secs": dice.roll(4),
        "beat": 2 + dice.roll(6),
        "limit": 20 + dice.roll(40),
        "when": data::timestamp(dice),
        "deep": {"items": [{"id": 1}, {"id": 2, "tag": "t"}], "flag": true, "a b": {"c": [[]]}},
    });
    if dice.one_in(12) {
        // Longer than what lies inline in a turn's row.
        input["blob"] = data::blob(dice).into();
    }
    input
}
