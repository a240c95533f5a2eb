//! Scenarios about what a server holds rather than how fast it is: memory, disk, start and restart, retention.

use super::Bench;
use super::generator::number;
use super::loads::watched;
use super::probe::{Cost, Watch, directory_bytes, resident_bytes, written_bytes};
use super::report::Bound::{AtMost, Told};
use super::report::median;
use crate::client::Client;
use crate::process::{Background, Server, free_port};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const MB: f64 = 1_048_576.0;

/// Creates a STANDARD state machine and returns its ARN.
pub(super) fn create_machine(client: &mut Client, name: &str, definition: &Value) -> Result<String> {
    let role = "arn:aws:iam::000000000000:role/bench";
    let request = json!({"name": name, "definition": definition.to_string(), "roleArn": role});
    let answer = client.call("CreateStateMachine", &request)?;
    Ok(answer["stateMachineArn"].as_str().context("CreateStateMachine gave no ARN")?.to_owned())
}

/// A server process, and how long it took from its start to its first good answer.
fn timed_start(bench: &Bench) -> Result<(Background, SocketAddr, Duration)> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port(0)?));
    let mut command = Command::new(&bench.binary);
    command.args(["serve", "--listen", &address.to_string(), "--log-level", "warn", "--data-directory"]);
    command.arg(bench.data()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let mut process = Background::start("the server", &mut command)?;
    loop {
        if Client::new(address).call("ListStateMachines", &json!({})).is_ok() {
            return Ok((process, address, begun.elapsed()));
        }
        if let Some(status) = process.ended() {
            bail!("the server ended with {status} when it was started");
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "the server does not answer within 60 s");
        bench.pause(Duration::from_millis(1))?;
    }
}

/// SIGKILL, and waits until it is over.
fn kill(mut process: Background) -> Result<()> {
    let status = Command::new("sh").arg("-c").arg(format!("kill -KILL {}", process.id())).status()?;
    ensure!(status.success(), "the server could not be killed");
    while process.ended().is_none() {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

pub(super) fn cold(bench: &mut Bench) -> Result<()> {
    let (mut times, mut memory) = (vec![], vec![]);
    for _ in 0..bench.amount(10, 3) {
        super::remove(&bench.data())?;
        let (mut process, _, time) = timed_start(bench)?;
        times.push(time.as_secs_f64() * 1e3);
        bench.pause(Duration::from_secs(1))?;
        memory.push(resident_bytes(process.id())? as f64 / MB);
        process.stop();
    }
    bench.add_median("start with nothing stored", times, "ms", AtMost(50.0));
    bench.add_median("memory when idle", memory, "MB", AtMost(25.0));
    Ok(())
}

/// Starts so many executions that wait, as fast as it goes.
fn park(bench: &Bench, address: SocketAddr, machine: &str, name: &str, count: usize) -> Result<()> {
    let body = json!({"stateMachineArn": machine, "name": format!("{name}-{{i}}"), "input": "{\"order\":\"o-1001\"}"});
    let (endpoint, body, count) = (format!("http://{address}"), body.to_string(), count.to_string());
    let mut arguments = vec!["http", "--endpoint", &endpoint, "--op", "StartExecution", "--body", &body];
    arguments.extend(["--concurrency", "64", "--count", &count, "--duration", "1200"]);
    let result = bench.generator.run(&arguments)?;
    ensure!(result["errors"] == 0, "executions could not be started: {result}");
    Ok(())
}

pub(super) fn parked(bench: &mut Bench) -> Result<()> {
    let (few, many) = (bench.amount(100_000, 20_000), bench.amount(1_000_000, 100_000));
    let definition = json!({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 31_536_000, "End": true}}});
    super::remove(&bench.data())?;
    let (process, address, _) = timed_start(bench)?;
    let machine = create_machine(&mut Client::new(address), "parked", &definition)?;
    let memory = |bench: &Bench| -> Result<f64> {
        // Until the last checkpoint is through.
        bench.pause(Duration::from_secs(3))?;
        Ok(resident_bytes(process.id())? as f64)
    };
    park(bench, address, &machine, "few", few)?;
    let at_few = memory(bench)?;
    bench.say(&format!("{few} parked: {:.1} MB", at_few / MB));
    park(bench, address, &machine, "many", many - few)?;
    let at_many = memory(bench)?;
    bench.say(&format!("{many} parked: {:.1} MB", at_many / MB));
    bench.add("memory with the first part parked", at_few / MB, "MB", Told);
    bench.add("memory with all parked", at_many / MB, "MB", Told);
    bench.add("growth per parked execution", (at_many - at_few) / (many - few) as f64, "B", AtMost(300.0));
    bench.add("disk per parked execution", directory_bytes(&bench.data()) as f64 / many as f64, "B", Told);

    let mut times = vec![];
    let (mut process, mut address) = (process, address);
    for round in 0..bench.amount(5, 2) {
        // Some more, so that each kill leaves a log to read: a restart is followed by a checkpoint.
        park(bench, address, &machine, &format!("more-{round}"), bench.amount(50_000, 2_000))?;
        kill(process)?;
        let (again, at, time) = timed_start(bench)?;
        times.push(time.as_secs_f64());
        bench.say(&format!("restarted in {:.0} ms", time.as_secs_f64() * 1e3));
        let still = json!({"stateMachineArn": machine, "statusFilter": "RUNNING", "maxResults": 1000});
        let listed = Client::new(at).call("ListExecutions", &still)?;
        ensure!(listed["executions"].as_array().is_some_and(|all| all.len() == 1_000), "parked executions are gone");
        (process, address) = (again, at);
    }
    bench.add_median("restart after kill -9", times, "s", AtMost(1.0));
    bench.add("memory after a restart", resident_bytes(process.id())? as f64 / MB, "MB", Told);
    kill(process)
}

