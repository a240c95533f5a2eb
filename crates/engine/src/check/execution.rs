//! One execution with all of its rows: its history, the fold of its inputs, how it ended, and what it waits for.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use stepwright_asl::StateId;
use stepwright_machine::{
    Definition, EventId, EventKind, Execution, Frame, FrameId, Head, InputKind, Millis, Payload, SEMANTICS, Status,
    TaskId, TimerId, TimerKind, TurnId,
    frame::{Position, TaskStage, Work},
};
use stepwright_store::{
    Table, keys,
    records::{
        self, ExecutionRow, ListRow, NameRow, PayloadRow, QuarantineRow, TaskRow, TaskTarget, TimerRow, TurnRow,
    },
};

use super::{Check, Report, Revision, Rule, cursor::Cursor};
use crate::{
    error::Result,
    lists,
    load::info,
    message::ExecutionRef,
    quarantine,
    secrets::short_hash,
    turn::{CONTINUE, target, task_state},
};

/// The tables whose keys begin with an execution's, each at the same execution.
pub(super) struct OwnRows<'a> {
    head: Cursor<'a>,
    frames: Cursor<'a>,
    turns: Cursor<'a>,
    payloads: Cursor<'a>,
    tasks: Cursor<'a>,
    quarantine: Cursor<'a>,
}

impl<'a> OwnRows<'a> {
    pub(super) fn new(check: &Check<'a>) -> Self {
        Self {
            head: check.cursor(Table::Head),
            frames: check.cursor(Table::Frame),
            turns: check.cursor(Table::Turn),
            payloads: check.cursor(Table::Payload),
            tasks: check.cursor(Table::Task),
            quarantine: check.cursor(Table::Quarantine),
        }
    }

    fn all(&mut self) -> [&mut Cursor<'a>; 6] {
        let Self { head, frames, turns, payloads, tasks, quarantine } = self;
        [head, frames, turns, payloads, tasks, quarantine]
    }

    pub(super) fn count(mut self, report: &mut Report) {
        for cursor in self.all() {
            report.count(cursor);
        }
    }
}

/// The execution at hand.
struct Subject {
    key: Vec<u8>,
    reference: ExecutionRef,
    arn: Arc<str>,
    row: ExecutionRow,
    revision: Option<Arc<Revision>>,
    quarantine: Option<QuarantineRow>,
}

/// What its turns say.
struct Told {
    turns: TurnId,
    next_event: EventId,
    last_at: Millis,
    /// The text of its input.
    input: Option<Arc<str>>,
    /// How the last event ends it.
    end: Option<Status>,
    /// The last turn took nothing in: quarantine ended the execution without the interpreter.
    forced: bool,
    /// The fold so far; none once it cannot be, or differed.
    fold: Option<Box<Fold>>,
    /// The fold differed, or broke.
    differs: bool,
}

struct Fold {
    definition: Arc<Definition>,
    execution: Execution,
}

/// A difference between what should be and what is.
struct Difference {
    expected: String,
    found: String,
}

impl<'a> Check<'a> {
    pub(super) fn execution(&mut self, key: &[u8], value: &[u8], own: &mut OwnRows<'a>) -> Result<()> {
        self.orphans_before(Some(key), own)?;
        let Some((scope, id)) = keys::parse_execution(key).filter(|_| key.len() == 20) else {
            self.finding(Rule::Rows, Table::Execution, key, None, "a key of a scope and an identity", "another");
            return Ok(());
        };
        let reference = ExecutionRef { scope, id };
        let Some(row) = self.decode::<ExecutionRow>(Table::Execution, key, value) else {
            return self.skip(key, own);
        };
        let revision = self.revision(scope, row.machine, row.revision)?;
        let arn = match &revision {
            Some(revision) => crate::map_runs::execution_arn(&revision.row.machine_arn, &row),
            None => format!("?:{}", row.name).into(),
        };
        if revision.is_none() {
            let missing = keys::revision(scope, row.machine, row.revision);
            let expected = "the revision that the execution runs";
            self.finding(Rule::Catalog, Table::Revision, &missing, Some(&arn), expected, "none that can be read");
        }
        let quarantine = match own.quarantine.next_of(key)? {
            Some((key, value)) => self.decode::<QuarantineRow>(Table::Quarantine, &key, &value),
            None => None,
        };
        let mut subject = Subject { key: key.to_vec(), reference, arn, row, revision, quarantine };
        self.quarantined(&subject);
        let told = self.turns(&mut subject, own)?;
        self.outcome(&subject, &told, own)?;
        self.state(&subject, &told, own)?;
        self.name(&subject, &told)?;
        self.lists(&subject)
    }

