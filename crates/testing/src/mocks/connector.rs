//! Answers calls by a configuration, in front of what they would reach.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use stepwright_asl::{Pattern, Resource};
use stepwright_engine::{
    BoxFuture, Connector, ConnectorFailure, Mocks, TaskCall, TaskOutcome, VirtualClock, clock::Clock as _,
};

use super::{Answer, MockConfig, Outcome};

/// Counts of attempts that are kept. They are small, and forgetting old ones only matters to a state that is entered
/// again after as many others.
const COUNTS: usize = 100_000;

/// The attempts of a state in an execution, within items of Maps.
type Attempts = HashMap<(Arc<str>, Arc<str>, Vec<u32>), u32>;

/// The connector.
pub struct MockConnector {
    config: Arc<MockConfig>,
    clock: Arc<VirtualClock>,
    /// Fail what a test case does not answer, instead of calling it.
    answers_all: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    attempts: Attempts,
    /// The ends of jobs that were submitted, by token.
    jobs: HashMap<Arc<str>, Answer>,
}

impl MockConnector {
    /// States that a test case does not answer are called for real.
    #[must_use]
    pub fn new(config: Arc<MockConfig>, clock: Arc<VirtualClock>) -> Self {
        Self { config, clock, answers_all: false, state: Mutex::default() }
    }

    /// States that a test case does not answer fail, and say so.
    #[must_use]
    pub fn instead_of_all(config: Arc<MockConfig>, clock: Arc<VirtualClock>) -> Self {
        Self { answers_all: true, ..Self::new(config, clock) }
    }

    // Nothing under this lock can panic.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which attempt of its state a call is, from 0. After a restart, only the retries of this visit are known.
    fn attempt(&self, call: &TaskCall) -> u32 {
        let key = (call.execution_arn.clone(), call.state_name.clone(), call.items.clone());
        let mut state = self.lock();
        if state.attempts.len() >= COUNTS && !state.attempts.contains_key(&key) {
            state.attempts.clear();
        }
        let next = state.attempts.entry(key).or_insert(0);
        let attempt = call.retry_count.max(*next);
        *next = attempt.saturating_add(1);
        attempt
    }

    /// The answer to an attempt.
    fn answer(&self, call: &TaskCall, attempt: u32) -> Answer {
        let machine = call.state_machine_arn.splitn(7, ':').nth(6).unwrap_or_default();
        let machine = machine.split(['/', ':']).next().unwrap_or_default();
        let case = call.test_case.as_deref().unwrap_or_default();
        let input: Value = serde_json::from_str(&call.input).unwrap_or_default();
        let fail = |error: &str, cause: String| Answer {
            outcome: Outcome::Throw(ConnectorFailure::new(error, cause)),
            delay_ms: 0,
        };
        let Some(responses) = self.config.case(machine, case).and_then(|case| case.get(&*call.state_name)) else {
            return fail(NOT_MOCKED, not_mocked(call));
        };
        responses.choose(attempt, &call.items, &input).cloned().unwrap_or_else(|| {
            let items = match call.items.as_slice() {
                [] => String::new(),
                items => format!(", Map item {items:?}"),
            };
            let cause = format!(
                "The test case {case} of {machine} has no mocked response for attempt {attempt} of the state {}{items}. \
                 Its input was {}",
                call.state_name, call.input
            );
            fail("States.Runtime", cause)
        })
    }
}

/// The error of a call that a test does not answer.
const NOT_MOCKED: &str = "Stepwright.NotMocked";

fn not_mocked(call: &TaskCall) -> String {
    let arn = match &call.resource {
        Resource::LambdaFunction { arn } | Resource::Activity { arn } => arn,
        Resource::Integration(integration) => &integration.arn,
    };
    format!("The state {} calls {arn}, and its test has no mock for it. It would send {}", call.state_name, call.input)
}

fn pattern(resource: &Resource) -> Pattern {
    match resource {
        Resource::Integration(integration) => integration.pattern,
        Resource::LambdaFunction { .. } | Resource::Activity { .. } => Pattern::RequestResponse,
    }
}

/// What a call comes to once its time is over. `stays_open`: what never ends was submitted.
async fn come_to(clock: Arc<VirtualClock>, answer: Answer, stays_open: bool) -> TaskOutcome {
    if answer.delay_ms > 0 {
        let until = clock.now().saturating_add(answer.delay_ms);
        clock.sleep_until(until).await;
    }
    match answer.outcome {
        Outcome::Return(text) => TaskOutcome::Succeeded(text),
        Outcome::Throw(failure) => TaskOutcome::Failed(failure),
        Outcome::Never if stays_open => TaskOutcome::Submitted("{}".into()),
        Outcome::Never => std::future::pending().await,
    }
}

impl Connector for MockConnector {
    fn name(&self) -> &'static str {
        "mocks"
    }

    fn accepts(&self, _: &Resource) -> bool {
        false
    }

    fn lost_error(&self, _: &Resource) -> ConnectorFailure {
        ConnectorFailure::new("States.Runtime", "The answer of a mock was lost.")
    }

    fn repeats(&self, _: &Resource) -> bool {
        true
    }

    fn within(&self, _: &TaskCall) -> bool {
        true
    }

    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let attempt = self.attempt(&task);
        let answer = self.answer(&task, attempt);
        match pattern(&task.resource) {
            Pattern::RequestResponse => Box::pin(come_to(self.clock.clone(), answer, false)),
            Pattern::WaitForTaskToken => Box::pin(come_to(self.clock.clone(), answer, true)),
            Pattern::Sync | Pattern::Sync2 => {
                let submitted = match &answer.outcome {
                    Outcome::Return(text) => text.clone(),
                    Outcome::Throw(_) | Outcome::Never => "{}".into(),
                };
                self.lock().jobs.insert(task.token, answer);
                Box::pin(async { TaskOutcome::Submitted(submitted) })
            }
        }
    }

    fn follow(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let kept = self.lock().jobs.remove(&task.token);
        // One that was submitted before a restart was the last attempt of this visit.
        let answer = kept.unwrap_or_else(|| self.answer(&task, task.retry_count));
        Box::pin(come_to(self.clock.clone(), answer, false))
    }
}

impl Mocks for MockConnector {
    fn answers(&self, machine: &str, case: &str, state: &str) -> bool {
        self.answers_all || self.config.case(machine, case).is_some_and(|case| case.contains_key(state))
    }
}
