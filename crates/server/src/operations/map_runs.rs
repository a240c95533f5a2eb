//! Map runs: their shapes and errors. The runs themselves come with the distributed Map, so none exists yet.

use stepwright_api::{
    ApiError, RequestContext,
    arn::{ExecutionArn, MapRunArn},
    types::{
        DescribeMapRunInput, DescribeMapRunOutput, ListMapRunsInput, ListMapRunsOutput, UpdateMapRunInput,
        UpdateMapRunOutput, ValidationExceptionReason,
    },
};

use super::{Call, scope};
use crate::errors::{resource_not_found, to_api, validation};

pub(super) async fn describe_map_run(
    _: &Call<'_>,
    _: &RequestContext,
    input: DescribeMapRunInput,
) -> Result<DescribeMapRunOutput, ApiError> {
    MapRunArn::parse(&input.map_run_arn)?;
    Err(resource_not_found(&input.map_run_arn))
}

pub(super) async fn list_map_runs(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListMapRunsInput,
) -> Result<ListMapRunsOutput, ApiError> {
    ExecutionArn::parse(&input.execution_arn)?;
    call.engine().describe_execution(&scope(context), &input.execution_arn).await.map_err(to_api)?;
    if input.next_token.is_some() {
        // No list had a second page.
        return Err(ApiError::invalid_token());
    }
    Ok(ListMapRunsOutput::new(Vec::new()))
}

pub(super) async fn update_map_run(
    _: &Call<'_>,
    _: &RequestContext,
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
    Err(resource_not_found(&input.map_run_arn))
}
