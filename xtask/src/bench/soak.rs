//! `cargo xtask prove soak`: half the top rate for a long while, with a short retention. Memory must be flat, the disk
//! bounded, and latency what it was at the start; the machine's own drift is taken from the yardstick.

use super::Bench;
use super::generator::number;
use super::probe::{directory_bytes, resident_bytes};
use super::report::Bound::{AtMost, Told};
use super::report::{median, table};
use anyhow::{Result, ensure};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const MB: f64 = 1_048_576.0;

/// What the soak can be told.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
    /// Starts per second; without it, half of what ten seconds at full speed reach
    #[arg(long)]
    rate: Option<f64>,
    /// How long closed executions are kept, in seconds
    #[arg(long, default_value_t = 60)]
    retention: u32,
    /// Write the figures to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A built load generator; without it, it is built from ../shared/bench
    #[arg(long, value_name = "PATH")]
    generator: Option<PathBuf>,
}

/// Slices of a soak: each is a load, a look, and a look at the yardstick.
const SLICES: u32 = 20;
/// Slices before memory must be flat: a quarter, five minutes of twenty.
const WARM: usize = 5;

struct Slice {
    p50: f64,
    p99: f64,
    memory: f64,
    disk: f64,
    beside_p50: f64,
    beside_p99: f64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    ensure!(options.minutes > 0.0, "--minutes is {}, which is no time at all", options.minutes);
    let mut bench = Bench::prepare(options.generator.as_deref(), false)?;
    bench.scenario = "soak";
    let rate = match options.rate {
        Some(rate) => rate,
        None => top_rate(&bench)? / 2.0,
    };
    let length = Duration::from_secs_f64(options.minutes * 60.0 / f64::from(SLICES));
    let yardstick_seconds = (length.as_secs_f64() / 10.0).clamp(0.5, 5.0);
    let seconds = (length.as_secs_f64() - yardstick_seconds).max(0.5);
    eprintln!("soak: {rate:.0} starts/s for {} minutes, executions kept for {} s", options.minutes, options.retention);
    let yardstick = bench.yardstick()?;
    let retention = options.retention.to_string();
    let mut server = bench.fresh_server(&["--retention-seconds", &retention])?;
    let mut slices: Vec<Slice> = vec![];
    eprintln!("slice   p50 ms   p99 ms  memory MB    disk MB  yardstick p50, p99 ms");
    for number_of in 1..=SLICES {
        let (rate_text, duration) = (format!("{rate:.0}"), seconds.to_string());
        let endpoint = server.endpoint();
        let load = bench.generator.start(&[
            "start",
            "--endpoint",
            &endpoint,
            "--rate",
            &rate_text,
            "--duration",
            &duration,
            "--concurrency",
            "64",
            "--no-wait",
        ])?;
        let (mut memory, mut disk) = (vec![], 0_u64);
        let begun = Instant::now();
        while begun.elapsed().as_secs_f64() < seconds {
            bench.pause(Duration::from_secs_f64((seconds / 10.0).min(1.0)))?;
            memory.push(resident_bytes(server.process_id())? as f64 / MB);
            disk = disk.max(directory_bytes(&bench.data()));
        }
        let result = load.finish()?;
        ensure!(result["errors"] == 0, "under load: {result}");
        let reached = number(&result, "start_per_s")?;
        ensure!(
            reached > rate * 0.9,
            "{rate:.0} starts/s were asked for and {reached:.0} reached: the rate is too high"
        );
        let beside = yardstick.measure(64, yardstick_seconds, Some(rate))?;
        let slice = Slice {
            p50: number(&result["start_latency_ms"], "p50")?,
            p99: number(&result["start_latency_ms"], "p99")?,
            memory: memory.iter().copied().fold(0.0, f64::max),
            disk: disk as f64 / MB,
            beside_p50: beside.p50_ms,
            beside_p99: beside.p99_ms,
        };
        eprintln!(
            "{number_of:>5} {:>8.2} {:>8.2} {:>10.1} {:>10.1}  {:.2}, {:.2}",
            slice.p50, slice.p99, slice.memory, slice.disk, slice.beside_p50, slice.beside_p99
        );
        slices.push(slice);
    }
    server.stop();
    judge(&mut bench, &slices, rate);
    println!("{}", table(&bench.lines).trim_end());
    if let Some(file) = &options.json {
        std::fs::write(file, format!("{:#}\n", super::report::json(&bench.lines, &bench.conditions())))?;
    }
    let failed = bench.lines.iter().filter(|line| line.kept() == Some(false)).count();
    ensure!(failed == 0, "{failed} bounds were not kept");
    Ok(())
}

/// The start is the second to the fifth slice (the first opens files and connections), the end the last four.
fn judge(bench: &mut Bench, slices: &[Slice], rate: f64) {
    let over = |of: fn(&Slice) -> f64| {
        let begin: Vec<f64> = slices[1..WARM].iter().map(of).collect();
        let end: Vec<f64> = slices[slices.len() - 4..].iter().map(of).collect();
        median(&end) / median(&begin)
    };
    // A machine that became slower excuses as much; one that became faster demands nothing more.
    let drift = |of: fn(&Slice) -> f64| over(of).max(1.0);
    let (drift_p50, drift_p99) = (drift(|slice| slice.beside_p50), drift(|slice| slice.beside_p99));
    let flat = |of: fn(&Slice) -> f64| {
        let most = |part: &[Slice]| part.iter().map(of).fold(0.0, f64::max);
        let warm = &slices[WARM..];
        let (first, second) = warm.split_at(warm.len() / 2);
        most(second) / most(first)
    };
    let (memory, disk) = (flat(|slice| slice.memory), flat(|slice| slice.disk));
    bench.add("starts/s", rate, "/s", Told);
    bench.add("yardstick's p50, end over start", drift_p50, "×", Told);
    bench.add("yardstick's p99, end over start", drift_p99, "×", Told);
    bench.add("p50, end over start, over that", over(|slice| slice.p50) / drift_p50, "×", AtMost(1.2));
    bench.add("p99, end over start, over that", over(|slice| slice.p99) / drift_p99, "×", AtMost(2.0));
    bench.add("memory after the first quarter, second half over first", memory, "×", AtMost(1.1));
    bench.add("disk after the first quarter, second half over first", disk, "×", AtMost(1.25));
}

fn top_rate(bench: &Bench) -> Result<f64> {
    eprintln!("soak: ten seconds at full speed");
    let mut server = bench.fresh_server(&[])?;
    let result = bench.load(&server, &["start", "--concurrency", "64", "--duration", "10", "--no-wait"])?;
    server.stop();
    number(&result, "start_per_s")
}
