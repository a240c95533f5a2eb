//! Reads of executions: committed rows only, never a shard's memory.

use std::{ops::Bound, sync::Arc};

use stepwright_machine::{EventId, Head, Millis, Payload, Status, TurnId};
use stepwright_store::{
    Order, Row, Table,
    keys::{self, Listed},
    records::{self, ExecutionRow, ListRow, NameRow, QuarantineRow, TurnRow},
};

use crate::{
    arn::{self, Qualifier},
    catalog::{Revision, corrupt},
    error::{Error, Result},
    events::payloads_mut,
    map_runs::execution_arn,
    message::ExecutionRef,
    model::{
        Configurations, Event, ExecutionDescription, ExecutionItem, HistoryPage, MachineStatus, MachineType, Page,
        PageRequest, Progress, QuarantinedExecution, Scope, StateMachine, ValidDefinition,
    },
    page, quarantine, redrive,
    rows::PayloadReader,
    shared::Shared,
    versions,
};

/// Bytes after which a page of a history ends.
const HISTORY_PAGE_BYTES: usize = 4 << 20;
/// What an event counts beside its texts.
const EVENT_BYTES: usize = 256;
/// Turns read at once: few as long as they bring events, more and more while they bring none (heartbeats).
const TURNS: usize = 16;
const MOST_TURNS: usize = 128;

/// An execution as its row says.
pub(crate) struct Found {
    pub(crate) execution: ExecutionRef,
    pub(crate) row: ExecutionRow,
}

