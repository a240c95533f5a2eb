//! What must hold after the last kill: every execution closed as prescribed, every history is well formed, and both
//! agree with what was noted outside of the server. Must never take the server's word for what it acknowledged.

use super::workload::{ITEMS, Kind, Workload, input_of, kind_of, name_of};
use super::{Call, Handed, Ledger, Reply, Start, locked};
use crate::client::Client;
use crate::progress::{history, is_last};
use anyhow::Result;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// How long before a kill something may have happened that the kill explains, in seconds: an answer of the function
/// that was on its way, a task that was being handed out. Milliseconds on a machine that is not busy, as the figures
/// show; long enough for one that is.
const EXPLAINED: f64 = 3.0;
/// Timestamps are rounded, and noted on two sides.
const ROUNDING: f64 = 0.01;

/// What was found, apart from complaints.
#[derive(Default)]
pub(super) struct Found {
    pub(super) succeeded: usize,
    pub(super) failed: usize,
    pub(super) histories: usize,
    pub(super) events: usize,
    /// Activity tasks that ran into their time-out.
    pub(super) timed_out: usize,
    /// Lambda requests that failed because a kill took their answer.
    pub(super) lost_calls: usize,
    /// The longest time between an answer of the function and the kill that kept it from the history.
    pub(super) latest_cut_ms: u64,
    /// The longest time between the start of a task and the kill that kept it from its worker.
    pub(super) latest_lost_ms: u64,
    spans: Vec<(f64, f64)>,
}

impl Found {
    /// How many executions ran at that moment.
    pub(super) fn running_at(&self, moment: f64) -> usize {
        self.spans.iter().filter(|(start, stop)| *start <= moment && moment < *stop).count()
    }
}

/// Checks everything; complaints go to the ledger.
pub(super) fn everything(client: &mut Client, workload: &Workload, ledger: &Ledger, kills: &[f64]) -> Result<Found> {
    let (starts, handed, calls) = (locked(&ledger.starts), locked(&ledger.handed), locked(&ledger.calls));
    let mut complaints = Vec::new();
    let mut found = Found::default();
    let mut listed: HashMap<String, usize> = HashMap::new();
    for execution in workload.list(client, None)? {
        *listed.entry(execution["name"].as_str().unwrap_or_default().to_string()).or_default() += 1;
    }
    if listed.len() != workload.executions {
        complaints.push(format!("{} executions are listed, {} were started", listed.len(), workload.executions));
    }
    let tokens: HashSet<&str> = handed.iter().map(|task| task.token.as_str()).collect();
    if tokens.len() != handed.len() {
        complaints.push(format!("{} tasks were handed out under {} tokens", handed.len(), tokens.len()));
    }
    let mut outside: HashMap<&str, Outside> = HashMap::new();
    for task in handed.iter() {
        outside.entry(execution_of(&task.key)).or_default().handed.push(task);
    }
    for call in calls.iter() {
        outside.entry(execution_of(&call.key)).or_default().calls.push(call);
    }
    for start in starts.iter() {
        let name = name_of(start.number);
        if listed.get(&name) != Some(&1) {
            complaints.push(format!("{name} was acknowledged and is listed {:?} times", listed.get(&name)));
        }
        let described = match client.call("DescribeExecution", &json!({"executionArn": start.arn})) {
            Ok(described) => described,
            Err(error) => {
                complaints.push(format!("{name} was acknowledged and is lost: {error:#}"));
                continue;
            }
        };
        let events = history(client, &start.arn)?;
        found.histories += 1;
        found.events += events.len();
        let outside = outside.remove(name.as_str()).unwrap_or_default();
        let one = Execution { start, described: &described, events: &events, outside, kills };
        for complaint in one.check(&mut found) {
            complaints.push(format!("{name}: {complaint}"));
        }
    }
    for name in outside.keys() {
        complaints.push(format!("{name} had tasks but was never acknowledged"));
    }
    drop((starts, handed, calls));
    for complaint in complaints {
        ledger.complain(complaint);
    }
    Ok(found)
}

fn execution_of(key: &str) -> &str {
    key.split('/').next().unwrap_or_default()
}

/// What was noted about one execution outside of the server.
#[derive(Default)]
struct Outside<'a> {
    handed: Vec<&'a Handed>,
    calls: Vec<&'a Call>,
}

/// One attempt of a task, from its history.
struct Attempt {
    activity: bool,
    key: String,
    number: u64,
    started: Option<f64>,
    ended: f64,
    outcome: Outcome,
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Succeeded(String),
    Failed { error: String, cause: String },
    TimedOut,
    Open,
}

