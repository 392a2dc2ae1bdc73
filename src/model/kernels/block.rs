//! One block of BERT's Transformer (Devlin 2019; norms after the residuals) as a single operation of the graph.
//!
//! Rows go through all of the block a few sequences at a time, so that what lies between two products stays in the
//! cache and threads meet twice a block instead of at every operation. For the backward pass six tensors are kept
//! (queries, keys beside values, attention's output, the sums before both norms, and what GELU saw: 10 x hidden numbers a
//! row); the rest is computed again. candle's own graph would zero and add a tensor for every gradient of every
//! operation in between.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::attention::{Attention, Heads, attention};
use super::dropout::{Mask, masks};
use super::gelu::gelu;
use super::gemm::{IN_PLACE, Left, Matrix, Operand, Right, STRIDE_IN_PLACE, Target, Threads, product};
use super::linear::linear;
use super::math::{self, vectorised};
use super::norm::{Residual, add_norm, backward_rows, forward_rows};
use super::rooms::{Room, room};
use super::slices::{slice, with_slices};
use super::{Pass, Precision, Sequences};
use crate::model::params::Param;

/// A block's weights and sizes.
#[derive(Debug)]
pub(in crate::model) struct Block {
    pub(in crate::model) query: Affine,
    pub(in crate::model) key: Affine,
    pub(in crate::model) value: Affine,
    pub(in crate::model) attended: Affine,
    pub(in crate::model) attention_norm: Affine,
    pub(in crate::model) up: Affine,
    pub(in crate::model) down: Affine,
    pub(in crate::model) norm: Affine,
    pub(in crate::model) heads: usize,
    pub(in crate::model) eps: f64,
    /// Of both residual branches.
    pub(in crate::model) dropout: f64,
    /// Of the attention weights.
    pub(in crate::model) attention_dropout: f64,
}

/// A matrix `[out, in]` or the scales `[width]` of a norm, and what is added.
#[derive(Debug)]
pub(in crate::model) struct Affine {
    pub(in crate::model) weight: Arc<Param>,
    pub(in crate::model) bias: Arc<Param>,
}

/// The rows of a sequence whose outputs are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::model) enum Rows {
    All,
    /// The first of each alone: nothing is computed of the others but what it attends to.
    First,
}

/// x [rows, hidden] to the block's output [rows, hidden], or [sequences, hidden] of the first rows. `site` is the first
/// of three places of random numbers.
pub(in crate::model) fn block(
    x: &Tensor,
    block: &Arc<Block>,
    sequences: &Sequences,
    rows: Rows,
    site: u32,
    pass: &Pass,
) -> Result<Tensor> {
    if !pass.is_fused(x) {
        return block.plain(x, sequences, rows, site, pass);
    }
    let width = x.dim(1)?;
    let attention = block.attention(sequences, site);
    let masks = |site| masks(sequences, block.dropout, site, pass);
    let wanted = wanted(sequences, rows);
    let keeps = pass.gradients && (x.track_op() || block.query.weight.is_trained());
    let op = Fused {
        heads: Heads::new(&attention, width, pass),
        masks: [masks(site + 1), masks(site + 2)],
        tiles: tiles(sequences, &wanted, keeps),
        sequences: sequences.clone(),
        wanted,
        rows,
        width,
        inner: block.up.weight.value().dim(0)?,
        precision: pass.precision,
        keeps,
        kept: Mutex::default(),
        block: block.clone(),
    };
    x.contiguous()?.apply_op2(&block.query.weight.anchor(pass), op)
}

/// The wanted rows of each sequence.
fn wanted(sequences: &Sequences, rows: Rows) -> Sequences {
    match rows {
        Rows::All => sequences.clone(),
        Rows::First => sequences.singles(),
    }
}

