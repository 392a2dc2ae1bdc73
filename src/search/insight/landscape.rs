//! Functions that g may well be, over all points of a space.

use std::collections::BTreeSet;

use pulp::Arch;

use super::Unknown;
use super::levels::Level;
use crate::search::bayes::{Fitted, key};
use crate::search::gp::Imagined;
use crate::search::history::History;
use crate::search::space::{Point, Space};
use crate::search::{normals, scattered};
use crate::spec::Search;

/// Draws of g: half of them from the posterior of all trials, the others from posteriors that lack a third of them.
///
/// A process takes its lengths and its noise as known once they are estimated. From few trials they may well be estimated
/// wrong, and then another third of the trials left out gives others: so their uncertainty comes into the draws.
pub(super) struct Landscape<'s> {
    space: &'s Space,
    /// Of all trials, then the others.
    processes: Vec<Process>,
    /// Where points lie that the constraints allow, evenly spread.
    background: Vec<Vec<f64>>,
    /// Mean and variance of each draw over the space.
    pub(super) levels: Vec<f64>,
    pub(super) variances: Vec<f64>,
}

/// A posterior and draws from it. Each is fixed at [`KNOTS`] points spread over the space and at those with scores, and
/// follows its mean in between.
struct Process {
    fitted: Fitted,
    worlds: Imagined,
    count: usize,
    /// [term, world]
    weights: Vec<f64>,
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

/// Draws of the process of all trials, and of each of the others.
const WORLDS: usize = 48;
const OTHER_WORLDS: usize = 16;
/// Parts of the trials, each of which one of the others lacks.
const PARTS: usize = 3;
const KNOTS: usize = 96;
/// Points that a draw's variance over the space is taken of.
const BACKGROUND: usize = 512;
/// Points that are looked at for one that the constraints allow.
const TRIES: usize = 50;
/// Of the process, whose scores have variance 1: keeps knots regular that lie beside points with scores.
const JITTER: f64 = 1e-6;

// None of these is a sweep's: points of its own trials would be known better than others.
const BACKGROUND_SEED: u64 = 0x6261_636b;
const KNOT_SEED: u64 = 0x6b6e_6f74;
const WORLD_SEED: u64 = 0x776f_726c;
const PART_SEED: u64 = 0x7061_7274;

impl<'s> Landscape<'s> {
    pub(super) fn new(search: &'s Search, history: &History) -> Result<Self, Unknown> {
        let space = &search.space;
        let background = allowed(space, BACKGROUND_SEED, BACKGROUND);
        if background.is_empty() {
            return Err(Unknown::NoPoint);
        }
        let knots = allowed(space, KNOT_SEED, KNOTS);
        let process = |history: &History, count: usize| {
            let fitted = Fitted::of(search, history)?;
            Process::new(space, fitted, &knots, count)
        };
        let mut landscape = Self {
            space,
            processes: vec![process(history, WORLDS).ok_or(Unknown::NoProcess)?],
            background,
            levels: Vec::new(),
            variances: Vec::new(),
        };
        landscape.survey();
        // a flat draw has no shares
        let is_flat = |variance: &f64| *variance <= f64::EPSILON || !variance.is_finite();
        if landscape.variances.iter().any(is_flat) {
            return Err(Unknown::Flat);
        }
        for part in 0..PARTS {
            let Some(other) = process(&without(history, part), OTHER_WORLDS) else { continue };
            landscape.processes.push(other);
            landscape.survey();
            if landscape.variances.iter().any(is_flat) {
                landscape.processes.pop();
                landscape.survey();
            }
        }
        Ok(landscape)
    }

    pub(super) fn draws(&self) -> usize {
        self.variances.len()
    }

    /// The share of g's variance over the space that the scores tell: of its mean in that of the draws.
    pub(super) fn known(&self) -> f64 {
        let process = &self.processes[0];
        let mean_at = |u: &Vec<f64>| process.fitted.posterior.at(&process.features(&self.space.point_at(u))).mean;
        let means: Vec<f64> = self.background.iter().map(mean_at).collect();
        let mean = mean(&means);
        let known = means.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / means.len() as f64;
        (known / self::mean(&self.variances[..process.count])).min(1.0)
    }

    /// The share of the noise in the variance of one fold's score.
    pub(super) fn noise(&self) -> f64 {
        let process = &self.processes[0];
        let noise = process.fitted.posterior.noise();
        noise / (noise + mean(&self.variances[..process.count]))
    }

    /// Numbers of the process, one a draw, as scores of which more is better.
    pub(super) fn gains(&self, means: &[f64]) -> Vec<f64> {
        let fitted = self.processes.iter().flat_map(|process| std::iter::repeat_n(&process.fitted, process.count));
        fitted.zip(means).map(|(fitted, g)| fitted.to_gain(*g)).collect()
    }

    /// Takes the means and variances of the draws.
    fn survey(&mut self) {
        let values: Vec<Vec<f64>> = self.background.iter().map(|u| self.at(&self.space.point_at(u))).collect();
        let count = values.len() as f64;
        let draws = values[0].len();
        let level = |draw: usize| values.iter().map(|values| values[draw]).sum::<f64>() / count;
        self.levels = (0..draws).map(level).collect();
        let squares = |draw: usize| values.iter().map(|values| (values[draw] - self.levels[draw]).powi(2)).sum::<f64>();
        self.variances = (0..draws).map(|draw| squares(draw) / count).collect();
    }

