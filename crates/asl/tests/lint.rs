//! The rules of the linter: for each, definitions that it finds and near ones that it leaves alone.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stepwright_asl::lint::{Finding, Rule, lint};
use stepwright_asl::{MachineType, Options, parse};

/// A machine of these states, which begins with the first.
fn machine(states: &Value) -> Value {
    let first = states.as_object().and_then(|states| states.keys().next()).expect("a state");
    json!({ "StartAt": first, "States": states })
}

const NOW_MS: i64 = 1_700_000_000_000;

#[track_caller]
fn findings(definition: &Value, options: &Options) -> Vec<Finding> {
    let text = definition.to_string();
    let parsed = parse(&text, options);
    assert!(parsed.definition.is_some(), "not a valid example: {:?}", parsed.diagnostics);
    lint(&text, options, Some(NOW_MS))
}

/// The rule finds the definition at this place and nothing else there.
#[track_caller]
fn found(rule: Rule, location: &str, definition: &Value) -> Finding {
    let found = findings(definition, &Options::default());
    let of_rule: Vec<&Finding> = found.iter().filter(|finding| finding.rule == rule).collect();
    let [finding] = of_rule.as_slice() else { panic!("{rule:?} should find one thing: {found:#?}") };
    assert_eq!(finding.location, location, "{finding:?}");
    assert!(finding.message.ends_with('.') && finding.suggestion.ends_with('.'), "{finding:?}");
    assert!(finding.span.line == 1 && finding.span.end > finding.span.start, "{finding:?}");
    (*finding).clone()
}

/// The rule has nothing to say.
#[track_caller]
fn quiet(rule: Rule, definition: &Value) {
    let found = findings(definition, &Options::default());
    assert!(found.iter().all(|finding| finding.rule != rule), "{found:#?}");
}

fn choice(rules: &Value, default: Option<&str>) -> Value {
    let mut states = json!({
        "C": {"Type": "Choice", "Choices": rules},
        "A": {"Type": "Succeed"}, "B": {"Type": "Pass", "Result": 1, "End": true}, "F": {"Type": "Fail"},
    });
    if let Some(default) = default {
        states["C"]["Default"] = json!(default);
    }
    let text = states.to_string();
    for name in ["A", "B", "F"] {
        if !text.contains(&format!("\"{name}\"}}")) && default != Some(name) {
            states.as_object_mut().expect("states").remove(name);
        }
    }
    machine(&states)
}

fn test(operator: &str, value: &Value) -> Value {
    json!({"Variable": "$.x", operator: value})
}

fn rule(condition: &Value, next: &str) -> Value {
    let mut rule = condition.clone();
    rule["Next"] = json!(next);
    rule
}

fn conjunction(tests: &[Value]) -> Value {
    json!({ "And": tests })
}

#[test]
fn conditions_that_contradict_themselves() {
    let contradictions = [
        conjunction(&[test("NumericGreaterThan", &json!(5)), test("NumericLessThan", &json!(5))]),
        conjunction(&[test("NumericEquals", &json!(5)), json!({"Not": test("NumericGreaterThanEquals", &json!(5))})]),
        conjunction(&[test("IsString", &json!(true)), test("NumericEquals", &json!(1))]),
        conjunction(&[test("StringEquals", &json!("a")), test("StringEquals", &json!("b"))]),
        conjunction(&[test("StringEquals", &json!("a")), test("NumericEquals", &json!(1))]),
        conjunction(&[test("IsPresent", &json!(false)), test("IsNull", &json!(true))]),
        conjunction(&[test("StringLessThan", &json!("b")), test("StringGreaterThan", &json!("c"))]),
        conjunction(&[test("StringMatches", &json!("abc")), test("StringEquals", &json!("abd"))]),
        conjunction(&[test("StringMatches", &json!("a*")), test("IsNumeric", &json!(true))]),
        conjunction(&[test("BooleanEquals", &json!(true)), test("BooleanEquals", &json!(false))]),
        conjunction(&[
            test("TimestampGreaterThan", &json!("2024-01-02T00:00:00Z")),
            test("TimestampLessThan", &json!("2024-01-01T00:00:00Z")),
        ]),
        conjunction(&[test("StringMatches", &json!("a*")), json!({"Not": test("StringMatches", &json!("a*"))})]),
        json!({"Not": {"Or": [test("IsPresent", &json!(true)), test("IsPresent", &json!(false))]}}),
        json!({"Variable": "$.x", "NumericLessThanPath": "$.x"}),
        json!({"Variable": "$.list[*].price", "NumericEquals": 1}),
        json!({"Variable": "$$.State.RetryCount", "StringEquals": "1"}),
        json!({"Variable": "$$.Execution.StartTime", "NumericGreaterThan": 1}),
        json!({"And": [{"Variable": "$['x']", "NumericEquals": 1}, {"Variable": "$.x", "NumericEquals": 2}]}),
    ];
    for condition in contradictions {
        let rules = json!([rule(&condition, "A"), rule(&test("IsPresent", &json!(true)), "B")]);
        found(Rule::ConditionNeverHolds, "/States/C/Choices[0]", &choice(&rules, Some("F")));
    }
}

