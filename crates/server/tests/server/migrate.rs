//! `stepwright migrate jsonata`: definitions and their rewritten form, both run on recorded inputs; what is refused;
//! and the verb as a user calls it.
//!
//! The definitions are files in `tests/migrate`: a description, the definition, and runs, each an input with the output
//! of the original, or with how it ended otherwise.

use std::{fs, path::Path, sync::Mutex};

use serde_json::{Value, json};
use stepwright_querylang::intrinsic::Function;

use crate::support::{Said, say};

/// Errors of a state that cannot evaluate what it asks of its data. Each language has its own, and causes that quote
/// its expressions.
const EVALUATION: [&str; 4] =
    ["States.Runtime", "States.IntrinsicFailure", "States.ParameterPathFailure", "States.ResultPathMatchFailure"];

/// A recorded definition.
struct Case {
    name: String,
    text: String,
    case: Value,
}

fn cases() -> Vec<Case> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate");
    let files = fs::read_dir(directory).expect("the directory of definitions");
    let read = |file: fs::DirEntry| {
        let text = fs::read_to_string(file.path()).expect("a file");
        let name = file.path().file_stem().expect("a name").to_string_lossy().into_owned();
        let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Case { name, text, case }
    };
    files.map(|file| read(file.expect("an entry"))).collect()
}

/// With one spelling of numbers: JSONPath copies `1.0`, JSONata makes `1` of it.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(0.0) => json!(0.0),
            float => json!(float),
        },
        Value::Array(elements) => elements.iter().map(normal).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), normal(value))).collect(),
        _ => value.clone(),
    }
}

/// How a run must end, in either language.
fn expected(run: &Value) -> Value {
    let mut expected = run.clone();
    let members = expected.as_object_mut().expect("an object");
    members.remove("input");
    if !members.contains_key("status") {
        members.insert("status".to_owned(), json!("SUCCEEDED"));
    }
    normal(&expected)
}

fn prove(Case { name, case, .. }: &Case) {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("d.json"), case["definition"].to_string()).expect("writes");
    let runs = case["runs"].as_array().expect("runs");
    assert!(runs.len() >= 2, "{name}");
    let mut arguments = ["migrate", "jsonata", "d.json", "--json", "--timeout", "60"].map(str::to_owned).to_vec();
    arguments.extend(runs.iter().map(|run| format!("--input={}", run["input"])));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = say(directory.path(), &arguments, "");
    assert_eq!(said.code, Some(0), "{name}: {}", said.stderr);
    let compared = said.json();
    assert_eq!(compared["definition"]["QueryLanguage"], "JSONata", "{name}");
    assert_eq!(compared["runs"].as_array().map(Vec::len), Some(runs.len()), "{name}");
    for (run, outcome) in runs.iter().zip(compared["runs"].as_array().expect("runs")) {
        let at = format!("{name} on {}", run["input"]);
        assert_eq!(outcome["same"], true, "{at}: {outcome:#}");
        let (before, after) = (normal(&outcome["jsonpath"]), normal(&outcome["jsonata"]));
        let expected = expected(run);
        if EVALUATION.contains(&run["error"].as_str().unwrap_or_default()) {
            assert_eq!((&before["status"], &before["error"]), (&expected["status"], &expected["error"]), "{at}");
            assert_eq!(after["status"], expected["status"], "{at}");
            let error = after["error"].as_str();
            assert!(matches!(error, Some("States.QueryEvaluationError" | "States.Runtime")), "{at}: {after:#}");
        } else {
            assert_eq!(before, expected, "{at}, JSONPath");
            assert_eq!(after, expected, "{at}, JSONata");
        }
    }
}

#[test]
fn a_rewritten_definition_does_what_the_original_did() {
    let cases = cases();
    assert!(cases.len() >= 50, "{}", cases.len());
    // A server in memory for each, a few at a time.
    let waiting = Mutex::new(cases.iter());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().expect("no case has failed").next();
                    let Some(case) = next else { break };
                    prove(case);
                }
            });
        }
    });
}

