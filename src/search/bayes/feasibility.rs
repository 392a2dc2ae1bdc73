//! The probability that a point can be run: out of memory, NaN and time-outs come back where they came from.

use super::model::{Axes, gains};
use crate::search::gp::{self, Data, Observation, Posterior, Priors, log_normal_cdf};
use crate::search::history::{History, TriedState};
use crate::spec::Search;

/// Least-squares classification (Rasmussen & Williams 2006, section 6.5): a process of +1 (has a score) and -1 (failed),
/// read as a probability.
pub(super) struct Feasibility {
    posterior: Posterior,
    /// Of the labels: what is expected far from all trials.
    mean: f64,
}

/// Of the process: even among failures the next may be none.
const LEAST_VARIANCE: f64 = 0.01;

impl Feasibility {
    /// None while nothing has failed.
    pub(super) fn of(search: &Search, history: &History, axes: &Axes) -> Option<Self> {
        let labels = history.trials.iter().filter_map(|tried| {
            // a fold that failed fails its trial, whatever the others scored
            let label = match tried.state {
                TriedState::Failed => -1.0,
                _ => gains(search, tried).next().map(|_| 1.0)?,
            };
            Some((axes.features(&tried.point), label))
        });
        let labels: Vec<(Vec<f64>, f64)> = labels.collect();
        if labels.iter().all(|(_, label)| *label > 0.0) {
            return None;
        }
        // as if one more had run and one more failed
        let mean = labels.iter().map(|(_, label)| label).sum::<f64>() / (labels.len() + 2) as f64;
        let mut settings: Vec<Vec<f64>> = Vec::new();
        let mut seen = Vec::new();
        for (features, label) in labels {
            let setting = settings.iter().position(|known| *known == features).unwrap_or_else(|| {
                settings.push(features);
                settings.len() - 1
            });
            seen.push(Observation { setting, fold: 0, score: label - mean });
        }
        let (_, posterior) =
            gp::fit(&Data::new(axes.kinds().to_vec(), settings, seen), &Priors::of_labels(axes.kinds().len()))?;
        Some(Self { posterior, mean })
    }

    pub(super) fn log_probability(&self, features: &[f64]) -> f64 {
        let belief = self.posterior.at(features);
        log_normal_cdf((self.mean + belief.mean) / (belief.variance + LEAST_VARIANCE).sqrt())
    }
}
