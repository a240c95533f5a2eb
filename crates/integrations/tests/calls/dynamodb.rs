//! `dynamodb:getItem` and its like.

use serde_json::{Value, json};

use crate::{
    harness::{Optimized, call, json_refusal, result},
    stub::{Act, Stub, failed},
};

#[tokio::test]
async fn the_common_rules() {
    for resource in ["dynamodb:getItem", "dynamodb:putItem", "dynamodb:updateItem", "dynamodb:deleteItem"] {
        let parameters = if resource.ends_with("putItem") { json!({"TableName": "t", "Item": {}}) } else { key() };
        let integration = Optimized {
            resource,
            parameters,
            answer: Act::json(200, "{}"),
            callback: false,
            prefix: "DynamoDB",
            client_name: "AmazonDynamoDBv2",
            base_exception: "AmazonDynamoDBException",
            refusal: json_refusal,
        };
        integration.keeps_the_common_rules().await;
    }
}

fn key() -> Value {
    json!({"TableName": "t", "Key": {"id": {"S": "1"}}})
}

#[tokio::test]
async fn items_are_in_the_json_of_the_service() {
    let stub = Stub::start(vec![Act::json(200, r#"{"Item":{"id":{"S":"1"},"n":{"N":"7"}}}"#)]).await;
    let found = result(call(&stub, "dynamodb:getItem", key()).await);
    assert_eq!(found["Item"], json!({"id": {"S": "1"}, "n": {"N": "7"}}));
    let request = stub.one();
    assert_eq!(request.header("x-amz-target"), Some("DynamoDB_20120810.GetItem"));
    assert_eq!(request.body, r#"{"TableName":"t","Key":{"id":{"S":"1"}}}"#);
}

#[tokio::test]
async fn a_condition_that_does_not_hold_has_an_exception_of_its_own() {
    let stub = Stub::start(vec![json_refusal(400, "ConditionalCheckFailedException")]).await;
    let (error, _) = failed(call(&stub, "dynamodb:deleteItem", key()).await);
    assert_eq!(error, "DynamoDB.ConditionalCheckFailedException");
}
