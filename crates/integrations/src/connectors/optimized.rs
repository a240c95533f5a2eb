//! What the optimized integrations of services share: one or a few actions, called by the service's model, results
//! that say how they came over HTTP, and errors in the words of AWS's first Java SDK. What is particular to a service
//! is in its own file, as data and two functions.

use serde_json::{Map, Value};
use stepwright_asl::resource::{Integration, Pattern, Resource};
use stepwright_engine::{BoxFuture, Connector, ConnectorFailure, TaskCall, TaskOutcome};

use super::{integration, lost};
use crate::{
    aws::Caller,
    error::{ServiceError, failure},
    metadata::{sdk_http_metadata, sdk_response_metadata},
    model::ServiceModel,
    protocol::{Blobs, Unknown},
    service_client::{self, Answer, CallError, ServiceClient, Spelling, Telling},
};

/// What is particular to a service.
#[derive(Debug)]
pub(super) struct Service {
    /// `resourceType`: `sqs`.
    pub(super) resource_type: &'static str,
    /// Its name in the models.
    pub(super) model: &'static str,
    /// Its actions.
    pub(super) actions: &'static [&'static str],
    /// Whether `.waitForTaskToken` is one of its patterns.
    pub(super) callback: bool,
    /// What error names begin with: `SQS`.
    pub(super) prefix: &'static str,
    /// Its name in AWS's first Java SDK: `AmazonSQS`.
    pub(super) client_name: &'static str,
    /// The error of codes that have no exception: `AmazonSQSException`.
    pub(super) base_exception: &'static str,
    /// Headers that it spells in its own way.
    pub(super) headers: &'static [&'static str],
    /// The parameters as they are sent.
    pub(super) prepare: fn(&TaskCall, Value) -> Value,
    /// What becomes of an answer.
    pub(super) finish: Finish,
}

/// From an answer to a result, or to the failure that it means.
pub(super) type Finish = fn(&Service, Answer) -> Result<Map<String, Value>, ConnectorFailure>;

/// Parameters that are sent as they are.
pub(super) fn as_given(_: &TaskCall, parameters: Value) -> Value {
    parameters
}

/// The result with how it came.
pub(super) fn with_metadata(service: &Service, answer: Answer) -> Result<Map<String, Value>, ConnectorFailure> {
    let Answer { mut result, response } = answer;
    result.insert("SdkHttpMetadata".to_owned(), sdk_http_metadata(&response, service.headers));
    result.insert("SdkResponseMetadata".to_owned(), sdk_response_metadata(&response));
    result.sort_keys();
    Ok(result)
}

/// The connector of a service.
#[derive(Clone, Debug)]
pub(super) struct Optimized {
    pub(super) client: ServiceClient,
    pub(super) service: &'static Service,
}

impl Optimized {
    async fn run(&self, integration: &Integration, task: &TaskCall) -> Result<TaskOutcome, ConnectorFailure> {
        let service = self.service;
        let telling = Telling { prefix: service.prefix, resource_type: service.resource_type };
        let model = service_client::model(service.model).await;
        let operation = model.as_ref().and_then(|model| model.operation(&integration.action));
        let (Some(model), Some(operation)) = (&model, operation) else {
            return Err(failure("States.Runtime", &format!("The resource {} is not recognized.", integration.arn)));
        };
        let given = serde_json::from_str(&task.input).unwrap_or(Value::Null);
        let parameters = (service.prepare)(task, given);
        let spelling = Spelling { blobs: Blobs::Base64, unknown: Unknown::Dropped };
        match self.client.call(model, operation, &parameters, spelling, Caller::of(task)).await {
            Ok(answer) => telling.outcome(task, (service.finish)(service, answer)?),
            Err(CallError::Refused(error)) => Err(self.refused(model, &error)),
            Err(error) => Err(telling.failure(&error, task)),
        }
    }

    fn refused(&self, model: &ServiceModel, error: &ServiceError) -> ConnectorFailure {
        let codes = error.exception.as_deref().into_iter().chain([error.code.as_str()]);
        let exception = match codes.into_iter().find_map(|code| model.exception(code)) {
            None => self.service.base_exception.to_owned(),
            Some(shape) if shape.name.ends_with("Exception") => shape.name.to_string(),
            Some(shape) => format!("{}Exception", shape.name),
        };
        failure(&format!("{}.{exception}", self.service.prefix), &error.cause(self.service.client_name))
    }
}

impl Connector for Optimized {
    fn name(&self) -> &'static str {
        self.service.resource_type
    }

    fn accepts(&self, resource: &Resource) -> bool {
        match resource {
            Resource::Integration(integration) => {
                &*integration.resource_type == self.service.resource_type
                    && self.service.actions.contains(&&*integration.action)
                    && match integration.pattern {
                        Pattern::RequestResponse => true,
                        Pattern::WaitForTaskToken => self.service.callback,
                        Pattern::Sync | Pattern::Sync2 => false,
                    }
            }
            Resource::LambdaFunction { .. } | Resource::Activity { .. } => false,
        }
    }

    fn lost_error(&self, _: &Resource) -> ConnectorFailure {
        lost(self.service.prefix)
    }

    fn call(&self, task: TaskCall) -> BoxFuture<TaskOutcome> {
        let connector = self.clone();
        Box::pin(async move {
            match integration(&task) {
                Ok(integration) => connector.run(integration, &task).await.unwrap_or_else(TaskOutcome::Failed),
                Err(failure) => TaskOutcome::Failed(failure),
            }
        })
    }
}
