//! What sinks outside are to be told of: which turns, in which order, over crashes, within bounds, and never more than
//! was committed.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use common::{Refusal, World, chain, function_arn, task, until_true, wait};
use serde_json::{Value, json};
use stepwright_engine::{Channel, Created, Engine, LogLevel, NewStateMachine, Notice, Told};
use stepwright_machine::EventKind;
use stepwright_store::{Mutation, Table};

const LOG: Channel = 0;
const STATUS: Channel = 1;

/// Logging configurations of these tests are the names of levels.
fn level(text: &str) -> LogLevel {
    match text {
        "all" => LogLevel::All,
        "error" => LogLevel::Error,
        "fatal" => LogLevel::Fatal,
        _ => LogLevel::Off,
    }
}

fn world(log: bool, status: bool) -> World {
    let mut world = World::new();
    world.options.notices.log = log.then_some(LOG);
    world.options.notices.status = if status { vec![STATUS] } else { Vec::new() };
    world.options.notices.level = level;
    world
}

async fn create(world: &World, engine: &Engine, name: &str, definition: &Value, logging: &str) -> Created {
    let mut new: NewStateMachine = common::machine(name, definition);
    new.configurations.logging = logging.into();
    engine.create_state_machine(&world.scope, new).await.unwrap()
}

/// Waits until an execution has ended and whoever is to be told of it can be: a commit's effects follow it, and precede
/// those of the next.
async fn ended(world: &World, engine: &Engine, arn: &str) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    world.end(engine, arn).await;
    world.create_activity(engine, &format!("next-{}", NEXT.fetch_add(1, Ordering::Relaxed))).await;
}

fn waiting(engine: &Engine, channel: Channel) -> Vec<Notice> {
    engine.waiting_notices(channel, usize::MAX, &|_| true)
}

async fn told(engine: &Engine, channel: Channel) -> Vec<Told> {
    engine.read_notices(channel, waiting(engine, channel)).await.unwrap()
}

/// The numbers of the events that a channel is told of, by execution name.
async fn events(engine: &Engine, channel: Channel) -> Vec<(String, Vec<u64>)> {
    let mut found: Vec<(String, Vec<u64>)> = Vec::new();
    for told in told(engine, channel).await {
        let turn = told.turn.expect("the turn is there");
        let ids = turn.page.events.iter().map(|event| event.id);
        match found.iter_mut().find(|(name, _)| **name == *turn.name) {
            Some((_, known)) => known.extend(ids),
            None => found.push((turn.name.to_string(), ids.collect())),
        }
    }
    found.sort();
    found
}

fn settle_all(engine: &Engine, channel: Channel) {
    let sequences: Vec<u64> = waiting(engine, channel).iter().map(Notice::sequence).collect();
    engine.settle_notices(channel, &sequences, true);
}

