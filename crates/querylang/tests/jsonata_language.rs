//! JSONata beyond the official suite: hostile expressions end in bounded time
//! and memory, what is printed parses to the same, and what a caller can ask of
//! an expression.

use proptest::prelude::*;
use serde_json::json;
use std::cell::Cell;
use stepwright_querylang::jsonata::{
    Ast, Builtin, Compiler, Context, Dialect, Environment, Error, Expression, FreeNameKind, Limit, Limits, STACK_BYTES,
    Value,
};

fn limits() -> Limits {
    Limits { steps: 3_000_000, depth: 2_000, stack_bytes: STACK_BYTES / 4 * 3, memory_bytes: 32 << 20 }
}

/// Runs with a stack of its own.
fn with_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    thread.expect("a thread").join().expect("no panic")
}

fn evaluate(text: &str, input: &serde_json::Value) -> Result<Option<serde_json::Value>, Error> {
    let environment = Environment { limits: limits(), ..Environment::default() };
    let value = Expression::compile(text)?.evaluate(&Value::from_json(input), environment)?;
    Ok(value.to_json(1 << 20).unwrap_or(Some(json!("not JSON"))))
}

#[track_caller]
fn check(text: &str, expected: serde_json::Value) {
    let result = evaluate(text, &json!({"a": {"b": [1, 2, 3]}, "items": [{"n": 1}, {"n": 2}]}));
    assert_eq!(result.expect(text), Some(expected), "{text}");
}

#[test]
fn hostile_expressions_end_at_a_bound() {
    let nested = |open: &str, close: &str| open.repeat(100_000) + "1" + &close.repeat(100_000);
    // `None`: one bound or another.
    let cases: Vec<(String, Option<Limit>)> = vec![
        ("($f := function($n) { 1 + $f($n + 1) }; $f(0))".into(), Limit::Depth.into()),
        ("($f := function() { $f() }; $f())".into(), Limit::Time.into()),
        ("($f := function($a) { $f([$a, $a]) }; $f(1))".into(), Limit::Memory.into()),
        ("($f := function($a) { $f([[$a]]) }; $f(1))".into(), Limit::Depth.into()),
        (
            "($f := function($a, $n) { $n = 0 ? $a : $f($append($a, $a), $n - 1) }; $f([1], 40))".into(),
            Limit::Memory.into(),
        ),
        ("($f := function($s, $n) { $n = 0 ? $s : $f($s & $s, $n - 1) }; $f('x', 60))".into(), Limit::Memory.into()),
        ("[1..10000000]".into(), Limit::Time.into()),
        ("$pad('x', 1000000000)".into(), Limit::Memory.into()),
        ("$map([1..1000], function($a) { $map([1..1000], function($b) { $map([1..1000], $string) }) })".into(), None),
        ("$sum([1..1000].([1..1000].([1..1000].$)))".into(), None),
        (
            "($f := function($o, $n) { $n = 0 ? $o : $f({'a': $o, 'b': $o}, $n - 1) }; $f(1, 100) = $f(1, 100))".into(),
            Limit::Memory.into(),
        ),
        (
            "($f := function($g, $n) { $n = 0 ? $g : $f($g ~> $g, $n - 1) }; $f($string, 100000)(1))".into(),
            Limit::Depth.into(),
        ),
        ("($e := '$eval($e)'; $eval($e))".into(), Limit::Depth.into()),
        (nested("(", ")"), Limit::Nesting.into()),
        (nested("[", "]"), Limit::Nesting.into()),
        (nested("-", ""), Limit::Nesting.into()),
        ("1".to_owned() + &"+1".repeat(100_000), Limit::Nesting.into()),
        ("a".to_owned() + &"[0]".repeat(100_000), Limit::Nesting.into()),
        ("a?a:".repeat(100_000), Limit::Nesting.into()),
    ];
    with_stack(move || {
        for (text, limit) in cases {
            let shown: String = text.chars().take(80).collect();
            match evaluate(&text, &json!(null)) {
                Ok(value) => panic!("{shown} came to {value:?}"),
                Err(error) => {
                    let reached = error.reached_limit();
                    assert!(reached.is_some() && (limit.is_none() || reached == limit), "{shown}: {error}");
                }
            }
        }
    });
}

