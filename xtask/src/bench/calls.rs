//! Scenarios about calls of services: how many there may be in a second, what a task costs that waits for its token, and
//! whether a service that hangs delays another. The services are stand-ins in this process.

use super::Bench;
use super::generator::number;
use super::loads::correct;
use super::probe::{cpu_seconds, resident_bytes};
use super::report::Bound::{AtLeast, AtMost, Told};
use super::report::median;
use super::states::create_machine;
use crate::process::{Server, free_port};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

const MB: f64 = 1_048_576.0;
/// Tasks in a second that every machine must reach, unless it does less than ten times as much of anything.
const TASKS_PER_SECOND: f64 = 5_000.0;

/// A service that answers every request with what it was sent, or never.
struct StandIn {
    address: SocketAddr,
    _runtime: Runtime,
}

impl StandIn {
    fn start(answers: bool) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A connection that breaks is the client's affair.
                tokio::spawn(async move { drop(serve(stream, answers).await) });
            }
        });
        Ok(Self { address, _runtime: runtime })
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// Just enough HTTP/1.1 for requests that say how long they are.
async fn serve(mut stream: TcpStream, answers: bool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut bytes = Vec::with_capacity(4_096);
    loop {
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let length =
            text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        if answers {
            let mut answer =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n")
                    .into_bytes();
            answer.extend_from_slice(&bytes[head..head + length]);
            stream.write_all(&answer).await?;
        }
        bytes.drain(..head + length);
    }
}

/// A server with nothing stored whose services are where this says.
fn server(bench: &Bench, services: &[(&str, String)], more: &[&str]) -> Result<Server> {
    super::remove(&bench.data())?;
    let mut command = Command::new(&bench.binary);
    for (name, url) in services {
        command.env(format!("AWS_ENDPOINT_URL_{name}"), url);
    }
    let more: Vec<&str> = ["--log-level", "warn"].iter().chain(more).copied().collect();
    Server::launch(&mut command, &bench.data(), free_port(0)?, &bench.home.join("server.log"), &more)
}

/// Starts so many executions, as fast as it goes.
pub(super) fn start(bench: &Bench, server: &Server, machine: &str, count: usize) -> Result<()> {
    let body = json!({"stateMachineArn": machine, "input": "{\"order\":\"o-1001\"}"}).to_string();
    let count = count.to_string();
    let arguments = [
        "http",
        "--op",
        "StartExecution",
        "--body",
        &body,
        "--concurrency",
        "64",
        "--count",
        &count,
        "--duration",
        "1200",
    ];
    correct(&bench.load(server, &arguments)?)
}

pub(super) fn health(server: &Server, key: &str) -> Result<u64> {
    let health: Value = serde_json::from_str(&server.client().get("/healthz")?).context("/healthz is no JSON")?;
    health["engine"][key].as_u64().with_context(|| format!("/healthz has no engine.{key}: {health}"))
}

/// Looks until a figure of the engine is as it must be.
pub(super) fn until(bench: &Bench, server: &Server, key: &str, holds: impl Fn(u64) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let found = health(server, key)?;
        if holds(found) {
            return Ok(());
        }
        ensure!(begun.elapsed() < Duration::from_secs(600), "{key} is {found} after ten minutes");
        bench.pause(Duration::from_millis(10))?;
    }
}

fn lambda(function: &str) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{function}")
}

/// A definition of so many tasks, all of which call the same function.
pub(super) fn in_a_row(function: &str, tasks: usize) -> Value {
    let states: serde_json::Map<String, Value> = (1..=tasks)
        .map(|at| {
            let mut state = json!({"Type": "Task", "Resource": lambda(function)});
            let (key, value) = if at == tasks { ("End", json!(true)) } else { ("Next", json!(format!("T{}", at + 1))) };
            state[key] = value;
            (format!("T{at}"), state)
        })
        .collect();
    json!({"StartAt": "T1", "States": states})
}

/// Tasks in a row in each of many executions: nearly all that is done is tasks.
pub(super) fn lambda_rate(bench: &mut Bench) -> Result<()> {
    let tasks = bench.amount(50, 10);
    let at_once = 256;
    let echo = StandIn::start(true)?;
    let yardstick = bench.yardstick()?;
    let mut server = server(bench, &[("LAMBDA", echo.url())], &[])?;
    let machine = create_machine(&mut server.client(), "tasks", &in_a_row("echo", tasks))?;
    let (mut rates, mut beside, mut bars, mut cpu) = (vec![], vec![], vec![], vec![]);
    for round in 0..=bench.rounds {
        let measured = yardstick.measure(64, bench.seconds.min(10.0), None)?.per_second;
        let (closed, cpu_before, begun) =
            (health(&server, "executionsClosed")?, cpu_seconds(server.process_id())?, Instant::now());
        start(bench, &server, &machine, at_once)?;
        until(bench, &server, "executionsClosed", |now| now >= closed + at_once as u64)?;
        let rate = (at_once * tasks) as f64 / begun.elapsed().as_secs_f64();
        // The first round warms up.
        if round > 0 {
            cpu.push((cpu_seconds(server.process_id())? - cpu_before) * 1e6 / (at_once * tasks) as f64);
            rates.push(rate);
            beside.push(measured);
            bars.push(rate / TASKS_PER_SECOND.min(measured / 10.0));
            bench.say(&format!("round {round}: {rate:.0} tasks/s; yardstick {measured:.0}/s"));
        }
    }
    let failed = json!({"stateMachineArn": machine, "statusFilter": "FAILED"});
    let failed = server.client().call("ListExecutions", &failed)?;
    ensure!(failed["executions"].as_array().is_some_and(Vec::is_empty), "executions failed: {failed}");
    server.stop();
    bench.add_median("Lambda tasks/s", rates.clone(), "/s", Told);
    bench.add_ratio("tasks/s over the yardstick", rates, beside, Told);
    bench.add_median("tasks/s over 5,000, or over a tenth of the yardstick", bars, "×", AtLeast(1.0));
    bench.add_median("server CPU per task", cpu, "µs", Told);
    Ok(())
}

