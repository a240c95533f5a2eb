//! What validation says about definitions: each case is a definition and the diagnostics it must get, in order.

use std::sync::Arc;

use stepwright_asl::{MachineType, Options, SdkCatalog, SdkService, Severity, parse};

fn diagnostics(text: &str, machine_type: MachineType) -> Vec<String> {
    let parsed = parse(text, &Options { machine_type, ..Options::default() });
    let refused = parsed.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    assert_eq!(parsed.definition.is_none(), refused, "{text}: {:?}", parsed.diagnostics);
    parsed.diagnostics.iter().map(ToString::to_string).collect()
}

/// A whole definition.
#[track_caller]
fn check(definition: &str, expected: &[&str]) {
    assert_eq!(diagnostics(definition, MachineType::Standard), expected, "{definition}");
}

/// A machine of the state `S` and of a state `Z` that ends, which is always reachable.
fn machine(state: &str) -> String {
    format!(
        r#"{{"StartAt": "Y", "States": {{
            "Y": {{"Type": "Choice", "Choices": [{{"Variable": "$.y", "IsPresent": true, "Next": "S"}}], "Default": "Z"}},
            "S": {state},
            "Z": {{"Type": "Succeed"}}}}}}"#
    )
}

/// A state `S`.
#[track_caller]
fn check_state(state: &str, expected: &[&str]) {
    check(&machine(state), expected);
}

fn task(fields: &str) -> String {
    format!(
        r#"{{"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:111122223333:function:f", {fields}, "End": true}}"#
    )
}

fn choice(rule: &str) -> String {
    format!(r#"{{"Type": "Choice", "Choices": [{rule}], "Default": "Z"}}"#)
}

fn map(fields: &str, config: &str) -> String {
    format!(
        r#"{{"Type": "Map", {fields} "ItemProcessor": {{ {config} "StartAt": "I", "States": {{"I": {{"Type": "Pass", "End": true}}}}}}, "End": true}}"#
    )
}

const DISTRIBUTED: &str = r#""ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},"#;

#[test]
fn not_an_object() {
    for text in ["", "  ", "null", "[]", "\"x\"", "3"] {
        check(text, &["SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object"]);
    }
    check(
        "not a definition",
        &["INVALID_JSON_DESCRIPTION: Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or \
           token 'null', 'true' or 'false')\n at [Source: (String)\"not a definition\"; line: 1, column: 4] at \
           [Source: (String)\"not a definition\"; line: 1, column: 4]"],
    );
}

#[test]
fn top_level() {
    check("{}", &["SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /"]);
    check(
        r#"{"States": {"A": {"Type": "Pass", "End": true}}}"#,
        &["SCHEMA_VALIDATION_FAILED: These fields are required: [StartAt] at /"],
    );
    check(r#"{"StartAt": "A"}"#, &["SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /"]);
    check(r#"{"StartAt": "A", "States": {}}"#, &["SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States"]);
    check(
        r#"{"StartAt": 1, "Version": "2.0", "TimeoutSeconds": -1, "QueryLanguage": "SQL", "comment": "", "States": []}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: Field 'comment' is not supported at /",
            "SCHEMA_VALIDATION_FAILED: Value should be one of the following: [1.0] at /Version",
            "SCHEMA_VALIDATION_FAILED: Value should be one of the following: [JSONPath, JSONata] at /QueryLanguage",
            "SCHEMA_VALIDATION_FAILED: Minimum value is 0 at /TimeoutSeconds",
            "SCHEMA_VALIDATION_FAILED: Expected value of type String at /StartAt",
            "SCHEMA_VALIDATION_FAILED: Expected value of type Object at /States",
        ],
    );
    // Of equal keys the last one counts.
    check(
        r#"{"StartAt": "B", "StartAt": "A", "States": {"A": {"Type": "Bad"}, "A": {"Type": "Pass", "End": true}}}"#,
        &[],
    );
}

#[test]
fn transitions() {
    check(
        r#"{"StartAt": "pass1", "States": {"pass1": {"Type": "Pass", "Next": "pass3"}, "pass2": {"Type": "Pass", "End": true}}}"#,
        &[
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: pass3 at /States/pass1/Next",
            "MISSING_TRANSITION_TARGET: State \"pass2\" is not reachable. at /States/pass2",
        ],
    );
    check(
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}, "C": {"Type": "Pass", "Next": "A"}}}"#,
        &["MISSING_END_STATE: Workflow has no terminal state"],
    );
    check(
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}, "C": {"Type": "Fail"}}}"#,
        &["MISSING_TRANSITION_TARGET: State \"C\" is not reachable. at /States/C"],
    );
    check(
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "NOPE"}}}"#,
        &[
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: NOPE at /States/A/Next",
            "MISSING_END_STATE: Workflow has no terminal state",
        ],
    );
    check(
        r#"{"StartAt": "X", "States": {"A": {"Type": "Pass", "End": true}}}"#,
        &["MISSING_TRANSITION_TARGET: Missing 'Next' target: X at /StartAt"],
    );
    check_state(
        r#"{"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": true, "Next": "N1"}], "Default": "N2"}"#,
        &[
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: N1 at /States/S/Choices[0]/Next",
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: N2 at /States/S/Default",
        ],
    );
    check_state(
        &task(r#""Catch": [{"ErrorEquals": ["E"], "Next": "N"}]"#),
        &["MISSING_TRANSITION_TARGET: Missing 'Next' target: N at /States/S/Catch[0]/Next"],
    );
    // A branch cannot lead out of itself, and its own graph is judged alone.
    check_state(
        r#"{"Type": "Parallel", "Branches": [{"StartAt": "B", "States": {"B": {"Type": "Pass", "Next": "Z"}}}], "End": true}"#,
        &[
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: Z at /States/S/Branches[0]/States/B/Next",
            "MISSING_END_STATE: Workflow has no terminal state at /States/S/Branches[0]",
        ],
    );
    // What could not be read is not judged a second time.
    check(
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass"}, "B": {"Type": "Pass", "Next": "A"}}}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: This object should have only one of the following fields: [Next, End] at /States/A",
        ],
    );
}

