//! Task states: the resource and what depends on it.

use std::sync::Arc;

use stepwright_querylang::jsonata::Members;

use super::data::Roots;
use super::fields::Fields;
use super::{Checker, Context, number_limits};
use crate::definition::{Credentials, NumberField, QueryLanguage, Task};
use crate::json::Node;
use crate::resource::{Integration, Pattern, Resource, ResourceError};
use crate::{MachineType, SdkService};

/// The optimized integrations that this version can call, besides `aws-sdk:*`. Of Step Functions itself, the server
/// knows which operations.
const SERVED: [&str; 6] = ["lambda", "sqs", "sns", "dynamodb", "events", "states"];

impl<'t> Checker<'t> {
    /// The fields of a Task state.
    pub(super) fn task(&mut self, fields: &Fields<'t>, context: Context) -> Option<Task> {
        self.required(fields, &["Resource"]);
        let resource = self.resource(fields);
        if let Some(Resource::Integration(integration)) = &resource {
            self.required_parameters(fields, integration, context.language);
            self.sdk_parameters(fields, integration, context.language);
        }
        let credentials = self.credentials(fields, resource.as_ref(), context.language);
        let seconds = 1..=number_limits::MAX_SECONDS;
        let path = Some(("TimeoutSecondsPath", Roots::All));
        let timeout_seconds = self.number_field(fields, "TimeoutSeconds", path, seconds.clone(), context.language);
        let path = Some(("HeartbeatSecondsPath", Roots::All));
        let heartbeat_seconds = self.number_field(fields, "HeartbeatSeconds", path, seconds, context.language);
        if let (Some(NumberField::Literal(timeout)), Some(NumberField::Literal(heartbeat))) =
            (&timeout_seconds, &heartbeat_seconds)
            && heartbeat >= timeout
        {
            let message = format!("HeartbeatSeconds ({heartbeat}) should be smaller than TimeoutSeconds ({timeout})");
            self.invalid(message, fields.node);
        }
        let (retry, catch) = self.error_handling(fields, context.language);
        let transition = self.transition(fields)?;
        Some(Task { resource: resource?, timeout_seconds, heartbeat_seconds, credentials, retry, catch, transition })
    }

    fn resource(&mut self, fields: &Fields<'t>) -> Option<Resource> {
        let text = self.string(fields, "Resource")?;
        let node = fields.get("Resource")?;
        let resource = match Resource::parse(text).and_then(|resource| self.existing(resource)) {
            Ok(resource) => resource,
            Err(error) => {
                let message = match error {
                    ResourceError::NotAnArn => "Value is not a valid resource ARN".to_owned(),
                    ResourceError::NotRecognized => format!(
                        "The resource provided {text} is not recognized. The value is not a valid resource ARN, or \
                         the resource is not available in this region."
                    ),
                };
                self.invalid_member("Resource", message, node);
                return None;
            }
        };
        if self.workflow == MachineType::Express
            && let Some(message) = refused_in_express(&resource)
        {
            self.invalid_member("Resource", message, node);
        }
        if let Resource::Integration(integration) = &resource
            && integration.sdk_service().is_none()
            && !SERVED.contains(&&*integration.resource_type)
        {
            self.not_supported_yet(format!("the resource {text}"));
        }
        Some(resource)
    }

    /// The resource, unless it is an action that its service doesn't have.
    fn existing(&mut self, resource: Resource) -> Result<Resource, ResourceError> {
        match &resource {
            Resource::Integration(integration) if self.options.sdk.is_some() && integration.sdk_service().is_some() => {
                let known = self
                    .sdk_service(integration)
                    .is_some_and(|service| service.parameters(&integration.action).is_some());
                if known { Ok(resource) } else { Err(ResourceError::NotRecognized) }
            }
            _ => Ok(resource),
        }
    }

    /// The service of an SDK integration, if there is a catalog and it is there.
    fn sdk_service(&mut self, integration: &Integration) -> Option<Arc<dyn SdkService>> {
        let (catalog, name) = (self.options.sdk?, integration.sdk_service()?);
        if let Some(found) = self.sdk_services.get(name) {
            return found.clone();
        }
        let found = catalog.service(name);
        self.sdk_services.insert(name.to_owned(), found.clone());
        found
    }

