//! Scenarios that load a server and watch how fast it is: the bounds of rates, latencies and CPU.

use super::Bench;
use super::generator::number;
use super::probe::{Cost, Sample, Watch, cpu_seconds};
use super::report::Bound::{AtLeast, AtMost, Told};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Executions under load: server and yardstick in turn, on one data directory for all rounds.
struct Rounds {
    yardstick: Vec<f64>,
    results: Vec<Value>,
    costs: Vec<Cost>,
}

impl Rounds {
    fn of(&self, key: &str) -> Result<Vec<f64>> {
        self.results.iter().map(|result| number(result, key)).collect()
    }

    fn latency(&self, key: &str, part: &str) -> Result<Vec<f64>> {
        self.results.iter().map(|result| number(&result[key], part)).collect()
    }

    fn cost(&self, of: fn(&Cost) -> f64) -> Vec<f64> {
        self.costs.iter().map(of).collect()
    }
}

fn rounds(bench: &Bench, connections: usize, load: &[&str]) -> Result<Rounds> {
    let yardstick = bench.yardstick()?;
    let mut server = bench.fresh_server(&[])?;
    let mut rounds = Rounds { yardstick: vec![], results: vec![], costs: vec![] };
    let (seconds, connected) = (bench.seconds.to_string(), connections.to_string());
    for round in 1..=bench.rounds {
        let beside = yardstick.measure(connections, bench.seconds, None)?;
        let mut arguments = load.to_vec();
        arguments.extend(["--concurrency", &connected, "--duration", &seconds, "--limit", "120"]);
        let watch = Watch::start(server.address, server.process_id());
        let result = bench.load(&server, &arguments);
        let samples = watch.finish()?;
        let result = result?;
        correct(&result)?;
        let cost = Cost::of(&samples)?;
        let per_second = result["executions_per_s"].as_f64().or(result["round_trips_per_s"].as_f64()).unwrap_or(0.0);
        bench.say(&format!(
            "round {round}: {per_second:.0} executions/s, {} in all; yardstick {:.0}/s",
            cost.executions, beside.per_second
        ));
        rounds.yardstick.push(beside.per_second);
        rounds.results.push(result);
        rounds.costs.push(cost);
    }
    server.stop();
    Ok(rounds)
}

/// Fast and wrong is no figure.
pub(super) fn correct(result: &Value) -> Result<()> {
    ensure!(result["errors"].as_u64().unwrap_or(0) == 0, "requests failed: {result}");
    ensure!(result["not_succeeded"].as_u64().unwrap_or(0) == 0, "executions did not succeed: {result}");
    if let Some(expected) = result["history_events_expected"].as_u64() {
        ensure!(result["history_events"] == expected, "a history is not as long as it must be: {result}");
    }
    Ok(())
}

fn tell_costs(bench: &mut Bench, rounds: &Rounds) {
    bench.add_median("log bytes per execution", rounds.cost(|cost| cost.log_bytes), "B", Told);
    bench.add_median("bytes to disk per execution", rounds.cost(|cost| cost.written_bytes), "B", Told);
}

fn start(bench: &mut Bench, connections: usize) -> Result<()> {
    let rounds = rounds(bench, connections, &["start"])?;
    let starts = rounds.of("start_per_s")?;
    bench.add_median("acknowledged starts/s", starts.clone(), "/s", Told);
    bench.add_ratio(
        "acknowledged starts/s over the yardstick",
        starts.clone(),
        rounds.yardstick.clone(),
        AtLeast(0.45),
    );
    bench.add_ratio("executions/s over starts/s", rounds.of("executions_per_s")?, starts, AtLeast(0.95));
    bench.add_median("server CPU per execution", rounds.cost(|cost| cost.cpu_us), "µs", AtMost(60.0));
    bench.add_median("start p50", rounds.latency("start_latency_ms", "p50")?, "ms", Told);
    bench.add_median("start p99", rounds.latency("start_latency_ms", "p99")?, "ms", Told);
    tell_costs(bench, &rounds);
    Ok(())
}

pub(super) fn start_64(bench: &mut Bench) -> Result<()> {
    start(bench, 64)
}

pub(super) fn start_256(bench: &mut Bench) -> Result<()> {
    start(bench, 256)
}

fn chain(bench: &mut Bench, states: &str, bound: f64) -> Result<()> {
    let rounds = rounds(bench, 64, &["chain", "--states", states])?;
    let transitions = rounds.of("transitions_per_s")?;
    bench.add_median("state transitions/s", transitions.clone(), "/s", Told);
    bench.add_ratio("state transitions/s over the yardstick", transitions, rounds.yardstick.clone(), AtLeast(bound));
    bench.add_median("server CPU per execution", rounds.cost(|cost| cost.cpu_us), "µs", Told);
    tell_costs(bench, &rounds);
    Ok(())
}

pub(super) fn chain_10(bench: &mut Bench) -> Result<()> {
    chain(bench, "10", 3.0)
}

pub(super) fn chain_100(bench: &mut Bench) -> Result<()> {
    chain(bench, "100", 6.0)
}

