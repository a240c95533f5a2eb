//! Delimited text, by AWS's rules: records end at line ends, fields are text and never typed, quotation marks enclose
//! what may hold delimiters and line ends, two of them stand for one, a backslash makes a backslash, a quotation mark or
//! a delimiter mean itself and is dropped before anything else. Missing fields are empty, surplus ones left out.

use std::{collections::HashSet, sync::Arc};

use crate::{
    Problem, Spot,
    compact::quote,
    text::{Beginning, Inside, Item, Limits, Mark, NOT_UTF8},
};

#[derive(Debug)]
pub(crate) struct CsvDecoder {
    limits: Limits,
    delimiter: u8,
    beginning: Beginning,
    columns: Option<Columns>,
    state: State,
    /// The fields of the record so far, one behind the other, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
    /// Whether anything of the record was seen.
    begun: bool,
    after_return: bool,
    /// Line ends seen.
    lines: u64,
    offset: u64,
    mark: Mark,
    usual: usize,
}

#[derive(Debug)]
struct Columns {
    /// In the order of items: the number of a column, and its name as a JSON string with a colon.
    keys: Vec<(usize, String)>,
    names: Arc<[Box<str>]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At a field's first byte.
    Start,
    Plain,
    PlainEscape,
    Quoted,
    QuotedEscape,
    /// Behind a quotation mark in a quoted field: its end, or the first of two.
    Quote,
}

/// Checks the names of columns.
///
/// # Errors
/// Two are the same, or they are too long.
pub fn check_headers<'a>(names: impl IntoIterator<Item = &'a str>, limits: &Limits) -> Result<(), Problem> {
    let mut known = HashSet::new();
    let mut bytes = 0;
    for name in names {
        bytes += name.len() + 1;
        if !known.insert(name) {
            return Err(Problem::DuplicateHeaders);
        }
    }
    if bytes > limits.header_bytes + 1 { Err(too_long(limits)) } else { Ok(()) }
}

fn too_long(limits: &Limits) -> Problem {
    Problem::unreadable(format!("CSV headers cannot exceed {} bytes.", limits.header_bytes))
}

impl Columns {
    /// Members stand in the order in which Java's hash maps give them (AWS: recorded).
    fn new(names: Arc<[Box<str>]>) -> Self {
        let mut slots: usize = 16;
        while names.len() > slots / 4 * 3 {
            slots *= 2;
        }
        let mut keys: Vec<(usize, String)> = names
            .iter()
            .enumerate()
            .map(|(number, name)| {
                let mut key = String::new();
                quote(name, &mut key);
                key.push(':');
                (number, key)
            })
            .collect();
        keys.sort_by_key(|(number, _)| java_hash(&names[*number]) as usize & (slots - 1));
        Self { keys, names }
    }
}

/// Where Java's hash maps look for a text.
fn java_hash(text: &str) -> u32 {
    let code = text.encode_utf16().fold(0u32, |code, unit| code.wrapping_mul(31).wrapping_add(u32::from(unit)));
    code ^ (code >> 16)
}

impl CsvDecoder {
    pub(crate) fn new(
        headers: Option<&[Arc<str>]>,
        delimiter: u8,
        limits: Limits,
        mark: Mark,
    ) -> Result<Self, Problem> {
        let mut after_return = false;
        let columns = match (&mark.inside, headers) {
            (Inside::Rows { headers, after_return: pending }, _) => {
                after_return = *pending;
                Some(Columns::new(Arc::clone(headers)))
            }
            (_, Some(headers)) => {
                check_headers(headers.iter().map(|name| &**name), &limits)?;
                Some(Columns::new(headers.iter().map(|name| Box::from(&**name)).collect()))
            }
            (_, None) => None,
        };
        Ok(Self {
            limits,
            delimiter,
            beginning: Beginning::at(mark.offset),
            columns,
            state: State::Start,
            fields: Vec::new(),
            ends: Vec::new(),
            begun: false,
            after_return,
            lines: mark.lines,
            offset: mark.offset,
            mark,
            usual: 0,
        })
    }

    pub(crate) fn mark(&self) -> &Mark {
        &self.mark
    }

    pub(crate) fn next(&mut self, input: &mut &[u8], at_end: bool) -> Result<Option<Item>, Problem> {
        let before = input.len();
        let passed = self.beginning.pass(input, at_end)?;
        self.offset += (before - input.len()) as u64;
        match passed {
            None => return Ok(None),
            Some([]) => {}
            // No byte of a byte order mark means anything here, so these are the beginning of a plain field.
            Some(bytes) => {
                self.fields.extend_from_slice(bytes);
                self.begun = true;
                self.state = State::Plain;
            }
        }
        loop {
            let is_whole = self.record(input)?;
            if !is_whole {
                let is_last = at_end && input.is_empty() && self.begun;
                if !is_last {
                    return Ok(None);
                }
                if matches!(self.state, State::Quoted | State::QuotedEscape) {
                    return Err(self.broken("a quotation mark has no end"));
                }
                self.ends.push(self.fields.len());
            }
            let item = self.item()?;
            self.fields.clear();
            self.ends.clear();
            self.begun = false;
            self.state = State::Start;
            self.mark.offset = self.offset;
            self.mark.lines = self.lines;
            if let Some(columns) = &self.columns {
                let (headers, after_return) = (Arc::clone(&columns.names), self.after_return);
                self.mark.inside = Inside::Rows { headers, after_return };
            }
            if item.is_some() {
                self.mark.items += 1;
                return Ok(item);
            }
        }
    }

