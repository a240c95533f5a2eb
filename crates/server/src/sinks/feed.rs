//! The loop of one sink: what waits for it is read, told, and settled; what it does not take is told again after a
//! pause. It never gives up; the engine's bounds on what may wait do.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Value, json};
use stepwright_engine::{Channel, Engine, Notice, Told};
use tokio::{sync::watch, task::JoinSet, time::Instant};

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

/// An execution whose events wait although those of others may not.
struct Held {
    /// How often its events were refused while those of others were not.
    tries: u32,
    until: Instant,
}

/// How a round went, by executions.
#[derive(Default)]
struct Round {
    /// Those that it was about.
    of: Vec<Execution>,
    delivered: Vec<Execution>,
    /// What the sink refuses of these says nothing about others.
    apart: Vec<Execution>,
    /// For these it could not be told anything.
    again: Vec<Execution>,
    reason: Option<String>,
}

type Execution = [u8; 16];

/// What the loop of a sink knows beside what waits.
struct Pacing {
    /// Executions that rounds under way are about: what comes later of them waits for its turn.
    flying: HashSet<Execution>,
    held: HashMap<Execution, Held>,
    /// No round begins before.
    next_round: Instant,
    pause: Duration,
}

impl Pacing {
    fn lets(&self, notice: &Notice, now: Instant) -> bool {
        let execution = notice.execution();
        !self.flying.contains(&execution) && self.held.get(&execution).is_none_or(|held| held.until <= now)
    }

    fn hold(&mut self, executions: Vec<Execution>, now: Instant) {
        for execution in executions {
            let tries = self.held.get(&execution).map_or(0, |held| held.tries) + 1;
            let pause = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_HOLD);
            self.held.insert(execution, Held { tries, until: now + pause });
        }
    }
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
        let mut rounds: JoinSet<Round> = JoinSet::new();
        let mut pacing =
            Pacing { flying: HashSet::new(), held: HashMap::new(), next_round: Instant::now(), pause: FIRST_PAUSE };
        loop {
            let Some((engine, mut stopping)) = service.upgrade().map(|service| (service.engine(), service.stopping()))
            else {
                return;
            };
            let now = Instant::now();
            let free = rounds.len() < self.sink.rounds() && pacing.next_round <= now && !engine.is_failed();
            let notices = if free {
                engine.waiting_notices(self.channel, self.sink.at_once(), &|notice| pacing.lets(notice, now))
            } else {
                Vec::new()
            };
            if !notices.is_empty() {
                pacing.next_round = now + self.sink.breath();
                pacing.flying.extend(notices.iter().map(Notice::execution));
                let feed = Arc::clone(&self);
                rounds.spawn(async move { feed.round(&engine, notices).await });
                continue;
            }
            if free {
                // Whoever need not be held any more has nothing that waits, for it was dropped.
                pacing.held.retain(|_, held| held.until > now);
            }
            let ends = *stopping.borrow();
            if ends && rounds.is_empty() && (free || self.is_in_trouble() || engine.is_failed()) {
                return;
            }
            let next = if engine.is_failed() {
                Some(now + REOPENED_AFTER)
            } else if pacing.next_round > now {
                Some(pacing.next_round)
            } else if free {
                pacing.held.values().map(|held| held.until).min()
            } else {
                None
            };
            tokio::select! {
                () = engine.notice_arrives(self.channel), if free => {}
                () = at(next) => {}
                Some(done) = rounds.join_next() => match done {
                    Ok(round) => self.land(round, &mut pacing),
                    // A round that broke told nobody; what it was about is told again.
                    Err(_) => pacing.flying.clear(),
                },
                _ = stopping.wait_for(|stopping| *stopping), if !ends => {}
            }
        }
    }

    /// Draws what follows from a round.
    fn land(&self, round: Round, pacing: &mut Pacing) {
        let now = Instant::now();
        for execution in &round.of {
            pacing.flying.remove(execution);
        }
        for execution in &round.delivered {
            pacing.held.remove(execution);
        }
        let mut apart = round.apart;
        let reason = round.reason.unwrap_or_default();
        if round.again.is_empty() || (!round.delivered.is_empty() && self.sink.tells_apart()) {
            // It takes the events of other executions: these wait alone.
            apart.extend(round.again);
            pacing.pause = FIRST_PAUSE;
            if self.no_trouble() {
                // Who was held because nothing could be told need not be any more.
                pacing.held.retain(|_, held| held.tries > 0);
            }
        } else {
            if self.sink.tells_apart() {
                // Not for ever the same ones: others may fare better.
                let until = now + pacing.pause * 3;
                for execution in round.again {
                    pacing.held.entry(execution).or_insert(Held { tries: 0, until }).until = until;
                }
            }
            self.say(reason.clone());
            pacing.next_round = now + pacing.pause;
            pacing.pause = (pacing.pause * 2).min(LONGEST_PAUSE);
        }
        if !apart.is_empty() {
            pacing.hold(apart, now);
            if self.refused.count().is_some() {
                let executions = pacing.held.len();
                tracing::warn!(
                    sink = self.name,
                    reason,
                    executions,
                    "the sink does not take events of some executions yet"
                );
            }
        }
    }

    /// Tells turns, and settles what that came to.
    async fn round(&self, engine: &Engine, notices: Vec<Notice>) -> Round {
        let mut round = Round { of: notices.iter().map(Notice::execution).collect(), ..Round::default() };
        let told = match engine.read_notices(self.channel, notices).await {
            Ok(told) => told,
            Err(error) => {
                round.again.clone_from(&round.of);
                round.reason = Some(error.to_string());
                return round;
            }
        };
        let (told, gone): (Vec<Told>, Vec<Told>) = told.into_iter().partition(|told| told.turn.is_some());
        if !gone.is_empty() {
            tracing::warn!(sink = self.name, turns = gone.len(), "turns that were to be told are gone");
            engine.settle_notices(self.channel, &sequences(&gone), false);
        }
        if told.is_empty() {
            return round;
        }
        let notices: Vec<Notice> = told.iter().map(|told| told.notice).collect();
        let outcomes = self.sink.tell(told).await;

        let (mut delivered, mut lost) = (Vec::new(), Vec::new());
        for (notice, outcome) in notices.iter().zip(outcomes) {
            match outcome {
                Outcome::Delivered => {
                    round.delivered.push(notice.execution());
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
                Outcome::Refused(why) => {
                    round.reason.get_or_insert(why);
                    round.apart.push(notice.execution());
                }
                Outcome::Again(why) => {
                    round.reason.get_or_insert(why);
                    round.again.push(notice.execution());
                }
            }
        }
        engine.settle_notices(self.channel, &delivered, true);
        engine.settle_notices(self.channel, &lost, false);
        self.retried.fetch_add((round.apart.len() + round.again.len()) as u64, Ordering::Relaxed);
        for executions in [&mut round.apart, &mut round.again] {
            executions.sort_unstable();
            executions.dedup();
        }
        round
    }

    fn is_in_trouble(&self) -> bool {
        self.lock().is_some()
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

    /// Whether there was trouble until now.
    fn no_trouble(&self) -> bool {
        let trouble = self.lock().take();
        if let Some(trouble) = &trouble {
            tracing::info!(sink = self.name, seconds = trouble.since.elapsed().as_secs(), "it can be told again");
        }
        trouble.is_some()
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
