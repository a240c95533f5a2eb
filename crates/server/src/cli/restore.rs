//! `stepwright restore`: a data directory out of a backup.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    Failure,
    backup::{failed, shown},
    eprint, print,
};

pub(super) const HELP: &str = "\
All of the backup is read and verified before anything is written. A restore that is interrupted leaves a directory \
that no server opens; remove it and begin again.

A server on the restored directory goes on where the backup was taken: timers that became due since fire at once, task \
tokens from before are still good, and what happened after the backup did not happen. Don't let two servers go on from \
the same executions: they would both run their tasks.

Examples:
  stepwright restore --from stepwright.backup --data-directory /var/lib/stepwright
  stepwright check --data-directory /var/lib/stepwright
  stepwright serve --data-directory /var/lib/stepwright";

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The data directory to make; it must be empty or missing
    #[arg(long, value_name = "DIR")]
    data_directory: PathBuf,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn restore(args: &RestoreArgs) -> Result<(), Failure> {
    let mut said = Instant::now();
    let mut progress = |done: u64, all: u64| {
        if said.elapsed() >= Duration::from_secs(1) {
            said = Instant::now();
            eprint(&format!("{done} of {all} rows\n"));
        }
    };
    let (head, totals) =
        stepwright_store::backup::restore(&args.from, &args.data_directory, &mut progress).map_err(failed)?;
    print(&shown(&args.data_directory, head, totals, args.json));
    Ok(())
}