#[test]
fn next_and_end() {
    check_state(
        r#"{"Type": "Pass", "Next": "Z", "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [Next, End] at /States/S"],
    );
    check_state(
        r#"{"Type": "Pass", "End": false}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: This object should have only one of the following fields: [Next, End] at /States/S",
        ],
    );
    check_state(r#"{"Type": "Pass", "End": false, "Next": "Z"}"#, &[]);
    check_state(
        r#"{"Type": "Succeed", "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: Field 'End' is not supported at /States/S"],
    );
}

#[test]
fn state_types_and_names() {
    check_state("[]", &["SCHEMA_VALIDATION_FAILED: Expected value of type Object at /States/S"]);
    check_state("{}", &["SCHEMA_VALIDATION_FAILED: These fields are required: [Type] at /States/S"]);
    for kind in [r#""Nap""#, "1"] {
        check_state(
            &format!(r#"{{"Type": {kind}, "End": true}}"#),
            &[
                "SCHEMA_VALIDATION_FAILED: The field 'Type' should have one of these values: [Task, Wait, Pass, Succeed, \
               Fail, Choice, Parallel, Map] at /States/S/Type",
            ],
        );
    }
    for kind in ["Pass", "Wait", "Succeed", "Fail"] {
        let end = if matches!(kind, "Succeed" | "Fail") { "" } else { r#""End": true,"# };
        let wait = if kind == "Wait" { r#""Seconds": 1,"# } else { "" };
        check_state(
            &format!(r#"{{"Type": "{kind}", {end} {wait} "TimeoutSeconds": 1, "Retry": [], "Catch": []}}"#),
            &["TimeoutSeconds", "Retry", "Catch"]
                .map(|field| format!("SCHEMA_VALIDATION_FAILED: Field '{field}' is not supported at /States/S"))
                .each_ref()
                .map(String::as_str),
        );
    }
    let name = "n".repeat(81);
    check(
        &format!(r#"{{"StartAt": "{name}", "States": {{"{name}": {{"Type": "Succeed"}}}}}}"#),
        &[&format!(
            "INVALID_STATE_NAME: {name} exceeds the 80-character limit allowed by the service at /States/{name}"
        )],
    );
    let name = "é".repeat(80);
    check(&format!(r#"{{"StartAt": "{name}", "States": {{"{name}": {{"Type": "Succeed"}}}}}}"#), &[]);
    check_state(
        r#"{"Type": "Parallel", "Branches": [{"StartAt": "Z", "States": {"Z": {"Type": "Succeed"}}}], "End": true}"#,
        &["DUPLICATE_STATE_NAME: Duplicate State name: Z at /States/Z"],
    );
}

#[test]
fn languages() {
    check(
        r#"{"StartAt": "P", "QueryLanguage": "JSONata", "States": {"P": {"Type": "Pass", "End": true, "QueryLanguage": "JSONPath"}}}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: 'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine \
           at /States/P",
        ],
    );
    check_state(
        r#"{"Type": "Pass", "QueryLanguage": "JSONata", "InputPath": "$", "Result": 1, "End": true}"#,
        &["InputPath", "Result"]
            .map(|field| {
                format!(
                    "SCHEMA_VALIDATION_FAILED: The QueryLanguage is set to 'JSONata', but field '{field}' is only \
                     supported for the 'JSONPath' QueryLanguage at /States/S"
                )
            })
            .each_ref()
            .map(String::as_str),
    );
    check_state(
        r#"{"Type": "Pass", "Output": 1, "End": true}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for \
           the 'JSONata' QueryLanguage at /States/S",
        ],
    );
    // Inner states inherit the machine's language, not that of the Map.
    check_state(
        r#"{"Type": "Map", "QueryLanguage": "JSONata", "Items": "{% $x %}", "ItemProcessor": {"StartAt": "I",
            "States": {"I": {"Type": "Pass", "InputPath": "$.a", "End": true}}}, "End": true}"#,
        &[],
    );
    check_state(
        r#"{"Type": "Map", "ItemProcessor": {"QueryLanguage": "JSONata", "StartAt": "I", "States": {"I": {"Type": "Succeed"}}}, "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: Field 'QueryLanguage' is not supported at /States/S/ItemProcessor"],
    );
    check_state(
        r#"{"Type": "Pass", "QueryLanguage": "JSONata", "Output": {"a": ["{% 1", "b %}", " {% c %} "]}, "Assign": {"v": "{%}"}, "End": true}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: JSONata string must start with {% and end with %} at /States/S/Output/a[0]",
            "SCHEMA_VALIDATION_FAILED: JSONata string must start with {% and end with %} at /States/S/Output/a[1]",
            "SCHEMA_VALIDATION_FAILED: JSONata string must start with {% and end with %} at /States/S/Assign/v",
        ],
    );
    check_state(
        r#"{"Type": "Choice", "QueryLanguage": "JSONata", "Choices": [{"Condition": "{% true %}", "Next": "Z"},
            {"Condition": true, "Next": "Z"}, {"Condition": "yes", "Next": "Z"}, {"Condition": "{% x", "Next": "Z"},
            {"Variable": "$.a", "IsNull": true, "Next": "Z"}]}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: Expected value of type Boolean at /States/S/Choices[2]/Condition",
            "SCHEMA_VALIDATION_FAILED: JSONata string must start with {% and end with %} at /States/S/Choices[3]/Condition",
            "SCHEMA_VALIDATION_FAILED: The QueryLanguage is set to 'JSONata', but field 'Variable' is only supported for \
             the 'JSONPath' QueryLanguage at /States/S/Choices[4]",
            "SCHEMA_VALIDATION_FAILED: The QueryLanguage is set to 'JSONata', but field 'IsNull' is only supported for \
             the 'JSONPath' QueryLanguage at /States/S/Choices[4]",
        ],
    );
    check_state(r#"{"Type": "Wait", "QueryLanguage": "JSONata", "Seconds": "{% 1 %}", "End": true}"#, &[]);
    check_state(
        r#"{"Type": "Wait", "QueryLanguage": "JSONata", "Seconds": "{% 1", "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: JSONata string must start with {% and end with %} at /States/S/Seconds"],
    );
}

