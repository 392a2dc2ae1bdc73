//! `[model]`: the hierarchical classifier, from windows to logits.

use serde::{Deserialize, Serialize};

use super::pretrained::Pretrained;
use super::reader::{Floats, Reader};

/// `[model]`. Lengths are in tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub encoder: Encoder,
    /// Window length, `[CLS]` and `[SEP]` included.
    pub segment_len: usize,
    /// Step between the starts of two windows (not their overlap).
    pub stride: usize,
    pub max_segments: usize,
    /// Which windows of a document that has more than `max_segments`.
    pub keep: Keep,
    pub segment_pooling: SegmentPooling,
    pub segment_positions: SegmentPositions,
    /// Hidden dropout of the encoder.
    pub dropout: f64,
    pub attention_dropout: f64,
    pub aggregator: Aggregator,
    pub label_attention: LabelAttention,
    /// Divide label scores by the square root of the hidden size; unscaled ones saturate.
    pub label_scale: bool,
    /// Learned projections of the document (or segments) and of the labels before they meet.
    pub label_projection: bool,
    /// LayerNorm after the document joined its labels.
    pub label_norm: bool,
    pub head_dropout: f64,
}

/// Where the segment encoder comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoder {
    /// Trained from random weights, with a vocabulary made from the corpus.
    Scratch(Scratch),
    /// In the Hugging Face layout: a directory, or a model of a hub.
    Pretrained(Pretrained),
}

