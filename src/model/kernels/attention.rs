//! Multi-head self-attention within sequences: scaled softmax with dropout inside, nothing kept for the backward pass
//! but the inputs.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::{Mask, device_mask};
use super::gemm::{Matrix, Target, Threads, product};
use super::math::{exp, largest, sum, sum2, vectorised};
use super::rooms::room;
use super::slices::{slice, with_slices};
use super::softmax::softmax;
use super::{Pass, Precision, Sequences};

/// Which rows see each other, and how.
#[derive(Clone)]
pub(in crate::model) struct Attention<'a> {
    pub(in crate::model) sequences: &'a Sequences,
    pub(in crate::model) heads: usize,
    /// Of the attention weights.
    pub(in crate::model) dropout: f64,
    pub(in crate::model) site: u32,
}

/// Rows of query, key and value beside each other, [rows, 3 x heads x size], to
/// softmax(q k^T / sqrt(size)) v [rows, heads x size]; every row sees the rows of its own sequence.
pub(in crate::model) fn attention(qkv: &Tensor, how: &Attention<'_>, pass: &Pass) -> Result<Tensor> {
    let width = qkv.dim(1)? / 3;
    if pass.is_fused(qkv) {
        let op = Fused { sequences: how.sequences.clone(), heads: Heads::new(how, width, pass) };
        return qkv.contiguous()?.apply_op1(op);
    }
    let part = |index: usize| qkv.narrow(1, index * width, width);
    plain(&part(0)?, &part(1)?, &part(2)?, how, pass)
}

impl Attention<'_> {
    fn masks(&self, noise: u64) -> Vec<Mask> {
        let sequences = self.sequences.keys.iter();
        sequences
            .flat_map(|key| {
                let key = *key;
                (0..self.heads)
                    .map(move |head| Mask::new(noise, self.site, super::dropout::mix(key ^ head as u64), self.dropout))
            })
            .collect()
    }
}

/// Where the weight of query i for key j finds its random bits, whatever the sequence's length.
#[inline(always)]
fn element(i: usize, j: usize) -> u32 {
    (i as u32) << 16 | j as u32
}

fn plain(q: &Tensor, k: &Tensor, v: &Tensor, how: &Attention<'_>, pass: &Pass) -> Result<Tensor> {
    let (sequences, heads) = (how.sequences, how.heads);
    let (count, longest, width) = (sequences.count(), sequences.longest(), q.dim(1)?);
    let grid = Grid::new(sequences, q.device())?;
    let split =
        |x: &Tensor| grid.pad(x)?.reshape((count, longest, heads, width / heads))?.transpose(1, 2)?.contiguous();
    let scores = split(q)?.matmul(&split(k)?.t()?)?.affine(((width / heads) as f64).sqrt().recip(), 0.0)?;
    let scores = scores.broadcast_add(&grid.additive_mask(q.dtype())?.reshape((count, 1, 1, longest))?)?;
    // a sum of many small numbers: always in f32
    let mut weights = softmax(&scores.to_dtype(DType::F32)?)?.to_dtype(q.dtype())?;
    if let Some(noise) = pass.noise.filter(|_| how.dropout > 0.0) {
        let mask = match q.device() {
            Device::Cpu => {
                let masks = how.masks(noise);
                let cell = |mask: &Mask| {
                    (0..longest * longest).map(|e| mask.factor(element(e / longest, e % longest))).collect::<Vec<_>>()
                };
                let cells: Vec<f32> = masks.iter().flat_map(cell).collect();
                Tensor::from_vec(cells, weights.dims(), q.device())?
            }
            device => device_mask(weights.shape(), noise, how.site, how.dropout, device)?,
        };
        weights = weights.mul(&mask.to_dtype(weights.dtype())?)?;
    }
    let y = weights.matmul(&split(v)?)?.transpose(1, 2)?.contiguous()?;
    grid.unpad(&y.reshape((count * longest, width))?)
}

/// Sequences as rows of a padded grid, for operations that know no sequences.
pub(in crate::model) struct Grid {
    count: usize,
    longest: usize,
    /// Row of each cell; padding repeats the first row of its sequence.
    rows: Tensor,
    /// Cell of each row.
    cells: Tensor,
    /// 1 where there is a row, [count, longest].
    valid: Tensor,
}

