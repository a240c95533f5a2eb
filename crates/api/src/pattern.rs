//! The regular expressions of the service model, decided by hand.
//!
//! There are few of them, and one uses a look-ahead, which safe engines do not offer. The generator refuses a model
//! with an expression that has no function here, so none can go unchecked.

/// `[!-~]+`: one or more printable ASCII characters.
#[must_use]
pub fn printable_ascii(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// `\p{ASCII}*`: ASCII characters only, or nothing.
#[must_use]
pub fn ascii(text: &str) -> bool {
    text.is_ascii()
}

/// `^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$`: the name of an alias. It must not be digits only, or it would read as
/// a version number.
#[must_use]
pub fn alias_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && text.bytes().any(|byte| !byte.is_ascii_digit())
}
