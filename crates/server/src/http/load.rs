//! What clients take of the server at this moment, and what is refused when they want more than their limits.
//!
//! Counters and nothing else, shared by all connections: a request costs a few additions. Nothing here waits: what is
//! over a limit is refused at once, with the setting's name. Nothing here may be counted up without a guard that counts it
//! down again.

use std::sync::{
    Arc,
    atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use serde_json::{Value, json};
use stepwright_api::{ApiError, ErrorCode};

use crate::config::HttpLimits;

/// Bodies and answers up to this are not counted: there are no more of them than connections, and who sends little
/// shall not wait for those who send much.
pub(super) const SMALL: usize = 16 * 1024;

/// The counters.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) limits: HttpLimits,
    /// Connections open.
    pub(super) connections: AtomicUsize,
    /// The most that there were at once.
    connections_peak: AtomicUsize,
    /// Requests being answered, polls apart.
    requests: AtomicUsize,
    /// Calls of GetActivityTask and StartSyncExecution that are being answered: many of them wait.
    long_polls: AtomicUsize,
    /// Bytes of bodies and long answers in memory.
    buffered: AtomicUsize,
    buffered_peak: AtomicUsize,
    /// Refusals by reason, since the start.
    pub(super) refused_connections: AtomicU64,
    pub(super) refused_requests: AtomicU64,
    pub(super) refused_bytes: AtomicU64,
    pub(super) refused_heads: AtomicU64,
    pub(super) timed_out: AtomicU64,
    seconds: AtomicU32,
}

impl Load {
    pub(super) fn new(limits: HttpLimits) -> Self {
        Self {
            limits,
            connections: AtomicUsize::new(0),
            connections_peak: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            long_polls: AtomicUsize::new(0),
            buffered: AtomicUsize::new(0),
            buffered_peak: AtomicUsize::new(0),
            refused_connections: AtomicU64::new(0),
            refused_requests: AtomicU64::new(0),
            refused_bytes: AtomicU64::new(0),
            refused_heads: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            seconds: AtomicU32::new(0),
        }
    }

    /// Seconds since the start, by the clock of the watch: good enough for limits of seconds, and free.
    pub(super) fn seconds(&self) -> u32 {
        self.seconds.load(Ordering::Relaxed)
    }

    pub(super) fn tick(&self) -> u32 {
        self.seconds.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A place for a connection, if there is one.
    pub(super) fn connection(&self) -> Option<Counted<'_>> {
        let counted = Counted::up_to(&self.connections, self.limits.connections)?;
        raise(&self.connections_peak, self.connections.load(Ordering::Relaxed));
        Some(counted)
    }

    /// A place for a request.
    pub(super) fn request(&self) -> Result<Counted<'_>, ApiError> {
        let limit = self.limits.requests;
        Counted::up_to(&self.requests, limit).ok_or_else(|| {
            self.refused_requests.fetch_add(1, Ordering::Relaxed);
            busy(format!(
                "{limit} requests are being answered, the most that http.requests allows: try again in a moment, with \
                 fewer at once"
            ))
        })
    }

    /// A request that waits: as many as connections at most, and the engine bounds them by itself.
    pub(super) fn long_poll(&self) -> Counted<'_> {
        self.long_polls.fetch_add(1, Ordering::Relaxed);
        Counted(&self.long_polls)
    }

    /// Nothing buffered yet.
    pub(super) fn buffer(&self) -> Buffered<'_> {
        Buffered { load: self, bytes: 0 }
    }

    /// How much was refused or cut off since the start.
    pub(super) fn refused(&self) -> u64 {
        [&self.refused_connections, &self.refused_requests, &self.refused_bytes, &self.refused_heads, &self.timed_out]
            .map(|counter| counter.load(Ordering::Relaxed))
            .iter()
            .sum()
    }

    /// For `/healthz`.
    pub(super) fn shown(&self) -> Value {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let refused = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "connections": count(&self.connections),
            "connectionsPeak": count(&self.connections_peak),
            "connectionsLimit": self.limits.connections,
            "longPolls": count(&self.long_polls),
            "requests": count(&self.requests),
            "requestsLimit": self.limits.requests,
            "bufferedBytes": count(&self.buffered),
            "bufferedBytesPeak": count(&self.buffered_peak),
            "bufferedBytesLimit": self.limits.buffered_bytes,
            "refused": {
                "connections": refused(&self.refused_connections),
                "requests": refused(&self.refused_requests),
                "bytes": refused(&self.refused_bytes),
                "heads": refused(&self.refused_heads),
                "timedOut": refused(&self.timed_out),
            },
        })
    }
}

