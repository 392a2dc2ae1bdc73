//! The command line: the only place that prints.

mod ask_tell;
mod baseline;
mod best;
mod check;
mod correction;
mod dash;
mod doctor;
mod download;
mod earlier;
mod echo;
mod holdout;
mod importance;
mod print;
mod progress;
mod read;
mod ready;
mod render;
mod run;
mod sql;
mod steer;
mod texts;
mod thresholds;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use print::errln;

use crate::failure::{Code, Failure};
use crate::settings::Settings;
use crate::spec::{Problems, Spec, stem};
use crate::store::{Reader, StoreError};
use crate::sweep::Order;

/// Hyperparameter sweeps of a hierarchical BERT long-text classifier.
///
/// A sweep file says which documents, which model and which hyperparameters to vary. `sweep run` trains every point
/// with k-fold cross-validation on the devices that it finds, and records everything in SQLite.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// The database [default: experiments.db]
    #[arg(long, global = true, value_name = "PATH")]
    db: Option<PathBuf>,
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// What is logged to stderr: error, warn, info, debug, or a filter such as sweep=debug
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// Comma-separated values (`sweep sql` only)
    Csv,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a sweep file from its beginning to its leaderboard
    Run(run::RunArgs),
    /// Continue a sweep that was stopped, killed or lost [default: the newest unfinished one]
    Resume(run::ResumeArgs),
    /// Let the runs of a live sweep end, and start no more
    Stop(steer::LiveArgs),
    /// Start no run of a live sweep until `sweep unpause`; those that run go on
    Pause(steer::LiveArgs),
    /// Go on with a paused sweep
    Unpause(steer::LiveArgs),
    /// End the runs of a live sweep now, or one of its trials for good
    Kill(steer::KillArgs),
    /// Try trials of a live sweep again, or start one of its runs again
    Retry(steer::RetryArgs),
    /// Ask a live sweep to try a point next
    Enqueue(steer::EnqueueArgs),
    /// Change how many runs of a live sweep go on at once
    Slots(steer::SlotsArgs),
    /// Let a trial count in nothing: not in what is learned, nor as the best
    Exclude(steer::TrialArgs),
    /// Let an excluded trial count again
    Include(steer::TrialArgs),
    /// Say something of a trial, for those who read it later
    Note(steer::NoteArgs),
    /// Put a tag on a trial, or take it away
    Tag(steer::TagArgs),
    /// Validate a sweep file, print what it comes to, and run nothing
    Check(check::CheckArgs),
    /// Draw points for a training loop of your own: JSON lines on stdin and stdout
    AskTell(ask_tell::AskTellArgs),
    /// Watch sweeps, live and old, and steer them: trials, curves, comparisons, what the search knows, the machine
    Dash(dash::DashArgs),
    /// List the sweeps of the database
    Ls,
    /// Show a sweep, or one of its trials
    Show(read::ShowArgs),
    /// Say which trial is best, how sure that is, and which score to report
    Best(best::BestArgs),
    /// Print the log of a run
    Logs(read::LogsArgs),
    /// Tune the thresholds from which on labels are given, on a trial's out-of-fold predictions
    Thresholds(thresholds::ThresholdsArgs),
    /// Ask the database in SQL, read-only; without a query, list its views and columns
    Sql(sql::SqlArgs),
    /// Tell what this machine has, and what is missing
    Doctor,
    /// Train one run (started by `sweep run`)
    #[command(hide = true)]
    Worker,
    /// Become a program that ends with whoever started it (started by `sweep run`)
    #[command(hide = true)]
    Tether {
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

/// A sweep file and changes to it.
#[derive(Debug, Args)]
struct SpecArgs {
    /// The sweep file
    spec: PathBuf,
    /// Change a key of the sweep file for this run, such as train.epochs=2 (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// A sweep file that was read.
struct Loaded {
    spec: Spec,
    text: String,
    /// What the paths in it are relative to.
    project: PathBuf,
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    if matches!(cli.command, Command::Worker) {
        if let Ok(filter) = log_filter("info") {
            log_to_stderr(filter);
        }
        return crate::worker::work();
    }
    if let Command::Tether { command } = &cli.command {
        return crate::tether::become_program(command);
    }
    let result = settings(&cli.common).and_then(|settings| {
        let filter = log_filter(&settings.log)?;
        let is_drawn = match &cli.command {
            Command::Dash(_) => true,
            Command::Run(args) => args.watch,
            Command::Resume(args) => args.watch,
            _ => false,
        };
        if is_drawn {
            dash::log_to_file(filter);
        } else {
            log_to_stderr(filter);
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(Code::Broken, format!("cannot start: {error}")))?;
        runtime.block_on(dispatch(cli.command, &settings, cli.common.format))
    });
    match result {
        Ok(code) => ExitCode::from(code as u8),
        Err(failure) => {
            errln!("{failure}");
            ExitCode::from(failure.code as u8)
        }
    }
}

async fn dispatch(command: Command, settings: &Settings, format: Format) -> Result<Code, Failure> {
    if format == Format::Csv && !matches!(command, Command::Sql(_)) {
        return Err(Failure::new(Code::Usage, "--format csv is for `sweep sql`; here: table or json"));
    }
    match command {
        Command::Run(args) => run::run(args, settings, format).await,
        Command::Resume(args) => run::resume(args, settings, format).await,
        Command::Stop(args) => steer::plain(Order::Stop, args, settings, format).await,
        Command::Pause(args) => steer::plain(Order::Pause, args, settings, format).await,
        Command::Unpause(args) => steer::plain(Order::Unpause, args, settings, format).await,
        Command::Kill(args) => steer::kill(args, settings, format).await,
        Command::Retry(args) => steer::retry(args, settings, format).await,
        Command::Enqueue(args) => steer::enqueue(args, settings, format).await,
        Command::Slots(args) => steer::slots(args, settings, format).await,
        Command::Exclude(args) => steer::exclude(args, settings, format).await,
        Command::Include(args) => steer::include(args, settings, format).await,
        Command::Note(args) => steer::note(args, settings, format).await,
        Command::Tag(args) => steer::tag(args, settings, format).await,
        Command::Check(args) => check::check(args, settings, format).await,
        Command::AskTell(args) => ask_tell::ask_tell(&args, settings).await,
        Command::Dash(args) => dash::dash(args, settings).await,
        Command::Ls => read::ls(settings, format).await,
        Command::Show(args) => read::show(args, settings, format).await,
        Command::Best(args) => best::best(args, settings, format).await,
        Command::Logs(args) => read::logs(args, settings, format).await,
        Command::Thresholds(args) => thresholds::thresholds(args, settings, format).await,
        Command::Sql(args) => sql::sql(args, settings, format).await,
        Command::Doctor => doctor::doctor(settings, format).await,
        Command::Worker | Command::Tether { .. } => Ok(Code::Good),
    }
}

fn settings(common: &Common) -> Result<Settings, Failure> {
    let mut settings = Settings::read().map_err(|error| Failure::new(Code::Usage, format!("settings: {error}")))?;
    if let Some(db) = &common.db {
        settings.db.clone_from(db);
    }
    if let Some(log) = &common.log {
        settings.log.clone_from(log);
    }
    Ok(settings)
}

fn log_filter(filter: &str) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(filter).map_err(|error| {
        let what = format!("{filter:?} is no filter of logs: {error}");
        Failure::new(Code::Usage, what).hint("such as warn, info or sweep=debug")
    })
}

fn log_to_stderr(filter: EnvFilter) {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}

impl SpecArgs {
    fn load(&self) -> Result<Loaded, Failure> {
        let text = self.text()?;
        let spec = Spec::of_file(&self.spec, &text, &self.set).map_err(|problems| self.cannot_use(&problems))?;
        Ok(Loaded { spec, text, project: project_of(&self.spec)? })
    }

    fn text(&self) -> Result<String, Failure> {
        let path = self.spec.display().to_string();
        let bytes = std::fs::read(&self.spec)
            .map_err(|error| Failure::new(Code::BadInput, format!("cannot read {path}: {error}")))?;
        String::from_utf8(bytes).map_err(|error| {
            let line = String::from_utf8_lossy(&error.as_bytes()[..error.utf8_error().valid_up_to()]).lines().count();
            Failure::new(Code::BadInput, format!("{path} is not valid UTF-8  (line {})", line.max(1)))
        })
    }

    fn stem(&self) -> String {
        stem(&self.spec)
    }

    fn cannot_use(&self, problems: &Problems) -> Failure {
        Failure::spec(&self.spec.display().to_string(), problems).hint("docs/sweep-file.md lists all keys")
    }
}

/// The directory of a sweep file, or the one around it if that is called `sweeps`.
fn project_of(path: &Path) -> Result<PathBuf, Failure> {
    let absolute = std::fs::canonicalize(path)
        .map_err(|error| Failure::new(Code::BadInput, format!("cannot read {}: {error}", path.display())))?;
    let directory = absolute.parent().unwrap_or(Path::new("/"));
    let outer = directory.parent().filter(|_| directory.file_name().is_some_and(|name| name == "sweeps"));
    Ok(outer.unwrap_or(directory).to_owned())
}

/// Whether a database can be written at a path, before anything is made: an existing one must be one of ours, a new one
/// needs a directory that takes files.
async fn preflight(database: &Path) -> Result<(), Failure> {
    if database.exists() {
        return match Reader::open(database).await {
            Ok(reader) => {
                reader.close().await;
                Ok(())
            }
            Err(StoreError::Older { .. } | StoreError::Empty { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        };
    }
    let parent = database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(StoreError::NoDirectory { path: database.to_owned(), directory: parent.to_owned() }.into());
    }
    takes_files(parent).map_err(|error| {
        let what = format!("cannot write to {}: {error}", parent.display());
        Failure::new(Code::Broken, what)
            .hint("the database and the files of the runs go there; --db names another place")
    })
}

/// Whether files can be made in a directory.
fn takes_files(directory: &Path) -> std::io::Result<()> {
    let path = directory.join(format!(".sweep-{}", std::process::id()));
    std::fs::write(&path, b"")?;
    std::fs::remove_file(&path)
}

/// Where tokenised documents of a database's sweeps are kept; no sweep can have this name.
fn cache_of(database: &Path) -> PathBuf {
    crate::store::sweep_directory(database, ".cache")
}
