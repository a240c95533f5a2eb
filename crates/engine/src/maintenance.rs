//! Work in the background: the store's room is watched, executions past their retention are deleted, names become free
//! again, and machines that are being deleted lose their running executions and then themselves. It never changes an
//! open execution but by asking its shard.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use stepwright_machine::{ExecutionId, InputKind, Millis, Status};
use stepwright_store::{
    Commit, Order, Table,
    keys::{self, MachineNumber, Tagged},
    records::{self, ExecutionRow, ExpiryRow, NameRow},
};

use crate::{
    catalog::corrupt,
    error::Result,
    message::{ExecutionRef, Origin, ShardMessage},
    shared::Shared,
};

/// How often retention looks.
const SWEEP_MS: Millis = 3_600_000;
/// Executions deleted by one commit, or stopped at a time.
const PAGE: usize = 512;
/// How long it waits for stopped executions to end before it looks again.
const BREATH: Duration = Duration::from_millis(50);
const NAP: Duration = Duration::from_secs(1);

#[derive(Default)]
struct State {
    woken: bool,
    stopped: bool,
}

/// The background thread's door bell.
#[derive(Default)]
pub(crate) struct Maintenance {
    state: Mutex<State>,
    changed: Condvar,
}

impl Maintenance {
    /// Looks again soon.
    pub(crate) fn wake(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).woken = true;
        self.changed.notify_one();
    }

    pub(crate) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.changed.notify_one();
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    fn wait(&self, time: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.woken && !state.stopped {
            state = self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.woken = false;
        state.stopped
    }

    /// Works until told to stop.
    pub(crate) fn run(&self, shared: &Shared) {
        let mut next_sweep = Millis::MIN;
        loop {
            let now = shared.now();
            shared.look_at_space();
            let deleted = delete_machines(shared);
            let swept = if now >= next_sweep {
                next_sweep = now + SWEEP_MS;
                sweep(shared, now)
            } else {
                Ok(())
            };
            if let Err(error) = deleted.as_ref().map(|_| ()).and(swept.as_ref()) {
                tracing::warn!(%error, "background work will be tried again");
            }
            let busy = deleted.is_ok_and(|remaining| remaining);
            if self.wait(if busy { BREATH } else { NAP }) {
                return;
            }
        }
    }
}

/// Goes on with the deletion of machines. Whether some remain.
pub(crate) fn delete_machines(shared: &Shared) -> Result<bool> {
    let mut remaining = false;
    for (scope, name, row, quiet) in shared.catalog.deleting() {
        let list = keys::list(scope, row.number, Some(Status::Running));
        let end = keys::prefix_end(&list);
        let rows =
            shared.store.scan(Table::List, Bound::Included(&list), Bound::Excluded(&end), Order::Ascending, PAGE)?;
        let any = !rows.is_empty();
        for (key, _) in rows {
            let id = keys::parse_list_entry(&key).ok_or_else(|| corrupt("the key of a list"))?;
            let execution = ExecutionRef { scope, id };
            // Asked again at each look until it has ended; a second stop changes nothing.
            let kind = InputKind::Stop { error: None, cause: None };
            shared.send(id, ShardMessage::Input { execution, kind, origin: Origin::Stop(None) });
        }
        if any || !quiet {
            remaining = true;
            continue;
        }
        let mut commit = Commit::default();
        commit.delete(Table::Machine, keys::named(scope, &name));
        commit.delete(Table::Tag, keys::tags(scope, Tagged::StateMachine, &name));
        delete_revisions_if_unused(shared, scope, row.number, &BTreeSet::new(), &mut commit)?;
        shared.commit_blocking(commit)?;
        shared.catalog.machine_gone(scope, &name);
    }
    Ok(remaining)
}

/// Revisions go when neither their machine nor any of its executions is left. `going`: executions that this commit
/// deletes; their rows still stand in the list.
fn delete_revisions_if_unused(
    shared: &Shared,
    scope: u32,
    machine: u32,
    going: &BTreeSet<ExecutionId>,
    commit: &mut Commit,
) -> Result<()> {
    let list = keys::list(scope, machine, None);
    let end = keys::prefix_end(&list);
    let (from, to) = (Bound::Included(&list[..]), Bound::Excluded(&end[..]));
    let left = shared.store.scan(Table::List, from, to, Order::Ascending, going.len() + 1)?;
    let is_going = |key: &[u8]| keys::parse_list_entry(key).is_some_and(|id| going.contains(&id));
    if left.iter().all(|(key, _)| is_going(key)) {
        let revisions = keys::revisions(scope, machine);
        commit.delete_range(Table::Revision, revisions.clone(), keys::prefix_end(&revisions));
    }
    Ok(())
}

