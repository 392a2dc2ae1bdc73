//! The segment encoder: BERT (Devlin 2019) with Hugging Face's weight names, differentiable and with dropout. That of
//! candle-transformers has neither gradients (its LayerNorm cuts the graph) nor dropout.

use std::sync::Arc;

use candle_core::{DType, Result, Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::kernels::{self, Affine, Block, Lookup, Pass, Rows, Sequences};
use super::layers::Norm;
use super::params::{Maker, Param, Start};
use super::pooling::firsts;
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

impl Sizes {
    /// Of an encoder that tests train in no time.
    #[cfg(test)]
    pub(crate) fn small() -> Self {
        Self {
            vocab_size: 30,
            hidden_size: 16,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            intermediate_size: 32,
            max_position_embeddings: 32,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
        }
    }
}

/// Multiplications of the products of one layer for a segment of so many tokens, each with its addition.
pub fn multiply_adds(sizes: &Sizes, tokens: usize) -> f64 {
    let (tokens, hidden, inner) = (tokens as f64, sizes.hidden_size as f64, sizes.intermediate_size as f64);
    tokens * (4.0 * hidden * hidden + 2.0 * hidden * inner) + 2.0 * tokens * tokens * hidden
}

#[derive(Debug)]
pub(super) struct Bert {
    words: Arc<Param>,
    positions: Arc<Param>,
    types: Arc<Param>,
    norm: Norm,
    layers: Vec<Arc<Block>>,
    dropout: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Dropouts {
    pub(super) hidden: f64,
    pub(super) attention: f64,
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
            layers.push(Arc::new(layer(maker, index, sizes, dropouts)?));
        }
        maker.frozen = false;
        Ok(Self { words, positions, types, norm, layers, dropout: dropouts.hidden })
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
        let mut x = kernels::dropout(&x, segments, self.dropout, 0, pass)?;
        let last = self.layers.len() - 1;
        let mut states = Vec::with_capacity(count);
        for (index, layer) in self.layers.iter().enumerate() {
            let site = SITES * (index as u32 + 1);
            // of the last layer, nothing reads the rows that are not wanted
            let out = if index == last { rows } else { Rows::All };
            x = kernels::block(&x, layer, segments, out, site, pass)?;
            if index + count > last {
                let are_firsts = index == last || rows == Rows::All;
                let wanted = if are_firsts { x.clone() } else { firsts(&x, segments)? };
                states.push(wanted.to_dtype(DType::F32)?);
            }
        }
        Ok(states)
    }
}

fn layer(maker: &mut Maker, index: usize, sizes: &Sizes, dropouts: Dropouts) -> Result<Block> {
    let (width, inner) = (sizes.hidden_size, sizes.intermediate_size);
    let mut affine = |part: &str, weight: Shape, start: Start| -> Result<Affine> {
        let name = format!("bert.encoder.layer.{index}.{part}");
        let bias = maker.make(&format!("{name}.bias"), weight.dims()[0], Start::Zeros)?;
        Ok(Affine { weight: maker.make(&format!("{name}.weight"), weight, start)?, bias })
    };
    Ok(Block {
        query: affine("attention.self.query", (width, width).into(), Start::Normal)?,
        key: affine("attention.self.key", (width, width).into(), Start::Normal)?,
        value: affine("attention.self.value", (width, width).into(), Start::Normal)?,
        attended: affine("attention.output.dense", (width, width).into(), Start::Normal)?,
        attention_norm: affine("attention.output.LayerNorm", width.into(), Start::Ones)?,
        up: affine("intermediate.dense", (inner, width).into(), Start::Normal)?,
        down: affine("output.dense", (width, inner).into(), Start::Normal)?,
        norm: affine("output.LayerNorm", width.into(), Start::Ones)?,
        heads: sizes.num_attention_heads,
        eps: sizes.layer_norm_eps,
        dropout: dropouts.hidden,
        attention_dropout: dropouts.attention,
    })
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
                let gradient = param.take_gradient().to_tensor(param.value().dims())?.expect("a gradient");
                numbers.push(gradient.flatten_all()?.to_vec1()?);
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
