//! What becomes of valid definitions: numbering, defaults, resources, parts that are not run yet, variables read.

use stepwright_asl::{
    Condition, Definition, Domain, FlowId, InputType, Integration, LONE_STATE, ManifestType, MapMode, NumberField,
    Operand, Options, Pattern, PayloadField, QueryLanguage, Relation, Resource, ResourceError, ResultPath,
    ResultTransformation, State, StateId, StateKind, Test, TextField, Transition, WaitUntil, parse, parse_state,
    variable_references,
};
use stepwright_querylang::jsonata::StatesTemplate;

fn definition(text: &str) -> Definition {
    let parsed = parse(text, &Options::default());
    assert!(parsed.definition.is_some(), "{:?}", parsed.diagnostics);
    parsed.definition.expect("checked above")
}

/// The state `S` of a machine that consists of it and of a state `Z` that ends.
fn state(text: &str) -> State {
    let definition =
        definition(&format!(r#"{{"StartAt": "S", "States": {{"S": {text}, "Z": {{"Type": "Succeed"}}}}}}"#));
    definition.states[0].clone()
}

const NESTED: &str = r#"{
    "StartAt": "B", "TimeoutSeconds": 60,
    "States": {
        "A": {"Type": "Parallel", "Next": "D", "Branches": [
            {"StartAt": "A2", "States": {
                "A1": {"Type": "Pass", "End": true},
                "A2": {"Type": "Map", "Next": "A1", "Iterator": {"StartAt": "I", "States": {"I": {"Type": "Succeed"}}}}}},
            {"StartAt": "A3", "States": {"A3": {"Type": "Fail"}}}]},
        "B": {"Type": "Pass", "Next": "A"},
        "D": {"Type": "Pass", "End": true}
    }
}"#;

#[test]
fn states_and_flows_are_numbered_in_document_order() {
    let definition = definition(NESTED);
    let names: Vec<&str> = definition.states.iter().map(|state| &*state.name).collect();
    assert_eq!(names, ["A", "A1", "A2", "I", "A3", "B", "D"]);
    assert!(definition.states.iter().enumerate().all(|(index, state)| state.id == StateId(index as u32)));
    let flows: Vec<(u32, Option<u32>)> =
        definition.flows.iter().map(|flow| (flow.start_at.0, flow.owner.map(|owner| owner.0))).collect();
    assert_eq!(flows, [(5, None), (2, Some(0)), (3, Some(2)), (4, Some(0))]);
    let of: Vec<u32> = definition.states.iter().map(|state| state.flow.0).collect();
    assert_eq!(of, [0, 1, 1, 2, 3, 0, 0]);
    assert_eq!(definition.timeout_seconds, Some(60));
    let StateKind::Parallel(parallel) = &definition.state(StateId(0)).kind else { panic!() };
    assert_eq!(parallel.branches, [FlowId(1), FlowId(3)]);
    assert_eq!(parallel.transition, Transition::Next(StateId(6)));
}

#[test]
fn pass_and_data_flow() {
    let pass = state(
        r#"{"Type": "Pass", "Result": {"a.$": 1, "n": 1.50}, "ResultPath": "$.r", "InputPath": null, "Next": "Z"}"#,
    );
    let StateKind::Pass(kind) = &pass.kind else { panic!() };
    assert_eq!(kind.result.as_ref().map(ToString::to_string).as_deref(), Some(r#"{"a.$":1,"n":1.5}"#));
    assert_eq!(kind.transition, Transition::Next(StateId(1)));
    assert!(matches!(pass.data.input_path, stepwright_asl::PathField::Nothing));
    assert!(matches!(pass.data.output_path, stepwright_asl::PathField::Whole));
    assert!(matches!(&pass.data.result_path, ResultPath::At(path) if path.text() == "$.r"));
    let discarded = state(r#"{"Type": "Pass", "ResultPath": null, "Next": "Z"}"#);
    assert!(matches!(discarded.data.result_path, ResultPath::Discard));
}

#[test]
fn task_and_its_defaults() {
    let task = state(
        r#"{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "TimeoutSecondsPath": "$.t",
            "HeartbeatSeconds": 5, "Parameters": {"FunctionName": "f"}, "Retry": [{"ErrorEquals": ["E"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Z"}], "Next": "Z"}"#,
    );
    let StateKind::Task(task) = task.kind else { panic!() };
    let Resource::Integration(Integration { resource_type, resource, action, pattern, parameters, required, .. }) =
        &task.resource
    else {
        panic!()
    };
    assert_eq!((&**resource_type, &**resource, &**action), ("lambda", "invoke.waitForTaskToken", "invoke"));
    assert_eq!(*pattern, Pattern::WaitForTaskToken);
    assert!(parameters.is_some_and(|names| names.contains(&"Qualifier")));
    assert_eq!(*required, ["FunctionName"]);
    assert!(matches!(&task.timeout_seconds, Some(NumberField::Path(path)) if path.text() == "$.t"));
    assert!(matches!(task.heartbeat_seconds, Some(NumberField::Literal(5))));
    let retrier = &task.retry[0];
    assert_eq!((retrier.interval_seconds, retrier.max_attempts, retrier.max_delay_seconds), (1, 3, None));
    assert!((retrier.backoff_rate - 2.0).abs() < f64::EPSILON && !retrier.full_jitter);
    assert_eq!(task.catch[0].next, StateId(1));
}

#[test]
fn wait_and_fail() {
    let StateKind::Wait(wait) = state(r#"{"Type": "Wait", "Timestamp": "1970-01-01T00:00:01.5Z", "Next": "Z"}"#).kind
    else {
        panic!()
    };
    assert!(matches!(wait.until, WaitUntil::Timestamp(1_500)));
    let parsed = definition(r#"{"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "CausePath": "$.c"}}}"#);
    let StateKind::Fail(fail) = &parsed.states[0].kind else { panic!() };
    assert!(matches!(&fail.error, Some(TextField::Literal(text)) if &**text == "E"));
    assert!(matches!(&fail.cause, Some(TextField::Expression(expression)) if expression.text() == "$.c"));
}

#[test]
fn choice_conditions() {
    let choice = state(
        r#"{"Type": "Choice", "Choices": [{"Next": "Z", "Assign": {"v": 1},
            "And": [{"Variable": "$.n", "NumericLessThanEqualsPath": "$$.Execution.Input.m"},
                    {"Not": {"Or": [{"Variable": "$v", "TimestampGreaterThan": "2024-01-01T00:00:00Z"}, {"Variable": "$.p", "IsPresent": false}]}}]}],
            "Default": "Z"}"#,
    );
    let StateKind::Choice(choice) = choice.kind else { panic!() };
    assert_eq!(choice.default, Some(StateId(1)));
    assert!(choice.rules[0].assign.is_some());
    let Condition::And(and) = &choice.rules[0].condition else { panic!() };
    let Condition::Test { variable, test: Test::Compare { domain, relation, operand: Operand::Path(path) } } = &and[0]
    else {
        panic!()
    };
    assert_eq!((variable.text(), path.text()), ("$.n", "$$.Execution.Input.m"));
    assert_eq!((*domain, *relation), (Domain::Numeric, Relation::LessThanEquals));
    let Condition::Not(not) = &and[1] else { panic!() };
    let Condition::Or(or) = &**not else { panic!() };
    assert!(matches!(
        &or[0],
        Condition::Test { test: Test::Compare { operand: Operand::Literal(value), .. }, .. } if value == "2024-01-01T00:00:00Z"
    ));
    assert!(matches!(&or[1], Condition::Test { test: Test::IsPresent(false), .. }));
}

#[test]
fn map_modes() {
    let map = |config: &str, fields: &str| {
        let state = state(&format!(
            r#"{{"Type": "Map", {fields} "ItemProcessor": {{ {config} "StartAt": "I", "States": {{"I": {{"Type": "Succeed"}}}}}}, "Next": "Z"}}"#
        ));
        match state.kind {
            StateKind::Map(map) => *map,
            other => panic!("{other:?}"),
        }
    };
    let inline = map("", r#""Parameters": {"a": 1}, "MaxConcurrency": 3,"#);
    assert_eq!(inline.mode, MapMode::Inline);
    assert!(inline.item_selector.is_some());
    assert!(matches!(inline.max_concurrency, Some(NumberField::Literal(3))));
    let distributed = map(
        r#""ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},"#,
        r#""Label": "l", "ToleratedFailureCount": 2,"#,
    );
    assert_eq!(distributed.mode, MapMode::DistributedExpress);
    assert_eq!(distributed.distributed.to_string(), r#"{"Label":"l","ToleratedFailureCount":2}"#);
}

#[test]
fn jsonata_is_compiled_with_its_places() {
    let text = r#"{"QueryLanguage": "JSONata", "StartAt": "W", "States": {
        "W": {"Type": "Wait", "Seconds": "{% $s %}", "Assign": {"v": "{% 1 %}"}, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% $v = 1 %}", "Next": "S", "Output": "x"}], "Default": "S"},
        "S": {"Type": "Succeed", "Output": {"a": "{% $v %}", "b.$": "$.not"}}}}"#;
    let definition = definition(text);
    assert_eq!(definition.query_language, QueryLanguage::Jsonata);
    let [wait, choice, succeed] = &definition.states[..] else { panic!() };
    assert!(
        matches!(&wait.kind, StateKind::Wait(wait) if matches!(&wait.until, WaitUntil::SecondsJsonata(e) if e.text() == "$s" && &**e.location() == "Seconds"))
    );
    assert!(wait.jsonata.assign.is_some());
    let StateKind::Choice(kind) = &choice.kind else { panic!() };
    assert!(matches!(&kind.rules[0].condition, Condition::Jsonata(e) if &**e.location() == "Choices[0]/Condition"));
    assert!(kind.rules[0].jsonata.output.is_some() && choice.jsonata.output.is_none());
    assert_eq!(succeed.jsonata.output.as_ref().map(StatesTemplate::variables), Some(vec!["v".to_owned()]));
}

#[test]
fn what_is_not_run_yet_is_listed() {
    let parsed = parse(
        r#"{"StartAt": "P", "States": {
            "P": {"Type": "Pass", "QueryLanguage": "JSONata", "Next": "M"},
            "M": {"Type": "Map", "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "I", "States": {"I": {"Type": "Task", "Resource": "arn:aws:states:::ecs:runTask", "End": true}}}, "Next": "L"},
            "L": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}, "End": true}}}"#,
        &Options::default(),
    );
    assert!(parsed.definition.is_some());
    let listed: Vec<(&str, &str)> =
        parsed.unsupported.iter().map(|part| (part.feature.as_str(), part.location.as_str())).collect();
    assert_eq!(listed, [("the resource arn:aws:states:::ecs:runTask", "/States/M/ItemProcessor/States/I")]);
}

#[test]
fn resources() {
    let integration = |resource_type: &str, resource: &str, pattern: Pattern| {
        Ok((resource_type.to_owned(), resource.to_owned(), Some(pattern)))
    };
    let check = |text: &str, expected: Result<(String, String, Option<Pattern>), ResourceError>| {
        let found = Resource::parse(text).map(|resource| match resource {
            Resource::LambdaFunction { .. } => ("function".to_owned(), String::new(), None),
            Resource::Activity { .. } => ("activity".to_owned(), String::new(), None),
            Resource::Integration(found) => {
                (found.resource_type.to_string(), found.resource.to_string(), Some(found.pattern))
            }
        });
        assert_eq!(found, expected, "{text}");
    };
    let function = || Ok(("function".to_owned(), String::new(), None));
    check("arn:aws:lambda:us-east-1:111122223333:function:f", function());
    check("arn:aws-cn:lambda:cn-north-1:111122223333:function:f:PROD", function());
    check("arn:aws:lambda:us-east-1:111122223333:function:f:$LATEST", function());
    check("arn:aws:states:us-east-1:111122223333:activity:a.b", Ok(("activity".to_owned(), String::new(), None)));
    check("arn:aws:states:::sqs:sendMessage", integration("sqs", "sendMessage", Pattern::RequestResponse));
    check("arn:aws-us-gov:states:::ecs:runTask.sync", integration("ecs", "runTask.sync", Pattern::Sync));
    check(
        "arn:aws:states:::states:startExecution.sync:2",
        integration("states", "startExecution.sync:2", Pattern::Sync2),
    );
    check(
        "arn:aws:states:::aws-sdk:sfn:startExecution.waitForTaskToken",
        integration("aws-sdk:sfn", "startExecution.waitForTaskToken", Pattern::WaitForTaskToken),
    );
    for text in ["", "f", "ARN:aws:states:::sqs:sendMessage", "${function}"] {
        check(text, Err(ResourceError::NotAnArn));
    }
    for text in [
        "arn:",
        "arn:aws",
        "arn:aws:s3:::bucket",
        "arn:azure:states:::sqs:sendMessage",
        "arn:aws:lambda:us-east-1:111122223333:function:",
        "arn:aws:lambda:us-east-1:111122223333:function:f:1:2",
        "arn:aws:lambda:us-east-1:111122223333:layer:f",
        "arn:aws:lambda:::function:f",
        "arn:aws:states:us-east-1:111122223333:activity:",
        "arn:aws:states:us-east-1:111122223333:stateMachine:m",
        "arn:aws:states:::sqs",
        "arn:aws:states:::sqs:sendMessage.sync",
        "arn:aws:states:::lambda:invoke.sync:2",
        "arn:aws:states:::lambda:Invoke",
        "arn:aws:states:::dynamodb:query",
        "arn:aws:states:::glue:startJobRun.sync:2",
        "arn:aws:states:::ecs:runTask.async",
        "arn:aws:states:::aws-sdk:s3",
        "arn:aws:states:::aws-sdk:s3:GetObject",
        "arn:aws:states:::aws-sdk:s3:getObject.sync",
        "arn:aws:states:us-east-1::sqs:sendMessage",
    ] {
        check(text, Err(ResourceError::NotRecognized));
    }
}

#[test]
fn variables_that_states_read() {
    let definition = definition(
        r#"{"StartAt": "P", "States": {
            "P": {"Type": "Pass", "InputPath": "$in.x", "Parameters": {"a.$": "States.Format('{}{}', $one, $two.b)", "text": "$no"},
                  "Assign": {"out.$": "$assigned"}, "OutputPath": "$$.Execution", "Next": "C"},
            "C": {"Type": "Choice", "Choices": [{"Not": {"Variable": "$left", "StringEqualsPath": "$right.a"}, "Next": "T"},
                  {"Variable": "$.a", "StringEquals": "$no", "Next": "T"}], "Default": "W"},
            "W": {"Type": "Wait", "SecondsPath": "$seconds", "Next": "T"},
            "T": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName.$": "$f"},
                  "TimeoutSecondsPath": "$timeout", "Catch": [{"ErrorEquals": ["E"], "Assign": {"e.$": "$caught"}, "Next": "F"}], "Next": "M"},
            "M": {"Type": "Map", "ItemsPath": "$items", "ItemSelector": {"i.$": "$selected"}, "ToleratedFailureCountPath": "$count",
                  "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSON", "MaxItemsPath": "$most"},
                                 "Parameters": {"Bucket.$": "$bucket", "Key": "$no"}},
                  "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, "StartAt": "I",
                                    "States": {"I": {"Type": "Pass", "OutputPath": "$inner", "End": true}}}, "Next": "N"},
            "N": {"Type": "Pass", "Result": {"a.$": "$no"}, "Next": "F"},
            "F": {"Type": "Fail", "ErrorPath": "$error", "CausePath": "States.Format('{}', $cause)"}}}"#,
    );
    let found: Vec<String> = variable_references(&definition)
        .iter()
        .map(|(state, names)| format!("{state}: {}", names.iter().cloned().collect::<Vec<_>>().join(" ")))
        .collect();
    assert_eq!(
        found,
        [
            "C: left right",
            "F: cause error",
            "I: inner",
            // With a reader the service ignores ItemsPath.
            "M: bucket count most selected",
            "P: assigned in one two",
            "T: caught f timeout",
            "W: seconds",
        ],
    );
}

