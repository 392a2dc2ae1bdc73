//! How alike the scores of two settings are.

use super::trend::trend;

/// What the numbers of one axis mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Numbers in 0..=1: distances count.
    Ordered,
    /// Numbers of names: they are the same or not.
    Named,
}

impl Axis {
    /// Squared distance at length 1.
    #[inline]
    pub(super) fn squared(self, a: f64, b: f64) -> f64 {
        match self {
            Self::Ordered => (a - b) * (a - b),
            Self::Named => f64::from(u8::from(a != b)),
        }
    }
}

const SQRT_5: f64 = 2.236_067_977_499_79;

/// Matérn 5/2 of a squared scaled distance (Rasmussen & Williams 2006, 4.17), and its derivative by it.
#[inline]
pub(super) fn matern(squared: f64) -> (f64, f64) {
    let r = SQRT_5 * squared.sqrt();
    let decay = (-r).exp();
    ((1.0 + r + r * r / 3.0) * decay, -5.0 / 6.0 * (1.0 + r) * decay)
}

/// A kernel with its hyperparameters.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    pub(super) axes: Vec<Axis>,
    /// 1 / length², one an axis.
    pub(super) inverse: Vec<f64>,
    /// Variance of g around its trend.
    pub(super) scale: f64,
    /// Variance of the trend.
    pub(super) trend: f64,
    /// Variance of what a score has that no other setting tells, where it belongs to the setting and is no noise.
    pub(super) own: f64,
}

impl Kernel {
    /// Variance of a setting.
    pub(super) fn of(&self, x: &[f64]) -> f64 {
        self.scale + self.trend * trend(&self.axes, x, x) + self.own
    }

    /// Covariance of two settings, and the derivative of what depends on their squared scaled distance by that.
    #[inline]
    pub(super) fn between(&self, a: &[f64], b: &[f64]) -> (f64, f64) {
        let axes = self.axes.iter().zip(&self.inverse);
        let squared = axes.zip(a.iter().zip(b)).map(|((axis, inverse), (a, b))| axis.squared(*a, *b) * inverse).sum();
        let (covariance, slope) = matern(squared);
        let own = if squared == 0.0 { self.own } else { 0.0 };
        (self.scale * covariance + self.trend * trend(&self.axes, a, b) + own, self.scale * slope)
    }
}
