use std::collections::{BTreeMap, BTreeSet};

use stepwright_asl::{Options, Pattern, Resource, StateId, StateKind, parse};
use stepwright_machine::{
    Closing, Command, Definition, Effects, Execution, ExecutionId, ExecutionInfo, Input, InputKind, Limits, Millis,
    Payload, SEMANTICS, Status, TaskId, TimerId, step, step_on,
};

use super::{ECHO, workload};
use crate::workload::{Dice, Start};

const WORKLOADS: u64 = 200;
const BEGIN: Millis = 1_700_000_000_000;

fn definition(text: &str, seed: u64) -> Definition {
    let parsed = parse(text, &Options::default());
    assert!(parsed.unsupported.is_empty(), "seed {seed}: {:?}\n{text}", parsed.unsupported);
    parsed.definition.unwrap_or_else(|| panic!("seed {seed}: {:#?}\n{text}", parsed.diagnostics))
}

#[test]
fn the_same_dice_give_the_same_workload() {
    assert_eq!(workload(&mut Dice::new(7)), workload(&mut Dice::new(7)));
    assert_ne!(workload(&mut Dice::new(7)), workload(&mut Dice::new(8)));
}

#[test]
fn every_definition_is_valid_and_all_of_the_language_occurs() {
    let mut fields = BTreeSet::new();
    for seed in 0..WORKLOADS {
        for machine in workload(&mut Dice::new(seed)).machines {
            definition(&machine.definition, seed);
            collect(&serde_json::from_str(&machine.definition).expect("JSON"), &mut fields);
        }
    }
    let wanted = "Task Pass Choice Wait Succeed Fail Parallel Map Seconds SecondsPath Timestamp TimestampPath Retry \
        Catch MaxAttempts BackoffRate MaxDelaySeconds JitterStrategy TimeoutSeconds TimeoutSecondsPath \
        HeartbeatSeconds HeartbeatSecondsPath InputPath OutputPath ResultPath Parameters ResultSelector Result Assign \
        ItemsPath ItemSelector ItemProcessor Iterator MaxConcurrency MaxConcurrencyPath ToleratedFailurePercentage \
        Credentials ErrorPath CausePath Error Cause And Or Not StringMatches IsPresent BooleanEqualsPath Default \
        QueryLanguage Arguments Output Items Condition ItemReader ItemBatcher ResultWriter Label MaxItemsPerBatch \
        MaxInputBytesPerBatch BatchInput ToleratedFailureCount MaxItems WriterConfig";
    let missing: Vec<&str> = wanted.split_whitespace().filter(|field| !fields.contains(*field)).collect();
    assert!(missing.is_empty(), "never generated: {missing:?}");
}

/// Names of members, and of types of states.
fn collect(value: &serde_json::Value, fields: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                fields.insert(key.clone());
                if let (true, Some(kind)) = (key == "Type", value.as_str()) {
                    fields.insert(kind.to_owned());
                }
                collect(value, fields);
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, fields)),
        _ => {}
    }
}

/// An execution without an engine: tasks are answered at random, timers fire in order, all one after another.
struct World {
    definition: Definition,
    execution: Execution,
    timers: BTreeSet<(Millis, TimerId)>,
    open: BTreeMap<TaskId, Open>,
    /// Map runs under way, and whether their results go outside.
    runs: BTreeMap<TaskId, bool>,
    closing: Option<Closing>,
    goes_on: bool,
    now: Millis,
    turns: u64,
    seeds: u64,
}

struct Open {
    submits: bool,
    echo: bool,
    input: Payload,
}

impl World {
    fn new(text: &str, start: &Start, seed: u64) -> Self {
        let info = ExecutionInfo {
            id: ExecutionId::new(BEGIN, 7, 1),
            arn: "arn:aws:states:us-east-1:000000000000:execution:m:e".into(),
            name: start.name.as_str().into(),
            role_arn: "arn:aws:iam::000000000000:role/r".into(),
            state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:m".into(),
            state_machine_name: "m".into(),
            version_arn: None,
            alias_arn: None,
            machine: 1,
            revision: 1,
            started_at: BEGIN,
            trace_header: None,
            limits: Limits::AWS,
            semantics: SEMANTICS,
            scope: 1,
            token_key: [7; 32],
            workflow: stepwright_machine::Workflow::Standard,
            flow: 0,
            test_case: None,
        };
        let mut world = Self {
            definition: definition(text, seed),
            execution: Execution::new(info),
            timers: BTreeSet::new(),
            open: BTreeMap::new(),
            runs: BTreeMap::new(),
            closing: None,
            goes_on: false,
            now: BEGIN,
            turns: 0,
            seeds: seed,
        };
        world.submit(InputKind::Start { input: Payload::new(start.input.as_str()) });
        world
    }

    fn input(&mut self, kind: InputKind) -> Input {
        self.seeds += 1;
        Input { at: self.now, seed: self.seeds, kind }
    }

    fn submit(&mut self, kind: InputKind) {
        let input = self.input(kind);
        let mut effects = step(&self.definition, &mut self.execution, &[input]);
        let mut seen = 0;
        while let Some(command) = effects.commands.get(seen).cloned() {
            seen += 1;
            let kind = match command {
                Command::FindActivity { task, arn } if arn.ends_with("gone") => InputKind::ActivityMissing { task },
                Command::FindActivity { task, .. } => InputKind::ActivityFound { task },
                Command::ScheduleTask(task) => InputKind::TaskStarted { task: task.task, worker_name: None },
                _ => continue,
            };
            let input = self.input(kind);
            effects.absorb(step_on(&self.definition, &mut self.execution, &[input]));
        }
        self.turns += u64::from(!effects.is_empty());
        self.obey(&effects);
    }

