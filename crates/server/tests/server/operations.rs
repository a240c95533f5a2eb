//! The operations over HTTP, on an engine in memory: what a client of AWS would see.

use std::io::Write as _;

use crate::support::{ROLE, Server, read_answer, send};
use serde_json::{Value, json};

fn pass() -> Value {
    json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"b": 1, "a": 2}, "End": true}}})
}

#[test]
fn a_state_machine_lives_and_goes() {
    let server = Server::start();
    let text = "{ \"StartAt\":\"A\",\n\"States\":{\"A\":{\"Type\":\"Succeed\"}}}";
    let create = json!({"name": "m", "definition": text, "roleArn": ROLE, "tags": [{"key": "k", "value": ""}]});
    let created = server.ok("CreateStateMachine", &create);
    let arn = created["stateMachineArn"].clone();
    assert_eq!(arn, "arn:aws:states:us-east-1:000000000000:stateMachine:m");
    assert_eq!(server.ok("CreateStateMachine", &create), created, "the same again");
    let mut other = create.clone();
    other["definition"] = json!(text.replace(' ', ""));
    server.call("CreateStateMachine", &other).is_error(
        "StateMachineAlreadyExists",
        "State Machine Already Exists: 'arn:aws:states:us-east-1:000000000000:stateMachine:m'",
    );

    let described = server.ok("DescribeStateMachine", &json!({"stateMachineArn": arn}));
    assert_eq!(described["definition"], text, "byte for byte");
    assert_eq!(described["status"], "ACTIVE");
    assert_eq!(described["type"], "STANDARD");
    assert_eq!(described["loggingConfiguration"], json!({"level": "OFF", "includeExecutionData": false}));
    assert_eq!(described["tracingConfiguration"], json!({"enabled": false}));
    assert!(described.get("encryptionConfiguration").is_none(), "the default, without variables: {described}");
    assert!(described.get("revisionId").is_none() && described.get("label").is_none(), "{described}");

    assert_eq!(
        server.ok("ListTagsForResource", &json!({"resourceArn": arn})),
        json!({"tags": [{"key": "k", "value": ""}]})
    );
    let version = format!("{}:1", arn.as_str().expect("text"));
    server
        .call("TagResource", &json!({"resourceArn": version, "tags": []}))
        .is_error("ResourceNotFound", &format!("Resource not found: '{version}'"));

    server.call("UpdateStateMachine", &json!({"stateMachineArn": arn})).is_error(
        "MissingRequiredParameter",
        "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified",
    );
    let updated = server.ok("UpdateStateMachine", &json!({"stateMachineArn": arn, "definition": pass().to_string()}));
    assert!(updated["revisionId"].is_string(), "{updated}");
    let described = server.ok("DescribeStateMachine", &json!({"stateMachineArn": arn}));
    assert_eq!(described["revisionId"], updated["revisionId"]);

    assert_eq!(server.ok("DeleteStateMachine", &json!({"stateMachineArn": arn})), json!({}));
    assert_eq!(server.ok("DeleteStateMachine", &json!({"stateMachineArn": arn})), json!({}));
}

