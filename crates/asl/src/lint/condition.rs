//! Whether conditions of choice rules can hold together, whatever the input.
//!
//! A set of conditions becomes a list of cases, each a set of tests that must all come out as wanted. A case is possible
//! if for each path some value gives all its tests what they must give. The values tried are every constant that the
//! tests name, what lies just beside them, and one of every other kind, so for comparisons with constants the answer
//! is exact; where it cannot be (patterns, other paths), a case counts as possible. A test of a path that is not there
//! fails the execution: it neither holds nor does not.

use std::collections::BTreeMap;

use serde_json::Value;
use stepwright_querylang::Path;

use crate::definition::{Condition, Domain, Operand, Relation, Test};
use crate::timestamp::parse_instant;

/// Cases that are looked at; conditions that come to more are not judged.
const MAX_CASES: usize = 512;

/// Tests in one case; longer ones are not judged either. Each test is compared with each other of its path.
const MAX_TESTS: usize = 64;

/// One test and what it must give.
#[derive(Clone, Debug)]
pub(super) struct Literal<'d> {
    what: What<'d>,
    holds: bool,
}

#[derive(Clone, Debug)]
enum What<'d> {
    Test { path: &'d Path, test: &'d Test },
    Jsonata(&'d str),
    Constant(bool),
}

/// Cases: one of them, and in it every literal.
pub(super) type Cases<'d> = Vec<Vec<Literal<'d>>>;

/// The possible cases in which a condition comes to `holds`. None if there are too many to look at.
pub(super) fn cases(condition: &Condition, holds: bool) -> Option<Cases<'_>> {
    let one = |what| Some(vec![vec![Literal { what, holds }]]);
    let cases = match condition {
        Condition::Not(inner) => return cases(inner, !holds),
        Condition::And(all) if holds => join(all, holds),
        Condition::Or(any) if !holds => join(any, holds),
        Condition::And(conditions) | Condition::Or(conditions) => {
            let mut cases = Vec::new();
            for condition in conditions {
                cases.extend(self::cases(condition, holds)?);
                if cases.len() > MAX_CASES {
                    return None;
                }
            }
            Some(cases)
        }
        Condition::Test { variable, test } => one(What::Test { path: variable, test }),
        Condition::Literal(value) => one(What::Constant(*value)),
        Condition::Jsonata(expression) => match expression.text().trim() {
            "true" => one(What::Constant(true)),
            "false" => one(What::Constant(false)),
            text => one(What::Jsonata(text)),
        },
    };
    cases.map(possible)
}

fn join(conditions: &[Condition], holds: bool) -> Option<Cases<'_>> {
    let mut joined = vec![Vec::new()];
    for condition in conditions {
        joined = both(&joined, &cases(condition, holds)?)?;
    }
    Some(joined)
}

/// The possible cases in which two lists of cases hold together. None if there are too many to look at.
pub(super) fn both<'d>(left: &Cases<'d>, right: &Cases<'d>) -> Option<Cases<'d>> {
    if left.len() * right.len() > MAX_CASES {
        return None;
    }
    let joined = left.iter().flat_map(|left| right.iter().map(|right| [left.as_slice(), right.as_slice()].concat()));
    let joined: Cases<'d> = joined.collect();
    joined.iter().all(|case| case.len() <= MAX_TESTS).then(|| possible(joined))
}

