//! Mocks on a server, `stepwright test` and `stepwright mocks record`.

use std::path::Path;

use serde_json::{Value, json};
use stepwright_engine::ClockMode;
use stepwright_server::config::Settings;

use crate::{
    clock::Serving,
    support::{ROLE, Server, say},
};

const FUNCTION: &str = "arn:aws:lambda:us-east-1:000000000000:function:charge";
const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:nobody";

/// A server that skips time and has these mocks.
fn mocked(mocks: &Value) -> (Server, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("MockConfigFile.json");
    std::fs::write(&file, mocks.to_string()).expect("written");
    let settings = Settings { clock: ClockMode::Skip, mock_config: Some(file), ..Settings::default() };
    (Server::with_settings(settings), directory)
}

fn output(described: &Value) -> Value {
    assert_eq!(described["status"], "SUCCEEDED", "{described}");
    serde_json::from_str(described["output"].as_str().expect("an output")).expect("JSON")
}

fn run(server: &Server, machine: &str, case: &str) -> Value {
    let start = json!({"stateMachineArn": format!("{machine}#{case}"), "input": "{\"items\":[1,2,3]}"});
    server.wait(&server.ok("StartExecution", &start)["executionArn"])
}

/// Every kind of task, none of which anybody serves.
fn tasks() -> Value {
    let task = |resource: &str, parameters: Value, next: &str| {
        let mut task = json!({"Type": "Task", "Resource": resource, "Next": next, "ResultPath": null});
        if !parameters.is_null() {
            task["Parameters"] = parameters;
        }
        task
    };
    let token = json!({"QueueUrl": "q", "MessageBody": {"token.$": "$$.Task.Token"}});
    let mut retried = task(FUNCTION, Value::Null, "Ask");
    retried["Retry"] = json!([{"ErrorEquals": ["Lambda.TimeoutException"], "IntervalSeconds": 60}]);
    retried["ResultPath"] = json!("$.charged");
    let mut wait = task("arn:aws:states:::sqs:sendMessage.waitForTaskToken", token, "Job");
    wait["ResultPath"] = json!("$.asked");
    let mut job = task("arn:aws:states:::states:startExecution.sync:2", json!({"StateMachineArn": "x"}), "Manual");
    job["ResultPath"] = json!("$.job");
    let mut manual = task(ACTIVITY, Value::Null, "Each");
    manual["ResultPath"] = json!("$.manual");
    let each = json!({"StartAt": "One", "States": {"One": {"Type": "Task", "Resource": FUNCTION, "End": true}}});
    json!({"StartAt": "Charge", "States": {"Charge": retried, "Ask": wait, "Job": job, "Manual": manual,
        "Each": {"Type": "Map", "ItemsPath": "$.items", "ResultPath": "$.each", "ItemProcessor": each, "End": true}}})
}

fn mocks() -> Value {
    json!({"StateMachines": {"tasks": {"TestCases": {"All": {"Charge": "Retried", "Ask": "Answered", "Job": "Done",
            "Manual": "Done", "One": "ByItem"}, "Short": {"Charge": "Exhausted"}}}},
        "MockedResponses": {
            "Retried": {"0-1": {"Throw": {"Error": "Lambda.TimeoutException", "Cause": "slow"}}, "2": {"Return": 3}},
            "Exhausted": {"0": {"Throw": {"Error": "Lambda.TimeoutException"}}},
            "Answered": {"0": {"Return": {"yes": true}, "Delay": 3_600}},
            "Done": {"0": {"Return": "done"}},
            "ByItem": {"Items": {"0-1": {"0": {"Return": "low"}}}, "0": {"Return": "high"}}}})
}

#[test]
fn every_kind_of_task_gets_its_mocked_answer() {
    let (server, _directory) = mocked(&mocks());
    let machine = server.create("tasks", &tasks());
    let described = run(&server, &machine, "All");
    let wanted = json!({"items": [1, 2, 3], "charged": 3, "asked": {"yes": true}, "job": "done", "manual": "done",
        "each": ["low", "low", "high"]});
    assert_eq!(output(&described), wanted);
    let time = |member: &str| described[member].as_f64().expect("a time");
    let lasted = time("stopDate") - time("startDate");
    assert!((3_780.0..3_900.0).contains(&lasted), "an hour's delay, and retries after one and two minutes: {lasted}");

    let short = run(&server, &machine, "Short");
    assert_eq!(short["status"], "FAILED");
    assert_eq!(short["error"], "States.Runtime");
    assert!(short["cause"].as_str().is_some_and(|cause| cause.contains("attempt 1 of the state Charge")), "{short}");
}

