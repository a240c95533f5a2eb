//! The `stepwright` binary: configuration, command line, HTTP, and the mapping between the API and the engine.
//!
//! # Code map
//!
//! | module | what it is for |
//! |---|---|
//! | [`config`] | flags, environment and file become [`config::Settings`]; one table of settings |
//! | [`cli`] | the verbs: `serve`, `run`, `validate`, `quarantine`, `version` |
//! | [`service`] | settings, store and engine, opened and kept open |
//! | [`http`] | connections, paths, `POST /` |
//! | `operations` | one file per family of resources: API types to engine types and back |
//! | `calls` | what the settings say of calls that tasks make |
//! | `errors` | engine errors as AWS errors, with AWS's texts |
//! | `self_calls` | `aws-sdk:sfn:*` tasks: calls of a state machine to this server |
//! | `functions` | functions that run here, for the tasks that call them |
//! | [`history_wire`] | history events as AWS spells them |
//! | [`sinks`] | logs of executions and status events, told outside |
//! | [`delivery`] | replies that must not count as sent before they are written |
//! | [`definitions`] | definitions checked on their way in |
//!
//! A library too, so that tests can start the server in their own process. Nothing else depends on it.
//!
//! # Invariants
//!
//! Only this crate knows both the API and the engine. It keeps no state of executions. It serves loopback addresses
//! alone as long as there is no authentication.

mod attached;
mod calls;
pub mod cli;
pub mod config;
pub mod definitions;
pub mod delivery;
mod errors;
pub mod excerpt;
mod functions;
pub mod history_wire;
mod host_prefix;
pub mod http;
mod ids;
mod json_text;
pub mod logging;
mod nested;
mod operations;
mod self_calls;
pub mod service;
pub mod sinks;
mod throttle;
