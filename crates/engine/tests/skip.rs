//! The virtual clock: it jumps to what is due next when nothing else can happen, and never otherwise.

mod common;

use std::{sync::Arc, time::Duration};

use common::{START, World, activity_arn, function_arn, until, until_true, wait};
use serde_json::{Value, json};
use stepwright_engine::{
    ClockMode, Engine, Event, MachineType, NewExecution, VirtualClock,
    clock::{Clock as _, ManualClock},
};
use stepwright_machine::{Millis, Status};

const SECOND: Millis = 1_000;
const HOUR: Millis = 3_600 * SECOND;
const DAY: Millis = 24 * HOUR;

/// A world whose clock stands but for its jumps.
fn alone() -> (World, Arc<VirtualClock>) {
    let mut world = World::new();
    let clock = Arc::new(VirtualClock::alone(START));
    world.options.clock = clock.clone();
    (world, clock)
}

/// A world with the server's clock.
fn real(mode: ClockMode) -> (World, Arc<VirtualClock>) {
    let mut world = World::new();
    let clock = Arc::new(VirtualClock::new(mode));
    world.options.clock = clock.clone();
    (world, clock)
}

fn times(events: &[Event]) -> Vec<Millis> {
    let first = events[0].at;
    events.iter().map(|event| event.at - first).collect()
}

async fn ends(world: &World, engine: &Engine, definition: &Value) -> (Status, Vec<Event>) {
    world.create(engine, "m", definition).await;
    let arn = world.start(engine, "m", "e", "{}").await.unwrap().arn;
    let end = world.end(engine, &arn).await;
    (end.status, world.history(engine, &arn).await)
}

