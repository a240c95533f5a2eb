//! `|pattern|update, delete|`: a copy of a value with changes.
//!
//! Values are shared and never changed in place. The copy's objects are told
//! apart by where they lie; what is to be changed in each is kept beside the
//! copy, and put into it whenever it is looked at, and in the end.

use crate::jsonata::compile::{Reference, Transform};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::frame::Frame;
use crate::jsonata::number::to_precision_15;
use crate::jsonata::value::{Array, Object, Text, Value};
use std::collections::HashMap;
use std::rc::Rc;

/// A change to an object.
enum Edit {
    Set(Text, Value),
    Delete(Text),
}

/// The changes to each object, by where it lies.
type Edits = HashMap<*const Object, Vec<Edit>>;

impl Context<'_> {
    pub(super) fn transform(&mut self, transform: &Transform, input: Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        match &input {
            Value::Undefined => return Ok(Value::Undefined),
            Value::Array(_) | Value::Object(_) => {}
            other => return Err(Error::new("T0410").with_value(other).with_index(1)),
        }
        let copy = self.copy_for_transform(&transform.clone, input, frame)?;
        let matches = match self.evaluate(&transform.pattern, &copy, frame)? {
            Value::Undefined => return Ok(copy),
            Value::Array(array) => {
                self.extends(array.len())?;
                array.to_vec()
            }
            value => vec![value],
        };
        let mut edits = Edits::new();
        for matched in &matches {
            self.steps(1)?;
            let current = self.edited(matched, &edits)?;
            let update = self.evaluate(&transform.update, &current, frame)?;
            match &update {
                Value::Undefined => {}
                Value::Object(members) => {
                    if let Value::Object(object) = matched {
                        self.charge(members.len() * size_of::<Edit>())?;
                        let list = edits.entry(Rc::as_ptr(object)).or_default();
                        list.extend(members.iter().map(|(key, value)| Edit::Set(Text::clone(key), value.clone())));
                    }
                }
                other => return Err(Error::new("T2011").at(transform.update.position).with_value(other)),
            }
            let Some(delete) = &transform.delete else { continue };
            let current = self.edited(matched, &edits)?;
            let deletions = self.evaluate(delete, &current, frame)?;
            let keys: Vec<Text> = match &deletions {
                Value::Undefined => continue,
                Value::String(key) => vec![Text::clone(key)],
                Value::Array(array) if array.iter().all(|key| key.as_str().is_some()) => {
                    array.iter().filter_map(|key| key.as_str().map(Text::from)).collect()
                }
                other => return Err(Error::new("T2012").at(delete.position).with_value(other)),
            };
            if let Value::Object(object) = matched {
                self.charge(keys.len() * size_of::<Edit>())?;
                edits.entry(Rc::as_ptr(object)).or_default().extend(keys.into_iter().map(Edit::Delete));
            }
        }
        self.edited(&copy, &edits)
    }

    /// The copy: by `$clone`, unless that is the language's own.
    fn copy_for_transform(&mut self, clone: &Reference, input: Value, frame: &Rc<Frame>) -> Result<Value, Error> {
        match self.bound(clone, frame) {
            None => {
                self.steps(u64::from(input.weight()))?;
                self.copy(&input)
            }
            Some(Value::Function(function)) => {
                let copied = self.apply(&function, vec![input])?;
                // Each object must lie in a place of its own.
                self.copy(&copied)
            }
            Some(_) => Err(Error::new("T2013")),
        }
    }

    fn copy(&mut self, value: &Value) -> Result<Value, Error> {
        match value {
            Value::Array(array) => {
                let mut items = Vec::with_capacity(array.len());
                for item in array.iter() {
                    items.push(match self.copy(item)? {
                        Value::Undefined => Value::Null,
                        item => item,
                    });
                }
                self.array(items)
            }
            Value::Object(object) => {
                let mut copied = Object::with_capacity(object.len());
                for (key, member) in object.iter() {
                    copied.push_new(Text::clone(key), self.copy(member)?);
                }
                self.object(copied)
            }
            Value::Number(number) => {
                self.steps(if number.fract() == 0.0 { 0 } else { 8 })?;
                Ok(Value::Number(to_precision_15(*number)))
            }
            Value::Function(_) => Ok(Value::from("")),
            value => Ok(value.clone()),
        }
    }

    /// A part of the copy, with the changes to it and to what is in it.
    fn edited(&mut self, value: &Value, edits: &Edits) -> Result<Value, Error> {
        if edits.is_empty() {
            return Ok(value.clone());
        }
        self.steps(u64::from(value.weight()))?;
        Ok(self.edit(value, edits)?.unwrap_or_else(|| value.clone()))
    }

    /// The same; `None` if nothing is to be changed.
    fn edit(&mut self, value: &Value, edits: &Edits) -> Result<Option<Value>, Error> {
        match value {
            Value::Array(array) => {
                let mut items: Option<Vec<Value>> = None;
                for (index, item) in array.iter().enumerate() {
                    if let Some(edited) = self.edit(item, edits)? {
                        items.get_or_insert_with(|| array.to_vec())[index] = edited;
                    }
                }
                items.map(|items| self.any_array(Array::new(items).with_kind(array.kind))).transpose()
            }
            Value::Object(object) => {
                let mut changed: Option<Object> = None;
                for (key, member) in object.iter() {
                    if let Some(edited) = self.edit(member, edits)? {
                        changed.get_or_insert_with(|| Object::clone(object)).insert(Text::clone(key), edited);
                    }
                }
                for edit in edits.get(&Rc::as_ptr(object)).into_iter().flatten() {
                    let changed = changed.get_or_insert_with(|| Object::clone(object));
                    match edit {
                        Edit::Set(key, value) => {
                            self.steps(1)?;
                            self.compares(key.len())?;
                            changed.insert(Text::clone(key), value.clone());
                        }
                        Edit::Delete(key) => {
                            self.steps(u64::from(changed.weight()))?;
                            changed.remove(key);
                        }
                    }
                }
                changed.map(|object| self.object(object)).transpose()
            }
            _ => Ok(None),
        }
    }
}
