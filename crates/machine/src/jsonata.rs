//! The JSONata data flow of a state: `Arguments`, `Output`, `Assign`, and the values of single fields.
//!
//! What an expression may read is the state's input, its result or error output, the context object and the variables
//! from before the state. Time and chance are the input's that made the turn: the same inputs give the same values.

use std::sync::Arc;

use serde_json::Value;
use stepwright_asl::{JsonataFields, Transition};
use stepwright_querylang::jsonata::{EvaluationFailure, JsonType, StatesExpression, StatesScope, StatesTemplate};

use crate::{
    context::Environment,
    data_flow::Data,
    error_handling::{Class, Raised, query_failure},
    id::FrameId,
    payload::Payload,
    step::{Run, Turn},
};

/// What a state has come to when its `Assign` and `Output` are evaluated.
#[derive(Clone, Debug)]
pub(crate) enum Come {
    /// It has no result of its own.
    Through,
    /// To a result.
    Result(Data),
    /// To an error, which a catcher takes.
    Error(Value),
}

/// What the expressions of a state may read before it has come to anything.
pub(crate) fn scope<'s>(environment: &'s Environment<'_>, input: &'s Value) -> StatesScope<'s> {
    StatesScope {
        input,
        result: None,
        error_output: None,
        environment,
        now_millis: environment.now(),
        limits: environment.evaluation_limits(),
        spent: Some(environment.spent()),
    }
}

impl Turn<'_> {
    /// `Arguments`, or the raw input.
    pub(crate) fn arguments(
        &self,
        id: FrameId,
        fields: &JsonataFields,
        raw: &Payload,
        environment: &Environment<'_>,
    ) -> Result<Data, Raised> {
        let Some(template) = &fields.arguments else { return Ok(Data::Same(raw.clone())) };
        let value = template.evaluate(&scope(environment, raw.value()));
        let arguments = value.map(Data::New).map_err(|failure| self.query_failed(id, failure))?;
        self.note(|noted| noted.after_arguments = Some(arguments.text()));
        Ok(arguments)
    }

    /// Leaves a state: `Assign` and `Output`, neither of which sees what the other makes.
    pub(crate) fn finish_jsonata(
        &mut self,
        id: FrameId,
        fields: &JsonataFields,
        come: Come,
        transition: Transition,
    ) -> Result<Run, Raised> {
        let raw = self.visit(id).input.clone();
        let environment = self.environment(id);
        let mut scope = scope(&environment, raw.value());
        match &come {
            Come::Through => {}
            Come::Result(result) => scope.result = Some(result.value()),
            Come::Error(error) => scope.error_output = Some(error),
        }
        let assigned = fields.assign.as_ref().map_or_else(|| Ok(Vec::new()), |template| assign(template, &scope));
        let output = fields.output.as_ref().map(|template| template.evaluate(&scope)).transpose();
        drop(environment);
        let assigned = assigned.map_err(|failure| self.query_failed(id, failure))?;
        let output = match output.map_err(|failure| self.query_failed(id, failure))? {
            Some(output) => Data::New(output),
            None => match come {
                Come::Through => Data::Same(raw),
                Come::Result(result) => result,
                Come::Error(error) => Data::New(error),
            },
        };
        self.exit(id, output, assigned, transition)
    }

    /// The value of a field that is one expression, of the type that the field takes.
    pub(crate) fn query(
        &self,
        id: FrameId,
        expression: &StatesExpression,
        expected: JsonType,
        environment: &Environment<'_>,
    ) -> Result<Value, Raised> {
        let input = self.visit(id).input.value();
        let value = expression.evaluate_to(expected, &scope(environment, input));
        value.map_err(|failure| self.query_failed(id, failure))
    }

    /// The whole number of a field that is one expression, from `least` to `most`.
    pub(crate) fn query_integer(
        &self,
        id: FrameId,
        expression: &StatesExpression,
        (least, most): (u64, u64),
        environment: &Environment<'_>,
    ) -> Result<u64, Raised> {
        let value = self.query(id, expression, JsonType::Number, environment)?;
        let number = value.as_u64().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| {
            let field = expression.location();
            let message = if most == u64::MAX && least == 0 && value.as_f64().is_some_and(|number| number < 0.0) {
                format!("{field} cannot be negative.")
            } else if most == u64::MAX {
                format!("The {field} field must be an integer, but was: {value}")
            } else {
                format!("The {field} field must be an integer from {least} to {most}, but was: {value}")
            };
            self.query_failed(id, expression.field_failure(message))
        })
    }

    /// A failure of an expression of the state that a frame is in.
    pub(crate) fn query_failed(&self, id: FrameId, failure: EvaluationFailure) -> Raised {
        self.query_error(id, &failure.message, Some(failure.location))
    }

    /// A `States.QueryEvaluationError`; `location` is the field, where the service names one.
    pub(crate) fn query_error(&self, id: FrameId, message: &str, location: Option<Arc<str>>) -> Raised {
        let cause = self.cause_prefix(id) + message;
        Raised::reported(Class::Other, query_failure(cause)).of_evaluation(location)
    }
}

/// The variables that an `Assign` yields.
fn assign(template: &StatesTemplate, scope: &StatesScope<'_>) -> Result<Vec<(Arc<str>, Payload)>, EvaluationFailure> {
    match template.evaluate(scope)? {
        Value::Object(members) => {
            Ok(members.into_iter().map(|(name, value)| (name.into(), Payload::from_value(value))).collect())
        }
        other => panic!("an Assign is validated to be an object, not {other}"),
    }
}
