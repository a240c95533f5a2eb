//! The book of what the store acknowledged: its rows, the executions that they make, and the first complaint. Commits
//! are checked here one by one, as they become durable.

use std::collections::BTreeMap;

use stepwright_machine::{EventKind, ExecutionId, Millis, TimerId};
use stepwright_store::{
    Commit, ErrorKind, Mutation, Store, Table, keys,
    records::{self, TurnRow},
};

use crate::{
    check::{
        Checked, Complaint, express::SharedBook, fold, history, jobs, map_runs, names, store, tasks, timers, told,
        turns,
    },
    model::{self, Model},
    report::{Hash, Tally},
    rows::Rows,
    witness::is_refusal,
};

/// What was acknowledged, and what follows from it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) rows: Rows,
    pub(crate) models: BTreeMap<ExecutionId, Model>,
    pub(crate) tally: Tally,
    pub(crate) order: timers::Order,
    pub(crate) told: told::Book,
    pub(crate) hash: Hash,
    /// The latest time that the clock ever showed.
    pub(crate) latest: Millis,
    /// How often executions left quarantine, less the times that this was acknowledged.
    pub(crate) left_quarantine: BTreeMap<ExecutionId, u64>,
    /// What Express executions told, and their rows.
    pub(crate) express: SharedBook,
    /// Map runs and their children.
    pub(crate) runs: map_runs::Book,
    /// What the services run.
    pub(crate) jobs: jobs::Book,
    /// A redrive was asked for: what ended may run again by the time that an answer is heard.
    pub(crate) may_redrive: bool,
    /// A batch whose outcome is unknown.
    in_doubt: Vec<Commit>,
    timers: BTreeMap<ExecutionId, BTreeMap<TimerId, Millis>>,
    complaint: Option<Complaint>,
    /// Every commit taken, for tests that tamper with them.
    #[cfg(test)]
    pub(crate) kept: Vec<Commit>,
}

impl Ledger {
    /// An empty one.
    pub(crate) fn at(latest: Millis) -> Self {
        Self { latest, ..Self::default() }
    }

    pub(crate) fn complain(&mut self, complaint: Complaint) {
        self.complaint.get_or_insert(complaint);
    }

    pub(crate) fn note(&mut self, checked: Checked) {
        if let Err(complaint) = checked {
            self.complain(complaint);
        }
    }

    pub(crate) fn complaint(&self) -> Option<Complaint> {
        self.complaint.clone()
    }

    /// The store did not make a batch, or does not know whether it did.
    pub(crate) fn refused(&mut self, batch: &[Commit], kind: ErrorKind) {
        self.order.relax();
        self.express.relax();
        if !is_refusal(kind) && self.in_doubt.is_empty() {
            self.in_doubt = batch.to_vec();
        }
    }

    /// A new process opened the store: it holds what was acknowledged, and a beginning of what is in doubt.
    pub(crate) fn reopened(&mut self, opened: &dyn Store) {
        self.order.restart();
        self.express.restart();
        let in_doubt = std::mem::take(&mut self.in_doubt);
        match store::settle(opened, &self.rows, &in_doubt) {
            Ok(made) => in_doubt[..made].iter().for_each(|commit| self.take(commit)),
            Err(complaint) => self.complain(complaint),
        }
        self.runs.reopened();
    }

