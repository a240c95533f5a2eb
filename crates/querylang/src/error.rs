//! What can go wrong, at definition time and at run time.
//!
//! Messages are complete sentences a person may read. Run-time messages carry
//! the service's own wording *after* the prefix that names state and event;
//! this crate knows neither and never adds them.

/// A text that is not a path, a reference path or an intrinsic call.
///
/// ```
/// use stepwright_querylang::Path;
/// let error = Path::parse("$.a[").unwrap_err();
/// assert_eq!(error.offset, 4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at offset {offset}")]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// Where: a byte offset into the text that was parsed, at most its length.
    pub offset: usize,
}

impl SyntaxError {
    pub(crate) fn new(offset: usize, message: impl Into<String>) -> Self {
        Self { message: message.into(), offset }
    }
}

/// Which ASL error an evaluation failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// `States.Runtime`: no Retry and no Catch sees it.
    Runtime,
    /// `States.IntrinsicFailure`: can be retried and caught.
    IntrinsicFailure,
}

impl ErrorKind {
    /// The ASL error name.
    ///
    /// ```
    /// assert_eq!(stepwright_querylang::ErrorKind::Runtime.name(), "States.Runtime");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Runtime => "States.Runtime",
            Self::IntrinsicFailure => "States.IntrinsicFailure",
        }
    }
}

/// An evaluation that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvaluationError {
    /// Which ASL error this is.
    pub kind: ErrorKind,
    /// The cause, without the service's prefix
    /// `An error occurred while executing the state …`.
    pub message: String,
}

impl EvaluationError {
    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Runtime, message: message.into() }
    }
}

/// A value could not be put where a `ResultPath` says
/// (`States.ResultPathMatchFailure`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InsertError {
    /// The cause, without the service's prefix.
    pub message: String,
}

impl InsertError {
    /// The ASL error name: `States.ResultPathMatchFailure`.
    pub const NAME: &'static str = "States.ResultPathMatchFailure";
}
