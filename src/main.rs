//! Arguments in, exit code out; everything else is the library's.

use std::process::ExitCode;

// Many short-lived allocations on several threads: mimalloc saves about a tenth of a request's CPU (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sidegate::cli::run()
}
