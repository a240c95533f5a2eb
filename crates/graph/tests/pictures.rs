//! Pictures of definitions that nobody wrote: every state is drawn once, nothing overlaps, and what is written can be read.

mod support;

use std::time::{Duration, Instant};

use stepwright_asl::Definition;
use stepwright_graph::{
    Class, Graph, Overlay, Way, dot,
    layout::{Layout, Rect, layout},
    mermaid, svg,
};
use support::{Generator, parsed, read_dot, read_mermaid, read_xml};

fn generated(seed: u64) -> Definition {
    parsed(&Generator::new(seed).definition(40))
}

fn overlay(graph: &Graph) -> Overlay {
    let mut overlay = Overlay::default();
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| index % 6 != 5) {
        overlay.mark(node.id, Class::ALL[index % 5], format!("{index}×"));
    }
    for (index, edge) in graph.edges.iter().enumerate() {
        overlay.way(edge.from, edge.way, index % 2 == 0);
    }
    overlay
}

#[test]
fn every_state_has_one_box_and_no_two_boxes_overlap() {
    for seed in 0..300 {
        let graph = Graph::of(&generated(seed));
        let layout = layout(&graph);
        let mut drawn: Vec<u32> = layout.states.iter().map(|state| state.state.0).collect();
        drawn.sort_unstable();
        let all: Vec<u32> = (0..u32::try_from(graph.nodes.len()).expect("few states")).collect();
        assert_eq!(drawn, all, "seed {seed}");
        assert_eq!(layout.flows.len(), graph.flows.len() - 1, "seed {seed}");
        stands_well(&graph, &layout, seed);
    }
}

/// Boxes of one flow are apart, labels are apart from boxes and from each other, and whatever is in something is in its box.
fn stands_well(graph: &Graph, layout: &Layout, seed: u64) {
    let everything = Rect { x: 0.0, y: 0.0, width: layout.width, height: layout.height };
    let of_flow = |flow| layout.flows.iter().find(|(id, _)| *id == flow).map(|(_, rect)| *rect);
    let mut by_flow: Vec<Vec<(String, Rect)>> = vec![Vec::new(); graph.flows.len()];
    for state in &layout.states {
        let node = graph.node(state.state);
        by_flow[node.flow.0 as usize].push((node.name.to_string(), state.rect));
        let around = of_flow(node.flow).unwrap_or(everything);
        assert!(around.contains(&state.rect), "seed {seed}: {} stands outside of its flow", node.name);
        let inside: Vec<Rect> = node.inside.iter().filter_map(|&flow| of_flow(flow)).collect();
        for (index, flow) in inside.iter().enumerate() {
            assert!(state.rect.contains(flow), "seed {seed}: a flow of {} stands outside of it", node.name);
            assert!(
                inside[..index].iter().all(|other| !other.overlaps(flow)),
                "seed {seed}: branches of {}",
                node.name
            );
        }
    }
    by_flow[0].push(("the start".to_owned(), layout.start));
    by_flow[0].extend(layout.end.map(|end| ("the end".to_owned(), end)));
    for route in &layout.routes {
        assert!(route.points.len() >= 2, "seed {seed}: a line has two ends");
        for &(x, y) in &route.points {
            assert!(everything.contains(&Rect { x, y, width: 0.0, height: 0.0 }), "seed {seed}: a line leads outside");
        }
        if let (Some((lines, rect)), Some(&edge)) = (&route.label, route.edges.first()) {
            let flow = graph.node(graph.edges[edge].from).flow;
            by_flow[flow.0 as usize].push((lines.join(" "), *rect));
        }
    }
    for boxes in &by_flow {
        for (index, (name, rect)) in boxes.iter().enumerate() {
            for (other_name, other) in &boxes[..index] {
                assert!(!rect.overlaps(other), "seed {seed}: {name} and {other_name} overlap: {rect:?} {other:?}");
            }
        }
    }
}

#[test]
fn lines_begin_and_end_at_the_boxes_of_their_states() {
    for seed in 0..100 {
        let graph = Graph::of(&generated(seed));
        let layout = layout(&graph);
        let mut drawn = 0;
        for route in &layout.routes {
            for &edge in &route.edges {
                drawn += 1;
                let edge = &graph.edges[edge];
                let touches = |rect: Rect, (x, y): (f64, f64)| {
                    let near = Rect { x: x - 0.5, y: y - 0.5, width: 1.0, height: 1.0 };
                    rect.overlaps(&near)
                };
                let rect = |state| layout.states.iter().find(|b| b.state == state).expect("every state").rect;
                assert!(touches(rect(edge.from), route.points[0]), "seed {seed}: {edge:?} begins elsewhere");
                let end = edge.to.map_or_else(|| layout.end.expect("an end"), rect);
                assert!(touches(end, route.points[route.points.len() - 1]), "seed {seed}: {edge:?} ends elsewhere");
            }
        }
        // The ends of branches and item processors are not drawn.
        let root_or_on = |edge: &&stepwright_graph::Edge| edge.to.is_some() || graph.node(edge.from).flow.0 == 0;
        assert_eq!(drawn, graph.edges.iter().filter(root_or_on).count(), "seed {seed}");
    }
}

#[test]
fn whatever_is_written_can_be_read_and_holds_every_state_and_way() {
    for seed in 0..150 {
        let graph = Graph::of(&generated(seed));
        let overlay = overlay(&graph);
        let ways = graph.edges.iter().filter(|edge| edge.to.is_some() || graph.node(edge.from).flow.0 == 0).count();
        for overlay in [None, Some(&overlay)] {
            let picture = svg(&graph, "<a> & \"b\"", overlay);
            assert_eq!(read_xml(&picture), graph.nodes.len(), "seed {seed}");
            let states_and_ways = (graph.nodes.len(), ways + 1);
            assert_eq!(read_mermaid(&mermaid(&graph, overlay)), states_and_ways, "seed {seed}");
            assert_eq!(read_dot(&dot(&graph, "a \"b\" \\", overlay)), states_and_ways, "seed {seed}");
        }
    }
}

