//! Answers to tasks by their tokens.

use stepwright_api::{
    ApiError, ErrorCode, RequestContext,
    types::{
        SendTaskFailureInput, SendTaskFailureOutput, SendTaskHeartbeatInput, SendTaskHeartbeatOutput,
        SendTaskSuccessInput, SendTaskSuccessOutput,
    },
};

use super::{Call, scope, shared};
use crate::{
    errors::to_api,
    json_text::{self, MAX_BYTES},
};

pub(super) async fn send_task_success(
    call: &Call<'_>,
    context: &RequestContext,
    input: SendTaskSuccessInput,
) -> Result<SendTaskSuccessOutput, ApiError> {
    if input.output.len() > MAX_BYTES {
        return Err(json_text::too_long("output"));
    }
    // A bad token is told of before a bad output (recorded).
    call.engine().check_token(&scope(context), &input.task_token).map_err(to_api)?;
    json_text::check(&input.output)
        .map_err(|error| ApiError::new(ErrorCode::InvalidOutput, format!("Invalid Output: '{error}'")))?;
    call.engine().send_task_success(&scope(context), &input.task_token, input.output.into()).await.map_err(to_api)?;
    Ok(SendTaskSuccessOutput::default())
}

pub(super) async fn send_task_failure(
    call: &Call<'_>,
    context: &RequestContext,
    input: SendTaskFailureInput,
) -> Result<SendTaskFailureOutput, ApiError> {
    call.engine()
        .send_task_failure(&scope(context), &input.task_token, shared(input.error), shared(input.cause))
        .await
        .map_err(to_api)?;
    Ok(SendTaskFailureOutput::default())
}

pub(super) async fn send_task_heartbeat(
    call: &Call<'_>,
    context: &RequestContext,
    input: SendTaskHeartbeatInput,
) -> Result<SendTaskHeartbeatOutput, ApiError> {
    call.engine().send_task_heartbeat(&scope(context), &input.task_token).await.map_err(to_api)?;
    Ok(SendTaskHeartbeatOutput::default())
}
