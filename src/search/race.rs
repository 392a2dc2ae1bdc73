//! Racing between folds: whether a trial is worth another fold, when another trial has all of them already.
//!
//! The incumbent is the finished trial with the best mean over all `k` folds. A challenger has been scored on `n < k` of
//! the same folds. Which fold is easy and which is hard is common to both, so what counts are the paired differences
//! `d_j` = challenger - incumbent on the folds that both have (in the direction in which more is better).
//!
//! **posterior** asks for the chance that the challenger's mean over all `k` folds will be above the incumbent's, which
//! is known. Differences of one challenger are taken as independent draws from `N(delta, s^2)`. What is believed of
//! `delta` without its folds is `N(m0, t0^2)`: a model's [`Prior`] of the challenger's score, less the incumbent's mean as
//! it was measured (it is the best of many and so better than it will be again, but it is what counts; without a model,
//! `t0` is infinite). With the mean `d` of the `n` differences seen,
//!
//! ```text
//! w      = t0^2 / (t0^2 + s^2/n)               how much the folds weigh against the belief (1 without one)
//! delta ~ N(m, v),  m = m0 + w (d - m0),  v = w s^2/n
//! rest  ~ N(m, v + s^2/(k-n))                  the mean difference of the k-n folds to come
//! D     = (n d + (k-n) rest) / k               the difference of the two means in the end
//! ```
//!
//! so that `D ~ N((n d + (k-n) m)/k, ((k-n)/k)^2 (v + s^2/(k-n)))`, and the chance is `P(D > 0)`. Without a belief the
//! variance is `s^2 (1/n + 1/(k-n)) ((k-n)/k)^2 = s^2 (1/n - 1/k)`. A challenger is dropped when its chance is below
//! [`LEAST_CHANCE`].
//!
//! One or two differences say next to nothing of `s^2`. It is shrunk towards what finished trials near the top show: their
//! differences to the incumbent have the pooled variance `s0^2`, which counts like `SHRINKAGE` differences,
//!
//! ```text
//! s^2 = (SHRINKAGE s0^2 + sum (d_j - d)^2) / (SHRINKAGE + n - 1)
//! ```
//!
//! `s0^2` itself starts from `2 var(folds of the incumbent)`, which is what differences vary by when two trials have no
//! hard fold in common, with the weight of `START` degrees of freedom.
//!
//! **Which fold comes next** is a question of what it promises for its price: the improvement of the best that is expected
//! of `D`, `E[max(0, D)]`, by the folds that it takes to know. Those are one, and the others if the challenger is still in
//! the race then: after another fold the mean of `D` will be `N(E[D], V(n) - V(n+1))` with `V(n)` its variance after `n`
//! folds, and the chance is above the least one if that mean is above `z sqrt(V(n+1))`. A new trial is a challenger with
//! `n = 0`, of whom only the model speaks.
//!
//! **forgiving** (Bergman, Purucker and Hutter 2024, PMLR 256) drops a challenger whose mean is no better than the
//! incumbent's worst fold. **paired** drops it when the mean difference is below zero by more than one standard error,
//! and after its first fold when that is worse by more than two standard deviations of the incumbent's folds.

use super::gp::{log_expected_improvement, normal_cdf};
use crate::spec::{Direction, Race};

/// A challenger with a smaller chance to become the best is dropped.
pub const LEAST_CHANCE: f64 = 0.05;
/// In standard deviations: its normal quantile.
const LEAST_Z: f64 = -1.644_853_626_951_472_2;

/// Finished trials whose differences to the incumbent tell how much differences vary: the best ones.
const NEAR: usize = 5;

/// Weight of the pooled variance against a challenger's own, in differences.
const SHRINKAGE: f64 = 4.0;

/// Weight of the incumbent's own spread in the pooled variance, in degrees of freedom.
const START: f64 = 2.0;

/// What a model says of a trial's mean score over all folds, from the folds of all other trials: its own are the evidence
/// that the belief is combined with, and must not count twice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    pub mean: f64,
    pub sd: f64,
}

