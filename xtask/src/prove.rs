//! `cargo xtask prove`: promises that are figures, measured on the real binary and held against their bound.

mod hostile;
mod kill;
mod sync;

use crate::process::{Server, free_port};
use crate::progress::{history, is_last};
use crate::workspace::{server_binary, target};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Workers that answer the tasks of the Map.
const WORKERS: usize = 8;
/// Runs of the small Map.
const SMALL_RUNS: usize = 20;
/// How far the bytes per item of the large Map may lie from those of the small one.
const TOLERANCE: f64 = 0.20;

/// A promise to measure.
#[derive(clap::Subcommand)]
pub(crate) enum Promise {
    /// Idle polls, floods, slow and half-closed clients: a regular client is served on, and memory stays bounded
    Hostile(hostile::Options),
    /// kill -9 at random moments under load: everything closes as it should, nothing acknowledged is lost
    Kill(kill::Options),
    /// An inline Map of many items with a Task each writes the same bytes per item as one of few
    MapBytes {
        /// Items of the large Map
        #[arg(long, default_value_t = 6_000)]
        items: usize,
        /// Items of the small Map
        #[arg(long, default_value_t = 60)]
        few: usize,
    },
    /// Under strace, nothing is acknowledged before the sync that covers it
    Sync(sync::Options),
    /// Random workflows on the production engine and log under a simulated clock and disk, with faults
    Sim(crate::sim::ProveOptions),
    /// Half the top rate for a long while: memory is flat, the disk bounded, latency what it was
    Soak(crate::bench::soak::Options),
}

impl Promise {
    /// As `cargo xtask test` runs it.
    pub(crate) fn kill() -> Self {
        Self::Kill(kill::Options::bounded())
    }

    /// As `cargo xtask test` runs it; a reason, if this machine cannot.
    pub(crate) fn sync() -> Result<Option<String>> {
        sync::run(&sync::Options::bounded())
    }

    /// As `cargo xtask test` runs it.
    pub(crate) fn map_bytes() -> Self {
        Self::MapBytes { items: 6_000, few: 60 }
    }
}

pub(crate) fn run(promise: &Promise) -> Result<()> {
    match promise {
        Promise::Hostile(options) => hostile::run(options),
        Promise::Kill(options) => kill::run(options),
        Promise::MapBytes { items, few } => map_bytes(*items, *few),
        Promise::Sync(options) => match sync::run(options)? {
            Some(missing) => bail!("cannot run: {missing}"),
            None => Ok(()),
        },
        Promise::Sim(options) => crate::sim::prove(options),
        Promise::Soak(options) => crate::bench::soak::run(options),
    }
}

fn map_bytes(items: usize, few: usize) -> Result<()> {
    let binary = server_binary()?;
    let home = target().join("prove-map-bytes");
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    std::fs::create_dir_all(&home)?;
    // An item makes seven events; AWS ends an execution at 25,000, which this measurement lifts.
    let lifted = ["--limits-history-events", "0"];
    let mut server = Server::start(&binary, &home.join("data"), free_port(0)?, &home.join("server.log"), &lifted)?;
    let activity = server.client().call("CreateActivity", &json!({"name": "item"}))?["activityArn"].clone();
    let machine = create_machine(&server, &activity)?;
    let stop = AtomicBool::new(false);
    let address = server.address;
    let measured = std::thread::scope(|scope| -> Result<Vec<Measured>> {
        for _ in 0..WORKERS {
            scope.spawn(|| work(address, &activity, &stop));
        }
        let result = measure_both(&server, &machine, items, few);
        stop.store(true, Ordering::Relaxed);
        server.stop();
        result
    })?;
    println!(
        "{:>8} {:>9} {:>14} {:>16} {:>10} {:>14}",
        "items", "events", "bytes written", "bytes per item", "seconds", "items per s"
    );
    for m in &measured {
        println!(
            "{:>8} {:>9} {:>14} {:>16.1} {:>10.2} {:>14.0}",
            m.items,
            m.events,
            m.bytes,
            m.per_item(),
            m.seconds,
            m.items as f64 / m.seconds
        );
    }
    let ratio = measured[1].per_item() / measured[0].per_item();
    println!("bytes per item, a Map of {items} against {SMALL_RUNS} of {few}: × {ratio:.3} (bound: 1 ± {TOLERANCE})");
    ensure!((ratio - 1.0).abs() <= TOLERANCE, "the bytes per item changed by a factor of {ratio:.3}");
    Ok(())
}

