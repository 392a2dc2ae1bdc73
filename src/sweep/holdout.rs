//! The last thing of a sweep: its best trial is trained again on all documents that are not held out, and scored on those
//! that are. Such a run is no fold of its trial: nothing that is compared, counted or learned from ever sees it.

use super::Sweep;
use super::fact::{RunId, TrialEnd, TrialId};
use super::trial::Trial;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refit {
    epochs: u32,
    /// Its one fold is the holdout.
    run: Trial,
}

impl Sweep {
    /// For how many epochs a run trains that is scored on the holdout; none for a fold.
    pub fn refit_epochs(&self, run: RunId) -> Option<u32> {
        self.refits.get(&run.trial).filter(|_| run.fold.is_holdout()).map(|refit| refit.epochs)
    }

    /// What keeps account of a run.
    pub(super) fn owner(&mut self, run: RunId) -> Option<&mut Trial> {
        if run.fold.is_holdout() {
            return self.refits.get_mut(&run.trial).map(|refit| &mut refit.run);
        }
        self.trials.get_mut(&run.trial)
    }

    /// One that was chosen before gets another chance.
    pub(super) fn choose_refit(&mut self, trial: TrialId, epochs: u32) {
        let point = self.trial(trial).map(|trial| trial.point.clone()).unwrap_or_default();
        let refit = self.refits.entry(trial).or_insert_with(|| Refit { epochs, run: Trial::refit(point) });
        refit.epochs = epochs;
        refit.run.reopen();
    }

    /// Whether a fold is under way: the search is not over, or was opened again.
    pub(super) fn is_searching(&self) -> bool {
        self.slots.iter().flatten().any(|run| !run.fold.is_holdout())
    }

    /// Trials that are to be scored on the holdout as things stand, and were not chosen yet, with the epochs that they
    /// get.
    pub(super) fn unchosen_refits(&self) -> Vec<(TrialId, u32)> {
        let unchosen = self.contenders().filter(|(id, _)| !self.refits.contains_key(id));
        unchosen.map(|(id, trial)| (id, median(trial.best_epochs().collect()))).collect()
    }

    /// Runs to start; that of a trial which was the best once and is no more is left undone.
    pub(super) fn waiting_refits(&self) -> impl Iterator<Item = RunId> {
        let waiting = self.contenders().filter_map(|(id, _)| {
            let refit = self.refits.get(&id).filter(|refit| refit.run.verdict(self.plan.retries).is_none())?;
            refit.run.waiting(id).next()
        });
        waiting.filter(|run| !self.slots.contains(&Some(*run)))
    }

    pub(super) fn running_refits(&self) -> impl Iterator<Item = RunId> {
        self.refits.iter().flat_map(|(id, refit)| refit.run.running(*id))
    }

    pub(super) fn is_refit_left(&self) -> bool {
        self.contenders().any(|(id, _)| {
            let refit = self.refits.get(&id);
            refit.is_none_or(|refit| refit.run.verdict(self.plan.retries).is_none())
        })
    }

    pub(super) fn failed_refits(&self) -> Vec<(TrialId, u32)> {
        let failed = self
            .refits
            .iter()
            .filter(|(_, refit)| matches!(refit.run.verdict(self.plan.retries), Some(TrialEnd::Failed { .. })));
        failed.map(|(id, refit)| (*id, refit.epochs)).collect()
    }

    /// The best trial as the database says it, of equals the first, and the baseline beside it; none without a holdout.
    fn contenders(&self) -> impl Iterator<Item = (TrialId, &Trial)> {
        let direction = self.plan.spec.search.direction;
        let score = |trial: &Trial| match trial.end {
            Some(TrialEnd::Finished { score, .. }) => Some(score),
            _ => None,
        };
        let is_asked = self.plan.spec.folds.holdout.is_some();
        let finished = self.of_space().filter(move |(_, trial)| is_asked && !trial.excluded);
        let finished = finished.filter_map(|(id, trial)| Some((id, trial, score(trial)?)));
        let best = finished.reduce(|best, next| if direction.better(next.2, best.2) { next } else { best });
        let baseline = self.trial(TrialId::BASELINE).filter(|trial| trial.finished() && best.is_some());
        let baseline = baseline.map(|trial| (TrialId::BASELINE, trial));
        baseline.into_iter().chain(best.map(|(id, trial, _)| (id, trial)))
    }
}

/// Of the epochs at which the folds were best; half an epoch is a whole one.
fn median(mut epochs: Vec<u32>) -> u32 {
    epochs.sort_unstable();
    let [low, high] =
        [epochs.len().saturating_sub(1) / 2, epochs.len() / 2].map(|at| epochs.get(at).copied().unwrap_or(1));
    (low + high).div_ceil(2).max(1)
}
