//! Expected improvement, as a logarithm: far from the best it underflows, and its gradient with it (Ament 2023).

use statrs::function::erf::erfc;

use super::posterior::Imagined;

const LOG_SQRT_2PI: f64 = 0.918_938_533_204_672_8;

/// Of a standard normal variable.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / std::f64::consts::SQRT_2)
}

/// Its logarithm.
pub fn log_normal_cdf(z: f64) -> f64 {
    if z > -25.0 { normal_cdf(z).ln() } else { -0.5 * z * z - LOG_SQRT_2PI - (-z).ln() }
}

/// What counts as an improvement, in standard deviations of the scores: without it the last digits of a good place are
/// worth more than places never seen (Lizotte 2008 has it as xi = 0.01).
const WORTHWHILE: f64 = 0.01;

/// ln E[max(0, X - best)] for X ~ N(mean, variance).
pub fn log_expected_improvement(mean: f64, variance: f64, best: f64) -> f64 {
    let sd = variance.sqrt();
    log_improvement((mean - best) / sd).0 + sd.ln()
}

/// The improvement that a setting promises over the best mean so far, averaged over the worlds; less where a score would
/// tell little, as what is known of the setting is much compared with the noise (augmented expected improvement, Huang
/// 2006): plain improvement would have the same place, known to be good, scored again and again.
pub struct Improvement {
    worlds: Imagined,
    /// In each world.
    best: Vec<f64>,
    /// Variance of a score around what its setting is worth.
    noise: f64,
}

impl Improvement {
    /// Over the best of the contenders: settings that may be the best in some world. `noise` is the variance of a score
    /// around what its setting is worth.
    pub fn new<'s>(worlds: Imagined, noise: f64, contenders: impl IntoIterator<Item = &'s Vec<f64>>) -> Self {
        let mut best: Vec<f64> = Vec::new();
        for contender in contenders {
            let (means, _) = worlds.at(contender);
            best.resize(means.len(), f64::NEG_INFINITY);
            best.iter_mut().zip(means).for_each(|(best, mean)| *best = best.max(mean));
        }
        for best in &mut best {
            *best += WORTHWHILE;
        }
        Self { worlds, best, noise }
    }

    /// Logarithm of the expected improvement at a row of numbers.
    pub fn at(&self, x: &[f64]) -> f64 {
        let (means, variance) = self.worlds.at(x);
        let each = means.iter().zip(&self.best).map(|(mean, best)| log_expected_improvement(*mean, variance, *best));
        log_mean(&each.collect::<Vec<_>>()) + log_news(variance, self.noise).0
    }

    /// The same, and its gradient by the ordered axes.
    pub fn with_slopes(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let (means, variance, by) = self.worlds.with_slopes(x);
        let sd = variance.sqrt();
        let each: Vec<(f64, f64, f64)> = means
            .iter()
            .zip(&self.best)
            .map(|(mean, best)| {
                let z = (mean - best) / sd;
                let (value, slope) = log_improvement(z);
                (value + sd.ln(), slope / sd, (1.0 - z * slope) / (2.0 * variance))
            })
            .collect();
        let total = log_mean(&each.iter().map(|each| each.0).collect::<Vec<_>>());
        let mut gradient = vec![0.0; x.len()];
        for ((value, by_mean, by_variance), means) in each.iter().zip(&by.means) {
            let share = (value - total).exp() / each.len() as f64;
            for (axis, gradient) in gradient.iter_mut().enumerate() {
                *gradient += share * (by_mean * means[axis] + by_variance * by.variance[axis]);
            }
        }
        let (news, news_slope) = log_news(variance, self.noise);
        gradient.iter_mut().zip(&by.variance).for_each(|(gradient, by)| *gradient += news_slope * by);
        (total + news, gradient)
    }
}

/// ln(1 - the share of a score's standard deviation that is noise), and its derivative by the variance.
fn log_news(variance: f64, noise: f64) -> (f64, f64) {
    let whole = variance + noise;
    let share = (noise / whole).sqrt();
    // 1 - share, without the difference of nearly equal numbers
    let news = variance / (whole * (1.0 + share));
    (news.ln(), 0.5 * share / (whole * news))
}

/// ln(phi(z) + z Phi(z)), and its derivative.
fn log_improvement(z: f64) -> (f64, f64) {
    let log_phi = -0.5 * z * z - LOG_SQRT_2PI;
    if z > -25.0 {
        let h = log_phi.exp() + z * normal_cdf(z);
        return (h.ln(), normal_cdf(z) / h);
    }
    // Mills' ratio as a series: the sum above is a difference of nearly equal numbers here
    let s = 1.0 / (z * z);
    let h = s * (1.0 - s * (3.0 - s * (15.0 - 105.0 * s)));
    let tail = (1.0 - s * (1.0 - s * (3.0 - 15.0 * s))) / -z;
    (log_phi + h.ln(), tail / h)
}

/// ln of the mean of numbers given by their logarithms.
fn log_mean(logs: &[f64]) -> f64 {
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + (logs.iter().map(|log| (log - most).exp()).sum::<f64>() / logs.len() as f64).ln()
}
