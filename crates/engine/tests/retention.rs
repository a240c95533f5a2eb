//! Deletion of what is past its retention, and timers that are due in crowds: work in the background that must be
//! complete however much of it there is.

mod common;

use common::{World, chain, until, until_true, wait};
use serde_json::json;
use stepwright_machine::Status;
use stepwright_store::Table;

const MINUTE_MS: i64 = 60_000;

/// Tables in which a closed execution leaves something.
const TRACES: [Table; 10] = [
    Table::Execution,
    Table::Head,
    Table::Frame,
    Table::Turn,
    Table::Payload,
    Table::Name,
    Table::List,
    Table::Timer,
    Table::Task,
    Table::Expiry,
];

fn world() -> World {
    let mut world = World::new();
    world.options.retention_ms = 10 * MINUTE_MS;
    world.options.name_retention_ms = 10 * MINUTE_MS;
    world
}

async fn until_nothing_is_left(world: &World) {
    until_true(|| TRACES.iter().all(|table| world.store.rows(*table).is_empty())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_an_execution_of_any_kind() {
    let world = world();
    let engine = world.open();
    // Frames are kept when an execution fails; large payloads lie beside their turn; many turns go as a range.
    let failing = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": {
        "StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}}}});
    let waits: serde_json::Map<String, serde_json::Value> = (1..=20)
        .map(|at| {
            let next = if at == 20 { json!({"End": true}) } else { json!({"Next": format!("W{}", at + 1)}) };
            let mut state = json!({"Type": "Wait", "Seconds": 1});
            state.as_object_mut().unwrap().extend(next.as_object().unwrap().clone());
            (format!("W{at}"), state)
        })
        .collect();
    world.create(&engine, "chain", &chain(3)).await;
    world.create(&engine, "failing", &failing).await;
    world.create(&engine, "waits", &json!({"StartAt": "W1", "States": waits})).await;
    let large = format!("\"{}\"", "x".repeat(10_000));
    let plain = world.start(&engine, "chain", "a", &large).await.unwrap();
    let failed = world.start(&engine, "failing", "b", "[1,2,3]").await.unwrap();
    let long = world.start(&engine, "waits", "c", "{}").await.unwrap();
    world.end(&engine, &plain.arn).await;
    assert_eq!(world.end(&engine, &failed.arn).await.status, Status::Failed);
    for turn in 1..=20 {
        until(&engine, |stats| stats.turns >= 2 + turn).await;
        world.clock.advance(1_000);
    }
    assert_eq!(world.end(&engine, &long.arn).await.status, Status::Succeeded);
    assert!(world.store.rows(Table::Turn).len() > 20);
    world.clock.advance(12 * MINUTE_MS);
    until_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_is_complete_however_much_there_is() {
    let world = world();
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    world.create(&engine, "w", &wait(3_600)).await;
    let mut open = Vec::new();
    for number in 0..1_500 {
        world.start(&engine, "m", &number.to_string(), "{}").await.unwrap();
        if number % 500 == 0 {
            open.push(world.start(&engine, "w", &number.to_string(), "{}").await.unwrap());
        }
    }
    until(&engine, |stats| stats.closed == 1_500).await;
    world.clock.advance(11 * MINUTE_MS);
    until_true(|| world.store.rows(Table::Execution).len() == open.len()).await;
    until_true(|| world.store.rows(Table::Name).len() == open.len()).await;
    // Those that were open then end long after their start, and go when it is their time.
    world.clock.advance(50 * MINUTE_MS);
    for execution in &open {
        world.end(&engine, &execution.arn).await;
    }
    world.clock.advance(9 * MINUTE_MS);
    assert_eq!(world.store.rows(Table::Execution).len(), open.len());
    world.clock.advance(12 * MINUTE_MS);
    until_nothing_is_left(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_timers_than_may_be_under_way_all_fire() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "w", &wait(10)).await;
    for number in 0..3_000 {
        world.start(&engine, "w", &number.to_string(), "{}").await.unwrap();
    }
    world.clock.advance(10_000);
    until(&engine, |stats| stats.closed == 3_000).await;
    until_true(|| world.store.rows(Table::Timer).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_due_together_are_one_turn_even_if_they_are_more_than_may_be_under_way() {
    let mut world = World::new();
    world.options.shards = 1;
    world.options.limits.inline_concurrency = 0;
    let engine = world.open();
    let definition = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": {
        "StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 10, "End": true}}}}}});
    world.create(&engine, "m", &definition).await;
    let items: Vec<u32> = (0..700).collect();
    let started = world.start(&engine, "m", "e", &json!(items).to_string()).await.unwrap();
    until_true(|| world.store.rows(Table::Timer).len() == items.len()).await;
    let turns = world.store.rows(Table::Turn).len();
    world.clock.advance(10_000);
    world.end(&engine, &started.arn).await;
    assert_eq!(world.store.rows(Table::Turn).len(), turns + 1);
}
