//! Amazon DynamoDB: `dynamodb:getItem`, `putItem`, `updateItem`, `deleteItem`. Attribute values are DynamoDB's own JSON.

use stepwright_engine::Connector;

use super::optimized::{Optimized, Service, as_given, with_metadata};
use crate::service_client::ServiceClient;

static SERVICE: Service = Service {
    resource_type: "dynamodb",
    model: "dynamodb",
    actions: &["getItem", "putItem", "updateItem", "deleteItem"],
    callback: false,
    prefix: "DynamoDB",
    client_name: "AmazonDynamoDBv2",
    base_exception: "AmazonDynamoDBException",
    headers: &[],
    prepare: as_given,
    finish: with_metadata,
};

/// The connector.
#[must_use]
pub fn connector(client: ServiceClient) -> impl Connector {
    Optimized { client, service: &SERVICE }
}
