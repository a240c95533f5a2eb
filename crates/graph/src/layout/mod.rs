//! Where everything stands: boxes of states, the flows nested in them, and the lines between them, in pixels from the
//! top left.
//!
//! Layers by longest path, in each layer an order by barycentres, then places by least squares. Nothing is random: the
//! same definition always looks the same.

mod layers;
mod order;
mod place;

use std::collections::BTreeMap;

use stepwright_asl::{Definition, FlowId, StateId};

use crate::{
    Graph, Kind,
    text::{cut, width, wrap},
};

/// Height of a line of a state's name, and of smaller texts.
pub const NAME_LINE: f64 = 17.0;
/// Height of a line of small text.
pub const SMALL_LINE: f64 = 14.0;
/// Size of the font of names.
pub const NAME_FONT: f64 = 13.0;
/// Size of the font of everything else.
pub const SMALL_FONT: f64 = 11.0;
/// Diameter of the dots where an execution starts and ends.
pub const DOT: f64 = 16.0;

/// Longest line of a name.
const NAME_WIDTH: usize = 26;
/// Longest line of a label.
const LABEL_WIDTH: usize = 36;
/// Lines of a label; the rest is counted.
const LABEL_LINES: usize = 4;
const PADDING: f64 = 12.0;
/// Room right of a state for ways that lead back to itself.
const LOOP: f64 = 26.0;

/// A rectangle.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Its left side.
    pub x: f64,
    /// Its top.
    pub y: f64,
    /// How wide it is.
    pub width: f64,
    /// How high it is.
    pub height: f64,
}

impl Rect {
    /// Whether two rectangles have an area in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        // Rounding must not make neighbours of boxes that touch.
        const SLACK: f64 = 1e-6;
        self.x + SLACK < other.x + other.width
            && other.x + SLACK < self.x + self.width
            && self.y + SLACK < other.y + other.height
            && other.y + SLACK < self.y + self.height
    }

    /// Whether another rectangle lies within this one.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        const SLACK: f64 = 1e-6;
        self.x <= other.x + SLACK
            && self.y <= other.y + SLACK
            && other.x + other.width <= self.x + self.width + SLACK
            && other.y + other.height <= self.y + self.height + SLACK
    }
}

/// A state's box.
#[derive(Clone, Debug, PartialEq)]
pub struct StateBox {
    /// The state.
    pub state: StateId,
    /// Its box. A Parallel's or Map's holds the flows in it.
    pub rect: Rect,
    /// Its name, in lines.
    pub name: Vec<String>,
}

/// One line, for all the ways that lead from one place to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// The ways, as indices of [`Graph::edges`]; none: from the start.
    pub edges: Vec<usize>,
    /// The corners, from where it begins to where it ends.
    pub points: Vec<(f64, f64)>,
    /// The label, in lines, and where it stands.
    pub label: Option<(Vec<String>, Rect)>,
}

/// Where everything stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// How wide and high it is.
    pub width: f64,
    /// See `width`.
    pub height: f64,
    /// Every state, a Parallel or Map before the states in it.
    pub states: Vec<StateBox>,
    /// The box of every flow that is in a state.
    pub flows: Vec<(FlowId, Rect)>,
    /// Every line.
    pub routes: Vec<Route>,
    /// Where the machine starts.
    pub start: Rect,
    /// Where it ends, if a way leads there.
    pub end: Option<Rect>,
}

/// Finds the places.
#[must_use]
pub fn layout(graph: &Graph) -> Layout {
    let root = arrange(graph, Definition::ROOT);
    let mut layout = Layout { width: root.width, height: root.height, ..Layout::default() };
    put(graph, root, (0.0, 0.0), &mut layout);
    layout
}

/// What stands in a flow: its states, and in the machine's own flow the dots of start and end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Start,
    State(StateId),
    End,
}

/// A flow whose inside has its places, relative to its own top left.
struct Arranged {
    flow: FlowId,
    width: f64,
    height: f64,
    items: Vec<(Item, Rect, Vec<Arranged>)>,
    routes: Vec<Route>,
}

