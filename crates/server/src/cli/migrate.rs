//! `stepwright migrate jsonata`: a definition in JSONPath rewritten in JSONata, and proven on inputs by running both.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use serde_json::{Number, Value, json};
use stepwright_querylang::migrate::{self, Located};

use super::{
    Failure,
    definition_file::{self, DefinitionFile},
    eprint, print,
    run::{self, Place},
    runtime, validate,
};
use crate::{config::LogFormat, logging};

pub(super) const HELP: &str = "\
The result goes to stdout, what is assumed of the inputs to stderr. A part that has no equal in JSONata is named with \
its place and the reason, and nothing is written: nothing is approximated in silence.

Two runs are the same if status, output, error and cause are. Where a state cannot evaluate what it asks of its \
data, the languages call it by different names (States.Runtime, States.QueryEvaluationError): both must fail with one \
of them. Numbers are compared by value; JSONata has no digits beyond 2^53.

Exit code: 0 it is rewritten, and both gave the same on every --input; 1 they did not (the result is written all the \
same), or something else failed; 2 it cannot be rewritten, or the call is wrong.

Examples:
  stepwright migrate jsonata order.asl.json > order.jsonata.asl.json
  stepwright migrate jsonata order.asl.json --output order.jsonata.asl.json --input @order-1.json --input @order-2.json
      Runs both definitions on both inputs, on a server in memory, and compares the outcomes";

#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    #[command(subcommand)]
    to: To,
}

#[derive(Debug, Subcommand)]
enum To {
    /// Rewrite a JSONPath definition in JSONata
    #[command(after_help = HELP)]
    Jsonata(JsonataArgs),
}

#[derive(Debug, Args)]
struct JsonataArgs {
    /// The definition, a file of JSON or YAML (- for stdin)
    definition: PathBuf,
    /// Write the result to this file, which must not exist, instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run both definitions on this input and compare: JSON or @FILE; repeatable
    #[arg(long, short, value_name = "JSON", allow_hyphen_values = true)]
    input: Vec<String>,
    /// Stop a run, and fail, after this many seconds
    #[arg(long, value_name = "SECONDS", requires = "input", allow_negative_numbers = true)]
    timeout: Option<f64>,
    /// Print JSON: the definition, the notes, and how the runs compared; or what cannot be rewritten
    #[arg(long)]
    json: bool,
}

/// How one input went.
struct Compared {
    input: String,
    before: Value,
    after: Value,
}

impl Compared {
    fn same(&self) -> bool {
        let unevaluated = |outcome: &Value| outcome["error"].as_str().is_some_and(|error| EVALUATION.contains(&error));
        alike(&self.before, &self.after)
            || unevaluated(&self.before) && unevaluated(&self.after) && self.before["status"] == self.after["status"]
    }
}

/// What it is called when a state cannot evaluate what it asks of its data, in both languages. Their causes quote the
/// expression.
const EVALUATION: [&str; 5] = [
    "States.Runtime",
    "States.IntrinsicFailure",
    "States.ParameterPathFailure",
    "States.ResultPathMatchFailure",
    "States.QueryEvaluationError",
];

/// Whether two values are the same, whatever the order of members and the spelling of numbers.
fn alike(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => same_number(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| alike(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(name, value)| right.get(name).is_some_and(|other| alike(value, other)))
        }
        _ => left == right,
    }
}

/// To the last digit: a whole number and a float are the same only if the float is that number.
fn same_number(left: &Number, right: &Number) -> bool {
    if left.is_f64() == right.is_f64() {
        return left.as_f64() == right.as_f64() && (left.is_f64() || left == right);
    }
    let (float, whole) = if left.is_f64() { (left, right) } else { (right, left) };
    float.as_f64().is_some_and(|float| {
        float == 0.0 && whole.as_i64() == Some(0) || format!("{float:.0}") == whole.to_string() && float.fract() == 0.0
    })
}

