//! What readers get: rows of the public views, typed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use super::{Millis, SweepKey};
use crate::protocol::{CheckpointKind, Split};
use crate::search::space::Point;
use crate::sweep::{Fact, FoldId, RunId, TrialId};

/// All that is needed to go on with a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRecord {
    pub key: SweepKey,
    pub created: Millis,
    pub name: String,
    pub state: SweepState,
    /// The sweep file, as it was written.
    pub spec: String,
    pub spec_path: PathBuf,
    pub overrides: Vec<String>,
    pub project: PathBuf,
    pub documents: Option<u64>,
    pub data_sha256: Option<String>,
    pub classes: Vec<String>,
    /// What the names of pretrained encoders meant when it began: a commit of the hub, or a hash of a directory's files.
    pub encoders: BTreeMap<String, String>,
    /// Of the `sweep` that made it.
    pub version: String,
    pub host: String,
}

/// A fact with its place in the sweep's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// From 0, without gaps.
    pub seq: u64,
    pub at: Millis,
    pub fact: Fact,
}

#[derive(Clone, Debug, PartialEq, FromRow, Serialize)]
pub struct SweepRow {
    pub sweep: String,
    pub state: SweepState,
    pub sampler: String,
    pub objective: String,
    pub direction: String,
    /// Planned, or proposed so far where the plan is open.
    pub trials: u32,
    pub finished: u32,
    pub failed: u32,
    pub best_trial: Option<u32>,
    pub best_score: Option<f64>,
    /// ISO 8601, UTC.
    pub started_at: Option<String>,
    pub ended_at: Option<String>,
    pub seconds: f64,
    pub why: Option<String>,
    /// Runs of one finished trial.
    pub folds: u32,
    pub baseline_score: Option<f64>,
    /// Trials given up between their folds.
    pub raced_out: u32,
    /// Trials given up between epochs.
    pub pruned: u32,
    /// Folds of both that were never started.
    pub folds_saved: u32,
    /// Why it could stop before its budget is spent.
    pub converged: Option<String>,
    /// Of the best trial, once it was scored there.
    pub holdout_score: Option<f64>,
    pub holdout_baseline: Option<f64>,
    /// Trials that count in nothing.
    pub excluded: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialRow {
    pub trial: TrialId,
    pub state: TrialState,
    pub score: Option<f64>,
    pub score_se: Option<f64>,
    pub folds_done: u32,
    pub folds: u32,
    pub params: Point,
    /// Of all its runs together.
    pub seconds: Option<f64>,
    pub why: Option<String>,
    pub score_so_far: Option<f64>,
    pub given_up: Option<GivenUp>,
    /// It counts in nothing.
    pub excluded: bool,
    pub note: Option<String>,
    pub tags: Vec<String>,
    /// Somebody asked for its point.
    pub asked: bool,
}

/// What somebody told a sweep to do.
#[derive(Clone, Debug, PartialEq, FromRow, Serialize)]
pub struct OrderRow {
    /// ISO 8601, UTC.
    pub at: String,
    /// `user@host`
    pub by: String,
    pub command: String,
    pub trial: Option<i32>,
    /// What else it says, a JSON object.
    pub params: String,
    pub pid: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    #[serde(flatten)]
    pub run: RunId,
    pub state: RunState,
    pub score: Option<f64>,
    pub best_epoch: Option<u32>,
    pub epochs: Option<u32>,
    pub device: Option<String>,
    pub host: Option<String>,
    pub pid: Option<u32>,
    pub seconds: Option<f64>,
    pub peak_memory_mb: Option<u64>,
    pub why: Option<String>,
    pub slot: Option<u32>,
    pub started_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricRow {
    #[serde(flatten)]
    pub run: RunId,
    pub epoch: u32,
    pub step: u64,
    pub split: Split,
    pub name: String,
    /// None: undefined (NaN).
    pub value: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckpointRow {
    #[serde(flatten)]
    pub run: RunId,
    pub kind: CheckpointKind,
    pub path: PathBuf,
    pub epoch: u32,
    pub score: Option<f64>,
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PredictionRow {
    #[serde(flatten)]
    pub fold: FoldId,
    pub document: String,
    pub label: String,
    pub predicted: String,
    pub confidence: f64,
    /// One a class, in the order of the sweep's classes.
    pub probabilities: Vec<f32>,
}

/// A trial that was chosen to be scored on the holdout.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HoldoutRow {
    pub trial: TrialId,
    /// Of its newest attempt.
    pub state: RunState,
    pub score: Option<f64>,
    /// None of a single document or group.
    pub score_se: Option<f64>,
    /// Documents that it was scored on.
    pub documents: u32,
    /// For which it was trained on all others.
    pub epochs: Option<u32>,
    /// Mean over its folds.
    pub folds_score: Option<f64>,
    pub why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LeaderboardRow {
    /// From 1; equal scores share it.
    pub rank: u32,
    pub trial: TrialId,
    pub score: f64,
    pub score_se: Option<f64>,
    /// None where a single fold allows no comparison.
    pub tied_with_best: Option<bool>,
    pub params: Point,
    /// Its score less the best's, over the folds that both have.
    pub difference: Option<f64>,
    pub difference_se: Option<f64>,
}

impl LeaderboardRow {
    /// Whether it is not the best and cannot be told from it.
    pub fn is_tied(&self) -> bool {
        self.rank > 1 && self.tied_with_best == Some(true)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum SweepState {
    Running,
    Paused,
    Finished,
    Stopped,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum TrialState {
    Waiting,
    Running,
    Finished,
    Pruned,
    Failed,
    Cancelled,
}

/// What ended a trial in the state `pruned`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum GivenUp {
    /// Between its folds.
    Race,
    /// Between the epochs of one of them.
    Prune,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(rename_all = "lowercase")]
pub enum RunState {
    Waiting,
    Running,
    Finished,
    Pruned,
    Failed,
    Cancelled,
    Interrupted,
}

impl FromRow<'_, SqliteRow> for SweepRecord {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            key: SweepKey(row.try_get("id")?),
            created: Millis(row.try_get("created_ms")?),
            name: row.try_get("name")?,
            state: row.try_get("state")?,
            spec: row.try_get("spec")?,
            spec_path: row.try_get::<String, _>("spec_path")?.into(),
            overrides: json(row, "overrides")?,
            project: row.try_get::<String, _>("project")?.into(),
            documents: row.try_get::<Option<i64>, _>("documents")?.map(|documents| documents as u64),
            data_sha256: row.try_get("data_sha256")?,
            classes: json(row, "classes")?,
            encoders: json(row, "encoders")?,
            version: row.try_get("version")?,
            host: row.try_get("host")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Recorded {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            seq: row.try_get::<i64, _>("seq")? as u64,
            at: Millis(row.try_get("at_ms")?),
            fact: json(row, "body")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for TrialRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            trial: TrialId(row.try_get("trial")?),
            state: row.try_get("state")?,
            score: row.try_get("score")?,
            score_se: row.try_get("score_se")?,
            folds_done: row.try_get("folds_done")?,
            folds: row.try_get("folds")?,
            params: json(row, "params")?,
            seconds: row.try_get("seconds")?,
            why: row.try_get("why")?,
            score_so_far: row.try_get("score_so_far")?,
            given_up: row.try_get("given_up")?,
            excluded: row.try_get("excluded")?,
            note: row.try_get("note")?,
            tags: json(row, "tags")?,
            asked: row.try_get("asked")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for RunRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            run: run_id(row)?,
            state: row.try_get("state")?,
            score: row.try_get("score")?,
            best_epoch: row.try_get("best_epoch")?,
            epochs: row.try_get("epochs")?,
            device: row.try_get("device")?,
            host: row.try_get("host")?,
            pid: row.try_get("pid")?,
            seconds: row.try_get("seconds")?,
            peak_memory_mb: row.try_get::<Option<i64>, _>("peak_memory_mb")?.map(|mb| mb as u64),
            why: row.try_get("why")?,
            slot: row.try_get("slot")?,
            started_at: row.try_get("started_at")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for MetricRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            run: run_id(row)?,
            epoch: row.try_get("epoch")?,
            step: row.try_get::<i64, _>("step")? as u64,
            split: word(row, "split")?,
            name: row.try_get("name")?,
            value: row.try_get("value")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for CheckpointRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            run: run_id(row)?,
            kind: word(row, "kind")?,
            path: row.try_get::<String, _>("path")?.into(),
            epoch: row.try_get("epoch")?,
            score: row.try_get("score")?,
            bytes: row.try_get::<Option<i64>, _>("bytes")?.map(|bytes| bytes as u64),
            sha256: row.try_get("sha256")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for PredictionRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let probabilities: &[u8] = row.try_get("probabilities")?;
        let (chunks, _) = probabilities.as_chunks::<4>();
        Ok(Self {
            fold: fold_id(row)?,
            document: row.try_get("document")?,
            label: row.try_get("label")?,
            predicted: row.try_get("predicted")?,
            // SQLite keeps NaN as null
            confidence: row.try_get::<Option<f64>, _>("confidence")?.unwrap_or(f64::NAN),
            probabilities: chunks.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        })
    }
}

impl FromRow<'_, SqliteRow> for HoldoutRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            trial: TrialId(row.try_get("trial")?),
            state: row.try_get("state")?,
            score: row.try_get("score")?,
            score_se: row.try_get("score_se")?,
            documents: row.try_get("documents")?,
            epochs: row.try_get("epochs")?,
            folds_score: row.try_get("folds_score")?,
            why: row.try_get("why")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for LeaderboardRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            rank: row.try_get("rank")?,
            trial: TrialId(row.try_get("trial")?),
            score: row.try_get("score")?,
            score_se: row.try_get("score_se")?,
            tied_with_best: row.try_get("tied_with_best")?,
            params: json(row, "params")?,
            difference: row.try_get("difference")?,
            difference_se: row.try_get("difference_se")?,
        })
    }
}

fn run_id(row: &SqliteRow) -> sqlx::Result<RunId> {
    Ok(RunId { trial: TrialId(row.try_get("trial")?), fold: fold_id(row)?, attempt: row.try_get("attempt")? })
}

fn fold_id(row: &SqliteRow) -> sqlx::Result<FoldId> {
    Ok(FoldId { repeat: row.try_get("repeat")?, fold: row.try_get("fold")? })
}

fn json<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| undecodable(column, error))
}

/// A word that the protocol knows as a variant.
fn word<T: DeserializeOwned>(row: &SqliteRow, column: &str) -> sqlx::Result<T> {
    let word: String = row.try_get(column)?;
    serde_json::from_value(word.into()).map_err(|error| undecodable(column, error))
}

fn undecodable(column: &str, error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) }
}
