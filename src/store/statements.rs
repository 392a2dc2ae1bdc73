//! The statements of the writer, one a function.

use std::path::Path;

use serde::Serialize;
use sqlx::sqlite::SqliteConnection;

use super::layout::sweep_directory;
use super::{Millis, NewSweep, SweepKey};
use crate::protocol::{Checkpoint, CheckpointKind, Measurement, Prediction, Split};
use crate::search::space::Point;
use crate::spec::Direction;
use crate::sweep::{Place, RunEnd, SlotId, SweepEnd, TrialEnd, TrialId};

pub(super) type Db = SqliteConnection;

/// A name that no sweep of this database has, nor one of another database beside it: the files of a sweep lie under its
/// name.
pub(super) async fn free_name(db: &mut Db, path: &Path, wanted: &str) -> sqlx::Result<String> {
    let mut name = wanted.to_owned();
    for number in 2u64.. {
        let taken: bool = sqlx::query_scalar("select exists (select 1 from sweep where name = ?)")
            .bind(&name)
            .fetch_one(&mut *db)
            .await?;
        if !taken && !sweep_directory(path, &name).exists() {
            break;
        }
        name = format!("{wanted}-{number}");
    }
    Ok(name)
}

pub(super) async fn insert_sweep(db: &mut Db, name: &str, new: &NewSweep, at: Millis) -> sqlx::Result<SweepKey> {
    let direction = match new.direction {
        Direction::Maximize => "maximize",
        Direction::Minimize => "minimize",
    };
    sqlx::query_scalar(
        "insert into sweep (name, sampler, objective, direction, planned, folds, documents, data_sha256, classes, \
         encoders, spec, spec_path, overrides, project, version, host, created_ms) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id",
    )
    .bind(name)
    .bind(&new.sampler)
    .bind(&new.objective)
    .bind(direction)
    .bind(new.trials)
    .bind(new.folds)
    .bind(new.documents.map(|documents| documents as i64))
    .bind(&new.data_sha256)
    .bind(json(&new.classes)?)
    .bind(json(&new.encoders)?)
    .bind(&new.spec)
    .bind(new.spec_path.to_string_lossy())
    .bind(json(&new.overrides)?)
    .bind(new.project.to_string_lossy())
    .bind(env!("CARGO_PKG_VERSION"))
    .bind(&new.host)
    .bind(at.0)
    .fetch_one(db)
    .await
    .map(SweepKey)
}

