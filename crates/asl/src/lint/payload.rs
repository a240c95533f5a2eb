//! Data that gets lost, is carried along for nothing, or grows beyond what a state may hold.

use std::collections::BTreeSet;

use super::flow::transition;
use super::{Linter, Rule, listed};
use crate::definition::{
    Map, MapMode, NumberField, Parallel, QueryLanguage, ResultPath, State, StateId, StateKind, Transition,
};
use crate::json::{Node, NodeValue};
use crate::resource::{Pattern, Resource};

/// Inline, the service runs at most this many iterations at once.
const INLINE_CONCURRENCY: u64 = 40;

/// Actions whose results are as large as what is stored there.
const ANY_SIZE: [(&str, &str); 8] = [
    ("aws-sdk:s3", "getObject"),
    ("aws-sdk:s3", "listObjectsV2"),
    ("aws-sdk:dynamodb", "scan"),
    ("aws-sdk:dynamodb", "query"),
    ("aws-sdk:cloudwatchlogs", "getLogEvents"),
    ("aws-sdk:athena", "getQueryResults"),
    ("athena", "getQueryResults"),
    ("aws-sdk:sfn", "getExecutionHistory"),
];

/// Texts that stand for a whole input.
const WHOLE: [&str; 4] = ["$", "$$.Execution.Input", "{% $states.input %}", "{% $states.context.Execution.Input %}"];

impl Linter<'_> {
    pub(super) fn payload(&mut self, state: &State) {
        self.lost_input(state);
        self.lost_by_catch(state);
        match &state.kind {
            StateKind::Task(task) => self.result(state, &task.resource),
            StateKind::Map(map) => self.map(state, map),
            StateKind::Parallel(parallel) => self.parallel(state, parallel),
            _ => {}
        }
    }

    /// Whether anything says what becomes of the result.
    fn shapes_result(&self, state: &State) -> bool {
        let fields: &[&str] = match state.query_language {
            QueryLanguage::JsonPath => &["ResultSelector", "OutputPath"],
            QueryLanguage::Jsonata => &["Output"],
        };
        fields.iter().any(|field| self.node(state).get(field).is_some())
    }

    fn lost_input(&mut self, state: &State) {
        let node = self.node(state);
        let replaces = matches!(state.kind, StateKind::Task(_) | StateKind::Parallel(_) | StateKind::Map(_))
            && state.query_language == QueryLanguage::JsonPath
            && ["ResultPath", "InputPath"].iter().all(|field| node.get(field).is_none())
            && !self.shapes_result(state);
        let Some(Transition::Next(next)) = transition(&state.kind).filter(|_| replaces) else { return };
        let before = fields_read(node);
        let (mut after, mut readers) = (BTreeSet::new(), Vec::new());
        let mut seen = BTreeSet::new();
        let mut open = vec![next];
        while let Some(id) = open.pop() {
            if !seen.insert(id) {
                continue;
            }
            let reader = self.definition.state(id);
            let fields: BTreeSet<String> = fields_read(self.node(reader)).intersection(&before).cloned().collect();
            if !fields.is_empty() && reader.query_language == QueryLanguage::JsonPath {
                readers.push(reader.name.to_string());
                after.extend(fields);
            }
            // These pass on what they were given.
            if matches!(reader.kind, StateKind::Choice(_) | StateKind::Wait(_)) {
                open.extend(self.targets(id));
            }
        }
        if !after.is_empty() {
            let message = format!(
                "The result replaces the input, but {} reads {} again, which this state reads of its input.",
                listed(readers.iter().map(String::as_str)),
                listed(after.iter().map(String::as_str)),
            );
            self.find(
                Rule::ResultReplacesInput,
                state,
                "",
                message,
                "Put the result beside the input: \"ResultPath\": \"$.result\".",
            );
        }
    }

    fn lost_by_catch(&mut self, state: &State) {
        if state.query_language == QueryLanguage::Jsonata {
            return;
        }
        let catchers = super::errors::catchers(&state.kind);
        let replacing: Vec<(usize, StateId)> = catchers
            .iter()
            .enumerate()
            .filter(|(_, catcher)| matches!(catcher.result_path, ResultPath::Replace))
            .map(|(index, catcher)| (index, catcher.next))
            .collect();
        for (index, next) in replacing {
            let handler = self.definition.state(next);
            let node = self.node(handler);
            if handler.query_language == QueryLanguage::Jsonata || matches!(handler.kind, StateKind::Choice(_)) {
                continue;
            }
            let lost: Vec<String> =
                fields_read(node).into_iter().filter(|field| !["Error", "Cause"].contains(&field.as_str())).collect();
            // A path of the result may lead to what a state before has put there under the same name.
            if !lost.is_empty() && node.get("InputPath").is_none() {
                let message = format!(
                    "The error replaces the input, but '{}' reads {} of it.",
                    handler.name,
                    listed(lost.iter().map(String::as_str))
                );
                let at = format!("Catch[{index}]");
                self.find(
                    Rule::CatchReplacesInput,
                    state,
                    &at,
                    message,
                    "Put the error beside the input: \"ResultPath\": \"$.error\".",
                );
            }
        }
    }

    fn result(&mut self, state: &State, resource: &Resource) {
        let discarded = matches!(state.data.result_path, ResultPath::Discard);
        let Resource::Integration(integration) = resource else { return };
        if discarded || self.shapes_result(state) || integration.pattern != Pattern::RequestResponse {
            return;
        }
        let called = (&*integration.resource_type, &*integration.action);
        if called == ("lambda", "invoke") && transition(&state.kind) != Some(Transition::End) {
            self.find(
                Rule::ResultWithMetadata,
                state,
                "",
                "The result is not only what the function returns, its Payload, but also the metadata of the call.",
                match state.query_language {
                    QueryLanguage::JsonPath => "Select it: \"OutputPath\": \"$.Payload\", or a ResultSelector.",
                    QueryLanguage::Jsonata => "Select it: \"Output\": \"{% $states.result.Payload %}\".",
                },
            );
        }
        if ANY_SIZE.contains(&called) {
            let message =
                "The result may be of any size; one of more than 256 KiB fails with States.DataLimitExceeded.";
            self.find(Rule::ResultMayBeTooLarge, state, "", message, "Select what is needed of it, or ask for less.");
        }
    }

    fn map(&mut self, state: &State, map: &Map) {
        let concurrency = match map.max_concurrency {
            Some(NumberField::Literal(number)) => number,
            _ => 0,
        };
        if map.mode == MapMode::Inline && concurrency > INLINE_CONCURRENCY {
            let message =
                format!("An inline Map runs at most {INLINE_CONCURRENCY} iterations at once, not {concurrency}.");
            let help = format!("Lower it to {INLINE_CONCURRENCY}, or make the Map a distributed one.");
            self.find(Rule::ConcurrencyWithoutEffect, state, "MaxConcurrency", message, help);
        }
        let written = map.run.exports();
        let discarded = matches!(state.data.result_path, ResultPath::Discard);
        if map.mode != MapMode::Inline && !written && !discarded && !self.shapes_result(state) {
            let message = "The results of all child executions together become the result of the state; beyond 256 KiB it fails with States.DataLimitExceeded.";
            self.find(
                Rule::ResultMayBeTooLarge,
                state,
                "",
                message,
                "Add a ResultWriter that exports them, or drop the results: \"ResultPath\": null.",
            );
        }
        for name in ["ItemSelector", "Parameters"] {
            let members = self.node(state).get(name).and_then(Node::as_object).unwrap_or_default();
            let whole = members.iter().find(|member| member.value.as_str().is_some_and(|text| WHOLE.contains(&text)));
            if let Some(member) = whole {
                let at = format!("{name}/{}", member.key);
                let message = "Every item carries a copy of the whole input.";
                self.find(Rule::InputCopied, state, &at, message, "Pass only the fields that the iterations need.");
            }
        }
    }

    fn parallel(&mut self, state: &State, parallel: &Parallel) {
        let narrowed =
            ["Parameters", "Arguments", "InputPath"].iter().any(|field| self.node(state).get(field).is_some());
        let discarded = matches!(state.data.result_path, ResultPath::Discard);
        if narrowed || discarded || self.shapes_result(state) || state.query_language == QueryLanguage::Jsonata {
            return;
        }
        let keeping = parallel.branches.iter().filter(|&&branch| {
            self.definition.states.iter().any(|inner| inner.flow == branch && ends_with_its_input(inner))
        });
        let count = keeping.count();
        if count > 1 {
            let message = format!(
                "{count} branches end with the whole input in their output, so the result holds it {count} times."
            );
            self.find(
                Rule::InputCopied,
                state,
                "",
                message,
                "Select what is needed with a ResultSelector, or narrow the input with Parameters.",
            );
        }
    }
}

