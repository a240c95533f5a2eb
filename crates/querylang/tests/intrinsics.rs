//! Intrinsic functions, as data: call, input, result.

#![expect(clippy::needless_pass_by_value, reason = "tables of literal values read better without borrows")]

mod common;

use common::within;
use serde_json::{Value, json};
use stepwright_querylang::ErrorKind::{self, IntrinsicFailure, Runtime};
use stepwright_querylang::intrinsic::{Call, Function};

fn evaluate(call: &str, input: &Value) -> Result<Value, stepwright_querylang::EvaluationError> {
    let call = Call::parse(call).unwrap_or_else(|error| panic!("{call}: {error}"));
    within(input, |scope| call.evaluate(scope))
}

fn check(call: &str, input: Value, expected: Value) {
    match evaluate(call, &input) {
        Ok(value) => assert_eq!(value.to_string(), expected.to_string(), "{call} on {input}"),
        Err(error) => panic!("{call} on {input}: {error}"),
    }
}

/// The message starts with the whole call; `words` follow somewhere.
fn check_failure(call: &str, input: Value, kind: ErrorKind, words: &str) {
    let error = evaluate(call, &input).expect_err(call);
    assert_eq!(error.kind, kind, "{error}");
    let start = format!("The function '{call}' had the following error: ");
    assert!(error.message.starts_with(&start), "{error}");
    assert!(error.message[start.len()..].contains(words), "{error}");
}

