//! `cargo xtask prove hostile`: the real binary among clients that are many, slow, greedy or not clients at all, while
//! a regular client is served on and the server's memory is watched from outside.
//!
//! What they do is in `attacks.rs`. This module starts, measures and judges. It must never count an attacker's call as
//! the regular client's.

mod attacks;

use self::attacks::{ATTACKS, Target};
use crate::client::Client;
use crate::process::{Server, free_port};
use crate::workspace::{server_binary, target};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Connections that the server allows.
const CONNECTIONS: usize = 12_000;
/// Bytes of bodies and long answers that it allows in memory.
const BUFFERED: u64 = 64 << 20;
/// Activities that the polls are spread over; AWS allows a thousand polls of each.
const ACTIVITIES: usize = 20;
/// Attackers at once.
const ATTACKERS: usize = 4;
/// Executions whose tasks are handed out while half of the workers vanish.
const TASKS: usize = 200;
/// Bytes of memory for a poll that waits.
const PER_POLL: u64 = 32 << 10;
/// Bytes of memory that may be left when all is over. An allocator does not give everything back, and what it does it
/// gives while it is used, a while later: it has this long.
const LEFT: u64 = 48 << 20;
const GIVEN_BACK: Duration = Duration::from_secs(60);
/// How long a call of the regular client may take in all this, half of them and nearly all.
const P50: Duration = Duration::from_millis(50);
const P99: Duration = Duration::from_millis(500);

/// How much of it.
#[derive(Clone, clap::Args)]
pub(crate) struct Options {
    /// Workers that wait for a task at once
    #[arg(long, default_value_t = 10_000)]
    polls: usize,
    /// How long each attack lasts
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: u64,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// What was seen during one part.
struct Seen {
    what: &'static str,
    connections: u64,
    answered: u64,
    latencies: Vec<Duration>,
    failures: Vec<String>,
    resident_peak: u64,
}

impl Seen {
    fn at(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * share) as usize).copied().unwrap_or_default()
    }

    fn as_json(&self) -> Value {
        let ms = |share| self.at(share).as_secs_f64() * 1e3;
        json!({
            "what": self.what, "connections": self.connections, "answered": self.answered,
            "calls": self.latencies.len(), "p50Ms": ms(0.5), "p99Ms": ms(0.99), "maxMs": ms(1.0),
            "failures": self.failures.len(), "residentPeakBytes": self.resident_peak,
        })
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    files_for(options.polls + 4_000)?;
    ensure!(options.polls <= ACTIVITIES * 1_000, "AWS allows 1,000 polls of each of the {ACTIVITIES} activities");
    ensure!(options.polls + 500 <= CONNECTIONS, "the server is started with {CONNECTIONS} connections");
    let binary = server_binary()?;
    let home = target().join("prove-hostile");
    if home.exists() {
        std::fs::remove_dir_all(&home)?;
    }
    std::fs::create_dir_all(&home)?;
    let (connections, buffered) = (CONNECTIONS.to_string(), BUFFERED.to_string());
    let limits = [
        ["--http-connections", &connections],
        ["--http-buffered-bytes", &buffered],
        ["--http-header-seconds", "3"],
        ["--http-body-seconds", "3"],
        ["--http-reply-seconds", "3"],
    ];
    let mut server =
        Server::start(&binary, &home.join("data"), free_port(0)?, &home.join("server.log"), &limits.concat())?;
    println!("{}, at most {CONNECTIONS} connections and {} of bodies and answers", binary.display(), mib(BUFFERED));
    let outcome = all(&server, options);
    let ended = server.ended();
    server.stop();
    let said = std::fs::read_to_string(home.join("server.log")).unwrap_or_default();
    ensure!(ended.is_none(), "the server ended with {ended:?}; it said:\n{said}");
    ensure!(!said.contains("panicked"), "the server panicked; it said:\n{said}");
    outcome
}

