//! Linear layers whose weights stay outside the graph.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::gemm::{Matrix, Target, Threads, product};
use super::math::vectorised;
use super::slices::{slice, with_slices};
use super::{Pass, Precision};
use crate::model::params::Param;

/// x `[rows, in]` to x W^T + b `[rows, out]`, with W `[out, in]` and b `[out]`.
pub(in crate::model) fn linear(
    x: &Tensor,
    weight: &Arc<Param>,
    bias: Option<&Arc<Param>>,
    pass: &Pass,
) -> Result<Tensor> {
    if pass.is_fused(x) {
        let op = Linear { weight: weight.clone(), bias: bias.cloned(), precision: pass.precision };
        return x.contiguous()?.apply_op2(&weight.anchor(pass), op);
    }
    let y = x.matmul(&weight.tensor(pass)?.t()?)?;
    match bias {
        Some(bias) => y.broadcast_add(&bias.tensor(pass)?),
        None => Ok(y),
    }
}

struct Linear {
    weight: Arc<Param>,
    bias: Option<Arc<Param>>,
    precision: Precision,
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let (n, k) = self.weight.value().dims2()?;
        let m = x.len() / k;
        let mut y = vec![0f32; m * n];
        if let Some(bias) = &self.bias {
            with_slices([bias.value()], |[bias]| {
                y.par_chunks_mut(64 * n).for_each(|rows| rows.chunks_mut(n).for_each(|row| row.copy_from_slice(bias)));
                Ok(())
            })?;
        }
        with_slices([self.weight.value()], |[weight]| {
            let target = Target { numbers: &mut y, row_stride: n, add: self.bias.is_some() };
            product(
                target,
                Matrix::new(x, m, k, k),
                Matrix::new(weight, n, k, k).transposed(),
                Threads::All,
                self.precision,
            );
            Ok(())
        })?;
        Ok((CpuStorage::F32(y), Shape::from((m, n))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (n, k) = self.weight.value().dims2()?;
        let m = x.elem_count() / k;
        with_slices([x, &gradient], |[x, gradient]| {
            self.weight.add_gradient(|sum| {
                let target = Target { numbers: sum, row_stride: k, add: true };
                product(
                    target,
                    Matrix::new(gradient, m, n, n).transposed(),
                    Matrix::new(x, m, k, k),
                    Threads::All,
                    self.precision,
                );
            });
            if let Some(bias) = &self.bias {
                bias.add_gradient(|sum| add_columns(sum, gradient));
            }
            Ok(())
        })?;
        if !x.track_op() {
            // nothing below is trained
            return Ok((None, None));
        }
        let dx = with_slices([&gradient, self.weight.value()], |[gradient, weight]| {
            let mut dx = vec![0f32; m * k];
            let target = Target { numbers: &mut dx, row_stride: k, add: false };
            product(target, Matrix::new(gradient, m, n, n), Matrix::new(weight, n, k, k), Threads::All, self.precision);
            Ok(dx)
        })?;
        Ok((Some(Tensor::from_vec(dx, x.dims(), x.device())?), None))
    }
}

/// Rows in a block of a sum over rows: fixed, so that the sum's order is.
pub(super) const BLOCK: usize = 128;

/// Adds the sum of column j of `rows` to number j of `sum`.
pub(super) fn add_columns(sum: &mut [f32], rows: &[f32]) {
    let width = sum.len();
    let partial: Vec<Vec<f32>> = rows
        .par_chunks(BLOCK * width)
        .map(|block| {
            let mut partial = vec![0f32; width];
            vectorised(
                #[inline(always)]
                || {
                    for row in block.chunks_exact(width) {
                        for (sum, x) in partial.iter_mut().zip(row) {
                            *sum += x;
                        }
                    }
                },
            );
            partial
        })
        .collect();
    for block in partial {
        for (sum, x) in sum.iter_mut().zip(block) {
            *sum += x;
        }
    }
}
