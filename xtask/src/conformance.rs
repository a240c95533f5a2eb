//! `cargo xtask conformance`: replays calls whose answers were recorded from AWS and guards the score.
//!
//! The recordings are not part of this repository; their runner stands beside it. What is in scope is computed from
//! each case's own data, never from a list of names, and what fails in scope must stand in
//! `tests/conformance/exceptions.toml` with its reason. The score in `tests/conformance/score.json` may only rise.

use crate::workspace::{command, root, server_binary, target};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// The areas of the recordings that are served now.
const AREAS: &[&str] = &[
    "activities",
    "api",
    "arguments",
    "assign",
    "base",
    "callback",
    "choice_operators",
    "comments",
    "context_object",
    "error_handling",
    "evaluate_jsonata",
    "express",
    "intrinsic_functions",
    "logs",
    "outputdecl",
    "query_language",
    "scenarios",
    "services",
    "states_variables",
    "test_state",
    "timeouts",
];

/// The operations that are served now.
const SERVED: &[&str] = &[
    "CreateActivity",
    "CreateStateMachine",
    "CreateStateMachineAlias",
    "DeleteActivity",
    "DeleteStateMachine",
    "DeleteStateMachineAlias",
    "DeleteStateMachineVersion",
    "DescribeActivity",
    "DescribeExecution",
    "DescribeMapRun",
    "DescribeStateMachine",
    "DescribeStateMachineAlias",
    "DescribeStateMachineForExecution",
    "GetActivityTask",
    "GetExecutionHistory",
    "ListActivities",
    "ListExecutions",
    "ListMapRuns",
    "ListStateMachineAliases",
    "ListStateMachineVersions",
    "ListStateMachines",
    "ListTagsForResource",
    "PublishStateMachineVersion",
    "RedriveExecution",
    "SendTaskFailure",
    "SendTaskHeartbeat",
    "SendTaskSuccess",
    "StartExecution",
    "StartSyncExecution",
    "StopExecution",
    "TagResource",
    "TestState",
    "UntagResource",
    "UpdateMapRun",
    "UpdateStateMachine",
    "UpdateStateMachineAlias",
    "ValidateStateMachineDefinition",
];

/// The services whose integrations (`arn:aws:states:::SERVICE:…`) states can call now, besides `aws-sdk:*`: Task
/// states, and distributed Maps for their items and results (`s3`).
const INTEGRATIONS: &[&str] = &["dynamodb", "events", "lambda", "s3", "sns", "sqs", "states"];

/// The services that cases may need of the stand-ins: tasks call them, records and status events are sent to them, and
/// a queue is where the cases look for events.
const NEEDS: &[&str] = &["dynamodb", "events", "lambda", "logs", "s3", "secretsmanager", "sns", "sqs"];

/// The port of the stand-ins for other services, which the runner does not choose.
const STAND_IN_PORT: u16 = 4566;

/// At most this share of the cases in scope may stand on the list of exceptions.
const MAX_EXCEPTIONS_PERCENT: usize = 3;

/// Replay the recordings, all of them or a part; only a whole run is held against the score.
#[derive(clap::Args, Default)]
pub(crate) struct Options {
    /// Only cases whose file name matches this regular expression
    #[arg(short, default_value = "")]
    k: String,
    /// Only this area; repeatable
    #[arg(long)]
    area: Vec<String>,
    /// Print the differences of cases that fail
    #[arg(short, long)]
    verbose: bool,
    /// Only the cases that are in scope now (their score alone is checked)
    #[arg(long)]
    in_scope: bool,
    /// Write the score of this run as the one to keep
    #[arg(long)]
    update: bool,
}

/// The program that replays the recordings.
pub(crate) fn runner() -> PathBuf {
    root().join("../shared/conformance/run")
}