    fn obey(&mut self, effects: &Effects) {
        for command in &effects.commands {
            match command {
                Command::SetTimer { timer, due, .. } => drop(self.timers.insert((*due, *timer))),
                Command::CancelTimer { timer, due } => drop(self.timers.remove(&(*due, *timer))),
                Command::ScheduleTask(task) => drop(self.open.insert(task.task, self.open(task.state, &task.input))),
                Command::CloseTask { task, .. } => drop(self.open.remove(task)),
                Command::Continue => self.goes_on = true,
                Command::Finish(closing) => self.closing = Some(closing.clone()),
                Command::FindActivity { .. } => {}
                Command::StartMapRun { run, plan } => drop(self.runs.insert(*run, plan.export.is_some())),
                Command::StopMapRun { run, .. } => drop(self.runs.remove(run)),
                Command::RedriveMapRun { .. } => panic!("nothing is redriven here"),
            }
        }
    }

    fn open(&self, state: StateId, input: &Payload) -> Open {
        let StateKind::Task(task) = &self.definition.state(state).kind else { panic!("only Task states have tasks") };
        let (submits, echo) = match &task.resource {
            Resource::Integration(integration) => (integration.pattern != Pattern::RequestResponse, false),
            Resource::Activity { arn } | Resource::LambdaFunction { arn } => (false, arn.ends_with(ECHO)),
        };
        Open { submits, echo, input: input.clone() }
    }

    /// Lets things happen until the execution ends.
    fn live(&mut self, dice: &mut Dice) {
        for _ in 0..5_000 {
            if self.closing.is_some() {
                return;
            }
            if std::mem::take(&mut self.goes_on) {
                self.submit(InputKind::Continue);
                continue;
            }
            if let Some((run, exports)) = self.runs.pop_first() {
                let output = if exports { "{\"MapRunArn\":\"a\"}" } else { "[1,{}]" };
                self.submit(match dice.roll(4) {
                    0 => {
                        let error = Some("States.ExceedToleratedFailureThreshold".into());
                        InputKind::MapRunFailed { run, error, cause: None }
                    }
                    _ => InputKind::MapRunSucceeded { run, output: Payload::new(output) },
                });
                continue;
            }
            let tasks: Vec<TaskId> = self.open.keys().copied().collect();
            // Few are so slow that time passes.
            if tasks.is_empty() || dice.one_in(20) {
                let (due, timer) =
                    self.timers.pop_first().expect("an execution that has not ended waits for something");
                self.now = self.now.max(due);
                self.submit(InputKind::TimerFired { timer });
                continue;
            }
            let task = *dice.pick(&tasks);
            let open = &self.open[&task];
            let kind = if open.submits {
                self.open.get_mut(&task).expect("just seen").submits = false;
                InputKind::TaskSubmitted { task, output: Payload::new("{}") }
            } else if dice.one_in(8) {
                let error = *dice.pick(&["Refused", "Lambda.SdkClientException", "States.Timeout", "Odd"]);
                InputKind::TaskFailed { task, error: Some(error.into()), cause: Some("as rolled".into()) }
            } else if open.echo {
                InputKind::TaskSucceeded { task, output: Payload::new(open.input.text().clone()) }
            } else {
                InputKind::TaskSucceeded { task, output: Payload::new(*dice.pick(&["{}", "[1]", "null", "\"x\""])) }
            };
            self.submit(kind);
        }
        panic!("the execution does not end");
    }
}

#[test]
fn every_execution_ends_and_takes_its_turns() {
    let mut turns = Vec::new();
    let mut ends: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..WORKLOADS {
        let mut dice = Dice::new(seed);
        let workload = workload(&mut dice);
        for start in &workload.starts {
            let text = &workload.machines[start.machine].definition;
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let mut world = World::new(text, start, seed);
                world.live(&mut dice);
                world
            }));
            let world = ended.unwrap_or_else(|_| panic!("seed {seed}, {}:\n{text}\n{}", start.name, start.input));
            let closing = world.closing.expect("it ended");
            if let Some(expected) = &start.expect {
                let output = closing.output.as_ref().map(|output| output.value().clone());
                let wanted: serde_json::Value = serde_json::from_str(&expected.output).expect("JSON");
                assert_eq!(output, Some(wanted), "seed {seed}, {}:\n{text}", start.name);
            }
            let end = match closing.status {
                Status::Succeeded => "succeeded",
                Status::TimedOut => "timed out",
                _ => "failed",
            };
            let error = closing.error.as_deref().unwrap_or_default();
            if std::env::var_os("SIM_SHOW").is_some() && end == "failed" {
                println!("{error}: {}", closing.cause.as_deref().unwrap_or_default());
            }
            *ends.entry(end).or_default() += 1;
            turns.push(world.turns);
        }
    }
    turns.sort_unstable();
    let median = turns[turns.len() / 2];
    let mean = turns.iter().sum::<u64>() / turns.len() as u64;
    println!("{} executions: {ends:?}, median {median} turns, mean {mean}", turns.len());
    assert!((20..=36).contains(&median) && mean <= 40, "median {median}, mean {mean}");
    assert!(ends.len() == 3 && ends["succeeded"] * 2 > turns.len() as u32, "{ends:?}");
}
