//! What each fact changes in the tables, all in the writer's transaction.

use std::collections::HashMap;
use std::path::Path;

use super::statements::{
    Db, free_name, insert_sweep, json, measured, next_seq, predicted, rest_trials, run_ended, run_started, runs_lost,
    saved, sweep_converged, sweep_ended, sweep_resumed, sweep_started, touched, trial_ended, trial_given_up,
    trial_proposed, trial_reopened, trial_running,
};
use super::steering::{machine_sampled, machine_thinned, ordered, trial_asked};
use super::{Millis, NewSweep, Reading, SweepKey};
use crate::protocol::Measurement;
use crate::sweep::{Fact, RunId};

/// Row numbers that the writer has already looked up. It is the only one that adds rows, and writes nothing more
/// after a rollback, so they stay true.
#[derive(Default)]
pub(super) struct Projection {
    next_seq: HashMap<SweepKey, i64>,
    runs: HashMap<(SweepKey, RunId), i64>,
    names: HashMap<String, i64>,
    documents: HashMap<String, i64>,
    /// Signs of life in this transaction.
    touched: HashMap<SweepKey, Millis>,
}

impl Projection {
    pub(super) async fn apply(&mut self, db: &mut Db, sweep: SweepKey, at: Millis, fact: &Fact) -> sqlx::Result<()> {
        match fact {
            Fact::Measured { run, measurement } => self.measured(db, sweep, *run, measurement, at).await?,
            Fact::Saved { run, checkpoint } => {
                let run = self.run(db, sweep, *run).await?;
                saved(db, run, checkpoint, at).await?;
            }
            Fact::Predicted { run, predictions } => {
                let run = self.run(db, sweep, *run).await?;
                for prediction in predictions {
                    let document = self.document(db, &prediction.document).await?;
                    predicted(db, run, document, prediction).await?;
                }
            }
            lifecycle => {
                self.append(db, sweep, at, lifecycle).await?;
                self.lifecycle(db, sweep, at, lifecycle).await?;
            }
        }
        // What failed gets its chance before the sweep resumes, and remarks are made at any time: what lies between the sessions of
        // a sweep is nobody's.
        if !matches!(fact, Fact::TrialReopened { .. } | Fact::RefitChosen { .. } | Fact::Ordered { .. }) {
            self.touched.insert(sweep, at);
        }
        Ok(())
    }

    async fn lifecycle(&mut self, db: &mut Db, sweep: SweepKey, at: Millis, fact: &Fact) -> sqlx::Result<()> {
        match fact {
            Fact::SweepStarted => sweep_started(db, sweep, at).await,
            Fact::SweepResumed => {
                runs_lost(db, sweep).await?;
                sweep_resumed(db, sweep, at).await?;
                rest_trials(db, sweep).await
            }
            Fact::TrialProposed { trial, point } => trial_proposed(db, sweep, *trial, point, at).await,
            Fact::TrialEnqueued { trial, point } => {
                trial_proposed(db, sweep, *trial, point, at).await?;
                trial_asked(db, sweep, *trial).await
            }
            Fact::RunStarted { run, slot, place } => {
                let id = self.run(db, sweep, *run).await?;
                run_started(db, id, *slot, place, at).await?;
                trial_running(db, sweep, run.trial).await
            }
            Fact::RunEnded { run, end } => {
                // also of a run whose process could not be started
                let id = self.run(db, sweep, *run).await?;
                run_ended(db, id, end, at).await
            }
            Fact::TrialEnded { trial, end } => {
                trial_ended(db, sweep, *trial, end, at).await?;
                trial_given_up(db, sweep, *trial, end).await
            }
            Fact::Converged { why } => sweep_converged(db, sweep, why).await,
            Fact::Ordered { order, .. } => ordered(db, sweep, order).await,
            Fact::TrialReopened { trial } => trial_reopened(db, sweep, *trial).await,
            Fact::SweepEnded { end } => {
                sweep_ended(db, sweep, end, at).await?;
                rest_trials(db, sweep).await
            }
            // of what was chosen its run tells
            Fact::RefitChosen { .. } | Fact::Measured { .. } | Fact::Saved { .. } | Fact::Predicted { .. } => Ok(()),
        }
    }

