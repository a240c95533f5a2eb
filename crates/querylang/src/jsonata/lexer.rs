//! Text to tokens, one at a time: whether a `/` divides or begins a regular
//! expression is for the parser to say.

use super::Dialect;
use super::error::Error;
use super::regex::Regex;
use super::value::Text;
use std::sync::Arc;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TokenKind {
    /// An operator or a bracket, and `and`, `or`, `in`.
    Operator(&'static str),
    Name(Text),
    Variable(Text),
    String(Text),
    Number(f64),
    Null,
    Boolean(bool),
    Regex(Arc<Regex>),
    End,
}

/// A token and where it ends, in UTF-16 units, as the reference counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) position: u32,
}

impl TokenKind {
    /// What messages and signatures call it.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Operator(operator) => (*operator).to_owned(),
            Self::Name(text) | Self::Variable(text) | Self::String(text) => text.to_string(),
            Self::Number(number) => super::number::to_text(*number),
            Self::Null => "null".to_owned(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Regex(regex) => format!("/{}/{}", regex.pattern(), regex.flags()),
            Self::End => "(end)".to_owned(),
        }
    }
}

/// Operators of two characters, then of one. The order matters.
const OPERATORS: &[&str] = &[
    "..", ":=", "!=", ">=", "<=", "**", "~>", "?:", "??", ".", "[", "]", "{", "}", "(", ")", ",", "@", "#", ";", ":",
    "?", "+", "-", "*", "/", "%", "|", "=", "<", ">", "^", "&", "!", "~",
];

/// Operators that came after 2.0.6.
const NEW_OPERATORS: &[&str] = &["?:", "??"];

/// The most that all regular expressions of a text may weigh together.
const MAX_REGEX_WEIGHT: u64 = 100_000;

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0B)
}

/// Whether a character ends a name: blanks and the first characters of operators.
pub(crate) fn ends_name(byte: u8) -> bool {
    is_space(byte) || b".[]{}(),@#;:?+-*/%|=<>^&!~".contains(&byte)
}

