//! Following sweeps as they happen: what is there now, read once and leanly, and then only what is new.
//!
//! The public views answer any question at any price; these readers are for who asks ten times a second.

use futures_util::TryStreamExt;
use serde::Deserialize;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Row, Sqlite};

use super::error::{StoreError, failed};
use super::read::Reader;
use super::rows::{GivenUp, RunState, SweepState, TrialState};
use super::{Millis, SweepKey};
use crate::protocol::Split;
use crate::spec::Direction;
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

const HEADS: &str = "\
    select id, state, why, converged, ended_ms, session_ms, touched_ms, spent_ms, \
    coalesce((select max(seq) + 1 from fact where sweep = sweep.id), 0) as next_seq from sweep order by id";

const LIVE: &str = "select id, name, host from sweep where state in ('running', 'paused') order by id";

const EXTENT: &str = "\
    select count(*), coalesce(sum(state not in ('waiting', 'running')), 0), coalesce(sum(excluded), 0), \
    (select count(*) from trial t join run r on r.trial = t.id \
    where t.sweep = ?1 and r.fold >= 0 and r.state = 'finished') \
    from trial where sweep = ?1";

const SHAPE: &str = "\
    select direction, folds, coalesce((select max(seq) + 1 from fact where sweep = sweep.id), 0) as next_seq \
    from sweep where id = ?";

const OUTLINES: &str = "\
    select s.*, coalesce((select max(seq) + 1 from fact where sweep = s.id), 0) as next_seq, \
    count(t.id) as proposed, coalesce(sum(t.state = 'finished'), 0) as finished, \
    coalesce(sum(t.state = 'failed'), 0) as failed, coalesce(sum(t.state = 'pruned'), 0) as given_up, \
    coalesce(sum(t.state = 'cancelled'), 0) as cancelled, \
    (select score from trial where sweep = s.id and number = -1) as baseline \
    from sweep s left join trial t on t.sweep = s.id and t.number >= 0 \
    where ?1 is null or s.id = ?1 group by s.id order by s.id";

const IMPROVEMENTS: &str = "\
    select sweep, number, score, nth, ended_ms from ( \
        select t.sweep, t.number, t.score, t.ended_ms, t.loss, row_number() over so_far as nth, \
        min(t.loss) over (so_far rows between unbounded preceding and 1 preceding) as best \
        from ( \
            select t.*, case s.direction when 'maximize' then -t.score else t.score end as loss \
            from trial t join sweep s on s.id = t.sweep \
            where t.state = 'finished' and t.number >= 0 and not t.excluded and (?1 is null or t.sweep = ?1) \
        ) t \
        window so_far as (partition by t.sweep order by t.ended_ms, t.number) \
    ) where best is null or loss < best order by sweep, nth";

const OPEN: &str = "\
    select t.sweep, t.number, r.repeat, r.fold, r.attempt, r.state, r.started_ms \
    from trial t join run r on r.trial = t.id \
    where t.state in ('waiting', 'running') and (?1 is null or t.sweep = ?1) \
    and r.fold >= 0 and r.state in ('finished', 'running') order by t.sweep, t.number";

const TRIALS: &str = "\
    select number, state, score, score_se, params, why, given_up, proposed_ms, ended_ms, excluded, note, tags \
    from trial where sweep = ? order by number";

/// All but the score in one column: a column of fifty thousand rows costs more than to read it out of a text, in which
/// only the digits of a score might suffer.
const RUNS: &str = "\
    select t.number, r.score, json_object('repeat', r.repeat, 'fold', r.fold, 'attempt', r.attempt, 'state', r.state, \
    'best_epoch', r.best_epoch, 'epochs', r.epochs, 'memory', r.peak_memory_mb, 'slot', r.slot, 'device', r.device, \
    'host', r.host, 'pid', r.pid, 'started', r.started_ms, 'ended', r.ended_ms, 'why', r.why) \
    from trial t join run r on r.trial = t.id where t.sweep = ? and r.fold >= 0 \
    order by t.number, r.repeat, r.fold, r.attempt";

/// A range of the primary key.
const SAMPLES: &str = "\
    select epoch, step, value from metric \
    where run = ?1 and name = (select id from metric_name where name = ?2) and split = ?3 and (epoch, step) > (?4, ?5) \
    order by epoch, step";

/// One look into the primary key for each name that there is, in place of all that the run has measured.
const METRIC_NAMES: &str = "\
    select s.split, n.name from metric_name n, (select 0 as split union all select 1 union all select 2) s \
    where exists (select 1 from metric m where m.run = ?1 and m.name = n.id and m.split = s.split) \
    order by s.split, n.name";

/// The last one of the epoch; by ranges of the primary key.
const FINALS: &str = "\
    select r.repeat, r.fold, n.name, ( \
        select m.value from metric m where m.run = r.id and m.name = n.id and m.split = 1 and m.epoch = r.best_epoch \
        order by m.step desc limit 1 \
    ) as value \
    from trial t join run r on r.trial = t.id join metric_name n \
    where t.sweep = ? and t.number = ? and r.fold >= 0 and r.state = 'finished' and exists ( \
        select 1 from metric m where m.run = r.id and m.name = n.id and m.split = 1 and m.epoch = r.best_epoch \
    ) order by n.name, r.repeat, r.fold";

const CONFUSIONS: &str = "\
    select p.label, p.predicted, count(*) as documents \
    from trial t join run r on r.trial = t.id join prediction p on p.run = r.id \
    where t.sweep = ? and t.number = ? and r.fold >= 0 and r.state = 'finished' \
    group by p.label, p.predicted";

const MISTAKES: &str = "\
    select r.repeat, r.fold, d.name, p.label, p.predicted, p.confidence \
    from trial t join run r on r.trial = t.id join prediction p on p.run = r.id join document d on d.id = p.document \
    where t.sweep = ? and t.number = ? and r.fold >= 0 and r.state = 'finished' and p.label <> p.predicted \
    order by p.confidence desc, d.name limit ?";

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

fn direction(row: &SqliteRow) -> sqlx::Result<Direction> {
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

/// What [`RUNS`] has of a run in one column.
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
