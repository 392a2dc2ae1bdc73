//! What a run's process has said and how it ended, and what that comes to.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use crate::protocol::{Claim, Done, Measurement, Split};
use crate::spec::Direction;
use crate::sweep::Exit;

/// What a run is scored by.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    pub(super) objective: String,
    pub(super) direction: Direction,
}

/// What a process has said of its own end, and why it was ended.
#[derive(Debug)]
pub(super) struct Verdict {
    goal: Goal,
    measured: Measured,
    pub(super) done: Option<Claim>,
    pub(super) failed: Option<String>,
    /// It does not speak the protocol.
    pub(super) broken: Option<String>,
    /// It took longer than it may.
    pub(super) late: Option<Duration>,
    /// Why it was told to leave, if it did not end by itself.
    pub(super) ended: Option<String>,
}

/// What it measured on the documents that it was not trained on.
#[derive(Debug, Default)]
struct Measured {
    /// The best value of the objective, and its epoch.
    best: Option<(f64, u32)>,
    /// The last epoch.
    epochs: u32,
    /// Some of the metrics' names.
    names: BTreeSet<String>,
}

/// Names told where the objective is not among them.
const NAMES: usize = 12;

impl Verdict {
    pub(super) fn new(goal: Goal) -> Self {
        let measured = Measured::default();
        Self { goal, measured, done: None, failed: None, broken: None, late: None, ended: None }
    }

    /// Whether it has said its last word: what follows is log.
    pub(super) fn is_said(&self) -> bool {
        self.done.is_some() || self.failed.is_some()
    }

    pub(super) fn measured(&mut self, measurement: &Measurement) {
        let Measurement { epoch, split, values, .. } = measurement;
        if *split != Split::Validation {
            return;
        }
        let Measured { best, epochs, names } = &mut self.measured;
        *epochs = (*epochs).max(*epoch);
        let new = values.keys().filter(|name| !names.contains(*name)).take(NAMES.saturating_sub(names.len()));
        names.extend(new.cloned().collect::<Vec<_>>());
        if let Some(score) = values.get(&self.goal.objective)
            && best.is_none_or(|(best, _)| best.is_nan() || self.goal.direction.better(*score, best))
        {
            *best = Some((*score, *epoch));
        }
    }

    /// Success is the `done` message and exit code 0, never the exit code alone.
    pub(super) fn exit(self, status: std::io::Result<ExitStatus>) -> Exit {
        let how = describe(status).map(|how| self.ended.clone().unwrap_or(how));
        if let Some(why) = self.broken {
            return Exit::Failed { why };
        }
        if let Some(limit) = self.late
            && (self.done.is_none() || how.is_some())
        {
            return Exit::Failed { why: format!("it took longer than {} s (trainer.timeout)", limit.as_secs_f64()) };
        }
        match (self.failed, self.done, how) {
            (Some(why), ..) => Exit::Failed { why },
            (None, Some(claim), None) => self.measured.result(&claim, &self.goal),
            (None, Some(_), Some(how)) => Exit::Crashed { why: format!("it was done, then: {how}") },
            (None, None, Some(why)) => Exit::Crashed { why },
            (None, None, None) => Exit::Crashed { why: "it ended without a result: it never said done".to_owned() },
        }
    }
}

impl Measured {
    fn result(self, claim: &Claim, goal: &Goal) -> Exit {
        let Claim { score, best_epoch, epochs, peak_memory_mb } = *claim;
        let Some(score) = score.or(self.best.map(|(score, _)| score)) else {
            let names: Vec<String> = self.names.into_iter().collect();
            let others = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            let objective = &goal.objective;
            let why = format!("it was done without a score, and never measured {objective} (it measured {others})");
            return Exit::Failed { why };
        };
        Exit::Done(Done {
            score,
            best_epoch: best_epoch.or(self.best.map(|(_, epoch)| epoch)).unwrap_or(0),
            epochs: epochs.unwrap_or(self.epochs),
            peak_memory_mb,
        })
    }
}

/// How a process ended, if not well.
fn describe(status: std::io::Result<ExitStatus>) -> Option<String> {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(0), _) => None,
            (Some(code), _) => Some(format!("exit code {code}")),
            (None, Some(9)) => Some("killed by signal 9 (perhaps out of memory)".to_owned()),
            (None, signal) => Some(format!("killed by signal {}", signal.unwrap_or(0))),
        },
        Err(error) => Some(format!("lost: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Message;

    /// What these lines and an exit code come to.
    fn exit(lines: &[&str], code: i32) -> Exit {
        let goal = Goal { objective: "rmse".to_owned(), direction: Direction::Minimize };
        let mut verdict = Verdict::new(goal);
        for line in lines {
            match Message::read(line.as_bytes()).expect("a message") {
                Message::Metric(measurement) => verdict.measured(&measurement),
                Message::Done(claim) => verdict.done = Some(claim),
                other => panic!("{other:?}"),
            }
        }
        verdict.exit(Ok(ExitStatus::from_raw(code << 8)))
    }

    fn score(lines: &[&str]) -> (f64, u32, u32) {
        match exit(lines, 0) {
            Exit::Done(done) => (done.score, done.best_epoch, done.epochs),
            other => panic!("{other:?}"),
        }
    }

    const FIRST: &str = r#"{"type":"metric","epoch":1,"values":{"rmse":0.5,"mae":1}}"#;
    const BEST: &str = r#"{"type":"metric","epoch":2,"values":{"rmse":0.25}}"#;
    const LAST: &str = r#"{"type":"metric","epoch":3,"values":{"rmse":0.75}}"#;
    const NAN: &str = r#"{"type":"metric","epoch":1,"values":{"rmse":NaN}}"#;
    const TRAIN: &str = r#"{"type":"metric","epoch":4,"split":"train","values":{"rmse":0}}"#;
    const DONE: &str = r#"{"type":"done"}"#;

    #[test]
    fn without_a_score_the_best_measured_counts() {
        assert_eq!(score(&[FIRST, BEST, LAST, TRAIN, DONE]), (0.25, 2, 3));
        assert_eq!(score(&[NAN, LAST, NAN, DONE]), (0.75, 3, 3));
        assert_eq!(score(&[BEST, r#"{"type":"done","score":7,"epochs":9}"#]), (7.0, 2, 9));
        assert!(score(&[NAN, DONE]).0.is_nan() && score(&[BEST, r#"{"type":"done","score":NaN}"#]).0.is_nan());
        let why = |lines: &[&str]| match exit(lines, 0) {
            Exit::Failed { why } => why,
            other => panic!("{other:?}"),
        };
        insta::assert_snapshot!(why(&[DONE]), @"it was done without a score, and never measured rmse (it measured nothing)");
        let other = r#"{"type":"metric","values":{"loss":1,"acc":0.5}}"#;
        insta::assert_snapshot!(why(&[other, TRAIN, DONE]), @"it was done without a score, and never measured rmse (it measured acc, loss)");
    }

    #[test]
    fn no_exit_code_but_0_is_success() {
        assert_eq!(exit(&[BEST, DONE], 1), Exit::Crashed { why: "it was done, then: exit code 1".to_owned() });
        assert!(matches!(exit(&[BEST], 0), Exit::Crashed { .. }));
    }
}
