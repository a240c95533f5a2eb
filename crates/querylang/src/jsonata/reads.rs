//! What an expression reads of the variables it is given: whole values, or only some of their fields.
//!
//! A workflow's data is JSON, and expressions run on values of their own. With this, only what an expression may look
//! at is made a value: `$states.input.order.id` costs one text however large the order is. What is left out must never
//! be missed, so whatever is not plainly a path of names counts as reading everything.

use super::ast::{Ast, AstKind, Operator};
use super::value::{Array, Object, Text, Value};
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Which parts of a value are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// All of it.
    pub(crate) whole: bool,
    /// These fields, of the value or of the items of the array that it is.
    pub(crate) members: BTreeMap<Text, Shape>,
}

/// What is read of each variable.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    variables: BTreeMap<Text, Shape>,
    /// A step looks up (`%`) or keeps the item of the step before (`@`): fields of enclosing objects may be read.
    reaches_up: bool,
}

impl Reads {
    pub(crate) fn of(ast: &Ast) -> Self {
        let mut reads = Self::default();
        reads.visit(ast);
        reads
    }

    /// What is read of a variable, as far as the text says.
    pub(crate) fn named(&self, variable: &str) -> Option<&Shape> {
        self.variables.get(variable)
    }

    /// The fields of a variable that have to be there; none: all of it.
    pub(crate) fn needed(&self, variable: &str) -> Option<&Shape> {
        if self.reaches_up { None } else { self.named(variable).filter(|shape| !shape.whole) }
    }

    fn visit(&mut self, ast: &Ast) {
        let mut names = Vec::new();
        if let Some(variable) = chain(ast, &mut names) {
            self.mark(variable, &names);
            return;
        }
        match &ast.kind {
            AstKind::Parent | AstKind::Focus(..) => self.reaches_up = true,
            AstKind::Binary(Operator::Map, left, right) => {
                if let (Some(variable), Some(name)) = (chain(left, &mut names), filtered_name(right)) {
                    names.push(name);
                    self.mark(variable, &names);
                    self.filters(right);
                    return;
                }
            }
            _ => {}
        }
        ast.for_each_child(&mut |child| self.visit(child));
    }

    fn filters(&mut self, step: &Ast) {
        if let AstKind::Filter(inner, predicate) = &step.kind {
            self.filters(inner);
            self.visit(predicate);
        }
    }

    fn mark(&mut self, variable: &Text, names: &[&Text]) {
        let mut shape = self.variables.entry(Text::clone(variable)).or_default();
        for name in names {
            shape = shape.members.entry(Text::clone(name)).or_default();
        }
        shape.whole = true;
    }
}

/// `$variable.name.name`: the variable, and the names in their order.
fn chain<'a>(ast: &'a Ast, names: &mut Vec<&'a Text>) -> Option<&'a Text> {
    match &ast.kind {
        AstKind::Variable(name) if !name.is_empty() && &**name != "$" => Some(name),
        AstKind::Binary(Operator::Map, left, right) => {
            let AstKind::Name(name) = &right.kind else { return None };
            let variable = chain(left, names)?;
            names.push(name);
            Some(variable)
        }
        _ => None,
    }
}

/// `name[…]`: the name.
fn filtered_name(ast: &Ast) -> Option<&Text> {
    match &ast.kind {
        AstKind::Name(name) => Some(name),
        AstKind::Filter(inner, _) => filtered_name(inner),
        _ => None,
    }
}

/// The parts of a document that are read, as a value.
pub(crate) fn project(json: &Json, shape: Option<&Shape>) -> Value {
    let Some(shape) = shape.filter(|shape| !shape.whole) else { return Value::from_json(json) };
    match json {
        Json::Array(items) => {
            let items: Vec<Value> = items.iter().map(|item| project(item, Some(shape))).collect();
            Value::from(Array::new(items))
        }
        Json::Object(members) => {
            let mut object = Object::with_capacity(shape.members.len());
            for (name, shape) in &shape.members {
                if let Some(member) = members.get(&**name) {
                    object.push_new(Text::clone(name), project(member, Some(shape)));
                }
            }
            Value::from(object)
        }
        _ => Value::from_json(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonata::Expression;
    use serde_json::json;

    fn projected(text: &str, value: &Json) -> Option<Json> {
        let reads = Reads::of(Expression::compile(text).expect("it compiles").ast());
        project(value, reads.needed("v")).to_json(10_000).expect("it is JSON")
    }

    #[test]
    fn only_the_fields_that_are_named_are_made_values() {
        let value = json!({"a": {"b": 1, "c": 2}, "list": [{"x": 1, "y": 2}, {"y": 3}, 4], "z": 5});
        for (text, expected) in [
            ("$v.a.b", json!({"a": {"b": 1}})),
            ("$v.a.b + $v.z", json!({"a": {"b": 1}, "z": 5})),
            ("$v.a.b + $v.a", json!({"a": {"b": 1, "c": 2}})),
            ("$v.list.x", json!({"list": [{"x": 1}, {}, 4]})),
            ("$v.list[y = 3].x", json!({"list": [{"x": 1, "y": 2}, {"y": 3}, 4]})),
            ("$v.list[$v.z = y]", json!({"list": [{"x": 1, "y": 2}, {"y": 3}, 4], "z": 5})),
            ("$sum($v.list.y)", json!({"list": [{"y": 2}, {"y": 3}, 4]})),
        ] {
            assert_eq!(projected(text, &value), Some(expected), "{text}");
        }
    }

    #[test]
    fn whatever_is_not_plainly_a_path_reads_everything() {
        let value = json!({"a": {"b": 1}, "c": [1]});
        for text in ["$v", "$v.*", "$v.**.b", "$keys($v)", "$v.a.(b + %.c)", "$v.a@$a.c", "$v[a]", "$v.(a)", "$v ~> $f"]
        {
            assert_eq!(projected(text, &value), Some(value.clone()), "{text}");
        }
    }
}
