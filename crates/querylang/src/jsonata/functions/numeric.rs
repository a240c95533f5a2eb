//! Functions on numbers, and on arrays of them.

use super::{count, scan};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::Builtin;
use crate::jsonata::number::to_text;
use crate::jsonata::value::{Array, Value};
use std::rc::Rc;

pub(super) static FUNCTIONS: [Builtin; 14] = [
    Builtin::new("number", "<(nsb)-:n>", 1, number),
    Builtin::new("abs", "<n-:n>", 1, abs),
    Builtin::new("floor", "<n-:n>", 1, floor),
    Builtin::new("ceil", "<n-:n>", 1, ceil),
    Builtin::new("round", "<n-n?:n>", 2, round),
    Builtin::new("sqrt", "<n-:n>", 1, sqrt),
    Builtin::new("power", "<n-n:n>", 2, power),
    Builtin::new("random", "<:n>", 0, random),
    Builtin::new("formatBase", "<n-n?:s>", 2, format_base),
    Builtin::new("sum", "<a<n>:n>", 1, sum),
    Builtin::new("count", "<a:n>", 1, count_items),
    Builtin::new("max", "<a<n>:n>", 1, max),
    Builtin::new("min", "<a<n>:n>", 1, min),
    Builtin::new("average", "<a<n>:n>", 1, average),
];

fn number(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = match &arguments[0] {
        Value::Undefined => return Ok(Value::Undefined),
        Value::Number(number) => return Ok(Value::Number(*number)),
        Value::Boolean(boolean) => return Ok(Value::Number(f64::from(u8::from(*boolean)))),
        Value::String(text) => text,
        _ => return Err(Error::new("D3030").with_value(&arguments[0]).with_index(1)),
    };
    scan(context, text.len())?;
    parse_number(text).map(Value::Number).ok_or_else(|| Error::new("D3030").with_value(&arguments[0]).with_index(1))
}

/// A number as JSON writes it (leading zeros may be there), or in base 16, 8 or
/// 2 behind `0x`, `0o`, `0b`.
fn parse_number(text: &str) -> Option<f64> {
    let bytes = text.as_bytes();
    if let [b'0', letter, digits @ ..] = bytes
        && let Some(radix) = match letter {
            b'x' | b'X' => Some(16),
            b'o' | b'O' => Some(8),
            b'b' | b'B' => Some(2),
            _ => None,
        }
    {
        return parse_digits(digits, radix);
    }
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let whole = digits(at);
    at += whole;
    let mut valid = whole > 0;
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        valid &= fraction > 0;
        at += 1 + fraction;
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        let exponent = digits(at);
        valid &= exponent > 0;
        at += exponent;
    }
    if !valid || at != bytes.len() {
        return None;
    }
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn parse_digits(digits: &[u8], radix: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    // 64 bits, then a last bit that tells whether any below was set: enough to
    // round to a double as if all were there.
    let (mut high, mut dropped, mut sticky) = (0u64, 0i32, false);
    let bits = radix.trailing_zeros();
    for digit in digits {
        let digit = u64::from(char::from(*digit).to_digit(radix)?);
        if high >> (63 - bits) == 0 {
            high = (high << bits) | digit;
        } else {
            dropped = dropped.saturating_add(bits.cast_signed());
            sticky |= digit != 0;
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "rounding is what is wanted")]
    let number = (high | u64::from(sticky)) as f64 * 2f64.powi(dropped);
    number.is_finite().then_some(number)
}

/// Applies a function to the number in the first place; undefined stays.
fn map(arguments: &[Value], function: impl FnOnce(f64) -> f64) -> Result<Value, Error> {
    Ok(arguments[0].as_number().map_or(Value::Undefined, |number| Value::Number(function(number))))
}

fn abs(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    map(arguments, f64::abs)
}

fn floor(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    map(arguments, f64::floor)
}

fn ceil(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    // Adding 0 makes 0 of -0.
    map(arguments, |number| number.ceil() + 0.0)
}

fn round(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    context.steps(4)?;
    let places = arguments.get(1).and_then(Value::as_number).unwrap_or(0.0);
    map(arguments, |number| round_to(number, places))
}

/// Rounds to places behind the point, halves to the even digit.
pub(super) fn round_to(number: f64, places: f64) -> f64 {
    let rounded = if places == 0.0 || places.is_nan() {
        number.round_ties_even()
    } else {
        // Moving the point in the text adds no error, as a multiplication would.
        shift(shift(number, places).round_ties_even(), -places)
    };
    rounded + 0.0
}

