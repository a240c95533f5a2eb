//! `stepwright history`: the events of an execution as a table, as bars over time, as they come, or as JSON.

use clap::Args;
use serde_json::{Value, json};
use stepwright_graph::Class;

use super::{
    Failure,
    client::{Client, EndpointArgs},
    execution::{describe_execution, outcome},
    named::{ExecutionArgs, seconds},
    print,
    progress::Progress,
    run::{FIRST_LOOK, LAST_LOOK, events_after},
    runtime,
    terminal::{self, Tone, tame, toned},
    visits::{Visit, details, is_failure, visits},
};

pub(super) const HELP: &str = "\
--json prints {\"events\": […]} with AWS's members; with --follow one event a line.

Exit code: 0 it was shown; with --follow as of `stepwright wait`: 0 SUCCEEDED, 3 FAILED, 4 TIMED_OUT, 5 ABORTED.

Examples:
  stepwright history last
  stepwright history last --timeline
      A bar for each visit of a state
  stepwright history order-7 --state-machine-arn orders --follow
      What happens, as it happens, until the execution ends
  stepwright history last --json --reverse-order --max-items 10";

#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    execution: ExecutionArgs,
    /// Show visits of states as bars over time
    #[arg(long, conflicts_with_all = ["follow", "json", "reverse_order", "max_items"])]
    timeline: bool,
    /// Show what happens as it happens, until the execution ends
    #[arg(long, short, conflicts_with_all = ["reverse_order", "max_items"])]
    follow: bool,
    /// Newest first
    #[arg(long)]
    reverse_order: bool,
    /// Events at most [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_items: Option<u32>,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Cells of a timeline.
const WIDTH: usize = 48;

pub(super) fn history(args: &HistoryArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    runtime()?.block_on(async {
        let arn = args.execution.arn(&client).await?;
        if args.follow {
            return follow(&client, &arn, args.json).await;
        }
        let events = events(&client, &arn, args.reverse_order, args.max_items).await?;
        let colours = terminal::colours(&std::io::stdout());
        print(&if args.json {
            format!("{:#}\n", json!({ "events": events }))
        } else if args.timeline {
            timeline(&visits(&events), last_time(&events), colours)
        } else {
            table(&events, colours)
        });
        Ok(())
    })
}

/// The events of an execution.
pub(super) async fn events(
    client: &Client,
    arn: &str,
    reverse: bool,
    most: Option<u32>,
) -> Result<Vec<Value>, Failure> {
    let input = json!({ "executionArn": arn, "reverseOrder": reverse });
    client.pages("GetExecutionHistory", &input, "events", most.map(|most| most as usize)).await
}

/// When the last of some events was.
pub(super) fn last_time(events: &[Value]) -> f64 {
    events.iter().filter_map(|event| event["timestamp"].as_f64()).fold(0.0, f64::max)
}

async fn follow(client: &Client, arn: &str, as_json: bool) -> Result<(), Failure> {
    let colours = terminal::colours(&std::io::stdout());
    let mut progress = Progress::new(colours);
    let id = json!(arn);
    let (mut seen, mut pause) = (0, FIRST_LOOK);
    loop {
        let events = events_after(client, &id, seen).await?;
        for event in &events {
            if as_json {
                print(&format!("{event}\n"));
            } else if let Some(line) = progress.line(event) {
                print(&format!("{line}\n"));
            }
        }
        match events.last() {
            Some(last) => {
                seen = last["id"].as_u64().unwrap_or(seen);
                pause = FIRST_LOOK;
                let kind = last["type"].as_str().unwrap_or_default();
                if matches!(kind, "ExecutionSucceeded" | "ExecutionFailed" | "ExecutionTimedOut" | "ExecutionAborted") {
                    let described = describe_execution(client, arn).await?;
                    return outcome(&described);
                }
            }
            None => pause = (pause * 2).min(LAST_LOOK),
        }
        tokio::time::sleep(pause).await;
    }
}

