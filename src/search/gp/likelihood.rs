//! Marginal likelihood of all scores, and its gradient by the hyperparameters.
//!
//! With B = K + noise / counts over settings, F the settings' shares in the folds and b the folds' effects, whose
//! precision given g is Q = 1 / effect + within / noise + F' B⁻¹ F, the covariance of all scores has the determinant
//! |B| |Q| effect^folds noise^repeats, and the quadratic form of the scores is that of the means under B, less q' Q q,
//! plus the deviations within settings. One Cholesky factorisation of B, one of Q.

use faer::linalg::solvers::DenseSolveCore;
use faer::{Mat, Side};
use pulp::Arch;

use super::data::Data;
use super::kernel::matern;
use super::prior::{Hyperparameters, Priors};
use super::trend::trend;

/// The system at given hyperparameters.
pub(super) struct Solved {
    /// Covariance of the means under the posterior of the folds' effects, inverted: B⁻¹ - W Q⁻¹ W'.
    pub(super) precision: Mat<f64>,
    /// The same times the means: g(x) = k(x, settings) · weights.
    pub(super) weights: Vec<f64>,
    /// The folds' effects.
    pub(super) effects: Vec<f64>,
    /// Q⁻¹
    pub(super) effects_covariance: Mat<f64>,
    /// W = B⁻¹ F: the covariance of g(x) and the effects is -k(x, settings) · W Q⁻¹.
    pub(super) w: Mat<f64>,
    /// -2 log likelihood, but for constants.
    deviance: f64,
}

/// Solves with `covariance` [setting, setting] of g, its lower triangle. None if it is singular.
pub(super) fn solve(data: &Data, mut covariance: Mat<f64>, noise: f64, effect: f64) -> Option<Solved> {
    let (settings, folds) = (data.settings.len(), data.folds());
    for (setting, count) in data.counts.iter().enumerate() {
        covariance[(setting, setting)] += noise / count;
    }
    let factor = covariance.llt(Side::Lower).ok()?;
    let mut deviance = log_determinant(factor.L());
    let mut precision = factor.inverse();
    let mut weights = times(&precision, &data.means);
    deviance += dot(&weights, &data.means) + data.within / noise + data.repeats() * noise.ln();
    let mut effects = vec![0.0; folds];
    let mut effects_covariance = Mat::zeros(folds, folds);
    let w = &precision * &data.shares;
    if folds > 0 {
        let mut q = data.shares.transpose() * &w;
        for a in 0..folds {
            q[(a, a)] += 1.0 / effect;
            for b in 0..folds {
                q[(a, b)] += data.within_folds[(a, b)] / noise;
            }
        }
        let factor = q.llt(Side::Lower).ok()?;
        effects_covariance = factor.inverse();
        let pull = |fold: usize| data.within_both[fold] / noise + dot(data.shares.col_as_slice(fold), &weights);
        let pull: Vec<f64> = (0..folds).map(pull).collect();
        effects = times(&effects_covariance, &pull);
        deviance += log_determinant(factor.L()) + folds as f64 * effect.ln() - dot(&effects, &pull);
        for setting in 0..settings {
            weights[setting] -= (0..folds).map(|fold| w[(setting, fold)] * effects[fold]).sum::<f64>();
        }
        let pulls = &w * &effects_covariance;
        for setting in 0..settings {
            let of_setting: Vec<f64> = (0..folds).map(|fold| -pulls[(setting, fold)]).collect();
            add_columns(&w, &of_setting, precision.col_as_slice_mut(setting));
        }
    }
    deviance.is_finite().then_some(Solved { precision, weights, effects, effects_covariance, w, deviance })
}

/// The search's target: minus the log posterior of the hyperparameters' logarithms.
pub(super) struct Target<'d> {
    data: &'d Data,
    priors: &'d Priors,
    /// Squared distances at length 1: of each axis, of all pairs (i, j < i).
    distances: Vec<Vec<f64>>,
    /// [setting, setting]: covariance of the trend at variance 1, its lower triangle.
    trend: Mat<f64>,
}

