//! Scores of a classifier on one evaluation set.
//!
//! Definitions, and the answers to degenerate inputs, are those of scikit-learn 1.9 with
//! `zero_division = 0`: an undefined precision, recall or F1 counts 0, a ranking score without both
//! kinds of truth is NaN, as is whatever averages it. `tests/fixtures` holds scikit-learn's values.
//!
//! A probability that is NaN or infinite makes every value NaN: a diverged model must not look like
//! one that always answers the first class.

mod calibration;
mod confusion;
mod multi_label;
pub(crate) mod nan_as_null;
mod ranking;
mod single_label;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod threshold_tests;
mod thresholds;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use multi_label::multi;
pub use single_label::single;
pub use thresholds::{Average, CrossFitted, Scores, Thresholds, Tuned, UNTUNED, cross_fit, tune_thresholds};

use crate::spec::Direction;
use confusion::Counts;
use ranking::Ranking;

/// Truth of one evaluation set.
#[derive(Clone, Copy, Debug)]
pub enum Truth<'a> {
    /// The class of each document.
    Single(&'a [u32]),
    /// The sorted label ids of each document; a document may have none.
    Multi(&'a [Vec<u32>]),
}

impl Truth<'_> {
    /// Number of documents.
    pub fn documents(&self) -> usize {
        match self {
            Self::Single(of) => of.len(),
            Self::Multi(of) => of.len(),
        }
    }

    /// [`single`] or [`multi`], as the truth is; single-label truth has no use for `thresholds`.
    ///
    /// # Panics
    /// As those do.
    pub fn report(&self, probabilities: &[f64], classes: usize, thresholds: &[f64]) -> Report {
        match self {
            Self::Single(of) => single(of, probabilities, classes),
            Self::Multi(of) => multi(of, probabilities, classes, thresholds),
        }
    }
}

/// One metric without the others: what is resampled a thousand times asks for no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric(&'static str);

impl Metric {
    /// None for a name that the task does not know.
    pub fn named(name: &str, multi_label: bool) -> Option<Self> {
        names(multi_label).iter().find(|known| **known == name).map(|name| Self(name))
    }

    /// As [`Truth::report`] gives it; NaN where that has none.
    ///
    /// # Panics
    /// As that does.
    pub fn of(self, truth: Truth<'_>, probabilities: &[f64], classes: usize, thresholds: &[f64]) -> f64 {
        match truth {
            Truth::Single(of) => {
                single_label::Answers::new(of, probabilities, classes).map_or(f64::NAN, |answers| answers.value(self.0))
            }
            Truth::Multi(of) => {
                let truth = multi_label::dense(of, classes);
                let answers = multi_label::Answers::new(&truth, probabilities, classes, thresholds);
                answers.map_or(f64::NAN, |answers| answers.value(self.0))
            }
        }
    }
}

/// All scores of one evaluation set. In JSON a NaN is `null`, and `null` reads back as NaN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The value of each metric in [`SINGLE_LABEL`] or [`MULTI_LABEL`].
    #[serde(with = "nan_as_null::map")]
    pub values: BTreeMap<String, f64>,
    /// One entry per class, also for a class that neither truth nor prediction holds.
    pub per_class: Vec<ClassScores>,
    /// `confusion[truth][prediction]` in documents; none for multi-label truth and for a report
    /// that is NaN throughout.
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Classes whose precision (never predicted) or recall (never true) is undefined; they count 0
    /// in the macro averages.
    pub undefined_classes: usize,
}

/// Scores of one class against the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassScores {
    /// Share of the documents given this class that have it.
    #[serde(with = "nan_as_null")]
    pub precision: f64,
    /// Share of the documents of this class that were given it.
    #[serde(with = "nan_as_null")]
    pub recall: f64,
    /// Harmonic mean of precision and recall.
    #[serde(with = "nan_as_null")]
    pub f1: f64,
    /// Documents of this class.
    pub support: u64,
    /// Area under the ROC curve; NaN where all documents or none have this class.
    #[serde(with = "nan_as_null")]
    pub roc_auc: f64,
    /// Average precision; 0 where no document has this class.
    #[serde(with = "nan_as_null")]
    pub average_precision: f64,
}

/// Whether larger or smaller values of a metric are better; none for an unknown name.
pub fn direction(name: &str) -> Option<Direction> {
    if MINIMIZED.contains(&name) {
        Some(Direction::Minimize)
    } else if SINGLE_LABEL.contains(&name) || MULTI_LABEL.contains(&name) {
        Some(Direction::Maximize)
    } else {
        None
    }
}

