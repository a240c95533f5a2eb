//! Start, describe, list and stop executions, and read their histories.

use stepwright_api::{
    ApiError, ErrorCode, RequestContext, Timestamp,
    arn::{ExecutionArn, ExpressArn, MapRunArn, StateMachineArn},
    name::check_name,
    types::{
        CloudWatchEventsExecutionDataDetails, DescribeExecutionInput, DescribeExecutionOutput, ExecutionListItem,
        ExecutionRedriveFilter, ExecutionRedriveStatus, ExecutionStatus, GetExecutionHistoryInput,
        GetExecutionHistoryOutput, IncludedData, ListExecutionsInput, ListExecutionsOutput, RedriveExecutionInput,
        RedriveExecutionOutput, StartExecutionInput, StartExecutionOutput, StopExecutionInput, StopExecutionOutput,
    },
};
use stepwright_engine::{MapRunOf, NewExecution, NotRedrivable};
use stepwright_machine::Status;

use super::{Call, labelled, page, scope, shared};
use crate::{
    errors::{not_redrivable, to_api, validation},
    history_wire::Speller,
    ids::random_uuid,
    json_text::{self, MAX_BYTES},
};

/// Characters of a trace header.
const MAX_TRACE_HEADER: usize = 256;

pub(super) async fn start_execution(
    call: &Call<'_>,
    context: &RequestContext,
    input: StartExecutionInput,
) -> Result<StartExecutionOutput, ApiError> {
    let new = new_execution(call, context, input)?;
    let started = call.engine().start_execution(&scope(context), new).await.map_err(to_api)?;
    Ok(StartExecutionOutput::new(started.arn.to_string(), Timestamp(started.started_at)))
}

/// The execution that a start asks for, checked.
pub(super) fn new_execution(
    call: &Call<'_>,
    context: &RequestContext,
    mut input: StartExecutionInput,
) -> Result<NewExecution, ApiError> {
    let test_case = match input.state_machine_arn.split_once('#') {
        // As in Step Functions Local; without a file of mocks, # is as wrong as on AWS.
        Some((arn, case)) if call.service.mocks().is_some() => {
            let (arn, case) = (arn.to_owned(), case.to_owned());
            input.state_machine_arn = arn;
            Some(case)
        }
        _ => None,
    };
    let arn = StateMachineArn::parse(&input.state_machine_arn)?;
    if let Some(case) = &test_case {
        check_case(call, &arn, case)?;
    }
    if let Some(name) = &input.name {
        check_name(name)?;
    }
    if arn.label.is_some() {
        return Err(labelled());
    }
    let text = input.input.unwrap_or_else(|| "{}".to_owned());
    check_input(&text)?;
    // The HTTP header wins; one that AWS would not take is no reason to refuse the start.
    let trace_header = context.trace_header.clone().filter(|header| header.len() <= MAX_TRACE_HEADER);
    Ok(NewExecution {
        state_machine_arn: input.state_machine_arn.into(),
        name: input.name.unwrap_or_else(random_uuid).into(),
        input: text.into(),
        trace_header: shared(trace_header.or(input.trace_header)),
        test_case: test_case.map(Into::into),
    })
}

/// Whether the file of mocks has a test case of the machine.
fn check_case(call: &Call<'_>, arn: &StateMachineArn, case: &str) -> Result<(), ApiError> {
    let Some(mocks) = call.service.mocks() else { return Ok(()) };
    let name = arn.name.as_str();
    if mocks.case(name, case).is_some() {
        return Ok(());
    }
    let known = match mocks.cases(name) {
        None => format!("there is no state machine {name} in StateMachines"),
        Some(cases) => {
            let cases: Vec<&str> = cases.iter().map(|case| &***case).collect();
            format!("{name} has {}", cases.join(", "))
        }
    };
    Err(validation(format!("The file of mocks has no test case {case:?} of {name}: {known}")))
}

pub(super) fn check_input(text: &str) -> Result<(), ApiError> {
    let invalid = |detail: &str| {
        ApiError::new(ErrorCode::InvalidExecutionInput, format!("Invalid State Machine Execution Input: '{detail}'"))
    };
    if text.is_empty() {
        return Err(invalid("Invalid execution input."));
    }
    if text.len() > MAX_BYTES {
        return Err(json_text::too_long("input"));
    }
    json_text::check(text).map_err(|error| invalid(&error))
}

