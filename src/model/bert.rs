//! The segment encoder: BERT (Devlin 2019) with Hugging Face's weight names, differentiable and with dropout. That of
//! candle-transformers has neither gradients (its LayerNorm cuts the graph) nor dropout.

use std::sync::Arc;

use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::kernels::{self, Attention, Lookup, Pass, Residual, Sequences};
use super::layers::{Linear, Norm};
use super::params::{Maker, Param, Start};
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

    /// Token ids of the segments `[tokens]` to their last hidden states `[tokens, hidden]`.
    pub(super) fn forward(&self, ids: &Arc<[u32]>, segments: &Sequences, pass: &Pass) -> Result<Tensor> {
        let places: Arc<[u32]> = (0..segments.count()).flat_map(|segment| 0..segments.len(segment) as u32).collect();
        let zeros: Arc<[u32]> = vec![0; ids.len()].into();
        let lookups = [(&self.words, ids.clone()), (&self.positions, places), (&self.types, zeros)]
            .map(|(table, ids)| Lookup { table: table.clone(), ids });
        let x = self.norm.forward(&kernels::embedding(&lookups, pass)?, pass)?;
        let mut x = kernels::dropout(&x, segments, self.dropouts.hidden, 0, pass)?;
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, segments, self, SITES * (index as u32 + 1), pass)?;
        }
        Ok(x)
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

    fn forward(&self, x: &Tensor, segments: &Sequences, bert: &Bert, site: u32, pass: &Pass) -> Result<Tensor> {
        let (q, k, v) = (self.query.forward(x, pass)?, self.key.forward(x, pass)?, self.value.forward(x, pass)?);
        let how = Attention { sequences: segments, heads: bert.heads, dropout: bert.dropouts.attention, site };
        let y = self.attended.forward(&kernels::attention(&q, &k, &v, &how, pass)?, pass)?;
        let residual = |site| Residual { sequences: segments, dropout: bert.dropouts.hidden, site };
        let x = self.attention_norm.residual(&y, x, &residual(site + 1), pass)?;
        let y = kernels::gelu(&self.up.forward(&x, pass)?, pass)?;
        self.norm.residual(&self.down.forward(&y, pass)?, &x, &residual(site + 2), pass)
    }
}
