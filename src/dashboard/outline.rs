//! How far a sweep is: what the list of sweeps and the header say, kept up to date by facts.

use crate::store::{Improvement, Millis, Outline, Recorded, SweepState};
use crate::sweep::{Fact, Order, RunEnd, RunId, TrialEnd};

/// Parts of a sweep that must be done before their pace says anything.
const LEAST_DONE: f64 = 0.01;

impl Outline {
    /// Takes in what was recorded since.
    pub(super) fn fold(&mut self, facts: &[Recorded]) {
        for recorded in facts {
            if recorded.seq >= self.head.next_seq {
                self.head.next_seq = recorded.seq + 1;
                self.apply(&recorded.fact, recorded.at);
            }
        }
    }

    /// Whether a fact undoes what was counted: the outline is to be read anew.
    pub(super) fn is_undone_by(fact: &Fact) -> bool {
        matches!(
            fact,
            Fact::TrialReopened { .. } | Fact::Ordered { order: Order::Exclude { .. } | Order::Include { .. }, .. }
        )
    }

    fn apply(&mut self, fact: &Fact, at: Millis) {
        match fact {
            Fact::SweepStarted => self.started = Some(at),
            Fact::TrialProposed { trial, .. } | Fact::TrialEnqueued { trial, .. } if !trial.is_baseline() => {
                self.proposed += 1;
            }
            // the screens show folds
            Fact::RunStarted { run, .. } if run.fold.is_holdout() => {}
            Fact::RunStarted { run, .. } => self.running.push((*run, at)),
            Fact::RunEnded { run, end } => {
                self.running.retain(|(running, _)| running != run);
                if matches!(end, RunEnd::Finished { .. }) && !run.fold.is_holdout() {
                    match self.open.iter_mut().find(|(trial, _)| *trial == run.trial) {
                        Some((_, folds)) => *folds += 1,
                        None => self.open.push((run.trial, 1)),
                    }
                }
            }
            Fact::TrialEnded { trial, end } => {
                self.open.retain(|(open, _)| open != trial);
                match end {
                    TrialEnd::Finished { score, .. } if trial.is_baseline() => self.baseline = Some(*score),
                    _ if trial.is_baseline() => {}
                    TrialEnd::Finished { score, .. } => {
                        self.finished += 1;
                        let best = self.improvements.last().map(|best| best.score);
                        if best.is_none_or(|best| self.direction.better(*score, best)) {
                            let nth = self.finished;
                            self.improvements.push(Improvement { trial: *trial, score: *score, nth, at });
                        }
                    }
                    TrialEnd::Failed { .. } => self.failed += 1,
                    TrialEnd::Dropped { .. } | TrialEnd::Pruned { .. } => self.given_up += 1,
                    TrialEnd::Cancelled { .. } => self.cancelled += 1,
                }
            }
            Fact::SweepResumed | Fact::SweepEnded { .. } => self.running.clear(),
            _ => {}
        }
    }

    pub(super) fn best(&self) -> Option<&Improvement> {
        self.improvements.last()
    }

    /// Whether somebody runs it.
    pub(super) fn is_live(&self) -> bool {
        matches!(self.head.state, SweepState::Running | SweepState::Paused) && !self.is_lost()
    }

    /// Whether its coordinator is gone without having ended it.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost && matches!(self.head.state, SweepState::Running | SweepState::Paused)
    }

    /// Runs that are going on, and when they began: none of a sweep that nobody runs.
    pub(super) fn under_way(&self) -> &[(RunId, Millis)] {
        if self.is_live() { &self.running } else { &[] }
    }

    /// Trials that are decided: finished, given up, failed or cancelled.
    pub(super) fn decided(&self) -> u32 {
        self.finished + self.failed + self.given_up + self.cancelled
    }

    /// Trials in all: planned, or proposed so far where the plan is open.
    pub(super) fn trials(&self) -> u32 {
        self.planned.unwrap_or(self.proposed).max(self.decided())
    }

    /// The part of its trials that is done; folds of open trials count as what they are.
    pub(super) fn progress(&self) -> f64 {
        let folds = f64::from(self.folds.max(1));
        let open: f64 =
            self.open.iter().filter(|(trial, _)| !trial.is_baseline()).map(|(_, done)| f64::from(*done)).sum();
        let all = f64::from(self.trials());
        if all > 0.0 { ((f64::from(self.decided()) + open / folds) / all).min(1.0) } else { 0.0 }
    }

    /// Seconds that it has run, without the breaks between its sessions.
    pub(super) fn seconds(&self, now: Millis) -> f64 {
        let session = self.head.session.map_or(0, |session| {
            let until =
                if self.head.state == SweepState::Running && !self.is_lost { Some(now) } else { self.head.touched };
            until.map_or(0, |until| until.0 - session.0)
        });
        (self.head.spent_ms + session.max(0)) as f64 / 1000.0
    }

    /// Seconds to go at the pace so far, and not beyond a budget of seconds; none where nothing runs or there is neither
    /// pace nor budget.
    pub(super) fn seconds_left(&self, now: Millis, budget: Option<f64>) -> Option<f64> {
        if self.head.state != SweepState::Running || self.is_lost {
            return None;
        }
        let (done, seconds) = (self.progress(), self.seconds(now));
        let is_paced = (LEAST_DONE..1.0).contains(&done) && self.planned.is_some();
        let paced = is_paced.then(|| seconds * (1.0 - done) / done);
        let allowed = budget.map(|budget| (budget - seconds).max(0.0));
        paced.into_iter().chain(allowed).reduce(f64::min)
    }
}
