//! From segment vectors to what the classifier reads: positions, a Transformer or an LSTM over the segments, pooling.

use std::sync::Arc;

use candle_core::{Device, Result, Tensor};

use super::kernels::{self, Pass, Sequences};
use super::lstm::Lstm;
use super::params::{Maker, Param, Start};
use super::pooling::Pooling;
use super::transformer::Transformer;
use crate::spec::{self, AggregatorKind, DocumentPooling, LabelAttention, SegmentPositions};

#[derive(Debug)]
pub(super) struct Aggregator {
    positions: Positions,
    reader: Reader,
    output: Output,
    dropout: f64,
}

#[derive(Debug)]
enum Positions {
    None,
    Sinusoidal,
    Learned(Arc<Param>),
}

/// What reads the segments of a document one after the other, if anything does.
#[derive(Debug)]
enum Reader {
    None,
    Transformer(Transformer),
    Lstm(Lstm),
}

/// What the classifier reads.
#[derive(Debug)]
enum Output {
    Segments,
    Documents(Pooling),
}

/// Places of random numbers, beyond those of any encoder.
const SITE: u32 = 1 << 16;
const READER_SITE: u32 = SITE + 4;

impl Aggregator {
    pub(super) fn new(maker: &mut Maker, model: &spec::Model, width: usize) -> Result<Self> {
        let kind = &model.aggregator.kind;
        let dropout = model.aggregator.dropout;
        Ok(Self {
            positions: match model.segment_positions {
                SegmentPositions::None => Positions::None,
                SegmentPositions::Sinusoidal => Positions::Sinusoidal,
                SegmentPositions::Learned => {
                    Positions::Learned(maker.make("seg_pos.weight", (model.max_segments, width), Start::Normal)?)
                }
            },
            reader: match kind {
                AggregatorKind::Transformer(config) => {
                    Reader::Transformer(Transformer::new(maker, config, dropout, width)?)
                }
                AggregatorKind::Lstm(config) => Reader::Lstm(Lstm::new(maker, config.layers, dropout, width)?),
                _ => Reader::None,
            },
            output: Output::new(maker, model, width)?,
            dropout,
        })
    }

    /// Segment vectors [S, hidden] of B documents to [B, hidden], or to [S, hidden] where segments stay apart.
    pub(super) fn forward(&self, segments: &Tensor, documents: &Sequences, pass: &Pass) -> Result<Tensor> {
        let placed = self.place(segments, documents, pass)?;
        let x = kernels::dropout(&placed, documents, self.dropout, SITE, pass)?;
        let (x, rows) = match &self.reader {
            Reader::None => (x, documents.clone()),
            Reader::Transformer(transformer) => transformer.forward(&x, documents, READER_SITE, pass)?,
            Reader::Lstm(lstm) => (lstm.forward(&x, documents, READER_SITE, pass)?, documents.clone()),
        };
        match (&self.output, &self.reader) {
            (Output::Documents(pooling), _) => pooling.forward(&x, &rows, pass),
            (Output::Segments, Reader::Transformer(transformer)) if transformer.has_token() => {
                let is_token = |row: &u32| rows.offsets.binary_search(&(*row as usize)).is_ok();
                let others: Vec<u32> = (0..rows.rows() as u32).filter(|row| !is_token(row)).collect();
                x.index_select(&Tensor::new(others, x.device())?, 0)
            }
            (Output::Segments, _) => Ok(x),
        }
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
}

impl Output {
    fn new(maker: &mut Maker, model: &spec::Model, width: usize) -> Result<Self> {
        if model.label_attention == LabelAttention::LabelWise {
            // the labels read the segments themselves
            return Ok(Self::Segments);
        }
        let pooling = match &model.aggregator.kind {
            AggregatorKind::None | AggregatorKind::LogitMean | AggregatorKind::LogitMax => return Ok(Self::Segments),
            AggregatorKind::Mean => DocumentPooling::Mean,
            AggregatorKind::Max => DocumentPooling::Max,
            AggregatorKind::Attention => DocumentPooling::Attention,
            AggregatorKind::Transformer(transformer) => transformer.pooling,
            AggregatorKind::Lstm(lstm) => lstm.pooling,
        };
        Ok(Self::Documents(match pooling {
            DocumentPooling::Mean => Pooling::Mean,
            DocumentPooling::Max => Pooling::Max,
            DocumentPooling::Token => Pooling::First,
            DocumentPooling::Attention => Pooling::Attention(maker.make("doc_query", width, Start::Normal)?),
        }))
    }
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
