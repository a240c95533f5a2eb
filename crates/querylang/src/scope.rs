//! What an evaluation may read: its input, the context object, variables and
//! random bits. Nothing else: no clock, no process state.

use serde_json::Value;

/// What an evaluation may read besides its input.
pub trait Environment {
    /// The context object, `$$`.
    fn context(&self) -> &Value;

    /// A part of the context object, for callers that would rather not build all of it: the value at the first
    /// `taken` of these names, and `taken`. `None`: look in [`context`](Self::context).
    ///
    /// What it gives must be what the whole context object holds there.
    fn context_part(&self, names: &[&str]) -> Option<(usize, &Value)> {
        let _ = names;
        None
    }

    /// The variable `$name`; the name comes without the `$`.
    fn variable(&self, name: &str) -> Option<&Value>;

    /// The next 64 random bits, for `States.UUID` and `States.MathRandom`.
    ///
    /// The caller decides where they come from; a durable caller derives them
    /// from a stored seed, so that a replay gives the same values.
    fn random(&self) -> u64;
}

/// The input of one evaluation and its surroundings.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// What `$` means.
    pub input: &'a Value,
    /// What `$$`, `$name` and the random functions mean.
    pub environment: &'a dyn Environment,
}

impl std::fmt::Debug for Scope<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scope").field("input", &self.input).finish_non_exhaustive()
    }
}

/// Where a path starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root<'p> {
    /// `$`: the input.
    Input,
    /// `$$`: the context object.
    Context,
    /// `$name`: a variable.
    Variable(&'p str),
}
