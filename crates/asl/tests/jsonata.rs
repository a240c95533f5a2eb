//! What is refused of the expressions of JSONata states, and where it is said to stand.

use stepwright_asl::{Options, parse};

/// The errors of a machine with this state `S`.
fn check_state(state: &str, expected: &[&str]) {
    let text = format!(
        r#"{{"StartAt": "Y", "States": {{
            "Y": {{"Type": "Choice", "Choices": [{{"Variable": "$.y", "IsPresent": true, "Next": "S"}}], "Default": "Z"}},
            "S": {state}, "Z": {{"Type": "Succeed"}}}}}}"#
    );
    let parsed = parse(&text, &Options::default());
    let found: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected, "{text}");
    assert_eq!(parsed.definition.is_some(), expected.is_empty());
}

#[test]
fn a_diagnostic_points_at_its_expression() {
    let text = r#"{"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": {"Type": "Pass", "End": true,
        "Output": {"fine": "{% 1 %}", "list": [0, "{% wrong %}"]}}}}"#;
    let parsed = parse(text, &Options::default());
    let span = parsed.diagnostics[0].span.expect("it has a place");
    assert_eq!(&text[span.start..span.end], r#""{% wrong %}""#);
    assert_eq!(span.line, 2);
}

#[test]
fn jsonata_expressions() {
    check_state(
        r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"a/b": [1, "{% [1,,] %}"], "c": "{% $string( %}"},
            "Assign": {"v": "{% 'a' ?: 'b' %}"}, "End": true}"#,
        &[
            "INVALID_JSONATA_EXPRESSION: The symbol \",\" cannot be used as a unary operator at /States/S/Output/a/b[1]",
            "INVALID_JSONATA_EXPRESSION: Expected \")\" before end of expression at /States/S/Output/c",
            "INVALID_JSONATA_EXPRESSION: The symbol \":\" cannot be used as a unary operator at /States/S/Assign/v",
        ],
    );
    let unsupported = |name: &str, at: &str| {
        format!(
            "UNSUPPORTED_JSONATA_EXPRESSION: Reference to '{name}' at the top level is not supported. at /States/S/{at}"
        )
    };
    let check = |state: &str, expected: &[(&str, &str)]| {
        let expected: Vec<String> = expected.iter().map(|(name, at)| unsupported(name, at)).collect();
        check_state(state, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check(
        r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"v": "{% price * $ & $$ & price %}", "w": "{% [1][$ > 0] %}"},
            "End": true}"#,
        &[("price", "Output/v"), ("$", "Output/v"), ("$$", "Output/v")],
    );
    // Unknown variables are found at run time; fields of what a step yields are no names of the top level.
    check(
        r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $nobody.a.b(c) & $map($states.input, function($x) {$x.y}) %}",
            "End": true}"#,
        &[],
    );
    // What `$states` has depends on the field.
    check(
        r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.result.a %}", "Assign": {"v": "{% $states %}"},
            "End": true}"#,
        &[("$states.result", "Output")],
    );
    check(
        r#"{"Type": "Task", "QueryLanguage": "JSONata", "Resource": "arn:aws:lambda:eu-west-1:111122223333:function:f",
            "Arguments": "{% $states.result %}", "TimeoutSeconds": "{% seconds %}", "Output": "{% $states.result[0] %}",
            "Assign": {"v": "{% $states.result %}", "w": "{% $states.errorOutput.Error %}"},
            "Catch": [{"ErrorEquals": ["States.ALL"], "Output": ["{% $states.errorOutput %}", "{% $states.result %}"],
                       "Assign": {"e": "{% $states.errorOutput.Cause %}"}, "Next": "Z"}], "End": true}"#,
        &[
            ("$states.result", "Arguments"),
            ("$states.errorOutput", "Assign/w"),
            ("seconds", "TimeoutSeconds"),
            ("$states.result", "Catch[0]/Output[1]"),
        ],
    );
    check(
        r#"{"Type": "Map", "QueryLanguage": "JSONata", "Items": "{% items %}", "MaxConcurrency": "{% $ %}",
            "ItemSelector": {"a": "{% item %}"}, "ItemProcessor": {"StartAt": "I", "States": {"I": {"Type": "Pass",
            "QueryLanguage": "JSONata", "Output": "{% inner %}", "End": true}}}, "Output": "{% $states.result %}", "End": true}"#,
        &[
            ("inner", "ItemProcessor/States/I/Output"),
            ("items", "Items"),
            ("item", "ItemSelector/a"),
            ("$", "MaxConcurrency"),
        ],
    );
    check(
        r#"{"Type": "Choice", "QueryLanguage": "JSONata", "Choices": [{"Condition": "{% a = 1 %}", "Output": {"x": "{% b %}"},
            "Next": "Z"}]}"#,
        &[("a", "Choices[0]/Condition"), ("b", "Choices[0]/Output/x")],
    );
}

#[test]
fn variable_names_in_jsonata_states() {
    check_state(
        r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Assign": {"a": 1, "b.$": "{% 1 %}", "states": 1}, "End": true}"#,
        &[
            "INVALID_VARIABLE_NAME: Invalid variable name 'b.$': the variable name contains invalid characters. at \
             /States/S/Assign/b.$",
            "RESERVED_VARIABLE_NAME: Cannot assign to reserved variable '$states'. at /States/S/Assign/states",
        ],
    );
}
