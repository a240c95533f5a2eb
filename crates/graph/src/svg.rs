//! A graph as one SVG that needs nothing else: no scripts, no fonts, no links. Light or dark as its reader's system is, with
//! a title for every state and line. Classes of an overlay differ by a sign too, not by colour alone.

use std::{collections::BTreeMap, fmt::Write as _};

use stepwright_asl::FlowId;

use crate::{
    Class, Graph, Kind, Overlay,
    layout::{self, DOT, Layout, NAME_FONT, NAME_LINE, Rect, Route, SMALL_FONT, SMALL_LINE, StateBox},
    text::xml,
};

const MARGIN: f64 = 20.0;
/// Height of the list of what the colours mean.
const LEGEND: f64 = 26.0;

/// The picture. `title` is its accessible name.
#[must_use]
pub fn svg(graph: &Graph, title: &str, overlay: Option<&Overlay>) -> String {
    let layout = layout::layout(graph);
    let used: Vec<Class> = match overlay {
        Some(overlay) => Class::ALL
            .into_iter()
            .filter(|class| graph.nodes.iter().any(|node| overlay.state(node.id).class == *class))
            .collect(),
        None => Vec::new(),
    };
    let legend_width = used.iter().map(|class| entry_width(*class)).sum::<f64>();
    let width = layout.width.max(legend_width) + 2.0 * MARGIN;
    let height = layout.height + 2.0 * MARGIN + if used.is_empty() { 0.0 } else { LEGEND };
    let mut out = String::new();
    // Writing to a string cannot fail, here and below.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" role=\"img\" \
         aria-labelledby=\"title description\">",
        number(width),
        number(height),
        number(width),
        number(height)
    );
    let _ = writeln!(out, "<title id=\"title\">{}</title>", xml(title));
    let _ = writeln!(out, "<desc id=\"description\">{}</desc>", xml(&description(graph, overlay, &used)));
    let _ = writeln!(out, "<style>{}</style>", style());
    out.push_str(
        "<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path class=\"head\" d=\"M0 0L8 4L0 8z\"/></marker></defs>\n",
    );
    let _ = writeln!(out, "<rect class=\"ground\" width=\"{}\" height=\"{}\"/>", number(width), number(height));
    let _ = writeln!(out, "<g transform=\"translate({} {})\">", number(MARGIN), number(MARGIN));
    boxes(graph, overlay, &layout, &mut out);
    // Lines over boxes: those within a Parallel or Map would be hidden by it.
    for route in &layout.routes {
        line(graph, overlay, route, &mut out);
    }
    let _ = writeln!(out, "{}", dot(layout.start, "start", "Start"));
    if let Some(end) = layout.end {
        let _ = writeln!(out, "{}", dot(end, "end", "End"));
    }
    out.push_str("</g>\n");
    legend(&used, height - LEGEND, &mut out);
    out.push_str("</svg>\n");
    out
}

fn description(graph: &Graph, overlay: Option<&Overlay>, used: &[Class]) -> String {
    let mut text = format!("A state machine of {} states.", graph.nodes.len());
    if let Some(overlay) = overlay {
        for class in used {
            let count = graph.nodes.iter().filter(|node| overlay.state(node.id).class == *class).count();
            let _ = write!(text, " {count} {}.", class.words());
        }
    }
    text
}

fn style() -> String {
    let mut text = String::from(
        "svg{font-family:system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;color-scheme:light dark}\
         .ground{fill:#ffffff}.state{fill:#f7f9fc;stroke:#56657a;stroke-width:1.3}\
         .flow{fill:none;stroke:#8a97a8;stroke-dasharray:4 3}text{fill:#1c2733;text-anchor:middle}\
         .small{fill:#56657a}.line{fill:none;stroke:#56657a;stroke-width:1.3}.catch{stroke-dasharray:5 3}\
         .untaken{opacity:.4}.taken{stroke-width:2.4}.head,.dot{fill:#56657a}\
         .ring{fill:none;stroke:#56657a;stroke-width:1.5}.label rect{fill:#ffffff;opacity:.9}\
         .double{stroke-width:3}",
    );
    let classes = |text: &mut String, dark: bool| {
        for class in Class::ALL {
            let [fill, line, words] = if dark { class.dark() } else { class.light() };
            let name = class.as_str();
            let _ = write!(text, ".{name} .state{{fill:{fill};stroke:{line}}}.{name} text{{fill:{words}}}");
        }
    };
    classes(&mut text, false);
    text.push_str(
        "@media (prefers-color-scheme:dark){.ground{fill:#15191e}.state{fill:#1f262e;stroke:#93a3b5}\
         .flow{stroke:#66758a}text{fill:#e6ecf2}.small{fill:#a5b3c2}.line{stroke:#93a3b5}.head,.dot{fill:#93a3b5}\
         .ring{stroke:#93a3b5}.label rect{fill:#15191e}",
    );
    classes(&mut text, true);
    text.push('}');
    text
}

