//! Filters: `[?(@.price < 10 && !(@.sold))]`.
//!
//! Comparisons never fail: values that cannot be compared do not match, and a
//! path that selects nothing is unequal to everything. `compare.rs` says what the
//! operators mean. A path from the root of the document is walked once for a whole
//! array, not once for each element.

use super::compare::{Operator, SYMBOLS, Verdict, compare, exists, matches};
use super::evaluate::{Budget, Miss};
use super::{Parser, Place, Segment, Steps, pattern};
use crate::SyntaxError;
use regex::Regex;
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cell::OnceCell;

/// A filter as it stands in a path: `[?(…)]`.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) filter: Filter,
    /// How many paths from the root of the document it has.
    documents: usize,
}

/// What the paths from the root of the document select: the same for all values that one filter is asked about, so
/// that each is walked once.
#[derive(Debug, Default)]
pub(super) struct Memo<'d> {
    found: Box<[OnceCell<Option<Cow<'d, Value>>>]>,
}

/// A condition on one value.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Compare(Operand, Operator, Operand),
    /// A path alone.
    Exists(Operand),
    Constant(bool),
}

#[derive(Debug, Clone)]
pub(crate) enum Operand {
    /// `@…`: from the value in question.
    Current(Steps),
    /// `$…`: from the root of the document; its place in the [`Memo`].
    Document(Steps, usize),
    Literal(Value),
    Pattern(Pattern),
}

/// A regular expression, and how it was written.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) source: Box<str>,
    pub(crate) flags: Box<str>,
    regex: Regex,
}

impl Condition {
    /// `(…)`, behind the `?`.
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Self, SyntaxError> {
        let mut filter = Filter::parse(parser)?;
        let mut documents = 0;
        filter.number(&mut documents);
        Ok(Self { filter, documents })
    }

    pub(super) fn memo<'d>(&self) -> Memo<'d> {
        Memo { found: (0..self.documents).map(|_| OnceCell::new()).collect() }
    }

    /// The memo is one of this condition, for this document.
    pub(super) fn accepts<'d>(
        &self,
        current: &Value,
        document: &'d Value,
        memo: &Memo<'d>,
        budget: &mut Budget,
    ) -> Result<bool, Miss> {
        Ok(self.filter.judge(current, document, memo, budget)? == Some(true))
    }
}

impl Filter {
    /// `(…)`, behind the `?`.
    pub(super) fn parse(parser: &mut Parser<'_>) -> Result<Self, SyntaxError> {
        parser.expect("(")?;
        let filter = Self::disjunction(parser)?;
        parser.skip_blanks();
        parser.expect(")")?;
        Ok(filter)
    }

    fn disjunction(parser: &mut Parser<'_>) -> Result<Self, SyntaxError> {
        let mut terms = vec![Self::conjunction(parser)?];
        while {
            parser.skip_blanks();
            parser.take("||")
        } {
            terms.push(Self::conjunction(parser)?);
        }
        Ok(single_or(terms, Self::Or))
    }

    fn conjunction(parser: &mut Parser<'_>) -> Result<Self, SyntaxError> {
        let mut terms = vec![Self::term(parser)?];
        while {
            parser.skip_blanks();
            parser.take("&&")
        } {
            terms.push(Self::term(parser)?);
        }
        Ok(single_or(terms, Self::And))
    }

    fn term(parser: &mut Parser<'_>) -> Result<Self, SyntaxError> {
        parser.skip_blanks();
        if parser.take("!") {
            let inner = parser.nested(Self::term)?;
            return Ok(Self::Not(Box::new(inner)));
        }
        if parser.peek() == Some('(') {
            return parser.nested(Self::parse);
        }
        let start = parser.position();
        let left = Operand::parse(parser)?;
        parser.skip_blanks();
        let Some(operator) = operator(parser)? else {
            return match left {
                Operand::Current(_) | Operand::Document(..) => Ok(Self::Exists(left)),
                Operand::Literal(Value::Bool(constant)) => Ok(Self::Constant(constant)),
                _ => Err(SyntaxError::new(start, "A literal alone is no condition")),
            };
        };
        parser.skip_blanks();
        let start = parser.position();
        let right = Operand::parse(parser)?;
        let patterns = [&left, &right].into_iter().filter(|operand| matches!(operand, Operand::Pattern(_))).count();
        let wanted = usize::from(operator == Operator::Matches);
        if patterns != wanted {
            return Err(SyntaxError::new(start, "A pattern in slashes stands on one side of '=~', and only there"));
        }
        Ok(Self::Compare(left, operator, right))
    }