fn all(server: &Server, options: &Options) -> Result<()> {
    let mut client = server.client();
    let machine = create(&mut client, "regular", "")?;
    let large = create(&mut client, "large", &"x".repeat(1_000_000))?;
    drop(client);
    let each = Duration::from_secs(options.seconds);
    let mut seen = vec![beside(server, &machine, "nobody else", || {
        std::thread::sleep(each);
        Ok((0, 0))
    })?];
    let before = resident(server)?;

    let polls = polls(server, options.polls)?;
    let waiting = resident(server)?;
    let per_poll = waiting.saturating_sub(before) / options.polls.max(1) as u64;
    println!("{} polls wait: {} before, {} with them, {per_poll} bytes each", options.polls, mib(before), mib(waiting));
    seen.push(beside(server, &machine, "idle polls", || {
        std::thread::sleep(Duration::from_secs(3));
        hand_out(server, polls)?;
        Ok((options.polls as u64, 0))
    })?);

    for attack in ATTACKS {
        seen.push(beside(server, &machine, attack.name, || {
            let target = Target {
                address: server.address,
                machine: large.clone(),
                stop: AtomicBool::new(false),
                opened: AtomicU64::new(0),
                answered: AtomicU64::new(0),
            };
            std::thread::scope(|scope| {
                for _ in 0..ATTACKERS {
                    scope.spawn(|| (attack.run)(&target));
                }
                std::thread::sleep(each);
                target.stop.store(true, Ordering::Relaxed);
            });
            Ok((target.opened.into_inner(), target.answered.into_inner()))
        })?);
    }
    seen.push(beside(server, &machine, "too many", || too_many(server.address))?);

    let health = settled(server)?;
    let over = Instant::now();
    seen.push(beside(server, &machine, "nobody again", || {
        while resident(server)? > before + LEFT && over.elapsed() < GIVEN_BACK {
            std::thread::sleep(Duration::from_millis(100));
        }
        std::thread::sleep(each);
        Ok((0, 0))
    })?);
    let after = resident(server)?;
    show(&seen, &health, (before, after, per_poll), options)?;
    judge(&seen, &health, (before, after, per_poll))
}

fn show(seen: &[Seen], health: &Value, (before, after, per_poll): (u64, u64, u64), options: &Options) -> Result<()> {
    if options.json {
        let rows: Vec<Value> = seen.iter().map(Seen::as_json).collect();
        let figures = json!({
            "polls": options.polls, "bytesPerPoll": per_poll, "residentBefore": before, "residentAfter": after,
            "parts": rows, "http": health["http"],
        });
        println!("{}", serde_json::to_string_pretty(&figures)?);
        return Ok(());
    }
    println!(
        "{:<18} {:>11} {:>9} {:>7} {:>9} {:>9} {:>9} {:>9} {:>10}",
        "beside", "connections", "answered", "calls", "p50 ms", "p99 ms", "max ms", "failures", "memory"
    );
    for part in seen {
        let ms = |share| part.at(share).as_secs_f64() * 1e3;
        println!(
            "{:<18} {:>11} {:>9} {:>7} {:>9.2} {:>9.2} {:>9.2} {:>9} {:>10}",
            part.what,
            part.connections,
            part.answered,
            part.latencies.len(),
            ms(0.5),
            ms(0.99),
            ms(1.0),
            part.failures.len(),
            mib(part.resident_peak),
        );
    }
    println!("memory: {} before, {} after; refused: {}", mib(before), mib(after), health["http"]["refused"]);
    Ok(())
}

fn judge(seen: &[Seen], health: &Value, (before, after, per_poll): (u64, u64, u64)) -> Result<()> {
    for part in seen {
        if let Some(failure) = part.failures.first() {
            bail!("beside {}, {} calls of the regular client failed: {failure}", part.what, part.failures.len());
        }
        ensure!(part.latencies.len() >= 10, "beside {}, only {} calls were made", part.what, part.latencies.len());
        ensure!(part.at(0.5) <= P50, "beside {}, half of the calls took over {P50:?}", part.what);
        ensure!(part.at(0.99) <= P99, "beside {}, one in a hundred calls took over {P99:?}", part.what);
        let bound = before + BUFFERED + CONNECTIONS as u64 * PER_POLL;
        ensure!(part.resident_peak <= bound, "beside {}, the server took {}", part.what, mib(part.resident_peak));
    }
    ensure!(per_poll <= PER_POLL, "a poll that waits takes {per_poll} bytes");
    let left = after.saturating_sub(before);
    ensure!(left <= LEFT, "{} more than before are left when all is over", mib(left));
    let peak = health["http"]["bufferedBytesPeak"].as_u64().context("no peak")?;
    ensure!(peak <= BUFFERED, "bodies and answers took {peak} bytes");
    for reason in ["connections", "bytes", "heads", "timedOut"] {
        let count = health["http"]["refused"][reason].as_u64();
        ensure!(count.is_some_and(|count| count > 0), "nobody was refused for {reason}: the attack did not reach it");
    }
    Ok(())
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// As many open files as all those connections need on our side.
fn files_for(wanted: usize) -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let files = limit.maximum.unwrap_or(u64::MAX);
    ensure!(files >= wanted as u64, "the limit of open files is {files}, and this needs {wanted} (ulimit -Hn)");
    Ok(())
}

