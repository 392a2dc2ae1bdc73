//! What each axis does by itself, roughly: a parabola over the numbers, an offset for each name.
//!
//! Most of what a parameter does to a score is done whatever the others are, and has one best place. A process that can
//! only say how alike near settings are learns that from many of them; told as covariance (a Bayesian response surface:
//! Box & Wilson 1951; polynomials with Gaussian coefficients, Rasmussen & Williams 2006, section 2.7) it is known after
//! few. What is not so remains to the other part of the kernel.

use super::kernel::Axis;

/// Variance of a parabola's curved part beside its straight one.
const CURVED: f64 = 0.5;

/// Covariance of two settings at variance 1: the mean over the axes.
#[inline]
pub(super) fn trend(axes: &[Axis], a: &[f64], b: &[f64]) -> f64 {
    let each = axes.iter().zip(a.iter().zip(b)).map(|(axis, (a, b))| match axis {
        Axis::Ordered => straight(*a) * straight(*b) + CURVED * curved(*a) * curved(*b),
        Axis::Named => f64::from(u8::from(a == b)),
    });
    // without axes there is nothing to add up
    each.sum::<f64>() / axes.len().max(1) as f64
}

/// Its derivative by the number of `a` on an ordered axis, of so many axes in all.
#[inline]
pub(super) fn slope(axes: usize, a: f64, b: f64) -> f64 {
    let by_curved = 6.0 * SQRT_5 * (2.0 * a - 1.0);
    (2.0 * SQRT_3 * straight(b) + CURVED * by_curved * curved(b)) / axes as f64
}

const SQRT_3: f64 = 1.732_050_807_568_877_2;
const SQRT_5: f64 = 2.236_067_977_499_79;

/// Legendre's polynomials on 0..=1, of variance 1 there.
#[inline]
fn straight(x: f64) -> f64 {
    SQRT_3 * (2.0 * x - 1.0)
}

#[inline]
fn curved(x: f64) -> f64 {
    let u = 2.0 * x - 1.0;
    0.5 * SQRT_5 * (3.0 * u * u - 1.0)
}
