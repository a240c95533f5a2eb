//! Steps over tuples: items that carry variables along (`@`, `#`, `%`).

use super::path::{Items, item_of_tuple};
use crate::jsonata::compile::{Kind as NodeKind, Node, Scope, Stage};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::frame::Frame;
use crate::jsonata::value::{Array, Kind, Object, Text, Value};
use std::rc::Rc;
use std::sync::Arc;

/// A stream of tuples as a value.
fn stream(tuples: Vec<Value>) -> Value {
    let kind = Kind { sequence: true, tuples: true, ..Kind::default() };
    Value::from(Array::new(tuples).with_kind(kind))
}

fn index_value(index: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "no array is that long")]
    Value::Number(index as f64)
}

impl Context<'_> {
    /// Evaluates on the item of a tuple, with its variables; on the item itself,
    /// in an empty frame, if it is no tuple.
    pub(super) fn evaluate_on_tuple(
        &mut self,
        node: &Node,
        item: &Value,
        is_tuple: bool,
        frame: &Rc<Frame>,
        scope: &Arc<Scope>,
    ) -> Result<Value, Error> {
        let inner = self.frame(scope, frame)?;
        let value = match item {
            Value::Object(tuple) if is_tuple => {
                bind_tuple(&inner, tuple, scope);
                self.evaluate(node, &item_of_tuple(item), &inner)
            }
            item => self.evaluate(node, item, &inner),
        };
        self.release(inner);
        value
    }

    /// One step on every tuple; the first one makes tuples of the items.
    pub(super) fn tuple_step(
        &mut self,
        step: &Node,
        items: &[Value],
        tuples: Option<Vec<Value>>,
        frame: &Rc<Frame>,
        scope: &Arc<Scope>,
    ) -> Result<Vec<Value>, Error> {
        if let NodeKind::Sort(terms) = &step.kind {
            let sorted = match tuples {
                Some(tuples) => {
                    let sorted = self.sort(step, terms, Items::Many(tuples), frame, Some(scope))?;
                    sorted.as_slice().to_vec()
                }
                None => self.sort_into_tuples(step, terms, items, frame, scope)?,
            };
            return self.stages(&step.stages, sorted, frame, scope);
        }
        let tuples = match tuples {
            Some(tuples) => tuples,
            None => items.iter().map(|item| self.tuple_of(item.clone())).collect::<Result<_, _>>()?,
        };
        let mut result = Vec::new();
        for tuple in &tuples {
            let Value::Object(carried) = tuple else { continue };
            let inner = self.frame(scope, frame)?;
            bind_tuple(&inner, carried, scope);
            let item = item_of_tuple(tuple);
            let value = self.evaluate(step, &item, &inner);
            self.release(inner);
            match value? {
                Value::Undefined => {}
                Value::Array(array) => {
                    for (index, value) in array.iter().enumerate() {
                        result.push(self.next_tuple(step, carried, &item, value, index, array.kind.tuples)?);
                    }
                }
                value => result.push(self.next_tuple(step, carried, &item, &value, 0, false)?),
            }
        }
        self.stages(&step.stages, result, frame, scope)
    }

    fn sort_into_tuples(
        &mut self,
        step: &Node,
        terms: &[(bool, Node)],
        items: &[Value],
        frame: &Rc<Frame>,
        scope: &Arc<Scope>,
    ) -> Result<Vec<Value>, Error> {
        // No item is a tuple yet: the terms are evaluated in an empty frame.
        let inner = self.frame(scope, frame)?;
        let sorted = self.sort(step, terms, Items::Many(items.to_vec()), &inner, None)?;
        let mut tuples = Vec::with_capacity(items.len());
        for (index, item) in sorted.as_slice().iter().enumerate() {
            let mut tuple = Object::with_capacity(2);
            tuple.insert("@".into(), item.clone());
            if let Some(name) = &step.index {
                tuple.insert(Text::clone(name), index_value(index));
            }
            tuples.push(self.object(tuple)?);
        }
        self.release(inner);
        Ok(tuples)
    }

    fn tuple_of(&mut self, item: Value) -> Result<Value, Error> {
        let mut tuple = Object::with_capacity(2);
        tuple.insert("@".into(), item);
        self.object(tuple)
    }

    /// The tuple for one value that a step made of a tuple's item.
    fn next_tuple(
        &mut self,
        step: &Node,
        carried: &Rc<Object>,
        item: &Value,
        value: &Value,
        index: usize,
        is_tuple: bool,
    ) -> Result<Value, Error> {
        self.steps(carried.len() as u64 + 4)?;
        let mut tuple = Object::clone(carried);
        if let (true, Value::Object(inner)) = (is_tuple, value) {
            for (name, value) in inner.iter() {
                tuple.insert(Text::clone(name), value.clone());
            }
            return self.object(tuple);
        }
        match &step.focus {
            Some(focus) => {
                tuple.insert(Text::clone(focus), value.clone());
                tuple.insert("@".into(), item.clone());
            }
            None => tuple.insert("@".into(), value.clone()),
        }
        if let Some(name) = &step.index {
            tuple.insert(Text::clone(name), index_value(index));
        }
        if let Some(name) = &step.ancestor_name {
            tuple.insert(Text::clone(name), item.clone());
        }
        self.object(tuple)
    }

    fn stages(
        &mut self,
        stages: &[Stage],
        mut tuples: Vec<Value>,
        frame: &Rc<Frame>,
        scope: &Arc<Scope>,
    ) -> Result<Vec<Value>, Error> {
        for stage in stages {
            match stage {
                Stage::Filter(predicate) => {
                    tuples = match self.filter(predicate, &stream(tuples), frame, Some(scope))? {
                        Value::Array(array) => array.to_vec(),
                        _ => Vec::new(),
                    };
                }
                Stage::Index(name) => {
                    for (index, tuple) in tuples.iter_mut().enumerate() {
                        self.steps(1)?;
                        if let Value::Object(tuple) = tuple {
                            Rc::make_mut(tuple).insert(Text::clone(name), index_value(index));
                        }
                    }
                }
            }
        }
        Ok(tuples)
    }
}

/// Binds the variables that a tuple carries.
pub(super) fn bind_tuple(frame: &Frame, tuple: &Object, scope: &Scope) {
    for (slot, name) in scope.names.iter().enumerate() {
        if let Some(value) = tuple.get(name) {
            frame.set(slot, value.clone());
        }
    }
}
