//! Amazon SNS: `sns:publish`, with or without `.waitForTaskToken`. A message that is not a text is sent as JSON, also
//! `null` (AWS: recorded for objects, numbers and booleans).

use serde_json::Value;
use stepwright_engine::{Connector, TaskCall};

use super::optimized::{Optimized, Service, with_metadata};
use crate::service_client::ServiceClient;

static SERVICE: Service = Service {
    resource_type: "sns",
    model: "sns",
    actions: &["publish"],
    callback: true,
    prefix: "SNS",
    client_name: "AmazonSNS",
    base_exception: "AmazonSNSException",
    headers: &["connection"],
    prepare,
    finish: with_metadata,
};

fn prepare(_: &TaskCall, mut parameters: Value) -> Value {
    if let Some(message @ Value::Null) = parameters.get_mut("Message") {
        *message = "null".into();
    }
    parameters
}

/// The connector.
#[must_use]
pub fn connector(client: ServiceClient) -> impl Connector {
    Optimized { client, service: &SERVICE }
}
