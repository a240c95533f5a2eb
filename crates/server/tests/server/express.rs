//! Express workflows over HTTP: what a client of AWS would see of them.

use std::io::Write as _;

use crate::support::{ROLE, Server, send};
use serde_json::{Value, json};
use stepwright_server::config::Settings;

fn create(server: &Server, name: &str, definition: &Value) -> String {
    let input = json!({"name": name, "roleArn": ROLE, "definition": definition.to_string(), "type": "EXPRESS"});
    server.ok("CreateStateMachine", &input)["stateMachineArn"].as_str().expect("an ARN").to_owned()
}

fn pass() -> Value {
    json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"b": 1, "a": 2}, "End": true}}})
}

/// A machine that calls this very server.
fn calls(action: &str, parameters: &Value) -> Value {
    let resource = format!("arn:aws:states:::aws-sdk:sfn:{action}");
    json!({"StartAt": "C", "States": {
        "C": {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": true},
    }})
}

#[test]
fn one_that_is_waited_for_is_answered_as_on_aws() {
    let server = Server::start();
    let arn = create(&server, "m", &pass());
    let end = server.ok("StartSyncExecution", &json!({"stateMachineArn": arn, "name": "n", "input": "{\"x\": 1}"}));
    let execution = end["executionArn"].as_str().expect("an ARN");
    let uuid = execution.strip_prefix("arn:aws:states:us-east-1:000000000000:express:m:n:").expect("the form");
    assert_eq!((uuid.len(), uuid.as_bytes()[14]), (36, b'4'), "{uuid}");
    let mut rest = end.clone();
    for member in ["executionArn", "startDate", "stopDate"] {
        let value = rest.as_object_mut().expect("an object").remove(member).expect(member);
        assert!(member == "executionArn" || value.is_number(), "{end}");
    }
    assert_eq!(
        rest,
        json!({
            "stateMachineArn": arn,
            "name": "n",
            "status": "SUCCEEDED",
            "input": "{\"x\": 1}",
            "inputDetails": {"included": true},
            "output": "{\"b\":1,\"a\":2}",
            "outputDetails": {"included": true},
            "billingDetails": {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": 100},
        })
    );
    let again = server.ok("StartSyncExecution", &json!({"stateMachineArn": arn, "name": "n"}));
    assert_ne!(again["executionArn"], end["executionArn"], "a name is free at once");
    assert_eq!(again["input"], "{}");
    let unnamed = server.ok("StartSyncExecution", &json!({"stateMachineArn": arn, "traceHeader": "Root=1-a"}));
    assert_eq!((unnamed["name"].as_str().map(str::len), &unnamed["traceHeader"]), (Some(36), &json!("Root=1-a")));
    let bare = server.ok("StartSyncExecution", &json!({"stateMachineArn": arn, "includedData": "METADATA_ONLY"}));
    for member in ["input", "inputDetails", "output", "outputDetails"] {
        assert_eq!(bare.get(member), None, "{bare}");
    }
    // What SDKs make of the host name does not matter.
    let mut socket = server.connect();
    let head = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.StartSyncExecution\r\n";
    assert_eq!(send(&mut socket, head, json!({"stateMachineArn": arn}).to_string().as_bytes()).status, 200);
}

#[test]
fn a_failure_is_an_answer() {
    let server = Server::start();
    let definition = json!({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}});
    let arn = create(&server, "m", &definition);
    let end = server.ok("StartSyncExecution", &json!({"stateMachineArn": arn}));
    assert_eq!((&end["status"], &end["error"], &end["cause"]), (&json!("FAILED"), &json!("E"), &json!("C")));
    assert_eq!((end.get("output"), &end["outputDetails"]), (None, &json!({"included": true})));

    let slow = json!({"StartAt": "W", "TimeoutSeconds": 1,
        "States": {"W": {"Type": "Wait", "Seconds": 100, "End": true}}});
    let arn = create(&server, "slow", &slow);
    let end = server.ok("StartSyncExecution", &json!({"stateMachineArn": arn}));
    assert_eq!((&end["status"], &end["error"]), (&json!("TIMED_OUT"), &json!("States.Timeout")));
    let billed = end["billingDetails"]["billedDurationInMilliseconds"].as_i64().expect("a number");
    assert!((1_000..3_000).contains(&billed) && billed % 100 == 0, "{end}");
}

#[test]
fn requests_are_checked_as_those_of_start_execution() {
    let server = Server::start();
    let standard = server.create("standard", &pass());
    let express = create(&server, "express", &pass());
    let sync = |input: Value| server.call("StartSyncExecution", &input);
    let refused = "This operation is not supported by this type of state machine";
    sync(json!({"stateMachineArn": standard})).is_error("StateMachineTypeNotSupported", refused);
    server
        .call("ListExecutions", &json!({"stateMachineArn": express}))
        .is_error("StateMachineTypeNotSupported", refused);
    sync(json!({"stateMachineArn": "nonsense"})).is_error("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: nonsense'");
    sync(json!({"stateMachineArn": format!("{express}x")}))
        .is_error("StateMachineDoesNotExist", &format!("State Machine Does Not Exist: '{express}x'"));
    sync(json!({"stateMachineArn": express, "name": "a b"})).is_error("InvalidName", "Invalid Name: 'a b'");
    sync(json!({"stateMachineArn": express, "input": ""}))
        .is_error("InvalidExecutionInput", "Invalid State Machine Execution Input: 'Invalid execution input.'");
    sync(json!({})).is_error("ValidationException", "Value null at 'stateMachineArn' failed to satisfy constraint");
    sync(json!({"stateMachineArn": express, "includedData": "SOME"}))
        .is_error("ValidationException", "Member must satisfy enum value set");

    let started = server.ok("StartExecution", &json!({"stateMachineArn": express, "name": "n"}));
    let again = server.ok("StartExecution", &json!({"stateMachineArn": express, "name": "n"}));
    assert_ne!(started["executionArn"], again["executionArn"]);
    assert!(started["startDate"].is_number() && started.as_object().map(serde_json::Map::len) == Some(2), "{started}");
    let of = json!({"executionArn": started["executionArn"]});
    let operations = ["DescribeExecution", "StopExecution", "GetExecutionHistory", "DescribeStateMachineForExecution"];
    for operation in operations {
        server
            .call(operation, &of)
            .is_error("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'");
    }
}

#[test]
fn machines_call_each_other_in_either_way() {
    let server = Server::start();
    let inner = create(&server, "inner", &pass());
    let standard = server.create("standard", &pass());
    let starts =
        create(&server, "starts", &calls("startExecution", &json!({"StateMachineArn": standard, "Name": "s"})));
    let end = server.ok("StartSyncExecution", &json!({"stateMachineArn": starts}));
    assert_eq!(end["status"], "SUCCEEDED", "{end}");
    let output: Value = serde_json::from_str(end["output"].as_str().expect("text")).expect("JSON");
    assert_eq!(server.wait(&output["ExecutionArn"])["status"], "SUCCEEDED");
    let optimized = json!({"StartAt": "C", "States": {
        "C": {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution",
            "Parameters": {"StateMachineArn": standard}, "End": true},
    }});
    let starts = create(&server, "optimized", &optimized);
    let end = server.ok("StartSyncExecution", &json!({"stateMachineArn": starts}));
    assert_eq!(end["status"], "SUCCEEDED", "{end}");
    let output: Value = serde_json::from_str(end["output"].as_str().expect("text")).expect("JSON");
    assert_eq!(server.wait(&output["ExecutionArn"])["status"], "SUCCEEDED");

    let runs = server.create("runs", &calls("startSyncExecution", &json!({"StateMachineArn": inner})));
    let started = server.ok("StartExecution", &json!({"stateMachineArn": runs}));
    let described = server.wait(&started["executionArn"]);
    let output: Value = serde_json::from_str(described["output"].as_str().expect("text")).expect("JSON");
    assert_eq!((&output["Status"], &output["Output"]), (&json!("SUCCEEDED"), &json!("{\"b\":1,\"a\":2}")));
    assert_eq!(output["BillingDetails"]["BilledMemoryUsedInMB"], 64);
}

#[test]
fn more_than_may_be_open_get_503_with_the_settings_name() {
    let settings = Settings { express_executions: 1, ..Settings::default() };
    let server = Server::with_settings(settings);
    let wait = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 200, "End": true}}});
    let arn = create(&server, "m", &wait);
    let started = server.ok("StartExecution", &json!({"stateMachineArn": arn}));
    assert!(started["executionArn"].is_string());
    for operation in ["StartSyncExecution", "StartExecution"] {
        let answer = server.call(operation, &json!({"stateMachineArn": arn}));
        assert_eq!((answer.status, &answer.body["__type"]), (503, &json!("ServiceUnavailable")), "{answer:?}");
        let message = answer.body["message"].as_str().expect("text");
        assert!(message.contains("express.executions") && answer.head.contains("retry-after: 1"), "{answer:?}");
    }
    let health = server.send("GET /healthz HTTP/1.1\r\n", b"").body;
    assert_eq!((&health["engine"]["expressOpen"], &health["engine"]["expressWaiting"]), (&json!(1), &json!(0)));
}

#[test]
fn it_goes_on_when_its_connection_is_closed() {
    let server = Server::start();
    let standard = server.create("standard", &pass());
    let definition = json!({"StartAt": "W", "States": {
        "W": {"Type": "Wait", "Seconds": 1, "Next": "C"},
        "C": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:startExecution",
            "Parameters": {"StateMachineArn": standard, "Name": "after"}, "End": true},
    }});
    let arn = create(&server, "m", &definition);
    let mut socket = server.connect();
    let body = json!({"stateMachineArn": arn}).to_string();
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.StartSyncExecution\r\n";
    write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len()).expect("writes");
    let open = || server.send("GET /healthz HTTP/1.1\r\n", b"").body["engine"]["expressOpen"].clone();
    while open() != 1 {
        std::thread::yield_now();
    }
    drop(socket);
    while open() != 0 {
        std::thread::yield_now();
    }
    let after = standard.replace(":stateMachine:", ":execution:") + ":after";
    assert_eq!(server.wait(&json!(after))["status"], "SUCCEEDED");
}
