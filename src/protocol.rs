//! The messages between the coordinator and a run's process: JSON lines, whatever carries them (`docs/protocol.md`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::metrics::nan_as_null;
use crate::search::space::Point;
use crate::spec::{Config, Direction};
use crate::sweep::RunId;

/// Version of these messages.
pub const PROTOCOL: u32 = 1;

/// The first line that a run reads: all that it has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    pub protocol: u32,
    pub sweep: String,
    /// Tells the sweep from all others, also of its name: checkpoints of another are none of this run's.
    pub identity: String,
    /// Of trial -1 it is the baseline that is to be fitted, not the model of `config`.
    #[serde(flatten)]
    pub run: RunId,
    /// What the sampler chose; already in `config`.
    pub params: Point,
    pub config: Config,
    pub objective: String,
    pub direction: Direction,
    pub device: Device,
    /// Threads to compute with.
    pub threads: usize,
    /// Checkpoints go here, and are resumed from here.
    pub directory: String,
    /// Tokenised documents.
    pub documents: String,
    /// Numbers of the documents to train on.
    pub train: Vec<u32>,
    /// Numbers of the documents to be scored on.
    pub validation: Vec<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    Cpu,
    /// The only card that the process sees.
    Cuda,
}

/// What a run says; any other line is its log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    Hello {
        protocol: u32,
    },
    Metric(Measurement),
    /// For the screen only, not recorded.
    Progress(Progress),
    Checkpoint(Checkpoint),
    Predictions {
        predictions: Vec<Prediction>,
    },
    /// It cannot go on, and a second attempt could not either.
    Failed {
        why: String,
    },
    Done(Done),
}

/// Metrics of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub epoch: u32,
    pub step: u64,
    pub split: Split,
    #[serde(with = "nan_as_null::map")]
    pub values: BTreeMap<String, f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    Validation,
    /// How fast it goes, and what that costs.
    Machine,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub epoch: u32,
    pub epochs: u32,
    pub step: u64,
    pub steps: u64,
    #[serde(with = "nan_as_null")]
    pub loss: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub kind: CheckpointKind,
    /// Relative to the run's directory.
    pub path: String,
    pub epoch: u32,
    #[serde(default)]
    pub score: Option<f64>,
    #[serde(default)]
    pub bytes: Option<u64>,
    #[serde(default)]
    pub sha256: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    Best,
    Last,
}

/// The best weights' answer to one validation document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub document: String,
    /// With several labels a document: a JSON list.
    pub label: String,
    pub predicted: String,
    /// Probability of the predicted label; with several, of the least certain decision.
    pub confidence: f64,
    /// One a class, in the order of the classes.
    pub probabilities: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    pub score: f64,
    #[serde(default)]
    pub best_epoch: u32,
    #[serde(default)]
    pub epochs: u32,
    #[serde(default)]
    pub peak_memory_mb: u64,
}

/// What the coordinator writes after the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    Stop { why: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_its_journey() {
        let lines = [
            r#"{"type":"hello","protocol":1}"#,
            r#"{"type":"metric","epoch":3,"step":120,"split":"validation","values":{"macro_f1":0.81,"roc_auc":null}}"#,
            r#"{"type":"progress","epoch":0,"epochs":8,"step":7,"steps":160,"loss":null}"#,
            r#"{"type":"checkpoint","kind":"best","path":"b","epoch":3,"score":null,"bytes":null,"sha256":null}"#,
            r#"{"type":"predictions","predictions":[{"document":"1","label":"a","predicted":"b","confidence":0.5,"probabilities":[0.5]}]}"#,
            r#"{"type":"failed","why":"x"}"#,
            r#"{"type":"done","score":0.81,"best_epoch":3,"epochs":8,"peak_memory_mb":230}"#,
        ];
        for line in lines {
            let message: Message = serde_json::from_str(line).expect("a message");
            assert_eq!(serde_json::to_string(&message).expect("json"), line);
        }
    }
}