/// The small Map, as the mean of many runs (its bytes are few, and disks count in pages), and the large one.
fn measure_both(server: &Server, machine: &Value, items: usize, few: usize) -> Result<Vec<Measured>> {
    // The first run pays for what only happens once (files, caches) and is not counted.
    measure(server, machine, few)?;
    let mut small = measure(server, machine, few)?;
    for _ in 1..SMALL_RUNS {
        let next = measure(server, machine, few)?;
        small.items += next.items;
        small.events += next.events;
        small.bytes += next.bytes;
        small.seconds += next.seconds;
    }
    Ok(vec![small, measure(server, machine, items)?])
}

struct Measured {
    items: usize,
    events: usize,
    bytes: u64,
    seconds: f64,
}

impl Measured {
    fn per_item(&self) -> f64 {
        self.bytes as f64 / self.items as f64
    }
}

fn create_machine(server: &Server, activity: &Value) -> Result<Value> {
    let definition = json!({
        "StartAt": "Each",
        "States": {"Each": {
            "Type": "Map",
            "ItemProcessor": {
                "StartAt": "Work",
                "States": {"Work": {"Type": "Task", "Resource": activity, "End": true}}
            },
            "End": true
        }}
    });
    let request = json!({
        "name": "map-bytes",
        "definition": definition.to_string(),
        "roleArn": "arn:aws:iam::000000000000:role/prove"
    });
    Ok(server.client().call("CreateStateMachine", &request)?["stateMachineArn"].clone())
}

/// Answers tasks until told to stop.
fn work(address: SocketAddr, activity: &Value, stop: &AtomicBool) {
    let mut client = crate::client::Client::new(address);
    while !stop.load(Ordering::Relaxed) {
        let request = json!({"activityArn": activity, "workerName": "prove"});
        let Ok(task) = client.call("GetActivityTask", &request) else { continue };
        if task["taskToken"].is_string() {
            let answer = json!({"taskToken": task["taskToken"], "output": task["input"]});
            if let Err(error) = client.call("SendTaskSuccess", &answer) {
                eprintln!("an answer was refused: {error:#}");
            }
        }
    }
}

fn measure(server: &Server, machine: &Value, items: usize) -> Result<Measured> {
    let mut client = server.client();
    let input = Value::from((0..items).collect::<Vec<_>>()).to_string();
    let before = bytes_written(server)?;
    let begun = Instant::now();
    let started = client.call("StartExecution", &json!({"stateMachineArn": machine, "input": input}))?;
    let arn = started["executionArn"].as_str().context("no ARN")?.to_string();
    let deadline = begun + Duration::from_secs(600);
    loop {
        let status = client.call("DescribeExecution", &json!({"executionArn": arn}))?["status"].take();
        match status.as_str() {
            Some("SUCCEEDED") => break,
            Some("RUNNING") if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            other => bail!("the Map of {items} items is {other:?}"),
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    let bytes = bytes_written(server)? - before;
    let events = history(&mut client, &arn)?;
    ensure!(events.last().is_some_and(is_last), "the history of {arn} has no end");
    Ok(Measured { items, events: events.len(), bytes, seconds })
}

/// Bytes written so far: what the store counts as appended to its log, else what the kernel counts as sent to disk.
fn bytes_written(server: &Server) -> Result<u64> {
    let health: Value = serde_json::from_str(&server.client().get("/healthz")?).context("/healthz is no JSON")?;
    if let Some(bytes) = health["store"]["logBytes"].as_u64() {
        return Ok(bytes);
    }
    let path = format!("/proc/{}/io", server.process_id());
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    line.and_then(|bytes| bytes.trim().parse().ok()).with_context(|| format!("{path} has no write_bytes"))
}
