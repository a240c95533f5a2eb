//! Turns as a sink outside is told of them: read from the store by their notices, with what is needed to spell their
//! events. Reads only.

use std::sync::Arc;

use stepwright_machine::{EventId, Millis, Payload};
use stepwright_store::{
    Table, keys,
    records::{self, ExecutionRow, TurnRow},
};

use crate::{
    Engine,
    error::{Error, Result},
    events::payloads_mut,
    log_level::changes_status,
    model::{Event, HistoryPage, NoticeStats, Scope},
    notices::{Channel, Notice, forgetting},
    reads::qualified,
    rows::PayloadReader,
    shared::Shared,
};

/// Bytes of texts after which a reading ends, however many turns were asked for.
const MOST_BYTES: usize = 4 << 20;
/// What an event counts beside its texts.
const EVENT_BYTES: usize = 256;
/// So few turns, if they are not older than this, are read where they are asked for.
const FEW: usize = 8;
const IN_MEMORY_MS: Millis = 1_000;
/// Notices forgotten by one commit.
const FORGOTTEN_AT_ONCE: usize = 10_000;

/// Notices that need not be told again and that the store has yet to forget. What is left of it when it is dropped is
/// forgotten another time.
#[must_use]
pub struct Settled {
    rows: Vec<(Channel, u64)>,
    shared: Arc<Shared>,
}

impl Drop for Settled {
    fn drop(&mut self) {
        self.shared.notices.put_back_settled(std::mem::take(&mut self.rows));
    }
}

/// A notice with its turn.
#[derive(Clone, Debug)]
pub struct Told {
    /// The notice.
    pub notice: Notice,
    /// The turn; none if the store has it no more, or cannot make sense of it.
    pub turn: Option<ToldTurn>,
}

/// A turn that somebody is told of.
#[derive(Clone, Debug)]
pub struct ToldTurn {
    /// The execution.
    pub execution_arn: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its state machine.
    pub state_machine_arn: Arc<str>,
    /// That one's name.
    pub state_machine_name: Arc<str>,
    /// Whose it is.
    pub scope: Scope,
    /// When it started.
    pub started_at: Millis,
    /// Its input; only for channels that are told of changes of status.
    pub input: Option<Arc<str>>,
    /// `loggingConfiguration`, JSON text.
    pub logging: Arc<str>,
    /// How often it had been redriven by then, and when last.
    pub redriven: Option<(u32, Millis)>,
    /// Those events of the turn that the channel is told of, as a part of the history.
    pub page: HistoryPage,
}

impl Engine {
    /// The oldest notices of a channel, as many as asked for at most, of those that `wanted` lets through.
    #[must_use]
    pub fn waiting_notices(&self, channel: Channel, at_most: usize, wanted: &dyn Fn(&Notice) -> bool) -> Vec<Notice> {
        let shared = self.shared();
        shared.notices.waiting(channel, at_most, shared.now(), wanted)
    }

    /// Returns when there may be notices that there were not when this returned last, or when the engine failed. For
    /// one caller at a time.
    pub async fn notice_arrives(&self, channel: Channel) {
        self.shared().notices.arrives(channel).await;
    }

    /// The turns of notices, in order; fewer than asked for if they are long, but at least one.
    ///
    /// # Errors
    /// `Unavailable`: the store cannot be read now.
    pub async fn read_notices(&self, channel: Channel, notices: Vec<Notice>) -> Result<Vec<Told>> {
        let shared = self.shared();
        let recent = shared.now().saturating_sub(IN_MEMORY_MS);
        if notices.len() <= FEW && notices.iter().all(|notice| notice.row.at >= recent) {
            // Their rows are in memory: another thread would only mean to be late.
            return shared.told(channel, &notices);
        }
        self.read(move |shared| shared.told(channel, &notices)).await
    }

    /// Says that these need not be told again: the sink has them, or (`delivered` is false) never will.
    pub fn settle_notices(&self, channel: Channel, sequences: &[u64], delivered: bool) {
        self.shared().notices.settle(channel, sequences, delivered);
    }

    /// Returns when notices were settled since this returned last. For one caller at a time.
    pub async fn notices_settle(&self) {
        self.shared().notices.settles().await;
    }

