use proptest::prelude::*;

use super::*;

/// Probabilities that often meet, 0.5 among them, and the labels of their documents.
fn answers(classes: usize) -> impl Strategy<Value = (Vec<Vec<u32>>, Vec<f64>)> {
    let probability = prop_oneof![4 => (0u32..=8).prop_map(|eighths| f64::from(eighths) / 8.0), 1 => 0.0..=1.0f64];
    let document = (prop::collection::vec(any::<bool>(), classes), prop::collection::vec(probability, classes));
    prop::collection::vec(document, 0..12).prop_map(|documents| {
        let labels = |has: &[bool]| (0..).zip(has).filter(|(_, has)| **has).map(|(label, _)| label).collect();
        let truth = documents.iter().map(|(has, _)| labels(has)).collect();
        (truth, documents.into_iter().flat_map(|(_, row)| row).collect())
    })
}

/// One threshold for every way in which the probabilities can be cut: 0.5 where it is one, else the middle.
fn cuts(probabilities: &[f64]) -> Vec<f64> {
    let mut edges: Vec<f64> = probabilities.to_vec();
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    let Some(highest) = edges.last().copied() else { return vec![0.5] };
    let above = if highest < 0.5 {
        0.5
    } else if highest < 1.0 {
        f64::midpoint(highest, 1.0)
    } else {
        1f64.next_up()
    };
    let lowest = if edges[0] >= 0.5 { 0.5 } else { edges[0] / 2.0 };
    let middle = |pair: &[f64]| {
        let inside = pair[0] < 0.5 && 0.5 <= pair[1];
        let middle = f64::midpoint(pair[0], pair[1]);
        if inside {
            0.5
        } else if middle > pair[0] {
            middle
        } else {
            pair[1]
        }
    };
    edges.windows(2).map(middle).chain([lowest, above]).collect()
}

/// F1 of these labels by counting.
fn f1(truth: &[Vec<u32>], probabilities: &[f64], classes: usize, labels: &[u32], threshold: f64) -> f64 {
    let (mut hits, mut given, mut true_) = (0u32, 0u32, 0u32);
    for (labels_of, row) in truth.iter().zip(probabilities.chunks_exact(classes)) {
        for label in labels {
            let (is, says) = (labels_of.contains(label), row[*label as usize] >= threshold);
            hits += u32::from(is && says);
            given += u32::from(says);
            true_ += u32::from(is);
        }
    }
    if given + true_ == 0 { 0.0 } else { f64::from(2 * hits) / f64::from(given + true_) }
}

/// The best of all cuts, of equals the nearest to 0.5, of those the higher.
fn by_force(cuts: &[f64], score: impl Fn(f64) -> f64) -> (f64, f64) {
    let most = cuts.iter().map(|cut| score(*cut)).fold(0.0, f64::max);
    let nearest = cuts.iter().filter(|cut| score(**cut) >= most - 1e-12).map(|cut| (cut - 0.5).abs());
    (most, nearest.fold(f64::INFINITY, f64::min))
}

proptest! {
    #[test]
    fn no_other_threshold_is_better((truth, probabilities) in answers(3)) {
        let all = [0, 1, 2];
        let column = |label: u32| probabilities.iter().copied().skip(label as usize).step_by(3).collect::<Vec<f64>>();
        let of = |labels: &[u32], threshold: f64| f1(&truth, &probabilities, 3, labels, threshold);
        let mean = |threshold: f64| all.iter().map(|label| of(&[*label], threshold)).sum::<f64>() / 3.0;
        let [micro, macro_] = [Average::Micro, Average::Macro].map(|average| tune_thresholds(&truth, &probabilities, 3, average));
        prop_assert_eq!(&micro.per_label, &macro_.per_label);
        let mut checks = vec![
            (micro.global, by_force(&cuts(&probabilities), |t| of(&all, t)), of(&all, micro.global.threshold)),
            (macro_.global, by_force(&cuts(&probabilities), mean), mean(macro_.global.threshold)),
        ];
        for label in all {
            let tuned = micro.per_label[label as usize];
            checks.push((tuned, by_force(&cuts(&column(label)), |t| of(&[label], t)), of(&[label], tuned.threshold)));
        }
        for (tuned, (most, distance), reached) in checks {
            prop_assert!((tuned.f1 - most).abs() < 1e-12, "{:?}, the best is {}", tuned, most);
            prop_assert!((tuned.f1 - reached).abs() < 1e-12, "{:?} reaches {}", tuned, reached);
            prop_assert_eq!((tuned.threshold - 0.5).abs(), distance);
        }
    }

    /// Each document is judged by the others alone: by what tuning on them by hand gives.
    #[test]
    fn thresholds_of_a_fold_know_nothing_of_it((truth, probabilities) in answers(2), seed in 0u32..1000) {
        let folds: Vec<[u32; 2]> = (0..truth.len() as u32).map(|document| [document % 2, (document * 7 + seed) % 3]).collect();
        let ours = cross_fit(&truth, &probabilities, 2, &folds, Average::Micro);
        let mut decided = vec![0.0; probabilities.len()];
        for (document, fold) in folds.iter().enumerate() {
            let others: Vec<usize> = (0..truth.len()).filter(|other| folds[*other][0] == fold[0] && folds[*other][1] != fold[1]).collect();
            let of_others: Vec<Vec<u32>> = others.iter().map(|other| truth[*other].clone()).collect();
            let rows: Vec<f64> = others.iter().flat_map(|other| [probabilities[2 * other], probabilities[2 * other + 1]]).collect();
            let tuned = tune_thresholds(&of_others, &rows, 2, Average::Micro);
            for label in 0..2 {
                let given = probabilities[2 * document + label] >= tuned.per_label[label].threshold;
                decided[2 * document + label] = f64::from(u8::from(given));
            }
        }
        let report = multi(&truth, &decided, 2, &[0.5; 2]);
        let untuned = multi(&truth, &probabilities, 2, &[0.5; 2]);
        if !truth.is_empty() {
            prop_assert_eq!(ours.per_label.macro_f1, report.values["macro_f1"]);
            prop_assert_eq!(ours.per_label.micro_f1, report.values["micro_f1"]);
            prop_assert_eq!(ours.untuned.macro_f1, untuned.values["macro_f1"]);
            prop_assert_eq!(ours.untuned.of_labels[1], untuned.per_class[1].f1);
        }
    }
}

#[test]
fn a_threshold_by_hand() {
    // two true at 0.3 and 0.4, one false at 0.1: everything from 0.1 to 0.3 cuts right, the middle is taken
    let truth = [vec![0], vec![0], vec![]];
    let tuned = tune_thresholds(&truth, &[0.3, 0.4, 0.1], 1, Average::Macro);
    assert_eq!(tuned.global, Tuned { threshold: 0.2, f1: 1.0 });
    // right as it is
    let tuned = tune_thresholds(&truth, &[0.9, 0.6, 0.2], 1, Average::Macro);
    assert_eq!(tuned.per_label, [Tuned { threshold: 0.5, f1: 1.0 }]);
    // nothing is true: every threshold is as good
    let tuned = tune_thresholds(&[vec![], vec![]], &[0.9, 0.7], 1, Average::Micro);
    assert_eq!(tuned.global, Tuned { threshold: 0.5, f1: 0.0 });
}
