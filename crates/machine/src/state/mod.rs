//! What each type of state does between its Entered and its Exited event. One file per type.

mod choice;
mod fail;
mod map;
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
    step::{Run, Turn},
};

impl Turn<'_> {
    /// The end of a Task, Pass, Parallel or Map state: ResultSelector, Assign, ResultPath, OutputPath, Exited.
    fn finish(&mut self, id: FrameId, state: &State, result: Data, transition: Transition) -> Result<Run, Raised> {
        if state.query_language == QueryLanguage::Jsonata {
            return self.finish_jsonata(id, &state.jsonata, Come::Result(result), transition);
        }
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let shaped = (|| {
            let selected = data_flow::select_result(&state.data, result, &environment)?;
            let assigned = data_flow::assign(state.data.assign.as_ref(), selected.value(), &environment)?;
            let output = data_flow::output(&state.data, &raw, selected, &environment)?;
            Ok((output, assigned))
        })();
        drop(environment);
        let (output, assigned) = shaped.map_err(|error| self.data_failed(id, error))?;
        self.exit(id, output, assigned, transition)
    }
}

/// The value that a `…Path` field of a state refers to.
fn refer(path: &ReferencePath, input: &Value, environment: &Environment<'_>) -> Result<Value, EvaluationError> {
    path.evaluate(&Scope { input, environment }).map(std::borrow::Cow::into_owned)
}
