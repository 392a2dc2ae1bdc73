//! A bidirectional LSTM over the segments of each document (Hochreiter 1997), with PyTorch's equations and names.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::kernels::{self, Pass, Recurrence, Sequences};
use super::layers::Linear;
use super::params::{Maker, Param, Start};

#[derive(Debug)]
pub(super) struct Lstm {
    layers: Vec<[Direction; 2]>,
    /// Between layers.
    dropout: f64,
}

#[derive(Debug)]
struct Direction {
    /// From a layer's input to the four gates.
    input: Linear,
    /// From the direction's last state to the four gates.
    weight: Arc<Param>,
    bias: Arc<Param>,
    reverse: bool,
}

impl Lstm {
    /// From `width` to twice half of it.
    pub(super) fn new(maker: &mut Maker, layers: usize, dropout: f64, width: usize) -> Result<Self> {
        let mut made = Vec::with_capacity(layers);
        for index in 0..layers {
            let forward = Direction::new(maker, index, false, width)?;
            made.push([forward, Direction::new(maker, index, true, width)?]);
        }
        Ok(Self { layers: made, dropout })
    }

    /// [rows, width] to [rows, width]; a row sees the rows of its own document.
    pub(super) fn forward(&self, x: &Tensor, documents: &Sequences, site: u32, pass: &Pass) -> Result<Tensor> {
        let mut x = x.clone();
        for (index, directions) in self.layers.iter().enumerate() {
            if index > 0 {
                x = kernels::dropout(&x, documents, self.dropout, site + index as u32, pass)?;
            }
            let [forward, backward] = directions;
            x = Tensor::cat(&[forward.forward(&x, documents, pass)?, backward.forward(&x, documents, pass)?], 1)?;
        }
        Ok(x)
    }
}

impl Direction {
    fn new(maker: &mut Maker, layer: usize, reverse: bool, width: usize) -> Result<Self> {
        let size = width / 2;
        let start = Start::Uniform((size as f64).sqrt().recip());
        let name = |part: &str| format!("agg.{part}_l{layer}{}", if reverse { "_reverse" } else { "" });
        Ok(Self {
            input: Linear {
                weight: maker.make(&name("weight_ih"), (4 * size, width), start)?,
                bias: Some(maker.make(&name("bias_ih"), 4 * size, start)?),
            },
            weight: maker.make(&name("weight_hh"), (4 * size, size), start)?,
            bias: maker.make(&name("bias_hh"), 4 * size, start)?,
            reverse,
        })
    }

    fn forward(&self, x: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        let gates = self.input.forward(x, pass)?;
        let how = Recurrence { sequences: documents, reverse: self.reverse };
        kernels::lstm(&gates, &self.weight, &self.bias, &how, pass)
    }
}
