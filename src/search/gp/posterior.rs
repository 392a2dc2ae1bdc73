//! What is believed of g after the scores.

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};

use super::data::Data;
use super::kernel::{Axis, Kernel};
use super::likelihood::{Solved, dot, solve, times};
use super::prior::Hyperparameters;

/// A fitted process.
#[derive(Clone, Debug)]
pub struct Posterior {
    kernel: Kernel,
    noise: f64,
    /// Those that were seen.
    settings: Vec<Vec<f64>>,
    precision: Mat<f64>,
    weights: Vec<f64>,
    /// g's mean at the settings.
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
        let kernel = hyperparameters.kernel(&data.axes);
        let x = &data.settings;
        let mut covariance = Mat::zeros(x.len(), x.len());
        for i in 0..x.len() {
            for j in 0..=i {
                covariance[(i, j)] = kernel.between(&x[i], &x[j]).0;
            }
        }
        let noise = hyperparameters.noise_variance();
        let Solved { precision, weights, effects, .. } = solve(data, covariance, noise, hyperparameters.effect.exp())?;
        // K weights = B weights - noise / counts weights, and B weights are the means without the folds' effects
        let mean = |setting: usize| {
            let effect: f64 =
                effects.iter().enumerate().map(|(fold, effect)| data.shares[(setting, fold)] * effect).sum();
            data.means[setting] - effect - noise / data.counts[setting] * weights[setting]
        };
        let means = (0..x.len()).map(mean).collect();
        Some(Self { kernel, noise, settings: x.clone(), precision, weights, means, effects })
    }

    /// Of g at a row of numbers.
    pub fn at(&self, x: &[f64]) -> Belief {
        let covariances = self.covariances(x);
        let mean = dot(&covariances, &self.weights);
        let variance = self.kernel.scale - dot(&times(&self.precision, &covariances), &covariances);
        Belief { mean, variance: variance.max(LEAST_VARIANCE) }
    }

    /// Mean of g at the settings of the data, in their order.
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
        let (seen, new) = (self.settings.len(), pending.len());
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
        self.settings.iter().map(|seen| self.kernel.between(x, seen).0).collect()
    }
}

impl Imagined {
    /// Means of g in every world, and its variance, which they share.
    pub(super) fn at(&self, x: &[f64]) -> (Vec<f64>, f64) {
        let covariances: Vec<f64> = self.settings.iter().map(|seen| self.kernel.between(x, seen).0).collect();
        let means = self.weights.iter().map(|weights| dot(&covariances, weights)).collect();
        let variance = self.kernel.scale - dot(&times(&self.precision, &covariances), &covariances);
        (means, variance.max(LEAST_VARIANCE))
    }

    pub(super) fn with_slopes(&self, x: &[f64]) -> (Vec<f64>, f64, Slopes) {
        let (covariances, slopes): (Vec<f64>, Vec<f64>) =
            self.settings.iter().map(|seen| self.kernel.between(x, seen)).unzip();
        let pulls = times(&self.precision, &covariances);
        let means: Vec<f64> = self.weights.iter().map(|weights| dot(&covariances, weights)).collect();
        let variance = self.kernel.scale - dot(&pulls, &covariances);
        let mut by = Slopes { means: vec![vec![0.0; x.len()]; means.len()], variance: vec![0.0; x.len()] };
        for (axis, kind) in self.kernel.axes.iter().enumerate() {
            if *kind == Axis::Named {
                continue;
            }
            for (setting, seen) in self.settings.iter().enumerate() {
                let slope = slopes[setting] * 2.0 * (x[axis] - seen[axis]) * self.kernel.inverse[axis];
                by.variance[axis] -= 2.0 * pulls[setting] * slope;
                for (means, weights) in by.means.iter_mut().zip(&self.weights) {
                    means[axis] += weights[setting] * slope;
                }
            }
        }
        (means, variance.max(LEAST_VARIANCE), by)
    }
}