#[test]
fn a_test_case_that_is_not_there_is_refused_with_those_that_are() {
    let (server, _directory) = mocked(&mocks());
    let machine = server.create("tasks", &tasks());
    let answer = server.call("StartExecution", &json!({"stateMachineArn": format!("{machine}#None")}));
    answer.is_error("ValidationException", "tasks has All, Short");
    // Without mocks, # is what it is on AWS.
    let plain = Server::start();
    let machine = plain.create("tasks", &json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}));
    let answer = plain.call("StartExecution", &json!({"stateMachineArn": format!("{machine}#All")}));
    assert_eq!(answer.code(), "InvalidArn");
}

#[test]
fn a_wrong_file_of_mocks_is_named_with_its_place() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mocks.json");
    std::fs::write(&file, r#"{"StateMachines": {"m": {"TestCases": {"c": {"S": "R"}}}}}"#).expect("written");
    let said = say(directory.path(), &["serve", "--in-memory", "--listen=127.0.0.1:0", "--mock-config=mocks.json"], "");
    said.ended(1, &["mocks.json: StateMachines.m.TestCases.c.S: names \"R\""]);
}

#[test]
fn what_was_recorded_replays_the_same_path_and_output() {
    let (server, _mocks) = mocked(&mocks());
    let machine = server.create("tasks", &tasks());
    let described = run(&server, &machine, "All");
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("tasks.asl.json"), tasks().to_string()).expect("written");
    let url = format!("http://{}", server.address);
    let arn = described["executionArn"].as_str().expect("an ARN");
    let record = ["mocks", "record", arn, "--endpoint-url", &url, "-o", "recorded.json", "--test", "tasks.test.json"];
    say(at, &record, "").ended(0, &[]);
    let said = say(at, &["test", "--json"], "");
    said.ended(0, &[]);
    assert_eq!(said.json()["passed"], 1, "{}", said.stdout);

    // And on a server.
    let recorded: Value =
        serde_json::from_str(&std::fs::read_to_string(at.join("recorded.json")).expect("written")).expect("JSON");
    let (replaying, _directory) = mocked(&recorded);
    let machine = replaying.create("tasks", &tasks());
    assert_eq!(output(&run(&replaying, &machine, "Recorded")), output(&described));
    say(at, &["mocks", "record", "arn:aws:states:us-east-1:000000000000:execution:tasks:x", "--endpoint", &url], "")
        .ended(1, &["ExecutionDoesNotExist"]);
}

#[test]
fn children_of_distributed_maps_and_express_executions_get_mocked_answers() {
    let states = json!({"Item": "Done", "Sync": "Done"});
    let file = json!({"StateMachines": {"map": {"TestCases": {"C": states}}, "express": {"TestCases": {"C": states}}},
        "MockedResponses": {"Done": {"0": {"Return": "mocked", "Delay": 30}}}});
    let (server, _directory) = mocked(&file);
    let item = json!({"Item": {"Type": "Task", "Resource": FUNCTION, "End": true}});
    for kind in ["STANDARD", "EXPRESS"] {
        let machine = json!({"StartAt": "Each", "States": {"Each": {"Type": "Map", "ItemsPath": "$.items", "End": true,
            "Label": "Each", "ItemProcessor": {"StartAt": "Item", "States": item,
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}}}}});
        let machine = server.create("map", &machine);
        assert_eq!(output(&run(&server, &machine, "C")), json!(["mocked", "mocked", "mocked"]), "{kind}");
        server.ok("DeleteStateMachine", &json!({"stateMachineArn": machine}));
        server.until(|| server.call("DescribeStateMachine", &json!({"stateMachineArn": machine})).status == 400);
    }
    let definition =
        json!({"StartAt": "Sync", "States": {"Sync": {"Type": "Task", "Resource": FUNCTION, "End": true}}});
    let new = json!({"name": "express", "roleArn": ROLE, "type": "EXPRESS", "definition": definition.to_string()});
    let machine = server.ok("CreateStateMachine", &new)["stateMachineArn"].as_str().expect("an ARN").to_owned();
    let start = json!({"stateMachineArn": format!("{machine}#C")});
    let ended = server.ok("StartSyncExecution", &start);
    assert_eq!((&ended["status"], &ended["output"]), (&json!("SUCCEEDED"), &json!("\"mocked\"")));
}

