//! Following sweeps as they happen: what is there now, read once and leanly, and then only what is new.
//!
//! The public views answer any question at any price; these readers are for who asks ten times a second.

mod queries;
mod records;

use futures_util::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Row, Sqlite};

pub use records::{
    Confused, Extent, Head, Improvement, Live, Measured, Mistake, Outline, RunRecord, Sample, Snapshot, TrialRecord,
};

use super::error::{StoreError, failed};
use super::read::Reader;
use super::rows::RunState;
use super::{Millis, SweepKey};
use crate::protocol::Split;
use crate::sweep::{FoldId, RunId, TrialId};
use queries::{
    CONFUSIONS, EXTENT, FINALS, HEADS, IMPROVEMENTS, LIVE, METRIC_NAMES, MISTAKES, OPEN, OUTLINES, RUNS, SAMPLES,
    SHAPE, TRIALS,
};
use records::direction;

/// A connection that knows whether anybody has committed since it was last asked.
#[derive(Debug)]
pub struct Watch {
    reader: Reader,
    connection: PoolConnection<Sqlite>,
    version: Option<i64>,
}

impl Watch {
    /// True at the first call, and whenever another connection has committed since the last one.
    pub async fn changed(&mut self) -> Result<bool, StoreError> {
        let version = sqlx::query_scalar("pragma data_version").fetch_one(&mut *self.connection).await;
        let version: i64 = version.map_err(failed(&self.reader.path, "look for news"))?;
        Ok(self.version.replace(version) != Some(version))
    }
}

impl Reader {
    /// To be asked for news.
    pub async fn watch(&self) -> Result<Watch, StoreError> {
        let connection = self.pool.acquire().await.map_err(failed(&self.path, "read"))?;
        Ok(Watch { reader: self.clone(), connection, version: None })
    }

    /// All sweeps, oldest first: cheap, however large they are.
    pub async fn heads(&self) -> Result<Vec<Head>, StoreError> {
        let rows = sqlx::query(HEADS).fetch_all(&self.pool).await.map_err(failed(&self.path, "read"))?;
        rows.iter().map(Head::from_row).collect::<sqlx::Result<_>>().map_err(failed(&self.path, "understand a row"))
    }

    /// Those that are recorded as going on, whether or not somebody runs them.
    pub async fn live(&self) -> Result<Vec<Live>, StoreError> {
        let rows = sqlx::query(LIVE).fetch_all(&self.pool).await.map_err(failed(&self.path, "read"))?;
        let live = rows
            .iter()
            .map(|row| Ok(Live { key: SweepKey(row.try_get(0)?), name: row.try_get(1)?, host: row.try_get(2)? }));
        live.collect::<sqlx::Result<_>>().map_err(failed(&self.path, "understand a row"))
    }

    /// One sweep, or all of them, oldest first.
    pub async fn outlines(&self, only: Option<SweepKey>) -> Result<Vec<Outline>, StoreError> {
        let read = async {
            let mut view = self.pool.begin().await?;
            let mut outlines: Vec<Outline> = Vec::new();
            for row in sqlx::query(OUTLINES).bind(only.map(|key| key.0)).fetch_all(&mut *view).await? {
                outlines.push(Outline::from_row(&row)?);
            }
            improvements(&mut view, only, &mut outlines).await?;
            open_trials(&mut view, only, &mut outlines).await?;
            Ok(outlines)
        };
        read.await.map_err(failed(&self.path, "read"))
    }

    /// Whether there is anything new to compute from.
    pub async fn extent(&self, sweep: SweepKey) -> Result<Extent, StoreError> {
        let read = async {
            let row = sqlx::query(EXTENT).bind(sweep.0).fetch_one(&self.pool).await?;
            Ok(Extent {
                proposed: row.try_get(0)?,
                ended: row.try_get(1)?,
                excluded: row.try_get(2)?,
                runs: row.try_get(3)?,
            })
        };
        read.await.map_err(failed(&self.path, "read"))
    }

    /// Everything that the facts of a sweep tell, without reading them.
    pub async fn snapshot(&self, sweep: SweepKey) -> Result<Snapshot, StoreError> {
        let read = async {
            let mut view = self.pool.begin().await?;
            let row = sqlx::query(SHAPE).bind(sweep.0).fetch_one(&mut *view).await?;
            let (direction, folds) = (direction(&row)?, row.try_get("folds")?);
            let next_seq: i64 = row.try_get("next_seq")?;
            let trials = {
                let rows = sqlx::query(TRIALS).bind(sweep.0).fetch(&mut *view);
                rows.and_then(|row| async move { TrialRecord::from_row(&row) }).try_collect().await?
            };
            let runs = {
                let rows = sqlx::query(RUNS).bind(sweep.0).fetch(&mut *view);
                rows.and_then(|row| async move { RunRecord::from_row(&row) }).try_collect().await?
            };
            Ok(Snapshot { direction, folds, next_seq: next_seq as u64, trials, runs })
        };
        read.await.map_err(failed(&self.path, "read"))
    }

    /// What a run measured of one metric after an (epoch, step); all of it after none.
    pub async fn samples(
        &self,
        sweep: SweepKey,
        run: RunId,
        split: Split,
        metric: &str,
        after: Option<(u32, u64)>,
    ) -> Result<Vec<Sample>, StoreError> {
        let (epoch, step) = after.map_or((-1, -1), |(epoch, step)| (i64::from(epoch), step as i64));
        let read = async {
            let Some(id) = self.run_row(sweep, run).await? else { return Ok(Vec::new()) };
            let rows = sqlx::query(SAMPLES).bind(id).bind(metric).bind(number_of(split)).bind(epoch).bind(step);
            rows.fetch(&self.pool).and_then(|row| async move { Sample::from_row(&row) }).try_collect().await
        };
        read.await.map_err(failed(&self.path, "read the metrics"))
    }

