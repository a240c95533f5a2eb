//! Paths: steps that map a sequence, flattened after each.

use super::normal;
use crate::jsonata::compile::{Kind as NodeKind, Node, Scope, Stage};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::frame::Frame;
use crate::jsonata::sort::merge_sort;
use crate::jsonata::value::{Array, Kind, Text, Value, compare_text};
use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

/// What a step hands to the next.
#[derive(Debug)]
pub(super) enum Items {
    /// A sequence of one.
    One(Value),
    /// A sequence.
    Many(Vec<Value>),
    /// A sequence, somebody else's.
    Shared(Rc<Array>),
    /// An array that is the value of the path as it is.
    Whole(Rc<Array>),
}

impl Items {
    pub(super) fn as_slice(&self) -> &[Value] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
            Self::Shared(array) | Self::Whole(array) => array,
        }
    }

    /// The items of a value that a path goes on from.
    fn flattened(value: Value) -> Self {
        match value {
            Value::Undefined => Self::Many(Vec::new()),
            Value::Array(array) if !array.kind.constructed => Self::Shared(array),
            value => Self::One(value),
        }
    }
}

/// Collects what a step makes of each item, flattened.
#[derive(Default)]
struct Collected {
    values: Vec<Value>,
    /// How many were collected before they were flattened.
    count: usize,
    /// The first one, if it is an array and no sequence.
    first: Option<Rc<Array>>,
}

impl Collected {
    fn add(&mut self, context: &mut Context<'_>, value: Value) -> Result<(), Error> {
        match value {
            Value::Undefined => return Ok(()),
            Value::Array(array) => {
                if self.count == 0 && !array.kind.sequence {
                    self.first = Some(Rc::clone(&array));
                }
                if array.kind.constructed {
                    context.makes_room(&mut self.values, 1)?;
                    self.values.push(Value::Array(array));
                } else {
                    context.makes_room(&mut self.values, array.len())?;
                    self.values.extend(array.iter().cloned());
                }
            }
            value => {
                context.makes_room(&mut self.values, 1)?;
                self.values.push(value);
            }
        }
        self.count += 1;
        Ok(())
    }

    fn finish(self, last: bool) -> Items {
        match self.first {
            Some(first) if last && self.count == 1 => Items::Whole(first),
            _ => Items::Many(self.values),
        }
    }
}

