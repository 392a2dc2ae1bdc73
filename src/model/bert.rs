//! The segment encoder: BERT (Devlin 2019) with Hugging Face's weight names, differentiable and with dropout. That of
//! candle-transformers has neither gradients (its LayerNorm cuts the graph) nor dropout.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::kernels::{self, Attention, Lookup, Pass, Residual, Sequences};
use super::layers::{Linear, Norm};
use super::params::{Maker, Param, Start};
use super::pooling::{firsts, singles};
use crate::spec::Freeze;

/// Sizes of an encoder, under the names of Hugging Face's `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    pub vocab_size: usize,
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    pub intermediate_size: usize,
    pub max_position_embeddings: usize,
    pub type_vocab_size: usize,
    pub layer_norm_eps: f64,
}

#[derive(Debug)]
pub(super) struct Bert {
    words: Arc<Param>,
    positions: Arc<Param>,
    types: Arc<Param>,
    norm: Norm,
    layers: Vec<Layer>,
    dropouts: Dropouts,
    heads: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Dropouts {
    pub(super) hidden: f64,
    pub(super) attention: f64,
}

/// The tokens of a segment whose states are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rows {
    All,
    /// `[CLS]` alone: the last layer then computes nothing else after its attention.
    First,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
}

/// Places of random numbers: a layer has up to `SITES` of them.
const SITES: u32 = 4;

impl Bert {
    pub(super) fn new(maker: &mut Maker, sizes: &Sizes, dropouts: Dropouts, freeze: Freeze) -> Result<Self> {
        let width = sizes.hidden_size;
        maker.frozen = freeze.embeddings;
        let mut table = |name: &str, entries| {
            maker.make(&format!("bert.embeddings.{name}_embeddings.weight"), (entries, width), Start::Normal)
        };
        let words = table("word", sizes.vocab_size)?;
        let positions = table("position", sizes.max_position_embeddings)?;
        let types = table("token_type", sizes.type_vocab_size)?;
        let norm = Norm::new(maker, "bert.embeddings.LayerNorm", width, sizes.layer_norm_eps)?;
        let mut layers = Vec::with_capacity(sizes.num_hidden_layers);
        for index in 0..sizes.num_hidden_layers {
            maker.frozen = index < freeze.layers;
            layers.push(Layer::new(maker, index, sizes)?);
        }
        maker.frozen = false;
        Ok(Self { words, positions, types, norm, layers, dropouts, heads: sizes.num_attention_heads })
    }

    /// Token ids of the segments `[tokens]` to the hidden states of the last `count` layers, the last at the end: each
    /// `[tokens, hidden]`, or `[segments, hidden]` of the first tokens.
    pub(super) fn states(
        &self,
        ids: &Arc<[u32]>,
        segments: &Sequences,
        count: usize,
        rows: Rows,
        pass: &Pass,
    ) -> Result<Vec<Tensor>> {
        let places: Arc<[u32]> = (0..segments.count()).flat_map(|segment| 0..segments.len(segment) as u32).collect();
        let zeros: Arc<[u32]> = vec![0; ids.len()].into();
        let lookups = [(&self.words, ids.clone()), (&self.positions, places), (&self.types, zeros)]
            .map(|(table, ids)| Lookup { table: table.clone(), ids });
        let x = self.norm.forward(&kernels::embedding(&lookups, pass)?, pass)?;
        let mut x = kernels::dropout(&x, segments, self.dropouts.hidden, 0, pass)?;
        let last = self.layers.len() - 1;
        let mut states = Vec::with_capacity(count);
        for (index, layer) in self.layers.iter().enumerate() {
            // of the last layer, nothing reads the rows that are not wanted
            let out = if index == last { rows } else { Rows::All };
            x = layer.forward(&x, segments, out, self, SITES * (index as u32 + 1), pass)?;
            if index + count > last {
                states.push(if rows == out { x.clone() } else { firsts(&x, segments)? });
            }
        }
        Ok(states)
    }
}

