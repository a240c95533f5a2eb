//! Deterministic simulation: the production engine on the production log, under a simulated clock and disk, with
//! scripted tasks and random faults. One seed is one world; the same seed is the same run. Nothing here may look at
//! the machine's clock, randomness, files or sockets.

mod check;
mod client;
mod dataset;
mod disk;
mod fault;
pub mod generate;
mod index;
mod ledger;
mod model;
mod process;
mod report;
mod rows;
mod script;
mod witness;
mod work;
pub mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use check::Complaint;
pub use report::{Counts, Failure, Options, Report, Tally};
use workload::{Dice, Workload};
use world::World;

/// Runs the world of a seed, with a workload from the generator.
///
/// # Errors
/// The first complaint of a checker, with what led to it.
pub fn run_seed(seed: u64, options: &Options) -> Result<Report, Box<Failure>> {
    run_workload(seed, options, generate::workload(&mut Dice::new(seed)))
}

/// Runs the world of a seed with a workload of one's own.
///
/// # Errors
/// As [`run_seed`].
pub fn run_workload(seed: u64, options: &Options, workload: Workload) -> Result<Report, Box<Failure>> {
    let mut world = World::new(seed, *options, workload);
    let run = catch_unwind(AssertUnwindSafe(|| world.run()));
    let complaint = match run {
        Ok(Ok(report)) => return Ok(report),
        Ok(Err(complaint)) => complaint,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Complaint::new("panic", "nothing panics", text)
        }
    };
    let trace = world.take_trace();
    let failure = Failure { seed: world.seed(), complaint, trace };
    // What a panic left behind is not to be dropped in an orderly way.
    std::mem::forget(world);
    Err(Box::new(failure))
}
