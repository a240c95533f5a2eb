//! What the model says is what decoding does: every member, constraint and type of every structure.

use serde_json::{Map, Value, json};

use super::model::{Model, PLAIN, SECRET, Step, at, changed};
use crate::error::{ApiError, ErrorCode};
use crate::generated::round_trip::round_trip;

fn decode(structure: &str, value: &Value) -> Result<(String, Value), ApiError> {
    round_trip(structure, value.clone()).unwrap_or_else(|| panic!("no structure {structure}"))
}

#[track_caller]
fn written(structure: &str, value: &Value) -> Value {
    decode(structure, value).unwrap_or_else(|error| panic!("{structure}: {error}")).1
}

#[test]
fn every_structure_comes_back_with_all_members_in_order() {
    let model = Model::load();
    for (name, _) in model.structures() {
        let sample = model.sample(name);
        assert_eq!(written(name, &sample).to_string(), sample.to_string(), "{name}");
    }
}

#[test]
fn absent_members_are_never_written() {
    let model = Model::load();
    for (name, _) in model.structures() {
        let minimal = model.minimal(name);
        assert_eq!(written(name, &minimal), minimal, "{name}");
    }
}

#[test]
fn unknown_members_are_ignored() {
    let model = Model::load();
    for (name, _) in model.structures() {
        let mut sample = model.sample(name);
        let clean = sample.clone();
        for key in ["", "unknown", "__type", "Name", "\u{0}"] {
            sample[key] = json!({ "any": [1, null] });
        }
        assert_eq!(written(name, &sample), clean, "{name}");
    }
}

#[test]
fn every_constraint_is_checked_with_its_text_wherever_it_lies() {
    let model = Model::load();
    let mut checked = 0;
    for (name, _) in model.structures() {
        let sample = model.sample(name);
        for case in model.cases(name) {
            let result = decode(name, &changed(sample.clone(), &case.path, case.value.as_ref()));
            let place = format!("{name} {}", at(&case.path));
            if case.violations.is_empty() {
                assert!(result.is_ok(), "{place}: {:.300}", result.unwrap_err().message);
                continue;
            }
            checked += 1;
            let Err(error) = result else { panic!("{place}: passed, but violates {:?}", case.violations) };
            let count = case.violations.len();
            let plural = if count == 1 { "" } else { "s" };
            let expected = format!("{count} validation error{plural} detected: {}", case.violations.join("; "));
            assert_eq!(error.code, ErrorCode::ValidationException, "{place}");
            // Not assert_eq: the values can be megabytes.
            let got = &error.message;
            assert!(*got == expected, "{place}:\n got {got:.600}\nwant {expected:.600}");
        }
    }
    assert!(checked > 500, "only {checked} cases: the model was not read");
}

#[test]
fn violations_of_one_request_come_together() {
    let model = Model::load();
    for operation in model.operations.values() {
        let input = operation["input"]["shape"].as_str().expect("shape");
        let required = model.required(input);
        let result = decode(input, &json!({}));
        if required.is_empty() {
            assert_eq!(result.expect(input).1, json!({}));
            continue;
        }
        let order = model.members(input).filter(|(name, _)| required.contains(&name.as_str()));
        let violations: Vec<String> = order
            .map(|(name, _)| format!("Value null at '{name}' failed to satisfy constraint: Member must not be null"))
            .collect();
        let plural = if violations.len() == 1 { "" } else { "s" };
        let expected = format!("{} validation error{plural} detected: {}", violations.len(), violations.join("; "));
        assert_eq!(result.expect_err(input).message, expected);
    }
    let bad =
        json!({ "name": "", "roleArn": "r", "tags": [{ "key": "" }, { "value": "v".repeat(257) }], "type": "std" });
    let error = decode("CreateStateMachineInput", &bad).expect_err("four violations");
    let lines: Vec<&str> = error.message.split("; ").collect();
    assert_eq!(lines.len(), 5, "{}", error.message);
    assert!(lines[0].starts_with("5 validation errors detected: Value '' at 'name' "), "{}", lines[0]);
    let places = ["'name'", "'definition'", "'type'", "'tags.1.member.key'", "'tags.2.member.value'"];
    for (line, place) in lines.iter().zip(places) {
        assert!(line.contains(place), "{line} speaks of {place}");
    }
}

