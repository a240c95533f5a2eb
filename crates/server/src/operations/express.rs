//! StartSyncExecution: an Express execution, from its start to its end in one request.

use stepwright_api::{
    ApiError, RequestContext, Timestamp,
    types::{
        BillingDetails, CloudWatchEventsExecutionDataDetails, IncludedData, StartExecutionInput,
        StartSyncExecutionInput, StartSyncExecutionOutput, SyncExecutionStatus,
    },
};
use stepwright_machine::Status;

use super::{Call, executions::new_execution, scope};
use crate::errors::to_api;

/// Time is billed by so many milliseconds (AWS: recorded).
const BILLED_MS: i64 = 100;
/// Memory is billed by so many megabytes (AWS: recorded).
const BILLED_MB: usize = 64;

pub(super) async fn start_sync_execution(
    call: &Call<'_>,
    context: &RequestContext,
    input: StartSyncExecutionInput,
) -> Result<StartSyncExecutionOutput, ApiError> {
    let with_data = input.included_data != Some(IncludedData::MetadataOnly);
    let StartSyncExecutionInput { state_machine_arn, name, input, trace_header, .. } = input;
    let new = new_execution(call, context, StartExecutionInput { state_machine_arn, name, input, trace_header })?;
    let end = call.engine().start_sync_execution(&scope(context), new).await.map_err(to_api)?;
    let status = match end.status {
        Status::Succeeded => SyncExecutionStatus::Succeeded,
        Status::TimedOut => SyncExecutionStatus::TimedOut,
        // There is no word for one that was ended from outside: its machine was deleted.
        Status::Failed | Status::Aborted | Status::Running => SyncExecutionStatus::Failed,
    };
    let included = || with_data.then_some(CloudWatchEventsExecutionDataDetails { included: Some(true) });
    let mut output = StartSyncExecutionOutput::new(
        end.arn.to_string(),
        Timestamp(end.started_at),
        Timestamp(end.stopped_at),
        status,
    );
    output.state_machine_arn = Some(end.state_machine_arn.to_string());
    output.name = Some(end.name.to_string());
    output.input = with_data.then(|| end.input.to_string());
    output.input_details = included();
    output.output = end.output.filter(|_| with_data).map(|output| output.to_string());
    // Also of a failure, which has none (AWS: recorded).
    output.output_details = included();
    output.error = end.error.map(|error| error.to_string());
    output.cause = end.cause.map(|cause| cause.to_string());
    output.trace_header = end.trace_header.map(|header| header.to_string());
    output.billing_details = Some(billing(end.stopped_at - end.started_at, end.memory_bytes));
    Ok(output)
}

/// What AWS would bill: rounded up, and never nothing.
fn billing(milliseconds: i64, memory_bytes: usize) -> BillingDetails {
    let duration = milliseconds.max(1).unsigned_abs().div_ceil(BILLED_MS.unsigned_abs()) * BILLED_MS.unsigned_abs();
    let megabytes = memory_bytes.max(1).div_ceil(BILLED_MB << 20) * BILLED_MB;
    BillingDetails {
        billed_memory_used_in_mb: Some(i64::try_from(megabytes).unwrap_or(i64::MAX)),
        billed_duration_in_milliseconds: Some(i64::try_from(duration).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::billing;

    #[test]
    fn what_is_billed_is_rounded_up() {
        let billed = |milliseconds, bytes| {
            let details = billing(milliseconds, bytes);
            (details.billed_duration_in_milliseconds.unwrap_or(0), details.billed_memory_used_in_mb.unwrap_or(0))
        };
        assert_eq!(billed(0, 0), (100, 64));
        assert_eq!(billed(100, 64 << 20), (100, 64));
        assert_eq!(billed(101, (64 << 20) + 1), (200, 128));
        assert_eq!(billed(7_512, 200 << 20), (7_600, 256));
        assert_eq!(billed(-5, 1), (100, 64));
    }
}
