//! Functions that look for a text or a pattern in a text: `$contains`, `$match`,
//! `$replace`, `$split`; and `$join`.
//!
//! A pattern is a regular expression, or any function that answers with
//! `{match, start, end, groups, next}` or nothing. Patterns are never compiled
//! here.

use super::string::text_or_undefined;
use super::{scan, search};
use crate::jsonata::context::Context;
use crate::jsonata::error::Error;
use crate::jsonata::function::{Builtin, Function};
use crate::jsonata::regex::{Asked, EmptyMatch, Matches, Regex};
use crate::jsonata::value::{Object, Text, Value};
use std::ops::Range;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};

pub(super) static FUNCTIONS: [Builtin; 5] = [
    Builtin::new("contains", "<s-(sf):b>", 2, contains),
    Builtin::new("match", "<s-f<s:o>n?:a<o>>", 3, r#match),
    Builtin::new("replace", "<s-(sf)(sf)n?:s>", 4, replace),
    Builtin::new("split", "<s-(sf)n?:a<s>>", 3, split),
    Builtin::new("join", "<a<s>s?:s>", 2, join),
];

/// The names of the members of a match.
struct Keys {
    matched: Text,
    index: Text,
    start: Text,
    end: Text,
    groups: Text,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    matched: "match".into(),
    index: "index".into(),
    start: "start".into(),
    end: "end".into(),
    groups: "groups".into(),
});

/// Refuses a search that could take too long.
fn afford(regex: &Regex, text: &str) -> Result<(), Error> {
    if regex.affords(text.len()) {
        return Ok(());
    }
    Err(Error::new("U1002").with_message(format!(
        "The regular expression /{}/{} is too complex for a text of {} bytes: use fewer repetitions or a shorter text",
        regex.pattern(),
        regex.flags(),
        text.len()
    )))
}

/// The matches of a pattern in a text.
struct Matcher<'m> {
    text: &'m str,
    source: Source<'m>,
}

enum Source<'m> {
    Regex(&'m Arc<Regex>, Matches<'m, 'm>),
    /// What to call next, and the text of the last match with its groups.
    Function {
        next: Option<Rc<Function>>,
        first: bool,
        matched: Text,
        groups: Vec<Value>,
        object: Value,
    },
}

impl<'m> Matcher<'m> {
    fn new(pattern: &'m Rc<Function>, text: &'m str) -> Result<Self, Error> {
        let source = if let Some(regex) = pattern.as_regex() {
            afford(regex, text)?;
            Source::Regex(regex, regex.matches(text))
        } else {
            Source::Function {
                next: Some(Rc::clone(pattern)),
                first: true,
                matched: "".into(),
                groups: Vec::new(),
                object: Value::Undefined,
            }
        };
        Ok(Self { text, source })
    }

    /// The byte range of the next match.
    fn advance(&mut self, context: &mut Context<'_>) -> Result<Option<Range<usize>>, Error> {
        match &mut self.source {
            Source::Regex(regex, matches) => {
                context.searches(regex, matches.ahead(), Asked::Where)?;
                let empty = |EmptyMatch| Error::new("D1004").with_text_value(regex.pattern());
                let found = matches.advance().map_err(empty)?;
                context.steps(regex.steps_of_groups(found.as_ref().map_or(0, ExactSizeIterator::len)))?;
                Ok(found)
            }
            Source::Function { next, first, matched, groups, object } => {
                let Some(function) = next.take() else { return Err(Error::new("T1010")) };
                let argument = if std::mem::take(first) { context.string(self.text)? } else { Value::Undefined };
                let answer = context.apply(&function, vec![argument])?;
                let answer = match &answer {
                    Value::Undefined => return Ok(None),
                    Value::Object(answer) => Rc::clone(answer),
                    _ => return Err(Error::new("T1010")),
                };
                let (Some(start), Some(end), Some(text)) = (
                    answer.get("start").and_then(Value::as_number),
                    answer.get("end").and_then(Value::as_number),
                    answer.get("match").and_then(Value::as_str),
                ) else {
                    return Err(Error::new("T1010"));
                };
                *matched = text.into();
                *groups = match answer.get("groups") {
                    Some(Value::Array(groups)) => groups.to_vec(),
                    Some(Value::Undefined) | None => Vec::new(),
                    Some(single) => vec![single.clone()],
                };
                *next = answer.get("next").and_then(Value::as_function).cloned();
                *object = Value::Object(answer);
                scan(context, self.text.len().saturating_mul(4))?;
                let start = byte_at(self.text, start);
                Ok(Some(start..byte_at(self.text, end).max(start)))
            }
        }
    }

