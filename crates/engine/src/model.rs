//! What goes into and comes out of the engine's operations. Plain values; times are milliseconds since the epoch.

use std::sync::Arc;

use crate::error::NotRedrivable;

use stepwright_machine::{Definition, EventId, EventKind, Millis, Status};

/// An account in a region: resources of different scopes never see each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The account, 12 digits.
    pub account: Arc<str>,
    /// The region.
    pub region: Arc<str>,
}

impl Scope {
    /// The scope of this account and region.
    #[must_use]
    pub fn new(account: impl Into<Arc<str>>, region: impl Into<Arc<str>>) -> Self {
        Self { account: account.into(), region: region.into() }
    }
}

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its key.
    pub key: Arc<str>,
    /// Its value.
    pub value: Arc<str>,
}

/// The type of a state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineType {
    /// `STANDARD`
    Standard,
    /// `EXPRESS`
    Express,
}

/// Whether a state machine takes new executions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MachineStatus {
    /// `ACTIVE`
    Active,
    /// `DELETING`
    Deleting,
}

/// The three configurations of a state machine, each the JSON text to give back, in its normal form: equal
/// configurations must have equal texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configurations {
    /// `loggingConfiguration`
    pub logging: Arc<str>,
    /// `tracingConfiguration`
    pub tracing: Arc<str>,
    /// `encryptionConfiguration`
    pub encryption: Arc<str>,
}

/// A definition that passed validation.
#[derive(Clone, Debug)]
pub struct ValidDefinition {
    /// The text, byte for byte as given.
    pub text: Arc<str>,
    /// What the interpreter runs.
    pub compiled: Arc<Definition>,
}

/// A state machine to create.
#[derive(Clone, Debug)]
pub struct NewStateMachine {
    /// The ARN it will have. Its account and region are those of the caller's scope.
    pub arn: Arc<str>,
    /// Its name, the last part of the ARN.
    pub name: Arc<str>,
    /// Its definition.
    pub definition: ValidDefinition,
    /// Its role.
    pub role_arn: Arc<str>,
    /// Its type.
    pub machine_type: MachineType,
    /// Its configurations.
    pub configurations: Configurations,
    /// Its tags, each key once.
    pub tags: Vec<Tag>,
    /// Publish it as its first version, with this description.
    pub publish: Option<Option<Arc<str>>>,
}

/// A revision to publish as a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Publication {
    /// The revision that must be in force; any, if none. The first has the empty text.
    pub revision_id: Option<Arc<str>>,
    /// The version's description.
    pub description: Option<Arc<str>>,
}

/// What an alias routes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The ARN of a version.
    pub version_arn: Arc<str>,
    /// Of a hundred starts, so many.
    pub weight: u8,
}

/// An alias to create.
#[derive(Clone, Debug)]
pub struct NewAlias {
    /// Its name.
    pub name: Arc<str>,
    /// One or two versions of the same machine, whose weights add up to 100.
    pub routes: Vec<Route>,
    /// Its description.
    pub description: Option<Arc<str>>,
}

/// Changes to an alias. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct AliasUpdate {
    /// The new routes, as in [`NewAlias`].
    pub routes: Option<Vec<Route>>,
    /// The new description.
    pub description: Option<Arc<str>>,
}

/// An alias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its description.
    pub description: Option<Arc<str>>,
    /// What it routes to, in the order given.
    pub routes: Vec<Route>,
    /// When it was created.
    pub created_at: Millis,
    /// When it was changed last.
    pub updated_at: Millis,
}

/// The answer to a creation: of a state machine, a version, an alias or an activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// The ARN.
    pub arn: Arc<str>,
    /// When it was first created.
    pub created_at: Millis,
    /// The version that was published along with it.
    pub version_arn: Option<Arc<str>>,
}