impl Layer {
    fn new(maker: &mut Maker, index: usize, sizes: &Sizes) -> Result<Self> {
        let (width, inner, eps) = (sizes.hidden_size, sizes.intermediate_size, sizes.layer_norm_eps);
        let name = |part: &str| format!("bert.encoder.layer.{index}.{part}");
        Ok(Self {
            query: Linear::new(maker, &name("attention.self.query"), width, width)?,
            key: Linear::new(maker, &name("attention.self.key"), width, width)?,
            value: Linear::new(maker, &name("attention.self.value"), width, width)?,
            attended: Linear::new(maker, &name("attention.output.dense"), width, width)?,
            attention_norm: Norm::new(maker, &name("attention.output.LayerNorm"), width, eps)?,
            up: Linear::new(maker, &name("intermediate.dense"), width, inner)?,
            down: Linear::new(maker, &name("output.dense"), inner, width)?,
            norm: Norm::new(maker, &name("output.LayerNorm"), width, eps)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        segments: &Sequences,
        rows: Rows,
        bert: &Bert,
        site: u32,
        pass: &Pass,
    ) -> Result<Tensor> {
        let (q, k, v) = (self.query.forward(x, pass)?, self.key.forward(x, pass)?, self.value.forward(x, pass)?);
        let how = Attention { sequences: segments, heads: bert.heads, dropout: bert.dropouts.attention, site };
        let y = kernels::attention(&q, &k, &v, &how, pass)?;
        let (x, y, segments) = match rows {
            Rows::All => (x.clone(), y, segments.clone()),
            Rows::First => (firsts(x, segments)?, firsts(&y, segments)?, singles(segments)),
        };
        let residual = |site| Residual { sequences: &segments, dropout: bert.dropouts.hidden, site };
        let x = self.attention_norm.residual(&self.attended.forward(&y, pass)?, &x, &residual(site + 1), pass)?;
        let y = kernels::gelu(&self.up.forward(&x, pass)?, pass)?;
        self.norm.residual(&self.down.forward(&y, pass)?, &x, &residual(site + 2), pass)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::Device;

    use super::*;

    #[test]
    fn first_tokens_alone_are_those_of_all() {
        let sizes = Sizes {
            vocab_size: 30,
            hidden_size: 8,
            num_hidden_layers: 3,
            num_attention_heads: 2,
            intermediate_size: 12,
            max_position_embeddings: 8,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
        };
        let mut maker = Maker::new(HashMap::new(), 5, &Device::Cpu).expect("a maker");
        let freeze = Freeze { embeddings: false, layers: 0 };
        let bert = Bert::new(&mut maker, &sizes, Dropouts { hidden: 0.3, attention: 0.2 }, freeze).expect("an encoder");
        let params = maker.finish();
        let ids: Arc<[u32]> = (0..15).map(|i| i * 7 % 30).collect();
        let segments = Sequences { offsets: [0, 5, 6, 13, 15].into(), keys: [11, 22, 33, 44].into() };
        let run = |rows: Rows, pass: &Pass| -> Result<Vec<Vec<f32>>> {
            let states = bert.states(&ids, &segments, 2, rows, pass)?;
            let firsts = states.iter().map(|x| if rows == Rows::All { firsts(x, &segments) } else { Ok(x.clone()) });
            let firsts = firsts.collect::<Result<Vec<_>>>()?;
            let mut numbers = firsts.iter().map(|x| x.flatten_all()?.to_vec1()).collect::<Result<Vec<_>>>()?;
            params.absorb(&firsts[0].mul(&firsts[1])?.sqr()?.sum_all()?.backward()?)?;
            for param in params.iter() {
                numbers.push(param.take_gradient()?.expect("a gradient").flatten_all()?.to_vec1()?);
            }
            Ok(numbers)
        };
        for fused in [true, false] {
            // a dropout mask belongs to a token, whoever else is computed
            let pass = Pass { fused, ..Pass::training(Some(3)) };
            let (first, all) = (run(Rows::First, &pass).expect("states"), run(Rows::All, &pass).expect("states"));
            for (first, all) in first.iter().zip(&all) {
                let scale = all.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
                assert!(first.iter().zip(all).all(|(a, b)| (a - b).abs() < 1e-5 * scale), "{first:?}, {all:?}");
            }
        }
    }
}
