//! A small world for the interpreter: it stores every turn as a shell would (frames and head serialised after each
//! commit, read back before the next), answers tasks by script, and moves time from timer to timer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use serde_json::Value;
use stepwright_asl::{Options, Resource, StateId, StateKind};
use stepwright_machine::{
    Closing, Command, Definition, Effects, EventKind, Execution, ExecutionId, ExecutionInfo, Frame, FrameId, Head,
    Input, InputKind, Limits, Millis, Outcome, Payload, PayloadId, SEMANTICS, TaskId, TimerId, TimerKind,
    map_run::MapRunPlan, step, step_on,
};

pub(crate) const START: Millis = 1_700_000_000_000;

/// How a task is answered.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Succeed(&'static str),
    Fail(&'static str, &'static str),
    /// As a worker that reports neither error nor cause.
    FailBlank,
    /// Never.
    Silence,
}

/// How far a map run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RunStage {
    Open,
    Stopped,
    Over,
}

pub(crate) struct World {
    pub(crate) definition: Definition,
    pub(crate) execution: Execution,
    pub(crate) events: Vec<(u64, Millis, u64, EventKind)>,
    pub(crate) inputs: Vec<Vec<Input>>,
    pub(crate) timers: BTreeMap<(Millis, TimerId), TimerKind>,
    pub(crate) open: Vec<(TaskId, StateId, Payload)>,
    /// The map runs that began, and what became of each.
    pub(crate) runs: Vec<(TaskId, Box<MapRunPlan>, RunStage)>,
    pub(crate) answers: VecDeque<Answer>,
    pub(crate) missing_activities: bool,
    pub(crate) closing: Option<Closing>,
    pub(crate) payloads: BTreeMap<PayloadId, Arc<str>>,
    /// Bytes of frames and heads written, by turn.
    pub(crate) written: Vec<usize>,
    rows: BTreeMap<u32, Vec<u8>>,
    now: Millis,
    seed: u64,
    go_on: bool,
}

pub(crate) fn parse(definition: &str) -> Definition {
    let parsed = stepwright_asl::parse(definition, &Options::default());
    parsed.definition.unwrap_or_else(|| panic!("{:#?}", parsed.diagnostics))
}

pub(crate) fn info(limits: Limits) -> ExecutionInfo {
    ExecutionInfo {
        id: ExecutionId::new(START, 7, 1),
        arn: "arn:aws:states:us-east-1:000000000000:execution:m:e".into(),
        name: "e".into(),
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        state_machine_arn: "arn:aws:states:us-east-1:000000000000:stateMachine:m".into(),
        state_machine_name: "m".into(),
        version_arn: None,
        alias_arn: None,
        machine: 1,
        revision: 1,
        started_at: START,
        trace_header: None,
        limits,
        semantics: SEMANTICS,
        scope: 1,
        token_key: [7; 32],
        workflow: stepwright_machine::Workflow::Standard,
        flow: 0,
        test_case: None,
    }
}

impl World {
    pub(crate) fn start(definition: &str, input: &str) -> World {
        Self::start_with(definition, input, Limits::AWS, &[])
    }

    pub(crate) fn start_with(definition: &str, input: &str, limits: Limits, answers: &[Answer]) -> World {
        let mut world = World::new(definition, limits, answers);
        world.submit(InputKind::Start { input: Payload::new(input) });
        world
    }

    pub(crate) fn new(definition: &str, limits: Limits, answers: &[Answer]) -> World {
        World {
            definition: parse(definition),
            execution: Execution::new(info(limits)),
            events: Vec::new(),
            inputs: Vec::new(),
            timers: BTreeMap::new(),
            open: Vec::new(),
            runs: Vec::new(),
            answers: answers.iter().cloned().collect(),
            missing_activities: false,
            closing: None,
            payloads: BTreeMap::new(),
            written: Vec::new(),
            rows: BTreeMap::new(),
            now: START,
            seed: 1,
            go_on: false,
        }
    }

    pub(crate) fn input(&mut self, kind: InputKind) -> Input {
        self.seed += 1;
        Input { at: self.now, seed: self.seed, kind }
    }

    /// One turn with one input, and what it makes the world say in the same turn.
    pub(crate) fn submit(&mut self, kind: InputKind) -> Outcome {
        self.submit_all(vec![kind])[0]
    }

