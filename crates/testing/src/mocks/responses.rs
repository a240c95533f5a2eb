//! The answers that one state gets: by attempt, by its input, and by the Map item in which it runs.

use std::{ops::RangeInclusive, sync::Arc};

use serde_json::{Map, Value};
use stepwright_engine::ConnectorFailure;
use stepwright_machine::Millis;

use super::{MockError, Named, kind, object, pattern::Pattern};

/// What a task comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// It succeeds with this JSON text.
    Return(Arc<str>),
    /// It fails.
    Throw(ConnectorFailure),
    /// Nobody answers: only a time-out ends it.
    Never,
}

/// An answer, and how long it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What comes of it.
    pub outcome: Outcome,
    /// How long it takes, in milliseconds of the execution's clock.
    pub delay_ms: Millis,
}

/// The answers within Map items, by their indices.
type OfItems = Vec<(RangeInclusive<u32>, Arc<Responses>)>;

/// The answers of one state.
#[derive(Clone, Debug, Default)]
pub struct Responses {
    attempts: Vec<(RangeInclusive<u32>, Answer)>,
    matches: Vec<(Pattern, Answer)>,
    items: OfItems,
}

/// Members of an answer that say what comes of the task.
const OUTCOMES: [&str; 3] = ["Return", "Throw", "Never"];

impl Responses {
    /// The answer to an attempt, counted from 0, within these items of Maps, outermost first. None: there is none.
    #[must_use]
    pub fn choose(&self, attempt: u32, items: &[u32], input: &Value) -> Option<&Answer> {
        if let Some(item) = items.last()
            && let Some((_, of_item)) = self.items.iter().find(|(range, _)| range.contains(item))
        {
            return of_item.choose(attempt, &items[..items.len() - 1], input);
        }
        let matched = self.matches.iter().find(|(pattern, _)| pattern.matches(input)).map(|(_, answer)| answer);
        matched.or_else(|| {
            self.attempts.iter().find(|(attempts, _)| attempts.contains(&attempt)).map(|(_, answer)| answer)
        })
    }

    /// One of those named before, or one as it is.
    pub(super) fn named_or_read(value: &Value, path: &str, named: &Named) -> Result<Arc<Self>, MockError> {
        let Value::String(name) = value else { return Self::read(value, path, named).map(Arc::new) };
        named.get(name.as_str()).cloned().ok_or_else(|| {
            MockError::new(
                path,
                format!("names {name:?}, which is not in MockedResponses, or not before it is used there"),
            )
        })
    }

    /// Reads answers: an object of attempts, a list of answers by attempt, or one answer to every attempt.
    pub(super) fn read(value: &Value, path: &str, named: &Named) -> Result<Self, MockError> {
        let mut responses = Self::default();
        if let Value::Array(answers) = value {
            for (attempt, answer) in answers.iter().enumerate() {
                let attempt = u32::try_from(attempt).unwrap_or(u32::MAX);
                let answer = read_answer(answer, &format!("{path}[{attempt}]"))?;
                responses.attempts.push((attempt..=attempt, answer));
            }
        } else {
            let members = object(value, path)?;
            if OUTCOMES.iter().any(|outcome| members.contains_key(*outcome)) {
                responses.attempts.push((0..=u32::MAX, read_answer(value, path)?));
                return Ok(responses);
            }
            for (key, value) in members {
                let path = format!("{path}.{key}");
                match key.as_str() {
                    "Match" => responses.matches = read_matches(value, &path)?,
                    "Items" => responses.items = read_items(value, &path, named)?,
                    _ => responses.add_attempts(key, value, &path)?,
                }
            }
        }
        if responses.attempts.is_empty() && responses.matches.is_empty() && responses.items.is_empty() {
            return Err(MockError::new(path, "answers nothing: it must have an attempt such as \"0\""));
        }
        Ok(responses)
    }

    fn add_attempts(&mut self, key: &str, value: &Value, path: &str) -> Result<(), MockError> {
        let rule = "is no attempt: it must be a number such as \"0\", a range such as \"1-2\", Match or Items";
        let attempts = range(key).ok_or_else(|| MockError::new(path, rule))?;
        let overlap = |taken: &&(RangeInclusive<u32>, Answer)| {
            taken.0.start() <= attempts.end() && attempts.start() <= taken.0.end()
        };
        if let Some((taken, _)) = self.attempts.iter().find(overlap) {
            let twice = taken.start().max(attempts.start());
            return Err(MockError::new(path, format!("answers attempt {twice}, which another answers already")));
        }
        self.attempts.push((attempts, read_answer(value, path)?));
        Ok(())
    }
}

/// `0` or `1-2`.
fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first.trim())?, number(last.trim())?),
        None => (number(text)?, number(text)?),
    };
    (first <= last).then_some(first..=last)
}

fn read_matches(value: &Value, path: &str) -> Result<Vec<(Pattern, Answer)>, MockError> {
    let list = value
        .as_array()
        .ok_or_else(|| MockError::new(path, "must be a list of {\"Input\": …, \"Return\" or \"Throw\": …}"))?;
    let read = |(at, value): (usize, &Value)| {
        let path = format!("{path}[{at}]");
        let input = object(value, &path)?.get("Input");
        let input =
            input.ok_or_else(|| MockError::new(&path, "must have an Input that the state's input is held against"))?;
        Ok((Pattern::read(input, &format!("{path}.Input"))?, read_answer(value, &path)?))
    };
    list.iter().enumerate().map(read).collect()
}

fn read_items(value: &Value, path: &str, named: &Named) -> Result<OfItems, MockError> {
    let read = |(key, value): (&String, &Value)| {
        let path = format!("{path}.{key}");
        let items = range(key).ok_or_else(|| {
            MockError::new(&path, "is no item: it must be an index such as \"0\" or a range such as \"1-2\"")
        })?;
        Ok((items, Responses::named_or_read(value, &path, named)?))
    };
    object(value, path)?.iter().map(read).collect()
}

fn read_answer(value: &Value, path: &str) -> Result<Answer, MockError> {
    let members = object(value, path)?;
    let given: Vec<&str> = OUTCOMES.into_iter().filter(|outcome| members.contains_key(*outcome)).collect();
    let outcome = match given.as_slice() {
        ["Return"] => Outcome::Return(members["Return"].to_string().into()),
        ["Throw"] => {
            let path = format!("{path}.Throw");
            let thrown = object(&members["Throw"], &path)?;
            Outcome::Throw(ConnectorFailure {
                error: text(thrown, "Error", &path)?,
                cause: text(thrown, "Cause", &path)?,
            })
        }
        ["Never"] if members["Never"] == true => Outcome::Never,
        _ => return Err(MockError::new(path, "must have one of Return, Throw, and Never (true)")),
    };
    let delay_ms = match members.get("Delay") {
        None => 0,
        Some(delay) => {
            let seconds = delay.as_f64().filter(|seconds| (0.0..=3_153_600_000.0).contains(seconds));
            let seconds = seconds.ok_or_else(|| {
                MockError::new(format!("{path}.Delay"), "must be a number of seconds from 0 to a hundred years")
            })?;
            #[expect(clippy::cast_possible_truncation, reason = "bounded above")]
            let millis = (seconds * 1_000.0).round() as Millis;
            millis
        }
    };
    Ok(Answer { outcome, delay_ms })
}

fn text(members: &Map<String, Value>, name: &str, path: &str) -> Result<Option<Arc<str>>, MockError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str().into())),
        Some(other) => Err(MockError::new(format!("{path}.{name}"), format!("must be a string, not {}", kind(other)))),
    }
}
