//! Resources that nothing is known by, and parameters that an action does not have.

use super::{Case, between, did_you_mean};
use crate::json::Node;
use crate::{nearest, registry};

impl Case<'_> {
    /// Advice on a message about a resource or its parameters.
    pub(super) fn resource(&self) -> Option<String> {
        if self.message == "Value is not a valid resource ARN" {
            return Some(
                "A resource is an ARN: \"arn:aws:states:::lambda:invoke\" for a service, \
                 \"arn:aws:lambda:region:account:function:name\" for a function, \
                 \"arn:aws:states:region:account:activity:name\" for an activity."
                    .to_owned(),
            );
        }
        if self.message.starts_with("The resource provided ") {
            return Some(self.unknown_resource(self.text()?));
        }
        if let Some(name) = between(self.message, "The field '", "' is not supported by Step Functions") {
            let resource = self.trail.state()?.get("Resource").and_then(Node::as_str)?;
            let (service, action) = resource.rsplit_once("aws-sdk:")?.1.split_once(':')?;
            let service = self.options.sdk?.service(service)?;
            let action = action.split('.').next().unwrap_or(action);
            let known = service.parameters(action)?;
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let near = did_you_mean(name, names.iter().copied());
            return Some(format!("{near}The parameters of {action} are {}.", super::some(names.into_iter())));
        }
        if self.message.contains("is not supported for activities") {
            return Some("An activity's worker has credentials of its own: remove the field.".to_owned());
        }
        None
    }

    fn unknown_resource(&self, text: &str) -> String {
        let Some(name) = text.strip_prefix("arn:").and_then(|rest| rest.split_once(":states:::")).map(|(_, name)| name)
        else {
            if text.contains(":lambda:") {
                return "A function's ARN is arn:aws:lambda:region:account:function:name, with a version or alias behind \
                        another colon if need be."
                    .to_owned();
            }
            return "A resource is a function's or an activity's ARN, or arn:aws:states:::service:action.".to_owned();
        };
        if let Some(sdk) = name.strip_prefix("aws-sdk:") {
            return self.unknown_sdk(sdk);
        }
        let (bare, pattern) = match name.split_once('.') {
            Some((bare, pattern)) => (bare, Some(pattern)),
            None => (name, None),
        };
        let actions: Vec<(String, Vec<&'static str>)> = registry::actions().collect();
        if let Some((action, patterns)) = actions.iter().find(|(action, _)| action == bare) {
            let pattern = pattern.unwrap_or_default();
            return if patterns.is_empty() {
                format!("{action} takes no pattern: remove \".{pattern}\".")
            } else {
                let near = did_you_mean(&format!(".{pattern}"), patterns.iter().copied());
                format!("{near}{action} takes no \".{pattern}\": use {}, or none.", patterns.join(" or "))
            };
        }
        match nearest(bare, actions.iter().map(|(action, _)| action.as_str())) {
            Some(near) => format!("There is no integration {bare:?}. Did you mean \"arn:aws:states:::{near}\"?"),
            None => {
                let service = bare.split(':').next().unwrap_or(bare);
                let of_service: Vec<&str> = actions
                    .iter()
                    .map(|(action, _)| action.as_str())
                    .filter(|action| action.split(':').next() == Some(service))
                    .collect();
                if of_service.is_empty() {
                    format!(
                        "There is no optimized integration with {service:?}. Any action of any service can be called as \
                         arn:aws:states:::aws-sdk:service:action, such as aws-sdk:s3:getObject."
                    )
                } else {
                    format!(
                        "{service} has {} as optimized integrations; any other action is \
                         arn:aws:states:::aws-sdk:{service}:action.",
                        of_service.join(", ")
                    )
                }
            }
        }
    }

    fn unknown_sdk(&self, name: &str) -> String {
        let form = "arn:aws:states:::aws-sdk:service:action, the service in small letters and the action as \
                    getObject, with .waitForTaskToken at most";
        let (Some((service, action)), Some(catalog)) = (name.split_once(':'), self.options.sdk) else {
            return format!("A call of the SDK is {form}.");
        };
        let action = action.split('.').next().unwrap_or(action);
        let Some(found) = catalog.service(service) else {
            let names = catalog.names();
            let near = did_you_mean(service, names.iter().map(String::as_str));
            return format!("There is no service {service:?}. {near}A call of the SDK is {form}.");
        };
        if found.parameters(action).is_some() {
            return format!("A call of the SDK is {form}.");
        }
        let near = did_you_mean(action, found.actions());
        format!("{service} has no action {action:?}. {near}A call of the SDK is {form}.")
    }
}
