//! What Step Functions adds to the language: `$partition`, `$range`, `$hash`,
//! `$random` with a seed, `$uuid`, `$parse`.
//!
//! Where the language wants a whole number, a fraction is rounded down (AWS:
//! documented).

use super::scan;
use super::string::text_or_undefined;
use crate::intrinsic::random::fraction;
use crate::intrinsic::text;
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::Builtin;
use crate::jsonata::value::Value;

pub(super) static FUNCTIONS: [Builtin; 6] = [
    Builtin::new("partition", "<an:a<a>>", 2, partition),
    Builtin::new("range", "<nnn:a<n>>", 3, range),
    Builtin::new("hash", "<x-s:s>", 2, hash),
    Builtin::new("random", "<n?:n>", 1, random),
    Builtin::new("uuid", "<:s>", 0, uuid),
    Builtin::new("parse", "<s-:x>", 1, parse),
];

/// The most items `$range` makes (AWS: documented).
const MAX_RANGE: f64 = 1_000.0;

fn refuse(message: String) -> Error {
    Error::new("D3200").with_message(message)
}

fn partition(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Value::Array(array) = &arguments[0] else { return Ok(Value::Undefined) };
    let Some(size) = arguments[1].as_number() else { return Ok(Value::Undefined) };
    let size = size.floor();
    if size < 1.0 {
        return Err(refuse(format!(
            "The second argument of the partition function must be at least 1, but was {size}"
        )));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as is meant")]
    let size = size as usize;
    context.steps(array.len() as u64)?;
    context.charge(array.len() * size_of::<Value>())?;
    let mut parts = Vec::with_capacity(array.len().div_ceil(size));
    for part in array.chunks(size) {
        parts.push(context.array(part.to_vec())?);
    }
    context.array(parts)
}

/// A sequence: `$range(1, 9, 9)` is `1` (AWS: recorded).
fn range(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let number = |at: usize| arguments.get(at).and_then(Value::as_number).map(f64::floor);
    let (Some(first), Some(last), Some(step)) = (number(0), number(1), number(2)) else {
        return Ok(Value::Undefined);
    };
    if step == 0.0 {
        return Err(refuse("The third argument of the range function must not be 0".to_owned()));
    }
    let count = ((last - first) / step).floor() + 1.0;
    if count > MAX_RANGE {
        return Err(refuse(format!(
            "The range function makes at most {MAX_RANGE} numbers, but from {first} to {last} in steps of {step} are {count}"
        )));
    }
    let mut numbers = Vec::new();
    let mut index = 0.0;
    while index < count {
        numbers.push(Value::Number(first + index * step));
        index += 1.0;
    }
    context.sequence(numbers)
}

fn hash(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    if arguments[0].is_undefined() || arguments[1].is_undefined() {
        return Ok(Value::Undefined);
    }
    let data = super::text(context, &arguments[0])?;
    let algorithm = arguments[1].as_str().unwrap_or_default();
    // Digests take far longer than passing over the text.
    context.steps(8)?;
    scan(context, data.len().saturating_mul(16))?;
    match text::hash(&data, algorithm) {
        Some(digest) => context.string(digest),
        None => Err(refuse(format!(
            "The second argument of the hash function must be MD5, SHA-1, SHA-256, SHA-384 or SHA-512, but was {}",
            serde_json::Value::from(algorithm)
        ))),
    }
}

/// With a seed, the first number of a `java.util.Random`.
fn random(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(seed) = arguments.first().and_then(Value::as_number) else {
        return Ok(Value::Number(context.random()));
    };
    #[expect(clippy::cast_possible_truncation, reason = "saturates, as Java does")]
    let seed = seed.floor() as i64;
    Ok(Value::Number(fraction(seed)))
}

fn uuid(context: &mut Context<'_>, _arguments: &mut [Value]) -> Result<Value, Error> {
    let (high, low) = (context.random_u64(), context.random_u64());
    context.string(text::uuid(high, low))
}

fn parse(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    // What the parser makes of a text takes up to so many times its size.
    context.charge(text.len().saturating_mul(64))?;
    scan(context, text.len().saturating_mul(16))?;
    let value: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| refuse(format!("The argument of the parse function is not valid JSON: {error}")))?;
    Ok(Value::from_json(&value))
}
