//! Scenarios about JSONata in states: what it costs beside JSONPath, and whom long evaluations hold up.

use super::Bench;
use super::generator::number;
use super::loads::correct;
use super::probe::cpu_seconds;
use super::report::Bound::{AtMost, Told};
use super::states::create_machine;
use crate::client::Client;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// States of the machines whose cost is compared.
const STATES: usize = 100;

/// A machine of Pass states in a row that do the same in either language.
fn chain(language: &str) -> Value {
    let states: serde_json::Map<String, Value> = (1..=STATES)
        .map(|at| {
            let mut state = match language {
                "JSONata" => json!({"Type": "Pass", "Output": {
                    "order": "{% $states.input.order %}", "total": "{% $states.input.total + 5 %}",
                }}),
                _ => json!({"Type": "Pass", "Parameters": {
                    "order.$": "$.order", "total.$": "States.MathAdd($.total, 5)",
                }}),
            };
            if at == STATES {
                state["End"] = json!(true);
            } else {
                state["Next"] = json!(format!("S{}", at + 1));
            }
            (format!("S{at}"), state)
        })
        .collect();
    json!({"StartAt": "S1", "QueryLanguage": language, "States": states})
}

fn start(client: &mut Client, machine: &str, input: &Value) -> Result<String> {
    let request = json!({"stateMachineArn": machine, "input": input.to_string()});
    let answer = client.call("StartExecution", &request)?;
    Ok(answer["executionArn"].as_str().context("StartExecution gave no ARN")?.to_owned())
}

/// Waits until an execution has ended well, and gives its description.
fn end(bench: &Bench, client: &mut Client, execution: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let described = client.call("DescribeExecution", &json!({"executionArn": execution}))?;
        match described["status"].as_str() {
            Some("RUNNING") => bench.pause(Duration::from_millis(2))?,
            Some("SUCCEEDED") => return Ok(described),
            _ => anyhow::bail!("an execution ended otherwise: {described}"),
        }
        ensure!(begun.elapsed() < Duration::from_secs(120), "an execution takes more than two minutes");
    }
}

/// A Pass state with a JSONata Output against one with JSONPath: CPU of the whole server for each state.
pub(super) fn pass(bench: &mut Bench) -> Result<()> {
    let count = bench.amount(1_000, 100);
    let mut server = bench.fresh_server(&[])?;
    let mut client = server.client();
    let path = create_machine(&mut client, "path", &chain("JSONPath"))?;
    let jsonata = create_machine(&mut client, "jsonata", &chain("JSONata"))?;
    let input = json!({"order": {"id": "A-1", "lines": [{"sku": "x", "n": 2}]}, "total": 0});
    let (mut costs, mut beside) = (vec![], vec![]);
    for round in 1..=bench.rounds {
        for (machine, costs) in [(&path, &mut beside), (&jsonata, &mut costs)] {
            let before = cpu_seconds(server.process_id())?;
            let mut last = String::new();
            for _ in 0..count {
                last = start(&mut client, machine, &input)?;
            }
            let described = end(bench, &mut client, &last)?;
            let output: Value = serde_json::from_str(described["output"].as_str().unwrap_or_default())?;
            ensure!(output["total"] == 5 * STATES, "the wrong output: {output}");
            costs.push((cpu_seconds(server.process_id())? - before) * 1e6 / (count * STATES) as f64);
        }
        bench.say(&format!(
            "round {round}: {:.2} µs a state in JSONata, {:.2} in JSONPath",
            costs.last().unwrap_or(&0.0),
            beside.last().unwrap_or(&0.0)
        ));
    }
    server.stop();
    bench.add_median("a Pass state in JSONata", costs.clone(), "µs CPU", Told);
    bench.add_median("a Pass state in JSONPath", beside.clone(), "µs CPU", Told);
    bench.add_ratio("JSONata over JSONPath", costs, beside, AtMost(3.0));
    Ok(())
}

/// Executions that evaluate for a second each, and starts of another machine beside them.
pub(super) fn slow(bench: &mut Bench) -> Result<()> {
    /// Starts per second beside the evaluations.
    const BESIDE: &str = "500";
    let count = bench.amount(100, 20);
    let (mut p99, mut worst, mut own, mut seconds) = (vec![], vec![], vec![], vec![]);
    for round in 1..=bench.rounds.min(3) {
        // More than one evaluation may take by default: a second shall be a second.
        let bounds = ["--limits-evaluation-steps", "1000000000", "--limits-evaluation-bytes", "17179869184"];
        let mut server = bench.fresh_server(&bounds)?;
        let mut client = server.client();
        let expression = "{% $sum($map([1..$states.input.n], function($i) { $sum([1..100].($ * $i)) })) %}";
        let definition = json!({"StartAt": "S", "QueryLanguage": "JSONata", "States": {
            "S": {"Type": "Pass", "Output": expression, "End": true},
        }});
        let machine = create_machine(&mut client, "slow", &definition)?;
        // How much is a second here?
        let timed = |client: &mut Client, n: u64| -> Result<f64> {
            let begun = Instant::now();
            let execution = start(client, &machine, &json!({"n": n}))?;
            end(bench, client, &execution)?;
            Ok(begun.elapsed().as_secs_f64())
        };
        timed(&mut client, 2_000)?;
        let mut n = 2_000;
        let mut took = timed(&mut client, n)?;
        while took < 0.9 {
            let factor = (1.0 / took.max(0.01)).min(10.0);
            n = (n as f64 * factor * 1.05) as u64;
            took = timed(&mut client, n)?;
        }
        seconds.push(took);
        let mut slowest = 0.0_f64;
        for _ in 0..count {
            let begun = Instant::now();
            start(&mut client, &machine, &json!({"n": n}))?;
            slowest = slowest.max(begun.elapsed().as_secs_f64() * 1_000.0);
        }
        own.push(slowest);
        let duration = bench.amount(20, 5).to_string();
        let beside = bench
            .load(&server, &["start", "--rate", BESIDE, "--duration", &duration, "--concurrency", "64", "--no-wait"])?;
        correct(&beside)?;
        let running = client.call("ListExecutions", &json!({"stateMachineArn": machine, "statusFilter": "RUNNING"}))?;
        let running = running["executions"].as_array().map_or(0, Vec::len);
        ensure!(running > 0, "all {count} had been evaluated before the starts beside them were measured");
        p99.push(number(&beside["start_latency_ms"], "p99")?);
        worst.push(number(&beside["start_latency_ms"], "max")?);
        bench.say(&format!(
            "round {round}: {took:.2} s each; {running} of {count} left in the end; starts beside {}",
            beside["start_latency_ms"]
        ));
        server.kill();
    }
    bench.add_median("one evaluation", seconds, "s", Told);
    bench.add_median("starts beside p99", p99, "ms", AtMost(50.0));
    bench.add_median("starts beside, worst", worst, "ms", Told);
    bench.add_median("starts of the slow ones, worst", own, "ms", Told);
    Ok(())
}
