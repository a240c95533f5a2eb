//! Map runs: every item belongs to one child, every child ends once for each attempt, and what a run says of them is what
//! their rows say, at every commit. What a child is given and what the state makes of the outputs is worked out here
//! anew, from the definition's text.

mod inputs;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use stepwright_engine::datasets::ResultRecord;
use stepwright_machine::{
    Command, EventKind, ExecutionId, InputKind, Status, TaskId,
    map_run::{ItemSource, MapRunPlan, ResultTransformation},
};
use stepwright_store::{
    Commit, Mutation, Table, keys,
    map_runs::{MapChildRow, MapRunRow, MapRunStateRow},
    records::{self, ExecutionRow, RevisionRow, TurnRow},
};

use super::{Checked, Complaint, ensure};
use crate::{dataset, model::Model, rows::Rows};

const CHECKER: &str = "map_runs";
const THRESHOLD: &str = "States.ExceedToleratedFailureThreshold";

/// What became of children, or of their items, in one attempt; what succeeded stays from attempt to attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ends {
    succeeded: u64,
    failed: u64,
    timed_out: u64,
    aborted: u64,
    not_redrivable: u64,
}

impl Ends {
    fn add(&mut self, row: &MapChildRow, amount: u64) {
        match row.status {
            Some(Status::Succeeded) => self.succeeded += amount,
            Some(Status::Failed) => self.failed += amount,
            Some(Status::TimedOut) => self.timed_out += amount,
            Some(Status::Aborted) => self.aborted += amount,
            Some(Status::Running) | None => {}
        }
        if row.not_redrivable {
            self.not_redrivable += amount;
        }
    }

    fn of(counts: &stepwright_store::map_runs::Counts) -> Self {
        Self {
            succeeded: counts.succeeded,
            failed: counts.failed,
            timed_out: counts.timed_out,
            aborted: counts.aborted,
            not_redrivable: counts.failures_not_redrivable,
        }
    }

    fn unsuccessful(&self) -> u64 {
        self.failed + self.timed_out + self.aborted
    }
}

struct Child {
    row: MapChildRow,
    /// The attempt of the run in which it ended.
    ended: Option<u32>,
}

struct Run {
    scope: u32,
    row: MapRunRow,
    state: MapRunStateRow,
    children: BTreeMap<u32, Child>,
    /// Children without a gap from the first one on.
    together: u32,
    running: BTreeSet<u32>,
    executions: Ends,
    items: Ends,
    /// Children at once at most, of all that was ever asked for; none: any number.
    most: Option<u64>,
    /// A process opened it that had to know that it fails.
    fails_when_opened: bool,
}

impl Run {
    fn attempt(&self) -> u32 {
        self.state.redriven.map_or(0, |(count, _)| count)
    }

    fn is_over(&self) -> bool {
        self.state.status != Status::Running
    }

    fn allow(&mut self, most: u64) {
        self.most = if most == 0 { None } else { self.most.map(|known| known.max(most)) };
    }
}

/// What is stored of all runs.
#[derive(Default)]
pub(crate) struct Book {
    runs: BTreeMap<u128, Run>,
    /// What runs are to do, with the texts of their payloads.
    plans: BTreeMap<u128, MapRunPlan>,
    by_parent: BTreeMap<(ExecutionId, TaskId), u128>,
    /// Stored executions that are children.
    executions: BTreeMap<(u128, u32), ExecutionId>,
    by_arn: BTreeMap<String, ExecutionId>,
}

fn damaged(what: impl std::fmt::Display) -> Complaint {
    Complaint::new(CHECKER, "rows of map runs can be read", what.to_string())
}

macro_rules! decode {
    ($table:expr, $value:expr) => {
        records::decode($table, $value).map_err(damaged)
    };
}

impl Book {
    /// ARNs of runs.
    pub(crate) fn arns(&self) -> Vec<std::sync::Arc<str>> {
        self.runs.values().map(|run| run.row.plan.arn.clone()).collect()
    }

    /// ARNs of executions that began runs, and of stored children.
    pub(crate) fn children(&self) -> Vec<&str> {
        self.by_arn.keys().map(String::as_str).collect()
    }

    /// The stored child with an ARN.
    pub(crate) fn child(&self, arn: &str) -> Option<ExecutionId> {
        self.by_arn.get(arn).copied()
    }

    /// The run with an ARN, as it is stored.
    pub(crate) fn state(&self, arn: &str) -> Option<&MapRunStateRow> {
        self.runs.values().find(|run| &*run.row.plan.arn == arn).map(|run| &run.state)
    }

