//! `stepwright quarantine`: executions that a broken invariant stopped, on a running server.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use super::{
    Failure,
    client::{EndpointArgs, path_segment},
    print, runtime,
};

#[derive(Debug, Args)]
pub(super) struct QuarantineArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the executions in quarantine, of all accounts and regions
    List,
    /// Show why an execution is there and what it was to take in
    Show {
        /// The execution's ARN
        arn: String,
    },
    /// Take an execution out and give it its inputs again
    Retry {
        /// The execution's ARN
        arn: String,
    },
    /// Take an execution out and end it as FAILED
    Fail {
        /// The execution's ARN
        arn: String,
    },
}

const PATH: &str = "/_stepwright/quarantine";

pub(super) fn quarantine(args: &QuarantineArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    let (method, path) = match &args.verb {
        Verb::List => (Method::GET, PATH.to_owned()),
        Verb::Show { arn } => (Method::GET, format!("{PATH}/{}", path_segment(arn))),
        Verb::Retry { arn } => (Method::POST, format!("{PATH}/{}/retry", path_segment(arn))),
        Verb::Fail { arn } => (Method::POST, format!("{PATH}/{}/fail", path_segment(arn))),
    };
    let answer = runtime()?.block_on(client.admin(method, &path))?.map_err(Failure::from)?;
    if args.json {
        print(&format!("{answer:#}\n"));
        return Ok(());
    }
    print(&match &args.verb {
        Verb::List => table(&answer),
        Verb::Show { .. } => shown(&answer),
        Verb::Retry { arn } => format!("{arn} is out of quarantine and goes on\n"),
        Verb::Fail { arn } => format!("{arn} is out of quarantine and FAILED\n"),
    });
    Ok(())
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or("-")
}

fn since(value: &Value) -> String {
    let seconds = value["since"].as_f64().unwrap_or_default();
    std::time::UNIX_EPOCH
        .checked_add(std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default())
        .and_then(|then| then.elapsed().ok())
        .map_or_else(|| "-".to_owned(), |ago| format!("{} ago", rough(ago.as_secs())))
}

fn rough(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn table(answer: &Value) -> String {
    let rows: Vec<[String; 3]> = answer["executions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let cause = text(row, "cause").lines().next().unwrap_or_default();
            [since(row), text(row, "executionArn").to_owned(), cause.to_owned()]
        })
        .collect();
    if rows.is_empty() {
        return "No execution is in quarantine.\n".to_owned();
    }
    let width = |column: usize, title: &str| {
        rows.iter().map(|row| row[column].chars().count()).chain([title.len()]).max().unwrap_or(0)
    };
    let (first, second) = (width(0, "SINCE"), width(1, "EXECUTION"));
    let mut out = format!("{:first$}  {:second$}  CAUSE\n", "SINCE", "EXECUTION");
    for [since, arn, cause] in rows {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{since:first$}  {arn:second$}  {cause}");
    }
    out
}

fn shown(answer: &Value) -> String {
    let mut out = format!(
        "execution  {}\naccount    {} in {}\nsince      {}\ncause      {}\n",
        text(answer, "executionArn"),
        text(answer, "account"),
        text(answer, "region"),
        since(answer),
        text(answer, "cause").replace('\n', "\n           "),
    );
    let inputs = answer["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    let _ = writeln!(out, "inputs     {} kept, {} dropped", inputs.len(), answer["droppedInputs"]);
    for input in inputs {
        let _ = writeln!(out, "           {}", input.as_str().unwrap_or_default());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_has_a_line_for_each() {
        assert_eq!(table(&json!({"executions": []})), "No execution is in quarantine.\n");
        let shown = table(&json!({"executions": [
            {"executionArn": "arn:a", "cause": "broken\nat x", "since": 0.0},
            {"executionArn": "arn:longer", "cause": "c", "since": 0.0},
        ]}));
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("SINCE"), "{shown}");
        assert!(lines[1].ends_with("arn:a       broken"), "{shown}");
        assert!(lines[2].ends_with("arn:longer  c"), "{shown}");
    }

    #[test]
    fn show_tells_the_cause_and_the_inputs() {
        let shown = shown(&json!({
            "executionArn": "arn:a", "account": "1", "region": "r", "since": 0.0, "cause": "one\ntwo",
            "inputs": ["TaskSucceeded"], "droppedInputs": 2,
        }));
        for part in ["arn:a", "1 in r", "one\n           two", "1 kept, 2 dropped", "           TaskSucceeded\n"] {
            assert!(shown.contains(part), "{part} is missing in:\n{shown}");
        }
    }
}
