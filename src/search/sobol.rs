//! Quasi-random points: they cover the space more evenly than independent draws.

use super::{Candidates, Proposal};

pub(super) fn propose(candidates: &Candidates<'_>) -> Proposal {
    let (seed, trial) = (candidates.search.seed, candidates.trial());
    let dimensions = candidates.search.space.parameters().len();
    candidates.proposal(|attempt| point(seed, trial, attempt, dimensions), &format!("sobol {trial}"))
}

/// Point `index` of a Sobol sequence, Owen-scrambled by hashing (Burley 2020, Practical hash-based Owen scrambling). What
/// is refused is replaced by the same point of another scrambling, so that what is not refused stays where it is.
pub(super) fn point(seed: u64, index: u32, attempt: u32, dimensions: usize) -> Vec<f64> {
    // the sequence has 2^16 points and 256 dimensions: beyond them another scrambling goes on
    let (block, index) = (index >> 16, index & 0xffff);
    (0..dimensions as u32)
        .map(|dimension| {
            let scramble = mix(seed, [block, dimension >> 8, attempt]);
            f64::from(sobol_burley::sample(index, dimension & 0xff, scramble))
        })
        .collect()
}

/// A seed of 32 bits from one of 64 and more (splitmix64).
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
