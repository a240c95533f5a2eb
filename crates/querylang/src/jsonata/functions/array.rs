//! Functions on arrays: `$append`, `$sort`, `$reverse`, `$shuffle`, `$distinct`,
//! `$zip`.

use super::distinct::Distinct;
use crate::jsonata::context::Context;
use crate::jsonata::error::{Error, Limit};
use crate::jsonata::function::Builtin;
use crate::jsonata::sort::{is_uniform, merge_sort};
use crate::jsonata::value::{Array, Kind, MAX_DEPTH, Value, compare_text};
use std::rc::Rc;

pub(super) static FUNCTIONS: [Builtin; 6] = [
    Builtin::new("append", "<xx:a>", 2, append),
    Builtin::new("sort", "<af?:a>", 2, sort),
    Builtin::new("reverse", "<a:a>", 1, reverse),
    Builtin::new("shuffle", "<a:a>", 1, shuffle),
    Builtin::new("distinct", "<x:x>", 1, distinct),
    Builtin::new("zip", "<a+>", 0, zip),
];

/// Texts of so many bytes are sorted with an eye to what it takes to compare them.
const LONG: usize = 64;

/// The items of an array, without a copy if nobody else holds it.
fn take_items(context: &mut Context<'_>, array: Rc<Array>) -> Result<Vec<Value>, Error> {
    context.steps(array.len() as u64 / 8)?;
    match Rc::try_unwrap(array) {
        Ok(array) => Ok(array.into_items()),
        Err(array) => {
            context.charge(array.len() * size_of::<Value>())?;
            Ok(array.to_vec())
        }
    }
}

fn append(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let (first, second) = (std::mem::take(&mut arguments[0]), std::mem::take(&mut arguments[1]));
    if first.is_undefined() {
        return Ok(second);
    }
    if second.is_undefined() {
        return Ok(first);
    }
    // What has been charged for the first array need not be charged again if
    // nobody else holds it: many items appended one by one take linear time.
    let mut array = match first {
        Value::Array(array) => {
            let owned = match Rc::try_unwrap(array) {
                Ok(array) => array,
                Err(array) => {
                    context.steps(array.len() as u64 / 8)?;
                    context.charge(array.len() * size_of::<Value>())?;
                    Array::clone(&array)
                }
            };
            owned.with_kind(Kind::default())
        }
        single => Array::new(vec![single]),
    };
    match second {
        Value::Array(items) => {
            context.steps(items.len() as u64 / 8)?;
            context.charge(items.len() * size_of::<Value>())?;
            items.iter().for_each(|item| array.push(item.clone()));
        }
        single => {
            context.charge(size_of::<Value>())?;
            array.push(single);
        }
    }
    if array.depth() > MAX_DEPTH {
        return Err(Error::limit(Limit::Depth));
    }
    Ok(Value::from(array))
}

fn sort(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let array = match std::mem::take(&mut arguments[0]) {
        Value::Array(array) if array.len() > 1 => array,
        other => return Ok(other),
    };
    if let Some(Value::Function(behind)) = arguments.get(1) {
        let behind = Rc::clone(behind);
        let items = take_items(context, array)?;
        context.charge(items.len() * size_of::<Value>())?;
        let sorted = merge_sort(items, &mut |first, second| {
            let answer = context.apply(&behind, vec![first.clone(), second.clone()])?;
            Ok(is_javascript_true(&answer))
        })?;
        return context.array(sorted);
    }
    if !is_uniform(&array) {
        return Err(Error::new("D3070").with_index(1));
    }
    let mut items = take_items(context, array)?;
    if items.iter().any(|item| item.as_str().is_some_and(|text| text.len() >= LONG)) {
        context.charge(items.len() * size_of::<Value>())?;
        let sorted = merge_sort(items, &mut |first, second| {
            let (Value::String(first), Value::String(second)) = (first, second) else { return Ok(false) };
            context.steps(1 + first.len().min(second.len()) as u64 / 64)?;
            Ok(compare_text(first, second).is_gt())
        })?;
        return context.array(sorted);
    }
    context.steps(items.len() as u64 * u64::from(items.len().ilog2() + 1))?;
    items.sort_by(|first, second| match (first, second) {
        (Value::Number(first), Value::Number(second)) => first.partial_cmp(second).unwrap_or(std::cmp::Ordering::Equal),
        (Value::String(first), Value::String(second)) => compare_text(first, second),
        _ => std::cmp::Ordering::Equal,
    });
    context.array(items)
}

/// What JavaScript's `if` makes of the answer of a comparator, which the
/// reference does not cast: an empty array is true.
fn is_javascript_true(value: &Value) -> bool {
    match value {
        Value::Undefined | Value::Null => false,
        Value::Boolean(boolean) => *boolean,
        Value::Number(number) => *number != 0.0 && !number.is_nan(),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) | Value::Function(_) => true,
    }
}

fn reverse(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    match std::mem::take(&mut arguments[0]) {
        Value::Array(array) if array.len() > 1 => {
            let mut items = take_items(context, array)?;
            items.reverse();
            context.array(items)
        }
        other => Ok(other),
    }
}

fn shuffle(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    match std::mem::take(&mut arguments[0]) {
        Value::Array(array) if array.len() > 1 => {
            let mut items = take_items(context, array)?;
            for last in (1..items.len()).rev() {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_precision_loss,
                    clippy::cast_sign_loss,
                    reason = "from 0 to the last index"
                )]
                let other = (context.random() * (last + 1) as f64) as usize;
                items.swap(last, other.min(last));
            }
            context.array(items)
        }
        other => Ok(other),
    }
}

fn distinct(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let array = match std::mem::take(&mut arguments[0]) {
        Value::Array(array) if array.len() > 1 => array,
        other => return Ok(other),
    };
    context.charge(array.len() * 32)?;
    let mut seen = Distinct::with_capacity(array.len());
    let mut items = Vec::new();
    for item in array.iter() {
        if seen.insert(context, item)? {
            items.push(item.clone());
        }
    }
    if array.kind.sequence { context.sequence(items) } else { context.array(items) }
}

fn zip(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let shortest = arguments.iter().map(|argument| argument.as_array().map_or(0, |array| array.len())).min();
    let rows = shortest.unwrap_or(0);
    context.charge(rows.saturating_mul(arguments.len().saturating_mul(size_of::<Value>()) + 64))?;
    context.steps(rows.saturating_mul(arguments.len()) as u64)?;
    let mut zipped = Vec::with_capacity(rows);
    for row in 0..rows {
        let tuple = arguments.iter().filter_map(|argument| argument.as_array()?.get(row).cloned()).collect();
        zipped.push(context.array(tuple)?);
    }
    context.array(zipped)
}
