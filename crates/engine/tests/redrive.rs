//! Redrive over crashes, refused commits and turns that take long.

mod common;

use std::sync::Arc;

use common::{Refusal, World, activity_arn, until};
use serde_json::{Value, json};
use stepwright_engine::{Delivery, Engine, Error, NotRedrivable, check::check};
use stepwright_machine::Status;

/// Two branches and then a state in JSONata.
fn machine() -> Value {
    json!({"StartAt": "P", "States": {
        "P": {"Type": "Parallel", "Next": "J", "Branches": [
            {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity_arn("a"), "End": true}}},
            {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": true}}}]},
        "J": {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $sum([1..20]) %}", "End": true}}})
}

async fn task(world: &World, engine: &Engine) -> Delivery {
    engine.get_activity_task(&world.scope, &activity_arn("a"), None).await.unwrap().expect("a task")
}

async fn fail(world: &World, engine: &Engine) {
    let delivery = task(world, engine).await;
    let token = delivery.token().to_owned();
    delivery.delivered();
    engine.send_task_failure(&world.scope, &token, Some("E".into()), None).await.unwrap();
}

async fn succeed(world: &World, engine: &Engine) {
    let delivery = task(world, engine).await;
    let token = delivery.token().to_owned();
    delivery.delivered();
    engine.send_task_success(&world.scope, &token, "7".into()).await.unwrap();
}

fn assert_clean(world: &World) {
    let report = check(&*world.store, world.options.compile, &mut |_| {}).unwrap();
    assert_eq!(report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());
}

async fn begun(world: &World) -> (Engine, Arc<str>) {
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "m", &machine()).await;
    let arn = world.start(&engine, "m", "e", "{}").await.unwrap().arn;
    fail(world, &engine).await;
    assert_eq!(world.end(&engine, &arn).await.status, Status::Failed);
    (engine, arn)
}

async fn redriven_over_a_crash(world: World) {
    let (engine, arn) = begun(&world).await;
    drop(engine);
    let engine = world.open();
    let at = engine.redrive_execution(&world.scope, &arn, Some("t".into())).await.unwrap();
    let described = world.describe(&engine, &arn).await;
    assert_eq!((described.status, described.redrive_count), (Status::Running, 1));
    assert_eq!((described.redriven_at, described.stopped_at, described.error), (Some(at), None, None));
    assert_clean(&world);
    drop(engine);

    let engine = world.open();
    assert_eq!(engine.redrive_execution(&world.scope, &arn, Some("t".into())).await.unwrap(), at, "it is remembered");
    let again = engine.redrive_execution(&world.scope, &arn, None).await.unwrap_err();
    assert_eq!(again, Error::ExecutionNotRedrivable { reason: NotRedrivable::Running });
    succeed(&world, &engine).await;
    world.clock.advance(1_000);
    let ended = world.end(&engine, &arn).await;
    assert_eq!((ended.status, ended.output.as_deref()), (Status::Succeeded, Some("210")));
    assert_clean(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_outlives_the_engine() {
    redriven_over_a_crash(World::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_whose_turns_take_long() {
    let mut world = World::new();
    // Whatever evaluates an expression goes to the lane.
    world.options.steps_at_once = 1;
    redriven_over_a_crash(world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_that_is_refused_did_not_happen() {
    let world = World::new();
    let (engine, arn) = begun(&world).await;
    until(&engine, |stats| stats.hot_executions == 0).await;
    world.store.refuse(Some(Refusal::Full));
    let refused = engine.redrive_execution(&world.scope, &arn, Some("t".into())).await.unwrap_err();
    assert!(matches!(refused, Error::Full { .. }), "{refused:?}");
    world.store.refuse(None);
    let described = world.describe(&engine, &arn).await;
    assert_eq!((described.status, described.redrive_count), (Status::Failed, 0));
    assert_clean(&world);
    // The token was not used up.
    common::until_true(|| {
        let (engine, scope, arn) = (engine.clone(), world.scope.clone(), arn.clone());
        let redrive = async move { engine.redrive_execution(&scope, &arn, Some("t".into())).await };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(redrive)).is_ok()
    })
    .await;
    assert_eq!(world.describe(&engine, &arn).await.redrive_count, 1);
    engine.stop_execution(&world.scope, &arn, None, None).await.unwrap();
    assert_eq!(world.describe(&engine, &arn).await.status, Status::Aborted);
    assert_clean(&world);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_after_a_fortnight() {
    let world = World::new();
    let (engine, arn) = begun(&world).await;
    const DAY_MS: i64 = 24 * 3_600 * 1_000;
    world.clock.advance(14 * DAY_MS + 1);
    let late = engine.redrive_execution(&world.scope, &arn, None).await.unwrap_err();
    assert_eq!(late, Error::ExecutionNotRedrivable { reason: NotRedrivable::ClosedTooLongAgo });
    let described = world.describe(&engine, &arn).await;
    assert_eq!(described.not_redrivable, Some(NotRedrivable::ClosedTooLongAgo));
}