/// Changes to a state machine. What is `None` stays.
#[derive(Clone, Debug, Default)]
pub struct StateMachineUpdate {
    /// The new definition.
    pub definition: Option<ValidDefinition>,
    /// The new role.
    pub role_arn: Option<Arc<str>>,
    /// The new `loggingConfiguration`.
    pub logging: Option<Arc<str>>,
    /// The new `tracingConfiguration`.
    pub tracing: Option<Arc<str>>,
    /// The new `encryptionConfiguration`.
    pub encryption: Option<Arc<str>>,
    /// Publish what comes of it, with this description.
    pub publish: Option<Option<Arc<str>>>,
}

/// The answer to an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// When.
    pub updated_at: Millis,
    /// The revision now in force; none as long as nothing was ever changed.
    pub revision_id: Option<Arc<str>>,
    /// The version that it was published as, if that was asked for.
    pub version_arn: Option<Arc<str>>,
}

/// A state machine as it is, or as it was in one revision.
#[derive(Clone, Debug)]
pub struct StateMachine {
    /// Its ARN, unqualified.
    pub arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub machine_type: MachineType,
    /// Whether it takes new executions.
    pub status: MachineStatus,
    /// When it was created.
    pub created_at: Millis,
    /// When this revision came into force.
    pub updated_at: Millis,
    /// The definition, text and compiled.
    pub definition: ValidDefinition,
    /// The role.
    pub role_arn: Arc<str>,
    /// The configurations.
    pub configurations: Configurations,
    /// The revision's identity; none for the initial one.
    pub revision_id: Option<Arc<str>>,
    /// The description of the version that was asked for.
    pub description: Option<Arc<str>>,
    /// The map run whose children it is of, as its ARN and its label.
    pub map_run: Option<(Arc<str>, Arc<str>)>,
}

/// A state machine in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateMachineItem {
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its type.
    pub machine_type: MachineType,
    /// When it was created.
    pub created_at: Millis,
}

/// An execution to start.
#[derive(Clone, Debug)]
pub struct NewExecution {
    /// The ARN of the state machine, of a version or of an alias.
    pub state_machine_arn: Arc<str>,
    /// Its name, checked. The caller makes up a random one where none was given.
    pub name: Arc<str>,
    /// The input, valid JSON text.
    pub input: Arc<str>,
    /// X-Ray trace header.
    pub trace_header: Option<Arc<str>>,
    /// The test case whose mocked answers it gets.
    pub test_case: Option<Arc<str>>,
}

/// The answer to StartExecution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The execution's ARN.
    pub arn: Arc<str>,
    /// When it started.
    pub started_at: Millis,
}

/// The end of an Express execution that somebody waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressEnd {
    /// Its ARN.
    pub arn: Arc<str>,
    /// The unqualified ARN of its state machine.
    pub state_machine_arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// How it ended.
    pub status: Status,
    /// When it started.
    pub started_at: Millis,
    /// When it ended.
    pub stopped_at: Millis,
    /// Its input.
    pub input: Arc<str>,
    /// Its output, of a success.
    pub output: Option<Arc<str>>,
    /// Error name.
    pub error: Option<Arc<str>>,
    /// Cause.
    pub cause: Option<Arc<str>>,
    /// X-Ray trace header.
    pub trace_header: Option<Arc<str>>,
    /// The most bytes of memory that it held at once, about.
    pub memory_bytes: usize,
}

/// An execution.
#[derive(Clone, Debug)]
pub struct ExecutionDescription {
    /// Its ARN.
    pub arn: Arc<str>,
    /// The unqualified ARN of its state machine.
    pub state_machine_arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its status.
    pub status: Status,
    /// When it started.
    pub started_at: Millis,
    /// When it ended.
    pub stopped_at: Option<Millis>,
    /// Its input.
    pub input: Arc<str>,
    /// Its output, of a success.
    pub output: Option<Arc<str>>,
    /// Error name, of a failure, time-out or stop.
    pub error: Option<Arc<str>>,
    /// Cause, likewise.
    pub cause: Option<Arc<str>>,
    /// X-Ray trace header.
    pub trace_header: Option<Arc<str>>,
    /// The version it was started by.
    pub version_arn: Option<Arc<str>>,
    /// The alias it was started by.
    pub alias_arn: Option<Arc<str>>,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// When it was redriven last.
    pub redriven_at: Option<Millis>,
    /// The number of its last event.
    pub last_event: EventId,
    /// Why it cannot be redriven, if it cannot.
    pub not_redrivable: Option<NotRedrivable>,
    /// Whether it is in quarantine (then it stands still).
    pub quarantined: bool,
    /// The map run whose child it is.
    pub map_run_arn: Option<Arc<str>>,
}

