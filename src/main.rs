//! The `sweep` program; see `sweep --help`.

use std::process::ExitCode;

/// glibc gives every large block back to the kernel; training would spend a third of its time on page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sweep::cli::main()
}
