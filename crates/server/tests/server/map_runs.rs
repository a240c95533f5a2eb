//! The shapes and errors of map runs.

use crate::support::Server;
use serde_json::json;

const RUN: &str = "arn:aws:states:us-east-1:000000000000:mapRun:m/label:3a4b";

#[test]
fn no_map_run_exists_yet() {
    let server = Server::start();
    let missing = format!("Resource not found: '{RUN}'");
    server.call("DescribeMapRun", &json!({"mapRunArn": RUN})).is_error("ResourceNotFound", &missing);
    server.call("UpdateMapRun", &json!({"mapRunArn": RUN, "maxConcurrency": 3})).is_error("ResourceNotFound", &missing);
    let nothing = server.call("UpdateMapRun", &json!({"mapRunArn": RUN}));
    assert_eq!(
        (nothing.code(), &nothing.body["reason"]),
        ("ValidationException", &json!("MISSING_REQUIRED_PARAMETER"))
    );
    assert_eq!(server.call("DescribeMapRun", &json!({"mapRunArn": "x"})).code(), "InvalidArn");
    server.call("ListExecutions", &json!({"mapRunArn": RUN})).is_error("ResourceNotFound", &missing);

    let machine = server.create("m", &json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}));
    let started = server.ok("StartExecution", &json!({"stateMachineArn": machine}));
    let list = json!({"executionArn": started["executionArn"]});
    assert_eq!(server.ok("ListMapRuns", &list), json!({"mapRuns": []}));
    let unknown = json!({"executionArn": "arn:aws:states:us-east-1:000000000000:execution:m:nobody"});
    assert_eq!(server.call("ListMapRuns", &unknown).code(), "ExecutionDoesNotExist");
}
