//! An object as a file that is read here and there: by blocks, of which so many are kept. For rows of Parquet, whose
//! columns are read side by side.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use stepwright_items::Ranges;
use tokio::runtime::Handle;

use crate::objects::{Object, ObjectError, Place};

/// Bytes of a block.
const BLOCK_BYTES: usize = 512 << 10;
/// Blocks that are kept.
const KEPT: usize = 64;

/// An object.
#[derive(Debug)]
pub(super) struct Blocks {
    place: Place,
    object: Object,
    etag: Option<Arc<str>>,
    length: u64,
    runtime: Handle,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    blocks: HashMap<u64, Bytes>,
    order: VecDeque<u64>,
}

impl Blocks {
    /// Opens an object. With an entity tag, only if it still has it.
    pub(super) async fn open(place: Place, object: Object, etag: Option<Arc<str>>) -> Result<Self, ObjectError> {
        let first = place.read(&object, 0, 16, etag.as_deref()).await?;
        let (etag, length) = (etag.or(first.etag), first.total);
        Ok(Self { place, object, etag, length, runtime: Handle::current(), kept: Mutex::default() })
    }

    pub(super) fn etag(&self) -> Option<&Arc<str>> {
        self.etag.as_ref()
    }

    fn fetch(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let piece = self.runtime.block_on(self.place.read(&self.object, start, length, self.etag.as_deref()));
        piece.map(|piece| piece.bytes).map_err(io::Error::other)
    }

    fn block(&self, number: u64) -> io::Result<Bytes> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(block) = kept.blocks.get(&number) {
            return Ok(block.clone());
        }
        let block = self.fetch(number * BLOCK_BYTES as u64, BLOCK_BYTES)?;
        if kept.order.len() == KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.blocks.remove(&oldest);
        }
        kept.order.push_back(number);
        kept.blocks.insert(number, block.clone());
        Ok(block)
    }
}

impl Ranges for Blocks {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let end = start + length as u64;
        if end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut whole = BytesMut::with_capacity(length);
        let mut at = start;
        while at < end {
            let number = at / BLOCK_BYTES as u64;
            let block = self.block(number)?;
            let from = usize::try_from(at - number * BLOCK_BYTES as u64).map_err(io::Error::other)?;
            let part = block.get(from..).ok_or(io::ErrorKind::UnexpectedEof)?;
            let part = &part[..part.len().min(usize::try_from(end - at).unwrap_or(usize::MAX))];
            if part.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if part.len() == length {
                return Ok(block.slice(from..from + length));
            }
            whole.extend_from_slice(part);
            at += part.len() as u64;
        }
        Ok(whole.freeze())
    }
}
