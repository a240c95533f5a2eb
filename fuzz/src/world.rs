//! What evaluations see besides their input.

use std::cell::Cell;

use serde_json::{Value, json};
use stepwright_querylang::{Environment, Scope};

/// Documents of more bytes are cut: evaluation is bounded by the size of text and document, and time is short.
const MAX_DOCUMENT: usize = 4 * 1024;

pub(crate) struct World {
    context: Value,
    variables: Value,
    bits: Cell<u64>,
}

impl Environment for World {
    fn context(&self) -> &Value {
        &self.context
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    fn random(&self) -> u64 {
        let bits = self.bits.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.bits.set(bits);
        bits.wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }
}

impl World {
    /// The same one every time.
    pub(crate) fn new() -> Self {
        Self {
            context: json!({"Execution": {"Name": "first", "Input": {"csv": "x,y", "list": [1, 2]}}}),
            variables: json!({"answer": 42, "list": [1, "2", null, {"a": [10, 20]}]}),
            bits: Cell::new(0),
        }
    }
}

/// Runs `test` in a scope with this input; the same one every time.
pub(crate) fn within<T>(input: &Value, test: impl FnOnce(&Scope<'_>) -> T) -> T {
    test(&Scope { input, environment: &World::new() })
}

/// The document in these bytes, or one that has a little of everything.
pub(crate) fn document(bytes: &[u8]) -> Value {
    serde_json::from_slice(&bytes[..bytes.len().min(MAX_DOCUMENT)]).unwrap_or_else(|_| {
        json!({
            "a": {"b": [1, 2.5, -3, "x", null, true], "c": {"a": "y"}}, "b": [[1, 2], [3]], "s": "a,b", "n": 3,
            "j": "{\"a\":[1]}", "e": [], "o": {}, "quote'd": "\\", "\u{e9}": [{"a": 1}, {"a": 2, "b": 3}]
        })
    })
}
