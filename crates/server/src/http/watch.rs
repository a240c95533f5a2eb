//! How long a connection takes for what it is doing, and who ends it when it takes too long.
//!
//! A connection's task and its bytes note its phase in one number; one task for all connections looks at all of
//! them once a second and wakes those that are late. So a request sets no timers. The
//! connection's own task has the last word: it ends only if the number is still the one that was found late. Nothing
//! here may end a request that is being answered: bodies and operations have limits of their own.

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::load::Load;

/// Seconds between two lines in the log on what was refused.
const REPORT_EVERY: u32 = 10;

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// The head of a request is awaited or arrives.
    Head,
    /// A request is being read or answered.
    Serving,
    /// The answer is ready, nothing of it was written yet.
    Answered,
    /// The answer is being written.
    Writing,
    /// Between two requests.
    Idle,
}

const PHASES: [Phase; 5] = [Phase::Head, Phase::Serving, Phase::Answered, Phase::Writing, Phase::Idle];

/// What the watch knows of one connection.
#[derive(Debug)]
pub(super) struct Watched {
    load: Arc<Load>,
    /// The second in which the phase began, and the phase.
    now: AtomicU64,
    /// The value of `now` that was found late; 0 if none was.
    late: AtomicU64,
    stop: AtomicBool,
    /// The status with which hyper wanted to refuse what is no request; 0 if it did not.
    refused: AtomicU16,
    /// The client may still be sending when the connection is closed.
    linger: AtomicBool,
    /// More of the answer is to come than hyper has: a flush is not its end.
    streaming: AtomicBool,
    /// The connection's task.
    waker: Mutex<Option<Waker>>,
}

/// See [`Watched::stream`].
pub(super) struct Streaming(Arc<Watched>);

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.streaming.store(false, Ordering::Relaxed);
    }
}

/// What a connection is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The server stops.
    Stop,
    /// It is late.
    Late(Phase),
}

impl Watched {
    pub(super) fn new(load: Arc<Load>) -> Self {
        let now = packed(load.seconds(), Phase::Head);
        Self {
            load,
            now: AtomicU64::new(now),
            late: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            refused: AtomicU16::new(0),
            linger: AtomicBool::new(false),
            streaming: AtomicBool::new(false),
            waker: Mutex::new(None),
        }
    }

