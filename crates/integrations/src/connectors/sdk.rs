//! `arn:aws:states:::aws-sdk:<service>:<action>`: any operation of any service, by its model, with or without
//! `.waitForTaskToken`. Step Functions itself is not called through here: the server answers that itself.

use std::{borrow::Cow, sync::Arc};

use hyper::StatusCode;
use stepwright_asl::resource::{Integration, Pattern, Resource};
use stepwright_engine::{BoxFuture, Connector, ConnectorFailure, TaskCall, TaskOutcome};

use super::{integration, lost};
use crate::{
    aws::Caller,
    error::{ServiceError, failure},
    model::{Operation, ServiceModel, names, pack::Pack},
    protocol::{Blobs, Unknown},
    service_client::{self, CallError, ServiceClient, Spelling, Telling},
};

/// The connector of SDK integrations.
#[derive(Clone, Debug)]
pub struct SdkConnector {
    client: ServiceClient,
}

impl SdkConnector {
    /// A connector.
    #[must_use]
    pub fn new(client: ServiceClient) -> Self {
        Self { client }
    }

    async fn run(&self, integration: &Integration, task: &TaskCall) -> Result<TaskOutcome, ConnectorFailure> {
        let unknown = || failure("States.Runtime", &format!("The resource {} is not recognized.", integration.arn));
        let name = service_name(integration).ok_or_else(unknown)?;
        let model: Arc<ServiceModel> = service_client::model(name).await.ok_or_else(unknown)?;
        let operation = model.operation(&integration.action).filter(|operation| !operation.event_stream);
        let operation = operation.ok_or_else(unknown)?;
        let telling = Telling { prefix: &model.class, resource_type: &integration.resource_type };
        let parameters = serde_json::from_str(&task.input).map_err(|error| {
            let cause = format!("The Parameters '{}' could not be used to start the Task: [{error}]", task.input);
            failure("States.Runtime", &cause)
        })?;
        // An attribute that was read as bytes must be one that can be written.
        let blobs = if &*model.name == "dynamodb" { Blobs::Base64 } else { Blobs::Text };
        let spelling = Spelling { blobs, unknown: Unknown::Refused };
        match self.client.call(&model, operation, &parameters, spelling, Caller::of(task)).await {
            Ok(answer) => telling.outcome(task, answer.result),
            Err(CallError::Refused(error)) => Err(refused(&model, operation, &error)),
            Err(error) => Err(telling.failure(&error, task)),
        }
    }
}

/// The service that an integration calls through this connector.
fn service_name(integration: &Integration) -> Option<&str> {
    integration.resource_type.strip_prefix("aws-sdk:").filter(|name| *name != "sfn")
}

/// The failure of a call that the service refused: the exception by the name of its class, or the service's own for a
/// code that its model does not have.
fn refused(model: &ServiceModel, operation: &Operation, error: &ServiceError) -> ConnectorFailure {
    let mut codes = error.exception.as_deref().into_iter().chain([error.code.as_str()]);
    let known = codes.find_map(|code| model.exception(code)).or_else(|| {
        // S3 answers HEAD without a body; what is missing follows from what was asked for, as in AWS's client.
        let missing = match &*operation.name {
            "HeadObject" => "NoSuchKey",
            "HeadBucket" => "NoSuchBucket",
            _ => return None,
        };
        (&*model.id == "S3" && error.status == StatusCode::NOT_FOUND).then(|| model.exception(missing)).flatten()
    });
    let class = known.map_or_else(|| format!("{}Exception", model.class), |shape| names::exception(&shape.name));
    failure(&format!("{}.{class}", model.class), &error.sdk_cause(&model.class))
}

impl Connector for SdkConnector {
    fn name(&self) -> &'static str {
        "aws-sdk"
    }

    fn accepts(&self, resource: &Resource) -> bool {
        match resource {
            Resource::Integration(integration) => {
                matches!(integration.pattern, Pattern::RequestResponse | Pattern::WaitForTaskToken)
                    && service_name(integration).is_some_and(|name| Pack::embedded().has_service(name))
            }
            Resource::LambdaFunction { .. } | Resource::Activity { .. } => false,
        }
    }

    fn service<'a>(&'a self, resource: &'a Resource, _: &'a str) -> Cow<'a, str> {
        let name = match resource {
            Resource::Integration(integration) => service_name(integration),
            Resource::LambdaFunction { .. } | Resource::Activity { .. } => None,
        };
        Cow::Borrowed(name.unwrap_or("none"))
    }

    fn lost_error(&self, resource: &Resource) -> ConnectorFailure {
        let class = match resource {
            Resource::Integration(integration) => service_name(integration)
                .and_then(|name| Pack::embedded().ids().find(|(known, _)| *known == name))
                .map(|(_, id)| names::class(id)),
            Resource::LambdaFunction { .. } | Resource::Activity { .. } => None,
        };
        lost(class.as_deref().unwrap_or("Sdk"))
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
