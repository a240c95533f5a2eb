//! Scenarios about distributed Maps: how many items a second, in how much memory, and who waits meanwhile. The result
//! files are read again and held against the input.

use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Bench;
use super::probe::{cpu_seconds, resident_bytes};
use super::report::Bound::{AtLeast, AtMost, Told};
use crate::client::Client;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

const MB: f64 = 1_000_000.0;
/// How often a run is asked how far it is.
const LOOK: Duration = Duration::from_millis(50);
/// How often another execution is started beside it.
const BESIDE: Duration = Duration::from_millis(20);
const ROLE: &str = "arn:aws:iam::000000000000:role/bench";
/// The longest that a run may take.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) fn express(bench: &mut Bench) -> Result<()> {
    let items = bench.amount(1_000_000, 20_000);
    measure(bench, "EXPRESS", items, 20_000.0)
}

pub(super) fn standard(bench: &mut Bench) -> Result<()> {
    let items = bench.amount(200_000, 5_000);
    measure(bench, "STANDARD", items, 10_000.0)
}

/// Lines of 200 bytes, numbered.
fn write_items(path: &Path, items: usize) -> Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    let padding = "x".repeat(150);
    for number in 0..items {
        writeln!(file, "{{\"order\":{number},\"customer\":\"c-{:05}\",\"note\":\"{padding}\"}}", number % 99_991)?;
    }
    Ok(file.flush()?)
}

fn create(client: &mut Client, name: &str, definition: &Value) -> Result<String> {
    let request = json!({"name": name, "definition": definition.to_string(), "roleArn": ROLE});
    let answer = client.call("CreateStateMachine", &request)?;
    Ok(answer["stateMachineArn"].as_str().context("no ARN")?.to_owned())
}

fn definition(execution_type: &str, folder: &Path) -> Value {
    let bucket = format!("file://{}", folder.display());
    json!({"StartAt": "Each", "States": {"Each": {
        "Type": "Map", "Label": "Each", "End": true,
        "ItemReader": {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket": bucket, "Key": "items.jsonl"}},
        "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": execution_type},
            "StartAt": "P", "States": {"P": {"Type": "Pass", "Parameters": {"order.$": "$.order"}, "End": true}}},
        "ResultWriter": {"Resource": "arn:aws:states:::s3:putObject",
            "WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"},
            "Parameters": {"Bucket": bucket, "Prefix": "results"}}}}})
}

/// Waits between two starts beside the run, in milliseconds.
fn starts_beside(address: SocketAddr, machine: &str, stop: &AtomicBool) -> Result<Vec<f64>> {
    let mut client = Client::new(address);
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        client.call("StartExecution", &json!({"stateMachineArn": machine, "input": "{}"}))?;
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(BESIDE);
    }
    Ok(waits)
}

fn p99(mut waits: Vec<f64>) -> f64 {
    waits.sort_by(f64::total_cmp);
    waits.get(waits.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(f64::NAN)
}

fn measure(bench: &mut Bench, execution_type: &str, items: usize, rate: f64) -> Result<()> {
    let folder = bench.home.join("dataset");
    super::remove(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let folder = folder.canonicalize()?;
    write_items(&folder.join("items.jsonl"), items)?;
    let allowed = folder.display().to_string();
    let mut server = bench.fresh_server(&["--datasets-folders", &allowed])?;
    let mut client = server.client();
    let machine = create(&mut client, "each", &definition(execution_type, &folder))?;
    let pass = json!({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}});
    let other = create(&mut client, "other", &pass)?;
    let started = client.call("StartExecution", &json!({"stateMachineArn": machine}))?;
    let execution = started["executionArn"].as_str().context("no ARN")?.to_owned();
    let stop = Arc::new(AtomicBool::new(false));
    let beside = {
        let (address, stop) = (client.address(), stop.clone());
        std::thread::spawn(move || starts_beside(address, &other, &stop))
    };
    let process = server.process_id();
    let (cpu, begun) = (cpu_seconds(process)?, Instant::now());
    let (mut asked, mut peak, mut said) = (Vec::new(), 0, Instant::now());
    let mut run = String::new();
    let mut processed = None;
    let described = loop {
        bench.pause(LOOK)?;
        ensure!(begun.elapsed() < PATIENCE, "the run took longer than {PATIENCE:?}");
        peak = peak.max(resident_bytes(process)?);
        if run.is_empty() {
            let runs = client.call("ListMapRuns", &json!({"executionArn": execution}))?;
            run = runs["mapRuns"][0]["mapRunArn"].as_str().unwrap_or_default().to_owned();
            continue;
        }
        let before = Instant::now();
        let described = client.call("DescribeMapRun", &json!({"mapRunArn": run}))?;
        asked.push(before.elapsed().as_secs_f64() * 1e3);
        let done = described["itemCounts"]["succeeded"].as_u64().unwrap_or_default();
        if done == items as u64 {
            processed.get_or_insert_with(|| begun.elapsed());
        }
        if said.elapsed() > Duration::from_secs(5) {
            said = Instant::now();
            bench.say(&format!("{done} items after {:.0} s", begun.elapsed().as_secs_f64()));
        }
        if described["status"] != "RUNNING" {
            break described;
        }
    };
    let whole = begun.elapsed().as_secs_f64();
    let cpu = cpu_seconds(process)? - cpu;
    stop.store(true, Ordering::Relaxed);
    let waits = beside.join().map_err(|_| anyhow::anyhow!("the starts beside the run broke"))??;
    ensure!(described["status"] == "SUCCEEDED", "the run did not succeed: {described}");
    ensure!(described["itemCounts"]["succeeded"] == items, "items are missing: {described}");
    let run_id = run.rsplit(':').next().unwrap_or_default();
    verify(&folder.join("results").join(run_id), items)?;
    server.stop();
    let processed = processed.map_or(whole, |time| time.as_secs_f64());
    bench.add("items processed a second", items as f64 / processed, "/s", AtLeast(rate));
    bench.add("items a second, results written", items as f64 / whole, "/s", AtLeast(rate));
    bench.add("server CPU per item", cpu * 1e6 / items as f64, "µs", Told);
    bench.add("memory at most", peak as f64 / MB, "MB", AtMost(300.0));
    bench.add("DescribeMapRun meanwhile, p99", p99(asked), "ms", AtMost(5.0));
    bench.add("starts beside it, p99", p99(waits), "ms", AtMost(100.0));
    Ok(())
}

/// Every item has its result once, in order.
fn verify(folder: &Path, items: usize) -> Result<()> {
    let text = std::fs::read_to_string(folder.join("manifest.json"))
        .with_context(|| format!("no manifest in {}", folder.display()))?;
    let manifest: Value = serde_json::from_str(&text)?;
    let files = &manifest["ResultFiles"];
    ensure!(files["FAILED"] == json!([]) && files["PENDING"] == json!([]), "not all succeeded: {files}");
    let mut next = 0_usize;
    for file in files["SUCCEEDED"].as_array().context("no list of files")? {
        let name = file["Key"].as_str().and_then(|key| key.rsplit('/').next()).context("no key")?;
        let path = folder.join(name);
        ensure!(file["Size"] == std::fs::metadata(&path)?.len(), "{name} has another size than the manifest says");
        for line in BufReader::new(std::fs::File::open(&path)?).lines() {
            let line = line?;
            ensure!(line == format!("{{\"order\":{next}}}"), "result {next} is {line}");
            next += 1;
        }
    }
    ensure!(next == items, "{next} results of {items} items");
    Ok(())
}
