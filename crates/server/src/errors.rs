//! Engine errors as AWS errors: the one place where the two meet, with AWS's texts.

use stepwright_api::{ApiError, ErrorCode};
use stepwright_engine::{Error, NotRedrivable};

use crate::operations::INITIAL;

/// The AWS error for what the engine refused.
pub(crate) fn to_api(error: Error) -> ApiError {
    use Error as E;
    match error {
        E::StateMachineDoesNotExist { arn } => state_machine_does_not_exist(&arn),
        E::StateMachineAlreadyExists { arn } => {
            ApiError::new(ErrorCode::StateMachineAlreadyExists, format!("State Machine Already Exists: '{arn}'"))
        }
        E::StateMachineDeleting { arn } => {
            ApiError::new(ErrorCode::StateMachineDeleting, format!("State Machine Deleting: '{arn}'"))
        }
        E::StateMachineTypeNotSupported { .. } => type_not_supported(),
        E::RevisionConflict { given, current } => {
            let spelled = |id: &str| if id.is_empty() { INITIAL.to_owned() } else { id.to_owned() };
            let (given, current) = (spelled(&given), spelled(current.as_deref().unwrap_or_default()));
            conflict(format!(
                "Failed to publish the State Machine version for revision {given}. The current State Machine revision \
                 is {current}."
            ))
        }
        E::VersionConflict { version } => conflict(format!(
            "Failed to publish the State Machine version: the revision is published already, as {version}, with \
             another description."
        )),
        E::VersionInUse { aliases } => conflict(format!(
            "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this \
             version: [{}]",
            aliases.join(", ")
        )),
        E::TooManyVersions { arn, limit } => quota(format!("The state machine '{arn}' has {limit} versions, the most")),
        E::AliasConflict { .. } => conflict(
            "Failed to create alias because an alias with the same name and a different routing configuration already \
             exists.",
        ),
        E::AliasDoesNotExist { arn } => {
            ApiError::new(ErrorCode::ResourceNotFound, "Request references a resource that does not exist.")
                .with_resource_name(&*arn)
        }
        E::TooManyAliases { arn, limit } => quota(format!("The state machine '{arn}' has {limit} aliases, the most")),
        E::MissingRequiredParameter => missing_update(),
        E::ExecutionDoesNotExist { arn } => {
            ApiError::new(ErrorCode::ExecutionDoesNotExist, format!("Execution Does Not Exist: '{arn}'"))
        }
        E::ExecutionAlreadyExists { arn } => {
            ApiError::new(ErrorCode::ExecutionAlreadyExists, format!("Execution Already Exists: '{arn}'"))
        }
        E::MapRunDoesNotExist { arn } => resource_not_found(&arn),
        E::MapRunNotRunning => validation("The Map Run is not RUNNING and cannot be updated"),
        E::ExecutionNotRedrivable { reason } => {
            ApiError::new(ErrorCode::ExecutionNotRedrivable, not_redrivable(reason))
        }
        E::ExecutionLimitExceeded { limit } => ApiError::new(
            ErrorCode::ExecutionLimitExceeded,
            format!("Execution Limit Exceeded: '{limit} executions are open'"),
        ),
        E::StateMachineLimitExceeded { limit } => ApiError::new(
            ErrorCode::StateMachineLimitExceeded,
            format!("State Machine Limit Exceeded: 'there are {limit} state machines'"),
        ),
        E::ActivityLimitExceeded { limit } => ApiError::new(
            ErrorCode::ActivityLimitExceeded,
            format!("Activity Limit Exceeded: 'there are {limit} activities'"),
        ),
        E::ActivityDoesNotExist { arn } => {
            ApiError::new(ErrorCode::ActivityDoesNotExist, format!("Activity Does Not Exist: '{arn}'"))
        }
        E::ActivityAlreadyExists { arn } => ApiError::new(
            ErrorCode::ActivityAlreadyExists,
            format!("Activity Already Exists: '{arn}' with another encryption configuration"),
        ),
        E::ActivityWorkerLimitExceeded { arn, limit } => ApiError::new(
            ErrorCode::ActivityWorkerLimitExceeded,
            format!("Activity Worker Limit Exceeded: more than {limit} workers poll '{arn}'"),
        ),
        E::InvalidToken | E::InvalidPageToken => ApiError::invalid_token(),
        E::TaskTimedOut => {
            ApiError::new(ErrorCode::TaskTimedOut, "Task Timed Out: 'Provided task does not exist anymore'")
        }
        E::TaskDoesNotExist => {
            ApiError::new(ErrorCode::TaskDoesNotExist, "Task Does Not Exist: 'Provided task does not exist'")
        }
        E::ResourceNotFound { arn } => resource_not_found(&arn),
        E::TooManyTags { arn, limit } => {
            ApiError::new(ErrorCode::TooManyTags, format!("Too Many Tags: '{arn}' may carry {limit}"))
                .with_resource_name(&*arn)
        }
        E::NotQuarantined { arn } => resource_not_found(&arn),
        E::Quarantined { arn } => ApiError::new(
            ErrorCode::ConflictException,
            format!("The execution '{arn}' is in quarantine: `stepwright quarantine show {arn}` tells why"),
        ),
        E::TooManyExpress { limit } => unavailable(&format!(
            "{limit} Express executions are open, the most that express.executions allows: try again in a moment"
        )),
        E::ExpressMemory { held, limit } => unavailable(&format!(
            "Open Express executions hold {held} bytes of memory, and one more would be over the {limit} that \
             express.memory_bytes allows: try again in a moment"
        )),
        E::Full { reason } => unavailable(&format!("No room for new data: {reason}")),
        E::Unavailable { reason } => unavailable(&format!("Not available at the moment: {reason}")),
        E::Corrupt { reason } => {
            tracing::error!(%reason, "stored data cannot be read");
            ApiError::internal("Stored data could not be read; the server's log says which")
        }
    }
}

