//! The tree as written becomes the tree that is evaluated: paths become lists
//! of steps with their filters, each `%` finds the step whose item it means,
//! and calls that end a function are marked.

use super::{Call, Group, Kind, Lambda, Node, Reference, Scope, Stage, Transform};
use crate::jsonata::ast::{Ast, AstKind, Operator, Pair};
use crate::jsonata::error::Error;
use crate::jsonata::signature::Signature;
use crate::jsonata::value::{Text, Value};
use std::sync::Arc;

/// The names of the variables that the `%` stand for.
pub(super) struct Labels {
    pub(super) names: Vec<Text>,
}

/// Keys and members.
type NodePairs = Vec<(Node, Node)>;

/// A `%` on its way up.
struct Slot {
    label: usize,
    /// How many steps up its own step is.
    level: i64,
}

struct Processor {
    slots: Vec<Slot>,
}

pub(super) fn process(ast: &Ast) -> Result<(Node, Labels), Error> {
    let mut processor = Processor { slots: Vec::new() };
    let root = processor.node(ast)?;
    if matches!(root.kind, Kind::Parent(_)) || !root.seeking.is_empty() {
        return Err(Error::new("S0217").at(root.position).with_token(type_name(&root)));
    }
    let names = processor.slots.iter().map(|slot| Text::from(format!("!{}", slot.label))).collect();
    Ok((root, Labels { names }))
}

impl Processor {
    fn node(&mut self, ast: &Ast) -> Result<Node, Error> {
        let mut node = self.kind(ast)?;
        node.keep_array |= ast.keep_array;
        Ok(node)
    }

    fn nodes(&mut self, asts: &[Ast]) -> Result<Vec<Node>, Error> {
        asts.iter().map(|ast| self.node(ast)).collect()
    }

