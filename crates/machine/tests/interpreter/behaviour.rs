//! Limits, retries, waits, choices and what a commit holds.

use crate::world::{Answer, START, World};
use serde_json::json;
use stepwright_machine::{EventKind, InputKind, Limits, Outcome, Payload, Status, TimerKind};

const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:a";

fn activity(rest: &str) -> String {
    format!(r#"{{"StartAt":"T","States":{{"T":{{"Type":"Task","Resource":"{ACTIVITY}",{rest}"End":true}}}}}}"#)
}

#[test]
fn the_history_ends_at_its_limit() {
    let definition = r#"{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"A2"},"A2":{"Type":"Choice","Choices":[
        {"Variable":"$.never","IsPresent":true,"Next":"End"}],"Default":"A"},"End":{"Type":"Succeed"}}}"#;
    let mut world = World::start_with(definition, "{}", Limits::AWS, &[]);
    world.run();
    assert_eq!(world.events.len(), 25_000);
    let (id, _, previous, _) = world.events.last().expect("an event");
    assert_eq!((*id, *previous), (25_000, 24_999));
    assert_eq!(
        world.failure(),
        ("States.Runtime".into(), "The execution reached the maximum number of history events (25000).".into())
    );
    assert!(world.inputs.len() > 5, "a long run is cut into turns");
    world.check_fold();
}

#[test]
fn a_long_map_is_cut_into_turns_and_goes_on() {
    let definition = r#"{"StartAt":"M","States":{"M":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"S",
        "States":{"S":{"Type":"Pass","End":true}}}}}}"#;
    let items = serde_json::to_string(&(0..3_000).collect::<Vec<_>>()).expect("JSON");
    let limits = Limits { inline_concurrency: 0, ..Limits::AWS };
    let mut world = World::start_with(definition, &items, limits, &[]);
    assert!(world.closing.is_none());
    world.run();
    assert_eq!(world.output(), items);
    world.check_fold();
}

#[test]
fn what_a_map_writes_per_item_does_not_depend_on_the_number_of_items() {
    let definition = format!(
        r#"{{"StartAt":"M","States":{{"M":{{"Type":"Map","End":true,"ItemProcessor":{{"StartAt":"S",
        "States":{{"S":{{"Type":"Task","Resource":"{ACTIVITY}","End":true}}}}}}}}}}}}"#
    );
    let per_item = |items: usize| {
        let input = serde_json::to_string(&vec![7; items]).expect("JSON");
        let limits = Limits { history_events: 0, ..Limits::AWS };
        let answers = vec![Answer::Succeed("1"); items];
        let mut world = World::start_with(&definition, &input, limits, &answers);
        world.run();
        assert_eq!(world.closing.as_ref().expect("closed").status, Status::Succeeded);
        world.written.iter().sum::<usize>() / items
    };
    let (few, many) = (per_item(60), per_item(600));
    assert!(many <= few * 12 / 10, "{few} bytes an item with 60 items, {many} with 600");
}

#[test]
fn large_payloads_fail_the_state() {
    let limits = Limits { payload_bytes: 20, ..Limits::AWS };
    let definition = r#"{"StartAt":"A","States":{"A":{"Type":"Pass","Result":"0123456789012345678901","End":true}}}"#;
    let world = World::start_with(definition, "{}", limits, &[]);
    assert_eq!(
        world.failure(),
        (
            "States.DataLimitExceeded".into(),
            "The state/task 'A' returned a result with a size exceeding the maximum number of bytes service limit."
                .into()
        )
    );
}

