//! Multi-head self-attention within sequences: scaled softmax with dropout inside, nothing kept for the backward pass
//! but the inputs.

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::{Mask, device_mask};
use super::gemm::{Matrix, Target, product};
use super::math::{exp, largest, sum, sum2, vectorised};
use super::slices::{slice, with_slices};
use super::softmax::softmax;
use super::{Pass, Sequences};

/// Which rows see each other, and how.
#[derive(Clone)]
pub(in crate::model) struct Attention<'a> {
    pub(in crate::model) sequences: &'a Sequences,
    pub(in crate::model) heads: usize,
    /// Of the attention weights.
    pub(in crate::model) dropout: f64,
    pub(in crate::model) site: u32,
}

/// q, k, v [rows, heads x size] to softmax(q k^T / sqrt(size)) v [rows, heads x size]; every row sees the rows of its
/// own sequence.
pub(in crate::model) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    how: &Attention<'_>,
    pass: &Pass,
) -> Result<Tensor> {
    if !pass.is_fused(q) {
        return plain(q, k, v, how, pass);
    }
    let noise = pass.noise.filter(|_| how.dropout > 0.0);
    let masks = noise.map(|noise| how.masks(noise));
    let op = Fused { sequences: how.sequences.clone(), heads: how.heads, masks };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
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
    let mut weights = softmax(&scores)?;
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

    /// 0 where there is a row, else a number that no score outweighs; finite, because 0 x infinity is not 0.
    pub(in crate::model) fn additive_mask(&self, dtype: candle_core::DType) -> Result<Tensor> {
        self.valid.affine(1e4, -1e4)?.to_dtype(dtype)
    }
}

struct Fused {
    sequences: Sequences,
    heads: usize,
    /// One a sequence and head; none: no dropout.
    masks: Option<Vec<Mask>>,
}

/// Room for the weights of one head of one sequence.
#[derive(Default)]
struct Scratch {
    weights: Vec<f32>,
    dropped: Vec<f32>,
    slopes: Vec<f32>,
}

impl Scratch {
    fn fit(&mut self, length: usize) {
        for room in [&mut self.weights, &mut self.dropped, &mut self.slopes] {
            room.resize(length * length, 0.0);
        }
    }
}

impl Fused {
    fn mask(&self, sequence: usize, head: usize) -> Option<Mask> {
        self.masks.as_ref().map(|masks| masks[sequence * self.heads + head])
    }