/// Whether a case must pass now, and if not, why.
#[derive(Clone, Debug, PartialEq)]
enum Scope {
    In,
    /// Something must be built first.
    Later(String),
    /// No server can answer the replay as recorded; the list says for each such case what it is that it cannot.
    Never(&'static str),
}

/// Reads the scope of a case off its own data.
fn scope(case: &Value) -> Scope {
    let area = case["area"].as_str().unwrap_or_default();
    if !AREAS.contains(&area) {
        return Scope::Later(format!("area {area}"));
    }
    let empty = Vec::new();
    if let Some(why) = unanswerable(case) {
        return Scope::Never(why);
    }
    let steps: Vec<&Value> =
        case["steps"].as_array().unwrap_or(&empty).iter().filter(|s| s["service"] == "states").collect();
    let operation = |step: &Value| step["op"].as_str().unwrap_or_default().to_string();
    if let Some(missing) = steps.iter().map(|step| operation(step)).find(|op| !SERVED.contains(&op.as_str())) {
        return Scope::Later(format!("operation {missing}"));
    }
    for step in &steps {
        let request = &step["request"];
        let definition = request["definition"].as_str().unwrap_or_default();
        // Of what such a definition calls or runs, only one state is tested, mostly with a mock.
        if operation(step) == "TestState" {
            continue;
        }
        let served = |service: &&str| service.starts_with("aws-sdk:") || INTEGRATIONS.contains(service);
        if let Some(service) = integrations(definition).find(|service| !served(service)) {
            return Scope::Later(format!("integration {service}"));
        }
    }
    let needs = case["needs"].as_array().unwrap_or(&empty);
    if let Some(service) = needs.iter().filter_map(Value::as_str).find(|service| !NEEDS.contains(service)) {
        return Scope::Later(format!("service {service}"));
    }
    Scope::In
}

/// Whether a case needs other services, and not for the items of a distributed Map.
fn of_services(case: &Value) -> bool {
    const SERVICES: [&str; 8] = ["dynamodb", "events", "lambda", "s3", "secretsmanager", "sns", "sqs", "states"];
    let needs = case["needs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut definitions = case["steps"].as_array().into_iter().flatten().map(|step| &step["request"]["definition"]);
    let distributed = definitions.any(|text| text.as_str().is_some_and(|text| text.contains("DISTRIBUTED")));
    !distributed && needs.into_iter().any(|service| SERVICES.contains(&service))
}

/// What a case compares that no server's answer can equal in a replay.
fn unanswerable(case: &Value) -> Option<&'static str> {
    let expected: Vec<&Value> =
        case["steps"].as_array()?.iter().flat_map(|step| step["checks"].as_array()).flatten().collect();
    let expected = expected.iter().map(|check| check["expect"].to_string()).collect::<String>();
    // The suite that recorded these wrote a member's name over its value.
    if ["X-Amzn-Trace-Id", "x-amzn-RequestId"].iter().any(|name| expected.contains(&format!(r#""{name}":"{name}""#))) {
        return Some("names where values were");
    }
    // The length of an answer in which the stand-in, or the region of the replay, has its part.
    let text = case["steps"].to_string();
    let measured = expected.contains("taskSubmittedEventDetails") && expected.contains("\"Content-Length\"");
    (text.contains(":::sqs:sendMessage") && measured).then_some("the length of a stand-in's answer")
}

/// The services that a definition's Task states call: `sqs`, `aws-sdk:sfn`.
fn integrations(definition: &str) -> impl Iterator<Item = &str> {
    definition.split("arn:aws:states:::").skip(1).map(|rest| {
        let resource = rest.split(['"', '\\']).next().unwrap_or_default();
        resource.rsplit_once(':').map_or(resource, |(service, _)| service)
    })
}

struct Case {
    id: String,
    area: String,
    passed: bool,
    differences: Vec<String>,
    scope: Scope,
    /// Whether other services are called, in another way than by distributed Maps.
    of_services: bool,
}

/// What stands in `tests/conformance/exceptions.toml`: the reason of each case by its id.
struct Lists {
    /// Cases in scope that may fail.
    exceptions: BTreeMap<String, String>,
    /// Cases that nobody can pass.
    unanswerable: BTreeMap<String, String>,
}

/// Replays, prints the score by area, and fails if anything in scope fails without standing on the list.
pub(crate) fn run(options: &Options) -> Result<()> {
    let runner = runner();
    if !runner.is_file() {
        bail!("the recordings are not here: {} does not exist", runner.display());
    }
    let cases = replay(options)?;
    let in_scope: Vec<&Case> = cases.iter().filter(|case| case.scope == Scope::In).collect();
    let Lists { exceptions, unanswerable } = lists()?;
    print_score(&cases);

    let mut problems = Vec::new();
    println!("\nfailing in scope:");
    for case in in_scope.iter().filter(|case| !case.passed) {
        if let Some(reason) = exceptions.get(&case.id) {
            println!("  listed  {}: {reason}", case.id);
        } else {
            println!("  FAILED  {}", case.id);
            for difference in case.differences.iter().take(3) {
                println!("          {}", shortened(difference, 300));
            }
            problems.push(format!("{} fails and is on no list", case.id));
        }
    }
    for case in in_scope.iter().filter(|case| case.passed && exceptions.contains_key(&case.id)) {
        problems.push(format!("{} passes now: take it off the list of exceptions", case.id));
    }

    for case in cases.iter().filter(|case| matches!(case.scope, Scope::Never(_))) {
        match (case.passed, unanswerable.get(&case.id)) {
            (true, _) => problems.push(format!("{} passes, so it can be answered: put it into scope", case.id)),
            (false, None) => problems.push(format!("{} can't be answered, and no list says why", case.id)),
            (false, Some(reason)) => println!("  never   {}: {reason}", case.id),
        }
    }

    let whole = options.k.is_empty() && options.area.is_empty();
    if whole {
        note_operations(&cases)?;
        for id in exceptions.keys().filter(|id| !in_scope.iter().any(|case| case.id == **id)) {
            problems.push(format!("{id} is listed as an exception but is no case in scope"));
        }
        for id in unanswerable
            .keys()
            .filter(|id| !cases.iter().any(|case| case.id == **id && matches!(case.scope, Scope::Never(_))))
        {
            problems.push(format!("{id} is listed as unanswerable, which its recording does not show"));
        }
        if exceptions.len() * 100 > in_scope.len() * MAX_EXCEPTIONS_PERCENT {
            problems.push(format!(
                "{} exceptions are more than {MAX_EXCEPTIONS_PERCENT} % of {} cases",
                exceptions.len(),
                in_scope.len()
            ));
        }
        problems.extend(compare_score(&cases, options)?);
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("conformance:\n  {}", problems.join("\n  "))
}

/// Runs the runner against a fresh server and reads what became of each case.
fn replay(options: &Options) -> Result<Vec<Case>> {
    let home = target().join("conformance");
    let data = home.join("data");
    if data.exists() {
        std::fs::remove_dir_all(&data).with_context(|| format!("cannot empty {}", data.display()))?;
    }
    std::fs::create_dir_all(&home)?;
    let results = home.join("results.json");
    let _ = std::fs::remove_file(&results);
    let log = home.join("server.log");
    let binary = server_binary()?;
    let serve = format!(
        "sh -c 'exec \"{}\" serve --listen 127.0.0.1:{{port}} --data-directory \"{}\" >\"{}\" 2>&1'",
        binary.display(),
        data.display(),
        log.display()
    );
    let mut command = command("python3");
    command.arg(runner()).args(["--serve", &serve, "-v", "--out"]).arg(&results);
    command.arg("--home").arg(target().join("conformance-venv"));
    if !options.k.is_empty() {
        command.args(["-k", &options.k]);
    }
    let mut areas = options.area.clone();
    if areas.is_empty() && options.in_scope {
        areas = AREAS.iter().map(ToString::to_string).collect();
    }
    for area in &areas {
        command.args(["--area", area]);
    }
    if !options.verbose {
        command.stdout(Stdio::null());
    }
    wait_for_stand_in_port()?;
    println!("replaying; the server's log is {}", log.display());
    // Its exit code is 1 as soon as one case fails, in scope or not, so the results are what counts.
    command.status().context("cannot run python3")?;
    let text = std::fs::read_to_string(&results)
        .context("the replay left no results; is port 4566, which its stand-ins need, free?")?;
    let results: Vec<Value> = serde_json::from_str(&text)?;
    let scopes = scopes()?;
    let mut cases = Vec::new();
    for result in &results {
        let id = result["test"].as_str().unwrap_or_default().to_string();
        let (scope, of_services) = match scopes.get(&id) {
            Some((scope, of_services)) => (scope.clone(), *of_services),
            None => bail!("the results name {id}, which is not among the recordings"),
        };
        if options.in_scope && scope != Scope::In {
            continue;
        }
        let differences = result["diffs"].as_array().into_iter().flatten();
        cases.push(Case {
            area: result["area"].as_str().unwrap_or_default().to_string(),
            passed: result["ok"] == true,
            differences: differences.filter_map(|d| Some(d.as_str()?.to_string())).collect(),
            scope,
            of_services,
            id,
        });
    }
    Ok(cases)
}

/// The runner would take another run's stand-ins for its own, so theirs must have ended.
fn wait_for_stand_in_port() -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect(("127.0.0.1", STAND_IN_PORT)).is_ok() {
        if Instant::now() > deadline {
            bail!("port {STAND_IN_PORT}, which the stand-ins for other services need, is in use");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

/// The scope of every recorded case, by its id, and whether it is one of other services.
fn scopes() -> Result<BTreeMap<String, (Scope, bool)>> {
    let corpus = runner().with_file_name("corpus");
    let list = std::fs::read_to_string(corpus.join("open.txt"))?;
    let mut scopes = BTreeMap::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let case: Value =
            serde_json::from_str(&std::fs::read_to_string(corpus.join(line))?).context(line.to_string())?;
        let id = case["test"].as_str().unwrap_or_default().to_string();
        scopes.insert(id, (scope(&case), of_services(&case)));
    }
    Ok(scopes)
}

/// Notes the operations that passing cases call with success, for the table in `docs/compatibility.md`.
fn note_operations(cases: &[Case]) -> Result<()> {
    let passing: BTreeSet<&str> = cases.iter().filter(|case| case.passed).map(|case| case.id.as_str()).collect();
    let corpus = runner().with_file_name("corpus");
    let mut operations = BTreeSet::new();
    for line in std::fs::read_to_string(corpus.join("open.txt"))?.lines().filter(|line| !line.is_empty()) {
        let case: Value = serde_json::from_str(&std::fs::read_to_string(corpus.join(line.trim()))?)?;
        if passing.contains(case["test"].as_str().unwrap_or_default()) {
            let steps = case["steps"].as_array().into_iter().flatten();
            let called = steps.filter(|step| step["service"] == "states" && step["fails"].is_null());
            operations.extend(called.filter_map(|step| Some(step["op"].as_str()?.to_string())));
        }
    }
    crate::served_by::note_recordings(&operations)
}

/// The cases that may fail and those that must, each with its reason.
fn lists() -> Result<Lists> {
    let path = root().join("tests/conformance/exceptions.toml");
    let table: toml::Table = std::fs::read_to_string(&path)?.parse().context("tests/conformance/exceptions.toml")?;
    let list = |name: &str| -> Result<BTreeMap<String, String>> {
        let mut reasons = BTreeMap::new();
        for entry in table.get(name).and_then(|list| list.as_array()).into_iter().flatten() {
            let text =
                |key: &str| entry.get(key).and_then(|value| value.as_str()).unwrap_or_default().trim().to_string();
            let (case, reason) = (text("case"), text("reason"));
            if case.is_empty() || reason.is_empty() {
                bail!("{}: every [[{name}]] needs a case and a reason", path.display());
            }
            reasons.insert(case, reason);
        }
        Ok(reasons)
    };
    Ok(Lists { exceptions: list("exception")?, unanswerable: list("unanswerable")? })
}

/// The text, cut where a line would no longer be read.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_string() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

fn tally<'a>(cases: impl Iterator<Item = &'a Case>) -> (usize, usize) {
    cases.fold((0, 0), |(passed, all), case| (passed + usize::from(case.passed), all + 1))
}

fn print_score(cases: &[Case]) {
    let areas: BTreeSet<&str> = cases.iter().map(|case| case.area.as_str()).collect();
    println!("\n{:22}{:>12}{:>14}", "area", "in scope", "all recorded");
    let row = |name: &str, wanted: &dyn Fn(&Case) -> bool| {
        let scoped = tally(cases.iter().filter(|case| wanted(case) && case.scope == Scope::In));
        let all = tally(cases.iter().filter(|case| wanted(case)));
        let scoped = if scoped.1 == 0 { "–".to_string() } else { format!("{}/{}", scoped.0, scoped.1) };
        println!("{name:22}{scoped:>12}{:>14}", format!("{}/{}", all.0, all.1));
    };
    for area in &areas {
        row(area, &|case| case.area == *area);
    }
    row("total", &|_| true);
    row("of services", &|case| case.of_services);
    let mut later: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases {
        if let Scope::Never(why) = case.scope {
            *later.entry(why).or_default() += 1;
        }
        if let Scope::Later(why) = &case.scope
            && !why.starts_with("area ")
        {
            *later.entry(why).or_default() += 1;
        }
    }
    let later: Vec<_> = later.iter().map(|(why, count)| format!("{why} ({count})")).collect();
    if !later.is_empty() {
        println!("in the served areas but not in scope: {}", later.join(", "));
    }
}

/// Holds the score of a whole run against the kept one.
fn compare_score(cases: &[Case], options: &Options) -> Result<Vec<String>> {
    let path = root().join("tests/conformance/score.json");
    let kept: Value =
        std::fs::read_to_string(&path).ok().map_or(Ok(Value::Null), |text| serde_json::from_str(&text))?;
    let scoped = tally(cases.iter().filter(|case| case.scope == Scope::In));
    let all = tally(cases.iter());
    let mut score = json!({"in_scope": {"passed": scoped.0, "cases": scoped.1}});
    score["recorded"] =
        if options.in_scope { kept["recorded"].clone() } else { json!({"passed": all.0, "cases": all.1}) };
    let mut problems = Vec::new();
    for part in ["in_scope", "recorded"] {
        let (before, now) = (kept[part]["passed"].as_u64().unwrap_or(0), score[part]["passed"].as_u64().unwrap_or(0));
        let cases = &score[part]["cases"];
        println!("{part}: {now} of {cases} pass, {before} are kept as the score");
        if now < before {
            problems.push(format!("the score fell: {part} {before} → {now} of {cases}"));
        } else if now > before && !options.update {
            println!("  it rose: keep that with `cargo xtask conformance --update`");
        }
    }
    if options.update && problems.is_empty() {
        std::fs::write(&path, format!("{score:#}\n"))?;
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_is_read_off_the_case() {
        let check = |changes: Value, expected: Scope| {
            let mut case = json!({"area": "base", "needs": [], "steps": []});
            for (key, value) in changes.as_object().expect("an object") {
                case[key] = value.clone();
            }
            assert_eq!(scope(&case), expected, "{case}");
        };
        let later = |why: &str| Scope::Later(why.to_string());
        let step = |op: &str, request: Value| json!({"service": "states", "op": op, "request": request});
        check(json!({}), Scope::In);
        check(json!({"area": "weather"}), later("area weather"));
        let tested = step("TestState", json!({"definition": "\"DISTRIBUTED\" arn:aws:states:::sqs:sendMessage\""}));
        check(json!({"area": "test_state", "steps": [tested]}), Scope::In);
        let checked = |expect: Value| json!({"steps": [{"checks": [{"expect": expect}]}]});
        check(checked(json!({"X-Amzn-Trace-Id": "X-Amzn-Trace-Id"})), Scope::Never("names where values were"));
        check(checked(json!({"X-Amzn-Trace-Id": "any", "Server": ["Server"]})), Scope::In);
        check(json!({"steps": [step("NoSuchOperation", json!({}))]}), later("operation NoSuchOperation"));
        check(json!({"steps": [{"service": "sqs", "op": "CreateQueue", "request": {}}]}), Scope::In);
        check(json!({"needs": ["lambda"]}), Scope::In);
        check(json!({"needs": ["lambda", "logs", "events", "sqs", "dynamodb"]}), Scope::In);
        check(json!({"needs": ["lambda", "ecs"]}), later("service ecs"));
        let jsonata = step("CreateStateMachine", json!({"definition": "{\"QueryLanguage\": \"JSONata\"}"}));
        check(json!({"steps": [jsonata]}), Scope::In);
        let express = step("CreateStateMachine", json!({"type": "EXPRESS"}));
        check(json!({"steps": [express.clone()]}), Scope::In);
        check(json!({"steps": [express, step("StartSyncExecution", json!({}))]}), Scope::In);
        let map = step("CreateStateMachine", json!({"definition": "{\"Mode\": \"DISTRIBUTED\"}"}));
        check(json!({"steps": [map]}), Scope::In);
        let calls = |resource: &str| {
            let definition = format!("{{\"Resource\": \"arn:aws:states:::{resource}\"}}");
            json!({"steps": [step("CreateStateMachine", json!({"definition": definition}))]})
        };
        check(calls("lambda:invoke"), Scope::In);
        check(calls("sqs:sendMessage.waitForTaskToken"), Scope::In);
        check(calls("aws-sdk:s3:getObject"), Scope::In);
        check(calls("ecs:runTask.sync"), later("integration ecs"));
    }
}