    /// The draws at a point.
    fn at(&self, point: &Point) -> Vec<f64> {
        self.processes.iter().flat_map(|process| process.at(point)).collect()
    }

    /// Averages all but these parameters out, over `rows` points of the rest.
    ///
    /// Where constraints tie parameters to each other, that is the mean over the points that have the values and are
    /// allowed: rows are weighted by one over their chance to be drawn.
    pub(super) fn margin(&self, grid: &[(usize, &[Level])], rows: usize) -> Margin {
        let draws = self.draws();
        let count: usize = grid.iter().map(|(_, levels)| levels.len()).product();
        let mut cells = vec![Cell { share: 0.0, means: vec![0.0; draws] }; count];
        let (mut within, mut seen) = (vec![0.0; draws], 0.0);
        for u in self.background.iter().take(rows) {
            let row = self.row(u, grid);
            let allowed: f64 = row.iter().map(|(_, weight, _)| weight).sum();
            if allowed <= 0.0 {
                continue;
            }
            seen += 1.0;
            let (mut sums, mut squares, mut active) = (vec![0.0; draws], vec![0.0; draws], 0.0);
            for (cell, weight, values) in &row {
                let Some(values) = values else { continue };
                let weight = weight / allowed;
                active += weight;
                cells[*cell].share += weight;
                for (draw, g) in values.iter().enumerate() {
                    cells[*cell].means[draw] += weight * g;
                    sums[draw] += weight * g;
                    squares[draw] += weight * g * g;
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
        for within in &mut within {
            *within /= f64::max(seen, 1.0);
        }
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
            self.space.allows(&point).then(|| (cell, weight, grid.iter().all(has).then(|| self.at(&point))))
        };
        (0..count).filter_map(cell).collect()
    }
}

impl Process {
    fn new(space: &Space, fitted: Fitted, knots: &[Vec<f64>], count: usize) -> Option<Self> {
        let mut seen = BTreeSet::new();
        let knots = knots.iter().map(|u| fitted.axes.features(&space.point_at(u)));
        let knots: Vec<Vec<f64>> = knots.filter(|knot| seen.insert(key(knot))).collect();
        let worlds = fitted.posterior.imagine(&knots, JITTER, &normals(WORLD_SEED, count, knots.len()))?;
        let terms = worlds.weights().first().map_or(0, Vec::len);
        let weights = (0..terms).flat_map(|term| worlds.weights().iter().map(move |world| world[term])).collect();
        Some(Self { fitted, worlds, count, weights })
    }

    fn at(&self, point: &Point) -> Vec<f64> {
        let mut means = vec![0.0; self.count];
        let terms = self.worlds.terms(&self.features(point));
        // the products of the posterior leave the registers' upper halves in use, and every exponential after them takes 30
        // times as long; a function for wide registers clears them when it returns
        Arch::new().dispatch(|| add_up(&terms, &self.weights, &mut means));
        means
    }

    fn features(&self, point: &Point) -> Vec<f64> {
        self.fitted.axes.features(point)
    }
}

impl Margin {
    /// Of each draw: the variance of the margin, over the part of the space that has it; the share of that part is in it.
    pub(super) fn between(&self) -> Vec<f64> {
        let levels = self.levels();
        let variance =
            |draw: usize| self.cells.iter().map(|cell| cell.share * (cell.means[draw] - levels[draw]).powi(2)).sum();
        (0..self.draws()).map(variance).collect()
    }

    /// The margin of one of two parameters, of which the last has `last` values.
    pub(super) fn side(&self, first: bool, last: usize) -> Self {
        let count = if first { self.cells.len() / last } else { last };
        let mut cells = vec![Cell { share: 0.0, means: vec![0.0; self.draws()] }; count];
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

    fn draws(&self) -> usize {
        self.cells.first().map_or(0, |cell| cell.means.len())
    }

    fn levels(&self) -> Vec<f64> {
        let level = |draw: usize| self.cells.iter().map(|cell| cell.share * cell.means[draw]).sum::<f64>();
        (0..self.draws()).map(|draw| level(draw) / self.active.max(f64::MIN_POSITIVE)).collect()
    }
}

/// Adds rows of weights, each as often as its term says.
#[inline(always)]
fn add_up(terms: &[f64], weights: &[f64], sums: &mut [f64]) {
    for (term, weights) in terms.iter().zip(weights.chunks_exact(sums.len())) {
        for (sum, weight) in sums.iter_mut().zip(weights) {
            *sum += term * weight;
        }
    }
}

/// The history without a part of its trials, as if it had not been scored.
fn without(history: &History, part: usize) -> History {
    // not every third: points of a grid follow each other in a pattern
    let mut order: Vec<(f64, usize)> =
        (0..history.trials.len()).map(|trial| (scattered(PART_SEED, trial as u32, 1)[0], trial)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut rest = history.clone();
    for (_, trial) in order.iter().skip(part).step_by(PARTS) {
        rest.trials[*trial].scores.clear();
    }
    rest
}

/// Where `count` allowed points lie, or as many as are found.
fn allowed(space: &Space, seed: u64, count: usize) -> Vec<Vec<f64>> {
    let dimensions = space.parameters().len();
    let points = (0..(count * TRIES) as u32).map(|number| scattered(seed, number, dimensions));
    points.filter(|u| space.allows(&space.point_at(u))).take(count).collect()
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
