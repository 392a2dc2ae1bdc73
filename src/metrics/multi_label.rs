use super::confusion::{Counts, averages, undefined_classes};
use super::ranking::{LabelRanking, Ranking};
use super::{MULTI_LABEL, Report, calibration, class_scores, mean, named, weighted_mean};

/// Scores multi-label truth: every metric of [`MULTI_LABEL`].
///
/// `truth`: the sorted label ids of each document. `probabilities`: documents x classes, row-major,
/// each label's own. A label is given when its probability reaches its entry in `thresholds`.
///
/// # Panics
/// On shapes that disagree or a label out of range.
pub fn multi(truth: &[Vec<u32>], probabilities: &[f64], classes: usize, thresholds: &[f64]) -> Report {
    assert!(classes > 0, "a classifier has at least one label");
    assert_eq!(probabilities.len(), truth.len() * classes, "documents x classes");
    assert_eq!(thresholds.len(), classes, "one threshold per class");
    let truth = dense(truth, classes);
    if probabilities.iter().any(|p| !p.is_finite()) {
        let names = MULTI_LABEL.iter().copied().filter(|name| fits(name, classes));
        let column = |class| truth.iter().skip(class).step_by(classes);
        let support = |class| column(class).filter(|&&t| t).count() as u64;
        return Report::undefined(&names.collect::<Vec<_>>(), (0..classes).map(support));
    }

    let mut of_class = vec![Counts::default(); classes];
    let mut of_document = Vec::new();
    let mut label_rankings = Vec::new();
    for (truth, row) in truth.chunks_exact(classes).zip(probabilities.chunks_exact(classes)) {
        let mut document = Counts::default();
        for class in 0..classes {
            let predicted = row[class] >= thresholds[class];
            document.add(truth[class], predicted);
            of_class[class].add(truth[class], predicted);
        }
        of_document.push(document);
        label_rankings.push(LabelRanking::new(row, truth));
    }
    let cells = || probabilities.iter().copied().zip(truth.iter().copied());
    let column = |class| Ranking::new(cells().skip(class).step_by(classes));
    let rankings: Vec<_> = (0..classes).map(column).collect();
    let by_support = rankings.iter().zip(&of_class).map(|(r, c)| (r.roc_auc, c.support));
    let micro = Ranking::new(cells());
    let exact = |d: &Counts| if d.errors() == 0 { 1.0 } else { 0.0 };
    let wrong = |d: &Counts| d.errors() as f64 / classes as f64;

    let others = named([
        ("average_precision", mean(rankings.iter().map(|r| r.average_precision))),
        ("average_precision_micro", micro.average_precision),
        ("coverage_error", mean(label_rankings.iter().map(|r| r.coverage))),
        ("hamming_loss", mean(of_document.iter().map(wrong))),
        ("jaccard", mean(of_document.iter().map(Counts::jaccard))),
        ("log_loss", calibration::binary_log_loss(&truth, probabilities)),
        ("lrap", mean(label_rankings.iter().map(|r| r.lrap))),
        ("roc_auc", mean(rankings.iter().map(|r| r.roc_auc))),
        ("roc_auc_micro", micro.roc_auc),
        ("roc_auc_weighted", weighted_mean(by_support)),
        ("samples_f1", mean(of_document.iter().map(Counts::f1))),
        ("subset_accuracy", mean(of_document.iter().map(exact))),
    ]);
    Report {
        values: (averages(&of_class).chain(others)).chain(precisions_at(&label_rankings, classes)).collect(),
        per_class: class_scores(&of_class, &rankings),
        confusion: None,
        undefined_classes: undefined_classes(&of_class),
    }
}

pub(super) fn dense(truth: &[Vec<u32>], classes: usize) -> Vec<bool> {
    let mut cells = vec![false; truth.len() * classes];
    for (labels, row) in truth.iter().zip(cells.chunks_exact_mut(classes)) {
        for &label in labels {
            row[label as usize] = true;
        }
    }
    cells
}

fn precisions_at(rankings: &[LabelRanking], classes: usize) -> impl Iterator<Item = (String, f64)> {
    let precision = |(at, k): (usize, usize)| {
        let precision = mean(rankings.iter().map(|r| r.hits_at[at] as f64 / k as f64));
        (precision_at(k), precision)
    };
    let depths = LabelRanking::DEPTHS.into_iter().enumerate();
    depths.filter(move |&(_, k)| k <= classes).map(precision)
}

fn fits(name: &str, classes: usize) -> bool {
    let too_deep = LabelRanking::DEPTHS.into_iter().filter(|&k| k > classes);
    !too_deep.map(precision_at).any(|deep| deep == name)
}

fn precision_at(k: usize) -> String {
    format!("precision_at_{k}")
}