    fn matched(&self, range: &Range<usize>) -> &str {
        match &self.source {
            Source::Regex(..) => &self.text[range.clone()],
            Source::Function { matched, .. } => matched,
        }
    }

    fn group_count(&self) -> usize {
        match &self.source {
            Source::Regex(_, matches) => matches.groups().len(),
            Source::Function { groups, .. } => groups.len(),
        }
    }

    /// What a group captured, if it took part.
    fn group(&self, index: usize) -> &str {
        match &self.source {
            Source::Regex(_, matches) => matches.groups().nth(index).flatten().map_or("", |range| &self.text[range]),
            Source::Function { groups, .. } => groups.get(index).and_then(Value::as_str).unwrap_or_default(),
        }
    }

    fn groups(&self, context: &mut Context<'_>) -> Result<Value, Error> {
        let groups = match &self.source {
            Source::Regex(_, matches) => {
                let mut groups = Vec::with_capacity(matches.groups().len());
                for range in matches.groups() {
                    groups.push(match range {
                        Some(range) => context.string(&self.text[range])?,
                        None => Value::Undefined,
                    });
                }
                groups
            }
            Source::Function { groups, .. } => groups.clone(),
        };
        context.array(groups)
    }

    /// The match as functions that replace it get it.
    fn object(&self, context: &mut Context<'_>, range: &Range<usize>, units: &mut Units<'_>) -> Result<Value, Error> {
        if let Source::Function { object, .. } = &self.source {
            return Ok(object.clone());
        }
        let mut object = Object::with_capacity(4);
        object.insert(Text::clone(&KEYS.matched), context.string(self.matched(range))?);
        object.insert(Text::clone(&KEYS.start), units.at(range.start));
        object.insert(Text::clone(&KEYS.end), units.at(range.end));
        object.insert(Text::clone(&KEYS.groups), self.groups(context)?);
        context.object(object)
    }
}

/// The byte where a UTF-16 unit is; never within a character.
fn byte_at(text: &str, units: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as is meant")]
    let units = units as usize;
    let mut passed = 0;
    for (at, character) in text.char_indices() {
        if passed >= units {
            return at;
        }
        passed += character.len_utf16();
    }
    text.len()
}

/// Counts UTF-16 units up to places that come in order.
struct Units<'t> {
    text: &'t str,
    ascii: bool,
    bytes: usize,
    units: usize,
}

impl<'t> Units<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, ascii: text.is_ascii(), bytes: 0, units: 0 }
    }

    fn at(&mut self, byte: usize) -> Value {
        if self.ascii {
            return super::count(byte);
        }
        if byte < self.bytes {
            (self.bytes, self.units) = (0, 0);
        }
        self.units += self.text[self.bytes..byte].chars().map(char::len_utf16).sum::<usize>();
        self.bytes = byte;
        super::count(self.units)
    }
}

fn contains(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    match &arguments[1] {
        Value::String(wanted) => {
            search(context, &text, wanted)?;
            Ok(Value::Boolean(text.contains(&**wanted)))
        }
        Value::Function(pattern) => {
            if let Some(regex) = pattern.as_regex() {
                afford(regex, &text)?;
                context.searches(regex, (&text, 0), Asked::Whether)?;
                return Ok(Value::Boolean(regex.is_match(&text)));
            }
            let found = Matcher::new(pattern, &text)?.advance(context)?;
            Ok(Value::Boolean(found.is_some()))
        }
        _ => Ok(Value::Undefined),
    }
}

/// The limit in the last place: infinite if it is left out.
fn limit(arguments: &[Value], at: usize, code: &'static str) -> Result<f64, Error> {
    match arguments.get(at) {
        Some(value @ Value::Number(limit)) if *limit < 0.0 => {
            Err(Error::new(code).with_value(value).with_index(at + 1))
        }
        Some(Value::Number(limit)) => Ok(*limit),
        _ => Ok(f64::INFINITY),
    }
}

/// How many whole matches come before a limit, when it is asked before each
/// whether fewer have been.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as is meant")]
fn at_most(limit: f64) -> usize {
    limit.ceil() as usize
}

