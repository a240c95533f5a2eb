//! The order of history events and their previousEventId, state type by state type.

use crate::world::{Answer, World, check_history};
use stepwright_machine::{InputKind, Limits, Outcome, Payload, Status};

fn completed(definition: &str, input: &str, answers: &[Answer]) -> World {
    let mut world = World::start_with(definition, input, Limits::AWS, answers);
    world.run();
    world
}

fn check(definition: &str, input: &str, answers: &[Answer], expected: &str) {
    check_history(&completed(definition, input, answers), expected);
}

const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:a";
const LAMBDA: &str = "arn:aws:lambda:us-east-1:000000000000:function:f";

fn task(resource: &str, rest: &str) -> String {
    format!(
        r#"{{"StartAt":"T","States":{{"T":{{"Type":"Task","Resource":"{resource}",{rest}}},"P":{{"Type":"Pass","End":true}}}}}}"#
    )
}

/// A one-task machine whose second state is only reached by a catcher.
fn single(resource: &str, rest: &str) -> String {
    let rest = if rest.is_empty() { String::new() } else { format!("{rest},") };
    format!(r#"{{"StartAt":"T","States":{{"T":{{"Type":"Task","Resource":"{resource}",{rest}"End":true}}}}}}"#)
}

#[test]
fn pass_keeps_the_text_of_untouched_input() {
    check(
        r#"{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},"B":{"Type":"Succeed"}}}"#,
        r#"["Hello", "World"]"#,
        &[],
        r#"1<-0 ExecutionStarted ["Hello", "World"]
           2<-0 PassStateEntered A ["Hello", "World"]
           3<-2 PassStateExited A ["Hello", "World"]
           4<-3 SucceedStateEntered B ["Hello", "World"]
           5<-4 SucceedStateExited B ["Hello", "World"]
           6<-5 ExecutionSucceeded ["Hello", "World"]"#,
    );
}

#[test]
fn fail_has_no_exited_event() {
    check(
        r#"{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E","Cause":"C"}}}"#,
        "{}",
        &[],
        "1<-0 ExecutionStarted {}
         2<-0 FailStateEntered F {}
         3<-2 ExecutionFailed E: C",
    );
    check(
        r#"{"StartAt":"F","States":{"F":{"Type":"Fail"}}}"#,
        "{}",
        &[],
        "1<-0 ExecutionStarted {}
         2<-0 FailStateEntered F {}
         3<-2 ExecutionFailed",
    );
}

#[test]
fn lambda_by_function_arn() {
    check(
        &single(LAMBDA, r#""TimeoutSeconds":5"#),
        "1",
        &[Answer::Succeed("{\"a\": 1}")],
        r#"1<-0 ExecutionStarted 1
           2<-0 TaskStateEntered T 1
           3<-2 LambdaFunctionScheduled f 1 timeout=5
           4<-3 LambdaFunctionStarted
           5<-4 LambdaFunctionSucceeded {"a": 1}
           6<-5 TaskStateExited T {"a": 1}
           7<-6 ExecutionSucceeded {"a": 1}"#,
    );
}

#[test]
fn optimized_lambda_drops_unknown_parameters() {
    check(
        &single("arn:aws:states:::lambda:invoke", r#""Parameters":{"FunctionName":"f","Nonsense":1,"Payload.$":"$"}"#),
        "7",
        &[Answer::Fail("Lambda.X", "why")],
        r#"1<-0 ExecutionStarted 7
           2<-0 TaskStateEntered T 7
           3<-2 TaskScheduled {"FunctionName":"f","Payload":7}
           4<-3 TaskStarted
           5<-4 TaskFailed Lambda.X: why
           6<-5 ExecutionFailed Lambda.X: why"#,
    );
}

#[test]
fn callback_before_the_submit_answer_keeps_the_order() {
    let definition = single(
        "arn:aws:states:::lambda:invoke.waitForTaskToken",
        r#""Parameters":{"FunctionName":"f"},"HeartbeatSeconds":10"#,
    );
    let mut world = World::start(&definition, "{}");
    let task = world.open[0].0;
    assert_eq!(world.submit(InputKind::TaskSucceeded { task, output: Payload::new("2") }), Outcome::Accepted);
    assert_eq!(world.submit(InputKind::TaskSucceeded { task, output: Payload::new("3") }), Outcome::Ignored);
    assert_eq!(world.submit(InputKind::TaskSubmitted { task, output: Payload::new("1") }), Outcome::Accepted);
    check_history(
        &world,
        r#"1<-0 ExecutionStarted {}
           2<-0 TaskStateEntered T {}
           3<-2 TaskScheduled {"FunctionName":"f"} heartbeat=10
           4<-3 TaskStarted
           5<-4 TaskSubmitted 1
           6<-5 TaskSucceeded 2
           7<-6 TaskStateExited T 2
           8<-7 ExecutionSucceeded 2"#,
    );
}

#[test]
fn activity_and_its_failure() {
    check(
        &single(ACTIVITY, ""),
        "{}",
        &[Answer::Fail("E", "C")],
        "1<-0 ExecutionStarted {}
         2<-0 TaskStateEntered T {}
         3<-2 ActivityScheduled {}
         4<-3 ActivityStarted w
         5<-4 ActivityFailed E: C
         6<-5 ExecutionFailed E: C",
    );
}

#[test]
fn a_deleted_activity_leaves_no_scheduled_event() {
    let mut world = World::new(&single(ACTIVITY, ""), Limits::AWS, &[]);
    world.missing_activities = true;
    world.submit(InputKind::Start { input: Payload::new("{}") });
    check_history(
        &world,
        "1<-0 ExecutionStarted {}
         2<-0 TaskStateEntered T {}
         3<-2 ExecutionFailed States.Runtime: An error occurred while executing the state 'T' (entered at the event id #2). The activity arn:aws:states:us-east-1:000000000000:activity:a does not exist.",
    );
}

#[test]
fn a_retried_task_is_scheduled_again_without_a_second_entered_event() {
    check(
        &single(ACTIVITY, r#""Retry":[{"ErrorEquals":["E"],"MaxAttempts":1}]"#),
        "{}",
        &[Answer::Fail("E", "1"), Answer::Fail("E", "2")],
        "1<-0 ExecutionStarted {}
         2<-0 TaskStateEntered T {}
         3<-2 ActivityScheduled {}
         4<-3 ActivityStarted w
         5<-4 ActivityFailed E: 1
         6<-5 ActivityScheduled {}
         7<-6 ActivityStarted w
         8<-7 ActivityFailed E: 2
         9<-8 ExecutionFailed E: 2",
    );
}

#[test]
fn a_caught_failure_without_error_and_cause_is_null() {
    check(
        &task(ACTIVITY, r#""Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.e","Next":"P"}],"Next":"P""#),
        r#"{"a":1}"#,
        &[Answer::FailBlank],
        r#"1<-0 ExecutionStarted {"a":1}
           2<-0 TaskStateEntered T {"a":1}
           3<-2 ActivityScheduled {"a":1}
           4<-3 ActivityStarted w
           5<-4 ActivityFailed
           6<-5 TaskStateExited T {"a":1,"e":{"Error":null,"Cause":null}}
           7<-6 PassStateEntered P {"a":1,"e":{"Error":null,"Cause":null}}
           8<-7 PassStateExited P {"a":1,"e":{"Error":null,"Cause":null}}
           9<-8 ExecutionSucceeded {"a":1,"e":{"Error":null,"Cause":null}}"#,
    );
}

#[test]
fn a_task_timeout_has_no_cause_but_an_empty_one_when_caught() {
    check(
        &task(LAMBDA, r#""TimeoutSeconds":5,"Catch":[{"ErrorEquals":["States.Timeout"],"Next":"P"}],"Next":"P""#),
        "{}",
        &[],
        r#"1<-0 ExecutionStarted {}
           2<-0 TaskStateEntered T {}
           3<-2 LambdaFunctionScheduled f {} timeout=5
           4<-3 LambdaFunctionStarted
           5<-4 LambdaFunctionTimedOut States.Timeout: -
           6<-5 TaskStateExited T {"Error":"States.Timeout","Cause":""}
           7<-6 PassStateEntered P {"Error":"States.Timeout","Cause":""}
           8<-7 PassStateExited P {"Error":"States.Timeout","Cause":""}
           9<-8 ExecutionSucceeded {"Error":"States.Timeout","Cause":""}"#,
    );
}

#[test]
fn stop_points_nowhere() {
    let mut world = World::start(r#"{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":9,"End":true}}}"#, "{}");
    world.submit(InputKind::Stop { error: Some("E".into()), cause: None });
    check_history(
        &world,
        "1<-0 ExecutionStarted {}
         2<-0 WaitStateEntered W {}
         3<-0 ExecutionAborted E: -",
    );
    assert_eq!(world.submit(InputKind::Stop { error: None, cause: None }), Outcome::Ignored);
}

#[test]
fn execution_timeout_stops_exactly_when_it_is_due() {
    let mut world = World::start(
        r#"{"StartAt":"W","TimeoutSeconds":3,"States":{"W":{"Type":"Wait","Seconds":9,"End":true}}}"#,
        "{}",
    );
    world.run();
    check_history(
        &world,
        "1<-0 ExecutionStarted {}
         2<-0 WaitStateEntered W {}
         3<-2 ExecutionTimedOut States.Timeout: -",
    );
    let closing = world.closing.expect("closed");
    assert_eq!((closing.status, closing.at), (Status::TimedOut, crate::world::START + 3_000));
}

#[test]
fn branches_advance_side_by_side() {
    check(
        r#"{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,"Branches":[
            {"StartAt":"A","States":{"A":{"Type":"Pass","Result":1,"End":true}}},
            {"StartAt":"B","States":{"B":{"Type":"Pass","Result":2,"End":true}}}]}}}"#,
        "{}",
        &[],
        "1<-0 ExecutionStarted {}
         2<-0 ParallelStateEntered X {}
         3<-2 ParallelStateStarted
         4<-3 PassStateEntered A {}
         5<-3 PassStateEntered B {}
         6<-4 PassStateExited A 1
         7<-5 PassStateExited B 2
         8<-7 ParallelStateSucceeded
         9<-7 ParallelStateExited X [1,2]
         10<-9 ExecutionSucceeded [1,2]",
    );
}

#[test]
fn a_task_that_fails_in_a_branch_aborts_its_siblings() {
    check(
        &format!(
            r#"{{"StartAt":"X","States":{{"X":{{"Type":"Parallel","Next":"P",
               "Catch":[{{"ErrorEquals":["States.ALL"],"Next":"P"}}],"Branches":[
               {{"StartAt":"A","States":{{"A":{{"Type":"Task","Resource":"{ACTIVITY}","End":true}}}}}},
               {{"StartAt":"B","States":{{"B":{{"Type":"Wait","Seconds":60,"End":true}}}}}}]}},
               "P":{{"Type":"Pass","End":true}}}}}}"#
        ),
        "{}",
        &[Answer::Fail("E", "C")],
        r#"1<-0 ExecutionStarted {}
           2<-0 ParallelStateEntered X {}
           3<-2 ParallelStateStarted
           4<-3 TaskStateEntered A {}
           5<-3 WaitStateEntered B {}
           6<-4 ActivityScheduled {}
           7<-6 ActivityStarted w
           8<-7 ActivityFailed E: C
           9<-8 TaskStateAborted
           10<-8 WaitStateAborted
           11<-8 ParallelStateFailed
           12<-11 ParallelStateExited X {"Error":"E","Cause":"C"}
           13<-12 PassStateEntered P {"Error":"E","Cause":"C"}
           14<-13 PassStateExited P {"Error":"E","Cause":"C"}
           15<-14 ExecutionSucceeded {"Error":"E","Cause":"C"}"#,
    );
}