/// Sizes of an encoder that starts from nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scratch {
    pub tokenizer: TokenizerKind,
    /// Most entries of the vocabulary, special tokens included.
    pub vocabulary: usize,
    pub hidden: usize,
    pub layers: usize,
    pub heads: usize,
    pub intermediate: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenizerKind {
    /// One token a character.
    Char,
    /// Chinese by character, other scripts by learned pieces.
    Wordpiece,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    Head,
    Tail,
    Headtail,
    Even,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentPooling {
    /// The vector of `[CLS]`.
    Cls,
    /// The mean over the window's tokens.
    Mean,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentPositions {
    None,
    Sinusoidal,
    Learned,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregator {
    pub kind: AggregatorKind,
    /// Transformer layers over the segment vectors; 0: they are only pooled.
    pub layers: usize,
    pub heads: usize,
    /// Inner size of the feed-forward blocks; none: four times the hidden size.
    pub feed_forward: Option<usize>,
    pub activation: Activation,
    pub norm: NormPlace,
    /// How the transformer's outputs become one document vector.
    pub pooling: DocumentPooling,
    pub dropout: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AggregatorKind {
    /// Segment vectors stay apart: label-wise attention reads them directly.
    None,
    Mean,
    Max,
    Attention,
    Transformer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentPooling {
    Mean,
    Max,
    /// A learned token in front of the segments.
    Token,
    Attention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    Gelu,
    Relu,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlace {
    Pre,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelAttention {
    None,
    /// The document vector attends to learned label embeddings.
    Doc,
    /// Every label attends to the segments (CAML; Mullenbach 2018).
    LabelWise,
}

impl Model {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let encoder = Encoder::read(reader);
        let segment_len = reader.integer("segment_len", 128, 3..=100_000);
        let capacity = segment_len - 2;
        let stride = reader.integer("stride", (capacity * 3 / 4).max(1), 1..=usize::MAX);
        if stride > capacity {
            reader.problem(
                "stride",
                format!(
                    "{stride} would skip text: at most segment_len - 2 = {capacity} (it is the step, not the overlap)"
                ),
            );
        }
        let model = Self {
            segment_len,
            stride,
            max_segments: reader.integer("max_segments", 32, 1..=100_000),
            keep: reader.choice("keep", Keep::Head),
            segment_pooling: reader.choice("segment_pooling", SegmentPooling::Cls),
            segment_positions: reader.choice("segment_positions", SegmentPositions::Learned),
            dropout: reader.float("dropout", 0.1, Floats::Fraction),
            attention_dropout: reader.float("attention_dropout", 0.1, Floats::Fraction),
            aggregator: reader.section("aggregator", Aggregator::read),
            label_attention: reader.choice("label_attention", LabelAttention::Doc),
            label_scale: reader.flag("label_scale", true),
            label_projection: reader.flag("label_projection", false),
            label_norm: reader.flag("label_norm", false),
            head_dropout: reader.float("head_dropout", 0.1, Floats::Fraction),
            encoder,
        };
        model.check(reader);
        model
    }

    fn check(&self, reader: &mut Reader<'_>) {
        let aggregator = &self.aggregator;
        if aggregator.kind == AggregatorKind::None && self.label_attention != LabelAttention::LabelWise {
            reader.problem(
                "aggregator",
                "kind \"none\" needs label_attention = \"label-wise\": nothing else would join the segments",
            );
        }
        if aggregator.pooling == DocumentPooling::Attention && self.label_attention == LabelAttention::LabelWise {
            let what = "attention pooling would be used by nothing: label-wise attention reads the segments themselves";
            reader.problem("aggregator", what);
        }
        if let Encoder::Scratch(scratch) = &self.encoder
            && aggregator.layers > 0
            && !scratch.hidden.is_multiple_of(aggregator.heads)
        {
            let (hidden, heads) = (scratch.hidden, aggregator.heads);
            reader.problem("aggregator", format!("heads ({heads}) must divide model.hidden ({hidden})"));
        }
    }
}

/// `encoder` where there is no pretrained one.
const SCRATCH: &str = "scratch";

impl Encoder {
    /// The pretrained encoder that a value of `encoder` names, if it names one.
    pub(super) fn named(value: &str) -> Option<Pretrained> {
        if value == SCRATCH { None } else { Pretrained::parse(value).ok() }
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let name = reader.text("encoder").unwrap_or_else(|| SCRATCH.to_owned());
        let given: Vec<&str> = ["tokenizer", "vocabulary", "hidden", "layers", "heads", "intermediate"]
            .into_iter()
            .filter(|key| reader.has(key))
            .collect();
        let hidden = reader.integer("hidden", 128, 1..=65_536);
        let scratch = Scratch {
            tokenizer: reader.choice("tokenizer", TokenizerKind::Char),
            vocabulary: reader.integer("vocabulary", 8_000, 10..=1_000_000),
            hidden,
            layers: reader.integer("layers", 2, 1..=200),
            heads: reader.integer("heads", 2, 1..=1_000),
            intermediate: reader.integer("intermediate", 4 * hidden, 1..=1_000_000),
        };
        if name == SCRATCH {
            if !hidden.is_multiple_of(scratch.heads) {
                reader.problem("heads", format!("{} heads must divide hidden ({hidden})", scratch.heads));
            }
            return Self::Scratch(scratch);
        }
        for key in given {
            reader.problem(key, format!("only for encoder = \"scratch\"; {name:?} brings its own"));
        }
        Self::Pretrained(Pretrained::parse(&name).unwrap_or_else(|what| {
            reader.problem("encoder", what);
            Pretrained { name, revision: None }
        }))
    }
}

impl Aggregator {
    fn read(reader: &mut Reader<'_>) -> Self {
        let kind = reader.choice("kind", AggregatorKind::Transformer);
        let transformer = kind == AggregatorKind::Transformer;
        for key in ["layers", "heads", "feed_forward", "activation", "norm", "pooling"] {
            if !transformer && reader.has(key) {
                reader.problem(key, "only for kind = \"transformer\"");
            }
        }
        let layers = reader.integer("layers", 1, 0..=100);
        let pooling = reader.choice("pooling", DocumentPooling::Mean);
        let aggregator = Self {
            kind,
            layers: if transformer { layers } else { 0 },
            heads: reader.integer("heads", 4, 1..=1_000),
            feed_forward: reader.optional_integer("feed_forward", 1..=1_000_000),
            activation: reader.choice("activation", Activation::Gelu),
            norm: reader.choice("norm", NormPlace::Pre),
            pooling: match kind {
                AggregatorKind::Transformer => pooling,
                AggregatorKind::None | AggregatorKind::Mean => DocumentPooling::Mean,
                AggregatorKind::Max => DocumentPooling::Max,
                AggregatorKind::Attention => DocumentPooling::Attention,
            },
            dropout: reader.float("dropout", 0.1, Floats::Fraction),
        };
        if transformer && layers == 0 && pooling == DocumentPooling::Token {
            reader.problem("pooling", "\"token\" needs at least one layer to read the segments");
        }
        aggregator
    }
}