impl Shared {
    /// The execution with an ARN.
    pub(crate) fn find_execution(&self, scope: &Scope, arn: &str) -> Result<Found> {
        let missing = || Error::ExecutionDoesNotExist { arn: arn.into() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let (machine, name) = arn::execution_names(arn, scope).ok_or_else(missing)?;
        let id = match machine.split_once('/') {
            Some((_, label)) => self.find_stored_child(number, label, name)?.ok_or_else(missing)?.id,
            None => {
                let bytes = self.store.get(Table::Name, &keys::name(number, machine, name))?.ok_or_else(missing)?;
                records::decode::<NameRow>(Table::Name, &bytes)?.id()
            }
        };
        let bytes = self.store.get(Table::Execution, &keys::execution(number, id))?.ok_or_else(missing)?;
        let row = records::decode(Table::Execution, &bytes)?;
        Ok(Found { execution: ExecutionRef { scope: number, id }, row })
    }

    fn quarantine_row(&self, execution: ExecutionRef) -> Result<Option<QuarantineRow>> {
        match self.store.get(Table::Quarantine, &keys::execution(execution.scope, execution.id))? {
            Some(bytes) => Ok(Some(records::decode(Table::Quarantine, &bytes)?)),
            None => Ok(None),
        }
    }

    fn last_event(&self, found: &Found) -> Result<EventId> {
        if let Some(end) = &found.row.end {
            return Ok(end.next_event - 1);
        }
        let key = keys::execution(found.execution.scope, found.execution.id);
        match self.store.get(Table::Head, &key)? {
            Some(bytes) => Ok(records::decode::<Head>(Table::Head, &bytes)?.next_event - 1),
            None => Ok(0),
        }
    }

    pub(crate) fn progress(&self, scope: &Scope, arn: &str) -> Result<Progress> {
        let found = self.find_execution(scope, arn)?;
        Ok(Progress { status: found.row.status(), last_event: self.last_event(&found)? })
    }

    pub(crate) fn describe_execution(&self, scope: &Scope, arn: &str) -> Result<ExecutionDescription> {
        let found = self.find_execution(scope, arn)?;
        let Found { execution, row } = &found;
        let revision = self.catalog.revision(execution.scope, row.machine, row.revision)?;
        let machine = self.catalog.machine(execution.scope, &revision.row.machine_name);
        let deleting = machine.is_none_or(|machine| machine.deleting || machine.number != row.machine);
        let quarantine = if row.end.is_none() { self.quarantine_row(*execution)? } else { None };
        let mut payloads = PayloadReader::new(&*self.store, *execution);
        let input = match quarantine.as_ref().and_then(quarantine::start_input) {
            Some(input) => input,
            None => payloads.text(row.input.id())?.unwrap_or_else(|| "{}".into()),
        };
        let closing = row.end.as_ref().map(|end| &end.closing);
        let output = match closing.and_then(|closing| closing.output.as_ref()) {
            Some(output) => Some(payloads.must(output.id())?),
            None => None,
        };
        Ok(ExecutionDescription {
            arn: execution_arn(&revision.row.machine_arn, row),
            state_machine_arn: match &row.child {
                Some(child) => arn::labelled(&revision.row.machine_arn, &child.label),
                None => revision.row.machine_arn.clone(),
            },
            name: row.name.clone(),
            status: row.status(),
            started_at: execution.id.started_at(),
            stopped_at: closing.map(|closing| closing.at),
            input,
            output,
            error: closing.and_then(|closing| closing.error.clone()),
            cause: closing.and_then(|closing| closing.cause.clone()),
            trace_header: row.trace_header.clone(),
            version_arn: qualified(&revision, row.version.map(|version| version.to_string()).as_deref()),
            alias_arn: qualified(&revision, row.alias.as_deref()),
            redrive_count: row.redriven.map_or(0, |(count, _)| count),
            redriven_at: row.redriven.map(|(_, at)| at),
            last_event: self.last_event(&found)?,
            not_redrivable: redrive::refusal(row, execution.id.started_at(), deleting, false, self.now()),
            quarantined: quarantine.is_some(),
            map_run_arn: self.map_run_arn_of(execution.scope, row)?,
        })
    }

    pub(crate) fn machine_for_execution(&self, scope: &Scope, arn: &str) -> Result<StateMachine> {
        let Found { execution, row } = self.find_execution(scope, arn)?;
        let revision = self.catalog.revision(execution.scope, row.machine, row.revision)?;
        let deleting = self
            .catalog
            .machine(execution.scope, &revision.row.machine_name)
            .is_none_or(|machine| machine.deleting || machine.number != row.machine);
        let machine = state_machine(&revision, deleting);
        match &row.child {
            Some(child) => self.machine_of_children(machine, execution.scope, child),
            None => Ok(machine),
        }
    }

    /// A page of the rows whose keys begin with `list`, the last ones first.
    pub(crate) fn newest_first(
        &self,
        table: Table,
        list: &[u8],
        binding: &[&[u8]],
        request: &PageRequest,
        now: Millis,
    ) -> Result<(Vec<Row>, Option<String>)> {
        let end = match &request.next_token {
            Some(token) => page::open(&self.secrets, binding, token, now)?,
            None => keys::prefix_end(list),
        };
        let limit = page::limit(request);
        let (low, high) = (Bound::Included(list), Bound::Excluded(&end[..]));
        let mut rows = self.store.scan(table, low, high, Order::Descending, limit + 1)?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        // The last key shown: the next page ends before it.
        let next_token = rows.last().filter(|_| more).map(|(key, _)| page::issue(&self.secrets, binding, key, now));
        Ok((rows, next_token))
    }

    pub(crate) fn list_executions(
        &self,
        scope: &Scope,
        machine_arn: &str,
        status: Option<Status>,
        request: &PageRequest,
        now: Millis,
    ) -> Result<Page<ExecutionItem>> {
        let missing = || Error::StateMachineDoesNotExist { arn: machine_arn.into() };
        let number = self.catalog.scope_number(scope).ok_or_else(missing)?;
        let (name, qualifier) = arn::machine_of(machine_arn, scope).ok_or_else(missing)?;
        let (machine, _) = self.catalog.resolve(number, name, qualifier, 0).ok_or_else(missing)?;
        if machine.express {
            return Err(Error::StateMachineTypeNotSupported { arn: machine_arn.into() });
        }
        let listed = match qualifier {
            None => Listed::All,
            Some(Qualifier::Version(version)) => Listed::Version(version),
            Some(Qualifier::Alias(alias)) => Listed::Alias(alias),
        };
        let list = keys::list(number, machine.number, listed, status);
        let (rows, next_token) = self.newest_first(Table::List, &list, &[b"executions", &list], request, now)?;
        let items = rows.iter().map(|(key, value)| {
            let id = keys::parse_list_entry(key).ok_or_else(|| corrupt("the key of a list"))?;
            let row: ListRow = records::decode(Table::List, value)?;
            let more = row.more.as_deref().cloned().unwrap_or_default();
            Ok(ExecutionItem {
                is_pending_redrive: false,
                version_arn: more.version.map(|version| versions::version_arn(&machine.arn, version)),
                alias_arn: more.alias.map(|alias| format!("{}:{alias}", machine.arn).into()),
                redriven_at: more.redriven_at,
                arn: arn::execution(&machine.arn, &row.name),
                state_machine_arn: machine.arn.clone(),
                name: row.name,
                status: row.end.map_or(Status::Running, |(status, _)| status),
                started_at: id.started_at(),
                stopped_at: row.end.map(|(_, at)| at),
                redrive_count: row.redrive_count,
                items: None,
            })
        });
        Ok(Page { items: items.collect::<Result<_>>()?, next_token })
    }

    pub(crate) fn history(
        &self,
        scope: &Scope,
        arn: &str,
        request: &PageRequest,
        reverse: bool,
        now: Millis,
    ) -> Result<HistoryPage> {
        let found = self.find_execution(scope, arn)?;
        // Read before the turns: what comes meanwhile is not part of this page.
        let last_event = self.last_event(&found)?;
        let Found { execution, row } = found;
        let revision = self.catalog.revision(execution.scope, row.machine, row.revision)?;
        let prefix = keys::execution(execution.scope, execution.id);
        let binding: &[&[u8]] = &[b"history", &prefix, &[u8::from(reverse)]];
        let start = match &request.next_token {
            Some(token) => Some(Position::parse(&page::open(&self.secrets, binding, token, now)?)?),
            None => None,
        };
        let mut reader = HistoryReader {
            shared: self,
            execution,
            payloads: PayloadReader::new(&*self.store, execution),
            events: Vec::new(),
            limit: page::limit(request),
            bytes: 0,
            end: if reverse { 1 } else { last_event },
        };
        let next = reader.read(start, reverse)?;
        Ok(HistoryPage {
            events: reader.events,
            next_token: next.map(|next| page::issue(&self.secrets, binding, &next.bytes(), now)),
            definition: revision.compiled.clone(),
            role_arn: revision.row.role_arn.clone(),
            region: scope.region.clone(),
            version_arn: qualified(&revision, row.version.map(|version| version.to_string()).as_deref()),
            alias_arn: qualified(&revision, row.alias.as_deref()),
        })
    }

    /// Every execution in quarantine.
    pub(crate) fn quarantined(&self) -> Result<Vec<(ExecutionRef, QuarantinedExecution)>> {
        let mut found = Vec::new();
        quarantine::each_row(&*self.store, |execution, row| {
            let scope = self.catalog.scope(execution.scope).unwrap_or_else(|| Scope::new("", ""));
            let inputs = row.inputs.iter().map(quarantine::show).collect();
            let (arn, cause, at) = (row.arn, row.cause, row.at);
            found
                .push((execution, QuarantinedExecution { arn, scope, cause, at, inputs, dropped_inputs: row.dropped }));
        })?;
        Ok(found)
    }

    /// One of them.
    pub(crate) fn find_quarantined(&self, arn: &str) -> Result<(ExecutionRef, QuarantinedExecution)> {
        let found = self.quarantined()?.into_iter().find(|(_, quarantined)| &*quarantined.arn == arn);
        found.ok_or_else(|| Error::NotQuarantined { arn: arn.into() })
    }
}

/// The ARN of a version or an alias.
pub(crate) fn qualified(revision: &Revision, qualifier: Option<&str>) -> Option<Arc<str>> {
    qualifier.map(|qualifier| format!("{}:{qualifier}", revision.row.machine_arn).into())
}

/// A machine as a revision says.
pub(crate) fn state_machine(revision: &Revision, deleting: bool) -> StateMachine {
    let row = &revision.row;
    StateMachine {
        arn: row.machine_arn.clone(),
        name: row.machine_name.clone(),
        machine_type: if row.express { MachineType::Express } else { MachineType::Standard },
        status: if deleting { MachineStatus::Deleting } else { MachineStatus::Active },
        created_at: row.machine_created_at,
        updated_at: row.updated_at,
        definition: ValidDefinition { text: row.definition.clone(), compiled: revision.compiled.clone() },
        role_arn: row.role_arn.clone(),
        configurations: Configurations {
            logging: row.logging.clone(),
            tracing: row.tracing.clone(),
            encryption: row.encryption.clone(),
        },
        revision_id: row.id.clone(),
        description: None,
        map_run: None,
    }
}

/// Where a page of a history begins: an event, and the turn it lies in.
#[derive(Clone, Copy)]
struct Position {
    turn: TurnId,
    event: EventId,
}

impl Position {
    fn parse(bytes: &[u8]) -> Result<Self> {
        let part = |range: std::ops::Range<usize>| bytes.get(range).ok_or(Error::InvalidPageToken);
        let turn = TurnId::from_be_bytes(part(0..4)?.try_into().expect("four bytes"));
        let event = EventId::from_be_bytes(part(4..12)?.try_into().expect("eight bytes"));
        Ok(Self { turn, event })
    }

