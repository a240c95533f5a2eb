//! Holds what came out against what was expected, and finds the first place where they differ.
//!
//! An expected value may hold matchers, objects of one member: `{"$any": true}`, `{"$type": "string"}`,
//! `{"$subset": {…}}` (more members are fine) and `{"$unordered": […]}`.

use serde_json::Value;

use crate::mocks::kind;

/// Where two values differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place, `$.orders[2].total`.
    pub path: String,
    /// What was expected there.
    pub expected: String,
    /// What is there.
    pub got: String,
}

impl Difference {
    pub(crate) fn new(path: impl Into<String>, expected: impl Into<String>, got: impl Into<String>) -> Self {
        Self { path: path.into(), expected: expected.into(), got: got.into() }
    }
}

/// Whether two values are the same; numbers by what they are worth.
#[must_use]
pub fn equal(one: &Value, other: &Value) -> bool {
    difference("$", other, one, false).is_none()
}

/// The first difference, in the order of the expected value; members that are too many come last.
#[must_use]
pub fn first_difference(expected: &Value, got: &Value) -> Option<Difference> {
    difference("$", expected, got, true)
}

/// A matcher and its operand.
fn matcher(expected: &Value) -> Option<(&str, &Value)> {
    let members = expected.as_object().filter(|members| members.len() == 1)?;
    let (name, operand) = members.iter().next()?;
    matches!(name.as_str(), "$any" | "$type" | "$subset" | "$unordered").then_some((name.as_str(), operand))
}

/// What is wrong with the matchers of an expected value.
#[must_use]
pub fn misuse(expected: &Value, path: &str) -> Option<(String, String)> {
    let wrong = |rule: &str| Some((path.to_owned(), rule.to_owned()));
    match (matcher(expected), expected) {
        (Some(("$any", operand)), _) if *operand != Value::Bool(true) => wrong("$any must be true"),
        (Some(("$type", operand)), _) if !operand.as_str().is_some_and(|name| TYPES.contains(&name)) => {
            wrong("$type must be one of string, number, boolean, object, array and null")
        }
        (Some(("$subset", operand)), _) if !operand.is_object() => wrong("$subset must be an object"),
        (Some(("$unordered", operand)), _) if !operand.is_array() => wrong("$unordered must be a list"),
        (_, Value::Object(members)) => {
            members.iter().find_map(|(name, value)| misuse(value, &format!("{path}.{name}")))
        }
        (_, Value::Array(list)) => {
            list.iter().enumerate().find_map(|(at, value)| misuse(value, &format!("{path}[{at}]")))
        }
        _ => None,
    }
}

const TYPES: [&str; 6] = ["string", "number", "boolean", "object", "array", "null"];

fn type_name(value: &Value) -> &'static str {
    kind(value).trim_start_matches("an ").trim_start_matches("a ")
}

fn difference(path: &str, expected: &Value, got: &Value, matchers: bool) -> Option<Difference> {
    let differ = || Some(Difference::new(path, short(expected), short(got)));
    if matchers && let Some((name, operand)) = matcher(expected) {
        return match (name, operand, got) {
            ("$any", ..) => None,
            ("$type", operand, got) if operand == type_name(got) => None,
            ("$type", ..) => Some(Difference::new(path, format!("a value of type {}", short(operand)), short(got))),
            ("$subset", Value::Object(operand), Value::Object(got)) => members(path, operand, got, matchers),
            ("$unordered", Value::Array(operand), Value::Array(got)) => unordered(path, operand, got),
            _ => differ(),
        };
    }
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => members(path, expected, got, matchers).or_else(|| {
            let more = got.iter().find(|(name, _)| !expected.contains_key(*name))?;
            Some(Difference::new(member(path, more.0), "nothing", short(more.1)))
        }),
        (Value::Array(expected), Value::Array(got)) => {
            let inside = expected
                .iter()
                .zip(got)
                .enumerate()
                .find_map(|(at, (expected, got))| difference(&format!("{path}[{at}]"), expected, got, matchers));
            inside.or_else(|| {
                let at = expected.len().min(got.len());
                let place = format!("{path}[{at}]");
                match (expected.get(at), got.get(at)) {
                    (Some(expected), None) => Some(Difference::new(place, short(expected), "nothing")),
                    (None, Some(got)) => Some(Difference::new(place, "nothing", short(got))),
                    _ => None,
                }
            })
        }
        (Value::Number(expected), Value::Number(got)) if expected.as_f64() == got.as_f64() => {
            // As floating-point numbers, large integers that differ may look alike.
            let whole =
                |number: &serde_json::Number| number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
            match (whole(expected), whole(got)) {
                (Some(one), Some(other)) if one != other => differ(),
                _ => None,
            }
        }
        _ if expected == got => None,
        _ => differ(),
    }
}

