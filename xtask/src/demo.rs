//! `cargo xtask demo`: the order-fulfilment example on a real server, from nothing. It uses only what a user could:
//! the binary, the API and the workers of the example.

use crate::process::{Background, Server, free_port, interruptions};
use crate::progress::{Paint, Places, history, is_last, line, table};
use crate::python::{Python, Ready, prepare_python};
use crate::workspace::{colours, root, server_binary, target};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The port of `stepwright serve` when nobody says otherwise.
const DEFAULT_PORT: u16 = 8083;
/// The example takes about ten seconds; a machine may be slow.
const LONGEST: Duration = Duration::from_secs(180);

/// What the workers of the example do.
const ACTIVITIES: [&str; 7] =
    ["reserve-stock", "charge-card", "pack-item", "ship", "notify", "release-stock", "refund"];

/// Run the example on a server of its own, show it, and leave the server up until Ctrl-C.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// End when the order is fulfilled instead of leaving the server up
    #[arg(long)]
    once: bool,
    /// The port to listen on; another is taken if it is in use
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// The order to fulfil, a file of JSON
    #[arg(long, value_name = "FILE")]
    order: Option<PathBuf>,
}

impl Options {
    /// As the tests run it: to its end, on any port.
    pub(crate) fn once() -> Self {
        Self { once: true, port: 0, order: None }
    }
}

/// Something the demo needs is not on this machine.
#[derive(Debug)]
pub(crate) struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the workers of the example need {}", self.0)
    }
}

impl std::error::Error for Missing {}

pub(crate) fn run(options: &Options) -> Result<()> {
    let paint = Paint(colours());
    let python = match prepare_python()? {
        Ready::Yes(python) => python,
        Ready::Missing(what) => return Err(Missing(what).into()),
    };
    println!("{}", paint.dim("building the server (the first time takes a few minutes)"));
    let binary = server_binary()?;
    let interrupted = interruptions()?;

    let home = target().join("demo");
    if home.exists() {
        std::fs::remove_dir_all(&home).with_context(|| format!("cannot empty {}", home.display()))?;
    }
    std::fs::create_dir_all(&home)?;
    let port = free_port(options.port)?;
    if options.port != 0 && port != options.port {
        println!("port {} is in use, so the server listens on {port}", options.port);
    }
    let mut server = Server::start(&binary, &home.join("data"), port, &home.join("server.log"), &[])?;
    println!("{} {}", paint.bold("server "), server.endpoint());
    let mut workers = start_workers(&python, &server, &home)?;
    println!("{} {}", paint.bold("workers"), ACTIVITIES.join(", "));

    let example = root().join("examples/order-fulfilment");
    let order = options.order.clone().unwrap_or_else(|| example.join("order.json"));
    let input = std::fs::read_to_string(&order).with_context(|| format!("cannot read {}", order.display()))?;
    let execution = begin(&mut server, &example, &input)?;
    println!("{} {execution}\n", paint.bold("order  "));

    let succeeded = watch(&mut server, &mut workers, &execution, paint, &interrupted)?;
    let events = history(&mut server.client(), &execution)?;
    println!("\n{}", table(&events, paint));
    if options.once {
        workers.stop();
        server.stop();
        if !succeeded {
            bail!("the order was not fulfilled");
        }
        return Ok(());
    }
    let again = format!(
        "{} serve --listen {} --data-directory {}",
        binary.display(),
        server.address,
        home.join("data").display()
    );
    print_what_next(&server, &python, &execution, &again, paint);
    println!("Ctrl-C stops everything. What it left lies in {}", home.display());
    let mut up = true;
    while interrupted.recv_timeout(Duration::from_millis(300)).is_err() {
        if let Some(status) = server.ended().filter(|_| up) {
            up = false;
            println!("\nthe server ended ({status}); the workers wait for it. Start it again with\n\n  {again}\n");
        }
    }
    println!(
        "\nstopping the workers{}",
        if up { ", then the server" } else { "; a server you started is yours to stop" }
    );
    workers.stop();
    server.stop();
    Ok(())
}

