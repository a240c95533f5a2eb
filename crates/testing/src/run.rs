//! Runs one test: on an engine of its own, in memory, whose clock stands but for its jumps, so that the same test is the
//! same run, whatever else the machine does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use stepwright_asl::Definition;
use stepwright_engine::{
    Configurations, Engine, EngineOptions, Error, Event, ExecutionDescription, MachineType, NewExecution,
    NewStateMachine, PageRequest, Scope, ValidDefinition, VirtualClock, clock::SeedSource,
};
use stepwright_machine::{Millis, Status};
use stepwright_store::memory::MemoryStore;

use crate::{
    mocks::{Case, MockConfig, MockConnector},
    visits::Told,
};

/// The time at which every test begins: 2024-01-01T00:00:00Z.
pub const BEGINNING: Millis = 1_704_067_200_000;
/// How often it is looked whether a test stands still.
const LOOK: Duration = Duration::from_millis(20);
/// The account of every test.
pub const ACCOUNT: &str = "000000000000";
/// The region of every test.
pub const REGION: &str = "us-east-1";
/// The test case that a test's mocks are for its engine.
const CASE: &str = "test";

/// A state machine under test.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its name.
    pub name: Arc<str>,
    /// Its definition, JSON text.
    pub text: Arc<str>,
    /// The same, compiled.
    pub definition: Arc<Definition>,
}

/// What became of a test's execution.
#[derive(Clone, Debug)]
pub struct Ran {
    /// How it ended; `Running`: nothing can happen any more, and it is not over.
    pub status: Status,
    /// Its output.
    pub output: Option<Arc<str>>,
    /// Its error.
    pub error: Option<Arc<str>>,
    /// Its cause.
    pub cause: Option<Arc<str>>,
    /// What its history tells.
    pub told: Told,
    /// How long it took on its own clock, in milliseconds.
    pub lasted: Millis,
}

/// Numbers that look like any others and are the same in every run.
struct Seeds(AtomicU64);

impl SeedSource for Seeds {
    fn next(&self) -> u64 {
        // SplitMix64.
        let mut bits = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }
}

/// Runs an execution to its end. Must be called inside a tokio runtime.
///
/// # Errors
/// The engine refuses the machine or its input, or it took longer than this in real time.
pub async fn run(
    machine: &Machine,
    input: &Arc<str>,
    mocks: Case,
    compile: stepwright_engine::Compile,
    at_most: Duration,
) -> Result<Ran, String> {
    let clock = Arc::new(VirtualClock::alone(BEGINNING));
    let config = Arc::new(MockConfig::single(&machine.name, CASE, mocks));
    let mut options = EngineOptions::new(compile);
    options.shards = 1;
    options.clock = clock.clone();
    options.seeds = Arc::new(Seeds(AtomicU64::new(1)));
    options.mocks = Some(Arc::new(MockConnector::instead_of_all(config, clock)));
    let engine = Engine::open(Arc::new(MemoryStore::new()), Vec::new(), options).map_err(|error| error.to_string())?;
    let ran = execute(&engine, machine, input, at_most).await;
    // Its threads end here, and are waited for.
    drop(tokio::task::spawn_blocking(move || drop(engine)).await);
    ran
}

async fn execute(engine: &Engine, machine: &Machine, input: &Arc<str>, at_most: Duration) -> Result<Ran, String> {
    let said = |error: Error| error.to_string();
    let scope = Scope::new(ACCOUNT, REGION);
    let arn: Arc<str> = format!("arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{}", machine.name).into();
    let new = NewStateMachine {
        publish: None,
        arn: arn.clone(),
        name: machine.name.clone(),
        definition: ValidDefinition { compiled: machine.definition.clone(), text: machine.text.clone() },
        role_arn: format!("arn:aws:iam::{ACCOUNT}:role/test").into(),
        machine_type: MachineType::Standard,
        configurations: Configurations { logging: "{}".into(), tracing: "{}".into(), encryption: "{}".into() },
        tags: Vec::new(),
    };
    engine.create_state_machine(&scope, new).await.map_err(said)?;
    let new = NewExecution {
        state_machine_arn: arn,
        name: "test".into(),
        input: input.clone(),
        trace_header: None,
        test_case: Some(CASE.into()),
    };
    let started = engine.start_execution(&scope, new).await.map_err(said)?;
    let ended = end(engine, &scope, &started.arn, at_most).await?;
    let events = history(engine, &scope, &started.arn).await.map_err(said)?;
    let told = Told::of(&machine.definition, &events);
    let last = events.last().map_or(started.started_at, |event| event.at);
    Ok(Ran {
        status: ended.status,
        output: ended.output,
        error: ended.error,
        cause: ended.cause,
        told,
        lasted: last - started.started_at,
    })
}

/// Waits for the end, or until nothing can happen any more.
async fn end(engine: &Engine, scope: &Scope, arn: &str, at_most: Duration) -> Result<ExecutionDescription, String> {
    let said = |error: Error| error.to_string();
    let begun = Instant::now();
    loop {
        let changed = engine.wait_for_change(scope, arn, u64::MAX - 1);
        match tokio::time::timeout(LOOK, changed).await {
            Ok(progress) => {
                if progress.map_err(said)?.status != Status::Running {
                    return engine.describe_execution(scope, arn).await.map_err(said);
                }
            }
            Err(_) => {
                let clock = engine.clock().map_err(said)?;
                if clock.under_way == 0 && clock.waiting_calls == 0 && clock.next.is_none() {
                    let described = engine.describe_execution(scope, arn).await.map_err(said)?;
                    // Whatever was about to happen when the clock was looked at did happen by now.
                    if described.status != Status::Running || engine.clock().map_err(said)? == clock {
                        return Ok(described);
                    }
                }
            }
        }
        if begun.elapsed() > at_most {
            return Err(format!("it was still running after {} s", at_most.as_secs_f64()));
        }
    }
}

async fn history(engine: &Engine, scope: &Scope, arn: &str) -> Result<Vec<Event>, Error> {
    let mut events = Vec::new();
    let mut next_token = None;
    loop {
        let page = engine.history(scope, arn, PageRequest { max_results: 1_000, next_token }, false).await?;
        events.extend(page.events);
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(events);
        }
    }
}
