//! Create, update, describe, list and delete state machines.

use stepwright_api::{
    ApiError, RequestContext, Timestamp,
    arn::{ExecutionArn, StateMachineArn, check_role_arn},
    name::check_name,
    types::{
        CreateStateMachineInput, CreateStateMachineOutput, DeleteStateMachineInput, DeleteStateMachineOutput,
        DescribeStateMachineForExecutionInput, DescribeStateMachineForExecutionOutput, DescribeStateMachineInput,
        DescribeStateMachineOutput, EncryptionConfiguration, EncryptionType, IncludedData, ListStateMachinesInput,
        ListStateMachinesOutput, StateMachineListItem, StateMachineStatus, StateMachineType, UpdateStateMachineInput,
        UpdateStateMachineOutput, ValidateStateMachineDefinitionInput, ValidateStateMachineDefinitionOutput,
        ValidateStateMachineDefinitionResultCode as ResultCode, ValidateStateMachineDefinitionSeverity as Severity,
    },
};
use stepwright_engine::{
    Configurations, MachineStatus, MachineType, NewStateMachine, StateMachine, StateMachineUpdate, ValidDefinition,
};

use super::{Call, configuration, labelled, page, scope, tags, versions::publication};
use crate::{
    definitions,
    errors::{missing_update, state_machine_does_not_exist, to_api, validation},
};

/// Whether the file of mocks has test cases of a machine.
fn is_mocked(call: &Call<'_>, name: &str) -> bool {
    call.service.mocks().is_some_and(|mocks| mocks.cases(name).is_some())
}

pub(super) async fn create_state_machine(
    call: &Call<'_>,
    context: &RequestContext,
    input: CreateStateMachineInput,
) -> Result<CreateStateMachineOutput, ApiError> {
    check_name(&input.name)?;
    check_role_arn(&input.role_arn)?;
    let publish = publication(input.publish, input.version_description)?;
    let arn = StateMachineArn::new(context.scope(), input.name.as_str()).to_string();
    let tags = tags::checked(&arn, input.tags.unwrap_or_default())?;
    let configurations = Configurations {
        logging: configuration::logging(input.logging_configuration)?,
        tracing: configuration::tracing(input.tracing_configuration.as_ref()),
        encryption: configuration::encryption(input.encryption_configuration)?,
    };
    let machine_type = match input.r#type {
        None | Some(StateMachineType::Standard) => MachineType::Standard,
        Some(StateMachineType::Express) => MachineType::Express,
    };
    // As on AWS, a missing log group is told of before what is wrong with the definition.
    let checked = call.service.sinks().check_group(&configurations.logging, &input.name, true).await;
    checked.map_err(configuration::refused_group)?;
    let new = NewStateMachine {
        definition: definitions::check(&input.definition, machine_type, is_mocked(call, &input.name))?,
        arn: arn.into(),
        name: input.name.into(),
        role_arn: input.role_arn.into(),
        machine_type,
        configurations,
        tags,
        publish,
    };
    let created = call.engine().create_state_machine(&scope(context), new).await.map_err(to_api)?;
    let mut output = CreateStateMachineOutput::new(created.arn.to_string(), Timestamp(created.created_at));
    output.state_machine_version_arn = created.version_arn.as_deref().map(ToString::to_string);
    Ok(output)
}

