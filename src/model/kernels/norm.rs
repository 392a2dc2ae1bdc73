//! Layer normalisation (Ba 2016), alone or of a residual sum. candle's own has no backward pass.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use candle_nn::ops::layer_norm_slow;
use rayon::prelude::*;

use super::dropout::{Mask, dropout, masks};
use super::linear::BLOCK;
use super::math::{sum, sum2, vectorised};
use super::slices::{slice, with_slices};
use super::{Pass, Sequences};
use crate::model::params::Param;

/// What is added to the residual before it is normalised.
pub(in crate::model) struct Residual<'a> {
    pub(in crate::model) sequences: &'a Sequences,
    pub(in crate::model) dropout: f64,
    pub(in crate::model) site: u32,
}

/// LayerNorm(x) over the last dimension of x [rows, width].
pub(in crate::model) fn norm(
    x: &Tensor,
    weight: &Arc<Param>,
    bias: &Arc<Param>,
    eps: f64,
    pass: &Pass,
) -> Result<Tensor> {
    if !pass.is_fused(x) {
        return layer_norm_slow(x, &weight.tensor(pass)?, &bias.tensor(pass)?, eps as f32);
    }
    let op = Norm { weight: weight.clone(), bias: bias.clone(), eps: eps as f32, dropped: None };
    x.contiguous()?.apply_op3(&weight.anchor(pass), &weight.anchor(pass), op)
}

/// LayerNorm(residual + dropout(x)), both [rows, width].
pub(in crate::model) fn add_norm(
    x: &Tensor,
    residual: &Tensor,
    weight: &Arc<Param>,
    bias: &Arc<Param>,
    eps: f64,
    how: &Residual<'_>,
    pass: &Pass,
) -> Result<Tensor> {
    if !pass.is_fused(x) {
        let sum = dropout(x, how.sequences, how.dropout, how.site, pass)?.add(residual)?;
        return layer_norm_slow(&sum, &weight.tensor(pass)?, &bias.tensor(pass)?, eps as f32);
    }
    let masks = masks(how.sequences, how.dropout, how.site, pass);
    let dropped = Some(Dropped { masks, sequences: how.sequences.clone() });
    let op = Norm { weight: weight.clone(), bias: bias.clone(), eps: eps as f32, dropped };
    x.contiguous()?.apply_op3(&residual.contiguous()?, &weight.anchor(pass), op)
}

/// On (x, residual, anchor), or on (x, anchor, anchor) without a residual.
struct Norm {
    weight: Arc<Param>,
    bias: Arc<Param>,
    eps: f32,
    dropped: Option<Dropped>,
}

struct Dropped {
    /// One a sequence; none: no dropout.
    masks: Option<Arc<[Mask]>>,
    sequences: Sequences,
}

impl Norm {
    /// What is normalised: x, or residual + dropout(x).
    fn sum(&self, x: &[f32], residual: &[f32]) -> Option<Vec<f32>> {
        let dropped = self.dropped.as_ref()?;
        let mut total = residual.to_vec();
        let width = x.len() / dropped.sequences.rows().max(1);
        let pieces = dropped.sequences.cut_mut(&mut total, width).into_par_iter().zip(dropped.sequences.cut(x, width));
        pieces.enumerate().for_each(|(sequence, (total, x))| {
            let mask = dropped.masks.as_ref().map(|masks| masks[sequence]);
            vectorised(
                #[inline(always)]
                || match mask {
                    Some(mask) => {
                        for (index, (total, x)) in total.iter_mut().zip(x).enumerate() {
                            *total += x * mask.factor(index as u32);
                        }
                    }
                    None => {
                        for (total, x) in total.iter_mut().zip(x) {
                            *total += x;
                        }
                    }
                },
            );
        });
        Some(total)
    }

    /// The gradient of x from the gradient of the sum.
    fn drop_gradient(&self, ds: &[f32]) -> Option<Vec<f32>> {
        let dropped = self.dropped.as_ref()?;
        let masks = dropped.masks.as_ref()?;
        let mut dx = vec![0f32; ds.len()];
        let width = ds.len() / dropped.sequences.rows().max(1);
        let pieces = dropped.sequences.cut_mut(&mut dx, width).into_par_iter().zip(dropped.sequences.cut(ds, width));
        pieces.zip(&**masks).for_each(|((dx, ds), mask)| {
            vectorised(
                #[inline(always)]
                || {
                    for (index, (dx, ds)) in dx.iter_mut().zip(ds).enumerate() {
                        *dx = ds * mask.factor(index as u32);
                    }
                },
            );
        });
        Some(dx)
    }
}

