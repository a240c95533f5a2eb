//! `stepwright validate --lint`: what is shown, as text and as JSON, and the exit codes.

use serde_json::json;

use crate::support::{Said, say};

const RULES: &str = r#"{
  "StartAt": "How many",
  "States": {
    "How many": {
      "Type": "Choice",
      "Choices": [
        { "Variable": "$.n", "NumericLessThan": 10, "Next": "Few" },
        { "Variable": "$.n", "NumericEquals": 5, "Next": "Five" }
      ],
      "Default": "Few"
    },
    "Few": { "Type": "Succeed" },
    "Five": { "Type": "Fail" }
  }
}"#;

fn validate(arguments: &[&str], definition: &str) -> Said {
    say(&std::env::temp_dir(), &[&["validate", "-"], arguments].concat(), definition)
}

#[test]
fn a_definition_is_right_with_and_without_lint() {
    let plain = validate(&[], RULES);
    plain.ended(0, &[]);
    assert_eq!(plain.stdout, "<stdin>: valid, 0 warnings\n");
    let linted = validate(&["--lint"], RULES);
    linted.ended(
        0,
        &[
            "warning[RULE_NEVER_USED]: The rule never matches: Choices[0] matches first whenever it could. at \
             /States/How many/Choices[1]",
            "\"NumericEquals\": 5",
            "help: Move it before that rule, or remove it.",
            "warning[STATE_NEVER_REACHED]",
        ],
    );
    assert_eq!(linted.stdout, "<stdin>: valid, 2 warnings\n");
}

#[test]
fn findings_stand_among_the_diagnostics() {
    let linted = validate(&["--lint", "--json"], RULES);
    linted.ended(0, &[]);
    let said = linted.json();
    assert_eq!(said["result"], "OK");
    let finding = &said["files"][0]["diagnostics"][0];
    assert_eq!(finding["code"], "RULE_NEVER_USED");
    assert_eq!(finding["severity"], "WARNING");
    assert_eq!(finding["location"], "/States/How many/Choices[1]");
    assert_eq!((&finding["line"], &finding["column"]), (&json!(8), &json!(9)));
    assert!(finding["suggestion"].is_string() && finding["message"].is_string(), "{finding}");
}

#[test]
fn warnings_can_be_denied() {
    validate(&["--lint", "--deny-warnings"], RULES).ended(1, &["2 warnings"]);
    validate(&["--deny-warnings"], RULES).ended(0, &[]);
    let of_aws = r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"a": "$.b"}, "End": true}}}"#;
    validate(&["--deny-warnings"], of_aws).ended(1, &["warning[NO_DOLLAR]"]);
    validate(&["--lint", "--deny-warnings"], "{}").ended(1, &["SCHEMA_VALIDATION_FAILED"]);
}

#[test]
fn express_machines_have_rules_of_their_own() {
    let wait = r#"{"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": true}}}"#;
    validate(&["--lint", "--express"], wait).ended(0, &["WAIT_BEYOND_THE_END"]);
    let standard = validate(&["--lint"], wait);
    assert!(!standard.stderr.contains("WAIT_BEYOND_THE_END"), "{}", standard.stderr);
    let activity = r#"{"StartAt": "T", "States": {"T": {"Type": "Task", "End": true,
        "Resource": "arn:aws:states:us-east-1:000000000000:activity:a"}}}"#;
    validate(&["--express"], activity).ended(1, &["Express state machine does not support Activity ARN"]);
}