    /// Rows whose execution does not exist: those before `key`, or all that are left.
    pub(super) fn orphans_before(&mut self, key: Option<&[u8]>, own: &mut OwnRows<'a>) -> Result<()> {
        for cursor in own.all() {
            while let Some((found, _)) = cursor.peek()?
                && key.is_none_or(|key| &found[..] < key)
            {
                let Some((found, row)) = cursor.next()? else { break };
                if cursor.table == Table::Task && is_left_behind(&row) {
                    // The job of an execution that retention took may still have to be ended.
                    continue;
                }
                let expected = "an execution that the row belongs to";
                self.finding(Rule::Rows, cursor.table, &found, None, expected, "none with that key");
            }
        }
        Ok(())
    }

    /// Passes by the rows of an execution that cannot be read itself.
    fn skip(&mut self, key: &[u8], own: &mut OwnRows<'a>) -> Result<()> {
        for cursor in own.all() {
            while cursor.next_of(key)?.is_some() {}
        }
        Ok(())
    }

    fn quarantined(&mut self, subject: &Subject) {
        let Some(row) = &subject.quarantine else { return };
        self.report.checked(Rule::Quarantine, 1);
        let arn = Some(&subject.arn);
        if subject.row.end.is_some() {
            let found = format!("one that ended as {:?}", subject.row.status());
            self.finding(Rule::Quarantine, Table::Quarantine, &subject.key, arn, "an execution that is open", found);
        }
        if subject.revision.is_some() && row.arn != subject.arn {
            let expected = format!("the ARN {}", subject.arn);
            self.finding(Rule::Quarantine, Table::Quarantine, &subject.key, arn, expected, &*row.arn);
        }
    }

    // History and fold

    fn turns(&mut self, subject: &mut Subject, own: &mut OwnRows<'a>) -> Result<Told> {
        let mut told = Told {
            turns: 0,
            next_event: 1,
            last_at: Millis::MIN,
            input: None,
            end: None,
            forced: false,
            fold: self.begin_fold(subject),
            differs: false,
        };
        while let Some((key, value)) = own.turns.next_of(&subject.key)? {
            self.progress.turns += 1;
            let arn = Some(&subject.arn);
            let Some(number) = keys::parse_turn(&key).filter(|_| key.len() == 24) else {
                self.finding(Rule::Rows, Table::Turn, &key, arn, "a key that ends with a turn's number", "another");
                continue;
            };
            let Some(row) = self.decode::<TurnRow>(Table::Turn, &key, &value) else {
                told.fold = None;
                told.differs = true;
                continue;
            };
            let texts = self.payloads(subject, number, &row, own)?;
            if number == 1
                && let Some(InputKind::Start { input }) =
                    row.inputs.iter().map(|input| &input.kind).find(|kind| **kind != InputKind::Pause)
            {
                told.input = texts.get(input.id().index as usize).cloned().flatten();
            }
            self.history(subject, &key, number, &row, &mut told);
            self.fold(subject, &key, number, row, texts, &mut told);
        }
        // Payloads of turns that do not exist.
        while let Some((key, _)) = own.payloads.next_of(&subject.key)? {
            let expected = "a turn that has the payload";
            self.finding(Rule::Rows, Table::Payload, &key, Some(&subject.arn), expected, "none");
        }
        Ok(told)
    }