pub(super) async fn describe_execution(
    call: &Call<'_>,
    context: &RequestContext,
    input: DescribeExecutionInput,
) -> Result<DescribeExecutionOutput, ApiError> {
    let (engine, scope) = (call.engine(), scope(context));
    // Of EXPRESS executions, children of map runs are described.
    let is_express_child = ExpressArn::parse(&input.execution_arn).is_ok_and(|arn| arn.label.is_some());
    let execution = if is_express_child {
        engine.describe_express_child(&scope, &input.execution_arn).await
    } else {
        ExecutionArn::parse(&input.execution_arn)?;
        engine.describe_execution(&scope, &input.execution_arn).await
    }
    .map_err(to_api)?;
    let with_data = input.included_data != Some(IncludedData::MetadataOnly);
    let (redrive_status, redrive_status_reason) = match execution.not_redrivable {
        None => (ExecutionRedriveStatus::Redrivable, None),
        Some(NotRedrivable::Child) => (ExecutionRedriveStatus::RedrivableByMapRun, None),
        Some(reason) => (ExecutionRedriveStatus::NotRedrivable, Some(not_redrivable(reason).to_owned())),
    };
    let succeeded = execution.status == Status::Succeeded;
    let shows_error = matches!(execution.status, Status::Failed | Status::Aborted);
    let included = || Some(CloudWatchEventsExecutionDataDetails { included: Some(true) });
    Ok(DescribeExecutionOutput {
        execution_arn: execution.arn.to_string(),
        state_machine_arn: execution.state_machine_arn.to_string(),
        name: Some(execution.name.to_string()),
        status: status_of(execution.status),
        start_date: Timestamp(execution.started_at),
        stop_date: execution.stopped_at.map(Timestamp),
        input: with_data.then(|| execution.input.to_string()),
        input_details: with_data.then(included).flatten(),
        output: execution.output.as_ref().filter(|_| with_data && succeeded).map(ToString::to_string),
        output_details: (with_data && succeeded).then(included).flatten(),
        trace_header: execution.trace_header.as_ref().map(ToString::to_string),
        map_run_arn: execution.map_run_arn.as_ref().map(ToString::to_string),
        error: execution.error.as_ref().filter(|_| shows_error).map(ToString::to_string),
        cause: execution.cause.as_ref().filter(|_| shows_error).map(ToString::to_string),
        state_machine_version_arn: execution.version_arn.as_ref().map(ToString::to_string),
        state_machine_alias_arn: execution.alias_arn.as_ref().map(ToString::to_string),
        redrive_count: Some(i32::try_from(execution.redrive_count).unwrap_or(i32::MAX)),
        redrive_date: execution.redriven_at.map(Timestamp),
        redrive_status: Some(redrive_status),
        redrive_status_reason,
    })
}

pub(super) async fn redrive_execution(
    call: &Call<'_>,
    context: &RequestContext,
    input: RedriveExecutionInput,
) -> Result<RedriveExecutionOutput, ApiError> {
    let arn = ExecutionArn::parse(&input.execution_arn)?;
    if arn.label.is_some() {
        return Err(validation("A child execution of a Map Run is redriven by redriving the Map Run's execution"));
    }
    let redriven = call
        .engine()
        .redrive_execution(&scope(context), &input.execution_arn, shared(input.client_token))
        .await
        .map_err(to_api)?;
    Ok(RedriveExecutionOutput::new(Timestamp(redriven)))
}

