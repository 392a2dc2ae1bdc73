//! Independent uniform draws (on the scale of each parameter).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Candidates, Proposal};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    candidates.proposal(draws(candidates), "random")
}

/// The draws of a trial, to be asked for in the order of the attempts.
pub(super) fn draws(candidates: &Candidates<'_>) -> impl FnMut(u32) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(candidates.search.seed);
    rng.set_stream(u64::from(candidates.trial()));
    let dimensions = candidates.search.space.parameters().len();
    move |_attempt| (0..dimensions).map(|_| rng.random::<f64>()).collect()
}