    /// A commit is durable.
    pub(crate) fn take(&mut self, commit: &Commit) {
        #[cfg(test)]
        self.kept.push(commit.clone());
        self.note(names::commit(&self.rows, commit));
        let mut inserts = Ok(());
        for mutation in commit.mutations() {
            inserts = inserts.and(store::insert(&self.rows, &mutation));
            inserts = inserts.and(self.express.committed(&self.rows, &mutation));
            if let Mutation::Delete { table: Table::Task, key } = mutation
                && let Some(row) = self.rows.get(Table::Task, key)
            {
                inserts = inserts.and(self.jobs.row_deleted(row));
            }
            self.rows.change(&mutation);
        }
        let mut turns = Vec::new();
        for mutation in commit.mutations() {
            match mutation {
                Mutation::Put { table, key, value } | Mutation::Insert { table, key, value } => {
                    self.hash.add(key);
                    self.hash.add(value);
                    match table {
                        Table::Turn => turns.push((key, value)),
                        Table::Quarantine => {
                            if let Some((_, execution)) = keys::parse_execution(key)
                                && let Some(model) = self.models.get_mut(&execution)
                            {
                                model.was_quarantined = true;
                            }
                        }
                        Table::Timer => {
                            if let Some((due, _, execution, timer)) = keys::parse_timer(key) {
                                self.timers.entry(execution).or_default().insert(timer, due);
                            }
                        }
                        _ => {}
                    }
                }
                Mutation::Delete { table, key } => {
                    self.hash.add(key);
                    if table == Table::Timer
                        && let Some((_, _, execution, timer)) = keys::parse_timer(key)
                        && let Some(timers) = self.timers.get_mut(&execution)
                    {
                        timers.remove(&timer);
                    }
                    if table == Table::Quarantine
                        && let Some((_, execution)) = keys::parse_execution(key)
                    {
                        *self.left_quarantine.entry(execution).or_default() += 1;
                    }
                }
                Mutation::DeleteRange { from, to, .. } => {
                    self.hash.add(from);
                    self.hash.add(to);
                }
            }
        }
        for (key, value) in turns {
            let taken = self.turn(key, value);
            self.note(taken);
        }
        let runs = self.runs.committed(&self.rows, &self.models, commit);
        self.note(runs);
        self.note(inserts);
    }

    fn turn(&mut self, key: &[u8], value: &[u8]) -> Checked {
        let damaged = |what: String| Complaint::new("turns", "what a turn needs is stored with it", what);
        let (Some((_, id)), Some(turn)) = (keys::parse_execution(key), keys::parse_turn(key)) else {
            return Err(damaged(format!("{key:?} is no key of a turn")));
        };
        let row: TurnRow = records::decode(Table::Turn, value).map_err(|error| damaged(error.to_string()))?;
        let mut model = match self.models.remove(&id) {
            Some(model) => model,
            None => Model::new(&self.rows, &key[..20]).map_err(|what| damaged(format!("{id:?}: {what}")))?,
        };
        let checked = self.turn_of(&mut model, turn, &row);
        self.models.insert(id, model);
        checked
    }

    fn turn_of(&mut self, model: &mut Model, turn: u32, row: &TurnRow) -> Checked {
        self.tally.turns += 1;
        turns::next(model, turn, row)?;
        let id = model.execution.info.id;
        let damaged = |what: String| Complaint::new("turns", "what a turn needs is stored with it", what);
        if row.inputs.is_empty() {
            // Nothing brought it about: the end of an execution that the interpreter cannot end, and its start if it
            // had none yet.
            model.closed_directly = true;
            let texts =
                model.texts(&self.rows, turn, row).map_err(|what| damaged(format!("{}: {what}", model.label)))?;
            let before = model.append_directly(turn, row, &texts);
            return history::appended(model, before);
        }
        let texts = model.texts(&self.rows, turn, row).map_err(|what| damaged(format!("{}: {what}", model.label)))?;
        let set = timers::open(&model.execution);
        timers::fired(model, &set, row, self.latest)?;
        let effects = model.fold(turn, row, &texts);
        fold::turn(model, turn, &effects, row, &texts)?;
        self.count(model, &effects, row);
        self.runs.turn(model, &effects.commands, row, &texts)?;
        let before = model.append(turn, row, effects.events);
        history::appended(model, before)?;
        fold::frames(model, &self.rows)?;
        let key = keys::execution(model.scope, id);
        if self.rows.get(Table::Quarantine, &key).is_none() {
            let none = BTreeMap::new();
            timers::rows(model, self.timers.get(&id).unwrap_or(&none))?;
            tasks::rows(model, &self.rows)?;
        }
        Ok(())
    }

    fn count(&mut self, model: &Model, effects: &stepwright_machine::Effects, row: &TurnRow) {
        for input in &row.inputs {
            Tally::add(&mut self.tally.inputs, model::input_name(&input.kind), 1);
        }
        for command in &effects.commands {
            Tally::add(&mut self.tally.commands, model::command_name(command), 1);
        }
        for event in &row.events {
            match &event.kind {
                EventKind::StateEntered { state, .. } => {
                    let state = model.definition.state(stepwright_asl::StateId(*state));
                    Tally::add(&mut self.tally.states, model::state_name(state), 1);
                }
                EventKind::EvaluationFailed { location, .. } => {
                    let field = model::field_name(location.as_deref());
                    Tally::add(&mut self.tally.evaluations, field, 1);
                }
                _ => {}
            }
        }
    }
}