pub(super) fn parallel(bench: &mut Bench) -> Result<()> {
    let rounds = rounds(bench, 64, &["parallel", "--branches", "10"])?;
    let executions = rounds.of("executions_per_s")?;
    bench.add_median("executions/s", executions.clone(), "/s", Told);
    bench.add_ratio("executions/s over the yardstick", executions, rounds.yardstick.clone(), AtLeast(0.15));
    bench.add_median("server CPU per execution", rounds.cost(|cost| cost.cpu_us), "µs", Told);
    tell_costs(bench, &rounds);
    Ok(())
}

pub(super) fn activity(bench: &mut Bench) -> Result<()> {
    // The generator numbers its executions ahead: more than any round can reach.
    let rounds = rounds(bench, 64, &["activity", "--workers", "64", "--probe", "0", "--count", "4000000"])?;
    let trips = rounds.of("round_trips_per_s")?;
    bench.add_median("round trips/s", trips.clone(), "/s", Told);
    bench.add_ratio("round trips/s over the yardstick", trips, rounds.yardstick.clone(), AtLeast(0.15));
    bench.add_median("server CPU per execution", rounds.cost(|cost| cost.cpu_us), "µs", Told);
    tell_costs(bench, &rounds);
    Ok(())
}

pub(super) fn hand_over(bench: &mut Bench) -> Result<()> {
    let yardstick = bench.yardstick()?;
    let mut server = bench.fresh_server(&[])?;
    let probes = bench.amount(3_000, 200).to_string();
    let (mut p50, mut p99, mut beside_p50, mut beside_p99) = (vec![], vec![], vec![], vec![]);
    for round in 1..=bench.rounds {
        let beside = yardstick.measure(1, bench.seconds.min(10.0), None)?;
        let result = bench.load(&server, &["activity", "--workers", "4", "--probe", &probes, "--count", "1"])?;
        correct(&result)?;
        let idle = &result["idle_start_to_receive_ms"];
        p50.push(number(idle, "p50")?);
        p99.push(number(idle, "p99")?);
        beside_p50.push(beside.p50_ms);
        beside_p99.push(beside.p99_ms);
        bench.say(&format!("round {round}: {idle}; yardstick p50 {} ms, p99 {} ms", beside.p50_ms, beside.p99_ms));
    }
    server.stop();
    bench.add_median("start to worker p50", p50.clone(), "ms", Told);
    bench.add_ratio("p50 over the yardstick at one connection", p50, beside_p50, AtMost(4.0));
    bench.add_median("start to worker p99", p99.clone(), "ms", Told);
    bench.add_ratio("p99 over the yardstick at one connection", p99, beside_p99, AtMost(3.0));
    Ok(())
}

pub(super) fn single(bench: &mut Bench) -> Result<()> {
    let mut server = bench.fresh_server(&[])?;
    let (mut rate, mut page) = (vec![], vec![]);
    // Each takes a part of a second.
    for round in 1..=bench.rounds.max(3) {
        let result = bench.load(&server, &["history", "--events", "24990", "--page", "1000"])?;
        ensure!(result["ordered"] == true && result["events"] == 24_988, "the history is not as it must be: {result}");
        rate.push(number(&result, "single_execution_transitions_per_s")?);
        page.push(number(&result["page_ms"], "p50")?);
        bench.say(&format!(
            "round {round}: {:.0} transitions/s, page p50 {} ms",
            rate[rate.len() - 1],
            page[page.len() - 1]
        ));
    }
    server.stop();
    bench.add_median("state transitions/s of one execution", rate, "/s", AtLeast(60_000.0));
    bench.add_median("page of 1,000 events p50", page, "ms", AtMost(5.0));
    Ok(())
}

/// By our own hands: the generator reads the whole history after each run, which would be counted.
pub(super) fn map(bench: &mut Bench) -> Result<()> {
    const ITEMS: usize = 6_000;
    let mut server = bench.fresh_server(&[])?;
    let process = server.process_id();
    let mut client = server.client();
    let definition = json!({"StartAt": "M", "States": {"M": {
        "Type": "Map", "ItemsPath": "$.items", "End": true,
        "ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}, "StartAt": "P", "States": {"P": {"Type": "Pass", "End": true}}}
    }}});
    let machine = super::states::create_machine(&mut client, "map", &definition)?;
    let items: Vec<usize> = (0..ITEMS).collect();
    let request = json!({"stateMachineArn": machine, "input": json!({"items": items}).to_string()});
    let runs = bench.amount(20, 5);
    let (mut per_item, mut per_second) = (vec![], vec![]);
    for round in 0..=bench.rounds {
        let (cpu, begun) = (cpu_seconds(process)?, Instant::now());
        for _ in 0..runs {
            let arn = client.call("StartExecution", &request)?["executionArn"].clone();
            let asked = json!({"executionArn": arn});
            let outcome = loop {
                // Few questions: each is counted, too.
                bench.pause(Duration::from_millis(20))?;
                let outcome = client.call("DescribeExecution", &asked)?;
                if outcome["status"] != "RUNNING" {
                    break outcome;
                }
            };
            let output: Option<Vec<usize>> =
                outcome["output"].as_str().and_then(|text| serde_json::from_str(text).ok());
            ensure!(output.as_ref() == Some(&items), "the Map's output is wrong; its status is {}", outcome["status"]);
        }
        // The first round warms up.
        if round > 0 {
            per_item.push((cpu_seconds(process)? - cpu) * 1e6 / (runs * ITEMS) as f64);
            per_second.push((runs * ITEMS) as f64 / begun.elapsed().as_secs_f64());
            bench.say(&format!("round {round}: {:.2} µs CPU an item", per_item[per_item.len() - 1]));
        }
    }
    server.stop();
    bench.add_median("server CPU per item", per_item, "µs", AtMost(8.0));
    bench.add_median("items/s, one Map after the other", per_second, "/s", Told);
    Ok(())
}

