//! The model's constraints on single values: length, range, pattern, set of values.
//!
//! The rules themselves are generated as statics; this module gives them their meaning and AWS's texts. It must
//! never let a value pass silently: what is not decoded stands in the report.

use std::fmt;

use serde_json::Value;

use crate::reflect;
use crate::wire::{At, DecodeError, Decoded, Report, Shown};

/// A regular expression of the model, with the function that decides it.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The expression as the model spells it and as the message repeats it.
    pub text: &'static str,
    /// Whether a text satisfies it.
    pub matches: fn(&str) -> bool,
}

/// The constraints on a string shape.
#[derive(Clone, Copy, Debug)]
pub struct StringRule {
    /// The name of the shape.
    pub shape: &'static str,
    /// Fewest Unicode characters.
    pub min: Option<usize>,
    /// Most Unicode characters.
    pub max: Option<usize>,
    /// The expression that the whole text must match.
    pub pattern: Option<Pattern>,
    /// Whether the value may not be shown.
    pub sensitive: bool,
}

impl StringRule {
    pub(crate) fn decode(&self, value: Value, at: &At<'_>, report: &mut Report) -> Decoded<String> {
        let Value::String(text) = value else {
            return Err(DecodeError::wrong_type(at, "a string", &value));
        };
        let shown = if self.sensitive { Shown::Sensitive } else { Shown::Text(&text) };
        let mut ok = true;
        if let Some(pattern) = self.pattern
            && !(pattern.matches)(&text)
        {
            ok = false;
            let pattern = pattern.text;
            report.violation(shown, at, format_args!("Member must satisfy regular expression pattern: {pattern}"));
        }
        // A text has at most as many characters as bytes: counting is only for those that may be too long or short.
        if let Some(max) = self.max
            && text.len() > max
            && text.chars().count() > max
        {
            ok = false;
            report.violation(shown, at, format_args!("Member must have length less than or equal to {max}"));
        }
        if let Some(min) = self.min
            && text.chars().take(min).count() < min
        {
            ok = false;
            report.violation(shown, at, format_args!("Member must have length greater than or equal to {min}"));
        }
        Ok(ok.then_some(text))
    }
}

/// The constraints on an integer or long shape.
#[derive(Clone, Copy, Debug)]
pub struct IntegerRule {
    /// The name of the shape.
    pub shape: &'static str,
    /// Smallest value.
    pub min: Option<i64>,
    /// Greatest value.
    pub max: Option<i64>,
    /// Whether the value may not be shown.
    pub sensitive: bool,
}

impl IntegerRule {
    pub(crate) fn integer(&self, value: Value, at: &At<'_>, report: &mut Report) -> Decoded<i32> {
        let number = whole_number(value, at)?;
        let small = i32::try_from(number)
            .map_err(|_| DecodeError::wrong(at, format_args!("must be an integer of 32 bits, but is {number}")))?;
        Ok(self.check(number, at, report).then_some(small))
    }

    pub(crate) fn long(&self, value: Value, at: &At<'_>, report: &mut Report) -> Decoded<i64> {
        let number = whole_number(value, at)?;
        Ok(self.check(number, at, report).then_some(number))
    }

    fn check(&self, number: i64, at: &At<'_>, report: &mut Report) -> bool {
        let shown = if self.sensitive { Shown::Sensitive } else { Shown::Text(&number) };
        check_range(number, self.min, self.max, shown, at, report)
    }
}

fn whole_number(value: Value, at: &At<'_>) -> Result<i64, DecodeError> {
    let Value::Number(number) = value else {
        return Err(DecodeError::wrong_type(at, "an integer", &value));
    };
    number.as_i64().ok_or_else(|| DecodeError::wrong(at, format_args!("must be an integer, but is {number}")))
}

/// The constraints on a float shape.
#[derive(Clone, Copy, Debug)]
pub struct FloatRule {
    /// The name of the shape.
    pub shape: &'static str,
    /// Smallest value.
    pub min: Option<i64>,
    /// Greatest value.
    pub max: Option<i64>,
    /// Whether the value may not be shown.
    pub sensitive: bool,
}