fn arrange(graph: &Graph, flow: FlowId) -> Arranged {
    let is_root = flow == Definition::ROOT;
    let states = &graph.flow(flow).states;
    let mut items: Vec<Item> = Vec::with_capacity(states.len() + 2);
    if is_root {
        items.push(Item::Start);
    }
    items.extend(states.iter().map(|&state| Item::State(state)));
    let numbers: BTreeMap<StateId, usize> = states.iter().zip(usize::from(is_root)..).map(|(&s, n)| (s, n)).collect();

    // All ways from one state to another are one line.
    let mut lines: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    let mut loops: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let end = items.len();
    for (index, edge) in ways_in(graph, states) {
        let from = numbers[&edge.from];
        match edge.to.map(|to| numbers[&to]) {
            Some(to) if to == from => loops.entry(from).or_default().push(index),
            Some(to) => lines.entry((from, to)).or_default().push(index),
            None if is_root => lines.entry((from, end)).or_default().push(index),
            None => {}
        }
    }
    if is_root {
        lines.insert((0, numbers[&graph.flow(flow).start]), Vec::new());
        if lines.keys().any(|(_, to)| *to == end) {
            items.push(Item::End);
        }
    }

    let mut sizes = Vec::with_capacity(items.len());
    let mut insides = Vec::with_capacity(items.len());
    for (number, item) in items.iter().enumerate() {
        let Item::State(state) = *item else {
            sizes.push(layers::Size { width: DOT, height: DOT, beside: 0.0 });
            insides.push(Vec::new());
            continue;
        };
        let inside: Vec<Arranged> = graph.node(state).inside.iter().map(|&flow| arrange(graph, flow)).collect();
        let (width, height) = size(graph, state, &inside);
        let beside = loops.get(&number).map_or(0.0, |edges| LOOP + label_size(&label(graph, edges)).0);
        sizes.push(layers::Size { width, height, beside });
        insides.push(inside);
    }
    let first = if is_root { 0 } else { numbers[&graph.flow(flow).start] };
    let links: Vec<layers::Link> = lines
        .iter()
        .map(|(&(from, to), edges)| layers::Link { from, to, label: label_size(&label(graph, edges)) })
        .collect();
    let placed = layers::arrange(&sizes, &links, first);

    let mut routes: Vec<Route> = Vec::with_capacity(lines.len());
    for ((_, edges), route) in lines.into_iter().zip(placed.routes) {
        let label = route.label.map(|rect| (label(graph, &edges), rect));
        routes.push(Route { edges, points: route.points, label });
    }
    let rects = placed.rects;
    for (number, edges) in loops {
        let lines = label(graph, &edges);
        let (label_width, label_height) = label_size(&lines);
        let rect = rects[number];
        let (right, middle) = (rect.x + rect.width, rect.y + rect.height / 2.0);
        let reach = (rect.height / 4.0).min(12.0);
        let points = [(0.0, -reach), (LOOP - 8.0, -reach), (LOOP - 8.0, reach), (0.0, reach)];
        let points = points.map(|(x, y)| (right + x, middle + y)).to_vec();
        let at =
            Rect { x: right + LOOP - 4.0, y: middle - label_height / 2.0, width: label_width, height: label_height };
        let label = (!lines.is_empty()).then_some((lines, at));
        routes.push(Route { edges, points, label });
    }
    let items = items.into_iter().zip(rects).zip(insides).map(|((item, rect), inside)| (item, rect, inside)).collect();
    Arranged { flow, width: placed.width, height: placed.height, items, routes }
}

/// The ways out of these states. A graph has its ways by the state that they leave, and a flow its states in the order
/// of their numbers, so that this costs no more than what it finds.
fn ways_in<'g>(graph: &'g Graph, states: &'g [StateId]) -> impl Iterator<Item = (usize, &'g crate::Edge)> {
    states.iter().flat_map(|&state| {
        let begin = graph.edges.partition_point(|edge| edge.from < state);
        graph.edges[begin..]
            .iter()
            .take_while(move |edge| edge.from == state)
            .enumerate()
            .map(move |(n, e)| (begin + n, e))
    })
}

