//! Succeed states.

use stepwright_asl::{QueryLanguage, State, Transition};

use crate::{
    data_flow,
    error_handling::Raised,
    id::FrameId,
    jsonata::Come,
    step::{Run, Turn},
};

impl Turn<'_> {
    pub(crate) fn begin_succeed(&mut self, id: FrameId, state: &State) -> Result<Run, Raised> {
        if state.query_language == QueryLanguage::Jsonata {
            return self.finish_jsonata(id, &state.jsonata, Come::Through, Transition::End);
        }
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let output = self
            .input(state, &raw, &environment)
            .and_then(|input| data_flow::output_path(&state.data, input, &environment));
        drop(environment);
        let output = output.map_err(|error| self.evaluation_failed(id, &error))?;
        self.exit(id, output, Vec::new(), Transition::End)
    }
}
