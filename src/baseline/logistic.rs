//! L2-regularised logistic regression of one class against the rest.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::tfidf::Rows;

/// A weight for each column, and a bias.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    columns: Vec<f64>,
    bias: f64,
}

/// What a fit came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fitted {
    pub(super) weights: Weights,
    /// Over the rows.
    pub(super) passes: usize,
    /// The farthest log-odds of the last pass.
    pub(super) distance: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Settings {
    /// Weight of the losses against the squared weights.
    pub(super) c: f64,
    /// Both sides of a class weigh the same, whatever their numbers, and n documents still n in all.
    pub(super) balanced: bool,
    /// How far a gradient may be from its place, as a log-odds of one document.
    pub(super) tolerance: f64,
    /// Most passes over the documents.
    pub(super) passes: usize,
}

impl Weights {
    /// Minimises |w|²/2 + Σ c log(1 + exp(-y wx)) over w, where y is 1 for a `positive` row and else -1, c depends on y
    /// only, and x ends in a 1, whose weight is the bias.
    ///
    /// Dual coordinate descent (Yu, Huang, Lin 2011, "Dual coordinate descent methods for logistic regression and maximum
    /// entropy models"): w = Σ α y x with 0 < α < c, and one α after the other is put where the dual is least. Kept is
    /// not α but its log-odds t = log(α/(c - α)), which is -y wx at the minimum: so no α meets its bounds, nor is a
    /// distance to them the difference of two large numbers.
    pub(super) fn fit(rows: &Rows, columns: usize, positive: &[bool], settings: Settings) -> Fitted {
        let [of_positive, of_others] = settings.costs(positive);
        let cost = |row: usize| if positive[row] { of_positive } else { of_others };
        let mut weights = Self { columns: vec![0.0; columns], bias: 0.0 };
        let mut odds = vec![START; rows.len()];
        for (row, positive) in positive.iter().enumerate() {
            weights.add(rows, row, sign(*positive) * cost(row) * logistic(START));
        }
        let curvatures: Vec<f64> = (0..rows.len()).map(|row| 1.0 + square(rows, row)).collect();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (mut passes, mut distance) = (0, f64::INFINITY);
        while passes < settings.passes && distance > settings.tolerance {
            order.shuffle(&mut rng);
            distance = 0.0;
            for row in order.iter().copied() {
                let (y, c, before) = (sign(positive[row]), cost(row), odds[row]);
                let margin = y * weights.logit(rows, row);
                distance = distance.max((before + margin).abs());
                odds[row] = least(c, curvatures[row], before, margin);
                weights.add(rows, row, y * c * (logistic(odds[row]) - logistic(before)));
            }
            passes += 1;
        }
        Fitted { weights, passes, distance }
    }

    /// The log-odds of a row.
    pub(super) fn logit(&self, rows: &Rows, row: usize) -> f64 {
        self.bias + rows.row(row).map(|(column, value)| self.columns[column] * f64::from(value)).sum::<f64>()
    }

    fn add(&mut self, rows: &Rows, row: usize, factor: f64) {
        self.bias += factor;
        for (column, value) in rows.row(row) {
            self.columns[column] += factor * f64::from(value);
        }
    }
}

impl Settings {
    /// What a positive row's loss counts, and another's.
    fn costs(&self, positive: &[bool]) -> [f64; 2] {
        let count = positive.iter().filter(|positive| **positive).count();
        let others = positive.len() - count;
        if !self.balanced || count == 0 || others == 0 {
            return [self.c; 2];
        }
        [count, others].map(|count| self.c * positive.len() as f64 / (2 * count) as f64)
    }
}

/// Log-odds to begin with: most documents are far from the boundary of a class.
const START: f64 = -7.0;

fn sign(positive: bool) -> f64 {
    if positive { 1.0 } else { -1.0 }
}

fn square(rows: &Rows, row: usize) -> f64 {
    rows.row(row).map(|(_, value)| f64::from(value) * f64::from(value)).sum()
}

/// The log-odds t of the α at which the dual is least along its own coordinate: the root of curvature (α - α before) +
/// margin + t. That rises with t, with a slope of 1 or more, so Newton's steps, kept between bounds that close in, find it.
fn least(c: f64, curvature: f64, before: f64, margin: f64) -> f64 {
    const CLOSE: f64 = 1e-12;
    let alpha = c * logistic(before);
    let (mut low, mut high) = (curvature * (alpha - c) - margin, curvature * alpha - margin);
    let mut t = before.clamp(low, high);
    loop {
        let share = logistic(t);
        let height = curvature * (c * share - alpha) + margin + t;
        if height.abs() <= CLOSE * (1.0 + t.abs()) {
            return t;
        }
        *(if height > 0.0 { &mut high } else { &mut low }) = t;
        let step = t - height / (1.0 + curvature * c * share * (1.0 - share));
        let next = if low < step && step < high { step } else { f64::midpoint(low, high) };
        if next == t {
            return t;
        }
        t = next;
    }
}

fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
impl Weights {
    pub(super) fn parts(&self) -> (&[f64], f64) {
        (&self.columns, self.bias)
    }
}
