//! `sweep ls`, `show` and `logs`: what is recorded.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::baseline::Baseline;
use super::holdout::Holdout;
use super::print::{errln, outln};
use super::{Format, importance, render};
use crate::failure::{Code, Failure};
use crate::protocol::Split;
use crate::settings::Settings;
use crate::store::{MetricRow, OrderRow, Reader, RunRow, SweepRecord, SweepRow, TrialRow, log_path};
use crate::sweep::{FoldId, RunId, TrialId};

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Name of the sweep [default: the newest]
    sweep: Option<String>,
    /// One trial, with its folds: its number, or `baseline`
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    trial: Option<TrialId>,
    /// What its scores say of the parameters: how much each matters, and which values are good
    #[arg(long, conflicts_with = "trial")]
    importance: bool,
    /// What people told it to do: when, who, what
    #[arg(long, conflicts_with_all = ["trial", "importance"])]
    orders: bool,
}

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Name of the sweep
    sweep: String,
    /// The run as it is printed elsewhere: TRIAL/FOLD, TRIAL/FOLDrREPEAT, TRIAL/holdout, with #ATTEMPT for one attempt;
    /// or TRIAL alone for all its runs. The baseline's TRIAL is `baseline`
    run: String,
}

/// All sweeps.
pub(super) async fn ls(settings: &Settings, format: Format) -> Result<Code, Failure> {
    let sweeps = Reader::open(&settings.db).await?.sweeps().await?;
    if format == Format::Json {
        render::json(&sweeps)?;
        return Ok(Code::Good);
    }
    if sweeps.is_empty() {
        outln!("no sweeps yet: `sweep run SPEC` makes one");
        return Ok(Code::Good);
    }
    let row = |row: &SweepRow| {
        vec![
            row.sweep.clone(),
            state(&row.state),
            format!("{}/{}", row.finished, row.trials),
            row.failed.to_string(),
            row.objective.clone(),
            render::score(row.best_score),
            render::score(row.baseline_score),
            render::duration(row.seconds),
            row.started_at.clone().unwrap_or_default().replace('T', " ").chars().take(16).collect(),
        ]
    };
    let rows: Vec<Vec<String>> = sweeps.iter().map(row).collect();
    let header = ["sweep", "state", "finished", "failed", "objective", "best", "baseline", "took", "started (UTC)"];
    outln!("{}", render::table(&header, &rows));
    Ok(Code::Good)
}

/// One sweep, or one trial.
pub(super) async fn show(args: ShowArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let reader = Reader::open(&settings.db).await?;
    let record = match &args.sweep {
        Some(name) => reader.sweep(name).await?,
        None => reader.latest().await?,
    };
    if args.importance {
        return importance::show(&reader, &record, format).await;
    }
    if args.orders {
        return show_orders(&reader, &record, format).await;
    }
    match args.trial {
        Some(trial) => show_trial(&reader, &record, trial, format).await,
        None => show_sweep(&reader, &record, format).await,
    }
}

async fn show_sweep(reader: &Reader, record: &SweepRecord, format: Format) -> Result<Code, Failure> {
    let name = &record.name;
    let sweep = reader.sweeps().await?.into_iter().find(|row| row.sweep == *name);
    let sweep = sweep.ok_or_else(|| Failure::new(Code::Broken, format!("{name} is gone from the database")))?;
    let (trials, leaderboard) = (reader.trials(name).await?, reader.leaderboard(name).await?);
    let baseline = Baseline::read(reader, name, leaderboard.first()).await?;
    let holdout = Holdout::read(reader, name, leaderboard.first()).await?;
    if format == Format::Json {
        render::json(&json!({
            "sweep": sweep, "trials": trials, "leaderboard": leaderboard, "baseline": baseline,
            "holdout": holdout,
            "spec": record.spec, "overrides": record.overrides, "encoders": record.encoders,
            "project": record.project,
        }))?;
        return Ok(Code::Good);
    }
    outln!(
        "{name}: {}, {} of {} trials finished, {} failed, {}",
        state(&sweep.state),
        sweep.finished,
        sweep.trials,
        sweep.failed,
        render::duration(sweep.seconds)
    );
    if let Some(why) = &sweep.why {
        outln!("why: {why}");
    }
    outln!("started with {} on {} by sweep {}", record.spec_path.display(), record.host, record.version);
    if !record.overrides.is_empty() {
        outln!("changes: {}", record.overrides.join(", "));
    }
    for (encoder, revision) in &record.encoders {
        outln!("encoder {encoder}: {revision}");
    }
    if !leaderboard.is_empty() {
        outln!("\n{}", render::leaderboard(&sweep.objective, &leaderboard));
    }
    if let Some(line) = render::given_up(&sweep) {
        outln!("\n{line}");
    }
    if let Some(why) = &sweep.converged {
        outln!("\nyou could stop now: {why}");
    }
    if let Some(baseline) = baseline {
        outln!("\n{}", baseline.line(&sweep.direction));
    }
    if let Some(holdout) = holdout {
        outln!("\n{}", holdout.lines(&sweep));
    }
    let remarks = remarks(&trials);
    if !remarks.is_empty() {
        outln!("\n{}", render::table(&["trial", "excluded", "tags", "note"], &remarks));
    }
    let open: Vec<Vec<String>> = trials
        .iter()
        .filter(|trial| !trial.trial.is_baseline() && !leaderboard.iter().any(|row| row.trial == trial.trial))
        .map(|trial| {
            let folds = format!("{}/{}", trial.folds_done, trial.folds);
            let why = trial.why.clone().unwrap_or_default();
            vec![
                trial.trial.to_string(),
                state(&trial.state),
                folds,
                render::score(trial.score_so_far),
                trial.params.to_string(),
                why,
            ]
        })
        .collect();
    if !open.is_empty() {
        outln!("\n{}", render::table(&["trial", "state", "folds", "so far", "parameters", "why"], &open));
    }
    Ok(Code::Good)
}

