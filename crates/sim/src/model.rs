//! An execution as the fold of its stored inputs: what the checkers hold everything else against. It knows only what
//! was committed.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    mem::Discriminant,
    sync::Arc,
};

use stepwright_asl::{MapMode, QueryLanguage, State, StateKind};
use stepwright_engine::token_key;
use stepwright_machine::{
    Closing, Command, Definition, Effects, EventId, EventKind, Execution, ExecutionInfo, Input, InputKind, Millis,
    Payload, Status, TaskId, TurnId,
};
use stepwright_store::{
    Table,
    keys::{self, MetaKey},
    records::{self, ExecutionRow, MetaRow, PayloadRow, RevisionRow, TurnRow},
};

use crate::rows::Rows;

/// An event of a history.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) id: EventId,
    pub(crate) at: Millis,
    pub(crate) previous: EventId,
    pub(crate) kind: EventKind,
}

/// What a task was answered, as the execution took it in. A callback's answer that overtakes the answer of its submit
/// call does not end the task yet, so that another one may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Succeeded(Arc<str>),
    Failed,
}

/// An execution as its inputs make it.
pub(crate) struct Model {
    pub(crate) scope: u32,
    /// It is a child of a map run.
    pub(crate) is_child: bool,
    pub(crate) label: String,
    pub(crate) definition: Arc<Definition>,
    pub(crate) execution: Execution,
    pub(crate) turn: TurnId,
    pub(crate) next_event: EventId,
    pub(crate) events: Vec<Seen>,
    /// The kinds of events that follow an event.
    pub(crate) followers: BTreeMap<EventId, Vec<Discriminant<EventKind>>>,
    pub(crate) answers: BTreeMap<TaskId, Vec<Answer>>,
    pub(crate) heartbeats: BTreeMap<TaskId, u64>,
    /// Tasks that were ever sent or given to a worker.
    pub(crate) started: BTreeSet<TaskId>,
    /// Those whose submission was answered.
    pub(crate) submitted: BTreeSet<TaskId>,
    /// It was in quarantine, which takes answers without a look at their tasks.
    pub(crate) was_quarantined: bool,
    /// Its quarantine ended without the interpreter: nothing can be folded any more.
    pub(crate) closed_directly: bool,
}

thread_local! {
    static COMPILED: RefCell<HashMap<String, Arc<Definition>>> = RefCell::default();
}

/// A definition, compiled once per thread and text as long as there are not too many.
pub(crate) fn definition(text: &str) -> Result<Arc<Definition>, String> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(definition) = compiled.get(text) {
            return Ok(definition.clone());
        }
        let parsed = stepwright_asl::parse(text, &stepwright_asl::Options::default());
        let definition = Arc::new(parsed.definition.ok_or_else(|| format!("{:?}", parsed.diagnostics))?);
        if compiled.len() >= 64 {
            compiled.clear();
        }
        compiled.insert(text.to_owned(), definition.clone());
        Ok(definition)
    })
}

impl Model {
    /// An execution that has not taken anything in yet, from its rows.
    pub(crate) fn new(rows: &Rows, execution_key: &[u8]) -> Result<Self, String> {
        let (scope, id) = keys::parse_execution(execution_key).ok_or("its key is damaged")?;
        let row = rows.get(Table::Execution, execution_key).ok_or("it has no row of its own")?;
        let row: ExecutionRow = records::decode(Table::Execution, row).map_err(|error| error.to_string())?;
        let revision = rows.get(Table::Revision, &keys::revision(scope, row.machine, row.revision));
        let revision: RevisionRow = records::decode(Table::Revision, revision.ok_or("its revision is not there")?)
            .map_err(|error| error.to_string())?;
        let master = rows.get(Table::Meta, &keys::meta(MetaKey::MasterKey)).ok_or("the store has no secret")?;
        let MetaRow::Secret(master) = records::decode(Table::Meta, master).map_err(|error| error.to_string())? else {
            return Err("the store's secret is none".into());
        };
        // A child of a map run has the machine of its label.
        let label = row.child.as_ref().map_or_else(String::new, |child| format!("/{}", child.label));
        let machine_arn = format!("{}{label}", revision.machine_arn);
        let info = ExecutionInfo {
            id,
            arn: format!("{}:{}", machine_arn.replace(":stateMachine:", ":execution:"), row.name).into(),
            name: row.name.clone(),
            role_arn: revision.role_arn.clone(),
            state_machine_arn: machine_arn.into(),
            state_machine_name: format!("{}{label}", revision.machine_name).into(),
            version_arn: None,
            alias_arn: None,
            machine: u64::from(row.machine),
            revision: u64::from(row.revision),
            started_at: id.started_at(),
            trace_header: row.trace_header.clone(),
            limits: row.limits(),
            semantics: row.semantics,
            scope,
            token_key: token_key(master, id),
            workflow: stepwright_machine::Workflow::Standard,
            flow: row.child.as_ref().map_or(0, |child| child.flow),
            test_case: None,
        };
        Ok(Self {
            scope,
            is_child: row.child.is_some(),
            label: format!("{}:{}", revision.machine_name, row.name),
            definition: definition(&revision.definition)?,
            execution: Execution::new(info),
            turn: 0,
            next_event: 1,
            events: Vec::new(),
            followers: BTreeMap::new(),
            answers: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            started: BTreeSet::new(),
            submitted: BTreeSet::new(),
            was_quarantined: false,
            closed_directly: false,
        })
    }