    /// Runs, children of them, and redrives.
    pub(crate) fn counts(&self) -> [u64; 5] {
        let mut counts = [0; 5];
        for run in self.runs.values() {
            counts[0] += 1;
            counts[1] += run.children.len() as u64;
            counts[2] += u64::from(run.state.status == Status::Succeeded);
            counts[3] += u64::from(run.state.status == Status::Failed);
            counts[4] += u64::from(run.attempt());
        }
        counts
    }

    /// A turn is folded: runs that it begins, and ends of runs that it takes in.
    pub(crate) fn turn(
        &mut self,
        model: &Model,
        commands: &[Command],
        row: &TurnRow,
        texts: &[std::sync::Arc<str>],
    ) -> Checked {
        for command in commands {
            if let Command::StartMapRun { plan, .. } = command {
                self.plans.insert(plan.uuid, (**plan).clone());
            }
        }
        let tells = |kind: &EventKind| matches!(kind, EventKind::MapRunSucceeded | EventKind::MapRunFailed(_));
        if !row.events.iter().any(|event| tells(&event.kind)) {
            return Ok(());
        }
        for input in &row.inputs {
            let (InputKind::MapRunSucceeded { run, .. } | InputKind::MapRunFailed { run, .. }) = &input.kind else {
                continue;
            };
            let known = self.by_parent.get(&(model.execution.info.id, *run)).and_then(|run| self.runs.get(run));
            let state = known.map(|run| &run.state);
            let agrees = state.is_some_and(|state| match &input.kind {
                InputKind::MapRunSucceeded { output, .. } => {
                    state.status == Status::Succeeded && state.output.as_ref() == texts.get(output.id().index as usize)
                }
                InputKind::MapRunFailed { error, cause, .. } => {
                    let failure = state.failure.clone().unwrap_or_default();
                    state.status == Status::Failed && (&failure.error, &failure.cause) == (error, cause)
                }
                _ => true,
            });
            ensure(agrees, CHECKER, "an execution hears of its run's end what is stored", || {
                format!("{} was told {:?}, and stored is {state:?}", model.label, input.kind)
            })?;
        }
        Ok(())
    }

    /// A commit is durable, and its turns are folded.
    pub(crate) fn committed(&mut self, rows: &Rows, models: &BTreeMap<ExecutionId, Model>, commit: &Commit) -> Checked {
        let (mut children, mut states) = (Vec::new(), Vec::new());
        for mutation in commit.mutations() {
            let (Mutation::Put { table, key, value } | Mutation::Insert { table, key, value }) = mutation else {
                continue;
            };
            let run = || keys::parse_map_run(key).ok_or_else(|| damaged("the key of a run"));
            match table {
                Table::MapRun => self.begun(run()?, key, value)?,
                Table::MapRunState => states.push((run()?, {
                    let state: MapRunStateRow = decode!(table, value)?;
                    state
                })),
                Table::MapChild => {
                    let child = keys::parse_map_child(key).ok_or_else(|| damaged("the key of a child"))?;
                    children.push((run()?, child, {
                        let row: MapChildRow = decode!(table, value)?;
                        row
                    }));
                }
                Table::Execution => self.execution(rows, key, value)?,
                _ => {}
            }
        }
        for (run, state) in &states {
            self.begins_again(*run, state)?;
        }
        for (run, child, row) in children {
            self.changed(rows, models, run, child, row)?;
        }
        for (run, state) in states {
            self.stated(run, state)?;
        }
        Ok(())
    }

    fn begun(&mut self, id: u128, key: &[u8], value: &[u8]) -> Checked {
        let row: MapRunRow = decode!(Table::MapRun, value)?;
        let scope = u32::from_be_bytes(key.get(..4).and_then(|scope| scope.try_into().ok()).unwrap_or_default());
        let plan = self.plans.get(&id).ok_or_else(|| damaged(format!("nothing begins {id:032x}")))?;
        let state = MapRunStateRow::begun(plan);
        let most = Some(row.plan.max_concurrency).filter(|most| *most > 0);
        self.by_parent.insert((row.parent(), row.run), id);
        let run = Run {
            scope,
            row,
            state,
            children: BTreeMap::new(),
            together: 0,
            running: BTreeSet::new(),
            executions: Ends::default(),
            items: Ends::default(),
            most,
            fails_when_opened: false,
        };
        let before = self.runs.insert(id, run);
        ensure(before.is_none(), CHECKER, "a run begins once", || format!("{id:032x}"))
    }

