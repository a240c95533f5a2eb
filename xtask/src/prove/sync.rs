//! `cargo xtask prove sync`: the real binary under strace, and from the trace that nothing is acknowledged before the
//! sync that covers it.
//!
//! The judge is itself judged on every run: a trace with one reply moved forward, and a server that was told not to
//! wait for syncs, must both be complained of. Linux only, since strace is. This module must never take a trace that
//! shows fewer acknowledgements than the clients saw.

mod trace;

use crate::client::Client;
use crate::process::{Server, free_port};
use crate::python::apt_install;
use crate::workspace::{command, find_program, in_ci, server_binary, target};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const STARTERS: u64 = 12;
const WORKERS: u64 = 8;
/// Complaints that are printed.
const SHOWN: usize = 10;

/// The letters that mark requests, with their operations.
const OPERATIONS: [(char, &str); 4] = [
    ('s', "StartExecution"),
    (trace::POLL, "GetActivityTask that hands out a task"),
    ('t', "SendTaskSuccess"),
    ('m', "CreateStateMachine"),
];

/// Calls that the judge wants to see.
const TRACED: &str =
    "openat,read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,pwritev,pwritev2,fdatasync,fsync";

/// How much is traced.
#[derive(Clone, clap::Args)]
pub(crate) struct Options {
    /// Executions that are started, each with a task that is answered
    #[arg(long, default_value_t = 20_000)]
    executions: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

impl Options {
    /// As `cargo xtask test` runs it.
    pub(crate) fn bounded() -> Self {
        Self { executions: 600, json: false }
    }
}

/// Runs it; a reason, if this machine cannot.
pub(crate) fn run(options: &Options) -> Result<Option<String>> {
    if let Some(missing) = missing() {
        ensure!(!in_ci(), "{missing}. In CI nothing is skipped");
        return Ok(Some(missing));
    }
    let full = Traced::record(options.executions, "full")?;
    let judged = full.judge();
    // As many as are needed to see that the judge would notice, and no more.
    let relaxed = Traced::record(options.executions.min(200), "relaxed")?;
    let noticed = relaxed.judge().complaints.len();
    report(options, &full, &judged, noticed);
    for complaint in judged.complaints.iter().take(SHOWN) {
        println!("COMPLAINT: {complaint}");
    }
    let kept = target().join("prove-sync");
    ensure!(judged.complaints.is_empty(), "{} complaints; the trace is in {}", judged.complaints.len(), kept.display());
    for (letter, operation) in OPERATIONS {
        let (seen, shown) = (full.acknowledged.get(&letter), judged.acknowledged.get(&letter));
        ensure!(
            seen.is_some() && seen == shown,
            "the clients saw {seen:?} acknowledgements of {operation}, and the trace shows {shown:?}"
        );
    }
    let lines: Vec<&str> = full.text.lines().collect();
    let (doctored, marker) = trace::doctored(&lines).context("no acknowledgement in the trace can be moved")?;
    let complaints = trace::judge(doctored, full.port, LOG).complaints;
    ensure!(
        complaints.iter().any(|complaint| complaint.contains(&marker)),
        "the reply to {marker} was moved in front of its sync, and the judge did not notice"
    );
    ensure!(noticed > 0, "with --durability relaxed nothing waits for a sync, and the judge did not notice");
    eprintln!(
        "the judge noticed a reply that was moved in front of its sync, and {noticed} early replies of a server with \
         relaxed durability"
    );
    std::fs::remove_dir_all(kept)?;
    Ok(None)
}

/// Where segments of the log lie, in the paths of a trace.
const LOG: &str = "/data/log/";

/// Why this cannot run here, if it cannot.
fn missing() -> Option<String> {
    if find_program("strace").is_none() && !apt_install(&["strace"]) {
        return Some("this needs strace (Debian: apt-get install strace)".to_string());
    }
    let probe = command("strace").args(["-f", "--seccomp-bpf", "-yy", "-o", "/dev/null", "true"]).output();
    match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Some(format!("strace cannot trace here: {}", said.lines().next().unwrap_or("it does not say why")))
        }
        Err(error) => Some(format!("strace cannot run here: {error}")),
    }
}

