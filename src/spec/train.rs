//! `[train]`: how a run is trained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::reader::{Floats, Reader, describe};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Train {
    pub epochs: usize,
    /// Documents per optimiser step.
    pub batch_size: usize,
    /// Most tokens whose activations are kept at once, whatever `memory` allows; gradients are accumulated exactly.
    pub micro_batch_tokens: Option<usize>,
    pub memory: Memory,
    pub precision: Precision,
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
    /// Of documents with one label each.
    pub class_weights: Balance,
    /// Weight of a label's documents against all others', with several labels a document.
    pub positive_weight: Balance,
    /// Share of a document's segments that a training step leaves out.
    pub segment_dropout: f64,
    /// Scores and checkpoints are those of a running mean of the weights with this decay.
    pub ema: Option<f64>,
    pub early_stopping: Option<EarlyStopping>,
    /// Probability from which on a label is given (multi-label).
    pub threshold: f64,
    /// That of single labels, by name.
    pub thresholds: BTreeMap<String, f64>,
    pub freeze: Freeze,
    /// Between two checkpoints; an epoch's end has one in any case.
    pub checkpoint_seconds: usize,
    pub seed: u64,
}

/// Memory for activations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Memory {
    /// A share of what the device has.
    Auto,
    Megabytes(usize),
}

/// What numbers are rounded to before they are multiplied; weights, moments, statistics and the loss are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    Auto,
    F32,
    Bf16,
    /// With dynamic loss scaling; for cards.
    F16,
}

/// How rare classes are made up for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    None,
    /// As 1 / documents.
    Inverse,
    /// As 1 / sqrt(documents).
    Sqrt,
    /// By the effective number of documents (Cui 2019, beta 0.999).
    Effective,
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
    /// The asymmetric loss (Ridnik 2021): labels that are absent and said to be count little (multi-label).
    Asymmetric {
        gamma_positive: f64,
        gamma_negative: f64,
        /// Probabilities of absent labels below it count nothing.
        margin: f64,
    },
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
            micro_batch_tokens: reader.optional_integer("micro_batch_tokens", 1..=usize::MAX),
            memory: Memory::read(reader),
            precision: reader.choice("precision", Precision::Auto),
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
            class_weights: Balance::read(
                reader,
                "class_weights",
                !multi_label,
                "documents have several labels: positive_weight is theirs",
            ),
            positive_weight: Balance::read(
                reader,
                "positive_weight",
                multi_label,
                "documents have one label each: class_weights is theirs",
            ),
            segment_dropout: reader.float("segment_dropout", 0.0, Floats::Fraction),
            ema: reader.optional_float("ema", Floats::Fraction),
            early_stopping: EarlyStopping::read(reader),
            threshold: reader.float("threshold", 0.5, Floats::Share),
            thresholds: thresholds(reader, multi_label),
            freeze: reader.section("freeze", Freeze::read),
            checkpoint_seconds: reader.integer("checkpoint_seconds", 60, 0..=usize::MAX),
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
    Asymmetric,
}

impl LossName {
    fn is_multi_label(self) -> bool {
        matches!(self, Self::Bce | Self::Asymmetric)
    }
}

impl Loss {
    fn read(reader: &mut Reader<'_>, multi_label: bool) -> Self {
        let default = if multi_label { LossName::Bce } else { LossName::CrossEntropy };
        let name = reader.choice("loss", default);
        let label_smoothing = reader.optional_float("label_smoothing", Floats::Fraction);
        let gamma = reader.optional_float("focal_gamma", Floats::NotNegative);
        if multi_label != name.is_multi_label() {
            reader.problem(
                "loss",
                if multi_label {
                    "documents have several labels: only \"bce\" and \"asymmetric\" fit"
                } else {
                    "documents have one label each: \"bce\" and \"asymmetric\" are for data.labels"
                },
            );
        }
        let mut asymmetric = |key, default, range| {
            let value = reader.optional_float(key, range);
            if value.is_some() && name != LossName::Asymmetric {
                reader.problem(key, "only for loss = \"asymmetric\"");
            }
            value.unwrap_or(default)
        };
        let gamma_positive = asymmetric("gamma_positive", 0.0, Floats::NotNegative);
        let gamma_negative = asymmetric("gamma_negative", 4.0, Floats::NotNegative);
        let margin = asymmetric("asymmetric_margin", 0.05, Floats::Fraction);
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
            LossName::Asymmetric => Self::Asymmetric { gamma_positive, gamma_negative, margin },
        }
    }
}

impl Memory {
    fn read(reader: &mut Reader<'_>) -> Self {
        match reader.ask("memory") {
            Some(value) if value != "auto" => match value.as_u64() {
                Some(megabytes) if megabytes > 0 => Self::Megabytes(megabytes as usize),
                _ => {
                    reader.expected("memory", "\"auto\" or megabytes", value);
                    Self::Auto
                }
            },
            _ => Self::Auto,
        }
    }
}

impl Balance {
    fn read(reader: &mut Reader<'_>, key: &'static str, fits: bool, why_not: &str) -> Self {
        let balance = reader.choice(key, Self::None);
        if balance != Self::None && !fits {
            reader.problem(key, why_not);
        }
        balance
    }
}

/// `{ "label" = 0.4 }`; whether there are such labels is seen with the documents.
fn thresholds(reader: &mut Reader<'_>, multi_label: bool) -> BTreeMap<String, f64> {
    let mut thresholds = BTreeMap::new();
    match reader.ask("thresholds") {
        None => {}
        Some(Value::Object(_)) if !multi_label => {
            reader.problem("thresholds", "documents have one label each: the likeliest is given");
        }
        Some(Value::Object(table)) => {
            for (label, value) in table {
                match value.as_f64() {
                    Some(threshold) if (0.0..=1.0).contains(&threshold) => {
                        thresholds.insert(label.clone(), threshold);
                    }
                    _ => reader.problem_at(
                        &["thresholds", label],
                        format!("expected a number from 0 to 1, found {}", describe(value)),
                    ),
                }
            }
        }
        Some(other) => reader.expected("thresholds", "a table of labels", other),
    }
    thresholds
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