#[test]
fn long_chains_of_closures_are_dropped_without_a_deep_stack() {
    with_stack(|| {
        let text = "($f := function($k, $n) { $n = 0 ? 'done' : $f([function() { $x }, $x := $k][0], $n - 1) };
                     $f(function() { 1 }, 50000))";
        let environment =
            Environment { limits: Limits { memory_bytes: 1 << 30, ..limits() }, ..Environment::default() };
        let value = Expression::compile(text).expect("valid").evaluate(&Value::Undefined, environment);
        assert_eq!(value.expect("it ends").as_str(), Some("done"));
    });
}

#[test]
fn tail_calls_need_no_stack() {
    with_stack(|| {
        check("($f := function($n) { $n = 0 ? 'done' : $f($n - 1) }; $f(100000))", json!("done"));
        check(
            "($even := function($n) { $n = 0 ? true : $odd($n - 1) };
              $odd := function($n) { $n = 0 ? false : $even($n - 1) }; $even(10001))",
            json!(false),
        );
    });
}

#[test]
fn the_caller_can_end_an_evaluation() {
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() == 3
    };
    let environment = Environment { should_stop: Some(&stop), ..Environment::default() };
    let expression = Expression::compile("($f := function() { $f() }; $f())").expect("valid");
    let error = expression.evaluate(&Value::Undefined, environment).expect_err("it never ends");
    assert_eq!(error.reached_limit(), Some(Limit::Time));
    assert_eq!(asked.get(), 3);
}

#[test]
fn time_and_chance_are_the_callers() {
    let expression = Expression::compile("[$millis(), $random(), $random()]").expect("valid");
    let run = |seed| {
        let environment = Environment { now_millis: 42.0, seed, ..Environment::default() };
        expression.evaluate(&Value::Undefined, environment).expect("it has values").to_json(1_000).expect("JSON")
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_eq!(run(1).expect("defined")[0], json!(42));
}

#[test]
fn expressions_are_shared_by_threads() {
    let expression = Expression::compile("$sum($map(a.b, function($x) { $x * 2 }))").expect("valid");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let expression = expression.clone();
            std::thread::spawn(move || {
                let input = Value::from_json(&json!({"a": {"b": [1, 2, 3]}}));
                let value = expression.evaluate(&input, Environment::default());
                value.expect("it has a value").as_number()
            })
        })
        .collect();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), Some(12.0));
    }
}

#[test]
fn later_operators_are_refused_in_the_older_dialect() {
    for text in ["a ?? b", "a ?: b"] {
        assert!(Compiler::new(Dialect::Reference).compile(text).is_ok());
        assert_eq!(Compiler::new(Dialect::V2_0_6).compile(text).expect_err(text).code(), "S0211");
    }
}

fn twice(context: &mut Context<'_>, arguments: &mut [Value]) -> Result<Value, Error> {
    let text = arguments[0].as_str().unwrap_or_default().repeat(2);
    context.string(text)
}

static TWICE: Builtin = Builtin::new("twice", "<s-:s>", 1, twice);

#[test]
fn functions_are_added_and_taken_away() {
    let compiler = Compiler::default().with_function(&TWICE).without_function("eval");
    let run = |text: &str| compiler.compile(text).expect(text).evaluate(&Value::Undefined, Environment::default());
    assert_eq!(run("$twice('ab') & ['c'].$twice()").expect("defined").as_str(), Some("ababcc"));
    assert_eq!(run("$eval('1')").expect_err("taken away").code(), "T1006");
    assert_eq!(run("$twice(1)").expect_err("not a text").code(), "T0410");
}

