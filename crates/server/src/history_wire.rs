//! History events as AWS spells them: from the machine's compact form to the API's.
//!
//! Names of types and members are decided here and nowhere else. This module must never leave an event out or change
//! its number: what the machine recorded is what is shown.

use std::{collections::BTreeMap, sync::Arc};

use stepwright_api::{
    Timestamp,
    types::{
        ActivityFailedEventDetails, ActivityScheduledEventDetails, ActivityStartedEventDetails,
        ActivitySucceededEventDetails, ActivityTimedOutEventDetails, AssignedVariablesDetails,
        EvaluationFailedEventDetails, ExecutionAbortedEventDetails, ExecutionFailedEventDetails,
        ExecutionRedrivenEventDetails, ExecutionStartedEventDetails, ExecutionSucceededEventDetails,
        ExecutionTimedOutEventDetails, HistoryEvent, HistoryEventExecutionDataDetails, HistoryEventType as Type,
        LambdaFunctionFailedEventDetails, LambdaFunctionScheduledEventDetails, LambdaFunctionSucceededEventDetails,
        LambdaFunctionTimedOutEventDetails, MapIterationEventDetails, MapRunFailedEventDetails,
        MapRunRedrivenEventDetails, MapRunStartedEventDetails, MapStateStartedEventDetails, StateEnteredEventDetails,
        StateExitedEventDetails, TaskCredentials, TaskFailedEventDetails, TaskScheduledEventDetails,
        TaskStartedEventDetails, TaskSubmittedEventDetails, TaskSucceededEventDetails, TaskTimedOutEventDetails,
    },
};
use stepwright_asl::{Resource, State, StateId, StateKind};
use stepwright_engine::{Event, HistoryPage};
use stepwright_machine::{Definition, EventKind, Failure, Payload};

/// What the events of one page have in common.
pub struct Speller<'a> {
    page: &'a HistoryPage,
    include_data: bool,
}

type DataDetails = Option<HistoryEventExecutionDataDetails>;

impl<'a> Speller<'a> {
    /// For the events of this page; `include_data` is `includeExecutionData`.
    #[must_use]
    pub fn new(page: &'a HistoryPage, include_data: bool) -> Self {
        Self { page, include_data }
    }

    /// The event as the API shows it.
    #[must_use]
    pub fn spell(&self, event: &Event) -> HistoryEvent {
        let mut wire = HistoryEvent::new(Timestamp(event.at), self.type_of(&event.kind), number(event.id));
        wire.previous_event_id = Some(number(event.previous));
        self.details(&event.kind, &mut wire);
        wire
    }

    fn definition(&self) -> &Definition {
        &self.page.definition
    }

    fn state(&self, number: u32) -> &State {
        self.definition().state(StateId(number))
    }

    fn name(&self, number: u32) -> String {
        self.state(number).name.to_string()
    }

    /// `resourceType` and `resource` of a Task state.
    fn resource(&self, number: u32) -> (String, String) {
        match &self.state(number).kind {
            StateKind::Task(task) => match &task.resource {
                Resource::Integration(integration) => {
                    (integration.resource_type.to_string(), integration.resource.to_string())
                }
                // These two have event types of their own; a Task event is never written for them.
                Resource::LambdaFunction { arn } => ("lambda".to_owned(), arn.to_string()),
                Resource::Activity { arn } => ("activity".to_owned(), arn.to_string()),
            },
            _ => (String::new(), String::new()),
        }
    }

    /// The ARN of a Task state's resource.
    fn resource_arn(&self, number: u32) -> String {
        match &self.state(number).kind {
            StateKind::Task(task) => match &task.resource {
                Resource::LambdaFunction { arn } | Resource::Activity { arn } => arn.to_string(),
                Resource::Integration(integration) => integration.arn.to_string(),
            },
            _ => String::new(),
        }
    }

    fn data(&self, payload: &Payload) -> (Option<String>, DataDetails) {
        if !self.include_data {
            return (None, None);
        }
        (Some(payload.text().to_string()), Some(HistoryEventExecutionDataDetails { truncated: Some(false) }))
    }

