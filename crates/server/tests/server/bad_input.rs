//! Whatever arrives, the answer is a clear AWS error, and the server serves on.

use crate::support::{Server, send};
use serde_json::json;

#[track_caller]
fn still_serves(server: &Server) {
    server.ok("ListStateMachines", &json!({}));
}

#[test]
fn bodies_that_are_no_request() {
    let server = Server::start();
    let check = |body: &[u8], part: &str| {
        server.raw("StartExecution", body).is_error("SerializationException", part);
        still_serves(&server);
    };
    check(b"{", "not valid JSON");
    check(b"nonsense", "not valid JSON");
    check(b"[]", "must be an object, but is a list");
    check(b"\"text\"", "must be an object, but is a string");
    check(b"{} {}", "not valid JSON");
    check(b"\xff\xfe\x00", "not valid JSON");
    check(b"{\"stateMachineArn\": \"\xc3\x28\"}", "not valid JSON");
    check(b"{\"stateMachineArn\": 7}", "'stateMachineArn' must be a string, but is a number");
    check(b"{\"stateMachineArn\": {\"a\": []}}", "'stateMachineArn' must be a string, but is an object");
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        check(deep.as_bytes(), "not valid JSON");
        check(format!("{{\"stateMachineArn\": {deep}}}").as_bytes(), "not valid JSON");
        check(open.repeat(10_000).as_bytes(), "not valid JSON");
    }
}

#[test]
fn deep_nesting_inside_of_texts() {
    let server = Server::start();
    let machine = json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}});
    let arn = server.create("m", &machine);
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let start = json!({"stateMachineArn": arn, "input": deep});
    server.call("StartExecution", &start).is_error("InvalidExecutionInput", "Invalid State Machine Execution Input: '");
    let create = json!({"name": "deep", "roleArn": crate::support::ROLE, "definition": deep});
    server.call("CreateStateMachine", &create).is_error("InvalidDefinition", "Invalid State Machine Definition: '");
    let activity = server.ok("CreateActivity", &json!({"name": "a"}))["activityArn"].clone();
    let waiting = json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity, "End": true}}});
    server.ok("StartExecution", &json!({"stateMachineArn": server.create("waiting", &waiting)}));
    let token = server.ok("GetActivityTask", &json!({"activityArn": activity}))["taskToken"].clone();
    let output = json!({"taskToken": token, "output": deep});
    server.call("SendTaskSuccess", &output).is_error("InvalidOutput", "Invalid Output: '");
    still_serves(&server);
}

#[test]
fn execution_inputs_that_are_not_json() {
    let server = Server::start();
    let machine = json!({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}});
    let arn = server.create("m", &machine);
    let check = |input: &str, detail: &str| {
        let answer = server.call("StartExecution", &json!({"stateMachineArn": arn, "input": input}));
        answer.is_error("InvalidExecutionInput", "");
        assert_eq!(answer.body["message"], format!("Invalid State Machine Execution Input: '{detail}'"));
    };
    check("", "Invalid execution input.");
    check(
        "not json",
        "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
    );
    check("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name");
    for scalar in ["2", "\"text\"", "null", "[]"] {
        server.ok("StartExecution", &json!({"stateMachineArn": arn, "input": scalar}));
    }
    // Within the limit in characters, over it in bytes.
    let wide = format!("\"{}\"", "ü".repeat(200_000));
    let answer = server.call("StartExecution", &json!({"stateMachineArn": arn, "input": wide}));
    answer
        .is_error("ValidationException", "at 'input' failed to satisfy constraint: Member must have length less than");
}

#[test]
fn absurd_arns_and_names() {
    let server = Server::start();
    let check = |operation: &str, member: &str, text: &str, code: &str, part: &str| {
        server.call(operation, &json!({ member: text })).is_error(code, part);
    };
    check("DescribeStateMachine", "stateMachineArn", "x", "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'");
    check("DescribeStateMachine", "stateMachineArn", "arn:", "InvalidArn", "Invalid Arn: '");
    check("DescribeExecution", "executionArn", "arn:aws:states::::::::", "InvalidArn", "Invalid Arn: '");
    check("DescribeExecution", "executionArn", "arn:\u{0}:\u{202e}:😀", "InvalidArn", "Invalid Arn: '");
    check("DeleteStateMachine", "stateMachineArn", "arn:aws:s3:::bucket", "InvalidArn", "Invalid Arn: '");
    check(
        "DescribeExecution",
        "executionArn",
        "arn:aws:states:us-east-1:000000000000:express:m:e:1",
        "InvalidArn",
        "Invalid Arn: 'Resource type not valid in this context: express'",
    );
    check(
        "DescribeExecution",
        "executionArn",
        &format!("arn:aws:states:us-east-1:000000000000:execution:{}", "m".repeat(100_000)),
        "ValidationException",
        "at 'executionArn' failed to satisfy constraint: Member must have length less than or equal to 256",
    );
    check("CreateActivity", "name", "a b", "InvalidName", "Invalid Name: 'a b'");
    check("CreateActivity", "name", "a\u{1}b", "InvalidName", "Invalid Name: 'a\u{1}b'");
    check("SendTaskHeartbeat", "taskToken", "AAAA😀", "InvalidToken", "Invalid Token: 'Invalid token'");
    check("ListStateMachines", "nextToken", "zzz", "InvalidToken", "Invalid Token: 'Invalid token'");
    server.call("DescribeExecution", &json!({})).is_error(
        "ValidationException",
        "1 validation error detected: Value null at 'executionArn' failed to satisfy constraint: Member must not be null",
    );
    still_serves(&server);
}

