//! Jobs outside: services begin them when they are submitted, or a little later; they end by themselves, or when they are
//! asked to. Whoever follows one hears of its end.

use std::sync::Arc;

use stepwright_engine::{ConnectorFailure, TaskCall, TaskOutcome};
use stepwright_machine::{ExecutionId, Millis, token::Token};

use super::{Step, World};
use crate::{
    check::jobs::Book,
    fault::Fault,
    script::{Ending, JobCall, JobEnd},
    work,
};

/// A follower or an end that is asked for.
pub(super) struct Asked {
    call: JobCall,
    due: Millis,
}

/// A job that runs until then; none: for as long as nobody ends it.
pub(super) struct Running {
    token: Arc<str>,
    until: Option<Millis>,
}

impl World {
    fn model_of(token: &str) -> Option<ExecutionId> {
        Token::parse(token).map(|token| token.execution)
    }

    /// A job is submitted. It may begin before that is answered.
    pub(super) fn job_submitted(&mut self, call: &TaskCall) -> Step {
        {
            let mut ledger = self.setup.ledger.lock();
            let ledger = &mut *ledger;
            let model = Self::model_of(&call.token).and_then(|id| ledger.models.get(&id));
            ledger.jobs.submitted(&call.token, call.resent, model)?;
        }
        trace!(self, "the job of {} is submitted", call.token);
        if self.dice.one_in(2) {
            self.job_begins(&call.token);
        }
        Ok(())
    }

    pub(super) fn job_begins(&mut self, token: &Arc<str>) {
        if !self.setup.ledger.lock().jobs.begins(token) {
            return;
        }
        let until = if self.dice.one_in(2) { Some(self.now + 4 * work::takes(&mut self.dice)) } else { None };
        trace!(self, "the job of {token} begins");
        self.jobs.push(Running { token: token.clone(), until });
    }

    /// How the submission of a job is answered: what says that there is one is true.
    pub(super) fn submission_ends(&mut self, token: &Arc<str>, ending: &Ending) {
        match ending {
            // An earlier submission may have succeeded all the same.
            Ending::With(TaskOutcome::Failed(_)) if self.setup.ledger.lock().jobs.was_repeated(token) => {}
            Ending::With(TaskOutcome::Failed(_)) => {
                self.jobs.retain(|job| job.token != *token);
                self.setup.ledger.lock().jobs.ended(token);
            }
            Ending::With(_) => self.job_begins(token),
            Ending::Panic if self.dice.one_in(2) => self.job_begins(token),
            Ending::Panic => {}
        }
    }

    /// Takes what is asked about jobs.
    pub(super) fn take_asked(&mut self) -> Step {
        for call in self.setup.services.take_asked() {
            let token = call.call.token.clone();
            let ledger = self.setup.ledger.lock();
            let model = Self::model_of(&token).and_then(|id| ledger.models.get(&id));
            match call.end {
                JobEnd::Follow(_) => Book::followed(&token, model)?,
                JobEnd::Cancel(_) => Book::is_to_end(&token, model)?,
            }
            drop(ledger);
            trace!(self, "the job of {token} is {}", call.end.name());
            let due = self.now + work::takes(&mut self.dice);
            self.asked.push(Asked { call, due });
        }
        Ok(())
    }

    /// Whether something about jobs can happen now.
    pub(super) fn jobs_move(&self) -> bool {
        let calm = self.calm_since.is_some();
        self.jobs.iter().any(|job| job.until.is_some_and(|until| until <= self.now))
            || self.asked.iter().any(|asked| calm || asked.due <= self.now)
    }

    /// When something about jobs is to happen.
    pub(super) fn jobs_due(&self) -> Option<Millis> {
        let ends = self.jobs.iter().filter_map(|job| job.until);
        ends.chain(self.asked.iter().map(|asked| asked.due)).filter(|due| *due > self.now).min()
    }

    /// A job ends by itself, whoever follows one hears of it, or one that is asked to end does.
    pub(super) fn move_jobs(&mut self) -> Step {
        let now = self.now;
        if let Some(at) = self.jobs.iter().position(|job| job.until.is_some_and(|until| until <= now)) {
            let job = self.jobs.remove(at);
            self.setup.ledger.lock().jobs.ends(&job.token);
            trace!(self, "the job of {} ends", job.token);
            return Ok(());
        }
        let calm = self.calm_since.is_some();
        self.asked.retain(|asked| !asked.call.end.is_closed());
        let due: Vec<usize> = (0..self.asked.len()).filter(|at| calm || self.asked[*at].due <= now).collect();
        if due.is_empty() {
            return Ok(());
        }
        let Asked { call, .. } = self.asked.remove(*self.dice.pick(&due));
        let token = call.call.token.clone();
        match call.end {
            JobEnd::Follow(end) => {
                let has_ended = self.setup.ledger.lock().jobs.has_ended(&token);
                if !has_ended && calm {
                    // Nothing lasts for ever that somebody waits for.
                    self.jobs.retain(|job| job.token != token);
                    self.setup.ledger.lock().jobs.ends(&token);
                } else if !has_ended {
                    let later = now + 500;
                    let call = JobCall { call: call.call, end: JobEnd::Follow(end) };
                    self.asked.push(Asked { call, due: later });
                    return Ok(());
                }
                let ending = match self.dice.roll(40) {
                    0 if !calm => Ending::Panic,
                    1..=9 => {
                        let failure = ConnectorFailure::new(work::error_name(&mut self.dice), "the job failed");
                        Ending::With(TaskOutcome::Failed(failure))
                    }
                    _ => Ending::With(TaskOutcome::Succeeded(work::answer(&mut self.dice, &call.call))),
                };
                trace!(self, "whoever follows the job of {token} hears of its end");
                // Nobody may wait for it any more.
                let _ = end.send(ending);
            }
            JobEnd::Cancel(end) => {
                let does = calm || !self.dice.one_in(4);
                let hears = calm || !self.dice.one_in(4);
                if does {
                    self.jobs.retain(|job| job.token != token);
                    self.setup.ledger.lock().jobs.ended(&token);
                }
                trace!(self, "the job of {token} is asked to end: it does {does}, that is heard {hears}");
                let failure = || ConnectorFailure::new("Throttled", "as decided");
                let answer = match does && hears {
                    true => Some(Ok(())),
                    false if self.dice.one_in(6) => None,
                    false => Some(Err(failure())),
                };
                if answer.is_none() {
                    self.setup.disk.count(Fault::ConnectorPanic);
                }
                let _ = end.send(answer);
            }
        }
        Ok(())
    }

    /// The server died. What it had asked for may still come about.
    pub(super) fn jobs_alone(&mut self) {
        self.asked.clear();
        drop(self.setup.services.take_asked());
        let submissions: Vec<Arc<str>> = self
            .live
            .iter()
            .filter(|live| live.call.call.resource.is_job())
            .map(|live| live.call.call.token.clone())
            .collect();
        for token in submissions {
            if self.dice.one_in(3) {
                self.job_begins(&token);
            }
        }
    }
}
