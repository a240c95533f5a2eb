//! What belongs to no execution: calls whose answers only the caller hears of, and evaluations on threads apart.

mod common;

use std::sync::Arc;

use common::{World, function_arn};
use stepwright_asl::Resource;
use stepwright_engine::{ConnectorFailure, TaskCall, TaskOutcome};
use stepwright_machine::STACK_BYTES;

fn call(function: &str, input: &str) -> TaskCall {
    TaskCall {
        resource: Resource::parse(&function_arn(function)).expect("a function"),
        input: input.into(),
        task_role_arn: None,
        role_arn: "".into(),
        account: "".into(),
        region: "".into(),
        execution_arn: "".into(),
        state_machine_arn: "".into(),
        state_name: "".into(),
        token: "".into(),
        timeout_seconds: None,
        retry_count: 0,
        started_at: 0,
        resent: false,
        test_case: None,
        items: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_as_its_connector_says() {
    let world = World::new();
    let engine = world.open();
    let outcome = async |function: &str, input: &str| engine.call_resource(call(function, input)).await.expect("ends");
    assert_eq!(outcome("echo", "[1]").await, TaskOutcome::Succeeded("[1]".into()));
    let failed = TaskOutcome::Failed(ConnectorFailure::new("Boom", "as told"));
    assert_eq!(outcome("fail", "1").await, failed);
    let lost = ConnectorFailure::new("Lambda.SdkClientException", "The answer was lost.");
    assert_eq!(outcome("panic", "1").await, TaskOutcome::Failed(lost));
    // What is no JSON must get no further.
    assert!(
        matches!(outcome("echo", "no JSON").await, TaskOutcome::Failed(failure) if failure.error.as_deref() == Some("States.Runtime"))
    );
    let activity = Resource::parse("arn:aws:states:us-east-1:000000000000:activity:a").expect("an activity");
    assert!(!engine.serves(&activity) && engine.serves(&call("echo", "1").resource));
    assert!(engine.call_resource(TaskCall { resource: activity, ..call("echo", "1") }).await.is_err());
    // Nothing of it is an execution's.
    assert_eq!(engine.stats().turns, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_no_longer_waits_gives_the_call_up() {
    let world = World::new();
    let engine = world.open();
    let (functions, other) = (world.functions.clone(), engine.clone());
    let waiting = tokio::spawn(async move { other.call_resource(call("hold", "1")).await });
    common::until_true(|| functions.calls.lock().unwrap().len() == 1).await;
    assert!(Arc::strong_count(&functions) > 3);
    waiting.abort();
    assert!(waiting.await.expect_err("given up").is_cancelled());
    // The world's, this test's and the connector's own: the call holds none any more.
    common::until_true(|| Arc::strong_count(&functions) == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluation_has_a_stack_of_its_own() {
    fn deep(levels: usize) -> usize {
        let used = [levels as u8; 1024];
        if levels == 0 { 0 } else { usize::from(std::hint::black_box(used)[7] == levels as u8) + deep(levels - 1) }
    }
    let world = World::new();
    let engine = world.open();
    // Half of the stack that expressions are promised: far more than a thread has as a rule.
    let levels = STACK_BYTES / 2 / 4096;
    assert_eq!(engine.evaluate(move || deep(levels)).await.expect("done"), levels);
    let broken: Result<(), _> = engine.evaluate(|| panic!("as told")).await;
    assert!(broken.is_err());
    // The engine is none the worse.
    assert_eq!(engine.evaluate(|| 1).await.expect("done"), 1);
    assert!(!engine.is_failed());
}
