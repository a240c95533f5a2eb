//! RedriveExecution: whether a closed execution may go on, and reading it back so that it can.

use std::sync::Arc;

use stepwright_machine::{Execution, Head, InputKind, Millis, Status};
use stepwright_store::{
    Commit, Table, keys,
    records::{self, EndRow, ExecutionRow, TurnRow},
};

use crate::{
    catalog::corrupt,
    error::{Error, NotRedrivable, Result},
    message::{After, ExecutionRef, Origin, RedriveRequest, ShardMessage},
    shard::{Shard, Taken},
    shared::Shared,
    turn::Hot,
};

const DAY_MS: Millis = 24 * 3_600 * 1_000;
/// Days after its end during which an execution can be redriven. AWS: 14.
const REDRIVABLE_DAYS: Millis = 14;
/// Days after its start during which an execution can be open. AWS: a year.
const OPEN_DAYS: Millis = 365;
/// Client tokens that an execution remembers, and for how long. AWS: the last 10, for 15 minutes.
const MOST_TOKENS: usize = 10;
const TOKEN_MS: Millis = 15 * 60 * 1_000;
/// What is about to be deleted is not redriven: how long before, at most.
const MARGIN_MS: Millis = 60_000;

/// Why an execution cannot be redriven, if it cannot.
///
/// `by_run`: whether it is its map run that asks.
pub(crate) fn refusal(
    row: &ExecutionRow,
    started_at: Millis,
    deleting: bool,
    by_run: bool,
    now: Millis,
) -> Option<NotRedrivable> {
    let Some(end) = &row.end else { return Some(NotRedrivable::Running) };
    // The last event of a history that may have so many is the one that says so.
    let full = match row.limits().history_events {
        0 => false,
        most => end.next_event >= most,
    };
    match end.closing.status {
        Status::Succeeded => Some(NotRedrivable::Succeeded),
        _ if row.child.is_some() && !by_run => Some(NotRedrivable::Child),
        _ if deleting => Some(NotRedrivable::MachineDeleting),
        _ if full => Some(NotRedrivable::HistoryFull),
        _ if now - started_at > OPEN_DAYS * DAY_MS => Some(NotRedrivable::TooOld),
        _ if now - end.closing.at > REDRIVABLE_DAYS * DAY_MS => Some(NotRedrivable::ClosedTooLongAgo),
        _ => None,
    }
}

/// The date of the redrive that a client token began, if it is remembered.
fn known_token(row: &ExecutionRow, token: Option<&Arc<str>>, now: Millis) -> Option<Millis> {
    let tokens = row.redrive_tokens.as_deref().unwrap_or_default();
    tokens.iter().find(|(known, at)| Some(known) == token && now - at <= TOKEN_MS).map(|(_, at)| *at)
}

impl Shared {
    /// Reads a closed execution back as its last turn left it.
    fn load_closed(&self, execution: ExecutionRef, row: &ExecutionRow, end: &EndRow) -> Result<Hot> {
        let ExecutionRef { scope, id } = execution;
        let revision = self.catalog.revision(scope, row.machine, row.revision)?;
        let bytes = self.store.get(Table::Turn, &keys::turn(scope, id, end.turn))?;
        let last: TurnRow = match bytes {
            Some(bytes) => records::decode(Table::Turn, &bytes)?,
            None => return Err(corrupt("the last turn of an execution")),
        };
        let head = Head {
            turn: end.turn,
            turn_payloads: 0,
            next_event: end.next_event,
            next_frame: end.next_frame,
            next_number: end.next_number,
            last_at: last.at,
            input: row.input.clone(),
            timeout: None,
            ready: Vec::new(),
            closing: Some(end.closing.clone()),
            redriven: row.redriven,
        };
        let info = self.info(execution, row, &revision.row);
        let mut hot = Hot {
            execution: Execution::new(info),
            revision,
            row: row.clone(),
            uncommitted: 0,
            written: true,
            bytes: 1_024,
            used: 0,
            child_has_row: false,
        };
        self.hydrate(&mut hot, head)?;
        Ok(hot)
    }

