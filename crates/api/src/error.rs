//! The one error type of the API: a code of AWS's closed list, a text, and the few extra members.
//!
//! This crate gives the texts that do not depend on an operation; the others are written where the operation is.

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::generated::enums::{KmsKeyState, ValidationExceptionReason};
pub use crate::generated::errors::ErrorCode;
use crate::generated::operations::Operation;

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// What clients branch on.
    pub code: ErrorCode,
    /// The text, spelled as AWS spells it.
    pub message: String,
    /// `ValidationException.reason`; absent on plain constraint errors.
    pub reason: Option<ValidationExceptionReason>,
    /// `resourceName` of `ResourceNotFound` and `TooManyTags`.
    pub resource_name: Option<String>,
    /// `KmsInvalidStateException.kmsKeyState`.
    pub kms_key_state: Option<KmsKeyState>,
}

impl ApiError {
    /// An error without extra members.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), reason: None, resource_name: None, kms_key_state: None }
    }

    /// Adds the `reason` of a `ValidationException`.
    #[must_use]
    pub fn with_reason(mut self, reason: ValidationExceptionReason) -> Self {
        self.reason = Some(reason);
        self
    }

    /// Adds the `resourceName` of a `ResourceNotFound` or `TooManyTags`.
    #[must_use]
    pub fn with_resource_name(mut self, name: impl Into<String>) -> Self {
        self.resource_name = Some(name.into());
        self
    }

    /// Adds the `kmsKeyState` of a `KmsInvalidStateException`.
    #[must_use]
    pub fn with_kms_key_state(mut self, state: KmsKeyState) -> Self {
        self.kms_key_state = Some(state);
        self
    }

    /// The HTTP status: 400, but for faults of the server itself.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.code.status()
    }

    /// `Invalid Arn: '<detail>'`.
    #[must_use]
    pub fn invalid_arn(detail: impl fmt::Display) -> Self {
        Self::new(ErrorCode::InvalidArn, format!("Invalid Arn: '{detail}'"))
    }

    /// `Invalid Name: '<name>'`; the name is repeated as it came, control characters included.
    #[must_use]
    pub fn invalid_name(name: &str) -> Self {
        Self::new(ErrorCode::InvalidName, format!("Invalid Name: '{name}'"))
    }

    /// `Invalid Token: 'Invalid token'`, for page and task tokens alike.
    #[must_use]
    pub fn invalid_token() -> Self {
        Self::new(ErrorCode::InvalidToken, "Invalid Token: 'Invalid token'")
    }

    /// An operation of the API that this version cannot do.
    #[must_use]
    pub fn not_served(operation: Operation) -> Self {
        let name = operation.name();
        Self::new(
            ErrorCode::UnsupportedOperationException,
            format!("{name} is not served by this version of Stepwright yet"),
        )
    }

    /// A fault of the server. The text must not show internals; those belong into the log.
    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InternalServerError, message)
    }

    /// The body of the answer.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an error consists of strings, which always become JSON")
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for ApiError {}

impl Serialize for ApiError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("__type", self.code.as_str())?;
        map.serialize_entry("message", &self.message)?;
        if let Some(reason) = self.reason {
            map.serialize_entry("reason", &reason)?;
        }
        if let Some(name) = &self.resource_name {
            map.serialize_entry("resourceName", name)?;
        }
        if let Some(state) = self.kms_key_state {
            map.serialize_entry("kmsKeyState", &state)?;
        }
        map.end()
    }
}
