//! Map runs: how far they are, and what may be changed while they run.

use stepwright_api::{
    ApiError, RequestContext, Timestamp,
    arn::{ExecutionArn, MapRunArn},
    types::{
        DescribeMapRunInput, DescribeMapRunOutput, ListMapRunsInput, ListMapRunsOutput, MapRunExecutionCounts,
        MapRunItemCounts, MapRunListItem, MapRunStatus, UpdateMapRunInput, UpdateMapRunOutput,
        ValidationExceptionReason,
    },
};
use stepwright_engine::{MapRunCounts, MapRunSettings};
use stepwright_machine::Status;

use super::{Call, page, scope};
use crate::errors::{to_api, validation};

pub(super) async fn describe_map_run(
    call: &Call<'_>,
    context: &RequestContext,
    input: DescribeMapRunInput,
) -> Result<DescribeMapRunOutput, ApiError> {
    MapRunArn::parse(&input.map_run_arn)?;
    let run = call.engine().describe_map_run(&scope(context), &input.map_run_arn).await.map_err(to_api)?;
    let items = run.item_counts;
    Ok(DescribeMapRunOutput {
        map_run_arn: run.arn.to_string(),
        execution_arn: run.execution_arn.to_string(),
        status: match run.status {
            Status::Running => MapRunStatus::Running,
            Status::Succeeded => MapRunStatus::Succeeded,
            Status::Failed | Status::TimedOut => MapRunStatus::Failed,
            Status::Aborted => MapRunStatus::Aborted,
        },
        start_date: Timestamp(run.started_at),
        stop_date: run.stopped_at.map(Timestamp),
        max_concurrency: i32::try_from(run.max_concurrency).unwrap_or(i32::MAX),
        tolerated_failure_percentage: run.tolerated_failure_percentage,
        tolerated_failure_count: count(run.tolerated_failure_count),
        item_counts: MapRunItemCounts {
            pending: count(items.pending),
            running: count(items.running),
            succeeded: count(items.succeeded),
            failed: count(items.failed),
            timed_out: count(items.timed_out),
            aborted: count(items.aborted),
            total: count(items.total),
            results_written: count(items.results_written),
            failures_not_redrivable: Some(count(items.failures_not_redrivable)),
            pending_redrive: Some(count(items.pending_redrive)),
        },
        execution_counts: executions(run.execution_counts),
        redrive_count: Some(i32::try_from(run.redrive_count).unwrap_or(i32::MAX)),
        redrive_date: run.redriven_at.map(Timestamp),
    })
}

fn executions(counts: MapRunCounts) -> MapRunExecutionCounts {
    MapRunExecutionCounts {
        pending: count(counts.pending),
        running: count(counts.running),
        succeeded: count(counts.succeeded),
        failed: count(counts.failed),
        timed_out: count(counts.timed_out),
        aborted: count(counts.aborted),
        total: count(counts.total),
        results_written: count(counts.results_written),
        failures_not_redrivable: Some(count(counts.failures_not_redrivable)),
        pending_redrive: Some(count(counts.pending_redrive)),
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) async fn list_map_runs(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListMapRunsInput,
) -> Result<ListMapRunsOutput, ApiError> {
    ExecutionArn::parse(&input.execution_arn)?;
    let page = call
        .engine()
        .list_map_runs(&scope(context), &input.execution_arn, page(input.max_results, input.next_token))
        .await
        .map_err(to_api)?;
    let runs = page.items.into_iter().map(|run| MapRunListItem {
        execution_arn: run.execution_arn.to_string(),
        map_run_arn: run.arn.to_string(),
        state_machine_arn: run.state_machine_arn.to_string(),
        start_date: Timestamp(run.started_at),
        stop_date: run.stopped_at.map(Timestamp),
    });
    Ok(ListMapRunsOutput { map_runs: runs.collect(), next_token: page.next_token })
}

pub(super) async fn update_map_run(
    call: &Call<'_>,
    context: &RequestContext,
    input: UpdateMapRunInput,
) -> Result<UpdateMapRunOutput, ApiError> {
    MapRunArn::parse(&input.map_run_arn)?;
    if input.max_concurrency.is_none()
        && input.tolerated_failure_percentage.is_none()
        && input.tolerated_failure_count.is_none()
    {
        let message = "Either the maximum concurrency, the tolerated failure percentage, or the tolerated failure count \
                       must be specified";
        return Err(validation(message).with_reason(ValidationExceptionReason::MissingRequiredParameter));
    }
    let settings = MapRunSettings {
        max_concurrency: input.max_concurrency.and_then(|most| u64::try_from(most).ok()),
        tolerated_failure_count: input.tolerated_failure_count.and_then(|most| u64::try_from(most).ok()),
        tolerated_failure_percentage: input.tolerated_failure_percentage,
    };
    call.engine().update_map_run(&scope(context), &input.map_run_arn, settings).await.map_err(to_api)?;
    Ok(UpdateMapRunOutput {})
}