#[test]
fn a_retried_parallel_starts_again_without_a_failed_event() {
    check(
        r#"{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,
           "Retry":[{"ErrorEquals":["E"],"MaxAttempts":1}],
           "Branches":[{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E"}}}]}}}"#,
        "{}",
        &[],
        "1<-0 ExecutionStarted {}
         2<-0 ParallelStateEntered X {}
         3<-2 ParallelStateStarted
         4<-3 FailStateEntered F {}
         5<-4 ParallelStateStarted
         6<-5 FailStateEntered F {}
         7<-6 ParallelStateFailed
         8<-7 ExecutionFailed E: -",
    );
}

fn map(rest: &str, states: &str) -> String {
    format!(
        r#"{{"StartAt":"M","States":{{"M":{{"Type":"Map","End":true,{rest}
           "ItemProcessor":{{"StartAt":"S","States":{{{states}}}}}}}}}}}"#
    )
}

#[test]
fn a_sequential_map() {
    check(
        &map(r#""MaxConcurrency":1,"#, r#""S":{"Type":"Pass","End":true}"#),
        "[1,2]",
        &[],
        "1<-0 ExecutionStarted [1,2]
         2<-0 MapStateEntered M [1,2]
         3<-2 MapStateStarted 2
         4<-3 MapIterationStarted 0
         5<-4 PassStateEntered S 1
         6<-5 PassStateExited S 1
         7<-6 MapIterationSucceeded 0
         8<-6 MapIterationStarted 1
         9<-8 PassStateEntered S 2
         10<-9 PassStateExited S 2
         11<-10 MapIterationSucceeded 1
         12<-11 MapStateSucceeded
         13<-11 MapStateExited M [1,2]
         14<-13 ExecutionSucceeded [1,2]",
    );
}

#[test]
fn an_unlimited_map_starts_all_iterations_first() {
    let world = completed(&map("", r#""S":{"Type":"Pass","End":true}"#), "[1,2,3]", &[]);
    let history = world.history();
    let first: Vec<&str> = history.lines().skip(3).take(4).collect();
    assert_eq!(
        first,
        [
            "4<-3 MapIterationStarted 0",
            "5<-3 MapIterationStarted 1",
            "6<-3 MapIterationStarted 2",
            "7<-4 PassStateEntered S 1"
        ]
    );
    assert_eq!(world.output(), "[1,2,3]");
    world.check_fold();
}

#[test]
fn an_empty_map() {
    check(
        &map("", r#""S":{"Type":"Pass","End":true}"#),
        "[]",
        &[],
        "1<-0 ExecutionStarted []
         2<-0 MapStateEntered M []
         3<-2 MapStateStarted 0
         4<-3 MapStateSucceeded
         5<-3 MapStateExited M []
         6<-5 ExecutionSucceeded []",
    );
}

#[test]
fn a_failing_iteration_aborts_those_in_flight() {
    let states = format!(r#""S":{{"Type":"Task","Resource":"{ACTIVITY}","End":true}}"#);
    check(
        &map("", &states),
        "[1,2]",
        &[Answer::Fail("E", "C")],
        "1<-0 ExecutionStarted [1,2]
         2<-0 MapStateEntered M [1,2]
         3<-2 MapStateStarted 2
         4<-3 MapIterationStarted 0
         5<-3 MapIterationStarted 1
         6<-4 TaskStateEntered S 1
         7<-5 TaskStateEntered S 2
         8<-6 ActivityScheduled 1
         9<-7 ActivityScheduled 2
         10<-8 ActivityStarted w
         11<-9 ActivityStarted w
         12<-10 ActivityFailed E: C
         13<-12 MapIterationFailed 0
         14<-12 TaskStateAborted
         15<-12 MapIterationAborted 1
         16<-12 TaskStateAborted
         17<-12 MapStateFailed
         18<-17 ExecutionFailed E: C",
    );
}

#[test]
fn a_retried_map_starts_again_from_the_failing_event() {
    check(
        &map(r#""Retry":[{"ErrorEquals":["E"],"MaxAttempts":1}],"#, r#""S":{"Type":"Fail","Error":"E","Cause":"C"}"#),
        "[1]",
        &[],
        "1<-0 ExecutionStarted [1]
         2<-0 MapStateEntered M [1]
         3<-2 MapStateStarted 1
         4<-3 MapIterationStarted 0
         5<-4 FailStateEntered S 1
         6<-5 MapIterationFailed 0
         7<-5 MapStateStarted 1
         8<-7 MapIterationStarted 0
         9<-8 FailStateEntered S 1
         10<-9 MapIterationFailed 0
         11<-9 MapStateFailed
         12<-11 ExecutionFailed E: C",
    );
}

#[test]
fn runtime_errors_end_the_execution_from_where_they_are() {
    check(
        r#"{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,"Catch":[{"ErrorEquals":["States.ALL"],"Next":"P"}],
           "Branches":[{"StartAt":"A","States":{"A":{"Type":"Pass","InputPath":"$.no","End":true}}}]},
           "P":{"Type":"Pass","End":true}}}"#,
        "{}",
        &[],
        "1<-0 ExecutionStarted {}
         2<-0 ParallelStateEntered X {}
         3<-2 ParallelStateStarted
         4<-3 PassStateEntered A {}
         5<-4 ExecutionFailed States.Runtime: An error occurred while executing the state 'A' (entered at the event id #4). Invalid path '$.no' : No results for path: $['no']",
    );
}

#[test]
fn a_failing_result_selector_follows_the_succeeded_event() {
    check(
        r#"{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,"ResultSelector":{"r.$":"$.no"},
           "Branches":[{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}]}}}"#,
        "{}",
        &[],
        "1<-0 ExecutionStarted {}
         2<-0 ParallelStateEntered X {}
         3<-2 ParallelStateStarted
         4<-3 PassStateEntered A {}
         5<-4 PassStateExited A {}
         6<-5 ParallelStateSucceeded
         7<-6 ExecutionFailed States.Runtime: An error occurred while executing the state 'X' (entered at the event id #2). The JSONPath '$.no' specified for the field 'r.$' could not be found in the input '[{}]'",
    );
    check(
        &map(r#""ResultSelector":{"r.$":"$.no"},"#, r#""S":{"Type":"Pass","End":true}"#),
        "[]",
        &[],
        "1<-0 ExecutionStarted []
         2<-0 MapStateEntered M []
         3<-2 MapStateStarted 0
         4<-3 MapStateSucceeded
         5<-4 ExecutionFailed States.Runtime: An error occurred while executing the state 'M' (entered at the event id #2). The JSONPath '$.no' specified for the field 'r.$' could not be found in the input '[]'",
    );
}

#[test]
fn a_container_that_fails_by_itself_has_its_failed_event() {
    // Its result cannot be placed: once more after a retry, then caught.
    check(
        r#"{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,"ResultPath":"$.r",
           "Retry":[{"ErrorEquals":["States.ResultPathMatchFailure"],"IntervalSeconds":0,"MaxAttempts":1}],
           "Catch":[{"ErrorEquals":["States.ResultPathMatchFailure"],"ResultPath":null,"Next":"P"}],
           "Branches":[{"StartAt":"A","States":{"A":{"Type":"Pass","End":true}}}]},
           "P":{"Type":"Pass","End":true}}}"#,
        "1",
        &[],
        "1<-0 ExecutionStarted 1
         2<-0 ParallelStateEntered X 1
         3<-2 ParallelStateStarted
         4<-3 PassStateEntered A 1
         5<-4 PassStateExited A 1
         6<-5 ParallelStateSucceeded
         7<-6 ParallelStateStarted
         8<-7 PassStateEntered A 1
         9<-8 PassStateExited A 1
         10<-9 ParallelStateSucceeded
         11<-10 ParallelStateFailed
         12<-11 ParallelStateExited X 1
         13<-12 PassStateEntered P 1
         14<-13 PassStateExited P 1
         15<-14 ExecutionSucceeded 1",
    );
    // An item cannot be made while another iteration is under way.
    let selector = r#""ItemSelector":{"v.$":"States.ArrayGetItem($$.Map.Item.Value, 0)"},"#;
    check(
        &map(selector, r#""S":{"Type":"Wait","Seconds":9,"End":true}"#),
        "[[1],[]]",
        &[],
        "1<-0 ExecutionStarted [[1],[]]
         2<-0 MapStateEntered M [[1],[]]
         3<-2 MapStateStarted 2
         4<-3 MapIterationStarted 0
         5<-3 MapIterationStarted 1
         6<-3 MapIterationAborted 0
         7<-3 MapStateFailed
         8<-7 ExecutionFailed States.IntrinsicFailure: An error occurred while executing the state 'M' (entered at the event id #2). The function 'States.ArrayGetItem($$.Map.Item.Value, 0)' had the following error: Invalid arguments in States.ArrayGetItem: the array has 0 elements, so there is no index 0",
    );
    // The same inside of a branch: the failure goes on up.
    let inner = map(selector, r#""S":{"Type":"Wait","Seconds":9,"End":true}"#);
    let outer = format!(
        r#"{{"StartAt":"X","States":{{"X":{{"Type":"Parallel","Branches":[{inner},
           {{"StartAt":"W","States":{{"W":{{"Type":"Wait","Seconds":9,"End":true}}}}}}],"End":true,
           "Catch":[{{"ErrorEquals":["States.IntrinsicFailure"],"ResultPath":null,"Next":"P"}}]}},
           "P":{{"Type":"Pass","End":true}}}}}}"#
    );
    check(
        &outer,
        "[[1],[]]",
        &[],
        "1<-0 ExecutionStarted [[1],[]]
         2<-0 ParallelStateEntered X [[1],[]]
         3<-2 ParallelStateStarted
         4<-3 MapStateEntered M [[1],[]]
         5<-3 WaitStateEntered W [[1],[]]
         6<-4 MapStateStarted 2
         7<-6 MapIterationStarted 0
         8<-6 MapIterationStarted 1
         9<-6 MapIterationAborted 0
         10<-6 MapStateFailed
         11<-10 WaitStateAborted
         12<-10 ParallelStateFailed
         13<-12 ParallelStateExited X [[1],[]]
         14<-13 PassStateEntered P [[1],[]]
         15<-14 PassStateExited P [[1],[]]
         16<-15 ExecutionSucceeded [[1],[]]",
    );
    // What a catcher of its own makes of the failure fails in turn.
    check(
        r#"{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,
           "Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.e","Next":"P"}],
           "Branches":[{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E"}}}]},
           "P":{"Type":"Pass","End":true}}}"#,
        "1",
        &[],
        "1<-0 ExecutionStarted 1
         2<-0 ParallelStateEntered X 1
         3<-2 ParallelStateStarted
         4<-3 FailStateEntered F 1
         5<-4 ParallelStateFailed
         6<-5 ParallelStateFailed
         7<-6 ExecutionFailed States.ResultPathMatchFailure: An error occurred while executing the state 'X' (entered at the event id #2). Unable to apply step \"e\" to input 1",
    );
}