/// Why an execution cannot be redriven, in AWS's words.
pub(crate) fn not_redrivable(reason: NotRedrivable) -> &'static str {
    match reason {
        NotRedrivable::Running => "Execution is RUNNING and cannot be redriven",
        NotRedrivable::Succeeded => "Execution is SUCCEEDED and cannot be redriven",
        NotRedrivable::MachineDeleting => "State machine is in DELETING status",
        NotRedrivable::HistoryFull => "Execution history event limit exceeded",
        NotRedrivable::TooOld => "Execution has exceeded the max execution time",
        NotRedrivable::Child => "Execution is a child execution of a Map Run and is redriven with the Map Run",
        NotRedrivable::ClosedTooLongAgo => "Execution redrivable period exceeded",
    }
}

fn conflict(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::ConflictException, message)
}

fn quota(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::ServiceQuotaExceededException, message)
}

fn unavailable(message: &str) -> ApiError {
    tracing::warn!(message, "a request was refused");
    ApiError::new(ErrorCode::ServiceUnavailable, message)
}

/// The ARN is quoted as given.
pub(crate) fn state_machine_does_not_exist(arn: &str) -> ApiError {
    ApiError::new(ErrorCode::StateMachineDoesNotExist, format!("State Machine Does Not Exist: '{arn}'"))
}

pub(crate) fn resource_not_found(arn: &str) -> ApiError {
    ApiError::new(ErrorCode::ResourceNotFound, format!("Resource not found: '{arn}'")).with_resource_name(arn)
}

pub(crate) fn type_not_supported() -> ApiError {
    ApiError::new(
        ErrorCode::StateMachineTypeNotSupported,
        "This operation is not supported by this type of state machine",
    )
}

pub(crate) fn missing_update() -> ApiError {
    ApiError::new(
        ErrorCode::MissingRequiredParameter,
        "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified",
    )
}

pub(crate) fn validation(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::ValidationException, message)
}
