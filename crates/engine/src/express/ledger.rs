//! Rows of Express executions that were started asynchronously: written before the start is acknowledged, deleted some
//! time after the end, read when an engine opens. In between, nobody asks the store about them.
//!
//! That an execution ended need not be durable at once: a crash before it is makes it run once more, which at least once
//! allows. So rows are deleted in bulk, with the next start if one comes soon.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stepwright_machine::Millis;
use stepwright_store::{
    Commit, Table, keys,
    records::{self, ExpressRow},
};

use super::{Identity, load::Place, run::Body};
use crate::{
    catalog::{Revision, StartPermit},
    error::{Error, Result},
    message::{After, ExecutionRef, Pending, Reply},
    model::{NewExecution, Started},
    rows,
    shared::Shared,
    starts::Chosen,
};

/// How long the end of an execution waits for a start to be committed with.
const PAUSE: Duration = Duration::from_millis(50);
/// So many ends wait no longer, and are committed at once.
const MANY: usize = 512;

/// A start whose row is being written.
pub(crate) struct Accepted {
    body: Box<Body>,
    reply: Reply<Started>,
    started_at: Millis,
}

impl Accepted {
    /// The row is durable: its caller is told.
    pub(super) fn acknowledge(self) -> Body {
        let arn = self.body.execution.info.arn.clone();
        // A caller that no longer listens has started it all the same.
        drop(self.reply.send(Ok(Started { arn, started_at: self.started_at })));
        *self.body
    }

    /// The row was not written: nothing was started.
    pub(crate) fn refuse(self, error: &Error) {
        drop(self.reply.send(Err(error.clone())));
    }
}

/// An execution that ended and still has its row.
pub(crate) struct Ended {
    key: Vec<u8>,
    /// Held until the row is gone: it names a revision of the machine.
    #[expect(dead_code, reason = "dropped with it")]
    permit: Option<StartPermit>,
}

impl Ended {
    pub(super) fn new(execution: ExecutionRef, permit: StartPermit) -> Self {
        Self { key: keys::execution(execution.scope, execution.id), permit: Some(permit) }
    }
}

/// An execution that a crash or the end of an engine interrupted, and that waits for room to run again.
pub(super) struct Interrupted {
    pub(super) execution: ExecutionRef,
    pub(super) permit: StartPermit,
}

#[derive(Default)]
struct State {
    ended: Vec<Ended>,
    /// They were seen: at the next look, their time is up.
    seen: bool,
    interrupted: VecDeque<Interrupted>,
}

/// Rows that are to be deleted, and rows that are to be read.
#[derive(Default)]
pub(super) struct Ledger {
    state: Mutex<State>,
}

impl Ledger {
    // Each change under this lock is a single step, so a poisoned lock guards good data.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An execution ended. Whether somebody must look after that.
    pub(super) fn ended(&self, ended: Ended) -> bool {
        let mut state = self.lock();
        state.ended.push(ended);
        state.ended.len() == 1 || state.ended.len() == MANY
    }

    /// Their rows could not be deleted: later.
    pub(super) fn not_gone(&self, ended: Vec<Ended>) {
        self.lock().ended.extend(ended);
    }

    fn take_ended(&self) -> Vec<Ended> {
        let mut state = self.lock();
        state.seen = false;
        std::mem::take(&mut state.ended)
    }

    /// Deletes rows whose time is up. When to look again, if some wait.
    pub(super) fn look(&self, shared: &Shared) -> Option<Duration> {
        {
            let mut state = self.lock();
            if state.ended.is_empty() {
                return None;
            }
            if !state.seen && state.ended.len() < MANY {
                state.seen = true;
                return Some(PAUSE);
            }
        }
        self.delete(shared);
        None
    }

    /// Deletes the rows of all that ended.
    pub(super) fn delete(&self, shared: &Shared) {
        let ended = self.take_ended();
        if ended.is_empty() {
            return;
        }
        let mut commit = Commit::default();
        delete(&ended, &mut commit);
        shared.submit(Pending { shard: None, execution: None, commit, after: vec![After::ExpressEnded(ended)] });
    }

    /// How many wait for room.
    pub(super) fn waiting(&self) -> usize {
        self.lock().interrupted.len()
    }

    /// The next one that waits for room.
    pub(super) fn next(&self) -> Option<Interrupted> {
        self.lock().interrupted.pop_front()
    }

    /// There is no room for it yet.
    pub(super) fn wait(&self, interrupted: Interrupted) {
        self.lock().interrupted.push_front(interrupted);
    }
}