    fn kind(&mut self, ast: &Ast) -> Result<Node, Error> {
        let position = ast.position;
        let simple = |kind| Ok(Node::new(kind, position));
        match &ast.kind {
            AstKind::Null => simple(Kind::Null),
            AstKind::Boolean(boolean) => simple(Kind::Boolean(*boolean)),
            AstKind::Number(number) => simple(Kind::Number(*number)),
            AstKind::String(text) => simple(Kind::String(Text::clone(text))),
            AstKind::Regex(regex) => simple(Kind::Regex(Arc::clone(&regex.0))),
            AstKind::Variable(name) => simple(Kind::VariableName(Text::clone(name))),
            AstKind::Wildcard => simple(Kind::Wildcard),
            AstKind::Descendant => simple(Kind::Descendant),
            AstKind::Placeholder => simple(Kind::Placeholder),
            AstKind::End => Err(Error::new("S0207").at(position).with_token("(end)")),
            AstKind::Name(name) => {
                let mut step = Node::new(Kind::Name(Text::clone(name)), position);
                step.keep_array = ast.keep_array;
                simple(Kind::Path(vec![step], ast.keep_array))
            }
            AstKind::Parent => {
                let slot = self.slots.len();
                self.slots.push(Slot { label: slot, level: 1 });
                simple(Kind::Parent(slot))
            }
            AstKind::Negate(operand) => {
                let operand = self.node(operand)?;
                if let Kind::Number(number) = operand.kind {
                    return Ok(Node { kind: Kind::Number(-number), ..operand });
                }
                let seeking = sought(&operand);
                Ok(Node { seeking, ..Node::new(Kind::Negate(Box::new(operand)), position) })
            }
            AstKind::Binary(Operator::Map, left, right) => self.map(left, right, position),
            AstKind::Binary(operator, left, right) => {
                let left = self.node(left)?;
                let right = self.node(right)?;
                let mut seeking = Vec::new();
                let mut keep_array = false;
                if *operator == Operator::Apply {
                    keep_array = left.keep_array || right.keep_array;
                } else {
                    seeking = sought(&left);
                    seeking.extend(sought(&right));
                }
                let kind = Kind::Binary(*operator, Box::new([left, right]));
                Ok(Node { seeking, keep_array, ..Node::new(kind, position) })
            }
            AstKind::Filter(left, predicate) => self.filter(left, predicate, position),
            AstKind::Group(left, pairs) => {
                let mut left = self.node(left)?;
                if left.group.is_some() {
                    return Err(Error::new("S0210").at(position));
                }
                let (pairs, _) = self.pairs(pairs)?;
                left.group = Some(Box::new(Group { pairs, position }));
                Ok(left)
            }
            AstKind::Sort(left, terms) => {
                let left = self.node(left)?;
                let mut path = as_path(left);
                let mut seeking = Vec::new();
                let mut sorted = Vec::with_capacity(terms.len());
                for term in terms {
                    let expression = self.node(&term.expression)?;
                    seeking.extend(sought(&expression));
                    sorted.push((term.descending, expression));
                }
                let step = Node { seeking, ..Node::new(Kind::Sort(sorted), position) };
                steps_mut(&mut path).push(step);
                self.resolve_ancestry(&mut path)?;
                Ok(path)
            }
            AstKind::Focus(left, name) => {
                let mut left = self.node(left)?;
                let step = last_step(&mut left);
                if !step.stages.is_empty() || !step.predicates.is_empty() {
                    return Err(Error::new("S0215").at(position));
                }
                if matches!(step.kind, Kind::Sort(_)) {
                    return Err(Error::new("S0216").at(position));
                }
                step.keep_array |= ast.keep_array;
                step.focus = Some(Text::clone(name));
                step.tuple = true;
                Ok(left)
            }
            AstKind::Index(left, name) => {
                let mut left = self.node(left)?;
                if !matches!(left.kind, Kind::Path(..)) {
                    left.stages = std::mem::take(&mut left.predicates);
                    left = as_path(left);
                }
                let step = last_step(&mut left);
                if step.stages.is_empty() {
                    step.index = Some(Text::clone(name));
                } else {
                    step.stages.push(Stage::Index(Text::clone(name)));
                }
                step.tuple = true;
                Ok(left)
            }
            AstKind::Bind(name, value) => {
                let value = self.node(value)?;
                let seeking = sought(&value);
                let kind = Kind::Bind(Text::clone(name), 0, Box::new(value));
                Ok(Node { seeking, ..Node::new(kind, position) })
            }
            AstKind::Array(items) => {
                let items = self.nodes(items)?;
                let seeking = items.iter().flat_map(sought).collect();
                Ok(Node { seeking, ..Node::new(Kind::Array(items), position) })
            }
            AstKind::Object(pairs) => {
                let (pairs, seeking) = self.pairs(pairs)?;
                let group = Box::new(Group { pairs, position });
                Ok(Node { seeking, ..Node::new(Kind::Object(group), position) })
            }
            AstKind::Block(items) => {
                let items = self.nodes(items)?;
                let seeking = items.iter().flat_map(sought).collect();
                let constructed = items.iter().any(|item| {
                    item.constructed
                        || matches!(&item.kind, Kind::Path(steps, _) if steps.first().is_some_and(|step| step.constructed))
                });
                Ok(Node { seeking, constructed, ..Node::new(Kind::Block(items, None), position) })
            }
            AstKind::Call(procedure, arguments) => {
                let (call, seeking) = self.call(procedure, arguments)?;
                Ok(Node { seeking, ..Node::new(Kind::Call(call), position) })
            }
            AstKind::Partial(procedure, arguments) => {
                let (call, seeking) = self.call(procedure, arguments)?;
                Ok(Node { seeking, ..Node::new(Kind::Partial(call), position) })
            }
            AstKind::Lambda(parameters, signature, body) => {
                let mut body = self.node(body)?;
                mark_tail_calls(&mut body);
                let signature = signature.as_deref().and_then(|text| Signature::parse(text).ok());
                let lambda = Lambda {
                    parameters: parameters.clone(),
                    signature,
                    body,
                    scope: Arc::new(Scope::default()),
                    slots: Vec::new(),
                };
                simple(Kind::Lambda(Arc::new(lambda)))
            }
            AstKind::Condition(condition, then, otherwise) => {
                let both = Box::new([self.node(condition)?, self.node(then)?]);
                let otherwise = otherwise.as_ref().map(|otherwise| self.node(otherwise)).transpose()?;
                let mut seeking: Vec<usize> = both.iter().flat_map(sought).collect();
                seeking.extend(otherwise.iter().flat_map(sought));
                Ok(Node { seeking, ..Node::new(Kind::Condition(both, otherwise.map(Box::new)), position) })
            }
            AstKind::Transform(pattern, update, delete) => {
                let transform = Transform {
                    pattern: self.node(pattern)?,
                    update: self.node(update)?,
                    delete: delete.as_ref().map(|delete| self.node(delete)).transpose()?,
                    clone: Reference::nowhere(),
                };
                simple(Kind::Transform(Arc::new(transform)))
            }
        }
    }

