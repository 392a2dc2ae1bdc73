//! `sweep stop`, `pause`, `kill` and the other orders to a live sweep; `note`, `tag` and `exclude` on any.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::print::{err, outln};
use super::read::parse_run;
use super::{Format, render};
use crate::control::{self, Answer, ControlError};
use crate::driver::remark;
use crate::failure::{Code, Failure};
use crate::search::space::Point;
use crate::settings::Settings;
use crate::spec::{Override, Spec};
use crate::store::{Reader, Store, SweepRecord, SweepState, sweep_directory};
use crate::sweep::{Order, TrialId};

#[derive(Debug, Args)]
pub(super) struct LiveArgs {
    /// Name of the sweep [default: the newest that runs]
    sweep: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct KillArgs {
    /// Name of the sweep [default: the newest that runs]
    sweep: Option<String>,
    /// End only this trial, for good: its number, or `baseline`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    trial: Option<TrialId>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// Name of the sweep [default: the newest that runs]
    sweep: Option<String>,
    /// The trial to try again, whether it failed, was killed or given up [default: all that failed]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    trial: Option<TrialId>,
    /// End a run and start it again from its last checkpoint: TRIAL/FOLD, TRIAL/FOLDrREPEAT
    #[arg(long, value_name = "RUN", conflicts_with = "trial")]
    run: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct EnqueueArgs {
    /// The sweep [default: the newest that runs], and values of its parameters, such as train.learning_rate=3e-4
    #[arg(value_name = "[SWEEP] KEY=VALUE", required_unless_present = "from_trial")]
    words: Vec<String>,
    /// Take what is left open from this trial; else it is drawn
    #[arg(long, value_name = "N")]
    from_trial: Option<TrialId>,
}

#[derive(Debug, Args)]
pub(super) struct TrialArgs {
    /// Name of the sweep [default: the newest that runs, else the newest]
    sweep: Option<String>,
    /// Number of the trial
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    trial: TrialId,
}

#[derive(Debug, Args)]
pub(super) struct SlotsArgs {
    /// The sweep [default: the newest that runs], and runs at once
    #[arg(value_name = "[SWEEP] COUNT", required = true)]
    words: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct NoteArgs {
    /// The sweep [default: the newest that runs, else the newest], and what to say of the trial in place of what was said;
    /// "" takes it away
    #[arg(value_name = "[SWEEP] TEXT", required = true)]
    words: Vec<String>,
    /// Number of the trial, or `baseline`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    trial: TrialId,
}

#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// The sweep [default: the newest that runs, else the newest], and the tag
    #[arg(value_name = "[SWEEP] TAG", required = true)]
    words: Vec<String>,
    /// Number of the trial, or `baseline`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    trial: TrialId,
    /// Take it away
    #[arg(long)]
    remove: bool,
}

pub(super) async fn kill(args: KillArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let order = match args.trial {
        Some(trial) => Order::KillTrial { trial },
        None => Order::Kill,
    };
    give(args.sweep, order, args.yes, settings, format).await
}

pub(super) async fn retry(args: RetryArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let order = match args.run {
        Some(run) => {
            let run = parse_run(&run)?;
            Order::Restart { trial: run.trial, fold: run.fold }
        }
        None => Order::Retry { trial: args.trial },
    };
    give(args.sweep, order, true, settings, format).await
}

pub(super) async fn enqueue(args: EnqueueArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let (sweep, values) = match args.words.split_first() {
        Some((first, rest)) if !first.contains('=') => (Some(first.clone()), rest),
        _ => (None, args.words.as_slice()),
    };
    let mut point = Point::default();
    for text in values {
        let Override { key, value } = Override::parse(text).map_err(|problem| {
            Failure::new(Code::Usage, problem.what).hint("such as `sweep enqueue lr train.learning_rate=3e-4`")
        })?;
        point.insert(&key, value);
    }
    give(sweep, Order::Enqueue { point, from: args.from_trial }, true, settings, format).await
}

pub(super) async fn slots(args: SlotsArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let (sweep, count) = sweep_and(args.words, "COUNT")?;
    let count = count.parse().map_err(|_| Failure::new(Code::Usage, format!("{count:?} is no number of slots")))?;
    give(sweep, Order::Slots { count }, true, settings, format).await
}

pub(super) async fn exclude(args: TrialArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    give(args.sweep, Order::Exclude { trial: args.trial }, true, settings, format).await
}

pub(super) async fn include(args: TrialArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    give(args.sweep, Order::Include { trial: args.trial }, true, settings, format).await
}

pub(super) async fn note(args: NoteArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let (sweep, text) = sweep_and(args.words, "TEXT")?;
    give(sweep, Order::Note { trial: args.trial, text }, true, settings, format).await
}

pub(super) async fn tag(args: TagArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let TagArgs { words, trial, remove } = args;
    let (sweep, tag) = sweep_and(words, "TAG")?;
    let order = if remove { Order::Untag { trial, tag } } else { Order::Tag { trial, tag } };
    give(sweep, order, true, settings, format).await
}

/// The last of one or two words, and the sweep if it is the first. Options may stand between them.
fn sweep_and(words: Vec<String>, what: &str) -> Result<(Option<String>, String), Failure> {
    match <[String; 2]>::try_from(words) {
        Ok([sweep, last]) => Ok((Some(sweep), last)),
        Err(mut words) => match (words.pop(), words.is_empty()) {
            (Some(last), true) => Ok((None, last)),
            _ => Err(Failure::new(Code::Usage, format!("expected [SWEEP] {what}: one word or two"))
                .hint("a text of several words stands in quotes")),
        },
    }
}

/// An order that needs nothing but its sweep.
pub(super) async fn plain(order: Order, args: LiveArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    give(args.sweep, order, true, settings, format).await
}

/// Gives an order, unless whoever gives it thinks better of it.
async fn give(
    sweep: Option<String>,
    order: Order,
    is_sure: bool,
    settings: &Settings,
    format: Format,
) -> Result<Code, Failure> {
    let reader = Reader::open(&settings.db).await?;
    let record = find(&reader, sweep.as_deref(), &order).await?;
    let directory = sweep_directory(&settings.db, &record.name);
    if !is_sure && control::is_live(&directory).await {
        confirm(&record.name, &order)?;
    }
    let answer = match control::order(&directory, &order).await {
        Err(ControlError::Nobody { .. }) if order.is_remark() => write_down(&record, order.clone(), settings).await?,
        Err(ControlError::Nobody { .. }) => return Err(nobody(&record, &order, settings)),
        answer => answer?,
    };
    let (trial, point) = match &answer {
        Answer::Done { trial, point, .. } => (*trial, point.clone()),
        Answer::Refused { why, hint } => {
            let failure = Failure::new(Code::Usage, format!("cannot {order} in {}: {why}", record.name));
            return Err(Failure { hint: hint.clone(), ..failure });
        }
    };
    if format == Format::Json {
        render::json(&json!({ "sweep": record.name, "order": order, "trial": trial, "point": point }))?;
        return Ok(Code::Good);
    }
    outln!("{}: {}", record.name, follows(&record.name, &order, trial));
    if let Some(point) = point {
        outln!("  {point}");
    }
    Ok(Code::Good)
}

/// The sweep of this name; else the newest that runs, or of which something is said.
async fn find(reader: &Reader, name: Option<&str>, order: &Order) -> Result<SweepRecord, Failure> {
    if let Some(name) = name {
        return Ok(reader.sweep(name).await?);
    }
    for row in reader.sweeps().await?.iter().rev() {
        if control::is_live(&sweep_directory(reader.path(), &row.sweep)).await {
            return Ok(reader.sweep(&row.sweep).await?);
        }
    }
    let newest = reader.latest().await?;
    if order.is_remark() {
        return Ok(newest);
    }
    let what = format!("no sweep of {} runs", reader.path().display());
    let hint = match newest.state {
        SweepState::Finished => "`sweep ls` lists them".to_owned(),
        _ => format!("`sweep resume {}` goes on with the newest", newest.name),
    };
    Err(Failure::new(Code::NotRunning, what).hint(hint))
}

/// Records what is said of a trial of a sweep that nobody runs.
pub(super) async fn remark_on(sweep: &str, order: Order, settings: &Settings) -> Result<Answer, Failure> {
    let reader = Reader::open(&settings.db).await?;
    let record = reader.sweep(sweep).await;
    reader.close().await;
    write_down(&record?, order, settings).await
}

/// What is said of a trial is recorded by this process where no coordinator does it.
async fn write_down(record: &SweepRecord, order: Order, settings: &Settings) -> Result<Answer, Failure> {
    let spec = Spec::of_file(&record.spec_path, &record.spec, &record.overrides).map_err(|problems| {
        Failure::spec(&format!("the sweep file that {} was started with", record.name), &problems)
    })?;
    let store = Store::open(&settings.db).await?;
    let answer = remark(&store, record, &spec, order, control::here()).await?;
    store.close().await?;
    Ok(answer)
}

/// Why nobody hears an order, and what to do.
fn nobody(record: &SweepRecord, order: &Order, settings: &Settings) -> Failure {
    let name = &record.name;
    if let Some(pid) = control::coordinator(&sweep_directory(&settings.db, name)) {
        let what = format!("process {pid} runs {name} and does not listen: its {} is gone", socket(name, settings));
        return Failure::new(Code::NotRunning, what).hint(format!(
            "`kill -INT {pid}` lets its runs end, `kill {pid}` ends them now; then `sweep resume {name}`"
        ));
    }
    let what = match record.state {
        SweepState::Finished => format!("{name} is finished: nothing runs"),
        SweepState::Stopped | SweepState::Failed => format!("{name} does not run: it was stopped"),
        SweepState::Running | SweepState::Paused => {
            format!("{name} does not run: its coordinator is gone (it was killed, or its machine went down)")
        }
    };
    let hint = match (record.state, order) {
        (_, Order::Retry { trial: None }) => format!("`sweep resume {name} --retry-failed` tries failed trials again"),
        (SweepState::Finished, _) => {
            "`sweep run` begins another; `start` of [search] gives its first points".to_owned()
        }
        (_, Order::Stop | Order::Pause | Order::Kill) => {
            format!("there is nothing to {order}; `sweep resume {name}` goes on with it")
        }
        _ => format!("`sweep resume {name}` goes on with it; then give the order again"),
    };
    Failure::new(Code::NotRunning, what).hint(hint)
}

fn socket(name: &str, settings: &Settings) -> String {
    let path: PathBuf = control::socket_path(&sweep_directory(&settings.db, name));
    path.display().to_string()
}

/// Asks on a terminal. Without one nobody can be asked: then it must have been said.
fn confirm(name: &str, order: &Order) -> Result<(), Failure> {
    let what = match order {
        Order::KillTrial { trial } => format!("trial {trial} of {name} ends for good, its runs now"),
        _ => format!("the runs of {name} end now; what came after their last checkpoints is lost"),
    };
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::new(Code::Usage, format!("nobody can be asked: {what}")).hint("--yes says that it may be"));
    }
    err(format_args!("{what}. Go on? [y/N] "));
    // the line is not ended
    let _ = io::stderr().flush();
    let mut answer = String::new();
    // who cannot be understood has not said yes
    let _ = io::stdin().lock().read_line(&mut answer);
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Code::Usage, "nothing was done")),
    }
}

