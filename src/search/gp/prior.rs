//! The hyperparameters, and what is believed of them before any score is seen.

use super::kernel::{Axis, Kernel};

/// Smallest variance of the noise: keeps the matrices regular where scores repeat to the last digit.
pub(super) const LEAST_NOISE: f64 = 1e-6;

/// Logarithms of the process's hyperparameters; scores have mean 0 and variance 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Hyperparameters {
    /// Of each axis's length.
    pub lengths: Vec<f64>,
    /// Of the variance of g around its trend.
    pub scale: f64,
    /// Of the variance of the trend.
    pub trend: f64,
    /// Of the variance of a fold's score around g and the fold's effect.
    pub noise: f64,
    /// Of the variance of the folds' effects.
    pub effect: f64,
}

impl Hyperparameters {
    pub(super) fn kernel(&self, axes: &[Axis]) -> Kernel {
        let inverse = self.lengths.iter().map(|length| (-2.0 * length).exp()).collect();
        Kernel { axes: axes.to_vec(), inverse, scale: self.scale.exp(), trend: self.trend.exp(), own: 0.0 }
    }

    pub(super) fn noise_variance(&self) -> f64 {
        self.noise.exp() + LEAST_NOISE
    }

    /// As one row: the lengths, the scale, the trend, the noise and, where there are folds, their effect.
    pub(super) fn to_row(&self, has_folds: bool) -> Vec<f64> {
        let effect = has_folds.then_some(self.effect);
        self.lengths.iter().copied().chain([self.scale, self.trend, self.noise]).chain(effect).collect()
    }

    pub(super) fn from_row(row: &[f64], axes: usize) -> Self {
        // without folds their variance is never asked for
        let effect = row.get(axes + 3).copied().unwrap_or(0.0);
        Self { lengths: row[..axes].to_vec(), scale: row[axes], trend: row[axes + 1], noise: row[axes + 2], effect }
    }
}

/// Log-normal priors.
#[derive(Clone, Debug)]
pub struct Priors {
    lengths: LogNormal,
    scale: LogNormal,
    trend: LogNormal,
    noise: LogNormal,
    effect: LogNormal,
}

/// Mean and standard deviation of the logarithm.
#[derive(Clone, Copy, Debug)]
struct LogNormal(f64, f64);

impl Priors {
    /// Lengths grow with the root of the number of axes, as distances do (Hvarfner 2024, whose median is eighteen times as
    /// long and whose spread is wider). What spans the whole space is the trend's; long lengths beside it leave a search
    /// nothing to learn between far points: on synthetic functions and on tables of real sweeps alike shorter ones found
    /// more (`benches/search.rs`).
    pub fn new(axes: usize) -> Self {
        Self {
            lengths: lengths(-1.5, axes),
            scale: LogNormal(0.0, 1.0),
            trend: LogNormal(-1.0, 1.0),
            noise: LogNormal(-4.0, 1.0),
            effect: LogNormal(-2.0, 1.5),
        }
    }

    /// For labels of +1 and -1: where they change from one point to the next, a process without noise would have lengths
    /// so short that far from the edge nothing is known.
    pub fn of_labels(axes: usize) -> Self {
        Self { lengths: lengths(0.7, axes), noise: LogNormal(-1.0, 0.5), ..Self::new(axes) }
    }

    /// Where the search for the best hyperparameters starts: smooth, and rough.
    pub fn starts(axes: usize) -> [Hyperparameters; 2] {
        let at = |length, noise| Hyperparameters {
            lengths: vec![length; axes],
            scale: 0.0,
            trend: -1.0,
            noise,
            effect: -2.0,
        };
        [at(0.0, -4.0), at(-1.2, -6.0)]
    }

    /// Log density of a row of hyperparameters (but for a constant), and its gradient added to `slopes`.
    pub(super) fn log_density(&self, row: &[f64], axes: usize, slopes: &mut [f64]) -> f64 {
        let rest = [self.scale, self.trend, self.noise, self.effect];
        let priors = std::iter::repeat_n(self.lengths, axes).chain(rest);
        let mut density = 0.0;
        for ((x, LogNormal(mean, sd)), slope) in row.iter().zip(priors).zip(slopes) {
            let z = (x - mean) / sd;
            density -= 0.5 * z * z;
            *slope -= z / sd;
        }
        density
    }

    /// `d noise variance / d noise`, given the variance.
    pub(super) fn noise_slope(variance: f64) -> f64 {
        variance - LEAST_NOISE
    }
}

/// Longer with the root of the number of axes.
fn lengths(of_one: f64, axes: usize) -> LogNormal {
    LogNormal(of_one + 0.5 * (axes.max(1) as f64).ln(), 1.0)
}
