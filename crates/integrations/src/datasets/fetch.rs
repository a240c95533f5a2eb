//! An object from some byte to its end, a piece at a time; while one piece is used, the next is on its way.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::objects::{Object, ObjectError, Piece, Place};

/// Bytes of a piece.
pub(super) const PIECE_BYTES: usize = 2 << 20;

/// A sequential reading of an object.
#[derive(Debug)]
pub(super) struct Fetch {
    place: Place,
    object: Object,
    etag: Option<Arc<str>>,
    /// The first byte that was not given.
    at: u64,
    total: Option<u64>,
    ahead: Option<Ahead>,
}

/// A request on its way, which ends with whoever waits for it.
#[derive(Debug)]
struct Ahead(JoinHandle<Result<Piece, ObjectError>>);

impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fetch {
    /// From a byte on. With an entity tag, only if the object still has it.
    pub(super) fn new(place: Place, object: Object, at: u64, etag: Option<Arc<str>>) -> Self {
        Self { place, object, etag, at, total: None, ahead: None }
    }

    pub(super) fn etag(&self) -> Option<&Arc<str>> {
        self.etag.as_ref()
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// The first byte that was not given.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ObjectError> {
        if self.total.is_some_and(|total| self.at >= total) {
            return Ok(None);
        }
        let bytes = match self.ahead.take() {
            Some(mut ahead) => {
                let piece = (&mut ahead.0).await.map_err(|error| ObjectError(error.to_string()))??;
                self.arrived(piece)
            }
            None => {
                // An end can't be asked for what comes after it, but for its last byte.
                let back = u64::from(self.at > 0);
                let start = self.at - back;
                let piece = self.place.read(&self.object, start, PIECE_BYTES, self.etag.as_deref()).await?;
                if piece.total < self.at {
                    return Err(ObjectError::changed(&self.object));
                }
                let bytes = piece.bytes.slice(usize::from(back == 1)..);
                self.arrived(Piece { bytes, ..piece })
            }
        };
        let total = self.total.unwrap_or(0);
        if self.at < total {
            let (place, object, etag, at) = (self.place.clone(), self.object.clone(), self.etag.clone(), self.at);
            self.ahead =
                Some(Ahead(tokio::spawn(async move { place.read(&object, at, PIECE_BYTES, etag.as_deref()).await })));
        }
        Ok(if bytes.is_empty() { None } else { Some(bytes) })
    }

    fn arrived(&mut self, piece: Piece) -> Bytes {
        self.at += piece.bytes.len() as u64;
        self.total = Some(piece.total);
        if self.etag.is_none() {
            self.etag = piece.etag;
        }
        piece.bytes
    }
}
