//! The whole model: encoder, aggregator, labels.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor};

use super::aggregator::Aggregator;
use super::batch::Batch;
use super::bert::{Bert, Dropouts, Sizes};
use super::kernels::{Grid, Pass, Precision, Sequences};
use super::labels::Labels;
use super::params::{Maker, Params};
use crate::spec::{self, Freeze, SegmentPooling};

/// The hierarchical classifier. Its weights are shared with [`Classifier::params`].
#[derive(Debug)]
pub struct Classifier {
    bert: Bert,
    aggregator: Aggregator,
    labels: Labels,
    pooling: SegmentPooling,
    /// Nothing of the encoder is trained.
    frozen: bool,
    layers: usize,
    classes: usize,
    params: Params,
}

impl Classifier {
    /// `given` weights by name, the others at random from `seed`.
    pub fn new(
        sizes: &Sizes,
        model: &spec::Model,
        classes: usize,
        freeze: Freeze,
        given: HashMap<String, Tensor>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let mut maker = Maker::new(given, seed, device)?;
        let dropouts = Dropouts { hidden: model.dropout, attention: model.attention_dropout };
        Ok(Self {
            bert: Bert::new(&mut maker, sizes, dropouts, freeze)?,
            aggregator: Aggregator::new(&mut maker, model, sizes.hidden_size)?,
            labels: Labels::new(&mut maker, model, sizes.hidden_size, classes)?,
            pooling: model.segment_pooling,
            frozen: freeze.embeddings && freeze.layers >= sizes.num_hidden_layers,
            layers: sizes.num_hidden_layers,
            classes,
            params: maker.finish(),
        })
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    pub fn encoder_layers(&self) -> usize {
        self.layers
    }

    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Whether segment vectors never change while it is trained.
    pub fn has_frozen_encoder(&self) -> bool {
        self.frozen
    }

    /// Segments to vectors [S, hidden].
    pub fn encode(&self, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let still = Pass::inference();
        let pass = if self.frozen { &Pass { fused: pass.fused, precision: pass.precision, ..still } } else { pass };
        let states = self.bert.forward(&batch.ids, &batch.segments, pass)?.to_dtype(DType::F32)?;
        match self.pooling {
            SegmentPooling::Cls => {
                let first = &batch.segments.offsets[..batch.segments.count()];
                let first: Vec<u32> = first.iter().map(|start| *start as u32).collect();
                states.index_select(&Tensor::new(first, states.device())?, 0)
            }
            SegmentPooling::Mean => {
                let grid = Grid::new(&batch.segments, states.device())?;
                let valid = grid.valid().to_dtype(states.dtype())?.unsqueeze(2)?;
                grid.pad(&states)?.broadcast_mul(&valid)?.sum(1)?.broadcast_div(&valid.sum(1)?)
            }
        }
    }

    /// Segment vectors [S, hidden] of B documents to logits [B, classes].
    pub fn classify(&self, segments: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        // what stands above the segments is small and decides: always f32
        let pass = &Pass { precision: Precision::F32, ..pass.clone() };
        let aggregated = self.aggregator.forward(segments, documents, pass)?;
        self.labels.forward(&aggregated, documents, pass)
    }

    /// Logits [B, classes].
    pub fn forward(&self, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        self.classify(&self.encode(batch, pass)?, &batch.documents, pass)
    }
}
