//! The recurrence of an LSTM within sequences. Its backward pass finds the gates again from the states, in one product
//! for all rows, and keeps nothing else.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};
use candle_nn::ops::sigmoid;
use rayon::prelude::*;

use super::gemm::{Matrix, Target, Threads, product};
use super::linear::add_columns;
use super::math::exp;
use super::slices::{slice, with_slices};
use super::{Pass, Precision, Sequences};
use crate::model::params::Param;

/// Which rows follow each other, and in which direction.
#[derive(Clone)]
pub(in crate::model) struct Recurrence<'a> {
    pub(in crate::model) sequences: &'a Sequences,
    /// From the last row of a sequence to its first.
    pub(in crate::model) reverse: bool,
}

/// The input's part of the four gates [rows, 4 x size] to states [rows, size]; the recurrent part has W `[4 x size, size]`
/// and b `[4 x size]`. Gates stand in PyTorch's order: input, forget, cell, output.
pub(in crate::model) fn lstm(
    gates: &Tensor,
    weight: &Arc<Param>,
    bias: &Arc<Param>,
    how: &Recurrence<'_>,
    pass: &Pass,
) -> Result<Tensor> {
    if !pass.is_fused(gates) {
        return plain(gates, weight, bias, how, pass);
    }
    let (weight, bias) = (weight.clone(), bias.clone());
    let anchor = weight.anchor(pass);
    let op = Lstm { weight, bias, sequences: how.sequences.clone(), reverse: how.reverse };
    gates.contiguous()?.apply_op2(&anchor, op)
}

/// All sequences side by side, step by step. The padding of a short one comes after its rows, where nothing reads it.
fn plain(gates: &Tensor, weight: &Arc<Param>, bias: &Arc<Param>, how: &Recurrence<'_>, pass: &Pass) -> Result<Tensor> {
    let (sequences, device) = (how.sequences, gates.device());
    let (count, longest, size) = (sequences.count(), sequences.longest(), gates.dim(1)? / 4);
    let (mut rows, mut cells) = (vec![0u32; longest * count], vec![0u32; sequences.rows()]);
    for sequence in 0..count {
        for (step, row) in how.rows(sequence).enumerate() {
            rows[step * count + sequence] = row as u32;
            cells[row] = (step * count + sequence) as u32;
        }
    }
    let gates = gates.contiguous()?.index_select(&Tensor::from_vec(rows, longest * count, device)?, 0)?;
    let (weight, bias) = (weight.exact(pass).t()?, bias.exact(pass));
    let mut state = Tensor::zeros((count, size), gates.dtype(), device)?;
    let mut cell = state.clone();
    let mut states = Vec::with_capacity(longest);
    for step in 0..longest {
        let gates = gates.narrow(0, step * count, count)?.add(&state.matmul(&weight)?)?.broadcast_add(&bias)?;
        let gate = |index: usize| gates.narrow(1, index * size, size);
        let kept = sigmoid(&gate(1)?)?.mul(&cell)?;
        cell = sigmoid(&gate(0)?)?.mul(&gate(2)?.tanh()?)?.add(&kept)?;
        state = sigmoid(&gate(3)?)?.mul(&cell.tanh()?)?;
        states.push(state.clone());
    }
    Tensor::cat(&states, 0)?.index_select(&Tensor::new(cells, device)?, 0)
}

impl Recurrence<'_> {
    /// The rows of a sequence, in the order of its steps.
    fn rows(&self, sequence: usize) -> impl Iterator<Item = usize> + use<> {
        let offsets = &self.sequences.offsets;
        let (start, reverse, length) = (offsets[sequence], self.reverse, self.sequences.len(sequence));
        (0..length).map(move |step| start + place(step, length, reverse))
    }
}

/// The row of a sequence that a step reads.
fn place(step: usize, length: usize, reverse: bool) -> usize {
    if reverse { length - 1 - step } else { step }
}

struct Lstm {
    weight: Arc<Param>,
    bias: Arc<Param>,
    sequences: Sequences,
    reverse: bool,
}

impl CustomOp2 for Lstm {
    fn name(&self) -> &'static str {
        "lstm"
    }

    fn cpu_fwd(&self, gates: &CpuStorage, layout: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let gates = slice(gates, layout)?;
        let size = self.weight.value().dim(1)?;
        let rows = gates.len() / (4 * size);
        let mut states = vec![0f32; rows * size];
        with_slices([self.weight.value(), self.bias.value()], |[weight, bias]| {
            let pieces = self.sequences.cut_mut(&mut states, size).into_par_iter();
            pieces.zip(self.sequences.cut(gates, 4 * size)).for_each(|(states, gates)| {
                self.forward(states, gates, weight, bias);
            });
            Ok(())
        })?;
        Ok((CpuStorage::F32(states), Shape::from((rows, size))))
    }

    fn bwd(
        &self,
        input: &Tensor,
        _: &Tensor,
        states: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let size = self.weight.value().dim(1)?;
        let rows = self.sequences.rows();
        let tensors = [input, states, &gradient, self.weight.value(), self.bias.value()];
        let slopes = with_slices(tensors, |[input, states, gradient, weight, bias]| {
            let before = self.before(states, size);
            let mut gates = input.to_vec();
            gates.par_chunks_mut(4 * size).for_each(|row| row.iter_mut().zip(bias).for_each(|(x, bias)| *x += bias));
            let target = Target { numbers: &mut gates, row_stride: 4 * size, add: true };
            let transposed = Matrix::new(weight, 4 * size, size, size).transposed();
            product(target, Matrix::new(&before, rows, size, size), transposed, Threads::All, Precision::F32);
            let pieces = self.sequences.cut_mut(&mut gates, 4 * size).into_par_iter();
            pieces.zip(self.sequences.cut(gradient, size)).for_each(|(gates, gradient)| {
                self.backward(gates, gradient, weight, size);
            });
            self.weight.add_gradient(|sum| {
                let target = Target { numbers: sum, row_stride: size, add: true };
                let slopes = Matrix::new(&gates, rows, 4 * size, 4 * size).transposed();
                product(target, slopes, Matrix::new(&before, rows, size, size), Threads::All, Precision::F32);
            });
            self.bias.add_gradient(|sum| add_columns(sum, &gates));
            Ok(gates)
        })?;
        if !input.track_op() {
            return Ok((None, None));
        }
        Ok((Some(Tensor::from_vec(slopes, input.dims(), input.device())?), None))
    }
}

