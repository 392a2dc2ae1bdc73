//! The process of a sweep's scores: points as rows of numbers, scores on its scale.

use std::collections::BTreeMap;
use std::iter;

use serde_json::Value;

use super::feasibility::Feasibility;
use crate::search::gp::{self, Axis, Belief, Data, Improvement, Observation, Posterior, Priors, Scale};
use crate::search::history::{Earlier, History, Tried, TriedState};
use crate::search::normals;
use crate::search::space::{Parameter, Point, Space};
use crate::spec::Search;

/// How parameters become axes: those of the space, those that only earlier sweeps varied, and, if there are such sweeps,
/// the sweep itself, so that the process learns how much of what was true there is true here (Swersky 2013).
#[derive(Clone, Debug)]
pub(in crate::search) struct Axes {
    parameters: Vec<Parameter>,
    /// Of the parameters from `own` on, which do not vary here, the value here.
    fixed: Vec<Option<Value>>,
    own: usize,
    kinds: Vec<Axis>,
    has_earlier: bool,
}

/// This sweep, before the earlier ones by number.
pub(super) const HERE: usize = 0;

/// The scores of a history, as a process.
pub(in crate::search) struct Fitted {
    pub(in crate::search) axes: Axes,
    pub(in crate::search) posterior: Posterior,
    scale: Scale,
    /// Of this sweep's scores, as gains.
    centre: f64,
    /// Where each setting comes from.
    origins: Vec<(usize, Point)>,
}

/// All that a new point is judged by.
pub(super) struct Model {
    pub(super) fitted: Fitted,
    improvement: Improvement,
    /// Of a whole trial's score around what it is worth, in the process's numbers.
    pub(super) standard_error: f64,
    /// None while nothing has failed.
    feasibility: Option<Feasibility>,
}

/// Points that have scores, before anything can be learned of them.
const FEWEST: usize = 2;

/// Worlds that pending scores are integrated over.
const WORLDS: usize = 8;

/// Settings that may be the best in some world: the best ones so far.
const CONTENDERS: usize = 20;

impl Axes {
    pub(super) fn of(space: &Space, earlier: &[Earlier]) -> Self {
        let (mut parameters, mut fixed) = (space.parameters().to_vec(), Vec::new());
        let own = parameters.len();
        for (parameter, here) in earlier.iter().flat_map(|earlier| &earlier.fixed) {
            if parameters.iter().all(|known| known.name != parameter.name) {
                parameters.push(parameter.clone());
                fixed.push(here.clone());
            }
        }
        let kind = |parameter: &Parameter| if parameter.domain.is_ordered() { Axis::Ordered } else { Axis::Named };
        let has_earlier = !earlier.is_empty();
        let kinds = parameters.iter().map(kind).chain(has_earlier.then_some(Axis::Named)).collect();
        Self { parameters, fixed, own, kinds, has_earlier }
    }

    /// A point of this sweep as numbers.
    pub(in crate::search) fn features(&self, point: &Point) -> Vec<f64> {
        let (own, others) = self.parameters.split_at(self.own);
        let own = own.iter().map(|parameter| feature(parameter, point.get(&parameter.name)));
        let others = others.iter().zip(&self.fixed).map(|(parameter, here)| feature(parameter, here.as_ref()));
        own.chain(others).chain(self.has_earlier.then_some(HERE as f64)).collect()
    }

    /// A point of a sweep by number as numbers.
    fn features_in(&self, sweep: usize, point: &Point) -> Vec<f64> {
        if sweep == HERE {
            return self.features(point);
        }
        let each = self.parameters.iter().map(|parameter| feature(parameter, point.get(&parameter.name)));
        each.chain([sweep as f64]).collect()
    }
}

/// A value as a number. One that is not there is a name of its own, or in the middle: where a parameter is missing, those
/// that it depends on differ already.
fn feature(parameter: &Parameter, value: Option<&Value>) -> f64 {
    if parameter.domain.is_ordered() {
        return value.and_then(|value| parameter.domain.position_anywhere(value)).unwrap_or(0.5);
    }
    let none = parameter.domain.levels();
    value.and_then(|value| parameter.domain.level(value)).or(none).unwrap_or(0) as f64
}

