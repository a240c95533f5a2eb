//! A simulated world: one server, its clients, workers and services, its clock and disk, and a scheduler that lets the
//! dice choose what happens next. Everything is decided by the seed.

use std::{collections::VecDeque, sync::Arc};

use stepwright_engine::{EngineOptions, Limit, LogLevel, OnLost, Scope, TaskLimits};
use stepwright_machine::{Millis, Status};
use stepwright_store::Table;

use crate::{
    check::{Complaint, liveness, results, slots::Slots, store, tasks::Handed, told},
    client::Call,
    dataset::{Access, Handle, SimDatasets},
    disk::SimDisk,
    generate,
    index::SimIndex,
    ledger::Ledger,
    model,
    process::{Process, Setup},
    report::{EXPRESS, JOBS, MAP_RUNS, Options, Report, Tally},
    script::{self, Ending, OpenCall, Services, SimClock, SimSeeds},
    witness::SharedLedger,
    work::Held,
    workload::{ACCOUNT, Dice, Machine, REGION, Workload, execution_arn},
};

/// When every world begins.
const BEGINNING: Millis = 1_700_000_000_000;
/// Lines of the trace that are kept.
const TRACE: usize = 400;
/// Steps without faults after which what is still open will not close any more.
const PATIENCE: u64 = 60_000;

/// What is known of one of the workload's executions.
#[derive(Default)]
struct StartState {
    /// It exists: its start was acknowledged, or its name was found taken by it.
    exists: bool,
    /// A call is under way.
    asked: bool,
    /// Someone may have ended it.
    stopped: bool,
    /// Its machine is gone: it will never start.
    given_up: bool,
}

impl StartState {
    /// Whether it is to be started.
    fn is_wanted(&self) -> bool {
        !self.exists && !self.asked && !self.given_up
    }
}

/// A call of a service that was not answered yet.
struct Live {
    call: OpenCall,
    ending: Option<Ending>,
    due: Millis,
}

/// A world.
pub(crate) struct World {
    seed: u64,
    options: Options,
    dice: Dice,
    setup: Setup,
    clock: Arc<SimClock>,
    now: Millis,
    workload: Workload,
    process: Option<Process>,
    made: Vec<Call>,
    starts: Vec<StartState>,
    live: Vec<Live>,
    /// The workload has distributed Maps.
    has_runs: bool,
    datasets: Arc<SimDatasets>,
    /// Reads and writes of datasets under way, and when they end.
    accesses: Vec<(Access, Millis)>,
    held: Vec<Held>,
    /// Jobs that run, and what is asked about them.
    jobs: Vec<jobs::Running>,
    asked: Vec<jobs::Asked>,
    /// Tokens of tasks that were answered.
    used: Vec<Arc<str>>,
    handed: Handed,
    slots: Slots,
    resend: bool,
    steps: u64,
    calm_since: Option<u64>,
    faults_wanted: u64,
    next_fault: u64,
    room_at: u64,
    deletes: bool,
    /// Sinks outside are told what happens.
    tells: bool,
    /// Machines of type EXPRESS, and how many executions of them are yet to be started.
    express: Vec<Machine>,
    express_left: u64,
    trace: VecDeque<String>,
    line: String,
}

macro_rules! trace {
    ($world:expr, $($part:tt)*) => {{
        $world.line.clear();
        let _ = std::fmt::Write::write_fmt(&mut $world.line, format_args!($($part)*));
        $world.traced();
    }};
}

/// Limits of calls, by dice of their own: in most worlds there are some.
fn limits(seed: u64) -> TaskLimits {
    let mut dice = Dice::new(seed ^ 0x11A1_7500);
    let mut limit = |concurrency: u64, rate: u64| Limit {
        concurrency: dice.one_in(2).then(|| dice.between(1, concurrency) as usize),
        rate: dice.one_in(6).then(|| dice.between(1, rate) as u32),
    };
    TaskLimits { service: limit(3, 40), machine: limit(2, 40), ..TaskLimits::default() }
}

mod actions;
mod answers;
mod faults;
mod jobs;
mod runs;

type Step<T = ()> = Result<T, Complaint>;