    /// What was seen of the machine, and once in a while what can go of it.
    pub(super) async fn samples(
        &mut self,
        db: &mut Db,
        sweep: SweepKey,
        at: Millis,
        samples: &[Reading],
    ) -> sqlx::Result<()> {
        // SQLite keeps NaN as null, which a column of numbers refuses, and the commit with it
        for sample in samples.iter().filter(|sample| sample.value.is_finite()) {
            machine_sampled(db, sweep, sample, at).await?;
        }
        if samples.iter().any(|sample| sample.lasting) { machine_thinned(db, sweep, at).await } else { Ok(()) }
    }

    /// A second coordinator of the same sweep has used the number already: its primary key refuses ours.
    async fn append(&mut self, db: &mut Db, sweep: SweepKey, at: Millis, fact: &Fact) -> sqlx::Result<()> {
        let seq = match self.next_seq.get(&sweep) {
            Some(seq) => *seq,
            None => next_seq(db, sweep).await?,
        };
        sqlx::query("insert into fact (sweep, seq, at_ms, body) values (?, ?, ?, ?)")
            .bind(sweep.0)
            .bind(seq)
            .bind(at.0)
            .bind(json(fact)?)
            .execute(db)
            .await?;
        self.next_seq.insert(sweep, seq + 1);
        Ok(())
    }

    async fn measured(
        &mut self,
        db: &mut Db,
        sweep: SweepKey,
        run: RunId,
        measurement: &Measurement,
        at: Millis,
    ) -> sqlx::Result<()> {
        let run = self.run(db, sweep, run).await?;
        for (name, value) in &measurement.values {
            let name = self.name(db, name).await?;
            measured(db, run, name, measurement, *value, at).await?;
        }
        Ok(())
    }

    /// The row of a run, made where there is none.
    async fn run(&mut self, db: &mut Db, sweep: SweepKey, run: RunId) -> sqlx::Result<i64> {
        if let Some(id) = self.runs.get(&(sweep, run)) {
            return Ok(*id);
        }
        let id = sqlx::query_scalar(
            "insert into run (trial, repeat, fold, attempt) \
             select id, ?, ?, ? from trial where sweep = ? and number = ? \
             on conflict do update set attempt = excluded.attempt returning id",
        )
        .bind(run.fold.repeat)
        .bind(run.fold.fold)
        .bind(run.attempt)
        .bind(sweep.0)
        .bind(run.trial.0)
        .fetch_one(db)
        .await?;
        self.runs.insert((sweep, run), id);
        Ok(id)
    }

    async fn name(&mut self, db: &mut Db, name: &str) -> sqlx::Result<i64> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        let id = sqlx::query_scalar(
            "insert into metric_name (name) values (?) on conflict do update set name = excluded.name returning id",
        )
        .bind(name)
        .fetch_one(db)
        .await?;
        self.names.insert(name.to_owned(), id);
        Ok(id)
    }

    async fn document(&mut self, db: &mut Db, name: &str) -> sqlx::Result<i64> {
        if let Some(id) = self.documents.get(name) {
            return Ok(*id);
        }
        let id = sqlx::query_scalar(
            "insert into document (name) values (?) on conflict do update set name = excluded.name returning id",
        )
        .bind(name)
        .fetch_one(db)
        .await?;
        self.documents.insert(name.to_owned(), id);
        Ok(id)
    }

    pub(super) async fn create(
        &mut self,
        db: &mut Db,
        path: &Path,
        new: &NewSweep,
        at: Millis,
    ) -> sqlx::Result<SweepKey> {
        let name = free_name(db, path, &new.name).await?;
        insert_sweep(db, &name, new, at).await
    }

    /// Last statement of a transaction: how far each sweep that runs has come.
    pub(super) async fn touch(&mut self, db: &mut Db) -> sqlx::Result<()> {
        for (sweep, at) in self.touched.drain() {
            touched(db, sweep, at).await?;
        }
        Ok(())
    }
}