pub(crate) struct Lexer<'t> {
    text: &'t str,
    /// Byte offset.
    at: usize,
    /// How far `units` counts, in bytes.
    counted: usize,
    units: u32,
    dialect: Dialect,
    regex_weight: u64,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t str, dialect: Dialect) -> Self {
        Self { text, at: 0, counted: 0, units: 0, dialect, regex_weight: 0 }
    }

    /// The current place in UTF-16 units.
    fn position(&mut self) -> u32 {
        let end = self.at.min(self.text.len());
        let units: usize = self.text[self.counted..end].chars().map(char::len_utf16).sum();
        self.counted = end;
        self.units = self.units.saturating_add(u32::try_from(units).unwrap_or(u32::MAX));
        self.units
    }

    fn byte(&self, offset: usize) -> u8 {
        self.text.as_bytes().get(self.at + offset).copied().unwrap_or(0)
    }

    fn fail(&mut self, code: &'static str) -> Error {
        let position = self.position();
        Error::new(code).at(position)
    }

    fn token(&mut self, kind: TokenKind) -> Token {
        Token { kind, position: self.position() }
    }

    /// The next token. Behind an operand (`infix`) a `/` divides.
    pub(crate) fn next(&mut self, infix: bool) -> Result<Token, Error> {
        self.skip_blanks()?;
        if self.at >= self.text.len() {
            self.at = self.text.len();
            return Ok(self.token(TokenKind::End));
        }
        let first = self.byte(0);
        if first == b'/' && !infix {
            self.at += 1;
            return self.regex();
        }
        let rest = &self.text[self.at..];
        let known = |operator: &&&str| {
            rest.starts_with(**operator) && (self.dialect == Dialect::Reference || !NEW_OPERATORS.contains(*operator))
        };
        if let Some(operator) = OPERATORS.iter().find(known) {
            self.at += operator.len();
            return Ok(self.token(TokenKind::Operator(operator)));
        }
        match first {
            b'"' | b'\'' => self.string(first),
            b'0'..=b'9' => self.number(),
            b'`' => {
                self.at += 1;
                match self.text[self.at..].find('`') {
                    Some(length) => {
                        let name = &self.text[self.at..self.at + length];
                        self.at += length + 1;
                        Ok(self.token(TokenKind::Name(name.into())))
                    }
                    None => {
                        self.at = self.text.len();
                        Err(self.fail("S0105"))
                    }
                }
            }
            _ => Ok(self.name()),
        }
    }

    fn skip_blanks(&mut self) -> Result<(), Error> {
        loop {
            while is_space(self.byte(0)) && self.at < self.text.len() {
                self.at += 1;
            }
            if self.byte(0) != b'/' || self.byte(1) != b'*' {
                return Ok(());
            }
            let start = self.position();
            match self.text[self.at + 2..].find("*/") {
                Some(length) => self.at += length + 4,
                None => return Err(Error::new("S0106").at(start)),
            }
        }
    }

    fn name(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let length = rest.bytes().position(ends_name).unwrap_or(rest.len());
        let name = &rest[..length];
        self.at += length;
        let kind = match name {
            "and" => TokenKind::Operator("and"),
            "or" => TokenKind::Operator("or"),
            "in" => TokenKind::Operator("in"),
            "true" => TokenKind::Boolean(true),
            "false" => TokenKind::Boolean(false),
            "null" => TokenKind::Null,
            _ => match name.strip_prefix('$') {
                Some(variable) => TokenKind::Variable(variable.into()),
                None => TokenKind::Name(name.into()),
            },
        };
        self.token(kind)
    }

    fn number(&mut self) -> Result<Token, Error> {
        let bytes = &self.text.as_bytes()[self.at..];
        let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = if bytes[0] == b'0' { 1 } else { digits(0) };
        if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
            length += 1 + digits(length + 1);
        }
        if matches!(bytes.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            if bytes.len() > length + 1 + sign && digits(length + 1 + sign) > 0 {
                length += 1 + sign + digits(length + 1 + sign);
            }
        }
        let text = &self.text[self.at..self.at + length];
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => {
                self.at += length;
                Ok(self.token(TokenKind::Number(number)))
            }
            _ => Err(self.fail("S0102").with_token(text)),
        }
    }

    fn string(&mut self, quote: u8) -> Result<Token, Error> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = rest.bytes().position(|byte| byte == quote || byte == b'\\') else {
                self.at = self.text.len();
                return Err(self.fail("S0101"));
            };
            text.push_str(&rest[..length]);
            self.at += length + 1;
            if rest.as_bytes()[length] == quote {
                return Ok(self.token(TokenKind::String(text.into())));
            }
            self.escape(&mut text)?;
        }
    }

    /// What stands behind a backslash.
    fn escape(&mut self, text: &mut String) -> Result<(), Error> {
        let escaped = match self.byte(0) {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let Some(unit) = self.hexadecimal(1) else { return Err(self.fail("S0104")) };
                self.at += 5;
                text.push(self.code_point(unit));
                return Ok(());
            }
            _ => {
                let wrong = self.text[self.at..].chars().next().map(String::from).unwrap_or_default();
                if wrong.is_empty() {
                    return Err(self.fail("S0103").with_token(""));
                }
                return Err(self.fail("S0103").with_token(wrong));
            }
        };
        self.at += 1;
        text.push(escaped);
        Ok(())
    }

    fn hexadecimal(&self, offset: usize) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at + offset..self.at + offset + 4)?;
        digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
    }

    /// A UTF-16 unit as a character: with the escaped unit that follows, if the
    /// two are a pair. Half a pair cannot be held and becomes U+FFFD.
    fn code_point(&mut self, unit: u32) -> char {
        if (0xD800..0xDC00).contains(&unit)
            && self.byte(0) == b'\\'
            && self.byte(1) == b'u'
            && let Some(low) = self.hexadecimal(2).filter(|low| (0xDC00..0xE000).contains(low))
        {
            self.at += 6;
            let point = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            return char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// A regular expression behind its first slash. It ends at a slash outside
    /// of all brackets that is not escaped.
    fn regex(&mut self) -> Result<Token, Error> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut depth = 0_i64;
        let mut backslashes = 0_usize;
        while let Some(byte) = bytes.get(self.at) {
            match byte {
                b'/' if depth == 0 && backslashes.is_multiple_of(2) => return self.end_of_regex(start),
                b'(' | b'[' | b'{' if backslashes == 0 => depth += 1,
                b')' | b']' | b'}' if backslashes == 0 => depth -= 1,
                _ => {}
            }
            backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
            self.at += 1;
        }
        Err(self.fail("S0302"))
    }

    fn end_of_regex(&mut self, start: usize) -> Result<Token, Error> {
        let pattern = &self.text[start..self.at];
        if pattern.is_empty() {
            return Err(self.fail("S0301"));
        }
        self.at += 1;
        let flags = self.at;
        while matches!(self.byte(0), b'i' | b'm') {
            self.at += 1;
        }
        let regex = Regex::new(pattern, &self.text[flags..self.at]);
        let regex = match regex {
            Ok(regex) => regex,
            Err(error) => return Err(self.fail("S0303").with_message(error.to_string())),
        };
        self.regex_weight = self.regex_weight.saturating_add(regex.weight());
        if self.regex_weight > MAX_REGEX_WEIGHT {
            let message = "the regular expressions of this text are too large together";
            return Err(self.fail("S0303").with_message(message));
        }
        Ok(self.token(TokenKind::Regex(Arc::new(regex))))
    }
}
