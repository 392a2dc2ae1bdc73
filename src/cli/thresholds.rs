//! `sweep thresholds`: from which probability on a label should be given.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::print::outln;
use super::{Format, render};
use crate::failure::{Code, Failure};
use crate::metrics::{Average, CrossFitted, Scores, Thresholds, UNTUNED, cross_fit, tune_thresholds};
use crate::settings::Settings;
use crate::spec::{Spec, Trainer};
use crate::store::{PredictionRow, Reader, SweepRecord};
use crate::sweep::TrialId;

#[derive(Debug, Args)]
pub(super) struct ThresholdsArgs {
    /// Name of the sweep [default: the newest]
    sweep: Option<String>,
    /// The trial: its number, or `baseline` [default: the best]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    trial: Option<TrialId>,
    /// Which F1 the global threshold is for [default: that of the objective, else macro]
    #[arg(long, value_enum)]
    average: Option<Goal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Goal {
    Macro,
    Micro,
}

/// Tunes thresholds on what the folds of a trial said of documents that they were not trained on.
pub(super) async fn thresholds(args: ThresholdsArgs, settings: &Settings, format: Format) -> Result<Code, Failure> {
    let reader = Reader::open(&settings.db).await?;
    let record = match &args.sweep {
        Some(name) => reader.sweep(name).await?,
        None => reader.latest().await?,
    };
    let name = &record.name;
    let spec = Spec::of_file(&record.spec_path, &record.spec, &record.overrides)
        .map_err(|problems| Failure::spec(&format!("the sweep file that {name} was started with"), &problems))?;
    let refused =
        |what: String| Err(Failure::new(Code::Usage, what).hint("thresholds are for sweeps with data.labels"));
    match &spec.trainer {
        Trainer::Program(_) => {
            return refused(format!("{name} is trained by a program, which gives labels as it likes"));
        }
        Trainer::BuiltIn(trainer) if !trainer.config.data.is_multi_label() => {
            let what = format!("{name} has one label a document: the most probable one is given, without a threshold");
            return refused(what);
        }
        Trainer::BuiltIn(_) => {}
    }
    let trial = match args.trial {
        Some(trial) => trial,
        None => best(&reader, name).await?,
    };
    let is_micro = args.average.map_or_else(|| spec.search.objective.starts_with("micro_"), |goal| goal == Goal::Micro);
    let average = if is_micro { Average::Micro } else { Average::Macro };
    let answers = Answers::read(&reader.predictions(name, trial).await?, &record, trial)?;
    let (tuned, scores) = answers.tune(average);
    let documents = answers.truth.len();
    if format == Format::Json {
        render::json(&json!({
            "sweep": name, "trial": trial, "average": average, "documents": documents, "classes": record.classes,
            "global": tuned.global, "per_label": tuned.per_label, "cross_fitted": scores,
        }))?;
        return Ok(Code::Good);
    }
    let what = if trial.is_baseline() { "the baseline".to_owned() } else { format!("trial {trial}") };
    outln!("{name}, {what}: {documents} out-of-fold predictions\n");
    outln!("{}\n", overview(&tuned, &scores));
    outln!("{}\n", by_label(&tuned, &scores, &answers, &record.classes));
    outln!("F1 is cross-fitted: a fold is given labels by thresholds that were tuned on the other folds.");
    outln!("The thresholds above are tuned on all of them, for new documents.");
    if !trial.is_baseline() {
        outln!("\nnext: train.threshold = {:.4} is the global one as a key of the sweep file", tuned.global.threshold);
    }
    Ok(Code::Good)
}

async fn best(reader: &Reader, sweep: &str) -> Result<TrialId, Failure> {
    let best = reader.leaderboard(sweep).await?.first().map(|row| row.trial);
    best.ok_or_else(|| {
        Failure::new(Code::Usage, format!("{sweep} has no finished trial yet")).hint("--trial N names one with folds")
    })
}

/// What a trial said, document by document.
struct Answers {
    truth: Vec<Vec<u32>>,
    /// [documents, classes], row by row
    probabilities: Vec<f64>,
    /// Repeat and fold of each document.
    folds: Vec<[u32; 2]>,
    classes: usize,
}

impl Answers {
    fn read(rows: &[PredictionRow], record: &SweepRecord, trial: TrialId) -> Result<Self, Failure> {
        let (name, classes) = (&record.name, record.classes.len());
        let usage = |what: String| {
            Failure::new(Code::Usage, what).hint(format!("`sweep show {name}` lists the trials and their folds"))
        };
        let mut folds: Vec<_> = rows.iter().map(|row| row.fold).collect();
        folds.sort_unstable();
        folds.dedup();
        let repeats = folds.last().map_or(0, |last| last.repeat + 1);
        let what = if trial.is_baseline() { "the baseline".to_owned() } else { format!("trial {trial}") };
        if (0..repeats.max(1)).any(|repeat| folds.iter().filter(|fold| fold.repeat == repeat).count() < 2) {
            return Err(usage(format!(
                "{name}: {what} has fewer than two finished folds to tune on and to check with"
            )));
        }
        let damaged = |document: &str| {
            Failure::new(Code::Broken, format!("{name}: the prediction of document {document:?} cannot be understood"))
        };
        let mut answers = Self { truth: Vec::new(), probabilities: Vec::new(), folds: Vec::new(), classes };
        for row in rows {
            let labels: Vec<String> = serde_json::from_str(&row.label).map_err(|_| damaged(&row.document))?;
            let number = |label: &String| record.classes.iter().position(|class| class == label);
            let labels: Option<Vec<u32>> = labels.iter().map(|label| Some(number(label)? as u32)).collect();
            let sound = row.probabilities.len() == classes && row.probabilities.iter().all(|p| p.is_finite());
            answers.truth.push(labels.filter(|_| sound).ok_or_else(|| damaged(&row.document))?);
            answers.probabilities.extend(row.probabilities.iter().map(|p| f64::from(*p)));
            answers.folds.push([row.fold.repeat, row.fold.fold as u32]);
        }
        Ok(answers)
    }