/// A trace, and what the clients saw meanwhile.
struct Traced {
    text: String,
    port: u16,
    acknowledged: BTreeMap<char, usize>,
    seconds: f64,
}

impl Traced {
    /// Puts load on a server under strace and stops it.
    fn record(executions: u64, durability: &str) -> Result<Self> {
        let home = target().join("prove-sync").join(durability);
        if home.exists() {
            std::fs::remove_dir_all(&home)?;
        }
        std::fs::create_dir_all(&home)?;
        let (file, port) = (home.join("trace"), free_port(0)?);
        let mut strace = Command::new("strace");
        // The tracer runs beside the server (-D), so that the process started here is the server itself.
        strace.args(["-D", "-f", "--seccomp-bpf", "-yy", "-ttt", "-s", "4194304", "-e"]);
        strace.arg(format!("trace={TRACED}")).arg("-o").arg(&file).arg("--").arg(server_binary()?);
        let options = ["--durability", durability];
        let mut server = Server::launch(&mut strace, &home.join("data"), port, &home.join("server.log"), &options)?;
        let begun = Instant::now();
        let load = Load::create(&mut server.client(), executions)?;
        let address = server.address;
        std::thread::scope(|scope| {
            let starters: Vec<_> = (0..STARTERS).map(|_| scope.spawn(|| load.start(address))).collect();
            for _ in 0..WORKERS {
                scope.spawn(|| load.work(address));
            }
            for starter in starters {
                let _panicked = starter.join();
            }
            let patience = Instant::now() + Duration::from_secs(120);
            while load.answered.load(Ordering::Relaxed) < executions && Instant::now() < patience {
                std::thread::sleep(Duration::from_millis(10));
            }
            load.stop.store(true, Ordering::Relaxed);
            // Ends the long polls of the workers.
            server.stop();
        });
        let seconds = begun.elapsed().as_secs_f64();
        let problems = load.problems.into_inner().unwrap_or_else(PoisonError::into_inner);
        ensure!(problems.is_empty(), "{} requests failed, the first: {}", problems.len(), problems[0]);
        let answered = load.answered.into_inner();
        ensure!(answered == executions, "{answered} of {executions} tasks were answered");
        let text = whole(&file, server.process_id())?;
        let acknowledged = load.acknowledged.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Self { text, port, acknowledged, seconds })
    }

    fn judge(&self) -> trace::Judged {
        trace::judge(self.text.lines(), self.port, LOG)
    }
}

