use super::confusion::{Confusion, accuracy, averages, balanced_accuracy, kappa, mcc, undefined_classes};
use super::ranking::{Ranking, one_vs_one};
use super::{Report, SINGLE_LABEL, calibration, class_scores, mean, named, weighted_mean};

/// Scores single-label truth: every metric of [`SINGLE_LABEL`].
///
/// `truth`: the class of each document. `probabilities`: documents x classes, row-major, each row
/// summing to 1. The prediction is the most probable class, of equals the lowest.
///
/// # Panics
/// On shapes that disagree or a class out of range.
pub fn single(truth: &[u32], probabilities: &[f64], classes: usize) -> Report {
    assert!(classes > 0, "a classifier has at least one class");
    assert_eq!(probabilities.len(), truth.len() * classes, "documents x classes");
    if probabilities.iter().any(|p| !p.is_finite()) {
        let support = |class| truth.iter().filter(|&&t| t as usize == class).count() as u64;
        return Report::undefined(SINGLE_LABEL, (0..classes).map(support));
    }

    let predicted: Vec<_> = probabilities.chunks_exact(classes).map(argmax).collect();
    let confusion = Confusion::new(truth, &predicted, classes);
    let counts = confusion.counts();
    let one_vs_rest = |class: usize| {
        let scores = probabilities.iter().skip(class).step_by(classes).copied();
        Ranking::new(scores.zip(truth.iter().map(|&t| t as usize == class)))
    };
    let rankings: Vec<_> = (0..classes).map(one_vs_rest).collect();
    let [roc_auc, roc_auc_weighted, roc_auc_ovo] = if classes == 2 {
        [rankings[1].roc_auc; 3]
    } else {
        let weighted = rankings.iter().zip(&counts).map(|(r, c)| (r.roc_auc, c.support));
        [mean(rankings.iter().map(|r| r.roc_auc)), weighted_mean(weighted), one_vs_one(truth, probabilities, classes)]
    };
    let answers: Vec<_> = (probabilities.chunks_exact(classes).zip(truth).zip(&predicted))
        .map(|((row, &class), &predicted)| (row[predicted], class as usize == predicted))
        .collect();

    let others = named([
        ("accuracy", accuracy(&counts)),
        ("average_precision", mean(rankings.iter().map(|r| r.average_precision))),
        ("balanced_accuracy", balanced_accuracy(&counts)),
        ("brier", calibration::brier(truth, probabilities, classes)),
        ("ece", calibration::ece(&answers, 10)),
        ("ece_15", calibration::ece(&answers, 15)),
        ("kappa", kappa(&counts)),
        ("log_loss", calibration::log_loss(truth, probabilities, classes)),
        ("mcc", mcc(&counts)),
        ("roc_auc", roc_auc),
        ("roc_auc_ovo", roc_auc_ovo),
        ("roc_auc_weighted", roc_auc_weighted),
    ]);
    Report {
        values: averages(&counts).chain(others).collect(),
        per_class: class_scores(&counts, &rankings),
        confusion: Some(confusion.cells),
        undefined_classes: undefined_classes(&counts),
    }
}

fn argmax(row: &[f64]) -> usize {
    (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best })
}