    /// The answer comes in pieces, as long as this is kept.
    pub(super) fn stream(self: &Arc<Self>) -> Streaming {
        self.streaming.store(true, Ordering::Relaxed);
        Streaming(Arc::clone(self))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.now.store(packed(self.load.seconds(), phase), Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        phase_of(self.now.load(Ordering::Relaxed))
    }

    /// Which task to wake. A task's wakers are all alike, so the first is as good as any.
    pub(super) fn in_task(&self, cx: &Context<'_>) {
        *self.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
    }

    /// What this connection was told and must act on.
    pub(super) fn told(&self) -> Option<Told> {
        let late = self.late.load(Ordering::Acquire);
        if late != 0 && late == self.now.load(Ordering::Relaxed) {
            return Some(Told::Late(phase_of(late)));
        }
        self.stop.load(Ordering::Acquire).then_some(Told::Stop)
    }

    /// The status of hyper's refusal, if there was one.
    pub(super) fn refusal(&self) -> Option<u16> {
        Some(self.refused.load(Ordering::Relaxed)).filter(|status| *status != 0)
    }

    /// Reads on for a moment when the connection is closed, so that the client gets to read the answer.
    pub(super) fn linger(&self) {
        self.linger.store(true, Ordering::Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.linger.load(Ordering::Relaxed)
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.lock().unwrap_or_else(PoisonError::into_inner) {
            waker.wake_by_ref();
        }
    }

    /// Wakes it if it is late.
    fn judge(&self, second: u32) {
        let now = self.now.load(Ordering::Relaxed);
        let limits = &self.load.limits;
        let limit = match phase_of(now) {
            Phase::Head => limits.header_time,
            Phase::Writing | Phase::Answered => limits.reply_time,
            Phase::Idle => limits.idle_time,
            Phase::Serving => return,
        };
        if Duration::from_secs(u64::from(second.saturating_sub(second_of(now)))) > limit {
            self.late.store(now, Ordering::Release);
            self.wake();
        }
    }
}

/// Never 0: that means "not late".
fn packed(second: u32, phase: Phase) -> u64 {
    (u64::from(second) << 8) | (phase as u64 + 1)
}

fn phase_of(packed: u64) -> Phase {
    PHASES[(packed & 0xff) as usize - 1]
}

fn second_of(packed: u64) -> u32 {
    (packed >> 8) as u32
}

/// All connections.
#[derive(Debug)]
pub(super) struct Watch {
    load: Arc<Load>,
    connections: Mutex<HashMap<u64, Arc<Watched>>>,
}

impl Watch {
    pub(super) fn new(load: Arc<Load>) -> Self {
        Self { load, connections: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<Watched>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection up.
    pub(super) fn add(&self, number: u64) -> Arc<Watched> {
        let watched = Arc::new(Watched::new(Arc::clone(&self.load)));
        self.lock().insert(number, Arc::clone(&watched));
        watched
    }

    pub(super) fn remove(&self, number: u64) {
        let mut connections = self.lock();
        connections.remove(&number);
        // After a flood, its table is not kept.
        if connections.capacity() > 1_024 && connections.len() * 8 < connections.capacity() {
            connections.shrink_to_fit();
        }
    }

    /// Tells every connection that the server stops.
    pub(super) fn stop(&self) {
        for watched in self.lock().values() {
            watched.stop.store(true, Ordering::Release);
            watched.wake();
        }
    }

    /// Looks at all connections once a second, for ever.
    pub(super) async fn run(&self) {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut told = 0;
        loop {
            ticks.tick().await;
            let second = self.load.tick();
            let refused = self.load.refused();
            // Not a line for each: a flood of clients shall not be one of lines.
            if second.is_multiple_of(REPORT_EVERY) && refused > told {
                tracing::warn!(
                    connections_and_requests = refused - told,
                    "refused or cut off in the last {REPORT_EVERY} seconds; /healthz tells what for, the limits are \
                     the settings http.*"
                );
                told = refused;
            }
            for watched in self.lock().values() {
                watched.judge(second);
            }
        }
    }
}

/// A connection's bytes, which note its phases.
pub(super) struct Paced<T> {
    pub(super) io: T,
    watched: Arc<Watched>,
}

impl<T> Paced<T> {
    pub(super) fn new(io: T, watched: Arc<Watched>) -> Self {
        Self { io, watched }
    }

    /// What hyper says when nobody has answered is its own refusal: a bare status. It is kept to be said in words.
    fn is_refusal(&self, bytes: &[u8]) -> bool {
        if !matches!(self.watched.phase(), Phase::Head | Phase::Idle) {
            return false;
        }
        if self.watched.refusal().is_none() {
            let digits = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            let status = digits.and_then(|digits| digits.parse().ok()).unwrap_or(400);
            self.watched.refused.store(status, Ordering::Relaxed);
        }
        true
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(count)) if *count > 0)
            && matches!(self.watched.phase(), Phase::Answered | Phase::Writing)
        {
            self.watched.enter(Phase::Writing);
        }
    }
}

impl<T: Read + Unpin> Read for Paced<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.io).poll_read(cx, buffer);
        if result.is_ready() && self.watched.phase() == Phase::Idle {
            self.watched.enter(Phase::Head);
        }
        result
    }
}

impl<T: Write + Unpin> Write for Paced<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_refusal(bytes) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.note_written(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if bytes.first().is_some_and(|first| self.is_refusal(first)) {
            return Poll::Ready(Ok(bytes.iter().map(|slice| slice.len()).sum()));
        }
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bytes);
        self.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes its connection only after it has written everything that it had buffered.
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        let ended = !self.watched.streaming.load(Ordering::Relaxed);
        if flushed.is_ready() && ended && self.watched.phase() == Phase::Writing {
            self.watched.enter(Phase::Idle);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watched.refusal().is_some() {
            // The words come first.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HttpLimits;

    #[test]
    fn who_moved_on_meanwhile_is_not_late() {
        let limits = HttpLimits { header_time: Duration::from_secs(2), ..HttpLimits::default() };
        let load = Arc::new(Load::new(limits));
        let watched = Watched::new(Arc::clone(&load));
        let pass = |seconds: u32| (0..seconds).fold(0, |_, _| load.tick());
        watched.judge(pass(2));
        assert_eq!(watched.told(), None, "exactly in time");
        watched.judge(pass(1));
        assert_eq!(watched.told(), Some(Told::Late(Phase::Head)));
        watched.enter(Phase::Serving);
        assert_eq!(watched.told(), None, "the head came while it was judged");
        watched.judge(pass(10_000));
        assert_eq!(watched.told(), None, "an answer takes as long as it takes");
        watched.enter(Phase::Idle);
        watched.judge(pass(600));
        assert_eq!(watched.told(), None);
        watched.judge(pass(1));
        assert_eq!(watched.told(), Some(Told::Late(Phase::Idle)));
    }
}
