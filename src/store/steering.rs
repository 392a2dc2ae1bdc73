//! The statements for what people tell a sweep, and for what is seen of its machine.

use futures_util::TryStreamExt;
use sqlx::Row;

use super::error::{StoreError, failed};
use super::read::Reader;
use super::statements::Db;
use super::{Millis, SweepKey};
use crate::sweep::{Order, TrialId};

/// One number of a device at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Such as cpu, cuda:0, or `run 3/1`.
    pub device: String,
    pub name: &'static str,
    pub value: f64,
    /// Kept for a day, not for an hour.
    pub lasting: bool,
}

/// What was seen of a device at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Gauge {
    pub at: Millis,
    /// As in [`Reading`].
    pub device: Box<str>,
    pub name: Box<str>,
    pub value: f64,
}

impl Reader {
    /// What was seen of a sweep's machine after a moment, in the order of time; from the beginning after none.
    pub async fn gauges(&self, sweep: SweepKey, after: Option<Millis>) -> Result<Vec<Gauge>, StoreError> {
        let rows = sqlx::query(GAUGES).bind(sweep.0).bind(after.map_or(i64::MIN, |after| after.0)).fetch(&self.pool);
        let gauge = |row: sqlx::sqlite::SqliteRow| async move {
            Ok(Gauge {
                at: Millis(row.try_get(0)?),
                device: row.try_get::<&str, _>(1)?.into(),
                name: row.try_get::<&str, _>(2)?.into(),
                value: row.try_get(3)?,
            })
        };
        rows.and_then(gauge).try_collect().await.map_err(failed(&self.path, "read what was seen of the machine"))
    }
}

/// A range of the primary key.
const GAUGES: &str = "\
    select at_ms, device, name, value from machine_sample where sweep = ? and at_ms > ? order by at_ms, device, name";

/// How long samples are kept, in milliseconds: all, and the lasting ones.
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// What an order says by itself. That a sweep ends, or a trial, is a fact of its own.
pub(super) async fn ordered(db: &mut Db, sweep: SweepKey, order: &Order) -> sqlx::Result<()> {
    match order {
        Order::Pause => sweep_is(db, sweep, "paused").await,
        // of a paused sweep that is stopped the last runs come to their end
        Order::Unpause | Order::Stop | Order::Kill => sweep_is(db, sweep, "running").await,
        Order::Retry { trial: Some(trial) } => taken_up(db, sweep, *trial).await,
        Order::Exclude { trial } => excluded(db, sweep, *trial, true).await,
        Order::Include { trial } => excluded(db, sweep, *trial, false).await,
        Order::Note { trial, text } => noted(db, sweep, *trial, text).await,
        Order::Tag { trial, tag } => tagged(db, sweep, *trial, tag).await,
        Order::Untag { trial, tag } => untagged(db, sweep, *trial, tag).await,
        Order::KillTrial { .. }
        | Order::Retry { trial: None }
        | Order::Restart { .. }
        | Order::Enqueue { .. }
        | Order::Slots { .. } => Ok(()),
    }
}

async fn sweep_is(db: &mut Db, sweep: SweepKey, state: &str) -> sqlx::Result<()> {
    sqlx::query("update sweep set state = ? where id = ?").bind(state).bind(sweep.0).execute(db).await.map(drop)
}

/// It is not given up any more, if it was.
async fn taken_up(db: &mut Db, sweep: SweepKey, trial: TrialId) -> sqlx::Result<()> {
    sqlx::query("update trial set given_up = null where sweep = ? and number = ?")
        .bind(sweep.0)
        .bind(trial.0)
        .execute(db)
        .await
        .map(drop)
}

async fn excluded(db: &mut Db, sweep: SweepKey, trial: TrialId, excluded: bool) -> sqlx::Result<()> {
    sqlx::query("update trial set excluded = ? where sweep = ? and number = ?")
        .bind(excluded)
        .bind(sweep.0)
        .bind(trial.0)
        .execute(db)
        .await
        .map(drop)
}

async fn noted(db: &mut Db, sweep: SweepKey, trial: TrialId, text: &str) -> sqlx::Result<()> {
    sqlx::query("update trial set note = nullif(?, '') where sweep = ? and number = ?")
        .bind(text)
        .bind(sweep.0)
        .bind(trial.0)
        .execute(db)
        .await
        .map(drop)
}

async fn tagged(db: &mut Db, sweep: SweepKey, trial: TrialId, tag: &str) -> sqlx::Result<()> {
    sqlx::query(
        "update trial set tags = (select json_group_array(value) from (select value from json_each(tags) \
         union select ?1 order by 1)) where sweep = ?2 and number = ?3",
    )
    .bind(tag)
    .bind(sweep.0)
    .bind(trial.0)
    .execute(db)
    .await
    .map(drop)
}

async fn untagged(db: &mut Db, sweep: SweepKey, trial: TrialId, tag: &str) -> sqlx::Result<()> {
    sqlx::query(
        "update trial set tags = (select json_group_array(value) from (select value from json_each(tags) \
         where value <> ?1 order by 1)) where sweep = ?2 and number = ?3",
    )
    .bind(tag)
    .bind(sweep.0)
    .bind(trial.0)
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn trial_asked(db: &mut Db, sweep: SweepKey, trial: TrialId) -> sqlx::Result<()> {
    sqlx::query("update trial set asked = 1 where sweep = ? and number = ?")
        .bind(sweep.0)
        .bind(trial.0)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn machine_sampled(db: &mut Db, sweep: SweepKey, sample: &Reading, at: Millis) -> sqlx::Result<()> {
    sqlx::query(
        "insert into machine_sample (sweep, at_ms, device, name, value, lasting) values (?, ?, ?, ?, ?, ?) \
         on conflict do update set value = excluded.value",
    )
    .bind(sweep.0)
    .bind(at.0)
    .bind(&sample.device)
    .bind(sample.name)
    .bind(sample.value)
    .bind(sample.lasting)
    .execute(db)
    .await
    .map(drop)
}

/// Forgets what is too old.
pub(super) async fn machine_thinned(db: &mut Db, sweep: SweepKey, now: Millis) -> sqlx::Result<()> {
    sqlx::query("delete from machine_sample where sweep = ?1 and (at_ms < ?2 or (at_ms < ?3 and not lasting))")
        .bind(sweep.0)
        .bind(now.0 - DAY)
        .bind(now.0 - HOUR)
        .execute(db)
        .await
        .map(drop)
}
