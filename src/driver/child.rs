//! One run's process: its job goes in, its messages come out, everything else that it prints is its log.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child as Process, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::lines::{Lines, Output};
use super::verdict::{Goal, Verdict};
use crate::protocol::{Command as Order, Message, PROTOCOL};
use crate::sweep::{Exit, RunId};

/// How a run's process is started.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    pub(super) run: RunId,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(String, String)>,
    pub(super) working_directory: Option<PathBuf>,
    /// The line that it reads.
    pub(super) job: String,
    pub(super) goal: Goal,
    pub(super) patience: Patience,
    pub(super) log: PathBuf,
}

/// How long a process is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Patience {
    /// To its last word; none: for ever.
    pub(super) run: Option<Duration>,
    /// From when it is told to stop until it is killed; half of it before it is sent a SIGTERM.
    pub(super) grace: Duration,
    /// From its last word until it is told to leave.
    pub(super) leave: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { run: None, grace: Duration::from_secs(5), leave: Duration::from_mins(1) }
    }
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

impl Child {
    /// Starts the process. Everything that it says arrives at `heard`, in order, [`Said::Ended`] last.
    pub(super) fn start(launch: Launch, heard: mpsc::Sender<(RunId, Said)>) -> io::Result<Self> {
        let log = open_log(&launch.log)?;
        let mut command = Command::new(&launch.program);
        command
            .args(&launch.arguments)
            .envs(launch.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            // Ctrl-C in the terminal is for the coordinator
            .process_group(0)
            .kill_on_drop(true);
        if let Some(directory) = &launch.working_directory {
            command.current_dir(directory);
        }
        let mut process = command.spawn()?;
        let pid = process.id().unwrap_or(0);
        let (stop, stopped) = oneshot::channel();
        let (Some(stdin), Some(stdout)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::Error::other("the process has no pipes"));
        };
        let (orders, dictation) = mpsc::unbounded_channel();
        tokio::spawn(dictate(stdin, launch.job, dictation));
        let conversation = Conversation {
            process,
            group: Pid::from_raw(pid as i32),
            lines: Some(Lines::new(stdout)),
            orders: Some(orders),
            log,
            run: launch.run,
            verdict: Verdict::new(launch.goal),
            patience: launch.patience,
            due: launch.patience.run.map_or(Due::Nothing, |limit| Due::Late(Instant::now() + limit)),
            reason: None,
            heard: heard.clone(),
        };
        tokio::spawn(async move {
            let exit = conversation.hold(stopped).await;
            // nobody listens once the coordinator is on its way out
            let _ = heard.send((launch.run, Said::Ended(exit))).await;
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

/// Writes the job and what follows it to a process, which need not read any of it; then closes its stdin.
async fn dictate(mut stdin: ChildStdin, job: String, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut line = Some(job);
    while let Some(mut text) = line {
        text.push('\n');
        if stdin.write_all(text.as_bytes()).await.is_err() {
            // it has closed its end, or ended: that is seen elsewhere
            return;
        }
        line = orders.recv().await.and_then(|order| serde_json::to_string(&order).ok());
    }
}

struct Conversation {
    process: Process,
    group: Option<Pid>,
    /// None once its output has ended.
    lines: Option<Lines<ChildStdout>>,
    /// None once its stdin is closed, or will be when what was told before is written.
    orders: Option<mpsc::UnboundedSender<Order>>,
    log: File,
    run: RunId,
    verdict: Verdict,
    patience: Patience,
    due: Due,
    /// Why it is to end, if it is not the coordinator that wants it.
    reason: Option<&'static str>,
    heard: mpsc::Sender<(RunId, Said)>,
}

/// What is done to a process that does not end before.
#[derive(Clone, Copy)]
enum Due {
    Nothing,
    Late(Instant),
    Leave(Instant),
    Terminate(Instant),
    Kill(Instant),
    Killed,
}

impl Due {
    fn is_end(self) -> bool {
        matches!(self, Self::Terminate(_) | Self::Kill(_) | Self::Killed)
    }

    async fn come(self) {
        match self {
            Self::Nothing | Self::Killed => std::future::pending().await,
            Self::Late(at) | Self::Leave(at) | Self::Terminate(at) | Self::Kill(at) => sleep_until(at).await,
        }
    }
}

/// How long nothing must come from a process that has ended before its output is taken for ended too, and how much can
/// still come: what fits into a pipe. Another process may hold it open.
const SILENCE: Duration = Duration::from_secs(1);
const PIPE: usize = 1 << 20;

impl Conversation {
    async fn hold(mut self, stopped: oneshot::Receiver<String>) -> Exit {
        let mut stopped = Some(stopped);
        let status = loop {
            tokio::select! {
                output = next(&mut self.lines) => match output {
                    Some(output) => self.hear(output).await,
                    None => self.end_of_output(),
                },
                status = self.process.wait() => break status,
                why = stop(&mut stopped) => {
                    stopped = None;
                    self.stop(why.unwrap_or_else(|| "the coordinator leaves".to_owned()));
                }
                () = self.due.come() => self.lose_patience(),
            }
        };
        self.part(status).await
    }

    /// What remains once the process has ended: what it had said before, and what it had started.
    async fn part(mut self, status: io::Result<ExitStatus>) -> Exit {
        self.signal(Signal::KILL);
        let mut left = PIPE;
        while left > 0
            && self.lines.is_some()
            && let Ok(Some(output)) = timeout(SILENCE, next(&mut self.lines)).await
        {
            let (Output::Line(piece) | Output::Log(piece)) = &output;
            left = left.saturating_sub(piece.len());
            self.hear(output).await;
        }
        self.verdict.exit(status)
    }

    async fn hear(&mut self, output: Output) {
        let (line, message) = match output {
            Output::Line(line) if !self.verdict.is_said() => {
                let message = Message::read(&line);
                (line, message)
            }
            Output::Line(line) | Output::Log(line) => (line, None),
        };
        match message {
            Some(Message::Hello { protocol }) if protocol != PROTOCOL => {
                let why = format!("it speaks protocol {protocol}, not {PROTOCOL}");
                self.verdict.broken = Some(why.clone());
                self.stop(why);
            }
            Some(Message::Hello { .. }) => {}
            Some(Message::Done(done)) => {
                self.verdict.done = Some(done);
                self.see_off();
            }
            Some(Message::Failed { why }) => {
                self.verdict.failed = Some(why);
                self.see_off();
            }
            Some(message) => {
                if let Message::Metric(measurement) = &message {
                    self.verdict.measured(measurement);
                }
                // nobody listens once the coordinator is on its way out
                let _ = self.heard.send((self.run, Said::Message(message))).await;
            }
            None => {
                // a log that cannot be written is no reason to lose the run
                let _ = self.log.write_all(&line);
            }
        }
    }

    /// It has said its last word: now it is to leave.
    fn see_off(&mut self) {
        self.orders = None;
        if !self.due.is_end() {
            self.due = Due::Leave(Instant::now() + self.patience.leave);
        }
    }

    /// A process that has closed its output can say nothing any more.
    fn end_of_output(&mut self) {
        self.lines = None;
        if !self.verdict.is_said() {
            self.end("it closed its output and did not leave");
        }
    }

    fn lose_patience(&mut self) {
        let half = self.patience.grace / 2;
        match self.due {
            Due::Nothing | Due::Killed => {}
            Due::Late(_) => {
                self.verdict.late = self.patience.run;
                self.end("it took too long");
            }
            Due::Leave(_) => self.end("it did not leave"),
            Due::Terminate(at) => {
                self.verdict.ended = self.reason.map(str::to_owned);
                self.signal(Signal::TERM);
                self.due = Due::Kill(at + half);
            }
            Due::Kill(_) => {
                self.signal(Signal::KILL);
                self.due = Due::Killed;
            }
        }
    }

    fn end(&mut self, why: &'static str) {
        if !self.due.is_end() {
            self.reason = Some(why);
            self.stop(why.to_owned());
        }
    }

    /// Tells the process to stop; closing its stdin says the same to one that does not read the message.
    fn stop(&mut self, why: String) {
        if let Some(orders) = self.orders.take() {
            // it may have ended by itself
            let _ = orders.send(Order::Stop { why });
        }
        if !self.due.is_end() {
            self.due = Due::Terminate(Instant::now() + self.patience.grace / 2);
        }
    }

    /// To the process and all that it started.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // they may be gone already
            let _ = kill_process_group(group, signal);
        }
    }
}

/// The next piece of output, or its end; for ever nothing after that.
async fn next(lines: &mut Option<Lines<ChildStdout>>) -> Option<Output> {
    match lines {
        // what cannot be read any more has ended
        Some(lines) => lines.next().await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// Why the coordinator wants an end, once it does; none if it is gone itself.
async fn stop(stopped: &mut Option<oneshot::Receiver<String>>) -> Option<String> {
    match stopped {
        Some(stopped) => stopped.await.ok(),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
