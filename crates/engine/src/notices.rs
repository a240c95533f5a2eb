//! What the world outside is yet to be told of: turns of machines that log, and turns in which an execution's status
//! changed. A turn writes a small row for each channel that is to hear of it, in its own commit, so that neither a
//! crash nor a sink that is down loses it; whoever feeds a channel reads the turn itself from the store, and says when
//! that is done.
//!
//! It knows no record, no sink and no text, it never waits for one, and a channel that falls too far behind loses its
//! oldest notices and not the executions their speed.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use stepwright_machine::{ExecutionId, HistoryEvent, Millis, TurnId};
use stepwright_store::{
    Commit, Order, Store, Table, keys,
    records::{self, NoticeRow},
};
use tokio::sync::Notify;

use crate::{
    catalog::Revision,
    error::Result,
    log_level::{LogLevel, changes_status},
    message::{After, ExecutionRef},
    model::NoticeStats,
};

/// A way out: one sink, with an order and a backlog of its own. Part of the stored format.
pub type Channel = u8;

/// What is told outside, and how much of it may wait.
#[derive(Clone, Debug)]
pub struct NoticeOptions {
    /// The channel that is told what machines log; none: nobody is.
    pub log: Option<Channel>,
    /// The channels that are told when executions start and end.
    pub status: Vec<Channel>,
    /// How much a machine logs, from its stored logging configuration.
    pub level: fn(&str) -> LogLevel,
    /// Notices of one channel that wait at most. Beyond it the oldest are dropped.
    pub most: usize,
    /// How long one may wait, in milliseconds.
    pub keep_ms: Millis,
}

impl Default for NoticeOptions {
    /// Nobody is told anything.
    fn default() -> Self {
        Self { log: None, status: Vec::new(), level: |_| LogLevel::Off, most: 100_000, keep_ms: 24 * 3_600 * 1_000 }
    }
}

/// A turn that a channel is yet to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    pub(crate) sequence: u64,
    pub(crate) row: NoticeRow,
}

impl Notice {
    /// Its place in its channel: higher than that of every earlier turn of the same execution.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Whose turn it is: equal for notices of the same execution.
    #[must_use]
    pub fn execution(&self) -> [u8; 16] {
        self.row.execution
    }

    /// When the turn was.
    #[must_use]
    pub fn at(&self) -> Millis {
        self.row.at
    }

    /// The turn's number.
    #[must_use]
    pub fn turn(&self) -> TurnId {
        self.row.turn
    }

    pub(crate) fn reference(&self) -> ExecutionRef {
        ExecutionRef { scope: self.row.scope, id: ExecutionId::from_bytes(self.row.execution) }
    }
}

#[derive(Default)]
struct State {
    /// In the order in which they are told. Few are added in front of others: two shards may commit the other way
    /// round than they counted.
    waiting: BTreeMap<u64, NoticeRow>,
    delivered: u64,
    dropped: u64,
}

/// What waits for one channel.
#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    arrived: Notify,
}

impl Queue {
    // Each change under this lock leaves good data behind.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn, for whom it may concern.
pub(crate) struct Turned<'a> {
    pub(crate) execution: ExecutionRef,
    pub(crate) revision: &'a Revision,
    pub(crate) redriven: Option<(u32, Millis)>,
    pub(crate) turn: TurnId,
    pub(crate) at: Millis,
    pub(crate) events: &'a [HistoryEvent],
}

/// All channels.
pub(crate) struct Notices {
    options: NoticeOptions,
    queues: BTreeMap<Channel, Queue>,
    sequence: AtomicU64,
    /// Rows that nobody needs any more and that are still in the store.
    settled: Mutex<Vec<(Channel, u64)>>,
    anything_settled: Notify,
}

/// Rows read at once.
const PAGE: usize = 4_096;