/// Boxes from the outside in, so that what is in a box is drawn over it.
fn boxes(graph: &Graph, overlay: Option<&Overlay>, layout: &Layout, out: &mut String) {
    let rects: BTreeMap<FlowId, Rect> = layout.flows.iter().copied().collect();
    for state in &layout.states {
        self::state(graph, overlay, state, out);
        for flow in &graph.node(state.state).inside {
            let _ = writeln!(out, "<rect class=\"flow\" {} rx=\"6\"/>", sides(&rects[flow]));
        }
    }
}

fn state(graph: &Graph, overlay: Option<&Overlay>, state: &StateBox, out: &mut String) {
    let node = graph.node(state.state);
    let mark = overlay.map(|overlay| overlay.state(state.state));
    let subtitle = layout::subtitle(graph, state.state);
    let class = mark.as_ref().map_or("plain", |mark| mark.class.as_str());
    let mut title = format!("{}: {}", node.name, subtitle);
    if let Some(mark) = &mark {
        let _ = write!(title, ", {}", mark.class.words());
        if !mark.note.is_empty() {
            let _ = write!(title, ", {}", mark.note);
        }
    }
    let _ = writeln!(out, "<g class=\"{class}\" data-state=\"{}\"><title>{}</title>", xml(&node.name), xml(&title));
    let Rect { x, y, width, height } = state.rect;
    if node.kind == Kind::Choice {
        let (cut, right, bottom, middle) = (14.0, x + width, y + height, y + height / 2.0);
        let corners =
            [(x, middle), (x + cut, y), (right - cut, y), (right, middle), (right - cut, bottom), (x + cut, bottom)];
        let corners: Vec<String> = corners.iter().map(|(x, y)| format!("{},{}", number(*x), number(*y))).collect();
        let _ = writeln!(out, "<polygon class=\"state\" points=\"{}\"/>", corners.join(" "));
    } else {
        let (radius, more) = match node.kind {
            Kind::Wait => (16, ""),
            Kind::Succeed | Kind::Fail => (16, " double"),
            _ => (6, ""),
        };
        let _ = writeln!(out, "<rect class=\"state{more}\" {} rx=\"{radius}\"/>", sides(&state.rect));
    }
    let middle = x + width / 2.0;
    let mut baseline = y + 6.0 + NAME_LINE * 0.75;
    for line in &state.name {
        text(middle, baseline, NAME_FONT, "", line, out);
        baseline += NAME_LINE;
    }
    text(middle, baseline - 2.0, SMALL_FONT, " class=\"small\"", &subtitle, out);
    if let Some(mark) = mark {
        let sign = sign(mark.class);
        let note = if mark.note.is_empty() { sign.to_owned() } else { format!("{sign} {}", mark.note) };
        text(middle, baseline - 2.0 + SMALL_LINE, SMALL_FONT, "", &note, out);
    }
    out.push_str("</g>\n");
}

fn sign(class: Class) -> &'static str {
    match class {
        Class::Succeeded => "✓",
        Class::Failed => "✗",
        Class::Caught => "↷",
        Class::Running => "▶",
        Class::NotVisited => "–",
    }
}