/// An execution in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionItem {
    /// Its ARN.
    pub arn: Arc<str>,
    /// The unqualified ARN of its state machine.
    pub state_machine_arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its status.
    pub status: Status,
    /// It failed, and waits for its map run's redrive to begin it again.
    pub is_pending_redrive: bool,
    /// When it started.
    pub started_at: Millis,
    /// When it ended.
    pub stopped_at: Option<Millis>,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// When it was redriven last.
    pub redriven_at: Option<Millis>,
    /// The version it was started by.
    pub version_arn: Option<Arc<str>>,
    /// The alias it was started by.
    pub alias_arn: Option<Arc<str>>,
    /// The items in its input, if it is a child of a map run.
    pub items: Option<u32>,
}

/// A map run.
#[derive(Clone, Debug, PartialEq)]
pub struct MapRunDescription {
    /// Its ARN.
    pub arn: Arc<str>,
    /// The ARN of the execution whose state began it.
    pub execution_arn: Arc<str>,
    /// `Running`, `Succeeded`, `Failed` or `Aborted`.
    pub status: Status,
    /// When it began.
    pub started_at: Millis,
    /// When it ended.
    pub stopped_at: Option<Millis>,
    /// Children in flight at most; 0: unlimited.
    pub max_concurrency: u64,
    /// Failures that are tolerated.
    pub tolerated_failure_count: u64,
    /// The same in per cent.
    pub tolerated_failure_percentage: f64,
    /// What became of the items.
    pub item_counts: MapRunCounts,
    /// What became of the children.
    pub execution_counts: MapRunCounts,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// When it was redriven last.
    pub redriven_at: Option<Millis>,
    /// Whether all items are known: the totals are final then.
    pub is_read: bool,
}

/// What became of the items or the children of a map run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "AWS's names")]
pub struct MapRunCounts {
    pub pending: u64,
    pub running: u64,
    pub succeeded: u64,
    pub failed: u64,
    pub timed_out: u64,
    pub aborted: u64,
    pub total: u64,
    pub results_written: u64,
    pub failures_not_redrivable: u64,
    pub pending_redrive: u64,
}

/// A map run in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRunItem {
    /// The ARN of the execution whose state began it.
    pub execution_arn: Arc<str>,
    /// Its ARN.
    pub arn: Arc<str>,
    /// The ARN of the state machine of its children.
    pub state_machine_arn: Arc<str>,
    /// When it began.
    pub started_at: Millis,
    /// When it ended.
    pub stopped_at: Option<Millis>,
}

/// What UpdateMapRun changes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MapRunSettings {
    /// Children in flight at most; 0: unlimited.
    pub max_concurrency: Option<u64>,
    /// Failures that are tolerated.
    pub tolerated_failure_count: Option<u64>,
    /// The same in per cent.
    pub tolerated_failure_percentage: Option<f64>,
}

/// Which children of a map run a list shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapRunOf {
    /// Those of this status.
    Status(Status),
    /// Those that wait for their redrive.
    PendingRedrive,
}

/// A history event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number.
    pub id: EventId,
    /// Its time.
    pub at: Millis,
    /// `previousEventId`.
    pub previous: EventId,
    /// What happened; every payload has its text.
    pub kind: EventKind,
}

