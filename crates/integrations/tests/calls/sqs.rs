//! `sqs:sendMessage`.

use serde_json::json;
use stepwright_engine::TaskOutcome;

use crate::{
    harness::{Optimized, call, json_refusal, result},
    stub::{Act, Stub, failed},
};

#[tokio::test]
async fn the_common_rules() {
    let integration = Optimized {
        resource: "sqs:sendMessage",
        parameters: json!({"QueueUrl": "q", "MessageBody": "b"}),
        answer: Act::json(200, r#"{"MD5OfMessageBody":"d","MessageId":"i"}"#),
        callback: true,
        prefix: "SQS",
        client_name: "AmazonSQS",
        base_exception: "AmazonSQSException",
        refusal: json_refusal,
    };
    integration.keeps_the_common_rules().await;
}

#[tokio::test]
async fn what_is_sent_and_what_comes_of_it() {
    for (resource, submitted) in [("sqs:sendMessage", false), ("sqs:sendMessage.waitForTaskToken", true)] {
        let answer = Act::reply(
            200,
            &[("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-RequestId", "r"), ("connection", "keep-alive")],
            br#"{"MD5OfMessageBody":"d","MessageId":"i","SequenceNumber":"7"}"#,
        );
        let stub = Stub::start(vec![answer]).await;
        let parameters = json!({"QueueUrl": "http://q/1", "MessageBody": {"a": 1}, "Unknown": 1, "DelaySeconds": null});
        let outcome = call(&stub, resource, parameters).await;
        assert_eq!(matches!(outcome, TaskOutcome::Submitted(_)), submitted);
        let result = result(outcome);
        let keys: Vec<&str> = result.as_object().expect("an object").keys().map(String::as_str).collect();
        let expected = ["MD5OfMessageBody", "MessageId", "SdkHttpMetadata", "SdkResponseMetadata", "SequenceNumber"];
        assert_eq!(keys, expected);
        assert_eq!(result["SdkHttpMetadata"]["HttpHeaders"]["connection"], "keep-alive");
        assert_eq!(result["SdkResponseMetadata"]["RequestId"], "r");
        let request = stub.one();
        assert_eq!(request.header("x-amz-target"), Some("AmazonSQS.SendMessage"));
        assert_eq!(request.header("x-amzn-query-mode"), Some("true"));
        assert!(request.header("authorization").expect("signed").contains("/eu-west-1/sqs/aws4_request"));
        assert_eq!(request.body, r#"{"QueueUrl":"http://q/1","MessageBody":"{\"a\":1}"}"#);
    }
}

#[tokio::test]
async fn a_refusal_has_the_code_of_the_query_protocol() {
    let headers = [("x-amzn-RequestId", "r"), ("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")];
    let body = br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"m"}"#;
    let stub = Stub::start(vec![Act::reply(400, &headers, body)]).await;
    let (error, cause) = failed(call(&stub, "sqs:sendMessage", json!({"QueueUrl": "q", "MessageBody": "b"})).await);
    assert_eq!(error, "SQS.QueueDoesNotExistException");
    let expected = "m (Service: AmazonSQS; Status Code: 400; Error Code: AWS.SimpleQueueService.NonExistentQueue; \
                    Request ID: r; Proxy: null)";
    assert_eq!(cause, expected);
}
