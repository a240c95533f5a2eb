//! What the kernel and the server itself count while a load runs: CPU, memory, bytes written, executions. Only reads.

use crate::client::Client;
use anyhow::{Context, Result};
use serde_json::Value;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Ticks of a second in `/proc/PID/stat`: the same on every Linux.
const TICKS: f64 = 100.0;
/// How often a server under load is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// CPU seconds of a process, all threads, user and system.
pub(crate) fn cpu_seconds(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The name, in brackets, may hold anything.
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |index: usize| rest.split_whitespace().nth(index)?.parse::<f64>().ok();
    match (field(11), field(12)) {
        (Some(user), Some(system)) => Ok((user + system) / TICKS),
        _ => anyhow::bail!("{path} has no times"),
    }
}

/// A figure of a process in one of the files of `/proc` that have a name and a number in each line.
fn figure(process: u32, file: &str, name: &str) -> Result<u64> {
    let path = format!("/proc/{process}/{file}");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.with_context(|| format!("{path} has no {name}"))
}

/// Memory of a process that is in RAM, in bytes.
pub(crate) fn resident_bytes(process: u32) -> Result<u64> {
    Ok(figure(process, "status", "VmRSS")? * 1_024)
}

/// Bytes that a process had sent to the disk.
pub(crate) fn written_bytes(process: u32) -> Result<u64> {
    figure(process, "io", "write_bytes")
}

/// Bytes that a directory takes on the disk. Files may go while it looks.
pub(crate) fn directory_bytes(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(found) if found.is_dir() => directory_bytes(&entry.path()),
            Ok(found) => found.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// A server at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) cpu_seconds: f64,
    pub(crate) written_bytes: u64,
    pub(crate) started: u64,
    pub(crate) closed: u64,
    pub(crate) log_bytes: u64,
}

impl Sample {
    pub(crate) fn take(client: &mut Client, process: u32) -> Result<Self> {
        let health: Value = serde_json::from_str(&client.get("/healthz")?).context("/healthz is no JSON")?;
        let count = |part: &str, key: &str| {
            health[part][key].as_u64().with_context(|| format!("/healthz has no {part}.{key}: {health}"))
        };
        Ok(Self {
            cpu_seconds: cpu_seconds(process)?,
            written_bytes: written_bytes(process)?,
            started: count("engine", "executionsStarted")?,
            closed: count("engine", "executionsClosed")?,
            log_bytes: count("store", "logBytes")?,
        })
    }
}

/// Looks at a server in the background.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Sample>>>,
}

impl Watch {
    pub(crate) fn start(address: SocketAddr, process: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut client = Client::new(address);
            let mut samples = vec![Sample::take(&mut client, process)?];
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(LOOK);
                samples.push(Sample::take(&mut client, process)?);
            }
            Ok(samples)
        });
        Self { stop, thread }
    }

    pub(crate) fn finish(self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow::anyhow!("the thread that looks at the server panicked"))?
    }
}

/// What executions cost a server, from the moment before the first started to the moment when the last had ended: what
/// the load generator asks for before and after (it lists and reads what it started) is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) executions: u64,
    pub(crate) cpu_us: f64,
    pub(crate) log_bytes: f64,
    pub(crate) written_bytes: f64,
}

impl Cost {
    pub(crate) fn of(samples: &[Sample]) -> Result<Self> {
        let (first, last) = (samples.first().context("no samples")?, samples.last().context("no samples")?);
        let begun = samples.iter().take_while(|sample| sample.started == first.started).last().unwrap_or(first);
        let done = |sample: &&Sample| sample.started == last.started && sample.closed == last.closed;
        let ended = samples.iter().find(done).unwrap_or(last);
        let executions = ended.closed - begun.closed;
        anyhow::ensure!(executions > 0, "no execution ended under the load");
        let each = |figure: f64| figure / executions as f64;
        Ok(Self {
            executions,
            cpu_us: each((ended.cpu_seconds - begun.cpu_seconds) * 1e6),
            log_bytes: each((ended.log_bytes - begun.log_bytes) as f64),
            // Checkpoints go on behind the load, so all of them count.
            written_bytes: each((last.written_bytes - begun.written_bytes) as f64),
        })
    }
}