    fn history(&mut self, subject: &Subject, key: &[u8], number: TurnId, row: &TurnRow, told: &mut Told) {
        let arn = Some(&subject.arn);
        let wrong = |check: &mut Self, expected: String, found: String| {
            check.finding(Rule::History, Table::Turn, key, arn, expected, found);
        };
        self.report.checked(Rule::History, row.events.len() as u64);
        if number != told.turns + 1 {
            wrong(self, format!("turn {}", told.turns + 1), format!("turn {number}"));
        }
        if row.first_event != told.next_event {
            wrong(self, format!("event {} next", told.next_event), format!("event {}", row.first_event));
        }
        if row.at < told.last_at {
            wrong(self, format!("a time from {} on", told.last_at), row.at.to_string());
        }
        for (id, event) in (row.first_event..).zip(&row.events) {
            let goes_on = matches!(event.kind, EventKind::ExecutionRedriven { .. })
                && told.end.is_some_and(|end| end != Status::Succeeded);
            if goes_on {
                told.end = None;
            } else if told.end.is_some() {
                wrong(self, "nothing after the event that ends the execution".into(), format!("event {id}"));
            }
            if event.back >= id && event.back != 0 {
                wrong(self, format!("event {id} to follow an earlier one"), format!("{} events back", event.back));
            }
            told.end = ending(&event.kind);
        }
        told.turns = number;
        told.next_event = row.first_event + row.events.len() as u64;
        told.last_at = row.at;
        told.forced = row.inputs.is_empty();
    }

    /// The texts of a turn's payloads. None: it is missing, which was said.
    fn payloads(
        &mut self,
        subject: &Subject,
        number: TurnId,
        row: &TurnRow,
        own: &mut OwnRows<'a>,
    ) -> Result<Vec<Option<Arc<str>>>> {
        let ExecutionRef { scope, id } = subject.reference;
        let arn = Some(&subject.arn);
        let prefix = keys::turn(scope, id, number);
        let mut beside: BTreeMap<Vec<u8>, Arc<str>> = BTreeMap::new();
        while let Some((key, _)) = own.payloads.peek()?
            && key.starts_with(&subject.key)
            && (key.starts_with(&prefix) || key[..] < prefix[..])
        {
            let Some((key, value)) = own.payloads.next()? else { break };
            if let Some(row) = self.decode::<PayloadRow>(Table::Payload, &key, &value) {
                beside.insert(key, row.text);
            }
        }
        let mut texts = Vec::with_capacity(row.payloads.len());
        for (index, text) in (0_u32..).zip(&row.payloads) {
            texts.push(match text {
                Some(text) => Some(text.clone()),
                None => {
                    let key = keys::payload(scope, id, number, index);
                    let found = beside.remove(&key);
                    if found.is_none() {
                        let expected = "a payload beside its turn";
                        self.finding(Rule::Rows, Table::Payload, &key, arn, expected, "none that can be read");
                    }
                    found
                }
            });
        }
        for key in beside.into_keys() {
            self.finding(Rule::Rows, Table::Payload, &key, arn, "a turn that names the payload", "none");
        }
        Ok(texts)
    }

    fn begin_fold(&mut self, subject: &Subject) -> Option<Box<Fold>> {
        let id = subject.reference.id;
        let Subject { row, arn, .. } = subject;
        if row.semantics > SEMANTICS {
            let expected = format!("an interpreter's rules up to {SEMANTICS}");
            let found = row.semantics.to_string();
            self.finding(Rule::Fold, Table::Execution, &subject.key, Some(arn), expected, found);
            return None;
        }
        let revision = subject.revision.as_ref()?;
        let definition = revision.definition.clone()?;
        let info = info(subject.reference, row, &revision.row, self.secrets.as_ref()?.token_key(id));
        Some(Box::new(Fold { definition, execution: Execution::new(info) }))
    }

    fn fold(
        &mut self,
        subject: &Subject,
        key: &[u8],
        number: TurnId,
        row: TurnRow,
        texts: Vec<Option<Arc<str>>>,
        told: &mut Told,
    ) {
        let Some(fold) = &mut told.fold else { return };
        if row.inputs.is_empty() {
            // Written by quarantine, without the interpreter; nothing follows.
            told.fold = None;
            return;
        }
        let Some(texts) = texts.into_iter().collect::<Option<Vec<_>>>() else {
            told.fold = None;
            told.differs = true;
            return;
        };
        let folded = catch_unwind(AssertUnwindSafe(|| fold.turn(number, row, &texts)));
        let difference = match folded {
            Ok(Ok(())) => return,
            Ok(Err(difference)) => difference,
            Err(panic) => Difference {
                expected: "the interpreter to take the inputs again".into(),
                found: format!("that it breaks: {}", crate::drive::panic_message(&*panic)),
            },
        };
        told.fold = None;
        told.differs = true;
        let Difference { expected, found } = difference;
        self.finding(Rule::Fold, Table::Turn, key, Some(&subject.arn), expected, found);
    }

