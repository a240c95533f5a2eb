//! What a picture shows beside the definition: how an execution went, or what tests have visited.

use std::collections::BTreeMap;

use stepwright_asl::StateId;

use crate::Way;

/// How a state fared. Of a state that was entered more than once, its newest visit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// It was left well.
    Succeeded,
    /// It failed, and nothing caught the error.
    Failed,
    /// It failed, and one of its catchers took over.
    Caught,
    /// It was entered and not left.
    Running,
    /// It was never entered.
    NotVisited,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 5] = [Self::Succeeded, Self::Failed, Self::Caught, Self::Running, Self::NotVisited];

    /// Its name in texts that draw: `not-visited`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Caught => "caught",
            Self::Running => "running",
            Self::NotVisited => "not-visited",
        }
    }

    /// Fill, line and text on light ground.
    pub(crate) fn light(self) -> [&'static str; 3] {
        match self {
            Self::Succeeded => ["#d3f1dc", "#1d7f43", "#0b3d1f"],
            Self::Failed => ["#fbdada", "#b3261e", "#5c120e"],
            Self::Caught => ["#fdebc8", "#a86400", "#4f2f00"],
            Self::Running => ["#d6e6fd", "#1f5fbf", "#0d2d5e"],
            Self::NotVisited => ["#f2f2f2", "#8a8a8a", "#5f5f5f"],
        }
    }

    /// The same on dark ground.
    pub(crate) fn dark(self) -> [&'static str; 3] {
        match self {
            Self::Succeeded => ["#123d22", "#4cc37a", "#d9f7e3"],
            Self::Failed => ["#4d1613", "#f2827a", "#ffe3e1"],
            Self::Caught => ["#4a3206", "#f0b450", "#ffefd1"],
            Self::Running => ["#12305c", "#7db1ff", "#e2eeff"],
            Self::NotVisited => ["#262626", "#7d7d7d", "#b5b5b5"],
        }
    }

    /// Its name for people: `not visited`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NotVisited => "not visited",
            other => other.as_str(),
        }
    }
}

/// What is shown of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// How it fared.
    pub class: Class,
    /// A short text, such as how often; may be empty.
    pub note: String,
}

/// What a picture shows beside the definition. A state that has no mark was not visited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overlay {
    states: BTreeMap<StateId, Mark>,
    ways: BTreeMap<(StateId, Way), bool>,
}

impl Overlay {
    /// Says how a state fared; a later mark replaces an earlier one.
    pub fn mark(&mut self, state: StateId, class: Class, note: impl Into<String>) {
        self.states.insert(state, Mark { class, note: note.into() });
    }

    /// Says whether a way out of a state was taken. Ways of which nothing is said are drawn plainly.
    pub fn way(&mut self, from: StateId, way: Way, taken: bool) {
        self.ways.insert((from, way), taken);
    }

    /// What is shown of a state.
    #[must_use]
    pub fn state(&self, state: StateId) -> Mark {
        self.states.get(&state).cloned().unwrap_or_else(|| Mark { class: Class::NotVisited, note: String::new() })
    }

    /// Whether a way was taken, if that was said.
    #[must_use]
    pub fn taken(&self, from: StateId, way: Way) -> Option<bool> {
        self.ways.get(&(from, way)).copied()
    }
}