impl Grid {
    pub(in crate::model) fn new(sequences: &Sequences, device: &Device) -> Result<Self> {
        let (count, longest) = (sequences.count(), sequences.longest());
        let mut rows = Vec::with_capacity(count * longest);
        let mut cells = Vec::with_capacity(sequences.rows());
        let mut valid = Vec::with_capacity(count * longest);
        for sequence in 0..count {
            let start = sequences.offsets[sequence];
            for place in 0..longest {
                let inside = place < sequences.len(sequence);
                rows.push((start + if inside { place } else { 0 }) as u32);
                valid.push(if inside { 1f32 } else { 0.0 });
                if inside {
                    cells.push((sequence * longest + place) as u32);
                }
            }
        }
        Ok(Self {
            count,
            longest,
            rows: Tensor::from_vec(rows, count * longest, device)?,
            cells: Tensor::from_vec(cells, sequences.rows(), device)?,
            valid: Tensor::from_vec(valid, (count, longest), device)?,
        })
    }

    /// [rows, width] to [count, longest, width].
    pub(in crate::model) fn pad(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.index_select(&self.rows, 0)?.reshape((self.count, self.longest, x.dim(1)?))
    }

    /// [count x longest, width] to [rows, width].
    fn unpad(&self, x: &Tensor) -> Result<Tensor> {
        x.contiguous()?.index_select(&self.cells, 0)
    }

    /// 1 where there is a row, [count, longest].
    pub(in crate::model) fn valid(&self) -> &Tensor {
        &self.valid
    }

    /// 0 where there is a row, else a number that no score outweighs; finite, because 0 x infinity is not 0.
    pub(in crate::model) fn additive_mask(&self, dtype: DType) -> Result<Tensor> {
        self.valid.affine(1e4, -1e4)?.to_dtype(dtype)
    }
}

/// Attention within sequences on packed rows: query, key and value of a row beside each other.
#[derive(Clone)]
pub(super) struct Heads {
    count: usize,
    width: usize,
    /// One a sequence and head; none: no dropout.
    masks: Option<Arc<[Mask]>>,
}

impl Heads {
    /// For rows of `3 x width` numbers.
    pub(super) fn new(how: &Attention<'_>, width: usize, pass: &Pass) -> Self {
        let noise = pass.noise.filter(|_| how.dropout > 0.0);
        let masks = noise.map(|noise| how.masks(noise).into());
        Self { count: how.heads, width, masks }
    }

    /// One sequence: qkv [length, 3 x width] to y [length, width].
    pub(super) fn forward(&self, sequence: usize, qkv: &[f32], y: &mut [f32]) {
        let (size, length) = (self.width / self.count, y.len() / self.width);
        let mut weights = room(length * length);
        for head in 0..self.count {
            self.weights(qkv, head, length, &mut weights);
            if let Some(mask) = self.mask(sequence, head) {
                vectorised(
                    #[inline(always)]
                    || drop_weights(&mut weights, length, mask),
                );
            }
            let target = Target { numbers: &mut y[head * size..], row_stride: self.width, add: false };
            multiply(target, square(&weights, length), self.part(qkv, 2, head, length));
        }
    }

    /// One sequence: the slopes of its y to those of its qkv.
    pub(super) fn backward(&self, sequence: usize, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) {
        let (width, size, length) = (self.width, self.width / self.count, dy.len() / self.width);
        let (mut weights, mut dropped, mut slopes) =
            (room(length * length), room(length * length), room(length * length));
        let scale = 1.0 / (size as f32).sqrt();
        for head in 0..self.count {
            let mask = self.mask(sequence, head);
            self.weights(qkv, head, length, &mut weights);
            let [q, k, v] = [0, 1, 2].map(|part| self.part(qkv, part, head, length));
            let dy = Matrix::new(&dy[head * size..], length, size, width);
            let mut into = |part: usize, a: Matrix<'_>, b: Matrix<'_>| {
                let target =
                    Target { numbers: &mut dqkv[part * width + head * size..], row_stride: 3 * width, add: false };
                multiply(target, a, b);
            };
            let used = if let Some(mask) = mask {
                dropped.copy_from_slice(&weights);
                vectorised(
                    #[inline(always)]
                    || drop_weights(&mut dropped, length, mask),
                );
                &dropped
            } else {
                &weights
            };
            into(2, square(used, length).transposed(), dy);
            // the slopes of the dropped weights, then of the scores
            let target = Target { numbers: &mut slopes, row_stride: length, add: false };
            multiply(target, dy, v.transposed());
            vectorised(
                #[inline(always)]
                || {
                    if let Some(mask) = mask {
                        drop_weights(&mut slopes, length, mask);
                    }
                    for (slopes, weights) in slopes.chunks_exact_mut(length).zip(weights.chunks_exact(length)) {
                        softmax_row_backward(slopes, weights, scale);
                    }
                },
            );
            into(0, square(&slopes, length), k);
            into(1, square(&slopes, length).transposed(), q);
        }
    }

