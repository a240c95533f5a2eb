//! Variables that are assigned for nothing, and variables that nobody assigns.

use std::collections::{BTreeMap, BTreeSet};

use super::{Linter, Rule};
use crate::check::variable_name;
use crate::definition::{FlowId, MapMode, State, StateKind};
use crate::json::Node;
use crate::variables::variable_references;

impl Linter<'_> {
    pub(super) fn variables(&mut self) {
        let reads = variable_references(self.definition);
        // By variable: the flows in which it is read, and those in which it is assigned.
        let mut readers: BTreeMap<&str, BTreeSet<FlowId>> = BTreeMap::new();
        let mut writers: BTreeMap<String, BTreeSet<FlowId>> = BTreeMap::new();
        let mut assigned = Vec::new();
        for state in &self.definition.states {
            for name in reads.get(&*state.name).into_iter().flatten() {
                readers.entry(name).or_default().insert(state.flow);
            }
            for (name, at) in self.assigned(state) {
                writers.entry(name.clone()).or_default().insert(state.flow);
                assigned.push((state, name, at));
            }
        }
        for (state, name, at) in assigned {
            let is_read = readers.get(name.as_str()).into_iter().flatten().any(|&reader| self.sees(reader, state.flow));
            if !is_read {
                let message = format!("The variable '{name}' is never read where it can be seen.");
                self.find(Rule::VariableNeverRead, state, &at, message, "Remove it, or read it.");
            }
        }
        for state in &self.definition.states {
            for name in reads.get(&*state.name).into_iter().flatten() {
                let is_assigned = writers.get(name).into_iter().flatten().any(|&writer| self.sees(state.flow, writer));
                if !is_assigned {
                    let message =
                        format!("The variable '{name}' is read, but no state that could be seen from here assigns it.");
                    let help = "Assign it in an earlier state of this flow or of one around it.";
                    self.find(Rule::VariableNeverAssigned, state, "", message, help);
                }
            }
        }
    }

    /// What a state, its rules and its catchers assign, and where.
    fn assigned(&self, state: &State) -> Vec<(String, String)> {
        let node = self.node(state);
        let mut found = assignments(node, "");
        for field in ["Choices", "Catch"] {
            for (index, part) in node.get(field).and_then(Node::as_array).unwrap_or_default().iter().enumerate() {
                found.extend(assignments(part, &format!("{field}[{index}]/")));
            }
        }
        found
    }

    /// Whether the states of a flow see the variables of another: their own, and those around them up to a child
    /// execution.
    fn sees(&self, mut inner: FlowId, flow: FlowId) -> bool {
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
