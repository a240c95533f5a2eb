//! How much Express executions take at this moment, and who is refused when it is too much. Counters and guards that
//! count down again; nothing here waits.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use stepwright_machine::Execution;

use crate::error::{Error, Result};
use crate::options::ExpressOptions;

/// What an open execution takes beside its texts.
const EXECUTION_BYTES: usize = 4_096;
/// A text and the value that was read from it take so many times the text's length, about.
const TIMES: usize = 4;
/// What is new is added up until it is so much; only then is the whole measured again.
const SLACK: usize = 64 << 10;

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Load {
    open: AtomicUsize,
    bytes: AtomicUsize,
}

impl Load {
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A place for an execution with an input of so many bytes.
    ///
    /// # Errors
    /// `TooManyExpress`, `ExpressMemory`.
    pub(crate) fn admit(self: &Arc<Self>, input: usize, options: &ExpressOptions) -> Result<Place> {
        let bytes = taken(input);
        let open = self.open.fetch_add(1, Ordering::Relaxed);
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        // Counted down again if it is refused.
        // Its first turn makes the input, as every other text of its own.
        let place = Place { load: self.clone(), bytes, measured: 0, new: 0, peak: input };
        if open >= options.executions {
            return Err(Error::TooManyExpress { limit: options.executions });
        }
        // One that is alone is let in, however large: it could never be otherwise.
        if open > 0 && held.saturating_add(bytes) > options.memory_bytes {
            return Err(Error::ExpressMemory { held, limit: options.memory_bytes });
        }
        Ok(place)
    }
}

/// What an execution with so many bytes of text takes.
fn taken(texts: usize) -> usize {
    EXECUTION_BYTES.saturating_add(texts.saturating_mul(TIMES))
}

/// An open execution's part of the load.
#[derive(Debug)]
pub(crate) struct Place {
    load: Arc<Load>,
    /// What it is counted with.
    bytes: usize,
    /// Texts that it held when that was measured last.
    measured: usize,
    /// Texts that are new since then.
    new: usize,
    /// The most that it held.
    peak: usize,
}

impl Place {
    /// A turn made so many bytes of texts. Walks the whole execution only when it may hold twice as much as when it was
    /// measured last, so that all measuring together costs no more than the turns.
    pub(crate) fn grew(&mut self, new: usize, execution: &Execution) {
        self.new += new;
        if self.new >= self.measured + SLACK {
            self.measured = execution.held_bytes();
            self.new = 0;
        }
        let held = self.measured + self.new;
        self.peak = self.peak.max(held);
        let bytes = taken(held);
        if bytes > self.bytes {
            self.load.bytes.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else {
            self.load.bytes.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    /// What all hold together if that is more than they may grow to, and this one holds more than its share of it.
    pub(crate) fn excess(&self, options: &ExpressOptions) -> Option<usize> {
        let (open, held) = (self.load.open().max(1), self.load.bytes());
        (held / 2 > options.memory_bytes && self.bytes >= held / open).then_some(held)
    }

    /// The most bytes that the execution took, about.
    pub(crate) fn peak(&self) -> usize {
        taken(self.peak)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.open.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_memory_are_bounded_and_given_back() {
        let load = Arc::new(Load::default());
        let options = ExpressOptions { executions: 2, memory_bytes: 20_000, ..ExpressOptions::default() };
        let first = load.admit(100, &options).expect("room");
        assert_eq!((load.open(), load.bytes()), (1, EXECUTION_BYTES + 400));
        let error = load.admit(10_000, &options).expect_err("too large beside another");
        assert_eq!(error, Error::ExpressMemory { held: EXECUTION_BYTES + 400, limit: 20_000 });
        let second = load.admit(1, &options).expect("room");
        assert_eq!(load.admit(1, &options).expect_err("full"), Error::TooManyExpress { limit: 2 });
        drop((first, second));
        assert_eq!((load.open(), load.bytes()), (0, 0));
        assert!(load.admit(1 << 20, &options).is_ok(), "one that is alone is let in");
    }
}
