//! One invocation and what came of it, with the errors and texts that AWS gives.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::json;

/// A function is to be run.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The ARN that it was called by.
    pub function_arn: String,
    /// The event, JSON text.
    pub payload: Bytes,
    /// What the caller says of itself, JSON text.
    pub client_context: Option<String>,
    /// The trace that this is part of.
    pub trace_id: String,
    /// Whether the end of the log is wanted with the answer.
    pub log_tail: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The invocation's id.
    pub request_id: Arc<str>,
    /// How it ended.
    pub outcome: Outcome,
    /// The end of its log, if it was asked for.
    pub log_tail: Option<String>,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's result. Nobody has looked whether it is JSON.
    Result(Bytes),
    /// The function failed: an error object, JSON text.
    FunctionError(Bytes),
    /// The function did not run.
    Refused(Refusal),
}

/// Why a function did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such function.
    NotFound {
        /// The ARN that was asked for.
        function_arn: String,
    },
    /// As many run as may, and it waited as long as it may.
    TooManyRequests,
    /// The event is not JSON.
    InvalidContent(String),
    /// A parameter of the call is none.
    InvalidParameter(String),
    /// The event is too long.
    TooLarge {
        /// Bytes that it may have.
        limit: usize,
    },
    /// It could not be run, through no fault of the function.
    Unavailable(String),
}

/// What ended an invocation from outside the function's code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ended: how, if it was not of itself.
    Exited(Option<String>),
    /// The time was over.
    TimedOut(Duration),
    /// The result is too long.
    ResponseTooLarge { bytes: u64, limit: usize },
    /// The program could not be started.
    NotStarted(String),
}

impl Fault {
    /// AWS's name for it.
    pub(crate) fn error_type(&self) -> &'static str {
        match self {
            Self::Exited(_) => "Runtime.ExitError",
            Self::TimedOut(_) => "Sandbox.Timedout",
            Self::ResponseTooLarge { .. } => "Function.ResponseSizeTooLarge",
            Self::NotStarted(_) => "Runtime.InvalidEntrypoint",
        }
    }

    /// AWS's text for it.
    pub(crate) fn message(&self, request_id: &str) -> String {
        match self {
            Self::Exited(Some(how)) => format!("RequestId: {request_id} Error: Runtime exited with error: {how}"),
            Self::Exited(None) => format!("RequestId: {request_id} Error: Runtime exited without providing a reason"),
            Self::TimedOut(limit) => {
                format!("RequestId: {request_id} Error: Task timed out after {:.2} seconds", limit.as_secs_f64())
            }
            Self::ResponseTooLarge { bytes, limit } => {
                format!("Response payload size ({bytes} bytes) exceeded maximum allowed payload size ({limit} bytes).")
            }
            Self::NotStarted(reason) => format!("RequestId: {request_id} Error: {reason}"),
        }
    }

    /// The error object.
    pub(crate) fn outcome(&self, request_id: &str) -> Outcome {
        let object = json!({"errorType": self.error_type(), "errorMessage": self.message(request_id)});
        Outcome::FunctionError(object.to_string().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_on_aws() {
        let check = |fault: Fault, expect: &str| assert_eq!(fault.message("r-1"), expect);
        check(Fault::TimedOut(Duration::from_secs(3)), "RequestId: r-1 Error: Task timed out after 3.00 seconds");
        check(
            Fault::Exited(Some("exit status 1".to_owned())),
            "RequestId: r-1 Error: Runtime exited with error: exit status 1",
        );
        check(Fault::Exited(None), "RequestId: r-1 Error: Runtime exited without providing a reason");
        check(
            Fault::ResponseTooLarge { bytes: 10, limit: 6 },
            "Response payload size (10 bytes) exceeded maximum allowed payload size (6 bytes).",
        );
        let Outcome::FunctionError(body) = Fault::Exited(None).outcome("r") else { panic!("no function error") };
        assert!(body.starts_with(br#"{"errorType":"Runtime.ExitError","errorMessage":"RequestId: r "#));
    }
}
