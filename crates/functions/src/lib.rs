//! Lambda functions as processes of this machine.
//!
//! | module | what it is for |
//! |---|---|
//! | [`definition`] | what a function is, read from the configuration |
//! | [`host`] | all functions of a server: found by name, run, ended |
//! | `pool` | the processes of one function |
//! | `process`, `guard` | one process, and who ends it if the server can't |
//! | `exchange`, `runtime_api` | how a process gets its events and answers them |
//! | `capture`, `log` | what a process writes |
//! | `url` | functions behind a URL |
//! | [`invocation`], [`invoke_api`] | an invocation and its errors, and how Lambda's API shows them |
//!
//! # Invariants
//!
//! An event is given to one process, once: only one that no process has taken is given to another. What a function
//! prints never becomes its answer. When the server ends, however it ends, so do the functions.

pub mod definition;
pub mod guard;
pub mod host;
pub mod invocation;
pub mod invoke_api;

mod capture;
mod exchange;
mod log;
mod pool;
mod process;
mod runtime_api;
mod url;

pub use definition::{Definition, Definitions, Invalid, read};
pub use host::{Functions, Options};
pub use log::{LogLine, Stream};
pub use pool::Busy;