    /// One turn with several inputs.
    pub(crate) fn submit_all(&mut self, kinds: Vec<InputKind>) -> Vec<Outcome> {
        let inputs: Vec<Input> = kinds.into_iter().map(|kind| self.input(kind)).collect();
        let mut effects = step(&self.definition, &mut self.execution, &inputs);
        let outcomes = effects.outcomes.clone();
        let mut next = 0;
        while next < effects.commands.len() {
            let command = effects.commands[next].clone();
            next += 1;
            let reply = match command {
                Command::FindActivity { task, .. } if self.missing_activities => InputKind::ActivityMissing { task },
                Command::FindActivity { task, .. } => InputKind::ActivityFound { task },
                Command::ScheduleTask(schedule) => {
                    self.open.push((schedule.task, schedule.state, schedule.input));
                    InputKind::TaskStarted { task: schedule.task, worker_name: Some("w".into()) }
                }
                _ => continue,
            };
            let input = self.input(reply);
            let more = step_on(&self.definition, &mut self.execution, &[input]);
            effects.absorb(more);
        }
        self.commit(&effects);
        outcomes
    }

    fn commit(&mut self, effects: &Effects) {
        for (place, event) in effects.events.iter().enumerate() {
            let id = effects.first_event + place as u64;
            self.events.push((id, effects.at, event.previous(id), event.kind.clone()));
        }
        for payload in &effects.payloads {
            let text = payload.text().clone();
            let before = self.payloads.insert(payload.id(), text);
            assert!(before.is_none(), "a payload number is used once");
        }
        if !effects.inputs.is_empty() {
            self.inputs.push(effects.inputs.clone());
        }
        for command in &effects.commands {
            match command {
                Command::SetTimer { timer, due, kind } => {
                    self.timers.insert((*due, *timer), *kind);
                }
                Command::CancelTimer { timer, due } => {
                    self.timers.remove(&(*due, *timer));
                }
                Command::CloseTask { task, .. } => self.open.retain(|(open, ..)| open != task),
                Command::Continue => self.go_on = true,
                Command::Finish(closing) => self.closing = Some(closing.clone()),
                Command::StartMapRun { run, plan } => {
                    assert!(self.runs.iter().all(|(known, ..)| known != run), "a run's number is used once");
                    let bytes = postcard::to_allocvec(plan).expect("a plan serialises");
                    let mut read: MapRunPlan = postcard::from_bytes(&bytes).expect("a plan reads back");
                    let payloads = &self.payloads;
                    read.hydrate(|id| payloads.get(&id).cloned()).expect("every named payload is stored");
                    assert_eq!(read, **plan, "what is stored is what was decided");
                    self.runs.push((*run, Box::new(read), RunStage::Open));
                }
                Command::StopMapRun { run, .. } => {
                    assert_eq!(self.stage(*run), RunStage::Open);
                    *self.stage_mut(*run) = RunStage::Stopped;
                }
                Command::RedriveMapRun { run, .. } => {
                    assert_ne!(self.stage(*run), RunStage::Open);
                    *self.stage_mut(*run) = RunStage::Open;
                }
                Command::FindActivity { .. } | Command::ScheduleTask(_) => {}
            }
        }
        self.store(effects);
        if self.closing.is_some() {
            assert!(self.timers.is_empty(), "a closed execution has no timers: {:?}", self.timers);
            assert!(self.open.is_empty(), "a closed execution has no open tasks");
            assert!(
                self.runs.iter().all(|(.., stage)| *stage != RunStage::Open),
                "a closed execution has no open runs"
            );
        }
    }

    /// Writes what changed and reads everything back, as after an eviction.
    fn store(&mut self, effects: &Effects) {
        let mut written = 0;
        for range in &effects.removed {
            self.rows.retain(|frame, _| !range.contains(frame));
        }
        for frame in &effects.changed {
            let bytes = postcard::to_allocvec(&self.execution.frames[&FrameId(*frame)]).expect("a frame serialises");
            written += bytes.len();
            self.rows.insert(*frame, bytes);
        }
        let head = postcard::to_allocvec(&self.execution.head).expect("a head serialises");
        written += head.len();
        self.written.push(written);
        let read: Head = postcard::from_bytes(&head).expect("a head reads back");
        let mut execution = Execution::new(self.execution.info.clone());
        execution.head = read;
        // As the shell keeps it, apart from the head.
        execution.head.redriven = self.execution.head.redriven;
        for (frame, bytes) in &self.rows {
            let frame_read: Frame = postcard::from_bytes(bytes).expect("a frame reads back");
            execution.frames.insert(FrameId(*frame), frame_read);
        }
        let payloads = &self.payloads;
        execution.hydrate(|id| payloads.get(&id).cloned()).expect("every named payload is stored");
        assert_eq!(execution.frames, self.execution.frames, "what is stored is what is in memory");
        self.execution = execution;
    }

