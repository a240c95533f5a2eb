//! TestState over HTTP: what may be tested and how, what is seen of it, what is refused in which words, and that no test
//! is in anybody's way.

use std::{
    io::{Read as _, Write as _},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use stepwright_server::config::Settings;

use crate::support::{Answer, ROLE, Server};

/// A request that tests this state, with what is in `extra`.
fn request(state: &Value, extra: &Value) -> Value {
    let mut request = json!({"definition": state.to_string()});
    for (name, value) in extra.as_object().expect("an object") {
        request[name] = value.clone();
    }
    request
}

#[track_caller]
fn tested(server: &Server, state: &Value, extra: &Value) -> Value {
    server.ok("TestState", &request(state, extra))
}

fn refused(server: &Server, state: &Value, extra: &Value) -> Answer {
    server.call("TestState", &request(state, extra))
}

/// `inspectionData` at DEBUG, its texts as the JSON that they are.
#[track_caller]
fn inspected(server: &Server, state: &Value, extra: &Value) -> Value {
    let mut extra = extra.clone();
    extra["inspectionLevel"] = "DEBUG".into();
    let mut data = tested(server, state, &extra)["inspectionData"].clone();
    for (_, value) in data.as_object_mut().expect("an object") {
        if let Some(text) = value.as_str() {
            *value = serde_json::from_str(text).expect("JSON");
        }
    }
    data
}

fn lambda(extra: &Value) -> Value {
    let mut state = json!({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true});
    for (name, value) in extra.as_object().expect("an object") {
        state[name] = value.clone();
    }
    state
}

fn jsonata(state: &Value) -> Value {
    let mut state = state.clone();
    state["QueryLanguage"] = "JSONata".into();
    state
}

const PASS: &str = r#"{"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}"#;

fn flow() -> Value {
    serde_json::from_str(PASS).expect("JSON")
}

#[test]
fn every_type_of_state_in_both_languages() {
    let server = Server::start();
    let input = json!({"input": "{\"a\": 1, \"l\": [1, 2]}"});
    let raw = json!({"a": 1, "l": [1, 2]});
    let mocked = |result: &str| {
        let mut input = input.clone();
        input["mock"] = json!({"result": result});
        input
    };
    let check = |state: Value, extra: &Value, expected: Value| {
        let mut expected = expected;
        expected["input"] = raw.clone();
        assert_eq!(inspected(&server, &state, extra), expected, "{state}");
    };
    // JSONPath
    let all = json!({"afterInputPath": 1, "afterParameters": 1, "afterResultSelector": 1, "afterResultPath": {"a": 1, "l": [1, 2], "r": 1}});
    check(json!({"Type": "Pass", "InputPath": "$.a", "ResultPath": "$.r", "End": true}), &input, all);
    let selected = json!({"afterInputPath": raw});
    check(json!({"Type": "Succeed"}), &input, selected.clone());
    check(json!({"Type": "Fail", "Error": "E"}), &input, selected.clone());
    check(json!({"Type": "Wait", "Seconds": 0, "Next": "N"}), &input, selected.clone());
    let choice = json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNumeric": true, "Next": "N"}]});
    check(choice, &input, selected);
    check(
        lambda(
            &json!({"Parameters": {"FunctionName": "f", "Payload.$": "$.a"}, "ResultSelector": {"p.$": "$.Payload"},
            "ResultPath": "$.r"}),
        ),
        &mocked("{\"Payload\": 5}"),
        json!({"afterInputPath": raw, "afterParameters": {"FunctionName": "f", "Payload": 1},
            "result": {"Payload": 5}, "afterResultSelector": {"p": 5},
            "afterResultPath": {"a": 1, "l": [1, 2], "r": {"p": 5}}}),
    );
    check(
        json!({"Type": "Parallel", "Branches": [flow()], "ResultSelector": {"n.$": "$[0]"}, "End": true}),
        &mocked("[7]"),
        json!({"afterResultSelector": {"n": 7}, "afterResultPath": {"n": 7}}),
    );
    check(
        json!({"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": flow(), "MaxConcurrency": 2, "End": true,
            "ItemSelector": {"v.$": "$$.Map.Item.Value"}}),
        &mocked("[7, 8]"),
        json!({"afterInputPath": raw, "afterItemsPath": [1, 2], "afterItemSelector": [{"v": 1}, {"v": 2}],
            "maxConcurrency": 2, "afterResultSelector": [7, 8], "afterResultPath": [7, 8]}),
    );
    // JSONata
    check(jsonata(&json!({"Type": "Pass", "Output": "{% $states.input.a %}", "End": true})), &input, json!({}));
    check(jsonata(&json!({"Type": "Succeed", "Output": 1})), &input, json!({}));
    check(jsonata(&json!({"Type": "Fail", "Error": "{% 'E' %}"})), &input, json!({}));
    check(jsonata(&json!({"Type": "Wait", "Seconds": "{% 0 %}", "End": true})), &input, json!({}));
    let choice = json!({"Type": "Choice", "Choices": [{"Condition": "{% $states.input.a = 1 %}", "Next": "N"}]});
    check(jsonata(&choice), &input, json!({}));
    check(
        jsonata(&lambda(&json!({"Arguments": {"FunctionName": "{% 'f' %}"}}))),
        &mocked("{\"Payload\": 5}"),
        json!({"afterArguments": {"FunctionName": "f"}, "result": {"Payload": 5}}),
    );
    check(
        jsonata(&json!({"Type": "Parallel", "Branches": [flow()], "Arguments": "{% $states.input.l %}", "End": true})),
        &mocked("[7]"),
        json!({"afterArguments": [1, 2]}),
    );
    check(
        jsonata(&json!({"Type": "Map", "Items": "{% $states.input.l %}", "ItemProcessor": flow(), "End": true})),
        &mocked("[7, 8]"),
        json!({"maxConcurrency": 0}),
    );
}

#[test]
fn levels_show_more_or_nothing() {
    let server = Server::start();
    let state = json!({"Type": "Pass", "End": true});
    for level in [json!({}), json!({"inspectionLevel": "INFO"})] {
        assert_eq!(tested(&server, &state, &level), json!({"status": "SUCCEEDED", "output": "{}"}));
    }
    for level in ["DEBUG", "TRACE"] {
        let answer = tested(&server, &state, &json!({"inspectionLevel": level, "input": "[ 1 ]"}));
        assert_eq!(answer["inspectionData"]["input"], "[ 1 ]", "{level}");
        assert_eq!(answer["output"], "[ 1 ]", "{level}");
    }
}

#[test]
fn where_a_state_leads() {
    let server = Server::start();
    let next = |state: Value, extra: &Value| tested(&server, &state, extra)["nextState"].clone();
    assert_eq!(next(json!({"Type": "Pass", "Next": "Ünïcode"}), &json!({})), "Ünïcode");
    assert_eq!(next(json!({"Type": "Pass", "End": true}), &json!({})), json!(null));
    let choice =
        json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "IsPresent": true, "Next": "A"}], "Default": "B"});
    assert_eq!(next(choice.clone(), &json!({"input": "{\"a\": 1}"})), "A");
    assert_eq!(next(choice, &json!({})), "B");
    let machine = json!({"StartAt": "M", "States": {
        "M": {"Type": "Parallel", "End": true, "Branches": [{"StartAt": "X", "States": {
            "X": {"Type": "Pass", "Next": "Y"}, "Y": {"Type": "Succeed"}}}]}}});
    assert_eq!(next(machine.clone(), &json!({"stateName": "X"})), "Y");
    assert_eq!(next(machine, &json!({"stateName": "Y"})), json!(null));
}