fn r#match(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    let limit = at_most(limit(arguments, 2, "D3040")?);
    let Value::Function(pattern) = &arguments[1] else { return Err(Error::new("T0410").with_index(2)) };
    let mut matcher = Matcher::new(pattern, &text)?;
    let mut units = Units::new(&text);
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(range) = matcher.advance(context)? else { break };
        let mut object = Object::with_capacity(3);
        object.insert(Text::clone(&KEYS.matched), context.string(matcher.matched(&range))?);
        object.insert(Text::clone(&KEYS.index), units.at(range.start));
        object.insert(Text::clone(&KEYS.groups), matcher.groups(context)?);
        found.push(context.object(object)?);
    }
    context.sequence(found)
}

/// A part of the text that replaces a match.
#[derive(Debug, PartialEq, Eq)]
enum Piece<'t> {
    Literal(&'t str),
    Whole,
    /// From 0.
    Group(usize),
}

/// Reads `$$`, `$0` and `$n`: `n` has as many digits as the number of groups,
/// or one less if there is no such group. A group there is not is nothing; `$`
/// before anything else is itself.
fn pieces(template: &str, groups: usize) -> Vec<Piece<'_>> {
    let most_digits = groups.max(1).ilog10() as usize + 1;
    let mut pieces = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        pieces.push(Piece::Literal(&rest[..at]));
        let after = &rest[at + 1..];
        let digits = after.bytes().take(most_digits).take_while(u8::is_ascii_digit).count();
        rest = if let Some(rest) = after.strip_prefix('$') {
            pieces.push(Piece::Literal("$"));
            rest
        } else if let Some(rest) = after.strip_prefix('0') {
            pieces.push(Piece::Whole);
            rest
        } else if digits == 0 {
            pieces.push(Piece::Literal("$"));
            after
        } else {
            let number = |digits: usize| after[..digits].parse().unwrap_or(usize::MAX);
            let digits =
                if digits == most_digits && digits > 1 && number(digits) > groups { digits - 1 } else { digits };
            pieces.push(Piece::Group(number(digits).saturating_sub(1)));
            &after[digits..]
        };
    }
    pieces.push(Piece::Literal(rest));
    pieces.retain(|piece| *piece != Piece::Literal(""));
    pieces
}

fn replace(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    if arguments[1].as_str() == Some("") {
        return Err(Error::new("D3010").with_value(&arguments[1]).with_index(2));
    }
    let limit = at_most(limit(arguments, 3, "D3011")?);
    match (&arguments[1], &arguments[2]) {
        (Value::String(wanted), replacement) => replace_text(context, text, wanted, replacement, limit),
        (Value::Function(pattern), replacement) => replace_pattern(context, text, pattern, replacement, limit),
        (other, _) => Err(Error::new("T0410").with_value(other).with_index(2)),
    }
}

fn replace_text(
    context: &mut Context<'_>,
    text: Text,
    wanted: &str,
    replacement: &Value,
    limit: usize,
) -> Result<Value, Error> {
    search(context, &text, wanted)?;
    let mut found = text.match_indices(wanted).take(limit).peekable();
    if found.peek().is_none() {
        return Ok(Value::String(text));
    }
    let Value::String(replacement) = replacement else {
        return Err(Error::new("D3012").with_value(replacement));
    };
    let size = if replacement.len() <= wanted.len() {
        text.len()
    } else {
        let more = replacement.len() - wanted.len();
        text.len().saturating_add(found.count().saturating_mul(more))
    };
    context.charge(size)?;
    scan(context, size.saturating_mul(4))?;
    context.string(text.replacen(wanted, replacement, limit))
}

