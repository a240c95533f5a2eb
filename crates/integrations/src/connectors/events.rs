//! Amazon EventBridge: `events:putEvents`, with or without `.waitForTaskToken`. The state machine and the execution are
//! among the resources of each event, in this order and after those given (AWS: recorded). An answer that says that an
//! entry failed fails the task, and the answer is the cause.

use serde_json::{Map, Value};
use stepwright_engine::{Connector, ConnectorFailure, TaskCall};

use super::optimized::{Optimized, Service};
use crate::{
    error::failure,
    service_client::{Answer, ServiceClient},
};

static SERVICE: Service = Service {
    resource_type: "events",
    model: "eventbridge",
    actions: &["putEvents"],
    callback: true,
    prefix: "EventBridge",
    client_name: "AmazonEventBridge",
    base_exception: "AmazonEventBridgeException",
    headers: &[],
    prepare,
    finish,
};

fn prepare(task: &TaskCall, mut parameters: Value) -> Value {
    for entry in parameters.get_mut("Entries").and_then(Value::as_array_mut).into_iter().flatten() {
        let Value::Object(entry) = entry else { continue };
        let resources = entry.entry("Resources").or_insert(Value::Null);
        if resources.is_null() {
            *resources = Value::Array(Vec::new());
        }
        // Something else than a list is the service's to refuse.
        if let Value::Array(resources) = resources {
            resources.extend([Value::from(&*task.state_machine_arn), Value::from(&*task.execution_arn)]);
        }
    }
    parameters
}

fn finish(service: &Service, answer: Answer) -> Result<Map<String, Value>, ConnectorFailure> {
    let failed = answer.result.get("FailedEntryCount").and_then(Value::as_i64).unwrap_or(0);
    if failed > 0 {
        let cause = Value::Object(answer.result).to_string();
        return Err(failure(&format!("{}.FailedEntry", service.prefix), &cause));
    }
    Ok(answer.result)
}

/// The connector.
#[must_use]
pub fn connector(client: ServiceClient) -> impl Connector {
    Optimized { client, service: &SERVICE }
}
