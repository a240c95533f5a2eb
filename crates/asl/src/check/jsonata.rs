//! The fields of JSONata states: JSON in which strings marked `{% … %}` are expressions. They are compiled here, once,
//! and what the service refuses of them is said here; nothing is evaluated.

use stepwright_querylang::jsonata::{Members, Refusal, StatesExpression, StatesTemplate};

use super::fields::Fields;
use super::{Checker, Step};
use crate::definition::{JsonataFields, QueryLanguage};
use crate::diagnostic::Code;
use crate::json::{Member, Node, NodeValue};

/// Whether a string is meant as an expression: it opens one or closes one.
pub(super) fn is_marked(text: &str) -> bool {
    text.starts_with("{%") || text.ends_with("%}")
}

impl<'t> Checker<'t> {
    /// `Arguments`, `Output` and `Assign`. `members` are those that `$states` has in the latter two.
    pub(super) fn jsonata_fields(&mut self, fields: &Fields<'t>, members: Members) -> JsonataFields {
        self.variable_names(fields, QueryLanguage::Jsonata);
        let assign = self.object_member(fields, "Assign").is_some();
        JsonataFields {
            arguments: self.jsonata(fields, "Arguments", Members::INPUT),
            output: self.jsonata(fields, "Output", members),
            assign: if assign { self.jsonata(fields, "Assign", members) } else { None },
        }
    }

    /// A member with expressions at any depth.
    pub(super) fn jsonata(&mut self, fields: &Fields<'t>, name: &str, members: Members) -> Option<StatesTemplate> {
        let node = fields.get(name)?;
        self.below(&Step::Member(name), |checker| {
            let mut expressions = Vec::new();
            checker.marks(node, &mut expressions);
            let location = checker.location_in_state().to_owned();
            match StatesTemplate::compile(&node.to_value(), &location, members) {
                Ok(template) => Some(template),
                Err(refused) => {
                    let state = checker.location[..checker.state_location].to_owned();
                    for refused in refused {
                        checker.location = format!("{state}{}", refused.location);
                        let at = expressions.iter().find(|(location, _)| *location == checker.location);
                        checker.refuse(&refused.refusal, at.map_or(node, |(_, node)| node));
                    }
                    checker.location = state + &location;
                    None
                }
            }
        })
    }

    /// A member that is marked as an expression, compiled, or none after saying what is wrong with it.
    /// The outer none is a member without marks.
    pub(super) fn marked(&mut self, fields: &Fields<'t>, name: &str) -> Option<Option<StatesExpression>> {
        let node = fields.get(name)?;
        let text = node.as_str().filter(|text| is_marked(text))?;
        Some(self.below(&Step::Member(name), |checker| {
            checker.marks(node, &mut Vec::new());
            let text = StatesExpression::marked(text)?;
            match StatesExpression::compile(text, checker.location_in_state(), Members::INPUT) {
                Ok(expression) => Some(expression),
                Err(refusals) => {
                    refusals.iter().for_each(|refusal| checker.refuse(refusal, node));
                    None
                }
            }
        }))
    }

    fn refuse(&mut self, refusal: &Refusal, node: &Node) {
        let code = match refusal {
            Refusal::Syntax(_) => Code::InvalidJsonataExpression,
            Refusal::TopLevel(_) => Code::UnsupportedJsonataExpression,
        };
        self.say(code, refusal.to_string(), node);
    }

    /// The place of what is being checked, from its state on: `Choices[0]/Output`.
    fn location_in_state(&self) -> &str {
        &self.location[self.state_location..]
    }

    /// Every string that opens an expression closes it, and the other way round. Finds the strings that do, with
    /// their places.
    fn marks(&mut self, node: &'t Node, expressions: &mut Vec<(String, &'t Node)>) {
        match &node.value {
            NodeValue::String(text) => {
                if StatesExpression::marked(text).is_some() {
                    expressions.push((self.location.clone(), node));
                } else if is_marked(text) {
                    self.invalid("JSONata string must start with {% and end with %}", node);
                }
            }
            NodeValue::Object(members) => {
                for Member { key, value, .. } in members {
                    self.below(&Step::Member(key), |checker| checker.marks(value, expressions));
                }
            }
            NodeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let length = self.location.len();
                    self.location.push_str(&format!("[{index}]"));
                    self.marks(item, expressions);
                    self.location.truncate(length);
                }
            }
            NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => {}
        }
    }
}
