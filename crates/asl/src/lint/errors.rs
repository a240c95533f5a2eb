//! `Retry` and `Catch`: what is already another's, what never matches, what grows too long.

use std::sync::Arc;

use super::{Linter, Rule, listed};
use crate::definition::{Catcher, MapMode, QueryLanguage, Retrier, State, StateKind};
use crate::nearest;
use crate::resource::Resource;

/// Errors that end the execution whatever is caught.
const FATAL: [&str; 3] = ["States.Runtime", "States.NoChoiceMatched", "States.ParameterPathFailure"];

/// Errors of the language that `States.TaskFailed` does not stand for.
const NOT_TASK_FAILED: [&str; 10] = [
    "States.Timeout",
    "States.HeartbeatTimeout",
    "States.ResultPathMatchFailure",
    "States.IntrinsicFailure",
    "States.BranchFailed",
    "States.ExceedToleratedFailureThreshold",
    "States.ItemReaderFailed",
    "States.ResultWriterFailed",
    "States.QueryEvaluationError",
    "States.DataLimitExceeded",
];

/// The other errors of the language.
const OTHERS: [&str; 4] = ["States.ALL", "States.TaskFailed", "States.Permissions", "States.Http.Socket"];

/// A delay beyond which a retry is probably not meant, in seconds.
const LONG_DELAY: f64 = 86_400.0;

/// The retriers of a state.
pub(super) fn retriers(kind: &StateKind) -> &[Retrier] {
    match kind {
        StateKind::Task(task) => &task.retry,
        StateKind::Parallel(parallel) => &parallel.retry,
        StateKind::Map(map) => &map.retry,
        _ => &[],
    }
}

/// The catchers of a state.
pub(super) fn catchers(kind: &StateKind) -> &[Catcher] {
    match kind {
        StateKind::Task(task) => &task.catch,
        StateKind::Parallel(parallel) => &parallel.catch,
        StateKind::Map(map) => &map.catch,
        _ => &[],
    }
}

impl Linter<'_> {
    pub(super) fn errors(&mut self, state: &State) {
        let names = |lists: Vec<&[Arc<str>]>| -> Vec<Vec<String>> {
            lists.into_iter().map(|list| list.iter().map(ToString::to_string).collect()).collect()
        };
        let retry = names(retriers(&state.kind).iter().map(|retrier| &*retrier.error_equals).collect());
        self.handlers(state, "Retry", Rule::RetryNeverUsed, &retry);
        let catch = names(catchers(&state.kind).iter().map(|catcher| &*catcher.error_equals).collect());
        for index in self.handlers(state, "Catch", Rule::CatchNeverUsed, &catch) {
            self.never.catchers.insert((state.id, index));
        }
        for (index, retrier) in retriers(&state.kind).iter().enumerate() {
            self.delay(state, index, retrier);
        }
    }

    /// Judges the names of a field. Gives the entries that are never used.
    fn handlers(&mut self, state: &State, field: &str, never_used: Rule, entries: &[Vec<String>]) -> Vec<usize> {
        let mut unused = Vec::new();
        let mut earlier: Vec<(usize, &str)> = Vec::new();
        for (index, names) in entries.iter().enumerate() {
            let mut dead = 0;
            let mut covered = Vec::new();
            for (position, name) in names.iter().enumerate() {
                let at = format!("{field}[{index}]/ErrorEquals[{position}]");
                if let Some(&(by, cover)) = earlier.iter().find(|(_, cover)| covers(cover, name, &state.kind)) {
                    dead += 1;
                    covered.push((at, name.as_str(), by, cover));
                } else if FATAL.contains(&name.as_str()) {
                    dead += 1;
                    let message = format!(
                        "{name} is never matched: failures of this kind end the execution, or have the error States.Runtime, which does."
                    );
                    self.find(
                        Rule::ErrorNeverCaught,
                        state,
                        &at,
                        message,
                        "Remove it, and prevent the failure itself.",
                    );
                } else if let Some(why) = never_raised(name, state) {
                    dead += 1;
                    let message = format!("This state never fails with {name}: {why}.");
                    self.find(Rule::ErrorNeverRaised, state, &at, message, "Remove it.");
                } else if name.starts_with("States.") && !is_known(name) {
                    dead += 1;
                    let message =
                        format!("{name} is no error of the language; other errors cannot begin with 'States.'.");
                    let known = FATAL.iter().chain(&NOT_TASK_FAILED).chain(&OTHERS).copied();
                    let suggestion = match nearest(name, known) {
                        Some(near) => format!("Did you mean {near:?}? Correct the name."),
                        None => "Correct the name.".to_owned(),
                    };
                    self.find(Rule::UnknownErrorName, state, &at, message, suggestion);
                }
                earlier.push((index, name));
            }
            if dead < names.len() {
                for (at, name, by, cover) in covered {
                    let message = format!("{name} is already handled: {cover} in {field}[{by}] covers it.");
                    self.find(Rule::ErrorAlreadyHandled, state, &at, message, "Remove one of them.");
                }
                continue;
            }
            unused.push(index);
            let message = match covered.first() {
                Some((_, _, by, cover)) => format!("It is never used: {cover} in {field}[{by}] comes first."),
                None => format!("It is never used: nothing raises {}.", listed(names.iter().map(String::as_str))),
            };
            self.find(
                never_used,
                state,
                &format!("{field}[{index}]"),
                message,
                "Move it before the others, or remove it.",
            );
        }
        unused
    }

    fn delay(&mut self, state: &State, index: usize, retrier: &Retrier) {
        if retrier.max_delay_seconds.is_some() || retrier.max_attempts < 2 || retrier.interval_seconds == 0 {
            return;
        }
        let exponent = retrier.max_attempts.saturating_sub(1).min(100_000_000) as f64;
        let last = retrier.interval_seconds as f64 * retrier.backoff_rate.powf(exponent);
        if last > LONG_DELAY && retrier.backoff_rate > 1.0 {
            let days = last / LONG_DELAY;
            let shown = if days < 10_000.0 { format!("{days:.1} days") } else { "a lifetime".to_owned() };
            let message =
                format!("The last of its {} retries would come after a wait of {shown}.", retrier.max_attempts);
            self.find(
                Rule::RetryDelayGrows,
                state,
                &format!("Retry[{index}]"),
                message,
                "Set MaxDelaySeconds, or lower MaxAttempts or BackoffRate.",
            );
        }
    }
}

