//! Definitions on their way in: checked by `asl`, refused as AWS refuses them.
//!
//! What AWS accepts and this version does not run is refused when it is created, never when it runs.

use std::{collections::BTreeMap, sync::Arc};

use stepwright_api::{
    ApiError, ErrorCode,
    types::{
        ValidateStateMachineDefinitionDiagnostic as WireDiagnostic,
        ValidateStateMachineDefinitionSeverity as WireSeverity,
    },
};
use stepwright_asl::{
    Definition, Options, Parsed, Resource, Severity, State, StateKind, Unsupported, invalid_definition_message,
    label_refusal, parse,
};
use stepwright_engine::{MachineType, ValidDefinition};
use stepwright_integrations::model::Catalog;

use crate::self_calls;

fn parse_for(text: &str, machine_type: MachineType) -> Parsed {
    parse(text, &options(machine_type))
}

/// What definitions for machines of this type are judged by.
pub(crate) fn options(machine_type: MachineType) -> Options {
    let machine_type = match machine_type {
        MachineType::Standard => stepwright_asl::MachineType::Standard,
        MachineType::Express => stepwright_asl::MachineType::Express,
    };
    Options { machine_type, sdk: Some(&Catalog), ..Options::default() }
}

/// Everything there is to say about the text of a definition, and whether AWS accepts it. What AWS accepts and this
/// version does not run is a warning of its own code.
pub(crate) fn diagnose(text: &str, machine_type: MachineType) -> (Vec<WireDiagnostic>, bool) {
    let parsed = parse_for(text, machine_type);
    let mut diagnostics: Vec<WireDiagnostic> = parsed
        .diagnostics
        .iter()
        .map(|diagnostic| {
            let severity = match diagnostic.severity {
                Severity::Error => WireSeverity::Error,
                Severity::Warning => WireSeverity::Warning,
            };
            let code = diagnostic.code.as_str().to_owned();
            let mut wire = WireDiagnostic::new(severity, code, diagnostic.message.clone());
            wire.location.clone_from(&diagnostic.location);
            wire
        })
        .collect();
    let parts = parsed.unsupported.iter().map(|part| (part.feature.clone(), Some(part.location.clone())));
    let calls = parsed.definition.iter().flat_map(unserved_self_calls).map(|call| (call, None));
    for (part, location) in parts.chain(calls) {
        let message = format!("valid on AWS, but not served by this version of Stepwright yet: {part}");
        let mut wire = WireDiagnostic::new(WireSeverity::Warning, "NOT_SERVED".to_owned(), message);
        wire.location = location;
        diagnostics.push(wire);
    }
    (diagnostics, parsed.definition.is_some())
}

/// Checks the text of a definition for a machine of this type. One that is mocked may call what is not served: its test
/// cases answer.
///
/// # Errors
/// `InvalidDefinition`.
pub(crate) fn check(text: &str, machine_type: MachineType, is_mocked: bool) -> Result<ValidDefinition, ApiError> {
    let parsed = parse_for(text, machine_type);
    let Some(definition) = parsed.definition else {
        let refusal = label_refusal(text, &parsed.diagnostics);
        let message = refusal.unwrap_or_else(|| invalid_definition_message(&parsed.diagnostics));
        return Err(ApiError::new(ErrorCode::InvalidDefinition, message));
    };
    let mut list: Vec<String> = parsed.unsupported.iter().map(not_served).collect();
    list.extend(unserved_self_calls(&definition));
    if !list.is_empty() && !is_mocked {
        let message = format!(
            "Invalid State Machine Definition: 'valid on AWS, but not served by this version of Stepwright yet: {}'",
            list.join(", ")
        );
        return Err(ApiError::new(ErrorCode::InvalidDefinition, message));
    }
    Ok(ValidDefinition { text: text.into(), compiled: Arc::new(definition) })
}

/// Calls to Step Functions itself that this server does not answer.
fn unserved_self_calls(definition: &Definition) -> impl Iterator<Item = String> {
    definition.states.iter().filter_map(|state| match &state.kind {
        StateKind::Task(task) => match &task.resource {
            Resource::Integration(integration)
                if &*integration.resource_type == self_calls::SERVICE
                    && self_calls::operation(integration).is_none() =>
            {
                Some(format!("the resource {} of the state '{}'", integration.arn, state.name))
            }
            _ => None,
        },
        _ => None,
    })
}

/// Compiles the text of a definition that passed the check once, maybe in an older version. What is right for an
/// EXPRESS machine is right for a STANDARD one too, so the type does not matter here.
///
/// # Errors
/// What is wrong with it.
pub fn compile(text: &str) -> Result<Definition, String> {
    let parsed = parse(text, &Options::default());
    parsed.definition.ok_or_else(|| invalid_definition_message(&parsed.diagnostics))
}

/// State names with the variables they refer to; absent when there are none.
pub(crate) fn variable_references(definition: &ValidDefinition) -> Option<BTreeMap<String, Vec<String>>> {
    let references = stepwright_asl::variable_references(&definition.compiled);
    let references: BTreeMap<String, Vec<String>> =
        references.into_iter().map(|(state, variables)| (state, variables.into_iter().collect())).collect();
    (!references.is_empty()).then_some(references)
}

/// Whether a definition assigns or reads variables.
pub(crate) fn uses_variables(definition: &ValidDefinition) -> bool {
    let assigns = |state: &State| match &state.kind {
        StateKind::Choice(choice) => choice.rules.iter().any(|rule| rule.assign.is_some()),
        StateKind::Task(task) => task.catch.iter().any(|catcher| catcher.assign.is_some()),
        StateKind::Parallel(parallel) => parallel.catch.iter().any(|catcher| catcher.assign.is_some()),
        StateKind::Map(map) => map.catch.iter().any(|catcher| catcher.assign.is_some()),
        _ => false,
    };
    definition.compiled.states.iter().any(|state| state.data.assign.is_some() || assigns(state))
        || !stepwright_asl::variable_references(&definition.compiled).is_empty()
}

/// A part of a definition that this version does not run, with its place.
pub(crate) fn not_served(part: &Unsupported) -> String {
    format!("{} at {}", part.feature, part.location)
}
