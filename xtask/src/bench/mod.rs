//! `cargo xtask bench`: the speed that the project promises, measured on the release binary from outside, beside a
//! yardstick that says what the machine can do at the same moment. A shared machine moves by a factor of two within
//! minutes, so rates are held against the yardstick, round by round in turn, and never against yesterday's.
//!
//! It only measures and compares; what a figure must be stands with its scenario, in `loads` and `states`.

mod calls;
mod express;
mod expressions;
mod functions;
mod generator;
mod loads;
mod map_runs;
mod probe;
mod report;
pub(crate) mod soak;
mod states;

use crate::process::{Server, free_port, interruptions};
use crate::workspace::{cargo, check, target};
use anyhow::{Context, Result, bail, ensure};
use generator::{Generator, Yardstick};
use report::{Bound, Line, median};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Measure what is promised about speed, memory and disk, and fail if a bound is not kept.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only these scenarios (see --list)
    #[arg(value_name = "SCENARIO")]
    only: Vec<String>,
    /// Rounds of each scenario, each with the yardstick before the server
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds of load in a round
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// One short round and small amounts: to see that everything works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Write every figure of every round to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the table to this file, as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// A built load generator; without it, it is built from ../shared/bench
    #[arg(long, value_name = "PATH")]
    generator: Option<PathBuf>,
    /// Show the scenarios and do nothing
    #[arg(long)]
    list: bool,
}

/// A thing to measure.
struct Scenario {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Bench) -> Result<()>,
}