/// Bytes that are kept once everything is in its place: what more executions add to a closed data directory.
fn kept_per_event(bench: &Bench, load: &[&str], events_each: f64) -> Result<f64> {
    let mut sizes = vec![];
    let mut executions = 0.0;
    // Twice: what a data directory always holds (log segments, files of the index) is in both.
    for part in 0..2 {
        let mut server = if part == 0 { bench.fresh_server(&[])? } else { bench.server(&[])? };
        let result = bench.load(&server, load)?;
        ensure!(result["errors"] == 0, "under load: {result}");
        let done = result["executions"].as_f64().or(result["round_trips"].as_f64()).context("no count")?;
        if part == 1 {
            executions = done;
        }
        server.stop();
        sizes.push(directory_bytes(&bench.data()) as f64);
    }
    bench.say(&format!("{} MB, then {} MB", (sizes[0] / MB).round(), (sizes[1] / MB).round()));
    Ok((sizes[1] - sizes[0]) / (executions * events_each))
}

pub(super) fn disk(bench: &mut Bench) -> Result<()> {
    let count = |full, quick| bench.amount(full, quick).to_string();
    let (ten, one, tasks) = (count(150_000, 30_000), count(400_000, 100_000), count(200_000, 60_000));
    let load = |name: &'static str, count: &str| -> Vec<String> {
        [name, "--concurrency", "64", "--duration", "600", "--limit", "600", "--count", count]
            .map(String::from)
            .to_vec()
    };
    let run = |bench: &Bench, mut load: Vec<String>, more: &[&str], events: f64| {
        load.extend(more.iter().map(ToString::to_string));
        let load: Vec<&str> = load.iter().map(String::as_str).collect();
        kept_per_event(bench, &load, events)
    };
    let chain = run(bench, load("chain", &ten), &["--states", "10", "--no-wait"], 22.0)?;
    bench.add("kept per event, chains of ten (22 events)", chain, "B", AtMost(80.0));
    let tasks = run(bench, load("activity", &tasks), &["--workers", "64", "--probe", "0"], 7.0)?;
    bench.add("kept per event, one activity task (7 events)", tasks, "B", AtMost(80.0));
    // Four events must bear the rows of a whole execution: told, because nobody should be surprised.
    let one = run(bench, load("start", &one), &["--no-wait"], 4.0)?;
    bench.add("kept per event, one Pass state (4 events)", one, "B", Told);
    Ok(())
}

