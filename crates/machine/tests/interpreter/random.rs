//! Random workflows with random outcomes, cut into random turns: whatever happens, the execution ends, its history is
//! well formed, nothing stays open, and the fold of its inputs gives its frames and its history.

use serde_json::{Value, json};
use stepwright_machine::{EventKind, InputKind, Limits, Payload, Status};

use crate::world::World;

const SEEDS: u64 = 2_000;
const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:a";

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % sides
    }

    fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }
}

/// A definition with states of all types, nested up to three levels deep.
struct Workflow {
    dice: Dice,
    states: u32,
}

impl Workflow {
    fn flow(&mut self, depth: u32) -> Value {
        let length = 1 + self.dice.roll(3) as usize;
        let names: Vec<String> = (0..=length).map(|_| self.name()).collect();
        let last = &names[length];
        let mut states = serde_json::Map::new();
        for place in 0..length {
            let state = self.state(depth, &names[place + 1], last);
            states.insert(names[place].clone(), state);
        }
        // Only a rule leads to it, so that what stands behind it stays reachable.
        let fail = format!("{last}Fail");
        if states.values().any(|state| state["Choices"][0]["Next"] == *fail) {
            states.insert(fail, json!({"Type": "Fail", "Error": "E", "Cause": "C"}));
        }
        let end = if self.dice.one_in(3) { json!({"Type": "Succeed"}) } else { json!({"Type": "Pass", "End": true}) };
        states.insert(last.clone(), end);
        json!({"StartAt": names[0], "States": states})
    }

    fn name(&mut self) -> String {
        self.states += 1;
        format!("S{}", self.states)
    }

    fn state(&mut self, depth: u32, next: &str, last: &str) -> Value {
        let kinds = if depth < 3 { 9 } else { 6 };
        let mut state = match self.dice.roll(kinds) {
            // Inner scopes may not assign what an outer one does.
            0 => {
                let assign = json!({format!("v{depth}"): 1});
                json!({"Type": "Pass", "Result": {"n": 1}, "ResultPath": "$.pass", "Assign": assign})
            }
            1 => json!({"Type": "Wait", "Seconds": self.dice.roll(4)}),
            2 | 3 => {
                let target = if self.dice.one_in(3) { format!("{last}Fail") } else { last.to_owned() };
                let rule = json!({"Variable": "$.list[0]", "NumericEquals": self.dice.roll(2), "Next": target});
                return json!({"Type": "Choice", "Choices": [rule], "Default": next});
            }
            4 | 5 => {
                let mut task = json!({"Type": "Task", "Resource": ACTIVITY, "ResultPath": null});
                if self.dice.one_in(2) {
                    task["TimeoutSeconds"] = json!(2 + self.dice.roll(5));
                }
                if self.dice.one_in(8) {
                    // Fails before anything is scheduled, in a way that Retry and Catch see.
                    task["Parameters"] = json!({"x.$": "States.ArrayGetItem($.list, 99)"});
                }
                task
            }
            6 => {
                let branches: Vec<Value> = (0..=self.dice.roll(3)).map(|_| self.flow(depth + 1)).collect();
                json!({"Type": "Parallel", "Branches": branches, "ResultPath": null})
            }
            _ => {
                let selector = if self.dice.one_in(10) {
                    json!({"list.$": "States.ArrayGetItem($.list, 99)"})
                } else {
                    json!({"list.$": "$.list", "item.$": "$$.Map.Item.Value"})
                };
                json!({"Type": "Map", "ItemsPath": "$.list", "MaxConcurrency": self.dice.roll(3), "ResultPath": null,
                    "ItemSelector": selector, "ItemProcessor": self.flow(depth + 1)})
            }
        };
        state["Next"] = json!(next);
        if ["Task", "Parallel", "Map"].iter().any(|kind| state["Type"] == *kind) {
            if self.dice.one_in(2) {
                let interval = self.dice.roll(3);
                state["Retry"] = json!([{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1 + self.dice.roll(2),
                    "IntervalSeconds": interval, "BackoffRate": 1.5, "JitterStrategy": "FULL"}]);
            }
            if self.dice.one_in(2) {
                state["Catch"] = json!([{"ErrorEquals": ["States.ALL"], "Next": last, "ResultPath": "$.error"}]);
            }
        }
        state
    }
}

