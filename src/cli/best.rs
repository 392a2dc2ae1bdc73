//! `sweep best`: the winner, and what may be said of it.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::baseline::Baseline;
use super::correction::{Corrected, corrections};
use super::holdout::Holdout;
use super::print::outln;
use super::{Format, render};
use crate::failure::{Code, Failure};
use crate::search::space::Point;
use crate::settings::Settings;
use crate::spec::Spec;
use crate::store::{LeaderboardRow, Reader, RunRow, RunState, SweepRow, SweepState, TrialRow, TrialState};
use crate::sweep::{FoldId, TrialId};

#[derive(Debug, Args)]
pub(super) struct BestArgs {
    /// Name of the sweep [default: the newest]
    sweep: Option<String>,
}

/// All that is said.
#[derive(Serialize)]
struct Report {
    sweep: SweepRow,
    spent: Spent,
    /// Trials that were stopped before their last fold.
    raced_out: usize,
    /// Why trials failed, the last first.
    failures: Vec<String>,
    best: Option<Best>,
}

#[derive(Serialize)]
struct Spent {
    runs: usize,
    /// Of all runs together, those of the baseline and on the holdout too.
    run_seconds: f64,
    /// From start to end, without breaks.
    seconds: f64,
}

#[derive(Serialize)]
struct Best {
    #[serde(flatten)]
    row: LeaderboardRow,
    /// Of its runs together.
    seconds: Option<f64>,
    /// Arguments of `sweep run` that make a sweep file train it.
    set: Vec<String>,
    folds: Vec<Fold>,
    /// The one to report first.
    corrected: Vec<Corrected>,
    tied: Vec<Tied>,
    /// Of the best and those tied with it, the one whose runs took least.
    cheapest: Option<TrialId>,
    baseline: Option<Baseline>,
    holdout: Option<Holdout>,
}

#[derive(Serialize)]
struct Fold {
    #[serde(flatten)]
    fold: FoldId,
    score: f64,
}

#[derive(Serialize)]
struct Tied {
    trial: TrialId,
    score: f64,
    /// Its score less the best's, over the folds that both have.
    difference: Option<f64>,
    difference_se: Option<f64>,
    seconds: Option<f64>,
}

/// Says which trial is best, how sure that is, and what to report.
pub(super) async fn best(args: BestArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let reader = Reader::open(&settings.db).await?;
    let record = match &args.sweep {
        Some(name) => reader.sweep(name).await?,
        None => reader.latest().await?,
    };
    let name = &record.name;
    let sweep = reader.sweeps().await?.into_iter().find(|row| row.sweep == *name);
    let sweep = sweep.ok_or_else(|| Failure::new(Code::Broken, format!("{name} is gone from the database")))?;
    let (trials, runs) = (reader.trials(name).await?, reader.runs(name).await?);
    let leaderboard = reader.leaderboard(name).await?;
    let best = match leaderboard.first() {
        None => None,
        Some(row) => {
            let spec = Spec::of_file(&record.spec_path, &record.spec, &record.overrides).map_err(|problems| {
                Failure::spec(&format!("the sweep file that {name} was started with"), &problems)
            })?;
            let corrected = corrections(&reader, &record, &spec, &leaderboard, &runs).await?;
            let baseline = Baseline::read(&reader, name, Some(row)).await?;
            let begun = Holdout::read(&reader, name, Some(row)).await?;
            let holdout = begun.or_else(|| spec.folds.holdout.map(|_| Holdout::untouched()));
            Some(Best { baseline, holdout, ..Best::new(row, &leaderboard, &trials, &runs, corrected) })
        }
    };
    let points = || trials.iter().filter(|trial| !trial.trial.is_baseline());
    let report = Report {
        spent: Spent {
            runs: runs.len(),
            run_seconds: runs.iter().filter_map(|run| run.seconds).sum(),
            seconds: sweep.seconds,
        },
        raced_out: points().filter(|trial| trial.state == TrialState::Pruned).count(),
        failures: points().rev().filter(|trial| trial.state == TrialState::Failed).filter_map(why).collect(),
        sweep,
        best,
    };
    match format {
        Format::Json => render::json(&report)?,
        Format::Table | Format::Csv => report.print(),
    }
    Ok(Code::Good)
}

