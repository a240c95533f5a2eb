//! Task states: one attempt from its Scheduled event to its end. What is sent where is the engine's business.

use std::sync::Arc;

use serde_json::Value;
use stepwright_asl::{Credentials, Integration, NumberField, Pattern, QueryLanguage, Resource, State, StateKind, Task};
use stepwright_querylang::{EvaluationError, Scope};

use super::refer;
use crate::{
    data_flow::Data,
    effects::{Command, ScheduleTask, SentTask, TimerKind},
    error_handling::{Class, Raised, too_large},
    frame::{EarlyAnswer, OpenTask, Position, TaskStage, Work},
    history::{EventKind, Failure},
    id::{FrameId, TaskId},
    input::InputKind,
    jsonata,
    payload::Payload,
    step::{Run, Turn, seconds_to_millis},
};

/// The longest time-out and heartbeat.
const MAX_SECONDS: u64 = 99_999_999;

impl<'a> Turn<'a> {
    pub(crate) fn begin_task(&mut self, id: FrameId, state: &'a State, task: &'a Task) -> Result<Run, Raised> {
        let number = self.next_number();
        let open = self.prepare_task(id, state, task, TaskId { frame: id, number })?;
        self.visit_mut(id).work = Work::Task(open);
        match &task.resource {
            Resource::Activity { arn } => {
                let task = TaskId { frame: id, number };
                self.effects.commands.push(Command::FindActivity { task, arn: arn.clone() });
                Ok(Ok(()))
            }
            Resource::LambdaFunction { .. } | Resource::Integration(_) => Ok(self.schedule_task(id, state)),
        }
    }

    /// Evaluates everything that an attempt needs.
    fn prepare_task(&mut self, id: FrameId, state: &State, task: &Task, number: TaskId) -> Result<OpenTask, Raised> {
        let raw = self.visit(id).input.clone();
        let mut environment = self.environment(id);
        if has_token(&task.resource) {
            environment = environment.with_task(number);
        }
        let failed = |error: EvaluationError| self.evaluation_failed(id, &error);
        let base = match state.query_language {
            QueryLanguage::JsonPath => self.input(state, &raw, &environment).map_err(failed)?,
            QueryLanguage::Jsonata => Data::Same(raw.clone()),
        };
        let timeout_seconds = self.seconds(id, task.timeout_seconds.as_ref(), base.value(), "TimeoutSeconds")?;
        let heartbeat_seconds = self.seconds(id, task.heartbeat_seconds.as_ref(), base.value(), "HeartbeatSeconds")?;
        let role_arn = match &task.credentials {
            None => None,
            Some(Credentials::Jsonata(template)) => {
                let credentials = template.evaluate(&jsonata::scope(&environment, raw.value()));
                let credentials = credentials.map_err(|failure| self.query_failed(id, failure))?;
                Some(self.role(id, &credentials)?)
            }
            Some(Credentials::JsonPath(template)) => {
                let scope = Scope { input: base.value(), environment: &environment };
                let credentials = template.evaluate(&scope).map_err(failed)?;
                Some(self.role(id, &credentials)?)
            }
        };
        let effective = match state.query_language {
            QueryLanguage::JsonPath => self.effective_input(state, &raw, &environment).map_err(failed)?,
            QueryLanguage::Jsonata => self.arguments(id, &state.jsonata, &raw, &environment)?,
        };
        let sent = match &task.resource {
            Resource::Integration(integration) => self.parameters(id, integration, effective)?,
            Resource::LambdaFunction { .. } | Resource::Activity { .. } => effective,
        };
        drop(environment);
        let input = self.limited(id, sent)?;
        let stage = TaskStage::Finding;
        Ok(OpenTask {
            task: number,
            stage,
            timeout_seconds,
            heartbeat_seconds,
            input,
            role_arn,
            timeout: None,
            heartbeat: None,
            early_answer: None,
        })
    }

