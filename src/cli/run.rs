//! `sweep run` and `sweep resume`.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinHandle;

use super::baseline::Baseline;
use super::earlier::earlier;
use super::holdout::Holdout;
use super::print::{errln, outln};
use super::progress::{Curtain, Screen};
use super::ready::Ready;
use super::{Format, Loaded, SpecArgs, cache_of, dash, preflight, render};
use crate::control::{self, Answer};
use crate::driver::{Campaign, Launcher, Machine, Notice, Slots, conduct, now};
use crate::failure::{Code, Failure};
use crate::search::Earlier;
use crate::settings::Settings;
use crate::spec::Spec;
use crate::store::{
    LeaderboardRow, NewSweep, RunState, Store, StoreError, SweepRecord, SweepRow, SweepState, sweep_directory,
};
use crate::sweep::{Order, SweepEnd};
use crate::train::prune_vectors;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    spec: SpecArgs,
    /// Open the dashboard on it; leaving that leaves the sweep running
    #[arg(long)]
    pub(super) watch: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// Name of the sweep
    sweep: Option<String>,
    /// Try failed trials again
    #[arg(long)]
    retry_failed: bool,
    /// Open the dashboard on it; leaving that leaves the sweep running
    #[arg(long)]
    pub(super) watch: bool,
}

/// Starts a sweep and sees it to its end.
pub(super) async fn run(args: RunArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let Loaded { spec, text, project } = args.spec.load()?;
    dash::needs_terminal(args.watch)?;
    preflight(&settings.db).await?;
    let earlier = earlier(&settings.db, &spec.search, &spec.values()).await?;
    let slots = Slots::choose(&spec.resources, &Machine::of(&spec.trainer), runs(&spec))?;
    let Ready { launcher, origin } = Ready::make(&spec, &project, settings, &slots, None).await?;
    let store = Store::open(&settings.db).await?;
    let new = NewSweep {
        name: spec.name.clone(),
        spec: text,
        spec_path: args.spec.spec.clone(),
        overrides: args.spec.set.clone(),
        project,
        sampler: name_of(&spec.search.sampler),
        objective: spec.search.objective.clone(),
        direction: spec.search.direction,
        trials: spec.planned_trials(),
        folds: spec.folds.runs(),
        documents: origin.documents,
        data_sha256: origin.data_sha256,
        classes: origin.classes,
        encoders: origin.encoders,
        host: gethostname::gethostname().to_string_lossy().into_owned(),
    };
    let record = store.create_sweep(new, now()).await?;
    let voyage = Voyage { store, record, spec, launcher, slots, earlier, retry_failed: false, watch: args.watch };
    voyage.sail(settings, format).await
}

/// Continues a sweep from what the database knows of it.
pub(super) async fn resume(args: ResumeArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    if !settings.db.exists() {
        return Err(StoreError::Missing { path: settings.db.clone() }.into());
    }
    dash::needs_terminal(args.watch)?;
    preflight(&settings.db).await?;
    let store = Store::open(&settings.db).await?;
    let reader = store.reader();
    let record = match &args.sweep {
        Some(name) => reader.sweep(name).await?,
        None if args.retry_failed => reader.latest().await?,
        None => reader.latest_open().await?,
    };
    if record.state == SweepState::Paused && !args.retry_failed {
        // of a live one this is all that is wanted; of one whose coordinator is gone the pause ends as it goes on
        let order = control::order(&sweep_directory(&settings.db, &record.name), &Order::Unpause).await;
        if let Ok(Answer::Done { .. }) = order {
            match format {
                Format::Json => render::json(&json!({ "sweep": record.name, "order": Order::Unpause }))?,
                Format::Table | Format::Csv => outln!("{}: goes on, where it was paused", record.name),
            }
            return Ok(Code::Good);
        }
    }
    if record.state == SweepState::Finished && !args.retry_failed {
        return Err(Failure::new(Code::Usage, format!("{} is finished: nothing is left to do", record.name))
            .hint("--retry-failed tries failed trials again"));
    }
    let spec = Spec::of_file(&record.spec_path, &record.spec, &record.overrides).map_err(|problems| {
        Failure::spec(&format!("the sweep file that {} was started with", record.name), &problems)
    })?;
    let earlier = earlier(&settings.db, &spec.search, &spec.values()).await?;
    let rows = reader.runs(&record.name).await?;
    let of_trials = rows.iter().filter(|row| !row.run.trial.is_baseline() && !row.run.fold.is_holdout());
    let finished = of_trials.filter(|row| row.state == RunState::Finished).count();
    let slots = Slots::choose(&spec.resources, &Machine::of(&spec.trainer), runs(&spec).saturating_sub(finished))?;
    let Ready { launcher, .. } = Ready::make(&spec, &record.project, settings, &slots, Some(&record)).await?;
    let (retry_failed, watch) = (args.retry_failed, args.watch);
    let voyage = Voyage { store, record, spec, launcher, slots, earlier, retry_failed, watch };
    voyage.sail(settings, format).await
}

