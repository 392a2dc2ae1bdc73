//! From which probability on to give a label, where 0.5 is not the best answer (F1 under imbalance: Lipton et al. 2014).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::confusion::{Counts, average};
use super::multi_label::dense;

/// How the F1 of several labels become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// The mean over the labels.
    Macro,
    /// All decisions pooled.
    Micro,
}

/// A threshold and the F1 that it reaches where it was tuned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tuned {
    pub threshold: f64,
    pub f1: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Thresholds {
    /// One for all labels.
    pub global: Tuned,
    /// One a label, each for the label's own F1.
    pub per_label: Vec<Tuned>,
}

/// What thresholds are worth on documents that they were not tuned on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CrossFitted {
    pub untuned: Scores,
    pub global: Scores,
    pub per_label: Scores,
}

/// F1 of given labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    pub macro_f1: f64,
    pub micro_f1: f64,
    pub of_labels: Vec<f64>,
}

/// Thresholds that are left as they are.
pub const UNTUNED: f64 = 0.5;

/// The thresholds of the highest F1: exactly, since F1 changes only where a threshold passes a probability. Among
/// thresholds that give the same labels it is the middle of what lies between two probabilities, or 0.5 where that
/// lies there; among those of the same F1, the one nearest 0.5.
///
/// `truth`: the label ids of each document. `probabilities`: documents x classes, row-major. A label is given when its
/// probability reaches its threshold.
///
/// # Panics
/// On shapes that disagree, a label out of range or a probability that is no number.
pub fn tune_thresholds(truth: &[Vec<u32>], probabilities: &[f64], classes: usize, average: Average) -> Thresholds {
    let cells = Cells::new(truth, probabilities, classes);
    Thresholds {
        global: cells.tune(0..classes, average),
        per_label: (0..classes).map(|class| cells.tune(class..class + 1, average)).collect(),
    }
}

/// F1 over all documents, where each is given labels by the thresholds tuned on the other folds of its repeat: another
/// repeat has answers to the very same documents.
///
/// `folds`: repeat and fold of each answer.
///
/// # Panics
/// As [`tune_thresholds`].
pub fn cross_fit(
    truth: &[Vec<u32>],
    probabilities: &[f64],
    classes: usize,
    folds: &[[u32; 2]],
    average: Average,
) -> CrossFitted {
    assert_eq!(folds.len(), truth.len(), "one fold per document");
    let cells = Cells::new(truth, probabilities, classes);
    let [mut untuned, mut global, mut per_label] = [(); 3].map(|()| vec![Counts::default(); classes]);
    let mut names = folds.to_vec();
    names.sort_unstable();
    names.dedup();
    for fold in names {
        let is_other = |document: &usize| folds[*document][0] == fold[0] && folds[*document][1] != fold[1];
        let elsewhere: Vec<usize> = (0..truth.len()).filter(is_other).collect();
        let of_others: Vec<Vec<u32>> = elsewhere.iter().map(|document| truth[*document].clone()).collect();
        let rows = elsewhere.iter().flat_map(|document| &probabilities[document * classes..][..classes]);
        let tuned = tune_thresholds(&of_others, &rows.copied().collect::<Vec<_>>(), classes, average);
        for document in (0..truth.len()).filter(|document| folds[*document] == fold) {
            for class in 0..classes {
                let (probability, is_true) = cells.of[document * classes + class];
                untuned[class].add(is_true, probability >= UNTUNED);
                global[class].add(is_true, probability >= tuned.global.threshold);
                per_label[class].add(is_true, probability >= tuned.per_label[class].threshold);
            }
        }
    }
    CrossFitted { untuned: Scores::of(&untuned), global: Scores::of(&global), per_label: Scores::of(&per_label) }
}

impl Scores {
    fn of(counts: &[Counts]) -> Self {
        Self {
            macro_f1: average("macro_f1", counts),
            micro_f1: average("micro_f1", counts),
            of_labels: counts.iter().map(Counts::f1).collect(),
        }
    }
}

/// Probability and truth, documents x classes.
struct Cells {
    of: Vec<(f64, bool)>,
    classes: usize,
}

/// Of two F1 that differ by less than the sum of their roundings neither is higher.
const ROUNDING: f64 = 1e-12;

impl Cells {
    fn new(truth: &[Vec<u32>], probabilities: &[f64], classes: usize) -> Self {
        assert!(classes > 0, "a classifier has at least one label");
        assert_eq!(probabilities.len(), truth.len() * classes, "documents x classes");
        assert!(probabilities.iter().all(|p| p.is_finite()), "probabilities are numbers");
        Self { of: probabilities.iter().copied().zip(dense(truth, classes)).collect(), classes }
    }

    /// One threshold for a range of labels. Going down, one probability after the other reaches it.
    fn tune(&self, labels: Range<usize>, average: Average) -> Tuned {
        let mut counts = vec![Counts::default(); labels.len()];
        let mut cells: Vec<(f64, usize, bool)> = Vec::new();
        for document in self.of.chunks_exact(self.classes) {
            for (label, (probability, is_true)) in document[labels.clone()].iter().enumerate() {
                counts[label].support += u64::from(*is_true);
                cells.push((*probability, label, *is_true));
            }
        }
        cells.sort_unstable_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let highest = cells.first().map_or(0.0, |(probability, ..)| *probability);
        let mut so_far = SoFar { pooled: Counts::pooled(&counts), counts, sum: 0.0 };
        let mut best = Tuned { threshold: between(highest, f64::INFINITY), f1: so_far.f1(average) };
        let mut rest = cells.as_slice();
        while let Some((reached, ..)) = rest.first().copied() {
            let same = rest.iter().take_while(|(probability, ..)| *probability == reached).count();
            for (_, label, is_true) in &rest[..same] {
                so_far.give(*label, *is_true);
            }
            rest = &rest[same..];
            let below = rest.first().map_or(f64::NEG_INFINITY, |(probability, ..)| *probability);
            let next = Tuned { threshold: between(below, reached), f1: so_far.f1(average) };
            let nearer = (next.threshold - UNTUNED).abs() < (best.threshold - UNTUNED).abs();
            if next.f1 > best.f1 + ROUNDING || (nearer && next.f1 >= best.f1 - ROUNDING) {
                best = next;
            }
        }
        best
    }
}

/// What has been given on the way down, and its F1: counted on, not anew, or many labels would take their square in time.
struct SoFar {
    counts: Vec<Counts>,
    pooled: Counts,
    /// Of the labels' F1; 0 before anything is given.
    sum: f64,
}

impl SoFar {
    fn give(&mut self, label: usize, is_true: bool) {
        let count = &mut self.counts[label];
        self.sum -= count.f1();
        for count in [&mut *count, &mut self.pooled] {
            count.predicted += 1;
            count.hits += u64::from(is_true);
        }
        self.sum += count.f1();
    }

    fn f1(&self, average: Average) -> f64 {
        match average {
            Average::Macro => self.sum / self.counts.len() as f64,
            Average::Micro => self.pooled.f1(),
        }
    }
}

/// A threshold above one probability that another one reaches.
fn between(below: f64, reached: f64) -> f64 {
    if below < UNTUNED && UNTUNED <= reached {
        return UNTUNED;
    }
    let middle = f64::midpoint(below.max(0.0), reached.min(1.0));
    if below < middle && middle <= reached { middle } else { below.next_up() }
}