#[test]
fn unknown_members_are_ignored_and_null_is_absent() {
    let server = Server::start();
    let input = json!({"unknown": {"deep": [1, 2]}, "nextToken": null, "maxResults": null, "": 0});
    assert_eq!(server.ok("ListStateMachines", &input), json!({"stateMachines": []}));
    assert_eq!(server.raw("ListStateMachines", b"").status, 200);
}

#[test]
fn targets_methods_and_paths() {
    let server = Server::start();
    server.raw("NoSuchOperation", b"{}").is_error("UnknownOperationException", "NoSuchOperation");
    server.send("POST / HTTP/1.1\r\n", b"{}").is_error("UnknownOperationException", "X-Amz-Target is missing");
    let other = "POST / HTTP/1.1\r\nx-amz-target: DynamoDB_20120810.GetItem\r\n";
    server.send(other, b"{}").is_error("UnknownOperationException", "DynamoDB_20120810.GetItem");
    let status = |head: &str| server.send(head, b"").status;
    assert_eq!(status("PUT / HTTP/1.1\r\n"), 405);
    assert_eq!(status("DELETE /healthz HTTP/1.1\r\n"), 405);
    assert_eq!(status("POST /elsewhere HTTP/1.1\r\n"), 404);
    assert_eq!(status("GET /_stepwright/nothing HTTP/1.1\r\n"), 404);
    assert_eq!(status("GET / HTTP/1.1\r\n"), 200);
    assert_eq!(server.send("GET /healthz HTTP/1.1\r\n", b"").body["status"], "ok");
    // A page in a browser cannot send this without asking, and nobody answers that.
    assert_eq!(status("POST /_stepwright/quarantine/arn:x/fail HTTP/1.1\r\n"), 415);
    still_serves(&server);
}

#[test]
fn heads_that_are_no_http() {
    let server = Server::start();
    let check = |head: &str, status: u16, part: &str| {
        let answer = server.send(head, b"");
        assert_eq!((answer.status, &answer.body["__type"]), (status, &json!("SerializationException")), "{answer:?}");
        assert!(answer.body["message"].as_str().is_some_and(|message| message.contains(part)), "{answer:?}");
        assert!(answer.head.contains("connection: close") && answer.head.contains("x-amzn-requestid: "), "{answer:?}");
        still_serves(&server);
    };
    check("NONSENSE\r\n", 400, "no HTTP/1.1 request");
    check("\x16\x03\x01\u{2}\u{0}\u{1}\u{0}\r\n", 400, "looks like TLS");
    let long = format!("POST / HTTP/1.1\r\nx-long: {}\r\n", "x".repeat(200_000));
    check(&long, 431, "16384 bytes (http.header_bytes)");
    let many = format!("POST / HTTP/1.1\r\n{}", "a: b\r\n".repeat(200));
    check(&many, 431, "100 headers (http.headers)");
    check(&format!("POST /{} HTTP/1.1\r\n", "x".repeat(70_000)), 431, "http.header_bytes");
}

#[test]
fn a_body_that_is_too_long_leaves_the_connection_usable() {
    let server = Server::start();
    let mut socket = server.connect();
    let head = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.ListStateMachines\r\n";
    let answer = send(&mut socket, head, &vec![b' '; 5 << 20]);
    answer.is_error("SerializationException", "longer than the 4194304 bytes that http.body_bytes allows");
    assert_eq!(send(&mut socket, head, b"{}").status, 200, "the same connection");
    // Longer than anybody would read: answered and closed, whether or not the body ever comes.
    let answer = server.send("POST / HTTP/1.1\r\nx-huge: 1\r\n", &[]);
    answer.is_error("UnknownOperationException", "");
    let mut socket = server.connect();
    std::io::Write::write_all(&mut socket, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n")
        .expect("writes");
    let answer = crate::support::read_answer(&mut socket);
    answer.is_error("SerializationException", "longer than the 4194304 bytes that http.body_bytes allows");
    assert!(answer.head.contains("connection: close"), "{answer:?}");
    still_serves(&server);
}

#[test]
fn an_authorization_that_is_none() {
    let server = Server::start();
    let head = "POST / HTTP/1.1\r\nx-amz-target: AWSStepFunctions.ListStateMachines\r\nauthorization: Bearer x\r\n";
    server.send(head, b"{}").is_error("IncompleteSignatureException", "AWS4-HMAC-SHA256");
}
