//! Work is counted: what an expression makes the engine do takes steps in proportion, and what it makes takes memory.
//! An evaluation is bounded by its steps alone, so work that nobody counts is work without a bound.

use serde_json::json;
use std::cell::Cell;
use stepwright_querylang::jsonata::{
    Compiler, Dialect, Environment, Error, Limit, Limits, STACK_BYTES, Value, step_functions,
};

/// The size of a small operand: large enough that it hides what a call takes besides.
const SIZE: usize = 1 << 10;

/// Runs with a stack of its own.
fn with_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    thread.expect("a thread").join().expect("no panic")
}

/// Operands of a size. Nothing of them counts: they are the caller's.
fn operands(size: usize) -> Value {
    let text = "ab".repeat(size / 2);
    let keys = |value: &dyn Fn(usize) -> serde_json::Value| -> serde_json::Value {
        (0..size).map(|index| (format!("k{index}"), value(index))).collect::<serde_json::Map<_, _>>().into()
    };
    Value::from_json(&json!({
        "s": text, "same": text, "longer": format!("{text}x"), "other": format!("{text}y"),
        "beyond": "é".repeat(size), "spaces": " a ".repeat(size), "escaped": "%41".repeat(size), "digits": "9".repeat(size),
        "texts": [text, text, "x", text], "alike": [text, text, "y", text],
        "list": (0..size).collect::<Vec<_>>(),
        "fractions": (0..size).map(|index| index as f64 / 7.0).collect::<Vec<_>>(),
        "words": (0..size).map(|index| format!("w{index}")).collect::<Vec<_>>(),
        "objects": (0..size).map(|index| json!({"a": index, "b": "x"})).collect::<Vec<_>>(),
        "object": keys(&|index| index.into()),
        "long": {text.clone(): 1}, "both": {text.clone(): 2, "x": [text.clone()]},
        "json": serde_json::Value::from((0..size).collect::<Vec<_>>()).to_string(),
    }))
}

fn evaluate(text: &str, size: usize, limits: Limits) -> (Result<Value, Error>, u64) {
    let compiler = Compiler::new(Dialect::V2_0_6);
    let compiler = step_functions().iter().fold(compiler, Compiler::with_function);
    let Value::Object(bindings) = operands(size) else { panic!("operands are an object") };
    let spent = Cell::new(0);
    let environment = Environment { limits, bindings: Some(&*bindings), spent: Some(&spent), ..Environment::default() };
    let expression = compiler.compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    (expression.evaluate(&Value::Undefined, environment), spent.get())
}

/// The steps of an expression that has a value, or fails in the end.
fn steps(text: &str, size: usize) -> u64 {
    let limits = Limits { steps: u64::MAX, memory_bytes: 1 << 30, ..Limits::default() };
    let (value, spent) = evaluate(text, size, limits);
    let reached = value.as_ref().err().and_then(Error::reached_limit);
    assert_eq!(reached, None, "{text}");
    spent
}

#[test]
fn every_function_counts_what_it_passes_over() {
    with_stack(|| {
        for text in [
            "$s = $same",
            "$longer < $other",
            "$s in $alike",
            "$texts = $alike",
            "$long = $both",
            "$list = $list[]",
            "{$s: 1}",
            "{'a': 1, $s: 2}",
            "$list{$string($): 1}",
            "$lookup($both, $same)",
            "$keys([$long, $both])",
            "$merge([$long, $both])",
            "$merge([$object, {}])",
            "$spread($object)",
            "$sift($object, function() { true })",
            "$each($object, function() { 1 })",
            "$sort($texts)",
            "$sort($list)",
            "$sort($words)",
            "$texts^($)",
            "$list^(>$)",
            "$sort($list, function($l, $r) { $l > $r })",
            "$distinct($texts)",
            "$distinct($list)",
            "$distinct($objects)",
            "$string($fractions)",
            "$string($list)",
            "$string($objects, true)",
            "$list & ''",
            "$length($s)",
            "$length($beyond)",
            "$substring($beyond, 5, 2)",
            "$substringBefore($s, 'x')",
            "$substringBefore('a', $s)",
            "$substringAfter('a', $longer)",
            "$contains($s, 'x')",
            "$contains('a', $s)",
            "$lowercase($s)",
            "$uppercase($beyond)",
            "$trim($spaces)",
            "$pad('a', 3, $s)",
            "$pad($s, 2)",
            "$split($s, 'b')",
            "$split($s, $longer)",
            "$split('a', $s)",
            "$split($s, '')",
            "$split($s, /b/)",
            "$join($words)",
            "$join(['a', 'b'], $s)",
            "$replace($s, 'a', 'b')",
            "$replace('a', $s, 'b')",
            "$replace($s, /x/, 'b')",
            "$replace('aaaa', /a/, $s)",
            "$contains($s, /x/)",
            "$contains($s, /(a+)+$/)",
            "$match($s, /b/)",
            "$match($s, /(a)(b)/)",
            "/x/($s)",
            "$base64encode($s)",
            "$base64encode($beyond)",
            "$base64decode($s)",
            "$encodeUrl($beyond)",
            "$encodeUrlComponent($s)",
            "$decodeUrl($escaped)",
            "$decodeUrlComponent($s)",
            "$number($digits)",
            "$sum($fractions)",
            "$max($list)",
            "$min($list)",
            "$average($list)",
            "$append($list, $list)",
            "$append(1, $list)",
            "$reverse($list)",
            "$shuffle($list)",
            "$zip($list, $words)",
            "$map($list, function($x) { 1 })",
            "$filter($list, function() { true })",
            "$reduce($list, function($l, $r) { $l })",
            "$single($list, function($x) { $x = 1 })",
            "$clone($fractions)",
            "$clone($objects)",
            "$hash($s, 'MD5')",
            "$hash($list, 'SHA-256')",
            "$parse($json)",
            "$partition($list, 2)",
            "$formatNumber(1, $digits)",
            "$formatInteger(1, $digits)",
            "$parseInteger($s, '0')",
            "$fromMillis(1, $s)",
            "$toMillis($s, '[Y]')",
            "$toMillis('1', $s)",
            "$formatNumber(1, '0', {'NaN': $s})",
            "$list[$ > 2]",
            "$list[[0, 1]]",
            "$list.($ + 1)",
            "[$list, $list]",
            "$objects.a",
            "$objects.*",
            "$objects.**",
            "$objects@$o#$i.a",
            "$objects.a.%.b",
            "$objects{b: $sum(a)}",
            "$objects ~> |$|{'c': 1}, 'a'|",
            "$objects ~> $map(function($o) { $o.a })",
            "function($l)<a<n>:n> { 1 }($list)",
            "-$sum($list)",
        ] {
            let (few, many) = (steps(text, SIZE), steps(text, SIZE * 8));
            assert!(many >= few * 5, "{text}: {few} steps for {SIZE}, and {many} for eight times as much");
        }
    });
}