struct Execution<'a> {
    start: &'a Start,
    described: &'a Value,
    events: &'a [Value],
    outside: Outside<'a>,
    kills: &'a [f64],
}

impl Execution<'_> {
    fn check(&self, found: &mut Found) -> Vec<String> {
        let mut complaints = chain(self.events);
        let (attempts, malformed) = attempts(self.events);
        complaints.extend(malformed);
        complaints.extend(self.closed(&attempts, found));
        complaints.extend(self.visits());
        complaints.extend(once(&attempts));
        for attempt in &attempts {
            let complaint = if attempt.activity { self.activity(attempt, found) } else { self.call(attempt, found) };
            if let Err(complaint) = complaint {
                complaints.push(format!("{} attempt {}: {complaint}", attempt.key, attempt.number));
            }
        }
        complaints.extend(self.acknowledged(&attempts));
        complaints
    }

    /// It closed as prescribed, with the input, the date and the output that it should have.
    fn closed(&self, attempts: &[Attempt], found: &mut Found) -> Vec<String> {
        let mut complaints = Vec::new();
        let input = input_of(self.start.number);
        let mut same = |what: &str, is: &Value, should: &Value| {
            if is != should {
                complaints.push(format!("{what} is {is} and should be {should}"));
            }
        };
        same("the input", &parsed(&self.described["input"]), &input);
        if let Some(date) = self.start.date {
            same("the start date", &self.described["startDate"], &json!(date));
        }
        if kind_of(self.start.number) == Kind::Declined {
            same("the status", &self.described["status"], &json!("FAILED"));
            same("the error", &self.described["error"], &json!("Declined"));
            found.failed += 1;
        } else {
            same("the status", &self.described["status"], &json!("SUCCEEDED"));
            let answer = |key: String| {
                let nonce = attempts.iter().find_map(|attempt| match &attempt.outcome {
                    Outcome::Succeeded(nonce) if attempt.key == key => Some(nonce.clone()),
                    _ => None,
                });
                json!({"key": key, "nonce": nonce})
            };
            let name = name_of(self.start.number);
            let mut output = input;
            output["work"] = answer(format!("{name}/work"));
            output["charge"] = answer(format!("{name}/charge"));
            output["both"] = json!([answer(format!("{name}/left")), answer(format!("{name}/right"))]);
            output["each"] = (0..ITEMS).map(|item| answer(format!("{name}/item-{item}/item"))).collect();
            same("the output", &parsed(&self.described["output"]), &output);
            found.succeeded += 1;
        }
        let date = |key: &str| self.described[key].as_f64();
        match (date("startDate"), date("stopDate")) {
            (Some(start), Some(stop)) if start <= stop => found.spans.push((start, stop)),
            (start, stop) => complaints.push(format!("it started at {start:?} and stopped at {stop:?}")),
        }
        complaints
    }

    /// Every state was entered and left as often as it should.
    fn visits(&self) -> Option<String> {
        let whole = [
            ("Pause", 1),
            ("Work", 1),
            ("Charge", 1),
            ("Both", 1),
            ("Breathe", 1),
            ("Left", 1),
            ("Right", 1),
            ("Each", 1),
            ("Item", ITEMS),
            ("Done", 1),
        ];
        let declined = kind_of(self.start.number) == Kind::Declined;
        let prefix = |length: usize| BTreeMap::from_iter(whole.iter().take(length).copied());
        let should = if declined { (prefix(2), prefix(1)) } else { (prefix(whole.len()), prefix(whole.len())) };
        let count = |details: &str| {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for name in self.events.iter().filter_map(|event| event[details]["name"].as_str()) {
                *counts.entry(name).or_default() += 1;
            }
            counts
        };
        let is = (count("stateEnteredEventDetails"), count("stateExitedEventDetails"));
        (is != should).then(|| format!("states entered and left are {is:?} and should be {should:?}"))
    }

    /// A kill in this span of time, if there was one.
    fn kill_between(&self, from: f64, to: f64) -> Option<f64> {
        self.kills.iter().copied().find(|kill| (from - ROUNDING..=to + ROUNDING).contains(kill))
    }

    /// An attempt of an activity task against what its worker noted.
    fn activity(&self, attempt: &Attempt, found: &mut Found) -> Result<(), String> {
        let seen: Vec<_> = self.outside.handed.iter().filter(|task| at(&task.key, task.attempt, attempt)).collect();
        if seen.len() > 1 {
            return Err(format!("it was handed out {} times", seen.len()));
        }
        let seen = seen.first();
        match &attempt.outcome {
            Outcome::Succeeded(nonce) => match seen {
                Some(task) if task.nonce == *nonce && task.failure.is_none() => Ok(()),
                _ => Err(format!("it succeeded by {nonce}, which no worker said")),
            },
            Outcome::Failed { error, cause } => match seen {
                Some(task) if task.nonce == *cause && task.failure == Some(error) => Ok(()),
                _ => Err(format!("it failed by {error}: {cause}, which no worker said")),
            },
            Outcome::TimedOut => {
                found.timed_out += 1;
                match (seen, attempt.started) {
                    (Some(task), _) if task.reply == Some(Reply::Acknowledged) => {
                        Err("its answer was acknowledged, yet it timed out".to_string())
                    }
                    (Some(_), _) => Ok(()),
                    (None, None) => Err("it timed out without having been given to one of the workers".to_string()),
                    (None, Some(started)) => match self.kill_between(started, started + EXPLAINED) {
                        Some(kill) => {
                            found.latest_lost_ms = found.latest_lost_ms.max(millis(kill - started));
                            Ok(())
                        }
                        None => Err(format!("it started at {started}, no worker saw it, and no kill explains that")),
                    },
                }
            }
            Outcome::Open => Err("it has no outcome".to_string()),
        }
    }

    /// An attempt of a Lambda task against what the function noted.
    fn call(&self, attempt: &Attempt, found: &mut Found) -> Result<(), String> {
        let seen: Vec<_> = self.outside.calls.iter().filter(|call| at(&call.key, call.attempt, attempt)).collect();
        if seen.len() > 1 {
            return Err(format!("the function was called {} times", seen.len()));
        }
        let seen = seen.first();
        match &attempt.outcome {
            Outcome::Succeeded(nonce) => match seen {
                Some(call) if call.nonce == *nonce && call.failure.is_none() => Ok(()),
                _ => Err(format!("it succeeded by {nonce}, which the function did not say")),
            },
            Outcome::Failed { error, cause } if error == "Lambda.SdkClientException" => {
                found.lost_calls += 1;
                let started = attempt.started.ok_or_else(|| format!("it was never sent, yet it failed: {cause}"))?;
                let kill = self.kill_between(started, attempt.ended).ok_or_else(|| {
                    format!("it was lost without a kill between {started} and {}: {cause}", attempt.ended)
                })?;
                if let Some(answered) = seen.and_then(|call| call.answered) {
                    if kill - answered > EXPLAINED {
                        return Err(format!("it was answered {:.3} s before the kill, and is lost", kill - answered));
                    }
                    found.latest_cut_ms = found.latest_cut_ms.max(millis(kill - answered));
                }
                Ok(())
            }
            Outcome::Failed { error, cause } => match seen {
                Some(call) if call.failure == Some(error) && cause.contains(&call.nonce) => Ok(()),
                _ => Err(format!("it failed by {error}: {cause}, which the function did not say")),
            },
            Outcome::TimedOut => Err("it timed out, and the function is quick".to_string()),
            Outcome::Open => Err("it has no outcome".to_string()),
        }
    }

    /// Every answer that was acknowledged is in the history, and nothing ran that is not.
    fn acknowledged(&self, attempts: &[Attempt]) -> Vec<String> {
        let mut complaints = Vec::new();
        for task in &self.outside.handed {
            let Some(attempt) =
                attempts.iter().find(|attempt| attempt.activity && at(&task.key, task.attempt, attempt))
            else {
                complaints
                    .push(format!("{} attempt {} was handed out and is not in the history", task.key, task.attempt));
                continue;
            };
            let told = match &attempt.outcome {
                Outcome::Succeeded(nonce) => *nonce == task.nonce,
                Outcome::Failed { cause, .. } => *cause == task.nonce,
                Outcome::TimedOut | Outcome::Open => false,
            };
            if task.reply == Some(Reply::Acknowledged) && !told {
                complaints.push(format!(
                    "the answer {} of {} attempt {} was acknowledged, and the history has {:?}",
                    task.nonce, task.key, task.attempt, attempt.outcome
                ));
            }
            // The answer was refused: the task had timed out, or an earlier request with the same answer had arrived.
            let gone = attempt.outcome == Outcome::TimedOut || task.unknown && told;
            if task.reply == Some(Reply::Gone) && !gone {
                complaints.push(format!(
                    "the answer {} of {} attempt {} was refused, and the history has {:?}",
                    task.nonce, task.key, task.attempt, attempt.outcome
                ));
            }
            if task.reply.is_none() {
                complaints.push(format!("{} attempt {} was never answered for good", task.key, task.attempt));
            }
        }
        for call in &self.outside.calls {
            if !attempts.iter().any(|attempt| !attempt.activity && at(&call.key, call.attempt, attempt)) {
                complaints.push(format!("{} attempt {} was called and is not in the history", call.key, call.attempt));
            }
        }
        complaints
    }
}

