//! The connectors, one file (and folder, where it is long) each. A connector turns a task into a request and an
//! answer into an outcome; connections, credentials, signatures and repeats are shared and live outside.

pub mod dynamodb;
pub mod events;
pub mod lambda;
mod optimized;
pub mod sdk;
pub mod sns;
pub mod sqs;

use stepwright_asl::{Integration, Resource};
use stepwright_engine::{ConnectorFailure, TaskCall};

/// What a state fails with whose call a crash hid. `client`: the prefix of its service's errors.
fn lost(client: &str) -> ConnectorFailure {
    ConnectorFailure::new(
        format!("{client}.SdkClientException"),
        "The answer of the service was lost because the server stopped during the call. It is not known whether the \
         call was carried out.",
    )
}

/// The integration that a task calls; connectors of integrations are given no other tasks.
fn integration(task: &TaskCall) -> Result<&Integration, ConnectorFailure> {
    match &task.resource {
        Resource::Integration(integration) => Ok(integration),
        Resource::LambdaFunction { .. } | Resource::Activity { .. } => {
            Err(ConnectorFailure::new("States.Runtime", "The resource is not recognized."))
        }
    }
}
