//! Wait states.

use serde_json::Value;
use stepwright_asl::{QueryLanguage, State, Wait, WaitUntil, parse_timestamp};
use stepwright_querylang::jsonata::JsonType;

use crate::{
    data_flow,
    effects::TimerKind,
    error_handling::Raised,
    frame::Work,
    id::{FrameId, Millis},
    jsonata::Come,
    step::{Run, Turn, seconds_to_millis},
};

use super::refer;

/// The longest wait that an expression may ask for.
const MAX_SECONDS: u64 = 99_999_999;

impl Turn<'_> {
    pub(crate) fn begin_wait(&mut self, id: FrameId, state: &State, wait: &Wait) -> Result<Run, Raised> {
        let due = self.wait_until(id, state, wait)?;
        if due <= self.now() {
            return self.end_wait(id, state);
        }
        let timer = self.set_timer(id, due, TimerKind::Wait);
        self.visit_mut(id).work = Work::Waiting { timer };
        Ok(Ok(()))
    }

    pub(crate) fn end_wait(&mut self, id: FrameId, state: &State) -> Result<Run, Raised> {
        let stepwright_asl::StateKind::Wait(wait) = &state.kind else { unreachable!("only Wait states wait") };
        if state.query_language == QueryLanguage::Jsonata {
            return self.finish_jsonata(id, &state.jsonata, Come::Through, wait.transition);
        }
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let shaped = self.input(state, &raw, &environment).and_then(|input| {
            let assigned = data_flow::assign(state.data.assign.as_ref(), input.value(), &environment)?;
            Ok((data_flow::output_path(&state.data, input, &environment)?, assigned))
        });
        drop(environment);
        let (output, assigned) = shaped.map_err(|error| self.evaluation_failed(id, &error))?;
        self.exit(id, output, assigned, wait.transition)
    }

    fn wait_until(&self, id: FrameId, state: &State, wait: &Wait) -> Result<Millis, Raised> {
        let after = |seconds: u64| self.now().saturating_add(seconds_to_millis(seconds));
        let path = match &wait.until {
            WaitUntil::Seconds(seconds) => return Ok(after(*seconds)),
            WaitUntil::Timestamp(at) => return Ok(*at),
            WaitUntil::SecondsPath(path) | WaitUntil::TimestampPath(path) => path,
            WaitUntil::SecondsJsonata(expression) => {
                return self.query_integer(id, expression, (0, MAX_SECONDS), &self.environment(id)).map(after);
            }
            WaitUntil::TimestampJsonata(expression) => {
                let found = self.query(id, expression, JsonType::String, &self.environment(id))?;
                let text = found.as_str().unwrap_or_default();
                return parse_timestamp(text).ok_or_else(|| {
                    let message = format!(
                        "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: \
                         {text}"
                    );
                    self.query_failed(id, expression.field_failure(message))
                });
            }
        };
        let environment = self.environment(id);
        let input = self
            .input(state, &self.visit(id).input, &environment)
            .map_err(|error| self.evaluation_failed(id, &error))?;
        let found = refer(path, input.value(), &environment).ok();
        let text = path.text();
        let runtime = |message: String| self.runtime_error(id, &message);
        if let WaitUntil::SecondsPath(_) = &wait.until {
            let Some(found) = found else {
                return Err(runtime(format!("The SecondsPath parameter does not reference an input value: {text}")));
            };
            if let Some(seconds) = found.as_u64() {
                return Ok(after(seconds));
            }
            let shown = plain(&found);
            return Err(runtime(if found.as_i64().is_some_and(|seconds| seconds < 0) {
                format!("The SecondsPath parameter references a negative value: {text} == {shown}")
            } else {
                format!("The SecondsPath parameter cannot be parsed as a long value: {text} == {shown}")
            }));
        }
        let Some(found) = found else {
            return Err(runtime(format!("The TimestampPath parameter does not reference an input value: {text}")));
        };
        found.as_str().and_then(parse_timestamp).ok_or_else(|| {
            runtime(format!(
                "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format \
                 string: {text} == {}",
                plain(&found)
            ))
        })
    }
}

/// A value as messages show it: strings without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