#[test]
fn free_names_are_found_with_their_places() {
    let free = |text: &str| {
        let expression = Compiler::new(Dialect::V2_0_6).compile(text).expect(text);
        let names: Vec<_> =
            expression.free_names().into_iter().map(|free| (free.kind, free.name.to_string(), free.position)).collect();
        names
    };
    let variable = |name: &str, position| (FreeNameKind::Variable, name.to_owned(), position);
    assert_eq!(free("$states.input.items[price > 2].name"), [variable("states", 7)]);
    assert_eq!(free("$sum($x.y)"), [variable("x", 7)]);
    assert_eq!(free("($x := 1; $x + $y)"), [variable("y", 17)]);
    assert_eq!(free("function($x) { $x + $z }"), [variable("z", 22)]);
    assert_eq!(free("$map($a, function($v) { $v.b })"), [variable("a", 7)]);
    assert_eq!(free("$"), [(FreeNameKind::Item, String::new(), 1)]);
    assert_eq!(free("$$.a"), [(FreeNameKind::Input, "$".to_owned(), 2)]);
    assert_eq!(free("price * 2"), [(FreeNameKind::Field, "price".to_owned(), 5)]);
    assert_eq!(free("($f := function($n) { $n = 0 ? 1 : $f($n - 1) }; $f(3))"), []);
}

#[test]
fn errors_have_the_references_codes_places_and_texts() {
    let failed = |text: &str| {
        let error = evaluate(text, &json!({"a": 1})).expect_err(text);
        (error.code(), error.position(), error.message())
    };
    let expected = |code, position, text: &str| (code, Some(position), text.to_owned());
    assert_eq!(
        failed("1 + 'a'"),
        expected("T2002", 3, "The right side of the \"+\" operator must evaluate to a number")
    );
    assert_eq!(failed("a.("), expected("S0203", 3, "Expected \")\" before end of expression"));
    assert_eq!(failed("1 +"), expected("S0207", 3, "Unexpected end of expression"));
    assert_eq!(failed("\"é💩\" ~ 1"), expected("S0204", 7, "Unknown operator: \"~\""));
    assert_eq!(failed("sum(a)"), expected("T1005", 4, "Attempted to invoke a non-function. Did you mean $sum?"));
    assert_eq!(failed("$map([1], function($x) { sum($x) })").0, "T1005");
    assert_eq!(failed("$nope(a)"), expected("T1006", 6, "Attempted to invoke a non-function"));
    assert_eq!(
        failed("'a' < 1").2,
        "The values \"a\" and 1 either side of operator \"<\" must be of the same data type"
    );
    assert_eq!(failed("{'a': 1, 'a': 2}").0, "D1009");
    assert_eq!(failed("1/0 + 1").0, "D1001");
}

#[test]
fn paths_and_sequences() {
    check("a.b[0]", json!(1));
    check("a.b[[0, -1]]", json!([1, 3]));
    check("a.b[$ > 1]", json!([2, 3]));
    check("a.b[$ > 2]", json!(3));
    check("a.b[$ > 2][]", json!([3]));
    check("items.n", json!([1, 2]));
    check("items[n = 2].n", json!(2));
    check("items^(>n).n", json!([2, 1]));
    check("items{$string(n): n}", json!({"1": 1, "2": 2}));
    check("items@$i#$p.{'n': $i.n, 'p': $p}", json!([{"n": 1, "p": 0}, {"n": 2, "p": 1}]));
    check("a.b.%.b[0]", json!(1));
    check("$ ~> |items|{'m': n}, 'n'|", json!({"a": {"b": [1, 2, 3]}, "items": [{"m": 1}, {"m": 2}]}));
    check("($x := 1; ($y := $x; $x := 2; [$y, $x]))", json!([1, 2]));
    check("[1..3].($x := $; function() { $x }).$()", json!([1, 2, 3]));
    check("$map([1, 2], $string(?))", json!(["1", "2"]));
    check("($inc := function($n) { $n + 1 }; $both := $inc ~> $inc; $both(1))", json!(3));
    check("/b(c)?/('abcb').[start, end, next().start]", json!([1, 3, 3]));
}

/// Pieces of expressions, put together at random: many of them parse.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "`x y`",
        "`and`",
        "$",
        "$$",
        "$v",
        "*",
        "**",
        "%",
        "1",
        "2.5",
        "1e21",
        "'s'",
        "\"\\u00e9\\n\"",
        "true",
        "null",
        "/a\\/b/i",
        "and",
        "or",
        "in",
        "+",
        "-",
        "/",
        "=",
        "!=",
        "<=",
        "&",
        ".",
        ".",
        "..",
        "~>",
        ":=",
        "??",
        "?:",
        "?",
        ":",
        ";",
        ",",
        "(",
        ")",
        "(",
        ")",
        "[",
        "]",
        "[",
        "]",
        "[]",
        "{",
        "}",
        "^(",
        "@$i",
        "#$j",
        "|",
        "function($x)",
        "<s-n?:s>",
        "{",
        "λ()",
        "f(",
        "$f(?, ",
        " ",
        "/* c */",
        ">",
        "<",
    ]);
    prop::collection::vec(piece, 1..14).prop_map(|pieces| pieces.join(" "))
}

