//! What each part of an expression is worth, for people who look for the part that is wrong.
//!
//! The tree is compiled once more with a call around each part, which passes the part's value on and takes note of it.
//! Only parts whose meaning such a call cannot change are looked at: operands, arguments, conditions, predicates, members
//! and the like, and paths as a whole; not the single steps of a path. Nothing here may change what an expression yields.

use super::ast::{Ast, AstKind, MAX_NESTING, Operator, Pair, SortTerm};
use super::context::Context;
use super::error::{Error, Limit};
use super::function::Builtin;
use super::value::{Array, Text, Value};
use std::cell::RefCell;

/// How many values of a part that is evaluated again and again are kept.
const KEPT: usize = 3;

/// A part of an expression, and what it was worth.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its text, as the printer writes it.
    pub text: String,
    /// How many parts it lies in.
    pub depth: usize,
    /// How many times it yielded a value. 0: it was not reached, or failed.
    pub times: u64,
    /// The first of the values: at most three.
    pub values: Vec<Value>,
}

/// An evaluation and its parts, in the order of the text, each before those that lie in it.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// What the expression yielded.
    pub value: Result<Value, Error>,
    /// Its parts. Literals, names of functions and functions are none.
    pub parts: Vec<Part>,
}

/// The name of the call, which no text can spell.
const NAME: &str = "\0part";

/// The call: the part's number, and its value.
pub(super) static PART: Builtin = Builtin::new(NAME, "<nx:x>", 2, part);

fn part(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let [number, value] = arguments else { return Ok(Value::Undefined) };
    let value = std::mem::take(value);
    if let (Some(number), Some(seen)) = (number.as_number(), context.parts()) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was an index")]
        seen.take(number as usize, &value);
    }
    // The call's value is made normal. It is the part's value already, and must not become normal twice.
    Ok(Value::from(Array::sequence(vec![value])))
}

/// The parts of one evaluation.
#[derive(Default)]
pub struct Parts(RefCell<Vec<Part>>);

impl Parts {
    fn take(&self, number: usize, value: &Value) {
        if let Some(part) = self.0.borrow_mut().get_mut(number) {
            part.times += 1;
            if part.values.len() < KEPT {
                part.values.push(value.clone());
            }
        }
    }

    pub(super) fn into_parts(self) -> Vec<Part> {
        let mut parts = self.0.into_inner();
        // A function's name is no news, and nor is a function.
        parts.retain(|part| part.values.is_empty() || part.values.iter().any(|value| value.as_function().is_none()));
        parts
    }
}

/// The tree with a call around each part.
///
/// # Errors
/// U1001 if it becomes too deep.
pub(super) fn instrument(ast: &Ast, parts: &Parts) -> Result<Ast, Error> {
    // A call comes around each part. Said at once, so that nothing goes down where it can't come back from.
    if ast.depth > MAX_NESTING / 2 {
        return Err(Error::limit(Limit::Nesting));
    }
    let mut writer = Writer { parts: parts.0.borrow_mut(), depth: 0 };
    writer.look(ast).ok_or_else(|| Error::limit(Limit::Nesting))
}

struct Writer<'a> {
    parts: std::cell::RefMut<'a, Vec<Part>>,
    depth: usize,
}

/// Whether a step reaches up (`%`), or binds its item or position: the steps of such a path belong together.
fn binds_steps(ast: &Ast) -> bool {
    let mut found = matches!(ast.kind, AstKind::Parent | AstKind::Focus(..) | AstKind::Index(..));
    ast.for_each_child(&mut |child| found = found || binds_steps(child));
    found
}

/// Whether it is a number, with as many signs and filters as there may be.
fn is_number(ast: &Ast) -> bool {
    match &ast.kind {
        AstKind::Number(_) => true,
        AstKind::Negate(inner) | AstKind::Filter(inner, _) | AstKind::Group(inner, _) | AstKind::Focus(inner, _) => {
            is_number(inner)
        }
        _ => false,
    }
}

