//! `cargo xtask bench store`: the embedded store on each candidate index, with rows like those of real turns.
//!
//! The candidates that were not taken are compiled only with the feature `bench-store`, so the verb runs cargo once
//! more with it. `docs/adr/0001-store.md` holds the figures that decided.

#[cfg(feature = "bench-store")]
mod candidates;
#[cfg(feature = "bench-store")]
mod measure;
#[cfg(feature = "bench-store")]
mod workload;

/// Runs the measurement; `args` are those after `bench store`.
#[cfg(feature = "bench-store")]
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    measure::run(args)
}

/// Runs the measurement in a build that has the candidates; `args` are those after `bench store`.
#[cfg(not(feature = "bench-store"))]
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = std::process::Command::new(cargo)
        .args(["run", "--quiet", "--release", "--package", "xtask"])
        .args(["--features", "bench-store", "--", "bench", "store"])
        .args(args)
        .status()?;
    anyhow::ensure!(status.success(), "the measurement ended with {status}");
    Ok(())
}
