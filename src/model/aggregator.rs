//! From segment vectors to document vectors: positions, a Transformer over the segments (with PyTorch's weight
//! names), and pooling.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use super::kernels::{self, Attention, Grid, Pass, Residual, Sequences, softmax};
use super::layers::{Linear, Norm};
use super::params::{Maker, Param, Start};
use crate::spec::{self, Activation, DocumentPooling, NormPlace, SegmentPositions};

#[derive(Debug)]
pub(super) struct Aggregator {
    positions: Positions,
    layers: Vec<Layer>,
    /// After the last pre-norm layer.
    norm: Option<Norm>,
    pooling: Pooling,
    dropout: f64,
}

#[derive(Debug)]
enum Positions {
    None,
    Sinusoidal,
    Learned(Arc<Param>),
}

#[derive(Debug)]
enum Pooling {
    Mean,
    Max,
    Token(Arc<Param>),
    Attention(Arc<Param>),
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

/// What the aggregator gives for B documents of S segments in all.
pub(super) struct Aggregated {
    /// [S, hidden]
    pub(super) segments: Tensor,
    /// [B, hidden]
    pub(super) documents: Tensor,
}

/// PyTorch's epsilon.
pub(super) const EPS: f64 = 1e-5;
/// Places of random numbers, beyond those of any encoder.
const SITE: u32 = 1 << 16;
const SITES: u32 = 4;

impl Aggregator {
    pub(super) fn new(maker: &mut Maker, model: &spec::Model, width: usize) -> Result<Self> {
        let config = &model.aggregator;
        let mut layers = Vec::with_capacity(config.layers);
        for index in 0..config.layers {
            layers.push(Layer::new(maker, index, config, width)?);
        }
        let pre = config.norm == NormPlace::Pre && !layers.is_empty();
        Ok(Self {
            positions: match model.segment_positions {
                SegmentPositions::None => Positions::None,
                SegmentPositions::Sinusoidal => Positions::Sinusoidal,
                SegmentPositions::Learned => {
                    Positions::Learned(maker.make("seg_pos.weight", (model.max_segments, width), Start::Normal)?)
                }
            },
            layers,
            norm: if pre { Some(Norm::new(maker, "agg.norm", width, EPS)?) } else { None },
            pooling: match config.pooling {
                DocumentPooling::Mean => Pooling::Mean,
                DocumentPooling::Max => Pooling::Max,
                DocumentPooling::Token => Pooling::Token(maker.make("doc_token", width, Start::Normal)?),
                DocumentPooling::Attention => Pooling::Attention(maker.make("doc_query", width, Start::Normal)?),
            },
            dropout: config.dropout,
        })
    }

    /// Segment vectors [S, hidden] of B documents.
    pub(super) fn forward(&self, segments: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Aggregated> {
        let placed = self.place(segments, documents, pass)?;
        let mut x = kernels::dropout(&placed, documents, self.dropout, SITE, pass)?;
        let with_token;
        let rows = if let Pooling::Token(token) = &self.pooling {
            x = prepend(&token.exact(pass), &x, documents)?;
            with_token = longer(documents);
            &with_token
        } else {
            documents
        };
        for (index, layer) in self.layers.iter().enumerate() {
            x = layer.forward(&x, rows, SITE + SITES * (index as u32 + 1), pass)?;
        }
        if let Some(norm) = &self.norm {
            x = norm.forward(&x, pass)?;
        }
        self.pool(&x, documents, rows, pass)
    }

    fn place(&self, segments: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        let positions = match &self.positions {
            Positions::None => return Ok(segments.clone()),
            Positions::Sinusoidal => sinusoids(documents.longest(), segments.dim(1)?, segments.device())?,
            Positions::Learned(table) => table.exact(pass),
        };
        let places: Vec<u32> = (0..documents.count()).flat_map(|document| 0..documents.len(document) as u32).collect();
        let places = Tensor::from_vec(places, documents.rows(), segments.device())?;
        segments.add(&positions.index_select(&places, 0)?.to_dtype(segments.dtype())?)
    }

    fn pool(&self, x: &Tensor, documents: &Sequences, rows: &Sequences, pass: &Pass) -> Result<Aggregated> {
        if let Pooling::Token(_) = self.pooling {
            let tokens: Vec<u32> = rows.offsets[..rows.count()].iter().map(|start| *start as u32).collect();
            let is_token = |row: &u32| tokens.binary_search(row).is_ok();
            let others: Vec<u32> = (0..rows.rows() as u32).filter(|row| !is_token(row)).collect();
            let select = |of: Vec<u32>| x.index_select(&Tensor::new(of, x.device())?, 0);
            return Ok(Aggregated { segments: select(others)?, documents: select(tokens.clone())? });
        }
        let grid = Grid::new(documents, x.device())?;
        let padded = grid.pad(x)?;
        let valid = grid.valid().to_dtype(x.dtype())?.unsqueeze(2)?;
        let documents = match &self.pooling {
            Pooling::Mean | Pooling::Token(_) => padded.broadcast_mul(&valid)?.sum(1)?.broadcast_div(&valid.sum(1)?)?,
            Pooling::Max => padded.broadcast_add(&grid.additive_mask(x.dtype())?.unsqueeze(2)?)?.max(1)?,
            Pooling::Attention(query) => {
                let scores = padded.broadcast_mul(&query.exact(pass))?.sum(2)?;
                let weights = softmax(&scores.add(&grid.additive_mask(x.dtype())?)?)?;
                padded.broadcast_mul(&weights.unsqueeze(2)?)?.sum(1)?
            }
        };
        Ok(Aggregated { segments: x.clone(), documents })
    }
}

impl Layer {
    fn new(maker: &mut Maker, index: usize, config: &spec::Aggregator, width: usize) -> Result<Self> {
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
            dropout: config.dropout,
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
        let projected = self.projections.forward(x, pass)?;
        let how = Attention { sequences: rows, heads: self.heads, dropout: self.dropout, site };
        self.attended.forward(&kernels::attention(&projected, &how, pass)?, pass)
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

/// Fixed positions (Vaswani 2017), [count, width].
fn sinusoids(count: usize, width: usize, device: &Device) -> Result<Tensor> {
    let value = |place: usize, column: usize| {
        let angle = place as f64 * (-(10_000f64.ln()) * (column / 2 * 2) as f64 / width as f64).exp();
        (if column.is_multiple_of(2) { angle.sin() } else { angle.cos() }) as f32
    };
    let table: Vec<f32> = (0..count).flat_map(|place| (0..width).map(move |column| value(place, column))).collect();
    Tensor::from_vec(table, (count, width), device)
}
