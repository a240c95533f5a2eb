//! The connectors against an endpoint that answers what a script says.

mod lambda;
mod services;
mod stub;
