//! What the service itself made of every Pass state that was recorded, as far as
//! it speaks JSONPath: output, assigned variables, and the words of a failure.
//!
//! The recordings are not part of this repository. Without them beside it the
//! test says so and checks nothing.

#[expect(dead_code, reason = "only the world is used here")]
mod common;

use common::World;
use serde_json::{Map, Value, json};
use std::path::{Path as File, PathBuf};
use stepwright_querylang::{Environment, Path, ReferencePath, Scope, Template};

/// The variables of an execution; everything else is that of every test.
struct Variables<'w> {
    world: &'w World,
    values: &'w Map<String, Value>,
}

impl Environment for Variables<'_> {
    fn context(&self) -> &Value {
        self.world.context()
    }

    fn variable(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    fn random(&self) -> u64 {
        self.world.random()
    }
}

#[derive(Default)]
struct Tally {
    outputs: usize,
    failures: usize,
    wrong: Vec<String>,
}

#[test]
fn recorded_pass_states() {
    let root = File::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/corpus/tests");
    let mut files = Vec::new();
    collect(&root, &mut files);
    if files.is_empty() {
        println!("skipped: the recordings are not beside the repository, in {}", root.display());
        return;
    }
    files.sort();
    let mut tally = Tally::default();
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a recording can be read");
        let case: Value = serde_json::from_str(&text).expect("a recording is JSON");
        let name = case["test"].as_str().unwrap_or_default().to_owned();
        let words = |list: &str| case[list].as_array().cloned().unwrap_or_default();
        let loose = [words("same_value_words"), words("any_value_words")].concat();
        check_case(&name, &case, &loose, &mut tally);
    }
    println!("{} outputs and {} failures compared", tally.outputs, tally.failures);
    assert!(tally.wrong.is_empty(), "{}", tally.wrong.join("\n"));
    assert!(tally.outputs >= 60 && tally.failures >= 2, "the recordings are not read as they should be");
}

fn collect(folder: &File, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
}

/// All histories of a case, each against the definition that was created last before it.
fn check_case(name: &str, case: &Value, loose: &[Value], tally: &mut Tally) {
    let mut states = Map::new();
    for step in case["steps"].as_array().into_iter().flatten() {
        if let Some(definition) = step["request"]["definition"].as_str() {
            let definition = serde_json::from_str(definition).unwrap_or_default();
            states.clear();
            pass_states(&definition, &definition["QueryLanguage"], &mut states);
        }
        for check in step["checks"].as_array().into_iter().flatten() {
            if let Some(events) = check["expect"]["events"].as_array() {
                check_history(name, events, &states, loose, tally);
            }
        }
    }
}

/// The Pass states of a definition that speak JSONPath, by name, at any depth.
fn pass_states(node: &Value, language: &Value, found: &mut Map<String, Value>) {
    match node {
        Value::Object(members) => {
            for (name, state) in node["States"].as_object().into_iter().flatten() {
                let language = state.get("QueryLanguage").unwrap_or(language);
                if state["Type"] == "Pass" && language != "JSONata" {
                    found.insert(name.clone(), state.clone());
                }
            }
            members.values().for_each(|member| pass_states(member, language, found));
        }
        Value::Array(elements) => elements.iter().for_each(|element| pass_states(element, language, found)),
        _ => {}
    }
}

fn check_history(name: &str, events: &[Value], states: &Map<String, Value>, loose: &[Value], tally: &mut Tally) {
    let world = World::new();
    let mut variables = Map::new();
    for (at, event) in events.iter().enumerate() {
        let entered = &event["stateEnteredEventDetails"];
        if let Some(state) = entered["name"].as_str().and_then(|name| states.get(name))
            && !state.to_string().contains("$$")
            && let Some(next) = events[at + 1..].iter().find(|next| next["previousEventId"] == event["id"])
        {
            let environment = Variables { world: &world, values: &variables };
            let result = run(state, &shown(&entered["input"]), &environment);
            compare(name, entered["name"].as_str().unwrap_or_default(), &result, next, loose, tally);
        }
        for (variable, text) in event["stateExitedEventDetails"]["assignedVariables"].as_object().into_iter().flatten()
        {
            variables.insert(variable.clone(), shown(text));
        }
    }
}

