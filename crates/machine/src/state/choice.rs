//! Choice states: the rules in order, the first that holds wins.

use std::{borrow::Cow, cmp::Ordering};

use serde_json::Value;
use stepwright_asl::{
    Choice, Condition, Domain, JsonataFields, Operand, QueryLanguage, Relation, State, StateId, Test, Transition,
    parse_instant,
};
use stepwright_querylang::{EvaluationError, Path, Scope, Template, jsonata::JsonType};

use crate::{
    data_flow::{self, Data},
    error_handling::Raised,
    id::FrameId,
    jsonata::Come,
    step::{Run, Turn},
};

/// No rule holds, and there is no default.
const NO_CHOICE: &str = "Failed to transition out of the state. The state does not point to a next state.";

/// A condition's path selects nothing.
struct Missing<'a>(&'a Path);

impl Turn<'_> {
    pub(crate) fn begin_choice(&mut self, id: FrameId, state: &State, choice: &Choice) -> Result<Run, Raised> {
        if state.query_language == QueryLanguage::Jsonata {
            let (next, fields) = self.choose_jsonata(id, state, choice)?;
            return self.finish_jsonata(id, fields, Come::Through, Transition::Next(next));
        }
        let (input, next, assign) = self.choose(id, state, choice)?;
        let environment = self.environment(id);
        let shaped: Result<_, EvaluationError> = (|| {
            let assigned = data_flow::assign(assign, input.value(), &environment)?;
            Ok((data_flow::output_path(&state.data, input, &environment)?, assigned))
        })();
        drop(environment);
        let (output, assigned) = shaped.map_err(|error| self.evaluation_failed(id, &error))?;
        self.exit(id, output, assigned, Transition::Next(next))
    }

    fn choose<'c>(
        &self,
        id: FrameId,
        state: &'c State,
        choice: &'c Choice,
    ) -> Result<(Data, StateId, Option<&'c Template>), Raised> {
        let environment = self.environment(id);
        let input = self
            .input(state, &self.visit(id).input, &environment)
            .map_err(|error| self.evaluation_failed(id, &error))?;
        let scope = Scope { input: input.value(), environment: &environment };
        for rule in &choice.rules {
            let holds = holds(&rule.condition, &scope).map_err(|Missing(path)| {
                let message = format!(
                    "Invalid path '{}': The choice state's condition path references an invalid value.",
                    path.text()
                );
                self.runtime_error(id, &message)
            })?;
            if holds {
                return Ok((input, rule.next, rule.assign.as_ref()));
            }
        }
        match choice.default {
            Some(next) => Ok((input, next, state.data.assign.as_ref())),
            None => Err(self.runtime_error(id, NO_CHOICE)),
        }
    }

    /// Where a JSONata state leads, and the fields that shape its output: the rule's own, or the state's for the
    /// default.
    fn choose_jsonata<'c>(
        &self,
        id: FrameId,
        state: &'c State,
        choice: &'c Choice,
    ) -> Result<(StateId, &'c JsonataFields), Raised> {
        let environment = self.environment(id);
        for rule in &choice.rules {
            let holds = match &rule.condition {
                Condition::Literal(holds) => *holds,
                Condition::Jsonata(expression) => {
                    let value = self.query(id, expression, JsonType::Boolean, &environment)?;
                    value.as_bool().expect("a boolean was asked for")
                }
                Condition::And(_) | Condition::Or(_) | Condition::Not(_) | Condition::Test { .. } => {
                    unreachable!("a JSONata state has none of these")
                }
            };
            if holds {
                return Ok((rule.next, &rule.jsonata));
            }
        }
        let next = choice.default.ok_or_else(|| self.runtime_error(id, NO_CHOICE))?;
        Ok((next, &state.jsonata))
    }
}