#[test]
fn requests_that_contradict_themselves() {
    let server = Server::start();
    let pass = json!({"Type": "Pass", "End": true});
    let task = lambda(&json!({"Parameters": {"FunctionName": "f"}}));
    let check = |state: &Value, extra: &Value, code: &str, message: &str| {
        let answer = refused(&server, state, extra);
        answer.is_error(code, message);
        assert_eq!(answer.body["message"], message, "{extra}");
    };
    let result = json!({"result": "{}"});
    let validation = "ValidationException";
    check(&task, &json!({"roleArn": "role"}), "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: role'");
    let one = "A test mock should have only one of the following fields: [result, errorOutput].";
    check(&task, &json!({"mock": {"result": "{}", "errorOutput": {"error": "E"}}}), validation, one);
    check(&task, &json!({"mock": {}}), validation, one);
    let secrets = "TestState does not support RevealSecrets when a mock is specified.";
    check(&task, &json!({"mock": result, "revealSecrets": true}), validation, secrets);
    let count = "TestState does not support MapIterationFailureCount when a mock is not specified.";
    let map = json!({"Type": "Map", "ItemProcessor": flow(), "End": true});
    check(&map, &json!({"stateConfiguration": {"mapIterationFailureCount": 0}}), validation, count);
    let context = "TestState does not support Context when a mock is not specified.";
    check(&pass, &json!({"context": "{}"}), validation, context);
    check(&task, &json!({"mock": {"result": "{"}}), validation, "Mocked result must be valid JSON");
    let role = "RoleArn must be specified when testing a Task state";
    check(&task, &json!({}), validation, role);
    for kind in [
        pass.clone(),
        json!({"Type": "Succeed"}),
        json!({"Type": "Fail"}),
        json!({"Type": "Wait", "Seconds": 1, "End": true}),
        json!({"Type": "Choice", "Choices": [{"Variable": "$", "IsNull": true, "Next": "N"}]}),
    ] {
        let name = kind["Type"].as_str().expect("a type");
        let message = format!("State type '{name}' is not supported when a mock is specified");
        check(&kind, &json!({"mock": result}), validation, &message);
    }
    let parallel = json!({"Type": "Parallel", "Branches": [flow(), flow_named("Q")], "End": true});
    let array = "Mocked result must be an array.";
    check(&parallel, &json!({"mock": result}), validation, array);
    check(&map, &json!({"mock": result}), validation, array);
    let number = "Mocked result must contain the same number of items as number of Parallel branches.";
    check(&parallel, &json!({"mock": {"result": "[1]"}}), validation, number);
    let processor = json!({"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "P",
        "States": {"P": {"Type": "Pass", "End": true}}});
    let exports = json!({"Type": "Map", "ItemProcessor": processor, "End": true, "ResultWriter": {
        "Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}}});
    let object = "Mocked result must be a JSON object.";
    check(&exports, &json!({"mock": {"result": "[]"}}), validation, object);
    for unsupported in [&map, &parallel] {
        let answer = refused(&server, unsupported, &json!({"roleArn": ROLE}));
        answer.is_error("InvalidDefinition", "TestState API does not support Map or Parallel states.");
    }
    for resource in [
        "arn:aws:states:us-east-1:000000000000:activity:a",
        "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "arn:aws:states:::states:startExecution.sync:2",
    ] {
        let state = lambda(&json!({"Resource": resource,
            "Parameters": {"QueueUrl": "q", "MessageBody": "b", "StateMachineArn": "s"}}));
        refused(&server, &state, &json!({"roleArn": ROLE}))
            .is_error("InvalidDefinition", "only when a mock is specified");
        assert_eq!(
            tested(&server, &state, &json!({"mock": {"result": "{}", "fieldValidationMode": "NONE"}}))["output"],
            "{}"
        );
    }
    let state = json!({"Type": "Task", "Resource": "arn:aws:states:::glue:startJobRun", "End": true});
    let unserved = refused(&server, &state, &json!({"roleArn": ROLE}));
    unserved.is_error("InvalidDefinition", "arn:aws:states:::glue:startJobRun; with a mock it can be tested");
}

fn flow_named(name: &str) -> Value {
    json!({"StartAt": name, "States": {name: {"Type": "Pass", "End": true}}})
}

#[test]
fn texts_that_are_none() {
    let server = Server::start();
    let pass = json!({"Type": "Pass", "End": true});
    let long = format!("\"{}\"", "ü".repeat(131_072));
    refused(&server, &pass, &json!({"input": "{"}))
        .is_error("InvalidExecutionInput", "Invalid State Machine Execution Input: ");
    refused(&server, &pass, &json!({"input": ""})).is_error("InvalidExecutionInput", "");
    refused(&server, &pass, &json!({"input": long})).is_error("ValidationException", "less than or equal to 262144");
    for variables in ["[]", "{", "{\"states\": 1}", "{\"a b\": 1}"] {
        refused(&server, &pass, &json!({"variables": variables})).is_error("ValidationException", "ariable");
    }
    let mock = json!({"result": "{}"});
    let task = lambda(&json!({"Parameters": {"FunctionName": "f"}}));
    refused(&server, &task, &json!({"mock": mock, "context": "1"}))
        .is_error("ValidationException", "Invalid Context object provided: ");
    let definition = |text: &str, part: &str| {
        server.call("TestState", &json!({"definition": text})).is_error("InvalidDefinition", part);
    };
    definition("{", "INVALID_JSON_DESCRIPTION");
    definition("[]", "Definition must be a valid JSON object");
    definition("{}", "These fields are required: [Type] at /States/StateName");
    definition(r#"{"Type": "Pass"}"#, "[Next, End] at /States/StateName'");
    definition(r#"{"Type": "Pass", "InputPath": "x", "End": true}"#, "at /States/StateName/InputPath");
    definition(
        &json!({"Type": "Parallel", "Branches": [flow_named("A"), flow_named("A")], "End": true}).to_string(),
        "DUPLICATE_STATE_NAME: Duplicate State name: A at /States/StateName/Branches[1]/States/A",
    );
    let machine = |text: &str, name: &str| server.call("TestState", &json!({"definition": text, "stateName": name}));
    machine(PASS, "Q").is_error("ValidationException", "State not found in definition");
    machine("{}", "P").is_error("InvalidDefinition", "These fields are required: [States, StartAt] at /");
}

#[test]
fn results_that_no_service_gives() {
    let server = Server::start();
    let check = |resource: &str, mode: Option<&str>, result: Value, problem: &str| {
        let parameters = json!({"TableName": "t", "Key": {}, "StateMachineArn": "s", "FunctionName": "f", "Entries": [],
            "QueueUrl": "q", "MessageBody": "b", "Message": "m", "Bucket": "b"});
        // What an expression yields is known at run time, and the mock needs none of it.
        let state = lambda(&json!({"Resource": format!("arn:aws:states:::{resource}"),
            "Arguments": "{% $states.input %}"}));
        let state = jsonata(&state);
        let mut mock = json!({"result": result.to_string()});
        if let Some(mode) = mode {
            mock["fieldValidationMode"] = mode.into();
        }
        let answer = refused(&server, &state, &json!({"mock": mock, "input": parameters.to_string()}));
        if problem.is_empty() {
            assert_eq!(answer.status, 200, "{resource} {result}: {answer:?}");
            assert_eq!(answer.body["output"], result.to_string());
        } else {
            let message = format!("Mock result schema validation error: {problem}");
            assert_eq!(answer.body["message"], message, "{resource} {result}");
        }
    };
    let (present, none) = (Some("PRESENT"), Some("NONE"));
    let describe = "states:startExecution.sync";
    check("states:startExecution", None, json!({}), "Required field 'ExecutionArn' is missing");
    check("states:startExecution", present, json!({}), "");
    check("states:startExecution", present, json!({"StartDate": 1}), "Field 'StartDate' must be a string");
    check("states:startExecution", none, json!({"StartDate": 1}), "");
    check("states:startExecution", None, json!({"ExecutionArn": "e", "StartDate": "d"}), "");
    check(describe, None, json!({}), "Required field 'ExecutionArn' is missing");
    check(describe, present, json!({"Output": {}}), "Field 'Output' must be a string");
    check("states:startExecution.sync:2", present, json!({"Output": {"a": 1}}), "");
    check(
        "states:startExecution.sync:2",
        present,
        json!({"Status": "GONE"}),
        "Field 'Status' is not an expected value",
    );
    check("states:startExecution.waitForTaskToken", None, json!("anything"), "");
    check("aws-sdk:sfn:startExecution", None, json!({}), "Required field 'ExecutionArn' is missing");
    // What a function answers is its own business; the rest is Lambda's.
    check("lambda:invoke", None, json!({"Payload": [1]}), "");
    check("lambda:invoke", None, json!({"StatusCode": "200"}), "Field 'StatusCode' must be a number");
    check("aws-sdk:lambda:invoke", None, json!({"Payload": [1]}), "Field 'Payload' must be a string");
    check("lambda:invoke", None, json!({"SdkHttpMetadata": 1, "payload": 2}), "");
    // Values inside lists, maps and structures are told of by the member or key they stand at.
    let item = |value: Value| json!({"Item": {"id": value}});
    check("dynamodb:getItem", None, item(json!({"S": "x"})), "");
    check("dynamodb:getItem", None, item(json!({"S": 1})), "Field 'S' must be a string");
    check("dynamodb:getItem", None, item(json!("x")), "Field 'id' must be an object");
    check("dynamodb:getItem", None, item(json!({"L": [{"BOOL": 1}]})), "Field 'BOOL' must be a boolean");
    check("dynamodb:getItem", None, item(json!({"SS": "x"})), "Field 'SS' must be an array");
    check("dynamodb:getItem", None, item(json!({"NS": ["1", 2]})), "Field 'NS' must be a string");
    check("aws-sdk:dynamodb:getItem", none, item(json!({"S": 1})), "");
    check("events:putEvents", None, json!({"FailedEntryCount": true}), "Field 'FailedEntryCount' must be a number");
    check("sqs:sendMessage", None, json!({"MessageId": null}), "Field 'MessageId' must be a string");
    check("aws-sdk:s3:getObject", None, json!({"ETag": "", "Body": "b", "PartsCount": 3}), "");
    check(
        "aws-sdk:kms:encrypt",
        None,
        json!({"CiphertextBlob": ""}),
        "Field 'CiphertextBlob' is smaller than the minimum length",
    );
    check("aws-sdk:kms:encrypt", None, json!({"KeyId": "x".repeat(2049)}), "Field 'KeyId' exceeds the maximum length");
    // No API's answers.
    check("apigateway:invoke", None, json!(1), "");
    let answer =
        refused(&server, &lambda(&json!({"Parameters": {"FunctionName": "f"}})), &json!({"mock": {"result": "[]"}}));
    answer.is_error("ValidationException", "Mocked result must be a JSON object.");
}

#[test]
fn errors_are_retried_caught_or_not() {
    let server = Server::start();
    let state = |extra: Value| {
        let mut state = lambda(&json!({"Parameters": {"FunctionName": "f"}}));
        for (name, value) in extra.as_object().expect("an object") {
            state[name] = value.clone();
        }
        state
    };
    let fail = |state: &Value, count: u32, error: Value| {
        let extra = json!({"mock": {"errorOutput": error}, "stateConfiguration": {"retrierRetryCount": count},
            "inspectionLevel": "DEBUG", "input": "{\"a\": 1}"});
        let mut answer = tested(&server, state, &extra);
        let details = answer["inspectionData"]["errorDetails"].take();
        answer.as_object_mut().expect("an object").remove("inspectionData");
        (answer, details)
    };
    let error = json!({"error": "E", "cause": "why"});
    let retry = json!([{"ErrorEquals": ["Other"]}, {"ErrorEquals": ["E"], "IntervalSeconds": 3, "BackoffRate": 1.5, "MaxAttempts": 2}]);
    let catch = json!([{"ErrorEquals": ["States.ALL"], "ResultPath": "$.e", "Next": "N"}]);
    let both = state(json!({"Retry": retry, "Catch": catch}));
    let (answer, details) = fail(&both, 1, error.clone());
    assert_eq!(answer, json!({"status": "RETRIABLE", "error": "E", "cause": "why"}));
    assert_eq!(details, json!({"retryIndex": 1, "retryBackoffIntervalSeconds": 4}));
    let (answer, details) = fail(&both, 2, error.clone());
    let output = "{\"a\":1,\"e\":{\"Error\":\"E\",\"Cause\":\"why\"}}";
    let expected = json!({"status": "CAUGHT_ERROR", "error": "E", "cause": "why", "output": output, "nextState": "N"});
    assert_eq!(answer, expected);
    assert_eq!(details, json!({"retryIndex": 1, "catchIndex": 0}));
    let (answer, details) = fail(&state(json!({"Retry": retry})), 2, error.clone());
    assert_eq!(answer, json!({"status": "FAILED", "error": "E", "cause": "why"}));
    assert_eq!(details, json!({"retryIndex": 1}));
    let (answer, details) = fail(&state(json!({})), 0, json!({"error": "E"}));
    assert_eq!(answer, json!({"status": "FAILED", "error": "E"}));
    assert_eq!(details, json!(null));
    let jsonata_catch = json!([{"ErrorEquals": ["E"], "Next": "N", "Output": "{% $states.errorOutput.Cause %}"}]);
    let task = json!({"Type": "Task", "QueryLanguage": "JSONata", "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "f"}, "Catch": jsonata_catch, "End": true});
    assert_eq!(fail(&task, 0, error).0["output"], "\"why\"");
}

#[test]
fn failed_iterations_are_tolerated_or_not() {
    let server = Server::start();
    let map = |extra: Value| {
        let mut state = json!({"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED",
            "ExecutionType": "STANDARD"}, "StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}, "End": true});
        for (name, value) in extra.as_object().expect("an object") {
            state[name] = value.clone();
        }
        state
    };
    let run = |state: &Value, count: u32| {
        let extra = json!({"input": "[1, 2, 3, 4]", "mock": {"result": "[1, 2, 3, 4]"},
            "stateConfiguration": {"mapIterationFailureCount": count}});
        refused(&server, state, &extra)
    };
    assert_eq!(run(&map(json!({})), 4).body["status"], "SUCCEEDED");
    run(&map(json!({})), 5).is_error(
        "ValidationException",
        "Map iteration failure count must be less than or equal to the number of Map iterations",
    );
    let counted = map(json!({"ToleratedFailureCount": 2}));
    assert_eq!(run(&counted, 2).body["status"], "SUCCEEDED");
    let failed = run(&counted, 3).body;
    assert_eq!(failed["error"], "States.ExceedToleratedFailureThreshold");
    let share = map(json!({"ToleratedFailurePercentage": 50, "Retry": [{"ErrorEquals": ["States.ALL"]}]}));
    assert_eq!(run(&share, 2).body["status"], "SUCCEEDED");
    assert_eq!(run(&share, 3).body["status"], "RETRIABLE");
    let batched = map(json!({"ItemBatcher": {"MaxItemsPerBatch": 2}}));
    run(&batched, 3).is_error("ValidationException", "the number of Map iterations");
}

#[test]
fn variables_and_context() {
    let server = Server::start();
    let state = jsonata(
        &json!({"Type": "Pass", "Assign": {"b": "{% $a + 1 %}"}, "Output": "{% $states.context %}", "End": true}),
    );
    let answer =
        tested(&server, &state, &json!({"variables": "{\"a\": 1}", "inspectionLevel": "TRACE", "roleArn": ROLE}));
    assert_eq!(answer["inspectionData"]["variables"], "{\"a\":1,\"b\":2}");
    let context: Value = serde_json::from_str(answer["output"].as_str().expect("text")).expect("JSON");
    let (execution, machine) = (&context["Execution"], &context["StateMachine"]);
    let (name, machine_name) = (execution["Name"].as_str().expect("a name"), machine["Name"].as_str().expect("a name"));
    let id = format!("arn:aws:states:us-east-1:000000000000:express:{machine_name}:{name}");
    assert_eq!(execution["Id"], id);
    assert_eq!(machine["Id"], format!("arn:aws:states:us-east-1:000000000000:stateMachine:{machine_name}"));
    assert_eq!((&execution["RoleArn"], execution.get("RedriveCount")), (&json!(ROLE), None));
    assert_eq!(context["State"]["Name"], "StateName");

    let state = jsonata(&lambda(&json!({"Arguments": {"FunctionName": "f"}, "Output": "{% $states.context %}"})));
    let given = |context: &str| refused(&server, &state, &json!({"mock": {"result": "{}"}, "context": context}));
    assert_eq!(given("{}").body["output"], "{}");
    let whole = r#"{"Execution":{"Id":"e","Input":[1],"Name":"n","RoleArn":null,"StartTime":"t","RedriveCount":1},"State":{"EnteredTime":"t","Name":"s","RetryCount":2},"StateMachine":{"Id":"i","Name":"m"}}"#;
    assert_eq!(given(whole).body["output"], whole);
    let check = |context: &str, problem: &str| {
        let answer = given(context);
        answer.is_error("ValidationException", "");
        assert_eq!(answer.body["message"], format!("Invalid Context object provided: {problem}"), "{context}");
    };
    check(r#"{"Map": {}}"#, "'Map' field is not supported when mocking a Context object");
    check(r#"{"Other": {}}"#, "Field 'Other' is not allowed");
    check(r#"{"State": {"Id": "x"}}"#, "Field 'Id' is not allowed");
    check(r#"{"StateMachine": {"Id": 1}}"#, "StateMachine.Id must be a string");
    check(r#"{"State": {"RetryCount": "1"}}"#, "State.RetryCount must be a number");
    check(r#"{"Execution": 1}"#, "Execution must be an object");
    check(
        r#"{"Task": {"Token": "t"}}"#,
        "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' service \
         integration pattern",
    );
}

#[test]
fn tasks_without_a_mock_are_really_called() {
    let server = Server::start();
    let state = lambda(&json!({"Resource": "arn:aws:states:::aws-sdk:sfn:listStateMachines", "Parameters": {}}));
    let answer = tested(&server, &state, &json!({"roleArn": ROLE, "inspectionLevel": "DEBUG"}));
    assert_eq!((&answer["status"], &answer["output"]), (&json!("SUCCEEDED"), &json!("{\"StateMachines\":[]}")));
    assert_eq!(answer["inspectionData"]["result"], "{\"StateMachines\":[]}");
    let state = lambda(&json!({"Resource": "arn:aws:states:::aws-sdk:sfn:describeExecution",
        "Parameters": {"ExecutionArn": "arn:aws:states:us-east-1:000000000000:execution:m:e"},
        "Retry": [{"ErrorEquals": ["Sfn.ExecutionDoesNotExistException"]}]}));
    let answer = tested(&server, &state, &json!({"roleArn": ROLE}));
    assert_eq!(
        (&answer["status"], &answer["error"]),
        (&json!("RETRIABLE"), &json!("Sfn.ExecutionDoesNotExistException"))
    );
}

#[test]
fn a_task_has_its_own_time_out() {
    let server = Server::start();
    // A poll that nothing ends.
    let activity = server.ok("CreateActivity", &json!({"name": "a"}))["activityArn"].clone();
    let state = lambda(&json!({"Resource": "arn:aws:states:::aws-sdk:sfn:getActivityTask", "TimeoutSeconds": 1,
        "Parameters": {"ActivityArn": activity}, "Catch": [{"ErrorEquals": ["States.Timeout"], "Next": "Late"}]}));
    let answer = tested(&server, &state, &json!({"roleArn": ROLE}));
    assert_eq!((&answer["status"], &answer["nextState"]), (&json!("CAUGHT_ERROR"), &json!("Late")));
}

#[test]
fn a_wait_state_waits_and_one_of_hours_does_not() {
    let server = Server::start();
    let begun = Instant::now();
    let state = json!({"Type": "Wait", "SecondsPath": "$.s", "Next": "N"});
    let answer = tested(&server, &state, &json!({"input": "{\"s\": 1}"}));
    assert_eq!((&answer["status"], &answer["nextState"]), (&json!("SUCCEEDED"), &json!("N")));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    let answer = tested(&server, &state, &json!({"input": "{\"s\": 3600}"}));
    assert_eq!((&answer["status"], &answer["error"]), (&json!("FAILED"), &json!("States.Timeout")));
}

#[test]
fn what_is_too_large_fails_the_state() {
    let server = Server::start();
    let state = jsonata(&json!({"Type": "Pass", "Output": "{% $pad('', 300000) %}", "End": true}));
    let answer = tested(&server, &state, &json!({"inspectionLevel": "DEBUG"}));
    assert_eq!((&answer["status"], &answer["error"]), (&json!("FAILED"), &json!("States.DataLimitExceeded")));
    // What is longer than the members may be is left out.
    let many: serde_json::Map<String, Value> = (0..8).map(|index| (format!("k{index}.$"), json!("$"))).collect();
    let state = json!({"Type": "Pass", "Parameters": many, "End": true});
    let input = format!("\"{}\"", "x".repeat(100_000));
    let data = tested(&server, &state, &json!({"inspectionLevel": "DEBUG", "input": input}))["inspectionData"].clone();
    assert_eq!(data["afterInputPath"], input);
    assert_eq!(data.get("afterParameters"), None);
}

#[test]
fn hostile_expressions_end_and_are_in_nobodys_way() {
    // A tenth of the usual bound: unoptimised builds are slow.
    let server = Server::with_settings(Settings { evaluation_steps: 1_000_000, ..Settings::default() });
    let endless =
        jsonata(&json!({"Type": "Pass", "Output": "{% ($f := function($n) { $f($n + 1) }; $f(0)) %}", "End": true}));
    let request = request(&endless, &json!({}));
    std::thread::scope(|scope| {
        let tests: Vec<_> = (0..4).map(|_| scope.spawn(|| server.ok("TestState", &request))).collect();
        // Others are served meanwhile.
        for _ in 0..20 {
            server.ok("ListStateMachines", &json!({}));
        }
        for test in tests {
            let answer = test.join().expect("ends");
            assert_eq!(
                (&answer["status"], &answer["error"]),
                (&json!("FAILED"), &json!("States.QueryEvaluationError"))
            );
        }
    });
}

#[test]
fn there_are_only_so_many_tests_at_once() {
    let server = Server::start();
    let state = request(&json!({"Type": "Wait", "Seconds": 60, "End": true}), &json!({}));
    let body = state.to_string();
    let head = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.TestState\r\n";
    let whole = format!("{head}host: sync-localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // More than there is room for.
    let mut open: Vec<_> = (0..60)
        .map(|_| {
            let mut socket = server.connect();
            socket.write_all(whole.as_bytes()).expect("sends");
            socket.set_nonblocking(true).expect("is set");
            socket
        })
        .collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    // Those over it are told so at once; the others wait.
    while open.len() > 50 {
        open.retain_mut(|socket| {
            let mut answer = [0; 1024];
            let Ok(length) = socket.read(&mut answer) else { return true };
            assert!(String::from_utf8_lossy(&answer[..length]).contains("ThrottlingException"));
            false
        });
        assert!(Instant::now() < deadline, "{} are open", open.len());
    }
    let pass = json!({"Type": "Pass", "End": true});
    refused(&server, &pass, &json!({})).is_error("ThrottlingException", "Rate exceeded");
    // Others are served, and who goes away makes room.
    server.ok("ListStateMachines", &json!({}));
    drop(open);
    while refused(&server, &pass, &json!({})).status != 200 {
        assert!(Instant::now() < deadline, "no room was made");
    }
}

#[test]
fn definitions_as_large_as_they_may_be() {
    let server = Server::start();
    let rules: Vec<Value> = (0..11_000)
        .map(|index| json!({"Variable": "$.a", "NumericEquals": index, "Next": format!("a state with a name that is long {index}")}))
        .collect();
    let state = json!({"Type": "Choice", "Choices": rules});
    assert!((900_000..1_048_576).contains(&state.to_string().len()), "{}", state.to_string().len());
    let begun = Instant::now();
    let answer = tested(&server, &state, &json!({"input": "{\"a\": 10999}"}));
    assert_eq!(answer["nextState"], "a state with a name that is long 10999");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let states: serde_json::Map<String, Value> = (0..15_000)
        .map(|index| (format!("S{index}"), json!({"Type": "Pass", "Next": format!("S{}", index + 1)})))
        .chain([("S15000".to_owned(), json!({"Type": "Succeed"}))])
        .collect();
    let machine = json!({"StartAt": "S0", "States": states});
    let answer = tested(&server, &machine, &json!({"stateName": "S14999"}));
    assert_eq!(answer["nextState"], "S15000");
}
