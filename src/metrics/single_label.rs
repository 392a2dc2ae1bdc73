use std::cell::OnceCell;

use super::confusion::{Confusion, Counts, accuracy, average, balanced_accuracy, kappa, mcc, undefined_classes};
use super::ranking::{Ranking, one_vs_one};
use super::{Report, SINGLE_LABEL, calibration, class_scores, mean, weighted_mean};

/// Scores single-label truth: every metric of [`SINGLE_LABEL`].
///
/// `truth`: the class of each document. `probabilities`: documents x classes, row-major, each row
/// summing to 1. The prediction is the most probable class, of equals the lowest.
///
/// # Panics
/// On shapes that disagree or a class out of range.
pub fn single(truth: &[u32], probabilities: &[f64], classes: usize) -> Report {
    let Some(answers) = Answers::new(truth, probabilities, classes) else {
        let support = |class| truth.iter().filter(|&&t| t as usize == class).count() as u64;
        return Report::undefined(SINGLE_LABEL, (0..classes).map(support));
    };
    Report {
        values: SINGLE_LABEL.iter().map(|name| ((*name).to_owned(), answers.value(name))).collect(),
        per_class: class_scores(answers.counts(), answers.rankings()),
        undefined_classes: undefined_classes(answers.counts()),
        confusion: Some(answers.confusion.cells),
    }
}

/// What was said of each document. What a metric needs is made when the first one asks for it.
pub(super) struct Answers<'a> {
    truth: &'a [u32],
    probabilities: &'a [f64],
    classes: usize,
    predicted: Vec<usize>,
    confusion: Confusion,
    counts: OnceCell<Vec<Counts>>,
    rankings: OnceCell<Vec<Ranking>>,
}

impl<'a> Answers<'a> {
    /// None where a probability is no number.
    pub(super) fn new(truth: &'a [u32], probabilities: &'a [f64], classes: usize) -> Option<Self> {
        assert!(classes > 0, "a classifier has at least one class");
        assert_eq!(probabilities.len(), truth.len() * classes, "documents x classes");
        if probabilities.iter().any(|p| !p.is_finite()) {
            return None;
        }
        let predicted: Vec<_> = probabilities.chunks_exact(classes).map(argmax).collect();
        let confusion = Confusion::new(truth, &predicted, classes);
        let (counts, rankings) = (OnceCell::new(), OnceCell::new());
        Some(Self { truth, probabilities, classes, predicted, confusion, counts, rankings })
    }

    /// One of [`SINGLE_LABEL`].
    pub(super) fn value(&self, name: &str) -> f64 {
        let Self { truth, probabilities, classes, .. } = *self;
        match name {
            "accuracy" => accuracy(self.counts()),
            "average_precision" => mean(self.rankings().iter().map(|r| r.average_precision)),
            "balanced_accuracy" => balanced_accuracy(self.counts()),
            "brier" => calibration::brier(truth, probabilities, classes),
            "ece" => calibration::ece(&self.confidences(), 10),
            "ece_15" => calibration::ece(&self.confidences(), 15),
            "kappa" => kappa(self.counts()),
            "log_loss" => calibration::log_loss(truth, probabilities, classes),
            "mcc" => mcc(self.counts()),
            "roc_auc" | "roc_auc_ovo" | "roc_auc_weighted" if classes == 2 => self.rankings()[1].roc_auc,
            "roc_auc" => mean(self.rankings().iter().map(|r| r.roc_auc)),
            "roc_auc_ovo" => one_vs_one(truth, probabilities, classes),
            "roc_auc_weighted" => {
                weighted_mean(self.rankings().iter().zip(self.counts()).map(|(r, c)| (r.roc_auc, c.support)))
            }
            averaged => average(averaged, self.counts()),
        }
    }

    fn counts(&self) -> &[Counts] {
        self.counts.get_or_init(|| self.confusion.counts())
    }

    /// Of one class against the rest.
    fn rankings(&self) -> &[Ranking] {
        let one_vs_rest = |class: usize| {
            let scores = self.probabilities.iter().skip(class).step_by(self.classes).copied();
            Ranking::new(scores.zip(self.truth.iter().map(|&t| t as usize == class)))
        };
        self.rankings.get_or_init(|| (0..self.classes).map(one_vs_rest).collect())
    }

    /// How sure each prediction is, and whether it is right.
    fn confidences(&self) -> Vec<(f64, bool)> {
        (self.probabilities.chunks_exact(self.classes).zip(self.truth).zip(&self.predicted))
            .map(|((row, &class), &predicted)| (row[predicted], class as usize == predicted))
            .collect()
    }
}

fn argmax(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}
