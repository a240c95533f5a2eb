//! Object constructors and group-by.

use super::path::item_of_tuple;
use super::tuple::bind_tuple;
use crate::jsonata::compile::{Group, Kind as NodeKind, Node, Scope};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::frame::Frame;
use crate::jsonata::value::{Object, Text, Value};
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

/// What a key takes while items are grouped by it, in bytes.
const GROUP_BYTES: usize = 160;

/// So many keys are compared with one another, more are looked up.
const FEW: usize = 16;

/// What belongs to a key: items put together as `$append` does.
enum Data {
    One(Value),
    Many(Vec<Value>),
}

impl Data {
    fn append(&mut self, context: &mut Context<'_>, item: &Value) -> Result<(), Error> {
        if item.is_undefined() {
            return Ok(());
        }
        if let Self::One(first) = self {
            *self = match std::mem::take(first) {
                Value::Undefined => {
                    *self = Self::One(item.clone());
                    return Ok(());
                }
                Value::Array(array) => {
                    context.extends(array.len())?;
                    Self::Many(array.to_vec())
                }
                first => Self::Many(vec![first]),
            };
        }
        let Self::Many(items) = self else { return Ok(()) };
        match item {
            Value::Array(array) => {
                context.makes_room(items, array.len())?;
                items.extend(array.iter().cloned());
            }
            item => {
                context.makes_room(items, 1)?;
                items.push(item.clone());
            }
        }
        Ok(())
    }
}

