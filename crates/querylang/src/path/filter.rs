//! Filters: `[?(@.price < 10 && !(@.sold))]`.
//!
//! Comparisons never fail: values that cannot be compared do not match, and a
//! path that selects nothing is unequal to everything.

use super::evaluate::{Budget, Miss};
use super::{Parser, Place, Steps};
use crate::SyntaxError;
use crate::value::{MAX_WEIGHT, compare_numbers, equal, weight};
use regex::{Regex, RegexBuilder};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// The most memory one compiled regular expression may take.
const MAX_REGEX: usize = 4 << 20;

/// A condition on one value.
#[derive(Debug, Clone)]
pub(crate) enum Filter {
    Or(Vec<Filter>),
    And(Vec<Filter>),
    Not(Box<Filter>),
    Compare(Operand, Operator, Operand),
    /// A path alone: it selects something, `null` included.
    Exists(Operand),
    Constant(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Equal,
    NotEqual,
    /// `===`: no conversion between text and number.
    Same,
    NotSame,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    In,
    NotIn,
    Contains,
    Size,
    Empty,
    Exists,
    SubsetOf,
    AnyOf,
    NoneOf,
    All,
}

#[derive(Debug, Clone)]
pub(crate) enum Operand {
    /// `@…`: from the value in question.
    Current(Steps),
    /// `$…`: from the root of the document.
    Document(Steps),
    Literal(Value),
    Pattern(Regex),
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
        let Some(operator) = Operator::parse(parser)? else {
            return match left {
                Operand::Current(_) | Operand::Document(_) => Ok(Self::Exists(left)),
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

    pub(super) fn accepts(&self, current: &Value, document: &Value, budget: &mut Budget) -> Result<bool, Miss> {
        budget.spend(1)?;
        Ok(match self {
            Self::Or(terms) => {
                for term in terms {
                    if term.accepts(current, document, budget)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::And(terms) => {
                for term in terms {
                    if !term.accepts(current, document, budget)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Not(inner) => !inner.accepts(current, document, budget)?,
            Self::Constant(constant) => *constant,
            Self::Exists(operand) => operand.value(current, document, budget)?.is_some(),
            Self::Compare(Operand::Pattern(pattern), _, text) | Self::Compare(text, _, Operand::Pattern(pattern)) => {
                let value = text.value(current, document, budget)?;
                match value.as_deref().and_then(scalar_text) {
                    Some(text) => {
                        budget.spend(text.len() / 16)?;
                        pattern.is_match(&text)
                    }
                    None => false,
                }
            }
            Self::Compare(left, operator, right) => {
                let left = left.value(current, document, budget)?;
                let right = right.value(current, document, budget)?;
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

impl Operator {
    fn parse(parser: &mut Parser<'_>) -> Result<Option<Self>, SyntaxError> {
        // Longer ones first.
        const SYMBOLS: [(&str, Operator); 10] = [
            ("===", Operator::Same),
            ("!==", Operator::NotSame),
            ("==", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=~", Operator::Matches),
            ("<>", Operator::NotEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        for (symbol, operator) in SYMBOLS {
            if parser.take(symbol) {
                return Ok(Some(operator));
            }
        }
        let start = parser.position();
        let word = parser.take_while(|c| c.is_ascii_alphabetic());
        let operator = match word.to_ascii_lowercase().as_str() {
            "" => return Ok(None),
            "in" => Self::In,
            "nin" => Self::NotIn,
            "contains" => Self::Contains,
            "size" => Self::Size,
            "empty" => Self::Empty,
            "exists" => Self::Exists,
            "subsetof" => Self::SubsetOf,
            "anyof" => Self::AnyOf,
            "noneof" => Self::NoneOf,
            "all" => Self::All,
            _ => return Err(SyntaxError::new(start, format!("No operator '{word}'"))),
        };
        Ok(Some(operator))
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
                parser.nested(|parser| parser.steps(Place::Filter)).map(Self::Document)
            }
            Some('/') => pattern(parser).map(Self::Pattern),
            _ => literal(parser).map(Self::Literal),
        }
    }

    fn value<'v>(
        &'v self,
        current: &'v Value,
        document: &'v Value,
        budget: &mut Budget,
    ) -> Result<Option<Cow<'v, Value>>, Miss> {
        let (steps, start) = match self {
            Self::Current(steps) => (steps, current),
            Self::Document(steps) => (steps, document),
            Self::Literal(value) => return Ok(Some(Cow::Borrowed(value))),
            Self::Pattern(_) => return Ok(None),
        };
        budget.spend(1 + steps.segments.len())?;
        match steps.evaluate_within(start, document, budget) {
            Ok(value) => Ok(Some(value)),
            Err(miss) if miss.stops_everything() => Err(miss),
            Err(_) => Ok(None),
        }
    }
}

/// `/…/flags`. The whole text must match, as in the service.
fn pattern(parser: &mut Parser<'_>) -> Result<Regex, SyntaxError> {
    let start = parser.position();
    parser.expect("/")?;
    let mut source = String::new();
    loop {
        match parser.next() {
            Some('/') => break,
            Some('\\') => match parser.next() {
                Some('/') => source.push('/'),
                Some(escaped) => {
                    source.push('\\');
                    source.push(escaped);
                }
                None => return Err(parser.error("The pattern is never closed")),
            },
            Some(character) => source.push(character),
            None => return Err(parser.error("The pattern is never closed")),
        }
    }
    let flags = parser.take_while(|c| c.is_ascii_alphabetic());
    let mut builder = RegexBuilder::new(&format!(r"\A(?:{source})\z"));
    builder.size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX);
    for flag in flags.chars() {
        match flag {
            'i' => builder.case_insensitive(true),
            'm' => builder.multi_line(true),
            's' => builder.dot_matches_new_line(true),
            'x' => builder.ignore_whitespace(true),
            // Java's UNIX_LINES, UNICODE_CASE and UNICODE_CHARACTER_CLASS: the
            // way this engine works anyway.
            'd' | 'u' | 'U' => &mut builder,
            _ => return Err(parser.error(format!("No pattern flag '{flag}'"))),
        };
    }
    builder.build().map_err(|error| SyntaxError::new(start, format!("The pattern is not valid: {error}")))
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

/// What a pattern is matched with: the text of a scalar.
fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(_) | Value::Bool(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

fn compare(left: Option<&Value>, operator: Operator, right: Option<&Value>, budget: &mut Budget) -> Result<bool, Miss> {
    if let (Some(left @ (Value::Array(_) | Value::Object(_))), Some(_)) = (left, right) {
        budget.spend_on(left)?;
    }
    let loosely = || left.zip(right).is_some_and(|(l, r)| loosely_equal(l, r));
    let strictly = || left.zip(right).is_some_and(|(l, r)| equal(l, r));
    let order = || left.zip(right).and_then(|(l, r)| order(l, r));
    let truth = right.and_then(Value::as_bool);
    Ok(match operator {
        Operator::Equal => loosely(),
        Operator::NotEqual => !loosely(),
        Operator::Same => strictly(),
        Operator::NotSame => !strictly(),
        Operator::Less => order() == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order() == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
        // Parsing has made sure that `=~` has a pattern, which is handled apart.
        Operator::Matches => false,
        Operator::In => all_in(left.map(std::slice::from_ref), right, budget)?.unwrap_or(false),
        Operator::NotIn => !all_in(left.map(std::slice::from_ref), right, budget)?.unwrap_or(false),
        Operator::Contains => match (left, right) {
            (Some(Value::String(text)), Some(Value::String(part))) => {
                budget.spend(text.len() / 16)?;
                text.contains(part.as_str())
            }
            (Some(Value::Array(_)), Some(_)) => all_in(right.map(std::slice::from_ref), left, budget)?.unwrap_or(false),
            _ => false,
        },
        Operator::Size => {
            left.and_then(length).zip(right).is_some_and(|(length, right)| loosely_equal(&Value::from(length), right))
        }
        Operator::Empty => match left {
            Some(Value::Null) | None => false,
            Some(value) => length(value).map(|length| length == 0) == truth && truth.is_some(),
        },
        Operator::Exists => Some(left.is_some()) == truth,
        Operator::SubsetOf => all_in(elements(left), right, budget)?.unwrap_or(false),
        Operator::All => all_in(elements(right), left, budget)?.unwrap_or(false),
        Operator::AnyOf => any_in(elements(left), right, budget)?.unwrap_or(false),
        Operator::NoneOf => any_in(elements(left), right, budget)?.is_some_and(|any| !any),
    })
}

fn elements(value: Option<&Value>) -> Option<&[Value]> {
    value.and_then(Value::as_array).map(Vec::as_slice)
}

/// Whether all `members` are elements of the array `set`; `None` without an array.
fn all_in(members: Option<&[Value]>, set: Option<&Value>, budget: &mut Budget) -> Result<Option<bool>, Miss> {
    let (Some(members), Some(set)) = (members, elements(set)) else {
        return Ok(None);
    };
    budget.spend(cost(members, set))?;
    let found = |member: &Value| set.iter().any(|element| loosely_equal(element, member));
    Ok(Some(members.iter().all(found)))
}

fn any_in(members: Option<&[Value]>, set: Option<&Value>, budget: &mut Budget) -> Result<Option<bool>, Miss> {
    let (Some(members), Some(set)) = (members, elements(set)) else {
        return Ok(None);
    };
    budget.spend(cost(members, set))?;
    let found = |member: &Value| set.iter().any(|element| loosely_equal(element, member));
    Ok(Some(members.iter().any(found)))
}

/// What looking for all `members` in a set costs. A comparison never takes longer
/// than the member is large, and comparing scalars is cheap.
fn cost(members: &[Value], set: &[Value]) -> usize {
    let sizes: usize = members.iter().map(|member| 1 + weight(member, MAX_WEIGHT) / 16).sum();
    sizes.saturating_mul(set.len() / 8 + 1)
}

fn length(value: &Value) -> Option<usize> {
    match value {
        Value::String(text) => Some(text.chars().count()),
        Value::Array(elements) => Some(elements.len()),
        Value::Object(members) => Some(members.len()),
        _ => None,
    }
}

/// `==`: a text equals the number it spells.
fn loosely_equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(number), Value::String(text)) | (Value::String(text), Value::Number(number)) => {
            text.parse::<Number>().is_ok_and(|other| crate::value::same_number(number, &other))
        }
        _ => equal(left, right),
    }
}

fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare_numbers(left, right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
