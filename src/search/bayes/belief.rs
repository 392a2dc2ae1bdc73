//! What the process says of a trial that races: its score over all folds, without a look at its own.

use super::model::Fitted;
use crate::search::history::History;
use crate::search::race::{Belief, Prior};
use crate::spec::Search;

/// Of a challenger, from the folds of all trials but itself, and of the incumbent: trials by number. None where there is
/// too little to learn from.
pub fn belief(search: &Search, history: &History, challenger: usize, incumbent: usize) -> Option<Belief> {
    let mut others = history.clone();
    others.trials.get_mut(challenger)?.scores.clear();
    let fitted = Fitted::of(search, &others)?;
    let prior = |trial: usize| {
        let features = fitted.axes.features(&history.trials.get(trial)?.point);
        let belief = fitted.posterior.at(&features);
        let sd = belief.variance.sqrt();
        // what one standard deviation is in scores depends on where: bad scores are far from each other
        let [mean, below] = [belief.mean, belief.mean - sd].map(|x| fitted.to_gain(x));
        Some(Prior { mean: search.direction.gain(mean), sd: mean - below })
    };
    Some(Belief { challenger: prior(challenger)?, incumbent: prior(incumbent)? })
}