/// What is believed of a challenger's final lead: the difference of its mean over all folds to the incumbent's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    mean: f64,
    variance: f64,
    /// Once one more fold is known.
    next_variance: f64,
    /// Folds to come.
    left: f64,
}

/// The finished trials, as a challenger meets them.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    direction: Direction,
    incumbent: u32,
    /// Of the incumbent, fold by fold, as numbers of which more is better.
    gains: Vec<f64>,
    /// Pooled, of paired differences to the incumbent.
    variance: f64,
}

impl Field {
    /// Of the finished trials: their numbers, and their scores fold by fold. None while there is none.
    pub fn new(direction: Direction, finished: impl IntoIterator<Item = (u32, Vec<f64>)>) -> Option<Self> {
        let gains = |scores: Vec<f64>| scores.into_iter().map(|score| direction.gain(score)).collect::<Vec<_>>();
        let mut trials: Vec<(f64, u32, Vec<f64>)> = finished
            .into_iter()
            .map(|(trial, scores)| (trial, gains(scores)))
            .map(|(trial, gains)| (mean(&gains), trial, gains))
            .collect();
        trials.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let ((_, incumbent, gains), others) = trials.split_first()?;
        let mut squares = START * 2.0 * variance(gains);
        let mut weight = START;
        for (_, _, other) in others.iter().take(NEAR) {
            let differences: Vec<f64> = other.iter().zip(gains).map(|(other, own)| other - own).collect();
            squares += square_sum(&differences);
            weight += differences.len() as f64 - 1.0;
        }
        Some(Self { direction, incumbent: *incumbent, gains: gains.clone(), variance: squares / weight })
    }

    pub fn incumbent(&self) -> u32 {
        self.incumbent
    }

    /// How far a challenger is ahead of the incumbent, on average over its folds: (fold, score). None before the first.
    pub fn lead(&self, scores: &[(u32, f64)]) -> Option<f64> {
        let differences = self.differences(scores);
        (!differences.is_empty()).then(|| mean(&differences))
    }

    /// What is believed of a challenger's final lead, by its folds and by what a model says of it. None of a challenger
    /// that nothing is known of.
    pub fn outlook(&self, scores: &[(u32, f64)], prior: Option<Prior>) -> Option<Outlook> {
        let differences = self.differences(scores);
        let (n, k) = (differences.len() as f64, self.gains.len() as f64);
        let seen = if differences.is_empty() { 0.0 } else { mean(&differences) };
        let variance = (SHRINKAGE * self.variance + square_sum(&differences)) / (SHRINKAGE + (n - 1.0).max(0.0));
        let believed = prior.map(|it| (self.direction.gain(it.mean) - mean(&self.gains), it.sd.powi(2)));
        let believed = believed.filter(|(expected, uncertain)| expected.is_finite() && uncertain.is_finite());
        if differences.is_empty() && believed.is_none() {
            return None;
        }
        // what the belief weighs: its precision, against one of n / variance by n folds
        let precision = believed.map_or(0.0, |(_, uncertain)| uncertain.recip());
        let weight = |n: f64| match (n > 0.0, variance > 0.0) {
            (false, _) => 1.0,
            (true, false) => 0.0,
            (true, true) if precision.is_infinite() => 1.0,
            (true, true) => precision / (precision + n / variance),
        };
        // of delta, after n folds
        let uncertain = |n: f64| if n > 0.0 { (1.0 - weight(n)) * variance / n } else { precision.recip() };
        let final_variance = |n: f64| {
            let left = k - n;
            if left > 0.0 { (left / k).powi(2) * (uncertain(n) + variance / left) } else { 0.0 }
        };
        let expected = believed.map_or(seen, |(expected, _)| seen + weight(n) * (expected - seen));
        let left = k - n;
        let (mean, variance, next_variance) =
            ((n * seen + left * expected) / k, final_variance(n), final_variance(n + 1.0));
        Some(Outlook { mean, variance, next_variance, left })
    }