#[test]
fn a_mocked_machine_may_call_what_is_not_served() {
    let file =
        json!({"StateMachines": {"ecs": {"TestCases": {"C": {"Run": {"Return": {"done": true}, "Delay": 600}}}}}});
    let (server, _directory) = mocked(&file);
    let run_task = json!({"StartAt": "Run", "States": {"Run": {"Type": "Task", "End": true,
        "Resource": "arn:aws:states:::ecs:runTask.sync", "Parameters": {"TaskDefinition": "t"}}}});
    let machine = server.create("ecs", &run_task);
    assert_eq!(output(&run(&server, &machine, "C")), json!({"done": true}));
    let plain = json!({"name": "other", "roleArn": ROLE, "definition": run_task.to_string()});
    server.call("CreateStateMachine", &plain).is_error("InvalidDefinition", "ecs:runTask.sync");
    // Without its test case, there is nobody to call.
    let started = server.ok("StartExecution", &json!({"stateMachineArn": machine}));
    let described = server.wait(&started["executionArn"]);
    assert!(described["cause"].as_str().is_some_and(|cause| cause.contains("No connector")), "{described}");

    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("ecs.asl.json"), run_task.to_string()).expect("written");
    let test = json!({"tests": [{"name": "t", "mocks": {"Run": {"Return": 1}}, "expect": {"output": 1}}]});
    std::fs::write(at.join("ecs.test.json"), test.to_string()).expect("written");
    say(at, &["test"], "").ended(0, &[]);
}

#[test]
fn a_killed_server_goes_on_with_the_same_mocks() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let file = json!({"StateMachines": {"m": {"TestCases": {"C": {"Manual": "R"}}}},
        "MockedResponses": {"R": {"0": {"Throw": {"Error": "E"}}, "1": {"Return": "second", "Delay": 10}}}});
    std::fs::write(at.join("mocks.json"), file.to_string()).expect("written");
    let serve = || Serving::start(at, &["--clock=frozen", "--mock-config=mocks.json"]);
    let serving = serve();
    let retry = json!([{"ErrorEquals": ["E"], "IntervalSeconds": 60}]);
    let definition = json!({"StartAt": "Manual", "States": {
        "Manual": {"Type": "Task", "Resource": ACTIVITY, "Retry": retry, "End": true}}});
    let new = json!({"name": "m", "roleArn": ROLE, "definition": definition.to_string()});
    let machine = serving.ok("CreateStateMachine", &new)["stateMachineArn"].as_str().expect("an ARN").to_owned();
    let started = serving.ok("StartExecution", &json!({"stateMachineArn": format!("{machine}#C")}));
    let arn = json!({"executionArn": started["executionArn"]});
    // What is due now is done when an advance is.
    serving.clock(at, &["advance", "1s"]);
    drop(serving);
    let serving = serve();
    serving.clock(at, &["advance", "60s"]);
    assert_eq!(serving.ok("DescribeExecution", &arn)["status"], "RUNNING");
    drop(serving);
    let serving = serve();
    serving.clock(at, &["advance", "1m"]);
    let described = serving.ok("DescribeExecution", &arn);
    assert_eq!(
        (&described["status"], &described["output"]),
        (&json!("SUCCEEDED"), &json!("\"second\"")),
        "{described}"
    );
    drop(serving);
    say(at, &["check", "--data-directory", "data"], "").ended(0, &[]);
}

/// Ten minutes of waits, and retries.
const ORDER: &str = r#"
StartAt: Charge
States:
  Charge:
    Type: Task
    Resource: arn:aws:lambda:us-east-1:000000000000:function:charge
    ResultPath: $.charge
    Retry:
      - ErrorEquals: [Slow]
        IntervalSeconds: 60
        BackoffRate: 1
        MaxAttempts: 5
      - ErrorEquals: [Never]
    Catch:
      - ErrorEquals: [Declined]
        Next: Sorry
    Next: Cool
  Cool: {Type: Wait, Seconds: 300, Next: Large}
  Large:
    Type: Choice
    Choices:
      - {Variable: $.total, NumericGreaterThan: 100, Next: Done}
      - {Variable: $.total, NumericLessThan: 0, Next: Done}
    Default: Done
  Sorry: {Type: Pass, Result: sorry, End: true}
  Done: {Type: Pass, Parameters: {"paid.$": $.charge.paid}, End: true}
"#;

fn write_order(at: &Path, tests: &[Value]) {
    std::fs::write(at.join("order.asl.yaml"), ORDER).expect("written");
    std::fs::write(at.join("order.test.json"), json!({"tests": tests}).to_string()).expect("written");
}

