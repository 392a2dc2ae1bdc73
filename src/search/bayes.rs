//! Bayesian search: for the moment, quasi-random points.

use super::{Candidates, Proposal, sobol};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    sobol::propose(candidates)
}