    fn execution(&mut self, rows: &Rows, key: &[u8], value: &[u8]) -> Checked {
        let row: ExecutionRow = decode!(Table::Execution, value)?;
        let (Some(of), Some((scope, id))) = (&row.child, keys::parse_execution(key)) else { return Ok(()) };
        let before = self.executions.insert((of.run, of.child), id);
        ensure(before.is_none_or(|before| before == id), CHECKER, "a child is one execution", || {
            format!("child {} of run {:032x} is {before:?} and {id:?}", of.child, of.run)
        })?;
        if before.is_none() {
            let revision = rows.get(Table::Revision, &keys::revision(scope, row.machine, row.revision));
            let revision: RevisionRow = decode!(Table::Revision, revision.unwrap_or_default())?;
            let machine = revision.machine_arn.replace(":stateMachine:", ":execution:");
            self.by_arn.insert(format!("{machine}/{}:{}", of.label, row.name), id);
        }
        Ok(())
    }

    /// A new process opens the store.
    pub(crate) fn reopened(&mut self) {
        for run in self.runs.values_mut() {
            run.fails_when_opened = !run.is_over() && run.state.failure.is_some();
        }
    }

    /// Before its children are looked at: a redrive begins a new attempt.
    fn begins_again(&mut self, id: u128, state: &MapRunStateRow) -> Checked {
        let run = self.runs.get_mut(&id).ok_or_else(|| damaged(format!("{id:032x} has no row")))?;
        let attempt = state.redriven.map_or(0, |(count, _)| count);
        ensure(attempt >= run.attempt(), CHECKER, "redrives are counted up", || {
            format!("{:?} after {:?}", state.redriven, run.state.redriven)
        })?;
        if attempt > run.attempt() {
            for ends in [&mut run.executions, &mut run.items] {
                *ends = Ends { succeeded: ends.succeeded, ..Ends::default() };
            }
            run.fails_when_opened = false;
        } else {
            ensure(!run.is_over() || *state == run.state, CHECKER, "a run that ended changes no more", || {
                format!("{} was {:?} and is {state:?}", run.row.plan.arn, run.state)
            })?;
        }
        run.state.redriven = state.redriven;
        Ok(())
    }

    /// The row of a child changes.
    fn changed(
        &mut self,
        rows: &Rows,
        models: &BTreeMap<ExecutionId, Model>,
        id: u128,
        child: u32,
        row: MapChildRow,
    ) -> Checked {
        let run = self.runs.get_mut(&id).ok_or_else(|| damaged(format!("{id:032x} has no row")))?;
        let attempt = run.attempt();
        let ends = !matches!(row.status, None | Some(Status::Running));
        let tell =
            |before: &MapChildRow| format!("child {child} of {} was {before:?} and is {row:?}", run.row.plan.arn);
        if let Some(Child { row: before, ended }) = run.children.get(&child) {
            let same = (&before.input, before.items) == (&row.input, row.items);
            ensure(same, CHECKER, "a child is for the same items for ever", || tell(before))?;
            let same = before.execution.is_none() || before.execution == row.execution;
            ensure(same, CHECKER, "a child is one execution", || tell(before))?;
            let again = ended.is_none_or(|ended| ended < attempt && before.status != Some(Status::Succeeded));
            ensure(*before == row || again, CHECKER, "a child ends once in each attempt, and well once", || {
                tell(before)
            })?;
            if *before == row {
                return Ok(());
            }
        }
        let stored = row.execution.is_some() != run.row.plan.is_express || row.status.is_none();
        ensure(stored, CHECKER, "STANDARD children are stored executions, and no others", || format!("{row:?}"))?;
        if row.status == Some(Status::Running) {
            ensure(!run.fails_when_opened, CHECKER, "a run that fails begins no child", || {
                format!("child {child} of {}", run.row.plan.arn)
            })?;
            run.running.insert(child);
        } else {
            run.running.remove(&child);
        }
        let at_once = run.running.len() as u64;
        ensure(
            run.most.is_none_or(|most| at_once <= most),
            CHECKER,
            "no more children at once than asked for",
            || format!("{at_once} of {}", run.row.plan.arn),
        )?;
        if ends {
            run.executions.add(&row, 1);
            run.items.add(&row, u64::from(row.items));
            if let Some(execution) = row.execution {
                ended_as(rows, models, run.scope, ExecutionId::from_bytes(execution), &row)?;
            }
        }
        run.children.insert(child, Child { row, ended: ends.then_some(attempt) });
        while run.children.contains_key(&run.together) {
            run.together += 1;
        }
        Ok(())
    }