pub(super) async fn update_state_machine(
    call: &Call<'_>,
    context: &RequestContext,
    input: UpdateStateMachineInput,
) -> Result<UpdateStateMachineOutput, ApiError> {
    let arn = StateMachineArn::parse(&input.state_machine_arn)?;
    if let Some(role) = &input.role_arn {
        check_role_arn(role)?;
    }
    if arn.label.is_some() {
        return Err(labelled());
    }
    if input.definition.is_none()
        && input.role_arn.is_none()
        && input.logging_configuration.is_none()
        && input.tracing_configuration.is_none()
        && input.encryption_configuration.is_none()
    {
        return Err(missing_update());
    }
    let publish = publication(input.publish, input.version_description)?;
    let definition = match &input.definition {
        None => None,
        Some(text) => {
            // What a definition may hold depends on the machine's type. An unknown machine is told of after its
            // definition, as on AWS.
            let machine = call.engine().describe_state_machine(&scope(context), &input.state_machine_arn).await;
            let (machine_type, is_mocked) = machine.map_or((MachineType::Standard, false), |machine| {
                (machine.machine_type, is_mocked(call, &machine.name))
            });
            Some(definitions::check(text, machine_type, is_mocked)?)
        }
    };
    let logging = input.logging_configuration.map(|given| configuration::logging(Some(given))).transpose()?;
    if let Some(logging) = &logging {
        let checked = call.service.sinks().check_group(logging, &arn.name, false).await;
        checked.map_err(configuration::refused_group)?;
    }
    let update = StateMachineUpdate {
        logging,
        tracing: input.tracing_configuration.map(|given| configuration::tracing(Some(&given))),
        encryption: input.encryption_configuration.map(|given| configuration::encryption(Some(given))).transpose()?,
        definition,
        role_arn: super::shared(input.role_arn),
        publish,
    };
    if !arn.is_unqualified() {
        return Err(state_machine_does_not_exist(&input.state_machine_arn));
    }
    let updated =
        call.engine().update_state_machine(&scope(context), &input.state_machine_arn, update).await.map_err(to_api)?;
    let mut output = UpdateStateMachineOutput::new(Timestamp(updated.updated_at));
    output.revision_id = updated.revision_id.as_deref().map(ToString::to_string);
    output.state_machine_version_arn = updated.version_arn.as_deref().map(ToString::to_string);
    Ok(output)
}

pub(super) async fn describe_state_machine(
    call: &Call<'_>,
    context: &RequestContext,
    input: DescribeStateMachineInput,
) -> Result<DescribeStateMachineOutput, ApiError> {
    let arn = StateMachineArn::parse(&input.state_machine_arn)?;
    if arn.label.is_some() {
        // Distributed Maps are not served yet, so none exists.
        return Err(state_machine_does_not_exist(&input.state_machine_arn));
    }
    let machine =
        call.engine().describe_state_machine(&scope(context), &input.state_machine_arn).await.map_err(to_api)?;
    let encryption = configuration::read::<EncryptionConfiguration>(&machine.configurations.encryption);
    Ok(DescribeStateMachineOutput {
        state_machine_arn: input.state_machine_arn,
        name: machine.name.to_string(),
        status: Some(match machine.status {
            MachineStatus::Active => StateMachineStatus::Active,
            MachineStatus::Deleting => StateMachineStatus::Deleting,
        }),
        definition: shown_definition(&machine, input.included_data, encryption.as_ref()),
        role_arn: machine.role_arn.to_string(),
        r#type: type_of(machine.machine_type),
        creation_date: Timestamp(machine.created_at),
        logging_configuration: configuration::read(&machine.configurations.logging),
        tracing_configuration: configuration::read(&machine.configurations.tracing),
        label: None,
        revision_id: machine.revision_id.as_ref().map(ToString::to_string),
        description: machine.description.as_deref().map(ToString::to_string),
        encryption_configuration: shown_encryption(encryption, &machine.definition),
        variable_references: definitions::variable_references(&machine.definition),
    })
}

pub(super) async fn describe_state_machine_for_execution(
    call: &Call<'_>,
    context: &RequestContext,
    input: DescribeStateMachineForExecutionInput,
) -> Result<DescribeStateMachineForExecutionOutput, ApiError> {
    ExecutionArn::parse(&input.execution_arn)?;
    let machine = call
        .engine()
        .describe_state_machine_for_execution(&scope(context), &input.execution_arn)
        .await
        .map_err(to_api)?;
    let encryption = configuration::read::<EncryptionConfiguration>(&machine.configurations.encryption);
    Ok(DescribeStateMachineForExecutionOutput {
        state_machine_arn: machine.arn.to_string(),
        name: machine.name.to_string(),
        definition: shown_definition(&machine, input.included_data, encryption.as_ref()),
        role_arn: machine.role_arn.to_string(),
        update_date: Timestamp(machine.updated_at),
        logging_configuration: configuration::read(&machine.configurations.logging),
        tracing_configuration: configuration::read(&machine.configurations.tracing),
        map_run_arn: machine.map_run.as_ref().map(|(arn, _)| arn.to_string()),
        label: machine.map_run.as_ref().map(|(_, label)| label.to_string()),
        revision_id: machine.revision_id.as_ref().map(ToString::to_string),
        encryption_configuration: shown_encryption(encryption, &machine.definition),
        variable_references: definitions::variable_references(&machine.definition),
    })
}

