//! What a client, a shell and an operator see of the server. One binary, so that it is linked once.

mod bad_input;
mod binary;
mod cli;
mod clock;
mod configuration;
mod eval;
mod express;
mod hostile;
mod lint;
mod map_runs;
mod migrate;
mod nested;
mod openapi;
mod operations;
mod redrive;
mod support;
mod test_state;
mod testing;
mod validate;
mod versions;