    fn bytes(self) -> Vec<u8> {
        [&self.turn.to_be_bytes()[..], &self.event.to_be_bytes()].concat()
    }
}

struct HistoryReader<'a> {
    shared: &'a Shared,
    execution: ExecutionRef,
    payloads: PayloadReader<'a>,
    events: Vec<Event>,
    limit: usize,
    bytes: usize,
    /// The last event there is, in reading order. A task's heartbeats are turns without events, and may be many.
    end: EventId,
}

impl HistoryReader<'_> {
    /// Reads on from `start` until the page is full; where the next one begins, if there is more.
    fn read(&mut self, start: Option<Position>, reverse: bool) -> Result<Option<Position>> {
        let ExecutionRef { scope, id } = self.execution;
        let (mut low, mut high) = (Bound::Included(keys::turn(scope, id, 0)), {
            Bound::Excluded(keys::prefix_end(&keys::execution(scope, id)))
        });
        if let Some(start) = start {
            let at = Bound::Included(keys::turn(scope, id, start.turn));
            if reverse { high = at } else { low = at }
        }
        let order = if reverse { Order::Descending } else { Order::Ascending };
        let mut turns = TURNS;
        loop {
            let so_far = self.events.len();
            let (from, to) = (low.as_ref().map(|key| &key[..]), high.as_ref().map(|key| &key[..]));
            let rows = self.shared.store.scan(Table::Turn, from, to, order, turns)?;
            for (key, value) in &rows {
                let turn = keys::parse_turn(key).ok_or_else(|| corrupt("the key of a turn"))?;
                let row = self.shared.recent_turns.decode(self.execution, turn, value)?;
                if let Some(next) = self.read_turn(turn, &row, start, reverse)? {
                    return Ok(Some(next));
                }
                if self.events.last().is_some_and(|event| event.id == self.end) {
                    return Ok(None);
                }
            }
            if rows.len() < turns {
                return Ok(None);
            }
            turns = if self.events.len() > so_far { TURNS } else { MOST_TURNS.min(turns * 2) };
            if let Some((last, _)) = rows.into_iter().next_back() {
                if reverse { high = Bound::Excluded(last) } else { low = Bound::Excluded(last) }
            }
        }
    }

    fn read_turn(
        &mut self,
        turn: TurnId,
        row: &Arc<TurnRow>,
        start: Option<Position>,
        reverse: bool,
    ) -> Result<Option<Position>> {
        self.payloads.keep(turn, row.clone());
        let first = row.first_event;
        let end = first + row.events.len() as EventId;
        let mut ids = match start {
            Some(start) if reverse => first..end.min(start.event.saturating_add(1)),
            Some(start) => first.max(start.event)..end,
            None => first..end,
        };
        loop {
            let Some(id) = (if reverse { ids.next_back() } else { ids.next() }) else { return Ok(None) };
            if self.events.len() >= self.limit || self.bytes >= HISTORY_PAGE_BYTES {
                return Ok(Some(Position { turn, event: id }));
            }
            let event = &row.events[(id - first) as usize];
            let mut kind = event.kind.clone();
            for payload in payloads_mut(&mut kind) {
                let text = self.payloads.must(payload.id())?;
                self.bytes += text.len();
                *payload = Payload::numbered(payload.id(), text);
            }
            self.bytes += EVENT_BYTES;
            self.events.push(Event { id, at: row.at, previous: event.previous(id), kind });
        }
    }
}
