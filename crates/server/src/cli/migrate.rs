//! `stepwright migrate jsonata`: a definition in JSONPath rewritten in JSONata, and proven on inputs by running both.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stepwright_querylang::migrate;

use super::{
    Failure, eprint, print,
    run::{self, Place},
    runtime, validate,
};
use crate::{config::LogFormat, logging};

pub(super) const HELP: &str = "\
The result goes to stdout, what is assumed of the inputs to stderr. A part that has no equal in JSONata is named with \
its place and the reason, and nothing is written: nothing is approximated in silence.

Exit code: 0 it is rewritten, and both gave the same on every --input; 1 they did not; 2 it cannot be rewritten.

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
    /// The definition, a JSON file (- for stdin)
    definition: PathBuf,
    /// Write the result to this file, which must not exist, instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run both definitions on this input and compare: JSON or @FILE; repeatable
    #[arg(long, short, value_name = "JSON", allow_hyphen_values = true)]
    input: Vec<String>,
    /// Print JSON: the definition, the notes, and how the runs compared
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
        self.before == self.after
    }
}

pub(super) fn migrate(args: &MigrateArgs) -> Result<(), Failure> {
    let To::Jsonata(args) = &args.to;
    let (name, text) = validate::read(&args.definition)?;
    let found = validate::check(&text);
    eprint(&validate::shown(&name, &text, &found));
    if found.is_invalid() {
        return Err(Failure::Usage(format!("{name}: {}", found.summary())));
    }
    let definition: Value =
        serde_json::from_str(&text).map_err(|error| Failure::Usage(format!("{name} is not JSON: {error}")))?;
    let migrated = migrate::definition(&definition).map_err(|refusals| {
        let lines: Vec<String> = refusals.iter().map(|refused| format!("\n  {refused}")).collect();
        let parts = if lines.len() == 1 { "a part" } else { "parts" };
        Failure::Usage(format!("{name} has {parts} without an equal in JSONata:{}", lines.concat()))
    })?;
    let shown = format!("{:#}\n", migrated.value);
    let rewritten = validate::check(&shown);
    if rewritten.is_invalid() {
        // The original is valid, so this is a mistake of ours, and shown as one.
        eprint(&validate::shown("the rewritten definition", &shown, &rewritten));
        return Err(Failure::Failed(format!("{name} was rewritten wrongly; please report it with the definition")));
    }
    for note in &migrated.notes {
        eprint(&format!("note: {note}\n"));
    }
    let compared = compare(args, &text, &shown)?;
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
        return Err(Failure::Failed(format!("{different} of {} inputs gave another outcome", compared.len())));
    }
    Ok(())
}

/// Runs both definitions on each input.
fn compare(args: &JsonataArgs, before: &str, after: &str) -> Result<Vec<Compared>, Failure> {
    if args.input.is_empty() {
        return Ok(Vec::new());
    }
    let inputs = args.input.iter().map(|given| run::input(given)).collect::<Result<Vec<_>, _>>()?;
    logging::start(LogFormat::Text, &std::env::var("STEPWRIGHT_LOG_LEVEL").unwrap_or_else(|_| "error".to_owned()));
    runtime()?.block_on(async {
        let place = Place::find(None).await?;
        let mut compared = Vec::new();
        for input in inputs {
            let before = outcome(&place, before, &input).await?;
            let after = outcome(&place, after, &input).await?;
            compared.push(Compared { input, before, after });
        }
        place.close().await;
        Ok(compared)
    })
}

/// How an execution ended, without what differs from run to run. An error's cause quotes the expression, so it differs,
/// and so may the name of an error of evaluation.
async fn outcome(place: &Place, definition: &str, input: &str) -> Result<Value, Failure> {
    let execution = run::outcome(&place.client, definition, input).await?;
    let output = execution["output"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    Ok(match output {
        Some(output) => json!({"status": execution["status"], "output": output}),
        None => json!({"status": execution["status"]}),
    })
}
