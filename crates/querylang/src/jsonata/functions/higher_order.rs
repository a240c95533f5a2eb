//! Functions that call functions: `$map`, `$filter`, `$single`, `$reduce`,
//! `$each`, `$sift`.

use super::{count, is_truthy};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::{Builtin, Function};
use crate::jsonata::value::{Object, Text, Value};
use std::rc::Rc;

pub(super) static FUNCTIONS: [Builtin; 6] = [
    Builtin::new("map", "<af>", 2, map),
    Builtin::new("filter", "<af>", 2, filter),
    Builtin::new("single", "<af?>", 2, single),
    Builtin::new("reduce", "<afj?:j>", 3, reduce),
    Builtin::new("each", "<o-f:a>", 2, each),
    Builtin::new("sift", "<o-f?:o>", 2, sift),
];

/// The function in a place; the signature has made sure there is one, unless it
/// may be left out.
fn function_at(arguments: &[Value], at: usize) -> Result<Rc<Function>, Error> {
    arguments.get(at).and_then(Value::as_function).cloned().ok_or_else(|| {
        let value = arguments.get(at).unwrap_or(&Value::Undefined);
        Error::new("T0410").with_value(value).with_index(at + 1)
    })
}

fn map(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Value::Array(array) = &arguments[0] else { return Ok(Value::Undefined) };
    let function = function_at(arguments, 1)?;
    let mut mapped = Vec::with_capacity(array.len());
    for (index, item) in array.iter().enumerate() {
        let result = context.call_with_item(&function, item, index, array)?;
        if !result.is_undefined() {
            mapped.push(result);
        }
    }
    context.sequence(mapped)
}

fn filter(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Value::Array(array) = &arguments[0] else { return Ok(Value::Undefined) };
    let function = function_at(arguments, 1)?;
    let mut kept = Vec::new();
    for (index, item) in array.iter().enumerate() {
        let result = context.call_with_item(&function, item, index, array)?;
        if is_truthy(context, &result)? {
            kept.push(item.clone());
        }
    }
    context.sequence(kept)
}

fn single(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Value::Array(array) = &arguments[0] else { return Ok(Value::Undefined) };
    let function = arguments.get(1).and_then(Value::as_function).cloned();
    let mut found = None;
    for (index, item) in array.iter().enumerate() {
        if let Some(function) = &function {
            let result = context.call_with_item(function, item, index, array)?;
            if !is_truthy(context, &result)? {
                continue;
            }
        }
        if found.is_some() {
            return Err(Error::new("D3138").with_index(index));
        }
        found = Some(item);
    }
    found.cloned().ok_or_else(|| Error::new("D3139"))
}

fn reduce(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let start = arguments.get_mut(2).map(std::mem::take).unwrap_or_default();
    let Value::Array(array) = &arguments[0] else { return Ok(Value::Undefined) };
    let function = function_at(arguments, 1)?;
    let arity = function.arity();
    if arity < 2 {
        return Err(Error::new("D3050").with_index(1));
    }
    let mut items = array.iter().enumerate();
    let mut result = match start {
        Value::Undefined => items.next().map(|(_, first)| first.clone()).unwrap_or_default(),
        start => start,
    };
    for (index, item) in items {
        let mut with = Vec::with_capacity(arity.min(4));
        // Given up, so that `$append` and `$merge` need not copy it.
        with.push(result);
        with.push(item.clone());
        if arity >= 3 {
            with.push(count(index));
        }
        if arity >= 4 {
            with.push(Value::Array(Rc::clone(array)));
        }
        result = context.apply(&function, with)?;
    }
    Ok(result)
}

/// Calls a function with as many of value, key and object as it takes.
fn call_with_member(
    context: &mut Context<'_>,
    function: &Rc<Function>,
    (key, value): &(Text, Value),
    object: &Rc<Object>,
) -> Result<Value, Error> {
    let arity = function.arity();
    let mut arguments = Vec::with_capacity(3);
    arguments.push(value.clone());
    if arity >= 2 {
        arguments.push(Value::String(Text::clone(key)));
    }
    if arity >= 3 {
        arguments.push(Value::Object(Rc::clone(object)));
    }
    context.apply(function, arguments)
}

fn each(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let mut results = Vec::new();
    if let Value::Object(object) = &arguments[0] {
        let function = function_at(arguments, 1)?;
        for member in object.iter() {
            let result = call_with_member(context, &function, member, object)?;
            if !result.is_undefined() {
                results.push(result);
            }
        }
    }
    context.sequence(results)
}

fn sift(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Value::Object(object) = &arguments[0] else { return Ok(Value::Undefined) };
    if object.is_empty() {
        return Ok(Value::Undefined);
    }
    let function = function_at(arguments, 1)?;
    let mut kept = Object::new();
    for member in object.iter() {
        let result = call_with_member(context, &function, member, object)?;
        if is_truthy(context, &result)? {
            context.compares(member.0.len())?;
            kept.push_new(Text::clone(&member.0), member.1.clone());
        }
    }
    if kept.is_empty() { Ok(Value::Undefined) } else { context.object(kept) }
}
