//! A simulated world: one server, its clients, workers and services, its clock and disk, and a scheduler that lets the
//! dice choose what happens next. Everything is decided by the seed.

use std::{collections::VecDeque, fmt::Write as _, sync::Arc};

use stepwright_engine::{EngineOptions, Error, OnLost, Scope};
use stepwright_machine::{Millis, Status, token::Token};
use stepwright_store::{Table, keys};

use crate::{
    check::{Complaint, liveness, replies, results, store, tasks::Handed},
    client::{Answer, Call, Reply},
    disk::SimDisk,
    fault::Fault,
    index::SimIndex,
    ledger::Ledger,
    model,
    process::{NotOpen, Process, Setup},
    report::{Options, Report, Tally},
    script::{self, Ending, OpenCall, Services, SimClock, SimSeeds},
    witness::SharedLedger,
    work::{self, Held, Plan},
    workload::{ACCOUNT, Dice, REGION, Workload, execution_arn},
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
    held: Vec<Held>,
    /// Tokens of tasks that were answered.
    used: Vec<Arc<str>>,
    handed: Handed,
    resend: bool,
    steps: u64,
    calm_since: Option<u64>,
    faults_wanted: u64,
    next_fault: u64,
    room_at: u64,
    deletes: bool,
    trace: VecDeque<String>,
    line: String,
}