impl Notices {
    /// Reads back what was not told before. What waits for a channel that there is no more, nobody will be told.
    pub(crate) fn open(store: &dyn Store, options: &NoticeOptions, now: Millis) -> Result<Self> {
        let channels = options.log.iter().chain(&options.status);
        let notices = Self {
            options: options.clone(),
            queues: channels.map(|channel| (*channel, Queue::default())).collect(),
            sequence: AtomicU64::new(1),
            settled: Mutex::default(),
            anything_settled: Notify::new(),
        };
        let mut next = 1;
        let mut from: Vec<u8> = Vec::new();
        loop {
            let rows = store.scan(Table::Notice, Bound::Included(&from), Bound::Unbounded, Order::Ascending, PAGE)?;
            for (key, value) in &rows {
                let Some((channel, sequence)) = keys::parse_notice(key) else {
                    tracing::error!(?key, "a notice's key is damaged; it is left alone");
                    continue;
                };
                next = next.max(sequence + 1);
                let row: NoticeRow = records::decode(Table::Notice, value)?;
                match notices.queues.get(&channel) {
                    Some(_) => notices.arrived(channel, Notice { sequence, row }, now),
                    None => notices.settled().push((channel, sequence)),
                }
            }
            let Some((last, _)) = rows.last().filter(|_| rows.len() == PAGE) else { break };
            from = [&last[..], &[0]].concat();
        }
        let forgotten = notices.settled().len();
        if forgotten > 0 {
            tracing::warn!(notices = forgotten, "what waited for a sink that is configured no more is dropped");
            notices.anything_settled.notify_one();
        }
        notices.sequence.store(next, Ordering::Relaxed);
        Ok(notices)
    }

    fn settled(&self) -> MutexGuard<'_, Vec<(Channel, u64)>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much the machines of a revision log.
    fn level(&self, revision: &Revision) -> LogLevel {
        if self.options.log.is_none() { LogLevel::Off } else { revision.log_level(self.options.level) }
    }

    /// Writes down who is to be told of a turn, in the turn's commit.
    pub(crate) fn write(&self, turned: &Turned<'_>, commit: &mut Commit, after: &mut Vec<After>) {
        if self.queues.is_empty() {
            return;
        }
        let level = self.level(turned.revision);
        let definition = &turned.revision.compiled;
        let logged = level != LogLevel::Off && turned.events.iter().any(|event| level.takes(&event.kind, definition));
        let changed = !self.options.status.is_empty()
            && !turned.revision.row.express
            && turned.events.iter().any(|event| changes_status(&event.kind));
        if !logged && !changed {
            return;
        }
        let row = NoticeRow {
            scope: turned.execution.scope,
            execution: turned.execution.id.to_bytes(),
            turn: turned.turn,
            at: turned.at,
            redriven: turned.redriven,
        };
        let bytes = records::encode(&row);
        let log = self.options.log.filter(|_| logged);
        let status: &[Channel] = if changed { &self.options.status } else { &[] };
        for channel in log.iter().chain(status) {
            let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
            commit.insert(Table::Notice, keys::notice(*channel, sequence), &bytes);
            after.push(After::Notice { channel: *channel, notice: Notice { sequence, row } });
        }
    }

    /// A notice is durable.
    pub(crate) fn arrived(&self, channel: Channel, notice: Notice, now: Millis) {
        let Some(queue) = self.queues.get(&channel) else { return };
        let mut state = queue.lock();
        state.waiting.insert(notice.sequence, notice.row);
        self.drop_oldest(channel, &mut state, now);
        drop(state);
        queue.arrived.notify_one();
    }

