//! `model.preset`: where the defaults of the model's keys come from. What the file or a point of the space says wins.

use serde::{Deserialize, Serialize};

use super::aggregator::{Activation, DocumentPooling, NormPlace, Transformer};
use super::model::SegmentPositions;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    Default,
    /// The published architecture as it was meant: long windows, few of them, and a wide post-norm Transformer over
    /// their vectors.
    SeedScript,
}

/// Defaults that presets differ in.
pub(super) struct Defaults {
    pub(super) segment_len: usize,
    pub(super) max_segments: usize,
    pub(super) segment_positions: SegmentPositions,
    pub(super) transformer: Transformer,
    /// Quarters of a window's content from the start of one to the start of the next.
    stride_quarters: usize,
}

impl Preset {
    pub(super) fn defaults(self) -> Defaults {
        match self {
            Self::Default => Defaults {
                segment_len: 128,
                max_segments: 32,
                segment_positions: SegmentPositions::Learned,
                transformer: Transformer {
                    layers: 1,
                    heads: 4,
                    feed_forward: None,
                    activation: Activation::Gelu,
                    norm: NormPlace::Pre,
                    pooling: DocumentPooling::Mean,
                },
                stride_quarters: 3,
            },
            Self::SeedScript => Defaults {
                segment_len: 512,
                max_segments: 3,
                segment_positions: SegmentPositions::None,
                transformer: Transformer {
                    layers: 3,
                    heads: 8,
                    feed_forward: Some(2_048),
                    activation: Activation::Relu,
                    norm: NormPlace::Post,
                    pooling: DocumentPooling::Mean,
                },
                stride_quarters: 2,
            },
        }
    }
}

impl Defaults {
    /// Of windows that hold `capacity` tokens.
    pub(super) fn stride(&self, capacity: usize) -> usize {
        (capacity * self.stride_quarters / 4).max(1)
    }
}