    /// Attention weights of one head, [length, length].
    fn weights(&self, q: &[f32], k: &[f32], head: usize, width: usize, weights: &mut [f32]) {
        let (size, length) = (width / self.heads, q.len() / width);
        let target = Target { numbers: weights, row_stride: length, add: false };
        let k = Matrix::new(&k[head * size..], length, size, width);
        product(target, Matrix::new(&q[head * size..], length, size, width), k.transposed(), false);
        let scale = 1.0 / (size as f32).sqrt();
        vectorised(
            #[inline(always)]
            || weights.chunks_exact_mut(length).for_each(|row| softmax_row(row, scale)),
        );
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        k: &CpuStorage,
        k_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (slice(q, q_layout)?, slice(k, k_layout)?, slice(v, v_layout)?);
        let width = q_layout.dims()[1];
        let size = width / self.heads;
        let mut y = vec![0f32; q.len()];
        let cut = |x| self.sequences.cut(x, width);
        let pieces = self.sequences.cut_mut(&mut y, width).into_par_iter().zip(cut(q)).zip(cut(k)).zip(cut(v));
        pieces.enumerate().for_each_init(Scratch::default, |scratch, (sequence, (((y, q), k), v))| {
            let length = q.len() / width;
            scratch.fit(length);
            for head in 0..self.heads {
                self.weights(q, k, head, width, &mut scratch.weights);
                if let Some(mask) = self.mask(sequence, head) {
                    vectorised(
                        #[inline(always)]
                        || drop_weights(&mut scratch.weights, length, mask),
                    );
                }
                let target = Target { numbers: &mut y[head * size..], row_stride: width, add: false };
                let v = Matrix::new(&v[head * size..], length, size, width);
                product(target, Matrix::new(&scratch.weights, length, length, length), v, false);
            }
        });
        Ok((CpuStorage::F32(y), q_layout.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let width = q.dim(1)?;
        let [dq, dk, dv] = with_slices([q, k, v, &gradient], |[q, k, v, gradient]| {
            let mut d = [(); 3].map(|()| vec![0f32; q.len()]);
            let [dq, dk, dv] = &mut d;
            let cut = |x| self.sequences.cut(x, width);
            let outputs = self.sequences.cut_mut(dq, width).into_par_iter();
            let outputs = outputs.zip(self.sequences.cut_mut(dk, width)).zip(self.sequences.cut_mut(dv, width));
            let inputs = cut(q).into_par_iter().zip(cut(k)).zip(cut(v)).zip(cut(gradient));
            outputs.zip(inputs).enumerate().for_each_init(
                Scratch::default,
                |scratch, (sequence, (outputs, inputs))| {
                    let ((dq, dk), dv) = outputs;
                    let (((q, k), v), gradient) = inputs;
                    scratch.fit(q.len() / width);
                    for head in 0..self.heads {
                        self.head_backward(
                            sequence,
                            head,
                            width,
                            [q, k, v, gradient],
                            [&mut *dq, &mut *dk, &mut *dv],
                            scratch,
                        );
                    }
                },
            );
            Ok(d)
        })?;
        let tensor = |d: Vec<f32>, of: &Tensor| -> Result<Option<Tensor>> {
            if of.track_op() { Ok(Some(Tensor::from_vec(d, of.dims(), of.device())?)) } else { Ok(None) }
        };
        Ok((tensor(dq, q)?, tensor(dk, k)?, tensor(dv, v)?))
    }
}

impl Fused {
    fn head_backward(
        &self,
        sequence: usize,
        head: usize,
        width: usize,
        [q, k, v, gradient]: [&[f32]; 4],
        [dq, dk, dv]: [&mut [f32]; 3],
        scratch: &mut Scratch,
    ) {
        let size = width / self.heads;
        let (length, start) = (q.len() / width, head * size);
        let side = |x| Matrix::new(x, length, length, length);
        let part = |x| Matrix::new(x, length, size, width);
        let mask = self.mask(sequence, head);
        self.weights(q, k, head, width, &mut scratch.weights);
        scratch.dropped.copy_from_slice(&scratch.weights);
        if let Some(mask) = mask {
            vectorised(
                #[inline(always)]
                || drop_weights(&mut scratch.dropped, length, mask),
            );
        }
        // dv = dropped^T g
        let target = Target { numbers: &mut dv[start..], row_stride: width, add: false };
        product(target, side(&scratch.dropped).transposed(), part(&gradient[start..]), false);
        // the slopes of the dropped weights: g v^T
        let target = Target { numbers: &mut scratch.slopes, row_stride: length, add: false };
        product(target, part(&gradient[start..]), part(&v[start..]).transposed(), false);
        let scale = 1.0 / (size as f32).sqrt();
        vectorised(
            #[inline(always)]
            || {
                if let Some(mask) = mask {
                    drop_weights(&mut scratch.slopes, length, mask);
                }
                let rows = scratch.slopes.chunks_exact_mut(length).zip(scratch.weights.chunks_exact(length));
                rows.for_each(|(slopes, weights)| softmax_row_backward(slopes, weights, scale));
            },
        );
        let target = Target { numbers: &mut dq[start..], row_stride: width, add: false };
        product(target, side(&scratch.slopes), part(&k[start..]), false);
        let target = Target { numbers: &mut dk[start..], row_stride: width, add: false };
        product(target, side(&scratch.slopes).transposed(), part(&q[start..]), false);
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
