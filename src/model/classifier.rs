//! The whole model: encoder, aggregator, labels.

use std::collections::HashMap;

use candle_core::{Device, Result, Tensor, bail};

use super::aggregator::Aggregator;
use super::batch::{Batch, Document};
use super::bert::{Bert, Dropouts, Sizes};
use super::kernels::{Pass, Precision, Rows, Sequences};
use super::labels::Labels;
use super::params::{Maker, Params, Start};
use super::pooling::Pooling;
use crate::spec::{self, Freeze, SegmentLayers, SegmentPooling};
use crate::text::Special;

/// The hierarchical classifier. Its weights are shared with [`Classifier::params`].
#[derive(Debug)]
pub struct Classifier {
    bert: Bert,
    pooling: Pooling,
    /// Encoder layers, from the top, whose states are averaged.
    depth: usize,
    aggregator: Aggregator,
    labels: Labels,
    /// Most tokens of a segment.
    segment_len: usize,
    /// Nothing of the encoder is trained.
    frozen: bool,
    layers: usize,
    classes: usize,
    params: Params,
}

impl Classifier {
    /// `given` weights by name, the others at random from `seed`. Those of the layers that `model` wants at random are
    /// dropped: weights that were trained with it are for [`Params::set`].
    pub fn new(
        sizes: &Sizes,
        model: &spec::Model,
        classes: usize,
        freeze: Freeze,
        mut given: HashMap<String, Tensor>,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let (layers, width) = (sizes.num_hidden_layers, sizes.hidden_size);
        if let Some((key, what)) = model.misfits(layers, width, freeze).into_iter().next() {
            bail!("model.{key}: {what}");
        }
        for layer in layers - model.reinitialize_layers..layers {
            let prefix = format!("bert.encoder.layer.{layer}.");
            given.retain(|name, _| !name.starts_with(&prefix));
        }
        let mut maker = Maker::new(given, seed, device)?;
        let dropouts = Dropouts { hidden: model.dropout, attention: model.attention_dropout };
        Ok(Self {
            bert: Bert::new(&mut maker, sizes, dropouts, freeze)?,
            pooling: match model.segment_pooling {
                SegmentPooling::Cls => Pooling::First,
                SegmentPooling::Mean => Pooling::Mean,
                SegmentPooling::Max => Pooling::Max,
                SegmentPooling::Attention => Pooling::Attention(maker.make("seg_query", width, Start::Normal)?),
            },
            depth: match model.segment_layers {
                SegmentLayers::Last => 1,
                SegmentLayers::LastFour => 4,
            },
            aggregator: Aggregator::new(&mut maker, model, width)?,
            labels: Labels::new(&mut maker, model, width, classes)?,
            segment_len: model.segment_len,
            frozen: freeze.embeddings && freeze.layers >= layers,
            layers,
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
        self.frozen && !matches!(self.pooling, Pooling::Attention(_))
    }

    /// Starts each label's embedding as the mean of the encoder's last states over the tokens of its name, between
    /// `[CLS]` and `[SEP]`. `names` holds one list of tokens a class, in the order of the classes; what a window does not
    /// hold of a name is left out.
    pub fn name_labels(&self, names: &[Vec<u32>], special: Special) -> Result<()> {
        let mut embeddings = Vec::new();
        for names in names.chunks(NAMES_AT_ONCE) {
            let documents = names.iter().zip(0..).map(|(name, number)| {
                let tokens = name[..name.len().min(self.segment_len - 2)].to_vec();
                Document { number, windows: std::iter::once(0..tokens.len()).collect(), tokens }
            });
            let batch = Batch::new(documents, special);
            let pass = Pass::inference();
            for states in self.bert.states(&batch.ids, &batch.segments, 1, Rows::All, &pass)? {
                embeddings.push(Pooling::Mean.forward(&states, &batch.segments, &pass)?);
            }
        }
        self.labels.set_embeddings(&Tensor::cat(&embeddings, 0)?)
    }

    /// Segments to vectors [S, hidden].
    pub fn encode(&self, batch: &Batch, pass: &Pass) -> Result<Tensor> {
        let still = Pass { gradients: false, noise: None, ..pass.clone() };
        let rows = if matches!(self.pooling, Pooling::First) { Rows::First } else { Rows::All };
        let encoder_pass = if self.frozen { &still } else { pass };
        let states = self.bert.states(&batch.ids, &batch.segments, self.depth, rows, encoder_pass)?;
        let exact = Pass { precision: Precision::F32, ..pass.clone() };
        let pool = |states: &Tensor| self.pooling.forward(states, &batch.segments, &exact);
        match &self.pooling {
            Pooling::First => average(&states),
            // the mean of means is the mean, and smaller
            Pooling::Mean => average(&states.iter().map(pool).collect::<Result<Vec<_>>>()?),
            Pooling::Max | Pooling::Attention(_) => pool(&average(&states)?),
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

/// Label names that go through the encoder together.
const NAMES_AT_ONCE: usize = 16;

fn average(tensors: &[Tensor]) -> Result<Tensor> {
    let Some((first, others)) = tensors.split_first() else { bail!("nothing to average") };
    if others.is_empty() {
        return Ok(first.clone());
    }
    let sum = others.iter().try_fold(first.clone(), |sum, tensor| sum.add(tensor))?;
    sum.affine((tensors.len() as f64).recip(), 0.0)
}