    fn type_of(&self, kind: &EventKind) -> Type {
        use EventKind as K;
        match kind {
            K::ExecutionStarted { .. } => Type::ExecutionStarted,
            K::ExecutionSucceeded { .. } => Type::ExecutionSucceeded,
            K::ExecutionFailed(_) => Type::ExecutionFailed,
            K::ExecutionAborted(_) => Type::ExecutionAborted,
            K::ExecutionTimedOut(_) => Type::ExecutionTimedOut,
            K::StateEntered { state, .. } => match self.state(*state).kind {
                StateKind::Task(_) => Type::TaskStateEntered,
                StateKind::Pass(_) => Type::PassStateEntered,
                StateKind::Choice(_) => Type::ChoiceStateEntered,
                StateKind::Wait(_) => Type::WaitStateEntered,
                StateKind::Succeed => Type::SucceedStateEntered,
                StateKind::Fail(_) => Type::FailStateEntered,
                StateKind::Parallel(_) => Type::ParallelStateEntered,
                StateKind::Map(_) => Type::MapStateEntered,
            },
            K::StateExited { state, .. } => match self.state(*state).kind {
                StateKind::Task(_) => Type::TaskStateExited,
                StateKind::Pass(_) => Type::PassStateExited,
                StateKind::Choice(_) => Type::ChoiceStateExited,
                StateKind::Wait(_) => Type::WaitStateExited,
                // A Fail state has no Exited event; the machine never records one.
                StateKind::Succeed | StateKind::Fail(_) => Type::SucceedStateExited,
                StateKind::Parallel(_) => Type::ParallelStateExited,
                StateKind::Map(_) => Type::MapStateExited,
            },
            K::StateAborted { state } => match self.state(*state).kind {
                StateKind::Wait(_) => Type::WaitStateAborted,
                StateKind::Parallel(_) => Type::ParallelStateAborted,
                StateKind::Map(_) => Type::MapStateAborted,
                // Only states that wait can be aborted; of the others AWS has no such event.
                _ => Type::TaskStateAborted,
            },
            K::LambdaFunctionScheduled { .. } => Type::LambdaFunctionScheduled,
            K::LambdaFunctionStarted => Type::LambdaFunctionStarted,
            K::LambdaFunctionSucceeded { .. } => Type::LambdaFunctionSucceeded,
            K::LambdaFunctionFailed(_) => Type::LambdaFunctionFailed,
            K::LambdaFunctionTimedOut(_) => Type::LambdaFunctionTimedOut,
            K::ActivityScheduled { .. } => Type::ActivityScheduled,
            K::ActivityStarted { .. } => Type::ActivityStarted,
            K::ActivitySucceeded { .. } => Type::ActivitySucceeded,
            K::ActivityFailed(_) => Type::ActivityFailed,
            K::ActivityTimedOut(_) => Type::ActivityTimedOut,
            K::TaskScheduled { .. } => Type::TaskScheduled,
            K::TaskStarted { .. } => Type::TaskStarted,
            K::TaskSubmitted { .. } => Type::TaskSubmitted,
            K::TaskSucceeded { .. } => Type::TaskSucceeded,
            K::TaskFailed { .. } => Type::TaskFailed,
            K::TaskTimedOut { .. } => Type::TaskTimedOut,
            K::ParallelStateStarted => Type::ParallelStateStarted,
            K::ParallelStateSucceeded => Type::ParallelStateSucceeded,
            K::ParallelStateFailed => Type::ParallelStateFailed,
            K::MapStateStarted { .. } => Type::MapStateStarted,
            K::MapStateSucceeded => Type::MapStateSucceeded,
            K::MapStateFailed => Type::MapStateFailed,
            K::MapIterationStarted { .. } => Type::MapIterationStarted,
            K::MapIterationSucceeded { .. } => Type::MapIterationSucceeded,
            K::MapIterationFailed { .. } => Type::MapIterationFailed,
            K::MapIterationAborted { .. } => Type::MapIterationAborted,
            K::EvaluationFailed { .. } => Type::EvaluationFailed,
            K::ExecutionRedriven { .. } => Type::ExecutionRedriven,
            K::MapRunStarted { .. } => Type::MapRunStarted,
            K::MapRunSucceeded => Type::MapRunSucceeded,
            K::MapRunFailed(_) => Type::MapRunFailed,
            K::MapRunAborted => Type::MapRunAborted,
            K::MapRunRedriven { .. } => Type::MapRunRedriven,
        }
    }

