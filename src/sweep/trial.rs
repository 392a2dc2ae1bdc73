//! One trial: a point of the space, and the state of each of its folds.

use std::collections::BTreeMap;

use super::fact::{FoldId, RunEnd, RunId, TrialEnd, TrialId};
use crate::crossval::standard_error;
use crate::search::prune::Curve;
use crate::search::space::Point;
use crate::spec::FoldPlan;

#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    pub point: Point,
    /// None while it is open.
    pub end: Option<TrialEnd>,
    /// Somebody asked for this point; it was not drawn.
    pub asked: bool,
    /// It counts in nothing.
    pub excluded: bool,
    /// It was given up once, and somebody wants it all the same: it is not given up again.
    pub(super) spared: bool,
    folds: BTreeMap<FoldId, Progress>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Progress {
    state: FoldState,
    attempts: u32,
    crashes: u32,
    /// The objective after each epoch, whichever attempt measured it.
    curve: Curve,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum FoldState {
    #[default]
    Waiting,
    Running {
        attempt: u32,
    },
    Finished {
        score: f64,
        best_epoch: u32,
    },
    Failed {
        why: String,
    },
    /// The process died the last time.
    Crashed {
        why: String,
    },
}

impl Trial {
    pub(super) fn new(point: Point, plan: &FoldPlan) -> Self {
        let folds = (0..plan.repeats)
            .flat_map(|repeat| (0..plan.k as i32).map(move |fold| FoldId { repeat, fold }))
            .map(|fold| (fold, Progress::default()))
            .collect();
        Self { point, end: None, asked: false, excluded: false, spared: false, folds }
    }

    /// A trial's run on all documents that are not held out, as a trial of that one fold.
    pub(super) fn refit(point: Point) -> Self {
        let folds = [(FoldId::HOLDOUT, Progress::default())].into();
        Self { point, end: None, asked: false, excluded: false, spared: false, folds }
    }

    /// The epochs of its finished folds' best weights.
    pub(super) fn best_epochs(&self) -> impl Iterator<Item = u32> {
        self.folds.values().filter_map(|progress| match progress.state {
            FoldState::Finished { best_epoch, .. } => Some(best_epoch),
            _ => None,
        })
    }

    /// The scores of its finished folds.
    pub fn scores(&self) -> impl Iterator<Item = (FoldId, f64)> {
        self.folds.iter().filter_map(|(fold, progress)| match progress.state {
            FoldState::Finished { score, .. } => Some((*fold, score)),
            _ => None,
        })
    }

    pub(super) fn failed(&self) -> bool {
        matches!(self.end, Some(TrialEnd::Failed { .. }))
    }

    /// Whether it has all its folds, and counts.
    pub(super) fn ranks(&self) -> bool {
        self.finished() && !self.excluded
    }

    /// Whether others can make it be given up.
    pub(super) fn races(&self) -> bool {
        self.end.is_none() && !self.excluded && !self.spared
    }

    pub(super) fn finished(&self) -> bool {
        matches!(self.end, Some(TrialEnd::Finished { .. }))
    }

    /// Why it was given up, if it was.
    pub(super) fn given_up(&self) -> Option<&str> {
        match &self.end {
            Some(TrialEnd::Dropped { why } | TrialEnd::Pruned { why }) => Some(why),
            _ => None,
        }
    }

    /// Takes note of the objective after an epoch; false if that was known.
    pub(super) fn measure(&mut self, fold: FoldId, epoch: u32, score: f64) -> bool {
        self.folds.get_mut(&fold).is_some_and(|progress| progress.curve.add(epoch, score))
    }

    /// The curve of a fold, and whether that is all of it.
    pub(super) fn curve(&self, fold: FoldId) -> Option<(&Curve, bool)> {
        let progress = self.folds.get(&fold)?;
        Some((&progress.curve, matches!(progress.state, FoldState::Finished { .. })))
    }

    /// Folds that were begun, however often.
    pub(super) fn begun(&self) -> impl Iterator<Item = FoldId> {
        self.folds.iter().filter(|(_, progress)| progress.attempts > 0).map(|(fold, _)| *fold)
    }

    pub(super) fn set(&mut self, fold: FoldId, state: FoldState) {
        if let Some(progress) = self.folds.get_mut(&fold) {
            if let FoldState::Running { attempt } = state {
                progress.attempts = attempt;
            }
            progress.state = state;
        }
    }

    pub(super) fn end_run(&mut self, run: RunId, end: &RunEnd) {
        let Some(progress) = self.folds.get_mut(&run.fold) else {
            return;
        };
        progress.attempts = progress.attempts.max(run.attempt);
        progress.state = match end {
            RunEnd::Finished { score, best_epoch, .. } => {
                FoldState::Finished { score: *score, best_epoch: *best_epoch }
            }
            RunEnd::Failed { why } => FoldState::Failed { why: why.clone() },
            RunEnd::Crashed { why } => {
                progress.crashes += 1;
                FoldState::Crashed { why: why.clone() }
            }
            RunEnd::Interrupted { .. } | RunEnd::Cancelled { .. } | RunEnd::Pruned { .. } => FoldState::Waiting,
        };
    }

    /// Finished folds are kept, all others wait again.
    pub(super) fn reopen(&mut self) {
        self.end = None;
        for progress in self.folds.values_mut() {
            // one that still counts as running is ended as lost when the sweep begins again
            if !matches!(progress.state, FoldState::Finished { .. } | FoldState::Running { .. }) {
                progress.state = FoldState::Waiting;
                progress.crashes = 0;
            }
        }
    }

    /// Runs to start, in the order of the folds.
    pub(super) fn waiting(&self, id: TrialId) -> impl Iterator<Item = RunId> {
        self.folds
            .iter()
            .filter(|(_, progress)| matches!(progress.state, FoldState::Waiting | FoldState::Crashed { .. }))
            .map(move |(fold, progress)| RunId { trial: id, fold: *fold, attempt: progress.attempts + 1 })
    }

    pub(super) fn running(&self, id: TrialId) -> impl Iterator<Item = RunId> {
        self.folds.iter().filter_map(move |(fold, progress)| match progress.state {
            FoldState::Running { attempt } => Some(RunId { trial: id, fold: *fold, attempt }),
            _ => None,
        })
    }

    /// How it ends, if that is decided and not yet said.
    pub(super) fn verdict(&self, retries: u32) -> Option<TrialEnd> {
        if self.end.is_some() {
            return None;
        }
        for (fold, progress) in &self.folds {
            match &progress.state {
                FoldState::Failed { why } => {
                    return Some(TrialEnd::Failed { why: format!("fold {fold}: {why}") });
                }
                FoldState::Crashed { why } if progress.crashes > retries => {
                    let tries = progress.crashes;
                    return Some(TrialEnd::Failed { why: format!("fold {fold} died {tries} times, the last: {why}") });
                }
                _ => {}
            }
        }
        let scores: Vec<f64> = self.scores().map(|(_, score)| score).collect();
        if scores.len() < self.folds.len() {
            return None;
        }
        Some(TrialEnd::Finished { score: mean(&scores), score_se: standard_error(&scores, self.k()) })
    }

    /// Folds of one repeat.
    fn k(&self) -> u32 {
        self.folds.keys().filter(|fold| fold.repeat == 0).count() as u32
    }
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}