pub(super) async fn touched(db: &mut Db, sweep: SweepKey, at: Millis) -> sqlx::Result<()> {
    sqlx::query("update sweep set touched_ms = ? where id = ? and session_ms is not null")
        .bind(at.0)
        .bind(sweep.0)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn next_seq(db: &mut Db, sweep: SweepKey) -> sqlx::Result<i64> {
    sqlx::query_scalar("select coalesce(max(seq) + 1, 0) from fact where sweep = ?").bind(sweep.0).fetch_one(db).await
}

pub(super) async fn sweep_started(db: &mut Db, sweep: SweepKey, at: Millis) -> sqlx::Result<()> {
    sqlx::query("update sweep set state = 'running', started_ms = ?1, session_ms = ?1, touched_ms = ?1 where id = ?2")
        .bind(at.0)
        .bind(sweep.0)
        .execute(db)
        .await
        .map(drop)
}

/// A session that was killed has no end: it counts up to its last sign of life.
pub(super) async fn sweep_resumed(db: &mut Db, sweep: SweepKey, at: Millis) -> sqlx::Result<()> {
    sqlx::query(
        "update sweep set state = 'running', why = null, ended_ms = null, session_ms = ?1, touched_ms = ?1, \
         spent_ms = spent_ms + coalesce(touched_ms - session_ms, 0) where id = ?2",
    )
    .bind(at.0)
    .bind(sweep.0)
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn sweep_ended(db: &mut Db, sweep: SweepKey, end: &SweepEnd, at: Millis) -> sqlx::Result<()> {
    let (state, why) = match end {
        SweepEnd::Finished => ("finished", None),
        SweepEnd::Enough { why } => ("finished", Some(why)),
        SweepEnd::Stopped { why } => ("stopped", Some(why)),
    };
    sqlx::query(
        "update sweep set state = ?1, why = ?2, ended_ms = ?3, session_ms = null, touched_ms = null, \
         spent_ms = spent_ms + coalesce(?3 - session_ms, 0) where id = ?4",
    )
    .bind(state)
    .bind(why)
    .bind(at.0)
    .bind(sweep.0)
    .execute(db)
    .await
    .map(drop)
}

/// Between two sessions nothing runs.
pub(super) async fn rest_trials(db: &mut Db, sweep: SweepKey) -> sqlx::Result<()> {
    sqlx::query("update trial set state = 'waiting' where sweep = ? and state = 'running'")
        .bind(sweep.0)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn trial_proposed(
    db: &mut Db,
    sweep: SweepKey,
    trial: TrialId,
    point: &Point,
    at: Millis,
) -> sqlx::Result<()> {
    sqlx::query("insert into trial (sweep, number, params, proposed_ms) values (?, ?, ?, ?)")
        .bind(sweep.0)
        .bind(trial.0)
        .bind(json(point)?)
        .bind(at.0)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn trial_running(db: &mut Db, sweep: SweepKey, trial: TrialId) -> sqlx::Result<()> {
    sqlx::query("update trial set state = 'running' where sweep = ? and number = ? and state = 'waiting'")
        .bind(sweep.0)
        .bind(trial.0)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn trial_ended(
    db: &mut Db,
    sweep: SweepKey,
    trial: TrialId,
    end: &TrialEnd,
    at: Millis,
) -> sqlx::Result<()> {
    let (state, score, score_se, why) = match end {
        TrialEnd::Finished { score, score_se } => ("finished", Some(*score), *score_se, None),
        TrialEnd::Failed { why } => ("failed", None, None, Some(why)),
        TrialEnd::Dropped { why } | TrialEnd::Pruned { why } => ("pruned", None, None, Some(why)),
        TrialEnd::Cancelled { why } => ("cancelled", None, None, Some(why)),
    };
    sqlx::query(
        "update trial set state = ?, score = ?, score_se = ?, why = ?, ended_ms = ? where sweep = ? and number = ?",
    )
    .bind(state)
    .bind(score)
    .bind(score_se)
    .bind(why)
    .bind(at.0)
    .bind(sweep.0)
    .bind(trial.0)
    .execute(db)
    .await
    .map(drop)
}

/// What it was that ended a trial before its last fold.
pub(super) async fn trial_given_up(db: &mut Db, sweep: SweepKey, trial: TrialId, end: &TrialEnd) -> sqlx::Result<()> {
    let by = match end {
        TrialEnd::Dropped { .. } => "race",
        TrialEnd::Pruned { .. } => "prune",
        TrialEnd::Finished { .. } | TrialEnd::Failed { .. } | TrialEnd::Cancelled { .. } => return Ok(()),
    };
    sqlx::query("update trial set given_up = ? where sweep = ? and number = ?")
        .bind(by)
        .bind(sweep.0)
        .bind(trial.0)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn sweep_converged(db: &mut Db, sweep: SweepKey, why: &str) -> sqlx::Result<()> {
    sqlx::query("update sweep set converged = ? where id = ?").bind(why).bind(sweep.0).execute(db).await.map(drop)
}

/// Runs that were lost with their coordinator took until its last sign of life, not until somebody noticed.
pub(super) async fn runs_lost(db: &mut Db, sweep: SweepKey) -> sqlx::Result<()> {
    sqlx::query(
        "update run set ended_ms = max(started_ms, (select touched_ms from sweep where id = ?1)) \
         where state = 'running' and trial in (select id from trial where sweep = ?1)",
    )
    .bind(sweep.0)
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn trial_reopened(db: &mut Db, sweep: SweepKey, trial: TrialId) -> sqlx::Result<()> {
    sqlx::query("update trial set state = 'waiting', why = null, ended_ms = null where sweep = ? and number = ?")
        .bind(sweep.0)
        .bind(trial.0)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn run_started(db: &mut Db, run: i64, slot: SlotId, place: &Place, at: Millis) -> sqlx::Result<()> {
    sqlx::query("update run set slot = ?, device = ?, host = ?, pid = ?, started_ms = ? where id = ?")
        .bind(slot.0)
        .bind(&place.device)
        .bind(&place.host)
        .bind(place.pid)
        .bind(at.0)
        .bind(run)
        .execute(db)
        .await
        .map(drop)
}

pub(super) async fn run_ended(db: &mut Db, run: i64, end: &RunEnd, at: Millis) -> sqlx::Result<()> {
    let end = Ending::of(end);
    sqlx::query(
        "update run set state = ?, why = ?, score = ?, best_epoch = ?, epochs = ?, peak_memory_mb = ?, \
         ended_ms = coalesce(ended_ms, ?) \
         where id = ?",
    )
    .bind(end.state)
    .bind(end.why)
    .bind(end.score)
    .bind(end.best_epoch)
    .bind(end.epochs)
    .bind(end.peak_memory_mb)
    .bind(at.0)
    .bind(run)
    .execute(db)
    .await
    .map(drop)
}

#[derive(Default)]
struct Ending<'a> {
    state: &'static str,
    why: Option<&'a str>,
    score: Option<f64>,
    best_epoch: Option<u32>,
    epochs: Option<u32>,
    peak_memory_mb: Option<i64>,
}

impl<'a> Ending<'a> {
    fn of(end: &'a RunEnd) -> Self {
        let because = |state, why: &'a str| Self { state, why: Some(why), ..Self::default() };
        match end {
            RunEnd::Finished { score, best_epoch, epochs, peak_memory_mb } => Self {
                state: "finished",
                why: None,
                score: Some(*score),
                best_epoch: Some(*best_epoch),
                epochs: Some(*epochs),
                peak_memory_mb: Some(*peak_memory_mb as i64),
            },
            RunEnd::Failed { why } | RunEnd::Crashed { why } => because("failed", why),
            RunEnd::Interrupted { why } => because("interrupted", why),
            RunEnd::Cancelled { why } => because("cancelled", why),
            RunEnd::Pruned { why, score, best_epoch, epochs } => {
                Self { score: *score, best_epoch: *best_epoch, epochs: *epochs, ..because("pruned", why) }
            }
        }
    }
}

pub(super) async fn measured(
    db: &mut Db,
    run: i64,
    name: i64,
    moment: &Measurement,
    value: f64,
    at: Millis,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into metric (run, name, split, epoch, step, value, at_ms) values (?, ?, ?, ?, ?, ?, ?) \
         on conflict do update set value = excluded.value, at_ms = excluded.at_ms",
    )
    .bind(run)
    .bind(name)
    .bind(match moment.split {
        Split::Train => 0,
        Split::Validation => 1,
        Split::Machine => 2,
        Split::Holdout => 3,
    })
    .bind(moment.epoch)
    .bind(moment.step as i64)
    .bind(value)
    .bind(at.0)
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn saved(db: &mut Db, run: i64, checkpoint: &Checkpoint, at: Millis) -> sqlx::Result<()> {
    sqlx::query(
        "insert into checkpoint (run, kind, path, epoch, score, bytes, sha256, at_ms) values (?, ?, ?, ?, ?, ?, ?, ?) \
         on conflict do update set path = excluded.path, epoch = excluded.epoch, score = excluded.score, \
         bytes = excluded.bytes, sha256 = excluded.sha256, at_ms = excluded.at_ms",
    )
    .bind(run)
    .bind(match checkpoint.kind {
        CheckpointKind::Best => "best",
        CheckpointKind::Last => "last",
    })
    .bind(&checkpoint.path)
    .bind(checkpoint.epoch)
    .bind(checkpoint.score)
    .bind(checkpoint.bytes.map(|bytes| bytes as i64))
    .bind(&checkpoint.sha256)
    .bind(at.0)
    .execute(db)
    .await
    .map(drop)
}

pub(super) async fn predicted(db: &mut Db, run: i64, document: i64, prediction: &Prediction) -> sqlx::Result<()> {
    let probabilities: Vec<u8> = prediction.probabilities.iter().flat_map(|p| p.to_le_bytes()).collect();
    sqlx::query(
        "insert into prediction (run, document, label, predicted, confidence, probabilities) values (?, ?, ?, ?, ?, ?) \
         on conflict do update set label = excluded.label, predicted = excluded.predicted, \
         confidence = excluded.confidence, probabilities = excluded.probabilities",
    )
    .bind(run)
    .bind(document)
    .bind(&prediction.label)
    .bind(&prediction.predicted)
    .bind(prediction.confidence)
    .bind(probabilities)
    .execute(db)
    .await
    .map(drop)
}

pub(super) fn json(value: &impl Serialize) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}
