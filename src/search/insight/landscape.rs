//! Functions that g may well be, over all points of a space.

use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::BTreeSet;

use super::Unknown;
use super::levels::Level;
use crate::search::bayes::Fitted;
use crate::search::gp::Imagined;
use crate::search::scattered;
use crate::search::space::Space;

/// Draws from the joint posterior of g. Each is fixed at [`KNOTS`] points spread over the space and at those with scores,
/// and follows its mean in between.
pub(super) struct Landscape<'s> {
    space: &'s Space,
    pub(super) fitted: Fitted,
    worlds: Imagined,
    /// Where points lie that the constraints allow, evenly spread.
    background: Vec<Vec<f64>>,
    /// Mean and variance of each draw over the space.
    pub(super) levels: Vec<f64>,
    pub(super) variances: Vec<f64>,
}

/// What is left of the draws when all parameters but some are averaged out.
pub(super) struct Margin {
    /// In the order of the values, those of the last parameter first.
    pub(super) cells: Vec<Cell>,
    /// Share of the space in which the parameters have values.
    pub(super) active: f64,
    /// Of each draw: its variance along these parameters alone, averaged over the space; 0 where they have no values.
    pub(super) within: Vec<f64>,
}

/// One choice of values.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// Of the space; 0 where there is no such point.
    pub(super) share: f64,
    /// Of each draw.
    pub(super) means: Vec<f64>,
}

/// Draws.
pub(super) const WORLDS: usize = 64;
const KNOTS: usize = 256;
/// Points that a draw's variance over the space is taken of.
const BACKGROUND: usize = 1024;
/// Points that are looked at for one that the constraints allow.
const TRIES: usize = 50;
/// Of the process, whose scores have variance 1: keeps knots regular that lie beside points with scores.
const JITTER: f64 = 1e-6;

// None of these is a sweep's: points of its own trials would be known better than others.
const BACKGROUND_SEED: u64 = 0x6261_636b;
const KNOT_SEED: u64 = 0x6b6e_6f74;
const WORLD_SEED: u64 = 0x776f_726c;

impl<'s> Landscape<'s> {
    pub(super) fn new(space: &'s Space, fitted: Fitted) -> Result<Self, Unknown> {
        let background = allowed(space, BACKGROUND_SEED, BACKGROUND);
        if background.is_empty() {
            return Err(Unknown::NoPoint);
        }
        let mut seen = BTreeSet::new();
        let knots = allowed(space, KNOT_SEED, KNOTS).into_iter().map(|u| fitted.axes.features(&space.point_at(&u)));
        let knots: Vec<Vec<f64>> =
            knots.filter(|knot| seen.insert(knot.iter().map(|x| x.to_bits()).collect::<Vec<_>>())).collect();
        let worlds = fitted.posterior.imagine(&knots, JITTER, &normals(knots.len())).ok_or(Unknown::NoProcess)?;
        let mut landscape = Self { space, fitted, worlds, background, levels: Vec::new(), variances: Vec::new() };
        let (mut sums, mut squares) = (vec![0.0; WORLDS], vec![0.0; WORLDS]);
        for u in &landscape.background {
            for (world, g) in landscape.worlds.means(&landscape.features(u)).into_iter().enumerate() {
                sums[world] += g;
                squares[world] += g * g;
            }
        }
        let count = landscape.background.len() as f64;
        landscape.levels = sums.iter().map(|sum| sum / count).collect();
        let levels = landscape.levels.iter().zip(&squares);
        landscape.variances = levels.map(|(mean, squares)| (squares / count - mean * mean).max(0.0)).collect();
        // a flat draw has no shares
        let is_flat = landscape.variances.iter().any(|variance| *variance <= f64::EPSILON || !variance.is_finite());
        if is_flat { Err(Unknown::Flat) } else { Ok(landscape) }
    }

    /// The share of g's variance over the space that the scores tell: of its mean in that of the draws.
    pub(super) fn known(&self) -> f64 {
        let means: Vec<f64> =
            self.background.iter().map(|u| self.fitted.posterior.at(&self.features(u)).mean).collect();
        let mean = mean(&means);
        let known = means.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / means.len() as f64;
        (known / self::mean(&self.variances)).min(1.0)
    }

