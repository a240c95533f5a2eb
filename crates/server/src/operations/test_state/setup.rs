//! From a request to a test that has begun: the state, what it sees, and its mock.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use serde_json::Value;
use stepwright_api::{
    ApiError, ErrorCode, RequestContext,
    arn::StateMachineArn,
    types::{InspectionLevel, TestStateInput},
};
use stepwright_asl::{
    Definition, Parsed, Pattern, Resource, State, StateId, StateKind, invalid_definition_message, parse, parse_state,
};
use stepwright_engine::{
    Engine, MachineType,
    clock::{Clock as _, SeedSource as _, SystemClock, SystemSeeds},
};
use stepwright_machine::{
    ExecutionInfo, Limits, Payload,
    inspect::{Inspection, Setup},
};
use stepwright_querylang::is_variable_name;

use super::{context, mock::Mock};
use crate::{definitions, errors::validation, ids::random_uuid, json_text};

/// All expressions of a test together may take this many times what those of one field may.
const FIELDS: u64 = 32;

/// What a test needs of the server.
pub(super) struct Surroundings {
    pub(super) engine: Engine,
    pub(super) limits: Limits,
    pub(super) context: RequestContext,
    pub(super) given_up: Arc<AtomicBool>,
}

/// A test under way.
pub(super) struct Test {
    pub(super) inspection: Inspection,
    /// States that the state leads to and that are not in the definition.
    pub(super) elsewhere: Vec<Arc<str>>,
    /// The input, as given.
    pub(super) input: String,
    pub(super) level: InspectionLevel,
    pub(super) account: Arc<str>,
    pub(super) region: Arc<str>,
    pub(super) retries: u32,
}

/// Begins the test, and takes it as far as its mock reaches.
pub(super) fn begin(input: TestStateInput, surroundings: Surroundings) -> Result<Test, ApiError> {
    let Surroundings { engine, limits, context: request, given_up } = surroundings;
    let variables = variables(input.variables.as_deref())?;
    let mock = input.mock.map(Mock::read).transpose()?;
    let (definition, state, elsewhere) = find(&input.definition, input.state_name.as_deref())?;
    match &mock {
        None => check_unmocked(&engine, definition.state(state), input.role_arn.is_some())?,
        Some(mock) => mock.check(definition.state(state))?,
    }
    let context = match &input.context {
        None => None,
        Some(text) => Some(context::check(text, definition.state(state))?),
    };
    let configuration = input.state_configuration.unwrap_or_default();
    let retries = configuration.retrier_retry_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    let text = input.input.unwrap_or_else(|| "{}".to_owned());
    let now = SystemClock.now();
    let machine_name = random_uuid();
    let name = random_uuid();
    let machine_arn = StateMachineArn::new(request.scope(), machine_name.as_str()).to_string();
    let info = ExecutionInfo {
        arn: format!("{}:{name}", machine_arn.replacen(":stateMachine:", ":express:", 1)).into(),
        name: name.into(),
        role_arn: input.role_arn.unwrap_or_default().into(),
        state_machine_arn: machine_arn.into(),
        state_machine_name: machine_name.into(),
        started_at: now,
        limits,
        ..ExecutionInfo::nowhere()
    };
    let setup = Setup {
        info,
        input: Payload::new(text.as_str()),
        variables,
        context,
        retries,
        reader_data: configuration.map_item_reader_data.map(Arc::from),
        seed: SystemSeeds.next(),
        steps: limits.evaluation.steps.saturating_mul(FIELDS),
        given_up,
    };
    let mut inspection = Inspection::begin(definition, state, setup, now);
    if let Some(mock) = mock {
        mock.apply(&mut inspection, configuration.map_iteration_failure_count, now)?;
    }
    Ok(Test {
        inspection,
        elsewhere,
        input: text,
        level: input.inspection_level.unwrap_or(InspectionLevel::Info),
        account: request.account.into(),
        region: request.region.into(),
        retries,
    })
}

/// A state in its definition, and the states that it leads to and that are not there.
type Found = (Arc<Definition>, StateId, Vec<Arc<str>>);

/// The state: the definition itself, or the one of this name in a whole machine, at any depth.
fn find(text: &str, name: Option<&str>) -> Result<Found, ApiError> {
    let definition = |parsed: Parsed| {
        let refused = || ApiError::new(ErrorCode::InvalidDefinition, invalid_definition_message(&parsed.diagnostics));
        parsed.definition.map(Arc::new).ok_or_else(refused)
    };
    let Some(name) = name else {
        let lone = parse_state(text, &definitions::options(MachineType::Standard));
        return Ok((definition(lone.parsed)?, StateId(0), lone.elsewhere));
    };
    let definition = definition(parse(text, &definitions::options(MachineType::Standard)))?;
    let found = definition.states.iter().find(|state| *state.name == *name).map(|state| state.id);
    let found = found.ok_or_else(|| validation("State not found in definition"))?;
    Ok((definition, found, Vec::new()))
}

/// What can be tested without a mock.
fn check_unmocked(engine: &Engine, state: &State, has_role: bool) -> Result<(), ApiError> {
    let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidDefinition, message));
    let task = match &state.kind {
        StateKind::Map(_) | StateKind::Parallel(_) => {
            return refuse(
                "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, \
                 Pass, Succeed, Fail, Choice]"
                    .to_owned(),
            );
        }
        StateKind::Task(task) => task,
        _ => return Ok(()),
    };
    let needs_mock = match &task.resource {
        Resource::Activity { .. } => true,
        Resource::Integration(integration) => integration.pattern != Pattern::RequestResponse,
        Resource::LambdaFunction { .. } => false,
    };
    if needs_mock {
        return refuse(
            "TestState API supports Activity tasks and the service integration patterns '.sync' and \
             '.waitForTaskToken' only when a mock is specified."
                .to_owned(),
        );
    }
    if !has_role {
        return Err(validation("RoleArn must be specified when testing a Task state"));
    }
    if !engine.serves(&task.resource) {
        let arn = match &task.resource {
            Resource::Integration(integration) => &integration.arn,
            Resource::LambdaFunction { arn } | Resource::Activity { arn } => arn,
        };
        return refuse(format!(
            "Invalid State Machine Definition: 'valid on AWS, but not served by this version of Stepwright yet: the \
             resource {arn}; with a mock it can be tested'"
        ));
    }
    Ok(())
}

fn variables(text: Option<&str>) -> Result<BTreeMap<Arc<str>, Payload>, ApiError> {
    let Some(text) = text else { return Ok(BTreeMap::new()) };
    json_text::check(text).map_err(|error| validation(format!("Variables must be valid JSON: {error}")))?;
    let Ok(Value::Object(members)) = serde_json::from_str(text) else {
        return Err(validation("Variables must be a JSON object"));
    };
    let variable = |(name, value): (String, Value)| {
        if name == "states" || !is_variable_name(&name) {
            return Err(validation(format!("Invalid variable name '{name}'")));
        }
        Ok((Arc::from(name), Payload::new(value.to_string())))
    };
    members.into_iter().map(variable).collect()
}