fn holds<'c>(condition: &'c Condition, scope: &Scope<'_>) -> Result<bool, Missing<'c>> {
    match condition {
        Condition::And(conditions) => {
            for condition in conditions {
                if !holds(condition, scope)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Condition::Or(conditions) => {
            for condition in conditions {
                if holds(condition, scope)? {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Condition::Not(condition) => Ok(!holds(condition, scope)?),
        Condition::Test { variable, test } => passes(variable, test, scope),
        Condition::Literal(_) | Condition::Jsonata(_) => unreachable!("a JSONPath state has none of these"),
    }
}

fn passes<'c>(variable: &'c Path, test: &'c Test, scope: &Scope<'_>) -> Result<bool, Missing<'c>> {
    let found = variable.select(scope);
    if let Test::IsPresent(expected) = test {
        return Ok(found.is_some() == *expected);
    }
    let value = found.ok_or(Missing(variable))?;
    let value: &Value = &value;
    Ok(match test {
        Test::IsPresent(_) => unreachable!("handled above"),
        Test::IsNull(expected) => value.is_null() == *expected,
        Test::IsString(expected) => value.is_string() == *expected,
        Test::IsNumeric(expected) => value.is_number() == *expected,
        Test::IsBoolean(expected) => value.is_boolean() == *expected,
        Test::IsTimestamp(expected) => value.as_str().and_then(parse_instant).is_some() == *expected,
        Test::StringMatches(pattern) => value.as_str().is_some_and(|text| matches_pattern(pattern, text)),
        Test::Compare { domain, relation, operand } => {
            let operand = match operand {
                Operand::Literal(literal) => Cow::Borrowed(literal),
                Operand::Path(path) => path.select(scope).ok_or(Missing(path))?,
            };
            compare(*domain, value, &operand).is_some_and(|ordering| fits(*relation, ordering))
        }
    })
}

/// How two values compare; none if they are not both of the domain.
fn compare(domain: Domain, left: &Value, right: &Value) -> Option<Ordering> {
    match domain {
        Domain::String => Some(left.as_str()?.encode_utf16().cmp(right.as_str()?.encode_utf16())),
        Domain::Boolean => Some(left.as_bool()?.cmp(&right.as_bool()?)),
        Domain::Timestamp => Some(parse_instant(left.as_str()?)?.cmp(&parse_instant(right.as_str()?)?)),
        Domain::Numeric => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
        },
    }
}

fn fits(relation: Relation, ordering: Ordering) -> bool {
    match relation {
        Relation::Equals => ordering.is_eq(),
        Relation::LessThan => ordering.is_lt(),
        Relation::GreaterThan => ordering.is_gt(),
        Relation::LessThanEquals => ordering.is_le(),
        Relation::GreaterThanEquals => ordering.is_ge(),
    }
}

/// `StringMatches`: `*` stands for any run, `\*` and `\\` for themselves. Time is bounded by pattern × text.
fn matches_pattern(pattern: &str, text: &str) -> bool {
    enum Piece {
        Any,
        One(char),
    }
    let mut pieces = Vec::new();
    let mut characters = pattern.chars().peekable();
    while let Some(character) = characters.next() {
        pieces.push(match character {
            '*' => Piece::Any,
            '\\' if matches!(characters.peek(), Some('*' | '\\')) => {
                Piece::One(characters.next().expect("a character was peeked"))
            }
            other => Piece::One(other),
        });
    }
    let text: Vec<char> = text.chars().collect();
    let (mut piece, mut at) = (0, 0);
    // Where to go back to: the last `*` and how much of the text it has taken.
    let mut back: Option<(usize, usize)> = None;
    while at < text.len() {
        match pieces.get(piece) {
            Some(Piece::Any) => {
                back = Some((piece, at));
                piece += 1;
            }
            Some(Piece::One(character)) if *character == text[at] => {
                piece += 1;
                at += 1;
            }
            _ => match back {
                Some((star, taken)) => {
                    back = Some((star, taken + 1));
                    piece = star + 1;
                    at = taken + 1;
                }
                None => return false,
            },
        }
    }
    pieces[piece..].iter().all(|piece| matches!(piece, Piece::Any))
}