    /// The parameters of an SDK integration: those that must be there, and those that its action doesn't have.
    fn sdk_parameters(&mut self, fields: &Fields<'t>, integration: &Integration, language: QueryLanguage) {
        let field = match language {
            QueryLanguage::JsonPath => "Parameters",
            QueryLanguage::Jsonata => "Arguments",
        };
        let service = self.sdk_service(integration);
        let known = service.as_ref().and_then(|service| service.parameters(&integration.action));
        let (Some(known), given) = (known, fields.get(field)) else { return };
        // One expression for everything: what it yields is known at run time. Wrong types are reported elsewhere.
        if given.is_some_and(|node| node.as_object().is_none()) {
            return;
        }
        for (name, required) in &known {
            if *required && !has_parameter(given, name, language) {
                let message = format!("The field '{name}' is required but was missing");
                self.invalid_member(field, message, given.unwrap_or(fields.node));
            }
        }
        for member in given.and_then(Node::as_object).into_iter().flatten() {
            let name: &str = &member.key;
            let bare = match language {
                QueryLanguage::JsonPath => name.strip_suffix(".$").unwrap_or(name),
                QueryLanguage::Jsonata => name,
            };
            if !known.iter().any(|(known, _)| *known == bare) {
                let message = format!("The field '{bare}' is not supported by Step Functions");
                self.invalid_member(field, message, given.unwrap_or(fields.node));
            }
        }
    }

    /// Parameters without which an integration cannot be called.
    fn required_parameters(&mut self, fields: &Fields<'t>, integration: &Integration, language: QueryLanguage) {
        let field = match language {
            QueryLanguage::JsonPath => "Parameters",
            QueryLanguage::Jsonata => "Arguments",
        };
        let given = fields.get(field);
        // One expression for everything: what it yields is known at run time. Wrong types are reported elsewhere.
        if given.is_some_and(|node| node.as_object().is_none()) {
            return;
        }
        for name in integration.required {
            if !has_parameter(given, name, language) {
                let message = format!("The field '{name}' is required but was missing");
                self.invalid_member(field, message, given.unwrap_or(fields.node));
            }
        }
    }

    fn credentials(
        &mut self,
        fields: &Fields<'t>,
        resource: Option<&Resource>,
        language: QueryLanguage,
    ) -> Option<Credentials> {
        let node = self.object_member(fields, "Credentials")?.node;
        if matches!(resource, Some(Resource::Activity { .. })) {
            let message = "The field 'Credentials' is not supported for activities";
            self.invalid_member("Credentials", message, node);
        }
        if !has_parameter(Some(node), "RoleArn", language) {
            self.invalid_member("Credentials", "The field 'RoleArn' is required but was missing", node);
        }
        match language {
            QueryLanguage::JsonPath => self.template(fields, "Credentials").map(Credentials::JsonPath),
            QueryLanguage::Jsonata => self.jsonata(fields, "Credentials", Members::INPUT).map(Credentials::Jsonata),
        }
    }
}

fn has_parameter(node: Option<&Node>, name: &str, language: QueryLanguage) -> bool {
    node.is_some_and(|node| {
        node.get(name).is_some() || language == QueryLanguage::JsonPath && node.get(&format!("{name}.$")).is_some()
    })
}

/// Why an express machine cannot use a resource. The blank at the end of one text is the service's.
fn refused_in_express(resource: &Resource) -> Option<&'static str> {
    match resource {
        Resource::LambdaFunction { .. } => None,
        Resource::Activity { .. } => Some("Express state machine does not support Activity ARN"),
        Resource::Integration(integration) => match integration.pattern {
            Pattern::RequestResponse => None,
            Pattern::Sync | Pattern::Sync2 => {
                Some("Express state machine does not support '.sync' service integration")
            }
            Pattern::WaitForTaskToken => {
                Some("Express state machine does not support '.waitForTaskToken' service integration ")
            }
        },
    }
}
