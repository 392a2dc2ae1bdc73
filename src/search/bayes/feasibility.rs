//! The probability that a point can be run: out of memory, NaN and time-outs come back where they came from.

use super::model::{Axes, HERE, Rows, gains};
use crate::search::gp::{self, Posterior, Priors, log_normal_cdf};
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
        let mut rows = Rows::default();
        let (mut sum, mut count, mut has_failed) = (0.0, 0, false);
        for tried in &history.trials {
            // a fold that failed fails its trial, whatever the others scored
            let label = match tried.state {
                TriedState::Failed => -1.0,
                _ if gains(search, tried).next().is_some() => 1.0,
                _ => continue,
            };
            rows.push(axes.features(&tried.point), (HERE, &tried.point), 0, label);
            sum += label;
            count += 1;
            has_failed |= label < 0.0;
        }
        if !has_failed {
            return None;
        }
        // as if one more had run and one more failed
        let mean = sum / f64::from(count + 2);
        let data = rows.data(axes, |_, label| label - mean);
        let (_, posterior) = gp::fit(&data, &Priors::of_labels(data.axes().len()))?;
        Some(Self { posterior, mean })
    }

    pub(super) fn log_probability(&self, features: &[f64]) -> f64 {
        let belief = self.posterior.at(features);
        log_normal_cdf((self.mean + belief.mean) / (belief.variance + LEAST_VARIANCE).sqrt())
    }
}
