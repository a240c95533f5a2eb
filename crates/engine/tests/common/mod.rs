//! A world for an engine: a store that records and can refuse, a clock that is set by hand, and a scripted connector.
#![expect(dead_code, reason = "each test file uses a part")]

use std::{
    borrow::Cow,
    ops::Bound,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stepwright_asl::Resource;
use stepwright_engine::{
    BoxFuture, Configurations, Connector, ConnectorFailure, ConnectorLimits, Created, Engine, EngineOptions, Error,
    Event, ExecutionDescription, MachineType, NewActivity, NewExecution, NewStateMachine, PageRequest, Scope, Started,
    Stats, TaskCall, TaskOutcome, ValidDefinition,
    clock::{ManualClock, SeedSource},
};
use stepwright_machine::{Definition, Millis, Status};
use stepwright_store::{Commit, Error as StoreError, Order, Row, Store, Table, memory::MemoryStore};
use tokio::sync::Notify;

pub(crate) const START: Millis = 1_700_000_000_000;
pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const REGION: &str = "eu-west-1";
/// How long what must happen may take before it is called hanging; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(300);

/// How a store refuses commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    Failed,
}

/// A store in memory that remembers its commits and refuses when told to.
#[derive(Default)]
pub(crate) struct TestStore {
    inner: MemoryStore,
    pub(crate) commits: Mutex<Vec<Commit>>,
    refusal: Mutex<Option<Refusal>>,
    /// Batches that were refused because it was told to.
    pub(crate) refused: AtomicU64,
    /// Every how many batches one is refused as if the disk were full; 0: none.
    pub(crate) refuse_every: AtomicU64,
    batches: AtomicU64,
    /// Rows that scans gave out.
    pub(crate) scanned: AtomicU64,
    /// Commits stand still while it is set.
    held: Mutex<bool>,
    let_go: Condvar,
    pub(crate) space_short: AtomicBool,
}

impl TestStore {
    pub(crate) fn refuse(&self, refusal: Option<Refusal>) {
        *self.refusal.lock().unwrap() = refusal;
    }

    /// Holds every commit from now on, or lets go what is held.
    pub(crate) fn hold(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.let_go.notify_all();
    }

    pub(crate) fn rows(&self, table: Table) -> Vec<Row> {
        self.inner.scan(table, Bound::Unbounded, Bound::Unbounded, Order::Ascending, usize::MAX).unwrap()
    }

    pub(crate) fn forget_commits(&self) {
        self.commits.lock().unwrap().clear();
    }
}

impl Store for TestStore {
    fn commit(&self, batch: &[Commit]) -> Result<(), StoreError> {
        drop(self.let_go.wait_while(self.held.lock().unwrap(), |held| *held).unwrap());
        let refusal = *self.refusal.lock().unwrap();
        self.refused.fetch_add(u64::from(refusal.is_some()), Ordering::SeqCst);
        match refusal {
            None => {}
            Some(Refusal::Full) => {
                return Err(StoreError::Full { dir: "test".into(), needed: 1, reason: "told to".into() });
            }
            Some(Refusal::Failed) => {
                return Err(StoreError::Failed { action: "writing", file: "test".into(), reason: "told to".into() });
            }
        }
        let every = self.refuse_every.load(Ordering::SeqCst);
        let batches = self.batches.fetch_add(1, Ordering::SeqCst);
        if every > 0 && batches % every == every - 1 {
            return Err(StoreError::Full { dir: "test".into(), needed: 1, reason: "from time to time".into() });
        }
        self.commits.lock().unwrap().extend_from_slice(batch);
        self.inner.commit(batch)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.inner.scan(table, from, to, order, limit)?;
        self.scanned.fetch_add(rows.len() as u64, Ordering::SeqCst);
        Ok(rows)
    }

    fn stats(&self) -> stepwright_store::Stats {
        stepwright_store::Stats { space_short: self.space_short.load(Ordering::SeqCst), ..self.inner.stats() }
    }

    fn close(&self) -> Result<(), StoreError> {
        self.inner.close()
    }
}