/// Time for something that must not happen.
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_of_a_year_is_over_at_once_and_a_year_later() {
    let (world, clock) = alone();
    let engine = world.open();
    let (status, events) = ends(&world, &engine, &wait(365 * 24 * 3_600)).await;
    assert_eq!(status, Status::Succeeded);
    assert_eq!(times(&events), [0, 0, 365 * DAY, 365 * DAY]);
    assert_eq!(clock.now(), START + 365 * DAY);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_come_at_the_times_that_their_backoff_says() {
    let (world, _) = alone();
    let engine = world.open();
    let retry = json!([{"ErrorEquals": ["Boom"], "IntervalSeconds": 600, "BackoffRate": 2, "MaxAttempts": 3}]);
    let definition = json!({"StartAt": "T", "States": {
        "T": {"Type": "Task", "Resource": function_arn("fail"), "Retry": retry, "End": true}}});
    let (status, _) = ends(&world, &engine, &definition).await;
    assert_eq!(status, Status::Failed);
    let calls: Vec<Millis> =
        world.functions.calls.lock().unwrap().iter().map(|call| (call.started_at - START) / SECOND).collect();
    assert_eq!(calls, [0, 600, 1_800, 4_200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_skipped_while_a_call_is_in_flight() {
    let (world, clock) = alone();
    let engine = world.open();
    let definition = json!({"StartAt": "P", "States": {"P": {"Type": "Parallel", "End": true, "Branches": [
        {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 60, "End": true}}},
        {"StartAt": "T", "States": {
            "T": {"Type": "Task", "Resource": function_arn("hold"), "TimeoutSeconds": 30, "End": true}}}]}}});
    world.create(&engine, "m", &definition).await;
    let arn = world.start(&engine, "m", "e", "{}").await.unwrap().arn;
    until(&engine, |stats| stats.calls_in_flight == 1).await;
    a_moment().await;
    assert_eq!(clock.now(), START);
    world.functions.let_go.notify_waiters();
    assert_eq!(world.end(&engine, &arn).await.status, Status::Succeeded);
    assert_eq!(clock.now(), START + 60 * SECOND);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_no_worker_serves_times_out_at_once() {
    let (world, _) = real(ClockMode::Skip);
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let definition = json!({"StartAt": "T", "TimeoutSeconds": 86_400, "States": {
        "T": {"Type": "Task", "Resource": activity_arn("a"), "End": true}}});
    let (status, events) = ends(&world, &engine, &definition).await;
    assert_eq!(status, Status::TimedOut);
    assert!(times(&events).last().is_some_and(|at| *at >= DAY), "{events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_a_workers_hands_stops_skipping_but_not_advancing() {
    let (world, clock) = real(ClockMode::Skip);
    let engine = world.open();
    let activity = world.create_activity(&engine, "a").await;
    let definition = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity_arn("a"),
        "HeartbeatSeconds": 3_600, "TimeoutSeconds": 86_400, "End": true}}});
    world.create(&engine, "m", &definition).await;
    let polling = engine.get_activity_task(&world.scope, &activity, None);
    let arn = {
        let start = async {
            until(&engine, |stats| stats.pollers == 1).await;
            world.start(&engine, "m", "e", "{}").await.unwrap().arn
        };
        let (delivery, arn) = tokio::join!(polling, start);
        delivery.unwrap().expect("a task").delivered();
        arn
    };
    a_moment().await;
    assert!(clock.ahead() == 0 && engine.clock().unwrap().held_outside == 1);
    engine.advance_clock(2 * HOUR).await.unwrap();
    let end = world.end(&engine, &arn).await;
    assert_eq!((end.status, end.error.as_deref()), (Status::Failed, Some("States.Timeout")));
    assert_eq!(engine.clock().unwrap().held_outside, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_a_worker_who_was_here_stops_skipping() {
    let (mut world, clock) = real(ClockMode::Skip);
    world.options.long_poll_ms = 1;
    let engine = world.open();
    let activity = world.create_activity(&engine, "a").await;
    assert!(engine.get_activity_task(&world.scope, &activity, None).await.unwrap().is_none());
    let definition = json!({"StartAt": "T", "TimeoutSeconds": 86_400, "States": {
        "T": {"Type": "Task", "Resource": activity_arn("a"), "End": true}}});
    world.create(&engine, "m", &definition).await;
    world.start(&engine, "m", "e", "{}").await.unwrap();
    a_moment().await;
    assert!(clock.ahead() == 0 && engine.clock().unwrap().awaits_worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn advancing_goes_by_way_of_every_timer() {
    let (world, clock) = real(ClockMode::Frozen);
    let engine = world.open();
    let definition = json!({"StartAt": "A", "States": {
        "A": {"Type": "Wait", "Seconds": 3_600, "Next": "B"}, "B": {"Type": "Wait", "Seconds": 3_600, "End": true}}});
    world.create(&engine, "m", &definition).await;
    let start = clock.now();
    let arn = world.start(&engine, "m", "e", "{}").await.unwrap().arn;
    a_moment().await;
    assert_eq!(clock.now(), start, "it stands");
    engine.advance_clock(3 * HOUR).await.unwrap();
    let events = world.history(&engine, &arn).await;
    assert_eq!(times(&events), [0, 0, HOUR, HOUR, 2 * HOUR, 2 * HOUR]);
    assert_eq!(clock.now(), start + 3 * HOUR);
}

#[tokio::test(flavor = "multi_thread")]
async fn time_goes_on_after_a_restart() {
    let (mut world, _) = real(ClockMode::Skip);
    let engine = world.open();
    let (_, events) = ends(&world, &engine, &wait(30 * 24 * 3_600)).await;
    drop(engine);
    world.options.clock = Arc::new(VirtualClock::new(ClockMode::Real));
    let engine = world.open();
    let started = world.start(&engine, "m", "later", "{}").await.unwrap();
    assert!(started.started_at >= events.last().expect("events").at);
    let kept = engine.clock().unwrap();
    assert!(kept.mode == ClockMode::Real && kept.ahead >= 29 * DAY, "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_stood_and_ran_does_not_stand_there_again() {
    let (mut world, _) = real(ClockMode::Frozen);
    let engine = world.open();
    engine.advance_clock(DAY).await.unwrap();
    let stood = engine.clock().unwrap().now;
    drop(engine);
    world.options.clock = Arc::new(VirtualClock::new(ClockMode::Real));
    let engine = world.open();
    let clock = world.options.clock.clone();
    until_true(|| clock.now() > stood + 100).await;
    world.create(&engine, "m", &common::chain(1)).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap().started_at;
    drop(engine);
    world.options.clock = Arc::new(VirtualClock::new(ClockMode::Frozen));
    let engine = world.open();
    let again = engine.clock().unwrap();
    assert!(started > stood && again.now >= started, "{stood} {started} {again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn express_executions_skip_too() {
    let (world, _) = alone();
    let engine = world.open();
    let mut new = common::machine("x", &wait(200));
    new.machine_type = MachineType::Express;
    engine.create_state_machine(&world.scope, new).await.unwrap();
    let start = |name: &str| NewExecution {
        state_machine_arn: common::machine_arn("x").into(),
        name: name.into(),
        input: "{}".into(),
        trace_header: None,
        test_case: None,
    };
    let end = engine.start_sync_execution(&world.scope, start("one")).await.unwrap();
    assert_eq!((end.status, end.stopped_at - end.started_at), (Status::Succeeded, 200 * SECOND));
    engine.start_execution(&world.scope, start("two")).await.unwrap();
    until(&engine, |stats| stats.closed == 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_timer_fires_at_its_own_time_among_many_executions() {
    let (world, _) = alone();
    let engine = world.open();
    let definition = json!({"StartAt": "A", "States": {
        "A": {"Type": "Wait", "SecondsPath": "$.a", "Next": "T"},
        "T": {"Type": "Task", "Resource": function_arn("echo"), "TimeoutSeconds": 1, "Next": "B"},
        "B": {"Type": "Wait", "SecondsPath": "$.b", "End": true}}});
    world.create(&engine, "m", &definition).await;
    let mut started = Vec::new();
    for at in 0..200 {
        let input = json!({"a": at * 7 % 90 + 1, "b": at * 13 % 500 + 1}).to_string();
        let execution = world.start(&engine, "m", &format!("e{at}"), &input).await.unwrap();
        started.push((execution.arn, (at * 7 % 90 + 1) + (at * 13 % 500 + 1)));
    }
    for (arn, seconds) in started {
        let end = world.end(&engine, &arn).await;
        assert_eq!(end.status, Status::Succeeded, "{:?} {:?}", end.error, end.cause);
        assert_eq!(end.stopped_at.map(|at| at - end.started_at), Some(seconds * SECOND));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_without_a_virtual_clock_says_so() {
    let mut world = World::new();
    world.options.clock = Arc::new(ManualClock::at(START));
    let engine = world.open();
    assert!(engine.clock().is_err() && engine.set_clock(ClockMode::Skip).await.is_err());
}