impl Context<'_> {
    pub(super) fn path(
        &mut self,
        node: &Node,
        steps: &[Node],
        keep_singleton: bool,
        input: &Value,
        frame: &Rc<Frame>,
    ) -> Result<Value, Error> {
        let absolute = matches!(steps[0].kind, NodeKind::Variable(_) | NodeKind::Item);
        let mut items = match input {
            Value::Array(array) if !absolute => Items::Shared(Rc::clone(array)),
            input => Items::One(input.clone()),
        };
        let mut tuples: Option<Vec<Value>> = None;
        for (index, step) in steps.iter().enumerate() {
            let last = index + 1 == steps.len();
            if index == 0 && step.constructed {
                let value = match &items {
                    Items::One(item) => self.evaluate(step, &sequence_of(item), frame)?,
                    _ => self.evaluate(step, input, frame)?,
                };
                items = match value {
                    Value::Array(array) => Items::Whole(array),
                    value => Items::flattened(value),
                };
            } else if let (Some(scope), true) = (&node.tuple_scope, tuples.is_some() || step.tuple) {
                tuples = Some(self.tuple_step(step, items.as_slice(), tuples, frame, scope)?);
                continue;
            } else {
                items = self.step(step, items, last, frame)?;
            }
            if items.as_slice().is_empty() {
                break;
            }
        }
        let mut value = match tuples {
            Some(tuples) => {
                let kind = Kind { sequence: true, tuples: true, ..Kind::default() };
                if node.tuple || node.group.is_some() {
                    let stream = self.any_array(Array::new(tuples).with_kind(kind))?;
                    return match &node.group {
                        Some(group) => self.group(group, &stream, frame, node.tuple_scope.as_ref()),
                        None => Ok(stream),
                    };
                }
                let items = tuples.iter().map(item_of_tuple).collect();
                self.sequence(items)?
            }
            None => self.value_of(items)?,
        };
        if keep_singleton {
            value = match value {
                Value::Array(array) if array.kind.constructed => {
                    let kind = Kind { sequence: true, keep_singleton: true, ..Kind::default() };
                    Value::from(Array::new(vec![Value::Array(array)]).with_kind(kind))
                }
                Value::Array(mut array) if array.kind.sequence => {
                    if !array.kind.keep_singleton {
                        Rc::make_mut(&mut array).kind.keep_singleton = true;
                    }
                    Value::Array(array)
                }
                value => value,
            };
        }
        match &node.group {
            Some(group) => self.group(group, &value, frame, None),
            None => Ok(value),
        }
    }

    /// What a path has come to as a value; it is not made normal yet.
    fn value_of(&mut self, items: Items) -> Result<Value, Error> {
        match items {
            Items::One(value) => self.sequence(vec![value]),
            Items::Many(values) => self.sequence(values),
            Items::Shared(array) if array.kind == (Kind { sequence: true, ..Kind::default() }) => {
                Ok(Value::Array(array))
            }
            Items::Shared(array) => self.sequence(array.to_vec()),
            Items::Whole(array) => Ok(Value::Array(array)),
        }
    }

    /// One step on every item.
    fn step(&mut self, step: &Node, items: Items, last: bool, frame: &Rc<Frame>) -> Result<Items, Error> {
        if let NodeKind::Sort(terms) = &step.kind {
            let mut sorted = self.sort(step, terms, items, frame, None)?;
            for stage in &step.stages {
                if let Stage::Filter(predicate) = stage {
                    let value = self.value_of(sorted)?;
                    sorted = match self.filter(predicate, &value, frame, None)? {
                        Value::Array(array) => Items::Shared(array),
                        value => Items::flattened(value),
                    };
                }
            }
            return Ok(sorted);
        }
        if let Items::One(item) = &items {
            let value = self.step_on(step, item, frame)?;
            return Ok(match value {
                Value::Array(array) if last && !array.kind.sequence => Items::Whole(array),
                value => Items::flattened(value),
            });
        }
        let items = items.as_slice();
        self.steps(items.len() as u64)?;
        let mut collected = Collected::default();
        for item in items {
            let value = self.step_on(step, item, frame)?;
            collected.add(self, value)?;
        }
        Ok(collected.finish(last))
    }

    fn step_on(&mut self, step: &Node, item: &Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        let mut value = match (&step.kind, item) {
            (NodeKind::Name(name), Value::Object(object)) if !step.keep_array && step.predicates.is_empty() => {
                normal(object.get(name).cloned().unwrap_or_default())
            }
            _ => self.evaluate(step, item, frame)?,
        };
        for stage in &step.stages {
            if let Stage::Filter(predicate) = stage {
                value = self.filter(predicate, &value, frame, None)?;
            }
        }
        Ok(value)
    }

    /// A field of an item; of an array, that of all its items.
    pub(super) fn lookup(&mut self, input: &Value, name: &str) -> Result<Value, Error> {
        self.compares(name.len())?;
        match input {
            Value::Object(object) => Ok(object.get(name).cloned().unwrap_or_default()),
            Value::Array(_) => {
                let mut found = Vec::new();
                self.lookup_all(input, name, &mut found)?;
                self.sequence(found)
            }
            _ => Ok(Value::Undefined),
        }
    }

    fn lookup_all(&mut self, input: &Value, name: &str, found: &mut Vec<Value>) -> Result<(), Error> {
        match input {
            Value::Object(object) => match object.get(name) {
                Some(Value::Array(array)) => {
                    self.makes_room(found, array.len())?;
                    found.extend(array.iter().cloned());
                }
                Some(Value::Undefined) | None => {}
                Some(value) => {
                    self.makes_room(found, 1)?;
                    found.push(value.clone());
                }
            },
            Value::Array(array) => {
                self.steps(array.len() as u64)?;
                self.compares(name.len().saturating_mul(array.len()))?;
                for item in array.iter() {
                    self.lookup_all(item, name, found)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A path of nothing but names.
    #[inline]
    pub(super) fn fields(&mut self, names: &[Text], input: &Value) -> Result<Value, Error> {
        self.steps(1)?;
        for name in names {
            self.compares(name.len())?;
        }
        if let ([name], Value::Object(object)) = (names, input) {
            return Ok(object.get(name).map_or(Value::Undefined, |value| normal(value.clone())));
        }
        match input {
            Value::Array(array) => self.fields_of_items(names, Items::Shared(Rc::clone(array))),
            Value::Object(object) => {
                let mut object = object;
                let mut left = names;
                while let Some((name, rest)) = left.split_first() {
                    left = rest;
                    match object.get(name) {
                        None => return Ok(Value::Undefined),
                        Some(Value::Object(inner)) if !rest.is_empty() => object = inner,
                        Some(value) if rest.is_empty() => return Ok(normal(value.clone())),
                        Some(value) => return self.fields_of_list(rest, normal(value.clone())),
                    }
                }
                Ok(Value::Undefined)
            }
            _ => Ok(Value::Undefined),
        }
    }

    /// The same on what a first step has come to.
    pub(super) fn fields_of_list(&mut self, names: &[Text], start: Value) -> Result<Value, Error> {
        match &start {
            Value::Object(_) => self.fields(names, &start),
            Value::Array(array) if !array.kind.constructed => {
                self.fields_of_items(names, Items::Shared(Rc::clone(array)))
            }
            Value::Array(_) => self.fields_of_items(names, Items::One(start)),
            _ => Ok(Value::Undefined),
        }
    }

    fn fields_of_items(&mut self, names: &[Text], mut items: Items) -> Result<Value, Error> {
        for (index, name) in names.iter().enumerate() {
            let last = index + 1 == names.len();
            let mut collected = Collected::default();
            let slice = items.as_slice();
            self.steps(slice.len() as u64)?;
            for item in slice {
                let value = self.lookup(item, name)?;
                collected.add(self, normal(value))?;
            }
            items = collected.finish(last);
            if items.as_slice().is_empty() {
                break;
            }
        }
        self.value_of(items).map(normal)
    }

    /// The items of a value for which a predicate holds; or the one at its number.
    pub(super) fn filter(
        &mut self,
        predicate: &Node,
        value: &Value,
        frame: &Rc<Frame>,
        scope: Option<&Arc<Scope>>,
    ) -> Result<Value, Error> {
        let (items, tuples): (&[Value], bool) = match value {
            Value::Array(array) => (array, array.kind.tuples),
            value => (std::slice::from_ref(value), false),
        };
        let kind = Kind { sequence: true, tuples, ..Kind::default() };
        if let NodeKind::Number(number) = predicate.kind {
            return match place(number, items.len()).map(|at| &items[at]) {
                Some(Value::Array(array)) => Ok(Value::Array(Rc::clone(array))),
                Some(Value::Undefined) | None => self.any_array(Array::default().with_kind(kind)),
                Some(item) => self.any_array(Array::new(vec![item.clone()]).with_kind(kind)),
            };
        }
        self.steps(items.len() as u64)?;
        let mut kept = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let answer = match scope {
                Some(scope) => self.evaluate_on_tuple(predicate, item, tuples, frame, scope)?,
                None if tuples => self.evaluate(predicate, &item_of_tuple(item), frame)?,
                None => self.evaluate(predicate, item, frame)?,
            };
            let copies = match &answer {
                Value::Boolean(boolean) => usize::from(*boolean),
                Value::Number(number) if !number.is_nan() => {
                    self.numeric(&answer)?;
                    usize::from(place(*number, items.len()) == Some(index))
                }
                Value::Array(array) if array.iter().all(|item| matches!(item, Value::Number(_))) => {
                    self.steps(array.len() as u64)?;
                    array.iter().filter_map(Value::as_number).filter(|n| place(*n, items.len()) == Some(index)).count()
                }
                answer => usize::from(self.truth(answer)?),
            };
            self.makes_room(&mut kept, copies)?;
            kept.extend(std::iter::repeat_n(item, copies).cloned());
        }
        self.any_array(Array::new(kept).with_kind(kind))
    }

    /// Sorts items by the terms of an order-by clause. Each term is evaluated
    /// once for each item, and only if it is needed.
    pub(super) fn sort(
        &mut self,
        step: &Node,
        terms: &[(bool, Node)],
        items: Items,
        frame: &Rc<Frame>,
        scope: Option<&Arc<Scope>>,
    ) -> Result<Items, Error> {
        let slice = items.as_slice();
        if slice.len() < 2 {
            return Ok(items);
        }
        self.charge(size_of_val(slice) * (terms.len() + 2))?;
        let mut keys: Vec<Vec<Option<Value>>> = terms.iter().map(|_| vec![None; slice.len()]).collect();
        let order = merge_sort((0..slice.len()).collect(), &mut |left: &usize, right: &usize| {
            self.steps(1)?;
            for ((descending, term), keys) in terms.iter().zip(&mut keys) {
                self.steps(1)?;
                for at in [*left, *right] {
                    if keys[at].is_none() {
                        keys[at] = Some(match scope {
                            Some(scope) => self.evaluate_on_tuple(term, &slice[at], true, frame, scope)?,
                            None => self.evaluate(term, &slice[at], frame)?,
                        });
                    }
                }
                let (Some(first), Some(second)) = (&keys[*left], &keys[*right]) else { continue };
                let ordering = match (first, second) {
                    (Value::Undefined, Value::Undefined) => continue,
                    // What has no key comes last, whatever the direction.
                    (Value::Undefined, _) => return Ok(true),
                    (_, Value::Undefined) => return Ok(false),
                    (Value::Number(first), Value::Number(second)) => {
                        first.partial_cmp(second).unwrap_or(Ordering::Greater)
                    }
                    (Value::String(first), Value::String(second)) => {
                        self.compares(first.len().min(second.len()))?;
                        compare_text(first, second)
                    }
                    (Value::Number(_), Value::String(_)) | (Value::String(_), Value::Number(_)) => {
                        let error = Error::new("T2007").at(step.position);
                        return Err(error.with_value(first).with_value2(second));
                    }
                    _ => {
                        let comparable = matches!(first, Value::Number(_) | Value::String(_));
                        let wrong = if comparable { second } else { first };
                        return Err(Error::new("T2008").at(step.position).with_value(wrong));
                    }
                };
                let ordering = if *descending { ordering.reverse() } else { ordering };
                if ordering != Ordering::Equal {
                    return Ok(ordering == Ordering::Greater);
                }
            }
            Ok(false)
        })?;
        let sorted = Array::new(order.into_iter().map(|at| slice[at].clone()).collect());
        Ok(Items::Whole(Rc::new(sorted)))
    }

    /// `*`: the values of all members.
    pub(super) fn wildcard(&mut self, input: &Value) -> Result<Value, Error> {
        let input = match input {
            Value::Array(array) if array.kind.outer_wrapper => array.first().unwrap_or(input),
            input => input,
        };
        let mut found = Vec::new();
        let mut flattened = false;
        let mut add = |member: &Value| {
            flattened |= member.as_array().is_some();
            self.flatten(member, &mut found)
        };
        match input {
            Value::Object(object) => object.iter().try_for_each(|(_, member)| add(member))?,
            Value::Array(array) => array.iter().try_for_each(add)?,
            _ => {}
        }
        // What was put together of arrays is an array, as the reference has it.
        if flattened { self.array(found) } else { self.sequence(found) }
    }

    /// Adds a value, or the items of an array and of those in it.
    fn flatten(&mut self, value: &Value, found: &mut Vec<Value>) -> Result<(), Error> {
        self.steps(1)?;
        match value {
            Value::Array(array) => array.iter().try_for_each(|item| self.flatten(item, found)),
            value => {
                self.makes_room(found, 1)?;
                found.push(value.clone());
                Ok(())
            }
        }
    }

    /// `**`: the input and everything in it.
    pub(super) fn descendants(&mut self, input: &Value) -> Result<Value, Error> {
        if input.is_undefined() {
            return Ok(Value::Undefined);
        }
        self.steps(u64::from(input.weight()))?;
        self.charge(input.weight() as usize * size_of::<Value>())?;
        let mut found = Vec::new();
        descend(input, &mut found);
        if found.len() == 1 {
            return Ok(found.swap_remove(0));
        }
        self.sequence(found)
    }
}

/// The item that a tuple carries.
pub(super) fn item_of_tuple(tuple: &Value) -> Value {
    match tuple {
        Value::Object(tuple) => tuple.get("@").cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

fn sequence_of(item: &Value) -> Value {
    Value::from(Array::sequence(vec![item.clone()]))
}

/// The place that a number means: rounded down, from the end if it is negative.
fn place(number: f64, length: usize) -> Option<usize> {
    let floor = number.floor();
    #[expect(clippy::cast_precision_loss, reason = "no array is that long")]
    let from_start = if floor < 0.0 { floor + length as f64 } else { floor };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a place of the array"
    )]
    (from_start >= 0.0 && from_start < length as f64).then_some(from_start as usize)
}

fn descend(value: &Value, found: &mut Vec<Value>) {
    match value {
        Value::Array(array) => array.iter().for_each(|item| descend(item, found)),
        value => {
            found.push(value.clone());
            if let Value::Object(object) = value {
                object.iter().for_each(|(_, member)| descend(member, found));
            }
        }
    }
}
