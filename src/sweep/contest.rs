//! Trials against each other: who is given up, and why. Nobody is before a first trial has all its folds, so that there
//! always is a best one.

use std::cell::OnceCell;

use super::fact::{RunId, TrialEnd, TrialId};
use super::next::{Next, Order, Waiting, next_run};
use super::trial::Trial;
use super::{FoldId, Sweep};
use crate::protocol::{Measurement, Split};
use crate::search::Forecast;
use crate::search::prune::{self, Curve, Rival};
use crate::search::race::Field;
use crate::search::space::Point;
use crate::spec::{Prune, Race};

/// What a free slot gets.
pub(super) enum Step {
    Run(RunId),
    /// The first fold of a new trial.
    Propose(Point),
}

/// [`Sweep::forecast`], made when first asked and good until a score comes.
#[derive(Default)]
pub(super) struct LazyForecast(OnceCell<Option<Forecast>>);

impl LazyForecast {
    fn of(&self, sweep: &Sweep) -> Option<&Forecast> {
        self.0.get_or_init(|| sweep.forecast()).as_ref()
    }
}

impl Sweep {
    /// The finished trials, which the open ones race against.
    pub(super) fn field(&self) -> Option<Field> {
        let finished = self.of_space().filter(|(_, trial)| trial.ranks());
        let scores = finished.map(|(id, trial)| (id.0 as u32, self.numbered(trial).map(|(_, score)| score).collect()));
        Field::new(self.plan.spec.search.direction, scores)
    }

    /// A model of the scores so far, where the rule asks one.
    fn forecast(&self) -> Option<Forecast> {
        let search = &self.plan.spec.search;
        let asks = search.race == Race::Posterior && self.of_space().any(|(_, trial)| trial.ranks());
        asks.then(|| Forecast::of(search, &self.history())).flatten()
    }

    /// The open trials that get no further fold, and why.
    pub(super) fn raced_out(&self, forecast: &LazyForecast) -> Vec<(TrialId, TrialEnd)> {
        let Some(field) = self.field() else {
            return Vec::new();
        };
        let open = self.of_space().filter(|(_, trial)| trial.races() && trial.scores().next().is_some());
        let judged = open.filter_map(|(id, trial)| {
            let scores: Vec<(u32, f64)> = self.numbered(trial).collect();
            let prior = forecast.of(self).map(|forecast| forecast.at(&trial.point));
            Some((id, TrialEnd::Dropped { why: field.judge(self.plan.spec.search.race, &scores, prior)? }))
        });
        judged.collect()
    }

    /// What could be started, or else a new trial at a point.
    pub(super) fn next(&self, forecast: &LazyForecast) -> Option<Step> {
        let field = self.field().filter(|_| self.plan.spec.search.race != Race::Off);
        let order = match (&field, self.plan.spec.search.race) {
            (None, _) => Order::Oldest,
            (Some(_), Race::Posterior) => Order::Worthiest,
            (Some(_), _) => Order::OldestUnlessDoubtful,
        };
        let outlook = |run: RunId| {
            let (trial, field) = (self.trial(run.trial).filter(|_| !run.trial.is_baseline())?, field.as_ref()?);
            let prior = forecast.of(self).map(|forecast| forecast.at(&trial.point));
            field.outlook(&self.numbered(trial).collect::<Vec<_>>(), prior)
        };
        // what was asked for comes before what could be drawn, and is an ordinary trial once it is begun
        let (asked, known): (Vec<RunId>, Vec<RunId>) = self.waiting().into_iter().partition(|run| self.is_due(*run));
        let asked = asked.first().copied().map(Step::Run);
        let waiting = known.into_iter().map(|run| {
            let running = self.slots.iter().flatten().any(|it| it.trial == run.trial);
            let is_first = self.trial(run.trial).is_none_or(|trial| trial.scores().next().is_none());
            Waiting { run, running, outlook: if running && is_first { None } else { outlook(run) } }
        });
        let waiting: Vec<Waiting> = waiting.collect();
        let first = || waiting.first().map(|waiting| Step::Run(waiting.run));
        match next_run(&waiting, order) {
            Next::Fold(run) => Some(Step::Run(run)),
            Next::NewTrial => asked.or_else(|| self.next_point().map(Step::Propose)).or_else(first),
            Next::FoldOrBetter(..) if asked.is_some() => asked,
            Next::FoldOrBetter(run, known) => {
                let is_better = |point: &Point| {
                    let prior = forecast.of(self).map(|forecast| forecast.at(point));
                    let new = field.as_ref().and_then(|field| field.outlook(&[], prior));
                    new.is_some_and(|new| new.value() > known.value())
                };
                Some(self.next_point().filter(is_better).map_or(Step::Run(run), Step::Propose))
            }
        }
    }

    /// Whether a run is of a trial that was asked for and has not begun.
    fn is_due(&self, run: RunId) -> bool {
        let unbegun = self.trial(run.trial).is_some_and(|trial| trial.asked && trial.begun().next().is_none());
        unbegun && !self.slots.iter().flatten().any(|it| it.trial == run.trial)
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
        let trial = self.trial(run.trial).filter(|trial| trial.races())?;
        let has_best = self.of_space().any(|(_, trial)| trial.ranks());
        if search.prune == Prune::Off || run.trial.is_baseline() || !has_best {
            return None;
        }
        let (own, _) = trial.curve(run.fold)?;
        let others = self.of_space().filter(|(id, trial)| *id != run.trial && !trial.excluded);
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
        trial.scores().map(move |(FoldId { repeat, fold }, score)| (repeat * k + fold as u32, score))
    }
}