impl FloatRule {
    pub(crate) fn decode(&self, value: Value, at: &At<'_>, report: &mut Report) -> Decoded<f64> {
        let Value::Number(number) = value else {
            return Err(DecodeError::wrong_type(at, "a number", &value));
        };
        let Some(float) = number.as_f64().filter(|float| float.is_finite()) else {
            return Err(DecodeError::wrong(at, format_args!("must be a finite number, but is {number}")));
        };
        let text = JavaFloat(float);
        let shown = if self.sensitive { Shown::Sensitive } else { Shown::Text(&text) };
        // The bounds of the model are small integers, exact as floats.
        #[expect(clippy::cast_precision_loss, reason = "bounds of the model are far below 2^53")]
        let bound = |bound: i64| bound as f64;
        let mut ok = true;
        if let Some(max) = self.max
            && float > bound(max)
        {
            ok = false;
            report.violation(shown, at, format_args!("Member must have value less than or equal to {max}"));
        }
        if let Some(min) = self.min
            && float < bound(min)
        {
            ok = false;
            report.violation(shown, at, format_args!("Member must have value greater than or equal to {min}"));
        }
        Ok(ok.then_some(float))
    }
}

fn check_range(
    number: i64,
    min: Option<i64>,
    max: Option<i64>,
    shown: Shown<'_>,
    at: &At<'_>,
    report: &mut Report,
) -> bool {
    let mut ok = true;
    if let Some(max) = max
        && number > max
    {
        ok = false;
        report.violation(shown, at, format_args!("Member must have value less than or equal to {max}"));
    }
    if let Some(min) = min
        && number < min
    {
        ok = false;
        report.violation(shown, at, format_args!("Member must have value greater than or equal to {min}"));
    }
    ok
}

/// A 32-bit float as Java prints it: always with a point, the exponent as `E`.
pub(crate) struct JavaFloat(pub(crate) f64);

impl fmt::Display for JavaFloat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[expect(clippy::cast_possible_truncation, reason = "AWS keeps these members in 32 bits")]
        let float = self.0 as f32;
        let size = float.abs();
        if size != 0.0 && !(1e-3..1e7).contains(&size) {
            let text = format!("{float:e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let point = if digits.contains('.') { "" } else { ".0" };
            write!(f, "{digits}{point}E{exponent}")
        } else {
            write!(f, "{float:?}")
        }
    }
}

/// The constraints on a list shape.
#[derive(Clone, Copy, Debug)]
pub struct ListRule {
    /// The name of the shape.
    pub shape: &'static str,
    /// Fewest items.
    pub min: Option<usize>,
    /// Most items.
    pub max: Option<usize>,
}

impl ListRule {
    pub(crate) fn check(&self, items: &[Value], at: &At<'_>, report: &mut Report) {
        let shown = reflect::JavaList { shape: self.shape, items };
        if let Some(max) = self.max
            && items.len() > max
        {
            let constraint = format_args!("Member must have length less than or equal to {max}");
            report.violation(Shown::Text(&shown), at, constraint);
        }
        if let Some(min) = self.min
            && items.len() < min
        {
            let constraint = format_args!("Member must have length greater than or equal to {min}");
            report.violation(Shown::Text(&shown), at, constraint);
        }
    }
}

/// Reads a value of an enumeration. A text outside of it violates a constraint; it is no decoding error.
pub(crate) fn enumeration<T>(
    value: Value,
    at: &At<'_>,
    report: &mut Report,
    parse: impl Fn(&str) -> Option<T>,
    shown: &str,
) -> Decoded<T> {
    let Value::String(text) = value else {
        return Err(DecodeError::wrong_type(at, "a string", &value));
    };
    let parsed = parse(&text);
    if parsed.is_none() {
        report.violation(Shown::Text(&text), at, format_args!("Member must satisfy enum value set: [{shown}]"));
    }
    Ok(parsed)
}
