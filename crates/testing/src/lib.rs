//! Tests of state machines: mocked answers, test cases that run on engines in memory whose clocks skip, what they
//! cover, and mocks recorded from real executions.
//!
//! Nothing here knows the API, HTTP or the command line; files are read and written by the caller.

pub mod compare;
pub mod coverage;
pub mod judge;
pub mod mocks;
pub mod record;
pub mod report;
pub mod run;
pub mod suite;
pub mod visits;
