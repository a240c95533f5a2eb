//! Reading the body of a request, up to a limit, in limited time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

/// Bytes of a body at most. AWS takes 1 MiB; the largest legal request is a definition of 1,048,576 characters, each
/// of up to four bytes, so this is a little under what could be legal there and far over what is.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;

/// What is read of a body that is too long, so that the client gets to read the answer.
const MAX_DISCARDED: usize = 64 * 1024 * 1024;

/// How long a body may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no body.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Longer than [`MAX_BYTES`]. `drained`: it was read to its end, so the connection can be used on.
    TooLong { drained: bool },
    /// It did not come in time.
    TooSlow,
    /// The connection broke, or the transfer coding is wrong.
    Broken(hyper::Error),
}

pub(super) async fn read(body: Incoming) -> Result<Bytes, Refusal> {
    tokio::time::timeout(TIMEOUT, collect(body)).await.unwrap_or(Err(Refusal::TooSlow))
}

async fn collect(mut body: Incoming) -> Result<Bytes, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > MAX_BYTES + MAX_DISCARDED {
        return Err(Refusal::TooLong { drained: false });
    }
    let mut bytes = BytesMut::with_capacity(announced.min(MAX_BYTES));
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Refusal::Broken)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        if length > MAX_BYTES + MAX_DISCARDED {
            return Err(Refusal::TooLong { drained: false });
        }
        if length <= MAX_BYTES {
            bytes.extend_from_slice(&data);
        } else {
            // Not kept: what is refused anyway shall not cost memory.
            bytes = BytesMut::new();
        }
    }
    if length > MAX_BYTES { Err(Refusal::TooLong { drained: true }) } else { Ok(bytes.freeze()) }
}
