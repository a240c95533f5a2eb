//! Regular expressions called as functions: the object that a match is.

use crate::jsonata::context::Context;
use crate::jsonata::error::{Error, Limit};
use crate::jsonata::function::{Function, FunctionKind};
use crate::jsonata::regex::{Asked, EmptyMatch, Regex};
use crate::jsonata::value::{Object, Text, Value};
use std::ops::Range;
use std::sync::Arc;

impl Context<'_> {
    /// `/a/("text")`, with an offset to begin at.
    pub(super) fn call_regex(&mut self, regex: &Arc<Regex>, arguments: &[Value]) -> Result<Value, Error> {
        let text = match arguments.first() {
            Some(Value::String(text)) => Text::clone(text),
            Some(Value::Undefined) | None => "undefined".into(),
            Some(other) => crate::jsonata::functions::text(self, other)?,
        };
        let units = arguments.get(1).and_then(Value::as_number).unwrap_or(0.0);
        let mut passed = 0.0;
        let from = text
            .char_indices()
            .find(|(_, character)| {
                let here = passed >= units;
                #[expect(clippy::cast_precision_loss, reason = "1 or 2")]
                let width = character.len_utf16() as f64;
                passed += width;
                here
            })
            .map_or(text.len(), |(at, _)| at);
        if passed < units {
            return Ok(Value::Undefined);
        }
        self.next_match(regex, &text, from, true)
    }

    /// The match at or behind a place, as an object; undefined if there is none.
    pub(super) fn next_match(
        &mut self,
        regex: &Arc<Regex>,
        text: &Text,
        from: usize,
        first: bool,
    ) -> Result<Value, Error> {
        self.steps(text.len() as u64 / 16 + 1)?;
        if !regex.affords(text.len()) {
            return Err(Error::limit(Limit::Time));
        }
        if !first && from >= text.len() {
            return Ok(Value::Undefined);
        }
        self.searches(regex, (text, from), Asked::Where)?;
        let mut matches = regex.matches_from(text, from);
        let found = match matches.advance() {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(Value::Undefined),
            Err(EmptyMatch) => return Err(Error::new("D1004").with_text_value(regex.pattern())),
        };
        if !first && found.is_empty() {
            return Err(Error::new("D1004").with_text_value(regex.pattern()));
        }
        self.steps(regex.steps_of_groups(found.len()))?;
        let groups: Vec<Option<Range<usize>>> = matches.groups().collect();
        let mut captured = Vec::with_capacity(groups.len());
        for group in groups {
            captured.push(match group {
                Some(range) => self.string(&text[range])?,
                None => Value::Undefined,
            });
        }
        let start = units(&text[..found.start]);
        let end = start + units(&text[found.clone()]);
        let mut object = Object::with_capacity(5);
        object.push_new("match".into(), self.string(&text[found.clone()])?);
        object.push_new("start".into(), Value::Number(start));
        object.push_new("end".into(), Value::Number(end));
        object.push_new("groups".into(), self.array(captured)?);
        let next = FunctionKind::Next(Arc::clone(regex), Text::clone(text), found.end);
        object.push_new("next".into(), self.function(Function::new(next))?);
        self.object(object)
    }
}

/// The length in UTF-16 units.
fn units(text: &str) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no text is that long")]
    let units = text.chars().map(char::len_utf16).sum::<usize>() as f64;
    units
}
