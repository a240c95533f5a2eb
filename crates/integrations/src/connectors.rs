//! The connectors, one file (and folder, where it is long) each. A connector turns a task into a request and an
//! answer into an outcome; connections, credentials, signatures and repeats are shared and live outside.

pub mod dynamodb;
pub mod events;
pub mod lambda;
mod optimized;
pub mod sdk;
pub mod sns;
pub mod sqs;