impl Block {
    fn attention<'a>(&self, sequences: &'a Sequences, site: u32) -> Attention<'a> {
        Attention { sequences, heads: self.heads, dropout: self.attention_dropout, site }
    }

    fn plain(&self, x: &Tensor, sequences: &Sequences, rows: Rows, site: u32, pass: &Pass) -> Result<Tensor> {
        let affine = |x: &Tensor, by: &Affine| linear(x, &by.weight, Some(&by.bias), pass);
        let kv = Tensor::cat(&[affine(x, &self.key)?, affine(x, &self.value)?], 1)?;
        let y = attention(&affine(x, &self.query)?, &kv, &self.attention(sequences, site), pass)?;
        let (x, y) = match rows {
            Rows::All => (x.clone(), y),
            Rows::First => {
                let starts = sequences.starts(x.device())?;
                (x.index_select(&starts, 0)?, y.index_select(&starts, 0)?)
            }
        };
        let wanted = wanted(sequences, rows);
        let residual = |x: &Tensor, residual: &Tensor, norm: &Affine, site: u32| {
            let how = Residual { sequences: &wanted, dropout: self.dropout, site };
            add_norm(x, residual, &norm.weight, &norm.bias, self.eps, &how, pass)
        };
        let x = residual(&affine(&y, &self.attended)?, &x, &self.attention_norm, site + 1)?;
        let y = affine(&gelu(&affine(&x, &self.up)?, pass)?, &self.down)?;
        residual(&y, &x, &self.norm, site + 2)
    }

    fn affines(&self) -> [&Affine; 8] {
        let Self { query, key, value, attended, attention_norm, up, down, norm, .. } = self;
        [query, key, value, attended, attention_norm, up, down, norm]
    }
}

struct Fused {
    block: Arc<Block>,
    sequences: Sequences,
    /// The same sequences with their wanted rows alone.
    wanted: Sequences,
    rows: Rows,
    tiles: Vec<Tile>,
    heads: Heads,
    /// Of the two residual branches, one a sequence; none: no dropout.
    masks: [Option<Arc<[Mask]>>; 2],
    width: usize,
    inner: usize,
    precision: Precision,
    /// Whether there will be a backward pass.
    keeps: bool,
    kept: Mutex<Option<Kept<Room>>>,
}

/// Sequences that go through the block together.
struct Tile {
    sequences: Range<usize>,
    rows: Range<usize>,
    /// Of the wanted ones.
    wanted: Range<usize>,
}

/// Rows of a tile: few enough to stay in the cache and for all threads to have some, enough to make reading the weights
/// worth it. Fewer where all that lies between the products is kept: in rows 4 kB apart, of which the cache holds few.
/// The number of threads plays no part, the bits of sums over tiles depend on it.
fn tile_rows(rows: usize, keeps: bool) -> usize {
    if keeps { 128 } else { (rows / 8).clamp(128, 256) }
}

/// Inner numbers of the feed-forward layers that are computed together.
const PART: usize = IN_PLACE;

fn tiles(sequences: &Sequences, wanted: &Sequences, keeps: bool) -> Vec<Tile> {
    let mut tiles: Vec<Tile> = Vec::new();
    let most = tile_rows(sequences.rows(), keeps);
    for sequence in 0..sequences.count() {
        let end = sequences.offsets[sequence + 1];
        match tiles.last_mut() {
            Some(tile) if end - tile.rows.start <= most => {
                tile.sequences.end = sequence + 1;
                tile.rows.end = end;
                tile.wanted.end = wanted.offsets[sequence + 1];
            }
            _ => tiles.push(Tile {
                sequences: sequence..sequence + 1,
                rows: sequences.offsets[sequence]..end,
                wanted: wanted.offsets[sequence]..wanted.offsets[sequence + 1],
            }),
        }
    }
    tiles
}

/// What the backward pass needs: keys and values of all rows, the rest of the wanted ones.
struct Kept<T> {
    q: T,
    kv: T,
    context: T,
    /// What the first norm saw.
    attended: T,
    /// What GELU saw.
    up: T,
    /// What the second norm saw.
    down: T,
}

