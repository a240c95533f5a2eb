//! The connectors, and the datasets of distributed Maps, against an endpoint that answers what a script says.

mod bucket;
mod datasets;
mod dynamodb;
mod events;
mod harness;
mod hostile;
mod lambda;
mod services;
mod sns;
mod sqs;
mod stub;