fn members(
    path: &str,
    expected: &serde_json::Map<String, Value>,
    got: &serde_json::Map<String, Value>,
    matchers: bool,
) -> Option<Difference> {
    expected.iter().find_map(|(name, expected)| {
        let place = member(path, name);
        match got.get(name) {
            Some(got) => difference(&place, expected, got, matchers),
            None => Some(Difference::new(place, short(expected), "nothing")),
        }
    })
}

/// Pairs each expected value with another one that is there. Values that many could be paired with, because they hold
/// matchers, are paired as they come.
fn unordered(path: &str, expected: &[Value], got: &[Value]) -> Option<Difference> {
    let mut left: Vec<&Value> = got.iter().collect();
    for expected in expected {
        match left.iter().position(|got| difference(path, expected, got, true).is_none()) {
            Some(at) => drop(left.remove(at)),
            None => return Some(Difference::new(format!("{path}[*]"), short(expected), "no such value")),
        }
    }
    left.first().map(|got| Difference::new(format!("{path}[*]"), "nothing", short(got)))
}

fn member(path: &str, name: &str) -> String {
    let plain = name.chars().all(|character| character.is_alphanumeric() || character == '_') && !name.is_empty();
    if plain { format!("{path}.{name}") } else { format!("{path}[{name:?}]") }
}

/// A value on one line, cut where it is long.
pub(crate) fn short(value: &Value) -> String {
    const LONG: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(LONG) {
        Some((cut, _)) => format!("{}… ({} characters)", &text[..cut], text.chars().count()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_has_a_path() {
        for (expected, got, path) in [
            (json!({"a": [1, {"b": 2}]}), json!({"a": [1, {"b": 3}]}), "$.a[1].b"),
            (json!({"a": 1, "b": 2}), json!({"a": 1}), "$.b"),
            (json!({"a": 1}), json!({"a": 1, "x y": 2}), "$[\"x y\"]"),
            (json!([1, 2]), json!([1]), "$[1]"),
            (json!([1]), json!([1, 2]), "$[1]"),
            (json!(1), json!("1"), "$"),
            (json!(9_007_199_254_740_993_i64), json!(9_007_199_254_740_992_i64), "$"),
            (json!({"a": {"$type": "string"}}), json!({"a": 1}), "$.a"),
            (json!({"$subset": {"a": {"b": 1}}}), json!({"a": {"b": 2}, "c": 0}), "$.a.b"),
            (json!({"$unordered": [1, 2]}), json!([2, 3]), "$[*]"),
        ] {
            let found = first_difference(&expected, &got).expect("a difference");
            assert_eq!(found.path, path, "{expected} {got}");
        }
    }

    #[test]
    fn what_is_the_same() {
        for (expected, got) in [
            (json!(1), json!(1.0)),
            (json!({"a": {"$any": true}}), json!({"a": [1]})),
            (json!({"$subset": {"a": 1}}), json!({"a": 1, "b": 2})),
            (json!({"$unordered": [{"a": 1}, {"$any": true}]}), json!([5, {"a": 1}])),
            (json!({"t": {"$type": "array"}}), json!({"t": []})),
        ] {
            assert_eq!(first_difference(&expected, &got), None, "{expected} {got}");
        }
    }

    #[test]
    fn misused_matchers_are_named() {
        assert_eq!(misuse(&json!({"a": [{"$type": "text"}]}), "$").map(|(path, _)| path).as_deref(), Some("$.a[0]"));
        assert_eq!(misuse(&json!({"a": {"$any": true}}), "$"), None);
    }
}