/// Writes only when there is something to write, which is seldom.
fn raise(peak: &AtomicUsize, to: usize) {
    if peak.load(Ordering::Relaxed) < to {
        peak.fetch_max(to, Ordering::Relaxed);
    }
}

/// The error of what would be served at another moment. SDKs try again after it.
pub(super) fn busy(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::ServiceUnavailable, message)
}

/// One in a counter; counted down when dropped.
#[derive(Debug)]
pub(super) struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn up_to(counter: &'a AtomicUsize, limit: usize) -> Option<Self> {
        let counted = Self(counter);
        // Over the limit, the guard takes it back.
        (counter.fetch_add(1, Ordering::Relaxed) < limit).then_some(counted)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes in memory for one request; given back when dropped.
#[derive(Debug)]
pub(super) struct Buffered<'a> {
    load: &'a Load,
    bytes: usize,
}

impl Buffered<'_> {
    /// Counts `bytes` more.
    ///
    /// # Errors
    /// There is no room for them; what was counted before stays.
    pub(super) fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        let limit = self.load.limits.buffered_bytes;
        let before = self.load.buffered.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > limit {
            self.load.buffered.fetch_sub(bytes, Ordering::Relaxed);
            self.load.refused_bytes.fetch_add(1, Ordering::Relaxed);
            return Err(busy(format!(
                "The bodies of requests and long answers in memory have {before} bytes, and {bytes} more would be over \
                 the {limit} that http.buffered_bytes allows: try again in a moment"
            )));
        }
        raise(&self.load.buffered_peak, before + bytes);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives everything back.
    pub(super) fn clear(&mut self) {
        if self.bytes > 0 {
            self.load.buffered.fetch_sub(std::mem::take(&mut self.bytes), Ordering::Relaxed);
        }
    }
}

impl Drop for Buffered<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The body of an answer, counted from here until the last of it was written.
///
/// # Errors
/// It is long, and there is no room for it.
pub(super) fn counted_reply(load: &Arc<Load>, body: Vec<u8>) -> Result<Bytes, ApiError> {
    struct Reply {
        body: Vec<u8>,
        load: Arc<Load>,
    }
    impl AsRef<[u8]> for Reply {
        fn as_ref(&self) -> &[u8] {
            &self.body
        }
    }
    impl Drop for Reply {
        fn drop(&mut self) {
            self.load.buffered.fetch_sub(self.body.len(), Ordering::Relaxed);
        }
    }
    if body.len() <= SMALL {
        return Ok(body.into());
    }
    let mut room = load.buffer();
    room.add(body.len())?;
    // From here on, the reply gives it back.
    room.bytes = 0;
    Ok(Bytes::from_owner(Reply { body, load: Arc::clone(load) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_a_limit_is_refused_by_name_and_counts_for_nothing() {
        let load = Load::new(HttpLimits { connections: 1, requests: 2, buffered_bytes: 100, ..HttpLimits::default() });
        let first = load.connection().expect("a place");
        assert!(load.connection().is_none());
        drop(first);
        assert!(load.connection().is_some());

        let _two = [load.request(), load.request()].map(|request| request.expect("a place"));
        let error = load.request().expect_err("full");
        assert_eq!((error.code, error.status()), (ErrorCode::ServiceUnavailable, 503));
        assert!(error.message.contains("2 requests") && error.message.contains("http.requests"), "{error}");

        let mut buffered = load.buffer();
        buffered.add(60).expect("room");
        let mut other = load.buffer();
        assert!(other.add(41).expect_err("no room").message.contains("100 that http.buffered_bytes allows"));
        other.add(40).expect("room");
        drop((buffered, other));
        let shown = load.shown();
        assert_eq!((&shown["bufferedBytes"], &shown["bufferedBytesPeak"]), (&json!(0), &json!(100)));
        assert_eq!(shown["refused"], json!({"connections": 0, "requests": 1, "bytes": 1, "heads": 0, "timedOut": 0}));
    }
}
