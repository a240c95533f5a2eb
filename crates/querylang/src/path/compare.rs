//! What the operators of filters mean, by the rules of the path library the
//! service uses: comparisons by type, a path that selects nothing is equal to
//! nothing, and an operator whose operands make no sense rejects the value as a
//! whole, whatever stands around it.

use super::evaluate::{Budget, Miss};
use crate::value::{MAX_WEIGHT, compare_numbers, equal, weight};
use regex::Regex;
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    /// `===`: no conversion between text and number.
    Same,
    NotSame,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    In,
    NotIn,
    Contains,
    Size,
    Empty,
    Exists,
    SubsetOf,
    AnyOf,
    NoneOf,
    All,
}

/// The symbols, longer ones first.
pub(super) const SYMBOLS: [(&str, Operator); 9] = [
    ("===", Operator::Same),
    ("!==", Operator::NotSame),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("=~", Operator::Matches),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Operator {
    /// The operator of this word, in any case.
    pub(super) fn word(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "in" => Self::In,
            "nin" => Self::NotIn,
            "contains" => Self::Contains,
            "size" => Self::Size,
            "empty" => Self::Empty,
            "exists" => Self::Exists,
            "subsetof" => Self::SubsetOf,
            "anyof" => Self::AnyOf,
            "noneof" => Self::NoneOf,
            "all" => Self::All,
            _ => return None,
        })
    }
}

/// Whether a comparison holds. `None`: it makes no sense, and the whole filter rejects the value.
pub(super) type Verdict = Option<bool>;

pub(super) fn compare(
    left: Option<&Value>,
    operator: Operator,
    right: Option<&Value>,
    budget: &mut Budget,
) -> Result<Verdict, Miss> {
    if let (Some(left @ (Value::Array(_) | Value::Object(_))), Some(_)) = (left, right) {
        budget.spend_on(left)?;
    }
    let loosely = || left.zip(right).is_some_and(|(l, r)| loosely_equal(l, r));
    let strictly = || left.zip(right).is_some_and(|(l, r)| equal(l, r));
    let order = || left.zip(right).and_then(|(l, r)| order(l, r));
    let holds = match operator {
        Operator::Equal => loosely(),
        Operator::NotEqual => !loosely(),
        Operator::Same => strictly(),
        Operator::NotSame => !strictly(),
        Operator::Less => order() == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order() == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
        // Parsing has made sure that `=~` has a pattern, which is handled apart.
        Operator::Matches => false,
        Operator::In | Operator::NotIn => {
            let found = match right {
                Some(Value::Array(set)) => all_in(left.map(std::slice::from_ref), set, budget)?,
                Some(Value::Object(_)) => false,
                _ => return Ok(None),
            };
            found == (operator == Operator::In)
        }
        Operator::Contains => match (left, right) {
            (Some(Value::String(text)), Some(Value::String(part))) => {
                budget.spend(text.len() / 16)?;
                text.contains(part.as_str())
            }
            (Some(Value::Array(set)), Some(member)) => all_in(Some(std::slice::from_ref(member)), set, budget)?,
            _ => false,
        },
        Operator::Size => {
            let wanted = right.and_then(Value::as_number).and_then(Number::as_f64).map(f64::trunc);
            #[expect(clippy::cast_precision_loss, reason = "no text or array comes near 2^53")]
            let size = left.and_then(size).map(|size| size as f64);
            size.is_some() && size == wanted
        }
        Operator::Empty => {
            let empty = match left {
                Some(Value::String(text)) => text.is_empty(),
                Some(Value::Array(elements)) => elements.is_empty(),
                Some(Value::Object(members)) => members.is_empty(),
                _ => return Ok(Some(false)),
            };
            return Ok(right.and_then(Value::as_bool).map(|wanted| empty == wanted));
        }
        Operator::Exists => return Ok(right.and_then(Value::as_bool).map(|wanted| exists(left) == wanted)),
        Operator::All => match (left, right) {
            (_, None) => return Ok(None),
            (Some(Value::Array(set)), Some(Value::Array(members))) => all_in(Some(members), set, budget)?,
            _ => false,
        },
        Operator::SubsetOf | Operator::AnyOf | Operator::NoneOf => {
            let set = match right {
                Some(Value::Array(set)) => set,
                Some(Value::Object(_)) => return Ok(Some(false)),
                _ => return Ok(None),
            };
            let members = match left {
                Some(Value::Array(members)) => members,
                Some(Value::Object(_)) => return Ok(Some(false)),
                _ => return Ok(None),
            };
            match operator {
                Operator::SubsetOf => all_in(Some(members), set, budget)?,
                _ => any_in(members, set, budget)? == (operator == Operator::AnyOf),
            }
        }
    };
    Ok(Some(holds))
}

/// A path alone: there is a value, and it is not `null` (AWS: measured with the service's own local edition).
pub(super) fn exists(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

/// `=~`: the text of a scalar, or of any element of an array. What has no text, a path that selects nothing included,
/// is matched as the empty text.
pub(super) fn matches(pattern: &Regex, value: Option<&Value>, budget: &mut Budget) -> Result<bool, Miss> {
    let mut one = |value: Option<&Value>| {
        let text = match value {
            Some(Value::String(text)) => Cow::Borrowed(text.as_str()),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Cow::Owned(value.to_string()),
            _ => Cow::Borrowed(""),
        };
        budget.spend(1 + text.len() / 16)?;
        Ok(pattern.is_match(&text))
    };
    match value {
        Some(Value::Array(elements)) => {
            for element in elements {
                if one(Some(element))? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        other => one(other),
    }
}

/// Whether all `members` are elements of `set`; a path that selects nothing is in no set.
fn all_in(members: Option<&[Value]>, set: &[Value], budget: &mut Budget) -> Result<bool, Miss> {
    let Some(members) = members else {
        return Ok(false);
    };
    budget.spend(cost(members, set))?;
    Ok(members.iter().all(|member| set.iter().any(|element| loosely_equal(member, element))))
}

fn any_in(members: &[Value], set: &[Value], budget: &mut Budget) -> Result<bool, Miss> {
    budget.spend(cost(members, set))?;
    Ok(members.iter().any(|member| set.iter().any(|element| loosely_equal(member, element))))
}

/// What looking for all `members` in a set costs. A comparison never takes longer
/// than the member is large, and comparing scalars is cheap.
fn cost(members: &[Value], set: &[Value]) -> usize {
    let sizes: usize = members.iter().map(|member| 1 + weight(member, MAX_WEIGHT) / 16).sum();
    sizes.saturating_mul(set.len() / 8 + 1)
}

/// For `size`, which an object has not.
fn size(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.encode_utf16().count()),
        Value::Array(elements) => Some(elements.len()),
        _ => None,
    }
}

/// `==`: a number equals a text that spells its value, a text the number it is the text of.
fn loosely_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(number), Value::String(text)) => {
            text.parse::<Number>().is_ok_and(|other| crate::value::same_number(number, &other))
        }
        (Value::String(text), Value::Number(number)) => *text == number.to_string(),
        _ => equal(left, right),
    }
}

/// Numbers by value, texts by UTF-16 code units; nothing else has an order.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.encode_utf16().cmp(right.encode_utf16())),
        _ => None,
    }
}