    fn role(&self, id: FrameId, credentials: &Value) -> Result<Arc<str>, Raised> {
        let role = credentials.get("RoleArn").and_then(Value::as_str).map(Arc::from);
        role.ok_or_else(|| self.runtime_error(id, "The field 'RoleArn' of Credentials must be a string"))
    }

    /// What an optimized integration is sent: the parameters that it knows, all required ones among them.
    fn parameters(&self, id: FrameId, integration: &Integration, effective: Data) -> Result<Data, Raised> {
        let unusable = |problem: String| {
            let message =
                format!("The Parameters '{}' could not be used to start the Task: [{problem}]", effective.value());
            self.runtime_error(id, &message)
        };
        let Value::Object(given) = effective.value() else {
            return Err(unusable("The value must be an object".into()));
        };
        if let Some(missing) = integration.required.iter().find(|name| !given.contains_key(**name)) {
            return Err(unusable(format!("The field '{missing}' is required but was missing")));
        }
        match integration.parameters {
            Some(known) if given.keys().any(|name| !known.contains(&name.as_str())) => {
                let kept = given.iter().filter(|(name, _)| known.contains(&name.as_str()));
                Ok(Data::New(Value::Object(kept.map(|(name, value)| (name.clone(), value.clone())).collect())))
            }
            _ => Ok(effective),
        }
    }

    fn seconds(
        &self,
        id: FrameId,
        field: Option<&NumberField<u64>>,
        input: &Value,
        name: &str,
    ) -> Result<Option<u64>, Raised> {
        match field {
            None => Ok(None),
            Some(NumberField::Literal(seconds)) => Ok(Some(*seconds)),
            Some(NumberField::Jsonata(expression)) => {
                self.query_integer(id, expression, (1, MAX_SECONDS), &self.environment(id)).map(Some)
            }
            Some(NumberField::Path(path)) => {
                let environment = self.environment(id);
                let value = refer(path, input, &environment).map_err(|error| self.evaluation_failed(id, &error))?;
                match value.as_u64() {
                    Some(seconds) if (1..=MAX_SECONDS).contains(&seconds) => Ok(Some(seconds)),
                    _ => {
                        let message = format!(
                            "The {name}Path parameter must reference an integer from 1 to {MAX_SECONDS}: {} == {value}",
                            path.text()
                        );
                        Err(self.runtime_error(id, &message))
                    }
                }
            }
        }
    }

    /// Writes the Scheduled event and asks for the task to be queued.
    fn schedule_task(&mut self, id: FrameId, state: &'a State) -> Run {
        let open = self.open_task(id).clone();
        let (timeout, heartbeat) = (open.timeout_seconds, open.heartbeat_seconds);
        let (input, role_arn) = (open.input.clone(), open.role_arn.clone());
        let number = state.id.0;
        let resource = &task_of(state).resource;
        let kind = match resource {
            Resource::Activity { .. } => EventKind::ActivityScheduled { state: number, input, timeout, heartbeat },
            Resource::LambdaFunction { .. } => {
                EventKind::LambdaFunctionScheduled { state: number, input, timeout, role_arn }
            }
            Resource::Integration(_) => {
                EventKind::TaskScheduled { state: number, parameters: input, timeout, heartbeat, role_arn }
            }
        };
        self.chain(id, kind)?;
        self.open_task_mut(id).stage = TaskStage::Scheduled;
        // An activity's clock starts when a worker has the task.
        if !matches!(resource, Resource::Activity { .. }) {
            self.start_timeout(id);
        }
        self.effects.commands.push(Command::ScheduleTask(ScheduleTask {
            task: open.task,
            state: state.id,
            input: open.input,
            role_arn: open.role_arn,
            timeout_seconds: timeout,
        }));
        Ok(())
    }

    fn start_timeout(&mut self, id: FrameId) {
        if let Some(seconds) = self.open_task(id).timeout_seconds {
            let due = self.now().saturating_add(seconds_to_millis(seconds));
            let timer = self.set_timer(id, due, TimerKind::TaskTimeout);
            self.open_task_mut(id).timeout = Some(timer);
        }
    }

