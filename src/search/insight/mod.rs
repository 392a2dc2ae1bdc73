//! What the scores of a sweep say of its parameters: how much each of them matters, and which of its values are good.
//!
//! A functional analysis of variance of the process's g over the points of the space as they are drawn: the shares of its
//! variance are Sobol's indices (Sobol 1993; over a model of a sweep, Hutter 2014), `alone` the first-order and `total`
//! the total one (Homma & Saltelli 1996), each with what the posterior leaves open, by draws of whole functions (Oakley &
//! O'Hagan 2004). Whatever drew the points, the scores are the same to it.

mod landscape;
mod levels;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::bayes::gains;
use super::history::History;
use super::space::Domain;
use crate::spec::{Direction, Search};
use landscape::{Landscape, mean};
use levels::Level;

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Insight {
    /// With scores.
    pub points: usize,
    /// Of folds.
    pub scores: usize,
    /// Share of the variance of g that the scores have told; the rest is what they leave open.
    pub known: f64,
    /// Share of the variance of one fold's score, at a point as it is drawn, that comes from no parameter.
    pub noise: f64,
    /// The most important first.
    pub parameters: Vec<Importance>,
    /// Share of the variance that belongs to no parameter alone.
    pub interactions: Interval,
    /// Of the most important parameters.
    pub pairs: Vec<Pair>,
}

/// What one parameter does to the scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    pub parameter: String,
    pub domain: Domain,
    /// Share of the space in which it has a value.
    pub active: f64,
    /// Share of the variance that it makes whatever the others are.
    pub alone: Interval,
    /// With all that depends on others: the share that is left if only it is not known.
    pub total: Interval,
    /// Over all values, averaged over the other parameters.
    pub effect: Vec<Place>,
    /// The place with the best score.
    pub best: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    pub value: Value,
    /// Of the points, that this one stands for.
    pub share: f64,
    #[serde(flatten)]
    pub predicted: Predicted,
}

/// What two parameters do together, averaged over the others.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    pub parameters: [String; 2],
    /// Share of the variance that belongs to neither of them alone.
    pub interaction: Interval,
    pub values: [Vec<Value>; 2],
    /// [value of the first, value of the second]; none where there is no such point.
    pub scores: Vec<Vec<Option<Predicted>>>,
}

/// Median and 5 to 95 % of what may well be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

/// A typical score: the mean on the process's scale, on which bad scores are far from each other in logarithms only, taken
/// back. With its 5 to 95 %, which are those of a mean, not of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Predicted {
    pub score: f64,
    pub low: f64,
    pub high: f64,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unknown {
    #[error("no parameter varies")]
    OnePoint,
    #[error("{points} different points have scores; at least {FEWEST} are needed")]
    Few { points: usize },
    #[error("all points have the same score")]
    Flat,
    #[error("no process can be fitted to these scores")]
    NoProcess,
    #[error("the constraints leave next to nothing of the space")]
    NoPoint,
    #[error("the space has no such parameter")]
    NoParameter,
}

/// Points that have scores, before anything is said.
pub const FEWEST: usize = 4;

/// Values of a parameter that has more, alone and in a pair: odd numbers.
const ALONE: usize = 17;
const PAIRED: usize = 9;
/// Points at which the draws are evaluated, shared among the parameters.
const EVALUATIONS: usize = 1 << 13;
/// Points of the rest that the effect of a pair is averaged over.
const ROWS_OF_PAIR: usize = 24;
/// Parameters whose pairs are looked at.
const FOREMOST: usize = 3;

/// What the trials of a history say. Points that a constraint refuses count nowhere; a parameter's shares are of the part
/// of the space in which it has a value.
pub fn insight(search: &Search, history: &History) -> Result<Insight, Unknown> {
    let space = &search.space;
    if space.parameters().iter().all(|parameter| parameter.domain.levels() == Some(1)) {
        return Err(Unknown::OnePoint);
    }
    let (points, scores) = scored(search, history)?;
    let landscape = Landscape::new(search, history)?;
    let View { parameters, interactions } = View::of(&landscape, search);
    let foremost: Vec<&Importance> = parameters.iter().take(FOREMOST).collect();
    let pairs = (0..foremost.len()).flat_map(|b| (0..b).map(move |a| [a, b]));
    let pairs =
        pairs.filter_map(|pair| Pair::of(&landscape, search, pair.map(|place| foremost[place].parameter.as_str())));
    let pairs = pairs.collect();
    let (known, noise) = (landscape.known(), landscape.noise());
    Ok(Insight { points, scores, known, noise, parameters, interactions, pairs })
}

/// What two parameters of one's choice do together; [`insight`] tells it of the most important ones.
pub fn pair(search: &Search, history: &History, parameters: [&str; 2]) -> Result<Pair, Unknown> {
    scored(search, history)?;
    let landscape = Landscape::new(search, history)?;
    Pair::of(&landscape, search, parameters).ok_or(Unknown::NoParameter)
}

