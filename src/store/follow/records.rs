//! What is read of sweeps that are followed, row by row.

use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use crate::spec::Direction;
use crate::store::rows::{GivenUp, RunState, SweepState, TrialState};
use crate::store::{Millis, SweepKey};
use crate::sweep::{FoldId, RunId, TrialId};

/// What changes of a sweep as a whole, and how far its history goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    pub key: SweepKey,
    pub state: SweepState,
    pub why: Option<String>,
    pub converged: Option<String>,
    /// Facts that it has: the number of the next one.
    pub next_seq: u64,
    pub ended: Option<Millis>,
    /// Begin of the session that runs.
    pub session: Option<Millis>,
    /// The last sign of life of its coordinator.
    pub touched: Option<Millis>,
    /// Milliseconds of the sessions before.
    pub spent_ms: i64,
}

/// A sweep in a few numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Outline {
    pub head: Head,
    pub name: String,
    pub sampler: String,
    pub objective: String,
    pub direction: Direction,
    /// None: as many trials as the budget allows.
    pub planned: Option<u32>,
    /// Runs of one finished trial.
    pub folds: u32,
    pub host: String,
    pub created: Millis,
    pub started: Option<Millis>,
    /// Trials of the space by their state; the baseline is none.
    pub proposed: u32,
    pub finished: u32,
    pub failed: u32,
    pub given_up: u32,
    /// Ended by somebody.
    pub cancelled: u32,
    pub baseline: Option<f64>,
    /// Each trial that was better than all that ended before it, in their order.
    pub improvements: Vec<Improvement>,
    /// Finished folds of trials that are still open.
    pub open: Vec<(TrialId, u32)>,
    /// Runs that are going on, and when they began.
    pub running: Vec<(RunId, Millis)>,
    /// It is recorded as going on, and nobody runs it. The database does not know: set by who looks for its coordinator.
    pub is_lost: bool,
}

/// A sweep that is recorded as going on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    pub key: SweepKey,
    pub name: String,
    /// The machine that it was begun on.
    pub host: String,
}

/// A trial that was the best when it ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Improvement {
    pub trial: TrialId,
    pub score: f64,
    /// Finished trials by then, with it.
    pub nth: u32,
    pub at: Millis,
}

/// How far a sweep has gone, for who has computed something of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Trials that were proposed, the baseline too.
    pub proposed: u32,
    /// Trials that have ended.
    pub ended: u32,
    /// Trials that count in nothing, as somebody said so.
    pub excluded: u32,
    /// Folds that have finished.
    pub runs: u32,
}

/// All trials and runs of a sweep, as they are after the fact before `next_seq`.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    pub direction: Direction,
    /// Runs of one finished trial.
    pub folds: u32,
    pub next_seq: u64,
    /// In the order of their numbers, the baseline first.
    pub trials: Vec<TrialRecord>,
    /// Of the folds, in the order of trial, repeat, fold, attempt.
    pub runs: Vec<RunRecord>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TrialRecord {
    pub trial: TrialId,
    pub state: TrialState,
    pub score: Option<f64>,
    pub score_se: Option<f64>,
    /// JSON of a point.
    pub params: Box<str>,
    pub why: Option<Box<str>>,
    pub given_up: Option<GivenUp>,
    /// It counts in nothing.
    pub excluded: bool,
    pub note: Option<Box<str>>,
    pub tags: Vec<Box<str>>,
    pub proposed: Millis,
    pub ended: Option<Millis>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    pub run: RunId,
    pub state: RunState,
    pub score: Option<f64>,
    pub best_epoch: Option<u32>,
    pub epochs: Option<u32>,
    pub peak_memory_mb: Option<u32>,
    pub slot: Option<u32>,
    pub device: Option<Box<str>>,
    pub host: Option<Box<str>>,
    pub pid: Option<u32>,
    pub started: Option<Millis>,
    pub ended: Option<Millis>,
    pub why: Option<Box<str>>,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub epoch: u32,
    pub step: u64,
    /// NaN where it is undefined.
    pub value: f64,
}

/// An answer to a label, and of how many documents; with several labels a document both are JSON lists.
#[derive(Clone, Debug, PartialEq, FromRow)]
pub struct Confused {
    pub label: String,
    pub predicted: String,
    pub documents: u32,
}

/// A validation metric of a finished fold at its best epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    pub fold: FoldId,
    pub name: String,
    /// NaN where it is undefined.
    pub value: f64,
}

/// A document that was answered wrongly.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    pub fold: FoldId,
    pub document: String,
    pub label: String,
    pub predicted: String,
    /// NaN where it is undefined.
    pub confidence: f64,
}

pub(super) fn direction(row: &SqliteRow) -> sqlx::Result<Direction> {
    let name: &str = row.try_get("direction")?;
    Ok(if name == Direction::Minimize.name() { Direction::Minimize } else { Direction::Maximize })
}

