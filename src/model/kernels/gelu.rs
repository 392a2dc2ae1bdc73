//! GELU by the error function.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::Pass;
use super::math::{self, vectorised};
use super::slices::{slice, with_slices};

/// Elementwise; the backward pass computes from the input again.
pub(in crate::model) fn gelu(x: &Tensor, pass: &Pass) -> Result<Tensor> {
    if pass.is_fused(x) { x.contiguous()?.apply_op1(Gelu) } else { x.gelu_erf() }
}

struct Gelu;

const CHUNK: usize = 1 << 14;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let mut y = vec![0f32; x.len()];
        y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| {
            vectorised(
                #[inline(always)]
                || {
                    for (y, x) in y.iter_mut().zip(x) {
                        *y = math::gelu(*x);
                    }
                },
            );
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let dx = with_slices([x, &gradient], |[x, gradient]| {
            let mut dx = vec![0f32; x.len()];
            let chunks = dx.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).zip(gradient.par_chunks(CHUNK));
            chunks.for_each(|((dx, x), gradient)| {
                vectorised(
                    #[inline(always)]
                    || {
                        for ((dx, x), gradient) in dx.iter_mut().zip(x).zip(gradient) {
                            *dx = gradient * math::gelu_with_slope(*x).1;
                        }
                    },
                );
            });
            Ok(dx)
        })?;
        Ok(Some(Tensor::from_vec(dx, x.dims(), x.device())?))
    }
}
