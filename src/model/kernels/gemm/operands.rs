//! Operands of several products: rounded and brought into the product's order once.

#[cfg(target_arch = "x86_64")]
use super::avx512::f32::{F32, Packed};
use super::bf16::{self, Operand};
use super::{Matrix, Start, Target, Threads, check, product};
use crate::model::kernels::Precision;
#[cfg(target_arch = "x86_64")]
use crate::model::kernels::rooms::Room;

/// A left operand: rows of numbers.
pub(in crate::model::kernels) struct Left<'a> {
    given: Operand<'a>,
    #[cfg(target_arch = "x86_64")]
    copies: Option<Room>,
}

/// A right operand: weights.
pub(in crate::model::kernels) struct Right<'a> {
    given: Operand<'a>,
    #[cfg(target_arch = "x86_64")]
    packed: Option<Packed>,
    precision: Precision,
}

/// The CPU, if it multiplies numbers of this precision in f32.
#[cfg(target_arch = "x86_64")]
fn cpu(precision: Precision) -> Option<F32> {
    F32::new().filter(|_| precision != Precision::Bf16 || !bf16::is_fast())
}

impl<'a> Left<'a> {
    pub(in crate::model::kernels) fn new(a: Matrix<'a>, precision: Precision) -> Self {
        let given = Operand::new(a, Threads::One, precision);
        Self {
            #[cfg(target_arch = "x86_64")]
            copies: cpu(precision).and_then(|cpu| cpu.copied(given.matrix())),
            given,
        }
    }
}

impl<'a> Right<'a> {
    pub(in crate::model::kernels) fn new(b: Matrix<'a>, by: Threads, precision: Precision) -> Self {
        let given = Operand::new(b, by, precision);
        Self {
            #[cfg(target_arch = "x86_64")]
            packed: cpu(precision).map(|cpu| cpu.packed(given.matrix(), by)),
            given,
            precision,
        }
    }

    /// target = a b, or target += a b, by one thread.
    pub(in crate::model::kernels) fn product(&self, target: Target<'_>, a: &Left<'_>) {
        let start = if target.add { Start::There } else { Start::Zero };
        self.product_from(start, target, a);
    }

    /// Row after row of a b + bias, `row_stride` numbers apart, by one thread.
    pub(in crate::model::kernels) fn affine(&self, bias: &[f32], numbers: &mut [f32], row_stride: usize, a: &Left<'_>) {
        assert_eq!(bias.len(), self.given.matrix().columns, "what is added to a product");
        self.product_from(Start::Row(bias), Target { numbers, row_stride, add: true }, a);
    }

    fn product_from(&self, start: Start<'_>, target: Target<'_>, a: &Left<'_>) {
        let (a_given, b) = (a.given.matrix(), self.given.matrix());
        if !check(&target, a_given, b) {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if let (Some(cpu), Some(packed)) = (cpu(self.precision), &self.packed) {
            let copies = a.copies.as_deref().unwrap_or(a_given.numbers);
            return cpu.product_of_copied(target.numbers, target.row_stride, start, (copies, a_given.rows), packed);
        }
        if let Start::Row(row) = start {
            let rows = target.numbers.chunks_mut(target.row_stride).take(a_given.rows);
            rows.for_each(|numbers| numbers[..row.len()].copy_from_slice(row));
        }
        product(target, a_given, b, Threads::One, self.precision);
    }
}