/// Calls `visit` with the path and the shape of every value below a sample.
fn visit(model: &Model, shape: &str, path: &mut Vec<Step>, visit_one: &mut dyn FnMut(&[Step], &str)) {
    let info = &model.shapes[shape];
    if !path.is_empty() {
        visit_one(path, shape);
    }
    let mut below = |step: Step, shape: &str| {
        path.push(step);
        visit(model, shape, path, visit_one);
        path.pop();
    };
    match info["type"].as_str().expect("type") {
        "structure" => model.members(shape).for_each(|(name, member)| below(Step::Member(name.clone()), member)),
        "list" => below(Step::Item(0), info["member"]["shape"].as_str().expect("shape")),
        "map" => {
            let key = model.sample(info["key"]["shape"].as_str().expect("shape"));
            below(Step::Entry(key.as_str().expect("text").to_owned()), info["value"]["shape"].as_str().expect("shape"));
        }
        _ => {}
    }
}

#[test]
fn a_value_of_the_wrong_json_type_is_named() {
    let model = Model::load();
    let others = [
        json!(true),
        json!(1),
        json!(1.5),
        json!("text"),
        json!([]),
        json!({}),
        json!(u64::MAX),
        json!(5_000_000_000_i64),
    ];
    for (name, _) in model.structures() {
        let sample = model.sample(name);
        visit(&model, name, &mut Vec::new(), &mut |path, shape| {
            let fits = |value: &Value| match model.shapes[shape]["type"].as_str().expect("type") {
                "structure" | "map" => value.is_object(),
                "list" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()),
                "long" => value.as_i64().is_some(),
                "float" => value.is_number(),
                "timestamp" => value.is_number() && value != &json!(u64::MAX),
                other => panic!("{other}"),
            };
            for value in others.iter().filter(|value| !fits(value)) {
                let place = at(path);
                let error = decode(name, &changed(sample.clone(), path, Some(value))).expect_err(&place);
                assert_eq!(error.code, ErrorCode::SerializationException, "{name} {place}");
                assert!(error.message.starts_with(&format!("The member '{place}' ")), "{}", error.message);
            }
        });
        for value in [json!(null), json!([]), json!("x"), json!(3)] {
            let error = decode(name, &value).expect_err(name);
            assert!(error.message.starts_with("The request body must be an object, but is "), "{}", error.message);
        }
    }
}

#[test]
fn sensitive_values_are_never_shown() {
    let model = Model::load();
    fn texts(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::String(text) => out.push(text.clone()),
            Value::Array(items) => items.iter().for_each(|item| texts(item, out)),
            Value::Object(map) => map.values().for_each(|item| texts(item, out)),
            _ => {}
        }
    }
    for (name, shape) in model.structures() {
        let sample = model.sample(name);
        let debug = decode(name, &sample).expect(name).0;
        assert!(!debug.contains(SECRET), "{name}: {debug}");
        let mut found = Vec::new();
        texts(&sample, &mut found);
        let plain = found.iter().filter(|text| text.as_str() == PLAIN).count();
        if shape["sensitive"] != true {
            assert_eq!(debug.matches(PLAIN).count(), plain, "{name} shows the rest: {debug}");
        }
        for (member, shape) in model.members(name) {
            if model.sensitive(shape) && model.shapes[shape]["type"] == "string" {
                let leak =
                    changed(sample.clone(), &[Step::Member(member.clone())], Some(&json!(SECRET.repeat(400_000))));
                if let Err(error) = decode(name, &leak) {
                    assert!(!error.message.contains(SECRET), "{name}.{member}");
                }
            }
        }
    }
}

