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

/// What a number that is not whole counts for, where any other value counts for one: a step is two.
const WORK_OF_FRACTION: u64 = 12;

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
    let mut writer = Writer { context, out, charged: start, work: 0, pretty };
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
    /// Steps that are not taken note of yet.
    work: u64,
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
            Value::Number(number) => {
                self.work += if number.fract() == 0.0 && number.abs() < 1e15 { 0 } else { WORK_OF_FRACTION };
                push_number(self.out, *number, self.context.library.dialect);
            }
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
        self.work += 1;
        if self.out.len() - self.charged < CHUNK { Ok(()) } else { self.charge() }
    }

    fn charge(&mut self) -> Result<(), Error> {
        let more = self.out.len() - self.charged;
        self.charged = self.out.len();
        self.context.charge(more)?;
        self.context.steps(std::mem::take(&mut self.work) / 2 + more as u64 / 64)
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
    let is_small = number.abs() < 1e-290;
    if is_small || (dialect == Dialect::Reference && number.fract() == 0.0) {
        out.push_str(&number::to_text(if is_small { number::to_precision_15(number) } else { number }));
        return;
    }
    push_rounded(out, number);
}

/// Fifteen digits are all that a double always keeps: cut to them, without zeros
/// at the end, the text is also the shortest that reads back as the same double.
fn push_rounded(out: &mut String, number: f64) {
    let start = out.len();
    write!(out, "{:.14e}", number.abs()).expect("writing to a string cannot fail");
    let mut digits = [0; 15];
    let mut exponent = read_scientific(&out.as_bytes()[start..], &mut digits);
    out.truncate(start);
    if number < 0.0 {
        out.push('-');
    }
    // A tie goes up in JavaScript and to the even digit in Rust. A fraction can be
    // one only if the last of its binary digits, of which each takes a decimal, is
    // the sixteenth decimal.
    let binary_digits = 15 - exponent;
    let is_whole = |digits: i32| (number * 2f64.powi(digits)).fract() == 0.0;
    let may_tie = (1..64).contains(&binary_digits) && is_whole(binary_digits) && !is_whole(binary_digits - 1);
    if may_tie || number.fract() == 0.0 {
        let text = format!("{:.40e}", number.abs());
        let mut exact = [0; 41];
        let exact_exponent = read_scientific(text.as_bytes(), &mut exact);
        if exact[15] == b'5' && exact[16..].iter().all(|digit| *digit == b'0') {
            exponent = exact_exponent;
            digits.copy_from_slice(&exact[..15]);
            match digits.iter().rposition(|digit| *digit != b'9') {
                Some(last) => {
                    digits[last] += 1;
                    digits[last + 1..].fill(b'0');
                }
                None => {
                    digits = *b"100000000000000";
                    exponent += 1;
                }
            }
        }
    }
    let end = digits.iter().rposition(|digit| *digit != b'0').map_or(1, |last| last + 1);
    push_decimal(out, &digits[..end], exponent);
}

/// Reads `d.ddde-7`: the digits, which there are just enough of, and the exponent.
fn read_scientific(text: &[u8], digits: &mut [u8]) -> i32 {
    let count = digits.len();
    digits[0] = text[0];
    digits[1..].copy_from_slice(&text[2..=count]);
    let exponent = std::str::from_utf8(&text[count + 2..]).ok().and_then(|exponent| exponent.parse().ok());
    exponent.expect("Rust writes an exponent behind the digits")
}

/// Writes digits, of which the first counts for 10 to the exponent, as
/// JavaScript does: in exponent form from 1e21 up and below 1e-6.
fn push_decimal(out: &mut String, digits: &[u8], exponent: i32) {
    let push = |out: &mut String, digits: &[u8]| out.extend(digits.iter().map(|digit| char::from(*digit)));
    let zeros = |out: &mut String, count: usize| out.extend(std::iter::repeat_n('0', count));
    match usize::try_from(exponent) {
        Ok(before @ 0..21) => {
            let before = before + 1;
            push(out, &digits[..before.min(digits.len())]);
            if before < digits.len() {
                out.push('.');
                push(out, &digits[before..]);
            } else {
                zeros(out, before - digits.len());
            }
        }
        Err(_) if exponent >= -6 => {
            out.push_str("0.");
            zeros(out, exponent.unsigned_abs() as usize - 1);
            push(out, digits);
        }
        _ => {
            push(out, &digits[..1]);
            if digits.len() > 1 {
                out.push('.');
                push(out, &digits[1..]);
            }
            write!(out, "e{exponent:+}").expect("writing to a string cannot fail");
        }
    }
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
            (-4_123_009_443_283_081.0, "-4123009443283081", "-4123009443283080"),
            (13_551_330_566_406_250.0, "13551330566406250", "13551330566406300"),
            (4_123_009_443_283_085.0, "4123009443283085", "4123009443283090"),
            (1e21, "1e+21", "1e+21"),
            (1.5e-9, "1.5e-9", "1.5e-9"),
            (100_000_000_000_000.5, "100000000000001", "100000000000001"),
            (-100_000_000_000_000.5, "-100000000000001", "-100000000000001"),
            (100_000_000_000_001.5, "100000000000002", "100000000000002"),
            (1.000_030_517_578_125, "1.00003051757813", "1.00003051757813"),
            (99_999_999_999_999.95, "100000000000000", "100000000000000"),
            (-999_999_999_999_999.5, "-1000000000000000", "-1000000000000000"),
            (0.000_001_25, "0.00000125", "0.00000125"),
            (0.000_000_125, "1.25e-7", "1.25e-7"),
            (5e-324, "5e-324", "5e-324"),
            (1.234_567_890_123_456_7e21, "1.2345678901234568e+21", "1.23456789012346e+21"),
            (123_456_789_012_345_680_000.0, "123456789012345680000", "123456789012346000000"),
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
