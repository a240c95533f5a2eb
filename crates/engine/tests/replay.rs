//! The master invariant: the fold of an execution's stored inputs gives its stored history and payloads.

mod common;

use std::{sync::Arc, time::Duration};

use common::{World, activity_arn, function_arn};
use serde_json::json;
use stepwright_machine::{Execution, ExecutionInfo, Input, InputKind, Limits, Payload, Status, step};
use stepwright_store::{
    Table, keys,
    records::{self, ExecutionRow, PayloadRow, TurnRow},
};

/// Folds one execution's inputs again and compares with what is stored.
fn check(world: &World, definition: &stepwright_machine::Definition, key: &[u8], row: &ExecutionRow) -> usize {
    let (scope, id) = keys::parse_execution(key).unwrap();
    let machine = common::machine_arn("m");
    let info = ExecutionInfo {
        id,
        arn: format!("{}:{}", machine.replace(":stateMachine:", ":execution:"), row.name).into(),
        name: row.name.clone(),
        role_arn: "arn:aws:iam::123456789012:role/r".into(),
        state_machine_arn: machine.into(),
        state_machine_name: "m".into(),
        version_arn: None,
        alias_arn: None,
        machine: u64::from(row.machine),
        revision: u64::from(row.revision),
        started_at: id.started_at(),
        trace_header: None,
        limits: Limits::AWS,
        semantics: row.semantics,
        scope,
        token_key: [0; 32],
        workflow: stepwright_machine::Workflow::Standard,
        flow: 0,
        test_case: None,
    };
    let mut execution = Execution::new(info);
    let mut events = 0;
    for (turn_key, value) in world.store.rows(Table::Turn).into_iter().filter(|(turn, _)| turn.starts_with(key)) {
        let turn = keys::parse_turn(&turn_key).unwrap();
        let stored: TurnRow = records::decode(Table::Turn, &value).unwrap();
        let large = |index: usize| {
            let key = keys::payload(scope, id, turn, u32::try_from(index).unwrap());
            let rows = world.store.rows(Table::Payload);
            let (_, value) = rows.iter().find(|(row, _)| *row == key).expect("a large payload");
            records::decode::<PayloadRow>(Table::Payload, value).unwrap().text
        };
        let texts: Vec<Arc<str>> = stored
            .payloads
            .iter()
            .enumerate()
            .map(|(index, text)| text.clone().unwrap_or_else(|| large(index)))
            .collect();
        // Payloads of inputs come from outside again.
        let fresh = |payload: &mut Payload| *payload = Payload::new(texts[payload.id().index as usize].clone());
        let inputs: Vec<Input> = stored
            .inputs
            .into_iter()
            .map(|mut input| {
                if let InputKind::Start { input: payload }
                | InputKind::TaskSucceeded { output: payload, .. }
                | InputKind::TaskSubmitted { output: payload, .. } = &mut input.kind
                {
                    fresh(payload);
                }
                input
            })
            .collect();
        execution.head.turn = turn - 1;
        let effects = step(definition, &mut execution, &inputs);
        assert_eq!((effects.first_event, effects.at), (stored.first_event, stored.at), "turn {turn}");
        assert_eq!(effects.events, stored.events, "turn {turn}");
        let payloads: Vec<&Arc<str>> = effects.payloads.iter().map(Payload::text).collect();
        assert_eq!(payloads, texts.iter().collect::<Vec<_>>(), "turn {turn}");
        events += effects.events.len();
    }
    assert_eq!(execution.head.closing, row.end.as_ref().map(|end| end.closing.clone()));
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fold_of_the_inputs_gives_the_history() {
    let mut world = World::new();
    world.options.long_poll_ms = 20;
    // Executions are read back all the time.
    world.options.hot_executions = 1;
    let engine = world.open();
    world.create_activity(&engine, "a").await;
    let definition = json!({"StartAt": "P", "States": {
        "P": {"Type": "Parallel", "Next": "M", "ResultPath": "$.both", "Branches": [
            {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity_arn("a"), "End": true}}},
            {"StartAt": "F", "States": {"F": {"Type": "Task", "Resource": function_arn("fail"), "End": true,
                "Retry": [{"ErrorEquals": ["Boom"], "MaxAttempts": 2, "JitterStrategy": "FULL"}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "G"}]},
                "G": {"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "End": true}}},
        ]},
        "M": {"Type": "Map", "ItemsPath": "$.items", "ResultPath": "$.mapped", "MaxConcurrency": 2, "Next": "W",
            "ItemProcessor": {"StartAt": "E", "States": {
                "E": {"Type": "Task", "Resource": function_arn("echo"), "End": true}}}},
        "W": {"Type": "Wait", "Seconds": 2, "End": true},
    }});
    world.create(&engine, "m", &definition).await;
    let world = Arc::new(world);
    let worker = tokio::spawn({
        let (world, engine) = (world.clone(), engine.clone());
        async move {
            loop {
                let polled = engine.get_activity_task(&world.scope, &activity_arn("a"), None).await;
                let Ok(Some(task)) = polled else { continue };
                engine.send_task_success(&world.scope, task.token(), task.input().clone()).await.unwrap();
                task.delivered();
                world.clock.advance(700);
            }
        }
    });
    let clock = tokio::spawn({
        let world = world.clone();
        async move {
            loop {
                world.clock.advance(250);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    let large = "x".repeat(5_000);
    for n in 0..12 {
        let input = json!({"n": n, "items": [1, {"a": [2]}, "three", large]}).to_string();
        world.start(&engine, "m", &format!("e{n}"), &input).await.unwrap();
    }
    for n in 0..12 {
        let arn = format!("arn:aws:states:{}:{}:execution:m:e{n}", common::REGION, common::ACCOUNT);
        assert_eq!(world.end(&engine, &arn).await.status, Status::Succeeded);
    }
    worker.abort();
    clock.abort();
    let compiled = common::machine("m", &definition).definition.compiled;
    let rows = world.store.rows(Table::Execution);
    assert_eq!(rows.len(), 12);
    for (key, value) in rows {
        let row: ExecutionRow = records::decode(Table::Execution, &value).unwrap();
        assert!(check(&world, &compiled, &key, &row) > 40);
    }
}
