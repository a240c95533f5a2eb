//! Transitions: their targets, reachability and the terminal state, flow by flow.
//! A flow whose states could not all be understood is not judged, so that one mistake is not reported twice.

use super::Checker;
use super::fields::Fields;
use crate::definition::{FlowId, StateId, Transition};
use crate::diagnostic::{Code, Diagnostic};
use crate::json::Node;

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
                self.invalid("This object should have only one of the following fields: [Next, End]", fields.node);
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
        } else if let Some(elsewhere) = self.elsewhere.as_mut().filter(|_| self.walk.flow == FlowId(0)) {
            let next = self.numbering.states + elsewhere.len();
            let number = *elsewhere.entry(text).or_insert(next);
            return Some(StateId(u32::try_from(number).expect("fewer states than bytes of text")));
        } else {
            let node = fields.get(name).unwrap_or(fields.node);
            self.graph_error(format!("Missing 'Next' target: {text}"), name, node);
        }
        target
    }

    /// The state that `StartAt` names.
    pub(super) fn start(&mut self, fields: &Fields<'t>) -> Option<StateId> {
        let text = self.string(fields, "StartAt")?;
        let start = self.numbering.flows[self.walk.flow.0 as usize].states.get(text).copied();
        if start.is_none() {
            let node = fields.get("StartAt").unwrap_or(fields.node);
            self.graph_error(format!("Missing 'Next' target: {text}"), "StartAt", node);
        }
        start
    }

    /// Judges a flow after all its states were read: a terminal state, and every state reachable.
    pub(super) fn graph(&mut self, fields: &Fields<'t>, start: Option<StateId>) {
        // A state that stands alone ends nothing, and what leads to it is elsewhere.
        if self.walk.unclear || (self.elsewhere.is_some() && self.walk.flow == FlowId(0)) {
            return;
        }
        if !self.walk.terminal {
            if self.room(Code::MissingEndState, "") {
                let mut diagnostic = Diagnostic::new(Code::MissingEndState, "Workflow has no terminal state");
                // The service gives no place for the whole machine.
                if !self.location.is_empty() {
                    diagnostic = diagnostic.spanning(fields.node);
                    diagnostic.location = Some(self.location.clone());
                }
                self.graph_diagnostics.push((self.walk.flow, diagnostic));
            }
            return;
        }
        let Some(start) = start else { return };
        let members = fields.get("States").and_then(Node::as_object).unwrap_or_default();
        let reached = reachable(start, std::mem::take(&mut self.walk.edges));
        for member in members {
            let id = self.numbering.flows[self.walk.flow.0 as usize].states.get(member.key.as_str());
            if id.is_some_and(|id| reached.binary_search(id).is_err()) {
                let message = format!("State \"{}\" is not reachable.", member.key);
                self.graph_error(message, &format!("States/{}", member.key), &member.value);
            }
        }
    }

    /// A transition or state that does not fit, at a member or at a state below the current location.
    fn graph_error(&mut self, message: String, below: &str, node: &Node) {
        if self.room(Code::MissingTransitionTarget, &message) {
            let mut diagnostic = Diagnostic::new(Code::MissingTransitionTarget, message).spanning(node);
            diagnostic.location = Some(format!("{}/{below}", self.location));
            self.graph_diagnostics.push((self.walk.flow, diagnostic));
        }
    }
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
