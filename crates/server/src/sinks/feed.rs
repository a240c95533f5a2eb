//! The loop of one sink: what waits for it is read, told, and settled; what it does not take is told again after a
//! pause. It never gives up; the engine's bounds on what may wait do.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stepwright_engine::{Channel, Engine, Notice, Told};
use tokio::{sync::watch, time::Instant};

use super::{Outcome, Sink};
use crate::service::Service;

/// The first pause after trouble; it doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
/// The longest pause of one execution whose events are not taken while those of others are.
const LONGEST_HOLD: Duration = Duration::from_secs(300);
/// How often trouble that goes on is told of.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// How long what was told may wait to be forgotten: so that many need one commit.
const FORGET_AFTER: Duration = Duration::from_millis(200);
/// How long until a failed engine may have been opened again.
const REOPENED_AFTER: Duration = Duration::from_millis(500);

/// What goes wrong with a sink.
struct Trouble {
    reason: String,
    since: Instant,
    said: Instant,
}

/// Something that is told of once a minute at most, with how often it was.
#[derive(Default)]
struct Sparing(Mutex<(u64, Option<Instant>)>);

impl Sparing {
    /// Counts one; how many there were since it was told of last, if it is to be told of.
    fn count(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, said) = &mut *state;
        *count += 1;
        if said.is_some_and(|said| said.elapsed() < SAY_AGAIN) {
            return None;
        }
        *said = Some(Instant::now());
        Some(std::mem::take(count))
    }
}

/// One sink, and how it does.
pub(super) struct Feed {
    pub(super) channel: Channel,
    pub(super) name: String,
    sink: Sink,
    retried: AtomicU64,
    lost: Sparing,
    refused: Sparing,
    trouble: Mutex<Option<Trouble>>,
}

/// An execution whose events wait although those of others don't.
struct Held {
    tries: u32,
    until: Instant,
}

/// How a round went.
enum Round {
    /// The sink took something, or there was nothing for it.
    Fine,
    /// It took nothing.
    Trouble(String),
}

