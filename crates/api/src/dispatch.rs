//! What surrounds an operation: whom it is for, and the answer as bytes.
//!
//! The way from a target to the method of [`Operations`](crate::Operations) is generated. There is no HTTP here: the
//! caller brings the target and the body, and sends the answer with its headers.

use serde::Serialize;

use crate::arn::{Scope, partition_of};
use crate::error::{ApiError, ErrorCode};
use crate::generated::operations::Operation;

/// The `Content-Type` of every request and answer.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Whom a request is for, and what else it carried beside its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestContext {
    /// The region, `us-east-1`.
    pub region: String,
    /// The account, twelve digits.
    pub account: String,
    /// The id in the header `x-amzn-RequestId` of the answer.
    pub request_id: String,
    /// The header `X-Amzn-Trace-Id`; it wins over a `traceHeader` in the body.
    pub trace_header: Option<String>,
}

impl RequestContext {
    /// The scope of the ARNs of this caller's resources.
    #[must_use]
    pub fn scope(&self) -> Scope {
        Scope {
            partition: partition_of(&self.region).to_owned(),
            region: self.region.clone(),
            account: self.account.clone(),
        }
    }
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body.
    pub body: Vec<u8>,
    /// The operation, if the target named one.
    pub operation: Option<Operation>,
    /// The code of an error answer.
    pub error: Option<ErrorCode>,
}

impl Response {
    /// The answer of an operation.
    #[must_use]
    pub fn of<T: Serialize>(operation: Operation, result: &Result<T, ApiError>) -> Self {
        match result.as_ref().map(serde_json::to_vec) {
            Ok(Ok(body)) => Self { status: 200, body, operation: Some(operation), error: None },
            Ok(Err(_)) => {
                let error = ApiError::internal("The answer could not be written as JSON");
                Self { operation: Some(operation), ..Self::error(&error) }
            }
            Err(error) => Self { operation: Some(operation), ..Self::error(error) },
        }
    }

    /// An error answer that belongs to no operation.
    #[must_use]
    pub fn error(error: &ApiError) -> Self {
        Self { status: error.status(), body: error.to_body(), operation: None, error: Some(error.code) }
    }
}

/// The operation that an `X-Amz-Target` header names.
///
/// # Errors
/// `UnknownOperationException` for another service's target or an unknown name.
pub fn operation_of(target: &str) -> Result<Operation, ApiError> {
    target
        .strip_prefix("AWSStepFunctions.")
        .and_then(Operation::parse)
        .ok_or_else(|| ApiError::new(ErrorCode::UnknownOperationException, unknown_target(target)))
}

fn unknown_target(target: &str) -> String {
    if target.is_empty() {
        "The header X-Amz-Target is missing: it names the operation, as AWSStepFunctions.StartExecution".to_owned()
    } else {
        let shown: String = target.chars().take(128).collect();
        format!("'{shown}' is no operation of AWS Step Functions")
    }
}
