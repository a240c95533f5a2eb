//! What a test came to, in the words of the API.

use serde_json::{Map, Value};
use stepwright_api::types::{
    InspectionData, InspectionErrorDetails, InspectionLevel, TestExecutionStatus, TestStateOutput,
};
use stepwright_asl::StateId;
use stepwright_machine::{
    Failure,
    inspect::{Noted, Verdict},
};

use super::setup::Test;
use crate::json_text::MAX_BYTES;

impl Test {
    /// The answer, with what the request asked to see.
    pub(super) fn answer(&self, verdict: Verdict) -> TestStateOutput {
        let mut answer = TestStateOutput::default();
        let mut failed = |failure: Failure| {
            answer.error = failure.error.as_deref().map(str::to_owned);
            answer.cause = failure.cause.as_deref().map(str::to_owned);
        };
        let (status, output, next) = match verdict {
            Verdict::Succeeded { output, next } => (TestExecutionStatus::Succeeded, Some(output), next),
            Verdict::Caught { failure, output, next } => {
                failed(failure);
                (TestExecutionStatus::CaughtError, Some(output), Some(next))
            }
            Verdict::Retriable(failure) => {
                failed(failure);
                (TestExecutionStatus::Retriable, None, None)
            }
            Verdict::Failed(failure) => {
                failed(failure);
                (TestExecutionStatus::Failed, None, None)
            }
        };
        answer.status = Some(status);
        answer.output = output.map(|output| output.text().to_string());
        answer.next_state = next.map(|next| self.name_of(next));
        if self.level != InspectionLevel::Info {
            answer.inspection_data = Some(inspected(&self.input, &self.inspection.noted()));
        }
        answer
    }

    fn name_of(&self, state: StateId) -> String {
        let place = state.0 as usize;
        let states = &self.inspection.definition().states;
        states
            .get(place)
            .map_or_else(|| self.elsewhere[place - states.len()].to_string(), |state| state.name.to_string())
    }
}

fn inspected(input: &str, noted: &Noted) -> InspectionData {
    // The members have a limit; what is longer is left out.
    fn shown<T: AsRef<str>>(text: Option<&T>) -> Option<String> {
        text.map(|text| text.as_ref().to_owned()).filter(|text| text.len() <= MAX_BYTES)
    }
    let index = |place: usize| i32::try_from(place).unwrap_or(i32::MAX);
    let count = |number: u64| i32::try_from(number).unwrap_or(i32::MAX);
    let error_details = InspectionErrorDetails {
        catch_index: noted.catcher.map(index),
        retry_index: noted.retrier.map(index),
        // Whole seconds, as the API has them.
        retry_backoff_interval_seconds: noted.backoff_seconds.map(|seconds| seconds as i32),
    };
    let variables: Map<String, Value> =
        noted.variables.iter().map(|(name, value)| (name.to_string(), value.value().clone())).collect();
    InspectionData {
        input: Some(input.to_owned()),
        after_arguments: shown(noted.after_arguments.as_ref()),
        after_input_path: shown(noted.after_input_path.as_ref()),
        after_parameters: shown(noted.after_parameters.as_ref()),
        result: shown(noted.result.as_ref()),
        after_result_selector: shown(noted.after_result_selector.as_ref()),
        after_result_path: shown(noted.after_result_path.as_ref()),
        request: None,
        response: None,
        variables: shown((!variables.is_empty()).then(|| Value::Object(variables).to_string()).as_ref()),
        error_details: (error_details != InspectionErrorDetails::default()).then_some(error_details),
        after_items_path: shown(noted.map.after_items_path.as_ref()),
        after_item_selector: shown(noted.map.after_item_selector.as_ref()),
        after_item_batcher: shown(noted.map.after_item_batcher.as_ref()),
        after_items_pointer: shown(noted.map.after_items_pointer.as_ref()),
        tolerated_failure_count: noted.map.tolerated_failure_count.map(count),
        tolerated_failure_percentage: noted.map.tolerated_failure_percentage,
        max_concurrency: noted.map.max_concurrency.map(count),
    }
}

/// The answer of a test that took longer than tests may.
pub(super) fn timed_out(input: String, level: InspectionLevel) -> TestStateOutput {
    let inspection_data =
        (level != InspectionLevel::Info).then(|| InspectionData { input: Some(input), ..InspectionData::default() });
    TestStateOutput {
        status: Some(TestExecutionStatus::Failed),
        error: Some("States.Timeout".to_owned()),
        inspection_data,
        ..TestStateOutput::default()
    }
}
