//! JSONata, the language of Step Functions' `{% %}`: compiled once, evaluated
//! many times.
//!
//! The behaviour is the reference's (2.2), or 2.0.6 where that is asked for.
//! Evaluation is pure, bounded in steps, depth and memory, and never panics.
//! Nothing here may read a clock, draw a random number or touch the world:
//! time and seed come with the [`Environment`].

mod apply;
mod context;
mod error;
mod function;
mod functions;
mod number;
mod regex;
mod signature;
mod sort;
mod value;

pub use context::{Context, Environment, Limits};
pub use error::{Error, Limit};
pub use function::{Builtin, Function, Native};
pub use value::{Array, Kind, MAX_DEPTH, Object, Text, Value, compare_text};