/// The trace, when the tracer has written the end of the process.
fn whole(file: &Path, process: u32) -> Result<String> {
    let patience = Instant::now() + Duration::from_secs(60);
    loop {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let last = text.lines().next_back().unwrap_or_default();
        if last.starts_with(&format!("{process} ")) && last.contains("+++ exited with") {
            return Ok(text);
        }
        ensure!(Instant::now() < patience, "the tracer did not end {}; it ends with: {last}", file.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Requests with markers, and what became of them.
struct Load {
    executions: u64,
    machine: Value,
    activity: Value,
    numbers: AtomicU64,
    started: AtomicU64,
    answered: AtomicU64,
    machines: AtomicUsize,
    stop: AtomicBool,
    acknowledged: Mutex<BTreeMap<char, usize>>,
    problems: Mutex<Vec<String>>,
}

impl Load {
    fn create(client: &mut Client, executions: u64) -> Result<Self> {
        let activity = client.call("CreateActivity", &json!({"name": "work"}))?["activityArn"].clone();
        let mut load = Self {
            executions,
            machine: Value::Null,
            activity,
            numbers: AtomicU64::new(0),
            started: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            machines: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
            acknowledged: Mutex::default(),
            problems: Mutex::default(),
        };
        let Some(machine) = load.create_machine(client) else { bail!("no state machine: {:?}", load.problems) };
        load.machine = machine["stateMachineArn"].clone();
        Ok(load)
    }

    /// Sends a request that holds a marker. Nothing is tried again: the server is not killed here.
    fn send(&self, client: &mut Client, letter: char, operation: &str, request: &Value) -> Option<Value> {
        match client.call(operation, request) {
            Ok(answer) => {
                if letter != trace::POLL || answer["taskToken"].is_string() {
                    let mut counts = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                    *counts.entry(letter).or_default() += 1;
                }
                Some(answer)
            }
            Err(_) if self.stop.load(Ordering::Relaxed) => None,
            Err(error) => {
                self.problems.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{error:#}"));
                None
            }
        }
    }

    fn marker(&self, letter: char) -> String {
        trace::marker(letter, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    fn create_machine(&self, client: &mut Client) -> Option<Value> {
        let states = json!({"Work": {"Type": "Task", "Resource": self.activity, "End": true}});
        let request = json!({
            "name": self.marker('m'),
            "definition": json!({"StartAt": "Work", "States": states}).to_string(),
            "roleArn": "arn:aws:iam::000000000000:role/prove"
        });
        self.send(client, 'm', "CreateStateMachine", &request)
    }

    fn start(&self, address: SocketAddr) {
        let mut client = Client::new(address);
        while self.started.fetch_add(1, Ordering::Relaxed) < self.executions {
            let request = json!({"stateMachineArn": self.machine, "name": self.marker('s'), "input": "{}"});
            let started = self.send(&mut client, 's', "StartExecution", &request);
            // Now and then a state machine, between the others.
            let due = self.machines.fetch_add(1, Ordering::Relaxed).is_multiple_of(20);
            if started.is_none() || due && self.create_machine(&mut client).is_none() {
                return;
            }
        }
    }

    fn work(&self, address: SocketAddr) {
        let mut client = Client::new(address);
        while !self.stop.load(Ordering::Relaxed) {
            let poll = json!({"activityArn": self.activity, "workerName": self.marker(trace::POLL)});
            let Some(task) = self.send(&mut client, trace::POLL, "GetActivityTask", &poll) else { return };
            if !task["taskToken"].is_string() {
                continue;
            }
            let output = Value::from(self.marker('t')).to_string();
            let answer = json!({"taskToken": task["taskToken"], "output": output});
            if self.send(&mut client, 't', "SendTaskSuccess", &answer).is_none() {
                return;
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn report(options: &Options, full: &Traced, judged: &trace::Judged, noticed: usize) {
    let acknowledged: usize = judged.acknowledged.values().sum();
    if options.json {
        let by_operation: serde_json::Map<String, Value> = OPERATIONS
            .iter()
            .map(|(letter, name)| ((*name).to_string(), json!(judged.acknowledged.get(letter))))
            .collect();
        let figures = json!({
            "acknowledged": by_operation,
            "logWrites": judged.log_writes,
            "syncs": judged.syncs,
            "complaints": judged.complaints.len(),
            "complaintsWithRelaxedDurability": noticed,
            "systemCalls": full.text.lines().count(),
            "seconds": full.seconds
        });
        println!("{figures}");
        return;
    }
    for (letter, operation) in OPERATIONS {
        println!("{operation:45} {:>9} acknowledged", judged.acknowledged.get(&letter).unwrap_or(&0));
    }
    println!("{:45} {:>9}", "writes to the log", judged.log_writes);
    println!("{:45} {:>9}", "syncs of the log", judged.syncs);
    println!("{:45} {:>9}", "lines of the trace", full.text.lines().count());
    println!("{:45} {:>9.1}", "seconds under strace", full.seconds);
    println!("{:45} {:>9} of {acknowledged}", "acknowledged before their sync", judged.complaints.len());
}