    /// Reads on to the end of a record. Says whether it was reached.
    fn record(&mut self, input: &mut &[u8]) -> Result<bool, Problem> {
        let bytes = *input;
        let mut at = 0;
        let mut ended = false;
        let limit = if self.columns.is_some() { self.limits.item_bytes } else { self.limits.header_bytes };
        while at < bytes.len() && !ended {
            let byte = bytes[at];
            if self.after_return {
                self.after_return = false;
                if byte == b'\n' {
                    at += 1;
                    continue;
                }
            }
            self.begun = true;
            match self.state {
                State::Start if byte == b'"' => self.state = State::Quoted,
                State::Start | State::Plain => {
                    let rest = &bytes[at..];
                    let is_special = |byte: &u8| matches!(*byte, b'\n' | b'\r' | b'\\') || *byte == self.delimiter;
                    let plain = rest.iter().position(is_special).unwrap_or(rest.len());
                    self.fields.extend_from_slice(&rest[..plain]);
                    if plain > 0 {
                        self.state = State::Plain;
                        at += plain;
                        if self.fields.len() > limit {
                            break;
                        }
                        continue;
                    }
                    if byte == b'\\' {
                        self.state = State::PlainEscape;
                    } else {
                        ended = self.end_field(byte);
                    }
                }
                State::PlainEscape | State::QuotedEscape => {
                    let is_quoted = self.state == State::QuotedEscape;
                    self.state = if is_quoted { State::Quoted } else { State::Plain };
                    if byte != b'\\' && byte != b'"' && byte != self.delimiter {
                        // The backslash is dropped, and what follows means what it does without one.
                        continue;
                    }
                    self.fields.push(byte);
                }
                State::Quoted => {
                    let rest = &bytes[at..];
                    let plain = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                    self.lines += memchr::memchr_iter(b'\n', &rest[..plain]).count() as u64;
                    self.fields.extend_from_slice(&rest[..plain]);
                    if plain > 0 {
                        at += plain;
                        if self.fields.len() > limit {
                            break;
                        }
                        continue;
                    }
                    self.state = if byte == b'"' { State::Quote } else { State::QuotedEscape };
                }
                State::Quote if byte == b'"' => {
                    self.fields.push(b'"');
                    self.state = State::Quoted;
                }
                State::Quote => {
                    self.state = State::Plain;
                    continue;
                }
            }
            at += 1;
        }
        *input = &bytes[at..];
        self.offset += at as u64;
        if self.fields.len() > limit || self.ends.len() > limit {
            return Err(match self.columns {
                None => too_long(&self.limits),
                Some(_) => self.broken(&format!("the row is longer than {limit} bytes")),
            });
        }
        Ok(ended)
    }

    /// Whether the record ends, too.
    fn end_field(&mut self, byte: u8) -> bool {
        self.ends.push(self.fields.len());
        self.state = State::Start;
        if byte == self.delimiter {
            return false;
        }
        self.lines += 1;
        self.after_return = byte == b'\r';
        true
    }

    /// What the record in hand is; none if it holds the names of the columns.
    fn item(&mut self) -> Result<Option<Item>, Problem> {
        let text = std::str::from_utf8(&self.fields).map_err(|_| self.broken(NOT_UTF8))?;
        // What is no text may become some where two fields meet.
        if !self.ends.iter().all(|end| text.is_char_boundary(*end)) {
            return Err(self.broken(NOT_UTF8));
        }
        let field = |number: usize| {
            let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
            &text[start..self.ends[number]]
        };
        let Some(columns) = &self.columns else {
            let names: Arc<[Box<str>]> = (0..self.ends.len()).map(|number| Box::from(field(number))).collect();
            check_headers(names.iter().map(|name| &**name), &self.limits)?;
            self.columns = Some(Columns::new(names));
            return Ok(None);
        };
        let mut out = String::with_capacity(self.usual);
        out.push('{');
        for (number, key) in &columns.keys {
            if out.len() > 1 {
                out.push(',');
            }
            out.push_str(key);
            quote(if *number < self.ends.len() { field(*number) } else { "" }, &mut out);
        }
        out.push('}');
        self.usual = out.len();
        Ok(Some(Item { text: out, key: None }))
    }

    fn broken(&self, reason: &str) -> Problem {
        Problem::at(Spot::Line(self.mark.lines + 1), reason)
    }
}