/// A page of a history, with what is needed to spell its events.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The events.
    pub events: Vec<Event>,
    /// Where to go on.
    pub next_token: Option<String>,
    /// The definition that the execution runs: its state numbers are those of the events.
    pub definition: Arc<Definition>,
    /// The execution's role.
    pub role_arn: Arc<str>,
    /// The execution's region.
    pub region: Arc<str>,
    /// The version it was started by.
    pub version_arn: Option<Arc<str>>,
    /// The alias it was started by.
    pub alias_arn: Option<Arc<str>>,
}

/// How far an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its status.
    pub status: Status,
    /// The number of its last event.
    pub last_event: EventId,
}

/// Which page of a list.
#[derive(Clone, Debug, Default)]
pub struct PageRequest {
    /// Items at most; 0 means 100.
    pub max_results: usize,
    /// Where to go on.
    pub next_token: Option<String>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on; none at the end.
    pub next_token: Option<String>,
}

/// An activity to create.
#[derive(Clone, Debug)]
pub struct NewActivity {
    /// The ARN it will have. Its account and region are those of the caller's scope.
    pub arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// `encryptionConfiguration`, JSON text in its normal form.
    pub encryption: Arc<str>,
    /// Its tags, each key once.
    pub tags: Vec<Tag>,
}

/// An activity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// When it was created.
    pub created_at: Millis,
    /// `encryptionConfiguration`, JSON text.
    pub encryption: Arc<str>,
}

/// An execution in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedExecution {
    /// Its ARN.
    pub arn: Arc<str>,
    /// Its account and region.
    pub scope: Scope,
    /// Why: the message of the broken invariant.
    pub cause: Arc<str>,
    /// Since when.
    pub at: Millis,
    /// What it was to take in when it broke and what came later, one line each.
    pub inputs: Vec<String>,
    /// Inputs that came when the list was full and were dropped.
    pub dropped_inputs: u64,
}

/// What an engine holds and does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Turns committed since the engine was opened.
    pub turns: u64,
    /// Executions started since then.
    pub started: u64,
    /// Executions that ended since then.
    pub closed: u64,
    /// Executions in memory.
    pub hot_executions: u64,
    /// Approximate bytes of them.
    pub hot_bytes: u64,
    /// Activity tasks that wait for a worker.
    pub queued_activity_tasks: u64,
    /// Workers that wait for an activity task.
    pub pollers: u64,
    /// Connector tasks that wait for a slot.
    pub queued_connector_tasks: u64,
    /// Connector calls in flight.
    pub calls_in_flight: u64,
    /// Turns whose expressions take long, computed beside the others or waiting for that.
    pub long_turns: u64,
    /// Executions in quarantine, put there since the engine was opened.
    pub quarantined: u64,
    /// Express executions that are open.
    pub express_open: u64,
    /// Approximate bytes of memory that they hold.
    pub express_bytes: u64,
    /// Express executions that a crash interrupted and that wait for room to run again.
    pub express_waiting: u64,
    /// What the store says of itself.
    pub store: stepwright_store::Stats,
}

/// What waits for one sink, and what became of the rest since the engine was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoticeStats {
    /// Its channel.
    pub channel: crate::Channel,
    /// Turns that it is yet to be told of.
    pub waiting: u64,
    /// The time of the oldest of them.
    pub oldest_at: Option<Millis>,
    /// Turns that it was told of.
    pub delivered: u64,
    /// Turns that it never will be told of.
    pub dropped: u64,
}

/// What a virtual clock is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// How it goes.
    pub mode: crate::ClockMode,
    /// The time it shows.
    pub now: Millis,
    /// Milliseconds that it is before the machine's clock; below 0: behind.
    pub ahead: Millis,
    /// Where it is on its way to.
    pub target: Option<Millis>,
    /// When the next timer is due, if there is one and it is known.
    pub next: Option<Millis>,
    /// Turns, commits and calls under way. Any of them keeps time from being skipped, as does what follows.
    pub under_way: u64,
    /// Tasks that wait for their turn to be called.
    pub waiting_calls: u64,
    /// Tasks that a worker, or whoever was given their token, has in hand.
    pub held_outside: u64,
    /// Whether a task waits for a worker that polled its activity within the last minute.
    pub awaits_worker: bool,
}