    /// Answers tasks by script, moves time, goes on: until the execution closes or nothing is left to happen.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            if self.closing.is_some() {
                return;
            }
            if std::mem::take(&mut self.go_on) {
                self.submit(InputKind::Continue);
            } else if let Some(place) = self.next_answerable() {
                let (task, ..) = self.open.remove(place);
                let kind = match self.answers.pop_front().expect("an answer is there") {
                    Answer::Succeed(output) => InputKind::TaskSucceeded { task, output: Payload::new(output) },
                    Answer::Fail(error, cause) => {
                        InputKind::TaskFailed { task, error: Some(error.into()), cause: Some(cause.into()) }
                    }
                    Answer::FailBlank => InputKind::TaskFailed { task, error: None, cause: None },
                    Answer::Silence => continue,
                };
                assert_eq!(self.submit(kind), Outcome::Accepted);
            } else if let Some(((due, timer), _)) = self.timers.pop_first() {
                assert!(due >= self.now, "time does not go back");
                self.now = due;
                assert_eq!(self.submit(InputKind::TimerFired { timer }), Outcome::Accepted);
            } else {
                return;
            }
        }
        panic!("the execution does not end");
    }

    fn next_answerable(&self) -> Option<usize> {
        (!self.answers.is_empty() && !self.open.is_empty()).then_some(0)
    }

    pub(crate) fn stage(&self, run: TaskId) -> RunStage {
        self.runs.iter().find(|(known, ..)| *known == run).expect("a known run").2
    }

    fn stage_mut(&mut self, run: TaskId) -> &mut RunStage {
        &mut self.runs.iter_mut().find(|(known, ..)| *known == run).expect("a known run").2
    }

    /// The run that is open.
    fn open_run(&self) -> TaskId {
        self.runs.iter().find(|(.., stage)| *stage == RunStage::Open).expect("a run is open").0
    }

    /// What the run that began last is to do.
    pub(crate) fn plan(&self) -> &MapRunPlan {
        &self.runs.last().expect("a run began").1
    }

    /// The open run ends well.
    pub(crate) fn run_succeeds(&mut self, output: &str) {
        let run = self.open_run();
        *self.stage_mut(run) = RunStage::Over;
        let output = Payload::new(output);
        assert_eq!(self.submit(InputKind::MapRunSucceeded { run, output }), Outcome::Accepted);
        self.run();
    }

    /// The open run fails.
    pub(crate) fn run_fails(&mut self, error: &str, cause: &str) {
        let run = self.open_run();
        *self.stage_mut(run) = RunStage::Over;
        let (error, cause) = (Some(error.into()), Some(cause.into()));
        assert_eq!(self.submit(InputKind::MapRunFailed { run, error, cause }), Outcome::Accepted);
        self.run();
    }

    pub(crate) fn advance(&mut self, millis: Millis) {
        self.now += millis;
    }

    pub(crate) fn advance_to(&mut self, at: Millis) {
        self.now = self.now.max(at);
    }

    /// Whether the last turn was cut and asked to go on. Asking takes the answer.
    pub(crate) fn goes_on(&mut self) -> bool {
        std::mem::take(&mut self.go_on)
    }

    pub(crate) fn output(&self) -> String {
        let closing = self.closing.as_ref().expect("the execution is closed");
        closing.output.as_ref().expect("it succeeded").text().to_string()
    }

    pub(crate) fn failure(&self) -> (String, String) {
        let closing = self.closing.as_ref().expect("the execution is closed");
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or("-").to_owned();
        (text(&closing.error), text(&closing.cause))
    }

    /// `id<-previous Type` lines, with the members that matter.
    pub(crate) fn history(&self) -> String {
        let lines: Vec<String> = self
            .events
            .iter()
            .map(|(id, _, previous, kind)| format!("{id}<-{previous} {}", describe(&self.definition, kind)))
            .collect();
        lines.join("\n")
    }

    /// The master invariant: the fold of the stored inputs gives the stored frames and the recorded history.
    pub(crate) fn check_fold(&self) {
        let mut execution = Execution::new(self.execution.info.clone());
        let mut events = Vec::new();
        for turn in &self.inputs {
            let turn: Vec<Input> = turn.iter().map(|input| self.renumber(input)).collect();
            let effects = step(&self.definition, &mut execution, &turn);
            assert!(effects.outcomes.iter().all(|outcome| *outcome == Outcome::Accepted));
            for (place, event) in effects.events.iter().enumerate() {
                let id = effects.first_event + place as u64;
                events.push((id, effects.at, event.previous(id), event.kind.clone()));
            }
        }
        for (folded, recorded) in events.iter().zip(&self.events) {
            assert_eq!(folded, recorded, "the fold gives the history");
        }
        assert_eq!(events.len(), self.events.len(), "the fold gives the whole history");
        assert_eq!(execution.frames, self.execution.frames, "the fold gives the frames");
    }

    /// A stored input as it was before it was taken in: its payload has a text and no number.
    fn renumber(&self, input: &Input) -> Input {
        let fresh = |payload: &Payload| Payload::new(self.payloads[&payload.id()].clone());
        let kind = match &input.kind {
            InputKind::Start { input } => InputKind::Start { input: fresh(input) },
            InputKind::TaskSucceeded { task, output } => {
                InputKind::TaskSucceeded { task: *task, output: fresh(output) }
            }
            InputKind::TaskSubmitted { task, output } => {
                InputKind::TaskSubmitted { task: *task, output: fresh(output) }
            }
            InputKind::MapRunSucceeded { run, output } => {
                InputKind::MapRunSucceeded { run: *run, output: fresh(output) }
            }
            other => other.clone(),
        };
        Input { kind, ..input.clone() }
    }
}

