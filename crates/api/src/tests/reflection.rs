//! The tables equal the model: nothing of it is missing, nothing is invented, no keyword of it is unknown.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::model::Model;
use crate::error::{ApiError, ErrorCode};
use crate::generated::enums::{KmsKeyState, ValidationExceptionReason};
use crate::generated::operations::Operation;
use crate::reflect::{self, ShapeKind};
use crate::{DEVIATIONS, OPERATIONS, SHAPES};

/// A table entry written as the model would write it.
fn as_model(shape: &reflect::ShapeInfo) -> Value {
    let mut info = json!({});
    let mut bounds = |min: Option<i64>, max: Option<i64>, sensitive: bool| {
        let mut part = json!({});
        for (key, bound) in [("min", min), ("max", max)] {
            if let Some(bound) = bound {
                part[key] = json!(bound);
            }
        }
        if sensitive {
            part["sensitive"] = json!(true);
        }
        info.as_object_mut().expect("object").append(part.as_object_mut().expect("object"));
    };
    let size = |size: Option<usize>| size.map(|size| i64::try_from(size).expect("a bound of the model"));
    let (kind, name) = match shape.kind {
        ShapeKind::Structure { members, exception, sensitive } => {
            bounds(None, None, sensitive);
            let list = members.iter().map(|m| (m.name.to_owned(), json!({ "shape": m.shape })));
            info["members"] = Value::Object(list.collect());
            let required: BTreeSet<&str> = members.iter().filter(|m| m.required).map(|m| m.name).collect();
            info["required"] = json!(required);
            info["exception"] = json!(exception);
            ("structure", shape.name)
        }
        ShapeKind::List { member, rule } => {
            bounds(size(rule.min), size(rule.max), false);
            info["member"] = json!({ "shape": member });
            ("list", rule.shape)
        }
        ShapeKind::Map { key, value, sensitive } => {
            bounds(None, None, sensitive);
            info["key"] = json!({ "shape": key });
            info["value"] = json!({ "shape": value });
            ("map", shape.name)
        }
        ShapeKind::String(rule) => {
            bounds(size(rule.min), size(rule.max), rule.sensitive);
            if let Some(pattern) = rule.pattern {
                info["pattern"] = json!(pattern.text);
            }
            ("string", rule.shape)
        }
        ShapeKind::Enum(values) => {
            info["enum"] = json!(values);
            ("string", shape.name)
        }
        ShapeKind::Integer(rule) => {
            bounds(rule.min, rule.max, rule.sensitive);
            ("integer", rule.shape)
        }
        ShapeKind::Long(rule) => {
            bounds(rule.min, rule.max, rule.sensitive);
            ("long", rule.shape)
        }
        ShapeKind::Float(rule) => {
            bounds(rule.min, rule.max, rule.sensitive);
            ("float", rule.shape)
        }
        ShapeKind::Boolean => ("boolean", shape.name),
        ShapeKind::Timestamp => ("timestamp", shape.name),
    };
    assert_eq!(name, shape.name, "the rule belongs to the shape");
    info["type"] = json!(kind);
    info
}

/// The model's entry without what concerns clients only, and with its defaults written out.
fn normal(shape: &Value) -> Value {
    let mut shape = shape.clone();
    let map = shape.as_object_mut().expect("a shape is an object");
    map.remove("box");
    if map["type"] == "structure" {
        let required: BTreeSet<String> =
            map.get("required").map_or_else(BTreeSet::new, |list| serde_json::from_value(list.clone()).expect("names"));
        map.insert("required".into(), json!(required));
        map.entry("exception").or_insert(json!(false));
        for member in map["members"].as_object_mut().expect("members").values_mut() {
            let member = member.as_object_mut().expect("a member is an object");
            member.remove("box");
            member.remove("idempotencyToken");
        }
    }
    shape
}

