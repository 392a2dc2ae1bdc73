//! Samplers: history in, point out. They keep no state; all randomness comes from the seed and the trial's number,
//! so that a restart and parallel slots need no special code.

mod grid;
mod random;
pub mod space;

use crate::spec::{Sampler, Search};
use space::Point;

/// The point of trial number `trial` (from 0), or none when the sampler has no more.
pub fn propose(search: &Search, trial: u32) -> Option<Point> {
    if search.trials.is_some_and(|most| trial >= most) {
        return None;
    }
    match search.sampler {
        Sampler::Grid => grid::propose(&search.space, trial),
        Sampler::Random => Some(random::propose(&search.space, search.seed, trial)),
    }
}

/// How many trials the sweep will have.
pub fn planned_trials(search: &Search) -> u32 {
    let grid = match search.sampler {
        Sampler::Grid => search.space.grid_size().unwrap_or(u32::MAX),
        Sampler::Random => u32::MAX,
    };
    grid.min(search.trials.unwrap_or(u32::MAX))
}
