//! Values as text: what `$string` and `&` make of them.
//!
//! Text is charged for as it grows: a value that holds the same array many
//! times over may be far longer as text than in memory.

use crate::jsonata::Dialect;
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::number;
use crate::jsonata::value::{Text, Value};
use std::fmt::Write;

/// How much text is charged for at once.
const CHUNK: usize = 4 << 10;

/// A value cast to a text; undefined and functions are the empty text.
///
/// # Errors
/// D3001 for a number that is none, D1001 for one within a container, U1001.
pub(crate) fn text(context: &mut Context<'_>, value: &Value) -> Result<Text, Error> {
    if let Value::String(text) = value {
        return Ok(Text::clone(text));
    }
    let mut out = String::new();
    append_text(context, &mut out, value)?;
    context.charge(out.len() + 16)?;
    Ok(Text::from(out))
}

/// Adds what [`text`] gives to the end of another text.
///
/// # Errors
/// As [`text`].
pub(crate) fn append_text(context: &mut Context<'_>, out: &mut String, value: &Value) -> Result<(), Error> {
    match value {
        Value::Undefined | Value::Function(_) => Ok(()),
        Value::String(text) => {
            context.charge(text.len())?;
            out.push_str(text);
            Ok(())
        }
        Value::Number(number) if !number.is_finite() => Err(Error::new("D3001").with_value(value)),
        _ => append_json(context, out, value, false),
    }
}

/// Adds a value as JSON, with line breaks and two spaces of indentation if asked.
pub(super) fn append_json(
    context: &mut Context<'_>,
    out: &mut String,
    value: &Value,
    pretty: bool,
) -> Result<(), Error> {
    let start = out.len();
    let mut writer = Writer { context, out, charged: start, pretty };
    match value {
        Value::Array(array) if array.kind.outer_wrapper => writer.value(array.first().unwrap_or(value), 0)?,
        _ => writer.value(value, 0)?,
    }
    writer.charge()
}

struct Writer<'w, 'e> {
    context: &'w mut Context<'e>,
    out: &'w mut String,
    charged: usize,
    pretty: bool,
}

impl Writer<'_, '_> {
    /// Recurses as deep as the value is nested, which is bounded.
    fn value(&mut self, value: &Value, level: usize) -> Result<(), Error> {
        match value {
            Value::Undefined | Value::Null => self.out.push_str("null"),
            Value::Boolean(true) => self.out.push_str("true"),
            Value::Boolean(false) => self.out.push_str("false"),
            Value::Number(number) if number.is_nan() => self.out.push_str("null"),
            Value::Number(number) if number.is_infinite() => return Err(Error::new("D1001").with_value(value)),
            Value::Number(number) => push_number(self.out, *number, self.context.library.dialect),
            Value::String(text) => self.string(text),
            Value::Function(_) => self.out.push_str("\"\""),
            Value::Array(array) => {
                self.out.push('[');
                for (index, item) in array.iter().enumerate() {
                    self.separate(index > 0, level + 1);
                    self.value(item, level + 1)?;
                }
                if !array.is_empty() {
                    self.break_line(level);
                }
                self.out.push(']');
            }
            Value::Object(object) => {
                self.out.push('{');
                let mut any = false;
                for (key, member) in object.iter().filter(|(_, member)| !member.is_undefined()) {
                    self.separate(any, level + 1);
                    any = true;
                    self.string(key);
                    self.out.push_str(if self.pretty { ": " } else { ":" });
                    self.value(member, level + 1)?;
                }
                if any {
                    self.break_line(level);
                }
                self.out.push('}');
            }
        }
        self.settle()
    }

    fn separate(&mut self, follows: bool, level: usize) {
        if follows {
            self.out.push(',');
        }
        self.break_line(level);
    }

    fn break_line(&mut self, level: usize) {
        if self.pretty {
            self.out.push('\n');
            for _ in 0..level {
                self.out.push_str("  ");
            }
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        let mut done = 0;
        for (at, byte) in text.bytes().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.push_str(&text[done..at]);
            done = at + 1;
            match byte {
                b'"' => self.out.push_str("\\\""),
                b'\\' => self.out.push_str("\\\\"),
                b'\n' => self.out.push_str("\\n"),
                b'\r' => self.out.push_str("\\r"),
                b'\t' => self.out.push_str("\\t"),
                0x08 => self.out.push_str("\\b"),
                0x0C => self.out.push_str("\\f"),
                _ => write!(self.out, "\\u{byte:04x}").expect("writing to a string cannot fail"),
            }
        }
        self.out.push_str(&text[done..]);
        self.out.push('"');
    }

    /// Charges for what has been written, once it is worth it.
    fn settle(&mut self) -> Result<(), Error> {
        if self.out.len() - self.charged < CHUNK { Ok(()) } else { self.charge() }
    }

    fn charge(&mut self) -> Result<(), Error> {
        let more = self.out.len() - self.charged;
        self.charged = self.out.len();
        self.context.charge(more)?;
        self.context.steps(more as u64 / 64)
    }
}

/// A finite number as the reference's `$string` writes it: fractions have at
/// most fifteen significant digits, in 2.0.6 whole numbers too.
pub(super) fn push_number(out: &mut String, number: f64, dialect: Dialect) {
    #[expect(clippy::cast_possible_truncation, reason = "a whole number that fits is the same")]
    let whole = number as i64;
    #[expect(clippy::cast_precision_loss, reason = "a loss is found by the comparison")]
    if whole as f64 == number && whole.unsigned_abs() < 1_000_000_000_000_000 {
        write!(out, "{whole}").expect("writing to a string cannot fail");
        return;
    }
    let text = number::to_text(number);
    let mantissa = text.split('e').next().unwrap_or_default();
    let digits = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if digits <= 15 || (dialect == Dialect::Reference && number.fract() == 0.0) {
        out.push_str(&text);
        return;
    }
    let mut rounded: f64 = format!("{number:.14e}").parse().unwrap_or(number);
    // The digits behind the sixteenth, exactly.
    let is_tie = || format!("{:.40e}", number.abs())[17..].trim_start_matches('0').starts_with('e');
    if digits == 16 && mantissa.ends_with('5') && is_tie() {
        // Exactly halfway: JavaScript goes up where Rust goes to the even digit.
        let up = format!("{:.14e}", number + number.signum() * (number - rounded).abs());
        rounded = up.parse().unwrap_or(rounded);
    }
    out.push_str(&number::to_text(rounded));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_fifteen_digits() {
        for (number, reference, before) in [
            (0.0, "0", "0"),
            (-0.0, "0", "0"),
            (-42.0, "-42", "-42"),
            (0.1 + 0.2, "0.3", "0.3"),
            (-1.0 / 3.0, "-0.333333333333333", "-0.333333333333333"),
            (123_456_789_012_345.0, "123456789012345", "123456789012345"),
            (1_234_567_890_123_456.0, "1234567890123456", "1234567890123460"),
            (1e21, "1e+21", "1e+21"),
            (1.5e-9, "1.5e-9", "1.5e-9"),
            (100_000_000_000_000.5, "100000000000001", "100000000000001"),
            (-100_000_000_000_000.5, "-100000000000001", "-100000000000001"),
            (100_000_000_000_001.5, "100000000000002", "100000000000002"),
            (0.123_456_789_012_345_5, "0.123456789012345", "0.123456789012345"),
        ] {
            for (dialect, expected) in [(Dialect::Reference, reference), (Dialect::V2_0_6, before)] {
                let mut text = String::new();
                push_number(&mut text, number, dialect);
                assert_eq!(text, expected, "{dialect:?}");
            }
        }
    }
}