#[test]
fn the_recorded_definitions_use_the_whole_language() {
    let cases = cases();
    let uses = |what: &str| cases.iter().any(|case| case.text.contains(what));
    let functions = Function::ALL.map(Function::name);
    let missing: Vec<&str> = functions.into_iter().filter(|name| !uses(&format!("{name}("))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let states = ["Pass", "Task", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map"];
    assert!(states.iter().all(|kind| uses(&format!("\"Type\": \"{kind}\""))), "{states:?}");
    let mut operators: Vec<String> =
        ["And", "Or", "Not", "IsPresent", "IsNull", "IsString", "IsNumeric", "IsBoolean", "IsTimestamp"]
            .map(str::to_owned)
            .to_vec();
    operators.extend(["StringMatches", "BooleanEquals", "BooleanEqualsPath"].map(str::to_owned));
    for kind in ["String", "Numeric", "Timestamp"] {
        for order in ["Equals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"] {
            operators.extend([format!("{kind}{order}"), format!("{kind}{order}Path")]);
        }
    }
    // The names of some are the beginnings of others, so the quotes count.
    let missing: Vec<&String> = operators.iter().filter(|operator| !uses(&format!("\"{operator}\": "))).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let fields = ["InputPath", "Parameters", "Result", "ResultSelector", "ResultPath", "OutputPath", "Assign"];
    let more =
        ["ItemsPath", "ItemSelector", "SecondsPath", "TimestampPath", "ErrorPath", "CausePath", "Retry", "Catch"];
    let missing: Vec<&&str> = fields.iter().chain(&more).filter(|field| !uses(&format!("\"{field}\": "))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// `migrate jsonata` on a definition in a file, in a directory of its own.
fn migrate(definition: &Value, arguments: &[&str]) -> Said {
    let directory = tempfile::tempdir().expect("a directory");
    migrate_in(directory.path(), definition, arguments)
}

fn migrate_in(directory: &Path, definition: &Value, arguments: &[&str]) -> Said {
    fs::write(directory.join("d.json"), format!("{definition:#}")).expect("writes");
    say(directory, &[&["migrate", "jsonata", "d.json"], arguments].concat(), "")
}

/// A definition of one state, and of the one that a Choice leads to.
fn alone(mut state: Value) -> Value {
    if state["Type"] == "Choice" {
        return json!({"StartAt": "S", "States": {"S": state, "T": {"Type": "Succeed"}}});
    }
    state["End"] = json!(true);
    json!({"StartAt": "S", "States": {"S": state}})
}

#[test]
fn what_has_no_equal_is_refused_with_its_place_and_the_reason() {
    let inner = json!({"StartAt": "I", "States": {"I": {"Type": "Pass", "InputPath": "$['a','b'].c", "End": true}}});
    let template = |text: &str| json!({"Type": "Pass", "Parameters": {"v.$": text}});
    for (state, location, text, reason) in [
        (template("$..[0]"), "/States/S/Parameters", "$..[0]", "'..' without a name or a filter"),
        (template("$.list[2,0]"), "/States/S/Parameters", "$.list[2,0]", "does not ascend"),
        (template("$.list[-3::2]"), "/States/S/Parameters", "$.list[-3::2]", "negative start"),
        (template("$.list.stddev()"), "/States/S/Parameters", "$.list.stddev()", "no equal"),
        (template("$.list[?(@.tags subsetof ['x'])]"), "/States/S/Parameters", "subsetof", "'in'"),
        (template("$.list[?(@.name =~ /\\p{Lu}+/)]"), "/States/S/Parameters", "\\p{Lu}", "not read alike"),
        (template("States.MathRandom(1, 9, $.seed)"), "/States/S/Parameters", "MathRandom", "seed"),
        (template("States.Format($.template, 1)"), "/States/S/Parameters", "$.template", "written out"),
        (template("States.StringSplit($.text, $.by)"), "/States/S/Parameters", "$.by", "written out"),
        (json!({"Type": "Pass", "ResultPath": "$.list[0]"}), "/States/S/ResultPath", "$.list[0]", "build it anew"),
        (
            json!({"Type": "Parallel", "Branches": [inner]}),
            "/States/S/Branches[0]/States/I/InputPath",
            "$['a','b'].c",
            "several names",
        ),
        (json!({"Type": "Map", "ItemProcessor": inner}), "/States/S/ItemProcessor/States/I/InputPath", ".c", "names"),
        (
            json!({"Type": "Choice", "Default": "T", "Choices": [
                {"Variable": "$.a", "IsPresent": true, "Next": "T"}, {"Variable": "$..*", "IsPresent": true, "Next": "T"}]}),
            "/States/S/Choices[1]",
            "$..*",
            "'..' without",
        ),
        // Both would be another one in JSONata.
        (
            json!({"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}, "Assign": {"order.$": "$.id"}}),
            "/States/S",
            "Assign",
            "a random value of its own",
        ),
        (
            json!({"Type": "Pass", "Parameters": {"n.$": "States.ArrayLength($.list)"}, "Assign": {"count": 1}}),
            "/States/S",
            "$count",
            "hides the function",
        ),
    ] {
        let definition = alone(state);
        let said = migrate(&definition, &["--json", "--output", "new.json", "--input", "{}"]);
        said.ended(2, &["d.json has a part without an equal in JSONata", location, reason]);
        let refused = &said.json()["refused"];
        assert_eq!(refused.as_array().map(Vec::len), Some(1), "{refused:#}");
        assert_eq!(refused[0]["location"], location);
        assert!(refused[0]["text"].as_str().is_some_and(|shown| shown.contains(text)), "{refused:#}");
        assert!(refused[0]["reason"].as_str().is_some_and(|shown| shown.contains(reason)), "{refused:#}");
    }
}

#[test]
fn all_that_is_refused_is_named_at_once_and_nothing_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let definition = json!({"StartAt": "A", "States": {
        "A": {"Type": "Pass", "Parameters": {"a.$": "$..*", "b": [{"c.$": "$..[1]"}]}, "ResultPath": "$.x[1]", "Next": "B"},
        "B": {"Type": "Succeed", "OutputPath": "$['a','b'].c"},
    }});
    let said = migrate_in(directory.path(), &definition, &["--output", "new.json"]);
    let parts = ["has parts without", "'$..*'", "'$..[1]'", "/States/A/ResultPath", "/States/B/OutputPath"];
    said.ended(2, &parts);
    assert!(said.stdout.is_empty(), "{}", said.stdout);
    assert!(!directory.path().join("new.json").exists());
}

#[test]
fn the_result_is_a_definition_and_the_notes_go_to_stderr() {
    let definition = json!({"Comment": "c", "StartAt": "A", "States": {
        "A": {"Type": "Pass", "Parameters": {"all.$": "$.list[*].id", "hi.$": "States.Format('hi {}', $.name)"},
              "ResultPath": "$.a", "Next": "B"},
        "B": {"Type": "Succeed"},
    }});
    let directory = tempfile::tempdir().expect("a directory");
    let said = migrate_in(directory.path(), &definition, &[]);
    said.ended(0, &["note: '[*]'", "note: States.Format"]);
    assert_eq!(
        said.json(),
        json!({"QueryLanguage": "JSONata", "Comment": "c", "StartAt": "A", "States": {
            "A": {"Type": "Pass", "Next": "B",
                  "Output": "{% $merge([$states.input, {\"a\": {\"all\": [$map($states.input.list, \
                             function($item) { $item.id })[]], \"hi\": \"hi \" & $states.input.name}}]) %}"},
            "B": {"Type": "Succeed"},
        }})
    );
    // The same from stdin, and what it prints is valid.
    let piped = say(directory.path(), &["migrate", "jsonata", "-"], &definition.to_string());
    piped.ended(0, &[]);
    assert_eq!(piped.stdout, said.stdout);
    say(directory.path(), &["validate", "-"], &said.stdout).ended(0, &[]);
    // There is nothing to rewrite in what comes out.
    let again = say(directory.path(), &["migrate", "jsonata", "-"], &said.stdout);
    again.ended(0, &["note: the definition speaks JSONata already"]);
    assert_eq!(again.stdout, said.stdout);
}

#[test]
fn a_distributed_map_with_all_its_parts_stays_valid() {
    let definition = alone(json!({
        "Type": "Map", "InputPath": "$.job", "MaxConcurrencyPath": "$.speed", "ToleratedFailureCountPath": "$.bad", "Label": "big",
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "Parameters": {"Bucket.$": "$.bucket", "Key": "k"},
                       "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItemsPath": "$.most"}},
        "ItemSelector": {"row.$": "$$.Map.Item.Value", "job.$": "$.name"},
        "ItemBatcher": {"BatchInput": {"job.$": "$.name"}, "MaxItemsPerBatchPath": "$.batch"},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "P",
                          "States": {"P": {"Type": "Pass", "InputPath": "$.Items", "End": true}}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket.$": "$.bucket", "Prefix.$": "$.name"}},
        "ResultPath": "$.done",
    }));
    let said = migrate(&definition, &[]);
    said.ended(0, &[]);
    let map = &said.json()["States"]["S"];
    assert_eq!(map["MaxConcurrency"], "{% $states.input.job.speed %}");
    assert_eq!(map["ToleratedFailureCount"], "{% $states.input.job.bad %}");
    assert_eq!(
        map["ItemReader"],
        json!({"Resource": "arn:aws:states:::s3:getObject", "Arguments": {"Bucket": "{% $states.input.job.bucket %}", "Key": "k"},
               "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItems": "{% $states.input.job.most %}"}})
    );
    assert_eq!(
        map["ItemBatcher"],
        json!({"BatchInput": {"job": "{% $states.input.job.name %}"}, "MaxItemsPerBatch": "{% $states.input.job.batch %}"})
    );
    assert_eq!(map["ResultWriter"]["Arguments"]["Prefix"], "{% $states.input.job.name %}");
    assert_eq!(map["ItemProcessor"]["States"]["P"]["Output"], "{% $states.input.Items %}");
    assert_eq!(map["Output"], "{% $merge([$states.input, {\"done\": $states.result}]) %}");
}

#[test]
fn a_file_is_written_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let definition = alone(json!({"Type": "Pass", "OutputPath": "$.a"}));
    let said = migrate_in(directory.path(), &definition, &["--output", "new.json", "--input", "{\"a\": [1]}"]);
    said.ended(0, &["input 1: same outcome: {\"status\":\"SUCCEEDED\",\"output\":[1]}"]);
    assert!(said.stdout.is_empty(), "{}", said.stdout);
    let written = fs::read_to_string(directory.path().join("new.json")).expect("written");
    assert!(written.contains("\"{% $states.input.a %}\""), "{written}");

    let other = alone(json!({"Type": "Pass", "OutputPath": "$.b"}));
    let said = migrate_in(directory.path(), &other, &["--output", "new.json"]);
    said.ended(2, &["new.json exists", "--output"]);
    assert_eq!(fs::read_to_string(directory.path().join("new.json")).expect("still there"), written);
    let said = migrate_in(directory.path(), &other, &["--output", "none/new.json"]);
    said.ended(1, &["none/new.json cannot be written"]);
}

#[test]
fn outcomes_that_differ_are_shown_and_fail() {
    // A rule about what is missing fails in JSONPath alone, as the note says.
    let definition = alone(json!({"Type": "Choice", "Default": "T",
                                  "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "T"}]}));
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("two.json"), "{\"a\": 2, \"x\": 1.0}\n").expect("writes");
    let said = migrate_in(directory.path(), &definition, &["--input", "@two.json", "--input", "{}", "--json"]);
    let parts = ["note: a rule about a value that is missing", "input 1: same", "input 2: DIFFERENT", "1 of 2 inputs"];
    said.ended(1, &parts);
    let runs = &said.json()["runs"];
    assert_eq!((&runs[0]["same"], &runs[1]["same"]), (&json!(true), &json!(false)));
    assert_eq!(runs[0]["jsonata"], json!({"status": "SUCCEEDED", "output": {"a": 2, "x": 1.0}}));
    assert_eq!(runs[1]["jsonpath"]["error"], "States.Runtime");
    assert_eq!(runs[1]["jsonata"]["output"], json!({}));
    let one = migrate(&definition, &["--input", "{}"]);
    one.ended(1, &["1 of 1 input gave another outcome"]);
    assert_eq!(one.json()["QueryLanguage"], "JSONata", "to look at");
}

#[test]
fn digits_that_jsonata_does_not_have_are_a_difference() {
    let definition = alone(json!({"Type": "Pass", "Parameters": {"n.$": "$.n"}}));
    let whole = migrate(&definition, &["--input", "{\"n\": 9007199254740993}"]);
    whole.ended(1, &["DIFFERENT", "9007199254740993", "9007199254740992"]);
    let same =
        migrate(&definition, &["--input", "{\"n\": 1e3}", "--input", "{\"n\": -0.0}", "--input", "{\"n\": 1e19}"]);
    same.ended(0, &["input 3: same outcome"]);
}

#[test]
fn a_run_that_does_not_end_is_stopped() {
    let definition = alone(json!({"Type": "Wait", "SecondsPath": "$.s"}));
    let said = migrate(&definition, &["--timeout", "0.2", "--input", "{\"s\": 100000}"]);
    said.ended(1, &["{\"s\": 100000}", "stopped", "nothing is compared"]);
    migrate(&definition, &["--timeout", "-1", "--input", "{}"]).ended(2, &["--timeout"]);
    migrate(&definition, &["--timeout", "1"]).ended(2, &["--input"]);
}

#[test]
fn mistakes_of_the_caller_end_with_2() {
    let directory = tempfile::tempdir().expect("a directory");
    let pass = alone(json!({"Type": "Pass"}));
    let check = |arguments: &[&str], stdin: &str, parts: &[&str]| {
        say(directory.path(), &[&["migrate"], arguments].concat(), stdin).ended(2, parts);
    };
    check(&["jsonata", "none.json"], "", &["none.json cannot be read"]);
    check(&["jsonata", "-"], "{\"StartAt\": ", &["error[", "<stdin>"]);
    check(&["jsonata", "-"], "[1]", &["<stdin>", "1 error"]);
    check(
        &["jsonata", "-"],
        "{\"StartAt\": \"A\", \"States\": {\"B\": {\"Type\": \"Succeed\"}}}",
        &["error[", "StartAt"],
    );
    check(&["jsonata", "-", "--input", "-"], &pass.to_string(), &["stdin"]);
    check(&["jsonata", "-", "--input", "{a}"], &pass.to_string(), &["the input is not JSON"]);
    check(&["jsonata", "-", "--input", "@none.json"], &pass.to_string(), &["none.json cannot be read"]);
    check(&["jsonata"], "", &["DEFINITION"]);
    check(&["cobol", "-"], "", &["cobol"]);
}