/// Executions that are still listed.
fn listed(server: &Server) -> Result<usize> {
    let mut client = server.client();
    let machines = client.call("ListStateMachines", &json!({}))?;
    let mut count = 0;
    for machine in machines["stateMachines"].as_array().context("no list")? {
        let mut request = json!({"stateMachineArn": machine["stateMachineArn"], "maxResults": 1000});
        loop {
            let mut page = client.call("ListExecutions", &request)?;
            count += page["executions"].as_array().map_or(0, Vec::len);
            match page["nextToken"].take() {
                Value::Null => break,
                token => request["nextToken"] = token,
            }
        }
    }
    Ok(count)
}

pub(super) fn retention(bench: &mut Bench) -> Result<()> {
    let keep = bench.amount(15, 4);
    let seconds = bench.amount(120, 24);
    // The top rate without deletion, to know what deletion costs.
    let mut server = bench.fresh_server(&[])?;
    let short = bench.amount(30, 6).to_string();
    let arguments = ["start", "--concurrency", "64", "--no-wait", "--duration", &short];
    let (without, samples) = watched(bench, &server, &arguments)?;
    let cpu_without = Cost::of(&samples)?.cpu_us;
    server.stop();

    let keep_text = keep.to_string();
    let mut server = bench.fresh_server(&["--retention-seconds", &keep_text])?;
    let data = bench.data();
    let third = (seconds / 3).to_string();
    let mut sizes: Vec<f64> = vec![];
    let mut rates = vec![];
    let mut p99 = vec![];
    let mut cpu = vec![];
    for part in 1..=3 {
        let endpoint = server.endpoint();
        let load = bench.generator.start(&[
            "start",
            "--endpoint",
            &endpoint,
            "--concurrency",
            "64",
            "--no-wait",
            "--duration",
            &third,
        ])?;
        let mut largest = 0_u64;
        let watch = Watch::start(server.address, server.process_id());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(seconds as u64 / 3) {
            bench.pause(Duration::from_millis(500))?;
            largest = largest.max(directory_bytes(&data));
        }
        let result = load.finish()?;
        cpu.push(Cost::of(&watch.finish()?)?.cpu_us);
        ensure!(result["errors"] == 0, "under load: {result}");
        rates.push(number(&result, "start_per_s")?);
        p99.push(number(&result["start_latency_ms"], "p99")?);
        sizes.push(largest as f64 / MB);
        bench.say(&format!(
            "part {part}: {:.0} starts/s, at most {:.0} MB on disk, {:.0} MB in memory",
            rates[rates.len() - 1],
            largest as f64 / MB,
            resident_bytes(server.process_id())? as f64 / MB,
        ));
    }
    bench.pause(Duration::from_secs(keep as u64))?;
    let begun = Instant::now();
    let mut left = listed(&server)?;
    while left > 0 && begun.elapsed() < Duration::from_secs(120) {
        bench.pause(Duration::from_millis(100))?;
        left = listed(&server)?;
    }
    let behind = begun.elapsed().as_secs_f64();
    let written = written_bytes(server.process_id())? as f64 / MB;
    bench.pause(Duration::from_secs(2))?;
    server.stop();
    let rest = directory_bytes(&data) as f64 / MB;
    let before = number(&without, "start_per_s")?;
    bench.add("starts/s without deletion", before, "/s", Told);
    bench.add("starts/s while deleting, over that", median(&rates[1..]) / before, "×", Told);
    bench.add("server CPU per execution without deletion", cpu_without, "µs", Told);
    bench.add("server CPU per execution while deleting", median(&cpu[1..]), "µs", Told);
    bench.add("start p99 while deleting", median(&p99[1..]), "ms", Told);
    bench.add("last execution gone after its time", behind, "s", AtMost(5.0));
    bench.add("disk, last third over second third", sizes[2] / sizes[1], "×", AtMost(1.25));
    bench.add("disk at most", sizes[1].max(sizes[2]), "MB", Told);
    bench.add("disk once all is deleted", rest, "MB", Told);
    bench.add("written to disk", written, "MB", Told);
    ensure!(left == 0, "{left} executions were still listed two minutes after their time");
    Ok(())
}