    fn pairs(&mut self, pairs: &[Pair]) -> Result<(NodePairs, Vec<usize>), Error> {
        let mut seeking = Vec::new();
        let mut processed = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let key = self.node(key)?;
            let value = self.node(value)?;
            seeking.extend(sought(&key));
            seeking.extend(sought(&value));
            processed.push((key, value));
        }
        Ok((processed, seeking))
    }

    fn call(&mut self, procedure: &Ast, arguments: &[Ast]) -> Result<(Box<Call>, Vec<usize>), Error> {
        let arguments = self.nodes(arguments)?;
        let seeking = arguments.iter().flat_map(sought).collect();
        let procedure = self.node(procedure)?;
        let name = match &procedure.kind {
            Kind::VariableName(name) => Some(Text::clone(name)),
            Kind::Path(steps, _) => match &steps[0].kind {
                Kind::Name(name) | Kind::VariableName(name) => Some(Text::clone(name)),
                _ => None,
            },
            _ => None,
        };
        let call = Call { procedure, arguments, tail: false, forgot_dollar: None, name, scopes: None };
        Ok((Box::new(call), seeking))
    }

    fn map(&mut self, left: &Ast, right: &Ast, position: u32) -> Result<Node, Error> {
        let left = self.node(left)?;
        let parent = if let Kind::Parent(slot) = left.kind { Some(slot) } else { None };
        let mut path = as_path(left);
        if let Some(slot) = parent {
            path.seeking = vec![slot];
        }
        path.position = position;
        let mut right = self.node(right)?;
        match right.kind {
            Kind::Path(steps, _) if right.group.is_none() && right.predicates.is_empty() => {
                steps_mut(&mut path).extend(steps);
            }
            _ => {
                right.stages.append(&mut right.predicates);
                steps_mut(&mut path).push(right);
            }
        }
        let Kind::Path(steps, keep_singleton) = &mut path.kind else { return Ok(path) };
        for step in steps.iter_mut() {
            match &step.kind {
                Kind::Number(_) | Kind::Boolean(_) | Kind::Null => {
                    let value = match step.kind {
                        Kind::Number(number) => Value::Number(number),
                        Kind::Boolean(boolean) => Value::Boolean(boolean),
                        _ => Value::Null,
                    };
                    return Err(Error::new("S0213").at(step.position).with_value(&value));
                }
                Kind::String(text) => step.kind = Kind::Name(Text::clone(text)),
                _ => {}
            }
            *keep_singleton |= step.keep_array;
        }
        let last = steps.len() - 1;
        for at in [0, last] {
            if matches!(steps[at].kind, Kind::Array(_)) {
                steps[at].constructed = true;
            }
        }
        self.resolve_ancestry(&mut path)?;
        Ok(path)
    }

    fn filter(&mut self, left: &Ast, predicate: &Ast, position: u32) -> Result<Node, Error> {
        let mut left = self.node(left)?;
        let in_path = matches!(left.kind, Kind::Path(..));
        let step = last_step(&mut left);
        if step.group.is_some() {
            return Err(Error::new("S0209").at(position));
        }
        let predicate = self.node(predicate)?;
        if !predicate.seeking.is_empty() {
            for slot in predicate.seeking.iter().copied() {
                if self.slots[slot].level == 1 {
                    self.seek_parent(step, slot)?;
                } else {
                    self.slots[slot].level -= 1;
                }
            }
            step.seeking.extend(predicate.seeking.iter().copied());
        }
        let stages = if in_path { &mut step.stages } else { &mut step.predicates };
        stages.push(Stage::Filter(predicate));
        Ok(left)
    }

    /// Looks in a step, and in what is before it, for the one that a `%` means.
    fn seek_parent(&mut self, node: &mut Node, slot: usize) -> Result<(), Error> {
        match &mut node.kind {
            Kind::Name(_) | Kind::Wildcard => {
                self.slots[slot].level -= 1;
                if self.slots[slot].level == 0 {
                    if let Some(known) = node.ancestor {
                        self.slots[slot].label = self.slots[known].label;
                    }
                    node.ancestor = Some(slot);
                    node.tuple = true;
                }
            }
            Kind::Parent(_) => self.slots[slot].level += 1,
            Kind::Block(items, _) => {
                if let Some(last) = items.last_mut() {
                    node.tuple = true;
                    self.seek_parent(last, slot)?;
                }
            }
            Kind::Path(steps, _) => {
                node.tuple = true;
                for (index, step) in steps.iter_mut().rev().enumerate() {
                    if index > 0 && self.slots[slot].level <= 0 {
                        break;
                    }
                    self.seek_parent(step, slot)?;
                }
            }
            _ => return Err(Error::new("S0217").at(node.position).with_token(type_name(node))),
        }
        Ok(())
    }

    /// Finds the steps for those `%` that stand in the last step of a path.
    fn resolve_ancestry(&mut self, path: &mut Node) -> Result<(), Error> {
        let Kind::Path(steps, _) = &mut path.kind else { return Ok(()) };
        let Some(last) = steps.last() else { return Ok(()) };
        for slot in sought(last) {
            let mut left = steps.len() - 1;
            while self.slots[slot].level > 0 {
                if left == 0 {
                    path.seeking.push(slot);
                    break;
                }
                left -= 1;
                // Of steps that only bind the focus, one after the other, the first counts.
                while left > 0 && steps[left].focus.is_some() && steps[left - 1].focus.is_some() {
                    left -= 1;
                }
                self.seek_parent(&mut steps[left], slot)?;
            }
        }
        Ok(())
    }
}

