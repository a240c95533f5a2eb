//! `stepwright wait`, `stop`, `redrive` and `describe`: one execution on a server.

use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    client::{Client, EndpointArgs},
    named::{self, ExecutionArgs, time},
    print,
    run::{FIRST_LOOK, duration, ending},
    runtime,
    terminal::{self, Tone, tone_of, toned},
};

pub(super) const WAIT_HELP: &str = "\
Prints the output, or with --json everything that DescribeExecution says.

Exit code: 0 SUCCEEDED, 3 FAILED, 4 TIMED_OUT, 5 ABORTED, 6 it had not ended when --timeout was over, 1 it cannot be \
asked for, 2 the call is wrong.

Examples:
  stepwright wait last
  stepwright wait order-7 --state-machine-arn orders --timeout 60
  stepwright wait arn:aws:states:us-east-1:000000000000:execution:orders:order-7 --json";

/// The longest pause between two looks at an execution.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(super) struct WaitArgs {
    #[command(flatten)]
    execution: ExecutionArgs,
    /// Give up after this many seconds; the execution goes on
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<f64>,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print everything as JSON instead of the output alone
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    #[command(flatten)]
    execution: ExecutionArgs,
    /// The error name that the execution ends with
    #[arg(long, value_name = "ERROR")]
    error: Option<String>,
    /// Why it is stopped
    #[arg(long, value_name = "TEXT")]
    cause: Option<String>,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct RedriveArgs {
    #[command(flatten)]
    execution: ExecutionArgs,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DescribeArgs {
    #[command(flatten)]
    execution: ExecutionArgs,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn wait(args: &WaitArgs) -> Result<(), Failure> {
    let timeout = duration(args.timeout)?;
    let client = args.endpoint.client()?;
    runtime()?.block_on(async {
        let arn = args.execution.arn(&client).await?;
        ended(&until_end(&client, &arn, timeout).await?, args.json)
    })
}

/// What DescribeExecution says when the execution has ended.
pub(super) async fn until_end(client: &Client, arn: &str, timeout: Option<Duration>) -> Result<Value, Failure> {
    let began = Instant::now();
    let mut pause = FIRST_LOOK;
    loop {
        let described = describe_execution(client, arn).await?;
        let status = described["status"].as_str().unwrap_or_default();
        if status != "RUNNING" && status != "PENDING_REDRIVE" {
            return Ok(described);
        }
        let left = timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
        if left == Some(Duration::ZERO) {
            return Err(Failure::Ended(
                6,
                format!("the execution {arn} is {status}; --timeout is over, and it goes on"),
            ));
        }
        tokio::time::sleep(left.map_or(pause, |left| left.min(pause))).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

pub(super) async fn describe_execution(client: &Client, arn: &str) -> Result<Value, Failure> {
    client.operation("DescribeExecution", &json!({ "executionArn": arn })).await?.map_err(Failure::from)
}

/// Prints how an execution ended, and says it by the exit code.
pub(super) fn ended(described: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        print(&format!("{described:#}\n"));
    } else if described["status"] == "SUCCEEDED" {
        print(&format!("{}\n", described["output"].as_str().unwrap_or_default()));
    }
    outcome(described)
}

/// How an execution ended, as what the command ends with.
pub(super) fn outcome(described: &Value) -> Result<(), Failure> {
    let code = match described["status"].as_str() {
        Some("SUCCEEDED") => return Ok(()),
        Some("FAILED") => 3,
        Some("TIMED_OUT") => 4,
        Some("ABORTED") => 5,
        _ => 1,
    };
    Err(Failure::Ended(code, ending(described)))
}

pub(super) fn stop(args: &StopArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    runtime()?.block_on(async {
        let arn = args.execution.arn(&client).await?;
        let mut request = json!({ "executionArn": arn });
        for (member, given) in [("error", &args.error), ("cause", &args.cause)] {
            if let Some(given) = given {
                request[member] = json!(given);
            }
        }
        let answer = client.operation("StopExecution", &request).await?.map_err(Failure::from)?;
        said(&answer, args.json, &format!("stopped at {}", time(&answer["stopDate"])));
        Ok(())
    })
}

pub(super) fn redrive(args: &RedriveArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    runtime()?.block_on(async {
        let request = json!({ "executionArn": args.execution.arn(&client).await? });
        let answer = client.operation("RedriveExecution", &request).await?.map_err(Failure::from)?;
        said(&answer, args.json, &format!("redriven at {}", time(&answer["redriveDate"])));
        Ok(())
    })
}

fn said(answer: &Value, as_json: bool, text: &str) {
    print(&if as_json { format!("{answer:#}\n") } else { format!("{text}\n") });
}

pub(super) fn describe(args: &DescribeArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    runtime()?.block_on(async {
        let arn = args.execution.arn(&client).await?;
        let (operation, member) = match arn.split(':').nth(5) {
            Some("stateMachine") => ("DescribeStateMachine", "stateMachineArn"),
            Some("activity") => ("DescribeActivity", "activityArn"),
            Some("mapRun") => ("DescribeMapRun", "mapRunArn"),
            _ => ("DescribeExecution", "executionArn"),
        };
        let answer = client.operation(operation, &json!({ member: arn })).await?.map_err(Failure::from)?;
        print(&if args.json { format!("{answer:#}\n") } else { members(&answer) });
        Ok(())
    })
}

/// An answer as lines of member and value.
fn members(answer: &Value) -> String {
    let colours = terminal::colours(&std::io::stdout());
    let members: Vec<(&String, &Value)> = answer.as_object().map(|object| object.iter().collect()).unwrap_or_default();
    let widest = members.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in members {
        let text = match value {
            Value::Null => continue,
            Value::Number(_) if name.ends_with("Date") => time(value),
            // A definition is read as it was written.
            Value::String(text) if name == "definition" => format!("\n{text}"),
            Value::String(text) => terminal::tame(text, usize::MAX),
            other => other.to_string(),
        };
        let tone = if name == "status" { tone_of(&text) } else { Tone::Plain };
        let gap = " ".repeat(widest - name.chars().count());
        out.push_str(&format!("{}{gap}  {}\n", toned(name, Tone::Faint, colours), toned(&text, tone, colours)));
    }
    out
}

/// The definition that an execution runs, and what DescribeExecution says of it.
pub(super) async fn definition_of(client: &Client, arn: &str) -> Result<String, Failure> {
    let request = json!({ "executionArn": arn });
    let answer = client.operation("DescribeStateMachineForExecution", &request).await?.map_err(Failure::from)?;
    Ok(answer["definition"].as_str().unwrap_or_default().to_owned())
}

/// The definition of a state machine.
pub(super) async fn definition_of_machine(client: &Client, given: &str) -> Result<String, Failure> {
    let request = json!({ "stateMachineArn": named::machine(client, given).await? });
    let answer = client.operation("DescribeStateMachine", &request).await?.map_err(Failure::from)?;
    Ok(answer["definition"].as_str().unwrap_or_default().to_owned())
}
