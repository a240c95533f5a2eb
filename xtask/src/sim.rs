//! `cargo xtask sim`: the deterministic simulation. Builds the runner of `crates/sim`, lets it run seeds, shows how far
//! it is and what it found. The simulation itself is in the runner; here its figures are shown and judged.

mod figures;
mod plants;

use crate::workspace::{cargo, check, command, output, target};
use anyhow::{Context, Result, bail, ensure};
use figures::Figures;
use serde_json::Value;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, IsTerminal};
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Run simulated worlds, by seed; a seed that failed fails again.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How many seeds, one after another
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Threads; each runs worlds of its own
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Print the figures as JSON and nothing else
    #[arg(long)]
    json: bool,
    /// Plant each bug of crates/sim/plants (or only those named), and see that a checker finds it
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with_all = ["seed", "seeds"])]
    plants: Option<Vec<String>>,
    /// Seeds in which a planted bug must be found
    #[arg(long, default_value_t = 1_000, requires = "plants")]
    bound: u64,
}

/// Run simulated worlds until enough executions have ended, and hold the figures against their bounds.
#[derive(clap::Args)]
pub(crate) struct ProveOptions {
    /// Executions to simulate
    #[arg(long, default_value_t = 1_000_000)]
    executions: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads; each runs worlds of its own
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Print the figures as JSON and nothing else
    #[arg(long)]
    json: bool,
    #[arg(skip)]
    profile: Profile,
}

impl ProveOptions {
    /// As `cargo xtask test` runs it: few enough for a minute or so, with the assertions of a debug build.
    pub(crate) fn bounded() -> Self {
        Self { executions: BOUNDED, seed: 0, threads: 2, json: false, profile: Profile::Dev }
    }
}

/// Executions of the bounded form.
const BOUNDED: u64 = 3_000;

/// How the runner is compiled.
#[derive(Clone, Copy, Default)]
enum Profile {
    /// As tests are, so that nothing is compiled twice.
    Dev,
    /// For long runs.
    #[default]
    Release,
}

/// `cargo xtask sim`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(names) = &options.plants {
        return plants::run(names, options.bound, options.threads, options.json);
    }
    let profile = if options.seeds > 100 { Profile::Release } else { Profile::Dev };
    let runner = build(profile, &crate::workspace::root(), &target())?;
    let mut arguments = vec!["--seed".to_owned(), options.seed.to_string()];
    arguments.extend(["--seeds".to_owned(), options.seeds.to_string()]);
    arguments.extend(["--threads".to_owned(), options.threads.to_string()]);
    if options.seeds == 1 && !options.json {
        arguments.push("--trace".to_owned());
    }
    let figures = simulate(&runner, &arguments, options.json)?;
    show(&figures, options.json)?;
    ensure!(figures.complaints().is_empty(), "{}", figures.failure(&commit()));
    Ok(())
}

/// `cargo xtask prove sim`.
pub(crate) fn prove(options: &ProveOptions) -> Result<()> {
    let runner = build(options.profile, &crate::workspace::root(), &target())?;
    let arguments = [
        ("--seed", options.seed.to_string()),
        ("--executions", options.executions.to_string()),
        ("--threads", options.threads.to_string()),
    ];
    let arguments: Vec<String> = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    let figures = simulate(&runner, &arguments, options.json)?;
    show(&figures, options.json)?;
    ensure!(figures.complaints().is_empty(), "{}", figures.failure(&commit()));
    let broken = figures.broken_bounds();
    ensure!(broken.is_empty(), "the simulation says less than it should:\n  {}", broken.join("\n  "));
    Ok(())
}

fn show(figures: &Figures, json: bool) -> Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(&figures.0)?);
    } else {
        print!("{}", figures.table());
    }
    Ok(())
}

/// Builds the runner of a source tree.
fn build(profile: Profile, tree: &Path, target: &Path) -> Result<PathBuf> {
    let (flag, folder): (&[&str], _) = match profile {
        Profile::Dev => (&[], "debug"),
        Profile::Release => (&["--release"], "release"),
    };
    let mut cargo = cargo();
    cargo.current_dir(tree).env("CARGO_TARGET_DIR", target);
    cargo.args(["build", "--quiet", "--locked", "--package", "stepwright-sim", "--bin", RUNNER]).args(flag);
    check(&mut cargo)?;
    Ok(target.join(folder).join(RUNNER))
}

/// The runner's name.
const RUNNER: &str = "stepwright-sim";

/// Lets the runner run. It says line by line how far it is, and at the end all figures.
fn simulate(runner: &Path, arguments: &[String], quiet: bool) -> Result<Figures> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    let mut runner = command(runner);
    let mut child = runner.args(arguments).stdout(Stdio::piped()).spawn().context("cannot run the simulator")?;
    let lines = BufReader::new(child.stdout.take().context("the simulator has no output")?).lines();
    let live = std::io::stderr().is_terminal();
    let mut figures = None;
    for line in lines {
        let line = line?;
        let said: Value = serde_json::from_str(&line).with_context(|| format!("the simulator said {line:?}"))?;
        if let Some(text) = said["progress"].as_str() {
            match (quiet, live) {
                (true, _) => {}
                (false, true) => eprint!("\r\x1b[2K{text}"),
                (false, false) => eprintln!("{text}"),
            }
        } else {
            figures = Some(Figures(said));
        }
    }
    if live && !quiet {
        eprintln!();
    }
    let status = child.wait()?;
    match figures {
        Some(figures) => Ok(figures),
        None => bail!("the simulator ended with {status} before it had figures"),
    }
}

/// The commit that a seed belongs to, and whether the tree differs from it.
fn commit() -> String {
    let git = |arguments: &[&str]| output(command("git").args(arguments)).unwrap_or_default();
    let changed = if git(&["status", "--porcelain", "--", "crates"]).is_empty() { "" } else { " with local changes" };
    format!("{}{changed}", git(&["rev-parse", "--short", "HEAD"]))
}