    fn details(&self, kind: &EventKind, wire: &mut HistoryEvent) {
        use EventKind as K;
        match kind {
            K::ExecutionStarted { .. }
            | K::ExecutionSucceeded { .. }
            | K::ExecutionFailed(_)
            | K::ExecutionAborted(_)
            | K::ExecutionTimedOut(_) => self.execution_details(kind, wire),
            K::StateEntered { state, input } => {
                let (input, input_details) = self.data(input);
                let details = StateEnteredEventDetails { name: self.name(*state), input, input_details };
                wire.state_entered_event_details = Some(Box::new(details));
            }
            K::StateExited { state, output, assigned } => {
                let (output, output_details) = self.data(output);
                let (assigned_variables, assigned_variables_details) = self.assigned(assigned);
                wire.state_exited_event_details = Some(Box::new(StateExitedEventDetails {
                    name: self.name(*state),
                    output,
                    output_details,
                    assigned_variables,
                    assigned_variables_details,
                }));
            }
            K::LambdaFunctionScheduled { .. }
            | K::LambdaFunctionSucceeded { .. }
            | K::LambdaFunctionFailed(_)
            | K::LambdaFunctionTimedOut(_) => self.lambda_details(kind, wire),
            K::ActivityScheduled { .. }
            | K::ActivityStarted { .. }
            | K::ActivitySucceeded { .. }
            | K::ActivityFailed(_)
            | K::ActivityTimedOut(_) => self.activity_details(kind, wire),
            K::TaskScheduled { .. }
            | K::TaskStarted { .. }
            | K::TaskSubmitted { .. }
            | K::TaskSucceeded { .. }
            | K::TaskFailed { .. }
            | K::TaskTimedOut { .. } => self.task_details(kind, wire),
            K::MapStateStarted { length } => {
                wire.map_state_started_event_details =
                    Some(Box::new(MapStateStartedEventDetails { length: Some(small(*length)) }));
            }
            K::MapIterationStarted { state, index } => {
                wire.map_iteration_started_event_details = Some(self.iteration(*state, *index));
            }
            K::MapIterationSucceeded { state, index } => {
                wire.map_iteration_succeeded_event_details = Some(self.iteration(*state, *index));
            }
            K::MapIterationFailed { state, index } => {
                wire.map_iteration_failed_event_details = Some(self.iteration(*state, *index));
            }
            K::MapIterationAborted { state, index } => {
                wire.map_iteration_aborted_event_details = Some(self.iteration(*state, *index));
            }
            K::EvaluationFailed { state, location, failure } => {
                let (error, cause) = failed(failure);
                let (location, state) = (text(location.as_ref()), self.name(*state));
                wire.evaluation_failed_event_details =
                    Some(Box::new(EvaluationFailedEventDetails { error, cause, location, state }));
            }
            K::ExecutionRedriven { count } => {
                let redrive_count = Some(i32::try_from(*count).unwrap_or(i32::MAX));
                wire.execution_redriven_event_details = Some(Box::new(ExecutionRedrivenEventDetails { redrive_count }));
            }
            K::MapRunStarted { arn } => {
                let details = MapRunStartedEventDetails { map_run_arn: Some(arn.to_string()) };
                wire.map_run_started_event_details = Some(Box::new(details));
            }
            K::MapRunFailed(failure) => {
                let (error, cause) = failed(failure);
                wire.map_run_failed_event_details = Some(Box::new(MapRunFailedEventDetails { error, cause }));
            }
            K::MapRunRedriven { arn, count } => {
                wire.map_run_redriven_event_details = Some(Box::new(MapRunRedrivenEventDetails {
                    map_run_arn: Some(arn.to_string()),
                    redrive_count: Some(i32::try_from(*count).unwrap_or(i32::MAX)),
                }));
            }
            K::StateAborted { .. }
            | K::MapRunSucceeded
            | K::MapRunAborted
            | K::LambdaFunctionStarted
            | K::ParallelStateStarted
            | K::ParallelStateSucceeded
            | K::ParallelStateFailed
            | K::MapStateSucceeded
            | K::MapStateFailed => {}
        }
    }

