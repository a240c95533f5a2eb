//! What runs while the server is killed: one state machine with a Wait, activities, Lambda functions, a Parallel and a
//! Map, those who start executions of it, and the workers of its activity. What every execution must come to is
//! decided by its number alone. Must never give up on a request that got no reply.

use super::{Dice, Handed, Ledger, Reply, Start, locked};
use crate::client::{Client, Refused};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::Scope;
use std::time::Duration;

const STARTERS: usize = 4;
const WORKERS: usize = 16;
/// Items of the Map in each execution.
pub(super) const ITEMS: usize = 3;

/// What an execution is prescribed to come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    /// Every task succeeds.
    Plain,
    /// The first attempts of two tasks fail and Retry catches up.
    Flaky,
    /// A worker fails the first task for good.
    Declined,
}

/// The kind of an execution, by its number.
pub(super) fn kind_of(number: usize) -> Kind {
    match number % 10 {
        3 => Kind::Flaky,
        7 => Kind::Declined,
        _ => Kind::Plain,
    }
}

pub(super) fn name_of(number: usize) -> String {
    format!("order-{number:05}")
}

fn kind_of_key(key: &str) -> Option<Kind> {
    let number = key.strip_prefix("order-")?.split('/').next()?;
    number.parse().ok().map(kind_of)
}

/// How a worker fails a task, if it does.
pub(super) fn failure_of_task(key: &str, attempt: u64) -> Option<&'static str> {
    match kind_of_key(key) {
        Some(Kind::Flaky) if key.ends_with("/work") && attempt == 0 => Some("Flaky"),
        Some(Kind::Declined) if key.ends_with("/work") => Some("Declined"),
        _ => None,
    }
}

/// How the function fails, if it does.
pub(super) fn failure_of_call(key: &str, attempt: u64) -> Option<&'static str> {
    (kind_of_key(key) == Some(Kind::Flaky) && key.ends_with("/charge") && attempt == 0).then_some("Flaky")
}

/// The input of an execution.
pub(super) fn input_of(number: usize) -> Value {
    json!({"name": name_of(number), "pause": 1 + number % 3, "items": (0..ITEMS).collect::<Vec<_>>()})
}

/// The state machine, and how many executions of it may have been started by now.
pub(super) struct Workload {
    pub(super) executions: usize,
    machine: Value,
    activity: Value,
    next: AtomicUsize,
    allowed: AtomicUsize,
}

impl Workload {
    pub(super) fn create(client: &mut Client, executions: usize) -> Result<Self> {
        let activity = client.call("CreateActivity", &json!({"name": "work"}))?["activityArn"].clone();
        let request = json!({
            "name": "orders",
            "definition": definition(&activity).to_string(),
            "roleArn": "arn:aws:iam::000000000000:role/prove"
        });
        let machine = client.call("CreateStateMachine", &request)?["stateMachineArn"].clone();
        Ok(Self { executions, machine, activity, next: AtomicUsize::new(0), allowed: AtomicUsize::new(0) })
    }

    /// Lets this many executions be started in all.
    pub(super) fn allow(&self, executions: usize) {
        self.allowed.store(executions, Ordering::Relaxed);
    }

    /// Lets everybody who waits for leave to start an execution see that it is over.
    pub(super) fn release(&self) {
        self.next.store(self.executions, Ordering::Relaxed);
    }

    pub(super) fn spawn<'scope, 'env>(
        &'scope self,
        scope: &'scope Scope<'scope, 'env>,
        address: SocketAddr,
        ledger: &'scope Ledger,
        stop: &'scope AtomicBool,
        seed: u64,
    ) {
        for starter in 0..STARTERS {
            let dice = Dice::new(seed ^ (0x1000 + starter as u64));
            scope.spawn(move || self.start_all(&mut Client::new(address), ledger, stop, dice));
        }
        for worker in 0..WORKERS {
            let dice = Dice::new(seed ^ (0x2000 + worker as u64));
            scope.spawn(move || self.work(&mut Client::new(address), ledger, stop, dice));
        }
    }