#[test]
fn searches_that_look_ahead_again_and_again_count_each_time() {
    with_stack(|| {
        for text in ["$match($s, /a(?:.*x)?/)", "$replace($s, /a(?:.*x)?/, '')", "$split($s, /a(?:.*x)?/)"] {
            let (few, many) = (steps(text, SIZE), steps(text, SIZE * 4));
            assert!(many >= few * 10, "{text}: {few} steps for {SIZE}, and {many} for four times as much");
        }
    });
}

#[test]
fn a_search_counts_what_it_looks_at_and_not_what_is_left() {
    with_stack(|| {
        // Forty thousand words in a text that fits a payload, with room to spare.
        let (value, spent) = evaluate("$count($match($spaces, /[a-z]+/))", 40 << 10, Limits::default());
        assert_eq!(value.expect("a value").as_number(), Some(40_960.0));
        assert!(spent < 2_000_000, "{spent} steps");
    });
}

#[test]
fn long_texts_of_literals_count() {
    with_stack(|| {
        for (open, separator, close) in [("(", ";", ")"), ("[", ",", "]"), ("$zip(", ",", ")"), ("λ(){1}(", ",", ")")]
        {
            let text = |count| format!("{open}{}{close}", vec!["1"; count].join(separator));
            let (few, many) = (steps(&text(1_000), 1), steps(&text(8_000), 1));
            assert!(many >= few * 5, "{open}1{separator}1…: {few} and {many} steps");
        }
    });
}

#[test]
fn what_grows_is_refused_before_it_is_there() {
    with_stack(|| {
        let limits = Limits { steps: 2_000_000, memory_bytes: 8 << 20, ..Limits::default() };
        for (text, size) in [
            ("[1..1000].$list", 4 << 10),
            ("[1..1000].{'l': $list}.l", 4 << 10),
            ("$map([1..1000], function() { $list }).$", 4 << 10),
            ("$list.($list)", 4 << 10),
            ("$replace($s, 'a', $s)", 64 << 10),
            ("$replace($s, /a/, $s)", 64 << 10),
            ("$join($words, $s)", 4 << 10),
            ("$zip($list, $list, $list, $list, $list, $list, $list, $list)", 64 << 10),
            ("$string([1..100].$list)", 64 << 10),
            ("$pad('', 100000000)", 1),
            ("$reduce([1..60], function($l, $r) { $l & $l }, 'x')", 1),
            ("$reduce([1..60], function($l, $r) { $append($l, $l) }, [1])", 1),
            ("$merge([1..200000].{$string($): $})", 1),
            ("[1..200000]{$string($): $}", 1),
        ] {
            let (value, _) = evaluate(text, size, limits);
            let reached = value.map(|_| ()).expect_err(text).reached_limit();
            assert!(matches!(reached, Some(Limit::Memory | Limit::Time)), "{text}: {reached:?}");
        }
    });
}

#[test]
fn messages_show_wrong_values_in_part() {
    with_stack(|| {
        for text in [
            "-$list",
            "$sum($objects)",
            "$number($s)",
            "$list + 1",
            "$object < 1",
            "{$list: 1}",
            "$decodeUrl('%' & $s)",
        ] {
            let (value, _) = evaluate(text, 64 << 10, Limits::default());
            let message = value.map(|_| ()).expect_err(text).to_string();
            assert!(message.len() < 8_000, "{text} fails in {} bytes", message.len());
        }
    });
}