fn millis(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1_000.0).round() as u64
}

fn at(key: &str, number: u64, attempt: &Attempt) -> bool {
    attempt.key == key && attempt.number == number
}

fn parsed(text: &Value) -> Value {
    serde_json::from_str(text.as_str().unwrap_or_default()).unwrap_or_default()
}

/// Ids are 1, 2, 3 … without a gap, every event follows an earlier one, time never goes back, and nothing follows the
/// end.
fn chain(events: &[Value]) -> Vec<String> {
    let mut complaints = Vec::new();
    let mut time = 0.0;
    for (place, event) in events.iter().enumerate() {
        let id = place as u64 + 1;
        if event["id"] != id {
            complaints.push(format!("event {id} has the id {}", event["id"]));
        }
        let previous = event["previousEventId"].as_u64().unwrap_or(u64::MAX);
        // Nothing but the first event and the first state follows nothing.
        if previous >= id || (previous == 0) != (id <= 2) {
            complaints.push(format!("event {id} follows event {previous}"));
        }
        let at = event["timestamp"].as_f64().unwrap_or(-1.0);
        if at < time {
            complaints.push(format!("event {id} happened at {at}, before the one in front of it at {time}"));
        }
        time = at;
        if is_last(event) != (place + 1 == events.len()) {
            complaints.push(format!("event {id} of {} is {}", events.len(), event["type"]));
        }
    }
    complaints
}