#[test]
fn conditions_that_only_look_like_contradictions() {
    let possible = [
        conjunction(&[test("NumericGreaterThan", &json!(5)), test("NumericLessThan", &json!(5.000_000_1))]),
        conjunction(&[test("NumericGreaterThanEquals", &json!(5)), test("NumericLessThanEquals", &json!(5))]),
        conjunction(&[test("StringGreaterThan", &json!("a")), test("StringLessThan", &json!("b"))]),
        conjunction(&[test("StringMatches", &json!("a*")), test("StringMatches", &json!("*b"))]),
        conjunction(&[test("StringMatches", &json!("a*")), json!({"Not": test("StringMatches", &json!("ab*"))})]),
        conjunction(&[test("StringEquals", &json!("2024-01-01T00:00:00Z")), test("IsTimestamp", &json!(true))]),
        conjunction(&[test("IsString", &json!(true)), test("TimestampLessThan", &json!("2024-01-01T00:00:00Z"))]),
        conjunction(&[test("NumericEqualsPath", &json!("$.y")), test("NumericEquals", &json!(1))]),
        conjunction(&[test("StringEqualsPath", &json!("$.y")), json!({"Not": test("StringEquals", &json!("a"))})]),
        json!({"Not": test("NumericEquals", &json!(1))}),
        json!({"Variable": "$.list[0].price", "NumericEquals": 1}),
        json!({"Variable": "$$.State.RetryCount", "NumericGreaterThan": 1}),
        json!({"Variable": "$$.Execution.Input.x", "NumericGreaterThan": 1}),
        json!({"And": [{"Variable": "$.x", "NumericEquals": 1}, {"Variable": "$.y", "NumericEquals": 2}]}),
    ];
    for condition in possible {
        quiet(Rule::ConditionNeverHolds, &choice(&json!([rule(&condition, "A")]), Some("F")));
    }
}

#[test]
fn rules_behind_other_rules() {
    let is = |value: i64| test("NumericEquals", &json!(value));
    let below = |value: i64| test("NumericLessThan", &json!(value));
    let shadowed = [
        json!([rule(&below(10), "A"), rule(&is(5), "B")]),
        json!([rule(&is(5), "A"), rule(&is(5), "B")]),
        json!([rule(&test("IsPresent", &json!(true)), "A"), rule(&is(5), "B")]),
        json!([rule(&test("StringMatches", &json!("a*")), "A"), rule(&test("StringMatches", &json!("a*")), "B")]),
    ];
    for rules in shadowed {
        let finding = found(Rule::RuleNeverUsed, "/States/C/Choices[1]", &choice(&rules, Some("F")));
        assert!(finding.message.contains("Choices[0]"), "{finding:?}");
    }
    let together =
        json!([rule(&below(5), "A"), rule(&test("NumericGreaterThanEquals", &json!(5)), "B"), rule(&is(7), "A"),]);
    found(Rule::RuleNeverUsed, "/States/C/Choices[2]", &choice(&together, Some("F")));
    let by_two = json!([
        rule(&below(5), "A"),
        rule(&test("NumericGreaterThan", &json!(3)), "B"),
        rule(&test("IsNumeric", &json!(true)), "A"),
    ]);
    let finding = found(Rule::RuleNeverUsed, "/States/C/Choices[2]", &choice(&by_two, Some("F")));
    assert!(finding.message.contains("together"), "{finding:?}");
    quiet(Rule::RuleNeverUsed, &choice(&json!([rule(&is(5), "A"), rule(&below(10), "B")]), Some("F")));
    let partly = json!([
        rule(&conjunction(&[test("IsPresent", &json!(true)), is(1)]), "A"),
        rule(&test("IsPresent", &json!(true)), "B"),
    ]);
    quiet(Rule::RuleNeverUsed, &choice(&partly, Some("F")));
}

