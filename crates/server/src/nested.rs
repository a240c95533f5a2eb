//! `states:startExecution`: an execution that starts another of this very server, without a socket, and with `.sync`
//! waits for its end.
//!
//! It happens once: the child's name follows from the task, or from the definition, so a start that a crash may have
//! lost is found when it is made again; and the end is read off the child, so it is not missed either.

use hyper::{
    HeaderMap, StatusCode,
    header::{HeaderName, HeaderValue},
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use stepwright_api::{arn::StateMachineArn, dispatch};
use stepwright_asl::{Integration, Pattern, Resource};
use stepwright_engine::{BoxFuture, Connector, ConnectorFailure, Error, Scope, TaskCall, TaskOutcome};
use stepwright_integrations::{client::Response, metadata};
use stepwright_machine::Status;

use crate::{
    attached::{Attached, context},
    ids::random_uuid,
    operations::Call,
    service::Service,
};

/// The connector.
pub(crate) struct Nested {
    service: Attached,
}

impl Nested {
    pub(crate) fn new(service: Attached) -> Self {
        Self { service }
    }
}

fn integration(resource: &Resource) -> Option<&Integration> {
    match resource {
        Resource::Integration(integration)
            if &*integration.resource_type == "states" && &*integration.action == "startExecution" =>
        {
            Some(integration)
        }
        _ => None,
    }
}

fn down() -> ConnectorFailure {
    ConnectorFailure::new("StepFunctions.SdkClientException", "Unable to execute HTTP request: the server is not up")
}

impl Connector for Nested {
    fn name(&self) -> &'static str {
        "states"
    }

    fn accepts(&self, resource: &Resource) -> bool {
        integration(resource).is_some()
    }

    fn lost_error(&self, _: &Resource) -> ConnectorFailure {
        down()
    }

    fn repeats(&self, _: &Resource) -> bool {
        true
    }

    fn within(&self, _: &TaskCall) -> bool {
        true
    }

    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let service = self.service.clone();
        Box::pin(async move {
            let Some(service) = service.get().await else { return TaskOutcome::Failed(down()) };
            let waits = integration(&task.resource).is_some_and(|of| of.pattern != Pattern::RequestResponse);
            match start(&service, &task).await {
                Err(failure) => TaskOutcome::Failed(failure),
                Ok(answer) if waits => TaskOutcome::Submitted(answer.to_string().into()),
                Ok(answer) => TaskOutcome::Succeeded(answer.to_string().into()),
            }
        })
    }

    fn follow(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let service = self.service.clone();
        Box::pin(async move {
            let Some(service) = service.get().await else { return TaskOutcome::Failed(down()) };
            match end(&service, &task).await {
                Ok(outcome) => outcome,
                Err(failure) => TaskOutcome::Failed(failure),
            }
        })
    }

    fn cancel(&self, task: TaskCall) -> BoxFuture<Result<(), ConnectorFailure>> {
        let service = self.service.clone();
        Box::pin(async move {
            // A request that is none started nothing.
            let Ok(child) = Child::of(&task) else { return Ok(()) };
            let service = service.get().await.ok_or_else(down)?;
            stop(&service, &task, &child).await.or_else(|error| match error {
                // It never began, or retention took it.
                Error::ExecutionDoesNotExist { .. } => Ok(()),
                error => Err(ConnectorFailure::new("StepFunctions.StopExecution", error.to_string())),
            })
        })
    }
}

/// The execution that a task starts. All of it follows from the task.
struct Child {
    arn: String,
    /// The request of StartExecution.
    request: Value,
    input: String,
    /// Whether the name was made up, for this task alone.
    own_name: bool,
}

