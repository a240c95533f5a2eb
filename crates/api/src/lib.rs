//! The wire API of AWS Step Functions: the types of all operations, their constraints, errors, ARNs and names.
//!
//! The types in [`types`], the [`Operations`] trait and [`dispatch`] are generated from the public service model
//! (`crates/api/model`) by `cargo xtask codegen`. What is written by hand gives them their meaning: reading
//! ([`wire`]), constraints ([`rules`]), errors ([`error`]), ARNs ([`arn`]), names ([`name`]) and credential scopes
//! ([`credential`]).
//!
//! This crate knows no engine, no HTTP library, no clock and no file: bytes in, bytes out.

pub mod arn;
pub mod credential;
mod dispatch;
pub mod error;
mod generated;
pub mod name;
pub mod openapi;
pub mod pattern;
pub mod reflect;
pub mod rules;
#[cfg(test)]
mod tests;
mod timestamp;
pub mod wire;

pub use dispatch::{CONTENT_TYPE, RequestContext, Response, operation_of};
pub use error::{ApiError, ErrorCode};
pub use generated::operations::{Operation, Operations, dispatch};
pub use generated::reflection::{DEVIATIONS, OPERATIONS, SHAPES};
pub use timestamp::Timestamp;

/// The structures and enumerations of the model.
pub mod types {
    pub use crate::generated::enums::*;
    pub use crate::generated::history::*;
    pub use crate::generated::requests::*;
    pub use crate::generated::responses::*;
    pub use crate::generated::shared::*;
}