/// A service with one action.
#[derive(Debug)]
struct OneAction;

impl SdkCatalog for OneAction {
    fn service(&self, name: &str) -> Option<Arc<dyn SdkService>> {
        (name == "s3").then(|| -> Arc<dyn SdkService> { Arc::new(Self) })
    }
}

impl SdkService for OneAction {
    fn parameters(&self, action: &str) -> Option<Vec<(&str, bool)>> {
        (action == "getObject").then(|| vec![("Bucket", true), ("Range", false)])
    }
}

#[test]
fn sdk_integrations_are_checked_against_the_catalog() {
    let check = |resource: &str, rest: &str, expected: &[&str]| {
        let definition = format!(
            r#"{{"StartAt": "S", "States": {{"S": {{"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:{resource}", {rest} "End": true}}}}}}"#
        );
        let parsed = parse(&definition, &Options { sdk: Some(&OneAction), ..Options::default() });
        let found: Vec<String> = parsed.diagnostics.iter().map(ToString::to_string).collect();
        assert_eq!(found, expected, "{definition}");
        assert!(parsed.unsupported.is_empty(), "{:?}", parsed.unsupported);
        // Without a catalog, everything is taken to exist.
        assert!(parse(&definition, &Options::default()).definition.is_some(), "{definition}");
    };
    let unknown = |resource: &str| {
        format!(
            "SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::aws-sdk:{resource} is not recognized. The \
             value is not a valid resource ARN, or the resource is not available in this region. at /States/S/Resource"
        )
    };
    check("s3:getObject", r#""Parameters": {"Bucket": "b", "Range.$": "$.r"},"#, &[]);
    check("s3:getObject.waitForTaskToken", r#""Parameters": {"Bucket.$": "$.b"},"#, &[]);
    check("s3:getObject", r#""QueryLanguage": "JSONata", "Arguments": "{% $states.input %}","#, &[]);
    check("s3:getAnything", "", &[&unknown("s3:getAnything")]);
    check("s4:getObject", "", &[&unknown("s4:getObject")]);
    let missing = "SCHEMA_VALIDATION_FAILED: The field 'Bucket' is required but was missing at /States/S";
    check("s3:getObject", "", &[&format!("{missing}/Parameters")]);
    check("s3:getObject", r#""QueryLanguage": "JSONata", "Arguments": {},"#, &[&format!("{missing}/Arguments")]);
    let extra =
        "SCHEMA_VALIDATION_FAILED: The field 'bucket' is not supported by Step Functions at /States/S/Parameters";
    check("s3:getObject", r#""Parameters": {"Bucket": "b", "bucket.$": "$"},"#, &[extra]);
}

#[test]
fn tasks() {
    check_state(
        r#"{"Type": "Task", "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: These fields are required: [Resource] at /States/S"],
    );
    check_state(
        r#"{"Type": "Task", "Resource": "lambda", "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: Value is not a valid resource ARN at /States/S/Resource"],
    );
    check_state(
        r#"{"Type": "Task", "Resource": "arn:aws:states:::dynamodb:query", "End": true}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: The resource provided arn:aws:states:::dynamodb:query is not recognized. The value \
           is not a valid resource ARN, or the resource is not available in this region. at /States/S/Resource",
        ],
    );
    for parameters in ["", r#""Parameters": {"Payload": {}},"#] {
        check_state(
            &format!(r#"{{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", {parameters} "End": true}}"#),
            &["SCHEMA_VALIDATION_FAILED: The field 'FunctionName' is required but was missing at /States/S/Parameters"],
        );
    }
    check_state(
        r#"{"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName.$": "$.f"}, "End": true}"#,
        &[],
    );
    check_state(
        &task(r#""Credentials": {}"#),
        &["SCHEMA_VALIDATION_FAILED: The field 'RoleArn' is required but was missing at /States/S/Credentials"],
    );
    check_state(&task(r#""Credentials": {"RoleArn.$": "$.role"}"#), &[]);
    check_state(
        r#"{"Type": "Task", "Resource": "arn:aws:states:us-east-1:111122223333:activity:a", "Credentials": {"RoleArn": "r"}, "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: The field 'Credentials' is not supported for activities at /States/S/Credentials"],
    );
    check_state(
        &task(r#""TimeoutSeconds": 0, "HeartbeatSeconds": 100000000"#),
        &[
            "SCHEMA_VALIDATION_FAILED: Minimum value is 1 at /States/S/TimeoutSeconds",
            "SCHEMA_VALIDATION_FAILED: Maximum value is 99999999 at /States/S/HeartbeatSeconds",
        ],
    );
    for number in ["\"5\"", "1.5", "null", "1e2"] {
        check_state(
            &task(&format!(r#""TimeoutSeconds": {number}"#)),
            &["SCHEMA_VALIDATION_FAILED: Expected value of type Integer at /States/S/TimeoutSeconds"],
        );
    }
    check_state(
        &task(r#""TimeoutSeconds": 5, "TimeoutSecondsPath": "$.t""#),
        &["SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [TimeoutSeconds, \
           TimeoutSecondsPath] at /States/S"],
    );
    check_state(
        &task(r#""TimeoutSeconds": 5, "HeartbeatSeconds": 5"#),
        &["SCHEMA_VALIDATION_FAILED: HeartbeatSeconds (5) should be smaller than TimeoutSeconds (5) at /States/S"],
    );
    check_state(&task(r#""TimeoutSeconds": 5, "HeartbeatSeconds": 4, "Retry": [], "Catch": []"#), &[]);
}

#[test]
fn express() {
    let check = |resource: &str, expected: &[&str]| {
        let text = machine(&format!(
            r#"{{"Type": "Task", "Resource": "{resource}", "Parameters":
            {{"FunctionName": "f", "StateMachineArn": "m", "QueueUrl": "q", "MessageBody": "b"}}, "End": true}}"#
        ));
        assert_eq!(diagnostics(&text, MachineType::Express), expected);
    };
    check(
        "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        &[
            "SCHEMA_VALIDATION_FAILED: Express state machine does not support '.waitForTaskToken' service integration  at \
           /States/S/Resource",
        ],
    );
    for pattern in ["sync", "sync:2"] {
        check(
            &format!("arn:aws:states:::states:startExecution.{pattern}"),
            &["SCHEMA_VALIDATION_FAILED: Express state machine does not support '.sync' service integration at \
               /States/S/Resource"],
        );
    }
    check(
        "arn:aws:states:us-east-1:111122223333:activity:a",
        &["SCHEMA_VALIDATION_FAILED: Express state machine does not support Activity ARN at /States/S/Resource"],
    );
    check("arn:aws:states:::lambda:invoke", &[]);
    assert_eq!(
        diagnostics(&machine(&map("", DISTRIBUTED)), MachineType::Express),
        [
            "SCHEMA_VALIDATION_FAILED: The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS' state \
          machines at /States/S/ItemProcessor/ProcessorConfig/Mode"
        ],
    );
}

#[test]
fn retry_and_catch() {
    check_state(
        &task(
            r#""Retry": [{}, {"ErrorEquals": []}, {"ErrorEquals": [1]}, {"ErrorEquals": ["States.ALL"]},
                {"ErrorEquals": ["E", "States.ALL"], "IntervalSeconds": -1, "MaxAttempts": 100000000,
                 "BackoffRate": 0.5, "MaxDelaySeconds": 31622400, "JitterStrategy": "HALF", "Next": "Z"}]"#,
        ),
        &[
            "SCHEMA_VALIDATION_FAILED: These fields are required: [ErrorEquals] at /States/S/Retry[0]",
            "SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/S/Retry[1]/ErrorEquals",
            "SCHEMA_VALIDATION_FAILED: Expected value of type String at /States/S/Retry[2]/ErrorEquals[0]",
            "SCHEMA_VALIDATION_FAILED: States.ALL must appear alone and at end of list at /States/S/Retry[3]/ErrorEquals",
            "SCHEMA_VALIDATION_FAILED: Field 'Next' is not supported at /States/S/Retry[4]",
            "SCHEMA_VALIDATION_FAILED: States.ALL must appear alone and at end of list at /States/S/Retry[4]/ErrorEquals",
            "SCHEMA_VALIDATION_FAILED: Minimum value is 0 at /States/S/Retry[4]/IntervalSeconds",
            "SCHEMA_VALIDATION_FAILED: Maximum value is 99999999 at /States/S/Retry[4]/MaxAttempts",
            "SCHEMA_VALIDATION_FAILED: Minimum value is 1.0 at /States/S/Retry[4]/BackoffRate",
            "SCHEMA_VALIDATION_FAILED: Maximum value is 31622399 at /States/S/Retry[4]/MaxDelaySeconds",
            "SCHEMA_VALIDATION_FAILED: Value should be one of the following: [NONE, FULL] at \
             /States/S/Retry[4]/JitterStrategy",
        ],
    );
    check_state(
        &task(
            r#""Retry": [{"ErrorEquals": ["States.TaskFailed", "E"], "IntervalSeconds": 0, "MaxAttempts": 0,
                "BackoffRate": 1, "MaxDelaySeconds": 1, "JitterStrategy": "FULL", "Comment": "c"},
                {"ErrorEquals": ["States.ALL"]}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": null, "Next": "Z"}]"#,
        ),
        &[],
    );
    check_state(
        &task(r#""Catch": [{"ErrorEquals": ["E"]}, {"ErrorEquals": ["E"], "ResultPath": "$$.a", "Next": "Z"}]"#),
        &[
            "SCHEMA_VALIDATION_FAILED: These fields are required: [Next] at /States/S/Catch[0]",
            "SCHEMA_VALIDATION_FAILED: Value is not a Reference Path at /States/S/Catch[1]/ResultPath",
        ],
    );
    check_state(
        &task(r#""Retry": [{"ErrorEquals": ["E"], "IntervalSeconds": 10, "MaxDelaySeconds": 9}]"#),
        &["SCHEMA_VALIDATION_FAILED: MaxDelaySeconds (9) should not be smaller than IntervalSeconds (10) at \
           /States/S/Retry[0]"],
    );
}

#[test]
fn waits() {
    let wait = |fields: &str| format!(r#"{{"Type": "Wait", {fields} "End": true}}"#);
    for timestamp in ["2016-12-05T25:29:29Z", "2016-12-05 21:29:29Z", "2016-12-05T21:29:29", "{% $now() %}"] {
        check_state(
            &wait(&format!(r#""Timestamp": "{timestamp}","#)),
            &["SCHEMA_VALIDATION_FAILED: String does not match RFC3339 timestamp at /States/S/Timestamp"],
        );
    }
    for fields in [
        r#""Timestamp": "2016-12-05T21:29:29.123456789+01:00","#,
        r#""Seconds": 0,"#,
        r#""SecondsPath": "$$.Execution.Input.s","#,
        r#""TimestampPath": "$variable.t","#,
    ] {
        check_state(&wait(fields), &[]);
    }
    check_state(
        &wait(""),
        &[
            "SCHEMA_VALIDATION_FAILED: This object should have only one of the following fields: [SecondsPath, Seconds, \
           TimestampPath, Timestamp] at /States/S",
        ],
    );
    check_state(
        &wait(r#""Seconds": 1, "SecondsPath": "$.s","#),
        &["SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [SecondsPath, Seconds, \
           TimestampPath, Timestamp] at /States/S"],
    );
}

#[test]
fn choices() {
    check_state(
        r#"{"Type": "Choice", "Choices": []}"#,
        &["SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/S/Choices"],
    );
    check_state(
        r#"{"Type": "Choice", "Default": "Z"}"#,
        &["SCHEMA_VALIDATION_FAILED: These fields are required: [Choices] at /States/S"],
    );
    check_state(
        &choice(r#"{"Variable": "$.a", "IsNull": true}"#),
        &["SCHEMA_VALIDATION_FAILED: These fields are required: [Next] at /States/S/Choices[0]"],
    );
    for rule in
        [r#""Comment": "c""#, r#""Variable": "$.a", "Not": {"Variable": "$.a", "IsNull": true}, "IsNull": true"#]
    {
        check_state(
            &choice(&format!(r#"{{"Next": "Z", {rule}}}"#)),
            &[
                "SCHEMA_VALIDATION_FAILED: The object must have only one of the following fields, [And, Or, Not, Variable, \
               Condition] at /States/S/Choices[0]",
            ],
        );
    }
    check_state(
        &choice(
            r#"{"And": [{"Variable": "$.a", "IsNull": true, "Next": "Z"}, {"Or": []}, {"Not": {"Variable": "a", "IsNull": 1, "Comment": "c"}}], "Next": "Z"}"#,
        ),
        &[
            "SCHEMA_VALIDATION_FAILED: Field 'Next' is not supported at /States/S/Choices[0]/And[0]",
            "SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/S/Choices[0]/And[1]/Or",
            "SCHEMA_VALIDATION_FAILED: Value is not a Reference Path: Reference path didn't start with '$' at \
             /States/S/Choices[0]/And[2]/Not/Variable",
            "SCHEMA_VALIDATION_FAILED: Expected value of type Boolean at /States/S/Choices[0]/And[2]/Not/IsNull",
        ],
    );
    check_state(
        &choice(r#"{"And": [{"Variable": "$.a", "IsNull": true}], "StringEquals": "x", "Next": "Z"}"#),
        &["SCHEMA_VALIDATION_FAILED: Field 'StringEquals' is not supported at /States/S/Choices[0]"],
    );
    for (operator, good, bad, kind) in [
        ("StringEquals", "\"x\"", "1", "Expected value of type String"),
        ("StringMatches", "\"x*\"", "null", "Expected value of type String"),
        ("NumericGreaterThanEquals", "1.5", "\"1\"", "Expected value of type Double"),
        ("BooleanEquals", "false", "\"false\"", "Expected value of type Boolean"),
        ("TimestampLessThan", "\"2016-03-14T01:59:00Z\"", "\"2016-03-14\"", "String does not match RFC3339 timestamp"),
        ("NumericLessThanPath", "\"$.b\"", "3", "Expected value of type String"),
        (
            "TimestampEqualsPath",
            "\"$$.State.EnteredTime\"",
            "\"x\"",
            "Value is not a Reference Path: Reference path didn't start with '$'",
        ),
        ("IsTimestamp", "true", "\"true\"", "Expected value of type Boolean"),
    ] {
        let rule = |value: &str| choice(&format!(r#"{{"Next": "Z", "Variable": "$.a", "{operator}": {value}}}"#));
        check_state(&rule(good), &[]);
        check_state(&rule(bad), &[&format!("SCHEMA_VALIDATION_FAILED: {kind} at /States/S/Choices[0]/{operator}")]);
    }
    let two = diagnostics(
        &machine(&choice(r#"{"Variable": "$.a", "IsNull": true, "IsPresent": true, "Next": "Z"}"#)),
        MachineType::Standard,
    );
    assert_eq!(two.len(), 1);
    assert!(
        two[0]
            .starts_with("SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [StringEquals, ")
    );
    let none = diagnostics(&machine(&choice(r#"{"Variable": "$.a", "Next": "Z"}"#)), MachineType::Standard);
    assert_eq!(none.len(), 1);
    assert!(
        none[0].starts_with("SCHEMA_VALIDATION_FAILED: This object should have only one of the following fields: [")
    );
}

#[test]
fn paths_and_templates() {
    let pass = |fields: &str| format!(r#"{{"Type": "Pass", {fields}, "End": true}}"#);
    check_state(
        &pass(r#""InputPath": "a", "OutputPath": 1, "ResultPath": "a""#),
        &[
            "SCHEMA_VALIDATION_FAILED: Value must be a valid JSONPath. at /States/S/InputPath",
            "SCHEMA_VALIDATION_FAILED: Value must be a valid JSONPath. at /States/S/ResultPath",
            "SCHEMA_VALIDATION_FAILED: Expected value of type String at /States/S/OutputPath",
        ],
    );
    for path in ["$$.a", "$variable.a", "$.a[*]", "$..a"] {
        check_state(
            &pass(&format!(r#""ResultPath": "{path}""#)),
            &["SCHEMA_VALIDATION_FAILED: Value is not a Reference Path at /States/S/ResultPath"],
        );
    }
    check_state(&pass(r#""InputPath": null, "OutputPath": "$$", "ResultPath": "$.a['b'][0]""#), &[]);
    check_state(
        &pass(r#""Parameters": {"a.$": "x", "b": [{"c.$": 1}], "d.$": "States.UUID()", "e.$": "$.e"}"#),
        &[
            "SCHEMA_VALIDATION_FAILED: The value for the field 'a.$' must be a valid JSONPath or a valid intrinsic \
             function call at /States/S/Parameters",
            "SCHEMA_VALIDATION_FAILED: The value for the field 'c.$' must be a valid JSONPath or a valid intrinsic \
             function call at /States/S/Parameters/b[0]",
        ],
    );
    check_state(
        &pass(r#""Parameters": "$.a""#),
        &["SCHEMA_VALIDATION_FAILED: Expected value of type Object at /States/S/Parameters"],
    );
    check_state(
        r#"{"Type": "Fail", "Error": "E", "ErrorPath": "$.e", "CausePath": "States.Format('{}', $.c)"}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [Error, ErrorPath] at /States/S",
        ],
    );
    check_state(r#"{"Type": "Fail"}"#, &[]);
}

#[test]
fn variables() {
    let pass = |assign: &str| format!(r#"{{"Type": "Pass", "Assign": {{ {assign} }}, "End": true}}"#);
    check_state(&pass(r#""a_1": 1, "größe.$": "$.g""#), &[]);
    check_state(
        &pass(r#""states.$": "$.s", "a-b": 1, "x.y": 2, "1a": 3"#),
        &[
            "RESERVED_VARIABLE_NAME: Cannot assign to reserved variable '$states'. at /States/S/Assign/states.$",
            "INVALID_VARIABLE_NAME: Invalid variable name 'a-b': the variable name contains invalid characters. at \
             /States/S/Assign/a-b",
            "INVALID_VARIABLE_NAME: Invalid variable name 'x.y': the variable name contains invalid characters. at \
             /States/S/Assign/x.y",
            "INVALID_VARIABLE_NAME: Invalid variable name '1a': the variable name contains invalid characters. at \
             /States/S/Assign/1a",
        ],
    );
    let name = "v".repeat(81);
    assert_eq!(diagnostics(&machine(&pass(&format!(r#""{name}": 1"#))), MachineType::Standard).len(), 1);
    let branches = |outer: &str| {
        format!(
            r#"{{"Type": "Parallel", "Assign": {{"{outer}": 1}}, "Branches": [
                {{"StartAt": "A", "States": {{"A": {{"Type": "Pass", "Assign": {{"x.$": "$"}}, "End": true}}}}}},
                {{"StartAt": "B", "States": {{"B": {{"Type": "Pass", "Assign": {{"x.$": "$"}}, "End": true}}}}}}], "End": true}}"#
        )
    };
    // Branches have variables of their own, but not those of the flow around them.
    check_state(&branches("y"), &[]);
    check_state(
        &branches("x"),
        &[
            "SCHEMA_VALIDATION_FAILED: Cannot assign to variable '$x': it is assigned in an outer scope. at \
             /States/S/Branches[0]/States/A/Assign/x.$",
            "SCHEMA_VALIDATION_FAILED: Cannot assign to variable '$x': it is assigned in an outer scope. at \
             /States/S/Branches[1]/States/B/Assign/x.$",
        ],
    );
    let mapped = |config: &str| {
        format!(
            r#"{{"Type": "Map", "Assign": {{"x": 1}}, "ItemProcessor": {{ {config} "StartAt": "A", "States": {{"A":
                {{"Type": "Pass", "Assign": {{"x": 1}}, "End": true}}}}}}, "End": true}}"#
        )
    };
    assert_eq!(diagnostics(&machine(&mapped("")), MachineType::Standard).len(), 1);
    // The children of a distributed map see no variables of their parent.
    check_state(&mapped(DISTRIBUTED), &[]);
}

#[test]
fn parallels() {
    check_state(
        r#"{"Type": "Parallel", "Branches": [], "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/S/Branches"],
    );
    check_state(
        r#"{"Type": "Parallel", "End": true}"#,
        &["SCHEMA_VALIDATION_FAILED: These fields are required: [Branches] at /States/S"],
    );
    check_state(
        r#"{"Type": "Parallel", "Branches": [1, {"TimeoutSeconds": 1}], "End": true}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: Expected value of type Object at /States/S/Branches[0]",
            "SCHEMA_VALIDATION_FAILED: Field 'TimeoutSeconds' is not supported at /States/S/Branches[1]",
            "SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /States/S/Branches[1]",
        ],
    );
}

#[test]
fn maps() {
    check_state(
        r#"{"Type": "Map", "End": true}"#,
        &[
            "SCHEMA_VALIDATION_FAILED: This object should have only one of the following fields: [ItemProcessor, Iterator] \
           at /States/S",
        ],
    );
    check_state(
        &map(r#""MaxConcurrency": -1, "MaxConcurrencyPath": "$.m","#, ""),
        &["SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [MaxConcurrency, \
           MaxConcurrencyPath] at /States/S"],
    );
    check_state(
        &map(r#""MaxConcurrency": -1,"#, ""),
        &["SCHEMA_VALIDATION_FAILED: Minimum value is 0 at /States/S/MaxConcurrency"],
    );
    check_state(
        &map(r#""MaxConcurrencyPath": "$$.Execution.Input.n", "ItemsPath": "$$.Execution.Input.items","#, ""),
        &["SCHEMA_VALIDATION_FAILED: Value is not a Reference Path at /States/S/MaxConcurrencyPath"],
    );
    check_state(&map(r#""ItemsPath": "$list", "Parameters": {"a.$": "$$.Map.Item.Value"},"#, ""), &[]);
    check_state(
        &map("", r#""ProcessorConfig": {"Mode": "DISTRIBUTED"},"#),
        &["SCHEMA_VALIDATION_FAILED: These fields are required: [ExecutionType] at \
           /States/S/ItemProcessor/ProcessorConfig"],
    );
    check_state(
        &map("", r#""ProcessorConfig": {"Mode": "INLINE", "ExecutionType": "STANDARD"},"#),
        &[
            "SCHEMA_VALIDATION_FAILED: Field 'ExecutionType' is not supported at /States/S/ItemProcessor/ProcessorConfig",
        ],
    );
    check_state(
        &map(r#""Label": "l","#, ""),
        &["SCHEMA_VALIDATION_FAILED: Field 'Label' is not supported at /States/S"],
    );
    check_state(
        &map(
            r#""ToleratedFailurePercentage": 100.5, "ToleratedFailureCount": -1,
               "ItemReader": {"Resource": "arn:aws:states:::s3:putObject", "ReaderConfig": {"InputType": "CSV", "MaxItems": 100000001}},
               "ItemBatcher": {"MaxItemsPerBatch": 1, "MaxItemsPerBatchPath": "$.m", "Size": 1},"#,
            DISTRIBUTED,
        ),
        &[
            "SCHEMA_VALIDATION_FAILED: Minimum value is 0 at /States/S/ToleratedFailureCount",
            "SCHEMA_VALIDATION_FAILED: Maximum value is 100.0 at /States/S/ToleratedFailurePercentage",
            "SCHEMA_VALIDATION_FAILED: The field 'Resource' does not match any of the allowed values at \
             /States/S/ItemReader/Resource",
            "SCHEMA_VALIDATION_FAILED: The field 'CSVHeaderLocation' is required at /States/S/ItemReader/ReaderConfig",
            "SCHEMA_VALIDATION_FAILED: Maximum value is 100000000 at /States/S/ItemReader/ReaderConfig/MaxItems",
            "SCHEMA_VALIDATION_FAILED: Field 'Size' is not supported at /States/S/ItemBatcher",
            "SCHEMA_VALIDATION_FAILED: There should only be one of the following fields: [MaxItemsPerBatch, \
             MaxItemsPerBatchPath] at /States/S/ItemBatcher",
        ],
    );
}

#[test]
fn labels() {
    let label = |label: &str| map(&format!(r#""Label": "{label}","#), DISTRIBUTED);
    check_state(&label("label_1-é"), &[]);
    for character in [" ", "*", "{", ":", "\\u0087", "\\u0000", "\\n", "`", "~"] {
        let found = diagnostics(&machine(&label(&format!("a{character}"))), MachineType::Standard);
        assert_eq!(found.len(), 1, "{character:?}");
        assert!(found[0].starts_with("INVALID_LABEL_NAME: "), "{found:?}");
        assert!(found[0].ends_with(" at /States/S/Label"), "{found:?}");
    }
    let long = "l".repeat(41);
    check_state(
        &label(&long),
        &[&format!(
            "INVALID_LABEL_NAME: {long} exceeds the 40-character limit allowed by the service at /States/S/Label"
        )],
    );
    let twice = format!(
        r#"{{"StartAt": "A", "States": {{"A": {}, "B": {}}}}}"#,
        label("l").replace(r#""End": true}"#, r#""Next": "B"}"#).replacen(r#""Next": "B"}"#, r#""End": true}"#, 1),
        label("l").replace("\"I\"", "\"J\""),
    );
    check(&twice, &["DUPLICATE_LABEL_NAME: Duplicate Label name: l at /States/B/Label"]);
}

#[test]
fn warnings_do_not_refuse() {
    check_state(
        r#"{"Type": "Pass", "Parameters": {"a": "$.a", "b": {"c": "States.UUID()"}, "price": "$5"}, "End": true}"#,
        &[
            "NO_DOLLAR: The value of the field 'a' looks like a JSONPath or an intrinsic function call, but the name of \
             the field does not end with '.$' at /States/S/Parameters",
            "NO_DOLLAR: The value of the field 'c' looks like a JSONPath or an intrinsic function call, but the name of \
             the field does not end with '.$' at /States/S/Parameters/b",
        ],
    );
    check_state(
        r#"{"Type": "Fail", "Cause": "$.cause"}"#,
        &["NO_PATH: The value of the field 'Cause' looks like a path, but the name does not end with 'Path' at \
           /States/S/Cause"],
    );
    check_state(
        r#"{"Type": "Pass", "Result": {"a.$": "$.a"}, "End": true}"#,
        &["PASS_RESULT_IS_STATIC: The field 'a.$' contains a path, but 'Result' is static and not evaluated at \
           /States/S/Result"],
    );
}

#[test]
fn spans_point_at_the_text() {
    let text = "{\"StartAt\": \"A\",\n  \"States\": {\"A\": {\"Type\": \"Pass\", \"é\": 1, \"Next\": \"N\"}}}";
    let parsed = parse(text, &Options::default());
    let shown: Vec<(&str, usize, usize)> = parsed
        .diagnostics
        .iter()
        .filter_map(|diagnostic| diagnostic.span)
        .map(|span| (&text[span.start..span.end], span.line, span.column))
        .collect();
    assert_eq!(shown, [("1", 2, 41), ("\"N\"", 2, 52)]);
}
