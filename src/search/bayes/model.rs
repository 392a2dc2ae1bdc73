//! The process of a sweep's scores: points as rows of numbers, scores on its scale.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, Normal};

use super::feasibility::Feasibility;
use crate::search::gp::{self, Axis, Data, Improvement, Observation, Posterior, Priors, Scale};
use crate::search::history::{History, Tried, TriedState};
use crate::search::space::{Parameter, Point, Space};
use crate::spec::Search;

/// How parameters become axes.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    parameters: Vec<Parameter>,
    kinds: Vec<Axis>,
}

/// All that is learned from a history.
pub(super) struct Model {
    pub(super) axes: Axes,
    pub(super) scale: Scale,
    pub(super) posterior: Posterior,
    improvement: Improvement,
    /// None while nothing has failed.
    feasibility: Option<Feasibility>,
}

/// Points that have scores, before anything can be learned of them.
const FEWEST: usize = 2;

/// Worlds that pending scores are integrated over.
const WORLDS: u32 = 8;

impl Axes {
    pub(super) fn of(space: &Space) -> Self {
        let parameters = space.parameters().to_vec();
        let kind = |parameter: &Parameter| if parameter.domain.is_ordered() { Axis::Ordered } else { Axis::Named };
        let kinds = parameters.iter().map(kind).collect();
        Self { parameters, kinds }
    }

    /// A point as numbers. A parameter that has no value there is a name of its own, or in the middle: where it is
    /// missing, the parameters that it depends on differ already.
    pub(super) fn features(&self, point: &Point) -> Vec<f64> {
        let each = self.parameters.iter().zip(&self.kinds);
        let feature = |(parameter, kind): (&Parameter, &Axis)| {
            let value = point.get(&parameter.name);
            match kind {
                Axis::Ordered => value.and_then(|value| parameter.domain.position(value)).unwrap_or(0.5),
                Axis::Named => {
                    let none = parameter.domain.levels();
                    value.and_then(|value| parameter.domain.level(value)).or(none).unwrap_or(0) as f64
                }
            }
        };
        each.map(feature).collect()
    }

    pub(super) fn kinds(&self) -> &[Axis] {
        &self.kinds
    }

    /// To tell rows apart.
    pub(super) fn key(&self, features: &[f64]) -> Vec<u64> {
        features.iter().map(|x| x.to_bits()).collect()
    }
}

impl Model {
    /// None as long as there is too little to learn from.
    pub(super) fn of(search: &Search, history: &History) -> Option<Self> {
        let axes = Axes::of(&search.space);
        let mut rows = Rows::default();
        for tried in &history.trials {
            for (fold, score) in gains(search, tried) {
                let row = rows.place(&axes, &tried.point);
                rows.scores.push(Observation { setting: row, fold, score });
            }
        }
        if rows.features.len() < FEWEST {
            return None;
        }
        let scale = Scale::of(&rows.means());
        let scores = rows.scores.into_iter();
        let scores = scores.map(|seen| Observation { score: scale.to_process(seen.score), ..seen }).collect();
        let data = Data::new(axes.kinds.clone(), rows.features, scores);
        let (_, posterior) = gp::fit(&data, &Priors::new(axes.kinds.len()))?;
        let pending = history.trials.iter().filter(|tried| tried.state == TriedState::Open);
        let pending = pending.filter(|tried| gains(search, tried).next().is_none());
        let pending: Vec<Vec<f64>> = pending.map(|tried| axes.features(&tried.point)).collect();
        let noise = posterior.noise() / folds(history) as f64;
        let worlds = posterior.imagine(&pending, noise, &normals(search.seed, pending.len()))?;
        let improvement = Improvement::new(&posterior, worlds, &pending);
        let feasibility = Feasibility::of(search, history, &axes);
        Some(Self { axes, scale, posterior, improvement, feasibility })
    }

    /// Logarithm of the improvement that a row of numbers promises, and of nothing if it cannot be run.
    pub(super) fn promise(&self, features: &[f64]) -> f64 {
        self.improvement.at(features) + self.feasibility.as_ref().map_or(0.0, |known| known.log_probability(features))
    }

    /// Where the improvement grows.
    pub(super) fn uphill(&self, features: &[f64]) -> Vec<f64> {
        self.improvement.with_slopes(features).1
    }

    /// The points with scores, best first.
    pub(super) fn ranked(&self) -> Vec<usize> {
        let means = self.posterior.means();
        let mut order: Vec<usize> = (0..means.len()).collect();
        order.sort_by(|a, b| means[*b].total_cmp(&means[*a]).then(a.cmp(b)));
        order
    }
}

/// The scores of a trial that are numbers, more is better.
pub(super) fn gains(search: &Search, tried: &Tried) -> impl Iterator<Item = (usize, f64)> {
    let finite = tried.scores.iter().filter(|(_, score)| score.is_finite());
    finite.map(|(fold, score)| (*fold as usize, search.direction.gain(*score)))
}

/// Of a whole trial, as far as the history tells.
fn folds(history: &History) -> usize {
    history.trials.iter().map(|tried| tried.scores.len()).max().unwrap_or(1).max(1)
}

/// Independent standard normal numbers, evenly spread: [world, pending].
fn normals(seed: u64, pending: usize) -> Vec<Vec<f64>> {
    let normal = Normal::standard();
    let spread = |world| super::sobol::point(seed, world, 0, pending);
    // not at 0, whose quantile is minus infinity
    let quantile = |u: f64| normal.inverse_cdf(u.clamp(1e-6, 1.0 - 1e-6));
    (0..WORLDS).map(|world| spread(world).into_iter().map(quantile).collect()).collect()
}

/// Distinct points and their scores.
#[derive(Default)]
struct Rows {
    features: Vec<Vec<f64>>,
    places: BTreeMap<Vec<u64>, usize>,
    scores: Vec<Observation>,
}

impl Rows {
    fn place(&mut self, axes: &Axes, point: &Point) -> usize {
        let features = axes.features(point);
        *self.places.entry(axes.key(&features)).or_insert_with(|| {
            self.features.push(features);
            self.features.len() - 1
        })
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