fn line(graph: &Graph, overlay: Option<&Overlay>, route: &Route, out: &mut String) {
    let taken: Vec<Option<bool>> = route
        .edges
        .iter()
        .map(|&edge| {
            let edge = &graph.edges[edge];
            overlay.and_then(|overlay| overlay.taken(edge.from, edge.way))
        })
        .collect();
    let catches = !route.edges.is_empty()
        && route.edges.iter().all(|&edge| matches!(graph.edges[edge].way, crate::Way::Catch(_)));
    let mut classes = String::from("line");
    if catches {
        classes.push_str(" catch");
    }
    if taken.contains(&Some(true)) {
        classes.push_str(" taken");
    } else if !taken.is_empty() && taken.iter().all(|taken| *taken == Some(false)) {
        classes.push_str(" untaken");
    }
    let mut title = String::new();
    for &edge in &route.edges {
        let edge = &graph.edges[edge];
        let to = edge.to.map_or("the end", |to| &graph.node(to).name);
        if !title.is_empty() {
            title.push_str("; ");
        }
        let _ = write!(title, "{} to {to}", graph.node(edge.from).name);
        if !edge.label.is_empty() {
            let _ = write!(title, ": {}", edge.label);
        }
    }
    out.push_str("<g>");
    if !title.is_empty() {
        let _ = write!(out, "<title>{}</title>", xml(&title));
    }
    let _ = writeln!(out, "<path class=\"{classes}\" d=\"{}\" marker-end=\"url(#arrow)\"/></g>", path(&route.points));
    if let Some((lines, rect)) = &route.label {
        let _ = writeln!(out, "<g class=\"label\"><rect {} rx=\"3\"/>", sides(rect));
        for (index, line) in lines.iter().enumerate() {
            let baseline = rect.y + 2.0 + SMALL_LINE * (index as f64 + 0.78);
            text(rect.x + rect.width / 2.0, baseline, SMALL_FONT, " class=\"small\"", line, out);
        }
        out.push_str("</g>\n");
    }
}

/// Straight where a line goes straight down, a curve where it moves aside.
fn path(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    let mut last: Option<(f64, f64)> = None;
    for &(x, y) in points {
        match last {
            None => {
                let _ = write!(path, "M{} {}", number(x), number(y));
            }
            Some((before_x, before_y)) if (before_x - x).abs() < 0.05 || (before_y - y).abs() < 0.05 => {
                let _ = write!(path, "L{} {}", number(x), number(y));
            }
            Some((before_x, before_y)) => {
                let middle = number(f64::midpoint(before_y, y));
                let _ =
                    write!(path, "C{} {middle} {} {middle} {} {}", number(before_x), number(x), number(x), number(y));
            }
        }
        last = Some((x, y));
    }
    path
}

fn dot(rect: Rect, class: &str, title: &str) -> String {
    let (x, y) = (number(rect.x + DOT / 2.0), number(rect.y + DOT / 2.0));
    let inner = if class == "end" { 4.0 } else { DOT / 2.0 };
    let ring = if class == "end" {
        format!("<circle class=\"ring\" cx=\"{x}\" cy=\"{y}\" r=\"{}\"/>", number(DOT / 2.0 - 1.0))
    } else {
        String::new()
    };
    format!("<g><title>{title}</title>{ring}<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"{}\"/></g>", number(inner))
}

fn entry_width(class: Class) -> f64 {
    crate::text::width(class.words()) * SMALL_FONT + 40.0
}

fn legend(used: &[Class], y: f64, out: &mut String) {
    let mut x = MARGIN;
    for class in used {
        let rect = Rect { x, y, width: 16.0, height: 14.0 };
        let _ = writeln!(out, "<g class=\"{}\"><rect class=\"state\" {} rx=\"3\"/>", class.as_str(), sides(&rect));
        text(x + 8.0, y + 11.0, SMALL_FONT, "", sign(*class), out);
        let _ = writeln!(
            out,
            "</g><text x=\"{}\" y=\"{}\" font-size=\"{}\" style=\"text-anchor:start\">{}</text>",
            number(x + 21.0),
            number(y + 11.0),
            number(SMALL_FONT),
            class.words()
        );
        x += entry_width(*class);
    }
}

fn text(x: f64, y: f64, size: f64, attributes: &str, text: &str, out: &mut String) {
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{attributes}>{}</text>",
        number(x),
        number(y),
        number(size),
        xml(text)
    );
}

fn sides(rect: &Rect) -> String {
    let Rect { x, y, width, height } = rect;
    format!("x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"", number(*x), number(*y), number(*width), number(*height))
}

/// A number with one digit behind the point at most.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
