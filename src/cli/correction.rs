//! How much of the best trial's score is the luck of having been chosen, from what the database has of its rivals.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use rayon::prelude::*;
use serde::Serialize;

use super::progress::patiently;
use crate::crossval::{Bootstrap, Labels, Optimism, OutOfFold, Units, tibshirani};
use crate::failure::{Code, Failure};
use crate::metrics::Metric;
use crate::spec::{Direction, Spec, Trainer};
use crate::store::{LeaderboardRow, PredictionRow, Reader, RunRow, RunState, SweepRecord};
use crate::sweep::{FoldId, TrialId};

/// The score of the best trial, less what is luck.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Corrected {
    #[serde(flatten)]
    method: Method,
    pub(super) score: f64,
    /// What the score was too good: 0 or more, whatever the direction.
    pub(super) optimism: f64,
    /// Trials that it was chosen from.
    pub(super) trials: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "method", rename_all = "snake_case")]
enum Method {
    BbcDocuments { documents: usize, draws: usize },
    BbcFolds { folds: usize, draws: usize },
    Tibshirani { folds: usize },
}

/// Draws of a bootstrap; the error of their mean is far below that of a score of so few documents.
const DRAWS: u32 = 500;
const SEED: u64 = 17;
/// Trials whose predictions are held at once: those after the best hundred win no draw worth the memory.
const CANDIDATES: usize = 100;

/// By every method that the finished trials allow, the one to report first; none where there was nothing to choose from
/// or a single fold.
pub(super) async fn corrections(
    reader: &Reader,
    record: &SweepRecord,
    spec: &Spec,
    leaderboard: &[LeaderboardRow],
    runs: &[RunRow],
) -> Result<Vec<Corrected>, Failure> {
    let Some(best) = leaderboard.first().filter(|_| leaderboard.len() > 1) else {
        return Ok(Vec::new());
    };
    let direction = spec.search.direction;
    let corrected = |method: Method, trials: usize, optimism: f64| {
        let score = direction.gain(direction.gain(best.score) - optimism);
        Corrected { method, score, optimism, trials }
    };
    let mut found = Vec::new();
    let work = async {
        let mut candidates: Vec<&LeaderboardRow> = leaderboard.iter().take(CANDIDATES).collect();
        candidates.sort_by_key(|row| row.trial);
        let Some(answers) = answers(reader, record, spec, &candidates).await? else {
            return Ok::<_, Failure>(None);
        };
        let (documents, trials) = (answers.documents(), answers.trials());
        let winner = candidates.iter().position(|row| row.trial == best.trial).unwrap_or_default();
        let optimism = optimism(Units::Documents(answers), winner, direction).await?;
        Ok(optimism.map(|Optimism { mean, draws }| (Method::BbcDocuments { documents, draws }, trials, mean)))
    };
    if let Some((method, trials, mean)) = patiently("choosing the best again, from resampled documents", work).await? {
        found.push(corrected(method, trials, mean));
    }
    if let Some((scores, winner)) = fold_scores(leaderboard, runs) {
        let (folds, trials) = (scores[winner].len(), scores.len());
        let gap = tibshirani(&scores, winner, direction);
        if let Some(Optimism { mean, draws }) = optimism(Units::Folds(scores), winner, direction).await? {
            found.push(corrected(Method::BbcFolds { folds, draws }, trials, mean));
        }
        found.push(corrected(Method::Tibshirani { folds }, trials, gap));
    }
    Ok(found)
}

/// Draws know their numbers, so threads change nothing.
async fn optimism(units: Units, winner: usize, direction: Direction) -> Result<Option<Optimism>, Failure> {
    let draw = move || {
        let bootstrap = Bootstrap { units: &units, winner, direction, seed: SEED };
        let draws: Vec<Option<f64>> = (0..DRAWS).into_par_iter().map(|number| bootstrap.draw(number)).collect();
        Optimism::over(draws)
    };
    tokio::task::spawn_blocking(draw).await.map_err(|error| Failure::new(Code::Broken, error.to_string()))
}

