//! The name rule of state machines, executions and activities.
//!
//! The length (1 to 80) is a constraint of the model and checked before; this is about characters.

use crate::error::ApiError;

/// Whether a name may hold this character.
///
/// AWS: recorded for most of the ASCII ones; non-ASCII letters are allowed.
#[must_use]
pub fn is_name_char(c: char) -> bool {
    !(c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '<' | '>'
                | '{'
                | '}'
                | '['
                | ']'
                | '?'
                | '*'
                | '"'
                | '#'
                | '%'
                | '\\'
                | '^'
                | '|'
                | '~'
                | '$'
                | '&'
                | ','
                | ';'
                | ':'
                | '/'
                | '`'
                | '\u{FFFE}'
                | '\u{FFFF}'
        ))
}

/// Checks the name of a state machine, execution or activity.
///
/// # Errors
/// `InvalidName`, `Invalid Name: '<name>'`.
pub fn check_name(name: &str) -> Result<(), ApiError> {
    if !name.is_empty() && name.chars().all(is_name_char) { Ok(()) } else { Err(ApiError::invalid_name(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    #[test]
    fn names_with_letters_digits_and_harmless_signs_pass() {
        for name in ["a", "ACTIVITY_NAME_ABC", "name.with.dots", "a-b_c+d!(e)'=@", "Größe", "状態", "😀"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_name_with_a_forbidden_character_is_repeated_raw() {
        let forbidden = " \t\n\u{b}<>{}[]?*\"#%\\^|~$&,;:/`\0\u{1f}\u{7f}\u{80}\u{9f}\u{a0}\u{2028}\u{fffe}\u{ffff}";
        for c in forbidden.chars() {
            let name = format!("activity{c}name");
            let error = check_name(&name).expect_err(&name);
            assert_eq!(error.code, ErrorCode::InvalidName);
            assert_eq!(error.message, format!("Invalid Name: '{name}'"));
        }
        assert!(check_name("").is_err());
    }
}