/// Slopes of what the products gave, and the operands that are computed again.
struct Slopes<T> {
    q: T,
    kv: T,
    attended: T,
    up: T,
    down: T,
    /// The first norm's output.
    normed: T,
    /// GELU's output.
    hidden: T,
}

/// The weights' numbers.
struct Numbers<'a> {
    query: Layer<'a>,
    key: Layer<'a>,
    value: Layer<'a>,
    attended: Layer<'a>,
    attention_norm: [&'a [f32]; 2],
    feed_forward: Vec<Part<'a>>,
    /// What the feed-forward layers add.
    down: &'a [f32],
    norm: [&'a [f32]; 2],
}

/// Some of the inner numbers of the feed-forward layers, few enough to stay in the cache.
struct Part<'a> {
    inner: Range<usize>,
    up: Layer<'a>,
    down: Right<'a>,
}

/// A matrix `[in, out]` forward, `[out, in]` backward, and what is added forward.
struct Layer<'a> {
    weight: Right<'a>,
    bias: &'a [f32],
}

impl Layer<'_> {
    /// y = x W^T + b, rows of y `stride` numbers apart.
    fn apply(&self, x: &Left<'_>, y: &mut [f32], stride: usize) {
        self.weight.affine(self.bias, y, stride, x);
    }
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "transformer-block"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = slice(x, layout)?;
        let mut y = vec![0f32; self.wanted.rows() * self.width];
        let mut kept = self.keeps.then(|| self.kept_rooms(self.sequences.rows(), self.wanted.rows()));
        self.with_numbers(true, |numbers| {
            let tiles = self.tiles.par_iter().zip(self.cut_mut(&mut y, Tile::wanted));
            if let Some(kept) = &mut kept {
                let parts = self.cut_mut(&mut kept.q, Tile::wanted).into_iter();
                let parts = parts.zip(self.cut_mut(&mut kept.kv, Tile::rows));
                let parts = parts.zip(self.cut_mut(&mut kept.context, Tile::wanted));
                let parts = parts.zip(self.cut_mut(&mut kept.attended, Tile::wanted));
                let parts = parts.zip(self.cut_mut(&mut kept.up, Tile::wanted));
                let parts: Vec<_> = parts.zip(self.cut_mut(&mut kept.down, Tile::wanted)).collect();
                tiles.zip(parts).for_each(|((tile, y), (((((q, kv), context), attended), up), down))| {
                    let mut kept = Kept { q, kv, context, attended, up, down };
                    self.forward(numbers, tile, self.of(x, tile), y, &mut kept);
                });
            } else {
                tiles.for_each(|(tile, y)| {
                    let mut rooms = self.kept_rooms(tile.rows.len(), tile.wanted.len());
                    let Kept { q, kv, context, attended, up, down } = &mut rooms;
                    let mut kept = Kept { q: &mut **q, kv, context, attended, up, down };
                    self.forward(numbers, tile, self.of(x, tile), y, &mut kept);
                });
            }
            Ok(())
        })?;
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok((CpuStorage::F32(y), Shape::from((self.wanted.rows(), self.width))))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(kept) = kept else { bail!("a block's backward pass without its forward pass") };
        let dy = dy.contiguous()?;
        let mut dx = x.track_op().then(|| vec![0f32; x.elem_count()]);
        with_slices([x, &dy], |[x, dy]| {
            let mut slopes = self.slope_rooms();
            let sums = self.with_numbers(false, |numbers| {
                Ok(self.backward_tiles(numbers, dy, &kept, &mut slopes, dx.as_deref_mut()))
            })?;
            self.add_gradients(x, &kept, &slopes, &sums);
            Ok(())
        })?;
        let dx = dx.map(|dx| Tensor::from_vec(dx, x.dims(), x.device())).transpose()?;
        Ok((dx, None))
    }
}

impl Tile {
    fn rows(&self) -> &Range<usize> {
        &self.rows
    }

    fn wanted(&self) -> &Range<usize> {
        &self.wanted
    }
}

