//! Pass states.

use stepwright_asl::{Pass, QueryLanguage, State};

use crate::{
    data_flow::Data,
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
        let effective = self.effective_input(state, &raw, &environment);
        drop(environment);
        let effective = effective.map_err(|error| self.evaluation_failed(id, &error))?;
        let result = match &pass.result {
            None => effective,
            Some(result) => {
                let result = Data::New(result.clone());
                // As recorded: nothing becomes of the input, so it is not shown.
                self.note(|noted| {
                    (noted.after_input_path, noted.after_parameters) = (None, None);
                    noted.result = Some(result.text());
                });
                result
            }
        };
        self.finish(id, state, result, pass.transition)
    }
}