impl Reference {
    pub(super) fn nowhere() -> Self {
        Self { candidates: Vec::new(), external: usize::MAX, builtin: None, root: false }
    }
}

/// The `%` that a node leaves to those above it.
fn sought(node: &Node) -> Vec<usize> {
    let mut slots = node.seeking.clone();
    if let Kind::Parent(slot) = node.kind {
        slots.push(slot);
    }
    slots
}

/// A node as a path, of one step if it is none.
fn as_path(node: Node) -> Node {
    if matches!(node.kind, Kind::Path(..)) {
        return node;
    }
    let position = node.position;
    Node::new(Kind::Path(vec![node], false), position)
}

fn steps_mut(path: &mut Node) -> &mut Vec<Node> {
    match &mut path.kind {
        Kind::Path(steps, _) => steps,
        _ => unreachable!("the caller made it a path"),
    }
}

/// The last step of a path, or the node itself.
fn last_step(node: &mut Node) -> &mut Node {
    if !matches!(node.kind, Kind::Path(..)) {
        return node;
    }
    steps_mut(node).last_mut().expect("a path has a step")
}

/// Marks the calls after which a function has nothing left to do.
fn mark_tail_calls(node: &mut Node) {
    if !node.predicates.is_empty() || node.group.is_some() || node.keep_array {
        return;
    }
    match &mut node.kind {
        Kind::Call(call) => call.tail = true,
        Kind::Condition(both, otherwise) => {
            mark_tail_calls(&mut both[1]);
            if let Some(otherwise) = otherwise {
                mark_tail_calls(otherwise);
            }
        }
        Kind::Block(items, _) => {
            if let Some(last) = items.last_mut() {
                mark_tail_calls(last);
            }
        }
        _ => {}
    }
}

fn type_name(node: &Node) -> &'static str {
    match node.kind {
        Kind::Parent(_) => "parent",
        Kind::Path(..) => "path",
        Kind::Binary(Operator::Apply, _) => "apply",
        Kind::Binary(..) => "binary",
        Kind::Negate(_) | Kind::Array(_) | Kind::Object(_) => "unary",
        Kind::Call(_) => "function",
        Kind::Partial(_) => "partial",
        Kind::Lambda(_) => "lambda",
        Kind::VariableName(_) | Kind::Variable(_) | Kind::Item => "variable",
        Kind::Condition(..) => "condition",
        Kind::Block(..) => "block",
        Kind::Bind(..) => "bind",
        Kind::Sort(_) => "sort",
        Kind::Transform(_) => "transform",
        Kind::Regex(_) => "regex",
        Kind::Descendant => "descendant",
        Kind::String(_) => "string",
        Kind::Number(_) => "number",
        _ => "value",
    }
}
