//! When a search could stop: what is left to gain is less than what cross-validation can tell (after Makarova 2022, who
//! compares a bound of the regret with the same noise).

use super::model::{Model, gains};
use super::{promising, rounded};
use crate::crossval::standard_error;
use crate::search::Candidates;
use crate::search::history::{History, TriedState};
use crate::spec::Search;

/// Trials with scores, for each parameter, before anybody is told to stop.
const TRIALS: usize = 3;
/// And in any case.
const FEWEST: usize = 10;

/// Why the sweep could stop, if so.
pub(in crate::search) fn converged(search: &Search, history: &History, k: u32) -> Option<String> {
    let scored = history.trials.iter().filter(|tried| gains(search, tried).next().is_some()).count();
    if scored < FEWEST.max(TRIALS * search.space.parameters().len()) {
        return None;
    }
    let noise = noise(search, history, k)?;
    let model = Model::of(search, history)?;
    let (_, promise) = promising(&Candidates { search, history, accepts: &|_| true }, &model)?;
    let gain = promise.exp() * model.fitted.unit();
    (gain < noise).then(|| {
        let (gain, noise) = (rounded(gain), rounded(noise));
        format!("another trial can be expected to gain {gain}, less than the standard error of the best, {noise}")
    })
}

/// Standard error of the best finished trial's mean; none with a single fold, which tells nothing of its noise.
fn noise(search: &Search, history: &History, k: u32) -> Option<f64> {
    let finished = history.trials.iter().filter(|tried| tried.state == TriedState::Finished);
    let scores = finished.map(|tried| gains(search, tried).map(|(_, gain)| gain).collect::<Vec<f64>>());
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let best = scores.filter(|scores| !scores.is_empty()).max_by(|a, b| mean(a).total_cmp(&mean(b)))?;
    standard_error(&best, k)
}
