//! Tasks that go wrong sooner or later: nobody answers, nobody tries again, nobody can answer.

use super::errors::{catchers, retriers};
use super::{Linter, Rule};
use crate::definition::{State, StateKind, Task};
use crate::json::{Node, NodeValue};
use crate::resource::{Pattern, Resource};

/// What AWS Lambda itself fails with now and then.
const LAMBDA_FAULTS: [&str; 4] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
];

impl Linter<'_> {
    pub(super) fn task(&mut self, state: &State) {
        let StateKind::Task(task) = &state.kind else { return };
        let waits = match &task.resource {
            Resource::Activity { .. } => Some("a worker"),
            Resource::Integration(integration) => match integration.pattern {
                Pattern::WaitForTaskToken => Some("a callback"),
                Pattern::Sync | Pattern::Sync2 => Some("a job"),
                Pattern::RequestResponse => None,
            },
            Resource::LambdaFunction { .. } => None,
        };
        if let Some(whom) = waits {
            self.waiting(state, task, whom);
        }
        if is_lambda(&task.resource) {
            self.lambda(state);
        }
        let callback = matches!(&task.resource, Resource::Integration(integration)
            if integration.pattern == Pattern::WaitForTaskToken);
        if callback && !gives_token(self.node(state)) {
            self.find(
                Rule::CallbackWithoutToken,
                state,
                "",
                "The task waits for its token to come back, but gives it to nobody.",
                "Pass $$.Task.Token in Parameters, or {% $states.context.Task.Token %} in Arguments.",
            );
        }
    }

    fn waiting(&mut self, state: &State, task: &Task, whom: &str) {
        if task.timeout_seconds.is_none() && task.heartbeat_seconds.is_none() {
            let message = format!("The task waits for {whom}, for up to a year if need be.");
            self.find(Rule::TaskWithoutTimeout, state, "", message, "Set TimeoutSeconds or HeartbeatSeconds.");
        }
        if retriers(&state.kind).is_empty() && catchers(&state.kind).is_empty() && !self.is_caught_outside(state) {
            let message = format!("The task waits for {whom}, and if that fails, so does the execution.");
            self.find(Rule::TaskWithoutErrorHandling, state, "", message, "Add a Retry or a Catch, here or around it.");
        }
    }

    /// Whether a Parallel or Map around the state retries or catches.
    fn is_caught_outside(&self, state: &State) -> bool {
        let mut flow = state.flow;
        while let Some(owner) = self.definition.flow(flow).owner {
            let owner = self.definition.state(owner);
            if !retriers(&owner.kind).is_empty() || !catchers(&owner.kind).is_empty() {
                return true;
            }
            flow = owner.flow;
        }
        false
    }

    fn lambda(&mut self, state: &State) {
        let covered = |fault: &str| {
            let mut names = retriers(&state.kind)
                .iter()
                .filter(|retrier| retrier.max_attempts > 0)
                .flat_map(|retrier| &retrier.error_equals);
            names.any(|name| [fault, "States.ALL", "States.TaskFailed"].contains(&&**name))
        };
        let missing: Vec<&str> = LAMBDA_FAULTS.into_iter().filter(|fault| !covered(fault)).collect();
        if !missing.is_empty() {
            let message =
                format!("The function is not called again after {}, which pass by themselves.", missing.join(", "));
            self.find(
                Rule::LambdaWithoutRetry,
                state,
                "",
                message,
                "Add a Retry for these errors, with a few seconds of IntervalSeconds and BackoffRate 2.",
            );
        }
    }
}

pub(super) fn is_lambda(resource: &Resource) -> bool {
    match resource {
        Resource::LambdaFunction { .. } => true,
        Resource::Integration(integration) => &*integration.resource_type == "lambda",
        Resource::Activity { .. } => false,
    }
}

/// Whether any text of a state could carry the token.
fn gives_token(node: &Node) -> bool {
    match &node.value {
        NodeValue::String(text) => {
            ["$$.Task", "$$['Task", "$states.context", "$states}", "$states)"].iter().any(|part| text.contains(part))
                || ["$$", "{% $states %}"].contains(&text.as_str())
        }
        NodeValue::Array(items) => items.iter().any(gives_token),
        NodeValue::Object(members) => members.iter().any(|member| gives_token(&member.value)),
        _ => false,
    }
}