/// What follows from an order, in words.
fn follows(name: &str, order: &Order, made: Option<TrialId>) -> String {
    match order {
        Order::Stop => format!("its runs come to their end, then it stops; `sweep resume {name}` continues"),
        Order::Pause => format!("paused: what runs goes on, nothing is started; `sweep unpause {name}` goes on"),
        Order::Unpause => "goes on".to_owned(),
        Order::Kill => format!("its runs end now; `sweep resume {name}` continues from their last checkpoints"),
        Order::KillTrial { trial } => {
            format!("trial {trial} is killed; `sweep retry {name} --trial {trial}` opens it again")
        }
        Order::Retry { trial: Some(trial) } => format!("trial {trial} is tried again"),
        Order::Retry { trial: None } => "all that failed is tried again".to_owned(),
        Order::Restart { trial, fold } => {
            format!("run {trial}/{fold} is told to end, and begins again at its last checkpoint")
        }
        Order::Enqueue { .. } => {
            let trial = made.map(|trial| format!("trial {trial}")).unwrap_or_default();
            format!("{trial} is the next to be tried")
        }
        Order::Exclude { trial } => {
            format!("trial {trial} counts in nothing any more; `sweep include {name} --trial {trial}` takes that back")
        }
        Order::Include { trial } => format!("trial {trial} counts again"),
        Order::Slots { count } => format!("{count} runs at once from now on; what runs beyond that comes to its end"),
        Order::Note { trial, text } if text.is_empty() => format!("trial {trial} has no note any more"),
        Order::Note { trial, .. } => format!("noted on trial {trial}"),
        Order::Tag { trial, tag } => format!("trial {trial} is tagged {tag}"),
        Order::Untag { trial, tag } => format!("trial {trial} is not tagged {tag} any more"),
    }
}
