//! Calls that share slots: whatever is slow delays only its like, rates hold, and what waits is there to be seen, also
//! after a restart and at the end.

mod common;

use std::{sync::Arc, time::Duration};

use common::{World, function_arn, task};
use serde_json::json;
use stepwright_engine::{Engine, Limit, ServiceStats, TaskLimits};
use stepwright_machine::Status;
use stepwright_store::Table;

fn apart(concurrency: usize) -> World {
    let mut world = World::new();
    world.functions = Arc::new(common::Functions { concurrency, apart: true, ..common::Functions::default() });
    world
}

fn limit(concurrency: Option<usize>, rate: Option<u32>) -> Limit {
    Limit { concurrency, rate }
}

async fn start(world: &World, engine: &Engine, machine: &str, names: std::ops::Range<usize>) -> Vec<Arc<str>> {
    let mut arns = Vec::new();
    for n in names {
        arns.push(world.start(engine, machine, &format!("{machine}-{n}"), "{}").await.unwrap().arn);
    }
    arns
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), holds).await.unwrap_or_else(|_| panic!("in vain: {what}"));
}

fn stats(engine: &Engine, service: &str) -> ServiceStats {
    engine.service_stats().into_iter().find(|stats| &*stats.service == service).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_hangs_delays_no_other() {
    let world = apart(10);
    let engine = world.open();
    world.create(&engine, "hanging", &task(&function_arn("hold"))).await;
    world.create(&engine, "quick", &task(&function_arn("echo"))).await;
    start(&world, &engine, "hanging", 0..40).await;
    until("what hangs has its share", || stats(&engine, "hold").in_flight == 5).await;
    for arn in start(&world, &engine, "quick", 0..40).await {
        assert_eq!(world.end(&engine, &arn).await.status, Status::Succeeded);
    }
    world.clock.advance(7_000);
    let hold = stats(&engine, "hold");
    assert_eq!((hold.connector, hold.in_flight, hold.waiting, hold.oldest_wait_ms), ("scripted", 5, 35, 7_000));
    assert_eq!((hold.calls, hold.failures), (5, 0));
    until("slots are free", || stats(&engine, "echo").in_flight == 0).await;
    let echo = stats(&engine, "echo");
    assert_eq!((echo.waiting, echo.calls, echo.failures), (0, 40, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_take_turns_at_a_function() {
    let mut world = apart(100);
    world.options.tasks.named.insert("scripted:hold".into(), limit(Some(1), None));
    let engine = world.open();
    let hold = task(&function_arn("hold"));
    world.create(&engine, "many", &hold).await;
    world.create(&engine, "few", &hold).await;
    start(&world, &engine, "many", 0..20).await;
    until("they wait", || stats(&engine, "hold").waiting == 19).await;
    let few = start(&world, &engine, "few", 0..2).await;
    until("they wait, too", || stats(&engine, "hold").waiting == 21).await;
    for calls in 1..=4 {
        until("the next is called", || world.functions.calls.lock().unwrap().len() == calls).await;
        until("and holds", || stats(&engine, "hold").in_flight == 1).await;
        // It listens as soon as its call was noted.
        world.functions.let_go.notify_waiters();
    }
    for arn in &few {
        let described = async {
            loop {
                world.functions.let_go.notify_waiters();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            described = world.end(&engine, arn) => assert_eq!(described.status, Status::Succeeded),
            () = described => {}
        }
    }
    let calls = world.functions.calls.lock().unwrap();
    let machines: Vec<&str> =
        calls.iter().take(5).map(|call| call.state_machine_arn.rsplit(':').next().unwrap()).collect();
    assert_eq!(machines, ["many", "many", "few", "many", "few"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_by_the_engines_clock() {
    let mut world = apart(100);
    world.options.tasks = TaskLimits { service: limit(None, Some(2)), ..TaskLimits::default() };
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("echo"))).await;
    let arns = start(&world, &engine, "m", 0..3).await;
    let called = || world.functions.calls.lock().unwrap().len();
    until("the others wait", || stats(&engine, "echo").waiting == 2).await;
    assert_eq!(called(), 1);
    world.clock.advance(499);
    assert_eq!((called(), stats(&engine, "echo").waiting), (1, 2));
    world.clock.advance(1);
    until("the second is called", || called() == 2).await;
    assert_eq!(stats(&engine, "echo").waiting, 1);
    world.clock.advance(500);
    for arn in &arns {
        assert_eq!(world.end(&engine, arn).await.status, Status::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_its_limit_over_all_functions() {
    let mut world = apart(100);
    world.options.tasks.named.insert("machine:limited".into(), limit(Some(3), None));
    let engine = world.open();
    let (hold, echo) = (function_arn("hold"), function_arn("echo"));
    let branch = |resource: &str| {
        let name = resource.rsplit(':').next().unwrap();
        json!({"StartAt": name, "States": {(name): {"Type": "Task", "Resource": resource, "End": true}}})
    };
    let both = json!({"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [branch(&hold), branch(&echo)]}}});
    world.create(&engine, "limited", &both).await;
    world.create(&engine, "free", &task(&echo)).await;
    start(&world, &engine, "limited", 0..5).await;
    until("three hold, the others wait", || {
        let (hold, echo) = (stats(&engine, "hold"), stats(&engine, "echo"));
        (hold.in_flight, hold.waiting, echo.in_flight) == (3, 2, 0)
    })
    .await;
    for arn in start(&world, &engine, "free", 0..5).await {
        assert_eq!(world.end(&engine, &arn).await.status, Status::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_outlives_the_engine() {
    let world = apart(2);
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    let mut arns = start(&world, &engine, "m", 0..6).await;
    until("one is called", || stats(&engine, "hold").in_flight == 1).await;
    until("five wait", || stats(&engine, "hold").waiting == 5).await;
    let last = arns.pop().unwrap();
    engine.stop_execution(&world.scope, &last, None, None).await.unwrap();
    until("four wait", || stats(&engine, "hold").waiting == 4).await;
    drop(engine);
    world.clock.advance(1_000);
    let engine = world.open();
    until("four are there again", || stats(&engine, "hold").in_flight == 1 && stats(&engine, "hold").waiting == 3)
        .await;
    assert_eq!(stats(&engine, "hold").oldest_wait_ms, 0, "ages begin anew");
    for arn in &arns[1..] {
        let let_go = async {
            loop {
                world.functions.let_go.notify_waiters();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            described = world.end(&engine, arn) => assert_eq!(described.status, Status::Succeeded),
            () = let_go => {}
        }
    }
    // The one that was lost fails.
    let lost = &arns[0];
    assert_eq!(world.describe(&engine, lost).await.error.as_deref(), Some("Lambda.SdkClientException"));
    assert_eq!(world.functions.calls.lock().unwrap().len(), 5, "each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_not_sent_when_the_engine_is_stopped() {
    let world = apart(2);
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    start(&world, &engine, "m", 0..5).await;
    until("four wait", || stats(&engine, "hold").waiting == 4).await;
    let (drained, ()) = tokio::join!(engine.drain(Duration::from_secs(10)), async {
        until("nothing is sent any more", || stats(&engine, "hold").waiting == 0).await;
        world.functions.let_go.notify_waiters();
    });
    drained.unwrap();
    assert_eq!(world.functions.calls.lock().unwrap().len(), 1);
    assert_eq!(world.store.rows(Table::Task).len(), 4);
}
