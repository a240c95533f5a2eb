//! What the functions answer where the official suite does not ask, and that
//! none of them can be made to take the memory or the time of the machine.

use crate::jsonata::error::{Error, Limit};
use crate::jsonata::value::{Array, Object, Value};
use crate::jsonata::{Compiler, Environment, Expression, Limits};
use serde_json::json;

fn compile(text: &str) -> Expression {
    let compiler = super::step_functions().iter().fold(Compiler::default(), Compiler::with_function);
    compiler.compile(text).expect(text)
}

fn regex(pattern: &str) -> Value {
    let literal = compile(&format!("/{pattern}/"));
    literal.evaluate(&Value::Undefined, Environment::default()).expect(pattern)
}

fn evaluate(text: &str, arguments: &[Value], limits: Limits) -> Result<Value, Error> {
    let names = ["a", "b", "c", "d"];
    let bindings: Object = names.into_iter().map(Into::into).zip(arguments.iter().cloned()).collect();
    let environment = Environment { seed: 7, limits, bindings: Some(&bindings), ..Environment::default() };
    compile(text).evaluate(&Value::Undefined, environment)
}

fn call(name: &str, arguments: &[Value], limits: Limits) -> Result<Value, Error> {
    let list = ["$a", "$b", "$c", "$d"][..arguments.len()].join(", ");
    evaluate(&format!("${name}({list})"), arguments, limits)
}

/// A value as JSON, with `$string`'s help.
fn shown(value: &Value) -> String {
    match value {
        Value::Undefined => "undefined".to_owned(),
        Value::String(text) => json!(&**text).to_string(),
        other => {
            let text =
                call("string", std::slice::from_ref(other), Limits::default()).expect("a value that can be shown");
            text.as_str().expect("a text").to_owned()
        }
    }
}

/// The answer as JSON, or the code of the error.
#[expect(clippy::needless_pass_by_value, reason = "calls read better")]
fn answer(name: &str, arguments: Vec<Value>) -> String {
    match call(name, &arguments, Limits::default()) {
        Ok(answer) => shown(&answer),
        Err(error) => error.code().to_owned(),
    }
}

#[track_caller]
fn check(name: &str, arguments: &serde_json::Value, expected: &str) {
    let arguments = arguments.as_array().expect("a list").iter().map(Value::from_json).collect();
    assert_eq!(answer(name, arguments), expected, "${name}");
}

#[test]
fn text_is_that_of_json_stringify() {
    let text = |value: Value| answer("string", vec![value]);
    let odd = Value::from(Array::new(vec![
        Value::Undefined,
        Value::Number(f64::NAN),
        regex("x"),
        Value::Number(-0.0),
        Value::Number(0.1 + 0.2),
        Value::Number(1.0 / 3.0),
        Value::Number(1e21),
        Value::from("\"\\\u{8}\u{c}\n\r\t\u{1}\u{7f}é\u{2028}"),
    ]));
    let expected = "[null,null,\"\",0,0.3,0.333333333333333,1e+21,\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\u{7f}é\u{2028}\"]";
    assert_eq!(text(odd), json!(expected).to_string());
    let mut object = Object::new();
    object.insert("a".into(), Value::Undefined);
    object.insert("b".into(), Value::Null);
    assert_eq!(text(Value::from(object)), json!("{\"b\":null}").to_string());
    assert_eq!(text(Value::Number(f64::INFINITY)), "D3001");
    assert_eq!(text(Value::from(Array::new(vec![Value::Number(f64::INFINITY)]))), "D1001");
}

#[test]
fn pretty_text_is_indented_by_two() {
    let arguments = json!([{"a": [], "b": {}, "c": [1, {"d": null}]}, true]);
    let expected = json!("{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": null\n    }\n  ]\n}");
    check("string", &arguments, &expected.to_string());
}

#[test]
fn places_in_texts_may_be_fractions_and_count_from_the_end() {
    for (arguments, expected) in [
        (json!(["héllo", 1, 3]), "\"éll\""),
        (json!(["hello", 1.9, 1.2]), "\"el\""),
        (json!(["hello", -3]), "\"llo\""),
        (json!(["hello", -9, 2]), "\"he\""),
        (json!(["hello", -2.5]), "\"lo\""),
        (json!(["hello", 9]), "\"\""),
        (json!(["hello", 2, 0]), "\"\""),
        (json!(["a💩b", -2, 1]), "\"💩\""),
    ] {
        check("substring", &arguments, expected);
    }
    check("trim", &json!(["  a \n\t b  "]), "\"a b\"");
    check("trim", &json!([" \n "]), "\"\"");
    check("pad", &json!(["é", -5, "ab💩"]), "\"ab💩aé\"");
    check("pad", &json!(["abc", 3.9]), "\"abc\"");
}

#[test]
fn base64_is_of_single_bytes() {
    check("base64encode", &json!(["é"]), "\"6Q==\"");
    check("base64decode", &json!(["6Q"]), "\"é\"");
    check("base64decode", &json!(["aGVs bG8=!"]), "\"hello\"");
}

#[test]
fn patterns_may_be_texts_or_regular_expressions() {
    let text = || Value::from("a1💩b22");
    let answers = [
        answer("match", vec![text(), regex("([a-z])(\\d)?(x)?")]),
        answer("split", vec![text(), regex("\\d+")]),
        answer("split", vec![text(), Value::from(""), Value::Number(3.7)]),
        answer("replace", vec![text(), regex("(\\d)"), Value::from("<$1>"), Value::Number(1.5)]),
        answer("replace", vec![text(), Value::from("2"), Value::from("$1")]),
        answer("contains", vec![text(), regex("^💩")]),
        answer("split", vec![text(), regex("x*")]),
        answer("match", vec![text(), regex("b"), Value::Number(-1.0)]),
    ];
    assert_eq!(
        answers,
        [
            concat!(
                r#"[{"match":"a1","index":0,"groups":["a","1",null]},"#,
                r#"{"match":"b2","index":4,"groups":["b","2",null]}]"#
            ),
            r#"["a","💩b",""]"#,
            r#"["a","1","💩"]"#,
            r#""a<1>💩b<2>2""#,
            r#""a1💩b$1$1""#,
            "false",
            "D1004",
            "D3040",
        ]
    );
}

