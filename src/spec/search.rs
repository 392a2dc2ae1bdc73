//! `[search]`: what is varied, how points are drawn, and what counts as better.

use serde::{Deserialize, Serialize};

use super::reader::{Floats, Reader};
use super::space;
use crate::search::space::{Point, Space};

/// `[search]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Search {
    pub sampler: Sampler,
    /// Name of the metric of a run that is its score.
    pub objective: String,
    pub direction: Direction,
    pub budget: Budget,
    pub seed: u64,
    pub space: Space,
    /// The points of the first trials; what one leaves open is drawn.
    pub start: Vec<Point>,
    /// Earlier sweeps of the same database to learn from.
    pub warm_start: Vec<String>,
    pub race: Race,
    pub prune: Prune,
    pub stop: Stop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    Grid,
    Random,
    Sobol,
    Bayes,
}

/// What a sweep may spend; it ends with the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub trials: Option<u32>,
    /// Runs that were started.
    pub runs: Option<u32>,
    pub seconds: Option<f64>,
    /// Seconds of every run, summed over the devices.
    pub device_seconds: Option<f64>,
}

/// Which trials are given up between folds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Race {
    Off,
    Forgiving,
    Paired,
    Posterior,
}

/// Which runs are given up between epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prune {
    Off,
    Median,
    Asha,
}

/// When a sweep ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// With its budget, or its points.
    Budget,
    /// As well when there is nothing left to gain.
    Converged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    Maximize,
    Minimize,
}

impl Direction {
    /// Whether `a` is better than `b`. NaN is never better.
    pub fn better(self, a: f64, b: f64) -> bool {
        match self {
            Self::Maximize => a > b,
            Self::Minimize => a < b,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Maximize => "maximize",
            Self::Minimize => "minimize",
        }
    }

    /// The score as a number of which more is better.
    pub fn gain(self, score: f64) -> f64 {
        match self {
            Self::Maximize => score,
            Self::Minimize => -score,
        }
    }
}

/// Trials where nothing says when to end.
const TRIALS: u32 = 20;

impl Search {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let sampler = reader.choice("sampler", Sampler::Grid);
        let objective = reader.text("objective").unwrap_or_else(|| "macro_f1".to_owned());
        let natural = crate::metrics::direction(&objective).unwrap_or(Direction::Maximize);
        let direction = reader.choice("direction", natural);
        let budget = Budget::read(reader);
        let seed = reader.integer("seed", 1, 0..=usize::MAX) as u64;
        let space = space::read(reader);
        let start = space::read_start(reader, &space);
        let warm_start = reader.texts("warm_start");
        let race = reader.choice("race", Race::Posterior);
        let prune = reader.choice("prune", Prune::Off);
        let stop = reader.choice("stop", Stop::Budget);
        if !warm_start.is_empty() && sampler != Sampler::Bayes {
            reader.problem("warm_start", "only sampler = \"bayes\" learns from earlier sweeps");
        }
        if sampler == Sampler::Grid {
            for continuous in space.parameters().iter().filter(|parameter| parameter.domain.levels().is_none()) {
                let what = "a grid needs values: { values = [...] }, or integers with low, high and step";
                reader.problem("space", format!("{}: {what}", continuous.name));
            }
        }
        let mut search =
            Self { sampler, objective, direction, budget, seed, space, start, warm_start, race, prune, stop };
        if sampler != Sampler::Grid && budget == Budget::default() && stop == Stop::Budget {
            search.budget.trials = Some(TRIALS);
        }
        search
    }
}

impl Budget {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut count = |key| reader.optional_integer(key, 1..=1_000_000_000).map(|count| count as u32);
        let (trials, runs) = (count("trials"), count("runs"));
        Self {
            trials,
            runs,
            seconds: reader.optional_float("seconds", Floats::Positive),
            device_seconds: reader.optional_float("device_seconds", Floats::Positive),
        }
    }
}