pub(super) fn migrate(args: &MigrateArgs) -> Result<(), Failure> {
    let To::Jsonata(args) = &args.to;
    let stdin =
        args.input.iter().filter(|given| *given == "-").count() + usize::from(args.definition == Path::new("-"));
    if stdin > 1 {
        return Err(Failure::Usage("only one of definition and inputs can come from stdin".to_owned()));
    }
    if let Some(file) = args.output.as_ref().filter(|file| file.exists()) {
        return Err(Failure::Usage(format!(
            "{} exists, and is not overwritten: name another --output",
            file.display()
        )));
    }
    let file = definition_file::read(&args.definition)?;
    let (name, found) = (&file.name, validate::check(&file));
    eprint(&validate::shown(&file, &found));
    if found.is_invalid() {
        return Err(Failure::Usage(format!("{name}: {}", found.summary())));
    }
    let text = file.json().map_err(|error| Failure::Usage(format!("{name}: {error}")))?;
    let definition: Value =
        serde_json::from_str(text).map_err(|error| Failure::Usage(format!("{name} is not JSON: {error}")))?;
    let migrated = migrate::definition(&definition).map_err(|refusals| {
        if args.json {
            let refused = refusals.iter().map(|Located { location, refusal }| {
                json!({"location": location, "text": refusal.text, "reason": refusal.reason})
            });
            print(&format!("{:#}\n", json!({"refused": refused.collect::<Value>()})));
        }
        let lines: Vec<String> = refusals.iter().map(|refused| format!("\n  {refused}")).collect();
        let parts = if lines.len() == 1 { "a part" } else { "parts" };
        Failure::Usage(format!("{name} has {parts} without an equal in JSONata:{}", lines.concat()))
    })?;
    let shown = format!("{:#}\n", migrated.value);
    let shown_file = DefinitionFile::of_json("the rewritten definition", shown.clone());
    let rewritten = validate::check(&shown_file);
    if rewritten.is_invalid() {
        // The original is valid, so this is a mistake of ours, and shown as one.
        eprint(&validate::shown(&shown_file, &rewritten));
        return Err(Failure::Failed(format!("{name} was rewritten wrongly; please report it with the definition")));
    }
    for note in &migrated.notes {
        eprint(&format!("note: {note}\n"));
    }
    let compared = compare(args, text, &shown)?;
    if let Some(file) = &args.output {
        let written = std::fs::File::create_new(file)
            .and_then(|mut created| std::io::Write::write_all(&mut created, shown.as_bytes()));
        written.map_err(|error| Failure::Failed(format!("{} cannot be written: {error}", file.display())))?;
    }
    if args.json {
        let runs = compared
            .iter()
            .map(|one| json!({"input": one.input, "same": one.same(), "jsonpath": one.before, "jsonata": one.after}));
        let runs: Value = runs.collect();
        print(&format!("{:#}\n", json!({"definition": migrated.value, "notes": migrated.notes, "runs": runs})));
    } else if args.output.is_none() {
        print(&shown);
    }
    let mut different = 0;
    for (number, one) in compared.iter().enumerate() {
        let number = number + 1;
        if one.same() {
            eprint(&format!("input {number}: same outcome: {}\n", one.after));
        } else {
            different += 1;
            eprint(&format!("input {number}: DIFFERENT\n  JSONPath: {}\n  JSONata:  {}\n", one.before, one.after));
        }
    }
    if different > 0 {
        let all = compared.len();
        return Err(Failure::Failed(format!(
            "{different} of {all} input{} gave another outcome",
            if all == 1 { "" } else { "s" }
        )));
    }
    Ok(())
}

/// Runs both definitions on each input.
fn compare(args: &JsonataArgs, before: &str, after: &str) -> Result<Vec<Compared>, Failure> {
    if args.input.is_empty() {
        return Ok(Vec::new());
    }
    let timeout = run::duration(args.timeout)?;
    let inputs = args.input.iter().map(|given| run::input(given)).collect::<Result<Vec<_>, _>>()?;
    logging::start(LogFormat::Text, &std::env::var("STEPWRIGHT_LOG_LEVEL").unwrap_or_else(|_| "error".to_owned()));
    runtime()?.block_on(async {
        let place = Place::find(None).await?;
        let mut compared = Vec::new();
        for input in inputs {
            let before = outcome(&place, before, &input, timeout).await?;
            let after = outcome(&place, after, &input, timeout).await?;
            compared.push(Compared { input, before, after });
        }
        place.close().await;
        Ok(compared)
    })
}

/// How an execution ended, without what differs from run to run.
async fn outcome(place: &Place, definition: &str, input: &str, timeout: Option<Duration>) -> Result<Value, Failure> {
    let execution = run::outcome(&place.client, definition, input, timeout).await?;
    if execution["status"] == "ABORTED" {
        return Err(Failure::Failed(format!("the run on {input} was stopped before its end, so nothing is compared")));
    }
    let mut outcome = json!({"status": execution["status"]});
    if let Some(output) = execution["output"].as_str() {
        let output = serde_json::from_str(output);
        outcome["output"] = output.map_err(|error| Failure::Failed(format!("the output is not JSON: {error}")))?;
    }
    for part in ["error", "cause"] {
        if let Some(text) = execution.get(part).filter(|text| !text.is_null()) {
            outcome[part] = text.clone();
        }
    }
    Ok(outcome)
}
