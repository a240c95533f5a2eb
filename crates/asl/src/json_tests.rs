use super::*;

/// The message for a text that is not JSON; the same whether the tree is built or not.
fn check(text: &str, message: &str) {
    let error = parse(text, 100).expect_err(text);
    assert_eq!(error.message, message, "{text:?}");
    assert_eq!(jackson_error(text).as_deref(), Some(message), "{text:?}");
    assert!(error.offset <= text.len(), "{text:?}");
}

#[test]
fn error_messages() {
    let values = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')";
    check("", "No content to map due to end-of-input");
    check("not json", &format!("Unrecognized token 'not': was expecting {values}"));
    check("nul", &format!("Unrecognized token 'nul': was expecting {values}"));
    check("truex", &format!("Unrecognized token 'truex': was expecting {values}"));
    check("[a]", &format!("Unrecognized token 'a': was expecting {values}"));
    check("{\"a\": @}", &format!("Unexpected character ('@' (code 64)): expected a valid value {values}"));
    check(
        "\u{feff}{}",
        &format!("Unexpected character ('\u{feff}' (code 65279 / 0xfeff)): expected a valid value {values}"),
    );
    check("[1,]", &format!("Unexpected character (']' (code 93)): expected a valid value {values}"));
    check("{'not': 'json'", "Unexpected character (''' (code 39)): was expecting double-quote to start field name");
    check("{a: 1}", "Unexpected character ('a' (code 97)): was expecting double-quote to start field name");
    check("{\"a\":1,}", "Unexpected character ('}' (code 125)): was expecting double-quote to start field name");
    check("{\"a\" 1}", "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value");
    check("{\"a\":1 \"b\"}", "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries");
    check("[1 2]", "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries");
    check("}", "Unexpected character ('}' (code 125)): expected a value");
    check("{\"a\"", "Unexpected end-of-input within/between Object entries");
    check("{\"a\":", "Unexpected end-of-input within/between Object entries");
    check("[1,", "Unexpected end-of-input within/between Array entries");
    check("{\"a", "Unexpected end-of-input in field name");
    check("\"a", "Unexpected end-of-input: was expecting closing quote for a string value");
    check("\"a\\", "Unexpected end-of-input in character escape sequence");
    check("\"\\x\"", "Unrecognized character escape 'x' (code 120)");
    check("\"\\u12g4\"", "Unexpected character ('g' (code 103)): expected a hex-digit for character escape sequence");
    check(
        "\"a\nb\"",
        "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in \
         string value",
    );
    check("01", "Invalid numeric value: Leading zeroes not allowed");
    check("[1.]", "Unexpected character (']' (code 93)) in numeric value: Decimal point not followed by a digit");
    check("1e999", "Numeric value (1e999) out of range");
    check(
        "-",
        "Unexpected character ((CTRL-CHAR, code 0)) in numeric value: expected digit (0-9) to follow minus sign, for \
         valid numeric value",
    );
    check("{} x", &format!("Unrecognized token 'x': was expecting {values}"));
    check("{} {}", "Trailing token found after the value");
    check("1x", "Unexpected character ('x' (code 120)): Expected space separating root-level values");
    check(
        "{\"a\": [}",
        "Unexpected close marker '}': expected ']' (for Array starting at [Source: (String)\"{\"a\": [}\"; line: 1, \
         column: 7])",
    );
    check(
        "\n{",
        "Unexpected end-of-input: expected close marker for Object (start marker at [Source: (String)\"\n{\"; line: 2, \
         column: 1])",
    );
    check("\"\\ud800\"", "Incomplete surrogate pair: 0xD800 stands alone in a character escape sequence");
    check("\"\\ud800\\u0041\"", "Incomplete surrogate pair: 0xD800 stands alone in a character escape sequence");
}

#[test]
fn places_of_errors() {
    for (text, place) in [
        ("not a definition", "[Source: (String)\"not a definition\"; line: 1, column: 4]"),
        ("{'a': 1}", "[Source: (String)\"{'a': 1}\"; line: 1, column: 3]"),
        ("{\n  \"é\": x}", "[Source: (String)\"{\n  \"é\": x}\"; line: 2, column: 9]"),
    ] {
        assert_eq!(parse(text, 10).expect_err(text).source_location(text), place);
    }
    let long = format!("x{}", " ".repeat(600));
    let place = parse(&long, 10).expect_err("not JSON").source_location(&long);
    assert!(place.ends_with("\"[truncated 101 chars]; line: 1, column: 2]"), "{place}");
}

#[test]
fn values_are_those_of_another_reader() {
    for text in [
        "null",
        " true ",
        "-0",
        "[]",
        "{}",
        "[1, -2, 3.5, 1e3, 18446744073709551615, 1.7976931348623157e308]",
        r#"{"a": {"b": [null, {"c": "\u00e9\n\"\\\/\ud83d\ude00"}]}, "": ""}"#,
        r#"{"a": 1, "b": 2, "a": 3}"#,
    ] {
        let value = parse(text, 10).expect(text).to_value();
        assert_eq!(value.to_string(), serde_json::from_str::<Value>(text).expect(text).to_string());
        assert_eq!(jackson_error(text), None, "{text}");
    }
}

#[test]
fn spans_cover_their_text() {
    let text = r#" {"a": [1, "x\ty"], "b": {}} "#;
    let root = parse(text, 10).unwrap();
    let of = |node: &Node| &text[node.start..node.end];
    assert_eq!(of(&root), text.trim());
    assert_eq!(of(root.get("a").unwrap()), r#"[1, "x\ty"]"#);
    assert_eq!(of(&root.get("a").unwrap().as_array().unwrap()[1]), r#""x\ty""#);
    assert_eq!(of(root.get("b").unwrap()), "{}");
    let member = &root.as_object().unwrap()[1];
    assert_eq!(&text[member.start..member.end], "\"b\"");
}

#[test]
fn depth_is_limited_but_never_fatal() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for levels in [10_000, 100_000] {
            let text = format!("{}1{}", open.repeat(levels), close.repeat(levels));
            assert_eq!(parse(&text, 100).unwrap_err().kind, ErrorKind::TooDeep);
            assert_eq!(jackson_error(&text), None);
            assert!(jackson_error(&text[..text.len() - 1]).is_some());
        }
        let fits = format!("{}1{}", open.repeat(100), close.repeat(100));
        assert!(parse(&fits, 100).is_ok());
        assert!(parse(&fits, 99).is_err());
    }
}
