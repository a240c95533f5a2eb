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
    let (digits, point) = shortest(magnitude);
    let sign = if number < 0.0 { "-" } else { "" };
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |many: i32| "0".repeat(usize::try_from(many).unwrap_or_default());
    if count <= point && point <= 21 {
        format!("{sign}{digits}{}", zeros(point - count))
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        format!("{sign}{whole}.{fraction}")
    } else if -6 < point && point <= 0 {
        format!("{sign}0.{}{digits}", zeros(-point))
    } else {
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        format!("{sign}{first}{dot}{rest}e{:+}", point - 1)
    }
}

/// The fewest digits that read back as this positive number, the closest of them where there are several, and the
/// place of the point among them. The standard library takes the greater of two that are as short.
fn shortest(magnitude: f64) -> (String, i32) {
    let text = serde_json::Value::from(magnitude).to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let leading = i32::try_from(all.len() - digits.len()).unwrap_or_default();
    let whole = i32::try_from(whole.len()).unwrap_or_default();
    (digits.trim_end_matches('0').to_owned(), whole - leading + exponent)
}

/// A number rounded to 15 significant digits, as `$string` does with fractions
/// so that `0.1 + 0.2` reads `0.3`. What lies in the middle is rounded away from
/// zero, as JavaScript's `toPrecision` does.
#[must_use]
pub(crate) fn to_precision_15(number: f64) -> f64 {
    if !number.is_finite() || number.fract() == 0.0 {
        return number;
    }
    let sixteen = format!("{number:.15e}");
    if let Some((mantissa, exponent)) = sixteen.split_once('e')
        && let Some(before) = mantissa.strip_suffix('5')
        && is_exactly(number, mantissa)
    {
        let above = format!("{before}6e{exponent}").parse().unwrap_or(number);
        return format!("{above:.14e}").parse().unwrap_or(above);
    }
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// Whether nothing but zeros follows these sixteen digits of a number. A double has at most 53 bits, so forty digits
/// tell.
fn is_exactly(number: f64, mantissa: &str) -> bool {
    let long = format!("{number:.40e}");
    long.strip_prefix(mantissa)
        .and_then(|rest| rest.split_once('e'))
        .is_some_and(|(rest, _)| rest.bytes().all(|digit| digit == b'0'))
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
            (-1.5e-9, "-1.5e-9"),
            (-0.1, "-0.1"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1_234.567_89, "1234.56789"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(to_text(number), text);
        }
    }

    #[test]
    fn fractions_have_fifteen_digits() {
        assert_eq!(to_text(to_precision_15(0.1 + 0.2)), "0.3");
        assert_eq!(to_text(to_precision_15(22.0 / 7.0)), "3.14285714285714");
        assert_eq!(to_text(to_precision_15(100_000_000_000_000.5)), "100000000000001");
        assert_eq!(to_text(to_precision_15(-100_000_000_000_000.5)), "-100000000000001");
        assert_eq!(to_text(to_precision_15(10_000_000_000_000.25)), "10000000000000.3");
    }
}
