//! Deterministic simulation: the production engine on the production log, under a simulated clock and disk, with
//! scripted tasks and random faults. One seed is one world; the same seed is the same run. Nothing here may look at
//! the machine's clock, randomness, files or sockets.

pub mod generate;
pub mod workload;
