//! What the process says of trials that race, each without a look at its own folds.

use super::model::Fitted;
use crate::search::history::History;
use crate::search::race::Prior;
use crate::search::space::Point;
use crate::spec::{Direction, Search};

/// Of one history.
pub struct Forecast {
    direction: Direction,
    fitted: Fitted,
}

impl Forecast {
    /// None where there is too little to learn from.
    pub fn of(search: &Search, history: &History) -> Option<Self> {
        Some(Self { direction: search.direction, fitted: Fitted::of(search, history)? })
    }

    /// Of the trial at a point, from the folds of all others; of one that has none yet, from all. (Hyperparameters are
    /// learned from all.)
    pub fn at(&self, point: &Point) -> Prior {
        let belief = self.fitted.without_its_own(point);
        let sd = belief.variance.sqrt();
        // what one standard deviation is in scores depends on where: bad scores are far from each other
        let [mean, below] = [belief.mean, belief.mean - sd].map(|x| self.fitted.to_gain(x));
        Prior { mean: self.direction.gain(mean), sd: mean - below }
    }
}
