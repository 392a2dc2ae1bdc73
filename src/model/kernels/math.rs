//! Elementary functions that compilers can vectorise, and sums whose order does not depend on the machine.

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

/// Runs a loop compiled for the widest vectors that this CPU has. What it calls must be `#[inline(always)]`: write
/// `for` loops, the `for_each` of an iterator would be compiled for the oldest CPU.
#[inline(always)]
pub(super) fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    struct Loop<F>(F);
    impl<R, F: FnOnce() -> R> pulp::WithSimd for Loop<F> {
        type Output = R;
        #[inline(always)]
        fn with_simd<S: pulp::Simd>(self, simd: S) -> R {
            simd.vectorize(Body(self.0))
        }
    }
    struct Body<F>(F);
    impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Body<F> {
        type Output = R;
        #[inline(always)]
        fn call(self) -> R {
            (self.0)()
        }
    }
    pulp::Arch::new().dispatch(Loop(f))
}

/// e^x to about 1e-7 relative (range reduction and a polynomial, as in Cephes), saturating where f32 ends.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    // adding 1.5 * 2^23 rounds to the nearest integer, which stands in the lowest bits: a cast would not vectorise
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.3, 88.3);
    let rounded = x * LOG2_E + ROUND;
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the difference is exact
    let r = (x - n * 0.693_359_4) + n * 2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    f32::from_bits(rounded.to_bits().wrapping_add(127) << 23) * (p * r * r + r + 1.0)
}

/// The error function of |x| / sqrt(2) to 1.5e-7 (Abramowitz and Stegun 7.1.26), given e^(-x^2/2).
#[inline(always)]
fn erf(x: f32, power: f32) -> f32 {
    let t = 1.0 / (1.0 + (0.327_591_1 * FRAC_1_SQRT_2) * x.abs());
    let p = ((((1.061_405_4 * t - 1.453_152) * t + 1.421_413_8) * t - 0.284_496_72) * t + 0.254_829_6) * t;
    (1.0 - p * power).copysign(x)
}

/// GELU by the error function, as BERT has it.
#[inline(always)]
pub(super) fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x, exp(-0.5 * x * x)))
}

/// GELU and its derivative.
#[inline(always)]
pub(super) fn gelu_with_slope(x: f32) -> (f32, f32) {
    const DENSITY: f32 = 0.398_942_3;
    let power = exp(-0.5 * x * x);
    let share = 0.5 * (1.0 + erf(x, power));
    (x * share, share + x * DENSITY * power)
}

/// Sums f(x) in 16 running sums, the same on every machine.
#[inline(always)]
pub(super) fn sum(x: &[f32], f: impl Fn(f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    let chunks = x.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..16 {
            sums[lane] += f(chunk[lane]);
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += sum;
    }
    for x in rest {
        total += f(*x);
    }
    total
}

/// The largest number, in 16 running ones.
#[inline(always)]
pub(super) fn largest(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut most = [f32::NEG_INFINITY; 16];
    let chunks = x.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..16 {
            most[lane] = larger(most[lane], chunk[lane]);
        }
    }
    let mut largest = f32::NEG_INFINITY;
    for x in most {
        largest = larger(largest, x);
    }
    for x in rest {
        largest = larger(largest, *x);
    }
    largest
}

/// Sums f(x, y) in 16 running sums.
#[inline(always)]
pub(super) fn sum2(x: &[f32], y: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0f32; 16];
    let (xs, ys) = (x.chunks_exact(16), y.chunks_exact(16));
    let rest = xs.remainder().iter().zip(ys.remainder());
    for (x, y) in xs.zip(ys) {
        for lane in 0..16 {
            sums[lane] += f(x[lane], y[lane]);
        }
    }
    let mut total = 0.0;
    for sum in sums {
        total += sum;
    }
    for (x, y) in rest {
        total += f(*x, *y);
    }
    total
}
