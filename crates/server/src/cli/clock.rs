//! `stepwright clock`: what time it is for the executions of a running server, and how it goes on.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use super::{
    Failure,
    client::{Client, DEFAULT_ENDPOINT},
    print, runtime,
};

#[derive(Debug, Args)]
pub(super) struct ClockArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The running server
    #[arg(long, global = true, value_name = "URL", env = "STEPWRIGHT_ENDPOINT", default_value = DEFAULT_ENDPOINT)]
    endpoint: String,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the time and what keeps it from being skipped (the default)
    Show,
    /// Let it stand still
    Freeze,
    /// Move it on, by way of every timer until then
    Advance {
        /// How far: 90s, 10m, 12h, 3d, or 1h30m
        duration: String,
    },
    /// Let it jump to the next timer whenever nothing else can happen
    Skip,
    /// Let it run as the machine's clock does, from where it is
    Real,
}

pub(super) const HELP: &str = "\
Waits, retries, time-outs, heartbeats and timestamps follow this clock. It never goes back, not even over restarts.

Examples:
  stepwright clock
  stepwright clock freeze
  stepwright clock advance 3d
  stepwright clock skip";

const PATH: &str = "/_stepwright/clock";

pub(super) fn clock(args: &ClockArgs) -> Result<(), Failure> {
    let client = Client::new(&args.endpoint)?;
    let (method, path) = match &args.verb {
        None | Some(Verb::Show) => (Method::GET, PATH.to_owned()),
        Some(Verb::Freeze) => (Method::POST, format!("{PATH}/freeze")),
        Some(Verb::Skip) => (Method::POST, format!("{PATH}/skip")),
        Some(Verb::Real) => (Method::POST, format!("{PATH}/real")),
        Some(Verb::Advance { duration }) => {
            let millis = millis(duration).ok_or_else(|| {
                Failure::Usage(format!("{duration:?} is no duration: it must be a number and a unit, 90s, 10m, 12h, 3d or 1h30m, up to 100 years"))
            })?;
            (Method::POST, format!("{PATH}/advance/{millis}"))
        }
    };
    let answer = runtime()?.block_on(client.admin(method, &path))?.map_err(Failure::from)?;
    print(&if args.json { format!("{answer:#}\n") } else { shown(&answer) });
    Ok(())
}

/// A duration as people write it, in milliseconds; none: it is none, or too long.
fn millis(text: &str) -> Option<i64> {
    let mut total: i64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit_end =
            rest[digits..].find(|character: char| character.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[unit_end..];
    }
    (1..=100 * 365 * 86_400_000).contains(&total).then_some(total)
}

fn shown(answer: &Value) -> String {
    let seconds = answer["now"].as_f64().unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, reason = "a date")]
    let now = jiff::Timestamp::from_millisecond((seconds * 1_000.0).round() as i64);
    let now = now.map_or_else(|_| "-".to_owned(), |now| now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
    let ahead = answer["aheadMilliseconds"].as_i64().unwrap_or(0);
    let apart = match ahead {
        0 => "the machine's time".to_owned(),
        1.. => format!("{} ahead of the machine's clock", length(ahead)),
        _ => format!("{} behind the machine's clock", length(-ahead)),
    };
    let mode = answer["mode"].as_str().unwrap_or("-");
    let mut out = format!("mode  {mode}\nnow   {now} ({apart})\n");
    if !answer["advancingTo"].is_null() {
        out.push_str("      on its way: it goes on as soon as what is under way is done\n");
    }
    let held = &answer["heldBy"];
    let mut holders = Vec::new();
    for (member, what) in [
        ("underWay", "turns, commits and calls under way"),
        ("waitingCalls", "calls waiting for their turn"),
        ("tasksInHand", "tasks in the hands of workers and services"),
    ] {
        let count = held[member].as_u64().unwrap_or(0);
        if count > 0 {
            holders.push(format!("{count} {what}"));
        }
    }
    if held["awaitsWorker"] == true {
        holders.push("tasks waiting for a worker that polled within the last minute".to_owned());
    }
    if mode == "skip" && !holders.is_empty() {
        out.push_str(&format!("held  by {}\n", holders.join(", ")));
    }
    out
}

fn length(millis: i64) -> String {
    let (days, rest) = (millis / 86_400_000, millis % 86_400_000);
    let (hours, rest) = (rest / 3_600_000, rest % 3_600_000);
    let (minutes, rest) = (rest / 60_000, rest % 60_000);
    let parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest / 1_000, "s")];
    let shown: Vec<String> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if shown.is_empty() { format!("{millis}ms") } else { shown.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(
            ["90s", "10m", "3d", "1h30m", "5ms"].map(millis),
            [90_000, 600_000, 259_200_000, 5_400_000, 5].map(Some)
        );
        for wrong in ["", "3", "d", "-1s", "0s", "3 d", "3x", "999999999999d", "1.5h"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
        assert_eq!(length(90_061_000), "1d 1h 1m 1s");
    }
}