macro_rules! trace {
    ($world:expr, $($part:tt)*) => {{
        $world.line.clear();
        let _ = write!($world.line, $($part)*);
        $world.traced();
    }};
}

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
        engine.hot_executions = if dice.one_in(2) { dice.between(1, 3) as usize } else { 1_000 };
        let concurrency = if dice.one_in(3) { dice.between(1, 3) as usize } else { 1_000 };
        let ledger = Ledger::at(BEGINNING);
        let setup = Setup {
            disk: SimDisk::new(dice.fork()),
            index: SimIndex::default(),
            ledger: SharedLedger::new(ledger),
            services: Services::new(concurrency),
            options: engine,
            segment_bytes: *dice.pick(&[8_192, 16_384, 65_536]),
            checkpoint_bytes: *dice.pick(&[4_096, 16_384, 65_536]),
            scope: Scope::new(ACCOUNT, REGION),
        };
        let faults_wanted = options.faults + if options.faults > 0 { dice.roll(4) } else { 0 };
        let mut made: Vec<Call> = workload.machines.iter().cloned().map(Call::CreateMachine).collect();
        made.extend(workload.activities.iter().cloned().map(Call::CreateActivity));
        script::break_after(None);
        script::take_broken();
        Self {
            seed,
            options,
            next_fault: dice.roll(60),
            deletes: dice.one_in(40),
            setup,
            clock,
            now: BEGINNING,
            starts: workload.starts.iter().map(|_| StartState::default()).collect(),
            workload,
            process: None,
            made,
            live: Vec::new(),
            held: Vec::new(),
            used: Vec::new(),
            handed: Handed::default(),
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
            if self.steps - self.calm_since.unwrap_or(0) > PATIENCE {
                let ledger = self.setup.ledger.lock();
                for model in ledger.models.values() {
                    liveness::closed(model, PATIENCE)?;
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
        format!("not started: {names:?}; not created: {:?}", self.made)
    }

    fn is_over(&self) -> bool {
        if !self.made.is_empty() || !self.starts.iter().all(|state| state.exists || state.given_up) {
            return false;
        }
        let ledger = self.setup.ledger.lock();
        let rows = &ledger.rows;
        rows.all(Table::Head).next().is_none() && rows.all(Table::Quarantine).next().is_none()
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
        report.tally.faults = self.setup.disk.triggered();
        report.faults_of_seeds.insert(report.tally.faults.values().sum(), 1);
        for model in ledger.models.values() {
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
        self.setup.ledger.lock().complaint().map_or(Ok(()), Err)
    }

    // One step

    fn step(&mut self) -> Step {
        self.steps += 1;
        if self.calm_since.is_none() {
            self.fault()?;
        }
        if self.setup.disk.is_cut() {
            let power = self.dice.one_in(2);
            self.crash(power);
        }
        if self.process.is_none() {
            return self.open();
        }
        if self.process.as_ref().is_some_and(|process| process.engine.is_failed()) && self.dice.one_in(5) {
            // As the server does it: it forgets everything and opens its data again.
            let power = self.dice.one_in(4);
            self.crash(power);
            return Ok(());
        }
        let wakes = self.act()?;
        self.settle(wakes)
    }

    /// Chooses among what can happen. Whether it may have woken a task of the runtime.
    fn act(&mut self) -> Step<bool> {
        let calm = self.calm_since.is_some();
        let process = self.process.as_ref().expect("only a running server acts");
        let busy = process.is_busy();
        let shards = process.stepper.shards();
        let mut total = 0;
        let mut options: [(u64, u8); 12] = [(0, 0); 12];
        let mut count = 0;
        let mut option = |weight: u64, what: u8| {
            if weight > 0 {
                options[count] = (weight, what);
                count += 1;
                total += weight;
            }
        };
        for shard in 0..shards {
            if process.stepper.shard_waiting(shard) > 0 {
                option(12, shard as u8);
            }
        }
        if process.stepper.committer_waiting() > 0 {
            option(14, 10);
        }
        option(3, 11);
        option(if busy { 2 } else { 14 }, 12);
        let now = self.now;
        let starts = self.workload.starts.iter().zip(&self.starts);
        let to_start = starts.filter(|(start, _)| BEGINNING + start.at <= now).any(|(_, state)| state.is_wanted());
        option(if to_start || !self.made.is_empty() { 8 } else { 3 }, 13);
        let answers = self.held.iter().any(|held| held.due <= now && (calm || held.plan != Plan::Forget));
        option(if answers { 8 } else { 0 }, 14);
        let ends = self.live.iter().any(|live| calm || live.ending.is_some() && live.due <= now);
        option(if ends { 8 } else { 0 }, 15);
        option(if calm { 0 } else { 2 }, 16);
        option(1, 17);
        option(1, 18);
        let mut roll = self.dice.roll(total);
        let chosen = options.iter().find(|(weight, _)| {
            let hit = roll < *weight;
            roll = roll.saturating_sub(*weight);
            hit
        });
        let chosen = chosen.map_or(12, |(_, what)| *what);
        match chosen {
            shard @ 0..=9 => self.run_shard(usize::from(shard)),
            10 => self.run_committer(),
            11 => self.tick(),
            12 => self.pass_time(busy),
            13 => self.begin(),
            14 => self.answer_held(),
            15 => self.answer_calls(),
            16 => self.disturb(),
            17 => self.read(),
            _ => self.maintain(),
        }?;
        // Shards and timers talk to nobody but the committer and each other.
        Ok(!matches!(chosen, 0..=9 | 11 | 12))
    }

    fn run_shard(&mut self, shard: usize) -> Step {
        let at_most = *self.dice.pick(&[1, 1, 2, 4, 16, 256]);
        let latest = self.setup.ledger.lock().latest;
        let process = self.process.as_mut().expect("it runs");
        let taken = process.stepper.run_shard(shard, at_most);
        let fired = process.stepper.take_fired();
        let shards = process.stepper.shards();
        let drained = process.stepper.shard_waiting(shard) == 0;
        trace!(self, "shard {shard} takes {taken}");
        {
            let mut ledger = self.setup.ledger.lock();
            ledger.order.taken(&fired, latest, shards)?;
            if drained {
                ledger.order.drained(shard)?;
            }
        }
        for fault in 0..script::take_broken() {
            trace!(self, "the interpreter breaks ({fault})");
            self.setup.disk.count(Fault::Panic);
        }
        Ok(())
    }

    fn run_committer(&mut self) -> Step {
        let at_most = *self.dice.pick(&[1, 2, 8, 4_096]);
        let process = self.process.as_mut().expect("it runs");
        let taken = process.stepper.run_committer(at_most);
        trace!(self, "{taken} commits");
        self.complaint()
    }

    fn tick(&mut self) -> Step {
        let process = self.process.as_mut().expect("it runs");
        let shards = process.stepper.shards();
        let mut ledger = self.setup.ledger.lock();
        let Ledger { order, rows, .. } = &mut *ledger;
        order.tick(rows, self.now, shards);
        drop(ledger);
        if let Err(error) = process.stepper.tick_timers() {
            self.setup.ledger.lock().order.relax();
            trace!(self, "timers: {error}");
        }
        Ok(())
    }

    fn set_clock(&mut self, now: Millis) {
        self.now = now;
        self.clock.set(now);
        let mut ledger = self.setup.ledger.lock();
        ledger.latest = ledger.latest.max(now);
    }

    /// When something is to happen next, that is known from here.
    fn next_due(&self) -> Option<Millis> {
        let ledger = self.setup.ledger.lock();
        let timer = ledger.rows.all(Table::Timer).find_map(|(key, _)| {
            let (due, ..) = keys::parse_timer(key)?;
            (due > self.now).then_some(due)
        });
        let held = self.held.iter().filter(|held| held.plan != Plan::Forget).map(|held| held.due);
        let calls = self.live.iter().filter(|live| live.ending.is_some()).map(|live| live.due);
        let starts = self.workload.starts.iter().zip(&self.starts);
        let starts = starts.filter(|(_, state)| state.is_wanted());
        let starts = starts.map(|(start, _)| BEGINNING + start.at);
        timer.into_iter().chain(held).chain(calls).chain(starts).filter(|due| *due > self.now).min()
    }

    fn pass_time(&mut self, busy: bool) -> Step {
        let small = self.dice.between(1, 40) as Millis;
        let to = match self.next_due() {
            _ if busy => self.now + small,
            // Something that is put off after a refusal comes within a second.
            None => self.now + 1_000,
            Some(due) if self.dice.one_in(4) => due + small,
            Some(due) => due.min(self.now + 5_000),
        };
        self.set_clock(to);
        trace!(self, "time passes");
        self.tick()
    }

    /// Creates and starts what the workload asks for.
    fn begin(&mut self) -> Step {
        let process = self.process.as_mut().expect("it runs");
        if let Some(call) = self.made.first() {
            if !process.pending.iter().any(|pending| pending.call.name() == call.name()) {
                process.call(call.clone());
                trace!(self, "asks for {}", self.made[0].name());
            }
            return Ok(());
        }
        let mut starts = self.workload.starts.iter().zip(&self.starts);
        let due = starts.position(|(start, state)| state.is_wanted() && BEGINNING + start.at <= self.now);
        if let Some(number) = due {
            self.starts[number].asked = true;
            let call = self.start_call(number);
            trace!(self, "starts {number}");
            self.process.as_mut().expect("it runs").call(call);
            return Ok(());
        }
        // Workers.
        let activity = self.dice.pick(&self.workload.activities).clone();
        let polls = process
            .pending
            .iter()
            .filter(|pending| matches!(&pending.call, Call::Poll { activity: polled } if *polled == activity));
        if polls.count() < 2 {
            process.call(Call::Poll { activity });
        }
        Ok(())
    }

    fn start_call(&self, number: usize) -> Call {
        let start = &self.workload.starts[number];
        Call::Start {
            start: number,
            machine: self.workload.machines[start.machine].name.clone(),
            name: start.name.as_str().into(),
            input: start.input.as_str().into(),
        }
    }

    /// A worker, or whoever got a callback's token, says something about its task.
    fn answer_held(&mut self) -> Step {
        let calm = self.calm_since.is_some();
        if calm {
            // Whoever held a task back answers now.
            for held in &mut self.held {
                if held.plan == Plan::Forget {
                    held.plan = Plan::Succeed;
                }
            }
        }
        let due: Vec<usize> = (0..self.held.len())
            .filter(|at| self.held[*at].due <= self.now && self.held[*at].plan != Plan::Forget)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let at = *self.dice.pick(&due);
        let call = if self.held[at].beats > 0 {
            let pause = self.dice.between(1, 2_500) as Millis;
            let held = &mut self.held[at];
            held.beats -= 1;
            held.due = self.now + pause;
            Call::Heartbeat { token: held.token.clone() }
        } else {
            let held = self.held.remove(at);
            match held.plan {
                Plan::Fail => Call::Fail { token: held.token, error: work::error_name(&mut self.dice) },
                _ => Call::Succeed { token: held.token, output: held.output },
            }
        };
        trace!(self, "{}", call.name());
        self.process.as_mut().expect("it runs").call(call);
        Ok(())
    }

    /// A service answers.
    fn answer_calls(&mut self) -> Step {
        let calm = self.calm_since.is_some();
        let due: Vec<usize> = (0..self.live.len())
            .filter(|at| calm || self.live[*at].ending.is_some() && self.live[*at].due <= self.now)
            .collect();
        if due.is_empty() {
            return Ok(());
        }
        let at = *self.dice.pick(&due);
        let live = self.live.remove(at);
        let ending = match live.ending {
            Some(ending) => ending,
            None => {
                Ending::With(stepwright_engine::TaskOutcome::Succeeded(work::answer(&mut self.dice, &live.call.call)))
            }
        };
        if matches!(ending, Ending::Panic) && !live.call.end.is_closed() {
            self.setup.disk.count(Fault::ConnectorPanic);
        }
        trace!(self, "a service answers {}", live.call.call.state_name);
        // Nobody may wait for it any more.
        let _ = live.call.end.send(ending);
        Ok(())
    }

    /// What clients do that they should not, or need not.
    fn disturb(&mut self) -> Step {
        let arns = self.arns();
        let process = self.process.as_mut().expect("it runs");
        match self.dice.roll(12) {
            // The same start again, or another one of the same name.
            0..=2 => {
                let number = self.dice.index(self.workload.starts.len());
                if BEGINNING + self.workload.starts[number].at > self.now || !self.made.is_empty() {
                    return Ok(());
                }
                let mut call = self.start_call(number);
                if let Call::Start { input, .. } = &mut call
                    && self.starts[number].exists
                    && self.dice.one_in(2)
                {
                    *input = "{\"other\":true}".into();
                }
                trace!(self, "starts {number} again");
                self.process.as_mut().expect("it runs").call(call);
            }
            // An answer that comes a second time.
            3..=5 if !self.used.is_empty() => {
                let token = self.dice.pick(&self.used).clone();
                let call = match self.dice.roll(3) {
                    0 => Call::Heartbeat { token },
                    1 => Call::Fail { token, error: "Late" },
                    _ => Call::Succeed { token, output: "\"late\"".into() },
                };
                trace!(self, "{} again", call.name());
                self.process.as_mut().expect("it runs").call(call);
            }
            6 if !arns.is_empty() && self.dice.one_in(6) => {
                let arn = self.dice.pick(&arns).clone();
                self.mark_stopped(&arn);
                trace!(self, "stops {arn}");
                self.process.as_mut().expect("it runs").call(Call::Stop { arn });
            }
            // A client goes away.
            7 | 8 if !process.pending.is_empty() => {
                let at = self.dice.index(process.pending.len());
                let gone = process.pending.remove(at);
                self.unanswered(&gone.call);
            }
            9 if self.deletes && self.dice.one_in(20) => {
                let machine = self.dice.index(self.workload.machines.len());
                for (start, state) in self.workload.starts.iter().zip(&mut self.starts) {
                    state.stopped |= start.machine == machine;
                }
                let name = self.workload.machines[machine].name.clone();
                trace!(self, "deletes {name}");
                self.process.as_mut().expect("it runs").call(Call::DeleteMachine { name });
            }
            10 if self.dice.one_in(8) => {
                // The machine becomes another one; what runs goes on as it began.
                let machine = self.dice.index(self.workload.machines.len());
                let prescribed =
                    self.workload.starts.iter().any(|start| start.machine == machine && start.expect.is_some());
                if !prescribed && self.made.is_empty() {
                    let other = self.dice.index(self.workload.machines.len());
                    let mut update = self.workload.machines[machine].clone();
                    update.definition.clone_from(&self.workload.machines[other].definition);
                    trace!(self, "updates {}", update.name);
                    self.process.as_mut().expect("it runs").call(Call::UpdateMachine(update));
                }
            }
            _ => self.quarantined(&arns),
        }
        Ok(())
    }

    fn mark_stopped(&mut self, arn: &str) {
        for (start, state) in self.workload.starts.iter().zip(&mut self.starts) {
            let of = execution_arn(&self.workload.machines[start.machine].name, &start.name);
            state.stopped |= of == arn;
        }
    }

    /// An operator looks after an execution in quarantine.
    fn quarantined(&mut self, arns: &[Arc<str>]) {
        let ledger = self.setup.ledger.lock();
        let Some(scope) = ledger.scope() else { return };
        let stands = |arn: &&Arc<str>| {
            let id = ledger.id_of(arn);
            id.is_some_and(|id| ledger.rows.get(Table::Quarantine, &keys::execution(scope, id)).is_some())
        };
        let Some(arn) = arns.iter().find(stands).cloned() else { return };
        drop(ledger);
        let call = if self.dice.one_in(12) && self.calm_since.is_none() {
            self.mark_stopped(&arn);
            Call::FailQuarantined { arn }
        } else {
            Call::RetryQuarantined { arn }
        };
        trace!(self, "{}", call.name());
        self.process.as_mut().expect("it runs").call(call);
    }

    fn read(&mut self) -> Step {
        let arns = self.arns();
        if self.calm_since.is_some() {
            self.quarantined(&arns);
            return Ok(());
        }
        let call = match self.dice.roll(4) {
            0 if !arns.is_empty() => {
                let size = self.dice.between(1, 100) as usize;
                let reverse = self.dice.one_in(3);
                Call::History { arn: self.dice.pick(&arns).clone(), size, reverse, token: None, from: 0 }
            }
            1 if self.made.is_empty() => {
                let statuses = [None, None, Some(Status::Running), Some(Status::Succeeded), Some(Status::Failed)];
                Call::List {
                    machine: self.dice.pick(&self.workload.machines).name.clone(),
                    status: *self.dice.pick(&statuses),
                    size: self.dice.between(1, 8) as usize,
                }
            }
            _ if !arns.is_empty() => Call::Describe { arn: self.dice.pick(&arns).clone() },
            _ => return Ok(()),
        };
        self.process.as_mut().expect("it runs").call(call);
        Ok(())
    }

    fn maintain(&mut self) -> Step {
        let sweep = self.dice.one_in(4);
        let checkpoint = self.dice.one_in(6);
        let process = self.process.as_mut().expect("it runs");
        process.store.look_again();
        if checkpoint {
            // One that fails is the store's own affair: it is tried again, or the store ends.
            drop(process.store.checkpoint());
        }
        let done = process.maintain(sweep);
        trace!(self, "maintenance, done: {done}");
        self.complaint()
    }

    // Faults

    fn fault(&mut self) -> Step {
        let disk = &self.setup.disk;
        if disk.is_full() && self.steps >= self.room_at {
            disk.make_room();
            trace!(self, "there is room again");
        }
        if self.steps < self.next_fault || self.faults() >= self.faults_wanted {
            return Ok(());
        }
        self.next_fault = self.steps + self.dice.between(5, 90);
        match self.dice.roll(20) {
            0 => {
                self.setup.disk.count(Fault::Kill);
                self.crash(false);
            }
            1 | 2 => {
                self.setup.disk.count(Fault::Power);
                self.crash(true);
            }
            3..=5 => script::break_after(Some(self.dice.roll(8) as u32)),
            6 => {
                self.setup.disk.count(Fault::ClockForward);
                let ahead = self.dice.roll(120_000) as Millis;
                self.set_clock(self.now + ahead);
                trace!(self, "the clock jumps ahead {ahead}");
            }
            7 => {
                self.setup.disk.count(Fault::ClockBack);
                let back = self.dice.roll(3_000) as Millis;
                self.set_clock(self.now - back);
                trace!(self, "the clock jumps back {back}");
            }
            _ => {
                let fault = *self.dice.pick(&Fault::OF_DISK);
                let after = match fault {
                    Fault::Write | Fault::Sync | Fault::Full | Fault::Cut => self.dice.roll(12),
                    _ => self.dice.roll(2),
                };
                self.room_at = self.steps + self.dice.between(30, 150);
                trace!(self, "armed: {} after {after}", fault.name());
                self.setup.disk.arm(fault, after);
            }
        }
        Ok(())
    }

    /// The server is gone.
    fn crash(&mut self, power: bool) {
        trace!(self, "{}", if power { "power cut" } else { "killed" });
        if power {
            self.setup.disk.cut_power();
        } else {
            self.setup.disk.kill();
        }
        let Some(mut process) = self.process.take() else { return };
        for pending in std::mem::take(&mut process.pending) {
            self.unanswered(&pending.call);
            drop(pending);
        }
        drop(process);
        // Services go on, but nobody hears them; whoever has a callback's token can still use it.
        self.live.clear();
        drop(self.setup.services.take_new());
    }

    /// Nobody will know what became of a call.
    fn unanswered(&mut self, call: &Call) {
        Tally::add(&mut self.setup.ledger.lock().tally.replies, call.counted(None), 1);
        if let Call::Start { start, .. } = call {
            self.starts[*start].asked = false;
        }
    }

    fn open(&mut self) -> Step {
        match Process::open(&self.setup) {
            Ok(process) => {
                trace!(self, "opened");
                self.process = Some(process);
                self.complaint()
            }
            Err(NotOpen::Fault(reason)) => {
                trace!(self, "not opened: {reason}");
                self.complaint()?;
                if self.calm_since.is_some() {
                    return Err(Complaint::new("liveness", "a server starts when nothing fails", reason));
                }
                let power = self.dice.one_in(2);
                self.crash(power);
                Ok(())
            }
            Err(NotOpen::Complaint(complaint)) => Err(complaint),
        }
    }

    // Replies

    /// Asks for something that is answered from what is stored.
    fn ask(&mut self, call: Call) -> Step {
        self.process.as_mut().expect("it runs").call(call);
        self.settle(true)
    }

    /// Takes what comes back: replies to clients, calls to services.
    fn settle(&mut self, wakes: bool) -> Step {
        let Some(process) = &mut self.process else { return Ok(()) };
        let replies = process.settle(wakes);
        for (call, reply) in replies {
            self.replied(&call, reply)?;
        }
        for call in self.setup.services.take_new() {
            let Some(token) = Token::parse(&call.call.token) else { continue };
            self.handed.call(token.execution, token.task, self.resend && call.call.resent)?;
            trace!(self, "a service is called for {}", call.call.state_name);
            let planned = work::call(&mut self.dice, self.now, &call.call);
            if matches!(&call.call.resource, stepwright_asl::Resource::Integration(i) if i.pattern == stepwright_asl::Pattern::WaitForTaskToken)
            {
                let held = work::held(&mut self.dice, self.now, call.call.token.clone(), &call.call.input, false);
                self.held.push(held);
            }
            let (ending, due) = planned.map_or((None, 0), |(ending, due)| (Some(ending), due));
            self.live.push(Live { call, ending, due });
        }
        self.complaint()
    }

    fn replied(&mut self, call: &Call, reply: Reply) -> Step {
        {
            let mut ledger = self.setup.ledger.lock();
            Tally::add(&mut ledger.tally.replies, call.counted(Some(&reply)), 1);
            replies::check(&ledger, call, &reply)?;
        }
        match &reply {
            Ok(_) => trace!(self, "{} is answered", call.name()),
            Err(error) => trace!(self, "{} is refused: {error}", call.name()),
        }
        match (call, reply) {
            (Call::CreateMachine(_) | Call::CreateActivity(_), Ok(_)) => {
                if self.made.first().is_some_and(|made| made.name() == call.name()) {
                    self.made.remove(0);
                }
            }
            (Call::Start { start, machine, name, input }, reply) => {
                let state = &mut self.starts[*start];
                state.asked = false;
                match reply {
                    Ok(_) => state.exists = true,
                    Err(Error::ExecutionAlreadyExists { .. }) => {
                        // By an earlier attempt whose answer was lost, or by one that used its name.
                        let arn = execution_arn(machine, name);
                        state.exists |= self.setup.ledger.lock().is_closed(&arn).is_some();
                        let _ = input;
                    }
                    Err(Error::StateMachineDeleting { .. } | Error::StateMachineDoesNotExist { .. }) => {
                        state.given_up = true;
                    }
                    Err(_) => {}
                }
            }
            (Call::Poll { activity }, Ok(Answer::Polled(Some(delivery)))) => {
                let Some(token) = Token::parse(delivery.token()) else { return Ok(()) };
                self.handed.worker(token.execution, token.task)?;
                if self.calm_since.is_none() && self.dice.one_in(25) {
                    self.setup.disk.count(Fault::LostDelivery);
                    trace!(self, "the delivery is lost");
                    drop(delivery);
                } else {
                    let echo = activity == crate::generate::ECHO;
                    let (token, input) = (delivery.token().clone(), delivery.input().clone());
                    delivery.delivered();
                    let held = work::held(&mut self.dice, self.now, token, &input, echo);
                    self.held.push(held);
                }
            }
            (Call::Succeed { token, .. } | Call::Fail { token, .. }, Ok(_)) => {
                self.used.push(token.clone());
                let Some(token) = Token::parse(token) else { return Ok(()) };
                let (execution, task) = (token.execution, token.task);
                let ledger = self.setup.ledger.lock();
                if ledger.is_task_over(execution, task) {
                    let twice = ledger.may_be_answered_twice(execution, task);
                    drop(ledger);
                    self.handed.answered(execution, task, twice)?;
                }
            }
            (Call::Succeed { token, output }, Err(error)) if error.is_transient() => {
                // A worker that got no answer tries again.
                self.held.push(Held {
                    token: token.clone(),
                    output: output.clone(),
                    plan: Plan::Succeed,
                    beats: 0,
                    due: self.now + 200,
                });
            }
            (Call::History { arn, size, reverse, .. }, Ok(Answer::History(page))) => {
                if let (Some(token), Some(last)) = (page.next_token, page.events.last()) {
                    let from = if *reverse { last.id as usize - 1 } else { last.id as usize + 1 };
                    // What was committed since the last page is part of the next ones.
                    let call =
                        Call::History { arn: arn.clone(), size: *size, reverse: *reverse, token: Some(token), from };
                    if let Some(process) = &mut self.process
                        && (self.calm_since.is_some() || self.dice.one_in(2))
                    {
                        process.call(call);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn ledger(&self) -> SharedLedger {
        self.setup.ledger.clone()
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }
}
