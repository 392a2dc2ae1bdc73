//! A Transformer over the segments of each document (Vaswani 2017), with PyTorch's weight names.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::kernels::{self, Attention, Pass, Residual, Sequences};
use super::layers::{Linear, Norm};
use super::params::{Maker, Param, Start};
use crate::spec::{self, Activation, DocumentPooling, NormPlace};

#[derive(Debug)]
pub(super) struct Transformer {
    /// Stands in front of the segments and reads them.
    token: Option<Arc<Param>>,
    layers: Vec<Layer>,
    /// After the last pre-norm layer.
    norm: Option<Norm>,
}

#[derive(Debug)]
struct Layer {
    projections: Linear,
    attended: Linear,
    attention_norm: Norm,
    up: Linear,
    down: Linear,
    norm: Norm,
    heads: usize,
    activation: Activation,
    place: NormPlace,
    dropout: f64,
}

/// PyTorch's epsilon.
pub(super) const EPS: f64 = 1e-5;
/// Places of random numbers in a layer.
const SITES: u32 = 4;

impl Transformer {
    pub(super) fn new(maker: &mut Maker, config: &spec::Transformer, dropout: f64, width: usize) -> Result<Self> {
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            layers.push(Layer::new(maker, index, config, dropout, width)?);
        }
        let pre = config.norm == NormPlace::Pre && !layers.is_empty();
        let token = config.pooling == DocumentPooling::Token;
        Ok(Self {
            token: if token { Some(maker.make("doc_token", width, Start::Normal)?) } else { None },
            layers,
            norm: if pre { Some(Norm::new(maker, "agg.norm", width, EPS)?) } else { None },
        })
    }

    /// Whether every document has a row more than it has segments, in front of them.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// Segments [S, width] to the outputs and their documents.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        documents: &Sequences,
        site: u32,
        pass: &Pass,
    ) -> Result<(Tensor, Sequences)> {
        let (mut x, rows) = match &self.token {
            Some(token) => (prepend(&token.exact(pass), x, documents)?, longer(documents)),
            None => (x.clone(), documents.clone()),
        };
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, &rows, site + SITES * index as u32, pass)?;
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(&x, pass)?;
        }
        Ok((x, rows))
    }
}

impl Layer {
    fn new(maker: &mut Maker, index: usize, config: &spec::Transformer, dropout: f64, width: usize) -> Result<Self> {
        let name = |part: &str| format!("agg.layers.{index}.{part}");
        let inner = config.feed_forward.unwrap_or(4 * width);
        // PyTorch names the packed projections without a dot
        let projections = Linear {
            weight: maker.make(&name("self_attn.in_proj_weight"), (3 * width, width), Start::Normal)?,
            bias: Some(maker.make(&name("self_attn.in_proj_bias"), 3 * width, Start::Zeros)?),
        };
        Ok(Self {
            projections,
            attended: Linear::new(maker, &name("self_attn.out_proj"), width, width)?,
            attention_norm: Norm::new(maker, &name("norm1"), width, EPS)?,
            up: Linear::new(maker, &name("linear1"), width, inner)?,
            down: Linear::new(maker, &name("linear2"), inner, width)?,
            norm: Norm::new(maker, &name("norm2"), width, EPS)?,
            heads: config.heads,
            activation: config.activation,
            place: config.norm,
            dropout,
        })
    }

    fn forward(&self, x: &Tensor, rows: &Sequences, site: u32, pass: &Pass) -> Result<Tensor> {
        let residual = |site| Residual { sequences: rows, dropout: self.dropout, site };
        let drop = |x: &Tensor, site| kernels::dropout(x, rows, self.dropout, site, pass);
        match self.place {
            NormPlace::Pre => {
                let y = self.attend(&self.attention_norm.forward(x, pass)?, rows, site, pass)?;
                let x = x.add(&drop(&y, site + 1)?)?;
                let y = self.feed(&self.norm.forward(&x, pass)?, rows, site + 2, pass)?;
                x.add(&drop(&y, site + 3)?)
            }
            NormPlace::Post => {
                let y = self.attend(x, rows, site, pass)?;
                let x = self.attention_norm.residual(&y, x, &residual(site + 1), pass)?;
                let y = self.feed(&x, rows, site + 2, pass)?;
                self.norm.residual(&y, &x, &residual(site + 3), pass)
            }
        }
    }

    fn attend(&self, x: &Tensor, rows: &Sequences, site: u32, pass: &Pass) -> Result<Tensor> {
        let width = x.dim(1)?;
        let projected = self.projections.forward(x, pass)?;
        let (q, kv) = (projected.narrow(1, 0, width)?, projected.narrow(1, width, 2 * width)?);
        let how = Attention { sequences: rows, heads: self.heads, dropout: self.dropout, site };
        self.attended.forward(&kernels::attention(&q, &kv, &how, pass)?, pass)
    }

    fn feed(&self, x: &Tensor, rows: &Sequences, site: u32, pass: &Pass) -> Result<Tensor> {
        let y = self.up.forward(x, pass)?;
        let y = match self.activation {
            Activation::Gelu => kernels::gelu(&y, pass)?,
            // candle's relu has slope 1 at 0, PyTorch's 0
            Activation::Relu => y.mul(&y.gt(0.0)?.to_dtype(y.dtype())?)?,
        };
        self.down.forward(&kernels::dropout(&y, rows, self.dropout, site, pass)?, pass)
    }
}

/// A learned row in front of every document's segments.
fn prepend(token: &Tensor, segments: &Tensor, documents: &Sequences) -> Result<Tensor> {
    let all = Tensor::cat(&[&token.unsqueeze(0)?, segments], 0)?;
    let mut rows = Vec::with_capacity(documents.rows() + documents.count());
    for document in 0..documents.count() {
        rows.push(0u32);
        rows.extend((documents.offsets[document] as u32 + 1)..=(documents.offsets[document + 1] as u32));
    }
    all.index_select(&Tensor::new(rows, segments.device())?, 0)
}

fn longer(documents: &Sequences) -> Sequences {
    let offsets = documents.offsets.iter().enumerate().map(|(index, offset)| offset + index).collect();
    Sequences { offsets, keys: documents.keys.clone() }
}