impl Feed {
    pub(super) fn new(channel: Channel, name: String, sink: Sink) -> Self {
        Self {
            channel,
            name,
            sink,
            retried: AtomicU64::new(0),
            lost: Sparing::default(),
            refused: Sparing::default(),
            trouble: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Turns that were told more than once, counted each time.
    pub(super) fn retried(&self) -> u64 {
        self.retried.load(Ordering::Relaxed)
    }

    /// What goes wrong now, for `/healthz`.
    pub(super) fn trouble(&self) -> Value {
        let trouble = self.lock();
        trouble.as_ref().map_or(
            Value::Null,
            |trouble| json!({"reason": trouble.reason, "seconds": trouble.since.elapsed().as_secs()}),
        )
    }

    /// Tells what waits and what arrives, until the server stops and nothing waits that the sink takes.
    pub(super) async fn run(self: Arc<Self>, service: Weak<Service>) {
        let mut pause = FIRST_PAUSE;
        let mut held: HashMap<[u8; 16], Held> = HashMap::new();
        let mut next_round = Instant::now();
        loop {
            tokio::time::sleep_until(next_round).await;
            let Some((engine, mut stopping)) = service.upgrade().map(|service| (service.engine(), service.stopping()))
            else {
                return;
            };
            if engine.is_failed() {
                if wait(&mut stopping, tokio::time::sleep(REOPENED_AFTER)).await {
                    return;
                }
                continue;
            }
            let now = Instant::now();
            let wanted = |notice: &Notice| held.get(&notice.execution()).is_none_or(|held| held.until <= now);
            let notices = engine.waiting_notices(self.channel, self.sink.at_once(), &wanted);
            if notices.is_empty() {
                // Whoever need not be held any more has nothing that waits, for it was dropped.
                held.retain(|_, held| held.until > now);
                let next = held.values().map(|held| held.until).min();
                let something = async {
                    tokio::select! {
                        () = engine.notice_arrives(self.channel) => {}
                        () = at(next) => {}
                    }
                };
                if wait(&mut stopping, something).await {
                    return;
                }
                continue;
            }
            next_round = now + self.sink.breath();
            match self.round(&engine, notices, &mut held).await {
                Round::Fine => {
                    pause = FIRST_PAUSE;
                    self.no_trouble();
                }
                Round::Trouble(reason) => {
                    self.say(reason);
                    if wait(&mut stopping, tokio::time::sleep(pause)).await {
                        return;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    async fn round(&self, engine: &Engine, notices: Vec<Notice>, held: &mut HashMap<[u8; 16], Held>) -> Round {
        let told = match engine.read_notices(self.channel, notices).await {
            Ok(told) => told,
            Err(error) => return Round::Trouble(error.to_string()),
        };
        let (told, gone): (Vec<Told>, Vec<Told>) = told.into_iter().partition(|told| told.turn.is_some());
        if !gone.is_empty() {
            tracing::warn!(sink = self.name, turns = gone.len(), "turns that were to be told are gone");
            engine.settle_notices(self.channel, &sequences(&gone), false);
        }
        if told.is_empty() {
            return Round::Fine;
        }
        let notices: Vec<Notice> = told.iter().map(|told| told.notice).collect();
        let outcomes = self.sink.tell(told).await;

        let (mut delivered, mut lost, mut again) = (Vec::new(), Vec::new(), Vec::new());
        let mut reason = None;
        for (notice, outcome) in notices.iter().zip(outcomes) {
            match outcome {
                Outcome::Delivered => {
                    held.remove(&notice.execution());
                    delivered.push(notice.sequence());
                }
                Outcome::Lost(why) => {
                    if let Some(turns) = self.lost.count() {
                        tracing::warn!(
                            sink = self.name,
                            turns,
                            reason = why,
                            "the sink takes some turns never; they are dropped"
                        );
                    }
                    lost.push(notice.sequence());
                }
                Outcome::Again(why) => {
                    reason.get_or_insert(why);
                    again.push(notice.execution());
                }
            }
        }
        engine.settle_notices(self.channel, &delivered, true);
        engine.settle_notices(self.channel, &lost, false);
        self.retried.fetch_add(again.len() as u64, Ordering::Relaxed);
        let Some(reason) = reason else { return Round::Fine };
        if delivered.is_empty() || !self.sink.tells_apart() {
            return Round::Trouble(reason);
        }
        // It takes the events of other executions: these wait alone.
        again.sort_unstable();
        again.dedup();
        for execution in again {
            let tries = held.get(&execution).map_or(0, |held| held.tries) + 1;
            let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_HOLD);
            held.insert(execution, Held { tries, until: Instant::now() + pause });
        }
        if self.refused.count().is_some() {
            let executions = held.len();
            tracing::warn!(
                sink = self.name,
                reason,
                executions,
                "the sink does not take events of some executions yet"
            );
        }
        Round::Fine
    }

    fn say(&self, reason: String) {
        let mut trouble = self.lock();
        let now = Instant::now();
        match &mut *trouble {
            Some(known) => {
                if known.said.elapsed() >= SAY_AGAIN {
                    known.said = now;
                    tracing::warn!(
                        sink = self.name,
                        reason,
                        seconds = known.since.elapsed().as_secs(),
                        "still nothing can be told"
                    );
                }
                known.reason = reason;
            }
            None => {
                tracing::warn!(sink = self.name, reason, "nothing can be told; it waits and is tried again");
                *trouble = Some(Trouble { reason, since: now, said: now });
            }
        }
    }

    fn no_trouble(&self) {
        if let Some(trouble) = self.lock().take() {
            tracing::info!(sink = self.name, seconds = trouble.since.elapsed().as_secs(), "it can be told again");
        }
    }
}

fn sequences(told: &[Told]) -> Vec<u64> {
    told.iter().map(|told| told.notice.sequence()).collect()
}

/// Waits for something, or for the server to stop: then it returns true.
async fn wait(stopping: &mut watch::Receiver<bool>, something: impl Future<Output = ()>) -> bool {
    if *stopping.borrow() {
        return true;
    }
    tokio::select! {
        () = something => false,
        // What arrived before the stop is told by another round.
        stopped = stopping.wait_for(|stopping| *stopping) => stopped.is_err(),
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// Lets the store forget what was told, a little later, so that one commit forgets much.
pub(super) async fn forget(service: Weak<Service>) {
    loop {
        let Some((engine, mut stopping)) = service.upgrade().map(|service| (service.engine(), service.stopping()))
        else {
            return;
        };
        let settled = async {
            engine.notices_settle().await;
            tokio::time::sleep(FORGET_AFTER).await;
        };
        if wait(&mut stopping, settled).await || *stopping.borrow() {
            // The end of the server forgets the rest.
            return;
        }
        let Some(strong) = service.upgrade() else { return };
        if let Err(error) = strong.sinks().forget(&engine).await {
            tracing::warn!(error, "what was told cannot be forgotten yet");
            tokio::time::sleep(REOPENED_AFTER).await;
        }
    }
}