    fn start_heartbeat(&mut self, id: FrameId) {
        if let Some(seconds) = self.open_task(id).heartbeat_seconds {
            let due = self.now().saturating_add(seconds_to_millis(seconds));
            let timer = self.set_timer(id, due, TimerKind::Heartbeat);
            self.open_task_mut(id).heartbeat = Some(timer);
        }
    }

    /// A full heartbeat period from now. Nothing, if the task has no heartbeat running.
    pub(crate) fn renew_heartbeat(&mut self, id: FrameId) {
        let Some(running) = self.open_task_mut(id).heartbeat.take() else { return };
        self.cancel_timer(Some(running));
        self.start_heartbeat(id);
    }

    pub(crate) fn activity_found(&mut self, task: TaskId) -> Run {
        let state = self.state_of(task.frame);
        self.schedule_task(task.frame, state)
    }

    pub(crate) fn activity_missing(&mut self, task: TaskId) -> Run {
        let state = self.state_of(task.frame);
        let Resource::Activity { arn } = &task_of(state).resource else {
            unreachable!("only activities are looked for")
        };
        let raised = self.runtime_error(task.frame, &format!("The activity {arn} does not exist."));
        self.raise(task.frame, raised)
    }

    pub(crate) fn task_started(&mut self, task: TaskId, worker_name: Option<Arc<str>>) -> Run {
        let id = task.frame;
        let state = self.state_of(id);
        let kind = match &task_of(state).resource {
            Resource::Activity { .. } => EventKind::ActivityStarted { worker_name },
            Resource::LambdaFunction { .. } => EventKind::LambdaFunctionStarted,
            Resource::Integration(_) => EventKind::TaskStarted { state: state.id.0 },
        };
        self.chain(id, kind)?;
        self.open_task_mut(id).stage = TaskStage::Started;
        if matches!(task_of(state).resource, Resource::Activity { .. }) {
            self.start_timeout(id);
            self.start_heartbeat(id);
        }
        Ok(())
    }

    pub(crate) fn task_submitted(&mut self, task: TaskId, output: Payload) -> Run {
        let id = task.frame;
        let state = self.state_of(id);
        self.chain(id, EventKind::TaskSubmitted { state: state.id.0, output })?;
        self.submit_is_over(task)
    }

    /// From now on, a callback's answer ends the task; one that came before does so now.
    pub(crate) fn submit_is_over(&mut self, task: TaskId) -> Run {
        let id = task.frame;
        let open = self.open_task_mut(id);
        open.stage = TaskStage::Submitted;
        match open.early_answer.take().map(|answer| *answer) {
            Some(EarlyAnswer::Succeeded(output)) => self.task_succeeded(task, output),
            Some(EarlyAnswer::Failed(failure)) => self.task_failed(task, failure),
            None => {
                self.start_heartbeat(id);
                Ok(())
            }
        }
    }

    /// The submit call failed: so does the task, unless whoever got the token has answered it.
    pub(crate) fn submit_failed(&mut self, task: TaskId, failure: Failure) -> Run {
        if self.is_answered(task) {
            return self.submit_is_over(task);
        }
        let state = self.state_of(task.frame);
        self.task_ended_badly(task.frame, state, Raised::reported(Class::Task, failure), true)
    }

    /// Whether a task has a callback's answer that waits for the submit call's.
    pub(crate) fn is_answered(&self, task: TaskId) -> bool {
        self.task_is_open(task) && self.open_task(task.frame).early_answer.is_some()
    }

    /// Whether an answer is a callback's that overtook the submit call's: the events keep their order.
    fn is_early(&self, id: FrameId) -> bool {
        self.open_task(id).stage == TaskStage::Started && is_submitted(&task_of(self.state_of(id)).resource)
    }

