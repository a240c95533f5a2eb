//! Versions and aliases over a restart.

mod common;

use std::sync::Arc;

use common::{World, chain, machine, machine_arn, wait};
use stepwright_engine::{
    Error, NewAlias, NewExecution, PageRequest, Publication, Route, StateMachineUpdate, ValidDefinition, check::check,
};
use stepwright_store::Table;

fn update(definition: &serde_json::Value) -> StateMachineUpdate {
    let new = machine("m", definition);
    let ValidDefinition { text, compiled } = new.definition;
    StateMachineUpdate { definition: Some(ValidDefinition { text, compiled }), ..StateMachineUpdate::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_outlives_the_engine_and_goes_with_the_machine() {
    let world = World::new();
    let arn = machine_arn("m");
    let alias = format!("{arn}:live");
    let live = || NewAlias {
        name: "live".into(),
        routes: vec![Route { version_arn: format!("{arn}:1").into(), weight: 100 }],
        description: Some("d".into()),
    };
    let start = |engine: &stepwright_engine::Engine, by: &str, name: &str| {
        let new = NewExecution {
            state_machine_arn: by.into(),
            name: name.into(),
            input: "{}".into(),
            trace_header: None,
            test_case: None,
        };
        let (engine, scope) = (engine.clone(), world.scope.clone());
        async move { engine.start_execution(&scope, new).await }
    };
    let engine = world.open();
    world.create(&engine, "m", &wait(100)).await;
    let version = engine.publish_version(&world.scope, &arn, Publication::default()).await.unwrap();
    assert_eq!(&*version.arn, format!("{arn}:1"));
    engine.create_alias(&world.scope, live()).await.unwrap();
    engine.update_state_machine(&world.scope, &arn, update(&chain(1))).await.unwrap();
    let waiting = start(&engine, &alias, "e1").await.unwrap();
    drop(engine);

    let engine = world.open();
    let described = engine.describe_alias(&world.scope, &alias).await.unwrap();
    assert_eq!((described.routes, described.description), (live().routes, live().description));
    let described = world.describe(&engine, &waiting.arn).await;
    assert_eq!(described.alias_arn.as_deref(), Some(&*alias));
    assert_eq!(described.version_arn.as_deref(), Some(&*format!("{arn}:1")));
    let second = engine.publish_version(&world.scope, &arn, Publication::default()).await.unwrap();
    assert_eq!(&*second.arn, format!("{arn}:2"), "numbers go on");
    start(&engine, &format!("{arn}:2"), "e2").await.unwrap();
    world.end(&engine, &format!("{}2", &waiting.arn[..waiting.arn.len() - 1])).await;
    for (of, expected) in [(&arn, 2), (&alias, 1), (&format!("{arn}:1"), 1), (&format!("{arn}:2"), 1)] {
        let list = engine.list_executions(&world.scope, of, None, PageRequest::default()).await.unwrap();
        assert_eq!(list.items.len(), expected, "{of}");
    }
    let report = check(&*world.store, world.options.compile, &mut |_| {}).unwrap();
    assert_eq!(report.findings.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new());

    engine.delete_state_machine(&world.scope, &arn).await.unwrap();
    let deleting = engine.publish_version(&world.scope, &arn, Publication::default()).await.unwrap_err();
    assert!(
        matches!(deleting, Error::StateMachineDeleting { .. } | Error::StateMachineDoesNotExist { .. }),
        "{deleting:?}"
    );
    common::until_true(|| world.store.rows(Table::Machine).is_empty()).await;
    assert!(world.store.rows(Table::Version).is_empty() && world.store.rows(Table::Alias).is_empty());
    let report = check(&*world.store, world.options.compile, &mut |_| {}).unwrap();
    assert_eq!(report.total_findings(), 0);
    let gone = start(&engine, &alias, "e3").await.unwrap_err();
    assert_eq!(gone, Error::StateMachineDoesNotExist { arn: Arc::from(&*alias) });
}
