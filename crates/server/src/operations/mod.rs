//! The operations: from the API's types to the engine's and back, one file per family of resources.
//!
//! Every operation checks in AWS's order: ARN syntax and names, combinations, configurations,
//! definition; what exists and what conflicts is the engine's. Nothing here keeps state.

mod activities;
mod configuration;
mod executions;
mod express;
mod map_runs;
mod state_machines;
mod tags;
mod tasks;
mod test_state;
mod versions;

use std::sync::{Arc, Mutex, PoisonError};

use stepwright_api::{ApiError, Operations, RequestContext, types::*};
use stepwright_engine::{Delivery, Engine, PageRequest, Scope};

pub(crate) use self::versions::INITIAL;
pub(crate) use test_state::Tests;

use crate::{errors::validation, service::Service};

/// One request, while it is served.
pub(crate) struct Call<'a> {
    service: &'a Service,
    delivery: Mutex<Option<Delivery>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(service: &'a Service) -> Self {
        Self { service, delivery: Mutex::new(None) }
    }

    /// The task that the answer hands to a worker, if it does.
    pub(crate) fn into_delivery(self) -> Option<Delivery> {
        self.delivery.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, delivery: Delivery) {
        *self.delivery.lock().unwrap_or_else(PoisonError::into_inner) = Some(delivery);
    }

    fn engine(&self) -> Engine {
        self.service.engine()
    }
}

/// Whose resources the request sees.
fn scope(context: &RequestContext) -> Scope {
    Scope::new(context.account.as_str(), context.region.as_str())
}

fn page(max_results: Option<i32>, next_token: Option<String>) -> PageRequest {
    PageRequest { max_results: max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(0), next_token }
}

/// The error of operations that do not take the ARN of a distributed Map.
fn labelled() -> ApiError {
    validation("This operation does not support state machine ARNs with a Map Run label")
        .with_reason(ValidationExceptionReason::ApiDoesNotSupportLabeledArns)
}

fn shared(text: Option<String>) -> Option<Arc<str>> {
    text.map(Arc::from)
}

/// Passes each operation to its family's file.
macro_rules! operations {
    ($($family:ident: $($operation:ident($input:ident) -> $output:ident),+;)+) => {
        impl Operations for Call<'_> {
            $($(
                async fn $operation(&self, context: &RequestContext, input: $input) -> Result<$output, ApiError> {
                    self.service.throttle(context, stringify!($operation))?;
                    // Boxed: a request's future would else be as large as that of the largest operation, and it is moved.
                    Box::pin($family::$operation(self, context, input)).await
                }
            )+)+
        }
    };
}

operations! {
    state_machines:
        create_state_machine(CreateStateMachineInput) -> CreateStateMachineOutput,
        update_state_machine(UpdateStateMachineInput) -> UpdateStateMachineOutput,
        describe_state_machine(DescribeStateMachineInput) -> DescribeStateMachineOutput,
        describe_state_machine_for_execution(DescribeStateMachineForExecutionInput)
            -> DescribeStateMachineForExecutionOutput,
        list_state_machines(ListStateMachinesInput) -> ListStateMachinesOutput,
        delete_state_machine(DeleteStateMachineInput) -> DeleteStateMachineOutput,
        validate_state_machine_definition(ValidateStateMachineDefinitionInput)
            -> ValidateStateMachineDefinitionOutput;
    versions:
        publish_state_machine_version(PublishStateMachineVersionInput) -> PublishStateMachineVersionOutput,
        delete_state_machine_version(DeleteStateMachineVersionInput) -> DeleteStateMachineVersionOutput,
        list_state_machine_versions(ListStateMachineVersionsInput) -> ListStateMachineVersionsOutput,
        create_state_machine_alias(CreateStateMachineAliasInput) -> CreateStateMachineAliasOutput,
        update_state_machine_alias(UpdateStateMachineAliasInput) -> UpdateStateMachineAliasOutput,
        describe_state_machine_alias(DescribeStateMachineAliasInput) -> DescribeStateMachineAliasOutput,
        delete_state_machine_alias(DeleteStateMachineAliasInput) -> DeleteStateMachineAliasOutput,
        list_state_machine_aliases(ListStateMachineAliasesInput) -> ListStateMachineAliasesOutput;
    executions:
        start_execution(StartExecutionInput) -> StartExecutionOutput,
        describe_execution(DescribeExecutionInput) -> DescribeExecutionOutput,
        list_executions(ListExecutionsInput) -> ListExecutionsOutput,
        stop_execution(StopExecutionInput) -> StopExecutionOutput,
        redrive_execution(RedriveExecutionInput) -> RedriveExecutionOutput,
        get_execution_history(GetExecutionHistoryInput) -> GetExecutionHistoryOutput;
    map_runs:
        describe_map_run(DescribeMapRunInput) -> DescribeMapRunOutput,
        list_map_runs(ListMapRunsInput) -> ListMapRunsOutput,
        update_map_run(UpdateMapRunInput) -> UpdateMapRunOutput;
    express:
        start_sync_execution(StartSyncExecutionInput) -> StartSyncExecutionOutput;
    activities:
        create_activity(CreateActivityInput) -> CreateActivityOutput,
        describe_activity(DescribeActivityInput) -> DescribeActivityOutput,
        list_activities(ListActivitiesInput) -> ListActivitiesOutput,
        delete_activity(DeleteActivityInput) -> DeleteActivityOutput,
        get_activity_task(GetActivityTaskInput) -> GetActivityTaskOutput;
    tasks:
        send_task_success(SendTaskSuccessInput) -> SendTaskSuccessOutput,
        send_task_failure(SendTaskFailureInput) -> SendTaskFailureOutput,
        send_task_heartbeat(SendTaskHeartbeatInput) -> SendTaskHeartbeatOutput;
    tags:
        tag_resource(TagResourceInput) -> TagResourceOutput,
        untag_resource(UntagResourceInput) -> UntagResourceOutput,
        list_tags_for_resource(ListTagsForResourceInput) -> ListTagsForResourceOutput;
    test_state:
        test_state(TestStateInput) -> TestStateOutput;
}
