//! Labels of distributed Maps: which names they may be, and how a creation is refused because of one.

use crate::diagnostic::{Code, Diagnostic, Severity};

/// The longest label, in characters.
const MAX_LABEL: usize = 40;

/// What is wrong with a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    Empty,
    TooLong,
    Character(char),
}

impl Problem {
    /// What is wrong with this label, if something is.
    pub(crate) fn of(label: &str) -> Option<Self> {
        if label.is_empty() {
            return Some(Self::Empty);
        }
        if label.chars().count() > MAX_LABEL {
            return Some(Self::TooLong);
        }
        label.chars().find(|&character| !is_allowed(character)).map(Self::Character)
    }

    /// The diagnostic's message.
    pub(crate) fn message(self, label: &str) -> String {
        match self {
            Self::Empty => "The label name cannot be empty".to_owned(),
            Self::TooLong => format!("{label} exceeds the {MAX_LABEL}-character limit allowed by the service"),
            Self::Character(character) => {
                format!("The label name contains an invalid character: '{}'", character.escape_debug())
            }
        }
    }
}

/// The rule of names: no white space, brackets, wildcards, special or control characters.
fn is_allowed(character: char) -> bool {
    !character.is_whitespace()
        && !character.is_control()
        && !"<>{}[]?*\"#%\\^|~`$&,;:/".contains(character)
        // Characters that are no text, or that change how text reads.
        && !matches!(character, '\u{fffe}' | '\u{ffff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}')
}

/// How the creation of a machine is refused whose labels are all that is wrong with it, as recorded: with the whole
/// definition, and unlike any other refusal. None: something else is wrong, or nothing.
#[must_use]
pub fn label_refusal(definition: &str, diagnostics: &[Diagnostic]) -> Option<String> {
    let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let first = errors.next().filter(|first| first.code == Code::InvalidLabelName)?;
    if errors.any(|error| error.code != Code::InvalidLabelName) {
        return None;
    }
    let span = first.span.as_ref()?;
    let label: String = serde_json::from_str(definition.get(span.start..span.end)?).ok()?;
    let reason = match Problem::of(&label)? {
        Problem::Empty => return None,
        Problem::TooLong => format!("Label cannot exceed {MAX_LABEL} characters"),
        Problem::Character(character) => {
            format!("Label contains invalid character: {}", quoted(&character.to_string()))
        }
    };
    Some(format!("Error=ValueError Args=[{}] in definition '{definition}'.", quoted(&reason)))
}

/// A text in quotes as those refusals show it: in double quotes where it has single ones only, with escapes for what
/// cannot be seen.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut shown = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            _ if character == quote => shown.extend(['\\', character]),
            ' ' => shown.push(' '),
            _ if character.is_control() || character.is_whitespace() || !is_visible(character) => {
                let code = u32::from(character);
                shown.push_str(&match code {
                    0..=0xFF => format!("\\x{code:02x}"),
                    0x100..=0xFFFF => format!("\\u{code:04x}"),
                    _ => format!("\\U{code:08x}"),
                });
            }
            _ => shown.push(character),
        }
    }
    shown.push(quote);
    shown
}

fn is_visible(character: char) -> bool {
    !matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{fffe}' | '\u{ffff}' | '\u{ad}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(label: &str, expected: Option<&str>) {
        let map = json!({"Type": "Map", "End": true, "Label": label, "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}});
        let text = json!({"StartAt": "M", "States": {"M": map}}).to_string();
        let parsed = crate::parse(&text, &crate::Options::default());
        let whole = expected.map(|args| format!("Error=ValueError Args=[{args}] in definition '{text}'."));
        assert_eq!(label_refusal(&text, &parsed.diagnostics), whole, "{label:?}");
    }

    #[test]
    fn a_creation_is_refused_as_recorded() {
        check("fine", None);
        check("l_^", Some(r#""Label contains invalid character: '^'""#));
        check("l_\"", Some(r#"'Label contains invalid character: \'"\''"#));
        check("l_\n", Some(r#""Label contains invalid character: '\\n'""#));
        check("l_\u{9c}", Some(r#""Label contains invalid character: '\\x9c'""#));
        check(&"x".repeat(41), Some("'Label cannot exceed 40 characters'"));
        check("", None);
    }
}
