//! Functions as local processes: from a call to the result of a process that had to be started, what a call of a warm one
//! takes, and how many tasks there may be in a second.

use super::Bench;
use super::calls::{health, in_a_row, start, until};
use super::report::Bound::{AtLeast, AtMost, Told};
use super::report::median;
use super::states::create_machine;
use crate::process::{Server, free_port};
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::process::Command;
use std::time::Instant;

/// Functions that are called for the first time, each once.
const COLD: usize = 9;

/// Milliseconds of one call of Lambda's Invoke.
fn call(server: &Server, client: &mut crate::client::Client, function: &str) -> Result<f64> {
    let begun = Instant::now();
    let path = format!("/2015-03-31/functions/{function}/invocations");
    let answer = client.post(&path, "{\"order\":\"o-1001\"}").with_context(|| server.endpoint())?;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    ensure!(answer.contains("o-1001"), "{function} answered {answer}");
    Ok(took)
}

/// All three, for Python and for Node.
pub(super) fn functions(bench: &mut Bench) -> Result<()> {
    std::fs::write(bench.home.join("echo.py"), "def handler(event, context):\n    return event\n")?;
    std::fs::write(bench.home.join("echo.js"), "exports.handler = async (event) => event;\n")?;
    let mut all = Map::new();
    for language in ["python", "node"] {
        for number in 0..COLD {
            all.insert(format!("{language}-{number}"), json!({language: "echo.handler", "timeout": 60}));
        }
    }
    all.insert("many".to_owned(), json!({"python": "echo.handler", "timeout": 60, "concurrency": 4}));
    super::remove(&bench.data())?;
    let mut command = Command::new(&bench.binary);
    command.current_dir(&bench.home);
    let functions = Value::Object(all).to_string();
    let more = ["--log-level", "warn", "--functions", &functions];
    let mut server = Server::launch(&mut command, &bench.data(), free_port(0)?, &bench.home.join("server.log"), &more)?;
    let mut client = server.client();
    for (language, cold_name, cold_bound, warm_name) in [
        (
            "python",
            "Python: from the call to the result, cold",
            AtMost(150.0),
            "Python: a call of a warm function, p50",
        ),
        ("node", "Node: from the call to the result, cold", Told, "Node: a call of a warm function, p50"),
    ] {
        let mut cold = vec![];
        for number in 0..COLD {
            cold.push(call(&server, &mut client, &format!("{language}-{number}"))?);
        }
        let mut warm = vec![];
        for _ in 0..bench.amount(2_000, 200) {
            warm.push(call(&server, &mut client, &format!("{language}-0"))?);
        }
        bench.add_median(cold_name, cold, "ms", cold_bound);
        bench.add(warm_name, median(&warm), "ms", AtMost(3.0));
    }
    let (tasks, at_once) = (bench.amount(50, 10), 256);
    let machine = create_machine(&mut client, "tasks", &in_a_row("many", tasks))?;
    let mut rates = vec![];
    for round in 0..=bench.rounds {
        let (closed, begun) = (health(&server, "executionsClosed")?, Instant::now());
        start(bench, &server, &machine, at_once)?;
        until(bench, &server, "executionsClosed", |now| now >= closed + at_once as u64)?;
        // The first round warms up.
        if round > 0 {
            rates.push((at_once * tasks) as f64 / begun.elapsed().as_secs_f64());
            bench.say(&format!("round {round}: {:.0} tasks/s", rates[rates.len() - 1]));
        }
    }
    let failed = json!({"stateMachineArn": machine, "statusFilter": "FAILED"});
    let failed = client.call("ListExecutions", &failed)?;
    ensure!(failed["executions"].as_array().is_some_and(Vec::is_empty), "executions failed: {failed}");
    server.stop();
    bench.add_median("tasks/s to a warm Python function in four processes", rates, "/s", AtLeast(1_000.0));
    Ok(())
}
