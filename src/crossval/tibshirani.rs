use super::mean;
use crate::spec::Direction;

/// How much better the best of several trials looks than it is, by Tibshirani & Tibshirani (2009, *A bias correction for
/// the minimum error rate in cross-validation*, Annals of Applied Statistics 3): the mean over the folds of the fold's
/// own best score less the winner's there. 0 for a single trial.
///
/// `folds[trial][fold]`: all trials have all folds. It is 0 or more, also for a `direction` in which less is better.
///
/// # Panics
/// Where trials have different numbers of folds.
pub fn tibshirani(folds: &[Vec<f64>], winner: usize, direction: Direction) -> f64 {
    let own = &folds[winner];
    assert!(folds.iter().all(|scores| scores.len() == own.len()), "all trials have all folds");
    let gap = |fold: usize| {
        let gains = folds.iter().map(|scores| direction.gain(scores[fold]));
        gains.fold(f64::NEG_INFINITY, f64::max) - direction.gain(own[fold])
    };
    mean(&(0..own.len()).map(gap).collect::<Vec<f64>>())
}