    // What there is now

    /// The execution's row and its history say the same about its end.
    fn outcome(&mut self, subject: &Subject, told: &Told, own: &mut OwnRows<'a>) -> Result<()> {
        self.report.checked(Rule::Outcome, 1);
        let (key, arn) = (&subject.key[..], Some(&subject.arn));
        let status = subject.row.status();
        let of_history = told.end.unwrap_or(Status::Running);
        if status != of_history {
            let expected = format!("{of_history:?}, as its history says");
            self.finding(Rule::Outcome, Table::Execution, key, arn, expected, format!("{status:?}"));
        }
        if told.turns == 0 {
            let waits = subject.quarantine.as_ref().is_some_and(|row| quarantine::start_input(row).is_some());
            if !waits {
                self.finding(Rule::History, Table::Turn, key, arn, "the turn that starts the execution", "none");
            }
        }
        if let Some(end) = &subject.row.end {
            if (end.turn, end.next_event) != (told.turns, told.next_event) {
                let expected = format!("{} turns and event {} next", told.turns, told.next_event);
                let found = format!("{} and {}", end.turn, end.next_event);
                self.finding(Rule::Outcome, Table::Execution, key, arn, expected, found);
            }
            if let Some(Fold { execution, .. }) = told.fold.as_deref() {
                let head = &execution.head;
                if head.closing.as_ref() != Some(&end.closing) {
                    let expected = format!("{:?}", head.closing);
                    let found = format!("{:?}", end.closing);
                    self.finding(Rule::Fold, Table::Execution, key, arn, expected, found);
                }
                if (end.next_frame, end.next_number) != (head.next_frame, head.next_number) {
                    let expected = format!("frame {} and number {} next", head.next_frame, head.next_number);
                    let found = format!("{} and {}", end.next_frame, end.next_number);
                    self.finding(Rule::Fold, Table::Execution, key, arn, expected, found);
                }
            }
            while let Some((key, _)) = own.head.next_of(key)? {
                self.finding(Rule::Outcome, Table::Head, &key, arn, "no head: the execution has ended", "one");
            }
        }
        if let Some(fold) = &told.fold
            && told.turns > 0
            && fold.execution.head.input != subject.row.input
        {
            let expected = format!("the input {:?}", fold.execution.head.input.id());
            let found = format!("{:?}", subject.row.input.id());
            self.finding(Rule::Fold, Table::Execution, key, arn, expected, found);
        }
        Ok(())
    }

