//! Waits and time-outs that the time of the execution does not leave room for.

use super::{Linter, Rule};
use crate::MachineType;
use crate::definition::{NumberField, State, StateKind, WaitUntil};

/// The longest that an EXPRESS execution takes, in seconds.
const EXPRESS_SECONDS: u64 = 300;

impl Linter<'_> {
    pub(super) fn time(&mut self, state: &State) {
        let own = self.definition.timeout_seconds;
        let (limit, whose) = match (self.options.machine_type, own) {
            (MachineType::Express, own) if own.is_none_or(|own| own > EXPRESS_SECONDS) => {
                (Some(EXPRESS_SECONDS), "EXPRESS executions end")
            }
            (_, own) => (own, "the execution times out"),
        };
        let at_most = |seconds: u64| limit.filter(|&limit| seconds >= limit);
        match &state.kind {
            StateKind::Wait(wait) => match wait.until {
                WaitUntil::Seconds(seconds) => {
                    if let Some(limit) = at_most(seconds) {
                        let message = format!("The wait takes {seconds} seconds, but {whose} after {limit}.");
                        self.find(
                            Rule::WaitBeyondTheEnd,
                            state,
                            "Seconds",
                            message,
                            "Shorten the wait, or give the execution more time.",
                        );
                    }
                }
                WaitUntil::Timestamp(until) if self.now_ms.is_some_and(|now| until < now) => {
                    let message = "The time is over: the wait ends at once.";
                    self.find(
                        Rule::WaitInThePast,
                        state,
                        "Timestamp",
                        message,
                        "Correct the time, or take it from the input with TimestampPath.",
                    );
                }
                _ => {}
            },
            StateKind::Task(task) => {
                if let Some(NumberField::Literal(seconds)) = task.timeout_seconds
                    && let Some(limit) = at_most(seconds)
                {
                    let message = format!(
                        "The task may take {seconds} seconds, but {whose} after {limit}, and nothing catches that."
                    );
                    self.find(
                        Rule::TimeoutBeyondTheEnd,
                        state,
                        "TimeoutSeconds",
                        message,
                        "Lower it, so that Retry and Catch have their turn.",
                    );
                }
            }
            _ => {}
        }
    }
}
