//! Hostile endpoints, against the connectors as the server has them: whatever comes, of whichever protocol, the task fails
//! with a cause that says what was wrong, in bounded time, and no other call waits for it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stepwright_engine::{Connector, TaskOutcome};
use stepwright_integrations::{CallLimits, client::HttpLimits, connectors};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    harness::task,
    stub::{Act, Stub, failed},
};

const CALL_TIME: Duration = Duration::from_millis(2_500);
/// More than any of this may take, on a machine that does something else as well.
const BOUNDED: Duration = Duration::from_secs(20);

/// An action of each family, and what its errors begin with.
const FAMILIES: [(&str, &str); 12] = [
    // Over HTTP without much of a protocol.
    ("lambda:invoke", "Lambda."),
    // JSON, as optimized integrations read it.
    ("sqs:sendMessage", "SQS."),
    ("dynamodb:getItem", "DynamoDB."),
    ("events:putEvents", "EventBridge."),
    // The query protocol, likewise.
    ("sns:publish", "SNS."),
    // AWS JSON 1.0 and 1.1, REST JSON, REST XML, query, EC2, CBOR.
    ("aws-sdk:dynamodb:listTables", "DynamoDb."),
    ("aws-sdk:secretsmanager:getSecretValue", "SecretsManager."),
    ("aws-sdk:eks:describeCluster", "Eks."),
    ("aws-sdk:s3:getBucketTagging", "S3."),
    ("aws-sdk:iam:getUser", "Iam."),
    ("aws-sdk:ec2:describeVpcs", "Ec2."),
    ("aws-sdk:eventbridgev2:listEventBuses", "EventBridgeV2."),
];

fn parameters(resource: &str) -> Value {
    match resource {
        "lambda:invoke" => json!({"FunctionName": "f"}),
        "sqs:sendMessage" => json!({"QueueUrl": "q", "MessageBody": "b"}),
        "dynamodb:getItem" => json!({"TableName": "t", "Key": {}}),
        "events:putEvents" => json!({"Entries": []}),
        "sns:publish" => json!({"TopicArn": "t", "Message": "m"}),
        "aws-sdk:secretsmanager:getSecretValue" => json!({"SecretId": "s"}),
        "aws-sdk:eks:describeCluster" => json!({"Name": "c"}),
        "aws-sdk:s3:getBucketTagging" => json!({"Bucket": "b-b"}),
        "aws-sdk:iam:getUser" => json!({"UserName": "u"}),
        _ => json!({}),
    }
}

fn limits(call: Duration, answer: Duration) -> CallLimits {
    let http = HttpLimits { call_timeout: call, answer_timeout: answer, ..HttpLimits::default() };
    CallLimits { http, call_timeout: call }
}

/// The connectors, all of whose services are at one place.
fn all(url: &str, limits: CallLimits) -> Vec<Arc<dyn Connector>> {
    let lookup = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| url.to_owned());
    connectors("us-east-1", limits, None, &lookup).expect("connectors")
}

async fn call(connectors: &[Arc<dyn Connector>], resource: &str) -> TaskOutcome {
    let task = task(resource, &parameters(resource));
    let connector = connectors.iter().find(|connector| connector.accepts(&task.resource)).expect("a connector");
    connector.call(task).await
}

