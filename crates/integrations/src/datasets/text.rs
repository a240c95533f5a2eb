//! Items of a file of text: fetched, decompressed, decoded.

use std::sync::Arc;

use bytes::Bytes;
use stepwright_items::{Compression, Decompressor, Format, Item, Limits, Mark, TextDecoder};

use super::{
    ReadFailure,
    fetch::Fetch,
    position::{Compressed, InFile},
};
use crate::objects::{Object, ObjectError, Place};

/// Bytes of text that are decompressed at a time.
const TEXT_BYTES: usize = 512 << 10;

/// A file of text that is open.
#[derive(Debug)]
pub(super) struct TextReader {
    object: Object,
    fetch: Fetch,
    compression: Option<Compression>,
    decompressor: Option<Decompressor>,
    /// What came and was not decompressed.
    compressed: Bytes,
    /// What was decoded up to `used`.
    text: Bytes,
    used: usize,
    /// Bytes of text that lie before the place from where decoding goes on.
    skip: u64,
    begun: bool,
    at_end: bool,
    decoder: TextDecoder,
}

impl TextReader {
    pub(super) fn open(
        place: Place,
        object: Object,
        format: &Format,
        limits: Limits,
        from: Option<&InFile>,
    ) -> Result<Self, ReadFailure> {
        let mark = from.map_or_else(Mark::default, |from| from.mark.clone());
        let compression = from.and_then(|from| from.compression).map(Compression::from);
        let etag = from.and_then(|from| from.etag.as_deref()).map(Arc::from);
        // Nothing leads into the middle of what is compressed.
        let (at, skip) = if compression.is_some() { (0, mark.offset) } else { (mark.offset, 0) };
        let content = |problem| ReadFailure::Content(Some(object.clone()), problem);
        let decoder = TextDecoder::resume(format, limits, mark).map_err(content)?;
        let fetch = Fetch::new(place, object.clone(), at, etag);
        Ok(Self {
            object,
            fetch,
            compression,
            decompressor: None,
            compressed: Bytes::new(),
            text: Bytes::new(),
            used: 0,
            skip,
            begun: at > 0,
            at_end: false,
            decoder,
        })
    }

    pub(super) fn position(&self) -> InFile {
        InFile {
            key: None,
            etag: self.fetch.etag().map(ToString::to_string),
            compression: self.compression.map(Compressed::from),
            mark: self.decoder.mark().clone(),
        }
    }

    /// Bytes of the file that were used, and how many it has.
    pub(super) fn progress(&self) -> (u64, Option<u64>) {
        let waiting = match self.compression {
            Some(_) => self.compressed.len(),
            None => self.text.len() - self.used,
        };
        (self.fetch.at().saturating_sub(waiting as u64), self.fetch.total())
    }

    pub(super) async fn next(&mut self) -> Result<Option<Item>, ReadFailure> {
        loop {
            let mut input = &self.text[self.used..];
            let before = input.len();
            let found = self.decoder.next(&mut input, self.at_end);
            self.used += before - input.len();
            let item = found.map_err(|problem| self.content(problem))?;
            if item.is_some() || self.at_end || self.decoder.is_done() {
                return Ok(item);
            }
            self.fill().await?;
        }
    }

    fn content(&self, problem: stepwright_items::Problem) -> ReadFailure {
        ReadFailure::Content(Some(self.object.clone()), problem)
    }

    /// Gets more text. Everything that there was has been used.
    async fn fill(&mut self) -> Result<(), ReadFailure> {
        self.used = 0;
        if !self.begun {
            self.begun = true;
            let first = self.fetch.next().await?.unwrap_or_default();
            self.compression = Compression::of(&first[..first.len().min(Compression::TOLD_BY)]);
            match self.compression {
                None => {
                    self.at_end = first.is_empty();
                    self.text = first;
                    return Ok(());
                }
                Some(_) => self.compressed = first,
            }
        }
        let Some(compression) = self.compression else {
            self.text = self.fetch.next().await?.unwrap_or_default();
            self.at_end = self.text.is_empty();
            return Ok(());
        };
        self.text = Bytes::new();
        let mut decompressor = match self.decompressor.take() {
            Some(decompressor) => decompressor,
            None => Decompressor::new(compression).map_err(|problem| self.content(problem))?,
        };
        let mut text = Vec::new();
        while text.is_empty() && !self.at_end {
            if self.compressed.is_empty() {
                self.compressed = self.fetch.next().await?.unwrap_or_default();
                self.at_end = self.compressed.is_empty();
            }
            let mut input = &self.compressed[..];
            let before = input.len();
            let done = match self.at_end {
                true => decompressor.finish(&mut text),
                false => decompressor.push(&mut input, &mut text, TEXT_BYTES),
            };
            let used = before - input.len();
            done.map_err(|problem| self.content(problem))?;
            drop(self.compressed.split_to(used));
            let skipped = self.skip.min(text.len() as u64);
            self.skip -= skipped;
            drop(text.drain(..usize::try_from(skipped).unwrap_or(text.len())));
            // Much may be decompressed without waiting for anything.
            tokio::task::yield_now().await;
        }
        if self.at_end && self.skip > 0 {
            return Err(ObjectError::changed(&self.object).into());
        }
        self.decompressor = Some(decompressor);
        self.text = text.into();
        Ok(())
    }
}