#[test]
fn tasks_that_time_out_together_are_recorded_before_their_map_fails() {
    let states = format!(r#""S":{{"Type":"Task","Resource":"{LAMBDA}","TimeoutSeconds":5,"End":true}}"#);
    let mut world = World::start(&map("", &states), "[1,2]");
    let due: Vec<_> = world.timers.keys().copied().collect();
    world.advance(5_000);
    let kinds = due.into_iter().map(|(_, timer)| InputKind::TimerFired { timer }).collect();
    world.submit_all(kinds);
    let history = world.history();
    let last: Vec<&str> = history.lines().skip(11).collect();
    assert_eq!(
        last,
        [
            "12<-10 LambdaFunctionTimedOut States.Timeout: -",
            "13<-11 LambdaFunctionTimedOut States.Timeout: -",
            "14<-12 MapIterationFailed 0",
            "15<-12 TaskStateAborted",
            "16<-12 MapIterationAborted 1",
            "17<-12 TaskStateAborted",
            "18<-12 MapStateFailed",
            "19<-18 ExecutionFailed States.Timeout: -",
        ]
    );
    world.check_fold();
}

#[test]
fn a_wait_that_is_due_after_a_task_failed_is_aborted() {
    let definition = format!(
        r#"{{"StartAt":"X","States":{{"X":{{"Type":"Parallel","End":true,"Branches":[
            {{"StartAt":"T","States":{{"T":{{"Type":"Task","Resource":"{LAMBDA}","End":true}}}}}},
            {{"StartAt":"W","States":{{"W":{{"Type":"Wait","Seconds":5,"Next":"P"}},"P":{{"Type":"Pass","End":true}}}}}}
        ]}}}}}}"#
    );
    let mut world = World::start(&definition, "{}");
    let timer = world.timers.first_key_value().expect("the wait's").0.1;
    world.advance(5_000);
    let task = world.open[0].0;
    let outcomes = world.submit_all(vec![
        InputKind::TaskFailed { task, error: Some("E".into()), cause: None },
        InputKind::TimerFired { timer },
    ]);
    assert_eq!(outcomes, [Outcome::Accepted, Outcome::Ignored]);
    let history = world.history();
    let last: Vec<&str> = history.lines().skip(7).collect();
    assert_eq!(
        last,
        [
            "8<-7 LambdaFunctionFailed E: -",
            "9<-8 TaskStateAborted",
            "10<-8 WaitStateAborted",
            "11<-8 ParallelStateFailed",
            "12<-11 ExecutionFailed E: -",
        ]
    );
    world.check_fold();
}

#[test]
fn tasks_that_fail_together_are_retried_each_on_its_own() {
    let states = format!(r#""S":{{"Type":"Task","Resource":"{LAMBDA}","Retry":[{{"ErrorEquals":["E"]}}],"End":true}}"#);
    let mut world = World::start_with(&map("", &states), "[1,2]", Limits::AWS, &[]);
    let open: Vec<_> = world.open.iter().map(|(task, ..)| *task).collect();
    let kinds = open.iter().map(|task| InputKind::TaskFailed { task: *task, error: Some("E".into()), cause: None });
    world.submit_all(kinds.collect());
    assert_eq!(world.timers.len(), 2);
    world.answers = [Answer::Succeed("1"), Answer::Succeed("2")].into();
    while let Some(((due, timer), _)) = world.timers.pop_first() {
        let now = world.execution.head.last_at;
        world.advance(due - now);
        world.submit(InputKind::TimerFired { timer });
    }
    world.run();
    assert_eq!(world.output(), "[1,2]");
    world.check_fold();
}