    /// Why a challenger gets no further fold, if so. `scores` are those of its finished folds: (fold, score).
    pub fn judge(&self, race: Race, scores: &[(u32, f64)], prior: Option<Prior>) -> Option<String> {
        let differences = self.differences(scores);
        if differences.is_empty() || differences.len() >= self.gains.len() {
            return None;
        }
        let reason = match race {
            Race::Off => None,
            Race::Forgiving => self.forgiving(scores),
            Race::Paired => self.paired(&differences),
            Race::Posterior => self
                .outlook(scores, prior)
                .map(Outlook::chance)
                .filter(|chance| *chance < LEAST_CHANCE)
                .map(|chance| format!("its chance to beat trial {} is {}", self.incumbent, percent(chance))),
        }?;
        Some(format!("raced out after {} of {} folds: {reason}", differences.len(), self.gains.len()))
    }

    fn forgiving(&self, scores: &[(u32, f64)]) -> Option<String> {
        let own: Vec<f64> = scores.iter().map(|(_, score)| self.direction.gain(*score)).collect();
        let worst = self.gains.iter().copied().fold(f64::INFINITY, f64::min);
        (mean(&own) <= worst).then(|| {
            let (own, worst) = (self.direction.gain(mean(&own)), self.direction.gain(worst));
            format!("its mean {own:.4} is no better than the worst fold of trial {}, {worst:.4}", self.incumbent)
        })
    }

    fn paired(&self, differences: &[f64]) -> Option<String> {
        let behind = -mean(differences);
        if let [_] = differences {
            let spread = variance(&self.gains).sqrt();
            return (behind > 2.0 * spread).then(|| {
                let what = "more than twice as much as its folds differ";
                format!("it is {behind:.4} behind trial {}, {what} ({spread:.4})", self.incumbent)
            });
        }
        let error = (variance(differences) / differences.len() as f64).sqrt();
        (behind > error)
            .then(|| format!("it is {behind:.4} ± {error:.4} behind trial {} on the same folds", self.incumbent))
    }

    fn differences(&self, scores: &[(u32, f64)]) -> Vec<f64> {
        let difference =
            |(fold, score): &(u32, f64)| Some(self.direction.gain(*score) - self.gains.get(*fold as usize)?);
        scores.iter().filter_map(difference).collect()
    }
}

impl Outlook {
    /// That the challenger will be the better one.
    pub fn chance(self) -> f64 {
        if self.variance > 0.0 {
            return normal_cdf(self.mean / self.variance.sqrt());
        }
        // nothing varies: what is level stays level
        if self.mean > 0.0 {
            1.0
        } else if self.mean < 0.0 {
            0.0
        } else {
            0.5
        }
    }

    /// The improvement of the best that is expected, for each fold that it takes to know.
    pub fn value(self) -> f64 {
        let improvement = if self.variance > 0.0 {
            log_expected_improvement(self.mean, self.variance, 0.0).exp()
        } else {
            self.mean.max(0.0)
        };
        improvement / self.folds_expected()
    }

    /// Until all are known, or the challenger is dropped.
    fn folds_expected(self) -> f64 {
        let step = (self.variance - self.next_variance).max(0.0).sqrt();
        let least = LEAST_Z * self.next_variance.sqrt();
        let goes_on = if step > 0.0 { normal_cdf((self.mean - least) / step) } else { f64::from(self.mean >= least) };
        1.0 + goes_on * (self.left - 1.0).max(0.0)
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the distances to the mean.
fn square_sum(values: &[f64]) -> f64 {
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// Of a sample; 0 of a single value.
fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 { 0.0 } else { square_sum(values) / (values.len() as f64 - 1.0) }
}

/// `0.8 %`, `0.03 %`
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent {
        1e-2..0.1 => format!("{percent:.2} %"),
        0.1.. => format!("{percent:.1} %"),
        _ => "below 0.01 %".to_owned(),
    }
}

#[cfg(test)]
mod tests;