fn possible(mut cases: Cases<'_>) -> Cases<'_> {
    cases.retain(|case| is_possible(case));
    cases
}

fn is_possible(case: &[Literal<'_>]) -> bool {
    let mut paths: BTreeMap<String, Vec<(&Path, &Test, bool)>> = BTreeMap::new();
    let mut expressions: BTreeMap<&str, bool> = BTreeMap::new();
    for literal in case {
        match &literal.what {
            What::Constant(value) if *value != literal.holds => return false,
            What::Constant(_) => {}
            What::Jsonata(text) => {
                if expressions.insert(text, literal.holds).is_some_and(|before| before != literal.holds) {
                    return false;
                }
            }
            What::Test { path, test } => paths.entry(plain(path.text())).or_default().push((path, test, literal.holds)),
        }
    }
    paths.iter().all(|(name, tests)| has_value(name, tests))
}

/// `$['a'].b` as `$.a.b`, so that both are the same path.
fn plain(text: &str) -> String {
    text.trim().replace("['", ".").replace("']", "")
}

/// Whether one value gives all tests of a path what they must give.
fn has_value(name: &str, tests: &[(&Path, &Test, bool)]) -> bool {
    for (index, (_, test, holds)) in tests.iter().enumerate() {
        let same = |(_, other, other_holds): &&(&Path, &Test, bool)| {
            other_holds != holds && format!("{other:?}") == format!("{test:?}")
        };
        if tests[..index].iter().any(|other| same(&other)) {
            return false;
        }
    }
    let definite = tests.iter().all(|(path, ..)| path.is_definite());
    let can_be = |value: &Try| if definite { fits(name, value) } else { value.is_match_list() };
    let times = definite && is_time(name);
    values(tests).into_iter().chain(times.then_some(Try::Time(0))).filter(can_be).any(|value| {
        tests.iter().all(|(path, test, holds)| match outcome(path, test, &value) {
            Outcome::Is(outcome) => outcome == *holds,
            Outcome::Either => true,
            Outcome::Fails => false,
        })
    })
}

/// A value to try.
#[derive(Clone, Debug)]
enum Try {
    Missing,
    Null,
    Bool(bool),
    Number(f64),
    /// A text that is no timestamp, or one that a test names.
    Text(String),
    /// Some other text, which is no timestamp.
    AnyText,
    /// Some text that is this instant, in nanoseconds since 1970; tried only where a test asks for times.
    Time(i128),
    /// An array or an object.
    Other,
}

impl Try {
    /// A path with several matches gives an array of them.
    fn is_match_list(&self) -> bool {
        matches!(self, Self::Missing | Self::Other)
    }
}

/// Whether it is a time of the context object.
fn is_time(name: &str) -> bool {
    matches!(name, "$$.Execution.StartTime" | "$$.State.EnteredTime" | "$$.Execution.RedriveTime")
}

/// Whether a part of the context object can have this value; every other path can have any.
fn fits(name: &str, value: &Try) -> bool {
    match name {
        "$$.Execution.Id"
        | "$$.Execution.Name"
        | "$$.Execution.RoleArn"
        | "$$.StateMachine.Id"
        | "$$.StateMachine.Name"
        | "$$.State.Name"
        | "$$.Task.Token" => {
            matches!(value, Try::Missing | Try::Text(_) | Try::AnyText | Try::Time(_))
        }
        name if is_time(name) => match value {
            Try::Missing | Try::Time(_) => true,
            Try::Text(text) => parse_instant(text).is_some(),
            _ => false,
        },
        "$$.State.RetryCount" | "$$.Execution.RedriveCount" | "$$.Map.Item.Index" => {
            matches!(value, Try::Missing | Try::Number(_))
        }
        _ => true,
    }
}

/// The values worth trying.
fn values(tests: &[(&Path, &Test, bool)]) -> Vec<Try> {
    let mut values = vec![Try::Missing, Try::Null, Try::Bool(true), Try::Bool(false), Try::Other];
    values.extend([Try::Number(0.0), Try::Text(String::new()), Try::Text("\u{ffff}".to_owned())]);
    for (_, test, _) in tests {
        match test {
            Test::Compare { operand: Operand::Literal(literal), domain, .. } => match (domain, literal) {
                (Domain::Numeric, Value::Number(number)) => {
                    let number = number.as_f64().unwrap_or(0.0);
                    values.extend([number.next_down(), number, number.next_up()].map(Try::Number));
                }
                (Domain::String, Value::String(text)) => {
                    values.extend([Try::Text(text.clone()), Try::Text(format!("{text}\0"))]);
                }
                (Domain::Timestamp, Value::String(text)) => {
                    let instant = parse_instant(text).unwrap_or_default();
                    values.extend([instant - 1, instant, instant + 1].map(Try::Time));
                    values.push(Try::Text(text.clone()));
                }
                _ => {}
            },
            Test::IsTimestamp(_) => values.push(Try::Time(0)),
            Test::Compare { operand: Operand::Path(_), .. } => values.extend([Try::AnyText, Try::Time(0)]),
            Test::StringMatches(pattern) => match literal_pattern(pattern) {
                Some(text) => values.extend([Try::Text(format!("{text}\0")), Try::Text(text)]),
                None => values.extend([Try::AnyText, Try::Time(0)]),
            },
            _ => {}
        }
    }
    values
}

enum Outcome {
    Is(bool),
    Either,
    /// The execution fails before there is an outcome.
    Fails,
}

fn outcome(path: &Path, test: &Test, value: &Try) -> Outcome {
    let is_text = matches!(value, Try::Text(_) | Try::AnyText | Try::Time(_));
    if let Test::IsPresent(wanted) = test {
        return Outcome::Is(matches!(value, Try::Missing) != *wanted);
    }
    if matches!(value, Try::Missing) {
        return Outcome::Fails;
    }
    match test {
        Test::IsPresent(_) => Outcome::Either,
        Test::IsNull(wanted) => Outcome::Is(matches!(value, Try::Null) == *wanted),
        Test::IsBoolean(wanted) => Outcome::Is(matches!(value, Try::Bool(_)) == *wanted),
        Test::IsNumeric(wanted) => Outcome::Is(matches!(value, Try::Number(_)) == *wanted),
        Test::IsString(wanted) => Outcome::Is(is_text == *wanted),
        // What IsTimestamp takes is narrower than what the comparisons take.
        Test::IsTimestamp(wanted) => match value {
            Try::Time(_) => Outcome::Either,
            Try::Text(text) if parse_instant(text).is_some() => Outcome::Either,
            _ => Outcome::Is(!*wanted),
        },
        Test::StringMatches(pattern) => match (value, literal_pattern(pattern)) {
            (Try::Text(text), Some(literal)) => Outcome::Is(*text == literal),
            (Try::AnyText, Some(_)) => Outcome::Is(false),
            _ if is_text => Outcome::Either,
            _ => Outcome::Is(false),
        },
        Test::Compare { domain, relation, operand: Operand::Path(other) } => {
            let fits = match domain {
                Domain::String => is_text,
                Domain::Numeric => matches!(value, Try::Number(_)),
                Domain::Boolean => matches!(value, Try::Bool(_)),
                Domain::Timestamp => match value {
                    Try::Time(_) => true,
                    Try::Text(text) => parse_instant(text).is_some(),
                    _ => false,
                },
            };
            match (fits, plain(other.text()) == plain(path.text())) {
                (false, _) => Outcome::Is(false),
                (true, true) => Outcome::Is(!matches!(relation, Relation::LessThan | Relation::GreaterThan)),
                (true, false) => Outcome::Either,
            }
        }
        Test::Compare { domain, relation, operand: Operand::Literal(literal) } => {
            compare(*domain, *relation, literal, value)
        }
    }
}

fn compare(domain: Domain, relation: Relation, literal: &Value, value: &Try) -> Outcome {
    let ordered = |ordering: Option<std::cmp::Ordering>| {
        Outcome::Is(ordering.is_some_and(|ordering| match relation {
            Relation::Equals => ordering.is_eq(),
            Relation::LessThan => ordering.is_lt(),
            Relation::GreaterThan => ordering.is_gt(),
            Relation::LessThanEquals => ordering.is_le(),
            Relation::GreaterThanEquals => ordering.is_ge(),
        }))
    };
    match (domain, value, literal) {
        (Domain::Numeric, Try::Number(left), _) => ordered(literal.as_f64().and_then(|right| left.partial_cmp(&right))),
        (Domain::Boolean, Try::Bool(left), _) => ordered(literal.as_bool().map(|right| left.cmp(&right))),
        (Domain::String, Try::Text(left), Value::String(right)) => {
            ordered(Some(left.encode_utf16().cmp(right.encode_utf16())))
        }
        // Some other text than those that are named.
        (Domain::String, Try::AnyText, _) if relation == Relation::Equals => Outcome::Is(false),
        (Domain::String, Try::AnyText, _) => Outcome::Either,
        (Domain::String, Try::Time(left), Value::String(right)) if relation == Relation::Equals => {
            match parse_instant(right) {
                Some(right) if right == *left => Outcome::Either,
                _ => Outcome::Is(false),
            }
        }
        (Domain::String, Try::Time(_), _) => Outcome::Either,
        (Domain::Timestamp, Try::Time(left), Value::String(right)) => {
            ordered(parse_instant(right).map(|right| left.cmp(&right)))
        }
        (Domain::Timestamp, Try::Text(left), Value::String(right)) => {
            ordered(parse_instant(left).zip(parse_instant(right)).map(|(left, right)| left.cmp(&right)))
        }
        _ => Outcome::Is(false),
    }
}

/// The text that a pattern without wildcards stands for.
fn literal_pattern(pattern: &str) -> Option<String> {
    let mut text = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => return None,
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    Some(text)
}