#[test]
fn recorded_messages() {
    #[track_caller]
    fn check(structure: &str, value: &Value, expected: &str) {
        let error = decode(structure, value).expect_err(structure);
        assert_eq!(error.to_string(), format!("ValidationException: 1 validation error detected: {expected}"));
    }
    check(
        "ListStateMachinesInput",
        &json!({ "maxResults": 1001 }),
        "Value '1001' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 1000",
    );
    check(
        "ListStateMachinesInput",
        &json!({ "nextToken": "x".repeat(1025) }),
        &format!(
            "Value '{}' at 'nextToken' failed to satisfy constraint: Member must have length less than or equal to 1024",
            "x".repeat(1025)
        ),
    );
    check(
        "ListExecutionsInput",
        &json!({ "stateMachineArn": "arn:", "statusFilter": "succeeded" }),
        "Value 'succeeded' at 'statusFilter' failed to satisfy constraint: Member must satisfy enum value set: \
         [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]",
    );
    let route = |version: &str, weight: i64| json!({ "stateMachineVersionArn": version, "weight": weight });
    check(
        "CreateStateMachineAliasInput",
        &json!({ "name": "A", "routingConfiguration": [route("v:1", 101)] }),
        "Value '101' at 'routingConfiguration.1.member.weight' failed to satisfy constraint: \
         Member must have value less than or equal to 100",
    );
    check(
        "CreateStateMachineAliasInput",
        &json!({ "name": "A", "routingConfiguration": [route("v:1", 50), route("v:2", 30), route("v:3", 20)] }),
        "Value '[RoutingConfigurationListItem(stateMachineVersionArn=v:1, weight=50), \
         RoutingConfigurationListItem(stateMachineVersionArn=v:2, weight=30), \
         RoutingConfigurationListItem(stateMachineVersionArn=v:3, weight=20)]' at 'routingConfiguration' \
         failed to satisfy constraint: Member must have length less than or equal to 2",
    );
}

#[test]
fn timestamps_keep_their_milliseconds() {
    for (ms, text) in [
        (1_718_000_000_123_i64, "1718000000.123"),
        (1_718_000_000_000, "1718000000.0"),
        (1_718_000_000_001, "1718000000.001"),
        (0, "0.0"),
        (-1, "-0.001"),
        (253_402_300_799_999, "253402300799.999"),
    ] {
        let output = crate::types::StopExecutionOutput::new(crate::Timestamp(ms));
        let json = serde_json::to_string(&output).expect("JSON");
        assert_eq!(json, format!("{{\"stopDate\":{text}}}"));
        assert_eq!(crate::wire::from_body::<crate::types::StopExecutionOutput>(json.as_bytes()), Ok(output));
    }
}

#[test]
fn floats_are_shown_as_java_shows_them() {
    for (value, text) in [(100.5, "100.5"), (101.0, "101.0"), (1e10, "1.0E10"), (-1.25e-5, "-1.25E-5"), (-3.0, "-3.0")]
    {
        let error = decode("UpdateMapRunInput", &json!({ "mapRunArn": "a", "toleratedFailurePercentage": value }))
            .expect_err("out of range");
        assert!(
            error.message.contains(&format!("Value '{text}' at 'toleratedFailurePercentage'")),
            "{}",
            error.message
        );
    }
}

#[test]
fn a_list_beyond_its_length_shows_missing_members_as_null() {
    let routes: Vec<Value> = vec![json!({ "weight": 1 }), json!(null), Value::Object(Map::new())];
    let error = decode("CreateStateMachineAliasInput", &json!({ "name": "A", "routingConfiguration": routes }))
        .expect_err("too many");
    let shown = "Value '[RoutingConfigurationListItem(stateMachineVersionArn=null, weight=1), null, \
                 RoutingConfigurationListItem(stateMachineVersionArn=null, weight=null)]' at 'routingConfiguration'";
    assert!(error.message.contains(shown), "{}", error.message);
    assert!(error.message.starts_with("5 validation errors detected: "), "{}", error.message);
}

#[test]
fn a_flood_of_violations_is_counted_but_not_repeated_whole() {
    let routes = vec![json!({}); 100_000];
    let error = decode("CreateStateMachineAliasInput", &json!({ "name": "A", "routingConfiguration": routes }))
        .expect_err("too many");
    assert!(error.message.starts_with("200001 validation errors detected: "), "{:.100}", error.message);
    assert!(error.message.len() < 50_000, "{} bytes", error.message.len());
}