    /// Names of what a run has measured, by split.
    pub async fn metric_names(&self, sweep: SweepKey, run: RunId) -> Result<Vec<(Split, String)>, StoreError> {
        let read = async {
            let Some(id) = self.run_row(sweep, run).await? else { return Ok(Vec::new()) };
            let rows = sqlx::query(METRIC_NAMES).bind(id).fetch_all(&self.pool).await?;
            let name = |row: &SqliteRow| -> sqlx::Result<_> { Ok((split_of(row.try_get(0)?), row.try_get(1)?)) };
            rows.iter().map(name).collect()
        };
        read.await.map_err(failed(&self.path, "read the metrics"))
    }

    /// All validation metrics of a trial's finished folds at their best epochs, in the order of names and folds.
    pub async fn finals(&self, sweep: SweepKey, trial: TrialId) -> Result<Vec<Measured>, StoreError> {
        let rows = sqlx::query(FINALS).bind(sweep.0).bind(trial.0).fetch_all(&self.pool).await;
        let rows = rows.map_err(failed(&self.path, "read the metrics"))?;
        rows.iter().map(Measured::from_row).collect::<sqlx::Result<_>>().map_err(failed(&self.path, "understand a row"))
    }

    /// How often which answer was given to which label, by the finished folds of a trial.
    pub async fn confusions(&self, sweep: SweepKey, trial: TrialId) -> Result<Vec<Confused>, StoreError> {
        let rows = sqlx::query(CONFUSIONS).bind(sweep.0).bind(trial.0).fetch_all(&self.pool).await;
        let rows = rows.map_err(failed(&self.path, "read the predictions"))?;
        rows.iter().map(Confused::from_row).collect::<sqlx::Result<_>>().map_err(failed(&self.path, "understand a row"))
    }

    /// Wrong answers of a trial's finished folds, the surest first.
    pub async fn mistakes(&self, sweep: SweepKey, trial: TrialId, most: u32) -> Result<Vec<Mistake>, StoreError> {
        let rows = sqlx::query(MISTAKES).bind(sweep.0).bind(trial.0).bind(most).fetch_all(&self.pool).await;
        let rows = rows.map_err(failed(&self.path, "read the predictions"))?;
        rows.iter().map(Mistake::from_row).collect::<sqlx::Result<_>>().map_err(failed(&self.path, "understand a row"))
    }

    async fn run_row(&self, sweep: SweepKey, run: RunId) -> sqlx::Result<Option<i64>> {
        sqlx::query_scalar(
            "select r.id from trial t join run r on r.trial = t.id \
             where t.sweep = ? and t.number = ? and r.repeat = ? and r.fold = ? and r.attempt = ?",
        )
        .bind(sweep.0)
        .bind(run.trial.0)
        .bind(run.fold.repeat)
        .bind(run.fold.fold)
        .bind(run.attempt)
        .fetch_optional(&self.pool)
        .await
    }
}

async fn improvements(
    view: &mut SqliteConnection,
    only: Option<SweepKey>,
    outlines: &mut [Outline],
) -> sqlx::Result<()> {
    for row in sqlx::query(IMPROVEMENTS).bind(only.map(|key| key.0)).fetch_all(view).await? {
        if let Some(outline) = outline_of(outlines, row.try_get(0)?) {
            outline.improvements.push(Improvement {
                trial: TrialId(row.try_get(1)?),
                score: row.try_get(2)?,
                nth: row.try_get(3)?,
                at: Millis(row.try_get::<Option<i64>, _>(4)?.unwrap_or_default()),
            });
        }
    }
    Ok(())
}

async fn open_trials(
    view: &mut SqliteConnection,
    only: Option<SweepKey>,
    outlines: &mut [Outline],
) -> sqlx::Result<()> {
    for row in sqlx::query(OPEN).bind(only.map(|key| key.0)).fetch_all(view).await? {
        let Some(outline) = outline_of(outlines, row.try_get(0)?) else { continue };
        let trial = TrialId(row.try_get(1)?);
        let fold = FoldId { repeat: row.try_get(2)?, fold: row.try_get(3)? };
        if row.try_get::<RunState, _>(5)? == RunState::Running {
            let started = Millis(row.try_get::<Option<i64>, _>(6)?.unwrap_or_default());
            outline.running.push((RunId { trial, fold, attempt: row.try_get(4)? }, started));
        } else {
            match outline.open.last_mut() {
                Some((last, folds)) if *last == trial => *folds += 1,
                _ => outline.open.push((trial, 1)),
            }
        }
    }
    Ok(())
}

/// By the key that a row names; outlines are in the order of their keys.
fn outline_of(outlines: &mut [Outline], key: i64) -> Option<&mut Outline> {
    let index = outlines.binary_search_by_key(&SweepKey(key), |outline| outline.head.key).ok()?;
    outlines.get_mut(index)
}

fn number_of(split: Split) -> i64 {
    match split {
        Split::Train => 0,
        Split::Validation => 1,
        Split::Machine => 2,
        Split::Holdout => 3,
    }
}

fn split_of(number: i64) -> Split {
    match number {
        0 => Split::Train,
        1 => Split::Validation,
        2 => Split::Machine,
        _ => Split::Holdout,
    }
}
