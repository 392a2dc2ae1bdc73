//! The messages between the coordinator and a run's process: JSON lines, whatever carries them (`docs/protocol.md`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::metrics::nan_as_null;
use crate::search::space::Point;
use crate::spec::{Config, Direction};
use crate::sweep::RunId;

/// Version of these messages.
pub const PROTOCOL: u32 = 1;

/// What every run is told in its first line, whatever trains it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    pub protocol: u32,
    pub sweep: String,
    /// Tells the sweep from all others, also of its name: checkpoints of another are none of this run's.
    pub identity: String,
    #[serde(flatten)]
    pub run: RunId,
    /// Folds of the cross-validation.
    pub k: u32,
    /// Of the splits: the same for all trials.
    pub seed: u64,
    /// What the sampler chose.
    pub params: Point,
    pub objective: String,
    pub direction: Direction,
    pub device: Device,
    /// Threads to compute with.
    pub threads: usize,
    /// Checkpoints go here, and are resumed from here.
    pub directory: String,
    /// Of the run on the holdout: epochs to train for, whatever the scores. There is one, in the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refit: Option<u32>,
}

/// All that the built-in trainer has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Of trial -1 it is the baseline that is to be fitted, not the model of `config`.
    #[serde(flatten)]
    pub task: Task,
    /// `params` included.
    pub config: Config,
    /// Tokenised documents.
    pub documents: String,
    /// Numbers of the documents to train on.
    pub train: Vec<u32>,
    /// Numbers of the documents to be scored on.
    pub validation: Vec<u32>,
}

/// All that a program of the user's has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProgramJob {
    #[serde(flatten)]
    pub task: Task,
    /// The tables of the sweep file that are the program's own, `params` included.
    pub config: Map<String, Value>,
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
    Done(Claim),
}

/// Metrics of one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    #[serde(default)]
    pub epoch: u32,
    #[serde(default)]
    pub step: u64,
    #[serde(default)]
    pub split: Split,
    #[serde(with = "nan_as_null::map")]
    pub values: BTreeMap<String, f64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    Train,
    #[default]
    Validation,
    /// How fast it goes, and what that costs.
    Machine,
    /// On the documents that no fold sees.
    Holdout,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    #[serde(default)]
    pub epoch: u32,
    /// 0: it does not count in epochs.
    #[serde(default)]
    pub epochs: u32,
    pub step: u64,
    pub steps: u64,
    #[serde(with = "nan_as_null", default = "unknown")]
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

/// How a run says that it is done. What it leaves out follows from what it measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    /// NaN if it is there and undefined.
    #[serde(default, with = "nan_as_null::option", skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    #[serde(default)]
    pub peak_memory_mb: u64,
}

/// The result of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    pub score: f64,
    pub best_epoch: u32,
    pub epochs: u32,
    pub peak_memory_mb: u64,
}

impl From<Done> for Claim {
    fn from(done: Done) -> Self {
        let Done { score, best_epoch, epochs, peak_memory_mb } = done;
        Self { score: Some(score), best_epoch: Some(best_epoch), epochs: Some(epochs), peak_memory_mb }
    }
}

/// What the coordinator writes after the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    Stop { why: String },
}

fn unknown() -> f64 {
    f64::NAN
}

impl Message {
    /// Reads a line; none if it is no message. Python's `json` writes `NaN` and `Infinity`, which JSON does not know:
    /// they are understood as null.
    pub fn read(line: &[u8]) -> Option<Self> {
        if !line.starts_with(b"{") {
            return None;
        }
        serde_json::from_slice(line).ok().or_else(|| serde_json::from_str(&without_nan(line)?).ok())
    }
}

/// The line with null for every NaN and infinity outside of strings; none if it has none.
fn without_nan(line: &[u8]) -> Option<String> {
    let line = str::from_utf8(line).ok()?;
    let mut changed = false;
    let mut outside = true;
    let mut rest = line;
    let mut text = String::with_capacity(line.len());
    while let Some(next) = rest.chars().next() {
        let word = ["NaN", "-Infinity", "Infinity"].into_iter().find(|word| outside && rest.starts_with(word));
        let length = match (word, next) {
            (Some(word), _) => word.len(),
            // what is escaped ends no string
            (None, '\\') => 1 + rest[1..].chars().next().map_or(0, char::len_utf8),
            (None, next) => next.len_utf8(),
        };
        text += if word.is_some() { "null" } else { &rest[..length] };
        changed |= word.is_some();
        outside ^= next == '"';
        rest = &rest[length..];
    }
    changed.then_some(text)
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

    #[test]
    fn what_python_writes_is_understood() {
        let read = |line: &str| Message::read(line.as_bytes());
        let line = r#"{"type": "metric", "values": {"a\"NaN": NaN, "b": -Infinity, "c": Infinity, "d": 1.5}}"#;
        let Some(Message::Metric(Measurement { epoch: 0, step: 0, split: Split::Validation, values })) = read(line)
        else {
            panic!("{:?}", read(line));
        };
        let names: Vec<&str> = values.keys().map(String::as_str).collect();
        assert_eq!(names, ["a\"NaN", "b", "c", "d"], "a string keeps its text");
        assert!(values.values().take(3).all(|value| value.is_nan()) && values["d"] == 1.5);
        let claim = |line: &str| match read(line) {
            Some(Message::Done(claim)) => claim,
            other => panic!("{other:?}"),
        };
        assert_eq!(claim(r#"{"type":"done"}"#), Claim::default());
        for undefined in ["NaN", "null", "Infinity"] {
            let claim = claim(&format!(r#"{{"type":"done","score":{undefined}}}"#));
            assert!(claim.score.is_some_and(f64::is_nan), "{undefined}");
        }
        assert!(matches!(read(r#"{"type":"progress","step":1,"steps":2}"#), Some(Message::Progress(_))));
        for junk in
            ["", "{", "NaN", r#"{"type":"done","score":"NaN"}"#, r#"{"type":"NaN"}"#, "{\"a\": \"\\", "{NaN:\\é"]
        {
            assert_eq!(read(junk), None, "{junk}");
        }
    }
}
