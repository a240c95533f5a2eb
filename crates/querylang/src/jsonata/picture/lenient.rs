//! JavaScript's forgiving ways with text, which show in what the functions
//! accept.

/// What `\s` matches and `parseInt` skips.
pub(super) fn is_space(character: char) -> bool {
    character == '\u{feff}' || (character.is_whitespace() && character != '\u{85}')
}

/// The integer a text starts with, in decimal or after `0x` in hexadecimal, as
/// `parseInt` finds it. Not a number if there is none.
pub(super) fn parse_int(text: &str) -> f64 {
    let text = text.trim_start_matches(is_space);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let magnitude = if let Some(hexadecimal) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let mut digits = hexadecimal.chars().map_while(|digit| digit.to_digit(16)).peekable();
        if digits.peek().is_none() {
            return f64::NAN;
        }
        digits.fold(0.0, |sum, digit| sum * 16.0 + f64::from(digit))
    } else {
        let end = text.find(|digit: char| !digit.is_ascii_digit()).unwrap_or(text.len());
        text[..end].parse().unwrap_or(f64::NAN)
    };
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_is_read_as_far_as_it_goes() {
        for (text, number) in [
            ("12", 12.0),
            (" \u{feff}\t-12.5", -12.0),
            ("+7up", 7.0),
            ("0x1Fg", 31.0),
            ("-0X10", -16.0),
            ("007", 7.0),
            ("123456789012345678901234567890", 123_456_789_012_345_678_901_234_567_890.0),
        ] {
            assert_eq!(parse_int(text), number, "{text}");
        }
        for text in ["", "x1", "+-1", "0x", "\u{85}1", "١"] {
            assert!(parse_int(text).is_nan(), "{text}");
        }
    }
}