fn start_workers(python: &Python, server: &Server, home: &Path) -> Result<Background> {
    let log = std::fs::File::create(home.join("workers.log"))?;
    let mut command = python.command();
    command.arg(root().join("examples/order-fulfilment/workers.py"));
    command.args(["--endpoint", &server.endpoint(), "--name", "shop", "--ledger"]).arg(home.join("ledger.sqlite"));
    command.stdin(std::process::Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Background::start("the workers", &mut command)
}

/// Creates the activities and the state machine and starts the order.
fn begin(server: &mut Server, example: &Path, input: &str) -> Result<String> {
    let mut client = server.client();
    let definition = std::fs::read_to_string(example.join("order-fulfilment.asl.json"))?;
    for activity in ACTIVITIES {
        client.call("CreateActivity", &json!({"name": activity}))?;
    }
    let machine = client.call(
        "CreateStateMachine",
        &json!({"name": "order-fulfilment", "definition": definition, "roleArn": "arn:aws:iam::000000000000:role/demo"}),
    )?;
    let started = client.call(
        "StartExecution",
        &json!({"stateMachineArn": machine["stateMachineArn"], "name": "first-order", "input": input}),
    )?;
    Ok(started["executionArn"].as_str().context("StartExecution answered without an ARN")?.to_string())
}

/// Shows the states as they happen until the execution ends; true if it succeeded.
fn watch(
    server: &mut Server,
    workers: &mut Background,
    execution: &str,
    paint: Paint,
    interrupted: &std::sync::mpsc::Receiver<()>,
) -> Result<bool> {
    let mut client = server.client();
    let mut places = Places::default();
    let mut shown = 0;
    let deadline = Instant::now() + LONGEST;
    loop {
        let events = history(&mut client, execution)?;
        for event in &events[shown..] {
            if let Some(line) = line(event, &events[0], &mut places, paint) {
                println!("{line}");
            }
        }
        shown = events.len();
        if let Some(last) = events.last().filter(|event| is_last(event)) {
            return Ok(last["type"] == "ExecutionSucceeded");
        }
        if let Some(status) = workers.ended() {
            bail!(
                "the workers ended with {status}; what they said is in {}",
                target().join("demo/workers.log").display()
            );
        }
        if Instant::now() > deadline {
            bail!("the order is still running after {} s", LONGEST.as_secs());
        }
        if interrupted.recv_timeout(Duration::from_millis(100)).is_ok() {
            bail!("interrupted");
        }
    }
}

fn print_what_next(server: &Server, python: &Python, execution: &str, again: &str, paint: Paint) {
    let aws = python.program("aws");
    let machine =
        execution.rsplit_once(':').map_or(execution, |(machine, _)| machine).replace(":execution:", ":stateMachine:");
    println!("\n{}", paint.bold("The server and the workers are still up. In another terminal, from this folder:"));
    println!(
        "
  export AWS_ENDPOINT_URL={} AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test
  alias aws={}

  # another order, whose card is declined: everything is undone
  aws stepfunctions start-execution --state-machine-arn {machine} \\
      --input file://examples/order-fulfilment/order-declined.json
  aws stepfunctions list-executions --state-machine-arn {machine} --output table
  aws stepfunctions describe-execution --execution-arn {execution}

  # kill the server in the middle of an order and start it again: the order goes on
  kill -9 {}
  {again}
",
        server.endpoint(),
        aws.display(),
        server.process_id(),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    /// The example's inputs and definition stay parseable, and each activity it names has a worker.
    #[test]
    fn the_example_fits_together() {
        let example = root().join("examples/order-fulfilment");
        let read = |name: &str| std::fs::read_to_string(example.join(name)).expect(name);
        for order in ["order.json", "order-declined.json"] {
            let order: Value = serde_json::from_str(&read(order)).expect(order);
            assert!(order["items"].as_array().is_some_and(|items| !items.is_empty()));
        }
        let (definition, workers) = (read("order-fulfilment.asl.json"), read("workers.py"));
        serde_json::from_str::<Value>(&definition).expect("the definition is JSON");
        let named: Vec<&str> =
            definition.split(":activity:").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(named.len() >= 7, "{named:?}");
        for activity in named {
            assert!(ACTIVITIES.contains(&activity), "the demo does not create {activity}");
            assert!(workers.contains(&format!("\"{activity}\": (")), "no worker does {activity}");
        }
    }
}
