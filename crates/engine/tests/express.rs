//! Express executions: in memory, within their time and their bounds; asynchronous ones at least once, whatever happens.

mod common;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::{Gate, Refusal, START, World, chain, function_arn, machine, machine_arn, task, until, until_true, wait};
use serde_json::{Value, json};
use stepwright_engine::{
    Engine, Error, EventSink, ExpressEnd, ExpressEvents, ExpressOptions, MachineType, NewExecution, StepFunction,
    check::check, clock::ManualClock,
};
use stepwright_machine::{Definition, Effects, EventKind, Execution, Input, Millis, Status};
use stepwright_store::Table;

/// Remembers events by execution.
#[derive(Default)]
struct Events(Mutex<BTreeMap<String, Vec<(u64, String)>>>);

impl Events {
    /// The names of an execution's events, of all its runs.
    fn of(&self, arn: &str) -> Vec<String> {
        let all = self.0.lock().unwrap();
        all.get(arn).into_iter().flatten().map(|(_, name)| name.clone()).collect()
    }

    fn numbers(&self, arn: &str) -> Vec<u64> {
        let all = self.0.lock().unwrap();
        all.get(arn).into_iter().flatten().map(|(number, _)| *number).collect()
    }
}

impl EventSink for Events {
    fn wants(&self, logging: &str) -> bool {
        logging != "off"
    }

    fn take(&self, events: ExpressEvents) {
        let mut all = self.0.lock().unwrap();
        let known = all.entry(events.execution_arn.to_string()).or_default();
        for event in events.page.events {
            let text = format!("{:?}", event.kind);
            known.push((event.id, text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()));
            if let EventKind::StateEntered { input, .. } = &event.kind {
                assert!(input.is_hydrated(), "every payload has its text");
            }
        }
    }
}

fn world() -> (World, Arc<Events>) {
    let mut world = World::new();
    let events = Arc::new(Events::default());
    world.options.event_sink = Some(events.clone());
    (world, events)
}

async fn create(world: &World, engine: &Engine, name: &str, definition: &Value) {
    let mut new = machine(name, definition);
    new.machine_type = MachineType::Express;
    engine.create_state_machine(&world.scope, new).await.unwrap();
}

fn new(machine: &str, input: &str) -> NewExecution {
    NewExecution {
        state_machine_arn: machine_arn(machine).into(),
        name: "e".into(),
        input: input.into(),
        test_case: None,
        trace_header: Some("Root=1".into()),
    }
}

async fn run(world: &World, engine: &Engine, machine: &str, input: &str) -> ExpressEnd {
    engine.start_sync_execution(&world.scope, new(machine, input)).await.unwrap()
}

/// Starts one that somebody waits for, in a task of its own.
fn begin(world: &World, engine: &Engine, machine: &str) -> tokio::task::JoinHandle<Result<ExpressEnd, Error>> {
    let (engine, scope, new) = (engine.clone(), world.scope.clone(), new(machine, "{}"));
    tokio::spawn(async move { engine.start_sync_execution(&scope, new).await })
}

fn calls(world: &World) -> usize {
    world.functions.calls.lock().unwrap().len()
}

