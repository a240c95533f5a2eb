//! Records of Express executions. Nothing of these is stored, so there is nothing to be told again: they wait in memory,
//! in a queue with bounds, and are told as well as can be, as on AWS.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stepwright_engine::{Event, EventSink, ExpressEvents, LogLevel};
use tokio::sync::Notify;

use super::{LogEntry, LogSink, Outcome, record};
use crate::service::Service;

/// Turns that wait, and bytes of their payloads.
const MOST_TURNS: usize = 20_000;
const MOST_BYTES: usize = 64 << 20;
/// What an event counts beside its payloads.
const EVENT_BYTES: usize = 256;
/// Turns told at once.
const AT_ONCE: usize = 512;
/// How often turns are told that the sink does not take, and the first pause between; it doubles.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Default)]
struct Queue {
    turns: VecDeque<(usize, ExpressEvents)>,
    bytes: usize,
}

/// What waits.
#[derive(Default)]
pub(super) struct Express {
    queue: Mutex<Queue>,
    arrived: Notify,
    delivered: AtomicU64,
    dropped: AtomicU64,
}

impl EventSink for Express {
    fn wants(&self, logging: &str) -> bool {
        record::level(logging) != LogLevel::Off
    }

    fn take(&self, events: ExpressEvents) {
        let bytes = events.page.events.iter().map(Event::bytes).sum::<usize>() + events.page.events.len() * EVENT_BYTES;
        let mut queue = self.lock();
        queue.bytes += bytes;
        queue.turns.push_back((bytes, events));
        while queue.turns.len() > MOST_TURNS || queue.bytes > MOST_BYTES {
            let Some((bytes, _)) = queue.turns.pop_front() else { break };
            queue.bytes -= bytes;
            self.lost(1, "too many wait");
        }
        drop(queue);
        self.arrived.notify_one();
    }
}

impl Express {
    // Each change under this lock leaves good data behind.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self, turns: u64, reason: &str) {
        let before = self.dropped.fetch_add(turns, Ordering::Relaxed);
        // Once for each power of two.
        if before == 0 || before.ilog2() != (before + turns).ilog2() {
            tracing::warn!(dropped = before + turns, reason, "logs of Express executions are lost");
        }
    }

    fn next(&self) -> Vec<ExpressEvents> {
        let mut queue = self.lock();
        let count = queue.turns.len().min(AT_ONCE);
        let turns: Vec<_> = queue.turns.drain(..count).collect();
        queue.bytes -= turns.iter().map(|(bytes, _)| bytes).sum::<usize>();
        turns.into_iter().map(|(_, events)| events).collect()
    }

    /// Tells what arrives, until the server stops and nothing waits.
    pub(super) async fn run(self: Arc<Self>, logs: LogSink, service: Weak<Service>) {
        loop {
            let Some(mut stopping) = service.upgrade().map(|service| service.stopping()) else { return };
            let turns = self.next();
            if turns.is_empty() {
                if *stopping.borrow() {
                    return;
                }
                tokio::select! {
                    () = self.arrived.notified() => {}
                    _ = stopping.wait_for(|stopping| *stopping) => {}
                }
                continue;
            }
            self.tell(&logs, turns.iter().filter_map(LogEntry::of_express).collect()).await;
        }
    }

    async fn tell(&self, logs: &LogSink, mut entries: Vec<LogEntry>) {
        let mut pause = PAUSE;
        for again in (0..TRIES).rev() {
            let outcomes = logs.put(entries.clone()).await;
            let mut rest = Vec::new();
            for (entry, outcome) in entries.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Delivered => drop(self.delivered.fetch_add(1, Ordering::Relaxed)),
                    Outcome::Again(_) | Outcome::Refused(_) if again > 0 => rest.push(entry),
                    Outcome::Again(reason) | Outcome::Refused(reason) | Outcome::Lost(reason) => self.lost(1, &reason),
                }
            }
            if rest.is_empty() {
                return;
            }
            entries = rest;
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// For `/healthz`.
    pub(super) fn shown(&self) -> Value {
        json!({
            "delivered": self.delivered.load(Ordering::Relaxed),
            "dropped": self.dropped.load(Ordering::Relaxed),
            "backlog": self.lock().turns.len(),
        })
    }
}
