//! Flows: the machine, branches and item processors. A flow's own fields and its states' names are checked here.

use super::fields::Fields;
use super::graph::Walk;
use super::{Checker, Step};
use crate::definition::{Flow, FlowId, StateId};
use crate::diagnostic::Code;

/// The longest name of a state, in characters.
const MAX_STATE_NAME: usize = 80;

impl<'t> Checker<'t> {
    /// `StartAt` and `States` of a flow. That they are there is checked by the caller, who knows the object.
    pub(super) fn flow(&mut self, fields: &Fields<'t>, id: FlowId, owner: Option<StateId>) {
        self.string(fields, "StartAt");
        let Some(states) = self.object_member(fields, "States") else { return };
        if states.members.is_empty() {
            self.invalid_member("States", "Value cannot be empty", states.node);
            return;
        }
        let outer = std::mem::replace(&mut self.walk, Walk::new(id));
        self.scope.push(id);
        let start = fields.get("StartAt").is_some_and(|node| node.as_str().is_some()).then(|| self.start(fields));
        for member in states.members {
            let number = self.numbering.flows[id.0 as usize].states[member.key.as_str()];
            self.below(&Step::Member("States"), |checker| {
                checker.below(&Step::Member(&member.key), |checker| {
                    checker.state_name(&member.key, &member.value);
                    checker.states[number.0 as usize] = checker.state(&member.key, &member.value, number, id);
                });
            });
        }
        let start = start.flatten();
        self.graph(fields, start);
        self.flows[id.0 as usize] = start.map(|start_at| Flow { start_at, owner });
        self.scope.pop();
        self.walk = outer;
    }

    fn state_name(&mut self, name: &'t str, node: &'t crate::json::Node) {
        if name.is_empty() {
            self.say(Code::InvalidStateName, "The state name cannot be empty", node);
        } else if name.chars().count() > MAX_STATE_NAME {
            let message = format!("{name} exceeds the {MAX_STATE_NAME}-character limit allowed by the service");
            self.say(Code::InvalidStateName, message, node);
        }
        if !self.state_names.insert(name) {
            self.say(Code::DuplicateStateName, format!("Duplicate State name: {name}"), node);
        }
    }
}
