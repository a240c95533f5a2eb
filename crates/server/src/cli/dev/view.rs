//! What happens, a line each: for people as indented text, for programs as JSON.
//!
//! Works on the API's events. What it remembers is bounded: so many executions, and so many events of each.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    rc::Rc,
    sync::Arc,
};

use serde_json::{Value, json};
use stepwright_functions::{LogLine, Stream};

use super::report::Note;
use crate::sinks::Seen;

/// Executions that are remembered.
const MOST_EXECUTIONS: usize = 1_000;
/// Events of an execution that are remembered.
const MOST_EVENTS: usize = 4_096;
/// Longest input, output or cause that a line shows, in characters.
const MAX_SHOWN: usize = 100;
/// Longest line of a function that is shown, in characters; all of it is in the function's log.
const MAX_LOGGED: usize = 2_000;
/// Items of a Map whose states are shown; of more items there is a sum.
const FEW_ITEMS: u64 = 3;
/// Deepest indentation.
const MAX_INDENT: usize = 12;

/// Something to show.
#[derive(Debug)]
pub(super) enum Shown {
    Seen(Seen),
    Log(LogLine),
    Note(Note),
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    Plain,
    Good,
    Bad,
    Warn,
    Faint,
}

/// Makes lines.
pub(super) struct View {
    json: bool,
    colours: bool,
    executions: BTreeMap<Arc<str>, Execution>,
    /// Executions by their age, the oldest first.
    ages: VecDeque<Arc<str>>,
}

/// Where an event stands: in an execution, a branch or an item.
#[derive(Debug, Default)]
struct Scope {
    depth: usize,
    parent: Option<Rc<Scope>>,
    /// Whether it is a whole Parallel or Map, and not one of its items.
    is_whole: bool,
    /// The state that it is in.
    state: Rc<str>,
    /// Which item of a Map it is.
    item: Option<u64>,
    /// Whether only what goes wrong is shown.
    is_quiet: bool,
    /// What became of the items of a Map.
    items: RefCell<Items>,
}

#[derive(Debug, Default)]
struct Items {
    all: u64,
    done: u64,
    failed: u64,
}

/// What is remembered of an event.
#[derive(Clone, Debug, Default)]
struct Remembered {
    scope: Rc<Scope>,
    state: Rc<str>,
    attempt: u32,
    /// The error and the time, if it is a failure.
    failed: Option<(Rc<str>, f64)>,
}

#[derive(Debug)]
struct Execution {
    label: String,
    started: Option<f64>,
    events: BTreeMap<u64, Remembered>,
}

impl View {
    pub(super) fn new(json: bool, colours: bool) -> Self {
        Self { json, colours, executions: BTreeMap::new(), ages: VecDeque::new() }
    }

    /// The lines of something.
    pub(super) fn text(&mut self, shown: Shown) -> String {
        match shown {
            Shown::Note(note) if self.json => format!("{}\n", note.json()),
            Shown::Note(Note::Said { name, text }) => {
                let text = format!("{:>9}  {name}  | {}\n", "", logged(&text));
                self.toned(&text, Tone::Faint)
            }
            Shown::Note(note) => match note.is_bad() {
                Some(true) => self.toned(&note.text(), Tone::Bad),
                Some(false) => self.toned(&note.text(), Tone::Good),
                None => note.text(),
            },
            Shown::Log(line) if self.json => format!(
                "{}\n",
                json!({
                    "type": "log",
                    "function": &*line.function,
                    "at": line.at,
                    "stream": line.stream.as_str(),
                    "requestId": line.request_id.as_deref(),
                    "text": line.text,
                })
            ),
            Shown::Log(line) if is_routine(&line) => String::new(),
            Shown::Log(line) => {
                let text = format!("{:>9}  {}  | {}\n", "", line.function, logged(&line.text));
                self.toned(&text, Tone::Faint)
            }
            Shown::Seen(seen) if self.json => {
                let line = |event: Value| {
                    let line = json!({
                        "type": "event",
                        "stateMachine": &*seen.machine,
                        "executionArn": &*seen.execution_arn,
                        "event": event,
                    });
                    format!("{line}\n")
                };
                seen.events.into_iter().map(line).collect()
            }
            Shown::Seen(seen) => self.seen(&seen),
        }
    }