    fn tune(&self, average: Average) -> (Thresholds, CrossFitted) {
        let tuned = tune_thresholds(&self.truth, &self.probabilities, self.classes, average);
        (tuned, cross_fit(&self.truth, &self.probabilities, self.classes, &self.folds, average))
    }
}

fn overview(tuned: &Thresholds, scores: &CrossFitted) -> String {
    let row = |name: &str, threshold: String, scores: &Scores| {
        let score = |score: f64| render::score(Some(score));
        vec![name.to_owned(), threshold, score(scores.macro_f1), score(scores.micro_f1)]
    };
    let rows = [
        row("untuned", format!("{UNTUNED:.4}"), &scores.untuned),
        row("one for all labels", format!("{:.4}", tuned.global.threshold), &scores.global),
        row("one a label", "below".to_owned(), &scores.per_label),
    ];
    render::table(&["thresholds", "at", "macro F1", "micro F1"], &rows)
}

fn by_label(tuned: &Thresholds, scores: &CrossFitted, answers: &Answers, classes: &[String]) -> String {
    let row = |(label, class): (usize, &String)| {
        let documents = answers.truth.iter().filter(|labels| labels.contains(&(label as u32))).count();
        vec![
            class.clone(),
            documents.to_string(),
            render::score(Some(scores.untuned.of_labels[label])),
            format!("{:.4}", tuned.per_label[label].threshold),
            render::score(Some(scores.per_label.of_labels[label])),
        ]
    };
    let rows: Vec<Vec<String>> = classes.iter().enumerate().map(row).collect();
    render::table(&["label", "documents", "F1 at 0.5", "threshold", "F1 at it"], &rows)
}
