//! Functions on texts that need no pattern: `$string`, `$length`, `$substring`,
//! `$pad` and so on. The reference counts characters by code points here.

use super::json_text::append_json;
use super::{count, scan, search};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::Builtin;
use crate::jsonata::value::{Text, Value};

pub(super) static FUNCTIONS: [Builtin; 9] = [
    Builtin::new("string", "<x-b?:s>", 1, string),
    Builtin::new("length", "<s-:n>", 1, length),
    Builtin::new("substring", "<s-nn?:s>", 3, substring),
    Builtin::new("substringBefore", "<s-s:s>", 2, substring_before),
    Builtin::new("substringAfter", "<s-s:s>", 2, substring_after),
    Builtin::new("lowercase", "<s-:s>", 1, lowercase),
    Builtin::new("uppercase", "<s-:s>", 1, uppercase),
    Builtin::new("trim", "<s-:s>", 1, trim),
    Builtin::new("pad", "<s-ns?:s>", 3, pad),
];

/// Lets the rest of the function see the text in the first place; undefined
/// gives undefined.
macro_rules! text_or_undefined {
    ($arguments:expr) => {
        match std::mem::take(&mut $arguments[0]) {
            Value::String(text) => text,
            _ => return Ok(Value::Undefined),
        }
    };
}
pub(super) use text_or_undefined;

fn string(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let pretty = matches!(arguments.get(1), Some(Value::Boolean(true)));
    match &arguments[0] {
        Value::Undefined | Value::String(_) => Ok(std::mem::take(&mut arguments[0])),
        value @ (Value::Array(_) | Value::Object(_)) if pretty => {
            let mut out = String::new();
            append_json(context, &mut out, value, true)?;
            context.string(out)
        }
        value => super::text(context, value).map(Value::String),
    }
}

fn length(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    scan(context, text.len())?;
    Ok(count(text.chars().count()))
}

fn substring(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    let start = arguments.get(1).and_then(Value::as_number);
    let length = arguments.get(2).and_then(Value::as_number);
    if length.is_some_and(|length| length <= 0.0) {
        return context.string("");
    }
    scan(context, text.len())?;
    let Some(mut start) = start else {
        return if length.is_some() { context.string("") } else { Ok(Value::String(text)) };
    };
    let ascii = text.is_ascii();
    if start < 0.0 {
        // From the end; before the beginning is the beginning.
        #[expect(clippy::cast_precision_loss, reason = "no text is that long")]
        let total = if ascii { text.len() } else { text.chars().count() } as f64;
        // A fraction is cut from the start before it is counted, but not from the end.
        let from_end = total + start;
        let end = length.map(|length| if from_end < 0.0 { length } else { from_end + length });
        start = if from_end < 0.0 { 0.0 } else { total + start.trunc() };
        return slice(context, &text, ascii, start, end);
    }
    slice(context, &text, ascii, start, length.map(|length| start + length))
}

/// From one place to another, in code points.
fn slice(context: &mut Context<'_>, text: &Text, ascii: bool, start: f64, end: Option<f64>) -> Result<Value, Error> {
    let (start, end) = (index(start), end.map_or(usize::MAX, index));
    if end <= start {
        return context.string("");
    }
    let (from, to) = if ascii {
        (start.min(text.len()), end.min(text.len()))
    } else {
        let from = text.char_indices().nth(start).map_or(text.len(), |(at, _)| at);
        let to = text[from..].char_indices().nth(end - start).map_or(text.len(), |(at, _)| from + at);
        (from, to)
    };
    if (from, to) == (0, text.len()) {
        return Ok(Value::String(Text::clone(text)));
    }
    context.string(&text[from..to])
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as is meant")]
fn index(number: f64) -> usize {
    number as usize
}

fn substring_before(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    search(context, &text, arguments[1].as_str().unwrap_or_default())?;
    match arguments[1].as_str().and_then(|wanted| text.find(wanted)) {
        Some(at) => context.string(&text[..at]),
        None => Ok(Value::String(text)),
    }
}

fn substring_after(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    search(context, &text, arguments[1].as_str().unwrap_or_default())?;
    match arguments[1].as_str().and_then(|wanted| text.find(wanted).map(|at| at + wanted.len())) {
        Some(at) => context.string(&text[at..]),
        None => Ok(Value::String(text)),
    }
}

/// Takes note of the work and memory of changing a text's case, which is slow beyond ASCII.
fn change_case(context: &mut Context<'_>, text: &str) -> Result<(), Error> {
    scan(context, if text.is_ascii() { text.len() } else { text.len().saturating_mul(8) })?;
    context.charge(text.len())
}

fn lowercase(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    change_case(context, &text)?;
    context.string(if text.is_ascii() { text.to_ascii_lowercase() } else { text.to_lowercase() })
}

fn uppercase(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    change_case(context, &text)?;
    context.string(if text.is_ascii() { text.to_ascii_uppercase() } else { text.to_uppercase() })
}

fn trim(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    scan(context, text.len())?;
    let is_space = |character| matches!(character, ' ' | '\t' | '\n' | '\r');
    let trimmed = text.trim_matches(is_space);
    let mut words = trimmed.split(is_space).filter(|word| !word.is_empty());
    // Most texts have single spaces already.
    let mut before_is_space = false;
    let is_normal = trimmed.bytes().all(|byte| {
        let space = is_space(char::from(byte));
        let normal = !space || (byte == b' ' && !before_is_space);
        before_is_space = space;
        normal
    });
    if is_normal {
        return if trimmed.len() == text.len() { Ok(Value::String(text)) } else { context.string(trimmed) };
    }
    context.charge(trimmed.len())?;
    let mut out = String::with_capacity(trimmed.len());
    out.push_str(words.next().unwrap_or_default());
    for word in words {
        out.push(' ');
        out.push_str(word);
    }
    context.string(out)
}

fn pad(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    let width = arguments.get(1).and_then(Value::as_number).unwrap_or(0.0).trunc();
    let filling = match arguments.get(2).and_then(Value::as_str) {
        Some(filling) if !filling.is_empty() => filling,
        _ => " ",
    };
    scan(context, text.len().saturating_add(filling.len()))?;
    let missing = index(width.abs()).saturating_sub(text.chars().count());
    if missing == 0 {
        return Ok(Value::String(text));
    }
    let characters = filling.chars().count();
    let (whole, rest) = (missing / characters, missing % characters);
    let rest = &filling[..filling.char_indices().nth(rest).map_or(filling.len(), |(at, _)| at)];
    let size = whole.saturating_mul(filling.len()).saturating_add(rest.len()).saturating_add(text.len());
    context.charge(size)?;
    scan(context, size)?;
    let mut out = String::with_capacity(size);
    if width > 0.0 {
        out.push_str(&text);
    }
    for _ in 0..whole {
        out.push_str(filling);
    }
    out.push_str(rest);
    if width < 0.0 {
        out.push_str(&text);
    }
    context.string(out)
}