    /// Head and frames are those of the fold, and what they wait for is there.
    fn state(&mut self, subject: &Subject, told: &Told, own: &mut OwnRows<'a>) -> Result<()> {
        let (prefix, arn) = (&subject.key[..], Some(&subject.arn));
        let folded = told.fold.as_deref().map(|fold| &fold.execution);
        if told.turns > 0 {
            self.report.checked(Rule::Fold, 1);
            if folded.is_none() && !told.differs {
                self.report.skipped(Rule::Fold);
            }
        }
        let mut waits = Waits::default();
        let head = match own.head.next_of(prefix)? {
            Some((key, value)) => {
                let head = self.decode::<Head>(Table::Head, &key, &value);
                if let (Some(head), Some(folded)) = (&head, folded)
                    && records::encode(head) != records::encode(&folded.head)
                {
                    let (expected, found) = (format!("{:?}", folded.head), format!("{head:?}"));
                    self.finding(Rule::Fold, Table::Head, &key, arn, expected, found);
                }
                head
            }
            None => {
                if subject.row.end.is_none() && told.turns > 0 {
                    self.finding(Rule::Outcome, Table::Head, prefix, arn, "the head of an open execution", "none");
                }
                None
            }
        };
        if let Some(head) = &head {
            waits.timers.extend(head.timeout.map(|set| (set, TimerKind::ExecutionTimeout)));
            waits.cut = !head.ready.is_empty();
        }
        let mut seen: HashSet<u32> = HashSet::new();
        while let Some((key, value)) = own.frames.next_of(prefix)? {
            let Some(number) = keys::parse_frame(&key).filter(|_| key.len() == 24) else {
                self.finding(Rule::Rows, Table::Frame, &key, arn, "a key that ends with a frame's number", "another");
                continue;
            };
            let Some(frame) = self.decode::<Frame>(Table::Frame, &key, &value) else { continue };
            seen.insert(number);
            if let Some(folded) = folded {
                match folded.frames.get(&FrameId(number)) {
                    Some(expected) if records::encode(expected) == records::encode(&frame) => {}
                    Some(expected) => {
                        let (expected, found) = (format!("{expected:?}"), format!("{frame:?}"));
                        self.finding(Rule::Fold, Table::Frame, &key, arn, expected, found);
                    }
                    None => self.finding(Rule::Fold, Table::Frame, &key, arn, "no such frame", format!("{frame:?}")),
                }
            }
            if subject.row.end.is_none() {
                waits.frame(&frame);
            }
        }
        for number in folded.into_iter().flat_map(|folded| folded.frames.keys()) {
            if !seen.contains(&number.0) {
                let key = keys::frame(subject.reference.scope, subject.reference.id, number.0);
                self.finding(Rule::Fold, Table::Frame, &key, arn, "a frame that is open", "none");
            }
        }
        self.timers(subject, &waits)?;
        self.tasks(subject, waits, own)
    }

    fn timers(&mut self, subject: &Subject, waits: &Waits) -> Result<()> {
        let ExecutionRef { scope, id } = subject.reference;
        for ((timer, due), kind) in &waits.timers {
            self.report.checked(Rule::Timers, 1);
            let key = keys::timer(*due, scope, id, *timer);
            let expected = format!("a timer for {kind:?}");
            match self.store.get(Table::Timer, &key)? {
                Some(value) => {
                    self.matched.timers += 1;
                    // One that cannot be read is found with its table.
                    if let Ok(row) = records::decode::<TimerRow>(Table::Timer, &value)
                        && row.kind != *kind
                    {
                        let found = format!("one for {:?}", row.kind);
                        self.finding(Rule::Timers, Table::Timer, &key, Some(&subject.arn), expected, found);
                    }
                }
                None if subject.holds_timer(*timer) => {}
                None => self.finding(Rule::Timers, Table::Timer, &key, Some(&subject.arn), expected, "none"),
            }
        }
        Ok(())
    }

    fn tasks(&mut self, subject: &Subject, waits: Waits, own: &mut OwnRows<'a>) -> Result<()> {
        let ExecutionRef { scope, id } = subject.reference;
        let arn = Some(&subject.arn);
        let (mut open, mut map_runs) = (waits.tasks, waits.map_runs);
        if waits.cut {
            open.insert(CONTINUE, OpenTask { state: None, started: false, submitted: false });
        }
        while let Some((key, value)) = own.tasks.next_of(&subject.key)? {
            self.report.checked(Rule::Tasks, 1);
            let Some(row) = self.decode::<TaskRow>(Table::Task, &key, &value) else { continue };
            let task = keys::parse_task(&key).filter(|_| key.len() == 28).map(|(.., task)| task);
            if matches!(row.target, TaskTarget::MapRun(_)) {
                // Of a run that is stopped it stays until its children ended.
                if let Some(task) = task {
                    map_runs.remove(&task);
                }
                continue;
            }
            let task = task.and_then(|task| open.remove(&task));
            if task.is_none() && matches!(row.target, TaskTarget::Cancel(_)) {
                continue;
            }
            let Some(task) = task else {
                self.finding(Rule::Tasks, Table::Task, &key, arn, "no such row: no such task is open", show(&row));
                continue;
            };
            let definition = subject.revision.as_ref().and_then(|revision| revision.definition.as_ref());
            let place = match (task.state, definition) {
                (None, _) => Some(TaskTarget::Continue),
                (Some(state), Some(definition)) => {
                    task_state(definition, StateId(state)).map(|state| match task.submitted {
                        true if state.resource.is_job() => TaskTarget::Job,
                        true => TaskTarget::Submitted,
                        false => target(&state.resource),
                    })
                }
                (Some(_), None) => None,
            };
            if row.started != task.started || place.as_ref().is_some_and(|place| *place != row.target) {
                let expected = format!("{place:?}, started {}", task.started);
                self.finding(Rule::Tasks, Table::Task, &key, arn, expected, show(&row));
            }
        }
        for task in open.into_keys().chain(map_runs) {
            self.report.checked(Rule::Tasks, 1);
            let key = keys::task(scope, id, task);
            self.finding(Rule::Tasks, Table::Task, &key, arn, "the place of an open task in its queue", "none");
        }
        Ok(())
    }