#[test]
fn variables_have_limits_of_their_own() {
    let limits = Limits { payload_bytes: 20, ..Limits::AWS };
    let run = |states: &str| {
        let world = World::start_with(&format!(r#"{{"StartAt":"S0","States":{{{states}}}}}"#), "{}", limits, &[]);
        world.check_fold();
        let state = world.events.iter().filter(|event| matches!(event.3, EventKind::StateEntered { .. })).count();
        let closing = world.closing.expect("closed");
        (closing.status, closing.error.as_deref().unwrap_or_default().to_owned(), state)
    };
    let pass =
        |number: usize, assign: &str, next: &str| format!(r#""S{number}":{{"Type":"Pass","Assign":{assign},{next}}}"#);
    let end = r#""End":true"#;
    let succeeded = (Status::Succeeded, String::new(), 1);
    let too_large = |state| (Status::Failed, "States.DataLimitExceeded".to_owned(), state);
    assert_eq!(run(&pass(0, r#"{"a":"12345678","b":"12345678"}"#, end)), succeeded, "20 bytes together");
    assert_eq!(run(&pass(0, r#"{"a":"12345678","b":"123456789"}"#, end)), too_large(1), "21 bytes together");
    // Forty times as much in all; what is assigned again counts once.
    let chain = |name: fn(usize) -> String| {
        let states = (0..41).map(|number| {
            let next = if number == 40 { end.to_owned() } else { format!(r#""Next":"S{}""#, number + 1) };
            pass(number, &format!(r#"{{"{}":"123456789012345678"}}"#, name(number)), &next)
        });
        states.collect::<Vec<_>>().join(",")
    };
    assert_eq!(run(&chain(|number| format!("v{number}"))), too_large(41));
    assert_eq!(run(&chain(|_| "v".to_owned())).0, Status::Succeeded);
}

#[test]
fn a_cause_is_cut_at_its_longest() {
    let definition = r#"{"StartAt":"A","States":{"A":{"Type":"Pass","ResultPath":"$.r","End":true}}}"#;
    let world = World::start(definition, &format!("\"{}\"", "é".repeat(100_000)));
    let (error, cause) = world.failure();
    assert_eq!(error, "States.ResultPathMatchFailure");
    assert_eq!(cause.chars().count(), 32_768);
}

#[test]
fn a_timeout_that_a_path_gives_has_the_limits_of_a_literal() {
    for (seconds, runs) in [("1", true), ("99999999", true), ("0", false), ("100000000", false), ("1.5", false)] {
        let mut world = World::start(&activity(r#""TimeoutSecondsPath":"$.t","#), &format!(r#"{{"t":{seconds}}}"#));
        assert_eq!(world.closing.is_none(), runs, "{seconds}");
        if !runs {
            let cause = world.failure().1;
            let rest = format!(
                "The TimeoutSecondsPath parameter must reference an integer from 1 to 99999999: $.t == {seconds}"
            );
            assert!(cause.ends_with(&rest), "{cause}");
        } else {
            world.submit(InputKind::Stop { error: None, cause: None });
        }
    }
}

#[test]
fn a_catcher_whose_output_is_too_large_does_not_catch_itself() {
    let limits = Limits { payload_bytes: 40, ..Limits::AWS };
    let rest = r#""Catch":[{"ErrorEquals":["States.ALL"],"ResultPath":"$.e","Next":"P"}],"#;
    let definition = activity(rest).replace(r#""End":true}}"#, r#""End":true},"P":{"Type":"Pass","End":true}}"#);
    let mut world =
        World::start_with(&definition, "{\"a\":1}", limits, &[Answer::Fail("Error", "a cause of some length")]);
    world.run();
    assert_eq!(world.failure().0, "States.DataLimitExceeded");
}

#[test]
fn retry_delays_follow_interval_rate_and_maximum() {
    let retry = r#""Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":1,"BackoffRate":2,"MaxAttempts":6,"MaxDelaySeconds":10}],"#;
    let mut world = World::start_with(&activity(retry), "{}", Limits::AWS, &[]);
    let mut delays = Vec::new();
    for _ in 0..6 {
        let task = world.open[0].0;
        world.submit(InputKind::TaskFailed { task, error: Some("E".into()), cause: None });
        let ((due, timer), kind) = world.timers.pop_first().expect("a retry timer");
        assert_eq!(kind, TimerKind::Retry);
        let now = world.execution.head.last_at;
        delays.push((due - now) / 1_000);
        world.advance(due - now);
        world.submit(InputKind::TimerFired { timer });
    }
    assert_eq!(delays, [1, 2, 4, 8, 10, 10]);
    let task = world.open[0].0;
    world.submit(InputKind::TaskFailed { task, error: Some("E".into()), cause: None });
    assert_eq!(world.closing.expect("closed").status, Status::Failed);
}

#[test]
fn an_interval_of_nothing_stays_nothing_at_any_rate() {
    let rest = r#""Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":0,"BackoffRate":1e300,"MaxAttempts":5}],"#;
    let answers = vec![Answer::Fail("E", ""); 6];
    let mut world = World::start_with(&activity(rest), "{}", Limits::AWS, &answers);
    world.run();
    assert_eq!(world.closing.expect("closed").status, Status::Failed);
    assert_eq!(world.execution.head.last_at, START, "no time has passed");
}

#[test]
fn attempts_that_leave_no_event_end_a_turn_too() {
    let rest = r#""Parameters":{"x.$":"States.ArrayGetItem($, 0)"},
        "Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":0,"MaxAttempts":2500}],"#;
    let mut world = World::start(&activity(rest), "[]");
    assert!(world.closing.is_none(), "the turn was cut");
    world.run();
    assert_eq!(world.failure().0, "States.IntrinsicFailure");
    assert_eq!(world.inputs.len(), 3, "turns");
    world.check_fold();
}

#[test]
fn full_jitter_stays_within_the_delay_and_varies() {
    let retry = r#""Retry":[{"ErrorEquals":["States.ALL"],"IntervalSeconds":100,"BackoffRate":1,"MaxAttempts":40,"JitterStrategy":"FULL"}],"#;
    let mut world = World::start_with(&activity(retry), "{}", Limits::AWS, &[]);
    let mut delays = Vec::new();
    for _ in 0..40 {
        let task = world.open[0].0;
        world.submit(InputKind::TaskFailed { task, error: Some("E".into()), cause: None });
        let ((due, timer), _) = world.timers.pop_first().expect("a retry timer");
        let now = world.execution.head.last_at;
        assert!((0..=100_000).contains(&(due - now)));
        delays.push(due - now);
        world.advance(due - now);
        world.submit(InputKind::TimerFired { timer });
    }
    let (least, most) = (delays.iter().min().expect("delays"), delays.iter().max().expect("delays"));
    assert!(most - least > 40_000, "{delays:?}");
}

#[test]
fn an_exhausted_retrier_does_not_fall_to_the_next_one() {
    let rest = r#""Retry":[{"ErrorEquals":["E"],"MaxAttempts":0},{"ErrorEquals":["States.ALL"],"MaxAttempts":5}],"#;
    let mut world = World::start_with(&activity(rest), "{}", Limits::AWS, &[Answer::Fail("E", "C")]);
    world.run();
    assert_eq!(world.failure(), ("E".into(), "C".into()));
    assert_eq!(world.events.len(), 6);
}

#[test]
fn task_failed_matches_all_but_timeouts() {
    for (error, caught) in [("Anything", true), ("States.Timeout", false)] {
        let rest = r#""TimeoutSeconds":5,"Catch":[{"ErrorEquals":["States.TaskFailed"],"Next":"P"}],"#;
        let definition = activity(rest).replace(r#""End":true}}"#, r#""End":true},"P":{"Type":"Pass","End":true}}"#);
        let answer = if error == "States.Timeout" { Answer::Silence } else { Answer::Fail(error, "") };
        let mut world = World::start_with(&definition, "{}", Limits::AWS, &[answer]);
        if error == "States.Timeout" {
            world.answers.clear();
        }
        world.run();
        let status = world.closing.expect("closed").status;
        assert_eq!(status, if caught { Status::Succeeded } else { Status::Failed }, "{error}");
    }
    // A worker may report what it takes for a time-out.
    let rest =
        r#""Catch":[{"ErrorEquals":["States.TaskFailed"],"Next":"P"},{"ErrorEquals":["States.Timeout"],"Next":"Q"}],"#;
    let states = r#""End":true},"P":{"Type":"Fail","Error":"wrong"},"Q":{"Type":"Pass","End":true}}"#;
    let definition = activity(rest).replace(r#""End":true}}"#, states);
    let mut world = World::start_with(&definition, "{}", Limits::AWS, &[Answer::Fail("States.Timeout", "mine")]);
    world.run();
    assert_eq!(world.output(), r#"{"Error":"States.Timeout","Cause":"mine"}"#);
}

#[test]
fn heartbeats_renew_the_period_and_never_the_timeout() {
    let mut world =
        World::start_with(&activity(r#""HeartbeatSeconds":10,"TimeoutSeconds":25,"#), "{}", Limits::AWS, &[]);
    let task = world.open[0].0;
    for _ in 0..2 {
        world.advance(9_000);
        assert_eq!(world.submit(InputKind::Heartbeat { task }), Outcome::Accepted);
    }
    let due: Vec<_> = world.timers.iter().map(|((due, _), kind)| (due - START, *kind)).collect();
    assert_eq!(due, [(25_000, TimerKind::TaskTimeout), (28_000, TimerKind::Heartbeat)]);
    world.run();
    assert_eq!(world.failure(), ("States.Timeout".into(), "-".into()));
    assert_eq!(world.submit(InputKind::Heartbeat { task }), Outcome::Ignored);
    assert_eq!(world.submit(InputKind::TaskSucceeded { task, output: Payload::new("1") }), Outcome::Ignored);
    world.check_fold();
}

#[test]
fn a_lost_heartbeat_is_caught_by_its_name() {
    let rest = r#""HeartbeatSeconds":10,"Catch":[{"ErrorEquals":["States.HeartbeatTimeout"],"Next":"P"}],"#;
    let definition = activity(rest).replace(r#""End":true}}"#, r#""End":true},"P":{"Type":"Pass","End":true}}"#);
    let mut world = World::start(&definition, "{}");
    world.run();
    assert_eq!(world.output(), r#"{"Error":"States.Timeout","Cause":""}"#);
}

#[test]
fn waits_end_when_they_say_and_not_before() {
    for (wait, input, millis) in [
        (r#""Seconds":5"#, "{}".to_owned(), 5_000),
        (r#""Seconds":0"#, "{}".to_owned(), 0),
        (r#""SecondsPath":"$.s""#, r#"{"s":7}"#.to_owned(), 7_000),
        (r#""Timestamp":"2001-01-01T00:00:00Z""#, "{}".to_owned(), 0),
        (r#""TimestampPath":"$.t""#, r#"{"t":"2023-11-14T22:13:21.5Z"}"#.to_owned(), 1_500),
    ] {
        let definition = format!(r#"{{"StartAt":"W","States":{{"W":{{"Type":"Wait",{wait},"End":true}}}}}}"#);
        let mut world = World::start(&definition, &input);
        world.run();
        let closing = world.closing.as_ref().expect("closed");
        assert_eq!((closing.status, closing.at - START), (Status::Succeeded, millis), "{wait}");
        assert_eq!(world.output(), input);
    }
}

#[test]
fn waits_that_refer_to_nonsense_fail_with_awss_words() {
    for (wait, input, cause) in [
        (r#""SecondsPath":"$.s""#, "{}", "The SecondsPath parameter does not reference an input value: $.s"),
        (r#""SecondsPath":"$.s""#, r#"{"s":-1}"#, "The SecondsPath parameter references a negative value: $.s == -1"),
        (
            r#""SecondsPath":"$.s""#,
            r#"{"s":1.5}"#,
            "The SecondsPath parameter cannot be parsed as a long value: $.s == 1.5",
        ),
        (
            r#""TimestampPath":"$.t""#,
            r#"{"t":"2016-12-05 21:29:29Z"}"#,
            "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: $.t == 2016-12-05 21:29:29Z",
        ),
    ] {
        let definition = format!(r#"{{"StartAt":"W","States":{{"W":{{"Type":"Wait",{wait},"End":true}}}}}}"#);
        let world = World::start(&definition, input);
        let expected = format!("An error occurred while executing the state 'W' (entered at the event id #2). {cause}");
        assert_eq!(world.failure(), ("States.Runtime".into(), expected));
    }
}

#[test]
fn choice_tests() {
    let input = r#"{"s":"abc","n":3,"f":3.0,"b":true,"z":null,"t":"2020-01-01T00:00:00Z","t2":"2020-01-01T01:00:00+01:00","p":"a*c"}"#;
    for (rule, expected) in [
        (r#""Variable":"$.s","StringEquals":"abc""#, true),
        (r#""Variable":"$.s","StringLessThan":"abd""#, true),
        (r#""Variable":"$.s","StringGreaterThanEquals":"abd""#, false),
        (r#""Variable":"$.n","StringEquals":"3""#, false),
        (r#""Variable":"$.n","NumericEquals":3.0"#, true),
        (r#""Variable":"$.n","NumericEqualsPath":"$.f""#, true),
        (r#""Variable":"$.b","BooleanEquals":true"#, true),
        (r#""Variable":"$.z","IsNull":true"#, true),
        (r#""Variable":"$.z","IsPresent":true"#, true),
        (r#""Variable":"$.none","IsPresent":false"#, true),
        (r#""Variable":"$.t","IsTimestamp":true"#, true),
        (r#""Variable":"$.s","IsTimestamp":false"#, true),
        (r#""Variable":"$.t","TimestampEqualsPath":"$.t2""#, true),
        (r#""Variable":"$.t","TimestampLessThan":"2020-01-01T00:00:00.000000001Z""#, true),
        (r#""Variable":"$.s","StringMatches":"a*""#, true),
        (r#""Variable":"$.s","StringMatches":"a\\*c""#, false),
        (r#""Variable":"$.p","StringMatches":"a\\*c""#, true),
        (r#""Variable":"$.s","StringMatches":"*b*""#, true),
        (r#""Variable":"$.s","StringMatches":"b*""#, false),
        (r#""And":[{"Variable":"$.n","IsString":true},{"Variable":"$.none","IsNull":true}]"#, false),
        (r#""Or":[{"Variable":"$.n","IsNumeric":true},{"Variable":"$.none","IsNull":true}]"#, true),
        (r#""Not":{"Variable":"$.n","IsNumeric":true}"#, false),
    ] {
        let definition = format!(
            r#"{{"StartAt":"C","States":{{"C":{{"Type":"Choice","Choices":[{{{rule},"Next":"Y"}}],"Default":"N"}},
               "Y":{{"Type":"Pass","Result":true,"End":true}},"N":{{"Type":"Pass","Result":false,"End":true}}}}}}"#
        );
        let world = World::start(&definition, input);
        assert_eq!(world.output(), expected.to_string(), "{rule}");
    }
}

#[test]
fn a_choice_without_a_way_out_fails() {
    let choice = |rule: &str| {
        format!(
            r#"{{"StartAt":"C","States":{{"C":{{"Type":"Choice","Choices":[{{{rule},"Next":"Y"}}]}},"Y":{{"Type":"Succeed"}}}}}}"#
        )
    };
    let prefix = "An error occurred while executing the state 'C' (entered at the event id #2). ";
    let world = World::start(&choice(r#""Variable":"$","IsNull":true"#), "{}");
    let rest = "Failed to transition out of the state. The state does not point to a next state.";
    assert_eq!(world.failure(), ("States.Runtime".into(), format!("{prefix}{rest}")));
    let world = World::start(&choice(r#""Variable":"$.force","IsNull":true"#), "{}");
    let rest = "Invalid path '$.force': The choice state's condition path references an invalid value.";
    assert_eq!(world.failure(), ("States.Runtime".into(), format!("{prefix}{rest}")));
}

#[test]
fn the_context_object_shows_state_item_and_retries() {
    let definition = r#"{"StartAt":"M","States":{"M":{"Type":"Map","End":true,
        "ItemSelector":{"i.$":"$$.Map.Item.Index","v.$":"$$.Map.Item.Value","all.$":"$"},
        "ItemProcessor":{"StartAt":"S","States":{"S":{"Type":"Pass","End":true,
        "Parameters":{"in.$":"$","state.$":"$$.State.Name","item.$":"$$.Map.Item","entered.$":"$$.State.EnteredTime"}}}}}}}"#;
    let world = World::start(definition, r#"["a"]"#);
    assert_eq!(
        crate::world::json(&world.output()),
        json!([{
            "in": {"i": 0, "v": "a", "all": ["a"]},
            "state": "S",
            "item": {"Index": 0, "Value": "a", "Source": "STATE_DATA"},
            "entered": "2023-11-14T22:13:20Z",
        }])
    );
    let definition = r#"{"StartAt":"S","States":{"S":{"Type":"Pass","End":true,"Parameters":{"c.$":"$$"}}}}"#;
    let world = World::start(definition, r#"{"x": 1}"#);
    assert_eq!(
        crate::world::json(&world.output()),
        json!({"c": {
            "Execution": {
                "Id": "arn:aws:states:us-east-1:000000000000:execution:m:e", "Input": {"x": 1},
                "StartTime": "2023-11-14T22:13:20Z", "Name": "e", "RoleArn": "arn:aws:iam::000000000000:role/r",
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": "arn:aws:states:us-east-1:000000000000:stateMachine:m", "Name": "m"},
            "State": {"Name": "S", "EnteredTime": "2023-11-14T22:13:20Z"},
        }})
    );
}

#[test]
fn times_of_the_context_object_have_no_trailing_zeros() {
    let definition = r#"{"StartAt":"S","States":{"S":{"Type":"Pass","End":true,
        "Parameters":{"at.$":"$$.State.EnteredTime"}}}}"#;
    for (millis, expect) in [(0, "20Z"), (100, "20.1Z"), (120, "20.12Z"), (123, "20.123Z"), (1, "20.001Z")] {
        let mut world = World::new(definition, Limits::AWS, &[]);
        world.advance(millis);
        world.submit(InputKind::Start { input: Payload::new("{}") });
        assert_eq!(world.output(), format!(r#"{{"at":"2023-11-14T22:13:{expect}"}}"#));
    }
}

#[test]
fn variables_are_read_in_inner_scopes_and_assigned_after_the_state() {
    let definition = r#"{"StartAt":"A","States":{
        "A":{"Type":"Pass","Result":{"n":1},"Assign":{"x.$":"$.n","y":2},"Next":"B"},
        "B":{"Type":"Pass","Assign":{"x.$":"$y","y.$":"$x"},"Parameters":{"x.$":"$x"},"Next":"M"},
        "M":{"Type":"Map","ItemsPath":"$.list","End":true,"ItemProcessor":{"StartAt":"S","States":{
            "S":{"Type":"Pass","Parameters":{"x.$":"$x","y.$":"$y"},"End":true}}}}}}"#
        .replace(r#""Parameters":{"x.$":"$x"},"Next":"M""#, r#""Parameters":{"list.$":"States.Array($x)"},"Next":"M""#);
    let mut world = World::start(&definition, "{}");
    world.run();
    assert_eq!(world.output(), r#"[{"x":2,"y":1}]"#);
    world.check_fold();
}

#[test]
fn nested_maps_and_parallels_end_and_leave_nothing_behind() {
    let definition = r#"{"StartAt":"O","States":{"O":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"X","States":{
        "X":{"Type":"Parallel","End":true,"Branches":[
            {"StartAt":"I","States":{"I":{"Type":"Map","End":true,"ItemProcessor":{"StartAt":"P","States":{
                "P":{"Type":"Wait","Seconds":1,"End":true}}}}}},
            {"StartAt":"Q","States":{"Q":{"Type":"Pass","Result":0,"End":true}}}]}}}}}}"#;
    let mut world = World::start(definition, "[[1,2],[3]]");
    world.run();
    assert_eq!(world.output(), "[[[1,2],0],[[3],0]]");
    assert!(world.execution.frames.is_empty());
    world.check_fold();
}

#[test]
fn a_failure_deep_inside_is_caught_outside_and_cancels_everything_between() {
    let definition = r#"{"StartAt":"O","States":{"O":{"Type":"Map","End":true,
        "Catch":[{"ErrorEquals":["E"],"Next":"C"}],
        "ItemProcessor":{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,"Branches":[
            {"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":100,"End":true}}},
            {"StartAt":"D","States":{"D":{"Type":"Wait","Seconds":1,"Next":"F"},"F":{"Type":"Fail","Error":"E"}}}]}}}},
        "C":{"Type":"Pass","End":true}}}"#;
    let mut world = World::start(definition, "[1,2]");
    world.run();
    assert_eq!(world.output(), r#"{"Error":"E","Cause":null}"#);
    assert!(world.timers.is_empty());
    world.check_fold();
}

#[test]
fn an_unsuccessful_execution_keeps_its_frames() {
    let definition = r#"{"StartAt":"X","States":{"X":{"Type":"Parallel","End":true,"Branches":[
        {"StartAt":"P","States":{"P":{"Type":"Pass","Result":1,"End":true}}},
        {"StartAt":"D","States":{"D":{"Type":"Wait","Seconds":1,"Next":"F"},"F":{"Type":"Fail","Error":"E"}}}]}}}"#;
    let mut world = World::start(definition, "{}");
    world.run();
    assert_eq!(world.closing.as_ref().expect("closed").status, Status::Failed);
    assert_eq!(world.execution.frames.len(), 3);
}

#[test]
fn late_and_foreign_inputs_change_nothing() {
    let mut world = World::start(&activity(""), "{}");
    let task = world.open[0].0;
    let other = stepwright_machine::TaskId { number: task.number + 1, ..task };
    for kind in [
        InputKind::TaskSucceeded { task: other, output: Payload::new("1") },
        InputKind::TimerFired { timer: stepwright_machine::TimerId { frame: task.frame, number: 99 } },
        InputKind::Start { input: Payload::new("{}") },
        InputKind::Continue,
        InputKind::ActivityFound { task },
    ] {
        assert_eq!(world.submit(kind.clone()), Outcome::Ignored, "{kind:?}");
    }
    assert_eq!(world.inputs.len(), 1);
    world.submit(InputKind::TaskSucceeded { task, output: Payload::new("1") });
    assert_eq!(world.output(), "1");
}

#[test]
fn a_loop_that_wraps_its_own_state_ends_before_it_cannot_be_read_back() {
    let definition = r#"{"StartAt":"A","States":{"A":{"Type":"Pass","Parameters":{"a.$":"$"},"Next":"A2"},
        "A2":{"Type":"Choice","Choices":[{"Variable":"$.never","IsPresent":true,"Next":"End"}],"Default":"A"},
        "End":{"Type":"Succeed"}}}"#;
    let mut world = World::start(definition, "0");
    world.run();
    let (error, cause) = world.failure();
    assert_eq!(error, "States.DataLimitExceeded");
    assert!(cause.ends_with("The value is nested 128 levels deep; 127 is the limit."), "{cause}");
    world.check_fold();
}

#[test]
fn parts_of_the_context_object_are_what_the_whole_holds() {
    let paths = [
        "$$.Execution.Input",
        "$$.Execution.Input.list[1]",
        "$$.Execution.Id",
        "$$.Execution['Name']",
        "$$.Execution",
        "$$.State.Name",
        "$$.State",
        "$$.StateMachine.Id",
        "$$.Map.Item.Index",
        "$$.Map.Item.Value",
        "$$.Map.Item.Value.deep",
        "$$.Map.Item",
        "$$.Map",
        "$$",
    ];
    let parameters: serde_json::Map<String, serde_json::Value> =
        paths.iter().map(|path| (format!("{path}.$"), json!(path))).collect();
    let definition = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemsPath": "$.list",
        "ItemProcessor": {"StartAt": "S", "States": {"S": {"Type": "Pass", "End": true, "Parameters": parameters}}}}}});
    let world = World::start(&definition.to_string(), r#"{"list": [{"deep": [1]}, {"deep": 2}]}"#);
    let output = crate::world::json(&world.output());
    let whole = &output[0]["$$"];
    for path in paths {
        let pointer = path.trim_start_matches("$$").replace("['Name']", ".Name").replace("[1]", ".1").replace('.', "/");
        assert_eq!(Some(&output[0][path]), whole.pointer(&pointer), "{path}");
    }
    let keys = |value: &serde_json::Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&whole["Execution"]), ["Id", "Input", "StartTime", "Name", "RoleArn", "RedriveCount"]);
    assert_eq!(keys(&whole["Map"]["Item"]), ["Index", "Value", "Source"]);
}
