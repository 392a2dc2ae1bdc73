//! Bayesian optimisation: the point that promises the largest improvement under a Gaussian process of all scores.
//!
//! Points of trials that are still without a score are integrated out, and failures are learned as a probability that a
//! point can be run at all.

mod belief;
mod climb;
mod convergence;
mod feasibility;
mod model;

use std::collections::BTreeSet;

use super::sobol;
use super::space::Point;
use super::{Candidates, Proposal};
use climb::Climb;
use model::{Model, key};

pub use belief::belief;
pub(super) use convergence::converged;
pub(super) use model::{Fitted, gains};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    let knows_nothing = candidates.history.earlier.is_empty();
    if knows_nothing && candidates.history.trials.len() < design(candidates.search.space.parameters().len()) {
        return sobol::propose(candidates);
    }
    // without enough scores, or with scores that no process can be fitted to, points are spread evenly
    let Some(model) = Model::of(candidates.search, candidates.history) else {
        return sobol::propose(candidates);
    };
    match promising(candidates, &model) {
        Some((point, promise)) => {
            let gain = promise.exp() * model.fitted.unit();
            Proposal::Point { point, why: format!("bayes: expected improvement {}", rounded(gain)) }
        }
        None => sobol::propose(candidates),
    }
}

/// The new point that promises most, and the logarithm of its promise.
fn promising(candidates: &Candidates<'_>, model: &Model) -> Option<(Point, f64)> {
    let trials = candidates.history.trials.iter();
    let seen: BTreeSet<Vec<u64>> = trials.map(|tried| key(&model.fitted.axes.features(&tried.point))).collect();
    Climb { candidates, model, seen: &seen }.best()
}

/// Quasi-random trials before the first fit.
fn design(parameters: usize) -> usize {
    (parameters / 2 + 2).clamp(3, 6)
}

/// Two significant digits.
fn rounded(x: f64) -> String {
    let digits = if x > 0.0 { (1.0 - x.log10().floor()).clamp(0.0, 8.0) as usize } else { 1 };
    format!("{x:.digits$}")
}

#[cfg(test)]
mod tests;
