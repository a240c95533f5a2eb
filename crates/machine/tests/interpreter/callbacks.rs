//! Callback tasks whose token is used before the call that submits it is over: an answer that was taken counts, once.

use stepwright_machine::{InputKind, Outcome, Payload, Status, TaskId};

use crate::world::{World, check_history};

const DEFINITION: &str = r#"{"StartAt":"T","States":{"T":{"Type":"Task","End":true,"TimeoutSeconds":60,"HeartbeatSeconds":10,
    "Resource":"arn:aws:states:::lambda:invoke.waitForTaskToken","Parameters":{"FunctionName":"f"}}}}"#;

fn succeeded(task: TaskId) -> InputKind {
    InputKind::TaskSucceeded { task, output: Payload::new("2") }
}

fn failed(task: TaskId) -> InputKind {
    InputKind::TaskFailed { task, error: Some("No".into()), cause: None }
}

fn submitted(task: TaskId) -> InputKind {
    InputKind::TaskSubmitted { task, output: Payload::new("1") }
}

fn submit_failed(task: TaskId) -> InputKind {
    InputKind::SubmitFailed { task, error: Some("Broken".into()), cause: None }
}

/// Gives a started task these inputs; those in `ignored` (by place) must come to nothing. The history goes on with
/// `events` after TaskStarted.
fn check(inputs: &[fn(TaskId) -> InputKind], ignored: &[usize], events: &str) -> World {
    let mut world = World::start(DEFINITION, "{}");
    let task = world.open[0].0;
    for (place, input) in inputs.iter().enumerate() {
        let expected = if ignored.contains(&place) { Outcome::Ignored } else { Outcome::Accepted };
        assert_eq!(world.submit(input(task)), expected, "input {place}");
    }
    let start = r#"1<-0 ExecutionStarted {}
           2<-0 TaskStateEntered T {}
           3<-2 TaskScheduled {"FunctionName":"f"} timeout=60 heartbeat=10
           4<-3 TaskStarted
           "#;
    check_history(&world, &format!("{start}{events}"));
    world
}

#[test]
fn a_failure_before_the_submit_answer_waits_for_it() {
    check(
        &[failed, succeeded, submitted],
        &[1],
        "5<-4 TaskSubmitted 1
           6<-5 TaskFailed No: -
           7<-6 ExecutionFailed No: -",
    );
}

#[test]
fn an_answer_that_was_taken_outlives_a_submit_call_that_fails() {
    check(
        &[succeeded, failed, submit_failed],
        &[1],
        "5<-4 TaskSucceeded 2
           6<-5 TaskStateExited T 2
           7<-6 ExecutionSucceeded 2",
    );
    check(&[failed, submit_failed], &[], "5<-4 TaskFailed No: -\n           6<-5 ExecutionFailed No: -");
}

#[test]
fn a_submit_call_that_fails_is_the_tasks_failure() {
    check(
        &[submit_failed, succeeded],
        &[1],
        "5<-4 TaskFailed Broken: -
           6<-5 ExecutionFailed Broken: -",
    );
}

#[test]
fn a_lost_submit_call_leaves_the_task_to_its_callback() {
    let lost = |task| InputKind::SubmitLost { task };
    let ended = "5<-4 TaskSucceeded 2
           6<-5 TaskStateExited T 2
           7<-6 ExecutionSucceeded 2";
    check(&[lost, lost, submitted, succeeded], &[1, 2], ended);
    check(&[succeeded, lost], &[], ended);
}

#[test]
fn no_timer_overrules_an_answer_that_was_taken() {
    let mut world = World::start(DEFINITION, "{}");
    let task = world.open[0].0;
    assert_eq!(world.timers.len(), 1, "the time-out");
    assert_eq!(world.submit(succeeded(task)), Outcome::Accepted);
    assert!(world.timers.is_empty(), "{:?}", world.timers);
    assert_eq!(world.submit(InputKind::Heartbeat { task }), Outcome::Ignored, "it has no more to say");
    world.advance(100_000);
    assert_eq!(world.submit(submitted(task)), Outcome::Accepted);
    assert_eq!(world.execution.head.closing.as_ref().map(|closing| closing.status), Some(Status::Succeeded));
    world.check_fold();
}
