//! Payload templates and the fields that hold one expression.

#![expect(clippy::needless_pass_by_value, reason = "tables of literal values read better without borrows")]

mod common;

use common::within;
use serde_json::{Value, json};
use stepwright_querylang::{Expression, Path, Template};

fn check(template: Value, input: Value, expected: Value) {
    let compiled = Template::compile(&template).unwrap_or_else(|errors| panic!("{template}: {errors:?}"));
    within(&input, |scope| assert_eq!(compiled.evaluate(scope).unwrap(), expected, "{template} on {input}"));
}

fn check_failure(template: Value, input: Value, message: &str) {
    let compiled = Template::compile(&template).unwrap();
    within(&input, |scope| {
        let error = compiled.evaluate(scope).expect_err("the template must fail");
        assert_eq!(error.message, message, "{template} on {input}");
        assert_eq!(error.kind.name(), "States.Runtime");
    });
}

#[test]
fn keys_that_end_in_dot_dollar_are_evaluated() {
    check(
        json!({
            "all.$": "$", "a.$": "$.a", "context.$": "$$.Execution.Name", "variable.$": "$answer",
            "call.$": "States.Format('{}', $.a)", "text": "$.a", "list": ["$.a", 1, {"deep.$": "$.a"}],
            "nested": {"b.$": "$.list[*]", "literal": {"$": "$"}}, "null": null, "States.UUID()": "States.UUID()",
        }),
        json!({"a": 1, "list": [1, 2]}),
        json!({
            "all": {"a": 1, "list": [1, 2]}, "a": 1, "context": "first", "variable": 42, "call": "1", "text": "$.a",
            "list": ["$.a", 1, {"deep": 1}], "nested": {"b": [1, 2], "literal": {"$": "$"}}, "null": null,
            "States.UUID()": "States.UUID()",
        }),
    );
    check(json!({".$": "$.a"}), json!({"a": 1}), json!({"": 1}));
    check(json!("$.a"), json!({}), json!("$.a"));
    check(json!(["$.a"]), json!({}), json!(["$.a"]));
    check(json!({}), json!({}), json!({}));
    check(json!({"a.$": " $.a "}), json!({"a": 1}), json!({"a": 1}));
}

#[test]
fn the_order_of_the_template_is_kept() {
    let template = Template::compile(&json!({"z.$": "$", "a": 1, "m.$": "$answer"})).unwrap();
    let text = within(&json!(0), |scope| template.evaluate(scope).unwrap().to_string());
    assert_eq!(text, r#"{"z":0,"a":1,"m":42}"#);
}

#[test]
fn a_missing_path_names_field_and_input() {
    let message = |path: &str, field: &str, input: &str| {
        format!("The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{input}'")
    };
    check_failure(
        json!({"value.$": "$.no_such_jsonpath"}),
        json!({"int-literal": 0}),
        &message("$.no_such_jsonpath", "value.$", "{\"int-literal\":0}"),
    );
    check_failure(
        json!({"x": [{"value.$": "$$.Execution.Input.nope"}]}),
        json!({"a": "b"}),
        &message("$$.Execution.Input.nope", "value.$", "{\"a\":\"b\"}"),
    );
    check_failure(json!({"v.$": "$unknown"}), json!([]), &message("$unknown", "v.$", "[]"));
    check_failure(json!({"v.$": "$.a.b"}), json!({"a": 1}), &message("$.a.b", "v.$", "{\"a\":1}"));
    check_failure(json!({"v.$": "$.a[0]"}), json!({"a": 1}), &message("$.a[0]", "v.$", "{\"a\":1}"));
    check_failure(json!({"v.$": "$.a[5].x"}), json!({"a": [1]}), &message("$.a[5].x", "v.$", "{\"a\":[1]}"));
}

#[test]
fn an_index_past_the_end_is_null() {
    check(json!({"v.$": "$.a[5]"}), json!({"a": [1]}), json!({"v": null}));
    check(json!({"v.$": "$.a[-5]"}), json!({"a": [1]}), json!({"v": null}));
    check(json!({"v.$": "$.a[-1]"}), json!({"a": [1]}), json!({"v": 1}));
    check(json!({"v.$": "$.a[5:]"}), json!({"a": [1]}), json!({"v": []}));
}

#[test]
fn every_bad_key_is_reported_with_its_place() {
    let errors = Template::compile(&json!({
        "a.$": "no path",
        "b": {"c": [0, {"d.$": 1, "ok.$": "$"}], "e.$": "$."},
        "list": [[{"f.$": "States.Nope()"}]],
        "twice": 1,
        "twice.$": "$",
    }))
    .unwrap_err();
    let places: Vec<(&str, &str)> = errors.iter().map(|error| (error.location.as_str(), error.key.as_str())).collect();
    assert_eq!(places, [("", "a.$"), ("/b/c[1]", "d.$"), ("/b", "e.$"), ("/list[0][0]", "f.$"), ("", "twice.$")]);
    assert!(errors[4].reason.message.contains("'twice'"));
}

#[test]
fn variables_are_distinct_and_sorted() {
    let template = Template::compile(&json!({
        "a.$": "$zeta.x", "b": [{"c.$": "States.Array($beta, $$.x, $.y, $zeta)"}], "d": "$text",
    }))
    .unwrap();
    assert_eq!(template.variables(), ["beta", "zeta"]);
    assert!(!template.is_literal());
    let literal = Template::compile(&json!({"a": ["$x", {"b": null}]})).unwrap();
    assert!(literal.variables().is_empty());
    assert!(literal.is_literal());
}

#[test]
fn expressions() {
    let input = json!({"Error": "error-value"});
    within(&input, |scope| {
        let path = Expression::parse("$.ErrorX").unwrap();
        assert_eq!(
            path.evaluate_field("ErrorPath", scope).unwrap_err().message,
            "The JSONPath '$.ErrorX' specified for the field 'ErrorPath' could not be found in the input \
             '{\"Error\":\"error-value\"}'"
        );
        assert_eq!(
            path.evaluate(scope).unwrap_err().message,
            "Invalid path '$.ErrorX' : No results for path: $['ErrorX']"
        );
        let call = Expression::parse("States.Format('{} {}', $.Error, $answer)").unwrap();
        assert_eq!(call.evaluate(scope).unwrap(), json!("error-value 42"));
        assert_eq!(call.evaluate_field("CausePath", scope).unwrap(), json!("error-value 42"));
        assert_eq!(call.variables().collect::<Vec<_>>(), ["answer"]);
        assert_eq!(call.text(), "States.Format('{} {}', $.Error, $answer)");
    });
    assert!(matches!(Expression::parse("$"), Ok(Expression::Path(_))));
    for text in ["", "a", "{% $x %}", "States.Nope()", "$."] {
        assert!(Expression::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_template_cannot_blow_up_the_memory() {
    let fields: serde_json::Map<String, Value> = (0..1_000).map(|n| (format!("f{n}.$"), json!("$"))).collect();
    let template = Template::compile(&Value::Object(fields)).unwrap();
    within(&json!({"big": "x".repeat(200_000)}), |scope| {
        let error = template.evaluate(scope).expect_err("it must stop");
        assert!(error.message.contains("grows above"), "it says why");
    });
}

#[test]
fn compiled_things_can_be_shared_between_threads() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    shared::<Template>();
    shared::<Path>();
    shared::<Expression>();
    shared::<stepwright_querylang::ReferencePath>();
}