    /// Whether it is over, by the interpreter's word or without it.
    pub(crate) fn is_closed(&self) -> bool {
        self.execution.head.closing.is_some() || self.closed_directly
    }

    /// The texts of a turn's payloads.
    pub(crate) fn texts(&self, rows: &Rows, turn: TurnId, row: &TurnRow) -> Result<Vec<Arc<str>>, String> {
        let large = |index: usize| {
            let index = u32::try_from(index).map_err(|error| error.to_string())?;
            let key = keys::payload(self.scope, self.execution.info.id, turn, index);
            let value = rows.get(Table::Payload, &key).ok_or_else(|| format!("payload {index} is not stored"))?;
            let row: PayloadRow = records::decode(Table::Payload, value).map_err(|error| error.to_string())?;
            Ok(row.text)
        };
        let all = row.payloads.iter().enumerate();
        all.map(|(index, text)| text.clone().map_or_else(|| large(index), Ok)).collect()
    }

    /// Takes a turn's inputs in.
    pub(crate) fn fold(&mut self, turn: TurnId, row: &TurnRow, texts: &[Arc<str>]) -> Effects {
        let inputs: Vec<Input> = row
            .inputs
            .iter()
            .map(|input| {
                let mut input = input.clone();
                if let InputKind::Start { input: payload }
                | InputKind::TaskSucceeded { output: payload, .. }
                | InputKind::TaskSubmitted { output: payload, .. }
                | InputKind::MapRunSucceeded { output: payload, .. } = &mut input.kind
                    && let Some(text) = texts.get(payload.id().index as usize)
                {
                    // Payloads of inputs come from outside again.
                    *payload = Payload::new(text.clone());
                }
                input
            })
            .collect();
        for input in &inputs {
            match &input.kind {
                InputKind::TaskSucceeded { task, output } => {
                    self.answers.entry(*task).or_default().push(Answer::Succeeded(output.text().clone()));
                }
                InputKind::TaskFailed { task, .. } => {
                    self.answers.entry(*task).or_default().push(Answer::Failed);
                }
                InputKind::TaskStarted { task, .. } => {
                    self.started.insert(*task);
                }
                InputKind::TaskSubmitted { task, .. } => drop(self.submitted.insert(*task)),
                InputKind::Heartbeat { task } => *self.heartbeats.entry(*task).or_default() += 1,
                _ => {}
            }
        }
        self.execution.head.turn = turn - 1;
        if inputs.iter().any(|input| input.kind == InputKind::Redrive) {
            self.closed_directly = false;
        }
        stepwright_machine::step(&self.definition, &mut self.execution, &inputs)
    }

    /// Appends the events of a turn that no input brought about; how many there were before.
    pub(crate) fn append_directly(&mut self, turn: TurnId, row: &TurnRow, texts: &[Arc<str>]) -> usize {
        let mut events = row.events.clone();
        for event in &mut events {
            if let EventKind::ExecutionStarted { input } = &mut event.kind
                && let Some(text) = texts.get(input.id().index as usize)
            {
                *input = Payload::numbered(input.id(), text.clone());
                self.execution.head.input = input.clone();
            }
            if let EventKind::ExecutionFailed(failure) = &event.kind {
                // What a redrive goes on with.
                let head = &mut self.execution.head;
                head.closing = Some(Closing {
                    status: Status::Failed,
                    at: row.at,
                    output: None,
                    error: failure.error.clone(),
                    cause: failure.cause.clone(),
                });
                head.turn = turn;
                head.next_event = row.first_event + row.events.len() as u64;
                head.last_at = head.last_at.max(row.at);
                head.timeout = None;
                head.ready.clear();
            }
        }
        self.append(turn, row, events)
    }

