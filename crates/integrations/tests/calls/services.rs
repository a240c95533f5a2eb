//! Calls of services through the connectors, against an endpoint that answers what a script says: what is sent, what
//! comes of answers, and that no answer, however bad, takes more than a bounded time and memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stepwright_asl::Resource;
use stepwright_engine::{Connector, TaskCall, TaskOutcome};
use stepwright_integrations::{
    aws::AwsClient,
    client::{HttpClient, HttpLimits},
    connectors::{dynamodb, events, sdk::SdkConnector, sns, sqs},
    credentials::CredentialSource,
    endpoint::ServiceEndpoint,
    retry::Backoff,
    service_client::ServiceClient,
};

use crate::stub::{Act, Stub, failed};

const CALL_TIMEOUT: Duration = Duration::from_millis(500);

fn connectors(url: &str) -> Vec<Arc<dyn Connector>> {
    let lookup = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| url.to_owned());
    let backoff =
        Backoff { max_retries: 2, throttled: Duration::from_millis(1), not_connected: Duration::from_millis(1) };
    let token_service = ServiceEndpoint::from_environment(&lookup, "STS", "sts").expect("an endpoint");
    let aws = AwsClient {
        http: Arc::new(HttpClient::new(HttpLimits::default())),
        credentials: Arc::new(CredentialSource::standard("us-east-1", token_service)),
        backoff,
    };
    let client = ServiceClient::new(aws, &lookup).expect("a client").with_call_timeout(CALL_TIMEOUT);
    vec![
        Arc::new(sqs::connector(client.clone())),
        Arc::new(sns::connector(client.clone())),
        Arc::new(dynamodb::connector(client.clone())),
        Arc::new(events::connector(client.clone())),
        Arc::new(SdkConnector::new(client)),
    ]
}

pub(crate) fn task(resource: &str, parameters: &Value) -> TaskCall {
    TaskCall {
        resource: Resource::parse(&format!("arn:aws:states:::{resource}")).expect("a resource"),
        input: parameters.to_string().into(),
        task_role_arn: None,
        role_arn: "arn:aws:iam::000000000000:role/r".into(),
        account: "000000000000".into(),
        region: "eu-west-1".into(),
        execution_arn: "arn:aws:states:eu-west-1:000000000000:execution:m:e".into(),
        state_machine_arn: "arn:aws:states:eu-west-1:000000000000:stateMachine:m".into(),
        state_name: "S".into(),
        token: "token".into(),
        timeout_seconds: None,
        retry_count: 0,
        started_at: 0,
        resent: false,
        test_case: None,
        items: Vec::new(),
    }
}

async fn call(stub: &Stub, resource: &str, parameters: Value) -> TaskOutcome {
    let task = task(resource, &parameters);
    let connectors = connectors(&stub.url);
    let connector = connectors.iter().find(|connector| connector.accepts(&task.resource)).expect("a connector");
    connector.call(task).await
}

fn result(outcome: TaskOutcome) -> Value {
    match outcome {
        TaskOutcome::Succeeded(text) | TaskOutcome::Submitted(text) => serde_json::from_str(&text).expect("JSON"),
        TaskOutcome::Failed(failure) => panic!("{failure:?}"),
    }
}