    /// Keeps what waits within its bounds.
    fn drop_oldest(&self, channel: Channel, state: &mut State, now: Millis) {
        let before = state.dropped;
        let oldest_kept = now.saturating_sub(self.options.keep_ms);
        while let Some(first) = state.waiting.first_entry() {
            let old = first.get().at < oldest_kept;
            if !old && state.waiting.len() <= self.options.most {
                break;
            }
            if let Some((sequence, _)) = state.waiting.pop_first() {
                state.dropped += 1;
                self.settled().push((channel, sequence));
            }
        }
        if state.dropped > before {
            self.anything_settled.notify_one();
            // Once for each power of two: a sink that is down for long is not to fill the log, too.
            if before == 0 || before.ilog2() != state.dropped.ilog2() {
                tracing::warn!(
                    channel,
                    dropped = state.dropped,
                    "a sink is too far behind; the oldest notices are dropped"
                );
            }
        }
    }

    /// The oldest notices of a channel that `wanted` lets through.
    pub(crate) fn waiting(
        &self,
        channel: Channel,
        at_most: usize,
        now: Millis,
        wanted: &dyn Fn(&Notice) -> bool,
    ) -> Vec<Notice> {
        let Some(queue) = self.queues.get(&channel) else { return Vec::new() };
        let mut state = queue.lock();
        self.drop_oldest(channel, &mut state, now);
        let notices = state.waiting.iter().map(|(sequence, row)| Notice { sequence: *sequence, row: *row });
        notices.filter(|notice| wanted(notice)).take(at_most).collect()
    }

    /// Returns when a notice has arrived since this was asked last.
    pub(crate) async fn arrives(&self, channel: Channel) {
        match self.queues.get(&channel) {
            Some(queue) => queue.arrived.notified().await,
            None => std::future::pending().await,
        }
    }

    /// Notices that need not be told again, because they were told or never can be.
    pub(crate) fn settle(&self, channel: Channel, sequences: &[u64], delivered: bool) {
        let Some(queue) = self.queues.get(&channel) else { return };
        let mut state = queue.lock();
        let mut settled = self.settled();
        for sequence in sequences {
            // One that was dropped meanwhile is counted as such.
            if state.waiting.remove(sequence).is_some() {
                settled.push((channel, *sequence));
                if delivered { state.delivered += 1 } else { state.dropped += 1 }
            }
        }
        drop((settled, state));
        self.anything_settled.notify_one();
    }

    /// Returns when there is something to forget since this was asked last.
    pub(crate) async fn settles(&self) {
        self.anything_settled.notified().await;
    }

    /// Takes out what the store need not keep any more.
    pub(crate) fn take_settled(&self) -> Vec<(Channel, u64)> {
        std::mem::take(&mut *self.settled())
    }

    /// Puts back what the store could not forget.
    pub(crate) fn put_back_settled(&self, rows: Vec<(Channel, u64)>) {
        if rows.is_empty() {
            return;
        }
        self.settled().extend(rows);
        self.anything_settled.notify_one();
    }

    /// Lets everybody look: the engine stops.
    pub(crate) fn wake(&self) {
        for queue in self.queues.values() {
            queue.arrived.notify_one();
        }
        self.anything_settled.notify_one();
    }

    /// The time of the oldest turn that somebody is yet to be told of: it must stay in the store.
    pub(crate) fn oldest_at(&self) -> Option<Millis> {
        self.queues.values().filter_map(|queue| Some(queue.lock().waiting.first_key_value()?.1.at)).min()
    }

    /// What waits for each channel, and what became of the rest.
    pub(crate) fn stats(&self) -> Vec<NoticeStats> {
        let of = |(channel, queue): (&Channel, &Queue)| {
            let state = queue.lock();
            NoticeStats {
                channel: *channel,
                waiting: state.waiting.len() as u64,
                oldest_at: state.waiting.first_key_value().map(|(_, row)| row.at),
                delivered: state.delivered,
                dropped: state.dropped,
            }
        };
        self.queues.iter().map(of).collect()
    }
}

/// A commit that forgets notices.
pub(crate) fn forgetting(rows: &[(Channel, u64)]) -> Commit {
    let mut commit = Commit::default();
    for (channel, sequence) in rows {
        commit.delete(Table::Notice, keys::notice(*channel, *sequence));
    }
    commit
}