/// Tasks that gave their token away and wait.
pub(super) fn tokens_memory(bench: &mut Bench) -> Result<()> {
    let (few, many) = (bench.amount(50_000, 10_000), bench.amount(150_000, 20_000));
    let echo = StandIn::start(true)?;
    let mut server = server(bench, &[("LAMBDA", echo.url())], &[])?;
    let definition = json!({"StartAt": "T", "States": {"T": {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": true,
        "Parameters": {"FunctionName": "echo", "Payload": {"token.$": "$$.Task.Token"}},
    }}});
    let machine = create_machine(&mut server.client(), "tokens", &definition)?;
    let mut memory = vec![];
    for (before, upto) in [(0, few), (few, many)] {
        let begun = Instant::now();
        start(bench, &server, &machine, upto - before)?;
        until(bench, &server, "queuedConnectorTasks", |waiting| waiting == 0)?;
        until(bench, &server, "callsInFlight", |calls| calls == 0)?;
        ensure!(health(&server, "executionsClosed")? == 0, "tasks ended that should wait");
        let rate = (upto - before) as f64 / begun.elapsed().as_secs_f64();
        // Until the last checkpoint is through, and connections that nobody needs are closed.
        bench.pause(Duration::from_secs(if bench.quick { 3 } else { 30 }))?;
        memory.push(resident_bytes(server.process_id())? as f64);
        bench.say(&format!(
            "{upto} wait: {:.1} MB; {rate:.0} executions/s up to their token",
            memory[memory.len() - 1] / MB
        ));
    }
    let running = json!({"stateMachineArn": machine, "statusFilter": "RUNNING", "maxResults": 1000});
    let running = server.client().call("ListExecutions", &running)?;
    ensure!(running["executions"].as_array().is_some_and(|all| all.len() == 1_000), "tasks do not wait");
    server.stop();
    bench.add("memory with all waiting", memory[1] / MB, "MB", Told);
    bench.add(
        "growth per task that waits for its token",
        (memory[1] - memory[0]) / (many - few) as f64,
        "B",
        AtMost(300.0),
    );
    Ok(())
}

/// Tasks on one service, alone and while another service hangs with all that it may have and more that waits.
pub(super) fn hanging_service(bench: &mut Bench) -> Result<()> {
    let waiting = bench.amount(20_000, 2_000);
    let seconds = bench.seconds.min(15.0).to_string();
    let (echo, silent) = (StandIn::start(true)?, StandIn::start(false)?);
    let services = [("SECRETS_MANAGER", echo.url()), ("DYNAMODB", silent.url())];
    let task = |resource: &str, parameters: Value| {
        let state = json!({"Type": "Task", "Resource": format!("arn:aws:states:::aws-sdk:{resource}"), "Parameters": parameters, "End": true});
        json!({"StartAt": "T", "States": {"T": state}})
    };
    let (mut alone, mut beside, mut ratios) = (vec![], vec![], vec![]);
    for round in 1..=bench.rounds {
        // No call that hangs is given up before the end of the round.
        let mut server = server(bench, &services, &["--tasks-call-seconds", "3600"])?;
        let mut client = server.client();
        let role = "arn:aws:iam::000000000000:role/bench";
        let quick = task("secretsmanager:getSecretValue", json!({"SecretId": "s"})).to_string();
        let quick = json!({"name": "quick", "type": "EXPRESS", "definition": quick, "roleArn": role});
        let quick = client.call("CreateStateMachine", &quick)?["stateMachineArn"].clone();
        let hanging = create_machine(&mut client, "hanging", &task("dynamodb:listTables", json!({})))?;
        let body = json!({"stateMachineArn": quick, "input": "{}"}).to_string();
        let load = |seconds: &str| -> Result<f64> {
            let arguments = [
                "http",
                "--op",
                "StartSyncExecution",
                "--body",
                &body,
                "--concurrency",
                "64",
                "--rate",
                "500",
                "--duration",
                seconds,
            ];
            let result = bench.load(&server, &arguments)?;
            correct(&result)?;
            let reply = result["reply"].as_str().unwrap_or_default();
            ensure!(!reply.contains("FAILED"), "the tasks failed: {result}");
            number(&result["latency_ms"], "p99")
        };
        // Warms up.
        load("2")?;
        let without = load(&seconds)?;
        start(bench, &server, &hanging, waiting)?;
        until(bench, &server, "queuedConnectorTasks", |queued| queued as usize >= waiting - 1_000)?;
        bench.pause(Duration::from_secs(1))?;
        let with = load(&seconds)?;
        let calls = health(&server, "callsInFlight")?;
        bench.say(&format!("round {round}: p99 {without:.2} ms alone, {with:.2} ms beside {calls} calls that hang"));
        alone.push(without);
        beside.push(with);
        ratios.push(with / without);
        drop(client);
        server.kill();
    }
    bench.add_median("p99 alone", alone, "ms", Told);
    bench.add_median("p99 while another service hangs", beside, "ms", Told);
    bench.add("p99 while another hangs, over alone", median(&ratios), "×", AtMost(2.0));
    Ok(())
}