fn create(client: &mut Client, name: &str, comment: &str) -> Result<Value> {
    let definition =
        json!({"Comment": comment, "StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}).to_string();
    let role = "arn:aws:iam::000000000000:role/prove";
    let request = json!({"name": name, "definition": definition, "roleArn": role});
    Ok(client.call("CreateStateMachine", &request)?["stateMachineArn"].take())
}

/// Runs a part while the regular client calls and the memory is looked at.
fn beside(
    server: &Server,
    machine: &Value,
    what: &'static str,
    part: impl FnOnce() -> Result<(u64, u64)>,
) -> Result<Seen> {
    let stop = AtomicBool::new(false);
    let mut seen = Seen {
        what,
        connections: 0,
        answered: 0,
        latencies: Vec::new(),
        failures: Vec::new(),
        resident_peak: resident(server)?,
    };
    // Connected before the part begins, as a client is that was there before.
    let mut client = server.client();
    client.call("ListActivities", &json!({"maxResults": 1}))?;
    let done = std::thread::scope(|scope| {
        let calling = scope.spawn(|| {
            let (mut latencies, mut failures) = (Vec::new(), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match client.call("StartExecution", &json!({"stateMachineArn": machine})) {
                    Ok(_) => latencies.push(begun.elapsed()),
                    Err(error) => failures.push(format!("{error:#}")),
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            latencies.sort_unstable();
            (latencies, failures)
        });
        let looking = scope.spawn(|| {
            let mut peak = 0;
            while !stop.load(Ordering::Relaxed) {
                peak = resident(server).unwrap_or_default().max(peak);
                std::thread::sleep(Duration::from_millis(100));
            }
            peak
        });
        let done = part();
        stop.store(true, Ordering::Relaxed);
        if let Ok((latencies, failures)) = calling.join() {
            (seen.latencies, seen.failures) = (latencies, failures);
        }
        seen.resident_peak = looking.join().unwrap_or_default().max(seen.resident_peak);
        done
    });
    (seen.connections, seen.answered) = done?;
    Ok(seen)
}

/// Memory of the server as the system sees it.
fn resident(server: &Server) -> Result<u64> {
    let path = format!("/proc/{}/status", server.process_id());
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse::<u64>().ok());
    kilobytes.map(|number| number * 1_024).with_context(|| format!("{path} has no VmRSS"))
}

fn health(server: &Server) -> Result<Value> {
    serde_json::from_str(&server.client().get("/healthz")?).context("/healthz is no JSON")
}

/// `/healthz` as soon as it is as wanted.
fn wait_for(server: &Server, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let health = health(server)?;
        if wanted(&health) {
            return Ok(health);
        }
        ensure!(Instant::now() < deadline, "waited 60 s in vain: {what}: {health}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// After everything: nobody is connected but who asks, and nothing is kept for anybody.
fn settled(server: &Server) -> Result<Value> {
    wait_for(server, "all connections are closed and their memory is free", |health| {
        health["http"]["connections"] == 1 && health["http"]["bufferedBytes"] == 0 && health["http"]["longPolls"] == 0
    })
}

fn activity(number: usize) -> String {
    format!("arn:aws:states:us-east-1:000000000000:activity:idle-{number}")
}

/// Workers that wait for a task.
fn polls(server: &Server, count: usize) -> Result<Vec<TcpStream>> {
    let mut client = server.client();
    for number in 0..ACTIVITIES {
        client.call("CreateActivity", &json!({"name": format!("idle-{number}")}))?;
    }
    let mut polls = Vec::with_capacity(count);
    for number in 0..count {
        let mut socket = TcpStream::connect(server.address).with_context(|| format!("connection {number}"))?;
        let body = json!({"activityArn": activity(number % ACTIVITIES), "workerName": "idle"}).to_string();
        write!(
            socket,
            "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSStepFunctions.GetActivityTask\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        polls.push(socket);
    }
    wait_for(server, "every poll waits", |health| health["engine"]["activityPollers"] == count)?;
    Ok(polls)
}

/// Half of the workers vanish while tasks are handed out: each task reaches one of the others, and only one.
fn hand_out(server: &Server, mut polls: Vec<TcpStream>) -> Result<()> {
    let mut client = server.client();
    let mut machines = Vec::new();
    for number in 0..ACTIVITIES {
        let definition =
            json!({"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": activity(number), "End": true}}});
        let role = "arn:aws:iam::000000000000:role/prove";
        let request = json!({"name": format!("idle-{number}"), "definition": definition.to_string(), "roleArn": role});
        machines.push(client.call("CreateStateMachine", &request)?["stateMachineArn"].take());
    }
    // The older half: tasks are given to who waits longest.
    let gone: Vec<TcpStream> = polls.drain(..polls.len() / 2).collect();
    let vanishing = std::thread::spawn(move || {
        // One that closes after its task has arrived takes it along: nobody can tell that from a worker at work.
        let took = |socket: TcpStream| socket.set_nonblocking(true).is_ok() && matches!(socket.peek(&mut [0]), Ok(1));
        gone.into_iter().map(took).filter(|took| *took).count()
    });
    let mut executions = Vec::new();
    for number in 0..TASKS {
        let machine = &machines[number % ACTIVITIES];
        let started =
            client.call("StartExecution", &json!({"stateMachineArn": machine, "input": number.to_string()}))?;
        executions.push(started["executionArn"].clone());
    }
    let Ok(taken_along) = vanishing.join() else { bail!("connections could not be closed") };
    let wanted = TASKS - taken_along;
    let mut received = vec![0_usize; TASKS];
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut open: Vec<(TcpStream, Vec<u8>)> = polls.into_iter().map(|socket| (socket, Vec::new())).collect();
    for (socket, _) in &open {
        socket.set_nonblocking(true)?;
    }
    while received.iter().sum::<usize>() < wanted {
        ensure!(Instant::now() < deadline, "{} of {wanted} tasks reached a worker", received.iter().sum::<usize>());
        for (socket, bytes) in &mut open {
            let mut buffer = [0; 4_096];
            let Ok(count) = socket.read(&mut buffer) else { continue };
            bytes.extend_from_slice(&buffer[..count]);
            let Some(task) = task_in(bytes) else { continue };
            bytes.clear();
            let input: usize = task["input"].as_str().and_then(|input| input.parse().ok()).context("another's task")?;
            received[input] += 1;
            client.call("SendTaskSuccess", &json!({"taskToken": task["taskToken"], "output": task["input"]}))?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    ensure!(received.iter().all(|times| *times <= 1), "a task reached two workers: {received:?}");
    for (execution, _) in executions.iter().zip(&received).filter(|(_, times)| **times == 1) {
        let status = client.call("DescribeExecution", &json!({"executionArn": execution}))?["status"].take();
        ensure!(status == "SUCCEEDED", "{execution} is {status}");
    }
    drop(open);
    wait_for(server, "no poll waits", |health| health["http"]["longPolls"] == 0)?;
    Ok(())
}

/// The task in an answer, once it is whole.
fn task_in(bytes: &[u8]) -> Option<Value> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let task: Value = serde_json::from_slice(bytes.get(end..)?).ok()?;
    task["taskToken"].is_string().then_some(task)
}

/// More connections than the server allows: those over the limit are told so.
fn too_many(address: SocketAddr) -> Result<(u64, u64)> {
    let mut held = Vec::new();
    let mut refused = 0;
    for _ in 0..CONNECTIONS + 300 {
        held.push(TcpStream::connect(address)?);
    }
    let begun = Instant::now();
    for socket in held.iter_mut().rev().take(300) {
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        let mut start = [0; 12];
        if socket.read_exact(&mut start).is_ok() && start == *b"HTTP/1.1 503" {
            refused += 1;
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "the refused wait for their answers");
    }
    ensure!(refused > 0, "of 300 connections over the limit, none was told so");
    Ok((held.len() as u64, refused))
}
