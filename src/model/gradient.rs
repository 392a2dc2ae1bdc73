//! Sums of a weight's gradients, in the form that suits how they arise.

use candle_core::{Device, Result, Tensor};

use super::kernels::{Room, zeros};

/// The sum of the gradients of one weight since it was last taken.
#[derive(Debug, Default)]
pub enum Gradient {
    #[default]
    None,
    /// On the CPU, where operations add to it in place.
    Host(Room),
    /// Of a table of which few rows were looked up.
    Rows(Rows),
    Device(Tensor),
}

/// The rows of a table that have a gradient.
#[derive(Debug)]
pub struct Rows {
    /// Where the gradient of each entry of the table stands among `numbers`, in rows.
    slots: Vec<u32>,
    /// The entry of each slot.
    entries: Vec<u32>,
    numbers: Vec<f32>,
    width: usize,
}

impl Rows {
    pub(super) fn new(entries: usize, width: usize) -> Self {
        Self { slots: vec![NONE; entries], entries: Vec::new(), numbers: Vec::new(), width }
    }

    /// Adds row i of `rows` to the gradient of entry `ids[i]`.
    pub(super) fn add(&mut self, ids: &[u32], rows: &[f32]) {
        for (id, row) in ids.iter().zip(rows.chunks_exact(self.width)) {
            let slot = &mut self.slots[*id as usize];
            if *slot == NONE {
                *slot = self.entries.len() as u32;
                self.entries.push(*id);
                self.numbers.extend_from_slice(row);
            } else {
                let start = *slot as usize * self.width;
                let sum = &mut self.numbers[start..start + self.width];
                sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
            }
        }
    }

    /// The gradient of one entry of the table, if it has any.
    pub(super) fn of(&self, entry: usize) -> Option<&[f32]> {
        let slot = self.slots[entry];
        (slot != NONE).then(|| &self.numbers[slot as usize * self.width..(slot as usize + 1) * self.width])
    }

    /// The gradient of the whole table.
    pub(super) fn all(&self) -> Room {
        let mut all = zeros(self.slots.len() * self.width);
        for (entry, row) in all.chunks_exact_mut(self.width).enumerate() {
            if let Some(gradient) = self.of(entry) {
                row.copy_from_slice(gradient);
            }
        }
        all
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// All gradients that there are, in the order in which the entries were met.
    pub(super) fn numbers(&self) -> &[f32] {
        &self.numbers
    }
}

const NONE: u32 = u32::MAX;

impl Gradient {
    /// As one tensor like the weight, whose sizes are `dims`; none if nothing was added.
    pub fn to_tensor(&self, dims: &[usize]) -> Result<Option<Tensor>> {
        Ok(match self {
            Self::None => None,
            Self::Host(sum) => Some(Tensor::from_slice(sum, dims, &Device::Cpu)?),
            Self::Rows(rows) => Some(Tensor::from_slice(&rows.all(), dims, &Device::Cpu)?),
            Self::Device(sum) => Some(sum.clone()),
        })
    }
}
