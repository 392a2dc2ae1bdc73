//! The operations that training spends its time in, each with its own backward pass.
//!
//! Every operation exists twice: fused, for f32 on the CPU, and made of candle's own operations, for other devices and
//! as the test's oracle. The fused ones work on rows of tokens without padding ([`Sequences`]), add the gradients of
//! weights to the weights' own buffers ([`Param`]) instead of the graph's, and recompute what is cheap instead of
//! keeping it. Results do not depend on the number of threads: sums over rows run in fixed blocks, in order.

mod adamw;
mod attention;
mod block;
mod dropout;
mod embedding;
mod gelu;
mod gemm;
mod linear;
mod lstm;
mod math;
mod norm;
mod rooms;
mod slices;
mod softmax;
#[cfg(test)]
mod tests;

pub use adamw::{AdamStep, Moments, adamw, blend, squared_norm};
pub(super) use attention::{Attention, Grid, attention};
pub(super) use block::{Affine, Block, Rows, block};
pub(super) use dropout::{dropout, mix};
pub(super) use embedding::{Lookup, embedding};
pub(super) use gelu::gelu;
pub(super) use linear::linear;
pub(super) use lstm::{Recurrence, lstm};
pub(super) use norm::{Residual, add_norm, norm};
pub use rooms::Room;
pub(super) use rooms::zeros;
pub use softmax::log_softmax;
pub(super) use softmax::softmax;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Tensor};

#[cfg(doc)]
use super::params::Param;

/// Rows that belong together, without padding between them: tokens of segments, segments of documents.
#[derive(Clone, Debug)]
pub struct Sequences {
    /// Where each sequence begins, and the end of the last.
    pub offsets: Arc<[usize]>,
    /// What a sequence's random numbers come from, wherever in a batch it stands.
    pub keys: Arc<[u64]>,
}

impl Sequences {
    pub fn count(&self) -> usize {
        self.keys.len()
    }

    pub fn rows(&self) -> usize {
        self.offsets[self.count()]
    }

    pub fn len(&self, sequence: usize) -> usize {
        self.offsets[sequence + 1] - self.offsets[sequence]
    }

    pub fn longest(&self) -> usize {
        (0..self.count()).map(|sequence| self.len(sequence)).max().unwrap_or(0)
    }

    /// The first row of each sequence, as a sequence of its own.
    pub(super) fn singles(&self) -> Self {
        Self { offsets: (0..=self.count()).collect(), keys: self.keys.clone() }
    }

    /// Where each sequence begins.
    pub(super) fn starts(&self, device: &Device) -> Result<Tensor> {
        let starts = self.offsets[..self.count()].iter().map(|start| *start as u32).collect();
        Tensor::from_vec(starts, self.count(), device)
    }

    /// The sequences' parts of a flat buffer with `width` numbers a row.
    fn cut<'a>(&self, mut flat: &'a [f32], width: usize) -> Vec<&'a [f32]> {
        let mut pieces = Vec::with_capacity(self.count());
        for sequence in 0..self.count() {
            let (piece, rest) = flat.split_at(self.len(sequence) * width);
            pieces.push(piece);
            flat = rest;
        }
        pieces
    }

    fn cut_mut<'a>(&self, mut flat: &'a mut [f32], width: usize) -> Vec<&'a mut [f32]> {
        let mut pieces = Vec::with_capacity(self.count());
        for sequence in 0..self.count() {
            let (piece, rest) = flat.split_at_mut(self.len(sequence) * width);
            pieces.push(piece);
            flat = rest;
        }
        pieces
    }
}

/// One way through the model: with or without gradients, with or without dropout.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Keep what the backward pass needs.
    pub gradients: bool,
    /// Seed of this step's dropout masks; none: no dropout.
    pub noise: Option<u64>,
    /// Use the fused operations where there are any.
    pub fused: bool,
    /// Of products.
    pub precision: Precision,
}

/// What numbers are rounded to before they are multiplied. Sums, statistics, weights and what is kept are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    F32,
    Bf16,
    /// On devices other than the CPU.
    F16,
}

impl Precision {
    /// What the plain operations compute in.
    pub fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

impl Pass {
    /// Scores only.
    pub fn inference() -> Self {
        Self { gradients: false, noise: None, fused: true, precision: Precision::F32 }
    }

    /// With gradients, and dropout masks drawn from `noise`.
    pub fn training(noise: Option<u64>) -> Self {
        Self { gradients: true, noise, ..Self::inference() }
    }

    fn is_fused(&self, x: &Tensor) -> bool {
        let here = matches!(x.device(), Device::Cpu) && x.dtype() == DType::F32;
        self.fused && here && self.precision != Precision::F16
    }
}
