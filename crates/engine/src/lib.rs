//! Drives executions: turns the world's happenings into inputs, lets [`stepwright_machine::step`] take them, commits
//! what it says, and only then acts and answers.
//!
//! Only the engine changes an execution. It knows no HTTP and no AWS texts; a connector never sees its store.

mod activities;
mod arn;
mod backup;
mod catalog;
pub mod check;
pub mod clock;
mod committer;
pub mod connector;
pub mod datasets;
mod delivery;
mod dispatch;
mod drive;
mod error;
mod event_sink;
mod events;
mod express;
mod facade;
mod fair;
mod jobs;
mod lane;
mod limits;
mod lists;
mod load;
mod log_level;
mod machines;
mod mailbox;
mod maintenance;
mod map_runs;
mod message;
pub mod model;
mod notices;
mod options;
mod outside;
mod pace;
mod page;
mod quarantine;
mod quiet;
mod quotas;
mod reads;
mod recent_turns;
mod recovery;
mod redrive;
mod rows;
mod running;
mod secrets;
mod shard;
mod shared;
mod skip;
mod starts;
mod stepped;
mod timers;
mod told;
mod turn;
mod versions;
mod virtual_clock;

pub use connector::{BoxFuture, Connector, ConnectorFailure, ConnectorLimits, Mocks, TaskCall, TaskOutcome};
pub use delivery::Delivery;
pub use error::{Error, NotRedrivable, Result};
pub use event_sink::{EventSink, ExpressEvents};
pub use facade::Engine;
pub use fair::ServiceStats;
pub use limits::{Limit, MACHINE, TaskLimits};
pub use log_level::LogLevel;
pub use model::*;
pub use notices::{Channel, Notice, NoticeOptions};
pub use options::{Compile, EngineOptions, ExpressOptions, OPEN_MS, OnLost, RETENTION_MS, Step, StepFunction};
pub use quotas::Quotas;
#[doc(hidden)]
pub use stepped::{FiredTimer, Stepper, token_key};
pub use told::{Settled, Told, ToldTurn};
pub use virtual_clock::{ClockMode, VirtualClock};
