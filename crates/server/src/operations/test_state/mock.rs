//! Mocks: what takes the place of a task's answer, of the results of branches and iterations, or of their error.

use serde_json::Value;
use stepwright_api::{
    ApiError,
    types::{MockInput, MockResponseValidationMode as Mode},
};
use stepwright_asl::{State, StateKind};
use stepwright_machine::{
    Failure, Millis, Payload,
    inspect::{Inspection, Standing},
};

use super::schema;
use crate::errors::validation;

/// A mock.
pub(super) struct Mock {
    told: Told,
    mode: Mode,
}

enum Told {
    Result(Payload),
    Error(Failure),
}

impl Mock {
    /// Takes it from the request.
    pub(super) fn read(input: MockInput) -> Result<Self, ApiError> {
        let mode = input.field_validation_mode.unwrap_or(Mode::Strict);
        let told = match (input.result, input.error_output) {
            (Some(text), _) => {
                if serde_json::from_str::<Value>(&text).is_err() {
                    return Err(validation("Mocked result must be valid JSON"));
                }
                Told::Result(Payload::new(text))
            }
            (None, error) => {
                let error = error.unwrap_or_default();
                Told::Error(Failure {
                    error: super::super::shared(error.error),
                    cause: super::super::shared(error.cause),
                })
            }
        };
        Ok(Self { told, mode })
    }

    /// Whether the state takes a mock, and this one.
    pub(super) fn check(&self, state: &State) -> Result<(), ApiError> {
        let refuse = |message: &str| Err(validation(message));
        let kind = match &state.kind {
            StateKind::Task(_) | StateKind::Map(_) | StateKind::Parallel(_) => None,
            StateKind::Pass(_) => Some("Pass"),
            StateKind::Choice(_) => Some("Choice"),
            StateKind::Wait(_) => Some("Wait"),
            StateKind::Succeed => Some("Succeed"),
            StateKind::Fail(_) => Some("Fail"),
        };
        if let Some(kind) = kind {
            return refuse(&format!("State type '{kind}' is not supported when a mock is specified"));
        }
        let Told::Result(result) = &self.told else { return Ok(()) };
        let array = result.value().as_array();
        match &state.kind {
            StateKind::Map(map) if map.run.exports() && !result.value().is_object() => {
                refuse("Mocked result must be a JSON object.")
            }
            StateKind::Map(map) if !map.run.exports() && array.is_none() => refuse("Mocked result must be an array."),
            StateKind::Parallel(parallel) => match array {
                None => refuse("Mocked result must be an array."),
                Some(results) if results.len() != parallel.branches.len() => {
                    refuse("Mocked result must contain the same number of items as number of Parallel branches.")
                }
                Some(_) => Ok(()),
            },
            StateKind::Task(task) if self.mode != Mode::None => {
                schema::check(&task.resource, result.value(), self.mode == Mode::Strict)
            }
            _ => Ok(()),
        }
    }

    /// Tells it to a test that waits for it. `failed` iterations of a Map state failed.
    pub(super) fn apply(self, test: &mut Inspection, failed: Option<i32>, now: Millis) -> Result<(), ApiError> {
        if matches!(test.standing(), Standing::Ended(_)) {
            return Ok(());
        }
        let failed = failed.and_then(|failed| u64::try_from(failed).ok()).unwrap_or(0);
        let map = test.noted().map;
        if matches!(test.state().kind, StateKind::Map(_)) {
            if map.iterations.is_some_and(|all| failed > all as u64) {
                let message = "Map iteration failure count must be less than or equal to the number of Map iterations";
                return Err(validation(message));
            }
            if map.exceeds(failed) {
                let error = "States.ExceedToleratedFailureThreshold";
                let cause = "The specified tolerated failure threshold was exceeded";
                test.fail(Failure { error: Some(error.into()), cause: Some(cause.into()) }, now);
                return Ok(());
            }
        }
        match self.told {
            Told::Result(result) => test.succeed(result, now),
            Told::Error(failure) => test.fail(failure, now),
        }
        Ok(())
    }
}
