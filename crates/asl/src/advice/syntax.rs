//! What to do about a text that is not JSON: the few mistakes that nearly everybody makes.

use crate::{Code, Diagnostic};

/// The way out.
pub(super) fn help(text: &str, diagnostic: &Diagnostic) -> String {
    match diagnostic.code {
        Code::TooDeeplyNested => {
            return "Move parts of the workflow into a state machine of their own, and start it from here.".to_owned();
        }
        Code::InvalidJsonDescription => {}
        _ => {
            return "A definition is an object with at least StartAt and States: \
                    {\"StartAt\": \"First\", \"States\": {\"First\": {\"Type\": \"Pass\", \"End\": true}}}."
                .to_owned();
        }
    }
    let offset = diagnostic.span.as_ref().map_or(0, |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let wrong = before.chars().next_back().unwrap_or(' ');
    let earlier = before[..before.len() - wrong.len_utf8().min(before.len())].trim_end();
    if diagnostic.message.contains("end-of-input") {
        let line = open_bracket(text).map(|line| format!(" The one that is still open is in line {line}."));
        return format!("A bracket or quote is never closed: close it.{}", line.unwrap_or_default());
    }
    match wrong {
        '}' | ']' if earlier.ends_with(',') => "JSON has no comma behind the last entry: remove it.".to_owned(),
        '\'' => "JSON has double quotes only: write \"…\" instead of '…'.".to_owned(),
        '/' | '#' => "JSON has no comments: remove it, or write it into a Comment field.".to_owned(),
        '"' if earlier.ends_with(['"', '}', ']']) || earlier.ends_with(|c: char| c.is_alphanumeric()) => {
            "A comma is missing between this and what stands before it.".to_owned()
        }
        _ if diagnostic.message.contains("Unrecognized token") => {
            "A value is a text in double quotes, a number, true, false, null, {…} or […].".to_owned()
        }
        _ if diagnostic.message.contains("double-quote to start field name") => {
            "The name of a field is a text in double quotes: \"StartAt\": ….".to_owned()
        }
        _ if diagnostic.message.contains("was expecting a colon") => {
            "A colon stands between the name of a field and its value.".to_owned()
        }
        _ if diagnostic.message.contains("was expecting comma") => {
            "A comma stands between two entries, and a bracket closes what the same kind opened.".to_owned()
        }
        _ => "Correct the JSON at this place: entries are separated by commas, and names and texts stand in double quotes."
            .to_owned(),
    }
}

/// The line of the last bracket that nothing closes.
fn open_bracket(text: &str) -> Option<usize> {
    let (mut open, mut line, mut quoted, mut escaped) = (Vec::new(), 1, false, false);
    for character in text.chars() {
        match character {
            '\n' => line += 1,
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' | '[' if !quoted => open.push(line),
            '}' | ']' if !quoted => {
                open.pop();
            }
            _ => {}
        }
    }
    open.pop()
}