/// A function service. Function names say what happens: `echo` answers with its input, `fail` fails, `panic` breaks,
/// `hold` waits until it is let go.
pub(crate) struct Functions {
    pub(crate) calls: Mutex<Vec<TaskCall>>,
    pub(crate) let_go: Notify,
    pub(crate) concurrency: usize,
    /// Whether each function is a service of its own.
    pub(crate) apart: bool,
}

impl Default for Functions {
    fn default() -> Self {
        Self { calls: Mutex::default(), let_go: Notify::new(), concurrency: 100, apart: false }
    }
}

pub(crate) struct Scripted(pub(crate) Arc<Functions>);

impl Connector for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn accepts(&self, resource: &Resource) -> bool {
        matches!(resource, Resource::LambdaFunction { .. })
    }

    fn service<'a>(&'a self, resource: &'a Resource, _: &'a str) -> Cow<'a, str> {
        match resource {
            Resource::LambdaFunction { arn } if self.0.apart => arn.rsplit(':').next().unwrap_or_default().into(),
            _ => self.name().into(),
        }
    }

    fn limits(&self) -> ConnectorLimits {
        ConnectorLimits { concurrency: self.0.concurrency }
    }

    fn lost_error(&self, _: &Resource) -> ConnectorFailure {
        ConnectorFailure::new("Lambda.SdkClientException", "The answer was lost.")
    }

    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let functions = self.0.clone();
        Box::pin(async move {
            let Resource::LambdaFunction { arn } = &task.resource else { unreachable!("nothing else is accepted") };
            let name = arn.rsplit(':').next().unwrap_or_default().to_owned();
            let input = task.input.clone();
            let let_go = functions.let_go.notified();
            functions.calls.lock().unwrap().push(task);
            match name.as_str() {
                "fail" => TaskOutcome::Failed(ConnectorFailure::new("Boom", "as told")),
                "panic" => panic!("as told"),
                "hold" => {
                    let_go.await;
                    TaskOutcome::Succeeded(input)
                }
                _ => TaskOutcome::Succeeded(input),
            }
        })
    }
}

/// Seeds that count.
pub(crate) struct Counting(AtomicU64);

impl SeedSource for Counting {
    fn next(&self) -> u64 {
        // Spread, so that identities made of them differ in every part.
        self.0.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// What outlives an engine.
pub(crate) struct World {
    pub(crate) store: Arc<TestStore>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) options: EngineOptions,
    pub(crate) scope: Scope,
}

fn compile(text: &str) -> Result<Definition, String> {
    let parsed = stepwright_asl::parse(text, &stepwright_asl::Options::default());
    parsed.definition.ok_or_else(|| format!("{:?}", parsed.diagnostics))
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let mut options = EngineOptions::new(compile);
        options.shards = 2;
        options.clock = clock.clone();
        options.seeds = Arc::new(Counting(AtomicU64::new(1)));
        Self { store: Arc::default(), clock, functions: Arc::default(), options, scope: Scope::new(ACCOUNT, REGION) }
    }

    /// An engine on what the world holds.
    pub(crate) fn open(&self) -> Engine {
        let connectors: Vec<Arc<dyn Connector>> = vec![Arc::new(Scripted(self.functions.clone()))];
        Engine::open(self.store.clone(), connectors, self.options.clone()).unwrap()
    }

    pub(crate) async fn create(&self, engine: &Engine, name: &str, definition: &Value) -> Created {
        engine.create_state_machine(&self.scope, machine(name, definition)).await.unwrap()
    }

    pub(crate) async fn create_activity(&self, engine: &Engine, name: &str) -> Arc<str> {
        let new = NewActivity {
            arn: activity_arn(name).into(),
            name: name.into(),
            encryption: "{}".into(),
            tags: Vec::new(),
        };
        engine.create_activity(&self.scope, new).await.unwrap().arn
    }

    pub(crate) async fn start(
        &self,
        engine: &Engine,
        machine: &str,
        name: &str,
        input: &str,
    ) -> Result<Started, Error> {
        let new = NewExecution {
            state_machine_arn: machine_arn(machine).into(),
            name: name.into(),
            input: input.into(),
            trace_header: None,
            test_case: None,
        };
        engine.start_execution(&self.scope, new).await
    }