fn compare(
    case: &str,
    state: &str,
    result: &Result<(Value, Value), String>,
    next: &Value,
    loose: &[Value],
    tally: &mut Tally,
) {
    let failed = &next["executionFailedEventDetails"];
    let exited = &next["stateExitedEventDetails"];
    if let Some(cause) = failed["cause"].as_str() {
        let words = cause.split_once("). ").map_or(cause, |(_, words)| words);
        // From a `<` on, a placeholder stands for what was there.
        let known = words.split('<').next().unwrap_or_default();
        tally.failures += 1;
        match result {
            Err(message) if message.starts_with(known) => {}
            other => tally.wrong.push(format!("{case}, {state}: {other:?} instead of {cause}")),
        }
    } else if exited["name"] == state {
        tally.outputs += 1;
        match result {
            Ok((output, assigned)) => {
                let expected = shown(&exited["output"]);
                if !same(output, &expected, loose) {
                    tally.wrong.push(format!("{case}, {state}: {output} instead of {expected}"));
                }
                for (variable, text) in exited["assignedVariables"].as_object().into_iter().flatten() {
                    if !same(&assigned[variable], &shown(text), loose) {
                        tally
                            .wrong
                            .push(format!("{case}, {state}, ${variable}: {} instead of {text}", assigned[variable]));
                    }
                }
            }
            Err(message) => tally.wrong.push(format!("{case}, {state}: {message}")),
        }
    }
}

/// A payload as the recordings show it: an object, or the text of any other JSON value.
fn shown(value: &Value) -> Value {
    value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_else(|| value.clone())
}

/// Equality, but for placeholders, for what depends on the run, and for texts of objects shown as objects.
fn same(got: &Value, expected: &Value, loose: &[Value]) -> bool {
    match (got, expected) {
        (_, Value::String(text)) if text.contains('<') => true,
        (_, expected) if loose.iter().filter_map(Value::as_str).any(|word| *expected == word) => true,
        (Value::String(text), Value::Object(_) | Value::Number(_)) => {
            serde_json::from_str(text).is_ok_and(|value: Value| same(&value, expected, loose))
        }
        (Value::Array(got), Value::Array(expected)) => {
            got.len() == expected.len() && got.iter().zip(expected).all(|(got, expected)| same(got, expected, loose))
        }
        (Value::Object(got), Value::Object(expected)) => {
            got.len() == expected.len()
                && expected.iter().all(|(key, value)| got.get(key).is_some_and(|got| same(got, value, loose)))
        }
        _ => got == expected,
    }
}

/// A Pass state: its output, and the variables it assigns.
fn run(state: &Value, input: &Value, environment: &dyn Environment) -> Result<(Value, Value), String> {
    let path = |field: &str, input: &Value| match &state[field] {
        Value::String(text) => {
            let path = Path::parse(text).map_err(|error| error.to_string())?;
            let value = path.evaluate(&Scope { input, environment }).map_err(|error| error.message)?;
            Ok(value.into_owned())
        }
        Value::Null if state.get(field).is_some() => Ok(json!({})),
        _ => Ok::<Value, String>(input.clone()),
    };
    let template = |field: &str, input: &Value| match state.get(field) {
        Some(template) => {
            let template = Template::compile(template).map_err(|errors| format!("{errors:?}"))?;
            template.evaluate(&Scope { input, environment }).map_err(|error| error.message)
        }
        None => Ok(input.clone()),
    };
    let effective = template("Parameters", &path("InputPath", input)?)?;
    let result = state.get("Result").cloned().unwrap_or(effective);
    let assigned = if state.get("Assign").is_some() { template("Assign", &result)? } else { json!({}) };
    let joined = match &state["ResultPath"] {
        Value::String(text) => {
            let place = ReferencePath::parse(text).map_err(|error| error.to_string())?;
            place.insert(input.clone(), result).map_err(|error| error.message)?
        }
        _ if state.get("ResultPath").is_some() => input.clone(),
        _ => result,
    };
    Ok((path("OutputPath", &joined)?, assigned))
}
