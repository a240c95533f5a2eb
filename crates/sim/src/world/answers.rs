//! What comes back from the engine: replies to clients, tasks for workers, calls of services.

use stepwright_asl::{Pattern, Resource};
use stepwright_engine::Error;
use stepwright_machine::token::Token;

use super::{Live, Step, World};
use crate::{
    check::replies,
    client::{Answer, Call, Reply},
    fault::Fault,
    generate::ECHO,
    report::Tally,
    work::{self, Held, Plan},
    workload::execution_arn,
};

impl World {
    /// Asks for something that is answered from what is stored.
    pub(super) fn ask(&mut self, call: Call) -> Step {
        self.process.as_mut().expect("it runs").call(call);
        self.settle(true)
    }

    /// Takes what comes back: replies to clients, calls to services.
    pub(super) fn settle(&mut self, wakes: bool) -> Step {
        let Some(process) = &mut self.process else { return Ok(()) };
        let replies = process.settle(wakes);
        let new = self.setup.services.take_new();
        for call in &new {
            // Made before anybody heard these replies. One that a crash interrupted begins anew, with the same numbers.
            if let Some(token) = Token::parse(&call.call.token)
                && !call.call.execution_arn.contains(":express:")
            {
                let repeats = self.resend || self.setup.services.repeats(&call.call.resource);
                self.handed.call(token.execution, token.task, repeats && call.call.resent)?;
            }
        }
        for (call, reply) in replies {
            self.replied(&call, reply)?;
        }
        for access in self.datasets.take_new() {
            trace!(self, "a dataset is {}", if access.writes { "written" } else { "read" });
            let due = self.now + work::takes(&mut self.dice);
            self.accesses.push((access, due));
        }
        for call in new {
            if Token::parse(&call.call.token).is_none() {
                continue;
            }
            let is_job = call.call.resource.is_job();
            if is_job {
                self.job_submitted(&call.call)?;
            }
            trace!(self, "a service is called for {}", call.call.state_name);
            let planned = work::call(&mut self.dice, self.now, &call.call);
            if is_job && call.call.input.contains(&*call.call.token)
                || matches!(&call.call.resource, Resource::Integration(i) if i.pattern == Pattern::WaitForTaskToken)
            {
                let held = work::held(&mut self.dice, self.now, call.call.token.clone(), &call.call.input, false);
                self.held.push(held);
            }
            let (ending, due) = planned.map_or((None, 0), |(ending, due)| (Some(ending), due));
            self.live.push(Live { call, ending, due });
        }
        self.take_asked()?;
        self.complaint()
    }

    pub(super) fn replied(&mut self, call: &Call, reply: Reply) -> Step {
        {
            let mut ledger = self.setup.ledger.lock();
            Tally::add(&mut ledger.tally.replies, call.counted(Some(&reply)), 1);
            replies::check(&mut ledger, call, &reply)?;
        }
        match &reply {
            Ok(_) => trace!(self, "{} is answered", call.name()),
            Err(error) => trace!(self, "{} is refused: {error}", call.name()),
        }
        match (call, reply) {
            (Call::CreateMachine(_) | Call::CreateActivity(_), Ok(_))
                if self.made.first().is_some_and(|made| made.name() == call.name()) =>
            {
                self.made.remove(0);
            }
            (Call::Start { start, machine, name, .. }, reply) => {
                let state = &mut self.starts[*start];
                state.asked = false;
                match reply {
                    Ok(_) => state.exists = true,
                    Err(Error::ExecutionAlreadyExists { .. }) => {
                        // By an earlier attempt whose answer was lost, or by one that used its name.
                        let arn = execution_arn(machine, name);
                        state.exists |= self.setup.ledger.lock().is_closed(&arn).is_some();
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
                    let echo = activity == ECHO;
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
                if ledger.is_task_answered(execution, task) {
                    let unseen = ledger.was_quarantined(execution);
                    drop(ledger);
                    self.handed.answered(execution, task, unseen)?;
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
}
