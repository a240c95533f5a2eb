//! The `stepwright` command. Everything is in the library; this only hands on the process's surroundings.

use std::process::ExitCode;

fn main() -> ExitCode {
    stepwright_server::cli::main()
}
