//! Trials against each other: who is given up, and why. Nobody is before a first trial has all its folds, so that there
//! always is a best one.

use super::fact::{RunId, TrialEnd, TrialId};
use super::trial::Trial;
use super::{FoldId, Sweep};
use crate::protocol::{Measurement, Split};
use crate::search;
use crate::search::prune::{self, Curve, Rival};
use crate::search::race::Field;
use crate::spec::{Prune, Race};

impl Sweep {
    /// The finished trials, which the open ones race against.
    pub(super) fn field(&self) -> Option<Field> {
        let finished = self.of_space().filter(|(_, trial)| trial.finished());
        let scores = finished.map(|(id, trial)| (id.0 as u32, self.numbered(trial).map(|(_, score)| score).collect()));
        Field::new(self.plan.spec.search.direction, scores)
    }

    /// How far a trial is ahead of the incumbent on the folds that both have.
    pub(super) fn lead(&self, field: &Field, trial: &Trial) -> Option<f64> {
        field.lead(&self.numbered(trial).collect::<Vec<_>>())
    }

    /// The open trials that get no further fold, and why.
    pub(super) fn raced_out(&self) -> Vec<(TrialId, TrialEnd)> {
        let race = self.plan.spec.search.race;
        if race == Race::Off {
            return Vec::new();
        }
        let Some(field) = self.field() else {
            return Vec::new();
        };
        let history = self.history();
        let open = self.of_space().filter(|(_, trial)| trial.end.is_none());
        let judged = open.filter_map(|(id, trial)| {
            let scores: Vec<(u32, f64)> = self.numbered(trial).collect();
            let asks = race == Race::Posterior && !scores.is_empty();
            let incumbent = field.incumbent() as usize;
            let believed = || search::belief(&self.plan.spec.search, &history, id.0 as usize, incumbent);
            let belief = asks.then(believed).flatten();
            Some((id, TrialEnd::Dropped { why: field.judge(race, &scores, belief)? }))
        });
        judged.collect()
    }

    /// The epoch and objective of a measurement that belongs to a curve.
    pub(super) fn objective_of(&self, measurement: &Measurement) -> Option<(u32, f64)> {
        let is_validation = measurement.split == Split::Validation;
        let score = measurement.values.get(&self.plan.spec.search.objective).filter(|_| is_validation)?;
        Some((measurement.epoch, *score))
    }

    /// Why a run gets no further epoch, and its trial no further fold, if so.
    pub(super) fn outrun(&self, run: RunId) -> Option<TrialEnd> {
        let search = &self.plan.spec.search;
        let trial = self.trial(run.trial).filter(|trial| trial.end.is_none())?;
        let has_best = self.of_space().any(|(_, trial)| trial.finished());
        if search.prune == Prune::Off || run.trial.is_baseline() || !has_best {
            return None;
        }
        let (own, _) = trial.curve(run.fold)?;
        let others = self.of_space().filter(|(id, _)| *id != run.trial);
        let curves = others.filter_map(|(_, trial)| trial.curve(run.fold));
        let rivals: Vec<Rival<'_>> = curves.map(|(curve, finished)| Rival { curve, finished }).collect();
        let why = prune::judge(search.prune, search.direction, own, &rivals)?;
        let epoch = own.epochs().unwrap_or(0);
        Some(TrialEnd::Pruned { why: format!("pruned in fold {} after epoch {epoch}: {why}", run.fold) })
    }

    pub(super) fn curve(&self, run: RunId) -> Option<&Curve> {
        self.trial(run.trial)?.curve(run.fold).map(|(curve, _)| curve)
    }

    /// All trials but the baseline.
    pub(super) fn of_space(&self) -> impl Iterator<Item = (TrialId, &Trial)> {
        self.trials.range(TrialId(0)..).map(|(id, trial)| (*id, trial))
    }

    /// A trial's finished folds, numbered across the repeats.
    pub(super) fn numbered<'t>(&self, trial: &'t Trial) -> impl Iterator<Item = (u32, f64)> + use<'t> {
        let k = self.plan.spec.folds.k;
        trial.scores().map(move |(FoldId { repeat, fold }, score)| (repeat * k + fold, score))
    }
}
