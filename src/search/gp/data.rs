//! Observations, reduced to what the likelihood asks of them.

use std::ops::Range;

use faer::Mat;

use super::kernel::Axis;

/// One score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Which of the settings.
    pub setting: usize,
    /// The fold that it was measured on.
    pub fold: usize,
    /// More is better; scaled to mean 0 and variance 1.
    pub score: f64,
}

/// Settings and their scores.
///
/// Scores of one setting differ by folds and noise only, so the matrices need a row a setting, not one a score: 1,000
/// scores of 200 settings cost what 200 scores cost. What is lost of the likelihood by averaging a setting's scores are
/// the deviations from the averages, and those are kept as sums (`within…`).
#[derive(Clone, Debug)]
pub struct Data {
    pub(super) axes: Vec<Axis>,
    /// Distinct rows of numbers, one an axis.
    pub(super) settings: Vec<Vec<f64>>,
    observations: Vec<Observation>,
    /// Scores of each setting.
    pub(super) counts: Vec<f64>,
    /// Their mean.
    pub(super) means: Vec<f64>,
    /// [setting, fold]: the part of a setting's scores that is of the fold. No columns where there is one fold only: its
    /// effect cannot be told from the mean.
    pub(super) shares: Mat<f64>,
    /// Sums over all scores of products of deviations from the setting's mean: of scores, [fold, fold] of what tells
    /// whether a score is of a fold, and of both.
    pub(super) within: f64,
    pub(super) within_folds: Mat<f64>,
    pub(super) within_both: Vec<f64>,
    /// One a fold: those whose mean score is asked for, and what each counts.
    pub(super) asked: Vec<f64>,
    /// No setting is scored again.
    is_final: bool,
}

impl Data {
    /// Every setting has at least one score.
    pub fn new(axes: Vec<Axis>, settings: Vec<Vec<f64>>, observations: Vec<Observation>) -> Self {
        let first = observations.first().map(|observation| observation.fold);
        let one_fold = observations.iter().all(|observation| Some(observation.fold) == first);
        let folds = observations.iter().map(|observation| observation.fold + 1).max().unwrap_or(0);
        let folds = if one_fold { 0 } else { folds };
        let mut counts = vec![0.0; settings.len()];
        let mut means = vec![0.0; settings.len()];
        let mut shares = Mat::zeros(settings.len(), folds);
        for Observation { setting, fold, score } in &observations {
            counts[*setting] += 1.0;
            means[*setting] += score;
            if folds > 0 {
                shares[(*setting, *fold)] += 1.0;
            }
        }
        for (setting, count) in counts.iter().enumerate() {
            means[setting] /= count;
            for fold in 0..folds {
                shares[(setting, fold)] /= count;
            }
        }
        let asked = vec![1.0 / folds.max(1) as f64; folds];
        let mut within = 0.0;
        let mut within_folds = Mat::zeros(folds, folds);
        let mut within_both = vec![0.0; folds];
        for Observation { setting, fold, score } in &observations {
            let rest = score - means[*setting];
            let is_of = |other: usize| f64::from(u8::from(other == *fold)) - shares[(*setting, other)];
            within += rest * rest;
            for a in 0..folds {
                within_both[a] += is_of(a) * rest;
                for b in 0..folds {
                    within_folds[(a, b)] += is_of(a) * is_of(b);
                }
            }
        }
        Self {
            axes,
            settings,
            observations,
            counts,
            means,
            shares,
            within,
            within_folds,
            within_both,
            asked,
            is_final: false,
        }
    }

    /// What is asked for is the mean score over these folds, not over all.
    #[must_use]
    pub fn asked_for(self, folds: Range<usize>) -> Self {
        let each = 1.0 / folds.len().max(1) as f64;
        let asked = (0..self.asked.len()).map(|fold| if folds.contains(&fold) { each } else { 0.0 }).collect();
        Self { asked, ..self }
    }

    /// No setting will be scored again. Where each has a single score, of the same fold, that is what it is worth for good:
    /// what no other setting tells of it counts as its own, and not as noise.
    #[must_use]
    pub fn for_good(self) -> Self {
        Self { is_final: true, ..self }
    }

    /// Whether what no other setting tells of a score belongs to its setting.
    pub(super) fn has_own(&self) -> bool {
        self.is_final && self.folds() == 0 && self.observations.len() == self.settings.len()
    }

    /// Those settings alone; the same is asked for.
    #[must_use]
    pub fn only(&self, settings: &[usize]) -> Self {
        let mut places = vec![None; self.settings.len()];
        for (place, setting) in settings.iter().enumerate() {
            places[*setting] = Some(place);
        }
        let observations = self.observations.iter();
        let observations =
            observations.filter_map(|seen| Some(Observation { setting: places[seen.setting]?, ..*seen }));
        let kept = settings.iter().map(|setting| self.settings[*setting].clone()).collect();
        let some = Self::new(self.axes.clone(), kept, observations.collect());
        let asked = self.asked.iter().take(some.folds()).copied().collect();
        Self { asked, is_final: self.is_final, ..some }
    }

    pub fn settings(&self) -> &[Vec<f64>] {
        &self.settings
    }

    pub fn axes(&self) -> &[Axis] {
        &self.axes
    }

    pub(super) fn folds(&self) -> usize {
        self.shares.ncols()
    }

    /// Scores beyond the first of each setting.
    pub(super) fn repeats(&self) -> f64 {
        (self.observations.len() - self.settings.len()) as f64
    }
}