#[test]
fn rules_in_jsonata() {
    let jsonata = |rules: Value, default: Option<&str>| {
        let mut machine = choice(&rules, default);
        machine["QueryLanguage"] = json!("JSONata");
        if let Some(state) = machine["States"].get_mut("B") {
            *state = json!({"Type": "Succeed"});
        }
        machine
    };
    let literal = json!([{"Condition": false, "Next": "A"}, {"Condition": "{% $states.input.a %}", "Next": "B"}]);
    found(Rule::ConditionNeverHolds, "/States/C/Choices[0]", &jsonata(literal, Some("F")));
    let again = json!([
        {"Condition": "{% $states.input.a %}", "Next": "A"}, {"Condition": "{% $states.input.a %}", "Next": "B"}
    ]);
    found(Rule::RuleNeverUsed, "/States/C/Choices[1]", &jsonata(again, Some("F")));
    let always = json!([{"Condition": "{% $states.input.a %}", "Next": "A"}, {"Condition": true, "Next": "B"}]);
    found(Rule::DefaultNeverUsed, "/States/C/Default", &jsonata(always.clone(), Some("F")));
    quiet(Rule::ChoiceWithoutDefault, &jsonata(always, None));
    let open = json!([{"Condition": "{% $states.input.a %}", "Next": "A"}]);
    found(Rule::ChoiceWithoutDefault, "/States/C", &jsonata(open, None));
}

#[test]
fn defaults() {
    let both = json!([rule(&test("IsPresent", &json!(true)), "A"), rule(&test("IsPresent", &json!(false)), "B")]);
    found(Rule::DefaultNeverUsed, "/States/C/Default", &choice(&both, Some("F")));
    quiet(Rule::ChoiceWithoutDefault, &choice(&both, None));
    let numbers = json!([
        rule(&test("NumericLessThan", &json!(5)), "A"),
        rule(&test("NumericGreaterThanEquals", &json!(5)), "B")
    ]);
    quiet(Rule::DefaultNeverUsed, &choice(&numbers, Some("F")));
    // A text is neither below 5 nor above.
    found(Rule::ChoiceWithoutDefault, "/States/C", &choice(&numbers, None));
    let opposite = json!([
        rule(&test("NumericLessThan", &json!(5)), "A"),
        rule(&json!({"Not": test("NumericLessThan", &json!(5))}), "B")
    ]);
    quiet(Rule::ChoiceWithoutDefault, &choice(&opposite, None));
}

#[test]
fn states_that_are_never_reached() {
    let both = json!([rule(&test("IsPresent", &json!(true)), "A"), rule(&test("IsPresent", &json!(false)), "B")]);
    let finding = found(Rule::StateNeverReached, "/States/F", &choice(&both, Some("F")));
    assert!(finding.message.starts_with("This failure never happens"), "{finding:?}");
    quiet(Rule::StateNeverReached, &choice(&both, None));
    // Behind a catcher that never catches, and what only that leads to.
    let definition = machine(&json!({
        "T": {"Type": "Task", "Resource": ACTIVITY, "Next": "E", "Catch": [
            {"ErrorEquals": ["States.TaskFailed"], "Next": "E"}, {"ErrorEquals": ["Broken"], "Next": "H"}]},
        "H": {"Type": "Pass", "Next": "E"}, "E": {"Type": "Succeed"},
    }));
    found(Rule::CatchNeverUsed, "/States/T/Catch[1]", &definition);
    found(Rule::StateNeverReached, "/States/H", &definition);
}

#[test]
fn loops_without_a_way_out() {
    let mut definition = machine(&json!({
        "A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "NumericEquals": 1, "Next": "B"}], "Default": "E"},
        "B": {"Type": "Wait", "Seconds": 1, "Next": "D"}, "D": {"Type": "Pass", "Next": "B"}, "E": {"Type": "Succeed"},
    }));
    let finding = found(Rule::FlowNeverEnds, "/States/B", &definition);
    assert!(finding.message.contains("'B', 'D'"), "{finding:?}");
    definition["States"]["D"]["Next"] = json!("A");
    quiet(Rule::FlowNeverEnds, &definition);
}