    fn hold(&mut self, id: FrameId, answer: EarlyAnswer) {
        let open = self.open_task_mut(id);
        open.early_answer = Some(Box::new(answer));
        for timer in [open.timeout.take(), open.heartbeat.take()] {
            self.cancel_timer(timer);
        }
    }

    pub(crate) fn task_succeeded(&mut self, task: TaskId, output: Payload) -> Run {
        let id = task.frame;
        let state = self.state_of(id);
        let resource = &task_of(state).resource;
        if self.is_early(id) {
            self.hold(id, EarlyAnswer::Succeeded(output));
            return Ok(());
        }
        if self.is_too_large(&output) {
            let raised = too_large(match resource {
                Resource::LambdaFunction { arn } | Resource::Activity { arn } => arn,
                Resource::Integration(integration) => &integration.resource_type,
            });
            return self.task_ended_badly(id, state, raised, false);
        }
        let kind = match resource {
            Resource::Activity { .. } => EventKind::ActivitySucceeded { output: output.clone() },
            Resource::LambdaFunction { .. } => EventKind::LambdaFunctionSucceeded { output: output.clone() },
            Resource::Integration(_) => EventKind::TaskSucceeded { state: state.id.0, output: output.clone() },
        };
        self.chain(id, kind)?;
        // A job of which a callback said that all is well goes on.
        self.open_task_mut(id).stage = TaskStage::Ended { left: false };
        self.release(id);
        self.note(|noted| noted.result = Some(Arc::clone(output.text())));
        let finished = self.finish(id, state, Data::Same(output), task_of(state).transition);
        self.settle(id, finished)
    }

    /// The end of a task under test, however it would have been answered.
    pub(crate) fn answer_task(&mut self, id: FrameId, output: Payload) -> Run {
        let open = self.open_task_mut(id);
        open.stage = TaskStage::Submitted;
        let task = open.task;
        self.task_succeeded(task, output)
    }

    pub(crate) fn task_failed(&mut self, task: TaskId, failure: Failure) -> Run {
        if self.is_early(task.frame) {
            self.hold(task.frame, EarlyAnswer::Failed(failure));
            return Ok(());
        }
        let state = self.state_of(task.frame);
        self.task_ended_badly(task.frame, state, Raised::reported(Class::Task, failure), true)
    }

    /// `left`: see [`TaskStage::Ended`].
    fn task_ended_badly(&mut self, id: FrameId, state: &'a State, raised: Raised, left: bool) -> Run {
        let failure = raised.failure.clone();
        let kind = match &task_of(state).resource {
            Resource::Activity { .. } => EventKind::ActivityFailed(failure),
            Resource::LambdaFunction { .. } => EventKind::LambdaFunctionFailed(failure),
            Resource::Integration(_) => EventKind::TaskFailed { state: state.id.0, failure },
        };
        self.chain(id, kind)?;
        self.end_badly(id, raised, left);
        Ok(())
    }

    /// The attempt is over; its failure is raised once everything that happened with it is recorded.
    fn end_badly(&mut self, id: FrameId, raised: Raised, left: bool) {
        let open = self.open_task_mut(id);
        open.stage = TaskStage::Ended { left: left && open.stage.is_sent() };
        let (task, timers) = (open.task, [open.timeout.take(), open.heartbeat.take()]);
        for timer in timers {
            self.cancel_timer(timer);
        }
        self.defer(task, raised);
    }

    /// A task ran out of time, or its worker fell silent. Both are recorded as `States.Timeout` without a cause.
    pub(crate) fn task_timed_out(&mut self, id: FrameId, timer: TimerKind) -> Run {
        let state = self.state_of(id);
        let failure = Failure { error: Some("States.Timeout".into()), cause: None };
        let kind = match &task_of(state).resource {
            Resource::Activity { .. } => EventKind::ActivityTimedOut(failure.clone()),
            Resource::LambdaFunction { .. } => EventKind::LambdaFunctionTimedOut(failure.clone()),
            Resource::Integration(_) => EventKind::TaskTimedOut { state: state.id.0, failure: failure.clone() },
        };
        self.chain(id, kind)?;
        let class = if timer == TimerKind::Heartbeat { Class::Heartbeat } else { Class::Timeout };
        self.end_badly(id, Raised::reported(class, failure), true);
        Ok(())
    }

