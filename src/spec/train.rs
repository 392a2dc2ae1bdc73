//! `[train]`: how a run is trained.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reader::{Floats, Reader};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    pub epochs: usize,
    /// Documents per optimiser step.
    pub batch_size: usize,
    /// Most tokens that go through the encoder at once; gradients are accumulated exactly.
    pub micro_batch_tokens: usize,
    pub learning_rate: f64,
    /// For everything above the encoder; none: `learning_rate`.
    pub head_learning_rate: Option<f64>,
    /// Factor of the learning rate from one encoder layer to the one below it.
    pub layer_decay: f64,
    pub weight_decay: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Largest norm of the whole gradient; 0: no clipping.
    pub clip_norm: f64,
    pub schedule: Schedule,
    pub warmup: Warmup,
    /// Hugging Face's form of warm-up, whose first step has a learning rate of 0.
    pub warmup_from_zero: bool,
    pub loss: Loss,
    pub early_stopping: Option<EarlyStopping>,
    /// Probability from which on a label is given (multi-label).
    pub threshold: f64,
    pub freeze: Freeze,
    pub seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Down to 0 at the last step.
    Linear,
    Cosine,
    Constant,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    Steps(usize),
    /// Share of all steps.
    Ratio(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    CrossEntropy {
        label_smoothing: f64,
    },
    Focal {
        gamma: f64,
    },
    /// Binary cross-entropy of every label (multi-label).
    Bce,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Epochs without improvement before the run ends.
    pub patience: usize,
    /// What counts as an improvement of the objective.
    pub min_delta: f64,
}

/// Which part of the encoder is not trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    pub embeddings: bool,
    /// Layers from the bottom; `usize::MAX` for all.
    pub layers: usize,
}

impl Train {
    pub(super) fn read(reader: &mut Reader<'_>, multi_label: bool) -> Self {
        let steps = reader.optional_integer("warmup_steps", 0..=usize::MAX);
        if steps.is_some() && reader.has("warmup_ratio") {
            reader.problem("warmup_steps", "give warmup_steps or warmup_ratio, not both");
        }
        let ratio = reader.float("warmup_ratio", 0.1, Floats::Fraction);
        Self {
            epochs: reader.integer("epochs", 5, 1..=100_000),
            batch_size: reader.integer("batch_size", 16, 1..=1_000_000),
            micro_batch_tokens: reader.integer("micro_batch_tokens", 8_192, 1..=usize::MAX),
            learning_rate: reader.float("learning_rate", 1e-4, Floats::Positive),
            head_learning_rate: reader.optional_float("head_learning_rate", Floats::Positive),
            layer_decay: reader.float("layer_decay", 1.0, Floats::Share),
            weight_decay: reader.float("weight_decay", 0.01, Floats::NotNegative),
            beta1: reader.float("beta1", 0.9, Floats::Fraction),
            beta2: reader.float("beta2", 0.999, Floats::Fraction),
            epsilon: reader.float("epsilon", 1e-8, Floats::Positive),
            clip_norm: reader.float("clip_norm", 1.0, Floats::NotNegative),
            schedule: reader.choice("schedule", Schedule::Linear),
            warmup: steps.map_or(Warmup::Ratio(ratio), Warmup::Steps),
            warmup_from_zero: reader.flag("warmup_from_zero", false),
            loss: Loss::read(reader, multi_label),
            early_stopping: EarlyStopping::read(reader),
            threshold: reader.float("threshold", 0.5, Floats::Share),
            freeze: reader.section("freeze", Freeze::read),
            seed: reader.integer("seed", 1, 0..=usize::MAX) as u64,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum LossName {
    CrossEntropy,
    Focal,
    Bce,
}

impl Loss {
    fn read(reader: &mut Reader<'_>, multi_label: bool) -> Self {
        let default = if multi_label { LossName::Bce } else { LossName::CrossEntropy };
        let name = reader.choice("loss", default);
        let label_smoothing = reader.optional_float("label_smoothing", Floats::Fraction);
        let gamma = reader.optional_float("focal_gamma", Floats::NotNegative);
        if multi_label != (name == LossName::Bce) {
            reader.problem(
                "loss",
                if multi_label {
                    "documents have several labels: only \"bce\" fits"
                } else {
                    "documents have one label each: \"bce\" is for data.labels"
                },
            );
        }
        if label_smoothing.is_some() && name != LossName::CrossEntropy {
            reader.problem("label_smoothing", "only for loss = \"cross-entropy\"");
        }
        if gamma.is_some() && name != LossName::Focal {
            reader.problem("focal_gamma", "only for loss = \"focal\"");
        }
        match name {
            LossName::CrossEntropy => Self::CrossEntropy { label_smoothing: label_smoothing.unwrap_or(0.0) },
            LossName::Focal => Self::Focal { gamma: gamma.unwrap_or(2.0) },
            LossName::Bce => Self::Bce,
        }
    }
}

impl EarlyStopping {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        if !reader.has("early_stopping") {
            reader.section("early_stopping", |_| ());
            return None;
        }
        Some(reader.section("early_stopping", |reader| Self {
            patience: reader.integer("patience", 3, 1..=usize::MAX),
            min_delta: reader.float("min_delta", 0.0, Floats::NotNegative),
        }))
    }
}

impl Freeze {
    fn read(reader: &mut Reader<'_>) -> Self {
        let embeddings = reader.flag("embeddings", false);
        let layers = if reader.has("layers") && reader.ask("layers") == Some(&Value::from("all")) {
            usize::MAX
        } else {
            reader.integer("layers", 0, 0..=usize::MAX)
        };
        if layers > 0 && !embeddings {
            reader.problem("layers", "layers are frozen from the bottom: set embeddings = true too");
        }
        Self { embeddings, layers }
    }
}
