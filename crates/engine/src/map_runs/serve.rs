//! What a shard does for the map runs of its executions: it takes in what happened to them, begins their children, and
//! writes down how far they are.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
};

use stepwright_machine::{ExecutionId, InputKind, Millis, map_run::ItemSource};
use stepwright_store::{Commit, Table, keys, map_runs::ChildOf};

use super::{
    Happening, MapRun, RunRef,
    export::Records,
    name,
    run::{CHUNK, CHUNK_BYTES, Flying, Kind, Next, Ready, Stage},
};
use crate::{
    connector::ConnectorFailure,
    datasets::{Chunk, ExportCall, Position, ReadCall},
    error::Error,
    message::{After, ExecutionRef, Origin, ShardMessage},
    secrets::partition,
    shard::Shard,
    shared::RETRY_MS,
    timers::Later,
};

/// What a run writes in one commit, in bytes, about.
const COMMIT_BYTES: usize = 4 << 20;
/// How long a run waits for room before it looks again.
const ROOM_MS: Millis = 50;
/// What a run fails with that has a reader or a writer where nobody can reach datasets.
const NO_DATASETS: &str = "This server reaches no datasets.";

/// Whether an execution waits for a run.
pub(super) enum Wanted {
    /// It does, after so many redrives.
    Yes(u32),
    No,
    /// Nobody can say now.
    Unknown,
}

