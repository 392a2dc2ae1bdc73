//! `experiments.db`: one writer (the coordinator), any number of readers, none of which can hurt a sweep.
//!
//! [`Store`] is the coordinator's: it creates sweeps and hands out [`Writer`]s, whose facts go through one queue to one
//! connection; everything that is queued is committed together. [`Reader`] is everybody else's. Singular tables are the
//! inside, plural views the public face (`docs/sql.md`).

mod error;
mod follow;
mod layout;
mod open;
mod project;
mod query;
mod read;
mod rows;
mod statements;
mod steering;
mod writer;

pub use error::StoreError;
pub use follow::{
    Confused, Extent, Head, Improvement, Live, Measured, Mistake, Outline, RunRecord, Sample, Snapshot, TrialRecord,
    Watch,
};
pub use layout::{fold_directory, log_path, sweep_directory};
pub use query::{Cell, Column, Table, View, schema};
pub use read::{FileId, Reader};
pub use rows::{
    CheckpointRow, GivenUp, HoldoutRow, LeaderboardRow, MetricRow, OrderRow, PredictionRow, Recorded, RunRow, RunState,
    SweepRecord, SweepRow, SweepState, TrialRow, TrialState,
};
pub use steering::{Gauge, Reading};
pub use writer::Writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::spec::Direction;
use writer::{Request, Work};

/// Milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Millis(pub i64);

/// A sweep's number in its database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct SweepKey(pub i64);

/// What is known of a sweep before its first trial.
#[derive(Clone, Debug, PartialEq)]
pub struct NewSweep {
    /// Wanted name; a number is added if there is such a sweep.
    pub name: String,
    /// The sweep file, as it was written.
    pub spec: String,
    pub spec_path: PathBuf,
    /// `key=value` of the command line.
    pub overrides: Vec<String>,
    /// The paths of the sweep file are relative to it.
    pub project: PathBuf,
    pub sampler: String,
    pub objective: String,
    pub direction: Direction,
    /// None: as many as the budget allows.
    pub trials: Option<u32>,
    /// Runs of one finished trial: k * repeats.
    pub folds: u32,
    pub documents: Option<u64>,
    /// Hash of the file of documents.
    pub data_sha256: Option<String>,
    /// In the order of the probabilities of a prediction.
    pub classes: Vec<String>,
    /// What the names of pretrained encoders meant: a commit of the hub, or a hash of a directory's files.
    pub encoders: BTreeMap<String, String>,
    pub host: String,
}

/// The coordinator's side of a database.
///
/// Facts that were acknowledged outlive the process (kill -9 too). After a power cut the last of them may be missing,
/// but never a part of a commit. When a commit fails (disk full), everything in it and everything after it is refused
/// with the same error: the facts that the database holds are always the first ones, without a gap.
#[derive(Debug)]
pub struct Store {
    reader: Reader,
    requests: mpsc::Sender<Request>,
    task: JoinHandle<()>,
    commits: Arc<AtomicU64>,
}

impl Store {
    /// Opens a database for writing, or makes it; its directory must be there. A file that is no database, belongs to
    /// another program or was written by a newer sweep is left untouched.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open::writable(path).await?;
        let reader = Reader::open(path).await?;
        let (requests, queue) = mpsc::channel(writer::QUEUE);
        let commits = Arc::default();
        let task = tokio::spawn(writer::write(path.to_owned(), connection, queue, Arc::clone(&commits)));
        Ok(Self { reader, requests, task, commits })
    }

    /// Records a new sweep under a name of its own: `lr`, `lr-2`, `lr-3`, …
    pub async fn create_sweep(&self, new: NewSweep, at: Millis) -> Result<SweepRecord, StoreError> {
        let key = writer::ask(&self.requests, at, Work::Create(Box::new(new))).await?;
        self.reader.record(key).await
    }

    pub fn writer(&self, sweep: SweepKey) -> Writer {
        Writer::new(sweep, self.requests.clone())
    }

    /// Sees everything that was acknowledged.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Transactions committed so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Commits what is queued and closes the file; writers that are still around get [`StoreError::Closed`]. A store
    /// that is dropped does the same in the background, without an answer.
    pub async fn close(self) -> Result<(), StoreError> {
        self.reader.close().await;
        let closed = writer::ask(&self.requests, Millis(0), Work::Close).await;
        // it has answered; a panic in it would have been the answer
        let _ = self.task.await;
        closed.map(|_| ())
    }
}

#[cfg(test)]
mod tests;