fn shift(number: f64, places: f64) -> f64 {
    if !number.is_finite() || places.fract() != 0.0 || places.abs() > 10_000.0 {
        return f64::NAN;
    }
    let text = format!("{number:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return f64::NAN };
    let exponent = exponent.parse().unwrap_or(0.0) + places;
    format!("{mantissa}e{exponent}").parse().unwrap_or(f64::NAN)
}

fn sqrt(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    match arguments[0].as_number() {
        Some(number) if number < 0.0 => Err(Error::new("D3060").with_value(&arguments[0]).with_index(1)),
        _ => map(arguments, f64::sqrt),
    }
}

fn power(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(base) = arguments[0].as_number() else { return Ok(Value::Undefined) };
    let exponent = arguments[1].as_number().unwrap_or(f64::NAN);
    let result = if exponent.is_nan() { f64::NAN } else { base.powf(exponent) };
    if result.is_finite() {
        return Ok(Value::Number(result));
    }
    Err(Error::new("D3061").with_value(&arguments[0]).with_value2(&arguments[1]).with_index(1))
}

fn random(context: &mut Context<'_>, _arguments: &mut [Value]) -> Result<Value, Error> {
    Ok(Value::Number(context.random()))
}

fn format_base(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(number) = arguments[0].as_number() else { return Ok(Value::Undefined) };
    let number = round_to(number, 0.0);
    let radix = round_to(arguments.get(1).and_then(Value::as_number).unwrap_or(10.0), 0.0);
    if !(2.0..=36.0).contains(&radix) {
        return Err(Error::new("D3100").with_value(&Value::Number(radix)));
    }
    if radix == 10.0 || !number.is_finite() {
        return context.string(to_text(number));
    }
    // A double may have a thousand digits.
    context.steps(64)?;
    context.string(in_base(number, radix))
}

/// A whole number in a base. Digits that a double does not have are `0`.
fn in_base(number: f64, radix: f64) -> String {
    let mut rest = number.abs();
    let mut digits = Vec::new();
    while rest > 9_007_199_254_740_992.0 {
        rest /= radix;
        digits.push('0');
    }
    rest = rest.trunc();
    loop {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a digit")]
        let (digit, base) = ((rest % radix) as u32, radix as u32);
        digits.push(char::from_digit(digit, base).unwrap_or('0'));
        rest = (rest - f64::from(digit)) / radix;
        if rest < 1.0 {
            break;
        }
    }
    if number < 0.0 {
        digits.push('-');
    }
    digits.into_iter().rev().collect()
}

/// The items in the first place, which the signature has made sure are numbers.
fn numbers<'a>(
    context: &mut Context<'_>,
    arguments: &'a [Value],
) -> Result<Option<impl ExactSizeIterator<Item = f64> + use<'a>>, Error> {
    let Some(array): Option<&Rc<Array>> = arguments[0].as_array() else { return Ok(None) };
    context.steps(array.len() as u64)?;
    Ok(Some(array.iter().map(|item| item.as_number().unwrap_or(f64::NAN))))
}

fn sum(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let total = numbers(context, arguments)?.map(|numbers| numbers.fold(0.0, |sum, number| sum + number));
    Ok(total.map_or(Value::Undefined, Value::Number))
}

fn count_items(_context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    Ok(count(arguments[0].as_array().map_or(0, |array| array.len())))
}

fn max(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let most = numbers(context, arguments)?.and_then(|numbers| numbers.reduce(f64::max));
    Ok(most.map_or(Value::Undefined, Value::Number))
}

fn min(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let least = numbers(context, arguments)?.and_then(|numbers| numbers.reduce(f64::min));
    Ok(least.map_or(Value::Undefined, Value::Number))
}

fn average(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Some(numbers) = numbers(context, arguments)?.filter(|numbers| numbers.len() > 0) else {
        return Ok(Value::Undefined);
    };
    #[expect(clippy::cast_precision_loss, reason = "no array is that long")]
    let count = numbers.len() as f64;
    Ok(Value::Number(numbers.fold(0.0, |sum, number| sum + number) / count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_numbers() {
        for (text, number) in [
            ("0", 0.0),
            ("-12.50", -12.5),
            ("007", 7.0),
            ("1E+3", 1000.0),
            ("1e-2", 0.01),
            ("0xFf", 255.0),
            ("0o17", 15.0),
            ("0B101", 5.0),
            ("0x20000000000001", 9_007_199_254_740_992.0),
            ("0x20000000000003", 9_007_199_254_740_996.0),
            ("0x400000000000000000001", 4_835_703_278_458_516_698_824_705.0),
        ] {
            assert_eq!(parse_number(text), Some(number), "{text}");
        }
        for text in ["", "-", "+1", ".5", "1.", "1e", " 1", "1 ", "0x", "0xg", "0b2", "1e999", "NaN", "Infinity"] {
            assert_eq!(parse_number(text), None, "{text}");
        }
    }

    #[test]
    fn halves_round_to_even() {
        for (number, places, rounded) in [
            (0.5, 0.0, 0.0),
            (1.5, 0.0, 2.0),
            (2.5, 0.0, 2.0),
            (-0.5, 0.0, 0.0),
            (4.525, 2.0, 4.52),
            (4.515, 2.0, 4.52),
            (12345.0, -2.0, 12300.0),
            (12450.0, -2.0, 12400.0),
            (1e-7, 7.0, 1e-7),
        ] {
            assert_eq!(round_to(number, places), rounded, "{number} to {places}");
        }
        assert!(round_to(-0.2, 0.0).is_sign_positive());
        assert!(round_to(1.0, 0.5).is_nan());
    }

    #[test]
    fn bases() {
        assert_eq!(in_base(255.0, 16.0), "ff");
        assert_eq!(in_base(-10.0, 2.0), "-1010");
        assert_eq!(in_base(0.0, 36.0), "0");
        assert_eq!(in_base(35.0, 36.0), "z");
    }
}