pub(super) fn wake_ups(bench: &mut Bench) -> Result<()> {
    let yardstick = bench.yardstick()?;
    let mut server = bench.fresh_server(&[])?;
    let seconds = bench.seconds.min(20.0);
    let rate = 500.0;
    let (mut p99, mut beside, mut early) = (vec![], vec![], 0.0);
    for round in 1..=bench.rounds {
        let measured = yardstick.measure(64, seconds, Some(rate))?;
        let (duration, rate) = (seconds.to_string(), rate.to_string());
        let arguments = ["wait", "--mode", "seconds", "--seconds", "5", "--concurrency", "64"];
        let mut arguments = arguments.to_vec();
        arguments.extend(["--rate", &rate, "--duration", &duration]);
        let result = bench.load(&server, &arguments)?;
        correct(&result)?;
        p99.push(number(&result["lateness_ms"], "p99")?);
        beside.push(measured.p99_ms);
        early += number(&result, "early")?;
        bench.say(&format!("round {round}: late {}; yardstick p99 {} ms", result["lateness_ms"], measured.p99_ms));
    }
    server.stop();
    let allowed = super::median(&beside).mul_add(3.0, 0.0).max(20.0);
    bench.add_median("yardstick p99 at the same rate", beside, "ms", Told);
    bench.add_median("late p99", p99, "ms", AtMost(allowed));
    bench.add("woken too early", early, "", AtMost(0.0));
    Ok(())
}

pub(super) fn burst(bench: &mut Bench) -> Result<()> {
    /// Starts per second beside the burst.
    const BESIDE: f64 = 500.0;
    let count = bench.amount(100_000, 20_000);
    let park_seconds = bench.amount(45, 12);
    let (mut gone, mut p99, mut worst, mut early) = (vec![], vec![], vec![], 0.0);
    for round in 1..=bench.rounds.min(3) {
        let mut server = bench.fresh_server(&[])?;
        // The generator waits 0.3 s, adds its seconds and takes the next full one: started in the first half of a second,
        // it is known which.
        while now().fract() > 0.3 {
            bench.pause(Duration::from_millis(10))?;
        }
        let due = (now() + 0.4 + park_seconds as f64).ceil();
        let (endpoint, count, park) = (server.endpoint(), count.to_string(), park_seconds.to_string());
        let waits = bench.generator.start(&[
            "wait",
            "--endpoint",
            &endpoint,
            "--mode",
            "timestamp",
            "--count",
            &count,
            "--duration",
            "55",
            "--seconds",
            &park,
            "--concurrency",
            "64",
        ])?;
        bench.pause(Duration::from_secs_f64((due - 0.5 - now()).max(0.0)))?;
        // Six seconds around the burst and no more, or quiet times would hide it in the percentiles.
        let rate = BESIDE.to_string();
        let beside =
            bench.load(&server, &["start", "--rate", &rate, "--duration", "6", "--concurrency", "64", "--no-wait"])?;
        let waits = waits.finish()?;
        correct(&beside)?;
        correct(&waits)?;
        ensure!(waits["note"].is_null(), "not all were parked at once: {waits}");
        gone.push(number(&waits, "all_done_after_due_s")?);
        p99.push(number(&beside["start_latency_ms"], "p99")?);
        worst.push(number(&beside["start_latency_ms"], "max")?);
        early += number(&waits, "early")?;
        bench.say(&format!(
            "round {round}: gone after {} s, late {}; starts beside {}",
            waits["all_done_after_due_s"], waits["lateness_ms"], beside["start_latency_ms"]
        ));
        server.stop();
    }
    bench.add_median("all gone after", gone, "s", AtMost(5.0));
    bench.add_median("starts beside p99", p99, "ms", AtMost(100.0));
    bench.add_median("starts beside, worst", worst, "ms", Told);
    bench.add("woken too early", early, "", AtMost(0.0));
    Ok(())
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}

/// Samples of a server while a load runs that is not judged by itself.
pub(super) fn watched(bench: &Bench, server: &crate::process::Server, load: &[&str]) -> Result<(Value, Vec<Sample>)> {
    let watch = Watch::start(server.address, server.process_id());
    let result = bench.load(server, load);
    let samples = watch.finish()?;
    let result = result?;
    correct(&result).context("under load")?;
    Ok((result, samples))
}
