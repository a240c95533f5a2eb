//! Numbers as text, the way the reference writes them.

/// A number as JavaScript writes it: the shortest text that reads back as the
/// same double, in exponent form from 1e21 up and below 1e-6.
#[must_use]
pub(crate) fn to_text(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    if number == 0.0 {
        return "0".to_owned();
    }
    let magnitude = number.abs();
    if number.fract() == 0.0 && magnitude < 9_007_199_254_740_992.0 {
        #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
        return (number as i64).to_string();
    }
    if (1e-6..1e21).contains(&magnitude) {
        return format!("{number}");
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent}"),
        _ => text,
    }
}

/// A number rounded to 15 significant digits, as `$string` does with fractions
/// so that `0.1 + 0.2` reads `0.3`.
#[must_use]
pub(crate) fn to_precision_15(number: f64) -> f64 {
    if !number.is_finite() || number.fract() == 0.0 {
        return number;
    }
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// A number as JSON has it: without a fraction where there is none, null if JSON
/// has no such number.
#[must_use]
pub(crate) fn to_json(number: f64) -> serde_json::Value {
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 {
        #[expect(clippy::cast_possible_truncation, reason = "an integer below 2^53")]
        return serde_json::Value::from(number as i64);
    }
    serde_json::Value::from(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_javascript_writes_them() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (-17.5, "-17.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (0.000_001, "0.000001"),
            (1.25e-7, "1.25e-7"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (f64::MAX, "1.7976931348623157e+308"),
        ] {
            assert_eq!(to_text(number), text);
        }
    }

    #[test]
    fn fractions_have_fifteen_digits() {
        assert_eq!(to_text(to_precision_15(0.1 + 0.2)), "0.3");
        assert_eq!(to_text(to_precision_15(22.0 / 7.0)), "3.14285714285714");
    }
}
