//! Tests against the service model itself: what the model says, the crate does.

mod behaviour;
mod dispatching;
mod model;
mod openapi;
mod reflection;
