//! The baseline beside the trials: what they gain over it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::render;
use crate::crossval::Comparison;
use crate::failure::Failure;
use crate::store::{LeaderboardRow, Reader, RunRow, RunState, TrialRow, TrialState};
use crate::sweep::{FoldId, TrialId};

#[derive(Serialize)]
pub(super) struct Baseline {
    #[serde(flatten)]
    row: TrialRow,
    best_trial: Option<Gain>,
}

/// The best trial's score less the baseline's, on the folds that both have run.
#[derive(Serialize)]
struct Gain {
    trial: TrialId,
    #[serde(flatten)]
    comparison: Comparison,
}

impl Baseline {
    /// Of a sweep, if it has one, beside its best trial.
    pub(super) async fn read(
        reader: &Reader,
        sweep: &str,
        best: Option<&LeaderboardRow>,
    ) -> Result<Option<Self>, Failure> {
        let Some(row) = reader.baseline(sweep).await? else {
            return Ok(None);
        };
        let best_trial = match best {
            Some(best) if row.state == TrialState::Finished => Gain::of(best.trial, &reader.runs(sweep).await?),
            _ => None,
        };
        Ok(Some(Self { row, best_trial }))
    }

    /// For people, in one line.
    pub(super) fn line(&self, direction: &str) -> String {
        if self.row.state != TrialState::Finished {
            let why = self.row.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            return format!("baseline: {}{why}", if why.is_empty() { "not finished" } else { "failed" });
        }
        let score = render::score_with_error(self.row.score, self.row.score_se);
        let own = format!("baseline (TF-IDF + linear): {score}");
        let Some(Gain { comparison: Comparison { difference, difference_se, p, .. }, .. }) = self.best_trial else {
            return own;
        };
        let error = difference_se.map(|error| format!(" ± {error:.4}")).unwrap_or_default();
        let error = error + &p.map(|p| format!(", p {p:.3}")).unwrap_or_default();
        let (shown, is_lower_better) = (format!("{difference:+.4}{error}"), direction == "minimize");
        let note = if is_lower_better { " (lower is better)" } else { "" };
        if difference == 0.0 {
            format!("{own}; the best trial is no better")
        } else if (difference > 0.0) == is_lower_better {
            format!("the baseline (TF-IDF + linear) is better than every trial: {score}; best trial {shown}{note}")
        } else {
            format!("{own}; best trial {shown}{note}")
        }
    }
}

impl Gain {
    fn of(trial: TrialId, runs: &[RunRow]) -> Option<Self> {
        let scores = |trial: TrialId| -> BTreeMap<FoldId, f64> {
            let finished = runs.iter().filter(|row| row.run.trial == trial && row.state == RunState::Finished);
            let of_folds = finished.filter(|row| !row.run.fold.is_holdout());
            of_folds.filter_map(|row| Some((row.run.fold, row.score?))).collect()
        };
        let (ours, theirs) = (scores(trial), scores(TrialId::BASELINE));
        // folds that are hard are hard for both: paired, their spread falls out
        let differences: Vec<f64> = ours.iter().filter_map(|(fold, score)| Some(score - theirs.get(fold)?)).collect();
        let k = 1 + ours.keys().map(|fold| fold.fold as u32).max()?;
        Some(Self { trial, comparison: Comparison::of(&differences, k)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::space::Point;

    fn line(state: TrialState, why: Option<&str>, difference: Option<f64>, direction: &str) -> String {
        let row = TrialRow {
            trial: TrialId::BASELINE,
            state,
            score: Some(0.836),
            score_se: Some(0.012),
            folds_done: 3,
            folds: 3,
            params: Point::default(),
            seconds: None,
            why: why.map(str::to_owned),
            score_so_far: None,
            given_up: None,
            excluded: false,
            note: None,
            tags: Vec::new(),
            asked: false,
        };
        let comparison = |difference| Comparison { folds: 3, difference, difference_se: Some(0.005), p: Some(0.052) };
        let gain = |difference| Gain { trial: TrialId(4), comparison: comparison(difference) };
        Baseline { row, best_trial: difference.map(gain) }.line(direction)
    }

    #[test]
    fn who_wins_is_said() {
        let finished = |difference, direction| line(TrialState::Finished, None, difference, direction);
        let lines = [
            finished(Some(0.021), "maximize"),
            finished(Some(-0.021), "maximize"),
            finished(Some(0.0), "maximize"),
            finished(None, "maximize"),
            finished(Some(-0.3), "minimize"),
            finished(Some(0.3), "minimize"),
            line(TrialState::Failed, Some("fold 0: cannot read a.jsonl"), None, "maximize"),
            line(TrialState::Waiting, None, None, "maximize"),
        ];
        insta::assert_snapshot!(lines.join("\n"), @r"
        baseline (TF-IDF + linear): 0.8360 ± 0.0120; best trial +0.0210 ± 0.0050, p 0.052
        the baseline (TF-IDF + linear) is better than every trial: 0.8360 ± 0.0120; best trial -0.0210 ± 0.0050, p 0.052
        baseline (TF-IDF + linear): 0.8360 ± 0.0120; the best trial is no better
        baseline (TF-IDF + linear): 0.8360 ± 0.0120
        baseline (TF-IDF + linear): 0.8360 ± 0.0120; best trial -0.3000 ± 0.0050, p 0.052 (lower is better)
        the baseline (TF-IDF + linear) is better than every trial: 0.8360 ± 0.0120; best trial +0.3000 ± 0.0050, p 0.052 (lower is better)
        baseline: failed: fold 0: cannot read a.jsonl
        baseline: not finished
        ");
    }
}
