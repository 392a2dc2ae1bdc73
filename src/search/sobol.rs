//! Quasi-random points: they cover the space more evenly than independent draws.

use super::{Candidates, Proposal};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    let (trial, dimensions) = (candidates.trial(), candidates.search.space.parameters().len());
    let draw = |attempt| point(candidates.search.seed, trial, attempt, dimensions);
    candidates.first(draw).map_or_else(
        || Proposal::Exhausted { why: "no other point is left".to_owned() },
        |point| Proposal::Point { point, why: format!("sobol {trial}") },
    )
}

/// The sequence's point of a trial, Owen-scrambled (Burley 2020). Every attempt has a sequence of its own.
pub(super) fn point(seed: u64, trial: u32, attempt: u32, dimensions: usize) -> Vec<f64> {
    // the sequence ends after 2^16 points and has 256 dimensions: beyond them others go on
    let (block, index) = (trial >> 16, trial & 0xffff);
    (0..dimensions as u32)
        .map(|dimension| {
            let scramble = mix(seed, [block, dimension >> 8, attempt]);
            f64::from(sobol_burley::sample(index, dimension & 0xff, scramble))
        })
        .collect()
}

/// A seed of 32 bits (splitmix64).
fn mix(seed: u64, parts: [u32; 3]) -> u32 {
    let mut hash = seed;
    for part in parts {
        hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_add(u64::from(part));
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        hash ^= hash >> 31;
    }
    hash as u32
}
