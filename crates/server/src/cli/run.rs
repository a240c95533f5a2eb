//! `stepwright run`: one execution of one definition, shown as it happens.
//!
//! With a server of its own in memory, or on a running one; the same calls of the API either way.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{Failure, client::Client, definition_file, eprint, print, progress::Progress, runtime, terminal, validate};
use crate::{
    config::{self, LogDestination, LogFormat, Settings, Telling, When},
    http::Server,
    json_text, logging,
    service::Service,
};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// The definition, a file of JSON or YAML (- for stdin)
    definition: PathBuf,
    /// The input: JSON, @FILE, or - for stdin
    #[arg(long, short, value_name = "JSON", default_value = "{}", allow_hyphen_values = true)]
    input: String,
    /// Run on this server instead of one in memory
    #[arg(long = "endpoint-url", visible_alias = "endpoint", value_name = "URL", env = "STEPWRIGHT_ENDPOINT")]
    endpoint: Option<String>,
    /// Print the whole result as JSON (status, output, error, cause, times) instead of the output alone
    #[arg(long)]
    json: bool,
    /// Do not show what happens, only the result
    #[arg(long, short)]
    quiet: bool,
    /// Stop the execution after this many seconds
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    timeout: Option<f64>,
}

/// How long between two looks at a history: short at first, for most executions are.
pub(super) const FIRST_LOOK: Duration = Duration::from_millis(10);
pub(super) const LAST_LOOK: Duration = Duration::from_millis(250);

pub(super) fn run(args: &RunArgs) -> Result<(), Failure> {
    let timeout = duration(args.timeout)?;
    if args.input == "-" && args.definition == std::path::Path::new("-") {
        return Err(Failure::Usage("definition and input cannot both come from stdin".to_owned()));
    }
    let file = definition_file::read(&args.definition)?;
    let definition = validate::accepted(&file)?;
    let input = input(&args.input)?;
    logging::start(LogFormat::Text, &std::env::var("STEPWRIGHT_LOG_LEVEL").unwrap_or_else(|_| "error".to_owned()));
    runtime()?.block_on(async {
        let place = Place::find(args.endpoint.as_deref()).await?;
        let result = execute(&place.client, args, definition, &input, timeout).await;
        place.close().await;
        finish(args, &result?)
    })
}

/// The value of `--timeout`.
pub(super) fn duration(timeout: Option<f64>) -> Result<Option<Duration>, Failure> {
    let wrong = |_| Failure::Usage("--timeout must be a number of seconds, 0 or more".to_owned());
    timeout.map(Duration::try_from_secs_f64).transpose().map_err(wrong)
}

/// A text that is given as it is, as `@FILE`, or as `-` for stdin. `what`: what it is, for messages.
pub(super) fn text_of(what: &str, given: &str) -> Result<String, Failure> {
    if given == "-" {
        std::io::read_to_string(std::io::stdin())
            .map_err(|error| Failure::Usage(format!("the {what} on stdin cannot be read: {error}")))
    } else if let Some(file) = given.strip_prefix('@') {
        std::fs::read_to_string(file)
            .map_err(|error| Failure::Usage(format!("the {what} file {file} cannot be read: {error}")))
    } else {
        Ok(given.to_owned())
    }
}

/// The text of the input.
pub(super) fn input(given: &str) -> Result<String, Failure> {
    let text = text_of("input", given)?.trim().to_owned();
    json_text::check(&text).map_err(|error| Failure::Usage(format!("the input is not JSON: {error}")))?;
    Ok(text)
}

/// Where the execution runs.
pub(super) struct Place {
    pub(super) client: Client,
    own: Option<(Arc<Service>, JoinHandle<()>)>,
}

impl Place {
    pub(super) async fn find(endpoint: Option<&str>) -> Result<Self, Failure> {
        if let Some(endpoint) = endpoint {
            return Ok(Self { client: Client::new(endpoint)?, own: None });
        }
        // Account, region, limits as the environment says; nothing else of a server's configuration matters here.
        let environment =
            std::env::vars_os().filter(|(name, _)| name != "STEPWRIGHT_CONFIG" && name != "STEPWRIGHT_LISTEN");
        let configured =
            config::resolve(&[], environment, None).map_err(|error| Failure::Usage(error.to_string()))?.settings;
        let listen = Settings::default().listen;
        // Nobody outside is told of an execution that is gone when this process ends.
        let telling = Telling { logs: LogDestination::None, eventbridge: When::Off, ..Telling::default() };
        let mut settings = Settings { in_memory: true, listen: (listen.ip(), 0).into(), telling, ..configured };
        settings.functions.guard = super::functions::guard_program();
        let address = settings.listen;
        let failed =
            |error: &dyn std::fmt::Display| Failure::Failed(format!("the server in memory does not start: {error}"));
        let service = tokio::task::spawn_blocking(move || Service::open(settings))
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        let server = Server::bind(address, Arc::clone(&service)).await.map_err(|error| failed(&error))?;
        let endpoint = format!("http://{}", server.address());
        let client = Client::new(&endpoint)?;
        service.serve_functions_at(endpoint);
        let serving = tokio::spawn(server.serve(service.stopping(), Duration::ZERO));
        Ok(Self { client, own: Some((service, serving)) })
    }

    pub(super) async fn close(self) {
        if let Some((service, serving)) = self.own {
            service.stop();
            let _ended = serving.await;
            let _nothing_to_lose = service.engine().drain(Duration::ZERO).await;
            service.end_functions().await;
        }
    }
}

