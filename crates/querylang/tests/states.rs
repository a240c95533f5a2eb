//! JSONata as Step Functions has it: what is refused beforehand, what an expression may read, and what is said when it
//! fails.

mod common;

use std::cell::Cell;

use common::{World, within};
use serde_json::{Value, json};
use stepwright_querylang::Environment;
use stepwright_querylang::jsonata::{
    self, Compiler, Dialect, JsonType, Limits, Members, StatesExpression, StatesScope, StatesTemplate,
};

fn scope<'a>(input: &'a Value, environment: &'a dyn Environment) -> StatesScope<'a> {
    StatesScope {
        input,
        result: None,
        error_output: None,
        environment,
        now_millis: 1_700_000_000_000,
        limits: Limits::default(),
        spent: None,
    }
}

fn compile(text: &str) -> StatesExpression {
    StatesExpression::compile(text, "Output/v", Members::RESULT).expect("it compiles")
}

fn evaluate(text: &str, input: &Value) -> Result<Value, String> {
    within(input, |given| compile(text).evaluate(&scope(given.input, given.environment)))
        .map_err(|failure| failure.message)
}

#[test]
fn expressions_read_states_and_variables() {
    let input = json!({"n": 2, "list": [{"a": 1}, {"a": 2, "b": 3}], "deep": {"x": {"y": "z"}}});
    for (text, expected) in [
        ("$states.input.n * $answer", json!(84)),
        ("$states.input.list.a", json!([1, 2])),
        ("$states.input.list[b = 3].a", json!(2)),
        ("$states.input.deep", json!({"x": {"y": "z"}})),
        ("$states.input.deep.*.y", json!("z")),
        ("$states.input.list.(a + $states.input.n)", json!([3, 4])),
        ("$states.input.list.(a + %.n)", json!([3, 4])),
        ("$states.input.list@$l.n", json!([2, 2])),
        ("$größe_2.a[1]", json!(20)),
        ("$nothing", Value::Null),
        ("$exists($states.result)", json!(false)),
        ("$states.context.Execution.Input.list", json!([1, 2])),
        ("$states.context.StateMachine", json!({"Id": "arn:1", "Name": "orders"})),
        ("$keys($states)", json!(["input", "context"])),
        ("$keys($states.context)", json!(["Execution", "StateMachine"])),
        ("$lookup($states.input, 'n')", json!(2)),
        ("{'gone': $missing, 'here': 1}", json!({"here": 1})),
        ("$partition([1, 2, 3], 2)", json!([[1, 2], [3]])),
        ("$range(1, 9, 9)", json!(1)),
        ("$parse('{\"a\": [1]}').a", json!([1])),
        ("$millis()", json!(1_700_000_000_000_u64)),
        ("$now()", json!("2023-11-14T22:13:20.000Z")),
        ("-0", json!(0)),
        ("$variable := 1", json!(1)),
    ] {
        assert_eq!(evaluate(text, &input), Ok(expected), "{text}");
    }
}

#[test]
fn the_members_of_states() {
    let (input, result, error) = (json!(1), json!([2]), json!({"Error": "E"}));
    let world = World::new();
    let scope = StatesScope { result: Some(&result), error_output: Some(&error), ..scope(&input, &world) };
    assert_eq!(compile("$states.result[0] + $states.input").evaluate(&scope), Ok(json!(3)));
    let caught = StatesExpression::compile("$states.errorOutput.Error", "Catch[0]/Output", Members::ERROR_OUTPUT);
    assert_eq!(caught.expect("it compiles").evaluate(&scope), Ok(json!("E")));
}

#[test]
fn failures_have_the_services_words() {
    let input = json!({"n": 1});
    for (text, rest) in [
        ("$missing", "returned nothing (undefined)."),
        ("$states.input.m", "returned nothing (undefined)."),
        ("function($x){$x}", "returned an unsupported result type."),
        ("{'f': $sum}", "returned an unsupported result type."),
        ("/a/", "returned an unsupported result type."),
        ("$eval('1')", "threw an error during evaluation. T1006: Attempted to invoke a non-function"),
        ("$nobody(1)", "threw an error during evaluation. T1006: Attempted to invoke a non-function"),
        (
            "1 + 'a'",
            "threw an error during evaluation. T2002: The right side of the \"+\" operator must evaluate to a number",
        ),
        ("$error('mine')", "threw an error during evaluation. D3137: mine"),
        ("($f := function($n) {1 + $f($n)}; $f(1))", "threw an error during evaluation. Stack overflow error"),
        (
            "($f := function($s) {$f($s & $s)}; $f('abcdefgh'))",
            "threw an error during evaluation. Expression evaluation memory limit exceeded",
        ),
    ] {
        let expected = format!("The JSONata expression '{text}' specified for the field 'Output/v' {rest}");
        assert_eq!(evaluate(text, &input), Err(expected));
    }
    let world = World::new();
    let short = StatesScope { limits: Limits { steps: 1_000, ..Limits::default() }, ..scope(&input, &world) };
    let slow = compile("$sum([1..1000000].($ * 2))").evaluate(&short).expect_err("it takes too long");
    assert!(slow.message.ends_with("threw an error during evaluation. Expression evaluation timeout"), "{slow}");
    assert_eq!(&*slow.location, "Output/v");
}

