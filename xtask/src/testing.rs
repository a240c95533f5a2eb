//! `cargo xtask test`: every check of the repository, one named step after the other, from nothing but Rust and
//! Python 3. A step passes, fails, or is skipped with its reason; it never passes by not running.

use crate::python::{Python, Ready, prepare_node, prepare_python, prepare_services};
use crate::workspace::{cargo, check, command, find_program, in_ci, root, server_binary, target};
use crate::{conformance, demo, fuzz, prove, served_by, tidy};
use anyhow::{Result, bail};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Run every check; a step's name limits the run to it.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only these steps (see --list)
    #[arg(value_name = "STEP")]
    only: Vec<String>,
    /// Leave this step out; repeatable
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Stop at the first step that fails
    #[arg(long)]
    fail_fast: bool,
    /// Show the steps and do nothing
    #[arg(long)]
    list: bool,
}

/// Kill the server in the middle of the example.
#[derive(clap::Args)]
pub(crate) struct KillOptions {
    /// How many moments to kill it at, spread over the whole run of the example
    #[arg(long, default_value_t = 20)]
    rounds: u32,
}

enum Outcome {
    Passed,
    Skipped(String),
}

struct Step {
    name: &'static str,
    what: &'static str,
    run: fn() -> Result<Outcome>,
}

const STEPS: &[Step] = &[
    Step { name: "format", what: "the code is formatted by rustfmt", run: format },
    Step { name: "tidy", what: "the source tree keeps its rules", run: tidy_step },
    Step { name: "clippy", what: "no lint has anything to say", run: clippy },
    Step { name: "build", what: "the server binary that all later steps run", run: build },
    Step { name: "unit", what: "the tests of every crate", run: unit },
    Step { name: "doc", what: "the examples in the documentation", run: doc },
    Step { name: "sim", what: "simulated worlds with faults, a bounded number", run: sim },
    Step { name: "fuzz", what: "bytes that nobody wrote, for a few seconds each", run: fuzz_step },
    Step { name: "sdk", what: "boto3 and the AWS CLI against the binary", run: sdk },
    Step { name: "sdk-js", what: "the JavaScript SDKs v3 and v2 against the binary", run: sdk_js },
    Step { name: "sdk-rust", what: "the AWS SDK for Rust against the binary", run: sdk_rust },
    Step { name: "workers", what: "the workers of examples/workers, as their README says", run: workers },
    Step {
        name: "openapi",
        what: "the OpenAPI description is valid, and no request made from it breaks the server",
        run: openapi,
    },
    Step { name: "services", what: "tasks that call services: moto, and requests against boto3's", run: services },
    Step { name: "e2e", what: "kill -9, restarts, full disks, damaged data and bad input", run: e2e },
    Step { name: "kill", what: "kill -9 at random moments under load; nothing acknowledged is lost", run: kill_step },
    Step { name: "sync", what: "under strace, nothing is acknowledged before its sync", run: sync_step },
    Step { name: "map-bytes", what: "bytes per Map item do not grow with the Map", run: map_bytes },
    Step { name: "demo", what: "the demo runs to its end", run: demo_step },
    Step { name: "conformance", what: "answers recorded from AWS; the score may only rise", run: conformance_step },
    Step {
        name: "served-by",
        what: "the table of operations and clients says what was called above",
        run: served_by_step,
    },
];

