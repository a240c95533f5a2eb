//! From a target and bytes to an answer.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::{Value, json};

use super::model::Model;
use crate::types::{
    DescribeActivityInput, DescribeActivityOutput, ListTagsForResourceInput, ListTagsForResourceOutput,
};
use crate::{ApiError, ErrorCode, Operation, Operations, RequestContext, Response, Timestamp, dispatch};

/// Serves one operation well, one with an error, and leaves the others.
struct Few;

impl Operations for Few {
    async fn describe_activity(
        &self,
        context: &RequestContext,
        input: DescribeActivityInput,
    ) -> Result<DescribeActivityOutput, ApiError> {
        Ok(DescribeActivityOutput::new(input.activity_arn, context.account.clone(), Timestamp(1_718_000_000_123)))
    }

    async fn list_tags_for_resource(
        &self,
        _: &RequestContext,
        input: ListTagsForResourceInput,
    ) -> Result<ListTagsForResourceOutput, ApiError> {
        let arn = input.resource_arn;
        Err(ApiError::new(ErrorCode::ResourceNotFound, format!("Resource not found: '{arn}'")).with_resource_name(arn))
    }
}

fn call(target: &str, body: &[u8]) -> (Response, Value) {
    fn finish<F: Future + Send>(future: F) -> F::Output {
        let mut future = pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => output,
            Poll::Pending => panic!("nothing here waits"),
        }
    }
    let context = RequestContext {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        request_id: "id".to_owned(),
        trace_header: None,
    };
    let response = finish(dispatch(&Few, &context, target, body));
    let body = serde_json::from_slice(&response.body).expect("an answer is JSON");
    (response, body)
}

#[test]
fn every_operation_is_reached_and_checked() {
    let model = Model::load();
    for (name, info) in &model.operations {
        let target = format!("AWSStepFunctions.{name}");
        let input = info["input"]["shape"].as_str().expect("shape");
        let (response, body) = call(&target, model.sample(input).to_string().as_bytes());
        assert_eq!(response.operation, Operation::parse(name));
        match name.as_str() {
            "DescribeActivity" => assert_eq!(response.status, 200),
            "ListTagsForResource" => assert_eq!(body["__type"], "ResourceNotFound"),
            _ => {
                let message = format!("{name} is not served by this version of Stepwright yet");
                assert_eq!(body, json!({ "__type": "UnsupportedOperationException", "message": message }));
                assert_eq!(response.status, 400);
            }
        }
        if !model.required(input).is_empty() {
            for empty in ["", " \r\n", "{}"] {
                let (response, body) = call(&target, empty.as_bytes());
                assert_eq!((response.status, response.error), (400, Some(ErrorCode::ValidationException)), "{name}");
                assert!(body["message"].as_str().expect("text").contains("Member must not be null"), "{body}");
            }
        }
    }
}

#[test]
fn an_answer_and_an_error_are_written() {
    let (response, body) = call("AWSStepFunctions.DescribeActivity", br#"{"activityArn":"arn:x","extra":1}"#);
    assert_eq!((response.status, response.error), (200, None));
    assert_eq!(body, json!({ "activityArn": "arn:x", "name": "000000000000", "creationDate": 1718000000.123 }));
    let (response, body) = call("AWSStepFunctions.ListTagsForResource", br#"{"resourceArn":"arn:x"}"#);
    assert_eq!((response.status, response.error), (400, Some(ErrorCode::ResourceNotFound)));
    let expected =
        json!({ "__type": "ResourceNotFound", "message": "Resource not found: 'arn:x'", "resourceName": "arn:x" });
    assert_eq!(body, expected);
}

#[test]
fn an_unknown_target_is_refused() {
    for target in [
        "",
        "StartExecution",
        "AWSStepFunctions.",
        "AWSStepFunctions.startExecution",
        "AWSStepFunctions.StartExecution ",
        "AmazonSQS.SendMessage",
        &"x".repeat(100_000),
    ] {
        let (response, body) = call(target, b"{}");
        assert_eq!((response.status, response.operation), (400, None));
        assert_eq!(body["__type"], "UnknownOperationException");
        assert!(response.body.len() < 300, "a long target is not repeated whole");
    }
}

#[test]
fn a_body_that_cannot_be_read_is_a_clear_error() {
    let deep = |open: &str, close: &str| format!("{{\"x\":{}1{}}}", open.repeat(10_000), close.repeat(10_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"not json".to_vec(),
        b"{".to_vec(),
        b"{}}".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"\"text\"".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"{\"activityArn\":\"\xff\xfe\"}".to_vec(),
        b"{\"activityArn\":\"\xed\xa0\x80\"}".to_vec(),
        br#"{"activityArn":"\ud800"}"#.to_vec(),
        br#"{"activityArn":1e999}"#.to_vec(),
        b"{\"activityArn\":\"a\nb\"}".to_vec(),
        b"\x00".to_vec(),
        deep("[", "]").into_bytes(),
        deep("{\"x\":", "}").into_bytes(),
        "[".repeat(1_000_000).into_bytes(),
    ];
    for body in bodies {
        let (response, answer) = call("AWSStepFunctions.DescribeActivity", &body);
        let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
        assert_eq!((response.status, response.error), (400, Some(ErrorCode::SerializationException)), "{shown}");
        let message = answer["message"].as_str().expect("text");
        assert!(message.starts_with("The request body ") && message.len() < 200, "{shown}: {message}");
    }
}

#[test]
fn of_a_member_given_twice_the_last_counts() {
    let (_, body) = call("AWSStepFunctions.DescribeActivity", br#"{"activityArn":"one","activityArn":"two"}"#);
    assert_eq!(body["activityArn"], "two");
}