    fn mask(&self, sequence: usize, head: usize) -> Option<Mask> {
        self.masks.as_ref().map(|masks| masks[sequence * self.count + head])
    }

    /// Query (0), key (1) or value (2) of a head.
    fn part<'a>(&self, qkv: &'a [f32], part: usize, head: usize, length: usize) -> Matrix<'a> {
        let size = self.width / self.count;
        Matrix::new(&qkv[part * self.width + head * size..], length, size, 3 * self.width)
    }

    /// Attention weights of one head, [length, length].
    fn weights(&self, qkv: &[f32], head: usize, length: usize, weights: &mut [f32]) {
        let (q, k) = (self.part(qkv, 0, head, length), self.part(qkv, 1, head, length));
        let target = Target { numbers: weights, row_stride: length, add: false };
        multiply(target, q, k.transposed());
        let scale = 1.0 / ((self.width / self.count) as f32).sqrt();
        vectorised(
            #[inline(always)]
            || {
                for row in weights.chunks_exact_mut(length) {
                    softmax_row(row, scale);
                }
            },
        );
    }
}

/// In f32 at any precision: one head's products are too small to win what rounding costs (128 x 64 x 128 on one core:
/// 142 GFLOP/s against 119), and so scores are exact.
fn multiply(target: Target<'_>, a: Matrix<'_>, b: Matrix<'_>) {
    product(target, a, b, Threads::One, Precision::F32);
}

/// The weights of all pairs of a sequence's rows.
fn square(weights: &[f32], length: usize) -> Matrix<'_> {
    Matrix::new(weights, length, length, length)
}

struct Fused {
    sequences: Sequences,
    heads: Heads,
}

impl CustomOp1 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let qkv = slice(qkv, layout)?;
        let width = self.heads.width;
        let mut y = vec![0f32; qkv.len() / 3];
        let pieces = self.sequences.cut_mut(&mut y, width).into_par_iter().zip(self.sequences.cut(qkv, 3 * width));
        pieces.enumerate().for_each(|(sequence, (y, qkv))| self.heads.forward(sequence, qkv, y));
        Ok((CpuStorage::F32(y), Shape::from((layout.dims()[0], width))))
    }

    fn bwd(&self, qkv: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        let width = self.heads.width;
        let d = with_slices([qkv, &gradient], |[numbers, gradient]| {
            let mut d = vec![0f32; numbers.len()];
            let inputs =
                self.sequences.cut(numbers, 3 * width).into_par_iter().zip(self.sequences.cut(gradient, width));
            let pieces = inputs.zip(self.sequences.cut_mut(&mut d, 3 * width)).enumerate();
            pieces.for_each(|(sequence, ((qkv, dy), dqkv))| self.heads.backward(sequence, qkv, dy, dqkv));
            Ok(d)
        })?;
        Ok(Some(Tensor::from_vec(d, qkv.dims(), qkv.device())?))
    }
}

#[inline(always)]
fn drop_weights(weights: &mut [f32], length: usize, mask: Mask) {
    for (i, row) in weights.chunks_exact_mut(length).enumerate() {
        for (j, weight) in row.iter_mut().enumerate() {
            *weight *= mask.factor(element(i, j));
        }
    }
}

#[inline(always)]
fn softmax_row(row: &mut [f32], scale: f32) {
    let most = largest(row);
    for x in row.iter_mut() {
        *x = exp((*x - most) * scale);
    }
    let inverse = 1.0 / sum(row, |x| x);
    for x in row.iter_mut() {
        *x *= inverse;
    }
}

/// Slopes of the weights to slopes of the scores.
#[inline(always)]
fn softmax_row_backward(slopes: &mut [f32], weights: &[f32], scale: f32) {
    let dot = sum2(slopes, weights, |slope, weight| slope * weight);
    for (slope, weight) in slopes.iter_mut().zip(weights) {
        *slope = weight * (*slope - dot) * scale;
    }
}
