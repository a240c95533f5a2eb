//! Functions on objects: `$keys`, `$lookup`, `$spread`, `$merge`, `$clone`.

use super::json_text::push_number;
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::Builtin;
use crate::jsonata::value::{Array, Object, Text, Value};
use std::collections::HashSet;
use std::rc::Rc;

pub(super) static FUNCTIONS: [Builtin; 5] = [
    Builtin::new("keys", "<x-:a<s>>", 1, keys),
    Builtin::new("lookup", "<x-s:x>", 2, lookup),
    Builtin::new("spread", "<x-:a<o>>", 1, spread),
    Builtin::new("merge", "<a<o>:o>", 1, merge),
    Builtin::new("clone", "<(oa)-:o>", 1, clone),
];

fn keys(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let mut keys = Vec::new();
    match &arguments[0] {
        Value::Object(object) => {
            context.steps(object.len() as u64 / 8)?;
            keys.extend(object.iter().map(|(key, _)| Value::String(Text::clone(key))));
        }
        value @ Value::Array(_) => {
            let mut seen = HashSet::new();
            collect_keys(context, value, &mut seen, &mut keys)?;
        }
        _ => {}
    }
    context.sequence(keys)
}

/// The keys of all objects in an array, each once. Recurses as deep as the
/// value is nested.
fn collect_keys<'v>(
    context: &mut Context<'_>,
    value: &'v Value,
    seen: &mut HashSet<&'v Text>,
    keys: &mut Vec<Value>,
) -> Result<(), Error> {
    match value {
        Value::Object(object) => {
            context.steps(object.len() as u64)?;
            for (key, _) in object.iter() {
                context.compares(key.len())?;
                if seen.insert(key) {
                    context.charge(4 * size_of::<Value>())?;
                    keys.push(Value::String(Text::clone(key)));
                }
            }
        }
        Value::Array(array) => {
            context.steps(array.len() as u64)?;
            for item in array.iter() {
                collect_keys(context, item, seen, keys)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn lookup(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(key) = arguments[1].as_str() else { return Ok(Value::Undefined) };
    context.compares(key.len())?;
    lookup_in(context, &arguments[0], key)
}

fn lookup_in(context: &mut Context<'_>, value: &Value, key: &str) -> Result<Value, Error> {
    match value {
        Value::Object(object) => Ok(object.get(key).cloned().unwrap_or_default()),
        Value::Array(array) => {
            context.steps(array.len() as u64)?;
            context.compares(key.len().saturating_mul(array.len()))?;
            let mut found = Vec::new();
            for item in array.iter() {
                match lookup_in(context, item, key)? {
                    Value::Undefined => {}
                    Value::Array(items) => {
                        context.makes_room(&mut found, items.len())?;
                        found.extend(items.iter().cloned());
                    }
                    single => {
                        context.makes_room(&mut found, 1)?;
                        found.push(single);
                    }
                }
            }
            context.sequence(found)
        }
        _ => Ok(Value::Undefined),
    }
}

fn spread(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let value = std::mem::take(&mut arguments[0]);
    match &value {
        Value::Object(object) => {
            let mut parts = Vec::with_capacity(object.len());
            spread_object(context, object, &mut parts)?;
            context.sequence(parts)
        }
        Value::Array(array) => {
            let mut parts = Vec::new();
            spread_array(context, array, &mut parts)?;
            // The reference appends what each item gives, and what `$append`
            // gives is no sequence: only without any items it stays one.
            if array.iter().all(Value::is_undefined) { context.sequence(parts) } else { context.array(parts) }
        }
        _ => Ok(value),
    }
}

fn spread_object(context: &mut Context<'_>, object: &Object, parts: &mut Vec<Value>) -> Result<(), Error> {
    context.steps(object.len() as u64)?;
    for (key, member) in object {
        let mut part = Object::with_capacity(1);
        part.insert(Text::clone(key), member.clone());
        parts.push(context.object(part)?);
    }
    Ok(())
}

fn spread_array(context: &mut Context<'_>, array: &Array, parts: &mut Vec<Value>) -> Result<(), Error> {
    context.steps(array.len() as u64)?;
    for item in array.iter() {
        match item {
            Value::Undefined => {}
            Value::Object(object) => spread_object(context, object, parts)?,
            Value::Array(array) => spread_array(context, array, parts)?,
            single => {
                context.charge(size_of::<Value>())?;
                parts.push(single.clone());
            }
        }
    }
    Ok(())
}

fn merge(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Value::Array(objects) = &arguments[0] else { return Ok(Value::Undefined) };
    if let [single @ Value::Object(_)] = &objects[..] {
        return Ok(single.clone());
    }
    let mut merged = Object::new();
    for object in objects.iter() {
        let Value::Object(object) = object else { continue };
        context.steps(1 + object.len() as u64)?;
        let before = merged.len();
        for (key, member) in object.iter() {
            // A new key may be compared with all of a few.
            context.compares(key.len().saturating_mul(4))?;
            merged.insert(Text::clone(key), member.clone());
        }
        context.charge((merged.len() - before) * 3 * size_of::<(Text, Value)>())?;
    }
    context.object(merged)
}

fn clone(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let value = std::mem::take(&mut arguments[0]);
    if value.is_undefined() {
        return Ok(value);
    }
    Ok(plain(context, &value)?.unwrap_or(value))
}

/// The value as writing it as JSON and reading it back would give it: numbers
/// of fifteen digits, functions as empty texts, sequences as arrays. `None` if
/// it is the same. Recurses as deep as the value is nested.
fn plain(context: &mut Context<'_>, value: &Value) -> Result<Option<Value>, Error> {
    Ok(match value {
        Value::Null | Value::Boolean(_) | Value::String(_) => None,
        Value::Undefined => Some(Value::Null),
        Value::Number(number) if number.is_nan() => Some(Value::Null),
        Value::Number(number) if number.is_infinite() => return Err(Error::new("D1001").with_value(value)),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 1e15 => None,
        Value::Number(number) => {
            context.steps(8)?;
            let mut text = String::new();
            push_number(&mut text, *number, context.library.dialect);
            text.parse().ok().filter(|rounded| rounded != number).map(Value::Number)
        }
        Value::Function(_) => Some(context.string("")?),
        Value::Array(array) => {
            context.steps(array.len() as u64)?;
            if array.kind.outer_wrapper {
                let document = array.first().cloned().unwrap_or_default();
                return Ok(Some(plain(context, &document)?.unwrap_or(document)));
            }
            let mut changed: Option<Vec<Value>> =
                if array.kind.sequence || array.kind.tuples { Some(Vec::with_capacity(array.len())) } else { None };
            for (index, item) in array.iter().enumerate() {
                match (plain(context, item)?, &mut changed) {
                    (Some(item), Some(items)) => items.push(item),
                    (None, Some(items)) => items.push(item.clone()),
                    (Some(item), None) => {
                        let mut items = array[..index].to_vec();
                        items.push(item);
                        changed = Some(items);
                    }
                    (None, None) => {}
                }
            }
            match changed {
                Some(items) => Some(context.array(items)?),
                None => None,
            }
        }
        Value::Object(object) => plain_object(context, object)?,
    })
}

fn plain_object(context: &mut Context<'_>, object: &Rc<Object>) -> Result<Option<Value>, Error> {
    context.steps(object.len() as u64)?;
    let mut changed: Option<Object> = None;
    for (index, (key, member)) in object.iter().enumerate() {
        let new = if member.is_undefined() { Some(Value::Undefined) } else { plain(context, member)? };
        if changed.is_none() && new.is_some() {
            changed = Some(object.iter().take(index).cloned().collect());
        }
        if let Some(changed) = &mut changed {
            let member = new.unwrap_or_else(|| member.clone());
            if !member.is_undefined() {
                changed.insert(Text::clone(key), member);
            }
        }
    }
    match changed {
        Some(object) => Ok(Some(context.object(object)?)),
        None => Ok(None),
    }
}
