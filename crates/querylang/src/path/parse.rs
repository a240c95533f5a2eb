//! Reading the text of a path. Refuses, never guesses: what the grammar does
//! not know is a [`SyntaxError`] with its offset. Recursion (filters in
//! filters, parentheses) is counted and bounded.

use super::function::Function;
use super::{Origin, Segment, Steps, variable_name};
use crate::SyntaxError;
use crate::value::MAX_TEXT;

/// How deep filters, parentheses and literals may nest.
const MAX_NESTING: usize = 32;

/// What a path stands in; it decides where its names end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Alone: the path ends with the text.
    Whole,
    /// An argument of an intrinsic or tail function: it ends at `,` or `)`.
    Argument,
    /// A filter: it ends at an operator too.
    Filter,
}

/// A position in a text.
#[derive(Debug)]
pub(crate) struct Parser<'t> {
    text: &'t str,
    position: usize,
    nesting: usize,
    /// The first unescaped character in an unquoted name that reference paths
    /// reserve for operators.
    operator: Option<usize>,
}

impl<'t> Parser<'t> {
    pub(crate) fn new(text: &'t str) -> Result<Self, SyntaxError> {
        if text.len() > MAX_TEXT {
            return Err(SyntaxError::new(MAX_TEXT, format!("The text is longer than {MAX_TEXT} bytes")));
        }
        Ok(Self { text, position: 0, nesting: 0, operator: None })
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The text from `start` up to here.
    pub(crate) fn since(&self, start: usize) -> &'t str {
        &self.text[start..self.position]
    }