    /// What a run says of itself.
    fn stated(&mut self, id: u128, state: MapRunStateRow) -> Checked {
        let plan = self.plans.get(&id);
        let run = self.runs.get_mut(&id).ok_or_else(|| damaged(format!("{id:032x} has no row")))?;
        let arn = run.row.plan.arn.clone();
        ensure(
            state.cursor.child <= run.together,
            CHECKER,
            "reading goes on before the first child without a row",
            || format!("{arn} goes on at child {}, and child {} has no row", state.cursor.child, run.together),
        )?;
        for (said, counted) in [(&state.executions, run.executions), (&state.item_counts, run.items)] {
            ensure(Ends::of(said) == counted, CHECKER, "the counts are those of the children's rows", || {
                format!("{arn} says {said:?}, and its children {counted:?}")
            })?;
        }
        let (before, failed) = (&run.state, run.items.unsuccessful());
        let total = plan.filter(|plan| state.is_read || matches!(plan.source, ItemSource::Payload(_)));
        let total = total.map(|plan| all_items(plan).len() as u64);
        let exceeds =
            |of: &MapRunStateRow| exceeds(of.tolerated_failure_count, of.tolerated_failure_percentage, failed, total);
        let by_threshold = |of: &MapRunStateRow| {
            of.failure.as_ref().is_some_and(|failure| failure.error.as_deref() == Some(THRESHOLD))
        };
        let again = before.status != Status::Running;
        if by_threshold(&state) && (again || !by_threshold(before)) {
            // Settings that came with the failure came before it, or after it.
            ensure(exceeds(&state) || exceeds(before), CHECKER, "only too many failures are too many", || {
                format!("{arn} fails for {failed} of {total:?}: {state:?}")
            })?;
        }
        if state.status != Status::Running {
            ensure(
                run.running.is_empty() && state.executions.running == 0,
                CHECKER,
                "a run ends after its children",
                || format!("{arn}: {:?} still run", run.running),
            )?;
        }
        if state.status == Status::Succeeded {
            let settings = |of: &MapRunStateRow| (of.tolerated_failure_count, of.tolerated_failure_percentage);
            let planned = (run.row.plan.tolerated_failure_count, run.row.plan.tolerated_failure_percentage);
            ensure(!exceeds(&state) || settings(&state) != planned, CHECKER, "too many failures fail a run", || {
                format!("{arn} succeeds with {failed} failures of {total:?}: {state:?}")
            })?;
            ensure(state.is_read && state.failure.is_none(), CHECKER, "a run succeeds when all is done", || {
                format!("{arn}: {state:?}")
            })?;
        }
        run.allow(state.max_concurrency);
        run.state = state;
        Ok(())
    }

    /// Everything is over.
    pub(crate) fn complete(&self, rows: &Rows, written: impl Fn(u128) -> Option<Vec<ResultRecord>>) -> Checked {
        for (id, run) in &self.runs {
            let arn = &run.row.plan.arn;
            ensure(run.is_over(), CHECKER, "every run of a closed execution is over", || {
                format!("{arn}: {:?}", run.state)
            })?;
            let plan = self.plans.get(id).ok_or_else(|| damaged(format!("nothing began {arn}")))?;
            let revision = rows.get(Table::Revision, &keys::revision(run.scope, run.row.machine, run.row.revision));
            let revision: RevisionRow = decode!(Table::Revision, revision.unwrap_or_default())?;
            let definition: Value = serde_json::from_str(&revision.definition).map_err(damaged)?;
            let expected = inputs::of(plan, &definition);
            let rows = run.children.iter().map(|(child, found)| (*child, &found.row));
            for (child, row) in rows.clone() {
                let wanted = expected.get(child as usize);
                ensure(wanted.is_some_and(|wanted| wanted.is(row)), CHECKER, "a child is given its items", || {
                    format!(
                        "child {child} of {arn} was given {} for {} items, and {wanted:?} was due",
                        row.input, row.items
                    )
                })?;
            }
            let items: u64 = rows.clone().map(|(_, row)| u64::from(row.items)).sum();
            let all = all_items(plan).len() as u64;
            if run.state.status == Status::Succeeded {
                let ended = rows.clone().all(|(_, row)| !matches!(row.status, None | Some(Status::Running)));
                let there = (items, run.children.len(), run.state.items, ended);
                ensure(
                    there == (all, expected.len(), all, true),
                    CHECKER,
                    "every item belongs to a child that ended",
                    || {
                        format!(
                            "{arn}: items, children, items read, ended are {there:?} of {all} in {}",
                            expected.len()
                        )
                    },
                )?;
                result(plan, run)?;
            }
            if plan.export.is_some() && run.state.output.is_some() && run.state.status != Status::Aborted {
                ensure(items == all, CHECKER, "results tell of every item", || format!("{arn}: {items} of {all}"))?;
                let told = written(*id).unwrap_or_default();
                let rows: Vec<&MapChildRow> = rows.map(|(_, row)| row).collect();
                let same = told.len() == rows.len() && told.iter().zip(&rows).all(|(told, row)| is_told(told, row));
                ensure(same, CHECKER, "what is written is what the children's rows say", || {
                    format!("{arn}: written was {told:?}, and stored is {rows:?}")
                })?;
            }
        }
        Ok(())
    }
}

