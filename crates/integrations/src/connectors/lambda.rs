//! AWS Lambda: a function's ARN as the resource, and `arn:aws:states:::lambda:invoke`, with or without
//! `.waitForTaskToken`. One Invoke call each; never a second one that could run the function twice.

mod outcome;
mod request;

use std::{borrow::Cow, sync::Arc};

use stepwright_asl::resource::{Pattern, Resource};
use stepwright_engine::{BoxFuture, Connector, ConnectorFailure, TaskCall, TaskOutcome};

use self::{
    outcome::{Style, read_answer},
    request::{Invocation, direct, optimized},
};
use crate::{
    aws::{AwsClient, Caller, Service},
    endpoint::ServiceEndpoint,
    error::{ConfigError, Error, failure},
};

/// The connector of AWS Lambda.
#[derive(Clone, Debug)]
pub struct LambdaConnector {
    client: AwsClient,
    service: Arc<Service>,
}

impl LambdaConnector {
    /// A connector whose endpoint is read from `lookup`, which knows environment variables.
    ///
    /// # Errors
    /// The environment names an endpoint that is none.
    pub fn new(client: AwsClient, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let endpoint = ServiceEndpoint::from_environment(lookup, "LAMBDA", "lambda")?;
        Ok(Self { client, service: Arc::new(Service { signing_name: "lambda", endpoint }) })
    }

    async fn run(&self, task: &TaskCall) -> Result<TaskOutcome, ConnectorFailure> {
        let (style, invocation) = match &task.resource {
            Resource::LambdaFunction { arn } => (Style::Direct { arn }, direct(arn, task, &self.service.endpoint)),
            _ => (Style::Optimized, optimized(task)),
        };
        let Invocation { region, request } = invocation?;
        let caller = Caller { region: region.as_deref().unwrap_or(&task.region), ..Caller::of(task) };
        let answer = self
            .client
            .send(&self.service, caller, &request)
            .await
            .map_err(|error| not_answered(&error, &task.role_arn, style))?;
        let result = read_answer(&answer, style)?;
        Ok(match pattern(&task.resource) {
            Some(Pattern::WaitForTaskToken) => TaskOutcome::Submitted(result),
            _ => TaskOutcome::Succeeded(result),
        })
    }
}

impl Connector for LambdaConnector {
    fn name(&self) -> &'static str {
        "lambda"
    }

    fn accepts(&self, resource: &Resource) -> bool {
        match resource {
            Resource::LambdaFunction { .. } => true,
            Resource::Integration(integration) => {
                &*integration.resource_type == "lambda"
                    && &*integration.action == "invoke"
                    && matches!(integration.pattern, Pattern::RequestResponse | Pattern::WaitForTaskToken)
            }
            Resource::Activity { .. } => false,
        }
    }

    /// The function: each may be as slow as it likes.
    fn service<'a>(&'a self, resource: &'a Resource, input: &'a str) -> Cow<'a, str> {
        match resource {
            Resource::LambdaFunction { arn } => Cow::Borrowed(request::name_of(arn)),
            Resource::Integration(_) | Resource::Activity { .. } => request::function_of(input),
        }
    }

    fn lost_error(&self, _resource: &Resource) -> ConnectorFailure {
        failure(
            "Lambda.SdkClientException",
            "The answer of the function was lost because the server stopped during the call. It is not known whether \
             the function ran.",
        )
    }

    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let connector = self.clone();
        Box::pin(async move { connector.run(&task).await.unwrap_or_else(TaskOutcome::Failed) })
    }
}

fn pattern(resource: &Resource) -> Option<Pattern> {
    match resource {
        Resource::Integration(integration) => Some(integration.pattern),
        Resource::LambdaFunction { .. } | Resource::Activity { .. } => None,
    }
}

fn not_answered(error: &Error, execution_role: &str, style: Style<'_>) -> ConnectorFailure {
    match error {
        Error::RoleRefused { role, reason } => {
            tracing::warn!(role, reason, "a task's role could not be assumed");
            failure(
                "States.TaskFailed",
                &format!("The role {execution_role} is not authorized to assume the task state's role, {role}."),
            )
        }
        Error::TimedOut => failure("Lambda.ClientExecutionTimeoutException", &error.to_string()),
        Error::TooLong { .. } => style.too_large(),
        Error::NoCredentials { .. }
        | Error::Unsendable { .. }
        | Error::NotConnected { .. }
        | Error::NoAnswer { .. } => failure("Lambda.SdkClientException", &error.to_string()),
    }
}
