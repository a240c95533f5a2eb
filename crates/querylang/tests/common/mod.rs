//! A world for evaluations: a context object, some variables, counted "random"
//! bits.

use serde_json::{Value, json};
use std::cell::Cell;
use stepwright_querylang::{Environment, Scope};

/// The surroundings of every test.
pub(crate) struct World {
    context: Value,
    variables: Value,
    bits: Cell<u64>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            context: json!({
                "Execution": {"Name": "first", "Input": {"csv": "x,y", "list": [1, 2]}},
                "StateMachine": {"Id": "arn:1", "Name": "orders"},
            }),
            variables: json!({"answer": 42, "größe_2": {"a": [10, 20]}, "nothing": null}),
            bits: Cell::new(0),
        }
    }
}

impl Environment for World {
    fn context(&self) -> &Value {
        &self.context
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.variables.get(name)
    }

    fn random(&self) -> u64 {
        // Any fixed sequence with all bits in motion.
        let bits = self.bits.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.bits.set(bits);
        bits.wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }
}

/// Runs `test` in a scope with this input.
pub(crate) fn within<T>(input: &Value, test: impl FnOnce(&Scope<'_>) -> T) -> T {
    let world = World::new();
    test(&Scope { input, environment: &world })
}