#[test]
fn fields_take_one_type() {
    let world = World::new();
    let input = json!({"o": {"foo": "bar"}});
    let scope = scope(&input, &world);
    assert_eq!(compile("[1]").evaluate_to(JsonType::Array, &scope), Ok(json!([1])));
    for (text, expected, found) in [
        ("1", JsonType::Array, "Expected 'array', but was 'number' for value: 1"),
        ("null", JsonType::Boolean, "Expected 'boolean', but was 'null' for value: null"),
        ("'x'", JsonType::Number, "Expected 'number', but was 'string' for value: \"x\""),
        ("$states.input.o", JsonType::String, "Expected 'string', but was 'object' for value: {\"foo\":\"bar\"}"),
    ] {
        let failure = compile(text).evaluate_to(expected, &scope).expect_err("another type");
        let expected = format!(
            "The JSONata expression '{text}' specified for the field 'Output/v' returned an unexpected result type. {found}"
        );
        assert_eq!(failure.message, expected);
    }
}

#[test]
fn chance_comes_from_the_environment_alone() {
    let input = Value::Null;
    let template = StatesTemplate::compile(
        &json!(["{% $random() %}", "{% $uuid() %}", "{% $random(7) %}"]),
        "Output",
        Members::INPUT,
    )
    .expect("it compiles");
    let world = World::new();
    let first = template.evaluate(&scope(&input, &world)).expect("it yields");
    let second = template.evaluate(&scope(&input, &world)).expect("it yields");
    assert_ne!((&first[0], &first[1]), (&second[0], &second[1]), "each evaluation draws anew");
    assert_eq!(first[2], second[2], "a seed gives the same number");
    assert_eq!(template.evaluate(&scope(&input, &World::new())), Ok(first), "the same bits give the same values");
    // `$random` under another name.
    let renamed = compile("($f := $random; $f())");
    assert_ne!(renamed.evaluate(&scope(&input, &world)), renamed.evaluate(&scope(&input, &world)));
}

#[test]
fn templates() {
    let world = World::new();
    let input = json!({"list": [1, 2]});
    let scope = scope(&input, &world);
    let literal = json!({"a.$": "$.x", "t": " {% $nobody %} ", "n": [null, 1.5, {}], "u": "{%", "": "States.UUID()"});
    let template = StatesTemplate::compile(&literal, "Output", Members::INPUT).expect("it compiles");
    assert_eq!(template.evaluate(&scope), Ok(literal));
    assert!(template.as_expression().is_none());

    let value = json!({"{% 'key' %}": {"deep": ["{% $states.input.list %}", "x"]}, "n": "{%$answer%}"});
    let template = StatesTemplate::compile(&value, "Output", Members::INPUT).expect("it compiles");
    assert_eq!(template.evaluate(&scope), Ok(json!({"{% 'key' %}": {"deep": [[1, 2], "x"]}, "n": 42})));
    assert_eq!(template.variables(), ["answer"]);

    let value = json!({"a": {"b": [1, "{% $missing %}"]}});
    let template = StatesTemplate::compile(&value, "Assign", Members::INPUT).expect("it compiles");
    let failure = template.evaluate(&scope).expect_err("undefined");
    assert_eq!(&*failure.location, "Assign/a/b[1]");
}

#[test]
fn a_template_is_one_evaluation_however_many_expressions_it_has() {
    let world = World::new();
    let spent = Cell::new(0);
    let limits = Limits { steps: 50_000, ..Limits::default() };
    let scope = StatesScope { limits, spent: Some(&spent), ..scope(&Value::Null, &world) };
    let slow = json!("{% $sum([1..1000].($ * 2)) %}");
    let one = StatesTemplate::compile(&slow, "Output", Members::INPUT).expect("it compiles");
    assert_eq!(one.evaluate(&scope), Ok(json!(1_001_000)));
    let steps = spent.get();
    assert!((1_000..50_000).contains(&steps), "{steps}");
    assert_eq!(one.evaluate(&scope), Ok(json!(1_001_000)), "evaluations have a budget each");
    assert_eq!(spent.get(), 2 * steps);
    let many = StatesTemplate::compile(&Value::Array(vec![slow; 100]), "Output", Members::INPUT).expect("it compiles");
    let failure = many.evaluate(&scope).expect_err("too much");
    assert!(failure.message.ends_with("Expression evaluation timeout"), "{failure}");
}

