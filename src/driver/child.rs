//! One run's process: its job goes in, its messages come out, everything else that it prints is its log.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

use super::slots::Slot;
use crate::protocol::{Command as Order, Job, Message, PROTOCOL};
use crate::sweep::{Exit, RunId};

/// How a run's process is started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) job: Job,
    pub(super) slot: Slot,
    pub(super) log: PathBuf,
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Said {
    Message(Message),
    /// The last that is heard of it.
    Ended(Exit),
}

/// A live process.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) pid: u32,
    stop: Option<oneshot::Sender<String>>,
}

/// How long a worker has between being told to stop and being killed.
const GRACE: Duration = Duration::from_secs(5);

impl Child {
    /// Starts the process. Everything that it says arrives at `heard`, in order, [`Said::Ended`] last.
    pub(super) fn start(launch: Launch, heard: mpsc::Sender<(RunId, Said)>) -> io::Result<Self> {
        let mut log = open_log(&launch.log)?;
        let mut command = Command::new(&launch.program);
        let threads = launch.job.threads.to_string();
        command
            .args(&launch.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            // both pools that candle computes with
            .env("RAYON_NUM_THREADS", &threads)
            .env("CANDLE_NUM_THREADS", &threads)
            // a step frees and takes the same memory again: giving it back in between costs a fifth of the time
            .env("MIMALLOC_PURGE_DELAY", "-1")
            // cards are numbered as NVML does
            .env("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
            .env("CUDA_VISIBLE_DEVICES", &launch.slot.visible)
            // Ctrl-C in the terminal is for the coordinator
            .process_group(0)
            .kill_on_drop(true);
        let mut process = command.spawn()?;
        let pid = process.id().unwrap_or(0);
        let (stop, stopped) = oneshot::channel();
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let run = launch.job.run;
        tokio::spawn(async move {
            let conversation = Conversation { process, stdout: BufReader::new(stdout), log: &mut log };
            let exit = conversation.hold(stdin, &launch.job, stopped, &heard).await;
            // nobody listens once the coordinator is on its way out
            let _ = heard.send((run, Said::Ended(exit))).await;
        });
        Ok(Self { pid, stop: Some(stop) })
    }

    /// Tells the process to stop, and kills it if it does not.
    pub(super) fn stop(&mut self, why: String) {
        if let Some(stop) = self.stop.take() {
            // it may have ended by itself
            let _ = stop.send(why);
        }
    }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

struct Conversation<'l> {
    process: Process,
    stdout: BufReader<ChildStdout>,
    log: &'l mut File,
}

/// What a process has said of its own end.
#[derive(Default)]
struct Verdict {
    done: Option<crate::protocol::Done>,
    failed: Option<String>,
    broken: Option<String>,
}

impl Conversation<'_> {
    async fn hold(
        mut self,
        mut stdin: ChildStdin,
        job: &Job,
        mut stopped: oneshot::Receiver<String>,
        heard: &mpsc::Sender<(RunId, Said)>,
    ) -> Exit {
        if let Err(error) = tell(&mut stdin, job).await {
            let _ = writeln!(self.log, "the job could not be sent: {error}");
        }
        let mut verdict = Verdict::default();
        let mut stdin = Some(stdin);
        let mut line = Vec::new();
        loop {
            tokio::select! {
                read = self.stdout.read_until(b'\n', &mut line) => {
                    match read {
                        Ok(0) | Err(_) => break,
                        Ok(_) => {
                            self.line(&line, job.run, &mut verdict, heard).await;
                            line.clear();
                        }
                    }
                }
                why = &mut stopped, if stdin.is_some() => {
                    if let (Some(mut stdin), Ok(why)) = (stdin.take(), why) {
                        // closing stdin says the same to one that does not read the message
                        let _ = tell(&mut stdin, &Order::Stop { why }).await;
                        drop(stdin);
                        let Ok(status) = tokio::time::timeout(GRACE, self.process.wait()).await else {
                            self.kill();
                            break;
                        };
                        drop(status);
                    }
                }
            }
        }
        // its output has ended; a process that only closed it gets no longer than one told to stop
        drop(stdin);
        let status = if let Ok(status) = tokio::time::timeout(GRACE, self.process.wait()).await {
            status
        } else {
            self.kill();
            self.process.wait().await
        };
        verdict.exit(status)
    }

    /// The process and all that it started.
    fn kill(&mut self) {
        let pid = self.process.id().and_then(|pid| rustix::process::Pid::from_raw(pid as i32));
        if let Some(pid) = pid {
            // it may be gone already
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }

    async fn line(&mut self, line: &[u8], run: RunId, verdict: &mut Verdict, heard: &mpsc::Sender<(RunId, Said)>) {
        let message = if line.starts_with(b"{") { serde_json::from_slice(line).ok() } else { None };
        match message {
            Some(Message::Hello { protocol }) if protocol != PROTOCOL => {
                verdict.broken = Some(format!("it speaks protocol {protocol}, not {PROTOCOL}"));
            }
            Some(Message::Hello { .. }) => {}
            Some(Message::Done(done)) => verdict.done = Some(done),
            Some(Message::Failed { why }) => verdict.failed = Some(why),
            Some(message) => {
                // nobody listens once the coordinator is on its way out
                let _ = heard.send((run, Said::Message(message))).await;
            }
            None => {
                // a log that cannot be written is no reason to lose the run
                let _ = self.log.write_all(line);
            }
        }
    }
}

impl Verdict {
    /// Success is the `done` message and exit code 0, never the exit code alone.
    fn exit(self, status: io::Result<ExitStatus>) -> Exit {
        let how = match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(0), _) => None,
                (Some(code), _) => Some(format!("exit code {code}")),
                (None, Some(9)) => Some("killed by signal 9 (perhaps out of memory)".to_owned()),
                (None, signal) => Some(format!("killed by signal {}", signal.unwrap_or(0))),
            },
            Err(error) => Some(format!("lost: {error}")),
        };
        match (self.broken, self.failed, self.done, how) {
            (Some(why), ..) | (None, Some(why), ..) => Exit::Failed { why },
            (None, None, Some(done), None) => Exit::Done(done),
            (None, None, Some(_), Some(how)) => Exit::Crashed { why: format!("it was done, then: {how}") },
            (None, None, None, Some(why)) => Exit::Crashed { why },
            (None, None, None, None) => Exit::Crashed { why: "it ended without a result".to_owned() },
        }
    }
}

async fn tell(stdin: &mut ChildStdin, message: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    stdin.write_all(&line).await?;
    stdin.flush().await
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