fn table(events: &[Value], colours: bool) -> String {
    let first = events.iter().filter_map(|event| event["timestamp"].as_f64()).fold(f64::INFINITY, f64::min);
    // Events of tasks name no state; the event before them does. Before they are shown the other way round.
    let mut in_order: Vec<&Value> = events.iter().collect();
    in_order.sort_by_key(|event| event["id"].as_u64());
    let mut states: std::collections::HashMap<u64, String> = std::collections::HashMap::new();
    for event in in_order {
        let before = event["previousEventId"].as_u64().unwrap_or_default();
        let details = details(event);
        let named = details["name"].as_str().or_else(|| details["state"].as_str()).map(str::to_owned);
        let state = named.or_else(|| states.get(&before).cloned()).unwrap_or_default();
        states.insert(event["id"].as_u64().unwrap_or_default(), state);
    }
    let rows: Vec<_> = events
        .iter()
        .map(|event| {
            let id = event["id"].as_u64().unwrap_or_default();
            let kind = event["type"].as_str().unwrap_or_default();
            let details = details(event);
            let text = |member: &str| details[member].as_str().map(|text| tame(text, 60));
            let shown = match (text("error"), text("cause")) {
                (Some(error), Some(cause)) => format!("{error}: {cause}"),
                (Some(error), None) => error,
                _ => text("output").or_else(|| text("input")).or_else(|| text("resource")).unwrap_or_default(),
            };
            let tone = if is_failure(kind) {
                Tone::Bad
            } else if kind.ends_with("Succeeded") {
                Tone::Good
            } else {
                Tone::Plain
            };
            let at = event["timestamp"].as_f64().unwrap_or_default() - first;
            let state = tame(states.get(&id).map(String::as_str).unwrap_or_default(), 40);
            vec![
                (id.to_string(), Tone::Faint),
                (format!("{at:.3}"), Tone::Plain),
                (kind.to_owned(), tone),
                (state, Tone::Plain),
                (shown, Tone::Faint),
            ]
        })
        .collect();
    terminal::table(&["ID", "SECONDS", "TYPE", "STATE", "DETAIL"], &rows, colours)
}

/// The visits in the order in which they were entered, but each right behind the one that it is in.
fn nested(visits: &[Visit]) -> Vec<usize> {
    let mut inside: Vec<Vec<usize>> = vec![Vec::new(); visits.len()];
    let mut open = Vec::new();
    // The last come first, for they are taken from the end.
    for (number, visit) in visits.iter().enumerate().rev() {
        match visit.parent {
            Some(parent) => inside[parent].push(number),
            None => open.push(number),
        }
    }
    let mut order = Vec::with_capacity(visits.len());
    while let Some(number) = open.pop() {
        order.push(number);
        open.append(&mut inside[number]);
    }
    order
}

/// A bar for each visit, over the time of the whole execution.
fn timeline(visits: &[Visit], end: f64, colours: bool) -> String {
    let Some(first) = visits.first() else { return "no state was entered yet\n".to_owned() };
    let begin = first.entered;
    let whole = (end - begin).max(0.001);
    let names: Vec<String> =
        visits.iter().map(|visit| format!("{}{}", "  ".repeat(visit.depth(visits)), tame(&visit.name, 40))).collect();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for number in nested(visits) {
        let (visit, name) = (&visits[number], &names[number]);
        let cell = |at: f64| (((at - begin) / whole) * WIDTH as f64).round().clamp(0.0, WIDTH as f64) as usize;
        let (from, until) = (cell(visit.entered).min(WIDTH - 1), cell(visit.exited.unwrap_or(end)));
        let cells = until.saturating_sub(from).max(1);
        let (tone, word) = match visit.class {
            Class::Succeeded => (Tone::Good, ""),
            Class::Caught => (Tone::Warn, "caught "),
            Class::Failed => (Tone::Bad, "failed "),
            Class::Running | Class::NotVisited => (Tone::Strong, "running "),
        };
        let block = if visit.exited.is_some() { "█" } else { "▒" };
        let bar = format!("{}{}", " ".repeat(from), toned(&block.repeat(cells), tone, colours));
        let rest = " ".repeat(WIDTH - from - cells);
        let gap = " ".repeat(widest - name.chars().count());
        let took = seconds(visit.exited.unwrap_or(end) - visit.entered);
        let error = visit.error.as_deref().map(|error| tame(error, 60)).unwrap_or_default();
        let line = format!("{name}{gap}  {bar}{rest}  {took:>8}  {word}{error}");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out.push_str(&format!("{}  {:<WIDTH$}  {:>8}\n", " ".repeat(widest), "", seconds(whole)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_where_their_time_is() {
        let visit = |name: &str, parent, entered, exited, class| Visit {
            name: name.to_owned(),
            parent,
            entered,
            exited,
            class,
            error: (class == Class::Failed).then(|| "E".to_owned()),
        };
        let visits = [
            visit("Both", None, 0.0, None, Class::Failed),
            visit("A", Some(0), 0.0, Some(2.4), Class::Succeeded),
            visit("C", None, 4.8, None, Class::Running),
            visit("B", Some(0), 2.4, None, Class::Failed),
        ];
        let shown = timeline(&visits, 4.8, false);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], format!("Both  {}     4.8 s  failed E", "▒".repeat(48)));
        assert_eq!(lines[1], format!("  A   {}{}     2.4 s", "█".repeat(24), " ".repeat(24)));
        assert_eq!(lines[2], format!("  B   {}{}     2.4 s  failed E", " ".repeat(24), "▒".repeat(24)));
        assert_eq!(lines[3], format!("C     {}▒      0 ms  running", " ".repeat(47)));
    }
}