#[test]
fn a_template_cannot_grow_without_bound() {
    let world = World::new();
    let value = Value::Array(vec![json!("{% $pad('', 1000000, 'x') %}"); 100]);
    let template = StatesTemplate::compile(&value, "Output", Members::INPUT).expect("it compiles");
    let failure = template.evaluate(&scope(&Value::Null, &world)).expect_err("too large");
    assert!(failure.message.ends_with("Expression evaluation memory limit exceeded"), "{failure}");
}

/// What an expression is not given because it does not ask for it must never be missed.
#[test]
fn expressions_yield_what_they_would_if_they_were_given_everything() {
    let input = json!({
        "name": "top",
        "orders": [
            {"id": 1, "name": "a", "lines": [{"sku": "x", "qty": 2, "price": 3}, {"sku": "y", "qty": 1, "price": 5}]},
            {"id": 2, "name": "b", "lines": {"sku": "x", "qty": 7, "price": 1}},
            {"id": 3, "name": "c"},
            4,
        ],
        "nested": [[{"v": 1, "w": 2}], [{"v": 3}, [{"v": 5}]]],
        "by": {"k": "id", "one": {"two": {"three": null}}},
        "min": 2,
    });
    for text in [
        "$states.input.orders.lines.sku",
        "$states.input.orders.lines.(qty * price)",
        "$sum($states.input.orders.lines.(qty * price))",
        "$states.input.orders[id = 2].name",
        "$states.input.orders[id >= $states.input.min].name",
        "$states.input.orders[lines.qty > 1][0].id",
        "$states.input.orders[-1]",
        "$states.input.orders.name[0]",
        "$states.input.orders[].name",
        "$states.input.orders.lines[].sku",
        "$states.input.orders.lines.{sku: qty}",
        "$states.input.orders.lines{sku: $sum(qty)}",
        "$states.input.orders^(>id).name",
        "$states.input.orders.lines^(qty, <sku).sku",
        "$states.input.orders.lines.(sku & %.name)",
        "$states.input.orders.lines.%.%.name",
        "$states.input.orders@$o.name",
        "$states.input.orders@$o.orders[id = $o.id].name",
        "$states.input.orders#$i.(id & ':' & $i)",
        "$states.input.orders.lines#$i[sku = 'x'].{'at': $i, 'sku': sku}",
        "$states.input.nested.v",
        "$states.input.nested[0].w",
        "$states.input.nested[1][1].v",
        "$states.input.by.one.two.three",
        "$states.input.by.one.missing",
        "$exists($states.input.by.one.two.three)",
        "$keys($states.input.by.one)",
        "$lookup($states.input.orders[0], $states.input.by.k)",
        "$states.input.*[id = 1].name",
        "$states.input.**.sku",
        "$states.*.name",
        "$states.input ~> |orders[id = 1]|{'name': $states.input.name}|",
        "($i := $states.input; $i.orders.id)",
        "($states := {'input': {'name': 'mine'}}; $states.input.name)",
        "$map($states.input.orders, function($o) {$o.lines.sku})",
        "$states.input.orders ~> $filter(function($o) {$o.id = 2})",
        "$states.input.orders.$states.input.name",
        "$states.input.orders.lines.sku = $states.input.name",
        "$states.input.`name` & $states.\"input\".name",
        "$count($states.input.orders.lines) > 2 ? $states.input.name : $states.context.StateMachine.Name",
        "$states.input.orders.(id; lines.qty)",
        "$states.input.(orders.id)[1]",
        "[$states.input.orders.id, $states.input.min][[0..1]]",
        "$states.input.orders.id ~> $sum",
    ] {
        let world = World::new();
        let whole = json!({"input": input, "context": world.context()});
        let bindings = [("states", jsonata::Value::from_json(&whole))];
        let environment = jsonata::Environment { bindings: Some(&bindings), ..jsonata::Environment::default() };
        let expected = Compiler::new(Dialect::V2_0_6)
            .compile(text)
            .and_then(|expression| expression.evaluate(&jsonata::Value::Undefined, environment))
            .map(|value| value.to_json(100_000).expect("it is JSON"));
        let found = compile(text).evaluate(&scope(&input, &world));
        match expected {
            Ok(Some(expected)) => assert_eq!(found, Ok(expected), "{text}"),
            Ok(None) => {
                let failure = found.expect_err(text);
                assert!(failure.message.ends_with("returned nothing (undefined)."), "{text}: {failure}");
            }
            Err(error) => assert!(found.expect_err(text).message.contains(&error.to_string()), "{text}: {error}"),
        }
    }
}
