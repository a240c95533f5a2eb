//! State machines, their revisions, activities, tags, and the numbers of accounts and regions. Changes are serial and
//! one commit each; reads see committed data only. It never touches an execution.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use stepwright_machine::Definition;
use stepwright_store::{
    Commit, Store, Table,
    keys::{self, MachineNumber, MetaKey, ScopeNumber, VersionNumber},
    records::{self, ActivityRow, AliasRow, MachineRow, MetaRow, RevisionRow, ScopeRow, VersionRow},
};

use crate::{
    arn::Qualifier,
    error::{Error, Result},
    event_sink::EventSink,
    log_level::LogLevel,
    model::Scope,
    options::Compile,
    rows,
};

/// A state machine in memory.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) row: MachineRow,
    pub(crate) published: Published,
    /// Starts under way and Express executions that are open: the machine is not gone before they are over.
    starts: Arc<AtomicUsize>,
}

/// What was published of a machine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) versions: BTreeMap<VersionNumber, VersionRow>,
    pub(crate) aliases: BTreeMap<Arc<str>, AliasRow>,
}

impl Published {
    /// The latest version of a revision.
    pub(crate) fn version_of(&self, revision: u32) -> Option<(VersionNumber, &VersionRow)> {
        let found = self.versions.iter().rev().find(|(_, row)| row.revision == revision);
        found.map(|(number, row)| (*number, row))
    }

    /// The aliases that route to a version, by name.
    pub(crate) fn aliases_to(&self, version: VersionNumber) -> impl Iterator<Item = &Arc<str>> {
        let routes = move |row: &AliasRow| row.routes.iter().any(|(to, _)| *to == version);
        self.aliases.iter().filter(move |(_, row)| routes(row)).map(|(name, _)| name)
    }
}

/// What a qualified ARN of a machine stands for, once an alias has chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) revision: u32,
    pub(crate) version: Option<VersionNumber>,
    pub(crate) alias: Option<Arc<str>>,
}

impl Machine {
    /// What a qualifier stands for now: a version, or one of those that an alias routes to, drawn by weight with
    /// `draw`. None: there is no such version or alias.
    fn resolve(&self, qualifier: Option<Qualifier<'_>>, draw: u64) -> Option<Resolved> {
        let versions = &self.published.versions;
        match qualifier {
            None => Some(Resolved { revision: self.row.revision, version: None, alias: None }),
            Some(Qualifier::Version(number)) => {
                let revision = versions.get(&number)?.revision;
                Some(Resolved { revision, version: Some(number), alias: None })
            }
            Some(Qualifier::Alias(name)) => {
                let (name, row) = self.published.aliases.get_key_value(name)?;
                let draw = draw % 100;
                let mut sum = 0;
                let chosen = row.routes.iter().find(|(_, weight)| {
                    sum += u64::from(*weight);
                    draw < sum
                });
                let (number, _) = chosen.or(row.routes.first())?;
                let revision = versions.get(number)?.revision;
                Some(Resolved { revision, version: Some(*number), alias: Some(name.clone()) })
            }
        }
    }
}

/// A start that is under way, or an Express execution that is open.
#[derive(Debug)]
pub(crate) struct StartPermit {
    starts: Arc<AtomicUsize>,
}