impl Fused {
    fn kept_rooms(&self, rows: usize, wanted: usize) -> Kept<Room> {
        let (width, inner) = (self.width, self.inner);
        let up = if self.keeps { inner } else { PART.min(inner) };
        let [context, attended, up, down] = [width, width, up, width].map(|width| room(wanted * width));
        Kept { q: room(wanted * width), kv: room(rows * 2 * width), context, attended, up, down }
    }

    fn slope_rooms(&self) -> Slopes<Room> {
        let (width, inner, wanted) = (self.width, self.inner, self.wanted.rows());
        let [q, attended, up, down, normed, hidden] =
            [width, width, inner, width, width, inner].map(|width| room(wanted * width));
        Slopes { q, kv: room(self.sequences.rows() * 2 * width), attended, up, down, normed, hidden }
    }

    fn left<'a>(&self, x: Matrix<'a>) -> Left<'a> {
        Left::new(x, self.precision)
    }

    /// The weights, packed for this pass: turned as it multiplies by them.
    fn with_numbers<R>(&self, transposed: bool, f: impl FnOnce(&Numbers<'_>) -> Result<R>) -> Result<R> {
        let affines = self.block.affines();
        with_slices(affines.map(|affine| affine.weight.value()), |weights| {
            with_slices(affines.map(|affine| affine.bias.value()), |biases| {
                let norm = |index: usize| [weights[index], biases[index]];
                let pack = |weight, by| Right::new(turned(weight, transposed), by, self.precision);
                let layer = |index: usize| {
                    let [weight, bias] = norm(index);
                    Layer { weight: pack(matrix(weight, bias.len()), Threads::All), bias }
                };
                let [up, down] = [5, 6].map(|index| matrix(weights[index], biases[index].len()));
                let part = |start: usize| {
                    let inner = start..(start + PART).min(self.inner);
                    let up = pack(up.part(inner.clone(), 0..self.width), Threads::One);
                    let down = pack(down.part(0..self.width, inner.clone()), Threads::One);
                    Part { up: Layer { weight: up, bias: &biases[5][inner.clone()] }, down, inner }
                };
                f(&Numbers {
                    query: layer(0),
                    key: layer(1),
                    value: layer(2),
                    attended: layer(3),
                    attention_norm: norm(4),
                    feed_forward: (0..self.inner).into_par_iter().step_by(PART).map(part).collect(),
                    down: biases[6],
                    norm: norm(7),
                })
            })
        })
    }

    /// The parts of the tiles in what has as many rows as `of` says.
    fn cut_mut<'a>(&self, mut flat: &'a mut [f32], of: fn(&Tile) -> &Range<usize>) -> Vec<&'a mut [f32]> {
        let rows: usize = self.tiles.iter().map(|tile| of(tile).len()).sum();
        let width = flat.len() / rows.max(1);
        let mut parts = Vec::with_capacity(self.tiles.len());
        for tile in &self.tiles {
            let (part, rest) = flat.split_at_mut(of(tile).len() * width);
            parts.push(part);
            flat = rest;
        }
        parts
    }

    /// A tile's part of what is there for all rows.
    fn of<'a>(&self, x: &'a [f32], tile: &Tile) -> &'a [f32] {
        let width = x.len() / self.sequences.rows().max(1);
        &x[tile.rows.start * width..tile.rows.end * width]
    }

    /// A tile's part of what is there for the wanted rows.
    fn wanted_of<'a>(&self, x: &'a [f32], tile: &Tile) -> &'a [f32] {
        let width = x.len() / self.wanted.rows().max(1);
        &x[tile.wanted.start * width..tile.wanted.end * width]
    }

    /// Sequences of a tile, with their wanted rows in it.
    fn each(&self, tile: &Tile) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (offsets, start) = (&self.wanted.offsets, tile.wanted.start);
        tile.sequences.clone().map(move |sequence| (sequence, offsets[sequence] - start..offsets[sequence + 1] - start))
    }

    /// All rows of a sequence in its tile.
    fn rows_of(&self, sequence: usize, tile: &Tile) -> Range<usize> {
        let (offsets, start) = (&self.sequences.offsets, tile.rows.start);
        offsets[sequence] - start..offsets[sequence + 1] - start
    }

    /// The wanted rows among all rows of some sequences.
    fn wanted_rows(&self, x: &[f32], sequences: Range<usize>) -> Option<Room> {
        if self.rows == Rows::All {
            return None;
        }
        let (width, start) = (self.width, self.sequences.offsets[sequences.start]);
        let mut firsts = room(sequences.len() * width);
        for (first, sequence) in firsts.chunks_exact_mut(width).zip(sequences) {
            let row = self.sequences.offsets[sequence] - start;
            first.copy_from_slice(&x[row * width..(row + 1) * width]);
        }
        Some(firsts)
    }

    fn forward(&self, numbers: &Numbers<'_>, tile: &Tile, x: &[f32], y: &mut [f32], kept: &mut Kept<&mut [f32]>) {
        let (width, rows) = (self.width, tile.wanted.len());
        let eps = self.block.eps as f32;
        let firsts = self.wanted_rows(x, tile.sequences.clone());
        let input = self.left(matrix(x, tile.rows.len()));
        let asking = firsts.as_ref().map(|firsts| self.left(matrix(firsts, rows)));
        numbers.query.apply(asking.as_ref().unwrap_or(&input), kept.q, width);
        for (part, layer) in [&numbers.key, &numbers.value].into_iter().enumerate() {
            layer.apply(&input, &mut kept.kv[part * width..], 2 * width);
        }
        for (sequence, rows) in self.each(tile) {
            let all = self.rows_of(sequence, tile);
            let (part, kv) =
                (rows.start * width..rows.end * width, &kept.kv[all.start * 2 * width..all.end * 2 * width]);
            self.heads.forward(sequence, &kept.q[part.clone()], kv, &mut kept.context[part]);
        }
        numbers.attended.apply(&self.left(matrix(kept.context, rows)), kept.attended, width);
        self.add_residual(tile, 0, kept.attended, firsts.as_deref().unwrap_or(x));
        let mut normed = room(rows * width);
        let [scale, shift] = numbers.attention_norm;
        vectorised(
            #[inline(always)]
            || forward_rows(&mut normed, kept.attended, scale, shift, eps),
        );
        self.feed_forward(numbers, &normed, kept, rows);
        self.add_residual(tile, 1, kept.down, &normed);
        let [scale, shift] = numbers.norm;
        vectorised(
            #[inline(always)]
            || forward_rows(y, kept.down, scale, shift, eps),
        );
    }

    /// A part of the inner numbers after the other: what all rows have of one stays in the cache.
    fn feed_forward(&self, numbers: &Numbers<'_>, normed: &[f32], kept: &mut Kept<&mut [f32]>, rows: usize) {
        let normed = self.left(matrix(normed, rows));
        // nothing of it is kept for the next part, unless all is
        let stride = kept.up.len() / rows.max(1);
        let mut hidden = room(rows * STRIDE_IN_PLACE);
        for part in &numbers.feed_forward {
            let width = part.inner.len();
            let up = &mut kept.up[if self.keeps { part.inner.start } else { 0 }..];
            part.up.apply(&normed, up, stride);
            vectorised(
                #[inline(always)]
                || {
                    for (hidden, up) in hidden.chunks_exact_mut(STRIDE_IN_PLACE).zip(up.chunks(stride)) {
                        for (y, x) in hidden[..width].iter_mut().zip(up) {
                            *y = math::gelu(*x);
                        }
                    }
                },
            );
            let hidden = self.left(Matrix::new(&hidden, rows, width, STRIDE_IN_PLACE));
            if part.inner.start == 0 {
                part.down.affine(numbers.down, kept.down, self.width, &hidden);
            } else {
                let target = Target { numbers: kept.down, row_stride: self.width, add: true };
                part.down.product(target, &hidden);
            }
        }
    }

    /// y = residual + dropout(y)
    fn add_residual(&self, tile: &Tile, branch: usize, y: &mut [f32], residual: &[f32]) {
        let width = self.width;
        let Some(masks) = &self.masks[branch] else {
            return vectorised(
                #[inline(always)]
                || {
                    for (y, residual) in y.iter_mut().zip(residual) {
                        *y += residual;
                    }
                },
            );
        };
        for (sequence, rows) in self.each(tile) {
            let part = rows.start * width..rows.end * width;
            let (y, residual, mask) = (&mut y[part.clone()], &residual[part], masks[sequence]);
            vectorised(
                #[inline(always)]
                || {
                    for (index, (y, residual)) in y.iter_mut().zip(residual).enumerate() {
                        *y = residual + *y * mask.factor(index as u32);
                    }
                },
            );
        }
    }

    /// dx = dropout's slopes from those of its result
    fn drop_slopes(&self, tile: &Tile, branch: usize, dx: &mut [f32], dy: &[f32]) {
        let width = self.width;
        let Some(masks) = &self.masks[branch] else { return dx.copy_from_slice(dy) };
        for (sequence, rows) in self.each(tile) {
            let part = rows.start * width..rows.end * width;
            let (dx, dy, mask) = (&mut dx[part.clone()], &dy[part], masks[sequence]);
            vectorised(
                #[inline(always)]
                || {
                    for (index, (dx, dy)) in dx.iter_mut().zip(dy).enumerate() {
                        *dx = dy * mask.factor(index as u32);
                    }
                },
            );
        }
    }

    /// Slopes of all tiles; the sums over rows, tile by tile.
    fn backward_tiles(
        &self,
        numbers: &Numbers<'_>,
        dy: &[f32],
        kept: &Kept<Room>,
        slopes: &mut Slopes<Room>,
        dx: Option<&mut [f32]>,
    ) -> Vec<Sums> {
        let parts = self.cut_mut(&mut slopes.q, Tile::wanted).into_iter();
        let parts = parts.zip(self.cut_mut(&mut slopes.kv, Tile::rows));
        let parts = parts.zip(self.cut_mut(&mut slopes.attended, Tile::wanted));
        let parts = parts.zip(self.cut_mut(&mut slopes.up, Tile::wanted));
        let parts = parts.zip(self.cut_mut(&mut slopes.down, Tile::wanted));
        let parts = parts.zip(self.cut_mut(&mut slopes.normed, Tile::wanted));
        let parts: Vec<_> = parts.zip(self.cut_mut(&mut slopes.hidden, Tile::wanted)).collect();
        let dx: Vec<Option<&mut [f32]>> = match dx {
            Some(dx) => self.cut_mut(dx, Tile::rows).into_iter().map(Some).collect(),
            None => self.tiles.iter().map(|_| None).collect(),
        };
        let tiles = self.tiles.par_iter().zip(parts).zip(dx);
        tiles
            .map(|((tile, ((((((q, kv), attended), up), down), normed), hidden)), dx)| {
                let mut slopes = Slopes { q, kv, attended, up, down, normed, hidden };
                let kept = Kept {
                    q: self.wanted_of(&kept.q, tile),
                    kv: self.of(&kept.kv, tile),
                    context: self.wanted_of(&kept.context, tile),
                    attended: self.wanted_of(&kept.attended, tile),
                    up: self.wanted_of(&kept.up, tile),
                    down: self.wanted_of(&kept.down, tile),
                };
                self.backward(numbers, tile, self.wanted_of(dy, tile), &kept, &mut slopes, dx)
            })
            .collect()
    }

    fn backward(
        &self,
        numbers: &Numbers<'_>,
        tile: &Tile,
        dy: &[f32],
        kept: &Kept<&[f32]>,
        slopes: &mut Slopes<&mut [f32]>,
        dx: Option<&mut [f32]>,
    ) -> Sums {
        let (width, inner, rows) = (self.width, self.inner, tile.wanted.len());
        let eps = self.block.eps as f32;
        let mut sums = Sums::new(width, inner);
        // through the second norm and the dropout before it
        let mut sum = room(rows * width);
        let [scale, _] = numbers.norm;
        vectorised(
            #[inline(always)]
            || {
                let [dw, db] = &mut sums.norm;
                backward_rows(&mut sum, kept.down, dy, scale, eps, dw, db);
            },
        );
        self.drop_slopes(tile, 1, slopes.down, &sum);
        // through the feed-forward layers: slopes.up holds GELU's output's first
        let by = |weight: &Right<'_>, dy: &Left<'_>, dx: &mut [f32], stride: usize, add: bool| {
            weight.product(Target { numbers: dx, row_stride: stride, add }, dy);
        };
        let down = self.left(matrix(slopes.down, rows));
        for part in &numbers.feed_forward {
            let start = part.inner.start;
            by(&part.down, &down, &mut slopes.up[start..], inner, false);
            let (up, hidden, slopes_up) = (&kept.up[start..], &mut slopes.hidden[start..], &mut slopes.up[start..]);
            vectorised(
                #[inline(always)]
                || {
                    let rows = up.chunks(inner).zip(hidden.chunks_mut(inner)).zip(slopes_up.chunks_mut(inner));
                    for ((up, hidden), slopes) in rows {
                        let row = up.iter().zip(hidden).zip(slopes).take(part.inner.len());
                        for ((x, y), slope) in row {
                            let (value, derivative) = math::gelu_with_slope(*x);
                            *y = value;
                            *slope *= derivative;
                        }
                    }
                },
            );
            let up = self.left(matrix(slopes.up, rows).part(0..rows, part.inner.clone()));
            by(&part.up.weight, &up, &mut sum, width, true);
        }
        // through the first norm and its dropout
        let mut ds = room(rows * width);
        let [scale, shift] = numbers.attention_norm;
        vectorised(
            #[inline(always)]
            || {
                forward_rows(slopes.normed, kept.attended, scale, shift, eps);
                let [dw, db] = &mut sums.attention_norm;
                backward_rows(&mut ds, kept.attended, &sum, scale, eps, dw, db);
            },
        );
        self.drop_slopes(tile, 0, slopes.attended, &ds);
        // through attention
        by(&numbers.attended.weight, &self.left(matrix(slopes.attended, rows)), &mut sum, width, false);
        for (sequence, rows) in self.each(tile) {
            let all = self.rows_of(sequence, tile);
            let (part, all) = (rows.start * width..rows.end * width, all.start * 2 * width..all.end * 2 * width);
            let inputs = [&kept.q[part.clone()], &kept.kv[all.clone()], &sum[part.clone()]];
            self.heads.backward(sequence, inputs, &mut slopes.q[part], &mut slopes.kv[all]);
        }
        if let Some(dx) = dx {
            // of the wanted rows first
            by(&numbers.query.weight, &self.left(matrix(slopes.q, rows)), &mut ds, width, true);
            match self.rows {
                Rows::All => dx.copy_from_slice(&ds),
                Rows::First => {
                    dx.fill(0.0);
                    for (sequence, ds) in tile.sequences.clone().zip(ds.chunks_exact(width)) {
                        let row = self.rows_of(sequence, tile).start;
                        dx[row * width..(row + 1) * width].copy_from_slice(ds);
                    }
                }
            }
            for (index, layer) in [&numbers.key, &numbers.value].into_iter().enumerate() {
                let slopes =
                    matrix(slopes.kv, tile.rows.len()).part(0..tile.rows.len(), index * width..(index + 1) * width);
                by(&layer.weight, &self.left(slopes), dx, width, true);
            }
        }
        vectorised(
            #[inline(always)]
            || {
                add_rows(&mut sums.q, slopes.q);
                add_rows(&mut sums.kv, slopes.kv);
                add_rows(&mut sums.attended, slopes.attended);
                add_rows(&mut sums.up, slopes.up);
                add_rows(&mut sums.down, slopes.down);
            },
        );
        sums
    }

    /// Gradients of the weights, from all rows at once.
    fn add_gradients(&self, x: &[f32], kept: &Kept<Room>, slopes: &Slopes<Room>, sums: &[Sums]) {
        let (width, inner, wanted) = (self.width, self.inner, self.wanted.rows());
        let weight = |affine: &Affine, dy: &[f32], stride: usize, n: usize, x: Matrix<'_>| {
            affine.weight.add_gradient(|sum| {
                let target = Target { row_stride: sum.len() / n, numbers: sum, add: true };
                let dy = Matrix::new(dy, dy.len().div_ceil(stride), n, stride).transposed();
                product(target, dy, x, Threads::All, self.precision);
            });
        };
        let block = &*self.block;
        let firsts = self.wanted_rows(x, 0..self.sequences.count());
        let input = Operand::new(matrix(x, self.sequences.rows()), Threads::All, self.precision);
        let asking = firsts.as_ref().map_or(input.matrix(), |firsts| matrix(firsts, wanted));
        weight(&block.query, &slopes.q, width, width, asking);
        add_sums(&block.query.bias, sums, |sums| &sums.q);
        for (index, affine) in [&block.key, &block.value].into_iter().enumerate() {
            let part = index * width..(index + 1) * width;
            weight(affine, &slopes.kv[part.start..], 2 * width, width, input.matrix());
            add_sums(&affine.bias, sums, |sums| &sums.kv[part.clone()]);
        }
        weight(&block.attended, &slopes.attended, width, width, matrix(&kept.context, wanted));
        add_sums(&block.attended.bias, sums, |sums| &sums.attended);
        weight(&block.up, &slopes.up, inner, inner, matrix(&slopes.normed, wanted));
        add_sums(&block.up.bias, sums, |sums| &sums.up);
        weight(&block.down, &slopes.down, width, width, matrix(&slopes.hidden, wanted));
        add_sums(&block.down.bias, sums, |sums| &sums.down);
        add_sums(&block.attention_norm.weight, sums, |sums| &sums.attention_norm[0]);
        add_sums(&block.attention_norm.bias, sums, |sums| &sums.attention_norm[1]);
        add_sums(&block.norm.weight, sums, |sums| &sums.norm[0]);
        add_sums(&block.norm.bias, sums, |sums| &sums.norm[1]);
    }
}