impl CustomOp3 for Norm {
    fn name(&self) -> &'static str {
        "layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, residual) = (slice(x, x_layout)?, slice(residual, residual_layout)?);
        let total = self.sum(x, residual);
        let total = total.as_deref().unwrap_or(x);
        let y = with_slices([self.weight.value(), self.bias.value()], |[weight, bias]| {
            let width = weight.len();
            let mut y = vec![0f32; total.len()];
            y.par_chunks_mut(BLOCK * width).zip(total.par_chunks(BLOCK * width)).for_each(|(y, x)| {
                vectorised(
                    #[inline(always)]
                    || forward_rows(y, x, weight, bias, self.eps),
                );
            });
            Ok(y)
        })?;
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        residual: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let (ds, dx) =
            with_slices([x, residual, &gradient, self.weight.value()], |[x, residual, gradient, weight]| {
                let total = self.sum(x, residual);
                let total = total.as_deref().unwrap_or(x);
                let ds = self.backward(total, gradient, weight);
                let dx = self.drop_gradient(&ds);
                Ok((ds, dx))
            })?;
        let ds = Tensor::from_vec(ds, x.dims(), x.device())?;
        let dx = match dx {
            Some(dx) => Tensor::from_vec(dx, x.dims(), x.device())?,
            None => ds.clone(),
        };
        let residual_gradient = (self.dropped.is_some() && residual.track_op()).then_some(ds);
        Ok((x.track_op().then_some(dx), residual_gradient, None))
    }
}

impl Norm {
    /// The gradient of the sum; those of weight and bias go to their own buffers.
    fn backward(&self, total: &[f32], gradient: &[f32], weight: &[f32]) -> Vec<f32> {
        let width = weight.len();
        let block = BLOCK * width;
        let mut ds = vec![0f32; total.len()];
        let partial: Vec<[Vec<f32>; 2]> = ds
            .par_chunks_mut(block)
            .zip(total.par_chunks(block))
            .zip(gradient.par_chunks(block))
            .map(|((ds, x), gradient)| {
                let (mut dw, mut db) = (vec![0f32; width], vec![0f32; width]);
                vectorised(
                    #[inline(always)]
                    || backward_rows(ds, x, gradient, weight, self.eps, &mut dw, &mut db),
                );
                [dw, db]
            })
            .collect();
        for (param, part) in [(&self.weight, 0), (&self.bias, 1)] {
            param.add_gradient(|sum| {
                for block in &partial {
                    sum.iter_mut().zip(&block[part]).for_each(|(sum, x)| *sum += x);
                }
            });
        }
        ds
    }
}

#[inline(always)]
fn moments(row: &[f32], eps: f32) -> (f32, f32) {
    let n = row.len() as f32;
    let mean = sum(row, |x| x) / n;
    let variance = sum(row, |x| (x - mean) * (x - mean)) / n;
    (mean, 1.0 / (variance + eps).sqrt())
}

#[inline(always)]
pub(super) fn forward_rows(y: &mut [f32], x: &[f32], weight: &[f32], bias: &[f32], eps: f32) {
    let width = weight.len();
    for (y, x) in y.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
        let (mean, inverse) = moments(x, eps);
        for (((y, x), weight), bias) in y.iter_mut().zip(x).zip(weight).zip(bias) {
            *y = (x - mean) * inverse * weight + bias;
        }
    }
}

#[inline(always)]
pub(super) fn backward_rows(
    dx: &mut [f32],
    x: &[f32],
    gradient: &[f32],
    weight: &[f32],
    eps: f32,
    dw: &mut [f32],
    db: &mut [f32],
) {
    let width = weight.len();
    let mut scaled = vec![0f32; width];
    let rows = dx.chunks_exact_mut(width).zip(x.chunks_exact(width)).zip(gradient.chunks_exact(width));
    for ((dx, x), gradient) in rows {
        let (mean, inverse) = moments(x, eps);
        for ((scaled, gradient), weight) in scaled.iter_mut().zip(gradient).zip(weight) {
            *scaled = gradient * weight;
        }
        let a = sum(&scaled, |g| g) / width as f32;
        let b = sum2(&scaled, x, |g, x| g * (x - mean)) * inverse / width as f32;
        for index in 0..width {
            let normal = (x[index] - mean) * inverse;
            dw[index] += gradient[index] * normal;
            db[index] += gradient[index];
            dx[index] = inverse * (scaled[index] - a - normal * b);
        }
    }
}