    /// Gives the paths from the root of the document their places in the memo.
    fn number(&mut self, next: &mut usize) {
        let mut operand = |operand: &mut Operand| {
            if let Operand::Document(_, place) = operand {
                *place = *next;
                *next += 1;
            }
        };
        match self {
            Self::Compare(left, _, right) => {
                operand(left);
                operand(right);
            }
            Self::Exists(path) => operand(path),
            Self::Or(terms) | Self::And(terms) => terms.iter_mut().for_each(|term| term.number(next)),
            Self::Not(inner) => inner.number(next),
            Self::Constant(_) => {}
        }
    }

    fn judge<'d>(
        &self,
        current: &Value,
        document: &'d Value,
        memo: &Memo<'d>,
        budget: &mut Budget,
    ) -> Result<Verdict, Miss> {
        budget.spend(1)?;
        Ok(match self {
            Self::Or(terms) | Self::And(terms) => {
                let decisive = matches!(self, Self::Or(_));
                for term in terms {
                    let verdict = term.judge(current, document, memo, budget)?;
                    if verdict != Some(!decisive) {
                        return Ok(verdict);
                    }
                }
                Some(!decisive)
            }
            Self::Not(inner) => inner.judge(current, document, memo, budget)?.map(|holds| !holds),
            Self::Constant(constant) => Some(*constant),
            Self::Exists(operand) => {
                let value = operand.value(current, document, memo, budget)?;
                Some(exists(value.as_deref()) && !operand.lacks_properties(value.as_deref()))
            }
            Self::Compare(Operand::Pattern(pattern), _, text) | Self::Compare(text, _, Operand::Pattern(pattern)) => {
                let value = text.value(current, document, memo, budget)?;
                Some(matches(&pattern.regex, value.as_deref(), budget)?)
            }
            Self::Compare(left, operator, right) => {
                let left = left.value(current, document, memo, budget)?;
                let right = right.value(current, document, memo, budget)?;
                compare(left.as_deref(), *operator, right.as_deref(), budget)?
            }
        })
    }
}

fn single_or(mut terms: Vec<Filter>, join: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match (terms.pop(), terms.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            terms.extend(last);
            join(terms)
        }
    }
}

/// The operator behind the left operand, if there is one.
fn operator(parser: &mut Parser<'_>) -> Result<Option<Operator>, SyntaxError> {
    for (symbol, operator) in SYMBOLS {
        if parser.take(symbol) {
            return Ok(Some(operator));
        }
    }
    let start = parser.position();
    match parser.take_while(|c| c.is_ascii_alphabetic()) {
        "" => Ok(None),
        word => match Operator::word(word) {
            Some(operator) => Ok(Some(operator)),
            None => Err(SyntaxError::new(start, format!("No operator '{word}'"))),
        },
    }
}

impl Operand {
    fn parse(parser: &mut Parser<'_>) -> Result<Self, SyntaxError> {
        match parser.peek() {
            Some('@') => {
                parser.next();
                parser.nested(|parser| parser.steps(Place::Filter)).map(Self::Current)
            }
            Some('$') => {
                parser.next();
                let steps = parser.nested(|parser| parser.steps(Place::Filter))?;
                Ok(Self::Document(steps, 0))
            }
            Some('/') => regex(parser).map(Self::Pattern),
            _ => literal(parser).map(Self::Literal),
        }
    }

    fn value<'v, 'd: 'v>(
        &'v self,
        current: &'v Value,
        document: &'d Value,
        memo: &'v Memo<'d>,
        budget: &mut Budget,
    ) -> Result<Option<Cow<'v, Value>>, Miss> {
        match self {
            Self::Current(steps) => select(steps, current, document, budget),
            Self::Document(steps, place) => {
                let found = &memo.found[*place];
                if found.get().is_none() {
                    let value = select(steps, document, document, budget)?;
                    found.set(value).expect("it was empty just before");
                }
                Ok(found.get().and_then(Option::as_deref).map(Cow::Borrowed))
            }
            Self::Literal(value) => Ok(Some(Cow::Borrowed(value))),
            Self::Pattern(_) => Ok(None),
        }
    }

    /// A path with several matches that found none of the properties it names: asked whether it exists, it does not.
    /// With a wildcard, a list or a filter at its end it would, if its parents do.
    fn lacks_properties(&self, value: Option<&Value>) -> bool {
        let (Self::Current(steps) | Self::Document(steps, _)) = self else {
            return false;
        };
        let named = matches!(steps.segments.last(), Some(Segment::Name(_) | Segment::Names(_)));
        let none = value.and_then(Value::as_array).is_some_and(Vec::is_empty);
        named && none && !steps.is_definite() && steps.functions.is_empty()
    }
}

