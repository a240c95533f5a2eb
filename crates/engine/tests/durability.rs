//! What outlives a crash, a lost worker, a full or failed store, a broken interpreter, and the years.

mod common;

use std::{sync::Arc, time::Duration};

use common::{Refusal, START, World, activity_arn, chain, function_arn, task, until, until_true, wait};
use serde_json::json;
use stepwright_engine::{Delivery, Engine, Error, OnLost, PageRequest, StepFunction};
use stepwright_machine::{Definition, Effects, Execution, Input, InputKind, Status};
use stepwright_store::Table;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

async fn poll(world: &World, engine: &Engine, activity: &str) -> Delivery {
    let arn = activity_arn(activity);
    let polled = engine.get_activity_task(&world.scope, &arn, Some("w".into())).await.unwrap();
    polled.expect("a task")
}

// Timers

#[tokio::test(flavor = "multi_thread")]
async fn a_timer_fires_when_it_is_due_and_never_before() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &wait(10)).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    world.clock.advance(9_999);
    // Whatever the timers do at this time is done when a second timer, due now, has fired.
    world.create(&engine, "now", &wait(0)).await;
    let marker = world.start(&engine, "now", "e", "{}").await.unwrap();
    world.end(&engine, &marker.arn).await;
    assert_eq!(world.describe(&engine, &started.arn).await.status, Status::Running);
    world.clock.advance(1);
    let described = world.end(&engine, &started.arn).await;
    assert_eq!((described.status, described.stopped_at), (Status::Succeeded, Some(START + 10_000)));
    assert_eq!(world.store.rows(Table::Timer), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_set_later_but_due_sooner_are_not_overlooked() {
    let world = World::new();
    let engine = world.open();
    for seconds in [50, 5, 20] {
        world.create(&engine, &format!("w{seconds}"), &wait(seconds)).await;
    }
    let mut arns = Vec::new();
    for seconds in [50, 5, 20] {
        arns.push(world.start(&engine, &format!("w{seconds}"), "e", "{}").await.unwrap().arn);
    }
    world.clock.advance(5_000);
    assert_eq!(world.end(&engine, &arns[1]).await.stopped_at, Some(START + 5_000));
    world.clock.advance(15_000);
    assert_eq!(world.end(&engine, &arns[2]).await.stopped_at, Some(START + 20_000));
    assert_eq!(world.describe(&engine, &arns[0]).await.status, Status::Running);
}

// Crashes

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_execution_goes_on_after_a_crash() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &wait(10)).await;
    let started = world.start(&engine, "m", "e", "{\"a\":[1,2]}").await.unwrap();
    drop(engine);
    world.clock.advance(60_000);
    let engine = world.open();
    let described = world.end(&engine, &started.arn).await;
    assert_eq!((described.status, described.output.as_deref()), (Status::Succeeded, Some("{\"a\":[1,2]}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_and_started_activity_tasks_survive_a_crash() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let mut arns = Vec::new();
    for n in 0..3 {
        arns.push(world.start(&engine, "m", &format!("e{n}"), &format!("{n}")).await.unwrap().arn);
        world.clock.advance(1);
    }
    until(&engine, |stats| stats.queued_activity_tasks == 3).await;
    let first = poll(&world, &engine, "a").await;
    let token = first.token().clone();
    assert_eq!(&**first.input(), "0", "first in, first out");
    first.delivered();
    drop(engine);

    let engine = world.open();
    // The started one is in its worker's hands; the others come in their order.
    engine.send_task_success(&world.scope, &token, "\"done\"".into()).await.unwrap();
    assert_eq!(world.end(&engine, &arns[0]).await.output.as_deref(), Some("\"done\""));
    for (n, arn) in arns.iter().enumerate().skip(1) {
        let task = poll(&world, &engine, "a").await;
        assert_eq!(&**task.input(), n.to_string());
        engine.send_task_failure(&world.scope, task.token(), Some("E".into()), None).await.unwrap();
        task.delivered();
        assert_eq!(world.end(&engine, arn).await.error.as_deref(), Some("E"));
    }
    let again = engine.send_task_success(&world.scope, &token, "1".into()).await;
    assert_eq!(again.unwrap_err(), Error::TaskTimedOut);
    assert_eq!(world.store.rows(Table::Task), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_lost_in_a_crash_fails_or_is_made_again() {
    for (on_lost, status, calls) in [(OnLost::Fail, Status::Failed, 1), (OnLost::Resend, Status::Succeeded, 2)] {
        let mut world = World::new();
        world.options.tasks_on_lost = on_lost;
        let engine = world.open();
        world.create(&engine, "m", &task(&function_arn("hold"))).await;
        let started = world.start(&engine, "m", "e", "7").await.unwrap();
        until_true(|| world.functions.calls.lock().unwrap().len() == 1).await;
        drop(engine);
        let engine = world.open();
        if on_lost == OnLost::Resend {
            until_true(|| world.functions.calls.lock().unwrap().len() == 2).await;
            world.functions.let_go.notify_waiters();
        }
        let described = world.end(&engine, &started.arn).await;
        assert_eq!(described.status, status, "{on_lost:?}");
        if on_lost == OnLost::Fail {
            assert_eq!(described.error.as_deref(), Some("Lambda.SdkClientException"));
        }
        let resent: Vec<bool> = world.functions.calls.lock().unwrap().iter().map(|call| call.resent).collect();
        assert_eq!((resent.len(), resent.last()), (calls, Some(&(on_lost == OnLost::Resend))));
        let names = world.event_names(&engine, &started.arn).await;
        let starts = names.iter().filter(|name| *name == "LambdaFunctionStarted").count();
        assert_eq!(starts, 1, "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_waited_for_a_slot_are_made_after_a_crash() {
    let mut world = World::new();
    world.functions = Arc::new(common::Functions { concurrency: 1, ..common::Functions::default() });
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    world.create(&engine, "echo", &task(&function_arn("echo"))).await;
    world.start(&engine, "m", "e", "1").await.unwrap();
    let waiting = world.start(&engine, "echo", "e", "2").await.unwrap();
    until(&engine, |stats| stats.queued_connector_tasks == 1).await;
    drop(engine);
    let engine = world.open();
    assert_eq!(world.end(&engine, &waiting.arn).await.output.as_deref(), Some("2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_missed_while_the_engine_was_down_is_forgiven_once() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let mut definition = task(&activity_arn("a"));
    definition["States"]["T"]["HeartbeatSeconds"] = json!(10);
    world.create(&engine, "m", &definition).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let held = poll(&world, &engine, "a").await;
    let token = held.token().clone();
    held.delivered();
    drop(engine);
    world.clock.advance(60_000);
    let engine = world.open();
    let timer = || world.store.rows(Table::Timer).first().map(|(key, _)| key[..8].to_vec());
    let renewed = (START + 70_000).to_be_bytes().to_vec();
    until_true(|| timer().as_ref() == Some(&renewed)).await;
    engine.send_task_heartbeat(&world.scope, &token).await.unwrap();
    world.clock.advance(10_000);
    let described = world.end(&engine, &started.arn).await;
    assert_eq!((described.status, described.error.as_deref()), (Status::Failed, Some("States.Timeout")));
    let late = engine.send_task_heartbeat(&world.scope, &token).await;
    assert_eq!(late.unwrap_err(), Error::TaskTimedOut);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_due_right_after_the_engine_came_back_is_forgiven_too() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let mut definition = task(&activity_arn("a"));
    definition["States"]["T"]["HeartbeatSeconds"] = json!(10);
    world.create(&engine, "m", &definition).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let held = poll(&world, &engine, "a").await;
    let token = held.token().clone();
    held.delivered();
    drop(engine);
    // Nobody could hear the worker for all but the last second of its period.
    world.clock.advance(9_000);
    let engine = world.open();
    world.clock.advance(1_000);
    let timer = || world.store.rows(Table::Timer).first().map(|(key, _)| key[..8].to_vec());
    let renewed = (START + 20_000).to_be_bytes().to_vec();
    until_true(|| timer().as_ref() == Some(&renewed)).await;
    engine.send_task_heartbeat(&world.scope, &token).await.unwrap();
    world.clock.advance(10_000);
    let described = world.end(&engine, &started.arn).await;
    assert_eq!((described.status, described.error.as_deref()), (Status::Failed, Some("States.Timeout")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_turn_goes_on_after_a_crash() {
    let world = World::new();
    // A loop of 1,500 states is more than one turn takes.
    let definition = json!({"StartAt": "Choose", "States": {
        "Choose": {"Type": "Choice", "Default": "End",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 750, "Next": "Count"}]},
        "Count": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "Choose"},
        "End": {"Type": "Succeed"},
    }});
    let engine = world.open();
    world.create(&engine, "m", &definition).await;
    let started = world.start(&engine, "m", "e", "{\"n\":0}").await.unwrap();
    drop(engine);
    let engine = world.open();
    let described = world.end(&engine, &started.arn).await;
    assert_eq!((described.status, described.output.as_deref()), (Status::Succeeded, Some("{\"n\":750}")));
    assert!(world.store.rows(Table::Turn).len() >= 2);
    assert_eq!(world.store.rows(Table::Task), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_calls_end_and_keeps_the_rest() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    let started = world.start(&engine, "m", "e", "5").await.unwrap();
    until_true(|| world.functions.calls.lock().unwrap().len() == 1).await;
    let drained = tokio::spawn({
        let engine = engine.clone();
        async move { engine.drain(Duration::from_secs(20)).await }
    });
    until_true(|| {
        world.functions.let_go.notify_waiters();
        drained.is_finished()
    })
    .await;
    drained.await.unwrap().unwrap();
    let refused = world.start(&engine, "m", "e2", "5").await.unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    let described = world.describe(&engine, &started.arn).await;
    assert_eq!((described.status, described.output.as_deref()), (Status::Succeeded, Some("5")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_waits_for_calls_whose_start_is_still_being_written() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    world.create(&engine, "p", &chain(1)).await;
    let first = world.start(&engine, "p", "e", "5").await.unwrap();
    world.end(&engine, &first.arn).await;
    world.store.hold(true);
    let start = async { world.start(&engine, "m", "e", "5").await };
    let drain = async {
        until(&engine, |stats| stats.started == 2).await;
        engine.drain(Duration::from_secs(20)).await
    };
    let let_go = async {
        // The drain has begun when workers are refused.
        while !engine.get_activity_task(&world.scope, &activity_arn("a"), None).await.unwrap_err().is_transient() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.store.hold(false);
        until_true(|| world.functions.calls.lock().unwrap().len() == 1).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.functions.let_go.notify_waiters();
    };
    let (started, drained, ()) = tokio::join!(start, drain, let_go);
    drained.unwrap();
    let described = world.describe(&engine, &started.unwrap().arn).await;
    assert_eq!((described.status, described.output.as_deref()), (Status::Succeeded, Some("5")));
}

// Workers

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_worker_gets_a_task_in_the_turn_that_schedules_it() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let world = Arc::new(world);
    let polling = tokio::spawn({
        let (world, engine) = (world.clone(), engine.clone());
        async move { poll(&world, &engine, "a").await }
    });
    until(&engine, |stats| stats.pollers == 1).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    polling.await.unwrap().delivered();
    assert_eq!(world.store.rows(Table::Turn).len(), 1, "scheduled and started at once");
    let names = world.event_names(&engine, &started.arn).await;
    assert_eq!(names, ["ExecutionStarted", "StateEntered", "ActivityScheduled", "ActivityStarted"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_gone_gets_nothing() {
    let mut world = World::new();
    world.options.long_poll_ms = 50;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let arn = activity_arn("a");
    assert!(engine.get_activity_task(&world.scope, &arn, None).await.unwrap().is_none(), "nothing to do");
    // A connection that breaks drops the poll.
    let broken = engine.get_activity_task(&world.scope, &arn, None);
    assert!(tokio::time::timeout(Duration::from_millis(5), broken).await.is_err());
    assert_eq!(engine.stats().pollers, 0);
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    until(&engine, |stats| stats.queued_activity_tasks == 1).await;
    let names = world.event_names(&engine, &started.arn).await;
    assert_eq!(names.last().unwrap(), "ActivityScheduled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_was_not_written_goes_to_the_next_worker() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    world.start(&engine, "m", "younger", "{}").await.unwrap();
    let first = poll(&world, &engine, "a").await;
    let token = first.token().clone();
    drop(first);
    let second = poll(&world, &engine, "a").await;
    assert_eq!(*second.token(), token, "the same task, before the younger one");
    engine.send_task_success(&world.scope, second.token(), "1".into()).await.unwrap();
    second.delivered();
    world.end(&engine, &started.arn).await;
    let names = world.event_names(&engine, &started.arn).await;
    assert_eq!(names.iter().filter(|name| *name == "ActivityStarted").count(), 1, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn activities_end_with_their_polls_and_tokens_are_checked() {
    let mut world = World::new();
    world.options.pollers_per_activity = 1;
    let engine = world.open();
    let arn = world.create_activity(&engine, "a").await;
    let world = Arc::new(world);
    let polling = tokio::spawn({
        let (world, engine, arn) = (world.clone(), engine.clone(), arn.clone());
        async move { engine.get_activity_task(&world.scope, &arn, None).await.map(|_| ()) }
    });
    until(&engine, |stats| stats.pollers == 1).await;
    let too_many = engine.get_activity_task(&world.scope, &arn, None).await.unwrap_err();
    assert!(matches!(too_many, Error::ActivityWorkerLimitExceeded { limit: 1, .. }), "{too_many}");
    engine.delete_activity(&world.scope, &arn).await.unwrap();
    assert_eq!(polling.await.unwrap().unwrap_err(), Error::ActivityDoesNotExist { arn: arn.clone() });

    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let described = world.end(&engine, &started.arn).await;
    assert_eq!(described.error.as_deref(), Some("States.Runtime"));
    for token in ["", "nonsense", &"A".repeat(60)] {
        let refused = engine.send_task_success(&world.scope, token, "1".into()).await;
        assert_eq!(refused.unwrap_err(), Error::InvalidToken, "{token:?}");
    }
}

// Memory

#[tokio::test(flavor = "multi_thread")]
async fn a_history_does_not_get_slower_with_each_heartbeat() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let mut definition = task(&activity_arn("a"));
    definition["States"]["T"]["HeartbeatSeconds"] = json!(10);
    world.create(&engine, "m", &definition).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let task = poll(&world, &engine, "a").await;
    let token = task.token().clone();
    task.delivered();
    for _ in 0..500 {
        engine.send_task_heartbeat(&world.scope, &token).await.unwrap();
    }
    let before = world.store.scanned.load(std::sync::atomic::Ordering::SeqCst);
    let names = world.event_names(&engine, &started.arn).await;
    assert_eq!(names, ["ExecutionStarted", "StateEntered", "ActivityScheduled", "ActivityStarted"]);
    let read = world.store.scanned.load(std::sync::atomic::Ordering::SeqCst) - before;
    assert!(read <= 40, "{read} rows were read for 4 events");
    engine.send_task_success(&world.scope, &token, "1".into()).await.unwrap();
    let last = PageRequest { max_results: 2, next_token: None };
    let page = engine.history(&world.scope, &started.arn, last, true).await.unwrap();
    let ids: Vec<u64> = page.events.iter().map(|event| event.id).collect();
    assert_eq!(ids, [7, 6]);
    let page = PageRequest { max_results: 100, next_token: page.next_token };
    let rest = engine.history(&world.scope, &started.arn, page, true).await.unwrap();
    let ids: Vec<u64> = rest.events.iter().map(|event| event.id).collect();
    assert_eq!((ids, rest.next_token), (vec![5, 4, 3, 2, 1], None));
}

#[tokio::test(flavor = "multi_thread")]
async fn executions_beyond_the_memory_limit_are_read_back() {
    let mut world = World::new();
    world.options.hot_executions = 2;
    world.options.shards = 1;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let mut arns = Vec::new();
    for n in 0..20 {
        arns.push(world.start(&engine, "m", &format!("e{n}"), &format!("{n}")).await.unwrap().arn);
    }
    until(&engine, |stats| stats.hot_executions <= 2).await;
    for (n, arn) in arns.iter().enumerate() {
        let task = poll(&world, &engine, "a").await;
        assert_eq!(&**task.input(), n.to_string());
        engine.send_task_success(&world.scope, task.token(), task.input().clone()).await.unwrap();
        task.delivered();
        assert_eq!(world.end(&engine, arn).await.output.as_deref(), Some(&*n.to_string()));
    }
    until(&engine, |stats| stats.hot_executions <= 2).await;
}

// Retention

#[tokio::test(flavor = "multi_thread")]
async fn closed_executions_go_with_all_their_rows_and_free_their_names() {
    let mut world = World::new();
    world.options.retention_ms = 10 * DAY_MS;
    world.options.name_retention_ms = 20 * DAY_MS;
    let engine = world.open();
    world.create(&engine, "m", &chain(2)).await;
    world.create(&engine, "w", &wait(99_000_000)).await;
    let closed = world.start(&engine, "m", "e", &format!("\"{}\"", "x".repeat(10_000))).await.unwrap();
    let running = world.start(&engine, "w", "e", "{}").await.unwrap();
    world.clock.advance(9 * DAY_MS);
    world.describe(&engine, &closed.arn).await;
    world.clock.advance(2 * DAY_MS);
    until_true(|| world.store.rows(Table::Execution).len() == 1).await;
    let gone = engine.describe_execution(&world.scope, &closed.arn).await.unwrap_err();
    assert_eq!(gone, Error::ExecutionDoesNotExist { arn: closed.arn.clone() });
    assert_eq!(world.describe(&engine, &running.arn).await.status, Status::Running);
    let counts = [Table::Turn, Table::Payload, Table::List].map(|table| world.store.rows(table).len());
    assert_eq!(counts, [1, 0, 2], "what is left is the running one's");
    let taken = world.start(&engine, "m", "e", "{}").await.unwrap_err();
    assert_eq!(taken, Error::ExecutionAlreadyExists { arn: closed.arn.clone() });
    world.clock.advance(10 * DAY_MS);
    until_true(|| world.store.rows(Table::Expiry).is_empty()).await;
    world.start(&engine, "m", "e", "{}").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_leaves_the_definition_of_what_a_deleted_machine_still_has() {
    let mut world = World::new();
    world.options.retention_ms = 10 * DAY_MS;
    let engine = world.open();
    let machine = world.create(&engine, "m", &task(&function_arn("hold"))).await;
    let long = world.start(&engine, "m", "long", "{}").await.unwrap();
    world.clock.advance(1_000);
    let short = world.start(&engine, "m", "short", "{}").await.unwrap();
    engine.stop_execution(&world.scope, &short.arn, None, None).await.unwrap();
    // The older one ends later, with its machine.
    world.clock.advance(5 * DAY_MS);
    engine.delete_state_machine(&world.scope, &machine.arn).await.unwrap();
    world.end(&engine, &long.arn).await;
    until_true(|| world.store.rows(Table::Machine).is_empty()).await;
    world.clock.advance(6 * DAY_MS);
    until_true(|| world.store.rows(Table::Execution).len() == 1).await;
    drop(engine);
    let engine = world.open();
    assert_eq!(world.describe(&engine, &long.arn).await.status, Status::Aborted);
    world.clock.advance(5 * DAY_MS);
    until_true(|| world.store.rows(Table::Execution).is_empty()).await;
    assert_eq!(world.store.rows(Table::Revision), [], "and then it goes, too");
}

// Stores that refuse

#[tokio::test(flavor = "multi_thread")]
async fn a_full_store_refuses_and_nothing_is_lost() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let task = poll(&world, &engine, "a").await;
    world.store.refuse(Some(Refusal::Full));
    for _ in 0..2 {
        let refused = engine.send_task_success(&world.scope, task.token(), "1".into()).await.unwrap_err();
        assert!(matches!(refused, Error::Full { .. }), "{refused}");
    }
    let refused = world.start(&engine, "m", "e2", "{}").await.unwrap_err();
    assert!(matches!(refused, Error::Full { .. }), "{refused}");
    // Reads go on, and show that nothing happened.
    assert_eq!(world.describe(&engine, &started.arn).await.status, Status::Running);
    world.store.refuse(None);
    assert!(!engine.is_failed());
    engine.send_task_success(&world.scope, task.token(), "1".into()).await.unwrap();
    task.delivered();
    assert_eq!(world.end(&engine, &started.arn).await.output.as_deref(), Some("1"));
    world.start(&engine, "m", "e2", "{}").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_and_calls_come_again_when_a_full_store_has_room() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "w", &wait(1)).await;
    world.create(&engine, "c", &task(&function_arn("hold"))).await;
    let waiting = world.start(&engine, "w", "e", "{}").await.unwrap();
    let calling = world.start(&engine, "c", "e", "3").await.unwrap();
    until_true(|| world.functions.calls.lock().unwrap().len() == 1).await;
    world.store.refuse(Some(Refusal::Full));
    world.functions.let_go.notify_waiters();
    world.clock.advance(1_000);
    until(&engine, |stats| stats.calls_in_flight == 0).await;
    world.store.refuse(None);
    for arn in [&waiting.arn, &calling.arn] {
        // Each look of the engine comes a second of its clock later.
        while world.describe(&engine, arn).await.status == Status::Running {
            world.clock.advance(1_000);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(world.describe(&engine, arn).await.status, Status::Succeeded);
    }
    assert_eq!(world.functions.calls.lock().unwrap().len(), 1, "the call itself is not made again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_runs_out_of_space_takes_what_is_under_way_and_nothing_new() {
    let world = World::new();
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let short = |short| {
        world.store.space_short.store(short, std::sync::atomic::Ordering::SeqCst);
        // The engine looks once a second; a jump of the clock makes it look at once.
        world.clock.advance(1);
    };
    short(true);
    let mut n = 0;
    loop {
        n += 1;
        match world.start(&engine, "m", &format!("late{n}"), "{}").await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(2)).await,
            Err(error) => break assert!(matches!(error, Error::Full { .. }), "{error}"),
        }
    }
    let task = poll(&world, &engine, "a").await;
    engine.send_task_success(&world.scope, task.token(), "1".into()).await.unwrap();
    task.delivered();
    assert_eq!(world.end(&engine, &started.arn).await.status, Status::Succeeded);
    short(false);
    while world.start(&engine, "m", "new", "{}").await.is_err() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Every third batch is refused while workers, starts and timers go on: callers repeat what was refused, the engine
/// repeats what is its own, and in the end everything happened once.
#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_across_refusals() {
    const EXECUTIONS: usize = 30;
    let mut world = World::new();
    world.options.long_poll_ms = 20;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let definition = json!({"StartAt": "P", "States": {
        "P": {"Type": "Parallel", "Next": "W", "Branches": [
            {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity_arn("a"), "End": true}}},
            {"StartAt": "F", "States": {"F": {"Type": "Task", "Resource": function_arn("echo"), "End": true}}},
            {"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": activity_arn("a"), "End": true}}},
        ]},
        "W": {"Type": "Wait", "Seconds": 1, "End": true},
    }});
    world.create(&engine, "m", &definition).await;
    world.store.refuse_every.store(3, std::sync::atomic::Ordering::SeqCst);
    let world = Arc::new(world);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let (world, engine) = (world.clone(), engine.clone());
            tokio::spawn(async move {
                loop {
                    // A refusal here is a 503: the worker polls again.
                    let polled = engine.get_activity_task(&world.scope, &activity_arn("a"), None).await;
                    let Ok(Some(task)) = polled else { continue };
                    while let Err(error) =
                        engine.send_task_success(&world.scope, task.token(), task.input().clone()).await
                    {
                        assert!(error.is_transient(), "{error}");
                    }
                    task.delivered();
                }
            })
        })
        .collect();
    let clock = tokio::spawn({
        let world = world.clone();
        async move {
            loop {
                world.clock.advance(250);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let mut arns = Vec::new();
    for n in 0..EXECUTIONS {
        loop {
            match world.start(&engine, "m", &format!("e{n}"), &n.to_string()).await {
                Ok(started) => break arns.push(started.arn),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    }
    for (n, arn) in arns.iter().enumerate() {
        let described = world.end(&engine, arn).await;
        assert_eq!((described.status, described.output), (Status::Succeeded, Some(format!("[{n},{n},{n}]").into())));
        let names = world.event_names(&engine, arn).await;
        let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
        assert_eq!((count("ActivityStarted"), count("ActivitySucceeded")), (2, 2), "{names:?}");
        assert_eq!((count("LambdaFunctionStarted"), count("LambdaFunctionSucceeded")), (1, 1), "{names:?}");
        let ids: Vec<u64> = world.history(&engine, arn).await.iter().map(|event| event.id).collect();
        assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>());
    }
    for worker in workers {
        worker.abort();
        assert!(worker.await.is_err_and(|end| end.is_cancelled()), "no worker met anything but success and 503");
    }
    clock.abort();
    assert_eq!(world.functions.calls.lock().unwrap().len(), EXECUTIONS, "no call was made twice");
    for table in [Table::Head, Table::Task, Table::Timer] {
        assert_eq!(world.store.rows(table), [], "{table:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_store_ends_the_engine_and_a_new_one_goes_on() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &wait(10)).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    world.store.refuse(Some(Refusal::Failed));
    let refused = world.start(&engine, "m", "e2", "{}").await.unwrap_err();
    assert!(matches!(refused, Error::Unavailable { .. }), "{refused}");
    assert!(engine.is_failed());
    world.store.refuse(None);
    let refused = world.start(&engine, "m", "e3", "{}").await.unwrap_err();
    assert!(refused.is_transient(), "never again on this opening: {refused}");
    drop(engine);
    let engine = world.open();
    world.clock.advance(10_000);
    assert_eq!(world.end(&engine, &started.arn).await.status, Status::Succeeded);
    world.start(&engine, "m", "e2", "{}").await.unwrap();
}

// Quarantine

/// Breaks at the answer `"break"` and at the input `"break"`.
fn fragile(definition: &Definition, execution: &mut Execution, inputs: &[Input], steps: u64) -> Option<Effects> {
    for input in inputs {
        if let InputKind::TaskSucceeded { output: payload, .. } | InputKind::Start { input: payload } = &input.kind {
            assert!(&**payload.text() != "\"break\"", "an invariant is broken");
        }
    }
    stepwright_machine::step_within(definition, execution, inputs, steps)
}

/// Breaks always.
fn broken(_: &Definition, _: &mut Execution, _: &[Input], _: u64) -> Option<Effects> {
    panic!("all invariants are broken")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_execution_stands_still_until_it_is_retried_or_failed() {
    let mut world = World::new();
    world.options.step.begin = fragile;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &task(&activity_arn("a"))).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    let task = poll(&world, &engine, "a").await;
    let token = task.token().clone();
    task.delivered();
    // The answer is taken, durably, although nothing can be done with it now.
    engine.send_task_success(&world.scope, &token, "\"break\"".into()).await.unwrap();
    let shown = engine.quarantine_show(&started.arn).await.unwrap();
    assert_eq!((&*shown.cause, shown.inputs.len(), shown.at), ("an invariant is broken", 1, START));
    assert!(shown.inputs[0].ends_with("\"break\""), "{:?}", shown.inputs);
    let described = world.describe(&engine, &started.arn).await;
    assert_eq!((described.status, described.quarantined), (Status::Running, true));
    // Others live on.
    let fine = world.start(&engine, "m", "fine", "{}").await.unwrap();
    assert_eq!(world.describe(&engine, &fine.arn).await.status, Status::Running);
    let stop = engine.stop_execution(&world.scope, &started.arn, None, None).await.unwrap_err();
    assert_eq!(stop, Error::Quarantined { arn: started.arn.clone() });
    let still = engine.quarantine_retry(&started.arn).await.unwrap_err();
    assert_eq!(still, Error::Quarantined { arn: started.arn.clone() });
    drop(engine);

    // A repaired interpreter takes what was kept.
    world.options.step = StepFunction::default();
    let engine = world.open();
    assert_eq!(engine.quarantine_list().await.unwrap().len(), 1);
    engine.quarantine_retry(&started.arn).await.unwrap();
    assert_eq!(world.end(&engine, &started.arn).await.output.as_deref(), Some("\"break\""));
    assert_eq!(engine.quarantine_list().await.unwrap(), []);
    let gone = Error::NotQuarantined { arn: started.arn.clone() };
    assert_eq!(engine.quarantine_fail(&started.arn).await.unwrap_err(), gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_breaks_at_its_start_is_there_all_the_same() {
    let mut world = World::new();
    world.options.step.begin = fragile;
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    let started = world.start(&engine, "m", "e", "\"break\"").await.unwrap();
    let described = world.describe(&engine, &started.arn).await;
    assert_eq!((&*described.input, described.quarantined), ("\"break\"", true));
    assert_eq!(world.start(&engine, "m", "e", "\"break\"").await.unwrap(), started, "its name is taken");
    drop(engine);
    world.options.step = StepFunction::default();
    let engine = world.open();
    engine.quarantine_retry(&started.arn).await.unwrap();
    let described = world.end(&engine, &started.arn).await;
    assert_eq!((described.status, &*described.input), (Status::Succeeded, "\"break\""));
    assert_eq!(world.store.rows(Table::List).len(), 2, "no longer in the list of running ones");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_execution_can_be_failed_even_when_the_interpreter_cannot() {
    for (step, cause) in [(StepFunction::default(), "an invariant"), (StepFunction { begin: broken, more: broken }, "")]
    {
        let mut world = World::new();
        world.options.step.begin = fragile;
        let engine = world.open();
        world.create_activity(&engine, "a").await;
        world.create(&engine, "m", &task(&activity_arn("a"))).await;
        let started = world.start(&engine, "m", "e", "{}").await.unwrap();
        let task = poll(&world, &engine, "a").await;
        engine.send_task_success(&world.scope, task.token(), "\"break\"".into()).await.unwrap();
        task.delivered();
        drop(engine);
        world.options.step = step;
        let engine = world.open();
        engine.quarantine_fail(&started.arn).await.unwrap();
        let described = world.end(&engine, &started.arn).await;
        assert_eq!((described.status, described.error.as_deref()), (Status::Failed, Some("States.Runtime")));
        assert!(described.cause.unwrap().contains(cause));
        assert_eq!(engine.quarantine_list().await.unwrap(), []);
        let names = world.event_names(&engine, &started.arn).await;
        assert_eq!(names.last().unwrap(), "ExecutionFailed");
        for table in [Table::Head, Table::Task, Table::Timer, Table::Quarantine] {
            assert_eq!(world.store.rows(table), [], "{table:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_had_a_turn_keeps_its_input_when_it_is_failed() {
    for input in ["\"break\"".to_owned(), format!("[\"break\",\"{}\"]", "x".repeat(5_000))] {
        let mut world = World::new();
        world.options.step.begin = broken;
        let engine = world.open();
        world.create(&engine, "m", &chain(1)).await;
        let started = world.start(&engine, "m", "e", &input).await.unwrap();
        assert!(world.describe(&engine, &started.arn).await.quarantined);
        engine.quarantine_fail(&started.arn).await.unwrap();
        drop(engine);
        let engine = world.open();
        let described = world.describe(&engine, &started.arn).await;
        assert_eq!((described.status, &*described.input), (Status::Failed, &*input));
        assert_eq!(world.event_names(&engine, &started.arn).await, ["ExecutionStarted", "ExecutionFailed"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_waits_for_quarantined_executions_to_end_writes_nothing_meanwhile() {
    let mut world = World::new();
    world.options.step.begin = fragile;
    let engine = world.open();
    let machine = world.create(&engine, "m", &chain(1)).await;
    let broken = world.start(&engine, "m", "e", "\"break\"").await.unwrap();
    engine.delete_state_machine(&world.scope, &machine.arn).await.unwrap();
    // The engine looks again and again whether the last execution has ended.
    let commits = || world.store.commits.lock().unwrap().len();
    let before = commits();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(commits(), before);
    engine.quarantine_fail(&broken.arn).await.unwrap();
    until_true(|| world.store.rows(Table::Machine).is_empty()).await;
}
