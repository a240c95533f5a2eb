//! Activities and the long poll of their workers.

use stepwright_api::{
    ApiError, RequestContext, Timestamp,
    arn::ActivityArn,
    name::check_name,
    types::{
        ActivityListItem, CreateActivityInput, CreateActivityOutput, DeleteActivityInput, DeleteActivityOutput,
        DescribeActivityInput, DescribeActivityOutput, GetActivityTaskInput, GetActivityTaskOutput,
        ListActivitiesInput, ListActivitiesOutput,
    },
};
use stepwright_engine::NewActivity;

use super::{Call, configuration, page, scope, shared, tags};
use crate::errors::to_api;

pub(super) async fn create_activity(
    call: &Call<'_>,
    context: &RequestContext,
    input: CreateActivityInput,
) -> Result<CreateActivityOutput, ApiError> {
    check_name(&input.name)?;
    let arn = ActivityArn { scope: context.scope(), name: input.name.clone() }.to_string();
    let tags = tags::checked(&arn, input.tags.unwrap_or_default())?;
    let encryption = configuration::encryption(input.encryption_configuration)?;
    let new = NewActivity { arn: arn.into(), name: input.name.into(), encryption, tags };
    let created = call.engine().create_activity(&scope(context), new).await.map_err(to_api)?;
    Ok(CreateActivityOutput::new(created.arn.to_string(), Timestamp(created.created_at)))
}

pub(super) async fn describe_activity(
    call: &Call<'_>,
    context: &RequestContext,
    input: DescribeActivityInput,
) -> Result<DescribeActivityOutput, ApiError> {
    ActivityArn::parse(&input.activity_arn)?;
    let activity = call.engine().describe_activity(&scope(context), &input.activity_arn).await.map_err(to_api)?;
    Ok(DescribeActivityOutput {
        activity_arn: activity.arn.to_string(),
        name: activity.name.to_string(),
        creation_date: Timestamp(activity.created_at),
        encryption_configuration: configuration::read(&activity.encryption),
    })
}

pub(super) async fn list_activities(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListActivitiesInput,
) -> Result<ListActivitiesOutput, ApiError> {
    let page = call
        .engine()
        .list_activities(&scope(context), page(input.max_results, input.next_token))
        .await
        .map_err(to_api)?;
    let activities = page
        .items
        .into_iter()
        .map(|item| ActivityListItem {
            activity_arn: item.arn.to_string(),
            name: item.name.to_string(),
            creation_date: Timestamp(item.created_at),
        })
        .collect();
    Ok(ListActivitiesOutput { activities, next_token: page.next_token })
}

pub(super) async fn delete_activity(
    call: &Call<'_>,
    context: &RequestContext,
    input: DeleteActivityInput,
) -> Result<DeleteActivityOutput, ApiError> {
    ActivityArn::parse(&input.activity_arn)?;
    call.engine().delete_activity(&scope(context), &input.activity_arn).await.map_err(to_api)?;
    Ok(DeleteActivityOutput::default())
}

/// A worker whose connection closes drops this future, and a reply that cannot be written drops the delivery: either
/// way the task goes to the next worker.
pub(super) async fn get_activity_task(
    call: &Call<'_>,
    context: &RequestContext,
    input: GetActivityTaskInput,
) -> Result<GetActivityTaskOutput, ApiError> {
    ActivityArn::parse(&input.activity_arn)?;
    let (engine, scope) = (call.engine(), scope(context));
    let poll = engine.get_activity_task(&scope, &input.activity_arn, shared(input.worker_name));
    let delivery = tokio::select! {
        // A task that is there is handed over even while the server stops; only waiting ends.
        biased;
        delivery = poll => delivery.map_err(to_api)?,
        () = call.service.stopped() => None,
    };
    let Some(delivery) = delivery else { return Ok(GetActivityTaskOutput::default()) };
    let output = GetActivityTaskOutput {
        task_token: Some(delivery.token().to_string()),
        input: Some(delivery.input().to_string()),
    };
    call.deliver(delivery);
    Ok(output)
}