    pub(crate) fn rest(&self) -> &'t str {
        &self.text[self.position..]
    }

    pub(crate) fn operator(&self) -> Option<usize> {
        self.operator
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let character = self.peek()?;
        self.position += character.len_utf8();
        Some(character)
    }

    pub(crate) fn take(&mut self, token: &str) -> bool {
        let taken = self.rest().starts_with(token);
        if taken {
            self.position += token.len();
        }
        taken
    }

    pub(crate) fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let length = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.position += length;
        &rest[..length]
    }

    pub(crate) fn skip_blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError::new(self.position, message)
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> SyntaxError {
        match self.peek() {
            Some(found) => self.error(format!("Expected {wanted}, found '{found}'")),
            None => self.error(format!("Expected {wanted}, found the end")),
        }
    }

    pub(crate) fn expect(&mut self, token: &str) -> Result<(), SyntaxError> {
        if self.take(token) { Ok(()) } else { Err(self.unexpected(&format!("'{token}'"))) }
    }

    pub(crate) fn expect_end(&self) -> Result<(), SyntaxError> {
        if self.rest().is_empty() { Ok(()) } else { Err(self.unexpected("the end")) }
    }

    /// Runs `inner` one level deeper.
    pub(crate) fn nested<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.nesting == MAX_NESTING {
            return Err(self.error(format!("Nested deeper than {MAX_NESTING} levels")));
        }
        self.nesting += 1;
        let result = inner(self);
        self.nesting -= 1;
        result
    }

    /// `$…`, `$$…` or `$name…`.
    pub(crate) fn path(&mut self, place: Place) -> Result<(Origin, Steps), SyntaxError> {
        if !self.take("$") {
            return Err(self.unexpected("'$'"));
        }
        let origin = match self.peek() {
            Some('$') => {
                self.next();
                Origin::Context
            }
            _ => match variable_name(self.rest()) {
                0 => Origin::Input,
                length => {
                    let start = self.position;
                    self.position += length;
                    Origin::Variable(self.since(start).into())
                }
            },
        };
        Ok((origin, self.steps(place)?))
    }

    /// Everything behind a root.
    pub(crate) fn steps(&mut self, place: Place) -> Result<Steps, SyntaxError> {
        let mut segments = Vec::new();
        let mut functions = Vec::new();
        loop {
            let before = self.position;
            match self.peek() {
                Some('.') => {
                    if self.take("..") {
                        segments.push(Segment::Descend);
                    } else {
                        self.next();
                    }
                    match self.peek() {
                        Some('[') => {}
                        Some('*') => {
                            self.next();
                            segments.push(Segment::Wildcard);
                        }
                        _ => {
                            let name = self.name(place)?;
                            if self.peek() == Some('(') {
                                if matches!(segments.last(), Some(Segment::Descend)) {
                                    return Err(SyntaxError::new(before, "A function cannot follow '..'"));
                                }
                                functions.push(self.nested(|parser| Function::parse(parser, &name, before + 1))?);
                                continue;
                            }
                            segments.push(Segment::Name(name.into()));
                        }
                    }
                }
                Some('[') => segments.push(self.bracket()?),
                None => break,
                Some(_) if place != Place::Whole => break,
                Some(blank) if blank.is_whitespace() => break,
                Some(_) => return Err(self.unexpected("'.' or '['")),
            }
            if !functions.is_empty() {
                return Err(SyntaxError::new(before, "Only another function can follow a function"));
            }
        }
        Ok(Steps { segments: segments.into(), functions: functions.into() })
    }

    /// An unquoted name. A backslash takes the next character as it is; `\uXXXX`
    /// is a code unit.
    fn name(&mut self, place: Place) -> Result<String, SyntaxError> {
        let start = self.position;
        let mut name = String::new();
        while let Some(character) = self.peek() {
            match character {
                '.' | '[' | ']' | '(' | ')' => break,
                ',' if place != Place::Whole => break,
                '=' | '<' | '>' | '!' | '~' | '&' | '|' if place == Place::Filter => break,
                blank if blank.is_whitespace() => break,
                '\\' => {
                    self.next();
                    name.push(self.escaped()?);
                    continue;
                }
                '@' | ',' | ':' | '?' | '*' | '\'' | '"' => {
                    self.operator.get_or_insert(self.position);
                    name.push(character);
                }
                _ => name.push(character),
            }
            self.next();
        }
        if name.is_empty() {
            return Err(SyntaxError::new(start, "A name is missing here"));
        }
        Ok(name)
    }

    /// The character behind a backslash.
    pub(crate) fn escaped(&mut self) -> Result<char, SyntaxError> {
        let start = self.position;
        match self.next() {
            Some('u') if self.rest().starts_with(|c: char| c.is_ascii_hexdigit()) => {
                let high = self.code_unit()?;
                if let Some(character) = char::from_u32(high) {
                    return Ok(character);
                }
                let low = if self.take("\\u") { self.code_unit()? } else { 0 };
                if (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low) {
                    let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                    if let Some(character) = char::from_u32(code) {
                        return Ok(character);
                    }
                }
                Err(SyntaxError::new(start, "Half of a surrogate pair"))
            }
            Some(character) => Ok(character),
            None => Err(self.error("A backslash cannot be last")),
        }
    }

    fn code_unit(&mut self) -> Result<u32, SyntaxError> {
        let digits = self
            .rest()
            .get(..4)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .ok_or_else(|| self.error("Expected four hexadecimal digits"))?;
        self.position += 4;
        u32::from_str_radix(digits, 16).map_err(|_| self.error("Expected a code unit"))
    }

    fn bracket(&mut self) -> Result<Segment, SyntaxError> {
        self.expect("[")?;
        self.skip_blanks();
        let segment = match self.peek() {
            Some('\'' | '"') => self.names()?,
            Some('*') => {
                self.next();
                Segment::Wildcard
            }
            Some('?') => {
                self.next();
                self.skip_blanks();
                let condition = self.nested(super::Condition::parse)?;
                Segment::Filter(Box::new(condition))
            }
            Some('-' | ':' | '0'..='9') => self.numbers()?,
            _ => return Err(self.unexpected("a name in quotes, a number, '*', ':' or '?'")),
        };
        self.skip_blanks();
        self.expect("]")?;
        Ok(segment)
    }

    fn names(&mut self) -> Result<Segment, SyntaxError> {
        let mut names: Vec<Box<str>> = Vec::new();
        loop {
            self.skip_blanks();
            names.push(self.quoted_name()?.into());
            self.skip_blanks();
            if !self.take(",") {
                break;
            }
        }
        Ok(match <[Box<str>; 1]>::try_from(names) {
            Ok([name]) => Segment::Name(name),
            Err(names) => Segment::Names(names.into()),
        })
    }

    /// A name in quotes. Only the quote and the backslash can be escaped; a
    /// backslash before anything else is part of the name (AWS: recorded).
    fn quoted_name(&mut self) -> Result<String, SyntaxError> {
        let start = self.position;
        let Some(quote @ ('\'' | '"')) = self.next() else {
            return Err(SyntaxError::new(start, "Expected a name in quotes"));
        };
        let mut name = String::new();
        while let Some(character) = self.next() {
            if character == quote {
                return Ok(name);
            }
            match self.peek() {
                Some(escaped) if character == '\\' && (escaped == quote || escaped == '\\') => {
                    name.push(escaped);
                    self.next();
                }
                _ => name.push(character),
            }
        }
        Err(SyntaxError::new(start, "The quote is never closed"))
    }

    /// `0`, `0,2`, `1:5`, `:-1`, `::2`
    fn numbers(&mut self) -> Result<Segment, SyntaxError> {
        let first = self.integer()?;
        self.skip_blanks();
        if self.take(":") {
            self.skip_blanks();
            let to = self.integer()?;
            self.skip_blanks();
            let mut step = 1;
            if self.take(":") {
                self.skip_blanks();
                let start = self.position;
                step = match self.integer()? {
                    None => 1,
                    Some(step) => u32::try_from(step)
                        .ok()
                        .filter(|step| *step > 0)
                        .ok_or_else(|| SyntaxError::new(start, "The step must be positive"))?,
                };
            }
            return Ok(Segment::Slice { from: first, to, step });
        }
        let first = first.ok_or_else(|| self.unexpected("a number"))?;
        let mut indexes = vec![first];
        while self.take(",") {
            self.skip_blanks();
            let index = self.integer()?.ok_or_else(|| self.unexpected("a number"))?;
            indexes.push(index);
            self.skip_blanks();
        }
        Ok(if indexes.len() == 1 { Segment::Index(first) } else { Segment::Indexes(indexes.into()) })
    }

    fn integer(&mut self) -> Result<Option<i64>, SyntaxError> {
        let start = self.position;
        let negative = self.take("-");
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() && !negative {
            return Ok(None);
        }
        // 32 bits, as on AWS; more could not be an index anyway.
        match digits.parse::<i32>() {
            Ok(number) if negative => Ok(Some(-i64::from(number))),
            Ok(number) => Ok(Some(i64::from(number))),
            Err(_) => Err(SyntaxError::new(start, "Expected a number of 32 bits")),
        }
    }
}