    /// Appends a turn's events; how many there were before.
    pub(crate) fn append(
        &mut self,
        turn: TurnId,
        row: &TurnRow,
        events: Vec<stepwright_machine::HistoryEvent>,
    ) -> usize {
        let before = self.events.len();
        for (id, event) in (row.first_event..).zip(events) {
            self.events.push(Seen { id, at: row.at, previous: event.previous(id), kind: event.kind });
        }
        self.turn = turn;
        self.next_event = row.first_event + row.events.len() as u64;
        before
    }
}

/// The name of an input.
pub(crate) fn input_name(kind: &InputKind) -> &'static str {
    match kind {
        InputKind::Start { .. } => "Start",
        InputKind::Continue => "Continue",
        InputKind::ActivityFound { .. } => "ActivityFound",
        InputKind::ActivityMissing { .. } => "ActivityMissing",
        InputKind::TaskStarted { .. } => "TaskStarted",
        InputKind::TaskSubmitted { .. } => "TaskSubmitted",
        InputKind::TaskSucceeded { .. } => "TaskSucceeded",
        InputKind::TaskFailed { .. } => "TaskFailed",
        InputKind::Heartbeat { .. } => "Heartbeat",
        InputKind::TimerFired { .. } => "TimerFired",
        InputKind::HeartbeatGrace { .. } => "HeartbeatGrace",
        InputKind::Stop { .. } => "Stop",
        InputKind::Abandon { .. } => "Abandon",
        InputKind::Settle => "Settle",
        InputKind::SubmitFailed { .. } => "SubmitFailed",
        InputKind::SubmitLost { .. } => "SubmitLost",
        InputKind::Pause => "Pause",
        InputKind::Redrive => "Redrive",
        InputKind::Expire => "Expire",
        InputKind::MapRunSucceeded { .. } => "MapRunSucceeded",
        InputKind::MapRunFailed { .. } => "MapRunFailed",
    }
}

/// The name of a command.
pub(crate) fn command_name(command: &Command) -> &'static str {
    match command {
        Command::FindActivity { .. } => "FindActivity",
        Command::ScheduleTask(_) => "ScheduleTask",
        Command::CloseTask { .. } => "CloseTask",
        Command::SetTimer { .. } => "SetTimer",
        Command::CancelTimer { .. } => "CancelTimer",
        Command::Continue => "Continue",
        Command::Finish(_) => "Finish",
        Command::StartMapRun { .. } => "StartMapRun",
        Command::StopMapRun { .. } => "StopMapRun",
        Command::RedriveMapRun { .. } => "RedriveMapRun",
    }
}

/// The name of a state's type, and of its language if that is JSONata.
pub(crate) fn state_name(state: &State) -> &'static str {
    let jsonata = state.query_language == QueryLanguage::Jsonata;
    let either = |path, query| if jsonata { query } else { path };
    match state.kind {
        StateKind::Task(_) => either("Task", "Task in JSONata"),
        StateKind::Pass(_) => either("Pass", "Pass in JSONata"),
        StateKind::Choice(_) => either("Choice", "Choice in JSONata"),
        StateKind::Wait(_) => either("Wait", "Wait in JSONata"),
        StateKind::Succeed => either("Succeed", "Succeed in JSONata"),
        StateKind::Fail(_) => either("Fail", "Fail in JSONata"),
        StateKind::Parallel(_) => either("Parallel", "Parallel in JSONata"),
        StateKind::Map(ref map) if map.mode != MapMode::Inline => {
            either("distributed Map", "distributed Map in JSONata")
        }
        StateKind::Map(_) => either("Map", "Map in JSONata"),
    }
}

/// The name of the field whose expression failed, from the place that the event gives: `Catch[0]/Output/x`.
pub(crate) fn field_name(location: Option<&str>) -> &'static str {
    let field = location.unwrap_or_default().split(['/', '[']).next();
    let known = crate::report::EVALUATIONS.iter().find(|known| Some(**known) == field);
    known.copied().unwrap_or("another field")
}