    /// Whether retention is about to delete an execution, or does at this moment.
    fn is_going(&self, end: &EndRow, now: Millis) -> bool {
        let retention = self.options.retention_ms;
        end.closing.at.saturating_add(retention - MARGIN_MS.min(retention / 4)) <= now
    }
}

impl Shard {
    /// Goes on with a closed execution, or says why not.
    pub(crate) fn redrive(&mut self, request: RedriveRequest, now: Millis) {
        if self.is_about_to_be_told_of_end(request.execution) {
            // Whoever asks may have seen that it ended.
            let id = request.execution.id;
            return self.shared.send(id, ShardMessage::Redrive(Box::new(request)));
        }
        let RedriveRequest { execution, client_token, permit, by_run, reply } = request;
        let prepared = self.prepare_redrive(execution, client_token.as_ref(), permit.is_none(), by_run, now);
        let over: Vec<After> = permit.into_iter().map(After::StartOver).collect();
        match prepared {
            Ok(Prepared::Known(at)) => {
                // That redrive may not be durable yet.
                let after = vec![After::Redriven { reply, result: Ok(at) }];
                self.emit(None, Commit::default(), after.into_iter().chain(over).collect());
            }
            Ok(Prepared::Hot(hot)) => {
                let taken = vec![Taken { kind: InputKind::Redrive, origin: Origin::Redrive(reply) }];
                self.drive(*hot, taken, Commit::default(), over, now);
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Whether the end of an execution is durable, and the committer has not said so here yet.
    fn is_about_to_be_told_of_end(&self, execution: ExecutionRef) -> bool {
        self.hot(execution.id).is_some_and(|hot| hot.execution.head.closing.is_some())
            && matches!(self.shared.execution_row(execution), Ok(Some(row)) if row.end.is_some())
    }

    fn prepare_redrive(
        &mut self,
        execution: ExecutionRef,
        client_token: Option<&Arc<str>>,
        deleting: bool,
        by_run: bool,
        now: Millis,
    ) -> Result<Prepared> {
        let running = || Error::ExecutionNotRedrivable { reason: NotRedrivable::Running };
        if let Some(hot) = self.hot(execution.id) {
            // One whose end is not durable yet runs, as far as anyone can know.
            return known_token(&hot.row, client_token, now).map(Prepared::Known).ok_or_else(running);
        }
        if self.quarantined.contains_key(&execution.id) || self.given_up.contains_key(&execution.id) {
            return Err(running());
        }
        let missing = || Error::ExecutionDoesNotExist { arn: "".into() };
        let key = keys::execution(execution.scope, execution.id);
        let bytes = self.shared.store.get(Table::Execution, &key)?.ok_or_else(missing)?;
        let row: ExecutionRow = records::decode(Table::Execution, &bytes)?;
        if let Some(at) = known_token(&row, client_token, now) {
            return Ok(Prepared::Known(at));
        }
        if let Some(reason) = refusal(&row, execution.id.started_at(), deleting, by_run, now) {
            return Err(Error::ExecutionNotRedrivable { reason });
        }
        let end = row.end.clone().ok_or_else(running)?;
        if self.shared.is_going(&end, now) {
            return Err(Error::ExecutionNotRedrivable { reason: NotRedrivable::ClosedTooLongAgo });
        }
        let mut hot = self.shared.load_closed(execution, &row, &end)?;
        if let Some(token) = client_token {
            let at = now.max(hot.execution.head.last_at);
            let tokens = hot.row.redrive_tokens.get_or_insert_default();
            tokens.retain(|(_, at)| now - at <= TOKEN_MS);
            tokens.push((token.clone(), at));
            let over = tokens.len().saturating_sub(MOST_TOKENS);
            tokens.drain(..over);
        }
        Ok(Prepared::Hot(Box::new(hot)))
    }
}

enum Prepared {
    /// A redrive with this token was done before, at this time.
    Known(Millis),
    /// The execution, ready to go on.
    Hot(Box<Hot>),
}
