//! Versions of state machines, and the aliases that route to them.

use std::sync::Arc;

use stepwright_api::{
    ApiError, RequestContext, Timestamp,
    arn::{Qualifier, StateMachineArn},
    types::{
        CreateStateMachineAliasInput, CreateStateMachineAliasOutput, DeleteStateMachineAliasInput,
        DeleteStateMachineAliasOutput, DeleteStateMachineVersionInput, DeleteStateMachineVersionOutput,
        DescribeStateMachineAliasInput, DescribeStateMachineAliasOutput, ListStateMachineAliasesInput,
        ListStateMachineAliasesOutput, ListStateMachineVersionsInput, ListStateMachineVersionsOutput,
        PublishStateMachineVersionInput, PublishStateMachineVersionOutput, RoutingConfigurationListItem,
        StateMachineAliasListItem, StateMachineVersionListItem, UpdateStateMachineAliasInput,
        UpdateStateMachineAliasOutput, ValidationExceptionReason,
    },
};
use stepwright_engine::{AliasUpdate, NewAlias, Publication, Route};

use super::{Call, labelled, page, scope, shared};
use crate::errors::{state_machine_does_not_exist, to_api, validation};

/// How requests spell the revision that a machine is created with.
pub(crate) const INITIAL: &str = "INITIAL";

pub(super) async fn publish_state_machine_version(
    call: &Call<'_>,
    context: &RequestContext,
    input: PublishStateMachineVersionInput,
) -> Result<PublishStateMachineVersionOutput, ApiError> {
    let arn = StateMachineArn::parse(&input.state_machine_arn)?;
    if arn.label.is_some() {
        return Err(labelled());
    }
    if !arn.is_unqualified() {
        return Err(state_machine_does_not_exist(&input.state_machine_arn));
    }
    let revision_id = input.revision_id.map(|id| if id == INITIAL { String::new() } else { id });
    let publication = Publication { revision_id: shared(revision_id), description: shared(input.description) };
    let published =
        call.engine().publish_version(&scope(context), &input.state_machine_arn, publication).await.map_err(to_api)?;
    Ok(PublishStateMachineVersionOutput::new(Timestamp(published.created_at), published.arn.to_string()))
}

pub(super) async fn delete_state_machine_version(
    call: &Call<'_>,
    context: &RequestContext,
    input: DeleteStateMachineVersionInput,
) -> Result<DeleteStateMachineVersionOutput, ApiError> {
    let arn = StateMachineArn::parse(&input.state_machine_version_arn)?;
    if !matches!(arn, StateMachineArn { label: None, qualifier: Some(Qualifier::Version(_)), .. }) {
        return Err(validation(format!("'{arn}' is not the ARN of a state machine version")));
    }
    call.engine().delete_version(&scope(context), &input.state_machine_version_arn).await.map_err(to_api)?;
    Ok(DeleteStateMachineVersionOutput::default())
}

pub(super) async fn list_state_machine_versions(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListStateMachineVersionsInput,
) -> Result<ListStateMachineVersionsOutput, ApiError> {
    let arn = StateMachineArn::parse(&input.state_machine_arn)?;
    if arn.label.is_some() {
        return Err(labelled());
    }
    let page = page(input.max_results, input.next_token);
    let page = call.engine().list_versions(&scope(context), &input.state_machine_arn, page).await.map_err(to_api)?;
    let item = |item: stepwright_engine::Created| StateMachineVersionListItem {
        state_machine_version_arn: item.arn.to_string(),
        creation_date: Timestamp(item.created_at),
    };
    let mut output = ListStateMachineVersionsOutput::new(page.items.into_iter().map(item).collect());
    output.next_token = page.next_token;
    Ok(output)
}

pub(super) async fn create_state_machine_alias(
    call: &Call<'_>,
    context: &RequestContext,
    input: CreateStateMachineAliasInput,
) -> Result<CreateStateMachineAliasOutput, ApiError> {
    let routes = routes(input.routing_configuration)?;
    let new = NewAlias { name: input.name.into(), routes, description: shared(input.description) };
    let created = call.engine().create_alias(&scope(context), new).await.map_err(to_api)?;
    Ok(CreateStateMachineAliasOutput::new(created.arn.to_string(), Timestamp(created.created_at)))
}

pub(super) async fn update_state_machine_alias(
    call: &Call<'_>,
    context: &RequestContext,
    input: UpdateStateMachineAliasInput,
) -> Result<UpdateStateMachineAliasOutput, ApiError> {
    let arn = alias(&input.state_machine_alias_arn)?;
    if input.description.is_none() && input.routing_configuration.is_none() {
        return Err(validation("Either the description or the routing configuration must be specified")
            .with_reason(ValidationExceptionReason::MissingRequiredParameter));
    }
    let routes = input.routing_configuration.map(routes).transpose()?;
    if let Some(foreign) = routes.iter().flatten().find(|route| !is_version_of(&route.version_arn, &arn)) {
        return Err(other_machine(&foreign.version_arn));
    }
    let update = AliasUpdate { routes, description: shared(input.description) };
    let updated =
        call.engine().update_alias(&scope(context), &input.state_machine_alias_arn, update).await.map_err(to_api)?;
    Ok(UpdateStateMachineAliasOutput::new(Timestamp(updated)))
}