fn fails() -> Value {
    json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "E"}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_to_tell_or_nothing_to_tell_writes_nothing() {
    for (log, status, logging) in [(false, false, "all"), (true, false, "off"), (true, false, "{}")] {
        let world = world(log, status);
        let engine = world.open();
        create(&world, &engine, "m", &chain(2), logging).await;
        let started = world.start(&engine, "m", "e", "{}").await.unwrap();
        ended(&world, &engine, &started.arn).await;
        let commits = world.store.commits.lock().unwrap().clone();
        let notice = |mutation: Mutation<'_>| matches!(mutation, Mutation::Insert { table: Table::Notice, .. });
        assert!(!commits.iter().flat_map(|commit| commit.mutations()).any(notice), "{log} {status} {logging}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_logs_what_its_level_says() {
    let world = world(true, false);
    let engine = world.open();
    for logging in ["all", "error", "fatal", "off"] {
        create(&world, &engine, &format!("fails-{logging}"), &fails(), logging).await;
        create(&world, &engine, &format!("passes-{logging}"), &chain(1), logging).await;
        for machine in ["fails", "passes"] {
            let name = format!("{machine}-{logging}");
            let started = world.start(&engine, &name, &name, "{}").await.unwrap();
            ended(&world, &engine, &started.arn).await;
        }
    }
    let expected: [(&str, &[u64]); 4] = [
        ("fails-all", &[1, 2, 3, 4, 5]),
        // The Fail state that is entered, and the end.
        ("fails-error", &[4, 5]),
        ("fails-fatal", &[5]),
        ("passes-all", &[1, 2, 3, 4]),
    ];
    let expected: Vec<_> = expected.iter().map(|(name, ids)| ((*name).to_owned(), ids.to_vec())).collect();
    assert_eq!(events(&engine, LOG).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_tasks_are_errors() {
    let world = world(true, false);
    let engine = world.open();
    let mut caught = task(&function_arn("fail"));
    caught["States"]["T"]["Catch"] = json!([{"ErrorEquals": ["States.ALL"], "Next": "P"}]);
    caught["States"]["P"] = json!({"Type": "Pass", "End": true});
    create(&world, &engine, "m", &caught, "error").await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    ended(&world, &engine, &started.arn).await;
    let told = told(&engine, LOG).await;
    let kinds: Vec<&EventKind> =
        told.iter().flat_map(|told| &told.turn.as_ref().unwrap().page.events).map(|event| &event.kind).collect();
    assert!(matches!(kinds[..], [EventKind::LambdaFunctionFailed(_)]), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_ends_are_told_with_input_and_output() {
    let world = world(false, true);
    let engine = world.open();
    world.create(&engine, "m", &wait(5)).await;
    let started = world.start(&engine, "m", "e", "{\"a\":1}").await.unwrap();
    world.clock.advance(5_000);
    ended(&world, &engine, &started.arn).await;
    let told = told(&engine, STATUS).await;
    let turns: Vec<_> = told.iter().map(|told| told.turn.as_ref().unwrap()).collect();
    assert_eq!(turns.len(), 2);
    for turn in &turns {
        assert_eq!(turn.input.as_deref(), Some("{\"a\":1}"));
        assert_eq!((turn.execution_arn.clone(), turn.started_at), (started.arn.clone(), started.started_at));
    }
    assert!(matches!(turns[0].page.events[..], [ref one] if matches!(one.kind, EventKind::ExecutionStarted { .. })));
    match &turns[1].page.events[..] {
        [one] => match &one.kind {
            EventKind::ExecutionSucceeded { output } => assert_eq!(&**output.text(), "{\"a\":1}"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_told_is_told_after_a_crash_and_what_was_told_is_not() {
    let world = world(true, true);
    let engine = world.open();
    create(&world, &engine, "m", &chain(2), "all").await;
    for name in ["a", "b"] {
        let started = world.start(&engine, "m", name, "{}").await.unwrap();
        ended(&world, &engine, &started.arn).await;
    }
    settle_all(&engine, STATUS);
    engine.forget_notices(engine.take_settled_notices()).await.unwrap();
    drop(engine);

    let engine = world.open();
    assert_eq!(waiting(&engine, STATUS), []);
    let all = vec![1, 2, 3, 4, 5, 6];
    assert_eq!(events(&engine, LOG).await, [("a".to_owned(), all.clone()), ("b".to_owned(), all)]);
    // Its places in the order come after those that were read back.
    let last = waiting(&engine, LOG).last().unwrap().sequence();
    let started = world.start(&engine, "m", "c", "{}").await.unwrap();
    ended(&world, &engine, &started.arn).await;
    assert!(waiting(&engine, STATUS).iter().all(|notice| notice.sequence() > last));

    settle_all(&engine, LOG);
    settle_all(&engine, STATUS);
    assert_eq!(engine.notice_stats().iter().map(|stats| stats.waiting).sum::<u64>(), 0);
    engine.forget_notices(engine.take_settled_notices()).await.unwrap();
    assert_eq!(world.store.rows(Table::Notice), []);
    drop(engine);
    let engine = world.open();
    assert_eq!((waiting(&engine, LOG), waiting(&engine, STATUS)), (Vec::new(), Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_turn_is_told_to_nobody() {
    let world = world(true, true);
    let engine = world.open();
    create(&world, &engine, "m", &chain(1), "all").await;
    world.store.refuse(Some(Refusal::Full));
    world.start(&engine, "m", "e", "{}").await.unwrap_err();
    assert_eq!((waiting(&engine, LOG), waiting(&engine, STATUS)), (Vec::new(), Vec::new()));
    world.store.refuse(None);
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    ended(&world, &engine, &started.arn).await;
    assert_eq!(events(&engine, LOG).await, [("e".to_owned(), vec![1, 2, 3, 4])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_forgotten_is_forgotten_later() {
    let world = world(false, true);
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    ended(&world, &engine, &started.arn).await;
    settle_all(&engine, STATUS);
    world.store.refuse(Some(Refusal::Full));
    engine.forget_notices(engine.take_settled_notices()).await.unwrap_err();
    world.store.refuse(None);
    assert_eq!(world.store.rows(Table::Notice).len(), 1);
    engine.forget_notices(engine.take_settled_notices()).await.unwrap();
    assert_eq!(world.store.rows(Table::Notice), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_are_dropped_when_too_many_wait_or_they_are_too_old() {
    let mut world = world(false, true);
    world.options.notices.most = 3;
    world.options.notices.keep_ms = 60_000;
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    for number in 0..5 {
        let started = world.start(&engine, "m", &format!("e{number}"), "{}").await.unwrap();
        ended(&world, &engine, &started.arn).await;
        world.clock.advance(1);
    }
    let names = |told: Vec<Told>| -> Vec<String> {
        told.iter().map(|told| told.turn.as_ref().unwrap().name.to_string()).collect()
    };
    assert_eq!(names(told(&engine, STATUS).await), ["e2", "e3", "e4"]);
    world.clock.advance(60_000 - 2);
    assert_eq!(names(told(&engine, STATUS).await), ["e3", "e4"]);
    let stats = engine.notice_stats()[0];
    assert_eq!((stats.waiting, stats.delivered, stats.dropped), (2, 0, 3));
    engine.forget_notices(engine.take_settled_notices()).await.unwrap();
    assert_eq!(world.store.rows(Table::Notice).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_configured_no_more_leaves_nothing_behind() {
    let mut world = world(true, true);
    let engine = world.open();
    create(&world, &engine, "m", &chain(1), "all").await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    ended(&world, &engine, &started.arn).await;
    drop(engine);
    world.options.notices.log = None;
    let engine = world.open();
    assert_eq!(events(&engine, STATUS).await, [("e".to_owned(), vec![1, 4])]);
    engine.forget_notices(engine.take_settled_notices()).await.unwrap();
    assert_eq!(world.store.rows(Table::Notice).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_leaves_what_is_yet_to_be_told() {
    let mut world = world(false, true);
    world.options.retention_ms = 10_000;
    world.options.name_retention_ms = 10_000;
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    let mut started = Vec::new();
    for name in ["told", "untold"] {
        started.push(world.start(&engine, "m", name, "{}").await.unwrap());
        world.end(&engine, &started.last().unwrap().arn).await;
        world.clock.advance(5_000);
    }
    let first = waiting(&engine, STATUS)[0];
    engine.settle_notices(STATUS, &[first.sequence()], true);
    world.clock.advance(60_000);
    until_true(|| world.store.rows(Table::Execution).len() == 1).await;
    let untold = told(&engine, STATUS).await;
    assert_eq!(&*untold[0].turn.as_ref().unwrap().name, "untold");
    settle_all(&engine, STATUS);
    until_true(|| {
        world.clock.advance(1_000);
        world.store.rows(Table::Execution).is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_something_to_tell_is_woken() {
    let world = Arc::new(world(false, true));
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    let waits = tokio::spawn({
        let engine = engine.clone();
        async move {
            while waiting(&engine, STATUS).is_empty() {
                engine.notice_arrives(STATUS).await;
            }
        }
    });
    world.start(&engine, "m", "e", "{}").await.unwrap();
    tokio::time::timeout(Duration::from_secs(60), waits).await.expect("it is woken").unwrap();
    assert!(engine.waiting_notices(STATUS, usize::MAX, &|_| false).is_empty());
}
