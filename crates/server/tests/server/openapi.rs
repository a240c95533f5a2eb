//! The description of the API, and the paths that it describes.

use serde_json::{Value, json};

use crate::support::{Answer, ROLE, Server, say};

fn post(server: &Server, path: &str, content_type: &str, body: &str) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\n{content_type}");
    server.send(&head, body.as_bytes())
}

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn the_served_document_is_the_printed_one() {
    let server = Server::start();
    let served = server.send("GET /openapi.json HTTP/1.1\r\n", b"");
    assert_eq!(served.status, 200, "{}", served.head);
    assert!(served.head.contains("content-type: application/json"), "{}", served.head);
    assert_eq!(served.body["openapi"], "3.1.0");
    let printed = say(&std::env::temp_dir(), &["openapi"], "");
    printed.ended(0, &[]);
    assert_eq!(printed.json(), served.body);
    assert_eq!(server.send("POST /openapi.json HTTP/1.1\r\n", b"{}").status, 405);
}

#[test]
fn every_path_of_the_document_answers_as_its_operation_does() {
    let server = Server::start();
    let document = server.send("GET /openapi.json HTTP/1.1\r\n", b"").body;
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), 37);
    // A wrong type is found while the request is decoded, before an operation has any effect.
    let body = r#"{"maxResults": true, "name": 1, "definition": 1, "taskToken": 1, "resourceArn": 1,
        "stateMachineArn": 1, "executionArn": 1, "activityArn": 1, "mapRunArn": 1, "stateMachineAliasArn": 1,
        "stateMachineVersionArn": 1}"#;
    for path in paths.keys() {
        let operation = path.strip_prefix("/operations/").expect("the prefix");
        let at_path = post(&server, path, JSON, body);
        let at_root = server.raw(operation, body.as_bytes());
        assert_eq!((at_path.status, &at_path.body), (at_root.status, &at_root.body), "{operation}");
        assert_eq!(at_path.body["__type"], "SerializationException", "{operation}: {at_path:?}");
        assert!(at_path.head.contains("content-type: application/json\r\n"), "{}", at_path.head);
    }
}

#[test]
fn a_state_machine_is_created_and_run_by_paths() {
    let server = Server::start();
    let definition = r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": 7, "End": true}}}"#;
    let create = json!({"name": "m", "definition": definition, "roleArn": ROLE}).to_string();
    let content_type = "content-type: application/x-amz-json-1.0; charset=utf-8\r\n";
    let created = post(&server, "/operations/CreateStateMachine", content_type, &create);
    assert_eq!(created.status, 200, "{created:?}");
    let start = json!({"stateMachineArn": created.body["stateMachineArn"]}).to_string();
    let started = post(&server, "/operations/StartExecution", JSON, &start);
    assert_eq!(server.wait(&started.body["executionArn"])["output"], "7");
}

#[test]
fn what_a_web_page_could_send_unasked_is_refused() {
    let server = Server::start();
    for content_type in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"] {
        let refused = post(&server, "/operations/CreateActivity", content_type, r#"{"name": "a"}"#);
        assert_eq!(refused.status, 415, "{content_type}: {refused:?}");
        assert!(refused.body["message"].as_str().is_some_and(|message| message.contains("application/json")));
    }
    assert_eq!(server.ok("ListActivities", &json!({}))["activities"], Value::Array(Vec::new()));
}

#[test]
fn other_paths_and_methods_are_said_to_be_none() {
    let server = Server::start();
    let unknown = post(&server, "/operations/Nothing", JSON, "{}");
    assert_eq!(unknown.status, 404, "{unknown:?}");
    let got = server.send("GET /operations/ListActivities HTTP/1.1\r\n", b"");
    assert_eq!(got.status, 405, "{got:?}");
    assert!(got.head.contains("allow: post"), "{}", got.head);
}
