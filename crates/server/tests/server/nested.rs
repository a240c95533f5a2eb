//! Executions that start executions.

use crate::support::Server;
use serde_json::{Value, json};

const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:a";

fn child() -> Value {
    json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": ACTIVITY, "End": true}}})
}

/// A machine that starts executions of `child` in this way.
fn parent(server: &Server, name: &str, pattern: &str, extra: &Value) -> String {
    let mut task = json!({"Type": "Task", "Resource": format!("arn:aws:states:::states:startExecution{pattern}"),
        "Parameters": {"StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:child",
            "Input": {"x.$": "$.x"}}, "End": true});
    for (key, value) in extra.as_object().expect("members") {
        task[key] = value.clone();
    }
    let mut states = json!({"S": task});
    if task.get("Catch").is_some() {
        states["C"] = json!({"Type": "Pass", "End": true});
    }
    server.create(name, &json!({"StartAt": "S", "States": states}))
}

fn begin(server: &Server, machine: &str) -> Value {
    server.ok("StartExecution", &json!({"stateMachineArn": machine, "input": "{\"x\":7}"}))["executionArn"].clone()
}

fn task(server: &Server) -> Value {
    server.ok("GetActivityTask", &json!({"activityArn": ACTIVITY}))
}

fn output(described: &Value) -> Value {
    serde_json::from_str(described["output"].as_str().expect("an output")).expect("JSON")
}

fn children(server: &Server) -> Vec<Value> {
    let list = json!({"stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:child"});
    server.ok("ListExecutions", &list)["executions"].as_array().expect("a list").clone()
}

fn ready() -> Server {
    let server = Server::start();
    server.ok("CreateActivity", &json!({"name": "a"}));
    server.create("child", &child());
    server
}

#[test]
fn a_start_is_answered_at_once() {
    let server = ready();
    let machine = parent(&server, "m", "", &json!({}));
    let described = server.wait(&begin(&server, &machine));
    let result = output(&described);
    assert_eq!(children(&server)[0]["executionArn"], result["ExecutionArn"]);
    assert_eq!(result["SdkHttpMetadata"]["HttpStatusCode"], 200);
    let names: Vec<&String> = result.as_object().expect("an object").keys().collect();
    assert_eq!(names, ["ExecutionArn", "SdkHttpMetadata", "SdkResponseMetadata", "StartDate"]);
    assert_eq!(task(&server)["input"], "{\"x\":7}");
}

#[test]
fn a_child_is_waited_for() {
    let server = ready();
    for (pattern, result) in [(".sync", json!("{\"done\":1}")), (".sync:2", json!({"done": 1}))] {
        let machine = parent(&server, &format!("m{}", pattern.len()), pattern, &json!({}));
        let execution = begin(&server, &machine);
        let token = task(&server)["taskToken"].clone();
        let running = server.ok("DescribeExecution", &json!({"executionArn": execution}));
        assert_eq!(running["status"], "RUNNING");
        server.ok("SendTaskSuccess", &json!({"taskToken": token, "output": "{\"done\":1}"}));
        let ended = output(&server.wait(&execution));
        assert_eq!((&ended["Status"], &ended["Output"]), (&json!("SUCCEEDED"), &result));
        let history = server.ok("GetExecutionHistory", &json!({"executionArn": execution}));
        let types: Vec<&str> =
            history["events"].as_array().expect("events").iter().filter_map(|event| event["type"].as_str()).collect();
        assert_eq!(
            types,
            [
                "ExecutionStarted",
                "TaskStateEntered",
                "TaskScheduled",
                "TaskStarted",
                "TaskSubmitted",
                "TaskSucceeded",
                "TaskStateExited",
                "ExecutionSucceeded"
            ]
        );
    }
}

#[test]
fn a_child_that_fails_fails_the_task() {
    let server = ready();
    let catch = json!({"Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "C"}]});
    let machine = parent(&server, "m", ".sync", &catch);
    let execution = begin(&server, &machine);
    server.ok("SendTaskFailure", &json!({"taskToken": task(&server)["taskToken"], "error": "E", "cause": "c"}));
    let caught = output(&server.wait(&execution));
    assert_eq!(caught["Error"], "States.TaskFailed");
    let cause: Value = serde_json::from_str(caught["Cause"].as_str().expect("a cause")).expect("JSON");
    assert_eq!((&cause["Status"], &cause["Error"], &cause["Cause"]), (&json!("FAILED"), &json!("E"), &json!("c")));
    assert!(cause.get("Output").is_none(), "{cause}");
}

#[test]
fn a_child_goes_with_its_parent() {
    let server = ready();
    let machine = parent(&server, "m", ".sync", &json!({}));
    let execution = begin(&server, &machine);
    task(&server);
    server.until(|| {
        let history = json!({"executionArn": execution, "reverseOrder": true, "maxResults": 1});
        server.ok("GetExecutionHistory", &history)["events"][0]["type"] == "TaskSubmitted"
    });
    server.ok("StopExecution", &json!({"executionArn": execution}));
    server.until(|| children(&server)[0]["status"] == "ABORTED");
}

#[test]
fn what_cannot_be_started() {
    let server = ready();
    let unknown = json!({"Parameters": {"StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:no"}});
    let machine = parent(&server, "m", "", &unknown);
    let failed = server.wait(&begin(&server, &machine));
    assert_eq!(failed["error"], "StepFunctions.StateMachineDoesNotExistException");
    let cause = failed["cause"].as_str().expect("a cause");
    assert!(cause.starts_with("State Machine Does Not Exist: 'arn:aws:states:us-east-1:000000000000:stateMachine:no' (Service: AWSStepFunctions; Status Code: 400; Error Code: StateMachineDoesNotExist; Request ID: "), "{cause}");
}

#[test]
fn a_token_ends_the_wait_for_a_child() {
    let server = ready();
    let token = json!({"Parameters": {"StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:child",
        "Input": {"token.$": "$$.Task.Token"}}});
    let machine = parent(&server, "m", ".sync", &token);
    let execution = begin(&server, &machine);
    let input: Value = serde_json::from_str(task(&server)["input"].as_str().expect("an input")).expect("JSON");
    server.ok("SendTaskSuccess", &json!({"taskToken": input["token"], "output": "\"by token\""}));
    assert_eq!(output(&server.wait(&execution)), "by token");
    assert_eq!(children(&server)[0]["status"], "RUNNING", "it goes on by itself");
}
