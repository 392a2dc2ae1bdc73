//! Bayesian optimisation: the point that promises the largest improvement under a Gaussian process of all scores.
//!
//! Points of trials that are still without a score are integrated out, and failures are learned as a probability that a
//! point can be run at all.

mod climb;
mod convergence;
mod feasibility;
mod forecast;
mod model;

use std::collections::BTreeSet;

use super::sobol;
use super::space::Point;
use super::{Candidates, Proposal};
use climb::Climb;
use model::Model;

pub use convergence::{Prospect, Unforeseen};
pub(super) use convergence::{converged, prospect};
pub use forecast::Forecast;
pub(super) use model::{Fitted, gains, key};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    let knows_nothing = candidates.history.earlier.is_empty();
    if knows_nothing && candidates.history.trials.len() < design(candidates.search.space.parameters().len()) {
        return sobol::propose(candidates);
    }
    // without enough scores, or with scores that no process can be fitted to, points are spread evenly
    let Some(model) = Model::of(candidates.search, candidates.history) else {
        return sobol::propose(candidates);
    };
    let Some((point, promise)) = promising(candidates, &model) else { return sobol::propose(candidates) };
    let gain = rounded(promise.exp() * model.fitted.unit());
    if promise.exp() < NEXT_TO_NOTHING * model.standard_error && candidates.trial().is_multiple_of(2) {
        let can_run = |point: &Point| model.can_run(&model.fitted.axes.features(point));
        let accepts = |point: &Point| (candidates.accepts)(point) && can_run(point);
        if let Proposal::Point { point, .. } = sobol::propose(&Candidates { accepts: &accepts, ..*candidates }) {
            let why = format!("sobol: no more than {gain} is expected of any point");
            return Proposal::Point { point, why };
        }
    }
    Proposal::Point { point, why: format!("bayes: expected improvement {gain}") }
}

/// An improvement that is next to nothing, in standard errors of a score. A model that expects no more may be wrong, about
/// a branch that it has hardly seen or about the shape of everything, and would not find out where it keeps looking: every
/// other point is spread evenly then.
const NEXT_TO_NOTHING: f64 = 0.1;

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
    if x > 0.0 && !(1e-5..1e6).contains(&x) {
        return format!("{x:.1e}");
    }
    let digits = if x > 0.0 { (1.0 - x.log10().floor()).clamp(0.0, 8.0) as usize } else { 1 };
    format!("{x:.digits$}")
}

#[cfg(test)]
mod tests;
