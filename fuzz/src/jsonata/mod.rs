//! JSONata. What is accepted is printed and read again as the same; an evaluation ends within its bounds, comes to the
//! same every time, and is not changed by being looked at.

mod choices;
mod grow;
mod states;
mod words;

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use stepwright_querylang::jsonata::{Compiler, Dialect, Environment, Error, Expression, Limits, NotJson, Value};

use crate::world::document;
use choices::Choices;
use grow::Place;

pub(crate) use states::{PIECES as TEMPLATE_PIECES, run as run_template};

pub(crate) const PIECES: &[&str] = &[
    "a",
    "b",
    "`b c`",
    "$",
    "$$",
    "$v",
    "*",
    "**",
    "%",
    "1",
    "2.5",
    "1e21",
    "'s'",
    "\"\\u00e9\\ud83d\"",
    "true",
    "null",
    "/a+\\/b/i",
    " and ",
    " or ",
    " in ",
    "+",
    "-",
    "/",
    "=",
    "!=",
    "<=",
    "&",
    ".",
    "..",
    "~>",
    ":=",
    "??",
    "?:",
    "?",
    ":",
    ";",
    ",",
    "(",
    ")",
    "[",
    "]",
    "[0]",
    "[-1]",
    "[]",
    "{",
    "}",
    "^(>",
    "@$i",
    "#$j",
    "|",
    "|a|{'b':1}|",
    "function($x){",
    "λ($x, $y)",
    "<s-n?:s>",
    "$f(?, ",
    "$map(",
    "$reduce(",
    "$sort(",
    "$replace(",
    "$match(",
    "$eval('a')",
    "$string(",
    "$formatNumber(1, '",
    "$toMillis('",
    "[Y0001]",
    "#,##0.0",
    "/* c */",
    "\u{e9}",
    "\u{1f4a9}",
    "\\u",
    "99999999999",
];

/// The longest text that is fed.
const MAX_TEXT: usize = 2 * 1024;

/// The bounds of an evaluation: small, so that they are reached.
const LIMITS: Limits = Limits { steps: 30_000, depth: 400, stack_bytes: 1 << 20, memory_bytes: 2 << 20 };

/// The bounds of the same evaluation when it is looked at, which takes more of everything.
const WIDER: Limits = Limits { steps: 200_000, depth: 2_000, stack_bytes: 3 << 20, memory_bytes: 16 << 20 };

/// The most text that a result may be.
const MAX_RESULT: usize = 1 << 20;

/// The longest message, but for those that the expression itself words: a wrong value is shown in part.
const MAX_MESSAGE: usize = 32 << 10;

/// What an evaluation comes to.
type Outcome = Result<Result<Option<Json>, NotJson>, Error>;

/// An expression on a line, then a document.
pub(crate) fn run(bytes: &[u8]) {
    let (line, rest) = super::line_and_rest(bytes);
    let Ok(text) = std::str::from_utf8(&line[..line.len().min(MAX_TEXT)]) else { return };
    check(text, &document(rest));
}

/// An expression and a document grown from the bytes.
pub(crate) fn run_grown(bytes: &[u8]) {
    let choices = &mut Choices::new(bytes);
    if choices.one_in(4) {
        return states::check_grown(choices);
    }
    let text = grow::expression(choices, Place::Document);
    check(&text, &grow::document(choices));
}

fn check(text: &str, input: &Json) {
    for dialect in [Dialect::Reference, Dialect::V2_0_6] {
        match Compiler::new(dialect).compile(text) {
            Err(error) => refused(text, &error),
            Ok(expression) => {
                printed(text, &expression, dialect);
                evaluated(text, &expression, input);
            }
        }
    }
}

/// A mistake has a place in the text and a message.
fn refused(text: &str, error: &Error) {
    let units = text.encode_utf16().count();
    assert!(error.position().is_none_or(|position| position as usize <= units), "{text}: {error:?}");
    let known = error.reached_limit().is_some() || error.code().starts_with('S');
    assert!(known && !error.message().is_empty(), "{text}: {error}");
}

/// What is printed is read as the same.
fn printed(text: &str, expression: &Expression, dialect: Dialect) {
    let printed = expression.ast().to_string();
    let again = Compiler::new(dialect).compile(&printed);
    let again = again.unwrap_or_else(|error| panic!("{text}\nis printed as\n{printed}\nwhich is refused: {error}"));
    assert_eq!(again.ast(), expression.ast(), "{text}\nis printed as\n{printed}");
    assert_eq!(again.ast().to_string(), printed, "{text}\nis printed in two ways");
    assert_eq!(again.free_names().len(), expression.free_names().len(), "{text}\nis printed as\n{printed}");
}

fn evaluated(text: &str, expression: &Expression, input: &Json) {
    let bindings = [("v", Value::from_json(&json!({"a": [1, {"b": 2}]}))), ("answer", Value::from(42.0))];
    let spent = Cell::new(0);
    let environment = Environment {
        now_millis: 1_700_000_000_123.0,
        seed: 5,
        limits: LIMITS,
        bindings: Some(&bindings),
        spent: Some(&spent),
        ..Environment::default()
    };
    let input = Value::from_json(input);
    let first = expression.evaluate(&input, environment);
    let steps = spent.take();
    assert!(steps <= LIMITS.steps, "{text}\ntakes {steps} steps");
    if let Ok(value) = &first {
        let held = held(value, &mut HashSet::new());
        let given = held_of_input(&input) + text.len() * 64;
        assert!(held <= LIMITS.memory_bytes + given, "{text}\nholds {held} bytes");
    }
    let first = outcome(first, text);
    let second = outcome(expression.evaluate(&input, environment), text);
    assert_eq!(second, first, "{text}\ncomes to different things at different times");
    assert_eq!(spent.take(), steps, "{text}\ntakes different times");
    let looked_at = expression.explain(&input, Environment { limits: WIDER, ..environment }).value;
    let reached = |value: Option<&Error>| value.is_some_and(|error| error.reached_limit().is_some());
    if !reached(first.as_ref().err()) && !reached(looked_at.as_ref().err()) {
        // Where an error is said to be depends on whether a function ends with the call that failed.
        let code = |error: Error| error.code();
        let looked_at = outcome(looked_at, text).map_err(code);
        assert_eq!(looked_at, first.map_err(code), "{text}\nis changed by being looked at");
    }
}

/// What can be compared of a result; its message is of bounded length.
fn outcome(result: Result<Value, Error>, text: &str) -> Outcome {
    if let Err(error) = &result {
        let words = text.contains("error") || text.contains("assert");
        let length = error.to_string().len();
        assert!(length > 0 && (words || length <= MAX_MESSAGE + text.len() * 8), "{text}\nfails in {length} bytes");
    }
    result.map(|value| value.to_json(MAX_RESULT))
}

/// The bytes that a value holds, with what it shares counted once.
fn held(value: &Value, seen: &mut HashSet<usize>) -> usize {
    match value {
        Value::String(text) if seen.insert(Arc::as_ptr(text).cast::<u8>().addr()) => text.len() + 16,
        Value::Array(array) if seen.insert(Rc::as_ptr(array).addr()) => {
            array.len() * size_of::<Value>() + array.iter().map(|item| held(item, seen)).sum::<usize>()
        }
        Value::Object(object) if seen.insert(Rc::as_ptr(object).addr()) => {
            let members = object.iter().map(|(_, member)| held(member, seen)).sum::<usize>();
            object.len() * (size_of::<Value>() + size_of::<Arc<str>>()) + members
        }
        _ => 0,
    }
}

fn held_of_input(input: &Value) -> usize {
    held(input, &mut HashSet::new())
}
