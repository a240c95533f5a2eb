//! `stepwright eval` as a user calls it: values, explanations, the dialects, mistakes and exit codes.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Said, say};

fn eval(arguments: &[&str]) -> Said {
    piped(arguments, "")
}

fn piped(arguments: &[&str], stdin: &str) -> Said {
    let directory = tempfile::tempdir().expect("a directory");
    eval_in(directory.path(), arguments, stdin)
}

fn eval_in(directory: &Path, arguments: &[&str], stdin: &str) -> Said {
    say(directory, &[&["eval"], arguments].concat(), stdin)
}

#[track_caller]
fn yields(arguments: &[&str], value: &Value) {
    let said = eval(arguments);
    said.ended(0, &[]);
    assert_eq!(said.json(), *value, "{arguments:?}");
    assert_eq!(said.stderr, "", "{arguments:?}");
}

const ORDER: &str =
    r#"{"items": [{"name": "pen", "price": 1.5, "quantity": 4}, {"name": "ink", "price": 12, "quantity": 1}]}"#;

#[test]
fn an_expression_yields_its_value() {
    yields(&["$sum(items.(price * quantity))", "--input", ORDER], &json!(18));
    yields(&["items[price > 10]", "-i", ORDER], &json!({"name": "ink", "price": 12, "quantity": 1}));
    yields(&["$"], &json!({}));
    yields(&["-1"], &json!(-1));
    yields(&["$x & $y.z", "--variables", r#"{"x": "a", "y": {"z": "ü"}}"#], &json!("aü"));
    yields(&["$fromMillis($millis())", "--now", "1700000000000"], &json!("2023-11-14T22:13:20.000Z"));
    let random = ["$random()", "--seed", "7"];
    assert_eq!(eval(&random).json(), eval(&random).json());
}

#[test]
fn files_and_stdin_are_read() {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("order.json"), ORDER).expect("writes");
    fs::write(directory.path().join("names.jsonata"), "/* all */\nitems.name\n").expect("writes");
    let check = |arguments: &[&str], stdin: &str, value: Value| {
        let said = eval_in(directory.path(), arguments, stdin);
        said.ended(0, &[]);
        assert_eq!(said.json(), value, "{arguments:?}");
    };
    check(&["@names.jsonata", "--input", "@order.json"], "", json!(["pen", "ink"]));
    check(&["-", "--input", "@order.json"], "$count(items)\n", json!(2));
    check(&["$count(items)", "--input", "-"], ORDER, json!(2));
    check(&["--aws", "$limit", "--variables", "-"], r#"{"limit": 3}"#, json!(3));
}

#[test]
fn nothing_is_no_failure_but_in_a_state() {
    let said = eval(&["none"]);
    said.ended(0, &["nothing (undefined)"]);
    assert_eq!(said.stdout, "");
    yields(&["none", "--json"], &json!({"undefined": true}));
    yields(&["$", "--json"], &json!({"value": {}}));
    // Step Functions fails a state that yields nothing.
    let said = eval(&["--aws", "$states.input.none"]);
    said.ended(1, &["'$states.input.none'", "returned nothing (undefined)"]);
    assert_eq!(said.stdout, "");
}

#[test]
fn what_a_state_holds() {
    yields(&["--aws", "{% $states.input.a + 1 %}", "--input", "{\"a\": 1}"], &json!(2));
    yields(&["--aws", "$states.input.a + 1", "--input", "{\"a\": 1}"], &json!(2));
    yields(
        &["--aws", "{% $states.result.n > $limit %}", "--result", "{\"n\": 6}", "--variables", "{\"limit\": 5}"],
        &json!(true),
    );
    yields(&["--aws", "{% $states.errorOutput.Error %}", "--error-output", "{\"Error\": \"E\"}"], &json!("E"));
    yields(&["--aws", "{% $states.context.State.Name %}", "--context", "{\"State\": {\"Name\": \"S\"}}"], &json!("S"));
    yields(&["--aws", "{% $partition([1, 2, 3], 2) %}"], &json!([[1, 2], [3]]));
    let template =
        r#"{"id": "{% $states.input.id %}", "list": [1, "{% 1 + 1 %}", " {% text %} "], "fixed": {"a": null}}"#;
    yields(
        &["--aws", template, "--input", "{\"id\": \"o-1\"}"],
        &json!({"id": "o-1", "list": [1, 2, " {% text %} "], "fixed": {"a": null}}),
    );
    // A state has neither a current item, nor a result before it has one.
    eval(&["--aws", "price * 2"]).ended(2, &["'price'", "top level"]);
    eval(&["--aws", "{% $states.result %}"]).ended(2, &["$states.result"]);
    eval(&["$partition([1], 2)"]).ended(1, &["T1006"]);
}

#[test]
fn what_a_jsonpath_state_holds() {
    yields(&["--jsonpath", "$.items[?(@.price > 10)].name", "--input", ORDER], &json!(["ink"]));
    yields(
        &["--jsonpath", "States.Format('{} of {}', $.a, $b)", "--input", "{\"a\": 1}", "--variables", "{\"b\": 2}"],
        &json!("1 of 2"),
    );
    yields(
        &["--jsonpath", r#"{"name.$": "$$.State.Name", "text": "$.a"}"#, "--context", r#"{"State": {"Name": "S"}}"#],
        &json!({"name": "S", "text": "$.a"}),
    );
    eval(&["--jsonpath", "$.none"]).ended(1, &["$.none"]);
    eval(&["--jsonpath", "items"]).ended(2, &["'items' is neither a path nor a call"]);
    eval(&["--jsonpath", r#"{"a": [{"b.$": "no path"}], "c.$": 1}"#]).ended(2, &["/a[0]/b.$: ", "/c.$: "]);
    eval(&["--jsonpath", "$.a", "--explain"]).ended(2, &["--explain", "--jsonpath"]);
    eval(&["--jsonpath", "$.a", "--aws"]).ended(2, &["--aws", "--jsonpath"]);
}

#[test]
fn an_explanation_has_the_value_of_each_part() {
    let said = eval(&["--explain", "$sum(items[price > 10].price) + 1", "--input", ORDER]);
    said.ended(0, &[]);
    let lines: Vec<(&str, &str)> = said
        .stdout
        .lines()
        .map(|line| line.trim().split_once("  ").expect("two columns"))
        .map(|(part, value)| (part, value.trim()))
        .collect();
    for line in [
        ("$sum(items[price > 10].price) + 1", "13"),
        ("$sum(items[price > 10].price)", "12"),
        ("items[price > 10].price", "12"),
        ("price > 10", "false  ·  true"),
        ("price", "1.5  ·  12"),
    ] {
        assert!(lines.contains(&line), "{line:?} in {}", said.stdout);
    }
    assert_eq!(lines[0].1, "13", "the whole comes first");

    let parts = eval(&["--explain", "--json", "a.b & c", "--input", "{\"a\": {\"b\": \"x\"}}"]).json();
    assert_eq!(parts["value"], "x");
    assert_eq!(parts["parts"][0], json!({"text": "a.b & c", "depth": 0, "times": 1, "values": ["x"]}));
    let c = parts["parts"].as_array().expect("parts").iter().find(|part| part["text"] == "c").expect("c");
    assert_eq!(c["values"], json!([{"undefined": true}]));
}

#[test]
fn each_expression_of_a_template_is_explained_in_its_place() {
    let template = r#"{"a": "{% $states.input.x + 1 %}", "b": ["{% $states.input.y %}"]}"#;
    let arguments = ["--aws", "--explain", template, "--input", "{\"x\": 5, \"y\": \"z\"}"];
    let said = eval(&arguments);
    said.ended(0, &[]);
    let first = said.stdout.find("Output/a\n").expect("the first");
    let second = said.stdout.find("Output/b[0]\n").expect("the second");
    assert!(first < second);
    assert!(said.stdout[first..second].contains("$states.input.x + 1  6"), "{}", said.stdout);
    assert!(said.stdout[second..].contains("$states.input.y  \"z\""), "{}", said.stdout);
    let shown = eval(&[&arguments[..], &["--json"]].concat()).json();
    assert_eq!(shown["value"], json!({"a": 6, "b": ["z"]}));
    assert_eq!(shown["parts"][0]["location"], "Output/a");
}

#[test]
fn a_failure_names_the_part_its_place_and_the_code() {
    let said = eval(&["items.(price * name)", "--input", ORDER]);
    said.ended(1, &["error: T2002: ", "--> expression:1:14", "1 | items.(price * name)"]);
    assert_eq!(said.stdout, "");
    // What was evaluated until then is shown.
    let said = eval(&["--explain", "items.(price * name)", "--input", ORDER]);
    said.ended(1, &["T2002"]);
    assert!(said.stdout.lines().any(|line| line.trim_start().starts_with("price  ")), "{}", said.stdout);

    let said = eval(&["--json", "$sum(name)", "--input", "{\"name\": \"x\"}"]);
    said.ended(1, &["T0412"]);
    let shown = said.json();
    assert_eq!((&shown["code"], &shown["expression"]), (&json!("T0412"), &json!("$sum(name)")));
    assert!(shown["error"].as_str().is_some_and(|error| error.contains("\"sum\"")), "{shown:#}");

    let said =
        eval(&["--aws", r#"{"fine": "{% 1 %}", "bad": ["{% 'é' - $states.input.n %}"]}"#, "--input", "{\"n\": 1}"]);
    let message =
        "The JSONata expression ''é' - $states.input.n' specified for the field 'Output/bad[0]' threw an error";
    said.ended(1, &[message, "T2001", "--> expression:1:5"]);
}

#[test]
fn a_text_that_is_no_expression_is_shown_with_its_place() {
    let said = eval(&["items[price >\n ]", "--input", ORDER]);
    said.ended(2, &["error: S0211: ", "--> expression:2:2"]);
    let refused = eval(&["a +", "--json"]);
    refused.ended(2, &["S0207"]);
    assert_eq!(
        refused.json(),
        json!({"refused": [{"error": "S0207: Unexpected end of expression", "code": "S0207", "expression": "a +", "position": 3}]})
    );
    // Each of a template's, with its field.
    let template = r#"{"a": "{% 1 + %}", "b": ["{% foo %}"], "c": "{% 2 %}"}"#;
    let said = eval(&["--aws", template, "--json"]);
    said.ended(2, &["Output/a: S0207", "Output/b[0]: Reference to 'foo'"]);
    let refused = said.json()["refused"].clone();
    assert_eq!((&refused[0]["location"], &refused[1]["location"]), (&json!("Output/a"), &json!("Output/b[0]")));
    assert_eq!(refused.as_array().map(Vec::len), Some(2));
}

#[test]
fn mistakes_of_the_caller_end_with_2() {
    eval(&["@none.jsonata"]).ended(2, &["the expression file none.jsonata cannot be read"]);
    eval(&["a", "--input", "@none.json"]).ended(2, &["the input file none.json cannot be read"]);
    eval(&["a", "--input", "{a: 1}"]).ended(2, &["the input is not JSON", "line 1 column 2"]);
    eval(&["a", "--variables", "[1]"]).ended(2, &["--variables must be an object", "[1]"]);
    eval(&["a", "--result", "1"]).ended(2, &["--aws"]);
    eval(&["--aws", "1", "--result", "1", "--error-output", "{}"]).ended(2, &["--error-output"]);
    for twice in [["-", "--input", "-"], ["1", "--variables", "-"]] {
        let said = piped(&[&twice[..], &["--context", "-"]].concat(), "{}");
        said.ended(2, &["stdin"]);
    }
    eval(&[]).ended(2, &["EXPRESSION"]);
}
