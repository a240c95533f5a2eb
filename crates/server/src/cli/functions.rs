//! `stepwright functions`: the functions of a running server, called and listened to; and the guard that ends them if
//! their server is killed.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};
use stepwright_functions::guard;

use super::{
    Failure,
    client::{Client, DEFAULT_ENDPOINT, path_segment},
    eprint, print, run, runtime,
};

pub(super) const HELP: &str = "\
Functions are in the configuration, a table each:

  [functions.charge]
  python = \"handlers.charge\"        # or node = \"file.function\", command = [\"./charge\"], url = \"http://…\"
  timeout = 10

Exit code: 0 done, 1 the function failed or there is no such server, 2 the call is wrong.

Examples:
  stepwright functions list
  stepwright functions invoke charge --payload '{\"amount\": 7}' --log
  stepwright functions invoke charge --payload @event.json
  stepwright functions logs charge --follow
  aws lambda invoke --endpoint-url http://127.0.0.1:8083 --function-name charge /dev/stdout
      Lambda's own Invoke is served on the same port";

#[derive(Debug, Args)]
pub(super) struct FunctionsArgs {
    #[command(subcommand)]
    verb: Verb,
    /// The running server
    #[arg(long, global = true, value_name = "URL", env = "STEPWRIGHT_ENDPOINT", default_value = DEFAULT_ENDPOINT)]
    endpoint: String,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the functions and how busy they are
    List,
    /// Run a function and print its result
    Invoke {
        /// The function's name or ARN
        name: String,
        /// The event: JSON, @FILE, or - for standard input
        #[arg(long, value_name = "JSON", default_value = "{}")]
        payload: String,
        /// Show the end of the invocation's log, on stderr
        #[arg(long)]
        log: bool,
        /// Don't wait for the result
        #[arg(long)]
        event: bool,
    },
    /// Show what functions said
    Logs {
        /// The function [default: all]
        name: Option<String>,
        /// Go on showing what they say
        #[arg(long, short)]
        follow: bool,
    },
}

pub(super) fn functions(args: &FunctionsArgs) -> Result<(), Failure> {
    let client = Client::new(&args.endpoint)?;
    runtime()?.block_on(async {
        match &args.verb {
            Verb::List => list(&client, args.json).await,
            Verb::Invoke { name, payload, log, event } => invoke(&client, args.json, name, payload, *log, *event).await,
            Verb::Logs { name, follow } => logs(&client, args.json, name.as_deref(), *follow).await,
        }
    })
}

async fn list(client: &Client, json: bool) -> Result<(), Failure> {
    let answer = client.admin(Method::GET, "/_stepwright/functions").await?.map_err(Failure::from)?;
    print(&if json { format!("{answer:#}\n") } else { table(&answer) });
    Ok(())
}

fn table(answer: &Value) -> String {
    let rows: Vec<[String; 3]> = answer["functions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let number = |name: &str| row[name].as_u64().unwrap_or_default();
            let busy = number("processes") - number("idle").min(number("processes"));
            let waiting = Some(number("waiting")).filter(|waiting| *waiting > 0);
            let waiting = waiting.map(|waiting| format!(", {waiting} wait")).unwrap_or_default();
            let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
            [text("name"), format!("{busy} busy, {} warm{waiting}", number("idle")), text("runs")]
        })
        .collect();
    if rows.is_empty() {
        return "There are no functions. `stepwright functions --help` shows how to add one.\n".to_owned();
    }
    let width = |column: usize, title: &str| {
        rows.iter().map(|row| row[column].chars().count()).chain([title.len()]).max().unwrap_or(0)
    };
    let (first, second) = (width(0, "FUNCTION"), width(1, "PROCESSES"));
    let mut out = format!("{:first$}  {:second$}  RUNS\n", "FUNCTION", "PROCESSES");
    for [name, processes, runs] in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{name:first$}  {processes:second$}  {runs}");
    }
    out
}