pub(super) async fn list_executions(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListExecutionsInput,
) -> Result<ListExecutionsOutput, ApiError> {
    let machine = input.state_machine_arn.as_deref().map(StateMachineArn::parse).transpose()?;
    let map_run = input.map_run_arn.as_deref().map(MapRunArn::parse).transpose()?;
    let status = input.status_filter.map(|status| match status {
        ExecutionStatus::Running => MapRunOf::Status(Status::Running),
        ExecutionStatus::Succeeded => MapRunOf::Status(Status::Succeeded),
        ExecutionStatus::Failed => MapRunOf::Status(Status::Failed),
        ExecutionStatus::TimedOut => MapRunOf::Status(Status::TimedOut),
        ExecutionStatus::Aborted => MapRunOf::Status(Status::Aborted),
        ExecutionStatus::PendingRedrive => MapRunOf::PendingRedrive,
    });
    let (engine, asked) = (call.engine(), page(input.max_results, input.next_token));
    let page = match (machine.zip(input.state_machine_arn), map_run.zip(input.map_run_arn.clone())) {
        (None, Some((_, run))) => {
            let redriven = input.redrive_filter.map(|filter| filter == ExecutionRedriveFilter::Redriven);
            engine.list_map_run_executions(&scope(context), &run, status, redriven, asked).await
        }
        (Some((arn, text)), None) => {
            if input.redrive_filter.is_some() {
                return Err(validation("redriveFilter can only be specified together with mapRunArn"));
            }
            let status = match status {
                None => None,
                Some(MapRunOf::Status(status)) => Some(status),
                Some(MapRunOf::PendingRedrive) => {
                    return Err(validation("The status PENDING_REDRIVE can only be specified together with mapRunArn"));
                }
            };
            if arn.label.is_some() {
                return Err(labelled());
            }
            engine.list_executions(&scope(context), &text, status, asked).await
        }
        _ => return Err(validation("Must specify exactly one of stateMachineArn and mapRunArn")),
    }
    .map_err(to_api)?;
    let executions = page
        .items
        .into_iter()
        .map(|item| ExecutionListItem {
            execution_arn: item.arn.to_string(),
            state_machine_arn: item.state_machine_arn.to_string(),
            name: item.name.to_string(),
            status: if item.is_pending_redrive { ExecutionStatus::PendingRedrive } else { status_of(item.status) },
            start_date: Timestamp(item.started_at),
            stop_date: item.stopped_at.map(Timestamp),
            map_run_arn: input.map_run_arn.clone(),
            item_count: item.items.map(|items| i32::try_from(items).unwrap_or(i32::MAX)),
            state_machine_version_arn: item.version_arn.as_deref().map(ToString::to_string),
            state_machine_alias_arn: item.alias_arn.as_deref().map(ToString::to_string),
            redrive_count: Some(i32::try_from(item.redrive_count).unwrap_or(i32::MAX)),
            redrive_date: item.redriven_at.map(Timestamp),
        })
        .collect();
    Ok(ListExecutionsOutput { executions, next_token: page.next_token })
}

pub(super) async fn stop_execution(
    call: &Call<'_>,
    context: &RequestContext,
    input: StopExecutionInput,
) -> Result<StopExecutionOutput, ApiError> {
    ExecutionArn::parse(&input.execution_arn)?;
    let stopped = call
        .engine()
        .stop_execution(&scope(context), &input.execution_arn, shared(input.error), shared(input.cause))
        .await
        .map_err(to_api)?;
    Ok(StopExecutionOutput::new(Timestamp(stopped)))
}

pub(super) async fn get_execution_history(
    call: &Call<'_>,
    context: &RequestContext,
    input: GetExecutionHistoryInput,
) -> Result<GetExecutionHistoryOutput, ApiError> {
    ExecutionArn::parse(&input.execution_arn)?;
    let page = call
        .engine()
        .history(
            &scope(context),
            &input.execution_arn,
            page(input.max_results, input.next_token),
            input.reverse_order.unwrap_or(false),
        )
        .await
        .map_err(to_api)?;
    let speller = Speller::new(&page, input.include_execution_data.unwrap_or(true));
    let events = page.events.iter().map(|event| speller.spell(event)).collect();
    Ok(GetExecutionHistoryOutput { events, next_token: page.next_token.clone() })
}

fn status_of(status: Status) -> ExecutionStatus {
    match status {
        Status::Running => ExecutionStatus::Running,
        Status::Succeeded => ExecutionStatus::Succeeded,
        Status::Failed => ExecutionStatus::Failed,
        Status::TimedOut => ExecutionStatus::TimedOut,
        Status::Aborted => ExecutionStatus::Aborted,
    }
}