pub(crate) fn check_history(world: &World, expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(world.history().lines().collect::<Vec<_>>(), expected, "\n{}", world.history());
    world.check_fold();
}

fn describe(definition: &Definition, kind: &EventKind) -> String {
    let state = |number: u32| definition.state(StateId(number));
    let name = |number: u32| state(number).name.to_string();
    let kind_name = |number: u32| match &state(number).kind {
        StateKind::Task(_) => "Task",
        StateKind::Pass(_) => "Pass",
        StateKind::Choice(_) => "Choice",
        StateKind::Wait(_) => "Wait",
        StateKind::Succeed => "Succeed",
        StateKind::Fail(_) => "Fail",
        StateKind::Parallel(_) => "Parallel",
        StateKind::Map(_) => "Map",
    };
    let failure = |failure: &stepwright_machine::Failure| match (&failure.error, &failure.cause) {
        (None, None) => String::new(),
        (error, cause) => format!(" {}: {}", error.as_deref().unwrap_or("-"), cause.as_deref().unwrap_or("-")),
    };
    match kind {
        EventKind::MapRunStarted { arn } => format!("MapRunStarted {}", label(arn)),
        EventKind::MapRunSucceeded => "MapRunSucceeded".into(),
        EventKind::MapRunFailed(f) => format!("MapRunFailed{}", failure(f)),
        EventKind::MapRunAborted => "MapRunAborted".into(),
        EventKind::MapRunRedriven { arn, count } => format!("MapRunRedriven {} {count}", label(arn)),
        EventKind::ExecutionRedriven { count } => format!("ExecutionRedriven {count}"),
        EventKind::ExecutionStarted { input } => format!("ExecutionStarted {}", input.text()),
        EventKind::ExecutionSucceeded { output } => format!("ExecutionSucceeded {}", output.text()),
        EventKind::ExecutionFailed(f) => format!("ExecutionFailed{}", failure(f)),
        EventKind::ExecutionAborted(f) => format!("ExecutionAborted{}", failure(f)),
        EventKind::ExecutionTimedOut(f) => format!("ExecutionTimedOut{}", failure(f)),
        EventKind::StateEntered { state: s, input } => {
            format!("{}StateEntered {} {}", kind_name(*s), name(*s), input.text())
        }
        EventKind::StateExited { state: s, output, assigned } => {
            let assigned: String = assigned.iter().map(|(name, value)| format!(" {name}={}", value.text())).collect();
            format!("{}StateExited {} {}{assigned}", kind_name(*s), name(*s), output.text())
        }
        EventKind::StateAborted { state: s } => format!("{}StateAborted", kind_name(*s)),
        EventKind::LambdaFunctionScheduled { state: s, input, timeout, .. } => {
            let Resource::LambdaFunction { arn } = resource(definition, *s) else { panic!("a Lambda function") };
            let function = arn.rsplit(':').next().expect("a name").to_owned();
            format!("LambdaFunctionScheduled {function} {}{}", input.text(), seconds("timeout", *timeout))
        }
        EventKind::LambdaFunctionStarted => "LambdaFunctionStarted".into(),
        EventKind::LambdaFunctionSucceeded { output } => format!("LambdaFunctionSucceeded {}", output.text()),
        EventKind::LambdaFunctionFailed(f) => format!("LambdaFunctionFailed{}", failure(f)),
        EventKind::LambdaFunctionTimedOut(f) => format!("LambdaFunctionTimedOut{}", failure(f)),
        EventKind::ActivityScheduled { input, timeout, heartbeat, .. } => format!(
            "ActivityScheduled {}{}{}",
            input.text(),
            seconds("timeout", *timeout),
            seconds("heartbeat", *heartbeat)
        ),
        EventKind::ActivityStarted { worker_name } => {
            format!("ActivityStarted {}", worker_name.as_deref().unwrap_or_default())
        }
        EventKind::ActivitySucceeded { output } => format!("ActivitySucceeded {}", output.text()),
        EventKind::ActivityFailed(f) => format!("ActivityFailed{}", failure(f)),
        EventKind::ActivityTimedOut(f) => format!("ActivityTimedOut{}", failure(f)),
        EventKind::TaskScheduled { parameters, timeout, heartbeat, .. } => format!(
            "TaskScheduled {}{}{}",
            parameters.text(),
            seconds("timeout", *timeout),
            seconds("heartbeat", *heartbeat)
        ),
        EventKind::TaskStarted { .. } => "TaskStarted".into(),
        EventKind::TaskSubmitted { output, .. } => format!("TaskSubmitted {}", output.text()),
        EventKind::TaskSucceeded { output, .. } => format!("TaskSucceeded {}", output.text()),
        EventKind::TaskFailed { failure: f, .. } => format!("TaskFailed{}", failure(f)),
        EventKind::TaskTimedOut { failure: f, .. } => format!("TaskTimedOut{}", failure(f)),
        EventKind::ParallelStateStarted => "ParallelStateStarted".into(),
        EventKind::ParallelStateSucceeded => "ParallelStateSucceeded".into(),
        EventKind::ParallelStateFailed => "ParallelStateFailed".into(),
        EventKind::MapStateStarted { length } => format!("MapStateStarted {length}"),
        EventKind::MapStateSucceeded => "MapStateSucceeded".into(),
        EventKind::MapStateFailed => "MapStateFailed".into(),
        EventKind::MapIterationStarted { index, .. } => format!("MapIterationStarted {index}"),
        EventKind::MapIterationSucceeded { index, .. } => format!("MapIterationSucceeded {index}"),
        EventKind::MapIterationFailed { index, .. } => format!("MapIterationFailed {index}"),
        EventKind::MapIterationAborted { index, .. } => format!("MapIterationAborted {index}"),
        EventKind::EvaluationFailed { state: s, location, failure: f } => {
            format!("EvaluationFailed {} at {}{}", name(*s), location.as_deref().unwrap_or("-"), failure(f))
        }
    }
}

fn resource(definition: &Definition, state: u32) -> &Resource {
    match &definition.state(StateId(state)).kind {
        StateKind::Task(task) => &task.resource,
        other => panic!("a Task state, not {other:?}"),
    }
}

/// What stands between the machine and the run in a run's ARN.
fn label(arn: &str) -> &str {
    let (rest, _) = arn.rsplit_once(':').expect("an ARN");
    rest.split_once(":mapRun:m/").expect("the ARN of a map run").1
}

fn seconds(name: &str, seconds: Option<u64>) -> String {
    seconds.map(|seconds| format!(" {name}={seconds}")).unwrap_or_default()
}

/// A value to compare without regard to the order of members.
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}
