//! Reads the text of a JavaScript pattern (flags `i` and `m`, no `u`), with the
//! liberties of annex B of its specification: `{` alone is a character, `\q`
//! is `q`.
//!
//! Never calls itself: a pattern of nothing but brackets uses no stack.

use super::RegexError;
use super::set::Set;

/// How deep groups may nest.
const MAX_DEPTH: usize = 100;

/// A pattern. Bodies are boxed at most [`MAX_DEPTH`] groups deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Empty,
    Set(Set),
    Assertion(Assertion),
    Group { captures: bool, body: Box<Node> },
    Repeat { body: Box<Node>, least: u32, most: Option<u32>, lazy: bool },
    Sequence(Vec<Node>),
    Alternatives(Vec<Node>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assertion {
    Start,
    End,
    LineStart,
    LineEnd,
    Boundary,
    NoBoundary,
}

/// A group that is still open.
struct Frame {
    captures: bool,
    position: usize,
    alternatives: Vec<Node>,
    sequence: Vec<Node>,
}

impl Frame {
    fn new(captures: bool, position: usize) -> Self {
        Self { captures, position, alternatives: Vec::new(), sequence: Vec::new() }
    }

    fn close_alternative(&mut self) {
        let mut sequence = std::mem::take(&mut self.sequence);
        self.alternatives.push(match sequence.len() {
            0 => Node::Empty,
            1 => sequence.remove(0),
            _ => Node::Sequence(sequence),
        });
    }

    fn finish(mut self) -> Node {
        self.close_alternative();
        match self.alternatives.len() {
            1 => self.alternatives.remove(0),
            _ => Node::Alternatives(self.alternatives),
        }
    }

    fn push(&mut self, set: Set) {
        if let Some(Node::Set(previous)) = self.sequence.last_mut()
            && let Some(pairs) = previous.pairs_with(&set)
        {
            *previous = pairs;
        } else {
            self.sequence.push(Node::Set(set));
        }
    }
}

/// One member of a class: a character, which may start or end a range, or a set.
enum Member {
    Character(u32),
    Set(Set),
}

pub(super) struct Parser {
    text: Vec<char>,
    position: usize,
    ignore_case: bool,
    multi_line: bool,
    /// How many groups of the whole pattern capture.
    groups: usize,
    /// Whether a group of the pattern has a name; if none has, `\k` is the letter.
    named: bool,
    names: Vec<String>,
}

impl Parser {
    pub(super) fn new(pattern: &str, ignore_case: bool, multi_line: bool) -> Self {
        let text: Vec<char> = pattern.chars().collect();
        let (groups, named) = count_groups(&text);
        Self { text, position: 0, ignore_case, multi_line, groups, named, names: Vec::new() }
    }

    pub(super) fn parse(mut self) -> Result<Node, RegexError> {
        let mut open = Vec::new();
        let mut frame = Frame::new(false, 0);
        while let Some(character) = self.peek() {
            let position = self.position;
            self.position += 1;
            match character {
                '|' => frame.close_alternative(),
                '(' => {
                    if open.len() == MAX_DEPTH {
                        return Err(RegexError::limit(format!("groups nest deeper than {MAX_DEPTH} levels"), position));
                    }
                    let captures = self.group_captures(position)?;
                    open.push(std::mem::replace(&mut frame, Frame::new(captures, position)));
                }
                ')' => {
                    let outer = open.pop().ok_or_else(|| RegexError::syntax("`)` closes no group", position))?;
                    let inner = std::mem::replace(&mut frame, outer);
                    let captures = inner.captures;
                    frame.sequence.push(Node::Group { captures, body: Box::new(inner.finish()) });
                }
                '^' => {
                    let start = if self.multi_line { Assertion::LineStart } else { Assertion::Start };
                    frame.sequence.push(Node::Assertion(start));
                }
                '$' => {
                    let end = if self.multi_line { Assertion::LineEnd } else { Assertion::End };
                    frame.sequence.push(Node::Assertion(end));
                }
                '*' => self.repeat(&mut frame, 0, None, position)?,
                '+' => self.repeat(&mut frame, 1, None, position)?,
                '?' => self.repeat(&mut frame, 0, Some(1), position)?,
                '{' => match self.counts() {
                    Some((least, most)) => {
                        if most.is_some_and(|most| most < least) {
                            return Err(RegexError::syntax("the numbers of the repetition are out of order", position));
                        }
                        self.repeat(&mut frame, least, most, position)?;
                    }
                    None => frame.push(Set::character(u32::from('{'))),
                },
                '[' => frame.push(self.class(position)?),
                '.' => frame.push(Set::dot()),
                '\\' => self.escape(&mut frame, position)?,
                other => frame.push(self.cased(Set::character(u32::from(other)))),
            }
        }
        match open.pop() {
            None => Ok(frame.finish()),
            Some(_) => Err(RegexError::syntax("`(` is never closed", frame.position)),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.position).copied()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        self.position += usize::from(found);
        found
    }

    fn starts_with(&self, wanted: &str) -> bool {
        wanted.chars().enumerate().all(|(index, c)| self.text.get(self.position + index) == Some(&c))
    }

    fn cased(&self, set: Set) -> Set {
        if self.ignore_case { set.without_case() } else { set }
    }

    /// After `(`: whether the group captures.
    fn group_captures(&mut self, position: usize) -> Result<bool, RegexError> {
        if !self.starts_with("?") {
            return Ok(true);
        }
        for (text, name) in [
            ("?=", "look-ahead `(?=`"),
            ("?!", "negative look-ahead `(?!`"),
            ("?<=", "look-behind `(?<=`"),
            ("?<!", "negative look-behind `(?<!`"),
        ] {
            if self.starts_with(text) {
                return Err(RegexError::unsupported(name, position));
            }
        }
        if self.starts_with("?:") {
            self.position += 2;
            return Ok(false);
        }
        if self.starts_with("?<") {
            self.position += 2;
            let name: String = self.text[self.position..].iter().take_while(|c| **c != '>').collect();
            let valid = !name.is_empty()
                && !name.starts_with(|c: char| c.is_numeric())
                && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
            self.position += name.chars().count();
            if !valid || !self.take('>') {
                return Err(RegexError::syntax("the name of the group is not a name", position));
            }
            if self.names.contains(&name) {
                return Err(RegexError::syntax(&format!("two groups have the name `{name}`"), position));
            }
            self.names.push(name);
            return Ok(true);
        }
        Err(RegexError::syntax("`(?` starts no group of a kind there is", position))
    }

    /// After `{`: the numbers, if this is a repetition at all.
    fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        let start = self.position;
        let counts = (|| {
            let least = self.count()?;
            let most = if !self.take(',') {
                Some(least)
            } else if self.peek() == Some('}') {
                None
            } else {
                Some(self.count()?)
            };
            self.take('}').then_some((least, most))
        })();
        if counts.is_none() {
            self.position = start;
        }
        counts
    }

    fn count(&mut self) -> Option<u32> {
        let mut count = None;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            count = Some(count.unwrap_or(0u32).saturating_mul(10).saturating_add(digit));
            self.position += 1;
        }
        count
    }

    fn repeat(&mut self, frame: &mut Frame, least: u32, most: Option<u32>, position: usize) -> Result<(), RegexError> {
        let lazy = self.take('?');
        match frame.sequence.pop() {
            Some(body @ (Node::Set(_) | Node::Group { .. })) => {
                frame.sequence.push(Node::Repeat { body: Box::new(body), least, most, lazy });
                Ok(())
            }
            _ => Err(RegexError::syntax("there is nothing to repeat", position)),
        }
    }

    fn escape(&mut self, frame: &mut Frame, position: usize) -> Result<(), RegexError> {
        match self.peek() {
            None => return Err(RegexError::syntax("`\\` at the end of the pattern", position)),
            Some('b') => frame.sequence.push(Node::Assertion(Assertion::Boundary)),
            Some('B') => frame.sequence.push(Node::Assertion(Assertion::NoBoundary)),
            Some('k') if self.named => {
                return Err(RegexError::unsupported("back-reference `\\k`", position));
            }
            Some('1'..='9') if self.refers_back() => {
                return Err(RegexError::unsupported("back-reference", position));
            }
            Some(_) => {
                let set = match self.escaped() {
                    Member::Character(character) => self.cased(Set::character(character)),
                    Member::Set(set) => set,
                };
                frame.push(set);
                return Ok(());
            }
        }
        self.position += 1;
        Ok(())
    }

    /// Whether the number ahead is that of a group of this pattern.
    fn refers_back(&self) -> bool {
        let mut number = 0usize;
        for digit in self.text[self.position..].iter().map_while(|c| c.to_digit(10)) {
            number = number.saturating_mul(10).saturating_add(digit as usize);
        }
        number <= self.groups
    }

    /// After `\`, of what means the same inside and outside a class. There is a
    /// character ahead.
    fn escaped(&mut self) -> Member {
        let character = self.text[self.position];
        self.position += 1;
        let code = match character {
            'd' => return Member::Set(Set::digits()),
            'D' => return Member::Set(Set::digits().inverted()),
            'w' => return Member::Set(Set::word()),
            'W' => return Member::Set(Set::word().inverted()),
            's' => return Member::Set(Set::space()),
            'S' => return Member::Set(Set::space().inverted()),
            't' => 0x09,
            'n' => 0x0A,
            'v' => 0x0B,
            'f' => 0x0C,
            'r' => 0x0D,
            'x' => self.hexadecimal(2).unwrap_or(u32::from('x')),
            'u' => self.hexadecimal(4).unwrap_or(u32::from('u')),
            'c' => match self.peek() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    self.position += 1;
                    u32::from(letter) % 32
                }
                _ => {
                    // `\c` and no letter: a backslash, then the `c`.
                    self.position -= 1;
                    u32::from('\\')
                }
            },
            '0'..='7' => self.octal(character),
            other => u32::from(other),
        };
        Member::Character(code)
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<u32> {
        let mut code = 0;
        for index in 0..digits {
            code = code * 16 + self.text.get(self.position + index)?.to_digit(16)?;
        }
        self.position += digits;
        Some(code)
    }

    /// Up to three octal digits, at most `\377`.
    fn octal(&mut self, first: char) -> u32 {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            match self.peek().and_then(|c| c.to_digit(8)) {
                Some(digit) if code * 8 + digit <= 0o377 => {
                    code = code * 8 + digit;
                    self.position += 1;
                }
                _ => break,
            }
        }
        code
    }

    /// After `[`.
    fn class(&mut self, position: usize) -> Result<Set, RegexError> {
        let negated = self.take('^');
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        loop {
            if self.take(']') {
                break;
            }
            let start = self.position;
            let first = self.member(position)?;
            let is_range = self.peek() == Some('-') && self.text.get(self.position + 1).is_some_and(|c| *c != ']');
            if !is_range {
                add(&mut ranges, first);
                continue;
            }
            self.position += 1;
            let last = self.member(position)?;
            match (first, last) {
                (Member::Character(first), Member::Character(last)) if first <= last => ranges.push((first, last)),
                (Member::Character(_), Member::Character(_)) => {
                    return Err(RegexError::syntax("the range of the class is out of order", start));
                }
                (first, last) => {
                    add(&mut ranges, first);
                    add(&mut ranges, last);
                    ranges.push((0x2D, 0x2D));
                }
            }
        }
        let set = self.cased(Set::of(&ranges)).with_pairs();
        Ok(if negated { set.inverted() } else { set })
    }

    fn member(&mut self, class: usize) -> Result<Member, RegexError> {
        let unclosed = || RegexError::syntax("`[` is never closed", class);
        let character = self.peek().ok_or_else(unclosed)?;
        self.position += 1;
        if character != '\\' {
            return Ok(Member::Character(u32::from(character)));
        }
        match self.peek().ok_or_else(unclosed)? {
            'b' => {
                self.position += 1;
                Ok(Member::Character(0x08))
            }
            _ => Ok(self.escaped()),
        }
    }
}

fn add(ranges: &mut Vec<(u32, u32)>, member: Member) {
    match member {
        Member::Character(character) => ranges.push((character, character)),
        Member::Set(set) => ranges.extend_from_slice(set.ranges()),
    }
}

/// How many groups of the pattern capture, and whether one has a name.
fn count_groups(text: &[char]) -> (usize, bool) {
    let (mut count, mut named, mut in_class) = (0, false, false);
    let mut index = 0;
    while let Some(character) = text.get(index) {
        match character {
            '\\' => index += 1,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => {
                let has_name = text.get(index + 1..index + 3) == Some(&['?', '<'])
                    && !matches!(text.get(index + 3), Some('=' | '!'));
                named |= has_name;
                count += usize::from(has_name || text.get(index + 1) != Some(&'?'));
            }
            _ => {}
        }
        index += 1;
    }
    (count, named)
}
