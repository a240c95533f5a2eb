//! What a search costs: how far it looks, and what it builds on the way.
//!
//! A search may end at once or look at all that is left, whatever the pattern
//! and whatever it finds. So the text is passed over by a lazy automaton first,
//! which looks at exactly the bytes that the search looks at, one after the
//! other: what it takes is counted, and it can be stopped.

use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

/// Bytes between two settlements.
const CHUNK: usize = 4 << 10;
/// Bytes that are looked at for one step: twice, by the automaton and by the search.
const BYTES_PER_STEP: usize = 16;
/// Bytes of states built for one step, likewise.
const BUILT_PER_STEP: usize = 8;

/// The automaton of a pattern.
#[derive(Debug)]
pub(super) struct Meter(DFA);

/// What an evaluation has built of an automaton so far.
#[derive(Debug)]
pub(crate) struct Measured {
    cache: Cache,
    /// The most memory that was charged for.
    charged: usize,
}

impl Meter {
    /// The automaton of a pattern in the engine's syntax; `None` if it takes more than `memory` bytes.
    pub(super) fn new(pattern: &str, memory: usize) -> Option<Self> {
        let config =
            DFA::config().cache_capacity(memory).skip_cache_capacity_check(true).minimum_cache_clear_count(None);
        let dfa = DFA::builder()
            .configure(config)
            .syntax(syntax::Config::new().nest_limit(1_000))
            .thompson(thompson::Config::new().nfa_size_limit(Some(memory)))
            .build(pattern);
        dfa.ok().map(Self)
    }

    pub(super) fn start(&self) -> Measured {
        Measured { cache: self.0.create_cache(), charged: 0 }
    }

    /// Passes over what a search from byte `from` on looks at; up to the first match if that is all that is `asked`.
    /// `spend` is told of steps and of memory.
    pub(super) fn look<E>(
        &self,
        measured: &mut Measured,
        (text, from): (&str, usize),
        asked: Asked,
        spend: &mut dyn FnMut(u64, usize) -> Result<(), E>,
    ) -> Result<(), E> {
        let Measured { cache, charged } = measured;
        let mut before = cache.memory_usage();
        let mut settle = |cache: &Cache, bytes: usize| {
            let now = cache.memory_usage();
            // What was built anew after everything was thrown away counts as well.
            let built = if now >= before { now - before } else { now };
            before = now;
            let more = now.saturating_sub(*charged);
            *charged = now.max(*charged);
            // The search keeps as much of its own, forwards and backwards.
            spend((bytes / BYTES_PER_STEP + built / BUILT_PER_STEP) as u64, more * 3)
        };
        let input = Input::new(text).range(from..).anchored(Anchored::No);
        let Ok(mut state) = self.0.start_state_forward(cache, &input) else { return settle(cache, text.len() - from) };
        let mut looked = 0;
        for byte in &text.as_bytes()[from..] {
            looked += 1;
            match self.0.next_state(cache, state, *byte) {
                Ok(next) => state = next,
                // It never gives up, so there is no other state.
                Err(_) => break,
            }
            if state.is_tagged() && (state.is_dead() || (asked == Asked::Whether && state.is_match())) {
                break;
            }
            if looked == CHUNK {
                settle(cache, looked)?;
                looked = 0;
            }
        }
        settle(cache, looked)
    }
}

/// What is asked of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Where the match is.
    Where,
    /// Whether there is one.
    Whether,
}
