//! The commonest mistakes in definitions. Of each it is said where it is, which rule it breaks, and what to do about it.

use std::sync::Arc;
use stepwright_asl::{Options, SdkCatalog, SdkService, advice::advise, lint::lint, parse};

/// A mistake: a definition with the place in `«…»`, words of what is said, words of the way out.
struct Mistake {
    what: &'static str,
    definition: &'static str,
    says: &'static str,
    fix: &'static [&'static str],
}

const fn mistake(
    what: &'static str,
    definition: &'static str,
    says: &'static str,
    fix: &'static [&'static str],
) -> Mistake {
    Mistake { what, definition, says, fix }
}

const MISTAKES: &[Mistake] = &[
    mistake(
        "a comma behind the last field",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Succeed",«}»}}"#,
        "was expecting double-quote",
        &["no comma behind the last entry"],
    ),
    mistake(
        "a comma that is missing",
        "{\"StartAt\": \"A\"\n«\"»States\": {}}",
        "was expecting comma",
        &["A comma is missing"],
    ),
    mistake("single quotes", "{«'»StartAt': 'A'}", "Unexpected character", &["double quotes only"]),
    mistake(
        "a comment",
        "{ «/»/ first\n\"StartAt\": \"A\"}",
        "Unexpected character",
        &["no comments", "Comment field"],
    ),
    mistake(
        "a bracket that is never closed",
        "{\"StartAt\": \"A\",\n\"States\": {\"A\": {\"Type\": \"Succeed\"}«}»",
        "end-of-input",
        &["never closed", "line 1"],
    ),
    mistake("a list for a definition", "[]", "must be a valid JSON object", &["StartAt and States"]),
    mistake(
        "no StartAt",
        r#"«{»"States": {"A": {"Type": "Succeed"}}}"#,
        "required: [StartAt]",
        &["Add \"StartAt\"", "the state to begin with"],
    ),
    mistake(
        "a field's name misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", «"Nxt"»: "B"}, "B": {"Type": "Succeed"}}}"#,
        "Field 'Nxt' is not supported",
        &["Did you mean \"Next\"?"],
    ),
    mistake(
        "StartAt misspelt",
        r#"{«"StartsAt"»: "A", "States": {"A": {"Type": "Succeed"}}}"#,
        "Field 'StartsAt' is not supported",
        &["Did you mean \"StartAt\"?"],
    ),
    mistake(
        "StartAt leads nowhere",
        r#"{"StartAt": «"Frist"», "States": {"First": {"Type": "Succeed"}}}"#,
        "Missing 'Next' target: Frist",
        &["Did you mean \"First\"?"],
    ),
    mistake(
        "Next leads nowhere",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": «"Done"»}, "End of it": {"Type": "Succeed"}}}"#,
        "Missing 'Next' target: Done",
        &["There is no state \"Done\"", "add it to States"],
    ),
    mistake(
        "Next leads out of a branch",
        r#"{"StartAt": "P", "States": {"P": {"Type": "Parallel", "Next": "Z", "Branches": [
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": «"Z"»}, "B": {"Type": "Succeed"}}}]},
            "Z": {"Type": "Succeed"}}}"#,
        "Missing 'Next' target: Z",
        &["another branch", "Lead to a state beside this one (\"A\", \"B\")"],
    ),
    mistake(
        "a state that nothing leads to",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Succeed"}, "Lost": «{»"Type": "Succeed"}}}"#,
        "State \"Lost\" is not reachable.",
        &["would never run", "Lead to it, or remove it"],
    ),
    mistake(
        "no end",
        r#"«{»"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}}}"#,
        "no terminal state",
        &["\"End\": true"],
    ),
    mistake(
        "neither Next nor End",
        r#"{"StartAt": "A", "States": {"A": «{»"Type": "Pass"}}}"#,
        "[Next, End]",
        &["add \"Next\"", "\"End\": true"],
    ),
    mistake(
        "Next and End",
        r#"{"StartAt": "A", "States": {"A": «{»"Type": "Pass", "Next": "B", "End": true}, "B": {"Type": "Succeed"}}}"#,
        "only be one of the following fields: [Next, End]",
        &["keep one and remove the others"],
    ),
    mistake(
        "End in quotes",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": «"true"»}}}"#,
        "Expected value of type Boolean",
        &["End must be true or false and is a text", "write true without quotes"],
    ),
    mistake(
        "no Type",
        r#"{"StartAt": "A", "States": {"A": «{»"Resource": "x", "End": true}}}"#,
        "required: [Type]",
        &["add \"Type\"", "Task"],
    ),
    mistake(
        "a type misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": «"Taks"», "End": true}}}"#,
        "The field 'Type' should have one of these values",
        &["Did you mean \"Task\"?"],
    ),
    mistake(
        "a type in small letters",
        r#"{"StartAt": "A", "States": {"A": {"Type": «"pass"», "End": true}}}"#,
        "The field 'Type' should have one of these values",
        &["Did you mean \"Pass\"?"],
    ),
    mistake(
        "a name used twice",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Map", "End": true, "ItemProcessor": {
            "StartAt": "A", "States": {"A": «{»"Type": "Succeed"}}}}}}"#,
        "Duplicate State name: A",
        &["unique in the whole definition", "rename"],
    ),
    mistake(
        "a Task without Resource",
        r#"{"StartAt": "A", "States": {"A": «{»"Type": "Task", "End": true}}}"#,
        "required: [Resource]",
        &["Add \"Resource\"", "arn:aws:states:::lambda:invoke"],
    ),
    mistake(
        "a resource that is no ARN",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": «"my-function"», "End": true}}}"#,
        "not a valid resource ARN",
        &["A resource is an ARN", ":function:name"],
    ),
    mistake(
        "an action misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": «"arn:aws:states:::lambda:invok"», "End": true}}}"#,
        "not recognized",
        &["Did you mean \"arn:aws:states:::lambda:invoke\"?"],
    ),
    mistake(
        "a pattern that an action does not take",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": «"arn:aws:states:::lambda:invoke.sync"», "End": true}}}"#,
        "not recognized",
        &["takes no \".sync\"", ".waitForTaskToken"],
    ),
    mistake(
        "an SDK action misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": «"arn:aws:states:::aws-sdk:s3:getObjekt"», "End": true}}}"#,
        "not recognized",
        &["s3 has no action \"getObjekt\"", "Did you mean \"getObject\"?"],
    ),
    mistake(
        "an SDK service misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": «"arn:aws:states:::aws-sdk:s33:getObject"», "End": true}}}"#,
        "not recognized",
        &["There is no service \"s33\"", "Did you mean \"s3\"?"],
    ),
    mistake(
        "a parameter that an SDK action does not have",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:s3:getObject",
            "Parameters": {"Bucket": "b", "Key": "k", «"Rnage"»: "x"}, "End": true}}}"#,
        "The field 'Rnage' is not supported",
        &["Did you mean \"Range\"?"],
    ),
    mistake(
        "a call without its function",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke",
            "Parameters": «{»"Function": "f"}, "End": true}}}"#,
        "The field 'FunctionName' is required",
        &["add \"FunctionName\"", "\"FunctionName.$\""],
    ),
    mistake(
        "a path without .$ in its name",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": {"id": «"$.order.id"»}, "End": true}}}"#,
        "looks like a JSONPath",
        &["name the field \"id.$\""],
    ),
    mistake(
        "a value that is no path",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": «{»"id.$": "order.id"}, "End": true}}}"#,
        "must be a valid JSONPath",
        &["Did you mean \"$.order.id\"?", "begins with $"],
    ),
    mistake(
        "an intrinsic function misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "Parameters": «{»"a.$": "States.Formt('{}', $.a)"}, "End": true}}}"#,
        "valid intrinsic function call",
        &["no intrinsic function States.Formt", "Did you mean \"States.Format\"?"],
    ),
    mistake(
        "a path that does not begin with $",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "InputPath": «"order"», "End": true}}}"#,
        "Value must be a valid JSONPath.",
        &["Did you mean \"$.order\"?"],
    ),
    mistake(
        "a ResultPath that names many places",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "ResultPath": «"$.list[*]"», "End": true}}}"#,
        "Value is not a Reference Path",
        &["names one place"],
    ),
    mistake(
        "a comparison misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [
            {"Variable": "$.a", «"StringEqual"»: "x", "Next": "B"}], "Default": "B"}, "B": {"Type": "Succeed"}}}"#,
        "Field 'StringEqual' is not supported",
        &["Did you mean \"StringEquals\"?"],
    ),
    mistake(
        "a rule without an operator",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [
            «{»"Variable": "$.a", "Next": "B"}]}, "B": {"Type": "Succeed"}}}"#,
        "should have only one of the following fields",
        &["one operator, such as StringEquals"],
    ),
    mistake(
        "a rule without Next",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [
            «{»"Variable": "$.a", "IsPresent": true}], "Default": "B"}, "B": {"Type": "Succeed"}}}"#,
        "required: [Next]",
        &["Add \"Next\"", "the state that this leads to"],
    ),
    mistake(
        "a number in quotes",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Choice", "Choices": [
            {"Variable": "$.a", "NumericEquals": «"5"», "Next": "B"}]}, "B": {"Type": "Succeed"}}}"#,
        "Expected value of type Double",
        &["write 5 without quotes"],
    ),
    mistake(
        "a Choice with Next",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Choice", «"Next"»: "B", "Choices": [
            {"Variable": "$.a", "IsNull": true, "Next": "B"}]}, "B": {"Type": "Succeed"}}}"#,
        "Field 'Next' is not supported",
        &["by its rules", "Default"],
    ),
    mistake(
        "an error name that is not in a list",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Parallel", "Branches": [{"StartAt": "C", "States": {"C": {"Type": "Succeed"}}}],
            "Catch": [{"ErrorEquals": «"States.ALL"», "Next": "B"}], "Next": "B"}, "B": {"Type": "Succeed"}}}"#,
        "Expected value of type Array",
        &["put it in brackets: [\"States.ALL\"]"],
    ),
    mistake(
        "States.ALL among others",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:us-east-1:1:activity:a",
            "Retry": [{"ErrorEquals": «[»"States.ALL", "States.Timeout"]}], "End": true}}}"#,
        "States.ALL must appear alone",
        &["an entry of its own", "the last one"],
    ),
    mistake(
        "an error name misspelt",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:us-east-1:1:activity:a",
            "TimeoutSeconds": 60, "Retry": [{"ErrorEquals": [«"States.Timout"»]}], "End": true}}}"#,
        "States.Timout",
        &["Did you mean \"States.Timeout\"?"],
    ),
    mistake(
        "Retry where nothing can be retried",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", «"Retry"»: [], "End": true}}}"#,
        "Field 'Retry' is not supported",
        &["a field of Task, Parallel, Map states"],
    ),
    mistake(
        "a back-off below one",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": "arn:aws:states:us-east-1:1:activity:a",
            "Retry": [{"ErrorEquals": ["E"], "BackoffRate": «0.5»}], "End": true}}}"#,
        "Minimum value is 1.0",
        &["Write a number of 1.0 or more"],
    ),
    mistake(
        "a Wait without a time",
        r#"{"StartAt": "A", "States": {"A": «{»"Type": "Wait", "End": true}}}"#,
        "should have only one of the following fields",
        &["\"Seconds\": 10"],
    ),
    mistake(
        "a time without a zone",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Wait", "Timestamp": «"2026-01-31 09:00"», "End": true}}}"#,
        "RFC3339",
        &["2026-01-31T09:00:00Z"],
    ),
    mistake(
        "a heartbeat longer than the time-out",
        r#"{"StartAt": "A", "States": {"A": «{»"Type": "Task", "Resource": "arn:aws:states:us-east-1:1:activity:a",
            "TimeoutSeconds": 10, "HeartbeatSeconds": 20, "End": true}}}"#,
        "HeartbeatSeconds (20) should be smaller",
        &["make HeartbeatSeconds smaller than TimeoutSeconds"],
    ),
    mistake(
        "JSONPath fields in JSONata",
        r#"{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Task",
            "Resource": "arn:aws:states:us-east-1:1:activity:a", «"Parameters"»: {}, "End": true}}}"#,
        "field 'Parameters' is only supported",
        &["Use Arguments", "{% … %}"],
    ),
    mistake(
        "JSONata fields in JSONPath",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", «"Output"»: {}, "End": true}}}"#,
        "field 'Output' is only supported",
        &["ResultPath", "\"QueryLanguage\": \"JSONata\""],
    ),
    mistake(
        "an expression that is not closed",
        r#"{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Output": «"{% 1 + 1"», "End": true}}}"#,
        "must start with {% and end with %}",
        &["Put the whole string in marks"],
    ),
    mistake(
        "two equals signs in JSONata",
        r#"{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Output": «"{% $states.input.a == 1 %}"», "End": true}}}"#,
        "INVALID_JSONATA_EXPRESSION",
        &["Equality is one ="],
    ),
    mistake(
        "a field at the top of an expression",
        r#"{"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Pass", "Output": «"{% order.id %}"», "End": true}}}"#,
        "at the top level is not supported",
        &["begin with $states.input"],
    ),
    mistake(
        "a query language misspelt",
        r#"{"QueryLanguage": «"Jsonata"», "StartAt": "A", "States": {"A": {"Type": "Succeed"}}}"#,
        "[JSONPath, JSONata]",
        &["Did you mean \"JSONata\"?"],
    ),
    mistake(
        "a Map without a processor",
        r#"{"StartAt": "A", "States": {"A": «{»"Type": "Map", "End": true}}}"#,
        "ItemProcessor",
        &["ItemProcessor"],
    ),
    mistake(
        "a state straight in a branch",
        r#"{"StartAt": "A", "States": {"A": {"Type": "Parallel", "End": true, "Branches": [{«"Type"»: "Pass", "End": true}]}}}"#,
        "Field 'Type' is not supported",
        &["States stand under States"],
    ),
];

