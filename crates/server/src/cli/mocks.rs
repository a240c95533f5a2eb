//! `stepwright mocks record`: a file of mocks from a real execution.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stepwright_testing::record;

use super::{
    Failure,
    client::{Client, DEFAULT_ENDPOINT},
    print, runtime, test,
};

#[derive(Debug, Args)]
pub(super) struct MocksArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a file of mocks in which every task of an execution gets the answers that it got then
    #[command(after_help = HELP)]
    Record(RecordArgs),
}

#[derive(Debug, Args)]
struct RecordArgs {
    /// The execution's ARN
    execution: String,
    /// The server that ran it
    #[arg(long, visible_alias = "endpoint-url", value_name = "URL", env = "STEPWRIGHT_ENDPOINT", default_value = DEFAULT_ENDPOINT)]
    endpoint: String,
    /// The name of the test case
    #[arg(long, value_name = "NAME", default_value = "Recorded")]
    case: String,
    /// Where the file is written [default: stdout]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a test file, too, which expects the same path and end
    #[arg(long, value_name = "FILE", requires = "output")]
    test: Option<PathBuf>,
}

const HELP: &str = "\
The file is what SFN_MOCK_CONFIG and `serve --mock-config` read, and mockConfig in a test file names. It holds what the
services answered: look through it before you share it.

Examples:
  stepwright mocks record arn:aws:states:us-east-1:000000000000:execution:order:7 -o MockConfigFile.json
  stepwright mocks record arn:… -o order.mocks.json --test order.test.json && stepwright test order.test.json";

pub(super) fn mocks(args: &MocksArgs) -> Result<(), Failure> {
    let Verb::Record(args) = &args.verb;
    let client = Client::new(&args.endpoint)?;
    let (described, events) = runtime()?.block_on(async {
        let input = json!({"executionArn": args.execution});
        let described = client.operation("DescribeExecution", &input).await?.map_err(Failure::from)?;
        Ok::<_, Failure>((described, history(&client, &args.execution).await?))
    })?;
    if described["status"] == "RUNNING" {
        return Err(Failure::Failed(format!(
            "{} is still running: what it has yet to do cannot be recorded",
            args.execution
        )));
    }
    let machine = described["stateMachineArn"].as_str().and_then(|arn| arn.rsplit(':').next()).unwrap_or_default();
    let file = format!("{:#}\n", record::mocks(machine, &args.case, &events));
    match &args.output {
        None => print(&file),
        Some(output) => test::write(output, &file)?,
    }
    if let (Some(path), Some(output)) = (&args.test, &args.output) {
        test::write(path, &format!("{:#}\n", test_file(args, &described, &events, output)))?;
    }
    Ok(())
}

/// The whole history, oldest event first.
async fn history(client: &Client, execution: &str) -> Result<Vec<Value>, Failure> {
    let mut events = Vec::new();
    let mut token = Value::Null;
    loop {
        let input =
            json!({"executionArn": execution, "maxResults": 1000, "nextToken": token, "includeExecutionData": true});
        let mut page = client.operation("GetExecutionHistory", &input).await?.map_err(Failure::from)?;
        if let Value::Array(more) = page["events"].take() {
            events.extend(more);
        }
        token = page["nextToken"].take();
        if token.is_null() {
            return Ok(events);
        }
    }
}

fn test_file(args: &RecordArgs, described: &Value, events: &[Value], mocks: &std::path::Path) -> Value {
    let parsed = |member: &str| {
        let text = described[member].as_str()?;
        serde_json::from_str::<Value>(text).ok()
    };
    let mut expect = json!({"status": described["status"], "path": record::path(events)});
    if let Some(output) = parsed("output") {
        expect["output"] = output;
    }
    for member in ["error", "cause"] {
        if let Some(text) = described[member].as_str() {
            expect[member] = text.into();
        }
    }
    // Seen from the test file, if it stands in the same folder.
    let mocks = mocks.file_name().unwrap_or_default().to_string_lossy();
    json!({"mockConfig": mocks, "tests": [{"name": described["name"], "case": args.case,
        "input": parsed("input").unwrap_or_else(|| json!({})), "expect": expect}]})
}
