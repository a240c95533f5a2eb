//! RedriveExecution over HTTP.

use crate::support::Server;
use serde_json::{Value, json};

const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:a";

fn machine() -> Value {
    json!({"StartAt": "T", "TimeoutSeconds": 1_000, "States": {
        "T": {"Type": "Task", "Resource": ACTIVITY, "ResultPath": "$.t", "Next": "C"},
        "C": {"Type": "Pass", "Parameters": {"count.$": "$$.Execution.RedriveCount", "at.$": "$$.Execution.RedriveTime"},
            "End": true}}})
}

fn fail_task(server: &Server) {
    let task = server.ok("GetActivityTask", &json!({"activityArn": ACTIVITY}));
    server.ok("SendTaskFailure", &json!({"taskToken": task["taskToken"], "error": "E", "cause": "c"}));
}

fn not_redrivable(server: &Server, execution: &Value, reason: &str) {
    server.call("RedriveExecution", &json!({"executionArn": execution})).is_error("ExecutionNotRedrivable", reason);
}

#[test]
fn a_failed_execution_goes_on_and_says_so_everywhere() {
    let server = Server::start();
    server.ok("CreateActivity", &json!({"name": "a"}));
    let arn = server.create("m", &machine());
    let start = json!({"stateMachineArn": arn, "name": "e", "input": "{\"x\":1}"});
    let started = server.ok("StartExecution", &start);
    let execution = &started["executionArn"];
    not_redrivable(&server, execution, "Execution is RUNNING and cannot be redriven");
    fail_task(&server);
    let failed = server.wait(execution);
    assert_eq!((&failed["status"], &failed["error"]), (&json!("FAILED"), &json!("E")));
    assert_eq!((&failed["redriveStatus"], &failed["redriveCount"]), (&json!("REDRIVABLE"), &json!(0)));
    assert!(failed.get("redriveStatusReason").is_none() && failed.get("redriveDate").is_none(), "{failed}");

    let redrive = json!({"executionArn": execution, "clientToken": "token-1"});
    let date = server.ok("RedriveExecution", &redrive)["redriveDate"].clone();
    assert_eq!(server.ok("RedriveExecution", &redrive)["redriveDate"], date, "the same redrive");
    not_redrivable(&server, execution, "Execution is RUNNING and cannot be redriven");
    let running = server.ok("DescribeExecution", &json!({"executionArn": execution}));
    assert_eq!((&running["status"], &running["redriveCount"]), (&json!("RUNNING"), &json!(1)));
    assert_eq!((&running["redriveDate"], &running["startDate"]), (&date, &failed["startDate"]));
    for gone in ["stopDate", "error", "cause"] {
        assert!(running.get(gone).is_none(), "{running}");
    }
    assert_eq!(server.ok("StartExecution", &start), started, "its name is that of a running execution again");
    let list = |status: &str| {
        let list = server.ok("ListExecutions", &json!({"stateMachineArn": arn, "statusFilter": status}));
        list["executions"].as_array().expect("a list").clone()
    };
    assert_eq!((list("FAILED").len(), list("RUNNING").len()), (0, 1));
    assert_eq!((&list("RUNNING")[0]["redriveCount"], &list("RUNNING")[0]["redriveDate"]), (&json!(1), &date));

    fail_task(&server);
    server.wait(execution);
    server.ok("RedriveExecution", &json!({"executionArn": execution, "clientToken": "token-2"}));
    // The first token still means the first redrive.
    assert_eq!(server.ok("RedriveExecution", &redrive)["redriveDate"], date);
    let task = server.ok("GetActivityTask", &json!({"activityArn": ACTIVITY}));
    assert_eq!(task["input"], "{\"x\":1}", "as it was entered");
    server.ok("SendTaskSuccess", &json!({"taskToken": task["taskToken"], "output": "2"}));
    let ended = server.wait(execution);
    assert_eq!((&ended["status"], &ended["redriveCount"]), (&json!("SUCCEEDED"), &json!(2)));
    let output: Value = serde_json::from_str(ended["output"].as_str().expect("an output")).expect("JSON");
    assert_eq!(output["count"], 2);
    assert!(output["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{output}");
    not_redrivable(&server, execution, "Execution is SUCCEEDED and cannot be redriven");
    assert_eq!((list("SUCCEEDED").len(), list("FAILED").len(), list("RUNNING").len()), (1, 0, 0));

    let history = server.ok("GetExecutionHistory", &json!({"executionArn": execution}));
    let events = history["events"].as_array().expect("events");
    let redriven: Vec<&Value> = events.iter().filter(|event| event["type"] == "ExecutionRedriven").collect();
    assert_eq!(redriven.len(), 2);
    assert_eq!(redriven[1]["executionRedrivenEventDetails"], json!({"redriveCount": 2}));
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["id"], at + 1);
    }
}

#[test]
fn what_cannot_be_redriven() {
    let server = Server::start();
    let unknown = json!({"executionArn": "arn:aws:states:us-east-1:000000000000:execution:m:nobody"});
    assert_eq!(server.call("RedriveExecution", &unknown).code(), "ExecutionDoesNotExist");
    let express = json!({"executionArn": "arn:aws:states:us-east-1:000000000000:express:m:e:1"});
    server
        .call("RedriveExecution", &express)
        .is_error("InvalidArn", "Invalid Arn: 'Resource type not valid in this context: express'");
    let arn = server.create("m", &json!({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}));
    let started = server.ok("StartExecution", &json!({"stateMachineArn": arn}));
    let execution = &started["executionArn"];
    server.wait(execution);
    server.ok("RedriveExecution", &json!({"executionArn": execution}));
    let failed = server.wait(execution);
    assert_eq!((&failed["error"], &failed["redriveCount"]), (&json!("E"), &json!(1)), "it fails again");
    server.ok("DeleteStateMachine", &json!({"stateMachineArn": arn}));
    not_redrivable(&server, execution, "State machine is in DELETING status");
    let described = server.ok("DescribeExecution", &json!({"executionArn": execution}));
    assert_eq!(described["redriveStatus"], "NOT_REDRIVABLE");
    assert_eq!(described["redriveStatusReason"], "State machine is in DELETING status");
}
