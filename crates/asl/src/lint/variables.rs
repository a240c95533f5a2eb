//! Variables that are assigned for nothing, and variables that nobody assigns.

use std::collections::{BTreeMap, BTreeSet};

use super::{Linter, Rule};
use crate::check::variable_name;
use crate::definition::{FlowId, MapMode, StateId, StateKind};
use crate::json::Node;
use crate::variables::variable_references;

impl Linter<'_> {
    pub(super) fn variables(&mut self) {
        let reads = variable_references(self.definition);
        let nothing = BTreeSet::new();
        let read_by = |id: StateId| reads.get(&*self.definition.state(id).name).unwrap_or(&nothing);
        // What each state assigns, and where.
        let mut assigned: BTreeMap<StateId, Vec<(String, String)>> = BTreeMap::new();
        for state in &self.definition.states {
            let node = self.node(state);
            let mut found = assignments(node, "");
            for field in ["Choices", "Catch"] {
                for (index, part) in node.get(field).and_then(Node::as_array).unwrap_or_default().iter().enumerate() {
                    found.extend(assignments(part, &format!("{field}[{index}]/")));
                }
            }
            assigned.insert(state.id, found);
        }
        let mut findings = Vec::new();
        for state in &self.definition.states {
            for (name, at) in &assigned[&state.id] {
                let sees = |other: StateId| self.sees(other, state.flow);
                let is_read =
                    self.definition.states.iter().any(|other| sees(other.id) && read_by(other.id).contains(name));
                if !is_read {
                    findings.push((Rule::VariableNeverRead, state, at.clone(), name.clone()));
                }
            }
            for name in read_by(state.id) {
                let assigns = |other: &StateId| assigned[other].iter().any(|(assigned, _)| assigned == name);
                let mut others = self.definition.states.iter().filter(|other| self.sees(state.id, other.flow));
                if !others.any(|other| assigns(&other.id)) {
                    findings.push((Rule::VariableNeverAssigned, state, String::new(), name.clone()));
                }
            }
        }
        for (rule, state, at, name) in findings {
            if rule == Rule::VariableNeverRead {
                let message = format!("The variable '{name}' is never read where it can be seen.");
                self.find(rule, state, &at, message, "Remove it, or read it.");
            } else {
                let message =
                    format!("The variable '{name}' is read, but no state that could be seen from here assigns it.");
                self.find(rule, state, &at, message, "Assign it in an earlier state of this flow or of one around it.");
            }
        }
    }

    /// Whether a state sees the variables of a flow: its own, and those around it up to a child execution.
    fn sees(&self, state: StateId, flow: FlowId) -> bool {
        let mut inner = self.definition.state(state).flow;
        loop {
            if inner == flow {
                return true;
            }
            let Some(owner) = self.definition.flow(inner).owner else { return false };
            let owner = self.definition.state(owner);
            if matches!(&owner.kind, StateKind::Map(map) if map.mode != MapMode::Inline) {
                return false;
            }
            inner = owner.flow;
        }
    }
}

/// The variables that a state, a rule or a catcher assigns, and their places.
fn assignments(node: &Node, at: &str) -> Vec<(String, String)> {
    let members = node.get("Assign").and_then(Node::as_object).unwrap_or_default();
    members.iter().map(|member| (variable_name(&member.key).to_owned(), format!("{at}Assign/{}", member.key))).collect()
}
