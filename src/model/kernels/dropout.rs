//! Dropout whose masks are a function of (seed, place in the model, sequence, position): repeatable on any number of
//! threads, the same when a forward pass is computed again, whatever the sequence is batched with. candle's own CPU
//! generator cannot be seeded.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor};

use super::math::vectorised;
use super::slices::{slice, with_slices};
use super::{Pass, Sequences};

/// Random bits for the elements of one sequence at one place of the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask {
    low: u32,
    high: u32,
    /// Draws below it are dropped.
    threshold: u32,
    scale: f32,
}

impl Mask {
    /// The mask at `site` of a sequence with this key.
    pub(super) fn new(noise: u64, site: u32, key: u64, p: f64) -> Self {
        let mixed = mix(mix(noise ^ mix(u64::from(site))) ^ key);
        let threshold = (p * 4_294_967_296.0) as u32;
        Self { low: mixed as u32, high: (mixed >> 32) as u32, threshold, scale: (1.0 / (1.0 - p)) as f32 }
    }

    /// 0 or 1 / (1 - p). A hash with good avalanche whose operations vectorise (Wellons, "lowbias32"), keyed twice.
    #[inline(always)]
    pub(super) fn factor(self, index: u32) -> f32 {
        let mut x = index.wrapping_mul(0x9e37_79b9) ^ self.low;
        x ^= x >> 16;
        x = x.wrapping_mul(0x21f0_aaad) ^ self.high;
        x ^= x >> 15;
        x = x.wrapping_mul(0x735a_2d97);
        x ^= x >> 15;
        if x >= self.threshold { self.scale } else { 0.0 }
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014).
pub(in crate::model) fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Drops elements of `x` [rows of `sequences`, width] with probability `p` and scales the others by 1 / (1 - p).
/// `site` tells the places of the model apart.
pub(in crate::model) fn dropout(x: &Tensor, sequences: &Sequences, p: f64, site: u32, pass: &Pass) -> Result<Tensor> {
    let Some(noise) = pass.noise.filter(|_| p > 0.0) else { return Ok(x.clone()) };
    let Device::Cpu = x.device() else {
        return x.mul(&device_mask(x.shape(), noise, site, sequences, p, x.device())?.to_dtype(x.dtype())?);
    };
    let op = Dropout { masks: draw(noise, site, sequences, p), sequences: sequences.clone() };
    if pass.is_fused(x) {
        return x.contiguous()?.apply_op1(op);
    }
    let ones = vec![1f32; x.elem_count()];
    x.mul(&Tensor::from_vec(op.apply(&ones), x.dims(), x.device())?.to_dtype(x.dtype())?)
}

/// A mask drawn on the device itself; it depends on what the batch holds, but repeats. Pieces of a step have masks of
/// their own: those of a sequence that stands first in only one of them.
pub(super) fn device_mask(
    shape: &Shape,
    noise: u64,
    site: u32,
    sequences: &Sequences,
    p: f64,
    device: &Device,
) -> Result<Tensor> {
    let first = sequences.keys.first().copied().unwrap_or_default();
    device.set_seed(mix(mix(noise ^ mix(u64::from(site))) ^ first))?;
    let draws = Tensor::rand(0f32, 1f32, shape, device)?;
    draws.ge(p)?.to_dtype(candle_core::DType::F32)?.affine(1.0 / (1.0 - p), 0.0)
}

/// One mask a sequence; none where nothing is dropped.
pub(super) fn masks(sequences: &Sequences, p: f64, site: u32, pass: &Pass) -> Option<Arc<[Mask]>> {
    pass.noise.filter(|_| p > 0.0).map(|noise| draw(noise, site, sequences, p))
}

fn draw(noise: u64, site: u32, sequences: &Sequences, p: f64) -> Arc<[Mask]> {
    sequences.keys.iter().map(|key| Mask::new(noise, site, *key, p)).collect()
}

struct Dropout {
    masks: Arc<[Mask]>,
    sequences: Sequences,
}

impl Dropout {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0f32; x.len()];
        drop_rows(&mut y, x, &self.masks, &self.sequences);
        y
    }
}

/// y = mask(x), all sequences in order.
fn drop_rows(y: &mut [f32], x: &[f32], masks: &[Mask], sequences: &Sequences) {
    use rayon::prelude::*;
    let width = x.len() / sequences.rows().max(1);
    let (ys, xs) = (sequences.cut_mut(y, width), sequences.cut(x, width));
    ys.into_par_iter().zip(xs).zip(masks).for_each(|((y, x), mask)| {
        vectorised(
            #[inline(always)]
            || {
                for (index, (y, x)) in y.iter_mut().zip(x).enumerate() {
                    *y = x * mask.factor(index as u32);
                }
            },
        );
    });
}

impl CustomOp1 for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.apply(slice(x, layout)?)), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let dropped = with_slices([&gradient], |[gradient]| Ok(self.apply(gradient)))?;
        Ok(Some(Tensor::from_vec(dropped, x.dims(), x.device())?))
    }
}