fn retried(name: &str) -> Value {
    let slow = json!({"Throw": {"Error": "Slow"}});
    json!({"name": name, "input": {"total": 7},
        "mocks": {"Charge": [slow, slow, slow, slow, slow, {"Return": {"paid": 7}}]},
        "expect": {"output": {"paid": 7}, "path": ["Charge", "Cool", "Large", "Done"]}})
}

#[test]
fn three_hundred_tests_of_ten_minutes_pass_and_are_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let tests: Vec<Value> = (0..300).map(|number| retried(&format!("order {number}"))).collect();
    write_order(at, &tests);
    let said = say(at, &["test", "--json"], "");
    said.ended(0, &[]);
    let said = said.json();
    assert_eq!(said["passed"], 300);
    assert!(said["tests"].as_array().is_some_and(|all| all.iter().all(|test| test["lastedSeconds"] == 600.0)));
    eprintln!("300 tests of ten minutes each took {} s", said["seconds"]);
}

#[test]
fn a_failure_shows_the_first_difference_and_the_data_flow() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let mut wrong_output = retried("output");
    wrong_output["expect"] = json!({"output": {"paid": 8}});
    let mut wrong_path = retried("path");
    wrong_path["expect"] = json!({"path": ["Charge", "Sorry"]});
    let mut wrong_call = retried("call");
    wrong_call["expect"] = json!({"calls": [{"state": "Charge", "resource": ":charge", "parameters": {"total": 8}}]});
    let unmocked = json!({"name": "unmocked", "input": {"total": 7}});
    let stuck = json!({"name": "stuck", "input": {}, "mocks": {"Charge": {"Never": true}}});
    write_order(at, &[wrong_output, wrong_path, wrong_call, unmocked, stuck]);
    let said = say(at, &["test", "--junit", "junit.xml"], "");
    said.ended(1, &["5 of 5 tests did not pass"]);
    for part in [
        "output differs at $.paid\n          expected: 8\n          got:      7",
        "data flow of the state Done:\n          input: {\"total\":7,\"charge\":{\"paid\":7}}\n          \
         after Parameters: {\"paid\":7}\n          output: {\"paid\":7}",
        "path differs at path[1]\n          expected: Sorry\n          got:      Cool",
        "calls differs at calls[0].parameters.total\n          expected: 8\n          got:      7",
        "The state Charge calls arn:aws:lambda:us-east-1:000000000000:function:charge, and its test has no mock for it",
        "RUNNING, and nothing can happen any more",
    ] {
        assert!(said.stdout.contains(part), "{part}\nis missing in:\n{}", said.stdout);
    }
    let junit = std::fs::read_to_string(at.join("junit.xml")).expect("written");
    assert!(junit.contains("tests=\"5\" failures=\"5\" errors=\"0\""), "{junit}");
    let tap = say(at, &["test", "--tap", "--filter", "path"], "").stdout;
    assert!(tap.starts_with("TAP version 14\n1..1\nnot ok 1 - "), "{tap}");
}

#[test]
fn coverage_counts_states_rules_retriers_and_catchers() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let declined = json!({"name": "declined", "mocks": {"Charge": {"Throw": {"Error": "Declined"}}},
        "expect": {"path": ["Charge", "Sorry"], "output": "sorry"}});
    let mut large = retried("large");
    large["input"] = json!({"total": 101});
    large["expect"] = json!({});
    write_order(at, &[large, declined]);
    let arguments = ["test", "--coverage", "--coverage-json", "c.json", "--coverage-svg", "c.svg"];
    let said = say(at, &arguments, "");
    said.ended(0, &[]);
    let row = said.stdout.lines().find(|line| line.contains("order.asl.yaml")).expect("a row");
    let cells: Vec<&str> = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(cells[1..], ["5/5", "1/3", "1/2", "1/1", "Large.Choices[1], Large.Default, Charge.Retry[1]"], "{row}");
    let json: Value =
        serde_json::from_str(&std::fs::read_to_string(at.join("c.json")).expect("written")).expect("JSON");
    let charge = &json["definitions"][0];
    assert_eq!(charge["retriers"]["entries"][0], json!({"state": "Charge", "hits": 5, "place": "Retry[0]"}));
    assert_eq!(charge["choiceRules"]["found"], 3);
    let svg = std::fs::read_to_string(at.join("c.svg")).expect("written");
    assert!(svg.starts_with("<svg ") && svg.contains("2 missed"), "{svg}");
}