#[test]
fn an_execution_its_description_and_its_history() {
    let server = Server::start();
    let machine = server.create("m", &pass());
    let start = json!({"stateMachineArn": machine, "name": "e", "input": "{\"x\":  1}"});
    let started = server.ok("StartExecution", &start);
    let described = server.wait(&started["executionArn"]);
    assert_eq!(described["status"], "SUCCEEDED");
    assert_eq!(described["input"], "{\"x\":  1}");
    assert_eq!(described["output"], "{\"b\":1,\"a\":2}");
    assert_eq!(described["outputDetails"], json!({"included": true}));
    assert_eq!(described["redriveStatusReason"], "Execution is SUCCEEDED and cannot be redriven");
    server.call("StartExecution", &start).is_error(
        "ExecutionAlreadyExists",
        "Execution Already Exists: 'arn:aws:states:us-east-1:000000000000:execution:m:e'",
    );

    let history = json!({"executionArn": started["executionArn"]});
    let mut events = server.ok("GetExecutionHistory", &history)["events"].clone();
    for event in events.as_array_mut().expect("events") {
        assert!(event.as_object_mut().expect("an event").remove("timestamp").expect("a time").is_number());
    }
    let no = json!({"truncated": false});
    assert_eq!(
        events,
        json!([
            {"type": "ExecutionStarted", "id": 1, "previousEventId": 0,
             "executionStartedEventDetails": {"input": "{\"x\":  1}", "inputDetails": no, "roleArn": ROLE}},
            {"type": "PassStateEntered", "id": 2, "previousEventId": 0,
             "stateEnteredEventDetails": {"name": "A", "input": "{\"x\":  1}", "inputDetails": no}},
            {"type": "PassStateExited", "id": 3, "previousEventId": 2,
             "stateExitedEventDetails": {"name": "A", "output": "{\"b\":1,\"a\":2}", "outputDetails": no}},
            {"type": "ExecutionSucceeded", "id": 4, "previousEventId": 3,
             "executionSucceededEventDetails": {"output": "{\"b\":1,\"a\":2}", "outputDetails": no}},
        ])
    );
    let mut bare = history.clone();
    bare["includeExecutionData"] = json!(false);
    bare["reverseOrder"] = json!(true);
    bare["maxResults"] = json!(1);
    let page = server.ok("GetExecutionHistory", &bare);
    assert_eq!(page["events"][0]["id"], 4);
    assert_eq!(page["events"][0]["executionSucceededEventDetails"], json!({}));
    bare["nextToken"] = page["nextToken"].clone();
    assert_eq!(server.ok("GetExecutionHistory", &bare)["events"][0]["id"], 3);
}

#[test]
fn lists_have_pages() {
    let server = Server::start();
    for number in 0..5 {
        server.create(&format!("m{number}"), &pass());
    }
    let mut names = Vec::new();
    let mut token = Value::Null;
    loop {
        let mut page = server.ok("ListStateMachines", &json!({"maxResults": 2, "nextToken": token}));
        let machines = page["stateMachines"].as_array().expect("a list");
        assert!(machines.len() <= 2);
        names.extend(machines.iter().map(|machine| machine["name"].as_str().expect("a name").to_owned()));
        token = page["nextToken"].take();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4"]);
}

#[test]
fn what_is_not_served_yet_is_refused_by_name() {
    let server = Server::start();
    let create = |change: Value| {
        let mut input = json!({"name": "m", "roleArn": ROLE, "definition": pass().to_string()});
        for (name, value) in change.as_object().expect("changes") {
            input[name] = value.clone();
        }
        server.call("CreateStateMachine", &input)
    };
    create(json!({"versionDescription": "x"}))
        .is_error("ValidationException", "Version description can only be set when publish is true");
    let states = json!({"A": {"Type": "Succeed", "Output": "{% a %}"}});
    let jsonata = json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": states});
    create(json!({"definition": jsonata.to_string()})).is_error("InvalidDefinition", "UNSUPPORTED_JSONATA_EXPRESSION");
    create(json!({"loggingConfiguration": {"level": "ALL"}}))
        .is_error("InvalidLoggingConfiguration", "Must specify exactly one Log Destination.");
    assert_eq!(create(json!({"type": "EXPRESS"})).status, 200);
    let arn = "arn:aws:states:us-east-1:000000000000:stateMachine:m";
    assert!(server.ok("StartExecution", &json!({"stateMachineArn": arn}))["executionArn"].is_string());
    server
        .call("ListExecutions", &json!({"stateMachineArn": arn}))
        .is_error("StateMachineTypeNotSupported", "This operation is not supported by this type of state machine");
}

#[test]
fn account_and_region_come_from_the_signature() {
    let server = Server::start();
    server.create("m", &pass());
    let head = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.ListStateMachines\r\nauthorization: AWS4-HMAC-SHA256 \
                Credential=123456789012/20240610/eu-central-1/states/aws4_request, SignedHeaders=host, Signature=00\r\n";
    assert_eq!(server.send(head, b"{}").body, json!({"stateMachines": []}), "another account sees nothing");
    let create = head.replace("ListStateMachines", "CreateActivity");
    assert_eq!(
        server.send(&create, b"{\"name\": \"a\"}").body["activityArn"],
        "arn:aws:states:eu-central-1:123456789012:activity:a"
    );
}

/// A machine whose only state waits for a worker.
fn activity_machine(server: &Server) -> (String, String) {
    let activity = server.ok("CreateActivity", &json!({"name": "work"}))["activityArn"].clone();
    let machine = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": true}}});
    (server.create("m", &machine), activity.as_str().expect("an ARN").to_owned())
}

#[test]
fn a_worker_gets_a_task_and_answers_it() {
    let server = Server::start();
    let (machine, activity) = activity_machine(&server);
    let started = server.ok("StartExecution", &json!({"stateMachineArn": machine, "input": "{\"n\":1}"}));
    let task = server.ok("GetActivityTask", &json!({"activityArn": activity, "workerName": "w"}));
    assert_eq!(task["input"], "{\"n\":1}");
    server.ok("SendTaskHeartbeat", &json!({"taskToken": task["taskToken"]}));
    // The token is looked at before what comes with it.
    for (token, code, part) in [
        (json!("none"), "InvalidToken", "Invalid Token: 'Invalid token'"),
        (task["taskToken"].clone(), "InvalidOutput", "Invalid Output: 'Unrecognized token 'no'"),
    ] {
        server.call("SendTaskSuccess", &json!({"taskToken": token, "output": "no"})).is_error(code, part);
    }
    let success = json!({"taskToken": task["taskToken"], "output": "[2]"});
    assert_eq!(server.ok("SendTaskSuccess", &success), json!({}));
    let described = server.wait(&started["executionArn"]);
    assert_eq!((&described["status"], &described["output"]), (&json!("SUCCEEDED"), &json!("[2]")));
    server
        .call("SendTaskSuccess", &success)
        .is_error("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'");
}

#[test]
fn a_worker_that_left_gets_no_task() {
    let server = Server::start();
    let (machine, activity) = activity_machine(&server);
    let poll = json!({"activityArn": activity}).to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.GetActivityTask\r\ncontent-length: {}\r\n\r\n{poll}",
        poll.len()
    );
    for _ in 0..20 {
        let mut gone = server.connect();
        gone.write_all(head.as_bytes()).expect("writes");
        drop(gone);
    }
    let started = server.ok("StartExecution", &json!({"stateMachineArn": machine}));
    let task = server.ok("GetActivityTask", &json!({"activityArn": activity}));
    server.ok("SendTaskSuccess", &json!({"taskToken": task["taskToken"], "output": "1"}));
    assert_eq!(server.wait(&started["executionArn"])["status"], "SUCCEEDED");
}

