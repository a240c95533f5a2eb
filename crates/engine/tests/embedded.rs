//! An engine on the store that it runs on in earnest.

mod common;

use std::sync::Arc;

use common::{Scripted, World, activity_arn, chain, task, wait};
use stepwright_engine::{Engine, PageRequest};
use stepwright_machine::Status;
use stepwright_store::{
    Store,
    embedded::{EmbeddedStore, Options},
};

fn open(world: &World, dir: &std::path::Path) -> Engine {
    let store: Arc<dyn Store> = Arc::new(EmbeddedStore::open(dir, Options::default()).unwrap());
    Engine::open(store, vec![Arc::new(Scripted(world.functions.clone()))], world.options.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_there_after_each_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new();
    let engine = open(&world, dir.path());
    world.create_activity(&engine, "a").await;
    world.create(&engine, "work", &task(&activity_arn("a"))).await;
    world.create(&engine, "wait", &wait(3_600)).await;
    world.create(&engine, "chain", &chain(10)).await;
    let done = world.start(&engine, "chain", "e", "{\"a\":1}").await.unwrap();
    let mut open_ones = Vec::new();
    for n in 0..50 {
        open_ones.push(world.start(&engine, "work", &format!("e{n}"), &n.to_string()).await.unwrap().arn);
    }
    let waiting = world.start(&engine, "wait", "e", "{}").await.unwrap();
    engine.drain(std::time::Duration::from_secs(5)).await.unwrap();
    drop(engine);

    for _ in 0..2 {
        let engine = open(&world, dir.path());
        let described = world.describe(&engine, &done.arn).await;
        assert_eq!((described.status, described.last_event), (Status::Succeeded, 22));
        assert_eq!(world.history(&engine, &done.arn).await.len(), 22);
        for _ in 0..25 {
            let polled = engine.get_activity_task(&world.scope, &activity_arn("a"), None).await.unwrap();
            let task = polled.expect("a task");
            engine.send_task_success(&world.scope, task.token(), task.input().clone()).await.unwrap();
            task.delivered();
        }
        engine.drain(std::time::Duration::from_secs(5)).await.unwrap();
    }

    world.clock.advance(3_600_000);
    let engine = open(&world, dir.path());
    for (n, arn) in open_ones.iter().enumerate() {
        assert_eq!(world.end(&engine, arn).await.output.as_deref(), Some(&*n.to_string()));
    }
    assert_eq!(world.end(&engine, &waiting.arn).await.status, Status::Succeeded);
    let page = PageRequest { max_results: 1_000, next_token: None };
    let ended = engine
        .list_executions(&world.scope, &common::machine_arn("work"), Some(Status::Succeeded), page)
        .await
        .unwrap();
    assert_eq!(ended.items.len(), 50);
}