/// Runs of all trials; without bounds where only a budget of runs or time ends them.
fn runs(spec: &Spec) -> usize {
    spec.planned_trials().map_or(usize::MAX, |trials| trials as usize * spec.folds.runs() as usize)
}

fn name_of(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// A sweep about to run.
struct Voyage {
    store: Store,
    record: SweepRecord,
    spec: Spec,
    launcher: Launcher,
    slots: Slots,
    earlier: Arc<[Earlier]>,
    retry_failed: bool,
    /// With the dashboard above it.
    watch: bool,
}

/// What `--format json` prints in the end.
#[derive(Serialize)]
struct Outcome {
    sweep: SweepRow,
    leaderboard: Vec<LeaderboardRow>,
    baseline: Option<Baseline>,
    holdout: Option<Holdout>,
}

impl Voyage {
    async fn sail(self, settings: &Settings, format: Format) -> Result<Code, Failure> {
        let Self { store, record, spec, launcher, slots, earlier, retry_failed, watch } = self;
        let folds = spec.folds.runs();
        let trials = spec
            .planned_trials()
            .map_or_else(|| "as many trials as the budget allows".to_owned(), |trials| format!("{trials} trials"));
        let with = if spec.baseline { " and a baseline" } else { "" };
        prune_vectors(&cache_of(&settings.db), settings.cache_mb.saturating_mul(1 << 20));
        errln!("sweep {}: {trials} x {folds} folds{with}, {}", record.name, slots.choice);
        let done = store.reader().trials(&record.name).await?;
        let best = outcome(&store, &record.name).await?.sweep.best_score;
        let all = runs(&spec).saturating_add(if spec.baseline { folds as usize } else { 0 });
        let mut screen = Screen::new(&spec.search, best, [all, folds as usize], &done, slots.places.len());
        let campaign = Campaign { store: &store, record: &record, spec: &spec, launcher, slots, earlier, retry_failed };
        let dashboard = watch.then(|| (screen.curtain(), dash::beside(settings, record.key)));
        let mut notice = |notice: Notice<'_>| screen.notice(&notice);
        let conducting = conduct(campaign, &mut notice);
        let end = match dashboard {
            Some((curtain, dashboard)) => watched(conducting, curtain, dashboard).await,
            None => conducting.await,
        };
        screen.close();
        let end = end?;
        let outcome = outcome(&store, &record.name).await?;
        store.close().await?;
        match format {
            Format::Json => render::json(&outcome)?,
            Format::Table | Format::Csv => print(&outcome, &end, &settings.db),
        }
        Ok(match end {
            SweepEnd::Stopped { .. } => Code::Interrupted,
            SweepEnd::Finished | SweepEnd::Enough { .. } if outcome.has_failures() => Code::RunsFailed,
            SweepEnd::Finished | SweepEnd::Enough { .. } => Code::Good,
        })
    }
}

/// Conducts behind the dashboard, and where that is left goes on before everybody's eyes. Who looks at how it ended is
/// not disturbed.
async fn watched<T>(
    conducting: impl Future<Output = T>,
    curtain: Curtain,
    mut dashboard: JoinHandle<Result<Code, Failure>>,
) -> T {
    let mut conducting = pin!(conducting);
    let (end, left) = tokio::select! {
        end = &mut conducting => (Some(end), None),
        left = &mut dashboard => (None, Some(left)),
    };
    let left = match left {
        Some(left) => left,
        None => dashboard.await,
    };
    curtain.lift();
    match left {
        Ok(Ok(_)) => {}
        Ok(Err(failure)) => errln!("the dashboard has ended: {}", failure.what),
        Err(error) => errln!("the dashboard has ended: {error}"),
    }
    match end {
        Some(end) => end,
        None => conducting.await,
    }
}

async fn outcome(store: &Store, name: &str) -> Result<Outcome, Failure> {
    let sweep = store.reader().sweeps().await?.into_iter().find(|row| row.sweep == name);
    let sweep = sweep.ok_or_else(|| Failure::new(Code::Broken, format!("{name} is gone from the database")))?;
    let leaderboard = store.reader().leaderboard(name).await?;
    let baseline = Baseline::read(store.reader(), name, leaderboard.first()).await?;
    let holdout = Holdout::read(store.reader(), name, leaderboard.first()).await?;
    Ok(Outcome { sweep, leaderboard, baseline, holdout })
}

impl Outcome {
    fn has_failures(&self) -> bool {
        self.sweep.failed > 0 || self.holdout.as_ref().is_some_and(Holdout::has_failed)
    }
}

fn print(outcome: &Outcome, end: &SweepEnd, database: &Path) {
    let Outcome { sweep, leaderboard, baseline, holdout } = outcome;
    let SweepRow { sweep: name, finished, failed, trials, seconds, .. } = sweep;
    let took = render::duration(*seconds);
    outln!();
    match end {
        SweepEnd::Finished => outln!("{name}: {finished} of {trials} trials finished, {failed} failed, in {took}"),
        SweepEnd::Enough { why } => {
            outln!("{name}: {finished} trials finished, {failed} failed, in {took}: {why}");
        }
        SweepEnd::Stopped { why } => {
            outln!("{name}: stopped by {why} after {took}; {finished} of {trials} trials finished");
        }
    }
    if !leaderboard.is_empty() {
        outln!("\n{}\n", render::leaderboard(&sweep.objective, leaderboard));
    }
    if let Some(line) = render::given_up(sweep) {
        outln!("{line}\n");
    }
    if let Some(baseline) = baseline {
        outln!("{}\n", baseline.line(&sweep.direction));
    }
    if let Some(holdout) = holdout {
        outln!("{}\n", holdout.lines(sweep));
    }
    let db =
        if database.as_os_str() == "experiments.db" { String::new() } else { format!(" --db {}", database.display()) };
    let next: &[(String, &str)] = &match (end, leaderboard.first()) {
        (SweepEnd::Stopped { .. }, _) => vec![(format!("sweep resume {name}{db}"), "to go on")],
        (SweepEnd::Finished | SweepEnd::Enough { .. }, _) if outcome.has_failures() => vec![
            (format!("sweep show {name}{db}"), "what failed, and why"),
            (format!("sweep resume {name} --retry-failed{db}"), "to try it again"),
        ],
        (SweepEnd::Finished | SweepEnd::Enough { .. }, Some(best)) => vec![
            (format!("sweep best {name}{db}"), "its parameters, its rivals, which score to report"),
            (format!("sweep show {name} --trial {}{db}", best.trial), "its folds and metrics"),
            (format!("sweep sql \"select * from leaderboard where sweep = '{name}'\"{db}"), "all of it is SQL"),
        ],
        (SweepEnd::Finished | SweepEnd::Enough { .. }, None) => Vec::new(),
    };
    let width = next.iter().map(|(command, _)| command.chars().count()).max().unwrap_or(0);
    for (index, (command, about)) in next.iter().enumerate() {
        outln!("{} {command:width$}   {about}", if index == 0 { "next:" } else { "     " });
    }
}
