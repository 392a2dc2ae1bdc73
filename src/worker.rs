//! One run in its own process: reads a job from stdin, trains, says how it goes on stdout. What it logs goes to stderr.

use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::baseline;
use crate::protocol::{Command, Device, Done, Job, Message, PROTOCOL};
use crate::train::{Fit, fit};

/// How often the screen is told of a step.
const PROGRESS: Duration = Duration::from_millis(200);

/// Runs the job that stdin brings. Whatever keeps it from its end is said on stdout before the exit code says it.
pub fn work() -> ExitCode {
    let mut voice = Voice { spoken: None };
    let over = Arc::new(AtomicBool::new(false));
    let result = read_job().and_then(|job| {
        watch_stdin(Arc::clone(&over));
        voice.say(&Message::Hello { protocol: PROTOCOL })?;
        run(&job, &mut voice)
    });
    let last = match result {
        Ok(done) => Message::Done(done.into()),
        Err(error) => Message::Failed { why: format!("{error:#}") },
    };
    let failed = matches!(last, Message::Failed { .. });
    over.store(true, Ordering::Relaxed);
    match voice.say(&last) {
        Ok(()) if !failed => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn read_job() -> Result<Job> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).context("cannot read the job")?;
    let job: Job = serde_json::from_str(&line).context("the first line is not a job")?;
    ensure!(job.task.protocol == PROTOCOL, "the job speaks protocol {}, this worker {PROTOCOL}", job.task.protocol);
    Ok(job)
}

/// Leaves at once when told to stop, or when nobody is left who could tell: checkpoints are whole at any moment. Once
/// the run is `over` the end of stdin is no news: whoever heard the last word closes it.
fn watch_stdin(over: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if let Ok(Command::Stop { why }) = serde_json::from_str(&line) {
                tracing::info!("stopped: {why}");
                break;
            }
        }
        if !over.load(Ordering::Relaxed) {
            std::process::exit(STOPPED);
        }
    });
}

/// The exit code of a worker that was told to stop, or was left alone.
const STOPPED: i32 = 130;

fn run(job: &Job, voice: &mut Voice) -> Result<Done> {
    let _alone = claim(Path::new(&job.task.directory))?;
    let mut report = |message: Message| voice.say(&message);
    let done = if job.task.run.trial.is_baseline() {
        baseline::fit(job, &mut report)?
    } else {
        let device = match job.task.device {
            Device::Cpu => candle_core::Device::Cpu,
            Device::Cuda => candle_core::Device::new_cuda(0).context("cannot use the card")?,
        };
        fit(Fit { job, device: &device, report: &mut report })?
    };
    Ok(Done { peak_memory_mb: peak_memory_mb(), ..done })
}

/// Waits for an earlier attempt that is still on its way out, so that two never write the same checkpoints.
fn claim(directory: &Path) -> Result<File> {
    let failed = || format!("cannot write to {}", directory.display());
    fs::create_dir_all(directory).with_context(failed)?;
    let file = File::create(directory.join("lock")).with_context(failed)?;
    file.lock().with_context(failed)?;
    Ok(file)
}

/// Of this process so far; 0 where the system does not tell.
fn peak_memory_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) / 1024
}

struct Voice {
    /// When progress was told last.
    spoken: Option<Instant>,
}

impl Voice {
    fn say(&mut self, message: &Message) -> io::Result<()> {
        if let Message::Progress(progress) = message {
            let early = self.spoken.is_some_and(|spoken| spoken.elapsed() < PROGRESS);
            if early && progress.step < progress.steps {
                return Ok(());
            }
            self.spoken = Some(Instant::now());
        }
        let mut line = serde_json::to_string(message)?;
        line.push('\n');
        let mut out = io::stdout().lock();
        out.write_all(line.as_bytes())?;
        out.flush()
    }
}
