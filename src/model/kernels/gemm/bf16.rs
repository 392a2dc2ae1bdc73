//! Matrix products of operands rounded to bfloat16 (8 bits, whatever the number's size), with sums in f32.
//!
//! Two ways. By the instruction that multiplies bfloat16 (VDPBF16PS of AVX-512), which rounds while it packs; or by
//! rounding copies of the operands and multiplying those in f32. Which is fast depends on the CPU, and not on what it
//! lists: AMD's cores (from Zen 4 on) multiply bfloat16 at twice the rate of f32, Intel's at half of it (measured on
//! Emerald Rapids: 82 against 130 GFLOP/s; what they are made for is AMX, which virtual machines often hide).

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::avx512::bf16 as avx512;
use super::{Matrix, Target, Threads, product_f32};
use crate::model::kernels::Precision;
use crate::model::kernels::math::vectorised;
use crate::model::kernels::rooms::{Room, room};

/// target = a b, or target += a b, of operands rounded to nearest, ties to even. The order of a sum depends on its
/// length alone.
pub(super) fn product(target: Target<'_>, a: Matrix<'_>, b: Matrix<'_>, by: Threads) {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = avx512::fast() {
        return cpu.product(target, a, b, by);
    }
    product_of_rounded(target, a, b, by);
}

/// Whether the CPU itself multiplies bfloat16, faster than f32.
pub(super) fn is_fast() -> bool {
    #[cfg(target_arch = "x86_64")]
    return avx512::fast().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// On any CPU.
pub(super) fn product_of_rounded(target: Target<'_>, a: Matrix<'_>, b: Matrix<'_>, by: Threads) {
    let (a, b) = (Operand::rounded(a, by), Operand::rounded(b, by));
    product_f32(target, a.matrix(), b.matrix(), by);
}

/// A matrix for several products: rounded once, where each of them would round a copy.
pub(in crate::model::kernels) struct Operand<'a> {
    given: Matrix<'a>,
    /// In the order of the memory, without gaps.
    copies: Option<Room>,
}

impl<'a> Operand<'a> {
    pub(in crate::model::kernels) fn new(given: Matrix<'a>, by: Threads, precision: Precision) -> Self {
        match precision {
            Precision::Bf16 if !is_fast() => Self::rounded(given, by),
            _ => Self { given, copies: None },
        }
    }

    pub(super) fn rounded(given: Matrix<'a>, by: Threads) -> Self {
        Self { given, copies: (!given.is_rounded).then(|| rounded(given, by)) }
    }

    pub(in crate::model::kernels) fn matrix(&self) -> Matrix<'_> {
        let Matrix { rows, columns, .. } = self.given;
        match &self.copies {
            None => self.given,
            Some(copies) if self.given.column_stride == 1 => {
                Matrix { is_rounded: true, ..Matrix::new(copies, rows, columns, columns) }
            }
            Some(copies) => Matrix { is_rounded: true, ..Matrix::new(copies, columns, rows, rows).transposed() },
        }
    }
}

/// Rows that one task rounds.
const ROWS: usize = 64;

fn rounded(of: Matrix<'_>, by: Threads) -> Room {
    let Matrix { numbers, rows, columns, row_stride, .. } = if of.column_stride == 1 { of } else { of.transposed() };
    // a single row that was a column once has the column's stride
    let row_stride = row_stride.max(columns);
    let mut copies = room(rows * columns);
    let tasks = copies.par_chunks_mut((ROWS * columns).max(1)).zip(numbers.par_chunks((ROWS * row_stride).max(1)));
    tasks.with_min_len(by.fewest_tasks()).for_each(|(copies, numbers)| {
        vectorised(
            #[inline(always)]
            || {
                for (copies, numbers) in copies.chunks_exact_mut(columns).zip(numbers.chunks(row_stride)) {
                    for (copy, x) in copies.iter_mut().zip(numbers) {
                        *copy = to_bf16(*x);
                    }
                }
            },
        );
    });
    copies
}

/// The nearest number of 8 bits, of two the even one.
#[inline(always)]
fn to_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    // what a NaN says in its low bits would be lost, and with it that it is one
    if x.is_nan() { x } else { f32::from_bits(rounded) }
}
