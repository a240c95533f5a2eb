//! Typed rows. Every stored value begins with the version of its format; fields are only ever appended, and a change
//! of a field is a new version. A row of a newer version is refused, never guessed at.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use stepwright_machine::{
    Closing, EvaluationLimits, EventId, ExecutionId, HistoryEvent, Input, Limits, Millis, Payload, Status, TimerKind,
    TurnId,
};

use crate::{
    Error, Table,
    keys::{MachineNumber, ScopeNumber, VersionNumber},
    map_runs::ChildOf,
};

/// The version that every row is written with.
pub const ROW_VERSION: u8 = 1;

/// A value as it is stored.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(row: &T) -> Vec<u8> {
    postcard::to_extend(row, vec![ROW_VERSION]).expect("rows serialise into memory")
}

/// A value read back. `table` is named when it cannot be.
///
/// # Errors
/// `NewerFormat`, `Corrupt`.
pub fn decode<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, Error> {
    let damaged = |reason: String| Error::corrupt(format!("table {table:?}"), 0, reason);
    match bytes.split_first() {
        Some((&ROW_VERSION, rest)) => {
            postcard::from_bytes(rest).map_err(|error| damaged(format!("a row cannot be read: {error}")))
        }
        Some((&version, _)) if version > ROW_VERSION => Err(Error::NewerFormat {
            dir: format!("table {table:?}").into(),
            found: u32::from(version),
            supported: u32::from(ROW_VERSION),
        }),
        _ => Err(damaged("a row has no valid version".into())),
    }
}

/// A state machine. Key: scope, name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MachineRow {
    /// Its number.
    pub number: MachineNumber,
    /// Its ARN.
    pub arn: Arc<str>,
    /// Whether it is EXPRESS.
    pub express: bool,
    /// When it was created.
    pub created_at: Millis,
    /// The revision in force.
    pub revision: u32,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Its published versions; none: it never had any.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_none")]
    pub published: Option<PublishedRow>,
}

/// What a state machine remembers of its versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PublishedRow {
    /// The number of the next version.
    pub next: VersionNumber,
    /// If it was created with a version: that version's description, if it has one.
    pub created_with: Option<Option<Arc<str>>>,
}

/// A published version of a state machine. Key: scope, machine, version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionRow {
    /// The revision that it is.
    pub revision: u32,
    /// When it was published.
    pub created_at: Millis,
    /// Its description.
    pub description: Option<Arc<str>>,
}

/// An alias of a state machine. Key: scope, machine, name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasRow {
    /// When it was created.
    pub created_at: Millis,
    /// When it was changed last.
    pub updated_at: Millis,
    /// Its description.
    pub description: Option<Arc<str>>,
    /// One or two versions with their weights, in the order given. The weights' sum is 100.
    pub routes: Vec<(VersionNumber, u8)>,
}

/// A revision of a state machine. Outlives its machine while executions refer to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RevisionRow {
    /// The machine's ARN.
    pub machine_arn: Arc<str>,
    /// The machine's name.
    pub machine_name: Arc<str>,
    /// Whether the machine is EXPRESS.
    pub express: bool,
    /// When the machine was created.
    pub machine_created_at: Millis,
    /// When the revision came into force.
    pub updated_at: Millis,
    /// Its identity as shown; none for the initial one.
    pub id: Option<Arc<str>>,
    /// The definition, byte for byte.
    pub definition: Arc<str>,
    /// The role.
    pub role_arn: Arc<str>,
    /// `loggingConfiguration`, JSON text.
    pub logging: Arc<str>,
    /// `tracingConfiguration`, JSON text.
    pub tracing: Arc<str>,
    /// `encryptionConfiguration`, JSON text.
    pub encryption: Arc<str>,
}

/// An activity. Key: scope, name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActivityRow {
    /// Its ARN.
    pub arn: Arc<str>,
    /// When it was created.
    pub created_at: Millis,
    /// `encryptionConfiguration`, JSON text.
    pub encryption: Arc<str>,
}

/// The tags of a resource, by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TagsRow {
    /// Key and value.
    pub tags: Vec<(Arc<str>, Arc<str>)>,
}

/// An execution: what does not change after its start, and how it ended. ARNs and the role are those of its revision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionRow {
    /// Its state machine.
    pub machine: MachineNumber,
    /// The revision it runs.
    pub revision: u32,
    /// Its name.
    pub name: Arc<str>,
    /// The interpreter's rules that it started under.
    pub semantics: u16,
    /// Its limits; none: [`Limits::AWS`].
    pub limits: Option<Limits>,
    /// X-Ray trace header.
    pub trace_header: Option<Arc<str>>,
    /// The version it was started by.
    pub version: Option<u32>,
    /// The alias it was started by.
    pub alias: Option<Arc<str>>,
    /// How often it was redriven, and when last.
    pub redriven: Option<(u32, Millis)>,
    /// Its input.
    pub input: Payload,
    /// How it ended.
    pub end: Option<EndRow>,
    /// Bounds of its evaluations; none: the usual ones. Older rows end before it.
    #[serde(deserialize_with = "or_none")]
    pub evaluation: Option<EvaluationLimits>,
    /// The client tokens of its latest redrives, each with the redrive's date.
    #[serde(deserialize_with = "or_none")]
    pub redrive_tokens: Option<Vec<(Arc<str>, Millis)>>,
    /// The map run whose child it is.
    #[serde(deserialize_with = "or_none")]
    pub child: Option<Box<ChildOf>>,
    /// The test case whose mocked answers it gets.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_none")]
    pub test_case: Option<Arc<str>>,
}