fn delete(ended: &[Ended], commit: &mut Commit) {
    for ended in ended {
        commit.delete(Table::Express, ended.key.clone());
    }
}

/// Writes the row of a start, along with what else is to be written. Its caller is told when that is durable.
pub(super) fn accept(
    shared: &Shared,
    identity: Identity,
    chosen: Chosen,
    new: NewExecution,
    place: Place,
    reply: Reply<Started>,
) {
    let NewExecution { input, trace_header, test_case, .. } = new;
    let row = ExpressRow {
        machine: chosen.revision.machine,
        revision: chosen.revision.number,
        name: identity.name.clone(),
        uuid: identity.uuid,
        input: input.clone(),
        trace_header: trace_header.clone(),
        version: chosen.version,
        alias: chosen.alias.clone(),
        test_case: test_case.clone(),
    };
    let execution = identity.execution;
    let started_at = execution.id.started_at();
    let mut commit = Commit::default();
    commit.insert(Table::Express, keys::execution(execution.scope, execution.id), records::encode(&row));
    let ended = shared.express.ledger.take_ended();
    delete(&ended, &mut commit);
    let mut body = Box::new(shared.body(identity, chosen, input, trace_header, place, false));
    body.execution.info.test_case = test_case;
    let mut after = vec![After::ExpressStarted(Box::new(Accepted { body, reply, started_at }))];
    if !ended.is_empty() {
        after.push(After::ExpressEnded(ended));
    }
    shared.submit(Pending { shard: None, execution: None, commit, after });
}

/// Finds what is to run again.
pub(crate) fn recover(shared: &Shared) -> Result<()> {
    let machines = shared.catalog.machine_names();
    rows::for_each(&*shared.store, Table::Express, &[], |key, value| {
        let Some((scope, id)) = keys::parse_execution(key) else {
            tracing::error!(?key, "the key of an Express execution is damaged; it is left alone");
            return Ok(());
        };
        let row: ExpressRow = records::decode(Table::Express, value)?;
        let name = machines.get(&(scope, row.machine));
        let permit = name.and_then(|name| shared.catalog.permit_again(scope, name));
        let mut state = shared.express.ledger.lock();
        match permit {
            Some(permit) => {
                let execution = ExecutionRef { scope, id };
                state.interrupted.push_back(Interrupted { execution, permit });
            }
            None => {
                tracing::warn!(name = %row.name, "an Express execution has no state machine any more; it is over");
                state.ended.push(Ended { key: key.to_vec(), permit: None });
            }
        }
        Ok(())
    })
}

impl super::Express {
    /// Lets those run again that were interrupted, as far as there is room.
    pub(super) fn admit_waiting(&self, shared: &Shared) {
        while let Some(interrupted) = self.ledger.next() {
            match self.again(shared, interrupted.execution) {
                Ok(Some((row, revision, place))) => {
                    let Interrupted { execution, permit } = interrupted;
                    let identity = Identity { execution, name: row.name, uuid: row.uuid, began_at: shared.now() };
                    let chosen =
                        Chosen { scope: execution.scope, revision, version: row.version, alias: row.alias, permit };
                    let mut body = shared.body(identity, chosen, row.input, row.trace_header, place, false);
                    body.execution.info.test_case = row.test_case;
                    tracing::info!(execution = %body.execution.info.arn, "an Express execution runs again");
                    self.run_row(body);
                }
                Ok(None) => {}
                Err(Error::TooManyExpress { .. } | Error::ExpressMemory { .. }) => {
                    return self.ledger.wait(interrupted);
                }
                Err(error) => {
                    tracing::error!(%error, "an Express execution cannot be read; it is tried again later");
                    return self.ledger.wait(interrupted);
                }
            }
        }
    }

    /// What one that was interrupted needs to run again; nothing, if it has no row any more.
    fn again(&self, shared: &Shared, execution: ExecutionRef) -> Result<Option<(ExpressRow, Arc<Revision>, Place)>> {
        // Asked before anything is read: it is asked again and again.
        let options = &shared.options.express;
        if self.load.open() >= options.executions {
            return Err(Error::TooManyExpress { limit: options.executions });
        }
        let key = keys::execution(execution.scope, execution.id);
        let Some(bytes) = shared.store.get(Table::Express, &key)? else { return Ok(None) };
        let row: ExpressRow = records::decode(Table::Express, &bytes)?;
        let revision = shared.catalog.revision(execution.scope, row.machine, row.revision)?;
        let place = self.load.admit(row.input.len(), options)?;
        Ok(Some((row, revision, place)))
    }
}
