//! The right operand of several products: rounded and packed once.

#[cfg(target_arch = "x86_64")]
use super::avx512::f32::{F32, Packed};
use super::bf16::{self, Operand};
use super::{Matrix, Start, Target, Threads, check, product};
use crate::model::kernels::Precision;

/// A right operand for products with many left ones.
pub(in crate::model::kernels) struct Right<'a> {
    given: Operand<'a>,
    #[cfg(target_arch = "x86_64")]
    packed: Option<(F32, Packed)>,
    precision: Precision,
}

impl<'a> Right<'a> {
    pub(in crate::model::kernels) fn new(b: Matrix<'a>, by: Threads, precision: Precision) -> Self {
        let given = Operand::new(b, by, precision);
        #[cfg(target_arch = "x86_64")]
        let packed = F32::new()
            .filter(|_| precision != Precision::Bf16 || !bf16::is_fast())
            .map(|cpu| (cpu, cpu.packed(given.matrix(), by)));
        Self {
            given,
            #[cfg(target_arch = "x86_64")]
            packed,
            precision,
        }
    }

    /// target = a b, or target += a b.
    pub(in crate::model::kernels) fn product(&self, target: Target<'_>, a: Matrix<'_>, by: Threads) {
        let Target { numbers, row_stride, add } = target;
        self.product_from(if add { Start::There } else { Start::Zero }, numbers, row_stride, a, by);
    }

    /// `numbers` = a b + bias, in rows `row_stride` numbers apart.
    pub(in crate::model::kernels) fn affine(
        &self,
        bias: &[f32],
        numbers: &mut [f32],
        row_stride: usize,
        a: Matrix<'_>,
        by: Threads,
    ) {
        self.product_from(Start::Row(bias), numbers, row_stride, a, by);
    }

    fn product_from(&self, start: Start<'_>, numbers: &mut [f32], row_stride: usize, a: Matrix<'_>, by: Threads) {
        let b = self.given.matrix();
        let target = Target { numbers, row_stride, add: !matches!(start, Start::Zero) };
        if !check(&target, a, b) {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some((cpu, packed)) = &self.packed {
            let a = Operand::new(a, by, self.precision);
            return cpu.product_of_packed(target.numbers, row_stride, start, a.matrix(), packed, by);
        }
        if let Start::Row(row) = start {
            let rows = target.numbers.chunks_mut(row_stride).take(a.rows);
            rows.for_each(|numbers| numbers[..row.len()].copy_from_slice(row));
        }
        product(target, a, b, by, self.precision);
    }
}
