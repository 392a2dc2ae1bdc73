//! How alike the scores of two settings are.

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
    /// Variance of g.
    pub(super) scale: f64,
}

impl Kernel {
    /// Covariance of two settings, and its derivative by their squared scaled distance.
    #[inline]
    pub(super) fn between(&self, a: &[f64], b: &[f64]) -> (f64, f64) {
        let axes = self.axes.iter().zip(&self.inverse);
        let squared = axes.zip(a.iter().zip(b)).map(|((axis, inverse), (a, b))| axis.squared(*a, *b) * inverse).sum();
        let (covariance, slope) = matern(squared);
        (self.scale * covariance, self.scale * slope)
    }
}
