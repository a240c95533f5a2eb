//! `States.Format`: templates with `{}` and the way values read in text.

use serde_json::Value;
use std::borrow::Cow;

/// Fills the template. `\'`, `\{`, `\}` and `\\` stand for the character alone.
pub(super) fn fill(template: &str, arguments: &[Cow<'_, Value>]) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut waiting = arguments.iter();
    let mut characters = template.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next_if(|c| matches!(c, '\'' | '{' | '}' | '\\')) {
                Some(escaped) => out.push(escaped),
                None => out.push('\\'),
            },
            '{' => {
                if characters.next_if_eq(&'}').is_none() {
                    return Err("Invalid template in States.Format: matching '}' not found for '{'.".to_owned());
                }
                let argument = waiting.next().ok_or_else(miscounted)?;
                render(argument, &mut out);
            }
            '}' => {
                return Err("Invalid template in States.Format: matching '{' not found for '}'.".to_owned());
            }
            _ => out.push(character),
        }
    }
    if waiting.next().is_some() {
        return Err(miscounted());
    }
    Ok(out)
}

fn miscounted() -> String {
    "Invalid arguments in States.Format: number of arguments do not match the occurrences of {}.".to_owned()
}

/// Strings as they are, other scalars as JSON; arrays and objects the way Java
/// prints its lists and maps: `{Arg1=1, Arg2=[]}` (AWS: recorded).
fn render(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                render(element, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (key, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                out.push_str(key);
                out.push('=');
                render(member, out);
            }
            out.push('}');
        }
        _ => out.push_str(&value.to_string()),
    }
}