fn ok(headers: &str, body: &[u8]) -> Act {
    Act::Raw([format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat())
}

/// What is wrong with the connection or the frame of the answer, whatever the protocol, and a part of the cause.
fn bad_frames() -> Vec<(&'static str, Act, &'static str)> {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let head = "HTTP/1.1 200 OK\r\n";
    let headers: String = (0..1_000).map(|at| format!("x-h{at}: v\r\n")).collect();
    let long = "v".repeat(2 << 20);
    vec![
        ("a head byte by byte", Act::Drip(bytes(head), bytes("x-a: b\r\n")), "before the specified timeout"),
        (
            "a body byte by byte",
            Act::Drip(bytes("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"), bytes("{\"a\": ")),
            "before the specified timeout",
        ),
        (
            "chunks byte by byte",
            Act::Drip(bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), bytes("1\r\na\r\n")),
            "before the specified timeout",
        ),
        ("a head without end", Act::Repeat(bytes(head), bytes("x-a: bbbbbbbbbbbbbbbbbb\r\n")), "failed to respond"),
        (
            "a header without end",
            Act::Repeat(bytes("HTTP/1.1 200 OK\r\nx-a: "), vec![b'a'; 4_096]),
            "failed to respond",
        ),
        ("very many headers", Act::raw(&format!("{head}{headers}\r\n")), "failed to respond"),
        ("a very long header", Act::raw(&format!("{head}x-a: {long}\r\n\r\n")), "failed to respond"),
        ("go on, go on", Act::Repeat(vec![], bytes("HTTP/1.1 100 Continue\r\n\r\n")), "before the specified timeout"),
        (
            "two lengths",
            Act::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
            "failed to respond",
        ),
        ("a length that is none", Act::raw("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"), "failed to respond"),
        (
            "chunks that are none",
            Act::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}"),
            "Unable to execute HTTP request",
        ),
        (
            "a chunk of more than there can be",
            Act::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}"),
            "Unable to execute HTTP request",
        ),
        (
            "chunks that break off",
            Act::RawThenClose(bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a")),
            "Unable to execute HTTP request",
        ),
        ("an upgrade", Act::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), ""),
        ("a redirect to itself", Act::raw("HTTP/1.1 301 M\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), "301"),
        ("a status that is none", Act::raw("HTTP/1.1 9 X\r\nContent-Length: 0\r\n\r\n"), "failed to respond"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_wrong_is_told_and_costs_a_bounded_time() {
    // A few at once: most of them only wait, and the others must not keep them from being asked.
    let turns = Arc::new(Semaphore::new(16));
    let mut calls = JoinSet::new();
    for (resource, prefix) in FAMILIES {
        for (what, act, cause_part) in bad_frames() {
            let turns = Arc::clone(&turns);
            calls.spawn(async move {
                let _turn = turns.acquire_owned().await.expect("never closed");
                let stub = Stub::start(vec![act.clone(), act.clone(), act.clone(), act]).await;
                let time = if cause_part.contains("timeout") { CALL_TIME } else { BOUNDED };
                let begun = Instant::now();
                let (error, cause) = failed(call(&all(&stub.url, limits(time, BOUNDED)), resource).await);
                assert!(begun.elapsed() < BOUNDED, "{resource}: {what} took {:?}", begun.elapsed());
                assert!(error.starts_with(prefix), "{resource}: {what}: {error}: {cause}");
                let clear = !cause.is_empty() && cause.contains(cause_part) && cause.len() < 2_000;
                assert!(clear, "{resource}: {what}: {error}: {cause}");
                assert_eq!(stub.requests().len(), 1, "{resource}: {what}: it may have been carried out");
            });
        }
    }
    while let Some(checked) = calls.join_next().await {
        checked.expect("no panic");
    }
}

/// Bodies that are no answer of a protocol.
fn bad_bodies() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let json = "Content-Type: application/x-amz-json-1.1\r\n";
    let xml = "Content-Type: text/xml\r\n";
    let cbor = "Content-Type: application/cbor\r\nsmithy-protocol: rpc-v2-cbor\r\n";
    let claims = |first: u8| [&[0xbf, 0x65][..], b"Buses", &[first], &[0xff; 8]].concat();
    vec![
        ("half a JSON text", json, b"{\"a\": \"".to_vec()),
        ("JSON and more", json, b"{} {}".to_vec()),
        ("JSON that is not UTF-8", json, b"{\"a\": \"\xff\"}".to_vec()),
        (
            "nested JSON",
            json,
            [b"{\"a\":".repeat(200_000), b"1".to_vec(), b"}".repeat(200_000)].concat()[..900_000].to_vec(),
        ),
        ("half an XML text", xml, b"<?xml version='1.0'?><a><b>".to_vec()),
        ("XML that is not balanced", xml, b"<a><b></a></b>".to_vec()),
        ("nested XML", xml, b"<a>".repeat(300_000)),
        (
            "XML with an entity of a file",
            xml,
            b"<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>".to_vec(),
        ),
        ("XML that is not UTF-8", xml, b"<a>\xff</a>".to_vec()),
        ("half a CBOR map", cbor, vec![0xbf, 0x61, b'a']),
        ("nested CBOR", cbor, vec![0x81; 900_000]),
        ("nested CBOR maps", cbor, b"\xbf\x61a".repeat(300_000)),
        ("tagged CBOR without end", cbor, vec![0xc1; 900_000]),
        ("a CBOR array of 2^64", cbor, claims(0x9b)),
        ("a CBOR map of 2^64", cbor, claims(0xbb)),
        ("a CBOR text of 2^64 bytes", cbor, claims(0x7b)),
        ("CBOR bytes of 2^64", cbor, claims(0x5b)),
        ("a CBOR text of parts without end", cbor, vec![0x7f; 900_000]),
        ("compressed", "Content-Encoding: gzip\r\n", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 4, 0]),
    ]
}

#[tokio::test]
async fn a_body_that_is_no_answer_is_told_as_such() {
    for (resource, prefix) in FAMILIES {
        // What a function answers may be any text.
        if resource == "lambda:invoke" {
            continue;
        }
        for (what, headers, body) in bad_bodies() {
            let stub = Stub::start(vec![ok(headers, &body)]).await;
            let begun = Instant::now();
            let (error, cause) = failed(call(&all(&stub.url, limits(BOUNDED, BOUNDED)), resource).await);
            assert!(begun.elapsed() < BOUNDED / 2, "{resource}: {what} took {:?}", begun.elapsed());
            assert_eq!(error, format!("{prefix}SdkClientException"), "{resource}: {what}: {cause}");
            assert!(cause.starts_with("Unable to unmarshall response ("), "{resource}: {what}: {cause}");
            assert!(cause.len() < 2_000, "{resource}: {what}: {} bytes of cause", cause.len());
        }
    }
}

#[tokio::test]
async fn an_answer_that_drips_is_given_up_long_before_its_call_is() {
    for (resource, prefix) in FAMILIES {
        let first = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".to_vec();
        let stub = Stub::start(vec![Act::Drip(first, b"{\"a\": ".to_vec())]).await;
        let begun = Instant::now();
        let limits = limits(Duration::from_secs(600), Duration::from_millis(200));
        let (error, cause) = failed(call(&all(&stub.url, limits), resource).await);
        assert!(begun.elapsed() < BOUNDED, "{resource}: {:?}", begun.elapsed());
        assert_eq!(error, format!("{prefix}SdkClientException"));
        assert_eq!(cause, "Unable to execute HTTP request: Read timed out");
        stub.hung_up().await;
    }
}

/// An answer of so many bytes, of which the most come at once and the last with a permit.
fn long_in_halves(bytes: usize, permit: &Arc<Semaphore>) -> Act {
    let body = "a".repeat(bytes - 2);
    let first = format!("HTTP/1.1 200 OK\r\nContent-Length: {bytes}\r\n\r\n\"{body}");
    Act::RawInHalves(first.into_bytes(), Arc::clone(permit), b"\"".to_vec())
}

#[tokio::test]
async fn long_answers_of_one_host_wait_for_room_and_others_do_not() {
    let long = Value::String("b".repeat(200_000)).to_string();
    let mut limits = limits(BOUNDED, BOUNDED);
    limits.http.host_response_bytes = 1 << 20;
    // Two hold all the room of their host until they may go on.
    let go_on = Arc::new(Semaphore::new(0));
    let [first, second] = [(); 2].map(|()| long_in_halves(512 << 10, &go_on));
    let stub = Stub::start(vec![first, second, Act::json(200, "1"), Act::json(200, &long)]).await;
    let elsewhere = Stub::start(vec![Act::json(200, &long)]).await;
    let connectors = Arc::new(all(&stub.url, limits));
    let invoke = || {
        let connectors = Arc::clone(&connectors);
        tokio::spawn(async move { call(&connectors, "lambda:invoke").await })
    };
    let holding = [invoke(), invoke()];
    stub.asked().await;
    stub.asked().await;
    let quick = invoke().await.expect("no panic");
    assert!(matches!(quick, TaskOutcome::Succeeded(_)), "a short answer needs no room: {quick:?}");
    stub.asked().await;
    let long_elsewhere = call(&all(&elsewhere.url, CallLimits::default()), "lambda:invoke").await;
    assert!(matches!(long_elsewhere, TaskOutcome::Succeeded(_)), "{long_elsewhere:?}");
    let waiting = invoke();
    stub.asked().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished(), "there is no room yet: {:?}", waiting.await);
    go_on.add_permits(2);
    // They were read, and are more than a state may have.
    for held in holding {
        assert_eq!(failed(held.await.expect("no panic")).0, "States.DataLimitExceeded");
    }
    let waited = waiting.await.expect("no panic");
    assert!(matches!(&waited, TaskOutcome::Succeeded(_)), "a long one waits: {waited:?}");
}