/// Runs the steps and prints a line for each, with its time, at the end.
pub(crate) fn run(options: &Options) -> Result<()> {
    for name in options.only.iter().chain(&options.skip) {
        if !STEPS.iter().any(|step| step.name == name) {
            let known: Vec<_> = STEPS.iter().map(|step| step.name).collect();
            bail!("no step is called {name}; the steps are {}", known.join(", "));
        }
    }
    if options.list {
        for step in STEPS {
            println!("{:12} {}", step.name, step.what);
        }
        return Ok(());
    }
    let wanted = |step: &Step| {
        let named = |names: &[String]| names.iter().any(|name| name == step.name);
        (options.only.is_empty() || named(&options.only)) && !named(&options.skip)
    };
    let started = Instant::now();
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    for step in STEPS.iter().filter(|step| wanted(step)) {
        println!("\n=== {}: {}", step.name, step.what);
        let begun = Instant::now();
        let outcome = (step.run)();
        let took = shown(begun.elapsed());
        let word = match outcome {
            Ok(Outcome::Passed) => "passed".to_string(),
            Ok(Outcome::Skipped(why)) => format!("SKIPPED: {why}"),
            Err(error) => {
                println!("{error:#}");
                failed.push(step.name);
                "FAILED".to_string()
            }
        };
        println!("=== {}: {word} ({took})", step.name);
        lines.push(format!("{:12} {took:>8}  {word}", step.name));
        if !failed.is_empty() && (options.fail_fast || step.name == "build") {
            break;
        }
    }
    println!("\n{}\n{:12} {:>8}", lines.join("\n"), "total", shown(started.elapsed()));
    if failed.is_empty() {
        return Ok(());
    }
    bail!("failed: {}", failed.join(", "))
}

/// The kill -9 test with more moments than `test` has time for.
pub(crate) fn kill(options: &KillOptions) -> Result<()> {
    match pytest("tests/e2e/test_kill.py", &[("KILL_ROUNDS", options.rounds.to_string())])? {
        Outcome::Passed => Ok(()),
        Outcome::Skipped(why) => bail!("cannot run: {why}"),
    }
}

fn shown(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 60.0 {
        format!("{seconds:.1} s")
    } else {
        format!("{}:{:02} min", time.as_secs() / 60, time.as_secs() % 60)
    }
}

fn format() -> Result<Outcome> {
    check(cargo().args(["fmt", "--all", "--check"]))?;
    for workspace in ["tests/sdk-rust", "examples/workers/rust"] {
        check(cargo().args(["fmt", "--manifest-path", &format!("{workspace}/Cargo.toml"), "--check"]))?;
    }
    Ok(Outcome::Passed)
}

fn tidy_step() -> Result<Outcome> {
    tidy::run()?;
    Ok(Outcome::Passed)
}

fn clippy() -> Result<Outcome> {
    check(cargo().args(["clippy", "--workspace", "--all-targets", "--locked", "--quiet", "--", "--deny", "warnings"]))?;
    Ok(Outcome::Passed)
}

fn build() -> Result<Outcome> {
    println!("{}", server_binary()?.display());
    Ok(Outcome::Passed)
}

fn unit() -> Result<Outcome> {
    if find_program("cargo-nextest").is_some() {
        check(cargo().args(["nextest", "run", "--workspace", "--locked", "--no-fail-fast", "--status-level=fail"]))?;
    } else {
        check(cargo().args(["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"]))?;
    }
    Ok(Outcome::Passed)
}

fn doc() -> Result<Outcome> {
    check(cargo().args(["test", "--workspace", "--doc", "--locked", "--quiet"]))?;
    Ok(Outcome::Passed)
}

fn sim() -> Result<Outcome> {
    crate::sim::prove(&crate::sim::ProveOptions::bounded())?;
    Ok(Outcome::Passed)
}

fn fuzz_step() -> Result<Outcome> {
    fuzz::run(&fuzz::Options::short())?;
    Ok(Outcome::Passed)
}

fn sdk() -> Result<Outcome> {
    pytest("tests/sdk", &[("STEPWRIGHT_SERVED_BY", served_by::fresh("sdk")?.display().to_string())])
}

/// The worker in Rust is compiled into a folder of its own that is kept.
fn workers() -> Result<Outcome> {
    let python = match prepare_python()? {
        Ready::Yes(python) => python,
        missing => return pytest_in(missing, "tests/workers", &[]),
    };
    let bin = python.program("").display().to_string();
    let path = std::env::var("PATH").map_or(bin.clone(), |path| format!("{bin}:{path}"));
    let cargo_target = target().join("workers-rust").display().to_string();
    let environment = [("PATH", path), ("CARGO_TARGET_DIR", cargo_target)];
    pytest_in(Ready::Yes(python), "tests/workers", &environment)
}

