//! Everything the engine refuses, with what the caller needs to say so. One variant per AWS error; the AWS texts
//! themselves live in the server alone.

use std::sync::Arc;

/// Why an execution cannot be redriven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRedrivable {
    /// It runs.
    Running,
    /// It succeeded.
    Succeeded,
    /// Its state machine is being deleted, or is gone.
    MachineDeleting,
    /// Its history is as long as it may be.
    HistoryFull,
    /// It started too long ago.
    TooOld,
    /// It closed too long ago.
    ClosedTooLongAgo,
    /// It is the child of a map run, which redrives it along with the execution that began the run.
    Child,
}

/// The result of an engine operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused or could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No state machine has this ARN in the caller's account and region.
    #[error("no state machine has the ARN {arn}")]
    StateMachineDoesNotExist {
        /// The ARN as given.
        arn: Arc<str>,
    },
    /// The name is taken by a state machine with other properties.
    #[error("a state machine with the ARN {arn} and other properties exists")]
    StateMachineAlreadyExists {
        /// The ARN of the existing one.
        arn: Arc<str>,
    },
    /// The state machine is being deleted.
    #[error("the state machine {arn} is being deleted")]
    StateMachineDeleting {
        /// Its ARN.
        arn: Arc<str>,
    },
    /// The operation is not for machines of this type.
    #[error("the operation is not supported by the type of the state machine {arn}")]
    StateMachineTypeNotSupported {
        /// Its ARN.
        arn: Arc<str>,
    },
    /// The revision to publish is not the one in force.
    #[error("the revision {given} is not in force")]
    RevisionConflict {
        /// The revision as given.
        given: Arc<str>,
        /// The one in force; none: the initial one.
        current: Option<Arc<str>>,
    },
    /// The revision is published already, with another description.
    #[error("the revision is published as {version} with another description")]
    VersionConflict {
        /// The ARN of the version.
        version: Arc<str>,
    },
    /// Aliases route to the version.
    #[error("aliases route to the version: {aliases:?}")]
    VersionInUse {
        /// Their names.
        aliases: Vec<Arc<str>>,
    },
    /// The machine has as many versions as it may have.
    #[error("the state machine {arn} has {limit} versions")]
    TooManyVersions {
        /// The machine's ARN.
        arn: Arc<str>,
        /// How many it may have.
        limit: usize,
    },
    /// The machine has an alias of this name that is not equal.
    #[error("an alias {arn} with another routing configuration exists")]
    AliasConflict {
        /// The alias's ARN.
        arn: Arc<str>,
    },
    /// No alias has this ARN.
    #[error("no alias has the ARN {arn}")]
    AliasDoesNotExist {
        /// The ARN as given.
        arn: Arc<str>,
    },
    /// The machine has as many aliases as it may have.
    #[error("the state machine {arn} has {limit} aliases")]
    TooManyAliases {
        /// The machine's ARN.
        arn: Arc<str>,
        /// How many it may have.
        limit: usize,
    },
    /// An update named nothing to change.
    #[error("an update must name something to change")]
    MissingRequiredParameter,
    /// No execution has this ARN in the caller's account and region.
    #[error("no execution has the ARN {arn}")]
    ExecutionDoesNotExist {
        /// The ARN as given.
        arn: Arc<str>,
    },
    /// The name is taken by an execution with another input, or by one that is closed.
    #[error("the execution {arn} exists")]
    ExecutionAlreadyExists {
        /// The ARN of the existing one.
        arn: Arc<str>,
    },
    /// No map run has this ARN in the caller's account and region.
    #[error("no map run has the ARN {arn}")]
    MapRunDoesNotExist {
        /// The ARN as given.
        arn: Arc<str>,
    },
    /// The map run ended.
    #[error("the map run is not running")]
    MapRunNotRunning,
    /// The execution cannot be redriven.
    #[error("the execution cannot be redriven: {reason:?}")]
    ExecutionNotRedrivable {
        /// Why.
        reason: NotRedrivable,
    },
    /// As many executions are open as may be.
    #[error("{limit} executions are open, the most that may be")]
    ExecutionLimitExceeded {
        /// How many may be.
        limit: u64,
    },
    /// There are as many state machines as there may be.
    #[error("there are {limit} state machines, the most that may be")]
    StateMachineLimitExceeded {
        /// How many may be.
        limit: usize,
    },
    /// There are as many activities as there may be.
    #[error("there are {limit} activities, the most that may be")]
    ActivityLimitExceeded {
        /// How many may be.
        limit: usize,
    },
    /// No activity has this ARN in the caller's account and region (any more).
    #[error("no activity has the ARN {arn}")]
    ActivityDoesNotExist {
        /// The ARN as given.
        arn: Arc<str>,
    },
    /// The activity exists with another encryption configuration.
    #[error("an activity with the ARN {arn} and other properties exists")]
    ActivityAlreadyExists {
        /// The ARN of the existing one.
        arn: Arc<str>,
    },
    /// More workers poll this activity at once than are allowed.
    #[error("more than {limit} workers poll the activity {arn}")]
    ActivityWorkerLimitExceeded {
        /// The activity.
        arn: Arc<str>,
        /// How many may.
        limit: usize,
    },
    /// The task token was not issued here.
    #[error("the task token was not issued here")]
    InvalidToken,
    /// The task token is right, but its task is over.
    #[error("the task is over")]
    TaskTimedOut,
    /// The task token is right, but nothing is known of its task's execution.
    #[error("the task does not exist")]
    TaskDoesNotExist,
    /// The pagination token is not one of this listing, or is too old.
    #[error("the pagination token is not valid here")]
    InvalidPageToken,
    /// The ARN names nothing that can carry tags.
    #[error("no resource has the ARN {arn}")]
    ResourceNotFound {
        /// The ARN as given.
        arn: Arc<str>,
    },
    /// A resource would carry more than 50 tags.
    #[error("the resource {arn} would carry more than {limit} tags")]
    TooManyTags {
        /// The resource.
        arn: Arc<str>,
        /// How many it may.
        limit: usize,
    },
    /// No execution with this ARN is in quarantine.
    #[error("the execution {arn} is not in quarantine")]
    NotQuarantined {
        /// The ARN as given.
        arn: Arc<str>,
    },
    /// The execution is in quarantine: it takes nothing in until somebody retries or fails it.
    #[error("the execution {arn} is in quarantine: `stepwright quarantine show {arn}` tells why")]
    Quarantined {
        /// The execution.
        arn: Arc<str>,
    },
    /// The store has no room. Nothing was changed; the same call may be made again later.
    #[error("the store is full: {reason}")]
    Full {
        /// What the store said.
        reason: Arc<str>,
    },
    /// The engine cannot answer now: it is shutting down, or its store failed. Whether a change that was asked for
    /// was made is unknown.
    #[error("the engine is not available: {reason}")]
    Unavailable {
        /// Why.
        reason: Arc<str>,
    },
    /// As many Express executions are open as may be. Nothing was started; the same call may be made again later.
    #[error("{limit} Express executions are open, the most there may be")]
    TooManyExpress {
        /// How many may be open.
        limit: usize,
    },
    /// Open Express executions hold as much memory as they may. Nothing was started; the same call may be made again
    /// later.
    #[error("open Express executions hold {held} bytes of memory, and may hold {limit}")]
    ExpressMemory {
        /// What they hold, about.
        held: usize,
        /// What they may hold.
        limit: usize,
    },
    /// Stored data could not be read as what it should be.
    #[error("stored data could not be read: {reason}")]
    Corrupt {
        /// What, and where.
        reason: Arc<str>,
    },
}

impl Error {
    pub(crate) fn unavailable(reason: impl Into<Arc<str>>) -> Self {
        Self::Unavailable { reason: reason.into() }
    }

    /// Whether the same call may succeed when it is made again, without anything else changing: HTTP 503.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Full { .. } | Self::Unavailable { .. } | Self::TooManyExpress { .. } | Self::ExpressMemory { .. }
        )
    }
}

/// A failure of the store as callers hear of it.
impl From<stepwright_store::Error> for Error {
    fn from(error: stepwright_store::Error) -> Self {
        use stepwright_store::ErrorKind;
        let reason: Arc<str> = error.to_string().into();
        match error.kind() {
            ErrorKind::Full => Self::Full { reason },
            ErrorKind::Corrupt | ErrorKind::NewerFormat => Self::Corrupt { reason },
            ErrorKind::Failed | ErrorKind::Locked | ErrorKind::Invalid | ErrorKind::Closed | ErrorKind::Io => {
                Self::Unavailable { reason }
            }
        }
    }
}
