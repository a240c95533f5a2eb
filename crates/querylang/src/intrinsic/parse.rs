//! Reading the text of a call.

use super::{Argument, Function, Invocation};
use crate::SyntaxError;
use crate::path::{Parser, Path, Place};
use serde_json::{Number, Value};

/// How deep calls may nest (AWS: documented).
const MAX_CALLS: usize = 10;

pub(super) fn call(text: &str) -> Result<Invocation, SyntaxError> {
    let mut parser = Parser::new(text)?;
    parser.skip_blanks();
    let invocation = invocation(&mut parser, 1)?;
    parser.skip_blanks();
    parser.expect_end()?;
    Ok(invocation)
}

/// `level` counts the calls around and including this one.
fn invocation(parser: &mut Parser<'_>, level: usize) -> Result<Invocation, SyntaxError> {
    let start = parser.position();
    if level > MAX_CALLS {
        return Err(parser.error(format!("Calls nest deeper than {MAX_CALLS} levels")));
    }
    let name = parser.take_while(|c| c.is_ascii_alphanumeric() || c == '.');
    let function = Function::named(name)
        .ok_or_else(|| SyntaxError::new(start, format!("There is no intrinsic function '{name}'")))?;
    parser.skip_blanks();
    parser.expect("(")?;
    let mut arguments = Vec::new();
    parser.skip_blanks();
    if !parser.take(")") {
        loop {
            parser.skip_blanks();
            arguments.push(argument(parser, level)?);
            parser.skip_blanks();
            if parser.take(")") {
                break;
            }
            parser.expect(",")?;
        }
    }
    Ok(Invocation { function, arguments: arguments.into() })
}

fn argument(parser: &mut Parser<'_>, level: usize) -> Result<Argument, SyntaxError> {
    let start = parser.position();
    match parser.peek() {
        Some('\'') => string(parser),
        Some('$') => {
            let (origin, steps) = parser.path(Place::Argument)?;
            let text = parser.since(start);
            Ok(Argument::Path(Path::from_parts(text, origin, steps)))
        }
        Some('S') => invocation(parser, level + 1).map(Argument::Call),
        Some('-' | '0'..='9') => {
            let text = parser.take_while(|c| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
            text.parse::<Number>()
                .map(|number| Argument::Literal(Value::Number(number)))
                .map_err(|_| SyntaxError::new(start, format!("'{text}' is no number")))
        }
        _ => match parser.take_while(|c| c.is_ascii_alphanumeric()) {
            "true" => Ok(Argument::Literal(Value::Bool(true))),
            "false" => Ok(Argument::Literal(Value::Bool(false))),
            "null" => Ok(Argument::Literal(Value::Null)),
            _ => Err(SyntaxError::new(
                start,
                "Expected a string in single quotes, a number, true, false, null, a path or a call",
            )),
        },
    }
}

/// A string in single quotes; it may contain raw line breaks.
fn string(parser: &mut Parser<'_>) -> Result<Argument, SyntaxError> {
    let start = parser.position();
    parser.next();
    let content = parser.position();
    let mut value = String::new();
    loop {
        let end = parser.position();
        match parser.next() {
            Some('\'') => {
                let raw = parser.since(content);
                return Ok(Argument::Text { raw: raw[..end - content].into(), value: Value::String(value) });
            }
            Some('\\') => match parser.next() {
                Some(escaped @ ('\'' | '{' | '}' | '\\')) => value.push(escaped),
                _ => {
                    return Err(SyntaxError::new(end, "Only ', {, } and \\ can follow a backslash"));
                }
            },
            Some(character) => value.push(character),
            None => return Err(SyntaxError::new(start, "The quote is never closed")),
        }
    }
}
