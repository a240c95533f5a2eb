//! JSON text to a tree whose every node knows where it stood, with error texts in the wording of the service.
//!
//! Parsing is iterative and its depth is limited, so no input can exhaust the stack, neither while it is read nor
//! when the tree is dropped. Nothing here knows what a state machine is.

use std::collections::HashMap;

use serde_json::{Map, Number, Value};

/// A parsed JSON value and its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The value.
    pub value: NodeValue,
    /// Byte offset of its first character.
    pub start: usize,
    /// Byte offset just after its last character.
    pub end: usize,
}

/// The value of a [`Node`].
#[derive(Clone, Debug, PartialEq)]
pub enum NodeValue {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string, unescaped.
    String(String),
    /// An array.
    Array(Vec<Node>),
    /// An object. Keys are distinct: of equal keys the last one's value stands at the place of the first.
    Object(Vec<Member>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The key, unescaped.
    pub key: String,
    /// Byte offset of the key's opening quote.
    pub start: usize,
    /// Byte offset just after the key's closing quote.
    pub end: usize,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The value without positions.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match &self.value {
            NodeValue::Null => Value::Null,
            NodeValue::Bool(value) => Value::Bool(*value),
            NodeValue::Number(value) => Value::Number(value.clone()),
            NodeValue::String(value) => Value::String(value.clone()),
            NodeValue::Array(items) => Value::Array(items.iter().map(Node::to_value).collect()),
            NodeValue::Object(members) => Value::Object(
                members.iter().map(|member| (member.key.clone(), member.value.to_value())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let NodeValue::String(value) = &self.value { Some(value) } else { None }
    }

    /// The items of an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Node]> {
        if let NodeValue::Array(items) = &self.value { Some(items) } else { None }
    }

    /// The members of an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&[Member]> {
        if let NodeValue::Object(members) = &self.value { Some(members) } else { None }
    }

    /// The value of a member of an object.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_object()?.iter().find(|member| member.key == key).map(|member| &member.value)
    }
}

/// Why a text is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It is not JSON.
    Syntax,
    /// It is nested deeper than the limit.
    TooDeep,
}

/// A text that is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of error.
    pub kind: ErrorKind,
    /// What is wrong, in the wording of the service, without the place.
    pub message: String,
    /// Byte offset just after the offending character: where the service sees the error.
    pub offset: usize,
}

impl Error {
    /// The place as the service writes it: `[Source: (String)"not json"; line: 1, column: 4]`.
    #[must_use]
    pub fn source_location(&self, text: &str) -> String {
        source_location(text, self.offset)
    }
}

/// Parses a text whose arrays and objects nest at most `max_depth` deep.
///
/// # Errors
/// The first thing that is not JSON, or the first bracket beyond the limit.
pub fn parse(text: &str, max_depth: usize) -> Result<Node, Error> {
    Parser { text, position: 0, build: true, max_depth, stack: Vec::new() }.run()
}

/// The service's message for a text that is not JSON, without its place; none if it is JSON, however deep.
///
/// ```
/// use stepwright_asl::json::jackson_error;
/// assert_eq!(jackson_error("{\"a\": [1, 2.5]}"), None);
/// assert_eq!(
///     jackson_error("{'a': 1}").as_deref(),
///     Some("Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
/// );
/// ```
#[must_use]
pub fn jackson_error(text: &str) -> Option<String> {
    Parser { text, position: 0, build: false, max_depth: usize::MAX, stack: Vec::new() }
        .run()
        .err()
        .map(|error| error.message)
}

const VALUES: &str = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";

/// How much of the text an error's place repeats, in UTF-16 code units.
const MAX_SOURCE_UNITS: usize = 500;

fn source_location(text: &str, offset: usize) -> String {
    let mut shown = 0;
    let mut units = 0;
    for character in text.chars() {
        if units + character.len_utf16() > MAX_SOURCE_UNITS {
            break;
        }
        units += character.len_utf16();
        shown += character.len_utf8();
    }
    let rest: usize = text[shown..].chars().map(char::len_utf16).sum();
    let truncated = if rest > 0 { format!("[truncated {rest} chars]") } else { String::new() };
    let (line, column) = line_and_column(text, offset);
    format!("[Source: (String)\"{}\"{truncated}; line: {line}, column: {column}]", &text[..shown])
}

/// Line and column of an offset, both from 1, the column in UTF-16 code units.
fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset];
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let line = before.bytes().filter(|&byte| byte == b'\n').count() + 1;
    let column = before[line_start..].chars().map(char::len_utf16).sum::<usize>() + 1;
    (line, column)
}