#[test]
fn every_shape_member_and_constraint_is_in_the_tables() {
    let model = Model::load();
    let names: Vec<&str> = SHAPES.iter().map(|shape| shape.name).collect();
    assert_eq!(names, model.shapes.keys().collect::<Vec<_>>());
    for shape in SHAPES {
        let (ours, theirs) = (as_model(shape), normal(&model.shapes[shape.name]));
        assert_eq!(ours, theirs, "{}", shape.name);
        let order =
            |info: &Value| info["members"].as_object().map(|members| members.keys().cloned().collect::<Vec<_>>());
        assert_eq!(order(&ours), order(&theirs), "{}: the order of members", shape.name);
        assert_eq!(reflect::shape(shape.name).map(|found| found.name), Some(shape.name));
    }
}

#[test]
fn every_operation_is_in_the_tables() {
    let model = Model::load();
    assert_eq!(model.operations.len(), 37);
    assert_eq!(OPERATIONS.iter().map(|info| info.operation).collect::<Vec<_>>(), Operation::ALL);
    assert_eq!(
        Operation::ALL.iter().map(|op| op.name()).collect::<Vec<_>>(),
        model.operations.keys().collect::<Vec<_>>()
    );
    for info in OPERATIONS {
        let name = info.operation.name();
        let theirs = &model.operations[name];
        assert_eq!(Operation::parse(name), Some(info.operation));
        assert_eq!(theirs["name"], name);
        assert_eq!(theirs["http"], json!({ "method": "POST", "requestUri": "/" }), "{name}");
        assert_eq!(
            (&theirs["input"], &theirs["output"]),
            (&json!({ "shape": info.input }), &json!({ "shape": info.output }))
        );
        let errors: Vec<Value> = info.errors.iter().map(|code| json!({ "shape": code.as_str() })).collect();
        assert_eq!(theirs["errors"], json!(errors), "{name}");
        assert_eq!(theirs["idempotent"] == true, info.idempotent, "{name}");
        for key in theirs.as_object().expect("an operation is an object").keys() {
            let known = ["name", "http", "input", "output", "errors", "idempotent", "endpoint"];
            assert!(known.contains(&key.as_str()), "{name}: the keyword {key} is new");
        }
    }
}

#[test]
fn every_error_has_a_code_and_its_members() {
    let model = Model::load();
    let full = ApiError::new(ErrorCode::ValidationException, "text")
        .with_reason(ValidationExceptionReason::MissingRequiredParameter)
        .with_resource_name("arn")
        .with_kms_key_state(KmsKeyState::Disabled);
    let full: Value = serde_json::from_slice(&full.to_body()).expect("JSON");
    let errors = model.shapes.iter().filter(|(_, shape)| shape["exception"] == true);
    let mut count = 0;
    for (name, _) in errors {
        let code = ErrorCode::ALL.iter().find(|code| code.as_str() == name).expect(name);
        assert_eq!(code.status(), 400, "{name}");
        for (member, _) in model.members(name) {
            assert!(!full[member].is_null(), "{name}.{member} cannot be sent");
        }
        let body: Value = serde_json::from_slice(&ApiError::new(*code, "text \u{1f}").to_body()).expect("JSON");
        assert_eq!(body, json!({ "__type": name, "message": "text \u{1f}" }), "absent members are not sent");
        count += 1;
    }
    assert_eq!(count, 33);
    for code in ErrorCode::ALL {
        let fault = matches!(code, ErrorCode::InternalServerError | ErrorCode::ServiceUnavailable);
        assert_eq!(code.status() >= 500, fault, "{code}");
    }
}

#[test]
fn every_deviation_names_a_constraint_of_the_model() {
    let model = Model::load();
    for deviation in DEVIATIONS {
        let (_, shape) =
            model.members(deviation.structure).find(|(name, _)| *name == deviation.member).expect("a member");
        if deviation.constraint == "required" {
            let as_written = include_str!("../../model/service-2.json");
            let as_written: Value = serde_json::from_str(as_written).expect("the model is JSON");
            let required = as_written["shapes"][deviation.structure]["required"].as_array().expect("a list");
            assert!(required.contains(&json!(deviation.member)), "{deviation:?}");
        } else {
            assert!(model.shapes[shape][deviation.constraint].is_number(), "{deviation:?}");
        }
    }
}
