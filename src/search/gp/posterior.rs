//! What is believed after the scores: of h(x) = g(x) + the mean effect of the folds that are asked for, which is the mean
//! score over those folds.
//!
//! Not of g alone: how high g lies and how easy the folds are cannot be told apart, and what is uncertain of the level of
//! all settings alike is no chance that one of them is better.

use std::iter;

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

use super::data::Data;
use super::kernel::{Axis, Kernel};
use super::likelihood::{Solved, dot, solve, times};
use super::prior::{Hyperparameters, LEAST_NOISE};
use super::trend::slope;

/// A fitted process. With z(x) = (1, k(x, settings)), the mean of h(x) is z · weights and its variance
/// k(x, x) - z' precision z.
#[derive(Clone, Debug)]
pub struct Posterior {
    kernel: Kernel,
    noise: f64,
    /// Those that were seen.
    settings: Vec<Vec<f64>>,
    precision: Mat<f64>,
    weights: Vec<f64>,
    /// h's mean at the settings.
    means: Vec<f64>,
    effects: Vec<f64>,
}

/// Normal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Belief {
    pub mean: f64,
    pub variance: f64,
}

/// The posterior in several worlds: in each, settings that are still being scored got scores that they may well get.
#[derive(Clone, Debug)]
pub struct Imagined {
    kernel: Kernel,
    settings: Vec<Vec<f64>>,
    precision: Mat<f64>,
    /// Of each world; their variances are the same.
    weights: Vec<Vec<f64>>,
}

/// A belief in every world, and its derivatives by the ordered axes (0 for named ones).
pub(super) struct Slopes {
    pub(super) means: Vec<Vec<f64>>,
    pub(super) variance: Vec<f64>,
}

const LEAST_VARIANCE: f64 = 1e-12;

impl Posterior {
    /// With given hyperparameters; none if the scores make no regular system.
    pub fn new(data: &Data, hyperparameters: &Hyperparameters) -> Option<Self> {
        let mut kernel = hyperparameters.kernel(&data.axes);
        let mut noise = hyperparameters.noise_variance();
        if data.has_own() {
            (kernel.own, noise) = (noise, LEAST_NOISE);
        }
        let x = &data.settings;
        let mut covariance = Mat::zeros(x.len(), x.len());
        for i in 0..x.len() {
            for j in 0..=i {
                covariance[(i, j)] = kernel.between(&x[i], &x[j]).0;
            }
        }
        let Solved { precision, weights, effects, effects_covariance, w, .. } =
            solve(data, covariance, noise, hyperparameters.effect.exp())?;
        let level = dot(&effects, &data.asked);
        // K weights = B weights - noise / counts weights, and B weights are the means without the folds' effects
        let mean = |setting: usize| {
            let effect: f64 =
                effects.iter().enumerate().map(|(fold, effect)| data.shares[(setting, fold)] * effect).sum();
            level + data.means[setting] - effect - noise / data.counts[setting] * weights[setting]
        };
        let means = (0..x.len()).map(mean).collect();
        // covariances with the mean effect: of g(x), -k(x, settings) · pulls, and of itself
        let of_level = times(&effects_covariance, &data.asked);
        let pulls = times(&w, &of_level);
        let precision = Mat::from_fn(x.len() + 1, x.len() + 1, |a, b| match (a.checked_sub(1), b.checked_sub(1)) {
            (Some(a), Some(b)) => precision[(a, b)],
            (Some(setting), None) | (None, Some(setting)) => pulls[setting],
            (None, None) => -dot(&of_level, &data.asked),
        });
        let weights = iter::once(level).chain(weights).collect();
        Some(Self { kernel, noise, settings: x.clone(), precision, weights, means, effects })
    }

    /// Of h at a row of numbers.
    pub fn at(&self, x: &[f64]) -> Belief {
        let covariances = self.covariances(x);
        let mean = dot(&covariances, &self.weights);
        let variance = self.kernel.of(x) - dot(&times(&self.precision, &covariances), &covariances);
        Belief { mean, variance: variance.max(LEAST_VARIANCE) }
    }

    /// Of h at a setting, as if the mean of its own scores had not been seen. Exact for a single score; what the
    /// differences between several scores say of the folds stays known.
    ///
    /// With the means' joint precision P, a mean is predicted from the others with variance 1 / `P_ii` and an error of
    /// `weight_i` / `P_ii` (Rasmussen and Williams 2006, section 5.4.2); h has the slope (precision z)_i by it.
    pub fn without(&self, setting: usize) -> Belief {
        let (x, own) = (&self.settings[setting], setting + 1);
        let Belief { mean, variance } = self.at(x);
        let precision = self.precision[(own, own)];
        let slope = dot(self.precision.col_as_slice(own), &self.covariances(x));
        Belief { mean: mean - slope * self.weights[own] / precision, variance: variance + slope * slope / precision }
    }

    /// Mean of h at the settings of the data, in their order.
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    pub fn setting(&self, setting: usize) -> &Vec<f64> {
        &self.settings[setting]
    }

    /// Mean effects of the folds; empty where there is one only.
    pub fn effects(&self) -> &[f64] {
        &self.effects
    }

    /// Variance of one fold's score around g and the fold's effect.
    pub fn noise(&self) -> f64 {
        self.noise
    }

