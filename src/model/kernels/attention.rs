//! Multi-head self-attention within sequences: scaled softmax with dropout inside, nothing kept for the backward pass
//! but the inputs.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, DType, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::{Mask, device_mask, mix};
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

/// Queries q [rows, heads x size], and keys beside values, kv [rows, 2 x heads x size], to
/// softmax(q k^T / sqrt(size)) v [rows, heads x size]; every row sees the rows of its own sequence.
pub(in crate::model) fn attention(q: &Tensor, kv: &Tensor, how: &Attention<'_>, pass: &Pass) -> Result<Tensor> {
    let width = q.dim(1)?;
    if pass.is_fused(q) {
        let op = Fused { sequences: how.sequences.clone(), heads: Heads::new(how, width, pass) };
        return q.contiguous()?.apply_op2(&kv.contiguous()?, op);
    }
    plain(q, &kv.narrow(1, 0, width)?, &kv.narrow(1, width, width)?, how, pass)
}

impl Attention<'_> {
    fn masks(&self, noise: u64) -> Vec<Mask> {
        let of = |key: u64| {
            (0..self.heads).map(move |head| Mask::new(noise, self.site, mix(key ^ head as u64), self.dropout))
        };
        self.sequences.keys.iter().flat_map(|key| of(*key)).collect()
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
            device => device_mask(weights.shape(), noise, how.site, sequences, how.dropout, device)?,
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

    /// 0 where there is a row, else a number that no score outweighs; finite, because 0 x infinity is not 0.
    pub(in crate::model) fn additive_mask(&self, dtype: DType) -> Result<Tensor> {
        self.valid.affine(1e4, -1e4)?.to_dtype(dtype)
    }
}

/// Attention within sequences.
#[derive(Clone)]
pub(super) struct Heads {
    count: usize,
    width: usize,
    /// One a sequence and head; none: no dropout.
    masks: Option<Arc<[Mask]>>,
}

impl Heads {
    pub(super) fn new(how: &Attention<'_>, width: usize, pass: &Pass) -> Self {
        let noise = pass.noise.filter(|_| how.dropout > 0.0);
        let masks = noise.map(|noise| how.masks(noise).into());
        Self { count: how.heads, width, masks }
    }

    /// One sequence: q [queries, width], and keys beside values, kv [length, 2 x width], to y [queries, width]. There
    /// may be fewer queries than keys: those of the first rows.
    pub(super) fn forward(&self, sequence: usize, q: &[f32], kv: &[f32], y: &mut [f32]) {
        let (size, length) = (self.width / self.count, kv.len() / (2 * self.width));
        let queries = q.len() / self.width;
        let mut weights = room(queries * length);
        for head in 0..self.count {
            let [q, k, v] = self.parts(q, kv, head);
            self.weights(q, k, length, &mut weights);
            if let Some(mask) = self.mask(sequence, head) {
                vectorised(
                    #[inline(always)]
                    || drop_weights(&mut weights, length, mask),
                );
            }
            let target = Target { numbers: &mut y[head * size..], row_stride: self.width, add: false };
            multiply(target, Matrix::new(&weights, queries, length, length), v);
        }
    }

    /// One sequence: the slopes of its y to those of its q and kv.
    pub(super) fn backward(&self, sequence: usize, [q, kv, dy]: [&[f32]; 3], dq: &mut [f32], dkv: &mut [f32]) {
        let (width, size, length) = (self.width, self.width / self.count, kv.len() / (2 * self.width));
        let queries = q.len() / width;
        let (mut weights, mut dropped, mut slopes) =
            (room(queries * length), room(queries * length), room(queries * length));
        let scale = 1.0 / (size as f32).sqrt();
        for head in 0..self.count {
            let (mask, start) = (self.mask(sequence, head), head * size);
            let [q, k, v] = self.parts(q, kv, head);
            self.weights(q, k, length, &mut weights);
            let dy = Matrix::new(&dy[start..], queries, size, width);
            dropped.copy_from_slice(&weights);
            if let Some(mask) = mask {
                vectorised(
                    #[inline(always)]
                    || drop_weights(&mut dropped, length, mask),
                );
            }
            let target = Target { numbers: &mut dkv[width + start..], row_stride: 2 * width, add: false };
            multiply(target, Matrix::new(&dropped, queries, length, length).transposed(), dy);
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
            let target = Target { numbers: &mut dq[start..], row_stride: width, add: false };
            multiply(target, Matrix::new(&slopes, queries, length, length), k);
            let target = Target { numbers: &mut dkv[start..], row_stride: 2 * width, add: false };
            multiply(target, Matrix::new(&slopes, queries, length, length).transposed(), q);
        }
    }

    fn mask(&self, sequence: usize, head: usize) -> Option<Mask> {
        self.masks.as_ref().map(|masks| masks[sequence * self.count + head])
    }

    /// Queries, keys and values of one head.
    fn parts<'a>(&self, q: &'a [f32], kv: &'a [f32], head: usize) -> [Matrix<'a>; 3] {
        let (width, size) = (self.width, self.width / self.count);
        let (start, length) = (head * size, kv.len() / (2 * width));
        [
            Matrix::new(&q[start..], q.len() / width, size, width),
            Matrix::new(&kv[start..], length, size, 2 * width),
            Matrix::new(&kv[width + start..], length, size, 2 * width),
        ]
    }

    /// Attention weights of one head, [queries, length].
    fn weights(&self, q: Matrix<'_>, k: Matrix<'_>, length: usize, weights: &mut [f32]) {
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

struct Fused {
    sequences: Sequences,
    heads: Heads,
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(&self, q: &CpuStorage, of_q: &Layout, kv: &CpuStorage, of_kv: &Layout) -> Result<(CpuStorage, Shape)> {
        let (q, kv) = (slice(q, of_q)?, slice(kv, of_kv)?);
        let width = self.heads.width;
        let mut y = vec![0f32; q.len()];
        let inputs = self.sequences.cut(q, width).into_par_iter().zip(self.sequences.cut(kv, 2 * width));
        let pieces = inputs.zip(self.sequences.cut_mut(&mut y, width)).enumerate();
        pieces.for_each(|(sequence, ((q, kv), y))| self.heads.forward(sequence, q, kv, y));
        Ok((CpuStorage::F32(y), of_q.shape().clone()))
    }

    fn bwd(&self, q: &Tensor, kv: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let width = self.heads.width;
        let (dq, dkv) = with_slices([q, kv, &dy], |[q, kv, dy]| {
            let (mut dq, mut dkv) = (vec![0f32; q.len()], vec![0f32; kv.len()]);
            let cut = |x| self.sequences.cut(x, width);
            let inputs = cut(q).into_par_iter().zip(self.sequences.cut(kv, 2 * width)).zip(cut(dy));
            let outputs = self.sequences.cut_mut(&mut dq, width).into_par_iter();
            let pieces = inputs.zip(outputs.zip(self.sequences.cut_mut(&mut dkv, 2 * width))).enumerate();
            pieces.for_each(|(sequence, (((q, kv), dy), (dq, dkv)))| {
                self.heads.backward(sequence, [q, kv, dy], dq, dkv);
            });
            Ok((dq, dkv))
        })?;
        let dq = Tensor::from_vec(dq, q.dims(), q.device())?;
        Ok((Some(dq), Some(Tensor::from_vec(dkv, kv.dims(), kv.device())?)))
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