/// The lines of a label.
fn label(graph: &Graph, edges: &[usize]) -> Vec<String> {
    let mut lines = Vec::new();
    let labels: Vec<&str> =
        edges.iter().map(|&edge| graph.edges[edge].label.as_str()).filter(|label| !label.is_empty()).collect();
    for (number, text) in labels.iter().enumerate() {
        if lines.len() + 1 >= LABEL_LINES && labels.len() - number > 1 {
            lines.push(format!("and {} more", labels.len() - number));
            break;
        }
        if labels.len() == 1 {
            lines.extend(wrap(&cut(text, LABEL_WIDTH * 3), LABEL_WIDTH).into_iter().take(LABEL_LINES));
        } else {
            lines.push(cut(text, LABEL_WIDTH));
        }
    }
    lines
}

fn label_size(lines: &[String]) -> (f64, f64) {
    if lines.is_empty() {
        return (0.0, 0.0);
    }
    let widest = lines.iter().map(|line| width(line)).fold(0.0, f64::max);
    (widest * SMALL_FONT + 8.0, lines.len() as f64 * SMALL_LINE + 4.0)
}

/// The lines of a state's name.
fn name(graph: &Graph, state: StateId) -> Vec<String> {
    wrap(&graph.node(state).name, NAME_WIDTH)
}

/// The text under a state's name: its type, and what it does.
pub(crate) fn subtitle(graph: &Graph, state: StateId) -> String {
    let node = graph.node(state);
    let text = if node.detail.is_empty() {
        node.kind.as_str().to_owned()
    } else {
        format!("{} · {}", node.kind.as_str(), node.detail)
    };
    cut(&text, LABEL_WIDTH)
}

/// How high the texts of a state are: its name, what it does, and a line for what is shown beside the definition.
fn head(lines: usize) -> f64 {
    PADDING / 2.0 + lines as f64 * NAME_LINE + 2.0 * SMALL_LINE
}

fn size(graph: &Graph, state: StateId, inside: &[Arranged]) -> (f64, f64) {
    let lines = name(graph, state);
    let named = lines.iter().map(|line| width(line) * NAME_FONT).fold(0.0, f64::max);
    let text = named.max(width(&subtitle(graph, state)) * SMALL_FONT).max(70.0);
    // The corners of a Choice are cut off.
    let corners = if graph.node(state).kind == Kind::Choice { 28.0 } else { 0.0 };
    let (own, head) = (text + 2.0 * PADDING + corners, head(lines.len()) + PADDING / 2.0);
    if inside.is_empty() {
        return (own, head);
    }
    let across: f64 = inside.iter().map(|flow| flow.width + 2.0 * PADDING).sum::<f64>()
        + (inside.len() - 1) as f64 * PADDING
        + 2.0 * PADDING;
    let down = inside.iter().map(|flow| flow.height).fold(0.0, f64::max) + 2.0 * PADDING;
    (own.max(across), head + down + PADDING)
}

/// Gives what is arranged its final places.
fn put(graph: &Graph, arranged: Arranged, (x, y): (f64, f64), layout: &mut Layout) {
    let moved = |rect: Rect| Rect { x: rect.x + x, y: rect.y + y, ..rect };
    for (item, rect, inside) in arranged.items {
        let rect = moved(rect);
        let state = match item {
            Item::Start => {
                layout.start = rect;
                continue;
            }
            Item::End => {
                layout.end = Some(rect);
                continue;
            }
            Item::State(state) => state,
        };
        let name = name(graph, state);
        let top = rect.y + head(name.len()) + PADDING / 2.0;
        layout.states.push(StateBox { state, rect, name });
        let across: f64 = inside.iter().map(|flow| flow.width + 2.0 * PADDING).sum::<f64>()
            + inside.len().saturating_sub(1) as f64 * PADDING;
        let mut left = rect.x + (rect.width - across) / 2.0;
        for flow in inside {
            let (width, height) = (flow.width + 2.0 * PADDING, rect.y + rect.height - PADDING - top);
            layout.flows.push((flow.flow, Rect { x: left, y: top, width, height }));
            put(graph, flow, (left + PADDING, top + PADDING), layout);
            left += width + PADDING;
        }
    }
    layout.routes.extend(arranged.routes.into_iter().map(|route| Route {
        points: route.points.into_iter().map(|(px, py)| (px + x, py + y)).collect(),
        label: route.label.map(|(lines, rect)| (lines, moved(rect))),
        ..route
    }));
}
