//! `cargo xtask fuzz`: bytes that nobody wrote, fed to what reads bytes. What must hold is in `fuzz/src`; this only
//! builds and runs it.

use crate::workspace::{cargo, check, command, find_program, output, root};
use anyhow::{Context as _, Result, bail};
use std::path::PathBuf;

/// Seconds for each target as `cargo xtask test` runs them.
const SHORT: u64 = 4;

/// What is fed, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The target: request, definition, yaml, path, template, jsonata, jsonata-grown, jsonata-template, test-state or log; all
    /// of them if none is named
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Feed these files once and do nothing else
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How long each target is fed with changes of its corpus
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Decides the changes; the same number makes the same ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Follow the coverage with libFuzzer, which needs a C++ compiler and a named target
    #[arg(long)]
    guided: bool,
}

impl Options {
    /// As `cargo xtask test` runs it.
    pub(crate) fn short() -> Self {
        Self { target: None, files: Vec::new(), seconds: SHORT, seed: 1, guided: false }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if options.guided {
        return guided(options);
    }
    let mut command = cargo();
    command.args(["run", "--quiet", "--locked", "--package", "stepwright-fuzz", "--bin", "fuzz", "--"]);
    command.args(&options.target).args(&options.files);
    check(command.args(["--seconds", &options.seconds.to_string(), "--seed", &options.seed.to_string()]))
}

/// libFuzzer, built with flags that a stable compiler takes: coverage counters without a sanitizer. New inputs that
/// reach something go into a folder under the target directory, from which `--guided` goes on the next time.
fn guided(options: &Options) -> Result<()> {
    const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares";
    let Some(target) = &options.target else { bail!("--guided feeds one target: name it") };
    if find_program("g++").or_else(|| find_program("c++")).is_none() {
        bail!("libFuzzer is C++, and neither g++ nor c++ is on the PATH; without --guided nothing of it is needed");
    }
    let fuzz = root().join("fuzz");
    let seeds = fuzz.join("corpus").join(target);
    if !seeds.is_dir() {
        bail!("{target} is no target: {} does not exist", seeds.display());
    }
    let home = crate::workspace::target().join("fuzz-guided");
    let (grown, findings) = (home.join("corpus").join(target), fuzz.join("findings"));
    std::fs::create_dir_all(&grown)?;
    std::fs::create_dir_all(&findings)?;
    let version = output(command("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV names no host")?;
    let mut command = cargo();
    // With a target named, the flags are not those of build scripts and macros.
    command.args(["run", "--release", "--locked", "--target", host, "--manifest-path"]);
    command.arg(fuzz.join("guided").join("Cargo.toml")).env("CARGO_TARGET_DIR", &home).env("RUSTFLAGS", FLAGS);
    command.env("STEPWRIGHT_FUZZ", target).arg("--");
    if options.files.is_empty() {
        command.arg(&grown).arg(&seeds);
    } else {
        command.args(&options.files);
    }
    command.arg(format!("-artifact_prefix={}/{target}-", findings.display()));
    command.args(["-max_len=8192", "-timeout=10", "-rss_limit_mb=2048", "-print_final_stats=1"]);
    check(command.arg(format!("-max_total_time={}", options.seconds)).arg(format!("-seed={}", options.seed)))
}