/// A few services, as the server's catalog has all.
#[derive(Debug)]
struct Services;

impl SdkCatalog for Services {
    fn service(&self, name: &str) -> Option<Arc<dyn SdkService>> {
        (name == "s3").then(|| -> Arc<dyn SdkService> { Arc::new(Self) })
    }

    fn names(&self) -> Vec<String> {
        vec!["lambda".to_owned(), "s3".to_owned()]
    }
}

impl SdkService for Services {
    fn parameters(&self, action: &str) -> Option<Vec<(&str, bool)>> {
        (action == "getObject").then(|| vec![("Bucket", true), ("Key", true), ("Range", false)])
    }

    fn actions(&self) -> Vec<&str> {
        vec!["getObject", "putObject"]
    }
}

#[test]
fn the_commonest_mistakes_are_told_with_place_rule_and_way_out() {
    let options = Options { sdk: Some(&Services), ..Options::default() };
    let mut problems = Vec::new();
    for Mistake { what, definition, says, fix } in MISTAKES {
        let text = definition.replace(['«', '»'], "");
        let place = definition.find('«');
        let parsed = parse(&text, &options);
        let advice = advise(&text, &options, &parsed.diagnostics);
        assert_eq!(advice.len(), parsed.diagnostics.len());
        let diagnostics = parsed.diagnostics.iter().zip(&advice).map(|(diagnostic, advice)| {
            // Where a text is no JSON, the place is just behind what is wrong.
            let start = advice.span.map(|span| if span.start == span.end { span.start - 1 } else { span.start });
            (diagnostic.to_string(), start, advice.help.clone())
        });
        let findings = lint(&text, &options, None)
            .into_iter()
            .map(|finding| (finding.message.clone(), Some(finding.span.start), finding.suggestion));
        let said: Vec<_> = diagnostics.chain(findings).collect();
        let right = said.iter().any(|(message, start, help)| {
            message.contains(says)
                && fix.iter().all(|words| help.contains(words))
                && place.is_none_or(|place| *start == Some(place))
        });
        if !right {
            problems.push(format!("{what}: at {place:?} {says:?} {fix:?}, but said: {said:#?}"));
        }
        for (message, _, help) in &said {
            if help.len() < 20 || help.contains("states-language.net") {
                problems.push(format!("{what}: no advice on {message}"));
            }
        }
    }
    assert!(MISTAKES.len() >= 40);
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}