    /// Averages all but these parameters out, over `rows` points of the rest.
    ///
    /// Where constraints tie parameters to each other, that is the mean over the points that have the values and are
    /// allowed: rows are weighted by one over their chance to be drawn.
    pub(super) fn margin(&self, grid: &[(usize, &[Level])], rows: usize) -> Margin {
        let count: usize = grid.iter().map(|(_, levels)| levels.len()).product();
        let mut cells = vec![Cell { share: 0.0, means: vec![0.0; WORLDS] }; count];
        let (mut within, mut seen) = (vec![0.0; WORLDS], 0.0);
        for u in self.background.iter().take(rows) {
            let row = self.row(u, grid);
            let allowed: f64 = row.iter().map(|(_, weight, _)| weight).sum();
            if allowed <= 0.0 {
                continue;
            }
            seen += 1.0;
            let (mut sums, mut squares, mut active) = (vec![0.0; WORLDS], vec![0.0; WORLDS], 0.0);
            for (cell, weight, draws) in &row {
                let Some(draws) = draws else { continue };
                let weight = weight / allowed;
                active += weight;
                cells[*cell].share += weight;
                for (world, g) in draws.iter().enumerate() {
                    cells[*cell].means[world] += weight * g;
                    sums[world] += weight * g;
                    squares[world] += weight * g * g;
                }
            }
            if active > 0.0 {
                let sums = sums.iter().zip(&squares);
                let variances = sums.map(|(sum, squares)| (squares - sum * sum / active).max(0.0));
                within.iter_mut().zip(variances).for_each(|(within, variance)| *within += variance);
            }
        }
        for cell in cells.iter_mut().filter(|cell| cell.share > 0.0) {
            cell.means.iter_mut().for_each(|mean| *mean /= cell.share);
            cell.share /= seen;
        }
        within.iter_mut().for_each(|within| *within /= f64::max(seen, 1.0));
        let active: f64 = cells.iter().map(|cell| cell.share).sum();
        let mut margin = Margin { cells, active, within };
        // where it is everywhere
        if active > 1.0 - 1e-9 {
            margin.lift(&self.levels);
        }
        margin
    }

    /// The cells that are allowed: number, weight, and the draws if all parameters of the grid have values there.
    fn row(&self, u: &[f64], grid: &[(usize, &[Level])]) -> Vec<(usize, f64, Option<Vec<f64>>)> {
        let count: usize = grid.iter().map(|(_, levels)| levels.len()).product();
        let mut u = u.to_vec();
        let cell = |cell: usize| {
            let (mut rest, mut weight) = (cell, 1.0);
            for (parameter, levels) in grid.iter().rev() {
                let level = &levels[rest % levels.len()];
                rest /= levels.len();
                u[*parameter] = level.u;
                weight *= level.weight;
            }
            let point = self.space.point_at(&u);
            let has =
                |(parameter, _): &(usize, &[Level])| point.get(&self.space.parameters()[*parameter].name).is_some();
            let draws = || self.worlds.means(&self.fitted.axes.features(&point));
            self.space.allows(&point).then(|| (cell, weight, grid.iter().all(has).then(draws)))
        };
        (0..count).filter_map(cell).collect()
    }

    fn features(&self, u: &[f64]) -> Vec<f64> {
        self.fitted.axes.features(&self.space.point_at(u))
    }
}

impl Margin {
    /// Of each draw: the variance of the margin, over the part of the space that has it; the share of that part is in it.
    pub(super) fn between(&self) -> Vec<f64> {
        let levels = self.levels();
        let variance =
            |world: usize| self.cells.iter().map(|cell| cell.share * (cell.means[world] - levels[world]).powi(2)).sum();
        (0..WORLDS).map(variance).collect()
    }

    /// The margin of one of two parameters, of which the last has `last` values.
    pub(super) fn side(&self, first: bool, last: usize) -> Self {
        let count = if first { self.cells.len() / last } else { last };
        let mut cells = vec![Cell { share: 0.0, means: vec![0.0; WORLDS] }; count];
        for (number, cell) in self.cells.iter().enumerate() {
            let side = &mut cells[if first { number / last } else { number % last }];
            side.share += cell.share;
            side.means.iter_mut().zip(&cell.means).for_each(|(sum, mean)| *sum += cell.share * mean);
        }
        for cell in cells.iter_mut().filter(|cell| cell.share > 0.0) {
            cell.means.iter_mut().for_each(|mean| *mean /= cell.share);
        }
        Self { cells, active: self.active, within: Vec::new() }
    }

    /// To the means of the draws over all of the space, which more points tell better.
    fn lift(&mut self, levels: &[f64]) {
        let by: Vec<f64> = levels.iter().zip(self.levels()).map(|(level, own)| level - own).collect();
        for cell in &mut self.cells {
            cell.means.iter_mut().zip(&by).for_each(|(mean, by)| *mean += by);
        }
    }

    fn levels(&self) -> Vec<f64> {
        let level = |world: usize| self.cells.iter().map(|cell| cell.share * cell.means[world]).sum::<f64>();
        (0..WORLDS).map(|world| level(world) / self.active.max(f64::MIN_POSITIVE)).collect()
    }
}

/// Where `count` allowed points lie, or as many as are found.
fn allowed(space: &Space, seed: u64, count: usize) -> Vec<Vec<f64>> {
    let dimensions = space.parameters().len();
    let points = (0..(count * TRIES) as u32).map(|number| scattered(seed, number, dimensions));
    points.filter(|u| space.allows(&space.point_at(u))).take(count).collect()
}

/// Independent standard normal numbers, evenly spread: [world, knot].
fn normals(knots: usize) -> Vec<Vec<f64>> {
    let normal = Normal::standard();
    // not at 0, whose quantile is minus infinity
    let quantile = |u: f64| normal.inverse_cdf(u.clamp(1e-6, 1.0 - 1e-6));
    let world = |world: u32| scattered(WORLD_SEED, world, knots).into_iter().map(quantile).collect();
    (0..WORLDS as u32).map(world).collect()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