/// To tell rows of numbers apart.
pub(in crate::search) fn key(features: &[f64]) -> Vec<u64> {
    features.iter().map(|x| x.to_bits()).collect()
}

impl Fitted {
    /// None as long as there is too little to learn from.
    pub(in crate::search) fn of(search: &Search, history: &History) -> Option<Self> {
        Self::learned(search, history, |data| data)
    }

    /// The same, from what `told` makes of the data.
    fn learned(search: &Search, history: &History, told: impl Fn(Data) -> Data) -> Option<Self> {
        let axes = Axes::of(&search.space, &history.earlier);
        let mut rows = Rows::default();
        let (mut fold_number, mut own_folds) = (0, 0);
        let sweeps = iter::once(&history.trials).chain(history.earlier.iter().map(|earlier| &earlier.trials));
        for (sweep, trials) in sweeps.enumerate() {
            let mut folds = 0;
            for tried in trials {
                for (fold, score) in gains(search, tried) {
                    rows.push(axes.features_in(sweep, &tried.point), (sweep, &tried.point), fold_number + fold, score);
                    folds = folds.max(fold + 1);
                }
            }
            // a fold of another sweep is another fold
            fold_number += folds;
            own_folds = if sweep == HERE { folds } else { own_folds };
        }
        if rows.features.len() < FEWEST {
            return None;
        }
        let means = rows.means();
        // sweeps on other documents differ in level; what is left of that the effects of their folds take up
        let centres: Vec<f64> = match history.earlier.len() {
            0 => vec![0.0],
            earlier => (0..=earlier).map(|sweep| median(rows.of(sweep).map(|row| means[row]).collect())).collect(),
        };
        let level = |row: usize| centres[rows.origins[row].0];
        let scale = Scale::of(&means.iter().enumerate().map(|(row, mean)| mean - level(row)).collect::<Vec<_>>());
        let data = rows.data(&axes, |row, score| scale.to_process(score - level(row))).asked_for(0..own_folds);
        let (_, posterior) = gp::fit(&told(data), &Priors::new(axes.kinds.len()))?;
        let known = centres.iter().copied().find(|centre| centre.is_finite());
        let centre = Some(centres[HERE]).filter(|centre| centre.is_finite()).or(known).unwrap_or(0.0);
        Some(Self { axes, posterior, scale, centre, origins: rows.origins })
    }

    /// What is believed at a point, as if this sweep had no scores of it.
    pub(super) fn without_its_own(&self, point: &Point) -> Belief {
        match self.origins.iter().position(|(sweep, seen)| *sweep == HERE && seen == point) {
            Some(setting) => self.posterior.without(setting),
            None => self.posterior.at(&self.axes.features(point)),
        }
    }

    /// A number of the process as a score, of which more is better.
    pub(in crate::search) fn to_gain(&self, x: f64) -> f64 {
        self.centre + self.scale.to_score(x)
    }

    /// What a difference of 1 among the good is in scores.
    pub(super) fn unit(&self) -> f64 {
        self.scale.gain()
    }

    /// The points with scores, best first: of which sweep, and where.
    pub(super) fn ranked(&self) -> impl Iterator<Item = (usize, &Point)> {
        let means = self.posterior.means();
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|a, b| means[*b].total_cmp(&means[*a]).then(a.cmp(b)));
        order.into_iter().map(|row| (self.origins[row].0, &self.origins[row].1))
    }

    /// The best points that this sweep has scores of; before it has any, those of earlier ones, if they were here.
    fn contenders(&self) -> Vec<Vec<f64>> {
        let is_first = self.origins.iter().all(|(sweep, _)| *sweep != HERE);
        let here = self.ranked().filter(|(sweep, _)| is_first || *sweep == HERE);
        here.take(CONTENDERS).map(|(_, point)| self.axes.features(point)).collect()
    }
}