pub(super) async fn list_state_machines(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListStateMachinesInput,
) -> Result<ListStateMachinesOutput, ApiError> {
    let page = call
        .engine()
        .list_state_machines(&scope(context), page(input.max_results, input.next_token))
        .await
        .map_err(to_api)?;
    let state_machines = page
        .items
        .into_iter()
        .map(|item| StateMachineListItem {
            state_machine_arn: item.arn.to_string(),
            name: item.name.to_string(),
            r#type: type_of(item.machine_type),
            creation_date: Timestamp(item.created_at),
        })
        .collect();
    Ok(ListStateMachinesOutput { state_machines, next_token: page.next_token })
}

pub(super) async fn delete_state_machine(
    call: &Call<'_>,
    context: &RequestContext,
    input: DeleteStateMachineInput,
) -> Result<DeleteStateMachineOutput, ApiError> {
    let arn = StateMachineArn::parse(&input.state_machine_arn)?;
    if arn.label.is_some() {
        return Err(labelled());
    }
    if !arn.is_unqualified() {
        return Err(validation("DeleteStateMachine takes the ARN of a state machine, not of a version or an alias"));
    }
    call.engine().delete_state_machine(&scope(context), &input.state_machine_arn).await.map_err(to_api)?;
    Ok(DeleteStateMachineOutput::default())
}

/// The definition, which METADATA_ONLY leaves out of machines that have a key of their own.
fn shown_definition(
    machine: &StateMachine,
    included: Option<IncludedData>,
    encryption: Option<&EncryptionConfiguration>,
) -> String {
    let own_key = encryption.is_some_and(|encryption| encryption.r#type == EncryptionType::CustomerManagedKmsKey);
    if own_key && included == Some(IncludedData::MetadataOnly) {
        return String::new();
    }
    machine.definition.text.to_string()
}

fn type_of(machine_type: MachineType) -> StateMachineType {
    match machine_type {
        MachineType::Standard => StateMachineType::Standard,
        MachineType::Express => StateMachineType::Express,
    }
}

/// The default encryption is shown as in AWS's recorded answers: those from before variables existed lack it, those
/// about machines that use variables have it. A key of the user's own is always shown.
fn shown_encryption(
    encryption: Option<EncryptionConfiguration>,
    definition: &ValidDefinition,
) -> Option<EncryptionConfiguration> {
    encryption.filter(|encryption| {
        encryption.r#type != EncryptionType::AwsOwnedKey || definitions::uses_variables(definition)
    })
}

/// The most diagnostics that one answer holds, unless fewer are asked for.
const MAX_DIAGNOSTICS: usize = 100;

pub(super) async fn validate_state_machine_definition(
    _: &Call<'_>,
    _: &RequestContext,
    input: ValidateStateMachineDefinitionInput,
) -> Result<ValidateStateMachineDefinitionOutput, ApiError> {
    let machine_type = match input.r#type {
        None | Some(StateMachineType::Standard) => MachineType::Standard,
        Some(StateMachineType::Express) => MachineType::Express,
    };
    let (mut diagnostics, valid) = definitions::diagnose(&input.definition, machine_type);
    if input.severity != Some(Severity::Warning) {
        diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
    }
    let most = input.max_results.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0);
    let most = most.unwrap_or(MAX_DIAGNOSTICS);
    let truncated = diagnostics.len() > most;
    diagnostics.truncate(most);
    let result = if valid { ResultCode::Ok } else { ResultCode::Fail };
    let mut output = ValidateStateMachineDefinitionOutput::new(result, diagnostics);
    output.truncated = Some(truncated);
    Ok(output)
}
