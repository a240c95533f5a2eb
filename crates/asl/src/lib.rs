//! Amazon States Language: a definition's text becomes a typed [`Definition`] and a list of diagnostics.
//!
//! Parsing never fails: it yields what it understood and says what is wrong where. Nothing here evaluates a path,
//! knows an execution, or touches the world.

pub mod definition;
pub mod resource;
mod timestamp;

pub use definition::*;
pub use resource::{Integration, Pattern, Resource};
pub use timestamp::{parse_instant, parse_timestamp};