fn why(trial: &TrialRow) -> Option<String> {
    Some(format!("trial {}: {}", trial.trial, trial.why.as_ref()?))
}

impl Best {
    fn new(
        row: &LeaderboardRow,
        leaderboard: &[LeaderboardRow],
        trials: &[TrialRow],
        runs: &[RunRow],
        corrected: Vec<Corrected>,
    ) -> Self {
        let seconds = |id: TrialId| trials.iter().find(|trial| trial.trial == id).and_then(|trial| trial.seconds);
        let finished = runs.iter().filter(|run| run.run.trial == row.trial && run.state == RunState::Finished);
        let of_folds = finished.filter(|run| !run.run.fold.is_holdout());
        let folds = of_folds.filter_map(|run| Some(Fold { fold: run.run.fold, score: run.score? })).collect();
        let others = leaderboard.iter().filter(|other| other.trial != row.trial);
        let tied: Vec<Tied> = others
            .filter(|other| other.tied_with_best == Some(true))
            .map(|other| Tied {
                trial: other.trial,
                score: other.score,
                difference: other.difference,
                difference_se: other.difference_se,
                seconds: seconds(other.trial),
            })
            .collect();
        let took = tied.iter().filter_map(|tied| Some((tied.seconds?, tied.trial)));
        let took = seconds(row.trial).map(|seconds| (seconds, row.trial)).into_iter().chain(took);
        let cheapest = took.min_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, trial)| trial);
        let set = row.params.iter().map(|(name, value)| format!("{name}={}", toml(value))).collect();
        let (row, seconds) = (row.clone(), seconds(row.trial));
        Self { row, seconds, set, folds, corrected, tied, cheapest, baseline: None, holdout: None }
    }
}

impl Report {
    fn print(&self) {
        let SweepRow { sweep: name, state, finished, trials, failed, .. } = &self.sweep;
        let raced = if self.raced_out > 0 { format!(", {} raced out", self.raced_out) } else { String::new() };
        outln!("{name}: {}, {finished} of {trials} trials finished{raced}, {failed} failed", super::read::state(state));
        match &self.best {
            Some(best) => best.print(&self.sweep),
            None => outln!("\n{}", self.without_best()),
        }
        let Spent { runs, run_seconds, seconds } = self.spent;
        outln!("\nspent: {} by {runs} runs, in {}", render::duration(run_seconds), render::duration(seconds));
        if let Some(best) = &self.best {
            outln!("\nnext: sweep show {name} --trial {}    its folds and metrics", best.row.trial);
        }
    }

    /// What to say where no trial has all its folds.
    fn without_best(&self) -> String {
        let SweepRow { sweep: name, state, trials, .. } = &self.sweep;
        let open = matches!(state, SweepState::Running | SweepState::Paused);
        match self.failures.first() {
            Some(why) if !open => format!(
                "no best trial: none was finished; the last failure: {why}\n\
                 next: sweep resume {name} --retry-failed    once that is mended"
            ),
            Some(why) => format!("no best trial yet: none is finished; the last failure: {why}"),
            None if open => "no best trial yet: none is finished".to_owned(),
            None if *trials == 0 => "no best trial: no trial was begun".to_owned(),
            None => format!("no best trial: none was finished\nnext: sweep resume {name}    to go on"),
        }
    }
}

/// Trials that are named one by one.
const NAMED: usize = 10;

impl Best {
    fn print(&self, sweep: &SweepRow) {
        let LeaderboardRow { trial, score, score_se, params, .. } = &self.row;
        let (objective, is_lower_better) = (&sweep.objective, sweep.direction == "minimize");
        let note = if is_lower_better { " (lower is better)" } else { "" };
        let so_far = if sweep.state == SweepState::Finished { "" } else { " so far" };
        outln!("\nbest{so_far}: trial {trial}");
        outln!("  {objective} {}{note}, {}", render::score_with_error(Some(*score), *score_se), self.spread());
        match self.corrected.first() {
            Some(corrected) if self.is_on_holdout() => outln!("  {corrected}"),
            Some(corrected) => outln!("  {corrected}: the number to report"),
            None if sweep.finished > 1 => {
                outln!("  not corrected for the choice among {} trials: one fold does not tell", sweep.finished);
            }
            None => outln!("  the only finished trial: nothing was chosen, so nothing is corrected"),
        }
        if let Some(holdout) = &self.holdout {
            let note = if self.is_on_holdout() { "\nthe score on the holdout is the number to report" } else { "" };
            outln!("\n{}{note}", holdout.lines(sweep));
        }
        outln!("\n{}", self.tied(sweep));
        if let Some(baseline) = &self.baseline {
            outln!("{}", baseline.line(&sweep.direction));
        }
        if params.iter().next().is_some() {
            outln!("\nits parameters, for the top of a sweep file:");
            outln!("{}", lines(params));
            let arguments: Vec<String> = self.set.iter().map(|change| format!("--set {}", quoted(change))).collect();
            outln!("or: {}", arguments.join(" "));
        }
    }

