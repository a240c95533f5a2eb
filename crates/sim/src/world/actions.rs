//! What can happen in a step of a world, and how the dice choose among it.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use stepwright_machine::{Millis, Status};
use stepwright_store::{
    Table, keys,
    records::{self, QuarantineRow},
};

use super::{BEGINNING, Step, World};
use crate::{
    check::told,
    client::Call,
    fault::Fault,
    ledger::Ledger,
    script::{self, Ending},
    work::{self, Plan},
    workload::execution_arn,
};

impl World {
    pub(super) fn step(&mut self) -> Step {
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
        self.settle(wakes)?;
        self.look_at_slots()
    }

    /// Whether tasks wait for nothing.
    fn look_at_slots(&mut self) -> Step {
        let down = self.process.as_ref().is_none_or(|process| process.engine.is_failed());
        let quiet = self.process.as_ref().is_some_and(|process| !process.is_busy());
        let calling = self.live.iter().any(|live| !live.call.end.is_closed());
        let ledger = self.setup.ledger.lock();
        let broken = || ledger.rows.all(Table::Quarantine).next().is_some();
        if self.calm_since.is_none() || down || calling || broken() {
            self.slots.busy();
            return Ok(());
        }
        self.slots.idle(&ledger.rows, self.now, quiet)
    }