/// Runs a definition on an input, and shows nothing of it: DescribeExecution's answer.
pub(super) async fn outcome(
    client: &Client,
    definition: &str,
    input: &str,
    timeout: Option<Duration>,
) -> Result<Value, Failure> {
    let args = RunArgs {
        definition: PathBuf::new(),
        input: String::new(),
        endpoint: None,
        json: false,
        quiet: true,
        timeout: None,
    };
    execute(client, &args, definition, input, timeout).await
}

async fn execute(
    client: &Client,
    args: &RunArgs,
    definition: &str,
    input: &str,
    timeout: Option<Duration>,
) -> Result<Value, Failure> {
    // A machine of this run's own, gone when it ends; the history stays readable on a running server.
    let name = format!("run-{}", crate::ids::random_uuid());
    let create =
        json!({"name": name, "definition": definition, "roleArn": "arn:aws:iam::000000000000:role/stepwright-run"});
    let created = client.operation("CreateStateMachine", &create).await?;
    let created = created.map_err(|refused| match refused.code.as_str() {
        "InvalidDefinition" => Failure::Usage(refused.message),
        _ => refused.into(),
    })?;
    let machine = json!({"stateMachineArn": created["stateMachineArn"]});
    let start = json!({"stateMachineArn": created["stateMachineArn"], "input": input});
    let result = match client.operation("StartExecution", &start).await? {
        Ok(started) => {
            let followed = follow(client, args, &started["executionArn"], timeout).await;
            match followed {
                Ok(()) => {
                    let describe = json!({"executionArn": started["executionArn"]});
                    client.operation("DescribeExecution", &describe).await?.map_err(Failure::from)
                }
                Err(failure) => Err(failure),
            }
        }
        Err(refused) => Err(refused.into()),
    };
    let _left_behind_at_worst = client.operation("DeleteStateMachine", &machine).await;
    result
}

/// Shows events as they come, until the execution ends; stops it when its time is up or the user asks to.
async fn follow(client: &Client, args: &RunArgs, arn: &Value, timeout: Option<Duration>) -> Result<(), Failure> {
    let started = Instant::now();
    let mut progress = Progress::new(terminal::colours(&std::io::stderr()));
    let mut seen = 0;
    let mut pause = FIRST_LOOK;
    let mut stopped = false;
    loop {
        let events = events_after(client, arn, seen).await?;
        for event in &events {
            if let Some(line) = progress.line(event).filter(|_| !args.quiet) {
                eprint(&format!("{line}\n"));
            }
        }
        if let Some(last) = events.last() {
            seen = last["id"].as_u64().unwrap_or(seen);
            pause = FIRST_LOOK;
            let kind = last["type"].as_str().unwrap_or_default();
            if matches!(kind, "ExecutionSucceeded" | "ExecutionFailed" | "ExecutionTimedOut" | "ExecutionAborted") {
                return Ok(());
            }
        }
        let left = timeout.filter(|_| !stopped).map(|timeout| timeout.saturating_sub(started.elapsed()));
        let stop = if left == Some(Duration::ZERO) {
            Some(("Stepwright.RunTimeout", "stopped by stepwright run after --timeout"))
        } else {
            tokio::select! {
                () = tokio::time::sleep(left.map_or(pause, |left| pause.min(left))) => None,
                _ = tokio::signal::ctrl_c(), if !stopped => {
                    Some(("Stepwright.Interrupted", "stopped by stepwright run after Ctrl-C"))
                }
            }
        };
        pause = (pause * 2).min(LAST_LOOK);
        if let Some((error, cause)) = stop {
            stopped = true;
            pause = FIRST_LOOK;
            let stop = json!({"executionArn": arn, "error": error, "cause": cause});
            client.operation("StopExecution", &stop).await?.map_err(Failure::from)?;
        }
    }
}

/// The events with numbers above `seen`, in order. Read from the end, so that a long history costs nothing again.
pub(super) async fn events_after(client: &Client, arn: &Value, seen: u64) -> Result<Vec<Value>, Failure> {
    let mut events = Vec::new();
    let mut token = Value::Null;
    loop {
        let input = json!({"executionArn": arn, "reverseOrder": true, "maxResults": 1000, "nextToken": token});
        let mut page = client.operation("GetExecutionHistory", &input).await?.map_err(Failure::from)?;
        let Value::Array(newest_first) = page["events"].take() else { break };
        let all_new = newest_first.iter().all(|event| event["id"].as_u64() > Some(seen));
        events.extend(newest_first.into_iter().take_while(|event| event["id"].as_u64() > Some(seen)));
        token = page["nextToken"].take();
        if !all_new || token.is_null() {
            break;
        }
    }
    events.reverse();
    Ok(events)
}

fn finish(args: &RunArgs, execution: &Value) -> Result<(), Failure> {
    if args.json {
        print(&format!("{execution:#}\n"));
    }
    let status = execution["status"].as_str().unwrap_or_default();
    if status == "SUCCEEDED" {
        if !args.json {
            print(&format!("{}\n", execution["output"].as_str().unwrap_or_default()));
        }
        return Ok(());
    }
    Err(Failure::Failed(ending(execution)))
}

/// How an execution ended, in a sentence: DescribeExecution's answer.
pub(super) fn ending(execution: &Value) -> String {
    let mut message = format!("the execution ended as {}", execution["status"].as_str().unwrap_or_default());
    if let Some(error) = execution["error"].as_str() {
        message = format!("{message} with {error}");
    }
    if let Some(cause) = execution["cause"].as_str() {
        message = format!("{message}: {cause}");
    }
    message
}
