//! What each type of state does between its Entered and its Exited event. One file per type.

mod choice;
mod fail;
mod map;
mod map_fields;
mod map_run;
mod parallel;
mod pass;
mod succeed;
mod task;
mod wait;

use serde_json::Value;
use stepwright_asl::{QueryLanguage, State, Transition};
use stepwright_querylang::{EvaluationError, ReferencePath, Scope};

use crate::{
    context::Environment,
    data_flow::{self, Data},
    error_handling::Raised,
    id::FrameId,
    jsonata::Come,
    payload::Payload,
    step::{Run, Turn},
};

impl Turn<'_> {
    /// The end of a Task, Pass, Parallel or Map state: ResultSelector, Assign, ResultPath, OutputPath, Exited.
    pub(crate) fn finish(
        &mut self,
        id: FrameId,
        state: &State,
        result: Data,
        transition: Transition,
    ) -> Result<Run, Raised> {
        if state.query_language == QueryLanguage::Jsonata {
            return self.finish_jsonata(id, &state.jsonata, Come::Result(result), transition);
        }
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let shaped = (|| {
            let selected = data_flow::select_result(&state.data, result, &environment)?;
            self.note(|noted| noted.after_result_selector = Some(selected.text()));
            let assigned = data_flow::assign(state.data.assign.as_ref(), selected.value(), &environment)?;
            let merged = data_flow::place(&state.data.result_path, &raw, selected)?;
            self.note(|noted| noted.after_result_path = Some(merged.text()));
            Ok((data_flow::output_path(&state.data, merged, &environment)?, assigned))
        })();
        drop(environment);
        let (output, assigned) = shaped.map_err(|error| self.data_failed(id, error))?;
        self.exit(id, output, assigned, transition)
    }

    /// `InputPath` on the raw input of a state.
    fn input(&self, state: &State, raw: &Payload, environment: &Environment<'_>) -> Result<Data, EvaluationError> {
        let selected = data_flow::input(&state.data, raw, environment)?;
        self.note(|noted| noted.after_input_path = Some(selected.text()));
        Ok(selected)
    }

    /// `InputPath`, then `Parameters`: the effective input.
    fn effective_input(
        &self,
        state: &State,
        raw: &Payload,
        environment: &Environment<'_>,
    ) -> Result<Data, EvaluationError> {
        let selected = self.input(state, raw, environment)?;
        let effective = data_flow::parameters(&state.data, selected, environment)?;
        self.note(|noted| noted.after_parameters = Some(effective.text()));
        Ok(effective)
    }
}

/// The value that a `…Path` field of a state refers to.
pub(crate) fn refer(
    path: &ReferencePath,
    input: &Value,
    environment: &Environment<'_>,
) -> Result<Value, EvaluationError> {
    path.evaluate(&Scope { input, environment }).map(std::borrow::Cow::into_owned)
}