/// A stored child ended, and its row tells how.
fn ended_as(
    rows: &Rows,
    models: &BTreeMap<ExecutionId, Model>,
    scope: u32,
    id: ExecutionId,
    row: &MapChildRow,
) -> Checked {
    let stored = rows.get(Table::Execution, &keys::execution(scope, id));
    let stored: ExecutionRow = decode!(Table::Execution, stored.unwrap_or_default())?;
    let end = stored.end.as_ref().map(|end| &end.closing);
    let model = models.get(&id).and_then(|model| model.execution.head.closing.as_ref());
    let output = model.and_then(|closing| closing.output.as_ref()?.text_if_hydrated());
    let told = row.failure.clone().unwrap_or_default();
    let same = end.is_some_and(|end| {
        (Some(end.status), Some(end.at)) == (row.status, row.stopped_at)
            && (&end.error, &end.cause) == (&told.error, &told.cause)
    });
    ensure(same && output == row.output.as_ref(), CHECKER, "a child's row tells how its execution ended", || {
        format!("{row:?}, and stored is {end:?} with {output:?}")
    })
}

/// The items that a run is for.
fn all_items(plan: &MapRunPlan) -> Vec<(Option<String>, Value)> {
    match &plan.source {
        ItemSource::Payload(payload) => match payload.value() {
            Value::Array(items) => items.iter().map(|item| (None, item.clone())).collect(),
            Value::Object(members) => members.iter().map(|(key, item)| (Some(key.clone()), item.clone())).collect(),
            _ => Vec::new(),
        },
        ItemSource::Reader(read) => {
            let most =
                if read.max_items == 0 { usize::MAX } else { usize::try_from(read.max_items).unwrap_or(usize::MAX) };
            dataset::items(&read.parameters).into_iter().take(most).map(|item| (None, item)).collect()
        }
    }
}

fn exceeds(count: Option<u64>, percentage: Option<f64>, failed: u64, total: Option<u64>) -> bool {
    let by_count = failed > count.unwrap_or(if percentage.is_some() { u64::MAX } else { 0 });
    let by_share = percentage.is_some_and(|most| match total {
        Some(total) => failed > 0 && 100.0 * failed as f64 / total as f64 > most + 1e-9,
        // Any failure is more than none of however many.
        None => failed > 0 && most <= 0.0,
    });
    by_count || by_share
}

/// The state's result of a run that ended well.
fn result(plan: &MapRunPlan, run: &Run) -> Checked {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let output = run.state.output.as_ref().map(|output| parse(output));
    if plan.export.is_some() {
        let named = output.as_ref().is_some_and(|output| output["MapRunArn"] == *plan.arn);
        return ensure(named, CHECKER, "the result names the run", || format!("{output:?} of {}", plan.arn));
    }
    let succeeded = run.children.values().map(|child| &child.row).filter(|row| row.status == Some(Status::Succeeded));
    let outputs = succeeded.map(|row| row.output.as_ref().map_or(Value::Null, |output| parse(output)));
    let expected: Vec<Value> = match plan.shape.transformation {
        ResultTransformation::Flatten => outputs
            .flat_map(|output| match output {
                Value::Array(elements) => elements,
                other => vec![other],
            })
            .collect(),
        _ => outputs.collect(),
    };
    // What throws its result away gets an empty one.
    let expected = Value::Array(if plan.discards { Vec::new() } else { expected });
    ensure(output.as_ref() == Some(&expected), CHECKER, "the result is the outputs in the order of the items", || {
        format!("{} gives {output:?}, and its children {expected}", plan.arn)
    })
}

fn is_told(told: &ResultRecord, row: &MapChildRow) -> bool {
    let failure = row.failure.clone().unwrap_or_default();
    told.status == row.status.unwrap_or(Status::Running)
        && (&told.input, &told.output) == (&row.input, &row.output)
        && (&told.error, &told.cause) == (&failure.error, &failure.cause)
        && told.redrives == row.redriven.map_or(0, |(count, _)| count)
        && told.started_at == row.status.map(|_| row.started_at)
        && told.stopped_at == row.stopped_at
}
