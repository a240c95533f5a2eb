//! The fields of JSONata states, kept as written. What is checked is where an expression begins and ends; its own
//! grammar is not known here.

use std::sync::Arc;

use serde_json::Value;

use super::fields::Fields;
use super::{Checker, Step};
use crate::definition::JsonataFields;
use crate::json::{Member, Node, NodeValue};

/// The text between `{%` and `%}`, if the whole string is an expression.
fn expression(text: &str) -> Option<&str> {
    text.strip_prefix("{%")?.strip_suffix("%}")
}

fn is_marked(text: &str) -> bool {
    text.starts_with("{%") || text.ends_with("%}")
}

impl<'t> Checker<'t> {
    /// `Arguments`, `Output` and `Assign`.
    pub(super) fn jsonata_fields(&mut self, fields: &Fields<'t>) -> JsonataFields {
        self.variable_names(fields);
        let assign = self.object_member(fields, "Assign").is_some();
        JsonataFields {
            arguments: self.jsonata(fields, "Arguments"),
            output: self.jsonata(fields, "Output"),
            assign: if assign { self.jsonata(fields, "Assign") } else { None },
        }
    }

    /// A member with expressions at any depth.
    pub(super) fn jsonata(&mut self, fields: &Fields<'t>, name: &str) -> Option<Value> {
        let node = fields.get(name)?;
        self.below(&Step::Member(name), |checker| checker.balanced(node));
        Some(node.to_value())
    }

    /// A member that is marked as an expression: its text, or none after saying that the marks do not match.
    /// The outer none is a member without marks.
    pub(super) fn marked(&mut self, fields: &Fields<'t>, name: &str) -> Option<Option<Arc<str>>> {
        let node = fields.get(name)?;
        let text = node.as_str().filter(|text| is_marked(text))?;
        self.below(&Step::Member(name), |checker| checker.balanced(node));
        Some(expression(text).map(Arc::from))
    }

    /// Every string that opens an expression closes it, and the other way round.
    fn balanced(&mut self, node: &'t Node) {
        match &node.value {
            NodeValue::String(text) => {
                if is_marked(text) && expression(text).is_none() {
                    self.invalid("JSONata string must start with {% and end with %}", node);
                }
            }
            NodeValue::Object(members) => {
                for Member { key, value, .. } in members {
                    self.below(&Step::Member(key), |checker| checker.balanced(value));
                }
            }
            NodeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let length = self.location.len();
                    self.location.push_str(&format!("[{index}]"));
                    self.balanced(item);
                    self.location.truncate(length);
                }
            }
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => {}
        }
    }
}