fn turned(weight: Matrix<'_>, transposed: bool) -> Matrix<'_> {
    if transposed { weight.transposed() } else { weight }
}

/// Rows without gaps.
fn matrix(numbers: &[f32], rows: usize) -> Matrix<'_> {
    let width = numbers.len() / rows.max(1);
    Matrix::new(numbers, rows, width, width)
}

/// Sums over the rows of a tile: gradients of biases and norms.
struct Sums {
    q: Vec<f32>,
    kv: Vec<f32>,
    attended: Vec<f32>,
    up: Vec<f32>,
    down: Vec<f32>,
    attention_norm: [Vec<f32>; 2],
    norm: [Vec<f32>; 2],
}

impl Sums {
    fn new(width: usize, inner: usize) -> Self {
        let zeros = || vec![0f32; width];
        Self {
            q: zeros(),
            kv: vec![0.0; 2 * width],
            attended: zeros(),
            up: vec![0.0; inner],
            down: zeros(),
            attention_norm: [zeros(), zeros()],
            norm: [zeros(), zeros()],
        }
    }
}

/// In the order of the tiles, whoever computed them.
fn add_sums<'a>(param: &Param, sums: &'a [Sums], of: impl Fn(&'a Sums) -> &'a [f32]) {
    param.add_gradient(|sum| {
        for tile in sums {
            sum.iter_mut().zip(of(tile)).for_each(|(sum, x)| *sum += x);
        }
    });
}

#[inline(always)]
fn add_rows(sum: &mut [f32], rows: &[f32]) {
    for row in rows.chunks_exact(sum.len()) {
        for (sum, x) in sum.iter_mut().zip(row) {
            *sum += x;
        }
    }
}
