//! Advice beyond the service's own validation: definitions that are valid and probably do not do what their author
//! meant, or only as long as nothing goes wrong.
//!
//! A file per family of rules. A rule says that something *never* or *always* happens only if that follows from the
//! definition alone, whatever the input: what it cannot decide, it leaves alone. There is no clock here; who wants
//! times judged brings the time.

mod choice;
mod condition;
mod errors;
mod flow;
mod payload;
mod place;
mod rule;
mod tasks;
mod time;
mod variables;

use std::collections::BTreeSet;

use crate::definition::{Definition, State, StateId};
use crate::diagnostic::Span;
use crate::json::{self, Node};
use crate::{Options, check, diagnostic};

use place::Place;
pub use rule::Rule;

/// A definition has at most this many findings; further ones are not collected.
const MAX_FINDINGS: usize = 1_000;

/// Pairs of choice rules that are compared in a definition; a Choice of a thousand rules has half a million.
const MAX_COMPARISONS: usize = 10_000;

/// Something that deserves a second look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule found it.
    pub rule: Rule,
    /// What is so.
    pub message: String,
    /// What to do about it.
    pub suggestion: String,
    /// A slash path from the root, as in diagnostics: `/States/A/Choices[1]`.
    pub location: String,
    /// The place in the text.
    pub span: Span,
}

/// Judges a definition. One that is not valid has no findings: its errors come first.
///
/// `now_ms` is the time that waits are compared with, in milliseconds since 1970.
///
/// ```
/// use stepwright_asl::{Options, lint::lint};
/// let text = r#"{"StartAt": "C", "States": {"C": {"Type": "Choice", "Choices": [
///     {"Variable": "$.n", "NumericEquals": 1, "Next": "A"}]}, "A": {"Type": "Succeed"}}}"#;
/// let findings = lint(text, &Options::default(), None);
/// assert_eq!(findings[0].rule.code(), "CHOICE_WITHOUT_DEFAULT");
/// assert_eq!(findings[0].location, "/States/C");
/// ```
#[must_use]
pub fn lint(text: &str, options: &Options, now_ms: Option<i64>) -> Vec<Finding> {
    let Ok(root) = json::parse(text, options.max_depth) else { return Vec::new() };
    if root.as_object().is_none() {
        return Vec::new();
    }
    let Some(definition) = check::definition(&root, options).definition else { return Vec::new() };
    let mut linter = Linter {
        definition: &definition,
        options,
        now_ms,
        places: place::places(&root),
        never: Never::default(),
        comparisons: MAX_COMPARISONS,
        findings: Vec::new(),
    };
    for state in &definition.states {
        linter.choice(state);
        linter.errors(state);
        linter.task(state);
        linter.payload(state);
        linter.time(state);
    }
    linter.variables();
    // Last: it knows by then which transitions never happen.
    linter.flow();
    let mut findings = linter.findings;
    findings.sort_by_key(|finding| (finding.span.start, finding.span.end, finding.rule));
    diagnostic::locate_spans(text, findings.iter_mut().map(|finding| &mut finding.span).collect());
    findings
}

/// Transitions that never happen: by state, and the number of the rule or catcher.
#[derive(Default)]
struct Never {
    rules: BTreeSet<(StateId, usize)>,
    defaults: BTreeSet<StateId>,
    catchers: BTreeSet<(StateId, usize)>,
}

struct Linter<'d> {
    definition: &'d Definition,
    options: &'d Options,
    now_ms: Option<i64>,
    places: Vec<Place<'d>>,
    never: Never,
    /// Comparisons of two rules that may still be made.
    comparisons: usize,
    findings: Vec<Finding>,
}

impl<'d> Linter<'d> {
    fn place(&self, state: &State) -> &Place<'d> {
        &self.places[state.id.0 as usize]
    }

    /// The object of a state.
    fn node(&self, state: &State) -> &'d Node {
        self.place(state).node
    }

    /// A finding about a state, or with `below` about a part of it such as `Choices[1]/Next`.
    fn find(
        &mut self,
        rule: Rule,
        state: &State,
        below: &str,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        let place = self.place(state);
        let (location, node) = (place.location.clone(), place.node);
        self.find_at(rule, &location, node, below, message, suggestion);
    }

    fn find_at(
        &mut self,
        rule: Rule,
        location: &str,
        node: &'d Node,
        below: &str,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        if self.findings.len() >= MAX_FINDINGS {
            return;
        }
        let node = place::below(node, below).unwrap_or(node);
        let location = if below.is_empty() { location.to_owned() } else { format!("{location}/{below}") };
        self.findings.push(Finding {
            rule,
            message: message.into(),
            suggestion: suggestion.into(),
            location,
            span: Span { start: node.start, end: node.end, line: 0, column: 0 },
        });
    }
}

/// Names for a sentence: `a`, `b` and 3 more.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    const SHOWN: usize = 4;
    let names: Vec<&str> = names.into_iter().collect();
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