/// Lets things happen in random order, several at a time, until the execution ends.
fn live(world: &mut World, dice: &mut Dice) {
    for _ in 0..20_000 {
        if world.closing.is_some() {
            return;
        }
        if world.goes_on() {
            world.submit(InputKind::Continue);
            continue;
        }
        let mut happen = Vec::new();
        while !world.open.is_empty() && happen.len() < 3 && !dice.one_in(3) {
            let (task, ..) = world.open.remove(dice.roll(world.open.len() as u64) as usize);
            happen.push(match dice.roll(4) {
                0 => InputKind::TaskFailed { task, error: Some("E".into()), cause: Some("C".into()) },
                1 => InputKind::TaskFailed { task, error: None, cause: None },
                _ => InputKind::TaskSucceeded { task, output: Payload::new(r#"{"done":true}"#) },
            });
        }
        if happen.is_empty() || dice.one_in(4) {
            let now = world.execution.head.last_at;
            if let Some(due) = world.timers.keys().next().map(|(due, _)| *due) {
                world.advance_to(due.max(now));
                let together: Vec<_> = world.timers.keys().filter(|(at, _)| *at == due).copied().collect();
                for key in together {
                    world.timers.remove(&key);
                    happen.push(InputKind::TimerFired { timer: key.1 });
                }
            }
        }
        if dice.one_in(200) {
            happen.push(InputKind::Stop { error: Some("Stopped".into()), cause: None });
        }
        if !happen.is_empty() {
            world.submit_all(happen);
        }
    }
    panic!("the execution does not end:\n{}", world.history());
}

fn check(seed: u64) {
    let mut dice = Dice(seed);
    let definition = Workflow { dice: Dice(seed ^ 0xABCD), states: 0 }.flow(0).to_string();
    let limits = Limits {
        history_events: if dice.one_in(4) { 20 + dice.roll(200) } else { 5_000 },
        payload_bytes: if dice.one_in(6) { 60 } else { 262_144 },
        inline_concurrency: 1 + dice.roll(4),
        ..Limits::AWS
    };
    let mut world = World::start_with(&definition, r#"{"list":[1,0,1]}"#, limits, &[]);
    live(&mut world, &mut dice);
    let closing = world.closing.clone().expect("it ended");
    let mut open: Vec<(u32, u64)> = Vec::new();
    for (place, (id, _, previous, kind)) in world.events.iter().enumerate() {
        assert_eq!(*id, place as u64 + 1, "ids have no gaps");
        assert!(previous < id, "an event follows an earlier one");
        match kind {
            EventKind::StateEntered { state, .. } => open.push((*state, *id)),
            EventKind::StateExited { state, .. } => {
                let entered = open.iter().rposition(|(open, _)| open == state).expect("what exits was entered");
                open.remove(entered);
            }
            _ => {}
        }
    }
    assert!(world.events.len() as u64 <= limits.history_events, "the history keeps its limit");
    let (.., last) = world.events.last().expect("a history");
    match closing.status {
        Status::Succeeded => {
            assert!(matches!(last, EventKind::ExecutionSucceeded { .. }));
            assert!(world.execution.frames.is_empty(), "nothing is left of a success");
        }
        Status::Failed => assert!(matches!(last, EventKind::ExecutionFailed(_))),
        Status::Aborted => assert!(matches!(last, EventKind::ExecutionAborted(_))),
        Status::TimedOut | Status::Running => panic!("no execution time-out was given"),
    }
    world.check_fold();
}

#[test]
fn random_workflows_end_well_formed_whatever_happens() {
    for seed in 0..SEEDS {
        let checked = std::panic::catch_unwind(|| check(seed));
        assert!(checked.is_ok(), "seed {seed}");
    }
}
