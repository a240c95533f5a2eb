//! `stepwright map-run`: how far the map runs of an execution are, live, and which items failed first.

use std::{
    fmt::Write as _,
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::{
    Failure,
    client::{Client, EndpointArgs},
    print, runtime,
};

pub(super) const HELP: &str = "\
Exit code: 0 the map run succeeded, 1 it failed or was aborted.

Examples:
  stepwright map-run arn:aws:states:us-east-1:000000000000:execution:orders:7
      The newest map run of an execution: a bar that moves until the run ends, its rate, the time left

  stepwright map-run arn:aws:states:us-east-1:000000000000:mapRun:orders/each:…
      That one

  stepwright map-run arn:… --once --json
      How far it is now, for scripts";

#[derive(Debug, Args)]
pub(super) struct MapRunArgs {
    /// The ARN of an execution, or of a map run
    arn: String,
    #[command(flatten)]
    endpoint: EndpointArgs,
    /// Print how far it is and don't wait for its end
    #[arg(long)]
    once: bool,
    /// Failed items to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    failures: u32,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// How often the bar moves.
const PAUSE: Duration = Duration::from_millis(250);
/// How often a line is printed where nobody watches a terminal.
const LINE: Duration = Duration::from_secs(5);
/// How long the rate looks back.
const WINDOW: Duration = Duration::from_secs(10);
/// Cells of the bar.
const WIDTH: u64 = 30;

pub(super) fn map_run(args: &MapRunArgs) -> Result<(), Failure> {
    let client = args.endpoint.client()?;
    runtime()?.block_on(follow(&client, args))
}

async fn follow(client: &Client, args: &MapRunArgs) -> Result<(), Failure> {
    let arn = run_arn(client, &args.arn).await?;
    let live = std::io::stdout().is_terminal() && !args.json && !args.once;
    let mut rate = Rate::default();
    let mut printed: Option<Instant> = None;
    let mut is_read = false;
    let description = loop {
        let description =
            client.operation("DescribeMapRun", &json!({ "mapRunArn": arn })).await?.map_err(Failure::from)?;
        let ended = description["status"] != "RUNNING";
        is_read = is_read || ended || all_items_are_known(client, &arn).await;
        rate.add(done(&description["itemCounts"]), Instant::now());
        if live {
            print(&format!("\r\u{1b}[K{}", line(&description, rate.per_second(), is_read)));
        } else if !args.json && !ended && !args.once && printed.is_none_or(|at| at.elapsed() >= LINE) {
            printed = Some(Instant::now());
            print(&format!("{}\n", line(&description, rate.per_second(), is_read)));
        }
        if ended || args.once {
            break description;
        }
        tokio::time::sleep(PAUSE).await;
    };
    let failures = failures(client, &arn, args.failures).await?;
    if args.json {
        print(&format!("{:#}\n", json!({ "mapRun": description, "failures": failures })));
    } else {
        let head = if live { "\r\u{1b}[K" } else { "" };
        print(&format!("{head}{}\n{}", line(&description, rate.per_second(), is_read), failed_items(&failures)));
    }
    match description["status"].as_str() {
        Some("FAILED" | "ABORTED") => {
            Err(Failure::Failed(format!("the map run {}", description["status"].as_str().unwrap_or_default())))
        }
        _ => Ok(()),
    }
}

/// Whether a run read all its items; only servers of ours say so.
async fn all_items_are_known(client: &Client, arn: &str) -> bool {
    let path = format!("/_stepwright/map-run/{}", arn.replace('/', "%2F"));
    matches!(client.admin(Method::GET, &path).await, Ok(Ok(run)) if run["isRead"] == true)
}

/// The ARN of the map run that is meant.
async fn run_arn(client: &Client, arn: &str) -> Result<String, Failure> {
    if arn.contains(":mapRun:") {
        return Ok(arn.to_owned());
    }
    let request = json!({ "executionArn": arn, "maxResults": 1 });
    let runs = client.operation("ListMapRuns", &request).await?.map_err(Failure::from)?;
    runs["mapRuns"][0]["mapRunArn"].as_str().map(str::to_owned).ok_or_else(|| {
        Failure::Failed(format!("the execution {arn} has no map run; only Map states of mode DISTRIBUTED begin one"))
    })
}

/// The children that failed first, with their errors.
async fn failures(client: &Client, arn: &str, most: u32) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for status in ["FAILED", "TIMED_OUT", "ABORTED"] {
        if most == 0 {
            break;
        }
        // Lists are newest first, so the first ones are on the last page.
        let mut first: Vec<Value> = Vec::new();
        let mut next: Option<String> = None;
        loop {
            let mut request = json!({ "mapRunArn": arn, "statusFilter": status, "maxResults": 1000 });
            if let Some(token) = &next {
                request["nextToken"] = token.as_str().into();
            }
            let page = client.operation("ListExecutions", &request).await?.map_err(Failure::from)?;
            first.extend(page["executions"].as_array().cloned().unwrap_or_default());
            let surplus = first.len().saturating_sub(most as usize);
            first.drain(..surplus);
            next = page["nextToken"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
        found.extend(first.into_iter().rev());
    }
    found.truncate(most as usize);
    let mut failures = Vec::new();
    for item in found {
        let request = json!({ "executionArn": item["executionArn"] });
        if let Ok(described) = client.operation("DescribeExecution", &request).await? {
            failures.push(described);
        }
    }
    Ok(failures)
}

fn count(counts: &Value, member: &str) -> u64 {
    counts[member].as_u64().unwrap_or_default()
}

fn unsuccessful(counts: &Value) -> u64 {
    count(counts, "failed") + count(counts, "timedOut") + count(counts, "aborted")
}

fn done(counts: &Value) -> u64 {
    count(counts, "succeeded") + unsuccessful(counts)
}

/// `RUNNING  ██████░░░░  61.0 %  610,000 of 1,000,000 items, 3 failed, 10,000 running  21,400/s  18 s left`; as long as items
/// are read and nobody knows how many there are, neither share nor time left.
fn line(description: &Value, per_second: Option<f64>, is_read: bool) -> String {
    let counts = &description["itemCounts"];
    let (done, total) = (done(counts), count(counts, "total"));
    let share = if total == 0 { 0.0 } else { done as f64 / total as f64 };
    let cells = (done * WIDTH).checked_div(total).unwrap_or(0).min(WIDTH);
    let bar = "█".repeat(cells as usize) + &"░".repeat((WIDTH - cells) as usize);
    let status = description["status"].as_str().unwrap_or("-");
    let mut line = if is_read {
        format!("{status:<9} {bar} {:>5.1} %  {} of {} items", share * 100.0, thousands(done), thousands(total))
    } else {
        format!("{status:<9} {} items, more are being read", thousands(done))
    };
    for (number, what) in [
        (unsuccessful(counts), "failed"),
        (count(counts, "running"), "running"),
        (count(counts, "pendingRedrive"), "to be redriven"),
    ] {
        if number > 0 {
            let _infallible = write!(line, ", {} {what}", thousands(number));
        }
    }
    let Some(per_second) = per_second.filter(|rate| *rate > 0.0 && status == "RUNNING") else { return line };
    let _infallible = write!(line, "  {}/s", thousands(per_second as u64));
    if is_read {
        let _infallible = write!(line, "  {} left", duration(total.saturating_sub(done) as f64 / per_second));
    }
    line
}

fn failed_items(failures: &[Value]) -> String {
    let mut text = String::new();
    if !failures.is_empty() {
        text.push_str("failed first:\n");
    }
    for failure in failures {
        let (error, cause) = (failure["error"].as_str().unwrap_or("-"), failure["cause"].as_str().unwrap_or("-"));
        let status = failure["status"].as_str().unwrap_or("-");
        let tame = |text: &str, most: usize| -> String {
            text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect()
        };
        let input = failure["input"].as_str().unwrap_or("-");
        let _infallible = writeln!(
            text,
            "  {}\n    {status} {}: {}\n    input {}",
            failure["executionArn"].as_str().unwrap_or("-"),
            tame(error, 80),
            tame(cause, 160),
            tame(input, 160)
        );
    }
    text
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: f64) -> String {
    match seconds as u64 {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// Items a second over the last seconds.
#[derive(Default)]
struct Rate {
    seen: std::collections::VecDeque<(Instant, u64)>,
}

impl Rate {
    fn add(&mut self, done: u64, now: Instant) {
        self.seen.push_back((now, done));
        while self.seen.len() > 2 && self.seen.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.seen.pop_front();
        }
    }

    fn per_second(&self) -> Option<f64> {
        let ((from, first), (to, last)) = (self.seen.front()?, self.seen.back()?);
        let seconds = to.duration_since(*from).as_secs_f64();
        (seconds > 0.0).then(|| last.saturating_sub(*first) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_a_run_is() {
        let run = |status: &str| {
            json!({ "status": status, "itemCounts": { "total": 2_000, "succeeded": 990, "failed": 10, "running": 40,
                "timedOut": 0, "aborted": 0, "pending": 960 } })
        };
        assert_eq!(
            line(&run("RUNNING"), Some(100.0), true),
            "RUNNING   ███████████████░░░░░░░░░░░░░░░  50.0 %  1,000 of 2,000 items, 10 failed, 40 running  100/s  10 s left"
        );
        assert_eq!(
            line(&run("RUNNING"), Some(100.0), false),
            "RUNNING   1,000 items, more are being read, 10 failed, 40 running  100/s"
        );
        assert!(line(&run("FAILED"), Some(100.0), true).ends_with("40 running"));
        assert!(line(&json!({ "status": "RUNNING", "itemCounts": {} }), None, true).contains("0 of 0 items"));
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds() {
        let (mut rate, begun) = (Rate::default(), Instant::now());
        assert_eq!(rate.per_second(), None);
        for second in 0..30 {
            rate.add(if second < 15 { 0 } else { (second - 14) * 50 }, begun + Duration::from_secs(second));
        }
        assert_eq!(rate.per_second(), Some(50.0));
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([5.0, 130.0, 8_000.0].map(duration), ["5 s", "2 min", "2 h"]);
    }
}