    fn seen(&mut self, seen: &Seen) -> String {
        if !self.executions.contains_key(&seen.execution_arn) {
            self.executions.insert(Arc::clone(&seen.execution_arn), Execution::new(seen));
            self.ages.push_back(Arc::clone(&seen.execution_arn));
            while self.ages.len() > MOST_EXECUTIONS {
                if let Some(oldest) = self.ages.pop_front() {
                    self.executions.remove(&oldest);
                }
            }
        }
        let Some(execution) = self.executions.get_mut(&seen.execution_arn) else { return String::new() };
        let mut out = String::new();
        for event in &seen.events {
            let Some((depth, what, tone)) = execution.line(event) else { continue };
            let offset = execution.offset(event);
            let indent = "  ".repeat(depth.min(MAX_INDENT));
            let line = format!("{offset:>8.3}s  {}  {indent}{what}", execution.label);
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{}", toned(&line, tone, self.colours));
        }
        out
    }

    fn toned(&self, text: &str, tone: Tone) -> String {
        match text.strip_suffix('\n') {
            Some(line) => format!("{}\n", toned(line, tone, self.colours)),
            None => toned(text, tone, self.colours),
        }
    }
}

fn toned(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        _ if !colours => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Warn => 33,
        Tone::Faint => 2,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

impl Execution {
    fn new(seen: &Seen) -> Self {
        let name: String = seen.execution_arn.rsplit(':').next().unwrap_or_default().chars().take(12).collect();
        Self { label: format!("{}:{}", seen.machine, tame(&name, 12)), started: None, events: BTreeMap::new() }
    }

    fn offset(&mut self, event: &Value) -> f64 {
        let at = event["timestamp"].as_f64().unwrap_or_default();
        at - *self.started.get_or_insert(at)
    }

    /// How deep an event is, what it says, and how it is meant; none: it is not worth a line.
    fn line(&mut self, event: &Value) -> Option<(usize, String, Tone)> {
        let kind = event["type"].as_str()?;
        let empty = Value::Null;
        let details = event.as_object()?.iter().find(|(name, _)| name.ends_with("EventDetails"));
        let details = details.map_or(&empty, |(_, details)| details);
        let before = event["previousEventId"].as_u64().unwrap_or_default();
        let before = self.events.get(&before).cloned().unwrap_or_default();
        let after = self.after(kind, details, event, &before);
        let line = self.what(kind, details, event, &before, &after);
        if let Some(id) = event["id"].as_u64() {
            self.events.insert(id, after.clone());
        }
        while self.events.len() > MOST_EVENTS {
            self.events.pop_first();
        }
        let (what, tone) = line?;
        let is_news = matches!(tone, Tone::Bad | Tone::Warn);
        // A Map of many items tells of those that go wrong.
        (!after.scope.is_quiet || is_news || kind.starts_with("Execution")).then_some((
            shown_depth(kind, &before, &after),
            what,
            tone,
        ))
    }

    /// What is remembered of an event, with what was before it.
    #[expect(clippy::unused_self, reason = "a step of line()")]
    fn after(&self, kind: &str, details: &Value, event: &Value, before: &Remembered) -> Remembered {
        let inherited = || Remembered { failed: None, ..before.clone() };
        let child = |is_whole: bool, is_quiet: bool, all: u64| {
            Rc::new(Scope {
                depth: before.scope.depth + usize::from(is_whole),
                parent: Some(Rc::clone(&before.scope)),
                is_whole,
                state: Rc::clone(&before.state),
                item: details["index"].as_u64().filter(|_| !is_whole),
                is_quiet: before.scope.is_quiet || is_quiet,
                items: RefCell::new(Items { all, ..Items::default() }),
            })
        };
        // The event of a failed evaluation calls its state so.
        let named = details["name"].as_str().or_else(|| details["state"].as_str());
        match kind {
            "ParallelStateStarted" => Remembered { scope: child(true, false, 0), ..inherited() },
            "MapStateStarted" => {
                let all = details["length"].as_u64().unwrap_or_default();
                Remembered { scope: child(true, all > FEW_ITEMS, all), ..inherited() }
            }
            "MapIterationStarted" => {
                let name = details["name"].as_str().unwrap_or_default();
                Remembered { scope: child(false, false, 0), state: name.into(), ..inherited() }
            }
            "MapIterationSucceeded" | "MapIterationFailed" | "MapIterationAborted" => {
                let whole = whole(&before.scope);
                let mut items = whole.items.borrow_mut();
                items.done += u64::from(kind != "MapIterationAborted");
                items.failed += u64::from(kind == "MapIterationFailed");
                drop(items);
                let name = details["name"].as_str().unwrap_or_default();
                Remembered { scope: whole, state: name.into(), ..inherited() }
            }
            "ParallelStateSucceeded" | "MapStateSucceeded" => {
                let whole = whole(&before.scope);
                let (scope, state) = (whole.parent.clone().unwrap_or_default(), Rc::clone(&whole.state));
                Remembered { scope, state, ..inherited() }
            }
            "ParallelStateFailed" | "MapStateFailed" | "ParallelStateAborted" | "MapStateAborted" => {
                let whole = whole(&before.scope);
                let at = event["timestamp"].as_f64().unwrap_or_default();
                // A Fail state has no event of its failure.
                let failed = before.failed.clone().unwrap_or_else(|| ("a failure within".into(), at));
                let (scope, state) = (whole.parent.clone().unwrap_or_default(), Rc::clone(&whole.state));
                Remembered { scope, state, failed: Some(failed), ..inherited() }
            }
            _ if kind.ends_with("StateEntered") => {
                Remembered { state: named.unwrap_or_default().into(), attempt: 1, ..inherited() }
            }
            _ if kind.ends_with("StateExited") => {
                let state = named.unwrap_or_default();
                // Whatever is before it, a Parallel or Map is left to where it was entered.
                let scope = outside(&before.scope, state).unwrap_or_else(|| Rc::clone(&before.scope));
                Remembered { scope, state: state.into(), ..inherited() }
            }
            _ if is_failure(kind) => {
                let at = event["timestamp"].as_f64().unwrap_or_default();
                let error = details["error"].as_str().unwrap_or("an error without a name");
                let state = named.map_or_else(|| Rc::clone(&before.state), Rc::from);
                Remembered { failed: Some((error.into(), at)), state, ..inherited() }
            }
            _ if is_attempt(kind) && before.failed.is_some() => {
                Remembered { attempt: before.attempt.max(1) + 1, ..inherited() }
            }
            _ => inherited(),
        }
    }

    fn what(
        &mut self,
        kind: &str,
        details: &Value,
        event: &Value,
        before: &Remembered,
        after: &Remembered,
    ) -> Option<(String, Tone)> {
        let data = |member: &str| details[member].as_str().map(|text| tame(text, MAX_SHOWN)).unwrap_or_default();
        let mut state = tame(&after.state, MAX_SHOWN);
        if let Some(item) = item(&after.scope) {
            state = format!("[{item}] {state}");
        }
        let lasted = self.offset(event);
        Some(match kind {
            "ExecutionStarted" => (format!("started with {}", data("input")), Tone::Plain),
            "ExecutionRedriven" => ("redriven".to_owned(), Tone::Plain),
            "ExecutionSucceeded" => (format!("SUCCEEDED in {lasted:.3} s with {}", data("output")), Tone::Good),
            "ExecutionFailed" => (format!("FAILED after {lasted:.3} s{}", failure(details)), Tone::Bad),
            "ExecutionTimedOut" => (format!("TIMED_OUT after {lasted:.3} s{}", failure(details)), Tone::Bad),
            "ExecutionAborted" => (format!("ABORTED after {lasted:.3} s{}", failure(details)), Tone::Bad),
            "MapStateSucceeded" | "MapStateFailed" => {
                let items = whole(&before.scope);
                let items = items.items.borrow();
                if items.all <= FEW_ITEMS {
                    return None;
                }
                let failed = if items.failed > 0 { format!(", {} failed", items.failed) } else { String::new() };
                (format!("{state}: {} of {} items done{failed}", items.done, items.all), Tone::Faint)
            }
            _ if is_attempt(kind) => {
                let Some((error, at)) = &before.failed else { return None };
                let pause = event["timestamp"].as_f64().unwrap_or_default() - at;
                (format!("{state}: attempt {}, {pause:.1} s after {}", after.attempt, tame(error, 80)), Tone::Warn)
            }
            _ if kind.ends_with("StateEntered") => {
                let kind = kind.trim_end_matches("StateEntered");
                (format!("> {state} ({kind})"), Tone::Faint)
            }
            _ if kind.ends_with("StateExited") => {
                let Some((error, _)) = &before.failed else { return None };
                (format!("{state}: caught {}", tame(error, 80)), Tone::Warn)
            }
            "ParallelStateFailed" | "MapIterationFailed" | "MapIterationAborted" => return None,
            _ if is_failure(kind) => {
                let how = if kind.ends_with("TimedOut") { "timed out" } else { "failed" };
                (format!("{state} {how}{}", failure(details)), Tone::Bad)
            }
            _ => return None,
        })
    }
}

/// Whether a line only says that an invocation began or ended.
fn is_routine(line: &LogLine) -> bool {
    line.stream == Stream::Platform
        && ["START RequestId: ", "END RequestId: ", "REPORT RequestId: "]
            .iter()
            .any(|begin| line.text.starts_with(begin))
}

/// The Parallel or Map that a scope is in, or is.
fn whole(scope: &Rc<Scope>) -> Rc<Scope> {
    let mut scope = Rc::clone(scope);
    while !scope.is_whole {
        let Some(parent) = scope.parent.clone() else { return scope };
        scope = parent;
    }
    scope
}

/// Where a Parallel or Map of this name around a scope was entered.
fn outside(scope: &Rc<Scope>, state: &str) -> Option<Rc<Scope>> {
    let mut scope = Some(scope);
    while let Some(this) = scope {
        if this.is_whole && *this.state == *state {
            return this.parent.clone();
        }
        scope = this.parent.as_ref();
    }
    None
}

/// The item that a scope is in, of the innermost Map around it.
fn item(scope: &Rc<Scope>) -> Option<u64> {
    let mut scope = Some(scope);
    while let Some(this) = scope {
        if this.item.is_some() {
            return this.item;
        }
        scope = this.parent.as_ref();
    }
    None
}

/// A Parallel or Map tells of itself where it stands, not where its branches do.
fn shown_depth(kind: &str, before: &Remembered, after: &Remembered) -> usize {
    match kind {
        "ExecutionSucceeded" | "ExecutionFailed" | "ExecutionTimedOut" | "ExecutionAborted" => 0,
        _ if is_attempt(kind) => before.scope.depth,
        _ => after.scope.depth,
    }
}

/// Whether an event begins an attempt.
fn is_attempt(kind: &str) -> bool {
    kind.ends_with("Scheduled") || matches!(kind, "ParallelStateStarted" | "MapStateStarted" | "MapRunStarted")
}

/// Whether an event is a failure that may be tried again or caught.
fn is_failure(kind: &str) -> bool {
    !kind.starts_with("Execution") && ["Failed", "TimedOut"].iter().any(|ending| kind.ends_with(ending))
}

fn failure(details: &Value) -> String {
    let error = details["error"].as_str().map(|text| tame(text, 80));
    let cause = details["cause"].as_str().map(|text| {
        // A function's cause is an object with its message in it.
        let object: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        tame(object["errorMessage"].as_str().unwrap_or(text), MAX_SHOWN)
    });
    match (error, cause) {
        (None, None) => String::new(),
        (Some(error), None) => format!(": {error}"),
        (None, Some(cause)) => format!(": {cause}"),
        (Some(error), Some(cause)) => format!(": {error}: {cause}"),
    }
}

/// A line of a function's log, whose blanks mean something.
fn logged(text: &str) -> String {
    text.chars().take(MAX_LOGGED).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// At most so many characters, on one line, without control characters: what a workflow carries shall not write on the
/// terminal as it likes. Several blanks are one.
fn tame(text: &str, most: usize) -> String {
    let mut tame = String::new();
    let mut left = most;
    for character in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if character == ' ' && tame.ends_with(' ') {
            continue;
        }
        if left == 0 {
            tame.push('…');
            break;
        }
        left -= 1;
        tame.push(character);
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "tests write their events down")]
    fn event(id: u64, previous: u64, at: f64, kind: &str, details: Value) -> Value {
        json!({"id": id, "previousEventId": previous, "timestamp": 100.0 + at, "type": kind, "xEventDetails": details})
    }

    #[track_caller]
    fn check(events: Vec<Value>, expect: &[&str]) {
        let mut view = View::new(false, false);
        let seen = Seen {
            execution_arn: "arn:aws:states:us-east-1:000000000000:execution:order:7".into(),
            machine: "order".into(),
            events,
        };
        let text = view.text(Shown::Seen(seen));
        assert_eq!(text.lines().collect::<Vec<_>>(), expect);
    }

    #[test]
    fn retries_and_catches_are_told_with_their_reasons() {
        let none = || json!({});
        check(
            vec![
                event(1, 0, 0.0, "ExecutionStarted", json!({"input": "{}"})),
                event(2, 0, 0.0, "TaskStateEntered", json!({"name": "Pay"})),
                event(3, 2, 0.0, "TaskScheduled", none()),
                event(4, 3, 0.0, "TaskStarted", none()),
                event(5, 4, 0.25, "TaskFailed", json!({"error": "Boom", "cause": "two\nlines"})),
                event(6, 5, 1.25, "TaskScheduled", none()),
                event(7, 6, 1.25, "TaskStarted", none()),
                event(8, 7, 1.5, "TaskTimedOut", json!({"error": "States.Timeout"})),
                event(9, 8, 1.5, "TaskStateExited", json!({"name": "Pay"})),
                event(10, 9, 1.5, "FailStateEntered", json!({"name": "No"})),
                event(11, 10, 1.5, "ExecutionFailed", json!({"error": "Boom"})),
            ],
            &[
                "   0.000s  order:7  started with {}",
                "   0.000s  order:7  > Pay (Task)",
                "   0.250s  order:7  Pay failed: Boom: two lines",
                "   1.250s  order:7  Pay: attempt 2, 1.0 s after Boom",
                "   1.500s  order:7  Pay timed out: States.Timeout",
                "   1.500s  order:7  Pay: caught States.Timeout",
                "   1.500s  order:7  > No (Fail)",
                "   1.500s  order:7  FAILED after 1.500 s: Boom",
            ],
        );
    }

    #[test]
    fn branches_are_indented_and_long_maps_are_summed_up() {
        let mut events = vec![
            event(1, 0, 0.0, "ExecutionStarted", json!({"input": "{}"})),
            event(2, 0, 0.0, "ParallelStateEntered", json!({"name": "Both"})),
            event(3, 2, 0.0, "ParallelStateStarted", json!({})),
            event(4, 3, 0.0, "PassStateEntered", json!({"name": "A"})),
            event(5, 4, 0.0, "PassStateExited", json!({"name": "A"})),
            event(6, 3, 0.0, "MapStateEntered", json!({"name": "Each"})),
            event(7, 6, 0.0, "MapStateStarted", json!({"length": 4})),
        ];
        for index in 0..4_u64 {
            let id = 8 + index * 3;
            events.push(event(id, 7, 0.0, "MapIterationStarted", json!({"name": "Each", "index": index})));
            events.push(event(id + 1, id, 0.0, "PassStateEntered", json!({"name": "Item"})));
            events.push(event(id + 2, id + 1, 0.0, "MapIterationSucceeded", json!({"name": "Each", "index": index})));
        }
        events.push(event(20, 19, 0.5, "MapStateSucceeded", json!({})));
        events.push(event(21, 20, 0.5, "MapStateExited", json!({"name": "Each"})));
        events.push(event(22, 21, 0.5, "ParallelStateSucceeded", json!({})));
        events.push(event(23, 20, 0.5, "ParallelStateExited", json!({"name": "Both"})));
        events.push(event(24, 23, 0.5, "PassStateEntered", json!({"name": "Last"})));
        events.push(event(25, 24, 0.5, "ExecutionSucceeded", json!({"output": "1"})));
        check(
            events,
            &[
                "   0.000s  order:7  started with {}",
                "   0.000s  order:7  > Both (Parallel)",
                "   0.000s  order:7    > A (Pass)",
                "   0.000s  order:7    > Each (Map)",
                "   0.500s  order:7    Each: 4 of 4 items done",
                "   0.500s  order:7  > Last (Pass)",
                "   0.500s  order:7  SUCCEEDED in 0.500 s with 1",
            ],
        );
    }

    #[test]
    fn a_map_that_fails_is_summed_up_and_caught() {
        check(
            vec![
                event(1, 0, 0.0, "MapStateEntered", json!({"name": "Each"})),
                event(2, 1, 0.0, "MapStateStarted", json!({"length": 9})),
                event(3, 2, 0.0, "MapIterationStarted", json!({"name": "Each", "index": 0})),
                event(4, 2, 0.0, "MapIterationStarted", json!({"name": "Each", "index": 1})),
                event(5, 3, 0.0, "FailStateEntered", json!({"name": "No"})),
                event(6, 5, 0.0, "MapIterationFailed", json!({"name": "Each", "index": 0})),
                event(7, 4, 0.0, "MapIterationAborted", json!({"name": "Each", "index": 1})),
                event(8, 7, 0.0, "MapStateFailed", json!({})),
                event(9, 8, 0.0, "MapStateExited", json!({"name": "Each"})),
            ],
            &[
                "   0.000s  order:7  > Each (Map)",
                "   0.000s  order:7  Each: 1 of 9 items done, 1 failed",
                "   0.000s  order:7  Each: caught a failure within",
            ],
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut view = View::new(false, true);
        for number in 0..2 * MOST_EXECUTIONS {
            let events = vec![event(1, 0, 0.0, "ExecutionStarted", json!({"input": "\u{1b}[2J"}))];
            let seen = Seen { execution_arn: format!("a:{number}").into(), machine: "m".into(), events };
            assert!(!view.text(Shown::Seen(seen)).contains("\u{1b}[2J"));
        }
        assert_eq!(view.executions.len(), MOST_EXECUTIONS);
        let events = (1..3 * MOST_EVENTS as u64).map(|id| event(id, id - 1, 0.0, "PassStateExited", json!({})));
        let seen = Seen { execution_arn: "b".into(), machine: "m".into(), events: events.collect() };
        let _lines = view.text(Shown::Seen(seen));
        assert_eq!(view.executions["b"].events.len(), MOST_EVENTS);
    }
}