#[test]
fn distinct_values_are_found_by_deep_equality() {
    check(
        "distinct",
        &json!([[1, 1.0, "1", true, [1], [1.0], {"a": 1, "b": 2}, {"b": 2, "a": 1}, null, 0, -0.0, null]]),
        r#"[1,"1",true,[1],{"a":1,"b":2},null,0]"#,
    );
}

#[test]
fn clones_are_what_json_would_give_back() {
    let value = Value::from(Array::sequence(vec![Value::Number(0.1 + 0.2), Value::from("x"), Value::Undefined]));
    assert_eq!(answer("clone", vec![value]), r#"[0.3,"x",null]"#);
    check("clone", &json!([{"a": [1, {"b": 0.5}]}]), r#"{"a":[1,{"b":0.5}]}"#);
}

#[test]
fn what_step_functions_adds() {
    check("partition", &json!([[1, 2, 3], 2.9]), "[[1,2],[3]]");
    check("partition", &json!([[0], 5]), "[[0]]");
    check("partition", &json!([[1], 0]), "D3200");
    check("range", &json!([1, 9, 2]), "[1,3,5,7,9]");
    check("range", &json!([5, 1, -2]), "[5,3,1]");
    check("range", &json!([1, 9, 9]), "1");
    check("range", &json!([1, 5, 0]), "D3200");
    check(
        "range",
        &json!([1, 1000, 1]),
        &format!("[{}]", (1..=1000).map(|n| n.to_string()).collect::<Vec<_>>().join(",")),
    );
    check("range", &json!([0, 1000, 1]), "D3200");
    check("hash", &json!(["abc", "MD5"]), "\"900150983cd24fb0d6963f7d28e17f72\"");
    check("hash", &json!(["abc", "md5"]), "D3200");
    check("parse", &json!(["{\"a\": [-0, 1.5]}"]), r#"{"a":[0,1.5]}"#);
    check("parse", &json!(["{"]), "D3200");
    check("parse", &json!([format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))]), "D3200");
    let uuid = answer("uuid", vec![]);
    assert_eq!((uuid.len(), &uuid[15..16]), (38, "4"), "{uuid}");
}

/// Which bound a call runs into.
#[expect(clippy::needless_pass_by_value, reason = "calls read better")]
fn bound(name: &str, arguments: Vec<Value>) -> Option<Limit> {
    let limits = Limits { memory_bytes: 1 << 20, steps: 1 << 20, ..Limits::default() };
    call(name, &arguments, limits).expect_err(name).reached_limit()
}

/// An array of two of an array of two and so on: small in memory, huge as a tree.
fn doubled(leaf: Value, levels: usize) -> Value {
    (0..levels).fold(leaf, |value, _| Value::from(Array::new(vec![value.clone(), value])))
}

#[test]
fn no_function_fills_the_memory() {
    let long = || Value::from("a".repeat(1_000).as_str());
    let many = || Value::from(Array::new(vec![long(); 2_000]));
    let number = Value::Number;
    let memory = Some(Limit::Memory);
    assert_eq!(bound("pad", vec![Value::from("x"), number(1e9)]), memory);
    assert_eq!(bound("pad", vec![Value::from("x"), number(-1e300), Value::from("ab")]), memory);
    assert_eq!(bound("join", vec![many(), long()]), memory);
    assert_eq!(bound("replace", vec![long(), Value::from("a"), Value::from("b".repeat(10_000).as_str())]), memory);
    assert_eq!(bound("replace", vec![long(), regex("a"), Value::from("b".repeat(10_000).as_str())]), memory);
    assert_eq!(bound("split", vec![Value::from("a".repeat(100_000).as_str()), Value::from("")]), memory);
    assert_eq!(bound("string", vec![doubled(Value::Null, 60)]), memory);
    assert_eq!(bound("zip", vec![Value::from(Array::new(vec![Value::Null; 20_000])); 4]), memory);
    assert_eq!(bound("parse", vec![Value::from("[],".repeat(20_000).as_str())]), memory);
}

#[test]
fn no_function_takes_exponential_time() {
    let nothing = || doubled(Value::from(Array::new(Vec::new())), 60);
    let time = Some(Limit::Time);
    for name in ["boolean", "not", "keys", "clone"] {
        assert_eq!(bound(name, vec![nothing()]), time, "{name}");
    }
    assert!(bound("lookup", vec![nothing(), Value::from("a")]).is_some());
    assert_eq!(bound("distinct", vec![Value::from(Array::new(vec![nothing(), nothing()]))]), time);
}

#[test]
fn appending_one_by_one_takes_linear_memory() {
    let limits = Limits { memory_bytes: 32 << 20, ..Limits::default() };
    let count = evaluate("$count($reduce([1..50000], $append, []))", &[], limits).expect("little memory");
    assert_eq!(count.as_number(), Some(50_000.0));
}

#[test]
fn searches_that_could_take_minutes_are_refused() {
    let text = Value::from("01".repeat(200_000).as_str());
    assert_eq!(answer("contains", vec![text.clone(), regex("[01]*1[01]{2000}x")]), "U1002");
    assert_eq!(answer("contains", vec![text, regex("(0|1)+x")]), "false");
}