    pub(crate) async fn describe(&self, engine: &Engine, arn: &str) -> ExecutionDescription {
        engine.describe_execution(&self.scope, arn).await.unwrap()
    }

    /// Waits until the execution has ended.
    pub(crate) async fn end(&self, engine: &Engine, arn: &str) -> ExecutionDescription {
        let ended = async {
            loop {
                let progress = engine.wait_for_change(&self.scope, arn, u64::MAX - 1).await.unwrap();
                if progress.status != Status::Running {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("the execution ends");
        self.describe(engine, arn).await
    }

    /// The whole history.
    pub(crate) async fn history(&self, engine: &Engine, arn: &str) -> Vec<Event> {
        let page = PageRequest { max_results: 1_000, next_token: None };
        engine.history(&self.scope, arn, page, false).await.unwrap().events
    }

    /// The history's event types, without their members.
    pub(crate) async fn event_names(&self, engine: &Engine, arn: &str) -> Vec<String> {
        let name = |event: &Event| {
            let text = format!("{:?}", event.kind);
            text.split([' ', '(', '{']).next().unwrap_or_default().to_owned()
        };
        self.history(engine, arn).await.iter().map(name).collect()
    }
}

/// Where threads stand still while it is closed.
pub(crate) struct Gate {
    /// Whether it is closed, and how many stand before it.
    state: Mutex<(bool, usize)>,
    opened: Condvar,
}

impl Gate {
    pub(crate) const fn new() -> Self {
        Self { state: Mutex::new((false, 0)), opened: Condvar::new() }
    }

    pub(crate) fn close(&self, closed: bool) {
        self.state.lock().unwrap().0 = closed;
        self.opened.notify_all();
    }

    pub(crate) fn standing(&self) -> usize {
        self.state.lock().unwrap().1
    }

    /// Lets threads through whose names do not begin so, and these when it is open.
    pub(crate) fn pass(&self, threads: &str) {
        if std::thread::current().name().is_some_and(|name| name.starts_with(threads)) {
            let mut state = self.state.lock().unwrap();
            state.1 += 1;
            state = self.opened.wait_while(state, |state| state.0).unwrap();
            state.1 -= 1;
        }
    }
}

/// Waits until the engine's figures are as wanted.
pub(crate) async fn until(engine: &Engine, wanted: impl Fn(&Stats) -> bool) {
    until_true(|| wanted(&engine.stats())).await;
}

/// Waits until something is so.
pub(crate) async fn until_true(wanted: impl Fn() -> bool) {
    let waiting = async {
        while !wanted() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to that");
}

pub(crate) fn machine(name: &str, definition: &Value) -> NewStateMachine {
    let text = definition.to_string();
    NewStateMachine {
        publish: None,
        arn: machine_arn(name).into(),
        name: name.into(),
        definition: ValidDefinition { compiled: Arc::new(compile(&text).unwrap()), text: text.into() },
        role_arn: "arn:aws:iam::123456789012:role/r".into(),
        machine_type: MachineType::Standard,
        configurations: Configurations { logging: "{}".into(), tracing: "{}".into(), encryption: "{}".into() },
        tags: Vec::new(),
    }
}

pub(crate) fn machine_arn(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}")
}

pub(crate) fn activity_arn(name: &str) -> String {
    format!("arn:aws:states:{REGION}:{ACCOUNT}:activity:{name}")
}

pub(crate) fn function_arn(name: &str) -> String {
    format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}")
}

/// A machine of Pass states, one after the other.
pub(crate) fn chain(length: usize) -> Value {
    let states: serde_json::Map<String, Value> = (1..=length)
        .map(|at| {
            let mut state = json!({"Type": "Pass"});
            if at == length {
                state["End"] = json!(true);
            } else {
                state["Next"] = json!(format!("S{}", at + 1));
            }
            (format!("S{at}"), state)
        })
        .collect();
    json!({"StartAt": "S1", "States": states})
}

/// A machine of one Task state.
pub(crate) fn task(resource: &str) -> Value {
    json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": resource, "End": true}}})
}

/// A machine that waits.
pub(crate) fn wait(seconds: u64) -> Value {
    json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": seconds, "End": true}}})
}