/// One action of each protocol, with parameters that it takes.
fn one_of_each_protocol() -> [(&'static str, Value); 6] {
    [
        ("aws-sdk:secretsmanager:getSecretValue", json!({"SecretId": "s"})),
        ("aws-sdk:eks:describeCluster", json!({"Name": "c"})),
        ("aws-sdk:s3:getBucketTagging", json!({"Bucket": "b-b"})),
        ("aws-sdk:iam:getUser", json!({"UserName": "u"})),
        ("aws-sdk:ec2:describeVpcs", json!({})),
        ("aws-sdk:eventbridgev2:listEventBuses", json!({})),
    ]
}

/// The bad answers, and a part of the cause of each.
fn bad_answers() -> Vec<(&'static str, Act, &'static str)> {
    let nested = |open: &str, count: usize| Act::reply(200, &[], open.repeat(count).as_bytes());
    let bomb = "<!DOCTYPE a [<!ENTITY b \"bbbbbbbb\"><!ENTITY c \"&b;&b;&b;&b;\">]><a>&c;</a>";
    vec![
        ("endless", Act::Endless, "returned a result with a size exceeding the maximum"),
        ("longer than it may be", Act::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"), "exceeding"),
        (
            "truncated",
            Act::raw("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"a\":"),
            "Unable to execute HTTP request",
        ),
        ("closed", Act::Close, "failed to respond"),
        ("no HTTP", Act::raw("SMTP ready\r\n\r\n"), "Unable to execute HTTP request"),
        ("slow", Act::Hang, "did not complete before the specified timeout"),
        ("slow in the middle", Act::raw_then_hang("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), "timeout"),
        ("nothing known", Act::reply(200, &[("Content-Type", "text/html")], b"<html><br></html>"), "unmarshall"),
        ("bytes", Act::reply(200, &[], b"\xff\xfe\xfd"), "unmarshall"),
        ("half a text", Act::reply(200, &[], b"{\"a\": [1, "), "unmarshall"),
        ("half an element", Act::reply(200, &[], b"<a><b>"), "unmarshall"),
        ("nested JSON", nested("[", 300_000), "unmarshall"),
        ("nested XML", nested("<a>", 300_000), "unmarshall"),
        ("nested CBOR", nested("\u{1}", 10), "unmarshall"),
        ("an entity bomb", Act::reply(200, &[], bomb.as_bytes()), "unmarshall"),
    ]
}

#[tokio::test]
async fn bad_answers_fail_the_task_with_a_clear_cause_in_bounded_time() {
    for (resource, parameters) in one_of_each_protocol() {
        for (what, act, cause_part) in bad_answers() {
            // An attempt that never reached the service may be repeated: the script then does the same again.
            let stub = Stub::start(vec![act.clone(), act.clone(), act]).await;
            let begun = Instant::now();
            let (error, cause) = failed(call(&stub, resource, parameters.clone()).await);
            assert!(begun.elapsed() < Duration::from_secs(20), "{resource}: {what} took {:?}", begun.elapsed());
            let expected = error.ends_with(".SdkClientException") || error == "States.DataLimitExceeded";
            assert!(expected && cause.contains(cause_part), "{resource}: {what}: {error}: {cause}");
            assert!(cause.len() < 2_000, "{resource}: {what}: {} bytes of cause", cause.len());
        }
    }
}

#[tokio::test]
async fn redirects_are_errors_and_are_not_followed() {
    for (resource, parameters) in one_of_each_protocol() {
        let elsewhere = Stub::start(vec![Act::json(200, "{}")]).await;
        let location = [("Location", elsewhere.url.as_str())];
        let stub = Stub::start(vec![Act::reply(307, &location, b"")]).await;
        let (error, cause) = failed(call(&stub, resource, parameters).await);
        assert!(error.ends_with("Exception") && cause.contains("Status Code: 307"), "{resource}: {error}: {cause}");
        assert_eq!(elsewhere.connections(), 0, "{resource}");
    }
}

#[tokio::test]
async fn a_refusal_that_cannot_be_read_is_the_services_own_exception() {
    for (resource, parameters) in one_of_each_protocol() {
        for body in [b"".as_slice(), b"\xff", b"<html>", b"{", b"[]", b"null"] {
            let stub = Stub::start(vec![Act::reply(500, &[], body)]).await;
            let (error, cause) = failed(call(&stub, resource, parameters.clone()).await);
            let class = error.split('.').next().expect("a class");
            assert_eq!(error, format!("{class}.{class}Exception"), "{resource}");
            assert!(cause.starts_with("null (Service: ") && cause.contains("Status Code: 500"), "{cause}");
            // What may have been carried out is not sent again.
            assert_eq!(stub.requests().len(), 1, "{resource}");
        }
    }
}

#[tokio::test]
async fn refusals_for_too_many_requests_are_tried_again() {
    let throttled = || Act::json(400, r#"{"__type": "ThrottlingException", "message": "slow down"}"#);
    let stub = Stub::start(vec![throttled(), throttled(), Act::json(200, r#"{"SecretString": "s"}"#)]).await;
    let outcome = call(&stub, "aws-sdk:secretsmanager:getSecretValue", json!({"SecretId": "s"})).await;
    assert_eq!(result(outcome), json!({"SecretString": "s"}));
    assert_eq!(stub.requests().len(), 3);

    let xml = b"<ErrorResponse><Error><Code>Throttling</Code><Message>m</Message></Error></ErrorResponse>";
    let stub = Stub::start(vec![Act::reply(400, &[], xml); 3]).await;
    let (error, _) = failed(call(&stub, "aws-sdk:iam:listUsers", json!({})).await);
    assert_eq!(error, "Iam.IamException");
    assert_eq!(stub.requests().len(), 3, "the last refusal is told");
}

#[tokio::test]
async fn sqs_in_both_patterns() {
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
async fn optimized_errors_are_named_as_in_the_first_sdk() {
    let check = async |resource: &str, parameters: Value, act: Act, expected: (&str, &str)| {
        let stub = Stub::start(vec![act]).await;
        let (error, cause) = failed(call(&stub, resource, parameters).await);
        assert_eq!((error.as_str(), cause.as_str()), expected);
    };
    let id = ("x-amzn-RequestId", "r");
    let message = json!({"QueueUrl": "q", "MessageBody": "b"});
    check(
        "sqs:sendMessage",
        message.clone(),
        Act::reply(400, &[id], br#"{"__type":"com.amazon.coral.service#MissingParameter","message":"m"}"#),
        (
            "SQS.AmazonSQSException",
            "m (Service: AmazonSQS; Status Code: 400; Error Code: MissingParameter; Request ID: r; Proxy: null)",
        ),
    )
    .await;
    let query_error = ("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender");
    check(
        "sqs:sendMessage",
        message,
        Act::reply(400, &[id, query_error], br#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"m"}"#),
        (
            "SQS.QueueDoesNotExistException",
            "m (Service: AmazonSQS; Status Code: 400; Error Code: AWS.SimpleQueueService.NonExistentQueue; \
             Request ID: r; Proxy: null)",
        ),
    )
    .await;
    check(
        "dynamodb:getItem",
        json!({"TableName": "t", "Key": {}}),
        Act::reply(400, &[id], br#"{"__type":"com.amazon.coral.validate#ValidationException","message":"m"}"#),
        (
            "DynamoDB.AmazonDynamoDBException",
            "m (Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ValidationException; Request ID: r; Proxy: null)",
        ),
    )
    .await;
    check(
        "events:putEvents",
        json!({"Entries": []}),
        Act::json(200, r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"c"}]}"#),
        ("EventBridge.FailedEntry", r#"{"Entries":[{"ErrorCode":"c"}],"FailedEntryCount":1}"#),
    )
    .await;
}

#[tokio::test]
async fn events_name_where_they_come_from() {
    let stub = Stub::start(vec![Act::json(200, r#"{"FailedEntryCount":0,"Entries":[{"EventId":"e"}]}"#)]).await;
    let entries = json!([{"Detail": {"a": 1}, "Source": "s", "DetailType": "d"}, {"Resources": ["r"], "Time": 0}]);
    let outcome = call(&stub, "events:putEvents", json!({"Entries": entries})).await;
    assert_eq!(result(outcome), json!({"Entries": [{"EventId": "e"}], "FailedEntryCount": 0}));
    let sent: Value = serde_json::from_str(&stub.one().body).expect("JSON");
    let own =
        ["arn:aws:states:eu-west-1:000000000000:stateMachine:m", "arn:aws:states:eu-west-1:000000000000:execution:m:e"];
    assert_eq!(sent["Entries"][0]["Detail"], r#"{"a":1}"#);
    assert_eq!(sent["Entries"][0]["Resources"], json!(own));
    assert_eq!(sent["Entries"][1]["Resources"], json!(["r", own[0], own[1]]));
    assert_eq!(sent["Entries"][1]["Time"], 0);
}

#[tokio::test]
async fn s3_signs_what_it_sends_and_sums_it() {
    let stub = Stub::start(vec![Act::reply(200, &[("ETag", "\"e\"")], b"")]).await;
    let parameters = json!({"Bucket": "b-b", "Key": "a/../b c+ü", "Body": {"a": 1}, "Metadata": {"k": "v"}});
    assert_eq!(result(call(&stub, "aws-sdk:s3:putObject", parameters).await), json!({"ETag": "\"e\""}));
    let request = stub.one();
    assert_eq!(request.line, "PUT /b-b/a/../b%20c%2B%C3%BC HTTP/1.1");
    assert_eq!(request.body, r#"{"a":1}"#);
    assert_eq!(request.header("x-amz-meta-k"), Some("v"));
    assert_eq!(request.header("x-amz-sdk-checksum-algorithm"), Some("CRC32"));
    assert_eq!(request.header("x-amz-checksum-crc32"), Some("Vhusrw=="));
    assert_eq!(request.header("content-type"), Some("text/plain; charset=UTF-8"));
    let sum = request.header("x-amz-content-sha256").expect("a sum");
    assert_eq!(sum, "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862");
    assert!(request.header("authorization").expect("signed").contains("/s3/aws4_request"));
}

#[tokio::test]
async fn results_of_s3() {
    let headers = [("ETag", "\"e\""), ("x-amz-meta-one", "1"), ("Last-Modified", "Sun, 25 Jan 2015 08:00:00 GMT")];
    let stub = Stub::start(vec![Act::reply(200, &headers, "wörds".as_bytes())]).await;
    let outcome = call(&stub, "aws-sdk:s3:getObject", json!({"Bucket": "b-b", "Key": "k"})).await;
    let expected = r#"{"ContentLength":6,"ETag":"\"e\"","LastModified":"2015-01-25T08:00:00Z","Metadata":{"one":"1"},"Body":"wörds"}"#;
    assert_eq!(result(outcome).to_string(), expected);

    // It says that a copy succeeded before it knows that it didn't.
    let body = b"<?xml version=\"1.0\"?>\n<Error><Code>InternalError</Code><Message>m</Message></Error>";
    let stub = Stub::start(vec![Act::reply(200, &[("x-amz-request-id", "r"), ("x-amz-id-2", "x")], body)]).await;
    let parameters = json!({"Bucket": "b-b", "Key": "k", "CopySource": "b/k"});
    let (error, cause) = failed(call(&stub, "aws-sdk:s3:copyObject", parameters).await);
    assert_eq!(error, "S3.S3Exception");
    assert_eq!(cause, "m (Service: S3, Status Code: 200, Request ID: r, Extended Request ID: x)");
}

#[tokio::test]
async fn parameters_that_cannot_be_sent_fail_before_anything_is_sent() {
    let check = async |resource: &str, parameters: Value, expected: &str| {
        let stub = Stub::start(vec![]).await;
        let (error, cause) = failed(call(&stub, resource, parameters.clone()).await);
        assert_eq!(error, "States.Runtime");
        assert_eq!(cause, format!("The Parameters '{parameters}' could not be used to start the Task: [{expected}]"));
        assert_eq!(stub.connections(), 0);
    };
    check("aws-sdk:s3:getObject", json!({"Bucket": "b-b"}), "The field 'Key' is required but was missing").await;
    check("aws-sdk:s3:getObject", json!({"bucket": "b"}), "The field 'bucket' is not supported by Step Functions")
        .await;
    check(
        "aws-sdk:s3:listObjectsV2",
        json!({"Bucket": "b", "MaxKeys": 1.5}),
        "The value of the field 'MaxKeys' has an invalid format",
    )
    .await;
    check("aws-sdk:sqs:listQueues", json!([]), "The value must be an object").await;
    check("aws-sdk:sts:getCallerIdentity", json!({"A": 1}), "The field 'A' is not supported by Step Functions").await;
    let header = json!({"Bucket": "b-b", "Key": "k", "ContentType": "a\nb"});
    check("aws-sdk:s3:putObject", header, "The header 'Content-Type' can't hold the value \"a\\nb\"").await;
}

#[tokio::test]
async fn many_calls_to_one_place_share_connections() {
    let stub = Stub::start(vec![Act::json(200, "{}"); 20]).await;
    let connectors = connectors(&stub.url);
    for _ in 0..20 {
        let task = task("dynamodb:deleteItem", &json!({"TableName": "t", "Key": {}}));
        let connector = connectors.iter().find(|connector| connector.accepts(&task.resource)).expect("a connector");
        result(connector.call(task).await);
    }
    assert_eq!((stub.requests().len(), stub.connections()), (20, 1));
}