#[test]
fn variables_that_jsonata_states_read() {
    let definition = definition(
        r#"{"QueryLanguage": "JSONata", "StartAt": "P", "States": {
            "P": {"Type": "Pass", "Output": {"a": ["{% $one + $sum($two.b) %}"], "b": "$no", "c": " {% $no %} "},
                  "Assign": {"out": "{% ($local := 1; $assigned + $local) %}"}, "Next": "C"},
            "C": {"Type": "Choice", "Choices": [{"Condition": "{% $left < $states.input %}", "Output": "{% $o %}", "Next": "T"}],
                  "Default": "W"},
            "W": {"Type": "Wait", "Seconds": "{% $seconds %}", "Next": "T"},
            "T": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": {"FunctionName": "{% $f %}"},
                  "TimeoutSeconds": "{% $timeout %}", "Credentials": {"RoleArn": "{% $role %}"},
                  "Catch": [{"ErrorEquals": ["E"], "Assign": {"e": "{% $caught %}"}, "Next": "F"}], "Next": "M"},
            "M": {"Type": "Map", "Items": ["{% $items %}"], "ItemSelector": {"i": "{% $selected %}"},
                  "MaxConcurrency": "{% $most %}", "ToleratedFailureCount": "{% $failures %}",
                  "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass", "Output": "{% $inner %}", "End": true}}},
                  "Next": "F"},
            "F": {"Type": "Fail", "Error": "{% $name %}", "Cause": "{% $states.input.cause & $cause %}"}}}"#,
    );
    let found: Vec<String> = variable_references(&definition)
        .iter()
        .map(|(state, names)| format!("{state}: {}", names.iter().cloned().collect::<Vec<_>>().join(" ")))
        .collect();
    assert_eq!(
        found,
        [
            "C: left o",
            "F: cause name",
            "I: inner",
            "M: failures items most selected",
            "P: assigned one two",
            "T: caught f role timeout",
            "W: seconds",
        ],
    );
}

