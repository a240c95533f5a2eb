//! Starting, reading, listing and stopping executions.

mod common;

use std::sync::Arc;

use common::{ACCOUNT, START, World, chain, function_arn, machine, machine_arn, task, until, wait};
use serde_json::json;
use stepwright_engine::{Error, MachineStatus, PageRequest, Scope, StateMachineUpdate, Tag, ValidDefinition};
use stepwright_machine::{EventKind, Status};
use stepwright_store::{Mutation, Table};

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_runs_and_reads_as_it_ran() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &chain(1)).await;
    let started = world.start(&engine, "m", "e", "{ \"a\": 1 }").await.unwrap();
    assert_eq!(&*started.arn, format!("arn:aws:states:eu-west-1:{ACCOUNT}:execution:m:e"));
    assert_eq!(started.started_at, START);
    let described = world.end(&engine, &started.arn).await;
    assert_eq!(described.status, Status::Succeeded);
    assert_eq!(&*described.input, "{ \"a\": 1 }");
    assert_eq!(described.output.as_deref(), Some("{ \"a\": 1 }"));
    assert_eq!((described.stopped_at, described.last_event), (Some(START), 4));
    let history = world.history(&engine, &started.arn).await;
    let chain: Vec<_> = history.iter().map(|event| (event.id, event.previous)).collect();
    assert_eq!(chain, [(1, 0), (2, 0), (3, 2), (4, 3)]);
    let EventKind::ExecutionStarted { input } = &history[0].kind else { panic!("{history:?}") };
    assert_eq!(&**input.text(), "{ \"a\": 1 }");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_taken_once() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &wait(10)).await;
    world.create(&engine, "other", &wait(10)).await;
    let first = world.start(&engine, "m", "e", "{}").await.unwrap();
    world.clock.advance(1);
    // Running and the same input: the same execution.
    assert_eq!(world.start(&engine, "m", "e", "{}").await.unwrap(), first);
    let exists = Error::ExecutionAlreadyExists { arn: first.arn.clone() };
    assert_eq!(world.start(&engine, "m", "e", "{ }").await.unwrap_err(), exists);
    // Unique per machine only.
    world.start(&engine, "other", "e", "{ }").await.unwrap();
    world.clock.advance(10_000);
    world.end(&engine, &first.arn).await;
    assert_eq!(world.start(&engine, "m", "e", "{}").await.unwrap_err(), exists);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_starts_at_once_one_wins() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &wait(10)).await;
    let world = Arc::new(world);
    let starts: Vec<_> = (0..32)
        .map(|n| {
            let (world, engine) = (world.clone(), engine.clone());
            tokio::spawn(async move { world.start(&engine, "m", "e", &format!("{}", n % 2)).await })
        })
        .collect();
    let mut won = 0;
    for start in starts {
        match start.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, Error::ExecutionAlreadyExists { .. }), "{error}"),
        }
    }
    assert_eq!(won, 16, "all with the input of the first");
    assert_eq!(world.store.rows(Table::Execution).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_turn_that_ends_writes_five_small_rows() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "order-fulfilment", &chain(10)).await;
    world.store.forget_commits();
    let name = "3f1c9a52-58a4-4c83-9a39-1c6a3f0a7d11";
    let started = world.start(&engine, "order-fulfilment", name, "{\"order\": 1234}").await.unwrap();
    let described = world.describe(&engine, &started.arn).await;
    assert_eq!((described.status, described.last_event), (Status::Succeeded, 22));
    let commits = world.store.commits.lock().unwrap().clone();
    assert_eq!(commits.len(), 1, "one turn, one commit");
    let mut tables = Vec::new();
    let mut bytes = 0;
    for mutation in commits[0].mutations() {
        let (Mutation::Put { table, key, value } | Mutation::Insert { table, key, value }) = mutation else {
            panic!("nothing is deleted: {mutation:?}")
        };
        tables.push(table);
        bytes += key.len() + value.len();
    }
    tables.sort_unstable();
    assert_eq!(tables, [Table::Execution, Table::Turn, Table::Name, Table::List, Table::List]);
    println!("a chain of ten states: {bytes} bytes of keys and values");
    assert!(bytes <= 700, "{bytes} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_made_and_their_ends_are_seen() {
    let world = World::new();
    let engine = world.open();
    for (function, status, error) in [
        ("echo", Status::Succeeded, None),
        ("fail", Status::Failed, Some("Boom")),
        ("panic", Status::Failed, Some("Lambda.SdkClientException")),
    ] {
        world.create(&engine, function, &task(&function_arn(function))).await;
        let started = world.start(&engine, function, "e", "{\"n\":1}").await.unwrap();
        let described = world.end(&engine, &started.arn).await;
        assert_eq!((described.status, described.error.as_deref()), (status, error), "{function}");
    }
    let first = world.functions.calls.lock().unwrap()[0].clone();
    assert_eq!(&*first.input, "{\"n\":1}");
    assert_eq!((&*first.state_name, first.retry_count, &*first.account), ("T", 0, ACCOUNT));
    let mut unserved = task("arn:aws:states:::sqs:sendMessage");
    unserved["States"]["T"]["Parameters"] = json!({"QueueUrl": "q", "MessageBody": "b"});
    world.create(&engine, "unserved", &unserved).await;
    let started = world.start(&engine, "unserved", "e", "{}").await.unwrap();
    let described = world.end(&engine, &started.arn).await;
    assert_eq!(described.status, Status::Failed);
    assert!(described.cause.unwrap().contains("No connector"));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_beyond_the_connectors_limit_wait_their_turn() {
    let mut world = World::new();
    world.functions = Arc::new(common::Functions { concurrency: 2, ..common::Functions::default() });
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("hold"))).await;
    let mut arns = Vec::new();
    for n in 0..5 {
        arns.push(world.start(&engine, "m", &format!("e{n}"), "{}").await.unwrap().arn);
    }
    until(&engine, |stats| stats.calls_in_flight == 2 && stats.queued_connector_tasks == 3).await;
    for arn in &arns {
        // Whoever is in flight goes; the others follow.
        let waiting = async {
            loop {
                world.functions.let_go.notify_waiters();
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            described = world.end(&engine, arn) => assert_eq!(described.status, Status::Succeeded),
            () = waiting => {}
        }
    }
    assert_eq!(world.functions.calls.lock().unwrap().len(), 5, "each was made once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_an_execution_once() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &wait(100)).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    world.clock.advance(5);
    let stop = || engine.stop_execution(&world.scope, &started.arn, Some("E".into()), Some("C".into()));
    assert_eq!(stop().await.unwrap(), START + 5);
    world.clock.advance(5);
    assert_eq!(stop().await.unwrap(), START + 5, "closed already");
    let described = world.describe(&engine, &started.arn).await;
    assert_eq!((described.status, described.error.as_deref()), (Status::Aborted, Some("E")));
    for table in [Table::Timer, Table::Task, Table::Head] {
        assert_eq!(world.store.rows(table), [], "{table:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_newest_first_and_page_by_position() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &wait(100)).await;
    for n in 0..25 {
        world.start(&engine, "m", &format!("e{n}"), "{}").await.unwrap();
        world.clock.advance(1);
    }
    let stopped = format!("arn:aws:states:eu-west-1:{ACCOUNT}:execution:m:e3");
    engine.stop_execution(&world.scope, &stopped, None, None).await.unwrap();
    let mut names = Vec::new();
    let mut next_token = None;
    let mut pages = 0;
    loop {
        let page = PageRequest { max_results: 10, next_token };
        let page = engine.list_executions(&world.scope, &machine_arn("m"), None, page).await.unwrap();
        names.extend(page.items.iter().map(|item| item.name.to_string()));
        pages += 1;
        if pages == 1 {
            // What is new meanwhile does not shift the pages.
            world.start(&engine, "m", "later", "{}").await.unwrap();
        }
        next_token = page.next_token;
        if next_token.is_none() {
            break;
        }
    }
    let expected: Vec<String> = (0..25).rev().map(|n| format!("e{n}")).collect();
    assert_eq!((pages, names), (3, expected));

    let arn = machine_arn("m");
    let aborted = |page| engine.list_executions(&world.scope, &arn, Some(Status::Aborted), page);
    let only = aborted(PageRequest::default()).await.unwrap();
    assert_eq!(only.items.iter().map(|item| &*item.name).collect::<Vec<_>>(), ["e3"]);
    assert_eq!(only.items[0].stopped_at, Some(START + 25));

    // A token serves its own listing only, and for a day.
    let page = PageRequest { max_results: 1, next_token: None };
    let first = engine.list_executions(&world.scope, &machine_arn("m"), None, page).await.unwrap();
    let foreign = PageRequest { max_results: 1, next_token: first.next_token.clone() };
    assert_eq!(aborted(foreign.clone()).await.unwrap_err(), Error::InvalidPageToken);
    let broken = PageRequest { max_results: 1, next_token: Some("AAAA".into()) };
    assert_eq!(aborted(broken).await.unwrap_err(), Error::InvalidPageToken);
    world.clock.advance(25 * 3_600_000);
    let late = engine.list_executions(&world.scope, &machine_arn("m"), None, foreign).await;
    assert_eq!(late.unwrap_err(), Error::InvalidPageToken);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_pages_in_both_directions() {
    let world = World::new();
    let engine = world.open();
    let definition = json!({"StartAt": "A", "States": {
        "A": {"Type": "Pass", "Next": "W"},
        "W": {"Type": "Wait", "Seconds": 1, "Next": "B"},
        "B": {"Type": "Pass", "Next": "V"},
        "V": {"Type": "Wait", "Seconds": 1, "Next": "C"},
        "C": {"Type": "Pass", "End": true},
    }});
    world.create(&engine, "m", &definition).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    for (waits, after) in [(4, 1_000), (8, 1_000)] {
        until_event(&world, &engine, &started.arn, waits).await;
        world.clock.advance(after);
    }
    let described = world.end(&engine, &started.arn).await;
    assert_eq!(described.last_event, 12);
    for (reverse, size) in [(false, 1), (false, 5), (true, 1), (true, 7), (true, 1_000)] {
        let mut ids = Vec::new();
        let mut next_token = None;
        loop {
            let page = PageRequest { max_results: size, next_token };
            let page = engine.history(&world.scope, &started.arn, page, reverse).await.unwrap();
            assert!(page.events.len() <= size);
            ids.extend(page.events.iter().map(|event| event.id));
            next_token = page.next_token;
            if next_token.is_none() {
                break;
            }
        }
        let mut expected: Vec<u64> = (1..=12).collect();
        if reverse {
            expected.reverse();
        }
        assert_eq!(ids, expected, "reverse {reverse}, pages of {size}");
    }
}

async fn until_event(world: &World, engine: &stepwright_engine::Engine, arn: &str, event: u64) {
    while engine.wait_for_change(&world.scope, arn, event - 1).await.unwrap().last_event < event {}
}

#[tokio::test(flavor = "multi_thread")]
async fn large_payloads_come_back_whole() {
    let world = World::new();
    let engine = world.open();
    world.create(&engine, "m", &task(&function_arn("echo"))).await;
    let input = format!("\"{}\"", "x".repeat(200_000));
    let started = world.start(&engine, "m", "e", &input).await.unwrap();
    let described = world.end(&engine, &started.arn).await;
    assert_eq!((&*described.input, described.output.as_deref()), (&*input, Some(&*input)));
    assert_eq!(world.store.rows(Table::Payload).len(), 2, "input and answer, each once");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_keep_revisions_and_their_executions_keep_theirs() {
    let world = World::new();
    let engine = world.open();
    let created = world.create(&engine, "m", &wait(100)).await;
    assert_eq!(world.create(&engine, "m", &wait(100)).await, created, "the same again");
    let other = engine.create_state_machine(&world.scope, machine("m", &wait(99))).await;
    assert_eq!(other.unwrap_err(), Error::StateMachineAlreadyExists { arn: created.arn.clone() });
    let running = world.start(&engine, "m", "e", "{}").await.unwrap();

    let update = |update| engine.update_state_machine(&world.scope, &created.arn, update);
    assert_eq!(update(StateMachineUpdate::default()).await.unwrap_err(), Error::MissingRequiredParameter);
    let same = StateMachineUpdate { logging: Some("{}".into()), ..StateMachineUpdate::default() };
    assert_eq!(update(same).await.unwrap().revision_id, None, "still the initial revision");
    let new = machine("m", &chain(2)).definition;
    let text = new.text.clone();
    let change = || StateMachineUpdate {
        definition: Some(ValidDefinition { text: text.clone(), compiled: new.compiled.clone() }),
        ..StateMachineUpdate::default()
    };
    let first = update(change()).await.unwrap().revision_id.expect("a new revision");
    assert_eq!(first.len(), 36);
    assert_eq!(update(change()).await.unwrap().revision_id, Some(first.clone()), "nothing changed");

    drop(engine);
    let engine = world.open();
    let now = engine.describe_state_machine(&world.scope, &created.arn).await.unwrap();
    assert_eq!((&now.definition.text, now.revision_id, now.created_at), (&text, Some(first), START));
    let then = engine.describe_state_machine_for_execution(&world.scope, &running.arn).await.unwrap();
    assert_eq!((&*then.definition.text, then.revision_id), (&*wait(100).to_string(), None));
    let started = world.start(&engine, "m", "e2", "{}").await.unwrap();
    assert_eq!(world.end(&engine, &started.arn).await.last_event, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_and_regions_do_not_see_each_other() {
    let world = World::new();
    let engine = world.open();
    let created = world.create(&engine, "m", &chain(1)).await;
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    for foreign in [Scope::new("999999999999", common::REGION), Scope::new(ACCOUNT, "us-east-1")] {
        let missing = Error::StateMachineDoesNotExist { arn: created.arn.clone() };
        assert_eq!(engine.describe_state_machine(&foreign, &created.arn).await.unwrap_err(), missing);
        let missing = Error::ExecutionDoesNotExist { arn: started.arn.clone() };
        assert_eq!(engine.describe_execution(&foreign, &started.arn).await.unwrap_err(), missing);
        let list = engine.list_state_machines(&foreign, PageRequest::default()).await.unwrap();
        assert_eq!(list.items, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_listed_by_name_and_tagged() {
    let world = World::new();
    let engine = world.open();
    for name in ["b", "a", "c"] {
        world.create(&engine, name, &chain(1)).await;
    }
    let page = PageRequest { max_results: 2, next_token: None };
    let first = engine.list_state_machines(&world.scope, page).await.unwrap();
    let page = PageRequest { max_results: 2, next_token: first.next_token };
    let second = engine.list_state_machines(&world.scope, page).await.unwrap();
    let names: Vec<_> = first.items.iter().chain(&second.items).map(|item| &*item.name).collect();
    assert_eq!((names, second.next_token), (vec!["a", "b", "c"], None));

    let arn = machine_arn("a");
    let tag = |key: &str, value: &str| Tag { key: key.into(), value: value.into() };
    engine.tag_resource(&world.scope, &arn, vec![tag("k", "1"), tag("l", "")]).await.unwrap();
    engine.tag_resource(&world.scope, &arn, vec![tag("k", "2")]).await.unwrap();
    assert_eq!(engine.list_tags(&world.scope, &arn).await.unwrap(), [tag("k", "2"), tag("l", "")]);
    engine.untag_resource(&world.scope, &arn, vec!["k".into(), "none".into()]).await.unwrap();
    assert_eq!(engine.list_tags(&world.scope, &arn).await.unwrap(), [tag("l", "")]);
    let many = (0..50).map(|n| tag(&format!("t{n}"), "")).collect();
    let refused = engine.tag_resource(&world.scope, &arn, many).await.unwrap_err();
    assert!(matches!(refused, Error::TooManyTags { .. }));
    let missing = Error::ResourceNotFound { arn: machine_arn("none").into() };
    assert_eq!(engine.list_tags(&world.scope, &machine_arn("none")).await.unwrap_err(), missing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_machine_aborts_what_runs_and_goes() {
    let world = World::new();
    let engine = world.open();
    let created = world.create(&engine, "m", &wait(100)).await;
    let running = world.start(&engine, "m", "e", "{}").await.unwrap();
    engine.delete_state_machine(&world.scope, &created.arn).await.unwrap();
    let refused = world.start(&engine, "m", "e2", "{}").await.unwrap_err();
    assert!(
        matches!(refused, Error::StateMachineDeleting { .. } | Error::StateMachineDoesNotExist { .. }),
        "{refused}"
    );
    assert_eq!(world.end(&engine, &running.arn).await.status, Status::Aborted);
    common::until_true(|| world.store.rows(Table::Machine).is_empty()).await;
    until_gone(&world, &engine, &created.arn).await;
    // Its closed executions are still there, with what they ran.
    let then = engine.describe_state_machine_for_execution(&world.scope, &running.arn).await.unwrap();
    assert_eq!(then.status, MachineStatus::Deleting);
    engine.delete_state_machine(&world.scope, &created.arn).await.unwrap();
    // The name is free; the new machine is another one.
    world.create(&engine, "m", &chain(1)).await;
    let list = engine.list_executions(&world.scope, &created.arn, None, PageRequest::default()).await.unwrap();
    assert_eq!(list.items, []);
}

async fn until_gone(world: &World, engine: &stepwright_engine::Engine, arn: &str) {
    while engine.describe_state_machine(&world.scope, arn).await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_of_one_execution_that_are_due_together_are_one_turn() {
    let world = World::new();
    let engine = world.open();
    let definition = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "ItemProcessor": {
        "StartAt": "T", "States": {"T": {"Type": "Task", "Resource": function_arn("hold"), "TimeoutSeconds": 5,
        "End": true}}}}}});
    world.create(&engine, "m", &definition).await;
    let mut started = Vec::new();
    for name in ["a", "b", "c"] {
        started.push(world.start(&engine, "m", name, "[1,2,3,4]").await.unwrap().arn);
    }
    world.clock.advance(5_000);
    for arn in started {
        world.end(&engine, &arn).await;
        let types = world.event_names(&engine, &arn).await;
        let timed_out = types.iter().position(|name| name == "LambdaFunctionTimedOut").expect("they timed out");
        assert!(types[timed_out..timed_out + 4].iter().all(|name| name == "LambdaFunctionTimedOut"), "{types:?}");
        assert_eq!(types[timed_out + 4], "MapIterationFailed");
    }
}
