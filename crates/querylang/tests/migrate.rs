//! JSONPath rewritten to JSONata: what it reads like, and what is refused.

#![expect(clippy::needless_pass_by_value, reason = "tables of literal values read better without borrows")]

mod common;

use common::within;
use serde_json::{Value, json};
use stepwright_querylang::jsonata::{Compiler, Dialect, Environment as Surroundings, Value as Data};
use stepwright_querylang::{Environment, Expression, migrate};

const INPUT: migrate::Root<'static> = migrate::Root("$states.input");

/// The input of every case.
fn input() -> Value {
    json!({
        "name": "Ada", "count": 3, "price": 2.5, "flag": true, "empty": [], "csv": "a,b;c", "json": "{\"k\":[1]}",
        "null": null, "one": [7], "nested": [[1, 2], [3]], "single": [[9]], "with space": {"a-b": 1, "and": 2},
        "items": [
            {"id": 1, "price": 10, "tags": ["x", "y"], "kind": "book", "size": {"w": 1}},
            {"id": 2, "price": 5.5, "tags": ["z"], "kind": "pen", "sold": true},
            {"id": 3, "tags": [], "kind": "bookmark", "sold": null},
            {"id": 4, "price": "12", "kind": 7, "list": [{"v": 1}, {"v": 2}]},
        ],
        "left": {"a": 1, "b": {"x": 1}}, "right": {"b": {"y": 2}, "c": 3}, "limit": 6, "tag": ["x"],
        "numbers": [4, 8, 15, 16, 23, 42], "text64": "SGVsbG8=",
    })
}

