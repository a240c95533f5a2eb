//! Redrive: what runs again, what stays, and what the history says.

use crate::world::{Answer, World, check_history};
use stepwright_machine::{InputKind, Limits, Outcome, Status};

const ACTIVITY: &str = "arn:aws:states:us-east-1:000000000000:activity:a";

fn started(definition: &str, input: &str, answers: &[Answer]) -> World {
    let definition = definition.replace("ACTIVITY", ACTIVITY);
    let mut world = World::start_with(&definition, input, Limits::AWS, answers);
    world.run();
    world
}

fn redriven(world: &mut World, answers: &[Answer]) {
    let closing = world.closing.take().expect("it is closed");
    assert_ne!(closing.status, Status::Succeeded);
    world.answers.extend(answers.iter().cloned());
    assert_eq!(world.submit(InputKind::Redrive), Outcome::Accepted);
    world.run();
    world.check_fold();
}

#[test]
fn a_failed_task_is_tried_again_with_all_its_retries() {
    let definition = r#"{"StartAt":"A","States":{"A":{"Type":"Pass","Next":"B"},
        "B":{"Type":"Task","Resource":"ACTIVITY","Next":"C",
            "Retry":[{"ErrorEquals":["E"],"IntervalSeconds":1,"MaxAttempts":1}]},
        "C":{"Type":"Pass","Parameters":{"n.$":"$$.Execution.RedriveCount"},"End":true}}}"#;
    let fail = Answer::Fail("E", "c");
    let mut world = started(definition, "{}", &[fail.clone(), fail.clone()]);
    assert_eq!(world.failure(), ("E".into(), "c".into()));
    redriven(&mut world, &[fail.clone(), fail]);
    assert_eq!(world.failure(), ("E".into(), "c".into()), "one retry more, and it fails again");
    redriven(&mut world, &[Answer::Succeed("1")]);
    check_history(
        &world,
        r#"
        1<-0 ExecutionStarted {}
        2<-0 PassStateEntered A {}
        3<-2 PassStateExited A {}
        4<-3 TaskStateEntered B {}
        5<-4 ActivityScheduled {}
        6<-5 ActivityStarted w
        7<-6 ActivityFailed E: c
        8<-7 ActivityScheduled {}
        9<-8 ActivityStarted w
        10<-9 ActivityFailed E: c
        11<-10 ExecutionFailed E: c
        12<-11 ExecutionRedriven 1
        13<-12 ActivityScheduled {}
        14<-13 ActivityStarted w
        15<-14 ActivityFailed E: c
        16<-15 ActivityScheduled {}
        17<-16 ActivityStarted w
        18<-17 ActivityFailed E: c
        19<-18 ExecutionFailed E: c
        20<-19 ExecutionRedriven 2
        21<-20 ActivityScheduled {}
        22<-21 ActivityStarted w
        23<-22 ActivitySucceeded 1
        24<-23 TaskStateExited B 1
        25<-24 PassStateEntered C 1
        26<-25 PassStateExited C {"n":2}
        27<-26 ExecutionSucceeded {"n":2}
        "#,
    );
    assert_eq!(world.submit(InputKind::Redrive), Outcome::Ignored, "it succeeded");
}

#[test]
fn branches_that_ended_well_keep_their_results() {
    let definition = r#"{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
        {"StartAt":"A","States":{"A":{"Type":"Task","Resource":"ACTIVITY","End":true}}},
        {"StartAt":"B","States":{"B":{"Type":"Task","Resource":"ACTIVITY","Next":"B2"},
            "B2":{"Type":"Pass","End":true}}},
        {"StartAt":"C","States":{"C":{"Type":"Wait","Seconds":10,"End":true}}}]}}}"#;
    let mut world = started(definition, "{}", &[Answer::Succeed("1"), Answer::Fail("E", "c")]);
    let tasks = |world: &World| world.history().matches("ActivityScheduled").count();
    assert_eq!((world.failure().0, tasks(&world)), ("E".into(), 2));
    redriven(&mut world, &[Answer::Succeed("2")]);
    assert_eq!(world.output(), "[1,2,{}]");
    assert_eq!(tasks(&world), 3, "the first branch's task is not done again:\n{}", world.history());
    let history = world.history();
    assert_eq!(history.matches("WaitStateEntered").count(), 1, "{history}");
    assert_eq!(history.matches("ParallelStateStarted").count(), 1, "{history}");
}

