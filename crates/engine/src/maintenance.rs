//! Work in the background: the store's room is watched, executions past their retention are deleted, names become free
//! again, and machines that are being deleted lose their running executions and then themselves. It never changes an
//! open execution but by asking its shard.
//!
//! Deletion has to keep up with any rate of starts and must not be felt, so it goes on all the time, a page at a time,
//! with breaths between pages that are as long as the pages took.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Bound,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use stepwright_machine::{ExecutionId, InputKind, Millis, Status};
use stepwright_store::{
    Commit, Order, Table,
    keys::{self, Listed, MachineNumber, ScopeNumber, Tagged},
    records::{self, ExecutionRow, ExpiryRow, NameRow},
};

use crate::{
    catalog::corrupt,
    error::Result,
    lists,
    message::{ExecutionRef, Origin, ShardMessage},
    rows,
    shared::Shared,
};

/// How often everything is looked at that is old enough; between, only what became old enough since the last look.
const ROUND_MS: Millis = 3_600_000;
/// How much later than its time an execution is deleted, so that one look at it is enough: what ends within this time
/// after its start has ended when it is looked at. Longer ones wait for the next round.
const SLACK_MS: Millis = 1_000;
/// Executions deleted by one commit, or stopped at a time.
const PAGE: usize = 512;
/// Turns of an execution that are deleted one by one; more are deleted as a range.
const FEW_TURNS: u32 = 16;
/// How long it waits for stopped executions to end before it looks again.
const BREATH: Duration = Duration::from_millis(50);
const NAP: Duration = Duration::from_secs(1);
/// The shortest pause between two pages.
const SHORTEST: Duration = Duration::from_millis(1);

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
        let mut retention = Retention::default();
        let mut deleting = false;
        let mut looked: Option<Instant> = None;
        let mut next_expiry = Millis::MIN;
        loop {
            let begun = Instant::now();
            let look = looked.is_none_or(|looked| begun.duration_since(looked) >= BREATH);
            if look {
                looked = Some(begun);
                shared.look_at_space();
                deleting = match delete_machines(shared) {
                    Ok(remaining) => remaining,
                    Err(error) => {
                        tracing::warn!(%error, "the deletion of state machines will be tried again");
                        false
                    }
                };
            }
            let now = shared.now();
            if now >= next_expiry {
                next_expiry = now.saturating_add(ROUND_MS);
                if let Err(error) = expire(shared, now) {
                    tracing::warn!(%error, "the search for executions that are open for too long will be tried again");
                }
            }
            let progress = retention.page(shared, shared.lived()).unwrap_or_else(|error| {
                tracing::warn!(%error, "the deletion of old executions will be tried again");
                Progress::Idle
            });
            let pause = match progress {
                Progress::More => begun.elapsed().clamp(SHORTEST, BREATH),
                Progress::UpToDate => BREATH,
                Progress::Idle if deleting || !look => BREATH,
                Progress::Idle => NAP,
            };
            if self.wait(pause) {
                return;
            }
        }
    }
}