/// Whether a state ends its flow with its input in its output.
fn ends_with_its_input(state: &State) -> bool {
    let whole = matches!(state.data.output_path, crate::definition::PathField::Whole);
    match &state.kind {
        StateKind::Succeed => whole,
        StateKind::Pass(pass) => {
            let replaced = pass.result.is_some() || state.data.parameters.is_some();
            whole
                && pass.transition == Transition::End
                && (!replaced || matches!(state.data.result_path, ResultPath::At(_) | ResultPath::Discard))
        }
        kind => {
            whole
                && transition(kind) == Some(Transition::End)
                && (matches!(kind, StateKind::Wait(_))
                    || matches!(state.data.result_path, ResultPath::At(_) | ResultPath::Discard))
        }
    }
}

/// The fields of its input that a JSONPath state reads by name. Those of states inside it are theirs.
fn fields_read(node: &Node) -> BTreeSet<String> {
    let mut fields = BTreeSet::new();
    for member in node.as_object().unwrap_or_default() {
        // Paths of a ResultSelector and of OutputPath lead into the result; ResultPath writes.
        if ![
            "ResultSelector",
            "OutputPath",
            "ResultPath",
            "ItemProcessor",
            "Iterator",
            "Branches",
            "Catch",
            "Retry",
            "Result",
        ]
        .contains(&member.key.as_str())
        {
            collect(&member.key, &member.value, &mut fields);
        }
    }
    fields
}

fn collect(key: &str, node: &Node, fields: &mut BTreeSet<String>) {
    match &node.value {
        NodeValue::String(text) if key.ends_with(".$") || key.ends_with("Path") || key == "Variable" => {
            fields.extend(names(text));
        }
        NodeValue::Array(items) => items.iter().for_each(|item| collect("", item, fields)),
        NodeValue::Object(members) => members.iter().for_each(|member| collect(&member.key, &member.value, fields)),
        _ => {}
    }
}

/// The first fields of the paths in a path or an intrinsic call.
fn names(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("$.") {
        if text[..at].ends_with('$') {
            continue;
        }
        let name: String =
            text[at + 2..].chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        if !name.is_empty() {
            found.push(name);
        }
    }
    found
}