impl World {
    pub(crate) fn new(seed: u64, options: Options, workload: Workload) -> Self {
        let mut dice = Dice::new(seed ^ 0x5EED);
        let clock = Arc::new(SimClock::at(BEGINNING));
        let resend = dice.one_in(6);
        let mut engine = EngineOptions::new(|text| model::definition(text).map(|compiled| (*compiled).clone()));
        engine.shards = dice.between(1, 3) as usize;
        engine.clock = clock.clone();
        engine.seeds = Arc::new(SimSeeds::new(&mut dice));
        engine.step = script::interpreter();
        engine.tasks_on_lost = if resend { OnLost::Resend } else { OnLost::Fail };
        engine.long_poll_ms = 3_600_000;
        // None at all: every turn is computed in the lane, whatever is in it.
        engine.steps_at_once = *dice.pick(&[0, 20, 500, 100_000, 100_000]);
        engine.hot_executions = if dice.one_in(2) { dice.between(1, 3) as usize } else { 1_000 };
        let tells = dice.one_in(2);
        if tells {
            engine.notices.log = Some(told::LOG);
            engine.notices.status = vec![told::STATUS];
            engine.notices.level = |_| LogLevel::All;
            engine.notices.keep_ms = Millis::MAX;
        }
        let concurrency = if dice.one_in(3) { dice.between(1, 3) as usize } else { 1_000 };
        engine.tasks = limits(seed);
        let ledger = Ledger::at(BEGINNING);
        engine.event_sink = Some(ledger.express.clone());
        let datasets = Arc::new(SimDatasets::default());
        engine.datasets = Some(Arc::new(Handle(datasets.clone())));
        let express: Vec<Machine> =
            (0..dice.roll(3)).map(|at| generate::express::machine(&mut dice, &format!("x{at}"))).collect();
        let express_left = if express.is_empty() { 0 } else { dice.between(1, 8) };
        if dice.one_in(4) {
            engine.express.executions = dice.between(1, 3) as usize;
        }
        let setup = Setup {
            disk: SimDisk::new(dice.fork()),
            index: SimIndex::default(),
            ledger: SharedLedger::new(ledger),
            services: Services::new(concurrency, Dice::new(seed ^ 0x10B5_5EED).one_in(2)),
            options: engine,
            segment_bytes: *dice.pick(&[8_192, 16_384, 65_536]),
            checkpoint_bytes: *dice.pick(&[4_096, 16_384, 65_536]),
            scope: Scope::new(ACCOUNT, REGION),
        };
        let faults_wanted = options.faults + if options.faults > 0 { dice.roll(4) } else { 0 };
        let mut made: Vec<Call> = workload.machines.iter().cloned().map(Call::CreateMachine).collect();
        made.extend(express.iter().cloned().map(Call::CreateMachine));
        made.extend(workload.activities.iter().cloned().map(Call::CreateActivity));
        script::break_after(None);
        script::take_broken();
        let has_runs = workload.machines.iter().any(|machine| machine.definition.contains("\"DISTRIBUTED\""));
        Self {
            seed,
            options,
            next_fault: dice.roll(60),
            deletes: dice.one_in(40),
            tells,
            express,
            express_left,
            setup,
            clock,
            now: BEGINNING,
            starts: workload.starts.iter().map(|_| StartState::default()).collect(),
            workload,
            process: None,
            made,
            live: Vec::new(),
            has_runs,
            datasets,
            accesses: Vec::new(),
            held: Vec::new(),
            jobs: Vec::new(),
            asked: Vec::new(),
            used: Vec::new(),
            handed: Handed::default(),
            slots: Slots::default(),
            resend,
            steps: 0,
            calm_since: None,
            faults_wanted,
            room_at: 0,
            dice,
            trace: VecDeque::new(),
            line: String::new(),
        }
    }

    fn traced(&mut self) {
        self.setup.ledger.lock().hash.add(self.line.as_bytes());
        if self.options.trace {
            if self.trace.len() == TRACE {
                self.trace.pop_front();
            }
            self.trace.push_back(format!("{:>6} +{:>7} {}", self.steps, self.now - BEGINNING, self.line));
        }
    }