async fn invoke(
    client: &Client,
    as_json: bool,
    name: &str,
    payload: &str,
    log: bool,
    event: bool,
) -> Result<(), Failure> {
    let payload = run::input(payload)?;
    let path = format!("/2015-03-31/functions/{}/invocations", path_segment(name));
    let kind = if event { "Event" } else { "RequestResponse" };
    let log_type = if log { "Tail" } else { "None" };
    let headers = [("x-amz-invocation-type", kind), ("x-amz-log-type", log_type)];
    let (status, headers, body) = client.post(&path, &headers, payload).await?;
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !status.is_success() {
        let said: Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = ["message", "Message"].iter().find_map(|name| said[name].as_str());
        let code = header("x-amzn-errortype").unwrap_or("the function did not run");
        return Err(Failure::Failed(format!("{code}: {}", message.map_or_else(|| status.to_string(), str::to_owned))));
    }
    let tail = header("x-amz-log-result").and_then(decoded);
    let error = header("x-amz-function-error");
    let text = String::from_utf8_lossy(&body);
    if as_json {
        let shown = serde_json::from_slice::<Value>(&body).unwrap_or_else(|_| text.as_ref().into());
        let request_id = header("x-amzn-requestid");
        let shown = json!({
            "StatusCode": status.as_u16(), "RequestId": request_id, "FunctionError": error, "Payload": shown, "Log": tail,
        });
        print(&format!("{shown:#}\n"));
    } else {
        eprint(tail.as_deref().unwrap_or_default());
        if error.is_none() && !event {
            print(&format!("{text}\n"));
        }
    }
    match error {
        None => Ok(()),
        Some(_) if as_json => Err(Failure::Failed(format!("the function {name} failed"))),
        Some(_) => Err(Failure::Failed(format!("the function {name} failed: {text}"))),
    }
}

fn decoded(base64: &str) -> Option<String> {
    stepwright_functions::invoke_api::text_of_base64(base64)
}

async fn logs(client: &Client, as_json: bool, name: Option<&str>, follow: bool) -> Result<(), Failure> {
    let (mut after, mut wait) = (0, 0);
    loop {
        let name = name.map(|name| format!("&name={}", path_segment(name))).unwrap_or_default();
        let path = format!("/_stepwright/functions/logs?after={after}&wait={wait}{name}");
        let answer = client.admin(Method::GET, &path).await?.map_err(Failure::from)?;
        let lines = answer["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        print(&lines.iter().map(|line| if as_json { format!("{line}\n") } else { shown(line) }).collect::<String>());
        after = lines.last().and_then(|line| line["sequence"].as_u64()).unwrap_or(after);
        if !follow {
            return Ok(());
        }
        wait = 20;
    }
}

fn shown(line: &Value) -> String {
    let text = |name: &str| line[name].as_str().unwrap_or_default();
    format!("{}  {}  {}\n", text("at"), text("function"), text("text"))
}

/// The program that is started as the guard of functions: this one, whatever has become of its file since.
pub(super) fn guard_program() -> Option<PathBuf> {
    let link = PathBuf::from("/proc/self/exe");
    if link.exists() { Some(link) } else { std::env::current_exe().ok() }
}

/// `stepwright function-guard`, which only servers start.
pub(super) fn watch() -> Result<(), Failure> {
    guard::watch(std::io::stdin().lock());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_a_line_for_each() {
        assert!(table(&json!({"functions": []})).starts_with("There are no functions."));
        let shown = table(&json!({"functions": [
            {"name": "charge", "runs": "python handlers.charge", "processes": 3, "idle": 1, "waiting": 0},
            {"name": "a-longer-name", "runs": "./b", "processes": 1, "idle": 0, "waiting": 4},
        ]}));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1], "charge         2 busy, 1 warm          python handlers.charge");
        assert_eq!(lines[2], "a-longer-name  1 busy, 0 warm, 4 wait  ./b");
    }
}
