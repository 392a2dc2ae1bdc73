//! `[model]`: the hierarchical classifier, from windows to logits.

use serde::{Deserialize, Serialize};

use super::aggregator::{Aggregator, AggregatorKind};
use super::preset::Preset;
use super::pretrained::Pretrained;
use super::reader::{Floats, Reader};
use super::train::Freeze;

/// `[model]`. Lengths are in tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Where the defaults of the other keys come from.
    pub preset: Preset,
    pub encoder: Encoder,
    /// Layers from the top that start at random, whatever the encoder's files hold (Zhang 2021).
    pub reinitialize_layers: usize,
    /// Where a document may be cut.
    pub segmentation: Segmentation,
    /// Window length, `[CLS]` and `[SEP]` included.
    pub segment_len: usize,
    /// Step between the starts of two windows (not their overlap).
    pub stride: usize,
    pub max_segments: usize,
    /// Which windows of a document that has more than `max_segments`.
    pub keep: Keep,
    pub segment_pooling: SegmentPooling,
    /// Whose states are pooled.
    pub segment_layers: SegmentLayers,
    pub segment_positions: SegmentPositions,
    /// Hidden dropout of the encoder.
    pub dropout: f64,
    pub attention_dropout: f64,
    pub aggregator: Aggregator,
    pub label_attention: LabelAttention,
    /// How the label embeddings start.
    pub label_embeddings: LabelEmbeddings,
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
pub enum Segmentation {
    /// Anywhere: windows of the full length, `stride` apart.
    Window,
    /// At sentence ends: windows of whole sentences.
    Sentence,
    /// At line ends: windows of whole paragraphs.
    Paragraph,
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
    /// The largest number of each column.
    Max,
    /// The tokens' mean, weighted by the softmax of their products with a learned query.
    Attention,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentLayers {
    Last,
    /// The mean of the states of the last four.
    LastFour,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SegmentPositions {
    None,
    Sinusoidal,
    Learned,
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelEmbeddings {
    Random,
    /// The mean of the encoder's last states over the tokens of each label's name.
    Names,
}

impl Model {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        let preset = reader.choice("preset", Preset::Default);
        let defaults = preset.defaults();
        let encoder = Encoder::read(reader);
        let segment_len = reader.integer("segment_len", defaults.segment_len, 3..=100_000);
        let capacity = segment_len - 2;
        let stride = reader.integer("stride", defaults.stride(capacity), 1..=usize::MAX);
        if stride > capacity {
            reader.problem(
                "stride",
                format!(
                    "{stride} would skip text: at most segment_len - 2 = {capacity} (it is the step, not the overlap)"
                ),
            );
        }
        let aggregator = reader.section("aggregator", |reader| Aggregator::read(reader, &defaults));
        let model = Self {
            preset,
            reinitialize_layers: reader.integer("reinitialize_layers", 0, 0..=200),
            segmentation: reader.choice("segmentation", Segmentation::Window),
            segment_len,
            stride,
            max_segments: reader.integer("max_segments", defaults.max_segments, 1..=100_000),
            keep: reader.choice("keep", Keep::Head),
            segment_pooling: reader.choice("segment_pooling", SegmentPooling::Cls),
            segment_layers: reader.choice("segment_layers", SegmentLayers::Last),
            segment_positions: SegmentPositions::read(reader, defaults.segment_positions, &aggregator.kind),
            dropout: reader.float("dropout", 0.1, Floats::Fraction),
            attention_dropout: reader.float("attention_dropout", 0.1, Floats::Fraction),
            aggregator,
            label_attention: reader.choice("label_attention", LabelAttention::Doc),
            label_embeddings: reader.choice("label_embeddings", LabelEmbeddings::Random),
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
        let kind = &self.aggregator.kind;
        if *kind == AggregatorKind::None && self.label_attention != LabelAttention::LabelWise {
            reader.problem(
                "aggregator",
                "kind \"none\" needs label_attention = \"label-wise\": nothing else would join the segments",
            );
        }
        if let Some(key) = kind.attention_key().filter(|_| self.label_attention == LabelAttention::LabelWise) {
            let what = "attention pooling would be used by nothing: label-wise attention reads the segments themselves";
            reader.problem_at(&["aggregator", key], what);
        }
        if kind.classifies_segments() && self.label_attention != LabelAttention::None {
            let what = "must be \"none\" where the aggregator's kind is \"logit-mean\" or \"logit-max\": each segment is \
                        classified on its own, there is no document for labels to meet";
            reader.problem("label_attention", what);
        }
        if self.label_embeddings == LabelEmbeddings::Names && self.label_attention == LabelAttention::None {
            reader.problem("label_embeddings", "without label attention (label_attention = \"none\") there are none");
        }
        if let Encoder::Scratch(scratch) = &self.encoder {
            if self.reinitialize_layers > 0 {
                let what = "every layer of encoder = \"scratch\" starts at random; this is for a pretrained encoder";
                reader.problem("reinitialize_layers", what);
            }
            let trained = Freeze { embeddings: false, layers: 0 };
            let misfits = self.misfits(scratch.layers, scratch.hidden, trained).into_iter();
            for (key, what) in misfits.filter(|(key, _)| *key != "reinitialize_layers") {
                reader.problem_at(&key.split('.').collect::<Vec<_>>(), what);
            }
        }
    }

    /// What an encoder with so many layers and this hidden size does not allow: keys of `[model]` with their reasons.
    pub fn misfits(&self, layers: usize, hidden: usize, freeze: Freeze) -> Vec<(&'static str, String)> {
        let mut misfits: Vec<_> = self.aggregator.kind.misfit(hidden).into_iter().collect();
        if self.segment_layers == SegmentLayers::LastFour && layers < LAST_FOUR {
            let what = format!("\"last-four\" needs an encoder of {LAST_FOUR} layers or more; it has {layers}");
            misfits.push(("segment_layers", what));
        }
        let anew = self.reinitialize_layers;
        if anew > layers {
            misfits.push(("reinitialize_layers", format!("{anew} is more than the encoder's {layers} layers")));
        } else if anew > 0 && freeze.layers.min(layers) > layers - anew {
            let what = format!(
                "the top {anew} of {layers} layers start at random, but train.freeze.layers would never train all of them"
            );
            misfits.push(("reinitialize_layers", what));
        }
        misfits
    }
}

/// Layers that [`SegmentLayers::LastFour`] reads.
const LAST_FOUR: usize = 4;

impl SegmentPositions {
    fn read(reader: &mut Reader<'_>, default: Self, kind: &AggregatorKind) -> Self {
        let given = reader.optional_choice("segment_positions");
        if !kind.classifies_segments() {
            return given.unwrap_or(default);
        }
        if given.is_some_and(|given| given != Self::None) {
            let what = "each segment is classified on its own with this aggregator: only \"none\" has a meaning";
            reader.problem("segment_positions", what);
        }
        Self::None
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
