//! What is measured, each candidate and batch size in a process of its own.

use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::{Value, json};
use stepwright_store::embedded::Options;
use stepwright_store::{Commit, Order, Store, Table};

use super::candidates;
use super::workload;

const CANDIDATES: [&str; 3] = ["lsm-tree", "fjall", "redb"];

/// Batch sizes, and how many turns with each.
const BATCHES: [(usize, u64); 3] = [(1, 10_000), (16, 100_000), (256, 600_000)];

const USAGE: &str = "usage: cargo xtask bench store [--dir DIR] [--scale PERCENT]";

/// The verb, and (with `--one`) the measurement of one candidate in a process of its own.
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let mut dir = PathBuf::from("target/bench-store");
    let mut scale = 100;
    let mut one = None;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value; {USAGE}"));
        match arg.as_str() {
            "--dir" => dir = value()?.into(),
            "--scale" => scale = value()?.parse::<u64>().context(USAGE)?,
            "--one" => one = Some((value()?.clone(), value()?.parse::<usize>()?, value()?.parse::<u64>()?)),
            other => anyhow::bail!("unknown argument {other:?}; {USAGE}"),
        }
    }
    if let Some((name, batch, turns)) = one {
        println!("{}", measure(&name, batch, turns, &dir)?);
        return Ok(());
    }
    println!(
        "{:<9} {:>6} {:>9} {:>9} {:>8} {:>9} {:>9} {:>7} {:>8} {:>9} {:>9} {:>8} {:>8} {:>7}",
        "index",
        "batch",
        "turns/s",
        "rows/s",
        "µs CPU",
        "p50 µs",
        "p99 µs",
        "written",
        "disk MB",
        "open ms",
        "kill ms",
        "get µs",
        "page µs",
        "RSS MB"
    );
    for (batch, turns) in BATCHES {
        for name in CANDIDATES {
            let turns = (turns * scale / 100).max(1000);
            let output = Command::new(std::env::current_exe()?)
                .args(["bench", "store", "--dir"])
                .arg(&dir)
                .args(["--one", name, &batch.to_string(), &turns.to_string()])
                .output()?;
            anyhow::ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            let result: Value = serde_json::from_slice(&output.stdout)?;
            let number = |key: &str| result[key].as_f64().unwrap_or(f64::NAN);
            println!(
                "{name:<9} {batch:>6} {:>9.0} {:>9.0} {:>8.1} {:>9.0} {:>9.0} {:>6.2}x {:>8.1} {:>9.1} {:>9.1} {:>8.1} {:>8.0} {:>7.1}",
                number("turns_per_s"),
                number("rows_per_s"),
                number("cpu_us"),
                number("p50_us"),
                number("p99_us"),
                number("amplification"),
                number("disk_mb"),
                number("open_ms"),
                number("kill_ms"),
                number("get_us"),
                number("page_us"),
                number("rss_mb"),
            );
        }
    }
    println!(
        "written: bytes given to the block layer / bytes of keys and values; open: after a close; kill: after none; \
         page: 100 turns of one execution"
    );
    Ok(())
}

fn measure(name: &str, batch: usize, turns: u64, dir: &Path) -> anyhow::Result<Value> {
    let dir = dir.join(format!("{name}-{batch}"));
    if dir.exists() {
        std::fs::remove_dir_all(&dir)?;
    }
    let options = Options::default();
    let store = candidates::open(name, &dir, options.clone())?;
    let (io_before, cpu_before) = (written_bytes()?, cpu_time()?);
    let mut payload = 0;
    let mut rows = 0;
    let mut latencies = Vec::new();
    let started = Instant::now();
    let mut number = 0;
    while number < turns {
        let commits: Vec<Commit> = (number..turns.min(number + batch as u64)).map(workload::turn).collect();
        for mutation in commits.iter().flat_map(Commit::mutations) {
            rows += 1;
            payload += mutation.size();
        }
        number += commits.len() as u64;
        let before = Instant::now();
        store.commit(&commits)?;
        latencies.push(before.elapsed());
    }
    let elapsed = started.elapsed();
    let cpu = cpu_time()? - cpu_before;
    let rss = rss_bytes()?;
    // As after a kill: what is in memory is thrown away.
    drop(store);
    let before = Instant::now();
    let store = candidates::open(name, &dir, options.clone())?;
    let kill = before.elapsed();
    store.close()?;
    drop(store);
    let written = written_bytes()? - io_before;
    let before = Instant::now();
    let store = candidates::open(name, &dir, options)?;
    let open = before.elapsed();

    let (mut gets, mut pages) = (Vec::new(), Vec::new());
    for sample in 0..2000_u64 {
        let number = sample.wrapping_mul(0x9e37_79b9_7f4a_7c15) % turns;
        let (from, to) = workload::turns_of(workload::execution_of(number));
        let before = Instant::now();
        store.get(Table::Execution, &from)?;
        gets.push(before.elapsed());
        let before = Instant::now();
        store.scan(
            Table::Turn,
            Bound::Included(&from),
            Bound::Excluded(&to),
            if sample % 2 == 0 { Order::Ascending } else { Order::Descending },
            100,
        )?;
        // Only Map executions have a page of turns.
        if (5..9).contains(&(number % 10)) {
            pages.push(before.elapsed());
        }
    }
    drop(store);
    let disk = disk_bytes(&dir)?;
    std::fs::remove_dir_all(&dir)?;
    let seconds = elapsed.as_secs_f64();
    Ok(json!({
        "turns_per_s": turns as f64 / seconds,
        "rows_per_s": rows as f64 / seconds,
        "cpu_us": cpu.as_secs_f64() * 1e6 / turns as f64,
        "p50_us": quantile(&mut latencies, 0.5),
        "p99_us": quantile(&mut latencies, 0.99),
        "amplification": written as f64 / payload as f64,
        "disk_mb": disk as f64 / 1e6,
        "open_ms": open.as_secs_f64() * 1e3,
        "kill_ms": kill.as_secs_f64() * 1e3,
        "get_us": quantile(&mut gets, 0.5),
        "page_us": quantile(&mut pages, 0.5),
        "rss_mb": rss as f64 / 1e6,
    }))
}

fn quantile(samples: &mut [Duration], q: f64) -> f64 {
    samples.sort_unstable();
    let at = ((samples.len() as f64 * q) as usize).min(samples.len().saturating_sub(1));
    samples.get(at).map_or(f64::NAN, |d| d.as_secs_f64() * 1e6)
}

fn field(file: &str, name: &str) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        .with_context(|| format!("{file} has no number {name:?}"))
}

fn written_bytes() -> anyhow::Result<u64> {
    field("/proc/self/io", "write_bytes:")
}

fn rss_bytes() -> anyhow::Result<u64> {
    Ok(field("/proc/self/status", "VmRSS:")? * 1024)
}

/// CPU time of the process, from its ticks of 10 ms.
fn cpu_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").context("/proc/self/stat")?.1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

/// What the files of the index take; the log is the same for all.
fn disk_bytes(dir: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        if entry.file_name() == "log" {
            continue;
        }
        sum += if meta.is_dir() { disk_bytes(&entry.path())? } else { meta.blocks() * 512 };
    }
    Ok(sum)
}
