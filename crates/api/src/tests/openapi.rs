//! The OpenAPI document says what decoding does: names, constraints, errors, and examples that pass.

use serde_json::{Value, json};

use crate::reflect::{self, ShapeKind};
use crate::{ApiError, ErrorCode, OPERATIONS, Operation, Operations, RequestContext, dispatch, openapi};

fn document() -> Value {
    openapi::document("0.0.0")
}

#[test]
fn every_operation_has_a_path_with_its_errors() {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), Operation::ALL.len());
    for info in OPERATIONS {
        let name = info.operation.name();
        let post = &paths[&format!("/operations/{name}")]["post"];
        assert_eq!(post["operationId"], name);
        assert!(post["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{name}: {}", post["summary"]);
        let refused = post["responses"]["400"]["content"][openapi::MEDIA_TYPE]["schema"]["oneOf"].to_string();
        for error in info.errors {
            assert!(refused.contains(&format!("/{}\"", error.as_str())), "{name}: {error}");
        }
        assert!(refused.contains("/ValidationException\""), "{name}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn look(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(to)) = members.get("$ref") {
                    let pointer = to.strip_prefix('#').expect("inside the document");
                    assert!(document.pointer(pointer).is_some(), "{to}");
                }
                members.values().for_each(|value| look(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| look(value, document)),
            _ => {}
        }
    }
    let document = document();
    look(&document, &document);
}

#[test]
fn constraints_are_those_of_the_rules() {
    let document = document();
    let schema = |name: &str| &document["components"]["schemas"][name];
    let create = schema("CreateStateMachineInput");
    assert_eq!(create["required"], json!(["name", "definition", "roleArn"]));
    assert_eq!(create["properties"]["name"], json!({"type": "string", "minLength": 1, "maxLength": 80}));
    assert_eq!(create["properties"]["definition"]["maxLength"], 1_048_576);
    assert_eq!(create["properties"]["type"]["enum"], json!(["STANDARD", "EXPRESS"]));
    let list = schema("ListExecutionsInput");
    let max_results = json!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 1000});
    assert_eq!(list["properties"]["maxResults"], max_results);
    assert!(list.get("required").is_none());
    let alias = &schema("CreateStateMachineAliasInput")["properties"];
    assert_eq!(alias["routingConfiguration"]["maxItems"], 2);
    assert_eq!(alias["name"]["pattern"], r"^[0-9]*[a-zA-Z_.\-][a-zA-Z0-9_.\-]*$");
    // Where the service deviates from its model, the description follows the service.
    let validate = &schema("ValidateStateMachineDefinitionInput")["properties"]["definition"];
    assert!(validate.get("minLength").is_none() && validate["maxLength"] == 1_048_576, "{validate}");
    let scheduled = schema("TaskScheduledEventDetails")["required"].to_string();
    assert!(!scheduled.contains("parameters"), "{scheduled}");
    let stopped = schema("KmsInvalidStateException");
    assert_eq!(stopped["required"], json!(["__type", "message"]));
    assert!(stopped["properties"]["kmsKeyState"]["enum"].as_array().is_some_and(|states| states.len() == 5));
}

/// Serves nothing: what gets that far has passed every constraint.
struct Nothing;

impl Operations for Nothing {}

#[test]
fn the_requests_of_the_examples_pass_the_constraints() {
    let context = RequestContext {
        region: "us-east-1".to_owned(),
        account: "000000000000".to_owned(),
        request_id: "1".to_owned(),
        trace_header: None,
    };
    let document = document();
    for &operation in Operation::ALL {
        let name = operation.name();
        let content = &document["paths"][&format!("/operations/{name}")]["post"]["requestBody"]["content"];
        let example = content[openapi::MEDIA_TYPE]["examples"]["typical"]["value"].to_string();
        let target = format!("AWSStepFunctions.{name}");
        let served = dispatch(&Nothing, &context, &target, example.as_bytes());
        let mut served = std::pin::pin!(served);
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let std::task::Poll::Ready(answer) = served.as_mut().poll(&mut cx) else { panic!("{name} waits") };
        assert_eq!(answer.error, Some(ErrorCode::UnsupportedOperationException), "{name}: {:?}", answer.body);
        assert_eq!(answer.status, ApiError::not_served(operation).status());
    }
}

#[test]
fn the_answers_of_the_examples_have_known_members_and_all_required_ones() {
    fn check(shape: &str, value: &Value, at: &str) {
        match reflect::shape(shape).expect("a shape").kind {
            ShapeKind::Structure { members, .. } => {
                let given = value.as_object().unwrap_or_else(|| panic!("{at}: {value}"));
                for name in given.keys() {
                    let member = members.iter().find(|member| member.name == name);
                    check(member.unwrap_or_else(|| panic!("{at}/{name}")).shape, &given[name], &format!("{at}/{name}"));
                }
                for member in members.iter().filter(|member| member.required) {
                    assert!(given.contains_key(member.name), "{at} lacks {}", member.name);
                }
            }
            ShapeKind::List { member, .. } => {
                value.as_array().expect("a list").iter().for_each(|item| check(member, item, at));
            }
            ShapeKind::Enum(values) => assert!(values.iter().any(|one| value == one), "{at}: {value}"),
            ShapeKind::String(_) => assert!(value.is_string(), "{at}: {value}"),
            ShapeKind::Integer(_) | ShapeKind::Long(_) => assert!(value.is_i64(), "{at}: {value}"),
            ShapeKind::Float(_) | ShapeKind::Timestamp => assert!(value.is_number(), "{at}: {value}"),
            ShapeKind::Boolean => assert!(value.is_boolean(), "{at}: {value}"),
            ShapeKind::Map { .. } => assert!(value.is_object(), "{at}: {value}"),
        }
    }
    let document = document();
    for info in OPERATIONS {
        let name = info.operation.name();
        let content = &document["paths"][&format!("/operations/{name}")]["post"]["responses"]["200"]["content"];
        check(info.output, &content[openapi::MEDIA_TYPE]["examples"]["typical"]["value"], name);
    }
}