impl Lstm {
    /// States of one sequence.
    fn forward(&self, states: &mut [f32], gates: &[f32], weight: &[f32], bias: &[f32]) {
        let size = bias.len() / 4;
        let length = states.len() / size;
        let (mut state, mut cell) = (vec![0f32; size], vec![0f32; size]);
        let mut sum = vec![0f32; 4 * size];
        for step in 0..length {
            let row = place(step, length, self.reverse);
            let input = &gates[row * 4 * size..(row + 1) * 4 * size];
            sum.iter_mut().zip(input).zip(bias).for_each(|((sum, x), bias)| *sum = x + bias);
            let target = Target { numbers: &mut sum, row_stride: 4 * size, add: true };
            let transposed = Matrix::new(weight, 4 * size, size, size).transposed();
            product(target, Matrix::new(&state, 1, size, size), transposed, Threads::One, Precision::F32);
            activate(&mut sum, size);
            for index in 0..size {
                let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| sum[gate * size + index]);
                cell[index] = forget * cell[index] + input * new;
                state[index] = output * tanh(cell[index]);
            }
            states[row * size..(row + 1) * size].copy_from_slice(&state);
        }
    }

    /// The state that each row starts from.
    fn before(&self, states: &[f32], size: usize) -> Vec<f32> {
        let mut before = vec![0f32; states.len()];
        let pieces = self.sequences.cut_mut(&mut before, size).into_iter().zip(self.sequences.cut(states, size));
        for (before, states) in pieces {
            let kept = states.len().saturating_sub(size);
            if self.reverse {
                before[..kept].copy_from_slice(&states[size..]);
            } else {
                before[size..].copy_from_slice(&states[..kept]);
            }
        }
        before
    }

    /// Of one sequence: sums of the gates to the slopes of these sums, in their place.
    fn backward(&self, gates: &mut [f32], gradient: &[f32], weight: &[f32], size: usize) {
        let length = gradient.len() / size;
        // one row more: the cell before the first step
        let mut cells = vec![0f32; (length + 1) * size];
        for step in 0..length {
            let row = place(step, length, self.reverse);
            let gates = &mut gates[row * 4 * size..(row + 1) * 4 * size];
            activate(gates, size);
            let (past, cell) = cells[step * size..(step + 2) * size].split_at_mut(size);
            for index in 0..size {
                cell[index] = gates[size + index] * past[index] + gates[index] * gates[2 * size + index];
            }
        }
        let (mut state_slope, mut cell_slope) = (vec![0f32; size], vec![0f32; size]);
        for step in (0..length).rev() {
            let row = place(step, length, self.reverse);
            let gates = &mut gates[row * 4 * size..(row + 1) * 4 * size];
            for index in 0..size {
                let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| gates[gate * size + index]);
                let (past, cell) = (cells[step * size + index], tanh(cells[(step + 1) * size + index]));
                let state = gradient[row * size + index] + state_slope[index];
                let slope = cell_slope[index] + state * output * (1.0 - cell * cell);
                cell_slope[index] = slope * forget;
                gates[index] = slope * new * input * (1.0 - input);
                gates[size + index] = slope * past * forget * (1.0 - forget);
                gates[2 * size + index] = slope * input * (1.0 - new * new);
                gates[3 * size + index] = state * cell * output * (1.0 - output);
            }
            let target = Target { numbers: &mut state_slope, row_stride: size, add: false };
            product(
                target,
                Matrix::new(gates, 1, 4 * size, 4 * size),
                Matrix::new(weight, 4 * size, size, size),
                Threads::One,
                Precision::F32,
            );
        }
    }
}

/// Sums to gates.
fn activate(gates: &mut [f32], size: usize) {
    for (gate, numbers) in gates.chunks_exact_mut(size).enumerate() {
        for x in numbers {
            *x = if gate == 2 { tanh(*x) } else { 1.0 / (1.0 + exp(-*x)) };
        }
    }
}

#[inline(always)]
fn tanh(x: f32) -> f32 {
    let power = exp(-2.0 * x.abs());
    ((1.0 - power) / (1.0 + power)).copysign(x)
}
