//! `[model.aggregator]`: how the segments of a document become one answer.

use serde::{Deserialize, Serialize};

use super::preset::Defaults;
use super::reader::{Floats, Reader};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregator {
    #[serde(flatten)]
    pub kind: AggregatorKind,
    /// Of the segment vectors that it reads, and inside it.
    pub dropout: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AggregatorKind {
    /// Segment vectors stay apart: label-wise attention reads them directly.
    None,
    Mean,
    Max,
    Attention,
    Transformer(Transformer),
    Lstm(Lstm),
    /// Every segment is classified on its own; a document's logits are the mean of its segments'.
    LogitMean,
    /// The same, with the largest of the segments' logits of each class.
    LogitMax,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transformer {
    /// Over the segment vectors; 0: they are only pooled.
    pub layers: usize,
    pub heads: usize,
    /// Inner size of the feed-forward blocks; none: four times the hidden size.
    pub feed_forward: Option<usize>,
    pub activation: Activation,
    pub norm: NormPlace,
    /// How its outputs become one document vector.
    pub pooling: DocumentPooling,
}

/// Bidirectional; each direction has half the hidden size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lstm {
    pub layers: usize,
    /// How its outputs become one document vector.
    pub pooling: DocumentPooling,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DocumentPooling {
    Mean,
    Max,
    /// A learned token in front of the segments (Transformer only).
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    None,
    Mean,
    Max,
    Attention,
    Transformer,
    Lstm,
    LogitMean,
    LogitMax,
}

impl Aggregator {
    pub(super) fn read(reader: &mut Reader<'_>, defaults: &Defaults) -> Self {
        let name = reader.choice("kind", Name::Transformer);
        let is_lstm = name == Name::Lstm;
        let is_transformer = name == Name::Transformer;
        for (key, fits, kinds) in [
            ("layers", is_transformer || is_lstm, "\"transformer\" or \"lstm\""),
            ("heads", is_transformer, "\"transformer\""),
            ("feed_forward", is_transformer, "\"transformer\""),
            ("activation", is_transformer, "\"transformer\""),
            ("norm", is_transformer, "\"transformer\""),
            ("pooling", is_transformer || is_lstm, "\"transformer\" or \"lstm\""),
        ] {
            if !fits && reader.has(key) {
                reader.problem(key, format!("only for kind = {kinds}"));
            }
        }
        let default = &defaults.transformer;
        let transformer = Transformer {
            layers: if is_lstm { default.layers } else { reader.integer("layers", default.layers, 0..=100) },
            heads: reader.integer("heads", default.heads, 1..=1_000),
            feed_forward: reader.optional_integer("feed_forward", 1..=1_000_000).or(default.feed_forward),
            activation: reader.choice("activation", default.activation),
            norm: reader.choice("norm", default.norm),
            pooling: reader.choice("pooling", default.pooling),
        };
        let token = transformer.pooling == DocumentPooling::Token;
        if token && is_transformer && transformer.layers == 0 {
            reader.problem("pooling", "\"token\" needs at least one layer to read the segments");
        }
        if token && is_lstm {
            reader.problem("pooling", "\"token\" is for kind = \"transformer\": an LSTM would read it as a segment");
        }
        let kind = match name {
            Name::None => AggregatorKind::None,
            Name::Mean => AggregatorKind::Mean,
            Name::Max => AggregatorKind::Max,
            Name::Attention => AggregatorKind::Attention,
            Name::Lstm => AggregatorKind::Lstm(Lstm {
                layers: reader.integer("layers", 1, 1..=100),
                pooling: transformer.pooling,
            }),
            Name::Transformer => AggregatorKind::Transformer(transformer),
            Name::LogitMean => AggregatorKind::LogitMean,
            Name::LogitMax => AggregatorKind::LogitMax,
        };
        let dropout = reader.optional_float("dropout", Floats::Fraction);
        if !kind.classifies_segments() {
            return Self { kind, dropout: dropout.unwrap_or(0.1) };
        }
        if dropout.is_some_and(|dropout| dropout > 0.0) {
            reader.problem("dropout", "nothing is aggregated before the classifier: model.head_dropout is its dropout");
        }
        Self { kind, dropout: 0.0 }
    }
}

impl AggregatorKind {
    /// Whether the segments of a document are classified one by one.
    pub fn classifies_segments(&self) -> bool {
        matches!(self, Self::LogitMean | Self::LogitMax)
    }

    /// The key that makes the document vector by a learned query, if one does.
    pub(super) fn attention_key(&self) -> Option<&'static str> {
        match self {
            Self::Attention => Some("kind"),
            Self::Transformer(Transformer { pooling, .. }) | Self::Lstm(Lstm { pooling, .. }) => {
                (*pooling == DocumentPooling::Attention).then_some("pooling")
            }
            Self::None | Self::Mean | Self::Max | Self::LogitMean | Self::LogitMax => None,
        }
    }

    /// What an encoder's hidden size does not allow: the key of `[model]` and the reason.
    pub(super) fn misfit(&self, hidden: usize) -> Option<(&'static str, String)> {
        match self {
            Self::Transformer(Transformer { layers: 1.., heads, .. }) if !hidden.is_multiple_of(*heads) => {
                Some(("aggregator.heads", format!("{heads} heads must divide the encoder's hidden size ({hidden})")))
            }
            Self::Lstm(_) if !hidden.is_multiple_of(2) => Some((
                "aggregator.kind",
                format!("\"lstm\" needs an even hidden size of the encoder, to halve it; it is {hidden}"),
            )),
            _ => None,
        }
    }
}