/// Points and scores that can be learned from.
fn scored(search: &Search, history: &History) -> Result<(usize, usize), Unknown> {
    let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for tried in &history.trials {
        let scores: Vec<f64> = gains(search, tried).map(|(_, score)| score).collect();
        if !scores.is_empty() {
            seen.entry(tried.point.to_string()).or_default().extend(scores);
        }
    }
    if seen.len() < FEWEST {
        return Err(Unknown::Few { points: seen.len() });
    }
    let means: Vec<f64> = seen.values().map(|scores| mean(scores)).collect();
    if means.iter().all(|mean| *mean == means[0]) {
        return Err(Unknown::Flat);
    }
    Ok((seen.len(), seen.values().map(Vec::len).sum()))
}

/// All parameters, one by one.
struct View {
    parameters: Vec<Importance>,
    interactions: Interval,
}

impl View {
    fn of(landscape: &Landscape<'_>, search: &Search) -> Self {
        let free = search.space.parameters();
        let levels: Vec<Vec<Level>> = free.iter().map(|free| Level::of(&free.domain, ALONE)).collect();
        let rows = (EVALUATIONS / levels.iter().map(Vec::len).sum::<usize>()).max(1);
        let mut rest = vec![1.0; landscape.draws()];
        let mut parameters = Vec::new();
        for (number, (free, levels)) in free.iter().zip(&levels).enumerate() {
            let margin = landscape.margin(&[(number, levels)], rows);
            let shares = |variances: &[f64]| -> Vec<f64> {
                let of_all = variances.iter().zip(&landscape.variances);
                of_all.map(|(own, all)| (own / all).min(1.0)).collect()
            };
            let alone = shares(&margin.between());
            rest.iter_mut().zip(&alone).for_each(|(rest, alone)| *rest -= alone);
            let places = levels.iter().zip(&margin.cells).filter(|(_, cell)| cell.share > 0.0);
            let effect: Vec<Place> = places
                .map(|(level, cell)| {
                    let predicted = Predicted::of(landscape, search.direction, &cell.means);
                    Place { value: level.value.clone(), share: cell.share, predicted }
                })
                .collect();
            let gain = |place: &Place| search.direction.gain(place.predicted.score);
            let best = (0..effect.len()).max_by(|a, b| gain(&effect[*a]).total_cmp(&gain(&effect[*b])).then(b.cmp(a)));
            parameters.push(Importance {
                parameter: free.name.clone(),
                domain: free.domain.clone(),
                active: margin.active.min(1.0),
                alone: Interval::of(alone),
                total: Interval::of(shares(&margin.within)),
                best: best.unwrap_or(0),
                effect,
            });
        }
        parameters.sort_by(|a, b| b.total.median.total_cmp(&a.total.median));
        Self { parameters, interactions: Interval::of(rest.into_iter().map(|rest| rest.max(0.0)).collect()) }
    }
}

impl Pair {
    /// None where there is no parameter of such a name.
    fn of(landscape: &Landscape<'_>, search: &Search, names: [&str; 2]) -> Option<Self> {
        let free = search.space.parameters();
        let [a, b] = names.map(|name| free.iter().position(|free| free.name == *name));
        let numbers = [a?, b?];
        let levels = numbers.map(|number| Level::of(&free[number].domain, PAIRED));
        let margin = landscape.margin(&[(numbers[0], &levels[0]), (numbers[1], &levels[1])], ROWS_OF_PAIR);
        let last = levels[1].len();
        let [both, first, second] =
            [margin.between(), margin.side(true, last).between(), margin.side(false, last).between()];
        let share = |world: usize| {
            let own = both[world] - first[world] - second[world];
            (own / landscape.variances[world]).clamp(0.0, 1.0)
        };
        let interaction = Interval::of((0..landscape.draws()).map(share).collect());
        let predicted = |cell: &landscape::Cell| {
            (cell.share > 0.0).then(|| Predicted::of(landscape, search.direction, &cell.means))
        };
        let scores = margin.cells.chunks(last).map(|cells| cells.iter().map(predicted).collect()).collect();
        let values = levels.map(|levels| levels.into_iter().map(|level| level.value).collect());
        Some(Self { parameters: names.map(str::to_owned), interaction, values, scores })
    }
}

impl Interval {
    /// Of what the draws say.
    fn of(mut draws: Vec<f64>) -> Self {
        draws.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let place = share * (draws.len() - 1) as f64;
            let (below, above) = (draws[place.floor() as usize], draws[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Self { low: at(0.05), median: at(0.5), high: at(0.95) }
    }
}

impl Predicted {
    /// Of means of g, one a draw.
    fn of(landscape: &Landscape<'_>, direction: Direction, draws: &[f64]) -> Self {
        let scores = landscape.gains(draws).into_iter().map(|gain| direction.gain(gain));
        let Interval { low, median, high } = Interval::of(scores.collect());
        Self { score: median, low, high }
    }
}
