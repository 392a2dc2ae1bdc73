//! Independent uniform draws (on the scale of each parameter).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Candidates, Proposal};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    let mut rng = ChaCha8Rng::seed_from_u64(candidates.search.seed);
    rng.set_stream(u64::from(candidates.trial()));
    let dimensions = candidates.search.space.parameters().len();
    let draw = |_attempt| (0..dimensions).map(|_| rng.random::<f64>()).collect();
    candidates.first(draw).map_or_else(
        || Proposal::Exhausted { why: "no other point is left".to_owned() },
        |point| Proposal::Point { point, why: "random".to_owned() },
    )
}