fn millis(row: &SqliteRow, column: &str) -> sqlx::Result<Option<Millis>> {
    Ok(row.try_get::<Option<i64>, _>(column)?.map(Millis))
}

impl FromRow<'_, SqliteRow> for Head {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            key: SweepKey(row.try_get("id")?),
            state: row.try_get("state")?,
            why: row.try_get("why")?,
            converged: row.try_get("converged")?,
            next_seq: row.try_get::<i64, _>("next_seq")? as u64,
            ended: millis(row, "ended_ms")?,
            session: millis(row, "session_ms")?,
            touched: millis(row, "touched_ms")?,
            spent_ms: row.try_get("spent_ms")?,
        })
    }
}

impl FromRow<'_, SqliteRow> for Outline {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            head: Head::from_row(row)?,
            name: row.try_get("name")?,
            sampler: row.try_get("sampler")?,
            objective: row.try_get("objective")?,
            direction: direction(row)?,
            planned: row.try_get("planned")?,
            folds: row.try_get("folds")?,
            host: row.try_get("host")?,
            created: Millis(row.try_get("created_ms")?),
            started: millis(row, "started_ms")?,
            proposed: row.try_get("proposed")?,
            finished: row.try_get("finished")?,
            failed: row.try_get("failed")?,
            given_up: row.try_get("given_up")?,
            cancelled: row.try_get("cancelled")?,
            baseline: row.try_get("baseline")?,
            improvements: Vec::new(),
            open: Vec::new(),
            running: Vec::new(),
            is_lost: false,
        })
    }
}

/// Of nearly all trials there are none.
fn tags(json: &str) -> sqlx::Result<Vec<Box<str>>> {
    if json == "[]" {
        Ok(Vec::new())
    } else {
        serde_json::from_str(json).map_err(|error| sqlx::Error::Decode(error.into()))
    }
}

/// By place: a row a trial, ten thousand at once.
impl FromRow<'_, SqliteRow> for TrialRecord {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            trial: TrialId(row.try_get(0)?),
            state: row.try_get(1)?,
            score: row.try_get(2)?,
            score_se: row.try_get(3)?,
            params: row.try_get::<&str, _>(4)?.into(),
            why: row.try_get::<Option<&str>, _>(5)?.map(Into::into),
            given_up: row.try_get(6)?,
            proposed: Millis(row.try_get(7)?),
            ended: row.try_get::<Option<i64>, _>(8)?.map(Millis),
            excluded: row.try_get(9)?,
            note: row.try_get::<Option<&str>, _>(10)?.map(Into::into),
            tags: tags(row.try_get(11)?)?,
        })
    }
}

/// What [`RUNS`](super::RUNS) has of a run in one column.
#[derive(Deserialize)]
struct Packed {
    repeat: u32,
    fold: i32,
    attempt: u32,
    state: RunState,
    best_epoch: Option<u32>,
    epochs: Option<u32>,
    memory: Option<i64>,
    slot: Option<u32>,
    device: Option<Box<str>>,
    host: Option<Box<str>>,
    pid: Option<u32>,
    started: Option<i64>,
    ended: Option<i64>,
    why: Option<Box<str>>,
}

impl FromRow<'_, SqliteRow> for RunRecord {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let packed = serde_json::from_str(row.try_get(2)?).map_err(|error| sqlx::Error::Decode(error.into()))?;
        let Packed { repeat, fold, attempt, state, best_epoch, epochs, memory, slot, .. } = packed;
        let Packed { device, host, pid, started, ended, why, .. } = packed;
        Ok(Self {
            run: RunId { trial: TrialId(row.try_get(0)?), fold: FoldId { repeat, fold }, attempt },
            state,
            score: row.try_get(1)?,
            best_epoch,
            epochs,
            peak_memory_mb: memory.map(|mb| mb as u32),
            slot,
            device,
            host,
            pid,
            started: started.map(Millis),
            ended: ended.map(Millis),
            why,
        })
    }
}

impl FromRow<'_, SqliteRow> for Mistake {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            fold: FoldId { repeat: row.try_get(0)?, fold: row.try_get(1)? },
            document: row.try_get(2)?,
            label: row.try_get(3)?,
            predicted: row.try_get(4)?,
            confidence: row.try_get::<Option<f64>, _>(5)?.unwrap_or(f64::NAN),
        })
    }
}

impl FromRow<'_, SqliteRow> for Measured {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            fold: FoldId { repeat: row.try_get(0)?, fold: row.try_get(1)? },
            name: row.try_get(2)?,
            value: row.try_get::<Option<f64>, _>(3)?.unwrap_or(f64::NAN),
        })
    }
}

impl FromRow<'_, SqliteRow> for Sample {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            epoch: row.try_get(0)?,
            step: row.try_get::<i64, _>(1)? as u64,
            value: row.try_get::<Option<f64>, _>(2)?.unwrap_or(f64::NAN),
        })
    }
}