/// The attempts of all tasks: each was scheduled once, started at most once, and came to one outcome.
fn attempts(events: &[Value]) -> (Vec<Attempt>, Vec<String>) {
    let mut after: HashMap<u64, Vec<&Value>> = HashMap::new();
    for event in events {
        after.entry(event["previousEventId"].as_u64().unwrap_or(0)).or_default().push(event);
    }
    let (mut attempts, mut complaints) = (Vec::new(), Vec::new());
    for event in events {
        let Some(task) = event["type"].as_str().and_then(|kind| kind.strip_suffix("Scheduled")) else { continue };
        let following = |event: &Value| {
            let all = after.get(&event["id"].as_u64().unwrap_or(0));
            all.into_iter().flatten().copied().filter(|next| kind(next).starts_with(task)).collect::<Vec<_>>()
        };
        let mut next = following(event);
        let mut started = None;
        if let [one] = next[..]
            && kind(one) == format!("{task}Started")
        {
            started = one["timestamp"].as_f64();
            next = following(one);
        }
        let outcome = match next[..] {
            [] => Outcome::Open,
            [one] => outcome(task, one),
            _ => {
                complaints.push(format!("event {} is followed by {} events of its task", event["id"], next.len()));
                continue;
            }
        };
        let ended = next.first().and_then(|event| event["timestamp"].as_f64()).unwrap_or(0.0);
        let details = &event[details_of(&format!("{task}Scheduled"))];
        let input =
            if task == "Task" { parsed(&details["parameters"])["Payload"].take() } else { parsed(&details["input"]) };
        attempts.push(Attempt {
            activity: task == "Activity",
            key: input["key"].as_str().unwrap_or_default().to_string(),
            number: input["attempt"].as_u64().unwrap_or(u64::MAX),
            started,
            ended,
            outcome,
        });
    }
    let started = |event: &&Value| ["ActivityStarted", "LambdaFunctionStarted", "TaskStarted"].contains(&kind(event));
    if events.iter().filter(started).count() != attempts.iter().filter(|attempt| attempt.started.is_some()).count() {
        complaints.push("a task started that was not scheduled".to_string());
    }
    (attempts, complaints)
}

fn kind(event: &Value) -> &str {
    event["type"].as_str().unwrap_or_default()
}

/// `activityScheduledEventDetails`
fn details_of(kind: &str) -> String {
    let mut letters = kind.chars();
    letters
        .next()
        .map_or_else(String::new, |first| format!("{}{}EventDetails", first.to_ascii_lowercase(), letters.as_str()))
}