#[test]
fn a_waiting_poll_ends_when_the_server_stops() {
    let server = Server::start();
    let (_, activity) = activity_machine(&server);
    let poll = json!({"activityArn": activity}).to_string();
    let mut waiting = server.connect();
    // An answered request first: then the poll is surely the one under way.
    let list = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.ListActivities\r\n";
    assert_eq!(send(&mut waiting, list, b"{}").status, 200);
    write!(
        waiting,
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.GetActivityTask\r\ncontent-length: {}\r\n\r\n{poll}",
        poll.len()
    )
    .expect("writes");
    while server.service.engine().stats().pollers == 0 {
        std::thread::yield_now();
    }
    server.service.stop();
    let answer = read_answer(&mut waiting);
    assert_eq!((answer.status, answer.body), (200, json!({})));
}

#[test]
fn stopping_shows_error_and_cause() {
    let server = Server::start();
    let machine = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1000, "End": true}}});
    let machine = server.create("m", &machine);
    let started = server.ok("StartExecution", &json!({"stateMachineArn": machine}));
    let execution = &started["executionArn"];
    let running = server.ok("ListExecutions", &json!({"stateMachineArn": machine, "statusFilter": "RUNNING"}));
    assert_eq!(running["executions"][0]["executionArn"], *execution);
    let stopped = server.ok("StopExecution", &json!({"executionArn": execution, "error": "E", "cause": "c"}));
    let described = server.wait(execution);
    assert_eq!(described["stopDate"], stopped["stopDate"]);
    assert_eq!(
        (&described["status"], &described["error"], &described["cause"]),
        (&json!("ABORTED"), &json!("E"), &json!("c"))
    );
    assert_eq!(described["redriveStatus"], "REDRIVABLE");
    server
        .call("ListExecutions", &json!({}))
        .is_error("ValidationException", "exactly one of stateMachineArn and mapRunArn");
}

