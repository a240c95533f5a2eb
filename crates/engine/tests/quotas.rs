//! What one account may have, and how long an execution may be open.

mod common;

use common::{World, activity_arn, chain, wait};
use stepwright_engine::{Error, NewActivity, Quotas};
use stepwright_machine::Status;

const HOUR_MS: i64 = 3_600_000;

#[tokio::test(flavor = "multi_thread")]
async fn open_executions_are_counted_over_restarts() {
    let mut world = World::new();
    world.options.quotas = Quotas { open_executions: Some(2), ..Quotas::default() };
    let engine = world.open();
    world.create(&engine, "w", &wait(1_000)).await;
    world.create(&engine, "c", &chain(1)).await;
    for name in ["a", "b", "c"] {
        let started = world.start(&engine, "c", name, "{}").await.unwrap();
        world.end(&engine, &started.arn).await;
    }
    let first = world.start(&engine, "w", "e1", "{}").await.unwrap();
    world.start(&engine, "w", "e2", "{}").await.unwrap();
    let full = Error::ExecutionLimitExceeded { limit: 2 };
    assert_eq!(world.start(&engine, "w", "e3", "{}").await.unwrap_err(), full);
    drop(engine);
    let engine = world.open();
    assert_eq!(world.start(&engine, "w", "e3", "{}").await.unwrap_err(), full);
    engine.stop_execution(&world.scope, &first.arn, None, None).await.unwrap();
    world.start(&engine, "w", "e3", "{}").await.unwrap();
    // A redriven execution is open again.
    assert_eq!(engine.redrive_execution(&world.scope, &first.arn, None).await.unwrap_err(), full);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_and_activities_are_counted() {
    let mut world = World::new();
    world.options.quotas = Quotas { state_machines: Some(1), activities: Some(1), open_executions: None };
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    world.create(&engine, "m", &chain(1)).await;
    let more = engine.create_state_machine(&world.scope, common::machine("n", &chain(1))).await.unwrap_err();
    assert_eq!(more, Error::StateMachineLimitExceeded { limit: 1 });
    world.create_activity(&engine, "a").await;
    let new =
        NewActivity { arn: activity_arn("b").into(), name: "b".into(), encryption: "{}".into(), tags: Vec::new() };
    let more = engine.create_activity(&world.scope, new).await.unwrap_err();
    assert_eq!(more, Error::ActivityLimitExceeded { limit: 1 });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_is_open_for_so_long_at_most() {
    let mut world = World::new();
    world.options.open_ms = 10 * HOUR_MS;
    let engine = world.open();
    world.create(&engine, "w", &wait(1_000_000)).await;
    let old = world.start(&engine, "w", "old", "{}").await.unwrap();
    world.clock.advance(6 * HOUR_MS);
    let young = world.start(&engine, "w", "young", "{}").await.unwrap();
    world.clock.advance(5 * HOUR_MS);
    let ended = world.end(&engine, &old.arn).await;
    assert_eq!(ended.status, Status::TimedOut);
    assert_eq!(world.event_names(&engine, &old.arn).await.last().map(String::as_str), Some("ExecutionTimedOut"));
    assert_eq!(world.describe(&engine, &young.arn).await.status, Status::Running);
}
