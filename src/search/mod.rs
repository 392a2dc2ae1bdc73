//! Samplers: history in, point out. They keep no state; all randomness comes from the seed and the trial's number,
//! so that a restart and parallel slots need no special code.

mod bayes;
mod grid;
mod history;
mod random;
mod sobol;
pub mod space;

pub use history::{History, Tried, TriedState};

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

/// The point of the trial that follows those of the history. `accepts` says whether a point makes a configuration that
/// can run; what it refuses, and what was proposed before, is drawn again.
pub fn propose(search: &Search, history: &History, accepts: &dyn Fn(&Point) -> bool) -> Proposal {
    let candidates = Candidates { search, history, accepts };
    if let Some(point) = search.start.get(history.trials.len()) {
        return Proposal::Point { point: point.clone(), why: "start".to_owned() };
    }
    match search.sampler {
        Sampler::Grid => grid::propose(&candidates),
        Sampler::Random => random::propose(&candidates),
        Sampler::Sobol => sobol::propose(&candidates),
        Sampler::Bayes => bayes::propose(&candidates),
    }
}

/// The points that can be the next.
struct Candidates<'c> {
    search: &'c Search,
    history: &'c History,
    accepts: &'c dyn Fn(&Point) -> bool,
}

impl Candidates<'_> {
    /// The number of the next trial.
    fn trial(&self) -> u32 {
        self.history.trials.len() as u32
    }

    /// Whether a point may be the next.
    fn admit(&self, point: &Point) -> bool {
        self.search.space.allows(point) && !self.history.holds(point) && (self.accepts)(point)
    }

    /// The first draw that may be: `draw` makes one `u` for every parameter from an attempt's number.
    fn first(&self, mut draw: impl FnMut(u32) -> Vec<f64>) -> Option<Point> {
        (0..DRAWS).map(|attempt| self.search.space.point_at(&draw(attempt))).find(|point| self.admit(point))
    }
}
