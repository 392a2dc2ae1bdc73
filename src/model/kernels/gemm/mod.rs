//! Matrix products: in f32 by AVX-512 where there is any, else by the `gemm` crate; in bfloat16 by whatever is fastest
//! on this CPU.

#[cfg(target_arch = "x86_64")]
mod avx512;
mod bf16;
mod operands;
#[cfg(test)]
mod tests;

pub(super) use bf16::Operand;
use std::ops::Range;

use gemm::Parallelism;
pub(super) use operands::{Left, Right};

use super::Precision;

/// Rows of up to `IN_PLACE` numbers that stand `STRIDE_IN_PLACE` apart, with as much behind the last, are multiplied
/// where they are; others are copied to such a stride, at which (no power of two) lines of the cache do not collide.
pub(super) const IN_PLACE: usize = 256;
pub(super) const STRIDE_IN_PLACE: usize = IN_PLACE + 16;

/// A view of numbers as a matrix with any strides.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
    /// The numbers are bfloat16 already.
    is_rounded: bool,
}

impl<'a> Matrix<'a> {
    /// Row after row, `row_stride` numbers apart.
    pub(super) fn new(numbers: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= numbers.len(),
            "a matrix beyond its numbers"
        );
        Self { numbers, rows, columns, row_stride, column_stride: 1, is_rounded: false }
    }

    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    pub(super) fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        // of nothing there may be no first number
        let start = (rows.start * self.row_stride + columns.start * self.column_stride).min(self.numbers.len());
        Self { numbers: &self.numbers[start..], rows: rows.len(), columns: columns.len(), ..self }
    }
}

/// Where a product goes: rows `row_stride` numbers apart.
pub(super) struct Target<'a> {
    pub(super) numbers: &'a mut [f32],
    pub(super) row_stride: usize,
    /// Add to what is there.
    pub(super) add: bool,
}

/// What the sums of a product start from.
#[derive(Clone, Copy, Debug)]
enum Start<'a> {
    Zero,
    /// What the target holds.
    There,
    /// The same numbers in every row.
    Row(&'a [f32]),
}

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// The caller alone.
    One,
    /// All of the pool.
    All,
}

impl Threads {
    /// For loops of rayon: tasks that one thread takes together.
    pub(super) fn fewest_tasks(self) -> usize {
        match self {
            Self::One => usize::MAX,
            Self::All => 1,
        }
    }
}

/// target = a b, or target += a b.
pub(super) fn product(target: Target<'_>, a: Matrix<'_>, b: Matrix<'_>, by: Threads, precision: Precision) {
    if !check(&target, a, b) {
        return;
    }
    match precision {
        Precision::Bf16 => bf16::product(target, a, b, by),
        // f16 is for other devices
        Precision::F32 | Precision::F16 => product_f32(target, a, b, by),
    }
}

/// Whether there is anything to write, where there is room for it.
fn check(target: &Target<'_>, a: Matrix<'_>, b: Matrix<'_>) -> bool {
    let (m, n) = (a.rows, b.columns);
    assert_eq!(a.columns, b.rows, "the inner sizes of a product");
    if m == 0 || n == 0 {
        return false;
    }
    assert!(
        n <= target.row_stride && (m - 1) * target.row_stride + n <= target.numbers.len(),
        "a product beyond its target"
    );
    true
}

fn product_f32(target: Target<'_>, a: Matrix<'_>, b: Matrix<'_>, by: Threads) {
    #[cfg(target_arch = "x86_64")]
    // for one row or few columns packing is not worth it; where rows do not lie one after the other (the gradients of
    // weights) the crate is no slower
    if let Some(cpu) = avx512::f32::F32::new().filter(|_| a.rows > 1 && b.columns >= 8 && a.column_stride == 1) {
        return cpu.product(target, a, b, by);
    }
    product_by_crate(target, a, b, by);
}

#[expect(clippy::needless_pass_by_value, reason = "a target is written once")]
fn product_by_crate(target: Target<'_>, a: Matrix<'_>, b: Matrix<'_>, by: Threads) {
    let (m, n, k) = (a.rows, b.columns, a.columns);
    let threads = rayon::current_num_threads();
    let parallelism = if by == Threads::All && threads > 1 { Parallelism::Rayon(threads) } else { Parallelism::None };
    // SAFETY: both operands and the target hold all rows and columns that the strides reach: checked by `product` and
    // `Matrix::new` (transposing keeps the numbers that are reached). The target is borrowed exclusively.
    #[allow(unsafe_code, reason = "the product takes pointers and strides")]
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.numbers.as_mut_ptr(),
            1,
            target.row_stride as isize,
            target.add,
            a.numbers.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.numbers.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}