#[test]
fn format() {
    check("States.Format('Hello, {}!', $.name)", json!({"name": "Ada"}), json!("Hello, Ada!"));
    check("States.Format($.t, 1, 'x')", json!({"t": "{}-{}"}), json!("1-x"));
    check("States.Format('no placeholders')", json!({}), json!("no placeholders"));
    check("States.Format('')", json!({}), json!(""));
    check("States.Format('{}{}', $.a, $.b)", json!({"a": "", "b": " "}), json!(" "));
    for (value, text) in [
        (json!(null), "null"),
        (json!(1), "1"),
        (json!(1.1), "1.1"),
        (json!(-0.5), "-0.5"),
        (json!(true), "true"),
        (json!(9_007_199_254_740_991_u64), "9007199254740991"),
        (json!("a\"b"), "a\"b"),
        (json!([]), "[]"),
        (json!({}), "{}"),
        (json!({"Arg1": 1, "Arg2": []}), "{Arg1=1, Arg2=[]}"),
        (json!([1, "a", null, {"b": [true, 1.5]}]), "[1, a, null, {b=[true, 1.5]}]"),
    ] {
        check("States.Format('<{}>', $.v)", json!({"v": value}), json!(format!("<{text}>")));
    }
    check("States.Format('{}', $$.StateMachine)", json!({}), json!("{Id=arn:1, Name=orders}"));
    check("States.Format('{}', $answer)", json!({}), json!("42"));
    check(r"States.Format('\{\} it\'s {} \\', 1)", json!({}), json!(r"{} it's 1 \"));
    check("States.Format('a\nb {}', 1)", json!({}), json!("a\nb 1"));
    check("States.Format('{}', States.Format('{}', '{}'))", json!({}), json!("{}"));
    check(r"States.Format($.t, 1)", json!({"t": r"\{\} {} a\b"}), json!(r"{} 1 a\b"));
    let miscounted = "number of arguments do not match the occurrences of {}";
    check_failure("States.Format('{} {}', 1)", json!({}), Runtime, miscounted);
    check_failure("States.Format('{}', 1, 2)", json!({}), Runtime, miscounted);
    check_failure("States.Format('a {', 1)", json!({}), Runtime, "matching '}' not found for '{'");
    check_failure("States.Format('a {{}}', 1)", json!({}), Runtime, "matching '}' not found for '{'");
    check_failure("States.Format('}')", json!({}), Runtime, "matching '{' not found for '}'");
    check_failure("States.Format(1)", json!({}), Runtime, "the template must be a string");
    check_failure("States.Format()", json!({}), Runtime, "cannot be called with 0 arguments");
}

#[test]
fn json_and_text() {
    for (text, value) in [
        ("", json!(null)),
        (" \n", json!(null)),
        ("null", json!(null)),
        ("-0", json!(0)),
        ("[-0.0, 0.0, -1]", json!([0, 0.0, -1])),
        ("1", json!(1)),
        ("1.1", json!(1.1)),
        ("true", json!(true)),
        ("\"Hello\"", json!("Hello")),
        (" {\"a\": [1, \"x\"]} ", json!({"a": [1, "x"]})),
        ("12345678901234567", json!(12_345_678_901_234_567_u64)),
    ] {
        check("States.StringToJson($.v)", json!({"v": text}), value);
    }
    check(r#"States.StringToJson('{"a":1}')"#, json!({}), json!({"a": 1}));
    check_failure("States.StringToJson($.v)", json!({"v": "{bad}"}), IntrinsicFailure, "not valid JSON");
    check_failure("States.StringToJson($.v)", json!({"v": "[".repeat(200)}), IntrinsicFailure, "not valid JSON");
    check_failure("States.StringToJson($.v)", json!({"v": 1}), Runtime, "Invalid arguments in States.StringToJson");
    check("States.JsonToString($)", json!({"z": 1.1, "a": [null, "é"]}), json!("{\"z\":1.1,\"a\":[null,\"é\"]}"));
    check("States.JsonToString($.v)", json!({"v": "x"}), json!("\"x\""));
    check("States.StringToJson(States.JsonToString($))", json!({"a": {"b": 1.0}}), json!({"a": {"b": 1.0}}));
}

#[test]
fn arrays() {
    check("States.Array()", json!({}), json!([]));
    check(
        "States.Array(1, 'a', null, true, $.x, States.Array(-1.5))",
        json!({"x": {"y": 1}}),
        json!([1, "a", null, true, {"y": 1}, [-1.5]]),
    );
    let nine = json!({"a": [1, 2, 3, 4, 5, 6, 7, 8, 9]});
    check("States.ArrayPartition($.a, 4)", nine.clone(), json!([[1, 2, 3, 4], [5, 6, 7, 8], [9]]));
    check("States.ArrayPartition($.a, 2.9)", json!({"a": [1, 2, 3]}), json!([[1, 2], [3]]));
    check("States.ArrayPartition($.a, 99)", json!({"a": [1]}), json!([[1]]));
    check("States.ArrayPartition($.a, 3)", json!({"a": []}), json!([]));
    for size in ["0", "-1", "0.6", "-0.4"] {
        check_failure(&format!("States.ArrayPartition($.a, {size})"), nine.clone(), IntrinsicFailure, "at least 1");
    }
    check_failure("States.ArrayPartition($.a, '2')", nine.clone(), Runtime, "the size must be a number");
    check_failure("States.ArrayPartition('a', 2)", json!({}), Runtime, "must be an array");

    check("States.ArrayContains($.a, 5)", nine.clone(), json!(true));
    check("States.ArrayContains($.a, 5.0)", nine.clone(), json!(true));
    check("States.ArrayContains($.a, '5')", nine.clone(), json!(false));
    check("States.ArrayContains($.a, $.b)", json!({"a": [{"x": 1, "y": [2]}], "b": {"y": [2.0], "x": 1}}), json!(true));
    check("States.ArrayContains(States.Array(), null)", json!({}), json!(false));

    check("States.ArrayRange(1, 9, 2)", json!({}), json!([1, 3, 5, 7, 9]));
    check("States.ArrayRange(0, 3, 1)", json!({}), json!([0, 1, 2, 3]));
    check("States.ArrayRange(5, 1, -2)", json!({}), json!([5, 3, 1]));
    check("States.ArrayRange(3, 3, 1)", json!({}), json!([3]));
    check("States.ArrayRange(3, 3, -1)", json!({}), json!([3]));
    check("States.ArrayRange(5, 1, 1)", json!({}), json!([]));
    check("States.ArrayRange(1, 5, -1)", json!({}), json!([]));
    check("States.ArrayRange(1.4, 5.6, 2.2)", json!({}), json!([1, 3, 5]));
    check("States.ArrayRange(1.6, 1.4, 1)", json!({}), json!([1]));
    check("States.ArrayRange(5.4, -0.6, -2.4)", json!({}), json!([5, 3, 1]));
    check("States.ArrayLength(States.ArrayRange(1, 1000, 1))", json!({}), json!(1000));
    check_failure("States.ArrayRange(1, 1001, 1)", json!({}), IntrinsicFailure, "more than 1000");
    check_failure("States.ArrayRange(1001, 1, -1)", json!({}), IntrinsicFailure, "more than 1000");
    check_failure("States.ArrayRange(1, 10, 0)", json!({}), IntrinsicFailure, "must not be 0");
    check_failure("States.ArrayRange(1, 10, 0.49)", json!({}), IntrinsicFailure, "must not be 0");
    check_failure("States.ArrayRange('a', 5, 1)", json!({}), Runtime, "Invalid arguments in States.ArrayRange");
    check_failure(
        "States.ArrayRange(-9223372036854775808, 9223372036854775807, 1)",
        json!({}),
        IntrinsicFailure,
        "more than",
    );

    check("States.ArrayGetItem($.a, 5)", nine.clone(), json!(6));
    check("States.ArrayGetItem($.a, 1.9)", nine.clone(), json!(2));
    check("States.ArrayGetItem(States.Array(null), 0)", json!({}), json!(null));
    for index in ["9", "-1", "99999999999"] {
        check_failure(
            &format!("States.ArrayGetItem($.a, {index})"),
            nine.clone(),
            IntrinsicFailure,
            "there is no index",
        );
    }
    check_failure("States.ArrayGetItem($.a, '1')", nine.clone(), Runtime, "the index must be a number");
    check("States.ArrayLength($.a)", nine, json!(9));
    check_failure("States.ArrayLength('abc')", json!({}), Runtime, "must be an array");

    check(
        "States.ArrayUnique($.a)",
        json!({"a": [null, null, true, 1, 1.0, 1.1, "1", "a", "a", [], [], [null], {"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1}]}),
        json!([null, true, 1, 1.1, "1", "a", [], [null], {"a": 1, "b": 2}, {"a": 1}]),
    );
    let many: Value = (0..100_000).map(|number| number % 1000).collect();
    check("States.ArrayLength(States.ArrayUnique($))", many, json!(1000));
}

#[test]
fn base64_and_hash() {
    check("States.Base64Encode('Data to encode')", json!({}), json!("RGF0YSB0byBlbmNvZGU="));
    check("States.Base64Encode('')", json!({}), json!(""));
    check("States.Base64Decode('')", json!({}), json!(""));
    check("States.Base64Decode('RGF0YSB0byBlbmNvZGU=')", json!({}), json!("Data to encode"));
    check(
        "States.Base64Decode(States.Base64Encode($.v))",
        json!({"v": "✓ こんにちは\u{0}"}),
        json!("✓ こんにちは\u{0}"),
    );
    check("States.Base64Decode(' YW Jj\tZA')", json!({}), json!("abcd"));
    check("States.Base64Decode('YWJjZA==garbage')", json!({}), json!("abcd"));
    check("States.Base64Decode('_-8=')", json!({}), json!("\u{fffd}\u{fffd}"));
    check("States.Base64Encode($.v)", json!({"v": "abc".repeat(3_333)}), json!("YWJj".repeat(3_333)));
    check_failure("States.Base64Encode($.v)", json!({"v": "é".repeat(10_001)}), IntrinsicFailure, "longer than 10000");
    check_failure("States.Base64Decode($.v)", json!({"v": "A".repeat(10_001)}), IntrinsicFailure, "longer than 10000");
    check_failure("States.Base64Decode(1)", json!({}), Runtime, "must be a string");

    for (algorithm, digest) in [
        ("MD5", "5d41402abc4b2a76b9719d911017c592"),
        ("SHA-1", "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d"),
        ("SHA-256", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ("SHA-384", "59e1748777448c69de6b800d7a33bbfb9ff1b463e44354c3553bcdb9c666fa90125a3c79f90397bdf5f6a13de828684f"),
        (
            "SHA-512",
            "9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca72323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043",
        ),
    ] {
        check(&format!("States.Hash('hello', '{algorithm}')"), json!({}), json!(digest));
    }
    check(
        "States.Hash($.v, 'SHA-256')",
        json!({"v": "✓"}),
        json!("1dabba21cdad44541f6b15796f8d22978fc7ea10c46aeceeeeb66c23b3ac7604"),
    );
    let number = evaluate("States.Hash($.v, 'MD5')", &json!({"v": 123}));
    assert_eq!(number, evaluate("States.Hash('123', 'MD5')", &json!({})));
    let object = evaluate("States.Hash($, 'MD5')", &json!({"b": 1, "a": [2]}));
    assert_eq!(object, evaluate("States.Hash($.v, 'MD5')", &json!({"v": "{\"b\":1,\"a\":[2]}"})));
    for algorithm in ["sha-256", "SHA256", "MD-5", ""] {
        check_failure(
            &format!("States.Hash('x', '{algorithm}')"),
            json!({}),
            IntrinsicFailure,
            "the algorithm must be",
        );
    }
    check_failure("States.Hash('x', 1)", json!({}), Runtime, "the algorithm must be a string");
    check_failure("States.Hash($.v, 'MD5')", json!({"v": "a".repeat(10_001)}), IntrinsicFailure, "longer than 10000");
}

#[test]
fn merge() {
    check(
        "States.JsonMerge($.a, $.b, false)",
        json!({"a": {"x": {"p": 1}, "y": 1}, "b": {"x": {"q": 2}, "z": 3}}),
        json!({"x": {"q": 2}, "y": 1, "z": 3}),
    );
    check_failure("States.JsonMerge($, $, true)", json!({}), IntrinsicFailure, "deep merging is not supported");
    check_failure("States.JsonMerge($, $, 'no')", json!({}), Runtime, "must be false");
    check_failure("States.JsonMerge($, 1, false)", json!({}), Runtime, "must be objects");
    check_failure("States.JsonMerge($, $)", json!({}), Runtime, "2 arguments");
}

#[test]
fn sums_round_half_up() {
    for (a, b, sum) in [
        ("5", "3", 8),
        ("-5", "3", -2),
        ("1.49", "1.5", 3),
        ("-1.5", "0", -1),
        ("-0.5", "0.5", 1),
        ("2.5", "0", 3),
        ("0.1", "0.2", 0),
        ("1.6", "2.7", 5),
        ("2147483646", "1", i32::MAX),
        ("-2147483647", "-1", i32::MIN),
    ] {
        check(&format!("States.MathAdd({a}, {b})"), json!({}), json!(sum));
    }
    for call in ["2147483647, 1", "-2147483648, -1", "3000000000, 1", "1, -3000000000", "1e300, 1"] {
        check_failure(
            &format!("States.MathAdd({call})"),
            json!({}),
            IntrinsicFailure,
            "Invalid arguments in States.MathAdd",
        );
    }
    for call in ["'a', 1", "null, 1", "true, 1", "1", "1, 2, 3", "'1.5', 2"] {
        check_failure(&format!("States.MathAdd({call})"), json!({}), Runtime, "Invalid arguments in States.MathAdd");
    }
}

#[test]
fn random_numbers_stay_in_range_and_seeds_repeat() {
    let input = json!({});
    let call = Call::parse("States.MathRandom(-3, 4)").unwrap();
    let drawn: std::collections::BTreeSet<i64> =
        within(&input, |scope| (0..500).map(|_| call.evaluate(scope).unwrap().as_i64().unwrap()).collect());
    assert_eq!(drawn, (-3..4).collect(), "every number of the range, the end not included");

    let seeded = "States.MathRandom(1, 1000000, 42)";
    assert_eq!(evaluate(seeded, &input), evaluate(seeded, &input));
    let seeds: std::collections::BTreeSet<String> = (-50..50)
        .map(|seed| evaluate(&format!("States.MathRandom(1, 1000000, {seed})"), &input).unwrap().to_string())
        .collect();
    assert!(seeds.len() > 90, "seeds differ");
    // new java.util.Random(42).nextInt(10) is 0, nextInt(100) is 30.
    check("States.MathRandom(5, 15, 42)", json!({}), json!(5));
    check("States.MathRandom(-100, 0, 42)", json!({}), json!(-70));
    check("States.MathRandom(7, 8)", json!({}), json!(7));
    check(
        "States.MathRandom(9223372036854775806, 9223372036854775807)",
        json!({}),
        json!(9_223_372_036_854_775_806_i64),
    );
    for call in ["1, 1", "10, 5", "1.4, 1.6"] {
        check_failure(&format!("States.MathRandom({call})"), json!({}), IntrinsicFailure, "less than the end");
    }
    for call in ["'a', 1", "1, 'b'", "1, 10, 'seed'", "1, 10, null", "1", "1, 10, 5, 99"] {
        check_failure(
            &format!("States.MathRandom({call})"),
            json!({}),
            Runtime,
            "Invalid arguments in States.MathRandom",
        );
    }
}

#[test]
fn split_at_any_of_the_characters() {
    for (text, delimiters, pieces) in [
        ("1,2,3,4,5", ",", json!(["1", "2", "3", "4", "5"])),
        (",,,,", ",", json!([])),
        (", , ,", ",", json!([" ", " "])),
        (" ", ",", json!([" "])),
        ("This.is+a,test=string", ".+,=", json!(["This", "is", "a", "test", "string"])),
        ("split on T and \nnew line", "T\n", json!(["split on ", " and ", "new line"])),
        ("", ",", json!([])),
        ("abc", "", json!(["abc"])),
        ("aéb", "é", json!(["a", "b"])),
        ("a|b", "|", json!(["a", "b"])),
    ] {
        check("States.StringSplit($.t, $.d)", json!({"t": text, "d": delimiters}), pieces);
    }
    check("States.StringSplit($$.Execution.Input.csv, ',')", json!({}), json!(["x", "y"]));
    check_failure("States.StringSplit(1, ',')", json!({}), Runtime, "must be a string");
    check_failure("States.StringSplit('a', $.d)", json!({"d": [","]}), Runtime, "must be a string");
}

#[test]
fn uuids_are_of_version_four_and_differ() {
    let input = json!({});
    let call = Call::parse("States.UUID()").unwrap();
    let uuids: Vec<String> =
        within(&input, |scope| (0..100).map(|_| call.evaluate(scope).unwrap().as_str().unwrap().to_owned()).collect());
    for uuid in &uuids {
        let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{uuid}");
        assert!(uuid.chars().all(|c| c == '-' || c.is_ascii_hexdigit() && !c.is_uppercase()), "{uuid}");
        assert_eq!(&uuid[14..15], "4", "{uuid}");
        assert!("89ab".contains(&uuid[19..20]), "{uuid}");
    }
    assert_eq!(uuids.iter().collect::<std::collections::HashSet<_>>().len(), 100);
    check_failure("States.UUID(1)", json!({}), Runtime, "Invalid arguments in States.UUID");
}

#[test]
fn a_missing_argument_names_the_whole_call_and_the_input() {
    let input = json!({"other": 1, "items": [1, 2]});
    let text = input.to_string();
    for (call, argument) in [
        ("States.Format('{}', $.nope)", "$.nope"),
        ("States.Format('{}',$.nope)", "$.nope"),
        ("States.Format('{}', States.Format('{}', $.a.b))", "$.a.b"),
        ("States.Format('{}', $.items[5])", "$.items[5]"),
        ("States.Format($.nope, 1)", "$.nope"),
        ("States.ArrayLength($unknown)", "$unknown"),
        ("States.Format('{}', $$.Nope.Deep)", "$.Nope.Deep"),
    ] {
        let error = evaluate(call, &input).expect_err(call);
        assert_eq!(error.kind, Runtime);
        assert_eq!(
            error.message,
            format!(
                "The function '{call}' had the following error: The JsonPath argument for the field '{argument}' \
                 could not be found in the input '{text}'"
            )
        );
    }
    check_failure(
        "States.Format('{}', $.other[0])",
        input.clone(),
        Runtime,
        "Filter: [0] can only be applied to arrays. Current context is: 1",
    );
    check("States.ArrayLength($.items[*].nope)", input, json!(0));
}

#[test]
fn syntax() {
    for call in [
        "States.UUID()",
        " States.UUID( ) ",
        "States.Array(1,2)",
        "States.Array( 1 , 'a' )",
        "States.Array('a\nb')",
        "States.Array($.a['b, c)'].d, $x, $$)",
        "States.Array($.a.length(), $.l[?(@.a in ['x', ')'])])",
        r"States.Array('\'\{\}\\')",
        "States.Array(-1.5e3, null, true, false)",
        "States.UUID ()",
    ] {
        assert!(Call::parse(call).is_ok(), "{call}: {:?}", Call::parse(call));
    }
    for call in [
        "",
        "States",
        "States.",
        "States.Nope()",
        "states.UUID()",
        "UUID()",
        "States.UUID",
        "States.UUID(",
        "States.UUID())",
        "States.UUID() x",
        "States.Array(1,)",
        "States.Array(,1)",
        "States.Array(1 2)",
        "States.Array(\"a\")",
        "States.Array(a)",
        "States.Array('a)",
        r"States.Array('\n')",
        r"States.Array('\')",
        "States.Array(1.)",
        "States.Array(01)",
        "States.Array(--1)",
        "States.Array($.)",
        "States.Array({})",
        "States.Array([1])",
        "States.Array(TRUE)",
        r#"States.StringToJson('{\"a\":1}')"#,
        "{% $x %}",
    ] {
        assert!(Call::parse(call).is_err(), "{call}");
    }
    let nested = |levels: usize| format!("{}{}", "States.Array(".repeat(levels), ")".repeat(levels));
    assert!(Call::parse(&nested(10)).is_ok());
    assert!(Call::parse(&nested(11)).is_err());
    assert!(Call::parse(&nested(2000)).is_err());
}

#[test]
fn names_and_variables() {
    for function in Function::ALL {
        assert_eq!(Function::named(function.name()), Some(function));
    }
    let call = Call::parse("States.Format('{}{}', $a.b, States.Array($c, '$d', $.e, $$.f))").unwrap();
    assert_eq!(call.variables().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(call.function(), Function::Format);
}

#[test]
fn a_call_cannot_blow_up_the_memory() {
    let input = json!({"big": "x".repeat(200_000)});
    let call = format!("States.Array({}1)", "$,".repeat(5_000));
    let error = evaluate(&call, &input).expect_err("it must stop");
    assert!(error.message.contains("larger than"), "it says why");
}