    /// Executions as they are listed, all or those with a status.
    pub(super) fn list(&self, client: &mut Client, status: Option<&str>) -> Result<Vec<Value>> {
        let mut request = json!({"stateMachineArn": self.machine, "maxResults": 1000});
        if let Some(status) = status {
            request["statusFilter"] = json!(status);
        }
        let mut all = Vec::new();
        loop {
            let mut page = client.call("ListExecutions", &request)?;
            all.append(page["executions"].as_array_mut().context("a page without executions")?);
            match page["nextToken"].take() {
                Value::Null => return Ok(all),
                token => request["nextToken"] = token,
            }
        }
    }

    fn start_all(&self, client: &mut Client, ledger: &Ledger, stop: &AtomicBool, mut dice: Dice) {
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.executions {
                return;
            }
            while number >= self.allowed.load(Ordering::Relaxed) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            let Some(start) = self.start(client, number, ledger, stop) else { return };
            let repeated = dice.below(4) == 0;
            let date = start.date;
            locked(&ledger.starts).push(start);
            if repeated {
                ledger.starts_repeated.fetch_add(1, Ordering::Relaxed);
                let Some(again) = self.start(client, number, ledger, stop) else { return };
                if let (Some(first), Some(second)) = (date, again.date)
                    && first != second
                {
                    ledger.complain(format!("{}: started at {first}, then again at {second}", again.arn));
                }
            }
            // Spreads the starts over the time between two kills.
            std::thread::sleep(dice.millis(0, 150));
        }
    }

    /// Starts an execution, as often as it takes to get a reply.
    fn start(&self, client: &mut Client, number: usize, ledger: &Ledger, stop: &AtomicBool) -> Option<Start> {
        let name = name_of(number);
        let request = json!({"stateMachineArn": self.machine, "name": name, "input": input_of(number).to_string()});
        while !stop.load(Ordering::Relaxed) {
            let error = match client.call("StartExecution", &request) {
                Ok(answer) => {
                    let arn = answer["executionArn"].as_str().unwrap_or_default().to_string();
                    return Some(Start { number, arn, date: answer["startDate"].as_f64() });
                }
                Err(error) => error,
            };
            match error.downcast_ref::<Refused>() {
                // It was started by a request whose reply was lost, and has closed since: `check.rs` looks at it.
                Some(refused) if refused.kind() == "ExecutionAlreadyExists" => {
                    let arn = self.machine.as_str().unwrap_or_default().replace(":stateMachine:", ":execution:");
                    let arn = format!("{arn}:{name}");
                    match client.call("DescribeExecution", &json!({"executionArn": arn})) {
                        Ok(described) if described["status"] == "RUNNING" => ledger.complain(format!(
                            "{arn} runs with the same input, and starting it again was refused: {error}"
                        )),
                        Ok(_) => {}
                        Err(error) if error.is::<Refused>() => {
                            ledger.complain(format!("{arn} is said to exist, but: {error}"));
                        }
                        Err(_) => continue,
                    }
                    return Some(Start { number, arn, date: None });
                }
                Some(_) => {
                    ledger.complain(format!("starting {name} was refused: {error}"));
                    return None;
                }
                None => {
                    ledger.starts_unknown.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        None
    }

    fn work(&self, client: &mut Client, ledger: &Ledger, stop: &AtomicBool, mut dice: Dice) {
        let poll = json!({"activityArn": self.activity, "workerName": "prove"});
        while !stop.load(Ordering::Relaxed) {
            let task = match client.call("GetActivityTask", &poll) {
                Ok(task) => task,
                Err(error) => {
                    if error.is::<Refused>() && !stop.load(Ordering::Relaxed) {
                        ledger.complain(format!("a poll was refused: {error}"));
                    }
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
            };
            let Some(token) = task["taskToken"].as_str() else { continue };
            let input: Value = serde_json::from_str(task["input"].as_str().unwrap_or_default()).unwrap_or_default();
            let key = input["key"].as_str().unwrap_or_default().to_string();
            let attempt = input["attempt"].as_u64().unwrap_or(u64::MAX);
            let (failure, nonce) = (failure_of_task(&key, attempt), ledger.nonce());
            let handed = Handed {
                token: token.to_string(),
                key: key.clone(),
                attempt,
                nonce: nonce.clone(),
                failure,
                unknown: false,
                reply: None,
            };
            let place = {
                let mut all = locked(&ledger.handed);
                all.push(handed);
                all.len() - 1
            };
            // Most tasks are quick, some are under way when the server is killed.
            std::thread::sleep(if dice.below(20) == 0 { dice.millis(200, 900) } else { dice.millis(0, 30) });
            let (operation, answer) = match failure {
                Some(error) => ("SendTaskFailure", json!({"taskToken": token, "error": error, "cause": nonce})),
                None => {
                    let output = json!({"key": key, "nonce": nonce}).to_string();
                    ("SendTaskSuccess", json!({"taskToken": token, "output": output}))
                }
            };
            while !stop.load(Ordering::Relaxed) {
                let Err(error) = client.call(operation, &answer) else {
                    locked(&ledger.handed)[place].reply = Some(Reply::Acknowledged);
                    break;
                };
                match error.downcast_ref::<Refused>() {
                    Some(refused) if ["TaskTimedOut", "TaskDoesNotExist"].contains(&refused.kind()) => {
                        locked(&ledger.handed)[place].reply = Some(Reply::Gone);
                        break;
                    }
                    Some(_) => {
                        ledger.complain(format!("the answer of {key} was refused: {error}"));
                        break;
                    }
                    None => {
                        locked(&ledger.handed)[place].unknown = true;
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            }
        }
    }
}

/// A kill between the durable start of a task and the reply that hands it out leaves it to its time-out, so every
/// activity task has one. A Lambda request under way is lost by a kill and says so; nothing else is retried but the
/// failures of [`Kind::Flaky`].
fn definition(activity: &Value) -> Value {
    let retry = json!([{
        "ErrorEquals": ["States.Timeout", "Lambda.SdkClientException", "Flaky"],
        "IntervalSeconds": 1, "BackoffRate": 1.0, "MaxAttempts": 100
    }]);
    let parameters = |key: &str| json!({"key.$": format!("States.Format('{{}}/{key}', $.name)"), "attempt.$": "$$.State.RetryCount"});
    let task = |key: &str| {
        json!({
            "Type": "Task", "Resource": activity, "TimeoutSeconds": 10,
            "Parameters": parameters(key), "Retry": retry
        })
    };
    let with = |mut state: Value, more: Value| {
        if let (Value::Object(state), Value::Object(more)) = (&mut state, more) {
            state.extend(more);
        }
        state
    };
    let selector = json!({"key.$": "$.Payload.key", "nonce.$": "$.Payload.nonce"});
    json!({
        "StartAt": "Pause",
        "States": {
            "Pause": {"Type": "Wait", "SecondsPath": "$.pause", "Next": "Work"},
            "Work": with(task("work"), json!({"ResultPath": "$.work", "Next": "Charge"})),
            "Charge": {
                "Type": "Task", "Resource": "arn:aws:lambda:us-east-1:000000000000:function:charge",
                "TimeoutSeconds": 60, "Parameters": parameters("charge"), "Retry": retry,
                "ResultPath": "$.charge", "Next": "Both"
            },
            "Both": {
                "Type": "Parallel", "ResultPath": "$.both", "Next": "Each",
                "Branches": [
                    {"StartAt": "Breathe", "States": {
                        "Breathe": {"Type": "Wait", "Seconds": 1, "Next": "Left"},
                        "Left": with(task("left"), json!({"End": true}))
                    }},
                    {"StartAt": "Right", "States": {
                        "Right": {
                            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSeconds": 60,
                            "Parameters": {"FunctionName": "right", "Payload": parameters("right")},
                            "ResultSelector": selector, "Retry": retry, "End": true
                        }
                    }}
                ]
            },
            "Each": {
                "Type": "Map", "ItemsPath": "$.items", "ResultPath": "$.each", "Next": "Done",
                "ItemSelector": {"name.$": "States.Format('{}/item-{}', $.name, $$.Map.Item.Value)"},
                "ItemProcessor": {"StartAt": "Item", "States": {
                    "Item": with(task("item"), json!({"End": true}))
                }}
            },
            "Done": {"Type": "Succeed"}
        }
    })
}