/// Whether an error name stands for everything that another does, in a state of this kind.
fn covers(cover: &str, name: &str, kind: &StateKind) -> bool {
    match cover {
        _ if cover == name => true,
        "States.ALL" => !FATAL.contains(&name),
        "States.TaskFailed" => {
            // In a Parallel or Map state an error may come from a Fail state inside.
            matches!(kind, StateKind::Task(_))
                && !NOT_TASK_FAILED.contains(&name)
                && !FATAL.contains(&name)
                && name != "States.ALL"
        }
        _ => false,
    }
}

fn is_known(name: &str) -> bool {
    FATAL.contains(&name)
        || NOT_TASK_FAILED.contains(&name)
        || OTHERS.contains(&name)
        || name.starts_with("States.Http.StatusCode.")
}

/// Why a state cannot fail with an error of the language.
fn never_raised(name: &str, state: &State) -> Option<&'static str> {
    match (name, &state.kind) {
        ("States.HeartbeatTimeout", StateKind::Task(task)) if task.heartbeat_seconds.is_none() => {
            Some("it has no HeartbeatSeconds")
        }
        ("States.Timeout", StateKind::Task(task))
            if task.timeout_seconds.is_none() && task.heartbeat_seconds.is_none() =>
        {
            Some("it has neither TimeoutSeconds nor HeartbeatSeconds")
        }
        ("States.BranchFailed", StateKind::Task(_) | StateKind::Map(_)) => Some("it has no branches"),
        (
            "States.ExceedToleratedFailureThreshold" | "States.ItemReaderFailed" | "States.ResultWriterFailed",
            StateKind::Task(_),
        ) => Some("it is no Map"),
        ("States.ItemReaderFailed" | "States.ResultWriterFailed", StateKind::Map(map))
            if map.mode == MapMode::Inline =>
        {
            Some("an inline Map reads and writes nothing")
        }
        ("States.QueryEvaluationError", StateKind::Task(_)) if state.query_language == QueryLanguage::JsonPath => {
            Some("it has no JSONata")
        }
        ("States.IntrinsicFailure" | "States.ResultPathMatchFailure", StateKind::Task(_))
            if state.query_language == QueryLanguage::Jsonata =>
        {
            Some("it has no JSONPath")
        }
        (_, StateKind::Task(task)) if name.starts_with("States.Http.") => match &task.resource {
            Resource::Integration(integration) if &*integration.resource_type == "http" => None,
            _ => Some("it calls no HTTP endpoint"),
        },
        _ => None,
    }
}
