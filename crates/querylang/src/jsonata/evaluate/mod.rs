//! Evaluation: a walk over the compiled tree.
//!
//! Every node that is not a mere leaf goes through [`Context::enter`], which
//! counts steps, depth and the stack that is used. A node's value may be a
//! sequence; before anyone sees it, one that holds a single item is the item,
//! and an empty one is undefined.

mod call;
mod eval;
mod group;
mod matcher;
mod operator;
mod path;
mod transform;
mod tuple;

pub(crate) use eval::EVAL;

use super::compile::{Kind as NodeKind, Node, Program, Reference, Stage};
use super::context::Context;
use super::error::Error;
use super::frame::Frame;
use super::function::{Closure, Function, FunctionKind};
use super::value::{Array, Kind, Text, Value};
use std::rc::Rc;
use std::sync::Arc;

impl Context<'_> {
    /// Evaluates a whole expression on the input.
    pub(super) fn run(mut self, program: &Program) -> Result<Value, Error> {
        let input = match &self.root {
            Value::Array(array) if !array.kind.sequence => {
                let kind = Kind { sequence: true, outer_wrapper: true, ..Kind::default() };
                Value::from(Array::new(vec![self.root.clone()]).with_kind(kind))
            }
            root => root.clone(),
        };
        let frame = Rc::new(Frame::new(program.scope.names.len(), None));
        self.evaluate(&program.root, &input, &frame)
    }

    /// Evaluates a node on an item.
    pub(super) fn evaluate(&mut self, node: &Node, input: &Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        if node.plain {
            match &node.kind {
                NodeKind::Number(number) => return Ok(Value::Number(*number)),
                NodeKind::String(text) => return Ok(Value::String(Text::clone(text))),
                NodeKind::Boolean(boolean) => return Ok(Value::Boolean(*boolean)),
                NodeKind::Null => return Ok(Value::Null),
                NodeKind::Item => return Ok(normal(item_of(input))),
                NodeKind::Variable(reference) => return Ok(normal(self.variable(reference, frame))),
                NodeKind::Fields(names) => return self.fields(names, input),
                NodeKind::VariableFields(head, names) => {
                    if let Some(value) = self.field_of_variable(head, names, frame)? {
                        return Ok(value);
                    }
                }
                _ => {}
            }
        }
        self.enter()?;
        let value = self.kind(node, input, frame);
        self.leave();
        let value = value?;
        if node.plain { Ok(normal(value)) } else { self.finish(node, value, frame) }
    }

    /// What the kind of a node says, without its filters and so on.
    fn kind(&mut self, node: &Node, input: &Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        match &node.kind {
            NodeKind::Path(steps, keep_singleton) => self.path(node, steps, *keep_singleton, input, frame),
            NodeKind::Fields(names) => self.fields(names, input),
            NodeKind::VariableFields(head, names) => {
                let start = self.evaluate(head, input, frame)?;
                self.fields_of_list(names, start)
            }
            NodeKind::Binary(operator, both) => self.binary(*operator, both, node.position, input, frame),
            NodeKind::Call(call) => self.call(node, call, input, frame, None),
            NodeKind::Object(group) => self.object_of(group, input, frame),
            NodeKind::Condition(both, otherwise) => {
                let condition = self.evaluate(&both[0], input, frame)?;
                if self.truth(&condition)? {
                    return self.evaluate(&both[1], input, frame);
                }
                otherwise.as_ref().map_or(Ok(Value::Undefined), |otherwise| self.evaluate(otherwise, input, frame))
            }
            NodeKind::Block(items, scope) => {
                let Some(scope) = scope else { return self.last_of(items, input, frame) };
                let inner = self.frame(scope, frame)?;
                let value = self.last_of(items, input, &inner);
                self.release(inner);
                value
            }
            NodeKind::Bind(_, slot, value) => {
                let value = self.evaluate(value, input, frame)?;
                frame.set(*slot, value.clone());
                Ok(value)
            }
            NodeKind::Array(items) => self.array_of(node, items, input, frame),
            NodeKind::Name(name) => self.lookup(input, name),
            NodeKind::Lambda(lambda) => {
                self.hold(frame);
                let closure = Closure { lambda: Arc::clone(lambda), item: input.clone(), frame: Rc::clone(frame) };
                self.function(Function::new(FunctionKind::Lambda(closure)))
            }
            NodeKind::Partial(call) => self.partial(node, call, input, frame),
            NodeKind::Regex(regex) => self.function(Function::new(FunctionKind::Regex(Arc::clone(regex)))),
            NodeKind::Transform(transform) => {
                self.hold(frame);
                let kind = FunctionKind::Transform(Arc::clone(transform), Rc::clone(frame));
                self.function(Function::new(kind))
            }
            NodeKind::Negate(operand) => {
                let operand = self.evaluate(operand, input, frame)?;
                if operand.is_undefined() {
                    return Ok(operand);
                }
                match self.numeric(&operand)? {
                    Some(number) => Ok(Value::Number(-number)),
                    None => Err(Error::new("D1002").at(node.position).with_token("-").with_value(&operand)),
                }
            }
            NodeKind::Wildcard => self.wildcard(input),
            NodeKind::Descendant => self.descendants(input),
            NodeKind::Null => Ok(Value::Null),
            NodeKind::Boolean(boolean) => Ok(Value::Boolean(*boolean)),
            NodeKind::Number(number) => Ok(Value::Number(*number)),
            NodeKind::String(text) => Ok(Value::String(Text::clone(text))),
            NodeKind::Item => Ok(item_of(input)),
            NodeKind::Variable(reference) => Ok(self.variable(reference, frame)),
            // Sorting is a step of a path; the rest is gone when the tree is compiled.
            NodeKind::Sort(_) | NodeKind::Placeholder | NodeKind::VariableName(_) | NodeKind::Parent(_) => {
                Ok(Value::Undefined)
            }
        }
    }

    /// The quick way to a field of a variable that holds objects.
    #[inline]
    fn field_of_variable(&mut self, head: &Node, names: &[Text], frame: &Rc<Frame>) -> Result<Option<Value>, Error> {
        let NodeKind::Variable(reference) = &head.kind else { return Ok(None) };
        let Some((up, slot)) = reference.candidates.first() else { return Ok(None) };
        let mut here = frame;
        for _ in 0..*up {
            match here.parent() {
                Some(parent) => here = parent,
                None => return Ok(None),
            }
        }
        self.steps(1)?;
        for name in names {
            self.compares(name.len())?;
        }
        Ok(here.field(*slot, names).map(normal))
    }

    /// Applies what a node has besides its kind.
    fn finish(&mut self, node: &Node, mut value: Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        for stage in &node.predicates {
            if let Stage::Filter(predicate) = stage {
                value = self.filter(predicate, &value, frame, node.tuple_scope.as_ref())?;
            }
        }
        if let (Some(group), false) = (&node.group, matches!(node.kind, NodeKind::Path(..))) {
            value = self.group(group, &value, frame, node.tuple_scope.as_ref())?;
        }
        if let (Value::Array(array), true) = (&mut value, node.keep_array)
            && array.kind.sequence
            && !array.kind.tuples
            && !array.kind.keep_singleton
        {
            Rc::make_mut(array).kind.keep_singleton = true;
        }
        Ok(normal(value))
    }

    fn last_of(&mut self, items: &[Node], input: &Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        self.steps(items.len() as u64)?;
        let mut last = Value::Undefined;
        for item in items {
            last = self.evaluate(item, input, frame)?;
        }
        Ok(last)
    }

    /// The value of a variable: the first frame outwards that has it counts.
    pub(super) fn variable(&mut self, reference: &Reference, frame: &Rc<Frame>) -> Value {
        self.bound(reference, frame).or_else(|| reference.builtin.map(Value::from)).unwrap_or_default()
    }

    /// The same without the functions of the language.
    pub(super) fn bound(&mut self, reference: &Reference, frame: &Rc<Frame>) -> Option<Value> {
        let mut here = frame;
        let mut level = 0;
        for (up, slot) in &reference.candidates {
            while level < *up {
                here = here.parent()?;
                level += 1;
            }
            if let Some(value) = here.get(*slot) {
                return Some(value);
            }
        }
        self.external(reference)
    }

    fn array_of(&mut self, node: &Node, items: &[Node], input: &Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        self.steps(items.len() as u64 / 4)?;
        let mut collected = Vec::with_capacity(items.len());
        for item in items {
            let value = self.evaluate(item, input, frame)?;
            match value {
                Value::Undefined => {}
                Value::Array(array) if !matches!(item.kind, NodeKind::Array(_)) => {
                    self.extends(array.len())?;
                    match Rc::try_unwrap(array) {
                        Ok(array) => collected.extend(array.into_items()),
                        Err(array) => collected.extend(array.iter().cloned()),
                    }
                }
                value => collected.push(value),
            }
        }
        let kind = Kind { constructed: node.constructed, ..Kind::default() };
        self.any_array(Array::new(collected).with_kind(kind))
    }

    /// A value cast to a boolean.
    #[inline]
    pub(super) fn truth(&mut self, value: &Value) -> Result<bool, Error> {
        if let Value::Boolean(boolean) = value {
            return Ok(*boolean);
        }
        self.steps(u64::from(value.weight()))?;
        Ok(value.is_truthy())
    }

    /// The number, if it is one.
    #[inline]
    pub(super) fn numeric(&self, value: &Value) -> Result<Option<f64>, Error> {
        match value {
            Value::Number(number) if number.is_finite() => Ok(Some(*number)),
            Value::Number(number) if number.is_infinite() => Err(Error::new("D1001").with_value(value)),
            _ => Ok(None),
        }
    }
}

/// The item, out of the wrapper that an input array has.
fn item_of(input: &Value) -> Value {
    match input {
        Value::Array(array) if array.kind.outer_wrapper => array.first().cloned().unwrap_or_default(),
        input => input.clone(),
    }
}

/// A sequence of one item is the item, an empty one is undefined.
#[inline]
pub(super) fn normal(value: Value) -> Value {
    match &value {
        Value::Array(array) if array.kind.sequence && !array.kind.tuples && array.len() < 2 => match array.first() {
            None => Value::Undefined,
            Some(_) if array.kind.keep_singleton => value,
            Some(item) => item.clone(),
        },
        _ => value,
    }
}
