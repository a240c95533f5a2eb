//! Numbers for states and flows, in document order, before anything is checked: a transition may name a state that
//! comes later. Nothing here complains; what is malformed simply gets no number.

use std::collections::{HashMap, HashSet};

use crate::definition::{FlowId, StateId};
use crate::json::{Member, Node};

/// A flow before it is checked.
#[derive(Default)]
pub(super) struct FlowNumber<'t> {
    /// Its states by name.
    pub(super) states: HashMap<&'t str, StateId>,
    /// Variables that its own states assign, without `.$`.
    pub(super) assigned: HashSet<&'t str>,
}

/// All states' and flows' numbers.
pub(super) struct Numbering<'t> {
    /// How many states there are.
    pub(super) states: usize,
    /// Flows by number.
    pub(super) flows: Vec<FlowNumber<'t>>,
    /// Flow numbers by the place of the flow's object in the text.
    by_place: HashMap<usize, FlowId>,
}

impl<'t> Numbering<'t> {
    pub(super) fn new(root: &'t Node) -> Self {
        let mut numbering = Self { states: 0, flows: Vec::new(), by_place: HashMap::new() };
        numbering.flow(root);
        numbering
    }

    /// The number of the flow whose object this is.
    pub(super) fn flow_of(&self, node: &Node) -> Option<FlowId> {
        self.by_place.get(&node.start).copied()
    }

    fn flow(&mut self, node: &'t Node) {
        if node.as_object().is_none() {
            return;
        }
        let index = self.flows.len();
        self.by_place.insert(node.start, FlowId(u32::try_from(index).expect("fewer flows than bytes of text")));
        self.flows.push(FlowNumber::default());
        for Member { key, value, .. } in node.get("States").and_then(Node::as_object).unwrap_or_default() {
            let id = StateId(u32::try_from(self.states).expect("fewer states than bytes of text"));
            self.states += 1;
            self.flows[index].states.insert(key, id);
            self.assigned(index, value);
            for rule in ["Choices", "Catch"].into_iter().filter_map(|name| value.get(name)?.as_array()).flatten() {
                self.assigned(index, rule);
            }
            match value.get("Type").and_then(Node::as_str) {
                Some("Parallel") => {
                    for branch in value.get("Branches").and_then(Node::as_array).unwrap_or_default() {
                        self.flow(branch);
                    }
                }
                Some("Map") => {
                    if let Some(processor) = processor(value) {
                        self.flow(processor);
                    }
                }
                _ => {}
            }
        }
    }

    fn assigned(&mut self, flow: usize, node: &'t Node) {
        for member in node.get("Assign").and_then(Node::as_object).unwrap_or_default() {
            self.flows[flow].assigned.insert(variable_name(&member.key));
        }
    }
}

/// The processor of a Map state under its new or old name.
pub(crate) fn processor(state: &Node) -> Option<&Node> {
    state.get("ItemProcessor").or_else(|| state.get("Iterator"))
}

/// The variable that a key of `Assign` assigns.
pub(crate) fn variable_name(key: &str) -> &str {
    key.strip_suffix(".$").unwrap_or(key)
}