fn replace_pattern(
    context: &mut Context<'_>,
    text: Text,
    pattern: &Rc<Function>,
    replacement: &Value,
    limit: usize,
) -> Result<Value, Error> {
    let mut matcher = Matcher::new(pattern, &text)?;
    let mut units = Units::new(&text);
    let mut template: Option<(usize, Vec<Piece<'_>>)> = None;
    let mut out = String::new();
    let mut done = 0;
    let mut count = 0;
    while count < limit {
        let Some(range) = matcher.advance(context)? else { break };
        count += 1;
        let before = &text[done.min(range.start)..range.start];
        context.charge(before.len())?;
        out.push_str(before);
        done = range.end;
        match replacement {
            Value::String(replacement) => {
                let groups = matcher.group_count();
                let pieces = match &mut template {
                    Some((known, pieces)) if *known == groups => pieces,
                    other => {
                        scan(context, replacement.len().saturating_mul(8))?;
                        context.charge(replacement.len() * 8)?;
                        &mut other.insert((groups, pieces(replacement, groups))).1
                    }
                };
                context.steps(pieces.len() as u64)?;
                for piece in pieces {
                    let part = match piece {
                        Piece::Literal(literal) => literal,
                        Piece::Whole => matcher.matched(&range),
                        Piece::Group(group) => matcher.group(*group),
                    };
                    context.charge(part.len())?;
                    out.push_str(part);
                }
            }
            Value::Function(function) => {
                let found = matcher.object(context, &range, &mut units)?;
                let with = context.apply(function, vec![found])?;
                let Value::String(with) = &with else {
                    return Err(Error::new("D3012").with_value(&with));
                };
                context.charge(with.len())?;
                out.push_str(with);
            }
            other => return Err(Error::new("D3012").with_value(other)),
        }
    }
    drop(matcher);
    if count == 0 {
        return Ok(Value::String(text));
    }
    context.charge(text.len() - done)?;
    out.push_str(&text[done..]);
    scan(context, out.len())?;
    context.string(out)
}

fn split(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = text_or_undefined!(arguments);
    let limit = limit(arguments, 2, "D3020")?;
    let mut pieces = Vec::new();
    match &arguments[1] {
        Value::String(separator) => {
            search(context, &text, separator)?;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as is meant")]
            let limit = limit as usize;
            if separator.is_empty() {
                let mut buffer = [0; 4];
                for character in text.chars().take(limit) {
                    push(context, &mut pieces, character.encode_utf8(&mut buffer))?;
                }
            } else if let [byte] = separator.as_bytes() {
                // Far quicker than looking for a text of one character.
                for piece in text.split(char::from(*byte)).take(limit) {
                    push(context, &mut pieces, piece)?;
                }
            } else {
                for piece in text.split(&**separator).take(limit) {
                    push(context, &mut pieces, piece)?;
                }
            }
        }
        Value::Function(pattern) => {
            let limit = at_most(limit);
            let mut matcher = Matcher::new(pattern, &text)?;
            let mut done = 0;
            while pieces.len() < limit {
                let Some(range) = matcher.advance(context)? else { break };
                push(context, &mut pieces, &text[done.min(range.start)..range.start])?;
                done = range.end;
            }
            if pieces.len() < limit {
                push(context, &mut pieces, &text[done..])?;
            }
        }
        other => return Err(Error::new("T0410").with_value(other).with_index(2)),
    }
    context.array(pieces)
}

fn push(context: &mut Context<'_>, pieces: &mut Vec<Value>, piece: &str) -> Result<(), Error> {
    context.charge(piece.len() + 16)?;
    context.steps(1)?;
    context.makes_room(pieces, 1)?;
    pieces.push(Value::from(piece));
    Ok(())
}

fn join(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let Value::Array(texts) = &arguments[0] else { return Ok(Value::Undefined) };
    if let [single @ Value::String(_)] = &texts[..] {
        return Ok(single.clone());
    }
    let separator = arguments.get(1).and_then(Value::as_str).unwrap_or_default();
    context.steps(texts.len() as u64)?;
    let size = texts.iter().filter_map(Value::as_str).fold(0usize, |size, text| size.saturating_add(text.len()));
    let size = size.saturating_add(separator.len().saturating_mul(texts.len().saturating_sub(1)));
    context.charge(size)?;
    scan(context, size)?;
    let mut out = String::with_capacity(size);
    for (index, text) in texts.iter().filter_map(Value::as_str).enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        out.push_str(text);
    }
    context.string(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_groups_have_as_many_digits_as_there_are_groups() {
        use Piece::{Group, Literal, Whole};
        for (template, groups, expected) in [
            ("a$1b", 1, vec![Literal("a"), Group(0), Literal("b")]),
            ("$12", 1, vec![Group(0), Literal("2")]),
            ("$12$18$1", 13, vec![Group(11), Group(0), Literal("8"), Group(0)]),
            ("$0$$$x$", 2, vec![Whole, Literal("$"), Literal("$"), Literal("x"), Literal("$")]),
            ("$12", 0, vec![Group(0), Literal("2")]),
            ("", 3, vec![]),
        ] {
            assert_eq!(pieces(template, groups), expected, "{template}");
        }
    }

    #[test]
    fn places_are_counted_in_utf_16() {
        let text = "a💩é";
        let mut units = Units::new(text);
        let at: Vec<_> = [0, 1, 5, 7, 5].iter().map(|byte| units.at(*byte).as_number()).collect();
        assert_eq!(at, [Some(0.0), Some(1.0), Some(3.0), Some(4.0), Some(3.0)]);
        assert_eq!([0.0, 1.0, 2.0, 3.0, 9.0].map(|unit| byte_at(text, unit)), [0, 1, 5, 5, 7]);
    }
}
