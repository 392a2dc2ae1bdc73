//! What a search knows.

use super::space::Point;

/// The trials so far, in the order of their numbers; the baseline is not among them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    pub trials: Vec<Tried>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    pub point: Point,
    /// Number of a fold (repeat · k + fold) and its score as it was reported.
    pub scores: Vec<(u32, f64)>,
    pub state: TriedState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriedState {
    Open,
    Finished,
    /// Given up between folds or epochs: others were better.
    Dropped,
    Failed,
}

impl History {
    /// Whether a point was proposed before.
    pub fn holds(&self, point: &Point) -> bool {
        self.trials.iter().any(|tried| tried.point == *point)
    }
}
