//! Scenarios about Express executions that are waited for: a request is a whole execution, without a disk, so they are held
//! against the bare server without a log.

use super::Bench;
use super::generator::number;
use super::loads::correct;
use super::probe::cpu_seconds;
use super::report::Bound::{AtLeast, AtMost, Told};
use anyhow::{Result, ensure};
use serde_json::Value;

const CONNECTIONS: usize = 8;

/// One round of requests, checked.
fn round(bench: &Bench, server: &crate::process::Server, language: &str) -> Result<(Value, f64)> {
    let (connections, seconds) = (CONNECTIONS.to_string(), bench.seconds.to_string());
    let before = cpu_seconds(server.process_id())?;
    let result =
        bench.load(server, &["sync", "--lang", language, "--concurrency", &connections, "--duration", &seconds])?;
    correct(&result)?;
    ensure!(result["verified"] == true, "the wrong output: {result}");
    let cpu = cpu_seconds(server.process_id())? - before;
    let each = cpu * 1e6 / number(&result, "requests")?;
    Ok((result, each))
}

/// Ten states in JSONPath in each request.
pub(super) fn sync_10(bench: &mut Bench) -> Result<()> {
    let bare = bench.generator.bare()?;
    let mut server = bench.fresh_server(&[])?;
    let (mut beside, mut rates, mut cpu, mut p50, mut p99) = (vec![], vec![], vec![], vec![], vec![]);
    for at in 1..=bench.rounds {
        beside.push(bare.measure(CONNECTIONS, bench.seconds, None)?.per_second);
        let (result, each) = round(bench, &server, "jsonpath")?;
        rates.push(number(&result, "requests_per_s")?);
        p50.push(number(&result["latency_ms"], "p50")?);
        p99.push(number(&result["latency_ms"], "p99")?);
        cpu.push(each);
        bench.say(&format!(
            "round {at}: {:.0} executions/s, p99 {:.2} ms; bare server {:.0}/s",
            rates[rates.len() - 1],
            p99[p99.len() - 1],
            beside[beside.len() - 1]
        ));
    }
    server.stop();
    bench.add_median("executions/s", rates.clone(), "/s", Told);
    bench.add_ratio("executions/s over the bare server", rates, beside, AtLeast(0.3));
    bench.add_median("p50", p50, "ms", Told);
    bench.add_median("p99", p99, "ms", AtMost(10.0));
    bench.add_median("server CPU per execution", cpu, "µs", Told);
    Ok(())
}

/// The same ten states in JSONata, beside those in JSONPath.
pub(super) fn sync_10_jsonata(bench: &mut Bench) -> Result<()> {
    let mut server = bench.fresh_server(&[])?;
    let (mut beside, mut rates, mut cpu, mut p99) = (vec![], vec![], vec![], vec![]);
    for at in 1..=bench.rounds {
        beside.push(number(&round(bench, &server, "jsonpath")?.0, "requests_per_s")?);
        let (result, each) = round(bench, &server, "jsonata")?;
        rates.push(number(&result, "requests_per_s")?);
        p99.push(number(&result["latency_ms"], "p99")?);
        cpu.push(each);
        bench.say(&format!(
            "round {at}: {:.0} executions/s in JSONata, {:.0} in JSONPath",
            rates[rates.len() - 1],
            beside[beside.len() - 1]
        ));
    }
    server.stop();
    bench.add_median("executions/s", rates.clone(), "/s", Told);
    bench.add_ratio("executions/s over JSONPath", rates, beside, AtLeast(0.5));
    bench.add_median("p99", p99, "ms", AtMost(10.0));
    bench.add_median("server CPU per execution", cpu, "µs", Told);
    Ok(())
}