/// Lets time pass until something is so.
async fn pass_until(world: &World, step: Millis, wanted: impl Fn() -> bool) {
    for _ in 0..10_000 {
        if wanted() {
            return;
        }
        world.clock.advance(step);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("it did not come to that");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_ends_at_once_touches_no_disk() {
    for at_once in [false, true] {
        let (mut world, events) = world();
        world.options.express.at_once = at_once;
        let engine = world.open();
        create(&world, &engine, "m", &chain(3)).await;
        let commits = world.store.commits.lock().unwrap().len();
        let end = run(&world, &engine, "m", r#"{"a":1}"#).await;
        assert_eq!(end.status, Status::Succeeded);
        assert_eq!(end.output.as_deref(), Some(r#"{"a":1}"#));
        assert_eq!((&*end.input, &*end.name, end.trace_header.as_deref()), (r#"{"a":1}"#, "e", Some("Root=1")));
        assert_eq!((end.started_at, end.stopped_at), (START, START));
        assert!(end.memory_bytes > 0);
        assert_eq!(&*end.state_machine_arn, machine_arn("m"));
        let again = run(&world, &engine, "m", "{}").await;
        let prefix = machine_arn("m").replace(":stateMachine:", ":express:") + ":e:";
        assert!(end.arn.starts_with(&prefix) && again.arn.starts_with(&prefix), "{} {}", end.arn, again.arn);
        assert_ne!(end.arn, again.arn, "a name can be used again");
        assert_eq!(world.store.commits.lock().unwrap().len(), commits, "nothing is written");
        let names = events.of(&end.arn);
        assert_eq!(names.first().map(String::as_str), Some("ExecutionStarted"));
        assert_eq!(names.last().map(String::as_str), Some("ExecutionSucceeded"));
        assert_eq!(events.numbers(&end.arn), (1..=8).collect::<Vec<_>>());
        until(&engine, |stats| stats.express_open == 0 && stats.express_bytes == 0 && stats.closed == 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_waits_and_retries_go_on_by_themselves() {
    for at_once in [false, true] {
        let (mut world, events) = world();
        world.options.express.at_once = at_once;
        let engine = world.open();
        let definition = json!({"StartAt": "E", "States": {
            "E": {"Type": "Task", "Resource": function_arn("echo"), "Next": "W"},
            "W": {"Type": "Wait", "Seconds": 20, "Next": "F"},
            "F": {"Type": "Task", "Resource": function_arn("fail"),
                "Retry": [{"ErrorEquals": ["Boom"], "IntervalSeconds": 5, "MaxAttempts": 2, "BackoffRate": 1.0}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "P", "ResultPath": "$.error"}], "End": true},
            "P": {"Type": "Parallel", "Branches": [chain(2), task(&function_arn("echo"))], "End": true},
        }});
        create(&world, &engine, "m", &definition).await;
        let running = begin(&world, &engine, "m");
        pass_until(&world, 1_000, || running.is_finished()).await;
        let end = running.await.unwrap().unwrap();
        assert_eq!(end.status, Status::Succeeded, "{end:?}");
        let output: Value = serde_json::from_str(end.output.as_deref().unwrap()).unwrap();
        assert_eq!(output[0], output[1]);
        assert_eq!(output[0]["error"], json!({"Error": "Boom", "Cause": "as told"}));
        assert_eq!(calls(&world), 5, "echo, three times fail, echo");
        assert!(end.stopped_at - end.started_at >= 30_000, "{end:?}");
        assert_eq!(events.of(&end.arn).iter().filter(|name| *name == "LambdaFunctionFailed").count(), 3);
        until(&engine, |stats| stats.express_open == 0).await;
        assert!(world.store.rows(Table::Express).is_empty() && world.store.rows(Table::Timer).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_says_why() {
    let (world, _) = world();
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("fail"))).await;
    let end = run(&world, &engine, "m", "{}").await;
    let said = (end.status, end.error.as_deref(), end.cause.as_deref(), end.output);
    assert_eq!(said, (Status::Failed, Some("Boom"), Some("as told"), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn none_lasts_longer_than_it_may() {
    let (world, events) = world();
    let engine = world.open();
    create(&world, &engine, "long", &wait(3_600)).await;
    let mut short = wait(3_600);
    short["TimeoutSeconds"] = json!(7);
    create(&world, &engine, "short", &short).await;
    let mut own = wait(3_600);
    own["TimeoutSeconds"] = json!(99_999);
    create(&world, &engine, "own", &own).await;
    create(&world, &engine, "call", &task(&function_arn("hold"))).await;

    let short = begin(&world, &engine, "short");
    pass_until(&world, 500, || short.is_finished()).await;
    let end = short.await.unwrap().unwrap();
    assert_eq!((end.status, end.stopped_at - end.started_at), (Status::TimedOut, 7_000));
    assert_eq!((end.error.as_deref(), end.cause), (Some("States.Timeout"), None));

    for name in ["long", "own", "call"] {
        let long = begin(&world, &engine, name);
        pass_until(&world, 5_000, || long.is_finished()).await;
        let end = long.await.unwrap().unwrap();
        assert_eq!((end.status, end.stopped_at - end.started_at), (Status::TimedOut, 300_000), "{name}");
        assert_eq!(end.error.as_deref(), Some("States.Timeout"));
        assert_eq!(end.cause.as_deref(), Some("Execution has exceeded its maximum lifetime of 5 minutes."));
        assert_eq!(events.of(&end.arn).last().map(String::as_str), Some("ExecutionTimedOut"));
    }
    until(&engine, |stats| stats.express_open == 0 && stats.calls_in_flight == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_time_is_up_before_a_thread_is_free_does_nothing() {
    let (mut world, events) = world();
    world.options.steps_at_once = 1_000;
    world.options.step = StepFunction { begin: late, ..StepFunction::default() };
    let engine = world.open();
    let definition = json!({"StartAt": "S", "QueryLanguage": "JSONata", "States": {
        "S": {"Type": "Pass", "Output": "{% $sum([1..5000].($ * 2)) %}", "End": true},
    }});
    create(&world, &engine, "m", &definition).await;
    *LATE.lock().unwrap() = Some(world.clock.clone());
    let end = run(&world, &engine, "m", "{}").await;
    *LATE.lock().unwrap() = None;
    assert_eq!((end.status, end.stopped_at - end.started_at), (Status::TimedOut, 300_000));
    assert_eq!(events.of(&end.arn), ["ExecutionStarted", "ExecutionTimedOut"]);
}

/// A clock that goes on for ten minutes before a quick thread gives a turn up.
static LATE: Mutex<Option<Arc<ManualClock>>> = Mutex::new(None);

fn late(definition: &Definition, execution: &mut Execution, inputs: &[Input], steps: u64) -> Option<Effects> {
    let effects = stepwright_machine::step_within(definition, execution, inputs, steps);
    if effects.is_none()
        && let Some(clock) = LATE.lock().unwrap().take()
    {
        clock.advance(600_000);
    }
    effects
}

#[tokio::test(flavor = "multi_thread")]
async fn the_context_object_of_one_that_is_waited_for_has_no_redrive_count() {
    let (world, _) = world();
    let engine = world.open();
    let definition = json!({"StartAt": "P", "States": {
        "P": {"Type": "Pass", "Parameters": {"all.$": "$$.Execution"}, "Next": "T"},
        "T": {"Type": "Task", "Resource": function_arn("echo"), "End": true},
    }});
    create(&world, &engine, "m", &definition).await;
    let end = run(&world, &engine, "m", "{}").await;
    let shown: Value = serde_json::from_str(end.output.as_deref().unwrap()).unwrap();
    assert_eq!(shown["all"]["Id"], *end.arn);
    assert_eq!(shown["all"].get("RedriveCount"), None);
    world.start(&engine, "m", "again", "{}").await.unwrap();
    until_true(|| calls(&world) == 2).await;
    let sent: Value = serde_json::from_str(&world.functions.calls.lock().unwrap()[1].input).unwrap();
    assert_eq!((&sent["all"]["RedriveCount"], &sent["all"]["Name"]), (&json!(0), &json!("again")));
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_and_express_machines_are_told_apart() {
    let (world, _) = world();
    let engine = world.open();
    world.create(&engine, "standard", &chain(1)).await;
    let error = engine.start_sync_execution(&world.scope, new("standard", "{}")).await.unwrap_err();
    assert_eq!(error, Error::StateMachineTypeNotSupported { arn: machine_arn("standard").into() });
    let error = engine.start_sync_execution(&world.scope, new("nobody", "{}")).await.unwrap_err();
    assert_eq!(error, Error::StateMachineDoesNotExist { arn: machine_arn("nobody").into() });
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_when_its_caller_goes_away() {
    let (world, _) = world();
    let engine = world.open();
    let definition = json!({"StartAt": "H", "States": {
        "H": {"Type": "Task", "Resource": function_arn("hold"), "Next": "T"},
        "T": {"Type": "Task", "Resource": function_arn("echo"), "End": true},
    }});
    create(&world, &engine, "m", &definition).await;
    let running = begin(&world, &engine, "m");
    until_true(|| calls(&world) == 1).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    world.functions.let_go.notify_waiters();
    until_true(|| calls(&world) == 2).await;
    until(&engine, |stats| stats.express_open == 0 && stats.closed == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_asynchronous_one_has_a_row_until_it_ended() {
    let (world, events) = world();
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("hold"))).await;
    world.store.hold(true);
    let (starting, scope) = (engine.clone(), world.scope.clone());
    let starting = tokio::spawn(async move { starting.start_execution(&scope, new("m", "{}")).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!starting.is_finished() && calls(&world) == 0, "nothing is answered or done before the row is durable");
    world.store.hold(false);
    let started = starting.await.unwrap().unwrap();
    assert_eq!(world.store.rows(Table::Express).len(), 1);
    // The same name once more is another execution.
    let other = world.start(&engine, "m", "e", "{}").await.unwrap();
    assert_ne!(started.arn, other.arn);
    until_true(|| calls(&world) == 2).await;
    assert_eq!(engine.stats().express_open, 2);
    world.functions.let_go.notify_waiters();
    until_true(|| world.store.rows(Table::Express).is_empty()).await;
    for table in [Table::Execution, Table::Name, Table::List, Table::Turn, Table::Task] {
        assert!(world.store.rows(table).is_empty(), "{table:?} knows nothing of it");
    }
    assert_eq!(events.of(&started.arn).last().map(String::as_str), Some("ExecutionSucceeded"));
    let error = engine.describe_execution(&world.scope, &started.arn).await.unwrap_err();
    assert_eq!(error, Error::ExecutionDoesNotExist { arn: started.arn });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_makes_an_asynchronous_one_run_again() {
    let (world, events) = world();
    let mut arns = Vec::new();
    {
        let engine = world.open();
        create(&world, &engine, "m", &task(&function_arn("hold"))).await;
        for name in ["a", "b", "c"] {
            arns.push(world.start(&engine, "m", name, &format!("\"{name}\"")).await.unwrap().arn);
        }
        until_true(|| calls(&world) == 3).await;
        // Dropped without a drain: as in a crash.
    }
    assert_eq!(world.store.rows(Table::Express).len(), 3);
    let report = check(&*world.store, world.options.compile, &mut |_| {}).unwrap();
    assert_eq!(report.total_findings(), 0, "{:?}", report.findings);
    world.clock.advance(1_000_000);
    let engine = world.open();
    until_true(|| calls(&world) == 6).await;
    world.functions.let_go.notify_waiters();
    until_true(|| world.store.rows(Table::Express).is_empty()).await;
    for arn in arns {
        let names = events.of(&arn);
        assert_eq!(names.iter().filter(|name| *name == "ExecutionStarted").count(), 2, "{names:?}");
        assert_eq!(names.iter().filter(|name| *name == "ExecutionSucceeded").count(), 1, "{names:?}");
    }
    until(&engine, |stats| stats.express_open == 0 && stats.express_waiting == 0).await;
    drop(engine);
    let engine = world.open();
    assert_eq!(engine.stats().express_waiting, 0, "what ended does not run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_open_run_again_one_after_the_other() {
    let (mut world, _) = world();
    {
        let engine = world.open();
        create(&world, &engine, "m", &task(&function_arn("hold"))).await;
        for at in 0..7 {
            world.start(&engine, "m", &format!("e{at}"), "{}").await.unwrap();
        }
        until_true(|| calls(&world) == 7).await;
    }
    world.functions.calls.lock().unwrap().clear();
    world.options.express.executions = 2;
    let engine = world.open();
    until(&engine, |stats| stats.express_open == 2 && stats.express_waiting == 5).await;
    while engine.stats().express_waiting > 0 || engine.stats().express_open > 0 {
        assert!(engine.stats().express_open <= 2);
        world.functions.let_go.notify_waiters();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(calls(&world), 7);
    until_true(|| world.store.rows(Table::Express).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_the_store_refuses_did_not_happen() {
    let (world, _) = world();
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("echo"))).await;
    world.store.refuse(Some(Refusal::Full));
    assert!(matches!(world.start(&engine, "m", "e", "{}").await, Err(Error::Full { .. })));
    assert_eq!(run(&world, &engine, "m", "{}").await.status, Status::Succeeded, "one that writes nothing goes well");
    world.store.refuse(None);
    until(&engine, |stats| stats.express_open == 0).await;
    assert_eq!(calls(&world), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_the_store_refuses_is_written_later() {
    let (world, _) = world();
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("hold"))).await;
    world.start(&engine, "m", "e", "{}").await.unwrap();
    until_true(|| calls(&world) == 1).await;
    world.store.refuse(Some(Refusal::Full));
    world.functions.let_go.notify_waiters();
    until(&engine, |stats| stats.closed == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.store.rows(Table::Express).len(), 1);
    world.store.refuse(None);
    until_true(|| world.store.rows(Table::Express).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_open_are_refused() {
    let (mut world, _) = world();
    world.options.express = ExpressOptions { executions: 2, ..ExpressOptions::default() };
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("hold"))).await;
    let first = begin(&world, &engine, "m");
    world.start(&engine, "m", "e", "{}").await.unwrap();
    until(&engine, |stats| stats.express_open == 2).await;
    let full = Error::TooManyExpress { limit: 2 };
    assert_eq!(engine.start_sync_execution(&world.scope, new("m", "{}")).await.unwrap_err(), full);
    assert_eq!(world.start(&engine, "m", "e", "{}").await.unwrap_err(), full);
    until_true(|| calls(&world) == 2).await;
    world.functions.let_go.notify_waiters();
    assert_eq!(first.await.unwrap().unwrap().status, Status::Succeeded);
    until(&engine, |stats| stats.express_open == 0).await;
    world.start(&engine, "m", "e", "{}").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded() {
    let (mut world, _) = world();
    world.options.express = ExpressOptions { memory_bytes: 100_000, ..ExpressOptions::default() };
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("hold"))).await;
    let large = |bytes: usize| format!("\"{}\"", "x".repeat(bytes));
    world.start(&engine, "m", "e", &large(15_000)).await.unwrap();
    let error = world.start(&engine, "m", "e", &large(15_000)).await.unwrap_err();
    assert!(matches!(error, Error::ExpressMemory { limit: 100_000, held } if held > 60_000), "{error}");
    world.start(&engine, "m", "e", "{}").await.unwrap();

    // One that grows beyond all bounds fails; the others go on.
    let grows = json!({"StartAt": "S", "QueryLanguage": "JSONata", "States": {
        "S": {"Type": "Pass", "Assign": {"t": "{% $join([1..20000].('x')) %}", "all": []}, "Next": "G"},
        "G": {"Type": "Pass", "Assign": {"t": "{% $t & 'y' %}", "all": "{% $append($all, $t) %}"}, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Condition": "{% $count($all) > 9 %}", "Next": "W"}], "Default": "G"},
        "W": {"Type": "Wait", "Seconds": 10, "End": true},
    }});
    create(&world, &engine, "grows", &grows).await;
    let end = run(&world, &engine, "grows", "{}").await;
    assert_eq!((end.status, end.error.as_deref()), (Status::Failed, Some("States.Runtime")), "{:?}", end.cause);
    assert!(end.cause.as_deref().unwrap().contains("more than twice the 100000"), "{:?}", end.cause);
    assert!(end.memory_bytes > 200_000);
    assert_eq!(engine.stats().express_open, 2);
    world.functions.let_go.notify_waiters();
    until(&engine, |stats| stats.express_open == 0 && stats.express_bytes == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_machine_ends_its_executions() {
    let (world, events) = world();
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("hold"))).await;
    create(&world, &engine, "other", &task(&function_arn("hold"))).await;
    let running = begin(&world, &engine, "m");
    let other = begin(&world, &engine, "other");
    let started = world.start(&engine, "m", "e", "{}").await.unwrap();
    until_true(|| calls(&world) == 3).await;
    engine.delete_state_machine(&world.scope, &machine_arn("m")).await.unwrap();
    let refused = engine.start_sync_execution(&world.scope, new("m", "{}")).await.unwrap_err();
    assert!(matches!(refused, Error::StateMachineDeleting { .. } | Error::StateMachineDoesNotExist { .. }));
    let end = running.await.unwrap().unwrap();
    assert_eq!((end.status, end.cause.as_deref()), (Status::Aborted, Some("The state machine was deleted.")));
    until_true(|| world.store.rows(Table::Machine).len() == 1 && world.store.rows(Table::Revision).len() == 1).await;
    assert!(world.store.rows(Table::Express).is_empty(), "its rows go before it");
    assert_eq!(events.of(&started.arn).last().map(String::as_str), Some("ExecutionAborted"));
    assert!(!other.is_finished());
    world.functions.let_go.notify_waiters();
    assert_eq!(other.await.unwrap().unwrap().status, Status::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_while_a_machine_is_deleted_leaves_nothing() {
    let (world, _) = world();
    {
        let engine = world.open();
        create(&world, &engine, "m", &task(&function_arn("hold"))).await;
        world.start(&engine, "m", "e", "{}").await.unwrap();
        engine.delete_state_machine(&world.scope, &machine_arn("m")).await.unwrap();
    }
    let _engine = world.open();
    until_true(|| world.store.rows(Table::Machine).is_empty() && world.store.rows(Table::Express).is_empty()).await;
    assert!(world.store.rows(Table::Revision).is_empty());
}

/// Breaks at what is called `broken`.
fn breaking(definition: &Definition, execution: &mut Execution, inputs: &[Input], steps: u64) -> Option<Effects> {
    assert!(&*execution.info.state_machine_name != "broken", "told to break");
    stepwright_machine::step_within(definition, execution, inputs, steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_interpreter_fails_the_execution_and_nothing_else() {
    for at_once in [false, true] {
        let (mut world, events) = world();
        world.options.express.at_once = at_once;
        world.options.step = StepFunction { begin: breaking, ..StepFunction::default() };
        let engine = world.open();
        create(&world, &engine, "broken", &chain(1)).await;
        create(&world, &engine, "m", &chain(1)).await;
        let end = run(&world, &engine, "broken", "{\"a\":1}").await;
        assert_eq!((end.status, end.error.as_deref()), (Status::Failed, Some("States.Runtime")));
        assert!(end.cause.as_deref().unwrap().contains("told to break"));
        assert_eq!(&*end.input, "{\"a\":1}");
        assert_eq!(events.of(&end.arn), ["ExecutionFailed"]);
        world.start(&engine, "broken", "e", "{}").await.unwrap();
        until_true(|| world.store.rows(Table::Express).is_empty()).await;
        assert_eq!(run(&world, &engine, "m", "{}").await.status, Status::Succeeded);
    }
}

/// Before it the threads for long turns stand still.
static GATE: Gate = Gate::new();

fn slowly(definition: &Definition, execution: &mut Execution, inputs: &[Input], steps: u64) -> Option<Effects> {
    GATE.pass("express-slow");
    stepwright_machine::step_within(definition, execution, inputs, steps)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_long_holds_up_nobody() {
    let long = json!({"StartAt": "T", "QueryLanguage": "JSONata", "States": {
        "T": {"Type": "Task", "Resource": function_arn("echo"), "Next": "S"},
        "S": {"Type": "Pass", "Output": "{% $sum([1..5000].($ * 2)) %}", "End": true},
    }});
    let at_first = json!({"StartAt": "S", "QueryLanguage": "JSONata", "States": {
        "S": {"Type": "Pass", "Output": "{% $sum([1..5000].($ * 2)) %}", "End": true},
    }});
    for at_once in [false, true] {
        let (mut world, events) = world();
        world.options.express.at_once = at_once;
        world.options.steps_at_once = 1_000;
        world.options.step = StepFunction { begin: slowly, ..StepFunction::default() };
        let engine = world.open();
        create(&world, &engine, "long", &long).await;
        create(&world, &engine, "first", &at_first).await;
        create(&world, &engine, "quick", &chain(3)).await;
        GATE.close(true);
        let running: Vec<_> =
            (0..100).map(|at| begin(&world, &engine, if at % 2 == 0 { "long" } else { "first" })).collect();
        until_true(|| GATE.standing() > 0).await;
        for _ in 0..20 {
            assert_eq!(run(&world, &engine, "quick", "{}").await.status, Status::Succeeded);
        }
        assert!(running.iter().all(|running| !running.is_finished()));
        GATE.close(false);
        for running in running {
            let end = running.await.unwrap().unwrap();
            assert_eq!((end.status, end.output.as_deref()), (Status::Succeeded, Some("25005000")));
            let numbers = events.numbers(&end.arn);
            assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "nothing is told twice");
        }
        assert_eq!(calls(&world), 50, "nothing is called twice");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_chains_are_cut_and_go_on() {
    let (mut world, events) = world();
    world.options.express.at_once = true;
    let engine = world.open();
    create(&world, &engine, "m", &chain(2_500)).await;
    let end = run(&world, &engine, "m", "{}").await;
    assert_eq!(end.status, Status::Succeeded);
    assert_eq!(events.numbers(&end.arn), (1..=5_002).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_wait_for_a_slot_in_their_order() {
    let (mut world, _) = world();
    let functions = common::Functions { concurrency: 1, ..common::Functions::default() };
    world.functions = Arc::new(functions);
    let engine = world.open();
    create(&world, &engine, "m", &task(&function_arn("hold"))).await;
    let running: Vec<_> = (0..5).map(|_| begin(&world, &engine, "m")).collect();
    until(&engine, |stats| stats.queued_connector_tasks == 4).await;
    assert_eq!(calls(&world), 1);
    for at in 1..=5 {
        until_true(|| calls(&world) == at).await;
        world.functions.let_go.notify_waiters();
    }
    for running in running {
        assert_eq!(running.await.unwrap().unwrap().status, Status::Succeeded);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_nothing_is_told_of_nowhere() {
    let (world, events) = world();
    let engine = world.open();
    let mut new_machine = machine("m", &chain(1));
    new_machine.machine_type = MachineType::Express;
    new_machine.configurations.logging = "off".into();
    engine.create_state_machine(&world.scope, new_machine).await.unwrap();
    let end = run(&world, &engine, "m", "{}").await;
    assert!(events.of(&end.arn).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lets_them_end_and_leaves_those_that_only_wait() {
    let (world, _) = world();
    let engine = world.open();
    let calls_twice = json!({"StartAt": "H", "States": {
        "H": {"Type": "Task", "Resource": function_arn("hold"), "Next": "T"},
        "T": {"Type": "Task", "Resource": function_arn("echo"), "End": true},
    }});
    create(&world, &engine, "calls", &calls_twice).await;
    create(&world, &engine, "waits", &wait(200)).await;
    let kept = || {
        let rows = world.store.rows(Table::Express).into_iter();
        rows.map(|(_, row)| String::from_utf8_lossy(&row).into_owned()).collect::<Vec<_>>()
    };
    let calling = begin(&world, &engine, "calls");
    let waiting = begin(&world, &engine, "waits");
    world.start(&engine, "calls", "one-that-calls", "{}").await.unwrap();
    world.start(&engine, "waits", "one-that-waits", "{}").await.unwrap();
    assert_eq!(kept().len(), 2);
    until(&engine, |stats| stats.express_open == 4 && stats.calls_in_flight == 2).await;
    let draining = engine.clone();
    let draining = tokio::spawn(async move { draining.drain(Duration::from_secs(60)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!draining.is_finished() && !waiting.is_finished(), "calls are under way");
    world.functions.let_go.notify_waiters();
    // Nobody waits for the whole minute.
    tokio::time::timeout(Duration::from_secs(30), draining).await.unwrap().unwrap().unwrap();
    assert_eq!(calling.await.unwrap().unwrap().status, Status::Succeeded, "what it calls for is called");
    assert!(matches!(waiting.await.unwrap(), Err(Error::Unavailable { .. })));
    assert!(kept().iter().any(|row| row.contains("one-that-waits")), "it runs again");
    assert!(!kept().iter().any(|row| row.contains("one-that-calls")), "it ended");
}
