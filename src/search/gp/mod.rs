//! Gaussian-process regression that sees folds: y(setting, fold) = g(setting) + effect(fold) + noise.
//!
//! It knows nothing of sweeps: settings are rows of numbers ([`Axis`]), scores are numbers of which more is better.
//! Every score of a fold is an observation of its own. Its setting's part g has a trend, a parabola an axis, and around
//! it a Matérn 5/2 covariance with a length of its own for every axis; the folds' effects, which all settings share, are integrated out, so that a setting that was
//! seen on an easy fold alone is not taken for a good one. What is asked for is the mean score over the folds.

mod acquisition;
mod data;
mod fit;
mod kernel;
mod lbfgs;
mod likelihood;
mod output;
mod posterior;
mod prior;
mod trend;

pub use acquisition::{Improvement, log_expected_improvement, log_normal_cdf, normal_cdf};
pub use data::{Data, Observation};
pub use fit::fit;
pub use kernel::Axis;
pub use output::Scale;
pub use posterior::{Belief, Imagined, Posterior};
pub use prior::{Hyperparameters, Priors};

#[cfg(test)]
mod tests;