/// `[trial][fold]` of the trials that have every fold of the best, in the order of their numbers, and the place of the
/// best; none on a single fold.
fn fold_scores(leaderboard: &[LeaderboardRow], runs: &[RunRow]) -> Option<(Vec<Vec<f64>>, usize)> {
    let mut of: BTreeMap<TrialId, BTreeMap<FoldId, f64>> =
        leaderboard.iter().map(|row| (row.trial, BTreeMap::new())).collect();
    for row in runs.iter().filter(|row| row.state == RunState::Finished && !row.run.fold.is_holdout()) {
        if let (Some(folds), Some(score)) = (of.get_mut(&row.run.trial), row.score) {
            folds.insert(row.run.fold, score);
        }
    }
    let best = leaderboard.first()?.trial;
    let wanted: Vec<FoldId> = of.get(&best)?.keys().copied().collect();
    of.retain(|_, folds| folds.keys().eq(wanted.iter()));
    let winner = of.keys().position(|trial| *trial == best)?;
    let scores: Vec<Vec<f64>> = of.into_values().map(|folds| folds.into_values().collect()).collect();
    (wanted.len() > 1 && scores.len() > 1).then_some((scores, winner))
}

/// What the candidates said out of fold; none where predictions are missing or the objective is no metric of them.
async fn answers(
    reader: &Reader,
    record: &SweepRecord,
    spec: &Spec,
    candidates: &[&LeaderboardRow],
) -> Result<Option<OutOfFold>, Failure> {
    // what the predictions of a program mean only the program knows
    let Trainer::BuiltIn(trainer) = &spec.trainer else {
        return Ok(None);
    };
    let multi_label = trainer.config.data.is_multi_label();
    let Some(metric) = Metric::named(&spec.search.objective, multi_label) else {
        return Ok(None);
    };
    let classes: HashMap<&str, u32> = record.classes.iter().map(String::as_str).zip(0..).collect();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut answers: Option<OutOfFold> = None;
    for row in candidates {
        let rows = reader.predictions(&record.name, row.trial).await?;
        let Ok(config) = trainer.config_at(&row.params) else {
            return Ok(None);
        };
        let of_class = |class: &String| config.train.thresholds.get(class).copied().unwrap_or(config.train.threshold);
        let thresholds = record.classes.iter().map(of_class).collect();
        if answers.is_none() {
            let first: Vec<&PredictionRow> = rows.iter().filter(|row| row.fold.repeat == 0).collect();
            places = first.iter().enumerate().map(|(place, row)| (row.document.clone(), place)).collect();
            let Some(labels) = labels(&first, &classes, multi_label).filter(|_| !first.is_empty()) else {
                return Ok(None);
            };
            answers = Some(OutOfFold::new(metric, classes.len(), labels));
        }
        let Some((answers, repeats)) = answers.as_mut().zip(repeats(&rows, &places, classes.len())) else {
            return Ok(None);
        };
        answers.push(repeats, thresholds);
    }
    Ok(answers)
}

fn labels(rows: &[&PredictionRow], classes: &HashMap<&str, u32>, multi_label: bool) -> Option<Labels> {
    if !multi_label {
        return rows
            .iter()
            .map(|row| classes.get(row.label.as_str()).copied())
            .collect::<Option<_>>()
            .map(Labels::Single);
    }
    let of_document = |row: &&PredictionRow| -> Option<Vec<u32>> {
        let names: Vec<String> = serde_json::from_str(&row.label).ok()?;
        let mut labels = names.iter().map(|name| classes.get(name.as_str()).copied()).collect::<Option<Vec<u32>>>()?;
        labels.sort_unstable();
        Some(labels)
    };
    rows.iter().map(of_document).collect::<Option<_>>().map(Labels::Multi)
}

/// The probabilities of each repeat in the order of the documents; none unless each repeat has all of them.
fn repeats(rows: &[PredictionRow], places: &HashMap<String, usize>, classes: usize) -> Option<Vec<Vec<f32>>> {
    let count = rows.iter().map(|row| row.fold.repeat as usize + 1).max()?;
    if rows.len() != count * places.len() {
        return None;
    }
    let mut repeats = vec![vec![f32::NAN; places.len() * classes]; count];
    for row in rows.iter().filter(|row| row.probabilities.len() == classes) {
        let place = *places.get(&row.document)?;
        repeats[row.fold.repeat as usize][place * classes..][..classes].copy_from_slice(&row.probabilities);
    }
    repeats.iter().flatten().all(|p| p.is_finite()).then_some(repeats)
}

impl fmt::Display for Corrected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { score, trials, .. } = self;
        write!(f, "{score:.4} corrected for the choice among {trials} trials, by ")?;
        match self.method {
            Method::BbcDocuments { documents, draws } => {
                write!(f, "BBC-CV ({draws} draws of {documents} out-of-fold predictions)")
            }
            Method::BbcFolds { folds, draws } => write!(f, "BBC-CV over folds ({draws} draws of {folds} folds)"),
            Method::Tibshirani { folds } => write!(f, "Tibshirani & Tibshirani ({folds} folds)"),
        }
    }
}
