//! The search for the point that promises most: many even points, then steps uphill from the best of them.

use std::collections::BTreeSet;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::model::{Model, key};
use crate::search::space::{Domain, Point};
use crate::search::{Candidates, sobol};

/// Even points over the whole space.
const SPREAD: u32 = 512;
/// The best trials, and changed copies of each.
const PARENTS: usize = 5;
const CHILDREN: usize = 24;
/// Points from which steps are taken, and rounds of steps over all parameters.
const STARTS: usize = 4;
const ROUNDS: usize = 3;
/// Steps along the gradient in a round.
const STEPS: usize = 15;
/// Up to so many values of a parameter are all tried, one after the other.
const FEW: usize = 16;

pub(super) struct Climb<'c> {
    pub(super) candidates: &'c Candidates<'c>,
    pub(super) model: &'c Model,
    /// Keys of the points that were proposed before.
    pub(super) seen: &'c BTreeSet<Vec<u64>>,
}

/// A point by its coordinates, one `u` a parameter.
#[derive(Clone)]
struct Place {
    u: Vec<f64>,
    point: Point,
    features: Vec<f64>,
    promise: f64,
}

impl Climb<'_> {
    /// The best point that is found and accepted, and the logarithm of its promise.
    pub(super) fn best(&self) -> Option<(Point, f64)> {
        let mut found = self.pool();
        let tops: Vec<Place> = found.iter().take(STARTS).map(|start| self.uphill(start.clone())).collect();
        found.extend(tops);
        found.sort_by(|a, b| b.promise.total_cmp(&a.promise));
        // asked last, and of few: it resolves a whole configuration
        let accepted = found.into_iter().find(|place| (self.candidates.accepts)(&place.point))?;
        Some((accepted.point, accepted.promise))
    }

    /// Where to start, best first.
    fn pool(&self) -> Vec<Place> {
        let (seed, trial) = (self.candidates.search.seed, self.candidates.trial());
        let parameters = self.candidates.search.space.parameters();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(u64::from(trial));
        let shift: u32 = rng.random();
        let spread = (0..SPREAD).map(|index| sobol::point(seed, index, shift, parameters.len()));
        let mut pool: Vec<Place> = spread.filter_map(|u| self.place(u)).collect();
        for parent in self.parents() {
            for _ in 0..CHILDREN {
                let mut u = parent.clone();
                for (u, parameter) in u.iter_mut().zip(parameters) {
                    // two parameters change, on average
                    if rng.random::<f64>() < 2.0 / parameters.len() as f64 {
                        *u = changed(*u, &parameter.domain, &mut rng);
                    }
                }
                pool.extend(self.place(u));
            }
        }
        pool.sort_by(|a, b| b.promise.total_cmp(&a.promise));
        pool.dedup_by(|a, b| a.features == b.features);
        pool
    }

    /// Coordinates of the best trials.
    fn parents(&self) -> Vec<Vec<f64>> {
        let space = &self.candidates.search.space;
        let best = self.model.fitted.ranked().take(PARENTS);
        best.map(|(_, point)| space.coordinates(point).into_iter().map(|u| u.unwrap_or(0.5)).collect()).collect()
    }

    /// The point at these coordinates, if it may be and is new.
    fn place(&self, u: Vec<f64>) -> Option<Place> {
        let space = &self.candidates.search.space;
        let point = space.point_at(&u);
        let features = self.model.fitted.axes.features(&point);
        let is_new = !self.seen.contains(&key(&features));
        (is_new && space.allows(&point) && self.model.can_run(&features)).then(|| {
            let promise = self.model.promise(&features);
            Place { u, point, features, promise }
        })
    }

    /// To a top nearby: along the gradient in what is continuous, value by value in what is not.
    fn uphill(&self, mut place: Place) -> Place {
        for _ in 0..ROUNDS {
            let before = place.promise;
            place = self.along_the_gradient(place);
            for index in 0..place.u.len() {
                for u in self.neighbours(index, place.u[index]) {
                    let mut next = place.u.clone();
                    next[index] = u;
                    if let Some(next) = self.place(next)
                        && next.promise > place.promise
                    {
                        place = next;
                    }
                }
            }
            if place.promise - before < 1e-3 {
                break;
            }
        }
        place
    }

    fn along_the_gradient(&self, mut place: Place) -> Place {
        let parameters = self.candidates.search.space.parameters();
        let mut step = 0.05;
        for _ in 0..STEPS {
            let mut slopes = self.model.uphill(&place.features);
            slopes.truncate(parameters.len());
            for (slope, parameter) in slopes.iter_mut().zip(parameters) {
                let moves = parameter.domain.levels().is_none() && place.point.get(&parameter.name).is_some();
                *slope = if moves { *slope } else { 0.0 };
            }
            let length = slopes.iter().map(|slope| slope * slope).sum::<f64>().sqrt();
            if length < 1e-9 {
                break;
            }
            let higher = (0..4).find_map(|_| {
                let u = place.u.iter().zip(&slopes);
                // of a continuous parameter the coordinate is the feature
                let u = u.map(|(u, slope)| (u + step * slope / length).clamp(0.0, 1.0)).collect();
                let next = self.place(u).filter(|next| next.promise > place.promise);
                step *= if next.is_some() { 1.5 } else { 0.4 };
                next
            });
            let Some(higher) = higher else { break };
            place = higher;
        }
        place
    }

    /// Other values of a parameter, as coordinates; none of a continuous one.
    fn neighbours(&self, index: usize, u: f64) -> Vec<f64> {
        let domain = &self.candidates.search.space.parameters()[index].domain;
        let (Some(levels), Some(here)) = (domain.levels(), domain.level(&domain.at(u))) else {
            return Vec::new();
        };
        let others: Vec<usize> = if levels <= FEW {
            (0..levels).collect()
        } else {
            let reach = [1, 3, 8, levels / 8, levels / 3];
            let near = reach.into_iter().flat_map(|by| [here.checked_sub(by), here.checked_add(by)]);
            near.flatten().filter(|level| *level < levels).collect()
        };
        let others = others.into_iter().filter(|level| *level != here);
        others.filter_map(|level| domain.coordinate(&domain.value(level)?)).collect()
    }
}

/// Somewhere else: anywhere among categories, rather near on a line.
fn changed(u: f64, domain: &Domain, rng: &mut ChaCha8Rng) -> f64 {
    if !domain.is_ordered() {
        return rng.random();
    }
    let step: f64 = (0..3).map(|_| rng.random::<f64>() - 0.5).sum();
    (u + 0.3 * step).clamp(0.0, 1.0 - f64::EPSILON)
}
