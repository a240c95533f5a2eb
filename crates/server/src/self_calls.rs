//! `aws-sdk:sfn:*` tasks: a state machine that calls Step Functions calls this very server, without a socket.
//!
//! Parameters and results have the names of the AWS SDK for Java (first letter upper-case, times as text), which is
//! how SDK integrations spell them; between the two spellings stands the service model.

use std::borrow::Cow;

use serde_json::{Map, Value};
use stepwright_api::{
    OPERATIONS, Operation, dispatch,
    reflect::{ShapeKind, shape},
};
use stepwright_asl::{Integration, Pattern, Resource};
use stepwright_engine::{BoxFuture, Connector, ConnectorFailure, TaskCall, TaskOutcome};

use crate::{
    attached::{Attached, context},
    operations::Call,
    service::Service,
};

/// `resourceType` of Step Functions as an SDK integration.
pub(crate) const SERVICE: &str = "aws-sdk:sfn";

/// What a state machine may call of this server: what the server serves.
const SERVED: &[Operation] = &[
    Operation::CreateActivity,
    Operation::CreateStateMachine,
    Operation::DeleteActivity,
    Operation::DeleteStateMachine,
    Operation::DescribeActivity,
    Operation::DescribeExecution,
    Operation::DescribeStateMachine,
    Operation::DescribeStateMachineForExecution,
    Operation::GetActivityTask,
    Operation::GetExecutionHistory,
    Operation::ListActivities,
    Operation::ListExecutions,
    Operation::ListStateMachines,
    Operation::ListTagsForResource,
    Operation::SendTaskFailure,
    Operation::SendTaskHeartbeat,
    Operation::SendTaskSuccess,
    Operation::StartExecution,
    Operation::StartSyncExecution,
    Operation::StopExecution,
    Operation::TagResource,
    Operation::TestState,
    Operation::UntagResource,
    Operation::UpdateStateMachine,
];

/// The operation of this server that an integration calls; none if it is another service's, or not served.
pub(crate) fn operation(integration: &Integration) -> Option<Operation> {
    if &*integration.resource_type != SERVICE || integration.pattern != Pattern::RequestResponse {
        return None;
    }
    Operation::parse(&with_first(&integration.action, char::to_ascii_uppercase))
        .filter(|operation| SERVED.contains(operation))
}

/// The connector.
pub(crate) struct SelfCalls {
    service: Attached,
}

impl SelfCalls {
    pub(crate) fn new(service: Attached) -> Self {
        Self { service }
    }
}

impl Connector for SelfCalls {
    fn name(&self) -> &'static str {
        "sfn"
    }

    fn accepts(&self, resource: &Resource) -> bool {
        matches!(resource, Resource::Integration(integration) if operation(integration).is_some())
    }

    /// The action: those that wait for an execution must not keep the others, of which they may be waiting for one.
    fn service<'a>(&'a self, resource: &'a Resource, _: &'a str) -> Cow<'a, str> {
        match resource {
            Resource::Integration(integration) => Cow::Borrowed(&integration.action),
            Resource::LambdaFunction { .. } | Resource::Activity { .. } => Cow::Borrowed(self.name()),
        }
    }

    fn lost_error(&self, _: &Resource) -> ConnectorFailure {
        ConnectorFailure::new(
            "Sfn.SdkClientException",
            "Unable to execute HTTP request: the server stopped before the call was answered",
        )
    }

    /// What waits for an execution or a task.
    fn within(&self, task: &TaskCall) -> bool {
        let Resource::Integration(integration) = &task.resource else { return false };
        matches!(operation(integration), Some(Operation::StartSyncExecution | Operation::GetActivityTask))
    }

    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let service = self.service.clone();
        Box::pin(async move {
            let (Some(service), Resource::Integration(integration)) = (service.get().await, &task.resource) else {
                let cause = "Unable to execute HTTP request: the server is not up";
                return TaskOutcome::Failed(ConnectorFailure::new("Sfn.SdkClientException", cause));
            };
            let Some(operation) = operation(integration) else {
                let cause = format!("{} is not served by this version of Stepwright", integration.arn);
                return TaskOutcome::Failed(ConnectorFailure::new("States.TaskFailed", cause));
            };
            answer(&service, operation, &task).await
        })
    }
}