#[test]
fn the_run_of_a_map() {
    let map = |fields: &str| {
        let state = state(&format!(
            r#"{{"Type": "Map", {fields} "ItemProcessor": {{"ProcessorConfig": {{"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
                "StartAt": "I", "States": {{"I": {{"Type": "Succeed"}}}}}}, "Next": "Z"}}"#
        ));
        match state.kind {
            StateKind::Map(map) => map.run,
            other => panic!("{other:?}"),
        }
    };
    let run = map("");
    assert!(run.reader.is_none() && run.batcher.is_none() && !run.exports());
    let run = map(r#""ToleratedFailureCountPath": "$.n", "ToleratedFailurePercentage": 12.5,
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "CSV", "MaxItems": 7,
            "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a", "b"], "CSVDelimiter": "PIPE"}},
        "ItemBatcher": {"MaxItemsPerBatch": 3, "MaxInputBytesPerBatchPath": "$.b", "BatchInput": {"x.$": "$.x"}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b"}},"#);
    assert!(run.exports());
    assert!(matches!(run.tolerated_failure_count, Some(NumberField::Path(path)) if path.text() == "$.n"));
    assert!(matches!(run.tolerated_failure_percentage, Some(NumberField::Literal(share)) if share == 12.5));
    let reader = run.reader.expect("given");
    assert_eq!((reader.input_type, reader.csv_delimiter), (Some(InputType::Csv), Some('|')));
    assert_eq!(reader.csv_headers.expect("given").iter().map(|name| &**name).collect::<Vec<_>>(), ["a", "b"]);
    assert!(matches!(reader.max_items, Some(NumberField::Literal(7))));
    let batcher = run.batcher.expect("given");
    assert!(matches!(batcher.max_items, Some(NumberField::Literal(3))));
    assert!(matches!(batcher.max_bytes, Some(NumberField::Path(path)) if path.text() == "$.b"));
    assert!(matches!(batcher.batch_input, Some(PayloadField::JsonPath(_))));
    let writer = run.writer.expect("given");
    assert!(matches!(writer.parameters, Some(PayloadField::JsonPath(_))));
    assert_eq!((writer.transformation, writer.is_lines, run.label), (None, false, None));
    assert!(!reader.lists && !reader.loads_and_flattens && reader.manifest == ManifestType::S3Inventory);
    let run = map(
        r#""QueryLanguage": "JSONata", "ToleratedFailurePercentage": "{% 1 %}", "ToleratedFailureCount": "{% 2 %}",
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Arguments": {"Bucket": "b", "Key": "k"},
            "ReaderConfig": {"InputType": "JSON", "ItemsPointer": "/a"}},
        "ItemBatcher": {"BatchInput": {"x": "{% 3 %}"}, "MaxItemsPerBatch": "{% 4 %}"},
        "ResultWriter": {"WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}},"#,
    );
    // Results that are only shaped stay where they are.
    assert!(!run.exports());
    assert!(matches!(run.tolerated_failure_count, Some(NumberField::Jsonata(_))));
    assert!(matches!(run.tolerated_failure_percentage, Some(NumberField::Jsonata(_))));
    let reader = run.reader.expect("given");
    assert_eq!(reader.items_pointer.as_deref(), Some("/a"));
    assert!(matches!(reader.parameters, Some(PayloadField::Jsonata(_))));
    let writer = run.writer.expect("given");
    assert_eq!((writer.transformation, writer.is_lines), (Some(ResultTransformation::Compact), true));
    assert!(matches!(run.batcher.expect("given").batch_input, Some(PayloadField::Jsonata(_))));
    let run = map(
        r#""Label": "l", "ItemReader": {"Resource": "arn:aws:states:::s3:listObjectsV2", "Parameters": {"Bucket": "b"},
            "ReaderConfig": {"InputType": "MANIFEST", "ManifestType": "ATHENA_DATA", "Transformation": "LOAD_AND_FLATTEN"}},
        "ResultWriter": {"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSON"}},"#,
    );
    let reader = run.reader.expect("given");
    assert!(reader.lists && reader.loads_and_flattens && reader.manifest == ManifestType::AthenaData);
    assert_eq!(run.writer.expect("given").transformation, Some(ResultTransformation::Flatten));
    assert_eq!(run.label.as_deref(), Some("l"));
}