impl Model {
    /// None as long as there is too little to learn from.
    pub(super) fn of(search: &Search, history: &History) -> Option<Self> {
        // a trial is what it scored: another one is no better for having had less luck
        let fitted = Fitted::learned(search, history, Data::for_good)?;
        let Fitted { axes, posterior, .. } = &fitted;
        let pending = history.trials.iter().filter(|tried| tried.state == TriedState::Open);
        let pending = pending.filter(|tried| gains(search, tried).next().is_none());
        let pending: Vec<Vec<f64>> = pending.map(|tried| axes.features(&tried.point)).collect();
        let noise = posterior.noise() / folds(history) as f64;
        let worlds = posterior.imagine(&pending, noise, &normals(search.seed, WORLDS, pending.len()))?;
        let improvement = Improvement::new(worlds, noise, fitted.contenders().iter().chain(&pending));
        let feasibility = Feasibility::of(search, history, axes);
        Some(Self { fitted, improvement, feasibility, standard_error: noise.sqrt() })
    }

    /// Logarithm of the improvement that a row of numbers promises, and of nothing if it cannot be run.
    pub(super) fn promise(&self, features: &[f64]) -> f64 {
        self.improvement.at(features) + self.feasibility.as_ref().map_or(0.0, |known| known.log_probability(features))
    }

    /// Whether a row of numbers can be run more likely than not.
    pub(super) fn can_run(&self, features: &[f64]) -> bool {
        self.feasibility.as_ref().is_none_or(|known| known.log_probability(features) > 0.5f64.ln())
    }

    /// Where the improvement grows.
    pub(super) fn uphill(&self, features: &[f64]) -> Vec<f64> {
        self.improvement.with_slopes(features).1
    }
}

/// The scores of a trial that are numbers, more is better.
pub(in crate::search) fn gains(search: &Search, tried: &Tried) -> impl Iterator<Item = (usize, f64)> {
    let finite = tried.scores.iter().filter(|(_, score)| score.is_finite());
    finite.map(|(fold, score)| (*fold as usize, search.direction.gain(*score)))
}

/// Scores of a whole trial, as far as the history tells.
pub(super) fn folds(history: &History) -> usize {
    history.trials.iter().map(|tried| tried.scores.len()).max().unwrap_or(1).max(1)
}

/// Distinct points and their scores.
#[derive(Default)]
pub(super) struct Rows {
    features: Vec<Vec<f64>>,
    origins: Vec<(usize, Point)>,
    places: BTreeMap<Vec<u64>, usize>,
    scores: Vec<Observation>,
}

impl Rows {
    pub(super) fn push(&mut self, features: Vec<f64>, (sweep, point): (usize, &Point), fold: usize, score: f64) {
        let setting = *self.places.entry(key(&features)).or_insert_with(|| {
            self.features.push(features);
            self.origins.push((sweep, point.clone()));
            self.features.len() - 1
        });
        self.scores.push(Observation { setting, fold, score });
    }

    /// What a process is fitted to, each score of a row as `change` makes it.
    pub(super) fn data(&self, axes: &Axes, change: impl Fn(usize, f64) -> f64) -> Data {
        let changed = |seen: &Observation| Observation { score: change(seen.setting, seen.score), ..*seen };
        Data::new(axes.kinds.clone(), self.features.clone(), self.scores.iter().map(changed).collect())
    }

    /// The rows of a sweep.
    fn of(&self, sweep: usize) -> impl Iterator<Item = usize> {
        (0..self.origins.len()).filter(move |row| self.origins[*row].0 == sweep)
    }

    fn means(&self) -> Vec<f64> {
        let mut sums = vec![(0.0, 0.0); self.features.len()];
        for seen in &self.scores {
            let (sum, count) = &mut sums[seen.setting];
            *sum += seen.score;
            *count += 1.0;
        }
        sums.into_iter().map(|(sum, count)| sum / count).collect()
    }
}

/// NaN of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