    /// Ends an attempt: its timers and, if it was queued, its row.
    pub(crate) fn close_task(&mut self, open: &OpenTask) {
        self.cancel_timer(open.timeout);
        self.cancel_timer(open.heartbeat);
        if open.stage != TaskStage::Finding {
            let job = self.left_behind(open).map(Box::new);
            self.effects.commands.push(Command::CloseTask { task: open.task, job });
        }
    }

    fn left_behind(&self, open: &OpenTask) -> Option<SentTask> {
        if !open.stage.is_sent() && open.stage != (TaskStage::Ended { left: true }) {
            return None;
        }
        let state = self.state_of(open.task.frame);
        task_of(state).resource.is_job().then(|| SentTask {
            state: state.id,
            input: open.input.clone(),
            role_arn: open.role_arn.clone(),
            timeout_seconds: open.timeout_seconds,
            retry_count: self.visit(open.task.frame).retry_count(),
        })
    }

    /// Whether the frame of a task still stands at that very attempt.
    pub(crate) fn task_is_open(&self, task: TaskId) -> bool {
        let Some(frame) = self.execution.frames.get(&task.frame) else { return false };
        matches!(&frame.position, Position::In(visit) if matches!(&visit.work, Work::Task(open) if open.task == task))
    }

    /// Whether an input about a task finds the task as far as it must be.
    pub(crate) fn task_accepts(&self, task: TaskId, kind: &InputKind) -> bool {
        let Some(frame) = self.execution.frames.get(&task.frame) else { return false };
        let Position::In(visit) = &frame.position else { return false };
        let Work::Task(open) = &visit.work else { return false };
        if open.task != task {
            return false;
        }
        match kind {
            InputKind::ActivityFound { .. } | InputKind::ActivityMissing { .. } => open.stage == TaskStage::Finding,
            InputKind::TaskStarted { .. } => open.stage == TaskStage::Scheduled,
            InputKind::TaskSubmitted { .. } => open.stage == TaskStage::Started,
            InputKind::SubmitFailed { .. } | InputKind::SubmitLost { .. } => {
                open.stage == TaskStage::Started && is_submitted(&task_of(self.state_of(task.frame)).resource)
            }
            // A task is answered once, and has no more to say then.
            InputKind::TaskSucceeded { .. } | InputKind::TaskFailed { .. } | InputKind::Heartbeat { .. } => {
                matches!(open.stage, TaskStage::Started | TaskStage::Submitted) && open.early_answer.is_none()
            }
            _ => false,
        }
    }

    fn open_task(&self, id: FrameId) -> &OpenTask {
        match &self.visit(id).work {
            Work::Task(open) => open,
            other => panic!("frame {id:?} waits for no task: {other:?}"),
        }
    }

    fn open_task_mut(&mut self, id: FrameId) -> &mut OpenTask {
        match &mut self.visit_mut(id).work {
            Work::Task(open) => open,
            other => panic!("frame {id:?} waits for no task: {other:?}"),
        }
    }
}

fn task_of(state: &State) -> &Task {
    match &state.kind {
        StateKind::Task(task) => task,
        _ => unreachable!("only Task states have tasks"),
    }
}

/// Whether the call only submits what ends later: by a callback, or as a job, which has a token, too (AWS: recorded).
fn is_submitted(resource: &Resource) -> bool {
    matches!(resource, Resource::Integration(integration) if integration.pattern != Pattern::RequestResponse)
}

/// Whether `$$.Task.Token` exists while the state's fields are evaluated.
fn has_token(resource: &Resource) -> bool {
    matches!(resource, Resource::Activity { .. }) || is_submitted(resource)
}
