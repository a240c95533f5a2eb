//! Where each state stands in the text, by its number; and parts of a state by their place below it.

use crate::check::processor;
use crate::json::Node;

/// Where a state stands.
pub(super) struct Place<'t> {
    /// Its slash path.
    pub(super) location: String,
    /// Its object.
    pub(super) node: &'t Node,
}

/// The places of all states, in the order of their numbers.
pub(super) fn places(root: &Node) -> Vec<Place<'_>> {
    let mut places = Vec::new();
    flow(root, "", &mut places);
    places
}

/// As the numbers are given: every state before the states in it.
fn flow<'t>(node: &'t Node, at: &str, places: &mut Vec<Place<'t>>) {
    for member in node.get("States").and_then(Node::as_object).unwrap_or_default() {
        let location = format!("{at}/States/{}", member.key);
        let state = &member.value;
        places.push(Place { location: location.clone(), node: state });
        match state.get("Type").and_then(Node::as_str) {
            Some("Parallel") => {
                for (index, branch) in
                    state.get("Branches").and_then(Node::as_array).unwrap_or_default().iter().enumerate()
                {
                    flow(branch, &format!("{location}/Branches[{index}]"), places);
                }
            }
            Some("Map") => {
                let name = if state.get("ItemProcessor").is_some() { "ItemProcessor" } else { "Iterator" };
                if let Some(processor) = processor(state) {
                    flow(processor, &format!("{location}/{name}"), places);
                }
            }
            _ => {}
        }
    }
}

/// The node at a place such as `Choices[1]/Next` below another.
pub(super) fn below<'t>(node: &'t Node, path: &str) -> Option<&'t Node> {
    let mut node = node;
    for step in path.split('/').filter(|step| !step.is_empty()) {
        let (name, indices) = step.split_once('[').map_or((step, ""), |(name, rest)| (name, rest));
        node = node.get(name)?;
        for index in indices.split('[').filter(|index| !index.is_empty()) {
            node = node.as_array()?.get(index.trim_end_matches(']').parse::<usize>().ok()?)?;
        }
    }
    Some(node)
}