/// The names of all metrics of a task.
pub fn names(multi_label: bool) -> &'static [&'static str] {
    if multi_label { MULTI_LABEL } else { SINGLE_LABEL }
}

/// The metrics that [`single`] gives.
///
/// - `roc_auc`, `roc_auc_weighted`: one class against the rest, averaged over the classes equally or
///   by support. NaN once a class that counts is absent. With two classes, both and `roc_auc_ovo`
///   are the area of class 1.
/// - `roc_auc_ovo`: each pair of classes that the truth holds (Hand & Till 2001).
/// - `kappa`: Cohen's, unweighted. `mcc`: Matthews's correlation, for any number of classes.
/// - `log_loss`: mean negative log-likelihood in nats.
/// - `brier`: squared error summed over the classes, from 0 to 2, also with two classes.
/// - `ece`, `ece_15`: expected calibration error of the top class over 10 or 15 bins of equal width
///   (Guo et al. 2017).
pub const SINGLE_LABEL: &[&str] = &[
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "ece",
    "ece_15",
    "kappa",
    "log_loss",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "mcc",
    "micro_f1",
    "micro_precision",
    "micro_recall",
    "roc_auc",
    "roc_auc_ovo",
    "roc_auc_weighted",
    "weighted_f1",
    "weighted_precision",
    "weighted_recall",
];

/// The metrics that [`multi`] gives; `precision_at_k` only for k up to the number of classes.
///
/// - `roc_auc_micro`, `average_precision_micro`: all cells of document x label as one ranking.
/// - `samples_f1`, `jaccard`: the mean over documents; a document without true and predicted labels
///   counts 0.
/// - `lrap`: label ranking average precision. `coverage_error`: how far down the ranking one goes to
///   meet every true label, in labels. (Tsoumakas, Katakis, Vlahavas 2010.)
/// - `precision_at_k`: share of the k labels ranked first that are true; always out of k.
/// - `log_loss`: mean binary cross-entropy over all cells in nats.
pub const MULTI_LABEL: &[&str] = &[
    "average_precision",
    "average_precision_micro",
    "coverage_error",
    "hamming_loss",
    "jaccard",
    "log_loss",
    "lrap",
    "macro_f1",
    "macro_precision",
    "macro_recall",
    "micro_f1",
    "micro_precision",
    "micro_recall",
    "precision_at_1",
    "precision_at_3",
    "precision_at_5",
    "roc_auc",
    "roc_auc_micro",
    "roc_auc_weighted",
    "samples_f1",
    "subset_accuracy",
    "weighted_f1",
    "weighted_precision",
    "weighted_recall",
];

const MINIMIZED: &[&str] = &["brier", "coverage_error", "ece", "ece_15", "hamming_loss", "log_loss"];

impl Report {
    fn undefined(names: &[&str], supports: impl IntoIterator<Item = u64>) -> Self {
        let class = |support| ClassScores {
            precision: f64::NAN,
            recall: f64::NAN,
            f1: f64::NAN,
            support,
            roc_auc: f64::NAN,
            average_precision: f64::NAN,
        };
        let per_class: Vec<_> = supports.into_iter().map(class).collect();
        Self {
            values: names.iter().map(|&n| (n.to_owned(), f64::NAN)).collect(),
            undefined_classes: per_class.len(),
            per_class,
            confusion: None,
        }
    }
}

fn class_scores(counts: &[Counts], rankings: &[Ranking]) -> Vec<ClassScores> {
    let class = |(count, ranking): (&Counts, &Ranking)| ClassScores {
        precision: count.precision(),
        recall: count.recall(),
        f1: count.f1(),
        support: count.support,
        roc_auc: ranking.roc_auc,
        average_precision: ranking.average_precision,
    };
    counts.iter().zip(rankings).map(class).collect()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0_u64);
    for value in values {
        sum += value;
        count += 1;
    }
    sum / count as f64
}

/// Mean by weight. A value without weight is left out even where it is NaN; all without: 0.
fn weighted_mean(values: impl IntoIterator<Item = (f64, u64)>) -> f64 {
    let (mut sum, mut total) = (0.0, 0);
    for (value, weight) in values.into_iter().filter(|&(_, weight)| weight > 0) {
        sum += value * weight as f64;
        total += weight;
    }
    if total == 0 { 0.0 } else { sum / total as f64 }
}