async fn answer(service: &Service, operation: Operation, task: &TaskCall) -> TaskOutcome {
    let request_id = crate::ids::random_uuid();
    let shapes = OPERATIONS.iter().find(|info| info.operation == operation).expect("every operation has its shapes");
    let request = match serde_json::from_str(&task.input)
        .map_err(|error| error.to_string())
        .and_then(|given| to_wire(shapes.input, given))
    {
        Ok(request) => request,
        Err(problem) => {
            let cause = format!("The Parameters '{}' could not be used to start the Task: [{problem}]", task.input);
            return TaskOutcome::Failed(ConnectorFailure::new("States.Runtime", cause));
        }
    };
    let context = context(task, &request_id);
    let call = Call::new(service);
    let target = format!("AWSStepFunctions.{}", operation.name());
    let response = dispatch(&call, &context, &target, request.to_string().as_bytes()).await;
    if let Some(error) = response.error {
        let name = error.as_str();
        let body: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let suffix = if name.ends_with("Exception") { "" } else { "Exception" };
        let cause = format!(
            "{} (Service: Sfn, Status Code: {}, Request ID: {request_id}) (SDK Attempt Count: 1)",
            body["message"].as_str().unwrap_or_default(),
            response.status
        );
        return TaskOutcome::Failed(ConnectorFailure::new(format!("Sfn.{name}{suffix}"), cause));
    }
    match serde_json::from_slice(&response.body) {
        Ok(body) => {
            if let Some(delivery) = call.into_delivery() {
                delivery.delivered();
            }
            TaskOutcome::Succeeded(from_wire(shapes.output, body).to_string().into())
        }
        Err(error) => TaskOutcome::Failed(ConnectorFailure::new("Sfn.SdkClientException", error.to_string())),
    }
}

/// Parameters as a task spells them, as the API spells them.
fn to_wire(name: &str, value: Value) -> Result<Value, String> {
    match (shape(name).map(|shape| shape.kind), value) {
        (Some(ShapeKind::Structure { members, .. }), Value::Object(given)) => {
            let mut wire = Map::new();
            for (key, value) in given {
                let member = members
                    .iter()
                    .find(|member| with_first(member.name, char::to_ascii_uppercase) == key)
                    .ok_or_else(|| format!("The field '{key}' is not supported by Step Functions"))?;
                wire.insert(member.name.to_owned(), to_wire(member.shape, value)?);
            }
            Ok(Value::Object(wire))
        }
        (Some(ShapeKind::List { member, .. }), Value::Array(items)) => {
            items.into_iter().map(|item| to_wire(member, item)).collect::<Result<_, _>>().map(Value::Array)
        }
        // A text may be given as JSON: Input, Output, Definition.
        (Some(ShapeKind::String(_)), value @ (Value::Object(_) | Value::Array(_))) => {
            Ok(Value::String(value.to_string()))
        }
        (_, value) => Ok(value),
    }
}

/// An answer as the API spells it, as a task's result.
fn from_wire(name: &str, value: Value) -> Value {
    match (shape(name).map(|shape| shape.kind), value) {
        (Some(ShapeKind::Structure { members, .. }), Value::Object(wire)) => {
            let result = wire.into_iter().map(|(key, value)| {
                let inner = members.iter().find(|member| member.name == key).map_or("", |member| member.shape);
                (with_first(&key, char::to_ascii_uppercase), from_wire(inner, value))
            });
            Value::Object(result.collect())
        }
        (Some(ShapeKind::List { member, .. }), Value::Array(items)) => {
            Value::Array(items.into_iter().map(|item| from_wire(member, item)).collect())
        }
        (Some(ShapeKind::Map { value: inner, .. }), Value::Object(entries)) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key, from_wire(inner, value))).collect())
        }
        (Some(ShapeKind::Timestamp), value) => value
            .as_f64()
            .and_then(|seconds| jiff::Timestamp::from_millisecond((seconds * 1_000.0).round() as i64).ok())
            .map_or(value, |at| Value::String(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())),
        (_, value) => value,
    }
}

fn with_first(text: &str, change: impl Fn(&char) -> char) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| change(&first)).into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{from_wire, to_wire};

    #[test]
    fn parameters_and_results_change_their_spelling_and_nothing_else() {
        let wire = to_wire("StartExecutionInput", json!({"StateMachineArn": "a", "Input": {"Key": 1}}));
        assert_eq!(wire, Ok(json!({"stateMachineArn": "a", "input": "{\"Key\":1}"})));
        let wire = to_wire("TagResourceInput", json!({"ResourceArn": "a", "Tags": [{"Key": "k", "Value": "v"}]}));
        assert_eq!(wire, Ok(json!({"resourceArn": "a", "tags": [{"key": "k", "value": "v"}]})));
        let result = from_wire("StartExecutionOutput", json!({"executionArn": "e", "startDate": 1.5}));
        assert_eq!(result, json!({"ExecutionArn": "e", "StartDate": "1970-01-01T00:00:01.500Z"}));
    }

    #[test]
    fn what_the_operation_does_not_know_is_named() {
        let problem = to_wire("StartExecutionInput", json!({"stateMachineArn": "a"}));
        assert_eq!(problem, Err("The field 'stateMachineArn' is not supported by Step Functions".into()));
    }
}
