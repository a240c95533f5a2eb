//! Fail states. They have no Exited event: the flow fails with what they name.

use std::sync::Arc;

use serde_json::Value;
use stepwright_asl::{Fail, QueryLanguage, State, TextField};
use stepwright_querylang::{Scope, jsonata::JsonType};

use crate::{
    error_handling::{Class, Raised},
    history::Failure,
    id::FrameId,
    step::{Run, Turn},
};

impl Turn<'_> {
    pub(crate) fn begin_fail(&mut self, id: FrameId, state: &State, fail: &Fail) -> Result<Run, Raised> {
        if state.query_language == QueryLanguage::JsonPath {
            // A Fail state has no InputPath; its input is shown as that of the others (recorded).
            self.note(|noted| noted.after_input_path = Some(Arc::clone(self.visit(id).input.text())));
        }
        let error = self.fail_text(id, fail.error.as_ref(), "ErrorPath")?;
        let cause = self.fail_text(id, fail.cause.as_ref(), "CausePath")?;
        Err(Raised::reported(Class::Other, Failure { error, cause }))
    }

    fn fail_text(&self, id: FrameId, field: Option<&TextField>, name: &str) -> Result<Option<Arc<str>>, Raised> {
        let expression = match field {
            None => return Ok(None),
            Some(TextField::Literal(text)) => return Ok(Some(text.clone())),
            Some(TextField::Expression(expression)) => expression,
            Some(TextField::Jsonata(expression)) => {
                let environment = self.environment(id);
                let value = self.query(id, expression, JsonType::String, &environment)?;
                return Ok(value.as_str().map(Arc::from));
            }
        };
        let environment = self.environment(id);
        let scope = Scope { input: self.visit(id).input.value(), environment: &environment };
        let value = expression.evaluate_field(name, &scope).map_err(|error| self.evaluation_failed(id, &error))?;
        match value {
            Value::String(text) => Ok(Some(text.into())),
            other => {
                let text = expression.text();
                let message = format!("The {name} '{text}' must refer to a string, but was: {other}");
                Err(self.runtime_error(id, &message))
            }
        }
    }
}
