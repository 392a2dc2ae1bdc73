//! What a search knows.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::space::{Parameter, Point};

#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// The trials so far, in the order of their numbers; the baseline is not among them.
    pub trials: Vec<Tried>,
    /// Numbers of those that somebody asked for. They are learned from, and take no place among the points that are drawn:
    /// a grid stays complete, and the next draw is what it would have been.
    pub asked: BTreeSet<u32>,
    /// Sweeps of the past to learn from.
    pub earlier: Arc<[Earlier]>,
}

/// What another sweep of the same objective found.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// Their points have a value for each parameter of this sweep as well, as far as one is known.
    pub trials: Vec<Tried>,
    /// The parameters that it varied and this sweep does not, and the value that each has here, if it has one.
    pub fixed: Vec<(Parameter, Option<Value>)>,
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
    /// Given up between folds or epochs, as others were better or by the user; or not to be learned from.
    Dropped,
    Failed,
}

impl History {
    pub fn of(trials: Vec<Tried>) -> Self {
        Self { trials, ..Self::default() }
    }

    /// The trials that nobody asked for, in their order.
    pub fn drawn(&self) -> impl Iterator<Item = &Tried> {
        self.trials.iter().zip(0u32..).filter(|(_, number)| !self.asked.contains(number)).map(|(tried, _)| tried)
    }

    /// Whether a point was proposed before.
    pub fn holds(&self, point: &Point) -> bool {
        self.trials.iter().any(|tried| tried.point == *point)
    }
}