/// Expressions that parse, built from smaller ones.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "a",
        "`b c`",
        "$",
        "$v",
        "$$",
        "*",
        "**",
        "7",
        "0.1",
        "'t'",
        "\"q\\\"\\\\\"",
        "true",
        "null",
        "%",
        "and",
        "[]",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(6, 60, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (
                pair.clone(),
                prop::sample::select(vec![
                    "+", "-", "*", "%", "=", "<", ">=", "&", "and", "or", "in", "~>", ".", "??", "?:"
                ])
            )
                .prop_map(|((a, b), operator)| format!("{a} {operator} {b}")),
            pair.clone().prop_map(|(a, b)| format!("{a}[{b}]")),
            pair.clone().prop_map(|(a, b)| format!("{a}^(>{b}, <{a})")),
            pair.clone().prop_map(|(a, b)| format!("{a}{{{b}: {a}}}")),
            pair.clone().prop_map(|(a, b)| format!("({a}; $w := {b})")),
            pair.clone().prop_map(|(a, b)| format!("[{a}, {b} .. {a}]")),
            pair.clone().prop_map(|(a, b)| format!("$f({a}, ?, {b})")),
            pair.clone().prop_map(|(a, b)| format!("{a} ? {b} : {a}")),
            pair.clone().prop_map(|(a, b)| format!("|{a}|{b}, {a}|")),
            inner.clone().prop_map(|a| format!("function($x, $y)<n-a<s>?:x>{{ {a} }}")),
            inner.clone().prop_map(|a| format!("{a}[]")),
            inner.clone().prop_map(|a| format!("-{a}")),
            inner.clone().prop_map(|a| format!("({a})@$f#$i")),
            inner.prop_map(|a| format!("$match({a}, /x[/]y/m)")),
        ]
    })
}

fn parse(text: &str) -> Option<Ast> {
    Expression::compile(text).ok().map(|expression| expression.ast().clone())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_parses_to_the_same(text in prop_oneof![expressions(), pieces()]) {
        if let Some(ast) = parse(&text) {
            let printed = ast.to_string();
            let again = parse(&printed);
            prop_assert_eq!(again.as_ref(), Some(&ast), "{} was printed as {}", text, printed);
            prop_assert_eq!(again.map(|ast| ast.to_string()), Some(printed));
        }
    }

    #[test]
    fn no_expression_panics(text in prop_oneof![expressions(), pieces(), ".{0,40}"]) {
        let limits = Limits { steps: 20_000, depth: 200, stack_bytes: 1 << 19, memory_bytes: 1 << 20 };
        let input = Value::from_json(&json!({"a": [{"b": 1, "b c": ["x"]}, {"a": {"b": null}}], "b c": 2.5}));
        if let Ok(expression) = Expression::compile(&text) {
            let environment = Environment { limits, ..Environment::default() };
            if let Ok(value) = expression.evaluate(&input, environment) {
                let _json = value.to_json(1 << 16);
            }
        }
    }
}

#[test]
fn generated_expressions_mostly_parse() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = expressions();
    let parsed = (0..300)
        .filter(|_| {
            let tree = strategy.new_tree(&mut runner).expect("it generates");
            parse(&proptest::strategy::ValueTree::current(&tree)).is_some()
        })
        .count();
    assert!(parsed > 90, "the property is tested on too little: {parsed} of 300");
}

#[test]
fn what_is_nested_too_deep_to_be_explained_is_said_to_be() {
    with_stack(|| {
        let text = format!("{}1{}", "(".repeat(300), ")".repeat(300));
        let explanation = Expression::compile(&text).expect(&text).explain(&Value::Undefined, Environment::default());
        assert_eq!(explanation.value.expect_err("too deep").reached_limit(), Some(Limit::Nesting));
        assert!(explanation.parts.is_empty());
    });
}