fn openapi() -> Result<Outcome> {
    pytest("tests/openapi", &[])
}

fn services() -> Result<Outcome> {
    pytest_in(prepare_services()?, "tests/services", &[])
}

fn e2e() -> Result<Outcome> {
    pytest("tests/e2e", &[])
}

fn pytest(what: &str, environment: &[(&str, String)]) -> Result<Outcome> {
    pytest_in(prepare_python()?, what, environment)
}

fn pytest_in(python: Ready<Python>, what: &str, environment: &[(&str, String)]) -> Result<Outcome> {
    let python = match python {
        Ready::Yes(python) => python,
        Ready::Missing(what) => return Ok(Outcome::Skipped(format!("this needs {what}"))),
    };
    let mut command = python.command();
    command.args(["-m", "pytest", "-q", "-rs", "--durations=5", "-p", "no:cacheprovider", what]);
    command.env("STEPWRIGHT_BIN", server_binary()?).envs(environment.iter().map(|(k, v)| (k, v)));
    check(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    Ok(Outcome::Passed)
}

fn sdk_js() -> Result<Outcome> {
    let folder: PathBuf = match prepare_node()? {
        Ready::Yes(folder) => folder,
        Ready::Missing(what) => return Ok(Outcome::Skipped(format!("this needs {what}"))),
    };
    let mut node = command("node");
    node.args(["--test", "--test-reporter=spec", "v3.test.mjs", "operations.test.mjs", "v2.test.mjs"])
        .current_dir(folder);
    node.env("STEPWRIGHT_SERVED_BY", served_by::fresh("sdk-js")?);
    check(node.env("STEPWRIGHT_BIN", server_binary()?))?;
    Ok(Outcome::Passed)
}

/// A workspace of its own, so that the SDK is compiled here and nowhere else.
fn sdk_rust() -> Result<Outcome> {
    let mut tests = cargo();
    tests.args(["test", "--quiet", "--locked", "--manifest-path", "tests/sdk-rust/Cargo.toml"]);
    tests.env("CARGO_TARGET_DIR", target().join("sdk-rust")).env("STEPWRIGHT_SERVED_BY", served_by::fresh("sdk-rust")?);
    check(tests.env("STEPWRIGHT_BIN", server_binary()?))?;
    Ok(Outcome::Passed)
}

fn served_by_step() -> Result<Outcome> {
    served_by::run(&served_by::Options { check: true })?;
    Ok(Outcome::Passed)
}

fn kill_step() -> Result<Outcome> {
    prove::run(&prove::Promise::kill())?;
    Ok(Outcome::Passed)
}

fn sync_step() -> Result<Outcome> {
    Ok(prove::Promise::sync()?.map_or(Outcome::Passed, Outcome::Skipped))
}

fn map_bytes() -> Result<Outcome> {
    prove::run(&prove::Promise::map_bytes())?;
    Ok(Outcome::Passed)
}

fn demo_step() -> Result<Outcome> {
    match demo::run(&demo::Options::once()) {
        Err(error) if !in_ci() && error.is::<demo::Missing>() => Ok(Outcome::Skipped(error.to_string())),
        Err(error) => Err(error),
        Ok(()) => Ok(Outcome::Passed),
    }
}

fn conformance_step() -> Result<Outcome> {
    let runner = conformance::runner();
    if !runner.is_file() {
        let shown = root().file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        return Ok(Outcome::Skipped(format!(
            "the recordings are not part of this repository and ../shared/conformance is not beside {shown}"
        )));
    }
    conformance::run(&conformance::Options::default())?;
    Ok(Outcome::Passed)
}
