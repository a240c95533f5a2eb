//! Answers to connections on which no request can be answered: said on the socket itself, and then it is closed.
//!
//! They look like errors of the API, because most who read them are its SDKs. This module must never wait for a client
//! longer than a moment.

use std::time::Duration;

use stepwright_api::{ApiError, CONTENT_TYPE, ErrorCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::load::busy;
use crate::{config::HttpLimits, ids::random_uuid};

/// How long a refused client may take to read its answer.
const MOMENT: Duration = Duration::from_secs(2);

/// What is read of a refused client at most. Closing with unread bytes resets the connection, and a reset may
/// overtake the answer.
const MAX_DISCARDED: usize = 1 << 20;

/// Over the number of connections.
pub(super) fn too_many(limits: &HttpLimits) -> (u16, ApiError) {
    let limit = limits.connections;
    let error = busy(format!(
        "{limit} connections are open, the most that http.connections and the system's limit of open files allow: \
         close idle ones, or raise the limit"
    ));
    (503, error)
}

/// The head of a request took too long.
pub(super) fn late_head(limits: &HttpLimits) -> (u16, ApiError) {
    let error = ApiError::new(
        ErrorCode::SerializationException,
        format!(
            "The head of a request did not arrive within the {} seconds that http.header_seconds allows",
            limits.header_time.as_secs()
        ),
    );
    (408, error)
}

/// What came is no request. `status` is hyper's finding, `bytes` is what was not understood.
pub(super) fn no_request(status: u16, bytes: &[u8], limits: &HttpLimits) -> (u16, ApiError) {
    let message = match (status, bytes) {
        (_, [0x16, 3, ..]) => {
            "This looks like TLS, and this port speaks plain HTTP: use an endpoint that begins with http://".to_owned()
        }
        (431, _) => format!(
            "The head of the request is too large: it may have {} bytes (http.header_bytes) and {} headers \
             (http.headers)",
            limits.header_bytes, limits.headers
        ),
        (414, _) => {
            "The address in the first line of the request is too long: operations are called with POST /".to_owned()
        }
        _ => "This is no HTTP/1.1 request: operations are called with POST /".to_owned(),
    };
    (status, ApiError::new(ErrorCode::SerializationException, message))
}

/// Says it, and closes.
pub(super) async fn say(socket: &mut TcpStream, (status, error): (u16, ApiError)) {
    let body = error.to_body();
    let reason = hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let retry = if status == 503 { "retry-after: 1\r\n" } else { "" };
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-length: {}\r\n{retry}connection: \
         close\r\nx-amzn-requestid: {}\r\n\r\n",
        body.len(),
        random_uuid(),
    );
    let said = async {
        socket.write_all(head.as_bytes()).await?;
        socket.write_all(&body).await
    };
    if let Ok(Ok(())) = tokio::time::timeout(MOMENT, said).await {
        linger(socket).await;
    }
}

/// Ends our side, and reads on for a moment until the other side ends its own.
pub(super) async fn linger(socket: &mut TcpStream) {
    let drained = async {
        socket.shutdown().await?;
        let mut buffer = vec![0; 16 * 1024];
        let mut read = 0;
        while read < MAX_DISCARDED {
            match socket.read(&mut buffer).await? {
                0 => break,
                count => read += count,
            }
        }
        std::io::Result::Ok(())
    };
    let _gone_or_slow = tokio::time::timeout(MOMENT, drained).await;
}
