//! One step of AdamW (Loshchilov and Hutter 2019) on one weight, in place on the CPU.

use std::cell::RefCell;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Tensor, Var, bail};
use rayon::prelude::*;

use super::math::vectorised;
use super::slices::with_slices;

/// Running means of a weight's gradient and of its square.
#[derive(Clone, Debug)]
pub enum Moments {
    Host { first: Vec<f32>, second: Vec<f32> },
    Device { first: Tensor, second: Tensor },
}

/// The numbers of one step; `scale` is what clipping leaves of the gradient.
#[derive(Clone, Copy, Debug)]
pub struct AdamStep {
    pub learning_rate: f64,
    pub weight_decay: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Steps so far, this one included.
    pub step: u64,
    pub scale: f64,
}

impl Moments {
    pub fn zeros(value: &Tensor) -> Result<Self> {
        if matches!(value.device(), Device::Cpu) {
            let zeros = vec![0.0; value.elem_count()];
            return Ok(Self::Host { first: zeros.clone(), second: zeros });
        }
        let zeros = value.zeros_like()?;
        Ok(Self::Device { first: zeros.clone(), second: zeros })
    }

    /// As tensors like `value`, for a checkpoint.
    pub fn tensors(&self, value: &Tensor) -> Result<[Tensor; 2]> {
        match self {
            Self::Host { first, second } => Ok([
                Tensor::from_slice(first, value.dims(), &Device::Cpu)?,
                Tensor::from_slice(second, value.dims(), &Device::Cpu)?,
            ]),
            Self::Device { first, second } => Ok([first.clone(), second.clone()]),
        }
    }

    /// Back from a checkpoint.
    pub fn from_tensors(value: &Tensor, [first, second]: [&Tensor; 2]) -> Result<Self> {
        if first.dims() != value.dims() || second.dims() != value.dims() {
            bail!("moments of another shape than their weight");
        }
        if matches!(value.device(), Device::Cpu) {
            let flat = |x: &Tensor| x.flatten_all()?.to_vec1::<f32>();
            return Ok(Self::Host { first: flat(first)?, second: flat(second)? });
        }
        let on = |x: &Tensor| x.to_device(value.device());
        Ok(Self::Device { first: on(first)?, second: on(second)? })
    }
}

/// Moves `value` against `gradient`.
pub fn adamw(value: &Var, gradient: &Tensor, moments: &mut Moments, how: &AdamStep) -> Result<()> {
    match moments {
        Moments::Host { first, second } => with_slices([&gradient.contiguous()?], |[gradient]| {
            value.inplace_op1(&Host { moments: RefCell::new((first, second)), gradient, how })
        }),
        Moments::Device { first, second } => {
            let gradient = gradient.affine(how.scale, 0.0)?;
            *first = (first.affine(how.beta1, 0.0)? + gradient.affine(1.0 - how.beta1, 0.0)?)?;
            *second = (second.affine(how.beta2, 0.0)? + gradient.sqr()?.affine(1.0 - how.beta2, 0.0)?)?;
            let spread = (second.affine(how.correction(how.beta2), 0.0)?.sqrt()? + how.epsilon)?;
            let change = first.affine(how.correction(how.beta1) * how.learning_rate, 0.0)?.div(&spread)?;
            value.set(&(value.affine(1.0 - how.learning_rate * how.weight_decay, 0.0)? - change)?)
        }
    }
}

impl AdamStep {
    /// What a mean that began at zero is divided by, as a factor.
    fn correction(&self, beta: f64) -> f64 {
        1.0 / (1.0 - beta.powf(self.step as f64))
    }
}

struct Host<'a> {
    moments: RefCell<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    gradient: &'a [f32],
    how: &'a AdamStep,
}

const CHUNK: usize = 1 << 14;

impl InplaceOp1 for Host<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(value), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("a weight that is not contiguous {:?}", DType::F32)
        };
        let how = self.how;
        let (beta1, beta2, scale) = (how.beta1 as f32, how.beta2 as f32, how.scale as f32);
        let (fix1, fix2) = (how.correction(how.beta1) as f32, how.correction(how.beta2) as f32);
        let (rate, epsilon) = (how.learning_rate as f32, how.epsilon as f32);
        let keep = (1.0 - how.learning_rate * how.weight_decay) as f32;
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        value[start..end]
            .par_chunks_mut(CHUNK)
            .zip(self.gradient.par_chunks(CHUNK))
            .zip(first.par_chunks_mut(CHUNK))
            .zip(second.par_chunks_mut(CHUNK))
            .for_each(|(((value, gradient), first), second)| {
                vectorised(
                    #[inline(always)]
                    || {
                        let moments = first.iter_mut().zip(second.iter_mut());
                        for ((value, gradient), (first, second)) in value.iter_mut().zip(gradient).zip(moments) {
                            let gradient = gradient * scale;
                            *first = beta1 * *first + (1.0 - beta1) * gradient;
                            *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
                            *value = *value * keep - rate * (*first * fix1) / ((*second * fix2).sqrt() + epsilon);
                        }
                    },
                );
            });
        Ok(())
    }
}

/// The sum of squares, in f64 on the CPU.
pub fn squared_norm(gradient: &Tensor) -> Result<f64> {
    if !matches!(gradient.device(), Device::Cpu) {
        return Ok(f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?));
    }
    with_slices([&gradient.contiguous()?], |[gradient]| {
        let chunk = |chunk: &[f32]| chunk.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>();
        // collected in order: a sum in the order of the threads would change from run to run
        Ok(gradient.par_chunks(CHUNK).map(chunk).collect::<Vec<f64>>().into_iter().sum())
    })
}