/// A last field that older rows do not have.
pub(crate) fn or_none<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::deserialize(deserializer).unwrap_or(None))
}

/// How an execution ended, and the numbers that a redrive goes on with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndRow {
    /// How.
    pub closing: Closing,
    /// The last turn.
    pub turn: TurnId,
    /// The number of the next event.
    pub next_event: EventId,
    /// The number of the next frame.
    pub next_frame: u32,
    /// The next number of a task or timer.
    pub next_number: u32,
}

impl ExecutionRow {
    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits { evaluation: self.evaluation.unwrap_or_default(), ..self.limits.unwrap_or(Limits::AWS) }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> Status {
        self.end.as_ref().map_or(Status::Running, |end| end.closing.status)
    }
}

/// A name that is taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NameRow {
    /// The execution, as [`ExecutionId::to_bytes`].
    pub execution: [u8; 16],
    /// The first half of the SHA-256 of its input.
    pub input_hash: [u8; 16],
}

impl NameRow {
    /// The execution.
    #[must_use]
    pub fn id(&self) -> ExecutionId {
        ExecutionId::from_bytes(self.execution)
    }
}

/// An entry of a list of executions: what ListExecutions shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListRow {
    /// The execution's name.
    pub name: Arc<str>,
    /// Its status, and when it ended.
    pub end: Option<(Status, Millis)>,
    /// How often it was redriven.
    pub redrive_count: u32,
    /// What few executions have.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_none")]
    pub more: Option<Box<ListMore>>,
}

/// What few entries of a list of executions have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ListMore {
    /// The version it was started by.
    pub version: Option<VersionNumber>,
    /// The alias it was started by.
    pub alias: Option<Arc<str>>,
    /// When it was redriven last.
    pub redriven_at: Option<Millis>,
}

/// A turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnRow {
    /// The number of its first event, or of the next one if it has none.
    pub first_event: EventId,
    /// The time of its events.
    pub at: Millis,
    /// Its events.
    pub events: Vec<HistoryEvent>,
    /// The payloads it made; none: beside it, in [`Table::Payload`].
    pub payloads: Vec<Option<Arc<str>>>,
    /// The inputs it took.
    pub inputs: Vec<Input>,
}

/// [`TurnRow`], borrowed for writing.
#[derive(Clone, Debug, Serialize)]
pub struct TurnRowRef<'a> {
    /// See [`TurnRow::first_event`].
    pub first_event: EventId,
    /// See [`TurnRow::at`].
    pub at: Millis,
    /// See [`TurnRow::events`].
    pub events: &'a [HistoryEvent],
    /// See [`TurnRow::payloads`].
    pub payloads: Vec<Option<&'a str>>,
    /// See [`TurnRow::inputs`].
    pub inputs: &'a [Input],
}

/// A payload beside its turn: the JSON text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PayloadRow {
    /// The text.
    pub text: Arc<str>,
}

/// A timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerRow {
    /// What it is for.
    pub kind: TimerKind,
}

/// Where a task goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskTarget {
    /// To whoever polls this activity.
    Activity(Arc<str>),
    /// Through a connector, which answers once.
    Call,
    /// Through a connector; the end is reported by a callback or a job.
    Submit,
    /// Nowhere: the execution's turn was cut by its length and goes on. Its task has number 0.
    Continue,
    /// Nowhere: it was submitted. The end is reported by a callback.
    Submitted,
    /// Nowhere: it was submitted. The connector follows the job to its end.
    Job,
    /// Nowhere: it is a map run, with this identity.
    MapRun([u8; 16]),
    /// Nowhere: it is closed. A job that it may have submitted is to be ended; then this row goes. Of its execution,
    /// nothing else need be left.
    Cancel(Box<JobRow>),
}

/// All that it takes to end a job whose task is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// The resource's ARN, as the definition has it.
    pub resource: Arc<str>,
    /// The parameters, JSON text.
    pub input: Arc<str>,
    /// `Credentials.RoleArn`.
    pub task_role_arn: Option<Arc<str>>,
    /// The state machine's role.
    pub role_arn: Arc<str>,
    /// The execution's ARN, which tells account and region.
    pub execution_arn: Arc<str>,
    /// The state machine's ARN.
    pub state_machine_arn: Arc<str>,
    /// The state's name.
    pub state_name: Arc<str>,
    /// The task's token.
    pub token: Arc<str>,
    /// `TimeoutSeconds` in force.
    pub timeout_seconds: Option<u64>,
    /// The retries of the state's visit before the attempt.
    pub retry_count: u32,
    /// When the task was closed.
    pub closed_at: Millis,
}