pub(super) async fn describe_state_machine_alias(
    call: &Call<'_>,
    context: &RequestContext,
    input: DescribeStateMachineAliasInput,
) -> Result<DescribeStateMachineAliasOutput, ApiError> {
    alias(&input.state_machine_alias_arn)?;
    let alias = call.engine().describe_alias(&scope(context), &input.state_machine_alias_arn).await.map_err(to_api)?;
    let route = |route: Route| RoutingConfigurationListItem {
        state_machine_version_arn: route.version_arn.to_string(),
        weight: i32::from(route.weight),
    };
    Ok(DescribeStateMachineAliasOutput {
        state_machine_alias_arn: Some(alias.arn.to_string()),
        name: Some(alias.name.to_string()),
        description: alias.description.as_deref().map(ToString::to_string),
        routing_configuration: Some(alias.routes.into_iter().map(route).collect()),
        creation_date: Some(Timestamp(alias.created_at)),
        update_date: Some(Timestamp(alias.updated_at)),
    })
}

pub(super) async fn delete_state_machine_alias(
    call: &Call<'_>,
    context: &RequestContext,
    input: DeleteStateMachineAliasInput,
) -> Result<DeleteStateMachineAliasOutput, ApiError> {
    alias(&input.state_machine_alias_arn)?;
    call.engine().delete_alias(&scope(context), &input.state_machine_alias_arn).await.map_err(to_api)?;
    Ok(DeleteStateMachineAliasOutput::default())
}

pub(super) async fn list_state_machine_aliases(
    call: &Call<'_>,
    context: &RequestContext,
    input: ListStateMachineAliasesInput,
) -> Result<ListStateMachineAliasesOutput, ApiError> {
    let arn = StateMachineArn::parse(&input.state_machine_arn)?;
    if arn.label.is_some() {
        return Err(labelled());
    }
    let page = page(input.max_results, input.next_token);
    let page = call.engine().list_aliases(&scope(context), &input.state_machine_arn, page).await.map_err(to_api)?;
    let item = |item: stepwright_engine::Created| StateMachineAliasListItem {
        state_machine_alias_arn: item.arn.to_string(),
        creation_date: Timestamp(item.created_at),
    };
    let mut output = ListStateMachineAliasesOutput::new(page.items.into_iter().map(item).collect());
    output.next_token = page.next_token;
    Ok(output)
}

/// The ARN of an alias.
fn alias(text: &str) -> Result<StateMachineArn, ApiError> {
    let arn = StateMachineArn::parse(text)?;
    match arn {
        StateMachineArn { label: None, qualifier: Some(Qualifier::Alias(_)), .. } => Ok(arn),
        _ => Err(validation(format!("'{text}' is not the ARN of a state machine alias"))),
    }
}

/// A routing configuration, checked in AWS's order (recorded).
fn routes(given: Vec<RoutingConfigurationListItem>) -> Result<Vec<Route>, ApiError> {
    let mut arns = Vec::with_capacity(given.len());
    for item in &given {
        arns.push(StateMachineArn::parse(&item.state_machine_version_arn)?);
    }
    let received = || {
        let texts: Vec<&str> = given.iter().map(|item| item.state_machine_version_arn.as_str()).collect();
        texts.join(", ")
    };
    let is_version =
        |arn: &StateMachineArn| arn.label.is_none() && matches!(arn.qualifier, Some(Qualifier::Version(_)));
    if !arns.iter().all(is_version) {
        let message = "Routing configuration must contain state machine version ARNs. Received";
        return Err(validation(format!("{message}: [{}]", received())));
    }
    if let [first, second] = &arns[..] {
        if first == second {
            let message = "Routing configuration must contain distinct state machine version ARNs. Received";
            return Err(validation(format!("{message}: [{}]", received())));
        }
        if first.unqualified() != second.unqualified() {
            return Err(other_machine(&given[1].state_machine_version_arn));
        }
    }
    let weights: Vec<String> = given.iter().map(|item| item.weight.to_string()).collect();
    if given.iter().map(|item| item.weight).sum::<i32>() != 100 {
        let weights = weights.join(", ");
        return Err(validation(format!("Sum of routing configuration weights must equal 100. Received: [{weights}]")));
    }
    let route = |item: RoutingConfigurationListItem| {
        let weight = u8::try_from(item.weight).map_err(|_| validation("A weight is between 0 and 100"))?;
        Ok(Route { version_arn: item.state_machine_version_arn.into(), weight })
    };
    given.into_iter().map(route).collect()
}

fn is_version_of(version: &Arc<str>, alias: &StateMachineArn) -> bool {
    StateMachineArn::parse(version).is_ok_and(|version| version.unqualified() == alias.unqualified())
}

fn other_machine(version: &str) -> ApiError {
    validation(format!("Routing configuration must contain versions of one state machine. Received: [{version}]"))
        .with_reason(ValidationExceptionReason::InvalidRoutingConfiguration)
}

/// What was asked to be published, and under which description. A description without publication is refused
/// (recorded).
pub(super) fn publication(
    publish: Option<bool>,
    description: Option<String>,
) -> Result<Option<Option<Arc<str>>>, ApiError> {
    match (publish.unwrap_or(false), description) {
        (true, description) => Ok(Some(shared(description))),
        (false, Some(_)) => Err(validation("Version description can only be set when publish is true")),
        (false, None) => Ok(None),
    }
}