    fn execution_details(&self, kind: &EventKind, wire: &mut HistoryEvent) {
        match kind {
            EventKind::ExecutionStarted { input } => {
                let (input, input_details) = self.data(input);
                wire.execution_started_event_details = Some(Box::new(ExecutionStartedEventDetails {
                    input,
                    input_details,
                    role_arn: Some(self.page.role_arn.to_string()),
                    state_machine_alias_arn: text(self.page.alias_arn.as_ref()),
                    state_machine_version_arn: text(self.page.version_arn.as_ref()),
                }));
            }
            EventKind::ExecutionSucceeded { output } => {
                let (output, output_details) = self.data(output);
                wire.execution_succeeded_event_details =
                    Some(Box::new(ExecutionSucceededEventDetails { output, output_details }));
            }
            EventKind::ExecutionFailed(failure) => {
                let (error, cause) = failed(failure);
                wire.execution_failed_event_details = Some(Box::new(ExecutionFailedEventDetails { error, cause }));
            }
            EventKind::ExecutionAborted(failure) => {
                let (error, cause) = failed(failure);
                wire.execution_aborted_event_details = Some(Box::new(ExecutionAbortedEventDetails { error, cause }));
            }
            EventKind::ExecutionTimedOut(failure) => {
                let (error, cause) = failed(failure);
                wire.execution_timed_out_event_details = Some(Box::new(ExecutionTimedOutEventDetails { error, cause }));
            }
            _ => {}
        }
    }

    fn lambda_details(&self, kind: &EventKind, wire: &mut HistoryEvent) {
        match kind {
            EventKind::LambdaFunctionScheduled { state, input, timeout, role_arn } => {
                let (input, input_details) = self.data(input);
                wire.lambda_function_scheduled_event_details = Some(Box::new(LambdaFunctionScheduledEventDetails {
                    resource: self.resource_arn(*state),
                    input,
                    input_details,
                    timeout_in_seconds: timeout.map(number),
                    task_credentials: credentials(role_arn.as_ref()),
                }));
            }
            EventKind::LambdaFunctionSucceeded { output } => {
                let (output, output_details) = self.data(output);
                wire.lambda_function_succeeded_event_details =
                    Some(Box::new(LambdaFunctionSucceededEventDetails { output, output_details }));
            }
            EventKind::LambdaFunctionFailed(failure) => {
                let (error, cause) = failed(failure);
                wire.lambda_function_failed_event_details =
                    Some(Box::new(LambdaFunctionFailedEventDetails { error, cause }));
            }
            EventKind::LambdaFunctionTimedOut(failure) => {
                let (error, cause) = failed(failure);
                wire.lambda_function_timed_out_event_details =
                    Some(Box::new(LambdaFunctionTimedOutEventDetails { error, cause }));
            }
            _ => {}
        }
    }

    fn activity_details(&self, kind: &EventKind, wire: &mut HistoryEvent) {
        match kind {
            EventKind::ActivityScheduled { state, input, timeout, heartbeat } => {
                let (input, input_details) = self.data(input);
                wire.activity_scheduled_event_details = Some(Box::new(ActivityScheduledEventDetails {
                    resource: self.resource_arn(*state),
                    input,
                    input_details,
                    timeout_in_seconds: timeout.map(number),
                    heartbeat_in_seconds: heartbeat.map(number),
                }));
            }
            EventKind::ActivityStarted { worker_name } => {
                wire.activity_started_event_details =
                    Some(Box::new(ActivityStartedEventDetails { worker_name: text(worker_name.as_ref()) }));
            }
            EventKind::ActivitySucceeded { output } => {
                let (output, output_details) = self.data(output);
                wire.activity_succeeded_event_details =
                    Some(Box::new(ActivitySucceededEventDetails { output, output_details }));
            }
            EventKind::ActivityFailed(failure) => {
                let (error, cause) = failed(failure);
                wire.activity_failed_event_details = Some(Box::new(ActivityFailedEventDetails { error, cause }));
            }
            EventKind::ActivityTimedOut(failure) => {
                let (error, cause) = failed(failure);
                wire.activity_timed_out_event_details = Some(Box::new(ActivityTimedOutEventDetails { error, cause }));
            }
            _ => {}
        }
    }