#[test]
fn what_is_asked_wrongly() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    say(at, &["test"], "").ended(2, &["there are no tests to run in ."]);
    say(at, &["test", "nowhere"], "").ended(2, &["nowhere is not there"]);
    std::fs::write(at.join("a.test.yaml"), "tests:\n  - nam: x\n").expect("written");
    say(at, &["test"], "").ended(2, &["a.test.yaml: tests[0]: has no member \"nam\"; its members are name, input"]);
    std::fs::write(at.join("a.test.yaml"), "tests: [{name: x}]\n").expect("written");
    say(at, &["test"], "").ended(2, &["a.test.yaml: there is no definition", "a"]);
    std::fs::write(at.join("a.asl.json"), "{}").expect("written");
    say(at, &["test"], "").ended(2, &["a.asl.json: is no valid definition"]);
}

/// A template that makes two machines, of which one is not right.
const TEMPLATE: &str = r#"
Transform: AWS::Serverless-2016-10-31
Parameters: {Stage: {Type: String, Default: dev}}
Resources:
  Charge:
    Type: AWS::Serverless::Function
    Properties: {Runtime: python3.12, Handler: app.handler, InlineCode: "def handler(e, c): return e"}
  Orders:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: !Sub orders-${Stage}
      DefinitionUri: orders.asl.yaml
      DefinitionSubstitutions: {Charge: !GetAtt Charge.Arn}
  Broken:
    Type: AWS::Serverless::StateMachine
    Properties: {Definition: {StartAt: Nowhere, States: {}}}
"#;

/// Writes a test file of one test.
fn write_test(at: &Path, file: &str, head: &Value) {
    let mut whole = json!({"tests": [{"name": "pays", "mocks": {"Pay": {"Return": 7}}, "expect": {"output": 7,
        "calls": [{"resource": ":us-east-1:000000000000:function:Charge"}]}}]});
    let head = head.as_object().expect("an object").clone();
    whole.as_object_mut().expect("an object").extend(head);
    std::fs::write(at.join(file), whole.to_string()).expect("written");
}

#[test]
fn a_machine_of_a_template_is_tested_as_dev_would_register_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::create_dir_all(at.join("shop/tests")).expect("made");
    std::fs::write(at.join("shop/template.yaml"), TEMPLATE).expect("written");
    let definition = "StartAt: Pay\nStates: {Pay: {Type: Task, Resource: \"${Charge}\", End: true}}\n";
    std::fs::write(at.join("shop/orders.asl.yaml"), definition).expect("written");

    write_test(at, "shop/orders.test.json", &json!({"machine": "orders-dev"}));
    write_test(at, "shop/tests/orders.test.json", &json!({"machine": "orders-dev", "project": ".."}));
    let said = say(at, &["test", "--coverage"], "");
    said.ended(0, &[]);
    assert!(said.stdout.contains("2 passed") && said.stdout.contains("shop/orders-dev "), "{}", said.stdout);
    say(&at.join("shop"), &["test", "orders.test.json"], "").ended(0, &[]);

    // What the file of the configuration says counts, as for dev.
    std::fs::write(at.join("shop/stepwright.toml"), "[dev.parameters]\nStage = \"prod\"\n").expect("written");
    write_test(at, "shop/orders.test.json", &json!({"machine": "orders-prod"}));
    std::fs::remove_dir_all(at.join("shop/tests")).expect("removed");
    say(at, &["test"], "").ended(0, &[]);

    for (head, wanted) in [
        (
            json!({"machine": "orders"}),
            "machine: there is no state machine \"orders\" in ./shop; there are orders-prod, Broken",
        ),
        (json!({"machine": "Broken"}), "machine: \"Broken\" of ./shop/template.yaml has no valid definition: "),
        (json!({"machine": "a", "project": "none"}), "machine: it is looked for in ./shop/none, which is no folder"),
        (json!({"machine": "a", "definition": "b"}), "machine: is one of a project, and definition is a file"),
    ] {
        write_test(at, "shop/orders.test.json", &head);
        say(at, &["test"], "").ended(2, &[&format!("shop/orders.test.json: {wanted}")]);
    }
}

#[test]
fn a_machine_that_could_not_be_read_is_told_of_with_what_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let definition = r#"{"StartAt": "Pay", "States": {"Pay": {"Type": "Task", "Resource": "${Charge}", "End": true}}}"#;
    std::fs::write(at.join("orders.asl.json"), definition).expect("written");
    write_test(at, "orders.test.json", &json!({"machine": "orders"}));
    say(at, &["test"], "").ended(
        2,
        &[
            "there is no state machine \"orders\" in .; there is none at all",
            "orders.asl.json: there is no value for ${Charge}",
        ],
    );
}
