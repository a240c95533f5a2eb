//! What several parts need to know of JSON values: equality, weight, the
//! limits of one evaluation.
//!
//! Nothing here changes a value.

use serde_json::{Number, Value};
use std::fmt::Write;

/// The most one evaluation may build, in the units of [`weight`] (about bytes).
///
/// The service refuses payloads above 256 KiB, so no workflow that works
/// comes near; the limit only keeps a hostile definition, such as a call with
/// ten thousand times `$`, from filling the memory before that check.
pub(crate) const MAX_WEIGHT: usize = 16 << 20;

/// The most nodes one path may visit: about two seconds' work, and more than any
/// sensible path needs on the largest payload.
pub(crate) const MAX_VISITS: usize = 16 << 20;

/// The most nodes one step of a path may select.
pub(crate) const MAX_NODES: usize = 1 << 20;

/// The longest path or call, in bytes.
pub(crate) const MAX_TEXT: usize = 64 << 10;

/// Deep equality in which `1` and `1.0` are the same number and the order of
/// members does not matter.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => same_number(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(l, r)| equal(l, r))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => left == right,
    }
}

/// Whether two numbers have the same value.
pub(crate) fn same_number(left: &Number, right: &Number) -> bool {
    compare_numbers(left, right) == Some(std::cmp::Ordering::Equal)
}

/// The order of two numbers; exact for integers.
pub(crate) fn compare_numbers(left: &Number, right: &Number) -> Option<std::cmp::Ordering> {
    if let (Some(left), Some(right)) = (integer(left), integer(right)) {
        Some(left.cmp(&right))
    } else {
        left.as_f64()?.partial_cmp(&right.as_f64()?)
    }
}

fn integer(number: &Number) -> Option<i128> {
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from))
}

/// A text that is the same for two values exactly if they are [`equal`], so
/// that duplicates are found by hashing and not by comparing all pairs.
pub(crate) fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => match (integer(number), number.as_f64()) {
            (None, Some(float)) if is_exact_integer(float) => {
                write!(out, "{}", to_integer(float)).expect("writing to a string cannot fail");
            }
            _ => write!(out, "{number}").expect("writing to a string cannot fail"),
        },
        Value::Array(elements) => {
            out.push('[');
            for element in elements {
                canonical(element, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (key, value) in members {
                write!(out, "{}:", Value::from(key.as_str())).expect("writing to a string cannot fail");
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
        _ => write!(out, "{value}").expect("writing to a string cannot fail"),
    }
}

fn is_exact_integer(float: f64) -> bool {
    float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0
}

#[expect(clippy::cast_possible_truncation, reason = "callers have checked that the number is whole and small")]
pub(crate) fn to_integer(float: f64) -> i64 {
    float as i64
}

/// Roughly the memory and text a value takes; stops counting above `limit`.
pub(crate) fn weight(value: &Value, limit: usize) -> usize {
    let mut total = 0usize;
    let mut waiting = vec![value];
    while let Some(value) = waiting.pop() {
        total = total.saturating_add(8);
        match value {
            Value::String(text) => total = total.saturating_add(text.len()),
            Value::Array(elements) => waiting.extend(elements),
            Value::Object(members) => {
                for (key, value) in members {
                    total = total.saturating_add(key.len());
                    waiting.push(value);
                }
            }
            _ => {}
        }
        if total > limit {
            break;
        }
    }
    total
}

/// How deep a value nests: `0` for a scalar, `1` for `[]`. Walks without
/// recursion, so that it can be asked about any value.
///
/// A workflow that wraps its own state again and again builds values no JSON
/// parser would have accepted; the interpreter refuses them by this measure
/// before it stores them.
///
/// ```
/// use serde_json::json;
/// assert_eq!(stepwright_querylang::depth(&json!({"a": [1]})), 2);
/// ```
#[must_use]
pub fn depth(value: &Value) -> usize {
    let mut deepest = 0;
    let mut waiting = vec![(value, 0usize)];
    while let Some((value, level)) = waiting.pop() {
        match value {
            Value::Array(elements) => {
                deepest = deepest.max(level + 1);
                waiting.extend(elements.iter().map(|element| (element, level + 1)));
            }
            Value::Object(members) => {
                deepest = deepest.max(level + 1);
                waiting.extend(members.values().map(|member| (member, level + 1)));
            }
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equality_and_the_canonical_text_agree() {
        let values = [
            json!(1),
            json!(1.0),
            json!(1.5),
            json!("1"),
            json!(true),
            json!(null),
            json!(0),
            json!(-0.0),
            json!([]),
            json!({}),
            json!([1, 2]),
            json!([1.0, 2]),
            json!([12]),
            json!({"a": 1, "b": 2}),
            json!({"b": 2, "a": 1.0}),
            json!({"a": 1}),
            json!("a,b"),
            json!(["a", "b"]),
            json!(["a,b"]),
            json!(u64::MAX),
            json!(i64::MIN),
        ];
        for left in &values {
            for right in &values {
                let (mut l, mut r) = (String::new(), String::new());
                canonical(left, &mut l);
                canonical(right, &mut r);
                assert_eq!(equal(left, right), l == r, "{left} and {right}");
            }
        }
        assert!(equal(&json!(1), &json!(1.0)));
        assert!(!equal(&json!(u64::MAX), &json!(u64::MAX - 1)));
    }
}