    pub(crate) fn take_trace(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trace).into()
    }

    // From beginning to end

    /// Runs until everything is over.
    pub(crate) fn run(&mut self) -> Step<Report> {
        while self.steps < self.options.steps && !(self.is_over() && self.faults() >= self.faults_wanted) {
            self.step()?;
        }
        self.calm();
        while !self.is_over() || self.process.as_ref().is_none_or(Process::is_busy) {
            self.step()?;
            // Every child of a map run takes its own.
            let patience = if self.has_runs { 4 * PATIENCE } else { PATIENCE };
            if self.steps - self.calm_since.unwrap_or(0) > patience {
                for model in self.setup.ledger.lock().models.values() {
                    liveness::closed(model, patience)?;
                }
                return Err(Complaint::new("liveness", "every start is answered", self.describe_starts()));
            }
        }
        self.verify()?;
        Ok(self.report())
    }

    fn describe_starts(&self) -> String {
        let open = self.workload.starts.iter().zip(&self.starts).filter(|(_, state)| !state.exists && !state.given_up);
        let names: Vec<_> = open.map(|(start, _)| start.name.as_str()).collect();
        let ledger = self.setup.ledger.lock();
        let tasks: Vec<_> = ledger.rows.all(Table::Task).take(3).collect();
        format!("not started: {names:?}; not created: {:?}; tasks left: {tasks:?}", self.made)
    }

    fn is_over(&self) -> bool {
        let open = |process: &Process| process.engine.stats().express_open + process.engine.stats().express_waiting > 0;
        if self.express_left > 0 || self.process.as_ref().is_some_and(open) {
            return false;
        }
        if !self.made.is_empty() || !self.starts.iter().all(|state| state.exists || state.given_up) {
            return false;
        }
        let ledger = self.setup.ledger.lock();
        let rows = &ledger.rows;
        let tables = [Table::Head, Table::Task, Table::Quarantine, Table::Notice, Table::Express];
        tables.iter().all(|table| rows.all(*table).next().is_none())
    }

    fn faults(&self) -> u64 {
        self.setup.disk.triggered().values().sum()
    }

    /// The faults end.
    fn calm(&mut self) {
        trace!(self, "the faults end");
        self.calm_since = Some(self.steps);
        self.setup.disk.heal();
        script::break_after(None);
    }

    /// The last looks at a world in which everything has ended.
    fn verify(&mut self) -> Step {
        {
            let ledger = self.setup.ledger.lock();
            liveness::nothing_left(&ledger.rows)?;
            ledger.jobs.complete(&ledger.models)?;
            ledger.runs.complete(&ledger.rows, |run| self.datasets.written(run))?;
            if self.tells {
                ledger.told.complete(&ledger.models)?;
            }
            for (start, state) in self.workload.starts.iter().zip(&self.starts) {
                let arn = execution_arn(&self.workload.machines[start.machine].name, &start.name);
                let Some(model) = ledger.id_of(&arn).and_then(|id| ledger.models.get(&id)) else { continue };
                liveness::closed(model, self.steps)?;
                if let Some(expectation) = &start.expect {
                    results::expected(model, expectation, state.stopped)?;
                }
            }
        }
        // Every history, page by page, as a client reads it.
        let arns: Vec<Arc<str>> = self.arns();
        for arn in &arns {
            let size = self.dice.between(10, 300) as usize;
            let reverse = self.dice.one_in(3);
            self.ask(Call::Describe { arn: arn.clone() })?;
            self.ask(Call::History { arn: arn.clone(), size, reverse, token: None, from: 0 })?;
        }
        // Once more after a power cut: nothing was only in memory.
        self.crash(true);
        while self.process.is_none() {
            self.open()?;
        }
        let ledger = self.setup.ledger.lock();
        let process = self.process.as_ref().expect("it was opened");
        store::same(&*process.store, &ledger.rows)?;
        drop(ledger);
        self.complaint()
    }

    fn arns(&self) -> Vec<Arc<str>> {
        let known = self.workload.starts.iter().zip(&self.starts).filter(|(_, state)| state.exists);
        known.map(|(start, _)| execution_arn(&self.workload.machines[start.machine].name, &start.name).into()).collect()
    }

    fn report(&mut self) -> Report {
        let ledger = self.setup.ledger.lock();
        let mut report = Report { seeds: 1, tally: ledger.tally.clone(), ..Report::default() };
        report.tally.steps = self.steps;
        let (runs, ended, again) = ledger.express.counts();
        for (what, count) in EXPRESS.into_iter().zip([runs, ended, again]) {
            Tally::add(&mut report.tally.express, what, count);
        }
        report.tally.faults = self.setup.disk.triggered();
        report.faults_of_seeds.insert(report.tally.faults.values().sum(), 1);
        for (what, count) in JOBS.into_iter().zip(ledger.jobs.counts) {
            Tally::add(&mut report.tally.jobs, what, count);
        }
        for (what, count) in MAP_RUNS.into_iter().zip(ledger.runs.counts()) {
            Tally::add(&mut report.tally.map_runs, what, count);
        }
        for model in ledger.models.values().filter(|model| !model.is_child) {
            report.executions += 1;
            *report.turns_of_executions.entry(model.turn).or_default() += 1;
            let ending = match model.execution.head.closing.as_ref().map(|closing| closing.status) {
                Some(Status::Succeeded) => "SUCCEEDED",
                Some(Status::Failed) => "FAILED",
                Some(Status::TimedOut) => "TIMED_OUT",
                Some(Status::Aborted) => "ABORTED",
                Some(Status::Running) | None => "closed without the interpreter",
            };
            Tally::add(&mut report.endings, ending, 1);
        }
        report.trace_hash = ledger.hash.value();
        report
    }

    fn complaint(&self) -> Step {
        let ledger = self.setup.ledger.lock();
        ledger.express.complaint()?;
        ledger.complaint().map_or(Ok(()), Err)
    }

    #[cfg(test)]
    pub(crate) fn ledger(&self) -> SharedLedger {
        self.setup.ledger.clone()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }
}
