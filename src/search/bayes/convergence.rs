//! When a search could stop: what is left to gain is less than what cross-validation can tell (after Makarova 2022, who
//! compares a bound of the regret with the same noise).

use thiserror::Error;

use super::model::{Model, folds, gains};
use super::{promising, rounded};
use crate::crossval::standard_error_of;
use crate::search::Candidates;
use crate::search::history::{History, TriedState};
use crate::search::space::Point;
use crate::spec::Search;

/// Trials with scores, for each parameter, before anybody is told to stop.
const TRIALS: usize = 3;
/// And in any case.
const FEWEST: usize = 10;
/// Trials with the scores of all folds, before their noise is known.
const COMPLETE: usize = 3;

/// What another trial can be expected to bring, and what of that cross-validation can tell. Both in units of the score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prospect {
    /// Improvement that the most promising point can be expected to make.
    pub gain: f64,
    /// Standard error of a trial's score over all its folds. What is easy or hard about a fold is no part of it: that is the
    /// same for all trials, which are compared on the same folds.
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
    #[error("fewer than {COMPLETE} trials have the scores of all folds: how far scores go by chance is not known")]
    Incomplete,
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
pub(in crate::search) fn prospect(
    search: &Search,
    history: &History,
    k: u32,
    accepts: &dyn Fn(&Point) -> bool,
) -> Result<Prospect, Unforeseen> {
    let scored = history.trials.iter().filter(|tried| gains(search, tried).next().is_some()).count();
    let needed = FEWEST.max(TRIALS * search.space.parameters().len());
    if scored < needed {
        return Err(Unforeseen::Few { scored, needed });
    }
    let noise = noise(search, history, k)?;
    let model = Model::of(search, history).ok_or(Unforeseen::NoProcess)?;
    let candidates = Candidates { search, history, accepts };
    let (_, promise) = promising(&candidates, &model).ok_or(Unforeseen::NoPoint)?;
    Ok(Prospect { gain: promise.exp() * model.fitted.unit(), noise })
}

/// Why the sweep could stop, if so.
pub(in crate::search) fn converged(
    search: &Search,
    history: &History,
    k: u32,
    accepts: &dyn Fn(&Point) -> bool,
) -> Option<String> {
    let prospect = prospect(search, history, k, accepts).ok().filter(Prospect::is_within_noise)?;
    let (gain, noise) = (rounded(prospect.gain), rounded(prospect.noise));
    Some(format!("another trial can be expected to gain {gain}, less than the noise of cross-validation, {noise}"))
}

/// Standard error of a trial's score, from the better half of those that have all folds: what is left of their scores
/// without the means of the trials and of the folds (two-way analysis of variance).
fn noise(search: &Search, history: &History, k: u32) -> Result<f64, Unforeseen> {
    let folds = folds(history);
    if folds < 2 {
        return Err(Unforeseen::OneFold);
    }
    let finished = history.trials.iter().filter(|tried| tried.state == TriedState::Finished);
    let scores = finished.map(|tried| {
        let mut scores: Vec<(usize, f64)> = gains(search, tried).collect();
        scores.sort_by_key(|(fold, _)| *fold);
        scores.into_iter().map(|(_, gain)| gain).collect::<Vec<f64>>()
    });
    let mut complete: Vec<Vec<f64>> = scores.filter(|scores| scores.len() == folds).collect();
    if complete.len() < COMPLETE {
        return Err(Unforeseen::Incomplete);
    }
    let mean = |scores: &[f64]| scores.iter().sum::<f64>() / scores.len() as f64;
    complete.sort_by(|a, b| mean(b).total_cmp(&mean(a)));
    complete.truncate(complete.len().div_ceil(2).max(COMPLETE));
    let of_fold: Vec<f64> = (0..folds)
        .map(|fold| complete.iter().map(|scores| scores[fold]).sum::<f64>() / complete.len() as f64)
        .collect();
    let level = mean(&of_fold);
    let squares = complete.iter().flat_map(|scores| {
        let own = mean(scores);
        scores.iter().zip(&of_fold).map(move |(score, of_fold)| (score - own - of_fold + level).powi(2))
    });
    let freedom = (complete.len() - 1) * (folds - 1);
    Ok(standard_error_of(squares.sum::<f64>() / freedom as f64, folds, k))
}