    fn name(&mut self, subject: &Subject, told: &Told) -> Result<()> {
        let Some(revision) = &subject.revision else { return Ok(()) };
        // The name of a child is its place in its map run.
        if subject.row.child.is_some() {
            return Ok(());
        }
        let ExecutionRef { scope, id } = subject.reference;
        self.report.checked(Rule::Names, 1);
        let key = keys::name(scope, &revision.row.machine_name, &subject.row.name);
        let arn = Some(&subject.arn);
        let Some(value) = self.store.get(Table::Name, &key)? else {
            self.finding(Rule::Names, Table::Name, &key, arn, "the name of the execution", "none");
            return Ok(());
        };
        let Ok(row) = records::decode::<NameRow>(Table::Name, &value) else { return Ok(()) };
        if row.id() != id {
            let (expected, found) = (format!("execution {:032x}", id.0), format!("execution {:032x}", row.id().0));
            self.finding(Rule::Names, Table::Name, &key, arn, expected, found);
            return Ok(());
        }
        self.matched.names += 1;
        let input = told.input.clone().or_else(|| subject.quarantine.as_ref().and_then(quarantine::start_input));
        if let Some(input) = input
            && row.input_hash != short_hash(&input)
        {
            self.finding(Rule::Names, Table::Name, &key, arn, "the hash of the execution's input", "another");
        }
        Ok(())
    }

