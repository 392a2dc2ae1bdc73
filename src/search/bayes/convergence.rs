//! When a search could stop: what is left to gain is less than what cross-validation can tell (after Makarova 2022, who
//! compares a bound of the regret with the same noise).

use thiserror::Error;

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

/// What another trial can be expected to bring, and what of that cross-validation can tell. Both in units of the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prospect {
    /// Improvement that the most promising point can be expected to make.
    pub gain: f64,
    /// Standard error of the best trial's score.
    pub noise: f64,
}

/// Why nothing can be said of what is still to gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unforeseen {
    #[error("the sampler has no model of the space: only the budget ends the sweep")]
    NoModel,
    #[error("it takes {needed} trials with a score before one can say, and there are {scored}")]
    Few { scored: usize, needed: usize },
    #[error("a single fold does not tell how far scores go by chance")]
    OneFold,
    #[error("no process can be fitted to these scores")]
    NoProcess,
    #[error("no point is left to try")]
    NoPoint,
}

impl Prospect {
    /// Whether the sweep could stop.
    pub fn is_within_noise(&self) -> bool {
        self.gain < self.noise
    }
}

/// What is still to gain, as far as the scores of a sweep in `k` folds tell.
pub(in crate::search) fn prospect(search: &Search, history: &History, k: u32) -> Result<Prospect, Unforeseen> {
    let scored = history.trials.iter().filter(|tried| gains(search, tried).next().is_some()).count();
    let needed = FEWEST.max(TRIALS * search.space.parameters().len());
    if scored < needed {
        return Err(Unforeseen::Few { scored, needed });
    }
    let noise = noise(search, history, k).ok_or(Unforeseen::OneFold)?;
    let model = Model::of(search, history).ok_or(Unforeseen::NoProcess)?;
    let candidates = Candidates { search, history, accepts: &|_| true };
    let (_, promise) = promising(&candidates, &model).ok_or(Unforeseen::NoPoint)?;
    Ok(Prospect { gain: promise.exp() * model.fitted.unit(), noise })
}

/// Why the sweep could stop, if so.
pub(in crate::search) fn converged(search: &Search, history: &History, k: u32) -> Option<String> {
    let prospect = prospect(search, history, k).ok().filter(Prospect::is_within_noise)?;
    let (gain, noise) = (rounded(prospect.gain), rounded(prospect.noise));
    Some(format!("another trial can be expected to gain {gain}, less than the standard error of the best, {noise}"))
}

/// Standard error of the best finished trial's mean; none with a single fold, which tells nothing of its noise.
fn noise(search: &Search, history: &History, k: u32) -> Option<f64> {
    let finished = history.trials.iter().filter(|tried| tried.state == TriedState::Finished);
    let scores = finished.map(|tried| gains(search, tried).map(|(_, gain)| gain).collect::<Vec<f64>>());
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    let best = scores.filter(|scores| !scores.is_empty()).max_by(|a, b| mean(a).total_cmp(&mean(b)))?;
    standard_error(&best, k)
}