const SCENARIOS: &[Scenario] = &[
    Scenario { name: "start-64", what: "StartExecution of one Pass state, 64 connections", run: loads::start_64 },
    Scenario { name: "start-256", what: "the same, 256 connections", run: loads::start_256 },
    Scenario { name: "chain-10", what: "ten Pass states in a row, 64 connections", run: loads::chain_10 },
    Scenario { name: "chain-100", what: "a hundred Pass states in a row, 64 connections", run: loads::chain_100 },
    Scenario { name: "parallel", what: "a Parallel of ten branches, 64 connections", run: loads::parallel },
    Scenario { name: "activity", what: "activity round trips, 64 workers", run: loads::activity },
    Scenario { name: "hand-over", what: "start to worker on an idle server", run: loads::hand_over },
    Scenario { name: "single", what: "one execution of 12,493 states; its history by pages", run: loads::single },
    Scenario { name: "map", what: "an inline Map of 6,000 items", run: loads::map },
    Scenario { name: "wake-ups", what: "Waits that end spread over time", run: loads::wake_ups },
    Scenario { name: "burst", what: "100,000 Waits that end in one second, starts beside", run: loads::burst },
    Scenario { name: "pass", what: "a Pass state in JSONata beside one in JSONPath", run: expressions::pass },
    Scenario {
        name: "slow",
        what: "100 executions that evaluate for a second each, starts beside",
        run: expressions::slow,
    },
    Scenario {
        name: "sync-10",
        what: "StartSyncExecution of ten states in JSONPath, 8 connections",
        run: express::sync_10,
    },
    Scenario {
        name: "sync-10-jsonata",
        what: "the same ten states in JSONata beside them",
        run: express::sync_10_jsonata,
    },
    Scenario {
        name: "lambda-rate",
        what: "Lambda tasks in a row in 256 executions, to a local endpoint",
        run: calls::lambda_rate,
    },
    Scenario {
        name: "functions",
        what: "functions as local processes: cold, warm, and tasks in a second",
        run: functions::functions,
    },
    Scenario {
        name: "tokens-memory",
        what: "memory from 50,000 to 150,000 tasks that wait for tokens",
        run: calls::tokens_memory,
    },
    Scenario { name: "hanging-service", what: "tasks on one service while another hangs", run: calls::hanging_service },
    Scenario {
        name: "map-run-express",
        what: "a distributed Map of 1,000,000 lines, EXPRESS children, results in files",
        run: map_runs::express,
    },
    Scenario {
        name: "map-run-standard",
        what: "a distributed Map of 200,000 lines, STANDARD children",
        run: map_runs::standard,
    },
    Scenario { name: "cold", what: "start with nothing stored; memory when idle", run: states::cold },
    Scenario {
        name: "parked",
        what: "memory from 100,000 to 1,000,000 Waits; restart after kill -9",
        run: states::parked,
    },
    Scenario { name: "disk", what: "bytes kept per event, every row included", run: states::disk },
    Scenario { name: "retention", what: "deletion at the top rate of starts", run: states::retention },
];

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.list {
        for scenario in SCENARIOS {
            println!("{:15} {}", scenario.name, scenario.what);
        }
        return Ok(());
    }
    for name in &options.only {
        if !SCENARIOS.iter().any(|scenario| scenario.name == name) {
            let known: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
            bail!("no scenario is called {name}; the scenarios are {}", known.join(", "));
        }
    }
    let mut bench = Bench::prepare(options.generator.as_deref(), options.quick)?;
    if !options.quick {
        bench.rounds = options.rounds.max(1);
        bench.seconds = f64::from(options.seconds.max(1));
    }
    let chosen = |scenario: &&Scenario| options.only.is_empty() || options.only.iter().any(|n| n == scenario.name);
    let mut broken = Vec::new();
    for scenario in SCENARIOS.iter().filter(chosen) {
        eprintln!("{}: {}", scenario.name, scenario.what);
        bench.scenario = scenario.name;
        let begun = Instant::now();
        let before = bench.lines.len();
        if let Err(error) = (scenario.run)(&mut bench) {
            bench.check_interrupted()?;
            eprintln!("{}: BROKEN: {error:#}", scenario.name);
            broken.push(scenario.name);
        }
        // What was measured is worth telling while the rest runs.
        eprint!("{}", report::table(&bench.lines[before..]));
        eprintln!("{}: {:.0} s", scenario.name, begun.elapsed().as_secs_f64());
    }
    println!("{}", report::table(&bench.lines).trim_end());
    let conditions = bench.conditions();
    if let Some(file) = &options.json {
        let text = format!("{:#}\n", report::json(&bench.lines, &conditions));
        std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &options.markdown {
        std::fs::write(file, report::markdown(&bench.lines))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let failed = bench.lines.iter().filter(|line| line.kept() == Some(false)).count();
    let judged = bench.lines.iter().filter(|line| line.kept().is_some()).count();
    println!("{} of {judged} bounds kept; {conditions}", judged - failed);
    ensure!(broken.is_empty(), "could not be measured: {}", broken.join(", "));
    ensure!(failed == 0, "{failed} of {judged} bounds were not kept");
    Ok(())
}

/// A run of scenarios: what they use, and what they found.
pub(crate) struct Bench {
    binary: PathBuf,
    pub(crate) generator: Generator,
    home: PathBuf,
    pub(crate) rounds: u32,
    /// Seconds of load in a round.
    pub(crate) seconds: f64,
    pub(crate) quick: bool,
    scenario: &'static str,
    pub(crate) lines: Vec<Line>,
    interrupted: Receiver<()>,
}

impl Bench {
    /// Everything that is built and made before the first figure.
    pub(crate) fn prepare(generator: Option<&Path>, quick: bool) -> Result<Self> {
        let interrupted = interruptions()?;
        let generator = Generator::find(generator)?;
        let binary = release_binary()?;
        let home = target().join("bench");
        std::fs::create_dir_all(&home)?;
        let (rounds, seconds) = if quick { (1, 3.0) } else { (5, 30.0) };
        Ok(Self { binary, generator, home, rounds, seconds, quick, scenario: "", lines: Vec::new(), interrupted })
    }

    /// Where the server of this scenario keeps its data.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// A server with nothing stored.
    pub(crate) fn fresh_server(&self, more: &[&str]) -> Result<Server> {
        remove(&self.data())?;
        self.server(more)
    }

    /// A server on what is stored.
    pub(crate) fn server(&self, more: &[&str]) -> Result<Server> {
        let more: Vec<&str> = ["--log-level", "warn"].iter().chain(more).copied().collect();
        Server::start(&self.binary, &self.data(), free_port(0)?, &self.home.join("server.log"), &more)
    }

    /// A yardstick with an empty log.
    pub(crate) fn yardstick(&self) -> Result<Yardstick> {
        let log = self.home.join("yardstick");
        remove(&log)?;
        self.generator.yardstick(&log)
    }

    /// A small amount in a quick run.
    pub(crate) fn amount(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Runs the load generator against a server.
    pub(crate) fn load(&self, server: &Server, arguments: &[&str]) -> Result<serde_json::Value> {
        self.check_interrupted()?;
        let (scenario, rest) = arguments.split_first().context("a load has a name")?;
        let endpoint = server.endpoint();
        let mut all = vec![*scenario, "--endpoint", &endpoint];
        all.extend(rest);
        self.generator.run(&all)
    }

    /// Adds a figure.
    pub(crate) fn add(&mut self, what: &'static str, value: f64, unit: &'static str, bound: Bound) {
        self.lines.push(Line { scenario: self.scenario, what, value, unit, bound, rounds: vec![], yardstick: vec![] });
    }

    /// Adds the median of the rounds.
    pub(crate) fn add_median(&mut self, what: &'static str, rounds: Vec<f64>, unit: &'static str, bound: Bound) {
        let value = median(&rounds);
        self.lines.push(Line { scenario: self.scenario, what, value, unit, bound, rounds, yardstick: vec![] });
    }

    /// Adds the median of the rounds over the median of the yardstick's.
    pub(crate) fn add_ratio(&mut self, what: &'static str, rounds: Vec<f64>, yardstick: Vec<f64>, bound: Bound) {
        let value = median(&rounds) / median(&yardstick);
        self.lines.push(Line { scenario: self.scenario, what, value, unit: "×", bound, rounds, yardstick });
    }

    /// Tells a person how far it is.
    pub(crate) fn say(&self, text: &str) {
        eprintln!("  {}: {text}", self.scenario);
    }

    /// Waits, and ends early with an error when it is interrupted.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        match self.interrupted.recv_timeout(time) {
            Ok(()) => bail!("interrupted"),
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }

    fn check_interrupted(&self) -> Result<()> {
        ensure!(self.interrupted.try_recv().is_err(), "interrupted");
        Ok(())
    }

    /// What the figures were taken under.
    fn conditions(&self) -> serde_json::Value {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        json!({
            "rounds": self.rounds,
            "seconds": self.seconds,
            "quick": self.quick,
            "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
            "loadAverage": load.split(' ').next().unwrap_or_default(),
        })
    }
}

/// Builds the server with the release profile and returns the binary. `STEPWRIGHT_BIN` names one that is built already.
fn release_binary() -> Result<PathBuf> {
    if std::env::var_os("STEPWRIGHT_BIN").is_some() {
        return crate::workspace::server_binary();
    }
    eprintln!("building the server");
    check(cargo().args(["build", "--quiet", "--locked", "--release", "--package", "stepwright-server"]))?;
    Ok(target().join("release").join("stepwright"))
}

fn remove(directory: &Path) -> Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", directory.display()))
        }
        _ => Ok(()),
    }
}
