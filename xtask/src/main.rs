//! Developer commands: `cargo xtask VERB`.
//!
//! Each verb lives in a file of its own; this one only names them. Nothing here is part of the product, and nothing
//! in the product may depend on it.

mod bench;
mod bench_store;
mod client;
mod codegen;
mod conformance;
mod demo;
mod fuzz;
mod process;
mod progress;
mod prove;
mod python;
mod served_by;
mod sim;
mod testing;
mod tidy;
mod workspace;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Everything a developer does with Stepwright besides writing it.
///
/// Two verbs are enough to begin with: `cargo xtask demo` shows a real workflow running on a real server, and
/// `cargo xtask test` checks everything this repository promises.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the order-fulfilment example: server, workers, one order, its progress and its history
    Demo(demo::Options),
    /// Check everything: format, lints, tidy rules, unit tests, real SDKs, kill -9, conformance
    Test(testing::Options),
    /// Compare the server with answers recorded from AWS, and guard the score
    Conformance(conformance::Options),
    /// Write the table of operations and clients in docs/compatibility.md from what the tests have called
    ServedBy(served_by::Options),
    /// Generate crates/api from the service model; --check only compares, --from DIR imports the model again,
    /// --services makes the pack of service models of crates/integrations instead
    Codegen {
        /// Read by the verb itself
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--check | --from DIR | --services")]
        arguments: Vec<String>,
    },
    /// Measure speed, memory and disk against what is promised; or parts of Stepwright by themselves
    Bench(Bench),
    /// Feed what reads bytes with bytes that nobody wrote, and check what must hold
    Fuzz(fuzz::Options),
    /// Check the rules of the source tree that no compiler checks
    Tidy,
    /// Kill the server with SIGKILL in the middle of the example, again and again
    Kill(testing::KillOptions),
    /// Run the deterministic simulation by seed, or plant bugs that it must find
    Sim(sim::Options),
    /// Measure a promise and fail if it is not kept
    #[command(subcommand)]
    Prove(prove::Promise),
}

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
struct Bench {
    #[command(subcommand)]
    part: Option<Part>,
    #[command(flatten)]
    options: bench::Options,
}

#[derive(Subcommand)]
enum Part {
    /// The embedded store on each candidate index, with rows like those of real turns
    Store {
        /// Read by the verb itself: --dir DIR, --scale PERCENT
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "--dir DIR | --scale PERCENT")]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Demo(options) => demo::run(&options),
        Verb::Test(options) => testing::run(&options),
        Verb::Conformance(options) => conformance::run(&options),
        Verb::ServedBy(options) => served_by::run(&options),
        Verb::Codegen { .. } => codegen::run(),
        Verb::Bench(Bench { part: Some(Part::Store { arguments }), .. }) => bench_store::run(&arguments),
        Verb::Bench(Bench { part: None, options }) => bench::run(&options),
        Verb::Fuzz(options) => fuzz::run(&options),
        Verb::Tidy => tidy::run(),
        Verb::Kill(options) => testing::kill(&options),
        Verb::Sim(options) => sim::run(&options),
        Verb::Prove(promise) => prove::run(&promise),
    }
}