fn outcome(task: &str, event: &Value) -> Outcome {
    let details = &event[details_of(kind(event))];
    let text = |key: &str| details[key].as_str().unwrap_or_default().to_string();
    match kind(event).strip_prefix(task) {
        Some("Succeeded") => {
            let output = parsed(&details["output"]);
            let answer = if task == "Task" { &output["Payload"] } else { &output };
            Outcome::Succeeded(answer["nonce"].as_str().unwrap_or_default().to_string())
        }
        Some("TimedOut") => Outcome::TimedOut,
        Some("Failed") => Outcome::Failed { error: text("error"), cause: text("cause") },
        _ => Outcome::Open,
    }
}

/// Attempts of a task are numbered without a gap, and none follows a success.
fn once(attempts: &[Attempt]) -> Vec<String> {
    let mut by_key: HashMap<&str, Vec<&Attempt>> = HashMap::new();
    for attempt in attempts {
        by_key.entry(&attempt.key).or_default().push(attempt);
    }
    let mut complaints = Vec::new();
    for (key, attempts) in by_key {
        if attempts.iter().enumerate().any(|(place, attempt)| attempt.number != place as u64) {
            let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.number).collect();
            complaints.push(format!("{key} has the attempts {numbers:?}"));
        }
        let before_last = &attempts[..attempts.len() - 1];
        if before_last.iter().any(|attempt| matches!(attempt.outcome, Outcome::Succeeded(_))) {
            complaints.push(format!("{key} ran again after it was answered"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(id: u64, previous: u64, kind: &str, details: Value) -> Value {
        let mut event = json!({"id": id, "previousEventId": previous, "type": kind, "timestamp": 10.0 + id as f64});
        event[details_of(kind)] = details;
        event
    }

    /// A task that was lost once, and answered at the second attempt.
    fn sample() -> Vec<Value> {
        let input = |attempt: u64| json!({"input": json!({"key": "order-00001/work", "attempt": attempt}).to_string()});
        let output = json!({"output": json!({"nonce": "answer-1"}).to_string()});
        vec![
            task(1, 0, "ExecutionStarted", json!({})),
            task(2, 0, "TaskStateEntered", json!({})),
            task(3, 2, "ActivityScheduled", input(0)),
            task(4, 3, "ActivityStarted", json!({})),
            task(5, 4, "ActivityTimedOut", json!({"error": "States.Timeout"})),
            task(6, 5, "ActivityScheduled", input(1)),
            task(7, 6, "ActivityStarted", json!({})),
            task(8, 7, "ActivitySucceeded", output),
            task(9, 8, "ExecutionSucceeded", json!({})),
        ]
    }

    #[test]
    fn a_history_that_is_well_formed_passes() {
        let events = sample();
        assert_eq!(chain(&events), Vec::<String>::new());
        let (attempts, complaints) = attempts(&events);
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(once(&attempts), Vec::<String>::new());
        assert_eq!(attempts[0].outcome, Outcome::TimedOut);
        assert_eq!(attempts[1].outcome, Outcome::Succeeded("answer-1".to_string()));
    }

    #[test]
    fn breaches_are_complained_of() {
        let complains = |change: fn(&mut Vec<Value>), part: &str| {
            let mut events = sample();
            change(&mut events);
            let (attempts, mut complaints) = attempts(&events);
            complaints.extend(chain(&events));
            complaints.extend(once(&attempts));
            assert!(complaints.iter().any(|complaint| complaint.contains(part)), "{part}: {complaints:?}");
        };
        complains(|events| drop(events.remove(4)), "event 5 has the id 6");
        complains(|events| events[4]["previousEventId"] = json!(7), "event 5 follows event 7");
        complains(|events| events[4]["previousEventId"] = json!(0), "event 5 follows event 0");
        complains(|events| events[4]["timestamp"] = json!(1.0), "event 5 happened at 1, before");
        complains(|events| drop(events.pop()), "event 8 of 8 is");
        complains(|events| events[7]["previousEventId"] = json!(4), "followed by 2 events of its task");
        complains(|events| events[6]["previousEventId"] = json!(2), "started that was not scheduled");
        let again = |events: &mut Vec<Value>| {
            events[4] = task(5, 4, "ActivitySucceeded", json!({"output": "{\"nonce\": \"answer-0\"}"}));
        };
        complains(again, "ran again after it was answered");
        complains(|events| drop(events.drain(2..5)), "has the attempts [1]");
    }
}