/// The trials of which something was said.
fn remarks(trials: &[TrialRow]) -> Vec<Vec<String>> {
    let has_some = |trial: &&TrialRow| trial.excluded || trial.note.is_some() || !trial.tags.is_empty();
    let row = |trial: &TrialRow| {
        let excluded = if trial.excluded { "yes" } else { "" };
        // a table has one line a row
        let note = trial.note.as_deref().unwrap_or_default().replace('\n', " ");
        vec![trial.trial.to_string(), excluded.to_owned(), trial.tags.join(", "), note]
    };
    trials.iter().filter(has_some).map(row).collect()
}

/// What people told a sweep to do.
async fn show_orders(reader: &Reader, record: &SweepRecord, format: Format) -> Result<Code, Failure> {
    let orders = reader.orders(&record.name).await?;
    if format == Format::Json {
        render::json(&orders)?;
        return Ok(Code::Good);
    }
    if orders.is_empty() {
        outln!("nobody has told {} anything", record.name);
        return Ok(Code::Good);
    }
    let row = |row: &OrderRow| {
        let trial = row.trial.map(|trial| trial.to_string()).unwrap_or_default();
        let params = if row.params == "{}" { String::new() } else { row.params.clone() };
        let at = row.at.replace('T', " ").chars().take(19).collect();
        vec![at, row.by.clone(), row.command.clone(), trial, params]
    };
    let rows: Vec<Vec<String>> = orders.iter().map(row).collect();
    outln!("{}", render::table(&["at (UTC)", "by", "command", "trial", ""], &rows));
    Ok(Code::Good)
}

async fn show_trial(reader: &Reader, record: &SweepRecord, id: TrialId, format: Format) -> Result<Code, Failure> {
    let name = &record.name;
    let trials = reader.trials(name).await?;
    let trial: &TrialRow = trials.iter().find(|trial| trial.trial == id).ok_or_else(|| no_trial(name, id, &trials))?;
    let runs: Vec<RunRow> = reader.runs(name).await?.into_iter().filter(|row| row.run.trial == id).collect();
    let mut metrics = Vec::new();
    for row in &runs {
        metrics.push(best_epoch(reader, name, row).await?);
    }
    if format == Format::Json {
        render::json(&json!({ "trial": trial, "runs": runs, "metrics_of_best_epochs": metrics }))?;
        return Ok(Code::Good);
    }
    let what = if id.is_baseline() { "baseline".to_owned() } else { format!("trial {id}") };
    outln!("{what} of {name}: {}, {}", state(&trial.state), render::score_with_error(trial.score, trial.score_se));
    for (key, value) in trial.params.iter() {
        outln!("  {key} = {}", render::value(value));
    }
    if let Some(why) = &trial.why {
        outln!("why: {why}");
    }
    if trial.excluded {
        outln!("excluded: it counts in nothing; `sweep include {name} --trial {id}` takes that back");
    }
    if !trial.tags.is_empty() {
        outln!("tags: {}", trial.tags.join(", "));
    }
    if let Some(note) = &trial.note {
        outln!("note: {note}");
    }
    let rows: Vec<Vec<String>> = runs.iter().map(run_cells).collect();
    let header = ["run", "state", "score", "best epoch", "epochs", "device", "took", "memory", "why"];
    outln!("\n{}", render::table(&header, &rows));
    let mut names: Vec<&String> = metrics.iter().flatten().map(|metric| &metric.name).collect();
    names.sort();
    names.dedup();
    let finished: Vec<usize> = (0..runs.len()).filter(|index| !metrics[*index].is_empty()).collect();
    if !finished.is_empty() {
        let mut header = vec!["scores, best epoch".to_owned()];
        header.extend(finished.iter().map(|index| runs[*index].run.to_string()));
        let of = |name: &String| {
            let mut row = vec![name.clone()];
            row.extend(finished.iter().map(|index| {
                render::score(
                    metrics[*index].iter().find(|metric| metric.name == *name).and_then(|metric| metric.value),
                )
            }));
            row
        };
        let rows: Vec<Vec<String>> = names.into_iter().map(of).collect();
        let header: Vec<&str> = header.iter().map(String::as_str).collect();
        outln!("\n{}", render::table(&header, &rows));
    }
    outln!("\nnext: sweep logs {name} {id}/0    what a run printed");
    Ok(Code::Good)
}

