//! Reading the body of a request, up to a limit, in limited time, and within what all bodies may take of the memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use stepwright_api::{ApiError, ErrorCode};

use super::load::{Buffered, SMALL};
use crate::config::HttpLimits;

/// What is read of a body that is refused, so that the client gets to read the answer and can use the connection on.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// What is reserved for a body on the word of its length alone.
const MAX_TRUSTED: usize = 64 * 1024;

/// Why there is no body.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) error: ApiError,
    /// The body was read to its end, so the connection can be used on.
    pub(super) drained: bool,
}

/// Reads it. `buffered` counts it, and must be kept as long as it is.
pub(super) async fn read(body: Incoming, limits: &HttpLimits, buffered: &mut Buffered<'_>) -> Result<Bytes, Refusal> {
    in_time(limits.body_time, collect(body, limits.body_bytes, buffered)).await
}

async fn in_time<T>(limit: Duration, read: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    tokio::time::timeout(limit, read).await.unwrap_or_else(|_| {
        let seconds = limit.as_secs();
        Err(refuse(format!(
            "The body of the request did not arrive within the {seconds} seconds that http.body_seconds allows"
        )))
    })
}

fn refuse(message: String) -> Refusal {
    Refusal { error: ApiError::new(ErrorCode::SerializationException, message), drained: false }
}

async fn collect(mut body: Incoming, limit: usize, buffered: &mut Buffered<'_>) -> Result<Bytes, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut bytes = BytesMut::new();
    let mut error = None;
    if announced > limit {
        error = Some(too_long(limit));
    }
    while error.is_none() {
        let Some(frame) = body.frame().await else { return Ok(bytes.freeze()) };
        let frame = frame.map_err(|error| refuse(format!("The request body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limit {
            error = Some(too_long(limit));
        } else if let Err(full) = count(buffered, bytes.len(), data.len()) {
            error = Some(full);
        } else if bytes.is_empty() && data.len() == announced {
            // The usual case: it came whole.
            return Ok(data);
        } else {
            if bytes.is_empty() {
                bytes.reserve(announced.clamp(data.len(), MAX_TRUSTED.max(data.len())));
            }
            bytes.extend_from_slice(&data);
        }
    }
    // Not kept: what is refused anyway shall not cost memory.
    drop(bytes);
    buffered.clear();
    let drained = rest(body, announced).await;
    Err(Refusal { error: error.unwrap_or_else(|| too_long(limit)), drained })
}

/// Counts what comes to a body, all of it once it is no longer small.
fn count(buffered: &mut Buffered<'_>, before: usize, more: usize) -> Result<(), ApiError> {
    match before {
        _ if before + more <= SMALL => Ok(()),
        0..=SMALL => buffered.add(before + more),
        _ => buffered.add(more),
    }
}

/// Reads what is left of a body, if that is not absurd; true if its end was reached.
async fn rest(mut body: Incoming, announced: usize) -> bool {
    if announced > MAX_DISCARDED {
        return false;
    }
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return false };
        length = length.saturating_add(frame.data_ref().map_or(0, Bytes::len));
        if length > MAX_DISCARDED {
            return false;
        }
    }
    true
}

fn too_long(limit: usize) -> ApiError {
    ApiError::new(
        ErrorCode::SerializationException,
        format!("The request body is longer than the {limit} bytes that http.body_bytes allows"),
    )
}