struct Key {
    text: String,
    start: usize,
    end: usize,
}

enum Container {
    Array { start: usize, items: Vec<Node> },
    Object { start: usize, members: Vec<Member>, key: Option<Key> },
}

impl Container {
    fn start(&self) -> usize {
        match self {
            Self::Array { start, .. } | Self::Object { start, .. } => *start,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Array { .. } => "Array",
            Self::Object { .. } => "Object",
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    position: usize,
    /// Whether the tree is wanted. Without it nothing is kept, so depth costs a vector entry and no more.
    build: bool,
    max_depth: usize,
    stack: Vec<Container>,
}

impl<'t> Parser<'t> {
    fn run(mut self) -> Result<Node, Error> {
        loop {
            let Some(mut node) = self.value()? else { continue };
            loop {
                if self.stack.is_empty() {
                    self.trailing()?;
                    return Ok(node);
                }
                self.attach(node);
                match self.after_value()? {
                    Some(closed) => node = closed,
                    None => break,
                }
            }
        }
    }

    /// Reads a scalar or an empty container; none after opening a container that has something in it.
    fn value(&mut self) -> Result<Option<Node>, Error> {
        self.skip_whitespace();
        let start = self.position;
        let Some(character) = self.peek() else { return Err(self.end_of_input_before_value()) };
        let value = match character {
            '{' | '[' => return self.open(character),
            '"' => {
                self.position += 1;
                NodeValue::String(self.string("in string value")?)
            }
            '-' | '0'..='9' => NodeValue::Number(self.number()?),
            '}' => return Err(self.unexpected("expected a value")),
            _ if is_word(character) => {
                let word = self.word();
                match word {
                    "null" => NodeValue::Null,
                    "true" => NodeValue::Bool(true),
                    "false" => NodeValue::Bool(false),
                    "NaN" | "Infinity" => {
                        return Err(self.error(format!(
                            "Non-standard token '{word}': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow"
                        )));
                    }
                    _ => return Err(self.error(format!("Unrecognized token '{word}': was expecting {VALUES}"))),
                }
            }
            _ => return Err(self.unexpected(&format!("expected a valid value {VALUES}"))),
        };
        Ok(Some(Node { value, start, end: self.position }))
    }

    fn open(&mut self, bracket: char) -> Result<Option<Node>, Error> {
        let start = self.position;
        if self.stack.len() >= self.max_depth {
            return Err(Error {
                kind: ErrorKind::TooDeep,
                message: format!("Nesting is deeper than {} levels", self.max_depth),
                offset: start,
            });
        }
        self.position += 1;
        self.stack.push(if bracket == '[' {
            Container::Array { start, items: Vec::new() }
        } else {
            Container::Object { start, members: Vec::new(), key: None }
        });
        self.skip_whitespace();
        match self.peek() {
            None => Err(self.end_of_input_in_container()),
            Some(closing @ ('}' | ']')) => self.close(closing).map(Some),
            Some(_) if bracket == '{' => self.key().map(|()| None),
            Some(_) => Ok(None),
        }
    }

    /// What follows a value inside a container: a comma and, in an object, the next key (none); or its end.
    fn after_value(&mut self) -> Result<Option<Node>, Error> {
        self.skip_whitespace();
        match self.peek() {
            None => Err(self.end_of_input_in_container()),
            Some(closing @ ('}' | ']')) => self.close(closing).map(Some),
            Some(',') => {
                self.position += 1;
                self.skip_whitespace();
                if self.peek().is_none() {
                    return Err(self.end_of_input_between_entries());
                }
                if matches!(self.stack.last(), Some(Container::Object { .. })) {
                    self.key()?;
                }
                Ok(None)
            }
            Some(_) => {
                let name = self.stack.last().map_or("root", Container::name);
                Err(self.unexpected(&format!("was expecting comma to separate {name} entries")))
            }
        }
    }

    fn close(&mut self, closing: char) -> Result<Node, Error> {
        let container = self.stack.pop().expect("only called inside a container");
        self.position += 1;
        let start = container.start();
        let end = self.position;
        match (container, closing) {
            (Container::Array { items, .. }, ']') => Ok(Node { value: NodeValue::Array(items), start, end }),
            (Container::Object { members, .. }, '}') => {
                Ok(Node { value: NodeValue::Object(last_wins(members)), start, end })
            }
            (container, _) => {
                let expected = if matches!(container, Container::Array { .. }) { ']' } else { '}' };
                Err(self.error(format!(
                    "Unexpected close marker '{closing}': expected '{expected}' (for {} starting at {})",
                    container.name(),
                    source_location(self.text, start)
                )))
            }
        }
    }

    fn attach(&mut self, node: Node) {
        if !self.build {
            return;
        }
        match self.stack.last_mut() {
            Some(Container::Array { items, .. }) => items.push(node),
            Some(Container::Object { members, key, .. }) => {
                let key = key.take().expect("a key comes before every value");
                members.push(Member { key: key.text, start: key.start, end: key.end, value: node });
            }
            None => {}
        }
    }

    fn key(&mut self) -> Result<(), Error> {
        let start = self.position;
        if self.peek() != Some('"') {
            return Err(self.unexpected("was expecting double-quote to start field name"));
        }
        self.position += 1;
        let text = self.string("in field name")?;
        let end = self.position;
        self.skip_whitespace();
        match self.peek() {
            None => return Err(self.end_of_input_between_entries()),
            Some(':') => self.position += 1,
            Some(_) => return Err(self.unexpected("was expecting a colon to separate field name and value")),
        }
        self.skip_whitespace();
        if self.peek().is_none() {
            return Err(self.end_of_input_between_entries());
        }
        if let Some(Container::Object { key, .. }) = self.stack.last_mut() {
            *key = Some(Key { text, start, end });
        }
        Ok(())
    }

    fn trailing(&mut self) -> Result<(), Error> {
        let end = self.position;
        self.skip_whitespace();
        match self.peek() {
            None => Ok(()),
            Some(_) if end == self.position && self.text[..end].ends_with(|last: char| last.is_ascii_digit()) => {
                Err(self.unexpected("Expected space separating root-level values"))
            }
            Some(closing @ ('}' | ']')) => {
                self.position += 1;
                let expected = if closing == '}' { ']' } else { '}' };
                Err(self.error(format!(
                    "Unexpected close marker '{closing}': expected '{expected}' (for root starting at {})",
                    source_location(self.text, 0)
                )))
            }
            Some(character) if is_word(character) => {
                let word = self.word();
                if matches!(word, "null" | "true" | "false") {
                    return Err(self.error("Trailing token found after the value".to_owned()));
                }
                Err(self.error(format!("Unrecognized token '{word}': was expecting {VALUES}")))
            }
            Some('{' | '[' | '"' | '-') => Err(self.error("Trailing token found after the value".to_owned())),
            Some(_) => Err(self.unexpected(&format!("expected a valid value {VALUES}"))),
        }
    }

    /// The rest of a string after its opening quote. `place` ends the message of a string that does not end.
    fn string(&mut self, place: &str) -> Result<String, Error> {
        let is_key = place == "in field name";
        let mut value = String::new();
        loop {
            let rest = &self.text.as_bytes()[self.position..];
            let plain =
                rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20).unwrap_or(rest.len());
            if self.build {
                value.push_str(&self.text[self.position..self.position + plain]);
            }
            self.position += plain;
            match self.peek() {
                None if is_key => return Err(self.error("Unexpected end-of-input in field name".to_owned())),
                None => {
                    return Err(self
                        .error("Unexpected end-of-input: was expecting closing quote for a string value".to_owned()));
                }
                Some('"') => {
                    self.position += 1;
                    return Ok(value);
                }
                Some('\\') => {
                    self.position += 1;
                    let character = self.escape()?;
                    if self.build {
                        value.push(character);
                    }
                }
                Some(control) => {
                    self.position += control.len_utf8();
                    let context = if is_key { "name" } else { "string value" };
                    return Err(self.error(format!(
                        "Illegal unquoted character ({}): has to be escaped using backslash to be included in {context}",
                        describe(control)
                    )));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let Some(character) = self.peek() else { return Err(self.end_of_input_in_escape()) };
        self.position += character.len_utf8();
        Ok(match character {
            '"' | '\\' | '/' => character,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.hex()?;
                match first {
                    0xd800..=0xdbff if self.text[self.position..].starts_with("\\u") => {
                        self.position += 2;
                        let second = self.hex()?;
                        char::decode_utf16([first, second])
                            .next()
                            .and_then(Result::ok)
                            .filter(|_| (0xdc00..=0xdfff).contains(&second))
                            .ok_or_else(|| self.lone_surrogate(first))?
                    }
                    _ => char::from_u32(u32::from(first)).ok_or_else(|| self.lone_surrogate(first))?,
                }
            }
            _ => return Err(self.error(format!("Unrecognized character escape {}", describe(character)))),
        })
    }

    fn hex(&mut self) -> Result<u16, Error> {
        let mut value = 0;
        for _ in 0..4 {
            let Some(character) = self.peek() else { return Err(self.end_of_input_in_escape()) };
            let Some(digit) = character.to_digit(16) else {
                return Err(self.unexpected("expected a hex-digit for character escape sequence"));
            };
            self.position += 1;
            // Four digits of four bits fit.
            value = value << 4 | digit as u16;
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Number, Error> {
        let start = self.position;
        if self.peek() == Some('-') {
            self.position += 1;
            if !self.peek().is_some_and(|character| character.is_ascii_digit()) {
                return Err(self.bad_number("expected digit (0-9) to follow minus sign, for valid numeric value"));
            }
        }
        let leading_zero = self.peek() == Some('0');
        if self.digits() > 1 && leading_zero {
            return Err(self.error("Invalid numeric value: Leading zeroes not allowed".to_owned()));
        }
        if self.peek() == Some('.') {
            self.position += 1;
            if self.digits() == 0 {
                return Err(self.bad_number("Decimal point not followed by a digit"));
            }
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.position += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.position += 1;
            }
            if self.digits() == 0 {
                return Err(self.bad_number("Exponent indicator not followed by a digit"));
            }
        }
        let text = &self.text[start..self.position];
        text.parse().map_err(|_| self.error(format!("Numeric value ({text}) out of range")))
    }

    fn digits(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.position..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.position += count;
        count
    }

    fn word(&mut self) -> &'t str {
        let start = self.position;
        let text: &'t str = self.text;
        let rest = &text[start..];
        let length = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
        self.position += length;
        &text[start..start + length]
    }

    fn skip_whitespace(&mut self) {
        let rest = &self.text.as_bytes()[self.position..];
        self.position += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn peek(&self) -> Option<char> {
        self.text[self.position..].chars().next()
    }

    fn error(&self, message: String) -> Error {
        Error { kind: ErrorKind::Syntax, message, offset: self.position }
    }

    fn unexpected(&mut self, expectation: &str) -> Error {
        let character = self.peek().unwrap_or('\0');
        self.position = (self.position + character.len_utf8()).min(self.text.len());
        self.error(format!("Unexpected character ({}): {expectation}", describe(character)))
    }

    fn bad_number(&mut self, expectation: &str) -> Error {
        let character = self.peek().unwrap_or('\0');
        self.position = (self.position + character.len_utf8()).min(self.text.len());
        self.error(format!("Unexpected character ({}) in numeric value: {expectation}", describe(character)))
    }

    fn lone_surrogate(&self, unit: u16) -> Error {
        self.error(format!("Incomplete surrogate pair: 0x{unit:X} stands alone in a character escape sequence"))
    }

    fn end_of_input_in_escape(&self) -> Error {
        self.error("Unexpected end-of-input in character escape sequence".to_owned())
    }

    fn end_of_input_in_container(&self) -> Error {
        let (name, start) = self.stack.last().map_or(("root", 0), |container| (container.name(), container.start()));
        self.error(format!(
            "Unexpected end-of-input: expected close marker for {name} (start marker at {})",
            source_location(self.text, start)
        ))
    }

    fn end_of_input_between_entries(&self) -> Error {
        let name = self.stack.last().map_or("root", Container::name);
        self.error(format!("Unexpected end-of-input within/between {name} entries"))
    }

    fn end_of_input_before_value(&self) -> Error {
        if self.stack.is_empty() {
            self.error("No content to map due to end-of-input".to_owned())
        } else {
            self.end_of_input_in_container()
        }
    }
}

/// Of equal keys the last one's value counts.
fn last_wins(members: Vec<Member>) -> Vec<Member> {
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(members.len());
    if members.iter().enumerate().all(|(index, member)| places.insert(&member.key, index).is_none()) {
        return members;
    }
    let mut places: HashMap<String, usize> = HashMap::with_capacity(members.len());
    let mut distinct: Vec<Member> = Vec::with_capacity(members.len());
    for member in members {
        if let Some(&place) = places.get(&member.key) {
            distinct[place] = member;
        } else {
            places.insert(member.key.clone(), distinct.len());
            distinct.push(member);
        }
    }
    distinct
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_' || character == '$'
}

/// A character as the service names it in its messages.
fn describe(character: char) -> String {
    let code = u32::from(character);
    if character.is_control() {
        format!("(CTRL-CHAR, code {code})")
    } else if code > 255 {
        format!("'{character}' (code {code} / 0x{code:x})")
    } else {
        format!("'{character}' (code {code})")
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
