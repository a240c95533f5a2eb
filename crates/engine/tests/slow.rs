//! Executions whose expressions take long hold up nobody else, and lose nothing themselves.

mod common;

use std::time::Duration;

use common::{Gate, World, activity_arn, chain, function_arn, until, until_true};
use serde_json::{Value, json};
use stepwright_engine::{Engine, Error, StepFunction};
use stepwright_machine::{Definition, Effects, Execution, Input, Status};

/// Tests here hold the lane of the whole process: one at a time.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// Before it the lane stands still.
static GATE: Gate = Gate::new();

fn hold(held: bool) {
    GATE.close(held);
}

fn in_hand() -> usize {
    GATE.standing()
}

/// The interpreter, but the lane stands still while it is held.
fn slowly(definition: &Definition, execution: &mut Execution, inputs: &[Input], steps: u64) -> Option<Effects> {
    GATE.pass("lane");
    stepwright_machine::step_within(definition, execution, inputs, steps)
}

fn world() -> World {
    let mut world = World::new();
    world.options.shards = 1;
    world.options.steps_at_once = 1_000;
    world.options.step = StepFunction { begin: slowly, ..StepFunction::default() };
    world
}

/// What is worth more than a thousand steps.
const LONG: &str = "{% $sum([1..5000].($ * 2)) %}";
const LONG_VALUE: &str = "25005000";

fn slow() -> Value {
    json!({"StartAt": "S", "QueryLanguage": "JSONata", "States": {"S": {"Type": "Pass", "Output": LONG, "End": true}}})
}

/// Starts so many slow executions that one of them waits for the lane.
async fn crowd(world: &World, engine: &Engine) -> Vec<std::sync::Arc<str>> {
    let threads = (std::thread::available_parallelism().unwrap().get() / 2).max(1);
    hold(true);
    let mut arns = Vec::new();
    for at in 0..=threads {
        arns.push(world.start(engine, "slow", &format!("s{at}"), "{}").await.unwrap().arn);
    }
    until_true(|| in_hand() == threads).await;
    arns
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_holds_up_nobody() {
    let _one = ONE.lock().await;
    let world = world();
    let engine = world.open();
    world.create(&engine, "slow", &slow()).await;
    world.create(&engine, "quick", &chain(3)).await;
    // Each start was answered though none can go on.
    let arns = crowd(&world, &engine).await;
    until(&engine, |stats| stats.long_turns == arns.len() as u64).await;
    let started = world.start(&engine, "quick", "q", "{}").await.unwrap();
    assert_eq!(world.end(&engine, &started.arn).await.status, Status::Succeeded);

    // They run, for all to see, and their names are taken.
    let first = &arns[0];
    assert_eq!(world.describe(&engine, first).await.status, Status::Running);
    assert_eq!(world.event_names(&engine, first).await, ["ExecutionStarted"]);
    assert_eq!(world.start(&engine, "slow", "s0", "{}").await.unwrap().arn, *first);
    let other = world.start(&engine, "slow", "s0", "1").await.unwrap_err();
    assert!(matches!(other, Error::ExecutionAlreadyExists { .. }), "{other:?}");

    // One that waits for the lane need not have its turn before it stops.
    let last = arns.last().unwrap();
    engine.stop_execution(&world.scope, last, None, None).await.unwrap();
    assert_eq!(world.end(&engine, last).await.status, Status::Aborted);

    hold(false);
    for arn in arns.iter().filter(|arn| *arn != last) {
        let ended = world.end(&engine, arn).await;
        assert_eq!((ended.status, ended.output.as_deref()), (Status::Succeeded, Some(LONG_VALUE)));
        let names = world.event_names(&engine, arn).await;
        assert_eq!(names, ["ExecutionStarted", "StateEntered", "StateExited", "ExecutionSucceeded"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_meanwhile_waits_and_is_answered() {
    let _one = ONE.lock().await;
    let world = world();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let work = json!({"StartAt": "T", "QueryLanguage": "JSONata", "States": {"T": {
        "Type": "Task", "Resource": activity_arn("a"), "TimeoutSeconds": 60, "Output": LONG, "End": true,
    }}});
    world.create(&engine, "m", &work).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let task = engine.get_activity_task(&world.scope, &activity_arn("a"), None).await.unwrap().expect("a task");
    let token = task.token().clone();
    task.delivered();

    hold(true);
    let answered = {
        let (engine, scope, token) = (engine.clone(), world.scope.clone(), token.clone());
        tokio::spawn(async move { engine.send_task_success(&scope, &token, "1".into()).await })
    };
    until_true(|| in_hand() == 1).await;
    let again = {
        let (engine, scope, token) = (engine.clone(), world.scope.clone(), token.clone());
        tokio::spawn(async move { engine.send_task_success(&scope, &token, "2".into()).await })
    };
    // The task's time is up only after it was answered.
    world.clock.advance(61_000);
    hold(false);
    answered.await.unwrap().unwrap();
    assert!(matches!(again.await.unwrap(), Err(Error::TaskTimedOut)), "it was answered already");
    let ended = world.end(&engine, &started.arn).await;
    assert_eq!((ended.status, ended.output.as_deref()), (Status::Succeeded, Some(LONG_VALUE)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_waits_for_what_a_call_came_to() {
    let _one = ONE.lock().await;
    let world = world();
    let engine = world.open();
    let work = json!({"StartAt": "T", "QueryLanguage": "JSONata", "States": {"T": {
        "Type": "Task", "Resource": function_arn("hold"), "Output": LONG, "End": true,
    }}});
    world.create(&engine, "m", &work).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    until_true(|| world.functions.calls.lock().unwrap().len() == 1).await;
    hold(true);
    world.functions.let_go.notify_waiters();
    until_true(|| in_hand() == 1).await;
    let draining = {
        let engine = engine.clone();
        tokio::spawn(async move { engine.drain(Duration::from_secs(60)).await })
    };
    hold(false);
    draining.await.unwrap().unwrap();
    drop(engine);

    let engine = world.open();
    let ended = world.end(&engine, &started.arn).await;
    assert_eq!((ended.status, ended.output.as_deref()), (Status::Succeeded, Some(LONG_VALUE)));
    assert_eq!(world.functions.calls.lock().unwrap().len(), 1, "the call was made once");
}
