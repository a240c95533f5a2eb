//! Writes a parsed pattern in the syntax of the linear-time engine.
//!
//! Everything is spelt out, as ranges of code points and without flags, so that
//! nothing depends on what the engine's own classes and modes mean.

use super::parse::{Assertion, Node};

/// A group as the engine numbers them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// The slot of the repeated group around this one. JavaScript forgets what
    /// groups captured whenever a repetition around them starts over; here a
    /// capture counts only if it lies within the last round.
    pub(super) round: Option<usize>,
}

/// A pattern for the engine.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    pub(super) text: String,
    /// By the engine's numbers; slot 0 is the whole match.
    pub(super) slots: Vec<Slot>,
    /// For each group of the JavaScript pattern, its slot.
    pub(super) groups: Vec<usize>,
}

impl Rendered {
    pub(super) fn of(node: &Node) -> Self {
        let mut rendered = Self { slots: vec![Slot { round: None }], ..Self::default() };
        rendered.node(node, None, false);
        rendered
    }

    /// `repeated` is set for the body of a repetition of more than one round.
    fn node(&mut self, node: &Node, round: Option<usize>, repeated: bool) {
        match node {
            Node::Empty => self.text.push_str("(?:)"),
            Node::Set(set) => set.render(&mut self.text),
            Node::Assertion(assertion) => self.text.push_str(match assertion {
                Assertion::Start => "\\A",
                Assertion::End => "\\z",
                Assertion::LineStart => "(?mR:^)",
                Assertion::LineEnd => "(?mR:$)",
                Assertion::Boundary => "(?-u:\\b)",
                Assertion::NoBoundary => "(?-u:\\B)",
            }),
            Node::Group { captures, body } => {
                let marks_rounds = repeated && has_captures(body);
                let mut inner = round;
                if *captures || marks_rounds {
                    let slot = self.slots.len();
                    self.slots.push(Slot { round });
                    if *captures {
                        self.groups.push(slot);
                    }
                    if marks_rounds {
                        inner = Some(slot);
                    }
                    self.text.push('(');
                } else {
                    self.text.push_str("(?:");
                }
                self.node(body, inner, false);
                self.text.push(')');
            }
            Node::Repeat { body, least, most, lazy } => {
                self.node(body, round, most.is_none_or(|most| most > 1));
                self.text.push_str(&match (least, most) {
                    (0, None) => "*".to_owned(),
                    (1, None) => "+".to_owned(),
                    (0, Some(1)) => "?".to_owned(),
                    (least, None) => format!("{{{least},}}"),
                    (least, Some(most)) => format!("{{{least},{most}}}"),
                });
                if *lazy {
                    self.text.push('?');
                }
            }
            Node::Sequence(nodes) => nodes.iter().for_each(|node| self.node(node, round, false)),
            Node::Alternatives(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    if index > 0 {
                        self.text.push('|');
                    }
                    self.node(node, round, false);
                }
            }
        }
    }
}

fn has_captures(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Set(_) | Node::Assertion(_) => false,
        Node::Group { captures, body } => *captures || has_captures(body),
        Node::Repeat { body, .. } => has_captures(body),
        Node::Sequence(nodes) | Node::Alternatives(nodes) => nodes.iter().any(has_captures),
    }
}

/// About how many states the automaton of `node` has.
pub(super) fn weight(node: &Node) -> u64 {
    match node {
        Node::Empty | Node::Assertion(_) => 1,
        Node::Set(set) => set.weight(),
        Node::Group { body, .. } => weight(body).saturating_add(1),
        Node::Repeat { body, least, most, .. } => {
            let rounds = most.unwrap_or_else(|| least.saturating_add(1)).max(1);
            weight(body).saturating_mul(u64::from(rounds))
        }
        Node::Sequence(nodes) | Node::Alternatives(nodes) => {
            nodes.iter().fold(0, |sum, node| sum.saturating_add(weight(node)))
        }
    }
}
