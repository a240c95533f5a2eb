//! Refused commits take back what rested on them: what an execution ignored because of a change that never became
//! durable comes again.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{Refusal, World, activity_arn, function_arn, task, until, until_true};
use stepwright_engine::{Delivery, Engine, Error, StepFunction};
use stepwright_machine::{Definition, Effects, Execution, Input, Status};

/// Turns begun by the engines of this file.
static TURNS: AtomicU64 = AtomicU64::new(0);
/// Tests here count turns: one at a time.
static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn counted(definition: &Definition, execution: &mut Execution, inputs: &[Input], steps: u64) -> Option<Effects> {
    TURNS.fetch_add(1, Ordering::SeqCst);
    stepwright_machine::step_within(definition, execution, inputs, steps)
}

fn world() -> World {
    let mut world = World::new();
    world.options.shards = 1;
    world.options.step = StepFunction { begin: counted, ..StepFunction::default() };
    world
}

type Answer<T> = tokio::task::JoinHandle<Result<T, Error>>;

/// Stops an execution in memory while the commit of that is held.
async fn begin_stop(world: &World, engine: &Engine, arn: &str) -> Answer<i64> {
    world.store.hold(true);
    let turns = TURNS.load(Ordering::SeqCst);
    let (engine, scope, arn) = (engine.clone(), world.scope.clone(), arn.to_owned());
    let stop = tokio::spawn(async move { engine.stop_execution(&scope, &arn, None, None).await });
    until_true(|| TURNS.load(Ordering::SeqCst) > turns).await;
    stop
}

/// Waits until the only shard took in everything that was sent to it: a start comes after it, and takes a turn.
async fn caught_up(world: &World, engine: &Engine) {
    let turns = TURNS.load(Ordering::SeqCst);
    let new = stepwright_engine::NewExecution {
        state_machine_arn: common::machine_arn("m").into(),
        name: format!("marker{turns}").into(),
        input: "0".into(),
        trace_header: None,
        test_case: None,
    };
    let (engine, scope) = (engine.clone(), world.scope.clone());
    drop(tokio::spawn(async move { engine.start_execution(&scope, new).await }));
    until_true(|| TURNS.load(Ordering::SeqCst) > turns).await;
}

/// Refuses what is held, the stop among it.
async fn refuse_stop(world: &World, stop: Answer<i64>) {
    world.store.refuse(Some(Refusal::Full));
    world.store.hold(false);
    let refused = stop.await.unwrap().unwrap_err();
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    world.store.refuse(None);
}

async fn ends(world: &World, engine: &Engine, arn: &str) {
    until_ended(world, engine, arn).await;
    assert_eq!(world.describe(engine, arn).await.status, Status::Succeeded);
}

async fn until_ended(world: &World, engine: &Engine, arn: &str) {
    let ended = async {
        while world.describe(engine, arn).await.status == Status::Running {
            // What was refused is tried again a second later.
            world.clock.advance(1_000);
            world.functions.let_go.notify_waiters();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(300), ended).await.expect("the execution ends");
}

async fn poll(world: &World, engine: &Engine) -> Delivery {
    let arn = activity_arn("a");
    let polled = async {
        loop {
            world.clock.advance(1_000);
            if let Ok(Some(task)) = engine.get_activity_task(&world.scope, &arn, None).await {
                return task;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(300), polled).await.expect("the task is still there")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_met_a_stop_which_was_refused_counts() {
    let _one = ONE.lock().await;
    let world = world();
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    let started = world.start(&engine, "m", "e", "3").await.unwrap();
    until_true(|| world.functions.calls.lock().unwrap().len() == 1).await;
    let stop = begin_stop(&world, &engine, &started.arn).await;
    world.functions.let_go.notify_waiters();
    until(&engine, |stats| stats.calls_in_flight == 0).await;
    caught_up(&world, &engine).await;
    refuse_stop(&world, stop).await;
    ends(&world, &engine, &started.arn).await;
    assert_eq!(world.functions.calls.lock().unwrap().iter().filter(|call| *call.input == *"3").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_task_that_met_a_stop_which_was_refused_is_handed_over() {
    let _one = ONE.lock().await;
    let mut world = world();
    world.options.long_poll_ms = 50;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let started = world.start(&engine, "m", "e", "3").await.unwrap();
    until(&engine, |stats| stats.queued_activity_tasks == 1).await;
    // Once as it was queued, once as a reply that was not written.
    for _ in 0..2 {
        let stop = begin_stop(&world, &engine, &started.arn).await;
        let none = engine.get_activity_task(&world.scope, &activity_arn("a"), None).await.unwrap();
        assert!(none.is_none(), "it stopped, as far as the shard knows");
        assert_eq!(engine.stats().queued_activity_tasks, 0);
        refuse_stop(&world, stop).await;
        drop(poll(&world, &engine).await);
        until(&engine, |stats| stats.queued_activity_tasks == 1).await;
    }
    let task = poll(&world, &engine).await;
    engine.send_task_success(&world.scope, task.token(), "4".into()).await.unwrap();
    task.delivered();
    ends(&world, &engine, &started.arn).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_met_a_stop_which_was_refused_is_made() {
    let _one = ONE.lock().await;
    let mut world = world();
    world.functions = Arc::new(common::Functions { concurrency: 1, ..common::Functions::default() });
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    let first = world.start(&engine, "m", "first", "1").await.unwrap();
    let second = world.start(&engine, "m", "second", "2").await.unwrap();
    until(&engine, |stats| stats.queued_connector_tasks == 1 && stats.calls_in_flight == 1).await;
    let stop = begin_stop(&world, &engine, &second.arn).await;
    world.functions.let_go.notify_waiters();
    until(&engine, |stats| stats.queued_connector_tasks == 0 && stats.calls_in_flight == 0).await;
    caught_up(&world, &engine).await;
    refuse_stop(&world, stop).await;
    ends(&world, &engine, &first.arn).await;
    ends(&world, &engine, &second.arn).await;
    let calls = world.functions.calls.lock().unwrap();
    // The marker's start may have come too late to be refused.
    assert_eq!(calls.iter().map(|call| &*call.input).filter(|input| *input != "0").collect::<Vec<_>>(), ["1", "2"]);
}
