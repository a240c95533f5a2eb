//! `POST /_stepwright/backup`: a backup of the store, as it comes.
//!
//! It holds every payload and the key of the task tokens, so it goes to nobody that a browser speaks for: such requests
//! carry an `Origin`. Its form is [`stepwright_store::backup`]'s; that it is whole is for the reader to tell, because
//! the answer has begun before anybody knows. One at a time, and never more of it in memory than the few pieces that
//! the client has not taken yet.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderValue},
};
use tokio::sync::mpsc;

use super::{refused, text};
use crate::{delivery::ReplyBody, service::Service};

/// Pieces on their way to the client at most.
const PIECES: usize = 8;

/// A piece is sent when it has this many bytes.
const PIECE_BYTES: usize = 256 << 10;

/// How long a client may take nothing before its backup is given up: it holds disk space of the server.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn serve(service: &Service, headers: &HeaderMap) -> Response<ReplyBody> {
    if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
        return refused(StatusCode::FORBIDDEN, "A backup is not for web pages: use `stepwright backup`");
    }
    if text(headers, "content-type") != Some("application/json") {
        return refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Content-Type must be application/json");
    }
    if service.settings().in_memory {
        return refused(
            StatusCode::CONFLICT,
            "This server keeps everything in memory: there is nothing to back up. Serve a data directory instead",
        );
    }
    let Some(turn) = Turn::take() else {
        return refused(StatusCode::CONFLICT, "Another backup is under way; try again when it has ended");
    };
    let (sender, pieces) = mpsc::channel(PIECES);
    let engine = service.engine();
    let mut out = Pieces {
        sender,
        runtime: tokio::runtime::Handle::current(),
        stopping: service.stopping(),
        piece: Vec::with_capacity(PIECE_BYTES),
    };
    tokio::task::spawn_blocking(move || {
        let _until_done = turn;
        match engine.backup(&mut out) {
            Ok(totals) => tracing::info!(rows = totals.rows, bytes = totals.bytes, "a backup was taken"),
            Err(error) => tracing::warn!(%error, "a backup was not finished"),
        }
        // Also what says why there is no more.
        let _unless_the_client_went_away = out.flush();
    });
    let mut response = Response::new(ReplyBody::streamed(pieces));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

static UNDER_WAY: AtomicBool = AtomicBool::new(false);

/// The right to take a backup now.
struct Turn;

impl Turn {
    fn take() -> Option<Turn> {
        (!UNDER_WAY.swap(true, Ordering::AcqRel)).then_some(Turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        UNDER_WAY.store(false, Ordering::Release);
    }
}

/// What is written goes to the client in pieces, at its pace.
struct Pieces {
    sender: mpsc::Sender<Bytes>,
    runtime: tokio::runtime::Handle,
    stopping: tokio::sync::watch::Receiver<bool>,
    piece: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        if *self.stopping.borrow() {
            return Err(io::Error::other("the server is stopping"));
        }
        let piece = Bytes::from(std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES)));
        match self.runtime.block_on(tokio::time::timeout(PATIENCE, self.sender.send(piece))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client went away")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing any more")),
        }
    }
}
