use std::cell::OnceCell;

use super::confusion::{Counts, average, undefined_classes};
use super::ranking::{LabelRanking, Ranking};
use super::{MULTI_LABEL, Report, calibration, class_scores, mean, weighted_mean};

/// Scores multi-label truth: every metric of [`MULTI_LABEL`].
///
/// `truth`: the sorted label ids of each document. `probabilities`: documents x classes, row-major,
/// each label's own. A label is given when its probability reaches its entry in `thresholds`.
///
/// # Panics
/// On shapes that disagree or a label out of range.
pub fn multi(truth: &[Vec<u32>], probabilities: &[f64], classes: usize, thresholds: &[f64]) -> Report {
    let truth = dense(truth, classes);
    let names = || MULTI_LABEL.iter().copied().filter(|name| fits(name, classes));
    let Some(answers) = Answers::new(&truth, probabilities, classes, thresholds) else {
        let column = |class| truth.iter().skip(class).step_by(classes);
        let support = |class| column(class).filter(|&&t| t).count() as u64;
        return Report::undefined(&names().collect::<Vec<_>>(), (0..classes).map(support));
    };
    Report {
        values: names().map(|name| (name.to_owned(), answers.value(name))).collect(),
        per_class: class_scores(&answers.of_class, answers.rankings()),
        confusion: None,
        undefined_classes: undefined_classes(&answers.of_class),
    }
}

/// What was said of each label of each document. What a metric needs is made when the first one asks for it.
pub(super) struct Answers<'a> {
    /// documents x classes, row-major, as the probabilities
    truth: &'a [bool],
    probabilities: &'a [f64],
    classes: usize,
    of_class: Vec<Counts>,
    of_document: Vec<Counts>,
    rankings: OnceCell<Vec<Ranking>>,
    label_rankings: OnceCell<Vec<LabelRanking>>,
}

impl<'a> Answers<'a> {
    /// None where a probability is no number.
    pub(super) fn new(truth: &'a [bool], probabilities: &'a [f64], classes: usize, thresholds: &[f64]) -> Option<Self> {
        assert_eq!(probabilities.len(), truth.len(), "documents x classes");
        assert_eq!(thresholds.len(), classes, "one threshold per class");
        if probabilities.iter().any(|p| !p.is_finite()) {
            return None;
        }
        let mut of_class = vec![Counts::default(); classes];
        let mut of_document = Vec::new();
        for (truth, row) in truth.chunks_exact(classes).zip(probabilities.chunks_exact(classes)) {
            let mut document = Counts::default();
            for class in 0..classes {
                let predicted = row[class] >= thresholds[class];
                document.add(truth[class], predicted);
                of_class[class].add(truth[class], predicted);
            }
            of_document.push(document);
        }
        let (rankings, label_rankings) = (OnceCell::new(), OnceCell::new());
        Some(Self { truth, probabilities, classes, of_class, of_document, rankings, label_rankings })
    }

    /// One of [`MULTI_LABEL`]; NaN for a precision among more labels than there are.
    pub(super) fn value(&self, name: &str) -> f64 {
        let exact = |d: &Counts| if d.errors() == 0 { 1.0 } else { 0.0 };
        let wrong = |d: &Counts| d.errors() as f64 / self.classes as f64;
        match name {
            "average_precision" => mean(self.rankings().iter().map(|r| r.average_precision)),
            "average_precision_micro" => self.micro().average_precision,
            "coverage_error" => mean(self.label_rankings().iter().map(|r| r.coverage)),
            "hamming_loss" => mean(self.of_document.iter().map(wrong)),
            "jaccard" => mean(self.of_document.iter().map(Counts::jaccard)),
            "log_loss" => calibration::binary_log_loss(self.truth, self.probabilities),
            "lrap" => mean(self.label_rankings().iter().map(|r| r.lrap)),
            "roc_auc" => mean(self.rankings().iter().map(|r| r.roc_auc)),
            "roc_auc_micro" => self.micro().roc_auc,
            "roc_auc_weighted" => {
                weighted_mean(self.rankings().iter().zip(&self.of_class).map(|(r, c)| (r.roc_auc, c.support)))
            }
            "samples_f1" => mean(self.of_document.iter().map(Counts::f1)),
            "subset_accuracy" => mean(self.of_document.iter().map(exact)),
            name => match depth(name).filter(|at| LabelRanking::DEPTHS[*at] <= self.classes) {
                Some(at) => {
                    let k = LabelRanking::DEPTHS[at] as f64;
                    mean(self.label_rankings().iter().map(|r| r.hits_at[at] as f64 / k))
                }
                None => average(name, &self.of_class),
            },
        }
    }

    fn cells(&self) -> impl Iterator<Item = (f64, bool)> {
        self.probabilities.iter().copied().zip(self.truth.iter().copied())
    }

    /// All cells as one ranking.
    fn micro(&self) -> Ranking {
        Ranking::new(self.cells())
    }

    /// Of each label over the documents.
    fn rankings(&self) -> &[Ranking] {
        let column = |class| Ranking::new(self.cells().skip(class).step_by(self.classes));
        self.rankings.get_or_init(|| (0..self.classes).map(column).collect())
    }

    /// Of each document over its labels.
    fn label_rankings(&self) -> &[LabelRanking] {
        let rows = || self.probabilities.chunks_exact(self.classes).zip(self.truth.chunks_exact(self.classes));
        self.label_rankings.get_or_init(|| rows().map(|(row, truth)| LabelRanking::new(row, truth)).collect())
    }
}

pub(super) fn dense(truth: &[Vec<u32>], classes: usize) -> Vec<bool> {
    assert!(classes > 0, "a classifier has at least one label");
    let mut cells = vec![false; truth.len() * classes];
    for (labels, row) in truth.iter().zip(cells.chunks_exact_mut(classes)) {
        for &label in labels {
            row[label as usize] = true;
        }
    }
    cells
}

/// Whether there are labels enough for a metric.
fn fits(name: &str, classes: usize) -> bool {
    depth(name).is_none_or(|at| LabelRanking::DEPTHS[at] <= classes)
}

/// Which of [`LabelRanking::DEPTHS`] a `precision_at_k` means.
fn depth(name: &str) -> Option<usize> {
    let k: usize = name.strip_prefix("precision_at_")?.parse().ok()?;
    LabelRanking::DEPTHS.iter().position(|depth| *depth == k)
}
