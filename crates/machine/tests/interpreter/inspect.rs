//! States under test: what is noted of each step, and where a test ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use serde_json::{Value, json};
use stepwright_asl::{Options, StateId, parse, parse_state};
use stepwright_machine::{
    ExecutionInfo, Failure, Payload,
    inspect::{Inspection, Noted, Setup, Standing, Verdict},
};

const NOW: i64 = 1_700_000_000_000;

fn setup(input: &str) -> Setup {
    let info = ExecutionInfo {
        arn: "arn:aws:states:us-east-1:000000000000:express:m:n".into(),
        name: "n".into(),
        started_at: NOW,
        ..ExecutionInfo::nowhere()
    };
    Setup {
        info,
        input: Payload::new(input),
        variables: BTreeMap::new(),
        context: None,
        retries: 0,
        reader_data: None,
        seed: 1,
        steps: u64::MAX,
        given_up: Arc::new(AtomicBool::new(false)),
    }
}

#[track_caller]
fn begin_with(state: &Value, setup: Setup) -> Inspection {
    let parsed = parse_state(&state.to_string(), &Options::default()).parsed;
    let definition = parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
    Inspection::begin(Arc::new(definition), StateId(0), setup, NOW)
}

#[track_caller]
fn begin(state: &Value, input: &str) -> Inspection {
    begin_with(state, setup(input))
}

#[track_caller]
fn verdict(test: &Inspection) -> Verdict {
    match test.standing() {
        Standing::Ended(verdict) => verdict,
        other => panic!("has not ended: {other:?}"),
    }
}

#[track_caller]
fn output(test: &Inspection) -> Value {
    match verdict(test) {
        Verdict::Succeeded { output, .. } | Verdict::Caught { output, .. } => output.value().clone(),
        other => panic!("has no output: {other:?}"),
    }
}

fn failure(error: &str) -> Failure {
    Failure { error: Some(error.into()), cause: Some("why".into()) }
}

