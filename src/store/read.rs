//! Everybody who only looks: read-only connections, which neither wait for the writer nor make it wait.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{FromRow, Sqlite};

use super::SweepKey;
use super::error::{StoreError, failed};
use super::open;
use super::rows::{
    CheckpointRow, HoldoutRow, LeaderboardRow, MetricRow, OrderRow, PredictionRow, Recorded, RunRow, SweepRecord,
    SweepRow, TrialRow,
};
use crate::protocol::Split;
use crate::search::History;
use crate::spec::Spec;
use crate::sweep::{Fact, Plan, RunId, Sweep, TrialId};

/// Read-only access to a database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) path: Arc<PathBuf>,
    pub(super) pool: SqlitePool,
    file: Option<FileId>,
}

/// What a file is, wherever it lies: its device and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(u64, u64);

impl FileId {
    /// None where nothing lies, nobody may know, or the file has lost all that was in it.
    pub async fn of(path: &Path) -> Option<Self> {
        let metadata = tokio::fs::metadata(path).await.ok()?;
        (metadata.len() > 0).then(|| Self(metadata.dev(), metadata.ino()))
    }
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

impl Reader {
    /// Opens a database that is there; while a sweep writes to it or after one was killed.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        // before it is opened: what comes in between is another one
        let file = FileId::of(path).await;
        let options = open::readable(path).await?;
        let pool =
            SqlitePoolOptions::new().max_connections(4).connect_with(options).await.map_err(failed(path, "open"))?;
        Ok(Self { path: Arc::new(path.to_owned()), pool, file })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was opened.
    pub fn file(&self) -> Option<FileId> {
        self.file
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Oldest first.
    pub async fn sweeps(&self) -> Result<Vec<SweepRow>, StoreError> {
        self.all(sqlx::query("select * from sweeps order by (select id from sweep where name = sweeps.sweep)")).await
    }

    /// The sweep of this name, else the only one whose name begins so.
    pub async fn sweep(&self, name: &str) -> Result<SweepRecord, StoreError> {
        let exact = sqlx::query("select * from sweep where name = ?").bind(name);
        if let Some(record) = self.optional(exact).await? {
            return Ok(record);
        }
        let by_prefix =
            sqlx::query("select * from sweep where substr(name, 1, length(?1)) = ?1 order by id").bind(name);
        let mut found: Vec<SweepRecord> = self.all(by_prefix).await?;
        match found.len() {
            1 => Ok(found.remove(0)),
            0 => Err(StoreError::NoSweep { name: name.to_owned(), known: self.names().await? }),
            _ => {
                let names = found.into_iter().map(|record| record.name).collect();
                Err(StoreError::Ambiguous { name: name.to_owned(), names })
            }
        }
    }

    /// The newest sweep.
    pub async fn latest(&self) -> Result<SweepRecord, StoreError> {
        let newest = self.optional(sqlx::query("select * from sweep order by id desc limit 1")).await?;
        newest.ok_or_else(|| StoreError::NoneYet { path: self.path.to_path_buf(), which: "yet" })
    }

    /// The newest sweep with something left to do.
    pub async fn latest_open(&self) -> Result<SweepRecord, StoreError> {
        let open = sqlx::query("select * from sweep where state <> 'finished' order by id desc limit 1");
        let newest = self.optional(open).await?;
        newest.ok_or_else(|| StoreError::NoneYet { path: self.path.to_path_buf(), which: "with trials left" })
    }

    /// The sweep of this number.
    pub async fn record(&self, sweep: SweepKey) -> Result<SweepRecord, StoreError> {
        let record = self.optional(sqlx::query("select * from sweep where id = ?").bind(sweep.0)).await?;
        record.ok_or_else(|| StoreError::NoneYet { path: self.path.to_path_buf(), which: "of this number" })
    }

    /// The history that resume replays. Measurements, checkpoints and predictions are only in their views.
    pub async fn facts(&self, sweep: SweepKey) -> Result<Vec<Fact>, StoreError> {
        Ok(self.facts_since(sweep, 0).await?.into_iter().map(|recorded| recorded.fact).collect())
    }

    /// The history from a sequence number on: for who has folded what was before.
    pub async fn facts_since(&self, sweep: SweepKey, seq: u64) -> Result<Vec<Recorded>, StoreError> {
        let query = sqlx::query("select seq, at_ms, body from fact where sweep = ? and seq >= ? order by seq");
        self.all(query.bind(sweep.0).bind(seq as i64)).await
    }

    /// What a search can learn from a recorded sweep, as its own search would: `spec` is that of the record.
    pub async fn history(&self, sweep: SweepKey, spec: &Spec) -> Result<History, StoreError> {
        let facts = self.facts(sweep).await?;
        let plan = Plan { spec: Arc::new(spec.clone()), slots: 0, retries: 0, earlier: Arc::default() };
        Ok(Sweep::replay(plan, &facts).history())
    }

    /// In their order, the baseline first.
    pub async fn trials(&self, sweep: &str) -> Result<Vec<TrialRow>, StoreError> {
        self.all(sqlx::query("select * from trials where sweep = ? order by trial").bind(sweep)).await
    }

    /// What people told a sweep to do, the oldest first.
    pub async fn orders(&self, sweep: &str) -> Result<Vec<OrderRow>, StoreError> {
        self.all(sqlx::query("select * from orders where sweep = ?").bind(sweep)).await
    }

    /// In the order of trial, repeat, fold, attempt; of each trial the one on the holdout last.
    pub async fn runs(&self, sweep: &str) -> Result<Vec<RunRow>, StoreError> {
        let query = sqlx::query("select * from runs where sweep = ? order by trial, fold < 0, repeat, fold, attempt");
        self.all(query.bind(sweep)).await
    }

    /// The finished trials, best first.
    pub async fn leaderboard(&self, sweep: &str) -> Result<Vec<LeaderboardRow>, StoreError> {
        let query = sqlx::query("select * from leaderboard where sweep = ? and not baseline order by rank, trial");
        self.all(query.bind(sweep)).await
    }

    /// What was scored on the holdout, the baseline first.
    pub async fn holdout(&self, sweep: &str) -> Result<Vec<HoldoutRow>, StoreError> {
        self.all(sqlx::query("select * from holdout where sweep = ? order by trial").bind(sweep)).await
    }

    /// Seconds of all runs of folds together, the baseline's aside. One that is lost counts to its coordinator's last sign of life.
    pub async fn device_seconds(&self, sweep: SweepKey) -> Result<f64, StoreError> {
        let query = sqlx::query_scalar(
            "select coalesce(sum(coalesce(r.ended_ms, max(r.started_ms, s.touched_ms)) - r.started_ms), 0) / 1000.0 \
             from sweep s join trial t on t.sweep = s.id join run r on r.trial = t.id where s.id = ? and t.number >= 0 and r.fold >= 0",
        );
        query.bind(sweep.0).fetch_one(&self.pool).await.map_err(failed(&self.path, "read"))
    }

    /// The baseline, if the sweep has one.
    pub async fn baseline(&self, sweep: &str) -> Result<Option<TrialRow>, StoreError> {
        self.optional(sqlx::query("select * from trials where sweep = ? and baseline").bind(sweep)).await
    }

    /// All that one run has measured, in the order of its steps.
    pub async fn metrics(&self, sweep: &str, run: RunId) -> Result<Vec<MetricRow>, StoreError> {
        let query = sqlx::query(
            "select * from metrics where sweep = ? and trial = ? and repeat = ? and fold = ? and attempt = ? \
             order by epoch, step, split, name",
        );
        let query = query.bind(sweep).bind(run.trial.0).bind(run.fold.repeat).bind(run.fold.fold).bind(run.attempt);
        self.all(query).await
    }

    /// The newest value of each metric of one run.
    pub async fn last_metrics(&self, sweep: &str, run: RunId) -> Result<Vec<MetricRow>, StoreError> {
        let query = sqlx::query(
            "select * from (select *, row_number() over (partition by split, name order by epoch desc, step desc) as age \
             from metrics where sweep = ? and trial = ? and repeat = ? and fold = ? and attempt = ?) \
             where age = 1 order by split, name",
        );
        let query = query.bind(sweep).bind(run.trial.0).bind(run.fold.repeat).bind(run.fold.fold).bind(run.attempt);
        self.all(query).await
    }

    /// One metric of all runs, run after run.
    pub async fn curves(&self, sweep: &str, metric: &str, split: Split) -> Result<Vec<MetricRow>, StoreError> {
        let split = match split {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Machine => "machine",
            Split::Holdout => "holdout",
        };
        let query = sqlx::query(
            "select * from metrics where sweep = ? and name = ? and split = ? \
             order by trial, repeat, fold, attempt, epoch, step",
        );
        self.all(query.bind(sweep).bind(metric).bind(split)).await
    }

    /// The newest of each kind of each fold.
    pub async fn checkpoints(&self, sweep: &str) -> Result<Vec<CheckpointRow>, StoreError> {
        let query = sqlx::query("select * from checkpoints where sweep = ? order by trial, repeat, fold, kind");
        self.all(query.bind(sweep)).await
    }

    /// What a trial's finished folds said of their validation documents, with all probabilities.
    pub async fn predictions(&self, sweep: &str, trial: TrialId) -> Result<Vec<PredictionRow>, StoreError> {
        let query = sqlx::query(
            "select r.repeat, r.fold, d.name as document, p.label, p.predicted, p.confidence, p.probabilities \
             from sweep s join trial t on t.sweep = s.id join run r on r.trial = t.id \
             join prediction p on p.run = r.id join document d on d.id = p.document \
             where s.name = ? and t.number = ? and r.fold >= 0 and r.state = 'finished' order by r.repeat, r.fold, p.document",
        );
        self.all(query.bind(sweep).bind(trial.0)).await
    }

    async fn names(&self) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar("select name from sweep order by id").fetch_all(&self.pool).await;
        names.map_err(failed(&self.path, "list the sweeps"))
    }

    async fn all<T>(&self, query: Query<'_>) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        let rows = query.fetch_all(&self.pool).await.map_err(failed(&self.path, "read"))?;
        rows.iter().map(T::from_row).collect::<sqlx::Result<_>>().map_err(failed(&self.path, "understand a row"))
    }

    async fn optional<T>(&self, query: Query<'_>) -> Result<Option<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow>,
    {
        Ok(self.all(query).await?.into_iter().next())
    }
}
