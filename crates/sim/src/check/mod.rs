//! What must be true of every run, a file for each. A checker is told what happened and complains when that breaks its
//! rule; it never changes anything, and it never believes the part that it checks.

pub(crate) mod express;
pub(crate) mod fold;
pub(crate) mod history;
pub(crate) mod jobs;
pub(crate) mod liveness;
pub(crate) mod map_runs;
pub(crate) mod names;
pub(crate) mod replies;
pub(crate) mod results;
pub(crate) mod slots;
pub(crate) mod store;
pub(crate) mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod timers;
pub(crate) mod told;
pub(crate) mod turns;

use std::fmt;

/// What a checker found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The checker: the name of its file.
    pub checker: &'static str,
    /// What its rule says.
    pub expected: String,
    /// What happened.
    pub seen: String,
}

impl Complaint {
    pub(crate) fn new(checker: &'static str, expected: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { checker, expected: expected.into(), seen: seen.into() }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "checker {}\n  expected: {}\n  seen:     {}", self.checker, self.expected, self.seen)
    }
}

pub(crate) type Checked = Result<(), Complaint>;

/// A complaint unless something is so.
pub(crate) fn ensure(is_so: bool, checker: &'static str, expected: &str, seen: impl FnOnce() -> String) -> Checked {
    if is_so { Ok(()) } else { Err(Complaint::new(checker, expected, seen())) }
}