impl Drop for StartPermit {
    fn drop(&mut self) {
        self.starts.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A revision with its compiled definition.
#[derive(Debug)]
pub(crate) struct Revision {
    pub(crate) machine: MachineNumber,
    pub(crate) number: u32,
    pub(crate) row: RevisionRow,
    pub(crate) compiled: Arc<Definition>,
    /// Whether the expressions of the last turn that was computed aside took long: the next will be at once.
    slow: AtomicBool,
    /// Whether the events of its Express executions are told, once somebody asked.
    is_told: OnceLock<bool>,
    /// How much it logs, once somebody asked.
    log_level: OnceLock<LogLevel>,
}

impl Revision {
    pub(crate) fn new(machine: MachineNumber, number: u32, row: RevisionRow, compiled: Arc<Definition>) -> Self {
        Self {
            machine,
            number,
            row,
            compiled,
            slow: AtomicBool::new(false),
            log_level: OnceLock::new(),
            is_told: OnceLock::new(),
        }
    }

    /// Whether this sink wants the events of its Express executions.
    pub(crate) fn is_told(&self, sink: &dyn EventSink) -> bool {
        *self.is_told.get_or_init(|| sink.wants(&self.row.logging))
    }

    /// Whether its turns take long, as far as one can tell. Wrong either way costs time and nothing else.
    pub(crate) fn is_slow(&self) -> bool {
        self.slow.load(Ordering::Relaxed)
    }

    /// How much it logs; `level` reads that off its configuration.
    pub(crate) fn log_level(&self, level: fn(&str) -> LogLevel) -> LogLevel {
        *self.log_level.get_or_init(|| level(&self.row.logging))
    }

    pub(crate) fn set_slow(&self, slow: bool) {
        self.slow.store(slow, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct State {
    scopes: HashMap<Scope, ScopeNumber>,
    scope_names: HashMap<ScopeNumber, Scope>,
    machines: BTreeMap<(ScopeNumber, Arc<str>), Machine>,
    activities: BTreeMap<(ScopeNumber, Arc<str>), ActivityRow>,
    next_machine: MachineNumber,
}

type RevisionKey = (ScopeNumber, MachineNumber, u32);

/// Compiled revisions, the most recently used ones.
#[derive(Default)]
struct Cache {
    revisions: HashMap<RevisionKey, (u64, Arc<Revision>)>,
    clock: u64,
}

/// The catalog.
pub(crate) struct Catalog {
    store: Arc<dyn Store>,
    compile: Compile,
    capacity: usize,
    state: RwLock<State>,
    cache: Mutex<Cache>,
    /// Held over each change, from its reading to its commit.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl Catalog {
    /// Reads the catalog back.
    pub(crate) fn open(store: Arc<dyn Store>, compile: Compile, capacity: usize) -> Result<Self> {
        let mut state = State { next_machine: 1, ..State::default() };
        rows::for_each(&*store, Table::Scope, &[], |_, value| {
            let row: ScopeRow = records::decode(Table::Scope, value)?;
            let scope = Scope { account: row.account, region: row.region };
            state.scope_names.insert(row.number, scope.clone());
            state.scopes.insert(scope, row.number);
            Ok(())
        })?;
        rows::for_each(&*store, Table::Machine, &[], |key, value| {
            let row: MachineRow = records::decode(Table::Machine, value)?;
            state.machines.insert(split_name(Table::Machine, key)?, Machine::new(row));
            Ok(())
        })?;
        let mut published: HashMap<(ScopeNumber, MachineNumber), Published> = HashMap::new();
        rows::for_each(&*store, Table::Version, &[], |key, value| {
            let (scope, machine, number) = keys::parse_version(key).ok_or_else(|| corrupt("the key of a version"))?;
            let row: VersionRow = records::decode(Table::Version, value)?;
            published.entry((scope, machine)).or_default().versions.insert(number, row);
            Ok(())
        })?;
        rows::for_each(&*store, Table::Alias, &[], |key, value| {
            let (scope, machine, name) = keys::parse_alias(key).ok_or_else(|| corrupt("the key of an alias"))?;
            let row: AliasRow = records::decode(Table::Alias, value)?;
            published.entry((scope, machine)).or_default().aliases.insert(name.into(), row);
            Ok(())
        })?;
        for ((scope, _), machine) in &mut state.machines {
            machine.published = published.remove(&(*scope, machine.row.number)).unwrap_or_default();
        }
        rows::for_each(&*store, Table::Activity, &[], |key, value| {
            let row: ActivityRow = records::decode(Table::Activity, value)?;
            state.activities.insert(split_name(Table::Activity, key)?, row);
            Ok(())
        })?;
        if let Some(bytes) = store.get(Table::Meta, &keys::meta(MetaKey::NextMachine))?
            && let MetaRow::Number(next) = records::decode(Table::Meta, &bytes)?
        {
            state.next_machine = MachineNumber::try_from(next).map_err(|_| corrupt("the next machine's number"))?;
        }
        Ok(Self {
            store,
            compile,
            capacity: capacity.max(1),
            state: RwLock::new(state),
            cache: Mutex::default(),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    // Each write is one insertion or removal, so a poisoned lock guards good data.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a scope in which something was created before.
    pub(crate) fn scope_number(&self, scope: &Scope) -> Option<ScopeNumber> {
        self.read().scopes.get(scope).copied()
    }

    /// The scope with a number.
    pub(crate) fn scope(&self, number: ScopeNumber) -> Option<Scope> {
        self.read().scope_names.get(&number).cloned()
    }

    /// Every scope's number.
    pub(crate) fn scope_numbers(&self) -> Vec<ScopeNumber> {
        self.read().scope_names.keys().copied().collect()
    }

    /// The number that a scope has or, with this commit, gets. Only under `changing`.
    pub(crate) fn intern_scope(&self, scope: &Scope, commit: &mut Commit) -> ScopeNumber {
        let state = self.read();
        if let Some(number) = state.scopes.get(scope) {
            return *number;
        }
        let number = state.scope_names.keys().max().map_or(1, |last| last + 1);
        let row = ScopeRow { number, account: scope.account.clone(), region: scope.region.clone() };
        commit.put(Table::Scope, keys::scope(&scope.account, &scope.region), records::encode(&row));
        number
    }

    /// The number that the next machine gets with this commit. Only under `changing`.
    pub(crate) fn number_machine(&self, commit: &mut Commit) -> MachineNumber {
        let number = self.read().next_machine;
        let next = MetaRow::Number(u64::from(number) + 1);
        commit.put(Table::Meta, keys::meta(MetaKey::NextMachine), records::encode(&next));
        number
    }

    /// A machine.
    pub(crate) fn machine(&self, scope: ScopeNumber, name: &str) -> Option<MachineRow> {
        self.read().machines.get(&(scope, name.into())).map(|machine| machine.row.clone())
    }

    /// What was published of a machine.
    pub(crate) fn published(&self, scope: ScopeNumber, name: &str) -> Published {
        self.read().machines.get(&(scope, name.into())).map(|machine| machine.published.clone()).unwrap_or_default()
    }

    /// A machine and what a qualifier of it stands for; an alias with two versions chooses by `draw`.
    pub(crate) fn resolve(
        &self,
        scope: ScopeNumber,
        name: &str,
        qualifier: Option<Qualifier<'_>>,
        draw: u64,
    ) -> Option<(MachineRow, Resolved)> {
        let state = self.read();
        let machine = state.machines.get(&(scope, name.into()))?;
        Some((machine.row.clone(), machine.resolve(qualifier, draw)?))
    }

    /// A machine that takes new executions, what its ARN's qualifier stands for, and the permission to start one.
    /// `arn` is the ARN as given.
    pub(crate) fn permit_start(
        &self,
        scope: ScopeNumber,
        name: &str,
        qualifier: Option<Qualifier<'_>>,
        draw: u64,
        arn: &str,
    ) -> Result<(MachineRow, Resolved, StartPermit)> {
        let missing = || Error::StateMachineDoesNotExist { arn: arn.into() };
        let state = self.read();
        let machine = state.machines.get(&(scope, name.into())).ok_or_else(missing)?;
        if machine.row.deleting {
            return Err(Error::StateMachineDeleting { arn: arn.into() });
        }
        let resolved = machine.resolve(qualifier, draw).ok_or_else(missing)?;
        // Counted under the lock under which a deletion is entered: none is missed.
        machine.starts.fetch_add(1, Ordering::SeqCst);
        Ok((machine.row.clone(), resolved, StartPermit { starts: machine.starts.clone() }))
    }

    /// The names of all machines, by scope and number.
    pub(crate) fn machine_names(&self) -> HashMap<(ScopeNumber, MachineNumber), Arc<str>> {
        let state = self.read();
        let machines = state.machines.iter();
        machines.map(|((scope, name), machine)| ((*scope, machine.row.number), name.clone())).collect()
    }

    /// The permission for an Express execution that a crash interrupted, be its machine taking new ones or not. None:
    /// the machine is gone.
    pub(crate) fn permit_again(&self, scope: ScopeNumber, name: &str) -> Option<StartPermit> {
        let state = self.read();
        let machine = state.machines.get(&(scope, name.into()))?;
        machine.starts.fetch_add(1, Ordering::SeqCst);
        Some(StartPermit { starts: machine.starts.clone() })
    }

    /// Machines that are being deleted, and whether no start of theirs is under way.
    pub(crate) fn deleting(&self) -> Vec<(ScopeNumber, Arc<str>, MachineRow, bool)> {
        let state = self.read();
        let deleting = state.machines.iter().filter(|(_, machine)| machine.row.deleting);
        deleting
            .map(|((scope, name), machine)| {
                (*scope, name.clone(), machine.row.clone(), machine.starts.load(Ordering::SeqCst) == 0)
            })
            .collect()
    }

    /// Machines by name, after `after`.
    pub(crate) fn machines(&self, scope: ScopeNumber, after: &str, limit: usize) -> Vec<(Arc<str>, MachineRow)> {
        after_name(&self.read().machines, scope, after, limit)
            .map(|(name, machine)| (name, machine.row.clone()))
            .collect()
    }

    /// Enters a scope that was committed.
    pub(crate) fn scope_committed(&self, scope: &Scope, number: ScopeNumber) {
        let mut state = self.write();
        state.scopes.insert(scope.clone(), number);
        state.scope_names.insert(number, scope.clone());
    }

    /// Enters a machine that was committed.
    pub(crate) fn machine_committed(&self, scope: ScopeNumber, name: Arc<str>, row: MachineRow) {
        let mut state = self.write();
        state.next_machine = state.next_machine.max(row.number + 1);
        match state.machines.get_mut(&(scope, name.clone())) {
            Some(machine) => machine.row = row,
            None => {
                state.machines.insert((scope, name), Machine::new(row));
            }
        }
    }

    /// Enters what was committed of a machine's versions and aliases.
    pub(crate) fn published_committed(&self, scope: ScopeNumber, name: &str, change: impl FnOnce(&mut Published)) {
        if let Some(machine) = self.write().machines.get_mut(&(scope, name.into())) {
            change(&mut machine.published);
        }
    }

    /// Forgets a machine whose deletion was committed.
    pub(crate) fn machine_gone(&self, scope: ScopeNumber, name: &str) {
        self.write().machines.remove(&(scope, name.into()));
    }

    /// A revision, compiled.
    pub(crate) fn revision(&self, scope: ScopeNumber, machine: MachineNumber, number: u32) -> Result<Arc<Revision>> {
        let key = (scope, machine, number);
        {
            let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            cache.clock += 1;
            let clock = cache.clock;
            if let Some((used, revision)) = cache.revisions.get_mut(&key) {
                *used = clock;
                return Ok(revision.clone());
            }
        }
        let bytes = self
            .store
            .get(Table::Revision, &keys::revision(scope, machine, number))?
            .ok_or_else(|| corrupt(&format!("revision {number} of machine {machine}")))?;
        let row: RevisionRow = records::decode(Table::Revision, &bytes)?;
        let compiled = (self.compile)(&row.definition)
            .map_err(|reason| corrupt(&format!("the definition of {} ({reason})", row.machine_arn)))?;
        let revision = Arc::new(Revision::new(machine, number, row, Arc::new(compiled)));
        self.cache_revision(scope, revision.clone());
        Ok(revision)
    }

    /// Keeps a revision at hand.
    pub(crate) fn cache_revision(&self, scope: ScopeNumber, revision: Arc<Revision>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.clock += 1;
        let clock = cache.clock;
        cache.revisions.insert((scope, revision.machine, revision.number), (clock, revision));
        if cache.revisions.len() > self.capacity
            && let Some(oldest) = cache.revisions.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| *key)
        {
            cache.revisions.remove(&oldest);
        }
    }

    /// An activity.
    pub(crate) fn activity(&self, scope: ScopeNumber, name: &str) -> Option<ActivityRow> {
        self.read().activities.get(&(scope, name.into())).cloned()
    }

    /// Activities by name, after `after`.
    pub(crate) fn activities(&self, scope: ScopeNumber, after: &str, limit: usize) -> Vec<(Arc<str>, ActivityRow)> {
        after_name(&self.read().activities, scope, after, limit).map(|(name, row)| (name, row.clone())).collect()
    }

    /// Enters an activity that was committed.
    pub(crate) fn activity_committed(&self, scope: ScopeNumber, name: Arc<str>, row: ActivityRow) {
        self.write().activities.insert((scope, name), row);
    }

    /// Forgets an activity whose deletion was committed.
    pub(crate) fn activity_gone(&self, scope: ScopeNumber, name: &str) {
        self.write().activities.remove(&(scope, name.into()));
    }
}

impl Machine {
    fn new(row: MachineRow) -> Self {
        Self { row, published: Published::default(), starts: Arc::default() }
    }
}

fn after_name<'a, T>(
    map: &'a BTreeMap<(ScopeNumber, Arc<str>), T>,
    scope: ScopeNumber,
    after: &str,
    limit: usize,
) -> impl Iterator<Item = (Arc<str>, &'a T)> {
    use std::ops::Bound::{Excluded, Unbounded};
    map.range((Excluded((scope, Arc::from(after))), Unbounded))
        .take_while(move |((of, _), _)| *of == scope)
        .take(limit)
        .map(|((_, name), value)| (name.clone(), value))
}

fn split_name(table: Table, key: &[u8]) -> Result<(ScopeNumber, Arc<str>)> {
    let parts = key.split_at_checked(4).and_then(|(scope, name)| {
        Some((ScopeNumber::from_be_bytes(scope.try_into().ok()?), std::str::from_utf8(name).ok()?))
    });
    let (scope, name) = parts.ok_or_else(|| corrupt(&format!("a key of table {table:?}")))?;
    Ok((scope, name.into()))
}

/// Stored data that is not what it should be.
pub(crate) fn corrupt(what: &str) -> Error {
    Error::Corrupt { reason: format!("{what} is missing or damaged").into() }
}

/// The tags row of a resource.
pub(crate) fn tags(store: &dyn Store, key: &[u8]) -> Result<records::TagsRow> {
    match store.get(Table::Tag, key)? {
        Some(bytes) => Ok(records::decode(Table::Tag, &bytes)?),
        None => Ok(records::TagsRow::default()),
    }
}
