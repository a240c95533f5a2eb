//! A graph as a Mermaid flowchart, as Markdown renderers draw it. Mermaid itself draws no more than 500 ways and 50,000
//! characters unless it is configured to.

use std::fmt::Write as _;

use stepwright_asl::{Definition, FlowId, StateId};

use crate::{
    Class, Graph, Kind, Overlay,
    text::{cut, wrap},
};

/// Longest label of a way.
const LABEL: usize = 60;

/// The text of a flowchart.
#[must_use]
pub fn mermaid(graph: &Graph, overlay: Option<&Overlay>) -> String {
    let mut out = String::from("flowchart TD\n");
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "    start((Start))");
    flow(graph, overlay, Definition::ROOT, 1, &mut out);
    let mut ends = false;
    let _ = writeln!(out, "    start --> {}", id(graph.flow(Definition::ROOT).start));
    for edge in &graph.edges {
        let target = match edge.to {
            Some(to) => id(to),
            None if graph.node(edge.from).flow == Definition::ROOT => {
                ends = true;
                "finish".to_owned()
            }
            None => continue,
        };
        let arrow =
            if overlay.and_then(|overlay| overlay.taken(edge.from, edge.way)) == Some(false) { "-.->" } else { "-->" };
        let label =
            if edge.label.is_empty() { String::new() } else { format!("|{}|", quoted(&cut(&edge.label, LABEL))) };
        let _ = writeln!(out, "    {} {arrow}{label} {target}", id(edge.from));
    }
    if ends {
        out.push_str("    finish((End))\n");
    }
    if let Some(overlay) = overlay {
        for class in Class::ALL {
            let states: Vec<String> = graph
                .nodes
                .iter()
                .filter(|node| overlay.state(node.id).class == class)
                .map(|node| id(node.id))
                .collect();
            if !states.is_empty() {
                let _ = writeln!(out, "    classDef {} {}", name(class), style(class));
                let _ = writeln!(out, "    class {} {}", states.join(","), name(class));
            }
        }
    }
    out
}

fn flow(graph: &Graph, overlay: Option<&Overlay>, flow: FlowId, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    for &state in &graph.flow(flow).states {
        let node = graph.node(state);
        let mut label = wrap(&node.name, 40).join(" ");
        if !node.detail.is_empty() {
            label = format!("{label} · {}", cut(&node.detail, LABEL));
        }
        let note = overlay.map(|overlay| overlay.state(state).note).filter(|note| !note.is_empty());
        if let Some(note) = note {
            label = format!("{label} · {note}");
        }
        let (id, label) = (id(state), quoted(&label));
        if node.inside.is_empty() {
            let (open, close) = match node.kind {
                Kind::Choice => ("{", "}"),
                Kind::Wait => ("([", "])"),
                Kind::Succeed | Kind::Fail => ("(", ")"),
                _ => ("[", "]"),
            };
            let _ = writeln!(out, "{indent}{id}{open}{label}{close}");
            continue;
        }
        let _ = writeln!(out, "{indent}subgraph {id}[{label}]");
        for (index, &inside) in node.inside.iter().enumerate() {
            let title = if node.kind == Kind::Map { "item".to_owned() } else { format!("branch {}", index + 1) };
            let _ = writeln!(out, "{indent}    subgraph f{}[{}]", inside.0, quoted(&title));
            self::flow(graph, overlay, inside, depth + 2, out);
            let _ = writeln!(out, "{indent}    end");
        }
        let _ = writeln!(out, "{indent}end");
    }
}

fn id(state: StateId) -> String {
    format!("s{}", state.0)
}

/// A class's name: hyphens would be read as arrows by older versions.
fn name(class: Class) -> String {
    class.as_str().replace('-', "_")
}

fn style(class: Class) -> String {
    let [fill, line, text] = class.light();
    let dashes = if class == Class::NotVisited { ",stroke-dasharray:4 3" } else { "" };
    format!("fill:{fill},stroke:{line},color:{text}{dashes}")
}

/// A quoted label. Whatever could mean something to Mermaid or to HTML is written as its number.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            ' ' | '.' | ',' | ':' | '-' | '=' | '$' | '/' | '(' | ')' | '?' | '!' | '·' | '…' | '≤' | '≥' | '×' =>
            {
                out.push(character);
            }
            character if character.is_control() => out.push(' '),
            character if character.is_alphanumeric() => out.push(character),
            character => {
                let _ = write!(out, "#{};", u32::from(character));
            }
        }
    }
    out.push('"');
    out
}
