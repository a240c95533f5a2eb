//! Amazon SQS: `sqs:sendMessage`, with or without `.waitForTaskToken`. A message body that is not a text is sent as JSON.

use stepwright_engine::Connector;

use super::optimized::{Optimized, Service, as_given, with_metadata};
use crate::service_client::ServiceClient;

static SERVICE: Service = Service {
    resource_type: "sqs",
    model: "sqs",
    actions: &["sendMessage"],
    callback: true,
    prefix: "SQS",
    client_name: "AmazonSQS",
    base_exception: "AmazonSQSException",
    headers: &["connection"],
    prepare: as_given,
    finish: with_metadata,
};

/// The connector.
#[must_use]
pub fn connector(client: ServiceClient) -> impl Connector {
    Optimized { client, service: &SERVICE }
}
