//! Which JSON value a plain scalar is: YAML 1.2's core schema. `yes`, `no` and dates are strings.

/// The JSON text of a plain scalar; none: it is a number that JSON does not have.
pub(crate) fn plain(text: &str) -> Option<String> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => "null".to_owned(),
        "true" | "True" | "TRUE" => "true".to_owned(),
        "false" | "False" | "FALSE" => "false".to_owned(),
        _ => match number(text) {
            Some(number) => number?,
            None => serde_json::Value::from(text).to_string(),
        },
    })
}

/// A number: outer none, it is not one; inner none, JSON has no such number.
fn number(text: &str) -> Option<Option<String>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return Some(None);
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(|number| Some(number.to_string()));
        }
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let exponent_fits = exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)));
    let fraction_fits = fraction.is_none_or(|fraction| digits(fraction) || fraction.is_empty() && !whole.is_empty());
    if !(exponent_fits && fraction_fits && (digits(whole) || whole.is_empty() && fraction.is_some())) {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = fraction.filter(|fraction| !fraction.is_empty()).map(|fraction| format!(".{fraction}"));
    let exponent = exponent.map(|exponent| format!("e{exponent}"));
    Some(Some(format!("{sign}{whole}{}{}", fraction.unwrap_or_default(), exponent.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_the_core_schema_says() {
        for (yaml, json) in [
            ("", "null"),
            ("~", "null"),
            ("true", "true"),
            ("yes", "\"yes\""),
            ("12", "12"),
            ("+12", "12"),
            ("-0.50", "-0.50"),
            ("007", "7"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1e3", "1e3"),
            (".5", "0.5"),
            ("1.", "1"),
            ("1.2.3", "\"1.2.3\""),
            ("2026-01-31", "\"2026-01-31\""),
            ("-", "\"-\""),
            ("e5", "\"e5\""),
            ("$.a", "\"$.a\""),
        ] {
            let plain = plain(yaml).expect("a value");
            assert_eq!(plain, json, "{yaml}");
            assert!(serde_json::from_str::<serde_json::Value>(&plain).is_ok(), "{plain}");
        }
        assert_eq!(plain("-.inf"), None);
    }
}
