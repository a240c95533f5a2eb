//! States in JSONata: what their expressions read, what comes of them, and what is recorded when they fail.

use crate::world::{Answer, START, World, check_history, json};
use stepwright_machine::{InputKind, Limits};

const LAMBDA: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

fn machine(states: &str) -> String {
    let states = states.replace("LAMBDA", &format!(r#""Type":"Task","Resource":"{LAMBDA}""#));
    let start = states.trim_start().split('"').nth(1).expect("a name").to_owned();
    format!(r#"{{"QueryLanguage":"JSONata","StartAt":"{start}","States":{{{states}}}}}"#)
}

fn completed(states: &str, input: &str, answers: &[Answer]) -> World {
    let mut world = World::start_with(&machine(states), input, Limits::AWS, answers);
    world.run();
    world.check_fold();
    world
}

fn output(states: &str, input: &str) -> String {
    completed(states, input, &[]).output()
}

/// The cause after "An error occurred while executing the state …", and its error.
fn failure(states: &str, input: &str) -> String {
    let (error, cause) = completed(states, input, &[]).failure();
    let rest = cause.split_once("). ").map_or(cause.as_str(), |(_, rest)| rest);
    format!("{error}: {rest}")
}

#[test]
fn output_and_assign_see_what_was_before() {
    let world = completed(
        r#""A":{"Type":"Pass","Assign":{"x":1,"y":"{% $states.input.n %}"},"Output":{"sum":"{% $states.input.n + 1 %}"},"Next":"B"},
           "B":{"Type":"Pass","Assign":{"x":"{% $y %}","y":"{% $x %}"},"Output":["{% $x %}","{% $y %}","{% $states.input %}"],"Next":"C"},
           "C":{"Type":"Succeed","Output":{"x":"{% $x %}","y":"{% $y %}","was":"{% $states.input %}"}}"#,
        r#"{"n":5}"#,
        &[],
    );
    check_history(
        &world,
        r#"1<-0 ExecutionStarted {"n":5}
           2<-0 PassStateEntered A {"n":5}
           3<-2 PassStateExited A {"sum":6} x=1 y=5
           4<-3 PassStateEntered B {"sum":6}
           5<-4 PassStateExited B [1,5,{"sum":6}] x=5 y=1
           6<-5 SucceedStateEntered C [1,5,{"sum":6}]
           7<-6 SucceedStateExited C {"x":5,"y":1,"was":[1,5,{"sum":6}]}
           8<-7 ExecutionSucceeded {"x":5,"y":1,"was":[1,5,{"sum":6}]}"#,
    );
}

#[test]
fn without_output_the_input_passes_as_it_was_written() {
    assert_eq!(output(r#""A":{"Type":"Pass","End":true}"#, r#"{ "a" : 1 }"#), r#"{ "a" : 1 }"#);
    assert_eq!(output(r#""A":{"Type":"Pass","Output":null,"End":true}"#, "1"), "null");
    assert_eq!(
        output(r#""A":{"Type":"Pass","Output":{"a.$":"$.x","b":"States.UUID()"},"End":true}"#, "1"),
        r#"{"a.$":"$.x","b":"States.UUID()"}"#
    );
}

#[test]
fn a_task_sends_its_arguments_and_shapes_its_result() {
    let world = completed(
        r#""T":{LAMBDA,"Arguments":{"id":"{% $states.input.id %}","at":"{% $states.context.State.Name %}"},"TimeoutSeconds":"{% $states.input.id * 10 %}",
            "Assign":{"got":"{% $states.result.v %}"},"Output":{"in":"{% $states.input %}","out":"{% $states.result %}"},"Next":"P"},
           "P":{"Type":"Pass","Output":"{% $got %}","End":true}"#,
        r#"{"id":3}"#,
        &[Answer::Succeed(r#"{"v":[1]}"#)],
    );
    check_history(
        &world,
        r#"1<-0 ExecutionStarted {"id":3}
           2<-0 TaskStateEntered T {"id":3}
           3<-2 LambdaFunctionScheduled f {"id":3,"at":"T"} timeout=30
           4<-3 LambdaFunctionStarted
           5<-4 LambdaFunctionSucceeded {"v":[1]}
           6<-5 TaskStateExited T {"in":{"id":3},"out":{"v":[1]}} got=[1]
           7<-6 PassStateEntered P {"in":{"id":3},"out":{"v":[1]}}
           8<-7 PassStateExited P [1]
           9<-8 ExecutionSucceeded [1]"#,
    );
    // Without Arguments the input, without Output the result.
    let world = completed(r#""T":{LAMBDA,"End":true}"#, "7", &[Answer::Succeed("{\"r\": 1}")]);
    assert_eq!(world.output(), "{\"r\": 1}");
    assert!(world.history().contains("LambdaFunctionScheduled f 7"));
}

#[test]
fn catchers_see_the_error_output() {
    let world = completed(
        r#""T":{LAMBDA,"Output":"{% $nothing %}","Catch":[{"ErrorEquals":["States.ALL"],"Next":"P",
            "Assign":{"e":"{% $states.errorOutput.Error %}"},"Output":{"e":"{% $states.errorOutput %}","in":"{% $states.input %}"}}],"End":true},
           "P":{"Type":"Pass","Output":{"e":"{% $e %}","was":"{% $states.input %}"},"End":true}"#,
        "1",
        &[Answer::Fail("Oops", "it broke")],
    );
    assert_eq!(world.output(), r#"{"e":"Oops","was":{"e":{"Error":"Oops","Cause":"it broke"},"in":1}}"#);
    let world = completed(
        r#""T":{LAMBDA,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"P"}],"End":true},"P":{"Type":"Pass","End":true}"#,
        "1",
        &[Answer::Fail("Oops", "it broke")],
    );
    assert_eq!(world.output(), r#"{"Error":"Oops","Cause":"it broke"}"#);
}

#[test]
fn choices() {
    let states = r#""C":{"Type":"Choice","Choices":[
            {"Condition":"{% $states.input.n > 10 %}","Output":"big","Assign":{"size":"{% $states.input.n %}"},"Next":"S"},
            {"Condition":false,"Next":"F"},
            {"Condition":"{% $states.input.n > 5 %}","Next":"S"}],
            "Default":"S","Output":"small","Assign":{"size":0}},
          "F":{"Type":"Fail"},
          "S":{"Type":"Succeed","Output":["{% $states.input %}","{% $exists($size) ? $size : 'none' %}"]}"#;
    assert_eq!(output(states, r#"{"n":11}"#), r#"["big",11]"#);
    assert_eq!(output(states, r#"{"n":6}"#), r#"[{"n":6},"none"]"#);
    assert_eq!(output(states, r#"{"n":1}"#), r#"["small",0]"#);
    let alone =
        r#""C":{"Type":"Choice","Choices":[{"Condition":"{% $states.input %}","Next":"S"}]},"S":{"Type":"Succeed"}"#;
    assert_eq!(output(alone, "true"), "true");
    assert_eq!(
        failure(alone, "false"),
        "States.Runtime: Failed to transition out of the state. The state does not point to a next state."
    );
    assert_eq!(
        failure(alone, "1"),
        "States.QueryEvaluationError: The JSONata expression '$states.input' specified for the field \
         'Choices[0]/Condition' returned an unexpected result type. Expected 'boolean', but was 'number' for value: 1"
    );
}

#[test]
fn waits() {
    let seconds = r#""W":{"Type":"Wait","Seconds":"{% $states.input %}","Output":"{% $millis() %}","End":true}"#;
    assert_eq!(output(seconds, "3"), (START + 3_000).to_string());
    assert_eq!(output(seconds, "0"), START.to_string());
    for (input, expected) in [
        ("-1", "The Seconds field must be an integer from 0 to 99999999, but was: -1"),
        ("1.5", "The Seconds field must be an integer from 0 to 99999999, but was: 1.5"),
        (
            "\"1\"",
            "The JSONata expression '$states.input' specified for the field 'Seconds' returned an unexpected result \
             type. Expected 'number', but was 'string' for value: \"1\"",
        ),
    ] {
        assert_eq!(failure(seconds, input), format!("States.QueryEvaluationError: {expected}"));
    }
    let timestamp = r#""W":{"Type":"Wait","Timestamp":"{% $states.input.at %}","End":true}"#;
    assert_eq!(output(timestamp, r#"{"at":"2016-03-14T01:59:00Z"}"#), r#"{"at":"2016-03-14T01:59:00Z"}"#);
    let world = completed(timestamp, r#"{"at":"soon"}"#, &[]);
    let cause = "An error occurred while executing the state 'W' (entered at the event id #2). The Timestamp field cannot \
                 be parsed as an ISO-8601 extended offset date-time format string: soon";
    check_history(
        &world,
        &format!(
            r#"1<-0 ExecutionStarted {{"at":"soon"}}
               2<-0 WaitStateEntered W {{"at":"soon"}}
               3<-2 EvaluationFailed W at Timestamp States.QueryEvaluationError: {cause}
               4<-3 ExecutionFailed States.QueryEvaluationError: {cause}"#
        ),
    );
}

#[test]
fn fail_states() {
    let states = r#""F":{"Type":"Fail","Error":"{% $states.input.e %}","Cause":"{% 'since ' & $states.input.c %}"}"#;
    let world = completed(states, r#"{"e":"E","c":"x"}"#, &[]);
    assert_eq!(world.failure(), ("E".into(), "since x".into()));
    assert_eq!(
        failure(states, r#"{"e":1}"#),
        "States.QueryEvaluationError: The JSONata expression '$states.input.e' specified for the field 'Error' returned \
         an unexpected result type. Expected 'string', but was 'number' for value: 1"
    );
}

#[test]
fn undefined_is_recorded_where_it_stands() {
    let world = completed(r#""A":{"Type":"Pass","Output":{"list":[1,{"v":"{% $nobody %}"}]},"End":true}"#, "1", &[]);
    let cause = "An error occurred while executing the state 'A' (entered at the event id #2). The JSONata expression \
                 '$nobody' specified for the field 'Output/list[1]/v' returned nothing (undefined).";
    check_history(
        &world,
        &format!(
            "1<-0 ExecutionStarted 1
             2<-0 PassStateEntered A 1
             3<-0 EvaluationFailed A at Output/list[1]/v States.QueryEvaluationError: {cause}
             4<-3 ExecutionFailed States.QueryEvaluationError: {cause}"
        ),
    );
}

/// The types of the events, with what they follow.
fn kinds(world: &World) -> Vec<String> {
    world.history().lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn arguments_are_evaluated_at_each_attempt() {
    let world = completed(
        r#""T":{LAMBDA,"Arguments":"{% $nobody %}","Retry":[{"ErrorEquals":["States.QueryEvaluationError"],"MaxAttempts":1}],"End":true}"#,
        "1",
        &[],
    );
    assert_eq!(
        kinds(&world),
        [
            "1<-0 ExecutionStarted",
            "2<-0 TaskStateEntered",
            "3<-0 EvaluationFailed",
            "4<-3 EvaluationFailed",
            "5<-4 ExecutionFailed"
        ]
    );
    let world = completed(
        r#""T":{LAMBDA,"Arguments":["{% $uuid() %}","{% $states.context.State.RetryCount %}"],"Retry":[{"ErrorEquals":["States.ALL"]}],"End":true}"#,
        "1",
        &[Answer::Fail("E", "c"), Answer::Succeed("1")],
    );
    let sent: Vec<_> = world
        .history()
        .lines()
        .filter_map(|line| line.split_once("Scheduled f ").map(|(_, sent)| json(sent)))
        .collect();
    assert_eq!(sent.len(), 2);
    assert_ne!(sent[0][0], sent[1][0], "chance is drawn again");
    assert_eq!((&sent[0][1], &sent[1][1]), (&json("0"), &json("1")));
}

#[test]
fn failed_expressions_are_caught_by_name_and_not_as_task_failures() {
    let states = |name: &str| {
        format!(
            r#""T":{{LAMBDA,"Arguments":"{{% $nobody %}}","Catch":[{{"ErrorEquals":["States.TaskFailed"],"Output":"task","Next":"P"}},
               {{"ErrorEquals":["{name}"],"Output":"caught","Next":"P"}}],"End":true}},"P":{{"Type":"Pass","End":true}}"#
        )
    };
    for name in ["States.QueryEvaluationError", "States.ALL"] {
        let world = completed(&states(name), "1", &[]);
        assert_eq!(world.output(), "\"caught\"");
        assert_eq!(kinds(&world)[2..4], ["3<-0 EvaluationFailed", "4<-3 TaskStateExited"]);
    }
}

#[test]
fn parallel_states_and_their_variables() {
    let states = r#""A":{"Type":"Pass","Assign":{"o":"outer"},"Next":"P"},
        "P":{"Type":"Parallel","Arguments":{"n":"{% $states.input + 1 %}"},"Branches":[
            {"StartAt":"L","States":{"L":{"Type":"Pass","Assign":{"mine":"{% $o & '!' %}"},"Next":"M"},"M":{"Type":"Pass","Output":"{% $mine %}","End":true}}},
            {"StartAt":"R","States":{"R":{"Type":"Pass","Output":"{% $states.input.n %}","End":true}}}],
            "Assign":{"r":"{% $states.result[1] %}"},"Output":{"all":"{% $states.result %}","in":"{% $states.input %}"},"Next":"S"},
        "S":{"Type":"Succeed","Output":["{% $r %}","{% $exists($mine) %}","{% $states.input %}"]}"#;
    assert_eq!(output(states, "1"), r#"[2,false,{"all":["outer!",2],"in":1}]"#);
}

#[test]
fn a_catcher_that_fails_follows_what_the_failed_event_followed() {
    let world = completed(
        r#""P":{"Type":"Parallel","Branches":[{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E"}}}],
            "Catch":[{"ErrorEquals":["Other"],"Next":"S"},{"ErrorEquals":["E"],"Output":{"v":"{% $nobody %}"},"Next":"S"}],"End":true},
           "S":{"Type":"Succeed"}"#,
        "1",
        &[],
    );
    assert_eq!(
        kinds(&world),
        [
            "1<-0 ExecutionStarted",
            "2<-0 ParallelStateEntered",
            "3<-2 ParallelStateStarted",
            "4<-3 FailStateEntered",
            "5<-4 ParallelStateFailed",
            "6<-4 EvaluationFailed",
            "7<-6 ParallelStateFailed",
            "8<-7 ExecutionFailed"
        ]
    );
    assert!(world.history().contains("EvaluationFailed P at Catch[1]/Output/v"));
}

fn map(fields: &str) -> String {
    format!(
        r#""M":{{"Type":"Map",{fields}"ItemProcessor":{{"StartAt":"I","States":{{"I":{{"Type":"Pass","End":true}}}}}},"End":true}}"#
    )
}

#[test]
fn maps() {
    assert_eq!(
        output(&map(r#""Items":[1,"{% $number('2') %}",3],"MaxConcurrency":"{% $one := 1 %}","#), "{}"),
        "[1,2,3]"
    );
    assert_eq!(output(&map(""), "[4,5]"), "[4,5]");
    assert_eq!(
        output(
            &map(
                r#""Items":"{% $states.input.list %}","ItemSelector":{"i":"{% $states.context.Map.Item.Index %}","v":"{% $states.context.Map.Item.Value %}","k":"{% $states.input.k %}"},"Output":"{% $states.result.(i & v & k) %}","#
            ),
            r#"{"list":["a","b"],"k":"!"}"#
        ),
        r#"["0a!","1b!"]"#
    );
}

#[test]
fn items_that_cannot_be_made() {
    let world = completed(&map(r#""Items":"{% $states.input.list %}","#), r#"{"list":{"foo":"bar"}}"#, &[]);
    assert_eq!(
        kinds(&world),
        [
            "1<-0 ExecutionStarted",
            "2<-0 MapStateEntered",
            "3<-0 EvaluationFailed",
            "4<-3 MapStateFailed",
            "5<-4 ExecutionFailed"
        ]
    );
    let input = r#"{"list":{"foo":"bar"}}"#;
    assert_eq!(
        failure(&map(r#""Items":"{% $states.input.list %}","#), input),
        "States.QueryEvaluationError: The JSONata expression '$states.input.list' specified for the field 'Items' returned \
         an unexpected result type. Expected 'array', but was 'object' for value: {\"foo\":\"bar\"}"
    );
    assert_eq!(
        failure(&map(""), input),
        format!("States.QueryEvaluationError: Map state input must be an array but was: {input}")
    );
    let world = completed(&map(""), input, &[]);
    assert!(world.history().contains("EvaluationFailed M at - "), "{}", world.history());
    assert_eq!(
        failure(&map(r#""MaxConcurrency":"{% -1 %}","#), "[]"),
        "States.QueryEvaluationError: MaxConcurrency cannot be negative."
    );
    assert_eq!(
        failure(&map(r#""Items":"{% [1..200000] %}","#), "1").split(' ').next(),
        Some("States.DataLimitExceeded:"),
        "items are a payload like others"
    );
}

#[test]
fn an_item_selector_that_fails_in_the_middle() {
    let world = completed(
        &map(r#""ItemSelector":"{% $states.context.Map.Item.Value.a %}","MaxConcurrency":1,"#),
        r#"[{"a":1},{}]"#,
        &[],
    );
    let kinds = kinds(&world);
    let at = kinds.iter().position(|kind| kind.ends_with("EvaluationFailed")).expect("it is recorded");
    assert_eq!(
        kinds.iter().skip(at + 2).map(|kind| kind.split(' ').nth(1).unwrap_or_default()).collect::<Vec<_>>().last(),
        Some(&"ExecutionFailed")
    );
    assert!(world.failure().1.contains("specified for the field 'ItemSelector' returned nothing"));
}

#[test]
fn both_languages_share_variables() {
    let definition = r#"{"StartAt":"A","States":{
        "A":{"Type":"Pass","Assign":{"x.$":"$.n"},"Next":"B"},
        "B":{"Type":"Pass","QueryLanguage":"JSONata","Assign":{"y":"{% $x * 2 %}"},"Output":{"o":"{% $x %}"},"Next":"C"},
        "C":{"Type":"Pass","Parameters":{"y.$":"$y","o.$":"$.o"},"End":true}}}"#;
    let mut world = World::start(definition, r#"{"n":4}"#);
    world.run();
    world.check_fold();
    assert_eq!(json(&world.output()), json(r#"{"y":8,"o":4}"#));
}

#[test]
fn hostile_expressions_end_and_the_turn_goes_on() {
    let states = r#""P":{"Type":"Parallel","Branches":[{"StartAt":"E","States":{"E":{"Type":"Pass","Output":"{% ($f := function($n) {1 + $f($n)}; $f(1)) %}","End":true}}}],
        "Catch":[{"ErrorEquals":["States.QueryEvaluationError"],"Output":"{% $states.errorOutput.Cause %}","Next":"S"}],"End":true},"S":{"Type":"Succeed"}"#;
    assert!(output(states, "1").contains("Stack overflow error"));
    for (expression, ending) in [
        ("($f := function($n) {$f($n + 1)}; $f(1))", "Expression evaluation timeout"),
        ("($f := function($s) {$f($s & $s)}; $f('abcdefgh'))", "Expression evaluation memory limit exceeded"),
        ("$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(a+)+b/)", "returned nothing (undefined)."),
    ] {
        let states = format!(r#""E":{{"Type":"Pass","Output":"{{% {expression} %}}","End":true}}"#);
        let failure = failure(&states, "1");
        assert!(failure.starts_with("States.QueryEvaluationError: ") && failure.ends_with(ending), "{failure}");
    }
}

#[test]
fn slow_expressions_end_the_turn_not_the_execution() {
    let states = r#""A":{"Type":"Pass","Output":"{% $states.input - ($sum([1..600000].($ * 2)) > 0 ? 1 : 0) %}","Next":"C"},
        "C":{"Type":"Choice","Choices":[{"Condition":"{% $states.input > 0 %}","Next":"A"}],"Default":"S"},"S":{"Type":"Succeed"}"#;
    let mut world = World::start(&machine(states), "8");
    assert!(world.closing.is_none() && world.goes_on(), "the turn was cut and asks to go on");
    world.submit(InputKind::Continue);
    world.run();
    assert_eq!(world.output(), "0");
    world.check_fold();
}

#[test]
fn time_and_chance_are_the_inputs() {
    let states = r#""W":{"Type":"Wait","Seconds":1,"Assign":{"a":"{% $random() %}"},"Next":"P"},
        "P":{"Type":"Pass","Output":["{% $now() %}","{% $random() != $a %}","{% $length($uuid()) %}"],"End":true}"#;
    let mut world = World::start(&machine(states), "{}");
    let timer = world.timers.keys().next().expect("a timer").1;
    world.advance(1_000);
    world.submit(InputKind::TimerFired { timer });
    assert_eq!(world.output(), r#"["2023-11-14T22:13:21.000Z",true,36]"#);
    world.check_fold();
}
