//! TestState: one state, run as an execution would run it, without a state machine or an execution.
//!
//! The data flow is the interpreter's own ([`stepwright_machine::inspect`]); what a task is answered comes from a mock or
//! from the engine's connectors. Definitions are parsed and expressions evaluated on threads apart, so that no test is in
//! anybody's way; nothing is stored.

mod answer;
mod context;
mod mock;
mod schema;
mod setup;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use stepwright_api::{
    ApiError, ErrorCode, RequestContext,
    arn::check_role_arn,
    types::{InspectionLevel, TestStateInput, TestStateOutput},
};
use stepwright_asl::StateKind;
use stepwright_engine::{
    TaskCall, TaskOutcome,
    clock::{Clock as _, SystemClock},
};
use stepwright_machine::{Failure, Payload, frame::OpenTask, inspect::Standing, token};
use tokio::{sync::Semaphore, time::Instant};

use self::setup::Test;
use super::{Call, executions::check_input};
use crate::errors::{to_api, validation};

/// How long a test may take (AWS: documented).
const LASTS: Duration = Duration::from_mins(5);

/// Tests at once: the size of AWS's own bucket. Some take minutes, and whoever does regular work shall not wait for them.
const AT_ONCE: usize = 50;

/// Threads for tests at least. They have a low priority, so that one that takes minutes is in the way of the others and of
/// nobody else; hence some more than cores to spare.
const FEW_THREADS: usize = 4;

/// What all tests of a server share.
#[derive(Debug)]
pub(crate) struct Tests {
    open: Semaphore,
    threads: Semaphore,
}

impl Default for Tests {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self { open: Semaphore::new(AT_ONCE), threads: Semaphore::new((cores / 2).max(FEW_THREADS)) }
    }
}

/// Tells what is being evaluated that nobody waits for it any more.
struct Waiting(Arc<AtomicBool>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) async fn test_state(
    call: &Call<'_>,
    context: &RequestContext,
    input: TestStateInput,
) -> Result<TestStateOutput, ApiError> {
    check(&input)?;
    let throttled = |_| ApiError::new(ErrorCode::ThrottlingException, "Rate exceeded");
    let _open = call.service.tests().open.try_acquire().map_err(throttled)?;
    let waiting = Waiting(Arc::new(AtomicBool::new(false)));
    let deadline = Instant::now() + LASTS;
    let shown = input.input.clone().unwrap_or_else(|| "{}".to_owned());
    let level = input.inspection_level.unwrap_or(InspectionLevel::Info);
    let surroundings = setup::Surroundings {
        engine: call.engine(),
        limits: call.service.limits(),
        context: context.clone(),
        given_up: waiting.0.clone(),
    };
    match tokio::time::timeout_at(deadline, run(call, surroundings, input, deadline)).await {
        Ok(answered) => answered,
        Err(_) => Ok(answer::timed_out(shown, level)),
    }
}

/// What can be said of a request without looking into its texts.
fn check(input: &TestStateInput) -> Result<(), ApiError> {
    if let Some(role) = &input.role_arn {
        check_role_arn(role)?;
    }
    let fails = input.state_configuration.as_ref().and_then(|given| given.map_iteration_failure_count);
    match &input.mock {
        Some(mock) => {
            // One of the two, neither more nor less.
            if mock.result.is_some() == mock.error_output.is_some() {
                let message = "A test mock should have only one of the following fields: [result, errorOutput].";
                return Err(validation(message));
            }
            if input.reveal_secrets == Some(true) {
                return Err(validation("TestState does not support RevealSecrets when a mock is specified."));
            }
        }
        None => {
            let message = |what: &str| format!("TestState does not support {what} when a mock is not specified.");
            if fails.is_some() {
                return Err(validation(message("MapIterationFailureCount")));
            }
            if input.context.is_some() {
                return Err(validation(message("Context")));
            }
        }
    }
    check_input(input.input.as_deref().unwrap_or("{}"))
}

async fn run(
    call: &Call<'_>,
    surroundings: setup::Surroundings,
    input: TestStateInput,
    deadline: Instant,
) -> Result<TestStateOutput, ApiError> {
    let mut test = evaluate(call, move || setup::begin(input, surroundings)).await??;
    loop {
        match test.inspection.standing() {
            Standing::Ended(verdict) => return Ok(test.answer(verdict)),
            Standing::Waiting(due) => {
                let left = u64::try_from(due.saturating_sub(SystemClock.now())).unwrap_or(0);
                let until = Instant::now() + Duration::from_millis(left);
                if until > deadline {
                    // What will become of it is known now.
                    return Ok(answer::timed_out(test.input, test.level));
                }
                tokio::time::sleep_until(until).await;
                test = evaluate(call, move || {
                    test.inspection.wake(due);
                    test
                })
                .await?;
            }
            Standing::Task(open) => test = answered(call, test, &open).await?,
            Standing::Container => unreachable!("branches and iterations are mocked from the beginning"),
        }
    }
}

/// Calls what a task calls, and goes on with what came of it.
async fn answered(call: &Call<'_>, mut test: Test, open: &OpenTask) -> Result<Test, ApiError> {
    let StateKind::Task(task) = &test.inspection.state().kind else { unreachable!("only Task states have tasks") };
    let info = test.inspection.info();
    let task = TaskCall {
        resource: task.resource.clone(),
        input: open.input.text().clone(),
        task_role_arn: open.role_arn.clone(),
        role_arn: info.role_arn.clone(),
        account: test.account.clone(),
        region: test.region.clone(),
        execution_arn: info.arn.clone(),
        state_machine_arn: info.state_machine_arn.clone(),
        state_name: test.inspection.state().name.clone(),
        token: token::issue(info, open.task).into(),
        timeout_seconds: open.timeout_seconds,
        retry_count: test.retries,
        started_at: SystemClock.now(),
        resent: false,
        test_case: None,
        items: Vec::new(),
    };
    // Longer than the test may take, if the state does not say.
    let limit = open.timeout_seconds.map_or(LASTS * 2, Duration::from_secs);
    let outcome = tokio::time::timeout(limit, call.engine().call_resource(task)).await;
    let outcome = outcome.map(|outcome| outcome.map_err(to_api)).ok().transpose()?;
    evaluate(call, move || {
        let now = SystemClock.now();
        match outcome {
            None => test.inspection.time_out(now),
            Some(TaskOutcome::Succeeded(text) | TaskOutcome::Submitted(text)) => {
                test.inspection.succeed(Payload::new(text), now);
            }
            Some(TaskOutcome::Failed(failure)) => {
                test.inspection.fail(Failure { error: failure.error, cause: failure.cause }, now);
            }
        }
        test
    })
    .await
}

/// Does on a thread apart what may take long.
async fn evaluate<T: Send + 'static>(
    call: &Call<'_>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let _one = call.service.tests().threads.acquire().await.expect("never closed");
    call.engine().evaluate(work).await.map_err(to_api)
}