    /// Worlds, one a row of `normals` (independent standard normal numbers, one for each of `pending`), in which the
    /// pending settings have got scores with `noise`; without pending ones, the only world is what was seen.
    ///
    /// Expected values over the worlds integrate the pending scores out (Snoek 2012, section 3.2). None if the pending
    /// settings make no regular system.
    pub fn imagine(&self, pending: &[Vec<f64>], noise: f64, normals: &[Vec<f64>]) -> Option<Imagined> {
        let (seen, new) = (self.weights.len(), pending.len());
        if new == 0 {
            let (kernel, settings, precision) = (self.kernel.clone(), self.settings.clone(), self.precision.clone());
            return Some(Imagined { kernel, settings, precision, weights: vec![self.weights.clone()] });
        }
        let columns: Vec<Vec<f64>> = pending.iter().map(|x| self.covariances(x)).collect();
        let pulls: Vec<Vec<f64>> = columns.iter().map(|column| times(&self.precision, column)).collect();
        let covariance = Mat::from_fn(new, new, |a, b| {
            let prior = self.kernel.between(&pending[a], &pending[b]).0;
            prior - dot(&columns[a], &pulls[b]) + if a == b { noise + LEAST_VARIANCE } else { 0.0 }
        });
        let factor = covariance.llt(Side::Lower).ok()?;
        let lower = factor.L();
        let inverse = factor.inverse();
        let weights = normals.iter().map(|normals| {
            // scores minus their means: L z
            let surprise: Vec<f64> = (0..new).map(|a| (0..=a).map(|b| lower[(a, b)] * normals[b]).sum()).collect();
            let of_new = times(&inverse, &surprise);
            let mut weights = self.weights.clone();
            for (pull, by) in pulls.iter().zip(&of_new) {
                weights.iter_mut().zip(pull).for_each(|(weight, pull)| *weight -= pull * by);
            }
            weights.extend(of_new);
            weights
        });
        let weights = weights.collect();
        let pulls = Mat::from_fn(seen, new, |setting, a| pulls[a][setting]);
        let side = &pulls * &inverse;
        let corner = &side * pulls.transpose();
        let precision = Mat::from_fn(seen + new, seen + new, |a, b| match (a.checked_sub(seen), b.checked_sub(seen)) {
            (None, None) => self.precision[(a, b)] + corner[(a, b)],
            (None, Some(b)) => -side[(a, b)],
            (Some(a), None) => -side[(b, a)],
            (Some(a), Some(b)) => inverse[(a, b)],
        });
        let settings = self.settings.iter().chain(pending).cloned().collect();
        Some(Imagined { kernel: self.kernel.clone(), settings, precision, weights })
    }

    fn covariances(&self, x: &[f64]) -> Vec<f64> {
        covariances(&self.kernel, &self.settings, x)
    }
}

/// z(x)
fn covariances(kernel: &Kernel, settings: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
    iter::once(1.0).chain(settings.iter().map(|seen| kernel.between(x, seen).0)).collect()
}

impl Imagined {
    /// z(x): h's mean in a world is their sum, weighted by the world's [`Imagined::weights`].
    pub fn terms(&self, x: &[f64]) -> Vec<f64> {
        covariances(&self.kernel, &self.settings, x)
    }

    /// [world, term]
    pub fn weights(&self) -> &[Vec<f64>] {
        &self.weights
    }

    /// Means of h in every world, and its variance, which they share.
    pub(super) fn at(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let covariances = covariances(&self.kernel, &self.settings, x);
        let means = self.weights.iter().map(|weights| dot(&covariances, weights)).collect();
        let variance = self.kernel.of(x) - dot(&times(&self.precision, &covariances), &covariances);
        (means, variance.max(LEAST_VARIANCE))
    }

    pub(super) fn with_slopes(&self, x: &[f64]) -> (Vec<f64>, f64, Slopes) {
        let each = self.settings.iter().map(|seen| self.kernel.between(x, seen));
        let (covariances, slopes): (Vec<f64>, Vec<f64>) = iter::once((1.0, 0.0)).chain(each).unzip();
        let pulls = times(&self.precision, &covariances);
        let means: Vec<f64> = self.weights.iter().map(|weights| dot(&covariances, weights)).collect();
        let variance = self.kernel.of(x) - dot(&pulls, &covariances);
        let mut by = Slopes { means: vec![vec![0.0; x.len()]; means.len()], variance: vec![0.0; x.len()] };
        for (axis, kind) in self.kernel.axes.iter().enumerate() {
            if *kind == Axis::Named {
                continue;
            }
            let of_trend = |seen: f64| self.kernel.trend * slope(x.len(), x[axis], seen);
            by.variance[axis] += 2.0 * of_trend(x[axis]);
            for (setting, seen) in (1..).zip(&self.settings) {
                let of_distance = slopes[setting] * 2.0 * (x[axis] - seen[axis]) * self.kernel.inverse[axis];
                let slope = of_distance + of_trend(seen[axis]);
                by.variance[axis] -= 2.0 * pulls[setting] * slope;
                for (means, weights) in by.means.iter_mut().zip(&self.weights) {
                    means[axis] += weights[setting] * slope;
                }
            }
        }
        (means, variance.max(LEAST_VARIANCE), by)
    }
}