    fn is_on_holdout(&self) -> bool {
        self.holdout.as_ref().is_some_and(Holdout::is_scored)
    }

    /// The folds as they stand in the order of repeats, `0.81 0.84 | 0.82 0.80`.
    fn spread(&self) -> String {
        let repeats = self.folds.chunk_by(|a, b| a.fold.repeat == b.fold.repeat);
        let repeat =
            |folds: &[Fold]| folds.iter().map(|fold| render::score(Some(fold.score))).collect::<Vec<_>>().join(" ");
        let strip: Vec<String> = repeats.map(repeat).collect();
        format!("folds {}", strip.join(" | "))
    }

    fn tied(&self, sweep: &SweepRow) -> String {
        let rivals = sweep.finished.saturating_sub(1);
        if rivals == 0 {
            return "tied with it: there is no other finished trial".to_owned();
        }
        if self.folds.len() < 2 {
            return "tied with it: one fold does not tell; folds.k or folds.repeats would".to_owned();
        }
        let test = format!("paired over {} folds, corrected t-test at 5 %", self.folds.len());
        if self.tied.is_empty() {
            return format!("tied with it: none of the {rivals} others ({test})");
        }
        let mut names: Vec<String> = self.tied.iter().take(NAMED).map(|tied| tied.trial.to_string()).collect();
        if self.tied.len() > NAMED {
            names.push(format!("and {} more", self.tied.len() - NAMED));
        }
        let took = |seconds: Option<f64>| seconds.map(render::duration).unwrap_or_default();
        let cheapest = match self.cheapest {
            Some(trial) if trial == self.row.trial => "; the best is also the cheapest".to_owned(),
            Some(trial) => {
                let seconds = self.tied.iter().find(|tied| tied.trial == trial).and_then(|tied| tied.seconds);
                format!("; the cheapest is {trial}: {} of runs, the best {}", took(seconds), took(self.seconds))
            }
            None => String::new(),
        };
        format!("tied with it: {} of {rivals} others ({test}): {}{cheapest}", self.tied.len(), names.join(", "))
    }
}

/// Keys and values as TOML.
fn lines(params: &Point) -> String {
    let line = |(name, value): (&String, &Value)| format!("  {} = {}", key(name), toml(value));
    params.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn key(name: &str) -> String {
    let is_bare = name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if is_bare { name.to_owned() } else { Value::from(name).to_string() }
}

/// JSON's numbers, words and strings are TOML's too.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(table) => {
            let entries: Vec<String> =
                table.iter().map(|(name, value)| format!("{} = {}", key(name), toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-.=+:,/@%".contains(c));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Override;

    #[test]
    fn parameters_can_be_copied() {
        let values = [
            json!(1e-5),
            json!(3),
            json!(true),
            json!("it's 中文"),
            json!(["a", 2]),
            json!({ "kind": "mean", "n": 1.5 }),
        ];
        let point: Point = values.iter().enumerate().map(|(n, value)| (format!("model.p{n}"), value.clone())).collect();
        insta::assert_snapshot!(lines(&point), @r#"
        model.p0 = 0.00001
        model.p1 = 3
        model.p2 = true
        model.p3 = "it's 中文"
        model.p4 = ["a", 2]
        model.p5 = { kind = "mean", n = 1.5 }
        "#);
        for value in &values {
            let change = Override::parse(&format!("a.b={}", toml(value))).expect("is read");
            assert_eq!(&change.value, value);
        }
        assert_eq!([quoted("a=1e-5"), quoted("a=\"it's\"")], ["a=1e-5", r#"'a="it'\''s"'"#]);
    }
}