const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:a";
const LAMBDA: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";
const INVOKE: &str = "arn:aws:states:::lambda:invoke";

/// A machine of one task, followed by `next`, with a state to catch errors.
fn task(resource: &str, more: &Value, next: &Value) -> Value {
    let mut task = json!({"Type": "Task", "Resource": resource, "Next": "N"});
    if resource.contains("lambda:invoke") {
        task["Parameters"] = json!({"FunctionName": "f"});
    }
    for (name, value) in more.as_object().expect("fields") {
        task[name] = value.clone();
    }
    let mut states = json!({"T": task, "N": next});
    if more.get("Catch").is_some_and(|catch| catch.to_string().contains("\"H\"")) {
        states["H"] = json!({"Type": "Succeed"});
    }
    machine(&states)
}

fn retry(names: &[&str]) -> Value {
    json!({ "ErrorEquals": names })
}

fn catch(names: &[&str]) -> Value {
    json!({ "ErrorEquals": names, "Next": "H" })
}

#[test]
fn retriers_and_catchers_behind_others() {
    let succeed = json!({"Type": "Succeed"});
    let of = |more: Value| task(ACTIVITY, &more, &succeed);
    let retries = of(json!({"Retry": [retry(&["States.TaskFailed"]), retry(&["Broken", "States.Permissions"])]}));
    found(Rule::RetryNeverUsed, "/States/T/Retry[1]", &retries);
    let catches = of(json!({"Catch": [catch(&["Broken"]), catch(&["Broken"])]}));
    found(Rule::CatchNeverUsed, "/States/T/Catch[1]", &catches);
    let partly = of(json!({"Retry": [retry(&["Broken"]), retry(&["Other", "Broken"])]}));
    found(Rule::ErrorAlreadyHandled, "/States/T/Retry[1]/ErrorEquals[1]", &partly);
    quiet(Rule::RetryNeverUsed, &partly);
    let twice = of(json!({"Retry": [retry(&["Broken", "Broken"])]}));
    found(Rule::ErrorAlreadyHandled, "/States/T/Retry[0]/ErrorEquals[1]", &twice);
    // States.TaskFailed does not stand for a time-out.
    let timeout =
        of(json!({"TimeoutSeconds": 9, "Retry": [retry(&["States.TaskFailed"]), retry(&["States.Timeout"])]}));
    quiet(Rule::RetryNeverUsed, &timeout);
    // From general to particular is wrong, the other way round is right; what a Retry names, a Catch may name too.
    let right = of(json!({
        "Retry": [retry(&["Broken"]), retry(&["States.ALL"])], "Catch": [catch(&["Broken"]), catch(&["States.ALL"])]
    }));
    for rule in [Rule::RetryNeverUsed, Rule::CatchNeverUsed, Rule::ErrorAlreadyHandled] {
        quiet(rule, &right);
    }
    // In a Parallel the error may be one of a Fail state, which States.TaskFailed does not match.
    let parallel = machine(&json!({
        "P": {"Type": "Parallel", "Branches": [{"StartAt": "I", "States": {"I": {"Type": "Fail", "Error": "Broken"}}}],
            "Catch": [{"ErrorEquals": ["States.TaskFailed"], "Next": "E"}, {"ErrorEquals": ["Broken"], "Next": "E"}],
            "Next": "E"},
        "E": {"Type": "Succeed"},
    }));
    quiet(Rule::CatchNeverUsed, &parallel);
}

#[test]
fn errors_that_do_not_happen() {
    let succeed = json!({"Type": "Succeed"});
    let of = |more: Value| task(ACTIVITY, &more, &succeed);
    let with = |name: &str| of(json!({"Catch": [catch(&[name, "Broken"])]}));
    let at = "/States/T/Catch[0]/ErrorEquals[0]";
    found(Rule::ErrorNeverCaught, at, &with("States.Runtime"));
    found(Rule::ErrorNeverCaught, at, &with("States.NoChoiceMatched"));
    for name in [
        "States.HeartbeatTimeout",
        "States.Timeout",
        "States.BranchFailed",
        "States.ItemReaderFailed",
        "States.QueryEvaluationError",
        "States.Http.Socket",
    ] {
        found(Rule::ErrorNeverRaised, at, &with(name));
    }
    found(Rule::UnknownErrorName, at, &with("States.Timout"));
    found(Rule::CatchNeverUsed, "/States/T/Catch[0]", &of(json!({"Catch": [catch(&["States.Runtime"])]})));
    let timed = of(json!({"TimeoutSeconds": 60, "HeartbeatSeconds": 5,
        "Catch": [catch(&["States.Timeout", "States.HeartbeatTimeout", "States.TaskFailed", "Broken.States"])]}));
    for rule in [Rule::ErrorNeverCaught, Rule::ErrorNeverRaised, Rule::UnknownErrorName, Rule::CatchNeverUsed] {
        quiet(rule, &timed);
    }
}

