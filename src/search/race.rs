//! Racing between folds: whether a trial is worth another fold, when another trial has all of them already.
//!
//! The incumbent is the finished trial with the best mean over all `k` folds. A challenger has been scored on `n < k` of
//! the same folds. Which fold is easy and which is hard is common to both, so what counts are the paired differences
//! `d_j` = challenger - incumbent on the folds that both have (in the direction in which more is better).
//!
//! **posterior** asks for the chance that the challenger's mean over all `k` folds will be above the incumbent's, which
//! is known. Differences of one challenger are taken as independent draws from `N(delta, s^2)`. What is believed of
//! `delta` without its folds is `N(m0, t0^2)` (see [`Belief`]; without one, `t0` is infinite). With the mean `d` of the
//! `n` differences seen,
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
//! differences to the incumbent have the pooled variance `s0^2`, which counts like [`SHRINKAGE`] differences,
//!
//! ```text
//! s^2 = (SHRINKAGE s0^2 + sum (d_j - d)^2) / (SHRINKAGE + n - 1)
//! ```
//!
//! `s0^2` itself starts from `2 var(folds of the incumbent)`, which is what differences vary by when two trials have no
//! hard fold in common, with the weight of [`START`] degrees of freedom.
//!
//! **forgiving** (Bergman, Purucker and Hutter 2024, PMLR 256) drops a challenger whose mean is no better than the
//! incumbent's worst fold. **paired** drops it when the mean difference is below zero by more than one standard error,
//! and after its first fold when that is worse by more than two standard deviations of the incumbent's folds.

use statrs::function::erf::erfc;

use crate::spec::{Direction, Race};

/// A challenger with a smaller chance to become the best is dropped.
pub const LEAST_CHANCE: f64 = 0.05;

/// Finished trials whose differences to the incumbent tell how much differences vary: the best ones.
const NEAR: usize = 5;

/// Weight of the pooled variance against a challenger's own, in differences.
const SHRINKAGE: f64 = 4.0;

/// Weight of the incumbent's own spread in the pooled variance, in degrees of freedom.
const START: f64 = 2.0;

/// What a trial's score will be, without a look at its own folds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    pub mean: f64,
    pub sd: f64,
}

/// What a model of the space says of a challenger and of the incumbent, from the folds of all trials but the challenger
/// (its own folds are the evidence that the belief is combined with: they must not count twice).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    pub challenger: Prior,
    pub incumbent: Prior,
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

    /// The chance that a challenger's mean over all folds will be better than the incumbent's. None before its first
    /// fold.
    pub fn chance(&self, scores: &[(u32, f64)], belief: Option<Belief>) -> Option<f64> {
        let differences = self.differences(scores);
        if differences.is_empty() {
            return None;
        }
        let (n, k) = (differences.len() as f64, self.gains.len() as f64);
        let seen = mean(&differences);
        let variance = (SHRINKAGE * self.variance + square_sum(&differences)) / (SHRINKAGE + n - 1.0);
        let (expected, uncertain) = match belief {
            Some(belief) => self.update(belief, seen, variance / n),
            None => (seen, variance / n),
        };
        let left = k - n;
        let final_mean = (n * seen + left * expected) / k;
        let final_variance = if left > 0.0 { (left / k).powi(2) * (uncertain + variance / left) } else { 0.0 };
        if final_variance > 0.0 {
            return Some(normal_cdf(final_mean / final_variance.sqrt()));
        }
        // nothing varies: what is level stays level
        Some(if final_mean > 0.0 {
            1.0
        } else if final_mean < 0.0 {
            0.0
        } else {
            0.5
        })
    }

    /// Why a challenger gets no further fold, if so. `scores` are those of its finished folds: (fold, score).
    pub fn judge(&self, race: Race, scores: &[(u32, f64)], belief: Option<Belief>) -> Option<String> {
        let differences = self.differences(scores);
        if differences.is_empty() || differences.len() >= self.gains.len() {
            return None;
        }
        let reason = match race {
            Race::Off => None,
            Race::Forgiving => self.forgiving(scores),
            Race::Paired => self.paired(&differences),
            Race::Posterior => self
                .chance(scores, belief)
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

    /// Mean and variance of `delta`, from a belief and the mean of the differences seen with its variance.
    fn update(&self, belief: Belief, seen: f64, noise: f64) -> (f64, f64) {
        let Belief { challenger, incumbent } = belief;
        let expected = self.direction.gain(challenger.mean) - self.direction.gain(incumbent.mean);
        let uncertain = challenger.sd.powi(2) + incumbent.sd.powi(2);
        if !(expected.is_finite() && uncertain.is_finite()) || uncertain + noise <= 0.0 {
            return (seen, noise);
        }
        let weight = uncertain / (uncertain + noise);
        (expected + weight * (seen - expected), weight * noise)
    }

    fn differences(&self, scores: &[(u32, f64)]) -> Vec<f64> {
        let difference =
            |(fold, score): &(u32, f64)| Some(self.direction.gain(*score) - self.gains.get(*fold as usize)?);
        scores.iter().filter_map(difference).collect()
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

fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / std::f64::consts::SQRT_2)
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
