//! The `stepwright` command. Everything is in the library; this only hands on the process's surroundings.

use std::process::ExitCode;

/// The allocator. A request makes about a hundred small allocations, many of which another thread frees; the system's
/// allocator spends a fifth of the processor's time on them (docs/adr/0005-speed.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    stepwright_server::cli::main()
}