#[test]
fn the_same_definition_is_drawn_the_same() {
    for seed in 0..20 {
        let [first, second] = [(); 2].map(|()| {
            let graph = Graph::of(&generated(seed));
            svg(&graph, "x", Some(&overlay(&graph)))
        });
        assert_eq!(first, second, "seed {seed}");
    }
}

/// A bound against work that grows with the square: none of these takes more than a few seconds even in a debug build.
#[test]
fn ten_thousand_states_are_drawn_quickly() {
    let pass = |name: usize, next: &str| format!(r#""S{name}": {{"Type": "Pass", {next}}}"#);
    let machine = |states: Vec<String>, start: &str| {
        parsed(&format!(r#"{{"StartAt": "{start}", "States": {{{}}}}}"#, states.join(",")))
    };
    let last = 9_999;
    let chain: Vec<String> = (0..=last)
        .map(|n| if n == last { pass(n, r#""End": true"#) } else { pass(n, &format!(r#""Next": "S{}""#, n + 1)) })
        .collect();
    // One choice that leads everywhere.
    let rules: Vec<String> =
        (1..=last).map(|n| format!(r#"{{"Variable": "$.n", "NumericEquals": {n}, "Next": "S{n}"}}"#)).collect();
    let mut star: Vec<String> = (1..=last).map(|n| pass(n, r#""End": true"#)).collect();
    star.push(format!(r#""S0": {{"Type": "Choice", "Choices": [{}]}}"#, rules.join(",")));
    // A chain of choices, each of which can skip to the end: ten thousand lines as long as the picture.
    let mut skips: Vec<String> = (0..last)
        .map(|n| {
            let next = n + 1;
            format!(
                r#""S{n}": {{"Type": "Choice", "Default": "S{last}", "Choices": [
                    {{"Variable": "$.n", "NumericEquals": {n}, "Next": "S{next}"}}]}}"#
            )
        })
        .collect();
    skips.push(pass(last, r#""End": true"#));
    for (what, states) in [("a chain", chain), ("a star", star), ("a chain with skips", skips)] {
        let graph = Graph::of(&machine(states, "S0"));
        let begun = Instant::now();
        let picture = svg(&graph, "large", None);
        let took = begun.elapsed();
        assert!(picture.ends_with("</svg>\n"));
        assert!(took < Duration::from_secs(60), "{what} took {took:?}");
        println!("{what}: {took:?}, {} bytes", picture.len());
    }
}

const ORDER: &str = r#"{
  "StartAt": "Check the \"order\"",
  "States": {
    "Check the \"order\"": {
      "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "check"},
      "Catch": [{"ErrorEquals": ["States.Timeout", "Busy"], "Next": "Give up"}], "Next": "Large?"
    },
    "Large?": {
      "Type": "Choice",
      "Choices": [
        {"And": [{"Variable": "$.total", "NumericGreaterThan": 100}, {"Not": {"Variable": "$.paid", "IsPresent": true}}],
         "Next": "Both"},
        {"Variable": "$.again", "BooleanEquals": true, "Next": "Check the \"order\""}
      ],
      "Default": "Give up"
    },
    "Both": {
      "Type": "Parallel", "End": true,
      "Branches": [
        {"StartAt": "Bill", "States": {"Bill": {"Type": "Pass", "End": true}}},
        {"StartAt": "Each", "States": {"Each": {"Type": "Map", "End": true, "ItemProcessor": {
          "StartAt": "Pack", "States": {"Pack": {"Type": "Wait", "Seconds": 5, "End": true}}}}}}
      ]
    },
    "Give up": {"Type": "Fail", "Error": "E"}
  }
}"#;

#[test]
fn a_definition_in_mermaid() {
    let graph = Graph::of(&parsed(ORDER));
    let mut overlay = Overlay::default();
    overlay.mark(graph.find("Large?").expect("a state"), Class::Succeeded, "2×");
    overlay.way(graph.find("Large?").expect("a state"), Way::Default, false);
    assert_eq!(mermaid(&graph, Some(&overlay)), include_str!("order.mmd"));
}

#[test]
fn a_definition_in_graphviz() {
    assert_eq!(dot(&Graph::of(&parsed(ORDER)), "order", None), include_str!("order.dot"));
}

#[test]
fn a_picture_says_what_it_shows() {
    let graph = Graph::of(&parsed(ORDER));
    let mut overlay = Overlay::default();
    overlay.mark(graph.find("Check the \"order\"").expect("a state"), Class::Caught, "2×");
    let picture = svg(&graph, "execution 7", Some(&overlay));
    for part in [
        "<title id=\"title\">execution 7</title>",
        "A state machine of 7 states. 1 caught. 6 not visited.",
        "<title>Check the &quot;order&quot;: Task · lambda:invoke, caught, 2×</title>",
        "<title>Large? to Both: $.total &gt; 100 and not $.paid is present</title>",
        "prefers-color-scheme:dark",
        "↷ 2×",
        "Catch States.Timeout, Busy",
    ] {
        assert!(picture.contains(part), "{part} is missing in\n{picture}");
    }
    for outside in ["<script", "href", "url(http", "@import"] {
        assert!(!picture.contains(outside), "{outside}");
    }
}
