//! A graph in Graphviz's language. Parallel and Map states are clusters with a node for their own name.

use std::fmt::Write as _;

use stepwright_asl::{Definition, FlowId, StateId};

use crate::{
    Class, Graph, Kind, Overlay,
    text::{cut, wrap},
};

/// Longest label of a way.
const LABEL: usize = 60;

/// The text of a digraph.
#[must_use]
pub fn dot(graph: &Graph, title: &str, overlay: Option<&Overlay>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(out, "digraph {} {{", quoted(title));
    out.push_str("    compound=true;\n    node [fontname=\"Helvetica\", fontsize=11, shape=box, style=\"rounded\"];\n");
    out.push_str("    edge [fontname=\"Helvetica\", fontsize=9];\n");
    out.push_str("    start [label=\"\", shape=circle, style=filled, fillcolor=black, width=0.2];\n");
    flow(graph, overlay, Definition::ROOT, 1, &mut out);
    let _ = writeln!(out, "    start -> {};", id(graph.flow(Definition::ROOT).start));
    let mut ends = false;
    for edge in &graph.edges {
        let target = match edge.to {
            Some(to) => id(to),
            None if graph.node(edge.from).flow == Definition::ROOT => {
                ends = true;
                "finish".to_owned()
            }
            None => continue,
        };
        let mut attributes = Vec::new();
        if !edge.label.is_empty() {
            attributes.push(format!("label={}", quoted(&cut(&edge.label, LABEL))));
        }
        if overlay.and_then(|overlay| overlay.taken(edge.from, edge.way)) == Some(false) {
            attributes.push("style=dashed".to_owned());
        }
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        let _ = writeln!(out, "    {} -> {target}{attributes};", id(edge.from));
    }
    if ends {
        out.push_str("    finish [label=\"\", shape=doublecircle, style=filled, fillcolor=black, width=0.15];\n");
    }
    out.push_str("}\n");
    out
}

fn flow(graph: &Graph, overlay: Option<&Overlay>, flow: FlowId, depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    for &state in &graph.flow(flow).states {
        let node = graph.node(state);
        let mut lines = wrap(&node.name, 30);
        if !node.detail.is_empty() {
            lines.push(cut(&node.detail, LABEL));
        }
        let mut attributes = String::new();
        if let Some(overlay) = overlay {
            let mark = overlay.state(state);
            lines.extend(Some(mark.note).filter(|note| !note.is_empty()));
            attributes = colours(mark.class);
        }
        let shape = match node.kind {
            Kind::Choice => ", shape=diamond, style=\"\"",
            Kind::Parallel | Kind::Map => ", shape=plaintext, style=\"\"",
            _ => "",
        };
        let declared = format!("{} [label={}{shape}{attributes}];", id(state), quoted(&lines.join("\n")));
        if node.inside.is_empty() {
            let _ = writeln!(out, "{indent}{declared}");
            continue;
        }
        let _ =
            writeln!(out, "{indent}subgraph cluster_s{} {{\n{indent}    label=\"\";\n{indent}    {declared}", state.0);
        for &inside in &node.inside {
            let _ = writeln!(out, "{indent}    subgraph cluster_f{} {{\n{indent}        label=\"\";", inside.0);
            let _ = writeln!(out, "{indent}        style=dashed;");
            self::flow(graph, overlay, inside, depth + 2, out);
            let _ = writeln!(out, "{indent}    }}");
            let first = id(graph.flow(inside).start);
            let _ = writeln!(out, "{indent}    {} -> {first} [style=dotted, arrowhead=none];", id(state));
        }
        let _ = writeln!(out, "{indent}}}");
    }
}

fn id(state: StateId) -> String {
    format!("s{}", state.0)
}

fn colours(class: Class) -> String {
    let [fill, line, _] = class.light();
    format!(", class=\"{}\", style=\"rounded,filled\", fillcolor=\"{fill}\", color=\"{line}\"", class.as_str())
}

/// A quoted string. A backslash would begin one of Graphviz's own escapes.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // Graphviz reads entities.
            '&' => out.push_str("&amp;"),
            '\n' => out.push_str("\\n"),
            character if character.is_control() => out.push(' '),
            character => out.push(character),
        }
    }
    out.push('"');
    out
}