/// The texts that were noted, by name; those of Map states apart.
fn texts(noted: &Noted) -> Value {
    let all = [
        ("input path", &noted.after_input_path),
        ("parameters", &noted.after_parameters),
        ("arguments", &noted.after_arguments),
        ("result", &noted.result),
        ("result selector", &noted.after_result_selector),
        ("result path", &noted.after_result_path),
    ];
    let shown = all.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
    shown
        .map(|(name, text)| (name.to_owned(), serde_json::from_str(text).expect("JSON")))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn each_step_of_a_pass_state_in_both_languages() {
    let state = json!({"Type": "Pass", "InputPath": "$.a", "Parameters": {"x.$": "$.b"}, "ResultPath": "$.r",
        "OutputPath": "$.r", "End": true});
    let test = begin(&state, r#"{"a": {"b": 1}}"#);
    let merged = json!({"a": {"b": 1}, "r": {"x": 1}});
    let noted =
        json!({"input path": {"b": 1}, "parameters": {"x": 1}, "result selector": {"x": 1}, "result path": merged});
    assert_eq!(texts(&test.noted()), noted);
    assert_eq!(output(&test), json!({"x": 1}));

    let test = begin(&json!({"Type": "Pass", "Result": 7, "InputPath": "$.a", "Next": "N"}), r#"{"a": 1}"#);
    assert_eq!(texts(&test.noted()), json!({"result": 7, "result selector": 7, "result path": 7}));
    assert!(matches!(verdict(&test), Verdict::Succeeded { next: Some(StateId(1)), .. }));

    let state = json!({"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input.a + 1 %}", "End": true});
    let test = begin(&state, r#"{"a": 1}"#);
    assert_eq!((texts(&test.noted()), output(&test)), (json!({}), json!(2)));
}

#[test]
fn states_without_a_result() {
    for kind in [json!({"Type": "Succeed"}), json!({"Type": "Wait", "Seconds": 0, "End": true})] {
        let test = begin(&kind, r#"{"a": 1}"#);
        assert_eq!(texts(&test.noted()), json!({"input path": {"a": 1}}), "{kind}");
        assert_eq!(output(&test), json!({"a": 1}), "{kind}");
    }
    let state = json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "One"}],
        "Default": "Other"});
    let test = begin(&state, r#"{"a": 1}"#);
    assert!(matches!(verdict(&test), Verdict::Succeeded { next: Some(StateId(1)), .. }));
    let test = begin(&state, r#"{"a": 2}"#);
    assert!(matches!(verdict(&test), Verdict::Succeeded { next: Some(StateId(2)), .. }));
    let state = json!({"Type": "Fail", "ErrorPath": "$.e", "Cause": "c"});
    let test = begin(&state, r#"{"e": "E"}"#);
    assert_eq!(texts(&test.noted()), json!({"input path": {"e": "E"}}));
    let Verdict::Failed(failed) = verdict(&test) else { panic!("fails") };
    assert_eq!((failed.error.as_deref(), failed.cause.as_deref()), (Some("E"), Some("c")));
}

#[test]
fn a_failure_has_no_history_to_refer_to() {
    let test = begin(&json!({"Type": "Pass", "InputPath": "$.none", "End": true}), "{}");
    let Verdict::Failed(failed) = verdict(&test) else { panic!("fails") };
    assert_eq!(failed.error.as_deref(), Some("States.Runtime"));
    assert_eq!(failed.cause.as_deref(), Some("Invalid path '$.none' : No results for path: $['none']"));
}

#[test]
fn a_wait_state_waits() {
    let state = json!({"Type": "Wait", "QueryLanguage": "JSONata", "Seconds": "{% $states.input.s %}", "Next": "N"});
    let mut test = begin(&state, r#"{"s": 3}"#);
    let Standing::Waiting(due) = test.standing() else { panic!("waits") };
    assert_eq!(due, NOW + 3_000);
    test.wake(due);
    assert_eq!(output(&test), json!({"s": 3}));
}

const RETRY: &str = r#"[{"ErrorEquals": ["Never"]}, {"ErrorEquals": ["E"], "IntervalSeconds": 2, "BackoffRate": 1.5,
    "MaxAttempts": 2, "MaxDelaySeconds": 4, "JitterStrategy": "FULL"}]"#;
const CATCH: &str = r#"[{"ErrorEquals": ["Other"], "Next": "N"}, {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.e", "Next": "M"}]"#;

fn task(catch: bool) -> Value {
    let mut state = json!({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
        "Parameters": {"FunctionName": "f", "Payload.$": "$.a"}, "ResultSelector": {"got.$": "$.Payload"}});
    state["Retry"] = serde_json::from_str(RETRY).expect("JSON");
    if catch {
        state["Catch"] = serde_json::from_str(CATCH).expect("JSON");
    }
    state
}

#[test]
fn a_task_is_handed_over_and_goes_on() {
    let mut test = begin(&task(true), r#"{"a": 1}"#);
    let Standing::Task(sent) = test.standing() else { panic!("is a task") };
    assert_eq!(*sent.input.value(), json!({"FunctionName": "f", "Payload": 1}));
    test.succeed(Payload::new(r#"{"Payload": 5}"#), NOW);
    let noted = texts(&test.noted());
    assert_eq!(noted["result"], json!({"Payload": 5}));
    assert_eq!(noted["result selector"], json!({"got": 5}));
    assert_eq!(output(&test), json!({"got": 5}));
}

#[test]
fn a_failed_task_is_tried_again_caught_or_failed() {
    let fail = |catch: bool, retries: u32, error: &str| {
        let mut test = begin_with(&task(catch), Setup { retries, ..setup(r#"{"a": 1}"#) });
        test.fail(failure(error), NOW);
        let noted = test.noted();
        (verdict(&test), noted.retrier, noted.backoff_seconds, noted.catcher)
    };
    let (verdict, retrier, backoff, catcher) = fail(true, 1, "E");
    assert!(matches!(verdict, Verdict::Retriable(failed) if failed == failure("E")));
    assert_eq!((retrier, backoff, catcher), (Some(1), Some(3.0), None));
    let (verdict, retrier, backoff, catcher) = fail(true, 2, "E");
    let Verdict::Caught { failure: caught, output, next } = verdict else { panic!("{verdict:?}") };
    assert_eq!((caught, next), (failure("E"), StateId(2)));
    assert_eq!(*output.value(), json!({"a": 1, "e": {"Error": "E", "Cause": "why"}}));
    assert_eq!((retrier, backoff, catcher), (Some(1), None, Some(1)));
    let (verdict, retrier, backoff, catcher) = fail(false, 2, "E");
    assert!(matches!(verdict, Verdict::Failed(failed) if failed == failure("E")));
    assert_eq!((retrier, backoff, catcher), (Some(1), None, None));
    let (verdict, retrier, ..) = fail(false, 0, "Unknown");
    assert!(matches!(verdict, Verdict::Failed(_)));
    assert_eq!(retrier, None);
    // Nobody handles what is fatal.
    let (verdict, retrier, _, catcher) = fail(true, 0, "States.Runtime");
    assert!(matches!(verdict, Verdict::Failed(_)));
    assert_eq!((retrier, catcher), (None, None));
    // A delay of nothing is a retry, too.
    let state = json!({"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": true,
        "Parameters": {"FunctionName": "f"}, "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 0}]});
    let mut test = begin(&state, "{}");
    test.time_out(NOW);
    assert!(matches!(self::verdict(&test), Verdict::Retriable(_)));
}

#[test]
fn variables_are_those_after_the_state() {
    let state = json!({"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"b": "{% $a + 1 %}", "c": 3},
        "Output": "{% $b %}", "End": true});
    let variables = [("a", "1"), ("b", "0")].map(|(name, text)| (Arc::from(name), Payload::new(text)));
    let test = begin_with(&state, Setup { variables: variables.into(), ..setup("{}") });
    assert_eq!(output(&test), json!(0));
    let after: Vec<_> = test.noted().variables.iter().map(|(name, value)| format!("{name}={}", value.text())).collect();
    assert_eq!(after, ["a=1", "b=2", "c=3"]);
}

#[test]
fn the_context_object_is_that_of_a_test_or_the_one_given() {
    let state = json!({"Type": "Pass", "Parameters": {"c.$": "$$"}, "OutputPath": "$.c", "End": true});
    let context = output(&begin(&state, "{}"));
    assert_eq!(context["State"]["Name"], "StateName");
    assert_eq!(context["Execution"]["RoleArn"], json!(null));
    assert_eq!(context["Execution"].get("RedriveCount"), None);
    let given = |text: &str| Setup { context: Some(Payload::new(text)), ..setup("{}") };
    assert_eq!(output(&begin_with(&state, given("{}"))), json!({}));
    let part = json!({"Type": "Pass", "Parameters": {"c.$": "$$.Execution.Input"}, "End": true});
    assert_eq!(output(&begin_with(&part, given(r#"{"Execution": {"Input": [1]}}"#))), json!({"c": [1]}));
}

fn map(extra: &Value) -> Value {
    let mut state = json!({"Type": "Map", "End": true, "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
        "StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}});
    for (name, value) in extra.as_object().expect("an object") {
        state[name] = value.clone();
    }
    state
}

#[test]
fn the_items_of_a_map_state_up_to_its_iterations() {
    let state = map(&json!({"ItemsPath": "$.list", "MaxConcurrency": 100, "ToleratedFailurePercentage": 40,
        "ItemSelector": {"i.$": "$$.Map.Item.Index", "v.$": "$$.Map.Item.Value", "k.$": "$.k"},
        "ItemBatcher": {"MaxItemsPerBatch": 2, "BatchInput": {"k.$": "$.k"}}}));
    let mut test = begin(&state, r#"{"k": 1, "list": ["a",  "b", "c"]}"#);
    assert!(matches!(test.standing(), Standing::Container));
    let noted = test.noted().map;
    // As it stands in the input.
    assert_eq!(noted.after_items_path.as_deref(), Some(r#"["a",  "b", "c"]"#));
    let items = r#"[{"i":0,"v":"a","k":1},{"i":1,"v":"b","k":1},{"i":2,"v":"c","k":1}]"#;
    assert_eq!(noted.after_item_selector.as_deref(), Some(items));
    let batches = r#"[{"BatchInput":{"k":1},"Items":[{"i":0,"v":"a","k":1},{"i":1,"v":"b","k":1}]},{"BatchInput":{"k":1},"Items":[{"i":2,"v":"c","k":1}]}]"#;
    assert_eq!(noted.after_item_batcher.as_deref(), Some(batches));
    assert_eq!((noted.iterations, noted.max_concurrency), (Some(2), Some(100)));
    assert_eq!(noted.tolerated_failure_percentage, Some(40.0));
    assert!(noted.exceeds(1) && !noted.exceeds(0));
    test.succeed(Payload::new("[1, 2]"), NOW);
    assert_eq!(output(&test), json!([1, 2]));
    let noted = test.noted();
    assert_eq!((noted.result, noted.after_result_selector.as_deref()), (None, Some("[1, 2]")));
}

#[test]
fn a_map_state_in_jsonata() {
    let state = map(&json!({"QueryLanguage": "JSONata", "Items": "{% $states.input.list %}",
        "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"}, "MaxConcurrency": "{% 1 + 1 %}",
        "ToleratedFailureCount": "{% $count($states.input.list) %}", "Output": "{% $sum($states.result) %}"}));
    let mut test = begin(&state, r#"{"list": [1, 2]}"#);
    let noted = test.noted().map;
    assert_eq!(noted.after_items_path, None);
    assert_eq!(noted.after_item_selector.as_deref(), Some(r#"[{"v":1},{"v":2}]"#));
    assert_eq!((noted.max_concurrency, noted.tolerated_failure_count, noted.iterations), (Some(2), Some(2), Some(2)));
    test.succeed(Payload::new("[3, 4]"), NOW);
    assert_eq!(output(&test), json!(7));
}

#[test]
fn items_that_a_reader_found() {
    let state = map(&json!({"ItemsPath": "$.ignored", "ItemReader": {"Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON", "ItemsPointer": "/rows", "MaxItems": 2}}}));
    let data = Setup { reader_data: Some(r#"{"rows": [1, 2, 3]}"#.into()), ..setup("{}") };
    let test = begin_with(&state, data);
    let noted = test.noted().map;
    assert_eq!(noted.after_items_pointer.as_deref(), Some("[1,2,3]"));
    assert_eq!((noted.iterations, noted.after_items_path), (Some(2), None));
    // Nobody tells what it found.
    assert_eq!(begin(&state, "{}").noted().map.iterations, None);
    let data = Setup { reader_data: Some("{}".into()), ..setup("{}") };
    assert!(matches!(verdict(&begin_with(&state, data)),
        Verdict::Failed(failed) if failed.error.as_deref() == Some("States.ItemReaderFailed")));
}

#[test]
fn items_that_are_members_of_an_object() {
    let fields = json!({"ItemSelector": {"k.$": "$$.Map.Item.Key", "v.$": "$$.Map.Item.Value"}});
    let noted = begin(&map(&fields), r#"{"a": 1, "b": 2}"#).noted().map;
    assert_eq!(noted.after_item_selector.as_deref(), Some(r#"[{"k":"a","v":1},{"k":"b","v":2}]"#));
    assert_eq!(noted.iterations, Some(2));
    let noted = begin(&map(&json!({"ItemBatcher": {"MaxItemsPerBatch": 2}})), r#"{"a": 1, "b": 2}"#).noted().map;
    let batch = r#"[{"Items":[{"Key":"a","Value":1},{"Key":"b","Value":2}]}]"#;
    assert_eq!((noted.after_item_batcher.as_deref(), noted.iterations), (Some(batch), Some(1)));
}

#[test]
fn items_that_are_none() {
    let test = begin_with(
        &map(&json!({"ItemsPath": "$$.Execution.Input", "MaxConcurrency": 1})),
        Setup { context: Some(Payload::new(r#"{"Execution": {"Input": 1}}"#)), ..setup("[1]") },
    );
    let Verdict::Failed(failed) = verdict(&test) else { panic!("fails") };
    assert_eq!(failed.cause.as_deref(), Some("Reference path \"$.Execution.Input\" must point to array."));
    let noted = test.noted();
    assert_eq!((noted.map.max_concurrency, noted.after_input_path.as_deref()), (None, Some("[1]")));
}

#[test]
fn items_are_not_kept_when_they_are_too_long_to_be_shown() {
    let state = map(&json!({"QueryLanguage": "JSONata", "ItemSelector": {"v": "{% $pad('', 1000) %}"},
        "ItemBatcher": {"MaxInputBytesPerBatch": 2500}}));
    let input = json!(vec![0; 1_000]).to_string();
    let noted = begin(&state, &input).noted().map;
    assert_eq!((noted.after_item_selector, noted.after_item_batcher), (None, None));
    assert_eq!(noted.iterations, Some(500));
}

#[test]
fn who_no_longer_waits_ends_a_map_state() {
    let state = map(&json!({"ItemSelector": {"v": 1}}));
    let test = begin_with(&state, Setup { given_up: Arc::new(AtomicBool::new(true)), ..setup("[1]") });
    assert!(matches!(verdict(&test), Verdict::Failed(failed) if failed.error.as_deref() == Some("States.Timeout")));
}

#[test]
fn branches_are_handed_over() {
    let branch = json!({"StartAt": "B", "States": {"B": {"Type": "Pass", "End": true}}});
    let state = json!({"Type": "Parallel", "Branches": [branch], "Parameters": {"p.$": "$.a"}, "ResultPath": "$.r",
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "N"}], "Next": "M"});
    let mut test = begin(&state, r#"{"a": 1}"#);
    assert!(matches!(test.standing(), Standing::Container));
    test.succeed(Payload::new("[2]"), NOW);
    assert_eq!(output(&test), json!({"a": 1, "r": [2]}));
    assert_eq!(texts(&test.noted()), json!({"result selector": [2], "result path": {"a": 1, "r": [2]}}));
    let mut test = begin(&state, r#"{"a": 1}"#);
    test.fail(failure("E"), NOW);
    assert!(matches!(verdict(&test), Verdict::Caught { .. }));
}

#[test]
fn callbacks_and_activities_are_handed_over_or_answered() {
    let state = json!({"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": true,
        "Parameters": {"QueueUrl": "q", "MessageBody": {"t.$": "$$.Task.Token"}}});
    let mut test = begin(&state, "{}");
    assert!(matches!(test.standing(), Standing::Task(_)));
    test.succeed(Payload::new("1"), NOW);
    assert_eq!(output(&test), json!(1));
    let state = json!({"Type": "Task", "Resource": "arn:aws:states:us-east-1:000000000000:activity:a", "End": true});
    let mut test = begin(&state, "{}");
    test.succeed(Payload::new("2"), NOW);
    assert_eq!(output(&test), json!(2));
}

#[test]
fn results_and_outputs_that_are_too_large() {
    let long = format!("\"{}\"", "x".repeat(262_144));
    let mut test = begin(&task(false), r#"{"a": 1}"#);
    test.succeed(Payload::new(long.as_str()), NOW);
    assert!(matches!(verdict(&test),
        Verdict::Failed(failed) if failed.error.as_deref() == Some("States.DataLimitExceeded")));
    let mut test = begin(&map(&json!({})), "[1]");
    test.succeed(Payload::new(format!("[{long}]")), NOW);
    assert!(matches!(verdict(&test),
        Verdict::Failed(failed) if failed.error.as_deref() == Some("States.DataLimitExceeded")));
}

#[test]
fn all_expressions_of_a_test_together_are_bounded() {
    let state = map(&json!({"QueryLanguage": "JSONata", "ItemSelector": "{% $sum([1..1000]) %}"}));
    let input = json!(vec![0; 1_000]).to_string();
    let test = begin_with(&state, Setup { steps: 20_000, ..setup(&input) });
    assert!(matches!(verdict(&test),
        Verdict::Failed(failed) if failed.error.as_deref() == Some("States.QueryEvaluationError")));
}

#[test]
fn a_state_anywhere_in_a_machine() {
    let inner = map(&json!({}));
    let machine = json!({"StartAt": "M", "States": {"M": inner}}).to_string();
    let definition = Arc::new(parse(&machine, &Options::default()).definition.expect("valid"));
    let id = definition.states.iter().find(|state| &*state.name == "P").expect("there").id;
    let test = Inspection::begin(definition, id, setup("1"), NOW);
    assert!(matches!(verdict(&test), Verdict::Succeeded { next: None, .. }));
}
