//! The check of a store: it finds nothing where nothing is wrong, and every damage that is planted.

mod common;

use std::{sync::Arc, time::Duration};

use common::{World, activity_arn, chain, function_arn, task, until, wait};
use serde_json::json;
use stepwright_engine::{
    Engine,
    check::{Report, Rule, check},
};
use stepwright_machine::{Definition, Effects, Execution, ExecutionId, FrameId, Input, InputKind, Status, TimerId};
use stepwright_store::{
    Commit, Row, Store, Table, keys,
    records::{self, ExecutionRow, ListRow, MachineRow, NameRow, TaskRow, TaskTarget, TimerRow, TurnRow},
};

const DAY_MS: i64 = 24 * 3_600 * 1_000;

fn checked(world: &World) -> Report {
    check(&*world.store, world.options.compile, &mut |_| {}).expect("a store that can be read")
}

#[track_caller]
fn check_clean(world: &World) -> Report {
    let report = checked(world);
    let said: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(said, Vec::<String>::new());
    assert_eq!(report.total_findings(), 0);
    report
}

/// A world in the middle of its work: executions that ended in every way, that wait, and that have tasks open.
async fn busy() -> (World, Engine) {
    let mut world = World::new();
    // Executions are read back all the time.
    world.options.hot_executions = 1;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    world.create(&engine, "chain", &chain(10)).await;
    world.create(&engine, "wait", &wait(3_600)).await;
    let mut work = task(&activity_arn("a"));
    work["States"]["T"]["HeartbeatSeconds"] = json!(100);
    work["States"]["T"]["TimeoutSeconds"] = json!(1_000);
    work["TimeoutSeconds"] = json!(100_000);
    world.create(&engine, "work", &work).await;
    world.create(&engine, "call", &task(&function_arn("hold"))).await;
    let retry = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": function_arn("fail"), "End": true,
        "Retry": [{"ErrorEquals": ["Boom"], "IntervalSeconds": 50, "MaxAttempts": 3}]}}});
    world.create(&engine, "retry", &retry).await;
    let map = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2,
        "ItemProcessor": {"StartAt": "E", "States": {
            "E": {"Type": "Task", "Resource": function_arn("echo"), "Next": "W"},
            "W": {"Type": "Wait", "Seconds": 5, "End": true}}}, "Next": "P"},
        "P": {"Type": "Parallel", "End": true, "Branches": [
            {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity_arn("a"), "End": true}}},
            {"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "Bad"}}}]}}});
    world.create(&engine, "map", &map).await;
    for execution_type in ["STANDARD", "EXPRESS"] {
        let each = json!({"StartAt": "M", "States": {"M": {"Type": "Map", "Label": "Each", "End": true,
            "ToleratedFailureCount": 1,
            "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": execution_type},
                "StartAt": "C", "States": {
                    "C": {"Type": "Choice", "Default": "W",
                        "Choices": [{"Variable": "$", "NumericEquals": 2, "Next": "F"}]},
                    "F": {"Type": "Fail", "Error": "Two"},
                    "W": {"Type": "Pass", "End": true}}}}}});
        let name = format!("each-{execution_type}");
        world.create(&engine, &name, &each).await;
        let arn = world.start(&engine, &name, "runs", "[1, 2, 3]").await.unwrap().arn;
        world.end(&engine, &arn).await;
    }

    let large = json!({"items": [1, "x".repeat(6_000), {"a": [2]}, 4]}).to_string();
    let mut ended = Vec::new();
    for n in 0..5 {
        let name = format!("e{n}");
        ended.push(world.start(&engine, "chain", &name, &large).await.unwrap().arn);
        ended.push(world.start(&engine, "map", &name, &large).await.unwrap().arn);
        for machine in ["wait", "work", "call", "retry"] {
            world.start(&engine, machine, &name, "{\"n\":1}").await.unwrap();
        }
    }
    for arn in &ended {
        while world.describe(&engine, arn).await.status == Status::Running {
            world.clock.advance(500);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    until(&engine, |stats| stats.queued_activity_tasks == 5).await;
    for _ in 0..2 {
        let polled = engine.get_activity_task(&world.scope, &activity_arn("a"), Some("w".into())).await.unwrap();
        let task = polled.expect("a task");
        engine.send_task_heartbeat(&world.scope, task.token()).await.unwrap();
        task.delivered();
    }
    engine.stop_execution(&world.scope, &execution_arn("wait", "e4"), None, None).await.unwrap();
    (world, engine)
}

fn execution_arn(machine: &str, name: &str) -> String {
    format!("arn:aws:states:{}:{}:execution:{machine}:{name}", common::REGION, common::ACCOUNT)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_where_nothing_is_wrong() {
    let (world, engine) = busy().await;
    engine.drain(Duration::ZERO).await.unwrap();
    let report = check_clean(&world);
    assert_eq!(report.executions, 35);
    for rule in Rule::ALL.iter().filter(|rule| **rule != Rule::Quarantine) {
        assert!(report.rule(*rule).checked > 0, "{rule:?} was not looked at");
        assert_eq!(report.rule(*rule).skipped, 0, "{rule:?}");
    }
    assert!(report.rule(Rule::Timers).checked >= 4 + 5 + 5 + 2, "{:?}", report.rule(Rule::Timers));
    let payloads = report.tables.iter().find(|count| count.table == Table::Payload).expect("counted");
    assert!(payloads.rows > 10, "{payloads:?}");
    // And of a store that nobody ever used.
    check_clean(&World::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_found_after_retention_deleted_executions_and_their_machine() {
    let mut world = World::new();
    world.options.retention_ms = DAY_MS;
    world.options.name_retention_ms = 90 * DAY_MS;
    let engine = world.open();
    world.create(&engine, "chain", &chain(3)).await;
    let gone = world.create(&engine, "gone", &chain(3)).await;
    for n in 0..3 {
        world.start(&engine, "chain", &format!("e{n}"), "{}").await.unwrap();
        world.start(&engine, "gone", &format!("e{n}"), "{}").await.unwrap();
    }
    engine.delete_state_machine(&world.scope, &gone.arn).await.unwrap();
    common::until_true(|| world.store.rows(Table::Machine).len() == 1).await;
    check_clean(&world);
    world.clock.advance(3 * DAY_MS);
    common::until_true(|| world.store.rows(Table::Execution).is_empty()).await;
    world.start(&engine, "chain", "later", "{}").await.unwrap();
    engine.drain(Duration::ZERO).await.unwrap();
    let report = check_clean(&world);
    assert_eq!(report.executions, 1);
    assert!(report.rule(Rule::Names).checked > 1, "names that outlive their executions");
}

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
async fn quarantine_is_no_damage_and_neither_is_its_end() {
    let mut world = World::new();
    world.options.step.begin = fragile;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let mut work = task(&activity_arn("a"));
    work["States"]["T"]["TimeoutSeconds"] = json!(10);
    world.create(&engine, "m", &work).await;
    world.create(&engine, "p", &chain(1)).await;
    world.start(&engine, "p", "at-start", "\"break\"").await.unwrap();
    let mut arns = Vec::new();
    for n in 0..2 {
        arns.push(world.start(&engine, "m", &format!("e{n}"), "{}").await.unwrap().arn);
        let polled = engine.get_activity_task(&world.scope, &activity_arn("a"), None).await.unwrap();
        let task = polled.expect("a task");
        engine.send_task_success(&world.scope, task.token(), "\"break\"".into()).await.unwrap();
        task.delivered();
    }
    let report = check_clean(&world);
    assert_eq!(report.rule(Rule::Quarantine).checked, 3);
    // Its timer fires and waits with it.
    world.clock.advance(10_000);
    common::until_true(|| world.store.rows(Table::Timer).is_empty()).await;
    check_clean(&world);
    drop(engine);

    world.options.step = stepwright_engine::StepFunction { begin: broken, more: broken };
    let engine = world.open();
    engine.quarantine_fail(&arns[0]).await.unwrap();
    drop(engine);
    world.options.step = Default::default();
    let engine = world.open();
    engine.quarantine_retry(&arns[1]).await.unwrap();
    engine.quarantine_retry(&execution_arn("p", "at-start")).await.unwrap();
    world.end(&engine, &arns[1]).await;
    engine.drain(Duration::ZERO).await.unwrap();
    let report = check_clean(&world);
    assert_eq!(report.rule(Rule::Fold).skipped, 1, "the one that was ended without the interpreter");
}

// Planted damage

/// The rows of an execution in a table, found by its name.
fn rows_of(world: &World, table: Table, machine: &str, name: &str) -> Vec<Row> {
    let id = id_of(world, machine, name);
    let prefix = keys::execution(1, id);
    world.store.rows(table).into_iter().filter(|(key, _)| key.starts_with(&prefix)).collect()
}

fn id_of(world: &World, machine: &str, name: &str) -> ExecutionId {
    let bytes = world.store.get(Table::Name, &keys::name(1, machine, name)).unwrap().expect("a name");
    records::decode::<NameRow>(Table::Name, &bytes).unwrap().id()
}

struct Plant {
    what: &'static str,
    rule: Rule,
    table: Table,
    /// The execution that the finding names, if it names one.
    execution: Option<String>,
    plant: fn(&World, &mut Commit),
}

fn plants() -> Vec<Plant> {
    let of = |machine: &str, name: &str| Some(execution_arn(machine, name));
    let plant = |what, rule, table, execution, plant| Plant { what, rule, table, execution, plant };
    vec![
        plant("the last turn is gone", Rule::Outcome, Table::Execution, of("chain", "e1"), |world, commit| {
            let turns = rows_of(world, Table::Turn, "chain", "e1");
            commit.delete(Table::Turn, turns.last().expect("a turn").0.clone());
        }),
        plant("a turn in the middle is gone", Rule::History, Table::Turn, of("map", "e0"), |world, commit| {
            commit.delete(Table::Turn, rows_of(world, Table::Turn, "map", "e0")[1].0.clone());
        }),
        plant("a turn without events is gone", Rule::History, Table::Turn, None, |world, commit| {
            let silent = world.store.rows(Table::Turn).into_iter().rev().find(|(_, value)| {
                let row: TurnRow = records::decode(Table::Turn, value).unwrap();
                row.events.is_empty()
            });
            let (key, _) = silent.expect("a heartbeat");
            let mut later = key.clone();
            later[23] += 1;
            if world.store.get(Table::Turn, &later).unwrap().is_none() {
                // The last turn; then head and frame differ as well. Make another one follow.
                commit.put(Table::Turn, later, world.store.get(Table::Turn, &key).unwrap().expect("it"));
            }
            commit.delete(Table::Turn, key);
        }),
        plant("an Express execution of a STANDARD machine", Rule::Catalog, Table::Express, None, |world, commit| {
            let (key, _) = world.store.rows(Table::Execution).remove(0);
            let row = records::ExpressRow {
                machine: 1,
                revision: 1,
                name: "e".into(),
                uuid: [1; 16],
                input: "{}".into(),
                trace_header: None,
                version: None,
                alias: None,
                test_case: None,
            };
            commit.put(Table::Express, key, records::encode(&row));
        }),
        plant("an event was changed", Rule::Fold, Table::Turn, of("chain", "e2"), |world, commit| {
            let (key, value) = rows_of(world, Table::Turn, "chain", "e2").remove(0);
            let mut row: TurnRow = records::decode(Table::Turn, &value).unwrap();
            row.events[3].back += 1;
            commit.put(Table::Turn, key, records::encode(&row));
        }),
        plant("a time went back", Rule::History, Table::Turn, of("map", "e3"), |world, commit| {
            let (key, value) = rows_of(world, Table::Turn, "map", "e3").remove(2);
            let mut row: TurnRow = records::decode(Table::Turn, &value).unwrap();
            row.at -= 100_000_000;
            commit.put(Table::Turn, key, records::encode(&row));
        }),
        plant("an input was lost", Rule::Fold, Table::Turn, of("map", "e2"), |world, commit| {
            let (key, value) = rows_of(world, Table::Turn, "map", "e2").remove(0);
            let mut row: TurnRow = records::decode(Table::Turn, &value).unwrap();
            row.inputs.truncate(1);
            commit.put(Table::Turn, key, records::encode(&row));
        }),
        plant("a payload was changed", Rule::Fold, Table::Turn, of("map", "e1"), |world, commit| {
            let (key, _) = rows_of(world, Table::Payload, "map", "e1").remove(1);
            let row = records::PayloadRow { text: format!("\"{}\"", "y".repeat(5_000)).into() };
            commit.put(Table::Payload, key, records::encode(&row));
        }),
        plant("a payload is gone", Rule::Rows, Table::Payload, of("map", "e1"), |world, commit| {
            commit.delete(Table::Payload, rows_of(world, Table::Payload, "map", "e1")[0].0.clone());
        }),
        plant("a payload that nobody names", Rule::Rows, Table::Payload, of("chain", "e0"), |world, commit| {
            let row = records::PayloadRow { text: "1".into() };
            let key = keys::payload(1, id_of(world, "chain", "e0"), 1, 99);
            commit.put(Table::Payload, key, records::encode(&row));
        }),
        plant("a frame is gone", Rule::Fold, Table::Frame, of("wait", "e0"), |world, commit| {
            commit.delete(Table::Frame, rows_of(world, Table::Frame, "wait", "e0")[0].0.clone());
        }),
        plant("a frame is stale", Rule::Fold, Table::Frame, of("wait", "e1"), |world, commit| {
            let (key, value) = rows_of(world, Table::Frame, "wait", "e1").remove(0);
            let mut frame: stepwright_machine::Frame = records::decode(Table::Frame, &value).unwrap();
            frame.tip -= 1;
            commit.put(Table::Frame, key, records::encode(&frame));
        }),
        plant("a frame too many", Rule::Fold, Table::Frame, of("wait", "e1"), |world, commit| {
            let (_, value) = rows_of(world, Table::Frame, "wait", "e1").remove(0);
            commit.put(Table::Frame, keys::frame(1, id_of(world, "wait", "e1"), 7), value);
        }),
        plant("a head is gone", Rule::Outcome, Table::Head, of("work", "e0"), |world, commit| {
            commit.delete(Table::Head, rows_of(world, Table::Head, "work", "e0")[0].0.clone());
        }),
        plant("a head of an ended execution", Rule::Outcome, Table::Head, of("chain", "e0"), |world, commit| {
            let (_, value) = rows_of(world, Table::Head, "work", "e0").remove(0);
            commit.put(Table::Head, keys::execution(1, id_of(world, "chain", "e0")), value);
        }),
        plant("an end that did not happen", Rule::Fold, Table::Execution, of("chain", "e3"), |world, commit| {
            let (key, value) = rows_of(world, Table::Execution, "chain", "e3").remove(0);
            let mut row: ExecutionRow = records::decode(Table::Execution, &value).unwrap();
            row.end.as_mut().expect("ended").closing.at += 1;
            commit.put(Table::Execution, key, records::encode(&row));
        }),
        plant("a timer is gone", Rule::Timers, Table::Timer, of("wait", "e2"), |world, commit| {
            let id = id_of(world, "wait", "e2");
            let timers = world.store.rows(Table::Timer).into_iter();
            let mut mine = timers.filter(|(key, _)| keys::parse_timer(key).is_some_and(|(_, _, of, _)| of == id));
            commit.delete(Table::Timer, mine.next_back().expect("a timer").0);
        }),
        plant("a timer of another kind", Rule::Timers, Table::Timer, of("wait", "e2"), |world, commit| {
            let id = id_of(world, "wait", "e2");
            let timers = world.store.rows(Table::Timer).into_iter();
            let mut mine = timers.filter(|(key, _)| keys::parse_timer(key).is_some_and(|(_, _, of, _)| of == id));
            let row = TimerRow { kind: stepwright_machine::TimerKind::Retry };
            commit.put(Table::Timer, mine.next_back().expect("a timer").0, records::encode(&row));
        }),
        plant("a timer that nobody set", Rule::Timers, Table::Timer, None, |world, commit| {
            let timer = TimerId { frame: FrameId(0), number: 99 };
            let key = keys::timer(5, 1, id_of(world, "chain", "e0"), timer);
            commit.put(Table::Timer, key, records::encode(&TimerRow { kind: stepwright_machine::TimerKind::Wait }));
        }),
        plant("a task is in no queue", Rule::Tasks, Table::Task, of("work", "e1"), |world, commit| {
            commit.delete(Table::Task, rows_of(world, Table::Task, "work", "e1")[0].0.clone());
        }),
        plant("a task is queued that is over", Rule::Tasks, Table::Task, of("chain", "e1"), |world, commit| {
            let (_, value) = rows_of(world, Table::Task, "work", "e1").remove(0);
            let task = stepwright_machine::TaskId { frame: FrameId(0), number: 3 };
            commit.put(Table::Task, keys::task(1, id_of(world, "chain", "e1"), task), value);
        }),
        plant("a task would be sent again", Rule::Tasks, Table::Task, of("call", "e1"), |world, commit| {
            let (key, value) = rows_of(world, Table::Task, "call", "e1").remove(0);
            let row: TaskRow = records::decode(Table::Task, &value).unwrap();
            assert!(row.started);
            commit.put(Table::Task, key, records::encode(&TaskRow { started: false, ..row }));
        }),
        plant("a task in the wrong queue", Rule::Tasks, Table::Task, of("work", "e2"), |world, commit| {
            let (key, value) = rows_of(world, Table::Task, "work", "e2").remove(0);
            let row: TaskRow = records::decode(Table::Task, &value).unwrap();
            let target = TaskTarget::Activity("another".into());
            commit.put(Table::Task, key, records::encode(&TaskRow { target, ..row }));
        }),
        plant("a name is gone", Rule::Names, Table::Name, of("chain", "e4"), |_, commit| {
            commit.delete(Table::Name, keys::name(1, "chain", "e4"));
        }),
        plant("a name kept for a start that was lost", Rule::Names, Table::Name, None, |_, commit| {
            let row = NameRow { execution: ExecutionId(5).to_bytes(), input_hash: [0; 16] };
            commit.put(Table::Name, keys::name(1, "chain", "never"), records::encode(&row));
        }),
        plant("a name with the hash of another input", Rule::Names, Table::Name, of("wait", "e3"), |world, commit| {
            let row = NameRow { execution: id_of(world, "wait", "e3").to_bytes(), input_hash: [0; 16] };
            commit.put(Table::Name, keys::name(1, "wait", "e3"), records::encode(&row));
        }),
        plant("an execution is in no list", Rule::Lists, Table::List, of("chain", "e0"), |world, commit| {
            let id = id_of(world, "chain", "e0");
            let row = world.store.rows(Table::List).into_iter().find(|(k, _)| keys::parse_list_entry(k) == Some(id));
            commit.delete(Table::List, row.expect("listed").0);
        }),
        plant("a list shows another status", Rule::Lists, Table::List, of("chain", "e0"), |world, commit| {
            let id = id_of(world, "chain", "e0");
            let row = world.store.rows(Table::List).into_iter().find(|(k, _)| keys::parse_list_entry(k) == Some(id));
            let item = ListRow { name: "e0".into(), end: Some((Status::Failed, 5)), redrive_count: 0, more: None };
            commit.put(Table::List, row.expect("listed").0, records::encode(&item));
        }),
        plant("an ended execution among the running", Rule::Lists, Table::List, None, |world, commit| {
            let id = id_of(world, "chain", "e0");
            let item = ListRow { name: "e0".into(), end: None, redrive_count: 0, more: None };
            commit.put(
                Table::List,
                keys::list_entry(1, 1, keys::Listed::All, Some(Status::Running), id),
                records::encode(&item),
            );
        }),
        plant("an execution is gone", Rule::Rows, Table::Turn, None, |world, commit| {
            commit.delete(Table::Execution, keys::execution(1, id_of(world, "chain", "e0")));
        }),
        plant("a revision is gone", Rule::Catalog, Table::Revision, None, |world, commit| {
            let (key, _) = world.store.rows(Table::Revision).remove(0);
            commit.delete(Table::Revision, key);
        }),
        plant("a machine's number may be given again", Rule::Catalog, Table::Machine, None, |_, commit| {
            let key = keys::meta(keys::MetaKey::NextMachine);
            commit.put(Table::Meta, key, records::encode(&records::MetaRow::Number(2)));
        }),
        plant("two machines with one number", Rule::Catalog, Table::Machine, None, |world, commit| {
            let (key, value) = world.store.rows(Table::Machine).remove(0);
            let row: MachineRow = records::decode(Table::Machine, &value).unwrap();
            commit.put(Table::Machine, [&key[..], b"2"].concat(), records::encode(&row));
        }),
        plant("the key of task tokens is gone", Rule::Catalog, Table::Meta, None, |_, commit| {
            commit.delete(Table::Meta, keys::meta(keys::MetaKey::MasterKey));
        }),
        plant("an execution in quarantine that does not exist", Rule::Rows, Table::Quarantine, None, |_, commit| {
            let row = records::QuarantineRow {
                arn: "arn".into(),
                cause: "none".into(),
                at: 0,
                inputs: Vec::new(),
                dropped: 0,
            };
            commit.put(Table::Quarantine, keys::execution(1, ExecutionId(9)), records::encode(&row));
        }),
        plant("bytes that are no row", Rule::Rows, Table::List, None, |world, commit| {
            let (key, mut value) = world.store.rows(Table::List).remove(0);
            value.truncate(2);
            commit.put(Table::List, key, value);
        }),
        plant("a table that is not used", Rule::Rows, Table::Spare26, None, |_, commit| {
            commit.put(Table::Spare26, "a", "b");
        }),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_planted_damage_is_found_and_named() {
    let (world, engine) = busy().await;
    engine.drain(Duration::ZERO).await.unwrap();
    check_clean(&world);
    let whole: Vec<(Table, Vec<Row>)> = Table::ALL.iter().map(|&table| (table, world.store.rows(table))).collect();
    // A drained engine closed its store; damage is done to copies of it.
    let copy = |world: &mut World| {
        let mut commit = Commit::default();
        for (table, rows) in &whole {
            for (key, value) in rows {
                commit.put(*table, key.clone(), value.clone());
            }
        }
        world.store = Arc::default();
        world.store.commit(&[commit]).unwrap();
    };
    let mut world = world;
    for Plant { what, rule, table, execution, plant } in plants() {
        copy(&mut world);
        let mut commit = Commit::default();
        plant(&world, &mut commit);
        world.store.commit(&[commit]).unwrap();
        let report = checked(&world);
        let found = report.findings.iter().find(|finding| {
            finding.rule == rule
                && finding.table == table
                && (execution.is_none() || finding.execution.as_deref() == execution.as_deref())
        });
        let said: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        assert!(found.is_some(), "{what}: not found as {rule:?} in {table:?} of {execution:?}; found {said:#?}");
        if let Some(of) = &execution {
            let others = report.findings.iter().filter(|f| f.execution.as_deref().is_some_and(|arn| arn != of));
            assert_eq!(others.count(), 0, "{what}: others are accused: {said:#?}");
        }
        assert!(report.total_findings() > 0);
    }
}
