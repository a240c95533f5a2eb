//! The rules of a Choice state.
//!
//! A test of a value of the wrong type is false in both languages only if it is
//! guarded: JSONata fails where it is asked for the order of things that have none.

use super::{Writer, literal};
use crate::Path;
use serde_json::{Map, Value};

const PRESENT: &str = "a rule about a value that is missing fails the execution in JSONPath, and is false in JSONata";
const INSTANTS: &str = "timestamps are taken to be valid: $toMillis fails on other texts";

const OBJECTS: &str = "'IsPresent' is taken not to ask an array for a name: JSONPath finds nothing there, JSONata looks \
                       into its elements";

/// What `IsTimestamp` asks of a text: a day that there is, a time, up to nanoseconds, and a zone.
const TIMESTAMP: &str = concat!(
    r"/^(?:[0-9]{4}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)",
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)",
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])$/",
);

/// The condition of a rule, or of a rule in a rule.
pub(super) fn condition(writer: &mut Writer<'_>, rule: &Map<String, Value>) -> Result<String, String> {
    for (field, join) in [("And", " and "), ("Or", " or ")] {
        if let Some(rules) = rule.get(field).and_then(Value::as_array) {
            let conditions: Result<Vec<String>, String> = rules
                .iter()
                .map(|rule| {
                    let rule = rule.as_object().ok_or("a rule must be an object")?;
                    condition(writer, rule).map(|text| format!("({text})"))
                })
                .collect();
            return Ok(conditions?.join(join));
        }
    }
    if let Some(inner) = rule.get("Not").and_then(Value::as_object) {
        return Ok(format!("$not({})", condition(writer, inner)?));
    }
    let path = |writer: &mut Writer<'_>, text: &Value| {
        let text = text.as_str().ok_or("a path must be a string")?;
        let path = Path::parse(text).map_err(|error| error.to_string())?;
        writer.path(&path).map(super::Text::operand)
    };
    let variable = path(writer, rule.get("Variable").ok_or("the rule has neither Variable nor And, Or, Not")?)?;
    let mut operators =
        rule.iter().filter(|(name, _)| !matches!(name.as_str(), "Variable" | "Next" | "Comment" | "Assign"));
    let Some((operator, value)) = operators.next() else {
        return Err("the rule has no operator".to_owned());
    };
    if let Some(kind) = operator.strip_prefix("Is") {
        let holds = match kind {
            "Present" => format!("$exists({variable})"),
            "Null" => format!("$type({variable}) = \"null\""),
            "String" => format!("$type({variable}) = \"string\""),
            "Numeric" => format!("$type({variable}) = \"number\""),
            "Boolean" => format!("$type({variable}) = \"boolean\""),
            "Timestamp" => format!("$type({variable}) = \"string\" and $contains({variable}, {TIMESTAMP})"),
            _ => return Err(format!("there is no operator '{operator}'")),
        };
        writer.note(if kind == "Present" { OBJECTS } else { PRESENT });
        return match value.as_bool() {
            Some(true) => Ok(holds),
            Some(false) => Ok(format!("$not({holds})")),
            None => Err(format!("'{operator}' takes true or false")),
        };
    }
    writer.note(PRESENT);
    let (name, other) = match operator.strip_suffix("Path") {
        Some(name) => (name, path(writer, value)?),
        None => (operator.as_str(), literal(value)),
    };
    if name == "StringMatches" {
        let pattern = value.as_str().ok_or("'StringMatches' takes a text")?;
        return Ok(format!("$type({variable}) = \"string\" and $contains({variable}, {})", wildcards(pattern)));
    }
    let (kind, order) = ["String", "Numeric", "Boolean", "Timestamp"]
        .iter()
        .find_map(|kind| name.strip_prefix(kind).map(|order| (*kind, order)))
        .ok_or_else(|| format!("there is no operator '{operator}'"))?;
    let symbol = match order {
        "Equals" => "=",
        "LessThan" => "<",
        "LessThanEquals" => "<=",
        "GreaterThan" => ">",
        "GreaterThanEquals" => ">=",
        _ => return Err(format!("there is no operator '{operator}'")),
    };
    if kind == "Timestamp" {
        writer.note(INSTANTS);
        return Ok(format!("$type({variable}) = \"string\" and $toMillis({variable}) {symbol} $toMillis({other})"));
    }
    let kind = match kind {
        "String" => "string",
        "Numeric" => "number",
        _ => "boolean",
    };
    let literal_fits = match value {
        Value::String(_) => kind == "string" && operator == name,
        Value::Number(_) => kind == "number",
        Value::Bool(_) => kind == "boolean",
        _ => false,
    };
    Ok(match (symbol, literal_fits) {
        ("=", true) => format!("{variable} = {other}"),
        (_, true) => format!("$type({variable}) = \"{kind}\" and {variable} {symbol} {other}"),
        (_, false) => {
            format!("$type({variable}) = \"{kind}\" and $type({other}) = \"{kind}\" and {variable} {symbol} {other}")
        }
    })
}

/// `StringMatches`: `*` is any run of characters, `\*` and `\\` stand for themselves.
fn wildcards(pattern: &str) -> String {
    let mut regex = String::from("/^");
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '*' => regex.push_str(r"[\s\S]*"),
            '\\' => {
                let plain = characters.next_if(|next| matches!(next, '*' | '\\'));
                push_plain(&mut regex, plain.unwrap_or('\\'));
            }
            _ => push_plain(&mut regex, character),
        }
    }
    regex.push_str("$/");
    regex
}

/// Adds a character that stands for itself to a regular expression.
pub(super) fn push_plain(regex: &mut String, character: char) {
    match character {
        '\n' => regex.push_str(r"\n"),
        '\r' => regex.push_str(r"\r"),
        '\t' => regex.push_str(r"\t"),
        // JSONata looks for the end of the expression and takes `\\]` for a bracket that does not close.
        '\\' => regex.push_str(r"\x5c"),
        _ if character.is_ascii_punctuation() => regex.extend(['\\', character]),
        _ => regex.push(character),
    }
}
