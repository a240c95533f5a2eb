//! The functions of the language, written in Rust.
//!
//! **Declaring one.** Each file holds a `pub(super) static FUNCTIONS: [Builtin; N]`
//! of `Builtin::new(name, signature, arity, function)` and is listed in
//! [`TABLES`]:
//!
//! * `name` is without the `$`;
//! * `signature` is the reference's text (`<s-nn?:s>`). The evaluator has
//!   checked and completed the arguments by it before the function runs: single
//!   values have become arrays where it says `a`, the context item stands in
//!   where it says `-`. An argument that it lets pass may still be undefined;
//! * `arity` is the number of parameters that the reference's JavaScript
//!   function *declares before the first one with a default*
//!   (`Function.length`): `$map` and its like pass that many (at most three).
//!   The slice of arguments has at least that many places and, beyond them, as
//!   many as the signature has parameters or the caller gave; read optional
//!   ones with `arguments.get(n)`;
//! * the function is `fn(&mut Context<'_>, &mut [Value]) -> Result<Value, Error>`.
//!   It may take an argument out of its place (`std::mem::take`), so that a
//!   container that nobody else holds can be changed without a copy
//!   (`Rc::try_unwrap`, `Rc::make_mut`).
//!
//! **Results.** Make texts and containers with [`Context::string`],
//! [`Context::array`], [`Context::sequence`], [`Context::object`]: they charge
//! for memory and refuse what is nested too deep. A result whose size is known
//! beforehand (`$pad`, a range) is charged for *before* it is built
//! ([`Context::charge`]; then make the value with `Value::from`). What the
//! reference makes with `createSequence` is a sequence, the rest are arrays;
//! the evaluator unwraps sequences afterwards.
//!
//! **Work.** A loop calls [`Context::steps`] (once with the number of items is
//! enough). No function may take more than linear time without it.
//!
//! **Calling functions.** `context.apply(&function, arguments)` calls any
//! function value; `context.call_with_item(&function, &item, index, &whole)`
//! calls it with as many of the three as it takes (`$map`, `$filter`, `$sift`
//! …). A regular expression is a function too: `function.as_regex()` gives the
//! [`Regex`](super::regex::Regex), to be used directly instead of calling
//! it (offsets are bytes; the language counts UTF-16 units). Any other function
//! given as a matcher is called with the text and answers the object
//! `{match, start, end, groups, next}`; T1010 if it does not.
//!
//! **Time and chance** are [`Context::now_millis`], [`Context::random`] and
//! [`Context::random_u64`], nothing else.
//!
//! **Errors** are `Error::new("D3030").with_value(..)`, with the inserts that
//! the message has. Position and name of the function are added by the caller.
//! `$error` and `$assert` use `with_message`.
//!
//! **Shared helpers:** [`merge_sort`](super::sort::merge_sort),
//! [`compare_text`](super::value::compare_text), `Value::{equals, is_truthy,
//! symbol}`, [`number::to_text`](super::number::to_text). `$eval` is the
//! evaluator's and not declared here. [`text`] is what `&` uses.

mod array;
mod distinct;
mod encoding;
mod higher_order;
mod json_text;
mod logic;
mod matching;
mod numeric;
mod object;
mod pictures;
mod step_functions;
mod string;
#[cfg(test)]
mod tests;

pub(crate) use json_text::{append_text, text};

use super::context::Context;
use super::error::Error;
use super::function::Builtin;
use super::value::Value;

/// The tables of all files.
static TABLES: &[&[Builtin]] = &[
    &string::FUNCTIONS,
    &matching::FUNCTIONS,
    &encoding::FUNCTIONS,
    &numeric::FUNCTIONS,
    &logic::FUNCTIONS,
    &array::FUNCTIONS,
    &object::FUNCTIONS,
    &higher_order::FUNCTIONS,
    &pictures::FUNCTIONS,
];

/// The language's function of this name.
pub(crate) fn find(name: &str) -> Option<&'static Builtin> {
    TABLES.iter().flat_map(|table| table.iter()).find(|builtin| builtin.name == name)
}

/// What Step Functions has besides, or instead of, the language's own functions:
/// `$partition`, `$range`, `$hash`, `$random` with a seed, `$uuid`, `$parse`.
///
/// ```
/// use stepwright_querylang::jsonata::{Compiler, Dialect, Environment, Value, step_functions};
/// let compiler = step_functions().iter().fold(Compiler::new(Dialect::V2_0_6), Compiler::with_function);
/// let parts = compiler.compile("$string($partition([1, 2, 3], 2))").unwrap();
/// let value = parts.evaluate(&Value::Undefined, Environment::default()).unwrap();
/// assert_eq!(value.as_str(), Some("[[1,2],[3]]"));
/// ```
#[must_use]
pub fn step_functions() -> &'static [Builtin] {
    &step_functions::FUNCTIONS
}

/// Takes note of the work of passing over a text of so many bytes.
fn scan(context: &mut Context<'_>, bytes: usize) -> Result<(), Error> {
    context.steps(bytes as u64 / 64)
}

/// Takes note of the work of looking for one text in another: slower than
/// passing over them, and both are read.
fn search(context: &mut Context<'_>, text: &str, wanted: &str) -> Result<(), Error> {
    context.steps((text.len() as u64).saturating_add(wanted.len() as u64) / 16)
}

/// A number of things as a value.
fn count(number: usize) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "nothing in memory is that many")]
    Value::Number(number as f64)
}

/// [`Value::is_truthy`], with the steps it takes counted: an array may hold the
/// same empty array many times over.
fn is_truthy(context: &mut Context<'_>, value: &Value) -> Result<bool, Error> {
    let Value::Array(array) = value else { return Ok(value.is_truthy()) };
    context.steps(1)?;
    for item in array.iter() {
        context.steps(1)?;
        if is_truthy(context, item)? {
            return Ok(true);
        }
    }
    Ok(false)
}