fn no_trial(sweep: &str, id: TrialId, trials: &[TrialRow]) -> Failure {
    let count = trials.iter().filter(|trial| !trial.trial.is_baseline()).count();
    let what = if id.is_baseline() { "baseline".to_owned() } else { format!("trial {id}: it has {count}") };
    Failure::new(Code::Usage, format!("{sweep} has no {what}"))
}

/// Metrics of a run's best epoch on the documents that it was scored on, which an earlier attempt may have measured.
async fn best_epoch(reader: &Reader, sweep: &str, row: &RunRow) -> Result<Vec<MetricRow>, Failure> {
    let split = if row.run.fold.is_holdout() { Split::Holdout } else { Split::Validation };
    let wanted = |metric: &MetricRow| metric.split == split && Some(metric.epoch) == row.best_epoch;
    for attempt in (1..=row.run.attempt).rev() {
        let metrics = reader.metrics(sweep, RunId { attempt, ..row.run }).await?;
        let metrics: Vec<MetricRow> = metrics.into_iter().filter(wanted).collect();
        if !metrics.is_empty() {
            return Ok(metrics);
        }
    }
    Ok(Vec::new())
}

fn run_cells(row: &RunRow) -> Vec<String> {
    let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
    vec![
        row.run.to_string(),
        state(&row.state),
        render::score(row.score),
        number(row.best_epoch),
        number(row.epochs),
        row.device.clone().unwrap_or_default(),
        row.seconds.map(render::duration).unwrap_or_default(),
        row.peak_memory_mb.map(|memory| format!("{memory} MB")).unwrap_or_default(),
        row.why.clone().unwrap_or_default(),
    ]
}

/// What a run printed, or all runs of a trial.
pub(super) async fn logs(args: LogsArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let reader = Reader::open(&settings.db).await?;
    let record = reader.sweep(&args.sweep).await?;
    let name = &record.name;
    let runs: Vec<RunId> = reader.runs(name).await?.into_iter().map(|row| row.run).collect();
    let (trial, wanted) = if let Ok(trial) = args.run.parse::<TrialId>() {
        (trial, runs.iter().copied().filter(|run| run.trial == trial).collect())
    } else {
        let wanted = parse_run(&args.run)?;
        let attempts = runs.iter().copied().filter(|run| run.trial == wanted.trial && run.fold == wanted.fold);
        let run = if args.run.contains('#') { attempts.into_iter().find(|run| *run == wanted) } else { attempts.max() };
        (wanted.trial, Vec::from_iter(run))
    };
    if wanted.is_empty() {
        return Err(Failure::new(Code::Usage, format!("{name} has no run {}", args.run))
            .hint(format!("`sweep show {name} --trial {trial}` lists its runs")));
    }
    let mut logs = Vec::new();
    for run in wanted {
        let path = log_path(&settings.db, name, run);
        let bytes = std::fs::read(&path)
            .map_err(|error| Failure::new(Code::Broken, format!("cannot read {}: {error}", path.display())))?;
        logs.push((run, path, String::from_utf8_lossy(&bytes).into_owned()));
    }
    if format == Format::Json {
        let log = |(run, path, text): &(RunId, PathBuf, String)| json!({ "run": run, "path": path, "text": text });
        match logs.as_slice() {
            [one] => render::json(&log(one))?,
            several => render::json(&several.iter().map(log).collect::<Vec<_>>())?,
        }
        return Ok(Code::Good);
    }
    for (run, path, text) in &logs {
        if text.is_empty() {
            errln!("run {run} printed nothing ({})", path.display());
        } else {
            if logs.len() > 1 {
                outln!("run {run} ({}):", path.display());
            }
            super::print::out(format_args!("{text}"));
        }
    }
    Ok(Code::Good)
}

/// Reads `3/1`, `3/1r2`, `3/1#2`, `baseline/0`, `3/holdout`.
pub(super) fn parse_run(text: &str) -> Result<RunId, Failure> {
    let parse = || -> Option<RunId> {
        let (rest, attempt) =
            text.split_once('#').map_or(Some((text, 1)), |(rest, n)| Some((rest, n.parse().ok()?)))?;
        let (trial, fold) = rest.split_once('/')?;
        if fold == FoldId::HOLDOUT.to_string() {
            return Some(RunId { trial: trial.parse().ok()?, fold: FoldId::HOLDOUT, attempt });
        }
        let (fold, repeat) = fold.split_once('r').map_or(Some((fold, 0)), |(fold, n)| Some((fold, n.parse().ok()?)))?;
        let fold = FoldId { repeat, fold: fold.parse::<u16>().ok()?.into() };
        Some(RunId { trial: trial.parse().ok()?, fold, attempt })
    };
    parse().ok_or_else(|| Failure::new(Code::Usage, format!("{text:?} is no run: write TRIAL/FOLD, such as 3/1")))
}

/// A state as it is written in the database.
pub(super) fn state(state: &impl serde::Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