#[test]
fn a_state_machine_calls_the_server_that_runs_it() {
    let server = Server::start();
    let activity = server.ok("CreateActivity", &json!({"name": "a"}))["activityArn"].clone();
    let asking = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": true}}});
    let asking = server.create("asking", &asking);
    let sfn = |action: &str, parameters: Value| json!({"Type": "Task", "Resource": format!("arn:aws:states:::aws-sdk:sfn:{action}"), "Parameters": parameters});
    let with = |mut state: Value, name: &str, value: &str| {
        state[name] = if value == "true" { json!(true) } else { json!(value) };
        state
    };
    let working = json!({"StartAt": "Start", "States": {
        "Start": with(
            with(sfn("startExecution", json!({"StateMachineArn": asking, "Input": {"n": 1}})), "ResultPath", "$.started"),
            "Next", "Take"),
        "Take": with(
            with(sfn("getActivityTask", json!({"ActivityArn": activity})), "ResultPath", "$.task"), "Next", "Answer"),
        "Answer": with(
            with(sfn("sendTaskSuccess", json!({"TaskToken.$": "$.task.TaskToken", "Output.$": "$.task.Input"})),
                "ResultPath", "$.answered"),
            "Next", "Again"),
        "Again": with(
            with(sfn("sendTaskHeartbeat", json!({"TaskToken.$": "$.task.TaskToken"})), "End", "true"),
            "Comment", "fails: the task is over"),
    }});
    let working = server.create("working", &working);
    let started = server.ok("StartExecution", &json!({"stateMachineArn": working, "name": "e"}));
    let described = server.wait(&started["executionArn"]);
    assert_eq!(described["status"], "FAILED", "{described}");
    assert_eq!(described["error"], "Sfn.TaskTimedOutException");
    let cause = described["cause"].as_str().expect("a cause");
    assert!(
        cause.starts_with(
            "Task Timed Out: 'Provided task does not exist anymore' (Service: Sfn, Status Code: 400, Request ID: "
        ),
        "{cause}"
    );
    let executions = server.ok("ListExecutions", &json!({"stateMachineArn": asking}))["executions"].clone();
    let asked = server.wait(&executions[0]["executionArn"]);
    assert_eq!((&asked["status"], &asked["output"]), (&json!("SUCCEEDED"), &json!("{\"n\":1}")));
}

#[test]
fn a_history_without_execution_data_leaves_data_out() {
    let server = Server::start();
    let definition = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "End": true,
        "Resource": "arn:aws:states:::aws-sdk:sfn:listActivities", "Parameters": {"MaxResults": 5},
        "ResultSelector": {"n": 1}, "Assign": {"v": 2}}}});
    let machine = server.create("m", &definition);
    let started = server.ok("StartExecution", &json!({"stateMachineArn": machine}));
    server.wait(&started["executionArn"]);
    let history = |with_data: bool| {
        let request = json!({"executionArn": started["executionArn"], "includeExecutionData": with_data});
        let events = server.ok("GetExecutionHistory", &request)["events"].clone();
        let details = |event: &Value| {
            let mut members = event.as_object().expect("an event").iter();
            members.find(|(name, _)| name.ends_with("EventDetails")).map(|(_, details)| details.clone())
        };
        events.as_array().expect("events").iter().filter_map(details).collect::<Vec<_>>()
    };
    let with = history(true);
    assert_eq!(with[2]["parameters"], json!("{\"MaxResults\":5}"));
    assert_eq!(with[5]["assignedVariables"], json!({"v": "2"}));
    let about = json!({"resourceType": "aws-sdk:sfn", "resource": "listActivities"});
    let mut scheduled = about.clone();
    scheduled["region"] = json!("us-east-1");
    // Left out, not empty: an empty text is no JSON.
    let expected = [
        json!({"roleArn": ROLE}),
        json!({"name": "T"}),
        scheduled,
        about.clone(),
        about,
        json!({"name": "T"}),
        json!({}),
    ];
    assert_eq!(history(false), expected);
}

#[test]
fn calls_to_itself_that_are_not_served_are_refused_at_creation() {
    let server = Server::start();
    let definition = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "End": true,
        "Resource": "arn:aws:states:::aws-sdk:sfn:updateMapRun",
        "Parameters": {"MapRunArn": ROLE}}}});
    let create = json!({"name": "m", "definition": definition.to_string(), "roleArn": ROLE});
    server.call("CreateStateMachine", &create).is_error(
        "InvalidDefinition",
        "Invalid State Machine Definition: 'valid on AWS, but not served by this version of Stepwright yet: the \
         resource arn:aws:states:::aws-sdk:sfn:updateMapRun of the state 'T''",
    );
}