/// Deletes executions that closed longer ago than the retention, and names that are due.
pub(crate) fn sweep(shared: &Shared, now: Millis) -> Result<()> {
    let horizon = now.saturating_sub(shared.options.retention_ms);
    for scope in shared.catalog.scope_numbers() {
        // Identities begin with the start time: what started after the horizon cannot have closed before it.
        let end = keys::execution(scope, ExecutionId::new(horizon.max(0), 0, 0));
        let mut from = Bound::Included(scope.to_be_bytes().to_vec());
        loop {
            let rows = shared.store.scan(
                Table::Execution,
                from.as_ref().map(|key| &key[..]),
                Bound::Excluded(&end),
                Order::Ascending,
                PAGE,
            )?;
            let mut commit = Commit::default();
            let mut without_machine: BTreeMap<MachineNumber, BTreeSet<ExecutionId>> = BTreeMap::new();
            for (key, value) in &rows {
                let (scope, id) = keys::parse_execution(key).ok_or_else(|| corrupt("the key of an execution"))?;
                let row: ExecutionRow = records::decode(Table::Execution, value)?;
                if row.end.as_ref().is_some_and(|end| end.closing.at < horizon)
                    && !delete_execution(shared, ExecutionRef { scope, id }, &row, now, &mut commit)?
                {
                    without_machine.entry(row.machine).or_default().insert(id);
                }
            }
            for (machine, going) in without_machine {
                delete_revisions_if_unused(shared, scope, machine, &going, &mut commit)?;
            }
            if shared.maintenance.is_stopped() {
                return Ok(());
            }
            if !commit.mutations.is_empty() {
                shared.commit_blocking(commit)?;
            }
            match rows.into_iter().next_back() {
                Some((last, _)) => from = Bound::Excluded(last),
                None => break,
            }
        }
    }
    free_names(shared, now)
}

/// Deletes an execution. Whether its machine still exists.
fn delete_execution(
    shared: &Shared,
    execution: ExecutionRef,
    row: &ExecutionRow,
    now: Millis,
    commit: &mut Commit,
) -> Result<bool> {
    let ExecutionRef { scope, id } = execution;
    let key = keys::execution(scope, id);
    let end = keys::prefix_end(&key);
    commit.delete(Table::Execution, key.clone());
    commit.delete(Table::Head, key.clone());
    for table in [Table::Frame, Table::Turn, Table::Payload] {
        commit.delete_range(table, key.clone(), end.clone());
    }
    commit.delete(Table::List, keys::list_entry(scope, row.machine, None, id));
    commit.delete(Table::List, keys::list_entry(scope, row.machine, Some(row.status()), id));
    let revision = shared.store.get(Table::Revision, &keys::revision(scope, row.machine, row.revision))?;
    let Some(revision) = revision else { return Ok(false) };
    let revision: records::RevisionRow = records::decode(Table::Revision, &revision)?;
    let name_key = keys::name(scope, &revision.machine_name, &row.name);
    let free_at = row.end.as_ref().map_or(now, |end| end.closing.at) + shared.options.name_retention_ms;
    if free_at > now {
        commit.put(Table::Expiry, keys::expiry(free_at, scope, id), records::encode(&ExpiryRow { name_key }));
    } else {
        free_name(shared, &name_key, id, commit)?;
    }
    let current = shared.catalog.machine(scope, &revision.machine_name);
    Ok(current.is_some_and(|current| current.number == row.machine))
}

/// Frees a name unless another execution has it by now.
fn free_name(shared: &Shared, name_key: &[u8], id: ExecutionId, commit: &mut Commit) -> Result<()> {
    if let Some(bytes) = shared.store.get(Table::Name, name_key)?
        && records::decode::<NameRow>(Table::Name, &bytes)?.id() == id
    {
        commit.delete(Table::Name, name_key);
    }
    Ok(())
}

fn free_names(shared: &Shared, now: Millis) -> Result<()> {
    let end = keys::due(now.saturating_add(1));
    loop {
        let rows = shared.store.scan(Table::Expiry, Bound::Unbounded, Bound::Excluded(&end), Order::Ascending, PAGE)?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::default();
        for (key, value) in rows {
            let row: ExpiryRow = records::decode(Table::Expiry, &value)?;
            if let Some((_, id)) = key.get(8..).and_then(keys::parse_execution) {
                free_name(shared, &row.name_key, id, &mut commit)?;
            }
            commit.delete(Table::Expiry, key);
        }
        shared.commit_blocking(commit)?;
    }
}