/// An open task, or a closed one that left a job behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRow {
    /// Its place in its queue.
    pub sequence: u64,
    /// Where it goes.
    pub target: TaskTarget,
    /// Whether it was sent, or is in a worker's hands.
    pub started: bool,
}

/// An input with the text of its payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HeldInput {
    /// The input.
    pub input: Input,
    /// The text of its payload, if it has one.
    pub text: Option<Arc<str>>,
}

/// An execution in quarantine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QuarantineRow {
    /// Its ARN.
    pub arn: Arc<str>,
    /// Why.
    pub cause: Arc<str>,
    /// Since when.
    pub at: Millis,
    /// What it was to take in when it broke, and what came later.
    pub inputs: Vec<HeldInput>,
    /// Inputs dropped because the list was full.
    pub dropped: u64,
}

/// A name that outlives its execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpiryRow {
    /// The key of its [`NameRow`].
    pub name_key: Vec<u8>,
}

/// An Express execution that was started asynchronously and has not ended: what it takes to run it, from its
/// beginning. Key: as an execution's, so that it tells when it started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExpressRow {
    /// Its state machine.
    pub machine: MachineNumber,
    /// The revision it runs.
    pub revision: u32,
    /// Its name; others may have the same.
    pub name: Arc<str>,
    /// The last part of its ARN, a UUID.
    pub uuid: [u8; 16],
    /// Its input, JSON text.
    pub input: Arc<str>,
    /// X-Ray trace header.
    pub trace_header: Option<Arc<str>>,
    /// The version it was started by.
    pub version: Option<u32>,
    /// The alias it was started by.
    pub alias: Option<Arc<str>>,
    /// The test case whose mocked answers it gets.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "or_none")]
    pub test_case: Option<Arc<str>>,
}

/// A turn that a sink outside is yet to be told of. Key: channel, order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeRow {
    /// The execution's account and region.
    pub scope: ScopeNumber,
    /// The execution, as [`ExecutionId::to_bytes`].
    pub execution: [u8; 16],
    /// The turn.
    pub turn: TurnId,
    /// The time of the turn's events.
    pub at: Millis,
    /// How often the execution had been redriven by then, and when last.
    pub redriven: Option<(u32, Millis)>,
}

/// A number or secret of the whole store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MetaRow {
    /// A counter.
    Number(u64),
    /// A key.
    Secret([u8; 32]),
    /// A clock.
    Clock(ClockRow),
}

/// Where a virtual clock is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClockRow {
    /// Milliseconds that it is before the machine's clock.
    pub ahead: Millis,
    /// The time at which it stands, if it does not run.
    pub stands_at: Option<Millis>,
}

/// The number of an account and region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScopeRow {
    /// Its number.
    pub number: u32,
    /// The account.
    pub account: Arc<str>,
    /// The region.
    pub region: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_of_an_older_version_has_the_usual_bounds() {
        let limits = Limits { history_events: 7, ..Limits::AWS };
        let mut row = ExecutionRow {
            machine: 1,
            revision: 2,
            name: "n".into(),
            semantics: 1,
            limits: Some(limits),
            trace_header: None,
            version: None,
            alias: None,
            redriven: None,
            input: Payload::new("{}"),
            end: None,
            evaluation: None,
            redrive_tokens: None,
            child: None,
            test_case: None,
        };
        let bytes = encode(&row);
        let older: ExecutionRow =
            decode(Table::Execution, &bytes[..bytes.len() - 2]).expect("it ends before the bounds");
        assert_eq!((older.limits(), older.end), (limits, None));
        row.evaluation = Some(EvaluationLimits { steps: 1_000, bytes: 1 << 20 });
        let found: ExecutionRow = decode(Table::Execution, &encode(&row)).expect("it reads back");
        assert_eq!(found.limits().evaluation.steps, 1_000);
        assert_eq!(found.limits().history_events, 7);
    }

    #[test]
    fn rows_read_back_and_foreign_bytes_are_refused() {
        let row = ListRow { name: "n".into(), end: Some((Status::Failed, 5)), redrive_count: 0, more: None };
        let bytes = encode(&row);
        assert_eq!(bytes[0], ROW_VERSION);
        assert_eq!(decode::<ListRow>(Table::List, &bytes).unwrap(), row);
        let mut newer = bytes.clone();
        newer[0] = ROW_VERSION + 1;
        assert_eq!(decode::<ListRow>(Table::List, &newer).unwrap_err().kind(), crate::ErrorKind::NewerFormat);
        for damaged in [&[][..], &[0, 1], &bytes[..2]] {
            assert_eq!(decode::<ListRow>(Table::List, damaged).unwrap_err().kind(), crate::ErrorKind::Corrupt);
        }
    }

    #[test]
    fn a_borrowed_turn_is_written_as_an_owned_one() {
        let row =
            TurnRow { first_event: 3, at: 9, events: vec![], payloads: vec![Some("{}".into()), None], inputs: vec![] };
        let borrowed = TurnRowRef { first_event: 3, at: 9, events: &[], payloads: vec![Some("{}"), None], inputs: &[] };
        assert_eq!(encode(&row), encode(&borrowed));
    }
}