/// What a path in a filter selects; `None` if it selects nothing or its parents are missing.
fn select<'v>(
    steps: &Steps,
    start: &'v Value,
    document: &'v Value,
    budget: &mut Budget,
) -> Result<Option<Cow<'v, Value>>, Miss> {
    budget.spend(1 + steps.segments.len())?;
    if !steps.is_definite() && !steps.has_parents(start) {
        return Ok(None);
    }
    match steps.evaluate_within(start, document, budget) {
        Ok(value) => Ok(Some(value)),
        Err(miss) if miss.stops_everything() => Err(miss),
        Err(_) => Ok(None),
    }
}

/// `/…/flags`
fn regex(parser: &mut Parser<'_>) -> Result<Pattern, SyntaxError> {
    let start = parser.position();
    parser.expect("/")?;
    let content = parser.position();
    loop {
        match parser.next() {
            Some('/') => break,
            Some('\\') => drop(parser.next()),
            Some(_) => {}
            None => return Err(parser.error("The pattern is never closed")),
        }
    }
    let source = &parser.since(content)[..parser.position() - content - 1];
    let flags = parser.take_while(|c| c.is_ascii_alphabetic());
    let regex = pattern::compile(source, flags).map_err(|reason| SyntaxError::new(start, reason))?;
    Ok(Pattern { source: source.into(), flags: flags.into(), regex })
}

/// A JSON value; strings may stand in single quotes too.
pub(super) fn literal(parser: &mut Parser<'_>) -> Result<Value, SyntaxError> {
    let start = parser.position();
    match parser.peek() {
        Some(quote @ ('\'' | '"')) => string(parser, quote).map(Value::String),
        Some('[') => parser.nested(|parser| {
            parser.next();
            let mut elements = Vec::new();
            parser.skip_blanks();
            if !parser.take("]") {
                loop {
                    parser.skip_blanks();
                    elements.push(literal(parser)?);
                    parser.skip_blanks();
                    if parser.take("]") {
                        break;
                    }
                    parser.expect(",")?;
                }
            }
            Ok(Value::Array(elements))
        }),
        Some('{') => parser.nested(|parser| {
            parser.next();
            let mut members = serde_json::Map::new();
            parser.skip_blanks();
            if !parser.take("}") {
                loop {
                    parser.skip_blanks();
                    let quote = parser.peek().filter(|c| matches!(c, '\'' | '"'));
                    let quote = quote.ok_or_else(|| parser.unexpected("a name in quotes"))?;
                    let name = string(parser, quote)?;
                    parser.skip_blanks();
                    parser.expect(":")?;
                    parser.skip_blanks();
                    members.insert(name, literal(parser)?);
                    parser.skip_blanks();
                    if parser.take("}") {
                        break;
                    }
                    parser.expect(",")?;
                }
            }
            Ok(Value::Object(members))
        }),
        Some('-' | '0'..='9') => {
            let text = parser.take_while(|c| matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
            text.parse::<Number>()
                .map(Value::Number)
                .map_err(|_| SyntaxError::new(start, format!("'{text}' is no number")))
        }
        _ => match parser.take_while(|c| c.is_ascii_alphanumeric()) {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            _ => Err(SyntaxError::new(start, "Expected a path or a literal")),
        },
    }
}

fn string(parser: &mut Parser<'_>, quote: char) -> Result<String, SyntaxError> {
    let start = parser.position();
    parser.next();
    let mut text = String::new();
    while let Some(character) = parser.next() {
        match character {
            '\\' => {
                let escaped = parser.peek();
                let character = parser.escaped()?;
                text.push(match escaped {
                    Some('n') => '\n',
                    Some('r') => '\r',
                    Some('t') => '\t',
                    Some('b') => '\u{8}',
                    Some('f') => '\u{c}',
                    _ => character,
                });
            }
            _ if character == quote => return Ok(text),
            _ => text.push(character),
        }
    }
    Err(SyntaxError::new(start, "The quote is never closed"))
}
