//! What the scores of cross-validation allow one to say: how sure a mean is, whether two trials differ, and how much of
//! the winner's score is luck.
//!
//! Folds are not independent: their training documents overlap, so the spread between folds understates how far a mean
//! lies from the truth. Nadeau & Bengio (2003, *Inference for the generalization error*, Machine Learning 52) replace
//! the factor 1/J of the variance of a mean over J runs by 1/J + `n_test` / `n_train`; Bouckaert & Frank (2004) carry it
//! over to repeated k-fold cross-validation, where J = k x repeats and `n_test` / `n_train` = 1 / (k - 1).

mod bootstrap;
mod out_of_fold;
mod sampling;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod tibshirani;

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

pub use bootstrap::{Bootstrap, Optimism, Units};
pub use out_of_fold::{Labels, OutOfFold};
pub use sampling::Resampling;
pub use tibshirani::tibshirani;

/// A difference beyond chance: two-sided.
pub const SIGNIFICANCE: f64 = 0.05;

/// The corrected standard error of the mean of J scores of a cross-validation with `k` folds; none for a single score.
///
/// With k = 1 a run says nothing of how much its data overlap with another's: repeats then count as independent.
pub fn standard_error(scores: &[f64], k: u32) -> Option<f64> {
    if scores.len() < 2 {
        return None;
    }
    let (count, mean) = (scores.len() as f64, mean(scores));
    let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some(standard_error_of(variance, scores.len(), k))
}

/// The same, of so many scores that have this variance.
pub fn standard_error_of(variance: f64, scores: usize, k: u32) -> f64 {
    let overlap = if k > 1 { 1.0 / f64::from(k - 1) } else { 0.0 };
    ((1.0 / scores as f64 + overlap) * variance).sqrt()
}

/// Two trials on the folds that both have run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Folds that both have.
    pub folds: usize,
    /// Mean of the differences.
    pub difference: f64,
    /// Its corrected standard error; none on a single fold.
    pub difference_se: Option<f64>,
    /// Two-sided, of the corrected resampled t-test with J - 1 degrees of freedom; none on a single fold.
    pub p: Option<f64>,
}

impl Comparison {
    /// From the differences of the scores, fold by fold, of a cross-validation with `k` folds; none without any.
    pub fn of(differences: &[f64], k: u32) -> Option<Self> {
        if differences.is_empty() {
            return None;
        }
        let difference = mean(differences);
        let difference_se = standard_error(differences, k);
        let p = difference_se.map(|error| two_sided(difference, error, differences.len() - 1));
        Some(Self { folds: differences.len(), difference, difference_se, p })
    }
}

fn two_sided(difference: f64, error: f64, degrees: usize) -> f64 {
    if difference == 0.0 {
        return 1.0;
    }
    let t = (difference / error).abs();
    if t.is_finite() { 2.0 * student(degrees).sf(t) } else { 0.0 }
}

/// Beyond which t a difference is more than chance.
pub fn critical_t(degrees: usize) -> f64 {
    student(degrees).inverse_cdf(1.0 - SIGNIFICANCE / 2.0)
}

fn student(degrees: usize) -> StudentsT {
    StudentsT::new(0.0, 1.0, degrees as f64).expect("there is at least one degree of freedom")
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}