#[test]
fn iterations_go_on_and_those_that_never_began_begin() {
    let definition = r#"{"StartAt":"M","States":{"M":{"Type":"Map","MaxConcurrency":2,"End":true,
        "ItemProcessor":{"StartAt":"T","States":{"T":{"Type":"Task","Resource":"ACTIVITY","End":true}}}}}}"#;
    let answers = [Answer::Succeed("10"), Answer::Succeed("20"), Answer::Fail("E", "c")];
    let mut world = started(definition, "[1,2,3,4,5]", &answers);
    assert_eq!(world.failure().0, "E");
    redriven(&mut world, &[Answer::Succeed("30"), Answer::Succeed("40"), Answer::Succeed("50")]);
    assert_eq!(world.output(), "[10,20,30,40,50]");
    let history = world.history();
    assert_eq!(history.matches("MapIterationStarted").count(), 5, "{history}");
    // Five items, of which the third failed and the fourth was aborted.
    assert_eq!(history.matches("ActivityScheduled").count(), 7, "{history}");
}

#[test]
fn results_that_could_not_be_joined_are_joined_again() {
    let definition = r#"{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,
        "ResultSelector":{"x.$":"States.StringToJson($[0])"},"Branches":[
        {"StartAt":"A","States":{"A":{"Type":"Task","Resource":"ACTIVITY","End":true}}}]}}}"#;
    let mut world = started(definition, "{}", &[Answer::Succeed(r#""no json""#)]);
    assert_eq!(world.failure().0, "States.IntrinsicFailure");
    redriven(&mut world, &[]);
    assert_eq!(world.failure().0, "States.IntrinsicFailure");
    let history = world.history();
    assert_eq!(history.matches("ActivityScheduled").count(), 1, "a state that succeeded is not run again\n{history}");
    assert_eq!(history.matches("ParallelStateSucceeded").count(), 2, "{history}");
}

#[test]
fn results_that_were_too_large_are_made_again() {
    let definition = r#"{"StartAt":"P","States":{"P":{"Type":"Parallel","End":true,"Branches":[
        {"StartAt":"A","States":{"A":{"Type":"Task","Resource":"ACTIVITY","End":true}}},
        {"StartAt":"B","States":{"B":{"Type":"Task","Resource":"ACTIVITY","End":true}}}]}}}"#;
    let definition = definition.replace("ACTIVITY", ACTIVITY);
    let limits = Limits { payload_bytes: 30, ..Limits::AWS };
    let long = Answer::Succeed(r#""0123456789012345""#);
    let mut world = World::start_with(&definition, "{}", limits, &[long.clone(), long]);
    world.run();
    assert_eq!(world.failure().0, "States.DataLimitExceeded");
    redriven(&mut world, &[Answer::Succeed("1"), Answer::Succeed("2")]);
    assert_eq!(world.output(), "[1,2]");
    assert_eq!(world.history().matches("ActivityScheduled").count(), 4);
}

#[test]
fn a_stopped_wait_waits_again_and_a_time_out_begins_anew() {
    let definition = r#"{"StartAt":"W","TimeoutSeconds":100,"States":{"W":{"Type":"Wait","Seconds":60,"Next":"L"},
        "L":{"Type":"Wait","Seconds":60,"End":true}}}"#;
    let mut world = started(definition, "{}", &[]);
    assert_eq!(world.closing.as_ref().expect("closed").status, Status::TimedOut);
    redriven(&mut world, &[]);
    assert_eq!(world.closing.as_ref().expect("closed").status, Status::Succeeded, "{}", world.history());

    let mut world = World::start(definition, "{}");
    world.submit(InputKind::Stop { error: None, cause: None });
    assert_eq!(world.closing.as_ref().expect("closed").status, Status::Aborted);
    redriven(&mut world, &[]);
    check_history(
        &world,
        r#"
        1<-0 ExecutionStarted {}
        2<-0 WaitStateEntered W {}
        3<-0 ExecutionAborted
        4<-3 ExecutionRedriven 1
        5<-4 WaitStateExited W {}
        6<-5 WaitStateEntered L {}
        7<-6 ExecutionTimedOut States.Timeout: -
        "#,
    );
}

#[test]
fn a_fail_state_fails_again() {
    let definition = r#"{"StartAt":"F","States":{"F":{"Type":"Fail","Error":"E"}}}"#;
    let mut world = started(definition, "{}", &[]);
    redriven(&mut world, &[]);
    check_history(
        &world,
        "1<-0 ExecutionStarted {}\n2<-0 FailStateEntered F {}\n3<-2 ExecutionFailed E: -\n4<-3 ExecutionRedriven 1\n\
         5<-4 ExecutionFailed E: -",
    );
}

#[test]
fn variables_are_as_they_were() {
    let definition = r#"{"StartAt":"A","QueryLanguage":"JSONata","States":{
        "A":{"Type":"Pass","Assign":{"x":7},"Next":"B"},
        "B":{"Type":"Task","Resource":"ACTIVITY","Output":"{% $x + $states.result %}","End":true}}}"#;
    let mut world = started(definition, "{}", &[Answer::Fail("E", "c")]);
    redriven(&mut world, &[Answer::Succeed("1")]);
    assert_eq!(world.output(), "8");
}
