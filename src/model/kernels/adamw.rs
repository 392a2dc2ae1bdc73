//! One step of AdamW (Loshchilov and Hutter 2019) on one weight, in place on the CPU.

use std::cell::RefCell;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, InplaceOp2, Layout, Result, Tensor, Var, bail};
use rayon::prelude::*;

use super::math::vectorised;
use super::slices::slice;
use crate::model::gradient::Gradient;

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
pub fn adamw(value: &Var, gradient: &Gradient, moments: &mut Moments, how: &AdamStep) -> Result<()> {
    match (moments, gradient) {
        (_, Gradient::None) => Ok(()),
        (Moments::Host { first, second }, Gradient::Host(_) | Gradient::Rows(_)) => {
            value.inplace_op1(&Host { moments: RefCell::new((first, second)), gradient, how })
        }
        (Moments::Device { first, second }, Gradient::Device(gradient)) => {
            let gradient = gradient.affine(how.scale, 0.0)?;
            *first = (first.affine(how.beta1, 0.0)? + gradient.affine(1.0 - how.beta1, 0.0)?)?;
            *second = (second.affine(how.beta2, 0.0)? + gradient.sqr()?.affine(1.0 - how.beta2, 0.0)?)?;
            let spread = (second.affine(how.correction(how.beta2), 0.0)?.sqrt()? + how.epsilon)?;
            let change = first.affine(how.correction(how.beta1) * how.learning_rate, 0.0)?.div(&spread)?;
            value.set(&(value.affine(1.0 - how.learning_rate * how.weight_decay, 0.0)? - change)?)
        }
        _ => bail!("a gradient on another device than its moments"),
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
    gradient: &'a Gradient,
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
        let numbers = Numbers::of(self.how);
        let mut moments = self.moments.borrow_mut();
        let (first, second) = &mut *moments;
        // whole rows of tables
        let chunk =
            if let Gradient::Rows(rows) = self.gradient { rows.width() * (CHUNK / rows.width()).max(1) } else { CHUNK };
        let weights = value[start..end].par_chunks_mut(chunk);
        let parts = weights.zip(first.par_chunks_mut(chunk)).zip(second.par_chunks_mut(chunk)).enumerate();
        parts.for_each(|(index, ((value, first), second))| match self.gradient {
            Gradient::Host(gradient) => {
                let gradient = &gradient[index * chunk..index * chunk + value.len()];
                vectorised(
                    #[inline(always)]
                    || numbers.step(value, first, second, gradient),
                );
            }
            Gradient::Rows(rows) => {
                let zeros = vec![0f32; rows.width()];
                let width = rows.width();
                let weights = value.chunks_exact_mut(width);
                let parts = weights.zip(first.chunks_exact_mut(width)).zip(second.chunks_exact_mut(width));
                for (row, ((value, first), second)) in parts.enumerate() {
                    let gradient = rows.of(index * chunk / width + row).unwrap_or(&zeros);
                    vectorised(
                        #[inline(always)]
                        || numbers.step(value, first, second, gradient),
                    );
                }
            }
            Gradient::None | Gradient::Device(_) => {}
        });
        Ok(())
    }
}

/// One step's factors.
#[derive(Clone, Copy)]
struct Numbers {
    beta1: f32,
    beta2: f32,
    scale: f32,
    fix1: f32,
    fix2: f32,
    rate: f32,
    epsilon: f32,
    keep: f32,
}

impl Numbers {
    fn of(how: &AdamStep) -> Self {
        Self {
            beta1: how.beta1 as f32,
            beta2: how.beta2 as f32,
            scale: how.scale as f32,
            fix1: how.correction(how.beta1) as f32,
            fix2: how.correction(how.beta2) as f32,
            rate: how.learning_rate as f32,
            epsilon: how.epsilon as f32,
            keep: (1.0 - how.learning_rate * how.weight_decay) as f32,
        }
    }

    #[inline(always)]
    fn step(self, value: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32]) {
        let Self { beta1, beta2, scale, fix1, fix2, rate, epsilon, keep } = self;
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((value, gradient), (first, second)) in value.iter_mut().zip(gradient).zip(moments) {
            let gradient = gradient * scale;
            *first = beta1 * *first + (1.0 - beta1) * gradient;
            *second = beta2 * *second + (1.0 - beta2) * gradient * gradient;
            *value = *value * keep - rate * (*first * fix1) / ((*second * fix2).sqrt() + epsilon);
        }
    }
}

/// mean = decay mean + (1 - decay) value, in place on the CPU.
pub fn blend(mean: &Var, value: &Tensor, decay: f64) -> Result<()> {
    if matches!(mean.device(), Device::Cpu) {
        return mean.inplace_op2(value, &Blend(decay as f32));
    }
    mean.set(&(mean.affine(decay, 0.0)? + value.affine(1.0 - decay, 0.0)?)?)
}

struct Blend(f32);

impl InplaceOp2 for Blend {
    fn name(&self) -> &'static str {
        "blend"
    }

    fn cpu_fwd(&self, mean: &mut CpuStorage, of: &Layout, value: &CpuStorage, layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(mean), Some((start, end))) = (mean, of.contiguous_offsets()) else {
            bail!("a mean that is not contiguous {:?}", DType::F32)
        };
        let (decay, value) = (self.0, slice(value, layout)?);
        let parts = mean[start..end].par_chunks_mut(CHUNK).zip(value.par_chunks(CHUNK));
        parts.for_each(|(mean, value)| {
            vectorised(
                #[inline(always)]
                || {
                    for (mean, value) in mean.iter_mut().zip(value) {
                        *mean = decay * *mean + (1.0 - decay) * value;
                    }
                },
            );
        });
        Ok(())
    }
}

/// The sum of squares, in f64 on the CPU.
pub fn squared_norm(gradient: &Gradient) -> Result<f64> {
    let numbers = match gradient {
        Gradient::None => return Ok(0.0),
        Gradient::Device(gradient) => return Ok(f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?)),
        Gradient::Host(sum) => &**sum,
        Gradient::Rows(rows) => rows.numbers(),
    };
    let chunk = |chunk: &[f32]| {
        vectorised(
            #[inline(always)]
            || {
                let mut sums = [0f64; 16];
                for numbers in chunk.chunks(16) {
                    for (sum, x) in sums.iter_mut().zip(numbers) {
                        *sum += f64::from(*x) * f64::from(*x);
                    }
                }
                let mut total = 0.0;
                for sum in sums {
                    total += sum;
                }
                total
            },
        )
    };
    // collected in order: a sum in the order of the threads would change from run to run
    Ok(numbers.par_chunks(CHUNK).map(chunk).collect::<Vec<f64>>().into_iter().sum())
}
