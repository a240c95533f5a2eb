//! The connectors, one file (and folder, where it is long) each. A connector turns a task into a request and an
//! answer into an outcome; connections, credentials, signatures and repeats are shared and live outside.

pub mod lambda;