    fn lists(&mut self, subject: &Subject) -> Result<()> {
        let ExecutionRef { scope, id } = subject.reference;
        let Subject { row, arn, .. } = subject;
        let expected = lists::shown(row);
        let entries = [None, Some(row.status())].into_iter().flat_map(|status| lists::entries(scope, id, row, status));
        for key in entries {
            self.report.checked(Rule::Lists, 1);
            let Some(value) = self.store.get(Table::List, &key)? else {
                self.finding(Rule::Lists, Table::List, &key, Some(arn), format!("{expected:?}"), "none");
                continue;
            };
            self.matched.lists += 1;
            match records::decode::<ListRow>(Table::List, &value) {
                Ok(found) if found != expected => {
                    let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
                    self.finding(Rule::Lists, Table::List, &key, Some(arn), expected, found);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Subject {
    /// Whether a timer that fired waits in quarantine to be taken in.
    fn holds_timer(&self, timer: TimerId) -> bool {
        let held = self.quarantine.iter().flat_map(|row| &row.inputs);
        held.into_iter().any(|held| {
            matches!(held.input.kind,
                InputKind::TimerFired { timer: fired } | InputKind::HeartbeatGrace { timer: fired } if fired == timer)
        })
    }
}

impl Fold {
    /// Takes the inputs of a stored turn again and compares what comes of it with what is stored.
    fn turn(&mut self, number: TurnId, stored: TurnRow, texts: &[Arc<str>]) -> std::result::Result<(), Difference> {
        let Self { definition, execution } = self;
        let mut inputs = stored.inputs;
        for input in &mut inputs {
            if let InputKind::Start { input: payload }
            | InputKind::TaskSucceeded { output: payload, .. }
            | InputKind::TaskSubmitted { output: payload, .. }
            | InputKind::MapRunSucceeded { output: payload, .. } = &mut input.kind
            {
                let id = payload.id();
                let text = texts.get(id.index as usize).filter(|_| id.turn == number);
                let text = text.ok_or_else(|| Difference {
                    expected: format!("an input's payload among the {} of its turn", texts.len()),
                    found: format!("{id:?}"),
                })?;
                // It comes from outside again.
                *payload = Payload::new(text.clone());
            }
        }
        let effects = stepwright_machine::step(definition, execution, &inputs);
        if effects.turn != number {
            return Err(differ("turn", number, effects.turn));
        }
        if (effects.first_event, effects.at) != (stored.first_event, stored.at) {
            let expected = (effects.first_event, effects.at);
            return Err(differ("the first event and the time", expected, (stored.first_event, stored.at)));
        }
        for (at, (expected, found)) in effects.events.iter().zip(&stored.events).enumerate() {
            if expected != found {
                let id = effects.first_event + at as u64;
                return Err(differ(&format!("event {id}"), expected, found));
            }
        }
        if effects.events.len() != stored.events.len() {
            return Err(differ("the number of events", effects.events.len(), stored.events.len()));
        }
        for (index, (expected, found)) in effects.payloads.iter().zip(texts).enumerate() {
            if expected.text() != found {
                return Err(differ(&format!("payload {index}"), expected.text(), found));
            }
        }
        if effects.payloads.len() != texts.len() {
            return Err(differ("the number of payloads", effects.payloads.len(), texts.len()));
        }
        if effects.inputs.len() != inputs.len() {
            return Err(differ("the number of inputs taken", effects.inputs.len(), inputs.len()));
        }
        Ok(())
    }
}

fn differ<T: std::fmt::Debug>(what: &str, expected: T, found: T) -> Difference {
    Difference { expected: format!("{what}: {expected:?}"), found: format!("{found:?}") }
}

fn show(row: &TaskRow) -> String {
    format!("{:?}, started {}", row.target, row.started)
}

/// Whether the row of a task says that a job of it is to be ended.
fn is_left_behind(row: &[u8]) -> bool {
    records::decode(Table::Task, row).is_ok_and(|row: TaskRow| matches!(row.target, TaskTarget::Cancel(_)))
}

/// How an event ends its execution, if it does.
fn ending(kind: &EventKind) -> Option<Status> {
    match kind {
        EventKind::ExecutionSucceeded { .. } => Some(Status::Succeeded),
        EventKind::ExecutionFailed(_) => Some(Status::Failed),
        EventKind::ExecutionTimedOut(_) => Some(Status::TimedOut),
        EventKind::ExecutionAborted(_) => Some(Status::Aborted),
        _ => None,
    }
}

/// A task that is open.
struct OpenTask {
    /// Its state; none for a turn that was cut.
    state: Option<u32>,
    started: bool,
    /// A job or a callback is to report its end.
    submitted: bool,
}

/// What an execution waits for.
#[derive(Default)]
pub(super) struct Waits {
    pub(super) timers: Vec<((TimerId, Millis), TimerKind)>,
    tasks: BTreeMap<TaskId, OpenTask>,
    map_runs: BTreeSet<TaskId>,
    cut: bool,
}

impl Waits {
    pub(super) fn frame(&mut self, frame: &Frame) {
        let Position::In(visit) = &frame.position else { return };
        match &visit.work {
            Work::Waiting { timer } => self.timers.push((*timer, TimerKind::Wait)),
            Work::Retrying { timer } => self.timers.push((*timer, TimerKind::Retry)),
            Work::Task(task) => {
                self.timers.extend(task.timeout.map(|set| (set, TimerKind::TaskTimeout)));
                self.timers.extend(task.heartbeat.map(|set| (set, TimerKind::Heartbeat)));
                let submitted = task.stage == TaskStage::Submitted;
                let started = submitted || task.stage == TaskStage::Started;
                self.tasks.insert(task.task, OpenTask { state: Some(visit.state), started, submitted });
            }
            Work::MapRun(open) if !open.ended => {
                self.map_runs.insert(open.run);
            }
            Work::Entered { .. } | Work::Beginning | Work::Parallel(_) | Work::Map(_) | Work::MapRun(_) => {}
        }
    }
}