#[test]
fn delays_that_grow_and_grow() {
    let of = |retrier: Value| task(ACTIVITY, &json!({"Retry": [retrier]}), &json!({"Type": "Succeed"}));
    let long = json!({"ErrorEquals": ["E"], "IntervalSeconds": 60, "MaxAttempts": 15});
    let finding = found(Rule::RetryDelayGrows, "/States/T/Retry[0]", &of(long.clone()));
    assert!(finding.message.contains("11.4 days"), "{finding:?}");
    let mut bounded = long;
    bounded["MaxDelaySeconds"] = json!(3600);
    quiet(Rule::RetryDelayGrows, &of(bounded));
    quiet(Rule::RetryDelayGrows, &of(json!({"ErrorEquals": ["E"], "MaxAttempts": 15})));
    let forever = json!({"ErrorEquals": ["E"], "MaxAttempts": 99_999_999});
    found(Rule::RetryDelayGrows, "/States/T/Retry[0]", &of(forever));
    let steady = json!({"ErrorEquals": ["E"], "MaxAttempts": 99_999_999, "BackoffRate": 1.0});
    quiet(Rule::RetryDelayGrows, &of(steady));
}

#[test]
fn tasks_that_wait_for_somebody() {
    let succeed = json!({"Type": "Succeed"});
    let token = json!({"FunctionName": "f", "Payload": {"token.$": "$$.Task.Token"}});
    let callback = format!("{INVOKE}.waitForTaskToken");
    for resource in [ACTIVITY, &callback, "arn:aws:states:::states:startExecution.sync:2"] {
        let mut parameters = if resource == callback { json!({"Parameters": token}) } else { json!({}) };
        if resource.contains("startExecution") {
            parameters =
                json!({"Parameters": {"StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:m"}});
        }
        found(Rule::TaskWithoutTimeout, "/States/T", &task(resource, &parameters, &succeed));
        found(Rule::TaskWithoutErrorHandling, "/States/T", &task(resource, &parameters, &succeed));
        let mut careful = parameters;
        careful["TimeoutSeconds"] = json!(60);
        careful["Retry"] = json!([retry(&["States.ALL"])]);
        quiet(Rule::TaskWithoutTimeout, &task(resource, &careful, &succeed));
        quiet(Rule::TaskWithoutErrorHandling, &task(resource, &careful, &succeed));
    }
    quiet(Rule::TaskWithoutTimeout, &task(ACTIVITY, &json!({"HeartbeatSeconds": 5}), &succeed));
    // Somebody around it catches.
    let inside = machine(&json!({
        "P": {"Type": "Parallel", "Next": "E", "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "E"}], "Branches": [
            {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": ACTIVITY, "TimeoutSeconds": 9, "End": true}}}]},
        "E": {"Type": "Succeed"},
    }));
    quiet(Rule::TaskWithoutErrorHandling, &inside);
    found(Rule::CallbackWithoutToken, "/States/T", &task(&callback, &json!({}), &succeed));
    quiet(Rule::CallbackWithoutToken, &task(&callback, &json!({"Parameters": token}), &succeed));
    let formatted = json!({"FunctionName": "f", "Payload.$": "States.Format('{}', $$.Task.Token)"});
    quiet(Rule::CallbackWithoutToken, &task(&callback, &json!({"Parameters": formatted}), &succeed));
}

#[test]
fn functions_that_are_called_once() {
    let succeed = json!({"Type": "Succeed"});
    let finding = found(Rule::LambdaWithoutRetry, "/States/T", &task(LAMBDA, &json!({}), &succeed));
    assert!(finding.message.contains("Lambda.ServiceException"), "{finding:?}");
    let two = json!({"Retry": [retry(&["Lambda.ServiceException", "Lambda.SdkClientException"])]});
    let finding = found(Rule::LambdaWithoutRetry, "/States/T", &task(INVOKE, &two, &succeed));
    assert!(finding.message.contains("Lambda.TooManyRequestsException"), "{finding:?}");
    assert!(!finding.message.contains("Lambda.SdkClientException"), "{finding:?}");
    quiet(Rule::LambdaWithoutRetry, &task(LAMBDA, &json!({"Retry": [retry(&["States.ALL"])]}), &succeed));
    let never = json!({"Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 0}]});
    found(Rule::LambdaWithoutRetry, "/States/T", &task(LAMBDA, &never, &succeed));
    quiet(Rule::LambdaWithoutRetry, &task(ACTIVITY, &json!({}), &succeed));
}

#[test]
fn inputs_that_get_lost() {
    let reads = json!({"Type": "Task", "Resource": ACTIVITY, "Parameters": {"id.$": "$.orderId"}, "End": true});
    let parameters = json!({"Parameters": {"id.$": "$.orderId"}});
    found(Rule::ResultReplacesInput, "/States/T", &task(ACTIVITY, &parameters, &reads));
    let mut kept = parameters.clone();
    kept["ResultPath"] = json!("$.result");
    quiet(Rule::ResultReplacesInput, &task(ACTIVITY, &kept, &reads));
    let other = json!({"Type": "Task", "Resource": ACTIVITY, "Parameters": {"id.$": "$.result"}, "End": true});
    quiet(Rule::ResultReplacesInput, &task(ACTIVITY, &parameters, &other));
    // A Choice in between passes on what it got.
    let definition = machine(&json!({
        "T": {"Type": "Task", "Resource": ACTIVITY, "Parameters": {"id.$": "States.Format('{}', $.orderId)"}, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$.ok", "BooleanEquals": true, "Next": "R"}], "Default": "R"},
        "R": reads,
    }));
    let finding = found(Rule::ResultReplacesInput, "/States/T", &definition);
    assert!(finding.message.contains("'R'") && finding.message.contains("'orderId'"), "{finding:?}");

    let handler = |resource: &str, result_path: Option<&str>| {
        let mut catcher = json!({"ErrorEquals": ["States.ALL"], "Next": "N"});
        if let Some(path) = result_path {
            catcher["ResultPath"] = json!(path);
        }
        let after = json!({"Type": "Task", "Resource": resource, "Parameters": {"id.$": "$.orderId"}, "End": true});
        task(ACTIVITY, &json!({"Catch": [catcher]}), &after)
    };
    found(Rule::CatchReplacesInput, "/States/T/Catch[0]", &handler(ACTIVITY, None));
    quiet(Rule::CatchReplacesInput, &handler(ACTIVITY, Some("$.error")));
    let shown = json!({"Type": "Fail", "ErrorPath": "$.Error", "CausePath": "$.Cause"});
    let failing = json!({"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "N"}]});
    quiet(Rule::CatchReplacesInput, &task(ACTIVITY, &failing, &shown));
}

#[test]
fn inputs_that_are_carried_along() {
    let map = |selector: Value| {
        machine(&json!({"M": {"Type": "Map", "ItemSelector": selector, "End": true, "ItemProcessor": {
            "StartAt": "I", "States": {"I": {"Type": "Pass", "Result": 1, "End": true}}}}}))
    };
    found(
        Rule::InputCopied,
        "/States/M/ItemSelector/all.$",
        &map(json!({"all.$": "$", "item.$": "$$.Map.Item.Value"})),
    );
    quiet(Rule::InputCopied, &map(json!({"id.$": "$.orderId", "item.$": "$$.Map.Item.Value"})));
    let branch = |name: &str, more: Value| {
        let mut state = json!({"Type": "Pass", "End": true});
        for (name, value) in more.as_object().expect("fields") {
            state[name] = value.clone();
        }
        json!({"StartAt": name, "States": {name: state}})
    };
    let parallel = |one: Value, other: Value, more: Value| {
        let mut state = json!({"Type": "Parallel", "Branches": [branch("I", one), branch("J", other)], "End": true});
        for (name, value) in more.as_object().expect("fields") {
            state[name] = value.clone();
        }
        machine(&json!({ "P": state }))
    };
    let kept = json!({"Result": 1, "ResultPath": "$.r"});
    found(Rule::InputCopied, "/States/P", &parallel(kept.clone(), json!({}), json!({})));
    quiet(Rule::InputCopied, &parallel(kept.clone(), json!({"Result": 1}), json!({})));
    quiet(Rule::InputCopied, &parallel(kept, json!({}), json!({"Parameters": {"id.$": "$.id"}})));
}

#[test]
fn results_that_are_too_much() {
    let succeed = json!({"Type": "Succeed"});
    found(Rule::ResultWithMetadata, "/States/T", &task(INVOKE, &json!({}), &succeed));
    quiet(Rule::ResultWithMetadata, &task(INVOKE, &json!({"OutputPath": "$.Payload"}), &succeed));
    quiet(Rule::ResultWithMetadata, &task(INVOKE, &json!({"ResultPath": null}), &succeed));
    quiet(Rule::ResultWithMetadata, &task(LAMBDA, &json!({}), &succeed));
    let scan = "arn:aws:states:::aws-sdk:dynamodb:scan";
    found(Rule::ResultMayBeTooLarge, "/States/T", &task(scan, &json!({}), &succeed));
    quiet(Rule::ResultMayBeTooLarge, &task(scan, &json!({"ResultSelector": {"n.$": "$.Count"}}), &succeed));
    let map = |more: Value| {
        let mut state = json!({"Type": "Map", "End": true, "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
            "StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}});
        for (name, value) in more.as_object().expect("fields") {
            state[name] = value.clone();
        }
        machine(&json!({ "M": state }))
    };
    found(Rule::ResultMayBeTooLarge, "/States/M", &map(json!({})));
    quiet(Rule::ResultMayBeTooLarge, &map(json!({"ResultPath": null})));
    let writer = json!({"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "b", "Prefix": "p"}});
    quiet(Rule::ResultMayBeTooLarge, &map(json!({"ResultWriter": writer})));
    // They are shaped, and stay where they are.
    let shaped = json!({"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSON"}});
    found(Rule::ResultMayBeTooLarge, "/States/M", &map(json!({"ResultWriter": shaped})));
}

#[test]
fn more_concurrency_than_there_is() {
    let map = |concurrency: u64| {
        machine(&json!({"M": {"Type": "Map", "MaxConcurrency": concurrency, "End": true, "ItemProcessor": {
            "StartAt": "I", "States": {"I": {"Type": "Pass", "End": true}}}}}))
    };
    found(Rule::ConcurrencyWithoutEffect, "/States/M/MaxConcurrency", &map(100));
    quiet(Rule::ConcurrencyWithoutEffect, &map(40));
}

#[test]
fn variables_for_nothing_and_variables_of_nobody() {
    let states = |assign: Value, reads: Value| {
        machine(
            &json!({"A": {"Type": "Pass", "Assign": assign, "Next": "B"}, "B": {"Type": "Pass", "Parameters": reads, "End": true}}),
        )
    };
    let one = json!({"n.$": "$.n"});
    found(Rule::VariableNeverRead, "/States/A/Assign/n.$", &states(one.clone(), json!({})));
    quiet(Rule::VariableNeverRead, &states(one.clone(), json!({"m.$": "$n"})));
    found(Rule::VariableNeverAssigned, "/States/B", &states(one.clone(), json!({"m.$": "$n", "o.$": "$o"})));
    quiet(Rule::VariableNeverAssigned, &states(one, json!({"m.$": "$n"})));
    // Inside a branch the variables around it are seen; outside, those inside are not.
    let nested = |outer_reads: bool| {
        let after = if outer_reads { json!({"m.$": "$inner"}) } else { json!({}) };
        machine(&json!({
            "A": {"Type": "Pass", "Assign": {"outer": 1}, "Next": "P"},
            "P": {"Type": "Parallel", "Next": "B", "Branches": [{"StartAt": "I", "States": {
                "I": {"Type": "Pass", "Assign": {"inner": 1}, "Next": "J"},
                "J": {"Type": "Pass", "Parameters": {"m.$": "States.MathAdd($inner, $outer)"}, "End": true}}}]},
            "B": {"Type": "Pass", "Parameters": after, "End": true},
        }))
    };
    for rule in [Rule::VariableNeverRead, Rule::VariableNeverAssigned] {
        quiet(rule, &nested(false));
    }
    found(Rule::VariableNeverAssigned, "/States/B", &nested(true));
    let jsonata = json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": {
        "A": {"Type": "Pass", "Assign": {"n": 1}, "Next": "B"},
        "B": {"Type": "Pass", "Output": "{% ($x := 2; $x + $n + $sum([1])) %}", "End": true}}});
    for rule in [Rule::VariableNeverRead, Rule::VariableNeverAssigned] {
        quiet(rule, &jsonata);
    }
}

#[test]
fn times_that_do_not_fit() {
    let wait = |field: &str, value: Value| machine(&json!({"W": {"Type": "Wait", field: value, "End": true}}));
    found(Rule::WaitInThePast, "/States/W/Timestamp", &wait("Timestamp", json!("2020-01-01T00:00:00Z")));
    quiet(Rule::WaitInThePast, &wait("Timestamp", json!("2099-01-01T00:00:00Z")));
    let text = wait("Timestamp", json!("2020-01-01T00:00:00Z")).to_string();
    assert_eq!(lint(&text, &Options::default(), None), [], "no time, no judgement");

    let mut limited = wait("Seconds", json!(600));
    limited["TimeoutSeconds"] = json!(600);
    found(Rule::WaitBeyondTheEnd, "/States/W/Seconds", &limited);
    limited["TimeoutSeconds"] = json!(601);
    quiet(Rule::WaitBeyondTheEnd, &limited);
    quiet(Rule::WaitBeyondTheEnd, &wait("Seconds", json!(600)));
    let express = Options { machine_type: MachineType::Express, ..Options::default() };
    let found_in_express = findings(&wait("Seconds", json!(600)), &express);
    assert!(found_in_express.iter().any(|finding| finding.rule == Rule::WaitBeyondTheEnd), "{found_in_express:?}");

    let mut slow = task(ACTIVITY, &json!({"TimeoutSeconds": 600}), &json!({"Type": "Succeed"}));
    quiet(Rule::TimeoutBeyondTheEnd, &slow);
    slow["TimeoutSeconds"] = json!(60);
    found(Rule::TimeoutBeyondTheEnd, "/States/T/TimeoutSeconds", &slow);
}

#[test]
fn a_definition_that_is_not_valid_has_no_findings() {
    for text in ["", "[]", "{", "{}", r#"{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": []}}}"#] {
        assert_eq!(lint(text, &Options::default(), None), [], "{text}");
    }
}

#[test]
fn many_rules_are_judged_in_little_time() {
    let rules: Vec<Value> = (0..2_000)
        .map(|n| {
            rule(
                &json!({"Or": [test("NumericEquals", &json!(n)), {"Variable": format!("$.a{n}"), "IsNull": true}]}),
                "A",
            )
        })
        .collect();
    let begun = std::time::Instant::now();
    quiet(Rule::ConditionNeverHolds, &choice(&json!(rules), Some("F")));
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn long_chains_are_judged_in_little_time() {
    let count = 6_000;
    let mut states = serde_json::Map::new();
    for n in 0..count {
        let assign = json!({ format!("v{n}"): n, "same": n });
        states.insert(format!("S{n}"), json!({"Type": "Pass", "Assign": assign, "Next": format!("S{}", n + 1)}));
    }
    states.insert(format!("S{count}"), json!({"Type": "Pass", "Parameters": {"v.$": "$same"}, "End": true}));
    let begun = std::time::Instant::now();
    let found = findings(&json!({"StartAt": "S0", "States": states}), &Options::default());
    assert_eq!(found.len(), 1_000, "no more are collected");
    assert!(found.iter().all(|finding| finding.rule == Rule::VariableNeverRead), "{:?}", found[0]);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}

#[test]
fn every_rule_is_documented_and_has_a_code_of_its_own() {
    let page = include_str!("../../../docs/lint.md");
    let codes: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.code()).collect();
    assert_eq!(codes.len(), Rule::ALL.len());
    let mut at = 0;
    for rule in Rule::ALL {
        let row = format!("| `{}` | {}", rule.code(), rule.summary());
        let found =
            page[at..].find(&row).unwrap_or_else(|| panic!("docs/lint.md lacks, or has in another order: {row}"));
        at += found;
    }
    let tests = include_str!("lint.rs");
    for rule in Rule::ALL {
        assert!(tests.contains(&format!("found(Rule::{rule:?},")), "{rule:?} has no example that it finds");
        // Some are quiet in a loop over several rules.
        let quiet = tests.contains(&format!("quiet(Rule::{rule:?},")) || tests.contains(&format!("Rule::{rule:?}]"));
        let listed = tests.matches(&format!("Rule::{rule:?}, ")).count();
        assert!(quiet || listed > 0, "{rule:?} has no example that it leaves alone");
    }
}
