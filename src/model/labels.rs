//! What labels add, and the classifier: from vectors of documents or of their segments to logits.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

use super::kernels::{self, Grid, Pass, Sequences, mix, softmax};
use super::layers::{Linear, Norm};
use super::params::{Maker, Param, Start};
use super::pooling::Pooling;
use super::transformer::EPS;
use crate::spec::{self, AggregatorKind, LabelAttention};

#[derive(Debug)]
pub(super) struct Labels {
    kind: Kind,
    classifier: Linear,
    dropout: f64,
}

#[derive(Debug)]
enum Kind {
    /// The classifier reads the documents.
    None,
    /// The documents attend to the labels.
    Doc { attention: Attention, norm: Option<Norm> },
    /// The labels attend to the segments (CAML; Mullenbach 2018).
    LabelWise(Attention),
    /// The classifier reads each segment on its own, and the logits are pooled.
    Segments(Pooling),
}

#[derive(Debug)]
struct Attention {
    /// One row a class.
    embeddings: Arc<Param>,
    /// Of what asks, and of what is asked.
    projections: Option<(Linear, Linear)>,
    scale: f64,
}

/// The place of the head's random numbers.
const SITE: u32 = 1 << 24;

impl Labels {
    pub(super) fn new(maker: &mut Maker, model: &spec::Model, width: usize, classes: usize) -> Result<Self> {
        let kind = match (&model.aggregator.kind, model.label_attention) {
            (AggregatorKind::LogitMean, _) => Kind::Segments(Pooling::Mean),
            (AggregatorKind::LogitMax, _) => Kind::Segments(Pooling::Max),
            (_, LabelAttention::None) => Kind::None,
            (_, LabelAttention::Doc) => Kind::Doc {
                attention: Attention::new(maker, model, width, classes)?,
                norm: if model.label_norm { Some(Norm::new(maker, "label_ln", width, EPS)?) } else { None },
            },
            (_, LabelAttention::LabelWise) => Kind::LabelWise(Attention::new(maker, model, width, classes)?),
        };
        let classifier = Linear::new(maker, "classifier", width, classes)?;
        Ok(Self { kind, classifier, dropout: model.head_dropout })
    }

    /// Sets the label embeddings, [classes, width].
    pub(super) fn set_embeddings(&self, values: &Tensor) -> Result<()> {
        let (Kind::Doc { attention, .. } | Kind::LabelWise(attention)) = &self.kind else {
            bail!("the model has no label embeddings: it has no label attention")
        };
        let var = attention.embeddings.var();
        if values.dims() != var.dims() {
            bail!("label embeddings are {:?}, not {:?}", var.dims(), values.dims());
        }
        var.set(&values.to_dtype(var.dtype())?)
    }

    /// Vectors of B documents [B, hidden], or of their segments [S, hidden] where it reads those, to logits
    /// [B, classes].
    pub(super) fn forward(&self, x: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        match &self.kind {
            Kind::None => self.classify(x, &documents.singles(), pass),
            Kind::Doc { attention, norm } => {
                let labels = attention.embeddings.exact(pass);
                let (queries, keys) = attention.project(x, &labels, pass)?;
                let weights = softmax(&queries.matmul(&keys.t()?)?.affine(attention.scale, 0.0)?)?;
                let mut joined = x.add(&weights.matmul(&labels)?)?;
                if let Some(norm) = norm {
                    joined = norm.forward(&joined, pass)?;
                }
                self.classify(&joined, &documents.singles(), pass)
            }
            Kind::LabelWise(attention) => self.by_label(attention, x, documents, pass),
            Kind::Segments(pooling) => pooling.forward(&self.classify(x, documents, pass)?, documents, pass),
        }
    }

    fn classify(&self, x: &Tensor, rows: &Sequences, pass: &Pass) -> Result<Tensor> {
        self.classifier.forward(&kernels::dropout(x, rows, self.dropout, SITE, pass)?, pass)
    }

    /// Each label reads the segments with its own attention; its logit is its own product.
    fn by_label(&self, attention: &Attention, segments: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        let (queries, keys) = attention.project(&attention.embeddings.exact(pass), segments, pass)?;
        let grid = Grid::new(documents, segments.device())?;
        let scores = grid.pad(&keys.matmul(&queries.t()?)?)?.transpose(1, 2)?.affine(attention.scale, 0.0)?;
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

impl Attention {
    fn new(maker: &mut Maker, model: &spec::Model, width: usize, classes: usize) -> Result<Self> {
        let embeddings = maker.make("label_emb", (classes, width), Start::Normal)?;
        let projections = if model.label_projection {
            let query = Linear::without_bias(maker, "label_q", width, width)?;
            Some((query, Linear::without_bias(maker, "label_k", width, width)?))
        } else {
            None
        };
        let scale = if model.label_scale { (width as f64).sqrt().recip() } else { 1.0 };
        Ok(Self { embeddings, projections, scale })
    }

    fn project(&self, queries: &Tensor, keys: &Tensor, pass: &Pass) -> Result<(Tensor, Tensor)> {
        match &self.projections {
            Some((query, key)) => Ok((query.forward(queries, pass)?, key.forward(keys, pass)?)),
            None => Ok((queries.clone(), keys.clone())),
        }
    }
}
