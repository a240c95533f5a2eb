//! `stepwright start`: an execution of a state machine that is on a server.

use clap::Args;
use serde_json::json;

use super::{
    Failure,
    client::EndpointArgs,
    execution::{ended, until_end},
    named, print,
    run::{duration, input},
    runtime,
};

pub(super) const HELP: &str = "\
Prints the execution's ARN; with --wait what `stepwright wait` prints, with its exit codes. A machine of type EXPRESS \
that is waited for is started synchronously.

Examples:
  stepwright start orders --input '{\"orderId\": 7}'
  stepwright start orders --input @order.json --name order-7 --wait
  stepwright start arn:aws:states:us-east-1:000000000000:stateMachine:orders --json";

#[derive(Debug, Args)]
pub(super) struct StartArgs {
    /// The state machine: its ARN or its name
    #[arg(value_name = "MACHINE", required_unless_present = "state_machine_arn", conflicts_with = "state_machine_arn")]
    machine: Option<String>,
    /// The same, as the AWS CLI has it
    #[arg(long, value_name = "ARN")]
    state_machine_arn: Option<String>,
    /// The input: JSON, @FILE, or - for stdin
    #[arg(long, short, value_name = "JSON", default_value = "{}", allow_hyphen_values = true)]
    input: String,
    /// The execution's name [default: one of its own]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Wait until it ends
    #[arg(long)]
    wait: bool,
    /// With --wait: give up after this many seconds; the execution goes on
    #[arg(long, value_name = "SECONDS", requires = "wait", allow_negative_numbers = true)]
    timeout: Option<f64>,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn start(args: &StartArgs) -> Result<(), Failure> {
    let timeout = duration(args.timeout)?;
    let text = input(&args.input)?;
    let client = args.endpoint.client()?;
    runtime()?.block_on(async {
        let given = args.machine.as_ref().or(args.state_machine_arn.as_ref()).map(String::as_str).unwrap_or_default();
        let machine = named::machine(&client, given).await?;
        let mut request = json!({ "stateMachineArn": machine, "input": text });
        if let Some(name) = &args.name {
            request["name"] = json!(name);
        }
        if args.wait {
            let asked = client.operation("DescribeStateMachine", &json!({ "stateMachineArn": machine })).await?;
            // Who may start may not always describe.
            if asked.is_ok_and(|machine| machine["type"] == "EXPRESS") {
                let done = client.operation("StartSyncExecution", &request).await?.map_err(Failure::from)?;
                return ended(&done, args.json);
            }
        }
        let started = client.operation("StartExecution", &request).await?.map_err(Failure::from)?;
        if args.wait {
            let arn = started["executionArn"].as_str().unwrap_or_default();
            let described = until_end(&client, arn, timeout).await?;
            return ended(&described, args.json);
        }
        if args.json {
            print(&format!("{started:#}\n"));
        } else {
            print(&format!("{}\n", started["executionArn"].as_str().unwrap_or_default()));
        }
        Ok(())
    })
}
