//! Transitions: their targets, reachability and the terminal state, flow by flow.
//! A flow whose states could not all be understood is not judged, so that one mistake is not reported twice.

use super::{Checker, Step};
use crate::definition::{FlowId, StateId, Transition};
use crate::diagnostic::{Code, Diagnostic, Span};
use crate::json::Node;

use super::fields::Fields;

/// What has been seen of the flow being walked.
pub(super) struct Walk {
    flow: FlowId,
    /// The state whose transitions are being read.
    pub(super) from: StateId,
    edges: Vec<(StateId, StateId)>,
    terminal: bool,
    unclear: bool,
}

impl Walk {
    pub(super) fn new(flow: FlowId) -> Self {
        Self { flow, from: StateId(0), edges: Vec::new(), terminal: false, unclear: false }
    }
}

impl<'t> Checker<'t> {
    /// Something that leads on could not be read.
    pub(super) fn unclear(&mut self) {
        self.walk.unclear = true;
    }

    /// The state ends its flow.
    pub(super) fn terminal(&mut self) {
        self.walk.terminal = true;
    }

    /// `Next` or `End`: exactly one.
    pub(super) fn transition(&mut self, fields: &Fields<'t>) -> Option<Transition> {
        let end = match fields.get("End") {
            Some(_) => self.boolean(fields, "End").or_else(|| {
                self.unclear();
                None
            })?,
            None => false,
        };
        match (fields.has("Next"), end) {
            (true, false) => self.target(fields, "Next").map(Transition::Next),
            (false, true) => {
                self.terminal();
                Some(Transition::End)
            }
            (true, true) => {
                self.invalid("There should only be one of the following fields: [Next, End]", fields.node);
                self.unclear();
                None
            }
            (false, false) => {
                self.invalid(
                    "This object should have only one of the following fields: [Next, End]",
                    fields.node,
                );
                self.unclear();
                None
            }
        }
    }

    /// The state that a `Next` or `Default` names, if the field is there.
    pub(super) fn target(&mut self, fields: &Fields<'t>, name: &str) -> Option<StateId> {
        let Some(text) = self.string(fields, name) else {
            self.unclear();
            return None;
        };
        let target = self.numbering.flows[self.walk.flow.0 as usize].states.get(text).copied();
        if let Some(target) = target {
            self.walk.edges.push((self.walk.from, target));
        } else {
            let node = fields.get(name).unwrap_or(fields.node);
            let location = self.below(&Step::Member(name), |checker| checker.here());
            self.graph_error(format!("Missing 'Next' target: {text}"), Some(location), Some(node));
        }
        target
    }

    /// The state that `StartAt` names.
    pub(super) fn start(&mut self, fields: &Fields<'t>) -> Option<StateId> {
        let text = self.string(fields, "StartAt")?;
        let start = self.numbering.flows[self.walk.flow.0 as usize].states.get(text).copied();
        if start.is_none() {
            let location = self.below(&Step::Member("StartAt"), |checker| checker.here());
            let node = fields.get("StartAt");
            self.graph_error(format!("Missing 'Next' target: {text}"), Some(location), node);
        }
        start
    }

    /// Judges a flow after all its states were read: a terminal state, and every state reachable.
    pub(super) fn graph(&mut self, fields: &Fields<'t>, start: Option<StateId>) {
        if self.walk.unclear {
            return;
        }
        if !self.walk.terminal {
            // The service gives no place for the whole machine.
            let location = (!self.location.is_empty()).then(|| self.location.clone());
            let node = location.as_ref().map(|_| fields.node);
            let flow = self.walk.flow;
            let mut diagnostic = Diagnostic::new(Code::MissingEndState, "Workflow has no terminal state");
            diagnostic.location = location;
            diagnostic.span = node.map(span);
            self.push_graph(flow, diagnostic);
            return;
        }
        let Some(start) = start else { return };
        let members = fields.get("States").and_then(Node::as_object).unwrap_or_default();
        let reached = reachable(start, std::mem::take(&mut self.walk.edges));
        for member in members {
            let id = self.numbering.flows[self.walk.flow.0 as usize].states.get(member.key.as_str());
            if id.is_some_and(|id| reached.binary_search(id).is_err()) {
                let location = format!("{}/States/{}", self.location, member.key);
                let message = format!("State \"{}\" is not reachable.", member.key);
                self.graph_error(message, Some(location), Some(&member.value));
            }
        }
    }

    fn graph_error(&mut self, message: String, location: Option<String>, node: Option<&Node>) {
        let mut diagnostic = Diagnostic::new(Code::MissingTransitionTarget, message);
        diagnostic.location = location;
        diagnostic.span = node.map(span);
        self.push_graph(self.walk.flow, diagnostic);
    }

    fn push_graph(&mut self, flow: FlowId, diagnostic: Diagnostic) {
        self.failed = true;
        if self.graph_diagnostics.len() < super::MAX_DIAGNOSTICS {
            self.graph_diagnostics.push((flow, diagnostic));
        }
    }
}

fn span(node: &Node) -> Span {
    Span { start: node.start, end: node.end, line: 0, column: 0 }
}

/// The states that can be reached, sorted.
fn reachable(start: StateId, mut edges: Vec<(StateId, StateId)>) -> Vec<StateId> {
    edges.sort_unstable();
    let mut seen = std::collections::BTreeSet::from([start]);
    let mut open = vec![start];
    while let Some(from) = open.pop() {
        let first = edges.partition_point(|&(source, _)| source < from);
        for &(_, to) in edges[first..].iter().take_while(|&&(source, _)| source == from) {
            if seen.insert(to) {
                open.push(to);
            }
        }
    }
    seen.into_iter().collect()
}