/// Goes on with the deletion of machines. Whether some remain.
pub(crate) fn delete_machines(shared: &Shared) -> Result<bool> {
    let mut remaining = false;
    for (scope, name, row, quiet) in shared.catalog.deleting() {
        let list = keys::list(scope, row.number, Listed::All, Some(Status::Running));
        let end = keys::prefix_end(&list);
        let rows =
            shared.store.scan(Table::List, Bound::Included(&list), Bound::Excluded(&end), Order::Ascending, PAGE)?;
        let any = !rows.is_empty();
        if row.express {
            shared.express.stop_machine(scope, row.number);
        }
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
        let published = keys::revisions(scope, row.number);
        for table in [Table::Version, Table::Alias] {
            commit.delete_range(table, published.clone(), keys::prefix_end(&published));
        }
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
    let list = keys::list(scope, machine, Listed::All, None);
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

/// Ends executions that are open for longer than any may be.
pub(crate) fn expire(shared: &Shared, now: Millis) -> Result<()> {
    let before = ExecutionId::new(now.saturating_sub(shared.options.open_ms).max(0), 0, 0);
    for scope in shared.catalog.scope_numbers() {
        let (from, to) = (scope.to_be_bytes(), keys::execution(scope, before));
        let mut from = Bound::Included(from.to_vec());
        loop {
            let (low, high) = (from.as_ref().map(|key| &key[..]), Bound::Excluded(&to[..]));
            let rows = shared.store.scan(Table::Head, low, high, Order::Ascending, PAGE)?;
            for (key, _) in &rows {
                let (scope, id) = keys::parse_execution(key).ok_or_else(|| corrupt("the key of a head"))?;
                let execution = ExecutionRef { scope, id };
                shared.send(id, ShardMessage::Input { execution, kind: InputKind::Expire, origin: Origin::Stop(None) });
            }
            match rows.last() {
                Some((last, _)) if rows.len() == PAGE => from = Bound::Excluded(last.clone()),
                _ => break,
            }
        }
    }
    Ok(())
}

/// Deletes executions that closed longer ago than the retention, and names that are due: all that there are.
pub(crate) fn sweep(shared: &Shared, now: Millis) -> Result<()> {
    let mut retention = Retention::default();
    // The first round looks at everything, so what is left when nothing more is done is not due.
    while retention.page(shared, now)? != Progress::Idle && !shared.maintenance.is_stopped() {}
    Ok(())
}

/// Deletes the map runs of an execution. Children that are executions themselves go as all others do.
fn delete_map_runs(shared: &Shared, scope: ScopeNumber, execution: &[u8], commit: &mut Commit) -> Result<()> {
    rows::for_each(&*shared.store, Table::MapRunOf, execution, |_, value| {
        let run: [u8; 16] = records::decode(Table::MapRunOf, value)?;
        let key = keys::map_run(scope, u128::from_be_bytes(run));
        commit.delete(Table::MapRun, key.clone());
        commit.delete(Table::MapRunState, key.clone());
        commit.delete_range(Table::MapChild, key.clone(), keys::prefix_end(&key));
        Ok(())
    })
}

/// How a page of deletions went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// There may be more.
    More,
    /// Something was deleted, and nothing more is due.
    UpToDate,
    /// Nothing was due.
    Idle,
}

/// How far deletion is. Only in memory: after a restart it looks at everything once.
#[derive(Default)]
struct Retention {
    /// Where the next look begins, of each scope that was looked at: the executions before it were deleted, or are left
    /// to the next round.
    looked: HashMap<ScopeNumber, Vec<u8>>,
    /// Where the next look for names begins.
    names: Vec<u8>,
    /// When everything is looked at again.
    next_round: Millis,
    /// Revisions of this round, for the names of their machines.
    revisions: HashMap<(ScopeNumber, MachineNumber, u32), Option<Arc<str>>>,
}

/// Revisions kept in memory.
const MOST_REVISIONS: usize = 1_000;

impl Retention {
    /// Deletes a page of what is due.
    fn page(&mut self, shared: &Shared, now: Millis) -> Result<Progress> {
        let retention = shared.options.retention_ms;
        if now >= self.next_round || self.next_round - now > ROUND_MS {
            // Short retentions are for tests, which do not wait for an hour.
            self.next_round = now.saturating_add(retention.clamp(SLACK_MS, ROUND_MS));
            self.looked.clear();
            self.names.clear();
            self.revisions.clear();
        }
        // What a sink is yet to be told of is kept: an execution that ended before the oldest such turn has none.
        let horizon = now.saturating_sub(retention).min(shared.notices.oldest_at().unwrap_or(Millis::MAX));
        let mut deleted = false;
        for scope in shared.catalog.scope_numbers() {
            match self.executions(shared, scope, now, horizon)? {
                Progress::More => return Ok(Progress::More),
                Progress::UpToDate => deleted = true,
                Progress::Idle => {}
            }
        }
        match self.free_names(shared, now)? {
            Progress::Idle if deleted => Ok(Progress::UpToDate),
            progress => Ok(progress),
        }
    }

    /// Deletes executions of a scope from where the last look ended.
    fn executions(&mut self, shared: &Shared, scope: ScopeNumber, now: Millis, horizon: Millis) -> Result<Progress> {
        // Identities begin with the start time: what started after the horizon cannot have closed before it.
        let end = keys::execution(scope, ExecutionId::new(horizon.saturating_sub(SLACK_MS).max(0), 0, 0));
        let from = self.looked.get(&scope).cloned().unwrap_or_else(|| scope.to_be_bytes().to_vec());
        if from >= end {
            return Ok(Progress::Idle);
        }
        let (from_key, to_key) = (Bound::Included(&from[..]), Bound::Excluded(&end[..]));
        let rows = shared.store.scan(Table::Execution, from_key, to_key, Order::Ascending, PAGE)?;
        let mut due = Vec::new();
        for (key, value) in &rows {
            let (scope, id) = keys::parse_execution(key).ok_or_else(|| corrupt("the key of an execution"))?;
            let row: ExecutionRow = records::decode(Table::Execution, value)?;
            if row.end.as_ref().is_some_and(|end| end.closing.at < horizon) {
                due.push((ExecutionRef { scope, id }, row));
            }
        }
        if !due.is_empty() {
            let commit = self.deletion(shared, scope, &due, now)?;
            shared.commit_blocking(commit)?;
        }
        // Only now: what was refused is tried again.
        let next = match rows.last() {
            Some((last, _)) if rows.len() == PAGE => [&last[..], &[0]].concat(),
            _ => end,
        };
        self.looked.insert(scope, next);
        Ok(match (rows.len() == PAGE, due.is_empty()) {
            (true, _) => Progress::More,
            (false, false) => Progress::UpToDate,
            (false, true) => Progress::Idle,
        })
    }

    /// The commit that deletes executions, which are in the order of their keys.
    fn deletion(
        &mut self,
        shared: &Shared,
        scope: ScopeNumber,
        due: &[(ExecutionRef, ExecutionRow)],
        now: Millis,
    ) -> Result<Commit> {
        let mut commit = Commit::default();
        // Most executions have none of these when they are closed: one look for all of them spares a deletion for each.
        let mut with = Vec::new();
        for table in [Table::Head, Table::Frame, Table::Payload, Table::MapRunOf] {
            if any_between(shared, table, due)? {
                with.push(table);
            }
        }
        let mut without_machine: BTreeMap<MachineNumber, BTreeSet<ExecutionId>> = BTreeMap::new();
        for (execution, row) in due {
            let id = execution.id;
            let key = keys::execution(scope, id);
            let end = keys::prefix_end(&key);
            commit.delete(Table::Execution, key.clone());
            if with.contains(&Table::MapRunOf) {
                delete_map_runs(shared, scope, &key, &mut commit)?;
            }
            for table in &with {
                commit.delete_range(*table, key.clone(), end.clone());
            }
            match row.end.as_ref().map(|end| end.turn) {
                Some(last @ ..=FEW_TURNS) => {
                    for turn in 1..=last {
                        commit.delete(Table::Turn, keys::turn(scope, id, turn));
                    }
                }
                _ => commit.delete_range(Table::Turn, key.clone(), end),
            }
            for status in [None, Some(row.status())] {
                for entry in lists::entries(scope, id, row, status) {
                    commit.delete(Table::List, entry);
                }
            }
            if row.child.is_some() {
                // Its name is its place in its run.
                continue;
            }
            let Some(machine_name) = self.machine_name(shared, scope, row)? else {
                without_machine.entry(row.machine).or_default().insert(id);
                continue;
            };
            let name_key = keys::name(scope, &machine_name, &row.name);
            let closed_at = row.end.as_ref().map_or(now, |end| end.closing.at);
            let free_at = closed_at.saturating_add(shared.options.name_retention_ms);
            if free_at > now {
                commit.put(Table::Expiry, keys::expiry(free_at, scope, id), records::encode(&ExpiryRow { name_key }));
            } else {
                free_name(shared, &name_key, id, &mut commit)?;
            }
            if shared.catalog.machine(scope, &machine_name).is_none_or(|current| current.number != row.machine) {
                without_machine.entry(row.machine).or_default().insert(id);
            }
        }
        for (machine, going) in without_machine {
            delete_revisions_if_unused(shared, scope, machine, &going, &mut commit)?;
        }
        Ok(commit)
    }

    /// The name of an execution's machine, which its revision knows.
    fn machine_name(&mut self, shared: &Shared, scope: ScopeNumber, row: &ExecutionRow) -> Result<Option<Arc<str>>> {
        let key = (scope, row.machine, row.revision);
        if let Some(name) = self.revisions.get(&key) {
            return Ok(name.clone());
        }
        let name = match shared.store.get(Table::Revision, &keys::revision(scope, row.machine, row.revision))? {
            Some(bytes) => Some(records::decode::<records::RevisionRow>(Table::Revision, &bytes)?.machine_name),
            None => None,
        };
        if self.revisions.len() >= MOST_REVISIONS {
            self.revisions.clear();
        }
        self.revisions.insert(key, name.clone());
        Ok(name)
    }

    /// Frees names whose time has come, from where the last look ended.
    fn free_names(&mut self, shared: &Shared, now: Millis) -> Result<Progress> {
        let end = keys::due(now.saturating_add(1));
        if self.names >= end {
            return Ok(Progress::Idle);
        }
        let (from_key, to_key) = (Bound::Included(&self.names[..]), Bound::Excluded(&end[..]));
        let rows = shared.store.scan(Table::Expiry, from_key, to_key, Order::Ascending, PAGE)?;
        let full = rows.len() == PAGE;
        let mut commit = Commit::default();
        let mut next = end;
        for (key, value) in rows {
            let row: ExpiryRow = records::decode(Table::Expiry, &value)?;
            if let Some((_, id)) = key.get(8..).and_then(keys::parse_execution) {
                free_name(shared, &row.name_key, id, &mut commit)?;
            }
            if full {
                next = [&key[..], &[0]].concat();
            }
            commit.delete(Table::Expiry, key);
        }
        let any = !commit.is_empty();
        if any {
            shared.commit_blocking(commit)?;
        }
        self.names = next;
        Ok(match (full, any) {
            (true, _) => Progress::More,
            (false, true) => Progress::UpToDate,
            (false, false) => Progress::Idle,
        })
    }
}

/// Whether a table has rows of one of these executions, or of one between them.
fn any_between(shared: &Shared, table: Table, executions: &[(ExecutionRef, ExecutionRow)]) -> Result<bool> {
    let (Some((first, _)), Some((last, _))) = (executions.first(), executions.last()) else { return Ok(false) };
    let from = keys::execution(first.scope, first.id);
    let to = keys::prefix_end(&keys::execution(last.scope, last.id));
    let (from, to) = (Bound::Included(&from[..]), Bound::Excluded(&to[..]));
    Ok(!shared.store.scan(table, from, to, Order::Ascending, 1)?.is_empty())
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
