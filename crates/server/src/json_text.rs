//! JSON that arrives as text inside a request: execution inputs and task outputs.
//!
//! What passes here is kept byte for byte and parsed again inside; so it must be JSON for the service's parser, whose
//! texts are shown, and for ours.

use serde_json::Value;
use stepwright_api::ApiError;

use crate::errors::validation;

/// Bytes of UTF-8 that an execution input or a task output may have.
pub(crate) const MAX_BYTES: usize = 262_144;

/// Checks that a text is JSON; the error is what is wrong with it, in the service's words.
pub(crate) fn check(text: &str) -> Result<(), String> {
    let Err(error) = serde_json::from_str::<Value>(text) else { return Ok(()) };
    // Some texts are JSON for the service's parser alone: nested over 127 deep, numbers beyond a double's range,
    // escaped halves of surrogate pairs. Better refused here than half understood later.
    Err(stepwright_asl::json::jackson_error(text).unwrap_or_else(|| error.to_string()))
}

/// The constraint on the characters of a member, applied to its bytes.
pub(crate) fn too_long(member: &str) -> ApiError {
    validation(format!(
        "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length less \
         than or equal to {MAX_BYTES}"
    ))
}
