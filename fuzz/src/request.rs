//! The decoder of requests. Whatever comes, there is an answer, and every error is one of AWS's list.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use serde_json::Value;
use stepwright_api::{
    ErrorCode, Operations, RequestContext,
    arn::{ActivityArn, Arn, ExecutionArn, StateMachineArn},
    credential::Credential,
    dispatch,
    name::check_name,
};

pub(crate) const PIECES: &[&str] = &[
    "null",
    "true",
    "-1",
    "1e400",
    "0",
    "1001",
    "{}",
    "[]",
    "\"\"",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "{\"key\":1}",
    ",",
    ":",
    "\"arn:aws:states:us-east-1:000000000000:stateMachine:m\"",
    "\"name\"",
    "\"input\"",
    "\"definition\"",
    "\"maxResults\"",
    "\"nextToken\"",
    "\"tags\"",
    "StartExecution",
    "CreateStateMachine",
    "SendTaskSuccess",
    "\n",
    "\"taskToken\"",
    "arn:aws:states:",
    ":execution:",
    "Credential=",
    "/states/aws4_request",
];

/// Serves nothing: what was decoded is refused as not served.
struct Nobody;

impl Operations for Nobody {}

pub(crate) fn run(bytes: &[u8]) {
    let (line, body) = super::line_and_rest(bytes);
    let line = String::from_utf8_lossy(line);
    let context = RequestContext {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        request_id: "id".to_owned(),
        trace_header: None,
    };
    let target = format!("AWSStepFunctions.{line}");
    let answer = pin!(dispatch(&Nobody, &context, &target, body));
    let Poll::Ready(answer) = answer.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("nobody is waited for")
    };
    let code = answer.error.expect("nobody serves");
    assert!(ErrorCode::ALL.contains(&code));
    assert_ne!(
        code,
        ErrorCode::InternalServerError,
        "a fault of the server: {}",
        String::from_utf8_lossy(&answer.body)
    );
    let told: Value = serde_json::from_slice(&answer.body).expect("errors are JSON");
    assert_eq!(told["__type"], code.as_str());
    assert!(told["message"].is_string(), "{told}");
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    assert!(answer.body.len() <= 4_096 + 16 * bytes.len(), "an answer of {} bytes", answer.body.len());

    // What is written of a thing that was read reads the same again.
    if let Ok(arn) = Arn::parse(&line) {
        assert_eq!(arn.to_string(), line);
    }
    if let Ok(arn) = ExecutionArn::parse(&line) {
        assert_eq!(ExecutionArn::parse(&arn.to_string()), Ok(arn));
    }
    if let Ok(arn) = ActivityArn::parse(&line) {
        assert_eq!(ActivityArn::parse(&arn.to_string()), Ok(arn));
    }
    if let Ok(arn) = StateMachineArn::parse(&line) {
        assert_eq!(StateMachineArn::parse(&arn.to_string()), Ok(arn));
    }
    let _valid_or_told = (check_name(&line), Credential::from_authorization(&line), Credential::from_query(&line));
}
