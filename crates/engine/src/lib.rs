//! Drives executions: turns the world's happenings into inputs, lets [`stepwright_machine::step`] take them, commits
//! what it says, and only then acts and answers.
//!
//! Only the engine changes an execution. It knows no HTTP and no AWS texts; a connector never sees its store.

pub mod clock;
pub mod connector;
mod delivery;
mod error;
mod facade;
pub mod model;
mod options;

pub use connector::{BoxFuture, Connector, ConnectorFailure, ConnectorLimits, TaskCall, TaskOutcome};
pub use delivery::Delivery;
pub use error::{Error, Result};
pub use facade::Engine;
pub use model::*;
pub use options::{Compile, EngineOptions, OnLost, RETENTION_MS, StepFunction};
