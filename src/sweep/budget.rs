//! What a sweep may spend. Trials and runs are counted here; of the clock it is told.

use super::{Elapsed, RunId, Sweep};
use crate::search;
use crate::spec::Stop;

impl Sweep {
    /// Why no run is started any more, whatever is left to do.
    pub(super) fn out_of_time(&self) -> Option<String> {
        let budget = &self.plan.spec.search.budget;
        let Elapsed { seconds, device_seconds } = self.elapsed;
        let spent = |spent: f64, most: Option<f64>, what: &str| {
            let most = most.filter(|most| spent >= *most)?;
            Some(format!("its budget of {most} {what} is spent"))
        };
        spent(seconds, budget.seconds, "seconds")
            .or_else(|| spent(device_seconds, budget.device_seconds, "device-seconds"))
    }

    /// Why no trial is proposed any more, although there may be points.
    pub(super) fn no_room(&self) -> Option<String> {
        let search = &self.plan.spec.search;
        let converged = || self.converged.clone().filter(|_| search.stop == Stop::Converged);
        if let Some(why) = self.out_of_time().or_else(converged) {
            return Some(why);
        }
        self.out_of_runs()
    }

    /// Why the runs that are left are too few for another trial.
    pub(super) fn out_of_runs(&self) -> Option<String> {
        let most = self.plan.spec.search.budget.runs?;
        let (folds, begun) = (self.plan.spec.folds.runs(), self.begun());
        let open = self.of_space().filter(|(_, trial)| trial.end.is_none());
        let kept = open.flat_map(|(id, trial)| trial.waiting(id)).filter(|run| self.is_new(*run)).count() as u32;
        (begun + kept + folds > most)
            .then(|| format!("its budget of {most} runs has no room for another trial: {begun} were started"))
    }

    /// Whether there is no run left in the budget for this one. A second attempt costs no more.
    pub(super) fn is_beyond(&self, run: RunId) -> bool {
        let most = self.plan.spec.search.budget.runs;
        most.is_some_and(|most| self.is_new(run) && self.begun() >= most)
    }

    /// Whether the sweep could stop, if that is news.
    pub(super) fn converges(&self) -> Option<String> {
        if self.converged.is_some() {
            return None;
        }
        let spec = &self.plan.spec;
        search::converged(&spec.search, &self.history(), spec.folds.k, &|point| spec.accepts(point))
    }

    /// A first attempt that no slot has yet.
    fn is_new(&self, run: RunId) -> bool {
        run.attempt == 1 && !run.trial.is_baseline() && !self.slots.contains(&Some(run))
    }

    /// Folds that were started, or are about to be; the baseline's and the holdout aside.
    fn begun(&self) -> u32 {
        let begun: usize = self.of_space().map(|(_, trial)| trial.begun().count()).sum();
        let starting = self.slots.iter().flatten().filter(|run| {
            run.attempt == 1
                && !run.trial.is_baseline()
                && !run.fold.is_holdout()
                && !self.trial(run.trial).is_some_and(|trial| trial.begun().any(|fold| fold == run.fold))
        });
        (begun + starting.count()) as u32
    }
}
