//! `Step Functions Execution Status Change`: what AWS tells EventBridge when a Standard execution starts, ends or is
//! redriven (AWS: recorded, but for what is left out of long events, which is documented).

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use stepwright_engine::{Event, Told, ToldTurn};
use stepwright_machine::{EventKind, Failure, Payload};

pub(super) const DETAIL_TYPE: &str = "Step Functions Execution Status Change";

/// Input and output longer than this together are left out: first the input, then the output.
const MOST_BYTES: usize = 248 * 1_024;
/// A closed execution with so many events cannot be redriven.
const LAST_REDRIVABLE: u64 = 24_998;

/// One event.
#[derive(Clone, Debug)]
pub(super) struct StatusEvent {
    /// The same however often it is told.
    pub(super) id: String,
    pub(super) execution_arn: String,
    pub(super) account: String,
    pub(super) region: String,
    /// When it happened, in milliseconds since the epoch.
    pub(super) at: i64,
    pub(super) detail: Value,
}

impl StatusEvent {
    /// The whole event, as EventBridge hands it to its targets.
    pub(super) fn envelope(&self, source: &str) -> Value {
        let time = Timestamp::from_second(self.at.div_euclid(1_000)).unwrap_or(Timestamp::UNIX_EPOCH);
        json!({
            "version": "0",
            "id": self.id,
            "detail-type": DETAIL_TYPE,
            "source": source,
            "account": self.account,
            "time": time.to_string(),
            "region": self.region,
            "resources": [self.execution_arn],
            "detail": self.detail,
        })
    }
}

/// The events of a turn, in order: one that starts and ends an execution has two.
pub(super) fn of_turn(told: &Told) -> Vec<StatusEvent> {
    let Some(turn) = &told.turn else { return Vec::new() };
    turn.page.events.iter().filter_map(|event| of_event(told, turn, event)).collect()
}

fn of_event(told: &Told, turn: &ToldTurn, event: &Event) -> Option<StatusEvent> {
    let none = &Failure::default();
    let (status, output, failure): (&str, Option<&Payload>, &Failure) = match &event.kind {
        EventKind::ExecutionStarted { .. } | EventKind::ExecutionRedriven { .. } => ("RUNNING", None, none),
        EventKind::ExecutionSucceeded { output } => ("SUCCEEDED", Some(output), none),
        EventKind::ExecutionFailed(failure) => ("FAILED", None, failure),
        EventKind::ExecutionAborted(failure) => ("ABORTED", None, failure),
        // Error and cause are not told, as DescribeExecution does not tell them.
        EventKind::ExecutionTimedOut(_) => ("TIMED_OUT", None, none),
        _ => return None,
    };
    let running = status == "RUNNING";
    let reason = match status {
        "RUNNING" | "SUCCEEDED" => Some(format!("Execution is {status} and cannot be redriven")),
        _ if event.id > LAST_REDRIVABLE => Some("Execution history event limit exceeded".to_owned()),
        _ => None,
    };
    let input = turn.input.as_deref().unwrap_or("{}");
    let output = output.map(|output| &**output.text());
    let (input, output) = within_bounds(input, output);
    let detail = json!({
        "executionArn": &*turn.execution_arn,
        "stateMachineArn": &*turn.state_machine_arn,
        "name": &*turn.name,
        "status": status,
        "startDate": turn.started_at,
        "stopDate": (!running).then_some(event.at),
        "input": input,
        "output": output.flatten(),
        "stateMachineVersionArn": turn.page.version_arn.as_deref(),
        "stateMachineAliasArn": turn.page.alias_arn.as_deref(),
        "redriveCount": turn.redriven.map_or(0, |(count, _)| count),
        "redriveDate": turn.redriven.map(|(_, at)| at),
        "redriveStatus": if reason.is_some() { "NOT_REDRIVABLE" } else { "REDRIVABLE" },
        "redriveStatusReason": reason,
        "inputDetails": {"included": input.is_some()},
        "outputDetails": output.map(|output| json!({"included": output.is_some()})),
        "error": failure.error.as_deref(),
        "cause": failure.cause.as_deref(),
    });
    Some(StatusEvent {
        id: identity(&told.notice.execution(), event.id),
        execution_arn: turn.execution_arn.to_string(),
        account: turn.scope.account.to_string(),
        region: turn.scope.region.to_string(),
        at: event.at,
        detail,
    })
}

/// Input and output as far as they are told.
fn within_bounds<'a>(input: &'a str, output: Option<&'a str>) -> (Option<&'a str>, Option<Option<&'a str>>) {
    let size = |text: &str| Value::from(text).to_string().len();
    let output_size = output.map_or(0, size);
    let with_input = size(input) + output_size <= MOST_BYTES;
    (with_input.then_some(input), output.map(|text| (output_size <= MOST_BYTES).then_some(text)))
}

/// A UUID that is the same whenever the same event is told: receivers know by it what they had before.
fn identity(execution: &[u8; 16], event: u64) -> String {
    let hash = Sha256::new().chain_update(b"status event").chain_update(execution).chain_update(event.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    let half = hash.first_chunk::<16>().expect("it has 32 bytes");
    uuid::Builder::from_random_bytes(*half).into_uuid().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_left_out_and_says_so() {
        let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
        let (short, half, whole) = (long(10), long(130 << 10), long(250 << 10));
        let check = |input: &str, output: Option<&str>, expect: (bool, Option<bool>)| {
            let (told_input, told_output) = within_bounds(input, output);
            assert_eq!((told_input.is_some(), told_output.map(|output| output.is_some())), expect);
        };
        check(&short, None, (true, None));
        check(&short, Some(&short), (true, Some(true)));
        check(&half, None, (true, None));
        check(&half, Some(&half), (false, Some(true)));
        check(&whole, None, (false, None));
        check(&short, Some(&whole), (false, Some(false)));
    }

    #[test]
    fn an_event_has_one_identity() {
        let id = identity(&[7; 16], 3);
        assert_eq!(id, identity(&[7; 16], 3));
        assert_ne!(id, identity(&[7; 16], 4));
        assert_ne!(id, identity(&[8; 16], 3));
        assert_eq!(id.len(), 36);
    }
}