/// What each text becomes. All of them yield the same value in both languages for the input above.
const ALIKE: &[(&str, &str)] = &[
    ("$", "$states.input"),
    ("$.name", "$states.input.name"),
    ("$.one", "$states.input.one"),
    ("$.nested[0]", "$states.input.nested[0]"),
    ("$.nested[0][1]", "$states.input.nested[0][1]"),
    ("$.items[-1].id", "$states.input.items[-1].id"),
    ("$.items[0].tags", "$states.input.items[0].tags"),
    ("$.items[1].tags", "$states.input.items[1].tags"),
    ("$['with space']['a-b']", "$states.input.`with space`.`a-b`"),
    ("$['with space'].and", "$states.input.`with space`.`and`"),
    ("$.left['a','zz']", "{\"a\": $states.input.left.a, \"zz\": $states.input.left.zz}"),
    ("$$.Execution.Name", "$states.context.Execution.Name"),
    ("$answer", "$answer"),
    ("$größe_2.a[1]", "$größe_2.a[1]"),
    ("$.items[*]", "[$states.input.items]"),
    ("$.empty[*]", "[$states.input.empty]"),
    ("$.missing[*]", "[$states.input.missing]"),
    ("$.nested[*]", "[$states.input.nested]"),
    ("$.items[*].price", "[$map($states.input.items, function($item) { $item.price })[]]"),
    ("$.items[*].tags", "[$map($states.input.items, function($item) { $item.tags })[]]"),
    ("$.items[*].size.w", "[$map($states.input.items, function($item) { $item.size.w })[]]"),
    ("$.items[*].none", "[$map($states.input.items, function($item) { $item.none })[]]"),
    ("$.items[*].tags[*]", "[$reduce($map($states.input.items, function($item) { $item.tags })[], $append)[]]"),
    ("$.nested[*][*]", "[$reduce($map($states.input.nested, function($item) { $item })[], $append)[]]"),
    ("$.nested[*][0]", "[$map($states.input.nested, function($item) { $item[0] })[]]"),
    (
        "$.items[*]['id','kind']",
        "[$map($states.input.items, function($item) { {\"id\": $item.id, \"kind\": $item.kind} })[]]",
    ),
    (
        "$.items[*].list[?(@.v > 1)].v",
        "[$map($reduce($map($states.input.items, function($item) { $filter($item.list, function($item2) \
         { $type($item2.v) = \"number\" and $item2.v > 1 }) })[], $append), function($item) { $item.v })[]]",
    ),
    (
        "$.numbers[1:3]",
        "[$filter($states.input.numbers, function($item, $item_at) { $item_at >= 1 and $item_at < 3 })[]]",
    ),
    (
        "$.numbers[-2:]",
        "[$filter($states.input.numbers, function($item, $item_at, $item_of) { $item_at >= $count($item_of) - 2 })[]]",
    ),
    ("$.numbers[:1]", "[$filter($states.input.numbers, function($item, $item_at) { $item_at < 1 })[]]"),
    (
        "$.numbers[1::2]",
        "[$filter($states.input.numbers, function($item, $item_at) { $item_at >= 1 and ($item_at - 1) % 2 = 0 })[]]",
    ),
    ("$.numbers[0,2,99]", "[$filter($states.input.numbers, function($item, $item_at) { $item_at in [0, 2, 99] })[]]"),
    (
        "$.items[?(@.price)].id",
        "[$map($filter($states.input.items, function($item) { $exists($item.price) and $item.price != null }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(!@.sold)].id",
        "[$map($filter($states.input.items, function($item) { $not($exists($item.sold) and $item.sold != null) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.price > 6)].id",
        "[$map($filter($states.input.items, function($item) { $type($item.price) = \"number\" and $item.price > 6 }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.kind == 'pen' || @.id == 3 && @.tags)].id",
        "[$map($filter($states.input.items, function($item) { ($item.kind = \"pen\") or (($item.id = 3) and ($exists($item.tags) and $item.tags != null)) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.kind != 'pen')].id",
        "[$map($filter($states.input.items, function($item) { $not($item.kind = \"pen\") }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.price != null)].id",
        "[$map($filter($states.input.items, function($item) { $not($item.price = null) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.kind =~ /BOOK.*/i)].id",
        "[$map($filter($states.input.items, function($item) { $contains($type($item.kind) in [\"string\", \"number\", \"boolean\"] ? $string($item.kind) : \"\", /^(?:BOOK.*)$/i) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.kind in ['pen', 7])].id",
        "[$map($filter($states.input.items, function($item) { $item.kind in [\"pen\",7] }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.kind nin ['pen'])].id",
        "[$map($filter($states.input.items, function($item) { $not($item.kind in [\"pen\"]) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.tags contains 'z')].id",
        "[$map($filter($states.input.items, function($item) { ($type($item.tags) = \"string\" ? $contains($item.tags, \"z\") : \"z\" in $item.tags) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.kind contains 'book')].id",
        "[$map($filter($states.input.items, function($item) { ($type($item.kind) = \"string\" ? $contains($item.kind, \"book\") : \"book\" in $item.kind) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.tags size 2)].id",
        "[$map($filter($states.input.items, function($item) { ($type($item.tags) = \"string\" ? $length($item.tags) : $type($item.tags) = \"array\" ? $count($item.tags)) = 2 }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.tags empty true)].id",
        "[$map($filter($states.input.items, function($item) { $item.tags = \"\" or $item.tags = [] or $item.tags = {} }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.tags empty false)].id",
        "[$map($filter($states.input.items, function($item) { $type($item.tags) in [\"string\", \"array\", \"object\"] and $not($item.tags = \"\" or $item.tags = [] or $item.tags = {}) }), function($item) { $item.id })[]]",
    ),
    (
        "$.items[?(@.list[?(@.v == 2)] empty false)].id",
        "[$map($filter($states.input.items, function($item) { $type([$filter($item.list, function($item2) { $item2.v = 2 })[]]) in [\"string\", \"array\", \"object\"] and $not([$filter($item.list, function($item2) { $item2.v = 2 })[]] = \"\" or [$filter($item.list, function($item2) { $item2.v = 2 })[]] = [] or [$filter($item.list, function($item2) { $item2.v = 2 })[]] = {}) }), function($item) { $item.id })[]]",
    ),
    (
        "$.numbers[?(@ >= $.limit)]",
        "[$filter($states.input.numbers, function($item) { $type($item) in [\"number\", \"string\"] and $type($item) = $type($states.input.limit) and $item >= $states.input.limit })[]]",
    ),
    ("$.items[?(@.id == 2)]", "[$filter($states.input.items, function($item) { $item.id = 2 })[]]"),
    ("$.single[?(@)]", "[$filter($states.input.single, function($item) { $exists($item) and $item != null })[]]"),
    ("$..v", "[$map($states.input.**, function($item) { $item.v })[]]"),
    ("$..tags", "[$map($states.input.**, function($item) { $item.tags })[]]"),
    ("$.items..w", "[$map($states.input.items.**, function($item) { $item.w })[]]"),
    ("$..[?(@.v == 2)]", "[$filter($states.input.**, function($item) { $item.v = 2 })[]]"),
    ("$.items.length()", "$count($states.input.items)"),
    (
        "$.items[?(@.sold == true)].length()",
        "$count([$filter($states.input.items, function($item) { $item.sold = true })[]])",
    ),
    ("$.numbers.max()", "$max($states.input.numbers)"),
    ("$.numbers.sum()", "$sum($states.input.numbers)"),
    ("$.numbers.avg()", "$average($states.input.numbers)"),
    ("$.left.keys()", "[$keys($states.input.left)]"),
    ("$.numbers.last()", "$states.input.numbers[-1]"),
    (
        "States.Format('Hello {}, {} of {}', $.name, $.count, $.price)",
        "\"Hello \" & $states.input.name & \", \" & $states.input.count & \" of \" & $states.input.price",
    ),
    ("States.Format('{}', $.null)", "$string($states.input.`null`)"),
    ("States.Format('{}{}', $.flag, $.null)", "$states.input.flag & $states.input.`null`"),
    (r"States.Format('\{{}\} it\'s \\', $.name)", r#""{" & $states.input.name & "} it's \\""#),
    ("States.Format('plain')", "\"plain\""),
    ("States.Format('')", "\"\""),
    ("States.Format('{}', States.Format('{}-{}', $.name, 1))", "$string(($states.input.name & \"-\" & 1))"),
    ("States.Format('{}!', States.MathAdd(1, 2))", "(1 + 2) & \"!\""),
    ("States.StringToJson($.json)", "$parse($states.input.json)"),
    ("States.JsonToString($.items)", "$string($states.input.items)"),
    ("States.Array()", "[]"),
    ("States.Array(1, 'a', null, States.UUID())", "[1, \"a\", null, $uuid()]"),
    (
        "States.Array($.one, $.single, 1)",
        "[$each({\"0\": $states.input.one, \"1\": $states.input.single, \"2\": 1}, function($member) { $member })[]]",
    ),
    ("States.Array($.name)", "[$each({\"0\": $states.input.name}, function($member) { $member })[]]"),
    ("States.Array($.one)", "[$each({\"0\": $states.input.one}, function($member) { $member })[]]"),
    ("States.ArrayPartition($.numbers, 4)", "[$partition($states.input.numbers, 4)[]]"),
    ("States.ArrayPartition($.one, 4)", "[$partition($states.input.one, 4)[]]"),
    ("States.ArrayContains($.numbers, 15)", "15 in $states.input.numbers"),
    ("States.ArrayContains($.numbers, 1)", "1 in $states.input.numbers"),
    (
        "States.ArrayContains($.nested, $.single[0])",
        "$exists($filter($states.input.nested, function($element) { $element = $states.input.single[0] }))",
    ),
    (
        "States.ArrayContains($.single, $.single[0])",
        "$exists($filter($states.input.single, function($element) { $element = $states.input.single[0] }))",
    ),
    ("States.ArrayRange(1, 9, 2)", "[$range(1, 9, 2)]"),
    ("States.ArrayRange(1, 1, 2)", "[$range(1, 1, 2)]"),
    ("States.ArrayGetItem($.numbers, $.count)", "$states.input.numbers[$states.input.count]"),
    (
        "States.ArrayGetItem(States.StringSplit($.csv, ','), 0)",
        "[$filter($split($states.input.csv, \",\"), function($piece) { $piece != \"\" })[]][0]",
    ),
    ("States.ArrayLength($.numbers)", "$count($states.input.numbers)"),
    ("States.ArrayLength($.one)", "$count($states.input.one)"),
    ("States.ArrayUnique($.nested)", "[$distinct($states.input.nested)[]]"),
    ("States.ArrayUnique($.one)", "[$distinct($states.input.one)[]]"),
    ("States.Base64Encode($.name)", "$base64encode($states.input.name)"),
    ("States.Base64Decode($.text64)", "$base64decode($states.input.text64)"),
    ("States.Hash($.name, 'SHA-256')", "$hash($states.input.name, \"SHA-256\")"),
    ("States.JsonMerge($.left, $.right, false)", "$merge([$states.input.left, $states.input.right])"),
    ("States.MathAdd($.count, -1)", "$states.input.count + (-1)"),
    (
        "States.StringSplit($.csv, ',')",
        "[$filter($split($states.input.csv, \",\"), function($piece) { $piece != \"\" })[]]",
    ),
    (
        "States.StringSplit($.csv, ',;')",
        "[$filter($split($states.input.csv, /[\\,\\;]/), function($piece) { $piece != \"\" })[]]",
    ),
    (
        "States.StringSplit($.name, ',')",
        "[$filter($split($states.input.name, \",\"), function($piece) { $piece != \"\" })[]]",
    ),
];

/// Functions that only the dialect of Step Functions has: what calls them is compared as text alone.
const DIALECT: [&str; 5] = ["$partition(", "$range(", "$hash(", "$uuid(", "$parse("];

/// What JSONata makes of an expression, given what Step Functions binds.
fn evaluate(text: &str, input: &Value) -> Option<Value> {
    let compiled = Compiler::new(Dialect::V2_0_6).compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let world = common::World::new();
    let states = json!({"input": input, "context": world.context()});
    let variable = |name| Data::from_json(world.variable(name).expect("it is in the world"));
    let bindings =
        [("states", Data::from_json(&states)), ("answer", variable("answer")), ("größe_2", variable("größe_2"))];
    let surroundings = Surroundings { bindings: Some(&bindings), ..Surroundings::default() };
    let value = compiled.evaluate(&Data::Undefined, surroundings).unwrap_or_else(|error| panic!("{text}: {error}"));
    value.to_json(1 << 20).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn both_languages_yield_the_same() {
    let input = input();
    let mut evaluated = 0;
    for (text, expected) in ALIKE {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let migrated = migrate::expression(&expression, INPUT).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(migrated.value, *expected, "{text}");
        let value =
            within(&input, |scope| expression.evaluate(scope)).unwrap_or_else(|error| panic!("{text}: {error}"));
        if !DIALECT.iter().any(|function| expected.contains(function)) {
            let other = evaluate(&migrated.value, &input).unwrap_or_else(|| panic!("{text}: {expected} is undefined"));
            assert!(same(&value, &other), "{text}: {value}, but {expected}: {other}");
            evaluated += 1;
        }
    }
    assert!(evaluated > 80, "{evaluated}");
}

/// JSONata has one kind of number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

#[test]
fn conditions_hold_where_the_rules_held() {
    let input = json!({"text": "file-1.csv", "number": 5, "limit": 7, "yes": true, "null": null,
                       "time": "2024-05-01T12:00:00Z", "later": "2024-05-01T15:00:00+02:00"});
    for (rule, holds) in [
        (json!({"Variable": "$.text", "StringEquals": "file-1.csv"}), true),
        (json!({"Variable": "$.text", "StringGreaterThan": "file-2"}), false),
        (json!({"Variable": "$.number", "StringEquals": "5"}), false),
        (json!({"Variable": "$.number", "StringLessThan": "x"}), false),
        (json!({"Variable": "$.text", "StringMatches": "file-*.csv"}), true),
        (json!({"Variable": "$.text", "StringMatches": "file-?.csv"}), false),
        (json!({"Variable": "$.text", "StringMatches": "file-\\*.csv"}), false),
        (json!({"Variable": "$.number", "NumericEquals": 5.0}), true),
        (json!({"Variable": "$.text", "NumericLessThan": 5}), false),
        (json!({"Variable": "$.number", "NumericLessThanPath": "$.limit"}), true),
        (json!({"Variable": "$.number", "NumericEqualsPath": "$.text"}), false),
        (json!({"Variable": "$.text", "StringEqualsPath": "$.text"}), true),
        (json!({"Variable": "$.yes", "BooleanEquals": true}), true),
        (json!({"Variable": "$.yes", "BooleanEquals": false}), false),
        (json!({"Variable": "$.time", "TimestampGreaterThan": "2024-05-01T11:59:59Z"}), true),
        (json!({"Variable": "$.time", "TimestampLessThanPath": "$.later"}), true),
        (json!({"Variable": "$.number", "TimestampEquals": "2024-05-01T12:00:00Z"}), false),
        (json!({"Variable": "$.time", "IsTimestamp": true}), true),
        (json!({"Variable": "$.text", "IsTimestamp": true}), false),
        (json!({"Variable": "$.text", "IsTimestamp": false}), true),
        (json!({"Variable": "$.null", "IsNull": true}), true),
        (json!({"Variable": "$.null", "IsPresent": true}), true),
        (json!({"Variable": "$.none.such", "IsPresent": true}), false),
        (json!({"Variable": "$.none", "IsPresent": false}), true),
        (json!({"Variable": "$.number", "IsNumeric": true}), true),
        (json!({"Variable": "$.number", "IsString": true}), false),
        (json!({"Variable": "$answer", "NumericGreaterThanEquals": 42}), true),
        (json!({"Variable": "$$.Execution.Name", "StringEquals": "first"}), true),
        (json!({"Not": {"Variable": "$.yes", "IsBoolean": true}}), false),
        (
            json!({"And": [{"Variable": "$.yes", "BooleanEquals": true},
                           {"Or": [{"Variable": "$.number", "NumericEquals": 1},
                                   {"Not": {"Variable": "$.text", "IsNull": true}}]}]}),
            true,
        ),
    ] {
        let mut choice = rule.clone();
        choice["Next"] = json!("D");
        let migrated = state(json!({"Type": "Choice", "Choices": [choice]}));
        let condition = migrated["Choices"][0]["Condition"].as_str().expect("a condition");
        let text = condition.trim_start_matches("{% ").trim_end_matches(" %}");
        assert_eq!(evaluate(text, &input), Some(json!(holds)), "{rule}: {condition}");
    }
}

#[test]
fn roots() {
    let text = |text: &str, root: &str| {
        let expression = Expression::parse(text).unwrap();
        migrate::expression(&expression, migrate::Root(root)).unwrap().value
    };
    assert_eq!(text("$.a", "$states.result"), "$states.result.a");
    assert_eq!(text("$$", "$states.result"), "$states.context");
    // The argument of a function does not hide the variable that the path starts at.
    assert_eq!(
        text("$item[?(@.a == $.b)]", "$states.input"),
        "[$filter($item, function($item_) { $item_.a = $item.b })[]]"
    );
    assert_eq!(
        text("States.ArrayContains($.a, $element)", "$states.input"),
        "$exists($filter($states.input.a, function($element_) { $element_ = $element }))"
    );
    // A name that no quotes can hold.
    assert_eq!(text("$.a['b`c'].d", "$states.input"), "$lookup($states.input.a, \"b`c\").d");
}

#[test]
fn what_has_no_equal_is_refused_with_its_reason() {
    for (text, word) in [
        ("$..[0]", "'..' without a name"),
        ("$..*", "'..' without a name"),
        ("$['a','b'].c", "several names"),
        ("$.a[2,0]", "does not ascend"),
        ("$.a[0,-1]", "does not ascend"),
        ("$.a[-4::2]", "negative start"),
        ("$.a.stddev()", "no equal"),
        ("$.a.append(1)", "no equal"),
        ("$.a.min(1)", "no equal"),
        ("$..a.length()", "behind '..'"),
        ("$.a[?(@.b subsetof [1])]", "no equal"),
        ("$.a[?(@.b contains $.c)]", "contains"),
        (r"$.a[?(@.b =~ /\p{Lu}/)]", "pattern"),
        ("$.a[?(@.b =~ /a/x)]", "flags"),
        ("States.Format($.template, 1)", "written out"),
        ("States.Format('{}')", "fewer"),
        ("States.Format('x', 1)", "more"),
        ("States.Format('{', 1)", "without its"),
        ("States.StringSplit($.a, $.b)", "written out"),
        ("States.StringSplit($.a, '')", "without delimiters"),
        ("States.MathRandom(1, 9, 42)", "seed"),
        ("States.JsonMerge($.a, $.b, true)", "arguments"),
        ("States.UUID(1)", "arguments"),
        ("States.Array($..*)", "'..' without a name"),
    ] {
        let expression = Expression::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let refusal = migrate::expression(&expression, INPUT).expect_err(text);
        assert_eq!(refusal.text, text);
        assert!(refusal.reason.contains(word), "{refusal}");
    }
}

#[test]
fn what_is_assumed_is_said_once() {
    let notes = |text: &str| migrate::expression(&Expression::parse(text).unwrap(), INPUT).unwrap().notes;
    assert!(notes("$.a.b").is_empty());
    assert_eq!(notes("$.a[*].b[*].c").len(), 1);
    assert_eq!(notes("States.Format('{} {}', $.a, $.b)").len(), 1);
    assert!(notes("States.Format('{}', 'x')").is_empty());
    assert!(notes("States.MathAdd(1, 2)").is_empty());
    assert_eq!(notes("States.MathAdd($.a, 2)").len(), 1);
}

#[test]
fn templates() {
    let template = json!({
        "id.$": "$.order", "kind": "sale", "list": [{"a.$": "$$.Execution.Id"}, "$.text", 1],
        "call.$": "States.Format('{}-{}', $.a, $b)", "all.$": "States.Array($.x, 'y', 1, States.UUID())",
        "looks": "{% like one %}", "deep": {"null": null},
    });
    let migrated = migrate::template(&template, INPUT).unwrap();
    assert_eq!(
        migrated.value,
        json!({
            "id": "{% $states.input.order %}", "kind": "sale",
            "list": [{"a": "{% $states.context.Execution.Id %}"}, "$.text", 1],
            "call": "{% $states.input.a & \"-\" & $b %}",
            "all": ["{% $states.input.x %}", "y", 1, "{% $uuid() %}"],
            "looks": "{% \"{% like one %}\" %}", "deep": {"null": null},
        })
    );
    // In a template an index past the end is null; nothing else that is missing is.
    let indexes = json!({"a.$": "$.list[0]", "b": [{"c.$": "$v[-1]"}], "d.$": "$.list[0].e"});
    assert_eq!(
        migrate::template(&indexes, INPUT).unwrap().value,
        json!({"a": "{% $exists($states.input.list[0]) ? $states.input.list[0] : null %}",
               "b": [{"c": "{% $exists($v[-1]) ? $v[-1] : null %}"}], "d": "{% $states.input.list[0].e %}"})
    );
    let refusals = migrate::template(
        &json!({"a.$": "$..*", "b": [{"c.$": "no path"}], "d.$": 1, "e.$": "States.Array($..[0])", "f.$": "$"}),
        INPUT,
    )
    .unwrap_err();
    let texts: Vec<&str> = refusals.iter().map(|refusal| refusal.text.as_str()).collect();
    assert_eq!(texts, ["$..*", "no path", "1", "States.Array($..[0])"]);
}

/// The state `S` of a definition that holds it alone.
fn state(state: Value) -> Value {
    let definition = json!({"StartAt": "S", "States": {"S": state}});
    let migrated = migrate::definition(&definition).unwrap_or_else(|errors| panic!("{errors:?}"));
    assert_eq!(migrated.value["QueryLanguage"], "JSONata");
    migrated.value["States"]["S"].clone()
}

#[test]
fn states_that_filter_and_join() {
    assert_eq!(state(json!({"Type": "Pass", "End": true})), json!({"Type": "Pass", "End": true}));
    assert_eq!(
        state(json!({"Type": "Pass", "Result": {"a.$": "$.a", "b": "{% x %}"}, "Next": "T"})),
        json!({"Type": "Pass", "Next": "T", "Output": {"a.$": "$.a", "b": "{% \"{% x %}\" %}"}})
    );
    assert_eq!(
        state(json!({"Type": "Pass", "InputPath": "$.from", "Parameters": {"v.$": "$.x", "all.$": "$"},
                     "ResultPath": "$.a.b", "OutputPath": "$.a", "Assign": {"seen.$": "$.v"}, "End": true})),
        json!({"Type": "Pass", "End": true,
               "Assign": {"seen": "{% ({\"v\": $states.input.from.x, \"all\": $states.input.from}).v %}"},
               "Output": "{% $merge([$states.input, {\"a\": $merge([$states.input.a, {\"b\": \
                          {\"v\": $states.input.from.x, \"all\": $states.input.from}}])}]).a %}"})
    );
    assert_eq!(
        state(json!({"Type": "Pass", "InputPath": null, "OutputPath": null, "ResultPath": null, "End": true})),
        json!({"Type": "Pass", "End": true, "Output": {}})
    );
    assert_eq!(
        state(json!({"Type": "Succeed", "InputPath": "$.a", "OutputPath": "$.b"})),
        json!({"Type": "Succeed", "Output": "{% $states.input.a.b %}"})
    );
}

#[test]
fn tasks_and_their_catchers() {
    assert_eq!(
        state(json!({
            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "TimeoutSecondsPath": "$.t",
            "Parameters": {"FunctionName": "f", "Payload.$": "$"}, "ResultSelector": {"code.$": "$.StatusCode"},
            "ResultPath": "$.answer", "Assign": {"code.$": "$.code"},
            "Retry": [{"ErrorEquals": ["States.ALL"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Assign": {"e.$": "$.Error"}, "Next": "F"},
                      {"ErrorEquals": ["X"], "Next": "F"}],
            "Next": "T",
        })),
        json!({
            "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
            "TimeoutSeconds": "{% $states.input.t %}",
            "Arguments": {"FunctionName": "f", "Payload": "{% $states.input %}"},
            "Assign": {"code": "{% ({\"code\": $states.result.StatusCode}).code %}"},
            "Retry": [{"ErrorEquals": ["States.ALL"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "F",
                       "Assign": {"e": "{% $states.errorOutput.Error %}"},
                       "Output": "{% $merge([$states.input, {\"error\": $states.errorOutput}]) %}"},
                      {"ErrorEquals": ["X"], "Next": "F"}],
            "Output": "{% $merge([$states.input, {\"answer\": {\"code\": $states.result.StatusCode}}]) %}",
            "Next": "T",
        })
    );
    assert_eq!(
        state(json!({"Type": "Task", "Resource": "r", "InputPath": "$.a", "OutputPath": "$.Payload", "End": true})),
        json!({"Type": "Task", "Resource": "r", "End": true, "Arguments": "{% $states.input.a %}",
               "Output": "{% $states.result.Payload %}"})
    );
    assert_eq!(
        state(json!({"Type": "Task", "Resource": "r", "ResultPath": null, "End": true})),
        json!({"Type": "Task", "Resource": "r", "End": true, "Output": "{% $states.input %}"})
    );
}

#[test]
fn choices_waits_and_failures() {
    assert_eq!(
        state(json!({"Type": "Choice", "Default": "D", "Choices": [
            {"Variable": "$.a", "StringEquals": "x", "Next": "A", "Assign": {"v.$": "$.b"}},
            {"And": [{"Variable": "$.n", "NumericGreaterThan": 3},
                     {"Not": {"Variable": "$.n", "NumericLessThanEqualsPath": "$.m"}}], "Next": "B"},
            {"Or": [{"Variable": "$.p", "IsPresent": false}, {"Variable": "$v", "BooleanEquals": true}], "Next": "C"},
            {"Variable": "$.f", "StringMatches": "a.*\\*", "Next": "C"},
            {"Variable": "$.t", "TimestampLessThan": "2024-01-01T00:00:00Z", "Next": "C"},
            {"Variable": "$.t", "IsNull": true, "Comment": "c", "Next": "C"},
        ]})),
        json!({"Type": "Choice", "Default": "D", "Choices": [
            {"Condition": "{% $states.input.a = \"x\" %}", "Next": "A", "Assign": {"v": "{% $states.input.b %}"}},
            {"Condition": "{% ($type($states.input.n) = \"number\" and $states.input.n > 3) and \
                           ($not($type($states.input.n) = \"number\" and $type($states.input.m) = \"number\" and \
                           $states.input.n <= $states.input.m)) %}", "Next": "B"},
            {"Condition": "{% ($not($exists($states.input.p))) or ($v = true) %}", "Next": "C"},
            {"Condition": "{% $type($states.input.f) = \"string\" and \
                           $contains($states.input.f, /^a\\.[\\s\\S]*\\*$/) %}", "Next": "C"},
            {"Condition": "{% $type($states.input.t) = \"string\" and \
                           $toMillis($states.input.t) < $toMillis(\"2024-01-01T00:00:00Z\") %}", "Next": "C"},
            {"Condition": "{% $type($states.input.t) = \"null\" %}", "Comment": "c", "Next": "C"},
        ]})
    );
    assert_eq!(
        state(json!({"Type": "Wait", "SecondsPath": "$.s", "Next": "T"})),
        json!({"Type": "Wait", "Seconds": "{% $states.input.s %}", "Next": "T"})
    );
    assert_eq!(
        state(json!({"Type": "Fail", "ErrorPath": "$.e", "CausePath": "States.Format('{}!', $.c)"})),
        json!({"Type": "Fail", "Error": "{% $states.input.e %}", "Cause": "{% $states.input.c & \"!\" %}"})
    );
    assert_eq!(
        state(json!({"Type": "Fail", "Error": "E", "Cause": "{% text %}"})),
        json!({"Type": "Fail", "Error": "E", "Cause": "{% \"{% text %}\" %}"})
    );
}

#[test]
fn maps_and_branches_with_their_states() {
    let inner = json!({"StartAt": "I", "States": {"I": {"Type": "Pass", "OutputPath": "$.x", "End": true}}});
    let migrated =
        json!({"StartAt": "I", "States": {"I": {"Type": "Pass", "End": true, "Output": "{% $states.input.x %}"}}});
    assert_eq!(
        state(json!({"Type": "Map", "InputPath": "$.w", "ItemsPath": "$.items", "MaxConcurrencyPath": "$.c",
                     "Parameters": {"item.$": "$$.Map.Item.Value", "all.$": "$.name"}, "Iterator": inner.clone(),
                     "ResultPath": "$.done", "End": true})),
        json!({"Type": "Map", "Items": "{% $states.input.w.items %}", "MaxConcurrency": "{% $states.input.w.c %}",
               "ItemSelector": {"item": "{% $states.context.Map.Item.Value %}", "all": "{% $states.input.w.name %}"},
               "ItemProcessor": migrated.clone(),
               "Output": "{% $merge([$states.input, {\"done\": $states.result}]) %}", "End": true})
    );
    assert_eq!(
        state(json!({"Type": "Parallel", "Branches": [inner], "ResultSelector": {"r.$": "$[0]"}, "End": true})),
        json!({"Type": "Parallel", "Branches": [migrated], "Output": {"r": "{% $states.result[0] %}"}, "End": true})
    );
}

#[test]
fn errors_that_only_jsonpath_has_are_retried_and_caught_by_the_name_they_have_in_jsonata() {
    let handled = state(json!({
        "Type": "Task", "Resource": "r", "End": true,
        "Retry": [{"ErrorEquals": ["States.IntrinsicFailure", "Mine"], "MaxAttempts": 2}],
        "Catch": [{"ErrorEquals": ["States.ParameterPathFailure", "States.ResultPathMatchFailure", "States.Timeout"], "Next": "F"},
                  {"ErrorEquals": ["States.ALL"], "Next": "F"}],
    }));
    assert_eq!(handled["Retry"][0], json!({"ErrorEquals": ["States.QueryEvaluationError", "Mine"], "MaxAttempts": 2}));
    assert_eq!(handled["Catch"][0]["ErrorEquals"], json!(["States.QueryEvaluationError", "States.Timeout"]));
    assert_eq!(handled["Catch"][1]["ErrorEquals"], json!(["States.ALL"]));
}

#[test]
fn chance_and_hidden_functions() {
    let refused = |state: Value| {
        let definition = json!({"StartAt": "S", "States": {"S": state}});
        migrate::definition(&definition).err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let pass = |assign: Value, path: Value| json!({"Type": "Pass", "Parameters": {"id.$": "States.UUID()", "n": 1}, "Assign": assign, "ResultPath": path, "End": true});
    // Used once, it is made once.
    assert!(refused(pass(json!({"id.$": "$.id"}), Value::Null)).is_empty());
    assert!(refused(pass(json!({"id.$": "States.UUID()"}), json!("$"))).is_empty());
    assert!(refused(pass(json!({"a.$": "$.id", "b.$": "$.id"}), Value::Null))[0].contains("random"));
    assert!(refused(pass(json!({"id.$": "$.id"}), json!("$.x")))[0].contains("random"));

    // A variable may have the name of a function that nobody calls.
    let count = |call: &str| json!({"Type": "Pass", "Assign": {"count.$": call}, "End": true});
    assert!(refused(count("States.MathAdd($count, 1)")).is_empty());
    assert_eq!(
        refused(count("States.ArrayLength($.a)")),
        ["/States/S: '$count' cannot be written in JSONata: the variable hides the function of its name, \
          which is needed here; rename it"]
    );
}

#[test]
fn a_state_of_jsonata_stays_and_refusals_name_their_place() {
    let theirs = json!({"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% 1 %}", "End": true});
    assert_eq!(state(theirs), json!({"Type": "Pass", "Output": "{% 1 %}", "End": true}));
    let errors = migrate::definition(&json!({"StartAt": "A", "States": {
        "A": {"Type": "Pass", "Parameters": {"v.$": "$..*"}, "ResultPath": "$.a[0]", "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Variable": "$.a", "Like": 1, "Next": "A"}], "OutputPath": "$..[0]"},
        "M": {"Type": "Map", "ItemProcessor": {"StartAt": "I", "States": {
            "I": {"Type": "Pass", "InputPath": "$['a','b'].c", "End": true}}}, "End": true},
    }}))
    .unwrap_err();
    let places: Vec<&str> = errors.iter().map(|error| error.location.as_str()).collect();
    assert_eq!(
        places,
        [
            "/States/A/Parameters",
            "/States/A/ResultPath",
            "/States/B/OutputPath",
            "/States/B/Choices[0]",
            "/States/M/ItemProcessor/States/I/InputPath",
        ]
    );
}
