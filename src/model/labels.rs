//! Label attention and the classifier: document vectors to logits.

use std::sync::Arc;

use candle_core::{Result, Tensor};

use super::aggregator::{Aggregated, EPS};
use super::kernels::{self, Grid, Pass, Sequences, mix, softmax};
use super::layers::{Linear, Norm};
use super::params::{Maker, Param, Start};
use crate::spec::{self, LabelAttention};

#[derive(Debug)]
pub(super) struct Labels {
    kind: LabelAttention,
    /// One row a class; none without label attention.
    embeddings: Option<Arc<Param>>,
    /// Of the document (or of the labels, label-wise), and of what it is compared with.
    projections: Option<(Linear, Linear)>,
    norm: Option<Norm>,
    classifier: Linear,
    scale: f64,
    dropout: f64,
}

/// The place of the head's random numbers.
const SITE: u32 = 1 << 24;

impl Labels {
    pub(super) fn new(maker: &mut Maker, model: &spec::Model, width: usize, classes: usize) -> Result<Self> {
        let attends = model.label_attention != LabelAttention::None;
        let embeddings = if attends { Some(maker.make("label_emb", (classes, width), Start::Normal)?) } else { None };
        let projections = if attends && model.label_projection {
            let query = Linear::without_bias(maker, "label_q", width, width)?;
            Some((query, Linear::without_bias(maker, "label_k", width, width)?))
        } else {
            None
        };
        let norm = if model.label_attention == LabelAttention::Doc && model.label_norm {
            Some(Norm::new(maker, "label_ln", width, EPS)?)
        } else {
            None
        };
        Ok(Self {
            kind: model.label_attention,
            embeddings,
            projections,
            norm,
            classifier: Linear::new(maker, "classifier", width, classes)?,
            scale: if model.label_scale { (width as f64).sqrt().recip() } else { 1.0 },
            dropout: model.head_dropout,
        })
    }

    /// Logits [B, classes].
    pub(super) fn forward(&self, x: &Aggregated, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        match (&self.embeddings, self.kind) {
            (Some(labels), LabelAttention::Doc) => self.by_document(&x.documents, &labels.exact(pass), documents, pass),
            (Some(labels), LabelAttention::LabelWise) => {
                self.by_label(&x.segments, &labels.exact(pass), documents, pass)
            }
            _ => self.classify(&x.documents, documents, pass),
        }
    }

    fn by_document(&self, x: &Tensor, labels: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        let (query, key) = match &self.projections {
            Some((query, key)) => (query.forward(x, pass)?, key.forward(labels, pass)?),
            None => (x.clone(), labels.clone()),
        };
        let weights = softmax(&query.matmul(&key.t()?)?.affine(self.scale, 0.0)?)?;
        let mut joined = x.add(&weights.matmul(labels)?)?;
        if let Some(norm) = &self.norm {
            joined = norm.forward(&joined, pass)?;
        }
        self.classify(&joined, documents, pass)
    }

    fn classify(&self, x: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        let one_row_each = Sequences { offsets: (0..=documents.count()).collect(), keys: documents.keys.clone() };
        self.classifier.forward(&kernels::dropout(x, &one_row_each, self.dropout, SITE, pass)?, pass)
    }

    /// Each label reads the segments with its own attention; its logit is its own product.
    fn by_label(&self, segments: &Tensor, labels: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        let (query, keys) = match &self.projections {
            Some((query, key)) => (query.forward(labels, pass)?, key.forward(segments, pass)?),
            None => (labels.clone(), segments.clone()),
        };
        let grid = Grid::new(documents, segments.device())?;
        let scores = grid.pad(&keys.matmul(&query.t()?)?)?.transpose(1, 2)?.affine(self.scale, 0.0)?;
        let scores = scores.broadcast_add(&grid.additive_mask(segments.dtype())?.unsqueeze(1)?)?;
        let read = softmax(&scores)?.matmul(&grid.pad(segments)?)?;
        let (count, classes, width) = read.dims3()?;
        let rows = Sequences {
            offsets: (0..=count).map(|document| document * classes).collect(),
            keys: documents.keys.iter().map(|key| mix(*key)).collect(),
        };
        let read = read.reshape((count * classes, width))?;
        let read = kernels::dropout(&read, &rows, self.dropout, SITE, pass)?.reshape((count, classes, width))?;
        let logits = read.broadcast_mul(&self.classifier.weight.exact(pass))?.sum(2)?;
        match &self.classifier.bias {
            Some(bias) => logits.broadcast_add(&bias.exact(pass)),
            None => Ok(logits),
        }
    }
}
