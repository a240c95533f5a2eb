//! Functions that are told by a picture what a text looks like: `$formatNumber`,
//! `$formatInteger`, `$parseInteger`, `$fromMillis`, `$toMillis`; and `$now` and
//! `$millis`.
//!
//! The pictures themselves are [`picture`]'s; here are only the values.

use super::scan;
use super::string::text_or_undefined;
use crate::jsonata::Dialect;
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::Builtin;
use crate::jsonata::picture::{self, DecimalFormat, Edition, PictureError};
use crate::jsonata::value::Value;

pub(super) static FUNCTIONS: [Builtin; 7] = [
    Builtin::new("formatNumber", "<n-so?:s>", 3, format_number),
    Builtin::new("formatInteger", "<n-s:s>", 2, format_integer),
    Builtin::new("parseInteger", "<s-s:n>", 2, parse_integer),
    Builtin::new("fromMillis", "<n-s?s?:s>", 3, from_millis),
    Builtin::new("toMillis", "<s-s?:n>", 2, to_millis),
    Builtin::new("now", "<s?s?:s>", 2, now),
    Builtin::new("millis", "<:n>", 0, millis),
];

/// Which release the pictures are read as.
fn edition(context: &Context<'_>) -> Edition {
    match context.library.dialect {
        Dialect::Reference => Edition::Current,
        Dialect::V2_0_6 => Edition::V2_0_6,
    }
}

/// A picture or text of so many bytes is long: the parts it has take memory.
const LONG: usize = 1 << 10;
/// What a byte of a long one takes, at most: `[Y]` is a part.
const PART_BYTES: usize = 96;

/// Steps that a picture of so many bytes, and a text of so many, count for: they
/// are read anew at each call.
fn read(context: &mut Context<'_>, bytes: usize) -> Result<(), Error> {
    context.steps(16)?;
    scan(context, bytes.saturating_mul(16))?;
    if bytes < LONG {
        return Ok(());
    }
    context.steps(bytes as u64)?;
    context.charge(bytes.saturating_mul(PART_BYTES))
}

/// Takes note of what was written: numbers may have hundreds of digits, and more words.
fn written(context: &mut Context<'_>, text: String) -> Result<Value, Error> {
    context.steps(text.len() as u64)?;
    context.string(text)
}

fn refused(error: &PictureError) -> Error {
    let refused = Error::new(error.code);
    if error.value.is_empty() { refused } else { refused.with_text_value(&error.value) }
}

/// The text in a place, if there is one.
fn text_at(arguments: &[Value], at: usize) -> Option<&str> {
    arguments.get(at).and_then(Value::as_str)
}

fn format_number(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(number) = arguments[0].as_number() else { return Ok(Value::Undefined) };
    let picture = text_at(arguments, 1).unwrap_or_default();
    read(context, picture.len())?;
    let mut format = DecimalFormat::default();
    if let Some(Value::Object(options)) = arguments.get(2) {
        for (name, value) in options.iter() {
            context.steps(1)?;
            if let Value::String(value) = value {
                read(context, value.len())?;
                format.set(name, value);
            }
        }
    }
    let text = picture::format_number(number, picture, &format).map_err(|error| refused(&error))?;
    written(context, text)
}

fn format_integer(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(number) = arguments[0].as_number() else { return Ok(Value::Undefined) };
    let picture = text_at(arguments, 1).unwrap_or_default();
    read(context, picture.len())?;
    let text = picture::format_integer(number, picture).map_err(|error| refused(&error))?;
    written(context, text)
}

fn parse_integer(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    let picture = text_at(arguments, 1).unwrap_or_default();
    read(context, picture.len() + text.len())?;
    let number = picture::parse_integer(&text, picture).map_err(|error| refused(&error))?;
    Ok(number.map_or(Value::Undefined, Value::Number))
}

fn from_millis(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(millis) = arguments[0].as_number() else { return Ok(Value::Undefined) };
    format_millis(context, millis, text_at(arguments, 1), text_at(arguments, 2))
}

fn format_millis(
    context: &mut Context<'_>,
    millis: f64,
    picture: Option<&str>,
    timezone: Option<&str>,
) -> Result<Value, Error> {
    read(context, picture.map_or(0, str::len))?;
    let text = picture::format_millis(millis, picture, timezone, edition(context)).map_err(|error| refused(&error))?;
    written(context, text)
}

fn to_millis(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    let picture = text_at(arguments, 1);
    read(context, picture.map_or(0, str::len) + text.len())?;
    #[expect(clippy::cast_possible_truncation, reason = "no clock is that far from 1970")]
    let now = context.now_millis() as i64;
    let mut work = 0;
    let millis = picture::parse_millis_counted(&text, picture, now, edition(context), &mut work);
    context.steps(work)?;
    let millis = millis.map_err(|error| refused(&error))?;
    #[expect(clippy::cast_precision_loss, reason = "dates are within 2^53 milliseconds")]
    Ok(millis.map_or(Value::Undefined, |millis| Value::Number(millis as f64)))
}

fn now(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let millis = context.now_millis();
    format_millis(context, millis, text_at(arguments, 0), text_at(arguments, 1))
}

fn millis(context: &mut Context<'_>, _arguments: &mut [Value]) -> Result<Value, Error> {
    Ok(Value::Number(context.now_millis()))
}
