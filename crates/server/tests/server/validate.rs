//! `stepwright validate`: many definitions at once, in JSON and YAML, and the formats for machines.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Said, say};

const RIGHT: &str = r#"{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}"#;
const YAML: &str = "# A comment\nStartAt: A\nStates:\n  A:\n    Type: Pas\n    End: true\n";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("writes");
    fs::create_dir_all(folder.path().join("flows/node_modules")).expect("a folder");
    write("flows/right.asl.json", RIGHT);
    write("flows/wrong.asl.yaml", YAML);
    write("flows/package.json", "{}");
    write("flows/node_modules/other.asl.json", "{}");
    folder
}

fn validate(folder: &Path, arguments: &[&str]) -> Said {
    say(folder, &[&["validate"], arguments].concat(), "")
}

#[test]
fn folders_are_searched_and_yaml_keeps_its_lines() {
    let folder = folder();
    let said = validate(folder.path(), &["flows"]);
    said.ended(
        1,
        &[
            "error[SCHEMA_VALIDATION_FAILED]: The field 'Type' should have one of these values",
            "--> flows/wrong.asl.yaml:5:11",
            "5 |     Type: Pas",
            "= help: Did you mean \"Pass\"?",
            "error: flows/wrong.asl.yaml: 1 error, 0 warnings",
        ],
    );
    assert_eq!(said.stdout, "flows/right.asl.json: valid, 0 warnings\n");
    assert!(!said.stderr.contains("package") && !said.stderr.contains("node_modules"), "{}", said.stderr);
}

#[test]
fn yaml_is_run_as_well() {
    let folder = folder();
    fs::write(folder.path().join("right.yml"), YAML.replace("Pas", "Pass")).expect("writes");
    let ran = say(folder.path(), &["run", "right.yml", "--quiet", "--input", "7"], "");
    ran.ended(0, &[]);
    assert_eq!(ran.stdout, "7\n");
    say(folder.path(), &["validate", "-"], &YAML.replace("Pas", "Pass")).ended(0, &[]);
    fs::write(folder.path().join("broken.yaml"), "StartAt: [A\nStates: {}\n").expect("writes");
    validate(folder.path(), &["broken.yaml"]).ended(1, &["error[INVALID_YAML]", "--> broken.yaml:"]);
    say(folder.path(), &["run", "broken.yaml"], "").ended(2, &["error[INVALID_YAML]"]);
}

#[test]
fn the_exit_code_tells_wrong_from_unreadable() {
    let folder = folder();
    validate(folder.path(), &["flows/right.asl.json"]).ended(0, &[]);
    validate(folder.path(), &["flows/wrong.asl.yaml"]).ended(1, &[]);
    let said = validate(folder.path(), &["flows/wrong.asl.yaml", "none.json", "flows/right.asl.json"]);
    said.ended(2, &["none.json cannot be read", "Did you mean \"Pass\"?"]);
    assert!(said.stdout.contains("right.asl.json: valid"), "{}", said.stdout);
    fs::create_dir(folder.path().join("empty")).expect("a folder");
    validate(folder.path(), &["empty"]).ended(2, &["the folder empty has no definitions", ".asl.yaml"]);
}

#[test]
fn json_has_every_file_with_its_diagnostics() {
    let folder = folder();
    let said = validate(folder.path(), &["flows", "--format", "json"]);
    said.ended(1, &[]);
    let said = said.json();
    assert_eq!(said["result"], "FAIL");
    let results: Vec<&Value> = said["files"].as_array().expect("files").iter().map(|file| &file["result"]).collect();
    assert_eq!(results, [&json!("OK"), &json!("FAIL")]);
    let diagnostic = &said["files"][1]["diagnostics"][0];
    assert_eq!(diagnostic["location"], "/States/A/Type");
    let place = ["line", "column", "endLine", "endColumn"].map(|member| diagnostic[member].as_u64());
    assert_eq!(place, [Some(5), Some(11), Some(5), Some(14)]);
    assert!(diagnostic["suggestion"].as_str().is_some_and(|text| text.contains("\"Pass\"")), "{diagnostic}");
}

#[test]
fn github_gets_a_command_a_problem() {
    let folder = folder();
    let said = validate(folder.path(), &["flows", "--format", "github"]);
    said.ended(1, &[]);
    let line = said.stdout.lines().next().expect("a line");
    assert!(
        line.starts_with(
            "::error file=flows/wrong.asl.yaml,line=5,endLine=5,col=11,endColumn=14,title=SCHEMA_VALIDATION_FAILED::"
        ),
        "{line}"
    );
    assert!(line.contains("%0ADid you mean"), "{line}");
    assert_eq!(said.stdout.lines().count(), 1, "{}", said.stdout);
}

#[test]
fn sarif_has_rules_results_and_regions() {
    let folder = folder();
    let said = validate(folder.path(), &["flows", "--format", "sarif"]);
    said.ended(1, &[]);
    let said = said.json();
    assert_eq!(said["version"], "2.1.0");
    let run = &said["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "SCHEMA_VALIDATION_FAILED");
    let result = &run["results"][0];
    assert_eq!((&result["level"], &result["ruleId"]), (&json!("error"), &json!("SCHEMA_VALIDATION_FAILED")));
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "flows/wrong.asl.yaml");
    assert_eq!(place["region"], json!({"startLine": 5, "startColumn": 11, "endLine": 5, "endColumn": 14}));
    validate(folder.path(), &["flows/right.asl.json", "--format", "sarif"]).ended(0, &[]);
}

#[test]
fn a_definition_does_not_write_on_the_terminal_as_it_likes() {
    let name = "A\u{1b}[2J";
    let definition = json!({"StartAt": name, "States": {name: {"Type": "Pass", "Next": "\u{1b}[31mB"}}}).to_string();
    let raw = "StartAt: \"A\"\nStates:\n  A: {Type: \"Pas\u{9b}x\", End: true}\n";
    for text in [definition.as_str(), raw] {
        let said = say(&std::env::temp_dir(), &["validate", "-"], text);
        said.ended(1, &["error["]);
        assert!(!said.stderr.contains(['\u{1b}', '\u{9b}']), "{:?}", said.stderr);
    }
}