    fn task_details(&self, kind: &EventKind, wire: &mut HistoryEvent) {
        match kind {
            EventKind::TaskScheduled { state, parameters, timeout, heartbeat, role_arn } => {
                let (resource_type, resource) = self.resource(*state);
                wire.task_scheduled_event_details = Some(Box::new(TaskScheduledEventDetails {
                    resource_type,
                    resource,
                    region: self.page.region.to_string(),
                    parameters: self.include_data.then(|| parameters.text().to_string()),
                    timeout_in_seconds: timeout.map(number),
                    heartbeat_in_seconds: heartbeat.map(number),
                    task_credentials: credentials(role_arn.as_ref()),
                }));
            }
            EventKind::TaskStarted { state } => {
                let (resource_type, resource) = self.resource(*state);
                wire.task_started_event_details = Some(Box::new(TaskStartedEventDetails { resource_type, resource }));
            }
            EventKind::TaskSubmitted { state, output } => {
                let (resource_type, resource) = self.resource(*state);
                let (output, output_details) = self.data(output);
                wire.task_submitted_event_details =
                    Some(Box::new(TaskSubmittedEventDetails { resource_type, resource, output, output_details }));
            }
            EventKind::TaskSucceeded { state, output } => {
                let (resource_type, resource) = self.resource(*state);
                let (output, output_details) = self.data(output);
                wire.task_succeeded_event_details =
                    Some(Box::new(TaskSucceededEventDetails { resource_type, resource, output, output_details }));
            }
            EventKind::TaskFailed { state, failure } => {
                let (resource_type, resource) = self.resource(*state);
                let (error, cause) = failed(failure);
                wire.task_failed_event_details =
                    Some(Box::new(TaskFailedEventDetails { resource_type, resource, error, cause }));
            }
            EventKind::TaskTimedOut { state, failure } => {
                let (resource_type, resource) = self.resource(*state);
                let (error, cause) = failed(failure);
                wire.task_timed_out_event_details =
                    Some(Box::new(TaskTimedOutEventDetails { resource_type, resource, error, cause }));
            }
            _ => {}
        }
    }

    fn iteration(&self, state: u32, index: u64) -> Box<MapIterationEventDetails> {
        Box::new(MapIterationEventDetails { name: Some(self.name(state)), index: Some(small(index)) })
    }

    fn assigned(
        &self,
        assigned: &[(Arc<str>, Payload)],
    ) -> (Option<BTreeMap<String, String>>, Option<AssignedVariablesDetails>) {
        if assigned.is_empty() || !self.include_data {
            return (None, None);
        }
        let variables = assigned.iter().map(|(name, value)| (name.to_string(), value.text().to_string())).collect();
        (Some(variables), Some(AssignedVariablesDetails { truncated: Some(false) }))
    }
}

fn failed(failure: &Failure) -> (Option<String>, Option<String>) {
    (text(failure.error.as_ref()), text(failure.cause.as_ref()))
}

fn text(text: Option<&Arc<str>>) -> Option<String> {
    text.map(ToString::to_string)
}

fn credentials(role_arn: Option<&Arc<str>>) -> Option<TaskCredentials> {
    role_arn.map(|role| TaskCredentials { role_arn: Some(role.to_string()) })
}

/// Event numbers and seconds; far below the limit of what JSON numbers hold.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Lengths and indexes, which the model gives 32 bits.
fn small(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