impl Child {
    fn of(task: &TaskCall) -> Result<Self, ConnectorFailure> {
        let refused = |problem: &str| {
            let cause = format!("The Parameters '{}' could not be used to start the Task: [{problem}]", task.input);
            ConnectorFailure::new("States.Runtime", cause)
        };
        let given: Value = serde_json::from_str(&task.input).map_err(|error| refused(&error.to_string()))?;
        let text = |name: &str| given.get(name).and_then(Value::as_str);
        let machine = text("StateMachineArn")
            .ok_or_else(|| refused("The value of the field 'StateMachineArn' has an invalid format"))?;
        let own_name = text("Name").is_none();
        let name = text("Name").map_or_else(|| name_of(&task.token), str::to_owned);
        let input = match given.get("Input") {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let mut request = json!({"stateMachineArn": machine, "name": name, "input": input});
        if let Some(header) = text("TraceHeader") {
            request["traceHeader"] = header.into();
        }
        // A test case is the start's business. One that is no ARN is refused by the start.
        let machine = machine.split_once('#').map_or(machine, |(machine, _)| machine);
        let unqualified =
            StateMachineArn::parse(machine).map_or_else(|_| machine.to_owned(), |arn| arn.unqualified().to_string());
        let arn = format!("{}:{name}", unqualified.replacen(":stateMachine:", ":execution:", 1));
        Ok(Self { arn, request, input, own_name })
    }
}

/// A name that no other task's child has.
fn name_of(token: &str) -> String {
    let hash = Sha256::digest(token.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn scope(task: &TaskCall) -> Scope {
    Scope::new(task.account.clone(), task.region.clone())
}

/// Starts the child: the answer as an optimized integration shows it.
async fn start(service: &Service, task: &TaskCall) -> Result<Value, ConnectorFailure> {
    let child = Child::of(task)?;
    let request_id = random_uuid();
    let context = context(task, &request_id);
    let call = Call::new(service);
    let body = child.request.to_string();
    let answer = dispatch(&call, &context, "AWSStepFunctions.StartExecution", body.as_bytes()).await;
    let answered: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let (arn, started_at) = match &answer.error {
        None => {
            let arn = answered["executionArn"].as_str().unwrap_or(&child.arn).to_owned();
            (arn, millis(&answered["startDate"]))
        }
        Some(error) => {
            let name = error.as_str();
            let ours = match (name, task.resent) {
                ("ExecutionAlreadyExists", true) => earlier_start(service, task, &child).await,
                _ => None,
            };
            let Some(started_at) = ours else {
                let suffix = if name.ends_with("Exception") { "" } else { "Exception" };
                let message = answered["message"].as_str().unwrap_or_default();
                let cause = format!(
                    "{message} (Service: AWSStepFunctions; Status Code: {}; Error Code: {name}; Request ID: \
                     {request_id}; Proxy: null)",
                    answer.status
                );
                return Err(ConnectorFailure::new(format!("StepFunctions.{name}{suffix}"), cause));
            };
            (child.arn.clone(), started_at)
        }
    };
    let response = response(&arn, started_at, &request_id);
    Ok(json!({
        "ExecutionArn": arn,
        "SdkHttpMetadata": metadata::sdk_http_metadata(&response, &["connection"]),
        "SdkResponseMetadata": {"RequestId": request_id},
        "StartDate": started_at,
    }))
}

/// Stops the child, if it is the task's.
async fn stop(service: &Service, task: &TaskCall, child: &Child) -> Result<(), Error> {
    let (engine, scope) = (service.engine(), scope(task));
    if !child.own_name && *engine.describe_execution(&scope, &child.arn).await?.input != *child.input {
        // Another took its name.
        return Ok(());
    }
    engine.stop_execution(&scope, &child.arn, None, None).await.map(drop)
}

/// When the child was started, if it was by an earlier call of the same task: it has the task's own name, or the name
/// and the input that the definition gives it.
async fn earlier_start(service: &Service, task: &TaskCall, child: &Child) -> Option<i64> {
    let described = service.engine().describe_execution(&scope(task), &child.arn).await.ok()?;
    (child.own_name || *described.input == *child.input).then_some(described.started_at)
}

/// The answer as AWS would have sent it, for its metadata.
fn response(arn: &str, started_at: i64, request_id: &str) -> Response {
    #[expect(clippy::cast_precision_loss, reason = "times of this age of the world fit")]
    let seconds = started_at as f64 / 1_000.0;
    // As Java writes large numbers.
    let body = format!("{{\"executionArn\":\"{arn}\",\"startDate\":{seconds:E}}}");
    let date = jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let mut headers = HeaderMap::new();
    let fields = [
        ("x-amzn-requestid", request_id),
        ("connection", "keep-alive"),
        ("content-length", &body.len().to_string()),
        ("date", &date),
        ("content-type", "application/x-amz-json-1.0"),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    Response { status: StatusCode::OK, headers, body: body.into() }
}

fn millis(seconds: &Value) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a date")]
    let millis = (seconds.as_f64().unwrap_or_default() * 1_000.0).round() as i64;
    millis
}

/// Waits for the child's end.
async fn end(service: &Service, task: &TaskCall) -> Result<TaskOutcome, ConnectorFailure> {
    let child = Child::of(task)?;
    let (engine, scope) = (service.engine(), scope(task));
    loop {
        match engine.wait_for_change(&scope, &child.arn, u64::MAX - 1).await {
            Ok(progress) if progress.status == Status::Running => {}
            Ok(_) => break,
            Err(Error::ExecutionDoesNotExist { .. }) => {
                let cause = format!("The execution {} does not exist any more.", child.arn);
                return Err(ConnectorFailure::new("States.TaskFailed", cause));
            }
            // The engine stops: the next one follows it again.
            Err(_) => std::future::pending().await,
        }
    }
    let context = context(task, &random_uuid());
    let call = Call::new(service);
    let request = json!({"executionArn": child.arn}).to_string();
    let answer = dispatch(&call, &context, "AWSStepFunctions.DescribeExecution", request.as_bytes()).await;
    if answer.error.is_some() {
        std::future::pending::<()>().await;
    }
    let described: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let succeeded = described["status"] == "SUCCEEDED";
    let parsed = integration(&task.resource).is_some_and(|of| of.pattern == Pattern::Sync2);
    let shown = shown(&described, parsed && succeeded).to_string();
    Ok(if succeeded {
        TaskOutcome::Succeeded(shown.into())
    } else {
        TaskOutcome::Failed(ConnectorFailure::new("States.TaskFailed", shown))
    })
}

/// A description as a task's result: members with capitals, in alphabetical order, times in milliseconds (AWS:
/// recorded, but for the times). `parsed`: input and output are JSON, not text.
fn shown(described: &Value, parsed: bool) -> Value {
    let mut members: Vec<(String, Value)> = Vec::new();
    for (name, value) in described.as_object().into_iter().flatten() {
        let value = match (&**name, value) {
            ("startDate" | "stopDate" | "redriveDate", date) => millis(date).into(),
            ("inputDetails" | "outputDetails", _) => json!({"Included": true}),
            ("input" | "output", Value::String(text)) if parsed => {
                serde_json::from_str(text).unwrap_or_else(|_| value.clone())
            }
            (_, value) => value.clone(),
        };
        let mut characters = name.chars();
        let name = characters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(characters).collect();
        members.push((name, value));
    }
    members.sort_by(|(one, _), (other, _)| one.cmp(other));
    Value::Object(members.into_iter().collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_as_a_result() {
        let described = json!({"executionArn": "a", "status": "SUCCEEDED", "startDate": 1.5, "input": "{\"x\":1}",
            "inputDetails": {"included": true}, "output": "[2]"});
        let text = json!({"ExecutionArn": "a", "Input": "{\"x\":1}", "InputDetails": {"Included": true},
            "Output": "[2]", "StartDate": 1_500, "Status": "SUCCEEDED"});
        assert_eq!(shown(&described, false).to_string(), text.to_string());
        assert_eq!(shown(&described, true)["Output"], json!([2]));
    }

    #[test]
    fn an_answer_is_as_long_as_on_aws() {
        let response = response("arn:aws:states:us-east-1:111111111111:execution:m:n", 1_718_000_000_123, "r");
        let body =
            r#"{"executionArn":"arn:aws:states:us-east-1:111111111111:execution:m:n","startDate":1.718000000123E9}"#;
        assert_eq!(&response.body[..], body.as_bytes());
    }
}