impl<'d> Target<'d> {
    pub(super) fn new(data: &'d Data, priors: &'d Priors) -> Self {
        let x = &data.settings;
        let distances = data.axes.iter().enumerate().map(|(d, axis)| {
            let pairs = (0..x.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
            pairs.map(|(i, j)| axis.squared(x[i][d], x[j][d])).collect()
        });
        let of_trend = |i: usize, j: usize| if j <= i { trend(&data.axes, &x[i], &x[j]) } else { 0.0 };
        Self { data, priors, distances: distances.collect(), trend: Mat::from_fn(x.len(), x.len(), of_trend) }
    }

    /// At a row of hyperparameters: the value and its gradient; none where it cannot be computed.
    pub(super) fn at(&self, row: &[f64]) -> Option<(f64, Vec<f64>)> {
        if row.iter().any(|x| x.abs() > 25.0) {
            return None;
        }
        let data = self.data;
        let (settings, axes) = (data.settings.len(), data.axes.len());
        let hyperparameters = Hyperparameters::from_row(row, axes);
        let kernel = hyperparameters.kernel(&data.axes);
        let (noise, effect) = (hyperparameters.noise_variance(), hyperparameters.effect.exp());
        let mut squared = vec![0.0; settings * settings.saturating_sub(1) / 2];
        for (distances, inverse) in self.distances.iter().zip(&kernel.inverse) {
            squared.iter_mut().zip(distances).for_each(|(sum, distance)| *sum += distance * inverse);
        }
        let mut slopes = squared;
        let mut covariance = Mat::zeros(settings, settings);
        let mut pairs = slopes.iter_mut();
        for i in 0..settings {
            covariance[(i, i)] = kernel.scale + kernel.trend * self.trend[(i, i)];
            for (j, pair) in (0..i).zip(&mut pairs) {
                let (value, slope) = matern(*pair);
                covariance[(i, j)] = kernel.scale * value + kernel.trend * self.trend[(i, j)];
                *pair = kernel.scale * slope;
            }
        }
        let solved = solve(data, covariance.clone(), noise, effect)?;
        let mut gradient = vec![0.0; row.len()];
        // the derivative of the deviance by B[i, j] is precision - weights weights'
        let (mut by_scale, mut by_trend, mut by_noise) = (0.0, 0.0, 0.0);
        let mut pairs = slopes.iter_mut();
        for i in 0..settings {
            let by = |j: usize| solved.precision[(i, j)] - solved.weights[i] * solved.weights[j];
            by_scale += by(i) * kernel.scale;
            by_trend += by(i) * kernel.trend * self.trend[(i, i)];
            by_noise += by(i) / data.counts[i];
            for (j, pair) in (0..i).zip(&mut pairs) {
                let trend = kernel.trend * self.trend[(i, j)];
                by_scale += 2.0 * by(j) * (covariance[(i, j)] - trend);
                by_trend += 2.0 * by(j) * trend;
                *pair *= 2.0 * by(j);
            }
        }
        for (axis, distances) in self.distances.iter().enumerate() {
            gradient[axis] = -2.0 * kernel.inverse[axis] * dot(distances, &slopes);
        }
        gradient[axes] = by_scale;
        gradient[axes + 1] = by_trend;
        gradient[axes + 2] = (by_noise + self.within_by_noise(&solved, noise)) * Priors::noise_slope(noise);
        if let Some(by_effect) = gradient.get_mut(axes + 3) {
            let folds = 0..data.folds();
            let spread: f64 =
                folds.map(|fold| solved.effects_covariance[(fold, fold)] + solved.effects[fold].powi(2)).sum();
            *by_effect = data.folds() as f64 - spread / effect;
        }
        let mut slopes = vec![0.0; row.len()];
        let value = 0.5 * solved.deviance - self.priors.log_density(row, axes, &mut slopes);
        gradient.iter_mut().zip(&slopes).for_each(|(by, prior)| *by = 0.5 * *by - prior);
        value.is_finite().then_some((value, gradient))
    }

    /// The derivative of the deviance by the noise through the deviations within settings.
    fn within_by_noise(&self, solved: &Solved, noise: f64) -> f64 {
        let data = self.data;
        let mut sum = data.repeats() / noise - data.within / (noise * noise);
        for (a, effect) in solved.effects.iter().enumerate() {
            sum += 2.0 * effect * data.within_both[a] / (noise * noise);
            for (b, other) in solved.effects.iter().enumerate() {
                let second = solved.effects_covariance[(a, b)] + effect * other;
                sum -= second * data.within_folds[(a, b)] / (noise * noise);
            }
        }
        sum
    }
}

/// Of a matrix with this Cholesky factor.
fn log_determinant(factor: faer::MatRef<'_, f64>) -> f64 {
    2.0 * (0..factor.nrows()).map(|i| factor[(i, i)].ln()).sum::<f64>()
}

/// A matrix times a vector.
pub(super) fn times(matrix: &Mat<f64>, vector: &[f64]) -> Vec<f64> {
    let mut product = vec![0.0; matrix.nrows()];
    add_columns(matrix, vector, &mut product);
    product
}

/// Adds to `sums` a matrix's columns, each as often as `by` says.
///
/// Always on the widest registers, although short vectors gain little: factorisations and products of matrices leave the
/// registers' upper halves in use, which makes all narrow arithmetic after them several times slower, exponentials most.
/// A function for wide registers clears them when it returns.
fn add_columns(matrix: &Mat<f64>, by: &[f64], sums: &mut [f64]) {
    #[inline(always)]
    fn add(column: &[f64], by: f64, sums: &mut [f64]) {
        sums.iter_mut().zip(column).for_each(|(sum, x)| *sum += x * by);
    }
    Arch::new().dispatch(|| {
        for (column, by) in by.iter().enumerate() {
            add(matrix.col_as_slice(column), *by, sums);
        }
    });
}

pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
