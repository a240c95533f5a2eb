//! Any text may arrive as a path or a call and any value as input: nothing may
//! panic, and what was accepted behaves.

mod common;

use common::within;
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use stepwright_querylang::{Expression, Path, ReferencePath, Root, SyntaxError, Template, depth, migrate};

fn value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3..4i64).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[ab1']{0,3}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 40, 5, |inner| {
        let members = prop::collection::vec(("[abc]|\\PC{0,3}", inner.clone()), 0..5);
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::from),
            members.prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Texts that come near the grammar.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "$",
        "$$",
        "$answer",
        "@",
        ".",
        "..",
        "a",
        "b",
        "*",
        "[",
        "]",
        "[*]",
        "[0]",
        "[-1]",
        "[0,1]",
        "[1:]",
        "[::2]",
        "['a']",
        "[\"b\"]",
        "['a','b']",
        "[?(",
        ")]",
        "@.a",
        "@",
        " == ",
        "!=",
        "<",
        "=~",
        "/a.*/i",
        " =~ /",
        "[^\\d-]",
        "\\Q",
        "\\p{L}",
        "(?i",
        "{1,2}",
        "&&",
        "/)]",
        " nin ",
        " subsetof ",
        " in ",
        "['a', 1]",
        " && ",
        "||",
        "!",
        "(",
        ")",
        ".length()",
        ".sum()",
        ".keys()",
        ".index(0)",
        ".append($.a)",
        ".concat('x')",
        "1",
        "-1.5e3",
        "'",
        "'x'",
        "'{}'",
        "\"",
        "\\",
        "\\'",
        "\\u00e9",
        "{",
        "}",
        ",",
        ", ",
        " ",
        "\n",
        "true",
        "null",
        "States.",
        "States.Format(",
        "States.Array(",
        "States.UUID()",
        "States.StringToJson(",
        "States.ArrayUnique($)",
        "States.Hash($, 'MD5')",
        "States.MathAdd(1, ",
        "States.StringSplit('a', ",
        "States.ArrayRange(0, 5, 2)",
        "States.ArrayPartition($.a, 2)",
        "States.JsonToString($)",
        "é",
        "𐍆",
        "size 1",
        " empty true",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

/// Well-formed paths and calls, so that evaluation is reached.
fn good_text() -> impl Strategy<Value = String> {
    let step = prop::sample::select(vec![
        ".a",
        ".b",
        "['c']",
        "[0]",
        "[-1]",
        "[1]",
        "[0,1]",
        "[1:]",
        "[:-1]",
        "[::2]",
        "[*]",
        ".*",
        "..a",
        "..*",
        "..[0]",
        "['a','b']",
        "[?(@.a)]",
        "[?(@ == 1)]",
        "[?(@.a < @.b || !(@.c))]",
        "[?(@ =~ /a.?/i)]",
        "[?(@ =~ /[\\w&&[^b]]+|\\p{Lu}{1,3}/)]",
        "[?(@.a nin $.b)]",
        "[?(!(@ noneof @.a) && @.b empty false)]",
        "[?($..a.length() > 1 || @..b)]",
        "[?(@.a in $)]",
        "[?(@ in ['a', 1, null])]",
        "[?(@.a.length() > 1)]",
        "[?(@ size 2)]",
        "[?(@ contains 'a')]",
        "[?(@[*] anyof $.a)]",
        "[?($..a subsetof @)]",
        "[?(@ == $)]",
    ]);
    let tail = prop::sample::select(vec![
        "",
        "",
        "",
        ".length()",
        ".sum()",
        ".avg()",
        ".keys()",
        ".last()",
        ".concat($.a, 'x')",
    ]);
    let root = prop::sample::select(vec!["$", "$", "$$", "$answer", "$nope"]);
    let path = (root, prop::collection::vec(step, 0..4), tail)
        .prop_map(|(root, steps, tail)| format!("{root}{}{tail}", steps.concat()));
    let call = prop::sample::select(vec![
        "Format('{} {}', #, #)",
        "Format(#, #)",
        "StringToJson(#)",
        "JsonToString(#)",
        "Array(#, 1, #)",
        "ArrayPartition(#, #)",
        "ArrayContains(#, #)",
        "ArrayRange(#, #, #)",
        "ArrayRange(-3, #, 1)",
        "ArrayGetItem(#, #)",
        "ArrayLength(#)",
        "ArrayUnique(#)",
        "Base64Encode(#)",
        "Base64Decode(#)",
        "Hash(#, 'SHA-1')",
        "Hash('x', #)",
        "JsonMerge(#, #, false)",
        "MathRandom(#, #)",
        "MathRandom(#, #, #)",
        "MathAdd(#, #)",
        "StringSplit(#, #)",
        "UUID()",
        "Array(States.ArrayUnique(#))",
    ]);
    prop_oneof![path.clone(), (call, path).prop_map(|(call, path)| format!("States.{}", call.replace('#', &path))),]
}

fn offset_is_within(text: &str, error: &SyntaxError) {
    assert!(error.offset <= text.len(), "{text:?}: {error}");
    assert!(text.is_char_boundary(error.offset), "{text:?}: {error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_never_panics(text in prop_oneof![text(), any::<String>(), "\\PC{0,20}", good_text()], input in value()) {
        let errors = [Path::parse(&text).err(), ReferencePath::parse(&text).err(), Expression::parse(&text).err()];
        for error in errors.iter().flatten() {
            offset_is_within(&text, error);
        }
        if let Ok(expression) = Expression::parse(&text) {
            prop_assert_eq!(expression.text(), &text);
            within(&input, |scope| drop(expression.evaluate(scope)));
            match migrate::expression(&expression, migrate::Root("$states.input")) {
                Ok(migrated) => prop_assert!(!migrated.value.is_empty(), "{}", text),
                Err(refusal) => prop_assert_eq!(refusal.text, text),
            }
        }
    }

    #[test]
    fn evaluation_never_panics_and_repeats(text in good_text(), input in value()) {
        let expression = Expression::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let first = within(&input, |scope| expression.evaluate(scope));
        prop_assert_eq!(&first, &within(&input, |scope| expression.evaluate(scope)));
        if let Expression::Path(path) = &expression {
            within(&input, |scope| {
                assert_eq!(path.select(scope).map(std::borrow::Cow::into_owned), first.clone().ok());
                if !path.is_definite() && path.root() != Root::Variable("nope") {
                    assert!(first.as_ref().is_ok_and(Value::is_array), "{text}: {first:?}");
                }
            });
        }
        let template = Template::compile(&json!({"value.$": text})).unwrap();
        if let Ok(value) = &first {
            let built = within(&input, |scope| template.evaluate(scope));
            prop_assert_eq!(built, Ok(json!({"value": value})));
        }
    }

    #[test]
    fn what_was_inserted_is_there(
        names in prop::collection::vec("[abc]|\\PC{1,3}", 0..4),
        target in value(),
        inserted in value(),
    ) {
        let quoted: Vec<String> = names
            .iter()
            .map(|name| format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")))
            .collect();
        let text = format!("${}", quoted.concat());
        let path = ReferencePath::parse(&text).unwrap();
        if let Ok(result) = path.insert(target, inserted.clone()) {
            within(&result, |scope| assert_eq!(path.select(scope).as_deref(), Some(&inserted), "{text}"));
        }
    }

    #[test]
    fn depth_counts_brackets(levels in 0usize..100) {
        let mut value = json!(1);
        for level in 0..levels {
            value = if level % 2 == 0 { json!([value]) } else { json!({"a": value}) };
        }
        prop_assert_eq!(depth(&value), levels);
    }
}
