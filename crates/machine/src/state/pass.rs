//! Pass states.

use stepwright_asl::{Pass, QueryLanguage, State};

use crate::{
    data_flow::{self, Data},
    error_handling::Raised,
    id::FrameId,
    jsonata::Come,
    step::{Run, Turn},
};

impl Turn<'_> {
    pub(crate) fn begin_pass(&mut self, id: FrameId, state: &State, pass: &Pass) -> Result<Run, Raised> {
        if state.query_language == QueryLanguage::Jsonata {
            return self.finish_jsonata(id, &state.jsonata, Come::Through, pass.transition);
        }
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let effective = data_flow::effective_input(&state.data, &raw, &environment);
        drop(environment);
        let effective = effective.map_err(|error| self.evaluation_failed(id, &error))?;
        let result = pass.result.clone().map_or(effective, Data::New);
        self.finish(id, state, result, pass.transition)
    }
}
