//! The score on the documents that no fold saw.

use serde::Serialize;

use super::render;
use crate::dashboard::format::counted;
use crate::failure::Failure;
use crate::store::{HoldoutRow, LeaderboardRow, Reader, RunState, SweepRow};
use crate::sweep::TrialId;

/// What the holdout says of the best trial, and who else was scored on it.
#[derive(Serialize)]
pub(super) struct Holdout {
    best_trial: Option<HoldoutRow>,
    baseline: Option<HoldoutRow>,
    /// How many trials have been scored on it, the best one too: every further look makes it less untouched.
    looks: usize,
    /// Those that were the best once.
    earlier: Vec<HoldoutRow>,
}

impl Holdout {
    /// Of a sweep, with its best trial; none where nothing was begun on a holdout.
    pub(super) async fn read(
        reader: &Reader,
        sweep: &str,
        best: Option<&LeaderboardRow>,
    ) -> Result<Option<Self>, Failure> {
        let rows = reader.holdout(sweep).await?;
        Ok((!rows.is_empty()).then(|| Self::of(rows, best.map(|row| row.trial))))
    }

    /// Of a sweep that has one and has not come to it.
    pub(super) fn untouched() -> Self {
        Self::of(Vec::new(), None)
    }

    fn of(rows: Vec<HoldoutRow>, best: Option<TrialId>) -> Self {
        let is_scored = |row: &HoldoutRow| row.state == RunState::Finished;
        let looks = rows.iter().filter(|row| !row.trial.is_baseline() && is_scored(row)).count();
        let of = |trial: TrialId| rows.iter().find(|row| row.trial == trial).cloned();
        let (best_trial, baseline) = (best.and_then(of), of(TrialId::BASELINE));
        let is_earlier = |row: &HoldoutRow| !row.trial.is_baseline() && Some(row.trial) != best && is_scored(row);
        Self { best_trial, baseline, looks, earlier: rows.into_iter().filter(is_earlier).collect() }
    }

    /// Whether the best trial has a score here.
    pub(super) fn is_scored(&self) -> bool {
        self.best_trial.as_ref().is_some_and(|row| row.state == RunState::Finished)
    }

    /// Whether the best trial or the baseline could not be scored.
    pub(super) fn has_failed(&self) -> bool {
        self.best_trial.iter().chain(&self.baseline).any(|row| row.state == RunState::Failed)
    }

    /// For people, in one line, or two where it was looked at before.
    pub(super) fn lines(&self, sweep: &SweepRow) -> String {
        let Some(row) = &self.best_trial else {
            return format!("holdout: the best trial is not scored yet{}", self.others());
        };
        let HoldoutRow { trial, score, score_se, documents, epochs, .. } = row;
        if row.state != RunState::Finished {
            let why = row.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let how = if row.state == RunState::Failed { "could not be scored" } else { "is not scored yet" };
            return format!("holdout: trial {trial} {how}{why}{}", self.others());
        }
        let note = if sweep.direction == "minimize" { " (lower is better)" } else { "" };
        let epochs = epochs.map(|count| format!(" for {}", self::epochs(count))).unwrap_or_default();
        let own = render::score_with_error(*score, *score_se);
        let baseline = match &self.baseline {
            Some(row) if row.state == RunState::Finished => {
                format!("; baseline {}", render::score_with_error(row.score, row.score_se))
            }
            Some(HoldoutRow { state: RunState::Failed, why: Some(why), .. }) => format!("; baseline failed: {why}"),
            _ => String::new(),
        };
        format!(
            "holdout: {} {own}{note} on {documents} documents, by trial {trial} trained on all others{epochs}{baseline}{}",
            sweep.objective,
            self.others()
        )
    }

    fn others(&self) -> String {
        if self.earlier.is_empty() {
            return String::new();
        }
        let score = |row: &HoldoutRow| format!("trial {} had {}", row.trial, render::score(row.score));
        let scores: Vec<String> = self.earlier.iter().map(score).collect();
        let times = if self.looks == 1 { "once".to_owned() } else { format!("{} times", self.looks) };
        format!("\nthe holdout was looked at {times}: {}, when it was the best", scores.join(", "))
    }
}

/// `1 epoch`, `5 epochs`
pub(super) fn epochs(count: u32) -> String {
    counted(count as usize, "epoch")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::SweepState;

    fn row(trial: i32, state: RunState, score: f64) -> HoldoutRow {
        let is_finished = state == RunState::Finished;
        HoldoutRow {
            trial: TrialId(trial),
            state,
            score: is_finished.then_some(score),
            score_se: is_finished.then_some(0.02),
            documents: 120,
            epochs: is_finished.then_some(5),
            folds_score: Some(0.9),
            why: (state == RunState::Failed).then(|| "out of memory".to_owned()),
        }
    }

    fn sweep(direction: &str) -> SweepRow {
        SweepRow {
            sweep: "lr".to_owned(),
            state: SweepState::Finished,
            sampler: "grid".to_owned(),
            objective: "macro_f1".to_owned(),
            direction: direction.to_owned(),
            trials: 3,
            finished: 3,
            failed: 0,
            best_trial: Some(2),
            best_score: Some(0.9),
            started_at: None,
            ended_at: None,
            seconds: 1.0,
            why: None,
            folds: 3,
            baseline_score: None,
            raced_out: 0,
            pruned: 0,
            folds_saved: 0,
            converged: None,
            holdout_score: None,
            holdout_baseline: None,
            excluded: 0,
        }
    }

    #[test]
    fn one_epoch_is_one() {
        assert_eq!([epochs(1), epochs(5)], ["1 epoch", "5 epochs"]);
    }

    #[test]
    fn every_case_is_said() {
        let lines = |rows: Vec<HoldoutRow>, direction: &str| {
            let best = Some(TrialId(2));
            Holdout::of(rows, best).lines(&sweep(direction))
        };
        let (best, baseline) = (row(2, RunState::Finished, 0.8), row(-1, RunState::Finished, 0.75));
        let told = [
            lines(vec![baseline.clone(), best.clone()], "maximize"),
            lines(vec![best.clone()], "minimize"),
            lines(vec![row(-1, RunState::Failed, 0.0), best.clone()], "maximize"),
            lines(vec![baseline.clone(), row(1, RunState::Finished, 0.7), best], "maximize"),
            lines(vec![baseline.clone(), row(2, RunState::Failed, 0.0)], "maximize"),
            lines(vec![baseline.clone(), row(1, RunState::Finished, 0.7), row(2, RunState::Running, 0.0)], "maximize"),
            lines(vec![baseline], "maximize"),
            Holdout::untouched().lines(&sweep("maximize")),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        holdout: macro_f1 0.8000 ± 0.0200 on 120 documents, by trial 2 trained on all others for 5 epochs; baseline 0.7500 ± 0.0200
        holdout: macro_f1 0.8000 ± 0.0200 (lower is better) on 120 documents, by trial 2 trained on all others for 5 epochs
        holdout: macro_f1 0.8000 ± 0.0200 on 120 documents, by trial 2 trained on all others for 5 epochs; baseline failed: out of memory
        holdout: macro_f1 0.8000 ± 0.0200 on 120 documents, by trial 2 trained on all others for 5 epochs; baseline 0.7500 ± 0.0200
        the holdout was looked at 2 times: trial 1 had 0.7000, when it was the best
        holdout: trial 2 could not be scored: out of memory
        holdout: trial 2 is not scored yet
        the holdout was looked at once: trial 1 had 0.7000, when it was the best
        holdout: the best trial is not scored yet
        holdout: the best trial is not scored yet
        ");
    }
}