    /// Chooses among what can happen. Whether it may have woken a task of the runtime.
    pub(super) fn act(&mut self) -> Step<bool> {
        let calm = self.calm_since.is_some();
        let process = self.process.as_ref().expect("only a running server acts");
        let busy = process.is_busy();
        let shards = process.stepper.shards();
        let mut total = 0;
        let mut options: [(u64, u8); 20] = [(0, 0); 20];
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
        option(if process.stepper.lane_waiting() > 0 { 6 } else { 0 }, 19);
        option(if process.stepper.express_waiting() > 0 { 10 } else { 0 }, 22);
        option(3, 11);
        option(if busy { 2 } else { 14 }, 12);
        let now = self.now;
        let starts = self.workload.starts.iter().zip(&self.starts);
        let to_start = starts.filter(|(start, _)| BEGINNING + start.at <= now).any(|(_, state)| state.is_wanted());
        let to_start = to_start || self.express_left > 0;
        option(if to_start || !self.made.is_empty() { 8 } else { 3 }, 13);
        let answers = self.held.iter().any(|held| held.due <= now && (calm || held.plan != Plan::Forget));
        option(if answers { 8 } else { 0 }, 14);
        let ends = self.live.iter().any(|live| calm || live.ending.is_some() && live.due <= now);
        option(if ends { 8 } else { 0 }, 15);
        let reads = self.accesses.iter().any(|(_, due)| calm || *due <= now);
        option(if reads { 8 } else { 0 }, 23);
        option(if self.jobs_move() { 8 } else { 0 }, 25);
        option(if calm || !self.has_runs { 0 } else { 1 }, 24);
        option(if calm { 0 } else { 2 }, 16);
        option(1, 17);
        option(1, 18);
        option(if self.tells { 4 } else { 0 }, 20);
        option(u64::from(self.tells), 21);
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
            19 => self.run_lane(),
            20 => self.tell(),
            21 => self.forget(),
            22 => self.run_express(),
            23 => self.answer_access(),
            24 => self.meddle(),
            25 => self.move_jobs(),
            _ => self.maintain(),
        }?;
        // Shards, the lane and timers talk to nobody but the committer and each other.
        // But a map run reads its dataset from there.
        Ok(self.has_runs || !matches!(chosen, 0..=9 | 11 | 12 | 19))
    }

    pub(super) fn run_shard(&mut self, shard: usize) -> Step {
        let at_most = *self.dice.pick(&[1, 1, 2, 4, 16, 256]);
        let latest = self.setup.ledger.lock().latest;
        let process = self.process.as_mut().expect("it runs");
        let taken = process.stepper.run_shard(shard, at_most);
        let fired = process.stepper.take_fired();
        let shards = process.stepper.shards();
        let failed = process.engine.is_failed();
        let drained = process.stepper.shard_waiting(shard) == 0;
        trace!(self, "shard {shard} takes {taken}");
        {
            let mut ledger = self.setup.ledger.lock();
            if failed {
                // It refuses every commit: its timers fire again and again.
                ledger.order.relax();
            }
            ledger.order.taken(&fired, latest, shards)?;
            if drained {
                ledger.order.drained(shard)?;
            }
        }
        self.count_broken();
        Ok(())
    }

    pub(super) fn run_lane(&mut self) -> Step {
        let process = self.process.as_mut().expect("it runs");
        process.stepper.run_lane();
        trace!(self, "the lane computes a turn");
        self.count_broken();
        Ok(())
    }

    /// A thread for Express executions computes a turn, calls what it asks for, or answers whoever waits.
    pub(super) fn run_express(&mut self) -> Step {
        let slow = self.dice.one_in(2);
        let process = self.process.as_mut().expect("it runs");
        let ran = process.express(slow) || process.express(!slow);
        trace!(self, "an Express execution goes on: {ran}");
        self.count_broken();
        self.complaint()
    }

    fn count_broken(&mut self) {
        for fault in 0..script::take_broken() {
            trace!(self, "the interpreter breaks ({fault})");
            self.setup.disk.count(Fault::Panic);
        }
    }

    pub(super) fn run_committer(&mut self) -> Step {
        let at_most = *self.dice.pick(&[1, 2, 8, 4_096]);
        let process = self.process.as_mut().expect("it runs");
        let taken = process.stepper.run_committer(at_most);
        trace!(self, "{taken} commits");
        self.complaint()
    }

    pub(super) fn tick(&mut self) -> Step {
        let process = self.process.as_mut().expect("it runs");
        let shards = process.stepper.shards();
        let mut ledger = self.setup.ledger.lock();
        let Ledger { order, rows, .. } = &mut *ledger;
        order.tick(rows, self.now, shards);
        drop(ledger);
        process.tick_express();
        if let Err(error) = process.stepper.tick_timers() {
            self.setup.ledger.lock().order.relax();
            trace!(self, "timers: {error}");
        }
        Ok(())
    }

    pub(super) fn set_clock(&mut self, now: Millis) {
        self.now = now;
        self.clock.set(now);
        let mut ledger = self.setup.ledger.lock();
        ledger.latest = ledger.latest.max(now);
    }

    /// When something is to happen next, that is known from here.
    pub(super) fn next_due(&self) -> Option<Millis> {
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
        let express = self.process.as_ref().and_then(|process| process.stepper.express_due());
        let jobs = self.jobs_due();
        let accesses = self.accesses.iter().map(|(_, due)| *due);
        timer
            .into_iter()
            .chain(express)
            .chain(accesses)
            .chain(jobs)
            .chain(held)
            .chain(calls)
            .chain(starts)
            .filter(|due| *due > self.now)
            .min()
    }

    pub(super) fn pass_time(&mut self, busy: bool) -> Step {
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
    pub(super) fn begin(&mut self) -> Step {
        let process = self.process.as_mut().expect("it runs");
        if let Some(call) = self.made.first() {
            if !process.pending.iter().any(|pending| pending.call.name() == call.name()) {
                process.call(call.clone());
                trace!(self, "asks for {}", self.made[0].name());
            }
            return Ok(());
        }
        if self.express_left > 0 && self.dice.one_in(3) {
            self.express_left -= 1;
            let call = Call::Express {
                machine: self.dice.pick(&self.express).name.clone(),
                name: format!("e{}", self.dice.roll(3)).into(),
                input: format!("{{\"n\": {}}}", self.dice.roll(100)).into(),
                wait: self.dice.one_in(3),
            };
            trace!(self, "{}", call.name());
            self.process.as_mut().expect("it runs").call(call);
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

    pub(super) fn start_call(&self, number: usize) -> Call {
        let start = &self.workload.starts[number];
        Call::Start {
            start: number,
            machine: self.workload.machines[start.machine].name.clone(),
            name: start.name.as_str().into(),
            input: start.input.as_str().into(),
        }
    }

    /// A worker, or whoever got a callback's token, says something about its task.
    pub(super) fn answer_held(&mut self) -> Step {
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
    pub(super) fn answer_calls(&mut self) -> Step {
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
            None => Ending::With(work::well(&mut self.dice, &live.call.call)),
        };
        if live.call.call.resource.is_job() {
            self.submission_ends(&live.call.call.token, &ending);
        }
        if matches!(ending, Ending::Panic) && !live.call.end.is_closed() {
            self.setup.disk.count(Fault::ConnectorPanic);
        }
        trace!(self, "a service answers {}", live.call.call.state_name);
        // Nobody may wait for it any more.
        let _ = live.call.end.send(ending);
        Ok(())
    }

    /// What clients do that they should not, or need not.
    pub(super) fn disturb(&mut self) -> Step {
        let arns = self.arns();
        let process = self.process.as_mut().expect("it runs");
        match self.dice.roll(13) {
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
            // What failed goes on; once faults end, what goes on must end.
            11 if !arns.is_empty() => {
                let arn = self.dice.pick(&arns).clone();
                let token = self.dice.one_in(2).then(|| format!("token-{}", self.dice.roll(3)).into());
                trace!(self, "redrives {arn}");
                self.setup.ledger.lock().may_redrive = true;
                self.process.as_mut().expect("it runs").call(Call::Redrive { arn, token });
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
            _ => self.quarantined(),
        }
        Ok(())
    }

    pub(super) fn mark_stopped(&mut self, arn: &str) {
        for (start, state) in self.workload.starts.iter().zip(&mut self.starts) {
            let of = execution_arn(&self.workload.machines[start.machine].name, &start.name);
            state.stopped |= of == arn;
        }
    }

    /// An operator looks after an execution in quarantine: one whose start nobody was told of, too.
    pub(super) fn quarantined(&mut self) {
        let ledger = self.setup.ledger.lock();
        let row = ledger.rows.all(Table::Quarantine).next();
        let Some(row) = row.and_then(|(_, row)| records::decode::<QuarantineRow>(Table::Quarantine, row).ok()) else {
            return;
        };
        let arn = row.arn;
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

    pub(super) fn read(&mut self) -> Step {
        if self.calm_since.is_some() {
            self.quarantined();
            return Ok(());
        }
        let arns = self.arns();
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

    /// A sink is told what waits for it. It may take nothing, and whoever told it may not hear that it took something.
    pub(super) fn tell(&mut self) -> Step {
        let calm = self.calm_since.is_some();
        let channel = *self.dice.pick(&[told::LOG, told::STATUS]);
        let at_most = self.dice.between(1, 8) as usize;
        let (takes, hears) = (calm || !self.dice.one_in(4), calm || !self.dice.one_in(4));
        let engine = self.process.as_ref().expect("it runs").engine.clone();
        let notices = engine.waiting_notices(channel, at_most, &|_| true);
        if notices.is_empty() {
            return Ok(());
        }
        // Without threads, reads are done at once.
        let reading = pin!(engine.read_notices(channel, notices));
        let Poll::Ready(Ok(turns)) = reading.poll(&mut Context::from_waker(Waker::noop())) else { return Ok(()) };
        let count = turns.len();
        {
            let mut ledger = self.setup.ledger.lock();
            for turn in &turns {
                told::Book::offered(&ledger.models, channel, turn)?;
                if takes {
                    ledger.told.taken(channel, turn)?;
                }
            }
        }
        if takes && hears {
            let sequences: Vec<u64> = turns.iter().map(|turn| turn.notice.sequence()).collect();
            engine.settle_notices(channel, &sequences, true);
        }
        trace!(self, "channel {channel} is told of {count} turns, takes them: {takes}, is heard: {hears}");
        Ok(())
    }

    /// The store may forget what was told.
    pub(super) fn forget(&mut self) -> Step {
        let process = self.process.as_mut().expect("it runs");
        if !process.pending.iter().any(|pending| matches!(pending.call, Call::ForgetTold)) {
            process.call(Call::ForgetTold);
        }
        Ok(())
    }

    pub(super) fn maintain(&mut self) -> Step {
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
}