#[test]
fn a_state_that_stands_alone_leads_anywhere() {
    let lone = |text: &str| parse_state(text, &Options::default());
    let found = lone(
        r#"{"Type": "Choice", "Default": "B", "Choices": [
            {"Variable": "$.x", "IsNull": true, "Next": "A"}, {"Variable": "$.y", "IsNull": true, "Next": "B"},
            {"Variable": "$.z", "IsNull": true, "Next": "StateName"}]}"#,
    );
    let definition = found.parsed.definition.expect("valid");
    assert_eq!(&*definition.states[0].name, LONE_STATE);
    let StateKind::Choice(choice) = &definition.states[0].kind else { panic!() };
    let next: Vec<StateId> = choice.rules.iter().map(|rule| rule.next).collect();
    let place = |name: &str| found.elsewhere.iter().position(|known| **known == *name).expect("leads there");
    let elsewhere = |name: &str| StateId(u32::try_from(1 + place(name)).expect("few"));
    assert_eq!(next, [elsewhere("A"), elsewhere("B"), StateId(0)]);
    assert_eq!((choice.default, found.elsewhere.len()), (Some(elsewhere("B")), 2));

    // What is in it is judged as ever.
    let branch = r#"{"StartAt": "X", "States": {"X": {"Type": "Pass", "Next": "Y"}}}"#;
    let found = lone(&format!(r#"{{"Type": "Parallel", "Branches": [{branch}], "Next": "Z"}}"#));
    let said: Vec<String> = found.parsed.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: Y at /States/StateName/Branches[0]/States/X/Next",
            "MISSING_END_STATE: Workflow has no terminal state at /States/StateName/Branches[0]",
        ]
    );
    for (text, expected) in [
        ("", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object"),
        ("[]", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object"),
        (
            r#"{"Type": "Pass", "End": true, "States": {}}"#,
            "SCHEMA_VALIDATION_FAILED: Field 'States' is not supported at /States/StateName",
        ),
    ] {
        let said = lone(text).parsed.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(said, [expected], "{text}");
    }
    assert!(lone("{").parsed.diagnostics[0].to_string().starts_with("INVALID_JSON_DESCRIPTION"));
}

#[test]
fn children_of_type_express_are_express_workflows() {
    let of = |kind: &str, resource: &str| {
        let text = format!(
            r#"{{"StartAt": "M", "States": {{"M": {{"Type": "Map", "End": true, "ItemProcessor": {{
                "ProcessorConfig": {{"Mode": "DISTRIBUTED", "ExecutionType": "{kind}"}}, "StartAt": "T",
                "States": {{"T": {{"Type": "Task", "End": true, "Resource": "{resource}"}}}}}}}}}}}}"#
        );
        parse(&text, &Options::default()).diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let activity = "arn:aws:states:us-east-1:111122223333:activity:a";
    assert_eq!(of("STANDARD", activity), <[&str; 0]>::default());
    let [refused] = &of("EXPRESS", activity)[..] else { panic!("one diagnostic") };
    assert!(
        refused.contains("Express state machine does not support Activity ARN at /States/M/ItemProcessor/States/T")
    );
}
