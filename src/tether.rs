//! A program that does not outlive the coordinator that started it.
//!
//! A process can ask the kernel to be told when its parent dies. A program of the user's does not ask, and may not notice
//! that its stdin has ended; so this program asks, and then becomes that one.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::protocol::Message;

/// Becomes the program; returns only if that cannot be, which it says as a run does.
pub fn become_program(command: &[OsString]) -> ExitCode {
    let Some((program, arguments)) = command.split_first() else {
        return ExitCode::FAILURE;
    };
    #[cfg(target_os = "linux")]
    {
        let signal = Some(rustix::process::Signal::TERM);
        if let Err(error) = rustix::process::set_parent_process_death_signal(signal) {
            tracing::warn!(%error, "it will not be told of the coordinator's death");
        }
    }
    let error = Command::new(program).args(arguments).exec();
    let why = format!("cannot start {}: {error}", program.display());
    // its exit code says it too
    let _ = say(&Message::Failed { why });
    ExitCode::FAILURE
}

fn say(message: &Message) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, message)?;
    out.write_all(b"\n")
}
