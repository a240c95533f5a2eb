//! Any action of any service (`aws-sdk`), against an endpoint that answers what a script says: what is sent, what comes of
//! answers, and that no answer, however bad, takes more than a bounded time and memory.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    harness::{call, connectors, result, task},
    stub::{Act, Stub, failed},
};

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