/// Whether it is an array as it is written, with as many filters as there may be.
fn is_array(ast: &Ast) -> bool {
    match &ast.kind {
        AstKind::Array(_) => true,
        AstKind::Filter(inner, _) | AstKind::Group(inner, _) | AstKind::Focus(inner, _) => is_array(inner),
        _ => false,
    }
}

/// Whether `[]` was said of what it comes to.
fn keeps_array(ast: &Ast) -> bool {
    ast.keep_array
        || match &ast.kind {
            AstKind::Binary(Operator::Apply, left, right) => keeps_array(left) || keeps_array(right),
            AstKind::Filter(left, _)
            | AstKind::Group(left, _)
            | AstKind::Sort(left, _)
            | AstKind::Focus(left, _)
            | AstKind::Index(left, _) => keeps_array(left),
            _ => false,
        }
}

/// Whether it is a path that begins with an array as it is written, or a block with such a path.
fn is_constructed(ast: &Ast) -> bool {
    match &ast.kind {
        AstKind::Block(items) => items.iter().any(is_constructed),
        AstKind::Binary(Operator::Map, left, _) => begins_with_array(left),
        AstKind::Filter(left, _)
        | AstKind::Group(left, _)
        | AstKind::Sort(left, _)
        | AstKind::Focus(left, _)
        | AstKind::Index(left, _) => is_constructed(left),
        _ => false,
    }
}

/// Whether the first step is an array as it is written.
fn begins_with_array(ast: &Ast) -> bool {
    match &ast.kind {
        AstKind::Array(_) => true,
        AstKind::Block(_) => is_constructed(ast),
        AstKind::Binary(Operator::Map, left, _)
        | AstKind::Filter(left, _)
        | AstKind::Group(left, _)
        | AstKind::Sort(left, _)
        | AstKind::Focus(left, _)
        | AstKind::Index(left, _) => begins_with_array(left),
        _ => false,
    }
}

