//! What workers and services do with the tasks that they are given: the dice decide for each attempt. Nothing here
//! touches the engine.

use std::sync::Arc;

use stepwright_asl::{Pattern, Resource};
use stepwright_engine::{ConnectorFailure, TaskCall, TaskOutcome};
use stepwright_machine::Millis;

use crate::{generate::ECHO, script::Ending, workload::Dice};

/// How a task goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Succeed,
    Fail,
    /// Nobody answers.
    Forget,
}

/// A task token in the hands of someone outside.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) token: Arc<str>,
    pub(crate) output: Arc<str>,
    pub(crate) plan: Plan,
    pub(crate) beats: u64,
    pub(crate) due: Millis,
}

/// Error names that tasks fail with.
const ERRORS: [&str; 4] = ["Refused", "Broken", "Lambda.TooManyRequestsException", "Never seen"];

pub(crate) fn error_name(dice: &mut Dice) -> &'static str {
    ERRORS[dice.index(ERRORS.len())]
}

fn plan(dice: &mut Dice) -> Plan {
    match dice.roll(20) {
        0..=13 => Plan::Succeed,
        14..=17 => Plan::Fail,
        _ => Plan::Forget,
    }
}

/// Time that a task takes.
pub(crate) fn takes(dice: &mut Dice) -> Millis {
    let most = *dice.pick(&[1, 50, 500, 3_000]);
    dice.roll(most) as Millis
}

/// What becomes of a task that someone outside has the token of.
pub(crate) fn held(dice: &mut Dice, now: Millis, token: Arc<str>, input: &Arc<str>, echo: bool) -> Held {
    let output = if echo || dice.one_in(2) { input.clone() } else { result(dice) };
    let beats = if dice.one_in(4) { dice.between(1, 4) } else { 0 };
    Held { token, output, plan: plan(dice), beats, due: now + takes(dice) }
}

fn result(dice: &mut Dice) -> Arc<str> {
    let number = dice.roll(100);
    match dice.roll(4) {
        0 => format!("{{\"n\":{number},\"of\":[1,\"two\",null]}}").into(),
        1 => format!("[{number},{{\"a\":{{\"b\":true}}}}]").into(),
        2 => format!("\"a text of {number}\"").into(),
        _ => "{}".into(),
    }
}

/// A call's end, and when it comes; none: nobody answers.
pub(crate) fn call(dice: &mut Dice, now: Millis, call: &TaskCall) -> Option<(Ending, Millis)> {
    let due = now + takes(dice);
    let waits = matches!(&call.resource, Resource::Integration(i) if i.pattern != Pattern::RequestResponse);
    let ending = match plan(dice) {
        Plan::Forget => return None,
        Plan::Fail if dice.one_in(6) => Ending::Panic,
        Plan::Fail => Ending::With(TaskOutcome::Failed(ConnectorFailure::new(error_name(dice), "as decided"))),
        Plan::Succeed if dice.one_in(60) => Ending::With(TaskOutcome::Succeeded("no JSON".into())),
        Plan::Succeed if waits => Ending::With(TaskOutcome::Submitted("{\"StatusCode\":202}".into())),
        Plan::Succeed => Ending::With(TaskOutcome::Succeeded(answer(dice, call))),
    };
    Some((ending, due))
}

/// How a call ends when all is well.
pub(crate) fn well(dice: &mut Dice, call: &TaskCall) -> TaskOutcome {
    let answer = answer(dice, call);
    if call.resource.is_job() { TaskOutcome::Submitted(answer) } else { TaskOutcome::Succeeded(answer) }
}

/// What a service answers when all is well.
pub(crate) fn answer(dice: &mut Dice, call: &TaskCall) -> Arc<str> {
    match &call.resource {
        Resource::Integration(integration) if integration.pattern == Pattern::WaitForTaskToken => {
            "{\"StatusCode\":202}".into()
        }
        Resource::Integration(_) => {
            let payload = result(dice);
            format!("{{\"ExecutedVersion\":\"$LATEST\",\"Payload\":{payload},\"StatusCode\":200}}").into()
        }
        resource if is_echo(resource) || dice.one_in(2) => call.input.clone(),
        _ => result(dice),
    }
}

fn is_echo(resource: &Resource) -> bool {
    matches!(resource, Resource::LambdaFunction { arn } if arn.split(':').nth(6) == Some(ECHO))
}
