//! Samplers: history in, point out. They keep no state; all randomness comes from the seed and the trial's number,
//! so that a restart and parallel slots need no special code.

pub mod ask_tell;
mod bayes;
pub mod gp;
mod grid;
mod history;
pub mod insight;
pub mod prune;
pub mod race;
mod random;
mod sobol;
pub mod space;
#[cfg(test)]
mod tests;

pub use bayes::{Forecast, Prospect, Unforeseen};
pub use history::{Earlier, History, Tried, TriedState};

use std::collections::BTreeSet;

use statrs::distribution::{ContinuousCDF, Normal};

use crate::spec::{Sampler, Search};
use space::Point;

/// What a sampler answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Proposal {
    /// The next trial's point, and in a few words what it comes from.
    Point { point: Point, why: String },
    /// There is none any more.
    Exhausted { why: String },
}

/// Draws of one trial, until one is a point that may be and has not been.
const DRAWS: u32 = 10_000;
/// Draws of one trial in a space whose points can be walked through instead.
const DRAWS_OF_FEW: u32 = 200;
/// Points of a space that is walked through.
const FEW: u64 = 1_000_000;

/// The point of the trial that follows those of the history. `accepts` says whether a point makes a configuration that
/// can run; what it refuses, and what was proposed before, is drawn again.
pub fn propose(search: &Search, history: &History, accepts: &dyn Fn(&Point) -> bool) -> Proposal {
    let candidates = Candidates { search, history, accepts };
    if let Some(point) = candidates.start() {
        return Proposal::Point { point, why: "start".to_owned() };
    }
    match search.sampler {
        Sampler::Grid => grid::propose(&candidates),
        Sampler::Random => random::propose(&candidates),
        Sampler::Sobol => sobol::propose(&candidates),
        Sampler::Bayes => bayes::propose(&candidates),
    }
}

/// Number `number` of points spread evenly over [0, 1)^`dimensions`, the same for the same seed.
pub fn scattered(seed: u64, number: u32, dimensions: usize) -> Vec<f64> {
    sobol::point(seed, number, 0, dimensions)
}

/// Rows of independent standard normal numbers, spread as evenly: `number` of rows, `dimensions` in each.
fn normals(seed: u64, number: usize, dimensions: usize) -> Vec<Vec<f64>> {
    let normal = Normal::standard();
    // not at 0, whose quantile is minus infinity
    let quantile = |u: f64| normal.inverse_cdf(u.clamp(1e-6, 1.0 - 1e-6));
    let row = |row: u32| scattered(seed, row, dimensions).into_iter().map(quantile).collect();
    (0..number as u32).map(row).collect()
}

/// Why the sweep could stop, although its budget and its points allow more: what another trial can be expected to gain
/// is less than what cross-validation in `k` folds can tell. Only a model of the space knows.
pub fn converged(search: &Search, history: &History, k: u32, accepts: &dyn Fn(&Point) -> bool) -> Option<String> {
    match search.sampler {
        Sampler::Bayes => bayes::converged(search, history, k, accepts),
        Sampler::Grid | Sampler::Random | Sampler::Sobol => None,
    }
}

/// What another trial can be expected to gain, beside what cross-validation in `k` folds can tell.
pub fn prospect(
    search: &Search,
    history: &History,
    k: u32,
    accepts: &dyn Fn(&Point) -> bool,
) -> Result<Prospect, Unforeseen> {
    match search.sampler {
        Sampler::Bayes => bayes::prospect(search, history, k, accepts),
        Sampler::Grid | Sampler::Random | Sampler::Sobol => Err(Unforeseen::NoModel),
    }
}

/// The points that can be the next.
struct Candidates<'c> {
    search: &'c Search,
    history: &'c History,
    accepts: &'c dyn Fn(&Point) -> bool,
}

impl Candidates<'_> {
    /// The number of the next trial among those that are drawn.
    fn trial(&self) -> u32 {
        (self.history.trials.len() - self.history.asked.len()) as u32
    }

    /// Whether a point may be the next.
    fn admit(&self, point: &Point) -> bool {
        self.search.space.allows(point) && !self.history.holds(point) && (self.accepts)(point)
    }

    /// The point that the sweep file gives for this trial, what it leaves open drawn.
    fn start(&self) -> Option<Point> {
        let given = self.search.start.get(self.trial() as usize)?;
        let mut draw = random::draws(self);
        let mut completed = (0..DRAWS_OF_FEW).map(|attempt| self.search.space.complete(given, &draw(attempt)));
        let keeps = |point: &Point| given.iter().all(|(name, _)| point.get(name).is_some());
        completed.find(|point| keeps(point) && self.admit(point))
    }

    /// The first draw that may be: `draw` makes one `u` for every parameter from an attempt's number. Where luck takes too
    /// long and the points can be listed, the next one after the last draw.
    fn first(&self, mut draw: impl FnMut(u32) -> Vec<f64>) -> Result<Point, String> {
        let space = &self.search.space;
        let few = space.size().is_some_and(|size| size <= FEW);
        let draws = if few { DRAWS_OF_FEW } else { DRAWS };
        let mut drawn = (0..draws).map(|attempt| space.point_at(&draw(attempt)));
        match drawn.find(|point| self.admit(point)) {
            Some(point) => Ok(point),
            None if few => self.next_after(&space.point_at(&draw(draws))),
            None => Err(format!("{draws} draws in a row were refused, or had been tried")),
        }
    }

    /// Walks once through all points, from the one after `begin`.
    fn next_after(&self, begin: &Point) -> Result<Point, String> {
        let space = &self.search.space;
        let known: BTreeSet<String> = self.history.trials.iter().map(|tried| tried.point.to_string()).collect();
        let mut point = begin.clone();
        loop {
            point = space.successor(&point).unwrap_or_else(|| space.first_point());
            if space.allows(&point) && !known.contains(&point.to_string()) && (self.accepts)(&point) {
                return Ok(point);
            }
            if point == *begin {
                return Err("every point that is allowed was tried".to_owned());
            }
        }
    }

    /// A proposal of the first draw that may be.
    fn proposal(&self, draw: impl FnMut(u32) -> Vec<f64>, why: &str) -> Proposal {
        match self.first(draw) {
            Ok(point) => Proposal::Point { point, why: why.to_owned() },
            Err(why) => Proposal::Exhausted { why },
        }
    }
}