impl Writer<'_> {
    /// A part whose value is looked at.
    fn look(&mut self, ast: &Ast) -> Option<Ast> {
        match &ast.kind {
            AstKind::Null
            | AstKind::Boolean(_)
            | AstKind::Number(_)
            | AstKind::String(_)
            | AstKind::Regex(_)
            | AstKind::Placeholder
            | AstKind::End => return Some(ast.clone()),
            // `-1` is a literal too, and so is `1[x]`: as a predicate it picks an item, as literals do.
            _ if is_number(ast) => return Some(ast.clone()),
            // A binding is seen by those beside it, and a function is named by who binds it.
            AstKind::Bind(..) | AstKind::Lambda(..) => return self.inside(ast),
            _ => {}
        }
        let number = self.parts.len();
        self.parts.push(Part { text: ast.to_string(), depth: self.depth, times: 0, values: Vec::new() });
        self.depth += 1;
        let inner = self.inside(ast)?;
        self.depth -= 1;
        let at = ast.position;
        #[expect(clippy::cast_precision_loss, reason = "an index of parts")]
        let number = Ast::new(AstKind::Number(number as f64), at)?;
        let procedure = Ast::new(AstKind::Variable(Text::from(NAME)), at)?;
        Ast::new(AstKind::Call(Box::new(procedure), vec![number, inner]), at)
    }

    /// The same node with its own parts looked at.
    fn inside(&mut self, ast: &Ast) -> Option<Ast> {
        let kind = match &ast.kind {
            AstKind::Negate(operand) => AstKind::Negate(self.boxed(operand)?),
            AstKind::Binary(Operator::Map, ..) | AstKind::Filter(..) | AstKind::Group(..) | AstKind::Sort(..)
                if binds_steps(ast) =>
            {
                return Some(ast.clone());
            }
            AstKind::Binary(Operator::Map, left, right) => {
                AstKind::Binary(Operator::Map, self.boxed_inside(left)?, self.boxed_inside(right)?)
            }
            AstKind::Binary(Operator::Apply, left, right) => {
                // What keeps an array makes the function that it is given to keep one.
                let left = if keeps_array(left) { self.boxed_inside(left)? } else { self.boxed(left)? };
                AstKind::Binary(Operator::Apply, left, self.boxed_inside(right)?)
            }
            AstKind::Binary(operator, left, right) => AstKind::Binary(*operator, self.boxed(left)?, self.boxed(right)?),
            AstKind::Filter(left, predicate) => AstKind::Filter(self.boxed_inside(left)?, self.boxed(predicate)?),
            AstKind::Group(left, pairs) => AstKind::Group(self.boxed_inside(left)?, self.pairs(pairs)?),
            AstKind::Sort(left, terms) => {
                let left = self.boxed_inside(left)?;
                let term = |term: &SortTerm| {
                    Some(SortTerm { descending: term.descending, expression: self.look(&term.expression)? })
                };
                AstKind::Sort(left, terms.iter().map(term).collect::<Option<_>>()?)
            }
            AstKind::Bind(name, value) => AstKind::Bind(Text::clone(name), self.boxed(value)?),
            // An array in an array stays one because it is written as one.
            AstKind::Array(items) => AstKind::Array(
                self.each(items, |item| is_array(item) || matches!(item.kind, AstKind::Binary(Operator::Range, ..)))?,
            ),
            AstKind::Object(pairs) => AstKind::Object(self.pairs(pairs)?),
            // So does a path that begins with one, and a block that holds it.
            AstKind::Block(items) => AstKind::Block(self.each(items, is_constructed)?),
            AstKind::Call(procedure, arguments) => {
                AstKind::Call(self.procedure(procedure)?, self.each(arguments, |_| false)?)
            }
            AstKind::Partial(procedure, arguments) => {
                AstKind::Partial(self.procedure(procedure)?, self.each(arguments, |_| false)?)
            }
            AstKind::Lambda(parameters, signature, body) => {
                AstKind::Lambda(parameters.clone(), signature.clone(), self.boxed(body)?)
            }
            AstKind::Condition(condition, then, otherwise) => {
                let (condition, then) = (self.boxed(condition)?, self.boxed(then)?);
                let otherwise = match otherwise {
                    Some(otherwise) => Some(self.boxed(otherwise)?),
                    None => None,
                };
                AstKind::Condition(condition, then, otherwise)
            }
            _ => return Some(ast.clone()),
        };
        let node = Ast::new(kind, ast.position)?;
        Some(Ast { keep_array: ast.keep_array, ..node })
    }

    fn boxed(&mut self, ast: &Ast) -> Option<Box<Ast>> {
        self.look(ast).map(Box::new)
    }

    fn boxed_inside(&mut self, ast: &Ast) -> Option<Box<Ast>> {
        self.inside(ast).map(Box::new)
    }

    /// What is called: its name is no part, but a function written on the spot has parts.
    fn procedure(&mut self, procedure: &Ast) -> Option<Box<Ast>> {
        match &procedure.kind {
            AstKind::Lambda(..) | AstKind::Block(_) => self.boxed_inside(procedure),
            _ => Some(Box::new(procedure.clone())),
        }
    }

    fn each(&mut self, items: &[Ast], as_written: impl Fn(&Ast) -> bool) -> Option<Vec<Ast>> {
        items.iter().map(|item| if as_written(item) { self.inside(item) } else { self.look(item) }).collect()
    }

    fn pairs(&mut self, pairs: &[Pair]) -> Option<Vec<Pair>> {
        pairs.iter().map(|(key, value)| Some((self.look(key)?, self.look(value)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Environment, Expression};
    use super::*;
    use serde_json::{Value as Json, json};

    /// A part's depth, text, times and values.
    type Looked = (usize, String, u64, Vec<Json>);

    fn explained(text: &str, input: &Json) -> (Option<Json>, Vec<Looked>) {
        let expression = Expression::compile(text).expect("an expression");
        let explanation = expression.explain(&Value::from_json(input), Environment::default());
        let json = |value: &Value| value.to_json(10_000).expect("JSON").unwrap_or_else(|| json!("nothing"));
        let parts = explanation.parts.into_iter();
        let parts = parts.map(|part| (part.depth, part.text, part.times, part.values.iter().map(json).collect()));
        (explanation.value.ok().map(|value| json(&value)), parts.collect())
    }

    #[test]
    fn each_part_has_its_value() {
        let (value, parts) = explained(
            "$sum(items[price > 1].price) * (1 + tax)",
            &json!({
                "items": [{"price": 1}, {"price": 2}, {"price": 5}], "tax": 0.5,
            }),
        );
        assert_eq!(value, Some(json!(10.5)));
        let part =
            |depth: usize, text: &str, values: &[Json]| (depth, text.to_owned(), values.len() as u64, values.to_vec());
        assert_eq!(
            parts,
            [
                part(0, "$sum(items[price > 1].price) * (1 + tax)", &[json!(10.5)]),
                part(1, "$sum(items[price > 1].price)", &[json!(7)]),
                part(2, "items[price > 1].price", &[json!([2, 5])]),
                part(3, "price > 1", &[json!(false), json!(true), json!(true)]),
                part(4, "price", &[json!(1), json!(2), json!(5)]),
                part(1, "(1 + tax)", &[json!(1.5)]),
                part(2, "1 + tax", &[json!(1.5)]),
                part(3, "tax", &[json!(0.5)]),
            ]
        );
    }

    #[test]
    fn what_was_not_reached_has_none() {
        let (value, parts) = explained("a > 1 ? $number(b) : c", &json!({"a": 2, "b": "x", "c": 3}));
        assert_eq!(value, None);
        let times: Vec<(&str, u64)> = parts.iter().map(|(_, text, times, _)| (text.as_str(), *times)).collect();
        assert_eq!(
            times,
            [("a > 1 ? $number(b) : c", 0), ("a > 1", 1), ("a", 1), ("$number(b)", 0), ("b", 1), ("c", 0),]
        );
    }

    #[test]
    fn nothing_changes_by_being_looked_at() {
        let input = json!({
            "a": [{"b": [1, 2], "c": {"d": "x"}}, {"b": 3, "c": {"d": "y"}}], "one": [7], "text": "a-b", "n": 3,
        });
        for text in [
            "a.b",
            "a.b[0]",
            "a.(b)[0]",
            "a[0].b[]",
            "one[]",
            "one[].{'x': $}",
            "[[1], [n], n, one]",
            "[1..n, a.b]",
            "a{c.d: $sum(b)}",
            "a^(>c.d).c.d",
            "a.c.d ~> $join(',')",
            "a.b.(%.c.d & $string($))",
            "a@$x.b#$i.{'d': $x.c.d, 'i': $i}",
            "($f := function($x) { $x < 1 ? 0 : $x + $f($x - 1) }; $f(n))",
            "$map(a.b, function($v, $i) { $v * $i })",
            "a ~> |c|{'e': d}, 'd'|",
            "$.n",
            "$$.n + $.n",
            "*",
            "**.d",
            "$match(text, /(\\w)-(\\w)/).groups",
            "($p := $substring(?, 0, 1); $p(text))",
            "missing",
            "missing.x[0]",
            "n in [1, 3] and $exists(one)",
            "$sort(a.b, function($l, $r) { $l < $r })",
            "a.{c.d: b}",
            "-n",
            "[one]",
            "($x := one; $x[0] + n; $x)",
            "$reduce(a.b, function($l, $r) { $l + $r })",
            "a.$string(b)",
            "$",
            "[$]",
            "a.missing[-1]",
            "**.c[--0]",
            "$map(n, $keys)",
            "one[] ~> $append([])",
            "one[][0] ~> $sum ~> $string",
            "[[[1, n]][0], []@$i]",
            "a.missing[0[n]]",
            "([].missing).x",
            "(([].missing)[n]).x",
        ] {
            let expression = Expression::compile(text).expect("an expression");
            let value = Value::from_json(&input);
            let plain = expression.evaluate(&value, Environment::default()).map(|value| value.to_json(10_000));
            let looked = expression.explain(&value, Environment::default()).value.map(|value| value.to_json(10_000));
            assert_eq!(looked, plain, "{text}");
        }
    }
}