    /// Takes out what is settled and not forgotten yet, so that a sink can bring to safety what it has of it.
    pub fn take_settled_notices(&self) -> Settled {
        Settled { rows: self.shared().notices.take_settled(), shared: self.shared().clone() }
    }

    /// Lets the store forget. A crash before this means that it is told again.
    ///
    /// # Errors
    /// `Full`, `Unavailable`: what is left of it is settled as before.
    pub async fn forget_notices(&self, mut settled: Settled) -> Result<()> {
        while !settled.rows.is_empty() {
            let left = settled.rows.len().saturating_sub(FORGOTTEN_AT_ONCE);
            self.shared().commit(forgetting(&settled.rows[left..])).await?;
            settled.rows.truncate(left);
        }
        Ok(())
    }

    /// What waits for each channel, and what became of the rest.
    #[must_use]
    pub fn notice_stats(&self) -> Vec<NoticeStats> {
        self.shared().notices.stats()
    }
}

impl Shared {
    fn told(&self, channel: Channel, notices: &[Notice]) -> Result<Vec<Told>> {
        let mut told = Vec::new();
        let mut bytes = 0;
        for notice in notices {
            let turn = match self.told_turn(channel, notice, &mut bytes) {
                Ok(turn) => turn,
                Err(error @ Error::Corrupt { .. }) => {
                    tracing::error!(%error, "a turn that a sink is to be told of cannot be read; it is left out");
                    None
                }
                Err(error) => return Err(error),
            };
            told.push(Told { notice: *notice, turn });
            if bytes >= MOST_BYTES {
                break;
            }
        }
        Ok(told)
    }

    fn told_turn(&self, channel: Channel, notice: &Notice, bytes: &mut usize) -> Result<Option<ToldTurn>> {
        let execution = notice.reference();
        let Some(scope) = self.catalog.scope(execution.scope) else { return Ok(None) };
        let key = keys::execution(execution.scope, execution.id);
        let Some(row) = self.store.get(Table::Execution, &key)? else { return Ok(None) };
        let row: ExecutionRow = records::decode(Table::Execution, &row)?;
        let key = keys::turn(execution.scope, execution.id, notice.row.turn);
        let Some(turn) = self.store.get(Table::Turn, &key)? else { return Ok(None) };
        let turn = self.recent_turns.decode(execution, notice.row.turn, &turn)?;
        let revision = self.catalog.revision(execution.scope, row.machine, row.revision)?;

        let logs = self.options.notices.log == Some(channel);
        let level = revision.log_level(self.options.notices.level);
        let mut payloads = PayloadReader::new(&*self.store, execution);
        payloads.keep(notice.row.turn, turn.clone());
        let mut events = Vec::new();
        for (id, event) in numbered(&turn) {
            let told = if logs { level.takes(&event.kind, &revision.compiled) } else { changes_status(&event.kind) };
            if !told {
                continue;
            }
            let mut kind = event.kind.clone();
            for payload in payloads_mut(&mut kind) {
                let text = payloads.must(payload.id())?;
                *bytes += text.len();
                *payload = Payload::numbered(payload.id(), text);
            }
            *bytes += EVENT_BYTES;
            events.push(Event { id, at: turn.at, previous: event.previous(id), kind });
        }
        let input = if logs { None } else { payloads.text(row.input.id())? };
        *bytes += input.as_ref().map_or(0, |input| input.len());
        Ok(Some(ToldTurn {
            execution_arn: crate::map_runs::execution_arn(&revision.row.machine_arn, &row),
            name: row.name.clone(),
            state_machine_arn: revision.row.machine_arn.clone(),
            state_machine_name: revision.row.machine_name.clone(),
            started_at: execution.id.started_at(),
            input,
            logging: revision.row.logging.clone(),
            redriven: notice.row.redriven,
            page: HistoryPage {
                events,
                next_token: None,
                definition: revision.compiled.clone(),
                role_arn: revision.row.role_arn.clone(),
                region: scope.region.clone(),
                version_arn: qualified(&revision, row.version.map(|version| version.to_string()).as_deref()),
                alias_arn: qualified(&revision, row.alias.as_deref()),
            },
            scope,
        }))
    }
}

/// The events of a turn with their numbers.
fn numbered(turn: &TurnRow) -> impl Iterator<Item = (EventId, &stepwright_machine::HistoryEvent)> {
    (turn.first_event..).zip(&turn.events)
}