impl Shard {
    /// Takes in what happened to a run.
    pub(crate) fn map_run(&mut self, reference: RunRef, happened: Vec<Happening>, now: Millis) {
        if self.shared.failed.load(Ordering::SeqCst) {
            // Nothing is begun any more; whoever waits is let go.
            return;
        }
        let Some(happened) = self.all_known(reference, happened) else { return };
        let mut after = Vec::new();
        let mut run = match self.runs.remove(&reference.run) {
            Some(run) if run.is_over() => return self.over(run, happened, now),
            Some(run) => run,
            None => match self.open_run(reference, now, &mut after) {
                Ok(Some(run)) => run,
                Ok(None) => {
                    for happening in happened {
                        if let Happening::Update { reply, .. } = happening {
                            drop(reply.send(Err(Error::MapRunNotRunning)));
                        }
                    }
                    if !after.is_empty() {
                        self.emit(None, Commit::default(), after);
                    }
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "a map run could not be read; trying again");
                    for happening in happened {
                        if let Happening::Update { reply, .. } = happening {
                            drop(reply.send(Err(error.clone())));
                        }
                    }
                    return self.shared.timers.later(now + RETRY_MS, Later::MapRun(reference));
                }
            },
        };
        for happening in happened {
            self.happens(&mut run, happening, &mut after);
        }
        let is_over = self.go_on(&mut run, &mut after, now);
        if run.changed {
            run.changed = false;
            let key = keys::map_run(reference.parent.scope, reference.run);
            let row = run.row_to_write();
            run.commit.put(Table::MapRunState, key, row);
        }
        if is_over {
            after.push(After::MapRun(reference, Box::new(Happening::Over { epoch: run.epoch })));
        }
        let commit = std::mem::take(&mut run.commit);
        if !commit.is_empty() || !after.is_empty() {
            after.push(After::Otherwise(Later::MapRun(reference)));
            self.emit(None, commit, after);
        }
        if is_over && let Some(datasets) = &self.shared.options.datasets {
            datasets.close(reference.run);
        }
        self.runs.insert(reference.run, run);
    }

    /// What happened to a run that ended. It stays in memory until that is durable: until then its rows say something else.
    fn over(&mut self, mut run: MapRun, happened: Vec<Happening>, now: Millis) {
        let (mut after, mut is_durable) = (Vec::new(), false);
        for happening in happened {
            match happening {
                Happening::Over { epoch } => is_durable |= epoch == run.epoch,
                Happening::Update { reply, .. } => {
                    after.push(After::Answered { reply, result: Err(Error::MapRunNotRunning) });
                }
                Happening::Open | Happening::Again | Happening::Redrive | Happening::Stop => run.again = true,
                _ => {}
            }
        }
        if !after.is_empty() {
            self.emit(None, Commit::default(), after);
        }
        let (reference, again) = (run.reference, run.again);
        if !is_durable {
            self.runs.insert(reference.run, run);
        } else if again {
            self.map_run(reference, vec![Happening::Again], now);
        }
    }

    /// What happened to a run, unless nothing can be done for it as long as it is not known what became of some of its
    /// children. What happens until then is seen when it is read back.
    fn all_known(&mut self, reference: RunRef, happened: Vec<Happening>) -> Option<Vec<Happening>> {
        let Some(unknown) = self.unknown_children.get_mut(&reference.run) else { return Some(happened) };
        for happening in happened {
            match happening {
                Happening::Started { child, .. } | Happening::Redriven { child, .. } => drop(unknown.remove(&child)),
                Happening::Update { reply, .. } => {
                    drop(reply.send(Err(Error::unavailable("an earlier change of the map run was refused"))));
                }
                _ => {}
            }
        }
        if !unknown.is_empty() {
            return None;
        }
        self.unknown_children.remove(&reference.run);
        Some(Vec::new())
    }

    fn happens(&mut self, run: &mut MapRun, happening: Happening, after: &mut Vec<After>) {
        match happening {
            Happening::Open => {}
            Happening::Again => (run.rests, run.yields) = (false, false),
            Happening::Redrive => {
                // One that is still on its way to its end goes on after that.
            }
            Happening::Durable { epoch } if epoch == run.epoch => self.export(run),
            Happening::Read { epoch, position, outcome } if epoch == run.epoch => {
                run.is_reading = false;
                match outcome {
                    _ if run.stage == Stage::Ending && !run.enumerates() => {}
                    Ok(chunk) => self.take_items(run, &position, chunk),
                    Err(failure) => {
                        run.fail(stepwright_machine::Failure { error: failure.error, cause: failure.cause });
                    }
                }
            }
            Happening::Started { child, execution: Some(execution) } => {
                run.stored(child, execution.id.to_bytes());
                if run.has_aborted {
                    self.stop_child(execution);
                }
            }
            Happening::Started { child, execution: None } => {
                run.not_begun(child, None);
                self.rest(run);
            }
            Happening::Settled { epoch, child } if epoch == run.epoch => run.settled(child),
            Happening::Ended { epoch, child, end } if epoch.is_none_or(|epoch| epoch == run.epoch) => {
                run.ended(child, *end);
            }
            Happening::Redriven { child, outcome } => self.child_redriven(run, child, outcome),
            Happening::Exported { epoch, outcome } if epoch == run.epoch => self.exported(run, outcome),
            Happening::Stop => {
                run.is_stopped = true;
                if run.stage == Stage::Running {
                    run.stage = Stage::Ending;
                }
                run.changed = true;
            }
            Happening::Update { settings, reply } => {
                let state = &mut run.state;
                if let Some(most) = settings.max_concurrency {
                    state.max_concurrency = most;
                }
                if let Some(count) = settings.tolerated_failure_count {
                    state.tolerated_failure_count = Some(count);
                }
                if let Some(share) = settings.tolerated_failure_percentage {
                    state.tolerated_failure_percentage = Some(share);
                }
                run.changed = true;
                run.judge();
                after.push(After::Answered { reply, result: Ok(()) });
            }
            Happening::Durable { .. }
            | Happening::Over { .. }
            | Happening::Read { .. }
            | Happening::Settled { .. }
            | Happening::Ended { .. }
            | Happening::Exported { .. } => {}
        }
    }

    /// Does what can be done now. True: the run is over.
    fn go_on(&mut self, run: &mut MapRun, after: &mut Vec<After>, now: Millis) -> bool {
        if run.is_over() {
            return true;
        }
        loop {
            if run.stage == Stage::Ending {
                run.scan = None;
                run.give_up_ready();
                self.abort_children(run);
            }
            if run.stage == Stage::Running && run.scan.is_some() {
                self.find_redrivable(run, now);
            }
            while let Some(ready) = run.next_child() {
                if !self.begin_child(run, ready, now) {
                    break;
                }
            }
            match run.next() {
                Next::Wait => return false,
                Next::Read => match run.more_items() {
                    Some((position, chunk)) => {
                        self.take_items(run, &position, chunk);
                        if run.stage == Stage::Ending {
                            run.give_up_ready();
                        }
                        if run.commit.size() >= COMMIT_BYTES {
                            self.yield_to_others(run);
                        }
                    }
                    None => {
                        self.read(run);
                        return false;
                    }
                },
                Next::Finish => {
                    if run.is_stopped || (run.state.failure.is_some() && !run.tells_of_failure()) {
                        return self.end(run, after, now);
                    }
                    // Results are read from rows: once all of those are durable.
                    run.stage = Stage::Exporting;
                    run.is_exporting = false;
                    run.changed = true;
                    after.push(After::MapRun(run.reference, Box::new(Happening::Durable { epoch: run.epoch })));
                    return false;
                }
                Next::End => return self.end(run, after, now),
            }
        }
    }

    fn take_items(&self, run: &mut MapRun, position: &Position, chunk: Chunk) {
        if run.take_items(position, chunk, self.shared.options.steps_at_once) {
            self.yield_to_others(run);
        }
    }

    /// The run takes no more items before others had their turn and what is to be written was written.
    fn yield_to_others(&self, run: &mut MapRun) {
        run.yields = true;
        self.shared.send_to_run(run.reference, Happening::Again);
    }

    /// Reads on in the run's dataset.
    fn read(&self, run: &mut MapRun) {
        let ItemSource::Reader(plan) = &run.row.plan.source else { unreachable!("other items are at hand") };
        run.is_reading = true;
        let (reference, epoch) = (run.reference, run.epoch);
        let position = Position(run.next.position.clone());
        let weak = self.shared.weak();
        let call = self.shared.options.datasets.clone().map(|datasets| {
            let call = ReadCall {
                on_behalf: run.on_behalf.clone(),
                plan: Arc::new((**plan).clone()),
                position: position.clone(),
                at_most: CHUNK,
                bytes: CHUNK_BYTES,
            };
            // What reaches the dataset may panic in building the future, too.
            self.shared.runtime.spawn(async move { datasets.read(call).await })
        });
        let work = self.shared.quiet.work();
        self.shared.runtime.spawn(async move {
            let _work = work;
            let outcome = match call {
                Some(call) => call.await.unwrap_or_else(|_| Err(broken("States.ItemReaderFailed"))),
                None => Err(ConnectorFailure::new("States.ItemReaderFailed", NO_DATASETS)),
            };
            if let Some(shared) = weak.upgrade() {
                shared.send_to_run(reference, Happening::Read { epoch, position, outcome });
            }
        });
    }

    /// The rows of all results are durable: they are written to where the state wants them, or become its result.
    fn export(&mut self, run: &mut MapRun) {
        if run.stage != Stage::Exporting || std::mem::replace(&mut run.is_exporting, true) {
            return;
        }
        let records = Records::new(&self.shared, run);
        let Some(plan) = run.row.plan.export.clone() else {
            match records.outputs(&run.row.plan, &run.limits, self.shared.options.datasets.as_deref()) {
                Ok(outcome) => self.exported(run, outcome),
                Err(error) => {
                    tracing::warn!(error, "the results of a map run could not be read; trying again");
                    run.stage = Stage::Running;
                    self.rest(run);
                }
            }
            return;
        };
        let call = ExportCall { on_behalf: run.on_behalf.clone(), plan, shape: run.row.plan.shape };
        let (reference, epoch, weak) = (run.reference, run.epoch, self.shared.weak());
        let export =
            self.shared.options.datasets.clone().map(|datasets| {
                self.shared.runtime.spawn(async move { datasets.export(call, Box::new(records)).await })
            });
        let work = self.shared.quiet.work();
        self.shared.runtime.spawn(async move {
            let _work = work;
            let outcome = match export {
                Some(export) => export.await.unwrap_or_else(|_| Err(broken("States.ResultWriterFailed"))),
                None => Err(ConnectorFailure::new("States.ResultWriterFailed", NO_DATASETS)),
            };
            if let Some(shared) = weak.upgrade() {
                shared.send_to_run(reference, Happening::Exported { epoch, outcome });
            }
        });
    }

    fn exported(&mut self, run: &mut MapRun, outcome: Result<Arc<str>, ConnectorFailure>) {
        run.is_exported = true;
        run.changed = true;
        match outcome {
            Ok(output) => {
                run.state.results_written = run.state.item_counts.succeeded;
                run.state.output = Some(output);
            }
            // What it failed with before is the reason that counts.
            Err(failure) if run.state.failure.is_none() => {
                run.state.failure = Some(stepwright_machine::Failure { error: failure.error, cause: failure.cause });
            }
            Err(failure) => tracing::warn!(?failure, run = %run.on_behalf.map_run_arn, "its results are not written"),
        }
    }

    /// The run is over; its execution hears of it.
    fn end(&mut self, run: &mut MapRun, after: &mut Vec<After>, now: Millis) -> bool {
        run.state.status = run.final_status();
        run.state.redriving = None;
        run.state.stopped_at = Some(now.max(run.row.started_at));
        run.changed = true;
        if !run.is_stopped {
            after.push(ended(run));
            return true;
        }
        match self.wanted(run.reference, &run.row) {
            Wanted::No => {
                let parent = run.reference.parent;
                run.commit.delete(Table::Task, keys::task(parent.scope, parent.id, run.row.run));
                true
            }
            // Its execution was redriven meanwhile: it is read back, as it is then, and goes on.
            Wanted::Yes(_) => {
                after.push(After::MapRun(run.reference, Box::new(Happening::Again)));
                true
            }
            Wanted::Unknown => {
                self.shared.timers.later(now + RETRY_MS, Later::MapRun(run.reference));
                true
            }
        }
    }

    /// Whether an execution waits for a run.
    pub(super) fn wanted(&mut self, reference: RunRef, row: &stepwright_store::map_runs::MapRunRow) -> Wanted {
        let parent = reference.parent;
        if self.away.contains_key(&parent.id) || self.quarantined.contains_key(&parent.id) {
            return Wanted::Unknown;
        }
        let asked = match self.find(parent) {
            Ok(hot) => hot.and_then(|hot| hot.open_map_run(row.run)).map(|open| open.redrives),
            Err(_) => return Wanted::Unknown,
        };
        match asked {
            Some(redrives) => Wanted::Yes(redrives),
            None if self.quarantined.contains_key(&parent.id) => Wanted::Unknown,
            None => Wanted::No,
        }
    }

    // Children

    /// Begins a child. False: there is no room for it now.
    fn begin_child(&mut self, run: &mut MapRun, ready: Ready, now: Millis) -> bool {
        let scope = run.reference.parent.scope;
        let machine = &run.revision.row;
        let Some(permit) = self.shared.catalog.permit_again(scope, &machine.machine_name) else {
            // Its machine is gone: whoever deleted it stops the execution as well.
            run.put_back(ready);
            return false;
        };
        if run.row.plan.is_express {
            return match self.shared.start_map_child(run, &ready, permit, now) {
                Ok(started) => {
                    run.begun(ready, Kind::Express(started));
                    true
                }
                Err(_) => {
                    run.put_back(ready);
                    self.shared.timers.later(now + ROOM_MS, Later::MapRun(run.reference));
                    false
                }
            };
        }
        if let Some(execution) = ready.execution {
            let execution = ExecutionRef { scope, id: ExecutionId::from_bytes(execution) };
            self.redrive_child(run, execution, ready, permit);
            return true;
        }
        let name = name(run.reference.run, ready.child);
        let id = ExecutionId::new(now, partition(&machine.machine_arn, &name), self.shared.seed());
        let start = super::ChildStart {
            execution: ExecutionRef { scope, id },
            revision: run.revision.clone(),
            permit,
            of: ChildOf {
                run: run.reference.run,
                parent: run.row.parent,
                child: ready.child,
                items: ready.items,
                flow: run.row.plan.flow,
                label: run.row.plan.label.clone(),
                attempt: run.state.attempt(),
            },
            name,
            input: ready.input.clone(),
            has_row: ready.has_row,
            test_case: self.shared.test_case_of(run.reference.parent),
        };
        run.begun(ready, Kind::Stored(None));
        self.shared.send(id, ShardMessage::StartChild(Box::new(start)));
        true
    }

    fn abort_children(&mut self, run: &mut MapRun) {
        if std::mem::replace(&mut run.has_aborted, true) {
            return;
        }
        let scope = run.reference.parent.scope;
        for flying in run.flying.values() {
            match &flying.kind {
                Kind::Express(child) => {
                    self.shared.express.happened(child, InputKind::Stop { error: None, cause: None });
                }
                Kind::Stored(Some(id)) => {
                    self.stop_child(ExecutionRef { scope, id: ExecutionId::from_bytes(*id) });
                }
                // Once its start is durable.
                Kind::Stored(None) => {}
            }
        }
    }

    pub(super) fn stop_child(&self, execution: ExecutionRef) {
        let kind = InputKind::Stop { error: None, cause: None };
        // It is asked once: unlike what maintenance asks for, what is refused is asked again, and quarantine holds it.
        self.shared.send(execution.id, ShardMessage::Input { execution, kind, origin: Origin::Call });
    }

    /// Something was refused: the run waits a while.
    pub(super) fn rest(&self, run: &mut MapRun) {
        run.rests = true;
        self.shared.timers.later(self.shared.now() + RETRY_MS, Later::MapRun(run.reference));
    }

    /// Commits were refused: runs begin again from what is durable. Not before it is known what became of the stored
    /// children that were about to begin: other shards may begin them all the same.
    pub(crate) fn runs_rejected(&mut self) {
        let at = self.shared.now() + RETRY_MS;
        for run in std::mem::take(&mut self.runs).into_values() {
            self.forget_express(&run);
            let stored = |flying: &Flying| flying.unsettled && matches!(flying.kind, Kind::Stored(_));
            let unknown = run.flying.iter().filter(|(_, flying)| stored(flying)).map(|(child, _)| *child);
            let unknown: BTreeSet<u32> = unknown.collect();
            if !unknown.is_empty() {
                self.unknown_children.insert(run.reference.run, unknown);
            }
            self.shared.timers.later(at, Later::MapRun(run.reference));
        }
    }

    /// EXPRESS children that nobody waits for any more end.
    fn forget_express(&self, run: &MapRun) {
        for flying in run.flying.values() {
            if let Kind::Express(child) = &flying.kind {
                self.shared.express.happened(child, InputKind::Stop { error: None, cause: None });
            }
        }
    }
}

/// What follows a run's end, for its execution.
pub(super) fn ended(run: &MapRun) -> After {
    let parent = run.reference.parent;
    let (id, state) = (run.row.run, &run.state);
    let kind = match (&state.failure, &state.output) {
        (None, Some(output)) => {
            InputKind::MapRunSucceeded { run: id, output: stepwright_machine::Payload::new(output.clone()) }
        }
        (Some(failure), _) => {
            InputKind::MapRunFailed { run: id, error: failure.error.clone(), cause: failure.cause.clone() }
        }
        (None, None) => unreachable!("a run that did not fail has a result"),
    };
    After::MapRunEnded(parent, kind)
}

fn broken(error: &str) -> ConnectorFailure {
    ConnectorFailure::new(error, "What reaches the dataset broke; the server's log says where.")
}

impl crate::shared::Shared {
    /// Tells a run's shard something about it.
    pub(crate) fn send_to_run(&self, run: RunRef, happening: Happening) {
        self.send(run.parent.id, ShardMessage::MapRun { run, happening: Box::new(happening) });
    }
}
