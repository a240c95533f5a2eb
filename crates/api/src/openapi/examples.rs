//! A typical request and answer of each operation, with a line on what it is for. The file holds no rules; that its
//! requests pass the real ones is tested.

use serde_json::Value;

const TEXT: &str = include_str!("../../model/examples.json");

/// The examples by operation: `tag`, `summary`, `request`, `response`.
pub(super) fn all() -> Value {
    serde_json::from_str(TEXT).expect("a part of the source, which a test reads")
}