impl Context<'_> {
    /// An object constructor: on an array, it groups the items.
    pub(super) fn object_of(&mut self, group: &Group, input: &Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        if input.as_array().is_some() {
            return self.group(group, input, frame, None);
        }
        let mut object = Object::with_capacity(group.pairs.len());
        let mut keys = Vec::with_capacity(group.pairs.len());
        for (key, _) in &group.pairs {
            self.steps(1)?;
            keys.push(self.key(group, key, input, frame)?);
        }
        if let Some(key) = first_duplicate(&keys) {
            return Err(duplicate(group, key));
        }
        for ((_, member), key) in group.pairs.iter().zip(keys) {
            let Some(key) = key else { continue };
            let value = self.evaluate(member, input, frame)?;
            if !value.is_undefined() {
                object.push_new(key, value);
            }
        }
        self.object(object)
    }

    fn key(&mut self, group: &Group, key: &Node, item: &Value, frame: &Rc<Frame>) -> Result<Option<Text>, Error> {
        if let (NodeKind::String(text), true) = (&key.kind, key.plain) {
            self.compares(text.len())?;
            return Ok(Some(Text::clone(text)));
        }
        let value = self.evaluate(key, item, frame)?;
        self.as_key(group, value)
    }

    fn as_key(&mut self, group: &Group, value: Value) -> Result<Option<Text>, Error> {
        match value {
            Value::String(text) => {
                if matches!(&*text, "_jsonata_lambda" | "_jsonata_function") {
                    return Err(Error::new("D1013").at(group.position).with_text_value(&text));
                }
                self.compares(text.len())?;
                Ok(Some(text))
            }
            Value::Undefined => Ok(None),
            value => Err(Error::new("T1003").at(group.position).with_value(&value)),
        }
    }

    /// Groups the items of a value by the keys that are computed for each.
    pub(super) fn group(
        &mut self,
        group: &Group,
        value: &Value,
        frame: &Rc<Frame>,
        scope: Option<&Arc<Scope>>,
    ) -> Result<Value, Error> {
        let (items, tuples): (&[Value], bool) = match value {
            Value::Array(array) if !array.is_empty() || array.kind.tuples => (array, array.kind.tuples),
            Value::Array(_) => (&[Value::Undefined], false),
            value => (std::slice::from_ref(value), false),
        };
        // The keys with their numbers, and by number which pair made it and the data.
        let mut numbers = Object::new();
        let mut groups: Vec<(usize, Data)> = Vec::new();
        for item in items {
            self.steps(group.pairs.len() as u64)?;
            for (pair, (key, _)) in group.pairs.iter().enumerate() {
                let key = match scope {
                    Some(scope) => {
                        let key = self.evaluate_on_tuple(key, item, tuples, frame, scope)?;
                        self.as_key(group, key)?
                    }
                    None if tuples => self.key(group, key, &item_of_tuple(item), frame)?,
                    None => self.key(group, key, item, frame)?,
                };
                let Some(key) = key else { continue };
                match numbers.position(&key) {
                    Some(number) => {
                        let (maker, data) = &mut groups[number];
                        if *maker != pair {
                            return Err(duplicate(group, &key));
                        }
                        data.append(self, item)?;
                    }
                    None => {
                        self.charge(GROUP_BYTES)?;
                        numbers.push_new(key, Value::Undefined);
                        groups.push((pair, Data::One(item.clone())));
                    }
                }
            }
        }
        let mut object = Object::with_capacity(groups.len());
        for ((key, _), (pair, data)) in numbers.iter().zip(groups) {
            let member = &group.pairs[pair].1;
            let value = if tuples {
                self.group_of_tuples(member, data, frame, scope)?
            } else {
                let data = match data {
                    Data::One(item) => item,
                    Data::Many(items) => self.array(items)?,
                };
                match scope {
                    Some(scope) => self.evaluate_on_tuple(member, &data, false, frame, scope)?,
                    None => self.evaluate(member, &data, frame)?,
                }
            };
            if !value.is_undefined() {
                object.push_new(Text::clone(key), value);
            }
        }
        self.object(object)
    }

    /// Evaluates a member on a group of tuples: each variable has the values of
    /// all of them.
    fn group_of_tuples(
        &mut self,
        member: &Node,
        data: Data,
        frame: &Rc<Frame>,
        scope: Option<&Arc<Scope>>,
    ) -> Result<Value, Error> {
        let tuple = match data {
            Data::One(tuple) => tuple,
            Data::Many(tuples) => {
                let mut columns: Vec<(Text, Data)> = Vec::new();
                let mut numbers = Object::new();
                for tuple in &tuples {
                    let Value::Object(tuple) = tuple else { continue };
                    self.steps(tuple.len() as u64)?;
                    for (name, value) in tuple.iter() {
                        match numbers.position(name) {
                            Some(at) => columns[at].1.append(self, value)?,
                            None => {
                                numbers.push_new(Text::clone(name), Value::Undefined);
                                columns.push((Text::clone(name), Data::One(value.clone())));
                            }
                        }
                    }
                }
                let mut reduced = Object::with_capacity(columns.len());
                for (name, data) in columns {
                    let value = match data {
                        Data::One(value) => value,
                        Data::Many(values) => self.array(values)?,
                    };
                    reduced.push_new(name, value);
                }
                self.object(reduced)?
            }
        };
        let item = item_of_tuple(&tuple);
        let Some(scope) = scope else { return self.evaluate(member, &item, frame) };
        let inner = self.frame(scope, frame)?;
        if let Value::Object(tuple) = &tuple {
            bind_tuple(&inner, tuple, scope);
        }
        let value = self.evaluate(member, &item, &inner);
        self.release(inner);
        value
    }
}

/// The first key that was there before.
fn first_duplicate(keys: &[Option<Text>]) -> Option<&Text> {
    if keys.len() <= FEW {
        let known = keys.iter().enumerate().filter_map(|(at, key)| Some((at, key.as_ref()?)));
        let again = |(at, key): &(usize, &Text)| keys[..*at].iter().flatten().any(|before| before == *key);
        return known.into_iter().find(again).map(|(_, key)| key);
    }
    let mut seen = HashSet::with_capacity(keys.len());
    keys.iter().flatten().find(|key| !seen.insert(*key))
}

fn duplicate(group: &Group, key: &str) -> Error {
    Error::new("D1009").at(group.position).with_text_value(key)
}
