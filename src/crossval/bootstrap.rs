//! The bootstrap bias correction of Tsamardinos, Greasidou & Borboudakis (2018, *Bootstrapping the out-of-sample
//! predictions for efficient and accurate cross-validation*, Machine Learning 107): choose the best trial on a sample
//! drawn with replacement, score the choice on what was not drawn.
//!
//! Theirs is the mean of those scores. A score like macro F1 falls when it is measured on fewer documents, which has
//! nothing to do with choosing; so the choice is compared with the winner on the very same units, and what the winner is
//! ahead there, on average, is its optimism. For a mean over documents, such as accuracy, both are the same.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{OutOfFold, mean};
use crate::spec::Direction;

/// What is drawn, and how trials score on it.
#[derive(Clone, Debug)]
pub enum Units {
    Documents(OutOfFold),
    /// `[trial][fold]`, for where there are no predictions; all trials have all folds.
    Folds(Vec<Vec<f64>>),
}

/// A sequence of draws, each known by its number: the same for any number of threads.
#[derive(Clone, Copy, Debug)]
pub struct Bootstrap<'a> {
    pub units: &'a Units,
    /// The trial of the best score, by its place among the units' trials.
    pub winner: usize,
    pub direction: Direction,
    pub seed: u64,
}

/// What the winner's score is too good, in the direction of the objective: 0 or more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimism {
    pub mean: f64,
    /// Draws in which all was defined.
    pub draws: usize,
}

impl Bootstrap<'_> {
    /// What the winner is ahead of the choice of one draw on the units that were not drawn; none where nothing is left
    /// or a score is undefined.
    pub fn draw(&self, number: u32) -> Option<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(u64::from(number));
        let units = self.units.len();
        let drawn: Vec<usize> = (0..units).map(|_| rng.random_range(0..units)).collect();
        let mut is_left = vec![true; units];
        for unit in &drawn {
            is_left[*unit] = false;
        }
        let left: Vec<usize> = (0..units).filter(|unit| is_left[*unit]).collect();
        if left.is_empty() {
            return None;
        }
        let chosen = self.choose(&drawn)?;
        if chosen == self.winner {
            return Some(0.0);
        }
        let on_the_rest = |trial: usize| self.direction.gain(self.units.score(trial, &left));
        Some(on_the_rest(self.winner) - on_the_rest(chosen)).filter(|ahead| ahead.is_finite())
    }

    /// The best on some units; of equals the first, as where the sweep's best is chosen.
    fn choose(&self, units: &[usize]) -> Option<usize> {
        let gains = (0..self.units.trials()).map(|trial| self.direction.gain(self.units.score(trial, units)));
        let best = gains
            .enumerate()
            .filter(|(_, gain)| !gain.is_nan())
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map(|(trial, _)| trial)
    }
}

impl Optimism {
    /// Of draws in their order; none where no draw says anything. Below 0 it is chance: choosing makes no score worse.
    pub fn over(draws: impl IntoIterator<Item = Option<f64>>) -> Option<Self> {
        let sound: Vec<f64> = draws.into_iter().flatten().collect();
        (!sound.is_empty()).then(|| Self { mean: mean(&sound).max(0.0), draws: sound.len() })
    }
}

impl Units {
    fn trials(&self) -> usize {
        match self {
            Self::Documents(answers) => answers.trials(),
            Self::Folds(scores) => scores.len(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Documents(answers) => answers.documents(),
            Self::Folds(scores) => scores.first().map_or(0, Vec::len),
        }
    }

    /// Of one trial, on some units, which may stand there more than once; NaN where it is undefined.
    fn score(&self, trial: usize, units: &[usize]) -> f64 {
        match self {
            Self::Documents(answers) => answers.score(trial, units),
            Self::Folds(scores) => units.iter().map(|fold| scores[trial][*fold]).sum::<f64>() / units.len() as f64,
        }
    }
}
